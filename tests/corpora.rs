//! The fuzz targets' bodies over their corpora and over our own fixtures, on stable Rust and in seconds: what was found once
//! stays found.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::path::{Path, PathBuf};

#[path = "../fuzz/bodies/mod.rs"]
mod bodies;

fn package() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The files of a folder; none where there is no folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_file()).collect();
    paths.sort();
    paths
}

/// The folders of fixtures that are a target's seeds.
fn seeds(target: &str) -> Vec<PathBuf> {
    let wire = package().join("tests/fixtures/wire");
    let folders: &[&str] = match target {
        "answer_chat" => &["answers/openai_chat"],
        "answer_responses" => &["answers/openai_responses"],
        "answer_messages" => &["answers/anthropic_messages"],
        "answer_gemini" | "array" => &["answers/gemini"],
        "request_chat" => &["requests/openai_chat"],
        "request_responses" => &["requests/openai_responses"],
        "request_messages" => &["requests/anthropic_messages"],
        "request_gemini" => &["requests/gemini"],
        "head" | "splice" => {
            &["requests/openai_chat", "requests/openai_responses", "requests/anthropic_messages", "requests/gemini"]
        }
        "translate" | "tap" => {
            &["answers/openai_chat", "answers/openai_responses", "answers/anthropic_messages", "answers/gemini"]
        }
        "media" => &[],
        other => panic!("{other} has no seeds here"),
    };
    folders.iter().map(|folder| wire.join(folder)).collect()
}

/// What a target makes of a fixture.
fn inputs(target: &str, folder: usize, bytes: Vec<u8>) -> Vec<Vec<u8>> {
    let with = |before: &[u8], after: &[u8]| [before, &bytes, after].concat();
    match target {
        // To every client, whole and streamed, and in turn with all else that the control byte says.
        "translate" => (0..64_u8).map(|way| with(b"", &[way << 2 | folder as u8, way.wrapping_mul(37)])).collect(),
        "tap" => [1, 7, 200].map(|cut| with(&[cut], b"")).into(),
        _ => vec![bytes],
    }
}

fn run(target: &str, path: &Path, input: &[u8]) {
    if let Err(panic) = std::panic::catch_unwind(|| bodies::run(target, input)) {
        println!(
            "{target}: {} ({} bytes), its end {:?}",
            path.display(),
            input.len(),
            input.last_chunk::<{ bodies::CONTROL_BYTES }>()
        );
        std::panic::resume_unwind(panic);
    }
}

#[test]
fn every_target_holds_over_its_corpus() {
    for (target, _) in bodies::TARGETS {
        let corpus = files(&package().join("fuzz/corpus").join(target));
        for path in &corpus {
            run(target, path, &std::fs::read(path).unwrap());
        }
        let mut seeded = 0;
        for (at, folder) in seeds(target).iter().enumerate() {
            for path in files(folder) {
                for input in inputs(target, at, std::fs::read(&path).unwrap()) {
                    run(target, &path, &input);
                    seeded += 1;
                }
            }
        }
        println!("{target}: {} of the corpus, {seeded} from fixtures", corpus.len());
        assert!(corpus.len() + seeded > 0, "{target} has no corpus");
    }
}

#[test]
fn targets_are_those_of_the_fuzz_crate() {
    let manifest = std::fs::read_to_string(package().join("fuzz/Cargo.toml")).unwrap();
    for (target, _) in bodies::TARGETS {
        assert!(manifest.contains(&format!("path = \"fuzz_targets/{target}.rs\"")), "fuzz/Cargo.toml has no {target}");
        assert!(package().join(format!("fuzz/fuzz_targets/{target}.rs")).is_file(), "{target} has no file");
    }
    assert_eq!(manifest.matches("[[bin]]").count(), bodies::TARGETS.len());
}
