//! Text → raw → validated `Catalog`: models, channels, providers. Must never know the file system.

mod abilities;
mod build;
mod channel;
mod diff;
mod fields;
mod node;
mod operations;
mod overlay;
mod path;
mod price;
mod problem;
mod provider;

use std::sync::Arc;

use rustc_hash::FxHashMap;
use secrecy::SecretString;
use sha2::{Digest, Sha256};

pub use diff::{diff, needs_force};
pub use node::Trees;
pub use operations::Operations;
pub use path::Paths;
pub use problem::{PROBLEMS_MAX, Problem};

use crate::pricing::{PriceRow, RateCard};
use crate::wire::Protocol;
use crate::wire::ir::{Quirk, Quirks, ReasoningStyle};
use crate::wire::openai_chat::OutputLimitField;

/// One file of a catalog tree, as read by the shell. `path` is relative and only shown in problems.
#[derive(Debug, Clone)]
pub struct SourceFile {
    pub path: String,
    pub text: String,
    /// A file of the operator's overlay, applied last.
    pub overlay: bool,
}

/// A validated catalog. If it exists, everything it names exists.
#[derive(Debug)]
pub struct Catalog {
    /// Content hash of the sources, short hex.
    pub rev: Arc<str>,
    models: Vec<Arc<Model>>,
    by_name: FxHashMap<Arc<str>, Name>,
}

/// What a name of a catalog stands for.
#[derive(Debug, Clone)]
enum Name {
    /// A place in `models`.
    Model(usize),
    Retired {
        replacement: Option<Arc<str>>,
    },
}

#[derive(Debug)]
pub struct Model {
    pub id: Arc<str>,
    /// Who made it: `owned_by` of the OpenAI listing.
    pub vendor: Arc<str>,
    pub name: Arc<str>,
    pub aliases: Vec<Arc<str>>,
    /// Unix seconds of its release, 0 when unknown.
    pub created: i64,
    /// Most tokens of input and output together.
    pub context: u64,
    /// Most output tokens; 0 where it generates no text.
    pub output_max: u64,
    /// What it can be asked to do.
    pub operations: Operations,
    pub features: Vec<Arc<str>>,
    /// The model to go to, where this one is on its way out.
    pub replacement: Option<Arc<str>>,
    pub rates: RateCard,
    pub channels: Vec<Arc<Channel>>,
}

#[derive(Debug)]
pub struct Channel {
    /// Unique over the catalog: `gpt-4o/openai`.
    pub id: Arc<str>,
    pub provider: Arc<Provider>,
    pub upstream_model: Arc<str>,
    pub protocol: Protocol,
    pub priority: u32,
    pub weight: u32,
    pub state: ChannelState,
    pub timeouts: Timeouts,
    pub cost: RateCard,
    /// The provider's and its own.
    pub quirks: Quirks,
    /// The group of channels whose models can read each other's signatures.
    pub account: Arc<str>,
    pub reasoning: ReasoningStyle,
    /// `temperature`, `top_p`, `top_k` and penalties are taken.
    pub sampling: bool,
    /// Images are taken.
    pub vision: bool,
}

impl Channel {
    /// Whether a request written for one of the two is right for the other.
    pub fn reads_the_same(&self, other: &Channel) -> bool {
        self.protocol == other.protocol
            && self.upstream_model == other.upstream_model
            && self.quirks == other.quirks
            && self.account == other.account
            && self.reasoning == other.reasoning
            && (self.sampling, self.vision) == (other.sampling, other.vision)
    }

    /// The field that carries an output limit where the client gave none.
    pub const fn output_limit_field(&self) -> OutputLimitField {
        if self.quirks.has(Quirk::MaxTokens) {
            OutputLimitField::MaxTokens
        } else {
            OutputLimitField::MaxCompletionTokens
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChannelState {
    Ready,
    /// Its provider's key is not configured.
    Dormant,
    /// What it needs is not built yet.
    Unsupported,
    Disabled,
}

impl ChannelState {
    pub const fn as_str(self) -> &'static str {
        match self {
            ChannelState::Ready => "ready",
            ChannelState::Dormant => "dormant",
            ChannelState::Unsupported => "unsupported",
            ChannelState::Disabled => "disabled",
        }
    }

    /// Its value in the metric `qingwave_channel_state`.
    pub const fn level(self) -> i64 {
        match self {
            ChannelState::Ready => 1,
            ChannelState::Dormant => 0,
            ChannelState::Unsupported => -1,
            ChannelState::Disabled => -2,
        }
    }
}

/// `None` = the configuration's default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Timeouts {
    pub connect_ms: Option<u64>,
    pub first_content_ms: Option<u64>,
    pub idle_ms: Option<u64>,
}

#[derive(Debug)]
pub struct Provider {
    pub id: Arc<str>,
    /// A name or an address; an IPv6 address stands without brackets.
    pub host: Arc<str>,
    pub port: u16,
    pub tls: bool,
    /// Without a trailing slash, e.g. `/v1`.
    pub base_path: Arc<str>,
    pub http: UpstreamHttp,
    pub auth: Auth,
    pub paths: Paths,
    pub quirks: Quirks,
    /// The group whose signatures its models can read: its own id unless the catalog says otherwise.
    pub account: Arc<str>,
    /// The `anthropic-version` of calls that were translated; others carry the client's.
    pub anthropic_version: Arc<str>,
    /// PEM of a CA to trust beside the system's, for private upstreams.
    pub ca_pem: Option<Arc<str>>,
}

/// What is spoken to the upstream. With TLS, `H2` offers h2 and http/1.1; without, it is h2c.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpstreamHttp {
    H1,
    H2,
}

