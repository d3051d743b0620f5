//! Stores the origin that the work tree of a project got after the project was registered: without one,
//! none of its pull requests would ever be found. It blocks, and runs git once per project.

use std::path::Path;

use ao_program::Environment;
use ao_store::row::project;
use ao_store::{Cause, Result, Store, Timestamp};

use crate::github::remotes;

/// Checks each project without an origin.
pub(super) fn fill(store: &Store, known: &[String], environment: &Environment) -> Result<()> {
    let projects = store.read(|snapshot| project::list(snapshot, false))?;
    for project in projects.into_iter().filter(|project| project.origin_url.is_empty()) {
        let found = remotes::remotes(Path::new(&project.path), known, environment);
        let origin = found.unwrap_or_default().into_iter().find(|it| it.name == "origin");
        if let Some(origin) = origin {
            let cause = Cause::new("observer", Timestamp::now());
            store.write(cause, move |tx| {
                project::set_origin(tx, &project.id, &origin.url, &origin.host, &origin.repo)
            })?;
        }
    }
    Ok(())
}
