//! Reads a whole answer for what must be known of it.

use super::answer::{Answer, Choices, Form};
use super::error::InBandError;
use super::usage::{is_zero, read_usage};
use crate::wire::Usage;

/// A whole answer, read for what must be known of it.
#[derive(Debug, Clone, Default)]
pub struct WholeAnswer {
    pub error: Option<InBandError>,
    /// `None` also where zeros are reported beside a text.
    pub usage: Option<Usage>,
    pub finish: Option<String>,
    pub service_tier: Option<String>,
    /// Text, a call of a tool, an image or sound is in it.
    pub produced: bool,
}

impl WholeAnswer {
    /// Nothing was said, nothing reported as output or written to a cache, and no reason to end: no answer at all.
    pub fn is_blank(&self) -> bool {
        let usage = self.usage.unwrap_or_default();
        let written = usage.cache_write_5m + usage.cache_write_30m + usage.cache_write_1h;
        let finish = self.finish.as_deref().unwrap_or_default();
        !self.produced && usage.output_total == 0 && written == 0 && matches!(finish, "" | "error")
    }
}

/// Reads a whole answer. An error when it is neither an answer nor an error object (HTML, empty, other JSON).
pub fn read_whole(body: &[u8]) -> Result<WholeAnswer, String> {
    let body = body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body).trim_ascii();
    match body.first() {
        None => return Err("an empty body".to_owned()),
        Some(b'<') => return Err("HTML or XML".to_owned()),
        Some(b'[') if is_error_list(body) => return Ok(failed(InBandError::read(None, body))),
        Some(_) => {}
    }
    let answer = match Answer::read(body, Form::Whole) {
        Ok(answer) => answer,
        Err(fault) if fault.at == 0 => return Err("no JSON object".to_owned()),
        Err(fault) => return Err(format!("broken JSON, {} expected at byte {}", fault.expected, fault.at)),
    };
    if answer.is_error {
        return Ok(failed(InBandError::read(None, body)));
    }
    if answer.error.is_none() && answer.choices == Choices::Absent {
        return Err("JSON without choices".to_owned());
    }
    let produced = answer.texts.iter().next().is_some() || answer.media;
    Ok(WholeAnswer {
        error: answer.error.map(|raw| InBandError::read(None, raw)),
        usage: answer.usage().and_then(read_usage).filter(|usage| !(produced && is_zero(usage))),
        finish: answer.finish.map(|finish| finish.text()),
        service_tier: answer.service_tier.map(|tier| tier.text()),
        produced,
    })
}

/// All text of a whole answer that `read_whole` took: for counting where no usage was reported.
pub fn output_text(body: &[u8]) -> String {
    let body = body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body).trim_ascii();
    let mut text = String::new();
    if let Ok(answer) = Answer::read(body, Form::Whole) {
        answer.texts.iter().for_each(|token| text.push_str(&token.text()));
    }
    text
}

/// Gemini's chat endpoint answers `[{"error":{…}}]`.
pub fn is_error_list(json: &[u8]) -> bool {
    serde_json::from_slice::<serde_json::Value>(json)
        .is_ok_and(|list| list.get(0).is_some_and(|first| first["error"].is_object() || first["error"].is_string()))
}

fn failed(error: InBandError) -> WholeAnswer {
    WholeAnswer { error: Some(error), ..WholeAnswer::default() }
}
