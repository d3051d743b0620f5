//! From rows of the tool to rows of this store: a pure function of the source and the time.
//!
//! A row that the schema of this store rejects is skipped, with the reason. A value that the schema
//! accepts but no command of this program would accept is dropped or replaced, and the report says
//! so.

mod pulls;

use std::collections::{BTreeMap, HashMap, HashSet};

pub(super) use self::pulls::Pull;
use super::read::{self, Contents};
use super::report::{Ignored, Imported};
use super::time::Time;
use crate::error::Error;
use crate::model::activity::{Activity, Source};
use crate::model::branch::check_branch;
use crate::model::git_url::{parse_remote, without_credentials};
use crate::model::id::{ProjectId, SessionId};
use crate::model::label::check_label;
use crate::model::text_digest::summary;
use crate::model::time::Timestamp;
use crate::row::project::{Project, SETUP_TIMEOUT_MS};
use crate::row::session::{Session, SessionKind};

const PROJECTS: &str = "projects";
const SESSIONS: &str = "sessions";

/// How far an imported time may be in the future, in case the clock that wrote it was ahead.
const AHEAD_MS: i64 = 86_400_000;

/// The highest session number that is imported, because every later number of the project is above
/// it.
const NUM_MAX: i64 = u32::MAX as i64;

/// The longest path that the operating system has.
const PATH_MAX: usize = 4096;

/// Why a row is skipped.
pub(super) type Refusal = String;

/// The rows to insert, in the order of their dependencies.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) now: Timestamp,
    pub(super) projects: Vec<Project>,
    pub(super) sessions: Vec<Session>,
    /// The prompts of those that have one.
    pub(super) prompts: Vec<(SessionId, String)>,
    /// The highest session number that each project has used.
    pub(super) used: BTreeMap<ProjectId, i64>,
    pub(super) pulls: Vec<Pull>,
    pub(super) report: Imported,
}

/// Decides about every row of the source.
pub(super) fn plan(source: Contents, now: Timestamp) -> Plan {
    let mut plan = Plan {
        now,
        projects: Vec::new(),
        sessions: Vec::new(),
        prompts: Vec::new(),
        used: BTreeMap::new(),
        pulls: Vec::new(),
        report: Imported {
            cleaned: source.cleaned,
            ignored: source.ignored,
            ..Imported::default()
        },
    };
    plan.take_projects(source.projects);
    plan.take_sessions(source.sessions);
    plan.take_pulls(source.prs);
    plan.attach(source.checks);
    plan.attach(source.threads);
    plan.attach(source.reviews);
    plan.attach(source.comments);
    plan
}

/// The rule that a text violates.
fn rule(error: &Error) -> String {
    match error {
        Error::InvalidId { reason, .. } => (*reason).to_owned(),
        other => other.to_string(),
    }
}

impl Plan {
    /// The time in a column, if it is a valid one.
    pub(super) fn time(
        &mut self,
        table: &'static str,
        key: &str,
        column: &str,
        time: Time,
    ) -> Option<Timestamp> {
        match time {
            Time::Absent => None,
            Time::At(at) if at.0 <= self.now.0.saturating_add(AHEAD_MS) => Some(at),
            Time::At(_) => {
                self.report.modify(table, key, format!("its {column} is in the future"));
                None
            }
            Time::Unreadable => {
                self.report.modify(table, key, format!("its {column} is not a time"));
                None
            }
        }
    }

