//! What a call costs by given price rows, computed anew from its meters. Must never know where rows come from.

use crate::pricing::{Amount, Meter, Meters, PriceRow};

/// Which token total a meter belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Input,
    Output,
    /// Not a token meter.
    Other,
}

pub fn side(meter: Meter) -> Side {
    use Meter::*;
    match meter {
        InputTokens
        | CacheReadTokens
        | CacheWriteTokens
        | InputAudioTokens
        | CacheReadAudioTokens
        | CacheWriteAudioTokens
        | InputImageTokens
        | CacheReadImageTokens
        | InputVideoTokens => Side::Input,
        OutputTokens | ReasoningTokens | OutputAudioTokens | OutputImageTokens | OutputVideoTokens | CitationTokens => {
            Side::Output
        }
        InputAudioSeconds | InputVideoSeconds | OutputAudioSeconds | OutputVideoSeconds | InputImages
        | OutputImages | OutputMegapixels | ExtraMegapixels | InputCharacters | Pages | AnnotatedPages
        | WebSearchCalls | Requests => Side::Other,
    }
}

/// The exact sum of count × rate, rounded down once. A token meter without a row takes the one of its side's text tokens;
/// any other meter without a row is free. Saturates at the largest amount.
pub fn recompute(rows: &[PriceRow], meters: &Meters) -> Amount {
    let row_of = |meter: Meter| rows.iter().find(|row| row.meter == meter);
    // The sum as a fraction, so that only the end rounds.
    let (mut numerator, mut denominator) = (0u128, 1u128);
    for (meter, count) in meters.iter() {
        let row = row_of(meter).or_else(|| match side(meter) {
            Side::Input => row_of(Meter::InputTokens),
            Side::Output => row_of(Meter::OutputTokens),
            Side::Other => None,
        });
        let Some(row) = row.filter(|row| row.rate.per > 0) else { continue };
        let (per, price) = (u128::from(row.rate.per), u128::from(count) * u128::from(row.rate.nano_usd));
        let common = denominator / gcd(denominator, per) * per;
        let scaled = |n: u128, of: u128| n.checked_mul(common / of);
        let sum = scaled(numerator, denominator).zip(scaled(price, per)).and_then(|(a, b)| a.checked_add(b));
        let Some(sum) = sum else { return Amount::from_nano(i64::MAX) };
        (numerator, denominator) = (sum, common);
    }
    Amount::from_nano(i64::try_from(numerator / denominator).unwrap_or(i64::MAX))
}

fn gcd(mut a: u128, mut b: u128) -> u128 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pricing::{PriceRowId, Rate};

    fn row(meter: Meter, nano_usd: u64, per: u64) -> PriceRow {
        PriceRow { id: PriceRowId(1), meter, rate: Rate { nano_usd, per }, when: [].into(), input_tokens_gt: None }
    }

    #[test]
    fn rounds_once_and_borrows_the_row_of_its_side() {
        let rows = [row(Meter::InputTokens, 1, 3), row(Meter::OutputTokens, 1, 2), row(Meter::WebSearchCalls, 10, 1)];
        let meters: Meters = [
            (Meter::InputTokens, 1),
            (Meter::CacheReadTokens, 1),
            (Meter::ReasoningTokens, 1),
            (Meter::WebSearchCalls, 2),
            (Meter::Requests, 9),
        ]
        .into_iter()
        .collect();
        // 1/3 + 1/3 + 1/2 + 20 = 21.16…
        assert_eq!(recompute(&rows, &meters).nano(), 21);
    }

    #[test]
    fn saturates() {
        let meters: Meters = [(Meter::InputTokens, u64::MAX)].into_iter().collect();
        assert_eq!(recompute(&[row(Meter::InputTokens, u64::MAX, 1)], &meters).nano(), i64::MAX);
    }
}
