//! What must hold of every price: exact sums, one rounding, a hold that no charge exceeds.

use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::wire::Usage;

fn row(meter: Meter, nano_usd: u64, per: u64, tier: Option<&str>, gt: Option<u64>) -> PriceRow {
    let when = tier.map(|tier| (Arc::from("service_tier"), Arc::from(tier))).into_iter().collect();
    PriceRow::new("m", meter, Rate { nano_usd, per }, when, gt)
}

fn base(meter: Meter, nano_usd: u64, per: u64) -> PriceRow {
    row(meter, nano_usd, per, None, None)
}

fn tier(name: &str) -> Conditions {
    Conditions { service_tier: Some(name.into()) }
}

fn any() -> Conditions {
    Conditions::default()
}

const M: u64 = 1_000_000;

fn gpt_4o() -> RateCard {
    RateCard::new(vec![
        base(Meter::InputTokens, 2_500_000_000, M),
        base(Meter::CacheReadTokens, 1_250_000_000, M),
        base(Meter::OutputTokens, 10_000_000_000, M),
        row(Meter::OutputTokens, 17_000_000_000, M, Some("priority"), None),
    ])
    .unwrap()
}

fn charge_nano(card: &RateCard, meters: &[(Meter, u64)], conditions: &Conditions) -> i64 {
    card.charge(&meters.iter().copied().collect(), conditions).amount.nano()
}

#[test]
fn a_call_is_the_sum_of_its_meters() {
    let units = [(Meter::InputTokens, 1000), (Meter::CacheReadTokens, 24), (Meter::OutputTokens, 100)];
    assert_eq!(charge_nano(&gpt_4o(), &units, &any()), 2_500_000 + 30_000 + 1_000_000);
}

#[test]
fn a_tier_has_its_price_and_default_is_no_tier() {
    let units = [(Meter::OutputTokens, 100)];
    for (name, nano) in [("priority", 1_700_000), ("default", 1_000_000), ("auto", 1_000_000), ("flex", 1_000_000)] {
        assert_eq!(charge_nano(&gpt_4o(), &units, &tier(name)), nano, "{name}");
    }
}

#[test]
fn meters_without_a_row_fall_back() {
    for (meter, nano) in [
        (Meter::CacheWriteTokens, 2_500_000),
        (Meter::InputAudioTokens, 2_500_000),
        (Meter::CacheReadAudioTokens, 2_500_000),
        (Meter::InputImageTokens, 2_500_000),
        (Meter::InputVideoTokens, 2_500_000),
        (Meter::ReasoningTokens, 10_000_000),
        (Meter::OutputAudioTokens, 10_000_000),
        (Meter::WebSearchCalls, 0),
        (Meter::Requests, 0),
        (Meter::CitationTokens, 0),
    ] {
        assert_eq!(charge_nano(&gpt_4o(), &[(meter, 1000)], &any()), nano, "{}", meter.as_str());
    }
}

#[test]
fn a_threshold_counts_all_input_and_prices_the_whole_request() {
    let card = RateCard::new(vec![
        base(Meter::InputTokens, 1_000_000_000, M),
        base(Meter::OutputTokens, 1_000_000_000, M),
        row(Meter::InputTokens, 2_000_000_000, M, None, Some(1000)),
        row(Meter::InputTokens, 3_000_000_000, M, None, Some(2000)),
        row(Meter::OutputTokens, 5_000_000_000, M, None, Some(1000)),
    ])
    .unwrap();
    let cost = |fresh, cached| {
        let units = [(Meter::InputTokens, fresh), (Meter::CacheReadTokens, cached), (Meter::OutputTokens, 1000)];
        charge_nano(&card, &units, &any())
    };
    assert_eq!(cost(500, 500), 1_000_000 + 1_000_000, "the threshold itself is not above it");
    assert_eq!(cost(500, 501), 2 * 1_001_000 + 5_000_000);
    assert_eq!(cost(1, 2000), 3 * 2_001_000 + 5_000_000);
}

