//! Reads `generationConfig`. Must never know which upstream it goes to.

use std::borrow::Cow;

use super::super::fields::{Path, absent, idle, is, keep, take, take_object, take_text};
use crate::wire::ReadError;
use crate::wire::ir::{Class, Effort, Format, ReasoningMode, ReasoningWish, Request, SchemaDialect};
use crate::wire::json::{Object, Str, Value};

pub fn read_config<'a>(mut config: Object<'a>, request: &mut Request<'a>) -> Result<(), ReadError> {
    let at = &Path::ROOT.key("generationConfig");
    request.temperature = number(&mut config, "temperature", at)?;
    request.top_p = number(&mut config, "topP", at)?;
    request.top_k = number(&mut config, "topK", at)?;
    request.presence_penalty = number(&mut config, "presencePenalty", at)?;
    request.frequency_penalty = number(&mut config, "frequencyPenalty", at)?;
    request.seed = number(&mut config, "seed", at)?;
    request.choices = count(&mut config, "candidateCount", at)?;
    request.output_tokens_max = count(&mut config, "maxOutputTokens", at)?;
    request.top_logprobs = count(&mut config, "logprobs", at)?;
    request.logprobs = match take(&mut config, "responseLogprobs") {
        Some(Value::Bool(wanted)) => Some(wanted),
        Some(_) => return Err(at.key("responseLogprobs").error("must be a boolean")),
        None => None,
    };
    request.stop = stop(&mut config, at)?;
    read_format(&mut config, at, request)?;
    if let Some(thinking) = take_object(&mut config, "thinkingConfig", at)? {
        read_thinking(thinking, &at.key("thinkingConfig"), request)?;
    }
    read_outputs(&mut config, at, request)?;
    keep(config, at, class, &mut request.extra);
    Ok(())
}

fn class(name: &str) -> Class {
    const DROPPED: [&str; 10] = [
        "imageConfig",
        "mediaResolution",
        "routingConfig",
        "modelConfig",
        "modelSelectionConfig",
        "audioTimestamp",
        "enableAffectiveDialog",
        "enableEnhancedCivicAnswers",
        "translationConfig",
        "audioTranscriptionConfig",
    ];
    if DROPPED.iter().any(|known| is(name, known)) { Class::Dropped } else { Class::Unknown }
}

/// The text of a number, in quotes or not.
fn number<'a>(config: &mut Object<'a>, name: &str, at: &Path<'_>) -> Result<Option<Cow<'a, str>>, ReadError> {
    match take(config, name) {
        None => Ok(None),
        Some(Value::Number(number)) => Ok(Some(number)),
        Some(Value::String(text)) if text.decode().parse::<f64>().is_ok_and(f64::is_finite) => {
            Ok(Some(text.into_decoded()))
        }
        Some(_) => Err(at.key(name).error("must be a number")),
    }
}

fn count(config: &mut Object<'_>, name: &str, at: &Path<'_>) -> Result<Option<u64>, ReadError> {
    let Some(number) = number(config, name, at)? else { return Ok(None) };
    let whole = number.parse().ok().or_else(|| {
        let number: f64 = number.parse().ok()?;
        ((0.0..9e15).contains(&number) && number.fract() == 0.0).then_some(number as u64)
    });
    whole.map(Some).ok_or_else(|| at.key(name).error("must be a whole number that is not negative"))
}

fn stop<'a>(config: &mut Object<'a>, at: &Path<'_>) -> Result<Vec<Str<'a>>, ReadError> {
    let at = at.key("stopSequences");
    let list = match take(config, "stopSequences") {
        None => return Ok(Vec::new()),
        Some(Value::Array(list)) => list,
        Some(text @ Value::String(_)) => vec![text],
        Some(_) => return Err(at.error("must be an array of strings")),
    };
    list.into_iter()
        .map(|text| match text {
            Value::String(text) => Ok(text),
            _ => Err(at.error("must be an array of strings")),
        })
        .collect()
}

