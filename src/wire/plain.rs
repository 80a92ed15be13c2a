//! Whole answers of operations that have one form in every protocol, or none but OpenAI's: embeddings, rerankings, moderations,
//! counts of tokens. Must never know which model made them.

use super::facts::Facts;
use super::ir::{Outcome, UpstreamError};
use super::json::{LoneSurrogates, Value};
use super::openai_chat;
use super::{Operation, Protocol, Usage};

/// Deepest answer that is read.
const DEPTH_MAX: usize = 64;

/// Reads what must be known of such an answer. An error when it is none (HTML, empty, other JSON).
pub fn read_whole(operation: Operation, body: &[u8]) -> Result<Facts, String> {
    let text = std::str::from_utf8(body).map_err(|_| "no UTF-8".to_owned())?.trim();
    let answer = Value::parse(text, DEPTH_MAX, LoneSurrogates::Allowed)
        .map_err(|fault| format!("no JSON, {} expected at byte {}", fault.expected, fault.at))?;
    let mut facts = Facts::default();
    if let Some(error) = answer.get("error").filter(|error| !error.is_null()) {
        facts.error = Some(UpstreamError::of_value(error));
        facts.conclude(Outcome::Errored);
        return Ok(facts);
    }
    if !is_answer(operation, &answer) {
        return Err(format!("JSON that is no answer to {}", operation.as_str()));
    }
    facts.content_seen = true;
    facts.ended = true;
    facts.usage = usage(operation, &answer);
    facts.conclude(Outcome::Complete);
    Ok(facts)
}

/// Whether a document has what an answer to the operation must have, in any vendor's spelling.
fn is_answer(operation: Operation, answer: &Value<'_>) -> bool {
    let any = |names: &[&str]| names.iter().any(|name| answer.get(name).is_some_and(|value| !value.is_null()));
    match operation {
        Operation::Embeddings => any(&["data", "embedding", "embeddings"]),
        Operation::Rerank => any(&["results", "data"]),
        Operation::Moderations => any(&["results"]),
        Operation::CountTokens => any(&["input_tokens", "totalTokens"]),
        Operation::Completions | Operation::Chat => any(&["choices"]),
    }
}

/// Tokens as such answers report them. An answer without a report that could only have counted its input is taken for free of
/// tokens: what has no token price is priced per request.
fn usage(operation: Operation, answer: &Value<'_>) -> Option<Usage> {
    let reported = answer.get("usage").or_else(|| answer.get("usageMetadata"));
    let count = |object: &Value<'_>, names: &[&str]| names.iter().find_map(|name| object.get(name)?.as_u64());
    match operation {
        Operation::CountTokens | Operation::Moderations => Some(Usage::default()),
        Operation::Completions | Operation::Chat => openai_chat::read_usage(reported?.to_json().as_bytes()),
        Operation::Embeddings | Operation::Rerank => {
            let billed = answer.get("meta").and_then(|meta| meta.get("billed_units"));
            let input = reported
                .and_then(|usage| {
                    count(usage, &["prompt_tokens", "promptTokenCount", "total_tokens", "totalTokenCount"])
                })
                .or_else(|| billed.and_then(|units| count(units, &["input_tokens"])));
            match (operation, input) {
                (Operation::Rerank, None) => Some(Usage::default()),
                (_, input) => Some(Usage { input_total: input?, ..Usage::default() }),
            }
        }
    }
}

/// A count of input tokens as a protocol answers it.
pub fn write_count(protocol: Protocol, tokens: u64) -> Vec<u8> {
    match protocol {
        Protocol::OpenAiChat | Protocol::OpenAiResponses => {
            format!(r#"{{"object":"response.input_tokens","input_tokens":{tokens}}}"#)
        }
        Protocol::AnthropicMessages => format!(r#"{{"input_tokens":{tokens}}}"#),
        Protocol::GeminiGenerate => format!(r#"{{"totalTokens":{tokens}}}"#),
    }
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_read_in_every_spelling() {
        for (operation, body, tokens) in [
            (Operation::Embeddings, r#"{"data":[],"usage":{"prompt_tokens":7,"total_tokens":7}}"#, Some(7)),
            (Operation::Embeddings, r#"{"embeddings":[],"usageMetadata":{"promptTokenCount":9}}"#, Some(9)),
            (Operation::Embeddings, r#"{"data":[]}"#, None),
            (Operation::Rerank, r#"{"results":[],"meta":{"billed_units":{"search_units":1}}}"#, Some(0)),
            (Operation::Rerank, r#"{"data":[],"usage":{"total_tokens":26}}"#, Some(26)),
            (Operation::Moderations, r#"{"results":[{"flagged":false}]}"#, Some(0)),
            (Operation::CountTokens, r#"{"input_tokens":14}"#, Some(0)),
        ] {
            let facts = read_whole(operation, body.as_bytes()).unwrap();
            assert_eq!(facts.usage.map(|usage| usage.input_total), tokens, "{body}");
            assert!(!facts.is_blank(), "{body}");
        }
    }

    #[test]
    fn an_error_in_a_200_is_one_and_other_json_is_no_answer() {
        let facts = read_whole(Operation::Embeddings, br#"{"error":{"message":"no","code":429}}"#).unwrap();
        assert_eq!(facts.error.unwrap().message, "no");
        for body in ["", "<html>", "{}", r#"{"results":null}"#, "[1]"] {
            assert!(read_whole(Operation::Rerank, body.as_bytes()).is_err(), "{body}");
        }
    }
}
