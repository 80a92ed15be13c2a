//! What each place of a request asks of its translation: a short list of structural words, and where the rest must be found.

use serde_json::Value;

use super::leaves::{Leaf, shape};
use super::schema;
use crate::wire::Protocol;
use crate::wire::ir::Feature;

/// Whose text it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    System,
    User,
    Assistant,
    Result,
    Reasoning,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Rule {
    /// A word that the output says by its form.
    Structure,
    /// Says nothing to another vendor.
    Idle,
    /// A text of the conversation: in order, in the same class.
    Text(Class),
    /// A part of some text or value.
    Anywhere,
    /// A value of its own.
    Exactly,
    /// A tool's name, or what it was renamed to.
    Name,
    /// Base64 or a URL, in a `data:` URL or not.
    Data,
    Mime,
    /// A property's name.
    SchemaKey,
    /// A limit of a schema, which may stand in a description or be declared.
    SchemaLimit,
    /// One of these members is in the output.
    Wish(&'static [&'static str]),
    /// One of these members has the same number.
    Number(&'static [&'static str]),
    Stop,
    /// A mark up to which the prompt is cached.
    CacheMark,
}

pub const REASONING: &[&str] = &[
    "reasoning",
    "reasoning_effort",
    "thinking",
    "thinking_budget",
    "enable_thinking",
    "output_config.effort",
    "generation_config.thinking_config",
];
pub const FORMAT: &[&str] = &[
    "response_format",
    "text.format",
    "output_config.format",
    "generation_config.response_mime_type",
    "generation_config.response_json_schema",
    "generation_config.response_schema",
];
const DETAIL: &[&str] = &[
    "messages[].content[].image_url.detail",
    "input[].content[].detail",
    "input[].output[].detail",
    "generation_config.media_resolution",
];
const CHOICE: &[&str] = &["tool_choice", "tool_config"];
const LIMIT: &[&str] =
    &["max_tokens", "max_completion_tokens", "max_output_tokens", "generation_config.max_output_tokens"];
const TIER: &[&str] = &["service_tier"];
const USER: &[&str] = &["user", "safety_identifier", "metadata.user_id", "labels"];
const LOGPROBS: &[&str] =
    &["logprobs", "top_logprobs", "include[]", "generation_config.response_logprobs", "generation_config.logprobs"];

/// The rule for a leaf of a request of `protocol`.
pub fn rule(protocol: Protocol, request: &Value, leaf: &Leaf) -> Rule {
    let path = shape(&leaf.path);
    if leaf.text.is_empty() || path.starts_with("tools[]") && left_out(request, &leaf.path) {
        return Rule::Idle;
    }
    if let Some(inside) = schema::place(&path) {
        return schema::rule(inside, leaf);
    }
    params(&path, leaf, request).unwrap_or_else(|| in_conversation(protocol, request, leaf, &path))
}

