//! Which channel next. `now` and randomness are arguments; must never know sockets.

use std::sync::Arc;

use crate::catalog::{Channel, ChannelState, Model};
use crate::wire::{Operation, Protocol};

/// Most channels that one call tries, whatever the configuration says.
pub const ATTEMPTS_MAX: usize = 16;

/// Why no channel can be tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoPlan {
    /// No channel has a key.
    NotConfigured,
    /// None speaks what was asked for.
    NotSupported,
}

/// Whether a model does an operation. Every chat model also counts its tokens and answers legacy completions.
pub fn offers(model: &Model, operation: Operation) -> bool {
    match operation {
        Operation::CountTokens | Operation::Completions => {
            model.operations.has(operation) || model.operations.has(Operation::Chat)
        }
        Operation::Chat | Operation::Embeddings | Operation::Rerank | Operation::Moderations => {
            model.operations.has(operation)
        }
    }
}

/// The channels to try, in order: by priority tier, within it those that speak the client's own protocol, whose bytes need no
/// translation, then a weighted draw. `draw` is a random number.
///
/// The first place of a tier goes to a channel with a chance of its weight over the tier's weight, the next one likewise
/// among those left. No channel stands twice. At most `attempts_max` channels (1 to `ATTEMPTS_MAX`).
pub fn plan(
    model: &Model,
    protocol: Protocol,
    operation: Operation,
    attempts_max: usize,
    draw: u64,
) -> Result<Vec<Arc<Channel>>, NoPlan> {
    let mut ready: Vec<&Arc<Channel>> = Vec::new();
    let mut speaks = false;
    for channel in model.channels.iter().filter(|channel| serves(model, channel, protocol, operation)) {
        match channel.state {
            ChannelState::Ready => ready.push(channel),
            ChannelState::Dormant | ChannelState::Disabled => speaks = true,
            ChannelState::Unsupported => {}
        }
    }
    if ready.is_empty() {
        return Err(if speaks { NoPlan::NotConfigured } else { NoPlan::NotSupported });
    }
    let attempts_max = attempts_max.clamp(1, ATTEMPTS_MAX);
    let mut random = Draws(draw);
    ready.sort_by_key(|channel| channel.priority);
    let mut order = Vec::with_capacity(attempts_max.min(ready.len()));
    for tier in ready.chunk_by_mut(|a, b| a.priority == b.priority) {
        if order.len() == attempts_max {
            break;
        }
        shuffle(tier, &mut random);
        tier.sort_by_key(|channel| channel.protocol != protocol);
        order.extend(tier.iter().take(attempts_max - order.len()).map(|channel| Arc::clone(channel)));
    }
    Ok(order)
}

/// Whether a channel can carry an operation asked for in a protocol.
fn serves(model: &Model, channel: &Channel, protocol: Protocol, operation: Operation) -> bool {
    match operation {
        Operation::Chat => true,
        // As a chat, where the model has no completions of its own.
        Operation::Completions => {
            !model.operations.has(Operation::Completions) || channel.protocol == Protocol::OpenAiChat
        }
        // Another vendor's count would be of another prompt.
        Operation::CountTokens => channel.protocol == protocol && protocol != Protocol::OpenAiChat,
        Operation::Embeddings => matches!(channel.protocol, Protocol::OpenAiChat | Protocol::GeminiGenerate),
        Operation::Rerank | Operation::Moderations => channel.protocol == Protocol::OpenAiChat,
    }
}

/// Orders a tier by weighted draws without repetition.
fn shuffle(tier: &mut [&Arc<Channel>], random: &mut Draws) {
    for place in 0..tier.len() {
        let left = &mut tier[place..];
        let total: u64 = left.iter().map(|channel| u64::from(channel.weight)).sum();
        let mut at = random.below(total);
        let chosen = left.iter().position(|channel| {
            let weight = u64::from(channel.weight);
            let hit = at < weight;
            at = at.saturating_sub(weight);
            hit
        });
        // All weights left are 0: the order of the catalog.
        left[..=chosen.unwrap_or(0)].rotate_right(1);
    }
}

/// Numbers spread from one draw (SplitMix64).
struct Draws(u64);

impl Draws {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Evenly below `end`; 0 when `end` is 0.
    fn below(&mut self, end: u64) -> u64 {
        let scaled = (u128::from(self.next()) * u128::from(end)) >> 64;
        u64::try_from(scaled).expect("a product of two 64-bit numbers, shifted by 64, has 64 bits")
    }
}

#[cfg(test)]
mod tests;
