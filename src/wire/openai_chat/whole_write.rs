//! Writes a folded answer as a whole OpenAI Chat Completions answer. Must never know which protocol it came from.

use super::answer_write::{
    call_id, chars, finish_word, is_legacy, note_foreign, write_annotation, write_image, write_logprobs, write_native,
    write_signature, write_state, write_tier, write_usage,
};
use crate::wire::ir::{
    Answer, AnswerBlock, AnswerChoice, BlockKind, Feature, Finish, Ids, Losses, StopReason, WriterSetup,
};
use crate::wire::json::{Json, Str, Value};

/// How long a sound can be referred to, as OpenAI says it.
const SOUND_LIFETIME_S: i64 = 3600;

/// The body of a whole answer. What cannot be said of it is added to `losses`.
pub fn write_whole(answer: &Answer, setup: &WriterSetup, losses: &mut Losses) -> Vec<u8> {
    let mut out = Vec::with_capacity(1024);
    let mut ids = Ids::new(&setup.call_id);
    let legacy = is_legacy(setup);
    Json::new(&mut out).object(|json| {
        let start = &answer.start;
        json.key("id").text(&ids.mint("chatcmpl-"));
        json.key("object").text("chat.completion");
        json.key("created").int(start.created.unwrap_or(setup.created));
        json.key("model").str(start.model.as_ref().unwrap_or(&Str::plain(setup.model.as_str())));
        write_tier(json, start);
        json.key("choices").array(|json| {
            for choice in &answer.choices {
                Whole { choice, ids: &mut ids, losses, created: setup.created, legacy }.write(json);
            }
        });
        if let Some(usage) = &answer.usage {
            write_usage(json.key("usage"), usage);
        }
    });
    out
}

/// One choice on its way out.
struct Whole<'w> {
    choice: &'w AnswerChoice,
    ids: &'w mut Ids,
    losses: &'w mut Losses,
    created: i64,
    legacy: bool,
}

