//! A JSON document as a borrowing tree: for translation, where most of a document must be looked at. Must never lose the
//! text of a number, the order of members, or an escape.

use std::borrow::Cow;

use super::text::{decode_lossy, escape_into};
use super::{Cursor, Fault, Kind, LoneSurrogates};

/// A text that may still stand as the inside of a JSON string. Most texts cross from one protocol to another without being
/// unescaped.
#[derive(Debug, Clone)]
pub struct Str<'a> {
    text: Cow<'a, str>,
    /// `text` is the inside of a JSON string, escapes and all; else it is the text itself.
    token: bool,
}

impl<'a> Str<'a> {
    /// The inside of a JSON string as it came.
    pub fn token(raw: impl Into<Cow<'a, str>>) -> Str<'a> {
        Str { text: raw.into(), token: true }
    }

    pub fn plain(text: impl Into<Cow<'a, str>>) -> Str<'a> {
        Str { text: text.into(), token: false }
    }

    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// The text it stands for. Halves of surrogate pairs become U+FFFD.
    pub fn decode(&self) -> Cow<'_, str> {
        if self.token && memchr::memchr(b'\\', self.text.as_bytes()).is_some() {
            Cow::Owned(decode_lossy(self.text.as_bytes()))
        } else {
            Cow::Borrowed(&self.text)
        }
    }

    /// The same as `decode`, borrowing from the document where nothing is escaped.
    pub fn into_decoded(self) -> Cow<'a, str> {
        if self.token && memchr::memchr(b'\\', self.text.as_bytes()).is_some() {
            Cow::Owned(decode_lossy(self.text.as_bytes()))
        } else {
            self.text
        }
    }

    /// What stands between the quotes when it is written.
    pub fn as_token(&self) -> Cow<'_, str> {
        if self.token {
            return Cow::Borrowed(&self.text);
        }
        let mut out = Vec::with_capacity(self.text.len());
        escape_into(&self.text, &mut out);
        match String::from_utf8(out) {
            Ok(text) => Cow::Owned(text),
            Err(_) => Cow::Borrowed(""),
        }
    }

    /// The same as `as_token`, borrowing from the document where it can.
    pub fn into_token(self) -> Cow<'a, str> {
        if self.token { self.text } else { Cow::Owned(self.as_token().into_owned()) }
    }

    pub fn write_inside(&self, out: &mut Vec<u8>) {
        if self.token { out.extend_from_slice(self.text.as_bytes()) } else { escape_into(&self.text, out) }
    }

    pub fn borrowed(&self) -> Str<'_> {
        Str { text: Cow::Borrowed(&self.text), token: self.token }
    }

    pub fn into_owned(self) -> Str<'static> {
        Str { text: Cow::Owned(self.text.into_owned()), token: self.token }
    }
}

impl PartialEq for Str<'_> {
    fn eq(&self, other: &Str<'_>) -> bool {
        self.decode() == other.decode()
    }
}

impl Eq for Str<'_> {}

impl PartialEq<str> for Str<'_> {
    /// Members are found by it: it looks for escapes only in a token that begins alike and is longer, as they make it.
    fn eq(&self, other: &str) -> bool {
        if !self.token || self.text == other {
            return self.text == other && !(self.token && other.contains('\\'));
        }
        let first = self.text.as_bytes().first();
        let alike = first == other.as_bytes().first() || first == Some(&b'\\');
        alike && self.text.len() > other.len() && self.decode() == other
    }
}

impl PartialEq<&str> for Str<'_> {
    fn eq(&self, other: &&str) -> bool {
        *self == **other
    }
}

impl<'a> From<&'a str> for Str<'a> {
    fn from(text: &'a str) -> Str<'a> {
        Str::plain(text)
    }
}

impl From<String> for Str<'_> {
    fn from(text: String) -> Self {
        Str::plain(text)
    }
}

