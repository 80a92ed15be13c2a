//! Writes `generationConfig`.

use std::borrow::Cow;

use super::super::fields::was_absent;
use super::pieces::again;
use super::thinking;
use crate::wire::Protocol;
use crate::wire::ir::{
    Feature, Format, Losses, MediaKind, Part, PartKind, Quirk, Refusal, Request, SchemaDialect, Target, ToolKind, Undo,
};
use crate::wire::json::{Json, Object, Str, Value};
use crate::wire::schema;

/// Most stop texts that Gemini takes.
const STOPS_MAX: usize = 5;
const TEMPERATURE_MAX: f64 = 2.0;
const TOP_LOGPROBS_MAX: u64 = 20;

/// The whole object; `{}` where nothing is said.
pub fn write(
    request: &Request<'_>,
    target: &Target<'_>,
    losses: &mut Losses,
    undo: &mut Undo,
) -> Result<Vec<u8>, Refusal> {
    refuse_schema_with_tools(request, target)?;
    let native = request.protocol == Protocol::GeminiGenerate;
    let mut out = Vec::new();
    Json::new(&mut out).object(|json| {
        sampling(json, request, target, losses);
        limits(json, request, target, losses, undo);
        format(json, request, target, losses);
        think(json, request, target, losses);
        if !native {
            outputs(json, request, losses);
            resolution(json, request, losses);
        }
        again(json, &request.extra, "generationConfig");
    });
    Ok(out)
}

fn refuse_schema_with_tools(request: &Request<'_>, target: &Target<'_>) -> Result<(), Refusal> {
    let formatted = matches!(request.format, Some(Format::Json | Format::Schema { .. }));
    if formatted && !request.tools.is_empty() && target.quirks.has(Quirk::NoSchemaWithTools) {
        let param = Feature::ResponseFormat.param(request.protocol).into_owned();
        let message = "this model takes no tools together with a response format: leave one of them out";
        return Err(Refusal::new(param, message));
    }
    Ok(())
}

fn sampling(json: &mut Json<'_>, request: &Request<'_>, target: &Target<'_>, losses: &mut Losses) {
    let native = request.protocol == Protocol::GeminiGenerate;
    let numbers = [
        ("temperature", &request.temperature, Feature::Temperature),
        ("topP", &request.top_p, Feature::TopP),
        ("topK", &request.top_k, Feature::TopK),
        ("presencePenalty", &request.presence_penalty, Feature::PresencePenalty),
        ("frequencyPenalty", &request.frequency_penalty, Feature::FrequencyPenalty),
    ];
    for (name, number, feature) in numbers {
        let Some(number) = number else { continue };
        if !target.sampling {
            losses.dropped(feature);
            continue;
        }
        let over = feature == Feature::Temperature && number.parse().is_ok_and(|t: f64| t > TEMPERATURE_MAX);
        if over && !native {
            losses.clamped(feature);
            json.key(name).raw("2");
        } else {
            json.key(name).raw(number);
        }
    }
    if let Some(seed) = &request.seed {
        match seed.parse::<i64>() {
            Ok(wide) if !native && i32::try_from(wide).is_err() => {
                losses.clamped(Feature::Seed);
                json.key("seed").int(wide & i64::from(i32::MAX));
            }
            Ok(_) | Err(_) => json.key("seed").raw(seed),
        }
    }
    if let Some(wanted) = request.logprobs.or(request.top_logprobs.filter(|_| !native).map(|_| true)) {
        json.key("responseLogprobs").bool(wanted);
    }
    if let Some(top) = request.top_logprobs {
        if top > TOP_LOGPROBS_MAX && !native {
            losses.clamped(Feature::Logprobs);
        }
        json.key("logprobs").uint(if native { top } else { top.min(TOP_LOGPROBS_MAX) });
    }
}

/// The client's limit, the gateway's and the model's ceiling: the lowest counts, and one at least.
pub fn output_limit(request: &Request<'_>, target: &Target<'_>) -> Option<u64> {
    let least = u64::from(request.protocol != Protocol::GeminiGenerate);
    let asked = request.output_tokens_max.map(|asked| asked.max(least));
    let ceiling = asked.and(Some(target.output_max).filter(|max| *max > 0));
    asked.into_iter().chain(ceiling).chain(target.output_limit).min()
}

fn limits(json: &mut Json<'_>, request: &Request<'_>, target: &Target<'_>, losses: &mut Losses, undo: &mut Undo) {
    if let Some(choices) = request.choices {
        json.key("candidateCount").uint(choices);
    }
    if let Some(limit) = output_limit(request, target) {
        if request.output_tokens_max.is_some_and(|asked| asked != limit) {
            losses.clamped(Feature::OutputLimit);
        }
        json.key("maxOutputTokens").uint(limit);
    }
    let stops: Vec<&Str<'_>> = request.stop.iter().filter(|stop| !stop.is_empty()).collect();
    let told = if request.protocol == Protocol::GeminiGenerate { stops.len() } else { stops.len().min(STOPS_MAX) };
    if told > 0 {
        json.key("stopSequences").array(|json| stops[..told].iter().for_each(|stop| json.str(stop)));
    }
    undo.stop.extend(stops[told..].iter().map(|stop| stop.decode().into_owned()));
}

