//! Frames and entries: whatever happens to the bytes, a reader gets a whole prefix of what was written, and never panics.

use proptest::prelude::*;

use super::*;
use crate::ledger::codec::{self, Entry};
use crate::ledger::journal::frame::{self, Next};

fn frames(payloads: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (at, payload) in payloads.iter().enumerate() {
        let mut one = frame::begin();
        one.extend_from_slice(payload);
        frame::seal(&mut one, at as u64 + 1);
        bytes.extend(one);
    }
    bytes
}

fn read(mut bytes: &[u8]) -> Vec<(u64, Vec<u8>)> {
    let mut found = Vec::new();
    while let Next::Frame(frame) = frame::next(bytes) {
        found.push((frame.sequence, frame.payload.to_vec()));
        bytes = &bytes[frame.size()..];
    }
    found
}

proptest! {
    #[test]
    fn a_cut_leaves_the_whole_frames_before_it(
        payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 1..8),
        zeros in 0usize..40,
    ) {
        let whole = frames(&payloads);
        let all = read(&whole);
        prop_assert_eq!(all.len(), payloads.len());
        let mut ends = vec![0];
        for payload in &payloads {
            ends.push(ends.last().unwrap() + frame::HEAD_BYTES + payload.len());
        }
        for cut in 0..whole.len() {
            let before = ends.iter().filter(|end| **end > 0 && **end <= cut).count();
            let mut torn = whole[..cut].to_vec();
            prop_assert_eq!(&read(&torn)[..], &all[..before]);
            // A pre-allocated file goes on with zeros. They may happen to complete a frame that ends in zeros.
            torn.extend(vec![0; zeros]);
            let found = read(&torn);
            prop_assert!(found.len() >= before && found[..] == all[..found.len()]);
        }
    }

    #[test]
    fn a_flipped_bit_leaves_the_frames_before_it(
        payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..20), 1..5),
    ) {
        let whole = frames(&payloads);
        let all = read(&whole);
        let mut ends = vec![0];
        for payload in &payloads {
            ends.push(ends.last().unwrap() + frame::HEAD_BYTES + payload.len());
        }
        for bit in 0..whole.len() * 8 {
            let mut flipped = whole.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let before = ends.iter().filter(|end| **end > 0 && **end <= bit / 8).count();
            prop_assert_eq!(&read(&flipped)[..], &all[..before]);
        }
    }

    #[test]
    fn an_entry_reads_as_it_was_written(record in records()) {
        let mut bytes = Vec::new();
        codec::write_usage(&record, &mut bytes);
        let read = codec::read_entry(&bytes).unwrap();
        prop_assert_eq!(&read, &Entry::Usage(Box::new(record)));
        for cut in 0..bytes.len() {
            prop_assert!(codec::read_entry(&bytes[..cut]).is_err());
        }
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), kind in 0u8..4) {
        let _ = codec::read_entry(&bytes);
        let mut entry = vec![kind];
        entry.extend(bytes);
        let _ = codec::read_entry(&entry);
        let _ = frame::next(&entry);
    }
}

#[test]
fn a_damaged_entry_does_not_make_the_reader_panic() {
    let mut bytes = Vec::new();
    codec::write_usage(&full(), &mut bytes);
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let _ = codec::read_entry(&flipped);
    }
}

#[test]
fn price_rows_read_as_they_were_written() {
    let row = PriceRow {
        id: PriceRowId(u64::MAX),
        meter: Meter::CacheReadTokens,
        rate: Rate { nano_usd: u64::MAX, per: 1 },
        when: [("service_tier".into(), "priority".into())].into(),
        input_tokens_gt: Some(200_000),
    };
    let mut bytes = Vec::new();
    codec::write_price_row("gpt-4o", &row, &mut bytes);
    assert_eq!(codec::read_entry(&bytes).unwrap(), Entry::PriceRow { owner: "gpt-4o".into(), row });
}

/// Records with every kind of text and number in them.
pub fn records() -> impl Strategy<Value = UsageRecord> {
    let text = "[a-zé\"',=\n]{0,12}";
    (
        (any::<[u8; 16]>(), any::<i64>(), text, text, text, text),
        (any::<bool>(), any::<u16>(), prop::option::of(text), prop::option::of(text), 0usize..4, 0usize..4),
        (
            prop::collection::vec((0usize..28, any::<u64>()), 0..5),
            prop::collection::vec((0usize..3, text, any::<i64>()), 0..3),
        ),
        (prop::collection::vec(any::<u64>(), 0..4), any::<u32>(), prop::option::of(any::<u32>()), any::<u32>()),
        (prop::collection::vec(text, 0..3), prop::option::of(text), any::<i64>(), any::<i64>(), any::<i64>()),
    )
        .prop_map(|(names, flags, amounts, numbers, rest)| {
            let (id, created_at_ms, account, key, model, requested) = names;
            let principal = Principal { key_id: key.into(), ..principal(&account) };
            let id = CallId(Uuid::from_bytes(id));
            let mut record = UsageRecord::new(&principal, id, model.into(), Protocol::ALL[flags.4], Operation::Chat);
            record.created_at_ms = created_at_ms;
            record.requested_model = requested.into();
            (record.stream, record.status) = (flags.0, flags.1);
            record.error_code = flags.2.map(Cow::Owned);
            record.finish = flags.3.map(Cow::Owned);
            let sources = [UsageSource::Reported, UsageSource::Counted, UsageSource::Estimated];
            record.usage_source = sources.get(flags.5).copied();
            record.usage = amounts.0.into_iter().map(|(meter, count)| (Meter::ALL[meter], count)).collect();
            let tiers = ["free", "plan", "permanent"];
            let source = |(tier, grant, nano): (usize, String, i64)| Source {
                tier: tiers[tier],
                grant: grant.into(),
                amount: Amount::from_nano(nano),
            };
            record.sources = amounts.1.into_iter().map(source).collect();
            record.price_row_ids = numbers.0.into_iter().map(PriceRowId).collect();
            (record.latency_ms, record.first_content_ms, record.attempts) = (numbers.1, numbers.2, numbers.3);
            record.losses = rest.0.into_iter().map(Cow::Owned).collect();
            record.client_request_id = rest.1.clone().map(String::into_boxed_str);
            record.upstream_request_id = rest.1.clone().map(String::into_boxed_str);
            record.channel = rest.1.as_deref().map(Arc::from);
            record.provider = rest.1.as_deref().map(Arc::from);
            record.charge = Amount::from_nano(rest.2);
            record.held = Amount::from_nano(rest.3);
            record.cost = Amount::from_nano(rest.4);
            record
        })
}
