//! Reads a Chat Completions request in one pass without a tree: it is what benchmarks send. Must never know sockets.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::super::ask::{Ask, Prompt, media_type_of};
use super::super::cache::Prefix;
use super::super::errors::Refusal;
use super::super::tree::Str;
use super::options::{Choice, RawTool, Stops, StreamOptions, read_format, thinking};

/// Reads a body. A key that comes twice counts as the last one says; unknown ones are ignored, as most vendors do.
pub(in super::super) fn read(body: &[u8]) -> Result<Ask<'_>, Refusal> {
    let mut reading = Reading::default();
    reading.ask.choices = 1;
    reading.ask.prompt.prefix = Prefix::of_at_most(body.len());
    let mut json = serde_json::Deserializer::from_slice(body);
    let read = json.deserialize_map(Request(&mut reading)).and_then(|()| json.end());
    read.map_err(|error| Refusal::unreadable(&error))?;
    let Reading { ask, problem, .. } = reading;
    match problem {
        Some(refusal) => Err(refusal),
        None => {
            ask.check_limits()?;
            Ok(ask)
        }
    }
}

/// What was read so far. It is filled in place, since it is large to move.
#[derive(Default)]
struct Reading<'a> {
    ask: Ask<'a>,
    /// Calls of the last message that wait for their results.
    open: Vec<Cow<'a, str>>,
    /// The first thing that is JSON but not a conversation.
    problem: Option<Refusal>,
}

struct Request<'r, 'a>(&'r mut Reading<'a>);

impl<'de> Visitor<'de> for Request<'_, 'de> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a chat request object")
    }
    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<(), M::Error> {
        self.0.read_fields(&mut map)
    }
}

impl<'de> Reading<'de> {
    fn read_fields<M: MapAccess<'de>>(&mut self, map: &mut M) -> Result<(), M::Error> {
        let (mut model_seen, mut messages_seen) = (false, false);
        let (mut tokens_max, mut completion_tokens_max) = (None, None);
        while let Some(Str(key)) = map.next_key()? {
            let ask = &mut self.ask;
            match key.as_ref() {
                "model" => {
                    ask.model = map.next_value::<Str>()?.0;
                    model_seen = true;
                }
                "messages" => {
                    map.next_value_seed(Messages(self))?;
                    messages_seen = true;
                }
                "stream" => ask.stream = map.next_value::<Option<bool>>()?.unwrap_or(false),
                "stream_options" => {
                    let options = map.next_value::<Option<StreamOptions>>()?;
                    ask.include_usage = options.and_then(|options| options.include_usage).unwrap_or(false);
                }
                "n" => ask.choices = map.next_value::<Option<u32>>()?.unwrap_or(1),
                "max_tokens" => tokens_max = map.next_value()?,
                "max_completion_tokens" => completion_tokens_max = map.next_value()?,
                "tools" => self.read_tools(map.next_value()?),
                "tool_choice" => ask.tool_choice = map.next_value::<Option<Choice>>()?.unwrap_or_default().0,
                "parallel_tool_calls" => ask.single_call = map.next_value::<Option<bool>>()? == Some(false),
                "response_format" => self.read_format(map.next_value()?),
                "reasoning_effort" => ask.thinking = thinking(map.next_value::<Option<Str>>()?),
                "stop" => ask.stops = map.next_value::<Option<Stops>>()?.map(|stops| stops.0).unwrap_or_default(),
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        self.ask.output_tokens_max = completion_tokens_max.or(tokens_max);
        match (model_seen, messages_seen) {
            (false, _) => Err(M::Error::missing_field("model")),
            (true, false) => Err(M::Error::missing_field("messages")),
            (true, true) => Ok(()),
        }
    }

    fn read_tools(&mut self, tools: Option<Vec<RawTool<'de>>>) {
        self.ask.tools.clear();
        for (place, tool) in tools.unwrap_or_default().into_iter().enumerate() {
            self.problem = self.problem.take().or_else(|| tool.problem(place));
            self.ask.tools.extend(tool.tool());
        }
    }

    fn read_format(&mut self, raw: Option<&RawValue>) {
        match raw.map(read_format) {
            Some(Ok(format)) => self.ask.format = format,
            Some(Err(refusal)) => self.problem = self.problem.take().or(Some(refusal)),
            None => self.ask.format = None,
        }
    }
}

#[derive(serde::Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    role: Cow<'a, str>,
    #[serde(borrow, default)]
    content: Content<'a>,
    /// Read when they are there, which is rare: a message is small to move without them.
    #[serde(borrow, default)]
    tool_calls: Option<&'a RawValue>,
    #[serde(borrow, default)]
    tool_call_id: Option<&'a RawValue>,
}

