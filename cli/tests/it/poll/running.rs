//! What runs is shown: the process that observes in `status` and `doctor`, what `up` observes and as whom,
//! and what is being read on a terminal.

use ao_fake_github::{Fault, Kind, NewPr, Transport};
use rustix::process::Signal;
use serde_json::{Value, json};

use super::{DISABLED, Scene, TOKEN};
use crate::pty;
use crate::support::{Live, TestEnv};

fn finding(env: &TestEnv) -> Value {
    let doctor = env.json("doctor", &["doctor"]);
    let findings = doctor["findings"].as_array().unwrap();
    findings.iter().find(|it| it["id"] == "observer.running").unwrap().clone()
}

#[test]
fn the_process_that_observes_is_shown_until_it_ends_however_it_ends() {
    let scene = Scene::new();
    let observer = || scene.env.json("store.status", &["status"])["observer"].take();
    let nothing = json!({
        "is_running": false, "pid": null, "command": null, "since": null, "next_poll_at": null
    });
    assert_eq!(observer(), nothing);
    let shown = scene.env.ok(&["status"]);
    assert!(shown.contains("\nobserver  not running: `ao-store observe`\n"), "{shown}");
    let found = finding(&scene.env);
    assert_eq!((&found["level"], &found["fix"]), (&json!("warn"), &json!("`ao-store observe`")));
    let live = Live::start(&mut scene.command(&["observe", "--interval", "1h"]));
    scene.until("its next poll is known", |_| observer()["next_poll_at"].is_string());
    let running = observer();
    assert_eq!(running["is_running"], true);
    assert_eq!(running["pid"], live.id());
    assert_eq!(running["command"], "ao-store observe --interval 1h");
    assert!(running["since"].is_string(), "{running}");
    let shown = scene.env.ok(&["status"]);
    let start =
        format!("\nobserver  running, pid {} (ao-store observe --interval 1h), for ", live.id());
    assert!(shown.contains(&start) && shown.contains(", next poll in "), "{shown}");
    assert_eq!(finding(&scene.env)["level"], "ok");
    let refused = scene.run(&["observe"]);
    assert_eq!(refused.code, 9, "{}", refused.stderr);
    live.signal(Signal::KILL);
    drop(live);
    // What it wrote stays in the file; nobody holds the lock.
    assert_eq!(observer(), nothing);
}

#[test]
fn a_store_without_a_project_on_github_needs_no_observer() {
    let env = TestEnv::new();
    let repo = env.repo("local", "");
    env.ok(&["project", "add", repo.to_str().unwrap()]);
    let shown = env.ok(&["status"]);
    assert!(
        shown.contains("observer  not running; no project has an origin on GitHub\n"),
        "{shown}"
    );
    assert_eq!(finding(&env)["level"], "ok");
}

#[test]
fn up_says_what_it_observes_as_whom_and_when_it_polls_next() {
    let scene = Scene::new();
    let repo = scene.env.path("demo");
    let up = |scene: &Scene| Live::start(&mut scene.command(&["up", repo.to_str().unwrap()]));
    let first = up(&scene);
    first.until_printed("project demo: its pull requests are those at github.com/octo/hello");
    let line = first.until_printed("observing as");
    assert!(line.ends_with("Z github.com: observing as octo-dev, with the token from GH_TOKEN"));
    first.until_printed("github.com: no pull request of a session is open; next poll in ");
    let second = up(&scene);
    let pid = first.id();
    second.until_printed(&format!("a daemon already serves this data directory (pid {pid})"));
    for up in [first, second] {
        up.signal(Signal::INT);
        assert_eq!(up.end().code, 130);
    }
}

#[test]
fn up_without_credentials_or_a_remote_says_what_is_missing_and_the_fix() {
    let scene = Scene::new();
    let repo = scene.env.path("demo");
    let up = Live::start(&mut scene.bare(&["up", repo.to_str().unwrap()]));
    assert_eq!(up.until_printed("scm observer"), DISABLED);
    up.until_printed("github.com: no token was found; log in: `gh auth login`, or set GH_TOKEN");
    for (name, origin, expected) in [
        ("local", "", "no remote counts as its origin: `git remote add origin URL`"),
        (
            "lab",
            "https://gitlab.example.com/a/b.git",
            "its origin is not on GitHub; if gitlab.example.com is",
        ),
    ] {
        let repo = scene.env.repo(name, origin);
        let up = scene.env.spawn(&["up", repo.to_str().unwrap()]);
        up.until_printed(&format!(
            "project {name}: its pull requests cannot be observed: {expected}"
        ));
    }
    // A token, and no session yet.
    let repo = scene.env.repo("fresh", "https://github.com/octo/fresh.git");
    let env = TestEnv::empty();
    let up = Live::start(env.command(&["up", repo.to_str().unwrap()]).env("GH_TOKEN", TOKEN));
    up.until_printed("github.com: a token was found; there is nothing to poll until a session has");
    let env = TestEnv::empty();
    let up = env.spawn(&["up", "."]);
    up.until_printed(
        "there is no project, so nothing can be observed; register a repository: `ao-store",
    );
}

#[test]
fn a_terminal_shows_what_is_read_and_then_the_state_in_one_line_of_its_width() {
    let scene = Scene::new();
    scene.world().open_pr(&NewPr::new("octo/hello", "ao/demo-1"));
    let variables = [("AO_GITHUB_API_URL", scene.server.url.as_str()), ("GH_TOKEN", TOKEN)];
    for columns in [30, 60, 200] {
        // A host that does not answer, and one that does.
        for (is_silent, last) in [(true, "reading octo/hel"), (false, "1 of 1 pull ")] {
            scene.world().faults.clear();
            if is_silent {
                let silence = Kind::Transport(Transport::Silence);
                scene.world().faults.push(Fault::always(silence));
            }
            let args = ["observe", "--interval", "1h"];
            let shown = pty::run_until(&scene.env, &args, &variables, columns, Some(last));
            let drawn = shown.split("\r\u{1b}[2K").skip(1);
            let progress: Vec<_> = drawn.filter(|it| !it.contains('\n')).collect();
            assert!(progress.iter().any(|line| line.contains(last)), "{columns}: {shown:?}");
            let is_narrow = |line: &&str| line.chars().count() < columns.into();
            assert!(progress.iter().all(is_narrow), "{columns}: {shown:?}");
        }
    }
}

#[test]
fn a_lock_that_cannot_be_read_is_not_an_observer_that_does_not_run() {
    let env = TestEnv::with_demo();
    std::fs::create_dir(env.database().with_file_name("observer.lock")).unwrap();
    let observer = env.json("store.status", &["status"])["observer"].take();
    assert_eq!(observer["is_running"], Value::Null);
    let shown = env.ok(&["status"]);
    assert!(shown.contains("\nobserver  unknown: "), "{shown}");
    for shown in [&shown, finding(&env)["message"].as_str().unwrap()] {
        assert!(shown.contains("observer.lock: it is not a regular file"), "{shown}");
    }
}
