//! Attacks on the running gateway through real sockets: bytes that no good client or upstream would send.
//!
//! Which test watches over which behaviour of Pingora is in `docs/pingora-traps.md`.

#![allow(clippy::unwrap_used, reason = "a helper of tests fails as a test does")]

mod support;

#[path = "edge/framing.rs"]
mod framing;
#[path = "edge/odd.rs"]
mod odd;
#[allow(dead_code, reason = "each part uses its own")]
#[path = "edge/upstream.rs"]
mod upstream;
#[allow(dead_code, reason = "each part uses its own")]
#[path = "edge/wire.rs"]
mod wire;
