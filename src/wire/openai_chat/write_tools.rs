//! Writes tools, which of them are to be called, and the form of the answer. Must never know what a tool does.

use std::borrow::Cow;
use std::collections::HashMap;

use super::request_write::{Form, OWN, says_json};
use super::write_messages::is_word;
use crate::wire::Protocol;
use crate::wire::ir::{
    Feature, Format, Losses, Quirk, Refusal, Request, ServerTool, Target, Tool, ToolChoice, ToolKind, Undo, WebSearch,
    fitted_id, leave_out,
};
use crate::wire::json::{Json, Str, Value};
use crate::wire::schema::{is_openai_strict, json_schema};

/// Longest name of a tool or a schema.
const NAME_BYTES_MAX: usize = 64;

/// The names that tools are sent under: those of other protocols may be longer, or hold what is not taken here.
pub struct Names {
    renamed: HashMap<String, String>,
    own: bool,
}

impl Names {
    pub fn new(own: bool, tools: &[Tool<'_>], undo: &mut Undo) -> Names {
        let mut names = Names { renamed: HashMap::new(), own };
        for tool in tools {
            let (ToolKind::Function { name, .. } | ToolKind::Custom { name, .. }) = &tool.kind else { continue };
            if let Cow::Owned(sent) = names.fitted(&name.decode()) {
                let known = name.decode().into_owned();
                undo.tool_names.push((sent.clone(), known.clone()));
                names.renamed.insert(known, sent);
            }
        }
        names
    }

    fn fitted<'n>(&self, name: &'n str) -> Cow<'n, str> {
        let fits =
            |name: &str| self.own || (!name.is_empty() && name.len() <= NAME_BYTES_MAX && name.bytes().all(is_word));
        fitted_id(name, fits)
    }

    pub fn write(&self, json: &mut Json<'_>, name: &Str<'_>) {
        let plain = name.decode();
        match self.renamed.get(&*plain) {
            Some(sent) => json.text(sent),
            None => match self.fitted(&plain) {
                Cow::Borrowed(_) => json.str(name),
                Cow::Owned(sent) => json.text(&sent),
            },
        }
    }
}

/// What is said about tools beside each other.
pub struct Wanted<'r, 'a> {
    pub tools: &'r [Tool<'a>],
    pub choice: Option<&'r ToolChoice<'a>>,
    pub parallel: Option<bool>,
}

pub fn write_tools(
    json: &mut Json<'_>,
    form: &Form<'_, '_>,
    wanted: &Wanted<'_, '_>,
    target: &Target<'_>,
    names: &Names,
    losses: &mut Losses,
) -> Result<(), Refusal> {
    let Wanted { tools, choice, parallel } = *wanted;
    let search = foreign_search(tools, form, losses)?;
    let listed: Vec<&Tool<'_>> = tools.iter().filter(|tool| is_listed(tool, form)).collect();
    if !listed.is_empty() {
        json.key("tools").array(|json| listed.iter().for_each(|tool| write_tool(json, tool, target, names, losses)));
    }
    if let Some(wish) = search {
        write_search(json, wish, losses);
    }
    // Both are refused where there are no tools.
    if listed.is_empty() && !form.own {
        match choice {
            // The search is offered; it cannot be forced.
            Some(ToolChoice::Hosted { .. }) if search.is_some() => {
                losses.approximated(Feature::ToolChoice);
                losses.without_tools(None, parallel);
            }
            choice => losses.without_tools(choice, parallel),
        }
        return Ok(());
    }
    if let Some(choice) =
        choice.filter(|_| form.given("tool_choice").is_none() && form.given("function_call").is_none())
    {
        write_choice(json, choice, tools, names, losses)?;
    }
    match parallel.filter(|_| form.given("functions").is_none()) {
        Some(parallel) if target.quirks.has(Quirk::NoParallelCalls) => {
            if !parallel {
                losses.dropped(Feature::ParallelCalls);
            }
        }
        Some(parallel) if form.own || !parallel => json.key("parallel_tool_calls").bool(parallel),
        Some(_) | None => {}
    }
    Ok(())
}

/// The search of another protocol, which has a field of its own here. Others of its server tools cannot be run.
fn foreign_search<'r, 'a>(
    tools: &'r [Tool<'a>],
    form: &Form<'_, '_>,
    losses: &mut Losses,
) -> Result<Option<&'r WebSearch<'a>>, Refusal> {
    let mut search = None;
    for (at, tool) in tools.iter().enumerate() {
        leave_out(&tool.extra, OWN, losses)?;
        if tool.cache.is_some() && !form.own {
            losses.dropped(Feature::CacheControl);
        }
        let ToolKind::Server { protocol, kind, .. } = &tool.kind else { continue };
        if *protocol == OWN {
            continue;
        }
        match kind {
            ServerTool::WebSearch(wish) => search = Some(wish),
            ServerTool::WebFetch => return Err(no_server_tool("web_fetch")),
            ServerTool::CodeExecution => return Err(no_server_tool("code_execution")),
            // All tools are seen from the start.
            ServerTool::ToolSearch => losses.field(&format!("tools[{at}]")),
            ServerTool::Other(name) => return Err(no_server_tool(name)),
        }
    }
    Ok(search)
}

