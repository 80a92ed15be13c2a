//! Writes tools and the choice among them. Must never know of the conversation.

use std::borrow::Cow;

use super::blocks_write::{Marks, write_extras};
use super::names::Names;
use super::schema;
use super::thinking::{Forced, Forcing};
use crate::wire::Protocol;
use crate::wire::ir::{
    CacheMark, Call, Extra, Feature, Losses, PartKind, Quirk, Refusal, Request, SchemaDialect, ServerTool, Target,
    Tool, ToolChoice, ToolKind, WebSearch, leave_out,
};
use crate::wire::json::{Json, Str, Value};

const AM: Protocol = Protocol::AnthropicMessages;
const WEB_SEARCH: &str = "web_search";
/// Most tools that are defined only because the history calls them.
const HISTORY_TOOLS_MAX: usize = 128;

pub(super) struct Tools<'r> {
    list: Vec<Sent<'r>>,
    choice: Option<Choice<'r>>,
    parallel: Option<bool>,
    /// The function that says the answer.
    pub answer_tool: Option<String>,
}

struct Sent<'r> {
    form: Form<'r>,
    cache: Option<&'r CacheMark<'r>>,
    extra: &'r [Extra<'r>],
}

enum Form<'r> {
    Function {
        name: Cow<'r, str>,
        description: Option<&'r Str<'r>>,
        schema: Cow<'r, Value<'r>>,
        strict: Option<bool>,
    },
    Custom {
        name: Cow<'r, str>,
        description: Option<&'r Str<'r>>,
        format: Option<&'r Value<'r>>,
    },
    /// Our own protocol's, as it came.
    Raw(&'r Value<'r>),
    WebSearch(&'r WebSearch<'r>),
    /// A server tool by its type, and its only name.
    Dated(&'static str, &'static str),
    Answer {
        name: String,
        schema: Value<'r>,
    },
}

enum Choice<'r> {
    Auto,
    None,
    Any,
    Tool(Cow<'r, str>),
    Raw(&'r Value<'r>),
}

/// `answer`: a schema that only a forced tool can say.
pub(super) fn tools<'r>(
    request: &'r Request<'r>,
    target: &Target<'_>,
    answer: Option<Value<'r>>,
    names: &mut Names,
    losses: &mut Losses,
) -> Result<Tools<'r>, Refusal> {
    let mut list = Vec::with_capacity(request.tools.len());
    let allowed = allowed(request.tool_choice.as_ref());
    for (at, tool) in request.tools.iter().enumerate() {
        if !allowed.is_none_or(|allowed| is_among(tool, allowed, request.protocol)) {
            continue;
        }
        leave_out(&tool.extra, AM, losses)?;
        match form(tool, request, target, names, losses)? {
            Some(form) => list.push(Sent { form, cache: tool.cache.as_ref(), extra: &tool.extra }),
            None => losses.field(&format!("tools[{at}]")),
        }
    }
    let mut tools = Tools { list, choice: None, parallel: request.parallel_calls, answer_tool: None };
    tools.choice = choice(request, &tools.list, names, losses);
    if let Some(schema) = answer {
        tools.answer_by(schema);
    }
    if tools.list.is_empty() && request.protocol != AM {
        tools.list = known_by_history(request, names);
        if !tools.list.is_empty() {
            losses.approximated(Feature::Tools);
            losses.without_tools(request.tool_choice.as_ref(), request.parallel_calls);
            (tools.choice, tools.parallel) = (Some(Choice::None), None);
        }
    }
    if tools.list.is_empty() {
        losses.without_tools(request.tool_choice.as_ref(), request.parallel_calls);
        (tools.choice, tools.parallel) = (None, None);
    }
    Ok(tools)
}

/// A history with calls is refused where no tool is defined: those that it names, of which none may be called.
fn known_by_history<'r>(request: &'r Request<'r>, names: &mut Names) -> Vec<Sent<'r>> {
    let mut list: Vec<Sent<'r>> = Vec::new();
    for part in request.turns.iter().flat_map(|turn| &turn.parts) {
        let PartKind::Call(Call { name, .. }) = &part.kind else { continue };
        let name = names.sent(name);
        if list.len() < HISTORY_TOOLS_MAX && !list.iter().any(|tool| tool.form.name() == Some(&*name)) {
            let schema = schema::input(None, SchemaDialect::JsonSchema).0;
            let form = Form::Function { name, description: None, schema, strict: None };
            list.push(Sent { form, cache: None, extra: &[] });
        }
    }
    list
}

