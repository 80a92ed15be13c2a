//! Embeddings between Gemini's `:embedContent` / `:batchEmbedContents` and OpenAI's `/v1/embeddings`, both ways. Must never
//! know which upstream is asked.

use std::borrow::Cow;

use data_encoding::BASE64;

use super::fields::{Path, get, take, take_text};
use super::read::parse;
use crate::wire::ir::{Feature, Losses, Refusal};
use crate::wire::json::{Json, LoneSurrogates, Object, Str, Value};
use crate::wire::{Protocol, ReadError};

const DEPTH_MAX: usize = 64;

/// Texts to be embedded, as both protocols mean it.
#[derive(Debug, Clone, PartialEq)]
pub struct EmbedRequest<'a> {
    pub protocol: Protocol,
    /// As the body names it; Gemini's stands in the path.
    pub model: Cow<'a, str>,
    pub inputs: Vec<Input<'a>>,
    pub dimensions: Option<u64>,
    /// OpenAI: vectors are asked for as base64.
    pub base64: bool,
    /// Gemini: several were asked for, so a list is answered.
    pub batch: bool,
    pub user: Option<Str<'a>>,
    /// Paths of what only the client's protocol can say.
    pub dropped: Vec<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Input<'a> {
    Text(Str<'a>),
    /// OpenAI: tokens, which only OpenAI's tokenizer can read.
    Tokens(Value<'a>),
}

/// Vectors in the order of their inputs.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Embeddings {
    pub vectors: Vec<Vec<f32>>,
    /// Where the upstream counts.
    pub input_tokens: Option<u64>,
}

fn object_of(body: &str, depth_max: usize) -> Result<Object<'_>, ReadError> {
    match parse(body, depth_max)? {
        Value::Object(object) => Ok(object),
        _ => Err(ReadError { param: None, message: "the body must be a JSON object".to_owned() }),
    }
}

/// Reads `:embedContent`, or with `batch` `:batchEmbedContents`.
pub fn read_request(body: &str, batch: bool, depth_max: usize) -> Result<EmbedRequest<'_>, ReadError> {
    let mut top = object_of(body, depth_max)?;
    let mut request = empty(Protocol::GeminiGenerate);
    request.batch = batch;
    let root = Path::ROOT;
    if !batch {
        read_one(top, &root, &mut request)?;
        return Ok(request);
    }
    let at = root.key("requests");
    let Some(Value::Array(list)) = take(&mut top, "requests") else { return Err(at.error("must be an array")) };
    for (index, one) in list.into_iter().enumerate() {
        let at = at.index(index);
        let Value::Object(one) = one else { return Err(at.error("must be an object")) };
        read_one(one, &at, &mut request)?;
    }
    request.dropped.extend(top.members.iter().map(|(name, _)| name.decode().into_owned()));
    Ok(request)
}

fn empty<'a>(protocol: Protocol) -> EmbedRequest<'a> {
    EmbedRequest {
        protocol,
        model: Cow::Borrowed(""),
        inputs: Vec::new(),
        dimensions: None,
        base64: false,
        batch: true,
        user: None,
        dropped: Vec::new(),
    }
}

fn read_one<'a>(mut one: Object<'a>, at: &Path<'_>, request: &mut EmbedRequest<'a>) -> Result<(), ReadError> {
    if let Some(model) = take_text(&mut one, "model", at)? {
        let model = model.into_decoded();
        request.model = Cow::Owned(model.strip_prefix("models/").unwrap_or(&model).to_owned());
    }
    let content = take(&mut one, "content").ok_or_else(|| at.key("content").error("is missing"))?;
    let parts = match &content {
        Value::String(_) => std::slice::from_ref(&content),
        content => get(content, "parts").and_then(Value::as_array).unwrap_or_default(),
    };
    let mut texts = Vec::new();
    for part in parts {
        match part {
            Value::String(text) => texts.push(text.clone()),
            part => match get(part, "text") {
                Some(Value::String(text)) => texts.push(text.clone()),
                _ => return Err(at.key("content").error("must have text parts only")),
            },
        }
    }
    request.inputs.push(Input::Text(match texts.len() {
        1 => texts.remove(0),
        _ => Str::token(texts.iter().map(Str::as_token).collect::<Vec<_>>().join("\\n")),
    }));
    // Newer clients put what shapes the vectors one deeper.
    for mut settings in [take(&mut one, "embedContentConfig"), Some(Value::Object(one))].into_iter().flatten() {
        let Some(settings) = settings.as_object_mut() else { continue };
        if let Some(wanted) = take(settings, "outputDimensionality") {
            let at = at.key("outputDimensionality");
            request.dimensions = Some(wanted.as_u64().ok_or_else(|| at.error("must be a whole number"))?);
        }
        for (name, value) in &settings.members {
            let path = at.key(&name.decode()).to_string();
            if !value.is_null() && !request.dropped.contains(&path) {
                request.dropped.push(path);
            }
        }
    }
    Ok(())
}

