//! What a killed process leaves is whole, and there once.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use super::*;

const CHILD_DIR: &str = "QINGWAVE_TEST_LEDGER_CHILD_DIR";

#[test]
fn calls_that_only_the_journal_has_are_in_the_store_once_after_a_crash() {
    let bench = Bench::with_segments(1_000_000, SEGMENT_BYTES);
    // The writer is stopped first, so that nothing of this is in the store.
    let hold_at_the_end = bench.hold(77).unwrap();
    let mut ids: Vec<CallId> = (0..100).map(|_| bench.call(100, 10)).collect();
    bench.ledger.crash();
    std::mem::forget(hold_at_the_end);
    for _ in 0..3 {
        let ledger = open(&bench.path());
        let view = ledger.wallet("acc").unwrap();
        let charged_so_far = ids.len() as i64 * 10;
        assert_eq!((view.posted.nano(), view.pending.nano()), (1_000_000 - charged_so_far, 0));
        let report = ledger.verify().unwrap();
        assert_eq!((report.problems, report.calls as usize), (Vec::new(), ids.len()));
        let id = CallId(Uuid::now_v7());
        let hold = ledger.hold(&bench.principal, id, Amount::from_nano(10), &mut |_| None).unwrap();
        hold.settle(charged(&bench.principal, id, 10));
        ids.push(id);
        ledger.crash();
    }
}

#[test]
fn a_torn_tail_costs_nothing_but_itself() {
    for damage in [Damage::Cut, Damage::Flip, Damage::Garbage] {
        let dir = tempfile::tempdir().unwrap();
        let journal = recover::journal_dir(dir.path());
        std::fs::create_dir_all(&journal).unwrap();
        // A journal of an earlier process, of which the store has nothing.
        let start = super::super::journal::Start { segment: 1, position: 0, sequence: 0 };
        let writer = super::super::journal::Journal::start(&journal, SEGMENT_BYTES, false, start).unwrap();
        let mut last = 0;
        for n in 0..5 {
            let mut frame = super::super::journal::frame::begin();
            codec::write_usage(&charged(&principal("acc"), call_at(NEW_YEAR_MS, n), 0), &mut frame);
            last = frame.len();
            writer.append(&mut frame).unwrap();
        }
        let end = (super::super::journal::segment::HEADER_BYTES + writer.end()) as usize;
        let path = journal.join("0000000001.qwj");
        let mut bytes = std::fs::read(&path).unwrap();
        match damage {
            Damage::Cut => bytes.truncate(end - last / 2),
            Damage::Flip => bytes[end - last / 2] ^= 4,
            Damage::Garbage => bytes[end..end + 40].fill(0xa5),
        }
        std::fs::write(&path, bytes).unwrap();
        let ledger = open(dir.path());
        let found = ledger.usage(&UsageQuery { limit: 10, ..Default::default() }).unwrap().data.len();
        assert_eq!(found, if matches!(damage, Damage::Garbage) { 5 } else { 4 }, "{damage:?}");
        assert!(ledger.verify().unwrap().ok);
        assert!(!path.exists() && path.with_extension("torn").exists());
    }
}

#[test]
fn a_journal_that_failed_admits_nobody_and_its_records_go_to_the_store() {
    let bench = Bench::new(1000);
    let hold = bench.hold(10).unwrap();
    let mut record = charged(&bench.principal, CallId(Uuid::now_v7()), 0);
    record.held = hold.amount();
    // What the failed append of a settlement does.
    bench.ledger.core().inbox.strand(codec::Entry::Usage(Box::new(record.clone())));
    bench.ledger.core().journal.note_failed();
    assert!(matches!(bench.hold(10), Err(HoldRefused::NotAdmitting { .. })));
    assert_eq!(bench.all(), [record.clone()]);
    // A refusal is counted, not recorded.
    bench.ledger.note(charged(&bench.principal, CallId(Uuid::now_v7()), 0));
    assert_eq!(bench.ledger.gauges().skipped_notes, 1);
    drop(hold);
    assert_eq!(bench.prove().calls, 1);
}

#[derive(Debug, Clone, Copy)]
enum Damage {
    Cut,
    Flip,
    Garbage,
}

#[test]
fn an_entry_of_a_later_build_stops_the_opening_and_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let journal = recover::journal_dir(dir.path());
    std::fs::create_dir_all(&journal).unwrap();
    let start = super::super::journal::Start { segment: 1, position: 0, sequence: 0 };
    let writer = super::super::journal::Journal::start(&journal, SEGMENT_BYTES, false, start).unwrap();
    let mut frame = super::super::journal::frame::begin();
    frame.extend(b"\xeefrom the future");
    writer.append(&mut frame).unwrap();
    let error = Ledger::open(options(dir.path())).err().unwrap().to_string();
    assert!(error.contains("kind 238") && error.contains("0000000001.qwj"), "{error}");
    assert!(journal.join("0000000001.qwj").exists());
}

