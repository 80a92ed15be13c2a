//! Composes the answer to what was asked, whatever protocol it is written in. Must never know sockets or the clock.

use std::borrow::Cow;

use serde_json::json;

use super::ask::{Ask, Format, Last, Outcome, Thinking, Tool};
use super::cache::Cached;
use super::knobs::{CHUNKS_MAX, Filter, Knobs, TEXT_BYTES_MAX};
use super::orders;
use super::put::{CHUNK_BYTES_DEFAULT, Pieces, TOKEN_BYTES, WORDS_BYTES_MAX, clip, filler, tokens};
use super::sample::sample;

const GREETING: &str = "Hello from the demo upstream.";
const REFUSING: &str = "The demo upstream does not talk about this.";
/// Bytes of the user's words that come back.
const ECHO_BYTES_MAX: usize = 400;
/// Bytes of the user's words that are thought about.
const THOUGHT_BYTES_MAX: usize = 100;
const CHUNKS_DEFAULT: usize = 16;
/// Place of the send time in a stamped chunk: `@`, 20 digits, `@`.
pub(super) const STAMP: &str = "@00000000000000000000@";
/// Words of the user that ask for something which no protocol has a field for.
const PARALLEL: &str = "parallel";
const ALOUD: &str = "aloud";
const REDACTED: &str = "redacted";

/// What makes one call different from every other: fixed by the seed and the call's number.
#[derive(Debug, Clone)]
pub(super) struct Identity {
    /// 24 hexadecimal digits, the tail of every id in the answer.
    pub id: String,
    pub request_id: String,
    /// Unix seconds.
    pub created: u64,
}

/// An answer, ready to be written. Every choice says the same.
#[derive(Debug)]
pub(super) struct Reply<'a> {
    /// What is told of the thinking. Empty when it is done and not told.
    pub reasoning: Option<String>,
    /// Another thought that only its maker can read.
    pub redacted: bool,
    pub text: Option<Text>,
    pub calls: Vec<Call<'a>>,
    pub finish: Finish<'a>,
    pub counts: Counts,
}

#[derive(Debug)]
pub(super) struct Text {
    pub text: String,
    pub cut: Pieces,
}

#[derive(Debug)]
pub(super) struct Call<'a> {
    pub namespace: Option<Cow<'a, str>>,
    pub name: Cow<'a, str>,
    pub custom: bool,
    /// JSON, or free text for a custom tool.
    pub arguments: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Finish<'a> {
    Done,
    /// Cut before this text.
    Stop(Cow<'a, str>),
    Length,
    Calls,
    /// A filter stopped the answer.
    Filtered,
    /// The text is a refusal.
    Refused,
}

/// Tokens. `prompt` includes what was cached, `completion` includes the reasoning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Counts {
    pub prompt: u64,
    pub cached: Cached,
    pub completion: u64,
    pub reasoning: u64,
}

/// The finaliser of SplitMix64: spreads every bit of the input over the output.
pub(super) fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

impl Counts {
    pub fn total(&self) -> u64 {
        self.prompt + self.completion
    }
}

impl<'a> Reply<'a> {
    pub fn compose(ask: &'a Ask<'a>, knobs: &Knobs, cached: Cached) -> Reply<'a> {
        let reasoning = reasoning(ask, knobs);
        let mut thought_tokens = reasoning.as_deref().map_or(0, |text| tokens(text.len()));
        let thought_max = ask.output_tokens_max.unwrap_or(u64::MAX);
        let spent = thought_tokens >= thought_max;
        thought_tokens = thought_tokens.min(thought_max);
        let calls = if spent || knobs.filter.is_some() { Vec::new() } else { calls(ask, knobs) };
        let (text, finish) = match (&calls[..], knobs.filter) {
            _ if spent => (None, Finish::Length),
            ([], Some(Filter::Refused)) => (Some(Text::words(REFUSING.to_owned())), Finish::Refused),
            ([], filter) => {
                let (text, finish) = text(ask, knobs, thought_max - thought_tokens);
                (Some(text), if filter.is_some() { Finish::Filtered } else { finish })
            }
            _ if ask.says(ALOUD) => (Some(Text::words(format!("{GREETING} A tool can tell."))), Finish::Calls),
            _ => (None, Finish::Calls),
        };
        let bytes = text.as_ref().map_or(0, |text| text.text.len())
            + calls.iter().map(|call| call.name.len() + call.arguments.len()).sum::<usize>();
        let told = match ask.thinking {
            Thinking::Hidden => Some(String::new()),
            Thinking::Off | Thinking::Shown => {
                let bytes_max = usize::try_from(thought_max).unwrap_or(usize::MAX).saturating_mul(TOKEN_BYTES);
                reasoning.as_deref().map(|text| clip(text, bytes_max).to_owned())
            }
        };
        let said_tokens = if spent { 0 } else { tokens(bytes) };
        Reply {
            redacted: told.is_some() && ask.says(REDACTED),
            reasoning: told,
            text,
            calls,
            finish,
            counts: Counts {
                prompt: ask.prompt.prefix.tokens(),
                cached,
                completion: (thought_tokens + said_tokens) * u64::from(ask.choices),
                reasoning: thought_tokens * u64::from(ask.choices),
            },
        }
    }
}

