//! Puts turns into the messages that a chat upstream takes: results right behind their calls, media of results in a user
//! message, one message for what one model said. Must never write a byte.

use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};

use sha2::{Digest, Sha256};

use super::write_media::is_text;
use crate::wire::ir::{Call, CallResult, Ids, Media, MediaKind, Part, PartKind, Place, Request, Role, Turn, fitted_id};

/// OpenAI's limit of a call's id in this protocol.
const CALL_ID_BYTES_MAX: usize = 40;

pub enum Message<'r, 'a> {
    /// Of the system, a developer or the user. `moved`: media that have no place where they stood.
    Said {
        role: Role,
        parts: Vec<&'r Part<'a>>,
        moved: Vec<Moved<'r, 'a>>,
    },
    Assistant(Assistant<'r, 'a>),
    Result {
        id: String,
        part: &'r Part<'a>,
        result: &'r CallResult<'a>,
    },
}

/// A medium that stood in the result of a call, or in what the model said itself.
pub struct Moved<'r, 'a> {
    pub call_id: Option<String>,
    pub media: &'r Media<'a>,
}

#[derive(Default)]
pub struct Assistant<'r, 'a> {
    /// Text, thinking and what else is no call; `true` where another turn begins.
    pub parts: Vec<(bool, &'r Part<'a>)>,
    pub calls: Vec<(String, &'r Part<'a>, &'r Call<'a>)>,
}

/// The messages of a request of another protocol.
pub fn plan<'r, 'a>(request: &'r Request<'a>, ids: &mut CallIds) -> Vec<Message<'r, 'a>> {
    let mut messages: Vec<Message<'r, 'a>> = Vec::new();
    let mut last_place = Place::Inline;
    for turn in &request.turns {
        match turn.role {
            Role::System | Role::Developer => {
                let parts = turn.parts.iter().collect::<Vec<_>>();
                match messages.last_mut() {
                    Some(Message::Said { role, parts: so_far, .. })
                        if *role == turn.role && turn.place == Place::Lead && last_place == Place::Lead =>
                    {
                        so_far.extend(parts);
                    }
                    _ => messages.push(Message::Said { role: turn.role, parts, moved: Vec::new() }),
                }
            }
            Role::User | Role::Tool => add_user(turn, ids, &mut messages),
            Role::Assistant => add_assistant(turn, ids, &mut messages),
        }
        last_place = turn.place;
    }
    move_media(placed(messages))
}

fn add_user<'r, 'a>(turn: &'r Turn<'a>, ids: &mut CallIds, messages: &mut Vec<Message<'r, 'a>>) {
    let mut parts = Vec::new();
    for part in &turn.parts {
        match &part.kind {
            PartKind::Result(result) => messages.push(Message::Result { id: ids.of_result(result), part, result }),
            _ => parts.push(part),
        }
    }
    if !parts.is_empty() {
        messages.push(Message::Said { role: Role::User, parts, moved: Vec::new() });
    }
}

/// RS has an item for each thing that a model says; together they are one message. Two texts stay two messages, unless calls
/// stand before the second: their results must follow at once.
fn add_assistant<'r, 'a>(turn: &'r Turn<'a>, ids: &mut CallIds, messages: &mut Vec<Message<'r, 'a>>) {
    let says = |part: &Part<'_>| matches!(part.kind, PartKind::Text(_) | PartKind::Refusal(_));
    let joins = match messages.last() {
        Some(Message::Assistant(open)) => {
            let both = open.parts.iter().any(|(_, part)| says(part)) && turn.parts.iter().any(says);
            !both || !open.calls.is_empty()
        }
        _ => false,
    };
    if !joins {
        ids.next_step();
        messages.push(Message::Assistant(Assistant::default()));
    }
    let Some(Message::Assistant(open)) = messages.last_mut() else { return };
    let mut begins = !open.parts.is_empty();
    for part in &turn.parts {
        if let PartKind::Call(call) = &part.kind {
            open.calls.push((ids.of_call(call), part, call));
        } else {
            open.parts.push((std::mem::take(&mut begins), part));
        }
    }
}

/// Every result right behind the message with its call. One without a call stays where it is.
fn placed<'r, 'a>(messages: Vec<Message<'r, 'a>>) -> Vec<Message<'r, 'a>> {
    let mut slots: Vec<Option<Message<'r, 'a>>> = messages.into_iter().map(Some).collect();
    let mut results: HashMap<String, VecDeque<usize>> = HashMap::new();
    for (at, slot) in slots.iter().enumerate() {
        if let Some(Message::Result { id, .. }) = slot {
            results.entry(id.clone()).or_default().push_back(at);
        }
    }
    let mut placed = Vec::with_capacity(slots.len());
    for at in 0..slots.len() {
        let Some(message) = slots[at].take() else { continue };
        let mut behind = Vec::new();
        if let Message::Assistant(assistant) = &message {
            for (id, _, _) in &assistant.calls {
                let queue = results.get_mut(id);
                behind.extend(
                    queue.and_then(|queue| queue.iter().position(|result| *result > at).and_then(|n| queue.remove(n))),
                );
            }
        }
        placed.push(message);
        behind.sort_unstable();
        placed.extend(behind.into_iter().filter_map(|result| slots[result].take()));
    }
    placed
}

