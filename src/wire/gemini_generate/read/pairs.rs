//! Gives calls and results of a request ids by which other protocols pair them. Gemini pairs by order and name where it has
//! none; what is minted here is marked, so that a Gemini writer leaves it out again.

use std::collections::VecDeque;

use super::super::fields::{Path, absent};
use crate::wire::ir::{Ids, PartKind, Role, Turn};
use crate::wire::json::Str;

/// Most unanswered calls that are looked through for one result.
const LOOKED_AT_MAX: usize = 1024;

struct Open {
    turn: usize,
    part: usize,
    id: String,
    name: String,
    minted: bool,
}

/// The same call gets the same id as the conversation grows, so that an upstream's prompt cache still fits.
pub fn pair(turns: &mut [Turn<'_>]) {
    let mut ids = Ids::new("gemini.call");
    let mut open: VecDeque<Open> = VecDeque::new();
    let mut answering = false;
    let mut renamed: Vec<(usize, usize, String)> = Vec::new();
    for (at, turn) in turns.iter_mut().enumerate() {
        if turn.role == Role::Assistant && answering {
            open.clear();
        }
        answering = turn.role != Role::Assistant;
        for (index, part) in turn.parts.iter_mut().enumerate() {
            let root = Path::ROOT;
            match &mut part.kind {
                PartKind::Call(call) => {
                    let minted = call.id.is_none();
                    if minted {
                        call.id = Some(Str::plain(ids.mint("call_")));
                        part.extra.push(absent(&root.key("functionCall"), "id"));
                    }
                    let id = call.id.as_ref().map(|id| id.decode().into_owned()).unwrap_or_default();
                    let name = call.name.decode().into_owned();
                    open.push_back(Open { turn: at, part: index, id, name, minted });
                }
                PartKind::Result(result) => {
                    let name = result.name.as_ref().map(|name| name.decode().into_owned());
                    match result.call_id.as_ref().map(|id| id.decode().into_owned()) {
                        Some(id) => {
                            if take(&mut open, |call| call.id == id).is_none()
                                && let Some(call) =
                                    take(&mut open, |call| call.minted && Some(&call.name) == name.as_ref())
                            {
                                renamed.push((call.turn, call.part, id));
                            }
                        }
                        None => {
                            let call = take(&mut open, |call| Some(&call.name) == name.as_ref())
                                .or_else(|| take(&mut open, |_| name.is_none()));
                            let id = call.map_or_else(|| ids.mint("call_"), |call| call.id);
                            result.call_id = Some(Str::plain(id));
                            part.extra.push(absent(&root.key("functionResponse"), "id"));
                        }
                    }
                }
                PartKind::Text(_)
                | PartKind::Refusal(_)
                | PartKind::Media(_)
                | PartKind::Reasoning(_)
                | PartKind::Foreign { .. } => {}
            }
        }
    }
    for (turn, part, id) in renamed {
        if let PartKind::Call(call) = &mut turns[turn].parts[part].kind {
            call.id = Some(Str::plain(id));
        }
    }
}

fn take(open: &mut VecDeque<Open>, fits: impl Fn(&Open) -> bool) -> Option<Open> {
    let at = open.iter().take(LOOKED_AT_MAX).position(fits)?;
    open.remove(at)
}
