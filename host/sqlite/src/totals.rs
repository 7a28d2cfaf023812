//! [`Totals`]: the row of the table `totals`, with the state of the whole journal.

use batchtask_journal::Shares;
use batchtask_journal::stored::unsigned;
use rusqlite::{Connection, Row, params};

/// The row of the table `totals`. Only the writer changes it, so the writer keeps a
/// copy.
#[derive(Clone, Debug, Default)]
pub(crate) struct Totals {
    pub(crate) last_received_at_ms: Option<i64>,
    pub(crate) signatures: u64,
    pub(crate) quarantine: Shares,
    pub(crate) quarantine_dropped: u64,
    pub(crate) commits: u64,
    /// The number of commits in the database when its log started over.
    pub(crate) log_base: u64,
    /// The schema number in the header of the database, on the disk. It is written
    /// with each commit, and not read back.
    pub(crate) schema_number: u32,
    /// The greatest `seq` of any event, including pruned ones.
    pub(crate) last_seq: u64,
    /// The last time of the steady clock.
    pub(crate) clock_ms: Option<u64>,
    pub(crate) pruned_events: u64,
    /// Whether digests of pruned events are stored.
    pub(crate) knows_pruned: bool,
}

impl Totals {
    pub(crate) fn load(connection: &Connection) -> rusqlite::Result<Self> {
        let sql = "SELECT last_received_at_ms, signatures, quarantine_bytes, \
                   quarantine_large_bytes, quarantine_dropped, commits, log_base, last_seq, \
                   clock_ms, pruned_events, EXISTS (SELECT 1 FROM pruned) FROM totals";
        connection
            .prepare_cached(sql)?
            .query_row([], Self::from_row)
    }

    fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        let count = |column| row.get(column).map(unsigned);
        let large = count(3)?;
        Ok(Self {
            last_received_at_ms: row.get(0)?,
            signatures: count(1)?,
            quarantine: Shares {
                small: count(2)?.saturating_sub(large),
                large,
            },
            quarantine_dropped: count(4)?,
            commits: count(5)?,
            log_base: count(6)?,
            schema_number: 0,
            last_seq: count(7)?,
            clock_ms: row.get::<_, Option<i64>>(8)?.map(unsigned),
            pruned_events: count(9)?,
            knows_pruned: row.get(10)?,
        })
    }

    /// Counts the commit that is about to happen, and writes the row. So every
    /// commit writes something, even one of a probe only.
    pub(crate) fn save(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        self.commits += 1;
        let sql = "UPDATE totals SET last_received_at_ms = ?1, signatures = ?2, \
                   quarantine_bytes = ?3, quarantine_large_bytes = ?4, quarantine_dropped = ?5, \
                   commits = ?6, log_base = ?7, last_seq = ?8, clock_ms = ?9, pruned_events = ?10, \
                   schema_number = ?11";
        // No value reaches 2^63 in practice.
        connection.prepare_cached(sql)?.execute(params![
            self.last_received_at_ms,
            self.signatures.cast_signed(),
            self.quarantine.total().cast_signed(),
            self.quarantine.large.cast_signed(),
            self.quarantine_dropped.cast_signed(),
            self.commits.cast_signed(),
            self.log_base.cast_signed(),
            self.last_seq.cast_signed(),
            self.clock_ms.map(u64::cast_signed),
            self.pruned_events.cast_signed(),
            self.schema_number,
        ])?;
        Ok(())
    }
}
