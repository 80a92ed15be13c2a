//! Finds members under both of Gemini's spellings, and keeps what only Gemini says. Must never know what the members mean.

use std::borrow::Cow;
use std::fmt;

use crate::wire::ir::{Class, Extra};
use crate::wire::json::{Object, Str, Value};
use crate::wire::{Protocol, ReadError};

/// Where in a request something stands.
#[derive(Clone, Copy)]
pub struct Path<'p> {
    parent: Option<&'p Path<'p>>,
    step: Step<'p>,
}

#[derive(Clone, Copy)]
enum Step<'p> {
    Key(&'p str),
    Index(usize),
}

impl<'p> Path<'p> {
    pub const ROOT: Path<'static> = Path { parent: None, step: Step::Key("") };

    pub fn key(&'p self, name: &'p str) -> Path<'p> {
        Path { parent: Some(self), step: Step::Key(name) }
    }

    pub fn index(&'p self, at: usize) -> Path<'p> {
        Path { parent: Some(self), step: Step::Index(at) }
    }

    pub fn error(&self, message: &str) -> ReadError {
        let path = self.to_string();
        ReadError::new(path.clone(), format!("{path} {message}"))
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(parent) = self.parent else { return Ok(()) };
        parent.fmt(f)?;
        match self.step {
            Step::Key(name) if parent.parent.is_none() => f.write_str(name),
            Step::Key(name) => write!(f, ".{name}"),
            Step::Index(at) => write!(f, "[{at}]"),
        }
    }
}

/// Whether a key is `camel`, or the same in snake case.
pub fn is(key: &str, camel: &str) -> bool {
    let mut rest = key.bytes();
    camel.bytes().all(|byte| match rest.next() {
        Some(b'_') if byte.is_ascii_uppercase() => rest.next() == Some(byte.to_ascii_lowercase()),
        Some(found) => found == byte,
        None => false,
    }) && rest.next().is_none()
}

/// `is` for a key as it stands in a document.
pub fn key_is(key: &Str<'_>, camel: &str) -> bool {
    let token = key.as_token();
    match token.as_bytes().first() {
        Some(b'\\') => {}
        first if first == camel.as_bytes().first() => {}
        _ => return false,
    }
    is(&token, camel) || (token.contains('\\') && is(&key.decode(), camel))
}

/// Which of the camel-case names a key is; empty for none. Keys are looked at once, where every event of a stream counts.
pub fn known<'n>(key: &Str<'_>, names: &[&'n str]) -> &'n str {
    let token = key.as_token();
    let text = if token.contains('\\') { key.decode() } else { token };
    let first = text.as_bytes().first();
    names.iter().copied().find(|name| name.as_bytes().first() == first && is(&text, name)).unwrap_or_default()
}

/// A member by its camel-case name; `null` counts as absent.
pub fn get<'v, 'a>(value: &'v Value<'a>, camel: &str) -> Option<&'v Value<'a>> {
    let members = &value.as_object()?.members;
    let found = members.iter().rev().find(|(key, _)| key_is(key, camel)).map(|(_, value)| value);
    found.filter(|value| !value.is_null())
}

/// Takes a member out; `null` counts as absent.
pub fn take<'a>(object: &mut Object<'a>, camel: &str) -> Option<Value<'a>> {
    let mut found = None;
    while let Some(at) = object.members.iter().rposition(|(key, _)| key_is(key, camel)) {
        let (_, value) = object.members.remove(at);
        found.get_or_insert(value);
    }
    found.filter(|value| !value.is_null())
}

/// Takes out a member that must be a text.
pub fn take_text<'a>(object: &mut Object<'a>, camel: &str, at: &Path<'_>) -> Result<Option<Str<'a>>, ReadError> {
    match take(object, camel) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(at.key(camel).error("must be a string")),
    }
}

/// Takes out a member that must be an object.
pub fn take_object<'a>(object: &mut Object<'a>, camel: &str, at: &Path<'_>) -> Result<Option<Object<'a>>, ReadError> {
    match take(object, camel) {
        None => Ok(None),
        Some(Value::Object(object)) => Ok(Some(object)),
        Some(_) => Err(at.key(camel).error("must be an object")),
    }
}

/// What is left of an object once its known members are taken out.
pub fn keep<'a>(object: Object<'a>, at: &Path<'_>, class: impl Fn(&str) -> Class, extras: &mut Vec<Extra<'a>>) {
    for (name, value) in object.members {
        if !value.is_null() {
            let known = name.decode();
            let (path, class) = (at.key(&known).to_string(), class(&known));
            extras.push(Extra { protocol: Protocol::GeminiGenerate, path: Cow::Owned(path), name, value, class });
        }
    }
}

/// A member that Gemini alone needs again, and that other protocols say elsewhere.
pub fn idle<'a>(at: &Path<'_>, name: &'static str, value: Value<'a>) -> Extra<'a> {
    Extra {
        protocol: Protocol::GeminiGenerate,
        path: Cow::Owned(at.key(name).to_string()),
        name: Str::plain(name),
        value,
        class: Class::Idle,
    }
}

/// Notes that a member was not there, so that a Gemini writer leaves it out again.
pub fn absent<'a>(at: &Path<'_>, name: &'static str) -> Extra<'a> {
    idle(at, name, Value::Null)
}

/// Whether `absent` noted that.
pub fn was_absent(extras: &[Extra<'_>], name: &str) -> bool {
    extras.iter().any(|e| e.protocol == Protocol::GeminiGenerate && e.value.is_null() && e.name == name)
}

/// The fields that stood directly in `container`: `parts`, `functionCall`, `generationConfig`; empty for the top level.
pub fn said_in<'e, 'a>(extras: &'e [Extra<'a>], container: &str) -> impl Iterator<Item = &'e Extra<'a>> {
    extras.iter().filter(move |extra| {
        extra.protocol == Protocol::GeminiGenerate
            && !extra.value.is_null()
            && is(container_of(&extra.path, &extra.name.decode()), container)
    })
}

fn container_of<'p>(path: &'p str, name: &str) -> &'p str {
    let rest = path.strip_suffix(name).unwrap_or(path);
    let rest = rest.strip_suffix('.').unwrap_or(rest);
    let last = rest.rsplit('.').next().unwrap_or_default();
    last.split('[').next().unwrap_or_default()
}

/// Base64 in either alphabet, with or without its padding, as the standard one.
pub fn standard_base64(data: Str<'_>) -> Str<'_> {
    let text = data.decode();
    let padded = text.len().is_multiple_of(4);
    if padded && memchr::memchr2(b'-', b'_', text.as_bytes()).is_none() {
        return data;
    }
    let mut fixed: String = text
        .chars()
        .filter(|c| *c != '=')
        .map(|c| {
            if c == '-' {
                '+'
            } else if c == '_' {
                '/'
            } else {
                c
            }
        })
        .collect();
    while !fixed.len().is_multiple_of(4) {
        fixed.push('=');
    }
    Str::plain(fixed)
}
