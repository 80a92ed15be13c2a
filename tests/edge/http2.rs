//! HTTP/2 on both sides: many streams, trailers, resets, goodbyes, and an upstream that never reads.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use http::{HeaderMap, Request, Response};
use qingwave::pricing::Amount;
use qingwave::proxy::exchange::DEAD_CONNECTIONS_MAX;

use crate::leaving::{h2_call, h2_client};
use crate::support::{Answer, House, PATIENCE, ask, ask_long, h2c_client};
use crate::upstream::{CHARGE, Peer, Upstream, answer, document, events, house};
use crate::wire::{Wire, head as wire_head};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_streams_share_a_connection_and_each_is_charged_once() {
    let house = House::open().await;
    let client = h2c_client();
    let calls = (0..300).map(|_| house.post_by(&client, ask("demo").to_string()).send());
    for answer in futures_util::future::join_all(calls).await {
        assert_eq!(answer.unwrap().status(), 200);
    }
    let records = house.records().await;
    assert_eq!(records.len(), 300);
    assert!(records.iter().all(|r| r.charge == records[0].charge && r.charge > Amount::ZERO));
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trailers_in_pieces_and_wrong_lengths_of_a_request() {
    let house = House::open().await;
    let body = ask("demo").to_string();
    let (mut sender, _running) = h2_client(&house).await;
    let (response, mut sending) = sender.send_request(h2_call(&house, None), false).unwrap();
    for piece in body.as_bytes().chunks(7) {
        sending.send_data(Bytes::copy_from_slice(piece), false).unwrap();
    }
    let mut trailers = HeaderMap::new();
    trailers.insert("x-api-key", "sk-other".parse().unwrap());
    sending.send_trailers(trailers).unwrap();
    let response = tokio::time::timeout(PATIENCE, response).await.unwrap().unwrap();
    assert_eq!(response.status(), 200, "trailers are not headers");
    assert!(!response.headers().contains_key("transfer-encoding") && !response.headers().contains_key("connection"));

    for length in [body.len() - 1, body.len() + 1] {
        let mut sender = sender.clone().ready().await.unwrap();
        let (response, mut sending) = sender.send_request(h2_call(&house, Some(length)), false).unwrap();
        // The stream may be reset while it is sent.
        let _sent = sending.send_data(body.clone().into(), true);
        let answer = tokio::time::timeout(PATIENCE, response).await.unwrap();
        assert!(answer.is_err_and(|e| e.is_reset() || e.is_remote()), "a length that is not kept is a broken stream");
    }
    assert_eq!(house.demo.seen().calls, 1);
    house.close().await;
}

type Respond = SendResponse<Bytes>;

/// Serves every connection over HTTP/2: each stream is handed to `script`.
fn speaks<F>(upstream: &Upstream, script: impl Fn(Request<RecvStream>, Respond) -> F + Clone + Send + Sync + 'static)
where
    F: Future<Output = ()> + Send + 'static,
{
    upstream.plays(move |peer: Peer| {
        let script = script.clone();
        async move {
            let Ok(mut connection) = h2::server::handshake(peer.socket).await else { return };
            while let Some(Ok((request, respond))) = connection.accept().await {
                tokio::spawn(script(request, respond));
            }
        }
    });
}

async fn read_all(mut request: Request<RecvStream>) {
    while let Some(Ok(piece)) = request.body_mut().data().await {
        // The gateway may have left meanwhile.
        let _released = request.body_mut().flow_control().release_capacity(piece.len());
    }
}

fn head(status: u16, media_type: &str) -> Response<()> {
    Response::builder().status(status).header("content-type", media_type).header("set-cookie", "a=b").body(()).unwrap()
}

async fn ask_odd(house: &House, streamed: bool) -> Answer {
    let answer = if streamed { house.chat_stream("odd-h2").await } else { house.chat("odd-h2").await };
    house.settled().await;
    assert!(answer.header("set-cookie").is_none());
    answer
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_may_end_in_trailers() {
    let (house, upstream) = house(|_| {}).await;
    speaks(&upstream, |request, mut respond| async move {
        let streamed = request.headers()["accept"] == "text/event-stream";
        read_all(request).await;
        let (media_type, body) =
            if streamed { ("text/event-stream", events().concat()) } else { ("application/json", document()) };
        let mut sending = respond.send_response(head(200, media_type), false).unwrap();
        for piece in body.as_bytes().chunks(50) {
            sending.send_data(Bytes::copy_from_slice(piece), false).unwrap();
        }
        let mut trailers = HeaderMap::new();
        trailers.insert("set-cookie", "a=b".parse().unwrap());
        sending.send_trailers(trailers).unwrap();
    });
    for streamed in [false, true] {
        let answer = ask_odd(&house, streamed).await;
        assert_eq!((answer.status, answer.content().as_str(), answer.broken), (200, "hello", false));
        let record = &house.records().await[0];
        assert_eq!((record.charge, record.status), (Amount::parse(CHARGE).unwrap(), 200));
    }
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_last_event_without_its_blank_line_is_kept_before_trailers() {
    let (house, upstream) = house(|_| {}).await;
    speaks(&upstream, |request, mut respond| async move {
        read_all(request).await;
        let mut sending = respond.send_response(head(200, "text/event-stream"), false).unwrap();
        let body = events().concat();
        sending.send_data(body.trim_end().to_owned().into(), false).unwrap();
        sending.send_trailers(HeaderMap::new()).unwrap();
    });
    let answer = ask_odd(&house, true).await;
    assert!(answer.done() && answer.content() == "hello", "{answer:?}");
    assert_eq!(house.records().await[0].charge, Amount::parse(CHARGE).unwrap());
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_header_that_ends_the_stream_is_an_answer() {
    let (house, upstream) = house(|_| {}).await;
    let status = Arc::new(AtomicU16::new(0));
    let said = status.clone();
    speaks(&upstream, move |request, mut respond| {
        let said = said.clone();
        async move {
            read_all(request).await;
            respond.send_response(head(said.load(Ordering::Acquire), "application/json"), true).unwrap();
        }
    });
    for (said, expected) in [(200, 502), (204, 502), (304, 502), (503, 503), (429, 429)] {
        status.store(said, Ordering::Release);
        for streamed in [false, true] {
            let answer = ask_odd(&house, streamed).await;
            assert_eq!(
                (answer.status, answer.error_code().as_str()),
                (expected, "upstream_error"),
                "{said}: {answer:?}"
            );
        }
    }
    assert!(house.records().await.iter().all(|record| record.charge.is_zero()));
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn resets_before_and_within_an_answer() {
    let (house, upstream) = house(|_| {}).await;
    speaks(&upstream, |request, mut respond| async move {
        let streamed = request.headers()["accept"] == "text/event-stream";
        read_all(request).await;
        if !streamed {
            return respond.send_reset(Reason::INTERNAL_ERROR);
        }
        let mut sending = respond.send_response(head(200, "text/event-stream"), false).unwrap();
        sending.send_data(events()[0].clone().into(), false).unwrap();
        // The first event is to be on its way before the reset overtakes it.
        sending.reserve_capacity(1 << 20);
        let _more = std::future::poll_fn(|cx| sending.poll_capacity(cx)).await;
        sending.send_reset(Reason::INTERNAL_ERROR);
    });
    let whole = ask_odd(&house, false).await;
    assert_eq!((whole.status, whole.error_code().as_str()), (502, "upstream_error"), "{whole:?}");
    let stream = ask_odd(&house, true).await;
    assert!(!stream.done() && stream.text.contains("error"), "{stream:?}");
    assert!(house.records().await.iter().all(|record| record.charge.is_zero()));
    house.close().await;
}

/// Answers the calls of one connection; with `goodbye` it says after the first that no other is taken, otherwise it is
/// cut when the second has come.
async fn one_call_each(peer: Peer, goodbye: bool) {
    let Ok(mut connection) = h2::server::handshake(peer.socket).await else { return };
    let mut calls = 0;
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        calls += 1;
        if goodbye {
            connection.graceful_shutdown();
        } else if calls > 1 {
            return;
        }
        let answered = async move {
            read_all(request).await;
            let mut sending = respond.send_response(head(200, "application/json"), false).unwrap();
            sending.send_data(document().into(), true).unwrap();
        };
        tokio::spawn(answered);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_ends_between_calls_costs_no_attempt() {
    for goodbye in [true, false] {
        let (house, upstream) = house(|_| {}).await;
        upstream.plays(move |peer| one_call_each(peer, goodbye));
        for _ in 0..6 {
            let answer = ask_odd(&house, false).await;
            assert_eq!(answer.status, 200, "{answer:?}");
            let record = &house.records().await[0];
            assert_eq!((record.attempts, record.charge), (1, Amount::parse(CHARGE).unwrap()));
        }
        assert_eq!(upstream.connections(), 6, "one call each");
        house.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_was_reset_is_not_sent_again_but_one_that_was_refused_is() {
    for (reason, sent) in [(Reason::INTERNAL_ERROR, 1), (Reason::REFUSED_STREAM, 1 + DEAD_CONNECTIONS_MAX as usize)] {
        let (house, upstream) = house(|_| {}).await;
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = calls.clone();
        speaks(&upstream, move |request, mut respond| {
            let call = counted.fetch_add(1, Ordering::AcqRel);
            async move {
                read_all(request).await;
                if call > 0 {
                    return respond.send_reset(reason);
                }
                let mut sending = respond.send_response(head(200, "application/json"), false).unwrap();
                sending.send_data(document().into(), true).unwrap();
            }
        });
        assert_eq!(ask_odd(&house, false).await.status, 200);
        let answer = ask_odd(&house, false).await;
        assert_eq!((answer.status, answer.error_code().as_str()), (502, "upstream_error"));
        assert_eq!(calls.load(Ordering::Acquire) - 1, sent, "{reason:?}: the upstream may bill each");
        assert_eq!(house.records().await[0].attempts, 1);
        house.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upstream_that_never_reads_an_upload_does_not_hang_the_call() {
    let (house, upstream) = house(|config| config.routing.idle_ms = 1_000).await;
    speaks(&upstream, |request, respond| async move {
        // Held, so that the stream stays open without a byte being taken.
        std::future::pending::<()>().await;
        drop((request, respond));
    });
    let answer = Answer::of(house.post(ask_long("odd-h2", 20 << 20)).send().await.unwrap()).await;
    assert_eq!((answer.status, answer.error_code().as_str()), (504, "upstream_timeout"), "{}", answer.text);
    let record = &house.records().await[0];
    assert!(record.charge.is_zero() && record.attempts == 1);

    // A client that leaves meanwhile is not waited for either.
    let left = tokio::time::timeout(Duration::from_millis(700), house.post(ask_long("odd-h2", 20 << 20)).send()).await;
    drop(left);
    house.settled().await;
    house.close().await;
}

/// Speaks whichever version the gateway begins with.
async fn either_version(mut peer: Peer) {
    let mut first = [0; 3];
    while peer.socket.peek(&mut first).await.is_ok_and(|read| (1..3).contains(&read)) {}
    if &first == b"PRI" {
        let Ok(mut connection) = h2::server::handshake(peer.socket).await else { return };
        while let Some(Ok((request, mut respond))) = connection.accept().await {
            tokio::spawn(async move {
                read_all(request).await;
                let mut sending = respond.send_response(head(200, "application/json"), false).unwrap();
                sending.send_data(document().into(), true).unwrap();
            });
        }
        return;
    }
    while peer.read().await.is_some() {
        peer.say(answer("200 OK", "application/json", &document()).as_bytes()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn channels_to_one_address_never_share_a_connection() {
    let (house, upstream) = house(|_| {}).await;
    upstream.plays(either_version);
    for model in ["odd", "odd-h2", "odd", "odd-h2", "odd-h2", "odd"] {
        let answer = house.chat(model).await;
        assert_eq!(answer.status, 200, "{model}: {answer:?}");
    }
    assert_eq!(upstream.connections(), 2, "each channel keeps its own");
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_calls_share_one_connection_to_an_upstream() {
    const AT_ONCE: usize = 30;
    let (house, upstream) = house(|_| {}).await;
    let together = Arc::new(tokio::sync::Barrier::new(AT_ONCE));
    let calls = Arc::new(AtomicUsize::new(0));
    let seen = calls.clone();
    speaks(&upstream, move |request, mut respond| {
        let (together, first) = (together.clone(), calls.fetch_add(1, Ordering::AcqRel) == 0);
        async move {
            read_all(request).await;
            if !first {
                // Nobody is answered before all are here.
                together.wait().await;
            }
            let mut sending = respond.send_response(head(200, "application/json"), false).unwrap();
            sending.send_data(document().into(), true).unwrap();
        }
    });
    assert_eq!(house.chat("odd-h2").await.status, 200);
    // Then its connection is in the pool.
    house.settled().await;
    // The others come when one call is on its connection.
    let mut one = Box::pin(house.chat("odd-h2"));
    let there = async {
        while seen.load(Ordering::Acquire) < 2 {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        answer = &mut one => panic!("answered alone: {answer:?}"),
        () = there => {}
    }
    let others = futures_util::future::join_all((1..AT_ONCE).map(|_| house.chat("odd-h2")));
    let (one, others) = futures_util::future::join(one, others).await;
    assert!(others.iter().chain([&one]).all(|answer| answer.status == 200));
    // The pool hands a connection to one caller at a time, so a few of those that ask meanwhile make their own. Without
    // sharing each of the calls, which all wait for each other, would need one.
    assert!(upstream.connections() < AT_ONCE / 2, "{} connections", upstream.connections());
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn header_lists_over_their_limit_are_refused() {
    let house = House::open().await;
    let client = h2c_client();
    for (size, good) in [(1_000, true), (40_000, false), (200_000, false), (1_000, true)] {
        let sent = house.post_by(&client, ask("demo").to_string()).header("x-fat", "f".repeat(size)).send().await;
        match sent {
            Ok(answer) => assert_eq!(answer.status() == 200, good, "{size}: {answer:?}"),
            Err(error) => assert!(!good, "{size}: {error:?}"),
        }
    }
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_over_its_limit_is_told_so_while_it_is_sent() {
    let adjust = |config: &mut qingwave::config::Config| config.limits.body_bytes_max = 1 << 20;
    let (house, upstream) = house(adjust).await;
    let piece = Bytes::from(vec![b' '; 1 << 20]);
    let chunk = [b"100000\r\n", &piece[..], b"\r\n"].concat();
    let mut wire = Wire::open(&house).await;
    wire.send(wire_head(&house, "1.1", "transfer-encoding: chunked\r\n")).await;
    // The client reads only when it has sent all, or cannot send more.
    for _ in 0..40 {
        if !wire.send(&chunk).await {
            break;
        }
    }
    assert_eq!(wire.answer().await.expect("the refusal is not lost").status, 413);

    let pieces = futures_util::stream::repeat_with(move || Ok::<_, std::io::Error>(piece.clone()));
    let endless = reqwest::Body::wrap_stream(pieces);
    let answer = Answer::of(house.post_by(&h2c_client(), endless).send().await.unwrap()).await;
    assert_eq!((answer.status, answer.error_code().as_str()), (413, "body_too_large"));
    assert_eq!((upstream.connections(), house.running.shared.body_bytes.load(Ordering::Acquire)), (0, 0));
    house.close().await;
}
