//! Admission: who calls, what for, whether it may, and the money for the worst case. Nothing leaves before it is done.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, header};
use memchr::memmem;
use pingora::proxy::Session;

use super::attempt::clip;
use super::ids::now_ms;
use super::{Admitted, Shared};
use crate::api::error::{ClientError, Code};
use crate::api::{credentials, models};
use crate::catalog::{Catalog, Model};
use crate::ledger::{CallId, Hold, HoldRefused, Principal, UsageRecord};
use crate::pricing::{Amount, Conditions, WorstCase};
use crate::routing::{self, NoPlan};
use crate::wire::openai_chat::{self, ChatHead};
use crate::wire::{Operation, Protocol};

/// Slowest steady upload, in bytes a second, once `body_idle_ms` has passed.
const BODY_RATE_MIN: u64 = 1 << 10;
/// Longest client request id that is kept.
const CLIENT_REQUEST_ID_MAX: usize = 128;
/// Fewest output tokens that a clamp leaves: below, the call is refused.
const CLAMPED_TOKENS_MIN: u64 = 16;
/// Longest `traceparent` and `tracestate` that are passed on.
const TRACE_BYTES_MAX: usize = 512;
/// Parts that stand for more input tokens than they have bytes.
const LINKED_PARTS: [&[u8]; 3] = [b"\"image_url\"", b"\"file_id\"", b"\"video_url\""];

/// What is known of a request before its body is read.
pub struct Arrival {
    pub id: CallId,
    pub request_id: HeaderValue,
    pub started: Instant,
    pub protocol: Protocol,
    pub operation: Operation,
}

/// A call that was not let in, and how far it came.
pub struct Refused {
    pub error: ClientError,
    /// The model it asked for, where the catalog knows it.
    pub model: Option<Arc<str>>,
}

impl From<ClientError> for Refused {
    fn from(error: ClientError) -> Refused {
        Refused { error, model: None }
    }
}

/// Bytes counted against `bodies_bytes_total`; given back when dropped.
pub struct BodyLease {
    shared: Arc<Shared>,
    bytes: u64,
}

impl BodyLease {
    fn new(shared: Arc<Shared>) -> BodyLease {
        BodyLease { shared, bytes: 0 }
    }

    fn grow_to(&mut self, bytes: u64) -> Result<(), ClientError> {
        let more = bytes.saturating_sub(self.bytes);
        let before = self.shared.body_bytes.fetch_add(more, Ordering::AcqRel);
        self.bytes += more;
        if before + more > self.shared.limits.bodies_bytes_total {
            let message = "too many request bodies are being served; try again shortly";
            return Err(ClientError::new(Code::ConcurrencyLimited, message).retry_after(1));
        }
        Ok(())
    }
}

impl Drop for BodyLease {
    fn drop(&mut self) {
        self.shared.body_bytes.fetch_sub(self.bytes, Ordering::AcqRel);
    }
}

/// Lets a call in, with its hold, or says why not.
pub async fn admit(
    shared: &Arc<Shared>,
    session: &mut Session,
    arrival: &Arrival,
) -> Result<(Admitted, Hold), Refused> {
    let principal = authenticate(shared, session)?;
    shared.api.ledger.admitting().map_err(|refused| not_held(&refused, Amount::ZERO))?;
    check_head(&session.req_header().headers)?;
    let (body, body_lease) = read_body(shared, session).await?;
    let asked = Asked::read(shared, arrival, principal, &body)?;
    asked.admit(shared, session, arrival, body, body_lease)
}

fn authenticate(shared: &Shared, session: &Session) -> Result<Arc<Principal>, ClientError> {
    let request = session.req_header();
    let now = i64::try_from(now_ms()).unwrap_or(i64::MAX);
    credentials::authenticate(&shared.api.ledger, &request.headers, request.uri.query(), now)
}

fn check_head(headers: &HeaderMap) -> Result<(), ClientError> {
    if let Some(coding) =
        headers.get(header::CONTENT_ENCODING).filter(|v| !v.as_bytes().eq_ignore_ascii_case(b"identity"))
    {
        let coding = String::from_utf8_lossy(coding.as_bytes());
        let message = format!("content-encoding {coding:?} is not taken: send the body as it is");
        return Err(ClientError::new(Code::UnsupportedEncoding, message));
    }
    let media_type = headers.get(header::CONTENT_TYPE).map(|v| v.as_bytes()).unwrap_or_default();
    let essence = media_type.split(|b| *b == b';').next().unwrap_or_default().trim_ascii();
    if !essence.is_empty() && !essence.eq_ignore_ascii_case(b"application/json") {
        let message =
            format!("content-type {:?} is not taken: send application/json", String::from_utf8_lossy(essence));
        return Err(ClientError::new(Code::UnsupportedEncoding, message));
    }
    Ok(())
}

