//! Finds what the configuration of a repository would make git run, and replaces it.
//!
//! The configuration of the user and of the system stays in force: a setting of the repository is
//! replaced by theirs, or else by a value that runs nothing. See `docs/decisions/0017`.

use crate::error::{Error, Result};

/// How ssh is run unless the user configured it: it asks nothing.
const SSH: &str = "ssh -oBatchMode=yes";

/// What holds for every repository.
const FIXED: &[(&str, &str)] = &[
    ("core.fsmonitor", "false"),
    ("core.hooksPath", "/dev/null"),
    ("core.safecrlf", "false"),
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
    ("add.ignoreErrors", "false"),
    ("rerere.enabled", "false"),
    ("submodule.recurse", "false"),
];

/// The settings that take precedence over those of the repository, from the output of
/// `git config --list -z --show-scope`.
pub(crate) fn overrides(listing: &[u8]) -> Result<Vec<(String, String)>> {
    let settings = parse(listing)?;
    let mut keys: Vec<&str> = Vec::new();
    for (scope, key, _) in &settings {
        if is_local(scope) && neutral(key).is_some() && !keys.contains(key) {
            keys.push(key);
        }
    }
    if !keys.contains(&"core.sshcommand") {
        keys.push("core.sshcommand");
    }
    let mut result: Vec<(String, String)> =
        FIXED.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    for key in keys {
        let theirs = settings.iter().filter(|(scope, k, _)| !is_local(scope) && *k == key);
        let theirs: Vec<&str> = theirs.map(|(_, _, value)| *value).collect();
        // An empty value empties a list, and the last value of what is no list counts.
        if key.ends_with(".helper") || theirs.is_empty() {
            result.push((key.to_owned(), neutral(key).unwrap_or_default().to_owned()));
        }
        result.extend(theirs.into_iter().map(|value| (key.to_owned(), value.to_owned())));
    }
    Ok(result)
}

/// Whether the repository names the program that a fetch from it runs.
pub(crate) fn sets_upload_pack(listing: &[u8]) -> bool {
    parse(listing).unwrap_or_default().into_iter().any(|(scope, key, _)| {
        is_local(scope) && key.starts_with("remote.") && key.ends_with(".uploadpack")
    })
}

/// Whether a setting is one of the repository.
fn is_local(scope: &str) -> bool {
    !["system", "global"].contains(&scope)
}

/// Scope, key and value of every setting.
fn parse(listing: &[u8]) -> Result<Vec<(&str, &str, &str)>> {
    let mut parts = listing.split(|byte| *byte == 0);
    let mut settings = Vec::new();
    while let (Some(scope), Some(setting)) = (parts.next(), parts.next()) {
        let end = setting.iter().position(|byte| *byte == b'\n').unwrap_or(setting.len());
        let (key, value) = (&setting[..end], setting.get(end + 1..).unwrap_or_default());
        let (Ok(scope), Ok(key)) = (str::from_utf8(scope), str::from_utf8(key)) else {
            return Err(Error::Git("a key of its configuration is not UTF-8".to_owned()));
        };
        settings.push((scope, key, str::from_utf8(value).unwrap_or_default()));
    }
    Ok(settings)
}

/// What replaces a setting that makes git run a program; `None` for every other setting.
fn neutral(key: &str) -> Option<&'static str> {
    let (section, rest) = key.split_once('.')?;
    let name = rest.rsplit_once('.').map_or(rest, |(_, name)| name);
    Some(match (section, name) {
        ("filter", "clean" | "smudge" | "process")
        | ("core", "askpass")
        | ("credential", "helper") => "",
        ("filter", "required") => "false",
        // The merge that git does without a driver.
        ("merge", "driver") => "git merge-file %A %O %B",
        ("core", "sshcommand") => SSH,
        ("core", "alternaterefscommand")
        | ("core" | "sequence", "editor")
        | ("hook", "command") => "true",
        ("gpg", "program") => "gpg",
        ("gpg", "defaultkeycommand") => "true",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(settings: &[(&str, &str, &str)]) -> Vec<u8> {
        let text = |(scope, key, value): &(&str, &str, &str)| format!("{scope}\0{key}\n{value}\0");
        settings.iter().map(text).collect::<String>().into_bytes()
    }

    fn of(settings: &[(&str, &str, &str)]) -> Vec<(String, String)> {
        overrides(&listing(settings)).unwrap().split_off(FIXED.len())
    }

    fn pair(key: &str, value: &str) -> (String, String) {
        (key.to_owned(), value.to_owned())
    }

    #[test]
    fn a_setting_of_the_repository_gives_way_to_that_of_the_user() {
        let lfs = ("global", "filter.lfs.smudge", "git-lfs smudge");
        assert_eq!(of(&[lfs]), [pair("core.sshcommand", SSH)]);
        let both = of(&[lfs, ("local", "filter.lfs.smudge", "touch x")]);
        assert!(both.contains(&pair("filter.lfs.smudge", "git-lfs smudge")), "{both:?}");
        let alone = of(&[("worktree", "filter.a=b.c.smudge", "touch x")]);
        assert!(alone.contains(&pair("filter.a=b.c.smudge", "")), "{alone:?}");
        let ssh = of(&[("global", "core.sshcommand", "ssh -v"), ("local", "core.sshcommand", "x")]);
        assert_eq!(ssh, [pair("core.sshcommand", "ssh -v")]);
    }

    #[test]
    fn the_helpers_of_the_repository_leave_the_list_and_those_of_the_user_stay() {
        let helper = "credential.helper";
        let settings =
            [("global", helper, "one"), ("global", helper, "two"), ("local", helper, "!touch x")];
        let expected = [pair(helper, ""), pair(helper, "one"), pair(helper, "two")];
        assert_eq!(of(&settings)[..3], expected);
    }

    #[test]
    fn a_key_that_cannot_be_named_is_refused() {
        assert!(overrides(b"local\0filter.\xff.clean\ntouch x\0").is_err());
        assert!(overrides(b"local\0core.bare\0").is_ok());
    }
}