#[test]
fn different_units_are_summed_exactly_and_floored_once() {
    // 1/3 + 1/3 + 1/3 nano-USD is one.
    let card = RateCard::new(vec![
        base(Meter::InputTokens, 1, 3),
        base(Meter::OutputTokens, 1, 6),
        base(Meter::Requests, 1, 2),
    ])
    .unwrap();
    let units = [(Meter::InputTokens, 1), (Meter::OutputTokens, 1), (Meter::Requests, 1)];
    assert_eq!(charge_nano(&card, &units, &any()), 1);
    assert_eq!(charge_nano(&card, &units[..2], &any()), 0);
    let worst = WorstCase { input_tokens: 1, output_tokens: 1, requests: 0 };
    assert_eq!(card.hold(&worst, &any()).nano(), 1);
}

#[test]
fn the_largest_counts_saturate() {
    let card = RateCard::new(vec![base(Meter::InputTokens, u64::MAX, 1)]).unwrap();
    assert_eq!(charge_nano(&card, &[(Meter::InputTokens, u64::MAX)], &any()), i64::MAX);
}

#[test]
fn rows_that_contradict_each_other_are_refused() {
    use Meter::InputTokens as In;
    let twice = vec![base(In, 1, 1), base(In, 2, 1)];
    assert_eq!(RateCard::new(twice).unwrap_err(), RateError::Ambiguous { first: 0, second: 1 });
    let crossing = vec![base(In, 1, 1), row(In, 2, 1, Some("priority"), None), row(In, 3, 1, None, Some(9))];
    assert_eq!(RateCard::new(crossing.clone()).unwrap_err(), RateError::Ambiguous { first: 1, second: 2 });
    let resolved = [crossing, vec![row(In, 4, 1, Some("priority"), Some(9))]].concat();
    let card = RateCard::new(resolved).unwrap();
    assert_eq!(charge_nano(&card, &[(In, 10)], &tier("priority")), 40);
    assert_eq!(RateCard::new(vec![base(In, 1, 0)]).unwrap_err(), RateError::PerZero { row: 0 });
    let primes = [999_999_937, 999_999_929, 999_999_893].map(|per| base(In, 1, per));
    let mut uncommon = primes.to_vec();
    for (row, meter) in uncommon.iter_mut().zip([In, Meter::OutputTokens, Meter::Requests]) {
        row.meter = meter;
    }
    assert_eq!(RateCard::new(uncommon).unwrap_err(), RateError::PerUncommon { row: 2 });
}

#[test]
fn a_row_is_known_by_its_content_and_survives_text() {
    let a = row(Meter::InputTokens, 5, M, Some("priority"), Some(7));
    let text = serde_json::to_string(&a).unwrap();
    assert_eq!(serde_json::from_str::<PriceRow>(&text).unwrap(), a, "{text}");
    let others = [
        row(Meter::InputTokens, 6, M, Some("priority"), Some(7)),
        row(Meter::InputTokens, 5, 1000, Some("priority"), Some(7)),
        row(Meter::OutputTokens, 5, M, Some("priority"), Some(7)),
        row(Meter::InputTokens, 5, M, None, Some(7)),
        row(Meter::InputTokens, 5, M, Some("priority"), None),
        PriceRow::new("n", a.meter, a.rate, a.when.to_vec(), a.input_tokens_gt),
    ];
    assert!(others.iter().all(|other| other.id != a.id));
    assert_eq!(PriceRowId::parse(&a.id.to_string()), Some(a.id));
    assert_eq!(PriceRowId::parse("+123456789abcdef"), None);
}

#[test]
fn needs_tokens_is_about_rows() {
    assert!(gpt_4o().needs_tokens());
    assert!(!RateCard::new(vec![base(Meter::Requests, 10_000_000, 1)]).unwrap().needs_tokens());
}

