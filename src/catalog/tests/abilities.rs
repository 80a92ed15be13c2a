//! Capabilities and quirks as they stand in files, and what comes of them.

use super::*;
use crate::wire::ir::{Effort, Efforts};

/// The small catalog, with lines added to its model and to its first channel.
fn edited(model_lines: &str, channel_lines: &str) -> Vec<SourceFile> {
    let text = MODELS
        .replace("  price:\n", &format!("{model_lines}  price:\n"))
        .replace("      cost:\n", &format!("{channel_lines}      cost:\n"));
    with("catalog/models/openai.yaml", &text)
}

#[test]
fn how_a_model_thinks_is_said_once_and_overridden_per_channel() {
    let effort = |efforts: &[Effort], off| ReasoningStyle::Effort { efforts: Efforts::of(efforts), off };
    for (text, expected) in [
        ("never", ReasoningStyle::Never),
        ("unknown", ReasoningStyle::Unknown),
        ("{effort: [low, max]}", effort(&[Effort::Low, Effort::Max], false)),
        ("{effort: [minimal], off: true}", effort(&[Effort::Minimal], true)),
        ("{budget: {min: 128, max: 32768}}", ReasoningStyle::Budget { min: 128, max: 32_768, off: false }),
        ("{budget: {}, off: true}", ReasoningStyle::Budget { min: 1, max: 16_384, off: true }),
    ] {
        let of_model = compiled(&edited(&format!("  reasoning: {text}\n"), ""));
        assert!(model(&of_model, "gpt-4o").channels.iter().all(|channel| channel.reasoning == expected), "{text}");
        let of_channel = compiled(&edited("  reasoning: {effort: [xhigh]}\n", &format!("      reasoning: {text}\n")));
        let channels = &model(&of_channel, "gpt-4o").channels;
        assert_eq!((channels[0].reasoning, channels[1].reasoning), (expected, effort(&[Effort::Xhigh], false)));
    }
    let unsaid = compiled(&small());
    let channel = &model(&unsaid, "gpt-4o").channels[0];
    assert_eq!((channel.reasoning, channel.sampling, channel.vision), (ReasoningStyle::Unknown, true, true));
}

#[test]
fn sampling_and_images_may_be_refused() {
    let files =
        edited("  sampling: refused\n  modalities: {in: [text]}\n", "      sampling: taken\n      vision: true\n");
    let catalog = compiled(&files);
    let said: Vec<_> = model(&catalog, "gpt-4o").channels.iter().map(|c| (c.sampling, c.vision)).collect();
    assert_eq!(said, [(true, true), (false, false), (false, false)]);
    let catalog = compiled(&edited("  modalities: {in: [text, image]}\n", ""));
    assert!(model(&catalog, "gpt-4o").channels[0].vision);
}

#[test]
fn quirks_of_provider_and_channel_add_up() {
    let mut files = edited("", "      quirks: [cache_breakpoints]\n");
    files.retain(|file| !file.path.ends_with("providers.yaml"));
    let providers = PROVIDERS.replace("  output_limit", "  quirks: [top_k]\n  account: shared\n  output_limit");
    files.push(file("catalog/providers.yaml", &providers));
    let catalog = compiled(&files);
    let channels = &model(&catalog, "gpt-4o").channels;
    assert_eq!(channels[0].quirks, Quirks::of(&[Quirk::TopK, Quirk::CacheBreakpoints]));
    assert_eq!(
        channels[1].quirks,
        Quirks::of(&[Quirk::MaxTokens]),
        "unless max_completion_tokens is known to be taken"
    );
    assert_eq!((&*channels[0].account, &*channels[1].account), ("shared", "local"));
    assert_eq!(&*channels[0].provider.anthropic_version, "2023-06-01");
}

#[test]
fn a_model_can_be_asked_what_its_endpoints_say() {
    let operations = |endpoints: &str| {
        let text = MODELS.replace("  endpoints: {chat: {input: chat@1}}\n", endpoints);
        let text = text.replace("    - {id: msgs, provider: local, upstream: g, protocol: anthropic.messages}\n", "");
        model(&compiled(&with("catalog/models/openai.yaml", &text)), "gpt-4o").operations
    };
    let chat = Operations::of(&[Operation::Chat, Operation::CountTokens]);
    assert_eq!(operations(""), chat);
    assert_eq!(operations("  endpoints: {chat: {input: chat@1}}\n"), chat);
    let embeddings = operations("  endpoints: {embeddings: {input: chat@1}}\n");
    assert!(embeddings.has(Operation::Embeddings) && !embeddings.has(Operation::Chat) && !embeddings.generate());
    let both = operations("  endpoints: {completions: {input: chat@1}, rerank: {input: chat@1}}\n");
    assert_eq!(both.iter().collect::<Vec<_>>(), [Operation::Rerank, Operation::Completions]);
}

