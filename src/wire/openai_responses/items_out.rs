//! The output items of an answer as they are written: opened, filled, closed, one after the other. Blocks of text go into one
//! message as its parts; every other block is an item of its own.

use std::collections::HashMap;

use super::feed::Feed;
use super::items_json::{
    Annotation, close_part, close_summary, comma, place, summary_part_added, write_done, write_opened, write_part,
};
use super::namespaces::{NAMESPACE, spaces};
use super::response_write::echoed;
use crate::wire::Protocol;
use crate::wire::ir::{Citation, Ids, State, WriterSetup};
use crate::wire::json::{Json, Str, Value};

const OURS: Protocol = Protocol::OpenAiResponses;

pub(super) struct Items {
    ids: Ids,
    /// Finished items, as JSON with commas between.
    output: Vec<u8>,
    /// How many items have begun.
    begun: u64,
    open: Option<Item>,
    /// Bytes that the open item holds.
    held: usize,
    /// State that belongs to the open item and comes behind it.
    after: Option<String>,
    /// Tools of namespaces, by their flat name: namespace and own name.
    spaces: HashMap<String, (String, String)>,
}

pub(super) struct Item {
    pub id: String,
    pub index: u64,
    pub kind: Kind,
}

/// Texts are kept as the inside of JSON strings.
pub(super) enum Kind {
    Message {
        parts: Vec<u8>,
        count: u64,
        part: Option<Part>,
    },
    Reasoning {
        parts: Vec<u8>,
        count: u64,
        part: Option<String>,
        state: Option<String>,
        redacted: bool,
    },
    /// `told`: its first event was written.
    Call {
        call_id: String,
        name: String,
        namespace: Option<String>,
        custom: bool,
        arguments: String,
        told: bool,
    },
    Image {
        format: String,
        data: String,
        told: bool,
    },
    /// A block that cannot be said.
    Nothing,
}

pub(super) struct Part {
    pub refusal: bool,
    pub text: String,
    pub chars: u64,
    pub annotations: Vec<u8>,
    pub annotated: u64,
    pub logprobs: Vec<u8>,
}

impl Items {
    pub fn new(ids: Ids, setup: &WriterSetup) -> Items {
        let tools = echoed(setup, "tools").filter(|tools| tools.contains(NAMESPACE));
        Items {
            ids,
            output: Vec::new(),
            begun: 0,
            open: None,
            held: 0,
            after: None,
            spaces: tools.map(spaces).unwrap_or_default(),
        }
    }

    pub fn finished(&self) -> &[u8] {
        &self.output
    }

    pub fn open(&self) -> Option<&Item> {
        self.open.as_ref()
    }

    /// What is kept for the end.
    pub fn bytes(&self) -> usize {
        self.output.len() + self.held
    }

    fn begin(&mut self, prefix: &str, kind: Kind) -> &mut Item {
        let item = Item { id: self.ids.mint(prefix), index: self.begun, kind };
        self.begun += 1;
        self.held = 0;
        self.open.insert(item)
    }

    pub fn text_start(&mut self, refusal: bool, feed: &mut Feed, out: &mut Vec<u8>) {
        if !matches!(self.open, Some(Item { kind: Kind::Message { .. }, .. })) {
            self.close("completed", feed, out);
            let item = self.begin("msg_", Kind::Message { parts: Vec::new(), count: 0, part: None });
            write_opened(item, feed, out);
        }
        let Some(Item { id, index, kind: Kind::Message { count, part, .. } }) = &mut self.open else { return };
        let part = part.insert(Part {
            refusal,
            text: String::new(),
            chars: 0,
            annotations: Vec::new(),
            annotated: 0,
            logprobs: Vec::new(),
        });
        feed.emit(out, "response.content_part.added", |json| {
            place(json, id, *index, "content_index", *count);
            write_part(json.key("part"), part);
        });
    }

    pub fn reasoning_start(&mut self, redacted: bool, feed: &mut Feed, out: &mut Vec<u8>) {
        self.close("completed", feed, out);
        let kind = Kind::Reasoning { parts: Vec::new(), count: 0, part: None, state: None, redacted };
        write_opened(self.begin("rs_", kind), feed, out);
    }

