//! Hands a request to the `api` router and writes its answer: our own pages on the proxy's port.

use axum::Router;
use axum::body::{Body, HttpBody};
use bytes::Bytes;
use http::{HeaderValue, Request, Response, Version, header};
use http_body_util::BodyExt;
use pingora::http::ResponseHeader;
use pingora::proxy::Session;
use pingora::{OrErr, Result};
use tokio::sync::mpsc;
use tower::ServiceExt;

/// Request body pieces on their way to a handler.
const BODY_PIECES_MAX: usize = 4;

/// Answers with the router. The caller returns `Ok(true)` from `request_filter` afterwards.
pub async fn answer(session: &mut Session, router: Router, request_id: &HeaderValue) -> Result<u16> {
    let (sender, body) = request_body();
    let request = Request::from_parts(session.req_header().as_owned_parts(), body);
    let (response, body_read) = run(session, router, request, sender).await;
    write(session, response, body_read, request_id).await
}

type Piece = std::result::Result<Bytes, std::io::Error>;

fn request_body() -> (mpsc::Sender<Piece>, Body) {
    let (sender, mut receiver) = mpsc::channel::<Piece>(BODY_PIECES_MAX);
    let stream = futures_util::stream::poll_fn(move |cx| receiver.poll_recv(cx));
    (sender, Body::from_stream(stream))
}

/// Feeds the handler while it runs: never waits for one without polling the other. Says whether the body was read.
async fn run(
    session: &mut Session,
    router: Router,
    request: Request<Body>,
    sender: mpsc::Sender<Piece>,
) -> (Response<Body>, bool) {
    let handler = router.oneshot(request);
    tokio::pin!(handler);
    let mut sender = Some(sender);
    loop {
        let Some(pieces) = sender.as_ref() else {
            let Ok(response) = (&mut handler).await;
            return (response, true);
        };
        let pieces = pieces.clone();
        tokio::select! {
            biased;
            Ok(response) = &mut handler => return (response, session.is_body_done()),
            permit = pieces.reserve_owned() => match permit {
                Err(_) => { let Ok(response) = (&mut handler).await; return (response, session.is_body_done()) }
                Ok(permit) => tokio::select! {
                    biased;
                    Ok(response) = &mut handler => return (response, session.is_body_done()),
                    piece = session.downstream_session.read_request_body() => match piece {
                        Ok(Some(piece)) => drop(permit.send(Ok(piece))),
                        Ok(None) => sender = None,
                        Err(error) => {
                            drop(permit.send(Err(std::io::Error::other(error.to_string()))));
                            sender = None;
                        }
                    },
                },
            },
        }
    }
}

async fn write(
    session: &mut Session,
    response: Response<Body>,
    body_read: bool,
    request_id: &HeaderValue,
) -> Result<u16> {
    let (parts, mut body) = response.into_parts();
    let status = parts.status.as_u16();
    let bodiless = session.req_header().method == http::Method::HEAD || matches!(status, 204 | 304);
    let mut header = ResponseHeader::build(parts.status, Some(parts.headers.len() + 3))?;
    for (name, value) in &parts.headers {
        header.append_header(name.clone(), value.clone())?;
    }
    header.insert_header("x-request-id", request_id.clone())?;
    if !header.headers.contains_key(header::CONTENT_LENGTH) {
        match body.size_hint().exact() {
            Some(length) => header.insert_header(header::CONTENT_LENGTH, length)?,
            // HTTP/1.0 has no chunks: the answer ends with the connection.
            None if session.req_header().version == Version::HTTP_10 => session.set_keepalive(None),
            None => header.insert_header(header::TRANSFER_ENCODING, "chunked")?,
        }
    }
    if !body_read {
        session.set_keepalive(None);
    }
    let ends_here = bodiless || body.is_end_stream();
    session.write_response_header(Box::new(header), ends_here).await?;
    if ends_here {
        return Ok(status);
    }
    while let Some(frame) = body.frame().await {
        let frame = frame.or_err(pingora::ErrorType::InternalError, "answering")?;
        if let Ok(data) = frame.into_data() {
            session.write_response_body(Some(data), false).await?;
        }
    }
    session.write_response_body(None, true).await?;
    Ok(status)
}
