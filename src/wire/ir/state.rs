//! Opaque state of a model (signatures, encrypted reasoning) and the envelope in which it travels through clients of other
//! protocols. Must never look into a payload.

use std::borrow::Cow;

use crate::wire::Protocol;
use crate::wire::json::Str;

/// What a model needs back, byte for byte, and only the family of deployments that made it can read.
#[derive(Debug, Clone, PartialEq)]
pub struct State<'a> {
    /// The protocol whose models made it.
    pub origin: Protocol,
    /// The account group that can read it; `None` when it came without our envelope, from a client of its own protocol.
    pub account: Option<Cow<'a, str>>,
    pub payload: Str<'a>,
}

impl<'a> State<'a> {
    /// How an envelope begins.
    pub const MARK: &'static str = "qg1.";
    /// The same where a client's field is base64 once more, as far as what follows does not change it.
    pub const MARK_IN_BASE64: &'static str = "cWcxL";

    /// State as it stands in a field of `protocol`: ours in an envelope, or that protocol's own.
    ///
    /// ```
    /// use qingwave::wire::{Protocol, ir::State, json::Str};
    /// let made = State { origin: Protocol::AnthropicMessages, account: Some("acme".into()), payload: Str::plain("EqQB+/=") };
    /// let text = made.wrapped();
    /// assert_eq!(State::read(Protocol::OpenAiResponses, Str::plain(text.as_str())), made);
    /// assert_eq!(State::read(Protocol::GeminiGenerate, Str::plain("abc")).account, None);
    /// ```
    pub fn read(protocol: Protocol, text: Str<'a>) -> State<'a> {
        if let Some((origin, account, payload)) = open(&text.decode()) {
            return State { origin, account: Some(account.into()), payload: Str::plain(payload) };
        }
        State { origin: protocol, account: None, payload: text }
    }

    /// The envelope, for a client that speaks another protocol: `qg1.<origin>.<account>.<payload>`. URL-safe base64 alone,
    /// which every carrier takes.
    pub fn wrapped(&self) -> String {
        let account = encode(self.account.as_deref().unwrap_or_default().as_bytes());
        format!("{}{}.{account}.{}", State::MARK, short(self.origin), encode(self.payload.decode().as_bytes()))
    }

    /// The text for a client of `protocol`: its own form where the state was made in that protocol, else the envelope.
    pub fn carried(&self, protocol: Protocol) -> Str<'_> {
        if self.origin == protocol { self.payload.borrowed() } else { Str::plain(self.wrapped()) }
    }

    /// Whether an upstream of `protocol` under `account` can read it.
    pub fn readable_by(&self, protocol: Protocol, account: &str) -> bool {
        self.origin == protocol && self.account.as_deref().is_none_or(|group| group == account)
    }

    pub fn into_owned(self) -> State<'static> {
        State {
            origin: self.origin,
            account: self.account.map(|account| Cow::Owned(account.into_owned())),
            payload: self.payload.into_owned(),
        }
    }
}

const fn short(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::OpenAiChat => "oc",
        Protocol::OpenAiResponses => "rs",
        Protocol::AnthropicMessages => "am",
        Protocol::GeminiGenerate => "gm",
    }
}

fn open(text: &str) -> Option<(Protocol, String, String)> {
    let mut fields = text.strip_prefix(State::MARK)?.splitn(3, '.');
    let origin = fields.next()?;
    let origin = Protocol::ALL.into_iter().find(|protocol| short(*protocol) == origin)?;
    let text = |field: &str| String::from_utf8(decode(field)?).ok();
    Some((origin, text(fields.next()?)?, text(fields.next()?)?))
}

fn encode(bytes: &[u8]) -> String {
    data_encoding::BASE64URL_NOPAD.encode(bytes)
}

fn decode(text: &str) -> Option<Vec<u8>> {
    data_encoding::BASE64URL_NOPAD.decode(text.as_bytes()).ok()
}
