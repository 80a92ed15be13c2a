//! Documented exceptions: where a recording, or what it says is in it, cannot be held against a translator.

use super::recordings::Case;
use super::verdict::Verdict;

/// Recordings by their name or what is in it, the figure that is excused, and why.
const KNOWN: [(&str, Figure, &str); 8] = [
    ("ai--anthropic-tool-search-deferred-regex-stream--0", Figure::All, SEVERAL),
    ("ai--anthropic-tool-search-regex-1-stream--0", Figure::All, SEVERAL),
    ("ai--openai-reasoning-encrypted-content-1-stream--0", Figure::All, SEVERAL),
    (
        "ai--parallel-tool-call-wrapper-1-stream--0",
        Figure::All,
        "its final object is empty and its expectation too; the items before it hold a call",
    ),
    (
        "pydantic-ai--test-invalid-response--0",
        Figure::Content,
        "neither answer nor error: that it fails is what counts",
    ),
    (
        "pydantic-ai--test-multimodal-tool-return-matrix-tool-return-content-url-image-mistral--",
        Figure::Usage,
        "its expectation does not know Mistral's num_cached_tokens",
    ),
    (
        "pydantic-ai--test-snowflake-thinking-streaming--0",
        Figure::Reasoning,
        "its expectation does not know thinking that stands in reasoning_details alone",
    ),
    (
        "js-genai--chats-tests-sendmessage-multiple-messages-with-server-side-mcp-tools-stream--",
        Figure::Stop,
        "the vendor answers its calls itself within the answer: kept as content, they ask the client for nothing",
    ),
];

const SEVERAL: &str = "several answers in one file; the first one counts, as for the SDKs";

#[derive(Clone, Copy, PartialEq)]
enum Figure {
    Content,
    Usage,
    Reasoning,
    Stop,
    All,
}

/// Takes back what is not the translator's fault; says why.
pub fn excuse(case: &Case, verdict: &mut Verdict) -> Option<&'static str> {
    let (_, figure, reason) = KNOWN.into_iter().find(|(id, ..)| case.id.contains(id))?;
    match figure {
        Figure::Content => verdict.content.clear(),
        Figure::Usage => verdict.usage.clear(),
        Figure::Reasoning => verdict.rest.retain(|line| !line.starts_with("reasoning_text")),
        Figure::Stop => verdict.rest.retain(|line| !line.starts_with("stop") && !line.contains("beside calls")),
        Figure::All => *verdict = Verdict::default(),
    }
    Some(reason)
}
