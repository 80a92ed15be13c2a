//! `verify` finds what was changed behind its back; the store refuses to be changed at its front.

use super::*;

const UNLOCK: &str = "DROP TRIGGER usage_is_not_updated; DROP TRIGGER usage_is_not_deleted;
     DROP TRIGGER transfers_are_not_updated; DROP TRIGGER transfers_are_not_deleted;
     DROP TRIGGER blocks_are_not_updated; DROP TRIGGER blocks_are_not_deleted;
     DROP TRIGGER price_rows_are_not_updated; DROP TRIGGER price_rows_are_not_deleted;";

fn used() -> Bench {
    let bench = Bench::new(1_000_000);
    for n in 1..=30 {
        bench.call(100, n);
    }
    bench.hold(50).unwrap().void(charged(&bench.principal, CallId(Uuid::now_v7()), 9));
    let report = bench.prove();
    // TOPUP, FUND, 30 SETTLE; COST of all calls but the first, whose half token costs nothing, and of the voided one.
    assert_eq!((report.calls, report.transfers, report.recomputed), (31, 2 + 30 + 29 + 1, 30));
    bench
}

fn problems_after(sql: &str) -> Vec<String> {
    let bench = used();
    tamper(&bench.path(), &format!("PRAGMA foreign_keys = OFF; {UNLOCK} {sql}"));
    let report = bench.ledger.verify().unwrap();
    assert_eq!(report.ok, report.problems.is_empty());
    report.problems
}

#[test]
fn every_tampering_is_found() {
    for (sql, says) in [
        ("UPDATE usage SET charge = charge - 1 WHERE n = 9", "is charged 0.000000008, its sources are 0.000000009"),
        (
            "UPDATE usage SET charge = 8, sources = '[[\"permanent\",\"permanent\",8]]' WHERE n = 9",
            "its usage makes 0.000000009",
        ),
        ("UPDATE usage SET usage = '{\"input_tokens\":8}' WHERE n = 9", "its usage makes 0.000000008"),
        ("UPDATE usage SET latency_ms = 77 WHERE n = 9", "its hash is not that of its rows"),
        ("UPDATE usage SET usage = 'x' WHERE n = 9", "cannot be read"),
        ("UPDATE names SET name = 'model-2' WHERE name = 'model'", "its hash is not that of its rows"),
        ("DELETE FROM usage WHERE n = 9", "calls are charged"),
        ("UPDATE transfers SET amount = amount + 1 WHERE id = 5", "the transfers of call-"),
        ("DELETE FROM transfers WHERE id = 5", "the transfers of call-"),
        ("UPDATE transfers SET amount = amount + 1 WHERE kind = 'FUND'", "FUND transfers make"),
        (
            "UPDATE ledger_accounts SET balance = balance + 5 WHERE name LIKE 'api:%'",
            "all balances make 0.000000005, not 0",
        ),
        ("UPDATE rollup_account_day SET calls = calls + 1", "account acc on "),
        ("UPDATE rollup_model_day SET charge = charge + 1", "model model on "),
        ("DELETE FROM rollup_account_day", "1 rollups are missing"),
        ("UPDATE price_rows SET nano_usd = 2000000 WHERE id = 7", "its usage makes 0.000000002"),
        ("DELETE FROM price_rows", "priced by row 0000000000000007, which is not known"),
        ("UPDATE blocks SET hash = zeroblob(32) WHERE n = 1", "block 1: its hash"),
        ("DELETE FROM blocks WHERE n = (SELECT max(n) FROM blocks)", "stand in no block"),
        ("DELETE FROM blocks WHERE n = 1", "block 2 follows block 0"),
        ("UPDATE fundings SET amount = amount + 1", "fundings make"),
    ] {
        let problems = problems_after(sql);
        assert!(problems.iter().any(|problem| problem.contains(says)), "{sql}: {problems:#?}");
    }
}

#[test]
fn the_tables_of_money_are_append_only() {
    let bench = used();
    let conn = rusqlite::Connection::open(bench.path().join(store::schema::FILE_NAME)).unwrap();
    for sql in [
        "UPDATE usage SET charge = 0",
        "DELETE FROM usage",
        "UPDATE transfers SET amount = 1",
        "DELETE FROM transfers",
        "DELETE FROM blocks",
        "UPDATE price_rows SET per = 1",
    ] {
        let error = conn.execute(sql, []).unwrap_err().to_string();
        assert!(error.contains("append-only"), "{sql}: {error}");
    }
    let below = "UPDATE ledger_accounts SET balance = -1 WHERE name = 'api:acc:permanent'";
    assert!(conn.execute(below, []).unwrap_err().to_string().contains("CHECK"));
}

#[test]
fn a_gateway_under_load_can_be_proved() {
    let bench = Bench::new(1_000_000);
    std::thread::scope(|scope| {
        scope.spawn(|| (0..2000).map(|_| bench.call(10, 3)).for_each(|id| assert_ne!(id.0, Uuid::nil())));
        for _ in 0..10 {
            bench.prove();
        }
    });
    assert_eq!(bench.prove().calls, 2000);
}

#[test]
fn an_export_holds_every_leg() {
    let bench = used();
    bench.ledger.fund("acc", Amount::from_nano(5), "=cmd").unwrap();
    let mut out = Vec::new();
    let count = bench.ledger.export(&mut out).unwrap();
    let mut reader = csv::Reader::from_reader(&*out);
    assert_eq!(reader.headers().unwrap(), vec!["id", "at", "kind", "leg", "reference", "debit", "credit", "amount"]);
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    assert_eq!(rows.len() as u64, count);
    let sum = |kind: &str| -> i64 {
        let of = rows.iter().filter(|row| &row[2] == kind);
        of.map(|row| Amount::parse(&row[7]).unwrap().nano()).sum()
    };
    assert_eq!((sum("TOPUP"), sum("FUND"), sum("SETTLE")), (1_000_005, 1_000_005, (1..=30).sum()));
    let settle = rows.iter().find(|row| &row[2] == "SETTLE").unwrap();
    assert_eq!((&settle[5], &settle[6]), ("api:acc:permanent", "revenue:usage"));
    assert!(settle[4].starts_with("call-"));
    let cost = rows.iter().find(|row| &row[2] == "COST").unwrap();
    assert_eq!((&cost[5], &cost[6]), ("expense:upstream:provider", "payable:upstream:provider"));
    assert_eq!(&rows.last().unwrap()[4], "'=cmd");
}
