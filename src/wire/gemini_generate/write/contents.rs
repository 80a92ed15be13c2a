//! Lays a conversation out as Gemini takes it: a system instruction, then contents of user and model in turn. Must never know
//! how parts are spelled.

use std::borrow::Cow;

use super::super::fields::was_absent;
use super::pieces::{self, Args, Body, Outcome, Piece, Response, again, id_minted};
use super::results::Results;
use super::tools::gemini_name;
use crate::wire::Protocol;
use crate::wire::ir::{
    Arguments, Call, CallResult, Class, Extra, Feature, Losses, Media, Part, PartKind, Place, Reasoning, Refusal,
    Request, Role, Source, Target, Turn, leave_out,
};
use crate::wire::json::{Cursor, Json, Kind, LoneSurrogates, Str, Value};

/// Deepest nesting of a call's arguments.
const ARGS_DEPTH_MAX: usize = 256;

pub struct Contents<'r> {
    system: Option<Content<'r>>,
    list: Vec<Content<'r>>,
}

pub struct Content<'r> {
    pub model: bool,
    pub pieces: Vec<Piece<'r>>,
    /// Of the turn as it came, where Gemini said it.
    turn: Option<&'r Turn<'r>>,
    /// A thought whose signature belongs to the text or call behind it.
    carrier: Option<usize>,
}

impl<'r> Content<'r> {
    pub fn new(model: bool) -> Content<'r> {
        Content { model, pieces: Vec::new(), turn: None, carrier: None }
    }

    fn write(&self, json: &mut Json<'_>, role: Option<&str>) {
        let extras: &[Extra<'_>] = self.turn.map_or(&[], |turn| &turn.extra);
        let container = if role.is_some() { "contents" } else { "systemInstruction" };
        json.object(|json| {
            // A role of its own is among the extras.
            let told = extras.iter().any(|extra| extra.protocol == Protocol::GeminiGenerate && extra.name == "role");
            if let Some(role) = role.filter(|_| !told) {
                json.key("role").text(role);
            }
            if !was_absent(extras, "parts") {
                json.key("parts").array(|json| self.pieces.iter().for_each(|piece| piece.write(json)));
            }
            again(json, extras, container);
        });
    }
}

impl Contents<'_> {
    pub fn write(&self, json: &mut Json<'_>) {
        if let Some(system) = &self.system {
            json.key("systemInstruction");
            match system.turn {
                Some(Turn { bare: true, parts, .. }) => match &parts[0].kind {
                    PartKind::Text(text) => json.str(text),
                    _ => system.write(json, None),
                },
                _ => system.write(json, None),
            }
        }
        json.key("contents").array(|json| {
            for content in &self.list {
                content.write(json, Some(if content.model { "model" } else { "user" }));
            }
        });
    }
}

pub fn plan<'r>(request: &'r Request<'r>, target: &Target<'_>, losses: &mut Losses) -> Result<Contents<'r>, Refusal> {
    let mut plan = Plan { request, target, losses, results: Results::default() };
    if request.protocol == Protocol::GeminiGenerate { plan.native() } else { plan.foreign() }
}

struct Plan<'r, 't, 'l> {
    request: &'r Request<'r>,
    target: &'t Target<'t>,
    losses: &'l mut Losses,
    results: Results<'r>,
}

