//! Wires everything: the only place that knows all names.

pub mod cli;
pub mod demo;
pub mod gateway;
pub mod reload;
pub mod runtime;
pub mod secrets;
pub mod serve;
