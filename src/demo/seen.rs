//! What the upstream has seen, and what its seed fixes: counts, the last requests, identities. Must never know sockets.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;

use super::answer::Identity;

/// Requests that are kept.
const LAST_MAX: usize = 16;
/// Bytes of a body that are kept.
const BODY_KEPT_BYTES_MAX: usize = 64 << 10;
/// Model names that are counted apart; the rest share one line.
const MODELS_MAX: usize = 4096;
const MODEL_BYTES_MAX: usize = 256;
const OTHER_MODELS: &str = "(other)";
/// Unix seconds of call 0: fixed, so that a seed gives the same bytes on every day.
const CREATED_EPOCH_S: u64 = 1_767_225_600;

/// What the upstream has seen, for assertions: `GET /admin/demo`.
#[derive(Debug, Clone, Default, serde::Serialize)]
pub struct Seen {
    /// Requests to the chat completions path, whatever their answer.
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
    pub path: String,
    /// `HTTP/1.0`, `HTTP/1.1` or `HTTP/2`.
    pub http_version: String,
    /// Lower-case names, in order. `authorization` is shown as its scheme and the last four characters.
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
    calls: AtomicU64,
    cancelled: AtomicU64,
    by_model: Mutex<BTreeMap<String, u64>>,
    last: Mutex<VecDeque<Kept>>,
}

impl State {
    pub fn new(seed: u64) -> State {
        State {
            seed,
            calls: AtomicU64::new(0),
            cancelled: AtomicU64::new(0),
            by_model: Mutex::default(),
            last: Mutex::default(),
        }
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
            answer_id: format!("chatcmpl-{one:016x}{:08x}", two >> 32),
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
    }
}

impl Kept {
    fn show(&self) -> SeenRequest {
        let mut request = self.head.show();
        for (name, value) in &mut request.headers {
            if name == "authorization" {
                *value = redacted(value);
            }
        }
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

/// The finaliser of SplitMix64: spreads every bit of the input over the output.
fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_shows_its_scheme_and_last_four() {
        assert_eq!(redacted("Bearer sk-secret-1234"), "Bearer …1234");
        assert_eq!(redacted("sk-secret-1234"), " …1234");
    }

    #[test]
    fn a_seed_fixes_identities_and_rolls() {
        let run = |seed| {
            let state = State::new(seed);
            let ids: Vec<String> = (0..3).map(|_| state.count_call().answer_id).collect();
            let rolls: Vec<u32> = (0..50).map(|_| state.count_model("m--e500-p50").1).collect();
            (ids, rolls)
        };
        assert_eq!(run(7), run(7));
        assert_ne!(run(7), run(8));
        assert_eq!(run(7).0[0].len(), "chatcmpl-".len() + 24);
    }

    #[test]
    fn rolls_are_spread_evenly() {
        let state = State::new(1);
        let hits = (0..10_000).filter(|_| state.count_model("m").1 < 30).count();
        assert!((2_700..3_300).contains(&hits), "{hits}");
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
