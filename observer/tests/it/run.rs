//! Whole runs over real sockets, which end whatever the servers do.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ao_fake_github::{
    CheckSpec, Clock, Conclusion, Fault, Kind, NewPr, On, Reply, Server, Transport, World,
};
use ao_observer::github::host::Endpoints;
use ao_observer::poll::Config;
use ao_observer::run::{self, CancellationToken, Ended, Lock, Setup};
use ao_store::row::facet;
use ao_store::row::project::{self, NewProject};
use ao_store::row::session::{self, NewSession, SessionKind};
use ao_store::{Cause, Options, Store, Timestamp};
use tempfile::TempDir;

use crate::home::Home;

const LOGS: usize = 12;

/// Longer than no run takes that is bounded.
const BOUND: Duration = Duration::from_secs(60);

struct Scene {
    dir: TempDir,
    home: Home,
    store: Store,
    world: Arc<Mutex<World>>,
    server: Server,
    pr: String,
}

impl Scene {
    /// A pull request with failed checks, each with a log.
    fn new() -> Scene {
        let mut world = World::new(1);
        world.set_clock(Clock::Real);
        world.add_repo("octo/hello");
        let pr = world.open_pr(&NewPr::new("octo/hello", "ao/demo-1"));
        for index in 0..LOGS {
            let spec = CheckSpec::job("ci", &format!("job {index}"));
            let check = world.check(&pr, &spec, Conclusion::Failure);
            world.set_log(&check, "failed");
        }
        let world = Arc::new(Mutex::new(world));
        let server = Server::start(Arc::clone(&world)).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let (store, _) = Store::create(&dir.path().join("ao.db"), Options::default()).unwrap();
        let new = NewProject {
            id: "demo".parse().unwrap(),
            path: dir.path().join("none").to_str().unwrap().to_owned(),
            name: "demo".to_owned(),
            origin_url: "https://github.com/octo/hello.git".to_owned(),
            host: "github.com".to_owned(),
            repo: "octo/hello".to_owned(),
            default_branch: "main".to_owned(),
        };
        let write = move |tx: &ao_store::Tx<'_>| {
            project::add(tx, &new)?;
            let session = NewSession {
                project: new.id.clone(),
                kind: SessionKind::Worker,
                harness: String::new(),
                name: String::new(),
                issue: String::new(),
                branch: "ao/demo-1".to_owned(),
            };
            session::create(tx, &session)
        };
        store.write(Cause::new("test", Timestamp::now()), write).unwrap();
        let home = Home::new().with("GH_TOKEN", "token");
        Scene { dir, home, store, world, server, pr }
    }

    fn once(&self, log_time: Duration) -> Ended {
        let setup = Setup {
            store: self.store.clone(),
            config: Config { log_time, ..Config::default() },
            api: Some(Endpoints::from_api_url(&self.server.url).unwrap()),
            only: Vec::new(),
            environment: self.home.environment(),
            is_once: true,
        };
        let lock = Lock::take(&self.dir.path().join("ao.db"), "test").unwrap();
        let begun = Instant::now();
        let ended = run::run(&setup, lock, &CancellationToken::new(), |_| {}).unwrap();
        assert!(begun.elapsed() < BOUND, "{:?}", begun.elapsed());
        assert!(ended.failed.is_empty(), "{:?}", ended.failed);
        ended
    }

    /// How many checks are stored, and how many of their logs.
    fn stored(&self) -> (usize, usize) {
        let read = |snapshot: &ao_store::Snapshot<'_>| {
            let row = ao_store::row::pr::by_node(snapshot, &self.pr)?.unwrap();
            let (checks, mut logs) = (facet::checks(snapshot, &row.id)?, 0);
            for check in &checks {
                let tail = facet::log_tail(snapshot, &row.id, &check.external_id)?;
                logs += usize::from(tail.is_some());
            }
            Ok((checks.len(), logs))
        };
        self.store.read(read).unwrap()
    }
}

/// The hosts that keep logs hang, drip or redirect for ever. The facts are stored, the logs are left,
/// and the next run reads them although no check changed.
#[test]
fn a_run_ends_in_bounded_time_whatever_the_hosts_of_logs_do() {
    let forever = Reply {
        status: 302,
        headers: vec![("location".to_owned(), "/repos/octo/hello/actions/jobs/1/logs".to_owned())],
        body: String::new(),
        is_charged: false,
    };
    for (kind, on) in [
        (Kind::Transport(Transport::Silence), On::route("/blob/")),
        (Kind::Transport(Transport::Drip(200)), On::route("/blob/")),
        (Kind::Transport(Transport::ResetBefore), On::route("/blob/")),
        (Kind::Transport(Transport::Silence), On::route("/repos/")),
        (Kind::Reply(forever), On::route("/repos/")),
    ] {
        let scene = Scene::new();
        let name = format!("{kind:?} {on:?}");
        scene.world.lock().unwrap().faults.push(Fault::always(kind).on(on));
        let ended = scene.once(Duration::from_secs(1));
        assert_eq!(ended.reports[0].logs_left, LOGS as u64, "{name}");
        assert_eq!(scene.stored(), (LOGS, 0), "{name}");
        scene.world.lock().unwrap().faults.clear();
        let ended = scene.once(BOUND);
        assert_eq!(ended.reports[0].logs_left, 0, "{name}");
        assert_eq!(scene.stored(), (LOGS, LOGS), "{name}");
    }
}
