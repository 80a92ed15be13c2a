//! Writes a canonical request as OpenAI Responses. What cannot be said is a loss or a refusal, never silence.

use crate::wire::ir::{Losses, Refusal, Request, Target, Undo};

/// The body for an upstream, and what its answer must undo.
pub fn write_request(
    request: &Request<'_>,
    target: &Target<'_>,
    losses: &mut Losses,
) -> Result<(Vec<u8>, Undo), Refusal> {
    let _ = (request, target, losses);
    unimplemented!()
}
