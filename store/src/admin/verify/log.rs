//! One pass over the log: checks that no seq is missing and that each block matches its seal, and adds
//! up the changes.

use rusqlite::Connection;

use crate::db::tx::Snapshot;
use crate::error::{Context, Result};
use crate::log::base::Moves;
use crate::log::change::{IMAGES, select_changes};
use crate::log::digest::{Digest, Hasher};
use crate::log::info::LogInfo;
use crate::log::seal::{self, BLOCK, Sealed};
use crate::model::cursor::Seq;

use super::Findings;

/// The result of the pass.
#[derive(Default)]
pub(super) struct Read {
    pub(super) changes: u64,
    pub(super) sum: Digest,
    pub(super) unsealed: u64,
    pub(super) moves: Moves,
    /// The first and last seq of each block that does not match its seal.
    pub(super) damaged: Vec<(Seq, Seq)>,
}

const SELECT: &str = select_changes!("ORDER BY seq");

pub(super) fn check(conn: &Connection, findings: &mut Findings) -> Result<Read> {
    let step = "read the change log";
    let info = LogInfo::read(&Snapshot::new(conn))?;
    let sealed = seal::sealed(conn)?;
    let mut read = Read::default();
    let bytes = seal::pruned_bytes(conn)?;
    let mut block =
        Block { floor: info.floor, sealed, number: None, sum: Digest::default(), bytes };
    let mut hasher = Hasher::default();
    let mut last = info.floor;
    let mut statement = conn.prepare_cached(SELECT).context(step)?;
    let mut rows = statement.query([]).context(step)?;
    while let Some(row) = rows.next().context(step)? {
        let seq = Seq(row.get(0).context(step)?);
        if seq <= info.floor {
            findings.add("log.density", format!("change {seq} exists, but was pruned"));
            continue;
        }
        report_missing(last, seq, findings);
        let (digest, bytes) = hasher.change(row).context(step)?;
        read.changes += 1;
        read.sum += digest;
        if seq > sealed.seq {
            read.unsealed += 1;
        } else {
            if block.number != Some(seal::block_of(seq)) {
                block.close(conn, &mut read, findings)?;
                block.number = Some(seal::block_of(seq));
            }
            block.sum += digest;
            block.bytes = block.bytes.saturating_add(bytes);
        }
        read.moves.add(row, IMAGES).context(step)?;
        last = seq;
    }
    report_missing(last, info.head.max(sealed.seq).next(), findings);
    block.close(conn, &mut read, findings)?;
    state(conn, findings)?;
    Ok(read)
}

fn report_missing(last: Seq, next: Seq, findings: &mut Findings) {
    let (first, end) = (last.next(), Seq(next.0 - 1));
    if first == end {
        findings.add("log.density", format!("change {first} is missing"));
    } else if first < end {
        findings.add("log.density", format!("changes {first} to {end} are missing"));
    }
}

/// The sealed block of the current change.
struct Block {
    floor: Seq,
    sealed: Sealed,
    number: Option<i64>,
    sum: Digest,
    /// The bytes of all changes up to its end.
    bytes: i64,
}

const SELECT_SEAL: &str = "SELECT digest, bytes FROM log_seal WHERE block = ?1";

impl Block {
    fn close(&mut self, conn: &Connection, read: &mut Read, findings: &mut Findings) -> Result<()> {
        let sum = std::mem::take(&mut self.sum);
        let Some(block) = self.number else { return Ok(()) };
        let stored = Snapshot::new(conn).one("read a seal", SELECT_SEAL, [block], |row| {
            Ok((row.get::<_, Digest>(0)?, row.get::<_, i64>(1)?))
        })?;
        let is_open = block == seal::block_of(self.sealed.seq) && self.sealed.seq.0 % BLOCK != 0;
        let expected = if is_open { Some((self.sealed.open, self.sealed.bytes)) } else { stored };
        if expected == Some((sum, self.bytes)) {
            return Ok(());
        }
        let first = Seq(block * BLOCK).max(self.floor).next();
        let last = Seq((block + 1) * BLOCK).min(self.sealed.seq);
        if let Some((expected, bytes)) = expected
            && expected == sum
        {
            let message = format!("the size kept with the changes {first} to {last} is another");
            findings.add("log.seal", message);
            // One wrong size is reported once.
            self.bytes = bytes;
            return Ok(());
        }
        let message = if expected.is_some() {
            format!("a change of {first} to {last} is not what was sealed")
        } else {
            format!("the changes {first} to {last} have lost their seal")
        };
        findings.add("log.seal", message);
        read.damaged.push((first, last));
        Ok(())
    }
}

/// Checks the state between transactions.
fn state(conn: &Connection, findings: &mut Findings) -> Result<()> {
    let sql = "SELECT tx IS NULL FROM change_context";
    let is_closed: bool = conn.query_row(sql, [], |row| row.get(0)).context(sql)?;
    if !is_closed {
        findings.add("log.state", "a transaction was committed without being closed".to_owned());
    }
    Ok(())
}
