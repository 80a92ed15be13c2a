//! What the upstream has seen, and what its seed fixes: counts, the last requests, identities. Must never know sockets.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;

use super::cache::Memory;
use super::reply::{Identity, mix};
use super::seal::Seal;
use super::serve;

/// Requests that are kept.
const LAST_MAX: usize = 16;
/// Bytes of a body that are kept.
const BODY_KEPT_BYTES_MAX: usize = 64 << 10;
/// Model names that are counted apart; the rest share one line.
const MODELS_MAX: usize = 4096;
const MODEL_BYTES_MAX: usize = 256;
const OTHER_MODELS: &str = "(other)";
/// Answers of Responses that are stored.
const STORED_MAX: usize = 256;
/// Headers and query fields whose value is a credential.
const SECRET_HEADERS: [&str; 4] = ["authorization", "x-api-key", "x-goog-api-key", "api-key"];
const SECRET_QUERY: &str = "key";
/// Unix seconds of call 0: fixed, so that a seed gives the same bytes on every day.
const CREATED_EPOCH_S: u64 = 1_767_225_600;

/// What the upstream has seen, for assertions: `GET /admin/demo`.
#[derive(Debug, Clone, Default, serde::Serialize)]
pub struct Seen {
    /// Requests to a model, whatever their answer.
    pub calls: u64,
    /// Calls by upstream model name.
    pub by_model: BTreeMap<String, u64>,
    /// Requests whose client left before the answer was complete.
    pub cancelled: u64,
    /// Newest last, at most 16.
    pub last: Vec<SeenRequest>,
}

#[derive(Debug, Clone, serde::Serialize)]
pub struct SeenRequest {
    pub method: String,
    /// With its query; a key in it is shown by its last four characters.
    pub path: String,
    /// The protocol of the path, for one that belongs to a chat protocol: `openai.chat`, `openai.responses`,
    /// `anthropic.messages` or `gemini.generate`.
    pub protocol: Option<&'static str>,
    /// `HTTP/1.0`, `HTTP/1.1` or `HTTP/2`.
    pub http_version: String,
    /// Lower-case names, in order. A credential is shown as its scheme and the last four characters.
    pub headers: Vec<(String, String)>,
    pub body_bytes: usize,
    /// At most 64 KiB of it.
    pub body: String,
}

/// A request head as its protocol driver holds it; it is turned into text when somebody looks.
pub(super) trait Head: Send {
    /// A request without its body.
    fn show(&self) -> SeenRequest;
}

struct Kept {
    head: Box<dyn Head>,
    body_bytes: usize,
    body: Bytes,
}

/// The upstream's memory, shared by all connections. Locks are held for a few instructions, never across an await.
pub(super) struct State {
    seed: u64,
    pub seal: Seal,
    pub cache: Memory,
    calls: AtomicU64,
    cancelled: AtomicU64,
    by_model: Mutex<BTreeMap<String, u64>>,
    last: Mutex<VecDeque<Kept>>,
    /// Ids of stored answers, and the calls in them.
    stored: Mutex<VecDeque<(String, Vec<String>)>>,
}

impl State {
    pub fn new(seed: u64) -> State {
        State {
            seed,
            seal: Seal::new(seed),
            cache: Memory::default(),
            calls: AtomicU64::new(0),
            cancelled: AtomicU64::new(0),
            by_model: Mutex::default(),
            last: Mutex::default(),
            stored: Mutex::default(),
        }
    }

    /// Stores an answer of Responses; the oldest are forgotten.
    pub fn store(&self, id: &str, calls: Vec<String>) {
        let mut stored = self.stored.lock();
        if stored.len() >= STORED_MAX {
            stored.pop_front();
        }
        stored.push_back((id.to_owned(), calls));
    }

    /// The calls of a stored answer.
    pub fn stored_calls(&self, id: &str) -> Option<Vec<String>> {
        let stored = self.stored.lock();
        stored.iter().rev().find(|(known, _)| known == id).map(|(_, calls)| calls.clone())
    }

    pub fn keep(&self, head: Box<dyn Head>, body: &[u8]) {
        let kept = Kept {
            head,
            body_bytes: body.len(),
            body: Bytes::copy_from_slice(&body[..body.len().min(BODY_KEPT_BYTES_MAX)]),
        };
        let mut last = self.last.lock();
        let oldest = if last.len() >= LAST_MAX { last.pop_front() } else { None };
        last.push_back(kept);
        drop(last);
        drop(oldest);
    }

    /// Counts a call and gives it its identity.
    pub fn count_call(&self) -> Identity {
        let number = self.calls.fetch_add(1, Ordering::Relaxed);
        let one = mix(self.seed ^ mix(number));
        let two = mix(one);
        Identity {
            id: format!("{one:016x}{:08x}", two >> 32),
            request_id: format!("req_{two:016x}{one:016x}"),
            created: CREATED_EPOCH_S + number,
        }
    }

