//! Base files and overlays → one set of entries by id. Must never know what the fields mean, but for the two kinds of lists
//! that merge by identity: entries with an `id`, and price rows.

use std::collections::HashMap;

use super::SourceFile;
use super::node::{Key, Node, Trees, Value};
use super::problem::{Place, Problems, Way, suggestion};

/// A model, provider or tombstone, as its files have it after merging.
#[derive(Debug)]
pub struct Entry {
    pub id: String,
    /// Where its id stands.
    pub place: Place,
    pub node: Node,
    /// Known only to an overlay.
    pub own: bool,
}

/// Entries of one kind, in the order of the files.
#[derive(Debug, Default)]
pub struct Entries {
    list: Vec<Option<Entry>>,
    by_id: HashMap<String, usize>,
}

/// What the files of a catalog say together.
#[derive(Debug, Default)]
pub struct Merged {
    pub models: Entries,
    pub providers: Entries,
    pub retired: Entries,
    /// `catalog.yaml`.
    pub head: Option<Node>,
    /// A factor on every price that has none of its own.
    pub markup: Option<Node>,
    /// Names of input shapes, `chat@1`.
    pub inputs: Vec<String>,
}

/// What a file of the base tree holds, by its place in the tree.
enum Kind<'a> {
    Head,
    Providers,
    Models,
    Retired,
    Input(&'a str),
    Unknown,
}

const OVERLAY_FIELDS: &[&str] = &["models", "providers", "retired", "markup"];

/// Reads and merges all files: base files first, then the overlays in their order.
pub fn merge(sources: &[SourceFile], trees: &mut Trees, problems: &mut Problems) -> Merged {
    let mut merged = Merged::default();
    for (file, source) in sources.iter().enumerate().filter(|(_, source)| !source.overlay) {
        base_file(&mut merged, file, source, trees, problems);
    }
    for (file, source) in sources.iter().enumerate().filter(|(_, source)| source.overlay) {
        overlay_file(&mut merged, file, source, trees, problems);
    }
    for entry in merged.models.list.iter_mut().flatten() {
        list_channels(&mut entry.node, problems);
    }
    merged
}

/// Channels written as a map by id become a list.
fn list_channels(model: &mut Node, problems: &mut Problems) {
    let Value::Map(fields) = &mut model.value else { return };
    let channels = fields.iter_mut().find(|(key, _)| key.name == "channels").map(|(_, node)| node);
    if let Some(node) = channels.filter(|node| matches!(node.value, Value::Map(_))) {
        let nothing = Node { place: node.place, value: Value::Null };
        lay_channels(node, nothing, problems);
    }
}

fn kind(path: &str) -> Kind<'_> {
    let mut parts = path.rsplit('/');
    let name = parts.next().unwrap_or_default();
    let folder = parts.next().unwrap_or_default();
    match (folder, name) {
        // By name first: the tree itself may lie in a folder of any name.
        (_, "catalog.yaml") => Kind::Head,
        (_, "providers.yaml") => Kind::Providers,
        (_, "retired.yaml") => Kind::Retired,
        ("models", _) => Kind::Models,
        ("inputs", _) => name.strip_suffix(".json").map_or(Kind::Unknown, Kind::Input),
        _ => Kind::Unknown,
    }
}

fn base_file(merged: &mut Merged, file: usize, source: &SourceFile, trees: &mut Trees, problems: &mut Problems) {
    let start = Place { file, line: 1, column: 1 };
    let (name, entries) = match kind(&source.path) {
        Kind::Head => {
            merged.head = trees.read(file, source, problems);
            return;
        }
        Kind::Input(name) => {
            match serde_json::from_str::<serde::de::IgnoredAny>(&source.text) {
                Ok(_) => merged.inputs.push(name.to_owned()),
                Err(error) => {
                    let place = Place { file, line: error.line().max(1), column: error.column().max(1) };
                    problems.add_bare(place, format!("is not JSON: {error}"));
                }
            }
            return;
        }
        Kind::Unknown => {
            problems.add_bare(start, "a catalog has no file of this name".to_owned());
            return;
        }
        Kind::Providers => ("providers", &mut merged.providers),
        Kind::Models => ("models", &mut merged.models),
        Kind::Retired => ("retired", &mut merged.retired),
    };
    let Some(node) = trees.read(file, source, problems) else { return };
    for item in identified(node, &Way::Root(name), problems) {
        if let Some(known) = entries.get(&item.id) {
            let first = known.place.line;
            let way = Way::Root(name);
            problems.add(item.place, &Way::Id(&way, &item.id), format_args!("is defined twice, first in line {first}"));
        } else if let Some(node) = item.node {
            entries.insert(Entry { id: item.id, place: item.place, node, own: false });
        }
    }
}

