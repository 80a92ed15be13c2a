//! Writes the tools of a request for Responses, and how they are to be chosen.

use std::borrow::Cow;
use std::collections::HashSet;

use super::calls::sent_name;
use super::items_write::say_again;
use super::namespaces::NAMESPACE;
use crate::wire::Protocol;
use crate::wire::ir::{
    Extra, Feature, Losses, Refusal, Request, ServerTool, Tool, ToolChoice, ToolKind, WebSearch, leave_out, said_again,
};
use crate::wire::json::{Json, Str, Value};
use crate::wire::schema::{is_openai_strict, json_schema};

const OURS: Protocol = Protocol::OpenAiResponses;

pub(super) struct ToolPlan<'r> {
    own: bool,
    tools: Vec<&'r Tool<'r>>,
    custom: HashSet<Cow<'r, str>>,
    image_out: bool,
}

impl ToolPlan<'_> {
    /// Names as they are sent, and as the client knows them.
    pub fn renamed(&self) -> Vec<(String, String)> {
        let pair = |tool: &&Tool<'_>| {
            let name = name_of(tool)?;
            let (sent, known) = (sent_name(name, self.own), name.decode());
            (sent != known).then(|| (sent.into_owned(), known.into_owned()))
        };
        self.tools.iter().filter_map(pair).collect()
    }
}

fn name_of<'t, 'a>(tool: &'t Tool<'a>) -> Option<&'t Str<'a>> {
    match &tool.kind {
        ToolKind::Function { name, .. } | ToolKind::Custom { name, .. } => Some(name),
        ToolKind::Server { .. } => None,
    }
}

/// Refuses what cannot be said, and records what is lost.
pub(super) fn plan_tools<'r>(request: &'r Request<'r>, losses: &mut Losses) -> Result<ToolPlan<'r>, Refusal> {
    let own = request.protocol == OURS;
    let mut custom = HashSet::new();
    for (at, tool) in request.tools.iter().enumerate() {
        let Tool { kind, cache, extra } = tool;
        leave_out(extra, OURS, losses)?;
        if cache.is_some() {
            losses.dropped(Feature::CacheControl);
        }
        match kind {
            ToolKind::Function { strict, parameters, dialect, .. } => {
                let wanted = *strict == Some(true) && !own;
                let schema = parameters.as_ref().map(|schema| json_schema(schema, *dialect));
                if wanted && !schema.as_deref().is_some_and(is_openai_strict) {
                    losses.dropped(Feature::Strict);
                }
            }
            ToolKind::Custom { name, .. } => drop(custom.insert(name.decode())),
            ToolKind::Server { kind: ServerTool::ToolSearch, .. } => losses.field(&format!("tools[{at}]")),
            ToolKind::Server { protocol, kind, .. } => plan_hosted(request, *protocol, kind, losses)?,
        }
    }
    if let Some(ToolChoice::Hosted { protocol, .. }) = &request.tool_choice
        && *protocol != OURS
    {
        let message = "this choice cannot be said to this model's upstream: use auto or leave it out";
        return Err(Refusal::new(Feature::ToolChoice.param(request.protocol), message));
    }
    if let Some(ToolChoice::Validated { .. }) = &request.tool_choice {
        losses.approximated(Feature::ToolChoice);
    }
    let is_sent = |tool: &&Tool<'_>| !matches!(tool.kind, ToolKind::Server { kind: ServerTool::ToolSearch, .. });
    let tools: Vec<_> = request.tools.iter().filter(is_sent).collect();
    if tools.is_empty() && !own {
        losses.without_tools(request.tool_choice.as_ref(), request.parallel_calls);
    }
    Ok(ToolPlan { own, tools, custom, image_out: request.image_out && !own })
}

fn plan_hosted(
    request: &Request<'_>,
    protocol: Protocol,
    kind: &ServerTool<'_>,
    losses: &mut Losses,
) -> Result<(), Refusal> {
    if protocol == OURS {
        return Ok(());
    }
    let name = match kind {
        ServerTool::WebSearch(search) => {
            if search.max_uses.is_some() {
                losses.field("tools.max_uses");
            }
            if !search.blocked_domains.is_empty() {
                losses.field("tools.blocked_domains");
            }
            return Ok(());
        }
        ServerTool::CodeExecution | ServerTool::ToolSearch => return Ok(()),
        ServerTool::WebFetch => "web_fetch",
        ServerTool::Other(name) => name,
    };
    let message = format!("the hosted tool {name} cannot be run by this model's upstream: leave it out");
    Err(Refusal::new(Feature::ServerTool.param(request.protocol), message))
}

/// `hidden`: tools that stand in the request's extras, by their place in the list.
pub(super) fn write_tools(json: &mut Json<'_>, plan: &ToolPlan<'_>, hidden: &[&Extra<'_>]) {
    if plan.tools.is_empty() && hidden.is_empty() && !plan.image_out {
        return;
    }
    json.key("tools").array(|json| {
        let mut at = 0;
        let write_hidden = |json: &mut Json<'_>, at: &mut usize| {
            while let Some(extra) = hidden.iter().find(|extra| extra.path == format!("tools[{at}]")) {
                json.value(&extra.value);
                *at += 1;
            }
        };
        for tool in &plan.tools {
            let space = said_again(&tool.extra, OURS).find(|extra| extra.name == NAMESPACE);
            match space.map(|extra| &extra.value) {
                // It was said with the first of its namespace.
                Some(Value::Null) => continue,
                Some(whole) => {
                    write_hidden(json, &mut at);
                    json.value(whole);
                }
                None => {
                    write_hidden(json, &mut at);
                    write_tool(json, tool, plan.own);
                }
            }
            at += 1;
        }
        write_hidden(json, &mut at);
        if plan.image_out {
            json.object(|json| json.key("type").text("image_generation"));
        }
    });
}

