//! What requests may cost: how long they and their bodies are, how long an answer may take, and how many are worked
//! on at a time. The limits of heads and of connections are in `serve.rs`.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{CONNECTION, RETRY_AFTER};
use http::{HeaderValue, Method, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Body as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::failure::Failure;

/// The longest target of a request, in bytes.
const TARGET_MAX: usize = 8 << 10;
/// The largest body of a request, in bytes.
const BODY_MAX: usize = 1 << 20;
/// How long reading a body may take, and the answer to a request that only reads. What a verb has begun, it ends.
const TIME: Duration = Duration::from_secs(30);
/// How many requests may be worked on at a time.
const IN_FLIGHT: usize = 256;

/// The routes that have limits of their own: probes, streams, and webhook deliveries.
const OTHERS: [&str; 4] = ["/healthz", "/readyz", "/api/v1/events", "/webhooks/github"];

tokio::task_local! {
    /// The place of the request whose handler runs.
    static PLACE: Arc<OwnedSemaphorePermit>;
}

/// The limits of a server.
#[derive(Debug, Clone)]
pub(crate) struct Limits {
    time: Duration,
    places: Arc<Semaphore>,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { time: TIME, places: Arc::new(Semaphore::new(IN_FLIGHT)) }
    }
}

/// The place of the request that is handled: work that goes on without its client keeps it.
pub(super) fn place() -> Option<Arc<OwnedSemaphorePermit>> {
    PLACE.try_with(Arc::clone).ok()
}

/// Refuses a request that is beyond a limit, or passes it on.
pub(crate) async fn check(State(limits): State<Limits>, request: Request, next: Next) -> Response {
    if request.uri().path_and_query().is_some_and(|target| target.as_str().len() > TARGET_MAX) {
        let what = "the target of the request is longer than 8 KiB";
        return Failure::new(StatusCode::URI_TOO_LONG, "URI_TOO_LONG", what).into_response();
    }
    if OTHERS.contains(&request.uri().path()) {
        return next.run(request).await;
    }
    match Arc::clone(&limits.places).try_acquire_owned() {
        Ok(place) => PLACE.scope(Arc::new(place), limited(limits.time, request, next)).await,
        Err(_) => overloaded("too many requests are worked on; try again"),
    }
}

async fn limited(time: Duration, request: Request, next: Next) -> Response {
    if matches!(*request.method(), Method::GET | Method::HEAD) {
        return match tokio::time::timeout(time, next.run(request)).await {
            Ok(response) => response,
            Err(_) => {
                let what = "the answer took too long";
                Failure::new(StatusCode::REQUEST_TIMEOUT, "REQUEST_TIMEOUT", what).into_response()
            }
        };
    }
    match with_whole_body(request, BODY_MAX, time).await {
        Ok(request) => next.run(request).await,
        Err(failure) => closing(failure),
    }
}

/// The request with its whole body, so that nothing begins for a client that does not send it.
pub(super) async fn with_whole_body(
    request: Request,
    max: usize,
    time: Duration,
) -> Result<Request, Failure> {
    let (head, body) = request.into_parts();
    let too_large = || {
        let what = format!("the body is larger than {max} bytes");
        Failure::new(StatusCode::PAYLOAD_TOO_LARGE, "INPUT_TOO_LARGE", what)
    };
    if usize::try_from(body.size_hint().lower()).is_ok_and(|announced| announced > max) {
        return Err(too_large());
    }
    match tokio::time::timeout(time, Limited::new(body, max).collect()).await {
        Ok(Ok(whole)) => Ok(Request::from_parts(head, Body::from(whole.to_bytes()))),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) => Err(Failure::invalid_request("the body was not sent whole")),
        Err(_) => {
            let what = "the body took too long to come";
            Err(Failure::new(StatusCode::REQUEST_TIMEOUT, "REQUEST_TIMEOUT", what))
        }
    }
}

