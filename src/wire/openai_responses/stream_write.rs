//! Writes events as a OpenAI Responses stream.

use crate::wire::ir::{Event, EventWriter, Losses, UpstreamError, WriterSetup};

pub struct ResponsesWriter {
    setup: WriterSetup,
    losses: Losses,
}

impl ResponsesWriter {
    pub fn new(setup: WriterSetup) -> ResponsesWriter {
        ResponsesWriter { setup, losses: Losses::default() }
    }
}

impl EventWriter for ResponsesWriter {
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
