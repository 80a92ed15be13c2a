//! Writes tools and how they may be chosen.

use std::borrow::Cow;
use std::collections::HashSet;

use sha2::{Digest, Sha256};

use super::super::fields::said_in;
use super::super::read::ENTRY;
use super::config::has_functions;
use super::pieces::again;
use crate::wire::Protocol;
use crate::wire::ir::{
    Class, Extra, Feature, LossKind, Losses, Quirk, Refusal, Request, SchemaDialect, ServerTool, Target, Tool,
    ToolChoice, ToolKind, Undo, WebSearch, leave_out,
};
use crate::wire::json::{Json, Object, Str, Value};
use crate::wire::schema;

const NAME_BYTES_MAX: usize = 64;

pub struct Tools<'r> {
    /// One object of `tools` each.
    entries: Vec<Entry<'r>>,
    /// The entry that functions share.
    functions_at: Option<usize>,
    mode: Option<&'static str>,
    allowed: Vec<Str<'r>>,
    /// Functions and tools of Google's together.
    mixed: bool,
}

#[derive(Default)]
struct Entry<'r> {
    functions: Vec<Function<'r>>,
    /// Each an object of one member.
    hosted: Vec<Cow<'r, Value<'r>>>,
    extras: Vec<&'r Extra<'r>>,
    number: Option<u64>,
}

struct Function<'r> {
    name: Str<'r>,
    description: Option<Str<'r>>,
    parameters: Parameters<'r>,
    extras: &'r [Extra<'r>],
}

enum Parameters<'r> {
    None,
    /// Gemini's own kind of schema.
    OpenApi(Cow<'r, Value<'r>>),
    JsonSchema(&'r Value<'r>),
}

/// A name that Gemini takes: the same for the same name, so that calls and choices still meet their tool.
pub fn gemini_name<'r>(name: &'r Str<'_>) -> Str<'r> {
    let text = name.decode();
    let begins = |b: u8| b.is_ascii_alphabetic() || b == b'_';
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b':');
    let fits = text.bytes().next().is_some_and(begins) && text.len() <= NAME_BYTES_MAX && text.bytes().all(allowed);
    if fits {
        return name.borrowed();
    }
    let mut kept: String = text.chars().filter(|c| c.is_ascii() && allowed(*c as u8)).collect();
    if !kept.bytes().next().is_some_and(begins) {
        kept.insert(0, '_');
    }
    kept.truncate(NAME_BYTES_MAX - 11);
    let hash = Sha256::digest(text.as_bytes());
    let hex: String = hash[..5].iter().map(|byte| format!("{byte:02x}")).collect();
    Str::plain(format!("{kept}_{hex}"))
}

pub fn plan<'r>(
    request: &'r Request<'r>,
    target: &Target<'_>,
    losses: &mut Losses,
    undo: &mut Undo,
) -> Result<Tools<'r>, Refusal> {
    let native = request.protocol == Protocol::GeminiGenerate;
    let functions = has_functions(request);
    let mut tools = Tools { entries: Vec::new(), functions_at: None, mode: None, allowed: Vec::new(), mixed: false };
    let mut strict = false;
    let kept = kept(request);
    for (at, tool) in request.tools.iter().enumerate() {
        leave_out(&tool.extra, Protocol::GeminiGenerate, losses)?;
        if tool.cache.is_some() {
            losses.dropped(Feature::CacheControl);
        }
        match &tool.kind {
            ToolKind::Function { name, .. } | ToolKind::Custom { name, .. } => {
                if kept.as_ref().is_some_and(|names| !names.contains(name.decode().as_ref())) {
                    continue;
                }
                strict |= matches!(tool.kind, ToolKind::Function { strict: Some(true), .. });
                let function = function(tool, native, target, losses, undo);
                tools.entry(tool, native).functions.extend(function);
            }
            ToolKind::Server { protocol, kind, raw } => {
                if matches!(kind, ServerTool::ToolSearch) {
                    losses.field(&format!("tools[{at}]"));
                }
                if let Some(hosted) = hosted(*protocol, kind, raw, request, target, functions, losses)? {
                    tools.mixed |= functions && !native;
                    tools.entry(tool, native).hosted.push(hosted);
                }
            }
        }
    }
    tools.mixed &= target.quirks.has(Quirk::SignedCalls) && !target.quirks.has(Quirk::Vertex);
    choose(request, target, strict, losses, &mut tools);
    Ok(tools)
}

