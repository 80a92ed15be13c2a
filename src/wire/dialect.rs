//! The one place that knows which module speaks which protocol. Must never know what they do.

use super::ir::{Answer, EventReader, EventWriter, Losses, Refusal, Request, Target, Undo, UpstreamError, WriterSetup};
use super::{Operation, Protocol, ReadError, anthropic_messages, gemini_generate, openai_chat, openai_responses};

/// A body for an upstream, and what its answer must undo.
pub type Sent = (Vec<u8>, Undo);

/// All that a protocol can be asked to read and write.
pub struct Dialect {
    /// A reader of one answer. Its argument is the account group that can read the answer's state again.
    pub reader: fn(&str) -> Box<dyn EventReader>,
    /// A writer of one streamed answer.
    pub writer: fn(WriterSetup) -> Box<dyn EventWriter>,
    pub write_whole: fn(&Answer, &WriterSetup, &mut Losses) -> Vec<u8>,
    pub read_request: for<'a> fn(&'a str, usize) -> Result<Request<'a>, ReadError>,
    pub write_request: fn(&Request<'_>, &Target<'_>, &mut Losses) -> Result<Sent, Refusal>,
    /// An error body, with the status that the client gets and our id of its request.
    pub write_error: fn(&UpstreamError, u16, &str) -> Vec<u8>,
}

impl Protocol {
    pub const fn dialect(self) -> &'static Dialect {
        match self {
            Protocol::OpenAiChat => &CHAT,
            Protocol::OpenAiResponses => &RESPONSES,
            Protocol::AnthropicMessages => &MESSAGES,
            Protocol::GeminiGenerate => &GENERATE,
        }
    }

    /// How clients of this protocol say an operation that is answered as a chat.
    pub const fn dialect_for(self, operation: Operation) -> &'static Dialect {
        match (self, operation) {
            (Protocol::OpenAiChat, Operation::Completions) => &COMPLETIONS,
            _ => self.dialect(),
        }
    }
}

static CHAT: Dialect = Dialect {
    reader: |account| Box::new(openai_chat::ChatReader::new(account)),
    writer: |setup| Box::new(openai_chat::ChatWriter::new(setup)),
    write_whole: openai_chat::write_whole,
    read_request: openai_chat::read_request,
    write_request: openai_chat::write_request,
    write_error: openai_chat::write_error,
};

static COMPLETIONS: Dialect = Dialect {
    reader: |account| Box::new(openai_chat::ChatReader::new(account)),
    writer: |setup| Box::new(openai_chat::CompletionWriter::new(setup)),
    write_whole: openai_chat::write_completion_whole,
    read_request: openai_chat::read_completion_request,
    write_request: openai_chat::write_request,
    write_error: openai_chat::write_error,
};

static RESPONSES: Dialect = Dialect {
    reader: |account| Box::new(openai_responses::ResponsesReader::new(account)),
    writer: |setup| Box::new(openai_responses::ResponsesWriter::new(setup)),
    write_whole: openai_responses::write_whole,
    read_request: openai_responses::read_request,
    write_request: openai_responses::write_request,
    write_error: openai_responses::write_error,
};

static MESSAGES: Dialect = Dialect {
    reader: |account| Box::new(anthropic_messages::MessagesReader::new(account)),
    writer: |setup| Box::new(anthropic_messages::MessagesWriter::new(setup)),
    write_whole: anthropic_messages::write_whole,
    read_request: anthropic_messages::read_request,
    write_request: anthropic_messages::write_request,
    write_error: anthropic_messages::write_error,
};

static GENERATE: Dialect = Dialect {
    reader: |account| Box::new(gemini_generate::GeminiReader::new(account)),
    writer: |setup| Box::new(gemini_generate::GeminiWriter::new(setup)),
    write_whole: gemini_generate::write_whole,
    read_request: gemini_generate::read_request,
    write_request: gemini_generate::write_request,
    write_error: gemini_generate::write_error,
};
