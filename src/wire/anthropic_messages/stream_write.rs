//! Writes events as a Anthropic Messages stream.

use crate::wire::ir::{Event, EventWriter, Losses, UpstreamError, WriterSetup};

pub struct MessagesWriter {
    setup: WriterSetup,
    losses: Losses,
}

impl MessagesWriter {
    pub fn new(setup: WriterSetup) -> MessagesWriter {
        MessagesWriter { setup, losses: Losses::default() }
    }
}

impl EventWriter for MessagesWriter {
    fn event(&mut self, event: &Event<'_>, out: &mut Vec<u8>) {
        let _ = (event, out, &self.setup);
        unimplemented!()
    }

    fn fail(&mut self, error: &UpstreamError, out: &mut Vec<u8>) {
        let _ = (error, out);
        unimplemented!()
    }

    fn losses(&self) -> &Losses {
        &self.losses
    }
}
