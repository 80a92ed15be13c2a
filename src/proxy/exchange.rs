//! One call from admission to settlement: its attempts, what may pass to the client, and the money held for it.
//!
//! Filters and gate share it; both run in the call's own task, so its lock is never contended and never held across an
//! await.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderValue, header};
use parking_lot::Mutex;
use pingora::http::ResponseHeader;
use pingora::protocols::http::HttpTask;
use pingora::{Error, ErrorType, RetryType};

use super::answer_body::Answering;
use super::attempt::{Attempt, Failure, Progress};
use super::encode::{Encoded, Fetched};
use super::gate::{FIRST_CONTENT_DEADLINE, Keeper, Pass, UPSTREAM_REFUSED};
use super::reply::{self, Reply};
use super::settle::{self, Verdict};
use super::{Admitted, Shared};
use crate::api::error::Code;
use crate::catalog::Channel;
use crate::ledger::Hold;
use crate::wire::{Operation, Protocol, reach};

/// Most bytes of a stream that are held back before its first content; a longer preamble is let through.
const PREAMBLE_BYTES_MAX: usize = 1 << 20;
/// Tries on pooled connections that turn out to be dead; they do not count as attempts.
pub const DEAD_CONNECTIONS_MAX: u32 = 8;

pub struct Exchange {
    me: Weak<Exchange>,
    pub shared: Arc<Shared>,
    pub call: Admitted,
    answering: Arc<Answering>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    hold: Option<Hold>,
    attempt: Option<Attempt>,
    /// The place in `call.plan` of the next channel.
    next: usize,
    /// Attempts begun.
    tried: usize,
    dead_connections: u32,
    same_channel_again: bool,
    last_failure: Option<Failure>,
    /// The request as the last channel got it, since most channels of a model get the same.
    encoded: Option<(Arc<Channel>, Encoded)>,
    /// Thinking of earlier turns is left out: an upstream has refused its signatures.
    stripped: bool,
    fetched: Fetched,
    open: bool,
    held: Vec<HttpTask>,
    held_bytes: usize,
    client_left: bool,
    /// What the client was told, once it was.
    status: Option<u16>,
    settled: bool,
    error_code: Option<&'static str>,
}

/// What is left to say when a call is over.
pub struct Closing {
    pub status: u16,
    pub attempts: u32,
    pub first_content: Option<Duration>,
    pub error_code: Option<&'static str>,
    pub channel: Option<Arc<Channel>>,
}

impl Closing {
    /// Of a call that was not let in.
    pub fn refused(status: u16, error_code: Option<&'static str>) -> Closing {
        Closing { status, attempts: 0, first_content: None, error_code, channel: None }
    }
}

impl State {
    /// The request that was made for a channel of the same kind.
    fn known(&self, channel: &Channel) -> Option<Encoded> {
        let (made_for, encoded) = self.encoded.as_ref()?;
        made_for.reads_the_same(channel).then(|| encoded.clone())
    }

    fn begin(&mut self, channel: Arc<Channel>, encoded: Encoded, answering: Arc<Answering>) {
        self.tried += 1;
        self.held.clear();
        self.held_bytes = 0;
        self.encoded = Some((channel.clone(), encoded.clone()));
        self.attempt = Some(Attempt::new(channel, encoded, answering, Instant::now()));
    }
}

impl Exchange {
    pub fn new(shared: Arc<Shared>, call: Admitted, hold: Hold) -> Arc<Exchange> {
        let state = Mutex::new(State { hold: Some(hold), ..State::default() });
        let answering = Arc::new(call.answering());
        Arc::new_cyclic(|me| Exchange { me: me.clone(), shared, call, answering, state })
    }

    /// Starts the next attempt, or says that the plan is used up. A channel that the request cannot be said to is passed over.
    pub async fn begin_attempt(&self) -> Option<Arc<Channel>> {
        loop {
            let (channel, strip, known, mut fetched) = {
                let mut state = self.state.lock();
                let again = std::mem::take(&mut state.same_channel_again);
                if !again {
                    state.next += 1;
                }
                let channel = self.call.plan.get(state.next - 1)?.clone();
                let known = state.known(&channel);
                (channel, state.stripped, known, std::mem::take(&mut state.fetched))
            };
            let encoded = match known {
                Some(encoded) => Ok(encoded),
                None => self.call.encode(&channel, strip, &mut fetched).await,
            };
            let mut state = self.state.lock();
            state.fetched = fetched;
            match encoded {
                Ok(encoded) => {
                    state.begin(channel.clone(), encoded, self.answering.clone());
                    return Some(channel);
                }
                // What an upstream said weighs more than what could not be said to another.
                Err(error) if state.last_failure.is_none() => {
                    state.last_failure = Some(Failure::Unsayable { error: Box::new(error) });
                }
                Err(_) => {}
            }
        }
    }