/// The functions that are sent where the choice of tools leaves some out that may but need not be called: Gemini can only be
/// told by not naming them.
fn kept(request: &Request<'_>) -> Option<HashSet<String>> {
    match &request.tool_choice {
        Some(ToolChoice::Allowed { required: false, names }) if request.protocol != Protocol::GeminiGenerate => {
            Some(names.iter().map(|name| name.decode().into_owned()).collect())
        }
        _ => None,
    }
}

impl<'r> Tools<'r> {
    /// The object of `tools` that a tool stands in: functions share one, unless they came otherwise.
    fn entry(&mut self, tool: &'r Tool<'r>, native: bool) -> &mut Entry<'r> {
        let number =
            said_in(&tool.extra, "tools").find(|extra| extra.name == ENTRY).and_then(|extra| extra.value.as_u64());
        let is_function = !matches!(tool.kind, ToolKind::Server { .. });
        let at = match number {
            // Tools of one entry stand together.
            Some(_) if native => self.entries.len().checked_sub(1).filter(|last| self.entries[*last].number == number),
            _ if is_function => self.functions_at,
            _ => None,
        };
        let at = at.unwrap_or_else(|| {
            self.entries.push(Entry { number, ..Entry::default() });
            self.entries.len() - 1
        });
        if is_function {
            self.functions_at.get_or_insert(at);
        }
        let entry = &mut self.entries[at];
        entry.extras.extend(said_in(&tool.extra, "tools").filter(|extra| extra.name != ENTRY));
        entry
    }

    pub fn write(&self, json: &mut Json<'_>) {
        if !self.entries.is_empty() {
            json.key("tools").array(|json| self.entries.iter().for_each(|entry| entry.write(json)));
        }
    }

    /// `toolConfig`.
    pub fn write_config(&self, json: &mut Json<'_>, extras: &[Extra<'_>]) {
        let mut calling = Vec::new();
        Json::new(&mut calling).object(|json| {
            if let Some(mode) = self.mode {
                json.key("mode").text(mode);
            }
            if !self.allowed.is_empty() {
                json.key("allowedFunctionNames").array(|json| self.allowed.iter().for_each(|name| json.str(name)));
            }
            again(json, extras, "functionCallingConfig");
        });
        let mut config = Vec::new();
        Json::new(&mut config).object(|json| {
            if calling != b"{}" {
                json.key("functionCallingConfig").raw(std::str::from_utf8(&calling).unwrap_or("{}"));
            }
            if self.mixed {
                json.key("includeServerSideToolInvocations").bool(true);
            }
            again(json, extras, "toolConfig");
        });
        if config != b"{}" {
            json.key("toolConfig").raw(std::str::from_utf8(&config).unwrap_or("{}"));
        }
    }
}

impl Entry<'_> {
    fn write(&self, json: &mut Json<'_>) {
        json.object(|json| {
            if !self.functions.is_empty() {
                json.key("functionDeclarations").array(|json| {
                    self.functions.iter().for_each(|function| function.write(json));
                });
            }
            for tool in self.hosted.iter().filter_map(|tool| tool.as_object()) {
                tool.members.iter().for_each(|(name, value)| json.key_of(name).value(value));
            }
            self.extras.iter().for_each(|extra| json.key_of(&extra.name).value(&extra.value));
        });
    }
}

impl Function<'_> {
    fn write(&self, json: &mut Json<'_>) {
        json.object(|json| {
            json.key("name").str(&self.name);
            if let Some(description) = &self.description {
                json.key("description").str(description);
            }
            match &self.parameters {
                Parameters::None => {}
                Parameters::OpenApi(schema) => json.key("parameters").value(schema),
                Parameters::JsonSchema(schema) => json.key("parametersJsonSchema").value(schema),
            }
            again(json, self.extras, "functionDeclarations");
        });
    }
}

