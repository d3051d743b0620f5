//! The terminal of an agent, as its text and attached, and sessions as a tree.

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

use crate::pty;
use crate::sessions::Lab;
use crate::sessions::lab::{set_executable, wait_until};

/// Prints `first`, and further lines when a test says so; then it ends.
const WRITER: &str = "#!/bin/sh
printf 'first\\033[1m in bold\\033[0m\\n'
while [ ! -e \"$AO_DATA_DIR/go\" ]; do sleep 0.1; done
for n in $(seq 1 200); do echo \"line $n.\"; done
while [ ! -e \"$AO_DATA_DIR/end\" ]; do sleep 0.1; done
echo last
exit 3
";

fn spawn(lab: &Lab, more: &[&str]) -> String {
    let file = lab.env.file("writer.sh", WRITER);
    set_executable(Path::new(&file));
    let first = ["spawn", "--project", "demo", "--harness", "custom"];
    lab.ok(&[&first[..], more, &["--", &file]].concat()).trim().to_owned()
}

fn log(lab: &Lab, id: &str, more: &[&str]) -> String {
    lab.ok(&[&["session", "log", id], more].concat())
}

#[test]
fn the_log_is_the_text_of_the_terminal_also_after_the_end() {
    let lab = Lab::new();
    let id = spawn(&lab, &[]);
    wait_until("the first line", || log(&lab, &id, &[]) == "first in bold\n");
    lab.env.file("data/go", "");
    wait_until("the lines", || log(&lab, &id, &[]).ends_with("line 200.\n"));
    assert_eq!(log(&lab, &id, &["-n", "2"]), "line 199.\nline 200.\n");
    assert_eq!(log(&lab, &id, &["-n", "10000"]).lines().count(), 201);
    let shown = &lab.env.json("session.log", &["session", "log", &id]);
    assert_eq!((&shown["source"], &shown["ended_at"]), (&"terminal".into(), &().into()));
    lab.env.file("data/end", "");
    wait_until("the end", || lab.get(&id)["activity"] == "exited");
    let ended = log(&lab, &id, &[]);
    assert!(ended.contains("\nlast\n"), "the terminal is still there");
    assert!(!ended.contains("Pane is dead"), "a note of tmux is no output: {ended}");
    lab.ok(&["session", "kill", &id]);
    let kept = log(&lab, &id, &[]);
    assert!(kept.contains("line 200.\nlast"), "{kept}");
    assert_eq!(lab.env.json("session.log", &["session", "log", &id])["source"], "store");
}

#[test]
fn a_followed_log_has_each_line_once_and_ends_with_the_launch() {
    let lab = Lab::new();
    let id = spawn(&lab, &[]);
    wait_until("the first line", || log(&lab, &id, &[]) == "first in bold\n");
    let file = lab.env.path("followed");
    let mut command = lab.command(&["session", "log", "-f", &id]);
    let mut follower = command.stdout(File::create(&file).unwrap()).spawn().unwrap();
    let followed = || fs::read_to_string(&file).unwrap();
    wait_until("the first line", || followed() == "first in bold\n");
    lab.env.file("data/go", "");
    wait_until("the lines", || followed().ends_with("line 200.\n"));
    lab.env.file("data/end", "");
    assert!(follower.wait().unwrap().success());
    let lines = ["first in bold".to_owned()].into_iter();
    let lines = lines.chain((1..=200).map(|n| format!("line {n}."))).chain(["last".to_owned()]);
    let expected: Vec<_> = lines.collect();
    let followed_lines = followed();
    let printed: Vec<_> = followed_lines.lines().take(expected.len()).collect();
    assert_eq!(printed, expected, "{followed_lines}");
    assert_eq!(lab.run(&["session", "log", &id, "--follow", "--json"]).code, 2);
}

/// It has an output only when it has ended.
#[test]
fn the_log_of_an_agent_without_a_terminal_is_what_is_kept_of_it() {
    let lab = Lab::new();
    let id = spawn(&lab, &["--runtime", "process"]);
    let shown = lab.run(&["session", "log", &id]);
    assert_eq!((shown.code, shown.stdout.as_str()), (0, ""));
    assert!(shown.stderr.contains("has no terminal"), "{}", shown.stderr);
    lab.refused(&["session", "attach", &id], 5, "NO_TERMINAL");
    lab.env.file("data/go", "");
    lab.env.file("data/end", "");
    wait_until("the end", || lab.get(&id)["activity"] == "exited");
    assert!(log(&lab, &id, &[]).ends_with("line 200.\nlast\n"));
}

#[test]
fn a_session_whose_agent_does_not_run_is_not_attached_to() {
    let lab = Lab::new();
    lab.refused(&["session", "attach", "demo-7"], 3, "SESSION_NOT_FOUND");
    lab.refused(&["session", "log", "-x"], 2, "INVALID_ID");
    let id = lab.spawn(&[]);
    let error = lab.refused(&["session", "attach", &id], 5, "NO_TERMINAL");
    assert!(error.contains("no terminal is attached"), "{error}");
    // Without tmux nothing is known of the terminal.
    let output = lab.command(&["session", "attach", &id]).env("PATH", "/nonexistent").output();
    let stderr = String::from_utf8(output.unwrap().stderr).unwrap();
    assert!(stderr.contains("RUNTIME_PREREQUISITE_MISSING"), "{stderr}");
    lab.kill_servers();
    // Whether its supervisor has recorded the end by now or not.
    lab.refused(&["session", "attach", &id], 5, "SESSION_NOT_RUNNING");
    lab.ok(&["session", "kill", &id]);
    lab.refused(&["session", "attach", &id], 5, "SESSION_NOT_RUNNING");
    let other = lab.ok(&["session", "new", "--project", "demo"]).trim().to_owned();
    lab.refused(&["session", "attach", &other], 5, "SESSION_EXTERNAL");
    lab.refused(&["session", "log", &other], 5, "SESSION_EXTERNAL");
}

/// The agent shows something only while a client is attached, and gets a key of it.
#[test]
fn an_attached_terminal_is_that_of_the_agent_also_inside_another_tmux() {
    let lab = Lab::new();
    let id = spawn(&lab, &[]);
    wait_until("the first line", || log(&lab, &id, &[]) == "first in bold\n");
    for more in [&[][..], &["--read-only"]] {
        let mut command: Command = lab.command(&[&["session", "attach", &id][..], more].concat());
        command.env("TMUX", "/nonexistent/socket,1,0").env("TMUX_PANE", "%0");
        let shown = pty::run_attached(command, 100, "first");
        assert!(shown.contains("in bold"), "{more:?}: {shown:?}");
    }
    assert_eq!(lab.get(&id)["activity"], "unknown", "it goes on without a client");
    assert_eq!(lab.panes().len(), 1);
}

#[test]
fn a_tree_has_each_session_below_its_parent_and_orphans_at_the_top() {
    let lab = Lab::new();
    let new = || lab.ok(&["session", "new", "--project", "demo"]).trim().to_owned();
    for _ in 0..7 {
        new();
    }
    lab.sql(
        "UPDATE session SET parent_id = 'demo-1' WHERE num IN (3, 4);
         UPDATE session SET parent_id = 'demo-3' WHERE num = 5;
         UPDATE session SET parent_id = 'gone-1' WHERE num = 2;
         UPDATE session SET parent_id = 'demo-7' WHERE num = 6;
         UPDATE session SET parent_id = 'demo-6' WHERE num = 7",
    );
    let ids = |more: &[&str]| -> Vec<String> {
        let printed = lab.ok(&[&["session", "ls", "--tree"], more].concat());
        printed.lines().map(|line| line.trim_end().to_owned()).collect()
    };
    let expected =
        ["ID", "demo-1", "├─ demo-3", "│  └─ demo-5", "└─ demo-4", "demo-2", "demo-6", "└─ demo-7"];
    assert_eq!(ids(&["--columns", "id"]), expected);
    let names = ids(&["-o", "name"]);
    assert_eq!(names, ["1", "3", "5", "4", "2", "6", "7"].map(|num| format!("demo-{num}")));
    let data = lab.env.json("session.list", &["session", "ls", "--tree"]);
    assert_eq!((&data[1]["id"], &data[1]["parent_id"]), (&"demo-3".into(), &"demo-1".into()));
    lab.refused(&["session", "ls", "--tree", "--sort", "id"], 2, "USAGE");
    // The parent is terminated and so not listed.
    lab.sql("UPDATE session SET is_terminated = 1 WHERE num = 3");
    assert_eq!(ids(&["--columns", "id"])[1..4], ["demo-1", "└─ demo-4", "demo-2"]);
}
