//! Signatures and redacted thinking as states, and states of texts and calls as redacted thinking. Must never look further into a payload than the mark that we put there.

use crate::wire::Protocol;
use crate::wire::ir::State;
use crate::wire::json::{Json, Str, Value};

/// Begins the payload of redacted thinking, so that a client whose protocol has one field for both brings back which of the
/// two it was: one in the other's place is refused. No base64 holds a colon.
const REDACTED: &str = "redacted:";

/// The state of a thinking block: what `redacted` says is data, else a signature.
pub(super) fn made(account: &str, redacted: bool, payload: Str<'_>) -> State<'static> {
    let payload = match redacted {
        true => Str::plain(format!("{REDACTED}{}", payload.decode())),
        false => payload.into_owned(),
    };
    State { origin: Protocol::AnthropicMessages, account: Some(account.to_owned().into()), payload }
}

/// The data or signature, and whether it is data. `redacted` counts only where the state came without our envelope.
pub(super) fn opened<'s>(state: &'s State<'_>, redacted: bool) -> (bool, Str<'s>) {
    if state.account.is_none() || state.origin != Protocol::AnthropicMessages {
        return (redacted, state.payload.borrowed());
    }
    match state.payload.decode().strip_prefix(REDACTED) {
        Some(data) => (true, Str::plain(data.to_owned())),
        None => (false, state.payload.borrowed()),
    }
}

/// What stands in a client's `signature` or `data`.
pub(super) fn carried<'s>(state: &'s State<'_>) -> Str<'s> {
    match state.origin == Protocol::AnthropicMessages {
        true => opened(state, false).1,
        false => state.carried(Protocol::AnthropicMessages),
    }
}

/// Whose state a block of redacted thinking holds: that of a text or call, which have no field for one of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    Next,
    Before,
}

impl Owner {
    /// Stands behind the envelope.
    const fn mark(self) -> &'static str {
        match self {
            Owner::Next => ".n",
            Owner::Before => ".b",
        }
    }
}

/// The members of a block of redacted thinking that holds the state of another block. Clients send it back where it stood.
pub(super) fn write_beside(json: &mut Json<'_>, state: &State<'_>, owner: Owner) {
    json.key("type").text("redacted_thinking");
    json.key("data").texts([carried(state), Str::plain(owner.mark())]);
}

/// The state that such a block holds.
pub(super) fn read_beside(block: &Value<'_>) -> Option<(State<'static>, Owner)> {
    let kind = block.get("type").and_then(Value::as_str)?;
    if *kind != "redacted_thinking" {
        return None;
    }
    let data = block.get("data")?.as_text()?;
    let (owner, envelope) =
        [Owner::Next, Owner::Before].into_iter().find_map(|owner| Some((owner, data.strip_suffix(owner.mark())?)))?;
    let state = State::read(Protocol::AnthropicMessages, Str::plain(envelope));
    // Only an envelope of ours names its account.
    state.account.is_some().then(|| (state.into_owned(), owner))
}