#[test]
fn a_model_that_generates_no_text_needs_no_output_limit_and_no_output_price() {
    let text = "\
- id: embed
  vendor: v
  modality: embedding
  endpoints: {embeddings: {input: chat@1}}
  modalities: {in: [text], out: [vector]}
  limits: {context: 8191}
  price: [{meter: input_tokens, per: 1M, usd: \"0.02\"}]
  channels: [{id: a, provider: local, upstream: e, protocol: openai.chat}]
  sources: [{ref: here, seen: \"2026-11-24\"}]
";
    let catalog = compiled(&with("catalog/models/embed.yaml", text));
    assert_eq!((model(&catalog, "embed").context, model(&catalog, "embed").output_max), (8191, 0));
    for (from, to, expected) in [
        ("embeddings: {input", "chat: {input", "6:11: models[embed].limits.max_output: is missing"),
        (
            "input_tokens, per: 1M",
            "pages, per: 1",
            "7:10: models[embed].price: has no price: an enabled model needs a row for input_tokens or requests",
        ),
        (
            "openai.chat",
            "anthropic.messages",
            "8:62: models[embed].channels[a].protocol: anthropic.messages at local cannot be asked for any of the model's operations: embeddings",
        ),
        (
            "{embeddings: {input: chat@1}}",
            "{}",
            "4:14: models[embed].endpoints: names no operation; those known are chat, embeddings, rerank, moderations, completions",
        ),
    ] {
        assert!(text.contains(from));
        let found = problems(&with("catalog/models/embed.yaml", &text.replace(from, to)));
        assert!(found.contains(&format!("catalog/models/embed.yaml:{expected}")), "{found:#?}");
    }
}

#[test]
fn problems_of_abilities_say_what_was_expected() {
    for (lines, expected) in [
        ("quirks: [top-k]", "quirks[0]: \"top-k\" is not a quirk; did you mean \"top_k\"?"),
        ("quirks: top_k", "quirks: expected a list, got text \"top_k\""),
        ("reasoning: sometimes", "reasoning: expected one of never, unknown, got \"sometimes\""),
        ("reasoning: {off: true}", "reasoning: expected either `effort` or `budget`"),
        ("reasoning: {effort: [low], budget: {}}", "reasoning: expected either `effort` or `budget`"),
        ("reasoning: {effort: []}", "reasoning.effort: expected a list of at least one effort"),
        ("reasoning: {effort: [none, low]}", "reasoning.effort[0]: \"none\" is said as `off: true` beside `effort`"),
        (
            "reasoning: {effort: [hihg]}",
            "reasoning.effort[0]: expected one of minimal, low, medium, high, xhigh, max, got \"hihg\"",
        ),
        ("reasoning: {budget: {min: 9, max: 8}}", "reasoning.budget.min: 9 is more than the most, 8"),
        ("sampling: maybe", "sampling: expected one of taken, refused, got \"maybe\""),
        ("vision: yes", "vision: expected true or false, got text \"yes\""),
    ] {
        let found = problems(&edited("", &format!("      {lines}\n")));
        let (_, message) = found[0].split_once(": models[gpt-4o].channels[openai].").unwrap();
        assert_eq!((found.len(), message), (1, expected), "{found:?}");
    }
}

#[test]
fn a_change_of_abilities_is_told() {
    let old = compiled(&edited("  reasoning: {effort: [low], off: true}\n", ""));
    let new = compiled(&edited("  sampling: refused\n", "      quirks: [top_k]\n"));
    let lines = diff(&old, &new);
    for expected in [
        "channel gpt-4o/openai: quirks none → top_k",
        "channel gpt-4o/openai: reasoning effort low or off → unknown",
        "channel gpt-4o/local: sampling true → false",
    ] {
        assert!(lines.iter().any(|line| line == expected), "{lines:#?}");
    }
}
