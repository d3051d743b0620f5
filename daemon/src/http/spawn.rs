//! What spawns a session: the fields of a request, as the flags of the command line.

use ao_session::SpawnRequest;
use ao_store::row::session::SessionKind;
use ao_store::{PrClaim, Takeover};
use serde::Deserialize;
use utoipa::ToSchema;

use super::failure::Failure;
use crate::app::App;
use crate::request;

/// The role of a session.
#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// It works on a branch.
    #[default]
    Worker,
    /// It directs the others.
    Orchestrator,
}

/// What a session runs in.
#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Runtime {
    /// A pane of tmux.
    #[default]
    Tmux,
    /// A process without a terminal.
    Process,
}

/// A session to spawn.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Spawn {
    /// The project.
    project: String,
    /// Its role; `worker` if it is absent.
    #[serde(default)]
    kind: Kind,
    /// The harness; if it is absent, that of `AO_AGENT` in the environment of the daemon.
    harness: Option<String>,
    /// The model that the harness is to use.
    #[serde(default)]
    model: String,
    /// What the agent may do unasked: `ask`, `edit` or `all`.
    permission: Option<String>,
    /// The branch to work on; a new one of its own if it is absent.
    branch: Option<String>,
    /// Create the branch.
    #[serde(default)]
    create_branch: bool,
    /// The branch, tag or commit at which a new branch starts.
    base: Option<String>,
    /// The prompt, at most 1 MiB.
    #[serde(default)]
    prompt: String,
    /// The issue that it works on.
    #[serde(default)]
    issue: String,
    /// The display name.
    #[serde(default)]
    name: String,
    /// The session that spawns it.
    parent: Option<String>,
    /// What it runs in; `tmux` if it is absent.
    #[serde(default)]
    runtime: Runtime,
    /// Do not fetch the base first.
    #[serde(default)]
    no_fetch: bool,
    /// Spawn it although the account of the harness has reached a limit.
    #[serde(default)]
    force: bool,
    /// Send no message to the session that spawns it when a turn ends.
    #[serde(default)]
    no_report: bool,
    /// The command to run instead of that of the harness.
    #[serde(default)]
    argv: Vec<String>,
    /// The pull request that it is to own: a URL, owner/repo#number, or an id.
    claim_pr: Option<String>,
    /// Take the pull request from an active session, too.
    #[serde(default)]
    takeover: bool,
}

impl Spawn {
    /// What is asked for. The host is asked about a pull request to claim.
    pub(crate) fn request(self, app: &App) -> Result<SpawnRequest, Failure> {
        let claim = self.claim(app)?;
        let runtime = match self.runtime {
            Runtime::Tmux => "tmux",
            Runtime::Process => "process",
        };
        Ok(SpawnRequest {
            project: self.project.parse()?,
            kind: match self.kind {
                Kind::Worker => SessionKind::Worker,
                Kind::Orchestrator => SessionKind::Orchestrator,
            },
            harness: self.harness,
            model: self.model,
            permission: self.permission,
            branch: self.branch,
            create_branch: self.create_branch,
            base: self.base,
            prompt: self.prompt,
            issue: self.issue,
            name: self.name,
            parent: self.parent.map(|id| id.parse()).transpose()?,
            claim,
            runtime: Some(runtime.to_owned()),
            fetch: !self.no_fetch,
            argv: self.argv,
            force: self.force,
            is_silent: self.no_report,
        })
    }

    fn claim(&self, app: &App) -> Result<Option<PrClaim>, Failure> {
        let takeover = if self.takeover { Takeover::Allow } else { Takeover::Refuse };
        match &self.claim_pr {
            Some(text) => {
                let api = app.api.clone();
                Ok(Some(request::wanted(&app.store, text.parse()?, takeover, api)?))
            }
            None if self.takeover => Err(Failure::invalid_request("takeover needs claim_pr")),
            None => Ok(None),
        }
    }
}