fn write_tool(json: &mut Json<'_>, tool: &Tool<'_>, own: bool) {
    match &tool.kind {
        ToolKind::Server { protocol, raw, .. } if *protocol == OURS => json.value(raw),
        ToolKind::Server { kind, .. } => json.object(|json| write_hosted(json, kind)),
        ToolKind::Function { name, description, parameters, dialect, strict } => json.object(|json| {
            json.key("type").text("function");
            json.key("name").text(&sent_name(name, own));
            if let Some(description) = description {
                json.key("description").str(description);
            }
            let parameters = parameters.as_ref().map(|schema| json_schema(schema, *dialect));
            match &parameters {
                Some(schema) => json.key("parameters").value(schema),
                None if own => {}
                None => json.key("parameters").raw(r#"{"type":"object","properties":{}}"#),
            }
            match strict {
                Some(strict) if own => json.key("strict").bool(*strict),
                None if own => {}
                strict => {
                    let strict = *strict == Some(true) && parameters.as_deref().is_some_and(is_openai_strict);
                    json.key("strict").bool(strict);
                }
            }
            say_again(json, &tool.extra);
        }),
        ToolKind::Custom { name, description, format } => json.object(|json| {
            json.key("type").text("custom");
            json.key("name").text(&sent_name(name, own));
            if let Some(description) = description {
                json.key("description").str(description);
            }
            if let Some(format) = format {
                write_custom_format(json.key("format"), format);
            }
            say_again(json, &tool.extra);
        }),
    }
}

/// A grammar stands flat here and nested in chat completions.
fn write_custom_format(json: &mut Json<'_>, format: &Value<'_>) {
    let Some(grammar) = format.get("grammar").and_then(Value::as_object) else { return json.value(format) };
    json.object(|json| {
        json.key("type").text("grammar");
        for (name, value) in &grammar.members {
            json.key_of(name).value(value);
        }
    });
}

fn write_hosted(json: &mut Json<'_>, kind: &ServerTool<'_>) {
    match kind {
        ServerTool::WebSearch(search) => {
            let WebSearch { max_uses: _, allowed_domains, blocked_domains: _, user_location, context_size } = search;
            json.key("type").text("web_search");
            if !allowed_domains.is_empty() {
                json.key("filters").object(|json| {
                    json.key("allowed_domains").array(|json| allowed_domains.iter().for_each(|name| json.str(name)));
                });
            }
            if let Some(place) = user_location {
                json.key("user_location").value(place);
            }
            if let Some(size) = context_size {
                json.key("search_context_size").str(size);
            }
        }
        ServerTool::CodeExecution => {
            json.key("type").text("code_interpreter");
            json.key("container").object(|json| json.key("type").text("auto"));
        }
        // Refused when planned.
        ServerTool::WebFetch | ServerTool::ToolSearch | ServerTool::Other(_) => {}
    }
}

/// `tool_choice` and `parallel_tool_calls`; they say nothing where there is no tool.
pub(super) fn write_tool_choice(json: &mut Json<'_>, request: &Request<'_>, plan: &ToolPlan<'_>) {
    if !plan.own && plan.tools.is_empty() {
        return;
    }
    if let Some(choice) = &request.tool_choice {
        write_choice(json.key("tool_choice"), choice, plan);
    }
    if let Some(parallel) = request.parallel_calls {
        json.key("parallel_tool_calls").bool(parallel);
    }
}

fn write_choice(json: &mut Json<'_>, choice: &ToolChoice<'_>, plan: &ToolPlan<'_>) {
    match choice {
        ToolChoice::Auto => json.text("auto"),
        ToolChoice::None => json.text("none"),
        ToolChoice::Required => json.text("required"),
        ToolChoice::One { name, custom } => {
            let custom = *custom || plan.custom.contains(&name.decode());
            json.object(|json| write_named(json, name, custom, plan));
        }
        ToolChoice::Validated { names } if names.is_empty() => json.text("auto"),
        ToolChoice::Validated { names } => write_allowed(json, false, names, plan),
        ToolChoice::Allowed { required, names } => write_allowed(json, *required, names, plan),
        ToolChoice::Hosted { raw, .. } => json.value(raw),
    }
}

fn write_named(json: &mut Json<'_>, name: &Str<'_>, custom: bool, plan: &ToolPlan<'_>) {
    json.key("type").text(if custom { "custom" } else { "function" });
    json.key("name").text(&sent_name(name, plan.own));
}

fn write_allowed(json: &mut Json<'_>, required: bool, names: &[Str<'_>], plan: &ToolPlan<'_>) {
    json.object(|json| {
        json.key("type").text("allowed_tools");
        json.key("mode").text(if required { "required" } else { "auto" });
        json.key("tools").array(|json| {
            for name in names {
                let custom = plan.custom.contains(&name.decode());
                json.object(|json| write_named(json, name, custom, plan));
            }
        });
    });
}
