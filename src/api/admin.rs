//! The admin listener: everything but three open paths needs the admin key, also paths that do not exist.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{RawQuery, State as Extract};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use http::{HeaderMap, Request, StatusCode, header};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::error::{ClientError, Code};
use super::params::{Id, Params};
use super::respond::{self, Answer, blocking};
use super::usage::{self, List, Paging};
use super::{ReloadRefused, State, accounts, export, operations};
use crate::catalog::{Channel, ChannelState, Model};
use crate::demo::Demo;
use crate::ledger::CallId;

/// What needs no key. Compared with the path as it was sent, which is what the router matches, too.
const OPEN: &[&str] = &["/metrics", "/healthz", "/readyz"];

pub fn router(state: Arc<State>) -> Router {
    Router::new()
        .route("/metrics", get(operations::metrics))
        .route("/healthz", get(operations::healthz))
        .route("/readyz", get(operations::readyz))
        .route("/admin/keys", get(accounts::keys).post(accounts::create_key))
        .route("/admin/keys/{id}", delete(accounts::revoke_key))
        .route("/admin/keys/{id}/revoke", post(accounts::revoke_key))
        .route("/admin/accounts", get(accounts::accounts).post(accounts::create_account))
        .route("/admin/accounts/{id}/fund", post(accounts::fund))
        .route("/admin/accounts/{id}/wallet", get(accounts::wallet))
        .route("/admin/catalog", get(catalog))
        .route("/admin/catalog/reload", post(reload))
        .route("/admin/channels", get(channels))
        .route("/admin/calls/{id}", get(call))
        .route("/admin/usage", get(usage_list))
        .route("/admin/usage.csv", get(usage_csv))
        .route("/admin/ledger/verify", get(verify))
        .route("/admin/ledger/export", get(ledger_export))
        .route("/admin/demo", get(demo))
        .route("/admin/demo/reset", post(demo_reset))
        .fallback(respond::path_not_found)
        .method_not_allowed_fallback(respond::method_not_allowed)
        .layer(middleware::from_fn_with_state(state.clone(), guard))
        .with_state(state)
}

/// Denies by default.
async fn guard(Extract(state): Extract<Arc<State>>, request: Request<Body>, next: Next) -> Response {
    if OPEN.contains(&request.uri().path()) || is_admin(request.headers(), state.admin_key.expose_secret()) {
        return next.run(request).await;
    }
    let message = "the admin key is missing or wrong: send it as \"Authorization: Bearer …\"; \
                   it is secrets.admin_key of the configuration, or the file admin.key in the data directory";
    ClientError::new(Code::InvalidApiKey, message).into_response()
}

/// Exactly one `Authorization: Bearer` with the admin key; its length is not told by the time of the comparison.
fn is_admin(headers: &HeaderMap, admin_key: &str) -> bool {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return false };
    let Some((scheme, token)) = value.to_str().ok().and_then(|text| text.split_once(' ')) else { return false };
    let same = Sha256::digest(token.trim()).ct_eq(&Sha256::digest(admin_key));
    !admin_key.is_empty() && scheme.eq_ignore_ascii_case("bearer") && bool::from(same)
}

async fn catalog(Extract(state): Extract<Arc<State>>, RawQuery(query): RawQuery) -> Answer {
    Params::read(query.as_deref(), &[])?;
    let catalog = state.catalog.load();
    let models: Vec<Value> = catalog.models().iter().map(|model| operators_model(model)).collect();
    respond::ok(&json!({"rev": catalog.rev, "models": models}))
}

async fn channels(Extract(state): Extract<Arc<State>>, RawQuery(query): RawQuery) -> Answer {
    Params::read(query.as_deref(), &[])?;
    let catalog = state.catalog.load();
    let all = catalog.models().iter().flat_map(|model| model.channels.iter().map(move |channel| (model, channel)));
    let data: Vec<Value> = all
        .map(|(model, channel)| {
            let mut view = operators_channel(channel);
            view["model"] = json!(model.id);
            view
        })
        .collect();
    respond::ok(&json!({"rev": catalog.rev, "data": data}))
}

