//! URLs of git remotes: the repository that one names, and the same URL without its credentials.

use crate::model::id::PrRef;

/// A URL of a remote, in the parts that git reads.
struct Parts<'a> {
    /// Lower-case, empty for the scp-like form.
    scheme: String,
    user: &'a str,
    host: &'a str,
    /// As it is written, without the colon; may be empty.
    port: &'a str,
    path: &'a str,
}

/// `None` for a local path, and for what has neither a host nor a form of git.
fn parts(url: &str) -> Option<Parts<'_>> {
    let (scheme, rest) = match url.split_once("://") {
        Some((scheme, rest)) => (scheme.to_ascii_lowercase(), rest),
        None if is_scp_like(url) => (String::new(), url),
        None => return None,
    };
    if scheme == "file" {
        return None;
    }
    // Query and fragment of a URL of the web are no part of the repository.
    let (user, rest) = split_user(&scheme, rest);
    let end = if scheme.starts_with("http") { rest.find(['?', '#']) } else { None };
    let rest = &rest[..end.unwrap_or(rest.len())];
    let (host, after) = if rest.starts_with('[') {
        rest.split_at(rest.find(']')? + 1)
    } else {
        rest.split_at(rest.find([':', '/']).unwrap_or(rest.len()))
    };
    let (port, path) = match after.strip_prefix(':') {
        Some(path) if scheme.is_empty() => ("", path),
        Some(after) => after.split_at(after.find('/').unwrap_or(after.len())),
        None => ("", after),
    };
    Some(Parts { scheme, user, host, port, path })
}

/// Whether it has the form `[user@]host:path`: like git, a slash before the colon makes it a path.
fn is_scp_like(url: &str) -> bool {
    let colon = url.find(':');
    colon.is_some_and(|at| at > 0 && !url[..at].contains('/') && !url[at..].starts_with("::"))
}

/// The user information and what follows it. A password may contain any of the characters that
/// separate the parts, so what cannot be a host with its port extends to the last `@`.
fn split_user<'a>(scheme: &str, rest: &'a str) -> (&'a str, &'a str) {
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let authority = &rest[..end];
    let at = if scheme.is_empty() {
        // `user:password@host:path` is no form of git, but people write it.
        authority.rfind('@').filter(|at| authority[*at..].contains(':'))
    } else {
        let port = authority.rsplit_once(':').map_or("", |(_, port)| port);
        let is_host = authority.starts_with('[') || port.bytes().all(|b| b.is_ascii_digit());
        authority.rfind('@').or_else(|| if is_host { None } else { rest.rfind('@') })
    };
    at.map_or(("", rest), |at| (&rest[..at], &rest[at + 1..]))
}

/// What ssh is to connect to, the user `git` included, for its configuration may ask for both; `None`
/// for the URL of another protocol. The host is as it is written, for an alias has a case.
#[must_use]
pub fn ssh_destination(url: &str) -> Option<String> {
    let Parts { scheme, user, host, .. } = parts(url)?;
    let user = if is_git_user(user) { "git@" } else { "" };
    is_ssh_scheme(&scheme).then(|| format!("{user}{host}"))
}

/// Whether it is the user of ssh that is part of the address of every server; another can be a token.
fn is_git_user(user: &str) -> bool {
    user.split(':').next() == Some("git")
}

fn is_ssh_scheme(scheme: &str) -> bool {
    matches!(scheme, "" | "ssh" | "git+ssh" | "ssh+git")
}

/// Host and `owner/name` of a git remote URL (http, ssh, git, scp-like); `None` for another form,
/// such as a local path or an address of IPv6. The host has the port of a server of the web that is
/// not the usual one: the API has it too. A port of ssh or git says nothing about the API.
#[must_use]
pub fn parse_remote(url: &str) -> Option<(String, String)> {
    let Parts { scheme, host, port, path, .. } = parts(url)?;
    let port = match (scheme.as_str(), port) {
        ("https", "" | "443") | ("http", "" | "80") => String::new(),
        ("https" | "http", port) => format!(":{port}"),
        ("git", _) => String::new(),
        (other, _) if is_ssh_scheme(other) => String::new(),
        _ => return None,
    };
    let path = path.trim_matches('/');
    let path = path.strip_suffix(".git").unwrap_or(path);
    let location = PrRef::new(&format!("{host}{port}"), path, 1).ok()?;
    // github.com has a second host name for networks that block port 22.
    let host = match location.host.to_ascii_lowercase().trim_end_matches('.') {
        "ssh.github.com" | "www.github.com" => "github.com".to_owned(),
        other => other.to_owned(),
    };
    Some((host, location.repo))
}

