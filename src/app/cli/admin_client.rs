//! Talks to the admin API of the running gateway. Must never send the admin key anywhere but to this machine's gateway.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use reqwest::{Client, Method, Response};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::Failure;
use crate::config::{self, Config};
use crate::egress;

/// The file in the data directory that holds an admin key which was made, not configured.
pub const ADMIN_KEY_FILE: &str = "admin.key";
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// The admin API of one gateway.
pub struct AdminClient {
    base: String,
    key: SecretString,
    http: Client,
    runtime: tokio::runtime::Runtime,
}

impl AdminClient {
    /// `admin_url` is what the lock file says, e.g. `http://127.0.0.1:9090`.
    pub fn new(admin_url: &str, key: SecretString) -> Result<AdminClient, Failure> {
        let address = admin_address(admin_url).ok_or_else(|| {
            Failure::failed(format!(
                "the lock file names {admin_url:?}, which is no address of this machine: stop the gateway first"
            ))
        })?;
        let http = egress::admin_client().map_err(|error| Failure::failed(format!("no HTTP client: {error}")))?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::failed(format!("no runtime: {error}")))?;
        Ok(AdminClient { base: format!("http://{address}"), key, http, runtime })
    }

    /// Asks, and gives the answer's JSON, or the gateway's own message.
    pub fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, Failure> {
        self.runtime.block_on(async {
            let mut response = self.send(method, path, body).await?;
            let mut bytes = Vec::new();
            while let Some(chunk) = response.chunk().await.map_err(|error| self.broken(&error))? {
                if bytes.len() + chunk.len() > ANSWER_BYTES_MAX {
                    return Err(Failure::failed(format!(
                        "the gateway's answer is larger than {ANSWER_BYTES_MAX} bytes"
                    )));
                }
                bytes.extend_from_slice(&chunk);
            }
            let status = response.status();
            let value = serde_json::from_slice::<Value>(&bytes);
            match value {
                Ok(value) if status.is_success() => Ok(value),
                Ok(value) => Err(refused(status.as_u16(), &value)),
                Err(_) => {
                    Err(Failure::failed(format!("{} answered {status}, not as a gateway's admin API", self.base)))
                }
            }
        })
    }

    /// Copies an answer of any size.
    pub fn copy(&self, path: &str, out: &mut dyn Write) -> Result<(), Failure> {
        self.runtime.block_on(async {
            let mut response = self.send(Method::GET, path, None).await?;
            if !response.status().is_success() {
                let status = response.status();
                return Err(Failure::failed(format!("the gateway refused {path}: {status}")));
            }
            while let Some(chunk) = response.chunk().await.map_err(|error| self.broken(&error))? {
                out.write_all(&chunk).map_err(|error| Failure::failed(format!("cannot write: {error}")))?;
            }
            Ok(())
        })
    }

    async fn send(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Response, Failure> {
        let mut request =
            self.http.request(method, format!("{}{path}", self.base)).bearer_auth(self.key.expose_secret());
        if let Some(body) = body {
            request = request.json(body);
        }
        request.send().await.map_err(|error| {
            Failure::failed(format!("the gateway at {} does not answer: {}", self.base, cause(&error)))
        })
    }

    fn broken(&self, error: &reqwest::Error) -> Failure {
        Failure::failed(format!("the answer of {} broke off: {}", self.base, cause(error)))
    }
}

/// The innermost cause: what the operating system said.
fn cause(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |e| e.source()).last().map(ToString::to_string).unwrap_or_default()
}

/// An address of the lock file; one that stands for every address is reached over loopback.
fn admin_address(admin_url: &str) -> Option<SocketAddr> {
    let mut address: SocketAddr = admin_url.strip_prefix("http://")?.trim_end_matches('/').parse().ok()?;
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    Some(address)
}

/// The gateway's error, with the lists that a refused reload has.
fn refused(status: u16, body: &Value) -> Failure {
    let error = &body["error"];
    let mut message = error["message"].as_str().map_or_else(|| format!("the gateway answered {status}"), str::to_owned);
    for line in ["problems", "changes"].iter().filter_map(|list| error[list].as_array()).flatten() {
        message.push_str("\n  ");
        message.push_str(line.as_str().unwrap_or_default());
    }
    Failure::Failed(message)
}

/// The admin key: the configuration's, else the one that the gateway made in its data directory.
pub fn admin_key(config: &Config) -> Result<SecretString, Failure> {
    if let Some(key) = &config.secrets.admin_key {
        return Ok(key.clone());
    }
    let path: &Path = &config.data_dir.join(ADMIN_KEY_FILE);
    config::resolve(&format!("file:{}", path.display())).map_err(|problem| {
        Failure::failed(format!(
            "the gateway is running, and its admin key is needed: {problem}; name its configuration with -c"
        ))
    })
}