fn format(json: &mut Json<'_>, request: &Request<'_>, target: &Target<'_>, losses: &mut Losses) {
    let native = request.protocol == Protocol::GeminiGenerate;
    let Some(format) = &request.format else { return };
    match format {
        Format::Text => {
            if native {
                json.key("responseMimeType").text("text/plain");
            }
        }
        Format::Json => json.key("responseMimeType").text("application/json"),
        Format::Schema { name: _, description, schema, dialect, strict: _ } => {
            if !(native && was_absent(&request.extra, "responseMimeType")) {
                json.key("responseMimeType").text("application/json");
            }
            match dialect {
                SchemaDialect::OpenApi => json.key("responseSchema").value(schema),
                SchemaDialect::JsonSchema if native || !target.quirks.has(Quirk::Vertex) => {
                    json.key("responseJsonSchema").value(&described(schema, description.as_ref()));
                }
                SchemaDialect::JsonSchema => {
                    let (clean, lossy) = schema::for_gemini(&described(schema, description.as_ref()));
                    if lossy {
                        losses.approximated(Feature::Schema);
                    }
                    json.key("responseSchema").value(&clean);
                }
            }
        }
    }
}

/// The schema with what its format says of it.
fn described<'v>(schema: &'v Value<'v>, description: Option<&Str<'v>>) -> Cow<'v, Value<'v>> {
    match (schema, description) {
        (Value::Object(object), Some(text)) if object.get("description").is_none() => {
            let mut object: Object<'v> = object.clone();
            object.set("description", Value::String(text.clone()));
            Cow::Owned(Value::Object(object))
        }
        _ => Cow::Borrowed(schema),
    }
}

fn think(json: &mut Json<'_>, request: &Request<'_>, target: &Target<'_>, losses: &mut Losses) {
    let thinking = thinking::plan(request, target, losses);
    let mut inside = Vec::new();
    Json::new(&mut inside).object(|json| {
        if let Some(show) = thinking.show {
            json.key("includeThoughts").bool(show);
        }
        if let Some(budget) = thinking.budget {
            json.key("thinkingBudget").int(budget);
        }
        if let Some(level) = thinking.level {
            json.key("thinkingLevel").text(level);
        }
        again(json, &request.extra, "thinkingConfig");
    });
    if inside != b"{}" {
        json.key("thinkingConfig").raw(std::str::from_utf8(&inside).unwrap_or("{}"));
    }
}

/// Images and sound in the answer.
fn outputs(json: &mut Json<'_>, request: &Request<'_>, losses: &mut Losses) {
    if request.image_out {
        json.key("responseModalities").array(|json| {
            json.text("TEXT");
            json.text("IMAGE");
        });
    }
    let Some(wish) = &request.audio_out else { return };
    if request.image_out {
        losses.dropped(Feature::AudioOut);
        return;
    }
    json.key("responseModalities").array(|json| json.text("AUDIO"));
    // Gemini gives plain samples, whatever was asked for.
    if wish.get("format").is_some_and(|format| format.as_text().is_none_or(|format| format != "pcm16")) {
        losses.approximated(Feature::AudioForm);
    }
    // Its voices are named after stars; OpenAI's are words in lower case.
    match wish.get("voice").and_then(Value::as_text) {
        Some(voice) if voice.starts_with(|c: char| c.is_ascii_uppercase()) => {
            json.key("speechConfig").object(|json| {
                json.key("voiceConfig").object(|json| {
                    json.key("prebuiltVoiceConfig").object(|json| json.key("voiceName").text(&voice));
                });
            });
        }
        Some(_) => losses.approximated(Feature::AudioForm),
        None => {}
    }
}

/// Gemini knows one detail for all images.
fn resolution<'r>(json: &mut Json<'_>, request: &'r Request<'r>, losses: &mut Losses) {
    let (mut low, mut high, mut other) = (false, false, false);
    let in_results = |part: &'r Part<'r>| match &part.kind {
        PartKind::Result(result) => result.content.as_slice(),
        PartKind::Text(_)
        | PartKind::Refusal(_)
        | PartKind::Media(_)
        | PartKind::Reasoning(_)
        | PartKind::Call(_)
        | PartKind::Foreign { .. } => &[],
    };
    let parts = request.turns.iter().flat_map(|turn| &turn.parts);
    for part in parts.flat_map(|part| std::iter::once(part).chain(in_results(part))) {
        let PartKind::Media(media) = &part.kind else { continue };
        match media.detail.as_ref().map(Str::decode).as_deref() {
            Some("low") => low = true,
            Some("high" | "original") => high = true,
            Some(_) => other = true,
            None => other |= media.kind == MediaKind::Image,
        }
    }
    if usize::from(low) + usize::from(high) + usize::from(other) > 1 && (low || high) {
        losses.approximated(Feature::Detail);
    }
    if high {
        json.key("mediaResolution").text("MEDIA_RESOLUTION_HIGH");
    } else if low && !other {
        json.key("mediaResolution").text("MEDIA_RESOLUTION_LOW");
    }
}

/// Whether any tool is a function of the client's.
pub fn has_functions(request: &Request<'_>) -> bool {
    request.tools.iter().any(|tool| matches!(tool.kind, ToolKind::Function { .. } | ToolKind::Custom { .. }))
}
