//! An observer with a real store, and a world to observe, both under one virtual clock. Calls are
//! answered in the process, or over a socket where the test is about the wire.

use std::sync::mpsc;
use std::time::Duration;

use ao_fake_github::{NewPr, Request, Response, World};
use ao_observer::github::call::{Answer, Call, Failure, Headers, Reply, Request as Ask};
use ao_observer::poll::{Config, CredentialLookup, Poller, Step, Totals, Written};
use ao_observer::webhook;
use ao_store::log::change;
use ao_store::log::change::Change;
use ao_store::row::pr::{self, Pr};
use ao_store::row::project::{self, NewProject};
use ao_store::row::session::{self, NewSession, SessionKind};
use ao_store::row::{facet, scm};
use ao_store::{Cause, Options, PrRef, SessionId, Store, Timestamp};
use tempfile::TempDir;

use super::socket::Socket;

pub(crate) const REPO: &str = "octo/hello";

/// What [`Rig::tamper`] does.
pub(crate) type Tamper = Box<dyn FnMut(&str, &mut serde_json::Value)>;

/// One observer and its world.
pub(crate) struct Rig {
    pub(crate) world: World,
    pub(crate) store: Store,
    pub(crate) poller: Poller,
    pub(crate) now: Timestamp,
    /// The token that a lookup of credentials finds.
    pub(crate) token: Option<&'static str>,
    /// Why the lookup of credentials fails, when it does.
    pub(crate) probe_failure: Option<&'static str>,
    /// How often credentials were looked up.
    pub(crate) probes: u32,
    /// How far the clock of the host is ahead of ours.
    pub(crate) skew: i64,
    /// The calls that were made.
    pub(crate) calls: u64,
    /// Changes the JSON of an answer of GraphQL, given the name of the operation.
    pub(crate) tamper: Option<Tamper>,
    /// When each query was sent, and its body, where a test wants them.
    pub(crate) queries: Option<Vec<(Timestamp, String)>>,
    /// Calls are made over this.
    pub(crate) socket: Option<Socket>,
    seed: u64,
    dir: TempDir,
}

impl Rig {
    /// A world with the repository `octo/hello`, and a store with its project `demo`.
    pub(crate) fn new() -> Rig {
        let mut world = World::new(7);
        world.add_repo(REPO);
        let rig = Rig::of(world);
        rig.project("demo", REPO);
        rig
    }

    /// A world, and an empty store.
    pub(crate) fn of(world: World) -> Rig {
        Rig::with_options(world, Options::default())
    }

    /// A world, and an empty store that is opened with these options.
    pub(crate) fn with_options(world: World, options: Options) -> Rig {
        let dir = tempfile::tempdir().unwrap();
        let (store, _) = Store::create(&dir.path().join("ao.db"), options).unwrap();
        let now = Timestamp(world.now_ms());
        let poller = Rig::poller_of(&store, 1);
        let token = Some("token");
        Rig {
            world,
            store,
            poller,
            now,
            token,
            probe_failure: None,
            probes: 0,
            skew: 0,
            calls: 0,
            tamper: None,
            queries: None,
            socket: None,
            seed: 1,
            dir,
        }
    }

    /// A world with this number of repositories and pull requests, each of a session, read to the end.
    pub(crate) fn fleet(repos: usize, prs: usize) -> Rig {
        let mut rig = Rig::unseen(repos, prs);
        rig.minutes(5);
        let prs = rig.world.prs();
        assert!(prs.iter().all(|pr| rig.row(pr).is_some()), "they were found");
        rig
    }

    /// The same, and nothing of it was read yet.
    pub(crate) fn unseen(repos: usize, prs: usize) -> Rig {
        let rig = Rig::of(World::fleet(repos, prs, 2, 1));
        for repo in 0..repos {
            rig.project(&format!("p{repo}"), &format!("octo/repo-{repo}"));
        }
        for pr in 0..prs {
            rig.session(&format!("p{}", pr % repos), &format!("ao/work-{pr}"));
        }
        rig
    }

    fn poller_of(store: &Store, seed: u64) -> Poller {
        Poller::new(store.clone(), "github.com", Config::default(), Vec::new(), seed).unwrap()
    }

    /// Restarts the observer.
    pub(crate) fn restart(&mut self) {
        self.seed += 1;
        self.poller = Rig::poller_of(&self.store, self.seed);
    }

    pub(crate) fn cause(&self) -> Cause {
        Cause::new("test", self.now)
    }

    pub(crate) fn project(&self, id: &str, repo: &str) {
        let new = NewProject {
            id: id.parse().unwrap(),
            path: format!("/src/{id}"),
            name: id.to_owned(),
            origin_url: format!("https://github.com/{repo}.git"),
            host: "github.com".to_owned(),
            repo: repo.to_owned(),
            default_branch: "main".to_owned(),
        };
        self.store.write(self.cause(), move |tx| project::add(tx, &new)).unwrap();
    }

