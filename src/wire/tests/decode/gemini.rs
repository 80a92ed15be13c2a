//! Decodes Gemini generateContent as google-genai takes it: SSE without comments, one array, or one object.

use serde_json::Value;

use super::chat::ids;
use super::sse::{Rules, frames};
use super::{Called, Seen, Tokens, error_of};

const TOP: [&str; 7] =
    ["candidates", "promptFeedback", "usageMetadata", "modelVersion", "responseId", "createTime", "modelStatus"];
const CANDIDATE: [&str; 11] = [
    "content",
    "finishReason",
    "finishMessage",
    "index",
    "safetyRatings",
    "citationMetadata",
    "groundingMetadata",
    "urlContextMetadata",
    "logprobsResult",
    "avgLogprobs",
    "tokenCount",
];
const PART: [&str; 8] = [
    "text",
    "thought",
    "thoughtSignature",
    "functionCall",
    "inlineData",
    "fileData",
    "executableCode",
    "codeExecutionResult",
];
const FINISH: [&str; 18] = [
    "STOP",
    "MAX_TOKENS",
    "SAFETY",
    "RECITATION",
    "LANGUAGE",
    "OTHER",
    "BLOCKLIST",
    "PROHIBITED_CONTENT",
    "SPII",
    "MALFORMED_FUNCTION_CALL",
    "UNEXPECTED_TOOL_CALL",
    "TOO_MANY_TOOL_CALLS",
    "IMAGE_SAFETY",
    "IMAGE_PROHIBITED_CONTENT",
    "NO_IMAGE",
    "IMAGE_RECITATION",
    "IMAGE_OTHER",
    "MODEL_ARMOR",
];

pub fn stream(text: &str, seen: &mut Seen) {
    let frames = frames(text, &Rules { comments: false, named: false }, seen);
    let chunks: Vec<Value> = frames.iter().map(|frame| seen.parse(&frame.data)).collect();
    read_chunks(&chunks, seen);
}

pub fn array(text: &str, seen: &mut Seen) {
    match seen.parse(text) {
        Value::Array(chunks) => read_chunks(&chunks, seen),
        other => seen.claim(false, || format!("no array: {other}")),
    }
}

pub fn whole(text: &str, seen: &mut Seen) {
    let body = seen.parse(text);
    read_chunks(&[body], seen);
}

fn read_chunks(chunks: &[Value], seen: &mut Seen) {
    let mut head = None;
    for (at, chunk) in chunks.iter().enumerate() {
        if error_of(chunk, seen) {
            seen.key(&chunk["error"], "code", Value::is_u64);
            seen.named(&chunk["error"], "status");
            seen.claim(at + 1 == chunks.len(), || "chunks behind an error".to_owned());
            break;
        }
        only(chunk, &TOP, "chunk", seen);
        let same = (chunk["modelVersion"].clone(), chunk["responseId"].clone());
        seen.named(chunk, "modelVersion");
        seen.named(chunk, "responseId");
        seen.claim(*head.get_or_insert(same.clone()) == same, || format!("model or id change: {same:?}"));
        for candidate in chunk["candidates"].as_array().into_iter().flatten() {
            read_candidate(candidate, seen);
        }
        if chunk["promptFeedback"]["blockReason"].is_string() {
            let word = chunk["promptFeedback"]["blockReason"].as_str().map(str::to_owned);
            seen.choice(0).stop = word;
        }
        // Cumulative: the last one counts.
        if let Some(usage) = chunk.get("usageMetadata") {
            read_usage(usage, seen);
        }
    }
    seen.claim(!chunks.is_empty(), || "nothing came".to_owned());
    let all = !seen.choices.is_empty() && seen.choices.values().all(|heard| heard.stop.is_some());
    seen.ended = all && seen.error.is_none();
    seen.claim(seen.ended || seen.error.is_some(), || "no finishReason".to_owned());
    for heard in seen.choices.clone().values() {
        let named: Vec<Called> = heard.calls.iter().filter(|call| !call.id.is_empty()).cloned().collect();
        ids(&named, seen);
    }
}

fn only(value: &Value, known: &[&str], what: &str, seen: &mut Seen) {
    seen.claim(value.is_object(), || format!("{what} is no object: {value}"));
    for name in value.as_object().into_iter().flat_map(|object| object.keys()) {
        seen.claim(known.contains(&name.as_str()), || format!("{what} has {name:?}"));
    }
}