/// What is the same in all protocols: parameters at the top.
fn params(path: &str, leaf: &Leaf, request: &Value) -> Option<Rule> {
    let last = path.rsplit(['.', ']']).next().unwrap_or(path);
    if path.contains(".cache_control.type") || path.contains("prompt_cache_breakpoint.mode") {
        return Some(Rule::CacheMark);
    }
    let name = path.strip_prefix("generation_config.").unwrap_or(path);
    Some(match name {
        "model" | "stream" => Rule::Structure,
        "stream_options.include_usage" | "stream_options.include_obfuscation" | "store" | "include[]" => Rule::Idle,
        "n" | "candidate_count" if leaf.text == "1" => Rule::Idle,
        "n" | "candidate_count" => Rule::Number(&["n", "generation_config.candidate_count"]),
        "temperature" => Rule::Number(&["temperature", "generation_config.temperature"]),
        "top_p" => Rule::Number(&["top_p", "generation_config.top_p"]),
        "top_k" => Rule::Number(&["top_k", "generation_config.top_k"]),
        "presence_penalty" => Rule::Number(&["presence_penalty", "generation_config.presence_penalty"]),
        "frequency_penalty" => Rule::Number(&["frequency_penalty", "generation_config.frequency_penalty"]),
        "seed" => Rule::Number(&["seed", "generation_config.seed"]),
        "max_tokens" | "max_completion_tokens" | "max_output_tokens" => Rule::Wish(LIMIT),
        "stop" | "stop[]" | "stop_sequences[]" => Rule::Stop,
        "logprobs" | "response_logprobs" | "top_logprobs" if leaf.text == "false" => Rule::Idle,
        "logprobs" | "response_logprobs" | "top_logprobs" => Rule::Wish(LOGPROBS),
        "parallel_tool_calls" if leaf.text == "true" => Rule::Idle,
        "tool_choice.disable_parallel_tool_use" if leaf.text == "false" => Rule::Idle,
        "parallel_tool_calls" | "tool_choice.disable_parallel_tool_use" => {
            Rule::Wish(&["parallel_tool_calls", "tool_choice.disable_parallel_tool_use"])
        }
        "service_tier" if leaf.text == "auto" => Rule::Idle,
        "service_tier" => Rule::Wish(TIER),
        "user" | "safety_identifier" | "metadata.user_id" => Rule::Wish(USER),
        "verbosity" | "text.verbosity" => Rule::Wish(&["verbosity", "text.verbosity"]),
        "response_format.type" | "text.format.type" if leaf.text == "text" => Rule::Idle,
        "response_format.type" | "text.format.type" | "output_config.format.type" | "response_mime_type" => {
            if leaf.text == "text/plain" { Rule::Idle } else { Rule::Wish(FORMAT) }
        }
        // A label: protocols without it mean the same.
        "response_format.json_schema.name" | "text.format.name" => Rule::Idle,
        "response_format.json_schema.description" | "text.format.description" => Rule::Anywhere,
        "response_format.json_schema.strict" | "text.format.strict" => Rule::Wish(FORMAT),
        "reasoning_effort" | "reasoning.effort" | "reasoning.max_tokens" | "output_config.effort" => {
            Rule::Wish(REASONING)
        }
        // The model decides: what no word means everywhere.
        "thinking.type" if leaf.text == "adaptive" => Rule::Idle,
        "thinking.type" | "thinking.budget_tokens" | "enable_thinking" | "thinking_budget" => Rule::Wish(REASONING),
        "thinking_config.thinking_budget" | "thinking_config.thinking_level" => Rule::Wish(REASONING),
        // Whether thinking is shown: protocols without a switch show what comes.
        "reasoning.summary" | "thinking.display" | "thinking_config.include_thoughts" => Rule::Idle,
        "response_modalities[]" | "modalities[]" if leaf.text.eq_ignore_ascii_case("text") => Rule::Idle,
        "response_modalities[]" | "modalities[]" => {
            Rule::Wish(&["modalities[]", "generation_config.response_modalities[]", "tools[]"])
        }
        // Prompts are cached by themselves elsewhere.
        "cache_control.type" | "cache_control.ttl" => Rule::Idle,
        "tool_choice" | "tool_choice.type" | "tool_choice.mode" | "tool_choice.allowed_tools.mode" => {
            if leaf.text == "auto" { Rule::Idle } else { Rule::Wish(CHOICE) }
        }
        // How calls arrive, and whether the vendor's own are shown.
        "tool_config.function_calling_config.stream_function_call_arguments"
        | "tool_config.include_server_side_tool_invocations" => Rule::Idle,
        "tool_config.function_calling_config.mode" if leaf.text == "AUTO" => Rule::Idle,
        "tool_config.function_calling_config.mode" => Rule::Wish(CHOICE),
        "tool_config.function_calling_config.allowed_function_names[]" => Rule::Name,
        _ if path.starts_with("tool_choice.") && last == "name" => Rule::Name,
        _ if path.starts_with("tool_choice.") && last == "type" => Rule::Structure,
        _ if path.starts_with("tools[]") => in_tools(last, leaf, request),
        _ => return None,
    })
}