    pub(crate) fn session(&self, project: &str, branch: &str) -> SessionId {
        let new = NewSession {
            project: project.parse().unwrap(),
            kind: SessionKind::Worker,
            harness: String::new(),
            name: String::new(),
            issue: String::new(),
            branch: branch.to_owned(),
        };
        self.store.write(self.cause(), move |tx| session::create(tx, &new)).unwrap().value.id
    }

    /// A session on a branch of `octo/hello`, and its pull request, read to the end.
    pub(crate) fn tracked(&mut self, branch: &str) -> String {
        self.session("demo", branch);
        let pr = self.world.open_pr(&NewPr::new(REPO, branch));
        self.run(Duration::from_secs(60));
        assert!(self.row(&pr).is_some(), "it was found");
        pr
    }

    /// Lets the observer work for this time of the virtual clock.
    pub(crate) fn run(&mut self, time: Duration) {
        let end = Timestamp(self.now.0 + i64::try_from(time.as_millis()).unwrap());
        self.run_until(end, |_| false);
    }

    /// Lets the observer work until it has made this number of calls.
    pub(crate) fn until_calls(&mut self, calls: u64) {
        let end = Timestamp(self.now.0 + 3_600_000);
        self.run_until(end, |rig| rig.calls >= calls);
        assert_eq!(self.calls, calls, "the observer has nothing to request");
    }

    fn run_until(&mut self, end: Timestamp, is_done: impl Fn(&Rig) -> bool) {
        let mut steps = 0_u64;
        while self.now < end && !is_done(self) {
            steps += 1;
            assert!(steps < 2_000_000, "the observer never waits");
            self.poller.refresh(self.now).unwrap();
            match self.poller.next(self.now) {
                Step::FindCredentials => self.probe(),
                Step::Send(call) => self.call(&call),
                // Only the test changes anything, and not while this runs.
                Step::Wait(until) => {
                    assert!(until > self.now, "a wait that is over");
                    self.set_now(until.min(end));
                }
            }
        }
    }

    pub(crate) fn minutes(&mut self, minutes: u64) {
        self.run(Duration::from_secs(60 * minutes));
    }

    pub(crate) fn seconds(&mut self, seconds: u64) {
        self.run(Duration::from_secs(seconds));
    }

    /// The clock of this machine, and of no other, is set to another time.
    pub(crate) fn set_clock(&mut self, now: Timestamp) {
        self.skew += self.now.0 - now.0;
        self.set_now(now);
    }

    /// The machine sleeps.
    pub(crate) fn sleep(&mut self, time: Duration) {
        self.set_now(Timestamp(self.now.0 + i64::try_from(time.as_millis()).unwrap()));
    }

    /// Does something while another process holds the lock of writers.
    pub(crate) fn while_locked(&mut self, work: impl FnOnce(&mut Rig)) {
        let other = Store::open(self.store.path(), Options::default()).unwrap();
        let (begun, has_begun) = mpsc::channel();
        let (ended, has_ended) = mpsc::channel::<()>();
        let cause = self.cause();
        let holder = std::thread::spawn(move || {
            other.write(cause, move |_| {
                begun.send(()).unwrap();
                let _ = has_ended.recv();
                Ok(())
            })
        });
        has_begun.recv().unwrap();
        work(self);
        drop(ended);
        holder.join().unwrap().unwrap();
    }

    fn set_now(&mut self, now: Timestamp) {
        self.now = now;
        self.world.set_now_ms(now.0 + self.skew);
    }

    fn probe(&mut self) {
        self.probes += 1;
        let found = match (self.probe_failure, self.token) {
            (Some(reason), _) => CredentialLookup::Failed(reason.to_owned()),
            (None, None) => CredentialLookup::Missing,
            (None, Some(token)) => CredentialLookup::Found {
                fingerprint: token.to_owned(),
                source: "GH_TOKEN".to_owned(),
            },
        };
        self.poller.record_credentials(found, self.now).unwrap();
    }

    fn call(&mut self, call: &Call) {
        self.calls += 1;
        if let (Some(queries), Ask::Graphql { body }) = (&mut self.queries, &call.request) {
            queries.push((self.now, body.clone()));
        }
        let (reply, latency) = match &self.socket {
            Some(socket) => socket.send(&mut self.world, self.token.unwrap_or_default(), call),
            None => self.answered(call),
        };
        self.set_now(Timestamp(self.now.0 + latency));
        self.poller.receive(&reply, self.now);
    }

    fn answered(&mut self, call: &Call) -> (Reply, i64) {
        let mut response = self.world.answer(&self.request(call));
        self.tamper_with(call, &mut response);
        let latency = i64::try_from(response.latency_ms).unwrap();
        let deadline = i64::try_from(call.deadline.as_millis()).unwrap();
        let reply = match response.transport {
            _ if latency > deadline => Reply::Failed(Failure::Timeout),
            Some(_) => Reply::Failed(Failure::Broken("the connection broke".to_owned())),
            None => Reply::Answer(answer(response)),
        };
        (reply, latency.clamp(1, deadline))
    }