fn operators_model(model: &Model) -> Value {
    json!({
        "id": model.id,
        "vendor": model.vendor,
        "name": model.name,
        "aliases": model.aliases,
        "available": model.channels.iter().any(|channel| channel.state == ChannelState::Ready),
        "channels": model.channels.iter().map(|channel| operators_channel(channel)).collect::<Vec<_>>(),
    })
}

/// A channel without its credential.
fn operators_channel(channel: &Channel) -> Value {
    let provider = &channel.provider;
    let scheme = if provider.tls { "https" } else { "http" };
    json!({
        "id": channel.id,
        "provider": provider.id,
        "upstream_model": channel.upstream_model,
        "protocol": channel.protocol.as_str(),
        "state": channel.state.as_str(),
        "priority": channel.priority,
        "weight": channel.weight,
        "base_url": format!("{scheme}://{}:{}{}", provider.host, provider.port, provider.base_path),
        "connect_ms": channel.timeouts.connect_ms,
        "first_content_ms": channel.timeouts.first_content_ms,
        "idle_ms": channel.timeouts.idle_ms,
    })
}

async fn reload(Extract(state): Extract<Arc<State>>, RawQuery(query): RawQuery) -> Answer {
    let force = Params::read(query.as_deref(), &["force"])?.flag("force")?;
    let result = tokio::task::spawn_blocking(move || (state.reload)(&state, force)).await;
    match result {
        Ok(Ok(reloaded)) => respond::ok(&reloaded),
        Ok(Err(refused)) => reload_refused(refused),
        Err(error) => {
            tracing::error!(%error, "a catalog reload was cut off");
            Err(ClientError::new(Code::Internal, "the reload was cut off: the last catalog keeps serving; see the log"))
        }
    }
}

/// OpenAI's error shape, with every problem or change beside the message.
fn reload_refused(refused: ReloadRefused) -> Answer {
    let (status, message, detail) = match refused {
        ReloadRefused::Broken(problems) => {
            let lines: Vec<String> =
                problems.iter().map(|p| format!("{}:{}:{}: {}", p.path, p.line, p.column, p.message)).collect();
            let plural = if lines.len() == 1 { "" } else { "s" };
            let message =
                format!("the catalog has {} problem{plural}; the last one that had none keeps serving", lines.len());
            (StatusCode::UNPROCESSABLE_ENTITY, message, ("problems", json!(lines)))
        }
        ReloadRefused::NeedsForce(changes) => {
            let message =
                "the catalog changes more than a reload may unasked: check the changes, then repeat with ?force=true";
            (StatusCode::CONFLICT, message.to_owned(), ("changes", json!(changes)))
        }
        ReloadRefused::Unreadable(problem) => {
            let message = "the catalog cannot be read; the last one keeps serving".to_owned();
            (StatusCode::UNPROCESSABLE_ENTITY, message, ("problems", json!([problem])))
        }
    };
    let (name, value) = detail;
    let mut error = json!({
        "message": message, "type": "invalid_request_error", "param": null, "code": Code::InvalidRequest.as_str(),
    });
    error[name] = value;
    respond::json(status, &json!({"error": error}))
}

async fn call(Extract(state): Extract<Arc<State>>, Id(text): Id) -> Answer {
    let id = parse_call_id(&text).ok_or_else(|| {
        ClientError::new(Code::InvalidRequest, "id: expected call- and 32 hex digits, as in x-request-id").param("id")
    })?;
    let record = blocking(&state.ledger, move |ledger| ledger.call(id)).await.map_err(accounts::operators_error)?;
    match record {
        Some(record) => respond::ok(&record.operator_json()),
        None => {
            Err(ClientError::new(Code::PathNotFound, format!("there is no call {id}: GET /admin/usage lists them")))
        }
    }
}

fn parse_call_id(text: &str) -> Option<CallId> {
    uuid::Uuid::try_parse(text.strip_prefix("call-").unwrap_or(text)).ok().map(CallId)
}

async fn usage_list(Extract(state): Extract<Arc<State>>, RawQuery(query): RawQuery) -> Answer {
    let query = usage::read_query(query.as_deref(), None, Paging::Page)?;
    let page = usage::page(&state, query).await?;
    respond::ok(&List { data: page.data.iter().map(|r| r.operator_json()).collect(), next_cursor: &page.next_cursor })
}

