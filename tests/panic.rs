//! A panic in a hook: the call is voided, nothing stays held, and the gateway goes on.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod support;

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::proxy::{FailToProxy, HttpProxy, ProxyHttp, Session};
use pingora::server::configuration::ServerConf;
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, Result};
use qingwave::pricing::Amount;
use qingwave::proxy::edge::{ConnectionLimits, Edge};
use qingwave::proxy::filters::{Context, Gateway};
use support::{House, ask};
use tokio::sync::watch;

const REQUEST: u8 = 1;
const RESPONSE_HEADER: u8 = 2;
const RESPONSE_BODY: u8 = 3;

/// The gateway's filters, with a panic in the hook of the day.
struct Faulty {
    gateway: Gateway,
    hook: Arc<AtomicU8>,
}

impl Faulty {
    fn perhaps(&self, hook: u8) {
        assert!(self.hook.load(Ordering::Acquire) != hook, "injected");
    }
}

#[async_trait]
impl ProxyHttp for Faulty {
    type CTX = Context;

    fn new_ctx(&self) -> Context {
        self.gateway.new_ctx()
    }

    async fn request_filter(&self, session: &mut Session, ctx: &mut Context) -> Result<bool> {
        self.gateway.request_filter(session, ctx).await
    }

    async fn upstream_peer(&self, session: &mut Session, ctx: &mut Context) -> Result<Box<HttpPeer>> {
        self.gateway.upstream_peer(session, ctx).await
    }

    async fn upstream_request_filter(
        &self,
        s: &mut Session,
        request: &mut RequestHeader,
        c: &mut Context,
    ) -> Result<()> {
        self.perhaps(REQUEST);
        self.gateway.upstream_request_filter(s, request, c).await
    }

    async fn upstream_response_filter(
        &self,
        s: &mut Session,
        response: &mut ResponseHeader,
        c: &mut Context,
    ) -> Result<()> {
        self.perhaps(RESPONSE_HEADER);
        self.gateway.upstream_response_filter(s, response, c).await
    }

    fn response_body_filter(
        &self,
        session: &mut Session,
        body: &mut Option<Bytes>,
        end: bool,
        ctx: &mut Context,
    ) -> Result<Option<Duration>> {
        self.perhaps(RESPONSE_BODY);
        self.gateway.response_body_filter(session, body, end, ctx)
    }

    async fn fail_to_proxy(&self, session: &mut Session, error: &Error, ctx: &mut Context) -> FailToProxy {
        self.gateway.fail_to_proxy(session, error, ctx).await
    }

    async fn logging(&self, session: &mut Session, error: Option<&Error>, ctx: &mut Context) {
        self.gateway.logging(session, error, ctx).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_in_any_hook_voids_the_call() {
    let house = House::open().await;
    let hook = Arc::new(AtomicU8::new(0));
    let mut proxy = HttpProxy::new(
        Faulty { gateway: Gateway { shared: house.running.shared.clone() }, hook: hook.clone() },
        Arc::new(ServerConf::default()),
    );
    proxy.handle_init_modules();
    let edge = Edge {
        proxy: Arc::new(proxy),
        load: house.running.load.clone(),
        limits: ConnectionLimits { total_max: 64, per_address_max: 64, header_time_max: support::PATIENCE },
        certificate: None,
    };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/v1/chat/completions", listener.local_addr().unwrap());
    let (stop, stopped) = watch::channel(false);
    let served = tokio::spawn(edge.serve(listener, stopped, Duration::from_secs(5)));

    let call = || house.client.post(&url).bearer_auth(&house.key).body(ask("demo").to_string()).send();
    for at in [REQUEST, RESPONSE_HEADER, RESPONSE_BODY] {
        hook.store(at, Ordering::Release);
        assert!(call().await.is_err(), "the connection breaks");
        house.settled().await;
        assert_eq!(house.wallet().pending, Amount::ZERO);
        hook.store(0, Ordering::Release);
        assert_eq!(call().await.unwrap().status(), 200, "the next call is served");
    }
    let records = house.records().await;
    assert_eq!(records.iter().filter(|r| r.status == 500 && r.charge.is_zero()).count(), 3);
    assert_eq!(records.iter().filter(|r| r.status == 200).count(), 3);
    stop.send_replace(true);
    served.await.unwrap().unwrap();
    house.close().await;
}
