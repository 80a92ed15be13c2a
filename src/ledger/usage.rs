//! The usage record of a call: how it starts, what bounds its texts, and its one JSON and CSV form. Must never know storage.

use std::borrow::Cow;
use std::io::Write;
use std::sync::Arc;

use serde::Serialize;
use serde::ser::Serializer;

use super::{CallId, Principal, Source};
use crate::pricing::{Amount, Meters, PriceRowId};
use crate::wire::{Operation, Protocol, UsageSource};

/// Longest text of a record that a client or an upstream chose; the rest is cut off.
pub const TEXT_BYTES_MAX: usize = 2048;
/// Longest text of one loss.
pub const LOSS_BYTES_MAX: usize = 256;
/// Most losses and price rows of a record.
pub const LIST_LEN_MAX: usize = 256;

/// One call as the ledger keeps it. Fields as in the contract of usage records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageRecord {
    pub id: CallId,
    pub created_at_ms: i64,
    pub account: Arc<str>,
    pub key_id: Arc<str>,
    pub model: Arc<str>,
    pub requested_model: Arc<str>,
    pub protocol: Protocol,
    pub operation: Operation,
    pub stream: bool,
    pub status: u16,
    pub error_code: Option<Cow<'static, str>>,
    pub finish: Option<Cow<'static, str>>,
    pub usage: Meters,
    pub usage_source: Option<UsageSource>,
    pub charge: Amount,
    /// Filled by `Hold::settle`.
    pub sources: Vec<Source>,
    pub price_row_ids: Vec<PriceRowId>,
    pub catalog_rev: Arc<str>,
    pub latency_ms: u32,
    pub first_content_ms: Option<u32>,
    pub attempts: u32,
    pub losses: Vec<Cow<'static, str>>,
    pub client_request_id: Option<Box<str>>,
    pub channel: Option<Arc<str>>,
    pub provider: Option<Arc<str>>,
    pub cost: Amount,
    pub upstream_request_id: Option<Box<str>>,
    /// What was held for the call: the charge is the price of its usage or this, whichever is less.
    pub(super) held: Amount,
}

impl UsageRecord {
    /// A record of a call that has used and cost nothing yet. `created_at_ms` is the time in its id.
    pub fn new(
        principal: &Principal,
        id: CallId,
        model: Arc<str>,
        protocol: Protocol,
        operation: Operation,
    ) -> UsageRecord {
        UsageRecord {
            id,
            created_at_ms: id.created_at_ms(),
            account: principal.account.clone(),
            key_id: principal.key_id.clone(),
            requested_model: model.clone(),
            model,
            protocol,
            operation,
            stream: false,
            status: 0,
            error_code: None,
            finish: None,
            usage: Meters::default(),
            usage_source: None,
            charge: Amount::ZERO,
            sources: Vec::new(),
            price_row_ids: Vec::new(),
            catalog_rev: Arc::from(""),
            latency_ms: 0,
            first_content_ms: None,
            attempts: 0,
            losses: Vec::new(),
            client_request_id: None,
            channel: None,
            provider: None,
            cost: Amount::ZERO,
            upstream_request_id: None,
            held: Amount::ZERO,
        }
    }

    /// What was held for the call.
    pub fn held(&self) -> Amount {
        self.held
    }

    /// Cuts every text and list to its limit, so that no record can outgrow the journal. Money is never cut.
    pub(super) fn bound(&mut self) {
        for text in [&mut self.account, &mut self.key_id, &mut self.model, &mut self.requested_model] {
            bound_arc(text);
        }
        bound_arc(&mut self.catalog_rev);
        for text in [&mut self.channel, &mut self.provider].into_iter().flatten() {
            bound_arc(text);
        }
        for text in [&mut self.error_code, &mut self.finish].into_iter().flatten() {
            bound_cow(text, TEXT_BYTES_MAX);
        }
        for text in [&mut self.client_request_id, &mut self.upstream_request_id].into_iter().flatten() {
            if text.len() > TEXT_BYTES_MAX {
                *text = prefix(text, TEXT_BYTES_MAX).into();
            }
        }
        self.losses.truncate(LIST_LEN_MAX);
        for loss in &mut self.losses {
            bound_cow(loss, LOSS_BYTES_MAX);
        }
        self.price_row_ids.truncate(LIST_LEN_MAX);
    }

