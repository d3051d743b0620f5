//! Creates a session: everything that needs no row is checked first; then come the seed row, the base, the
//! worktree, the launch and the mark. A failure undoes all of it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use ao_store::row::lifecycle::machine;
use ao_store::row::lifecycle::operation;
use ao_store::row::lifecycle::spawn::{self as rows, NewSpawn, Start};
use ao_store::row::project::{self, Project};
use ao_store::row::session::{NewSession, Session, SessionKind};
use ao_store::{PrClaim, ProjectId, SessionId, check_claim};

use super::operation::Running;
use super::{Sessions, machine_id};
use crate::error::{Error, Result};
use crate::failpoint::step;
use crate::harness::{self, Found, Given, Harness};
use crate::worktree::{self, Plan, Repository, Request};

/// How long all fetches before a session starts may take together.
const FETCH_BUDGET: Duration = Duration::from_secs(5);

/// The longest prompt, in bytes.
const PROMPT_MAX: usize = 1 << 20;

/// What to spawn.
#[derive(Debug, Clone)]
pub struct SpawnRequest {
    /// The project.
    pub project: ProjectId,
    /// Worker or orchestrator.
    pub kind: SessionKind,
    /// The harness; `None` for that of `AO_AGENT`.
    pub harness: Option<String>,
    /// The model that the harness is to use; may be empty.
    pub model: String,
    /// The permission mode; `None` for that in which the harness asks, where it has one.
    pub permission: Option<String>,
    /// The branch to work on; `None` for a new one of its own.
    pub branch: Option<String>,
    /// Create the branch.
    pub create_branch: bool,
    /// The branch or commit from which a new branch starts; `None` for the default branch.
    pub base: Option<String>,
    /// The prompt; may be empty.
    pub prompt: String,
    /// The issue; may be empty.
    pub issue: String,
    /// The display name; may be empty.
    pub name: String,
    /// The session that spawns it.
    pub parent: Option<SessionId>,
    /// The pull request that it is to own.
    pub claim: Option<PrClaim>,
    /// What it runs in: `tmux` or `process`; `None` for tmux.
    pub runtime: Option<String>,
    /// Fetch the base first.
    pub fetch: bool,
    /// The command to run instead of that of the harness; may be empty.
    pub argv: Vec<String>,
    /// Spawn it although the account of the harness has reached a limit.
    pub force: bool,
    /// Whether the session that spawns it gets no report when a turn ends.
    pub is_silent: bool,
}

/// A session that was spawned.
#[derive(Debug, Clone)]
pub struct Spawned {
    /// The session.
    pub session: SessionId,
    /// What did not work, without preventing the session.
    pub warnings: Vec<String>,
}

/// What was checked before a row exists.
pub(super) struct Checked<'a> {
    project: Project,
    repository: Repository,
    harness: &'a Harness,
    found: Found,
}

impl Sessions {
    /// Spawns a session.
    ///
    /// # Errors
    /// Many: see the codes. No row, worktree, branch, process or ownership is left then.
    pub fn spawn(&self, request: &SpawnRequest) -> Result<Spawned> {
        self.spawn_replacing(request, None)
    }

    /// The same for a session that takes the place of an orchestrator, which after a failure is as before.
    pub(super) fn spawn_replacing(
        &self,
        request: &SpawnRequest,
        replaces: Option<SessionId>,
    ) -> Result<Spawned> {
        let checked = self.check(request)?;
        let session = self.seed(request, checked.harness, replaces)?;
        let running = self.running(&session.id, &session.spawner);
        match self.build(request, &checked, &session, &running) {
            Ok(warnings) => {
                // What is typed, such as its prompt.
                self.start_runners();
                Ok(Spawned { session: session.id, warnings })
            }
            Err(error) => {
                self.undo_quietly(&session);
                Err(error)
            }
        }
    }

