//! Legacy completions (`/v1/completions`): a prompt as a chat of one message, and the answer as text. Must never know which
//! upstream it goes to.
//!
//! What a chat cannot do is refused: to continue towards a suffix, to repeat the prompt, to choose the best of several.

use super::answer_write::{KEEPALIVE, OWN, chars, write_usage};
use super::error_write::error_object;
use super::members::{Members, missing, wrong};
use super::request_read::{parse, read_identity, read_sampling, read_stream};
use crate::wire::ir::{
    Answer, BlockKind, Class, Delta, Event, EventWriter, Feature, Finish, Ids, Losses, Part, Request, Role, Start,
    StopReason, Turn, UpstreamError, WriterSetup,
};
use crate::wire::json::{Json, Str, Value};
use crate::wire::{Protocol, ReadError, Usage};

/// Reads a request of the old form, whose containers are nested at most `depth_max` deep.
pub fn read_completion_request(body: &str, depth_max: usize) -> Result<Request<'_>, ReadError> {
    let mut top = Members::of(parse(body, depth_max)?, "")?;
    let mut request = Request::new(Protocol::OpenAiChat, top.required_text("model")?.into_decoded());
    let prompt = read_prompt(&mut top)?;
    request.turns.push(Turn { bare: true, ..Turn::new(Role::User, vec![Part::text(prompt)]) });
    if top.text("suffix")?.is_some_and(|suffix| !suffix.is_empty()) {
        return Err(ReadError::new(
            "suffix",
            "suffix needs a completion model: leave it out, or put it into the prompt",
        ));
    }
    if top.bool("echo")? == Some(true) {
        return Err(ReadError::new("echo", "echo needs a completion model: leave it out"));
    }
    request.output_tokens_max = top.count("max_tokens")?;
    request.choices = top.count("n")?;
    if top.count("best_of")?.is_some_and(|best_of| best_of > request.choices.unwrap_or(1)) {
        return Err(ReadError::new("best_of", "best_of needs a completion model: leave it out"));
    }
    if let Some(top_logprobs) = top.count("logprobs")? {
        request.logprobs = Some(true);
        request.top_logprobs = Some(top_logprobs);
    }
    read_sampling(&mut top, &mut request)?;
    read_identity(&mut top, &mut request)?;
    read_stream(&mut top, &mut request)?;
    top.keep("logit_bias", Class::Dropped);
    request.extra = top.rest();
    // A null is nothing in a chat request.
    request.extra.retain(|extra| !extra.value.is_null());
    Ok(request)
}

fn read_prompt<'a>(top: &mut Members<'a>) -> Result<Str<'a>, ReadError> {
    match top.take("prompt") {
        None => Err(missing("prompt")),
        Some(Value::String(prompt)) => Ok(prompt),
        Some(Value::Array(mut prompts)) => match (prompts.pop(), prompts.is_empty()) {
            (Some(Value::String(prompt)), true) => Ok(prompt),
            (Some(Value::String(_)), false) => {
                Err(ReadError::new("prompt", "a chat model takes one prompt in a call: send them one by one"))
            }
            (Some(_), _) => {
                Err(ReadError::new("prompt", "prompt must be text: token ids mean nothing to a chat model"))
            }
            (None, _) => Err(missing("prompt")),
        },
        Some(_) => Err(wrong("prompt", "a string")),
    }
}

/// Writes one streamed answer as chunks of `text_completion`.
pub struct CompletionWriter {
    setup: WriterSetup,
    losses: Losses,
    ids: Ids,
    /// `data: {"id":…,` up to what differs between chunks; empty before the first.
    head: Vec<u8>,
    choices: Vec<Written>,
    usage: Option<Usage>,
}

#[derive(Default)]
struct Written {
    choice: u32,
    /// The open block is text.
    in_text: bool,
    /// Characters so far.
    chars: u64,
    /// Where the text of the next log probabilities begins.
    logprobs_start: u64,
}

