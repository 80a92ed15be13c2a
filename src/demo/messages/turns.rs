//! Reads the turns of a Messages request: who may say what, which result answers which call, which thoughts are ours. Must never
//! know sockets.

use std::borrow::Cow;

use super::super::ask::Ask;
use super::super::errors::Refusal;
use super::super::seal::Seal;
use super::super::tree::Node;
use super::read::{is_plain, mark};
use super::{REDACTED, SIGNATURE};

/// Longest id of a call; the vendor only limits its characters.
const ID_BYTES_MAX: usize = 256;

/// Where the reading stands.
#[derive(Default)]
struct Turns<'a> {
    /// Ids of the last assistant turn's calls that wait for their results.
    open: Vec<&'a str>,
    /// Ids that were used, so that no two calls share one.
    ids: Vec<&'a str>,
    /// The last assistant turn begins with a thought.
    thought_first: bool,
    calls_seen: bool,
}

pub(super) fn read<'a>(
    messages: &'a [Node<'_>],
    budgeted: bool,
    seal: &Seal,
    ask: &mut Ask<'a>,
) -> Result<(), Refusal> {
    let role = |place: usize| messages.get(place).and_then(|message: &Node<'_>| message.text_of("role"));
    match role(0) {
        None => return Err(Refusal::new("messages: at least one message is required")),
        Some("user") => {}
        Some(_) => return Err(Refusal::new("messages: first message must use the \"user\" role")),
    }
    let mut turns = Turns::default();
    for (place, message) in messages.iter().enumerate() {
        let begins = place == 0 || role(place) != role(place - 1);
        let ends = role(place) != role(place + 1);
        ask.prompt.count += 1;
        let is_last = place + 1 == messages.len();
        let content = message.get("content").unwrap_or(&Node::Null);
        let is_empty = content.text() == Some("") || (content.text().is_none() && content.list().is_empty());
        if is_empty && !(is_last && role(place) == Some("assistant")) {
            let message = "all messages must have non-empty content except for the optional final assistant message";
            return Err(Refusal::new(format!("messages.{place}: {message}")));
        }
        if content.text().is_some_and(|text| !text.is_empty() && text.trim().is_empty()) {
            return Err(Refusal::new("messages: text content blocks must contain non-whitespace text"));
        }
        match role(place) {
            Some("assistant") => {
                turns.assistant(place, content, begins, seal, ask)?;
                ask.prompt.model();
            }
            Some("user") => turns.user(place, content, ends, ask)?,
            _ => other(content, ask),
        }
        if is_last && role(place) == Some("assistant") {
            check_prefill(content)?;
        }
    }
    turns.expect_no_open(messages.len() - 1)?;
    let answers = ask.prompt.last == super::super::ask::Last::Results;
    if budgeted && answers && turns.calls_seen && !turns.thought_first {
        let message = "Expected `thinking` or `redacted_thinking`, but found `tool_use`. When `thinking` is enabled, the last \
                       `assistant` message before tool results must start with a thinking block";
        return Err(Refusal::new(message));
    }
    Ok(())
}

/// A system message in the middle.
fn other<'a>(content: &'a Node<'_>, ask: &mut Ask<'a>) {
    for text in texts(content) {
        ask.prompt.prefix.add(text);
    }
    content.list().iter().for_each(|block| mark(block, ask));
}

fn texts<'a>(content: &'a Node<'_>) -> impl Iterator<Item = &'a str> {
    content.text().into_iter().chain(content.list().iter().filter_map(|block| block.text_of("text")))
}

fn check_prefill(content: &Node<'_>) -> Result<(), Refusal> {
    match texts(content).last() {
        Some(text) if text.ends_with(char::is_whitespace) => {
            Err(Refusal::new("messages: final assistant content cannot end with trailing whitespace"))
        }
        _ => Ok(()),
    }
}

fn at(place: usize, block: usize, kind: &str, what: &str) -> Refusal {
    Refusal::new(format!("messages.{place}.content.{block}.{kind}: {what}"))
}

impl<'a> Turns<'a> {
    fn assistant(
        &mut self,
        place: usize,
        content: &'a Node<'_>,
        begins: bool,
        seal: &Seal,
        ask: &mut Ask<'a>,
    ) -> Result<(), Refusal> {
        if begins {
            self.expect_no_open(place)?;
            self.calls_seen = false;
            self.thought_first = content.list().first().and_then(|block| block.text_of("type")).is_some_and(is_thought);
        }
        if let Some(text) = content.text() {
            ask.prompt.prefix.add(text);
        }
        for (number, block) in content.list().iter().enumerate() {
            let kind = block.text_of("type").unwrap_or_default();
            match kind {
                "text" => add_text(block, ask)?,
                "thinking" => {
                    let text = block.text_of("thinking").unwrap_or_default();
                    let signature = block.text_of("signature").unwrap_or_default();
                    if seal.open(SIGNATURE, signature, text).is_none() {
                        let message =
                            format!("messages.{place}.content.{number}: Invalid `signature` in `thinking` block");
                        return Err(Refusal::new(message));
                    }
                }
                "redacted_thinking" if seal.open(REDACTED, block.text_of("data").unwrap_or_default(), "").is_none() => {
                    let what = "Invalid `data` in `redacted_thinking` block";
                    return Err(Refusal::new(format!("messages.{place}.content.{number}: {what}")));
                }
                "tool_use" => self.call(place, number, block)?,
                "image" | "document" | "search_result" | "tool_result" | "container_upload" => {
                    return Err(at(place, number, kind, "only `user` messages may have this block"));
                }
                _ => {}
            }
            mark(block, ask);
        }
        Ok(())
    }

