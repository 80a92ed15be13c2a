//! Finds the result of every call of a conversation, and one id that both halves can bear. Must never know how they are
//! written.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet, VecDeque};

use super::said::is_id;
use crate::wire::ir::{Call, CallResult, Ids, PartKind, Request, fitted_id};
use crate::wire::json::Str;

/// Where a part stands: turn and part.
pub(super) type Site = (usize, usize);

/// Calls with their results. Anthropic wants every result right behind its call, once, and every id once.
#[derive(Default)]
pub(super) struct Pairs {
    /// By the call's site.
    calls: HashMap<Site, Pair>,
    /// Results that belong to a call.
    claimed: HashSet<Site>,
}

pub(super) struct Pair {
    pub id: String,
    pub result: Option<Site>,
}

impl Pairs {
    pub fn find(request: &Request<'_>) -> Pairs {
        let mut waiting = Waiting::of(request);
        let mut pairs = Pairs::default();
        let mut ids = NewIds { taken: HashSet::new(), minted: Ids::new("history") };
        for (site, kind) in sites(request) {
            let PartKind::Call(call) = kind else { continue };
            let result = waiting.take(call, site);
            pairs.claimed.extend(result);
            pairs.calls.insert(site, Pair { id: ids.give(call.id.as_ref()), result });
        }
        pairs
    }

    pub fn of(&self, call: Site) -> Option<&Pair> {
        self.calls.get(&call)
    }

    pub fn is_claimed(&self, result: Site) -> bool {
        self.claimed.contains(&result)
    }
}

fn sites<'r, 'a>(request: &'r Request<'a>) -> impl Iterator<Item = (Site, &'r PartKind<'a>)> {
    request
        .turns
        .iter()
        .enumerate()
        .flat_map(|(turn, it)| it.parts.iter().enumerate().map(move |(part, it)| ((turn, part), &it.kind)))
}

/// Results that no call has taken yet, in order.
struct Waiting<'r> {
    by_id: HashMap<Cow<'r, str>, VecDeque<Site>>,
    /// Those without an id (Gemini), which go by the function's name.
    by_name: HashMap<Cow<'r, str>, VecDeque<Site>>,
}

impl<'r> Waiting<'r> {
    fn of(request: &'r Request<'_>) -> Waiting<'r> {
        let mut waiting = Waiting { by_id: HashMap::new(), by_name: HashMap::new() };
        for (site, kind) in sites(request) {
            let PartKind::Result(CallResult { call_id, name, .. }) = kind else { continue };
            match (given(call_id), name) {
                (Some(id), _) => waiting.by_id.entry(id.decode()).or_default().push_back(site),
                (None, Some(name)) => waiting.by_name.entry(name.decode()).or_default().push_back(site),
                (None, None) => {}
            }
        }
        waiting
    }

    /// The first result that stands behind the call.
    fn take(&mut self, call: &Call<'_>, site: Site) -> Option<Site> {
        let by_id = given(&call.id).and_then(|id| self.by_id.get_mut(&*id.decode()));
        let first = |queue: &mut VecDeque<Site>| {
            while queue.front().is_some_and(|result| *result < site) {
                queue.pop_front();
            }
            queue.pop_front()
        };
        by_id.and_then(first).or_else(|| self.by_name.get_mut(&*call.name.decode()).and_then(first))
    }
}

fn given<'s, 'a>(id: &'s Option<Str<'a>>) -> Option<&'s Str<'a>> {
    id.as_ref().filter(|id| !id.is_empty())
}

struct NewIds {
    taken: HashSet<String>,
    minted: Ids,
}

impl NewIds {
    /// The id itself where it is allowed and new. The same conversation gets the same ids, however often it is sent: caches
    /// go by it.
    fn give(&mut self, id: Option<&Str<'_>>) -> String {
        let base = match id.map(Str::decode).filter(|id| !id.is_empty()) {
            Some(id) => fitted_id(&id, is_id).into_owned(),
            None => self.minted.mint("toolu_"),
        };
        let mut id = base.clone();
        let mut copies = 1;
        while !self.taken.insert(id.clone()) {
            copies += 1;
            id = fitted_id(&format!("{base}#{copies}"), is_id).into_owned();
        }
        id
    }
}