#[test]
fn affordable_output_at_its_edges() {
    let worst = WorstCase { input_tokens: 1000, output_tokens: 100, requests: 1 };
    let afford = |nano| gpt_4o().affordable_output(&worst, &any(), Amount::from_nano(nano));
    assert_eq!(afford(-1), None);
    assert_eq!(afford(2_500_000), None, "the input alone");
    assert_eq!(afford(2_509_999), None);
    assert_eq!(afford(2_510_000), Some(1));
    assert_eq!(afford(i64::MAX), Some(u64::MAX));
    let fixed = RateCard::new(vec![base(Meter::Requests, 10_000_000, 1)]).unwrap();
    assert_eq!(fixed.affordable_output(&worst, &any(), Amount::from_nano(9_999_999)), None);
    assert_eq!(fixed.affordable_output(&worst, &any(), Amount::from_nano(10_000_000)), Some(u64::MAX));
}

#[test]
fn usage_is_split_without_overlap() {
    let usage = Usage {
        input_total: 100,
        cache_read: 40,
        cache_write_5m: 5,
        cache_write_1h: 5,
        audio_in: 10,
        output_total: 50,
        reasoning: 30,
        web_searches: 2,
        ..Usage::default()
    };
    let expected = [
        (Meter::InputTokens, 40),
        (Meter::CacheReadTokens, 40),
        (Meter::CacheWriteTokens, 10),
        (Meter::InputAudioTokens, 10),
        (Meter::OutputTokens, 20),
        (Meter::ReasoningTokens, 30),
        (Meter::WebSearchCalls, 2),
    ];
    assert_eq!(disjoint(&usage), Disjoint { meters: expected.into_iter().collect(), saturated: false });
    let odd = Usage { input_total: 10, cache_read: 8, audio_in: 8, ..Usage::default() };
    let expected = [(Meter::CacheReadTokens, 8), (Meter::InputAudioTokens, 2)];
    assert_eq!(disjoint(&odd), Disjoint { meters: expected.into_iter().collect(), saturated: true });
}

/// Cards with conditional rows: small numbers, so that thresholds and roundings are met often.
fn cards() -> impl Strategy<Value = RateCard> {
    let rate = || (0u64..2000, prop::sample::select(vec![1u64, 3, 7, 1000, M]));
    let one = (rate(), prop::option::of(rate()), vec((rate(), 0u64..60), 0..3), prop::option::of(rate()));
    let meters = prop::sample::subsequence(Meter::ALL.to_vec(), 1..8);
    (meters, vec(one, 8)).prop_map(|(meters, parts)| {
        let mut rows = Vec::new();
        for (meter, ((nano, per), priority, steps, combined)) in meters.into_iter().zip(parts) {
            rows.push(base(meter, nano, per));
            for ((nano, per), gt) in &steps {
                rows.push(row(meter, *nano, *per, None, Some(*gt)));
                if let Some((nano, per)) = combined.filter(|_| priority.is_some()) {
                    rows.push(row(meter, nano + gt, per, Some("priority"), Some(*gt)));
                }
            }
            rows.extend(priority.map(|(nano, per)| row(meter, nano, per, Some("priority"), None)));
        }
        // Contradicting rows are left out one by one.
        loop {
            match RateCard::new(rows.clone()) {
                Ok(card) => return card,
                Err(error) => drop(rows.remove(error.row())),
            }
        }
    })
}

fn conditions() -> impl Strategy<Value = Conditions> {
    prop::option::of(prop::sample::select(vec!["priority", "default", "flex"]))
        .prop_map(|tier| Conditions { service_tier: tier.map(Into::into) })
}

/// Meters within a worst case: shares of each side, cut off where the side is used up.
fn within(worst: WorstCase, shares: &[u64], requests: u64) -> Meters {
    let mut meters = Meters::default();
    let (mut input, mut output) = (worst.input_tokens, worst.output_tokens);
    for (meter, share) in Meter::ALL.into_iter().zip(shares) {
        let left = match (meter.is_input_tokens(), meter.is_output_tokens()) {
            (true, _) => &mut input,
            (_, true) => &mut output,
            _ => continue,
        };
        let taken = (*share).min(*left);
        *left -= taken;
        meters.set(meter, taken);
    }
    meters.set(Meter::Requests, requests.min(worst.requests));
    meters
}

