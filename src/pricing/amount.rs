//! Money: nano-dollars in an `i64`, shown as a decimal string in USD. No float ever.

use std::fmt;

/// An amount of money in nano-USD (10⁻⁹ dollars). One credit is one dollar of usage at the published rate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Amount(i64);

/// Nano-dollars in a dollar.
pub const NANO_PER_USD: i64 = 1_000_000_000;

/// Why a text is not an amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AmountError {
    #[error("expected a decimal number such as 2.50, without sign or exponent")]
    NotDecimal,
    #[error("has more than nine digits after the point: the smallest amount is 0.000000001")]
    TooFine,
    #[error("is too large: the largest amount is 9223372036.854775807")]
    TooLarge,
}

impl Amount {
    pub const ZERO: Amount = Amount(0);

    pub const fn from_nano(nano: i64) -> Amount {
        Amount(nano)
    }

    pub const fn nano(self) -> i64 {
        self.0
    }

    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    pub fn checked_add(self, other: Amount) -> Option<Amount> {
        self.0.checked_add(other.0).map(Amount)
    }

    pub fn checked_sub(self, other: Amount) -> Option<Amount> {
        self.0.checked_sub(other.0).map(Amount)
    }

    /// Reads an unsigned decimal (`"2.50"`) exactly, or says why it cannot.
    pub fn parse(text: &str) -> Result<Amount, AmountError> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole) || !digits(fraction) {
            return Err(AmountError::NotDecimal);
        }
        let fraction = fraction.trim_end_matches('0');
        if fraction.len() > 9 {
            return Err(AmountError::TooFine);
        }
        let nano_part = format!("{fraction:0<9}").parse::<i64>().map_err(|_| AmountError::NotDecimal)?;
        let whole = whole.parse::<i64>().map_err(|_| AmountError::TooLarge)?;
        whole
            .checked_mul(NANO_PER_USD)
            .and_then(|nano| nano.checked_add(nano_part))
            .map(Amount)
            .ok_or(AmountError::TooLarge)
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let magnitude = self.0.unsigned_abs();
        let (whole, fraction) = (magnitude / NANO_PER_USD as u64, magnitude % NANO_PER_USD as u64);
        if self.0 < 0 {
            f.write_str("-")?;
        }
        if fraction == 0 {
            return write!(f, "{whole}");
        }
        let digits = format!("{fraction:09}");
        write!(f, "{whole}.{}", digits.trim_end_matches('0'))
    }
}

impl serde::Serialize for Amount {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_exact_both_ways() {
        for (text, nano, shown) in [
            ("0", 0, "0"),
            ("2.50", 2_500_000_000, "2.5"),
            ("0.000000001", 1, "0.000000001"),
            ("9223372036.854775807", i64::MAX, "9223372036.854775807"),
            ("0.28", 280_000_000, "0.28"),
        ] {
            let amount = Amount::parse(text).unwrap();
            assert_eq!((amount.nano(), amount.to_string().as_str()), (nano, shown));
        }
        assert_eq!(Amount::from_nano(-1_500_000_000).to_string(), "-1.5");
    }

    #[test]
    fn inexact_or_odd_texts_are_refused() {
        for (text, error) in [
            ("", AmountError::NotDecimal),
            ("1.", AmountError::NotDecimal),
            (".5", AmountError::NotDecimal),
            ("-1", AmountError::NotDecimal),
            ("1e3", AmountError::NotDecimal),
            ("0.0000000001", AmountError::TooFine),
            ("9223372037", AmountError::TooLarge),
            ("99999999999999999999", AmountError::TooLarge),
        ] {
            assert_eq!(Amount::parse(text), Err(error), "{text:?}");
        }
    }
}
