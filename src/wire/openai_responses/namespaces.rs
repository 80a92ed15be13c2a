//! Tools that stand in namespaces, and the plain names that they have elsewhere.

use std::collections::HashMap;

use crate::wire::json::{LoneSurrogates, Value};

/// Deepest nesting of a list of tools.
const DEPTH_MAX: usize = 256;

/// The member of a tool that came out of a namespace: the namespace as it came at its first tool, null at the others.
pub(super) const NAMESPACE: &str = "namespace";

/// The name that a tool of a namespace has where there are no namespaces. The writer of answers takes it apart again.
pub(super) fn flat_name(namespace: &str, name: &str) -> String {
    format!("{namespace}__{name}")
}

/// The tools of namespaces in a list of tools, by their flat name: namespace and own name.
pub(super) fn spaces(tools: &str) -> HashMap<String, (String, String)> {
    let mut spaces = HashMap::new();
    let tools = Value::parse(tools, DEPTH_MAX, LoneSurrogates::Allowed).unwrap_or(Value::Null);
    for tool in tools.as_array().unwrap_or_default() {
        let is_space = tool.get("type").is_some_and(|kind| *kind == Value::text(NAMESPACE));
        let Some(space) = tool.get("name").and_then(Value::as_text).filter(|_| is_space) else { continue };
        for inner in tool.get("tools").and_then(Value::as_array).unwrap_or_default() {
            if let Some(name) = inner.get("name").and_then(Value::as_text) {
                spaces.insert(flat_name(&space, &name), (space.clone().into_owned(), name.into_owned()));
            }
        }
    }
    spaces
}
