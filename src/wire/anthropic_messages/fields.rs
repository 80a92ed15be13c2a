//! Takes the members of one object of a request; what is left becomes extras. Must never know what a member means.

use std::borrow::Cow;
use std::fmt;

use crate::wire::ir::{Class, Extra};
use crate::wire::json::{Object, Str, Value};
use crate::wire::{Protocol, ReadError};

/// Where a value stands in the body; written out only for errors and extras.
#[derive(Clone, Copy)]
pub(super) struct Path<'p> {
    parent: Option<&'p Path<'p>>,
    step: Step<'p>,
}

#[derive(Clone, Copy)]
enum Step<'p> {
    Root,
    Member(&'p str),
    Element(usize),
}

impl<'p> Path<'p> {
    pub const ROOT: Path<'static> = Path { parent: None, step: Step::Root };

    pub fn member(&'p self, name: &'p str) -> Path<'p> {
        Path { parent: Some(self), step: Step::Member(name) }
    }

    pub fn element(&'p self, at: usize) -> Path<'p> {
        Path { parent: Some(self), step: Step::Element(at) }
    }

    pub fn error(&self, message: impl Into<String>) -> ReadError {
        ReadError::new(self.to_string(), message)
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent {
            parent.fmt(f)?;
        }
        match self.step {
            Step::Root => Ok(()),
            Step::Member(name) if self.parent.is_none_or(|parent| matches!(parent.step, Step::Root)) => {
                f.write_str(name)
            }
            Step::Member(name) => write!(f, ".{name}"),
            Step::Element(at) => write!(f, "[{at}]"),
        }
    }
}

/// One object, its members taken out by name. A `null` is the same as an absent member.
pub(super) struct Fields<'a, 'p> {
    object: Object<'a>,
    path: &'p Path<'p>,
    pub extra: Vec<Extra<'a>>,
}

impl<'a, 'p> Fields<'a, 'p> {
    pub fn read(value: Value<'a>, path: &'p Path<'p>) -> Result<Fields<'a, 'p>, ReadError> {
        match value {
            Value::Object(object) => Ok(Fields { object, path, extra: Vec::new() }),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                Err(path.error(format!("{path} must be an object")))
            }
        }
    }

    pub fn path(&self) -> &'p Path<'p> {
        self.path
    }

    pub fn peek(&self, name: &str) -> Option<&Value<'a>> {
        self.object.get(name)
    }

    pub fn take(&mut self, name: &str) -> Option<Value<'a>> {
        self.object.take(name).filter(|value| !value.is_null())
    }

    fn typed<T>(
        &mut self,
        name: &str,
        what: &str,
        read: impl FnOnce(Value<'a>) -> Option<T>,
    ) -> Result<Option<T>, ReadError> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let path = self.path.member(name);
        read(value).map(Some).ok_or_else(|| path.error(format!("{path} must be {what}")))
    }

    pub fn text(&mut self, name: &str) -> Result<Option<Str<'a>>, ReadError> {
        self.typed(name, "a string", into_str)
    }

    pub fn required_text(&mut self, name: &str) -> Result<Str<'a>, ReadError> {
        self.text(name)?.ok_or_else(|| self.missing(name))
    }

    pub fn bool(&mut self, name: &str) -> Result<Option<bool>, ReadError> {
        self.typed(name, "true or false", |value| value.as_bool())
    }

    pub fn uint(&mut self, name: &str) -> Result<Option<u64>, ReadError> {
        self.typed(name, "a whole number that is not negative", |value| value.as_u64())
    }

    pub fn int(&mut self, name: &str) -> Result<Option<i64>, ReadError> {
        self.typed(name, "a whole number", |value| value.as_i64())
    }

    /// A number as it was written.
    pub fn number(&mut self, name: &str) -> Result<Option<Cow<'a, str>>, ReadError> {
        self.typed(name, "a number", |value| match value {
            Value::Number(number) => Some(number),
            Value::Null | Value::Bool(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => None,
        })
    }

    pub fn array(&mut self, name: &str) -> Result<Option<Vec<Value<'a>>>, ReadError> {
        self.typed(name, "an array", into_array)
    }

    pub fn missing(&self, name: &str) -> ReadError {
        let path = self.path.member(name);
        path.error(format!("{path} is required"))
    }

    /// Keeps a member that was looked at as an extra.
    pub fn keep(&mut self, name: &'static str, value: Value<'a>, class: Class) {
        let path = Cow::Owned(self.path.member(name).to_string());
        self.extra.push(Extra { protocol: Protocol::AnthropicMessages, path, name: name.into(), value, class });
    }

    /// The members that nobody took, as extras behind those that were kept.
    pub fn rest(self, class: impl Fn(&str, &Value<'a>) -> Class) -> Vec<Extra<'a>> {
        let Fields { object, path, mut extra } = self;
        for (name, value) in object.members {
            let decoded = name.decode();
            let class = if value.is_null() { Class::Idle } else { class(&decoded, &value) };
            let path = Cow::Owned(path.member(&decoded).to_string());
            drop(decoded);
            extra.push(Extra { protocol: Protocol::AnthropicMessages, path, name, value, class });
        }
        extra
    }

    /// The members that are left, without taking them.
    pub fn copy(&self) -> Value<'a> {
        Value::Object(self.object.clone())
    }

    /// The object as it is left.
    pub fn into_value(self) -> Value<'a> {
        Value::Object(self.object)
    }
}

pub(super) fn into_str(value: Value<'_>) -> Option<Str<'_>> {
    match value {
        Value::String(text) => Some(text),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

pub(super) fn into_array(value: Value<'_>) -> Option<Vec<Value<'_>>> {
    match value {
        Value::Array(elements) => Some(elements),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => None,
    }
}

/// Nothing but what was taken is known.
pub(super) fn unknown(_: &str, _: &Value<'_>) -> Class {
    Class::Unknown
}

/// The name of the object that an extra stood in, where that object is itself a member (`source`, `cache_control`), told by
/// its path. `None`: it stood in the element or request that holds it.
pub(super) fn parent<'e>(extra: &'e Extra<'_>) -> Option<&'e str> {
    let holder = extra.path.strip_suffix(&*extra.name.decode())?.strip_suffix('.')?;
    let last = holder.rsplit('.').next()?;
    (!last.ends_with(']')).then_some(last)
}
