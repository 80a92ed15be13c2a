//! Recorded provider traffic for tests, where it is at hand: `QINGWAVE_RECORDINGS` names the folder.

use std::path::PathBuf;

use serde_json::Value;

use super::Protocol;

pub struct Recording {
    pub id: String,
    pub protocol: Protocol,
    folder: PathBuf,
    /// The case's line of the index, its `expected` beside.
    pub about: Value,
}

impl Recording {
    pub fn stream(&self) -> Option<Vec<u8>> {
        std::fs::read(self.folder.join("response.sse")).ok()
    }

    pub fn whole(&self) -> Option<Vec<u8>> {
        std::fs::read(self.folder.join("response.json")).ok()
    }

    /// What a correct decoder must see.
    pub fn expected(&self) -> Value {
        let meta = std::fs::read(self.folder.join("meta.json")).unwrap_or_default();
        serde_json::from_slice::<Value>(&meta).map(|mut meta| meta["expected"].take()).unwrap_or_default()
    }
}

/// The cases of the four protocols; none, with a printed line, where there are no recordings.
pub fn recordings() -> Vec<Recording> {
    let Some(root) = std::env::var_os("QINGWAVE_RECORDINGS").map(PathBuf::from) else {
        println!("QINGWAVE_RECORDINGS is not set: recordings are skipped");
        return Vec::new();
    };
    let index: Value = serde_json::from_slice(&std::fs::read(root.join("index.json")).unwrap()).unwrap();
    let read = |about: &Value| {
        let protocol = match about["protocol"].as_str()? {
            "openai-chat" => Protocol::OpenAiChat,
            "openai-responses" => Protocol::OpenAiResponses,
            "anthropic-messages" => Protocol::AnthropicMessages,
            "gemini" => Protocol::GeminiGenerate,
            _ => return None,
        };
        let folder = root.join(about["dir"].as_str()?);
        Some(Recording { id: about["id"].as_str()?.to_owned(), protocol, folder, about: about.clone() })
    };
    index["cases"].as_array().unwrap().iter().filter_map(read).collect()
}
