//! Items of an answer as they ended: what of them did not come in pieces is said now.

use std::borrow::Cow;

use super::super::stream_read::{take, take_str};
use super::{Kind, OURS, Output, PLACES_MAX, Section};
use crate::wire::ir::{BlockKind, Delta, Event, Sink, State};
use crate::wire::json::Value;

impl Output {
    /// An item as it ended: what did not come in pieces comes now.
    pub fn finished(&mut self, index: u64, item: Value<'_>, sink: &mut dyn Sink) {
        let kind = item.get("type").and_then(Value::as_text).map(|kind| kind.into_owned()).unwrap_or_default();
        let known = self.items.iter().rfind(|item| item.index == index && item.kind.is(&kind));
        if known.is_some_and(|item| item.closed) {
            return;
        }
        match kind.as_str() {
            "message" => self.message_done(index, item, sink),
            "reasoning" => self.reasoning_done(index, item, sink),
            "function_call" | "custom_tool_call" => self.call_done(index, &kind, item, sink),
            _ => self.other_done(index, kind, item, sink),
        }
    }

    fn message_done(&mut self, index: u64, mut item: Value<'_>, sink: &mut dyn Sink) {
        self.message(index);
        if let Some(Value::Array(parts)) = take(&mut item, "content") {
            for (content, part) in (0..).zip(parts) {
                self.part_done(index, content, part, sink);
            }
        }
        let item = self.message(index);
        item.close(sink);
    }

    fn reasoning_done(&mut self, index: u64, mut item: Value<'_>, sink: &mut dyn Sink) {
        let Kind::Reasoning { section: last, .. } = self.reasoning(index).kind else { return };
        let mut behind = last.is_none();
        for (name, section) in [("summary", Section::Summary), ("content", Section::Full)] {
            let Some(Value::Array(parts)) = take(&mut item, name) else { continue };
            for (at, mut part) in (0..).zip(parts) {
                let is_last = last == Some((section, at));
                if behind || is_last {
                    self.thought_done(index, (section, at), take_str(&mut part, "text"), sink);
                }
                behind |= is_last;
            }
        }
        let payload = take_str(&mut item, "encrypted_content");
        let next = self.blocks;
        let state = State { origin: OURS, account: Some(Cow::Owned(self.account.clone())), payload };
        let item = self.reasoning(index);
        if let Kind::Reasoning { block, .. } = &mut item.kind
            && !state.payload.is_empty()
        {
            let hidden = block.is_none();
            let block = *block.get_or_insert(next);
            if hidden {
                sink.event(Event::BlockStart { choice: 0, block, kind: BlockKind::Reasoning { redacted: true } });
            }
            sink.event(Event::Delta { choice: 0, block, delta: Delta::State(state) });
            item.close(sink);
            self.blocks += u32::from(hidden);
        } else {
            item.close(sink);
        }
    }

    fn call_done(&mut self, index: u64, kind: &str, mut item: Value<'_>, sink: &mut dyn Sink) {
        let arguments = take_str(&mut item, if kind == "custom_tool_call" { "input" } else { "arguments" });
        self.call_added(index, String::new(), kind, item, sink);
        self.arguments_done(index, arguments, sink);
        if let Some(item) = self.items.iter_mut().rfind(|item| item.index == index && item.kind.is(kind)) {
            item.close(sink);
        }
    }

    fn other_done(&mut self, index: u64, kind: String, mut item: Value<'_>, sink: &mut dyn Sink) {
        let action = item.get("action").and_then(|action| action.get("type")?.as_text());
        if kind == "web_search_call" && action.is_none_or(|action| action == "search") {
            self.searches += 1;
        }
        let known = self.item(index, |kind| matches!(kind, Kind::Other), || Kind::Other);
        known.closed = true;
        let image = kind == "image_generation_call" && item.get("result").and_then(Value::as_str).is_some();
        let block = self.blocks;
        self.blocks += 1;
        if image {
            let format = item.get("output_format").and_then(Value::as_text).map(|format| format.to_lowercase());
            let mime = format!("image/{}", format.as_deref().unwrap_or("png")).into();
            sink.event(Event::BlockStart { choice: 0, block, kind: BlockKind::Media { image, mime } });
            let data = Delta::Data(take_str(&mut item, "result"));
            sink.event(Event::Delta { choice: 0, block, delta: data });
        } else {
            let kind = BlockKind::Foreign { protocol: OURS, what: kind.into(), raw: item };
            sink.event(Event::BlockStart { choice: 0, block, kind });
        }
        sink.event(Event::BlockStop { choice: 0, block });
    }

    /// The output as the last event has it. It may be empty, and is whole where nothing else came.
    pub fn complete(&mut self, items: Vec<Value<'_>>, sink: &mut dyn Sink) {
        // The second message there is the second that was seen: neither ids nor places can be relied on.
        let mut seen: Vec<usize> = (0..self.items.len()).collect();
        seen.sort_by_key(|at| self.items[*at].index % PLACES_MAX);
        for item in items {
            let kind = item.get("type").and_then(Value::as_text);
            let kind = kind.as_deref().unwrap_or_default();
            let known = seen.iter().position(|at| self.items[*at].kind.is(kind));
            let index = match known {
                Some(known) => self.items[seen.remove(known)].index,
                None => self.next_index(),
            };
            self.finished(index, item, sink);
            if self.over_limit {
                return;
            }
        }
    }
}
