//! Cuts a JSON Schema down to what Gemini's `parameters` and `responseSchema` take: one keyword more, and the whole request
//! is refused.

use std::borrow::Cow;
use std::collections::HashSet;

use crate::wire::json::{Object, Str, Value};

/// Deepest nesting, references followed.
const DEPTH_MAX: usize = 64;
/// Most schemas in one: references that are followed multiply.
const NODES_MAX: usize = 8192;
/// Most elements of a tuple that are looked at.
const TUPLE_MAX: usize = 64;

/// The schema as Gemini takes it, and whether it says less than before.
pub fn for_gemini<'a>(schema: &Value<'a>) -> (Value<'a>, bool) {
    let mut cleaner = Cleaner { root: schema, following: Vec::new(), nodes: 0, lossy: false };
    let clean = cleaner.clean(schema, 0);
    (Value::Object(clean), cleaner.lossy)
}

struct Cleaner<'s, 'a> {
    root: &'s Value<'a>,
    /// References on the way here.
    following: Vec<String>,
    nodes: usize,
    lossy: bool,
}

impl<'s, 'a> Cleaner<'s, 'a> {
    fn clean(&mut self, schema: &Value<'a>, depth: usize) -> Object<'a> {
        self.nodes += 1;
        if depth > DEPTH_MAX || self.nodes > NODES_MAX {
            self.lossy = true;
            return typed("OBJECT");
        }
        let Some(object) = schema.as_object() else {
            self.lossy = true;
            return typed("STRING");
        };
        let mut out = match object.get("$ref").or_else(|| object.get("$dynamicRef")) {
            Some(reference) => self.follow(reference, depth),
            None => Object::default(),
        };
        self.keywords(object, depth, &mut out);
        self.alternatives(object, depth, &mut out);
        finish(object, &mut out);
        if out.get("type").is_none() && out.get("anyOf").is_none() {
            self.lossy = true;
            out.set("type", Value::text("STRING"));
        }
        out
    }

    /// What a reference points to; a circle is cut.
    fn follow(&mut self, reference: &Value<'a>, depth: usize) -> Object<'a> {
        let at = reference.as_text().unwrap_or_default().into_owned();
        let target = resolve(self.root, &at);
        match target {
            Some(target) if !self.following.contains(&at) => {
                self.following.push(at);
                let found = self.clean(target, depth + 1);
                self.following.pop();
                found
            }
            _ => {
                self.lossy = true;
                typed("OBJECT")
            }
        }
    }

    fn keywords(&mut self, object: &Object<'a>, depth: usize, out: &mut Object<'a>) {
        for (name, value) in &object.members {
            let name = name.decode();
            match name.as_ref() {
                "type" => self.types(value, object, depth, out),
                "title" | "description" | "pattern" | "example" | "default" => out.set(known(&name), value.clone()),
                "nullable" => out.set("nullable", value.clone()),
                "minItems" | "maxItems" | "minProperties" | "maxProperties" | "minLength" | "maxLength" | "minimum"
                | "maximum" => {
                    if value.as_number().is_some() {
                        out.set(known(&name), value.clone());
                    }
                }
                "exclusiveMinimum" => self.exclusive("minimum", value, 1, object, out),
                "exclusiveMaximum" => self.exclusive("maximum", value, -1, object, out),
                "format" => self.format(value, object, out),
                "enum" => self.values(value.as_array().unwrap_or_default(), object, out),
                "const" => self.values(std::slice::from_ref(value), object, out),
                "properties" => {
                    let mut properties = Object::default();
                    for (name, schema) in value.as_object().into_iter().flat_map(|map| &map.members) {
                        properties.members.push((name.clone(), Value::Object(self.clean(schema, depth + 1))));
                    }
                    merge_properties(out, properties);
                }
                "required" => merge_required(out, value),
                "propertyOrdering" => out.set("propertyOrdering", value.clone()),
                "items" => self.items(value, depth, out),
                "prefixItems" => self.tuple(value.as_array().unwrap_or_default(), depth, out),
                // Said elsewhere, or nothing that limits an answer.
                "$ref" | "$dynamicRef" | "anyOf" | "oneOf" | "allOf" | "$schema" | "$id" | "$comment" | "$defs"
                | "definitions" | "$anchor" | "examples" | "readOnly" | "writeOnly" | "deprecated" => {}
                "additionalProperties" => self.lossy |= *value != Value::Bool(false),
                _ => self.lossy = true,
            }
        }
    }

    fn types(&mut self, value: &Value<'a>, object: &Object<'a>, depth: usize, out: &mut Object<'a>) {
        let names: Vec<Cow<'_, str>> = match value {
            Value::String(name) => vec![name.decode()],
            Value::Array(list) => list.iter().filter_map(Value::as_text).collect(),
            _ => Vec::new(),
        };
        let real: Vec<String> = names
            .iter()
            .filter(|name| !name.eq_ignore_ascii_case("null"))
            .map(|name| name.to_ascii_uppercase())
            .collect();
        if real.len() < names.len() {
            out.set("nullable", Value::Bool(true));
        }
        match real.as_slice() {
            [] => {}
            [one] => out.set("type", Value::text(one.clone())),
            several if object.get("anyOf").is_none() => {
                let each = |name: &String| {
                    let mut schema = typed(name);
                    if name == "ARRAY" {
                        match object.get("items") {
                            Some(items) => schema.set("items", Value::Object(self.clean(items, depth + 1))),
                            None => schema.set("items", Value::Object(typed("STRING"))),
                        }
                    }
                    Value::Object(schema)
                };
                out.set("anyOf", Value::Array(several.iter().map(each).collect()));
            }
            _ => {}
        }
    }

    fn exclusive(
        &mut self,
        name: &'static str,
        value: &Value<'a>,
        step: i64,
        object: &Object<'a>,
        out: &mut Object<'a>,
    ) {
        let Some(number) = value.as_number() else { return };
        let whole =
            object.get("type").and_then(Value::as_text).is_some_and(|kind| kind.eq_ignore_ascii_case("integer"));
        match number.parse::<i64>() {
            Ok(number) if whole => out.set(name, Value::number(number.saturating_add(step))),
            _ => {
                self.lossy = true;
                out.set(name, value.clone());
            }
        }
    }

    fn format(&mut self, value: &Value<'a>, object: &Object<'a>, out: &mut Object<'a>) {
        let kind = object.get("type").and_then(|kind| match kind {
            Value::Array(list) => list.iter().filter_map(Value::as_text).find(|name| *name != "null"),
            other => other.as_text(),
        });
        let kind = kind.map(|kind| kind.to_ascii_lowercase());
        let taken = matches!(
            (value.as_text().as_deref(), kind.as_deref()),
            (Some("enum" | "date-time"), Some("string") | None)
                | (Some("int32" | "int64"), Some("integer" | "number"))
                | (Some("float" | "double"), Some("number"))
        );
        if taken {
            out.set("format", value.clone());
        } else {
            self.lossy = true;
        }
    }

    /// Values as texts, which is all that Gemini takes.
    fn values(&mut self, values: &[Value<'a>], object: &Object<'a>, out: &mut Object<'a>) {
        let texts = values.iter().filter(|value| !value.is_null()).map(|value| match value {
            Value::String(text) => Value::String(text.clone()),
            other => Value::text(other.to_json()),
        });
        let texts: Vec<Value<'a>> = texts.collect();
        if texts.len() < values.len() {
            out.set("nullable", Value::Bool(true));
        }
        if texts.is_empty() {
            return;
        }
        let kind = match object.get("type") {
            Some(Value::String(name)) => name.decode().to_ascii_uppercase(),
            _ if values.iter().all(|value| matches!(value, Value::Number(_))) => "NUMBER".to_owned(),
            _ if values.iter().all(|value| matches!(value, Value::Bool(_))) => "BOOLEAN".to_owned(),
            _ => "STRING".to_owned(),
        };
        match kind.as_str() {
            "STRING" => out.set("enum", Value::Array(texts)),
            "INTEGER" | "NUMBER" => {
                out.set("format", Value::text("enum"));
                out.set("enum", Value::Array(texts));
            }
            _ => self.lossy = true,
        }
        if out.get("type").is_none() {
            out.set("type", Value::text(kind));
        }
    }

    fn items(&mut self, value: &Value<'a>, depth: usize, out: &mut Object<'a>) {
        match value {
            Value::Array(list) => self.tuple(list, depth, out),
            schema => {
                let items = self.clean(schema, depth + 1);
                if out.get("items").is_none() {
                    out.set("items", Value::Object(items));
                }
            }
        }
    }

    /// Elements with a schema each: any of them, anywhere.
    fn tuple(&mut self, list: &[Value<'a>], depth: usize, out: &mut Object<'a>) {
        self.lossy = true;
        let mut kinds: Vec<Value<'a>> = Vec::new();
        for schema in list.iter().take(TUPLE_MAX) {
            let kind = Value::Object(self.clean(schema, depth + 1));
            if !kinds.contains(&kind) {
                kinds.push(kind);
            }
        }
        let items = match kinds.len() {
            0 => Value::Object(typed("STRING")),
            1 => kinds.remove(0),
            _ => {
                let mut any = Object::default();
                any.set("anyOf", Value::Array(kinds));
                Value::Object(any)
            }
        };
        out.set("items", items);
    }

    fn alternatives(&mut self, object: &Object<'a>, depth: usize, out: &mut Object<'a>) {
        for name in ["anyOf", "oneOf"] {
            let Some(list) = object.get(name).and_then(Value::as_array) else { continue };
            let mut kinds = Vec::new();
            for schema in list {
                if is_null_type(schema) {
                    out.set("nullable", Value::Bool(true));
                } else {
                    kinds.push(self.clean(schema, depth + 1));
                }
            }
            match kinds.len() {
                0 => {}
                1 => merge(out, kinds.remove(0)),
                // A type beside alternatives says nothing that they do not.
                _ if out.get("anyOf").is_none() => {
                    out.set("anyOf", Value::Array(kinds.into_iter().map(Value::Object).collect()));
                }
                _ => self.lossy = true,
            }
        }
        for schema in object.get("allOf").and_then(Value::as_array).unwrap_or_default() {
            let part = self.clean(schema, depth + 1);
            merge(out, part);
        }
    }
}

fn known<'a>(name: &str) -> Str<'a> {
    Str::plain(name.to_owned())
}

fn typed<'a>(name: &str) -> Object<'a> {
    let mut object = Object::default();
    object.set("type", Value::text(name.to_owned()));
    object
}

fn is_null_type(schema: &Value<'_>) -> bool {
    schema.get("type").and_then(Value::as_text).as_deref() == Some("null")
}

/// What is there stays; properties and what is required come together.
fn merge<'a>(out: &mut Object<'a>, other: Object<'a>) {
    for (name, value) in other.members {
        match (name.decode().as_ref(), value) {
            ("properties", Value::Object(properties)) => merge_properties(out, properties),
            ("required", required) => merge_required(out, &required),
            (known, value) => {
                if out.get(known).is_none() {
                    out.members.push((name, value));
                }
            }
        }
    }
}

fn merge_properties<'a>(out: &mut Object<'a>, properties: Object<'a>) {
    match out.members.iter_mut().find(|(name, _)| *name == "properties") {
        Some((_, Value::Object(known))) => {
            let names: HashSet<String> = known.members.iter().map(|(name, _)| name.decode().into_owned()).collect();
            known
                .members
                .extend(properties.members.into_iter().filter(|(name, _)| !names.contains(name.decode().as_ref())));
        }
        _ => out.set("properties", Value::Object(properties)),
    }
}

fn merge_required<'a>(out: &mut Object<'a>, required: &Value<'a>) {
    let mut all = match out.take("required") {
        Some(Value::Array(known)) => known,
        _ => Vec::new(),
    };
    let mut known: HashSet<String> = all.iter().filter_map(Value::as_text).map(Cow::into_owned).collect();
    for name in required.as_array().unwrap_or_default() {
        if name.as_text().is_some_and(|name| known.insert(name.into_owned())) {
            all.push(name.clone());
        }
    }
    out.set("required", Value::Array(all));
}

