//! Follows the origins of the work trees: a project whose origin changed, or that got one after it was
//! registered, has its pull requests elsewhere. It blocks, and runs git for each project.

use std::path::Path;

use ao_program::Environment;
use ao_store::row::project;
use ao_store::{Cause, Result, Store};

use crate::github::remotes::{self, Origin};

/// Checks each active project. A work tree that git cannot read, or a host that ssh fails to resolve,
/// changes nothing.
pub(super) fn follow(store: &Store, known: &[String], environment: &Environment) -> Result<()> {
    for project in store.read(|snapshot| project::list(snapshot, false))? {
        let Ok(found) = remotes::origin(Path::new(&project.path), known, environment) else {
            continue;
        };
        if matches!(&found, Origin::Remote { remote, .. } if remote.is_unresolved) {
            continue;
        }
        let origin = found.into();
        if project.has_origin(&origin) {
            continue;
        }
        let cause = Cause::now("observer");
        store.write(cause, move |tx| project::set_origin(tx, &project.id, &origin))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use ao_store::row::project::NewProject;
    use ao_store::{Options, Store, Timestamp};

    use super::*;

    #[test]
    fn a_host_that_ssh_fails_to_resolve_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let git = |args: &[&str]| {
            let done = Command::new("git").arg("-C").arg(dir.path()).args(args).status();
            assert!(done.unwrap().success(), "{args:?}");
        };
        git(&["init", "-q"]);
        git(&["remote", "add", "origin", "git@work:octo/hello"]);
        let (store, _) = Store::create(&dir.path().join("ao.db"), Options::default()).unwrap();
        let new = NewProject {
            id: "demo".parse().unwrap(),
            path: dir.path().to_str().unwrap().to_owned(),
            name: "demo".to_owned(),
            origin_url: "git@work:octo/hello".to_owned(),
            host: "github.com".to_owned(),
            repo: "octo/hello".to_owned(),
            default_branch: String::new(),
        };
        let cause = || Cause::new("test", Timestamp(0));
        store.write(cause(), move |tx| project::add(tx, &new)).unwrap();
        let ssh = dir.path().join("ssh");
        let path = format!("{}:{}", dir.path().display(), std::env::var("PATH").unwrap());
        let environment: Environment = [("PATH", path)].into_iter().collect();
        for (script, host) in
            [("exit 255", "github.com"), ("echo hostname gitlab.com", "gitlab.com")]
        {
            let write =
                format!("printf '#!/bin/sh\n{script}\n' > '{0}'; chmod 755 '{0}'", ssh.display());
            assert!(Command::new("sh").args(["-c", &write]).status().unwrap().success());
            follow(&store, &[], &environment).unwrap();
            let found = store.read(|snapshot| project::list(snapshot, false)).unwrap();
            assert_eq!(found[0].host, host, "{script}");
        }
    }
}
