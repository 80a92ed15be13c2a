//! The options of a Chat Completions request: tools, formats, stops. Must never know sockets.

use std::borrow::Cow;

use serde::de::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

use super::super::ask::{Format, Schema, Thinking, Tool, ToolChoice, strict_problem};
use super::super::errors::Refusal;
use super::super::tree::Str;

/// Vendors of this protocol show what they think; only the effort asks for it.
pub(super) fn thinking(effort: Option<Str<'_>>) -> Thinking {
    match effort {
        Some(Str(effort)) if effort != "none" => Thinking::Shown,
        _ => Thinking::Off,
    }
}

pub(super) fn read_format(raw: &RawValue) -> Result<Option<Format>, Refusal> {
    let mut format: Value = serde_json::from_str(raw.get()).unwrap_or_default();
    match format.get("type").and_then(Value::as_str) {
        Some("json_object") => Ok(Some(Format::Json)),
        Some("json_schema") => {
            let schema = format.pointer_mut("/json_schema/schema").map(Value::take);
            let is_strict = format.pointer("/json_schema/strict") == Some(&Value::Bool(true));
            if let Some(problem) = schema.as_ref().filter(|_| is_strict).and_then(strict_problem) {
                let message = format!("Invalid schema for response_format: {problem}");
                return Err(Refusal::new(message).param("response_format").code("invalid_json_schema"));
            }
            Ok(schema.map(Format::Schema))
        }
        _ => Ok(None),
    }
}

#[derive(serde::Deserialize)]
pub(super) struct StreamOptions {
    pub include_usage: Option<bool>,
}

pub(super) struct Stops<'a>(pub Vec<Cow<'a, str>>);

impl<'de: 'a, 'a> Deserialize<'de> for Stops<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(serde::Deserialize)]
        #[serde(untagged)]
        enum Shape {
            One(String),
            Several(Vec<String>),
        }
        Ok(Stops(match Shape::deserialize(from)? {
            Shape::One(stop) => vec![stop.into()],
            Shape::Several(stops) => stops.into_iter().map(Cow::from).collect(),
        }))
    }
}

#[derive(serde::Deserialize)]
pub(super) struct RawTool<'a> {
    #[serde(borrow)]
    function: Option<RawFunction<'a>>,
    #[serde(borrow)]
    custom: Option<RawFunction<'a>>,
}

#[derive(serde::Deserialize)]
struct RawFunction<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    parameters: Option<&'a RawValue>,
    strict: Option<bool>,
}

impl<'a> RawTool<'a> {
    pub fn tool(self) -> Option<Tool<'a>> {
        let custom = self.function.is_none();
        let RawFunction { name, parameters, .. } = self.function.or(self.custom)?;
        Some(Tool { namespace: None, name, custom, parameters: parameters.map(Schema::Raw) })
    }

    pub fn problem(&self, place: usize) -> Option<Refusal> {
        let function = self.function.as_ref().filter(|function| function.strict == Some(true))?;
        let problem = strict_problem(&serde_json::from_str(function.parameters?.get()).ok()?)?;
        let message = format!("Invalid schema for function '{}': {problem}", function.name);
        let param = format!("tools[{place}].function.parameters");
        Some(Refusal::new(message).param(param).code("invalid_function_parameters"))
    }
}

#[derive(Default)]
pub(super) struct Choice(pub ToolChoice);

impl<'de> Deserialize<'de> for Choice {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(serde::Deserialize)]
        #[serde(untagged)]
        enum Shape {
            Word(String),
            Object { function: Option<Name>, custom: Option<Name>, allowed_tools: Option<Allowed> },
        }
        #[derive(serde::Deserialize)]
        struct Name {
            name: String,
        }
        #[derive(serde::Deserialize)]
        struct Allowed {
            #[serde(default)]
            tools: Vec<Named>,
        }
        #[derive(serde::Deserialize)]
        struct Named {
            function: Option<Name>,
            custom: Option<Name>,
        }
        let named = |name: Option<Name>| name.map_or(ToolChoice::Any, |forced| ToolChoice::Named(forced.name));
        Ok(Choice(match Shape::deserialize(from)? {
            Shape::Word(word) if word == "none" => ToolChoice::None,
            Shape::Word(_) => ToolChoice::Any,
            Shape::Object { function, custom, allowed_tools } => {
                let first = allowed_tools.and_then(|allowed| allowed.tools.into_iter().next());
                named(function.or(custom).or_else(|| first.and_then(|tool| tool.function.or(tool.custom))))
            }
        }))
    }
}
