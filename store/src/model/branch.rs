//! Branch names: the rules that a name must follow to be stored.

use crate::error::{Error, Result};
use crate::model::label::TEXT_MAX;

/// Checks a branch name against an allowlist that is narrower than git's rules, so that the name is
/// safe in a command line, a path or a terminal.
///
/// # Errors
/// [`Error::InvalidId`].
pub(crate) fn check_branch(text: &str) -> Result<()> {
    let reason = if text.len() > TEXT_MAX {
        "it is longer than 200 bytes"
    } else if !text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_') {
        "it must begin with a letter, a digit or '_'"
    } else if !text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._/+-#@".contains(&b)) {
        "it may contain only letters, digits and . _ / + - # @"
    } else if text.contains("..") || text.contains("//") || text.contains("@{") || text == "HEAD" {
        "it has a special meaning in git"
    } else if text.ends_with(['/', '.'])
        || text.split('/').any(|part| part.starts_with('.') || part.ends_with(".lock"))
    {
        "git refuses it"
    } else {
        return Ok(());
    };
    Err(Error::invalid_id("branch", text, reason))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unsafe_branch_names_are_refused() {
        for bad in [
            "", "-x", "a b", "$(id)", "a;b", "a..b", "a//b", "@{-1}", "HEAD", "x.lock", "a/.b",
            "a/", "a\nb", "a:b", "a~1", "a^", "a?",
        ] {
            assert!(check_branch(bad).is_err(), "{bad:?}");
        }
        for good in [
            "main",
            "ao/demo-1/root",
            "fix/#12",
            "feature_x+y",
            "dependabot/npm_and_yarn/@types/node-1.2",
        ] {
            assert!(check_branch(good).is_ok(), "{good:?}");
        }
    }
}
