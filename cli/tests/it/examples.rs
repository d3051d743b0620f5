//! The programs in `examples/` do what they say: killed and run again, they miss nothing, and repeat
//! nothing that they can recognise.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use crate::fleet;
use crate::support::{BOUND, Live, Output, TestEnv, finish, parsed, text};

/// Whether the programs are installed; prints a note if not.
pub(crate) fn has(programs: &[&str]) -> bool {
    let is_there = |name: &&str| Command::new(name).arg("--version").output().is_ok();
    let missing: Vec<_> = programs.iter().filter(|name| !is_there(name)).collect();
    if !missing.is_empty() {
        println!("skipped: not installed: {missing:?}");
    }
    missing.is_empty()
}

/// One of the programs, which finds the binary on the PATH.
fn example(env: &TestEnv, program: &str, name: &str, args: &[&str]) -> Command {
    let mut command = env.command(&[]);
    let binary = Path::new(command.get_program()).parent().unwrap().to_owned();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    let path = format!("{}:{}", binary.display(), std::env::var("PATH").unwrap());
    let script = text(&folder.join(name)).to_owned();
    command = env.clean(program);
    command.arg(script).args(args).env("PATH", path).env("AO_DATA_DIR", env.path("data"));
    command
}

pub(crate) type Rows = BTreeMap<(String, String), Value>;

pub(crate) fn row(entity: &Value, key: &Value, row: &Value) -> ((String, String), Value) {
    ((entity.to_string(), key.to_string()), row.clone())
}

/// The rows of the store.
pub(crate) fn rows(env: &TestEnv) -> Rows {
    let lines = parsed(&env.ok(&["tail", "--snapshot", "--no-follow"]));
    let rows = lines.iter().filter(|line| line["control"] == "row");
    rows.map(|line| row(&line["entity"], &line["key"], &line["row"])).collect()
}

/// The rows of a copy in a SQLite file.
pub(crate) fn copied(env: &TestEnv, file: &str) -> Rows {
    let script = "import json, sqlite3, sys\n\
        for e, k, r in sqlite3.connect(sys.argv[1]).execute('SELECT * FROM row'):\n\
        \x20   print(json.dumps([e, json.loads(k), json.loads(r)]))";
    let output = finish(env.clean("python3").args(["-c", script, file]), b"");
    assert_eq!(output.stderr, "");
    parsed(&output.stdout).iter().map(|it| row(&it[0], &it[1], &it[2])).collect()
}

fn mirror(env: &TestEnv, args: &[&str]) -> Command {
    example(env, "python3", "mirror.py", &[&["mirror.db"], args].concat())
}

fn mirror_once(env: &TestEnv) -> Output {
    let output = finish(&mut mirror(env, &["--once"]), b"");
    assert_eq!(output.code, 0, "{}", output.stderr);
    assert!(copied(env, "mirror.db") == rows(env), "the copy differs");
    output
}

#[test]
fn a_mirror_that_is_killed_again_and_again_is_complete_in_the_end() {
    if !has(&["python3"]) {
        return;
    }
    let env = TestEnv::empty();
    fleet::create(&env, 40, 30);
    assert_eq!(mirror_once(&env).stderr, "");
    for i in 0..6 {
        env.ok(&["session", "rename", "project-0-1", &format!("a {i}")]);
        let live = Live::start(&mut mirror(&env, &[]));
        env.ok(&["session", "rename", "project-0-2", &format!("b {i}")]);
        // At another point of its work each time.
        std::thread::sleep(Duration::from_millis(40 * i));
        live.signal(Signal::KILL);
        drop(live);
    }
    assert_eq!(mirror_once(&env).stderr, "");
}

#[test]
fn a_mirror_starts_over_after_a_restore_and_after_its_consumer_was_deleted() {
    if !has(&["python3"]) {
        return;
    }
    let env = TestEnv::with_demo();
    env.ok(&["backup", "backup.db"]);
    env.ok(&["session", "new", "--project", "demo"]);
    mirror_once(&env);
    env.ok(&["restore-db", "backup.db", "--yes"]);
    let output = mirror_once(&env);
    let said = output.stderr;
    assert!(said.starts_with("starting over:"), "{said}");
    env.ok(&["consumer", "rm", "mirror", "--yes"]);
    let said = mirror_once(&env).stderr;
    assert!(said.contains("CONSUMER_NOT_FOUND"), "{said}");
}

fn each(env: &TestEnv, script: &str) -> Command {
    each_of(env, "all", script)
}

fn each_of(env: &TestEnv, consumer: &str, script: &str) -> Command {
    let mut command = example(env, "sh", "each.sh", &[consumer, "sh", "-c", script]);
    command.env("XDG_STATE_HOME", env.path("state")).env("EACH_WAIT", "0s");
    command
}

