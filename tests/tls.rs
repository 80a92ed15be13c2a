//! TLS on both sides: the listener with certificates that change while it runs, and verified upstreams over HTTP/2.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod support;

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use qingwave::config::Tls;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use support::{Answer, House, Plan, ask};

/// Writes a self-signed certificate for localhost and gives its DER.
fn make_certificate(folder: &Path) -> (Tls, Vec<u8>) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let tls = Tls { cert_file: folder.join("cert.pem"), key_file: folder.join("key.pem") };
    // The key first: a reload that reads a pair that does not fit keeps the old one.
    std::fs::write(&tls.key_file, made.signing_key.serialize_pem()).unwrap();
    std::fs::write(&tls.cert_file, made.cert.pem()).unwrap();
    (tls, made.cert.der().to_vec())
}

async fn tls_house(folder: &Path) -> (House, Vec<u8>) {
    let (tls, der) = make_certificate(folder);
    let house = House::with(Plan { adjust: Box::new(move |config| config.tls = Some(tls)), ..Plan::default() }).await;
    (house, der)
}

/// The certificate that a handshake gets, trusting whatever `cert_file` holds; and the answer to a GET.
fn handshake(address: SocketAddr, trusted: &[u8]) -> Result<(Vec<u8>, String), String> {
    support::crypto();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from(trusted.to_vec())).unwrap();
    let config = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let mut connection = rustls::ClientConnection::new(Arc::new(config), name).map_err(|e| e.to_string())?;
    let mut socket = std::net::TcpStream::connect(address).map_err(|e| e.to_string())?;
    let mut stream = rustls::Stream::new(&mut connection, &mut socket);
    stream
        .write_all(b"GET /v1/models HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
        .map_err(|e| e.to_string())?;
    let mut answer = String::new();
    // The peer closes without a TLS goodbye: what was read counts.
    let _closed = stream.read_to_string(&mut answer);
    let seen = connection.peer_certificates().unwrap()[0].to_vec();
    Ok((seen, answer))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_certificate_is_used_without_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let (house, first) = tls_house(folder.path()).await;
    let address = house.running.address;
    let (seen, answer) = tokio::task::spawn_blocking({
        let first = first.clone();
        move || handshake(address, &first).unwrap()
    })
    .await
    .unwrap();
    assert_eq!(seen, first);
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");

    let (_, second) = make_certificate(folder.path());
    let changed = async {
        loop {
            let trusted = second.clone();
            let shaken = tokio::task::spawn_blocking(move || handshake(address, &trusted)).await.unwrap();
            if shaken.is_ok_and(|(seen, _)| seen == second) {
                break;
            }
        }
    };
    tokio::time::timeout(support::PATIENCE, changed).await.expect("the watcher sees the new certificate");
    let old = tokio::task::spawn_blocking(move || handshake(address, &first)).await.unwrap();
    assert!(old.is_err(), "the old one is gone");
    house.running.stop().await;
}

fn overlay(port: u16, key: &Path, ca: Option<&Path>) -> String {
    let ca = ca.map(|ca| format!(", ca: \"file:{}\"", ca.display())).unwrap_or_default();
    format!(
        "providers:
  - {{id: beyond, base_url: \"https://localhost:{port}/v1\", http: h2, auth: bearer, key: \"file:{}\"{ca}}}
models:
  - id: over-tls
    vendor: demo
    name: Over TLS
    modality: text
    endpoints: {{chat: {{input: chat@1}}}}
    modalities: {{in: [text], out: [text]}}
    limits: {{context: 100000, max_output: 1000}}
    lifecycle: {{released: \"2026-01-01\"}}
    price:
      - {{meter: input_tokens, per: 1M, usd: \"1.00\"}}
      - {{meter: output_tokens, per: 1M, usd: \"2.00\"}}
    channels:
      - {{id: beyond, provider: beyond, upstream: demo, protocol: openai.chat}}
    sources: [{{ref: \"test\", seen: \"2026-01-01\"}}]
",
        key.display()
    )
}

/// A gateway whose upstream is another gateway, behind TLS and HTTP/2.
async fn before(upstream: &House, folder: &Path, ca: Option<PathBuf>) -> House {
    let key = folder.join("upstream.key");
    std::fs::write(&key, &upstream.key).unwrap();
    let text = overlay(upstream.running.address.port(), &key, ca.as_deref());
    House::with(Plan { overlay: vec![("beyond.yaml".to_owned(), text)], ..Plan::default() }).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upstream_behind_tls_speaks_http2_and_is_verified() {
    let folder = tempfile::tempdir().unwrap();
    let (upstream, der) = tls_house(folder.path()).await;
    assert!(CertificateDer::from_pem_file(folder.path().join("cert.pem")).unwrap().as_ref() == der);

    let house = before(&upstream, folder.path(), Some(folder.path().join("cert.pem"))).await;
    for answer in [house.chat("over-tls").await, house.chat_stream("over-tls").await] {
        assert_eq!(answer.status, 200, "{}", answer.text);
        assert!(!answer.content().is_empty());
    }
    assert_eq!(upstream.records().await.len(), 2, "both calls went through the other gateway");
    house.close().await;

    let distrustful = before(&upstream, folder.path(), None).await;
    let refused = Answer::of(distrustful.post(ask("over-tls").to_string()).send().await.unwrap()).await;
    assert_eq!((refused.status, refused.error_code().as_str()), (502, "upstream_error"), "{}", refused.text);
    assert_eq!(upstream.records().await.len(), 2, "nothing was sent to an upstream that is not trusted");
    distrustful.close().await;
    upstream.running.stop().await;
}
