//! Puts turns into the order that Anthropic wants: system texts in front, users and assistants in turn, every result right
//! behind its call. Must never know how a block is written.

use std::borrow::Cow;

use super::arguments::object_json;
use super::media::{Attachment, attach};
use super::names::Names;
use super::opaque;
use super::pairing::{Pairs, Site};
use crate::wire::Protocol;
use crate::wire::ir::{
    Arguments, CacheMark, Call, CallResult, Class, Extra, Feature, Losses, Media, MediaKind, Part, PartKind, Place,
    Quirk, Reasoning, Refusal, Request, Role, Target, Turn, leave_out, said_again,
};
use crate::wire::json::{Str, Value};

const AM: Protocol = Protocol::AnthropicMessages;
/// Stands where a message must be and has nothing to say: the API takes no empty texts, nor blank ones.
const FILLER: &str = ".";
const MADE: &str = "This is the image that you made in your last answer:";
const NO_RESULT: &str = "(no result)";
const ORPHAN: &str = "(result of a call that is not part of this conversation)";

pub(super) struct Prompt<'r> {
    pub system: Vec<Block<'r>>,
    /// One bare text.
    pub system_bare: bool,
    pub messages: Vec<Message<'r>>,
}

pub(super) struct Message<'r> {
    pub speaker: Speaker,
    pub blocks: Vec<Block<'r>>,
    /// One bare text.
    pub bare: bool,
    pub extra: Vec<&'r Extra<'r>>,
    /// Calls in it, in order.
    calls: Vec<Site>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Speaker {
    User,
    Assistant,
    System,
}

pub(super) struct Block<'r> {
    pub what: What<'r>,
    pub cache: Option<&'r CacheMark<'r>>,
    pub extra: &'r [Extra<'r>],
}

pub(super) enum What<'r> {
    Text(Str<'r>),
    /// A system text among the messages, for models that know no such role.
    Reminder(Str<'r>),
    Media(Attachment<'r>),
    Thinking {
        text: &'r [Str<'r>],
        signature: Str<'r>,
    },
    Redacted {
        data: Str<'r>,
    },
    Call {
        id: String,
        name: Cow<'r, str>,
        arguments: &'r Arguments<'r>,
        custom: bool,
    },
    Result {
        id: String,
        content: Vec<Block<'r>>,
        bare: bool,
        is_error: bool,
    },
    /// Our own protocol's, as it came.
    Raw(&'r Value<'r>),
    /// Our own protocol's, said whole by its extras.
    Extras,
}

impl<'r> What<'r> {
    pub fn alone(self) -> Block<'r> {
        Block { what: self, cache: None, extra: &[] }
    }
}

pub(super) fn arrange<'r>(
    request: &'r Request<'r>,
    target: &Target<'_>,
    names: &mut Names,
    losses: &mut Losses,
) -> Result<Prompt<'r>, Refusal> {
    let prompt = Prompt { system: Vec::new(), system_bare: false, messages: Vec::new() };
    let mut arranger =
        Arranger { request, target, names, losses, pairs: Pairs::find(request), prompt, made: Vec::new() };
    let lead = arranger.lead_len();
    for (at, turn) in request.turns.iter().enumerate() {
        leave_out(&turn.extra, AM, arranger.losses)?;
        if turn.name.is_some() {
            arranger.losses.dropped(Feature::MessageName);
        }
        let is_system = matches!(turn.role, Role::System | Role::Developer);
        if is_system && (at < lead || turn.place == Place::Lead) {
            arranger.system(turn)?;
        } else {
            arranger.turn(at, turn)?;
        }
    }
    arranger.answer_calls()?;
    arranger.show_made();
    arranger.finish();
    Ok(arranger.prompt)
}

struct Arranger<'r, 'w> {
    request: &'r Request<'r>,
    target: &'w Target<'w>,
    names: &'w mut Names,
    losses: &'w mut Losses,
    pairs: Pairs,
    prompt: Prompt<'r>,
    /// Images of the model's own, which users alone may show: they go into the next user's turn.
    made: Vec<Block<'r>>,
}

