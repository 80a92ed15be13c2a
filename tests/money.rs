//! Money through the running gateway: no overdraft, nothing held afterwards, spent = sum of the charges.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod support;

use std::sync::Arc;

use qingwave::config::Policy;
use qingwave::pricing::Amount;
use support::{Answer, House, Plan, ask, shared};
use tokio::sync::Semaphore;

/// Connections at once; the calls themselves all overlap.
const CONNECTIONS: usize = 1000;

/// Sends `count` calls at once and gives the statuses and charges.
async fn storm(house: &Arc<House>, model: &str, count: usize) -> Vec<(u16, Option<Amount>)> {
    let permits = Arc::new(Semaphore::new(CONNECTIONS));
    let calls: Vec<_> = (0..count)
        .map(|_| {
            let (house, permits, body) = (house.clone(), permits.clone(), ask(model).to_string());
            tokio::spawn(async move {
                let _permit = permits.acquire().await.unwrap();
                let answer = Answer::of(house.post(body).send().await.unwrap()).await;
                let charge = answer.header("x-qingwave-charge").map(|c| Amount::parse(c).unwrap());
                if answer.status == 402 {
                    assert_eq!(answer.error_code(), "insufficient_balance");
                }
                (answer.status, charge)
            })
        })
        .collect();
    let mut answers = Vec::new();
    for call in calls {
        answers.push(call.await.unwrap());
    }
    answers
}

fn many_connections(config: &mut qingwave::config::Config) {
    config.limits.connections_per_address_max = 4096;
    config.limits.connections_max = 4096;
    config.routing.first_content_ms = 30_000;
}

async fn house(fund: &'static str, policy: Policy) -> Arc<House> {
    shared(House::with(Plan { fund, policy, adjust: Box::new(many_connections), ..Plan::default() }).await)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wallet_worth_exactly_a_hundred_calls_serves_exactly_a_hundred() {
    let house = house("1", Policy::Strict).await;
    let answers = storm(&house, "demo-fixed", 1000).await;
    assert_eq!(answers.iter().filter(|(status, _)| *status == 200).count(), 100);
    assert_eq!(answers.iter().filter(|(status, _)| *status == 402).count(), 900);
    house.check_books().await;
    let wallet = house.wallet();
    assert_eq!((wallet.posted, wallet.pending, wallet.available), (Amount::ZERO, Amount::ZERO, Amount::ZERO));
    Arc::into_inner(house).unwrap().close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clamped_storm_never_overdraws() {
    let fund = "0.002";
    let house = house(fund, Policy::Clamp).await;
    let answers = storm(&house, "demo", 1000).await;
    assert!(answers.iter().all(|(status, _)| matches!(status, 200 | 402)));
    let served: Vec<Amount> = answers.iter().filter_map(|(_, charge)| *charge).collect();
    assert!(!served.is_empty());
    house.check_books().await;
    let wallet = house.wallet();
    assert_eq!(wallet.pending, Amount::ZERO);
    let spent = served.iter().fold(Amount::ZERO, |sum, charge| sum.checked_add(*charge).unwrap());
    assert_eq!(wallet.posted, Amount::parse(fund).unwrap().checked_sub(spent).unwrap());
    assert!(wallet.posted >= Amount::ZERO);
    Arc::into_inner(house).unwrap().close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hold_that_does_not_fit_is_clamped_and_says_so() {
    let house = House::with(Plan { fund: "0.0001", ..Plan::default() }).await;
    let mut body = ask("demo");
    body["max_tokens"] = 100_000.into();
    let answer = Answer::of(house.post(body.to_string()).send().await.unwrap()).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let clamped: u64 = answer.header("x-qingwave-clamped").unwrap().parse().unwrap();
    let sent: serde_json::Value = serde_json::from_str(&house.demo.seen().last.pop().unwrap().body).unwrap();
    assert_eq!(sent["max_tokens"], clamped);
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_strict_key_is_told_what_the_call_may_cost() {
    let house = House::with(Plan { fund: "0.0000001", policy: Policy::Strict, ..Plan::default() }).await;
    let answer = house.chat("demo").await;
    assert_eq!((answer.status, answer.error_code().as_str()), (402, "insufficient_balance"));
    let message = answer.json()["error"]["message"].as_str().unwrap().to_owned();
    assert!(message.contains("0.0000001 USD is available"), "{message}");
    let records = house.records().await;
    assert_eq!((records.len(), records[0].status), (1, 402));
    house.close().await;
}
