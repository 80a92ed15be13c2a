//! Plans over small models: what is in them, in which order, and how often who comes first.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::catalog::{Auth, Operations, Paths, Provider, Timeouts, UpstreamHttp};
use crate::pricing::RateCard;
use crate::wire::ir::{Quirks, ReasoningStyle};

fn channel(id: usize, priority: u32, weight: u32, state: ChannelState, protocol: Protocol) -> Arc<Channel> {
    let provider = Provider {
        id: "p".into(),
        host: "127.0.0.1".into(),
        port: 1,
        tls: false,
        base_path: "/v1".into(),
        http: UpstreamHttp::H1,
        auth: Auth::None,
        paths: Paths::Plain,
        quirks: Quirks::NONE,
        account: "p".into(),
        anthropic_version: "2023-06-01".into(),
        ca_pem: None,
    };
    Arc::new(Channel {
        id: format!("m/{id}").into(),
        provider: Arc::new(provider),
        upstream_model: "u".into(),
        protocol,
        priority,
        weight,
        state,
        timeouts: Timeouts::default(),
        cost: RateCard::default(),
        quirks: Quirks::NONE,
        account: "p".into(),
        reasoning: ReasoningStyle::Unknown,
        sampling: true,
        vision: true,
    })
}

fn model(channels: Vec<Arc<Channel>>) -> Model {
    Model {
        id: "m".into(),
        vendor: "v".into(),
        name: "M".into(),
        aliases: Vec::new(),
        created: 0,
        context: 1000,
        output_max: 100,
        operations: Operations::of(&[Operation::Chat]),
        features: Vec::new(),
        replacement: None,
        rates: RateCard::default(),
        channels,
    }
}

const CHAT: Protocol = Protocol::OpenAiChat;

fn ready(weights: &[(u32, u32)]) -> Model {
    let channels = weights.iter().enumerate();
    model(channels.map(|(id, (priority, weight))| channel(id, *priority, *weight, ChannelState::Ready, CHAT)).collect())
}

fn ids(model: &Model, attempts_max: usize, draw: u64) -> Vec<String> {
    let plan = plan(model, CHAT, Operation::Chat, attempts_max, draw).unwrap();
    plan.iter().map(|channel| channel.id.to_string()).collect()
}

#[test]
fn tiers_come_in_order_and_the_plan_is_cut_off() {
    let model = ready(&[(2, 1), (0, 1), (1, 1), (0, 1)]);
    let whole = ids(&model, 16, 7);
    assert_eq!(whole[2..], ["m/2", "m/0"]);
    assert_eq!(ids(&model, 2, 7), whole[..2]);
    assert_eq!(ids(&model, 0, 7), whole[..1]);
    let many = ready(&[(0, 1); 40]);
    assert_eq!(ids(&many, 1000, 7).len(), ATTEMPTS_MAX);
}

#[test]
fn the_same_draw_gives_the_same_plan() {
    let model = ready(&[(0, 3), (0, 5), (0, 7)]);
    assert_eq!(ids(&model, 16, 42), ids(&model, 16, 42));
}

#[test]
fn only_ready_channels_are_planned() {
    use ChannelState::*;
    let all = [Ready, Dormant, Unsupported, Disabled];
    let mixed = model(all.into_iter().enumerate().map(|(id, state)| channel(id, 0, 1, state, CHAT)).collect());
    assert_eq!(ids(&mixed, 16, 1), ["m/0"]);
    for (states, refusal) in [
        (vec![], NoPlan::NotSupported),
        (vec![Dormant], NoPlan::NotConfigured),
        (vec![Disabled], NoPlan::NotConfigured),
        (vec![Unsupported], NoPlan::NotSupported),
        (vec![Unsupported, Dormant], NoPlan::NotConfigured),
    ] {
        let model = model(states.iter().map(|state| channel(0, 0, 1, *state, CHAT)).collect());
        assert_eq!(plan(&model, CHAT, Operation::Chat, 4, 1).unwrap_err(), refusal, "{states:?}");
    }
}

#[test]
fn a_chat_goes_to_every_protocol_its_own_first() {
    use ChannelState::Ready;
    let of = |id, priority, protocol| channel(id, priority, 100, Ready, protocol);
    let mixed = model(vec![
        of(0, 0, Protocol::GeminiGenerate),
        of(1, 0, Protocol::AnthropicMessages),
        of(2, 0, CHAT),
        of(3, 1, CHAT),
    ]);
    for draw in 0..50 {
        let order = ids(&mixed, 16, draw);
        assert_eq!((order[0].as_str(), order[3].as_str()), ("m/2", "m/3"), "{order:?}");
    }
    let counts = plan(&mixed, Protocol::GeminiGenerate, Operation::CountTokens, 16, 1).unwrap();
    assert_eq!(counts.len(), 1);
    assert_eq!(plan(&mixed, CHAT, Operation::CountTokens, 16, 1).unwrap_err(), NoPlan::NotSupported);
}

#[test]
fn a_model_offers_what_it_does_and_every_chat_model_counts() {
    let chat = model(vec![]);
    let offered = Operation::ALL.into_iter().filter(|operation| offers(&chat, *operation));
    let wanted = [Operation::Chat, Operation::CountTokens, Operation::Completions];
    assert!(offered.eq(Operation::ALL.into_iter().filter(|operation| wanted.contains(operation))));
}

#[test]
fn who_comes_first_follows_the_weights() {
    let model = ready(&[(0, 60), (0, 30), (0, 10)]);
    let mut first = BTreeMap::new();
    let mut second_after_0 = BTreeMap::new();
    for draw in 0..60_000 {
        let order = ids(&model, 16, draw);
        *first.entry(order[0].clone()).or_insert(0u32) += 1;
        if order[0] == "m/0" {
            *second_after_0.entry(order[1].clone()).or_insert(0u32) += 1;
        }
    }
    // The draws are fixed, so the counts are too; within 2 % of the weights' shares.
    for (id, expected) in [("m/0", 36_000), ("m/1", 18_000), ("m/2", 6_000)] {
        assert!(first[id].abs_diff(expected) * 50 < expected, "{first:?}");
    }
    for (id, expected) in [("m/1", 27_000), ("m/2", 9_000)] {
        assert!(second_after_0[id].abs_diff(expected) * 50 < expected, "{second_after_0:?}");
    }
}

proptest! {
    #[test]
    fn every_ready_channel_stands_once(channels in vec((0u32..3, 0u32..4), 1..16), draw: u64) {
        let model = ready(&channels);
        let order = plan(&model, CHAT, Operation::Chat, 16, draw).unwrap();
        prop_assert!(order.is_sorted_by_key(|channel| channel.priority));
        let mut ids: Vec<&str> = order.iter().map(|channel| &*channel.id).collect();
        ids.sort_unstable();
        ids.dedup();
        prop_assert_eq!(ids.len(), channels.len());
    }
}
