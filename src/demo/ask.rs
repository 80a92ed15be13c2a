//! What a chat request asks for, read in one pass without a tree. Must never know sockets.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// Choices of one answer, at most.
const CHOICES_MAX: u32 = 128;
/// Bytes of a model's or a tool's name, which comes back in every event.
const NAME_BYTES_MAX: usize = 256;

/// The fields of a chat request that shape the answer. A key that comes twice counts as the last one says.
#[derive(Debug, Default)]
pub(super) struct Ask<'a> {
    pub model: Cow<'a, str>,
    pub stream: bool,
    pub include_usage: bool,
    pub choices: u32,
    /// `max_completion_tokens`, else `max_tokens`.
    pub output_tokens_max: Option<u64>,
    pub messages: Messages<'a>,
    pub tools: Vec<Tool<'a>>,
    pub tool_choice: ToolChoice,
    pub response_format: Option<&'a RawValue>,
}

/// What remains of the messages: the answer needs their size and the last words.
#[derive(Debug, Default)]
pub(super) struct Messages<'a> {
    pub count: usize,
    /// Bytes of all texts, unescaped.
    pub text_bytes: u64,
    pub last_role: Cow<'a, str>,
    pub last_text: Cow<'a, str>,
    /// The last text of role `user`, if any.
    pub user_text: Option<Cow<'a, str>>,
}

#[derive(Debug)]
pub(super) struct Tool<'a> {
    pub name: Cow<'a, str>,
    /// A `custom` tool takes free text in place of JSON arguments.
    pub custom: bool,
    pub parameters: Option<&'a RawValue>,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) enum ToolChoice {
    None,
    #[default]
    Any,
    Named(String),
}

impl<'a> Ask<'a> {
    /// Reads a body; the message of the error is fit for the client.
    pub fn parse(body: &'a [u8]) -> Result<Ask<'a>, serde_json::Error> {
        serde_json::from_slice(body)
    }

    /// The tool that the answer calls: the forced one, else the first, and only in answer to a user.
    pub fn tool_to_call(&self) -> Option<&Tool<'a>> {
        if self.messages.last_role != "user" {
            return None;
        }
        match &self.tool_choice {
            ToolChoice::None => None,
            ToolChoice::Any => self.tools.first(),
            ToolChoice::Named(name) => self.tools.iter().find(|tool| tool.name == name.as_str()),
        }
    }
}

/// A string that borrows from the body unless it holds escapes.
#[derive(serde::Deserialize)]
struct Str<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> Deserialize<'de> for Ask<'de> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Ask<'de>;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a chat request object")
            }
            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Ask<'de>, M::Error> {
                read_fields(&mut map)
            }
        }
        from.deserialize_map(Fields)
    }
}

fn read_fields<'de, M: MapAccess<'de>>(map: &mut M) -> Result<Ask<'de>, M::Error> {
    let mut ask = Ask { choices: 1, ..Ask::default() };
    let (mut model, mut messages) = (None, None);
    let (mut tokens_max, mut completion_tokens_max) = (None, None);
    while let Some(Str(key)) = map.next_key()? {
        match key.as_ref() {
            "model" => model = Some(map.next_value::<Str>()?.0),
            "messages" => messages = Some(map.next_value()?),
            "stream" => ask.stream = map.next_value::<Option<bool>>()?.unwrap_or(false),
            "stream_options" => {
                let options = map.next_value::<Option<StreamOptions>>()?;
                ask.include_usage = options.and_then(|options| options.include_usage).unwrap_or(false);
            }
            "n" => ask.choices = map.next_value::<Option<u32>>()?.unwrap_or(1),
            "max_tokens" => tokens_max = map.next_value()?,
            "max_completion_tokens" => completion_tokens_max = map.next_value()?,
            "tools" => {
                ask.tools = map
                    .next_value::<Option<Vec<RawTool>>>()?
                    .unwrap_or_default()
                    .into_iter()
                    .flat_map(RawTool::tool)
                    .collect()
            }
            "tool_choice" => ask.tool_choice = map.next_value::<Option<ToolChoice>>()?.unwrap_or_default(),
            "response_format" => ask.response_format = map.next_value()?,
            _ => {
                map.next_value::<IgnoredAny>()?;
            }
        }
    }
    ask.model = model.ok_or_else(|| M::Error::missing_field("model"))?;
    ask.messages = messages.ok_or_else(|| M::Error::missing_field("messages"))?;
    ask.output_tokens_max = completion_tokens_max.or(tokens_max);
    let is_long = |name: &str| name.len() > NAME_BYTES_MAX;
    if is_long(&ask.model) || ask.tools.iter().any(|tool| is_long(&tool.name)) {
        return Err(M::Error::custom(format_args!("a name is longer than {NAME_BYTES_MAX} bytes")));
    }
    if ask.choices == 0 || ask.choices > CHOICES_MAX {
        return Err(M::Error::custom(format_args!("n must be between 1 and {CHOICES_MAX}")));
    }
    Ok(ask)
}

