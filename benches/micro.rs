//! The parts that every call pays for, alone: head scan, splice, stream tap, hold and settle.
//! `cargo bench --bench micro --profile dist`

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput};
use qingwave::ledger::{CallId, Durability, Ledger, NewKey, Options, Policy, Principal, UsageRecord};
use qingwave::pricing::Amount;
use qingwave::wire::openai_chat::{ChatTap, Splice, read_head};
use qingwave::wire::{Operation, Protocol};
use secrecy::ExposeSecret;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const DEPTH_MAX: usize = 64;
const EVENTS: usize = 64;
/// What one call sets aside and spends.
const HELD: Amount = Amount::from_nano(1_000);
const FUNDS: &str = "1000000";

/// A chat request of about `bytes` bytes, the model at its end.
fn body(bytes: usize) -> Bytes {
    let text: String = "the quick brown fox jumps over a lazy dog ".chars().cycle().take(bytes).collect();
    let messages = serde_json::json!([{"role": "user", "content": text}]);
    Bytes::from(format!(r#"{{"messages":{messages},"stream":true,"max_tokens":256,"model":"bench"}}"#))
}

fn heads(c: &mut Criterion) {
    let mut group = c.benchmark_group("head");
    for (name, bytes) in [("1k", 1_000), ("80k", 80_000), ("1m", 1_000_000)] {
        let body = body(bytes);
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_function(format!("scan/{name}"), |b| {
            b.iter(|| read_head(black_box(&body), DEPTH_MAX).expect("it is a chat request"))
        });
        let head = read_head(&body, DEPTH_MAX).expect("it is a chat request");
        let splice = Splice { model: "upstream-model", include_usage: true, output_tokens_max: None };
        group.bench_function(format!("splice/{name}"), |b| b.iter(|| head.splice(black_box(&body), &splice)));
    }
    group.finish();
}

/// A stream of events as an upstream writes them, one piece each.
fn pieces() -> Vec<Bytes> {
    let head = r#"{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1767225600,"model":"bench","service_tier":"default","system_fingerprint":"fp_demo","#;
    let event = |rest: &str| Bytes::from(format!("data: {head}{rest}}}\n\n"));
    let mut pieces = vec![event(
        r#""choices":[{"index":0,"delta":{"role":"assistant","content":"","refusal":null},"logprobs":null,"finish_reason":null}],"usage":null"#,
    )];
    let text = event(
        r#""choices":[{"index":0,"delta":{"content":"sixteen bytes ok"},"logprobs":null,"finish_reason":null}],"usage":null"#,
    );
    pieces.resize(1 + EVENTS, text);
    pieces.push(event(r#""choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}],"usage":null"#));
    pieces.push(event(r#""choices":[],"usage":{"prompt_tokens":25,"completion_tokens":64,"total_tokens":89}"#));
    pieces.push(Bytes::from_static(b"data: [DONE]\n\n"));
    pieces
}

fn taps(c: &mut Criterion) {
    let pieces = pieces();
    let mut group = c.benchmark_group("tap");
    group.throughput(Throughput::Elements(pieces.len() as u64));
    for (name, drop_usage) in [("forward", false), ("drop_usage", true)] {
        group.bench_function(format!("stream_of_64/{name}"), |b| {
            b.iter(|| {
                let mut tap = ChatTap::new(drop_usage);
                let mut bytes = 0;
                let mut out = |piece: Bytes| bytes += piece.len();
                for piece in &pieces {
                    tap.push(piece.clone(), &mut out);
                }
                tap.finish(&mut out);
                assert!(tap.done());
                bytes
            });
        });
    }
    group.finish();
}

/// A ledger of its own, with one rich account and the principal of its key.
fn ledger(folder: &std::path::Path, durability: Durability) -> (Ledger, Arc<Principal>) {
    let options = Options {
        data_dir: folder.to_owned(),
        durability,
        policy: Policy::Clamp,
        pepper: None,
        admin_url: None,
        journal_bytes_max: 1 << 34,
    };
    let ledger = Ledger::open(options).expect("a fresh folder can be opened");
    ledger.create_account(Some("acc-bench"), "benchmark").expect("the account is new");
    let funds = Amount::parse(FUNDS).expect("the funds are an amount");
    ledger.fund("acc-bench", funds, "bench").expect("a new account can be funded");
    let key = NewKey {
        strict_parameters: false,
        account: "acc-bench".to_owned(),
        name: "benchmark".to_owned(),
        models: None,
        policy: None,
        expires_at_ms: None,
    };
    let key = ledger.create_key(key).expect("the account exists");
    let principal = ledger.authenticate(key.secret.expose_secret(), now_ms()).expect("the key was just made");
    (ledger, principal)
}

fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_millis() as i64)
}

fn record(principal: &Principal, call: CallId) -> UsageRecord {
    let mut record = UsageRecord::new(principal, call, "bench".into(), Protocol::OpenAiChat, Operation::Chat);
    record.charge = HELD;
    record
}

fn holds(c: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let (ledger, principal) = ledger(folder.path(), Durability::Process);
    let mut group = c.benchmark_group("ledger");
    group.throughput(Throughput::Elements(1));
    let new_call = || CallId(uuid::Uuid::now_v7());
    group.bench_function("hold_and_settle", |b| {
        b.iter_batched(
            || record(&principal, new_call()),
            |record| {
                ledger.hold(&principal, record.id, HELD, &mut |_| None).expect("the wallet is full").settle(record)
            },
            BatchSize::SmallInput,
        );
    });
    group.bench_function("hold_and_void", |b| {
        b.iter_batched(
            || record(&principal, new_call()),
            |record| ledger.hold(&principal, record.id, HELD, &mut |_| None).expect("the wallet is full").void(record),
            BatchSize::SmallInput,
        );
    });
    group.finish();
    ledger.close();
}

fn main() {
    let mut criterion = Criterion::default().measurement_time(Duration::from_secs(3)).configure_from_args();
    heads(&mut criterion);
    taps(&mut criterion);
    holds(&mut criterion);
    criterion.final_summary();
}
