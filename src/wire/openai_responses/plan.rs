//! Decides which items of a Responses `input` say the turns of a request, and what of them is lost. Writes nothing.

use std::borrow::Cow;

use super::calls::{Calls, sent_name};
use super::items_read::WHOLE_ITEM;
use super::plan_parts::{Content, PartOut, Parts};
use crate::wire::Protocol;
use crate::wire::ir::{
    Call, CallResult, Class, Extra, Feature, Losses, Part, PartKind, Quirk, Reasoning, Refusal, Request, Role, Target,
    Turn, leave_out,
};
use crate::wire::json::{Str, Value};

const OURS: Protocol = Protocol::OpenAiResponses;
/// Most cache marks of one request.
const CACHE_MARKS_MAX: usize = 4;

/// One item as it will be written.
pub(super) enum Item<'r> {
    /// `typed`: its type is said; what came from this protocol says it only where it did.
    Message {
        role: &'static str,
        content: Content<'r>,
        typed: bool,
        extra: &'r [Extra<'r>],
    },
    Call {
        id: Cow<'r, str>,
        name: Cow<'r, str>,
        call: &'r Call<'r>,
        extra: &'r [Extra<'r>],
    },
    Output {
        id: Cow<'r, str>,
        content: Content<'r>,
        custom: bool,
        extra: &'r [Extra<'r>],
    },
    Reasoning {
        reasoning: &'r Reasoning<'r>,
        state: Option<Str<'r>>,
        shown: Shown,
        extra: &'r [Extra<'r>],
    },
    /// An image of the model's own, as it came from this protocol.
    Image {
        data: &'r Str<'r>,
        extra: &'r [Extra<'r>],
    },
    Raw(&'r Value<'r>),
}

/// Where the text of a reasoning item stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    AsItCame,
    /// For models that show their whole thinking and want it back.
    AsContent,
}

#[derive(Default)]
pub(super) struct Plan<'r> {
    pub instructions: Option<Str<'r>>,
    pub items: Vec<Item<'r>>,
}

pub(super) fn plan<'r>(
    request: &'r Request<'r>,
    target: &Target<'_>,
    losses: &mut Losses,
) -> Result<Plan<'r>, Refusal> {
    let own = request.protocol == OURS;
    let marks = own || target.quirks.has(Quirk::CacheBreakpoints);
    let parts = Parts { protocol: request.protocol, own, marks, vision: target.vision };
    let mut planner =
        Planner { own, target, parts, losses, calls: Calls::new(own), plan: Plan::default(), pending: vec![] };
    let leading = request.turns.iter().take_while(|turn| matches!(turn.role, Role::System | Role::Developer)).count();
    for (at, turn) in request.turns.iter().enumerate() {
        planner.turn(turn, at < leading)?;
    }
    planner.drop_pending();
    let mut plan = planner.plan;
    if !own {
        keep_last_marks(&mut plan, losses);
    }
    Ok(plan)
}

struct Planner<'r, 'p> {
    own: bool,
    target: &'p Target<'p>,
    parts: Parts,
    losses: &'p mut Losses,
    calls: Calls,
    plan: Plan<'r>,
    /// Reasoning that waits for the item it led to: alone it is refused.
    pending: Vec<Item<'r>>,
}

