//! Writes the messages of a client of this protocol in the form that they came in. Must never say them in another way.

use super::request_write::Form;
use super::write_content::Content;
use super::write_media::write_media;
use super::write_messages::CallIds;
use crate::wire::ir::{Call, CallResult, Part, PartKind, Quirk, Role, Turn};
use crate::wire::json::{Json, Str};

impl Content<'_, '_> {
    /// A message of a client of this protocol, in the form that it came in.
    pub(super) fn write_own(&mut self, json: &mut Json<'_>, turn: &Turn<'_>, ids: &mut CallIds) {
        let form = Form { own: true, extra: &turn.extra };
        json.object(|json| {
            match (turn.role, &turn.parts[..]) {
                (Role::Tool, [Part { kind: PartKind::Result(result), .. }]) => {
                    self.write_own_result(json, result, &form, ids);
                }
                _ => {
                    json.key("role").text(self.role(turn.role));
                    if let Some(name) = &turn.name {
                        json.key("name").str(name);
                    }
                    self.write_own_content(json, &turn.parts, turn.bare, &form);
                    self.write_own_echo(json, turn, &form);
                    self.write_own_calls(json, turn, &form, ids);
                }
            }
            form.say_here(json, &[]);
        });
    }

    fn write_own_result(&self, json: &mut Json<'_>, result: &CallResult<'_>, form: &Form<'_, '_>, ids: &mut CallIds) {
        let id = ids.of_result(result);
        if form.given("role").is_none() {
            json.key("role").text("tool");
        }
        if result.call_id.is_some() {
            json.key("tool_call_id").text(&id);
        }
        if let Some(name) = &result.name {
            json.key("name").str(name);
        }
        self.write_own_content(json, &result.content, result.bare, form);
    }

    fn write_own_calls(&self, json: &mut Json<'_>, turn: &Turn<'_>, form: &Form<'_, '_>, ids: &mut CallIds) {
        let call = |part| match part {
            &Part { kind: PartKind::Call(ref call), ref extra, .. } => Some((call, Form { own: true, extra })),
            _ => None,
        };
        let mut calls: Vec<(&Call<'_>, Form<'_, '_>)> = turn.parts.iter().filter_map(call).collect();
        if form.given("function_call").is_some() {
            // The old form of a call stands beside the list, and is said again as it came.
            calls.pop();
        }
        if calls.is_empty() {
            return;
        }
        json.key("tool_calls").array(|json| {
            for (call, form) in calls {
                let id = ids.of_call(call);
                json.object(|json| {
                    if call.id.is_some() {
                        json.key("id").text(&id);
                    }
                    self.write_called(json, call, form.extra);
                    form.say_here(json, &[]);
                });
            }
        });
    }

    /// The upstream's name for thinking, where the client used another one.
    fn write_own_echo(&mut self, json: &mut Json<'_>, turn: &Turn<'_>, form: &Form<'_, '_>) {
        let thinking = turn.parts.iter().filter_map(|part| match &part.kind {
            PartKind::Reasoning(reasoning) => Some((reasoning, part.state.as_ref())),
            _ => None,
        });
        let thinking: Vec<_> = thinking.collect();
        let asked = self.has(Quirk::ReasoningContent) && form.given("reasoning_content").is_none();
        if thinking.is_empty() || !asked {
            return;
        }
        if let Some(text) = self.echo(&thinking).text {
            json.key("reasoning_content").str(&Str::token(text));
        }
    }

    fn write_own_content(&self, json: &mut Json<'_>, parts: &[Part<'_>], bare: bool, form: &Form<'_, '_>) {
        if bare
            && let Some(Part { kind: PartKind::Text(text), .. }) =
                parts.iter().find(|part| matches!(part.kind, PartKind::Text(_)))
        {
            return json.key("content").str(text);
        }
        let is_content = |part: &&Part<'_>| match &part.kind {
            PartKind::Text(_) | PartKind::Foreign { .. } => true,
            PartKind::Media(_) => form.given("images").is_none(),
            PartKind::Refusal(_) => form.given("refusal").is_none(),
            PartKind::Reasoning(_) => Form { own: true, extra: &part.extra }.given("thinking").is_some(),
            PartKind::Call(_) | PartKind::Result(_) => false,
        };
        let parts: Vec<&Part<'_>> = parts.iter().filter(is_content).collect();
        if parts.is_empty() {
            return;
        }
        json.key("content").array(|json| parts.iter().for_each(|part| write_own_part(json, part)));
    }
}

fn write_own_part(json: &mut Json<'_>, part: &Part<'_>) {
    let form = Form { own: true, extra: &part.extra };
    match &part.kind {
        PartKind::Text(text) => json.object(|json| {
            json.key("type").text("text");
            json.key("text").str(text);
            form.say_here(json, &[]);
        }),
        PartKind::Refusal(text) => json.object(|json| {
            json.key("type").text("refusal");
            json.key("refusal").str(text);
            form.say_here(json, &[]);
        }),
        PartKind::Reasoning(_) => json.object(|json| {
            json.key("type").text("thinking");
            form.say_here(json, &[]);
        }),
        PartKind::Media(media) => json.object(|json| {
            let whole_file = form.given("type").is_some();
            write_media(json, media, whole_file, &form);
            form.say_here(json, &["type"]);
        }),
        PartKind::Foreign { raw, .. } => json.value(raw),
        PartKind::Call(_) | PartKind::Result(_) => {}
    }
}