impl<'r> Plan<'r, '_, '_> {
    /// As it came.
    fn native(&mut self) -> Result<Contents<'r>, Refusal> {
        let mut contents = Contents { system: None, list: Vec::new() };
        for turn in &self.request.turns {
            let mut content = Content { turn: Some(turn), ..Content::new(turn.role == Role::Assistant) };
            for part in &turn.parts {
                let piece = self.piece(part, true)?;
                content.pieces.extend(piece);
            }
            match turn.place {
                Place::Lead => contents.system = Some(content),
                Place::Inline => contents.list.push(content),
            }
        }
        Ok(contents)
    }

    fn foreign(&mut self) -> Result<Contents<'r>, Refusal> {
        let mut system = Content::new(false);
        let mut list: Vec<Content<'r>> = Vec::new();
        for turn in &self.request.turns {
            leave_out(&turn.extra, Protocol::GeminiGenerate, self.losses)?;
            if turn.name.is_some() {
                self.losses.dropped(Feature::MessageName);
            }
            let told = matches!(turn.role, Role::System | Role::Developer);
            if told && (list.is_empty() || turn.place == Place::Lead) {
                if turn.parts.iter().any(|part| matches!(part.kind, PartKind::Media(_))) {
                    let message = "system texts take no media for this model's upstream: send them as the user";
                    return Err(Refusal::new(Feature::Conversation.param(self.request.protocol), message));
                }
                self.fill(turn, &mut system)?;
                continue;
            }
            let model = turn.role == Role::Assistant;
            if list.last().is_none_or(|last| last.model != model) {
                list.push(Content::new(model));
            }
            let content = list.last_mut().expect("a content was just put there");
            let first = content.pieces.len();
            self.fill(turn, content)?;
            if told && content.pieces.len() > first {
                self.losses.approximated(Feature::Role);
                wrap(&mut content.pieces[first..]);
            }
        }
        self.results.answer(&mut list, self.request, self.target, self.losses)?;
        let mut list = without_empty(list);
        if list.first().is_none_or(|first| first.model) {
            self.losses.approximated(Feature::Role);
            let mut opening = Content::new(false);
            if list.is_empty() {
                std::mem::swap(&mut opening, &mut system);
            }
            if opening.pieces.is_empty() {
                opening.pieces.push(Piece::text(Str::plain(".")));
            }
            list.insert(0, opening);
        }
        super::results::sign(&mut list, self.target);
        Ok(Contents { system: (!system.pieces.is_empty()).then_some(system), list })
    }

    /// Adds what a turn says.
    fn fill(&mut self, turn: &'r Turn<'r>, content: &mut Content<'r>) -> Result<(), Refusal> {
        for part in &turn.parts {
            leave_out(&part.extra, Protocol::GeminiGenerate, self.losses)?;
            if part.cache.is_some() {
                self.losses.dropped(Feature::CacheControl);
            }
            if let PartKind::Result(result) = &part.kind {
                self.result(result)?;
                continue;
            }
            let Some(mut piece) = self.piece(part, false)? else { continue };
            let thought = matches!(piece.body, Body::Text { thought: true, .. });
            if !thought && let Some(at) = content.carrier.take() {
                hand_over(content, at, &mut piece);
            }
            content.pieces.push(piece);
            if thought {
                content.carrier = Some(content.pieces.len() - 1);
            }
        }
        // Gemini itself puts such a signature on an empty text.
        for piece in &mut content.pieces {
            if let Body::Text { text, thought } = &mut piece.body
                && text.is_empty()
            {
                *thought = false;
            }
        }
        Ok(())
    }

    fn piece(&mut self, part: &'r Part<'r>, native: bool) -> Result<Option<Piece<'r>>, Refusal> {
        let signature = self.signature(part, native);
        let body = match &part.kind {
            PartKind::Text(text) | PartKind::Refusal(text) => {
                if text.is_empty() && signature.is_none() && !native {
                    return Ok(None);
                }
                Body::Text { text: text.borrowed(), thought: false }
            }
            PartKind::Reasoning(reasoning) => {
                if signature.is_none() && !native {
                    // Thought of another model, or of nobody's that can be proven.
                    self.losses.thinking(part.state.as_ref());
                    return Ok(None);
                }
                Body::Text { text: thought_text(reasoning), thought: true }
            }
            PartKind::Media(media) => pieces::media(media, self.request, self.target, self.losses)?,
            PartKind::Call(call) => self.call(call, part, native),
            PartKind::Result(result) => Body::Result(self.outcome(result, &part.extra, native)?),
            PartKind::Foreign { protocol: Protocol::GeminiGenerate, raw, .. } => Body::Raw(raw),
            PartKind::Foreign { what, class, .. } => {
                match class {
                    Class::Refused => {
                        let param = Feature::Conversation.param(self.request.protocol);
                        let message = format!("{what} cannot be sent to this model's upstream: leave it out");
                        return Err(Refusal::new(param, message));
                    }
                    Class::Unknown | Class::Dropped => self.losses.field(what),
                    Class::Idle => {}
                }
                return Ok(None);
            }
        };
        Ok(Some(Piece { body, signature, extras: if native { &part.extra } else { &[] } }))
    }

    /// State that this upstream made.
    fn signature(&mut self, part: &'r Part<'r>, native: bool) -> Option<Str<'r>> {
        let state = part.state.as_ref()?;
        if native || state.readable_by(Protocol::GeminiGenerate, self.target.account) {
            return Some(state.payload.borrowed());
        }
        self.losses.dropped(Feature::ReasoningState);
        None
    }

    fn call(&mut self, call: &'r Call<'r>, part: &'r Part<'r>, native: bool) -> Body<'r> {
        let Call { id, name, arguments, custom } = call;
        let id = id.as_ref().filter(|_| !(native && id_minted(&part.extra))).map(Str::borrowed);
        let name = if native { name.borrowed() } else { gemini_name(name) };
        let args = match arguments {
            Arguments::Object(value @ Value::Object(_)) => Args::Object(value),
            Arguments::Object(other) => Args::Member { key: "_raw", text: Str::plain(other.to_json()) },
            Arguments::Text(text) if *custom => Args::Member { key: "input", text: text.borrowed() },
            Arguments::Text(text) => match object_json(text) {
                Some(json) => Args::Json(json),
                None => {
                    self.losses.approximated(Feature::Field(Cow::Borrowed("arguments")));
                    Args::Member { key: "_raw", text: text.borrowed() }
                }
            },
        };
        Body::Call { id, name, args }
    }

    fn result(&mut self, result: &'r CallResult<'r>) -> Result<(), Refusal> {
        for part in &result.content {
            leave_out(&part.extra, Protocol::GeminiGenerate, self.losses)?;
            if part.cache.is_some() {
                self.losses.dropped(Feature::CacheControl);
            }
        }
        let id = result.call_id.as_ref().map(|id| id.decode().into_owned()).unwrap_or_default();
        let outcome = self.outcome(result, &[], false)?;
        self.results.add(id, outcome);
        Ok(())
    }

    fn outcome(
        &mut self,
        result: &'r CallResult<'r>,
        extras: &[Extra<'_>],
        native: bool,
    ) -> Result<Outcome<'r>, Refusal> {
        let CallResult { call_id, name, content, bare: _, is_error, custom: _, response } = result;
        let id = call_id.as_ref().filter(|_| !(native && id_minted(extras))).map(Str::borrowed);
        let name = match name {
            Some(name) if native => name.borrowed(),
            Some(name) => gemini_name(name),
            None => Str::plain(""),
        };
        let (mut texts, mut media) = (Vec::new(), Vec::new());
        for part in content {
            if let PartKind::Media(Media { source: Source::Text(text), name, document, .. }) = &part.kind
                && !native
            {
                // A file of text is the best that a result can be.
                pieces::note_document(document.as_deref(), self.losses);
                texts.extend(name.as_ref().map(|name| Str::token(format!("{}:", name.as_token()))));
                texts.push(text.borrowed());
                continue;
            }
            match self.piece(part, native)? {
                Some(Piece { body: Body::Text { text, .. }, .. }) => texts.push(text),
                piece => media.extend(piece),
            }
        }
        let response = match response {
            Some(value) if native => Response::Object(value),
            Some(value @ Value::Object(_)) => Response::Object(value),
            Some(_) | None => Response::Text { error: *is_error, texts },
        };
        Ok(Outcome { id, name, response, media })
    }
}