fn function<'r>(
    tool: &'r Tool<'r>,
    native: bool,
    target: &Target<'_>,
    losses: &mut Losses,
    undo: &mut Undo,
) -> Option<Function<'r>> {
    let (name, description) = match &tool.kind {
        ToolKind::Function { name, description, .. } | ToolKind::Custom { name, description, .. } => {
            (name, description)
        }
        ToolKind::Server { .. } => return None,
    };
    let sent = if native { name.borrowed() } else { gemini_name(name) };
    if sent != *name {
        undo.tool_names.push((sent.decode().into_owned(), name.decode().into_owned()));
    }
    let parameters = match &tool.kind {
        ToolKind::Function { parameters, dialect, .. } => {
            said_schema(parameters.as_ref(), *dialect, native, target, losses)
        }
        ToolKind::Custom { format, .. } => {
            if format
                .as_ref()
                .is_some_and(|format| format.get("type").and_then(Value::as_text).as_deref() != Some("text"))
            {
                losses.approximated(Feature::Field(Cow::Borrowed("tools.format")));
            }
            undo.wrapped_tools.push(sent.decode().into_owned());
            Parameters::OpenApi(Cow::Owned(one_text()))
        }
        ToolKind::Server { .. } => Parameters::None,
    };
    let extras: &[Extra<'_>] = if native { &tool.extra } else { &[] };
    Some(Function { name: sent, description: description.as_ref().map(Str::borrowed), parameters, extras })
}

/// `{input}`: what a free-form tool takes.
fn one_text<'r>() -> Value<'r> {
    let object = |members: Vec<(&'static str, Value<'r>)>| {
        let members = members.into_iter().map(|(name, value)| (Str::plain(name), value)).collect();
        Value::Object(Object { members })
    };
    object(vec![
        ("type", Value::text("OBJECT")),
        ("properties", object(vec![("input", object(vec![("type", Value::text("STRING"))]))])),
        ("required", Value::Array(vec![Value::text("input")])),
    ])
}

fn said_schema<'r>(
    schema: Option<&'r Value<'r>>,
    dialect: SchemaDialect,
    native: bool,
    target: &Target<'_>,
    losses: &mut Losses,
) -> Parameters<'r> {
    let Some(schema) = schema else { return Parameters::None };
    match dialect {
        SchemaDialect::OpenApi => Parameters::OpenApi(Cow::Borrowed(schema)),
        SchemaDialect::JsonSchema if native => Parameters::JsonSchema(schema),
        SchemaDialect::JsonSchema if schema::takes_nothing(schema) => Parameters::None,
        SchemaDialect::JsonSchema if !target.quirks.has(Quirk::Vertex) => Parameters::JsonSchema(schema),
        SchemaDialect::JsonSchema => {
            let (clean, lossy) = schema::for_gemini(schema);
            if lossy {
                losses.approximated(Feature::Schema);
            }
            Parameters::OpenApi(Cow::Owned(clean))
        }
    }
}

fn hosted<'r>(
    protocol: Protocol,
    kind: &ServerTool<'_>,
    raw: &'r Value<'r>,
    request: &Request<'_>,
    target: &Target<'_>,
    functions: bool,
    losses: &mut Losses,
) -> Result<Option<Cow<'r, Value<'r>>>, Refusal> {
    if protocol == Protocol::GeminiGenerate {
        return Ok(Some(Cow::Borrowed(raw)));
    }
    let (name, settings) = match kind {
        ServerTool::WebSearch(search) => ("googleSearch", search_settings(search, target, losses)),
        ServerTool::WebFetch => ("urlContext", Value::object()),
        ServerTool::CodeExecution => ("codeExecution", Value::object()),
        // All tools are seen from the start.
        ServerTool::ToolSearch => return Ok(None),
        ServerTool::Other(name) => {
            let message = format!("the tool {name} cannot be sent to this model's upstream: leave it out");
            return Err(Refusal::new(Feature::ServerTool.param(request.protocol), message));
        }
    };
    // Before 3 the two kinds of tools are refused together.
    if functions && target.quirks.has(Quirk::NoSchemaWithTools) {
        losses.dropped(Feature::ServerTool);
        return Ok(None);
    }
    Ok(Some(Cow::Owned(Value::Object(Object { members: vec![(Str::plain(name), settings)] }))))
}

