//! Takes the members of a request's objects one by one; what nobody took is an unknown field. Must never know their meaning.

use std::borrow::Cow;

use crate::wire::ir::{Class, Extra};
use crate::wire::json::{Object, Str, Value};
use crate::wire::{Protocol, ReadError};

/// One object on its way into the canonical form.
pub struct Members<'a> {
    object: Object<'a>,
    path: String,
    extra: Vec<Extra<'a>>,
}

impl<'a> Members<'a> {
    /// `path` leads to the object; empty for the body itself.
    pub fn of(value: Value<'a>, path: impl Into<String>) -> Result<Members<'a>, ReadError> {
        let path = path.into();
        match value {
            Value::Object(object) => Ok(Members { object, path, extra: Vec::new() }),
            _ if path.is_empty() => Err(ReadError { param: None, message: "the body must be a JSON object".into() }),
            _ => Err(wrong(&path, "an object")),
        }
    }

    pub fn path(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    pub fn get(&self, name: &str) -> Option<&Value<'a>> {
        self.object.get(name)
    }

    /// Takes a member out. A null says nothing, but is said again.
    pub fn take(&mut self, name: &'static str) -> Option<Value<'a>> {
        let value = self.object.take(name)?;
        if value.is_null() {
            self.form(name, value);
            return None;
        }
        Some(value)
    }

    /// Notes how this protocol said something that is told in the canonical form too: a writer of this protocol says it in the
    /// same form again, to others it is nothing.
    pub fn form(&mut self, name: &'static str, value: Value<'a>) {
        self.note(name, value, Class::Idle);
    }

    pub fn note(&mut self, name: &'static str, value: Value<'a>, class: Class) {
        let path = Cow::Owned(self.path(name));
        self.extra.push(Extra { protocol: Protocol::OpenAiChat, path, name: Str::plain(name), value, class });
    }

    /// Takes a member that only this protocol can say.
    pub fn keep(&mut self, name: &'static str, class: Class) {
        if let Some(value) = self.take(name) {
            self.note(name, value, class);
        }
    }

    /// Names the members of an object that is kept whole, apart from those that are known: others cannot say them.
    pub fn left_in(&mut self, name: &str, object: &Value<'a>, known: &[&str]) {
        self.left(&format!("{name}."), object, known);
    }

    /// The same of the object itself.
    pub fn left_here(&mut self, object: &Value<'a>, known: &[&str]) {
        self.left("", object, known);
    }

    fn left(&mut self, before: &str, object: &Value<'a>, known: &[&str]) {
        for (inner, value) in object.as_object().into_iter().flat_map(|object| &object.members) {
            let plain = inner.decode();
            if !known.contains(&&*plain) && !value.is_null() {
                let path = Cow::Owned(self.path(&format!("{before}{plain}")));
                let (name, value) = (Str::plain(""), value.clone());
                let extra = Extra { protocol: Protocol::OpenAiChat, path, name, value, class: Class::Unknown };
                self.extra.push(extra);
            }
        }
    }

    pub fn text(&mut self, name: &'static str) -> Result<Option<Str<'a>>, ReadError> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(wrong(&self.path(name), "a string")),
        }
    }

    pub fn required_text(&mut self, name: &'static str) -> Result<Str<'a>, ReadError> {
        self.text(name)?.ok_or_else(|| missing(&self.path(name)))
    }

    pub fn bool(&mut self, name: &'static str) -> Result<Option<bool>, ReadError> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Bool(bool)) => Ok(Some(bool)),
            Some(_) => Err(wrong(&self.path(name), "true or false")),
        }
    }

    /// A number as it was written.
    pub fn number(&mut self, name: &'static str) -> Result<Option<Cow<'a, str>>, ReadError> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Number(number)) => Ok(Some(number)),
            Some(_) => Err(wrong(&self.path(name), "a number")),
        }
    }

    pub fn count(&mut self, name: &'static str) -> Result<Option<u64>, ReadError> {
        let Some(number) = self.number(name)? else { return Ok(None) };
        match whole(&number) {
            Some(count) => Ok(Some(count)),
            None => Err(wrong(&self.path(name), "a whole number that is not negative")),
        }
    }

    pub fn array(&mut self, name: &'static str) -> Result<Option<Vec<Value<'a>>>, ReadError> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Array(elements)) => Ok(Some(elements)),
            Some(_) => Err(wrong(&self.path(name), "an array")),
        }
    }

    pub fn object(&mut self, name: &'static str) -> Result<Option<Members<'a>>, ReadError> {
        match self.take(name) {
            None => Ok(None),
            Some(value) => Members::of(value, self.path(name)).map(Some),
        }
    }

    /// Forgets the forms noted so far, of an object that is kept whole.
    pub fn forget_forms(&mut self) {
        self.extra.retain(|extra| extra.class != Class::Idle);
    }

    /// Takes over what an inner object has left.
    pub fn absorb(&mut self, inner: Members<'a>) {
        self.extra.extend(inner.rest());
    }

    /// What was noted, and every member that is left as an unknown one.
    pub fn rest(self) -> Vec<Extra<'a>> {
        let Members { object, path, mut extra } = self;
        for (name, value) in object.members {
            let plain = name.decode();
            let path = if path.is_empty() { plain.into_owned() } else { format!("{path}.{plain}") };
            extra.push(Extra { protocol: Protocol::OpenAiChat, path: path.into(), name, value, class: Class::Unknown });
        }
        extra
    }
}

/// A whole number, with a point behind it or not.
fn whole(number: &str) -> Option<u64> {
    let digits = number.strip_suffix(".0").unwrap_or(number);
    digits.parse().ok()
}

pub fn wrong(path: &str, expected: &str) -> ReadError {
    ReadError::new(path, format!("{path} must be {expected}"))
}

pub fn missing(path: &str) -> ReadError {
    ReadError::new(path, format!("{path} is missing"))
}

/// Whether an extra stands in the object itself, not in one that the object holds: messages, parts, calls and tools are
/// elements of lists, so that the way to their own members leads over a bracket.
pub fn stands_here(extra: &Extra<'_>) -> bool {
    matches!(parent(extra), "") || parent(extra).ends_with(']')
}

/// Whether an extra stands in an inner object of that name (`function`, `image_url`).
pub fn stands_in(extra: &Extra<'_>, object: &str) -> bool {
    parent(extra).rsplit('.').next() == Some(object)
}

fn parent<'e>(extra: &'e Extra<'_>) -> &'e str {
    let path = extra.path.strip_suffix(&*extra.name.decode()).unwrap_or(&extra.path);
    path.strip_suffix('.').unwrap_or(path)
}