    /// Its first event waits for its arguments: a state comes before it.
    pub fn call_start(
        &mut self,
        id: Option<&Str<'_>>,
        name: &Str<'_>,
        custom: bool,
        feed: &mut Feed,
        out: &mut Vec<u8>,
    ) {
        self.close("completed", feed, out);
        let id = id.filter(|id| !id.is_empty());
        let call_id = id.map_or_else(|| self.ids.mint("call_"), |id| id.decode().into_owned());
        let (namespace, name) = match self.spaces.get(&*name.decode()) {
            Some((space, inner)) => (Some(space.clone()), inner.clone()),
            None => (None, name.decode().into_owned()),
        };
        let kind = Kind::Call { call_id, name, namespace, custom, arguments: String::new(), told: false };
        self.open = Some(Item { id: String::new(), index: 0, kind });
        self.held = 0;
    }

    pub fn image_start(&mut self, mime: &str, feed: &mut Feed, out: &mut Vec<u8>) {
        self.close("completed", feed, out);
        let format = mime.strip_prefix("image/").filter(|format| !format.is_empty()).unwrap_or("png").to_owned();
        self.open =
            Some(Item { id: String::new(), index: 0, kind: Kind::Image { format, data: String::new(), told: false } });
        self.held = 0;
    }

    pub fn nothing_start(&mut self, feed: &mut Feed, out: &mut Vec<u8>) {
        self.close("completed", feed, out);
        self.open = Some(Item { id: String::new(), index: 0, kind: Kind::Nothing });
    }

    /// An item of this protocol, as it came.
    pub fn raw(&mut self, raw: &Value<'_>, feed: &mut Feed, out: &mut Vec<u8>) {
        self.close("completed", feed, out);
        let index = self.begun;
        self.begun += 1;
        for kind in ["response.output_item.added", "response.output_item.done"] {
            feed.emit(out, kind, |json| {
                json.key("output_index").uint(index);
                json.key("item").value(raw);
            });
        }
        comma(&mut self.output);
        raw.write(&mut self.output);
        self.open = Some(Item { id: String::new(), index: 0, kind: Kind::Nothing });
    }

    /// Tells the first event of a call or image, and gives it its id and place.
    fn tell(&mut self, feed: &mut Feed, out: &mut Vec<u8>) {
        let prefix = match &mut self.open {
            Some(Item { kind: Kind::Call { told, custom, .. }, .. }) if !*told => {
                *told = true;
                if *custom { "ctc_" } else { "fc_" }
            }
            Some(Item { kind: Kind::Image { told, .. }, .. }) if !*told => {
                *told = true;
                "ig_"
            }
            _ => return,
        };
        let (id, index) = (self.ids.mint(prefix), self.begun);
        self.begun += 1;
        if let Some(item) = &mut self.open {
            (item.id, item.index) = (id, index);
            write_opened(item, feed, out);
        }
    }

    pub fn text(&mut self, text: &Str<'_>, feed: &mut Feed, out: &mut Vec<u8>) {
        let Some(item) = &mut self.open else { return };
        let (id, index) = (&item.id, item.index);
        let token = text.as_token();
        self.held += token.len();
        match &mut item.kind {
            Kind::Message { part: Some(_), .. } if token.is_empty() => {}
            Kind::Message { count, part: Some(part), .. } => {
                let kind = if part.refusal { "response.refusal.delta" } else { "response.output_text.delta" };
                feed.emit(out, kind, |json| {
                    place(json, id, index, "content_index", *count);
                    json.key("delta").str(text);
                    if !part.refusal {
                        json.key("logprobs").array(|_| {});
                    }
                });
                part.text.push_str(&token);
                part.chars += text.decode().chars().count() as u64;
            }
            Kind::Reasoning { count, part, .. } => {
                let part = part.get_or_insert_with(|| summary_part_added(id, index, *count, feed, out));
                if token.is_empty() {
                    return;
                }
                feed.emit(out, "response.reasoning_summary_text.delta", |json| {
                    place(json, id, index, "summary_index", *count);
                    json.key("delta").str(text);
                });
                part.push_str(&token);
            }
            Kind::Message { part: None, .. } | Kind::Call { .. } | Kind::Image { .. } | Kind::Nothing => {}
        }
    }