/// Takes away what Gemini refuses, and adds what it insists on.
fn finish<'a>(object: &Object<'a>, out: &mut Object<'a>) {
    if out.get("type").is_none() && out.get("anyOf").is_none() {
        if out.get("properties").is_some() || object.get("additionalProperties").is_some() {
            out.set("type", Value::text("OBJECT"));
        } else if out.get("items").is_some() {
            out.set("type", Value::text("ARRAY"));
        }
    }
    let kind = out.get("type").and_then(Value::as_text).map(Cow::into_owned);
    if kind.as_deref() == Some("ARRAY") && out.get("items").is_none() {
        out.set("items", Value::Object(typed("STRING")));
    }
    if kind.as_deref() != Some("ARRAY") {
        out.take("items");
    }
    let properties = out.get("properties").and_then(Value::as_object);
    let names: HashSet<String> =
        properties.into_iter().flat_map(|map| &map.members).map(|(name, _)| name.decode().into_owned()).collect();
    if names.is_empty() {
        out.take("properties");
    }
    for list in ["required", "propertyOrdering"] {
        let Some(Value::Array(mut listed)) = out.take(list) else { continue };
        listed.retain(|name| name.as_text().is_some_and(|name| names.contains(name.as_ref())));
        if !listed.is_empty() {
            out.set(list, Value::Array(listed));
        }
    }
}

/// `#`, `#/$defs/Pet`: within the document alone.
fn resolve<'s, 'a>(root: &'s Value<'a>, pointer: &str) -> Option<&'s Value<'a>> {
    let path = pointer.strip_prefix('#')?;
    if path.is_empty() {
        return Some(root);
    }
    path.strip_prefix('/')?.split('/').try_fold(root, |at, step| {
        let step = step.replace("~1", "/").replace("~0", "~");
        match at {
            Value::Array(list) => list.get(step.parse::<usize>().ok()?),
            other => other.get(&step),
        }
    })
}
