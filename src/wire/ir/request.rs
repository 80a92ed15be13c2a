//! A request as all protocols mean it, borrowing from the client's body. Must never know one protocol's spelling.
//!
//! Order is kept: of turns, of parts within a turn, of members within a schema. What only one protocol can say travels as
//! an `Extra`, so that a writer of that protocol says it again and every other writer records its loss.

use std::borrow::Cow;

use super::loss::{Losses, Refusal};
use super::state::State;
use crate::wire::Protocol;
use crate::wire::json::{Str, Value};

#[derive(Debug, Clone, PartialEq)]
pub struct Request<'a> {
    /// Whose request it was.
    pub protocol: Protocol,
    pub model: Cow<'a, str>,
    pub stream: bool,
    /// In order, system turns included.
    pub turns: Vec<Turn<'a>>,
    pub tools: Vec<Tool<'a>>,
    pub tool_choice: Option<ToolChoice<'a>>,
    /// `Some(false)`: at most one call in an answer.
    pub parallel_calls: Option<bool>,
    /// Output tokens, reasoning included.
    pub output_tokens_max: Option<u64>,
    pub format: Option<Format<'a>>,
    pub stop: Vec<Str<'a>>,
    /// How many answers (`n`, `candidateCount`).
    pub choices: Option<u64>,
    /// Numbers as they were written.
    pub temperature: Option<Cow<'a, str>>,
    pub top_p: Option<Cow<'a, str>>,
    pub top_k: Option<Cow<'a, str>>,
    pub presence_penalty: Option<Cow<'a, str>>,
    pub frequency_penalty: Option<Cow<'a, str>>,
    pub seed: Option<Cow<'a, str>>,
    /// Log probabilities are asked for.
    pub logprobs: Option<bool>,
    pub top_logprobs: Option<u64>,
    /// low, medium, high.
    pub verbosity: Option<Str<'a>>,
    pub reasoning: Option<ReasoningWish<'a>>,
    /// In the client's own words: `auto`, `flex`, `standard_only`, `PRIORITY`.
    pub service_tier: Option<Str<'a>>,
    /// The end user: `user`, `metadata.user_id`.
    pub user: Option<Str<'a>>,
    pub safety_identifier: Option<Str<'a>>,
    /// OpenAI's `metadata`, Vertex' `labels`: an object of texts.
    pub metadata: Option<Value<'a>>,
    pub prompt_cache_key: Option<Str<'a>>,
    /// Sound is asked for: `{voice, format}` as OpenAI has it.
    pub audio_out: Option<Value<'a>>,
    /// An image is asked for beside or in place of text.
    pub image_out: bool,
    /// Cache everything up to the last part that can be (AM's top-level `cache_control`).
    pub cache_all: Option<CacheMark<'a>>,
    /// What only this request's protocol can say, at the top level.
    pub extra: Vec<Extra<'a>>,
}