fn keys(env: &TestEnv) -> Vec<String> {
    let keys = fs::read_to_string(env.path("keys")).unwrap_or_default();
    keys.lines().map(|key| key.rsplit_once('/').unwrap().1.to_owned()).collect()
}

#[test]
fn the_shell_consumer_continues_with_the_change_whose_command_failed() {
    if !has(&["jq"]) {
        return;
    }
    let env = TestEnv::with_demo();
    env.ok(&["consumer", "create", "all", "--from", "beginning"]);
    for _ in 0..3 {
        env.ok(&["session", "new", "--project", "demo"]);
    }
    let fails =
        finish(&mut each(&env, "cat > last; echo $CHANGE_KEY >> keys; ! grep demo-2 last"), b"");
    assert_eq!(fails.code, 1, "{}", fails.stderr);
    assert_eq!(keys(&env), ["1-1", "1-2", "1-3"]);
    let works = finish(&mut each(&env, "cat >> changes; echo $CHANGE_KEY >> keys"), b"");
    assert_eq!((works.code, works.stderr.as_str()), (0, ""));
    assert_eq!(keys(&env), ["1-1", "1-2", "1-3", "1-3", "1-4"]);
    let changes = parsed(&fs::read_to_string(env.path("changes")).unwrap());
    assert_eq!(changes.iter().map(|change| &change["seq"]).collect::<Vec<_>>(), [3, 4]);
    let again = finish(&mut each(&env, "echo $CHANGE_KEY >> keys"), b"");
    assert_eq!((again.code, keys(&env).len()), (0, 5));
}

#[test]
fn the_shell_consumer_repeats_only_the_change_during_which_it_was_killed() {
    if !has(&["jq"]) {
        return;
    }
    let env = TestEnv::with_demo();
    env.ok(&["consumer", "create", "all", "--from", "beginning"]);
    env.ok(&["session", "new", "--project", "demo"]);
    let mut hangs = each(
        &env,
        "echo $CHANGE_KEY >> keys; [ $CHANGE_KEY = ${CHANGE_KEY%2} ] || cat /dev/zero > /dev/null",
    );
    // A group of its own, so that all of it is killed.
    std::os::unix::process::CommandExt::process_group(&mut hangs, 0);
    let live = Live::start(&mut hangs);
    let deadline = Instant::now() + BOUND;
    while keys(&env).len() < 2 {
        assert!(Instant::now() < deadline, "the second change does not come");
        std::thread::sleep(Duration::from_millis(5));
    }
    let group = rustix::process::Pid::from_raw(live.id().try_into().unwrap()).unwrap();
    rustix::process::kill_process_group(group, Signal::KILL).unwrap();
    drop(live);
    let works = finish(&mut each(&env, "echo $CHANGE_KEY >> keys"), b"");
    assert_eq!(works.code, 0, "{}", works.stderr);
    assert_eq!(keys(&env), ["1-1", "1-2", "1-2"]);
}

#[test]
fn the_shell_consumer_goes_on_after_a_restore() {
    if !has(&["jq"]) {
        return;
    }
    let env = TestEnv::with_demo();
    env.ok(&["consumer", "create", "all", "--from", "beginning"]);
    env.ok(&["backup", "backup.db"]);
    env.ok(&["restore-db", "backup.db", "--yes"]);
    let output = finish(&mut each(&env, "echo $CHANGE_KEY >> keys"), b"");
    assert_eq!(output.code, 0, "{}", output.stderr);
    assert!(output.stderr.contains("error[CURSOR_EPOCH_MISMATCH]"), "{}", output.stderr);
    assert_eq!(keys(&env).len(), 1);
}

#[test]
fn a_script_is_woken_once_for_each_time_that_checks_begin_to_fail() {
    if !has(&["jq"]) {
        return;
    }
    let env = TestEnv::with_demo();
    env.ok(&["session", "new", "--project", "demo", "--branch", "fix-1"]);
    env.ok(&["consumer", "create", "ci", "--changed", "ci=failing"]);
    for (ci, title) in [("passing", "A"), ("failing", "A"), ("failing", "B"), ("passing", "B")] {
        let document = format!(
            r#"{{"pr": "octo/hello#7", "session": "demo-1",
                "facts": {{"state": "open", "ci": "{ci}", "title": "{title}"}}}}"#
        );
        env.ok(&["observe", "apply", &env.file("document.json", document)]);
    }
    let output = finish(&mut each_of(&env, "ci", "jq -r .after.url"), b"");
    let expected = (0, "https://github.com/octo/hello/pull/7\n");
    assert_eq!((output.code, output.stdout.as_str()), expected, "{}", output.stderr);
}
