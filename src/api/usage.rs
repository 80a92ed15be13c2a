//! A customer's own calls and wallet: `GET /v1/usage`, `/v1/usage.csv`, `/v1/wallet`. Must never show another account's.

use std::sync::Arc;

use axum::extract::{RawQuery, State as Extract};
use axum::response::Response;
use http::HeaderMap;
use serde::Serialize;

use super::credentials::{self, KEY_ID_PREFIX};
use super::error::ClientError;
use super::params::Params;
use super::respond::{self, Answer, blocking, ledger_error, now_ms};
use super::{State, export};
use crate::ledger::{Ledger, LedgerError, Principal, UsagePage, UsageQuery, UsageRecord};

fn principal(state: &State, headers: &HeaderMap, query: Option<&str>) -> Result<Arc<Principal>, ClientError> {
    credentials::authenticate(&state.ledger, headers, query, now_ms())
}

pub async fn list(Extract(state): Extract<Arc<State>>, headers: HeaderMap, RawQuery(query): RawQuery) -> Answer {
    let principal = principal(&state, &headers, query.as_deref())?;
    let query = read_query(query.as_deref(), Some(principal.account.clone()), Paging::Page)?;
    let page = page(&state, query).await?;
    respond::ok(&List { data: page.data.iter().map(|r| r.customer_json()).collect(), next_cursor: &page.next_cursor })
}

pub async fn csv(Extract(state): Extract<Arc<State>>, headers: HeaderMap, RawQuery(query): RawQuery) -> Answer {
    let principal = principal(&state, &headers, query.as_deref())?;
    let query = read_query(query.as_deref(), Some(principal.account.clone()), Paging::All)?;
    stream_csv(&state.ledger, query, false)
}

pub async fn wallet(Extract(state): Extract<Arc<State>>, headers: HeaderMap, RawQuery(query): RawQuery) -> Answer {
    let principal = principal(&state, &headers, query.as_deref())?;
    Params::read(query.as_deref(), &[])?;
    respond::ok(&state.ledger.wallet(&principal.account).map_err(ledger_error)?)
}

/// Whether a list is paged or walked to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paging {
    Page,
    All,
}

/// The filters of a list of calls. Operators leave `account` open and may name one.
pub fn read_query(query: Option<&str>, account: Option<Arc<str>>, paging: Paging) -> Result<UsageQuery, ClientError> {
    let mut known = vec!["from", "to", "model", "key", "status"];
    if paging == Paging::Page {
        known.extend(["cursor", "limit"]);
    }
    if account.is_none() {
        known.push("account");
    }
    let params = Params::read(query, &known)?;
    Ok(UsageQuery {
        account: match account {
            Some(account) => Some(account),
            None => params.name("account")?.map(Arc::from),
        },
        from_ms: params.time("from")?,
        to_ms: params.time("to")?,
        model: params.name("model")?,
        key: params.name("key")?.filter(|key| key.starts_with(KEY_ID_PREFIX)),
        status: params.status()?,
        cursor: params.cursor()?,
        limit: params.limit()?,
    })
}

/// A page as it is answered.
#[derive(Serialize)]
pub struct List<'p, T> {
    pub data: Vec<T>,
    pub next_cursor: &'p Option<String>,
}

/// One page, newest first.
pub async fn page(state: &State, query: UsageQuery) -> Result<UsagePage, ClientError> {
    blocking(&state.ledger, move |ledger| ledger.usage(&query)).await.map_err(|error| match error {
        // Every other filter has been checked.
        LedgerError::Invalid(_) => ledger_error(error).param("cursor"),
        error => ledger_error(error),
    })
}

/// Every call that fits, as CSV, in constant memory.
pub fn stream_csv(ledger: &Ledger, query: UsageQuery, operator: bool) -> Result<Response, ClientError> {
    let ledger = ledger.clone();
    export::csv("usage.csv", move |out| {
        let mut csv = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(out);
        csv.write_record(UsageRecord::csv_columns(operator))?;
        let mut failed = None;
        let each = &mut |records: &[UsageRecord]| {
            failed = records.iter().find_map(|record| record.write_csv_row(&mut csv, operator).err());
            failed.is_none()
        };
        ledger.usage_stream(&query, each).map_err(std::io::Error::other)?;
        match failed {
            Some(error) => Err(error.into()),
            None => csv.flush(),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_customer_reads_its_own_account_alone() {
        let mine = || Some(Arc::from("acc-1"));
        let query = read_query(Some("from=5&to=9&model=m&key=key-7&status=200&limit=3&cursor=c"), mine(), Paging::Page)
            .unwrap();
        assert_eq!((query.account.as_deref(), query.from_ms, query.to_ms), (Some("acc-1"), Some(5), Some(9)));
        assert_eq!((query.model.as_deref(), query.key.as_deref(), query.status), (Some("m"), Some("key-7"), Some(200)));
        assert_eq!((query.limit, query.cursor.as_deref()), (3, Some("c")));
        let refused = read_query(Some("account=acc-2"), mine(), Paging::Page).unwrap_err();
        assert_eq!((refused.status, refused.param.as_deref()), (400, Some("account")));
        let operator = read_query(Some("account=acc-2"), None, Paging::Page).unwrap();
        assert_eq!(operator.account.as_deref(), Some("acc-2"));
    }

    #[test]
    fn an_export_is_not_paged() {
        for (query, param) in [("limit=5", "limit"), ("cursor=x", "cursor")] {
            let refused = read_query(Some(query), None, Paging::All).unwrap_err();
            assert_eq!(refused.param.as_deref(), Some(param));
        }
    }
}