#[test]
fn a_clean_end_leaves_an_empty_journal_and_old_segments_go() {
    let bench = Bench::with_segments(1_000_000, SEGMENT_BYTES);
    let files = || std::fs::read_dir(recover::journal_dir(&bench.path())).unwrap().count();
    for _ in 0..300 {
        bench.call(10, 1);
    }
    bench.ledger.usage(&UsageQuery::default()).unwrap();
    bench.ledger.close();
    assert_eq!(files(), 0);
    assert_eq!(open(&bench.path()).verify().unwrap().calls, 300);
}

/// A store that cannot be written: calls go on in the journal until its budget is used up, and nothing is lost.
#[test]
fn a_stalled_store_stops_admission_only_at_the_journals_budget() {
    let dir = tempfile::tempdir().unwrap();
    let ledger =
        Ledger::open_with(Options { journal_bytes_max: 20_000, ..options(dir.path()) }, SEGMENT_BYTES).unwrap();
    ledger.create_account(Some("acc"), "").unwrap();
    ledger.fund("acc", Amount::from_nano(1_000_000), "k").unwrap();
    ledger.remember_price_rows("model", &[per_token()]);
    ledger.usage(&UsageQuery::default()).unwrap();
    let blocker = rusqlite::Connection::open(dir.path().join(store::schema::FILE_NAME)).unwrap();
    blocker.execute_batch("BEGIN IMMEDIATE").unwrap();
    let principal = principal("acc");
    let mut settled = 0;
    let refused = loop {
        let id = CallId(Uuid::now_v7());
        match ledger.hold(&principal, id, Amount::from_nano(10), &mut |_| None) {
            Ok(hold) => drop(hold.settle(charged(&principal, id, 10))),
            Err(refused) => break refused,
        }
        settled += 1;
    };
    assert!(matches!(refused, HoldRefused::NotAdmitting { retry_after_s: 5, .. }), "{refused:?}");
    assert!(ledger.gauges().journal_bytes > 20_000 && ledger.gauges().journal_queue >= settled);
    blocker.execute_batch("ROLLBACK").unwrap();
    drop(blocker);
    while ledger.gauges().journal_queue > 0 {
        std::thread::yield_now();
    }
    ledger.admitting().unwrap();
    let report = ledger.verify().unwrap();
    assert_eq!((report.problems, report.calls), (Vec::new(), settled));
}

/// The process that the next test kills: it says each call only after its settlement has returned.
#[test]
#[ignore = "only as a child of killed_processes_lose_nothing"]
fn child_that_settles_until_it_is_killed() {
    let dir = PathBuf::from(std::env::var_os(CHILD_DIR).expect("started by its parent"));
    let ledger = open(&dir);
    let principal = principal("acc");
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                loop {
                    let id = CallId(Uuid::now_v7());
                    let hold = ledger.hold(&principal, id, Amount::from_nano(10), &mut |_| None).unwrap();
                    hold.settle(charged(&principal, id, 3));
                    println!("settled {id}");
                }
            });
        }
    });
}

#[test]
fn killed_processes_lose_nothing() {
    let bench = Bench::new(1_000_000_000);
    bench.ledger.close();
    let mut acknowledged = std::collections::HashSet::new();
    for round in 0..8 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--ignored",
                "--exact",
                "--nocapture",
                "ledger::tests::crash::child_that_settles_until_it_is_killed",
            ])
            .env(CHILD_DIR, bench.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut seen = 0;
        let mut note = |line: String| {
            let id = line.rsplit_once("settled ").and_then(|(_, id)| CallId::parse(id));
            id.is_some_and(|id| acknowledged.insert(id))
        };
        while seen < 50 + round * 137 {
            seen += usize::from(note(lines.next().expect("the child settles").unwrap()));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        for line in lines.map_while(Result::ok) {
            note(line);
        }
        let ledger = open(&bench.path());
        let report = ledger.verify().unwrap();
        assert_eq!(report.problems, Vec::<String>::new());
        // Some were settled and not yet said; each is there once, since the id is unique.
        assert!(report.calls as usize >= acknowledged.len());
        let view = ledger.wallet("acc").unwrap();
        assert_eq!((view.posted.nano(), view.pending.nano()), (1_000_000_000 - 3 * report.calls as i64, 0));
        for id in &acknowledged {
            assert_eq!(ledger.call(*id).unwrap().unwrap().charge.nano(), 3);
        }
    }
}
