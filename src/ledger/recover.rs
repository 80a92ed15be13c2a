//! Opening a data directory: what a journal still holds goes to the store, exactly once. Must never guess at a record.

use std::fs;
use std::path::Path;

use rustc_hash::{FxHashMap, FxHashSet};

use super::codec::{self, Entry};
use super::journal::frame::{self, Next};
use super::journal::segment::{self, Found, HEADER_BYTES};
use super::journal::{self, Start};
use super::keys::{Digest, KnownKey};
use super::store::{Mark, Store, accounts};
use super::wallet::{Grant, Wallets};
use super::writer::BATCH_LEN_MAX;
use super::{LedgerError, Options, admin};

/// Replays what the store does not have, deletes what it has, and says where the journal goes on.
pub fn replay(dir: &Path, store: &mut Store) -> Result<Start, LedgerError> {
    let failed = |error: std::io::Error| LedgerError::Store(format!("{}: {error}", dir.display()));
    let segments = segment::list(dir).map_err(failed)?;
    let mut mark = store.mark()?;
    let mut torn = Vec::new();
    for found in &segments {
        torn.push(replay_segment(found, store, &mut mark).map_err(|error| at_segment(found, error))?);
    }
    // Without a whole checkpoint (another program reads the store) they stay, and are skipped by their sequence next time.
    let whole = store.checkpoint()?;
    for (found, torn) in segments.iter().zip(torn).filter(|(found, _)| whole || found.header.is_none()) {
        match torn {
            // Kept for whoever wants to know what became of its end; no later opening looks at it.
            true => fs::rename(&found.path, found.path.with_extension("torn")).map_err(failed)?,
            false => fs::remove_file(&found.path).map_err(failed)?,
        }
    }
    let number = segments.last().map_or(1, |last| last.number + 1);
    Ok(Start { segment: number, position: mark.position, sequence: mark.sequence })
}

fn at_segment(found: &Found, error: LedgerError) -> LedgerError {
    match error {
        LedgerError::Store(problem) => LedgerError::Store(format!("{}: {problem}", found.path.display())),
        other => other,
    }
}

/// Returns whether the segment ends in a record that is not whole.
fn replay_segment(found: &Found, store: &mut Store, mark: &mut Mark) -> Result<bool, LedgerError> {
    let Some(header) = found.header else { return Ok(false) };
    let bytes = fs::read(&found.path).map_err(|error| LedgerError::Store(error.to_string()))?;
    let mut rest = bytes.get(HEADER_BYTES as usize..).unwrap_or_default();
    let mut expected = header.sequence;
    let mut entries = Vec::new();
    let mut torn = false;
    loop {
        let frame = match frame::next(rest) {
            // The sequence is checked so that no record of another time is taken for one of this segment.
            Next::Frame(frame) if frame.sequence == expected => frame,
            Next::End => break,
            Next::Frame(_) | Next::Cut | Next::Damaged => {
                // Nobody was told that this record was safe: it is the one that was being written.
                tracing::warn!(path = %found.path.display(), sequence = expected, "the journal ends in a torn record");
                torn = true;
                break;
            }
        };
        rest = &rest[frame.size()..];
        expected += 1;
        if frame.sequence <= mark.sequence {
            continue;
        }
        if frame.sequence != mark.sequence + 1 {
            let missing = frame.sequence - mark.sequence - 1;
            tracing::error!(missing, before = frame.sequence, "journal records are missing: the disk lost them");
        }
        entries.push(codec::read_entry(frame.payload).map_err(|error| LedgerError::Store(error.to_string()))?);
        mark.sequence = frame.sequence;
        // The store may be ahead of a journal whose end the disk lost; a position never goes back.
        mark.position += frame.size() as u64;
        if entries.len() == BATCH_LEN_MAX {
            flush(store, &mut entries, *mark)?;
        }
    }
    flush(store, &mut entries, *mark)?;
    Ok(torn)
}

fn flush(store: &mut Store, entries: &mut Vec<Entry>, mark: Mark) -> Result<(), LedgerError> {
    if entries.is_empty() {
        return Ok(());
    }
    for at in store.take(entries, Some(mark))? {
        if let Entry::Usage(record) = &entries[at] {
            tracing::error!(call = %record.id, "a call id came twice: the second is not charged");
        }
    }
    entries.clear();
    Ok(())
}

/// The journal's directory.
pub fn journal_dir(data_dir: &Path) -> std::path::PathBuf {
    data_dir.join("journal")
}

/// Every account's cell, with its balances from the store.
pub fn wallets(store: &Store) -> Result<Wallets, LedgerError> {
    let wallets = Wallets::default();
    let mut grants: FxHashMap<_, Vec<Grant>> = FxHashMap::default();
    for (account, grant) in accounts::grants(store.connection())? {
        grants.entry(account).or_default().push(grant);
    }
    for account in accounts::accounts(store.connection())? {
        wallets.enrol(&account.id, grants.remove(&account.id).unwrap_or_default());
    }
    Ok(wallets)
}

/// Every key by its digest.
pub fn keys(store: &Store, options: &Options) -> Result<FxHashMap<Digest, KnownKey>, LedgerError> {
    let keys = accounts::keys(store.connection(), None)?;
    Ok(keys.iter().map(|key| (key.digest, admin::known(key, options.policy))).collect())
}

pub fn price_rows(store: &Store) -> Result<FxHashSet<u64>, LedgerError> {
    Ok(accounts::price_row_ids(store.connection())?.into_iter().collect())
}

/// Starts a journal behind everything that was replayed.
pub fn start(dir: &Path, segment_bytes: u64, power: bool, start: Start) -> Result<journal::Journal, LedgerError> {
    let data_dir = dir.parent().filter(|_| power);
    let synced = data_dir.map_or(Ok(()), |data_dir| fs::File::open(data_dir).and_then(|dir| dir.sync_all()));
    synced
        .and_then(|()| journal::Journal::start(dir, segment_bytes, power, start))
        .map_err(|error| LedgerError::Store(format!("{}: {error}", dir.display())))
}
