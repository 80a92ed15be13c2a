//! Readers of requests: what one takes is JSON, and every writer makes JSON of it that the reader of its protocol takes too.

use qingwave::wire::Protocol::{self, AnthropicMessages, GeminiGenerate, OpenAiChat, OpenAiResponses};
use qingwave::wire::ir::Quirk::*;
use qingwave::wire::ir::{Effort, Efforts, Losses, Quirk, Quirks, ReasoningStyle, Target};

use super::is_json;

const DEPTH_MAX: usize = 64;
/// Writers wrap what they were given.
const WRITTEN_DEPTH_MAX: usize = 2 * DEPTH_MAX;

pub fn check(protocol: Protocol, input: &[u8]) {
    let Ok(body) = std::str::from_utf8(input) else { return };
    let Ok(request) = (protocol.dialect().read_request)(body, DEPTH_MAX) else { return };
    assert!(is_json(input), "what is no JSON was taken");
    for (upstream, target) in targets(input.len()) {
        let mut losses = Losses::default();
        let written = (upstream.dialect().write_request)(&request, &target, &mut losses);
        let Ok((written, _undo)) = written else { continue };
        let written = String::from_utf8(written).expect("a request is UTF-8");
        assert!(is_json(written.as_bytes()), "{}: no JSON: {written}", upstream.as_str());
        let again = (upstream.dialect().read_request)(&written, WRITTEN_DEPTH_MAX);
        assert!(again.is_ok(), "{}: not taken back: {:?}: {written}", upstream.as_str(), again.err());
    }
}

/// One upstream of each protocol, another kind for each `turn`.
fn targets(turn: usize) -> [(Protocol, Target<'static>); 4] {
    const CHAT: [&[Quirk]; 5] = [
        &[CacheBreakpoints],
        &[MaxTokens, NoDeveloperRole, ShortCallIds, ThinkingParts],
        &[MaxTokens, ReasoningContent, ThinkingSwitch, NoJsonSchema, NoStreamOptions],
        &[ReasoningDetails, ReasoningObject, CacheControlParts, TopK, VideoUrl],
        &[GoogleSignatures, NoParallelCalls, EnableThinking],
    ];
    const RESPONSES: [&[Quirk]; 1] = [&[]];
    const MESSAGES: [&[Quirk]; 3] = [&[SystemTurns], &[], &[NoOutputFormat]];
    const GEMINI: [&[Quirk]; 3] = [&[SignedCalls, HttpsFiles], &[NoSchemaWithTools, NoMediaInResults], &[Vertex]];
    let target = |kinds: &[&[Quirk]]| Target {
        model: "upstream-model",
        stream: turn.is_multiple_of(2),
        output_max: if turn.is_multiple_of(7) { 0 } else { 64_000 },
        output_limit: turn.is_multiple_of(11).then_some(900),
        reasoning: reasoning(turn),
        sampling: !turn.is_multiple_of(5),
        vision: !turn.is_multiple_of(13),
        quirks: Quirks::of(kinds[turn % kinds.len()]),
        account: "acme",
    };
    [
        (OpenAiChat, target(&CHAT)),
        (OpenAiResponses, target(&RESPONSES)),
        (AnthropicMessages, target(&MESSAGES)),
        (GeminiGenerate, target(&GEMINI)),
    ]
}

fn reasoning(turn: usize) -> ReasoningStyle {
    const EFFORTS: Efforts = Efforts::of(&[Effort::Low, Effort::Medium, Effort::High, Effort::Max]);
    match turn / 2 % 4 {
        0 => ReasoningStyle::Effort { efforts: EFFORTS, off: turn.is_multiple_of(3) },
        1 => ReasoningStyle::Budget { min: 1024, max: 32_768, off: turn.is_multiple_of(3) },
        2 => ReasoningStyle::Never,
        _ => ReasoningStyle::Unknown,
    }
}
