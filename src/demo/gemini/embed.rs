//! Answers embedContent and batchEmbedContents. Must never know sockets.

use super::super::errors::Refusal;
use super::super::extra::embeddings::{DIMENSIONS_MAX, vector};
use super::super::put::{put, tokens};
use super::super::tree::Node;

const BATCH_MAX: usize = 100;
const DIMENSIONS_DEFAULT: usize = 64;

/// The body for one content, or for a list of requests.
pub(in super::super) fn embed(tree: &Node<'_>) -> Result<Vec<u8>, Refusal> {
    let mut out = Vec::with_capacity(2048);
    let mut bytes = 0;
    match tree.get("requests") {
        None => {
            out.extend_from_slice(br#"{"embedding":"#);
            bytes += write(tree, &mut out)?;
        }
        Some(requests) if requests.list().len() > BATCH_MAX || requests.list().is_empty() => {
            let message =
                format!("* BatchEmbedContentsRequest.requests: between 1 and {BATCH_MAX} requests can be in one batch");
            return Err(Refusal::new(message));
        }
        Some(requests) => {
            out.extend_from_slice(br#"{"embeddings":["#);
            for (place, request) in requests.list().iter().enumerate() {
                out.extend_from_slice(if place > 0 { b"," } else { b"" });
                bytes += write(request, &mut out)?;
            }
            out.push(b']');
        }
    }
    put(&mut out, format_args!(r#","usageMetadata":{{"promptTokenCount":{}}}}}"#, tokens(bytes)));
    Ok(out)
}

/// Writes the vector of one content; gives the bytes of its text.
fn write(request: &Node<'_>, out: &mut Vec<u8>) -> Result<usize, Refusal> {
    let parts = request.get("content").map_or(&[][..], |content| content.list_of("parts"));
    let text: Vec<&str> = parts.iter().filter_map(|part| part.text_of("text")).collect();
    let text = text.concat();
    if text.is_empty() {
        return Err(Refusal::new("* EmbedContentRequest.content: content is empty"));
    }
    let dimensions = request.whole_of("outputDimensionality").map_or(DIMENSIONS_DEFAULT, |count| count as usize);
    if !(1..=DIMENSIONS_MAX).contains(&dimensions) {
        let message = format!("* EmbedContentRequest.output_dimensionality: must be between 1 and {DIMENSIONS_MAX}");
        return Err(Refusal::new(message));
    }
    out.extend_from_slice(br#"{"values":["#);
    for (place, value) in vector(&text, dimensions).into_iter().enumerate() {
        put(out, format_args!("{}{value}", if place > 0 { "," } else { "" }));
    }
    out.extend_from_slice(b"]}");
    Ok(text.len())
}
