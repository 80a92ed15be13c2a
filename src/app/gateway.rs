//! Wires everything into a running gateway: ledger, catalog, routers, proxy, listeners. `serve`, `demo` and the tests use it.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use arc_swap::ArcSwap;
use pingora::apps::HttpServerOptions;
use pingora::protocols::http::v2::server::default_h2_options;
use pingora::proxy::HttpProxy;
use pingora::server::configuration::ServerConf;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::reload::{self, Places, Reloader, Watch};
use super::secrets;
use crate::api;
use crate::config::{self, Config};
use crate::demo::Demo;
use crate::egress::MediaFetcher;
use crate::ledger::{self, Ledger, LedgerError};
use crate::proxy::Shared;
use crate::proxy::edge::{Certificate, ConnectionLimits, Edge, Load};
use crate::proxy::exchange::DEAD_CONNECTIONS_MAX;
use crate::proxy::filters::Gateway;
use crate::proxy::ids::Ids;
use crate::telemetry::Metrics;

/// Idle connections to upstreams that are kept, over all channels.
const POOLED_CONNECTIONS_MAX: usize = 128;
/// How long an idle HTTP/2 client connection is kept.
const H2_IDLE_MAX: Duration = Duration::from_secs(120);
/// Longest wait for the admin listener's last answers at a stop.
const ADMIN_DRAIN_MAX: Duration = Duration::from_secs(2);

/// What a gateway is made from.
pub struct Setup {
    pub config: Config,
    /// The built-in upstream, where one runs.
    pub demo: Option<Demo>,
    /// Fixes call ids and random choices.
    pub seed: Option<u64>,
}

/// Why a gateway did not start. Says what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("{address} cannot be listened on: {source}; choose another address in {key}")]
    Listen { key: &'static str, address: SocketAddr, source: std::io::Error },
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The catalog is broken and no good one was kept: every problem, a line each.
    #[error("{0}")]
    Catalog(String),
    #[error("{0}")]
    Tls(String),
    #[error("{0}")]
    Secret(String),
    #[error("the client that fetches media cannot be made: {0}")]
    Egress(String),
}

/// A gateway that accepts calls.
pub struct Running {
    pub address: SocketAddr,
    pub admin_address: SocketAddr,
    pub state: Arc<api::State>,
    pub load: Arc<Load>,
    /// What the filters share; tests put other filters around it.
    pub shared: Arc<Shared>,
    certificate: Option<Arc<Certificate>>,
    stop: watch::Sender<bool>,
    data: JoinHandle<std::io::Result<()>>,
    admin: JoinHandle<std::io::Result<()>>,
    _watchers: Vec<Watch>,
}

/// Starts a gateway on the current runtime. When it returns, both listeners accept.
pub async fn start(setup: Setup) -> Result<Running, StartError> {
    let Setup { config, demo, seed } = setup;
    let listener = bind("listen", config.listen)?;
    let admin_listener = bind("admin_listen", config.admin_listen)?;
    let address = local_address(&listener, "listen", config.listen)?;
    let admin_address = local_address(&admin_listener, "admin_listen", config.admin_listen)?;
    let certificate = match &config.tls {
        Some(tls) => Some(Certificate::load(tls.cert_file.clone(), tls.key_file.clone()).map_err(StartError::Tls)?),
        None => None,
    };
    let ledger = open_ledger(&config, admin_address)?;
    let state = match make_state(&config, ledger.clone(), demo) {
        Ok(state) => state,
        Err(error) => {
            ledger.close();
            return Err(error);
        }
    };
    let router = api::public_router(state.clone());
    let media = MediaFetcher::new(config.egress.allow_private).map_err(|e| StartError::Egress(e.to_string()))?;
    let shared = Arc::new(Shared::new(
        state.clone(),
        router,
        config.limits.clone(),
        config.routing.clone(),
        Ids::new(seed),
        media,
    ));
    let load = shared.load.clone();
    let (stop, stopped) = watch::channel(false);
    let edge = Edge {
        proxy: Arc::new(proxy(shared.clone(), &config)),
        load: load.clone(),
        limits: ConnectionLimits {
            total_max: config.limits.connections_max,
            per_address_max: config.limits.connections_per_address_max,
            header_time_max: Duration::from_millis(config.limits.header_ms),
        },
        certificate: certificate.clone(),
    };
    let grace = Duration::from_millis(config.shutdown.grace_ms);
    let data = tokio::spawn(edge.serve(listener, stopped.clone(), grace));
    let admin = tokio::spawn(serve_admin(admin_listener, api::admin_router(state.clone()), stopped));
    let watchers = watch_files(&config, &state, &certificate);
    Ok(Running { address, admin_address, state, load, shared, certificate, stop, data, admin, _watchers: watchers })
}

impl Running {
    /// Reads catalog and certificate again, as SIGHUP asks.
    pub fn reload(&self) {
        // What happened is logged and counted where it happens.
        let _outcome = (self.state.reload)(&self.state, false);
        reload_certificate(self.certificate.as_deref());
    }

    /// Stops accepting, lets running calls finish (at most the configured grace), and closes the ledger.
    pub async fn stop(self) {
        self.state.draining.store(true, Ordering::Release);
        self.stop.send_replace(true);
        if let Ok(Err(error)) = self.data.await {
            tracing::error!(%error, "the data listener failed");
        }
        let mut admin = self.admin;
        if tokio::time::timeout(ADMIN_DRAIN_MAX, &mut admin).await.is_err() {
            admin.abort();
        }
        let ledger = self.state.ledger.clone();
        if let Err(error) = tokio::task::spawn_blocking(move || ledger.close()).await {
            tracing::error!(%error, "the ledger could not be closed");
        }
    }
}

