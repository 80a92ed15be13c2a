//! Attacks on the running gateway, second part: clients that leave, HTTP/2 on both sides, random bodies.

#![allow(clippy::unwrap_used, reason = "a helper of tests fails as a test does")]

mod support;

#[path = "edge/http2.rs"]
mod http2;
#[path = "edge/leaving.rs"]
mod leaving;
#[path = "edge/random.rs"]
mod random;
#[allow(dead_code, reason = "each part uses its own")]
#[path = "edge/upstream.rs"]
mod upstream;
#[allow(dead_code, reason = "each part uses its own")]
#[path = "edge/wire.rs"]
mod wire;