fn allowed<'r, 'a>(choice: Option<&'r ToolChoice<'a>>) -> Option<&'r [Str<'a>]> {
    match choice? {
        ToolChoice::Allowed { names, .. } => Some(names),
        ToolChoice::Validated { names } if !names.is_empty() => Some(names),
        ToolChoice::Validated { .. }
        | ToolChoice::Auto
        | ToolChoice::None
        | ToolChoice::Required
        | ToolChoice::One { .. }
        | ToolChoice::Hosted { .. } => None,
    }
}

/// Gemini's clients choose among functions alone.
fn is_among(tool: &Tool<'_>, names: &[Str<'_>], from: Protocol) -> bool {
    match &tool.kind {
        ToolKind::Function { name, .. } | ToolKind::Custom { name, .. } => names.contains(name),
        ToolKind::Server { .. } if from == Protocol::GeminiGenerate => true,
        ToolKind::Server { raw, .. } => {
            ["type", "name"].iter().filter_map(|it| raw.get(it)?.as_str()).any(|name| names.contains(name))
        }
    }
}

/// `None`: a search for tools, which is not needed where all are sent.
fn form<'r>(
    tool: &'r Tool<'r>,
    request: &Request<'_>,
    target: &Target<'_>,
    names: &mut Names,
    losses: &mut Losses,
) -> Result<Option<Form<'r>>, Refusal> {
    Ok(Some(match &tool.kind {
        ToolKind::Function { name, description, parameters, .. } if request.protocol == AM => {
            let schema = parameters.as_ref().map_or(Cow::Owned(Value::object()), Cow::Borrowed);
            let strict = strict_of(&tool.kind);
            Form::Function { name: names.sent(name), description: description.as_ref(), schema, strict }
        }
        ToolKind::Function { name, description, parameters, dialect, strict } => {
            let strict = strict.filter(|strict| *strict && !target.quirks.has(Quirk::NoOutputFormat));
            if strict != strict_of(&tool.kind).filter(|strict| *strict) {
                losses.dropped(Feature::Strict);
            }
            let (schema, lossy) = input_schema(parameters.as_ref(), *dialect, strict.is_some());
            if lossy {
                losses.approximated(Feature::Schema);
            }
            Form::Function { name: names.sent(name), description: description.as_ref(), schema, strict }
        }
        ToolKind::Custom { name, description, format } => {
            let name = names.sent(name);
            names.wrap(&name);
            let format =
                format.as_ref().filter(|it| it.get("type").and_then(Value::as_str).is_none_or(|it| *it != "text"));
            if format.is_some() {
                losses.approximated(Feature::Schema);
            }
            Form::Custom { name, description: description.as_ref(), format }
        }
        ToolKind::Server { protocol: AM, raw, .. } => Form::Raw(raw),
        ToolKind::Server { kind: ServerTool::ToolSearch, .. } => return Ok(None),
        ToolKind::Server { kind, .. } => server(kind, losses)?,
    }))
}

fn strict_of(kind: &ToolKind<'_>) -> Option<bool> {
    match kind {
        ToolKind::Function { strict, .. } => *strict,
        ToolKind::Custom { .. } | ToolKind::Server { .. } => None,
    }
}

fn input_schema<'r>(
    parameters: Option<&'r Value<'r>>,
    dialect: SchemaDialect,
    strict: bool,
) -> (Cow<'r, Value<'r>>, bool) {
    match parameters {
        Some(parameters) if strict => {
            let (bound, lossy) = schema::bound(parameters, dialect);
            (Cow::Owned(bound), lossy)
        }
        _ => schema::input(parameters, dialect),
    }
}

