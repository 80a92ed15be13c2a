//! What a model can be asked to do. Must never know how a protocol says it.

use super::build::Context;
use super::fields::Fields;
use super::problem::{Problems, Way, suggestion};
use crate::wire::Operation;

/// The names under `endpoints`. Counting tokens has none: it comes with chat.
const ENDPOINTS: &[&str] = &["chat", "embeddings", "rerank", "moderations", "completions"];

/// A set of operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Operations(u8);

impl Operations {
    pub const fn of(operations: &[Operation]) -> Operations {
        let mut bits = 0;
        let mut at = 0;
        while at < operations.len() {
            bits |= 1 << operations[at] as u8;
            at += 1;
        }
        Operations(bits)
    }

    pub const fn has(self, operation: Operation) -> bool {
        self.0 & (1 << operation as u8) != 0
    }

    pub const fn with(self, operation: Operation) -> Operations {
        Operations(self.0 | 1 << operation as u8)
    }

    pub fn iter(self) -> impl Iterator<Item = Operation> {
        Operation::ALL.into_iter().filter(move |operation| self.has(*operation))
    }

    /// Whether any of them answers with text, which is priced and limited as output.
    pub const fn generate(self) -> bool {
        self.has(Operation::Chat) || self.has(Operation::Completions)
    }
}

/// The model's `endpoints`; chat where it names none.
pub fn read(fields: &Fields<'_>, context: &Context<'_>, problems: &mut Problems) -> Operations {
    const CHAT: Operations = Operations::of(&[Operation::Chat, Operation::CountTokens]);
    let Some(node) = fields.get("endpoints") else { return CHAT };
    let way = Way::Field(fields.way, "endpoints");
    let Some(endpoints) = Fields::open(node, &way, ENDPOINTS, problems) else { return CHAT };
    let mut operations = Operations::default();
    for kind in ENDPOINTS {
        let Some(node) = endpoints.get(kind) else { continue };
        let operation = Operation::parse(kind).expect("every endpoint is an operation");
        operations = operations.with(operation);
        if operation == Operation::Chat {
            operations = operations.with(Operation::CountTokens);
        }
        let way = Way::Field(&way, kind);
        let Some(endpoint) = Fields::open(node, &way, &["input"], problems) else { continue };
        let Some(input) = endpoint.text_needed("input", problems) else { continue };
        if !context.merged.inputs.iter().any(|known| known == input) {
            let hint = suggestion(input, context.merged.inputs.iter().map(String::as_str));
            endpoint.problem("input", problems, format_args!("there is no inputs/{input}.json{hint}"));
        }
    }
    if operations == Operations::default() {
        let list = ENDPOINTS.join(", ");
        fields.problem("endpoints", problems, format_args!("names no operation; those known are {list}"));
    }
    operations
}
