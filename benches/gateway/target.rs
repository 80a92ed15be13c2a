//! The processes that are compared: started pinned, stopped when dropped.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use qingwave::demo::Demo;
use qingwave::wire::Protocol;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::Options;
use super::workload::{OUTPUT_TOKENS_MAX, WORKLOADS};

const START_MAX: Duration = Duration::from_secs(30);
const ADMIN_KEY: &str = "bench-admin-key-of-this-run-only";
const ACCOUNT: &str = "acc-bench";
/// US dollars in the wallet: more than any run can spend.
const FUNDS: &str = "1000000";

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Gateway,
    Bare,
    Nginx,
    /// The upstream itself, without a proxy.
    Direct,
}

impl Kind {
    pub fn parse(name: &str) -> io::Result<Kind> {
        let kind = [Kind::Gateway, Kind::Bare, Kind::Nginx, Kind::Direct].into_iter().find(|kind| kind.name() == name);
        kind.ok_or_else(|| io::Error::other(format!("there is no target {name:?}")))
    }

    pub const fn name(self) -> &'static str {
        match self {
            Kind::Gateway => "gateway",
            Kind::Bare => "bare",
            Kind::Nginx => "nginx",
            Kind::Direct => "direct",
        }
    }
}

/// A running target.
pub struct Target {
    pub kind: Kind,
    pub address: SocketAddr,
    pub pid: u32,
    /// The key that its calls carry.
    pub key: Option<String>,
    process: Option<Child>,
    /// Its files.
    _folder: Option<TempDir>,
}

impl Drop for Target {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            // Nothing of it is needed any more; one that has ended already cannot be killed.
            let _ended_before = process.kill();
            let _reaped = process.wait();
        }
    }
}

/// The upstream in a process of its own.
pub struct Upstream {
    pub address: SocketAddr,
    process: Child,
    /// It serves until this closes.
    _stdin: ChildStdin,
}

impl Drop for Upstream {
    fn drop(&mut self) {
        let _ended_before = self.process.kill();
        let _reaped = self.process.wait();
    }
}

/// The role `upstream`.
pub fn serve_upstream() -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let demo = Demo::start(1).await?;
        println!("{}", demo.address());
        tokio::task::spawn_blocking(|| io::copy(&mut io::stdin(), &mut io::sink()))
            .await
            .map_err(io::Error::other)??;
        Ok(())
    })
}