    /// Everything that needs no row.
    pub(super) fn check(&self, request: &SpawnRequest) -> Result<Checked<'_>> {
        let project =
            self.store.read(|snapshot| project::require_active(snapshot, &request.project))?;
        let harness = self.harness_of(request.harness.as_deref())?;
        if !request.force {
            self.check_account(harness.name())?;
        }
        check_prompt(&request.prompt)?;
        let found = harness::find(harness, &request.argv, &self.config.environment)?;
        let permission = permission_of(request, harness);
        let given =
            Given { permission, ..self.given(request.prompt.clone(), request.model.clone(), "") };
        harness::check(harness, &found, &given)?;
        let runtime = self.runtime(request.runtime.as_deref().unwrap_or_default())?;
        runtime.check()?;
        let repository = self.repository(&project)?;
        // The name of its own branch is not known yet: no session has the number 0.
        let probe = SessionId::new(&project.id, 0);
        repository.plan(&branch_request(request, &probe), None)?;
        if let Some(claim) = &request.claim {
            self.store.read(|snapshot| check_claim(snapshot, &project.id, request.kind, claim))?;
        }
        Ok(Checked { project, repository, harness, found })
    }

    /// The harness of this name, or of `AO_AGENT`.
    pub(super) fn harness_of(&self, name: Option<&str>) -> Result<&Harness> {
        let default = self.config.environment.get("AO_AGENT").map(|name| name.to_string_lossy());
        let name = name.or(default.as_deref()).ok_or(Error::AgentRequired)?;
        self.harnesses.get(name)
    }

    /// The repository of a project.
    pub(super) fn repository(&self, project: &Project) -> Result<Repository> {
        Repository::open(&project.id, Path::new(&project.path), &self.environment)
    }

    /// Writes the seed row, with this verb and its instance.
    fn seed(
        &self,
        request: &SpawnRequest,
        harness: &Harness,
        replaces: Option<SessionId>,
    ) -> Result<Session> {
        let new = NewSession {
            project: request.project.clone(),
            kind: request.kind,
            harness: harness.name().to_owned(),
            name: request.name.clone(),
            issue: request.issue.clone(),
            branch: String::new(),
        };
        let spawn = NewSpawn {
            model: request.model.clone(),
            permission: permission_of(request, harness),
            parent: request.parent.clone(),
            instance: self.instance()?,
            runtime: self
                .runtime(request.runtime.as_deref().unwrap_or_default())?
                .kind()
                .to_owned(),
            start: Start {
                prompt: request.prompt.clone(),
                argv: request.argv.clone(),
                is_silent: request.is_silent,
            },
            replaces,
        };
        let (branch, root, machine) = (request.branch.clone(), self.root.clone(), machine_id());
        self.write(move |tx| {
            let session = rows::seed(tx, &new, &spawn, |id| {
                let branch = branch.unwrap_or_else(|| own_branch(id));
                (branch, root.path_of(id).to_string_lossy().into_owned())
            })?;
            if machine::is_confirmed(tx, &machine)? {
                machine::confirm(tx, &machine)?;
            }
            Ok(session)
        })
    }

    /// The effects, each of which can be undone from the rows that are written before it.
    fn build(
        &self,
        request: &SpawnRequest,
        checked: &Checked<'_>,
        session: &Session,
        running: &Running<'_>,
    ) -> Result<Vec<String>> {
        step!(self, "spawn.seeded");
        let path = Path::new(&session.worktree_path);
        let plan = checked.repository.plan(&branch_request(request, &session.id), Some(path))?;
        let (plan, warnings) = match request.fetch {
            true => checked.repository.refresh(plan, FETCH_BUDGET, path)?,
            false => (plan, Vec::new()),
        };
        let mut warnings = [warnings, plan.warnings()].concat();
        step!(self, "spawn.fetched");
        self.add_worktree(checked, session, &plan)?;
        step!(self, "spawn.worktree");
        warnings.extend(self.prepare(&checked.project, path, session)?);
        step!(self, "spawn.prepared");
        let session = self.session(&session.id)?;
        let (prompt, model) = (request.prompt.clone(), request.model.clone());
        let permission = session.permission.clone();
        let given = Given { permission, ..self.given(prompt, model, &session.worktree_path) };
        let built = harness::start(checked.harness, &checked.found, &given)?;
        self.launch(&session, built)?;
        step!(self, "spawn.launched");
        self.mark(request, running)?;
        Ok(warnings)
    }

    fn add_worktree(&self, checked: &Checked<'_>, session: &Session, plan: &Plan) -> Result<()> {
        let path = Path::new(&session.worktree_path);
        checked.repository.check_vacant(path)?;
        let id = session.id.clone();
        let (base, commit) = (plan.base_ref().to_owned(), plan.commit().to_owned());
        let created = plan.created_branch().map(str::to_owned).unwrap_or_default();
        self.write(move |tx| {
            rows::set_base(tx, &id, &base, &commit)?;
            operation::creates_branch(tx, &id, &created)
        })?;
        step!(self, "spawn.planned");
        let added = checked.repository.add(plan, &self.root, path);
        if let Err(Error::BranchExists { .. }) = &added {
            // It appeared meanwhile, and is not ours to undo.
            let id = session.id.clone();
            self.write(move |tx| operation::creates_branch(tx, &id, ""))?;
        }
        added?;
        checked.repository.lock(path, &session.id)
    }

    /// Copies the files of the project that git does not have, and runs its setup command. Returns what
    /// was not copied.
    fn prepare(&self, project: &Project, path: &Path, session: &Session) -> Result<Vec<String>> {
        let globs = project.copy_globs();
        let mut skipped = Vec::new();
        if !globs.is_empty() {
            skipped = worktree::copy_files(Path::new(&project.path), path, &globs)?.skipped;
        }
        let reason = |(file, reason): &(PathBuf, String)| {
            format!("{} was not copied: {reason}", file.display())
        };
        let warnings = skipped.iter().map(reason).collect();
        if !project.setup_command.is_empty() {
            let timeout = Duration::from_millis(project.setup_timeout_ms.unsigned_abs());
            let variables = [
                ("AO_SESSION_ID", session.id.to_string()),
                ("AO_PROJECT_ID", project.id.to_string()),
                ("AO_PROJECT_PATH", project.path.clone()),
            ];
            let environment = &self.environment;
            let (command, stopped) = (&project.setup_command, || self.is_interrupted());
            let ran =
                worktree::run_setup(path, command, timeout, environment, &variables, &stopped);
            self.check_interrupted()?;
            ran?;
        }
        Ok(warnings)
    }

    /// Marks the session as spawned, together with its claim.
    fn mark(&self, request: &SpawnRequest, running: &Running<'_>) -> Result<()> {
        let claim = request.claim.clone();
        running.end(move |tx, id| {
            rows::mark(tx, id)?;
            match claim {
                Some(claim) => claim.apply(tx, id).map(|_| ()),
                None => Ok(()),
            }
        })
    }
}

/// The branch of a session that has one of its own. Its last part leaves room for branches of children:
/// git cannot have both `a` and `a/b`.
fn own_branch(id: &SessionId) -> String {
    format!("ao/{id}/root")
}

/// The permission mode that is asked for. A command of the caller is run as it is.
fn permission_of(request: &SpawnRequest, harness: &Harness) -> String {
    let default = if request.argv.is_empty() { harness.default_permission() } else { "" };
    request.permission.clone().unwrap_or_else(|| default.to_owned())
}

fn branch_request(request: &SpawnRequest, id: &SessionId) -> Request {
    Request {
        branch: request.branch.clone().unwrap_or_else(|| own_branch(id)),
        is_own: request.branch.is_none(),
        create: request.create_branch,
        base: request.base.clone(),
    }
}

fn check_prompt(prompt: &str) -> Result<()> {
    if prompt.len() > PROMPT_MAX {
        return Err(Error::InvalidPrompt("it is longer than 1 MiB"));
    }
    if prompt.contains('\0') {
        return Err(Error::InvalidPrompt("it contains a NUL character"));
    }
    Ok(())
}