#[derive(serde::Deserialize)]
struct CallId<'a> {
    #[serde(borrow)]
    id: Option<Str<'a>>,
}

impl<'a> Reading<'a> {
    fn push(&mut self, message: Message<'a>) {
        let Message { role, content, tool_calls, tool_call_id } = message;
        let place = self.ask.prompt.count;
        self.ask.prompt.count += 1;
        let Content { last: text, others } = content;
        let Others { earlier, media } = others.map(|others| *others).unwrap_or_default();
        earlier.iter().for_each(|text| self.ask.prompt.prefix.add(text));
        self.ask.prompt.media.extend(media);
        if let Some(text) = &text {
            self.ask.prompt.prefix.add(text);
        }
        if role == "tool" {
            let id =
                tool_call_id.and_then(|id| serde_json::from_str(id.get()).ok()).map(|Str(id)| id).unwrap_or_default();
            match self.open.iter().position(|open| *open == id) {
                Some(found) => drop(self.open.swap_remove(found)),
                None => self.refuse(
                    place,
                    format!(
                        "role 'tool' must answer a call of a preceding message with 'tool_calls', and '{id}' does not"
                    ),
                ),
            }
            return self.ask.prompt.result(text.unwrap_or_default(), false);
        }
        self.expect_no_open(place);
        match role.as_ref() {
            "user" => {
                earlier.into_iter().for_each(|text| self.ask.prompt.user(Some(text)));
                self.ask.prompt.user(text);
            }
            "assistant" => self.ask.prompt.model(),
            // Instructions in the middle answer nobody.
            _ => {}
        }
        if let Some(calls) = tool_calls {
            let calls: Vec<CallId<'a>> = serde_json::from_str(calls.get()).unwrap_or_default();
            self.open = calls.into_iter().map(|call| call.id.map(|id| id.0).unwrap_or_default()).collect();
        }
    }

    fn expect_no_open(&mut self, place: usize) {
        if !self.open.is_empty() {
            let ids = std::mem::take(&mut self.open).join(", ");
            self.refuse(
                place,
                format!("'tool_calls' must be followed by 'tool' messages for each id, and none came for: {ids}"),
            );
        }
    }

    fn refuse(&mut self, place: usize, what: String) {
        if self.problem.is_none() {
            let message = format!("Invalid parameter: {what}");
            self.problem = Some(Refusal::new(message).param(format!("messages.[{place}].role")));
        }
    }
}

/// A string, null, or parts: the last text, and what else there is, which is rarely anything.
#[derive(Default)]
struct Content<'a> {
    last: Option<Cow<'a, str>>,
    others: Option<Box<Others<'a>>>,
}

/// Texts before the last, and the types of what is not text.
#[derive(Default)]
struct Others<'a> {
    earlier: Vec<Cow<'a, str>>,
    media: Vec<Cow<'a, str>>,
}

#[derive(serde::Deserialize)]
struct Part<'a> {
    #[serde(borrow)]
    text: Option<Str<'a>>,
    #[serde(borrow)]
    image_url: Option<Url<'a>>,
    #[serde(borrow)]
    input_audio: Option<Audio<'a>>,
    #[serde(borrow)]
    file: Option<File<'a>>,
}