    /// Runs `f` on the attempt under way.
    pub fn with_attempt<T>(&self, f: impl FnOnce(&mut Attempt) -> T) -> Option<T> {
        self.state.lock().attempt.as_mut().map(f)
    }

    /// Notes why the attempt under way failed, and says whether another follows.
    pub fn attempt_failed(&self, error: &Error, connection_reused: bool) -> bool {
        let mut state = self.state.lock();
        let Some(attempt) = state.attempt.as_mut() else { return false };
        let failure = match attempt.progress() {
            Progress::Failed(failure) if *error.etype() == UPSTREAM_REFUSED => failure,
            _ => failure_of(error),
        };
        let dead = connection_reused
            && !attempt.header_seen
            && matches!(failure, Failure::Transport { .. })
            && !stream_reset(error)
            && state.dead_connections < DEAD_CONNECTIONS_MAX;
        if state.open || state.client_left {
            attempt_over(&mut state, failure);
            return false;
        }
        if dead {
            state.dead_connections += 1;
            // Nothing was tried: it does not count.
            state.tried -= 1;
            state.same_channel_again = true;
            return true;
        }
        self.note(&mut state, failure)
    }

    /// An attempt that could not even be begun.
    pub fn no_peer(&self, message: &str) -> bool {
        self.note(&mut self.state.lock(), Failure::Transport { message: message.to_owned() })
    }

    fn note(&self, state: &mut State, failure: Failure) -> bool {
        if let Some(attempt) = &state.attempt {
            self.shared.api.metrics.attempt(&attempt.channel.id, failure.label());
            let (outcome, reason) = (failure.label(), failure.reason());
            tracing::warn!(call = %self.call.id, channel = %attempt.channel.id, outcome, reason, "attempt failed");
        }
        let retry = self.may_retry(state, &failure);
        if retry && self.refuses_signatures(state, &failure) {
            state.stripped = true;
            state.same_channel_again = true;
            state.encoded = None;
        }
        state.last_failure = Some(failure);
        retry
    }

    fn may_retry(&self, state: &State, failure: &Failure) -> bool {
        let another = failure.retryable() && state.next < self.call.plan.len();
        !state.client_left && !state.open && (another || self.refuses_signatures(state, failure))
    }

    /// An upstream that cannot read the thinking that came back: foreign, edited or too old. It can answer without.
    fn refuses_signatures(&self, state: &State, failure: &Failure) -> bool {
        let Failure::Status { status: 400, body, .. } = failure else { return false };
        if state.stripped {
            return false;
        }
        let Some(attempt) = &state.attempt else { return false };
        self.call.operation == Operation::Chat && reach::refuses_thinking(attempt.channel.protocol, body)
    }

    /// The answer to a call whose attempts all failed; voids the hold. `None` when nobody is there to read it.
    pub fn refuse(&self) -> Option<Reply> {
        let mut state = self.state.lock();
        if state.client_left {
            return None;
        }
        let reply = reply::of_failure(state.last_failure.as_ref(), &self.asker(&state));
        self.void(&mut state, reply.status, Some(reply.code));
        Some(reply)
    }

