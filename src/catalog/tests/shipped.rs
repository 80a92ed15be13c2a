//! The catalog that ships, and the example of the documentation.

use super::*;

/// The files that ship, as the shell would read them.
fn shipped() -> Vec<SourceFile> {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = Vec::new();
    for folder in ["catalog", "catalog/models", "catalog/inputs"] {
        let entries = std::fs::read_dir(root.join(folder)).unwrap().map(|entry| entry.unwrap());
        paths.extend(
            entries
                .filter(|e| e.file_type().unwrap().is_file())
                .map(|e| format!("{folder}/{}", e.file_name().display())),
        );
    }
    paths.sort();
    paths.iter().map(|path| file(path, &std::fs::read_to_string(root.join(path)).unwrap())).collect()
}

#[test]
fn the_shipped_catalog_compiles_with_and_without_keys() {
    let files = shipped();
    for (secret, addresses) in [
        (&key_for_all as &dyn Fn(&str) -> Option<SecretString>, None),
        (&no_key, None),
        (&no_key, Some(demo())),
        (&key_for_all, Some(demo())),
    ] {
        let catalog =
            compile(&files, &Environment { secret, demo: addresses }).unwrap_or_else(|p| panic!("{}", lines(&p)));
        let real = catalog.models().iter().filter(|model| !model.id.starts_with("demo")).count();
        assert!((30..=60).contains(&real), "{real}");
        if addresses.is_some() {
            assert!(catalog.models().iter().all(|model| model.is_available()));
        }
        for name in ["gpt-4o", "gpt-4o-mini", "openai/gpt-4o", "demo", "demo-fixed"] {
            assert!(matches!(catalog.lookup(name), Lookup::Found(_)), "{name}");
        }
        assert!(matches!(catalog.lookup("gpt-4-turbo"), Lookup::Retired { replacement: Some(_) }));
    }
}

#[test]
fn every_shipped_channel_that_is_served_has_a_cost_and_no_price_is_below_it_by_mistake() {
    use crate::pricing::{Conditions, WorstCase};
    let catalog = compile(&shipped(), &Environment { secret: &key_for_all, demo: Some(demo()) }).unwrap();
    let worst = WorstCase { input_tokens: 1_000_000, output_tokens: 1_000_000, requests: 1 };
    for model in catalog.models() {
        let price = model.rates.hold(&worst, &Conditions::default()).nano();
        if model.operations.has(Operation::Moderations) {
            assert_eq!(price, 0, "{}: those that ship are free", model.id);
            continue;
        }
        assert!((1..=500_000_000_000).contains(&price), "{}: {price}", model.id);
        for channel in model.channels.iter().filter(|c| !c.id.ends_with("/demo")) {
            let cost = channel.cost.hold(&worst, &Conditions::default()).nano();
            // A wrong unit is off by a hundred or more.
            assert!(cost > 0 && cost < price * 10, "{}: cost {cost}, price {price}", channel.id);
        }
    }
}

#[test]
fn the_demo_models_are_those_of_the_contract() {
    let catalog = compile(&shipped(), &Environment { secret: &no_key, demo: Some(demo()) }).unwrap();
    let faults = "refuse reset-before reset-after hang 400 401 429 500 503 529 error-in-200 cut slow-first slow-events giant \
                  one-byte no-usage";
    for fault in faults.split_whitespace() {
        let model = model(&catalog, &format!("demo-fault-{fault}"));
        assert_eq!(model.channels.len(), 1, "{fault}: no other channel may save it");
    }
    for name in ["demo-failover", "demo-failover-h2"] {
        let model = model(&catalog, name);
        let order: Vec<_> = model.channels.iter().map(|c| (c.priority, &*c.upstream_model, c.state)).collect();
        let ready = ChannelState::Ready;
        assert_eq!(order, [(0, "ok", ready), (1, "ok--e503", ready), (2, "ok--h1", ready), (3, "ok", ready)]);
        assert_eq!(model.channels[0].provider.port, demo().refusing.port());
        assert_eq!(model.channels[2].timeouts.first_content_ms, Some(800));
    }
    assert_eq!(model(&catalog, "demo-failover-h2").channels[3].provider.http, UpstreamHttp::H2);
    let fixed = &model(&catalog, "demo-fixed").rates;
    assert!(!fixed.needs_tokens() && fixed.rows().len() == 1);
}

#[test]
fn the_built_in_upstream_is_asked_in_every_protocol() {
    let catalog = compile(&shipped(), &Environment { secret: &no_key, demo: Some(demo()) }).unwrap();
    let path = |model: &Model, operation| {
        let channel = &model.channels[0];
        assert_eq!((model.channels.len(), channel.state), (1, ChannelState::Ready), "{}", channel.id);
        channel.provider.path(channel.protocol, operation, &channel.upstream_model, false).unwrap()
    };
    for (name, chat) in [
        ("demo", "/v1/chat/completions"),
        ("demo-responses", "/v1/responses"),
        ("demo-messages", "/v1/messages"),
        ("demo-gemini", "/v1beta/models/ok:generateContent"),
    ] {
        let able = model(&catalog, name);
        assert_eq!(path(able, Operation::Chat), chat, "{name}");
        let channel = &able.channels[0];
        assert!(channel.sampling && channel.vision && matches!(channel.reasoning, ReasoningStyle::Effort { .. }));
        if name != "demo" {
            for fault in ["cut", "error-in-stream", "429", "503"] {
                let faulty = model(&catalog, &format!("{name}-fault-{fault}"));
                assert_eq!(faulty.channels[0].protocol, channel.protocol);
                path(faulty, Operation::Chat);
            }
        }
    }
    for (name, operation, expected) in [
        ("demo-embed", Operation::Embeddings, "/v1/embeddings"),
        ("demo-rerank", Operation::Rerank, "/v1/rerank"),
        ("demo-moderation", Operation::Moderations, "/v1/moderations"),
    ] {
        let model = model(&catalog, name);
        assert_eq!(path(model, operation), expected);
        assert_eq!((model.operations, model.output_max), (Operations::of(&[operation]), 0));
    }
}

