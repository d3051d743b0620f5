//! Starts the agent program of a session under a supervisor, and stops it.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use ao_store::row::delivery;
use ao_store::row::launch::{self, End, EndCause, Launch, LaunchKind, NewLaunch, PromptStage};
use ao_store::row::lifecycle::instance;
use ao_store::row::lifecycle::spawn as rows;
use ao_store::row::project;
use ao_store::row::session::Session;

use super::again::again;
use super::{Sessions, new_id};
use crate::error::{Error, Result};
use crate::failpoint::step;
use crate::harness::{Built, Given};
use crate::runtime::{Ended, Start, processes};
use crate::supervisor::{Spec, spec_file};

/// How long the supervisor may take to report that the program runs.
const START_TIMEOUT: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(20);

impl Sessions {
    /// Starts the program of a session in its worktree, and returns when it runs. After an error nothing
    /// of it is left. A prompt that is typed is a delivery, which is due when the verb is over.
    pub(super) fn launch(&self, session: &Session, built: Built) -> Result<Launch> {
        if built.typed.is_some() && !delivery::has_terminal(session) {
            return Err(Error::NoTerminal(session.id.clone()));
        }
        let id = new_id('l');
        let reports = self.install_hooks(session, &built)?;
        self.trust_worktree(session);
        self.begin_launch(session, &id, &built, reports)?;
        let started = self.start_launch(session, &id, built);
        if started.is_err() {
            self.stop_launch_quietly(session, &id);
        }
        started
    }

    /// What a program is started with.
    pub(super) fn given(&self, prompt: String, model: String, worktree: &str) -> Given {
        let hook = self.config.hook.iter().map(|word| word.to_string_lossy());
        let hook: Vec<_> = hook.map(|word| format!("'{}'", word.replace('\'', "'\\''"))).collect();
        Given {
            prompt,
            model,
            permission: String::new(),
            worktree: worktree.into(),
            hook: hook.join(" "),
            hook_answers: self.config.hook_answers,
        }
    }

    /// Writes the files of the hooks into the worktree, and returns whether the program will run its hooks. A
    /// file that the repository or a person put there stays as it is, and the hooks are not installed.
    fn install_hooks(&self, session: &Session, built: &Built) -> Result<bool> {
        let Some(hooks) = &built.hooks else { return Ok(false) };
        if hooks.files.is_empty() {
            return Ok(true);
        }
        let project =
            self.store.read(|snapshot| project::require_active(snapshot, &session.project))?;
        let worktree = Path::new(&session.worktree_path);
        self.repository(&project)?.add_private_files(worktree, &hooks.files)
    }

    /// Records the launch and where it will run, before anything of it exists.
    fn begin_launch(
        &self,
        session: &Session,
        id: &str,
        built: &Built,
        reports: bool,
    ) -> Result<()> {
        let is_typed = built.typed.is_some();
        let prompt_stage = match built.kind {
            LaunchKind::Prompt if is_typed => PromptStage::Pending,
            LaunchKind::Prompt => PromptStage::Written,
            LaunchKind::Fresh | LaunchKind::Resume => PromptStage::None,
        };
        let new = NewLaunch {
            id: id.to_owned(),
            kind: built.kind,
            instance: self.instance()?,
            boot_id: instance::boot_id(),
            native_id: built.native_id.clone().unwrap_or_default(),
            prompt_stage,
            reports,
        };
        let typed = built.typed.clone().map(|text| (new_id('m'), self.last_stage(session), text));
        let (session, place) = (session.clone(), self.runtime(&session.runtime_kind)?.place());
        self.write(move |tx| {
            rows::set_place(tx, &session.id, &place)?;
            launch::begin(tx, &session, &new)?;
            match typed {
                Some((id, stage, text)) => {
                    delivery::prompt::owe_prompt(tx, &session, &id, stage, &text)
                }
                None => Ok(()),
            }
        })
    }

    fn start_launch(&self, session: &Session, id: &str, built: Built) -> Result<Launch> {
        step!(self, "launch.recorded");
        let runtime = self.runtime(&session.runtime_kind)?;
        let worktree = PathBuf::from(&session.worktree_path);
        let environment = self.launch_environment(session, id, &built);
        let spec = Spec {
            launch: id.to_owned(),
            session: session.id.to_string(),
            dir: worktree.clone(),
            argv: built.argv,
            runtime: runtime.kind().to_owned(),
            environment,
        };
        let file = self.write_spec(&spec)?;
        step!(self, "launch.written");
        let mut argv = self.config.supervisor.clone();
        argv.push(id.into());
        let place = runtime.start(&Start { launch: id, dir: &worktree, argv: &argv })?;
        step!(self, "launch.started");
        let (row, stored) = (session.id.clone(), place.clone());
        self.write(move |tx| rows::set_place(tx, &row, &stored))?;
        let launch = self.wait_for_start(id)?;
        step!(self, "launch.running");
        drop(file);
        Ok(launch)
    }

