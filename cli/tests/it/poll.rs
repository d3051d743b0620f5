//! `observe` and `up` against the fake GitHub, over real HTTP.

mod log;
mod once;
mod running;

use std::fs;
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use ao_fake_github::{
    CheckSpec, Clock, Conclusion, Fault, Kind, NewPr, NewThread, Server, Transport, World,
};
use rustix::process::Signal;
use serde_json::Value;

use crate::support::{BOUND, Live, Output, TestEnv, finish};

/// Long enough that no accident could make it.
const TOKEN: &str = "ghp_0123456789abcdefghijABCDEFGHIJ";

/// The line that is printed if there is no token.
const DISABLED: &str = "scm observer disabled: provider credentials unavailable";

/// The store of a test with a project and a session, and a GitHub that has its repository.
pub(crate) struct Scene {
    pub(crate) env: TestEnv,
    world: Arc<Mutex<World>>,
    server: Server,
}

impl Scene {
    pub(crate) fn new() -> Scene {
        let mut world = World::new(1);
        world.set_clock(Clock::Real);
        world.remove_token("token");
        world.add_token(TOKEN, "octo-dev");
        world.add_repo("octo/hello");
        let world = Arc::new(Mutex::new(world));
        let server = Server::start(Arc::clone(&world)).unwrap();
        let env = TestEnv::with_demo();
        env.ok(&["session", "new", "--project", "demo", "--branch", "ao/demo-1"]);
        Scene { env, world, server }
    }

    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    /// The binary, with the fake as its GitHub and without a token.
    pub(crate) fn bare(&self, args: &[&str]) -> Command {
        let mut command = self.env.command(args);
        command.env("AO_GITHUB_API_URL", &self.server.url);
        command
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = self.bare(args);
        command.env("GH_TOKEN", TOKEN);
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Output {
        finish(&mut self.command(args), b"")
    }

    pub(crate) fn once(&self) -> String {
        let output = self.run(&["observe", "--once"]);
        assert_eq!(output.code, 0, "{}{}", output.stdout, output.stderr);
        assert_eq!(output.stderr, "");
        output.stdout
    }

    pub(crate) fn requests(&self) -> u64 {
        self.world().counters.total()
    }

    fn host(&self) -> Value {
        self.env.json("store.status", &["status"])["hosts"][0].take()
    }

    /// Waits until this holds.
    fn until(&self, what: &str, holds: impl Fn(&Scene) -> bool) {
        let deadline = Instant::now() + BOUND;
        while !holds(self) {
            assert!(Instant::now() < deadline, "{what}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// Bug 5 of issue #152, from the world to the stream.
#[test]
fn a_thread_resolved_between_two_polls_is_one_event() {
    let scene = Scene::new();
    let pr = scene.world().open_pr(&NewPr::new("octo/hello", "ao/demo-1"));
    let place = NewThread::at("a.rs", 1);
    let thread = scene.world().thread_add(&pr, "reviewer", &place, "Why?");
    scene.once();
    let before = scene.env.types();
    assert!(before.contains(&"pr_review_thread_added".to_owned()), "{before:?}");
    scene.world().thread_resolve(&thread, "octo-dev");
    scene.once();
    scene.once();
    let types = scene.env.types();
    assert_eq!(types[before.len()..], ["pr_review_thread_resolved"]);
}

/// Bug 7 of issue #152: without a token and without subjects nothing was printed at all.
#[test]
fn without_credentials_one_line_reports_it_and_no_request_is_made() {
    let scene = Scene::new();
    let env = TestEnv::new();
    let mut command = env.command(&["observe"]);
    let live = Live::start(command.env("AO_GITHUB_API_URL", &scene.server.url));
    assert_eq!(live.until_printed("scm observer"), DISABLED);
    let is_missing = || {
        let status = env.json("store.status", &["status"]);
        status["hosts"].get(0).is_some_and(|host| host["credential"] == "missing")
    };
    let deadline = Instant::now() + BOUND;
    while !is_missing() {
        assert!(Instant::now() < deadline, "the state is visible");
    }
    let doctor = env.ok(&["doctor"]);
    assert!(
        doctor.contains("observer.credentials") && doctor.contains("gh auth login"),
        "{doctor}"
    );
    live.signal(Signal::INT);
    let output = live.end();
    assert_eq!(output.code, 130);
    assert_eq!(output.stderr.lines().count(), 1, "the line was printed once: {}", output.stderr);
    assert!(
        output.stderr.contains("log in: `gh auth login`, or set GH_TOKEN"),
        "{}",
        output.stderr
    );
    assert_eq!(scene.requests(), 0);

    let output = finish(&mut scene.bare(&["observe", "--once"]), b"");
    assert_eq!(output.code, 4);
    assert_eq!(output.stderr.matches(DISABLED).count(), 1, "{}", output.stderr);
    assert!(output.stderr.contains("error[CREDENTIALS_MISSING]"), "{}", output.stderr);
    assert_eq!(scene.requests(), 0);
}

#[test]
fn a_token_that_appears_wakes_the_observer_up() {
    let scene = Scene::new();
    let pr = scene.world().open_pr(&NewPr::new("octo/hello", "ao/demo-1"));
    let live = Live::start(&mut scene.bare(&["observe"]));
    live.until_printed(DISABLED);
    let config = scene.env.path("home/.config/gh");
    fs::create_dir_all(&config).unwrap();
    let text = format!("github.com:\n    user: octo-dev\n    oauth_token: {TOKEN}\n");
    fs::write(config.join("hosts.yml"), text).unwrap();
    scene.until("the pull request is found", |scene| {
        !scene.env.json("pr.list", &["pr", "ls"]).as_array().unwrap().is_empty()
    });
    assert_eq!(scene.host()["credential"], "ok");
    live.signal(Signal::TERM);
    assert_eq!(live.end().code, 143);
    drop(pr);
}

#[test]
fn a_token_is_nowhere_but_in_the_requests() {
    let scene = Scene::new();
    let pr = scene.world().open_pr(&NewPr::new("octo/hello", "ao/demo-1"));
    let check = scene.world().check(&pr, &CheckSpec::job("ci", "test"), Conclusion::Failure);
    scene.world().set_log(&check, "the end of the log");
    let output = scene.run(&["observe", "--once", "-vv"]);
    assert_eq!(output.code, 0, "{}", output.stderr);
    let mut said = output.stdout + &output.stderr;
    scene.world().faults.push(Fault::always(Kind::unauthorized()));
    let output = scene.run(&["observe", "--once", "-vv"]);
    assert_eq!(output.code, 4);
    assert!(output.stderr.contains("error[CREDENTIALS_INVALID]"), "{}", output.stderr);
    said += &output.stderr;
    said += &scene.run(&["status"]).stdout;
    said += &scene.run(&["doctor"]).stdout;
    assert!(!said.contains(TOKEN), "{said}");
    for file in ["ao.db", "ao.db-wal"] {
        let bytes = fs::read(scene.env.path("data").join(file)).unwrap_or_default();
        let is_there = bytes.windows(TOKEN.len()).any(|window| window == TOKEN.as_bytes());
        assert!(!is_there, "{file}");
    }
    let shown = scene.env.ok(&["pr", "get", "octo/hello#1", "-v"]);
    assert!(shown.contains("its head is the branch ao/demo-1"), "{shown}");
    let checks = scene.env.json("pr.get", &["pr", "get", "octo/hello#1"])["checks"].take();
    assert_eq!(checks[0]["log_tail"], "the end of the log");
}

#[test]
fn once_tells_what_it_did_in_one_line_and_as_json() {
    let scene = Scene::new();
    scene.world().open_pr(&NewPr::new("octo/hello", "ao/demo-1"));
    let line = scene.once();
    assert_eq!(line.lines().count(), 1, "{line}");
    assert!(line.starts_with("github.com: "), "{line}");
    for part in
        ["requests (0 REST)", "1 of 1 pull requests fresh", "rows changed", "of 5000 points left"]
    {
        assert!(line.contains(part), "{part}: {line}");
    }
    let output = scene.run(&["observe", "--once", "--json"]);
    let document: Value = serde_json::from_str(&output.stdout).unwrap();
    let host = &document["data"]["hosts"][0];
    assert_eq!(host["credential"], "ok");
    assert_eq!(host["source"], "GH_TOKEN");
    assert_eq!(host["rows_changed"], 0, "nothing happened since");
    assert_eq!((&host["tracked"], &host["fresh"]), (&1.into(), &1.into()));
}

#[test]
fn only_one_process_observes_and_up_waits_for_its_turn() {
    let scene = Scene::new();
    let live = Live::start(&mut scene.command(&["observe"]));
    scene.until("it observes", |scene| scene.requests() > 0);
    let second = scene.run(&["observe"]);
    assert_eq!(second.code, 9, "{}", second.stderr);
    assert!(second.stderr.contains("error[OBSERVER_RUNNING]"), "{}", second.stderr);
    let repo = scene.env.path("demo");
    let up = Live::start(&mut scene.command(&["up", repo.to_str().unwrap()]));
    up.until_printed("ready: cursor ");
    scene.world().open_pr(&NewPr::new("octo/hello", "ao/demo-1"));
    live.signal(Signal::KILL);
    let first = (0..8).map(|_| up.line()).find(|line| line.contains("pr_created"));
    assert!(first.is_some(), "up took over and shows what it found");
    up.signal(Signal::INT);
    assert_eq!(up.end().code, 130);
}

#[test]
fn a_host_that_is_down_is_an_error_of_once_and_changes_nothing() {
    let scene = Scene::new();
    scene.world().open_pr(&NewPr::new("octo/hello", "ao/demo-1"));
    scene.once();
    let head = scene.env.head();
    scene.world().faults.push(Fault::always(Kind::primary_limit()));
    let output = scene.run(&["observe", "--once"]);
    assert_eq!(output.code, 9, "{}", output.stderr);
    assert!(output.stderr.contains("error[SCM_THROTTLED]"), "{}", output.stderr);
    let before = scene.requests();
    let again = scene.run(&["observe", "--once"]);
    assert_eq!(again.code, 9, "{}", again.stderr);
    assert_eq!(scene.requests(), before + 1, "a run asked for by hand tries once");
    assert_eq!(scene.env.head(), head);
    assert_eq!(scene.host()["reason"], "rate limited");
    // A run that goes on waits.
    let live = Live::start(&mut scene.command(&["observe"]));
    scene.until("it has begun", |scene| scene.env.path("data/observer.lock").exists());
    std::thread::sleep(Duration::from_millis(500));
    live.signal(Signal::INT);
    live.end();
    assert_eq!(scene.requests(), before + 1, "a restart forgets no block");
    scene.world().faults.clear();
    assert!(scene.once().contains("1 of 1 pull requests fresh"), "and it works again");
    assert_eq!(scene.host()["failure"], "");
}

/// The address, the cause and the time of the next try are everywhere.
#[test]
fn what_became_of_the_last_request_is_shown() {
    let scene = Scene::new();
    scene.world().faults.push(Fault::always(Kind::secondary_limit(Some("60"))));
    let address = format!("{}/graphql", scene.server.url);
    let cause = format!("{address}: HTTP 403: You have exceeded a secondary rate limit");
    let output = scene.run(&["observe", "--once"]);
    assert!(output.stderr.contains(&cause), "{}", output.stderr);
    for command in ["status", "doctor"] {
        let shown = scene.env.ok(&[command]);
        assert!(shown.contains(&cause), "{shown}");
    }
    let metrics = scene.env.ok(&["metrics"]);
    let line =
        format!("observer_failure{{host=\"github.com\",address=\"{address}\",cause=\"HTTP 403");
    assert!(metrics.contains(&line), "{metrics}");
    let host = scene.host();
    assert_eq!(host["address"], address);
    assert!(host["blocked_until"].is_string(), "{host}");
    scene.world().faults.clear();
    scene.world().remove_token(TOKEN);
    let output = scene.run(&["observe", "--once"]);
    assert!(output.stderr.contains("HTTP 401: Bad credentials"), "{}", output.stderr);
    assert_eq!(scene.host()["reason"], "credentials refused");
    assert!(scene.host()["blocked_until"].is_string());
    // Nobody listens there, and no name leads there.
    for (url, cause) in [("http://127.0.0.1:1", "refused"), ("https://name.invalid", "dns error")] {
        let mut command = scene.command(&["observe", "--once"]);
        let output = finish(command.env("AO_GITHUB_API_URL", url), b"");
        assert_eq!(output.code, 1, "{}", output.stderr);
        assert!(output.stderr.contains(&format!("{url}/graphql: cannot connect")));
        assert!(output.stderr.contains(cause), "{}", output.stderr);
    }
    // What was recorded of another address holds back nothing here, in a run that goes on.
    scene.world().add_token(TOKEN, "octo-dev");
    scene.world().open_pr(&NewPr::new("octo/hello", "ao/demo-1"));
    let live = Live::start(&mut scene.command(&["observe"]));
    scene.until("it is found", |scene| {
        !scene.env.json("pr.list", &["pr", "ls"]).as_array().unwrap().is_empty()
    });
    live.signal(Signal::INT);
    live.end();
}

/// The repository of one project is read, that of another cannot be.
#[test]
fn a_repository_that_is_refused_does_not_hide_behind_another() {
    let scene = Scene::new();
    let repo = scene.env.repo("gone", "https://github.com/octo/gone.git");
    scene.env.ok(&["project", "add", repo.to_str().unwrap()]);
    scene.env.ok(&["session", "new", "--project", "gone", "--branch", "fix"]);
    scene.world().open_pr(&NewPr::new("octo/hello", "ao/demo-1"));
    let output = scene.run(&["observe", "--once"]);
    assert_eq!(output.code, 4, "{}", output.stderr);
    assert!(output.stderr.contains("cannot read octo/gone"), "{}", output.stderr);
    assert_eq!(scene.env.json("pr.list", &["pr", "ls"]).as_array().unwrap().len(), 1);
}

/// With nothing tracked yet a refusal is as much an error as with something.
#[test]
fn once_that_read_nothing_fails_whatever_the_host_answers() {
    let text = "API rate limit exceeded.";
    let limited = format!(r#"{{"errors": [{{"type": "RATE_LIMITED", "message": "{text}"}}]}}"#);
    for (kind, exit, code) in [
        (Kind::unauthorized(), 4, "CREDENTIALS_INVALID"),
        (Kind::secondary_limit(None), 9, "SCM_THROTTLED"),
        (Kind::secondary_limit(Some("60")), 9, "SCM_THROTTLED"),
        (Kind::status(403, r#"{"message": "Slow down. rate limit"}"#), 9, "SCM_THROTTLED"),
        (Kind::status(200, &limited), 9, "SCM_THROTTLED"),
        (Kind::primary_limit(), 9, "SCM_THROTTLED"),
        (Kind::gateway(502), 1, "SCM_UNAVAILABLE"),
        (Kind::sso(), 1, "SCM_UNAVAILABLE"),
        (Kind::status(200, "<html>a captive portal</html>"), 1, "SCM_UNAVAILABLE"),
    ] {
        let name = format!("{kind:?}");
        let scene = Scene::new();
        scene.world().faults.push(Fault::always(kind));
        let output = scene.run(&["observe", "--once"]);
        assert_eq!(output.code, exit, "{name}: {}{}", output.stdout, output.stderr);
        assert!(output.stderr.contains(&format!("error[{code}]")), "{name}: {}", output.stderr);
        assert_eq!(output.stdout, "", "{name}");
        assert_eq!(scene.host()["fresh_at"], Value::Null, "{name}");
        let status = scene.env.ok(&["status"]);
        assert!(!status.contains("credential ok"), "{name}: {status}");
        assert!(
            !scene.env.ok(&["metrics"]).contains("observer_fresh_timestamp_seconds{"),
            "{name}"
        );
    }
}

#[test]
fn what_cannot_be_meant_is_refused_before_anything_is_asked() {
    let scene = Scene::new();
    for (args, exit, code) in [
        (&["observe", "--api-url", "http://example.com/api/v3"][..], 2, "INVALID_URL"),
        (&["observe", "--api-url", "https://user:secret@ghe.example.com"], 2, "INVALID_URL"),
        (&["observe", "--api-url", "-"], 2, "INVALID_URL"),
        (&["up", "--api-url", "ftp://x"], 2, "INVALID_URL"),
        (&["observe", "--interval", "1s"], 2, "USAGE"),
        (&["observe", "--interval", "1000000y"], 2, "USAGE"),
        (&["observe", "--repo", "hello"], 2, "USAGE"),
        (&["observe", "--repo", "../x"], 2, "USAGE"),
        (&["observe", "--once", "apply", "x"], 2, "USAGE"),
    ] {
        let output = scene.run(args);
        assert_eq!(output.code, exit, "{args:?}: {}", output.stderr);
        assert!(output.stderr.contains(&format!("error[{code}]")), "{args:?}: {}", output.stderr);
        assert!(!output.stderr.contains("secret"), "{}", output.stderr);
    }
    let other = scene.run(&["observe", "--once", "--repo", "octo/nope"]);
    assert!(other.stderr.contains("no project has the repository octo/nope"), "{}", other.stderr);
    assert_eq!(scene.requests(), 0);
    scene.env.refused(&["observe", "--once"], 4, "CREDENTIALS_MISSING");
}

#[test]
fn a_project_that_got_its_origin_later_is_observed_all_the_same() {
    let scene = Scene::new();
    scene.world().open_pr(&NewPr::new("octo/hello", "ao/late-1"));
    let env = TestEnv::new();
    let repo = env.repo("late", "");
    env.ok(&["project", "add", repo.to_str().unwrap()]);
    env.ok(&["session", "new", "--project", "late", "--branch", "ao/late-1"]);
    let url = "https://user:secret@github.com/octo/hello.git";
    env.git(&["-C", repo.to_str().unwrap(), "remote", "add", "origin", url]);
    let observe = || {
        let mut command = env.command(&["observe", "--once"]);
        command.env("AO_GITHUB_API_URL", &scene.server.url).env("GH_TOKEN", TOKEN);
        assert_eq!(finish(&mut command, b"").code, 0);
        env.json("project.get", &["project", "get", "late"])
    };
    let project = observe();
    assert_eq!(project["origin_url"], "https://github.com/octo/hello.git");
    assert_eq!(project["default_branch"], "");
    let head = ["symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/trunk"];
    env.git(&[&["-C", repo.to_str().unwrap()], &head[..]].concat());
    assert_eq!(observe()["default_branch"], "trunk", "git recorded it later");
    assert_eq!(env.json("pr.list", &["pr", "ls"])[0]["session_id"], "late-1");
}

#[test]
fn an_observer_ends_at_once_amid_a_request_that_is_not_answered() {
    let scene = Scene::new();
    scene.world().faults.push(Fault::always(Kind::Transport(Transport::Silence)));
    let live = Live::start(&mut scene.command(&["observe"]));
    scene.until("it asks", |scene| scene.world().counters.in_flight > 0);
    let asked = Instant::now();
    live.signal(Signal::INT);
    assert_eq!(live.end().code, 130);
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
    let verified = scene.env.run(&["verify"]);
    assert_eq!(verified.code, 0, "{}", verified.stdout);
}

#[test]
fn a_webhook_delivery_makes_a_running_observer_poll_now() {
    let scene = Scene::new();
    let pr = scene.world().open_pr(&NewPr::new("octo/hello", "ao/demo-1"));
    let title = |scene: &Scene| {
        scene.env.json("pr.list", &["pr", "ls"])[0]["title"].as_str().unwrap_or("").to_owned()
    };
    let live = Live::start(&mut scene.command(&["observe", "--interval", "1h"]));
    scene.until("it is found", |scene| title(scene) == "Work on ao/demo-1");
    scene.world().set_title(&pr, "Another title");
    let payload = r#"{"action": "synchronize", "number": 1, "repository": {"id": 1,
        "full_name": "octo/hello", "html_url": "https://github.com/octo/hello"},
        "pull_request": {"number": 1}}"#;
    let file = scene.env.file("payload.json", payload);
    scene.env.ok(&["observe", "deliver", "--event", "pull_request", &file]);
    scene.until("it was polled", |scene| title(scene) == "Another title");
    live.signal(Signal::INT);
    live.end();
}

#[test]
fn a_pull_request_from_a_fork_is_found_where_the_checkout_names_its_upstream() {
    let scene = Scene::new();
    scene.world().add_repo("upstream/hello");
    scene.world().fork("upstream/hello", "octo/fork");
    let env = TestEnv::new();
    let repo = env.repo("fork", "git@github.com:octo/fork.git");
    let path = repo.to_str().unwrap();
    env.git(&["-C", path, "remote", "add", "upstream", "https://github.com/upstream/hello"]);
    env.ok(&["project", "add", path]);
    env.ok(&["session", "new", "--project", "fork", "--branch", "fix"]);
    let ours =
        NewPr { head_repo: Some("octo/fork".to_owned()), ..NewPr::new("upstream/hello", "fix") };
    scene.world().open_pr(&ours);
    scene.world().open_pr(&NewPr::new("upstream/hello", "fix"));
    let mut command = env.command(&["observe", "--once"]);
    command.env("AO_GITHUB_API_URL", &scene.server.url).env("GH_TOKEN", TOKEN);
    let output = finish(&mut command, b"");
    assert_eq!(output.code, 0, "{}", output.stderr);
    let prs = env.json("pr.list", &["pr", "ls"]);
    assert_eq!(prs.as_array().unwrap().len(), 1, "a branch of the same name proves nothing: {prs}");
    assert_eq!(
        (&prs[0]["repo"], &prs[0]["session_id"]),
        (&"upstream/hello".into(), &"fork-1".into())
    );
    assert_eq!(prs[0]["is_cross_repo"], true);
}
