//! Moving a store between machines and versions as text: NDJSON, one row or change per line.
//!
//! The first line describes the export, then follow the rows of every table and the changes. The last
//! line contains their numbers and digests, which detect a truncated or modified export and prove a
//! round trip.

mod export;
mod import;
mod value;

use crate::log::digest::{Digest, Hasher};

pub use export::Exported;
pub use import::{BadLine, Imported, OnBad, import};

/// The digest of lines, in their order.
#[derive(Default)]
struct Sum(Hasher, Digest);

impl Sum {
    fn add(&mut self, line: &[u8]) {
        let before = self.1.to_string();
        self.1 = self.0.row(before.as_bytes(), line);
    }

    fn digest(&self) -> Digest {
        self.1
    }
}

/// The version of the format.
const FORMAT: u64 = 1;

/// A table that is exported row by row, and the order of its rows.
struct Table {
    name: &'static str,
    order: &'static str,
}

/// Every table with facts or settings, parents before children. The other tables can be computed (seals),
/// are temporary (reservations, refresh requests, skipped pull requests, running verbs and
/// their processes), or are in the first line.
const TABLES: &[Table] = &[
    Table { name: "project", order: "id" },
    Table { name: "session_counter", order: "project_id" },
    Table { name: "session", order: "project_id, num" },
    Table { name: "session_start", order: "session_id" },
    Table { name: "session_cleanup", order: "session_id" },
    Table { name: "session_machine", order: "id" },
    Table { name: "launch", order: "session_id, num" },
    Table { name: "launch_output", order: "launch_id" },
    Table { name: "decision", order: "id" },
    Table { name: "delivery", order: "rowid" },
    Table { name: "delivery_text", order: "delivery_id" },
    Table { name: "account_limit", order: "account" },
    Table { name: "org", order: "id" },
    Table { name: "agent", order: "org_id, id" },
    Table { name: "agent_member", order: "org_id, agent_id, platform, user_id" },
    Table { name: "conversation", order: "id" },
    Table { name: "turn", order: "rowid" },
    Table { name: "turn_input", order: "turn_id" },
    Table { name: "turn_clock", order: "turn_id" },
    Table { name: "turn_refused_completion", order: "turn_id, digest" },
    Table { name: "conversation_event", order: "conversation_id, seq" },
    Table { name: "conversation_snapshot", order: "conversation_id, version" },
    Table { name: "pr", order: "id" },
    Table { name: "pr_observed", order: "pr_id" },
    Table { name: "pr_item_as_of", order: "pr_id, facet, item" },
    Table { name: "pr_poll", order: "pr_id" },
    Table {
        name: "pr_check",
        order: "pr_id, head_sha, kind, app, workflow, event, name, suite, external_id",
    },
    Table { name: "pr_check_log", order: "pr_id, external_id" },
    Table { name: "pr_review_thread", order: "pr_id, id" },
    Table { name: "pr_review", order: "pr_id, id" },
    Table { name: "pr_comment", order: "pr_id, id" },
    Table { name: "consumer", order: "name" },
    Table { name: "retention", order: "id" },
    Table { name: "upkeep", order: "id" },
    Table { name: "clock_reading", order: "seq" },
    Table { name: "scm_host", order: "host" },
    Table { name: "scm_repo", order: "host, repo" },
    Table { name: "webhook_delivery", order: "rowid" },
    Table { name: "log_base", order: "entity" },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Options, Store};

    #[test]
    fn every_table_is_exported_or_listed_as_omitted() {
        let omitted = [
            "change_log",
            "change_context",
            "log_meta",
            "log_seal",
            "capture_displaced",
            "reservation",
            "scm_refresh_request",
            "scm_skipped_pr",
            "session_operation",
            "instance",
            "refinery_schema_history",
        ];
        let dir = tempfile::tempdir().unwrap();
        let (store, _) = Store::create(&dir.path().join("ao.db"), Options::default()).unwrap();
        let sql =
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'";
        let names: Vec<String> =
            store.read(|snapshot| snapshot.list("list", sql, [], |row| row.get(0))).unwrap();
        for name in names {
            let is_exported = TABLES.iter().any(|table| table.name == name);
            assert_ne!(is_exported, omitted.contains(&name.as_str()), "{name}");
        }
    }
}