fn in_tools(last: &str, leaf: &Leaf, request: &Value) -> Rule {
    let kind = kind(request, &leaf.path);
    match last {
        "type" => Rule::Structure,
        // How arguments arrive.
        "eager_input_streaming" => Rule::Idle,
        // A tool of the vendor has the name that it must have.
        "name" if !["", "function", "custom"].contains(&kind) => Rule::Structure,
        // When a tool is shown to the model: the search for tools itself is what is lost.
        "defer_loading" => Rule::Idle,
        // What is meant where nothing is said.
        "search_context_size" if leaf.text == "medium" => Rule::Idle,
        "name" => Rule::Name,
        "description" => Rule::Anywhere,
        "strict" if leaf.text == "false" => Rule::Idle,
        "strict" => {
            Rule::Wish(&["tools[].strict", "tools[].function.strict", "tool_config.function_calling_config.mode"])
        }
        _ => Rule::Exactly,
    }
}

fn in_conversation(protocol: Protocol, request: &Value, leaf: &Leaf, path: &str) -> Rule {
    let last = path.rsplit(['.', ']']).next().unwrap_or(path);
    if last == "detail" {
        // GM has one word for all images of a request.
        return if leaf.text == "auto" { Rule::Idle } else { Rule::Wish(DETAIL) };
    }
    let text = |class| Rule::Text(class);
    let role = || role(request, &leaf.path);
    match protocol {
        Protocol::OpenAiChat => match path {
            "messages[].role" | "messages[].tool_calls[].index" | "messages[].content[].type" => Rule::Structure,
            "messages[].tool_calls[].type" => Rule::Structure,
            "messages[].content"
            | "messages[].content[].text"
            | "messages[].refusal"
            | "messages[].content[].refusal" => text(role()),
            // How OpenRouter lists pieces of thoughts.
            "messages[].reasoning_details[].type"
            | "messages[].reasoning_details[].format"
            | "messages[].reasoning_details[].index"
            | "messages[].reasoning_details[].id" => Rule::Structure,
            "messages[].reasoning_content" | "messages[].reasoning" | "messages[].reasoning_details[].text" => {
                text(Class::Reasoning)
            }
            _ if path.starts_with("messages[].tool_calls[].") => in_call(last),
            "messages[].tool_call_id" => Rule::Idle,
            "messages[].name" => Rule::Anywhere,
            "messages[].content[].image_url.url"
            | "messages[].content[].file.file_data"
            | "messages[].content[].input_audio.data"
            | "messages[].content[].video_url.url" => Rule::Data,
            "messages[].content[].input_audio.format" => Rule::Mime,
            _ => Rule::Exactly,
        },
        Protocol::OpenAiResponses => match path {
            "instructions" => text(Class::System),
            "input" => text(Class::User),
            "input[].role" | "input[].type" | "input[].content[].type" | "input[].output[].type" => Rule::Structure,
            "input[].summary[].type" => Rule::Structure,
            // Of items that this protocol numbers itself.
            "input[].id" | "input[].call_id" | "input[].status" => Rule::Idle,
            "input[].content[].text" if kind(request, &leaf.path) == "reasoning" => text(Class::Reasoning),
            "input[].content" | "input[].content[].text" | "input[].content[].refusal" => text(role()),
            "input[].summary[].text" => text(Class::Reasoning),
            "input[].output" | "input[].output[].text" => text(Class::Result),
            "input[].name" | "input[].arguments" | "input[].input" => in_call(last),
            _ if path.starts_with("input[].arguments") => in_call(last),
            _ if last == "image_url" || last == "file_url" || last == "file_data" || last == "data" => Rule::Data,
            _ if last == "format" && path.contains("input_audio") => Rule::Mime,
            _ => Rule::Exactly,
        },
        Protocol::AnthropicMessages => match path {
            "system" | "system[].text" => text(Class::System),
            "messages[].role" | "system[].type" => Rule::Structure,
            "messages[].content" | "messages[].content[].text" => text(role()),
            "messages[].content[].thinking" => text(Class::Reasoning),
            "messages[].content[].id" | "messages[].content[].tool_use_id" => Rule::Idle,
            "messages[].content[].is_error" if leaf.text == "false" => Rule::Idle,
            "messages[].content[].is_error" => Rule::Wish(&["contents[].parts[].function_response.response.error"]),
            "messages[].content[].name" | "messages[].content[].input" => in_call(last),
            _ if path.starts_with("messages[].content[].input.") || path.starts_with("messages[].content[].input[") => {
                Rule::Anywhere
            }
            "messages[].content[].content"
            | "messages[].content[].content[].text"
            | "messages[].content[].content[].content[].text" => text(Class::Result),
            "messages[].content[].source.data" if sibling(request, &leaf.path, "type") == "text" => text(role()),
            _ if last == "type" => Rule::Structure,
            _ if last == "media_type" => Rule::Mime,
            _ if path.ends_with("source.data") || path.ends_with("source.url") => Rule::Data,
            // Of a search result; others have its text under it.
            _ if last == "title" || last == "source" => Rule::Anywhere,
            _ => Rule::Exactly,
        },
        Protocol::GeminiGenerate => match path {
            "system_instruction.role" | "contents[].role" => Rule::Structure,
            "system_instruction.parts[].text" | "system_instruction.parts.text" => text(Class::System),
            "contents[].parts[].text" if sibling(request, &leaf.path, "thought") == "true" => text(Class::Reasoning),
            "contents[].parts[].text" => text(role()),
            "contents[].parts[].thought" => Rule::Structure,
            // The stand-in for a signature, as text or base64, is no state of any model.
            _ if leaf.text.starts_with("skip_thought_sig") || leaf.text.starts_with("c2tpcF90aG91Z2h0X3NpZ") => {
                Rule::Idle
            }
            _ if last == "id" => Rule::Idle,
            // The way to an argument, and whether more of it follows: `pairs` puts them together.
            _ if last == "json_path" || last == "will_continue" => Rule::Structure,
            _ if path.contains("function_call.partial_args") => Rule::Anywhere,
            _ if path.contains("function_call.args") => Rule::Anywhere,
            _ if path.contains("function_call.name") || path.contains("function_response.name") => Rule::Name,
            _ if path.contains("function_response.response") => Rule::Anywhere,
            _ if last == "mime_type" => Rule::Mime,
            _ if last == "data" || last == "file_uri" => Rule::Data,
            _ => Rule::Exactly,
        },
    }
}