    fn call(&mut self, place: usize, number: usize, block: &'a Node<'_>) -> Result<(), Refusal> {
        let id = block.text_of("id").unwrap_or_default();
        if !is_plain(id, ID_BYTES_MAX) {
            return Err(at(place, number, "tool_use.id", "String should match pattern '^[a-zA-Z0-9_-]+$'"));
        }
        if !is_plain(block.text_of("name").unwrap_or_default(), 200) {
            return Err(at(place, number, "tool_use.name", "String should match pattern '^[a-zA-Z0-9_-]{1,200}$'"));
        }
        if self.ids.contains(&id) {
            return Err(Refusal::new(format!("messages.{place}.content.{number}: `tool_use` ids must be unique")));
        }
        self.ids.push(id);
        self.open.push(id);
        self.calls_seen = true;
        Ok(())
    }

    fn user(&mut self, place: usize, content: &'a Node<'_>, ends: bool, ask: &mut Ask<'a>) -> Result<(), Refusal> {
        let had_calls = !self.open.is_empty();
        if let Some(text) = content.text() {
            ask.prompt.prefix.add(text);
            ask.prompt.user(Some(text.into()));
        }
        let mut other_seen = content.text().is_some();
        for (number, block) in content.list().iter().enumerate() {
            let kind = block.text_of("type").unwrap_or_default();
            match kind {
                "tool_result" => {
                    if other_seen && had_calls {
                        return Err(at(place, number, kind, "`tool_result` blocks must come before all others"));
                    }
                    self.result(place, number, block, ask)?;
                }
                "text" => {
                    add_text(block, ask)?;
                    ask.prompt.user(block.text_of("text").map(Cow::from));
                }
                "tool_use" | "thinking" | "redacted_thinking" | "server_tool_use" => {
                    return Err(at(place, number, kind, "only `assistant` messages may have this block"));
                }
                _ => add_media(place, number, block, ask)?,
            }
            other_seen |= kind != "tool_result";
            mark(block, ask);
        }
        ask.prompt.user(None);
        if ends { self.expect_no_open(place) } else { Ok(()) }
    }

    fn result(&mut self, place: usize, number: usize, block: &'a Node<'_>, ask: &mut Ask<'a>) -> Result<(), Refusal> {
        let id = block.text_of("tool_use_id").unwrap_or_default();
        let Some(found) = self.open.iter().position(|open| *open == id) else {
            let message = format!(
                "messages.{place}.content.{number}: unexpected `tool_use_id` in `tool_result` block: {id}. Each `tool_result` \
                 must answer a `tool_use` of the previous message"
            );
            return Err(Refusal::new(message));
        };
        self.open.remove(found);
        let content = block.get("content").unwrap_or(&Node::Null);
        let mut last = "";
        for text in texts(content) {
            ask.prompt.prefix.add(text);
            last = text;
        }
        for block in content.list() {
            match block.text_of("type") {
                Some("text") if block.text_of("text") == Some("") => {
                    return Err(Refusal::new("messages: text content blocks must be non-empty"));
                }
                Some("image" | "document") => add_media(place, number, block, ask)?,
                _ => {}
            }
        }
        ask.prompt.result(last.into(), block.flag_of("is_error").unwrap_or(false));
        Ok(())
    }

    fn expect_no_open(&self, place: usize) -> Result<(), Refusal> {
        if self.open.is_empty() {
            return Ok(());
        }
        let ids = self.open.join(", ");
        Err(Refusal::new(format!(
            "messages.{place}: `tool_use` ids were found without `tool_result` blocks right after them: {ids}. Each `tool_use` \
             needs its `tool_result` in the next message"
        )))
    }
}

fn is_thought(kind: &str) -> bool {
    matches!(kind, "thinking" | "redacted_thinking")
}

fn add_text<'a>(block: &'a Node<'_>, ask: &mut Ask<'a>) -> Result<(), Refusal> {
    let text = block.text_of("text").unwrap_or_default();
    if text.is_empty() {
        return Err(Refusal::new("messages: text content blocks must be non-empty"));
    }
    if text.trim().is_empty() {
        return Err(Refusal::new("messages: text content blocks must contain non-whitespace text"));
    }
    ask.prompt.prefix.add(text);
    Ok(())
}

/// Images and documents: their types, and whether their bytes are base64.
fn add_media<'a>(place: usize, number: usize, block: &'a Node<'_>, ask: &mut Ask<'a>) -> Result<(), Refusal> {
    let kind = block.text_of("type").unwrap_or_default();
    let Some(source) = block.get("source").filter(|source| source.text().is_none()) else { return Ok(()) };
    let media_type = match source.text_of("type") {
        Some("base64") => {
            let data = source.text_of("data").unwrap_or_default();
            if data.is_empty() || data_encoding::BASE64.decode_len(data.len()).is_err() || !is_base64(data) {
                return Err(at(place, number, &format!("{kind}.source.base64.data"), "Input should be valid base64"));
            }
            source.text_of("media_type").unwrap_or_default()
        }
        Some("text" | "content") => {
            source.text_of("data").into_iter().for_each(|text| ask.prompt.prefix.add(text));
            "text/plain"
        }
        Some("url") if kind == "image" => "image/url",
        Some("url") => "url",
        _ => "file_id",
    };
    ask.prompt.media.push(media_type.into());
    Ok(())
}

fn is_base64(data: &str) -> bool {
    data.trim_end_matches('=').bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/')
}
