//! Legacy completions: a prompt in, text out. Must never know sockets or the clock.

use super::super::ask::Ask;
use super::super::errors::{self, Form, Refusal};
use super::super::put::{pieces, put, put_string};
use super::super::reply::{Finish, Identity, Reply, Text};
use super::super::script::Writer;
use super::super::stream::{Building, Events};
use super::super::tree::Node;

pub(in super::super) fn read<'a>(tree: &'a Node<'_>) -> Result<Ask<'a>, Refusal> {
    let missing = |name: &str| Refusal::new(format!("Missing required parameter: '{name}'.")).param(name);
    let mut ask = Ask {
        model: tree.text_of("model").ok_or_else(|| missing("model"))?.into(),
        stream: tree.flag_of("stream").unwrap_or(false),
        choices: u32::try_from(tree.whole_of("n").unwrap_or(1)).unwrap_or(u32::MAX),
        output_tokens_max: tree.whole_of("max_tokens"),
        ..Ask::default()
    };
    ask.include_usage =
        tree.get("stream_options").and_then(|options| options.flag_of("include_usage")).unwrap_or(false);
    let texts = |node: &'a Node<'_>| node.text().into_iter().chain(node.list().iter().filter_map(Node::text));
    ask.stops = tree.get("stop").into_iter().flat_map(texts).map(Into::into).collect();
    for text in texts(tree.get("prompt").ok_or_else(|| missing("prompt"))?) {
        ask.prompt.prefix.add(text);
        ask.prompt.user(Some(text.into()));
    }
    ask.check_limits().map(|()| ask)
}

/// What is written, and for whom.
pub(in super::super) struct Completion<'a> {
    pub identity: &'a Identity,
    pub model: &'a str,
    pub choices: u32,
    pub reply: &'a Reply<'a>,
}

impl Writer for Completion<'_> {
    fn whole(&self, usage: bool) -> Vec<u8> {
        let mut out = Vec::with_capacity(512);
        self.write_opening(&mut out);
        for index in 0..self.choices {
            out.extend_from_slice(if index > 0 { b"," } else { b"" });
            self.write_choice(index, self.text(), Some(self.finish()), &mut out);
        }
        out.push(b']');
        if usage {
            self.write_usage(&mut out);
        }
        out.push(b'}');
        out
    }

    fn events(&self, usage: bool) -> Events {
        let mut building = Building::new(None);
        if let Some(Text { text, cut }) = &self.reply.text {
            for piece in pieces(text, *cut) {
                self.each_choice(&mut building, true, piece, None);
            }
        }
        self.each_choice(&mut building, false, "", Some(self.finish()));
        if usage {
            building.event(false, |out, _| {
                out.extend_from_slice(b"data: ");
                self.write_opening(out);
                out.push(b']');
                self.write_usage(out);
                out.extend_from_slice(b"}\n\n");
            });
        }
        building.event(false, |out, _| out.extend_from_slice(b"data: [DONE]\n\n"));
        building.done()
    }

    fn failure(&self, _place: usize) -> Vec<u8> {
        [b"data: ".as_slice(), &errors::by_status(Form::OpenAi, 500, None, ""), b"\n\n"].concat()
    }
}

impl Completion<'_> {
    fn text(&self) -> &str {
        self.reply.text.as_ref().map_or("", |text| &text.text)
    }

    fn finish(&self) -> &'static str {
        match self.reply.finish {
            Finish::Length => "length",
            Finish::Filtered => "content_filter",
            Finish::Done | Finish::Stop(_) | Finish::Calls | Finish::Refused => "stop",
        }
    }

    fn each_choice(&self, building: &mut Building, is_content: bool, text: &str, finish: Option<&str>) {
        for index in 0..self.choices {
            building.event(is_content, |out, _| {
                out.extend_from_slice(b"data: ");
                self.write_opening(out);
                self.write_choice(index, text, finish, out);
                out.extend_from_slice(b"]}\n\n");
            });
        }
    }

    fn write_opening(&self, out: &mut Vec<u8>) {
        let Identity { id, created, .. } = self.identity;
        put(out, format_args!(r#"{{"id":"cmpl-{id}","object":"text_completion","created":{created},"model":"#));
        put_string(out, self.model);
        out.extend_from_slice(br#","choices":["#);
    }

    fn write_choice(&self, index: u32, text: &str, finish: Option<&str>, out: &mut Vec<u8>) {
        out.extend_from_slice(br#"{"text":"#);
        put_string(out, text);
        put(out, format_args!(r#","index":{index},"logprobs":null,"finish_reason":"#));
        match finish {
            Some(finish) => put(out, format_args!(r#""{finish}"}}"#)),
            None => out.extend_from_slice(b"null}"),
        }
    }

    fn write_usage(&self, out: &mut Vec<u8>) {
        let counts = &self.reply.counts;
        put(
            out,
            format_args!(
                r#","usage":{{"prompt_tokens":{},"completion_tokens":{},"total_tokens":{}}}"#,
                counts.prompt,
                counts.completion,
                counts.total()
            ),
        );
    }
}
