//! Lists of calls: pages, filters, streams, and the plans that SQLite makes for them.

use super::*;
use crate::ledger::store::{read, schema};

/// Calls of two accounts, models, keys and statuses, several in one millisecond; newest last.
fn filled() -> (Bench, Vec<UsageRecord>) {
    let bench = Bench::new(0);
    let mut records = Vec::new();
    for n in 0..250u64 {
        let mut principal = principal(if n % 3 == 0 { "acc" } else { "other" });
        principal.key_id = format!("key-{}", n % 5).into();
        let id = call_at(NEW_YEAR_MS + (n / 4) as i64, n);
        let mut record = charged(&principal, id, 0);
        record.model = if n % 2 == 0 { "even".into() } else { "odd".into() };
        record.status = if n % 7 == 0 { 429 } else { 200 };
        bench.ledger.note(record.clone());
        records.push(record);
    }
    (bench, records)
}

fn walk(ledger: &Ledger, query: &UsageQuery) -> Vec<CallId> {
    let (mut ids, mut query) = (Vec::new(), query.clone());
    loop {
        let page = ledger.usage(&query).unwrap();
        assert!(page.data.len() <= query.limit.max(1));
        ids.extend(page.data.iter().map(|record| record.id));
        match page.next_cursor {
            Some(cursor) => query.cursor = Some(cursor),
            None => return ids,
        }
    }
}

fn queries() -> Vec<UsageQuery> {
    let mut queries = Vec::new();
    for account in [None, Some("acc"), Some("nobody")] {
        for model in [None, Some("odd")] {
            for key in [None, Some("key-3")] {
                for status in [None, Some(200), Some(429), Some(500)] {
                    for (from, to) in [(None, None), (Some(10), None), (Some(10), Some(30))] {
                        queries.push(UsageQuery {
                            account: account.map(Arc::from),
                            model: model.map(str::to_owned),
                            key: key.map(str::to_owned),
                            status,
                            from_ms: from.map(|ms: i64| NEW_YEAR_MS + ms),
                            to_ms: to.map(|ms: i64| NEW_YEAR_MS + ms),
                            ..UsageQuery::default()
                        });
                    }
                }
            }
        }
    }
    queries
}

fn matches(query: &UsageQuery, record: &UsageRecord) -> bool {
    query.account.as_ref().is_none_or(|account| *account == record.account)
        && query.model.as_deref().is_none_or(|model| *model == *record.model)
        && query.key.as_deref().is_none_or(|key| *key == *record.key_id)
        && query.status.is_none_or(|status| status == record.status)
        && query.from_ms.is_none_or(|from| record.created_at_ms >= from)
        && query.to_ms.is_none_or(|to| record.created_at_ms < to)
}

#[test]
fn pages_and_streams_give_what_the_filter_says_newest_first() {
    let (bench, records) = filled();
    for query in queries() {
        let due: Vec<CallId> = records.iter().rev().filter(|r| matches(&query, r)).map(|r| r.id).collect();
        for limit in [7, 50, 1000] {
            assert_eq!(walk(&bench.ledger, &UsageQuery { limit, ..query.clone() }), due, "{query:?}");
        }
        let mut streamed = Vec::new();
        let mut each = |page: &[UsageRecord]| {
            streamed.extend(page.iter().map(|record| record.id));
            true
        };
        bench.ledger.usage_stream(&query, &mut each).unwrap();
        assert_eq!(streamed, due, "{query:?}");
    }
}

#[test]
fn limits_are_clamped_and_a_page_that_is_just_full_is_the_last() {
    let (bench, records) = filled();
    assert_eq!(bench.ledger.usage(&UsageQuery::default()).unwrap().data.len(), 1);
    let page = bench.ledger.usage(&UsageQuery { limit: records.len(), ..UsageQuery::default() }).unwrap();
    assert_eq!((page.data.len(), page.next_cursor), (records.len(), None));
}

#[test]
fn a_stream_longer_than_a_page_is_whole_and_stops_when_told() {
    let bench = Bench::new(0);
    for n in 0..2500 {
        bench.ledger.note(charged(&bench.principal, call_at(NEW_YEAR_MS, n), 0));
    }
    let mut pages = Vec::new();
    bench
        .ledger
        .usage_stream(&UsageQuery::default(), &mut |page| {
            pages.push(page.len());
            true
        })
        .unwrap();
    assert_eq!(pages, [1000, 1000, 500]);
    let mut pages = 0;
    bench
        .ledger
        .usage_stream(&UsageQuery::default(), &mut |_| {
            pages += 1;
            false
        })
        .unwrap();
    assert_eq!(pages, 1);
}

#[test]
fn a_cursor_of_another_list_is_refused() {
    let (bench, records) = filled();
    let others = records.iter().find(|record| &*record.account == "other").unwrap().id;
    let unknown = Uuid::now_v7().simple().to_string();
    for cursor in ["", "x", &unknown, &others.0.simple().to_string()] {
        let query =
            UsageQuery { account: Some("acc".into()), cursor: Some(cursor.into()), limit: 5, ..Default::default() };
        assert!(matches!(bench.ledger.usage(&query), Err(LedgerError::Invalid(_))), "{cursor:?}");
    }
}

#[test]
fn a_list_sees_every_call_that_was_settled_before() {
    let bench = Bench::new(1_000_000);
    for n in 1..200 {
        let id = bench.call(10, 5);
        assert_eq!(bench.all().len(), n);
        assert_eq!(bench.ledger.call(id).unwrap().unwrap().id, id);
    }
    assert!(bench.ledger.call(CallId(Uuid::nil())).unwrap().is_none());
}

#[test]
fn a_record_comes_back_from_the_store_as_it_went() {
    let bench = Bench::new(0);
    let mut record = full();
    bench.ledger.note(record.clone());
    record.charge = Amount::ZERO;
    record.held = Amount::ZERO;
    record.sources.clear();
    assert_eq!(bench.all(), [record]);
}

/// No list walks the whole table or sorts: the size of the table is not felt.
#[test]
fn every_list_goes_through_an_index_in_its_order() {
    let (bench, _) = filled();
    bench.ledger.usage(&UsageQuery::default()).unwrap();
    let conn = schema::open_reader(&bench.path()).unwrap();
    for query in queries() {
        let (sql, values) = read::sql(&query);
        let sql = format!(
            "EXPLAIN QUERY PLAN {sql} AND (u.created_at, u.n) < (5, 5) ORDER BY u.created_at DESC, u.n DESC LIMIT 9"
        );
        let mut explain = conn.prepare(&sql).unwrap();
        let plan: Vec<String> = explain
            .query_map(rusqlite::params_from_iter(values), |row| row.get::<_, String>(3))
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap();
        let usage: Vec<&String> = plan.iter().filter(|step| step.contains(" u ")).collect();
        let [step] = &usage[..] else { panic!("{plan:?}") };
        assert!(step.starts_with("SEARCH u USING INDEX"), "{query:?}: {plan:?}");
        assert!(!plan.iter().any(|step| step.contains("TEMP B-TREE")), "{query:?}: {plan:?}");
        // An index by what the query names, never a wider one.
        let index = match (&query.account, &query.model, &query.key, query.status) {
            (_, _, None, Some(429 | 500)) => "status",
            (_, _, Some(_), _) | (None, None, None, _) => continue,
            (Some(_), Some(_), None, _) => "usage_by_account_model",
            (None, Some(_), None, _) => "usage_by_model",
            (Some(_), None, None, _) => "usage_by_account",
        };
        assert!(step.contains(index), "{index}: {query:?}: {plan:?}");
    }
}
