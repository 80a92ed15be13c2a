//! Writes events as an Anthropic Messages stream. Must never know where they come from.

use super::opaque::Owner;
use super::said::{Said, call_id, message_id, write_stop};
use super::usage::write_usage;
use super::{errors, opaque, said};
use crate::wire::ir::{
    BlockKind, Citation, Delta, Event, EventWriter, Feature, Finish, Ids, Losses, Start, State, UpstreamError,
    WriterSetup,
};
use crate::wire::json::{Json, Str, Value};
use crate::wire::{Protocol, Usage};

/// Most citations that wait for a text to stand under.
const CITED_MAX: usize = 1024;

pub struct MessagesWriter {
    setup: WriterSetup,
    ids: Ids,
    losses: Losses,
    started: bool,
    tier: Option<String>,
    /// Blocks that were begun, in numbers of this stream.
    index: u64,
    open: Option<Open>,
    /// State of the open text or call, which follows it.
    after: Option<State<'static>>,
    said: Said,
    usage: Option<Usage>,
    finish: Option<Finish<'static>>,
}

/// The block that events belong to. It is begun with the first thing that it says: the API has no empty texts.
struct Open {
    kind: OpenKind,
    begun: bool,
}

enum OpenKind {
    /// `cited`: citations that came before the text.
    Text {
        cited: Vec<Citation<'static>>,
    },
    Thinking {
        state: Option<State<'static>>,
    },
    Redacted,
    /// `custom`: a free-form call, whose text becomes the one member of an object.
    Call {
        id: String,
        name: Str<'static>,
        custom: bool,
    },
    /// Cannot be said, or is said already.
    Silent,
}

impl MessagesWriter {
    pub fn new(setup: WriterSetup) -> MessagesWriter {
        let ids = Ids::new(&setup.call_id);
        MessagesWriter {
            setup,
            ids,
            losses: Losses::default(),
            started: false,
            tier: None,
            index: 0,
            open: None,
            after: None,
            said: Said::default(),
            usage: None,
            finish: None,
        }
    }

