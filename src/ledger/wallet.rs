//! Balances in memory: grants, what is held of them, and the order they are drawn in. Must never know I/O.

use std::hash::BuildHasher;
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use rustc_hash::{FxBuildHasher, FxHashMap};

use super::{Source, WalletTier, WalletView};
use crate::pricing::Amount;

/// Locks that share the map of accounts.
const SHARDS: usize = 64;

/// Kinds of credit, in the order they are spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tier {
    Free,
    Plan,
    Permanent,
}

impl Tier {
    pub const fn as_str(self) -> &'static str {
        match self {
            Tier::Free => "free",
            Tier::Plan => "plan",
            Tier::Permanent => "permanent",
        }
    }

    pub fn parse(name: &str) -> Option<Tier> {
        [Tier::Free, Tier::Plan, Tier::Permanent].into_iter().find(|tier| tier.as_str() == name)
    }
}

/// Credits of one origin.
#[derive(Debug, Clone)]
pub struct Grant {
    pub tier: Tier,
    pub id: Arc<str>,
    /// Unix ms; nothing is held of it afterwards.
    pub expires_at: Option<i64>,
    pub created_at: i64,
    /// What it is worth, with what is held of it.
    pub posted: i64,
    pub held: i64,
}

impl Grant {
    fn free(&self, now_ms: i64) -> i64 {
        if self.expires_at.is_some_and(|at| at <= now_ms) { 0 } else { self.posted - self.held }
    }

    /// Free before plan before permanent; inside a tier the soonest to expire, then the oldest.
    fn rank(&self) -> (Tier, i64, i64) {
        (self.tier, self.expires_at.unwrap_or(i64::MAX), self.created_at)
    }
}

/// A part of a hold.
#[derive(Debug, Clone)]
pub struct Leg {
    pub tier: Tier,
    pub grant: Arc<str>,
    pub amount: i64,
}

/// The API sub-wallet of one account.
#[derive(Debug)]
pub struct Cell {
    pub account: Arc<str>,
    /// In draw-down order.
    grants: Mutex<Vec<Grant>>,
}

impl Cell {
    pub fn new(account: Arc<str>, mut grants: Vec<Grant>) -> Cell {
        grants.sort_by_key(Grant::rank);
        Cell { account, grants: Mutex::new(grants) }
    }

    /// Sets `want` aside, or what `fallback` makes of the amount that is there; the legs, in draw-down order. `Err` says
    /// what is available.
    pub fn hold(&self, want: i64, fallback: &mut dyn FnMut(Amount) -> Option<Amount>) -> Result<Vec<Leg>, Amount> {
        let mut grants = self.grants.lock();
        // The clock is asked only where something can expire.
        let now_ms = if grants.iter().any(|grant| grant.expires_at.is_some()) { super::now_ms() } else { 0 };
        let available = grants.iter().map(|grant| grant.free(now_ms)).fold(0, i64::saturating_add);
        let amount = if want <= available {
            want.max(0)
        } else {
            let short = Amount::from_nano(available);
            let less = fallback(short).filter(|less| (0..=available).contains(&less.nano()));
            less.ok_or(short)?.nano()
        };
        let mut legs = Vec::with_capacity(1);
        let mut rest = amount;
        for grant in grants.iter_mut() {
            let part = grant.free(now_ms).min(rest);
            if part > 0 {
                grant.held += part;
                rest -= part;
                legs.push(Leg { tier: grant.tier, grant: grant.id.clone(), amount: part });
            }
            if rest == 0 {
                break;
            }
        }
        assert!(rest == 0, "a hold never exceeds what is available");
        Ok(legs)
    }

    /// Ends a hold: `sources` of its legs are spent, the rest is given back.
    pub fn end(&self, legs: &[Leg], sources: &[Source]) {
        let mut grants = self.grants.lock();
        for leg in legs {
            let grant = find(&mut grants, leg.tier, &leg.grant).expect("a grant outlives its holds");
            grant.held -= leg.amount;
        }
        for source in sources {
            let grant = grants
                .iter_mut()
                .find(|grant| grant.tier.as_str() == source.tier && grant.id == source.grant)
                .expect("a grant outlives its holds");
            grant.posted -= source.amount.nano();
            assert!(grant.held >= 0 && grant.posted >= grant.held, "no grant goes below zero");
        }
    }

    /// Adds credits to a grant, which may be new.
    pub fn grow(&self, tier: Tier, id: &Arc<str>, created_at: i64, amount: i64) {
        let mut grants = self.grants.lock();
        match find(&mut grants, tier, id) {
            Some(grant) => grant.posted += amount,
            None => {
                grants.push(Grant { tier, id: id.clone(), expires_at: None, created_at, posted: amount, held: 0 });
                grants.sort_by_key(Grant::rank);
            }
        }
    }

    pub fn view(&self) -> WalletView {
        let grants = self.grants.lock();
        let posted = grants.iter().map(|grant| grant.posted).fold(0, i64::saturating_add);
        let pending = grants.iter().map(|grant| grant.held).fold(0, i64::saturating_add);
        let tiers = grants.iter().map(|grant| WalletTier {
            tier: grant.tier.as_str(),
            grant: grant.id.clone(),
            amount: Amount::from_nano(grant.posted),
            expires_at: grant.expires_at,
        });
        WalletView {
            account: self.account.clone(),
            posted: Amount::from_nano(posted),
            pending: Amount::from_nano(pending),
            available: Amount::from_nano(posted - pending),
            tiers: tiers.collect(),
        }
    }
}

fn find<'a>(grants: &'a mut [Grant], tier: Tier, id: &Arc<str>) -> Option<&'a mut Grant> {
    grants.iter_mut().find(|grant| grant.tier == tier && grant.id == *id)
}

/// Which legs of a hold a charge is taken from: in draw-down order, whole legs first. `charge` is at most their sum.
pub fn drain(legs: &[Leg], charge: i64) -> Vec<Source> {
    let mut rest = charge;
    let mut sources = Vec::with_capacity(legs.len());
    for leg in legs {
        let part = leg.amount.min(rest);
        if part > 0 {
            rest -= part;
            sources.push(Source { tier: leg.tier.as_str(), grant: leg.grant.clone(), amount: Amount::from_nano(part) });
        }
    }
    assert!(rest == 0, "a charge never exceeds its hold");
    sources
}

/// Every account's cell.
#[derive(Debug)]
pub struct Wallets {
    shards: Vec<RwLock<FxHashMap<Arc<str>, Arc<Cell>>>>,
}

impl Default for Wallets {
    fn default() -> Wallets {
        Wallets { shards: (0..SHARDS).map(|_| RwLock::default()).collect() }
    }
}

impl Wallets {
    fn shard(&self, account: &str) -> &RwLock<FxHashMap<Arc<str>, Arc<Cell>>> {
        // The map inside uses the low bits of the same hash.
        &self.shards[(FxBuildHasher.hash_one(account) >> 32) as usize % SHARDS]
    }

    pub fn get(&self, account: &str) -> Option<Arc<Cell>> {
        self.shard(account).read().get(account).cloned()
    }

    /// The cell of an account, which is made empty where there is none.
    pub fn enrol(&self, account: &Arc<str>, grants: Vec<Grant>) -> Arc<Cell> {
        let mut shard = self.shard(account).write();
        let cell = || Arc::new(Cell::new(account.clone(), grants));
        shard.entry(account.clone()).or_insert_with(cell).clone()
    }
}
