//! The reference model: which sessions should exist and run after the answers that callers got, and what
//! must be true of everything that they left.

use std::collections::BTreeMap;
use std::fs;

use fastrand::Rng;

use super::calls::{Answer, Call, Verb};
use crate::sessions::Lab;
use crate::sessions::lab::wait_until;

/// What a session should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Live,
    Terminated,
    /// Calls that were killed or ran at the same time decide it.
    Either,
}

/// A session as its row has it.
#[derive(Debug, Clone)]
struct Row {
    is_terminated: bool,
    is_orchestrator: bool,
    created_at: String,
    branch: String,
    launch: String,
    /// Whether its agent ends by itself.
    ends: bool,
}

/// The sessions after a round.
pub(super) struct State {
    rows: BTreeMap<String, Row>,
    last_num: u64,
}

impl State {
    pub(super) fn read(lab: &Lab) -> State {
        let rows = rows(lab);
        State { last_num: rows.keys().map(|id| num(id)).max().unwrap_or(0), rows }
    }

    /// The id of a session, or one that is perhaps given soon.
    pub(super) fn any(&self, random: &mut Rng) -> String {
        let next = || format!("demo-{}", self.last_num + 1);
        // The newest ones, so that calls meet.
        let mut newest: Vec<_> = self.rows.keys().collect();
        newest.sort_by_key(|id| std::cmp::Reverse(num(id)));
        match random.choice(newest.into_iter().take(6)) {
            Some(id) if random.u8(0..6) > 0 => id.clone(),
            _ => next(),
        }
    }

    /// A refusal has one of the codes that its verb may have after this state and beside these calls.
    pub(super) fn check_answer(&self, call: &Call, all: &[Call]) {
        let raw = ["fatal:", "panicked", "no server running", "server exited", "error connecting"];
        for text in raw {
            assert!(!call.printed.contains(text), "{call}");
        }
        let Answer::Refused(code) = &call.answer else { return };
        let row = self.rows.get(&call.target);
        let others = || all.iter().filter(|other| !std::ptr::eq(*other, call));
        let is_beside = |verbs: &[Verb]| others().any(|other| verbs.contains(&other.verb));
        let may_end = [Verb::Kill, Verb::Replace];
        let allowed = match (call.verb, code.as_str()) {
            (Verb::Spawn, "BRANCH_EXISTS" | "BRANCH_NOT_FETCHED") => true,
            (Verb::Spawn | Verb::Restore, "BRANCH_CHECKED_OUT_ELSEWHERE") => true,
            (Verb::Spawn | Verb::Restore, "ORCHESTRATOR_ALREADY_ACTIVE") => true,
            (Verb::Kill | Verb::Restore | Verb::Relaunch, "SESSION_NOT_FOUND") => row.is_none(),
            (
                Verb::Kill | Verb::Restore | Verb::Relaunch | Verb::Cleanup | Verb::Replace,
                "SESSION_BUSY",
            ) => others().next().is_some(),
            (Verb::Restore, "SESSION_NOT_RESTORABLE") => {
                row.is_none_or(|row| !row.is_terminated) || is_beside(&[Verb::Restore])
            }
            // Its branch was deleted together with its worktree.
            (Verb::Restore, "BRANCH_NOT_FETCHED") => true,
            (Verb::Restore | Verb::Relaunch | Verb::Reconcile, "SESSION_NOT_RESUMABLE") => true,
            (Verb::Relaunch, "SESSION_TERMINATED") => {
                row.is_none_or(|row| row.is_terminated) || is_beside(&may_end)
            }
            (Verb::Relaunch, "AGENT_NOT_EXITED") => true,
            _ => false,
        };
        assert!(allowed, "{call}");
    }

    /// Reconciles once, which refuses at most sessions that have nothing to continue from.
    pub(super) fn reconcile(&self, lab: &Lab) {
        let output = lab.run(&["reconcile"]);
        println!("  reconcile: {}{}", output.stdout, output.stderr);
        let is_refused = output.stderr.contains("error[SESSION_NOT_RESUMABLE]");
        assert!(output.code == 0 || is_refused, "{}{}", output.stdout, output.stderr);
    }

    /// Checks what is left after the answers and a reconciliation, which is the next state.
    pub(super) fn check(&mut self, lab: &Lab, all: &[Call]) {
        let rows = rows(lab);
        self.check_ids(&rows);
        for call in all {
            if let (Verb::Spawn | Verb::Ensure | Verb::Replace, Answer::Done(id)) =
                (call.verb, &call.answer)
            {
                assert!(rows.contains_key(id), "{id} was printed, and does not exist");
            }
        }
        for (id, row) in &rows {
            let wanted = self.wanted(id, row, all);
            let is_wrong = match wanted {
                Wanted::Live => row.is_terminated,
                Wanted::Terminated => !row.is_terminated,
                Wanted::Either => false,
            };
            assert!(!is_wrong, "{id} should be {wanted:?}: {row:?}");
        }
        check_rows(&rows);
        check_launches(lab, &rows);
        lab.check_no_orphan();
        self.last_num = self.last_num.max(rows.keys().map(|id| num(id)).max().unwrap_or(0));
        self.rows = rows;
    }

