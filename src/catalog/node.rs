//! YAML text → a tree of nodes that know their place. Must never know what the fields mean.
//!
//! YAML 1.2 core: `no`, `1M` and `720p` are text. Anchors, aliases, tags and merge keys are refused; a duplicate key is a
//! problem, and the tree keeps the first.

use std::collections::HashMap;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::options::{DuplicateKeyPolicy, MergeKeyPolicy};
use serde_saphyr::{Error, Options, Spanned, Tagged};

use super::SourceFile;
use super::problem::{Place, Problems};

/// Deepest nesting of a file.
const DEPTH_MAX: usize = 16;
/// Most nodes of a file.
const NODES_MAX: usize = 500_000;

#[derive(Debug, Clone)]
pub struct Node {
    pub place: Place,
    pub value: Value,
}

#[derive(Debug, Clone)]
pub enum Value {
    Null,
    Bool(bool),
    Integer(i64),
    /// A number that is no 64-bit integer, as it reads.
    Number(String),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

#[derive(Debug, Clone)]
pub struct Key {
    pub place: Place,
    pub name: String,
}

impl Node {
    /// A field of a map.
    pub fn field(&self, name: &str) -> Option<&Node> {
        match &self.value {
            Value::Map(fields) => fields.iter().find(|(key, _)| key.name == name).map(|(_, node)| node),
            _ => None,
        }
    }
}

impl Value {
    /// For messages: `number 2.5`, `a list`.
    pub fn describe(&self) -> String {
        match self {
            Value::Null => "nothing".to_owned(),
            Value::Bool(value) => format!("boolean {value}"),
            Value::Integer(value) => format!("number {value}"),
            Value::Number(text) => format!("number {text}"),
            Value::Text(text) => format!("text {text:?}"),
            Value::List(_) => "a list".to_owned(),
            Value::Map(_) => "a map".to_owned(),
        }
    }
}

/// Trees of files that were read without a problem, by path: a reload parses only what changed.
#[derive(Debug, Default)]
pub struct Trees {
    known: HashMap<String, Tree>,
    /// Those of the reading under way; what it does not touch is forgotten.
    seen: HashMap<String, Tree>,
}

#[derive(Debug)]
struct Tree {
    file: usize,
    text: String,
    node: Option<Node>,
}

impl Trees {
    /// Forgets the files that the last reading did not have.
    pub fn turn(&mut self) {
        self.known = std::mem::take(&mut self.seen);
    }

    /// `read`, or the tree that the same text gave the last time.
    pub fn read(&mut self, file: usize, source: &SourceFile, problems: &mut Problems) -> Option<Node> {
        let known = self.known.remove(&source.path).filter(|tree| tree.file == file && tree.text == source.text);
        let tree = match known {
            Some(tree) => tree,
            None => {
                let before = problems.len();
                let node = read(file, &source.text, problems);
                if problems.len() > before {
                    return node;
                }
                Tree { file, text: source.text.clone(), node }
            }
        };
        let node = tree.node.clone();
        self.seen.insert(source.path.clone(), tree);
        node
    }
}

/// Reads one file. `None` when it is empty, or broken so that no tree came of it: the problem is noted.
pub fn read(file: usize, text: &str, problems: &mut Problems) -> Option<Node> {
    if text.trim_start_matches('\u{feff}').lines().all(|l| l.trim().is_empty() || l.trim_start().starts_with('#')) {
        return None;
    }
    match serde_saphyr::from_str_with_options::<Raw>(text, options()) {
        Ok(raw) => Some(node(raw, file, problems)),
        Err(error) => {
            let (line, column) = error.location().map_or((1, 1), |at| (number(at.line()), number(at.column())));
            problems.add_bare(Place { file, line, column }, message(error.without_snippet()));
            None
        }
    }
}

fn options() -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: DEPTH_MAX,
            max_nodes: NODES_MAX,
            max_anchors: 0,
            max_aliases: 0,
            max_documents: 1,
        },
        emit_comments: false,
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        merge_keys: MergeKeyPolicy::AsOrdinary,
        strict_booleans: true,
        underscored_numbers_as_strings: true,
        leading_zero_numbers_as_strings: true,
        with_snippet: false,
    }
}

fn message(error: &Error) -> String {
    use serde_saphyr::budget::BudgetBreach;
    match error {
        Error::Budget { breach: BudgetBreach::Anchors { .. }, .. } => "anchors (`&name`) are not allowed".to_owned(),
        Error::Budget { breach: BudgetBreach::Aliases { .. }, .. } | Error::UnknownAnchor { .. } => {
            "aliases (`*name`) are not allowed".to_owned()
        }
        Error::Budget { breach: BudgetBreach::Depth { .. }, .. } => format!("is nested deeper than {DEPTH_MAX}"),
        Error::MultipleDocuments { .. } | Error::Budget { breach: BudgetBreach::Documents { .. }, .. } => {
            "a file holds one document: remove the second `---`".to_owned()
        }
        other => {
            let text = other.to_string();
            let first = text.lines().next().unwrap_or_default();
            // The place is told beside the message.
            first.split(" at line ").next().unwrap_or(first).trim().to_owned()
        }
    }
}

fn number(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX).max(1)
}

