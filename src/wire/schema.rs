//! JSON Schemas as each protocol takes them. Walks schema positions only; values in `enum`, `const` and `default` are data.
//!
//! Recursion is bounded by the depth to which the document was parsed, and where references are followed, by `DEPTH_MAX`.

mod gemini;

use std::borrow::Cow;

pub use gemini::for_gemini;

use crate::wire::ir::SchemaDialect;
use crate::wire::json::{Object, Str, Value};

/// Members that hold one schema.
const ONE: [&str; 10] = [
    "items",
    "additionalProperties",
    "not",
    "if",
    "then",
    "else",
    "contains",
    "propertyNames",
    "unevaluatedItems",
    "unevaluatedProperties",
];
/// Members that hold a list of schemas.
const LIST: [&str; 4] = ["anyOf", "oneOf", "allOf", "prefixItems"];
/// Members that hold schemas by name.
const MAP: [&str; 5] = ["properties", "$defs", "definitions", "patternProperties", "dependentSchemas"];

/// Whether an object schema allows nothing but `{}`, so that it need not be said at all.
pub fn takes_nothing(schema: &Value<'_>) -> bool {
    let Some(object) = schema.as_object() else { return schema.is_null() };
    object.members.iter().all(|(name, value)| match name.decode().as_ref() {
        "type" => value.as_text().is_some_and(|name| name.eq_ignore_ascii_case("object")),
        "properties" => value.as_object().is_some_and(Object::is_empty),
        "required" => value.as_array().is_some_and(<[Value<'_>]>::is_empty),
        "additionalProperties" => *value == Value::Bool(false),
        "$schema" | "title" | "description" | "strict" => true,
        _ => false,
    })
}

/// Whether a schema obeys OpenAI's rules for `strict`: every object is closed and requires all that it has.
pub fn is_openai_strict(schema: &Value<'_>) -> bool {
    let is_object = schema.get("type").and_then(Value::as_text).as_deref() == Some("object");
    is_object && schema.get("anyOf").is_none() && is_strict(schema)
}

fn is_strict(schema: &Value<'_>) -> bool {
    let Some(object) = schema.as_object() else { return false };
    const NEVER: [&str; 12] = [
        "oneOf",
        "allOf",
        "not",
        "if",
        "then",
        "else",
        "patternProperties",
        "dependentRequired",
        "dependentSchemas",
        "propertyNames",
        "prefixItems",
        "unevaluatedProperties",
    ];
    const SAYS_WHAT: [&str; 5] = ["type", "$ref", "anyOf", "enum", "const"];
    if NEVER.iter().any(|name| object.get(name).is_some()) || SAYS_WHAT.iter().all(|name| object.get(name).is_none()) {
        return false;
    }
    if is_object_type(object) && !is_closed(object) {
        return false;
    }
    object.members.iter().all(|(name, value)| match name.decode().as_ref() {
        "items" => is_strict(value),
        "anyOf" => value.as_array().is_some_and(|list| list.iter().all(is_strict)),
        "properties" | "$defs" | "definitions" => {
            value.as_object().is_some_and(|map| map.members.iter().all(|(_, schema)| is_strict(schema)))
        }
        _ => true,
    })
}

fn is_object_type(object: &Object<'_>) -> bool {
    match object.get("type") {
        Some(Value::String(name)) => *name == "object",
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).any(|name| *name == "object"),
        _ => object.get("properties").is_some(),
    }
}

fn is_closed(object: &Object<'_>) -> bool {
    if object.get("additionalProperties") != Some(&Value::Bool(false)) {
        return false;
    }
    let required: std::collections::HashSet<_> = match object.get("required") {
        Some(Value::Array(list)) => list.iter().filter_map(Value::as_text).collect(),
        _ => Default::default(),
    };
    let properties = object.get("properties").and_then(Value::as_object);
    properties.is_none_or(|map| map.members.iter().all(|(name, _)| required.contains(&name.decode())))
}

/// A schema of either dialect as JSON Schema.
pub fn json_schema<'s, 'a>(schema: &'s Value<'a>, dialect: SchemaDialect) -> Cow<'s, Value<'a>> {
    match dialect {
        SchemaDialect::JsonSchema => Cow::Borrowed(schema),
        SchemaDialect::OpenApi => Cow::Owned(from_openapi(schema)),
    }
}

/// Gemini's OpenAPI kind of schema as JSON Schema: type names in lower case, `nullable` as a type, limits as numbers.
pub fn from_openapi<'a>(schema: &Value<'a>) -> Value<'a> {
    let Some(object) = schema.as_object() else { return schema.clone() };
    let mut out = Object::default();
    let mut nullable = false;
    let mut say = |name, value| out.members.push((name, value));
    for (name, value) in &object.members {
        let name = json_schema_name(name);
        match name.decode().as_ref() {
            "nullable" => nullable = *value == Value::Bool(true),
            "propertyOrdering" => {}
            "type" => {
                if let Some(kind) = lower_type(value) {
                    say(name, kind);
                }
            }
            "format" if value.as_text().as_deref() == Some("enum") => {}
            "example" => say(Str::plain("examples"), Value::Array(vec![value.clone()])),
            "$ref" => {
                let at = value.as_text().map(|at| Value::text(at.replace("#/defs/", "#/$defs/")));
                say(name, at.unwrap_or_else(|| value.clone()));
            }
            "minItems" | "maxItems" | "minProperties" | "maxProperties" | "minLength" | "maxLength" => {
                say(name, as_number(value));
            }
            known if ONE.contains(&known) => say(name, from_openapi(value)),
            known if LIST.contains(&known) => {
                let list = value.as_array().unwrap_or_default();
                say(name, Value::Array(list.iter().map(from_openapi).collect()));
            }
            known if MAP.contains(&known) => say(name, map(value, from_openapi)),
            _ => say(name, value.clone()),
        }
    }
    if nullable {
        allow_null(&mut out);
    }
    Value::Object(out)
}