impl Text {
    fn words(text: String) -> Text {
        Text { text, cut: Pieces::Words }
    }
}

impl Ask<'_> {
    /// The user's last words hold this one, near their beginning.
    fn says(&self, word: &str) -> bool {
        self.prompt.user_text.as_deref().is_some_and(|text| clip(text, ECHO_BYTES_MAX).contains(word))
    }
}

fn reasoning(ask: &Ask<'_>, knobs: &Knobs) -> Option<String> {
    if let Some(bytes) = knobs.reasoning_bytes {
        return Some(filler(bytes / ask.choices as usize));
    }
    let said = ask.prompt.user_text.as_deref().unwrap_or_default();
    (ask.thinking != Thinking::Off)
        .then(|| format!("Someone said: {} A short answer will do.", clip(said, THOUGHT_BYTES_MAX)))
}

/// The calls of an answer: those that the user orders, else several when the user's words or the knob ask for it.
fn calls<'a>(ask: &'a Ask<'a>, knobs: &Knobs) -> Vec<Call<'a>> {
    let ordered = orders::calls(ask);
    if !ordered.is_empty() {
        return ordered;
    }
    let first = ask.tool_to_call();
    if first.is_none() && knobs.calls.is_none() {
        return Vec::new();
    }
    let bytes_max = TEXT_BYTES_MAX / ask.choices as usize;
    let count = match knobs.calls {
        Some(count) => count as usize,
        None if ask.says(PARALLEL) && !ask.single_call => 2,
        None => 1,
    };
    match first {
        Some(first) => {
            let after = ask.tools.iter().position(|tool| std::ptr::eq(tool, first)).map_or(0, |place| place + 1);
            let others = ask.tools[after..].iter().chain(&ask.tools[..after]);
            let free = ask.tool_choice == super::ask::ToolChoice::Any;
            let cycle = others.cycle().filter(|tool| free || tool.name == first.name);
            std::iter::once(first).chain(cycle).take(count).map(|tool| call(tool, bytes_max / count)).collect()
        }
        None => (0..count).map(|_| weather_call()).collect(),
    }
}

fn call<'a>(tool: &Tool<'a>, bytes_max: usize) -> Call<'a> {
    let arguments = if tool.custom {
        "example".to_owned()
    } else {
        let schema = tool.parameters.and_then(super::ask::Schema::value).unwrap_or_else(|| json!({"type": "object"}));
        let arguments = sample(&schema).to_string();
        if arguments.len() > bytes_max || !arguments.starts_with('{') { "{}".to_owned() } else { arguments }
    };
    Call { namespace: None, name: tool.name.clone(), custom: tool.custom, arguments }
}

/// The call for `o1` when the request brings no tool.
fn weather_call() -> Call<'static> {
    let arguments = json!({ "city": "Paris" }).to_string();
    Call { namespace: None, name: "get_weather".into(), custom: false, arguments }
}

