//! Follows the origins of the work trees: a project whose origin changed, or that got one after it was
//! registered, has its pull requests elsewhere. It blocks, and runs git for each project.

use std::path::Path;

use ao_program::Environment;
use ao_store::row::project;
use ao_store::{Cause, Result, Store};

use crate::github::remotes;

/// Checks each active project. A work tree that git cannot read changes nothing.
pub(super) fn follow(store: &Store, known: &[String], environment: &Environment) -> Result<()> {
    for project in store.read(|snapshot| project::list(snapshot, false))? {
        let Ok(found) = remotes::origin(Path::new(&project.path), known, environment) else {
            continue;
        };
        let origin = found.into();
        if project.has_origin(&origin) {
            continue;
        }
        let cause = Cause::now("observer");
        store.write(cause, move |tx| project::set_origin(tx, &project.id, &origin))?;
    }
    Ok(())
}