/// Reads the whole body once, into one buffer.
async fn read_body(shared: &Arc<Shared>, session: &mut Session) -> Result<(Bytes, BodyLease), ClientError> {
    let max = shared.limits.body_bytes_max;
    let too_large = || {
        let message = format!("the body is over {max} bytes: shorten it, or link images by URL");
        ClientError::new(Code::BodyTooLarge, message)
    };
    let headers = &session.req_header().headers;
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|bytes| bytes > max) {
        return Err(too_large());
    }
    let mut lease = BodyLease::new(shared.clone());
    lease.grow_to(announced.unwrap_or(0))?;
    if headers.get(header::EXPECT).is_some_and(|v| v.as_bytes().eq_ignore_ascii_case(b"100-continue")) {
        session.downstream_session.write_continue_response().await.map_err(|_| broken_body())?;
    }
    let patience = Duration::from_millis(shared.limits.body_idle_ms);
    let began = Instant::now();
    let mut body = Body::default();
    loop {
        let read = session.downstream_session.read_request_body();
        let Ok(read) = tokio::time::timeout(patience, read).await else { return Err(slow_body()) };
        let Some(piece) = read.map_err(|_| broken_body())? else { break };
        if body.bytes + piece.len() as u64 > max {
            return Err(too_large());
        }
        body.push(piece, announced);
        lease.grow_to(body.bytes)?;
        let waited = began.elapsed();
        if waited > patience && body.bytes < waited.as_secs() * BODY_RATE_MIN {
            return Err(slow_body());
        }
    }
    Ok((body.into_bytes(), lease))
}

/// A body in pieces; copied only when there are several.
#[derive(Default)]
struct Body {
    only: Option<Bytes>,
    joined: BytesMut,
    bytes: u64,
}

impl Body {
    fn push(&mut self, piece: Bytes, announced: Option<u64>) {
        let first = self.bytes == 0;
        self.bytes += piece.len() as u64;
        if first {
            self.only = Some(piece);
            return;
        }
        if let Some(only) = self.only.take() {
            let expected = announced.and_then(|n| usize::try_from(n).ok()).unwrap_or(0);
            self.joined.reserve(expected.max(only.len() + piece.len()));
            self.joined.extend_from_slice(&only);
        }
        self.joined.extend_from_slice(&piece);
    }

    fn into_bytes(self) -> Bytes {
        self.only.unwrap_or_else(|| self.joined.freeze())
    }
}

fn slow_body() -> ClientError {
    let message = "the body came too slowly: send it again over a better connection";
    ClientError::new(Code::InvalidRequest, message).status(408)
}

fn broken_body() -> ClientError {
    ClientError::new(Code::InvalidRequest, "the body ended before it was complete: send it again")
}

/// What the body asks for, against the catalog.
struct Asked {
    principal: Arc<Principal>,
    catalog: Arc<Catalog>,
    model: Arc<Model>,
    head: ChatHead,
    requested_model: Arc<str>,
}

impl Asked {
    fn read(shared: &Shared, arrival: &Arrival, principal: Arc<Principal>, body: &Bytes) -> Result<Asked, Refused> {
        let catalog = shared.api.catalog.load_full();
        let head = openai_chat::read_head(body, shared.limits.json_depth_max).map_err(bad_head)?;
        let requested_model: Arc<str> = clip(&head.model, 256).into();
        let model = match models::found(&catalog, &head.model) {
            Ok(model) => model.clone(),
            Err(error) => {
                let mut record =
                    UsageRecord::new(&principal, arrival.id, "".into(), arrival.protocol, arrival.operation);
                record.stream = head.stream;
                note(shared, arrival, record, requested_model, &catalog, &error);
                return Err(error.into());
            }
        };
        let asked = Asked { principal, catalog, model, head, requested_model };
        if asked.principal.models.as_ref().is_some_and(|allowed| !allowed.contains(&asked.model.id)) {
            let message =
                format!("this key may not call {:?}: use another key, or add the model to it", asked.model.id);
            return Err(asked.refused(
                shared,
                arrival,
                ClientError::new(Code::ModelNotAllowed, message).param("model"),
            ));
        }
        Ok(asked)
    }

    /// Records a call that is refused after its model is known.
    fn refused(&self, shared: &Shared, arrival: &Arrival, error: ClientError) -> Refused {
        let model = self.model.id.clone();
        let mut record =
            UsageRecord::new(&self.principal, arrival.id, model.clone(), arrival.protocol, arrival.operation);
        record.stream = self.head.stream;
        note(shared, arrival, record, self.requested_model.clone(), &self.catalog, &error);
        Refused { error, model: Some(model) }
    }

