//! YAML text → a tree that remembers where every key and value stands. Must never know what the keys mean.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{DuplicateKeyPolicy, MergeKeyPolicy, Spanned, UserMessageFormatter};

/// The configuration is two levels deep; a little more lets a wrong shape be named where it stands.
const DEPTH_MAX: usize = 16;
/// Keys and values together. The full configuration has fewer than a hundred.
const NODES_MAX: usize = 4096;

/// A value and where it begins.
#[derive(Debug, Clone)]
pub struct Node(Spanned<Value>);

/// A value of YAML's core schema. Duplicate keys are kept, so that each can be reported.
#[derive(Debug, Clone)]
pub enum Value {
    Null,
    Bool(bool),
    Integer(i128),
    Float(f64),
    Text(String),
    /// No key takes a list, so its items are not kept.
    List,
    Map(Vec<(Key, Node)>),
}

/// A key and where it begins.
#[derive(Debug, Clone)]
pub struct Key(Spanned<String>);

/// A place in a text: both count from 1, columns in characters. `width` is what a caret underlines, at least 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    pub line: usize,
    pub column: usize,
    pub width: usize,
}

impl Place {
    pub const START: Place = Place { line: 1, column: 1, width: 1 };

    fn of(location: serde_saphyr::Location) -> Place {
        let at_least_one = |n: u64| usize::try_from(n).unwrap_or(usize::MAX).max(1);
        Place {
            line: at_least_one(location.line()),
            column: at_least_one(location.column()),
            width: at_least_one(location.span().len()),
        }
    }
}

impl Node {
    pub fn value(&self) -> &Value {
        &self.0.value
    }

    pub fn place(&self) -> Place {
        Place::of(self.0.referenced)
    }
}

impl Key {
    pub fn name(&self) -> &str {
        &self.0.value
    }

    pub fn place(&self) -> Place {
        Place { width: self.name().chars().count().max(1), ..Place::of(self.0.referenced) }
    }
}

impl Value {
    /// What it is, for a message that expected something else. A text is quoted up to a bound.
    pub fn describe(&self) -> String {
        match self {
            Value::Null => "nothing".to_owned(),
            Value::Bool(value) => format!("the truth value {value}"),
            Value::Integer(value) => format!("the number {value}"),
            Value::Float(value) => format!("the number {value}"),
            Value::Text(text) if text.chars().count() > 40 => {
                format!("{:?}", text.chars().take(40).chain(['…']).collect::<String>())
            }
            Value::Text(text) => format!("{text:?}"),
            Value::List => "a list".to_owned(),
            Value::Map(_) => "a map".to_owned(),
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Node, D::Error> {
        Spanned::deserialize(deserializer).map(Node)
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Key, D::Error> {
        Spanned::deserialize(deserializer).map(Key)
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Integer(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Integer(value.into()))
    }

    fn visit_i128<E>(self, value: i128) -> Result<Value, E> {
        Ok(Value::Integer(value))
    }

    fn visit_u128<E>(self, value: u128) -> Result<Value, E> {
        Ok(Value::Integer(i128::try_from(value).unwrap_or(i128::MAX)))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        while items.next_element::<Node>()?.is_some() {}
        Ok(Value::List)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(Value::Map(map))
    }
}

/// Reads one document. `None` for an empty one; the error is where and why the text is not YAML.
pub fn parse(text: &str) -> Result<Option<Node>, (Place, String)> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: DEPTH_MAX, max_nodes: NODES_MAX, max_documents: 1, max_aliases: 0, max_anchors: 0,
        },
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        merge_keys: MergeKeyPolicy::AsOrdinary,
        strict_booleans: true,
        underscored_numbers_as_strings: true,
        leading_zero_numbers_as_strings: true,
        reject_unsupported_tags: true,
        emit_comments: false,
        with_snippet: false,
    };
    serde_saphyr::from_str_with_options::<Option<Node>>(text, options).map_err(|error| {
        let place = error.location().map_or(Place::START, Place::of);
        let message = error.without_snippet().render_with_formatter(&UserMessageFormatter);
        // The place is told by us, in our own form.
        let message = message.split(" at line ").next().unwrap_or_default().to_owned();
        (Place { width: 1, ..place }, format!("not valid YAML: {message}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_values_know_where_they_stand() {
        let node = parse("# é\na: 1\nb:\n  ü: \"x\"\n  d: [true, ~]\n").unwrap().unwrap();
        let Value::Map(top) = node.value() else { panic!("{node:?}") };
        let places: Vec<_> = top.iter().map(|(k, v)| (k.name(), k.place().line, v.place().column)).collect();
        assert_eq!(places, [("a", 2, 4), ("b", 3, 3)]);
        let Value::Map(inner) = top[1].1.value() else { panic!() };
        assert_eq!(inner[0].1.place(), Place { line: 4, column: 6, width: 3 });
        assert!(matches!(inner[1].1.value(), Value::List));
    }

    #[test]
    fn duplicate_keys_are_kept_for_the_reader_to_report() {
        let node = parse("a: 1\na: 2\n").unwrap().unwrap();
        assert!(matches!(node.value(), Value::Map(entries) if entries.len() == 2));
    }

    #[test]
    fn what_is_not_yaml_says_where() {
        for (text, line) in
            [("a: [1\n", 1), ("a: 1\n b: 2\n", 2), ("a: *x\n", 1), ("a: &x 1\n", 1), ("? [a]\n: 1\n", 1)]
        {
            let (place, message) = parse(text).unwrap_err();
            assert_eq!(place.line, line, "{text:?}: {message}");
            assert!(message.starts_with("not valid YAML: ") && !message.contains('\n'), "{message:?}");
        }
    }

    #[test]
    fn an_empty_document_is_nothing() {
        for text in ["", "# only a comment\n", "~\n", "---\n"] {
            assert!(parse(text).unwrap().is_none(), "{text:?}");
        }
    }
}
