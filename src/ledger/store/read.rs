//! Reading usage beside the writer: a bounded pool of read-only connections, keyset pages, a stream. Must never write.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, params_from_iter};

use super::{failed, row, schema};
use crate::ledger::{CallId, LedgerError, UsagePage, UsageQuery, UsageRecord};

/// Connections that read at one time; who comes later waits.
const READERS_MAX: usize = 4;
/// How long it waits.
const LEASE_TIMEOUT: Duration = Duration::from_secs(10);
/// Most records of a page.
pub const PAGE_LEN_MAX: usize = 1000;

pub struct Readers {
    data_dir: PathBuf,
    pool: Mutex<Pool>,
    returned: Condvar,
}

#[derive(Default)]
struct Pool {
    idle: Vec<Connection>,
    busy: usize,
}

impl Readers {
    pub fn new(data_dir: &Path) -> Readers {
        Readers { data_dir: data_dir.to_owned(), pool: Mutex::default(), returned: Condvar::new() }
    }

    pub fn with<T>(&self, read: impl FnOnce(&mut Connection) -> Result<T, LedgerError>) -> Result<T, LedgerError> {
        let mut lease = self.lease()?;
        let conn = lease.conn.as_mut().expect("a lease has its connection until it ends");
        read(conn)
    }

    /// Closes the connections that nobody uses, so that the writer's is the last and tidies up.
    pub fn close_idle(&self) {
        self.pool.lock().idle.clear();
    }

    fn lease(&self) -> Result<Lease<'_>, LedgerError> {
        let mut pool = self.pool.lock();
        let deadline = Instant::now() + LEASE_TIMEOUT;
        while pool.busy >= READERS_MAX {
            if self.returned.wait_until(&mut pool, deadline).timed_out() {
                return Err(LedgerError::Store("too many lists are being read: try again later".into()));
            }
        }
        pool.busy += 1;
        let idle = pool.idle.pop();
        drop(pool);
        let mut lease = Lease { readers: self, conn: idle };
        if lease.conn.is_none() {
            lease.conn = Some(schema::open_reader(&self.data_dir)?);
        }
        Ok(lease)
    }
}

/// Gives its place back, whatever happens to the reading.
struct Lease<'a> {
    readers: &'a Readers,
    conn: Option<Connection>,
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        let mut pool = self.readers.pool.lock();
        pool.busy -= 1;
        pool.idle.extend(self.conn.take());
        self.readers.returned.notify_one();
    }
}

/// One statement for every set of filters: which index it walks is decided by the equalities in it.
pub fn sql(query: &UsageQuery) -> (String, Vec<Value>) {
    let mut sql = format!("SELECT {} FROM usage u WHERE 1", row::COLUMNS);
    let mut values = Vec::new();
    let mut filter = |condition: &str, value: Value| {
        values.push(value);
        sql.push_str(&condition.replace('?', &format!("?{}", values.len())));
    };
    let named = |column: &str| format!(" AND u.{column} = (SELECT id FROM names WHERE name = ?)");
    let text = |name: &str| Value::Text(name.to_owned());
    if let Some(account) = &query.account {
        filter(&named("account"), text(account));
    }
    if let Some(model) = &query.model {
        filter(&named("model"), text(model));
    }
    if let Some(key) = &query.key {
        filter(&named("key"), text(key));
    }
    if let Some(status) = query.status {
        // The index of statuses leaves out the one that nearly all rows have.
        let condition = if status == 200 { " AND u.status = ?" } else { " AND u.status = ? AND u.status <> 200" };
        filter(condition, Value::Integer(i64::from(status)));
    }
    if let Some(from) = query.from_ms {
        filter(" AND u.created_at >= ?", Value::Integer(from));
    }
    if let Some(to) = query.to_ms {
        filter(" AND u.created_at < ?", Value::Integer(to));
    }
    (sql, values)
}

/// A place in the list: the last call that was shown.
#[derive(Debug, Clone, Copy)]
struct Place {
    created_at: i64,
    n: i64,
}

