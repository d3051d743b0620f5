//! `up`: creates the store, registers a repository, observes it, and follows the changes.
//!
//! The observer runs in a thread beside the stream. While another process observes for the store, it
//! waits.

use std::path::Path;

use ao_cdc::Start;
use ao_store::Store;
use ao_store::row::project;

use crate::args::Up as Args;
use crate::cmd::poll::{self, Beside};
use crate::cmd::{project as projects, tail};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::git;
use crate::output::{self, Ended};

pub(crate) fn run(context: &Context, args: &Args) -> Result<Ended> {
    let path = args.path.as_path();
    let api = poll::api(&args.api)?;
    let (store, migrated) = Store::create(context.database(), context.options())?;
    let what = if migrated.from == 0 { "created" } else { "opened" };
    context.say(&format!("store {} {what}", output::path(context.database())));
    // Before the registration, so that it is the first change of the stream.
    let start = Start::Cursor(store.read(|snapshot| snapshot.head())?);
    match register(context, &store, path) {
        Err(Error::NotAGitRepo(_)) => {
            let path = output::path(path);
            context.say(&format!("{path} is not a git repository; continuing without it"));
        }
        other => other?,
    }
    // Runs until the stream ends.
    let _observer = (!args.no_observe).then(|| Beside::begin(&store, api)).transpose()?;
    let format = tail::default_format(context);
    tail::follow(context, &store, start, format)
}

fn register(context: &Context, store: &Store, path: &Path) -> Result<()> {
    let tree = git::read(path)?;
    let known = match projects::register_under_free_id(store, &tree, None) {
        Ok(added) => {
            let (id, root) = (&added.id, output::printable(&added.path));
            context.say(&format!("project {id} registered: {root}"));
            context.say(&format!("next: `ao-store session new --project {id} --branch BRANCH`"));
            return Ok(());
        }
        Err(Error::Store(ao_store::Error::PathAlreadyRegistered { owner, .. })) => {
            store.read(|snapshot| project::require_active(snapshot, &owner))?
        }
        Err(error) => return Err(error),
    };
    context.say(&format!(
        "project {} is already registered: {}",
        known.id,
        output::printable(&known.path)
    ));
    Ok(())
}
