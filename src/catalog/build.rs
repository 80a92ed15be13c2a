//! Merged entries → the validated catalog. Must never know where the texts came from.

use std::collections::HashMap;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::abilities::Abilities;
use super::channel;
use super::fields::Fields;
use super::node::Node;
use super::operations::{self, Operations};
use super::overlay::{Entry, Merged};
use super::price::{self, Markup};
use super::problem::{Place, Problems, Way, suggestion};
use super::provider::{self, ReadProvider};
use super::{Catalog, Environment, Model, Name, SourceFile, is_alias, is_id};
use crate::pricing::{Meter, RateCard};

/// The schema of catalog files that this code reads.
const SCHEMA: u64 = 1;
const MODALITIES: &[&str] = &["text", "embedding", "rerank", "moderation"];
const MEDIA_IN: &[&str] = &["text", "image", "pdf", "audio", "video"];
const MEDIA_OUT: &[&str] = &["text", "image", "pdf", "audio", "video", "vector", "scores", "labels"];
const TOKENS_MAX: u64 = 100_000_000;

const MODEL_FIELDS: &[&str] = &[
    "id",
    "vendor",
    "name",
    "family",
    "modality",
    "aliases",
    "enabled",
    "endpoints",
    "modalities",
    "limits",
    "features",
    "reasoning",
    "sampling",
    "lifecycle",
    "knowledge",
    "open_weights",
    "price",
    "markup",
    "channels",
    "sources",
];

/// Everything that a model's entry is checked against.
pub struct Context<'a> {
    pub merged: &'a Merged,
    pub providers: HashMap<&'a str, Option<ReadProvider>>,
    pub environment: &'a Environment<'a>,
    pub markup: Markup,
}

/// Builds the catalog; it is whole only if no problem was noted.
pub fn build(
    merged: &Merged,
    sources: &[SourceFile],
    environment: &Environment<'_>,
    problems: &mut Problems,
) -> Catalog {
    if let Some(head) = &merged.head {
        read_head(head, problems);
    }
    let providers =
        merged.providers.iter().map(|e| (e.id.as_str(), provider::read(e, environment, problems))).collect();
    let markup = merged.markup.as_ref().and_then(|node| Markup::read(node, &Way::Root("markup"), problems));
    let context = Context { merged, providers, environment, markup: markup.unwrap_or(Markup::NONE) };
    let mut names = Names::default();
    read_retired(merged, &mut names, problems);
    for entry in merged.models.iter() {
        names.claim_id(entry, problems);
    }
    let mut models = Vec::new();
    for entry in merged.models.iter() {
        models.extend(read_model(entry, &context, &mut names, problems).map(Arc::new));
    }
    if merged.models.iter().next().is_none() {
        problems.add_bare(Place { file: 0, line: 1, column: 1 }, "the catalog has no model".to_owned());
    }
    Catalog { rev: super::revision(sources).into(), by_name: index(&models, &names), models }
}

fn index(models: &[Arc<Model>], names: &Names) -> FxHashMap<Arc<str>, Name> {
    let mut by_name = FxHashMap::default();
    for (id, replacement) in &names.retired {
        by_name.insert(Arc::from(id.as_str()), Name::Retired { replacement: replacement.as_deref().map(Arc::from) });
    }
    for (at, model) in models.iter().enumerate() {
        for name in std::iter::once(&model.id).chain(&model.aliases) {
            by_name.insert(name.clone(), Name::Model(at));
        }
    }
    by_name
}

fn read_head(node: &Node, problems: &mut Problems) {
    let way = Way::Root("");
    let Some(fields) = Fields::open(node, &way, &["schema", "version", "currency"], problems) else { return };
    match fields.get("schema") {
        Some(_) => drop(fields.integer("schema", SCHEMA..=SCHEMA, problems)),
        None => fields.problem("schema", problems, "is missing"),
    }
    fields.text("version", problems);
    fields.word("currency", &["USD"], problems);
}

/// Who owns which name. Ids come first, so that an alias that collides with an id is the one at fault.
#[derive(Default)]
struct Names {
    owners: HashMap<String, String>,
    retired: HashMap<String, Option<String>>,
}

impl Names {
    fn claim_id(&mut self, entry: &Entry, problems: &mut Problems) {
        let root = Way::Root("models");
        let way = Way::Id(&root, &entry.id);
        if !is_id(&entry.id) {
            problems.add(entry.place, &way, "is not an id: lower-case letters, digits, `.` and `-`, 2 to 63 of them");
        }
        self.claim(&entry.id, &entry.id, entry.place, &way, problems);
    }

