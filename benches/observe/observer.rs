//! Our observer at work in a scene, with a real store and a virtual clock.
//!
//! Its CPU time is that of the whole process while `refresh`, `next` or `receive` runs: rows are
//! written by the thread of the store, for which these wait. The fake answers outside of them.

use std::collections::HashMap;
use std::time::Duration;

use ao_benches::{cause, cpu, process_cpu};
use ao_fake_github::{Request, Response};
use ao_observer::github::call::{Answer, Call, Headers, Reply, Request as Ask};
use ao_observer::poll::{Config, CredentialLookup, Poller, Step, Totals, Written};
use ao_store::log::change;
use ao_store::row::pr;
use ao_store::row::project::{self, NewProject};
use ao_store::row::session::{self, NewSession, SessionKind};
use ao_store::{Durability, Options, Seq, Store, Timestamp};
use tempfile::TempDir;

use crate::observe::figures::Figures;
use crate::observe::scene::{CYCLE_MS, Scene, Subject};

/// What the limits of a host are at least for a GitHub App of a large organization.
const APP_LIMIT: u64 = 12_500;

/// Whose token is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Token {
    /// 5,000 points an hour, of which 40 % are left to others.
    User,
    /// 12,500 points an hour, of which 10 % are left to others.
    App,
}

pub(crate) struct Observer {
    pub(crate) scene: Scene,
    pub(crate) poller: Poller,
    store: Store,
    head: Seq,
    places: HashMap<String, usize>,
    token: &'static str,
    figures: Figures,
    _dir: TempDir,
}

impl Observer {
    /// Tracks all pull requests of a scene, read to their ends.
    pub(crate) fn tracking(mut scene: Scene, token: Token, config: Config) -> Observer {
        let dir = tempfile::tempdir().expect("make a folder");
        let options = Options { durability: Durability::Relaxed, ..Options::default() };
        let (store, _) = Store::create(&dir.path().join("ao.db"), options).expect("create a store");
        add_sessions(&store, &scene);
        let token = match token {
            Token::User => "token",
            Token::App => {
                scene.world.add_token("app", "ao[bot]");
                let now = scene.now();
                scene.world.budget.at(ao_fake_github::Resource::Graphql, now).limit = APP_LIMIT;
                "app"
            }
        };
        let poller =
            Poller::new(store.clone(), "github.com", config, Vec::new(), 1).expect("a poller");
        let places =
            scene.prs.iter().enumerate().map(|(index, pr)| (pr.id.clone(), index)).collect();
        let (head, figures) = (Seq(0), Figures::default());
        let mut observer =
            Observer { scene, poller, store, head, places, token, figures, _dir: dir };
        observer.settle();
        observer
    }

    /// Runs until everything was read: two minutes go by without a request for details.
    fn settle(&mut self) {
        let mut details = u64::MAX;
        while self.totals().0.detail_requests != details || self.tracked() < self.scene.prs.len() {
            details = self.totals().0.detail_requests;
            self.run(120_000);
        }
    }

    fn tracked(&self) -> usize {
        let is_there = |node: &str| {
            self.store.read(|snapshot| pr::by_node(snapshot, node)).expect("read").is_some()
        };
        self.scene.prs.iter().filter(|pr| is_there(&pr.node)).count()
    }

    pub(crate) fn totals(&self) -> (Totals, Written) {
        let report = self.poller.report(Timestamp(self.scene.now()));
        (report.totals, report.written)
    }

    /// Works for a time, and returns what that took. What is left to be learned then is waited for
    /// up to `patience_ms`, which counts for nothing else.
    pub(crate) fn measure(&mut self, cycles: usize, share: f64, patience_ms: i64) -> Figures {
        self.scene.forget_pending();
        self.scene.plan(cycles, share);
        self.scene.world.counters.clear();
        self.scene.made = 0;
        self.figures = Figures { cpu_ns: Some(0), ..Figures::default() };
        let (before, time) = (self.totals().1, CYCLE_MS * cycles as i64);
        self.run(time);
        let written = self.totals().1;
        let mut figures = self.figures.clone();
        figures.count(&self.scene.world.counters, time);
        (figures.rows, figures.same) = (
            written.rows_changed - before.rows_changed,
            written.rows_unchanged - before.rows_unchanged,
        );
        let end = self.scene.now() + patience_ms;
        while self.scene.unlearned() > 0 && self.scene.now() < end {
            self.run(CYCLE_MS);
        }
        let Figures { seen, hidden, .. } = std::mem::take(&mut self.figures);
        let (unseen, made) = (self.scene.unlearned(), self.scene.made);
        Figures { seen, hidden, unseen, made, ..figures }
    }

    /// Lets the observer work for a time of the virtual clock.
    pub(crate) fn run(&mut self, time_ms: i64) {
        let end = self.scene.now() + time_ms;
        while self.scene.now() < end {
            match self.step() {
                Step::FindCredentials => self.probe(),
                Step::Send(call) => {
                    let reply = self.answer(&call);
                    self.receive(&reply);
                }
                // Changes of the store wake it; nothing else makes any.
                Step::Wait(until) => {
                    let until = until.0.min(end);
                    let until = self.scene.next_change().map_or(until, |at| until.min(at));
                    self.scene.advance(until.max(self.scene.now()));
                }
            }
        }
    }

