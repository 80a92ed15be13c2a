//! A request that had to be changed and its answer, end to end: the client sees what it asked for.

use super::super::*;
use super::pairs::{read, translator};
use crate::wire::ir::{AnswerBlock, BlockKind, Efforts, Framing, PartKind, Quirk, Quirks, ReasoningStyle, StopReason};

fn target(quirks: Quirks) -> Target<'static> {
    Target {
        model: "m",
        stream: true,
        output_max: 8192,
        output_limit: None,
        reasoning: ReasoningStyle::Effort { efforts: Efforts::default(), off: true },
        sampling: true,
        vision: true,
        quirks,
        account: "acme",
    }
}

/// Sends a request, answers it with the stream that `answer` makes of what was sent, and gives the client's stream.
fn asked(
    (client, upstream): (Protocol, Protocol),
    quirks: Quirks,
    body: &str,
    answer: impl Fn(&serde_json::Value) -> String,
) -> (Fold, String) {
    let mut losses = Losses::default();
    let (sent, undo) = translate_request((client, upstream), body, 64, &target(quirks), &mut losses, |_| {}).unwrap();
    let stream = answer(&serde_json::from_slice(&sent).unwrap());
    let run = |pieces: &[&[u8]]| {
        let writer = WriterSetup { call_id: "c1".to_owned(), model: "m".to_owned(), ..WriterSetup::default() };
        let account = "acme".to_owned();
        let mut translator =
            Translator::new(Setup { upstream, client, stream: true, account, undo: undo.clone(), writer });
        let mut out = Vec::new();
        pieces.iter().for_each(|piece| translator.push(piece, &mut out));
        assert_eq!(translator.finish(&mut out), Outcome::Complete);
        out
    };
    let out = run(&[stream.as_bytes()]);
    assert_eq!(run(&stream.as_bytes().chunks(1).collect::<Vec<_>>()), out, "byte by byte");
    let (fold, outcome) = read(client, Form::Sse, &out);
    let text = String::from_utf8(out).unwrap();
    assert_eq!(outcome, Outcome::Complete, "{text}");
    (fold, text)
}

fn blocks(fold: &Fold) -> &[AnswerBlock] {
    &fold.answer.choices[0].blocks
}

fn responses_text(pieces: &[&str]) -> String {
    let mut stream = "data: {\"type\":\"response.created\",\"response\":{\"id\":\"resp_1\",\"status\":\"in_progress\",\"output\":[]}}\n\n\
        data: {\"type\":\"response.output_item.added\",\"output_index\":0,\"item\":{\"type\":\"message\",\"id\":\"msg_1\",\"role\":\"assistant\",\"content\":[]}}\n\n\
        data: {\"type\":\"response.content_part.added\",\"item_id\":\"msg_1\",\"output_index\":0,\"content_index\":0,\"part\":{\"type\":\"output_text\",\"text\":\"\"}}\n\n".to_owned();
    for piece in pieces {
        let delta = serde_json::json!(piece);
        stream += &format!(
            "data: {{\"type\":\"response.output_text.delta\",\"item_id\":\"msg_1\",\"output_index\":0,\"content_index\":0,\"delta\":{delta}}}\n\n"
        );
    }
    stream
        + "data: {\"type\":\"response.completed\",\"response\":{\"id\":\"resp_1\",\"status\":\"completed\",\"output\":[],\"usage\":{\"input_tokens\":3,\"output_tokens\":9,\"total_tokens\":12}}}\n\n"
}

#[test]
fn stop_texts_of_a_protocol_without_them_are_cut_here() {
    let body = r#"{"model":"m","max_tokens":99,"stop_sequences":["END","é!"],"stream":true,"messages":[{"role":"user","content":"x"}]}"#;
    let pair = (Protocol::AnthropicMessages, Protocol::OpenAiResponses);
    let (fold, text) = asked(pair, Quirks::NONE, body, |sent| {
        assert!(sent.get("stop").is_none());
        responses_text(&["one E", "N", "é", "! two"])
    });
    assert_eq!(blocks(&fold)[0].text(), "one EN");
    let finish = fold.answer.choices[0].finish.clone().unwrap();
    assert_eq!((finish.reason, finish.stop_sequence), (StopReason::StopSequence, Some("é!".into())), "{text}");
    assert_eq!(fold.answer.usage.map(|usage| usage.output_total), Some(9));
}

