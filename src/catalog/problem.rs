//! What is wrong in a catalog, and where. Must never know what the fields mean.

use std::fmt;

use super::SourceFile;

/// Most problems that are shown at once.
pub const PROBLEMS_MAX: usize = 50;
/// Most problems that are kept while a catalog is read; those shown are the first of them by place.
const PROBLEMS_KEPT_MAX: usize = 2000;

/// One thing wrong in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub path: String,
    pub line: usize,
    pub column: usize,
    /// `models[gpt-4o].price[3].usd: expected a quoted decimal, got number 2.5`
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.path, self.line, self.column, self.message)
    }
}

/// A place in the sources: number of the file, line and column from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub file: usize,
    pub line: usize,
    pub column: usize,
}

/// The way from the root of the catalog to a field: `models[gpt-4o].price[3].usd`. Borrowed, so that it costs nothing until
/// it is shown.
#[derive(Debug, Clone, Copy)]
pub enum Way<'a> {
    Root(&'a str),
    Field(&'a Way<'a>, &'a str),
    Item(&'a Way<'a>, usize),
    Id(&'a Way<'a>, &'a str),
}

impl fmt::Display for Way<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Way::Root(name) => f.write_str(name),
            Way::Field(Way::Root(""), name) => f.write_str(name),
            Way::Field(parent, name) => write!(f, "{parent}.{name}"),
            Way::Item(parent, at) => write!(f, "{parent}[{at}]"),
            Way::Id(parent, id) => write!(f, "{parent}[{id}]"),
        }
    }
}

/// Collects problems in any order.
#[derive(Debug, Default)]
pub struct Problems {
    found: Vec<(Place, String)>,
}

impl Problems {
    /// Notes a problem of a field.
    pub fn add(&mut self, place: Place, way: &Way<'_>, message: impl fmt::Display) {
        self.add_bare(place, format!("{way}: {message}"));
    }

    /// Notes a problem of a file.
    pub fn add_bare(&mut self, place: Place, message: String) {
        if self.found.len() < PROBLEMS_KEPT_MAX {
            self.found.push((place, message));
        }
    }

    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    pub fn len(&self) -> usize {
        self.found.len()
    }

    /// The first `PROBLEMS_MAX`, ordered by file, line and column.
    pub fn into_list(mut self, sources: &[SourceFile]) -> Vec<Problem> {
        self.found.sort();
        self.found.dedup();
        self.found.truncate(PROBLEMS_MAX);
        let shown = |(place, message): (Place, String)| Problem {
            path: sources.get(place.file).map_or_else(|| "catalog".to_owned(), |source| source.path.clone()),
            line: place.line,
            column: place.column,
            message,
        };
        self.found.into_iter().map(shown).collect()
    }
}

/// The nearest of `names` to a misspelt one, as the end of a message: `; did you mean "output_tokens"?`
pub fn suggestion<'a>(wrong: &str, names: impl IntoIterator<Item = &'a str>) -> String {
    match nearest(wrong, names, 1).first() {
        Some(name) => format!("; did you mean {name:?}?"),
        None => String::new(),
    }
}

/// Up to `max` names that are near to a misspelt one, the nearest first.
///
/// Near means at most a third of the letters changed (and never more than `DISTANCE_MAX`), or one beginning the other. A
/// client can ask for any name, so the work is bounded: long names are cut, and names of another length are not compared.
pub fn nearest<'a>(wrong: &str, names: impl IntoIterator<Item = &'a str>, max: usize) -> Vec<&'a str> {
    const COMPARED_CHARS_MAX: usize = 64;
    const DISTANCE_MAX: usize = 4;
    let wrong: String = wrong.chars().take(COMPARED_CHARS_MAX).collect::<String>().to_lowercase();
    let distance_max = (wrong.chars().count() / 3).clamp(1, DISTANCE_MAX);
    let mut near: Vec<(usize, &str)> = Vec::new();
    for name in names {
        let length_gap = wrong.len().abs_diff(name.len());
        if wrong.len() >= 3 && (name.starts_with(wrong.as_str()) || wrong.starts_with(name)) {
            near.push((length_gap, name));
        } else if length_gap <= DISTANCE_MAX {
            let distance = strsim::osa_distance(&wrong, name);
            near.extend((distance <= distance_max).then_some((distance, name)));
        }
    }
    near.sort_unstable();
    near.truncate(max);
    near.into_iter().map(|(_, name)| name).collect()
}