impl<'a> Request<'a> {
    pub fn new(protocol: Protocol, model: impl Into<Cow<'a, str>>) -> Request<'a> {
        Request {
            protocol,
            model: model.into(),
            stream: false,
            turns: Vec::new(),
            tools: Vec::new(),
            tool_choice: None,
            parallel_calls: None,
            output_tokens_max: None,
            format: None,
            stop: Vec::new(),
            choices: None,
            temperature: None,
            top_p: None,
            top_k: None,
            presence_penalty: None,
            frequency_penalty: None,
            seed: None,
            logprobs: None,
            top_logprobs: None,
            verbosity: None,
            reasoning: None,
            service_tier: None,
            user: None,
            safety_identifier: None,
            metadata: None,
            prompt_cache_key: None,
            audio_out: None,
            image_out: false,
            cache_all: None,
            extra: Vec::new(),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    System,
    Developer,
    User,
    Assistant,
    /// Results of calls that stand in a message of their own (CC `tool`, RS `function_call_output`). AM and GM put them into
    /// a user turn.
    Tool,
}

/// Where a system turn stood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In a field of its own: AM `system`, RS `instructions`, GM `systemInstruction`.
    Lead,
    /// Among the messages.
    Inline,
}

/// One message, or one item of RS.
#[derive(Debug, Clone, PartialEq)]
pub struct Turn<'a> {
    pub role: Role,
    pub place: Place,
    pub parts: Vec<Part<'a>>,
    /// The content was a bare string; it has then exactly one text part.
    pub bare: bool,
    /// `name` of a CC message.
    pub name: Option<Str<'a>>,
    pub extra: Vec<Extra<'a>>,
}

impl<'a> Turn<'a> {
    pub fn new(role: Role, parts: Vec<Part<'a>>) -> Turn<'a> {
        Turn { role, place: Place::Inline, parts, bare: false, name: None, extra: Vec::new() }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Part<'a> {
    pub kind: PartKind<'a>,
    pub cache: Option<CacheMark<'a>>,
    /// Opaque state of the model that made it, which must come back with it: a `Reasoning` (AM signature or redacted data, RS
    /// encrypted content), or a text or call with GM's `thoughtSignature`.
    pub state: Option<State<'a>>,
    pub extra: Vec<Extra<'a>>,
}

impl<'a> Part<'a> {
    pub fn new(kind: PartKind<'a>) -> Part<'a> {
        Part { kind, cache: None, state: None, extra: Vec::new() }
    }

    pub fn text(text: impl Into<Str<'a>>) -> Part<'a> {
        Part::new(PartKind::Text(text.into()))
    }
}

#[derive(Debug, Clone, PartialEq)]
pub enum PartKind<'a> {
    Text(Str<'a>),
    Refusal(Str<'a>),
    Media(Media<'a>),
    Reasoning(Reasoning<'a>),
    Call(Call<'a>),
    Result(CallResult<'a>),
    /// Something that only one protocol has (server tool calls and their results, citations documents, code parts). `what`
    /// names it for people (`web_search_call`); `raw` is the whole part or item. `class` says what other protocols do: drop
    /// it (with a loss) or refuse.
    Foreign {
        protocol: Protocol,
        what: Cow<'a, str>,
        raw: Value<'a>,
        class: Class,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MediaKind {
    Image,
    /// PDF or text files.
    Document,
    Audio,
    Video,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Media<'a> {
    pub kind: MediaKind,
    pub source: Source<'a>,
    /// File name or title.
    pub name: Option<Str<'a>>,
    /// Image detail in OpenAI's words: auto, low, high, original.
    pub detail: Option<Str<'a>>,
    /// What AM documents have beside.
    pub document: Option<Box<Document<'a>>>,
}

/// AM's `context` and `citations` of a document.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Document<'a> {
    pub context: Option<Str<'a>>,
    pub citations: Option<Value<'a>>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Source<'a> {
    /// `mime` in lower case, e.g. `image/png`, `audio/wav`, `application/pdf`; empty when unknown.
    Base64 {
        mime: Cow<'a, str>,
        data: Str<'a>,
    },
    Url {
        mime: Option<Cow<'a, str>>,
        url: Str<'a>,
    },
    /// An upload that only its own vendor knows.
    File {
        id: Str<'a>,
        mime: Option<Cow<'a, str>>,
    },
    /// A plain text document.
    Text(Str<'a>),
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reasoning<'a> {
    /// Thinking as it was shown. RS has several summaries; others have at most one.
    pub text: Vec<Str<'a>>,
    /// RS `content` (`reasoning_text`) of open models, apart from the summary.
    pub full: Vec<Str<'a>>,
    /// AM `redacted_thinking`: nothing to show, only state.
    pub redacted: bool,
    /// RS item id (`rs_…`).
    pub id: Option<Str<'a>>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Call<'a> {
    /// `None` where the protocol had none (GM before 3).
    pub id: Option<Str<'a>>,
    pub name: Str<'a>,
    pub arguments: Arguments<'a>,
    /// A free-form tool: the arguments are plain text.
    pub custom: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Arguments<'a> {
    /// JSON as a text (CC, RS); may be empty or, from a model, no JSON at all.
    Text(Str<'a>),
    /// An object (AM, GM).
    Object(Value<'a>),
}

#[derive(Debug, Clone, PartialEq)]
pub struct CallResult<'a> {
    pub call_id: Option<Str<'a>>,
    /// GM names the function; others leave it to the call.
    pub name: Option<Str<'a>>,
    /// Texts and media.
    pub content: Vec<Part<'a>>,
    /// The content was a bare string.
    pub bare: bool,
    pub is_error: bool,
    /// Of a free-form tool.
    pub custom: bool,
    /// GM's `response` object as it came; `content` holds the same as text.
    pub response: Option<Value<'a>>,
}

/// A mark up to which a prompt is cached; `ttl` in AM's words (`5m`, `1h`) or OpenAI's (`30m`).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CacheMark<'a> {
    pub ttl: Option<Str<'a>>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Tool<'a> {
    pub kind: ToolKind<'a>,
    pub cache: Option<CacheMark<'a>>,
    pub extra: Vec<Extra<'a>>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum ToolKind<'a> {
    Function {
        name: Str<'a>,
        description: Option<Str<'a>>,
        parameters: Option<Value<'a>>,
        dialect: SchemaDialect,
        strict: Option<bool>,
    },
    /// Takes free text.
    Custom { name: Str<'a>, description: Option<Str<'a>>, format: Option<Value<'a>> },
    /// Run by the vendor. `raw` is the tool as it came.
    Server { protocol: Protocol, kind: ServerTool<'a>, raw: Value<'a> },
}

#[derive(Debug, Clone, PartialEq)]
pub enum ServerTool<'a> {
    WebSearch(WebSearch<'a>),
    WebFetch,
    CodeExecution,
    /// Looks through tools that the model does not see at first. Others see all tools from the start.
    ToolSearch,
    /// Only its own protocol has it: every other one refuses. The name as it came: `file_search`, `computer_use_preview`.
    Other(Cow<'a, str>),
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct WebSearch<'a> {
    pub max_uses: Option<u64>,
    pub allowed_domains: Vec<Str<'a>>,
    pub blocked_domains: Vec<Str<'a>>,
    /// `{type:"approximate",city,region,country,timezone}`
    pub user_location: Option<Value<'a>>,
    /// low, medium, high.
    pub context_size: Option<Str<'a>>,
}

impl WebSearch<'_> {
    /// What a place of a user is made of.
    pub const PLACE: [&'static str; 5] = ["type", "city", "region", "country", "timezone"];

    /// A user's place without what is not known of it.
    pub fn place<'a>(place: &Value<'a>) -> Option<Value<'a>> {
        let mut known = place.as_object()?.clone();
        known.members.retain(|(name, _)| WebSearch::PLACE.iter().any(|known| name == known));
        Some(Value::Object(known))
    }
}

/// How a schema is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SchemaDialect {
    JsonSchema,
    /// GM `parameters` and `responseSchema`: type names in upper case, `nullable`.
    OpenApi,
}

#[derive(Debug, Clone, PartialEq)]
pub enum ToolChoice<'a> {
    Auto,
    None,
    Required,
    One {
        name: Str<'a>,
        custom: bool,
    },
    /// A subset of the tools. `required`: one of them must be called.
    Allowed {
        required: bool,
        names: Vec<Str<'a>>,
    },
    /// GM `VALIDATED`: calls, if any, obey their schema.
    Validated {
        names: Vec<Str<'a>>,
    },
    /// A server tool, in its protocol's own form.
    Hosted {
        protocol: Protocol,
        raw: Value<'a>,
    },
}

#[derive(Debug, Clone, PartialEq)]
pub enum Format<'a> {
    Text,
    /// Any JSON object.
    Json,
    Schema {
        name: Option<Str<'a>>,
        description: Option<Str<'a>>,
        schema: Value<'a>,
        dialect: SchemaDialect,
        strict: Option<bool>,
    },
}

/// How hard to think, least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Effort {
    None,
    Minimal,
    Low,
    Medium,
    High,
    Xhigh,
    Max,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReasoningMode {
    /// AM `enabled` with a budget.
    Enabled,
    /// The model decides.
    Adaptive,
    Disabled,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct ReasoningWish<'a> {
    pub mode: Option<ReasoningMode>,
    pub effort: Option<Effort>,
    /// Tokens; -1 = the model decides (GM).
    pub budget: Option<i64>,
    /// Whether thinking is to be shown; RS `summary` present, AM `display`, GM `includeThoughts`.
    pub show: Option<bool>,
    /// RS `auto|concise|detailed`, AM `summarized|omitted`, as it came.
    pub display: Option<Str<'a>>,
}

/// What other protocols do with something that only one can say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Not known to us: a loss, and a 400 under strict.
    Unknown,
    /// Known, and of no great consequence: a loss, and a 400 under strict.
    Dropped,
    /// Leaving it out would change what the answer means: always a 400.
    Refused,
    /// Says nothing to another vendor (`store: false`, an obfuscation switch): neither loss nor error.
    Idle,
}

/// A field that only one protocol can say.
#[derive(Debug, Clone, PartialEq)]
pub struct Extra<'a> {
    pub protocol: Protocol,
    /// The whole way to it, in the client's spelling: `messages[2].content[0].foo`.
    pub path: Cow<'a, str>,
    /// The member's own name.
    pub name: Str<'a>,
    pub value: Value<'a>,
    pub class: Class,
}

/// Records what a writer of `protocol` leaves out of fields that only another protocol can say; a `Refusal` where one of them
/// may not be left out.
pub fn leave_out(extras: &[Extra<'_>], protocol: Protocol, losses: &mut Losses) -> Result<(), Refusal> {
    for extra in extras.iter().filter(|extra| extra.protocol != protocol && !is_alike(extra, protocol)) {
        match extra.class {
            Class::Unknown | Class::Dropped => losses.field(&extra.path),
            Class::Refused => {
                let message = format!("{} cannot be sent to this model's upstream: leave it out", extra.path);
                return Err(Refusal::new(extra.path.as_ref(), message));
            }
            Class::Idle => {}
        }
    }
    Ok(())
}

/// Top-level fields that OpenAI's two protocols have alike, and no other.
const ALIKE: [&str; 3] = ["prompt_cache_options", "prompt_cache_retention", "moderation"];

fn is_alike(extra: &Extra<'_>, protocol: Protocol) -> bool {
    let openai = |protocol| matches!(protocol, Protocol::OpenAiChat | Protocol::OpenAiResponses);
    openai(extra.protocol)
        && openai(protocol)
        && extra.class == Class::Dropped
        && ALIKE.iter().any(|name| extra.path == *name)
}

/// The fields of OpenAI's other protocol that a writer of `protocol` says as they came.
pub fn said_alike<'e, 'a>(extras: &'e [Extra<'a>], protocol: Protocol) -> impl Iterator<Item = &'e Extra<'a>> {
    extras.iter().filter(move |extra| extra.protocol != protocol && is_alike(extra, protocol))
}

/// The fields that a writer of `protocol` says again.
pub fn said_again<'e, 'a>(extras: &'e [Extra<'a>], protocol: Protocol) -> impl Iterator<Item = &'e Extra<'a>> {
    extras.iter().filter(move |extra| extra.protocol == protocol)
}

impl<'a> Request<'a> {
    /// The URLs of media, with what they are, in order; those inside results of calls too.
    pub fn media_urls(&self) -> Vec<(MediaKind, String)> {
        let mut urls = Vec::new();
        for turn in &self.turns {
            each_media(&turn.parts, &mut |media| {
                if let Source::Url { url, .. } = &media.source {
                    urls.push((media.kind, url.decode().into_owned()));
                }
            });
        }
        urls
    }

    /// Puts fetched bytes in the place of a URL, wherever it stands. `data` is base64.
    pub fn inline(&mut self, url: &str, mime: &str, data: &str) {
        for turn in &mut self.turns {
            each_media_mut(&mut turn.parts, &mut |media| {
                if matches!(&media.source, Source::Url { url: known, .. } if *known == url) {
                    media.source =
                        Source::Base64 { mime: Cow::Owned(mime.to_owned()), data: Str::plain(data.to_owned()) };
                }
            });
        }
    }
}

fn each_media<'a>(parts: &[Part<'a>], each: &mut dyn FnMut(&Media<'a>)) {
    for part in parts {
        match &part.kind {
            PartKind::Media(media) => each(media),
            PartKind::Result(result) => each_media(&result.content, each),
            PartKind::Text(_)
            | PartKind::Refusal(_)
            | PartKind::Reasoning(_)
            | PartKind::Call(_)
            | PartKind::Foreign { .. } => {}
        }
    }
}

fn each_media_mut<'a>(parts: &mut [Part<'a>], each: &mut dyn FnMut(&mut Media<'a>)) {
    for part in parts {
        match &mut part.kind {
            PartKind::Media(media) => each(media),
            PartKind::Result(result) => each_media_mut(&mut result.content, each),
            PartKind::Text(_)
            | PartKind::Refusal(_)
            | PartKind::Reasoning(_)
            | PartKind::Call(_)
            | PartKind::Foreign { .. } => {}
        }
    }
}