fn overlay_file(merged: &mut Merged, file: usize, source: &SourceFile, trees: &mut Trees, problems: &mut Problems) {
    let Some(node) = trees.read(file, source, problems) else { return };
    let Value::Map(sections) = node.value else {
        problems
            .add_bare(node.place, format!("expected a map with models or providers, got {}", node.value.describe()));
        return;
    };
    for (key, node) in sections {
        let entries = match key.name.as_str() {
            "models" => &mut merged.models,
            "providers" => &mut merged.providers,
            "retired" => &mut merged.retired,
            "markup" => {
                merged.markup = Some(node);
                continue;
            }
            other => {
                let hint = suggestion(other, OVERLAY_FIELDS.iter().copied());
                problems.add(key.place, &Way::Root(other), format_args!("is not a known field{hint}"));
                continue;
            }
        };
        let way = Way::Root(&key.name);
        for item in identified(node, &way, problems) {
            entries.apply(item, &Way::Root(&key.name), problems);
        }
    }
}

impl Entries {
    pub fn get(&self, id: &str) -> Option<&Entry> {
        self.by_id.get(id).and_then(|at| self.list[*at].as_ref())
    }

    pub fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.list.iter().flatten()
    }

    fn insert(&mut self, entry: Entry) {
        self.by_id.insert(entry.id.clone(), self.list.len());
        self.list.push(Some(entry));
    }

    /// Lays an overlay's item over the entry of its id.
    fn apply(&mut self, item: Identified, way: &Way<'_>, problems: &mut Problems) {
        let known = self.by_id.get(&item.id).copied();
        match (known, item.node) {
            (Some(at), None) => {
                self.by_id.remove(&item.id);
                self.list[at] = None;
            }
            (None, None) => {
                let hint = suggestion(&item.id, self.by_id.keys().map(String::as_str));
                problems.add(
                    item.place,
                    &Way::Id(way, &item.id),
                    format_args!("cannot be removed: it is not there{hint}"),
                );
            }
            (Some(at), Some(node)) => {
                let entry = self.list[at].as_mut().expect("an id in the index has its entry");
                lay_over(&mut entry.node, node, problems);
            }
            (None, Some(node)) => self.insert(Entry { id: item.id, place: item.place, node, own: true }),
        }
    }
}

/// An item of a list by id, or of a map by id. Without a node it removes.
struct Identified {
    id: String,
    place: Place,
    node: Option<Node>,
}

/// Reads `[{id: a, …}]` or `{a: {…}}`. Items of a map get their `id` field.
fn identified(node: Node, way: &Way<'_>, problems: &mut Problems) -> Vec<Identified> {
    match node.value {
        Value::Null => Vec::new(),
        Value::List(items) => {
            let read = |(at, item): (usize, Node)| match item.value {
                Value::Map(_) => with_own_id(item, &Way::Item(way, at), problems),
                _ => {
                    let got = item.value.describe();
                    problems.add(item.place, &Way::Item(way, at), format_args!("expected a map with an id, got {got}"));
                    None
                }
            };
            items.into_iter().enumerate().filter_map(read).collect()
        }
        Value::Map(entries) => entries.into_iter().filter_map(|(key, node)| keyed(key, node, way, problems)).collect(),
        _ => {
            problems.add(node.place, way, format_args!("expected a list, got {}", node.value.describe()));
            Vec::new()
        }
    }
}