#[derive(serde::Deserialize)]
struct StreamOptions {
    include_usage: Option<bool>,
}

#[derive(serde::Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    role: Cow<'a, str>,
    #[serde(borrow, default)]
    content: Content<'a>,
}

/// A string, null, or parts: how much text, and the last of it.
#[derive(Default)]
struct Content<'a> {
    bytes: u64,
    text: Cow<'a, str>,
}

#[derive(serde::Deserialize)]
struct Part<'a> {
    #[serde(borrow)]
    text: Option<Str<'a>>,
}

impl<'de> Deserialize<'de> for Messages<'de> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Items;
        impl<'de> Visitor<'de> for Items {
            type Value = Messages<'de>;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("an array of messages")
            }
            fn visit_seq<S: SeqAccess<'de>>(self, mut items: S) -> Result<Messages<'de>, S::Error> {
                let mut messages = Messages::default();
                while let Some(Message { role, content }) = items.next_element()? {
                    messages.count += 1;
                    messages.text_bytes += content.bytes;
                    if role == "user" {
                        messages.user_text = Some(content.text.clone());
                    }
                    (messages.last_role, messages.last_text) = (role, content.text);
                }
                if messages.count == 0 {
                    return Err(S::Error::invalid_length(0, &"at least one message"));
                }
                Ok(messages)
            }
        }
        from.deserialize_seq(Items)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Content<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Shapes;
        impl<'de> Visitor<'de> for Shapes {
            type Value = Content<'de>;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a string, null or an array of content parts")
            }
            fn visit_unit<E: Error>(self) -> Result<Content<'de>, E> {
                Ok(Content::default())
            }
            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Content<'de>, E> {
                Ok(Content { bytes: text.len() as u64, text: Cow::Borrowed(text) })
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Content<'de>, E> {
                Ok(Content { bytes: text.len() as u64, text: Cow::Owned(text.to_owned()) })
            }
            fn visit_seq<S: SeqAccess<'de>>(self, mut parts: S) -> Result<Content<'de>, S::Error> {
                let mut content = Content::default();
                while let Some(Part { text }) = parts.next_element()? {
                    if let Some(Str(text)) = text {
                        content.bytes += text.len() as u64;
                        content.text = text;
                    }
                }
                Ok(content)
            }
        }
        from.deserialize_any(Shapes)
    }
}

#[derive(serde::Deserialize)]
struct RawTool<'a> {
    #[serde(borrow)]
    function: Option<RawFunction<'a>>,
    #[serde(borrow)]
    custom: Option<RawFunction<'a>>,
}

#[derive(serde::Deserialize)]
struct RawFunction<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    parameters: Option<&'a RawValue>,
}

impl<'a> RawTool<'a> {
    fn tool(self) -> Option<Tool<'a>> {
        let custom = self.function.is_none();
        let RawFunction { name, parameters } = self.function.or(self.custom)?;
        Some(Tool { name, custom, parameters })
    }
}

