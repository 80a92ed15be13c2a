//! Writes what a model said earlier back to a chat upstream: text, thinking and calls of one message. Must never send state to
//! whom it was not made by.

use super::request_write::{Form, OWN};
use super::thinking::payload_entries;
use super::write_content::{Content, write_text};
use super::write_messages::Assistant;
use crate::wire::Protocol;
use crate::wire::ir::{Arguments, Call, Extra, Feature, MediaKind, PartKind, Quirk, Reasoning, State};
use crate::wire::json::{Json, Str, Value};

/// What Gemini takes in the place of a signature for a history that is not its own.
const SIGNATURE_STAND_IN: &str = "skip_thought_signature_validator";

impl Content<'_, '_> {
    pub(super) fn write_assistant(&mut self, json: &mut Json<'_>, assistant: &Assistant<'_, '_>) {
        let mut text = String::new();
        let mut refusal = String::new();
        let mut thinking: Vec<(&Reasoning<'_>, Option<&State<'_>>)> = Vec::new();
        let mut signature = None;
        // Another turn's text is another paragraph.
        let mut apart = false;
        for (begins, part) in &assistant.parts {
            apart |= begins;
            match &part.kind {
                PartKind::Text(said) => {
                    if std::mem::take(&mut apart) && !text.is_empty() {
                        text.push_str("\\n\\n");
                    }
                    text.push_str(&said.as_token());
                    signature = self.google_signature(part.state.as_ref()).or(signature);
                }
                PartKind::Refusal(said) => refusal.push_str(&said.as_token()),
                PartKind::Reasoning(reasoning) => thinking.push((reasoning, part.state.as_ref())),
                // It stands in the user's next message.
                PartKind::Media(media) if media.kind == MediaKind::Image && self.target.vision => {
                    self.losses.approximated(Feature::Role);
                }
                PartKind::Media(media) if media.kind == MediaKind::Image => self.losses.dropped(Feature::ImageOut),
                PartKind::Media(_) => self.losses.dropped(Feature::AudioOut),
                PartKind::Call(_) | PartKind::Result(_) | PartKind::Foreign { .. } => {}
            }
            self.drop_mark(part);
        }
        let echo = self.echo(&thinking);
        let parts = echo.text.as_ref().filter(|_| self.has(Quirk::ThinkingParts));
        if text.is_empty() && refusal.is_empty() && assistant.calls.is_empty() {
            return;
        }
        json.object(|json| {
            json.key("role").text("assistant");
            match parts {
                Some(thought) => json.key("content").array(|json| {
                    write_thinking_part(json, &Str::token(thought.as_str()));
                    if !text.is_empty() {
                        write_text(json, &Str::token(text.as_str()));
                    }
                }),
                None if text.is_empty() && refusal.is_empty() => json.key("content").null(),
                None => json.key("content").str(&Str::token(text.as_str())),
            }
            if !refusal.is_empty() {
                json.key("refusal").str(&Str::token(refusal.as_str()));
            }
            if let Some(thought) = echo.text.as_ref().filter(|_| self.has(Quirk::ReasoningContent)) {
                json.key("reasoning_content").str(&Str::token(thought.as_str()));
            }
            if let Some(details) = &echo.details {
                json.key("reasoning_details").raw(details);
            }
            if let Some(signature) = &signature {
                write_signature(json, signature);
            }
            if !assistant.calls.is_empty() {
                json.key("tool_calls").array(|json| self.write_calls(json, assistant));
            }
        });
    }

