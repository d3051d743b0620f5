//! Which requests are let in, and the form of every refusal.

use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::Command;

use ao_daemon::NamedTokens;
use axum::body::Body;
use http::{Request, StatusCode};

use crate::served::{Served, get, json, whole};

/// A path and the headers of a request, and the status and code of its answer.
type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], u16, &'a str);

fn request(served: &Served, method: &str, path: &str, headers: &[(&str, &str)]) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(path);
    if !headers.iter().any(|(name, _)| *name == "host") {
        request = request.header("host", served.host());
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Body::empty()).unwrap()
}

#[test]
fn the_port_is_open_to_its_own_pages_and_to_holders_of_a_token_only() {
    let served = Served::new();
    let bearer = format!("Bearer {}", served.token());
    let (host, port) = (served.host(), served.host().rsplit_once(':').unwrap().1.to_owned());
    let own = format!("http://localhost:{port}");
    let token = ("authorization", bearer.as_str());
    let cases: &[Case] = &[
        ("/api/v1/daemon", &[], 401, "TOKEN_REQUIRED"),
        ("/api/v1/daemon", &[("authorization", "Bearer wrong")], 401, "TOKEN_REQUIRED"),
        ("/api/v1/daemon", &[token], 200, ""),
        ("/api/v1/daemon", &[token, ("origin", &own)], 200, ""),
        ("/healthz", &[], 200, ""),
        ("/readyz", &[], 200, ""),
        ("/healthz", &[("host", "evil.example")], 421, "HOST_NOT_ALLOWED"),
        ("/readyz", &[("host", "127.0.0.1")], 421, "HOST_NOT_ALLOWED"),
        ("/healthz", &[("host", &host), ("host", "evil.example")], 421, "HOST_NOT_ALLOWED"),
        ("/api/v1/daemon", &[token, ("origin", "null")], 403, "ORIGIN_FORBIDDEN"),
        ("/api/v1/daemon", &[token, ("origin", "http://localhost:1")], 403, "ORIGIN_FORBIDDEN"),
        ("/healthz", &[("sec-fetch-site", "cross-site")], 403, "ORIGIN_FORBIDDEN"),
        ("/nothing", &[token], 404, "ROUTE_NOT_FOUND"),
        ("/nothing", &[], 401, "TOKEN_REQUIRED"),
    ];
    served.runtime.block_on(async {
        for (path, headers, status, code) in cases {
            let asked = request(&served, "GET", path, headers);
            let (found, body) = json(served.ask_port(asked).await).await;
            assert_eq!(found.as_u16(), *status, "{path} {headers:?}: {body}");
            assert_eq!(body["code"].as_str().unwrap_or_default(), *code, "{path} {headers:?}");
            assert_eq!(body["requestId"].is_string(), !code.is_empty());
        }
        let missing = Request::get("/healthz").body(Body::empty()).unwrap();
        assert_eq!(served.ask_port(missing).await.status(), StatusCode::MISDIRECTED_REQUEST);
        let proxied = format!("http://evil.example:{port}/healthz");
        let proxied = request(&served, "GET", &proxied, &[]);
        assert_eq!(served.ask_port(proxied).await.status(), StatusCode::MISDIRECTED_REQUEST);
    });
}

#[test]
fn no_route_answers_a_request_for_another_host() {
    let served = Served::new();
    let bearer = format!("Bearer {}", served.token());
    let paths = ["/", "/healthz", "/readyz", "/metrics", "/openapi.json", "/shutdown", "/nothing"];
    let more = ["/api/v1/events", "/api/v1/daemon", "/api/v1/login", "/api/v1/login-links"];
    let upgrade = [("connection", "upgrade"), ("upgrade", "websocket")];
    served.runtime.block_on(async {
        for path in
            paths.iter().chain(&more).chain(&["/webhooks/github", "/api/v1/sessions/x/terminal"])
        {
            for method in ["GET", "HEAD", "POST", "OPTIONS", "DELETE"] {
                let hosts = [("host", "evil.example"), ("authorization", &bearer)];
                for headers in [&hosts[..], &[&hosts[..], &upgrade].concat()] {
                    let asked = request(&served, method, path, headers);
                    let status = served.ask_port(asked).await.status();
                    assert_eq!(status, StatusCode::MISDIRECTED_REQUEST, "{method} {path}");
                }
            }
        }
        assert_eq!(served.ask(get("/readyz")).await.status(), StatusCode::OK, "it still serves");
    });
}

