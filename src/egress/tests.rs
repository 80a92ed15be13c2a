//! Addresses and media types as tables; fetching against a server on loopback that stands in for the public internet.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::{FetchError, MediaFetcher, MediaLimits, address, magic};

const PNG: &[u8] = b"\x89PNG\r\n\x1a\nrest";

#[test]
fn only_the_public_internet_is_public() {
    for private in "0.0.0.0 0.1.2.3 10.0.0.1 100.64.0.1 100.100.100.200 100.127.255.255 127.0.0.1 127.255.0.1 169.254.169.254 \
                    172.16.0.1 172.31.255.255 192.0.0.192 192.0.2.1 192.88.99.1 192.168.1.1 198.18.0.1 198.19.1.1 \
                    198.51.100.7 203.0.113.7 224.0.0.1 239.1.1.1 240.0.0.1 255.255.255.255 168.63.129.16 \
                    :: ::1 ::7f00:1 ::ffff:127.0.0.1 ::ffff:8.8.8.8 ::ffff:0:127.0.0.1 64:ff9b::10.0.0.1 64:ff9b::127.0.0.1 \
                    64:ff9b::169.254.169.254 64:ff9b:1::8.8.8.8 100::1 2001::1 2001:0:4136:e378:8000:63bf:3fff:fdd2 \
                    2001:10::1 2001:20::1 2001:db8::1 2002:7f00:1::1 2002:808:808::1 3fff::1 fc00::1 fd00:ec2::254 \
                    fe80::1 feb0::1 fec0::1 ff02::1 5f00::1 4000::1"
        .split_whitespace()
    {
        assert!(!address::is_public(private.parse().unwrap()), "{private}");
    }
    for public in
        "1.1.1.1 8.8.8.8 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.0.0.1 128.0.0.1 169.253.0.1 172.15.0.1 \
                   172.32.0.1 192.0.1.1 192.167.0.1 198.17.0.1 198.20.0.1 223.255.255.255 2606:4700::1111 2a00:1450::1 \
                   2001:4860:4860::8888 64:ff9b::8.8.8.8"
            .split_whitespace()
    {
        assert!(address::is_public(public.parse().unwrap()), "{public}");
    }
}

#[test]
fn media_are_known_by_their_first_bytes() {
    for (bytes, expected) in [
        (PNG, Some("image/png")),
        (b"\xff\xd8\xff\xe0....JFIF", Some("image/jpeg")),
        (b"GIF89a....", Some("image/gif")),
        (b"RIFF\x10\0\0\0WEBPVP8 ", Some("image/webp")),
        (b"\0\0\0\x18ftypheic....", Some("image/heic")),
        (b"\0\0\0\x18ftypmif1....", Some("image/heif")),
        (b"\0\0\0\x18ftypavif....", Some("image/avif")),
        (b"%PDF-1.7\n", Some("application/pdf")),
        (b"RIFF\x10\0\0\0WAVEfmt ", Some("audio/wav")),
        (b"ID3\x04\0\0", Some("audio/mp3")),
        (b"\xff\xfb\x90\x64", Some("audio/mp3")),
        (b"\xff\xf3\x48\xc4", Some("audio/mp3")),
        (b"\xff\xf1\x50\x80", Some("audio/aac")),
        (b"OggS\0\x02", Some("audio/ogg")),
        (b"fLaC\0\0", Some("audio/flac")),
        (b"FORM\0\0\0\x10AIFFCOMM", Some("audio/aiff")),
        (b"\0\0\0\x20ftypM4A ....", Some("audio/mp4")),
        (b"\0\0\0\x20ftypisom....", Some("video/mp4")),
        (b"\x1a\x45\xdf\xa3....", Some("video/webm")),
        (b"", None),
        (b"\xff", None),
        (b"\xff\xfe<\0", None),
        (b"<!doctype html>", None),
        (b"<svg xmlns='x'>", None),
        (b"PK\x03\x04", None),
        (b"RIFF", None),
        (b"\0\0\0\x18ftyp", None),
        (b"{\"a\":1}", None),
    ] {
        assert_eq!(magic::media_type(bytes), expected, "{}", bytes.escape_ascii());
    }
}

