//! Every code of the registry can be provoked through the binary, and has the same form each time: an
//! exit status, `error[CODE]` and a hint for people, one JSON line for programs.
//!
//! `INTERNAL_ERROR` is the exception: it means a bug, so no input may cause it.

mod files;
mod git;
mod messages;
mod observing;
mod sessions;
mod turns;

use std::any::Any;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use ao_fake_github::Server;
use ao_store::Code;
use serde_json::{Value, json};

use crate::support::{Live, Mount, Output, TestEnv, finish, has_sqlite, text};

/// A command line that must fail, and what it fails on.
struct Provoked {
    args: Vec<String>,
    path: Option<PathBuf>,
    data: Option<PathBuf>,
    /// A GitHub that answers with this fault, asked with a token.
    host: Option<Server>,
    _hold: Option<Box<dyn Any>>,
}

impl Provoked {
    fn by(args: &[&str]) -> Provoked {
        let args = args.iter().map(|arg| (*arg).to_owned()).collect();
        Provoked { args, path: None, data: None, host: None, _hold: None }
    }
}

/// `None`: the code is not one of this group. `Err`: why it cannot be provoked here.
type Group = fn(Code, &World, &TestEnv) -> Option<Result<Provoked, String>>;

const GROUPS: &[Group] = &[
    request,
    git::git,
    rows,
    pull_requests,
    consumers,
    transfers,
    files::file_on_disk,
    log,
    machine,
    observing::observing,
    sessions::spawning,
    sessions::existing,
    messages::messages,
    turns::turns,
    sessions::agents,
];

/// A store with rows of every kind.
struct World {
    env: TestEnv,
    demo: String,
}

impl World {
    fn new() -> World {
        let env = TestEnv::with_demo();
        let old = env.repo("old", "");
        env.ok(&["project", "add", text(&old)]);
        env.ok(&["project", "rm", "old", "--yes"]);
        env.ok(&["session", "new", "--project", "demo", "--branch", "b1"]);
        env.ok(&["session", "new", "--project", "demo", "--branch", "b2"]);
        env.ok(&["session", "new", "--project", "demo", "--kind", "orchestrator"]);
        env.ok(&["session", "new", "--project", "demo", "--branch", "b4"]);
        let prs = r#"{"pr": "octo/hello#1", "session": "demo-1", "facts": {"state": "open"}}
            {"pr": "octo/hello#2", "session": "demo-2", "facts": {"state": "merged"}}"#;
        env.ok(&["observe", "apply", &env.file("prs.json", prs)]);
        env.sqlite("UPDATE session SET is_terminated = 1 WHERE id = 'demo-4';");
        let demo = text(&env.path("demo")).to_owned();
        World { env, demo }
    }

    /// A copy of the store in an environment of its own.
    fn copy(&self) -> TestEnv {
        let copy = TestEnv::empty();
        fs::create_dir(copy.path("data")).unwrap();
        fs::copy(self.env.database(), copy.database()).unwrap();
        copy
    }
}

#[test]
fn every_code_has_its_exit_status_its_text_and_its_json() {
    let world = World::new();
    for code in Code::ALL.iter().copied().filter(|code| *code != Code::Internal) {
        let env = world.copy();
        let provoked = GROUPS.iter().find_map(|group| group(code, &world, &env));
        let provoked = provoked.unwrap_or_else(|| panic!("no provocation for {}", code.name()));
        match provoked {
            Ok(provoked) => {
                let plain = check_plain(code, &run(&env, &provoked, &[]));
                let json = check_json(code, &run(&env, &provoked, &["--json"]));
                assert_eq!(plain, json.replace(" --json", ""), "{}: two hints", code.name());
                check_next_command(code, &env, &provoked);
            }
            Err(reason) => println!("{} skipped: {reason}", code.name()),
        }
    }
}

/// The command that the hint names works on the same store.
fn check_next_command(code: Code, env: &TestEnv, provoked: &Provoked) {
    let data = provoked.data.clone().unwrap_or_else(|| env.path("data"));
    let mut options = vec!["--data-dir", text(&data), "--durability", "relaxed"];
    if !provoked.args.iter().any(|arg| arg == "--busy-timeout") {
        options.extend(["--busy-timeout", "4s"]);
    }
    let Output { stderr, .. } = run(env, provoked, &options);
    // A command that cannot be parsed has no options yet.
    for command in stderr.split('`').skip(1).step_by(2).filter(|_| code != Code::Usage) {
        let is_ours = command.contains("ao-store ") && !command.contains("--data-dir DIR");
        for option in options.chunks(2).filter(|_| is_ours) {
            assert!(command.contains(&option.join(" ")), "{}: {stderr}", code.name());
        }
    }
}

