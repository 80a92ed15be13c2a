//! Writes events as a Gemini generateContent stream. No comment ever: Google's own client fails on one.

use std::borrow::Cow;

use super::answer::{ARGS_BYTES_MAX, MEDIA_BYTES_MAX, Part, Progress, foreign_is_loss};
use super::{errors, usage};
use crate::wire::Protocol;
use crate::wire::Usage;
use crate::wire::ir::{
    BlockKind, Delta, Event, EventWriter, Feature, Finish, Framing, Losses, Start, State, UpstreamError, WriterSetup,
};
use crate::wire::json::{Json, Str};

pub struct GeminiWriter {
    setup: WriterSetup,
    losses: Losses,
    /// The members that close every object: model and id.
    names: Vec<u8>,
    choices: Vec<Choice>,
    usage: Option<Usage>,
    /// Something was written.
    begun: bool,
    ended: bool,
}

struct Choice {
    index: u32,
    open: Option<Open>,
    progress: Progress,
    finish: Option<Finish<'static>>,
}

struct Open {
    block: u32,
    kind: BlockKind<'static>,
    state: Option<State<'static>>,
    /// Arguments or data as a token, until they are whole.
    gathered: String,
    url: Option<Str<'static>>,
    overlong: bool,
    /// Text of it was written.
    shown: bool,
}

impl GeminiWriter {
    pub fn new(setup: WriterSetup) -> GeminiWriter {
        let mut writer = GeminiWriter {
            setup,
            losses: Losses::default(),
            names: Vec::new(),
            choices: Vec::new(),
            usage: None,
            begun: false,
            ended: false,
        };
        writer.name(&Start::default());
        writer
    }

    fn name(&mut self, start: &Start<'_>) {
        self.names.clear();
        self.names.extend_from_slice(b",\"modelVersion\":");
        let model = start.model.as_ref().map(Str::borrowed).unwrap_or_else(|| Str::plain(self.setup.model.as_str()));
        Json::new(&mut self.names).str(&model);
        self.names.extend_from_slice(b",\"responseId\":");
        let id = start.id.as_ref().map(Str::borrowed).unwrap_or_else(|| Str::plain(self.setup.call_id.as_str()));
        Json::new(&mut self.names).str(&id);
    }

    fn choice(&mut self, index: u32) -> usize {
        match self.choices.iter().position(|choice| choice.index == index) {
            Some(at) => at,
            None => {
                let progress = Progress::default();
                self.choices.push(Choice { index, open: None, progress, finish: None });
                self.choices.len() - 1
            }
        }
    }

    fn delta(&mut self, at: usize, delta: &Delta<'_>, out: &mut Vec<u8>) {
        let Choice { index, open: Some(open), progress, .. } = &mut self.choices[at] else { return };
        let thought = matches!(open.kind, BlockKind::Reasoning { .. });
        match delta {
            Delta::Text(text) if text.is_empty() => {}
            Delta::Text(_) if matches!(open.kind, BlockKind::Media { .. }) => {
                self.losses.dropped(Feature::Field(Cow::Borrowed("audio.transcript")));
            }
            Delta::Text(text) => {
                open.shown = true;
                let signature = if thought {
                    None
                } else {
                    progress.said.push(text);
                    progress.carried(None)
                };
                let part = Part::Text { text: text.borrowed(), thought, signature };
                let mut frame = Frame { framing: self.setup.framing, begun: &mut self.begun, names: &self.names };
                frame.part(*index, &part, out);
            }
            Delta::NextPart => {
                let part = Part::Text { text: Str::token("\\n\\n"), thought, signature: None };
                let mut frame = Frame { framing: self.setup.framing, begun: &mut self.begun, names: &self.names };
                frame.part(*index, &part, out);
            }
            Delta::Arguments(text) | Delta::Data(text) => {
                let max = if matches!(open.kind, BlockKind::Call { .. }) { ARGS_BYTES_MAX } else { MEDIA_BYTES_MAX };
                let token = text.as_token();
                open.overlong |= open.gathered.len() + token.len() > max;
                if !open.overlong {
                    open.gathered.push_str(&token);
                }
            }
            Delta::State(state) => open.state = Some(state.clone().into_owned()),
            Delta::Url(url) => open.url = Some(url.clone().into_owned()),
            Delta::Citation(citation) => progress.cite(open.block, citation.clone().into_owned(), &mut self.losses),
            Delta::Logprobs(list) => progress.probable(list, &mut self.losses),
        }
    }

