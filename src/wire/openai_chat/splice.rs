//! Changes a request on its way to a channel of the same protocol, and nothing in it but what is named here.

use std::ops::Range;

use bytes::{BufMut, Bytes, BytesMut};

use super::head::{ChatHead, LimitSpan, OptionsSpan};

/// The field that carries an output limit where the client gave none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputLimitField {
    MaxTokens,
    MaxCompletionTokens,
}

/// What is changed in a request on its way to a channel of the same protocol.
#[derive(Debug, Clone, Copy)]
pub struct Splice<'a> {
    pub model: &'a str,
    /// Ask for usage in a stream. Means nothing for a call that does not stream.
    pub include_usage: bool,
    /// The output limit when the hold was clamped. A lower one of the client's stands.
    pub output_tokens_max: Option<(u64, OutputLimitField)>,
}

/// Bytes that take the place of others; an empty span is an insertion.
type Edit = (Range<usize>, String);

impl ChatHead {
    /// The same bytes with the splice applied; the very same `Bytes` when nothing changes.
    ///
    /// `body` must be the body that the head was read from.
    pub fn splice(&self, body: &Bytes, splice: &Splice<'_>) -> Bytes {
        assert_eq!(body.len(), self.spans.body_bytes, "a head is only spliced into its own body");
        let mut edits = Vec::new();
        if splice.model != self.model {
            edits.push((self.spans.model.clone(), quoted(splice.model)));
        }
        if splice.include_usage && self.stream && !self.include_usage {
            edits.push(self.ask_for_usage());
        }
        if let Some((tokens, field)) = splice.output_tokens_max {
            self.limit_output(tokens, field, &mut edits);
        }
        apply(body, edits)
    }

    fn ask_for_usage(&self) -> Edit {
        let first = self.spans.first_member;
        match &self.spans.stream_options {
            OptionsSpan::Absent => (first..first, r#""stream_options":{"include_usage":true},"#.to_owned()),
            OptionsSpan::Null(span) => (span.clone(), r#"{"include_usage":true}"#.to_owned()),
            OptionsSpan::Object { include_usage: Some(span), .. } => (span.clone(), "true".to_owned()),
            OptionsSpan::Object { first_member, empty, include_usage: None } => {
                let comma = if *empty { "" } else { "," };
                (*first_member..*first_member, format!(r#""include_usage":true{comma}"#))
            }
        }
    }

    fn limit_output(&self, tokens: u64, field: OutputLimitField, edits: &mut Vec<Edit>) {
        let spans = &self.spans;
        let mut limited = false;
        for limit in [&spans.max_tokens, &spans.max_completion_tokens].into_iter().flatten() {
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
        let (name, given) = match field {
            OutputLimitField::MaxTokens => ("max_tokens", &spans.max_tokens),
            OutputLimitField::MaxCompletionTokens => ("max_completion_tokens", &spans.max_completion_tokens),
        };
        edits.push(match given {
            Some(LimitSpan { span, .. }) => (span.clone(), tokens.to_string()),
            None => (spans.first_member..spans.first_member, format!(r#""{name}":{tokens},"#)),
        });
    }
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