/// A value; `PartialEq` compares as JSON values, but numbers by their text and members in their order.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'a> {
    Null,
    Bool(bool),
    /// As it was written: `1.0`, `12345678901234567890`, `1e400`.
    Number(Cow<'a, str>),
    String(Str<'a>),
    Array(Vec<Value<'a>>),
    Object(Object<'a>),
}

/// Members in the order of the document.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Object<'a> {
    pub members: Vec<(Str<'a>, Value<'a>)>,
}

impl<'a> Object<'a> {
    /// The last member of that name, as most JSON readers have it.
    pub fn get(&self, name: &str) -> Option<&Value<'a>> {
        self.members.iter().rev().find(|(key, _)| *key == name).map(|(_, value)| value)
    }

    /// Takes the last member of that name out, and earlier ones of the same name with it.
    pub fn take(&mut self, name: &str) -> Option<Value<'a>> {
        let mut found = None;
        while let Some(at) = self.members.iter().rposition(|(key, _)| *key == name) {
            let (_, value) = self.members.remove(at);
            found.get_or_insert(value);
        }
        found
    }

    pub fn set(&mut self, name: impl Into<Str<'a>>, value: Value<'a>) {
        let name = name.into();
        match self.members.iter_mut().find(|(key, _)| *key == name) {
            Some((_, old)) => *old = value,
            None => self.members.push((name, value)),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }
}

impl<'a> Value<'a> {
    /// Parses a whole document whose containers are nested at most `depth_max` deep. Recursion is bounded by it.
    pub fn parse(json: &'a str, depth_max: usize, lone: LoneSurrogates) -> Result<Value<'a>, Fault> {
        let mut cursor = Cursor::new(json.as_bytes(), depth_max, lone);
        let value = Value::read(&mut cursor, json)?;
        cursor.end()?;
        Ok(value)
    }

    /// `text` is the document that the cursor walks through.
    fn read(cursor: &mut Cursor<'a>, text: &'a str) -> Result<Value<'a>, Fault> {
        Ok(match cursor.kind()? {
            Kind::Object => {
                let mut walk = cursor.enter()?;
                let mut members = Vec::new();
                while let Some(key) = cursor.key(&mut walk)? {
                    let key = Str::token(&text[key.at..key.at + key.raw.len()]);
                    members.push((key, Value::read(cursor, text)?));
                }
                Value::Object(Object { members })
            }
            Kind::Array => {
                let mut walk = cursor.enter()?;
                let mut elements = Vec::new();
                while cursor.element(&mut walk)? {
                    elements.push(Value::read(cursor, text)?);
                }
                Value::Array(elements)
            }
            Kind::String => {
                let token = cursor.string()?;
                Value::String(Str::token(&text[token.at..token.at + token.raw.len()]))
            }
            Kind::Number => {
                let start = cursor.at();
                cursor.number()?;
                Value::Number(Cow::Borrowed(&text[start..cursor.at()]))
            }
            kind @ (Kind::True | Kind::False) => {
                cursor.ignore()?;
                Value::Bool(kind == Kind::True)
            }
            Kind::Null => {
                cursor.ignore()?;
                Value::Null
            }
        })
    }

    pub fn object() -> Value<'a> {
        Value::Object(Object::default())
    }

    pub fn text(text: impl Into<Cow<'a, str>>) -> Value<'a> {
        Value::String(Str::plain(text))
    }

    pub fn number(number: impl std::fmt::Display) -> Value<'a> {
        Value::Number(Cow::Owned(number.to_string()))
    }

    /// The member of an object; `None` for anything else.
    pub fn get(&self, name: &str) -> Option<&Value<'a>> {
        self.as_object()?.get(name)
    }

    pub fn as_object(&self) -> Option<&Object<'a>> {
        match self {
            Value::Object(object) => Some(object),
            _ => None,
        }
    }

    pub fn as_object_mut(&mut self) -> Option<&mut Object<'a>> {
        match self {
            Value::Object(object) => Some(object),
            _ => None,
        }
    }

    pub fn as_array(&self) -> Option<&[Value<'a>]> {
        match self {
            Value::Array(elements) => Some(elements),
            _ => None,
        }
    }

    pub fn as_str(&self) -> Option<&Str<'a>> {
        match self {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// The decoded text of a string.
    pub fn as_text(&self) -> Option<Cow<'_, str>> {
        self.as_str().map(Str::decode)
    }

    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Value::Bool(bool) => Some(*bool),
            _ => None,
        }
    }

    /// The text of a number.
    pub fn as_number(&self) -> Option<&str> {
        match self {
            Value::Number(number) => Some(number),
            _ => None,
        }
    }

    /// A whole number that is not negative.
    pub fn as_u64(&self) -> Option<u64> {
        self.as_number()?.parse().ok()
    }

    pub fn as_i64(&self) -> Option<i64> {
        self.as_number()?.parse().ok()
    }

    pub fn is_null(&self) -> bool {
        matches!(self, Value::Null)
    }

    pub fn write(&self, out: &mut Vec<u8>) {
        match self {
            Value::Null => out.extend_from_slice(b"null"),
            Value::Bool(true) => out.extend_from_slice(b"true"),
            Value::Bool(false) => out.extend_from_slice(b"false"),
            Value::Number(number) => out.extend_from_slice(number.as_bytes()),
            Value::String(text) => {
                out.push(b'"');
                text.write_inside(out);
                out.push(b'"');
            }
            Value::Array(elements) => {
                out.push(b'[');
                for (at, element) in elements.iter().enumerate() {
                    if at > 0 {
                        out.push(b',');
                    }
                    element.write(out);
                }
                out.push(b']');
            }
            Value::Object(object) => {
                out.push(b'{');
                for (at, (key, value)) in object.members.iter().enumerate() {
                    if at > 0 {
                        out.push(b',');
                    }
                    out.push(b'"');
                    key.write_inside(out);
                    out.extend_from_slice(b"\":");
                    value.write(out);
                }
                out.push(b'}');
            }
        }
    }

    /// The document as text, without white space.
    pub fn to_json(&self) -> String {
        let mut out = Vec::new();
        self.write(&mut out);
        String::from_utf8(out).unwrap_or_default()
    }

    pub fn into_owned(self) -> Value<'static> {
        match self {
            Value::Null => Value::Null,
            Value::Bool(bool) => Value::Bool(bool),
            Value::Number(number) => Value::Number(Cow::Owned(number.into_owned())),
            Value::String(text) => Value::String(text.into_owned()),
            Value::Array(elements) => Value::Array(elements.into_iter().map(Value::into_owned).collect()),
            Value::Object(object) => Value::Object(Object {
                members: object
                    .members
                    .into_iter()
                    .map(|(key, value)| (key.into_owned(), value.into_owned()))
                    .collect(),
            }),
        }
    }
}