impl<'r> Planner<'r, '_> {
    fn turn(&mut self, turn: &'r Turn<'r>, leading: bool) -> Result<(), Refusal> {
        let Turn { role, place: _, parts, bare, name, extra } = turn;
        leave_out(extra, OURS, self.losses)?;
        if name.is_some() {
            self.losses.dropped(Feature::MessageName);
        }
        if leading && self.instructions(turn)? {
            return Ok(());
        }
        if self.own
            && let [Part { kind: PartKind::Foreign { raw, .. }, .. }] = parts.as_slice()
            && extra.iter().any(|extra| extra.name == WHOLE_ITEM)
        {
            self.plan.items.push(Item::Raw(raw));
            return Ok(());
        }
        let mut message = Message { role: self.role(*role), bare: *bare, parts: Vec::new(), extra, said: false };
        for part in parts {
            self.part(turn, part, &mut message)?;
        }
        if parts.is_empty() && self.own {
            message.said = true;
        }
        self.flush(&mut message);
        Ok(())
    }

    fn role(&self, role: Role) -> &'static str {
        match role {
            Role::System => "system",
            Role::Developer if self.target.quirks.has(Quirk::NoDeveloperRole) => "system",
            Role::Developer => "developer",
            Role::User | Role::Tool => "user",
            Role::Assistant => "assistant",
        }
    }

    /// The first leading turn, if it is nothing but text without marks, is what this protocol calls instructions.
    fn instructions(&mut self, turn: &'r Turn<'r>) -> Result<bool, Refusal> {
        let wanted = if self.own { turn.place == crate::wire::ir::Place::Lead } else { self.plan.items.is_empty() };
        if !wanted || self.plan.instructions.is_some() || turn.parts.is_empty() {
            return Ok(false);
        }
        let mut texts = Vec::with_capacity(turn.parts.len());
        for part in &turn.parts {
            let PartKind::Text(text) = &part.kind else { return Ok(false) };
            if part.cache.is_some() && self.parts.marks {
                return Ok(false);
            }
            texts.push(text);
        }
        for part in &turn.parts {
            leave_out(&part.extra, OURS, self.losses)?;
            if part.cache.is_some() {
                self.losses.dropped(Feature::CacheControl);
            }
        }
        self.plan.instructions = Some(match texts.as_slice() {
            [text] => text.borrowed(),
            texts => Str::token(texts.iter().map(|text| text.as_token()).collect::<Vec<_>>().join("\\n\\n")),
        });
        Ok(true)
    }

    fn part(&mut self, turn: &'r Turn<'r>, part: &'r Part<'r>, message: &mut Message<'r>) -> Result<(), Refusal> {
        let Part { kind, cache, state, extra } = part;
        leave_out(extra, OURS, self.losses)?;
        let is_reasoning = matches!(kind, PartKind::Reasoning(_));
        if state.is_some() && !is_reasoning {
            self.losses.dropped(Feature::ReasoningState);
        }
        match kind {
            PartKind::Text(_) | PartKind::Refusal(_) => {
                let assistant = turn.role == Role::Assistant;
                if let Some(out) = self.parts.part(part, assistant, self.losses)? {
                    message.push(out);
                }
                return Ok(());
            }
            PartKind::Media(media) if turn.role == Role::Assistant => {
                self.flush(message);
                return self.model_media(part, media, &turn.extra);
            }
            PartKind::Media(_) => {
                if let Some(out) = self.parts.part(part, false, self.losses)? {
                    message.push(out);
                }
                return Ok(());
            }
            PartKind::Reasoning(reasoning) => {
                self.flush(message);
                self.reasoning(reasoning, part, &turn.extra);
            }
            PartKind::Call(call) => {
                self.flush(message);
                self.call(call, &turn.extra);
            }
            PartKind::Result(result) => {
                self.flush(message);
                return self.result(result, part, &turn.extra);
            }
            PartKind::Foreign { .. } => {
                if let Some(out) = self.parts.part(part, false, self.losses)? {
                    message.push(out);
                }
            }
        }
        if cache.is_some() {
            self.losses.dropped(Feature::CacheControl);
        }
        Ok(())
    }

    fn flush(&mut self, message: &mut Message<'r>) {
        if !std::mem::take(&mut message.said) {
            return;
        }
        let content = Content::of(std::mem::take(&mut message.parts), message.bare);
        let item = Item::Message { role: message.role, content, typed: !self.own, extra: message.extra };
        if message.role == "assistant" { self.push_model(item) } else { self.push(item) }
    }

    /// An item that no reasoning leads to.
    fn push(&mut self, item: Item<'r>) {
        self.drop_pending();
        self.plan.items.push(item);
    }

    fn push_model(&mut self, item: Item<'r>) {
        self.plan.items.append(&mut self.pending);
        self.plan.items.push(item);
    }

    fn drop_pending(&mut self) {
        if !self.pending.is_empty() {
            self.pending.clear();
            self.losses.dropped(Feature::ReasoningState);
        }
    }

    fn reasoning(&mut self, reasoning: &'r Reasoning<'r>, part: &'r Part<'r>, extra: &'r [Extra<'r>]) {
        let readable = part.state.as_ref().filter(|state| state.readable_by(OURS, self.target.account));
        let state = readable.map(|state| state.payload.borrowed());
        let has_text = !reasoning.text.is_empty() || !reasoning.full.is_empty();
        let shown = if self.own { Shown::AsItCame } else { Shown::AsContent };
        let back = has_text && self.target.quirks.has(Quirk::ReasoningContent);
        if self.own && (state.is_some() || part.state.is_none() || has_text) {
            self.plan.items.push(Item::Reasoning { reasoning, state, shown, extra });
        } else if state.is_some() {
            self.pending.push(Item::Reasoning { reasoning, state, shown: Shown::AsItCame, extra });
        } else if back {
            if part.state.is_some() {
                self.losses.dropped(Feature::ReasoningState);
            }
            self.pending.push(Item::Reasoning { reasoning, state, shown, extra });
        } else {
            self.losses.thinking(part.state.as_ref());
        }
    }

    fn call(&mut self, call: &'r Call<'r>, extra: &'r [Extra<'r>]) {
        let id = self.calls.call(call);
        let name = sent_name(&call.name, self.own);
        self.push_model(Item::Call { id, name, call, extra });
    }

    fn result(
        &mut self,
        result: &'r CallResult<'r>,
        part: &'r Part<'r>,
        extra: &'r [Extra<'r>],
    ) -> Result<(), Refusal> {
        let (id, custom) = self.calls.result(result);
        for inner in &result.content {
            leave_out(&inner.extra, OURS, self.losses)?;
        }
        let content = self.parts.output(result, part.cache.as_ref(), self.losses)?;
        self.push(Item::Output { id, content, custom, extra });
        Ok(())
    }

    /// What a model drew comes back as its own item, or where it was another's as an image that the user shows.
    fn model_media(
        &mut self,
        part: &'r Part<'r>,
        media: &'r crate::wire::ir::Media<'r>,
        extra: &'r [Extra<'r>],
    ) -> Result<(), Refusal> {
        use crate::wire::ir::{MediaKind, Source};
        if self.own
            && let Source::Base64 { data, .. } = &media.source
            && media.kind == MediaKind::Image
        {
            self.plan.items.push(Item::Image { data, extra });
            return Ok(());
        }
        if media.kind != MediaKind::Image || !self.target.vision {
            let is_image = media.kind == MediaKind::Image;
            self.losses.dropped(if is_image { Feature::ImageOut } else { Feature::AudioOut });
            return Ok(());
        }
        self.losses.approximated(Feature::Role);
        if let Some(out) = self.parts.part(part, false, self.losses)? {
            self.push(Item::Message { role: "user", content: Content::Parts(vec![out]), typed: true, extra: &[] });
        }
        Ok(())
    }
}

