//! Log probabilities between Gemini's form and OpenAI's. Numbers stay as they were written.

use super::fields::get;
use crate::wire::json::{Json, Object, Str, Value};

/// `logprobsResult` as OpenAI's `[{token,logprob,bytes,top_logprobs}]`.
pub fn read(result: &Value<'_>) -> Option<Value<'static>> {
    let chosen = get(result, "chosenCandidates")?.as_array()?;
    let tops = get(result, "topCandidates").and_then(Value::as_array).unwrap_or_default();
    let list = chosen.iter().enumerate().map(|(at, token)| {
        let top = tops.get(at).and_then(|top| get(top, "candidates")).and_then(Value::as_array).unwrap_or_default();
        let mut one = entry(token);
        one.set("top_logprobs", Value::Array(top.iter().map(|token| Value::Object(entry(token))).collect()));
        Value::Object(one)
    });
    Some(Value::Array(list.collect()))
}

fn entry(token: &Value<'_>) -> Object<'static> {
    let member = |name: &str| get(token, name).map_or(Value::Null, |value| value.clone().into_owned());
    let mut entry = Object::default();
    let text = match member("token") {
        Value::String(text) => text,
        _ => Str::plain(""),
    };
    let bytes = text.decode().bytes().map(Value::number).collect();
    entry.set("token", Value::String(text));
    entry.set("logprob", member("logProbability"));
    entry.set("bytes", Value::Array(bytes));
    entry
}

/// OpenAI's list as `logprobsResult`.
pub fn write(json: &mut Json<'_>, list: &[Value<'_>]) {
    let pair = |json: &mut Json<'_>, entry: &Value<'_>| {
        json.object(|json| {
            entry.get("token").iter().for_each(|token| json.key("token").value(token));
            entry.get("logprob").iter().for_each(|number| json.key("logProbability").value(number));
        });
    };
    json.object(|json| {
        json.key("chosenCandidates").array(|json| list.iter().for_each(|entry| pair(json, entry)));
        let top =
            |entry: &'_ Value<'_>| entry.get("top_logprobs").and_then(Value::as_array).is_some_and(|l| !l.is_empty());
        if list.iter().any(top) {
            json.key("topCandidates").array(|json| {
                for entry in list {
                    let tops = entry.get("top_logprobs").and_then(Value::as_array).unwrap_or_default();
                    json.object(|json| {
                        json.key("candidates").array(|json| tops.iter().for_each(|top| pair(json, top)))
                    });
                }
            });
        }
    });
}