fn map<'a>(value: &Value<'a>, each: impl Fn(&Value<'a>) -> Value<'a>) -> Value<'a> {
    match value {
        Value::Object(object) => {
            let members = object.members.iter().map(|(name, schema)| (name.clone(), each(schema))).collect();
            Value::Object(Object { members })
        }
        other => other.clone(),
    }
}

/// A keyword in JSON Schema's spelling.
fn json_schema_name<'a>(name: &Str<'a>) -> Str<'a> {
    const SNAKE: [(&str, &str); 13] = [
        ("any_of", "anyOf"),
        ("min_items", "minItems"),
        ("max_items", "maxItems"),
        ("min_properties", "minProperties"),
        ("max_properties", "maxProperties"),
        ("min_length", "minLength"),
        ("max_length", "maxLength"),
        ("property_ordering", "propertyOrdering"),
        ("additional_properties", "additionalProperties"),
        ("one_of", "oneOf"),
        ("all_of", "allOf"),
        ("ref", "$ref"),
        ("defs", "$defs"),
    ];
    let known = SNAKE.iter().find(|(snake, _)| *name == *snake);
    known.map_or_else(|| name.clone(), |(_, camel)| Str::plain(*camel))
}

fn lower_type<'a>(value: &Value<'a>) -> Option<Value<'a>> {
    match value {
        Value::String(name) => {
            let name = name.decode();
            (name != "TYPE_UNSPECIFIED").then(|| Value::text(name.to_ascii_lowercase()))
        }
        Value::Array(names) => Some(Value::Array(names.iter().filter_map(lower_type).collect())),
        other => Some(other.clone()),
    }
}

/// Google writes 64-bit numbers as texts.
fn as_number<'a>(value: &Value<'a>) -> Value<'a> {
    match value.as_text().and_then(|text| text.parse::<i64>().ok()) {
        Some(number) => Value::number(number),
        None => value.clone(),
    }
}

fn allow_null(object: &mut Object<'_>) {
    let null = || Value::text("null");
    if let Some((_, Value::Array(list))) = object.members.iter_mut().find(|(name, _)| *name == "enum")
        && !list.iter().any(Value::is_null)
    {
        list.push(Value::Null);
    }
    match object.members.iter_mut().find(|(name, _)| *name == "type") {
        Some((_, kind @ Value::String(_))) => {
            let name = std::mem::replace(kind, Value::Null);
            *kind = Value::Array(vec![name, null()]);
        }
        Some((_, Value::Array(names))) => names.push(null()),
        Some(_) => {}
        None => {
            if let Some((_, Value::Array(list))) = object.members.iter_mut().find(|(name, _)| *name == "anyOf") {
                let mut only_null = Object::default();
                only_null.set("type", null());
                list.push(Value::Object(only_null));
            }
        }
    }
}

#[cfg(test)]
mod tests;
