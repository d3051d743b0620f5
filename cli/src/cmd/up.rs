//! The main job: a store, this repository in it, and its changes as they come.

use std::path::Path;

use ao_cdc::{Filter, Start};
use ao_store::row::project;
use ao_store::Store;

use crate::adapter::git;
use crate::cmd::{project as projects, tail};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::output::{self, Ended};

pub(crate) fn run(context: &Context, path: &Path) -> Result<Ended> {
    let (store, migrated) = Store::create(context.database(), context.options())?;
    let what = if migrated.from == 0 { "created" } else { "opened" };
    output::say(&format!("store {} {what}", context.database().display()));
    match register(&store, path) {
        Err(Error::NotAGitRepo(_)) => {
            output::say(&format!("{} is no git repository; going on without it", path.display()));
        }
        other => other?,
    }
    let format = tail::default_format(context);
    tail::follow(&store, Start::End, Filter::default(), format, tail::Stop::default())
}

fn register(store: &Store, path: &Path) -> Result<()> {
    let tree = git::work_tree(path)?;
    let root = tree.root.to_string_lossy().into_owned();
    if let Some(known) = store.read(|snapshot| project::at_path(snapshot, &root))? {
        output::say(&format!("project {} is registered: {root}", known.id));
        return Ok(());
    }
    let added = projects::register_under_free_id(store, &tree, None)?;
    output::say(&format!("project {} registered: {root}", added.id));
    output::say(&format!("next: `ao-store session new --project {} --branch BRANCH`", added.id));
    Ok(())
}