    fn admit(
        self,
        shared: &Arc<Shared>,
        session: &Session,
        arrival: &Arrival,
        body: Bytes,
        body_lease: BodyLease,
    ) -> Result<(Admitted, Hold), Refused> {
        let plan = routing::plan(
            &self.model,
            arrival.protocol,
            arrival.operation,
            shared.routing.attempts_max,
            shared.ids.draw(),
        )
        .map_err(|no_plan| self.refused(shared, arrival, no_channel(no_plan, &self.model)))?;
        let conditions = Conditions { service_tier: self.head.service_tier.as_deref().map(Box::from) };
        let (hold, clamped) =
            self.hold(shared, arrival, &body, &conditions).map_err(|error| self.refused(shared, arrival, error))?;
        let headers = &session.req_header().headers;
        let admitted = Admitted {
            shared: shared.clone(),
            id: arrival.id,
            request_id: arrival.request_id.clone(),
            client_request_id: client_request_id(headers),
            trace: trace(headers),
            started: arrival.started,
            principal: self.principal,
            catalog: self.catalog,
            model: self.model,
            requested_model: self.requested_model,
            protocol: arrival.protocol,
            operation: arrival.operation,
            stream: self.head.stream,
            head: self.head,
            body,
            body_lease,
            conditions,
            plan,
            clamped,
        };
        Ok((admitted, hold))
    }

    /// Holds the worst case; where the wallet has less, what a smaller output limit costs. The limit is for one choice.
    fn hold(
        &self,
        shared: &Shared,
        arrival: &Arrival,
        body: &[u8],
        conditions: &Conditions,
    ) -> Result<(Hold, Option<u64>), ClientError> {
        let rates = &self.model.rates;
        let choices = self.head.choices.max(1);
        let per_choice = self.head.output_tokens_max.unwrap_or(self.model.output_max).min(self.model.output_max);
        let worst = WorstCase {
            input_tokens: input_bound(body, self.model.context),
            output_tokens: per_choice.saturating_mul(choices),
            requests: 1,
        };
        let want = rates.hold(&worst, conditions);
        let may_clamp = self.principal.policy == crate::ledger::Policy::Clamp && rates.needs_tokens();
        let mut clamped = None;
        let mut fallback = |available: Amount| {
            let output = rates.affordable_output(&worst, conditions, available).filter(|_| may_clamp)?;
            let limit = (output / choices).min(per_choice);
            if limit < CLAMPED_TOKENS_MIN.min(per_choice) {
                return None;
            }
            clamped = Some(limit);
            Some(rates.hold(&WorstCase { output_tokens: limit * choices, ..worst }, conditions))
        };
        match shared.api.ledger.hold(&self.principal, arrival.id, want, &mut fallback) {
            Ok(hold) => Ok((hold, clamped)),
            Err(refused) => Err(not_held(&refused, want)),
        }
    }
}

fn bad_head(error: openai_chat::HeadError) -> ClientError {
    let client_error = ClientError::new(Code::InvalidRequest, error.to_string());
    match error.param {
        Some(param) => client_error.param(param),
        None => client_error,
    }
}

fn no_channel(no_plan: NoPlan, model: &Model) -> ClientError {
    let message = match no_plan {
        NoPlan::NotConfigured => {
            format!("model {:?} has no provider key configured here: choose another model", model.id)
        }
        NoPlan::NotSupported => {
            format!("model {:?} is not served over this protocol yet: choose another model", model.id)
        }
    };
    ClientError::new(Code::NoChannelConfigured, message).param("model")
}

/// The most input tokens that a body can be: one a byte, but a link or an uploaded file can stand for any number.
fn input_bound(body: &[u8], context: u64) -> u64 {
    let linked = LINKED_PARTS.iter().any(|part| memmem::find(body, part).is_some());
    if linked { context } else { (body.len() as u64).min(context) }
}

fn not_held(refused: &HoldRefused, want: Amount) -> ClientError {
    match refused {
        HoldRefused::Short { available } => {
            let message = format!(
                "this call may cost up to {want} USD and {available} USD is available: top up, or lower the output limit"
            );
            ClientError::new(Code::InsufficientBalance, message)
        }
        HoldRefused::NotAdmitting { reason, retry_after_s } => {
            let message = format!("no new calls are taken: {reason}; try again shortly");
            ClientError::new(Code::LedgerUnavailable, message).retry_after(*retry_after_s)
        }
    }
}

/// Completes the record of a call that was refused, and gives it to the ledger.
fn note(
    shared: &Shared,
    arrival: &Arrival,
    mut record: UsageRecord,
    requested_model: Arc<str>,
    catalog: &Catalog,
    error: &ClientError,
) {
    record.requested_model = requested_model;
    record.status = error.status;
    record.error_code = Some(error.code.as_str().into());
    record.catalog_rev = catalog.rev.clone();
    record.latency_ms = u32::try_from(arrival.started.elapsed().as_millis()).unwrap_or(u32::MAX);
    shared.api.ledger.note(record);
}

fn client_request_id(headers: &HeaderMap) -> Option<Box<str>> {
    let text = headers.get("x-request-id")?.to_str().ok()?;
    Some(clip(text, CLIENT_REQUEST_ID_MAX).into())
}

fn trace(headers: &HeaderMap) -> Vec<(&'static str, HeaderValue)> {
    let found = |name| headers.get(name).filter(|v| v.len() <= TRACE_BYTES_MAX).map(|v| (name, v.clone()));
    found("traceparent").into_iter().chain(found("tracestate")).collect()
}
