//! Writes events as a OpenAI Chat Completions stream.

use crate::wire::ir::{Event, EventWriter, Losses, UpstreamError, WriterSetup};

pub struct ChatWriter {
    setup: WriterSetup,
    losses: Losses,
}

impl ChatWriter {
    pub fn new(setup: WriterSetup) -> ChatWriter {
        ChatWriter { setup, losses: Losses::default() }
    }
}

impl EventWriter for ChatWriter {
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
