//! Changes a request on its way to a channel of the same protocol, and nothing in it but what is named here.

use std::ops::Range;

use bytes::{BufMut, Bytes, BytesMut};

use super::{Head, Inside, LimitSpan, ObjectSpan};
use crate::wire::Protocol;

/// The field that carries an output limit where the client gave none. Only CC has a choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputLimitField {
    MaxTokens,
    MaxCompletionTokens,
}

/// What is changed in a request on its way to a channel of the same protocol.
#[derive(Debug, Clone, Copy)]
pub struct Splice<'a> {
    pub model: &'a str,
    /// CC: ask for usage in a stream. Means nothing for a call that does not stream.
    pub include_usage: bool,
    /// The output limit when the hold was clamped. A lower one of the client's stands.
    pub output_tokens_max: Option<(u64, OutputLimitField)>,
}

/// Bytes that take the place of others; an empty span is an insertion.
type Edit = (Range<usize>, String);

impl Head {
    /// The same bytes with the splice applied; the very same `Bytes` when nothing changes.
    ///
    /// `body` must be the body that the head was read from. A model that stands in the path is the caller's to change.
    pub fn splice(&self, body: &Bytes, splice: &Splice<'_>) -> Bytes {
        assert_eq!(body.len(), self.spans.body_bytes, "a head is only spliced into its own body");
        let mut edits = Vec::new();
        if let Some(span) = self.spans.model.clone().filter(|_| splice.model != self.model) {
            edits.push((span, quoted(splice.model)));
        }
        let can_ask = self.protocol == Protocol::OpenAiChat;
        if can_ask && splice.include_usage && self.stream && !self.include_usage {
            edits.push(self.ask_for_usage());
        }
        if let Some((tokens, field)) = splice.output_tokens_max {
            self.limit_output(tokens, field, &mut edits);
        }
        apply(body, edits)
    }

    fn ask_for_usage(&self) -> Edit {
        if let Some(span) = &self.spans.include_usage {
            return (span.clone(), "true".to_owned());
        }
        self.put_into(&self.spans.stream_options, "stream_options", r#""include_usage":true"#.to_owned())
    }

    fn limit_output(&self, tokens: u64, field: OutputLimitField, edits: &mut Vec<Edit>) {
        let spans = &self.spans;
        let mut limited = false;
        for limit in [&spans.older_limit, &spans.output_limit].into_iter().flatten() {
            if let Some(value) = limit.value {
                limited = true;
                if value > tokens {
                    edits.push((limit.span.clone(), tokens.to_string()));
                }
            }
        }
        if limited {
            return;
        }
        let (name, given) = match (self.protocol, field) {
            (Protocol::OpenAiChat, OutputLimitField::MaxTokens) => ("max_tokens", &spans.older_limit),
            (Protocol::OpenAiChat, OutputLimitField::MaxCompletionTokens) => {
                ("max_completion_tokens", &spans.output_limit)
            }
            (Protocol::OpenAiResponses, _) => ("max_output_tokens", &spans.output_limit),
            (Protocol::AnthropicMessages, _) => ("max_tokens", &spans.output_limit),
            (Protocol::GeminiGenerate, _) => ("maxOutputTokens", &spans.output_limit),
        };
        let member = format!(r#""{name}":{tokens}"#);
        edits.push(match given {
            Some(LimitSpan { span, .. }) => (span.clone(), tokens.to_string()),
            None if self.protocol == Protocol::GeminiGenerate => {
                self.put_into(&spans.generation_config, "generationConfig", member)
            }
            None => put_first(spans.top, member),
        });
    }

    /// Puts a member into an object at the top of the body, and the object where there is none.
    fn put_into(&self, object: &ObjectSpan, name: &str, member: String) -> Edit {
        match object {
            ObjectSpan::Absent => put_first(self.spans.top, format!(r#""{name}":{{{member}}}"#)),
            ObjectSpan::Null(span) => (span.clone(), format!("{{{member}}}")),
            ObjectSpan::Object(inside) => put_first(*inside, member),
        }
    }
}

fn put_first(inside: Inside, member: String) -> Edit {
    let comma = if inside.empty { "" } else { "," };
    (inside.at..inside.at, format!("{member}{comma}"))
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Applies edits that do not overlap, in one allocation of the exact size.
fn apply(body: &Bytes, mut edits: Vec<Edit>) -> Bytes {
    if edits.is_empty() {
        return body.clone();
    }
    // Stable, so that two insertions at one place keep their order.
    edits.sort_by_key(|(span, _)| span.start);
    let removed: usize = edits.iter().map(|(span, _)| span.len()).sum();
    let added: usize = edits.iter().map(|(_, text)| text.len()).sum();
    let mut spliced = BytesMut::with_capacity(body.len() - removed + added);
    let mut at = 0;
    for (span, text) in edits {
        spliced.put_slice(&body[at..span.start]);
        spliced.put_slice(text.as_bytes());
        at = span.end;
    }
    spliced.put_slice(&body[at..]);
    spliced.freeze()
}
