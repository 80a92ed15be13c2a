//! Whatever bytes come as a body, the fault is never ours: no 5xx, no hang, no charge for what is not a call.

use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};

use crate::support::{House, ask};
use crate::wire::{Wire, head};

/// Makes the next body of the seed: noise, or a call with a few bytes changed, cut or doubled.
fn body(random: &mut StdRng) -> Vec<u8> {
    let mut bytes = ask("demo").to_string().into_bytes();
    match random.random_range(0..4) {
        0 => {
            bytes = vec![0; random.random_range(0..300)];
            random.fill_bytes(&mut bytes);
        }
        1 => bytes.truncate(random.random_range(0..bytes.len())),
        2 => {
            for _ in 0..random.random_range(1..5) {
                let at = random.random_range(0..bytes.len());
                bytes[at] = random.random();
            }
        }
        _ => {
            let at = random.random_range(0..bytes.len());
            let other = *br#"{}[],:"\0"#.get(random.random_range(0..8)).unwrap();
            bytes.insert(at, other);
        }
    }
    bytes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_bodies_never_give_a_5xx() {
    let house = House::open().await;
    let mut random = StdRng::seed_from_u64(11);
    let mut wire = Wire::open(&house).await;
    let mut served = 0;
    for _ in 0..600 {
        let body = body(&mut random);
        let framing = format!("content-length: {}\r\n", body.len());
        let bytes = [head(&house, "1.1", &framing).as_bytes(), &body].concat();
        wire.send(bytes).await;
        let answer = wire.answer().await.expect("an answer to every body");
        assert!((200..500).contains(&answer.status), "{:?}: {answer:?}", String::from_utf8_lossy(&body));
        served += usize::from(answer.status == 200);
        if answer.header("connection") == Some("close") {
            wire = Wire::open(&house).await;
        }
    }
    house.settled().await;
    let charged = house.records().await.iter().filter(|record| !record.charge.is_zero()).count();
    assert_eq!(charged, served);
    house.close().await;
}
