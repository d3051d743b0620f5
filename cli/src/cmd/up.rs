//! `up`: creates the store, registers a repository, runs the daemon, and follows the changes.
//!
//! Where a daemon serves the data directory already, it only follows.

use std::path::Path;

use ao_cdc::Start;
use ao_daemon::CancellationToken;
use ao_daemon::request::{self, git, register_under_free_id};
use ao_observer::run::unobservable;
use ao_program::Environment;
use ao_store::Store;
use ao_store::row::project::{self, Project};

use crate::args::Up as Args;
use crate::cmd::{daemon, tail};
use crate::context::{Context, cause};
use crate::error::{Error, Result};
use crate::output::{self, Ended, printable};
use crate::signal::Signals;

pub(crate) fn run(context: &Context, args: &Args) -> Result<Ended> {
    let path = args.path.as_path();
    let (store, migrated) = daemon::create_store(context)?;
    let what = if migrated.from == 0 { "created" } else { "opened" };
    context.say(&format!("store {} {what}", output::path(context.database())));
    // Before the registration, so that it is the first change of the stream.
    let start = Start::Cursor(store.read(|snapshot| snapshot.head())?);
    match register(context, &store, path) {
        Ok(project) => context.say(&observed(&project)),
        Err(Error::NotAGitRepo(_)) => {
            let path = output::path(path);
            context.say(&format!("{path} is not a git repository; continuing without it"));
            if store.read(|snapshot| project::list(snapshot, false))?.is_empty() {
                let fix = "register a repository: `ao-store project add PATH`";
                context.say(&format!("there is no project, so nothing can be observed; {fix}"));
            }
        }
        Err(error) => return Err(error),
    }
    if args.serve.no_observe {
        context.say("observing is off: --no-observe");
    }
    let signals = Signals::listen().map_err(Error::Stdout)?;
    let stop = CancellationToken::new();
    // It serves until the stream ends.
    let _daemon = match daemon::begin(context, store.clone(), &args.serve, &signals, &stop) {
        Ok(daemon) => {
            context.say(&daemon::ready(daemon.run_file()));
            Some(daemon)
        }
        Err(Error::Daemon(error @ ao_daemon::Error::Running { .. })) => {
            context.say(&printable(&format!("{error}; this command only follows the stream")));
            None
        }
        Err(error) => return Err(error),
    };
    let format = tail::default_format(context);
    tail::follow(context, &store, start, format, &stop)
}

/// What is observed for a project, or why nothing is and how that changes.
fn observed(project: &Project) -> String {
    let Project { id, host, repo, .. } = project;
    printable(&match unobservable(project, &Environment::of_process()) {
        None => format!("project {id}: its pull requests are those at {host}/{repo}"),
        Some(reason) => format!("project {id}: its pull requests cannot be observed: {reason}"),
    })
}

fn register(context: &Context, store: &Store, path: &Path) -> Result<Project> {
    let tree = git::read(path)?;
    let known = match register_under_free_id(store, &cause(), &tree, None) {
        Ok(added) => {
            let (id, root) = (&added.id, printable(&added.path));
            context.say(&format!("project {id} registered: {root}"));
            context.say(&format!("next: `ao-store session new --project {id} --branch BRANCH`"));
            return Ok(added);
        }
        Err(request::Error::Store(ao_store::Error::PathAlreadyRegistered { owner, .. })) => {
            store.read(|snapshot| project::require_active(snapshot, &owner))?
        }
        Err(error) => return Err(error.into()),
    };
    context.say(&format!("project {} is already registered: {}", known.id, printable(&known.path)));
    Ok(known)
}