    /// A text that a check rejects becomes empty.
    fn checked(
        &mut self,
        (table, key, column): (&'static str, &str, &'static str),
        text: String,
        check: fn(&'static str, &str) -> Result<(), Error>,
    ) -> String {
        if text.is_empty() {
            return text;
        }
        match check(column, &text) {
            Ok(()) => text,
            Err(error) => {
                let reason = format!("its {column} was dropped: {}", rule(&error));
                self.report.modify(table, key, reason);
                String::new()
            }
        }
    }

    /// The oldest registration comes first, so that it is kept when two have one path.
    fn take_projects(&mut self, mut rows: Vec<read::Project>) {
        let registered = |row: &read::Project| match row.registered_at {
            Time::At(at) => (false, at),
            Time::Absent | Time::Unreadable => (true, Timestamp(0)),
        };
        rows.sort_by(|a, b| (registered(a), &a.id).cmp(&(registered(b), &b.id)));
        let (mut ids, mut paths) = (HashSet::new(), HashMap::new());
        for row in rows {
            let key = row.id.clone();
            let is_active = row.archived_at == Time::Absent;
            match project_id(&row, &ids, &paths) {
                Ok(id) => {
                    if is_active {
                        paths.insert(row.path.clone(), key.clone());
                    }
                    ids.insert(key);
                    let project = self.project(id, row);
                    self.projects.push(project);
                }
                Err(reason) => self.report.skip(PROJECTS, &key, reason),
            }
        }
    }

    fn project(&mut self, id: ProjectId, row: read::Project) -> Project {
        let key = id.to_string();
        let created_at = self.time(PROJECTS, &key, "registered_at", row.registered_at);
        let created_at = created_at.unwrap_or(self.now);
        let archived_at = self
            .time(PROJECTS, &key, "archived_at", row.archived_at)
            // An invalid time still says that it is archived.
            .or_else(|| (row.archived_at != Time::Absent).then_some(self.now));
        let column = (PROJECTS, key.as_str(), "display_name");
        let name = self.checked(column, row.display_name, check_label);
        let origin_url = without_credentials(&row.repo_origin_url);
        let (host, repo) = parse_remote(&origin_url).unwrap_or_default();
        Project {
            name: if name.is_empty() { key } else { name },
            id,
            path: row.path,
            origin_url,
            host,
            repo,
            default_branch: String::new(),
            copy: "[]".to_owned(),
            setup_command: String::new(),
            setup_timeout_ms: SETUP_TIMEOUT_MS,
            max_live: None,
            created_at,
            updated_at: archived_at.unwrap_or(created_at).max(created_at),
            archived_at,
        }
    }

    /// In the order of their numbers, the only order in which they can be inserted.
    fn take_sessions(&mut self, mut rows: Vec<read::Session>) {
        self.ignore_runs(&rows);
        rows.sort_by(|a, b| (&a.project_id, a.num).cmp(&(&b.project_id, b.num)));
        let projects: HashMap<String, ProjectId> = self
            .projects
            .iter()
            .map(|project| (project.id.to_string(), project.id.clone()))
            .collect();
        let mut orchestrators = HashMap::new();
        let mut ids = HashSet::new();
        for row in rows {
            let key = row.id.clone();
            match self.session(&projects, &mut ids, &mut orchestrators, row) {
                Ok(session) => self.sessions.push(session),
                Err(reason) => self.report.skip(SESSIONS, &key, reason),
            }
        }
    }

    /// What the tool runs for a session says only that the session has produced something.
    fn ignore_runs(&mut self, rows: &[read::Session]) {
        let count = |text: fn(&read::Session) -> &String| {
            rows.iter().filter(|row| !text(row).is_empty()).count() as u64
        };
        for (column, rows) in [
            ("runtime_handle_id", count(|row| &row.runtime_handle_id)),
            ("agent_session_id", count(|row| &row.agent_session_id)),
        ] {
            let (table, column) = (SESSIONS.to_owned(), Some(column.to_owned()));
            self.report.ignored.extend((rows > 0).then_some(Ignored { table, column, rows }));
        }
    }

    fn session(
        &mut self,
        projects: &HashMap<String, ProjectId>,
        ids: &mut HashSet<SessionId>,
        orchestrators: &mut HashMap<ProjectId, SessionId>,
        row: read::Session,
    ) -> Result<Session, Refusal> {
        let project = projects.get(&row.project_id).ok_or("its project was skipped")?;
        let num = row.num.filter(|num| (1..=NUM_MAX).contains(num));
        let num = num.ok_or_else(|| format!("its num is not a number from 1 to {NUM_MAX}"))?;
        // The number of a skipped row was used too.
        let used = self.used.entry(project.clone()).or_insert(num);
        *used = num.max(*used);
        let id = SessionId::new(project, num);
        if row.id != id.as_str() {
            return Err(format!("its id is not {id}"));
        }
        let kind = match row.kind.as_str() {
            "" => SessionKind::Worker,
            known if SessionKind::parse(known).as_str() == known => SessionKind::parse(known),
            _ => return Err("its kind is neither worker nor orchestrator".to_owned()),
        };
        if !ids.insert(id.clone()) {
            return Err("another row has its id".to_owned());
        }
        if kind == SessionKind::Orchestrator && !row.is_terminated {
            if let Some(active) = orchestrators.get(project) {
                return Err(format!("its project has an active orchestrator already: {active}"));
            }
            orchestrators.insert(project.clone(), id.clone());
        }
        Ok(self.taken_session(id, project.clone(), num, kind, row))
    }

    fn taken_session(
        &mut self,
        id: SessionId,
        project: ProjectId,
        num: i64,
        kind: SessionKind,
        row: read::Session,
    ) -> Session {
        let key = id.to_string();
        let key = key.as_str();
        let created_at = self.time(SESSIONS, key, "created_at", row.created_at);
        let updated_at = self.time(SESSIONS, key, "updated_at", row.updated_at);
        let activity_at = self.time(SESSIONS, key, "activity_last_at", row.activity_last_at);
        let created_at = created_at.unwrap_or(self.now);
        let updated_at = updated_at.unwrap_or(created_at);
        let activity = self.activity(key, &row.activity_state);
        let produced =
            [&row.workspace_path, &row.runtime_handle_id, &row.agent_session_id, &row.prompt];
        let has_produced = row.is_terminated || produced.iter().any(|text| !text.is_empty());
        let (prompt_bytes, prompt_digest) = summary(&row.prompt);
        if !row.prompt.is_empty() {
            self.prompts.push((id.clone(), row.prompt));
        }
        let mut label = |column, text| self.checked((SESSIONS, key, column), text, check_label);
        Session {
            harness: label("harness", row.harness),
            name: label("display_name", row.display_name),
            issue: label("issue_id", row.issue_id),
            branch: self
                .checked((SESSIONS, key, "branch"), row.branch, |_, text| check_branch(text)),
            id,
            project,
            num,
            kind,
            model: String::new(),
            permission: String::new(),
            parent: String::new(),
            base_ref: String::new(),
            base_commit: String::new(),
            worktree_path: row.workspace_path,
            runtime_kind: String::new(),
            runtime_socket: String::new(),
            runtime_pane: String::new(),
            launch: String::new(),
            spawner: String::new(),
            prompt_bytes,
            prompt_digest,
            activity,
            activity_source: Source::Import,
            activity_cause: String::new(),
            activity_call: String::new(),
            limit_ends_at: None,
            activity_revision: 0,
            activity_at: activity_at.unwrap_or(updated_at),
            is_terminated: row.is_terminated,
            terminated_at: row.is_terminated.then_some(updated_at),
            terminated_reason: String::new(),
            terminated_by: String::new(),
            spawned_at: has_produced.then_some(created_at),
            created_at,
            updated_at,
        }
    }

    /// An activity that the schema does not have becomes `unknown`.
    fn activity(&mut self, key: &str, text: &str) -> Activity {
        let known = [
            ("idle", Activity::Idle),
            ("active", Activity::Active),
            ("waiting_input", Activity::Waiting),
            ("blocked", Activity::Blocked),
            ("exited", Activity::Exited),
        ];
        if let Some((_, activity)) = known.into_iter().find(|(name, _)| *name == text) {
            return activity;
        }
        if !text.is_empty() {
            let reason = "its activity_state is not known and was replaced by unknown";
            self.report.modify(SESSIONS, key, reason);
        }
        Activity::Unknown
    }
}

/// The id of a project that can be imported.
fn project_id(
    row: &read::Project,
    ids: &HashSet<String>,
    paths: &HashMap<String, String>,
) -> Result<ProjectId, Refusal> {
    let id = row.id.parse().map_err(|error| format!("its id is not allowed: {}", rule(&error)))?;
    if ids.contains(&row.id) {
        return Err("another row has its id".to_owned());
    }
    if row.path.is_empty() || row.path.contains(char::REPLACEMENT_CHARACTER) {
        return Err("its path is empty, not UTF-8, or contains a NUL character".to_owned());
    }
    if row.path.len() > PATH_MAX {
        return Err(format!("its path is longer than {PATH_MAX} bytes"));
    }
    match paths.get(&row.path).filter(|_| row.archived_at == Time::Absent) {
        Some(owner) => Err(format!("its path belongs to the active project {owner}")),
        None => Ok(id),
    }
}