/// Answers every request by its path, as long as the test runs.
async fn serve(answer: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let answer = Arc::new(answer);
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let answer = answer.clone();
            tokio::spawn(async move {
                let mut head = vec![0; 4096];
                let read = socket.read(&mut head).await.unwrap_or(0);
                let head = String::from_utf8_lossy(&head[..read]).into_owned();
                let bytes = answer(head.split(' ').nth(1).unwrap_or_default());
                drop(socket.write_all(&bytes).await);
                if bytes.is_empty() {
                    // Silence, until the other end has enough.
                    drop(socket.read(&mut [0]).await);
                }
            });
        }
    });
    address
}

fn ok(body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\ncontent-type: text/html\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

fn redirect(to: &str) -> Vec<u8> {
    format!("HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n").into_bytes()
}

/// 127.0.0.1 stands in for the public internet; all else is as it is.
fn stand_in(address: IpAddr) -> bool {
    address == IpAddr::V4(Ipv4Addr::LOCALHOST) || address::is_public(address)
}

/// Knows a few names, and counts how often it is asked.
fn fetcher(asked: &Arc<AtomicUsize>) -> MediaFetcher {
    drop(rustls::crypto::ring::default_provider().install_default());
    let asked = asked.clone();
    let lookup = move |name: String| -> futures_util::future::BoxFuture<'static, _> {
        let turn = asked.fetch_add(1, Ordering::SeqCst);
        let addresses: &[&str] = match name.as_str() {
            "public.example" => &["127.0.0.1:0"],
            "both.example" => &["10.0.0.9:0", "[::1]:0", "127.0.0.1:0"],
            "inside.example" | "localhost" => &["10.0.0.9:0", "[fd00::1]:0", "169.254.169.254:0"],
            // What a rebinding name does: public when it is checked, private when it is dialled.
            "rebinding.example" if turn == 0 => &["127.0.0.1:0"],
            "rebinding.example" => &["10.0.0.9:0"],
            _ => &[],
        };
        let addresses = addresses.iter().map(|text| text.parse().unwrap()).collect();
        Box::pin(async move { Ok(addresses) })
    };
    MediaFetcher::with(stand_in, Arc::new(lookup)).unwrap()
}

async fn fetch(url: &str) -> Result<super::Fetched, FetchError> {
    fetcher(&Arc::default()).fetch_media(url, &MediaLimits::default()).await
}

#[tokio::test]
async fn a_picture_is_fetched_and_named_by_its_bytes() {
    let port = serve(|path| if path == "/a.png?token=1" { ok(PNG) } else { ok(b"<html>") }).await.port();
    for host in ["127.0.0.1", "public.example", "both.example"] {
        let fetched = fetch(&format!("http://{host}:{port}/a.png?token=1#x")).await.unwrap();
        assert_eq!((fetched.mime, &*fetched.bytes), ("image/png", PNG), "{host}");
    }
    let html = fetch(&format!("http://127.0.0.1:{port}/")).await.unwrap_err();
    assert!(matches!(html, FetchError::NotMedia));
}

#[tokio::test]
async fn a_private_address_is_refused_in_every_spelling() {
    let hosts = "10.0.0.1 127.0.0.2 0x7f.0.0.2 2130706434 0177.0.0.2 127.2 0 169.254.169.254 0xa9fea9fe 192.168.0.1 [::1] [::] \
                 [::ffff:127.0.0.1] [::ffff:a9fe:a9fe] [64:ff9b::a00:1] [2002:7f00:1::] [fd00:ec2::254] [fe80::1] 100.100.100.200 \
                 １０.0.0.1 10。0。0。1 inside.example localhost LOCALHOST";
    for host in hosts.split_whitespace() {
        let error = fetch(&format!("http://{host}:9/")).await.unwrap_err();
        assert!(matches!(error, FetchError::Forbidden { .. }), "{host}: {error:?}");
        let text = error.to_string();
        assert!(text.ends_with("is not a public address; give a public URL, or send the data inline as base64"));
        assert!(!host.ends_with("example") || !text.contains("10."), "where a name leads to is not told: {text}");
    }
}

