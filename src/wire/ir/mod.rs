//! What all protocols mean, said once: a request, an answer as a stream of events, losses, errors, usage. Readers come from
//! a protocol to here, writers go from here to a protocol. Must never know one protocol's spelling.

mod answer;
mod class;
mod error;
mod event;
mod ids;
mod loss;
mod request;
mod state;
mod target;

pub use answer::{Answer, AnswerBlock, AnswerChoice, Fold};
pub use error::{ErrorClass, UpstreamError, error_message};
pub use event::{
    BlockKind, Citation, Delta, Event, EventReader, EventWriter, Finish, Framing, Iteration, Outcome, Sink, Start,
    StopReason, WriterSetup,
};
pub use ids::{Ids, fitted_id};
pub use loss::{Feature, LOSSES_HEADER_BYTES_MAX, LOSSES_MAX, Loss, LossKind, Losses, Refusal};
pub use request::{
    Arguments, CacheMark, Call, CallResult, Class, Document, Effort, Extra, Format, Media, MediaKind, Part, PartKind,
    Place, Reasoning, ReasoningMode, ReasoningWish, Request, Role, SchemaDialect, ServerTool, Source, Tool, ToolChoice,
    ToolKind, Turn, WebSearch, leave_out, said_again, said_alike,
};
pub use state::State;
pub use target::{Efforts, Quirk, Quirks, ReasoningStyle, Target, Undo};
