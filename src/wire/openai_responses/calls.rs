//! Names and ids of calls as an upstream of this protocol takes them, and how results find their calls.

use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};

use crate::wire::ir::{Call, CallResult, Ids, fitted_id};
use crate::wire::json::Str;

/// Longest id and tool name that this protocol takes.
const ID_CHARS_MAX: usize = 64;

/// A tool's name as the upstream takes it; always the same for the same name.
pub(super) fn sent_name<'n>(name: &'n Str<'_>, own: bool) -> Cow<'n, str> {
    let fits = |name: &str| {
        (1..=ID_CHARS_MAX).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
    };
    match name.decode() {
        name if own => name,
        Cow::Borrowed(name) => fitted_id(name, fits),
        Cow::Owned(name) => Cow::Owned(fitted_id(&name, fits).into_owned()),
    }
}

/// Calls so far, so that results find theirs.
pub(super) struct Calls {
    own: bool,
    ids: Ids,
    /// Whether the last call of that id was free-form.
    custom: HashMap<String, bool>,
    /// Ids of calls that came without, by name, not answered yet.
    open: HashMap<String, VecDeque<String>>,
}

impl Calls {
    pub fn new(own: bool) -> Calls {
        Calls { own, ids: Ids::new("request"), custom: HashMap::new(), open: HashMap::new() }
    }

    fn fitted<'i>(&self, id: &'i Str<'_>) -> Cow<'i, str> {
        let fits = |id: &str| !id.is_empty() && id.len() <= ID_CHARS_MAX;
        match id.decode() {
            id if self.own => id,
            Cow::Borrowed(id) => fitted_id(id, fits),
            Cow::Owned(id) => Cow::Owned(fitted_id(&id, fits).into_owned()),
        }
    }

    pub fn call<'r>(&mut self, call: &'r Call<'r>) -> Cow<'r, str> {
        let id = match &call.id {
            Some(id) => self.fitted(id),
            None => {
                let id = self.ids.mint("call_");
                self.open.entry(call.name.decode().into_owned()).or_default().push_back(id.clone());
                Cow::Owned(id)
            }
        };
        self.custom.insert(id.clone().into_owned(), call.custom);
        id
    }

    /// The id of a result, and whether its call was free-form.
    pub fn result<'r>(&mut self, result: &'r CallResult<'r>) -> (Cow<'r, str>, bool) {
        let id = match (&result.call_id, &result.name) {
            (Some(id), _) => self.fitted(id),
            (None, name) => {
                let name = name.as_ref().map(|name| name.decode().into_owned()).unwrap_or_default();
                let known = self.open.get_mut(&name).and_then(VecDeque::pop_front);
                Cow::Owned(known.unwrap_or_else(|| self.ids.mint("call_")))
            }
        };
        let custom = if self.own { result.custom } else { self.custom.get(&*id).copied().unwrap_or(result.custom) };
        (id, custom)
    }
}
