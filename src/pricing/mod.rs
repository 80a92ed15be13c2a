//! Amounts, rates, charge and hold as pure functions of usage and price rows. Must never know floats or models' names.

pub mod amount;
pub mod meter;
pub mod rates;
pub mod units;

pub use amount::Amount;
pub use meter::{Meter, Meters};
pub use rates::{Conditions, PriceRow, PriceRowId, Priced, Rate, RateCard, RateError, WorstCase, recompute};
pub use units::{Disjoint, disjoint, meters};

#[cfg(test)]
mod tests;
