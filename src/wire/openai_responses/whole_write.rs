//! Writes a folded answer as a whole OpenAI Responses answer.

use super::stream_write::ResponsesWriter;
use crate::wire::ir::{Answer, AnswerBlock, BlockKind, Delta, Event, EventWriter, Losses, WriterSetup};

/// The body of a whole answer. What cannot be said of it is added to `losses`.
///
/// The answer goes through the writer of streams, so that both say the same.
pub fn write_whole(answer: &Answer, setup: &WriterSetup, losses: &mut Losses) -> Vec<u8> {
    let mut writer = ResponsesWriter::silent(setup.clone());
    let mut out = Vec::new();
    let mut say = |event: Event<'_>| writer.event(&event, &mut out);
    say(Event::Start(answer.start.clone()));
    for choice in &answer.choices {
        let number = choice.choice;
        for (at, block) in (0..).zip(&choice.blocks) {
            say(Event::BlockStart { choice: number, block: at, kind: block.kind.clone() });
            for delta in deltas(block) {
                say(Event::Delta { choice: number, block: at, delta });
            }
            say(Event::BlockStop { choice: number, block: at });
        }
        if let Some(finish) = &choice.finish {
            say(Event::Finish(finish.clone()));
        }
    }
    if let Some(usage) = answer.usage {
        say(Event::Usage { usage, iterations: Vec::new() });
    }
    let (body, lost) = writer.into_whole();
    losses.extend(&lost);
    body
}

/// A block as if it had come in one piece each. The state of a call comes first, as it does in streams.
fn deltas(block: &AnswerBlock) -> Vec<Delta<'_>> {
    let mut deltas = Vec::new();
    let state = block.state.clone().map(Delta::State);
    match &block.kind {
        BlockKind::Text | BlockKind::Refusal => deltas.push(Delta::Text(block.text())),
        BlockKind::Reasoning { .. } => {
            for (at, part) in block.parts().into_iter().enumerate() {
                if at > 0 {
                    deltas.push(Delta::NextPart);
                }
                if !part.is_empty() {
                    deltas.push(Delta::Text(part));
                }
            }
        }
        BlockKind::Call { .. } => {
            deltas.extend(state.clone());
            deltas.push(Delta::Arguments(block.text()));
        }
        BlockKind::Media { .. } => {
            if !block.text().is_empty() {
                deltas.push(Delta::Data(block.text()));
            }
            deltas.extend(block.url.clone().map(Delta::Url));
        }
        BlockKind::Foreign { .. } => {}
    }
    deltas.extend(block.citations.iter().cloned().map(Delta::Citation));
    if !block.logprobs.is_empty() {
        deltas.push(Delta::Logprobs(crate::wire::json::Value::Array(block.logprobs.clone())));
    }
    if !matches!(block.kind, BlockKind::Call { .. }) {
        deltas.extend(state);
    }
    deltas
}