    fn stop(&mut self, at: usize, out: &mut Vec<u8>) {
        let Choice { index, open, progress, .. } = &mut self.choices[at];
        let Some(open) = open.take() else { return };
        let mut frame = Frame { framing: self.setup.framing, begun: &mut self.begun, names: &self.names };
        if open.overlong {
            let what =
                if matches!(open.kind, BlockKind::Call { .. }) { "functionCall.args" } else { "inlineData.data" };
            self.losses.dropped(Feature::Field(Cow::Borrowed(what)));
            return;
        }
        let gathered = Str::token(open.gathered.as_str());
        match &open.kind {
            BlockKind::Text | BlockKind::Refusal => {
                // Where text was said already, its state follows on an empty one, as Gemini itself has it.
                if let Some(state) = &open.state {
                    let signature = progress.carried(Some(state));
                    frame.part(*index, &Part::Text { text: Str::plain(""), thought: false, signature }, out);
                }
            }
            BlockKind::Reasoning { redacted } => {
                if let Some(state) = &open.state {
                    let signature = progress.thought_ends(state, *redacted, open.shown);
                    if signature.is_some() {
                        frame.part(*index, &Part::Text { text: Str::plain(""), thought: true, signature }, out);
                    }
                }
            }
            BlockKind::Call { id, name, custom } => {
                let call = (id.as_ref(), name, *custom);
                frame.part(*index, &progress.call(call, &gathered, open.state.as_ref()), out);
            }
            BlockKind::Media { image, mime } => match &open.url {
                Some(url) => frame.part(*index, &media_url(mime, url), out),
                None => frame.part(*index, &media_data(*image, mime, gathered), out),
            },
            BlockKind::Foreign { protocol: Protocol::GeminiGenerate, raw, .. } => {
                frame.part(*index, &Part::Raw(raw), out)
            }
            BlockKind::Foreign { what, .. } => {
                if foreign_is_loss(what) {
                    self.losses.field(what);
                }
            }
        }
    }

    /// The last object: why each choice ended, and the counts.
    fn end(&mut self, out: &mut Vec<u8>) {
        let mut frame = Frame { framing: self.setup.framing, begun: &mut self.begun, names: &self.names };
        let (choices, usage) = (&mut self.choices, &self.usage);
        frame.object(out, |json| {
            json.key("candidates").array(|json| {
                for choice in choices.iter_mut() {
                    let Choice { index, progress, finish: Some(finish), .. } = choice else { continue };
                    // Google's client keeps no turn that has a candidate without a part.
                    let part = Part::Text { text: Str::plain(""), thought: false, signature: progress.left() };
                    json.object(|json| {
                        json.key("content").object(|json| {
                            json.key("parts").array(|json| part.write(json));
                            json.key("role").text("model");
                        });
                        progress.write_end(json, finish);
                        json.key("index").uint((*index).into());
                    });
                }
            });
            if let Some(counts) = usage {
                usage::write(json.key("usageMetadata"), counts);
            }
        });
        if self.setup.framing == Framing::Array {
            out.push(b']');
        }
    }
}