/// The URL of a git remote without its secrets: the store must not contain a token. Of the user
/// information only the user `git` of ssh is kept.
#[must_use]
pub fn without_credentials(url: &str) -> String {
    let Some(Parts { scheme, user, host, port, path }) = parts(url) else { return url.to_owned() };
    let user = if is_ssh_scheme(&scheme) && is_git_user(user) { "git@" } else { "" };
    if scheme.is_empty() {
        return format!("{user}{host}:{path}");
    }
    let port = if port.is_empty() { String::new() } else { format!(":{port}") };
    let scheme = &url[..scheme.len()];
    format!("{scheme}://{user}{host}{port}{path}")
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
            "git+ssh://git@github.com/Octo/hello.git",
            "ssh+git://git@github.com/Octo/hello",
            "git://github.com:9418/Octo/hello.git/",
            "http://github.com:80/Octo/hello",
            "https://github.com:443/Octo/hello",
            "github.com:Octo/hello",
            "github.com:/Octo/hello.git",
            "git@GitHub.com.:Octo/hello",
            "token:x@github.com:Octo/hello",
            "https://user:p/a?s#s@github.com/Octo/hello",
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
            "ssh://git@[::1]:22/o/r",
            "git@[::1]:o/r",
            "./a:o/r",
            ":o/r",
            "rsync://github.com/o/r",
        ] {
            assert_eq!(parse_remote(url), None, "{url}");
        }
    }

    #[test]
    fn the_port_of_the_web_is_kept_and_the_one_of_ssh_is_not() {
        for (url, host) in [
            ("https://ghe.corp:8443/o/r", "ghe.corp:8443"),
            ("http://ghe.corp:8080/o/r", "ghe.corp:8080"),
            ("https://ghe.corp:443/o/r", "ghe.corp"),
            ("ssh://git@ghe.corp:2222/o/r", "ghe.corp"),
            ("git+ssh://ghe.corp:2222/o/r", "ghe.corp"),
            ("git://ghe.corp:9419/o/r", "ghe.corp"),
        ] {
            assert_eq!(parse_remote(url), Some((host.to_owned(), "o/r".to_owned())), "{url}");
        }
    }

    #[test]
    fn ssh_is_known_by_its_schemes_and_the_scp_like_form() {
        for (url, destination) in [
            ("git@Work:o/r", "git@Work"),
            ("h:o/r", "h"),
            ("SSH://git:token@h:22/o/r", "git@h"),
            ("git+ssh://token@h/o/r", "h"),
            ("ssh+git://h/o/r", "h"),
        ] {
            assert_eq!(ssh_destination(url).as_deref(), Some(destination), "{url}");
        }
        for url in ["https://h/o/r", "git://h/o/r", "/a:b", "./a:b", "ext::ssh h", "file:///a"] {
            assert_eq!(ssh_destination(url), None, "{url}");
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
            ("git+ssh://git@github.com/o/r", "git+ssh://git@github.com/o/r"),
            ("ssh://token@github.com/o/r", "ssh://github.com/o/r"),
            ("token@github.com:o/r.git", "github.com:o/r.git"),
            ("git:token@github.com:o/r.git", "git@github.com:o/r.git"),
            ("https://user:p/a?s#s@github.com/o/r", "https://github.com/o/r"),
            ("https://user:p@a@github.com/o/r", "https://github.com/o/r"),
            ("https://github.com:8443/o/r@v1", "https://github.com:8443/o/r@v1"),
            ("ftp://user:token@example.com/o/r", "ftp://example.com/o/r"),
            ("git@[::1]:o/r", "git@[::1]:o/r"),
            ("ssh://git@[::1]:22/o/r", "ssh://git@[::1]:22/o/r"),
            ("github.com:o/r", "github.com:o/r"),
            ("../a@b:c", "../a@b:c"),
            ("", ""),
        ] {
            assert_eq!(without_credentials(url), kept);
        }
    }
}
