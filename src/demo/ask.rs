//! What a request asks for, whatever protocol it came in: all that shapes the answer. Must never know sockets.

use std::borrow::Cow;

use serde_json::Value;
use serde_json::value::RawValue;

use super::cache::Prefix;
use super::errors::Refusal;
use super::tree::Node;

/// Choices of one answer, at most.
const CHOICES_MAX: u32 = 128;
/// Bytes of a model's or a tool's name, which comes back in every event.
const NAME_BYTES_MAX: usize = 256;

#[derive(Debug, Default)]
pub(super) struct Ask<'a> {
    pub model: Cow<'a, str>,
    pub stream: bool,
    /// Usage in a stream, where the client has a say in it.
    pub include_usage: bool,
    pub choices: u32,
    pub output_tokens_max: Option<u64>,
    pub prompt: Prompt<'a>,
    pub tools: Vec<Tool<'a>>,
    /// Tools in namespaces, which are called by order alone.
    pub namespaced: Vec<Tool<'a>>,
    pub tool_choice: ToolChoice,
    /// At most one call in an answer.
    pub single_call: bool,
    pub format: Option<Format>,
    pub thinking: Thinking,
    pub stops: Vec<Cow<'a, str>>,
}

/// What remains of the conversation: the answer needs its size, its media and the last words.
#[derive(Debug, Default)]
pub(super) struct Prompt<'a> {
    pub count: usize,
    /// Bytes of all texts, unescaped, and their digest.
    pub prefix: Prefix,
    pub last: Last,
    /// The last text of the user, if any.
    pub user_text: Option<Cow<'a, str>>,
    /// The texts of the user before it, since the model last spoke.
    pub earlier: Vec<Cow<'a, str>>,
    /// The results of tools since the model last spoke.
    pub results: Vec<Outcome<'a>>,
    /// Media types; `image/url` or the like for what is somewhere else.
    pub media: Vec<Cow<'a, str>>,
}

/// What there is to answer.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum Last {
    User,
    /// Also when the user spoke beside them.
    Results,
    /// The model spoke last, or nobody.
    #[default]
    Other,
}

#[derive(Debug)]
pub(super) struct Outcome<'a> {
    pub text: Cow<'a, str>,
    pub failed: bool,
}

#[derive(Debug)]
pub(super) struct Tool<'a> {
    pub namespace: Option<Cow<'a, str>>,
    pub name: Cow<'a, str>,
    /// A `custom` tool takes free text in place of JSON arguments.
    pub custom: bool,
    pub parameters: Option<Schema<'a>>,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Schema<'a> {
    Raw(&'a RawValue),
    Tree(&'a Node<'a>),
}

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) enum ToolChoice {
    None,
    #[default]
    Any,
    Named(String),
}

#[derive(Debug)]
pub(super) enum Format {
    Json,
    Schema(Value),
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum Thinking {
    #[default]
    Off,
    /// It is done and counted, but not told.
    Hidden,
    Shown,
}

impl<'a> Prompt<'a> {
    /// The user speaks, with or without a text. Results since the model last spoke remain what is answered: agents put reminders
    /// beside them, and one that is called again for its reminder never ends.
    pub fn user(&mut self, text: Option<Cow<'a, str>>) {
        match self.last {
            Last::Other => (self.user_text, self.last) = (text, Last::User),
            Last::User | Last::Results if text.is_some() => {
                let before = std::mem::replace(&mut self.user_text, text);
                self.earlier.extend(before);
            }
            Last::User | Last::Results => {}
        }
    }

    pub fn result(&mut self, text: Cow<'a, str>, failed: bool) {
        self.last = Last::Results;
        self.results.push(Outcome { text, failed });
    }

    pub fn model(&mut self) {
        self.results.clear();
        self.earlier.clear();
        self.last = Last::Other;
    }
}

impl<'a> Ask<'a> {
    /// The tool that the answer calls: the forced one, else the first, and only in answer to a user.
    pub fn tool_to_call(&self) -> Option<&Tool<'a>> {
        if self.prompt.last != Last::User {
            return None;
        }
        match &self.tool_choice {
            ToolChoice::None => None,
            ToolChoice::Any => self.tools.first(),
            ToolChoice::Named(name) => self.tools.iter().find(|tool| tool.name == name.as_str()),
        }
    }