    fn asker(&self, state: &State) -> reply::Asker<'_> {
        reply::Asker {
            protocol: self.call.protocol,
            request_id: &self.call.request_id,
            native: state.attempt.as_ref().is_none_or(Attempt::answers_natively),
            attempts: state.tried,
        }
    }

    fn refusal_tasks(&self, state: &mut State, failure: Failure) -> Pass {
        self.note_final(state, &failure);
        let reply = reply::of_failure(Some(&failure), &self.asker(state));
        state.last_failure = Some(failure);
        state.open = true;
        self.void(state, reply.status, Some(reply.code));
        match reply.header(&self.call.request_id) {
            Ok(header) => {
                Pass::Forward(vec![HttpTask::Header(Box::new(header), false), HttpTask::Body(Some(reply.body), true)])
            }
            Err(error) => Pass::Fail(error),
        }
    }

    fn note_final(&self, state: &mut State, failure: &Failure) {
        if let Some(attempt) = &state.attempt {
            self.shared.api.metrics.attempt(&attempt.channel.id, failure.label());
        }
    }

    /// Gives the hold back and records the call as not billed.
    fn void(&self, state: &mut State, status: u16, code: Option<&'static str>) {
        state.status = Some(status);
        state.error_code = code;
        let Some(hold) = state.hold.take() else { return };
        let facts = self.facts(state);
        settle::void(&self.call, hold, facts, status, code);
        state.settled = true;
    }

    fn facts<'a>(&self, state: &'a State) -> settle::Facts<'a> {
        settle::Facts { attempt: state.attempt.as_ref(), attempts: state.tried as u32 }
    }

    /// Charges what the answer used. `None` where units have to be counted first, which takes longer than a filter may.
    fn settle_reported(&self, state: &mut State) -> Option<settle::Charged> {
        let attempt = state.attempt.as_ref()?;
        let verdict = settle::verdict(&self.call, attempt);
        let Verdict::Charge(bill) = verdict else { return None };
        let hold = state.hold.take()?;
        let facts = self.facts(state);
        let charged = settle::charge(&self.call, hold, facts, *bill, 200, None);
        self.remember(state);
        state.settled = true;
        state.status.get_or_insert(200);
        self.shared.api.metrics.attempt(&state.attempt.as_ref()?.channel.id, "ok");
        Some(charged)
    }

    /// Counts what nobody reported, then charges it. For an answer that ended without usage, or a client that left.
    async fn settle_counted(self: Arc<Exchange>, left: bool) -> Option<settle::Charged> {
        let (units, output) = self.state.lock().attempt.as_ref().map(|a| (a.units(), a.output()))?;
        let bill = settle::count(self.clone(), units, output, left).await;
        let mut state = self.state.lock();
        let hold = state.hold.take()?;
        let facts = self.facts(&state);
        let status = if left { reply::CLIENT_LEFT } else { 200 };
        let charged = settle::charge(&self.call, hold, facts, bill, status, None);
        self.remember(&state);
        state.settled = true;
        state.status.get_or_insert(status);
        let channel = state.attempt.as_ref()?.channel.id.clone();
        self.shared.api.metrics.attempt(&channel, if left { "client_left" } else { "ok" });
        Some(charged)
    }

    /// Keeps what a later turn of this conversation may need: thinking that the client cannot carry, and where a stored
    /// response lives.
    fn remember(&self, state: &State) {
        let Some(attempt) = &state.attempt else { return };
        let Some(facts) = attempt.facts() else { return };
        if !attempt.answers_natively() {
            if let Some(keepsake) = facts.keepsake() {
                self.call.remember(keepsake);
            }
        } else if self.call.protocol == Protocol::OpenAiResponses
            && let Some(id) = &facts.id
        {
            let (account, channel) = (&self.call.principal.account, attempt.channel.id.clone());
            self.shared.responses.keep(account, id, channel.clone(), id.len() + channel.len(), Instant::now());
        }
    }

    /// Ends the call whatever happened: settles a stream that its client left, voids what is still held.
    pub async fn close(&self) -> Closing {
        let (settled, counted) = {
            let state = self.state.lock();
            let sent = state.open && state.attempt.as_ref().is_some_and(|a| a.first_content.is_some() && a.is_stream());
            (state.settled, state.client_left && sent)
        };
        if !settled
            && counted
            && let Some(me) = self.me.upgrade()
        {
            Box::pin(me.settle_counted(true)).await;
        }
        let mut state = self.state.lock();
        if !state.settled {
            let (status, code) = match state.client_left {
                true => (reply::CLIENT_LEFT, None),
                false => (state.status.unwrap_or(502), Some(state.error_code.unwrap_or("upstream_error"))),
            };
            self.void(&mut state, status, code);
        }
        let attempt = state.attempt.as_ref();
        Closing {
            status: state.status.unwrap_or(500),
            attempts: state.tried as u32,
            first_content: attempt.and_then(|a| a.first_content).map(|at| at.duration_since(self.call.started)),
            error_code: state.error_code,
            channel: attempt.map(|a| a.channel.clone()),
        }
    }

    /// Opens the gate: everything held goes out first.
    fn open(&self, state: &mut State, tasks: Vec<HttpTask>) -> Vec<HttpTask> {
        state.open = true;
        // No attempt follows: what was sent need not be kept for one.
        state.encoded = None;
        if let Some(attempt) = &mut state.attempt {
            attempt.request = Bytes::new();
        }
        if state.held.is_empty() {
            return tasks;
        }
        let mut all = std::mem::take(&mut state.held);
        all.extend(tasks);
        all
    }

    fn hold_back(&self, state: &mut State, tasks: Vec<HttpTask>) -> Pass {
        state.held_bytes += tasks.iter().map(body_bytes).sum::<usize>();
        let whole = state.attempt.as_ref().is_some_and(|a| !a.is_stream());
        if state.held_bytes > PREAMBLE_BYTES_MAX && !whole {
            return Pass::Forward(self.open(state, tasks));
        }
        state.held.extend(tasks);
        Pass::Hold
    }

    /// The answer is whole: settle, then let it out.
    fn complete(&self, state: &mut State, tasks: Vec<HttpTask>) -> Pass {
        let whole = !state.open && state.attempt.as_ref().is_some_and(|a| !a.is_stream());
        let mut tasks = self.open(state, tasks);
        if whole {
            set_length(&mut tasks);
            self.add_losses(state, &mut tasks);
        }
        if state.settled {
            return Pass::Forward(tasks);
        }
        match self.settle_reported(state) {
            Some(charged) => {
                let tasks = with_charge(tasks, whole, &charged);
                match self.shared.durable(charged.position) {
                    None => Pass::Forward(tasks),
                    Some(durable) => Pass::Later(Box::pin(async move {
                        durable.await;
                        tasks
                    })),
                }
            }
            None => match self.me.upgrade() {
                None => Pass::Forward(tasks),
                Some(me) => Pass::Later(Box::pin(async move {
                    let shared = me.shared.clone();
                    let Some(charged) = me.settle_counted(false).await else { return tasks };
                    if let Some(durable) = shared.durable(charged.position) {
                        durable.await;
                    }
                    with_charge(tasks, whole, &charged)
                })),
            },
        }
    }

    /// A whole answer's header lists what was lost both ways.
    fn add_losses(&self, state: &State, tasks: &mut [HttpTask]) {
        let Some(attempt) = state.attempt.as_ref().filter(|attempt| attempt.translation.is_some()) else { return };
        if let Some(HttpTask::Header(header, _)) = tasks.first_mut() {
            super::headers::add_losses(header, &attempt.losses(), self.call.protocol);
        }
    }

    /// An answer that breaks after its first content: never a clean end.
    fn interrupted(&self, state: &mut State, mut tasks: Vec<HttpTask>, failure: Failure) -> Pass {
        let code = Code::StreamInterrupted.as_str();
        let native = state.attempt.as_ref().is_none_or(Attempt::answers_natively);
        if native && matches!(failure, Failure::InBand { .. }) {
            // The upstream's own error event is among the tasks.
            self.note_final(state, &failure);
            self.void(state, 200, Some(code));
            return Pass::Forward(tasks);
        }
        let Some(attempt) = state.attempt.as_mut().filter(|a| a.is_stream()) else {
            state.error_code = Some(code);
            state.status = Some(200);
            let error = Error::explain(UPSTREAM_REFUSED, "the answer broke after it began");
            return Pass::Fail(error);
        };
        let event = attempt.fail(&reply::interruption(&failure));
        self.note_final(state, &failure);
        self.void(state, 200, Some(code));
        tasks.retain(|task| !matches!(task, HttpTask::Failed(_) | HttpTask::Done | HttpTask::Body(None, _)));
        for task in &mut tasks {
            if let HttpTask::Body(data, end) = task {
                *end = false;
                data.as_mut().into_iter().for_each(cut_end_mark);
            }
        }
        tasks.push(HttpTask::Body(Some(event.into()), true));
        Pass::Forward(tasks)
    }
}

