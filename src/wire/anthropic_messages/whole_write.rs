//! Writes a folded answer as a whole Anthropic Messages answer. Must never know where it comes from.

use super::opaque::Owner;
use super::said::{self, Said, call_id, message_id, write_stop};
use super::usage::write_usage;
use super::{arguments, opaque};
use crate::wire::ir::{Answer, AnswerBlock, BlockKind, Feature, Ids, Losses, WriterSetup};
use crate::wire::json::{Json, Str};
use crate::wire::{Protocol, Usage};

/// The body of a whole answer. What cannot be said of it is added to `losses`.
pub fn write_whole(answer: &Answer, setup: &WriterSetup, losses: &mut Losses) -> Vec<u8> {
    let mut out = Vec::new();
    let mut ids = Ids::new(&setup.call_id);
    let mut said = Said::default();
    let id = message_id(answer.start.id.as_ref(), &mut ids);
    let tier = answer.start.service_tier.as_ref().map(Str::decode);
    let estimated = Usage { input_total: setup.input_tokens_estimated, ..Usage::default() };
    let choice = answer.choices.iter().find(|choice| choice.choice == 0);
    if answer.choices.iter().any(|choice| choice.choice != 0) {
        losses.dropped(Feature::Choices);
    }
    Json::new(&mut out).object(|json| {
        json.key("id").text(&id);
        json.key("type").text("message");
        json.key("role").text("assistant");
        match &answer.start.model {
            Some(model) => json.key("model").str(model),
            None => json.key("model").text(&setup.model),
        }
        json.key("content").array(|json| {
            let blocks = choice.map_or(&[][..], |choice| &choice.blocks);
            for (at, block) in blocks.iter().enumerate() {
                let last = at + 1 == blocks.len();
                write_block(json, block, last, &mut said, &mut ids, losses);
            }
        });
        write_stop(json, choice.and_then(|choice| choice.finish.as_ref()), &said);
        json.key("usage");
        write_usage(json, &answer.usage.unwrap_or(estimated), tier.as_deref());
    });
    out
}

fn write_block(
    json: &mut Json<'_>,
    block: &AnswerBlock,
    last: bool,
    said: &mut Said,
    ids: &mut Ids,
    losses: &mut Losses,
) {
    let beside = |json: &mut Json<'_>, owner| {
        if let Some(state) = &block.state {
            json.object(|json| opaque::write_beside(json, state, owner));
        }
    };
    match &block.kind {
        BlockKind::Text | BlockKind::Refusal => {
            said.refused |= block.kind == BlockKind::Refusal;
            write_text(json, block, losses);
            // Clients take the last block for the answer: it is never one that has nothing to show.
            match last && block.state.is_some() {
                true => losses.dropped(Feature::ReasoningState),
                false => beside(json, Owner::Before),
            }
        }
        BlockKind::Reasoning { redacted } => write_thinking(json, block, *redacted),
        BlockKind::Call { id, name, custom } => {
            beside(json, Owner::Next);
            let id = call_id(id.as_ref(), said, ids);
            json.object(|json| {
                json.key("type").text("tool_use");
                json.key("id").text(&id);
                json.key("name").str(name);
                json.key("input");
                match custom {
                    true => arguments::write_wrapped(json, &block.text()),
                    false => arguments::write_text(json, &block.text()),
                }
            });
        }
        BlockKind::Media { image, .. } => losses.dropped(if *image { Feature::ImageOut } else { Feature::AudioOut }),
        BlockKind::Foreign { protocol: Protocol::AnthropicMessages, raw, .. } => json.value(raw),
        BlockKind::Foreign { .. } => losses.dropped(Feature::ServerTool),
    }
}

fn write_text(json: &mut Json<'_>, block: &AnswerBlock, losses: &mut Losses) {
    let text = block.text();
    if !block.citations.iter().all(|it| said::can_cite(it) && !text.is_empty()) {
        losses.dropped(Feature::Citations);
    }
    if text.is_empty() {
        return;
    }
    json.object(|json| {
        json.key("type").text("text");
        json.key("text").str(&text);
        if block.citations.iter().any(said::can_cite) {
            json.key("citations").array(|json| {
                block.citations.iter().filter(|it| said::can_cite(it)).for_each(|it| said::write_citation(json, it));
            });
        }
    });
}

fn write_thinking(json: &mut Json<'_>, block: &AnswerBlock, redacted: bool) {
    let text = block.text();
    let carried = block.state.as_ref().map(opaque::carried);
    match (carried, text.is_empty()) {
        (None, true) => {}
        (Some(data), true) if redacted => json.object(|json| {
            json.key("type").text("redacted_thinking");
            json.key("data").str(&data);
        }),
        (signature, _) => json.object(|json| {
            json.key("type").text("thinking");
            json.key("thinking");
            let parts = block.parts().into_iter().filter(|part| !part.is_empty());
            let breaks = std::iter::once("").chain(std::iter::repeat("\n\n"));
            json.texts(breaks.zip(parts).flat_map(|(between, part)| [Str::plain(between), part]));
            json.key("signature").str(&signature.unwrap_or(Str::plain("")));
        }),
    }
}