#[derive(serde::Deserialize)]
struct Url<'a> {
    #[serde(borrow)]
    url: Cow<'a, str>,
}

#[derive(serde::Deserialize)]
struct Audio<'a> {
    #[serde(borrow)]
    format: Cow<'a, str>,
}

#[derive(serde::Deserialize)]
struct File<'a> {
    #[serde(borrow)]
    file_data: Option<Str<'a>>,
}

/// The type of a `data:` URL, which may borrow from the body.
fn kind_of<'a>(url: Cow<'a, str>, elsewhere: &'static str) -> Cow<'a, str> {
    match url {
        Cow::Borrowed(url) => media_type_of(url, elsewhere),
        Cow::Owned(url) => media_type_of(&url, elsewhere).into_owned().into(),
    }
}

impl<'a> Part<'a> {
    fn media(self) -> Option<Cow<'a, str>> {
        let image = self.image_url.map(|image| kind_of(image.url, "image/url"));
        let audio = || self.input_audio.map(|audio| format!("audio/{}", audio.format).into());
        let file = || self.file.map(|file| kind_of(file.file_data.map(|data| data.0).unwrap_or_default(), "file_id"));
        image.or_else(audio).or_else(file)
    }
}

/// The conversation, read into place.
struct Messages<'r, 'a>(&'r mut Reading<'a>);

