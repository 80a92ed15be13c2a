//! Takes the members of an object one by one, so that what nobody asked for is kept and named. Must never know which members
//! there can be.

use std::borrow::Cow;

use crate::wire::ir::{Class, Extra};
use crate::wire::json::{Object, Str, Value};
use crate::wire::{Protocol, ReadError};

const OURS: Protocol = Protocol::OpenAiResponses;

/// An object of a request on its way into the canonical form. `null` stands for an absent member, and is written again.
pub(super) struct Fields<'a> {
    path: String,
    object: Object<'a>,
    extra: Vec<Extra<'a>>,
}

impl<'a> Fields<'a> {
    /// `path` is the way to the object: empty for the body itself.
    pub fn new(path: impl Into<String>, object: Object<'a>) -> Fields<'a> {
        Fields { path: path.into(), object, extra: Vec::new() }
    }

    /// An object, or an error that names the path.
    pub fn of(path: impl Into<String>, value: Value<'a>) -> Result<Fields<'a>, ReadError> {
        let path = path.into();
        match value {
            Value::Object(object) => Ok(Fields::new(path, object)),
            _ => Err(ReadError::new(path, "must be an object")),
        }
    }

    pub fn path_of(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    pub fn error(&self, name: &str, message: impl Into<String>) -> ReadError {
        ReadError::new(self.path_of(name), message)
    }

    pub fn peek(&self, name: &str) -> Option<&Value<'a>> {
        self.object.get(name).filter(|value| !value.is_null())
    }

    /// The member as text, left where it is.
    pub fn word(&self, name: &str) -> Option<Cow<'_, str>> {
        self.peek(name)?.as_text()
    }

    pub fn take(&mut self, name: &str) -> Option<Value<'a>> {
        let value = self.object.take(name)?;
        if value.is_null() {
            self.add(name, value, Class::Idle);
            return None;
        }
        Some(value)
    }

    pub fn str(&mut self, name: &str) -> Result<Option<Str<'a>>, ReadError> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(self.error(name, "must be a string")),
        }
    }

    pub fn needed(&mut self, name: &str) -> Result<Str<'a>, ReadError> {
        self.str(name)?.ok_or_else(|| self.error(name, "is missing: a string is needed"))
    }

    pub fn bool(&mut self, name: &str) -> Result<Option<bool>, ReadError> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Bool(bool)) => Ok(Some(bool)),
            Some(_) => Err(self.error(name, "must be true or false")),
        }
    }

    /// A number as it was written.
    pub fn number(&mut self, name: &str) -> Result<Option<Cow<'a, str>>, ReadError> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Number(number)) => Ok(Some(number)),
            Some(_) => Err(self.error(name, "must be a number")),
        }
    }

    pub fn uint(&mut self, name: &str) -> Result<Option<u64>, ReadError> {
        match self.take(name) {
            None => Ok(None),
            Some(value) => match value.as_u64() {
                Some(number) => Ok(Some(number)),
                None => Err(self.error(name, "must be a whole number that is not negative")),
            },
        }
    }

    pub fn object(&mut self, name: &str) -> Result<Option<Fields<'a>>, ReadError> {
        let path = self.path_of(name);
        self.take(name).map(|value| Fields::of(path, value)).transpose()
    }

    pub fn array(&mut self, name: &str) -> Result<Option<Vec<Value<'a>>>, ReadError> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Array(elements)) => Ok(Some(elements)),
            Some(_) => Err(self.error(name, "must be a list")),
        }
    }

    /// Keeps a member for a writer of this protocol; others do with it what its class says.
    pub fn keep(&mut self, name: &str, class: Class) {
        if let Some(value) = self.object.take(name) {
            let class = if value.is_null() { Class::Idle } else { class };
            self.add(name, value, class);
        }
    }

    pub fn keep_all(&mut self, names: &[&str], class: Class) {
        for name in names {
            self.keep(name, class);
        }
    }

    pub fn add(&mut self, name: &str, value: Value<'a>, class: Class) {
        let path = self.path_of(name).into();
        self.extra.push(Extra { protocol: OURS, path, name: Str::plain(name.to_owned()), value, class });
    }

    /// Takes over what was left of an object inside, only to be named as a loss: it is not written again.
    pub fn lose(&mut self, inner: Fields<'a>) {
        let kept = inner.finish().into_iter().map(|extra| Extra { name: Str::plain(""), ..extra });
        self.extra.extend(kept);
    }

    /// Names the members of an object that is kept whole, apart from those that are known: others cannot say them.
    pub fn lose_in(&mut self, name: &str, object: &Value<'a>, known: &[&str]) {
        let path = self.path_of(name);
        self.extra.extend(unsaid(&path, object, known, Class::Unknown));
    }

    /// Whether a member other than `null` was kept.
    pub fn kept(&self, name: &str) -> bool {
        self.extra.iter().any(|extra| extra.name == name && !extra.value.is_null())
    }

    pub fn was_null(&self, name: &str) -> bool {
        self.extra.iter().any(|extra| extra.name == name && extra.value.is_null())
    }

    /// The object, where nothing was taken from it.
    pub fn into_value(self) -> Value<'a> {
        Value::Object(self.object)
    }

    /// What was kept, and every member that nobody took: those are unknown.
    pub fn finish(mut self) -> Vec<Extra<'a>> {
        for (name, value) in std::mem::take(&mut self.object.members) {
            let path = self.path_of(&name.decode()).into();
            self.extra.push(Extra { protocol: OURS, path, name, value, class: Class::Unknown });
        }
        self.extra
    }
}

/// The members of an object that is written whole or not at all, apart from those that are known. They are named as losses
/// alone.
pub(super) fn unsaid<'a>(
    path: &str,
    object: &Value<'a>,
    known: &[&str],
    class: Class,
) -> impl Iterator<Item = Extra<'a>> {
    let members = object.as_object().into_iter().flat_map(|object| &object.members);
    members.filter(|(name, value)| !known.contains(&&*name.decode()) && !value.is_null()).map(move |(name, value)| {
        let path = format!("{path}.{}", name.decode()).into();
        Extra { protocol: OURS, path, name: Str::plain(""), value: value.clone(), class }
    })
}