impl CompletionWriter {
    pub fn new(setup: WriterSetup) -> CompletionWriter {
        CompletionWriter {
            ids: Ids::new(&setup.call_id),
            setup,
            losses: Losses::default(),
            head: Vec::new(),
            choices: Vec::new(),
            usage: None,
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

    fn begin(&mut self, start: &Start<'_>) {
        self.head = b"data: ".to_vec();
        let id = self.ids.mint("cmpl-");
        Json::new(&mut self.head).object(|json| write_head(json, &id, start, &self.setup));
        if let Some(brace) = self.head.last_mut() {
            *brace = b',';
        }
    }

    fn chunk(
        &mut self,
        choice: u32,
        text: &Str<'_>,
        finish: Option<&'static str>,
        logprobs: Option<Logprobs<'_>>,
        out: &mut Vec<u8>,
    ) {
        if self.head.is_empty() {
            self.begin(&Start::default());
        }
        out.extend_from_slice(&self.head);
        let mut json = Json::new(out);
        json.key("choices").array(|json| write_choice(json, choice, [text.borrowed()], finish, logprobs));
        if self.setup.include_usage {
            json.key("usage").null();
        }
        out.extend_from_slice(b"}\n\n");
    }

    fn delta(&mut self, choice: u32, delta: &Delta<'_>, out: &mut Vec<u8>) {
        let at = self.at(choice);
        if !self.choices[at].in_text {
            return;
        }
        match delta {
            Delta::Text(text) if !text.is_empty() => {
                self.choices[at].chars += chars(text);
                self.chunk(choice, text, None, None, out);
            }
            Delta::Logprobs(list) => {
                let written = &mut self.choices[at];
                let start = std::mem::replace(&mut written.logprobs_start, written.chars);
                self.chunk(
                    choice,
                    &Str::plain(""),
                    None,
                    Some(Logprobs { list: list.as_array().unwrap_or_default(), start }),
                    out,
                );
            }
            Delta::Citation(_) => self.losses.dropped(Feature::Citations),
            Delta::Text(_)
            | Delta::Arguments(_)
            | Delta::State(_)
            | Delta::Data(_)
            | Delta::Url(_)
            | Delta::NextPart => {}
        }
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

impl EventWriter for CompletionWriter {
    fn event(&mut self, event: &Event<'_>, out: &mut Vec<u8>) {
        match event {
            Event::Start(start) => self.begin(start),
            Event::BlockStart { choice, kind, .. } => {
                let at = self.at(*choice);
                self.choices[at].in_text = is_text(kind);
                note_left_out(kind, &mut self.losses);
            }
            Event::Delta { choice, delta, .. } => self.delta(*choice, delta, out),
            Event::BlockStop { .. } | Event::Failed(_) => {}
            Event::Usage { usage, .. } => self.usage = Some(*usage),
            Event::Finish(finish) => {
                self.chunk(finish.choice, &Str::plain(""), Some(finish_word(finish)), None, out);
            }
            Event::End => self.end(out),
        }
    }

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

/// The body of a whole answer of the old form.
pub fn write_completion_whole(answer: &Answer, setup: &WriterSetup, losses: &mut Losses) -> Vec<u8> {
    let mut out = Vec::with_capacity(1024);
    let id = Ids::new(&setup.call_id).mint("cmpl-");
    Json::new(&mut out).object(|json| {
        write_head(json, &id, &answer.start, setup);
        json.key("choices").array(|json| {
            for choice in &answer.choices {
                choice.blocks.iter().for_each(|block| note_left_out(&block.kind, losses));
                let texts = || choice.blocks.iter().filter(|block| is_text(&block.kind));
                if texts().any(|block| !block.citations.is_empty()) {
                    losses.dropped(Feature::Citations);
                }
                let list: Vec<Value<'_>> = texts().flat_map(|block| block.logprobs.iter().cloned()).collect();
                let logprobs = (!list.is_empty()).then_some(Logprobs { list: &list, start: 0 });
                let finish = choice.finish.as_ref().map_or("stop", finish_word);
                write_choice(json, choice.choice, texts().map(|block| block.text()), Some(finish), logprobs);
            }
        });
        if let Some(usage) = &answer.usage {
            write_usage(json.key("usage"), usage);
        }
    });
    out
}

fn write_head(json: &mut Json<'_>, id: &str, start: &Start<'_>, setup: &WriterSetup) {
    json.key("id").text(id);
    json.key("object").text("text_completion");
    json.key("created").int(start.created.unwrap_or(setup.created));
    json.key("model").str(start.model.as_ref().unwrap_or(&Str::plain(setup.model.as_str())));
}

fn write_choice<'s>(
    json: &mut Json<'_>,
    choice: u32,
    texts: impl IntoIterator<Item = Str<'s>>,
    finish: Option<&'static str>,
    logprobs: Option<Logprobs<'_>>,
) {
    json.object(|json| {
        json.key("text").texts(texts);
        json.key("index").uint(choice.into());
        match logprobs {
            Some(logprobs) => logprobs.write(json.key("logprobs")),
            None => json.key("logprobs").null(),
        }
        match finish {
            Some(word) => json.key("finish_reason").text(word),
            None => json.key("finish_reason").null(),
        }
    });
}

/// Refusals are text here, for want of another place.
fn is_text(kind: &BlockKind<'_>) -> bool {
    matches!(kind, BlockKind::Text | BlockKind::Refusal)
}

fn note_left_out(kind: &BlockKind<'_>, losses: &mut Losses) {
    match kind {
        BlockKind::Text | BlockKind::Refusal => {}
        BlockKind::Reasoning { .. } => losses.dropped(Feature::Reasoning),
        BlockKind::Call { .. } => losses.dropped(Feature::Tools),
        BlockKind::Media { image: true, .. } => losses.dropped(Feature::ImageOut),
        BlockKind::Media { image: false, .. } => losses.dropped(Feature::AudioOut),
        BlockKind::Foreign { .. } => losses.dropped(Feature::ServerTool),
    }
}

fn finish_word(finish: &Finish<'_>) -> &'static str {
    match finish.reason {
        StopReason::Length | StopReason::ContextFull => "length",
        StopReason::Filtered => "content_filter",
        StopReason::Done
        | StopReason::StopSequence
        | StopReason::ToolCalls
        | StopReason::Refused
        | StopReason::Paused
        | StopReason::BadCall
        | StopReason::Unknown => "stop",
    }
}

/// Log probabilities of a chat, to be written in the old form: four lists side by side.
struct Logprobs<'l> {
    list: &'l [Value<'l>],
    /// Where the first token begins, in characters.
    start: u64,
}

impl Logprobs<'_> {
    fn write(self, json: &mut Json<'_>) {
        let null = Value::Null;
        json.object(|json| {
            json.key("tokens").array(|json| {
                self.list.iter().for_each(|entry| json.value(entry.get("token").unwrap_or(&null)));
            });
            json.key("token_logprobs").array(|json| {
                self.list.iter().for_each(|entry| json.value(entry.get("logprob").unwrap_or(&null)));
            });
            json.key("top_logprobs").array(|json| {
                for entry in self.list {
                    json.object(|json| {
                        for top in entry.get("top_logprobs").and_then(Value::as_array).unwrap_or_default() {
                            if let Some(token) = top.get("token").and_then(Value::as_str) {
                                json.key_of(token).value(top.get("logprob").unwrap_or(&null));
                            }
                        }
                    });
                }
            });
            json.key("text_offset").array(|json| {
                let mut offset = self.start;
                for entry in self.list {
                    json.uint(offset);
                    offset += entry.get("token").and_then(Value::as_str).map_or(0, chars);
                }
            });
        });
    }
}