/// A model without a key of its own is served by the built-in upstream, in the protocol that its vendor speaks.
#[test]
fn the_demo_shows_each_vendors_own_protocol() {
    let catalog = compile(&shipped(), &Environment { secret: &no_key, demo: Some(demo()) }).unwrap();
    for (name, protocol, base_path) in [
        ("gpt-4o", Protocol::OpenAiChat, "/v1"),
        ("claude-haiku-4-5", Protocol::AnthropicMessages, "/v1"),
        ("gemini-4-argon", Protocol::GeminiGenerate, "/v1beta"),
        ("mistral-large-4", Protocol::OpenAiChat, "/v1"),
    ] {
        let model = model(&catalog, name);
        let (first, built_in) = (&model.channels[0], model.channels.last().unwrap());
        assert_eq!((built_in.protocol, &*built_in.provider.base_path), (protocol, base_path), "{name}");
        assert_eq!((built_in.quirks, built_in.reasoning), (first.quirks, first.reasoning), "{name}");
        assert_eq!((&*built_in.account, &*built_in.provider.id), ("demo", "demo"));
    }
}

#[test]
fn what_the_shipped_models_can_be_told() {
    use crate::wire::ir::Effort::{High, Low, Max, Medium, Xhigh};
    use crate::wire::ir::Efforts;
    let catalog = compiled(&shipped());
    let channel = |name: &str| {
        let (id, _) = name.split_once('/').unwrap();
        model(&catalog, id).channels.iter().find(|channel| &*channel.id == name).unwrap_or_else(|| panic!("{name}"))
    };
    let effort = |efforts: &[_], off| ReasoningStyle::Effort { efforts: Efforts::of(efforts), off };
    for (name, reasoning, sampling) in [
        ("claude-opus-5-5/anthropic", effort(&[Low, Medium, High, Xhigh, Max], false), false),
        ("claude-haiku-4-5/anthropic", ReasoningStyle::Budget { min: 1024, max: 63_999, off: true }, true),
        ("gpt-4o/openai", ReasoningStyle::Never, true),
        ("gpt-5.4/openai-responses", effort(&[Low, Medium, High, Xhigh], true), false),
        ("gemini-4-argon/google", effort(&[Low, Medium, High], false), true),
        ("deepseek-v4-pro/deepseek", effort(&[High, Max], true), true),
        ("deepseek-v4-pro/baseten", effort(&[Low, Medium, High, Xhigh], false), true),
        ("qwen3.8-max/dashscope", ReasoningStyle::Budget { min: 1, max: 131_072, off: true }, true),
        ("grok-4.7/xai", ReasoningStyle::Unknown, true),
    ] {
        assert_eq!((channel(name).reasoning, channel(name).sampling), (reasoning, sampling), "{name}");
    }
    for (name, quirk, expected) in [
        ("gpt-4o/openai", Quirk::MaxTokens, false),
        ("gpt-4o/openrouter", Quirk::MaxTokens, true),
        ("gpt-6.1-sol/openai", Quirk::CacheBreakpoints, true),
        ("gpt-5.4/openai", Quirk::CacheBreakpoints, false),
        ("gemini-3.8-flash/google", Quirk::SignedCalls, true),
        ("gemini-3.8-flash/google-openai", Quirk::GoogleSignatures, true),
        ("mistral-large-4/mistral", Quirk::ShortCallIds, true),
        ("kimi-k3/moonshot", Quirk::ReasoningContent, true),
    ] {
        assert_eq!(channel(name).quirks.has(quirk), expected, "{name}");
    }
    assert!(channel("deepseek-v4-flash/deepseek").vision && !channel("deepseek-v4-flash/novita").vision);
    assert_eq!(&*channel("gemini-3.8-flash/google-openai").account, "google");
}

#[test]
fn the_examples_of_the_documentation_compile() {
    let text = documentation();
    let mut examples = text.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let example = examples.next().expect("an example");
    let mut files = shipped();
    let before = compiled(&files);
    files.push(file("conf/catalog.d/10-house.yaml", example));
    let after = compiled(&files);
    let expected = [
        "model gpt-4o: output_tokens 10 per 1M → 11 per 1M",
        "model gpt-4o: output_tokens (service_tier=priority) removed",
        "channel gpt-4o/openrouter: removed",
        "channel gpt-4o/house: added, ready",
        "model house-large: added",
    ];
    assert_eq!(diff(&before, &after), expected);
    let mut files = shipped();
    files.push(file("conf/catalog.d/20-azure.yaml", examples.next().expect("a second example")));
    let paths: Vec<_> = model(&compiled(&files), "gpt-4o")
        .channels
        .iter()
        .filter(|channel| channel.provider.id.starts_with("azure"))
        .map(|c| c.provider.path(c.protocol, Operation::Chat, &c.upstream_model, true).unwrap())
        .collect();
    let expected =
        ["/openai/v1/chat/completions", "/openai/deployments/my-gpt/chat/completions?api-version=2024-10-21"];
    assert_eq!(paths, expected);
}

fn documentation() -> String {
    std::fs::read_to_string(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/catalog.md")).unwrap()
}

#[test]
fn the_documentation_names_every_quirk() {
    let text = documentation();
    for (_, name) in Quirk::ALL {
        assert!(text.contains(&format!("\n| `{name}` |")), "{name}");
    }
}
