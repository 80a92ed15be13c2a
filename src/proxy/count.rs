//! Token counts of our own, for answers whose upstream reported none. Estimates, flagged as such; never on a filter's thread.

use serde_json::Value;

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

/// Tokens of a chat request: the text of its messages and tools. Never more than its bytes.
pub fn input_tokens(body: &[u8]) -> u64 {
    let bytes = body.len() as u64;
    if body.len() > COUNTED_BODY_BYTES_MAX {
        return bytes / 4;
    }
    let Ok(request) = serde_json::from_slice::<Value>(body) else { return bytes / 4 };
    let mut text = String::new();
    let mut extra = 0;
    for message in request["messages"].as_array().into_iter().flatten() {
        extra += TOKENS_PER_MESSAGE;
        match &message["content"] {
            Value::String(content) => push(&mut text, content),
            Value::Array(parts) => {
                for part in parts {
                    match part["text"].as_str() {
                        Some(content) => push(&mut text, content),
                        None => extra += TOKENS_PER_MEDIA_PART,
                    }
                }
            }
            _ => {}
        }
        if let Some(calls) = message.get("tool_calls") {
            push(&mut text, &calls.to_string());
        }
    }
    if let Some(tools) = request.get("tools") {
        push(&mut text, &tools.to_string());
    }
    (tokens(&text) + extra).min(bytes)
}

fn push(text: &mut String, more: &str) {
    text.push_str(more);
    text.push('\n');
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

    #[test]
    fn text_counts_and_media_is_taken_for_a_fixed_number() {
        let plain = br#"{"messages":[{"role":"user","content":"one two three"}]}"#;
        let count = input_tokens(plain);
        assert!((4..12).contains(&count), "{count}");
        let image = br#"{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}}]}]}"#;
        assert!(input_tokens(image) <= image.len() as u64);
    }

    #[test]
    fn a_text_kept_in_part_is_scaled_up() {
        let half = output_tokens("hello world ", 24);
        assert_eq!(half, 2 * output_tokens("hello world ", 12));
        assert_eq!(output_tokens("", 400), 100);
    }
}