fn run(env: &TestEnv, provoked: &Provoked, more: &[&str]) -> Output {
    let mut command = env.command(more);
    command.args(&provoked.args);
    if let Some(path) = &provoked.path {
        command.env("PATH", path);
    }
    if let Some(data) = &provoked.data {
        command.env("AO_DATA_DIR", data);
    }
    if let Some(host) = &provoked.host {
        command.env("AO_GITHUB_API_URL", &host.url).env("GH_TOKEN", "token");
    }
    finish(&mut command, b"")
}

/// What a person reads; returns the hint.
fn check_plain(code: Code, output: &Output) -> String {
    let Output { code: status, stdout, stderr } = output;
    let name = code.name();
    assert_eq!(*status, i32::from(code.exit_code()), "{name}: {stdout}{stderr}");
    let start = format!("error[{name}]: ");
    let lines: Vec<_> = stderr.lines().collect();
    // A tail may print that it is ready before it fails, and an observer the state of a host.
    let is_before = |line: &str| {
        ["ready: ", "scm observer disabled: ", "the host refuses "]
            .iter()
            .any(|it| line.starts_with(it))
    };
    let first = lines.iter().find(|line| !is_before(line));
    assert!(first.is_some_and(|line| line.starts_with(&start)), "{name}: {stderr}");
    assert!(!stderr.contains('\u{1b}'), "{name} is coloured: {stderr:?}");
    let hints: Vec<_> = lines.iter().filter_map(|line| line.strip_prefix("hint: ")).collect();
    assert_eq!(hints.len(), 1, "{name}: {stderr}");
    assert!(!stdout.contains("error"), "{name}: {stdout}");
    hints[0].to_owned()
}

/// What a program reads; returns the hint.
fn check_json(code: Code, output: &Output) -> String {
    let Output { code: status, stdout, stderr } = output;
    let name = code.name();
    assert_eq!(*status, i32::from(code.exit_code()), "{name}: {stdout}{stderr}");
    assert_eq!(stdout, "", "{name}");
    let lines: Vec<_> = stderr.lines().collect();
    assert_eq!(lines.len(), 1, "{name}: {stderr}");
    let document: Value = serde_json::from_str(lines[0]).expect(name);
    crate::documented::check_error(&document);
    let error = document["error"].as_object().expect(name);
    let keys: Vec<_> = error.keys().map(String::as_str).collect();
    assert_eq!(keys, ["code", "message", "hint", "details", "exit_code"], "{name}");
    assert_eq!(error["code"], name);
    assert_eq!(error["exit_code"], code.exit_code(), "{name}");
    assert!(error["details"].is_object(), "{name}");
    assert!(!error["message"].as_str().unwrap().is_empty(), "{name}");
    let hint = error["hint"].as_str().unwrap();
    assert!(!hint.is_empty(), "{name}");
    hint.to_owned()
}