fn read_format<'a>(config: &mut Object<'a>, at: &Path<'_>, request: &mut Request<'a>) -> Result<(), ReadError> {
    let mime = take_text(config, "responseMimeType", at)?;
    let (schema, dialect) = match take(config, "responseJsonSchema") {
        Some(schema) => (Some(schema), SchemaDialect::JsonSchema),
        None => (take(config, "responseSchema"), SchemaDialect::OpenApi),
    };
    let word = mime.as_ref().map(|mime| mime.decode().to_ascii_lowercase());
    request.format = match (word.as_deref(), schema) {
        (None, None) => None,
        (Some("application/json"), None) => Some(Format::Json),
        (Some("text/plain"), None) => Some(Format::Text),
        (Some("application/json") | None, Some(schema)) => {
            request.extra.extend(word.is_none().then(|| absent(at, "responseMimeType")));
            Some(Format::Schema { name: None, description: None, schema, dialect, strict: None })
        }
        // `text/x.enum` and what else only Gemini has.
        (Some(_), schema) => {
            let dropped = |extra| crate::wire::ir::Extra { class: Class::Dropped, ..extra };
            let name = if dialect == SchemaDialect::JsonSchema { "responseJsonSchema" } else { "responseSchema" };
            request.extra.extend(mime.map(|mime| dropped(idle(at, "responseMimeType", Value::String(mime)))));
            request.extra.extend(schema.map(|schema| dropped(idle(at, name, schema))));
            None
        }
    };
    Ok(())
}

fn read_thinking<'a>(mut thinking: Object<'a>, at: &Path<'_>, request: &mut Request<'a>) -> Result<(), ReadError> {
    let mut wish = ReasoningWish::default();
    match take(&mut thinking, "includeThoughts") {
        Some(Value::Bool(show)) => wish.show = Some(show),
        Some(_) => return Err(at.key("includeThoughts").error("must be a boolean")),
        None => {}
    }
    if let Some(budget) = number(&mut thinking, "thinkingBudget", at)? {
        let budget: i64 = budget.parse().map_err(|_| at.key("thinkingBudget").error("must be a whole number"))?;
        wish.budget = Some(budget);
        wish.mode = Some(match budget {
            0 => ReasoningMode::Disabled,
            1.. => ReasoningMode::Enabled,
            _ => ReasoningMode::Adaptive,
        });
    }
    if let Some(level) = take_text(&mut thinking, "thinkingLevel", at)? {
        wish.effort = match level.decode().to_ascii_uppercase().as_str() {
            "MINIMAL" => Some(Effort::Minimal),
            "LOW" => Some(Effort::Low),
            "MEDIUM" => Some(Effort::Medium),
            "HIGH" => Some(Effort::High),
            "THINKING_LEVEL_UNSPECIFIED" => None,
            // A word that came after us.
            _ => {
                let extra = idle(at, "thinkingLevel", Value::String(level.clone()));
                request.extra.push(crate::wire::ir::Extra { class: Class::Unknown, ..extra });
                None
            }
        };
    }
    keep(thinking, at, |_| Class::Unknown, &mut request.extra);
    request.reasoning = Some(wish);
    Ok(())
}

/// Sound and images. The fields themselves stay for Gemini; what others can understand of them is said beside.
fn read_outputs<'a>(config: &mut Object<'a>, at: &Path<'_>, request: &mut Request<'a>) -> Result<(), ReadError> {
    let speech = take_object(config, "speechConfig", at)?;
    if let Some(modalities) = take(config, "responseModalities") {
        let Some(list) = modalities.as_array() else {
            return Err(at.key("responseModalities").error("must be an array"));
        };
        let has = |word: &str| list.iter().filter_map(Value::as_text).any(|found| found.eq_ignore_ascii_case(word));
        request.image_out = has("IMAGE");
        if has("AUDIO") {
            let mut wish = Object::default();
            wish.members.extend(voice(speech.as_ref()).map(|voice| (Str::plain("voice"), Value::String(voice))));
            wish.set("format", Value::text("wav"));
            request.audio_out = Some(Value::Object(wish));
        }
        request.extra.push(idle(at, "responseModalities", modalities));
    }
    request.extra.extend(speech.map(|speech| idle(at, "speechConfig", Value::Object(speech))));
    Ok(())
}

fn voice<'a>(speech: Option<&Object<'a>>) -> Option<Str<'a>> {
    use super::super::fields::get;
    let config = speech?.members.iter().find(|(name, _)| is(&name.decode(), "voiceConfig")).map(|(_, value)| value)?;
    get(get(config, "prebuiltVoiceConfig")?, "voiceName")?.as_str().cloned()
}
