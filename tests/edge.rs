//! Attacks on the running gateway through real sockets: bytes that no good client or upstream would send.

mod support;

#[path = "edge/framing.rs"]
mod framing;
#[path = "edge/odd.rs"]
mod odd;
#[path = "edge/upstream.rs"]
mod upstream;
#[path = "edge/wire.rs"]
mod wire;