/// The request itself is wrong.
fn request(code: Code, _: &World, env: &TestEnv) -> Option<Result<Provoked, String>> {
    let apply =
        |document: &str| Provoked::by(&["observe", "apply", &env.file("document.json", document)]);
    Some(Ok(match code {
        Code::Usage => Provoked::by(&["bogus"]),
        Code::InvalidId => Provoked::by(&["session", "new", "--project", "../demo"]),
        Code::InvalidPath => Provoked::by(&["project", "add", "no/such/place"]),
        Code::NotAGitRepo => Provoked::by(&["project", "add", "home"]),
        Code::InvalidPrRef => Provoked::by(&["pr", "get", "seven"]),
        Code::InvalidUrl => Provoked::by(&["observe", "--api-url", "http://example.com"]),
        Code::InvalidCursor => Provoked::by(&["tail", "--from", "yesterday"]),
        Code::InvalidEventType => Provoked::by(&["tail", "--type", "pr_create"]),
        Code::InvalidField => Provoked::by(&["tail", "--changed", "ci=failed"]),
        Code::InvalidDelivery => {
            Provoked::by(&["observe", "deliver", "--event", "gollum", &env.file("x.json", "{}")])
        }
        Code::WebhookSignature => Provoked::by(&[
            "observe",
            "deliver",
            "--event=push",
            "--secret-file",
            &env.file("secret", "hush\n"),
            &env.file("x.json", "{}"),
        ]),
        Code::InvalidJson => apply(r#"{"pr": "octo/hello#1""#),
        Code::InvalidObservation => apply(
            r#"{"pr": "octo/hello#1", "threads": {"mode": "replace", "completeness": "partial"}}"#,
        ),
        Code::InvalidConfig => {
            fs::create_dir_all(env.path("home/.config/ao-store")).unwrap();
            env.file("home/.config/ao-store/config.toml", "colour = 'auto'");
            Provoked::by(&["status"])
        }
        Code::NotApplied => {
            let document = env.file("document.json", r#"{"pr": "octo/other#1"}"#);
            Provoked::by(&["observe", "apply", "--strict", &document])
        }
        Code::InputTooLarge => apply(&format!(r#"{{"pr": "{}"}}"#, "x".repeat(17 << 20))),
        Code::Io => Provoked::by(&["observe", "apply", "/proc/self/mem"]),
        _ => return None,
    }))
}

/// The rows forbid it.
fn rows(code: Code, world: &World, env: &TestEnv) -> Option<Result<Provoked, String>> {
    Some(Ok(match code {
        Code::ProjectNotFound => Provoked::by(&["project", "get", "nobody"]),
        Code::SessionNotFound => Provoked::by(&["session", "get", "demo-99"]),
        Code::IdAlreadyRegistered => {
            Provoked::by(&["project", "add", text(&env.repo("new", "")), "--id", "demo"])
        }
        Code::PathAlreadyRegistered => {
            Provoked::by(&["project", "add", &world.demo, "--id", "again"])
        }
        Code::ProjectArchived => Provoked::by(&["session", "new", "--project", "old"]),
        Code::ProjectHasLiveSessions => Provoked::by(&["project", "rm", "demo", "--yes"]),
        Code::OrchestratorActive => {
            Provoked::by(&["session", "new", "--project", "demo", "--kind", "orchestrator"])
        }
        Code::SessionNotSeed => Provoked::by(&["session", "rm", "demo-1", "--yes"]),
        _ => return None,
    }))
}

/// The rules of ownership forbid it.
fn pull_requests(code: Code, _: &World, env: &TestEnv) -> Option<Result<Provoked, String>> {
    let claim = |session: &str, pr: &str| Provoked::by(&["pr", "claim", session, pr]);
    Some(Ok(match code {
        Code::PrNotFound => Provoked::by(&["pr", "get", "octo/hello#99"]),
        Code::SessionTerminated if !has_sqlite() => return Some(Err("no sqlite3".to_owned())),
        Code::SessionTerminated => claim("demo-4", "octo/hello#1"),
        Code::SessionNotClaimable => claim("demo-3", "octo/hello#1"),
        Code::PrClaimed => claim("demo-2", "octo/hello#1"),
        Code::PrNotOpen => claim("demo-1", "octo/hello#2"),
        Code::PrProjectMismatch => claim("demo-1", "octo/another#1"),
        Code::PrOwnedByOther => {
            let document = r#"{"pr": "octo/hello#1", "session": "demo-2"}"#;
            Provoked::by(&["observe", "apply", &env.file("document.json", document)])
        }
        _ => return None,
    }))
}

/// The state of a consumer forbids the command.
fn consumers(code: Code, _: &World, env: &TestEnv) -> Option<Result<Provoked, String>> {
    let create = || env.ok(&["consumer", "create", "idx", "--from", "beginning"]);
    Some(Ok(match code {
        Code::ConsumerNotFound => Provoked::by(&["consumer", "get", "nobody"]),
        Code::ConsumerExists => {
            create();
            Provoked::by(&["consumer", "create", "idx"])
        }
        Code::ConsumerFilter => {
            create();
            Provoked::by(&["tail", "--consumer", "idx", "--type", "pr_created", "--no-follow"])
        }
        Code::LeaseHeld => {
            create();
            env.ok(&["consumer", "pull", "idx", "--lease", "1h"]);
            Provoked::by(&["tail", "--consumer", "idx", "--no-follow"])
        }
        Code::CommandFailed => {
            create();
            Provoked::by(&["tail", "--consumer", "idx", "--exec", "exit 3", "--no-follow"])
        }
        Code::LeaseLost => {
            create();
            Provoked::by(&["consumer", "ack", "idx", "1-1", "--lease", "99"])
        }
        _ => return None,
    }))
}

/// The target exists already, or the source is invalid.
fn transfers(code: Code, world: &World, env: &TestEnv) -> Option<Result<Provoked, String>> {
    let elsewhere =
        |args: &[&str]| Provoked { data: Some(env.path("elsewhere")), ..Provoked::by(args) };
    Some(Ok(match code {
        Code::TargetExists => Provoked::by(&["backup", &env.file("out.db", "mine")]),
        Code::InvalidExport => elsewhere(&["import", &env.file("export.ndjson", "{}\n")]),
        Code::InvalidSource => {
            elsewhere(&["import", "--from-ao", &env.file("notes.db", "dear diary".repeat(99))])
        }
        Code::StoreNotEmpty if !has_sqlite() => return Some(Err("no sqlite3".to_owned())),
        Code::StoreNotEmpty => {
            let source = env.path("ao-tool.db");
            let sql = "CREATE TABLE projects (id TEXT); CREATE TABLE sessions (id TEXT);";
            let made = Command::new("sqlite3").arg(&source).arg(sql).status();
            assert!(made.unwrap().success());
            Provoked::by(&["import", "--from-ao", text(&source)])
        }
        Code::StoreInUse => {
            let backup = env.path("backup.db");
            fs::copy(world.env.database(), &backup).unwrap();
            let args = ["restore-db", text(&backup), "--yes", "--busy-timeout", "100ms"];
            Provoked { _hold: Some(Box::new(env.tail(&[]))), ..Provoked::by(&args) }
        }
        Code::StoreReplaced => Provoked {
            _hold: Some(Box::new(Replacer::start(env))),
            ..Provoked::by(&["tail", "--from", "end", "-c", "1", "--timeout", "15s"])
        },
        _ => return None,
    }))
}

/// Puts a copy in the place of the database whenever somebody listens to it, until it is dropped.
struct Replacer {
    is_done: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Replacer {
    fn start(env: &TestEnv) -> Replacer {
        let (database, bells) = (env.database(), env.path("data/wakeups"));
        let is_done = Arc::new(AtomicBool::new(false));
        let done = Arc::clone(&is_done);
        let has_bell = move || fs::read_dir(&bells).is_ok_and(|mut bells| bells.next().is_some());
        let thread = thread::spawn(move || {
            while !done.load(Ordering::Relaxed) {
                if has_bell() {
                    let copy = database.with_file_name("copy.db");
                    fs::copy(&database, &copy).unwrap();
                    fs::rename(&copy, &database).unwrap();
                }
                thread::sleep(Duration::from_millis(20));
            }
        });
        Replacer { is_done, thread: Some(thread) }
    }
}

impl Drop for Replacer {
    fn drop(&mut self) {
        self.is_done.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap();
    }
}

/// The log does not hold what is asked for.
fn log(code: Code, _: &World, env: &TestEnv) -> Option<Result<Provoked, String>> {
    let after = |sql: &str, args: &[&str]| match env.sqlite(sql) {
        Some(_) => Ok(Provoked::by(args)),
        None => Err("no sqlite3".to_owned()),
    };
    Some(match code {
        Code::LogHole => {
            let args = ["tail", "--from", "beginning", "--no-follow"];
            after("DELETE FROM change_log WHERE seq = 2;", &args)
        }
        Code::CursorExpired => {
            let sql = "DELETE FROM change_log WHERE seq <= 2; UPDATE log_meta SET floor = 2;";
            after(sql, &["tail", "--from", "1-1"])
        }
        Code::CursorEpoch => Ok(Provoked::by(&["tail", "--from", "7-1"])),
        Code::CursorFuture => Ok(Provoked::by(&["tail", "--from", "1-999999"])),
        Code::TimedOut => {
            Ok(Provoked::by(&["tail", "-c", "1", "--from", "end", "--timeout", "200ms"]))
        }
        _ => return None,
    })
}

/// The machine, or another process on it, prevents the command.
fn machine(code: Code, _: &World, env: &TestEnv) -> Option<Result<Provoked, String>> {
    Some(match code {
        Code::Busy if !has_sqlite() => Err("no sqlite3".to_owned()),
        Code::Busy => {
            let mut shell = Live::start(env.sqlite_shell().stdin(Stdio::piped()));
            shell.say("BEGIN IMMEDIATE;\n.print locked\n");
            assert_eq!(shell.line(), "locked");
            let args = ["session", "new", "--project", "demo", "--busy-timeout", "100ms"];
            Ok(Provoked { _hold: Some(Box::new(shell)), ..Provoked::by(&args) })
        }
        // Not even root makes a folder there.
        Code::ReadOnly => {
            Ok(Provoked { data: Some("/sys/ao-store-test".into()), ..Provoked::by(&["init"]) })
        }
        Code::DiskFull => disk_full(env),
        _ => return None,
    })
}

fn disk_full(env: &TestEnv) -> Result<Provoked, String> {
    let small = env.path("small");
    let mount = Mount::new(&small, "size=2m")?;
    fs::copy(env.database(), small.join("ao.db")).unwrap();
    let title = "x".repeat(4 << 20);
    let document = json!({"pr": "octo/hello#1", "facts": {"title": title}}).to_string();
    let args = ["observe", "apply", &env.file("large.json", document)];
    Ok(Provoked { data: Some(small), _hold: Some(Box::new(mount)), ..Provoked::by(&args) })
}

#[test]
fn a_type_that_is_nearly_right_gets_the_right_one_as_hint() {
    let env = TestEnv::new();
    for (typed, hint) in [
        ("pr_create", "hint: did you mean pr_created?"),
        ("session_delete", "hint: did you mean session_deleted?"),
        ("zzz", "hint: the known ones are: project_created, "),
    ] {
        let stderr = env.refused(&["tail", "--type", typed], 2, "INVALID_EVENT_TYPE");
        assert!(stderr.contains(hint), "{typed}: {stderr}");
    }
    let stderr = env.refused(&["sesion", "ls"], 2, "USAGE");
    assert!(stderr.contains("session"), "{stderr}");
}

#[test]
fn a_hint_fits_what_was_wrong() {
    let env = TestEnv::with_demo();
    env.ok(&["session", "new", "--project", "demo"]);
    let demo = env.path("demo");
    for (args, exit, code, hint) in [
        (&["session", "rename", "demo-1", ""][..], 2, "INVALID_ID", "at most 200 bytes"),
        (&["session", "get", "demo"], 2, "INVALID_ID", "ao-store session ls --all"),
        (&["session", "new", "--project", "demo", "--branch", "a b"], 2, "INVALID_ID", "feature/"),
        (&["observe", "apply", "nothing.json"], 2, "INVALID_PATH", "file"),
        (
            &["project", "add", text(&demo)],
            5,
            "PATH_ALREADY_REGISTERED",
            "ao-store project get demo",
        ),
        (&["project", "rm", "demo", "--yes"], 5, "PROJECT_HAS_LIVE_SESSIONS", "--project demo"),
    ] {
        let stderr = env.refused(args, exit, code);
        let given = stderr.lines().find_map(|line| line.strip_prefix("hint: ")).unwrap();
        assert!(given.contains(hint), "{args:?}: {given}");
    }
}

#[test]
fn colour_is_for_terminals_and_for_those_who_ask() {
    let env = TestEnv::empty();
    assert!(!env.run(&["status"]).stderr.contains('\u{1b}'));
    assert!(env.run(&["status", "--color", "always"]).stderr.contains('\u{1b}'));
    let mut command = env.command(&["status", "--color", "never"]);
    assert!(!finish(command.env("CLICOLOR_FORCE", "1"), b"").stderr.contains('\u{1b}'));
}

#[test]
fn the_database_of_another_program_is_left_alone() {
    let env = TestEnv::empty();
    fs::create_dir(env.path("data")).unwrap();
    if env.sqlite("CREATE TABLE notes (text); INSERT INTO notes VALUES ('mine');").is_none() {
        return;
    }
    let before = fs::read(env.database()).unwrap();
    for args in [&["init"][..], &["status"], &["migrate"], &["migrate", "--check"], &["up"]] {
        env.refused(args, 5, "NOT_A_STORE");
    }
    assert_eq!(fs::read(env.database()).unwrap(), before, "not a byte was changed");
}
