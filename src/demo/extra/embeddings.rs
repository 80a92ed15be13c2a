//! Embeddings: the same text always gives the same vector of length one. Must never know sockets.

use super::super::errors::Refusal;
use super::super::put::{put, put_string, tokens};
use super::super::reply::mix;
use super::super::tree::Node;

pub(in super::super) const DIMENSIONS_MAX: usize = 3072;
const DIMENSIONS_DEFAULT: usize = 64;
const INPUTS_MAX: usize = 2048;

/// The body that answers an embeddings request.
pub(in super::super) fn embed(tree: &Node<'_>) -> Result<Vec<u8>, Refusal> {
    let inputs = inputs(tree.get("input"))?;
    let dimensions = tree.whole_of("dimensions").map_or(DIMENSIONS_DEFAULT, |count| count as usize);
    if !(1..=DIMENSIONS_MAX).contains(&dimensions) {
        let message = format!("Invalid value for 'dimensions': must be between 1 and {DIMENSIONS_MAX}.");
        return Err(Refusal::new(message).param("dimensions"));
    }
    let base64 = match tree.text_of("encoding_format") {
        None | Some("float") => false,
        Some("base64") => true,
        Some(other) => {
            let message =
                format!("Invalid value for 'encoding_format': '{other}'. Supported are 'float' and 'base64'.");
            return Err(Refusal::new(message).param("encoding_format"));
        }
    };
    let mut out = Vec::with_capacity(2048);
    out.extend_from_slice(br#"{"object":"list","data":["#);
    let mut total = 0;
    for (index, (text, count)) in inputs.iter().enumerate() {
        let comma = if index > 0 { "," } else { "" };
        put(&mut out, format_args!(r#"{comma}{{"object":"embedding","index":{index},"embedding":"#));
        write_vector(&vector(text, dimensions), base64, &mut out);
        out.push(b'}');
        total += count;
    }
    out.extend_from_slice(br#"],"model":"#);
    put_string(&mut out, tree.text_of("model").unwrap_or_default());
    put(&mut out, format_args!(r#","usage":{{"prompt_tokens":{total},"total_tokens":{total}}}}}"#));
    Ok(out)
}

/// Texts and their tokens: one, several, or given as token numbers.
fn inputs(input: Option<&Node<'_>>) -> Result<Vec<(String, u64)>, Refusal> {
    let refuse = |what: &str| Err(Refusal::new(format!("Invalid 'input': {what}.")).param("input"));
    let texts = match input {
        Some(Node::Text(text)) => vec![(text.to_string(), tokens(text.len()))],
        Some(Node::List(list)) if list.iter().all(|node| node.number().is_some()) => vec![numbers(list)],
        Some(Node::List(list)) => list
            .iter()
            .map(|node| match node {
                Node::List(list) => numbers(list),
                other => {
                    let text = other.text().unwrap_or_default();
                    (text.to_owned(), tokens(text.len()))
                }
            })
            .collect(),
        _ => return refuse("a string or an array is needed"),
    };
    if texts.is_empty() || texts.len() > INPUTS_MAX {
        return refuse(&format!("between 1 and {INPUTS_MAX} texts are needed"));
    }
    if texts.iter().any(|(text, _)| text.is_empty()) {
        return refuse("no text may be empty");
    }
    Ok(texts)
}

fn numbers(list: &[Node<'_>]) -> (String, u64) {
    let text: Vec<String> = list.iter().filter_map(Node::number).map(|number| number.to_string()).collect();
    (text.join(" "), list.len() as u64)
}

/// Numbers that the text alone decides.
pub(in super::super) fn vector(text: &str, dimensions: usize) -> Vec<f32> {
    let mut state = text.bytes().fold(0, |hash, byte| mix(hash ^ u64::from(byte)));
    let mut values: Vec<f32> = Vec::with_capacity(dimensions);
    for _ in 0..dimensions {
        state = mix(state);
        values.push((state >> 40) as f32 / (1 << 23) as f32 - 1.0);
    }
    let length = values.iter().map(|value| value * value).sum::<f32>().sqrt().max(f32::MIN_POSITIVE);
    values.iter_mut().for_each(|value| *value /= length);
    values
}

fn write_vector(values: &[f32], base64: bool, out: &mut Vec<u8>) {
    if base64 {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        put(out, format_args!(r#""{}""#, data_encoding::BASE64.encode(&bytes)));
        return;
    }
    out.push(b'[');
    for (place, value) in values.iter().enumerate() {
        put(out, format_args!("{}{value}", if place > 0 { "," } else { "" }));
    }
    out.push(b']');
}