    /// Asks the poller what to do, which it charges.
    pub(crate) fn step(&mut self) -> Step {
        let now = Timestamp(self.scene.now());
        let mut step = Step::FindCredentials;
        let sample = process_cpu(|| {
            self.poller.refresh(now).expect("read the store");
            step = self.poller.next(now);
            1
        });
        self.charge(sample.nanos);
        step
    }

    /// Another program renames a session; returns the CPU time of the reaction, in nanoseconds. Nothing
    /// else is due.
    pub(crate) fn react(&mut self) -> u64 {
        loop {
            match self.step() {
                Step::FindCredentials => self.probe(),
                Step::Send(call) => {
                    let reply = self.answer(&call);
                    self.receive(&reply);
                }
                Step::Wait(_) => break,
            }
        }
        let name = format!("name {}", self.scene.now());
        let rename = move |tx: &ao_store::Tx<'_>| session::rename(tx, &"p0-1".parse()?, &name);
        self.store.write(cause(), rename).expect("rename a session");
        let now = Timestamp(self.scene.now());
        let sample = cpu(|| {
            self.poller.refresh(now).expect("read the store");
            self.poller.next(now);
            1
        });
        self.scene.advance(self.scene.now() + 1);
        sample.nanos
    }

    pub(crate) fn probe(&mut self) {
        let now = Timestamp(self.scene.now());
        let (fingerprint, source) = (self.token.to_owned(), "GH_TOKEN".to_owned());
        self.poller
            .record_credentials(CredentialLookup::Found { fingerprint, source }, now)
            .expect("store it");
    }

    /// The host's answer; the clock is where it arrives.
    pub(crate) fn answer(&mut self, call: &Call) -> Reply {
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
        let request = request.with("authorization", &format!("Bearer {}", self.token));
        let response = self.scene.world.answer(&request);
        let latency = Scene::latency(&response);
        assert!(u128::from(response.latency_ms) < call.deadline.as_millis(), "a slow host");
        self.figures.waited_ms += latency as f64;
        self.scene.advance(self.scene.now() + latency);
        Reply::Answer(told(response))
    }

    /// Hands an answer to the poller and sees which changes it committed.
    pub(crate) fn receive(&mut self, reply: &Reply) {
        let now = Timestamp(self.scene.now());
        let sample = process_cpu(|| {
            self.poller.receive(reply, now);
            1
        });
        self.charge(sample.nanos);
        self.learn(now);
    }

    fn charge(&mut self, nanos: u64) {
        if let Some(sum) = &mut self.figures.cpu_ns {
            *sum += nanos;
        }
    }

    fn learn(&mut self, now: Timestamp) {
        let Observer { scene, store, places, figures, head, .. } = self;
        let visit = |change: &change::ChangeRef<'_>| {
            let key = change.key()?;
            let pr = key.split('"').nth(1).and_then(|id| places.get(id));
            let Some(pending) = pr.map(|index| &mut scene.prs[*index].pending) else {
                return Ok(());
            };
            if pending.is_empty() {
                return Ok(());
            }
            let (entity, after) = (change.entity()?, change.after()?.unwrap_or_default());
            pending.retain(|it| {
                let is_of = match &it.subject {
                    Subject::Check(name) | Subject::Thread(name) => {
                        key.contains(&format!("\"{name}\""))
                    }
                    _ => true,
                };
                let is_it = is_of && entity == it.subject.table() && after.contains(&it.needle);
                if is_it {
                    figures.learned(it, now.0);
                }
                !is_it
            });
            Ok(())
        };
        *head = store
            .read(|snapshot| change::scan(snapshot, *head, usize::MAX, visit))
            .expect("read the changes");
    }
}

/// A project for each repository, and a session on the branch of each pull request.
fn add_sessions(store: &Store, scene: &Scene) {
    let repos = scene.world.repos();
    let prs = scene.prs.len();
    let write = move |tx: &ao_store::Tx<'_>| {
        for (index, repo) in repos.iter().enumerate() {
            let project = project::add(tx, &new_project(index, repo)?)?.id;
            for pr in (index..prs).step_by(repos.len()) {
                let new = NewSession {
                    project: project.clone(),
                    kind: SessionKind::Worker,
                    harness: String::new(),
                    name: String::new(),
                    issue: String::new(),
                    branch: format!("ao/work-{pr}"),
                };
                session::create(tx, &new)?;
            }
        }
        Ok(())
    };
    store.write(cause(), write).expect("add sessions");
}

fn new_project(index: usize, repo: &str) -> ao_store::Result<NewProject> {
    Ok(NewProject {
        id: format!("p{index}").parse()?,
        path: format!("/src/p{index}"),
        name: format!("p{index}"),
        origin_url: format!("https://github.com/{repo}.git"),
        host: "github.com".to_owned(),
        repo: repo.to_owned(),
        default_branch: "main".to_owned(),
    })
}

/// An answer of the fake as the transport would tell it.
fn told(response: Response) -> Answer {
    let text = |name: &str| response.header(name).map(str::to_owned);
    let number = |name: &str| text(name).and_then(|text| text.parse().ok());
    Answer {
        status: response.status,
        headers: Headers {
            limit: number("x-ratelimit-limit"),
            remaining: number("x-ratelimit-remaining"),
            reset: number("x-ratelimit-reset"),
            retry_after: text("retry-after"),
            ..Headers::default()
        },
        truncated: false,
        latency: Duration::from_millis(response.latency_ms),
        body: response.body,
    }
}