fn worst_cases() -> impl Strategy<Value = WorstCase> {
    (0u64..80, 0u64..80, 0u64..3).prop_map(|(input_tokens, output_tokens, requests)| WorstCase {
        input_tokens,
        output_tokens,
        requests,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn no_charge_exceeds_the_hold(
        card in cards(), conditions in conditions(), worst in worst_cases(),
        shares in vec(prop_oneof![Just(0u64), 0u64..80], 28), requests in 0u64..3,
    ) {
        let meters = within(worst, &shares, requests);
        let hold = card.hold(&worst, &conditions);
        prop_assert!(card.charge(&meters, &conditions).amount <= hold);
        prop_assert!(card.charge(&meters, &any()).amount <= hold);
    }

    #[test]
    fn affordable_output_is_the_inverse_of_hold(
        card in cards(), conditions in conditions(), worst in worst_cases(), available in 0i64..40_000,
    ) {
        let at = |output_tokens| card.hold(&WorstCase { output_tokens, ..worst }, &conditions);
        let available = Amount::from_nano(available);
        match card.affordable_output(&worst, &conditions, available) {
            None => prop_assert!(at(1) > available),
            Some(u64::MAX) => prop_assert!(at(u64::MAX) <= available),
            Some(tokens) => prop_assert!(tokens > 0 && at(tokens) <= available && available < at(tokens + 1)),
        }
        prop_assert!(at(worst.output_tokens) <= at(worst.output_tokens + 1));
    }

    #[test]
    fn a_charge_can_be_recomputed_from_its_rows(
        card in cards(), conditions in conditions(), counts in vec(prop_oneof![Just(0u64), 0u64..90], 28),
    ) {
        let meters: Meters = Meter::ALL.into_iter().zip(counts).collect();
        let priced = card.charge(&meters, &conditions);
        let rows: Vec<PriceRow> = card.rows().iter().filter(|r| priced.row_ids.contains(&r.id)).cloned().collect();
        prop_assert_eq!(recompute(&rows, &meters), priced.amount);
    }

    #[test]
    fn meters_add_up_to_the_totals(counts in prop::array::uniform::<_, 13>(0u64..50)) {
        let [input_total, cache_read, cache_write_5m, cache_write_1h, cache_write_30m, audio_in, image_in, video_in,
            output_total, reasoning, audio_out, image_out, web_searches] = counts;
        let usage = Usage { input_total, cache_read, cache_write_5m, cache_write_1h, cache_write_30m, audio_in, image_in,
            video_in, output_total, reasoning, audio_out, image_out, web_searches, ..Usage::default() };
        let split = meters(&usage);
        let side = |on: fn(Meter) -> bool| split.iter().filter(|(m, _)| on(*m)).map(|(_, n)| n).sum::<u64>();
        prop_assert_eq!(side(Meter::is_input_tokens), input_total);
        prop_assert_eq!(side(Meter::is_output_tokens), output_total);
    }
}

proptest! {
    // Each case tries every split.
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn the_hold_is_reached_by_some_charge(card in cards(), worst in worst_cases()) {
        // Not merely large: some split of the same units costs as much, up to the rounding.
        let hold = card.hold(&worst, &any()).nano();
        let mut dearest = 0;
        let side = |on: fn(Meter) -> bool| Meter::ALL.into_iter().filter(move |m| on(*m));
        for input in side(Meter::is_input_tokens) {
            for output in side(Meter::is_output_tokens) {
                for count in 0..=worst.input_tokens {
                    let units = [(input, count), (output, worst.output_tokens), (Meter::Requests, worst.requests)];
                    dearest = dearest.max(charge_nano(&card, &units, &any()));
                }
            }
        }
        prop_assert!(hold - dearest <= 1, "hold {hold}, dearest {dearest}");
    }
}
