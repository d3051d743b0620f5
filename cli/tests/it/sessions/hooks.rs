//! What agents report through their hooks: recorded for the launch of their environment, and never a failure.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::sessions::Lab;
use crate::support::{Output, finish};

/// The hook of an event in the environment of a launch.
pub(crate) fn calling(lab: &Lab, (session, launch): (&str, &str), event: &str) -> Command {
    let mut command = lab.command(&["hook", "claude-code", event]);
    command.env("AO_SESSION_ID", session).env("AO_LAUNCH_ID", launch).stdin(Stdio::piped());
    command
}

/// Calls the hook of an event in the environment of a launch.
pub(crate) fn hook(lab: &Lab, launch: &str, event: &str, payload: &str) -> Output {
    let session = lab.sql(&format!("SELECT session_id FROM launch WHERE id = '{launch}'"));
    finish(&mut calling(lab, (&session, launch), event), payload.as_bytes())
}

/// What hooks could not record.
fn log(lab: &Lab) -> String {
    fs::read_to_string(lab.env.path("data/run/hook.log")).unwrap_or_default()
}

#[test]
fn a_permission_is_asked_and_released_by_the_end_of_its_tool_call() {
    let lab = Lab::new();
    let id = lab.spawn(&["--prompt", "p"]);
    let launch = lab.sql("SELECT launch_id FROM session");
    let call = |file: &str| {
        format!(r#"{{"tool_name": "Bash", "tool_input": {{"command": "touch {file}"}}}}"#)
    };
    hook(&lab, &launch, "UserPromptSubmit", r#"{"session_id": "native", "prompt": "p"}"#);
    assert_eq!(lab.get(&id)["activity"], "active");
    hook(&lab, &launch, "PermissionRequest", &call("made"));
    let asked = lab.get(&id);
    assert_eq!(
        (&asked["activity"], &asked["activity_cause"]),
        (&"waiting".into(), &"permission".into())
    );
    assert_eq!(asked["decision"]["text"], "touch made");
    hook(&lab, &launch, "PostToolUse", &call("other"));
    assert_eq!(lab.get(&id)["activity"], "waiting", "it is another call");
    hook(&lab, &launch, "PostToolUse", &call("made"));
    assert_eq!(
        (&lab.get(&id)["activity"], lab.get(&id)["decision"].is_null()),
        (&"active".into(), true)
    );
    assert_eq!(lab.sql("SELECT resolution FROM decision"), "released");
    assert_eq!(lab.get(&id)["launch"]["native_id"], "native");
}

#[test]
fn a_hook_never_fails_and_of_no_launch_it_records_nothing() {
    let lab = Lab::new();
    lab.spawn(&["--prompt", "p"]);
    let before = lab.env.head();
    let launch = lab.sql("SELECT launch_id FROM session");
    for (launch, event, payload) in [
        (("demo-1", ""), "Stop", "{}"),
        (("", &*launch), "Stop", "{}"),
        (("demo-2", &*launch), "Stop", "{}"),
        (("demo-1", "l0000000000000000"), "Stop", "{}"),
        (("demo-1", &*launch), "Stop", "no JSON"),
        (("demo-1", &*launch), "Unheard", "{}"),
    ] {
        let mut command = calling(&lab, launch, event);
        let Output { code, stdout, .. } = finish(&mut command, payload.as_bytes());
        assert_eq!((code, stdout.as_str()), (0, ""), "{launch:?} {event} {payload}");
    }
    assert!(log(&lab).contains("standard input: expected ident"), "{}", log(&lab));
    assert_eq!(lab.run(&["hook"]).code, 0, "an agent takes other statuses for a refusal");
    assert_eq!(lab.env.head(), before);
}

#[test]
fn a_session_whose_id_has_a_dot_is_reported_about() {
    let lab = Lab::new();
    let project = lab.env.repo("other", "");
    lab.ok(&["project", "add", project.to_str().unwrap(), "--id", "my.app"]);
    let id = lab.ok(&["spawn", "--project", "my.app", "--harness", "custom", "--", &lab.agent]);
    let launch = lab.sql("SELECT launch_id FROM session");
    let mut command = calling(&lab, (id.trim(), &launch), "UserPromptSubmit");
    finish(&mut command, br#"{"session_id": "n"}"#);
    assert_eq!((id.trim(), &lab.get("my.app-1")["activity"]), ("my.app-1", &"active".into()));
}

/// As when sixteen agents call several tools at once, while the facts of pull requests are written.
#[test]
fn of_many_hooks_at_once_none_is_lost() {
    let lab = Lab::new();
    let sessions: Vec<_> = (0..16).map(|_| lab.spawn(&["--prompt", "p"])).collect();
    let launch = |id: &String| lab.sql(&format!("SELECT launch_id FROM session WHERE id = '{id}'"));
    let launches: Vec<_> = sessions.iter().map(launch).collect();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            for name in (0..).take_while(|_| !is_over.load(Ordering::Relaxed)) {
                lab.ok(&["session", "rename", "demo-1", &format!("name {name}")]);
            }
        });
        let mut calls = Vec::new();
        for (id, launch) in sessions.iter().zip(&launches) {
            for event in ["SessionStart", "UserPromptSubmit", "PreToolUse", "PostToolUse"] {
                let mut command = calling(&lab, (id, launch), event);
                let payload = format!(r#"{{"session_id": "of {id}", "prompt": "p"}}"#);
                calls.push(scope.spawn(move || finish(&mut command, payload.as_bytes())));
            }
        }
        let codes = calls.into_iter().map(|call| call.join().unwrap().code);
        let failed = codes.filter(|code| *code != 0).count();
        is_over.store(true, Ordering::Relaxed);
        assert_eq!(failed, 0);
    });
    assert_eq!(log(&lab), "");
    for id in &sessions {
        let session = lab.get(id);
        assert_eq!(session["launch"]["native_id"], format!("of {id}"));
        assert_eq!(session["launch"]["prompt_stage"], "acknowledged", "{session}");
        assert_eq!(session["activity_source"], "hook", "{session}");
    }
}