fn search_settings<'r>(search: &WebSearch<'_>, target: &Target<'_>, losses: &mut Losses) -> Value<'r> {
    let WebSearch { max_uses, allowed_domains, blocked_domains, user_location, context_size } = search;
    let missing = [
        (max_uses.is_some(), "max_uses"),
        (!allowed_domains.is_empty(), "allowed_domains"),
        (!blocked_domains.is_empty() && !target.quirks.has(Quirk::Vertex), "blocked_domains"),
        (user_location.is_some(), "user_location"),
        (context_size.is_some(), "search_context_size"),
    ];
    missing.into_iter().filter(|(missing, _)| *missing).for_each(|(_, name)| losses.field(name));
    let mut settings = Object::default();
    if !blocked_domains.is_empty() && target.quirks.has(Quirk::Vertex) {
        let list = blocked_domains.iter().map(|domain| Value::text(domain.decode().into_owned())).collect();
        settings.set("excludeDomains", Value::Array(list));
    }
    Value::Object(settings)
}

fn choose<'r>(request: &'r Request<'r>, target: &Target<'_>, strict: bool, losses: &mut Losses, tools: &mut Tools<'r>) {
    let native = request.protocol == Protocol::GeminiGenerate;
    let functions = native || tools.entries.iter().any(|entry| !entry.functions.is_empty());
    let name = |name: &'r Str<'r>| if native { name.borrowed() } else { gemini_name(name) };
    let all = |names: &'r [Str<'r>]| names.iter().map(name).collect();
    let (mode, allowed) = match &request.tool_choice {
        None => (None, Vec::new()),
        Some(ToolChoice::Auto) => (Some("AUTO"), Vec::new()),
        Some(ToolChoice::None) => (Some("NONE"), Vec::new()),
        Some(ToolChoice::Required) => (Some("ANY"), Vec::new()),
        Some(ToolChoice::One { name: one, custom: _ }) => (Some("ANY"), vec![name(one)]),
        Some(ToolChoice::Allowed { required: true, names }) => (Some("ANY"), all(names)),
        Some(ToolChoice::Allowed { required: false, names }) => {
            (Some("AUTO"), if native { all(names) } else { Vec::new() })
        }
        Some(ToolChoice::Validated { names }) => (Some("VALIDATED"), all(names)),
        Some(ToolChoice::Hosted { .. }) => (None, Vec::new()),
    };
    match &request.tool_choice {
        // One of Google's own tools cannot be forced.
        Some(ToolChoice::Hosted { .. }) if !tools.entries.is_empty() => losses.approximated(Feature::ToolChoice),
        choice if !functions => losses.without_tools(choice.as_ref(), None),
        _ => {}
    }
    if request.parallel_calls == Some(false) {
        // The old form of functions says it without being asked.
        let by_form = request.extra.iter().any(|extra| extra.name == "functions" && extra.class == Class::Idle);
        let kind = if functions && !by_form { LossKind::Dropped } else { LossKind::Omitted };
        losses.add(Feature::ParallelCalls, kind);
    }
    if !functions {
        return;
    }
    let free = matches!(mode, None | Some("AUTO"));
    tools.mode = match mode {
        _ if strict && free && target.quirks.has(Quirk::NoSchemaWithTools) => {
            losses.dropped(Feature::Strict);
            mode
        }
        // Calls obey their schema; every other mode but this and `NONE` sees to that by itself.
        _ if strict && free => Some("VALIDATED"),
        mode => mode,
    };
    tools.allowed = allowed;
}
