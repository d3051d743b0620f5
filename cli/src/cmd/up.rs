//! The main job: a store, this repository in it, and its changes as they come.
//!
//! The observer runs beside the stream. When another process observes for the store, it waits for
//! its turn.

use std::path::Path;

use ao_cdc::Start;
use ao_store::Store;
use ao_store::row::project;

use crate::adapter::git;
use crate::args::Up as Args;
use crate::cmd::poll::{self, Beside};
use crate::cmd::{project as projects, tail};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::output::{self, Ended};

pub(crate) fn run(context: &Context, args: &Args) -> Result<Ended> {
    let path = args.path.as_path();
    let api = poll::api(&args.api)?;
    let (store, migrated) = Store::create(context.database(), context.options())?;
    let what = if migrated.from == 0 { "created" } else { "opened" };
    context.say(&format!("store {} {what}", output::path(context.database())));
    // From here on, so that the registration is the first change that is seen.
    let start = Start::Cursor(store.read(|snapshot| snapshot.head())?);
    match register(context, &store, path) {
        Err(Error::NotAGitRepo(_)) => {
            let path = output::path(path);
            context.say(&format!("{path} is no git repository; going on without it"));
        }
        other => other?,
    }
    // It goes on beside the stream, and ends with it.
    let _observer = (!args.no_observe).then(|| Beside::begin(&store, api)).transpose()?;
    let format = tail::default_format(context);
    tail::follow(context, &store, start, format)
}

fn register(context: &Context, store: &Store, path: &Path) -> Result<()> {
    let tree = git::work_tree(path)?;
    let root = tree.root.to_string_lossy().into_owned();
    let registered = || store.read(|snapshot| project::at_path(snapshot, &root));
    let known = match registered()? {
        Some(known) => known,
        None => match projects::register_under_free_id(store, &tree, None) {
            Ok(added) => {
                let (id, root) = (&added.id, output::printable(&root));
                context.say(&format!("project {id} registered: {root}"));
                context
                    .say(&format!("next: `ao-store session new --project {id} --branch BRANCH`"));
                return Ok(());
            }
            // Another `up` was faster.
            Err(error) => registered()?.ok_or(error)?,
        },
    };
    context.say(&format!("project {} is registered: {}", known.id, output::printable(&root)));
    Ok(())
}