    fn start(&mut self, start: &Start<'_>, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.started, true) {
            return;
        }
        self.tier = start.service_tier.as_ref().map(|tier| tier.decode().into_owned());
        let id = message_id(start.id.as_ref(), &mut self.ids);
        let estimated = Usage { input_total: self.setup.input_tokens_estimated, ..Usage::default() };
        let usage = start.usage.unwrap_or(estimated);
        event("message_start", out, |json| {
            json.key("message").object(|json| {
                json.key("id").text(&id);
                json.key("type").text("message");
                json.key("role").text("assistant");
                match &start.model {
                    Some(model) => json.key("model").str(model),
                    None => json.key("model").text(&self.setup.model),
                }
                json.key("content").array(|_| {});
                json.key("stop_reason").null();
                json.key("stop_sequence").null();
                json.key("usage");
                write_usage(json, &usage, self.tier.as_deref());
            });
        });
    }

    fn block_start(&mut self, kind: &BlockKind<'_>, out: &mut Vec<u8>) {
        self.block_stop(out);
        self.give_state(out);
        let kind = match kind {
            BlockKind::Text => OpenKind::Text { cited: Vec::new() },
            BlockKind::Refusal => {
                self.said.refused = true;
                OpenKind::Text { cited: Vec::new() }
            }
            BlockKind::Reasoning { redacted: false } => OpenKind::Thinking { state: None },
            BlockKind::Reasoning { redacted: true } => OpenKind::Redacted,
            BlockKind::Call { id, name, custom } => OpenKind::Call {
                id: call_id(id.as_ref(), &mut self.said, &mut self.ids),
                name: name.clone().into_owned(),
                custom: *custom,
            },
            BlockKind::Media { image, .. } => {
                self.losses.dropped(if *image { Feature::ImageOut } else { Feature::AudioOut });
                OpenKind::Silent
            }
            BlockKind::Foreign { protocol: Protocol::AnthropicMessages, raw, .. } => return self.own_block(raw, out),
            BlockKind::Foreign { .. } => {
                self.losses.dropped(Feature::ServerTool);
                OpenKind::Silent
            }
        };
        self.open = Some(Open { kind, begun: false });
    }

    /// A server tool's block from our own protocol, with its input as the one delta that it has.
    fn own_block(&mut self, raw: &Value<'_>, out: &mut Vec<u8>) {
        let kind = raw.get("type").and_then(Value::as_text).unwrap_or_default();
        let streamed = matches!(&*kind, "server_tool_use" | "mcp_tool_use").then(|| raw.get("input")).flatten();
        self.begin(out, |json| {
            for (name, value) in raw.as_object().into_iter().flat_map(|object| &object.members) {
                json.key_of(name);
                match streamed.is_some() && *name == "input" {
                    true => json.object(|_| {}),
                    false => json.value(value),
                }
            }
        });
        if let Some(input) = streamed {
            self.delta("input_json_delta", out, |json| json.key("partial_json").json_as_text(input));
        }
        self.open = Some(Open { kind: OpenKind::Silent, begun: true });
    }

    fn block_delta(&mut self, delta: &Delta<'_>, out: &mut Vec<u8>) {
        let Some(mut open) = self.open.take() else { return };
        self.say(&mut open, delta, out);
        self.open = Some(open);
    }

    fn say(&mut self, open: &mut Open, delta: &Delta<'_>, out: &mut Vec<u8>) {
        match (&mut open.kind, delta) {
            (OpenKind::Silent, _) | (_, Delta::Logprobs(_)) => {}
            (OpenKind::Text { cited }, Delta::Text(text)) if !text.is_empty() => {
                let cited = std::mem::take(cited);
                self.begin_text(open, out);
                cited.iter().for_each(|citation| self.citation(citation, out));
                self.delta("text_delta", out, |json| json.key("text").str(text));
            }
            (OpenKind::Text { .. }, Delta::Citation(citation)) if open.begun => self.citation(citation, out),
            (OpenKind::Text { cited }, Delta::Citation(citation)) if cited.len() < CITED_MAX => {
                cited.push(citation.clone().into_owned());
            }
            (OpenKind::Thinking { .. }, Delta::Text(text)) if !text.is_empty() => {
                self.begin_thinking(open, out);
                self.delta("thinking_delta", out, |json| json.key("thinking").str(text));
            }
            (OpenKind::Thinking { .. }, Delta::NextPart) if open.begun => {
                self.delta("thinking_delta", out, |json| json.key("thinking").text("\n\n"));
            }
            (OpenKind::Thinking { state }, Delta::State(made)) => *state = Some(made.clone().into_owned()),
            (OpenKind::Redacted, Delta::Text(text)) if !text.is_empty() => {
                open.kind = OpenKind::Thinking { state: None };
                self.say(open, delta, out);
            }
            (OpenKind::Redacted, Delta::State(state)) => {
                self.begin(out, |json| {
                    json.key("type").text("redacted_thinking");
                    json.key("data").str(&opaque::carried(state));
                });
                *open = Open { kind: OpenKind::Silent, begun: true };
            }
            (OpenKind::Call { custom, .. }, Delta::Arguments(text)) if !text.is_empty() => {
                let custom = *custom;
                self.begin_call(open, out);
                self.delta("input_json_delta", out, |json| match custom {
                    true => json.key("partial_json").text(&text.as_token()),
                    false => json.key("partial_json").str(text),
                });
            }
            (OpenKind::Call { .. }, Delta::State(state)) if !open.begun => self.beside(state, Owner::Next, out),
            (OpenKind::Text { .. } | OpenKind::Call { .. }, Delta::State(state)) => {
                self.after = Some(state.clone().into_owned());
            }
            (_, Delta::Citation(_)) => self.losses.dropped(Feature::Citations),
            (_, Delta::Text(_) | Delta::Arguments(_) | Delta::Data(_) | Delta::Url(_) | Delta::NextPart) => {}
        }
    }

    fn begin_text(&mut self, open: &mut Open, out: &mut Vec<u8>) {
        if !std::mem::replace(&mut open.begun, true) {
            self.begin(out, |json| {
                json.key("type").text("text");
                json.key("text").text("");
            });
        }
    }

    fn begin_thinking(&mut self, open: &mut Open, out: &mut Vec<u8>) {
        if !std::mem::replace(&mut open.begun, true) {
            self.begin(out, |json| {
                json.key("type").text("thinking");
                json.key("thinking").text("");
                json.key("signature").text("");
            });
        }
    }

    fn begin_call(&mut self, open: &mut Open, out: &mut Vec<u8>) {
        let OpenKind::Call { id, name, custom } = &open.kind else { return };
        if std::mem::replace(&mut open.begun, true) {
            return;
        }
        self.begin(out, |json| {
            json.key("type").text("tool_use");
            json.key("id").text(id);
            json.key("name").str(name);
            json.key("input").object(|_| {});
        });
        self.delta("input_json_delta", out, |json| json.key("partial_json").text(""));
        if *custom {
            self.delta("input_json_delta", out, |json| json.key("partial_json").text(r#"{"input":""#));
        }
    }

    /// State of a text or call, in a block of its own.
    fn beside(&mut self, state: &State<'_>, owner: Owner, out: &mut Vec<u8>) {
        self.begin(out, |json| opaque::write_beside(json, state, owner));
        self.close(out);
    }

    fn close(&mut self, out: &mut Vec<u8>) {
        let index = self.index;
        event("content_block_stop", out, |json| json.key("index").uint(index));
        self.index += 1;
    }

    fn citation(&mut self, citation: &Citation<'_>, out: &mut Vec<u8>) {
        if said::can_cite(citation) {
            self.delta("citations_delta", out, |json| {
                json.key("citation");
                said::write_citation(json, citation);
            });
        } else {
            self.losses.dropped(Feature::Citations);
        }
    }

    fn block_stop(&mut self, out: &mut Vec<u8>) {
        let Some(mut open) = self.open.take() else { return };
        if let OpenKind::Thinking { state } = &mut open.kind {
            let state = state.take();
            if state.is_some() {
                self.begin_thinking(&mut open, out);
            }
            if open.begun {
                // Clients keep a signature even where it is empty, and send the block back with it.
                let signature = state.as_ref().map_or(Str::plain(""), opaque::carried);
                self.delta("signature_delta", out, |json| json.key("signature").str(&signature));
            }
        }
        // A text that is none has no place for what it is from.
        if matches!(&open.kind, OpenKind::Text { cited } if !cited.is_empty()) {
            self.losses.dropped(Feature::Citations);
        }
        self.begin_call(&mut open, out);
        if matches!(open.kind, OpenKind::Call { custom: true, .. }) {
            self.delta("input_json_delta", out, |json| json.key("partial_json").text("\"}"));
        }
        if open.begun {
            self.close(out);
        }
        if matches!(open.kind, OpenKind::Call { .. }) {
            self.give_state(out);
        }
    }

    /// State of the block before, as a block of its own. That of a text waits for what follows it: an answer never ends with
    /// a block that has nothing to show, for clients take the last one for the answer.
    fn give_state(&mut self, out: &mut Vec<u8>) {
        if let Some(state) = self.after.take() {
            self.beside(&state, Owner::Before, out);
        }
    }

    fn begin(&mut self, out: &mut Vec<u8>, block: impl FnOnce(&mut Json<'_>)) {
        let index = self.index;
        event("content_block_start", out, |json| {
            json.key("index").uint(index);
            json.key("content_block").object(block);
        });
    }

    fn delta(&mut self, kind: &str, out: &mut Vec<u8>, delta: impl FnOnce(&mut Json<'_>)) {
        let index = self.index;
        event("content_block_delta", out, |json| {
            json.key("index").uint(index);
            json.key("delta").object(|json| {
                json.key("type").text(kind);
                delta(json);
            });
        });
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        self.start(&Start::default(), out);
        self.block_stop(out);
        if self.after.take().is_some() {
            self.losses.dropped(Feature::ReasoningState);
        }
        let estimated = Usage { input_total: self.setup.input_tokens_estimated, ..Usage::default() };
        let usage = self.usage.unwrap_or(estimated);
        event("message_delta", out, |json| {
            json.key("delta").object(|json| write_stop(json, self.finish.as_ref(), &self.said));
            json.key("usage");
            write_usage(json, &usage, self.tier.as_deref());
        });
        event("message_stop", out, |_| {});
    }
}

/// `event: kind`, its data with `type` first, and the blank line.
fn event(kind: &str, out: &mut Vec<u8>, members: impl FnOnce(&mut Json<'_>)) {
    out.extend_from_slice(b"event: ");
    out.extend_from_slice(kind.as_bytes());
    out.extend_from_slice(b"\ndata: ");
    Json::new(out).object(|json| {
        json.key("type").text(kind);
        members(json);
    });
    out.extend_from_slice(b"\n\n");
}

impl EventWriter for MessagesWriter {
    fn event(&mut self, event: &Event<'_>, out: &mut Vec<u8>) {
        match event {
            Event::Start(start) => self.start(start, out),
            Event::BlockStart { choice: 0, kind, .. } => {
                self.start(&Start::default(), out);
                self.block_start(kind, out);
            }
            Event::Delta { choice: 0, delta, .. } => self.block_delta(delta, out),
            Event::BlockStop { choice: 0, .. } => self.block_stop(out),
            // A message has one answer; the request's reader knows no way to ask for more.
            Event::BlockStart { .. } => self.losses.dropped(Feature::Choices),
            Event::Delta { .. } | Event::BlockStop { .. } => {}
            Event::Usage { usage, .. } => self.usage = Some(*usage),
            Event::Finish(finish) if finish.choice == 0 => self.finish = Some(finish.clone().into_owned()),
            Event::Finish(_) | Event::Failed(_) => {}
            Event::End => self.end(out),
        }
    }

    fn fail(&mut self, error: &UpstreamError, out: &mut Vec<u8>) {
        errors::write_event(error, out);
    }

    fn keepalive(&mut self, out: &mut Vec<u8>) {
        if self.started {
            event("ping", out, |_| {});
        }
    }

    fn losses(&self) -> &Losses {
        &self.losses
    }
}
