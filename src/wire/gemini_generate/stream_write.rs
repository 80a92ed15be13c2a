//! Writes events as a Gemini generateContent stream.

use crate::wire::ir::{Event, EventWriter, Losses, UpstreamError, WriterSetup};

pub struct GeminiWriter {
    setup: WriterSetup,
    losses: Losses,
}

impl GeminiWriter {
    pub fn new(setup: WriterSetup) -> GeminiWriter {
        GeminiWriter { setup, losses: Losses::default() }
    }
}

impl EventWriter for GeminiWriter {
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