#[test]
fn a_named_token_may_read_and_nothing_else_until_it_is_revoked() {
    let served = Served::new();
    let (tokens, name) = (NamedTokens::of(served.dir()), "board".parse().unwrap());
    let bearer = format!("Bearer {}", tokens.create(&name).unwrap());
    let token = [("authorization", bearer.as_str())];
    served.runtime.block_on(async {
        let ask = async |method: &str, path: &str| {
            let (status, _, body) =
                whole(served.ask_port(request(&served, method, path, &token)).await).await;
            let body: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
            (status.as_u16(), body["code"].as_str().unwrap_or_default().to_owned())
        };
        assert_eq!(ask("GET", "/api/v1/daemon").await.0, 200);
        assert_eq!(ask("HEAD", "/api/v1/daemon").await.0, 200);
        for path in ["/shutdown", "/api/v1/login-links"] {
            assert_eq!(ask("POST", path).await, (403, "TOKEN_READ_ONLY".to_owned()));
        }
        tokens.revoke(&name).unwrap();
        assert_eq!(ask("GET", "/api/v1/daemon").await, (401, "TOKEN_REQUIRED".to_owned()));
    });
}

#[test]
fn a_route_tells_which_methods_it_has_and_a_page_of_another_site_learns_nothing() {
    let served = Served::new();
    let bearer = format!("Bearer {}", served.token());
    served.runtime.block_on(async {
        let token = [("authorization", bearer.as_str())];
        let options = served.ask_port(request(&served, "OPTIONS", "/shutdown", &token)).await;
        let (status, headers, _) = whole(options).await;
        assert_eq!((status.as_u16(), &headers["allow"]), (405, &"POST".parse().unwrap()));
        let head = served.ask_port(request(&served, "HEAD", "/api/v1/daemon", &token)).await;
        let (status, headers, body) = whole(head).await;
        assert_eq!((status.as_u16(), body.len()), (200, 0));
        assert!(headers.contains_key("content-length"));
        let page = [("origin", "http://evil.example"), ("access-control-request-method", "POST")];
        let preflight = served.ask_port(request(&served, "OPTIONS", "/shutdown", &page)).await;
        assert_eq!(preflight.status(), StatusCode::FORBIDDEN);
        assert!(
            !preflight.headers().keys().any(|name| name.as_str().starts_with("access-control"))
        );
    });
}

#[test]
fn what_a_web_page_can_send_without_asking_is_refused() {
    let served = Served::new();
    let bearer = format!("Bearer {}", served.token());
    served.runtime.block_on(async {
        for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"] {
            let headers = [("authorization", bearer.as_str()), ("content-type", kind)];
            let asked = request(&served, "POST", "/shutdown", &headers);
            let (status, body) = json(served.ask_port(asked).await).await;
            assert_eq!((status.as_u16(), &body["code"]), (415, &"UNSUPPORTED_CONTENT_TYPE".into()));
        }
        let (status, body) = json(served.ask(get("/shutdown")).await).await;
        assert_eq!((status.as_u16(), &body["code"]), (405, &"METHOD_NOT_ALLOWED".into()));
        assert_eq!(served.ask(get("/readyz")).await.status(), StatusCode::OK, "it still serves");
    });
}

#[test]
fn a_browser_is_told_to_guess_nothing() {
    let served = Served::new();
    served.runtime.block_on(async {
        for path in ["/healthz", "/nothing"] {
            let (_, headers, _) = whole(served.ask(get(path)).await).await;
            assert_eq!(headers["x-content-type-options"], "nosniff");
            assert!(
                headers["content-security-policy"].to_str().unwrap().contains("default-src 'none'")
            );
            assert!(headers.contains_key("x-request-id"));
        }
    });
}

/// Only the folder and the mode of the socket keep others from it, and its check where these let them in.
#[test]
fn a_process_of_another_user_is_refused_at_the_socket() {
    const NOBODY: u32 = 65534;
    if !rustix::process::geteuid().is_root() {
        println!("skipped: only root can start a process of another user");
        return;
    }
    let served = Served::new();
    let socket = served.run_file().socket;
    set_permissions(served.dir(), Permissions::from_mode(0o755)).unwrap();
    set_permissions(&socket, Permissions::from_mode(0o666)).unwrap();
    let ask = |uid| {
        let mut curl = Command::new("curl");
        curl.args(["-sS", "--max-time", "60", "--unix-socket"]).arg(&socket);
        curl.arg("http://localhost/healthz").uid(uid).current_dir("/").output()
    };
    let Ok(own) = ask(0) else {
        println!("skipped: there is no curl");
        return;
    };
    assert_eq!(own.status.code(), Some(0), "{own:?}");
    let can_connect = Command::new("test").arg("-w").arg(&socket).uid(NOBODY).status().unwrap();
    assert!(can_connect.success(), "{} lets others in", socket.display());
    let other = ask(NOBODY).unwrap();
    // An empty answer or a reset; it may come before curl sees that it was connected.
    assert!(matches!(other.status.code(), Some(7 | 52 | 55 | 56)), "{other:?}");
    assert!(other.stdout.is_empty(), "{other:?}");
}