fn no_server_tool(name: &str) -> Refusal {
    let message = format!("the server tool {name} cannot be run by this model's upstream: leave it out of tools");
    Refusal::new("tools", message)
}

/// Whether a tool stands in `tools`; others have a field of their own, which is said again.
fn is_listed(tool: &Tool<'_>, form: &Form<'_, '_>) -> bool {
    match &tool.kind {
        ToolKind::Function { .. } => form.given("functions").is_none(),
        ToolKind::Custom { .. } => true,
        ToolKind::Server { protocol, raw, .. } => *protocol == OWN && raw.get("type").is_some(),
    }
}

fn write_tool(json: &mut Json<'_>, tool: &Tool<'_>, target: &Target<'_>, names: &Names, losses: &mut Losses) {
    let form = Form { own: true, extra: &tool.extra };
    match &tool.kind {
        ToolKind::Function { name, description, parameters, dialect, strict } => json.object(|json| {
            json.key("type").text("function");
            json.key("function").object(|json| {
                names.write(json.key("name"), name);
                if let Some(description) = description {
                    json.key("description").str(description);
                }
                let parameters = parameters.as_ref().map(|schema| json_schema(schema, *dialect));
                if let Some(parameters) = &parameters {
                    json.key("parameters").value(parameters);
                }
                // A strict tool whose schema is not is refused.
                let can_be_strict = names.own || parameters.as_deref().is_some_and(is_openai_strict);
                match strict {
                    Some(true) if !can_be_strict => {
                        losses.dropped(Feature::Strict);
                        if !target.quirks.has(Quirk::NoJsonSchema) {
                            json.key("strict").bool(false);
                        }
                    }
                    Some(strict) if !target.quirks.has(Quirk::NoJsonSchema) => json.key("strict").bool(*strict),
                    Some(true) => losses.dropped(Feature::Strict),
                    Some(false) | None => {}
                }
                form.say_in(json, "function");
            });
            form.say_here(json, &[]);
        }),
        ToolKind::Custom { name, description, format } => json.object(|json| {
            json.key("type").text("custom");
            json.key("custom").object(|json| {
                names.write(json.key("name"), name);
                if let Some(description) = description {
                    json.key("description").str(description);
                }
                if let Some(format) = format {
                    write_grammar(json.key("format"), format);
                }
                form.say_in(json, "custom");
            });
            form.say_here(json, &[]);
        }),
        ToolKind::Server { raw, .. } => json.value(raw),
    }
}

/// `{type: "grammar", syntax, definition}` with its inner object put back.
fn write_grammar(json: &mut Json<'_>, format: &Value<'_>) {
    let is_grammar = format.get("type").and_then(Value::as_str).is_some_and(|kind| *kind == "grammar");
    match format.as_object().filter(|_| is_grammar && format.get("grammar").is_none()) {
        None => json.value(format),
        Some(flat) => json.object(|json| {
            json.key("type").text("grammar");
            json.key("grammar").object(|json| {
                for (name, value) in flat.members.iter().filter(|(name, _)| *name != "type") {
                    json.key_of(name).value(value);
                }
            });
        }),
    }
}

fn write_search(json: &mut Json<'_>, wish: &WebSearch<'_>, losses: &mut Losses) {
    let WebSearch { max_uses, allowed_domains, blocked_domains, user_location, context_size } = wish;
    if max_uses.is_some() || !allowed_domains.is_empty() || !blocked_domains.is_empty() {
        losses.approximated(Feature::ServerTool);
    }
    json.key("web_search_options").object(|json| {
        if let Some(size) = context_size {
            json.key("search_context_size").str(size);
        }
        let Some(location) = user_location.as_ref().and_then(Value::as_object) else { return };
        json.key("user_location").object(|json| {
            json.key("type").text("approximate");
            json.key("approximate").object(|json| {
                for (name, value) in location.members.iter().filter(|(name, _)| *name != "type") {
                    json.key_of(name).value(value);
                }
            });
        });
    });
}