/// A refusal for now.
pub(super) fn overloaded(what: &str) -> Response {
    let failure = Failure::new(StatusCode::SERVICE_UNAVAILABLE, "OVERLOADED", what);
    let mut response = failure.into_response();
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

/// A refusal after which the rest of the connection means nothing.
pub(super) fn closing(failure: Failure) -> Response {
    let mut response = failure.into_response();
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use axum::Router;
    use axum::middleware::from_fn_with_state;
    use axum::routing::{get, post};
    use tower::ServiceExt;

    use super::*;
    use crate::http::reply;
    use crate::http::work::blocking;

    /// Routes that never answer, and one that does.
    fn router(limits: Limits) -> Router {
        Router::new()
            .route("/pending", get(async || pending::<()>().await))
            .route("/quick", get(async || "quick").post(async || "done"))
            .route("/slow-verb", post(async || tokio::time::sleep(TIME * 4).await))
            .route("/api/v1/events", get(async || "stream"))
            .layer(from_fn_with_state(limits, check))
            .layer(axum::middleware::from_fn(reply::finish))
    }

    fn limits(places: usize) -> Limits {
        Limits { places: Arc::new(Semaphore::new(places)), ..Limits::default() }
    }

    async fn ask(router: &Router, method: Method, path: &str, body: Body) -> (u16, String) {
        let request = Request::builder().method(method).uri(path).body(body).unwrap();
        let response = router.clone().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let document: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
        (status, document["code"].as_str().unwrap_or_default().to_owned())
    }

    fn refusal(status: u16, code: &str) -> (u16, String) {
        (status, code.to_owned())
    }

    // The clock of these tests stands until nothing else can happen, and then jumps to the next deadline.
    #[tokio::test(start_paused = true)]
    async fn what_only_reads_ends_in_time_and_what_changes_something_ends_by_itself() {
        let router = router(limits(1));
        let read = ask(&router, Method::GET, "/pending", Body::empty()).await;
        assert_eq!(read, refusal(408, "REQUEST_TIMEOUT"));
        assert_eq!(ask(&router, Method::POST, "/slow-verb", Body::empty()).await.0, 200);
        let never =
            Body::from_stream(futures_util::stream::pending::<Result<String, std::io::Error>>());
        let unsent = ask(&router, Method::POST, "/quick", never).await;
        assert_eq!(unsent, refusal(408, "REQUEST_TIMEOUT"));
        assert_eq!(ask(&router, Method::GET, "/quick", Body::empty()).await.0, 200);
    }

    #[tokio::test]
    async fn targets_and_bodies_have_a_largest_size() {
        let router = router(limits(1));
        let target = |length: usize| format!("/quick?{}", "x".repeat(length - "/quick?".len()));
        assert_eq!(ask(&router, Method::GET, &target(TARGET_MAX), Body::empty()).await.0, 200);
        let long = ask(&router, Method::GET, &target(TARGET_MAX + 1), Body::empty()).await;
        assert_eq!(long, refusal(414, "URI_TOO_LONG"));
        let body = |length: usize| Body::from("x".repeat(length));
        assert_eq!(ask(&router, Method::POST, "/quick", body(BODY_MAX)).await.0, 200);
        let large = ask(&router, Method::POST, "/quick", body(BODY_MAX + 1)).await;
        assert_eq!(large, refusal(413, "INPUT_TOO_LARGE"));
        let chunk = || Ok::<_, std::io::Error>("x".repeat(BODY_MAX));
        let chunks = Body::from_stream(futures_util::stream::iter([chunk(), chunk()]));
        let large = ask(&router, Method::POST, "/quick", chunks).await;
        assert_eq!(large, refusal(413, "INPUT_TOO_LARGE"));
    }

    async fn until(limits: &Limits, free: usize) {
        let wait = async {
            while limits.places.available_permits() != free {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(TIME * 2, wait).await.expect("the places are taken or given back");
    }

    #[tokio::test]
    async fn so_many_requests_at_a_time_and_work_counts_until_its_end() {
        let limits = limits(2);
        let (hold, held) = std::sync::mpsc::channel::<()>();
        let held = Arc::new(std::sync::Mutex::new(held));
        let work = async move || {
            let work = move || {
                if let Ok(held) = held.lock() {
                    let _ = held.recv();
                }
                Ok(())
            };
            blocking(work).await.map(|()| "done")
        };
        let working = Router::new().route("/work", post(work));
        let router =
            router(limits.clone()).merge(working.layer(from_fn_with_state(limits.clone(), check)));
        let asked = |method: Method, path: &'static str| {
            let router = router.clone();
            tokio::spawn(async move { ask(&router, method, path, Body::empty()).await })
        };
        let (reader, worker) = (asked(Method::GET, "/pending"), asked(Method::POST, "/work"));
        until(&limits, 0).await;
        let refused = ask(&router, Method::GET, "/quick", Body::empty()).await;
        assert_eq!(refused, refusal(503, "OVERLOADED"));
        assert_eq!(ask(&router, Method::GET, "/api/v1/events", Body::empty()).await.0, 200);
        // Whose client is gone, that no longer counts; but the work that it asked for does.
        reader.abort();
        until(&limits, 1).await;
        worker.abort();
        assert!(worker.await.is_err());
        assert_eq!(limits.places.available_permits(), 1);
        assert_eq!(ask(&router, Method::GET, "/quick", Body::empty()).await.0, 200);
        drop(hold);
        until(&limits, 2).await;
    }
}