/// Contents that say nothing are left out, and what then stands together is one.
fn without_empty(list: Vec<Content<'_>>) -> Vec<Content<'_>> {
    let mut kept: Vec<Content<'_>> = Vec::with_capacity(list.len());
    for content in list.into_iter().filter(|content| !content.pieces.is_empty()) {
        match kept.last_mut().filter(|last| last.model == content.model) {
            Some(last) => last.pieces.extend(content.pieces),
            None => kept.push(content),
        }
    }
    kept
}

/// Moves a thought's signature to the piece that it belongs to.
fn hand_over<'r>(content: &mut Content<'r>, at: usize, piece: &mut Piece<'r>) {
    let takes = matches!(piece.body, Body::Call { .. } | Body::Text { .. });
    if !takes || piece.signature.is_some() {
        return;
    }
    piece.signature = content.pieces[at].signature.take();
    if matches!(&content.pieces[at].body, Body::Text { text, .. } if text.is_empty()) {
        content.pieces.remove(at);
    }
}

/// What the system says in mid-conversation.
fn wrap(pieces: &mut [Piece<'_>]) {
    for piece in pieces {
        if let Body::Text { text, thought: false } = &mut piece.body {
            *text = Str::token(format!("<system-reminder>\\n{}\\n</system-reminder>", text.as_token()));
        }
    }
}

fn thought_text<'r>(reasoning: &'r Reasoning<'r>) -> Str<'r> {
    let Reasoning { text, full, redacted: _, id: _ } = reasoning;
    match if text.is_empty() { full.as_slice() } else { text.as_slice() } {
        [] => Str::plain(""),
        [one] => one.borrowed(),
        several => {
            let tokens: Vec<Cow<'_, str>> = several.iter().map(Str::as_token).collect();
            Str::token(tokens.join("\\n\\n"))
        }
    }
}

/// A text that is a JSON object, or nothing, which is an empty one.
fn object_json<'r>(text: &'r Str<'r>) -> Option<Cow<'r, str>> {
    let json = text.decode();
    if json.trim().is_empty() {
        return Some(Cow::Borrowed("{}"));
    }
    is_object(&json).then_some(json)
}

pub fn is_object(json: &str) -> bool {
    let mut cursor = Cursor::new(json.as_bytes(), ARGS_DEPTH_MAX, LoneSurrogates::Refused);
    cursor.kind() == Ok(Kind::Object) && cursor.ignore().is_ok() && cursor.end().is_ok()
}
