//! Proves the store: everything that can be computed anew is, and compared, inside one read snapshot. Must never repair.

use std::collections::BTreeMap;
use std::sync::Arc;

use rusqlite::{Connection, Row};
use rustc_hash::FxHashMap;

use super::book::{self, About, BlockHasher, Hash, Sums};
use super::export::{self, Transfer};

use super::{failed, row};
use crate::ledger::usage::rfc3339;
use crate::ledger::{LedgerError, UsageRecord, VerifyReport};
use crate::pricing::{Amount, Meter, PriceRow, PriceRowId, Rate, recompute};

/// Problems that are told one by one; the rest is counted.
const PROBLEMS_MAX: usize = 100;

pub fn verify(conn: &mut Connection) -> Result<VerifyReport, LedgerError> {
    let tx = conn.transaction().map_err(failed)?;
    let mut proof = Proof { prices: price_rows(&tx)?, ..Proof::default() };
    proof.blocks(&tx)?;
    proof.days();
    proof.balances(&tx)?;
    proof.rollups(&tx)?;
    proof.fundings(&tx)?;
    Ok(proof.report())
}

/// Account and day.
type Day = (Arc<str>, i64);

#[derive(Default)]
struct Proof {
    prices: FxHashMap<u64, PriceRow>,
    calls: u64,
    transfers: u64,
    accounts: u64,
    recomputed: u64,
    /// By day, model, account.
    sums: BTreeMap<(Arc<str>, i64, Arc<str>), Sums>,
    settled: BTreeMap<Day, i128>,
    balances: BTreeMap<String, i128>,
    funded: BTreeMap<String, i128>,
    problems: Vec<String>,
    more: u64,
}

impl Proof {
    fn problem(&mut self, text: String) {
        if self.problems.len() < PROBLEMS_MAX { self.problems.push(text) } else { self.more += 1 }
    }

    fn report(mut self) -> VerifyReport {
        if self.more > 0 {
            self.problems.push(format!("and {} more problems", self.more));
        }
        VerifyReport {
            ok: self.problems.is_empty(),
            calls: self.calls,
            transfers: self.transfers,
            accounts: self.accounts,
            recomputed: self.recomputed,
            problems: self.problems,
        }
    }

