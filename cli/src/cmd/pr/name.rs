//! The pull request that an argument names: by URL, location or id, or by its number inside the repository
//! of a project.

use std::path::Path;

use ao_daemon::request::{self, git};
use ao_store::row::project;
use ao_store::{PrName, PrRef};

use crate::context::Context;
use crate::error::{Error, Result};
use crate::output;

/// The name that a text means.
pub(in crate::cmd) fn resolve(context: &Context, text: &str) -> Result<PrName> {
    let digits = text.strip_prefix('#').unwrap_or(text);
    let is_number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    match digits.parse() {
        Ok(number) if is_number => here(context, number),
        _ => Ok(text.parse()?),
    }
}

/// The pull request of this number in the repository of the working directory.
fn here(context: &Context, number: i64) -> Result<PrName> {
    let store = context.open()?;
    let what = format!("{number} is a pull request only inside the repository of a project");
    let refuse = |why: &str| Error::Usage(format!("{what}: {why}; or write OWNER/REPO#{number}"));
    let tree = match git::work_tree(Path::new(".")) {
        Ok(tree) => tree,
        Err(request::Error::NotAGitRepo(_)) => return Err(refuse("this directory is in none")),
        Err(error) => return Err(error.into()),
    };
    let root = tree.root.to_string_lossy();
    let Some(project) = store.read(|snapshot| project::at_path(snapshot, &root))? else {
        let root = output::path(&tree.root);
        return Err(refuse(&format!(
            "{root} is not registered, which `ao-store project add .` does"
        )));
    };
    if project.repo.is_empty() {
        return Err(refuse(&format!("project {} has no remote repository", project.id)));
    }
    Ok(PrRef::new(&project.host, &project.repo, number)?.into())
}