#[tokio::test]
async fn a_redirect_is_followed_only_to_what_may_be_reached() {
    let port = serve(|path| match path.strip_prefix("/to/") {
        Some("relative") => redirect("/end"),
        Some("private") => redirect("http://10.0.0.1/end"),
        Some("other-loopback") => redirect("http://127.0.0.2/end"),
        Some("name") => redirect("//inside.example/end"),
        Some("metadata") => redirect("http://169.254.169.254/latest/meta-data/"),
        Some("file") => redirect("file:///etc/passwd"),
        Some("user") => redirect("http://u:p@public.example/"),
        Some("nowhere") => b"HTTP/1.1 302 Found\r\ncontent-length: 0\r\n\r\n".to_vec(),
        Some(count) => match count.parse::<u32>().unwrap() {
            0 => ok(PNG),
            left => redirect(&format!("{}", left - 1)),
        },
        None => ok(PNG),
    })
    .await
    .port();
    let to = |path: &str| {
        let url = format!("http://127.0.0.1:{port}/to/{path}");
        async move { fetch(&url).await }
    };
    assert_eq!(to("relative").await.unwrap().mime, "image/png");
    assert_eq!(to("3").await.unwrap().mime, "image/png");
    assert!(matches!(to("4").await, Err(FetchError::Redirects { max: 3 })));
    for path in ["private", "other-loopback", "name", "metadata"] {
        assert!(matches!(to(path).await, Err(FetchError::Forbidden { .. })), "{path}");
    }
    for path in ["file", "user", "nowhere"] {
        assert!(matches!(to(path).await, Err(FetchError::BadUrl(_))), "{path}");
    }
}

#[tokio::test]
async fn a_name_is_resolved_once_and_what_was_checked_is_dialled() {
    let port = serve(|path| if path == "/again" { redirect("/") } else { ok(PNG) }).await.port();
    let asked = Arc::new(AtomicUsize::new(0));
    let fetcher = fetcher(&asked);
    let url = format!("http://rebinding.example:{port}/");
    assert!(fetcher.fetch_media(&url, &MediaLimits::default()).await.is_ok());
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    // Its second answer is private, and is checked like the first.
    assert!(matches!(fetcher.fetch_media(&url, &MediaLimits::default()).await, Err(FetchError::Forbidden { .. })));
    let unknown = fetcher.fetch_media("http://nowhere.example/", &MediaLimits::default()).await;
    assert!(matches!(unknown, Err(FetchError::Unresolved { host }) if host == "nowhere.example"));
}

#[tokio::test]
async fn size_and_time_are_limited() {
    let large = PNG.iter().copied().chain(std::iter::repeat_n(0, 1 << 20)).collect::<Vec<u8>>();
    let port = serve(move |path| match path {
        "/said" => ok(&large),
        "/lied" => [b"HTTP/1.1 200 OK\r\n\r\n", &*large].concat(),
        "/cut" => b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n\x89PNG\r\n\x1a\n".to_vec(),
        "/gone" => b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".to_vec(),
        _ => Vec::new(),
    })
    .await
    .port();
    let limits = MediaLimits { bytes_max: 1 << 20, time_max: Duration::from_millis(1200), redirects_max: 0 };
    let fetcher = fetcher(&Arc::default());
    let fetch = async |path: &str| fetcher.fetch_media(&format!("http://127.0.0.1:{port}/{path}"), &limits).await;
    assert!(matches!(fetch("said").await, Err(FetchError::TooLarge { bytes_max: 1_048_576 })));
    assert!(matches!(fetch("lied").await, Err(FetchError::TooLarge { .. })));
    assert!(matches!(fetch("cut").await, Err(FetchError::Broken(_))));
    assert!(matches!(fetch("gone").await, Err(FetchError::Status { status: 404 })));
    assert!(matches!(fetch("silent").await, Err(FetchError::TooSlow { seconds: 1 })));
}

#[tokio::test]
async fn what_is_no_web_address_is_refused_before_anything_is_asked() {
    let long = format!("http://public.example/{}", "a".repeat(9000));
    for url in
        ["", "a.png", "//a.example/x", "ftp://a.example/x", "file:///etc/passwd", "data:image/png;base64,AA", &long]
    {
        assert!(matches!(fetch(url).await, Err(FetchError::BadUrl(_))), "{url}");
    }
    assert!(matches!(fetch("http://user@public.example/").await, Err(FetchError::BadUrl(_))));
}

#[tokio::test]
async fn private_addresses_can_be_allowed() {
    drop(rustls::crypto::ring::default_provider().install_default());
    let port = serve(|_| ok(PNG)).await.port();
    let url = format!("http://127.0.0.1:{port}/");
    let limits = MediaLimits::default();
    assert!(MediaFetcher::new(true).unwrap().fetch_media(&url, &limits).await.is_ok());
    let refused = MediaFetcher::new(false).unwrap().fetch_media(&url, &limits).await;
    assert!(matches!(refused, Err(FetchError::Forbidden { host }) if host == "127.0.0.1"));
}
