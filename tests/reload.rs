//! The catalog changes while calls run: none fails, each is priced as it was admitted, a broken tree changes nothing.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use qingwave::pricing::Amount;
use support::{Answer, House, Plan, shared};

/// Reloads a second; the figure.
const RELOADS_PER_SECOND: u64 = 20;
const RELOADS: usize = 30;

fn price(usd: &str) -> String {
    format!("models:\n  - id: demo-fixed\n    price:\n      - {{meter: requests, per: 1, usd: \"{usd}\"}}\n")
}

async fn reload(house: &House, force: bool) -> Answer {
    let url = house.admin_url(&format!("/admin/catalog/reload?force={force}"));
    Answer::of(house.client.post(url).bearer_auth(house.admin_key()).send().await.unwrap()).await
}

fn write(house: &House, text: &str) {
    // Whole or not at all: the watcher may read at any moment.
    let beside = house.folder.path().join("overlay/price.new");
    std::fs::write(&beside, text).unwrap();
    std::fs::rename(&beside, house.folder.path().join("overlay/price.yaml")).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_reloads_a_second_fail_no_call_and_each_keeps_its_price() {
    let house = shared(House::with(Plan { fund: "1000", ..Plan::default() }).await);
    let stop = Arc::new(AtomicBool::new(false));
    let callers: Vec<_> = (0..8)
        .map(|_| {
            let (house, stop) = (house.clone(), stop.clone());
            tokio::spawn(async move {
                let mut served = 0;
                while !stop.load(Ordering::Acquire) {
                    let answer = house.chat("demo-fixed").await;
                    assert_eq!(answer.status, 200, "{}", answer.text);
                    served += 1;
                }
                served
            })
        })
        .collect();
    let mut price_of_rev = BTreeMap::new();
    price_of_rev.insert(house.running.state.catalog.load().rev.to_string(), Amount::parse("0.01").unwrap());
    let mut tick = tokio::time::interval(Duration::from_millis(1000 / RELOADS_PER_SECOND));
    for turn in 0..RELOADS {
        tick.tick().await;
        let usd = ["0.02", "0.03"][turn % 2];
        write(&house, &price(usd));
        let answer = reload(&house, false).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        price_of_rev.insert(answer.json()["rev"].as_str().unwrap().to_owned(), Amount::parse(usd).unwrap());
    }
    stop.store(true, Ordering::Release);
    let mut served = 0;
    for caller in callers {
        served += caller.await.unwrap();
    }
    house.settled().await;
    let records = house.records().await;
    assert_eq!(records.len(), served.min(1000));
    for record in &records {
        assert_eq!(
            record.charge, price_of_rev[&*record.catalog_rev],
            "priced as admitted under {}",
            record.catalog_rev
        );
    }
    let revs: std::collections::BTreeSet<_> = records.iter().map(|r| r.catalog_rev.to_string()).collect();
    assert!(revs.len() >= 2, "calls ran under several catalogs");
    Arc::into_inner(house).unwrap().close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_file_keeps_the_old_catalog_and_says_where() {
    let house = House::open().await;
    let before = house.running.state.catalog.load().rev.clone();
    write(&house, "models:\n  - id: demo-fixed\n    price:\n      - {meter: requests, per: 1, usd: 0.5}\n");
    let answer = reload(&house, false).await;
    assert_eq!(answer.status, 422, "{}", answer.text);
    assert!(answer.text.contains("price.yaml:4:"), "{}", answer.text);
    assert_eq!(house.running.state.catalog.load().rev, before);
    assert_eq!(house.chat("demo-fixed").await.status, 200);
    let metrics = house.client.get(house.admin_url("/metrics")).send().await.unwrap().text().await.unwrap();
    assert!(metrics.lines().any(|l| l.starts_with("qingwave_catalog_reloads_total") && !l.contains("result=\"ok\"")));
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_price_ten_times_as_high_needs_force() {
    let house = House::open().await;
    write(&house, &price("0.5"));
    let refused = reload(&house, false).await;
    assert_eq!(refused.status, 409, "{}", refused.text);
    assert_eq!(reload(&house, true).await.status, 200);
    let answer = house.chat("demo-fixed").await;
    assert_eq!(answer.header("x-qingwave-charge"), Some("0.5"));
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_file_is_seen_without_being_asked() {
    let house = House::open().await;
    write(&house, &price("0.02"));
    let seen = async {
        while house.chat("demo-fixed").await.header("x-qingwave-charge") != Some("0.02") {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(support::PATIENCE, seen).await.expect("the watcher sees the file");
    house.close().await;
}
