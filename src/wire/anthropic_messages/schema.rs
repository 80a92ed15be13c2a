//! JSON Schemas as Anthropic takes them. Walks schema positions only: what stands in `enum`, `const` and `default` is data.

use std::borrow::Cow;

use crate::wire::ir::SchemaDialect;
use crate::wire::json::{Object, Value};
use crate::wire::schema::json_schema;

/// Members that keep their meaning in a schema that the model is bound to.
const KEPT: [&str; 8] = ["type", "required", "enum", "const", "$ref", "default", "description", "title"];
/// String formats that it is bound to.
const FORMATS: [&str; 10] =
    ["date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"];
/// Limits that the model is told in words.
const LIMITS: [&str; 14] = [
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "pattern",
    "format",
    "minItems",
    "maxItems",
    "uniqueItems",
    "minProperties",
    "maxProperties",
];

/// A schema that the answer is bound to (`output_config.format`, strict tools), and whether it says less than it did.
pub(super) fn bound<'s>(schema: &'s Value<'s>, dialect: SchemaDialect) -> (Value<'s>, bool) {
    let mut lossy = false;
    let bound = match json_schema(schema, dialect) {
        Cow::Borrowed(schema) => bind(schema, &mut lossy),
        Cow::Owned(schema) => bind(&schema, &mut lossy).into_owned(),
    };
    (bound, lossy)
}

fn bind<'s>(schema: &'s Value<'s>, lossy: &mut bool) -> Value<'s> {
    let Value::Object(object) = schema else {
        // `true` and `false` are schemas, for anything and for nothing.
        return if schema.as_bool() == Some(true) { Value::object() } else { schema.clone() };
    };
    let mut bound = Object::default();
    let mut limits = Vec::new();
    for (name, value) in &object.members {
        match &*name.decode() {
            "additionalProperties" => *lossy |= value.as_bool() != Some(false),
            kept if KEPT.contains(&kept) => bound.set(name.borrowed(), value.clone()),
            "properties" | "$defs" | "definitions" => bound.set(name.borrowed(), bind_members(value, lossy)),
            "items" => bound.set("items", bind(value, lossy)),
            "anyOf" | "oneOf" => bound.set("anyOf", bind_elements(value, lossy)),
            "allOf" => bound.set("allOf", bind_elements(value, lossy)),
            "format" if value.as_text().is_some_and(|format| FORMATS.contains(&&*format)) => {
                bound.set("format", value.clone());
            }
            "minItems" if matches!(value.as_u64(), Some(0 | 1)) => bound.set("minItems", value.clone()),
            limit if LIMITS.contains(&limit) => limits.push(format!("{limit}: {}", value.to_json())),
            "$schema" | "$id" | "$comment" | "examples" | "example" | "deprecated" | "readOnly" | "writeOnly"
            | "propertyOrdering" => {}
            _ => *lossy = true,
        }
    }
    if is_object(&bound) {
        bound.set("additionalProperties", Value::Bool(false));
    }
    if !limits.is_empty() {
        *lossy = true;
        describe(&mut bound, &limits.join(", "));
    }
    Value::Object(bound)
}

fn bind_members<'s>(value: &'s Value<'s>, lossy: &mut bool) -> Value<'s> {
    let Value::Object(object) = value else { return value.clone() };
    let members = object.members.iter().map(|(name, schema)| (name.borrowed(), bind(schema, lossy)));
    Value::Object(Object { members: members.collect() })
}

fn bind_elements<'s>(value: &'s Value<'s>, lossy: &mut bool) -> Value<'s> {
    let Value::Array(schemas) = value else { return value.clone() };
    Value::Array(schemas.iter().map(|schema| bind(schema, lossy)).collect())
}

fn is_object(schema: &Object<'_>) -> bool {
    let named = |value: &Value<'_>| value.as_str().is_some_and(|kind| *kind == "object");
    match schema.get("type") {
        Some(Value::Array(kinds)) => kinds.iter().any(named),
        Some(kind) => named(kind),
        None => schema.get("properties").is_some(),
    }
}

fn describe(schema: &mut Object<'_>, limits: &str) {
    let text = match schema.get("description").and_then(Value::as_text) {
        Some(text) if !text.is_empty() => format!("{text} ({limits})"),
        _ => limits.to_owned(),
    };
    schema.set("description", Value::text(text));
}

/// The schema of a tool's input that the model follows by good will: an object at the top, in JSON Schema's words. Whether
/// it says less than it did comes beside.
pub(super) fn input<'s>(schema: Option<&'s Value<'s>>, dialect: SchemaDialect) -> (Cow<'s, Value<'s>>, bool) {
    let schema = match (schema, dialect) {
        (Some(schema @ Value::Object(_)), dialect) => json_schema(schema, dialect),
        (Some(_) | None, _) => Cow::Owned(Value::object()),
    };
    let told = |name: &str| schema.get(name).is_some();
    let is_plain = told("properties") && schema.as_object().is_some_and(|it| is_object(it) && told("type"));
    let combined = ["anyOf", "oneOf", "allOf", "$ref"].into_iter().any(told);
    if is_plain && !combined {
        return (schema, false);
    }
    let Value::Object(mut object) = schema.into_owned() else { return (Cow::Owned(Value::object()), false) };
    let lossy = combined && flatten(&mut object);
    object.set("type", Value::text("object"));
    if object.get("properties").is_none() {
        object.set("properties", Value::object());
    }
    (Cow::Owned(Value::Object(object)), lossy)
}

/// Puts the properties of alternatives beside each other: they are refused at the top of an input. Says whether it did.
fn flatten(object: &mut Object<'_>) -> bool {
    let mut properties = match object.take("properties") {
        Some(Value::Object(properties)) => properties,
        _ => Object::default(),
    };
    let mut required = object.take("required");
    let reference = object.take("$ref").and_then(|reference| resolve(object, &reference.as_text()?));
    let mut branches: Vec<Value<'_>> = reference.into_iter().collect();
    // All of these hold at once, so each of them says what is required.
    let mut binding = branches.len();
    for name in ["allOf", "anyOf", "oneOf"] {
        if let Some(Value::Array(list)) = object.take(name) {
            branches.extend(list);
        }
        if name == "allOf" {
            binding = branches.len();
        }
    }
    for (at, branch) in branches.into_iter().enumerate() {
        let Value::Object(mut branch) = branch else { continue };
        if let Some(Value::Object(more)) = branch.take("properties") {
            for (name, schema) in more.members {
                properties.set(name, schema);
            }
        }
        if at < binding {
            required = merged(required, branch.take("required"));
        }
    }
    object.set("properties", Value::Object(properties));
    if let Some(required) = required {
        object.set("required", required);
    }
    true
}

fn merged<'s>(one: Option<Value<'s>>, other: Option<Value<'s>>) -> Option<Value<'s>> {
    match (one, other) {
        (Some(Value::Array(mut one)), Some(Value::Array(other))) => {
            for name in other {
                if !one.contains(&name) {
                    one.push(name);
                }
            }
            Some(Value::Array(one))
        }
        (one, other) => one.or(other),
    }
}

/// `#/$defs/Name` within the schema itself.
fn resolve<'s>(root: &Object<'s>, reference: &str) -> Option<Value<'s>> {
    let (holder, name) = reference.strip_prefix("#/")?.split_once('/')?;
    root.get(holder)?.get(name).cloned()
}
