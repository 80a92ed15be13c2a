//! A model's channels: which provider, by which name, in which order. Must never know what is asked of them.

use std::sync::Arc;

use super::abilities::{self, Abilities};
use super::build::Context;
use super::fields::Fields;
use super::node::{Node, Value};
use super::operations::Operations;
use super::price::{self, Markup};
use super::problem::{Problems, Way, suggestion};
use super::provider::{self, ReadProvider};
use super::{Channel, ChannelState, Timeouts, is_short_id};
use crate::pricing::RateCard;
use crate::wire::{Operation, Protocol};

const PRIORITY_MAX: u64 = 1000;
const WEIGHT_MAX: u64 = 1_000_000;
const TIMEOUT_MS_MAX: u64 = 3_600_000;
const UPSTREAM_BYTES_MAX: usize = 256;
/// The id of the channel to the built-in upstream that a model gets where it has none that is ready.
const BUILT_IN: &str = "demo";
const CHANNEL_FIELDS: &[&str] = &[
    "id",
    "provider",
    "upstream",
    "protocol",
    "priority",
    "weight",
    "enabled",
    "timeouts",
    "cost",
    "quirks",
    "reasoning",
    "sampling",
    "vision",
];

/// The model that channels belong to.
pub struct Owner<'a> {
    pub id: &'a str,
    pub operations: Operations,
    pub output_max: u64,
    pub abilities: Abilities,
}

/// The channels of a model, with one to the built-in upstream where the environment has it and none is ready.
pub fn read_all(
    fields: &Fields<'_>,
    model: &Owner<'_>,
    context: &Context<'_>,
    problems: &mut Problems,
) -> Vec<Arc<Channel>> {
    let nodes = fields.list("channels", problems);
    if nodes.is_empty() {
        fields.problem("channels", problems, "a model needs at least one channel");
    }
    let root = Way::Field(fields.way, "channels");
    let mut channels: Vec<Arc<Channel>> = Vec::with_capacity(nodes.len() + 1);
    let mut ids: Vec<&str> = Vec::with_capacity(nodes.len());
    for (at, node) in nodes.iter().enumerate() {
        let by_place = Way::Item(&root, at);
        let Some(id) = read_id(node, &by_place, problems) else { continue };
        let way = Way::Id(&root, id);
        if ids.contains(&id) {
            problems.add(node.place, &way, "is defined twice");
        }
        ids.push(id);
        channels.extend(read_channel(node, id, model, &way, context, problems).map(Arc::new));
    }
    if let Some(demo) = context.environment.demo
        && !channels.iter().any(|channel| channel.state == ChannelState::Ready)
    {
        channels.push(Arc::new(built_in(model, channels.first().map(|first| &**first), demo)));
    }
    channels
}

/// The id of a channel, if it has a sound one.
fn read_id<'n>(node: &'n Node, way: &Way<'_>, problems: &mut Problems) -> Option<&'n str> {
    let Some(id) = node.field("id") else {
        problems.add(node.place, way, "expected a map with an id");
        return None;
    };
    let way = Way::Field(way, "id");
    match &id.value {
        Value::Text(text) if text == BUILT_IN => {
            problems.add(id.place, &way, format_args!("{BUILT_IN:?} is reserved for the built-in upstream"));
        }
        Value::Text(text) if is_short_id(text) => return Some(text),
        other => {
            let rule = "expected lower-case letters, digits, `.` and `-`, at most 63";
            problems.add(id.place, &way, format_args!("{rule}, got {}", other.describe()));
        }
    }
    None
}