fn server<'r>(kind: &'r ServerTool<'r>, losses: &mut Losses) -> Result<Form<'r>, Refusal> {
    Ok(match kind {
        ServerTool::WebSearch(search) => {
            if search.context_size.is_some() {
                losses.dropped(Feature::Field(Cow::Borrowed("search_context_size")));
            }
            if !search.allowed_domains.is_empty() && !search.blocked_domains.is_empty() {
                losses.dropped(Feature::Field(Cow::Borrowed("blocked_domains")));
            }
            Form::WebSearch(search)
        }
        ServerTool::WebFetch => Form::Dated("web_fetch_20250910", "web_fetch"),
        ServerTool::CodeExecution => Form::Dated("code_execution_20250825", "code_execution"),
        ServerTool::ToolSearch => {
            return Err(Refusal::new("tools", "tool search is told by another name: leave it out"));
        }
        ServerTool::Other(name) => {
            let message = format!("the tool {name} is run by its own vendor alone: leave it out for this model");
            return Err(Refusal::new("tools", message));
        }
    })
}

fn choice<'r>(
    request: &'r Request<'r>,
    list: &[Sent<'_>],
    names: &mut Names,
    losses: &mut Losses,
) -> Option<Choice<'r>> {
    let named = |name: &str| list.iter().any(|tool| matches!(tool.form, Form::WebSearch(_)) && name.contains("search"));
    Some(match request.tool_choice.as_ref()? {
        ToolChoice::Auto | ToolChoice::Allowed { required: false, .. } => Choice::Auto,
        ToolChoice::None => Choice::None,
        ToolChoice::Required | ToolChoice::Allowed { required: true, .. } => Choice::Any,
        ToolChoice::One { name, .. } => Choice::Tool(names.sent(name)),
        ToolChoice::Validated { .. } => {
            losses.approximated(Feature::ToolChoice);
            Choice::Auto
        }
        ToolChoice::Hosted { protocol: AM, raw } => Choice::Raw(raw),
        ToolChoice::Hosted { raw, .. } => match raw.get("type").and_then(Value::as_text) {
            Some(kind) if named(&kind) => Choice::Tool(Cow::Borrowed(WEB_SEARCH)),
            _ => {
                losses.dropped(Feature::ToolChoice);
                return None;
            }
        },
    })
}

impl<'r> Tools<'r> {
    /// Adds the function whose arguments are the answer, and forces it or, where there are others, one of them.
    fn answer_by(&mut self, schema: Value<'r>) {
        let taken = |name: &str| self.list.iter().any(|tool| tool.form.name() == Some(name));
        let mut name = "json".to_owned();
        while taken(&name) {
            name.push_str("_answer");
        }
        self.choice = Some(match self.choice.take() {
            Some(chosen @ (Choice::Tool(_) | Choice::Raw(_))) => chosen,
            Some(Choice::Auto | Choice::Any) | None if !self.list.is_empty() => Choice::Any,
            Some(Choice::None | Choice::Auto | Choice::Any) | None => {
                self.parallel = Some(false);
                Choice::Tool(Cow::Owned(name.clone()))
            }
        });
        self.list.push(Sent { form: Form::Answer { name: name.clone(), schema }, cache: None, extra: &[] });
        self.answer_tool = Some(name);
    }

    pub fn forced(&self) -> Forced {
        match &self.choice {
            None | Some(Choice::Auto | Choice::None) => Forced::Not,
            Some(Choice::Any) => Forced::Any,
            Some(Choice::Tool(_) | Choice::Raw(_)) => Forced::Named,
        }
    }

    pub fn force(&mut self, how: Forcing) {
        match how {
            Forcing::AsAsked => {}
            // The one tool that there is.
            Forcing::ByAny => {
                if let Some(Choice::Tool(name)) = self.choice.replace(Choice::Any)
                    && self.list.iter().any(|tool| tool.form.name() == Some(&*name))
                {
                    self.list.retain(|tool| tool.form.name() == Some(&*name));
                }
            }
            Forcing::Never => self.choice = Some(Choice::Auto),
        }
    }

