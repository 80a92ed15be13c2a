//! What tests of the request's writer share: requests of other protocols, and how one is written.

use super::*;
use crate::wire::Protocol;
use crate::wire::ir::{
    Arguments, Call, CallResult, LossKind, Losses, Part, PartKind, Refusal, Request, Role, SchemaDialect, Tool,
    ToolKind, Turn, Undo,
};
use crate::wire::json::Str;

pub(super) fn chat(turns: Vec<Turn<'static>>) -> Request<'static> {
    let mut request = Request::new(Protocol::OpenAiChat, "client-model");
    request.turns = turns;
    request
}

pub(super) fn says(role: Role, text: &'static str) -> Turn<'static> {
    let mut turn = Turn::new(role, vec![Part::text(text)]);
    turn.bare = true;
    turn
}

pub(super) fn call(id: &'static str, name: &'static str, arguments: &'static str) -> Part<'static> {
    let arguments = Arguments::Text(arguments.into());
    Part::new(PartKind::Call(Call { id: Some(id.into()), name: name.into(), arguments, custom: false }))
}

pub(super) fn result(id: Option<&'static str>, name: Option<&'static str>, text: &'static str) -> Part<'static> {
    Part::new(PartKind::Result(CallResult {
        call_id: id.map(Str::from),
        name: name.map(Str::from),
        content: vec![Part::text(text)],
        bare: true,
        is_error: false,
        custom: false,
        response: None,
    }))
}

pub(super) fn function(name: &'static str) -> Tool<'static> {
    let kind = ToolKind::Function {
        name: name.into(),
        description: None,
        parameters: Some(parse(r#"{"type":"object","properties":{}}"#)),
        dialect: SchemaDialect::JsonSchema,
        strict: None,
    };
    Tool { kind, cache: None, extra: Vec::new() }
}

pub(super) fn user() -> Vec<Turn<'static>> {
    vec![says(Role::User, "hi")]
}

pub(super) struct Written {
    pub body: serde_json::Value,
    pub undo: Undo,
    pub losses: Vec<(String, LossKind)>,
}

impl Written {
    pub fn lost(&self) -> Vec<&str> {
        self.losses.iter().map(|(name, _)| name.as_str()).collect()
    }
}

pub(super) fn try_write(request: &Request<'_>, target: &Target<'_>) -> Result<Written, Refusal> {
    let mut losses = Losses::default();
    let (body, undo) = write_request(request, target, &mut losses)?;
    let losses = losses.iter().map(|loss| (loss.feature.param(request.protocol).into_owned(), loss.kind)).collect();
    Ok(Written { body: dom(std::str::from_utf8(&body).unwrap()), undo, losses })
}

#[track_caller]
pub(super) fn write(request: &Request<'_>, target: &Target<'_>) -> Written {
    try_write(request, target).unwrap_or_else(|refusal| panic!("{refusal:?}"))
}

#[track_caller]
pub(super) fn check_messages(turns: Vec<Turn<'static>>, expected: &str, lost: &[&str]) {
    let plain = Target { quirks: Quirks::NONE, ..target() };
    let written = write(&chat(turns), &plain);
    assert_eq!(written.body["messages"], dom(expected));
    assert_eq!(written.lost(), lost);
}

#[track_caller]
pub(super) fn check_refusal(request: &Request<'_>, param: &str) {
    let refusal = try_write(request, &target()).err().expect("a refusal");
    assert_eq!(refusal.param, param, "{refusal:?}");
}
