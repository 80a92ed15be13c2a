//! The real binary, as a user starts it: one line of JSON, exit codes, a graceful stop, a store that is kept, no secrets shown.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod support;

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;
use support::{PATIENCE, client};

fn qingwave(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_qingwave"));
    command.args(args).env("NO_COLOR", "1");
    command
}

fn run(args: &[&str]) -> Output {
    qingwave(args).output().unwrap()
}

struct Demo {
    child: Child,
    line: Value,
    rest: BufReader<std::process::ChildStdout>,
}

impl Demo {
    fn start(args: &[&str]) -> Demo {
        let fixed = ["demo", "--json", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"];
        let args: Vec<&str> = fixed.iter().chain(args).copied().collect();
        let mut child = qingwave(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut rest = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        rest.read_line(&mut line).unwrap();
        let line = serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line:?} {}", stderr(&mut child)));
        Demo { child, line, rest }
    }

    fn says(&self, name: &str) -> &str {
        self.line[name].as_str().unwrap()
    }

    async fn chat(&self, model: &str, prompt: &str) -> reqwest::Response {
        let body =
            serde_json::json!({"model": model, "max_tokens": 8, "messages": [{"role": "user", "content": prompt}]});
        let url = format!("{}/v1/chat/completions", self.says("base_url"));
        client().post(url).bearer_auth(self.says("api_key")).body(body.to_string()).send().await.unwrap()
    }

    /// Stops it by a signal and gives exit code, what else it printed on stdout, and stderr.
    fn stop(mut self, signal: &str) -> (Option<i32>, String, String) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
        let mut rest = String::new();
        self.rest.read_to_string(&mut rest).unwrap();
        let errors = stderr(&mut self.child);
        (self.child.wait().unwrap().code(), rest, errors)
    }
}

fn stderr(child: &mut Child) -> String {
    let mut text = String::new();
    child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
    text
}

/// Whether any file below the folder holds the bytes.
fn holds(folder: &Path, needle: &[u8]) -> Option<String> {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            if let Some(found) = holds(&path, needle) {
                return Some(found);
            }
        } else if memchr::memmem::find(&std::fs::read(&path).unwrap(), needle).is_some() {
            return Some(path.display().to_string());
        }
    }
    None
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn demo_says_one_line_answers_and_stops_cleanly() {
    let demo = Demo::start(&[]);
    for name in ["base_url", "admin_url"] {
        let url = demo.says(name);
        assert!(url.starts_with("http://127.0.0.1:") && !url.ends_with('/'), "{url}");
    }
    assert!(demo.says("api_key").starts_with("sk-qw-"));
    assert_eq!(demo.chat("gpt-4o", "hello").await.status(), 200);
    let ready = client().get(format!("{}/readyz", demo.says("admin_url"))).send().await.unwrap();
    assert_eq!(ready.status(), 200);
    let began = std::time::Instant::now();
    let (code, rest, _) = demo.stop("-TERM");
    assert_eq!((code, rest.as_str()), (Some(0), ""));
    assert!(began.elapsed() < PATIENCE, "a stop without calls does not wait for its grace");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kept_store_keeps_key_and_money_over_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_str().unwrap();
    let demo = Demo::start(&["--data", data]);
    let key = demo.says("api_key").to_owned();
    let charge = demo.chat("demo", "hello").await.headers()["x-qingwave-charge"].to_str().unwrap().to_owned();
    demo.stop("-KILL");
    let demo = Demo::start(&["--data", data]);
    assert_eq!(demo.says("api_key"), key);
    let usage = client().get(format!("{}/v1/usage", demo.says("base_url"))).bearer_auth(&key).send().await.unwrap();
    let usage: Value = usage.json().await.unwrap();
    assert_eq!(usage["data"].as_array().unwrap().len(), 1);
    assert_eq!(usage["data"][0]["charge"], charge.as_str());

    // The store is in use: commands go through the running gateway.
    let listed = run(&["keys", "list", "--data", data, "--json"]);
    assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
    assert_eq!(demo.stop("-TERM").0, Some(0));
    let verified = run(&["ledger", "verify", "--data", data, "--json"]);
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
    let report: Value = serde_json::from_slice(&verified.stdout).unwrap();
    assert_eq!((&report["ok"], &report["calls"]), (&Value::Bool(true), &1.into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_key_and_no_prompt_is_ever_written() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let demo = Demo::start(&["--data", data.to_str().unwrap(), "--log-level", "trace"]);
    let prompt = "canary-prompt-5b1f7a";
    let answer = demo.chat("demo", prompt).await.text().await.unwrap();
    let (url, key) = (demo.says("base_url").to_owned(), demo.says("api_key").to_owned());
    let query = format!("{url}/v1/chat/completions?key={key}");
    assert_eq!(client().get(&query).send().await.unwrap().status(), 405);
    assert_eq!(client().get(format!("{url}/nothing?key={key}")).send().await.unwrap().status(), 404);
    for model in ["demo-fault-400", "demo-fault-cut", "no-such-model"] {
        demo.chat(model, prompt).await.text().await.unwrap();
    }
    let metrics = client().get(format!("{}/metrics", demo.says("admin_url"))).send().await.unwrap();
    let metrics = metrics.text().await.unwrap();
    let (_, rest, errors) = demo.stop("-TERM");
    assert!(errors.contains("DEBUG") || errors.contains("TRACE"), "the log is as loud as asked");
    std::fs::remove_file(data.join("demo.key")).unwrap();
    for canary in [prompt, &key] {
        for (place, text) in [("stdout", &rest), ("stderr", &errors), ("metrics", &metrics)] {
            assert!(!text.contains(canary), "{canary} in {place}");
        }
        assert_eq!(holds(&data, canary.as_bytes()), None, "{canary}");
    }
    assert!(!answer.is_empty());
}

#[test]
fn check_finds_every_problem_at_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("qingwave.yaml");
    let catalog = Path::new(env!("CARGO_MANIFEST_DIR")).join("catalog");
    std::fs::write(&file, format!("catalog_dir: {}\ndata_dir: data\n", catalog.display())).unwrap();
    let good = run(&["check", "-c", file.to_str().unwrap()]);
    assert_eq!(good.status.code(), Some(0), "{}", String::from_utf8_lossy(&good.stderr));

    std::fs::write(&file, "lissten: 1\nlimits: {json_depth_max: many}\nsecrets: {admin_key: hunter2}\n").unwrap();
    let bad = run(&["check", "-c", file.to_str().unwrap()]);
    let said = String::from_utf8_lossy(&bad.stderr).into_owned() + &String::from_utf8_lossy(&bad.stdout);
    assert_eq!(bad.status.code(), Some(78), "{said}");
    for part in ["qingwave.yaml:1:1", "listen", "qingwave.yaml:2:", "qingwave.yaml:3:", "^"] {
        assert!(said.contains(part), "{part} in {said}");
    }
    assert!(!said.contains("hunter2"), "a literal secret is not repeated: {said}");
}

#[test]
fn an_upgrade_is_refused_with_its_reason() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("qingwave.yaml");
    let catalog = Path::new(env!("CARGO_MANIFEST_DIR")).join("catalog");
    std::fs::write(&file, format!("catalog_dir: {}\ndata_dir: data\n", catalog.display())).unwrap();
    let refused = run(&["serve", "-c", file.to_str().unwrap(), "--upgrade"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("hand-over"));
    assert_eq!(run(&["serve"]).status.code(), Some(2));
    assert_eq!(run(&["nonsense"]).status.code(), Some(2));
}