fn read_candidate(candidate: &Value, seen: &mut Seen) {
    only(candidate, &CANDIDATE, "candidate", seen);
    let index = candidate.get("index").map_or(Some(0), Value::as_u64);
    seen.claim(index.is_some(), || format!("index {}", candidate["index"]));
    let index = index.unwrap_or(0);
    let done = seen.choice(index).stop.is_some();
    seen.claim(!done, || format!("candidate {index}: more behind its finishReason"));
    if let Some(content) = candidate.get("content") {
        seen.claim(content["role"] == "model", || format!("role {}", content["role"]));
        let parts = content.get("parts").map_or(Some(&[][..]), |parts| parts.as_array().map(Vec::as_slice));
        seen.claim(parts.is_some(), || format!("parts {}", content["parts"]));
        for part in parts.unwrap_or_default() {
            read_part(part, index, seen);
        }
    }
    let grounding = &candidate["groundingMetadata"]["groundingChunks"];
    for chunk in grounding.as_array().into_iter().flatten() {
        let url = chunk["web"]["uri"].as_str().or(chunk["retrievedContext"]["uri"].as_str()).unwrap_or("?");
        seen.choice(index).citations.push(url.to_owned());
    }
    for source in candidate["citationMetadata"]["citationSources"].as_array().into_iter().flatten() {
        seen.choice(index).citations.push(source["uri"].as_str().unwrap_or("?").to_owned());
    }
    let logprobs = candidate["logprobsResult"]["chosenCandidates"].as_array().map_or(0, Vec::len);
    seen.choice(index).logprobs += logprobs;
    if let Some(word) = candidate.get("finishReason") {
        let known = word.as_str().is_some_and(|word| FINISH.contains(&word));
        seen.claim(known, || format!("finishReason {word}"));
        seen.choice(index).stop = word.as_str().map(str::to_owned);
    }
}

fn read_part(part: &Value, index: u64, seen: &mut Seen) {
    only(part, &PART, "part", seen);
    let data = ["text", "functionCall", "inlineData", "fileData", "executableCode", "codeExecutionResult"];
    let kinds = data.iter().filter(|name| part.get(**name).is_some()).count();
    seen.claim(kinds == 1, || format!("a part of {kinds} kinds: {part}"));
    let signature = part.get("thoughtSignature").map(|text| text.as_str().unwrap_or("").to_owned());
    if let Some(text) = &signature {
        // Bytes in every SDK: a text that is no base64 fails the whole answer there.
        let base64 = data_encoding::BASE64.decode(text.as_bytes()).is_ok()
            || data_encoding::BASE64URL.decode(text.as_bytes()).is_ok();
        seen.claim(base64 && !text.is_empty(), || format!("thoughtSignature is no base64: {text}"));
    }
    if let Some(call) = part.get("functionCall") {
        let name = seen.named(call, "name").to_owned();
        seen.key(call, "args", Value::is_object);
        let id = call["id"].as_str().unwrap_or("").to_owned();
        let arguments = call["args"].to_string();
        let heard = seen.choice(index);
        heard.kind("call");
        heard.calls.push(Called { id, name, arguments, custom: false });
    }
    let heard = seen.choice(index);
    heard.states.extend(signature);
    if let Some(text) = part["text"].as_str() {
        let thought = part["thought"] == true;
        if !text.is_empty() {
            heard.kind(if thought { "reasoning" } else { "text" });
        }
        if thought { heard.reasoning.push_str(text) } else { heard.text.push_str(text) }
    }
    let media = part["inlineData"]["data"].as_str().or(part["fileData"]["fileUri"].as_str());
    if let Some(media) = media {
        heard.kind("media");
        heard.media.push(media.to_owned());
    }
}

fn read_usage(usage: &Value, seen: &mut Seen) {
    let part = |name: &str| usage[name].as_u64().unwrap_or(0);
    let reasoning = part("thoughtsTokenCount");
    let tokens = Tokens {
        input: seen.count(usage, "promptTokenCount") + part("toolUsePromptTokenCount"),
        cache_read: part("cachedContentTokenCount"),
        cache_write: 0,
        output: part("candidatesTokenCount") + reasoning,
        reasoning,
    };
    let total = seen.count(usage, "totalTokenCount");
    seen.claim(total == tokens.input + tokens.output, || format!("totalTokenCount {total} of {tokens:?}"));
    seen.usage = Some(tokens);
}