fn text<'a>(ask: &'a Ask<'a>, knobs: &Knobs, tokens_max: u64) -> (Text, Finish<'a>) {
    let (mut text, cut) = filler_text(ask, knobs).unwrap_or_else(|| (words(ask), Pieces::Words));
    text.truncate(clip(&text, TEXT_BYTES_MAX / ask.choices as usize).len());
    let mut finish = Finish::Done;
    let first = ask.stops.iter().filter(|stop| !stop.is_empty()).filter_map(|stop| Some((text.find(&**stop)?, stop)));
    if let Some((at, stop)) = first.min_by_key(|(at, _)| *at) {
        text.truncate(at);
        finish = Finish::Stop(stop.clone());
    }
    let bytes_max = tokens_max.max(1).saturating_mul(TOKEN_BYTES as u64);
    if text.len() as u64 > bytes_max {
        text.truncate(clip(&text, bytes_max as usize).len());
        finish = Finish::Length;
    }
    (Text { text, cut }, finish)
}

/// The text that the size knobs ask for, if any.
fn filler_text(ask: &Ask<'_>, knobs: &Knobs) -> Option<(String, Pieces)> {
    let text_bytes_max = TEXT_BYTES_MAX / ask.choices as usize;
    if let Some(bytes) = knobs.whole_bytes.filter(|_| !ask.stream || (knobs.chunks, knobs.chunk_bytes) == (None, None))
    {
        let bytes = bytes.min(text_bytes_max);
        return Some((filler(bytes), Pieces::Bytes((bytes / WORDS_BYTES_MAX).max(CHUNK_BYTES_DEFAULT))));
    }
    if knobs.chunks.is_none() && knobs.chunk_bytes.is_none() && !knobs.stamp {
        return None;
    }
    let stamp = if knobs.stamp && ask.stream { STAMP } else { "" };
    let chunk_bytes = knobs.chunk_bytes.unwrap_or(CHUNK_BYTES_DEFAULT).clamp(stamp.len().max(1), text_bytes_max);
    let chunks_max = (text_bytes_max / chunk_bytes).min(CHUNKS_MAX / ask.choices as usize);
    let chunks = knobs.chunks.unwrap_or(CHUNKS_DEFAULT).min(chunks_max);
    let chunk = format!("{stamp}{}", filler(chunk_bytes - stamp.len()));
    Some((chunk.repeat(chunks), Pieces::Bytes(chunk_bytes)))
}

/// Something to read: the JSON that was asked for, the tools' answers, or the user's words; and what was to be seen.
fn words(ask: &Ask<'_>) -> String {
    match &ask.format {
        Some(Format::Schema(schema)) => return sample(schema).to_string(),
        Some(Format::Json) => return json!({ "answer": GREETING }).to_string(),
        None => {}
    }
    let mut text = match (&ask.prompt.last, ask.prompt.user_text.as_deref()) {
        (Last::Results, _) => answered(&ask.prompt.results),
        (_, Some(said)) if !said.is_empty() => format!("{GREETING} You said: {}", clip(said, ECHO_BYTES_MAX)),
        _ => GREETING.to_owned(),
    };
    for (noun, start) in [("image", "image/"), ("recording", "audio/"), ("video", "video/"), ("file", "")] {
        see(noun, start, &ask.prompt.media, &mut text);
    }
    text
}

/// ` I saw 2 images: image/png, url.`
fn see(noun: &str, start: &str, media: &[Cow<'_, str>], text: &mut String) {
    let known = ["image/", "audio/", "video/"];
    let fits = |kind: &&Cow<'_, str>| match start {
        "" => !known.iter().any(|start| kind.starts_with(start)),
        _ => kind.starts_with(start),
    };
    let kinds: Vec<&str> = media.iter().filter(fits).map(|kind| clip(kind, THOUGHT_BYTES_MAX)).collect();
    if !kinds.is_empty() {
        let plural = if kinds.len() > 1 { "s" } else { "" };
        text.push_str(&format!(" I saw {} {noun}{plural}: {}.", kinds.len(), clip(&kinds.join(", "), ECHO_BYTES_MAX)));
    }
}

fn answered(results: &[Outcome<'_>]) -> String {
    let tools = if results.len() > 1 { "tools" } else { "tool" };
    let verb = if results.iter().any(|result| result.failed) { "failed" } else { "answered" };
    let texts: Vec<&str> = results.iter().map(|result| clip(&result.text, ECHO_BYTES_MAX)).collect();
    format!("{GREETING} The {tools} {verb}: {}", clip(&texts.join("; "), 4 * ECHO_BYTES_MAX))
}
