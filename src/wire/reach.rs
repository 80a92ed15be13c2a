//! What of a request reaches beyond its bytes, and what an upstream says of thinking that it cannot read: told by words, in one
//! pass over a body without a tree. Must never know what is done about it.

use std::sync::LazyLock;

use aho_corasick::AhoCorasick;

use super::Protocol;
use super::ir::State;
use super::openai_responses::STORED_FIELDS;

/// Links, uploads, documents, stored conversations, and tools that the upstream runs itself, whose findings are input too.
static LINKED: LazyLock<AhoCorasick> = LazyLock::new(|| {
    words(&[
        "\"image_url\"",
        "\"file_id\"",
        "\"file_url\"",
        "\"video_url\"",
        "\"url\"",
        "\"fileUri\"",
        "\"file_uri\"",
        "application/pdf",
        "\"previous_response_id\"",
        "\"conversation\"",
        "\"cachedContent\"",
        "\"web_search",
        "\"googleSearch\"",
        "\"urlContext\"",
    ])
});

static STORED: LazyLock<AhoCorasick> = LazyLock::new(|| words(&STORED_FIELDS.map(|field| format!("\"{field}\""))));

/// Gemini's clients hold an envelope in base64 once more.
static ENVELOPES: LazyLock<AhoCorasick> = LazyLock::new(|| words(&[State::MARK, State::MARK_IN_BASE64]));

fn words<W: AsRef<[u8]>>(words: &[W]) -> AhoCorasick {
    AhoCorasick::new(words).expect("a few short words")
}

/// Whether a request can stand for more input tokens than it has bytes.
pub fn outgrows_its_bytes(body: &[u8]) -> bool {
    LINKED.is_match(body)
}

/// Whether a Responses request may refer to what an upstream keeps. `openai_responses::stored` tells whether it does.
pub fn may_be_stored(body: &[u8]) -> bool {
    STORED.is_match(body)
}

/// Whether thinking of a model of another protocol may stand in a conversation, in an envelope that no upstream can read.
pub fn carries_envelopes(body: &[u8]) -> bool {
    ENVELOPES.is_match(body)
}

/// Whether the body of a 400 says that the upstream cannot read the thinking that came back: foreign, edited or too old.
pub fn refuses_thinking(protocol: Protocol, error: &[u8]) -> bool {
    let words: &[&[u8]] = match protocol {
        Protocol::AnthropicMessages => &[b"signature", b"thinking"],
        Protocol::OpenAiResponses => &[b"encrypted content"],
        Protocol::GeminiGenerate => &[b"thought_signature"],
        Protocol::OpenAiChat => return false,
    };
    words.iter().all(|word| memchr::memmem::find(error, word).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_and_documents_outgrow_their_bytes_and_plain_text_does_not() {
        for linked in
            [r#"{"image_url":{}}"#, r#"{"source":{"type":"url","url":"x"}}"#, r#"{"mimeType":"application/pdf"}"#]
        {
            assert!(outgrows_its_bytes(linked.as_bytes()), "{linked}");
        }
        assert!(!outgrows_its_bytes(br#"{"messages":[{"role":"user","content":"an url, a file"}]}"#));
    }

    #[test]
    fn envelopes_are_seen_as_they_are_and_in_base64() {
        for carried in ["qg1.am.YQ.Yg", &data_encoding::BASE64.encode(b"qg1.am.YQ.Yg")] {
            assert!(carries_envelopes(format!(r#"{{"signature":"{carried}"}}"#).as_bytes()), "{carried}");
        }
        assert!(!carries_envelopes(br#"{"signature":"EqQBCgIYAhIk"}"#));
    }

    #[test]
    fn only_words_about_thinking_refuse_thinking() {
        let told = b"messages.1.content.0: Invalid `signature` in `thinking` block";
        assert!(refuses_thinking(Protocol::AnthropicMessages, told));
        assert!(!refuses_thinking(Protocol::AnthropicMessages, b"max_tokens: missing"));
        assert!(!refuses_thinking(Protocol::OpenAiChat, told));
    }
}