    fn tamper_with(&mut self, call: &Call, response: &mut Response) {
        let (Some(tamper), Ask::Graphql { body }) = (&mut self.tamper, &call.request) else {
            return;
        };
        let names = ["Heartbeat", "Full", "Detail"];
        let name = names.into_iter().find(|name| body.contains(&format!("query {name}")));
        let mut answer = response.value();
        tamper(name.unwrap(), &mut answer);
        response.body = answer.to_string().into_bytes();
    }

    fn request(&self, call: &Call) -> Request {
        let request = match &call.request {
            Ask::Graphql { body } => Request {
                method: "POST".to_owned(),
                body: body.clone().into_bytes(),
                ..Request::get("/graphql")
            },
            Ask::JobLog { repo, job, .. } => {
                Request::get(&format!("/repos/{repo}/actions/jobs/{job}/logs"))
            }
        };
        request.with("authorization", &format!("Bearer {}", self.token.unwrap_or_default()))
    }

    /// The stored row of a pull request, by its node id.
    pub(crate) fn row(&self, node: &str) -> Option<Pr> {
        self.store.read(|snapshot| pr::by_node(snapshot, node)).unwrap()
    }

    pub(crate) fn facets(&self, node: &str) -> facet::Facets {
        let row = self.row(node).unwrap();
        self.store
            .read(|snapshot| {
                Ok(facet::Facets {
                    checks: facet::checks(snapshot, &row.id)?,
                    threads: facet::threads(snapshot, &row.id)?,
                    reviews: facet::reviews(snapshot, &row.id)?,
                    comments: facet::comments(snapshot, &row.id)?,
                })
            })
            .unwrap()
    }

    /// The end of the log of a check of a pull request, by the name of the check.
    pub(crate) fn log_tail(&self, node: &str, check: &str) -> Option<String> {
        let row = self.row(node).unwrap();
        let checks = self.facets(node).checks;
        let check = checks.into_iter().find(|it| it.name == check).unwrap();
        self.store.read(|snapshot| facet::log_tail(snapshot, &row.id, &check.external_id)).unwrap()
    }

    /// Records a webhook delivery.
    pub(crate) fn deliver(&self, event: &str, payload: &serde_json::Value) {
        let payload = payload.to_string();
        let delivery = webhook::read(event, payload.as_bytes(), None, self.now).unwrap();
        self.store.write(self.cause(), move |tx| webhook::record(tx, &delivery, None)).unwrap();
    }

    pub(crate) fn poll(&self, node: &str) -> scm::PrPoll {
        let row = self.row(node).unwrap();
        self.store.read(|snapshot| scm::poll(snapshot, &row.id)).unwrap().unwrap_or_default()
    }

    pub(crate) fn host(&self) -> scm::HostState {
        self.store.read(|snapshot| scm::host(snapshot, "github.com")).unwrap().unwrap()
    }

    /// The newest change, to be given to [`Rig::types_since`].
    pub(crate) fn head(&self) -> i64 {
        self.store.read(|snapshot| snapshot.head()).unwrap().seq.0
    }

    /// The types of the changes since, in order.
    pub(crate) fn types_since(&self, head: i64) -> Vec<String> {
        self.changes_since(head).into_iter().map(|change| change.kind().to_owned()).collect()
    }

    pub(crate) fn changes_since(&self, head: i64) -> Vec<Change> {
        let mut changes = Vec::new();
        let read = |snapshot: &ao_store::Snapshot<'_>| {
            change::scan(snapshot, ao_store::Seq(head), 1_000_000, |it| {
                changes.push(it.to_owned()?);
                Ok(())
            })
        };
        self.store.read(read).unwrap();
        changes
    }

    pub(crate) fn totals(&self) -> (Totals, Written) {
        let report = self.poller.report(self.now);
        (report.totals, report.written)
    }

    /// The bytes of the write-ahead log and of the database.
    pub(crate) fn bytes(&self) -> (u64, u64) {
        let size =
            |name: &str| std::fs::metadata(self.dir.path().join(name)).map_or(0, |it| it.len());
        (size("ao.db-wal"), size("ao.db"))
    }

    /// Where a pull request is now.
    pub(crate) fn location(&self, node: &str) -> PrRef {
        let row = self.row(node).unwrap();
        PrRef { host: row.host, repo: row.repo, number: row.number }
    }
}

/// An answer of the fake as the transport would return it.
pub(crate) fn answer(response: Response) -> Answer {
    let text = |name: &str| response.header(name).map(str::to_owned);
    let number = |name: &str| text(name).and_then(|text| text.parse().ok());
    let date = text("date").and_then(|date| jiff::fmt::rfc2822::parse(&date).ok());
    Answer {
        status: response.status,
        headers: Headers {
            limit: number("x-ratelimit-limit"),
            remaining: number("x-ratelimit-remaining"),
            reset: number("x-ratelimit-reset"),
            retry_after: text("retry-after"),
            date_ms: date.map(|date| date.timestamp().as_millisecond()),
        },
        truncated: false,
        latency: Duration::from_millis(response.latency_ms),
        body: response.body,
    }
}