    /// Walks the chain: each block's rows, in order, and its hash.
    fn blocks(&mut self, conn: &Connection) -> Result<(), LedgerError> {
        let mut select =
            conn.prepare("SELECT n, usage_last, transfers_last, hash FROM blocks ORDER BY n").map_err(failed)?;
        let read = |row: &Row<'_>| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?, row.get::<_, Hash>(3)?))
        };
        let (mut number, mut usage, mut transfers, mut hash) = (0, 0, 0, Hash::default());
        for block in select.query_map([], read).map_err(failed)? {
            let (n, usage_last, transfers_last, stored) = block.map_err(failed)?;
            if n != number + 1 {
                self.problem(format!("block {} follows block {number}", n));
            }
            let mut hasher = BlockHasher::new(&hash, n);
            self.block(conn, n, (usage, usage_last), (transfers, transfers_last), &mut hasher)?;
            if hasher.finish() != stored {
                self.problem(format!("block {n}: its hash is not that of its rows and the block before"));
            }
            (number, usage, transfers, hash) = (n, usage_last, transfers_last, stored);
        }
        for (table, key, last) in [("usage", "n", usage), ("transfers", "id", transfers)] {
            let sql = format!("SELECT count(*) FROM {table} WHERE {key} > ?1");
            let outside: i64 = conn.query_row(&sql, [last], |row| row.get(0)).map_err(failed)?;
            if outside > 0 {
                self.problem(format!("{outside} rows of {table} stand in no block"));
            }
        }
        Ok(())
    }

    fn block(
        &mut self,
        conn: &Connection,
        number: i64,
        usage: (i64, i64),
        transfers: (i64, i64),
        hasher: &mut BlockHasher,
    ) -> Result<(), LedgerError> {
        let mut legs = match export::transfers(conn, transfers.0, transfers.1, usize::MAX) {
            Ok(legs) => legs.into_iter().peekable(),
            Err(error) => {
                self.problem(format!("block {number}: a transfer cannot be read: {error}"));
                return Ok(());
            }
        };
        let sql = format!("SELECT {} FROM usage u WHERE u.n > ?1 AND u.n <= ?2 ORDER BY u.n", row::COLUMNS);
        let mut select = conn.prepare_cached(&sql).map_err(failed)?;
        for record in select.query_map([usage.0, usage.1], row::read).map_err(failed)? {
            let record = match record {
                Ok((_, record)) => record,
                Err(error) => {
                    self.problem(format!("block {number}: a call cannot be read: {error}"));
                    continue;
                }
            };
            hasher.usage(&record);
            self.call(&record);
            let mut own = Vec::new();
            while let Some(leg) = legs.next_if(|leg| leg.about == About::Call(record.id)) {
                own.push(leg);
            }
            self.legs_of(&record, &own);
            own.iter().for_each(|leg| self.transfer(leg, hasher));
        }
        for leg in legs {
            if matches!(leg.about, About::Call(_)) {
                self.problem(format!("transfer {}: is not beside its call", leg.id));
            }
            self.transfer(&leg, hasher);
        }
        Ok(())
    }

    fn call(&mut self, record: &UsageRecord) {
        self.calls += 1;
        let key = (record.account.clone(), book::day(record.created_at_ms), record.model.clone());
        self.sums.entry(key).or_default().add(record);
        let spent: i128 = record.sources.iter().map(|source| i128::from(source.amount.nano())).sum();
        if spent != i128::from(record.charge.nano()) {
            let (id, charge) = (record.id, record.charge);
            self.problem(format!("{}: {id} is charged {charge}, its sources are {}", whose(record), show(spent)));
        }
        if record.charge > record.held {
            let (id, charge, held) = (record.id, record.charge, record.held);
            self.problem(format!("{}: {id} is charged {charge}, more than the {held} held", whose(record)));
        }
        if !record.charge.is_zero() && !record.usage.is_empty() {
            self.charge(record);
        }
    }

    fn charge(&mut self, record: &UsageRecord) {
        let rows: Result<Vec<PriceRow>, PriceRowId> =
            record.price_row_ids.iter().map(|id| self.prices.get(&id.0).cloned().ok_or(*id)).collect();
        match rows {
            Err(PriceRowId(row)) => {
                let id = record.id;
                self.problem(format!("{}: {id} is priced by row {row:016x}, which is not known", whose(record)));
            }
            Ok(rows) => {
                self.recomputed += 1;
                let due = recompute(&rows, &record.usage).min(record.held);
                if due != record.charge {
                    let (id, charge) = (record.id, record.charge);
                    self.problem(format!("{}: {id} is charged {charge}, its usage makes {due}", whose(record)));
                }
            }
        }
    }

    /// A call's transfers must be those that its record makes.
    fn legs_of(&mut self, record: &UsageRecord, legs: &[Transfer]) {
        let due = book::postings(record);
        let same = legs.len() == due.len()
            && legs.iter().zip(&due).all(|(leg, due)| leg.posting == *due && leg.at == record.created_at_ms);
        if !same {
            let (id, legs, due) = (record.id, legs.len(), due.len());
            self.problem(format!(
                "{}: the transfers of {id} are not those of its record ({legs}, {due})",
                whose(record)
            ));
        }
    }

    fn transfer(&mut self, leg: &Transfer, hasher: &mut BlockHasher) {
        hasher.transfer(&leg.about, leg.at, &leg.posting);
        let posting = &leg.posting;
        self.transfers += u64::from(posting.leg == 0);
        let amount = i128::from(posting.amount);
        if amount <= 0 || posting.debit == posting.credit {
            self.problem(format!("transfer {}: {} moves nothing", leg.id, posting.kind));
        }
        *self.balances.entry(posting.debit.clone()).or_default() -= amount;
        *self.balances.entry(posting.credit.clone()).or_default() += amount;
        let owner_of = |name: &str| book::kind_and_owner(name).1.unwrap_or_default().to_owned();
        if posting.kind == book::SETTLE {
            *self.settled.entry((owner_of(&posting.debit).into(), book::day(leg.at))).or_default() += amount;
        }
        if posting.kind == book::FUND {
            *self.funded.entry(owner_of(&posting.credit)).or_default() += amount;
        }
    }

    /// Per account and day: what calls were charged is what was settled.
    fn days(&mut self) {
        let mut charged: BTreeMap<Day, i128> = BTreeMap::new();
        for ((account, day, _), sums) in &self.sums {
            *charged.entry((account.clone(), *day)).or_default() += i128::from(sums.charge);
        }
        let settled = std::mem::take(&mut self.settled);
        for key in charged.keys().chain(settled.keys()).collect::<std::collections::BTreeSet<_>>() {
            let (calls, entries) = (value(&charged, key), value(&settled, key));
            if calls != entries {
                let (account, day) = (&key.0, date(key.1));
                let (calls, entries) = (show(calls), show(entries));
                self.problem(format!("account {account} on {day}: calls are charged {calls}, settled are {entries}"));
            }
        }
    }

    fn balances(&mut self, conn: &Connection) -> Result<(), LedgerError> {
        let mut select =
            conn.prepare("SELECT name, kind, balance FROM ledger_accounts ORDER BY name").map_err(failed)?;
        let read = |row: &Row<'_>| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get::<_, i64>(2)?));
        let mut sum = 0i128;
        for account in select.query_map([], read).map_err(failed)? {
            let (name, kind, balance) = account.map_err(failed)?;
            let balance = i128::from(balance);
            self.accounts += 1;
            sum += balance;
            let due = self.balances.remove(&name).unwrap_or_default();
            if balance != due {
                let (balance, due) = (show(balance), show(due));
                self.problem(format!("ledger account {name}: its balance is {balance}, its transfers make {due}"));
            }
            if balance < 0 && matches!(kind.as_str(), "liability" | "income") {
                self.problem(format!("ledger account {name}: its balance {} is below zero", show(balance)));
            }
        }
        if sum != 0 {
            self.problem(format!("all balances make {}, not 0", show(sum)));
        }
        for name in std::mem::take(&mut self.balances).into_keys() {
            self.problem(format!("ledger account {name}: has transfers but no balance"));
        }
        Ok(())
    }

    fn rollups(&mut self, conn: &Connection) -> Result<(), LedgerError> {
        let mut by_account = std::mem::take(&mut self.sums);
        let mut by_model: BTreeMap<(i64, Arc<str>), Sums> = BTreeMap::new();
        for ((_, day, model), sums) in &by_account {
            plus(by_model.entry((*day, model.clone())).or_default(), sums);
        }
        let name = "(SELECT name FROM names WHERE id =";
        let sql = format!(
            "SELECT {name} r.account), r.day, {name} r.model), calls, errors, input_tokens, output_tokens, charge, cost
             FROM rollup_account_day r"
        );
        let mut select = conn.prepare(&sql).map_err(failed)?;
        let read = |row: &Row<'_>| Ok(((row.get(0)?, row.get(1)?, row.get(2)?), sums(row, 3)?));
        for rollup in select.query_map([], read).map_err(failed)? {
            let (key, stored): ((Arc<str>, i64, Arc<str>), Sums) = rollup.map_err(failed)?;
            if by_account.remove(&key) != Some(stored) {
                let (account, day, model) = (&key.0, date(key.1), &key.2);
                self.problem(format!(
                    "account {account} on {day}: the rollup of model {model} is not that of its calls"
                ));
            }
        }
        let sql = format!(
            "SELECT r.day, {name} r.model), calls, errors, input_tokens, output_tokens, charge, cost FROM rollup_model_day r"
        );
        let mut select = conn.prepare(&sql).map_err(failed)?;
        let read = |row: &Row<'_>| Ok(((row.get(0)?, row.get(1)?), sums(row, 2)?));
        for rollup in select.query_map([], read).map_err(failed)? {
            let (key, stored): ((i64, Arc<str>), Sums) = rollup.map_err(failed)?;
            if by_model.remove(&key) != Some(stored) {
                self.problem(format!("model {} on {}: its rollup is not that of its calls", key.1, date(key.0)));
            }
        }
        if !by_account.is_empty() || !by_model.is_empty() {
            self.problem(format!("{} rollups are missing", by_account.len() + by_model.len()));
        }
        Ok(())
    }

    /// Every funding moved its amount.
    fn fundings(&mut self, conn: &Connection) -> Result<(), LedgerError> {
        let mut select = conn.prepare("SELECT account, amount FROM fundings").map_err(failed)?;
        let mut asked: BTreeMap<String, i128> = BTreeMap::new();
        let read = |row: &Row<'_>| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?));
        for funding in select.query_map([], read).map_err(failed)? {
            let (account, amount) = funding.map_err(failed)?;
            *asked.entry(account).or_default() += i128::from(amount);
        }
        let funded = std::mem::take(&mut self.funded);
        for account in asked.keys().chain(funded.keys()).collect::<std::collections::BTreeSet<_>>() {
            let (asked, moved) = (value(&asked, account), value(&funded, account));
            if asked != moved {
                let (asked, moved) = (show(asked), show(moved));
                self.problem(format!("account {account}: fundings make {asked}, FUND transfers make {moved}"));
            }
        }
        Ok(())
    }
}

