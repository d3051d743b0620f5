//! Provoking failures of git.

use ao_store::Code;

use super::{Provoked, World};
use crate::support::{TestEnv, text};

/// git is missing, or does not read the repository.
pub(super) fn git(code: Code, world: &World, env: &TestEnv) -> Option<Result<Provoked, String>> {
    match code {
        Code::GitFailed => Some(Ok(Provoked {
            path: Some(env.path("home")),
            ..Provoked::by(&["project", "add", &world.demo])
        })),
        Code::GitNotTrusted if rustix::process::geteuid().is_root() => {
            let theirs = env.repo("theirs", "");
            std::os::unix::fs::chown(&theirs, Some(12_345), None).unwrap();
            Some(Ok(Provoked::by(&["project", "add", text(&theirs)])))
        }
        Code::GitNotTrusted => Some(Err("only root can give a directory away".to_owned())),
        _ => None,
    }
}
