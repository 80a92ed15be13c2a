//! `:countTokens`: what is counted is a request, and the answer one number.

use super::fields::{Path, get, take};
use super::read::{parse, read_value};
use super::write::plan;
use crate::wire::ReadError;
use crate::wire::ir::{Losses, Quirk, Refusal, Request, Target, Undo};
use crate::wire::json::{Json, LoneSurrogates, Value};

const DEPTH_MAX: usize = 64;

/// Reads what is to be counted: a whole `generateContentRequest`, or its members themselves.
pub fn read_request(body: &str, depth_max: usize) -> Result<Request<'_>, ReadError> {
    let mut value = parse(body, depth_max)?;
    if let Some(top) = value.as_object_mut()
        && let Some(inner) = take(top, "generateContentRequest")
    {
        if inner.as_object().is_none() {
            return Err(Path::ROOT.key("generateContentRequest").error("must be an object"));
        }
        return read_value(inner);
    }
    read_value(value)
}

/// The body for an upstream. Gemini's own API takes more than `contents` only within a whole request, Vertex only outside one.
pub fn write_request(request: &Request<'_>, target: &Target<'_>, losses: &mut Losses) -> Result<Vec<u8>, Refusal> {
    let members = plan(request, target, losses, &mut Undo::default())?;
    let mut out = Vec::new();
    Json::new(&mut out).object(|json| {
        if target.quirks.has(Quirk::Vertex) {
            return members.write_counted(json);
        }
        json.key("generateContentRequest").object(|json| {
            json.key("model").text(&format!("models/{}", target.model));
            members.write(json);
        });
    });
    Ok(out)
}

/// The number of tokens in an answer; `None` where it is none.
pub fn read_answer(body: &str) -> Option<u64> {
    let value = Value::parse(body, DEPTH_MAX, LoneSurrogates::Allowed).ok()?;
    get(&value, "totalTokens")?.as_u64()
}

pub fn write_answer(tokens: u64) -> Vec<u8> {
    let mut out = Vec::new();
    Json::new(&mut out).object(|json| {
        json.key("totalTokens").uint(tokens);
        json.key("promptTokensDetails").array(|json| {
            json.object(|json| {
                json.key("modality").text("TEXT");
                json.key("tokenCount").uint(tokens);
            });
        });
    });
    out
}
