//! A daemon in this process, and a client of it.

use std::path::Path;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use ao_daemon::{CancellationToken, ClientLimits, Daemon, RunFile, Settings};
use ao_program::Environment;
use ao_session::{Config, Sessions};
use ao_store::row::project::{self, NewProject};
use ao_store::{Cause, Options, Store};
use axum::body::{Body, Bytes};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::runtime::Runtime;

/// Longer than any step takes on a loaded machine.
pub(crate) const BOUND: Duration = Duration::from_secs(60);

/// The secret of its webhook.
pub(crate) const SECRET: &[u8] = b"a secret of a webhook";

/// A daemon that serves an empty store, and the runtime of its clients.
pub(crate) struct Served {
    pub(crate) store: Store,
    daemon: Option<Daemon>,
    pub(crate) runtime: Runtime,
    limits: ClientLimits,
    dir: tempfile::TempDir,
}

impl Served {
    pub(crate) fn new() -> Served {
        Served::with(ClientLimits::default())
    }

    pub(crate) fn with(limits: ClientLimits) -> Served {
        let dir = tempfile::tempdir().unwrap();
        let (store, _) = Store::create(&dir.path().join("ao.db"), Options::default()).unwrap();
        let runtime = Runtime::new().unwrap();
        let mut served = Served { store, daemon: None, runtime, limits, dir };
        served.start();
        served
    }

    /// Starts the daemon again after its end.
    pub(crate) fn start(&mut self) {
        let data_dir = self.dir.path().canonicalize().unwrap();
        let config = Config {
            worktrees: data_dir.join("worktrees"),
            supervisor: vec!["false".into()],
            hook: vec!["false".into()],
            hook_answers: Duration::ZERO,
            runner: vec!["false".into()],
            environment: Environment::of_process(),
            harnesses: None,
            data_dir: data_dir.clone(),
            actor: "test",
            grace: Duration::from_secs(1),
            interrupted_by: Arc::default(),
        };
        let settings = Settings {
            sessions: Arc::new(Sessions::new(self.store.clone(), config).unwrap()),
            store: self.store.clone(),
            data_dir,
            api: None,
            observer: None,
            port: 0,
            owner: None,
            version: "test",
            command: "test".to_owned(),
            webhook_secret: Some(SECRET.to_vec()),
            client_limits: self.limits,
            notify: Arc::new(drop),
        };
        self.daemon = Some(Daemon::start(settings, &CancellationToken::new()).unwrap());
    }

    pub(crate) fn stop(&mut self) {
        let (told, ended) = mpsc::channel();
        let daemon = self.daemon.take();
        thread::spawn(move || {
            drop(daemon);
            let _ = told.send(());
        });
        ended.recv_timeout(BOUND).expect("the daemon ends");
    }

    pub(crate) fn run_file(&self) -> RunFile {
        self.daemon.as_ref().unwrap().run_file().clone()
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Commits one change.
    pub(crate) fn change(&self, id: &str) {
        self.change_with(id, "");
    }

    /// Commits one change with this text in it.
    pub(crate) fn change_with(&self, id: &str, text: &str) {
        let empty = String::new;
        let new = NewProject {
            id: id.parse().unwrap(),
            path: format!("/{id}"),
            name: id.to_owned(),
            origin_url: text.to_owned(),
            host: empty(),
            repo: empty(),
            default_branch: empty(),
        };
        self.store.write(Cause::now("test"), move |tx| project::add(tx, &new)).unwrap();
    }

    /// The token of the operator.
    pub(crate) fn token(&self) -> String {
        std::fs::read_to_string(self.dir().join("tokens/operator.token")).unwrap().trim().to_owned()
    }

    /// Sends a request through the Unix socket.
    pub(crate) async fn ask(&self, request: Request<Body>) -> Response<Incoming> {
        let stream = UnixStream::connect(self.run_file().socket).await.unwrap();
        send(stream, request).await
    }

    /// Sends a request to the port.
    pub(crate) async fn ask_port(&self, request: Request<Body>) -> Response<Incoming> {
        let stream = TcpStream::connect(self.host()).await.unwrap();
        send(stream, request).await
    }

    /// The address of the port.
    pub(crate) fn host(&self) -> String {
        self.run_file().url.strip_prefix("http://").unwrap().to_owned()
    }
}

async fn send<S>(stream: S, request: Request<Body>) -> Response<Incoming>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let answer = tokio::time::timeout(BOUND, sender.send_request(request)).await;
    answer.expect("an answer in time").unwrap()
}

/// A request without a body.
pub(crate) fn get(path: &str) -> Request<Body> {
    Request::get(path).header("host", "localhost").body(Body::empty()).unwrap()
}

/// The status, headers and body of an answer that ends.
pub(crate) async fn whole(response: Response<Incoming>) -> (StatusCode, HeaderMap, Bytes) {
    let (head, body) = response.into_parts();
    let body = tokio::time::timeout(BOUND, body.collect()).await;
    let body = body.expect("the whole answer in time").unwrap().to_bytes();
    (head.status, head.headers, body)
}

/// The body of an answer as JSON.
pub(crate) async fn json(response: Response<Incoming>) -> (StatusCode, serde_json::Value) {
    let (status, _, body) = whole(response).await;
    (status, serde_json::from_slice(&body).unwrap())
}
