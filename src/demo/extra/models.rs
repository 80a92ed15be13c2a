//! Lists of models, as each vendor writes them; every other name is served too. Must never know sockets.

use serde_json::{Value, json};

use super::super::errors::Form;

const MODELS: [&str; 2] = ["demo", "ok"];
const CREATED_S: u64 = 1_767_225_600;
const CREATED: &str = "2026-01-01T00:00:00Z";

pub(in super::super) fn list(form: Form) -> Value {
    let models: Vec<Value> = MODELS.iter().map(|name| model(form, name)).collect();
    match form {
        Form::OpenAi => json!({ "object": "list", "data": models }),
        Form::Anthropic => {
            json!({ "data": models, "first_id": MODELS[0], "last_id": MODELS[1], "has_more": false })
        }
        Form::Google | Form::GoogleList => json!({ "models": models }),
    }
}

pub(in super::super) fn model(form: Form, name: &str) -> Value {
    match form {
        Form::OpenAi => json!({ "id": name, "object": "model", "created": CREATED_S, "owned_by": "demo" }),
        Form::Anthropic => json!({ "type": "model", "id": name, "display_name": name, "created_at": CREATED,
            "max_input_tokens": 200_000, "max_tokens": 64_000 }),
        Form::Google | Form::GoogleList => {
            json!({ "name": format!("models/{name}"), "version": "001", "displayName": name,
            "description": "The demo upstream", "inputTokenLimit": 1_048_576, "outputTokenLimit": 65_536,
            "supportedGenerationMethods": ["generateContent", "countTokens", "embedContent", "batchEmbedContents"],
            "temperature": 1, "maxTemperature": 2, "topP": 0.95, "topK": 64, "thinking": true })
        }
    }
}