#[derive(Debug, Clone)]
pub enum Auth {
    None,
    Bearer(SecretString),
    Header {
        name: Arc<str>,
        secret: SecretString,
    },
    /// In the query, see [`Provider::keyed`].
    Query {
        name: Arc<str>,
        secret: SecretString,
    },
}

/// What a name asks for.
pub enum Lookup<'a> {
    Found(&'a Arc<Model>),
    /// Tombstoned.
    Retired {
        replacement: Option<Arc<str>>,
    },
    Unknown {
        nearest: Vec<Arc<str>>,
    },
}

/// Most names that an unknown one is answered with.
const NEAREST_MAX: usize = 3;

impl Catalog {
    /// By id or alias. Nearest names are only searched for an unknown one.
    pub fn lookup(&self, name: &str) -> Lookup<'_> {
        match self.by_name.get(name) {
            Some(Name::Model(at)) => Lookup::Found(&self.models[*at]),
            Some(Name::Retired { replacement }) => Lookup::Retired { replacement: replacement.clone() },
            None => Lookup::Unknown { nearest: self.nearest(name) },
        }
    }

    /// The ids and aliases of callable models that are near to a name, nearest first, one per model.
    fn nearest(&self, name: &str) -> Vec<Arc<str>> {
        let names = self.models.iter().flat_map(|model| std::iter::once(&model.id).chain(&model.aliases));
        let mut found: Vec<Arc<str>> = Vec::new();
        let mut models = Vec::new();
        for near in problem::nearest(name, names.map(|name| &**name), NEAREST_MAX * 4) {
            if let Some((name, Name::Model(at))) = self.by_name.get_key_value(near)
                && !models.contains(at)
            {
                models.push(*at);
                found.push(name.clone());
            }
        }
        found.truncate(NEAREST_MAX);
        found
    }

    /// In the order of the files.
    pub fn models(&self) -> &[Arc<Model>] {
        &self.models
    }

    /// Every channel of every model.
    pub fn channels(&self) -> impl Iterator<Item = &Arc<Channel>> {
        self.models.iter().flat_map(|model| &model.channels)
    }

    /// Every price row with its owner: a model's id, or a channel's for cost rows.
    pub fn price_rows(&self) -> impl Iterator<Item = (&Arc<str>, &[PriceRow])> {
        let charged = self.models.iter().map(|model| (&model.id, model.rates.rows()));
        charged.chain(self.channels().map(|channel| (&channel.id, channel.cost.rows())))
    }
}

impl Model {
    /// Whether a call can be served as things are configured.
    pub fn is_available(&self) -> bool {
        self.channels.iter().any(|channel| channel.state == ChannelState::Ready)
    }
}

/// What a catalog is compiled for.
pub struct Environment<'a> {
    /// Resolves a reference (`env:NAME`, `file:path`); `None` makes the channels of that provider dormant.
    pub secret: &'a dyn Fn(&str) -> Option<SecretString>,
    /// Where the built-in upstream runs. Without it, providers whose base URL is `demo:…` are dormant; with it, every model
    /// that has no ready channel gets one to it.
    pub demo: Option<DemoAddresses>,
}

#[derive(Debug, Clone, Copy)]
pub struct DemoAddresses {
    /// Speaks HTTP/1.1 and h2c: `demo:h1`, `demo:h2`.
    pub answering: core::net::SocketAddr,
    /// Refuses every connection: `demo:refused`.
    pub refusing: core::net::SocketAddr,
}

/// Compiles a catalog, or says everything that is wrong (up to `PROBLEMS_MAX`, in the order of the files).
///
/// A file is known by its path: `catalog.yaml`, `providers.yaml`, `retired.yaml`, `models/*.yaml`, `inputs/*.json`; files of
/// the overlay may have any name, and are applied in the order given.
pub fn compile(sources: &[SourceFile], environment: &Environment<'_>) -> Result<Catalog, Vec<Problem>> {
    compile_again(sources, environment, &mut Trees::default())
}

/// `compile`, with what the last time has left: files that did not change are not parsed again.
pub fn compile_again(
    sources: &[SourceFile],
    environment: &Environment<'_>,
    trees: &mut Trees,
) -> Result<Catalog, Vec<Problem>> {
    let mut problems = problem::Problems::default();
    let merged = overlay::merge(sources, trees, &mut problems);
    trees.turn();
    let catalog = build::build(&merged, sources, environment, &mut problems);
    if problems.is_empty() { Ok(catalog) } else { Err(problems.into_list(sources)) }
}

/// Twelve hex digits that change with any byte of the sources.
fn revision(sources: &[SourceFile]) -> String {
    let mut hash = Sha256::new();
    for source in sources {
        for part in [source.path.as_bytes(), source.text.as_bytes()] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        hash.update([u8::from(source.overlay)]);
    }
    hash.finalize()[..6].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `^[a-z0-9][a-z0-9.-]{1,62}$`
fn is_id(text: &str) -> bool {
    is_short_id(text) && text.len() >= 2
}

/// Like an id, and one character will do: channels and providers.
fn is_short_id(text: &str) -> bool {
    let alphanumeric = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let begins = text.bytes().next().is_some_and(alphanumeric);
    begins && text.len() <= 63 && text.bytes().all(|b| alphanumeric(b) || b == b'.' || b == b'-')
}

/// An id, or two with a `/` between them: `vendor/id`.
fn is_alias(text: &str) -> bool {
    match text.split_once('/') {
        Some((vendor, id)) => is_short_id(vendor) && is_short_id(id),
        None => is_id(text),
    }
}

#[cfg(test)]
mod tests;
