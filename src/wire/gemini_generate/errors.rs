//! Errors in the shape of Gemini generateContent.

use crate::wire::ir::UpstreamError;

/// An error body. `status` is the one that the client gets; `request_id` is ours.
pub fn write_error(error: &UpstreamError, status: u16, request_id: &str) -> Vec<u8> {
    let _ = (error, status, request_id);
    unimplemented!()
}