    /// A session that was created never disappears, and its id is never given again.
    fn check_ids(&self, rows: &BTreeMap<String, Row>) {
        for (id, old) in &self.rows {
            let row = rows.get(id).unwrap_or_else(|| panic!("{id} disappeared"));
            assert_eq!(row.created_at, old.created_at, "{id} was given again");
        }
        let new = rows.keys().filter(|id| !self.rows.contains_key(*id));
        for id in new {
            assert!(num(id) > self.last_num, "{id} was given again");
        }
    }

    /// What a session should be after these calls.
    fn wanted(&self, id: &str, row: &Row, all: &[Call]) -> Wanted {
        let may = |verb: Verb| all.iter().any(|call| call.target == id && call.may_have(verb));
        let is_done = |verb: Verb| {
            let is_it = |call: &Call| {
                call.target == id && call.verb == verb && matches!(call.answer, Answer::Done(_))
            };
            all.iter().any(is_it)
        };
        let is_replaced = row.is_orchestrator && all.iter().any(|it| it.may_have(Verb::Replace));
        let was_live = match self.rows.get(id) {
            Some(old) => !old.is_terminated,
            None => true,
        };
        match (may(Verb::Kill), may(Verb::Restore)) {
            (true, false) if is_done(Verb::Kill) => Wanted::Terminated,
            (false, true) if is_done(Verb::Restore) && !is_replaced => Wanted::Live,
            (false, false) if was_live && !is_replaced => Wanted::Live,
            (false, false) if !was_live => Wanted::Terminated,
            _ => Wanted::Either,
        }
    }
}

/// One orchestrator, and one session per branch.
fn check_rows(rows: &BTreeMap<String, Row>) {
    let live = || rows.iter().filter(|(_, row)| !row.is_terminated);
    let orchestrators: Vec<_> = live().filter(|(_, row)| row.is_orchestrator).collect();
    assert!(orchestrators.len() <= 1, "{orchestrators:?}");
    for (id, row) in live() {
        let is_same = |(other, it): &(&String, &Row)| *other != id && it.branch == row.branch;
        let other = live().find(is_same);
        assert!(other.is_none(), "{id} and {other:?} have branch {}", row.branch);
    }
}

/// Each live session has one pane, and one launch and processes unless its agent ends by itself; nothing
/// else runs.
fn check_launches(lab: &Lab, rows: &BTreeMap<String, Row>) {
    let live = || rows.iter().filter(|(_, row)| !row.is_terminated);
    for (id, row) in live() {
        let of_it = format!("FROM launch WHERE session_id = '{id}'");
        let open = || lab.sql(&format!("SELECT group_concat(id) {of_it} AND ended_at IS NULL"));
        if row.ends {
            wait_until("the end of an agent", || open().is_empty());
            let cause = lab.sql(&format!("SELECT cause {of_it} ORDER BY num DESC LIMIT 1"));
            assert_eq!(cause, "exited", "{id}");
        } else {
            assert_eq!(open(), row.launch, "{id} has one launch that runs");
        }
    }
    let terminated = "SELECT group_concat(l.id) FROM launch l JOIN session s ON s.id = l.session_id
        WHERE s.is_terminated = 1 AND l.ended_at IS NULL";
    assert_eq!(lab.sql(terminated), "", "launches of terminated sessions that have not ended");
    let wanted: Vec<_> = live().map(|(_, row)| row.launch.clone()).collect();
    assert_eq!(sorted(lab.panes()), sorted(wanted), "the panes, and those of live sessions");
    let running: Vec<_> = live().filter(|(_, row)| !row.ends).collect();
    let mut found: Vec<_> = lab.processes().into_iter().filter_map(launch_of).collect();
    found.sort();
    found.dedup();
    let wanted: Vec<_> = running.iter().map(|(_, row)| row.launch.clone()).collect();
    assert_eq!(found, sorted(wanted), "launches that have processes, and those that should");
}

fn sorted(mut all: Vec<String>) -> Vec<String> {
    all.sort();
    all
}

/// The launch of a process; `None` if it has ended.
fn launch_of(pid: u32) -> Option<String> {
    let variables = fs::read(format!("/proc/{pid}/environ")).ok()?;
    let mut each = variables.split(|byte| *byte == 0);
    let launch = each.find_map(|it| it.strip_prefix(b"AO_LAUNCH_ID="))?;
    Some(String::from_utf8(launch.to_vec()).unwrap())
}

fn num(id: &str) -> u64 {
    id.rsplit_once('-').unwrap().1.parse().unwrap()
}

fn rows(lab: &Lab) -> BTreeMap<String, Row> {
    let read = "SELECT id, is_terminated, kind = 'orchestrator', created_at, branch, launch_id,
        argv LIKE '%done.sh%' FROM session JOIN session_start ON session_id = id";
    let line = |line: &str| {
        let mut each = line.split('|').map(str::to_owned);
        let mut next = || each.next().unwrap();
        let id = next();
        let row = Row {
            is_terminated: next() == "1",
            is_orchestrator: next() == "1",
            created_at: next(),
            branch: next(),
            launch: next(),
            ends: next() == "1",
        };
        (id, row)
    };
    lab.sql(read).lines().map(line).collect()
}