fn place(conn: &Connection, query: &UsageQuery) -> Result<Option<Place>, LedgerError> {
    let Some(cursor) = &query.cursor else { return Ok(None) };
    let unknown = || LedgerError::Invalid(format!("cursor \"{cursor}\" is not one of this list"));
    let id = uuid::Uuid::try_parse(cursor).map_err(|_| unknown())?;
    let mut select = conn
        .prepare_cached(
            "SELECT created_at, n FROM usage WHERE id = ?1
             AND (?2 IS NULL OR account = (SELECT id FROM names WHERE name = ?2))",
        )
        .map_err(failed)?;
    let read = |row: &rusqlite::Row<'_>| Ok(Place { created_at: row.get(0)?, n: row.get(1)? });
    let place = select.query_row(rusqlite::params![id.as_bytes(), query.account.as_deref()], read);
    place.optional().map_err(failed)?.ok_or_else(unknown).map(Some)
}

/// Records behind `place`, newest first; those of one millisecond in the order in which they ended, last first.
fn records(
    conn: &Connection,
    query: &UsageQuery,
    place: Option<Place>,
    len: usize,
) -> Result<Vec<(Place, UsageRecord)>, LedgerError> {
    let (mut sql, mut values) = sql(query);
    if let Some(place) = place {
        values.extend([Value::Integer(place.created_at), Value::Integer(place.n)]);
        sql.push_str(&format!(" AND (u.created_at, u.n) < (?{}, ?{})", values.len() - 1, values.len()));
    }
    values.push(Value::Integer(i64::try_from(len).unwrap_or(i64::MAX)));
    sql.push_str(&format!(" ORDER BY u.created_at DESC, u.n DESC LIMIT ?{}", values.len()));
    let mut select = conn.prepare_cached(&sql).map_err(failed)?;
    let read = |row: &rusqlite::Row<'_>| {
        let (n, record) = row::read(row)?;
        Ok((Place { created_at: record.created_at_ms, n }, record))
    };
    select.query_map(params_from_iter(values), read).and_then(Iterator::collect).map_err(failed)
}

pub fn page(conn: &Connection, query: &UsageQuery) -> Result<UsagePage, LedgerError> {
    let limit = query.limit.clamp(1, PAGE_LEN_MAX);
    let place = place(conn, query)?;
    // One more tells whether there is a next page.
    let mut records = records(conn, query, place, limit + 1)?;
    let more = records.len() > limit;
    records.truncate(limit);
    let data: Vec<UsageRecord> = records.into_iter().map(|(_, record)| record).collect();
    let next_cursor = data.last().filter(|_| more).map(|record| record.id.0.simple().to_string());
    Ok(UsagePage { data, next_cursor })
}

/// Shows all records of a query, a page at a time, until `each` says no. Every page is a read transaction of its own.
pub fn stream(
    readers: &Readers,
    query: &UsageQuery,
    each: &mut dyn FnMut(&[UsageRecord]) -> bool,
) -> Result<(), LedgerError> {
    let mut at = readers.with(|conn| place(conn, query))?;
    loop {
        // The connection goes back while the page is on its way to a slow client.
        let page = readers.with(|conn| records(conn, query, at, PAGE_LEN_MAX))?;
        let Some((last, _)) = page.last() else { return Ok(()) };
        at = Some(*last);
        let whole = page.len() == PAGE_LEN_MAX;
        let page: Vec<UsageRecord> = page.into_iter().map(|(_, record)| record).collect();
        if !each(&page) || !whole {
            return Ok(());
        }
    }
}

pub fn call(conn: &Connection, id: CallId) -> Result<Option<UsageRecord>, LedgerError> {
    let sql = format!("SELECT {} FROM usage u WHERE u.id = ?1", row::COLUMNS);
    let mut select = conn.prepare_cached(&sql).map_err(failed)?;
    select
        .query_row([id.0.as_bytes()], row::read)
        .optional()
        .map(|found| found.map(|(_, record)| record))
        .map_err(failed)
}
