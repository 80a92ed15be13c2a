//! Puts the results of calls where Gemini wants them, and a signature on every call that needs one.

use std::collections::{HashMap, VecDeque};

use super::super::signature::STAND_IN;
use super::contents::Content;
use super::pieces::{Body, Outcome, Piece, Response};
use crate::wire::ir::{Feature, Losses, Quirk, Refusal, Request, Target};
use crate::wire::json::Str;

/// Results by the id of their call; of several with one id, the first belongs to the first call.
#[derive(Default)]
pub struct Results<'r> {
    by_call: HashMap<String, VecDeque<Outcome<'r>>>,
}

impl<'r> Results<'r> {
    pub fn add(&mut self, call_id: String, outcome: Outcome<'r>) {
        self.by_call.entry(call_id).or_default().push_back(outcome);
    }

    fn take(&mut self, call_id: &str) -> Option<Outcome<'r>> {
        let queue = self.by_call.get_mut(call_id)?;
        let outcome = queue.pop_front();
        if queue.is_empty() {
            self.by_call.remove(call_id);
        }
        outcome
    }

    /// All results of a turn's calls stand first in the content behind it: as many as the calls, and in their order.
    pub fn answer(
        &mut self,
        list: &mut Vec<Content<'r>>,
        request: &Request<'_>,
        target: &Target<'_>,
        losses: &mut Losses,
    ) -> Result<(), Refusal> {
        let mut at = 0;
        while at < list.len() {
            let calls = calls(&list[at]);
            at += 1;
            if calls.is_empty() || !list[at - 1].model {
                continue;
            }
            let outcomes: Vec<Option<Outcome<'r>>> = calls.iter().map(|(id, _)| self.take(id)).collect();
            if outcomes.iter().all(Option::is_none) && at == list.len() {
                continue;
            }
            if list.get(at).is_none_or(|next| next.model) {
                list.insert(at, Content::new(false));
            }
            let pieces = laid_out(calls, outcomes, target, losses);
            list[at].pieces.splice(0..0, pieces);
        }
        match self.by_call.keys().min() {
            None => Ok(()),
            Some(id) => {
                let message = format!("the result of call {id:?} has no such call before it: send the call too");
                Err(Refusal::new(Feature::Conversation.param(request.protocol), message))
            }
        }
    }
}

/// Ids and names of a content's calls.
fn calls<'r>(content: &Content<'r>) -> Vec<(String, Str<'r>)> {
    let call = |piece: &Piece<'r>| match &piece.body {
        Body::Call { id, name, .. } => {
            Some((id.as_ref().map(|id| id.decode().into_owned()).unwrap_or_default(), name.clone()))
        }
        Body::Text { .. } | Body::Inline { .. } | Body::File { .. } | Body::Result(_) | Body::Raw(_) => None,
    };
    content.pieces.iter().filter_map(call).collect()
}

fn laid_out<'r>(
    calls: Vec<(String, Str<'r>)>,
    outcomes: Vec<Option<Outcome<'r>>>,
    target: &Target<'_>,
    losses: &mut Losses,
) -> Vec<Piece<'r>> {
    let mut pieces = Vec::new();
    let mut behind = Vec::new();
    for ((id, name), outcome) in calls.into_iter().zip(outcomes) {
        let mut outcome = outcome.unwrap_or_else(|| {
            losses.approximated(Feature::CallResult);
            let response = Response::Text { error: false, texts: vec![Str::plain("(no result)")] };
            let id = (!id.is_empty()).then(|| Str::plain(id));
            Outcome { id, name: name.clone(), response, media: Vec::new() }
        });
        outcome.name = name;
        if target.quirks.has(Quirk::NoMediaInResults) {
            behind.append(&mut outcome.media);
        }
        pieces.push(Piece::new(Body::Result(outcome)));
    }
    pieces.append(&mut behind);
    pieces
}

/// Gemini 3 refuses a step of the current turn whose first call has no signature. Calls that it did not make get what Google
/// documents for them.
pub fn sign(list: &mut [Content<'_>], target: &Target<'_>) {
    if !target.quirks.has(Quirk::SignedCalls) {
        return;
    }
    let answers = |content: &Content<'_>| content.pieces.iter().any(|piece| matches!(piece.body, Body::Result(_)));
    let turn = list.iter().rposition(|content| !content.model && !answers(content)).unwrap_or(0);
    for content in list[turn..].iter_mut().filter(|content| content.model) {
        let first = content.pieces.iter_mut().find(|piece| matches!(piece.body, Body::Call { .. }));
        if let Some(call) = first.filter(|call| call.signature.is_none()) {
            call.signature = Some(Str::plain(STAND_IN));
        }
    }
}
