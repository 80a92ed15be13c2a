//! Takes typed values out of a map of the tree, and collects everything that is wrong on the way.
//!
//! A field that is absent, empty or wrong yields its default, so that one problem does not hide another.

use std::cell::RefCell;
use std::fmt::Display;
use std::ops::RangeInclusive;

use super::tree::{Key, Node, Place, Value};

/// More are counted, not shown.
pub const PROBLEMS_MAX: usize = 50;
/// A name this similar is offered (Jaro-Winkler; 1 = the same).
const SIMILAR_ENOUGH: f64 = 0.8;

/// A key with one of these in its name may have a secret for its value, wherever it was put by mistake.
const SECRET_WORDS: &[&str] = &["secret", "key", "pepper", "token", "password"];

/// One thing wrong.
#[derive(Debug, Clone)]
pub struct Found {
    pub place: Place,
    pub message: String,
    /// What stands there may be a secret.
    pub hidden: bool,
    /// Characters from the place on that are its key, and may be shown.
    pub key_width: usize,
}

/// What is wrong so far.
#[derive(Debug, Default)]
pub struct Problems(RefCell<Vec<Found>>);

impl Problems {
    pub fn add(&self, place: Place, message: impl Into<String>) {
        self.push(Found { place, message: message.into(), hidden: false, key_width: 0 });
    }

    /// At a value that may be a secret.
    pub fn add_hidden(&self, place: Place, message: impl Into<String>) {
        self.push(Found { place, message: message.into(), hidden: true, key_width: 0 });
    }

    /// At a key whose value may be a secret.
    pub fn add_hidden_after(&self, key: &Key, message: impl Into<String>) {
        let place = key.place();
        self.push(Found { place, message: message.into(), hidden: true, key_width: place.width });
    }

    fn push(&self, found: Found) {
        self.0.borrow_mut().push(found);
    }

    /// In the order of the file.
    pub fn into_sorted(self) -> Vec<Found> {
        let mut found = self.0.into_inner();
        found.sort_by_key(|f| (f.place.line, f.place.column));
        found
    }
}

/// A map of the file: the top level, or a section of it.
pub struct Fields<'a> {
    /// `""` at the top, else `limits.` and the like.
    prefix: &'static str,
    entries: &'a [(Key, Node)],
    /// Every key of the configuration with its prefix: what is taken, and what "did you mean" offers.
    schema: &'static [&'static str],
    /// Whether the values here may be secrets.
    hidden: bool,
    problems: &'a Problems,
}

impl<'a> Fields<'a> {
    /// The top level. A node that is not a map is a problem and counts as an empty one.
    pub fn top(node: Option<&'a Node>, schema: &'static [&'static str], problems: &'a Problems) -> Fields<'a> {
        let entries = node.map_or(&[][..], |node| map_entries(node, "the file", problems));
        Fields { prefix: "", entries, schema, hidden: false, problems }.checked()
    }