/// Reads OpenAI's `/v1/embeddings`.
pub fn read_openai_request(body: &str, depth_max: usize) -> Result<EmbedRequest<'_>, ReadError> {
    let mut top = object_of(body, depth_max)?;
    let mut request = empty(Protocol::OpenAiChat);
    let root = Path::ROOT;
    let model = take_text(&mut top, "model", &root)?.ok_or_else(|| root.key("model").error("is missing"))?;
    request.model = model.into_decoded();
    let at = root.key("input");
    request.inputs = match take(&mut top, "input") {
        Some(Value::String(text)) => vec![Input::Text(text)],
        Some(Value::Array(list)) if list.first().is_some_and(|first| first.as_number().is_some()) => {
            vec![Input::Tokens(Value::Array(list))]
        }
        Some(Value::Array(list)) => list
            .into_iter()
            .map(|one| match one {
                Value::String(text) => Ok(Input::Text(text)),
                tokens @ Value::Array(_) => Ok(Input::Tokens(tokens)),
                _ => Err(at.error("must hold strings or arrays of tokens")),
            })
            .collect::<Result<_, _>>()?,
        Some(_) => return Err(at.error("must be a string or an array")),
        None => return Err(at.error("is missing")),
    };
    if let Some(dimensions) = take(&mut top, "dimensions") {
        let at = root.key("dimensions");
        request.dimensions = Some(dimensions.as_u64().ok_or_else(|| at.error("must be a whole number"))?);
    }
    let format = take_text(&mut top, "encoding_format", &root)?;
    request.base64 = match format.as_ref().map(Str::decode).as_deref() {
        None | Some("float") => false,
        Some("base64") => true,
        Some(_) => return Err(root.key("encoding_format").error("must be float or base64")),
    };
    request.user = take_text(&mut top, "user", &root)?;
    request.dropped = top.members.iter().map(|(name, _)| name.decode().into_owned()).collect();
    Ok(request)
}

/// The body for an OpenAI upstream. Numbers are asked for as such.
pub fn write_openai_request(request: &EmbedRequest<'_>, model: &str, losses: &mut Losses) -> Vec<u8> {
    leave_out(request, Protocol::OpenAiChat, losses);
    let mut out = Vec::new();
    Json::new(&mut out).object(|json| {
        json.key("model").text(model);
        let write = |json: &mut Json<'_>, input: &Input<'_>| match input {
            Input::Text(text) => json.str(text),
            Input::Tokens(tokens) => json.value(tokens),
        };
        match request.inputs.as_slice() {
            [one] => write(json.key("input"), one),
            several => json.key("input").array(|json| several.iter().for_each(|input| write(json, input))),
        }
        request.dimensions.iter().for_each(|dimensions| json.key("dimensions").uint(*dimensions));
        json.key("encoding_format").text("float");
        request.user.iter().for_each(|user| json.key("user").str(user));
    });
    out
}

/// The body of `:batchEmbedContents` for a Gemini upstream, whose answer is a list.
pub fn write_request(request: &EmbedRequest<'_>, model: &str, losses: &mut Losses) -> Result<Vec<u8>, Refusal> {
    if request.inputs.iter().any(|input| matches!(input, Input::Tokens(_))) {
        return Err(Refusal::new("input", "tokens cannot be sent to this model's upstream: send texts"));
    }
    leave_out(request, Protocol::GeminiGenerate, losses);
    if request.user.is_some() {
        losses.dropped(Feature::User);
    }
    let name = format!("models/{model}");
    let mut out = Vec::new();
    Json::new(&mut out).object(|json| {
        json.key("requests").array(|json| {
            for input in &request.inputs {
                let Input::Text(text) = input else { continue };
                json.object(|json| {
                    json.key("model").text(&name);
                    json.key("content").object(|json| {
                        json.key("parts").array(|json| json.object(|json| json.key("text").str(text)));
                    });
                    request.dimensions.iter().for_each(|number| json.key("outputDimensionality").uint(*number));
                });
            }
        });
    });
    Ok(out)
}

