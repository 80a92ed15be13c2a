//! Token counts of our own, for answers whose upstream reported none. Estimates, flagged as such; never on a filter's thread.

use crate::wire::ir::{Arguments, Format, Part, PartKind, Request, Source, ToolKind};
use crate::wire::{Protocol, ReadError, gemini_generate};

/// Most text that is really tokenized; a longer one is scaled up from its beginning.
const TOKENIZED_BYTES_MAX: usize = 256 << 10;
/// Most of a body that is looked into for text.
const COUNTED_BODY_BYTES_MAX: usize = 8 << 20;
/// What a message costs beside its text.
const TOKENS_PER_MESSAGE: u64 = 4;
/// What a part that is not text (an image, a file) is taken for.
const TOKENS_PER_MEDIA_PART: u64 = 765;

/// Tokens of a text that was produced; `bytes` is its full length where only the beginning was kept.
pub fn output_tokens(text: &str, bytes: u64) -> u64 {
    scaled(tokens(text), text.len() as u64, bytes)
}

/// Tokens of a request's input, never more than its bytes; of a body that cannot be read, a quarter of them.
pub fn input_tokens(protocol: Protocol, body: &[u8], depth_max: usize) -> u64 {
    request_tokens(protocol, body, depth_max).unwrap_or(body.len() as u64 / 4)
}

/// Tokens of a request's input: the text of its messages and tools.
pub fn request_tokens(protocol: Protocol, body: &[u8], depth_max: usize) -> Result<u64, ReadError> {
    let bytes = body.len() as u64;
    if body.len() > COUNTED_BODY_BYTES_MAX {
        return Ok(bytes / 4);
    }
    let text =
        std::str::from_utf8(body).map_err(|_| ReadError { param: None, message: "the body is not UTF-8".into() })?;
    let request = match protocol {
        // Also the request within a request to count.
        Protocol::GeminiGenerate => gemini_generate::count::read_request(text, depth_max)?,
        Protocol::OpenAiChat | Protocol::OpenAiResponses | Protocol::AnthropicMessages => {
            (protocol.dialect().read_request)(text, depth_max)?
        }
    };
    let mut input = Input::default();
    input.add(&request);
    Ok((tokens(&input.text) + input.extra).min(bytes))
}

/// What a request says, as one text, and what is counted beside it.
#[derive(Default)]
struct Input {
    text: String,
    extra: u64,
}

impl Input {
    fn add(&mut self, request: &Request<'_>) {
        for turn in &request.turns {
            self.extra += TOKENS_PER_MESSAGE;
            self.parts(&turn.parts);
        }
        for tool in &request.tools {
            match &tool.kind {
                ToolKind::Function { name, description, parameters, .. } => {
                    self.push(&name.decode());
                    description.iter().for_each(|text| self.push(&text.decode()));
                    parameters.iter().for_each(|schema| self.push(&schema.to_json()));
                }
                ToolKind::Custom { name, description, .. } => {
                    self.push(&name.decode());
                    description.iter().for_each(|text| self.push(&text.decode()));
                }
                ToolKind::Server { raw, .. } => self.push(&raw.to_json()),
            }
        }
        if let Some(Format::Schema { schema, .. }) = &request.format {
            self.push(&schema.to_json());
        }
    }

    fn parts(&mut self, parts: &[Part<'_>]) {
        for part in parts {
            match &part.kind {
                PartKind::Text(text) | PartKind::Refusal(text) => self.push(&text.decode()),
                PartKind::Media(media) => match &media.source {
                    Source::Text(text) => self.push(&text.decode()),
                    Source::Base64 { .. } | Source::Url { .. } | Source::File { .. } => {
                        self.extra += TOKENS_PER_MEDIA_PART;
                    }
                },
                PartKind::Reasoning(reasoning) => {
                    reasoning.text.iter().chain(&reasoning.full).for_each(|text| self.push(&text.decode()));
                }
                PartKind::Call(call) => {
                    self.push(&call.name.decode());
                    match &call.arguments {
                        Arguments::Text(text) => self.push(&text.decode()),
                        Arguments::Object(value) => self.push(&value.to_json()),
                    }
                }
                PartKind::Result(result) => self.parts(&result.content),
                PartKind::Foreign { raw, .. } => self.push(&raw.to_json()),
            }
        }
    }

    fn push(&mut self, more: &str) {
        self.text.push_str(more);
        self.text.push('\n');
    }
}

fn tokens(text: &str) -> u64 {
    let kept = &text[..text.floor_char_boundary(TOKENIZED_BYTES_MAX)];
    let counted = tiktoken_rs::o200k_base_singleton().encode_ordinary(kept).len() as u64;
    scaled(counted, kept.len() as u64, text.len() as u64)
}

fn scaled(count: u64, of: u64, to: u64) -> u64 {
    if of == 0 || to <= of {
        return if of == 0 { to / 4 } else { count };
    }
    u64::try_from(u128::from(count) * u128::from(to) / u128::from(of)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chat(body: &[u8]) -> u64 {
        input_tokens(Protocol::OpenAiChat, body, 64)
    }

    #[test]
    fn text_counts_and_media_is_taken_for_a_fixed_number() {
        let plain = br#"{"model":"m","messages":[{"role":"user","content":"one two three"}]}"#;
        let count = chat(plain);
        assert!((4..12).contains(&count), "{count}");
        let image = br#"{"model":"m","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}}]}]}"#;
        assert!(chat(image) <= image.len() as u64);
    }

    #[test]
    fn the_same_question_counts_alike_in_every_protocol() {
        let gemini = br#"{"contents":[{"role":"user","parts":[{"text":"one two three"}]}]}"#;
        let anthropic = br#"{"model":"m","max_tokens":5,"messages":[{"role":"user","content":"one two three"}]}"#;
        let plain = br#"{"model":"m","messages":[{"role":"user","content":"one two three"}]}"#;
        let count = chat(plain);
        assert_eq!(input_tokens(Protocol::GeminiGenerate, gemini, 64), count);
        assert_eq!(input_tokens(Protocol::AnthropicMessages, anthropic, 64), count);
    }

    #[test]
    fn a_text_kept_in_part_is_scaled_up() {
        let half = output_tokens("hello world ", 24);
        assert_eq!(half, 2 * output_tokens("hello world ", 12));
        assert_eq!(output_tokens("", 400), 100);
    }
}