    /// The record as its customer sees it, with the contract's names in the contract's order.
    pub fn customer_json(&self) -> CustomerRecord<'_> {
        CustomerRecord(self)
    }

    /// The same with what operators see beside it.
    pub fn operator_json(&self) -> OperatorRecord<'_> {
        OperatorRecord(self)
    }

    /// The header of the CSV: the columns of the JSON form in their order.
    pub fn csv_columns(operator: bool) -> Vec<&'static str> {
        let mut columns = CUSTOMER_COLUMNS.to_vec();
        if operator {
            columns.extend(OPERATOR_COLUMNS);
        }
        columns
    }

    /// Writes the record as one CSV row under `csv_columns(operator)`. Times are RFC 3339 in UTC; a list or a map is one cell.
    pub fn write_csv_row<W: Write>(&self, out: &mut csv::Writer<W>, operator: bool) -> csv::Result<()> {
        let text = |value: &dyn std::fmt::Display| Cow::Owned(value.to_string());
        let or_empty = |value: Option<String>| Cow::Owned(value.unwrap_or_default());
        let mut cells: Vec<Cow<'_, str>> = vec![
            text(&self.id),
            Cow::Owned(rfc3339(self.created_at_ms)),
            Cow::Borrowed(&self.account),
            Cow::Borrowed(&self.key_id),
            Cow::Borrowed(&self.model),
            Cow::Borrowed(&self.requested_model),
            Cow::Borrowed(self.protocol.as_str()),
            Cow::Borrowed(self.operation.as_str()),
            text(&self.stream),
            text(&self.status),
            Cow::Borrowed(self.error_code.as_deref().unwrap_or_default()),
            Cow::Borrowed(self.finish.as_deref().unwrap_or_default()),
            json_cell(&self.usage)?,
            Cow::Borrowed(self.usage_source.map(UsageSource::as_str).unwrap_or_default()),
            text(&self.charge),
            json_cell(&self.sources)?,
            Cow::Owned(self.price_row_ids.iter().map(|id| format!("{:016x}", id.0)).collect::<Vec<_>>().join(" ")),
            Cow::Borrowed(&self.catalog_rev),
            text(&self.latency_ms),
            or_empty(self.first_content_ms.map(|ms| ms.to_string())),
            text(&self.attempts),
            Cow::Owned(self.losses.join(", ")),
            Cow::Borrowed(self.client_request_id.as_deref().unwrap_or_default()),
        ];
        if operator {
            cells.extend([
                Cow::Borrowed(self.channel.as_deref().unwrap_or_default()),
                Cow::Borrowed(self.provider.as_deref().unwrap_or_default()),
                text(&self.cost),
                Cow::Borrowed(self.upstream_request_id.as_deref().unwrap_or_default()),
            ]);
        }
        out.write_record(cells.into_iter().map(|cell| guarded(cell).into_owned()))
    }
}

const CUSTOMER_COLUMNS: [&str; 23] = [
    "id",
    "created_at",
    "account",
    "key_id",
    "model",
    "requested_model",
    "protocol",
    "operation",
    "stream",
    "status",
    "error_code",
    "finish",
    "usage",
    "usage_source",
    "charge",
    "sources",
    "price_row_ids",
    "catalog_rev",
    "latency_ms",
    "first_content_ms",
    "attempts",
    "losses",
    "client_request_id",
];
const OPERATOR_COLUMNS: [&str; 4] = ["channel", "provider", "cost", "upstream_request_id"];

/// A usage record as JSON for the customer that made the call.
pub struct CustomerRecord<'a>(&'a UsageRecord);
/// A usage record as JSON for operators.
pub struct OperatorRecord<'a>(&'a UsageRecord);

