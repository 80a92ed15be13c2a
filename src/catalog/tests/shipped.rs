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
        assert!((20..=40).contains(&real), "{real}");
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
    for name in ["demo-responses", "demo-messages", "demo-gemini"] {
        let states: Vec<_> = model(&catalog, name).channels.iter().map(|c| c.state).collect();
        assert_eq!(states, [ChannelState::Unsupported, ChannelState::Ready], "{name}");
    }
}

#[test]
fn the_example_of_the_documentation_compiles() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/catalog.md");
    let text = std::fs::read_to_string(path).unwrap();
    let example = text.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("an example");
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
}