    pub fn next_part(&mut self, feed: &mut Feed, out: &mut Vec<u8>) {
        let Some(Item { id, index, kind: Kind::Reasoning { parts, count, part, .. } }) = &mut self.open else { return };
        close_summary(id, *index, parts, count, part, feed, out);
        *part = Some(summary_part_added(id, *index, *count, feed, out));
    }

    pub fn arguments(&mut self, text: &Str<'_>, feed: &mut Feed, out: &mut Vec<u8>) {
        self.tell(feed, out);
        let Some(Item { id, index, kind: Kind::Call { custom, arguments, .. } }) = &mut self.open else { return };
        if text.is_empty() {
            return;
        }
        feed.emit(out, call_event(*custom, "delta"), |json| {
            json.key("item_id").text(id);
            json.key("output_index").uint(*index);
            json.key("delta").str(text);
        });
        let token = text.as_token();
        self.held += token.len();
        arguments.push_str(&token);
    }

    pub fn state(&mut self, state: &State<'_>, feed: &mut Feed, out: &mut Vec<u8>) {
        let carried = state.carried(OURS).as_token().into_owned();
        match &mut self.open {
            Some(Item { kind: Kind::Reasoning { state: known, parts, count, part, redacted }, id, index }) => {
                // Thinking that is shown, though it has no text, differs from what may not be shown.
                if !*redacted && *count == 0 && part.is_none() && state.origin != OURS {
                    *part = Some(summary_part_added(id, *index, *count, feed, out));
                    close_summary(id, *index, parts, count, part, feed, out);
                }
                *known = Some(carried);
            }
            Some(Item { kind: Kind::Call { told: false, .. }, .. }) => self.state_alone(&carried, feed, out),
            Some(Item { kind: Kind::Message { .. } | Kind::Call { .. }, .. }) => self.after = Some(carried),
            Some(Item { kind: Kind::Image { .. } | Kind::Nothing, .. }) | None => {}
        }
    }

    /// A reasoning item that holds nothing but state.
    fn state_alone(&mut self, state: &str, feed: &mut Feed, out: &mut Vec<u8>) {
        let state = Some(state.to_owned());
        let kind = Kind::Reasoning { parts: Vec::new(), count: 0, part: None, state, redacted: true };
        let item = Item { id: self.ids.mint("rs_"), index: self.begun, kind };
        self.begun += 1;
        write_opened(&item, feed, out);
        write_done(&item, "completed", &mut self.output, feed, out);
    }

    /// Whether it could be said.
    pub fn citation(&mut self, citation: &Citation<'_>, feed: &mut Feed, out: &mut Vec<u8>) -> bool {
        let Some(Item { id, index, kind: Kind::Message { count, part: Some(part), .. } }) = &mut self.open else {
            return false;
        };
        let Some(annotation) = Annotation::of(citation, part.chars) else { return false };
        comma(&mut part.annotations);
        annotation.write(&mut Json::new(&mut part.annotations));
        feed.emit(out, "response.output_text.annotation.added", |json| {
            place(json, id, *index, "content_index", *count);
            json.key("annotation_index").uint(part.annotated);
            annotation.write(json.key("annotation"));
        });
        part.annotated += 1;
        true
    }

    pub fn logprobs(&mut self, list: &Value<'_>, feed: &mut Feed, out: &mut Vec<u8>) {
        let Some(Item { id, index, kind: Kind::Message { count, part: Some(part), .. } }) = &mut self.open else {
            return;
        };
        let Some(list) = list.as_array().filter(|_| !part.refusal) else { return };
        let list: Vec<Value<'_>> = list.iter().cloned().map(with_bytes).collect();
        for token in &list {
            comma(&mut part.logprobs);
            token.write(&mut part.logprobs);
        }
        feed.emit(out, "response.output_text.delta", |json| {
            place(json, id, *index, "content_index", *count);
            json.key("delta").text("");
            json.key("logprobs").array(|json| list.iter().for_each(|token| json.value(token)));
        });
        self.held += part.logprobs.len().min(1 << 10);
    }