fn write_choice(
    json: &mut Json<'_>,
    choice: &ToolChoice<'_>,
    tools: &[Tool<'_>],
    names: &Names,
    losses: &mut Losses,
) -> Result<(), Refusal> {
    match choice {
        ToolChoice::Auto => json.key("tool_choice").text("auto"),
        ToolChoice::None => json.key("tool_choice").text("none"),
        ToolChoice::Required => json.key("tool_choice").text("required"),
        ToolChoice::One { name, custom } => {
            json.key("tool_choice").object(|json| write_named(json, name, *custom, names));
        }
        ToolChoice::Allowed { required: true, names: allowed } if allowed.len() == 1 => {
            json.key("tool_choice").object(|json| write_named(json, &allowed[0], is_custom(tools, &allowed[0]), names));
        }
        ToolChoice::Allowed { required, names: allowed } => write_allowed(json, *required, allowed, tools, names),
        // That calls obey their schema cannot be asked for here without rewriting it.
        ToolChoice::Validated { names: allowed } => {
            losses.approximated(Feature::ToolChoice);
            if allowed.is_empty() {
                json.key("tool_choice").text("auto");
            } else {
                write_allowed(json, false, allowed, tools, names);
            }
        }
        ToolChoice::Hosted { protocol, raw } if *protocol == OWN => json.key("tool_choice").value(raw),
        ToolChoice::Hosted { .. } => {
            let message = "this tool_choice names a server tool that this model's upstream cannot run: choose another";
            return Err(Refusal::new("tool_choice", message));
        }
    }
    Ok(())
}

fn write_named(json: &mut Json<'_>, name: &Str<'_>, custom: bool, names: &Names) {
    let kind = if custom { "custom" } else { "function" };
    json.key("type").text(kind);
    json.key(kind).object(|json| names.write(json.key("name"), name));
}

fn write_allowed(json: &mut Json<'_>, required: bool, allowed: &[Str<'_>], tools: &[Tool<'_>], names: &Names) {
    json.key("tool_choice").object(|json| {
        json.key("type").text("allowed_tools");
        json.key("allowed_tools").object(|json| {
            json.key("mode").text(if required { "required" } else { "auto" });
            json.key("tools").array(|json| {
                for name in allowed {
                    json.object(|json| write_named(json, name, is_custom(tools, name), names));
                }
            });
        });
    });
}

fn is_custom(tools: &[Tool<'_>], wanted: &Str<'_>) -> bool {
    tools.iter().any(|tool| matches!(&tool.kind, ToolKind::Custom { name, .. } if name == wanted))
}

pub fn write_format(
    json: &mut Json<'_>,
    form: &Form<'_, '_>,
    format: Option<&Format<'_>>,
    request: &Request<'_>,
    target: &Target<'_>,
    losses: &mut Losses,
) {
    match format {
        None => {}
        Some(Format::Text) if !form.own => {}
        Some(Format::Text) => write_kind(json, "text"),
        Some(Format::Json) => {
            if !form.own && !says_json(request) {
                losses.approximated(Feature::ResponseFormat);
            }
            write_kind(json, "json_object");
        }
        Some(Format::Schema { .. }) if target.quirks.has(Quirk::NoJsonSchema) => {
            losses.approximated(Feature::ResponseFormat);
            write_kind(json, "json_object");
        }
        Some(Format::Schema { name, description, schema, dialect, strict }) => {
            let plain = json_schema(schema, *dialect);
            json.key("response_format").object(|json| {
                json.key("type").text("json_schema");
                json.key("json_schema").object(|json| {
                    match name {
                        Some(name) => Names { renamed: HashMap::new(), own: form.own }.write(json.key("name"), name),
                        None if form.own => {}
                        None => json.key("name").text("answer"),
                    }
                    if let Some(description) = description {
                        json.key("description").str(description);
                    }
                    json.key("schema").value(&plain);
                    if form.own {
                        strict.iter().for_each(|strict| json.key("strict").bool(*strict));
                    } else {
                        json.key("strict").bool(binding(*strict, &plain, request.protocol, losses));
                    }
                    form.say_in(json, "json_schema");
                });
                form.say_in(json, "response_format");
            });
        }
    }
}

/// Whether the answer is held to a schema: others always do that, here only strict ones hold, which not every schema can be.
fn binding(strict: Option<bool>, schema: &Value<'_>, from: Protocol, losses: &mut Losses) -> bool {
    let wanted = strict.unwrap_or(match from {
        Protocol::OpenAiChat | Protocol::OpenAiResponses => false,
        Protocol::AnthropicMessages | Protocol::GeminiGenerate => true,
    });
    if !wanted || is_openai_strict(schema) {
        return wanted;
    }
    losses.dropped(Feature::Strict);
    false
}

fn write_kind(json: &mut Json<'_>, kind: &str) {
    json.key("response_format").object(|json| json.key("type").text(kind));
}
