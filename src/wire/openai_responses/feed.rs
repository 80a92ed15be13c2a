//! Numbers and frames the events of a Responses stream.

use crate::wire::json::Json;

#[derive(Default)]
pub(super) struct Feed {
    /// From 0 without gaps.
    sequence_number: u64,
    /// Nothing is written: only the answer as a whole is wanted.
    silent: bool,
}

impl Feed {
    pub fn silent() -> Feed {
        Feed { sequence_number: 0, silent: true }
    }

    pub fn emit(&mut self, out: &mut Vec<u8>, kind: &str, members: impl FnOnce(&mut Json<'_>)) {
        if self.silent {
            return;
        }
        out.extend_from_slice(b"event: ");
        out.extend_from_slice(kind.as_bytes());
        out.extend_from_slice(b"\ndata: ");
        Json::new(out).object(|json| {
            json.key("type").text(kind);
            json.key("sequence_number").uint(self.sequence_number);
            members(json);
        });
        out.extend_from_slice(b"\n\n");
        self.sequence_number += 1;
    }
}