    /// Counts a call of a model: how many have named it by now, and a random number below 100 that the seed fixes.
    pub fn count_model(&self, model: &str) -> (u64, u32) {
        let ordinal = self.count_name(model);
        let name = model.bytes().fold(self.seed, |hash, byte| mix(hash ^ u64::from(byte)));
        (ordinal, (mix(name ^ mix(ordinal)) % 100) as u32)
    }

    fn count_name(&self, model: &str) -> u64 {
        let mut by_model = self.by_model.lock();
        if let Some(count) = by_model.get_mut(model) {
            *count += 1;
            return *count;
        }
        let name = if by_model.len() < MODELS_MAX && model.len() <= MODEL_BYTES_MAX { model } else { OTHER_MODELS };
        let count = by_model.entry(name.to_owned()).or_insert(0);
        *count += 1;
        *count
    }

    pub fn seen(&self) -> Seen {
        let last = self.last.lock();
        Seen {
            calls: self.calls.load(Ordering::Relaxed),
            by_model: self.by_model.lock().clone(),
            cancelled: self.cancelled.load(Ordering::Relaxed),
            last: last.iter().map(Kept::show).collect(),
        }
    }

    pub fn reset(&self) {
        self.calls.store(0, Ordering::Relaxed);
        self.cancelled.store(0, Ordering::Relaxed);
        self.by_model.lock().clear();
        self.last.lock().clear();
        self.stored.lock().clear();
        self.cache.forget();
    }
}

impl Kept {
    fn show(&self) -> SeenRequest {
        let mut request = self.head.show();
        for (name, value) in &mut request.headers {
            if SECRET_HEADERS.contains(&name.as_str()) {
                *value = redacted(value);
            }
        }
        request.protocol = serve::protocol_of(&request.path);
        request.path = without_key(&request.path);
        request.body_bytes = self.body_bytes;
        request.body = String::from_utf8_lossy(&self.body).into_owned();
        request
    }
}

/// `Bearer sk-secret-1234` → `Bearer …1234`.
fn redacted(value: &str) -> String {
    let (scheme, credential) = value.split_once(' ').unwrap_or(("", value));
    let last: String = credential.chars().rev().take(4).collect::<Vec<_>>().into_iter().rev().collect();
    format!("{scheme} …{last}")
}

/// `/v1beta/models?key=secret-1234&alt=sse` → `/v1beta/models?key=…1234&alt=sse`.
fn without_key(path: &str) -> String {
    let Some((path, query)) = path.split_once('?') else { return path.to_owned() };
    let shown = query.split('&').map(|field| match field.split_once('=') {
        Some((SECRET_QUERY, value)) => format!("{SECRET_QUERY}={}", redacted(value).trim_start()),
        _ => field.to_owned(),
    });
    format!("{path}?{}", shown.collect::<Vec<_>>().join("&"))
}

/// An answer on its way: counts its client as gone unless it is told that the answer is complete.
pub(super) struct OnItsWay<'a> {
    state: &'a State,
    complete: bool,
}

impl<'a> OnItsWay<'a> {
    pub fn new(state: &'a State) -> OnItsWay<'a> {
        OnItsWay { state, complete: false }
    }

    /// The answer ended as its script says, also when that is a fault.
    pub fn complete(mut self) {
        self.complete = true;
    }
}

impl Drop for OnItsWay<'_> {
    fn drop(&mut self) {
        if !self.complete {
            self.state.cancelled.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_shows_its_scheme_and_last_four() {
        assert_eq!(redacted("Bearer sk-secret-1234"), "Bearer …1234");
        assert_eq!(redacted("sk-secret-1234"), " …1234");
        assert_eq!(without_key("/m?key=secret-1234&alt=sse"), "/m?key=…1234&alt=sse");
    }

    #[test]
    fn a_seed_fixes_identities_and_rolls() {
        let run = |seed| {
            let state = State::new(seed);
            let ids: Vec<String> = (0..3).map(|_| state.count_call().id).collect();
            let rolls: Vec<u32> = (0..50).map(|_| state.count_model("m--e500-p50").1).collect();
            (ids, rolls)
        };
        assert_eq!(run(7), run(7));
        assert_ne!(run(7), run(8));
        assert_eq!(run(7).0[0].len(), 24);
    }

    #[test]
    fn rolls_are_spread_evenly() {
        let state = State::new(1);
        let hits = (0..10_000).filter(|_| state.count_model("m").1 < 30).count();
        assert!((2_700..3_300).contains(&hits), "{hits}");
    }

    #[test]
    fn answers_are_stored_up_to_a_limit() {
        let state = State::new(1);
        for number in 0..=STORED_MAX {
            state.store(&number.to_string(), vec![format!("call_{number}")]);
        }
        assert_eq!((state.stored_calls("0"), state.stored_calls("1")), (None, Some(vec!["call_1".to_owned()])));
    }

    #[test]
    fn model_names_beyond_the_limit_share_a_line() {
        let state = State::new(1);
        for number in 0..MODELS_MAX + 10 {
            state.count_model(&number.to_string());
        }
        let by_model = state.seen().by_model;
        assert_eq!((by_model.len(), by_model[OTHER_MODELS]), (MODELS_MAX + 1, 10));
    }
}