fn leave_out(request: &EmbedRequest<'_>, protocol: Protocol, losses: &mut Losses) {
    if request.protocol != protocol {
        request.dropped.iter().for_each(|path| losses.field(path));
    }
}

/// Reads Gemini's answer to either verb. `None` where it is none.
pub fn read_answer(body: &str) -> Option<Embeddings> {
    let value = Value::parse(body, DEPTH_MAX, LoneSurrogates::Allowed).ok()?;
    let list = match (get(&value, "embeddings"), get(&value, "embedding")) {
        (Some(Value::Array(list)), _) => list.as_slice(),
        (_, Some(one)) => std::slice::from_ref(one),
        _ => return None,
    };
    let vectors = list.iter().map(|one| numbers(get(one, "values")?)).collect::<Option<_>>()?;
    let counts = get(&value, "usageMetadata");
    let input_tokens = counts.and_then(|counts| get(counts, "promptTokenCount")).and_then(Value::as_u64);
    Some(Embeddings { vectors, input_tokens })
}

/// Reads OpenAI's answer, its vectors as numbers or base64. `None` where it is none.
pub fn read_openai_answer(body: &str) -> Option<Embeddings> {
    let value = Value::parse(body, DEPTH_MAX, LoneSurrogates::Allowed).ok()?;
    let mut data: Vec<&Value<'_>> = value.get("data")?.as_array()?.iter().collect();
    data.sort_by_key(|one| one.get("index").and_then(Value::as_u64));
    let vector = |one: &Value<'_>| match one.get("embedding")? {
        Value::String(text) => floats(&text.decode()),
        list => numbers(list),
    };
    let vectors = data.into_iter().map(vector).collect::<Option<_>>()?;
    let input_tokens = value.get("usage").and_then(|usage| usage.get("prompt_tokens")).and_then(Value::as_u64);
    Some(Embeddings { vectors, input_tokens })
}

fn numbers(list: &Value<'_>) -> Option<Vec<f32>> {
    let number = |value: &Value<'_>| value.as_number()?.parse::<f32>().ok().filter(|number| number.is_finite());
    list.as_array()?.iter().map(number).collect()
}

/// Four bytes each, the lowest first.
fn floats(base64: &str) -> Option<Vec<f32>> {
    let bytes = BASE64.decode(base64.as_bytes()).ok()?;
    let (chunks, []) = bytes.as_chunks::<4>() else { return None };
    chunks.iter().map(|bytes| Some(f32::from_le_bytes(*bytes)).filter(|number| number.is_finite())).collect()
}

/// OpenAI's answer.
pub fn write_openai_answer(embeddings: &Embeddings, base64: bool, model: &str) -> Vec<u8> {
    let mut out = Vec::new();
    Json::new(&mut out).object(|json| {
        json.key("object").text("list");
        json.key("data").array(|json| {
            for (index, vector) in embeddings.vectors.iter().enumerate() {
                json.object(|json| {
                    json.key("object").text("embedding");
                    json.key("index").uint(index as u64);
                    let json = json.key("embedding");
                    if base64 {
                        let bytes: Vec<u8> = vector.iter().flat_map(|number| number.to_le_bytes()).collect();
                        json.text(&BASE64.encode(&bytes));
                    } else {
                        write_numbers(json, vector);
                    }
                });
            }
        });
        json.key("model").text(model);
        json.key("usage").object(|json| {
            let tokens = embeddings.input_tokens.unwrap_or(0);
            json.key("prompt_tokens").uint(tokens);
            json.key("total_tokens").uint(tokens);
        });
    });
    out
}

/// Gemini's answer: one vector, or with `batch` a list.
pub fn write_answer(embeddings: &Embeddings, batch: bool) -> Vec<u8> {
    let one = |json: &mut Json<'_>, vector: &[f32]| json.object(|json| write_numbers(json.key("values"), vector));
    let mut out = Vec::new();
    Json::new(&mut out).object(|json| {
        if batch {
            json.key("embeddings").array(|json| embeddings.vectors.iter().for_each(|vector| one(json, vector)));
        } else {
            one(json.key("embedding"), embeddings.vectors.first().map_or(&[], Vec::as_slice));
        }
        if let Some(tokens) = embeddings.input_tokens {
            json.key("usageMetadata").object(|json| {
                json.key("promptTokenCount").uint(tokens);
                json.key("totalTokenCount").uint(tokens);
            });
        }
    });
    out
}

fn write_numbers(json: &mut Json<'_>, vector: &[f32]) {
    json.array(|json| vector.iter().for_each(|number| json.raw(&number.to_string())));
}