#[test]
fn a_store_that_cannot_be_written_never_breaks_an_agent() {
    let lab = Lab::new();
    lab.spawn(&["--prompt", "p"]);
    let launch = lab.sql("SELECT launch_id FROM session");
    lab.set_busy_timeout("200ms");
    let call = || {
        let mut command = calling(&lab, ("demo-1", &launch), "Stop");
        let Output { code, stdout, stderr } = finish(&mut command, b"{}");
        assert_eq!((code, stdout.as_str(), stderr.as_str()), (0, "", ""));
    };
    let database = lab.env.path("data/ao.db");
    let mut lock = Command::new("sqlite3")
        .arg(&database)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut to, from) = (lock.stdin.take().unwrap(), lock.stdout.take().unwrap());
    to.write_all(b"BEGIN IMMEDIATE;\nSELECT 'locked';\n").unwrap();
    let mut line = String::new();
    BufReader::new(from).read_line(&mut line).unwrap();
    assert_eq!(line, "locked\n");
    call();
    assert!(log(&lab).contains("given up") || log(&lab).contains("busy"), "{}", log(&lab));
    drop(to);
    lock.wait().unwrap();
    // Another process that hangs in the queue of writers, and does not write.
    let queue = fs::File::options().append(true).open(lab.env.path("data/ao.db.turn")).unwrap();
    queue.lock().unwrap();
    fs::remove_file(lab.env.path("data/run/hook.log")).unwrap();
    call();
    assert!(log(&lab).is_empty() || log(&lab).contains("given up after 200ms"), "{}", log(&lab));
    drop(queue);
    // From here on a hook must get as far as that.
    lab.set_busy_timeout("1m");
    fs::rename(&database, lab.env.path("data/away")).unwrap();
    call();
    assert!(!database.exists() && log(&lab).contains("there is no store"), "{}", log(&lab));
    fs::rename(lab.env.path("data"), lab.env.path("gone")).unwrap();
    call();
    fs::rename(lab.env.path("gone"), lab.env.path("data")).unwrap();
    fs::rename(lab.env.path("data/away"), &database).unwrap();
    fs::write(lab.env.path("data/run/hook.log"), "x".repeat(100 << 10)).unwrap();
    hook(&lab, &launch, "Stop", "no JSON");
    assert!(log(&lab).len() < 1 << 10, "it began anew");
}
