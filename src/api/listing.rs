//! Model listings as Anthropic's and Gemini's clients read them. Must never list what OpenAI's shape would not.

use std::sync::Arc;

use http::HeaderMap;
use serde_json::{Value, json};

use super::error::{ClientError, Code};
use super::params::{pairs, percent_decoded};
use crate::catalog::Model;
use crate::wire::Protocol;

/// Anthropic's page, and Gemini's, where the client does not say.
const ANTHROPIC_PAGE: usize = 20;
const GEMINI_PAGE: usize = 50;
const PAGE_MAX: usize = 1000;

/// Whose shape a listing has. The credential's header says nothing of it but for Gemini's, whose JavaScript SDK lists under
/// `/v1`.
pub fn protocol_of(headers: &HeaderMap, path: &str) -> Protocol {
    if headers.contains_key("anthropic-version") {
        Protocol::AnthropicMessages
    } else if headers.contains_key("x-goog-api-key") || !path.starts_with("/v1/models") {
        Protocol::GeminiGenerate
    } else {
        Protocol::OpenAiChat
    }
}

/// A parameter of the query, decoded. Those that are not known here are left alone: SDKs send many.
fn parameter(query: Option<&str>, name: &str) -> Option<String> {
    let (_, value) = pairs(query.unwrap_or_default()).find(|(known, _)| *known == name)?;
    percent_decoded(value).map(|value| value.into_owned()).filter(|value| !value.is_empty())
}

fn page_size(query: Option<&str>, name: &'static str, default: usize) -> Result<usize, ClientError> {
    match parameter(query, name).map(|text| text.parse::<usize>()) {
        None => Ok(default),
        Some(Ok(size @ 1..)) => Ok(size.min(PAGE_MAX)),
        Some(Ok(0) | Err(_)) => {
            let message = format!("{name}: expected a number from 1 to {PAGE_MAX}");
            Err(ClientError::new(Code::InvalidRequest, message).param(name))
        }
    }
}

/// Where a page begins: behind the model of that id.
fn behind(models: &[&Arc<Model>], id: &str, name: &'static str) -> Result<usize, ClientError> {
    match models.iter().position(|model| &*model.id == id) {
        Some(at) => Ok(at + 1),
        None => {
            Err(ClientError::new(Code::InvalidRequest, format!("{name}: no model of this id is listed")).param(name))
        }
    }
}

/// `{data, first_id, last_id, has_more}`, a page of `limit` after or before an id.
pub fn anthropic(models: &[&Arc<Model>], query: Option<&str>) -> Result<Value, ClientError> {
    let limit = page_size(query, "limit", ANTHROPIC_PAGE)?;
    let (page, more) = match (parameter(query, "after_id"), parameter(query, "before_id")) {
        (Some(_), Some(_)) => {
            let message = "after_id and before_id exclude each other: give one";
            return Err(ClientError::new(Code::InvalidRequest, message).param("before_id"));
        }
        (_, Some(id)) => {
            let end = behind(models, &id, "before_id")? - 1;
            let start = end.saturating_sub(limit);
            (&models[start..end], start > 0)
        }
        (after, None) => {
            let start = after.map_or(Ok(0), |id| behind(models, &id, "after_id"))?;
            let end = (start + limit).min(models.len());
            (&models[start..end], end < models.len())
        }
    };
    Ok(json!({
        "data": page.iter().map(|model| anthropic_card(model)).collect::<Vec<_>>(),
        "first_id": page.first().map(|model| &model.id),
        "last_id": page.last().map(|model| &model.id),
        "has_more": more,
    }))
}

pub fn anthropic_card(model: &Model) -> Value {
    let created = jiff::Timestamp::from_second(model.created).unwrap_or_default();
    json!({
        "type": "model",
        "id": model.id,
        "display_name": model.name,
        "created_at": created.to_string(),
        "max_input_tokens": model.context,
        "max_tokens": model.output_max,
        "capabilities": model.features,
    })
}

/// `{models, nextPageToken}`; a page token is the id of the last model before it.
pub fn gemini(models: &[&Arc<Model>], query: Option<&str>) -> Result<Value, ClientError> {
    let size = page_size(query, "pageSize", GEMINI_PAGE)?;
    let start = parameter(query, "pageToken").map_or(Ok(0), |id| behind(models, &id, "pageToken"))?;
    let end = (start + size).min(models.len());
    let mut list = json!({"models": models[start..end].iter().map(|model| gemini_card(model)).collect::<Vec<_>>()});
    if end < models.len() {
        list["nextPageToken"] = json!(models[end - 1].id);
    }
    Ok(list)
}

pub fn gemini_card(model: &Model) -> Value {
    let methods: &[&str] = if model.operations.has(crate::wire::Operation::Chat) {
        &["generateContent", "streamGenerateContent", "countTokens"]
    } else {
        &["embedContent", "batchEmbedContents"]
    };
    json!({
        "name": format!("models/{}", model.id),
        "version": "001",
        "displayName": model.name,
        "description": format!("{} by {}", model.name, model.vendor),
        "inputTokenLimit": model.context,
        "outputTokenLimit": model.output_max,
        "supportedGenerationMethods": methods,
        "thinking": model.features.iter().any(|feature| &**feature == "reasoning"),
    })
}
