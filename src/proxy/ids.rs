//! Call ids and random draws, without a system call each; from a seed where runs must repeat.

use std::time::{SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::ledger::CallId;

/// Where ids and draws come from.
pub enum Ids {
    Random,
    Seeded(Box<Mutex<StdRng>>),
}

impl Ids {
    pub fn new(seed: Option<u64>) -> Ids {
        seed.map_or(Ids::Random, |seed| Ids::Seeded(Box::new(Mutex::new(StdRng::seed_from_u64(seed)))))
    }

    fn fill(&self, bytes: &mut [u8]) {
        match self {
            Ids::Random => rand::rng().fill_bytes(bytes),
            Ids::Seeded(rng) => rng.lock().fill_bytes(bytes),
        }
    }

    /// A new call's id: the time in milliseconds and 74 random bits.
    pub fn call(&self) -> CallId {
        let mut random = [0; 10];
        self.fill(&mut random);
        CallId(uuid::Builder::from_unix_timestamp_millis(now_ms(), &random).into_uuid())
    }

    /// A number for a weighted choice.
    pub fn draw(&self) -> u64 {
        let mut random = [0; 8];
        self.fill(&mut random);
        u64::from_le_bytes(random)
    }
}

/// Unix milliseconds.
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