impl Upstream {
    pub fn start() -> io::Result<Upstream> {
        let mut process = Command::new(std::env::current_exe()?)
            .args(["--role", "upstream"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let (Some(stdin), Some(stdout)) = (process.stdin.take(), process.stdout.take()) else {
            return Err(io::Error::other("the upstream has no pipes"));
        };
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let address = line.trim().parse().map_err(io::Error::other)?;
        Ok(Upstream { address, process, _stdin: stdin })
    }
}

impl Target {
    pub fn start(kind: Kind, options: &Options, upstream: &Upstream) -> io::Result<Target> {
        match kind {
            Kind::Gateway => start_gateway(options, upstream.address),
            Kind::Bare => {
                let listen = free_address()?;
                let mut command = pinned(options, &std::env::current_exe()?);
                command.args([
                    "--role",
                    "bare",
                    "--listen",
                    &listen.to_string(),
                    "--upstream",
                    &upstream.address.to_string(),
                ]);
                let process = command.stderr(Stdio::null()).spawn()?;
                Target { kind, address: listen, pid: process.id(), key: None, process: Some(process), _folder: None }
                    .ready()
            }
            Kind::Nginx => start_nginx(options, upstream.address),
            Kind::Direct => {
                let pid = upstream.process.id();
                Ok(Target { kind, address: upstream.address, pid, key: None, process: None, _folder: None })
            }
        }
    }

    /// Waits until it accepts.
    fn ready(mut self) -> io::Result<Target> {
        let start = Instant::now();
        while TcpStream::connect(self.address).is_err() {
            if let Some(status) = self.process.as_mut().map(Child::try_wait).transpose()?.flatten() {
                return Err(io::Error::other(format!("it ended at once: {status}")));
            }
            if start.elapsed() > START_MAX {
                return Err(io::Error::other("it does not listen"));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(self)
    }
}

/// A command on the target's core, where `taskset` is there.
fn pinned(options: &Options, program: &Path) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", &options.target_core.to_string()]).arg(program);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command
}

/// Moves this process, and with it the upstream that it starts, to the load's core. False without `taskset`.
pub fn pin_load(options: &Options) -> bool {
    let mut command = Command::new("taskset");
    command.args(["-pc", &options.load_core.to_string(), &std::process::id().to_string()]);
    command.stdout(Stdio::null()).status().is_ok_and(|status| status.success())
}

/// A loopback address that nobody listens on at this moment.
fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

fn start_nginx(options: &Options, upstream: SocketAddr) -> io::Result<Target> {
    let (listen, folder) = (free_address()?, tempfile::tempdir()?);
    let path = folder.path().display();
    let conf = format!(
        "daemon off; master_process off; worker_processes 1; pid {path}/pid; error_log {path}/error.log crit;
events {{ worker_connections 16384; }}
http {{
  access_log off; client_body_temp_path {path}/body; proxy_temp_path {path}/proxy;
  fastcgi_temp_path {path}/f; uwsgi_temp_path {path}/u; scgi_temp_path {path}/s;
  keepalive_requests 1000000000; client_max_body_size 64m; client_body_buffer_size 2m; tcp_nodelay on;
  upstream demo {{ server {upstream}; keepalive 1024; keepalive_requests 1000000000; }}
  server {{
    listen {listen};
    location / {{ proxy_pass http://demo; proxy_http_version 1.1; proxy_set_header Connection \"\"; proxy_buffering off; }}
  }}
}}
"
    );
    fs::write(folder.path().join("nginx.conf"), conf)?;
    let mut command = pinned(options, Path::new("nginx"));
    command
        .arg("-p")
        .arg(folder.path())
        .arg("-e")
        .arg(folder.path().join("error.log"))
        .arg("-c")
        .arg(folder.path().join("nginx.conf"));
    let process = command.stderr(Stdio::null()).spawn()?;
    Target {
        kind: Kind::Nginx,
        address: listen,
        pid: process.id(),
        key: None,
        process: Some(process),
        _folder: Some(folder),
    }
    .ready()
}

fn start_gateway(options: &Options, upstream: SocketAddr) -> io::Result<Target> {
    let (listen, admin, folder) = (free_address()?, free_address()?, tempfile::tempdir()?);
    write_gateway_files(folder.path(), listen, admin, upstream)?;
    let log = fs::File::create(folder.path().join("log"))?;
    let mut command = pinned(options, &options.gateway);
    command.arg("serve").arg("-c").arg(folder.path().join("qingwave.yaml"));
    let process = command.stderr(log).spawn()?;
    let mut target = Target {
        kind: Kind::Gateway,
        address: listen,
        pid: process.id(),
        key: None,
        process: Some(process),
        _folder: None,
    };
    let told = |error: io::Error| {
        let log = fs::read_to_string(folder.path().join("log")).unwrap_or_default();
        io::Error::other(format!("{error}; it said: {log:.2000}"))
    };
    target = target.ready().map_err(told)?;
    target.key = Some(funded_key(admin).map_err(told)?);
    target._folder = Some(folder);
    Ok(target)
}

/// A catalog of the workloads' models on the one upstream, and a configuration that names it.
fn write_gateway_files(folder: &Path, listen: SocketAddr, admin: SocketAddr, upstream: SocketAddr) -> io::Result<()> {
    let catalog = folder.join("catalog");
    fs::create_dir_all(catalog.join("models"))?;
    fs::create_dir_all(catalog.join("inputs"))?;
    fs::write(catalog.join("catalog.yaml"), "schema: 1\nversion: \"1\"\ncurrency: USD\n")?;
    fs::write(
        catalog.join("providers.yaml"),
        format!(
            "- {{id: bench, base_url: 'http://{upstream}/v1', auth: none}}
- {{id: bench-gemini, base_url: 'http://{upstream}/v1beta', auth: none}}
"
        ),
    )?;
    fs::write(catalog.join("retired.yaml"), "[]\n")?;
    fs::write(catalog.join("inputs/chat@1.json"), "{}\n")?;
    let mut models = String::new();
    let mut known = Vec::new();
    for workload in &WORKLOADS {
        if known.contains(&workload.model) {
            continue;
        }
        known.push(workload.model);
        let provider = if workload.upstream == Protocol::GeminiGenerate { "bench-gemini" } else { "bench" };
        models += &format!(
            "- id: {}
  vendor: bench
  name: {}
  modality: text
  endpoints: {{chat: {{input: chat@1}}}}
  modalities: {{in: [text, image], out: [text]}}
  limits: {{context: 10000000, max_output: {OUTPUT_TOKENS_MAX}}}
  features: [streaming, tools, vision]
  lifecycle: {{released: \"2026-01-01\"}}
  price:
    - {{meter: input_tokens, per: 1M, usd: \"2.50\"}}
    - {{meter: output_tokens, per: 1M, usd: \"10.00\"}}
  channels:
    - {{id: bench, provider: {provider}, upstream: {}, protocol: {}}}
  sources: [{{ref: \"this benchmark\", seen: \"2026-11-24\"}}]
",
            workload.model,
            workload.model,
            workload.upstream_model,
            workload.upstream.as_str()
        );
    }
    fs::write(catalog.join("models/bench.yaml"), models)?;
    fs::write(folder.join("admin-key"), ADMIN_KEY)?;
    fs::write(
        folder.join("qingwave.yaml"),
        format!(
            "listen: {listen}
admin_listen: {admin}
data_dir: data
catalog_dir: catalog
secrets: {{admin_key: 'file:{}'}}
log: {{level: warn}}
",
            folder.join("admin-key").display()
        ),
    )
}

/// Makes an account that can pay for the run, through the admin API.
fn funded_key(admin: SocketAddr) -> io::Result<String> {
    let start = Instant::now();
    while TcpStream::connect(admin).is_err() {
        if start.elapsed() > START_MAX {
            return Err(io::Error::other("the admin listener does not listen"));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    post(admin, "/admin/accounts", &json!({"id": ACCOUNT, "name": "benchmark"}))?;
    post(admin, &format!("/admin/accounts/{ACCOUNT}/fund"), &json!({"amount": FUNDS, "idempotency_key": "bench"}))?;
    let key = post(admin, "/admin/keys", &json!({"account": ACCOUNT, "name": "benchmark"}))?;
    key["key"].as_str().map(str::to_owned).ok_or_else(|| io::Error::other(format!("no key in {key}")))
}

fn post(address: SocketAddr, path: &str, body: &Value) -> io::Result<Value> {
    let body = body.to_string();
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(START_MAX))?;
    write!(
        stream,
        "POST {path} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {ADMIN_KEY}\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    if !head.starts_with("HTTP/1.1 20") {
        return Err(io::Error::other(format!("POST {path}: {answer:.500}")));
    }
    // The body is one JSON object, whether it came in chunks or not.
    let json = body.find('{').zip(body.rfind('}')).map(|(from, to)| &body[from..=to]).unwrap_or(body);
    serde_json::from_str(json).map_err(io::Error::other)
}