    fn claim(&mut self, name: &str, owner: &str, place: Place, way: &Way<'_>, problems: &mut Problems) -> bool {
        if self.retired.contains_key(name) {
            problems.add(place, way, format_args!("{name:?} is retired, and a retired id is never used again"));
            return false;
        }
        match self.owners.get(name) {
            Some(other) => {
                problems.add(place, way, format_args!("{name:?} already names model {other}"));
                false
            }
            None => self.owners.insert(name.to_owned(), owner.to_owned()).is_none(),
        }
    }
}

fn read_retired(merged: &Merged, names: &mut Names, problems: &mut Problems) {
    let root = Way::Root("retired");
    for entry in merged.retired.iter() {
        let way = Way::Id(&root, &entry.id);
        let Some(fields) = Fields::open(&entry.node, &way, &["id", "retired", "replacement"], problems) else {
            continue;
        };
        if !is_alias(&entry.id) {
            problems.add(entry.place, &way, "is not an id or alias");
        }
        if fields.text_needed("retired", problems).is_some() {
            read_date(&fields, "retired", problems);
        }
        let replacement = read_replacement(&fields, merged, problems);
        names.retired.insert(entry.id.clone(), replacement);
    }
}

/// A model id that exists.
fn read_replacement(fields: &Fields<'_>, merged: &Merged, problems: &mut Problems) -> Option<String> {
    let id = fields.text("replacement", problems)?;
    if merged.models.get(id).is_none() {
        let hint = suggestion(id, merged.models.iter().map(|entry| entry.id.as_str()));
        fields.problem("replacement", problems, format_args!("{id:?} is not a model of this catalog{hint}"));
        return None;
    }
    Some(id.to_owned())
}

/// A day as Unix seconds of its first moment in UTC.
fn read_date(fields: &Fields<'_>, name: &str, problems: &mut Problems) -> Option<i64> {
    let text = fields.text(name, problems)?;
    let date = text.parse::<jiff::civil::Date>().ok().filter(|_| text.len() == 10);
    let zoned = date.and_then(|date| date.to_zoned_datetime(jiff::tz::TimeZone::UTC).ok());
    if zoned.is_none() {
        fields.problem(name, problems, format_args!("expected a day such as \"2026-11-24\", got {text:?}"));
    }
    zoned.map(|zoned| zoned.timestamp().as_second())
}

/// `None` when the model is disabled or something is wrong with it.
fn read_model(entry: &Entry, context: &Context<'_>, names: &mut Names, problems: &mut Problems) -> Option<Model> {
    let root = Way::Root("models");
    let way = Way::Id(&root, &entry.id);
    let fields = Fields::open(&entry.node, &way, MODEL_FIELDS, problems)?;
    let vendor = fields.text_needed("vendor", problems);
    let name = fields.text("name", problems).unwrap_or(&entry.id);
    let enabled = fields.boolean("enabled", true, problems);
    fields.word("modality", MODALITIES, problems);
    for name in ["family", "knowledge"] {
        fields.text(name, problems);
    }
    fields.boolean("open_weights", false, problems);
    let aliases = read_aliases(&fields, &entry.id, names, problems);
    let features = fields.texts("features", problems).into_iter().map(|(_, text)| Arc::from(text)).collect();
    let operations = operations::read(&fields, context, problems);
    let images = read_modalities(&fields, problems);
    read_sources(&fields, entry.own, problems);
    let (context_tokens, output_max) = read_limits(&fields, operations, problems);
    let abilities = Abilities::of_model(&fields, images, output_max, problems);
    let (created, replacement) = read_lifecycle(&fields, context, problems);
    let rates = read_price(&fields, &entry.id, operations, enabled, context, problems);
    let owner = channel::Owner { id: &entry.id, operations, output_max, abilities };
    let channels = channel::read_all(&fields, &owner, context, problems);
    if !enabled {
        return None;
    }
    Some(Model {
        id: entry.id.as_str().into(),
        vendor: vendor?.into(),
        name: name.into(),
        aliases,
        created,
        context: context_tokens,
        output_max,
        operations,
        features,
        replacement: replacement.map(Arc::from),
        rates: rates?,
        channels,
    })
}

fn read_aliases(fields: &Fields<'_>, id: &str, names: &mut Names, problems: &mut Problems) -> Vec<Arc<str>> {
    let way = Way::Field(fields.way, "aliases");
    let mut aliases = Vec::new();
    for (at, (place, alias)) in fields.texts("aliases", problems).into_iter().enumerate() {
        let way = Way::Item(&way, at);
        if !is_alias(alias) {
            problems.add(place, &way, format_args!("{alias:?} is not an id with at most one `/`"));
        } else if names.claim(alias, id, place, &way, problems) {
            aliases.push(Arc::from(alias));
        }
    }
    aliases
}