impl Serialize for CustomerRecord<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Shown { record: self.0, operator: false }.serialize(serializer)
    }
}

impl Serialize for OperatorRecord<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Shown { record: self.0, operator: true }.serialize(serializer)
    }
}

struct Shown<'a> {
    record: &'a UsageRecord,
    operator: bool,
}

impl Serialize for Shown<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;
        let r = self.record;
        let fields =
            if self.operator { CUSTOMER_COLUMNS.len() + OPERATOR_COLUMNS.len() } else { CUSTOMER_COLUMNS.len() };
        let mut out = serializer.serialize_struct("UsageRecord", fields)?;
        out.serialize_field("id", &r.id.to_string())?;
        out.serialize_field("created_at", &r.created_at_ms)?;
        out.serialize_field("account", &r.account)?;
        out.serialize_field("key_id", &r.key_id)?;
        out.serialize_field("model", &r.model)?;
        out.serialize_field("requested_model", &r.requested_model)?;
        out.serialize_field("protocol", r.protocol.as_str())?;
        out.serialize_field("operation", r.operation.as_str())?;
        out.serialize_field("stream", &r.stream)?;
        out.serialize_field("status", &r.status)?;
        out.serialize_field("error_code", &r.error_code)?;
        out.serialize_field("finish", &r.finish)?;
        out.serialize_field("usage", &r.usage)?;
        out.serialize_field("usage_source", &r.usage_source.map(UsageSource::as_str))?;
        out.serialize_field("charge", &r.charge)?;
        out.serialize_field("sources", &r.sources)?;
        let rows: Vec<String> = r.price_row_ids.iter().map(|id| format!("{:016x}", id.0)).collect();
        out.serialize_field("price_row_ids", &rows)?;
        out.serialize_field("catalog_rev", &r.catalog_rev)?;
        out.serialize_field("latency_ms", &r.latency_ms)?;
        out.serialize_field("first_content_ms", &r.first_content_ms)?;
        out.serialize_field("attempts", &r.attempts)?;
        out.serialize_field("losses", &r.losses)?;
        out.serialize_field("client_request_id", &r.client_request_id)?;
        if self.operator {
            out.serialize_field("channel", &r.channel)?;
            out.serialize_field("provider", &r.provider)?;
            out.serialize_field("cost", &r.cost)?;
            out.serialize_field("upstream_request_id", &r.upstream_request_id)?;
        }
        out.end()
    }
}

/// A cell that a spreadsheet could take for a formula gets a quote in front.
pub(super) fn guarded(cell: Cow<'_, str>) -> Cow<'_, str> {
    match cell.as_bytes().first() {
        Some(b'=' | b'+' | b'-' | b'@' | b'\t' | b'\r') => Cow::Owned(format!("'{cell}")),
        _ => cell,
    }
}

/// RFC 3339 in UTC with milliseconds; a time outside the calendar is shown as its number.
pub(super) fn rfc3339(unix_ms: i64) -> String {
    jiff::Timestamp::from_millisecond(unix_ms).map_or_else(|_| unix_ms.to_string(), |at| format!("{at:.3}"))
}

fn json_cell<T: Serialize>(value: &T) -> csv::Result<Cow<'static, str>> {
    serde_json::to_string(value).map(Cow::Owned).map_err(|error| csv::Error::from(std::io::Error::from(error)))
}

fn prefix(text: &str, bytes_max: usize) -> &str {
    let end = (0..=bytes_max.min(text.len())).rev().find(|at| text.is_char_boundary(*at));
    &text[..end.unwrap_or(0)]
}

fn bound_arc(text: &mut Arc<str>) {
    if text.len() > TEXT_BYTES_MAX {
        *text = Arc::from(prefix(text, TEXT_BYTES_MAX));
    }
}

fn bound_cow(text: &mut Cow<'static, str>, bytes_max: usize) {
    if text.len() > bytes_max {
        *text = Cow::Owned(prefix(text, bytes_max).to_owned());
    }
}
