//! Writes events as an OpenAI Chat Completions stream. Must never know which protocol they came from.

use super::answer_write::{
    KEEPALIVE, OWN, call_id, chars, finish_word, is_legacy, note_foreign, write_annotation, write_image,
    write_logprobs, write_native, write_signature, write_state, write_tier, write_usage,
};
use super::error_write::error_object;
use crate::wire::Usage;
use crate::wire::ir::{
    BlockKind, Delta, Event, EventWriter, Feature, Finish, Ids, Losses, Start, State, StopReason, UpstreamError,
    WriterSetup,
};
use crate::wire::json::{Json, Str};

/// Longest image that is put together: its URL is one text.
const IMAGE_BYTES_MAX: usize = 64 << 20;

pub struct ChatWriter {
    setup: WriterSetup,
    losses: Losses,
    ids: Ids,
    /// `data: {"id":…,` up to what differs between chunks; empty before the first.
    head: Vec<u8>,
    choices: Vec<Written>,
    usage: Option<Usage>,
    legacy: bool,
}

/// How far one choice has been written.
#[derive(Default)]
struct Written {
    choice: u32,
    role_sent: bool,
    block: Block,
    calls: u64,
    /// Blocks of thinking so far.
    thoughts: u64,
    /// Characters of the content so far, and where the open text began in it.
    content_chars: u64,
    text_start: u64,
    refused: bool,
}

#[derive(Default)]
enum Block {
    #[default]
    None,
    Text,
    Refusal,
    Thinking {
        redacted: bool,
        index: u64,
    },
    /// `begun`: its first chunk is out. It waits for a signature, which clients take from the first chunk alone.
    Call {
        index: u64,
        id: String,
        name: Str<'static>,
        custom: bool,
        begun: bool,
        argued: bool,
    },
    Image {
        mime: String,
        data: String,
    },
    /// `begun`: its id is out.
    Sound {
        begun: bool,
    },
}

impl ChatWriter {
    pub fn new(setup: WriterSetup) -> ChatWriter {
        ChatWriter {
            ids: Ids::new(&setup.call_id),
            legacy: is_legacy(&setup),
            setup,
            losses: Losses::default(),
            head: Vec::new(),
            choices: Vec::new(),
            usage: None,
        }
    }

    fn begin(&mut self, start: &Start<'_>) {
        self.head = b"data: ".to_vec();
        let id = self.ids.mint("chatcmpl-");
        Json::new(&mut self.head).object(|json| {
            json.key("id").text(&id);
            json.key("object").text("chat.completion.chunk");
            json.key("created").int(start.created.unwrap_or(self.setup.created));
            json.key("model").str(start.model.as_ref().unwrap_or(&Str::plain(self.setup.model.as_str())));
            write_tier(json, start);
        });
        // The chunk goes on behind it.
        if let Some(brace) = self.head.last_mut() {
            *brace = b',';
        }
    }

    fn at(&mut self, choice: u32) -> usize {
        match self.choices.iter().position(|known| known.choice == choice) {
            Some(at) => at,
            None => {
                self.choices.push(Written { choice, ..Written::default() });
                self.choices.len() - 1
            }
        }
    }

