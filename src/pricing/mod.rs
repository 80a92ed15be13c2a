//! Amounts, rates, charge and hold as pure functions of usage and price rows. Must never know floats or models' names.

pub mod amount;
pub mod meter;

pub use amount::Amount;
pub use meter::{Meter, Meters};