    /// The variables of the agent program.
    fn launch_environment(
        &self,
        session: &Session,
        id: &str,
        built: &Built,
    ) -> Vec<(String, String)> {
        let data_dir = self.config.data_dir.to_string_lossy().into_owned();
        let own = [
            ("AO_SESSION_ID", session.id.to_string()),
            ("AO_PROJECT_ID", session.project.to_string()),
            ("AO_LAUNCH_ID", id.to_owned()),
            ("AO_DATA_DIR", data_dir),
            ("AO_ISSUE", session.issue.clone()),
        ];
        built.environment(&self.config.environment, &own)
    }

    /// Writes the file from which the supervisor takes its launch. It has the secrets of the environment,
    /// so only its owner can read it; the supervisor deletes it.
    fn write_spec(&self, spec: &Spec) -> Result<SpecFile> {
        let dir = self.launch_dir();
        let failed = |action, path: &Path| {
            let path = path.to_owned();
            move |source| Error::File { action, path, source }
        };
        let created = fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir);
        created.map_err(failed("create", &dir))?;
        let path = spec_file(&dir, &spec.launch)?;
        let mut options = OpenOptions::new();
        let file = options.write(true).create_new(true).mode(0o600).open(&path);
        let file = SpecFile(path.clone(), file.map_err(failed("create", &path))?);
        let text = serde_json::to_vec(spec).map_err(std::io::Error::from);
        text.and_then(|text| (&file.1).write_all(&text)).map_err(failed("write", &path))?;
        Ok(file)
    }

    /// Waits until the supervisor has reported.
    fn wait_for_start(&self, id: &str) -> Result<Launch> {
        let deadline = Instant::now() + START_TIMEOUT;
        loop {
            let (row, tail) = self
                .store
                .read(|snapshot| Ok((launch::get(snapshot, id)?, launch::output(snapshot, id)?)))?;
            match row {
                Some(launch) if launch.cause == EndCause::ExecFailed.as_str() => {
                    let tail = tail.unwrap_or_default();
                    let reason = tail.lines().last().unwrap_or_default().to_owned();
                    return Err(Error::AgentFailed { reason, tail });
                }
                Some(launch) if launch.started_at.is_some() || launch.ended_at.is_some() => {
                    return Ok(launch);
                }
                _ if Instant::now() > deadline => {
                    let reason = format!("it did not report within {START_TIMEOUT:?}");
                    return Err(Error::RuntimeFailed { action: "start the supervisor", reason });
                }
                _ => {
                    self.check_interrupted()?;
                    sleep(POLL);
                }
            }
        }
    }

    /// Stops the processes of a launch, removes its pane, and records that it was stopped. Everything that
    /// is gone already counts as stopped.
    pub(super) fn stop_launch(&self, session: &Session, id: &str) -> Result<Ended> {
        let launch = id.to_owned();
        let end = End { exit_status: None, signal: None, cause: EndCause::Stopped };
        self.write(move |tx| launch::ended(tx, &launch, end, "").map(|_| ()))?;
        if let Ok(file) = spec_file(&self.launch_dir(), id) {
            let _ = fs::remove_file(file);
        }
        let ended = processes::end(id, self.config.grace)?;
        if !session.runtime_kind.is_empty() {
            let runtime = self.runtime(&session.runtime_kind)?;
            runtime.remove(id, &session.runtime_socket)?;
        }
        match ended {
            // One that was being started could not be known yet, and may outlive its terminal.
            Ended::Absent => processes::end(id, self.config.grace),
            ended => Ok(ended),
        }
    }

    /// The same for a launch that failed, whose error is the one to report.
    fn stop_launch_quietly(&self, session: &Session, id: &str) {
        let stopped = again(&session.id, "stop a failed launch", || {
            self.stop_launch(&self.session(&session.id)?, id)
        });
        if let Err(error) = stopped {
            let error = error.chain();
            tracing::warn!(session = %session.id, launch = id, error, "cannot stop a failed launch");
        }
    }
}

/// The file of a launch, deleted at the end if the supervisor has not done it.
struct SpecFile(PathBuf, fs::File);

impl Drop for SpecFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}