fn in_call(last: &str) -> Rule {
    match last {
        "id" | "type" => Rule::Idle,
        "name" => Rule::Name,
        // The JSON text itself; what is in it is looked at leaf by leaf, and by the pairs.
        _ => Rule::Structure,
    }
}

/// The tool is not among those that may be called: protocols without such a list leave it out.
fn left_out(request: &Value, path: &str) -> bool {
    let config = ["toolConfig", "tool_config"].iter().find_map(|name| request.get(*name)).unwrap_or(&Value::Null);
    let calling = ["functionCallingConfig", "function_calling_config"].iter().find_map(|name| config.get(*name));
    let names = calling
        .and_then(|calling| {
            ["allowedFunctionNames", "allowed_function_names"].iter().find_map(|name| calling.get(*name))
        })
        .or_else(|| request["tool_choice"]["allowed_tools"].get("tools"))
        .or_else(|| request["tool_choice"].get("tools"));
    let Some(names) = names else { return false };
    let at = |path: &str| pointer(request, path);
    let mut prefix = String::new();
    path.split('.').any(|member| {
        prefix.push_str(if prefix.is_empty() { "" } else { "." });
        prefix.push_str(member);
        let tool = at(&prefix);
        let name = tool["name"].as_str().or(tool["function"]["name"].as_str());
        prefix.contains('[') && name.is_some_and(|name| !names.to_string().contains(&format!("\"{name}\"")))
    })
}

fn pointer<'v>(request: &'v Value, path: &str) -> &'v Value {
    let pointer: String =
        path.replace('[', ".").replace(']', "").split('.').map(|member| format!("/{member}")).collect();
    request.pointer(&pointer).unwrap_or(&Value::Null)
}

