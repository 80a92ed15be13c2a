//! Bytes of a journal entry and of the hash chain: one canonical form, read back without trust. Must never know files.
//!
//! A form that is written once is read for ever: a new field is a new version with its own reader, and the hash chain of
//! old blocks is checked with the writer of their version.

use std::borrow::Cow;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::{Error as NameError, StrDeserializer};

use super::wallet::Tier;
use super::{CallId, Source, UsageRecord};
use crate::pricing::{Amount, Meter, Meters, PriceRow, PriceRowId, Rate};
use crate::wire::{Protocol, UsageSource};

const USAGE_V1: u8 = 1;
const PRICE_ROW_V1: u8 = 2;

/// What the journal carries to the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    Usage(Box<UsageRecord>),
    /// A price row and whose it is (a model or channel).
    PriceRow {
        owner: Arc<str>,
        row: PriceRow,
    },
}

/// The bytes are not an entry that this build knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a journal entry of kind {kind} cannot be read")]
pub struct Unreadable {
    pub kind: u8,
}

/// Appends the canonical bytes of a record.
pub fn write_usage(record: &UsageRecord, out: &mut Vec<u8>) {
    let mut w = Writer(out);
    w.byte(USAGE_V1);
    w.0.extend_from_slice(record.id.0.as_bytes());
    w.signed(record.created_at_ms);
    w.text(&record.account);
    w.text(&record.key_id);
    w.text(&record.model);
    // Most often the same name: then an empty optional.
    w.optional((record.requested_model != record.model).then_some(&*record.requested_model), Writer::text);
    w.text(record.protocol.as_str());
    w.text(record.operation.as_str());
    w.byte(u8::from(record.stream));
    w.number(u64::from(record.status));
    w.optional(record.error_code.as_deref(), Writer::text);
    w.optional(record.finish.as_deref(), Writer::text);
    w.number(record.usage.iter().count() as u64);
    for (meter, count) in record.usage.iter() {
        w.text(meter.as_str());
        w.number(count);
    }
    w.optional(record.usage_source.map(UsageSource::as_str), Writer::text);
    w.signed(record.charge.nano());
    w.signed(record.held.nano());
    w.number(record.sources.len() as u64);
    for source in &record.sources {
        w.text(source.tier);
        w.text(&source.grant);
        w.signed(source.amount.nano());
    }
    w.number(record.price_row_ids.len() as u64);
    for id in &record.price_row_ids {
        w.0.extend_from_slice(&id.0.to_le_bytes());
    }
    w.text(&record.catalog_rev);
    w.number(u64::from(record.latency_ms));
    w.optional(record.first_content_ms.map(u64::from), Writer::number);
    w.number(u64::from(record.attempts));
    w.number(record.losses.len() as u64);
    for loss in &record.losses {
        w.text(loss);
    }
    w.optional(record.client_request_id.as_deref(), Writer::text);
    w.optional(record.channel.as_deref(), Writer::text);
    w.optional(record.provider.as_deref(), Writer::text);
    w.signed(record.cost.nano());
    w.optional(record.upstream_request_id.as_deref(), Writer::text);
}

pub fn write_price_row(owner: &str, row: &PriceRow, out: &mut Vec<u8>) {
    let mut w = Writer(out);
    w.byte(PRICE_ROW_V1);
    w.text(owner);
    w.0.extend_from_slice(&row.id.0.to_le_bytes());
    w.text(row.meter.as_str());
    w.number(row.rate.nano_usd);
    w.number(row.rate.per);
    w.number(row.when.len() as u64);
    for (key, value) in row.when.iter() {
        w.text(key);
        w.text(value);
    }
    w.optional(row.input_tokens_gt, Writer::number);
}

/// Reads one entry; every byte must belong to it.
pub fn read_entry(bytes: &[u8]) -> Result<Entry, Unreadable> {
    let kind = bytes.first().copied().unwrap_or(0);
    let mut reader = Reader(bytes.get(1..).unwrap_or_default());
    let entry = match kind {
        USAGE_V1 => read_usage(&mut reader).map(|record| Entry::Usage(Box::new(record))),
        PRICE_ROW_V1 => read_price_row(&mut reader),
        _ => None,
    };
    entry.filter(|_| reader.0.is_empty()).ok_or(Unreadable { kind })
}

