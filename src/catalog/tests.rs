//! Catalogs in, problems or models out: a test is its files.

use secrecy::{ExposeSecret, SecretString};

use super::*;
use crate::wire::Operation;

mod abilities;
mod paths;
mod problems;
mod shipped;

const HEAD: &str = "schema: 1\nversion: \"1\"\ncurrency: USD\n";
const PROVIDERS: &str = "\
- id: openai
  base_url: https://api.openai.com/v1
  key: env:OPENAI_API_KEY
  output_limit_field: max_completion_tokens
- {id: local, base_url: 'http://127.0.0.1:8000/v1', auth: none}
- {id: house, base_url: 'demo:h1', auth: none}
";
const MODELS: &str = "\
- id: gpt-4o
  vendor: openai
  name: GPT-4o
  aliases: [openai/gpt-4o]
  endpoints: {chat: {input: chat@1}}
  limits: {context: 128000, max_output: 16384}
  lifecycle: {released: \"2024-05-13\"}
  price:
    - {meter: input_tokens, per: 1M, usd: \"2.50\"}
    - {meter: output_tokens, per: 1M, usd: \"10.00\"}
    - {meter: output_tokens, per: 1M, usd: \"17.00\", when: {service_tier: priority}}
  channels:
    - id: openai
      provider: openai
      upstream: gpt-4o-2024
      protocol: openai.chat
      cost:
        - {meter: input_tokens, per: 1M, usd: \"2.00\"}
    - {id: local, provider: local, upstream: g, protocol: openai.chat, priority: 1, weight: 5}
    - {id: msgs, provider: local, upstream: g, protocol: anthropic.messages}
  sources: [{ref: here, seen: \"2026-11-24\"}]
";
const RETIRED: &str =
    "- {id: gpt-3, retired: \"2024-01-01\", replacement: gpt-4o}\n- {id: gpt-2, retired: \"2020-01-01\"}\n";

fn file(path: &str, text: &str) -> SourceFile {
    SourceFile { path: path.into(), text: text.into(), overlay: path.starts_with("conf/") }
}

/// The small catalog above, with one file put in the place of its own or added.
fn with(path: &str, text: &str) -> Vec<SourceFile> {
    let mut files = vec![
        file("catalog/catalog.yaml", HEAD),
        file("catalog/inputs/chat@1.json", "{}"),
        file("catalog/models/openai.yaml", MODELS),
        file("catalog/providers.yaml", PROVIDERS),
        file("catalog/retired.yaml", RETIRED),
    ];
    files.retain(|known| known.path != path);
    files.push(file(path, text));
    files
}

fn small() -> Vec<SourceFile> {
    with("catalog/catalog.yaml", HEAD)
}

fn key_for_all(_: &str) -> Option<SecretString> {
    Some("secret".into())
}

fn no_key(_: &str) -> Option<SecretString> {
    None
}

fn compiled(files: &[SourceFile]) -> Catalog {
    compile(files, &Environment { secret: &key_for_all, demo: None })
        .unwrap_or_else(|problems| panic!("{}", lines(&problems)))
}

fn lines(problems: &[Problem]) -> String {
    problems.iter().map(|problem| format!("{problem}\n")).collect()
}

fn problems(files: &[SourceFile]) -> Vec<String> {
    match compile(files, &Environment { secret: &key_for_all, demo: None }) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.iter().map(ToString::to_string).collect(),
    }
}

fn demo() -> DemoAddresses {
    DemoAddresses { answering: "127.0.0.1:4001".parse().unwrap(), refusing: "127.0.0.1:4002".parse().unwrap() }
}

fn model<'a>(catalog: &'a Catalog, name: &str) -> &'a Arc<Model> {
    match catalog.lookup(name) {
        Lookup::Found(model) => model,
        _ => panic!("{name} is not there"),
    }
}

#[test]
fn a_small_catalog_means_what_it_says() {
    let catalog = compiled(&small());
    let model = model(&catalog, "openai/gpt-4o");
    assert_eq!((&*model.id, &*model.vendor, &*model.name), ("gpt-4o", "openai", "GPT-4o"));
    assert_eq!((model.created, model.context, model.output_max), (1_715_558_400, 128_000, 16_384));
    let states: Vec<_> = model.channels.iter().map(|c| (&*c.id, c.state, c.priority, c.weight)).collect();
    let expected = [
        ("gpt-4o/openai", ChannelState::Ready, 0, 100),
        ("gpt-4o/local", ChannelState::Ready, 1, 5),
        ("gpt-4o/msgs", ChannelState::Ready, 0, 100),
    ];
    assert_eq!(states, expected);
    let openai = &model.channels[0];
    assert_eq!(&*openai.upstream_model, "gpt-4o-2024");
    assert_eq!((&*openai.provider.host, openai.provider.port, openai.provider.tls), ("api.openai.com", 443, true));
    assert_eq!(&*openai.provider.base_path, "/v1");
    assert!(matches!(&openai.provider.auth, Auth::Bearer(key) if key.expose_secret() == "secret"));
    assert_eq!(openai.output_limit_field(), OutputLimitField::MaxCompletionTokens);
    assert_eq!((openai.cost.rows().len(), model.rates.rows().len()), (1, 3));
    assert_eq!(catalog.rev.len(), 12);
    assert_eq!(catalog.price_rows().map(|(_, rows)| rows.len()).sum::<usize>(), 4);
}

#[test]
fn names_are_found_retired_or_near() {
    let catalog = compiled(&small());
    assert!(matches!(catalog.lookup("gpt-3"), Lookup::Retired { replacement: Some(id) } if &*id == "gpt-4o"));
    assert!(matches!(catalog.lookup("gpt-2"), Lookup::Retired { replacement: None }));
    for (name, expected) in
        [("gpt-4p", vec!["gpt-4o"]), ("GPT-4o", vec!["gpt-4o"]), ("gpt", vec!["gpt-4o"]), ("mistral", vec![])]
    {
        let Lookup::Unknown { nearest } = catalog.lookup(name) else { panic!("{name} is known") };
        assert_eq!(nearest.iter().map(|n| &**n).collect::<Vec<_>>(), expected, "{name}");
    }
    let long = "x".repeat(1_000_000);
    assert!(matches!(catalog.lookup(&long), Lookup::Unknown { nearest } if nearest.is_empty()));
}

#[test]
fn a_channel_without_its_key_is_dormant() {
    let catalog = compile(&small(), &Environment { secret: &no_key, demo: None }).unwrap();
    let states: Vec<_> = model(&catalog, "gpt-4o").channels.iter().map(|c| c.state).collect();
    assert_eq!(states, [ChannelState::Dormant, ChannelState::Ready, ChannelState::Ready]);
}

#[test]
fn a_model_without_a_ready_channel_gets_the_built_in_upstream() {
    let overlay = "models: {gpt-4o: {channels: {local: null, msgs: null}}}\n";
    let files = with("conf/catalog.d/a.yaml", overlay);
    let catalog = compile(&files, &Environment { secret: &no_key, demo: Some(demo()) }).unwrap();
    let channel = model(&catalog, "gpt-4o").channels.last().unwrap();
    assert_eq!((&*channel.id, &*channel.provider.id, &*channel.upstream_model), ("gpt-4o/demo", "demo", "ok"));
    assert_eq!((channel.provider.port, channel.state), (4001, ChannelState::Ready));
    let with_key = compile(&files, &Environment { secret: &key_for_all, demo: Some(demo()) }).unwrap();
    assert_eq!(model(&with_key, "gpt-4o").channels.len(), 1, "its own channel is ready");
}

#[test]
fn the_built_in_upstream_has_three_addresses() {
    for (url, port, http) in [
        ("demo:h1", 4001, UpstreamHttp::H1),
        ("demo:h2", 4001, UpstreamHttp::H2),
        ("demo:refused", 4002, UpstreamHttp::H1),
    ] {
        let providers = PROVIDERS.replace("http://127.0.0.1:8000/v1", url);
        let files = with("catalog/providers.yaml", &providers);
        let catalog = compile(&files, &Environment { secret: &no_key, demo: Some(demo()) }).unwrap();
        let local = &model(&catalog, "gpt-4o").channels[1];
        assert_eq!((local.state, local.provider.port, local.provider.http), (ChannelState::Ready, port, http));
        assert_eq!(
            (&*local.provider.host, &*local.provider.base_path, local.provider.tls),
            ("127.0.0.1", "/v1", false)
        );
        let dormant = compile(&files, &Environment { secret: &no_key, demo: None }).unwrap();
        assert_eq!(model(&dormant, "gpt-4o").channels[1].state, ChannelState::Dormant);
    }
}

#[test]
fn what_is_not_parsed_again_means_the_same() {
    let environment = Environment { secret: &key_for_all, demo: None };
    let mut trees = Trees::default();
    let dearer = MODELS.replace("\"2.50\"", "\"3.50\"");
    let broken = MODELS.replace("\"2.50\"", "2.5");
    for text in [MODELS, &dearer, &dearer, &broken, &broken, MODELS] {
        let files = with("catalog/models/openai.yaml", text);
        let again = compile_again(&files, &environment, &mut trees);
        match (again, compile(&files, &environment)) {
            (Ok(again), Ok(fresh)) => {
                assert_eq!((diff(&again, &fresh), &again.rev), (vec![], &fresh.rev));
            }
            (again, fresh) => assert_eq!(again.err().unwrap(), fresh.err().unwrap()),
        }
    }
}

#[test]
fn the_revision_follows_every_byte() {
    let revisions = [small(), with("catalog/retired.yaml", "[]\n"), with("conf/catalog.d/a.yaml", "models: []\n")]
        .map(|files| compiled(&files).rev.to_string());
    assert!(revisions[0] != revisions[1] && revisions[1] != revisions[2] && revisions[0] != revisions[2]);
    assert_eq!(compiled(&small()).rev, compiled(&small()).rev);
}

#[test]
fn an_overlay_lays_itself_over_by_identity() {
    let overlay = "\
models:
  - id: gpt-4o
    price:
      - {meter: input_tokens, per: 1M, usd: \"3\"}
      - {meter: output_tokens, when: {service_tier: priority}, usd: null}
      - {meter: cache_read_tokens, per: 1M, usd: \"1\"}
    channels:
      local: {weight: 7}
      openai: {enabled: false}
      msgs: null
      second: {provider: local, upstream: s, protocol: openai.chat}
    aliases: [four]
    lifecycle: {released: null, deprecated: \"2026-01-01\"}
  - id: own-model
    vendor: me
    limits: {context: 1000, max_output: 100}
    price: [{meter: requests, per: 1, usd: \"0.5\"}]
    channels: {a: {provider: mine, upstream: x, protocol: openai.chat}, b: null}
providers:
  mine: {base_url: 'https://llm.example.com', auth: {header: x-key}, key: 'file:/run/key'}
  openai: {base_url: 'https://eu.api.openai.com/v1'}
retired: [{id: gpt-1, retired: \"2019-01-01\"}]
";
    let catalog = compiled(&with("conf/catalog.d/a.yaml", overlay));
    let gpt = model(&catalog, "four");
    assert!(matches!(catalog.lookup("openai/gpt-4o"), Lookup::Unknown { .. }), "aliases are replaced");
    assert!(matches!(catalog.lookup("gpt-1"), Lookup::Retired { .. }));
    let prices: Vec<String> =
        gpt.rates.rows().iter().map(|row| format!("{} {}", row.meter.as_str(), price::show(row.rate))).collect();
    assert_eq!(prices, ["input_tokens 3 per 1M", "cache_read_tokens 1 per 1M", "output_tokens 10 per 1M"]);
    let channels: Vec<_> = gpt.channels.iter().map(|c| (&*c.id, c.state, c.weight)).collect();
    let expected = [
        ("gpt-4o/openai", ChannelState::Disabled, 100),
        ("gpt-4o/local", ChannelState::Ready, 7),
        ("gpt-4o/second", ChannelState::Ready, 100),
    ];
    assert_eq!(channels, expected);
    assert_eq!((gpt.created, &*gpt.channels[0].provider.host), (0, "eu.api.openai.com"));
    let own = &model(&catalog, "own-model").channels[0];
    assert!(matches!(&own.provider.auth, Auth::Header { name, .. } if &**name == "x-key"));
    assert_eq!(&*own.provider.base_path, "");
}

#[test]
fn a_problem_points_into_the_overlay_that_made_it() {
    let overlay = "models:\n  gpt-4o:\n    price:\n      - {meter: input_tokens, per: 1M, usd: 3}\n";
    let expected = ["conf/catalog.d/a.yaml:4:45: models[gpt-4o].price[0].usd: expected a quoted decimal, got number 3"];
    assert_eq!(problems(&with("conf/catalog.d/a.yaml", overlay)), expected);
}

#[test]
fn a_markup_is_exact_and_a_models_own_wins() {
    use crate::pricing::{Conditions, Meter};
    let charge = |overlay: &str| {
        let catalog = compiled(&with("conf/catalog.d/a.yaml", overlay));
        let meters = [(Meter::InputTokens, 1)].into_iter().collect();
        model(&catalog, "gpt-4o").rates.charge(&meters, &Conditions::default()).amount.nano()
    };
    assert_eq!(charge("models: []\n"), 2500);
    assert_eq!(charge("markup: \"1.2\"\n"), 3000);
    assert_eq!(charge("markup: \"1.000001\"\n"), 2500, "2500.0025 floors");
    assert_eq!(charge("markup: \"1.2\"\nmodels: {gpt-4o: {markup: \"2\"}}\n"), 5000);
}

#[test]
fn a_disabled_model_is_not_there_and_a_removed_one_neither() {
    for overlay in ["models: {gpt-4o: {enabled: false}, other: &O }", "models: {gpt-4o: {enabled: false}}\n"] {
        let files = with("conf/catalog.d/a.yaml", overlay);
        if overlay.contains('&') {
            assert_eq!(problems(&files).len(), 1);
            continue;
        }
        assert!(matches!(compiled(&files).lookup("gpt-4o"), Lookup::Unknown { .. }));
    }
}

#[test]
fn differences_are_told_in_words() {
    let old = compiled(&small());
    let overlay = "\
models:
  gpt-4o:
    price: [{meter: output_tokens, per: 1M, usd: \"12\"}]
    channels: {local: {weight: 9}, openai: {enabled: false}, msgs: null}
    limits: {context: 200000}
  new-model:
    vendor: v
    limits: {context: 10, max_output: 10}
    price: [{meter: requests, per: 1, usd: \"1\"}]
    channels: [{id: a, provider: local, upstream: x, protocol: openai.chat}]
";
    let new = compiled(&with("conf/catalog.d/a.yaml", overlay));
    let expected = [
        "model gpt-4o: output_tokens 10 per 1M → 12 per 1M",
        "model gpt-4o: context 128000 → 200000",
        "channel gpt-4o/openai: state ready → disabled",
        "channel gpt-4o/local: weight 5 → 9",
        "channel gpt-4o/msgs: removed",
        "model new-model: added",
    ];
    assert_eq!(diff(&old, &new), expected);
    assert_eq!(diff(&new, &new), Vec::<String>::new());
    assert_eq!(needs_force(&old, &new), Vec::<String>::new());
}

#[test]
fn leaps_and_losses_need_force() {
    let priced = |usd: &str| {
        let overlay = format!("models: {{gpt-4o: {{price: [{{meter: input_tokens, per: 1M, usd: '{usd}'}}]}}}}\n");
        compiled(&with("conf/catalog.d/a.yaml", &overlay))
    };
    let old = compiled(&small());
    for (usd, forced) in [("25", false), ("25.01", true), ("0.25", false), ("0.249", true), ("0", true)] {
        assert_eq!(!needs_force(&old, &priced(usd)).is_empty(), forced, "{usd}");
    }
    let reason = "model gpt-4o: input_tokens 2.5 per 1M → 0 per 1M, more than 10 times";
    assert_eq!(needs_force(&old, &priced("0")), [reason]);
    let many = |count: usize| {
        let model = |n| MODELS.replace("gpt-4o\n", &format!("m-{n}\n")).replace("openai/gpt-4o", &format!("alias-{n}"));
        let text: String = (0..count).map(model).collect();
        let mut files = with("catalog/retired.yaml", "");
        files.push(file("catalog/models/many.yaml", &text));
        compiled(&files)
    };
    assert_eq!(needs_force(&many(9), &many(7)), Vec::<String>::new(), "2 of 10 are 20 %");
    assert_eq!(needs_force(&many(9), &many(6)), ["3 of 10 models would be lost, more than 20 %"]);
}

#[test]
fn a_large_catalog_compiles_in_linear_steps() {
    // 1,200 models with 3,600 channels: a quadratic step would show here as minutes.
    let model = |n: usize| {
        let text =
            MODELS.replacen("gpt-4o\n", &format!("model-{n}\n"), 1).replace("openai/gpt-4o", &format!("v/m-{n}"));
        text.replace(
            "id: msgs, provider: local, upstream: g, protocol: anthropic.messages",
            "id: c, provider: local, upstream: g, protocol: openai.chat",
        )
    };
    let text: String = (0..1200).map(model).collect();
    let mut files = with("catalog/models/openai.yaml", &text);
    files.retain(|file| !file.path.ends_with("retired.yaml"));
    let catalog = compiled(&files);
    assert_eq!((catalog.models().len(), catalog.channels().count()), (1200, 3600));
}