fn messages_call(name: &str, pieces: &[&str]) -> String {
    let mut stream = "data: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"model\":\"m\",\"content\":[],\"usage\":{\"input_tokens\":3,\"output_tokens\":1}}}\n\n".to_owned();
    stream += &format!(
        "data: {{\"type\":\"content_block_start\",\"index\":0,\"content_block\":{{\"type\":\"tool_use\",\"id\":\"toolu_1\",\"name\":{},\"input\":{{}}}}}}\n\n",
        serde_json::json!(name)
    );
    for piece in pieces {
        let json = serde_json::json!(piece);
        stream += &format!(
            "data: {{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{{\"type\":\"input_json_delta\",\"partial_json\":{json}}}}}\n\n"
        );
    }
    stream
        + "data: {\"type\":\"content_block_stop\",\"index\":0}\n\n\
        data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"tool_use\"},\"usage\":{\"output_tokens\":9}}\n\n\
        data: {\"type\":\"message_stop\"}\n\n"
}

#[test]
fn a_free_form_tool_is_one_again() {
    let body = r#"{"model":"m","stream":true,"input":"x","store":false,"tools":[{"type":"custom","name":"patch"}]}"#;
    let pair = (Protocol::OpenAiResponses, Protocol::AnthropicMessages);
    let (fold, text) = asked(pair, Quirks::NONE, body, |sent| {
        let name = sent["tools"][0]["name"].as_str().unwrap();
        messages_call(name, &["{\"inp", "ut\":\"*** a\\n", "é\\\"\"}"])
    });
    let block = &blocks(&fold)[0];
    assert!(matches!(&block.kind, BlockKind::Call { custom: true, name, .. } if *name == "patch"), "{text}");
    assert_eq!(block.text(), "*** a\né\"");
}

#[test]
fn an_answer_that_had_to_be_a_forced_call_is_a_text_again() {
    let body = r#"{"model":"m","stream":true,"messages":[{"role":"user","content":"x"}],"response_format":{"type":"json_schema",
        "json_schema":{"name":"out","schema":{"type":"object","properties":{"a":{"type":"integer"}}}}}}"#;
    let pair = (Protocol::OpenAiChat, Protocol::AnthropicMessages);
    let (fold, text) = asked(pair, Quirks::of(&[Quirk::NoOutputFormat]), body, |sent| {
        messages_call(sent["tool_choice"]["name"].as_str().unwrap(), &["{\"a\":", "1}"])
    });
    assert_eq!(blocks(&fold)[0].kind, BlockKind::Text, "{text}");
    assert_eq!(blocks(&fold)[0].text(), r#"{"a":1}"#);
    assert_eq!(fold.answer.choices[0].finish.as_ref().map(|finish| finish.reason), Some(StopReason::Done));
}

#[test]
fn a_tool_whose_name_was_refused_has_it_again() {
    let body = r#"{"model":"m","stream":true,"max_tokens":99,"messages":[{"role":"user","content":"x"}],
        "tools":[{"name":"a-name-that-is-much-longer-than-the-sixty-four-characters-which-chat-takes","input_schema":{"type":"object"}}]}"#;
    let pair = (Protocol::AnthropicMessages, Protocol::OpenAiChat);
    let (fold, text) = asked(pair, Quirks::NONE, body, |sent| {
        let name = sent["tools"][0]["function"]["name"].as_str().unwrap();
        assert!(name.len() <= 64);
        format!(
            "data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"tool_calls\":[{{\"index\":0,\"id\":\"c\",\"function\":{{\"name\":\"{name}\",\"arguments\":\"{{}}\"}}}}]}}}}]}}\n\n\
             data: {{\"choices\":[{{\"index\":0,\"delta\":{{}},\"finish_reason\":\"stop\"}}]}}\n\ndata: [DONE]\n\n"
        )
    });
    let named = matches!(&blocks(&fold)[0].kind, BlockKind::Call { name, .. } if name.decode().starts_with("a-name-that-is-much-longer"));
    assert!(named, "{text}");
    assert_eq!(fold.answer.choices[0].finish.as_ref().map(|finish| finish.reason), Some(StopReason::ToolCalls));
}

#[test]
fn signed_thinking_is_kept_for_a_chat_client() {
    let sample = super::samples::all()
        .into_iter()
        .find(|sample| sample.protocol == Protocol::AnthropicMessages && sample.name == "calls");
    let stream = sample.unwrap().stream;
    for (client, kept) in [(Protocol::OpenAiChat, true), (Protocol::OpenAiResponses, false)] {
        let mut translator = translator(Protocol::AnthropicMessages, client, true, Framing::Sse);
        let mut out = Vec::new();
        translator.push(stream.as_bytes(), &mut out);
        translator.finish(&mut out);
        let keepsake = translator.facts().keepsake();
        assert_eq!(keepsake.is_some(), kept);
        let Some(keepsake) = keepsake else { continue };
        assert_eq!(keepsake.calls, ["toolu_a", "toolu_b"]);
        let part = &keepsake.parts[0];
        assert!(matches!(&part.kind, PartKind::Reasoning(thinking) if thinking.text == ["Let me see."]));
        assert_eq!(part.state.as_ref().map(|state| state.payload.clone()), Some("c2ln".into()));
    }
}