/// A message whose parts are being gathered.
struct Message<'r> {
    role: &'static str,
    bare: bool,
    parts: Vec<PartOut<'r>>,
    extra: &'r [Extra<'r>],
    /// There is something to say.
    said: bool,
}

impl<'r> Message<'r> {
    fn push(&mut self, part: PartOut<'r>) {
        self.parts.push(part);
        self.said = true;
    }
}

/// Only so many marks are taken; the last ones reach furthest.
fn keep_last_marks(plan: &mut Plan<'_>, losses: &mut Losses) {
    let mut marked: Vec<_> = plan.items.iter_mut().filter_map(Item::content_mut).flat_map(Content::marks).collect();
    let over = marked.len().saturating_sub(CACHE_MARKS_MAX);
    for mark in marked.drain(..over) {
        *mark = None;
        losses.dropped(Feature::CacheControl);
    }
}

impl<'r> Item<'r> {
    fn content_mut(&mut self) -> Option<&mut Content<'r>> {
        match self {
            Item::Message { content, .. } | Item::Output { content, .. } => Some(content),
            Item::Call { .. } | Item::Reasoning { .. } | Item::Image { .. } | Item::Raw(_) => None,
        }
    }
}

/// What is done with something that only another protocol has.
pub(super) fn foreign(what: &str, class: Class, from: Protocol, losses: &mut Losses) -> Result<(), Refusal> {
    match class {
        Class::Unknown | Class::Dropped => losses.field(what),
        Class::Refused => {
            let message = format!("{what} cannot be sent to this model's upstream: leave it out");
            return Err(Refusal::new(Feature::Conversation.param(from), message));
        }
        Class::Idle => {}
    }
    Ok(())
}