    pub fn data(&mut self, piece: &Str<'_>, feed: &mut Feed, out: &mut Vec<u8>) {
        self.tell(feed, out);
        if let Some(Item { kind: Kind::Image { data, .. }, .. }) = &mut self.open {
            let token = piece.as_token();
            self.held += token.len();
            data.push_str(&token);
        }
    }

    /// Ends the block, but not yet its item: a message may go on, and how the last one ended is known only at the end.
    pub fn block_stop(&mut self, feed: &mut Feed, out: &mut Vec<u8>) {
        if let Some(Item { kind: Kind::Call { .. }, .. }) = &self.open {
            self.tell(feed, out);
        }
        let Some(item) = &mut self.open else { return };
        let (id, index) = (&item.id, item.index);
        match &mut item.kind {
            Kind::Message { parts, count, part } => {
                close_part(id, index, parts, count, part, feed, out);
            }
            Kind::Reasoning { parts, count, part, .. } => close_summary(id, index, parts, count, part, feed, out),
            Kind::Call { custom, arguments, .. } => {
                let missing = arguments.is_empty() && !*custom;
                if missing {
                    self.arguments(&Str::plain("{}"), feed, out);
                }
                self.arguments_done(feed, out);
            }
            Kind::Image { .. } | Kind::Nothing => {}
        }
        if self.after.is_some() {
            self.close("completed", feed, out);
        }
    }

    fn arguments_done(&mut self, feed: &mut Feed, out: &mut Vec<u8>) {
        let Some(Item { id, index, kind: Kind::Call { custom, arguments, name, .. } }) = &self.open else { return };
        feed.emit(out, call_event(*custom, "done"), |json| {
            json.key("item_id").text(id);
            json.key("output_index").uint(*index);
            if !*custom {
                json.key("name").text(name);
            }
            json.key(if *custom { "input" } else { "arguments" }).str(&Str::token(arguments.as_str()));
        });
    }

    /// Ends the open item. `status`: how the answer ended, if it is the last.
    pub fn close(&mut self, status: &str, feed: &mut Feed, out: &mut Vec<u8>) {
        if let Some(item) = self.open.take() {
            write_done(&item, status, &mut self.output, feed, out);
        }
        self.held = 0;
        if let Some(state) = self.after.take() {
            self.state_alone(&state, feed, out);
        }
    }

    /// Takes what there is of the open item among the finished ones; nothing is told of it.
    pub fn break_off(&mut self) {
        let (mut silent, mut nowhere) = (Feed::silent(), Vec::new());
        if let Some(Item { id, index, kind }) = &mut self.open {
            match kind {
                Kind::Message { parts, count, part } => {
                    close_part(id, *index, parts, count, part, &mut silent, &mut nowhere);
                }
                Kind::Reasoning { parts, count, part, .. } => {
                    close_summary(id, *index, parts, count, part, &mut silent, &mut nowhere);
                }
                Kind::Call { .. } | Kind::Image { .. } | Kind::Nothing => {}
            }
        }
        if let Some(item) = self.open.take() {
            write_done(&item, "incomplete", &mut self.output, &mut silent, &mut nowhere);
        }
    }
}

fn call_event(custom: bool, what: &str) -> &'static str {
    match (custom, what) {
        (false, "delta") => "response.function_call_arguments.delta",
        (false, _) => "response.function_call_arguments.done",
        (true, "delta") => "response.custom_tool_call_input.delta",
        (true, _) => "response.custom_tool_call_input.done",
    }
}

/// A token's log probability with its bytes, which Chat may leave null and this protocol may not.
fn with_bytes(mut token: Value<'_>) -> Value<'_> {
    let Some(object) = token.as_object_mut() else { return token };
    if object.get("bytes").is_none_or(Value::is_null) {
        let text = object.get("token").and_then(Value::as_text).unwrap_or_default();
        let bytes = text.bytes().map(Value::number).collect();
        object.set("bytes", Value::Array(bytes));
    }
    if let Some(Value::Array(others)) = object.take("top_logprobs") {
        object.set("top_logprobs", Value::Array(others.into_iter().map(with_bytes).collect()));
    }
    token
}