/// Results and the model itself say texts alone here: their media go into the user's next message, or one of their own.
fn move_media<'r, 'a>(messages: Vec<Message<'r, 'a>>) -> Vec<Message<'r, 'a>> {
    let mut moved: Vec<Message<'r, 'a>> = Vec::with_capacity(messages.len());
    let mut waiting: Vec<Moved<'r, 'a>> = Vec::new();
    for mut message in messages {
        match &mut message {
            Message::Result { id, result, .. } => {
                waiting.extend(result.content.iter().filter_map(|part| moves(part, Some(id))));
            }
            Message::Said { role: Role::User, moved, .. } => *moved = std::mem::take(&mut waiting),
            Message::Said { .. } => flush(&mut waiting, &mut moved),
            Message::Assistant(assistant) => {
                flush(&mut waiting, &mut moved);
                waiting.extend(assistant.parts.iter().filter_map(|(_, part)| moves(part, None)));
            }
        }
        moved.push(message);
    }
    flush(&mut waiting, &mut moved);
    moved
}

/// A text file stays where it is. The model's own images are all that can be shown to it again.
fn moves<'r, 'a>(part: &'r Part<'a>, call_id: Option<&String>) -> Option<Moved<'r, 'a>> {
    let PartKind::Media(media) = &part.kind else { return None };
    let moves = match call_id {
        Some(_) => !is_text(media),
        None => media.kind == MediaKind::Image,
    };
    moves.then(|| Moved { call_id: call_id.cloned(), media })
}

fn flush<'r, 'a>(waiting: &mut Vec<Moved<'r, 'a>>, messages: &mut Vec<Message<'r, 'a>>) {
    if !waiting.is_empty() {
        let moved = std::mem::take(waiting);
        messages.push(Message::Said { role: Role::User, parts: Vec::new(), moved });
    }
}

/// The ids that calls and their results are sent with: the same for both, and for the same history always the same.
pub struct CallIds {
    short: bool,
    /// Ids of our own protocol are only changed where the upstream wants them short.
    own: bool,
    ids: Ids,
    /// Calls without a result so far.
    open: Vec<OpenCall>,
}

struct OpenCall {
    id: Option<String>,
    name: String,
    sent: String,
}

impl CallIds {
    pub fn new(short: bool, own: bool) -> CallIds {
        CallIds { short, own, ids: Ids::new("history"), open: Vec::new() }
    }

    /// The model speaks again: what has no id and found no result will find none.
    fn next_step(&mut self) {
        self.open.retain(|call| call.id.is_some());
    }

    pub fn of_call(&mut self, call: &Call<'_>) -> String {
        let id = call.id.as_ref().map(|id| id.decode().into_owned());
        let minted = || self.ids.mint("call_");
        let mut sent = id.clone().unwrap_or_else(minted);
        sent = self.fitted(&sent).into_owned();
        // Two calls of one id, neither answered: the second gets one of its own.
        if !self.own && self.open.iter().any(|open| open.sent == sent) {
            sent = self.ids.mint("call_");
            sent = self.fitted(&sent).into_owned();
        }
        self.open.push(OpenCall { id, name: call.name.decode().into_owned(), sent: sent.clone() });
        sent
    }

    pub fn of_result(&mut self, result: &CallResult<'_>) -> String {
        let id = result.call_id.as_ref().map(|id| id.decode().into_owned());
        let found = match &id {
            Some(id) => self.open.iter().position(|open| open.id.as_ref() == Some(id)),
            None => {
                let named = result.name.as_ref().map(|name| name.decode());
                let by_name = self.open.iter().position(|open| Some(open.name.as_str()) == named.as_deref());
                by_name.or((!self.open.is_empty()).then_some(0))
            }
        };
        match (found, id) {
            (Some(at), _) => self.open.remove(at).sent,
            (None, Some(id)) => self.fitted(&id).into_owned(),
            (None, None) => {
                let id = self.ids.mint("call_");
                self.fitted(&id).into_owned()
            }
        }
    }

    fn fitted<'i>(&self, id: &'i str) -> Cow<'i, str> {
        if self.short {
            return short_id(id);
        }
        if self.own {
            return Cow::Borrowed(id);
        }
        let fitted = fitted_id(id, |id| id.len() <= CALL_ID_BYTES_MAX && !id.is_empty() && id.bytes().all(is_word));
        if fitted.len() <= CALL_ID_BYTES_MAX {
            return fitted;
        }
        // Its hash stands at its end.
        let hash = fitted.len() - 11;
        Cow::Owned(format!("{}{}", &fitted[..CALL_ID_BYTES_MAX - 11], &fitted[hash..]))
    }
}

pub fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}

/// Mistral: nine letters or digits.
fn short_id(id: &str) -> Cow<'_, str> {
    const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    if id.len() == 9 && id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Cow::Borrowed(id);
    }
    let hash = Sha256::digest(id);
    Cow::Owned(hash.iter().take(9).map(|byte| char::from(ALPHABET[usize::from(*byte) % 62])).collect())
}
