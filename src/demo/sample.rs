//! A value that roughly fits a JSON schema: the arguments of an invented tool call. Must never know sockets.

use serde_json::{Map, Value, json};

/// Deeper schemas get an empty object.
const DEPTH_MAX: usize = 8;
/// Items for `minItems`, at most.
const ITEMS_MAX: u64 = 8;

/// Required properties with placeholder values, sub-schemas included; `$ref` into the same document is followed.
pub(super) fn sample(schema: &Value) -> Value {
    value(schema, schema, 0)
}

fn value(schema: &Value, root: &Value, depth: usize) -> Value {
    if depth > DEPTH_MAX {
        return json!({});
    }
    for given in ["const", "default"] {
        if let Some(value) = schema.get(given) {
            return value.clone();
        }
    }
    if let Some(first) = first_of(schema, "enum").or_else(|| first_of(schema, "examples")) {
        return first.clone();
    }
    if let Some(target) =
        schema.get("$ref").and_then(Value::as_str).and_then(|path| root.pointer(path.trim_start_matches('#')))
    {
        return value(target, root, depth + 1);
    }
    for either in ["anyOf", "oneOf", "allOf"] {
        if let Some(first) = first_of(schema, either) {
            return value(first, root, depth + 1);
        }
    }
    // OpenAPI, as Google writes it, spells types in capitals.
    match kind(schema).to_ascii_lowercase().as_str() {
        "string" => text(schema),
        "integer" | "number" => schema.get("minimum").cloned().unwrap_or_else(|| json!(1)),
        "boolean" => json!(true),
        "null" => Value::Null,
        "array" => array(schema, root, depth),
        _ => object(schema, root, depth),
    }
}

fn first_of<'a>(schema: &'a Value, name: &str) -> Option<&'a Value> {
    schema.get(name)?.as_array()?.first()
}

/// The first type named, or what the keywords suggest.
fn kind(schema: &Value) -> &str {
    match schema.get("type") {
        Some(Value::String(kind)) => kind,
        Some(Value::Array(kinds)) => kinds.first().and_then(Value::as_str).unwrap_or("string"),
        _ if schema.get("properties").is_some() => "object",
        _ if schema.get("items").is_some() => "array",
        _ => "string",
    }
}

fn text(schema: &Value) -> Value {
    json!(match schema.get("format").and_then(Value::as_str) {
        Some("date") => "2026-01-01",
        Some("date-time") => "2026-01-01T00:00:00Z",
        Some("email") => "demo@example.com",
        Some("uri" | "url") => "https://example.com/",
        Some("uuid") => "00000000-0000-4000-8000-000000000000",
        _ => "example",
    })
}

fn array(schema: &Value, root: &Value, depth: usize) -> Value {
    let count = schema.get("minItems").and_then(Value::as_u64).unwrap_or(0).min(ITEMS_MAX);
    let items = schema.get("items").unwrap_or(&Value::Null);
    (0..count).map(|_| value(items, root, depth + 1)).collect()
}

fn object(schema: &Value, root: &Value, depth: usize) -> Value {
    let mut object = Map::new();
    let required = schema.get("required").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    for name in required.iter().filter_map(Value::as_str) {
        let property = schema.get("properties").and_then(|properties| properties.get(name)).unwrap_or(&Value::Null);
        object.insert(name.to_owned(), value(property, root, depth + 1));
    }
    Value::Object(object)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(schema: Value, expected: Value) {
        assert_eq!(sample(&schema), expected);
    }

    #[test]
    fn required_properties_get_placeholders_of_their_type() {
        check(
            json!({"type": "object", "required": ["city", "days", "exact", "unit", "when"], "properties": {
                "city": {"type": "string"}, "days": {"type": "integer", "minimum": 2}, "exact": {"type": "boolean"},
                "unit": {"enum": ["celsius", "kelvin"]}, "when": {"type": ["string", "null"], "format": "date"}, "spare": {"type": "string"}}}),
            json!({"city": "example", "days": 2, "exact": true, "unit": "celsius", "when": "2026-01-01"}),
        );
    }

    #[test]
    fn references_and_arrays_are_followed() {
        check(json!({"type": "OBJECT", "required": ["a"], "properties": {"a": {"type": "INTEGER"}}}), json!({"a": 1}));
        check(
            json!({"properties": {"stops": {"type": "array", "minItems": 2, "items": {"$ref": "#/$defs/Stop"}}}, "required": ["stops"],
                "$defs": {"Stop": {"type": "object", "required": ["name"], "properties": {"name": {"anyOf": [{"type": "string"}, {"type": "null"}]}}}}}),
            json!({"stops": [{"name": "example"}, {"name": "example"}]}),
        );
    }

    #[test]
    fn a_schema_that_refers_to_itself_ends() {
        let schema = json!({"type": "object", "required": ["next"], "properties": {"next": {"$ref": "#"}}});
        assert!(sample(&schema).to_string().len() < 200);
    }
}
