//! Reads a Gemini generateContent request into the canonical form. Must never know which upstream it goes to.

use crate::wire::ReadError;
use crate::wire::ir::Request;

/// Reads a whole request body whose containers are nested at most `depth_max` deep. Model and stream stand in the path: the caller sets them.
pub fn read_request(body: &str, depth_max: usize) -> Result<Request<'_>, ReadError> {
    let _ = (body, depth_max);
    unimplemented!()
}