impl Whole<'_> {
    fn write(mut self, json: &mut Json<'_>) {
        let unfinished = Finish {
            choice: self.choice.choice,
            reason: StopReason::Unknown,
            native: None,
            stop_sequence: None,
            message: None,
        };
        let finish = self.choice.finish.as_ref().unwrap_or(&unfinished);
        if finish.reason == StopReason::Paused {
            self.losses.dropped(Feature::ServerTool);
        }
        let why = finish.message.as_ref().filter(|_| finish.reason == StopReason::Refused);
        let refusal = self.refusal().or_else(|| why.map(Str::borrowed));
        let refused = refusal.is_some();
        json.object(|json| {
            json.key("index").uint(self.choice.choice.into());
            json.key("message").object(|json| self.write_message(json, refusal));
            self.write_logprobs(json);
            json.key("finish_reason").text(finish_word(finish, refused, self.legacy));
            write_native(json, finish);
        });
    }

    fn texts(&self, wanted: impl Fn(&BlockKind<'_>) -> bool) -> Vec<Str<'_>> {
        let blocks = self.choice.blocks.iter().filter(|block| wanted(&block.kind));
        blocks.map(AnswerBlock::text).filter(|text| !text.is_empty()).collect()
    }

    fn refusal(&self) -> Option<Str<'static>> {
        let texts = self.texts(|kind| matches!(kind, BlockKind::Refusal));
        (!texts.is_empty()).then(|| Str::token(texts.iter().map(Str::as_token).collect::<String>()))
    }

    fn write_message(&mut self, json: &mut Json<'_>, refusal: Option<Str<'_>>) {
        json.key("role").text("assistant");
        let content = self.texts(|kind| matches!(kind, BlockKind::Text));
        let has_else = refusal.is_some()
            || self
                .choice
                .blocks
                .iter()
                .any(|block| matches!(block.kind, BlockKind::Call { .. } | BlockKind::Media { image: false, .. }));
        match content.is_empty() && has_else {
            true => json.key("content").null(),
            false => json.key("content").texts(content),
        }
        match &refusal {
            Some(refusal) => json.key("refusal").str(refusal),
            None => json.key("refusal").null(),
        }
        self.write_thinking(json);
        self.write_annotations(json);
        self.write_media(json);
        self.write_calls(json);
        let text_state = |block: &&AnswerBlock| matches!(block.kind, BlockKind::Text) && block.state.is_some();
        if let Some(state) = self.choice.blocks.iter().rev().find(text_state).and_then(|block| block.state.as_ref()) {
            write_signature(json, state);
        }
    }

    fn write_thinking(&mut self, json: &mut Json<'_>) {
        let thoughts = || self.choice.blocks.iter().filter(|block| matches!(block.kind, BlockKind::Reasoning { .. }));
        let texts = thoughts().map(|block| {
            let parts: Vec<_> = block.parts().iter().map(|part| part.as_token().into_owned()).collect();
            Str::token(parts.join("\\n\\n"))
        });
        let texts: Vec<Str<'static>> = texts.collect();
        if texts.iter().any(|text| !text.is_empty()) {
            json.key("reasoning_content").texts(texts.iter().map(Str::borrowed));
        }
        if !thoughts().any(|block| block.state.is_some()) {
            return;
        }
        json.key("reasoning_details").array(|json| {
            for (index, (block, text)) in thoughts().zip(&texts).enumerate() {
                let redacted = matches!(block.kind, BlockKind::Reasoning { redacted: true });
                if let Some(state) = &block.state {
                    write_state(json, state, redacted, index as u64, Some(text));
                } else if !text.is_empty() {
                    json.object(|json| {
                        json.key("type").text("reasoning.text");
                        json.key("text").str(text);
                        json.key("index").uint(index as u64);
                    });
                }
            }
        });
    }

    fn write_annotations(&mut self, json: &mut Json<'_>) {
        let mut said = Vec::new();
        let mut start = 0;
        for block in self.choice.blocks.iter().filter(|block| matches!(block.kind, BlockKind::Text)) {
            let end = start + chars(&block.text());
            for citation in &block.citations {
                match citation.url {
                    Some(_) => said.push((citation, start, end)),
                    None => self.losses.dropped(Feature::Citations),
                }
            }
            start = end;
        }
        if !said.is_empty() {
            json.key("annotations").array(|json| {
                said.iter().for_each(|(citation, start, end)| write_annotation(json, citation, *start, *end));
            });
        }
    }

    fn write_media(&mut self, json: &mut Json<'_>) {
        let media = |image: bool| {
            let blocks = self.choice.blocks.iter();
            blocks.filter(move |block| matches!(block.kind, BlockKind::Media { image: is, .. } if is == image))
        };
        if media(true).next().is_some() {
            json.key("images").array(|json| {
                for block in media(true) {
                    let BlockKind::Media { mime, .. } = &block.kind else { continue };
                    write_image(json, mime, &block.text(), block.url.as_ref());
                }
            });
        }
        if let Some(block) = media(false).next() {
            let id = self.ids.mint("audio_");
            json.key("audio").object(|json| {
                json.key("id").text(&id);
                json.key("data").str(&block.text());
                json.key("expires_at").int(self.created.saturating_add(SOUND_LIFETIME_S));
                json.key("transcript").str(&block.transcript());
            });
        }
        for block in &self.choice.blocks {
            if let BlockKind::Foreign { what, .. } = &block.kind {
                note_foreign(what, self.losses);
            }
        }
    }

    fn write_calls(&mut self, json: &mut Json<'_>) {
        let calls = self.choice.blocks.iter().filter(|block| matches!(block.kind, BlockKind::Call { .. }));
        let mut calls = calls.collect::<Vec<_>>();
        if self.legacy && !calls.is_empty() {
            let first = calls.remove(0);
            json.key("function_call").object(|json| write_called(json, first));
        }
        if calls.is_empty() {
            return;
        }
        json.key("tool_calls").array(|json| {
            for block in calls {
                let BlockKind::Call { custom, .. } = &block.kind else { continue };
                let kind = if *custom { "custom" } else { "function" };
                json.object(|json| {
                    json.key("id").text(&call_id(&block.kind, self.ids));
                    json.key("type").text(kind);
                    json.key(kind).object(|json| write_called(json, block));
                    if let Some(state) = &block.state {
                        write_signature(json, state);
                    }
                });
            }
        });
    }

    fn write_logprobs(&self, json: &mut Json<'_>) {
        let list = |wanted: fn(&BlockKind<'_>) -> bool| -> Vec<Value<'static>> {
            let blocks = self.choice.blocks.iter().filter(|block| wanted(&block.kind));
            blocks.flat_map(|block| block.logprobs.iter().cloned()).collect()
        };
        let said = list(|kind| matches!(kind, BlockKind::Text));
        let refused = list(|kind| matches!(kind, BlockKind::Refusal));
        match (said.is_empty(), refused.is_empty()) {
            (true, true) => json.key("logprobs").null(),
            (false, _) => write_logprobs(json, &Value::Array(said), false),
            (true, false) => write_logprobs(json, &Value::Array(refused), true),
        }
    }
}

fn write_called(json: &mut Json<'_>, block: &AnswerBlock) {
    let BlockKind::Call { name, custom, .. } = &block.kind else { return };
    json.key("name").str(name);
    let text = block.text();
    match custom {
        true => json.key("input").str(&text),
        false if text.is_empty() => json.key("arguments").text("{}"),
        false => json.key("arguments").str(&text),
    }
}
