//! Clients that leave at every stage, over both versions, and clients that stop reading: nothing stays held, one record,
//! the upstream is left.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{Reason, RecvStream, SendStream};
use http::Request;
use qingwave::pricing::Amount;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{House, PATIENCE, ask};
use crate::upstream::{CHARGE, STREAM_HEAD, Then, answer, chunk, data, document, events, house, stream, until};
use crate::wire::{Wire, call};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Http1,
    /// Sends its end and goes on listening.
    Http1Half,
    Http2Reset,
    /// The whole connection goes.
    Http2Drop,
}

const WAYS: [Way; 4] = [Way::Http1, Way::Http1Half, Way::Http2Reset, Way::Http2Drop];

/// A client in the middle of a call.
enum Caller {
    Http1(TcpStream),
    Http2 {
        sending: SendStream<Bytes>,
        response: Option<ResponseFuture>,
        body: Option<RecvStream>,
        connection: tokio::task::AbortHandle,
    },
}

pub async fn h2_client(house: &House) -> (SendRequest<Bytes>, tokio::task::AbortHandle) {
    let socket = TcpStream::connect(house.running.address).await.unwrap();
    let (sender, connection) = h2::client::handshake(socket).await.unwrap();
    let running = tokio::spawn(async move {
        // It ends with an error when a test cuts it.
        let _ended = connection.await;
    });
    (sender.ready().await.unwrap(), running.abort_handle())
}

pub fn h2_call(house: &House, length: Option<usize>) -> Request<()> {
    let mut request = Request::post(format!("http://{}/v1/chat/completions", house.running.address))
        .header("authorization", format!("Bearer {}", house.key))
        .header("content-type", "application/json");
    if let Some(length) = length {
        request = request.header("content-length", length);
    }
    request.body(()).unwrap()
}

impl Caller {
    /// Sends the call, up to `part` of its body.
    async fn begin(house: &House, way: Way, body: &str, part: usize) -> Caller {
        if matches!(way, Way::Http1 | Way::Http1Half) {
            let mut socket = TcpStream::connect(house.running.address).await.unwrap();
            let bytes = call(house, body, "");
            socket.write_all(&bytes.as_bytes()[..bytes.len() - body.len() + part]).await.unwrap();
            return Caller::Http1(socket);
        }
        let (mut sender, connection) = h2_client(house).await;
        let (response, mut sending) = sender.send_request(h2_call(house, Some(body.len())), false).unwrap();
        sending.send_data(Bytes::copy_from_slice(&body.as_bytes()[..part]), part == body.len()).unwrap();
        Caller::Http2 { sending, response: Some(response), body: None, connection }
    }

    /// Reads until the answer says `text`.
    async fn hears(&mut self, text: &str) {
        let heard = async {
            let mut all = Vec::new();
            while !String::from_utf8_lossy(&all).contains(text) {
                match self {
                    Caller::Http1(socket) => assert!(socket.read_buf(&mut all).await.unwrap() > 0, "ended before"),
                    Caller::Http2 { response, body, .. } => {
                        if let Some(response) = response.take() {
                            *body = Some(response.await.unwrap().into_body());
                        }
                        let body = body.as_mut().unwrap();
                        let piece = body.data().await.expect("goes on").unwrap();
                        body.flow_control().release_capacity(piece.len()).unwrap();
                        all.extend_from_slice(&piece);
                    }
                }
            }
        };
        tokio::time::timeout(PATIENCE, heard).await.expect("it is said in time");
    }

    async fn leave(self, way: Way) {
        match self {
            Caller::Http1(mut socket) if way == Way::Http1Half => {
                socket.shutdown().await.unwrap();
                let mut rest = Vec::new();
                // Whatever comes, the gateway ends the connection.
                let ended = tokio::time::timeout(PATIENCE, socket.read_to_end(&mut rest)).await;
                assert!(ended.is_ok(), "ended in time");
            }
            Caller::Http1(socket) => drop(socket),
            Caller::Http2 { mut sending, .. } if way == Way::Http2Reset => sending.send_reset(Reason::CANCEL),
            Caller::Http2 { connection, .. } => connection.abort(),
        }
    }
}

fn asking(streamed: bool) -> String {
    let mut body = ask("odd");
    if streamed {
        body["stream"] = true.into();
        body["stream_options"] = json!({"include_usage": true});
    }
    body.to_string()
}