fn read_usage(r: &mut Reader<'_>) -> Option<UsageRecord> {
    let id = CallId(uuid::Uuid::from_bytes(r.array()?));
    let created_at_ms = r.signed()?;
    let account = r.shared()?;
    let key_id = r.shared()?;
    let model = r.shared()?;
    let requested_model = r.optional(Reader::shared)?.unwrap_or_else(|| model.clone());
    let protocol = Protocol::parse(r.text()?)?;
    let operation = named(r.text()?)?;
    let stream = r.byte()? != 0;
    let status = u16::try_from(r.number()?).ok()?;
    let error_code = r.optional(Reader::owned)?;
    let finish = r.optional(Reader::owned)?;
    let mut usage = Meters::default();
    for _ in 0..r.number()? {
        let meter = Meter::parse(r.text()?)?;
        usage.set(meter, r.number()?);
    }
    let usage_source = r.optional(|r| named(r.text()?))?;
    let charge = r.amount()?;
    let held = r.amount()?;
    let sources = r.list(|r| {
        let tier = Tier::parse(r.text()?)?.as_str();
        Some(Source { tier, grant: r.shared()?, amount: r.amount()? })
    })?;
    let price_row_ids = r.list(|r| Some(PriceRowId(u64::from_le_bytes(r.array()?))))?;
    Some(UsageRecord {
        id,
        created_at_ms,
        account,
        key_id,
        model,
        requested_model,
        protocol,
        operation,
        stream,
        status,
        error_code,
        finish,
        usage,
        usage_source,
        charge,
        held,
        sources,
        price_row_ids,
        catalog_rev: r.shared()?,
        latency_ms: u32::try_from(r.number()?).ok()?,
        first_content_ms: r.optional(|r| u32::try_from(r.number()?).ok())?,
        attempts: u32::try_from(r.number()?).ok()?,
        losses: r.list(Reader::owned)?,
        client_request_id: r.optional(|r| Some(r.text()?.into()))?,
        channel: r.optional(Reader::shared)?,
        provider: r.optional(Reader::shared)?,
        cost: r.amount()?,
        upstream_request_id: r.optional(|r| Some(r.text()?.into()))?,
    })
}

fn read_price_row(r: &mut Reader<'_>) -> Option<Entry> {
    let owner = r.shared()?;
    let id = PriceRowId(u64::from_le_bytes(r.array()?));
    let meter = Meter::parse(r.text()?)?;
    let rate = Rate { nano_usd: r.number()?, per: r.number()? };
    let when = r.list(|r| Some((r.shared()?, r.shared()?)))?;
    let input_tokens_gt = r.optional(Reader::number)?;
    Some(Entry::PriceRow { owner, row: PriceRow { id, meter, rate, when: when.into(), input_tokens_gt } })
}

/// The variant of an enum by the name that its serialised form has.
pub fn named<'a, T: Deserialize<'a>>(name: &'a str) -> Option<T> {
    let name: StrDeserializer<'a, NameError> = name.into_deserializer();
    T::deserialize(name).ok()
}

struct Writer<'a>(&'a mut Vec<u8>);

impl Writer<'_> {
    fn byte(&mut self, value: u8) {
        self.0.push(value);
    }

    /// Seven bits a byte, the lowest first.
    fn number(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn signed(&mut self, value: i64) {
        self.number(((value << 1) ^ (value >> 63)) as u64);
    }

    fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.0.extend_from_slice(text.as_bytes());
    }

    fn optional<T>(&mut self, value: Option<T>, write: fn(&mut Self, T)) {
        self.byte(u8::from(value.is_some()));
        if let Some(value) = value {
            write(self, value);
        }
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(head)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn number(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return None;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn signed(&mut self) -> Option<i64> {
        let value = self.number()?;
        Some((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    fn amount(&mut self) -> Option<Amount> {
        self.signed().map(Amount::from_nano)
    }

    fn text(&mut self) -> Option<&'a str> {
        let len = usize::try_from(self.number()?).ok()?;
        std::str::from_utf8(self.take(len)?).ok()
    }

    fn shared(&mut self) -> Option<Arc<str>> {
        self.text().map(Arc::from)
    }

    fn owned(&mut self) -> Option<Cow<'static, str>> {
        self.text().map(|text| Cow::Owned(text.to_owned()))
    }

    /// `Some(None)` is a value that is absent.
    fn optional<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<Option<T>> {
        match self.byte()? {
            0 => Some(None),
            1 => read(self).map(Some),
            _ => None,
        }
    }

    /// Grows with what is really there, whatever the length says.
    fn list<T>(&mut self, mut read: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let len = self.number()?;
        let mut items = Vec::new();
        for _ in 0..len {
            items.push(read(self)?);
        }
        Some(items)
    }
}