impl Keeper for Exchange {
    fn request_body(&self) -> Bytes {
        self.with_attempt(|attempt| attempt.request.clone()).unwrap_or_default()
    }

    fn pass(&self, mut tasks: Vec<HttpTask>) -> Pass {
        let mut state = self.state.lock();
        let state = &mut *state;
        let Some(attempt) = state.attempt.as_mut() else { return Pass::Hold };
        let mut broken = None;
        if let Some(at) = tasks.iter().position(|task| matches!(task, HttpTask::Failed(_))) {
            if let HttpTask::Failed(error) = tasks.remove(at) {
                attempt.read_break(failure_of(&error));
                broken = Some(error);
            }
            tasks.truncate(at);
        }
        // An informational header is not the answer's.
        tasks.retain(|task| !matches!(task, HttpTask::Header(h, _) if h.status.is_informational()));
        // Only a body passes the filters: an answer that ends without one ends here.
        if !attempt.ended() && tasks.last().is_some_and(HttpTask::is_end) {
            let rest = attempt.read_body(None, true, Instant::now());
            tasks.splice(tasks.len() - 1..tasks.len() - 1, rest.map(|rest| HttpTask::Body(Some(rest), false)));
        }
        if state.settled {
            return match broken {
                // A stream broken after its end mark, or after its error event: both sides know the end.
                Some(_) => Pass::Forward(vec![HttpTask::Done]),
                None => Pass::Forward(tasks),
            };
        }
        let ended = attempt.ended();
        match (state.open, attempt.progress()) {
            (false, Progress::Waiting) => self.hold_back(state, tasks),
            (false, Progress::Failed(failure)) => match broken {
                // The upstream had said what is wrong before it broke off.
                Some(_) if matches!(failure, Failure::Status { .. }) => {
                    Pass::Fail(Error::explain(UPSTREAM_REFUSED, "the upstream broke off its error"))
                }
                Some(error) => Pass::Fail(error),
                // An upstream that says more is left, not waited for.
                None if self.may_retry(state, &failure) || !ended => {
                    Pass::Fail(Error::explain(UPSTREAM_REFUSED, "the upstream gave no answer"))
                }
                None => self.refusal_tasks(state, failure),
            },
            (false, Progress::Answering) => Pass::Forward(self.open(state, tasks)),
            (_, Progress::Complete) => {
                tasks.extend(broken.map(|_| HttpTask::Done));
                self.complete(state, tasks)
            }
            (true, Progress::Waiting | Progress::Answering) => Pass::Forward(tasks),
            (true, Progress::Failed(failure)) => self.interrupted(state, tasks, failure),
        }
    }

