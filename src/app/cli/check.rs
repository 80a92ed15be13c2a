//! `qingwave check`: configuration and catalog, every problem at once, with places and carets.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use super::{Failure, print, read_text};
use crate::api::ReloadRefused;
use crate::app::reload::{Places, Reloader};
use crate::catalog::{Catalog, ChannelState, Problem};
use crate::config::{self, Config};

/// Bytes of a file that lines are shown from.
const SHOWN_BYTES_MAX: u64 = 8 << 20;

pub fn run(path: &Path, as_json: bool) -> Result<(), Failure> {
    let text = read_text(path)?;
    let config = match Config::read(path, &text, &config::resolve) {
        Ok(config) => config,
        Err(refused) => {
            return end(as_json, &refused.rendered, &refused.list, "the configuration; the catalog was not looked at");
        }
    };
    match compile(&config) {
        Ok(catalog) => praise(as_json, &catalog),
        Err(Broken { rendered, problems }) => end(as_json, &rendered, &problems, "the catalog"),
    }
}

/// A catalog that cannot be used.
pub struct Broken {
    pub rendered: String,
    pub problems: Vec<Problem>,
}

/// Reads and compiles the catalog of a configuration.
pub fn compile(config: &Config) -> Result<Catalog, Broken> {
    let places = Places {
        catalog_dir: config.catalog_dir.clone(),
        overlay_dir: config.overlay_dir.clone(),
        data_dir: config.data_dir.clone(),
        demo: None,
    };
    Reloader::new(places).check().map_err(|refused| match refused {
        ReloadRefused::Broken(problems) => Broken { rendered: render(&problems), problems },
        ReloadRefused::Unreadable(problem) => unreadable(config, problem),
        // A check compares with nothing, so nothing needs to be forced.
        ReloadRefused::NeedsForce(changes) => unreadable(config, changes.join("; ")),
    })
}

fn unreadable(config: &Config, problem: String) -> Broken {
    let path = config.catalog_dir.display().to_string();
    let rendered = format!("qingwave: the catalog cannot be read: {problem}\n");
    Broken { rendered, problems: vec![Problem { path, line: 1, column: 1, message: problem }] }
}

/// Each problem with its line, read again from the file it names.
fn render(problems: &[Problem]) -> String {
    let mut texts: BTreeMap<&str, String> = BTreeMap::new();
    let mut rendered = String::new();
    for problem in problems {
        let text = texts.entry(&problem.path).or_insert_with(|| source(&problem.path));
        config::show_problem(&mut rendered, text, problem);
    }
    rendered
}

/// A file's beginning, for its lines; nothing where it is gone by now.
fn source(path: &str) -> String {
    use std::io::Read as _;
    let mut text = String::new();
    match std::fs::File::open(path).and_then(|file| file.take(SHOWN_BYTES_MAX).read_to_string(&mut text)) {
        Ok(_) => text,
        Err(_) => String::new(),
    }
}

fn end(as_json: bool, rendered: &str, problems: &[Problem], of: &str) -> Result<(), Failure> {
    if as_json {
        print::json(&json!({"ok": false, "problems": problems.iter().map(problem_json).collect::<Vec<_>>()}))?;
        return Err(Failure::BadConfiguration(String::new()));
    }
    let count = print::count(problems.len(), "problem");
    Err(Failure::BadConfiguration(format!("{rendered}{count} in {of}\n")))
}

fn problem_json(problem: &Problem) -> Value {
    json!({"path": problem.path, "line": problem.line, "column": problem.column, "message": problem.message})
}

/// The result of `catalog lint`.
pub fn broken(as_json: bool, broken: &Broken) -> Result<(), Failure> {
    end(as_json, &broken.rendered, &broken.problems, "the catalog")
}

pub fn praise(as_json: bool, catalog: &Catalog) -> Result<(), Failure> {
    let models = catalog.models().len();
    let states: Vec<_> =
        catalog.models().iter().flat_map(|model| &model.channels).map(|channel| channel.state).collect();
    let ready = states.iter().filter(|state| **state == ChannelState::Ready).count();
    if as_json {
        let counts = json!({"ok": true, "problems": [], "rev": catalog.rev, "models": models, "channels": states.len(), "ready": ready});
        return print::json(&counts);
    }
    let (models, channels) = (print::count(models, "model"), print::count(states.len(), "channel"));
    print::out(&format!("ok: {models}, {channels}, {ready} ready (their provider's key is configured)\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_catalogs_problem_is_shown_in_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.yaml").display().to_string();
        std::fs::write(&path, "- id: X\n").unwrap();
        let problem = |path: &str| Problem { path: path.into(), line: 1, column: 7, message: "not an id".into() };
        let rendered = render(&[problem(&path), problem("gone.yaml")]);
        let expected = format!("{path}:1:7: not an id\n   |\n 1 | - id: X\n   |       ^\ngone.yaml:1:7: not an id\n");
        assert_eq!(rendered, expected);
    }
}
