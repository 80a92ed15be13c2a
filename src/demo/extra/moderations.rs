//! Moderations: a text is flagged when it names violence. Must never know sockets.

use super::super::errors::Refusal;
use super::super::put::{put, put_string};
use super::super::reply::Identity;
use super::super::tree::Node;

const INPUTS_MAX: usize = 32;
const FLAGGED: &str = "violence";
const CATEGORIES: [&str; 13] = [
    "harassment",
    "harassment/threatening",
    "hate",
    "hate/threatening",
    "illicit",
    "illicit/violent",
    "self-harm",
    "self-harm/intent",
    "self-harm/instructions",
    "sexual",
    "sexual/minors",
    FLAGGED,
    "violence/graphic",
];

/// The body that answers a moderation request: one result for each text, one for a list of parts.
pub(in super::super) fn moderate(tree: &Node<'_>, identity: &Identity) -> Result<Vec<u8>, Refusal> {
    let texts: Vec<String> = match tree.get("input") {
        Some(Node::Text(text)) => vec![text.to_string()],
        Some(Node::List(list)) if list.iter().all(|node| node.text().is_some()) => {
            list.iter().filter_map(Node::text).map(str::to_owned).collect()
        }
        Some(Node::List(parts)) => {
            vec![parts.iter().filter_map(|part| part.text_of("text")).collect::<Vec<_>>().join(" ")]
        }
        _ => Vec::new(),
    };
    if texts.is_empty() || texts.len() > INPUTS_MAX {
        return Err(Refusal::new("Missing required parameter: 'input'.").param("input"));
    }
    let mut out = Vec::with_capacity(1024);
    put(&mut out, format_args!(r#"{{"id":"modr-{}","model":"#, identity.id));
    put_string(&mut out, tree.text_of("model").unwrap_or("omni-moderation-latest"));
    out.extend_from_slice(br#","results":["#);
    for (place, text) in texts.iter().enumerate() {
        let flagged = text.to_lowercase().contains(FLAGGED);
        let comma = if place > 0 { "," } else { "" };
        put(&mut out, format_args!(r#"{comma}{{"flagged":{flagged},"categories":{{"#));
        write_map(&mut out, |out, category| put(out, format_args!("{}", flagged && category == FLAGGED)));
        out.extend_from_slice(br#"},"category_scores":{"#);
        let score = |category: &str| if flagged && category == FLAGGED { 0.96875 } else { 0.0009765625 };
        write_map(&mut out, |out, category| put(out, format_args!("{}", score(category))));
        out.extend_from_slice(br#"},"category_applied_input_types":{"#);
        write_map(&mut out, |out, _| out.extend_from_slice(br#"["text"]"#));
        out.extend_from_slice(b"}}");
    }
    out.extend_from_slice(b"]}");
    Ok(out)
}

fn write_map(out: &mut Vec<u8>, write: impl Fn(&mut Vec<u8>, &str)) {
    for (place, category) in CATEGORIES.iter().enumerate() {
        put(out, format_args!(r#"{}"{category}":"#, if place > 0 { "," } else { "" }));
        write(out, category);
    }
}