fn with_own_id(item: Node, way: &Way<'_>, problems: &mut Problems) -> Option<Identified> {
    let Value::Map(fields) = &item.value else { return None };
    match fields.iter().find(|(key, _)| key.name == "id") {
        Some((_, Node { place, value: Value::Text(id) })) => {
            Some(Identified { id: id.clone(), place: *place, node: Some(item) })
        }
        Some((_, other)) => {
            let got = other.value.describe();
            problems.add(other.place, &Way::Field(way, "id"), format_args!("expected text, got {got}"));
            None
        }
        None => {
            problems.add(item.place, &Way::Field(way, "id"), "is missing");
            None
        }
    }
}

fn keyed(key: Key, mut node: Node, way: &Way<'_>, problems: &mut Problems) -> Option<Identified> {
    match &mut node.value {
        Value::Null => Some(Identified { id: key.name, place: key.place, node: None }),
        Value::Map(fields) => {
            if !fields.iter().any(|(field, _)| field.name == "id") {
                let id = Node { place: key.place, value: Value::Text(key.name.clone()) };
                fields.insert(0, (Key { place: key.place, name: "id".to_owned() }, id));
            }
            Some(Identified { id: key.name, place: key.place, node: Some(node) })
        }
        other => {
            let got = other.describe();
            problems.add(
                node.place,
                &Way::Id(way, &key.name),
                format_args!("expected a map, or null to remove, got {got}"),
            );
            None
        }
    }
}

/// Lays a map over a map, key by key. `null` removes; what is no map replaces.
fn lay_over(base: &mut Node, over: Node, problems: &mut Problems) {
    let place = over.place;
    let (fields, laid) = match (&mut base.value, over.value) {
        (Value::Map(fields), Value::Map(laid)) => (fields, laid),
        (_, value) => {
            *base = Node { place, value };
            return;
        }
    };
    for (key, node) in laid {
        let at = fields.iter().position(|(known, _)| known.name == key.name);
        match (at, &node.value) {
            (Some(at), Value::Null) => drop(fields.remove(at)),
            (None, Value::Null) => {}
            (Some(at), _) => match key.name.as_str() {
                "channels" => lay_channels(&mut fields[at].1, node, problems),
                "price" | "cost" => lay_rows(&mut fields[at].1, node),
                _ => lay_over(&mut fields[at].1, node, problems),
            },
            (None, _) => fields.push((key, node)),
        }
    }
}

/// Channels merge by id; a list and a map by id mean the same.
fn lay_channels(base: &mut Node, over: Node, problems: &mut Problems) {
    let way = Way::Root("channels");
    let place = base.place;
    let mut entries = Entries::default();
    let owned = std::mem::replace(base, Node { place, value: Value::Null });
    for item in identified(owned, &way, problems) {
        match item.node {
            Some(_) if entries.get(&item.id).is_some() => {
                problems.add(item.place, &Way::Id(&way, &item.id), "is defined twice");
            }
            Some(node) => entries.insert(Entry { id: item.id, place: item.place, node, own: false }),
            None => {}
        }
    }
    for item in identified(over, &way, problems) {
        entries.apply(item, &way, problems);
    }
    base.value = Value::List(entries.list.into_iter().flatten().map(|entry| entry.node).collect());
}

/// Price rows merge by meter and conditions. A row whose `usd` is null removes.
fn lay_rows(base: &mut Node, over: Node) {
    let place = over.place;
    let (rows, laid) = match (&mut base.value, over.value) {
        (Value::List(rows), Value::List(laid)) => (rows, laid),
        (_, value) => {
            *base = Node { place, value };
            return;
        }
    };
    for row in laid {
        let identity = row_identity(&row);
        let at = rows.iter().position(|known| row_identity(known) == identity);
        let removes = matches!(row.field("usd"), Some(Node { value: Value::Null, .. }));
        match at {
            Some(at) if removes => drop(rows.remove(at)),
            Some(at) => rows[at] = row,
            None => rows.push(row),
        }
    }
}

/// Meter and conditions of a price row as text.
fn row_identity(row: &Node) -> (Option<String>, Vec<(String, String)>) {
    let meter = row.field("meter").map(|node| node.value.describe());
    let mut when: Vec<(String, String)> = match row.field("when").map(|node| &node.value) {
        Some(Value::Map(fields)) => {
            fields.iter().map(|(key, node)| (key.name.clone(), node.value.describe())).collect()
        }
        _ => Vec::new(),
    };
    when.sort();
    (meter, when)
}
