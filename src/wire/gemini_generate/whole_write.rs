//! Writes a folded answer as a whole Gemini generateContent answer.

use std::borrow::Cow;

use super::answer::{Part, Progress, foreign_is_loss};
use super::stream_write::{media_data, media_url};
use super::usage;
use crate::wire::Protocol;
use crate::wire::ir::{Answer, AnswerBlock, AnswerChoice, BlockKind, Feature, Finish, Losses, StopReason, WriterSetup};
use crate::wire::json::{Json, Str};

/// The body of a whole answer. What cannot be said of it is added to `losses`.
pub fn write_whole(answer: &Answer, setup: &WriterSetup, losses: &mut Losses) -> Vec<u8> {
    let mut out = Vec::new();
    Json::new(&mut out).object(|json| {
        json.key("candidates").array(|json| {
            answer.choices.iter().for_each(|choice| candidate(json, choice, losses));
        });
        if let Some(counts) = &answer.usage {
            usage::write(json.key("usageMetadata"), counts);
        }
        let model = answer.start.model.as_ref().map_or_else(|| Str::plain(setup.model.as_str()), Str::borrowed);
        json.key("modelVersion").str(&model);
        let id = answer.start.id.as_ref().map_or_else(|| Str::plain(setup.call_id.as_str()), Str::borrowed);
        json.key("responseId").str(&id);
    });
    out
}

fn candidate(json: &mut Json<'_>, choice: &AnswerChoice, losses: &mut Losses) {
    let mut progress = Progress::default();
    json.object(|json| {
        json.key("content").object(|json| {
            json.key("parts").array(|json| {
                let mut written = 0;
                for (at, block) in choice.blocks.iter().enumerate() {
                    written += write_block(json, at as u32, block, &mut progress, losses);
                }
                let signature = progress.left();
                if signature.is_some() || written == 0 {
                    Part::Text { text: Str::plain(""), thought: false, signature }.write(json);
                }
            });
            json.key("role").text("model");
        });
        let unknown = Finish {
            choice: choice.choice,
            reason: StopReason::Unknown,
            native: None,
            stop_sequence: None,
            message: None,
        };
        progress.write_end(json, choice.finish.as_ref().unwrap_or(&unknown));
        json.key("index").uint(choice.choice.into());
    });
}

/// Writes a block's part; how many there were.
fn write_block(
    json: &mut Json<'_>,
    at: u32,
    block: &AnswerBlock,
    progress: &mut Progress,
    losses: &mut Losses,
) -> usize {
    let text = block.text();
    let mut write = |part: Part<'_>| {
        part.write(json);
        1
    };
    match &block.kind {
        BlockKind::Text | BlockKind::Refusal => {
            progress.said.begin(at);
            progress.said.push(&text);
            block.citations.iter().for_each(|citation| progress.cite(at, citation.clone(), losses));
            block.logprobs.iter().for_each(|list| progress.probable(list, losses));
            if text.is_empty() && block.state.is_none() {
                return 0;
            }
            let signature = progress.carried(block.state.as_ref());
            write(Part::Text { text, thought: false, signature })
        }
        BlockKind::Reasoning { redacted } => {
            let shown = !text.is_empty();
            let signature =
                block.state.as_ref().map(|state| progress.thought_ends(state, *redacted, shown)).unwrap_or_default();
            if !shown && signature.is_none() {
                return 0;
            }
            let parts: Vec<_> = block.parts().iter().map(|part| part.as_token().into_owned()).collect();
            write(Part::Text { text: Str::token(parts.join("\\n\\n")), thought: true, signature })
        }
        BlockKind::Call { id, name, custom } => {
            write(progress.call((id.as_ref(), name, *custom), &text, block.state.as_ref()))
        }
        BlockKind::Media { image, mime } => {
            let part = match &block.url {
                Some(url) => media_url(mime, url),
                None => media_data(*image, mime, text),
            };
            part.write(json);
            if !block.transcript().is_empty() {
                losses.dropped(Feature::Field(Cow::Borrowed("audio.transcript")));
            }
            1
        }
        BlockKind::Foreign { protocol: Protocol::GeminiGenerate, raw, .. } => write(Part::Raw(raw)),
        BlockKind::Foreign { what, .. } => {
            if foreign_is_loss(what) {
                losses.field(what);
            }
            0
        }
    }
}
