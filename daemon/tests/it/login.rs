//! The login of a browser: a link from the operator, once, and a cookie that is good for own pages only.

use axum::body::Body;
use http::{HeaderMap, Request};
use serde_json::{Value, json};

use crate::served::{Served, whole};

const LINKS: &str = "/api/v1/login-links";
const LOGIN: &str = "/api/v1/login";

/// Sends a request to the port; its status, headers and document.
async fn ask(
    served: &Served,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &Value,
) -> (u16, HeaderMap, Value) {
    let mut request = Request::builder().method(method).uri(path).header("host", served.host());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let body = match body {
        Value::Null => Body::empty(),
        body => {
            request = request.header("content-type", "application/json");
            Body::from(body.to_string())
        }
    };
    let answer = whole(served.ask_port(request.body(body).unwrap()).await).await;
    (answer.0.as_u16(), answer.1, serde_json::from_slice(&answer.2).unwrap_or_default())
}

/// The secret of a new link.
async fn link(served: &Served) -> String {
    let bearer = format!("Bearer {}", served.token());
    let token = [("authorization", bearer.as_str())];
    let (status, _, link) = ask(served, "POST", LINKS, &token, &Value::Null).await;
    assert_eq!((status, &link["kind"]), (201, &"login.link".into()));
    let secret = link["data"]["secret"].as_str().unwrap().to_owned();
    assert_eq!(link["data"]["url"], format!("{}/#t={secret}", served.run_file().url));
    secret
}

/// Logs in from an own page.
async fn login(served: &Served, secret: &str) -> (u16, HeaderMap, Value) {
    let url = served.run_file().url;
    let own = [("origin", url.as_str()), ("sec-fetch-site", "same-origin")];
    ask(served, "POST", LOGIN, &own, &json!({"secret": secret})).await
}

/// The cookie of a browser that has logged in.
async fn cookie(served: &Served) -> String {
    let (status, headers, _) = login(served, &link(served).await).await;
    assert_eq!(status, 204);
    headers["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned()
}

#[test]
fn a_link_logs_one_browser_in_once() {
    let served = Served::new();
    served.runtime.block_on(async {
        assert_eq!(ask(&served, "POST", LINKS, &[], &Value::Null).await.0, 401);
        let secret = link(&served).await;
        // A page of another site cannot log the browser in.
        let foreign = [("origin", "http://evil.example")];
        let body = json!({"secret": secret});
        assert_eq!(ask(&served, "POST", LOGIN, &foreign, &body).await.0, 403);
        let (status, _, answer) = ask(&served, "POST", LOGIN, &[], &json!({"secrt": secret})).await;
        assert_eq!((status, &answer["code"]), (400, &"INVALID_REQUEST".into()));
        assert!(!answer.to_string().contains(&secret), "{answer}");
        let (status, headers, _) = login(&served, &secret).await;
        assert_eq!(status, 204);
        let set = headers["set-cookie"].to_str().unwrap();
        for attribute in ["SameSite=Strict", "HttpOnly", "Path=/"] {
            assert!(set.split("; ").any(|it| it == attribute), "{set}");
        }
        assert!(!set.contains(&secret));
        for wrong in [secret.as_str(), ""] {
            let (status, _, answer) = login(&served, wrong).await;
            assert_eq!((status, &answer["code"]), (401, &"LOGIN_LINK_INVALID".into()));
        }
    });
}

#[test]
fn a_browser_that_has_logged_in_acts_from_own_pages_only() {
    let served = Served::new();
    let url = served.run_file().url;
    served.runtime.block_on(async {
        let jar = format!("theme=dark; {}", cookie(&served).await);
        let cookie = ("cookie", jar.as_str());
        let read = async |headers: &[(&str, &str)]| {
            ask(&served, "GET", "/api/v1/daemon", headers, &Value::Null).await.0
        };
        assert_eq!(read(&[cookie]).await, 200);
        assert_eq!(read(&[cookie, ("sec-fetch-site", "same-origin")]).await, 200);
        assert_eq!(read(&[cookie, ("sec-fetch-site", "same-site")]).await, 403);
        assert_eq!(read(&[cookie, ("origin", "http://localhost:1")]).await, 403);
        assert_eq!(read(&[cookie, ("authorization", "Bearer wrong")]).await, 401);
        assert_eq!(read(&[("cookie", "ao_store=1")]).await, 401);
        let change = async |headers: &[(&str, &str)]| {
            ask(&served, "POST", LINKS, headers, &Value::Null).await.0
        };
        assert_eq!(change(&[cookie]).await, 403, "without an origin");
        assert_eq!(change(&[cookie, ("origin", "null")]).await, 403);
        assert_eq!(change(&[cookie, ("origin", &url)]).await, 201);
    });
}

#[test]
fn a_session_of_a_browser_outlives_the_daemon_but_not_the_token() {
    let mut served = Served::new();
    let cookie = served.runtime.block_on(cookie(&served));
    served.stop();
    served.start();
    let port = served.host().rsplit_once(':').unwrap().1.to_owned();
    let renamed = format!("ao_store_{port}={}", cookie.split_once('=').unwrap().1);
    let read = |served: &Served, cookie: &str| {
        let headers = [("cookie", cookie)];
        let asked = ask(served, "GET", "/api/v1/daemon", &headers, &Value::Null);
        served.runtime.block_on(asked).0
    };
    assert_eq!(read(&served, &renamed), 200);
    served.stop();
    std::fs::remove_file(served.dir().join("tokens/operator.token")).unwrap();
    served.start();
    let port = served.host().rsplit_once(':').unwrap().1.to_owned();
    let renamed = format!("ao_store_{port}={}", cookie.split_once('=').unwrap().1);
    assert_eq!(read(&served, &renamed), 401);
}