impl<'de> DeserializeSeed<'de> for Messages<'_, 'de> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Messages<'_, 'de> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("an array of messages")
    }
    fn visit_seq<S: SeqAccess<'de>>(self, mut items: S) -> Result<(), S::Error> {
        let Messages(reading) = self;
        if reading.ask.prompt.count > 0 {
            // A second key takes the place of the first.
            (reading.ask.prompt, reading.open) = (Prompt::default(), Vec::new());
        }
        while let Some(message) = items.next_element()? {
            reading.push(message);
        }
        let count = reading.ask.prompt.count;
        if count == 0 {
            return Err(S::Error::invalid_length(0, &"at least one message"));
        }
        reading.expect_no_open(count - 1);
        Ok(())
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
                Ok(Content { last: Some(Cow::Borrowed(text)), others: None })
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Content<'de>, E> {
                Ok(Content { last: Some(Cow::Owned(text.to_owned())), others: None })
            }
            fn visit_seq<S: SeqAccess<'de>>(self, mut parts: S) -> Result<Content<'de>, S::Error> {
                let mut content = Content::default();
                while let Some(mut part) = parts.next_element::<Part>()? {
                    if let Some(Str(text)) = part.text.take()
                        && let Some(earlier) = content.last.replace(text)
                    {
                        content.others.get_or_insert_default().earlier.push(earlier);
                    }
                    if let Some(media) = part.media() {
                        content.others.get_or_insert_default().media.push(media);
                    }
                }
                Ok(content)
            }
        }
        from.deserialize_any(Shapes)
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::ask::Last;
    use super::*;

    #[test]
    fn texts_are_counted_and_pictures_are_not() {
        let body = br#"{"messages":[{"role":"system","content":"ab\u00e9"},{"role":"user","content":[{"type":"text","text":"what?"},
            {"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}}]},{"role":"assistant","content":null}],
            "model":"m","stream":null,"max_tokens":5,"max_completion_tokens":7,"unknown":{"deep":[1,2]}}"#;
        let ask = read(body).unwrap();
        assert_eq!((ask.prompt.count, ask.prompt.prefix.bytes, ask.prompt.media.len()), (3, 9, 1));
        assert_eq!((ask.prompt.last, ask.prompt.user_text.as_deref()), (Last::Other, Some("what?")));
        assert_eq!((ask.output_tokens_max, ask.stream, ask.choices), (Some(7), false, 1));
    }

    #[test]
    fn plain_texts_borrow_from_the_body() {
        let ask = read(br#"{"model":"m","messages":[{"role":"user","content":"plain"}]}"#).unwrap();
        assert!(matches!((&ask.model, &ask.prompt.user_text), (Cow::Borrowed("m"), Some(Cow::Borrowed("plain")))));
    }

    #[test]
    fn the_last_of_two_keys_counts_and_escaped_keys_are_keys() {
        let ask = read(br#"{"model":"a","mod\u0065l":"b","messages":[{"role":"user"}]}"#).unwrap();
        assert_eq!(ask.model, "b");
    }

    #[test]
    fn what_is_missing_is_named() {
        for (body, word) in [
            (r#"{"messages":[{"role":"user"}]}"#, "model"),
            (r#"{"model":"m"}"#, "messages"),
            (r#"{"model":"m","messages":[]}"#, "at least one message"),
            (r#"{"model":"m","messages":[{"role":"user"}],"n":0}"#, "number of choices must be"),
            (r#"{"model":"m""#, "EOF"),
            (&format!(r#"{{"model":"{}","messages":[{{"role":"user"}}]}}"#, "m".repeat(257)), "a name is longer"),
        ] {
            let message = read(body.as_bytes()).unwrap_err().message;
            assert!(message.contains(word), "{body}: {message}");
        }
    }

    #[test]
    fn results_must_answer_calls_and_calls_must_be_answered() {
        let check = |messages: &str, expected: Option<&str>| {
            let body = format!(r#"{{"model":"m","messages":[{{"role":"user","content":"x"}},{messages}]}}"#);
            let problem = read(body.as_bytes()).err().map(|refusal| refusal.message);
            assert_eq!(problem.is_some(), expected.is_some(), "{messages}: {problem:?}");
            assert!(problem.unwrap_or_default().contains(expected.unwrap_or_default()), "{messages}");
        };
        let calls = r#"{"role":"assistant","tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":""}},{"id":"b"}]}"#;
        let result = |id: &str| format!(r#"{{"role":"tool","tool_call_id":"{id}","content":"r"}}"#);
        check(&format!("{calls},{},{}", result("b"), result("a")), None);
        check(&format!("{calls},{}", result("b")), Some("none came for: a"));
        check(&format!(r#"{calls},{},{{"role":"user","content":"y"}}"#, result("b")), Some("none came for: a"));
        check(&format!("{calls},{},{},{}", result("b"), result("a"), result("a")), Some("'a' does not"));
        check(&result("a"), Some("'a' does not"));
    }

    #[test]
    fn the_tool_to_call_is_the_forced_one_or_the_first_and_only_for_a_user() {
        let called = |role: &str, choice: &str| {
            let body = format!(
                r#"{{"model":"m","messages":[{{"role":"{role}","content":"x"}}],"tool_choice":{choice},"tools":[
                {{"type":"function","function":{{"name":"one","parameters":{{"type":"object"}}}}}},{{"type":"custom","custom":{{"name":"two"}}}}]}}"#
            );
            read(body.as_bytes()).unwrap().tool_to_call().map(|tool| (tool.name.to_string(), tool.custom))
        };
        assert_eq!(called("user", "null"), Some(("one".into(), false)));
        assert_eq!(called("user", r#"{"type":"custom","custom":{"name":"two"}}"#), Some(("two".into(), true)));
        assert_eq!(called("user", r#"{"type":"allowed_tools","allowed_tools":{}}"#), Some(("one".into(), false)));
        let allowed = r#"{"type":"allowed_tools","allowed_tools":{"mode":"auto","tools":[{"type":"custom","custom":{"name":"two"}}]}}"#;
        assert_eq!(called("user", allowed), Some(("two".into(), true)));
        assert_eq!(called("user", r#""none""#), None);
        assert_eq!(called("assistant", r#""auto""#), None);
    }
}
