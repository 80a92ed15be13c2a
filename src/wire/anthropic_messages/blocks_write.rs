//! Writes the blocks of a request, their cache marks and what only our own protocol says of them. Must never know their order.

use super::arguments;
use super::arrange::{Block, Message, Prompt, Speaker, What};
use super::fields::parent;
use crate::wire::Protocol;
use crate::wire::ir::{Arguments, CacheMark, Extra, Feature, Losses, said_again};
use crate::wire::json::{Json, Str};

/// Most cache marks that a request may bear.
const MARKS_MAX: usize = 4;

/// Marks are written in the order of the prompt: tools, system, messages. Of too many the last count, which hold the most.
pub(super) struct Marks {
    skip: usize,
}

impl Marks {
    /// `in_tools`: the marks that tools bear; `reserved`: one that is not on a block.
    pub fn count<'m, 'a: 'm>(
        in_tools: impl Iterator<Item = &'m CacheMark<'a>>,
        reserved: Option<&'m CacheMark<'a>>,
        prompt: &'m Prompt<'a>,
        losses: &mut Losses,
    ) -> Marks {
        let in_system = prompt.system.iter().flat_map(marks_of);
        let in_messages = prompt.messages.iter().flat_map(|message| &message.blocks).flat_map(marks_of);
        let mut count = 0;
        for mark in in_tools.chain(in_system).chain(in_messages) {
            count += 1;
            note_ttl(mark, losses);
        }
        reserved.into_iter().for_each(|mark| note_ttl(mark, losses));
        let skip = (count + usize::from(reserved.is_some())).saturating_sub(MARKS_MAX).min(count);
        if skip > 0 {
            losses.dropped(Feature::CacheControl);
        }
        Marks { skip }
    }

    /// `cache_control` of a block or tool that bears a mark.
    pub fn write(&mut self, json: &mut Json<'_>, mark: Option<&CacheMark<'_>>, extra: &[Extra<'_>]) {
        let Some(mark) = mark else { return };
        if self.skip > 0 {
            self.skip -= 1;
            return;
        }
        write_mark(json, mark, extra);
    }
}

pub(super) fn write_mark(json: &mut Json<'_>, mark: &CacheMark<'_>, extra: &[Extra<'_>]) {
    json.key("cache_control").object(|json| {
        json.key("type").text("ephemeral");
        if let Some(ttl) = mark.ttl.as_ref().filter(|ttl| is_ttl(ttl)) {
            json.key("ttl").str(ttl);
        }
        write_extras(json, extra, Some("cache_control"));
    });
}

fn is_ttl(ttl: &Str<'_>) -> bool {
    *ttl == "5m" || *ttl == "1h"
}

/// Other times than the two that there are become the usual one.
fn note_ttl(mark: &CacheMark<'_>, losses: &mut Losses) {
    if mark.ttl.as_ref().is_some_and(|ttl| !is_ttl(ttl)) {
        losses.approximated(Feature::CacheControl);
    }
}

fn marks_of<'m, 'a>(block: &'m Block<'a>) -> impl Iterator<Item = &'m CacheMark<'a>> {
    let inner = match &block.what {
        What::Result { content, .. } => content.as_slice(),
        What::Text(_)
        | What::Reminder(_)
        | What::Media(_)
        | What::Thinking { .. }
        | What::Redacted { .. }
        | What::Call { .. }
        | What::Raw(_)
        | What::Extras => &[],
    };
    inner.iter().filter_map(|block| block.cache).chain(block.cache)
}

/// Members that only our own protocol has, of the object itself or of one of its members. Those without a name are only there
/// to be named as losses.
pub(super) fn write_extras(json: &mut Json<'_>, extra: &[Extra<'_>], of: Option<&str>) {
    let here = |extra: &&Extra<'_>| parent(extra) == of && !extra.name.is_empty();
    for extra in said_again(extra, Protocol::AnthropicMessages).filter(here) {
        json.key_of(&extra.name).value(&extra.value);
    }
}

pub(super) fn write_message(json: &mut Json<'_>, message: &Message<'_>, marks: &mut Marks) {
    json.object(|json| {
        json.key("role").text(match message.speaker {
            Speaker::User => "user",
            Speaker::Assistant => "assistant",
            Speaker::System => "system",
        });
        write_content(json, "content", &message.blocks, message.bare, marks);
        for extra in &message.extra {
            json.key_of(&extra.name).value(&extra.value);
        }
    });
}

/// Blocks, or the one text that stands for them.
pub(super) fn write_content(json: &mut Json<'_>, key: &str, blocks: &[Block<'_>], bare: bool, marks: &mut Marks) {
    json.key(key);
    if let (true, [Block { what: What::Text(text), cache: None, extra: [] }]) = (bare, blocks) {
        return json.str(text);
    }
    json.array(|json| blocks.iter().for_each(|block| write_block(json, block, marks)));
}

pub(super) fn write_block(json: &mut Json<'_>, block: &Block<'_>, marks: &mut Marks) {
    let Block { what, cache, extra } = block;
    if let What::Raw(raw) = what {
        json.object(|json| {
            for (name, value) in raw.as_object().into_iter().flat_map(|object| &object.members) {
                json.key_of(name).value(value);
            }
            marks.write(json, *cache, extra);
        });
        return;
    }
    json.object(|json| {
        match what {
            What::Text(text) => {
                json.key("type").text("text");
                json.key("text").str(text);
            }
            What::Reminder(text) => {
                json.key("type").text("text");
                let reminder = ["<system-reminder>\n".into(), text.borrowed(), "\n</system-reminder>".into()];
                json.key("text").texts(reminder);
            }
            What::Media(attachment) => attachment.write(json, |json| write_extras(json, extra, Some("source"))),
            What::Thinking { text, signature } => {
                json.key("type").text("thinking");
                json.key("thinking");
                write_paragraphs(json, text);
                json.key("signature").str(signature);
            }
            What::Redacted { data } => {
                json.key("type").text("redacted_thinking");
                json.key("data").str(data);
            }
            What::Call { id, name, arguments, custom } => {
                json.key("type").text("tool_use");
                json.key("id").text(id);
                json.key("name").text(name);
                json.key("input");
                write_arguments(json, arguments, *custom);
            }
            What::Result { id, content, bare, is_error } => {
                json.key("type").text("tool_result");
                json.key("tool_use_id").text(id);
                if !content.is_empty() {
                    write_content(json, "content", content, *bare, marks);
                }
                if *is_error {
                    json.key("is_error").bool(true);
                }
            }
            What::Extras | What::Raw(_) => {}
        }
        write_extras(json, extra, None);
        marks.write(json, *cache, extra);
    });
}

fn write_paragraphs(json: &mut Json<'_>, texts: &[Str<'_>]) {
    let breaks = std::iter::once("").chain(std::iter::repeat("\n\n"));
    json.texts(breaks.zip(texts).flat_map(|(between, text)| [Str::plain(between), text.borrowed()]));
}

fn write_arguments(json: &mut Json<'_>, arguments: &Arguments<'_>, custom: bool) {
    match (arguments, custom) {
        (Arguments::Text(text), true) => arguments::write_wrapped(json, text),
        (Arguments::Text(text), false) => arguments::write_text(json, text),
        (Arguments::Object(value), _) if value.as_object().is_some() => json.value(value),
        (Arguments::Object(value), _) => json.object(|json| json.key("_raw").value(value)),
    }
}
