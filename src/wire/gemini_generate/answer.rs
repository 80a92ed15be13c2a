//! The parts of a candidate on their way to a Gemini client, streamed or whole. Must never know how they are framed.

use std::borrow::Cow;

use super::grounding::{self, Said, Shown};
use super::{finish, logprobs, signature};
use crate::wire::Protocol;
use crate::wire::ir::{Citation, Feature, Finish, Losses, State};
use crate::wire::json::{Cursor, Json, Kind, LoneSurrogates, Str, Value};

/// Most bytes of a call's arguments, or of one image or sound.
pub const ARGS_BYTES_MAX: usize = 16 << 20;
pub const MEDIA_BYTES_MAX: usize = 64 << 20;
/// Most log probabilities of one candidate.
const LOGPROBS_MAX: usize = 1 << 16;
const ARGS_DEPTH_MAX: usize = 256;

/// What a candidate has said so far that its later parts or its end depend on.
#[derive(Debug, Default)]
pub struct Progress {
    /// State of a thought without text, on its way to the next text or call: clients keep those and drop thoughts.
    held: Option<Str<'static>>,
    pub said: Said,
    shown: Vec<Shown>,
    logprobs: Vec<Value<'static>>,
}

/// One part, ready to be written.
pub enum Part<'p> {
    Text { text: Str<'p>, thought: bool, signature: Option<Str<'p>> },
    Call { id: Option<Str<'p>>, name: Str<'p>, args: Args<'p>, signature: Option<Str<'p>> },
    Data { mime: Cow<'p, str>, data: Str<'p> },
    Url { mime: &'p str, url: Str<'p> },
    Raw(&'p Value<'p>),
}

pub enum Args<'p> {
    Json(Cow<'p, str>),
    /// Of a free-form tool.
    Input(Str<'p>),
    /// What is no object, such as arguments that broke off.
    Broken(Str<'p>),
}

impl Part<'_> {
    pub fn write(&self, json: &mut Json<'_>) {
        if let Part::Raw(value) = self {
            return json.value(value);
        }
        json.object(|json| match self {
            Part::Text { text, thought, signature } => {
                json.key("text").str(text);
                if *thought {
                    json.key("thought").bool(true);
                }
                signature.iter().for_each(|signature| json.key("thoughtSignature").str(signature));
            }
            Part::Call { id, name, args, signature } => {
                json.key("functionCall").object(|json| {
                    id.iter().for_each(|id| json.key("id").str(id));
                    json.key("name").str(name);
                    match args {
                        Args::Json(args) => json.key("args").raw(args),
                        Args::Input(text) => json.key("args").object(|json| json.key("input").str(text)),
                        Args::Broken(text) => json.key("args").object(|json| json.key("_raw").str(text)),
                    }
                });
                signature.iter().for_each(|signature| json.key("thoughtSignature").str(signature));
            }
            Part::Data { mime, data } => json.key("inlineData").object(|json| {
                json.key("mimeType").text(mime);
                json.key("data").str(data);
            }),
            Part::Url { mime, url } => json.key("fileData").object(|json| {
                if !mime.is_empty() {
                    json.key("mimeType").text(mime);
                }
                json.key("fileUri").str(url);
            }),
            Part::Raw(_) => {}
        });
    }
}

impl Progress {
    /// What the next text or call carries: state of its own, else that of the thought before it.
    pub fn carried<'p>(&mut self, own: Option<&'p State<'_>>) -> Option<Str<'p>> {
        match own {
            Some(state) => Some(signature::carried(state, false)),
            None => self.held.take(),
        }
    }

    /// The end of a thought. Its state comes back on the thought itself where the text must come back with it, else on what
    /// follows; the signature for a part of its own is given back.
    pub fn thought_ends(&mut self, state: &State<'_>, redacted: bool, shown: bool) -> Option<Str<'static>> {
        let carried = signature::carried(state, redacted).into_owned();
        let with_text = match state.origin {
            Protocol::GeminiGenerate => true,
            Protocol::AnthropicMessages | Protocol::OpenAiChat => shown && !redacted,
            Protocol::OpenAiResponses => false,
        };
        if with_text { Some(carried) } else { self.held.replace(carried) }
    }

    /// State that found no part.
    pub fn left(&mut self) -> Option<Str<'static>> {
        self.held.take()
    }

    /// A call, as far as its arguments came.
    pub fn call<'p>(
        &mut self,
        (id, name, custom): (Option<&'p Str<'_>>, &'p Str<'_>, bool),
        args: &'p Str<'_>,
        state: Option<&'p State<'_>>,
    ) -> Part<'p> {
        let args = if custom {
            Args::Input(args.borrowed())
        } else {
            let json = args.decode();
            match json.trim() {
                "" | "null" => Args::Json(Cow::Borrowed("{}")),
                text if is_object(text) => Args::Json(json),
                _ => Args::Broken(args.borrowed()),
            }
        };
        let signature = self.carried(state);
        Part::Call { id: id.map(Str::borrowed), name: name.borrowed(), args, signature }
    }

    pub fn cite(&mut self, block: u32, citation: Citation<'static>, losses: &mut Losses) {
        if self.shown.len() == grounding::CITATIONS_MAX {
            losses.dropped(Feature::Citations);
        } else {
            self.shown.push(Shown { block, citation });
        }
    }

    pub fn probable(&mut self, list: &Value<'_>, losses: &mut Losses) {
        let list = list.as_array().unwrap_or(std::slice::from_ref(list));
        let room = LOGPROBS_MAX - self.logprobs.len();
        if list.len() > room {
            losses.dropped(Feature::Logprobs);
        }
        self.logprobs.extend(list.iter().take(room).map(|value| value.clone().into_owned()));
    }

    /// What stands beside the content of a candidate's end.
    pub fn write_end(&self, json: &mut Json<'_>, finish: &Finish<'_>) {
        json.key("finishReason").text(finish::word(finish));
        finish.message.iter().for_each(|message| json.key("finishMessage").str(message));
        if !self.shown.is_empty() {
            grounding::write(json.key("groundingMetadata"), &self.shown, &self.said);
        }
        if !self.logprobs.is_empty() {
            logprobs::write(json.key("logprobsResult"), &self.logprobs);
        }
    }
}

fn is_object(json: &str) -> bool {
    let mut cursor = Cursor::new(json.as_bytes(), ARGS_DEPTH_MAX, LoneSurrogates::Allowed);
    cursor.kind() == Ok(Kind::Object) && cursor.ignore().is_ok() && cursor.end().is_ok()
}

/// Whether leaving a block of another protocol's server tool out loses something: its result, not that it was called.
pub fn foreign_is_loss(what: &str) -> bool {
    !what.ends_with("_use")
}
