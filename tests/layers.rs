//! Proves the layering of `ARCHITECTURE.md`: reads every `use crate::…` and `crate::…` path and fails on an arrow that is not
//! in the table, and on a core module that reaches for the world.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Module, what it may import.
const ARROWS: &[(&str, &[&str])] = &[
    ("wire", &[]),
    ("pricing", &["wire"]),
    ("catalog", &["pricing", "wire"]),
    ("routing", &["catalog", "pricing", "wire"]),
    ("ledger", &["pricing", "wire"]),
    ("config", &["catalog"]),
    ("telemetry", &[]),
    ("egress", &[]),
    ("demo", &[]),
    ("api", &["ledger", "routing", "catalog", "pricing", "wire", "config", "telemetry", "demo"]),
    ("proxy", &["api", "ledger", "routing", "catalog", "pricing", "wire", "config", "telemetry", "egress"]),
    (
        "app",
        &["proxy", "api", "ledger", "routing", "catalog", "pricing", "wire", "config", "telemetry", "egress", "demo"],
    ),
];

/// What the pure core must never name.
const WORLD: &[&str] = &[
    "tokio",
    "pingora",
    "std::fs",
    "std::net",
    "std::io::Read",
    "std::thread",
    "SystemTime",
    "Instant::now",
    "tracing",
    "getrandom",
    "rusqlite",
    "axum",
    "reqwest",
];
const CORE: &[&str] = &["wire", "pricing", "catalog", "routing"];
const PINGORA: &[&str] = &["proxy", "app"];

fn sources(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|e| e == "rs") {
            into.push(path);
        }
    }
}

/// The code of a file without comments and without its `#[cfg(test)]` tail.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let text = text.split("#[cfg(test)]\nmod ").next().unwrap().to_owned();
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

fn is_test_file(path: &Path) -> bool {
    let read_by_tests = ["tests.rs", "recordings.rs"];
    path.file_name().is_some_and(|name| read_by_tests.iter().any(|file| name == *file))
        || path.components().any(|c| c.as_os_str() == "tests")
}

fn module_of(path: &Path, src: &Path) -> String {
    let first = path.strip_prefix(src).unwrap().components().next().unwrap();
    first.as_os_str().to_str().unwrap().trim_end_matches(".rs").to_owned()
}

/// The first segments of every `crate::x` path, also inside `use crate::{a, b}`.
fn imports(code: &str) -> BTreeSet<String> {
    let word = |s: &str| s.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut found = BTreeSet::new();
    for rest in code.split("crate::").skip(1) {
        if let Some(group) = rest.strip_prefix('{') {
            let mut depth = 0;
            let mut item = String::new();
            for c in group.chars() {
                match c {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => {
                        found.insert(word(item.trim()));
                        item.clear();
                        continue;
                    }
                    _ => {}
                }
                item.push(c);
            }
            found.insert(word(item.trim()));
        } else {
            found.insert(word(rest));
        }
    }
    found.remove("");
    found
}

#[test]
fn arrows_point_down() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&src, &mut files);
    let mut wrong = Vec::new();
    for file in files {
        let module = module_of(&file, &src);
        if module == "lib" || module == "main" {
            continue;
        }
        let code = code(&file);
        let (_, allowed) = ARROWS
            .iter()
            .find(|(name, _)| *name == module)
            .unwrap_or_else(|| panic!("module {module} is not in the table of tests/layers.rs"));
        // What proves the demo against the translators knows both.
        let proof = file.ends_with("demo/translated.rs");
        for import in imports(&code) {
            if !proof && import != module && !allowed.contains(&import.as_str()) {
                wrong.push(format!("{}: {module} may not import {import}", file.display()));
            }
        }
        if is_test_file(&file) {
            continue;
        }
        if CORE.contains(&module.as_str()) {
            for name in WORLD.iter().filter(|name| code.contains(**name)) {
                wrong.push(format!("{}: the pure core names {name}", file.display()));
            }
        }
        if !PINGORA.contains(&module.as_str()) && code.contains("pingora::") {
            wrong.push(format!("{}: {module} must not know pingora", file.display()));
        }
        if module != "egress" && module != "app" && code.contains("reqwest::") {
            wrong.push(format!("{}: the outbound client belongs in egress", file.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_reader_of_imports_sees_groups_and_paths() {
    let code = "use crate::{wire::{A, B}, pricing}; fn f() -> crate::ledger::X {}";
    assert_eq!(imports(code), BTreeSet::from(["wire".into(), "pricing".into(), "ledger".into()]));
}