fn node(raw: Raw, file: usize, problems: &mut Problems) -> Node {
    let Spanned { value: Tagged(value, tag), referenced, .. } = raw.0;
    let place = Place { file, line: number(referenced.line()), column: number(referenced.column()) };
    if let Some(tag) = tag {
        problems.add_bare(place, format!("tags are not allowed, got {tag:?}"));
    }
    let value = match value {
        RawValue::Plain(value) => value,
        RawValue::List(items) => Value::List(items.into_iter().map(|item| node(item, file, problems)).collect()),
        RawValue::Map(entries) => {
            let mut map: Vec<(Key, Node)> = Vec::with_capacity(entries.len());
            let mut seen = std::collections::HashSet::with_capacity(entries.len());
            for (key, value) in entries {
                let at = key.referenced;
                let place = Place { file, line: number(at.line()), column: number(at.column()) };
                let value = node(value, file, problems);
                if !seen.insert(key.value.clone()) {
                    problems.add_bare(place, format!("duplicate key {:?}", key.value));
                    continue;
                }
                map.push((Key { place, name: key.value }, value));
            }
            Value::Map(map)
        }
    };
    Node { place, value }
}

/// What serde sees of a node.
struct Raw(Spanned<Tagged<RawValue>>);

enum RawValue {
    Plain(Value),
    List(Vec<Raw>),
    Map(Vec<(Spanned<String>, Raw)>),
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Raw, D::Error> {
        Spanned::deserialize(deserializer).map(Raw)
    }
}

impl<'de> Deserialize<'de> for RawValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<RawValue, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = RawValue;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<RawValue, E> {
        Ok(RawValue::Plain(Value::Null))
    }

    fn visit_none<E>(self) -> Result<RawValue, E> {
        Ok(RawValue::Plain(Value::Null))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<RawValue, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bool<E>(self, value: bool) -> Result<RawValue, E> {
        Ok(RawValue::Plain(Value::Bool(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<RawValue, E> {
        Ok(RawValue::Plain(Value::Integer(value)))
    }

    fn visit_u64<E>(self, value: u64) -> Result<RawValue, E> {
        let value = i64::try_from(value).map_or_else(|_| Value::Number(value.to_string()), Value::Integer);
        Ok(RawValue::Plain(value))
    }

    fn visit_i128<E>(self, value: i128) -> Result<RawValue, E> {
        Ok(RawValue::Plain(Value::Number(value.to_string())))
    }

    fn visit_u128<E>(self, value: u128) -> Result<RawValue, E> {
        Ok(RawValue::Plain(Value::Number(value.to_string())))
    }

    /// Only shown, never counted with.
    fn visit_f64<E>(self, value: f64) -> Result<RawValue, E> {
        Ok(RawValue::Plain(Value::Number(value.to_string())))
    }

    fn visit_str<E>(self, value: &str) -> Result<RawValue, E> {
        Ok(RawValue::Plain(Value::Text(value.to_owned())))
    }

    fn visit_string<E>(self, value: String) -> Result<RawValue, E> {
        Ok(RawValue::Plain(Value::Text(value)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<RawValue, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            items.push(item);
        }
        Ok(RawValue::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawValue, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(RawValue::Map(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::SourceFile;

    fn problems_of(text: &str) -> Vec<String> {
        let mut problems = Problems::default();
        read(0, text, &mut problems);
        let source = SourceFile { path: "a.yaml".into(), text: text.into(), overlay: false };
        problems.into_list(&[source]).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn scalars_are_those_of_yaml_1_2_core() {
        let mut problems = Problems::default();
        let text = "[no, yes, on, 1M, 720p, 2.5, \"2.5\", 12, true, ~, null, 1_000, 007, 2026-11-24, 12:30, '']";
        let Value::List(items) = read(0, text, &mut problems).unwrap().value else { panic!("a list") };
        let shown: Vec<String> = items.iter().map(|item| item.value.describe()).collect();
        let expected = [
            "text \"no\"",
            "text \"yes\"",
            "text \"on\"",
            "text \"1M\"",
            "text \"720p\"",
            "number 2.5",
            "text \"2.5\"",
            "number 12",
            "boolean true",
            "nothing",
            "nothing",
            "text \"1_000\"",
            "text \"007\"",
            "text \"2026-11-24\"",
            "text \"12:30\"",
            "text \"\"",
        ];
        assert_eq!(shown, expected);
        assert_eq!((items[0].place.line, items[0].place.column), (1, 2));
        assert_eq!((items[1].place.line, items[1].place.column), (1, 6));
    }

    #[test]
    fn what_yaml_offers_beyond_data_is_refused() {
        for (text, expected) in [
            ("a: &x 1\nb: 2\n", "a.yaml:1:7: anchors (`&name`) are not allowed"),
            ("a: 1\nb: *x\n", "a.yaml:2:4: aliases (`*name`) are not allowed"),
            ("a: !!str 1\n", "a.yaml:1:10: tags are not allowed, got \"tag:yaml.org,2002:str\""),
            ("a: 1\nb: 2\na: 3\n", "a.yaml:3:1: duplicate key \"a\""),
            ("a: 1\n---\nb: 2\n", "a.yaml:2:1: a file holds one document: remove the second `---`"),
        ] {
            assert_eq!(problems_of(text), [expected], "{text:?}");
        }
    }

    #[test]
    fn broken_and_deep_texts_say_where() {
        for text in ["a: [1, 2\nb: 3\n", "a: \"x\n", "a: b: c\n", "a: 1\n  b: 2\n"] {
            let problems = problems_of(text);
            assert_eq!(problems.len(), 1, "{text:?}");
            assert!(problems[0].len() < 200, "{problems:?}");
        }
        let deep = "[".repeat(40) + &"]".repeat(40);
        assert_eq!(problems_of(&deep), ["a.yaml:1:17: is nested deeper than 16"]);
        assert!(problems_of("# nothing\n\n").is_empty());
    }
}
