//! Holds and how they end.

use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::ledger::wallet::{Cell, Grant, Leg, Tier, drain};

#[test]
fn a_settlement_takes_the_charge_and_gives_the_rest_back() {
    let bench = Bench::new(1000);
    let hold = bench.hold(600).unwrap();
    assert_eq!((hold.amount().nano(), bench.wallet()), (600, (1000, 600)));
    assert_eq!(bench.ledger.gauges().open_holds, 1);
    let settled = hold.settle(charged(&bench.principal, CallId(Uuid::now_v7()), 250));
    assert_eq!((settled.charge.nano(), bench.wallet()), (250, (750, 0)));
    assert_eq!(bench.ledger.gauges().open_holds, 0);
    let record = &bench.all()[0];
    assert_eq!((record.charge.nano(), record.held().nano()), (250, 600));
    let source = Source { tier: "permanent", grant: "permanent".into(), amount: Amount::from_nano(250) };
    assert_eq!(record.sources, [source]);
    bench.prove();
}

#[test]
fn a_charge_never_exceeds_its_hold() {
    let bench = Bench::new(1000);
    let settled = bench.hold(100).unwrap().settle(charged(&bench.principal, CallId(Uuid::now_v7()), 900));
    assert_eq!((settled.charge.nano(), bench.wallet()), (100, (900, 0)));
    bench.prove();
}

#[test]
fn a_voided_call_is_recorded_and_costs_its_customer_nothing() {
    let bench = Bench::new(1000);
    let hold = bench.hold(600).unwrap();
    hold.void(charged(&bench.principal, CallId(Uuid::now_v7()), 250));
    assert_eq!(bench.wallet(), (1000, 0));
    let record = &bench.all()[0];
    assert_eq!((record.charge, record.cost.nano(), record.sources.len()), (Amount::ZERO, 125, 0));
    bench.prove();
}

#[test]
fn a_dropped_hold_is_given_back_and_counted() {
    let bench = Bench::new(1000);
    drop(bench.hold(600).unwrap());
    let gauges = bench.ledger.gauges();
    assert_eq!((bench.wallet(), gauges.open_holds, gauges.dropped_holds), ((1000, 0), 0, 1));
}

#[test]
fn a_short_wallet_asks_for_less_or_refuses() {
    let bench = Bench::new(1000);
    let available = Amount::from_nano(1000);
    assert_eq!(bench.hold(1001).unwrap_err(), HoldRefused::Short { available });
    let ask = |less: i64| {
        let id = CallId(Uuid::now_v7());
        let want = Amount::from_nano(5000);
        bench.ledger.hold(&bench.principal, id, want, &mut |seen| {
            assert_eq!(seen, available);
            Some(Amount::from_nano(less))
        })
    };
    assert_eq!(ask(800).map(|hold| hold.amount().nano()).unwrap(), 800);
    // A fallback that asks for more than there is, or for less than nothing, is a refusal.
    assert_eq!(ask(1001).unwrap_err(), HoldRefused::Short { available });
    assert_eq!(ask(-1).unwrap_err(), HoldRefused::Short { available });
    let stranger = principal("nobody");
    let refused = bench.ledger.hold(&stranger, CallId(Uuid::now_v7()), Amount::from_nano(1), &mut |_| None);
    assert_eq!(refused.unwrap_err(), HoldRefused::Short { available: Amount::ZERO });
}

#[test]
fn a_wallet_worth_a_hundred_calls_serves_exactly_a_hundred() {
    let bench = Bench::new(100 * 7);
    let (threads, calls) = (50, 20);
    let (start, served) = (Barrier::new(threads), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                start.wait();
                for _ in 0..calls {
                    if let Ok(hold) = bench.hold(7) {
                        served.fetch_add(1, Ordering::Relaxed);
                        hold.settle(charged(&bench.principal, CallId(Uuid::now_v7()), 7));
                    }
                }
            });
        }
    });
    assert_eq!((served.into_inner(), bench.wallet()), (100, (0, 0)));
    assert_eq!(bench.prove().calls, 100);
}

#[test]
fn holds_of_a_thousand_open_calls_never_overlap() {
    let bench = Bench::new(100);
    let holds: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..1000).map(|_| scope.spawn(|| bench.hold(1).ok())).collect();
        threads.into_iter().filter_map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!((holds.len(), bench.wallet()), (100, (100, 100)));
}

fn grant(tier: Tier, id: &str, expires_at: Option<i64>, created_at: i64, posted: i64) -> Grant {
    Grant { tier, id: id.into(), expires_at, created_at, posted, held: 0 }
}

