//! Spawns sessions and orchestrators: infers the project and the parent, reads the prompt, and asks the host
//! about a pull request to claim. The session crate does the rest.

use std::io::Read;
use std::path::Path;

use ao_daemon::request::{git, wanted};
use ao_program::Environment;
use ao_session::SpawnRequest;
use ao_store::row::session::SessionKind;
use ao_store::row::{project, session};
use ao_store::{PrClaim, ProjectId, SessionId, Store, Takeover};

use crate::args::{Api, Common, SessionKind as KindArg, Spawn as Args};
use crate::cmd::poll;
use crate::cmd::pr::name;
use crate::cmd::session::lifecycle;
use crate::config::name_of;
use crate::context::Context;
use crate::error::{Error, Result};

/// The longest prompt that is read; the session crate has its own bound.
const PROMPT_MAX: u64 = 2 << 20;

pub(crate) fn run(context: &Context, args: Args) -> Result<()> {
    let mut request = request(context, args.common)?;
    request.kind = match args.kind {
        KindArg::Worker => SessionKind::Worker,
        KindArg::Orchestrator => SessionKind::Orchestrator,
    };
    if let Some(text) = &args.claim_pr {
        let takeover = if args.takeover { Takeover::Allow } else { Takeover::Refuse };
        request.claim = Some(resolve(context, text, takeover, &args.api)?);
    }
    let spawned = context.sessions()?.spawn(&request)?;
    lifecycle::print(context, "spawn", &spawned.session, "spawned", &spawned.warnings)
}

/// What the arguments ask for. The project is checked first.
pub(super) fn request(context: &Context, common: Common) -> Result<SpawnRequest> {
    let environment = Environment::of_process();
    let store = context.open()?;
    let caller = caller(&store, &environment)?;
    let project = project_of(&store, common.project.as_deref(), &environment, caller.as_ref())?;
    store.read(|snapshot| project::require_active(snapshot, &project).map(|_| ()))?;
    let parent = match common.parent {
        Some(parent) => Some(parent.parse()?),
        None => caller,
    };
    let prompt = match (common.prompt, &common.prompt_file) {
        (Some(prompt), _) => prompt,
        (None, Some(path)) => read_prompt(path)?,
        (None, None) => String::new(),
    };
    Ok(SpawnRequest {
        project,
        kind: SessionKind::Worker,
        harness: common.harness,
        model: common.model,
        permission: common.permission,
        branch: common.branch,
        create_branch: common.create_branch,
        base: common.base,
        prompt,
        issue: common.issue,
        name: common.name,
        parent,
        claim: None,
        runtime: Some(name_of(&common.runtime)),
        fetch: !common.no_fetch,
        argv: common.argv,
        force: common.force,
        is_silent: common.no_report,
    })
}

/// The session that this program runs in, if this store has it.
pub(super) fn caller(store: &Store, environment: &Environment) -> Result<Option<SessionId>> {
    let named = environment.get("AO_SESSION_ID").and_then(|id| id.to_str()?.parse().ok());
    let Some(id) = named else { return Ok(None) };
    let found = store.read(|snapshot| session::get(snapshot, &id))?;
    Ok(found.map(|session| session.id))
}

/// The project of the argument, of the environment of the calling session, or of the directory.
fn project_of(
    store: &Store,
    argument: Option<&str>,
    environment: &Environment,
    caller: Option<&SessionId>,
) -> Result<ProjectId> {
    if let Some(id) = argument {
        return Ok(id.parse()?);
    }
    if let Some(id) = caller {
        return Ok(store.read(|snapshot| session::require(snapshot, id))?.project);
    }
    if let Some(id) = environment.get("AO_PROJECT_ID").and_then(|id| id.to_str()) {
        return Ok(id.parse()?);
    }
    let Ok(tree) = git::work_tree(Path::new(".")) else { return Err(Error::ProjectRequired) };
    let root = tree.root.to_string_lossy();
    let found = store.read(|snapshot| project::at_path(snapshot, &root))?;
    found.map(|project| project.id).ok_or(Error::ProjectRequired)
}

fn read_prompt(path: &Path) -> Result<String> {
    let mut text = Vec::new();
    let read = if path == Path::new("-") {
        std::io::stdin().lock().take(PROMPT_MAX).read_to_end(&mut text)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(PROMPT_MAX).read_to_end(&mut text))
    };
    read.map_err(|source| Error::file("read", path, source))?;
    String::from_utf8(text).map_err(|_| ao_session::Error::InvalidPrompt("it is not UTF-8").into())
}

/// Asks the host about the pull request. Nothing is written.
fn resolve(context: &Context, text: &str, takeover: Takeover, api: &Api) -> Result<PrClaim> {
    let name = name::resolve(context, text)?;
    Ok(wanted(&context.open()?, name, takeover, poll::api(api)?)?)
}