/// What items, parts or tools that only its own protocol has the leaf belongs to.
pub fn foreign(protocol: Protocol, request: &Value, path: &str) -> Vec<String> {
    const KNOWN: [&str; 22] = [
        "",
        "message",
        "function_call",
        "function_call_output",
        "custom_tool_call",
        "custom_tool_call_output",
        "reasoning",
        "text",
        "input_text",
        "output_text",
        "image",
        "input_image",
        "document",
        "input_file",
        "tool_use",
        "tool_result",
        "thinking",
        "redacted_thinking",
        "function",
        "custom",
        "refusal",
        "input_audio",
    ];
    let parts = path.split('.').scan(String::new(), |at, member| {
        at.push_str(if at.is_empty() { "" } else { "." });
        at.push_str(member);
        Some(at.clone())
    });
    let of = |path: String| pointer(request, &path);
    match protocol {
        Protocol::GeminiGenerate => ["executableCode", "codeExecutionResult", "toolCall", "toolResponse"]
            .into_iter()
            .filter(|name| path.split(['.', '[']).any(|member| super::norm(member) == super::norm(name)))
            .map(str::to_owned)
            .collect(),
        _ => parts
            .map(of)
            .filter_map(|value| value["type"].as_str().filter(|kind| !KNOWN.contains(kind)).map(str::to_owned))
            .collect(),
    }
}

fn item<'v>(request: &'v Value, path: &str) -> &'v Value {
    let at = |text: &str| -> Option<usize> { text.split_once('[')?.1.split_once(']')?.0.parse().ok() };
    let list = path.split('[').next().unwrap_or("");
    at(path).map_or(&Value::Null, |at| &request[list][at])
}

fn kind<'v>(request: &'v Value, path: &str) -> &'v str {
    item(request, path)["type"].as_str().unwrap_or("")
}

fn role(request: &Value, path: &str) -> Class {
    match item(request, path)["role"].as_str() {
        Some("assistant" | "model") => Class::Assistant,
        Some("system" | "developer") => Class::System,
        Some("tool" | "function") => Class::Result,
        _ => Class::User,
    }
}

/// Thinking that only its maker can read.
pub fn redacted(request: &Value, path: &str) -> bool {
    sibling(request, path, "type") == "redacted_thinking"
}

/// The member `name` beside the leaf at `path`.
fn sibling(request: &Value, path: &str, name: &str) -> String {
    let parent = path.rsplit_once('.').map_or("", |(parent, _)| parent);
    match &pointer(request, parent)[name] {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Members that a loss of a known feature covers, beside the one that it is named after.
pub fn covers(feature: &Feature) -> &'static [&'static str] {
    match feature {
        Feature::CacheControl => &["cache_control", "prompt_cache_breakpoint", "prompt_cache_options"],
        Feature::ReasoningState => &[
            "signature",
            "thought_signature",
            "encrypted_content",
            "reasoning_details",
            "thinking",
            "reasoning",
            "reasoning_content",
            "summary",
        ],
        Feature::Reasoning => {
            &["reasoning", "thinking", "thinking_config", "enable_thinking", "thinking_budget", "effort"]
        }
        Feature::ServerTool => &["tools", "web_search_options"],
        Feature::ToolChoice => &["tool_choice", "tool_config"],
        Feature::ParallelCalls => &["parallel_tool_calls", "disable_parallel_tool_use"],
        Feature::Citations => &["citations", "annotations"],
        Feature::Choices => &["n", "candidate_count"],
        Feature::Logprobs => &["logprobs", "top_logprobs", "response_logprobs"],
        Feature::ResponseFormat => &["response_format", "format", "response_mime_type", "response_schema"],
        Feature::OutputLimit => &["max_tokens", "max_completion_tokens", "max_output_tokens"],
        Feature::Metadata => &["metadata", "labels"],
        Feature::ImageOut => &["modalities", "response_modalities", "image_config"],
        Feature::AudioForm => &["audio", "speech_config"],
        Feature::AudioOut => &["modalities", "response_modalities", "audio"],
        Feature::Detail => &["detail", "media_resolution"],
        _ => &[],
    }
}