impl<'de> Deserialize<'de> for ToolChoice {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(serde::Deserialize)]
        #[serde(untagged)]
        enum Shape {
            Word(String),
            Object { function: Option<Name>, custom: Option<Name> },
        }
        #[derive(serde::Deserialize)]
        struct Name {
            name: String,
        }
        Ok(match Shape::deserialize(from)? {
            Shape::Word(word) if word == "none" => ToolChoice::None,
            Shape::Word(_) => ToolChoice::Any,
            Shape::Object { function, custom } => {
                function.or(custom).map_or(ToolChoice::Any, |forced| ToolChoice::Named(forced.name))
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_counted_and_pictures_are_not() {
        let body = br#"{"messages":[{"role":"system","content":"ab\u00e9"},{"role":"user","content":[{"type":"text","text":"what?"},
            {"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}}]},{"role":"assistant","content":null}],
            "model":"m","stream":null,"max_tokens":5,"max_completion_tokens":7,"unknown":{"deep":[1,2]}}"#;
        let ask = Ask::parse(body).unwrap();
        assert_eq!((ask.messages.count, ask.messages.text_bytes), (3, 9));
        assert_eq!((ask.messages.last_role.as_ref(), ask.messages.user_text.as_deref()), ("assistant", Some("what?")));
        assert_eq!((ask.output_tokens_max, ask.stream, ask.choices), (Some(7), false, 1));
    }

    #[test]
    fn plain_texts_borrow_from_the_body() {
        let ask = Ask::parse(br#"{"model":"m","messages":[{"role":"user","content":"plain"}]}"#).unwrap();
        assert!(matches!((&ask.model, &ask.messages.last_text), (Cow::Borrowed("m"), Cow::Borrowed("plain"))));
    }

    #[test]
    fn the_last_of_two_keys_counts_and_escaped_keys_are_keys() {
        let ask = Ask::parse(br#"{"model":"a","mod\u0065l":"b","messages":[{"role":"user"}]}"#).unwrap();
        assert_eq!(ask.model, "b");
    }

    #[test]
    fn what_is_missing_is_named() {
        for (body, word) in [
            (r#"{"messages":[{"role":"user"}]}"#, "model"),
            (r#"{"model":"m"}"#, "messages"),
            (r#"{"model":"m","messages":[]}"#, "at least one message"),
            (r#"{"model":"m","messages":[{"role":"user"}],"n":0}"#, "n must be"),
            (r#"{"model":"m""#, "EOF"),
            (&format!(r#"{{"model":"{}","messages":[{{"role":"user"}}]}}"#, "m".repeat(257)), "a name is longer"),
        ] {
            let error = Ask::parse(body.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(word), "{body}: {error}");
        }
    }

    #[test]
    fn the_tool_to_call_is_the_forced_one_or_the_first_and_only_for_a_user() {
        let called = |role: &str, choice: &str| {
            let body = format!(
                r#"{{"model":"m","messages":[{{"role":"{role}","content":"x"}}],"tool_choice":{choice},"tools":[
                {{"type":"function","function":{{"name":"one","parameters":{{"type":"object"}}}}}},{{"type":"custom","custom":{{"name":"two"}}}}]}}"#
            );
            Ask::parse(body.as_bytes()).unwrap().tool_to_call().map(|tool| (tool.name.to_string(), tool.custom))
        };
        assert_eq!(called("user", "null"), Some(("one".into(), false)));
        assert_eq!(called("user", r#"{"type":"custom","custom":{"name":"two"}}"#), Some(("two".into(), true)));
        assert_eq!(called("user", r#"{"type":"allowed_tools","allowed_tools":{}}"#), Some(("one".into(), false)));
        assert_eq!(called("user", r#""none""#), None);
        assert_eq!(called("tool", r#""auto""#), None);
    }
}