impl<'r> Arranger<'r, '_> {
    /// How many turns at the start are system texts that go in front. Our own protocol has put those there itself.
    fn lead_len(&self) -> usize {
        let system_turns = self.target.quirks.has(Quirk::SystemTurns);
        let in_front = |turn: &&Turn<'_>| match turn.role {
            Role::System | Role::Developer => {
                turn.place == Place::Lead || !(system_turns && self.request.protocol == AM)
            }
            Role::User | Role::Assistant | Role::Tool => false,
        };
        self.request.turns.iter().take_while(in_front).count()
    }

    fn system(&mut self, turn: &'r Turn<'r>) -> Result<(), Refusal> {
        self.prompt.system_bare = turn.bare && self.prompt.system.is_empty();
        for part in &turn.parts {
            leave_out(&part.extra, AM, self.losses)?;
            let block = self.block(part)?;
            if block.as_ref().is_some_and(|block| matches!(block.what, What::Media(_))) {
                let message = "system texts take no media for this model's upstream: send them as the user";
                return Err(Refusal::new(Feature::Conversation.param(self.request.protocol), message));
            }
            self.prompt.system.extend(block);
        }
        self.prompt.system_bare &= self.prompt.system.len() == 1;
        Ok(())
    }

    fn turn(&mut self, at: usize, turn: &'r Turn<'r>) -> Result<(), Refusal> {
        let speaker = match turn.role {
            Role::Assistant => Speaker::Assistant,
            Role::User | Role::Tool => Speaker::User,
            Role::System | Role::Developer if self.target.quirks.has(Quirk::SystemTurns) => Speaker::System,
            Role::System | Role::Developer => {
                self.losses.approximated(Feature::Role);
                Speaker::User
            }
        };
        if speaker != Speaker::Assistant {
            self.answer_calls()?;
        }
        if speaker == Speaker::User {
            self.show_made();
        }
        let reminds = speaker == Speaker::User && matches!(turn.role, Role::System | Role::Developer);
        let mut blocks = Vec::with_capacity(turn.parts.len());
        let mut calls = Vec::new();
        for (part_at, part) in turn.parts.iter().enumerate() {
            let site = (at, part_at);
            leave_out(&part.extra, AM, self.losses)?;
            // Thinking and calls see to it themselves.
            if part.state.is_some() && !matches!(part.kind, PartKind::Reasoning(_) | PartKind::Call(_)) {
                self.losses.dropped(Feature::ReasoningState);
            }
            match &part.kind {
                PartKind::Result(_) if self.pairs.is_claimed(site) => {}
                PartKind::Result(result) => self.orphan(result, &mut blocks)?,
                PartKind::Call(call) if speaker == Speaker::Assistant => {
                    blocks.push(self.call(site, call, part));
                    calls.push(site);
                }
                PartKind::Media(media) if speaker == Speaker::Assistant && !says_itself(part) => self.made(media)?,
                PartKind::Call(_) | PartKind::Reasoning(_) if speaker != Speaker::Assistant => {
                    self.losses.dropped(Feature::Conversation);
                }
                PartKind::Text(_)
                | PartKind::Refusal(_)
                | PartKind::Media(_)
                | PartKind::Reasoning(_)
                | PartKind::Call(_)
                | PartKind::Foreign { .. } => blocks.extend(self.block(part)?),
            }
        }
        if reminds {
            blocks.iter_mut().for_each(remind);
        }
        // A user's turn of which nothing is left still stands between two of the assistant, unless it was results alone.
        let stands = turn.role == Role::User && !turn.parts.iter().any(|part| matches!(part.kind, PartKind::Result(_)));
        if !blocks.is_empty() || stands {
            self.push(speaker, blocks, turn.bare && !reminds, calls);
            if let Some(message) = self.prompt.messages.last_mut() {
                message.extra.extend(said_again(&turn.extra, AM));
            }
        }
        Ok(())
    }

    /// Something that the model itself made: an image it can be shown again, sound it cannot.
    fn made(&mut self, media: &'r Media<'r>) -> Result<(), Refusal> {
        if media.kind != MediaKind::Image {
            self.losses.dropped(Feature::AudioOut);
        } else if !self.target.vision {
            self.losses.dropped(Feature::ImageOut);
        } else {
            let image = What::Media(attach(media, self.request, self.target, self.losses)?);
            self.losses.approximated(Feature::Role);
            self.made.extend([What::Text(Str::plain(MADE)).alone(), image.alone()]);
        }
        Ok(())
    }

    fn show_made(&mut self) {
        let made = std::mem::take(&mut self.made);
        if !made.is_empty() {
            self.push(Speaker::User, made, false, Vec::new());
        }
    }

    /// Adds to the last message where it has the same speaker.
    fn push(&mut self, speaker: Speaker, blocks: Vec<Block<'r>>, bare: bool, calls: Vec<Site>) {
        match self.prompt.messages.last_mut() {
            Some(last) if last.speaker == speaker => {
                last.bare = false;
                last.blocks.extend(blocks);
                last.calls.extend(calls);
            }
            _ => {
                let bare = bare && blocks.len() == 1;
                self.prompt.messages.push(Message { speaker, blocks, bare, extra: Vec::new(), calls });
            }
        }
    }

    /// Puts the results of the last message's calls behind it, as they came; a call without one gets one that says so.
    fn answer_calls(&mut self) -> Result<(), Refusal> {
        let Some(last) = self.prompt.messages.last_mut() else { return Ok(()) };
        let calls = std::mem::take(&mut last.calls);
        if calls.is_empty() {
            return Ok(());
        }
        let pair = |call: &Site| self.pairs.of(*call).map(|pair| (pair.result, pair.id.clone()));
        let mut pairs: Vec<_> = calls.iter().filter_map(pair).collect();
        pairs.sort_by_key(|(result, _)| result.unwrap_or((usize::MAX, 0)));
        let mut blocks = Vec::with_capacity(pairs.len());
        for (result, id) in pairs {
            let part = result.map(|(turn, part)| &self.request.turns[turn].parts[part]);
            match part.map(|part| (part, &part.kind)) {
                Some((part, PartKind::Result(result))) => blocks.push(self.result(id, result, part)?),
                _ => {
                    self.losses.approximated(Feature::CallResult);
                    let content = vec![What::Text(Str::plain(NO_RESULT)).alone()];
                    blocks.push(What::Result { id, content, bare: true, is_error: false }.alone());
                }
            }
        }
        self.push(Speaker::User, blocks, false, Vec::new());
        Ok(())
    }

    fn result(&mut self, id: String, result: &'r CallResult<'r>, part: &'r Part<'r>) -> Result<Block<'r>, Refusal> {
        // `response` says the same as the content, and the API needs no name.
        let CallResult { call_id: _, name: _, content, bare, is_error, custom: _, response: _ } = result;
        let content = self.contents(content)?;
        let bare = *bare && content.len() == 1;
        let what = What::Result { id, content, bare, is_error: *is_error };
        Ok(Block { what, cache: part.cache.as_ref(), extra: &part.extra })
    }

    fn contents(&mut self, parts: &'r [Part<'r>]) -> Result<Vec<Block<'r>>, Refusal> {
        let mut blocks = Vec::with_capacity(parts.len());
        for part in parts {
            leave_out(&part.extra, AM, self.losses)?;
            blocks.extend(self.block(part)?);
        }
        Ok(blocks)
    }

    fn orphan(&mut self, result: &'r CallResult<'r>, blocks: &mut Vec<Block<'r>>) -> Result<(), Refusal> {
        self.losses.approximated(Feature::CallResult);
        blocks.push(What::Text(Str::plain(ORPHAN)).alone());
        blocks.extend(self.contents(&result.content)?);
        Ok(())
    }

    fn call(&mut self, site: Site, call: &'r Call<'r>, part: &'r Part<'r>) -> Block<'r> {
        let Call { id: _, name, arguments, custom } = call;
        if part.state.is_some() {
            self.losses.dropped(Feature::ReasoningState);
        }
        if let Arguments::Text(text) = arguments
            && !*custom
            && object_json(&text.decode()).is_none()
        {
            self.losses.approximated(Feature::Field(Cow::Borrowed("arguments")));
        }
        let id = self.pairs.of(site).map(|pair| pair.id.clone()).unwrap_or_default();
        let name = self.names.sent(name);
        let what = What::Call { id, name, arguments, custom: *custom };
        Block { what, cache: part.cache.as_ref(), extra: &part.extra }
    }

    /// A part that stands where it stood; `None` where nothing is to be said of it.
    fn block(&mut self, part: &'r Part<'r>) -> Result<Option<Block<'r>>, Refusal> {
        let what = match &part.kind {
            _ if says_itself(part) => What::Extras,
            PartKind::Text(text) | PartKind::Refusal(text) if is_blank(text) => return Ok(None),
            PartKind::Text(text) | PartKind::Refusal(text) => What::Text(text.borrowed()),
            PartKind::Media(media) => What::Media(attach(media, self.request, self.target, self.losses)?),
            PartKind::Reasoning(reasoning) => match self.thinking(reasoning, part) {
                Some(what) => return Ok(Some(Block { what, cache: None, extra: &part.extra })),
                None => return Ok(None),
            },
            PartKind::Foreign { protocol: AM, raw, .. } => What::Raw(raw),
            PartKind::Foreign { what, class, .. } => return self.foreign(what, *class).map(|()| None),
            // Neither stands inside a result or a system text.
            PartKind::Call(_) | PartKind::Result(_) => {
                self.losses.dropped(Feature::Conversation);
                return Ok(None);
            }
        };
        Ok(Some(Block { what, cache: part.cache.as_ref(), extra: &part.extra }))
    }

    /// Thinking goes back with a signature that its own deployment can read, or not at all.
    fn thinking(&mut self, reasoning: &'r Reasoning<'r>, part: &'r Part<'r>) -> Option<What<'r>> {
        let Reasoning { text, full: _, redacted, id: _ } = reasoning;
        let state = part.state.as_ref().filter(|state| state.readable_by(AM, self.target.account));
        let Some(state) = state else {
            self.losses.thinking(part.state.as_ref());
            return None;
        };
        Some(match opaque::opened(state, *redacted) {
            (true, data) => What::Redacted { data },
            (false, signature) => What::Thinking { text, signature },
        })
    }

    /// Something that only another protocol has. Its other half is left out in the same way.
    fn foreign(&mut self, what: &str, class: Class) -> Result<(), Refusal> {
        match class {
            Class::Idle => Ok(()),
            Class::Unknown | Class::Dropped => {
                self.losses.field(what);
                Ok(())
            }
            Class::Refused => {
                let message = format!("{what} cannot be sent to this model's upstream: leave it out");
                Err(Refusal::new(Feature::Conversation.param(self.request.protocol), message))
            }
        }
    }

    /// Users come first, no message is empty, and a text that the assistant is to go on with does not end in white space.
    fn finish(&mut self) {
        let filler = || What::Text(Str::plain(FILLER)).alone();
        let messages = &mut self.prompt.messages;
        for message in messages.iter_mut().filter(|message| message.blocks.is_empty()) {
            self.losses.approximated(Feature::Role);
            message.blocks.push(filler());
        }
        if messages.iter().find(|it| it.speaker != Speaker::System).is_none_or(|it| it.speaker == Speaker::Assistant) {
            self.losses.approximated(Feature::Role);
            let message = Message {
                speaker: Speaker::User,
                blocks: vec![filler()],
                bare: true,
                extra: Vec::new(),
                calls: Vec::new(),
            };
            messages.insert(0, message);
        }
        if let Some(Message { speaker: Speaker::Assistant, blocks, .. }) = messages.last_mut()
            && let Some(Block { what: What::Text(text), .. }) = blocks.last_mut()
            && text.decode().ends_with(char::is_whitespace)
        {
            self.losses.omitted(Feature::Conversation);
            *text = Str::plain(text.decode().trim_end().to_owned());
        }
    }
}

fn is_blank(text: &Str<'_>) -> bool {
    text.is_empty() || text.decode().trim().is_empty()
}

fn remind(block: &mut Block<'_>) {
    if let What::Text(text) = &mut block.what {
        block.what = What::Reminder(std::mem::replace(text, Str::plain("")));
    }
}

/// A part whose extras hold all that our own protocol says of it, the type among them.
fn says_itself(part: &Part<'_>) -> bool {
    said_again(&part.extra, AM).any(|extra| extra.name == "type" && super::fields::parent(extra).is_none())
}