fn bind(key: &'static str, address: SocketAddr) -> Result<TcpListener, StartError> {
    let failed = |source| StartError::Listen { key, address, source };
    let listener = TcpListener::bind(address).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    Ok(listener)
}

fn local_address(listener: &TcpListener, key: &'static str, address: SocketAddr) -> Result<SocketAddr, StartError> {
    listener.local_addr().map_err(|source| StartError::Listen { key, address, source })
}

fn open_ledger(config: &Config, admin_address: SocketAddr) -> Result<Ledger, StartError> {
    let options = ledger::Options {
        data_dir: config.data_dir.clone(),
        durability: match config.ledger.durability {
            config::Durability::Process => ledger::Durability::Process,
            config::Durability::Power => ledger::Durability::Power,
        },
        policy: match config.ledger.policy {
            config::Policy::Clamp => ledger::Policy::Clamp,
            config::Policy::Strict => ledger::Policy::Strict,
        },
        pepper: config.secrets.pepper.as_ref().map(|secret| secret.expose_secret().as_bytes().to_vec()),
        admin_url: Some(format!("http://{admin_address}")),
        journal_bytes_max: config.ledger.journal_bytes_max,
    };
    Ok(Ledger::open(options)?)
}

fn make_state(config: &Config, ledger: Ledger, demo: Option<Demo>) -> Result<Arc<api::State>, StartError> {
    let admin_key = match &config.secrets.admin_key {
        Some(key) => key.clone(),
        None => secrets::admin_key(&config.data_dir).map_err(StartError::Secret)?,
    };
    let reloader = Reloader::new(Places {
        catalog_dir: config.catalog_dir.clone(),
        overlay_dir: config.overlay_dir.clone(),
        data_dir: config.data_dir.clone(),
        demo: demo
            .as_ref()
            .map(|demo| crate::catalog::DemoAddresses { answering: demo.address(), refusing: demo.refusing_address() }),
    });
    let boot = reloader.boot().map_err(|refused| StartError::Catalog(reload::explain(&refused)))?;
    boot.catalog.price_rows().for_each(|(owner, rows)| ledger.remember_price_rows(owner, rows));
    let metrics = Arc::new(Metrics::new());
    reload::show(&boot.catalog, &metrics);
    Ok(Arc::new(api::State {
        ledger,
        catalog: ArcSwap::from_pointee(boot.catalog),
        metrics,
        demo,
        admin_key,
        reload: Box::new(move |state, force| reloader.reload(state, force)),
        draining: false.into(),
    }))
}

fn proxy(shared: Arc<Shared>, config: &Config) -> HttpProxy<Gateway> {
    let conf = ServerConf {
        threads: 1,
        upstream_keepalive_pool_size: POOLED_CONNECTIONS_MAX,
        max_retries: config.routing.attempts_max + DEAD_CONNECTIONS_MAX as usize,
        ..ServerConf::default()
    };
    let mut proxy = HttpProxy::new(Gateway { shared }, Arc::new(conf));
    proxy.handle_init_modules();
    let mut options = HttpServerOptions::default();
    options.h2c = true;
    options.h2_idle_timeout = Some(H2_IDLE_MAX);
    proxy.server_options = Some(options);
    let mut h2 = default_h2_options();
    h2.max_header_list_size(u32::try_from(config.limits.header_bytes_max).unwrap_or(u32::MAX));
    proxy.h2_options = Some(h2);
    proxy
}

async fn serve_admin(
    listener: TcpListener,
    router: axum::Router,
    mut stop: watch::Receiver<bool>,
) -> std::io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let stopped = async move {
        // A dropped sender is a stop too.
        let _ended = stop.wait_for(|stop| *stop).await;
    };
    axum::serve(listener, router).with_graceful_shutdown(stopped).await
}

fn watch_files(config: &Config, state: &Arc<api::State>, certificate: &Option<Arc<Certificate>>) -> Vec<Watch> {
    let mut watchers = Vec::new();
    let folders = reload::folders(&config.catalog_dir, config.overlay_dir.as_deref());
    let weak = Arc::downgrade(state);
    let catalog_changed = move || {
        if let Some(state) = weak.upgrade() {
            // What happened is logged and counted where it happens.
            let _outcome = (state.reload)(&state, false);
        }
    };
    keep(&mut watchers, reload::watch(&folders, catalog_changed));
    if let Some(certificate) = certificate {
        let folders = certificate.folders();
        let certificate = certificate.clone();
        keep(&mut watchers, reload::watch(&folders, move || reload_certificate(Some(&certificate))));
    }
    watchers
}

fn keep(watchers: &mut Vec<Watch>, watcher: notify::Result<Watch>) {
    match watcher {
        Ok(watcher) => watchers.push(watcher),
        Err(error) => tracing::warn!(%error, "file changes are not seen: reload by SIGHUP or the admin API"),
    }
}

fn reload_certificate(certificate: Option<&Certificate>) {
    match certificate.map(Certificate::reload) {
        None => {}
        Some(Ok(())) => tracing::info!("certificate reloaded"),
        Some(Err(error)) => tracing::error!(%error, "the certificate in use stays"),
    }
}

/// Shown once by `demo`.
pub fn shown(secret: &SecretString) -> String {
    secret.expose_secret().to_owned()
}
