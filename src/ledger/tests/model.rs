//! The ledger against a model of a few lines: random orders of events, with crashes among them.

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Op {
    Fund {
        account: usize,
        nano: i64,
        key: u8,
    },
    Hold {
        account: usize,
        nano: i64,
    },
    /// Ends one of the open holds.
    Settle {
        which: usize,
        charge: i64,
    },
    Void {
        which: usize,
    },
    Drop {
        which: usize,
    },
    Note,
    Reopen {
        crash: bool,
    },
}

const ACCOUNTS: [&str; 3] = ["a", "b", "c"];

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        2 => (0usize..3, 1i64..500, 0u8..6).prop_map(|(account, nano, key)| Op::Fund { account, nano, key }),
        8 => (0usize..3, 0i64..200).prop_map(|(account, nano)| Op::Hold { account, nano }),
        8 => (any::<usize>(), 0i64..250).prop_map(|(which, charge)| Op::Settle { which, charge }),
        2 => any::<usize>().prop_map(|which| Op::Void { which }),
        1 => any::<usize>().prop_map(|which| Op::Drop { which }),
        1 => Just(Op::Note),
        1 => any::<bool>().prop_map(|crash| Op::Reopen { crash }),
    ];
    prop::collection::vec(op, 1..60)
}

#[derive(Default)]
struct Model {
    posted: [i64; 3],
    held: [i64; 3],
    funded: std::collections::HashMap<(usize, u8), i64>,
    charges: Vec<(CallId, i64)>,
    calls: usize,
}

fn check(ops: Vec<Op>) {
    let dir = tempfile::tempdir().unwrap();
    let mut ledger = open(dir.path());
    ledger.remember_price_rows("model", &[per_token()]);
    for account in ACCOUNTS {
        ledger.create_account(Some(account), "").unwrap();
    }
    let mut model = Model::default();
    let mut open_holds: Vec<(usize, CallId, Hold)> = Vec::new();
    for op in ops {
        match op {
            Op::Fund { account, nano, key } => {
                let funded = ledger.fund(ACCOUNTS[account], Amount::from_nano(nano), &key.to_string());
                let before = *model.funded.entry((account, key)).or_insert_with(|| {
                    model.posted[account] += nano;
                    nano
                });
                assert_eq!(funded.is_ok(), before == nano);
            }
            Op::Hold { account, nano } => {
                let id = CallId(Uuid::now_v7());
                let held = ledger.hold(&principal(ACCOUNTS[account]), id, Amount::from_nano(nano), &mut |_| None);
                let available = model.posted[account] - model.held[account];
                assert_eq!(held.is_ok(), nano <= available);
                if let Ok(hold) = held {
                    model.held[account] += nano;
                    open_holds.push((account, id, hold));
                }
            }
            Op::Settle { which, charge } if !open_holds.is_empty() => {
                let (account, id, hold) = open_holds.swap_remove(which % open_holds.len());
                let amount = hold.amount().nano();
                // The tokens make what is asked; the hold bounds it.
                let settled = hold.settle(charged(&principal(ACCOUNTS[account]), id, charge)).charge.nano();
                assert_eq!(settled, charge.min(amount));
                model.held[account] -= amount;
                model.posted[account] -= settled;
                model.charges.push((id, settled));
                model.calls += 1;
            }
            Op::Void { which } if !open_holds.is_empty() => {
                let (account, id, hold) = open_holds.swap_remove(which % open_holds.len());
                model.held[account] -= hold.amount().nano();
                hold.void(charged(&principal(ACCOUNTS[account]), id, 5));
                model.charges.push((id, 0));
                model.calls += 1;
            }
            Op::Drop { which } if !open_holds.is_empty() => {
                let (account, _, hold) = open_holds.swap_remove(which % open_holds.len());
                model.held[account] -= hold.amount().nano();
            }
            Op::Settle { .. } | Op::Void { .. } | Op::Drop { .. } => {}
            Op::Note => {
                let id = CallId(Uuid::now_v7());
                ledger.note(charged(&principal("a"), id, 3));
                model.charges.push((id, 0));
                model.calls += 1;
            }
            Op::Reopen { crash } => {
                if crash {
                    ledger.crash()
                } else {
                    ledger.close()
                }
                // Open holds are void by absence.
                open_holds.clear();
                model.held = [0; 3];
                ledger = open(dir.path());
            }
        }
        for (at, account) in ACCOUNTS.into_iter().enumerate() {
            let view = ledger.wallet(account).unwrap();
            assert_eq!((view.posted.nano(), view.pending.nano()), (model.posted[at], model.held[at]));
        }
        assert_eq!(ledger.gauges().open_holds as usize, open_holds.len());
    }
    drop(open_holds);
    let report = ledger.verify().unwrap();
    assert_eq!((report.problems, report.calls as usize), (Vec::new(), model.calls));
    for (id, charge) in model.charges {
        assert_eq!(ledger.call(id).unwrap().unwrap().charge.nano(), charge);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn the_ledger_does_what_the_model_does(ops in ops()) {
        check(ops);
    }
}
