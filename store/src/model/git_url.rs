//! URLs of git remotes: the repository that one names, and the same URL without its credentials.

use crate::model::id::PrRef;

/// Host and `owner/name` of a git remote URL (https, ssh, scp-like); `None` for another form, such as
/// a local path.
#[must_use]
pub fn parse_remote(url: &str) -> Option<(String, String)> {
    let is_known = |scheme: &str| {
        ["https", "http", "ssh", "git"].iter().any(|known| scheme.eq_ignore_ascii_case(known))
    };
    let (host, path) = match url.split_once("://") {
        Some((scheme, rest)) if is_known(scheme) => rest.split_once('/')?,
        Some(_) => return None,
        None => url.split_once(':').filter(|(host, _)| !host.contains('/'))?,
    };
    let host = host.rsplit('@').next()?.split(':').next()?;
    let path = path.trim_matches('/');
    let path = path.strip_suffix(".git").unwrap_or(path);
    let location = PrRef::new(host, path, 1).ok()?;
    // github.com has a second host name for networks that block port 22.
    let host = match location.host.to_ascii_lowercase().as_str() {
        "ssh.github.com" | "www.github.com" => "github.com".to_owned(),
        other => other.to_owned(),
    };
    Some((host, location.repo))
}

/// The URL of a git remote without its secrets: the store must not contain a token.
#[must_use]
pub fn without_credentials(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let is = |name: &str| scheme.eq_ignore_ascii_case(name);
    let end = if is("https") || is("http") { rest.find(['?', '#']) } else { None };
    let rest = &rest[..end.unwrap_or(rest.len())];
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    match authority.rsplit_once('@') {
        None => format!("{scheme}://{rest}"),
        // The user of ssh is part of the address, a password is not.
        Some((user, host)) if is("ssh") => {
            let user = user.split(':').next().unwrap_or_default();
            format!("{scheme}://{user}@{host}{path}")
        }
        Some((_, host)) => format!("{scheme}://{host}{path}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remote_urls_name_a_repository_or_nothing() {
        let expected = Some(("github.com".to_owned(), "Octo/hello".to_owned()));
        for url in [
            "https://github.com/Octo/hello.git",
            "https://tok@GitHub.com/Octo/hello",
            "HTTPS://github.com/Octo/hello",
            "git@github.com:Octo/hello.git",
            "ssh://git@github.com:22/Octo/hello",
            "ssh://git@ssh.github.com:443/Octo/hello.git",
        ] {
            assert_eq!(parse_remote(url), expected, "{url}");
        }
        for url in [
            "",
            "/srv/git/x.git",
            "../x",
            "file:///x/y",
            "ext::sh -c id",
            "C:\\x",
            "https://github.com/x",
        ] {
            assert_eq!(parse_remote(url), None, "{url}");
        }
    }

    #[test]
    fn credentials_are_removed_from_a_url() {
        for (url, kept) in [
            ("https://user:token@github.com/o/r.git", "https://github.com/o/r.git"),
            ("https://token@github.com/o/r", "https://github.com/o/r"),
            ("https://github.com/o/r", "https://github.com/o/r"),
            ("HTTPS://token@github.com", "HTTPS://github.com"),
            ("https://github.com/o/r?token=t#t", "https://github.com/o/r"),
            ("git://user:token@github.com/o/r", "git://github.com/o/r"),
            ("ssh://git@github.com/o/r", "ssh://git@github.com/o/r"),
            ("ssh://git:token@github.com:22/o/r", "ssh://git@github.com:22/o/r"),
            ("file:///srv/a#b?c", "file:///srv/a#b?c"),
            ("git@github.com:o/r.git", "git@github.com:o/r.git"),
            ("", ""),
        ] {
            assert_eq!(without_credentials(url), kept);
        }
    }
}
