//! Output items as JSON: as they stand when they and their parts are opened, and when they are done.

use super::feed::Feed;
use super::items_out::{Item, Kind, Part};
use crate::wire::Protocol;
use crate::wire::ir::Citation;
use crate::wire::json::{Json, Str};

/// Tells that an item has begun.
pub(super) fn write_opened(item: &Item, feed: &mut Feed, out: &mut Vec<u8>) {
    feed.emit(out, "response.output_item.added", |json| {
        json.key("output_index").uint(item.index);
        json.key("item").object(|json| write_item(json, item, "in_progress", true));
    });
    if let Kind::Image { .. } = &item.kind {
        for kind in ["response.image_generation_call.in_progress", "response.image_generation_call.generating"] {
            feed.emit(out, kind, |json| write_place(json, item));
        }
    }
}

/// Tells that an item has ended, and adds it to the finished ones. One that was never told is left out.
pub(super) fn write_done(item: &Item, status: &str, output: &mut Vec<u8>, feed: &mut Feed, out: &mut Vec<u8>) {
    match &item.kind {
        Kind::Call { told: false, .. } | Kind::Image { told: false, .. } | Kind::Nothing => return,
        Kind::Image { .. } => {
            feed.emit(out, "response.image_generation_call.completed", |json| write_place(json, item));
        }
        Kind::Message { .. } | Kind::Reasoning { .. } | Kind::Call { .. } => {}
    }
    comma(output);
    let start = output.len();
    Json::new(output).object(|json| write_item(json, item, status, false));
    let done = std::str::from_utf8(&output[start..]).unwrap_or("null");
    feed.emit(out, "response.output_item.done", |json| {
        json.key("output_index").uint(item.index);
        json.key("item").raw(done);
    });
}

fn write_place(json: &mut Json<'_>, item: &Item) {
    json.key("item_id").text(&item.id);
    json.key("output_index").uint(item.index);
}

/// `opened`: nothing of its content is said yet.
fn write_item(json: &mut Json<'_>, item: &Item, status: &str, opened: bool) {
    json.key("id").text(&item.id);
    match &item.kind {
        Kind::Message { parts, .. } => {
            json.key("type").text("message");
            json.key("status").text(status);
            json.key("role").text("assistant");
            write_list(json.key("content"), parts);
        }
        Kind::Reasoning { parts, state, .. } => {
            json.key("type").text("reasoning");
            write_list(json.key("summary"), parts);
            if let Some(state) = state.as_deref().filter(|_| !opened) {
                json.key("encrypted_content").str(&Str::token(state));
            }
        }
        Kind::Call { call_id, name, namespace, custom, arguments, .. } => {
            json.key("type").text(if *custom { "custom_tool_call" } else { "function_call" });
            json.key("status").text(status);
            json.key("call_id").text(call_id);
            json.key("name").text(name);
            if let Some(namespace) = namespace {
                json.key("namespace").text(namespace);
            }
            json.key(if *custom { "input" } else { "arguments" }).str(&Str::token(arguments.as_str()));
        }
        Kind::Image { format, data, .. } => {
            json.key("type").text("image_generation_call");
            json.key("status").text(if opened { status } else { "completed" });
            json.key("output_format").text(format);
            match data.as_str() {
                _ if opened => json.key("result").null(),
                data => json.key("result").str(&Str::token(data)),
            }
        }
        Kind::Nothing => {}
    }
}

/// A list whose elements are JSON already, with commas between.
pub(super) fn write_list(json: &mut Json<'_>, elements: &[u8]) {
    json.array(|json| {
        if let Ok(elements) = std::str::from_utf8(elements)
            && !elements.is_empty()
        {
            json.raw(elements);
        }
    });
}

pub(super) fn write_part(json: &mut Json<'_>, part: &Part) {
    json.object(|json| {
        let text = Str::token(part.text.as_str());
        if part.refusal {
            json.key("type").text("refusal");
            json.key("refusal").str(&text);
            return;
        }
        json.key("type").text("output_text");
        json.key("text").str(&text);
        write_list(json.key("annotations"), &part.annotations);
        write_list(json.key("logprobs"), &part.logprobs);
    });
}

