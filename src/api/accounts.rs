//! Keys, accounts and wallets for operators: `/admin/keys`, `/admin/accounts`.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{RawQuery, State as Extract};
use http::{Request, StatusCode};
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::json;

use super::error::{ClientError, Code};
use super::params::{Id, Params, parse_time};
use super::respond::{self, Answer, blocking, ledger_error};
use super::{State, body};
use crate::ledger::{NewKey, Policy};
use crate::pricing::Amount;

const IDEMPOTENCY_KEY_BYTES_MAX: usize = 255;
const NAME_BYTES_MAX: usize = 256;
const MODELS_MAX: usize = 1000;

fn invalid(param: &str, problem: impl std::fmt::Display) -> ClientError {
    ClientError::new(Code::InvalidRequest, format!("{param}: {problem}")).param(param)
}

fn bounded(param: &str, text: &str, bytes_max: usize) -> Result<(), ClientError> {
    match text.len() {
        0 => Err(invalid(param, "empty")),
        length if length > bytes_max => Err(invalid(param, format!("longer than {bytes_max} bytes"))),
        _ => Ok(()),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyBody {
    account: String,
    #[serde(default)]
    name: String,
    models: Option<Vec<String>>,
    policy: Option<String>,
    #[serde(default)]
    strict_parameters: bool,
    expires_at: Option<Time>,
}

/// Unix milliseconds or RFC 3339.
#[derive(Deserialize)]
#[serde(untagged)]
enum Time {
    Ms(i64),
    Text(String),
}

impl KeyBody {
    fn read(self) -> Result<NewKey, ClientError> {
        bounded("account", &self.account, NAME_BYTES_MAX)?;
        if self.name.len() > NAME_BYTES_MAX {
            return Err(invalid("name", format!("longer than {NAME_BYTES_MAX} bytes")));
        }
        if self.models.as_ref().is_some_and(|models| models.is_empty() || models.len() > MODELS_MAX) {
            return Err(invalid("models", format!("expected 1 to {MODELS_MAX} names, or null for all models")));
        }
        let policy = match self.policy.as_deref() {
            None => None,
            Some("clamp") => Some(Policy::Clamp),
            Some("strict") => Some(Policy::Strict),
            Some(_) => return Err(invalid("policy", "expected clamp or strict")),
        };
        let expires_at_ms = match self.expires_at {
            None => None,
            Some(Time::Ms(ms)) => Some(ms),
            Some(Time::Text(text)) => Some(
                parse_time(&text)
                    .ok_or_else(|| invalid("expires_at", "expected Unix milliseconds or an RFC 3339 time"))?,
            ),
        };
        let strict_parameters = self.strict_parameters;
        Ok(NewKey {
            account: self.account,
            name: self.name,
            models: self.models,
            policy,
            strict_parameters,
            expires_at_ms,
        })
    }
}

pub async fn create_key(Extract(state): Extract<Arc<State>>, request: Request<Body>) -> Answer {
    let key = body::read::<KeyBody>(request).await?.read()?;
    if let Some(models) = &key.models {
        let catalog = state.catalog.load();
        for name in models {
            super::models::found(&catalog, name).map_err(|error| error.param("models").status(400))?;
        }
    }
    let created = blocking(&state.ledger, move |ledger| ledger.create_key(key)).await.map_err(operators_error)?;
    let mut view = json!(created.view);
    // The only time it is shown.
    view["key"] = json!(created.secret.expose_secret());
    respond::json(StatusCode::CREATED, &view)
}

pub async fn keys(Extract(state): Extract<Arc<State>>, RawQuery(query): RawQuery) -> Answer {
    let account = Params::read(query.as_deref(), &["account"])?.name("account")?;
    let keys = blocking(&state.ledger, move |ledger| ledger.keys(account.as_deref())).await.map_err(operators_error)?;
    respond::ok(&json!({"data": keys}))
}

pub async fn revoke_key(Extract(state): Extract<Arc<State>>, Id(id): Id) -> Answer {
    let view = blocking(&state.ledger, move |ledger| ledger.revoke_key(&id)).await.map_err(operators_error)?;
    respond::ok(&view)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AccountBody {
    id: Option<String>,
    name: String,
}

pub async fn create_account(Extract(state): Extract<Arc<State>>, request: Request<Body>) -> Answer {
    let AccountBody { id, name } = body::read(request).await?;
    bounded("name", &name, NAME_BYTES_MAX)?;
    let account = blocking(&state.ledger, move |ledger| ledger.create_account(id.as_deref(), &name)).await;
    respond::json(StatusCode::CREATED, &account.map_err(operators_error)?)
}

pub async fn accounts(Extract(state): Extract<Arc<State>>, RawQuery(query): RawQuery) -> Answer {
    Params::read(query.as_deref(), &[])?;
    let accounts = blocking(&state.ledger, |ledger| ledger.accounts()).await.map_err(operators_error)?;
    respond::ok(&json!({"data": accounts}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FundBody {
    /// A decimal string in USD.
    amount: String,
    idempotency_key: String,
}

impl FundBody {
    fn amount(&self) -> Result<Amount, ClientError> {
        let amount = Amount::parse(&self.amount).map_err(|problem| invalid("amount", problem))?;
        if amount.is_zero() {
            return Err(invalid("amount", "expected more than nothing"));
        }
        bounded("idempotency_key", &self.idempotency_key, IDEMPOTENCY_KEY_BYTES_MAX)?;
        Ok(amount)
    }
}

pub async fn fund(Extract(state): Extract<Arc<State>>, Id(account): Id, request: Request<Body>) -> Answer {
    let fund: FundBody = body::read(request).await?;
    let amount = fund.amount()?;
    let key = fund.idempotency_key;
    let wallet = blocking(&state.ledger, move |ledger| ledger.fund(&account, amount, &key)).await;
    respond::ok(&wallet.map_err(operators_error)?)
}

pub async fn wallet(Extract(state): Extract<Arc<State>>, Id(account): Id) -> Answer {
    let wallet = blocking(&state.ledger, move |ledger| ledger.wallet(&account)).await;
    respond::ok(&wallet.map_err(operators_error)?)
}

/// The ledger's error for an operator: the cause in full.
pub fn operators_error(error: crate::ledger::LedgerError) -> ClientError {
    let cause = error.to_string();
    let mut error = ledger_error(error);
    if error.code == Code::LedgerUnavailable {
        error.message = format!("the ledger cannot answer: {cause}");
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::LedgerError;

    fn key(body: &str) -> Result<NewKey, ClientError> {
        serde_json::from_str::<KeyBody>(body).unwrap().read()
    }

    #[test]
    fn a_new_key_is_read() {
        let new = key(
            r#"{"account":"acc-1","name":"ci","models":["demo"],"policy":"strict","expires_at":"1970-01-01T00:00:01Z"}"#,
        )
        .unwrap();
        assert_eq!((new.account.as_str(), new.name.as_str(), new.policy), ("acc-1", "ci", Some(Policy::Strict)));
        assert_eq!((new.models.unwrap(), new.expires_at_ms), (vec!["demo".to_owned()], Some(1000)));
        let new = key(r#"{"account":"acc-1","expires_at":7}"#).unwrap();
        assert_eq!((new.models, new.policy, new.expires_at_ms), (None, None, Some(7)));
    }

    #[test]
    fn what_is_wrong_with_a_new_key_is_named() {
        for (body, param) in [
            (r#"{"account":""}"#.to_owned(), "account"),
            (r#"{"account":"a","models":[]}"#.to_owned(), "models"),
            (r#"{"account":"a","policy":"lenient"}"#.to_owned(), "policy"),
            (r#"{"account":"a","expires_at":"soon"}"#.to_owned(), "expires_at"),
            (format!(r#"{{"account":"a","name":"{}"}}"#, "x".repeat(257)), "name"),
        ] {
            let error = key(&body).unwrap_err();
            assert_eq!((error.status, error.param.as_deref()), (400, Some(param)));
        }
    }

    #[test]
    fn funds_are_exact_and_positive() {
        let amount = |amount: &str, key: &str| {
            FundBody { amount: amount.to_owned(), idempotency_key: key.to_owned() }.amount().map_err(|e| e.param)
        };
        assert_eq!(amount("2.50", "k").unwrap(), Amount::from_nano(2_500_000_000));
        for wrong in ["0", "0.0", "-1", "1e3", "1,5", "0.0000000001", ""] {
            assert_eq!(amount(wrong, "k"), Err(Some("amount".to_owned())), "{wrong:?}");
        }
        assert_eq!(amount("1", ""), Err(Some("idempotency_key".to_owned())));
        assert_eq!(amount("1", &"k".repeat(256)), Err(Some("idempotency_key".to_owned())));
    }

    #[test]
    fn operators_see_the_cause_and_customers_do_not() {
        let store = || LedgerError::Store("disk full".to_owned());
        assert!(operators_error(store()).message.contains("disk full"));
        let customers = ledger_error(store());
        assert!(!customers.message.contains("disk full"));
        assert_eq!((customers.status, customers.retry_after_s), (503, Some(5)));
        assert_eq!(ledger_error(LedgerError::NotFound("no key key-9".to_owned())).status, 404);
        assert_eq!(ledger_error(LedgerError::Invalid("odd".to_owned())).status, 400);
    }
}