/// An image or sound behind an address, or within it.
pub fn media_url<'p>(mime: &'p str, url: &'p Str<'_>) -> Part<'p> {
    match url.decode().strip_prefix("data:").and_then(|rest| rest.split_once(";base64,")) {
        Some((own, data)) => {
            let mime = if mime.is_empty() { Cow::Owned(own.to_owned()) } else { Cow::Borrowed(mime) };
            Part::Data { mime, data: Str::plain(data.to_owned()) }
        }
        None => Part::Url { mime, url: url.borrowed() },
    }
}

/// An image or sound; Google's clients need a type.
pub fn media_data<'p>(image: bool, mime: &'p str, data: Str<'p>) -> Part<'p> {
    let known = match (mime, image) {
        ("", true) => "image/png",
        ("", false) => "audio/wav",
        (mime, _) => mime,
    };
    Part::Data { mime: Cow::Borrowed(known), data }
}

/// Puts objects into the stream.
struct Frame<'f> {
    framing: Framing,
    begun: &'f mut bool,
    names: &'f [u8],
}

impl Frame<'_> {
    fn begin(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(match (self.framing, *self.begun) {
            (Framing::Sse, _) => b"data: ",
            (Framing::Array, false) => b"[",
            (Framing::Array, true) => b"\r\n,\r\n",
        });
        *self.begun = true;
    }

    fn finish(&self, out: &mut Vec<u8>) {
        if self.framing == Framing::Sse {
            out.extend_from_slice(b"\r\n\r\n");
        }
    }

    fn object(&mut self, out: &mut Vec<u8>, members: impl FnOnce(&mut Json<'_>)) {
        self.begin(out);
        Json::new(out).object(members);
        // The names stand last, behind whatever members there are.
        out.pop();
        out.extend_from_slice(self.names);
        out.push(b'}');
        self.finish(out);
    }

    fn part(&mut self, index: u32, part: &Part<'_>, out: &mut Vec<u8>) {
        self.object(out, |json| {
            json.key("candidates").array(|json| {
                json.object(|json| {
                    json.key("content").object(|json| {
                        json.key("parts").array(|json| part.write(json));
                        json.key("role").text("model");
                    });
                    json.key("index").uint(index.into());
                });
            });
        });
    }
}

impl EventWriter for GeminiWriter {
    fn event(&mut self, event: &Event<'_>, out: &mut Vec<u8>) {
        if self.ended {
            return;
        }
        match event {
            Event::Start(start) => self.name(start),
            Event::BlockStart { choice, block, kind } => {
                let at = self.choice(*choice);
                let choice = &mut self.choices[at];
                if matches!(kind, BlockKind::Text | BlockKind::Refusal) {
                    choice.progress.said.begin(*block);
                }
                choice.open = Some(Open {
                    block: *block,
                    kind: kind.clone().into_owned(),
                    state: None,
                    gathered: String::new(),
                    url: None,
                    overlong: false,
                    shown: false,
                });
            }
            Event::Delta { choice, delta, .. } => {
                let at = self.choice(*choice);
                self.delta(at, delta, out);
            }
            Event::BlockStop { choice, .. } => {
                let at = self.choice(*choice);
                self.stop(at, out);
            }
            Event::Usage { usage, .. } => self.usage = Some(*usage),
            Event::Finish(finish) => {
                let at = self.choice(finish.choice);
                self.choices[at].finish = Some(finish.clone().into_owned());
            }
            Event::Failed(_) => {}
            Event::End => {
                self.ended = true;
                self.end(out);
            }
        }
    }

    fn fail(&mut self, error: &UpstreamError, out: &mut Vec<u8>) {
        if self.ended {
            return;
        }
        self.ended = true;
        let mut frame = Frame { framing: self.setup.framing, begun: &mut self.begun, names: &self.names };
        frame.begin(out);
        errors::write(error, errors::status_of(error), None, out);
        frame.finish(out);
        if self.setup.framing == Framing::Array {
            out.push(b']');
        }
    }

    fn losses(&self) -> &Losses {
        &self.losses
    }
}