/// Where a text is from, as this protocol says it.
pub(super) enum Annotation<'c> {
    AsItCame(&'c Citation<'c>),
    Url { url: &'c Str<'c>, title: Option<&'c Str<'c>>, span: (u64, u64) },
}

impl<'c> Annotation<'c> {
    /// `None` where it names no page: parts of documents that the client sent have no place here. One of no certain part of
    /// the text is of all its `chars` so far.
    pub fn of(citation: &'c Citation<'c>, chars: u64) -> Option<Annotation<'c>> {
        if citation.origin == Protocol::OpenAiResponses {
            return Some(Annotation::AsItCame(citation));
        }
        let url = citation.url.as_ref()?;
        Some(Annotation::Url { url, title: citation.title.as_ref(), span: citation.span.unwrap_or((0, chars)) })
    }

    pub fn write(&self, json: &mut Json<'_>) {
        match self {
            Annotation::AsItCame(citation) => json.value(&citation.raw),
            Annotation::Url { url, title, span: (start, end) } => json.object(|json| {
                json.key("type").text("url_citation");
                json.key("start_index").uint(*start);
                json.key("end_index").uint(*end);
                json.key("url").str(url);
                json.key("title").str(title.unwrap_or(&Str::plain("")));
            }),
        }
    }
}

/// Where an event belongs.
pub(super) fn place(json: &mut Json<'_>, id: &str, index: u64, inner: &str, at: u64) {
    json.key("item_id").text(id);
    json.key("output_index").uint(index);
    json.key(inner).uint(at);
}

pub(super) fn comma(list: &mut Vec<u8>) {
    if !list.is_empty() {
        list.push(b',');
    }
}

pub(super) fn summary_part_added(id: &str, index: u64, count: u64, feed: &mut Feed, out: &mut Vec<u8>) -> String {
    feed.emit(out, "response.reasoning_summary_part.added", |json| {
        place(json, id, index, "summary_index", count);
        write_summary(json.key("part"), "");
    });
    String::new()
}

fn write_summary(json: &mut Json<'_>, token: &str) {
    json.object(|json| {
        json.key("type").text("summary_text");
        json.key("text").str(&Str::token(token));
    });
}

pub(super) fn close_summary(
    id: &str,
    index: u64,
    parts: &mut Vec<u8>,
    count: &mut u64,
    part: &mut Option<String>,
    feed: &mut Feed,
    out: &mut Vec<u8>,
) {
    let Some(text) = part.take() else { return };
    feed.emit(out, "response.reasoning_summary_text.done", |json| {
        place(json, id, index, "summary_index", *count);
        json.key("text").str(&Str::token(text.as_str()));
    });
    feed.emit(out, "response.reasoning_summary_part.done", |json| {
        place(json, id, index, "summary_index", *count);
        write_summary(json.key("part"), &text);
    });
    comma(parts);
    write_summary(&mut Json::new(parts), &text);
    *count += 1;
}

pub(super) fn close_part(
    id: &str,
    index: u64,
    parts: &mut Vec<u8>,
    count: &mut u64,
    part: &mut Option<Part>,
    feed: &mut Feed,
    out: &mut Vec<u8>,
) {
    let Some(part) = part.take() else { return };
    let kind = if part.refusal { "response.refusal.done" } else { "response.output_text.done" };
    feed.emit(out, kind, |json| {
        place(json, id, index, "content_index", *count);
        json.key(if part.refusal { "refusal" } else { "text" }).str(&Str::token(part.text.as_str()));
        if !part.refusal {
            write_list(json.key("logprobs"), &part.logprobs);
        }
    });
    feed.emit(out, "response.content_part.done", |json| {
        place(json, id, index, "content_index", *count);
        write_part(json.key("part"), &part);
    });
    comma(parts);
    write_part(&mut Json::new(parts), &part);
    *count += 1;
}