#[test]
fn credits_are_drawn_free_then_plan_then_permanent() {
    let later = i64::MAX;
    let cell = Cell::new(
        "acc".into(),
        vec![
            grant(Tier::Permanent, "permanent", None, 0, 100),
            grant(Tier::Plan, "old", Some(later), 1, 10),
            grant(Tier::Plan, "soon", Some(later - 1), 2, 10),
            grant(Tier::Plan, "young", Some(later), 3, 10),
            grant(Tier::Plan, "gone", Some(1), 0, 10),
            grant(Tier::Free, "today", Some(later), 9, 5),
        ],
    );
    let legs = cell.hold(40, &mut |_| None).unwrap();
    let shown = |legs: &[Leg]| legs.iter().map(|leg| (leg.grant.to_string(), leg.amount)).collect::<Vec<_>>();
    let due = [("today", 5), ("soon", 10), ("old", 10), ("young", 10), ("permanent", 5)];
    assert_eq!(shown(&legs), due.map(|(grant, amount)| (grant.to_owned(), amount)));
    let sources = drain(&legs, 18);
    assert_eq!(
        sources.iter().map(|s| (&*s.grant, s.amount.nano())).collect::<Vec<_>>(),
        [("today", 5), ("soon", 10), ("old", 3)]
    );
    cell.end(&legs, &sources);
    // What has expired is nobody's to hold: 100 + 7 + 10.
    assert_eq!(cell.hold(1000, &mut |_| None).unwrap_err().nano(), 117);
}

#[test]
fn a_ledger_that_is_closed_takes_nothing() {
    let bench = Bench::new(1000);
    let hold = bench.hold(600).unwrap();
    bench.ledger.close();
    assert!(matches!(bench.hold(1).unwrap_err(), HoldRefused::NotAdmitting { retry_after_s: 5, .. }));
    // The call that is still under way is not charged, since nothing of it is recorded.
    let settled = hold.settle(charged(&bench.principal, CallId(Uuid::now_v7()), 250));
    assert_eq!((settled.charge, bench.wallet()), (Amount::ZERO, (1000, 0)));
    assert!(matches!(bench.ledger.fund("acc", Amount::from_nano(1), "x"), Err(LedgerError::Store(_))));
}

#[test]
fn durable_waits_for_the_disk_only_when_asked() {
    let bench = Bench::new(1000);
    let position = bench.hold(1).unwrap().void(charged(&bench.principal, CallId(Uuid::now_v7()), 0));
    assert!(bench.ledger.durable(position).is_none());

    let dir = tempfile::tempdir().unwrap();
    let options = Options { durability: Durability::Power, ..options(dir.path()) };
    let ledger = Ledger::open_with(options, SEGMENT_BYTES).unwrap();
    ledger.create_account(Some("acc"), "").unwrap();
    ledger.fund("acc", Amount::from_nano(1000), "k").unwrap();
    for _ in 0..50 {
        let id = CallId(Uuid::now_v7());
        let hold = ledger.hold(&bench.principal, id, Amount::from_nano(1), &mut |_| None).unwrap();
        let settled = hold.settle(charged(&bench.principal, id, 1));
        if let Some(durable) = ledger.durable(settled.position) {
            tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(durable);
        }
        assert!(ledger.durable(settled.position).is_none());
    }
}

#[test]
fn an_absurd_cost_or_token_count_does_not_stop_the_writer() {
    let bench = Bench::new(1000);
    for _ in 0..3 {
        let mut record = charged(&bench.principal, CallId(Uuid::now_v7()), 1);
        record.cost = Amount::from_nano(i64::MAX);
        record.usage.set(Meter::OutputTokens, u64::MAX);
        record.price_row_ids.clear();
        record.requested_model = "m".repeat(1 << 20).into();
        record.losses = vec![Cow::Owned("é".repeat(1 << 12)); 1000];
        bench.hold(1).unwrap().void(record);
    }
    let record = &bench.all()[0];
    assert_eq!(record.cost.nano(), super::super::core::COST_NANO_MAX);
    assert_eq!((record.requested_model.len(), record.losses.len()), (usage::TEXT_BYTES_MAX, usage::LIST_LEN_MAX));
    assert_eq!(bench.prove().calls, 3);
}

#[test]
fn a_call_id_that_comes_twice_is_charged_once() {
    let bench = Bench::new(1000);
    let id = CallId(Uuid::now_v7());
    for _ in 0..2 {
        let hold = bench.ledger.hold(&bench.principal, id, Amount::from_nano(10), &mut |_| None).unwrap();
        hold.settle(charged(&bench.principal, id, 10));
    }
    assert_eq!(bench.all().len(), 1);
    assert_eq!(bench.wallet(), (990, 0));
    bench.prove();
}
