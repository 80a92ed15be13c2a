//! Admission: who calls, what for, whether it may, and the money for the worst case. Nothing leaves before it is done.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use pingora::proxy::Session;

use super::attempt::clip;
use super::body::{BodyLease, read_body};
use super::ids::now_ms;
use super::{Admitted, Shared};
use crate::api::error::{ClientError, Code};
use crate::api::{credentials, models};
use crate::catalog::{Catalog, Channel, Model};
use crate::ledger::{CallId, Hold, HoldRefused, Principal, UsageRecord};
use crate::pricing::{Amount, Conditions, WorstCase};
use crate::routing::{self, NoPlan};
use crate::wire::head::{self, Head, HeadError};
use crate::wire::ir::Framing;
use crate::wire::{Operation, Protocol, openai_responses, plain, reach};

/// Longest client request id that is kept.
const CLIENT_REQUEST_ID_MAX: usize = 128;
/// Fewest output tokens that a clamp leaves: below, the call is refused.
const CLAMPED_TOKENS_MIN: u64 = 16;
/// Most `anthropic-version` and `anthropic-beta` headers that are passed on, and the longest.
const BETAS_MAX: usize = 16;
const BETA_BYTES_MAX: usize = 4 << 10;
/// Longest `traceparent` and `tracestate` that are passed on.
const TRACE_BYTES_MAX: usize = 512;
/// What is known of a request before its body is read.
pub struct Arrival {
    pub id: CallId,
    pub request_id: HeaderValue,
    pub started: Instant,
    pub protocol: Protocol,
    pub operation: Operation,
    /// What Gemini's path says.
    pub gemini: Option<GeminiWish>,
}

