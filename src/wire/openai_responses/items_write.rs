//! Writes planned items as a Responses `input`. Decides nothing.

use super::items_read::WHOLE_ITEM;
use super::namespaces::{NAMESPACE, flat_name};
use super::plan::{Item, Shown};
use super::plan_parts::{Blob, Content, Kind, PartOut};
use super::request_read::BARE_INPUT;
use crate::wire::Protocol;
use crate::wire::ir::{Arguments, Call, Extra, Reasoning, said_again};
use crate::wire::json::{Json, Str};

const OURS: Protocol = Protocol::OpenAiResponses;

pub(super) fn write_input(json: &mut Json<'_>, items: &[Item<'_>]) {
    if let [Item::Message { content: Content::Text(text), extra, .. }] = items
        && said_again(extra, OURS).any(|extra| extra.name == BARE_INPUT)
    {
        json.str(text);
        return;
    }
    json.array(|json| {
        for item in items {
            write_item(json, item);
        }
    });
}

fn write_item(json: &mut Json<'_>, item: &Item<'_>) {
    match item {
        Item::Message { role, content, extra, typed } => json.object(|json| {
            if *typed {
                json.key("type").text("message");
            }
            json.key("role").text(role);
            if !is_said(extra, "content") {
                write_content(json.key("content"), content);
            }
            say_again(json, extra);
        }),
        Item::Call { id, name, call, extra } => json.object(|json| write_call(json, id, name, call, extra)),
        Item::Output { id, content, custom, extra } => json.object(|json| {
            json.key("type").text(if *custom { "custom_tool_call_output" } else { "function_call_output" });
            json.key("call_id").text(id);
            write_content(json.key("output"), content);
            say_again(json, extra);
        }),
        Item::Reasoning { reasoning, state, shown, extra } => {
            json.object(|json| write_reasoning(json, reasoning, state.as_ref(), *shown, extra));
        }
        Item::Image { data, extra } => json.object(|json| {
            json.key("type").text("image_generation_call");
            json.key("result").str(data);
            say_again(json, extra);
        }),
        Item::Raw(raw) => json.value(raw),
    }
}

fn write_call(json: &mut Json<'_>, id: &str, name: &str, call: &Call<'_>, extra: &[Extra<'_>]) {
    json.key("type").text(if call.custom { "custom_tool_call" } else { "function_call" });
    json.key("call_id").text(id);
    let space = said_again(extra, OURS).find(|extra| extra.name == NAMESPACE);
    let space = space.and_then(|extra| extra.value.as_text());
    let inner = space.and_then(|space| name.strip_prefix(flat_name(&space, "").as_str()));
    json.key("name").text(inner.unwrap_or(name));
    json.key(if call.custom { "input" } else { "arguments" });
    match &call.arguments {
        Arguments::Text(text) if text.is_empty() && !call.custom && !is_own(extra) => json.text("{}"),
        Arguments::Text(text) => json.str(text),
        Arguments::Object(value) => json.json_as_text(value),
    }
    say_again(json, extra);
}

/// Whether the item came from this protocol. Its calls may have no arguments at all.
fn is_own(extra: &[Extra<'_>]) -> bool {
    said_again(extra, OURS).next().is_some()
}

fn write_reasoning(
    json: &mut Json<'_>,
    reasoning: &Reasoning<'_>,
    state: Option<&Str<'_>>,
    shown: Shown,
    extra: &[Extra<'_>],
) {
    let Reasoning { text, full, redacted: _, id } = reasoning;
    json.key("type").text("reasoning");
    if let Some(id) = id {
        json.key("id").str(id);
    }
    let (summary, content) = match shown {
        Shown::AsItCame => (text.as_slice(), full.as_slice()),
        Shown::AsContent => ([].as_slice(), if full.is_empty() { text.as_slice() } else { full.as_slice() }),
    };
    write_texts(json.key("summary"), "summary_text", summary);
    if !content.is_empty() {
        write_texts(json.key("content"), "reasoning_text", content);
    }
    if let Some(state) = state {
        json.key("encrypted_content").str(state);
    }
    say_again(json, extra);
}

fn write_texts(json: &mut Json<'_>, kind: &str, texts: &[Str<'_>]) {
    json.array(|json| {
        for text in texts {
            json.object(|json| {
                json.key("type").text(kind);
                json.key("text").str(text);
            });
        }
    });
}

fn write_content(json: &mut Json<'_>, content: &Content<'_>) {
    match content {
        Content::Text(text) => json.str(text),
        Content::Parts(parts) => json.array(|json| {
            for part in parts {
                write_part(json, part);
            }
        }),
    }
}

fn write_part(json: &mut Json<'_>, part: &PartOut<'_>) {
    let PartOut { kind, mark, extra } = part;
    if let Kind::Raw(raw) = kind {
        return json.value(raw);
    }
    json.object(|json| {
        match kind {
            Kind::Text { assistant, text } => {
                if !is_said(extra, "type") {
                    json.key("type").text(if *assistant { "output_text" } else { "input_text" });
                }
                json.key("text").str(text);
            }
            Kind::Refusal(text) => {
                json.key("type").text("refusal");
                json.key("refusal").str(text);
            }
            Kind::Image { source, detail } => {
                json.key("type").text("input_image");
                write_blob(json, source, "image_url", "image_url");
                if let Some(detail) = detail {
                    json.key("detail").str(detail);
                }
            }
            Kind::File { source, name } => {
                json.key("type").text("input_file");
                if let Some(name) = name {
                    json.key("filename").text(name);
                }
                write_blob(json, source, "file_data", "file_url");
            }
            Kind::Audio { data, format } => {
                json.key("type").text("input_audio");
                json.key("input_audio").object(|json| {
                    json.key("data").str(data);
                    json.key("format").text(format);
                });
            }
            Kind::Raw(_) => {}
        }
        if let Some(mark) = mark {
            json.key("prompt_cache_breakpoint").object(|json| {
                json.key("mode").text("explicit");
                if let Some(ttl) = mark.ttl.as_ref().filter(|ttl| **ttl == "30m" || **ttl == "12h") {
                    json.key("ttl").str(ttl);
                }
            });
        }
        say_again(json, extra);
    });
}

fn write_blob(json: &mut Json<'_>, source: &Blob<'_>, data_key: &str, url_key: &str) {
    match source {
        Blob::Data { mime, data } if mime.is_empty() => json.key(data_key).str(data),
        Blob::Data { mime, data } => {
            let mime = Str::plain(&**mime);
            json.key(data_key).texts([Str::plain("data:"), mime, Str::plain(";base64,"), data.borrowed()]);
        }
        Blob::Url(url) => json.key(url_key).str(url),
        Blob::File(id) => json.key("file_id").str(id),
    }
}

fn is_said(extra: &[Extra<'_>], name: &str) -> bool {
    said_again(extra, OURS).any(|extra| extra.name == name)
}

/// Members that only this protocol has. Those without a name were only there to be named as losses.
pub(super) fn say_again(json: &mut Json<'_>, extra: &[Extra<'_>]) {
    for extra in said_again(extra, OURS) {
        if !extra.name.is_empty() && extra.name != BARE_INPUT && extra.name != WHOLE_ITEM {
            json.key_of(&extra.name).value(&extra.value);
        }
    }
}
