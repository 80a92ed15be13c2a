//! Gives every call of an answer an id that its client takes, before writer and facts see it.

use std::collections::HashSet;

use crate::wire::Protocol;
use crate::wire::ir::{BlockKind, Event, Ids, fitted_id};
use crate::wire::json::Str;

/// Most ids that are remembered, to tell one that comes twice.
const IDS_MAX: usize = 4096;

pub struct CallIds {
    client: Protocol,
    made: Ids,
    known: HashSet<String>,
}

impl CallIds {
    pub fn new(client: Protocol, call_id: &str) -> CallIds {
        // Apart from the ids that a writer makes of the same call.
        CallIds { client, made: Ids::new(&format!("{call_id}/calls")), known: HashSet::new() }
    }

    /// Puts an id where there is none, or one that came before, and fits one that the client's protocol would refuse.
    pub fn settle(&mut self, event: &mut Event<'_>) {
        let Event::BlockStart { kind: BlockKind::Call { id, .. }, .. } = event else { return };
        let given = id.as_ref().map(|id| id.decode()).filter(|id| !id.is_empty());
        let settled = match given {
            // GM pairs calls by their order and name: a made id would be one that its models do not know.
            None if self.client == Protocol::GeminiGenerate => return *id = None,
            None => self.mint(),
            Some(given) => {
                let fitted = fitted_id(&given, |id| fits(self.client, id));
                if self.known.contains(fitted.as_ref()) {
                    self.mint()
                } else if *fitted == *given {
                    return self.remember(given.into_owned());
                } else {
                    fitted.into_owned()
                }
            }
        };
        self.remember(settled.clone());
        *id = Some(Str::plain(settled));
    }

    fn mint(&mut self) -> String {
        self.made.mint(if self.client == Protocol::AnthropicMessages { "toolu_" } else { "call_" })
    }

    fn remember(&mut self, id: String) {
        if self.known.len() < IDS_MAX {
            self.known.insert(id);
        }
    }
}

fn fits(client: Protocol, id: &str) -> bool {
    match client {
        Protocol::AnthropicMessages => {
            id.len() <= 64 && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
        }
        Protocol::OpenAiResponses => id.len() <= 64,
        Protocol::OpenAiChat | Protocol::GeminiGenerate => true,
    }
}
