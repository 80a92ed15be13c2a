//! Chat on the wire, as a client and an upstream see it.

mod error;
mod head;
mod recordings;
mod splice;
mod tap;
mod whole;
