//! Recorded traffic of many vendors, where it is at hand: `QINGWAVE_RECORDINGS` names the folder. Must never be copied into
//! this repository, nor what is made of it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::OnceLock;

use serde_json::Value;

use super::decode::{Shape, Tokens};
use crate::wire::Protocol;

pub struct Case {
    pub id: String,
    pub protocol: Protocol,
    pub status: u16,
    pub shape: Shape,
    pub response: Vec<u8>,
    pub request: Option<String>,
    /// As the request's path or body has it.
    pub stream: bool,
    pub expected: Value,
}

/// All cases of the four protocols; none, with a printed line, where there are no recordings.
pub fn cases() -> &'static [Case] {
    static CASES: OnceLock<Vec<Case>> = OnceLock::new();
    CASES.get_or_init(load)
}

fn load() -> Vec<Case> {
    let Some(root) = std::env::var_os("QINGWAVE_RECORDINGS").map(PathBuf::from) else {
        println!("QINGWAVE_RECORDINGS is not set: recordings are skipped");
        return Vec::new();
    };
    let json = |path: PathBuf| serde_json::from_slice::<Value>(&std::fs::read(path).unwrap()).unwrap();
    let mut cases = Vec::new();
    for about in json(root.join("index.json"))["cases"].as_array().unwrap() {
        let Some(protocol) = protocol(about["protocol"].as_str().unwrap()) else { continue };
        let folder = root.join(about["dir"].as_str().unwrap());
        let meta = json(folder.join("meta.json"));
        let (shape, response) = match std::fs::read(folder.join("response.sse")) {
            Ok(bytes) => (Shape::Stream, bytes),
            Err(_) => {
                let bytes = std::fs::read(folder.join("response.json")).unwrap();
                let array = protocol == Protocol::GeminiGenerate && bytes.trim_ascii_start().starts_with(b"[");
                (if array { Shape::Array } else { Shape::Whole }, bytes)
            }
        };
        cases.push(Case {
            id: about["id"].as_str().unwrap().to_owned(),
            protocol,
            status: meta["status"].as_u64().unwrap() as u16,
            shape,
            response,
            request: std::fs::read_to_string(folder.join("request.json")).ok(),
            stream: about["stream"] == true,
            expected: meta["expected"].clone(),
        });
    }
    assert!(cases.len() > 300, "only {} recordings", cases.len());
    cases
}

fn protocol(name: &str) -> Option<Protocol> {
    match name {
        "openai-chat" => Some(Protocol::OpenAiChat),
        "openai-responses" => Some(Protocol::OpenAiResponses),
        "anthropic-messages" => Some(Protocol::AnthropicMessages),
        "gemini" => Some(Protocol::GeminiGenerate),
        _ => None,
    }
}

impl Case {
    /// A text of `expected`, which may be given by its hash alone.
    pub fn says(&self, name: &str, text: &str) -> Result<(), String> {
        let hash = &self.expected[format!("{}_sha256", name.trim_end_matches("_text"))];
        let is = match hash.as_str() {
            Some(hash) => *hash == sha256(text),
            None => self.expected[name].as_str().unwrap_or("") == text,
        };
        if is {
            return Ok(());
        }
        let wanted = self.expected[name].as_str().unwrap_or("(a long text)");
        Err(format!("{name} is {}, not {}", around(text, wanted), around(wanted, text)))
    }

    pub fn tokens(&self) -> Option<Tokens> {
        let usage = self.expected["usage"].as_object()?;
        let count = |name: &str| usage.get(name).and_then(Value::as_u64).unwrap_or(0);
        Some(Tokens {
            input: count("input_total"),
            cache_read: count("cache_read"),
            cache_write: count("cache_write"),
            output: count("output_total"),
            reasoning: count("reasoning"),
        })
    }

    pub fn finish(&self) -> Option<&str> {
        self.expected["finish"].as_str()
    }

    pub fn errs(&self) -> bool {
        self.expected["error"].is_object() || self.expected["error"].is_string()
    }
}

fn sha256(text: &str) -> String {
    use sha2::Digest;
    data_encoding::HEXLOWER.encode(&sha2::Sha256::digest(text))
}

/// Where two texts begin to differ.
fn around(text: &str, other: &str) -> String {
    let same = text.chars().zip(other.chars()).take_while(|(a, b)| a == b).count();
    let part: String = text.chars().skip(same.saturating_sub(12)).take(48).collect();
    format!("{part:?} at {same} of {}", text.chars().count())
}

/// Figures per pair of protocols, in the order met.
#[derive(Default)]
pub struct Score {
    pairs: BTreeMap<String, BTreeMap<&'static str, (usize, usize)>>,
    pub failures: Vec<String>,
    /// Right by a documented exception.
    pub excused: Vec<String>,
}

impl Score {
    pub fn add(&mut self, pair: &str, figure: &'static str, right: bool) {
        for pair in [pair, "sum"] {
            let (rights, all) = self.pairs.entry(pair.to_owned()).or_default().entry(figure).or_default();
            *rights += usize::from(right);
            *all += 1;
        }
    }

    /// Percent, 100 where nothing was counted.
    pub fn percent(&self, figure: &str) -> f64 {
        let (rights, all) = self.pairs.get("sum").and_then(|sum| sum.get(figure)).copied().unwrap_or((1, 1));
        100.0 * rights as f64 / all as f64
    }

    pub fn print(&self, title: &str) {
        println!("{title}");
        for (pair, figures) in &self.pairs {
            let line: Vec<String> = figures
                .iter()
                .map(|(name, (rights, all))| {
                    format!("{name} {rights}/{all} = {:.2} %", 100.0 * *rights as f64 / *all as f64)
                })
                .collect();
            println!("  {pair:<14} {}", line.join(", "));
        }
        for excused in &self.excused {
            println!("  excused {excused}");
        }
        for failure in &self.failures {
            println!("  FAIL {failure}");
        }
    }
}

pub fn short_name(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::OpenAiChat => "CC",
        Protocol::OpenAiResponses => "RS",
        Protocol::AnthropicMessages => "AM",
        Protocol::GeminiGenerate => "GM",
    }
}