fn price_rows(conn: &Connection) -> Result<FxHashMap<u64, PriceRow>, LedgerError> {
    let mut select = conn.prepare("SELECT id, meter, nano_usd, per FROM price_rows").map_err(failed)?;
    let read = |row: &Row<'_>| {
        let bits = |column| row.get::<_, i64>(column).map(i64::cast_unsigned);
        let meter: String = row.get(1)?;
        let meter = Meter::parse(&meter).ok_or(rusqlite::Error::InvalidColumnName(meter))?;
        let (id, rate) = (bits(0)?, Rate { nano_usd: bits(2)?, per: bits(3)? });
        // Conditions chose the row at admission; they play no part in its price.
        Ok((id, PriceRow { id: PriceRowId(id), meter, rate, when: [].into(), input_tokens_gt: None }))
    };
    select.query_map([], read).and_then(Iterator::collect).map_err(failed)
}

fn sums(row: &Row<'_>, first: usize) -> rusqlite::Result<Sums> {
    Ok(Sums {
        calls: row.get(first)?,
        errors: row.get(first + 1)?,
        input_tokens: row.get(first + 2)?,
        output_tokens: row.get(first + 3)?,
        charge: row.get(first + 4)?,
        cost: row.get(first + 5)?,
    })
}

fn plus(to: &mut Sums, more: &Sums) {
    to.calls += more.calls;
    to.errors += more.errors;
    to.input_tokens += more.input_tokens;
    to.output_tokens += more.output_tokens;
    to.charge += more.charge;
    to.cost += more.cost;
}

fn value<K: Ord>(map: &BTreeMap<K, i128>, key: &K) -> i128 {
    map.get(key).copied().unwrap_or_default()
}

fn whose(record: &UsageRecord) -> String {
    format!("account {} on {}", record.account, date(book::day(record.created_at_ms)))
}

fn date(day: i64) -> String {
    let mut text = rfc3339(day.saturating_mul(book::DAY_MS));
    text.truncate(10);
    text
}

/// An amount that may not fit into one.
fn show(nano: i128) -> String {
    i64::try_from(nano).map_or_else(|_| format!("{nano} nano-USD"), |nano| Amount::from_nano(nano).to_string())
}