fn open_ended(events: &[String]) -> String {
    stream(events).replace("0\r\n\r\n", "")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leaving_during_the_upload_leaves_no_trace() {
    let (house, upstream) = house(|_| {}).await;
    for way in WAYS {
        for streamed in [false, true] {
            let body = asking(streamed);
            let begun = house.running.load.calls();
            let caller = Caller::begin(&house, way, &body, body.len() / 2).await;
            until("the call has begun", || house.running.load.calls() > begun).await;
            caller.leave(way).await;
            until("the call is over", || house.running.load.calls() == 0).await;
            assert_eq!(
                house.running.shared.body_bytes.load(Ordering::Acquire),
                0,
                "{way:?}: what was taken is given back"
            );
        }
    }
    assert_eq!((upstream.connections(), house.records().await.len()), (0, 0), "no call was asked for");
    house.close().await;
}

/// Leaves when the upstream was asked and the client has heard `after`.
async fn check_leaving(bytes: String, streamed: bool, after: &str, charge: Option<&str>, source: Option<&str>) {
    let (house, upstream) = house(|_| {}).await;
    for (done, way) in WAYS.into_iter().enumerate() {
        upstream.says(bytes.clone(), Then::Stay);
        let body = asking(streamed);
        let mut caller = Caller::begin(&house, way, &body, body.len()).await;
        upstream.asked(done + 1).await;
        caller.hears(after).await;
        caller.leave(way).await;
        house.settled().await;
        upstream.closed(done + 1).await;
        let records = house.records().await;
        assert_eq!((records.len(), records[0].status, records[0].attempts), (done + 1, 499, 1), "{way:?}");
        match charge {
            Some(charge) => assert_eq!(records[0].charge, Amount::parse(charge).unwrap(), "{way:?}"),
            None => assert!(records[0].charge > Amount::ZERO, "{way:?}"),
        }
        assert_eq!(records[0].usage_source.map(|s| s.as_str()), source, "{way:?}");
        assert_eq!(house.running.shared.body_bytes.load(Ordering::Acquire), 0, "{way:?}");
    }
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leaving_while_waiting_is_free() {
    check_leaving(String::new(), false, "", Some("0"), None).await;
    check_leaving(String::new(), true, "", Some("0"), None).await;
    check_leaving(STREAM_HEAD.to_owned(), true, "", Some("0"), None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leaving_a_whole_answer_before_its_end_is_free() {
    let whole = answer("200 OK", "application/json", &document());
    check_leaving(whole[..whole.len() - 1].to_owned(), false, "", Some("0"), None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leaving_a_stream_is_charged_as_far_as_it_came() {
    check_leaving(open_ended(&events()[..2]), true, "\"lo\"", None, Some("counted")).await;
    // All but the end mark: the usage was reported.
    check_leaving(open_ended(&events()[..4]), true, "total_tokens", Some(CHARGE), Some("reported")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leaving_after_the_end_mark_is_the_whole_price() {
    let (house, upstream) = house(|_| {}).await;
    for (done, way) in WAYS.into_iter().enumerate() {
        upstream.says(open_ended(&events()), Then::Stay);
        let body = asking(true);
        let mut caller = Caller::begin(&house, way, &body, body.len()).await;
        caller.hears("[DONE]").await;
        caller.leave(way).await;
        upstream.closed(done + 1).await;
        house.settled().await;
        let records = house.records().await;
        assert_eq!((records.len(), records[0].status), (done + 1, 200), "{way:?}");
        assert_eq!(records[0].charge, Amount::parse(CHARGE).unwrap());
    }
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reset_stream_leaves_its_connection_alone() {
    let (house, upstream) = house(|_| {}).await;
    upstream.says("", Then::Stay);
    let (mut sender, _running) = h2_client(&house).await;
    for count in 1..=20 {
        let body = asking(true);
        let (_response, mut sending) = sender.send_request(h2_call(&house, None), false).unwrap();
        sending.send_data(body.into(), true).unwrap();
        upstream.asked(count).await;
        sending.send_reset(Reason::CANCEL);
        upstream.closed(count).await;
        sender = sender.ready().await.unwrap();
    }
    upstream.says(answer("200 OK", "application/json", &document()), Then::KeepAlive);
    let (response, mut sending) = sender.send_request(h2_call(&house, None), false).unwrap();
    sending.send_data(asking(false).into(), true).unwrap();
    let response = tokio::time::timeout(PATIENCE, response).await.unwrap().unwrap();
    assert_eq!(response.status(), 200);
    house.settled().await;
    assert_eq!(house.records().await.iter().filter(|r| r.status == 499 && r.charge.is_zero()).count(), 20);
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_stops_reading_stops_the_upstream() {
    /// More than all sockets on the way take together, and far less than the upstream would say.
    const TAKEN_MAX: usize = 64 << 20;
    let (house, upstream) = house(|config| config.routing.idle_ms = 30_000).await;
    let (said, blocked) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    upstream.plays({
        let (said, blocked) = (said.clone(), blocked.clone());
        move |mut peer| {
            let (said, blocked) = (said.clone(), blocked.clone());
            async move {
                peer.read().await;
                peer.say(STREAM_HEAD.as_bytes()).await;
                let text = "word ".repeat(50_000);
                let event = chunk(&data(&format!(r#"{{"choices":[{{"index":0,"delta":{{"content":"{text}"}}}}]}}"#)));
                while said.load(Ordering::Acquire) < 4 * TAKEN_MAX {
                    match tokio::time::timeout(Duration::from_secs(1), peer.say(event.as_bytes())).await {
                        Ok(true) => drop(said.fetch_add(event.len(), Ordering::AcqRel)),
                        Ok(false) => break,
                        Err(_) => {
                            blocked.fetch_add(1, Ordering::AcqRel);
                            return peer.until_closed().await;
                        }
                    }
                }
            }
        }
    });
    for (count, way) in [(1, Way::Http1), (2, Way::Http2Drop)] {
        said.store(0, Ordering::Release);
        let body = asking(true);
        let mut caller = Caller::begin(&house, way, &body, body.len()).await;
        caller.hears("word").await;
        until("the upstream has to wait", || blocked.load(Ordering::Acquire) == count).await;
        assert!(said.load(Ordering::Acquire) < TAKEN_MAX, "{way:?}: {} bytes were taken", said.load(Ordering::Acquire));
        caller.leave(way).await;
        house.settled().await;
        upstream.closed(count).await;
        let record = &house.records().await[0];
        assert_eq!(record.status, 499, "{way:?}");
        assert!(record.charge > Amount::ZERO);
    }
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_leaves_a_pipeline_ends_what_runs_and_nothing_else_begins() {
    let (house, upstream) = house(|_| {}).await;
    upstream.says("", Then::Stay);
    let mut wire = Wire::open(&house).await;
    let one = call(&house, &asking(false), "");
    wire.send(format!("{one}{one}")).await;
    upstream.asked(1).await;
    drop(wire);
    upstream.closed(1).await;
    house.settled().await;
    assert_eq!((upstream.requests(), house.records().await.len()), (1, 1));
    house.close().await;
}