    fn chunk(&mut self, choice: u32, out: &mut Vec<u8>, delta: impl FnOnce(&mut Json<'_>)) {
        self.send(choice, out, delta, |json| json.key("finish_reason").null());
    }

    /// One chunk of one choice; the first is the role's.
    fn send(
        &mut self,
        choice: u32,
        out: &mut Vec<u8>,
        delta: impl FnOnce(&mut Json<'_>),
        beside: impl FnOnce(&mut Json<'_>),
    ) {
        let at = self.at(choice);
        if !std::mem::replace(&mut self.choices[at].role_sent, true) {
            let role = |json: &mut Json<'_>| {
                json.key("role").text("assistant");
                json.key("content").text("");
            };
            self.write_chunk(choice, out, role, |json| json.key("finish_reason").null());
        }
        self.write_chunk(choice, out, delta, beside);
    }

    fn write_chunk(
        &mut self,
        choice: u32,
        out: &mut Vec<u8>,
        delta: impl FnOnce(&mut Json<'_>),
        beside: impl FnOnce(&mut Json<'_>),
    ) {
        if self.head.is_empty() {
            self.begin(&Start::default());
        }
        out.extend_from_slice(&self.head);
        let mut json = Json::new(out);
        json.key("choices").array(|json| {
            json.object(|json| {
                json.key("index").uint(choice.into());
                json.key("delta").object(delta);
                beside(json);
            });
        });
        if self.setup.include_usage {
            json.key("usage").null();
        }
        out.extend_from_slice(b"}\n\n");
    }

    fn start_block(&mut self, choice: u32, kind: &BlockKind<'_>) {
        let at = self.at(choice);
        let id = matches!(kind, BlockKind::Call { .. }).then(|| call_id(kind, &mut self.ids).into_owned());
        let written = &mut self.choices[at];
        written.block = match kind {
            BlockKind::Text => {
                written.text_start = written.content_chars;
                Block::Text
            }
            BlockKind::Refusal => Block::Refusal,
            BlockKind::Reasoning { redacted } => {
                written.thoughts += 1;
                Block::Thinking { redacted: *redacted, index: written.thoughts - 1 }
            }
            BlockKind::Call { name, custom, .. } => {
                written.calls += 1;
                Block::Call {
                    index: written.calls - 1,
                    id: id.unwrap_or_default(),
                    name: name.clone().into_owned(),
                    custom: *custom,
                    begun: false,
                    argued: false,
                }
            }
            BlockKind::Media { image: true, mime } => Block::Image { mime: mime.to_string(), data: String::new() },
            BlockKind::Media { image: false, .. } => Block::Sound { begun: false },
            BlockKind::Foreign { what, .. } => {
                note_foreign(what, &mut self.losses);
                Block::None
            }
        };
    }

    fn delta(&mut self, choice: u32, delta: &Delta<'_>, out: &mut Vec<u8>) {
        match delta {
            Delta::Text(text) => self.say(choice, text, out),
            Delta::NextPart => self.say(choice, &Str::token("\\n\\n"), out),
            Delta::Arguments(text) => self.argue(choice, text, out),
            Delta::State(state) => self.carry(choice, state, out),
            Delta::Citation(citation) if citation.url.is_none() => self.losses.dropped(Feature::Citations),
            Delta::Citation(citation) => {
                let at = self.at(choice);
                let (start, end) = (self.choices[at].text_start, self.choices[at].content_chars);
                self.chunk(choice, out, |json| {
                    json.key("annotations").array(|json| write_annotation(json, citation, start, end));
                });
            }
            Delta::Data(data) => self.show(choice, data, out),
            Delta::Url(url) => {
                self.chunk(choice, out, |json| {
                    json.key("images").array(|json| write_image(json, "", &Str::plain(""), Some(url)));
                });
            }
            Delta::Logprobs(list) => {
                let at = self.at(choice);
                let refused = matches!(self.choices[at].block, Block::Refusal);
                self.send(
                    choice,
                    out,
                    |_| {},
                    |json| {
                        write_logprobs(json, list, refused);
                        json.key("finish_reason").null();
                    },
                );
            }
        }
    }

    fn say(&mut self, choice: u32, text: &Str<'_>, out: &mut Vec<u8>) {
        if text.is_empty() {
            return;
        }
        let at = self.at(choice);
        let written = &mut self.choices[at];
        match written.block {
            Block::Text => {
                written.content_chars += chars(text);
                self.chunk(choice, out, |json| json.key("content").str(text));
            }
            Block::Refusal => {
                written.refused = true;
                self.chunk(choice, out, |json| json.key("refusal").str(text));
            }
            Block::Thinking { index, .. } => self.chunk(choice, out, |json| {
                json.key("reasoning_content").str(text);
                // The first block's text is what is left of all; see `thinking`.
                if index > 0 {
                    json.key("reasoning_details").array(|json| {
                        json.object(|json| {
                            json.key("type").text("reasoning.text");
                            json.key("text").str(text);
                            json.key("index").uint(index);
                        });
                    });
                }
            }),
            Block::Sound { .. } => self.sound(choice, "transcript", text, out),
            Block::None | Block::Call { .. } | Block::Image { .. } => {}
        }
    }

    /// A piece of a sound, or of what is heard in it.
    fn sound(&mut self, choice: u32, name: &str, piece: &Str<'_>, out: &mut Vec<u8>) {
        let at = self.at(choice);
        let Block::Sound { begun } = &mut self.choices[at].block else { return };
        let id = (!std::mem::replace(begun, true)).then(|| self.ids.mint("audio_"));
        self.chunk(choice, out, |json| {
            json.key("audio").object(|json| {
                if let Some(id) = id {
                    json.key("id").text(&id);
                }
                json.key(name).str(piece);
            });
        });
    }

    fn argue(&mut self, choice: u32, text: &Str<'_>, out: &mut Vec<u8>) {
        self.begin_call(choice, None, out);
        let (at, legacy) = (self.at(choice), self.legacy);
        let Block::Call { index, custom, argued, .. } = &mut self.choices[at].block else { return };
        if text.is_empty() {
            return;
        }
        *argued = true;
        let (index, custom) = (*index, *custom);
        self.chunk(choice, out, |json| {
            if legacy && index == 0 {
                json.key("function_call").object(|json| json.key("arguments").str(text));
                return;
            }
            let (kind, arguments) = piece_names(custom);
            in_call(json, index, |json| json.key(kind).object(|json| json.key(arguments).str(text)));
        });
    }

    /// The first chunk of the open call, once.
    fn begin_call(&mut self, choice: u32, state: Option<&State<'_>>, out: &mut Vec<u8>) {
        let (at, legacy) = (self.at(choice), self.legacy);
        let Block::Call { index, id, name, custom, begun, .. } = &mut self.choices[at].block else { return };
        let (index, custom) = (*index, *custom);
        if std::mem::replace(begun, true) {
            if let Some(state) = state.filter(|_| !(legacy && index == 0)) {
                self.chunk(choice, out, |json| {
                    in_call(json, index, |json| {
                        // Clients look into every piece of a call for more of its arguments.
                        let (kind, arguments) = piece_names(custom);
                        json.key(kind).object(|json| json.key(arguments).text(""));
                        write_signature(json, state);
                    });
                });
            }
            return;
        }
        let (id, name) = (std::mem::take(id), name.clone());
        self.chunk(choice, out, |json| {
            if legacy && index == 0 {
                json.key("function_call").object(|json| {
                    json.key("name").str(&name);
                    json.key("arguments").text("");
                });
                return;
            }
            in_call(json, index, |json| {
                let (kind, arguments) = piece_names(custom);
                json.key("id").text(&id);
                json.key("type").text(kind);
                json.key(kind).object(|json| {
                    json.key("name").str(&name);
                    json.key(arguments).text("");
                });
                if let Some(state) = state {
                    write_signature(json, state);
                }
            });
        });
    }

    fn carry(&mut self, choice: u32, state: &State<'_>, out: &mut Vec<u8>) {
        let at = self.at(choice);
        match self.choices[at].block {
            Block::Thinking { redacted, index } => self.chunk(choice, out, |json| {
                json.key("reasoning_details").array(|json| write_state(json, state, redacted, index, None));
            }),
            Block::Call { .. } => self.begin_call(choice, Some(state), out),
            Block::Text => self.chunk(choice, out, |json| write_signature(json, state)),
            Block::None | Block::Refusal | Block::Image { .. } | Block::Sound { .. } => {
                self.losses.dropped(Feature::ReasoningState);
            }
        }
    }

    fn show(&mut self, choice: u32, data: &Str<'_>, out: &mut Vec<u8>) {
        let at = self.at(choice);
        match &mut self.choices[at].block {
            Block::Image { data: so_far, .. } if so_far.len() + data.as_token().len() <= IMAGE_BYTES_MAX => {
                so_far.push_str(&data.as_token());
            }
            Block::Sound { .. } => self.sound(choice, "data", data, out),
            _ => self.losses.dropped(Feature::ImageOut),
        }
    }

    fn stop_block(&mut self, choice: u32, out: &mut Vec<u8>) {
        let at = self.at(choice);
        match &mut self.choices[at].block {
            Block::Call { argued, custom, .. } => {
                // Clients parse what they got, and nothing is no JSON.
                let empty = !*argued && !*custom;
                self.begin_call(choice, None, out);
                if empty {
                    self.argue(choice, &Str::token("{}"), out);
                }
            }
            Block::Image { mime, data } if !data.is_empty() => {
                let (mime, data) = (std::mem::take(mime), std::mem::take(data));
                self.chunk(choice, out, |json| {
                    json.key("images").array(|json| write_image(json, &mime, &Str::token(data), None));
                });
            }
            Block::None
            | Block::Text
            | Block::Refusal
            | Block::Thinking { .. }
            | Block::Image { .. }
            | Block::Sound { .. } => {}
        }
        self.choices[at].block = Block::None;
    }

    fn finish(&mut self, finish: &Finish<'_>, out: &mut Vec<u8>) {
        let at = self.at(finish.choice);
        if finish.reason == StopReason::Paused {
            self.losses.dropped(Feature::ServerTool);
        }
        if let (StopReason::Refused, Some(why), false) = (finish.reason, &finish.message, self.choices[at].refused) {
            self.choices[at].refused = true;
            self.chunk(finish.choice, out, |json| json.key("refusal").str(why));
        }
        let word = finish_word(finish, self.choices[at].refused, self.legacy);
        self.send(
            finish.choice,
            out,
            |_| {},
            |json| {
                json.key("finish_reason").text(word);
                write_native(json, finish);
            },
        );
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        if let Some(usage) = self.usage.filter(|_| self.setup.include_usage) {
            if self.head.is_empty() {
                self.begin(&Start::default());
            }
            out.extend_from_slice(&self.head);
            let mut json = Json::new(out);
            json.key("choices").array(|_| {});
            write_usage(json.key("usage"), &usage);
            out.extend_from_slice(b"}\n\n");
        }
        out.extend_from_slice(b"data: [DONE]\n\n");
    }
}

/// What a piece of a call stands under.
fn piece_names(custom: bool) -> (&'static str, &'static str) {
    if custom { ("custom", "input") } else { ("function", "arguments") }
}

/// One element of `tool_calls`.
fn in_call(json: &mut Json<'_>, index: u64, members: impl FnOnce(&mut Json<'_>)) {
    json.key("tool_calls").array(|json| {
        json.object(|json| {
            json.key("index").uint(index);
            members(json);
        });
    });
}

impl EventWriter for ChatWriter {
    fn event(&mut self, event: &Event<'_>, out: &mut Vec<u8>) {
        match event {
            Event::Start(start) => self.begin(start),
            Event::BlockStart { choice, kind, .. } => self.start_block(*choice, kind),
            Event::Delta { choice, delta, .. } => self.delta(*choice, delta, out),
            Event::BlockStop { choice, .. } => self.stop_block(*choice, out),
            Event::Usage { usage, .. } => self.usage = Some(*usage),
            Event::Finish(finish) => self.finish(finish, out),
            Event::Failed(_) => {}
            Event::End => self.end(out),
        }
    }

    /// Without `[DONE]`: what was broken did not end well.
    fn fail(&mut self, error: &UpstreamError, out: &mut Vec<u8>) {
        out.extend_from_slice(b"data: ");
        error_object(error, error.status_for(OWN), out);
        out.extend_from_slice(b"\n\n");
    }

    fn keepalive(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(KEEPALIVE);
    }

    fn losses(&self) -> &Losses {
        &self.losses
    }
}