/// Whether images go in; `None` where nothing is said of it.
fn read_modalities(fields: &Fields<'_>, problems: &mut Problems) -> Option<bool> {
    let node = fields.get("modalities")?;
    let way = Way::Field(fields.way, "modalities");
    let sides = Fields::open(node, &way, &["in", "out"], problems)?;
    for (side, media) in [("in", MEDIA_IN), ("out", MEDIA_OUT)] {
        let way = Way::Field(&way, side);
        for (at, (place, medium)) in sides.texts(side, problems).into_iter().enumerate() {
            if !media.contains(&medium) {
                let list = media.join(", ");
                problems.add(place, &Way::Item(&way, at), format_args!("expected one of {list}, got {medium:?}"));
            }
        }
    }
    sides.get("in")?;
    Some(sides.texts("in", problems).iter().any(|(_, medium)| *medium == "image"))
}

/// A shipped model says where its facts come from and when they were seen.
fn read_sources(fields: &Fields<'_>, own: bool, problems: &mut Problems) {
    let sources = fields.list("sources", problems);
    if sources.is_empty() && !own {
        fields.problem("sources", problems, "is missing: name at least one source and the day it was seen");
    }
    let way = Way::Field(fields.way, "sources");
    for (at, node) in sources.iter().enumerate() {
        let way = Way::Item(&way, at);
        let Some(source) = Fields::open(node, &way, &["ref", "seen"], problems) else { continue };
        source.text_needed("ref", problems);
        if source.text_needed("seen", problems).is_some() {
            read_date(&source, "seen", problems);
        }
    }
}

/// Context window and most output tokens, which only a model that generates text must have.
fn read_limits(fields: &Fields<'_>, operations: Operations, problems: &mut Problems) -> (u64, u64) {
    let Some(node) = fields.get("limits") else {
        fields.problem("limits", problems, "is missing: a call is held by them");
        return (0, 0);
    };
    let way = Way::Field(fields.way, "limits");
    let Some(limits) = Fields::open(node, &way, &["context", "max_output"], problems) else { return (0, 0) };
    let mut limit = |name, needed| {
        if needed && limits.get(name).is_none() {
            limits.problem(name, problems, "is missing");
        }
        limits.integer(name, 1..=TOKENS_MAX, problems)
    };
    let (context, output_max) = (limit("context", true), limit("max_output", operations.generate()));
    if let (Some(context), Some(output_max)) = (context, output_max)
        && output_max > context
    {
        limits.problem("max_output", problems, format_args!("{output_max} is more than the context of {context}"));
    }
    (context.unwrap_or(0), output_max.unwrap_or(0))
}

fn read_lifecycle(fields: &Fields<'_>, context: &Context<'_>, problems: &mut Problems) -> (i64, Option<String>) {
    let Some(node) = fields.get("lifecycle") else { return (0, None) };
    let way = Way::Field(fields.way, "lifecycle");
    let known = ["released", "deprecated", "retires", "replacement"];
    let Some(lifecycle) = Fields::open(node, &way, &known, problems) else { return (0, None) };
    for name in ["deprecated", "retires"] {
        read_date(&lifecycle, name, problems);
    }
    let created = read_date(&lifecycle, "released", problems).unwrap_or(0);
    (created, read_replacement(&lifecycle, context.merged, problems))
}

/// An enabled model always has a price: tokens of the sides that it has, or requests.
fn read_price(
    fields: &Fields<'_>,
    id: &str,
    operations: Operations,
    enabled: bool,
    context: &Context<'_>,
    problems: &mut Problems,
) -> Option<RateCard> {
    let markup = match fields.get("markup") {
        Some(node) => Markup::read(node, &Way::Field(fields.way, "markup"), problems)?,
        None => context.markup,
    };
    let rows = fields.list("price", problems);
    let card = price::read_card(rows, id, markup, &Way::Field(fields.way, "price"), problems)?;
    let priced = |meter| card.rows().iter().any(|row| row.meter == meter);
    let output = priced(Meter::OutputTokens) || !operations.generate();
    let missing = match (priced(Meter::Requests), priced(Meter::InputTokens), output) {
        (true, _, _) | (false, true, true) => None,
        (false, false, false) => {
            Some("has no price: an enabled model needs rows for input_tokens and output_tokens, or for requests")
        }
        (false, false, true) if operations.generate() => Some("has no row for input_tokens"),
        (false, false, true) => Some("has no price: an enabled model needs a row for input_tokens or requests"),
        (false, true, false) => Some("has no row for output_tokens"),
    };
    if let Some(message) = missing.filter(|_| enabled) {
        fields.problem("price", problems, message);
    }
    Some(card)
}