/// Model and form of a Gemini call, which stand in its path.
pub struct GeminiWish {
    pub model: String,
    pub stream: bool,
    pub framing: Framing,
    pub batch: bool,
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

/// What becomes of a request that is let in.
pub enum Admission {
    Call(Box<(Admitted, Hold)>),
    /// We know the answer ourselves: a count of tokens that no upstream of the model can tell.
    Counted {
        body: Vec<u8>,
        model: Arc<str>,
    },
}

/// Lets a call in, with its hold, or says why not.
pub async fn admit(shared: &Arc<Shared>, session: &mut Session, arrival: &Arrival) -> Result<Admission, Refused> {
    let principal = authenticate(shared, session)?;
    shared.api.ledger.admitting().map_err(|refused| not_held(&refused, Amount::ZERO))?;
    check_head(&session.req_header().headers)?;
    let (body, body_lease) = read_body(shared, session).await?;
    let asked = Asked::read(shared, arrival, principal, &body)?;
    let plan = match asked.plan(shared, arrival, &body) {
        Ok(plan) => plan,
        Err(None) => return asked.counted(shared, arrival, body).await,
        Err(Some(error)) => return Err(asked.refused(shared, arrival, error)),
    };
    asked.admit(shared, session, arrival, body, body_lease, plan).map(|call| Admission::Call(Box::new(call)))
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

/// What the body asks for, against the catalog.
struct Asked {
    principal: Arc<Principal>,
    catalog: Arc<Catalog>,
    model: Arc<Model>,
    head: Head,
    requested_model: Arc<str>,
}

impl Asked {
    fn read(shared: &Shared, arrival: &Arrival, principal: Arc<Principal>, body: &Bytes) -> Result<Asked, Refused> {
        let catalog = shared.api.catalog.load_full();
        let mut head = head::read_head(arrival.protocol, body, shared.limits.json_depth_max).map_err(bad_head)?;
        if let Some(wish) = &arrival.gemini {
            head = head.named(&wish.model, wish.stream);
        }
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

    /// The channels to try. `Err(None)`: nobody upstream can answer, but we can.
    fn plan(&self, shared: &Shared, arrival: &Arrival, body: &Bytes) -> Result<Vec<Arc<Channel>>, Option<ClientError>> {
        if !routing::offers(&self.model, arrival.operation) {
            let (model, operation) = (&self.model.id, arrival.operation.as_str());
            let message = format!("model {model:?} does not do {operation}: choose a model that is made for it");
            return Err(Some(ClientError::new(Code::OperationNotSupported, message).status(400).param("model")));
        }
        let attempts_max = shared.routing.attempts_max;
        let plan = routing::plan(&self.model, arrival.protocol, arrival.operation, attempts_max, shared.ids.draw());
        let mut plan = match plan {
            Ok(plan) => plan,
            Err(_) if arrival.operation == Operation::CountTokens => return Err(None),
            Err(no_plan) => return Err(Some(no_channel(no_plan, &self.model))),
        };
        if arrival.protocol == Protocol::OpenAiResponses {
            self.pin(shared, body, &mut plan)?;
        }
        Ok(plan)
    }

    /// What a Responses call refers to lives at one upstream: it must go there.
    fn pin(&self, shared: &Shared, body: &[u8], plan: &mut Vec<Arc<Channel>>) -> Result<(), ClientError> {
        if !reach::may_be_stored(body) {
            return Ok(());
        }
        let stored = openai_responses::stored(body, shared.limits.json_depth_max);
        if stored.background {
            let message = "background answers cannot be fetched here yet: leave background out, and stream the answer";
            return Err(ClientError::new(Code::UnsupportedParameter, message).param("background"));
        }
        if stored.in_account {
            // Another account would not know it. Upstreams of other protocols refuse it by name.
            let native = plan.iter().find(|channel| channel.protocol == Protocol::OpenAiResponses);
            if let Some(account) = native.map(|channel| channel.account.clone()) {
                plan.retain(|channel| channel.protocol == Protocol::OpenAiResponses && channel.account == account);
            }
        }
        match stored.previous_response_id {
            Some(id) => self.pin_response(shared, &id, plan),
            None => Ok(()),
        }
    }

    fn pin_response(&self, shared: &Shared, id: &str, plan: &mut Vec<Arc<Channel>>) -> Result<(), ClientError> {
        plan.retain(|channel| channel.protocol == Protocol::OpenAiResponses);
        let known = shared.responses.find(&self.principal.account, id, Instant::now());
        match known {
            Some(channel) => plan.retain(|candidate| candidate.id == channel),
            None if plan.len() > 1 => plan.clear(),
            // There is one place only where it can be.
            None => {}
        }
        if plan.is_empty() {
            const PARAM: &str = "previous_response_id";
            let message = format!(
                "{PARAM} {:?} is not kept by an upstream of this model that we know of: send the whole conversation as input",
                clip(id, 100)
            );
            return Err(ClientError::new(Code::InvalidRequest, message).param(PARAM));
        }
        Ok(())
    }

    /// Counts the input ourselves: an estimate, which the answer's header says.
    async fn counted(self, shared: &Shared, arrival: &Arrival, body: Bytes) -> Result<Admission, Refused> {
        let protocol = arrival.protocol;
        let depth_max = shared.limits.json_depth_max;
        let counted =
            tokio::task::spawn_blocking(move || super::count::request_tokens(protocol, &body, depth_max)).await;
        let tokens = counted.unwrap_or_else(|error| {
            tracing::error!(%error, "tokens could not be counted");
            Ok(0)
        });
        let tokens = tokens.map_err(|error| self.refused(shared, arrival, super::encode::bad_request(error)))?;
        let mut record =
            UsageRecord::new(&self.principal, arrival.id, self.model.id.clone(), arrival.protocol, arrival.operation);
        record.status = 200;
        record.requested_model = self.requested_model.clone();
        record.catalog_rev = self.catalog.rev.clone();
        record.latency_ms = u32::try_from(arrival.started.elapsed().as_millis()).unwrap_or(u32::MAX);
        shared.api.ledger.note(record);
        let body = plain::write_count(arrival.protocol, tokens);
        Ok(Admission::Counted { body, model: self.model.id.clone() })
    }

    fn admit(
        self,
        shared: &Arc<Shared>,
        session: &Session,
        arrival: &Arrival,
        body: Bytes,
        body_lease: BodyLease,
        plan: Vec<Arc<Channel>>,
    ) -> Result<(Admitted, Hold), Refused> {
        let conditions = Conditions { service_tier: self.head.service_tier.as_deref().map(Box::from) };
        let (hold, clamped) =
            self.hold(shared, arrival, &body, &conditions).map_err(|error| self.refused(shared, arrival, error))?;
        let headers = &session.req_header().headers;
        let strict = self.principal.strict_parameters || asks_for_strict(headers);
        let admitted = Admitted {
            shared: shared.clone(),
            id: arrival.id,
            request_id: arrival.request_id.clone(),
            client_request_id: client_request_id(headers),
            trace: trace(headers),
            betas: betas(arrival.protocol, headers),
            started: arrival.started,
            principal: self.principal,
            catalog: self.catalog,
            model: self.model,
            requested_model: self.requested_model,
            protocol: arrival.protocol,
            operation: arrival.operation,
            stream: self.head.stream,
            head: self.head,
            framing: arrival.gemini.as_ref().map_or(Framing::Sse, |wish| wish.framing),
            batch: arrival.gemini.as_ref().is_some_and(|wish| wish.batch),
            strict,
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
        let worst = match arrival.operation {
            Operation::Chat | Operation::Completions => WorstCase {
                input_tokens: input_bound(body, self.model.context),
                output_tokens: per_choice.saturating_mul(choices),
                requests: 1,
            },
            Operation::Embeddings | Operation::Rerank | Operation::Moderations => {
                WorstCase { input_tokens: body.len() as u64, output_tokens: 0, requests: 1 }
            }
            Operation::CountTokens => WorstCase { input_tokens: 0, output_tokens: 0, requests: 0 },
        };
        let want = rates.hold(&worst, conditions);
        let answers = matches!(arrival.operation, Operation::Chat | Operation::Completions);
        let may_clamp = answers && self.principal.policy == crate::ledger::Policy::Clamp && rates.needs_tokens();
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

fn bad_head(error: HeadError) -> ClientError {
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
    if reach::outgrows_its_bytes(body) { context } else { (body.len() as u64).min(context) }
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

/// `x-qingwave-strict: 1`: a call that would lose something in translation is refused.
fn asks_for_strict(headers: &HeaderMap) -> bool {
    headers.get("x-qingwave-strict").is_some_and(|value| matches!(value.as_bytes(), b"1" | b"true"))
}

/// What Anthropic's clients say of their version in headers: passed on to upstreams of their protocol as it came.
fn betas(protocol: Protocol, headers: &HeaderMap) -> Vec<(&'static str, HeaderValue)> {
    if protocol != Protocol::AnthropicMessages {
        return Vec::new();
    }
    let named = ["anthropic-version", "anthropic-beta"].into_iter();
    named
        .flat_map(|name| headers.get_all(name).iter().map(move |value| (name, value)))
        .filter(|(_, value)| value.len() <= BETA_BYTES_MAX)
        .take(BETAS_MAX)
        .map(|(name, value)| (name, value.clone()))
        .collect()
}

fn client_request_id(headers: &HeaderMap) -> Option<Box<str>> {
    let text = headers.get("x-request-id")?.to_str().ok()?;
    Some(clip(text, CLIENT_REQUEST_ID_MAX).into())
}

fn trace(headers: &HeaderMap) -> Vec<(&'static str, HeaderValue)> {
    let found = |name| headers.get(name).filter(|v| v.len() <= TRACE_BYTES_MAX).map(|v| (name, v.clone()));
    found("traceparent").into_iter().chain(found("tracestate")).collect()
}
