//! Server-sent events as the strictest client takes them.

use super::{Seen, short};

pub struct Frame {
    pub event: Option<String>,
    pub data: String,
}

/// What a protocol's clients bear.
pub struct Rules {
    /// Comment lines, alone.
    pub comments: bool,
    /// Every event has a name.
    pub named: bool,
}

/// Splits a stream. `data: ` has one space and stands on one line, nothing has an `id:`, a comment is not followed by a blank
/// line, and the last event has its blank line.
pub fn frames(text: &str, rules: &Rules, seen: &mut Seen) -> Vec<Frame> {
    let mut frames = Vec::new();
    let (mut event, mut data, mut after_comment) = (None, None::<String>, false);
    seen.claim(!text.contains('\r') || text.contains("\r\n"), || "a lone CR".to_owned());
    for line in text.split_inclusive('\n') {
        let ended = line.ends_with('\n');
        let line = line.trim_end_matches(['\n', '\r']);
        seen.claim(ended, || format!("the last line has no end: {}", short(line)));
        if line.is_empty() {
            seen.claim(!after_comment, || "a blank line behind a comment".to_owned());
            if let Some(data) = data.take() {
                seen.claim(event.is_some() == rules.named, || format!("event name {event:?}"));
                frames.push(Frame { event: event.take(), data });
            } else {
                seen.claim(false, || "an event without data".to_owned());
            }
        } else if line.starts_with(':') {
            seen.claim(rules.comments, || format!("a comment: {line}"));
            seen.claim(data.is_none() && event.is_none(), || "a comment within an event".to_owned());
        } else if let Some(value) = line.strip_prefix("data: ") {
            seen.claim(data.is_none(), || "several data lines".to_owned());
            seen.claim(!value.is_empty(), || "empty data".to_owned());
            data = Some(value.to_owned());
        } else if let Some(value) = line.strip_prefix("event: ") {
            seen.claim(event.is_none() && data.is_none(), || "event: stands twice or behind data".to_owned());
            event = Some(value.to_owned());
        } else {
            seen.claim(false, || format!("an odd line: {}", short(line)));
        }
        after_comment = line.starts_with(':');
    }
    seen.claim(data.is_none() && event.is_none(), || "the last event has no blank line".to_owned());
    frames
}
