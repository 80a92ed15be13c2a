//! Reads a OpenAI Responses answer, streamed or whole, into events.

use crate::wire::ir::{EventReader, Outcome, Sink};

/// `account`: the account group that can read the state (signatures) of this answer again.
pub struct ResponsesReader {
    account: String,
}

impl ResponsesReader {
    pub fn new(account: &str) -> ResponsesReader {
        ResponsesReader { account: account.to_owned() }
    }
}

impl EventReader for ResponsesReader {
    fn read_event(&mut self, name: Option<&str>, data: &str, sink: &mut dyn Sink) {
        let _ = (name, data, sink, &self.account);
        unimplemented!()
    }

    fn end(&mut self, sink: &mut dyn Sink) -> Outcome {
        let _ = sink;
        unimplemented!()
    }

    fn read_whole(&mut self, body: &str, sink: &mut dyn Sink) -> Result<(), String> {
        let _ = (body, sink);
        unimplemented!()
    }

    fn done(&self) -> bool {
        unimplemented!()
    }
}
