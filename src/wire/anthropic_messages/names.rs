//! Names of tools as Anthropic allows them, and the way back. Must never know what a tool does.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::wire::ir::{Undo, fitted_id};
use crate::wire::json::Str;

const NAME_BYTES_MAX: usize = 128;

#[derive(Default)]
pub(super) struct Names {
    /// Names that had to change, as the client knows them, and as they are sent.
    changed: BTreeMap<String, String>,
    wrapped: Vec<String>,
}

impl Names {
    /// The name as it is sent; the same for the same name.
    pub fn sent<'n>(&mut self, name: &'n Str<'n>) -> Cow<'n, str> {
        let name = name.decode();
        match fitted_id(&name, fits) {
            Cow::Borrowed(_) => name,
            Cow::Owned(sent) => {
                self.changed.insert(name.into_owned(), sent.clone());
                Cow::Owned(sent)
            }
        }
    }

    /// A free-form tool that is sent as a function.
    pub fn wrap(&mut self, sent: &str) {
        if !self.wrapped.iter().any(|known| known == sent) {
            self.wrapped.push(sent.to_owned());
        }
    }

    pub fn into_undo(self) -> Undo {
        let tool_names = self.changed.into_iter().map(|(client, sent)| (sent, client)).collect();
        Undo { tool_names, wrapped_tools: self.wrapped, ..Undo::default() }
    }
}

fn fits(name: &str) -> bool {
    super::said::is_id(name) && name.len() <= NAME_BYTES_MAX
}