    /// What this upstream can bear, whatever the protocol allows.
    pub fn check_limits(&self) -> Result<(), Refusal> {
        let is_long = |name: &str| name.len() > NAME_BYTES_MAX;
        let mut tools = self.tools.iter().chain(&self.namespaced);
        let has_long = |tool: &Tool<'_>| is_long(&tool.name) || tool.namespace.as_deref().is_some_and(is_long);
        if is_long(&self.model) || tools.any(has_long) {
            return Err(Refusal::new(format!("a name is longer than {NAME_BYTES_MAX} bytes")));
        }
        if self.choices == 0 || self.choices > CHOICES_MAX {
            return Err(Refusal::new(format!("the number of choices must be between 1 and {CHOICES_MAX}")));
        }
        Ok(())
    }
}

impl Schema<'_> {
    pub fn value(self) -> Option<Value> {
        match self {
            Schema::Raw(raw) => serde_json::from_str(raw.get()).ok(),
            Schema::Tree(node) => Some(node.to_value()),
        }
    }
}

/// The media type of a `data:` URL; `elsewhere` for any other.
pub(super) fn media_type_of<'a>(url: &'a str, elsewhere: &'static str) -> Cow<'a, str> {
    let kind = url.strip_prefix("data:").and_then(|data| data.split([';', ',']).next());
    Cow::Borrowed(kind.unwrap_or(elsewhere))
}

/// Why a schema does not fit OpenAI's strict mode: every object closed, and all its properties required.
pub(super) fn strict_problem(schema: &Value) -> Option<String> {
    walk_strict(schema, &mut Vec::new(), 0)
}

fn walk_strict<'a>(schema: &'a Value, way: &mut Vec<&'a str>, depth: usize) -> Option<String> {
    const DEPTH_MAX: usize = 64;
    if depth > DEPTH_MAX {
        return None;
    }
    let here = |way: &[&str], problem: String| {
        let context: Vec<String> = way.iter().map(|step| format!("'{step}'")).collect();
        Some(format!("in context=({}), {problem}", context.join(", ")))
    };
    if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
        if schema.get("additionalProperties") != Some(&Value::Bool(false)) {
            return here(way, "'additionalProperties' has to be there and to be false".to_owned());
        }
        let required = schema.get("required").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        if let Some(name) = properties.keys().find(|name| !required.iter().any(|known| known == name.as_str())) {
            return here(way, format!("'required' has to hold every key of 'properties', and '{name}' is missing"));
        }
    }
    for (group, is_map) in [("properties", true), ("$defs", true), ("items", false), ("anyOf", false)] {
        let inner: Vec<(&'a str, &'a Value)> = match schema.get(group) {
            Some(Value::Object(members)) if is_map => members.iter().map(|(n, s)| (n.as_str(), s)).collect(),
            Some(Value::Array(schemas)) => schemas.iter().map(|schema| (group, schema)).collect(),
            Some(schema) if !is_map => vec![(group, schema)],
            _ => Vec::new(),
        };
        for (name, schema) in inner {
            way.push(name);
            let problem = walk_strict(schema, way, depth + 1);
            way.pop();
            if problem.is_some() {
                return problem;
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_strict_schema_closes_every_object() {
        let good = json!({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": false});
        assert_eq!(strict_problem(&good), None);
        let open = json!({"type": "object", "properties": {"list": {"type": "array", "items": {"type": "object", "properties": {}}}},
            "required": ["list"], "additionalProperties": false});
        assert!(strict_problem(&open).unwrap().starts_with("in context=('list', 'items'), 'additionalProperties'"));
        let mut loose = good;
        loose["required"] = json!([]);
        assert!(strict_problem(&loose).unwrap().contains("'a' is missing"));
    }

    #[test]
    fn a_data_url_names_its_type() {
        assert_eq!(media_type_of("data:image/png;base64,AAAA", "image/url"), "image/png");
        assert_eq!(media_type_of("https://example.com/a.png", "image/url"), "image/url");
    }
}