fn read_channel(
    node: &Node,
    id: &str,
    model: &Owner<'_>,
    way: &Way<'_>,
    context: &Context<'_>,
    problems: &mut Problems,
) -> Option<Channel> {
    let fields = Fields::open(node, way, CHANNEL_FIELDS, problems)?;
    let id = format!("{}/{id}", model.id);
    let provider = read_provider(&fields, context, problems);
    let upstream = fields.text_needed("upstream", problems);
    if let Some(upstream) = upstream
        && (upstream.len() > UPSTREAM_BYTES_MAX || upstream.chars().any(char::is_control))
    {
        fields.problem("upstream", problems, format_args!("expected at most {UPSTREAM_BYTES_MAX} visible characters"));
    }
    let protocol = read_protocol(&fields, problems);
    let priority = fields.integer("priority", 0..=PRIORITY_MAX, problems).unwrap_or(0);
    let weight = fields.integer("weight", 1..=WEIGHT_MAX, problems).unwrap_or(100);
    let enabled = fields.boolean("enabled", true, problems);
    let timeouts = read_timeouts(&fields, problems);
    let rows = fields.list("cost", problems);
    let cost = price::read_card(rows, &id, Markup::NONE, &Way::Field(way, "cost"), problems);
    let quirks = abilities::read_quirks(&fields, problems);
    let abilities = model.abilities.of_channel(&fields, model.output_max, problems);
    let (provider, protocol) = (provider?, protocol?);
    let asked = |operation| provider.provider.path(protocol, operation, upstream.unwrap_or_default(), false);
    if model.operations != Operations::default() && model.operations.iter().all(|operation| asked(operation).is_none())
    {
        let names: Vec<&str> = model.operations.iter().map(Operation::as_str).collect();
        let (protocol, provider, names) = (protocol.as_str(), &provider.provider.id, names.join(", "));
        fields.problem(
            "protocol",
            problems,
            format_args!("{protocol} at {provider} cannot be asked for any of the model's operations: {names}"),
        );
    }
    let state = match (enabled, provider.ready) {
        (false, _) => ChannelState::Disabled,
        (true, false) => ChannelState::Dormant,
        (true, true) => ChannelState::Ready,
    };
    Some(Channel {
        id: id.into(),
        provider: provider.provider.clone(),
        upstream_model: upstream?.into(),
        protocol,
        priority: u32::try_from(priority).expect("checked against PRIORITY_MAX"),
        weight: u32::try_from(weight).expect("checked against WEIGHT_MAX"),
        state,
        timeouts,
        cost: cost?,
        quirks: provider.provider.quirks.union(quirks),
        account: provider.provider.account.clone(),
        reasoning: abilities.reasoning,
        sampling: abilities.sampling,
        vision: abilities.vision,
    })
}

/// `None` when it does not exist, or exists and is wrong itself.
fn read_provider<'a>(
    fields: &Fields<'_>,
    context: &'a Context<'_>,
    problems: &mut Problems,
) -> Option<&'a ReadProvider> {
    let name = fields.text_needed("provider", problems)?;
    match context.providers.get(name) {
        Some(provider) => provider.as_ref(),
        None => {
            let hint = suggestion(name, context.providers.keys().copied());
            fields.problem("provider", problems, format_args!("{name:?} is not a provider{hint}"));
            None
        }
    }
}

fn read_protocol(fields: &Fields<'_>, problems: &mut Problems) -> Option<Protocol> {
    let name = fields.text_needed("protocol", problems)?;
    let protocol = Protocol::parse(name);
    if protocol.is_none() {
        let hint = suggestion(name, Protocol::ALL.into_iter().map(Protocol::as_str));
        fields.problem("protocol", problems, format_args!("{name:?} is not a protocol{hint}"));
    }
    protocol
}

fn read_timeouts(fields: &Fields<'_>, problems: &mut Problems) -> Timeouts {
    let Some(node) = fields.get("timeouts") else { return Timeouts::default() };
    let way = Way::Field(fields.way, "timeouts");
    let known = ["connect_ms", "first_content_ms", "idle_ms"];
    let Some(timeouts) = Fields::open(node, &way, &known, problems) else { return Timeouts::default() };
    let mut timeout = |name| timeouts.integer(name, 1..=TIMEOUT_MS_MAX, problems);
    Timeouts {
        connect_ms: timeout("connect_ms"),
        first_content_ms: timeout("first_content_ms"),
        idle_ms: timeout("idle_ms"),
    }
}

/// The channel of a model that could not be served otherwise, in `qingwave demo`. It is spoken to as the model's first channel
/// is, so that the demo shows each vendor's own protocol.
fn built_in(model: &Owner<'_>, first: Option<&Channel>, demo: super::DemoAddresses) -> Channel {
    let protocol = first.map_or(Protocol::OpenAiChat, |first| first.protocol);
    let provider = provider::built_in(demo, protocol);
    let abilities = first.map_or(model.abilities, |first| Abilities {
        reasoning: first.reasoning,
        sampling: first.sampling,
        vision: first.vision,
    });
    Channel {
        id: format!("{}/{BUILT_IN}", model.id).into(),
        quirks: first.map_or(provider.quirks, |first| first.quirks),
        account: provider.account.clone(),
        reasoning: abilities.reasoning,
        sampling: abilities.sampling,
        vision: abilities.vision,
        provider,
        upstream_model: "ok".into(),
        protocol,
        priority: 0,
        weight: 100,
        state: ChannelState::Ready,
        timeouts: Timeouts::default(),
        cost: RateCard::default(),
    }
}
