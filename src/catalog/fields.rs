//! Typed reading of a node's fields, every misfit noted with its place. Must never know what the fields mean.

use std::ops::RangeInclusive;

use super::node::{Key, Node, Value};
use super::problem::{Place, Problems, Way, suggestion};

/// A map whose keys are all known.
#[derive(Clone, Copy)]
pub struct Fields<'n> {
    pub place: Place,
    pub way: &'n Way<'n>,
    entries: &'n [(Key, Node)],
}

impl<'n> Fields<'n> {
    /// Opens a map. Keys that are not in `known` are problems; `None` when it is no map.
    pub fn open(node: &'n Node, way: &'n Way<'n>, known: &[&str], problems: &mut Problems) -> Option<Fields<'n>> {
        let Value::Map(entries) = &node.value else {
            problems.add(node.place, way, format_args!("expected a map, got {}", node.value.describe()));
            return None;
        };
        for (key, _) in entries.iter().filter(|(key, _)| !known.contains(&key.name.as_str())) {
            let hint = suggestion(&key.name, known.iter().copied());
            problems.add(key.place, &Way::Field(way, &key.name), format_args!("is not a known field{hint}"));
        }
        Some(Fields { place: node.place, way, entries })
    }

    /// A field that is there and not null.
    pub fn get(&self, name: &str) -> Option<&'n Node> {
        let (_, node) = self.entries.iter().find(|(key, _)| key.name == name)?;
        (!matches!(node.value, Value::Null)).then_some(node)
    }

    /// Where to point for a field: at it, or at the whole when it is missing.
    pub fn place_of(&self, name: &str) -> Place {
        self.get(name).map_or(self.place, |node| node.place)
    }

    pub fn problem(&self, name: &str, problems: &mut Problems, message: impl std::fmt::Display) {
        problems.add(self.place_of(name), &Way::Field(self.way, name), message);
    }

    /// A text, or nothing when it is missing.
    pub fn text(&self, name: &str, problems: &mut Problems) -> Option<&'n str> {
        text_of(self.get(name)?, &Way::Field(self.way, name), problems)
    }

    /// A text that must be there and not be empty.
    pub fn text_needed(&self, name: &str, problems: &mut Problems) -> Option<&'n str> {
        if self.get(name).is_none() {
            self.problem(name, problems, "is missing");
            return None;
        }
        let text = self.text(name, problems)?;
        if text.trim().is_empty() {
            self.problem(name, problems, "is empty");
            return None;
        }
        Some(text)
    }

    /// A whole number within a range.
    pub fn integer(&self, name: &str, range: RangeInclusive<u64>, problems: &mut Problems) -> Option<u64> {
        let node = self.get(name)?;
        let number = match node.value {
            Value::Integer(value) => u64::try_from(value).ok().filter(|value| range.contains(value)),
            _ => None,
        };
        if number.is_none() {
            let (low, high) = range.into_inner();
            let got = node.value.describe();
            self.problem(name, problems, format_args!("expected a whole number from {low} to {high}, got {got}"));
        }
        number
    }

    pub fn boolean(&self, name: &str, default: bool, problems: &mut Problems) -> bool {
        match self.get(name).map(|node| &node.value) {
            None => default,
            Some(Value::Bool(value)) => *value,
            Some(other) => {
                self.problem(name, problems, format_args!("expected true or false, got {}", other.describe()));
                default
            }
        }
    }

    /// The items of a list, empty when it is missing.
    pub fn list(&self, name: &str, problems: &mut Problems) -> &'n [Node] {
        match self.get(name).map(|node| &node.value) {
            None => &[],
            Some(Value::List(items)) => items,
            Some(other) => {
                self.problem(name, problems, format_args!("expected a list, got {}", other.describe()));
                &[]
            }
        }
    }

    /// A list of texts.
    pub fn texts(&self, name: &str, problems: &mut Problems) -> Vec<(Place, &'n str)> {
        let way = Way::Field(self.way, name);
        let items = self.list(name, problems).iter().enumerate();
        items.filter_map(|(at, item)| Some((item.place, text_of(item, &Way::Item(&way, at), problems)?))).collect()
    }

    /// One of a closed set of words.
    pub fn word(&self, name: &str, allowed: &[&'static str], problems: &mut Problems) -> Option<&'static str> {
        let text = self.text(name, problems)?;
        let word = allowed.iter().copied().find(|word| *word == text);
        if word.is_none() {
            let hint = suggestion(text, allowed.iter().copied());
            let list = allowed.join(", ");
            self.problem(name, problems, format_args!("expected one of {list}, got {text:?}{hint}"));
        }
        word
    }
}

fn text_of<'n>(node: &'n Node, way: &Way<'_>, problems: &mut Problems) -> Option<&'n str> {
    match &node.value {
        Value::Text(text) => Some(text),
        other => {
            problems.add(node.place, way, format_args!("expected text, got {}", other.describe()));
            None
        }
    }
}