    /// A section; `prefix` is its name with a dot. Taken once: its unknown keys are reported here.
    pub fn section(&self, prefix: &'static str) -> Fields<'a> {
        let name = prefix.trim_end_matches('.');
        let entries = self.find(name).map_or(&[][..], |node| map_entries(node, name, self.problems));
        self.with(prefix, entries).checked()
    }

    /// The same section again, to check fields against each other.
    pub fn quiet_section(&self, prefix: &'static str) -> Fields<'a> {
        let entries = match self.find(prefix.trim_end_matches('.')).map(Node::value) {
            Some(Value::Map(entries)) => &entries[..],
            _ => &[],
        };
        self.with(prefix, entries)
    }

    /// Whether a field of a section was written, rightly or wrongly.
    pub fn section_has(&self, prefix: &'static str, name: &str) -> bool {
        self.quiet_section(prefix).place(name).is_some()
    }

    fn with(&self, prefix: &'static str, entries: &'a [(Key, Node)]) -> Fields<'a> {
        Fields { prefix, entries, schema: self.schema, hidden: prefix == "secrets.", problems: self.problems }
    }

    /// Where a field's value stands, to say something about it later.
    pub fn place(&self, name: &str) -> Option<Place> {
        self.find(name).map(Node::place)
    }

    pub fn text(&self, name: &str, example: &str) -> Option<(&'a str, Place)> {
        let node = self.find(name)?;
        match node.value() {
            Value::Text(text) if !text.is_empty() => Some((text, node.place())),
            other => {
                self.wrong(name, node, format!("text such as {example}"), other);
                None
            }
        }
    }

    pub fn integer<N: TryFrom<i128> + Display + Copy>(&self, name: &str, default: N, range: RangeInclusive<i128>) -> N {
        let Some(node) = self.find(name) else { return default };
        let (low, high) = (range.start(), range.end());
        match node.value() {
            Value::Integer(value) if range.contains(value) => N::try_from(*value).unwrap_or(default),
            other => {
                self.wrong(name, node, format!("a whole number from {low} to {high}"), other);
                default
            }
        }
    }

    pub fn boolean(&self, name: &str, default: bool) -> bool {
        let Some(node) = self.find(name) else { return default };
        match node.value() {
            Value::Bool(value) => *value,
            other => {
                self.wrong(name, node, "true or false".to_owned(), other);
                default
            }
        }
    }

    pub fn choice<T: Copy>(&self, name: &str, default: T, choices: &[(&'static str, T)]) -> T {
        let Some(node) = self.find(name) else { return default };
        if let Value::Text(text) = node.value()
            && let Some((_, choice)) = choices.iter().find(|(word, _)| word == text)
        {
            return *choice;
        }
        let words = choices.iter().map(|(word, _)| *word).collect::<Vec<_>>();
        self.wrong(name, node, words.join(" or "), node.value());
        default
    }

    /// Says that a field's value is wrong.
    pub fn refuse(&self, name: &str, place: Place, problem: impl Display) {
        let message = format!("{}{name}: {problem}", self.prefix);
        if self.hidden { self.problems.add_hidden(place, message) } else { self.problems.add(place, message) }
    }

    fn wrong(&self, name: &str, node: &Node, expected: String, got: &Value) {
        let got = if self.hidden { String::new() } else { format!(", got {}", got.describe()) };
        self.refuse(name, node.place(), format!("expected {expected}{got}"));
    }

    /// The first value of a key. A key without a value counts as absent.
    fn find(&self, name: &str) -> Option<&'a Node> {
        debug_assert!(self.knows(name), "{}{name} is not in the schema", self.prefix);
        let (_, node) = self.entries.iter().find(|(key, _)| key.name() == name)?;
        (!matches!(node.value(), Value::Null)).then_some(node)
    }

    fn knows(&self, name: &str) -> bool {
        self.schema.iter().any(|known| known.strip_prefix(self.prefix) == Some(name))
    }

    /// Reports unknown and duplicate keys.
    fn checked(self) -> Fields<'a> {
        for (index, (key, _)) in self.entries.iter().enumerate() {
            let name = key.name();
            if !self.knows(name) {
                let hint = self.nearest(name).map_or_else(
                    || format!("known here: {}", self.siblings().collect::<Vec<_>>().join(", ")),
                    |near| format!("did you mean {near:?}?"),
                );
                self.at_key(key, format!("unknown key \"{}{name}\": {hint}", self.prefix));
            } else if let Some((first, _)) = self.entries[..index].iter().find(|(k, _)| k.name() == name) {
                let line = first.place().line;
                self.at_key(key, format!("duplicate key \"{}{name}\": it stands on line {line} already", self.prefix));
            }
        }
        self
    }

    /// What stands after a key of a secret, also of a mistaken one, is hidden.
    fn at_key(&self, key: &Key, message: String) {
        let name = key.name().to_ascii_lowercase();
        let secret = self.hidden || SECRET_WORDS.iter().any(|word| name.contains(word));
        if secret { self.problems.add_hidden_after(key, message) } else { self.problems.add(key.place(), message) }
    }

    fn siblings(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.schema.iter().filter_map(|known| known.strip_prefix(self.prefix)).filter(|name| !name.contains('.'))
    }

    /// The same name in another section, else a sibling with a similar one.
    fn nearest(&self, name: &str) -> Option<&'static str> {
        let elsewhere = self.schema.iter().find(|known| known.rsplit('.').next() == Some(name)).copied();
        elsewhere.or_else(|| {
            self.siblings()
                .map(|known| (strsim::jaro_winkler(name, known), known))
                .max_by(|a, b| a.0.total_cmp(&b.0))
                .filter(|(likeness, _)| *likeness >= SIMILAR_ENOUGH)
                .map(|(_, known)| known)
        })
    }
}

fn map_entries<'a>(node: &'a Node, name: &str, problems: &Problems) -> &'a [(Key, Node)] {
    match node.value() {
        Value::Map(entries) => entries,
        // The value of a wrong "secrets" may be one.
        other if name == "secrets" => {
            problems.add_hidden(node.place(), format!("{name}: expected a map, got {}", kind(other)));
            &[]
        }
        other => {
            problems.add(node.place(), format!("{name}: expected a map, got {}", other.describe()));
            &[]
        }
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::List => "a list",
        _ => "a value",
    }
}
