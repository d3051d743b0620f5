//! Which requests are let in, and the form of every refusal.

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
