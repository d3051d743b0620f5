//! Branch names: the rules that a name must follow to be stored as that of a session.
//!
//! They are those of git, because a session must be able to have every branch that a pull request can
//! have. Two forms of one character, such as composed and decomposed `é`, are two branches, as in git.

use crate::error::{Error, Result};
use crate::model::label::is_hidden;

/// The longest name, in bytes: hosts accept no longer one.
const BRANCH_MAX: usize = 255;

/// Checks a branch name by the rules of `git check-ref-format --branch`. It also refuses characters that
/// control a terminal or are not seen, and `@`, by which git means `HEAD`. A name is data: a program that
/// puts it into a shell command or a format escapes it.
///
/// # Errors
/// [`Error::InvalidId`].
pub fn check_branch(text: &str) -> Result<()> {
    let mut parts = text.split('/');
    let reason = if text.is_empty() {
        "it is empty"
    } else if text.len() > BRANCH_MAX {
        "it is longer than 255 bytes"
    } else if text.starts_with('-') {
        "it begins with '-', like an option"
    } else if text.chars().any(is_hidden) {
        "it contains a character that is not seen"
    } else if text.contains([' ', '~', '^', ':', '?', '*', '[', '\\']) {
        "git allows no space and none of ~ ^ : ? * [ \\ in it"
    } else if text.contains("..") || text.contains("@{") || ["@", "HEAD"].contains(&text) {
        "it has a special meaning in git"
    } else if text.ends_with('.')
        || parts.any(|part| part.is_empty() || part.starts_with('.') || part.ends_with(".lock"))
    {
        "git refuses an empty part between slashes, '.' at an end, and '.lock' at the end of a part"
    } else {
        return Ok(());
    };
    Err(Error::invalid_id("branch", text, reason))
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;

    /// Whether git accepts a branch of this name.
    fn git_accepts(name: &str) -> bool {
        // Outside a repository, where no name can mean an earlier branch.
        let mut git = Command::new("git");
        git.args(["check-ref-format", "--branch", name]).current_dir("/");
        git.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success()
    }

    #[test]
    fn every_name_of_git_that_is_seen_is_accepted_and_no_other() {
        let good = "main ao/demo-1/root fix/#12 dependabot/npm/@types/node-1.2 größe/日本語 é e\u{301} 🚀 \
            ❤\u{fe0f} שלום (x) it's a,b a=b a! 100% a&b a;b $(id) `id` #(id) #{x} \"a\" a|b <a> {a} +x _ \
            @x x@ @/a refs/heads/x head a\u{a0}b x.locked lock a.b a- a/-b";
        for name in good.split(' ') {
            assert!(git_accepts(name) && check_branch(name).is_ok(), "{name:?}");
        }
        let bad = "-x -- a..b a//b @{-1} a@{b HEAD x.lock x.lock/y a/.b .a a/ /a / a. a/b. a\nb a\u{7f} \
            \u{1b}[31m a:b a~1 a^ a? a* [a a\\b";
        for name in bad.split(' ').chain(["", "a b"]) {
            assert!(!git_accepts(name) && check_branch(name).is_err(), "{name:?}");
        }
        let hidden = "a\u{200b}b \u{202e}x \u{85} a\u{ad}b \u{9b}2J \u{feff}main \u{3164}";
        for name in hidden.split(' ') {
            assert!(git_accepts(name) && check_branch(name).is_err(), "{name:?}");
        }
        assert!(git_accepts("@") && check_branch("@").is_err(), "it stands for HEAD");
        assert!(check_branch(&"é".repeat(127)).is_ok() && check_branch(&"é".repeat(128)).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]

        #[test]
        fn random_names_are_judged_as_by_git(pieces in vec(select(PIECES), 1..5)) {
            let name = pieces.concat();
            prop_assume!(name != "@");
            prop_assert_eq!(check_branch(&name).is_ok(), git_accepts(&name), "{:?}", name);
        }
    }

    const PIECES: &[&str] = &[
        "a", "é", "/", ".", "..", "@", "{", "-", ".lock", "lock", "~", "^", ":", "?", "*", "[",
        "\\", " ", "HEAD", "#(", "$", "\t",
    ];
}