    pub fn marks(&self) -> impl Iterator<Item = &CacheMark<'r>> {
        self.list.iter().filter_map(|tool| tool.cache)
    }

    pub fn write(&self, json: &mut Json<'_>, request: &Request<'_>, marks: &mut Marks) {
        if !self.list.is_empty() || (request.protocol == AM && !request.tools.is_empty()) {
            json.key("tools").array(|json| self.list.iter().for_each(|tool| tool.write(json, marks)));
        }
        let serial = self.parallel == Some(false);
        let choice = match &self.choice {
            None if serial => &Choice::Auto,
            None => return,
            Some(choice) => choice,
        };
        json.key("tool_choice").object(|json| {
            match choice {
                Choice::Auto => json.key("type").text("auto"),
                Choice::None => json.key("type").text("none"),
                Choice::Any => json.key("type").text("any"),
                Choice::Tool(name) => {
                    json.key("type").text("tool");
                    json.key("name").text(name);
                }
                Choice::Raw(raw) => {
                    for (name, value) in raw.as_object().into_iter().flat_map(|object| &object.members) {
                        json.key_of(name).value(value);
                    }
                }
            }
            if let (Some(parallel), false) = (self.parallel, matches!(choice, Choice::None)) {
                json.key("disable_parallel_tool_use").bool(!parallel);
            }
            write_extras(json, &request.extra, Some("tool_choice"));
        });
    }
}

impl Sent<'_> {
    fn write(&self, json: &mut Json<'_>, marks: &mut Marks) {
        let Sent { form, cache, extra } = self;
        json.object(|json| {
            form.write(json);
            if !matches!(form, Form::Raw(_)) {
                write_extras(json, extra, None);
            }
            marks.write(json, *cache, extra);
        });
    }
}

impl Form<'_> {
    /// `None`: a server tool whose name we did not give.
    fn name(&self) -> Option<&str> {
        match self {
            Form::Function { name, .. } | Form::Custom { name, .. } => Some(name),
            Form::Answer { name, .. } => Some(name),
            Form::WebSearch(_) => Some(WEB_SEARCH),
            Form::Dated(_, name) => Some(name),
            Form::Raw(_) => None,
        }
    }

    fn write(&self, json: &mut Json<'_>) {
        match self {
            Form::Function { name, description, schema, strict } => {
                json.key("name").text(name);
                if let Some(description) = description {
                    json.key("description").str(description);
                }
                json.key("input_schema").value(schema);
                if let Some(strict) = strict {
                    json.key("strict").bool(*strict);
                }
            }
            Form::Custom { name, description, format } => {
                json.key("name").text(name);
                if let Some(description) = description {
                    json.key("description").str(description);
                }
                json.key("input_schema").object(|json| write_free_form(json, *format));
            }
            Form::Raw(raw) => {
                for (name, value) in raw.as_object().into_iter().flat_map(|object| &object.members) {
                    json.key_of(name).value(value);
                }
            }
            Form::WebSearch(search) => write_web_search(json, search),
            Form::Dated(kind, name) => {
                json.key("type").text(kind);
                json.key("name").text(name);
            }
            Form::Answer { name, schema } => {
                json.key("name").text(name);
                json.key("description").text("Give the answer by calling this.");
                json.key("input_schema").value(schema);
            }
        }
    }
}

/// A function of one text; a grammar is told in words.
fn write_free_form(json: &mut Json<'_>, format: Option<&Value<'_>>) {
    json.key("type").text("object");
    json.key("properties").object(|json| {
        json.key("input").object(|json| {
            json.key("type").text("string");
            if let Some(format) = format {
                json.key("description").text(&format!("A text of this format: {}", format.to_json()));
            }
        });
    });
    json.key("required").array(|json| json.text("input"));
    json.key("additionalProperties").bool(false);
}

fn write_web_search(json: &mut Json<'_>, search: &WebSearch<'_>) {
    let WebSearch { max_uses, allowed_domains, blocked_domains, user_location, context_size: _ } = search;
    json.key("type").text("web_search_20250305");
    json.key("name").text(WEB_SEARCH);
    if let Some(max) = max_uses {
        json.key("max_uses").uint(*max);
    }
    // One of the two lists at most.
    let (key, domains) = match allowed_domains.is_empty() {
        true => ("blocked_domains", blocked_domains),
        false => ("allowed_domains", allowed_domains),
    };
    if !domains.is_empty() {
        json.key(key).array(|json| domains.iter().for_each(|domain| json.str(domain)));
    }
    if let Some(location) = user_location {
        json.key("user_location").value(location);
    }
}
