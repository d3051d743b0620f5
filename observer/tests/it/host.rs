//! Hosts of GitHub and the addresses of their interfaces.

use ao_observer::Error;
use ao_observer::github::host::{Endpoints, is_github};

fn of(endpoints: Endpoints) -> (String, String) {
    (endpoints.rest, endpoints.graphql)
}

fn pair(rest: &str, graphql: &str) -> (String, String) {
    (rest.to_owned(), graphql.to_owned())
}

#[test]
fn a_host_has_two_addresses() {
    let hosted = pair("https://api.github.com", "https://api.github.com/graphql");
    for host in ["github.com", "GitHub.com", "ssh.github.com"] {
        assert_eq!(of(Endpoints::of_host(host).unwrap()), hosted, "{host}");
    }
    let tenant = of(Endpoints::of_host("octo.ghe.com").unwrap());
    assert_eq!(tenant, pair("https://api.octo.ghe.com", "https://api.octo.ghe.com/graphql"));
    let server = of(Endpoints::of_host("git.corp.example:8443").unwrap());
    let base = "https://git.corp.example:8443/api";
    assert_eq!(server, pair(&format!("{base}/v3"), &format!("{base}/graphql")));
    for bad in ["", "a b", "a/b", "user@host", "host?x", "-x", "host:port", "host\n", "é.com"] {
        assert!(matches!(Endpoints::of_host(bad), Err(Error::InvalidUrl(_))), "{bad:?}");
    }
}

#[test]
fn the_url_of_an_api_determines_both_addresses() {
    for (url, rest, graphql) in [
        ("https://api.github.com", "https://api.github.com", "https://api.github.com/graphql"),
        ("https://h.example/api/v3/", "https://h.example/api/v3", "https://h.example/api/graphql"),
        ("https://h.example/v3", "https://h.example/v3", "https://h.example/v3/graphql"),
        (
            "https://h.example/sapi/v3",
            "https://h.example/sapi/v3",
            "https://h.example/sapi/v3/graphql",
        ),
        ("http://127.0.0.1:81", "http://127.0.0.1:81", "http://127.0.0.1:81/graphql"),
        ("http://127.9.9.9", "http://127.9.9.9", "http://127.9.9.9/graphql"),
        ("http://[::1]:81/x/", "http://[::1]:81/x", "http://[::1]:81/x/graphql"),
        ("HTTP://LOCALHOST", "http://localhost", "http://localhost/graphql"),
    ] {
        assert_eq!(of(Endpoints::from_api_url(url).unwrap()), pair(rest, graphql), "{url}");
    }
}

#[test]
fn plain_http_is_for_this_machine_and_a_url_has_no_secret() {
    for bad in [
        "",
        "api.github.com",
        "/api/v3",
        "ftp://api.github.com",
        "file:///etc/passwd",
        "http://api.github.com",
        "http://localhost.example",
        "http://128.0.0.1",
        "http://[::2]",
        "http://127.0.0.1.example",
        "https://user@h.example",
        "https://:secret@h.example",
        "https://h.example?token=secret",
        "https://h.example/?",
        "https://h.example#secret",
        "https://",
    ] {
        let error = Endpoints::from_api_url(bad).unwrap_err();
        assert_eq!(error.code(), ao_store::Code::InvalidUrl, "{bad:?}");
        assert!(!error.to_string().contains("secret"), "{bad:?}");
    }
}

#[test]
fn github_has_three_kinds_of_hosts() {
    let known = ["Git.Corp.example".to_owned()];
    for host in ["github.com", "GITHUB.com", "ssh.github.com", "octo.ghe.com", "git.corp.EXAMPLE"] {
        assert!(is_github(host, &known), "{host}");
    }
    for host in [
        "gitlab.com",
        "github.com.example",
        "gist.github.com",
        "ghe.com",
        ".ghe.com",
        "a.b.ghe.com",
        "evilghe.com",
        "corp.example",
        "",
    ] {
        assert!(!is_github(host, &known), "{host}");
    }
}