    /// What of the model's earlier thinking goes back to it.
    pub(super) fn echo(&mut self, thinking: &[(&Reasoning<'_>, Option<&State<'_>>)]) -> Echo {
        let mut echo = Echo::default();
        let mut details: Vec<String> = Vec::new();
        for (reasoning, state) in thinking {
            let texts = if reasoning.text.is_empty() { &reasoning.full } else { &reasoning.text };
            let text = texts.iter().map(Str::as_token).collect::<Vec<_>>().join("\\n\\n");
            let mut said = false;
            let mut carried = false;
            if self.has(Quirk::ReasoningDetails) {
                let index = details.len();
                match state {
                    Some(state) => {
                        let payload = self.readable(state).unwrap_or_default();
                        let entries = payload_entries(&payload).unwrap_or_default();
                        (said, carried) = (!entries.is_empty(), !entries.is_empty());
                        details.extend(entries.iter().map(Value::to_json));
                    }
                    None if !text.is_empty() => {
                        said = true;
                        details.push(format!(r#"{{"type":"reasoning.text","text":"{text}","index":{index}}}"#));
                    }
                    None => {}
                }
            }
            if !text.is_empty() && (self.has(Quirk::ReasoningContent) || self.has(Quirk::ThinkingParts)) {
                let so_far = echo.text.get_or_insert_default();
                if !so_far.is_empty() {
                    so_far.push_str("\\n\\n");
                }
                so_far.push_str(&text);
                said = true;
            }
            if state.is_some() && !carried || !said {
                self.losses.thinking(*state);
            }
        }
        echo.details = (!details.is_empty()).then(|| format!("[{}]", details.join(",")));
        echo
    }

    fn readable(&self, state: &State<'_>) -> Option<String> {
        state.readable_by(OWN, self.target.account).then(|| state.payload.decode().into_owned())
    }

    /// The signature to send on, where the upstream is one that signs.
    fn google_signature(&mut self, state: Option<&State<'_>>) -> Option<String> {
        let state = state?;
        // Both of Google's protocols have the same signatures.
        let gemini = state.readable_by(Protocol::GeminiGenerate, self.target.account);
        let readable = if gemini { Some(state.payload.decode().into_owned()) } else { self.readable(state) };
        let signature = readable.filter(|_| self.has(Quirk::GoogleSignatures));
        if signature.is_none() {
            self.losses.dropped(Feature::ReasoningState);
        }
        signature
    }

    fn write_calls(&mut self, json: &mut Json<'_>, assistant: &Assistant<'_, '_>) {
        for (at, (id, part, call)) in assistant.calls.iter().enumerate() {
            let mut signature = self.google_signature(part.state.as_ref());
            let signs = self.has(Quirk::GoogleSignatures) && self.has(Quirk::SignedCalls);
            if at == 0 && signs && signature.is_none() {
                signature = Some(SIGNATURE_STAND_IN.to_owned());
            }
            self.drop_mark(part);
            json.object(|json| {
                json.key("id").text(id);
                self.write_called(json, call, &[]);
                if let Some(signature) = &signature {
                    write_signature(json, signature);
                }
            });
        }
    }

    pub(super) fn write_called(&self, json: &mut Json<'_>, call: &Call<'_>, extra: &[Extra<'_>]) {
        let (kind, arguments) = if call.custom { ("custom", "input") } else { ("function", "arguments") };
        json.key("type").text(kind);
        json.key(kind).object(|json| {
            self.names.write(json.key("name"), &call.name);
            match &call.arguments {
                Arguments::Text(text) if text.is_empty() && !call.custom && self.request.protocol != OWN => {
                    json.key(arguments).text("{}");
                }
                Arguments::Text(text) => json.key(arguments).str(text),
                Arguments::Object(object) => json.key(arguments).json_as_text(object),
            }
            Form { own: true, extra }.say_in(json, kind);
        });
    }
}

#[derive(Default)]
pub(super) struct Echo {
    /// As the inside of a JSON string.
    pub text: Option<String>,
    details: Option<String>,
}

fn write_thinking_part(json: &mut Json<'_>, text: &Str<'_>) {
    json.object(|json| {
        json.key("type").text("thinking");
        json.key("thinking").array(|json| write_text(json, text));
    });
}

fn write_signature(json: &mut Json<'_>, signature: &str) {
    json.key("extra_content").object(|json| {
        json.key("google").object(|json| json.key("thought_signature").text(signature));
    });
}