async fn usage_csv(Extract(state): Extract<Arc<State>>, RawQuery(query): RawQuery) -> Answer {
    let query = usage::read_query(query.as_deref(), None, Paging::All)?;
    usage::stream_csv(&state.ledger, query, true)
}

async fn verify(Extract(state): Extract<Arc<State>>, RawQuery(query): RawQuery) -> Answer {
    Params::read(query.as_deref(), &[])?;
    let report = blocking(&state.ledger, |ledger| ledger.verify()).await.map_err(accounts::operators_error)?;
    respond::ok(&report)
}

async fn ledger_export(Extract(state): Extract<Arc<State>>, RawQuery(query): RawQuery) -> Answer {
    Params::read(query.as_deref(), &[])?;
    let ledger = state.ledger.clone();
    export::csv("ledger.csv", move |out| ledger.export(out).map(drop).map_err(std::io::Error::other))
}

fn demo_of(state: &State) -> Result<&Demo, ClientError> {
    state.demo.as_ref().ok_or_else(|| {
        ClientError::new(Code::PathNotFound, "there is no built-in upstream here: it runs in qingwave demo alone")
    })
}

async fn demo(Extract(state): Extract<Arc<State>>) -> Answer {
    respond::ok(&demo_of(&state)?.seen())
}

async fn demo_reset(Extract(state): Extract<Arc<State>>) -> Answer {
    demo_of(&state)?.reset();
    respond::ok(&json!({"reset": true}))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Problem;
    use http::HeaderValue;
    use http_body_util::BodyExt;

    #[test]
    fn one_bearer_with_the_key_is_the_admin() {
        let admin = |values: &[&[u8]]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append("authorization", HeaderValue::from_bytes(value).unwrap());
            }
            is_admin(&headers, "the-admin-key")
        };
        assert!(admin(&[b"Bearer the-admin-key"]) && admin(&[b"bearer  the-admin-key"]));
        let refused: &[&[&[u8]]] = &[
            &[],
            &[b"Bearer"],
            &[b"Bearer "],
            &[b"the-admin-key"],
            &[b"Basic the-admin-key"],
            &[b"Bearer the-admin-ke"],
            &[b"Bearer the-admin-keyy"],
            &[b"Bearer THE-ADMIN-KEY"],
            &[b"Bearer the-admin-key", b"Bearer the-admin-key"],
            &[b"Bearer \xff"],
        ];
        for values in refused {
            assert!(!admin(values), "{values:?}");
        }
        let mut empty = HeaderMap::new();
        empty.insert("authorization", HeaderValue::from_static("Bearer "));
        assert!(!is_admin(&empty, ""));
    }

    async fn refused(refused: ReloadRefused) -> (u16, Value) {
        let response = reload_refused(refused).unwrap();
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap())
    }

    #[tokio::test]
    async fn a_refused_reload_says_everything() {
        let problem = Problem { path: "models/a.yaml".into(), line: 4, column: 2, message: "odd".into() };
        let (status, body) = refused(ReloadRefused::Broken(vec![problem.clone(), problem])).await;
        assert_eq!((status, &body["error"]["problems"][1]), (422, &json!("models/a.yaml:4:2: odd")));
        let (status, body) = refused(ReloadRefused::NeedsForce(vec!["model x: gone".into()])).await;
        assert_eq!((status, &body["error"]["changes"]), (409, &json!(["model x: gone"])));
        assert!(body["error"]["message"].as_str().unwrap().contains("force=true"));
        let (status, body) = refused(ReloadRefused::Unreadable("catalog: no such folder".into())).await;
        assert_eq!((status, &body["error"]["problems"][0]), (422, &json!("catalog: no such folder")));
    }

    #[test]
    fn call_ids_are_read_as_they_are_shown() {
        let id = CallId(uuid::Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001));
        assert_eq!(parse_call_id(&id.to_string()), Some(id));
        assert_eq!(parse_call_id(&id.0.to_string()), Some(id));
        for odd in ["", "call-", "call-1", "call-' or 1=1", "key-01900000000070008000000000000001"] {
            assert_eq!(parse_call_id(odd), None, "{odd}");
        }
    }
}