    fn deadline(&self) -> Option<tokio::time::Instant> {
        let state = self.state.lock();
        let attempt = state.attempt.as_ref()?;
        if state.open || attempt.first_content.is_some() {
            return None;
        }
        Some((attempt.started + self.shared.patience(&attempt.channel, self.call.stream)).into())
    }

    fn client_left(&self) {
        self.state.lock().client_left = true;
    }
}

impl Drop for Exchange {
    /// The second line of defence: after a panic in a filter `close` never ran.
    fn drop(&mut self) {
        let state = self.state.get_mut();
        if let Some(hold) = state.hold.take() {
            let facts = settle::Facts { attempt: state.attempt.as_ref(), attempts: state.tried as u32 };
            settle::void(&self.call, hold, facts, 500, Some(crate::api::error::Code::Internal.as_str()));
        }
    }
}

fn attempt_over(state: &mut State, failure: Failure) {
    if let Some(attempt) = state.attempt.as_mut() {
        attempt.read_break(failure);
    }
}

/// An end mark after a broken answer would make it look whole.
fn cut_end_mark(data: &mut Bytes) {
    if let Some(at) = memchr::memmem::rfind(data, b"data: [DONE]") {
        data.truncate(at);
    }
}

fn body_bytes(task: &HttpTask) -> usize {
    match task {
        HttpTask::Body(Some(data), _) => data.len(),
        _ => 0,
    }
}

/// An answer that is held whole has a length, however its upstream framed it.
fn set_length(tasks: &mut [HttpTask]) {
    let length: usize = tasks.iter().map(body_bytes).sum();
    if let Some(HttpTask::Header(header, _)) = tasks.first_mut() {
        header.remove_header(&header::TRANSFER_ENCODING);
        set(header, "content-length", HeaderValue::from(length));
    }
}

/// Names the charge in the header of an answer that goes out in one piece.
fn with_charge(mut tasks: Vec<HttpTask>, whole: bool, charged: &settle::Charged) -> Vec<HttpTask> {
    if whole
        && let Some(HttpTask::Header(header, _)) = tasks.first_mut()
        && let Ok(value) = HeaderValue::from_str(&charged.charge.to_string())
    {
        set(header, "x-qingwave-charge", value);
    }
    tasks
}

fn set(header: &mut ResponseHeader, name: &'static str, value: HeaderValue) {
    if let Err(error) = header.insert_header(name, value) {
        tracing::error!(%error, name, "a response header could not be set");
    }
}

/// An HTTP/2 stream that was reset on a connection that lives: its upstream may have begun, and may bill, the call.
/// Pingora says of the others (a goodbye, REFUSED_STREAM) that they may be sent again.
fn stream_reset(error: &Error) -> bool {
    *error.etype() == ErrorType::H2Error && !matches!(error.retry, RetryType::Decided(true))
}

/// What a transport error of Pingora's means for an attempt.
fn failure_of(error: &Error) -> Failure {
    let timed_out = [
        FIRST_CONTENT_DEADLINE,
        ErrorType::ConnectTimedout,
        ErrorType::ReadTimedout,
        ErrorType::WriteTimedout,
        ErrorType::TLSHandshakeTimedout,
    ];
    let message = error.etype().as_str().to_owned();
    if timed_out.contains(error.etype()) { Failure::Timeout { message } } else { Failure::Transport { message } }
}
