//! The leaves of a JSON document with their paths, those of JSON in strings too.

use serde_json::Value;

/// A text, number or boolean.
#[derive(Debug, Clone)]
pub struct Leaf {
    /// As clients are told it: `messages[2].content[0].text`.
    pub path: String,
    pub text: String,
    pub is_text: bool,
    /// Names of the members that lead to it.
    pub keys: Vec<String>,
}

pub fn leaves(value: &Value) -> Vec<Leaf> {
    let mut leaves = Vec::new();
    walk(value, "", &[], &mut leaves);
    leaves
}

fn walk(value: &Value, path: &str, keys: &[String], leaves: &mut Vec<Leaf>) {
    let mut leaf =
        |text: String, is_text| leaves.push(Leaf { path: path.to_owned(), text, is_text, keys: keys.to_vec() });
    match value {
        Value::Null => {}
        Value::Bool(is) => leaf(is.to_string(), false),
        Value::Number(number) => leaf(number.to_string(), false),
        Value::String(text) => {
            leaf(text.clone(), true);
            // Arguments are JSON in a text here and an object there.
            if text.starts_with(['{', '['])
                && let Ok(inner @ (Value::Object(_) | Value::Array(_))) = serde_json::from_str(text)
            {
                walk(&inner, path, keys, leaves);
            }
        }
        Value::Array(list) => {
            for (at, value) in list.iter().enumerate() {
                walk(value, &format!("{path}[{at}]"), keys, leaves);
            }
        }
        Value::Object(members) => {
            for (name, value) in members {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                let mut keys = keys.to_vec();
                keys.push(name.clone());
                // A member whose value holds nothing still has its name.
                if value.is_null() || value == &serde_json::json!({}) || value == &serde_json::json!([]) {
                    leaves.push(Leaf { path: path.clone(), text: String::new(), is_text: false, keys: keys.clone() });
                }
                walk(value, &path, &keys, leaves);
            }
        }
    }
}

/// A path as all spellings have it: snake case, which GM takes beside its own.
pub fn norm(path: &str) -> String {
    let mut out = String::with_capacity(path.len() + 8);
    for c in path.chars() {
        if c.is_ascii_uppercase() {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}

/// A path without its indexes: `messages[].content[].text`.
pub fn shape(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    let mut inside = false;
    for c in norm(path).chars() {
        match c {
            '[' => inside = true,
            ']' => inside = false,
            _ if inside => continue,
            _ => {}
        }
        out.push(c);
    }
    out
}
