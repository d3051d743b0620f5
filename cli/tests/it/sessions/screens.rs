//! What the reaper sees: agents that print recorded screens, end, or cannot be asked about.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::sessions::Lab;
use crate::sessions::lab::{set_executable, wait_until};
use crate::support::{Live, Output, finish, text};

/// A program of the name and version of a harness, which prints the file `frame` of the data directory again
/// whenever that has changed, and ends when it says so.
const PRETENDER: &str = r#"#!/bin/sh
if [ "$1" = --version ]; then echo "VERSION"; exit 0; fi
last=
while :; do
  now=$(cat "$AO_DATA_DIR/frame" 2>/dev/null)
  if [ "$now" != "$last" ]; then printf '\033[2J\033[H%s' "$now"; last=$now; fi
  [ "$now" = end ] && exit 1
  sleep 0.05
done
"#;

/// A lab with such a program on its PATH.
pub(super) struct Stage {
    pub(super) lab: Lab,
    bin: PathBuf,
}

impl Stage {
    /// With this version of claude.
    pub(super) fn new(version: &str) -> Stage {
        Stage::with("claude", version)
    }

    pub(super) fn with(program: &str, version: &str) -> Stage {
        let lab = Lab::new();
        let bin = lab.env.path("bin");
        fs::create_dir(&bin).unwrap();
        let path = bin.join(program);
        fs::write(&path, PRETENDER.replace("VERSION", version)).unwrap();
        set_executable(&path);
        Stage { lab, bin }
    }

    pub(super) fn command(&self, args: &[&str]) -> Command {
        let mut command = self.lab.command(args);
        let path = std::env::var("PATH").unwrap();
        command.env("PATH", format!("{}:{path}", text(&self.bin)));
        command
    }

    pub(super) fn run(&self, args: &[&str]) -> Output {
        finish(&mut self.command(args), b"")
    }

    pub(super) fn ok(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert_eq!(output.code, 0, "{args:?}: {}", output.stderr);
        output.stdout
    }

    pub(super) fn spawn(&self, harness: &str) -> String {
        self.ok(&["spawn", "--project", "demo", "--harness", harness]).trim().to_owned()
    }

    /// Lets the agents print this.
    pub(super) fn print(&self, frame: &str) {
        let (new, file) = (self.lab.env.path("data/frame.new"), self.lab.env.path("data/frame"));
        fs::write(&new, frame).unwrap();
        fs::rename(new, file).unwrap();
    }

    /// Lets the agents print a recorded frame.
    pub(super) fn show(&self, frame: &str) {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../session/tests/screens");
        self.print(&fs::read_to_string(root.join(format!("{frame}.txt"))).unwrap());
    }

    /// Probes once; what it did.
    pub(super) fn probe(&self) -> String {
        self.ok(&["probe"]).trim().to_owned()
    }

    /// Activity and cause of a session.
    pub(super) fn activity(&self, id: &str) -> String {
        let session = self.lab.get(id);
        let of = |name: &str| session[name].as_str().unwrap().to_owned();
        format!("{} {}", of("activity"), of("activity_cause")).trim().to_owned()
    }

    /// Probes until the activity is this one.
    pub(super) fn wait_for(&self, id: &str, activity: &str) {
        wait_until(activity, || {
            self.probe();
            self.activity(id) == activity
        });
    }

    /// Makes what was reported older.
    fn age(&self, seconds: u32) {
        self.lab.sql(&format!("UPDATE session SET activity_at = activity_at - {seconds}000"));
        self.lab.sql(&format!("UPDATE launch SET started_at = started_at - {seconds}000"));
    }

    /// Kills everything of the sessions. The supervisor is the first, so that it can record nothing.
    fn kill(&self) {
        let supervisor = self.lab.sql("SELECT supervisor FROM launch");
        let pid = supervisor.split(' ').next().unwrap().strip_prefix("pid:").unwrap();
        signal("-KILL", pid);
        self.lab.kill_all();
    }

    /// Runs a command of tmux at the server of the sessions.
    fn tmux(&self, args: &[&str]) -> String {
        let socket = self.lab.sql("SELECT runtime_socket FROM session LIMIT 1");
        let output = Command::new("tmux").args(["-S", &socket]).args(args).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}

fn signal(name: &str, pid: &str) {
    assert!(Command::new("kill").args([name, pid]).status().unwrap().success(), "{name} {pid}");
}

#[test]
fn a_screen_says_what_an_agent_does_and_what_it_waits_for() {
    let stage = Stage::new("2.1.332 (Claude Code)");
    stage.show("claude-code/trust-plain");
    let id = stage.spawn("claude-code");
    stage.wait_for(&id, "blocked trust");
    assert_eq!(stage.lab.get(&id)["decision"]["kind"], "trust");
    stage.show("claude-code/working");
    stage.wait_for(&id, "active");
    assert!(stage.lab.get(&id)["decision"].is_null());
    stage.show("claude-code/permission-shell");
    stage.wait_for(&id, "waiting permission");
    let asked = stage.lab.get(&id);
    assert_eq!(asked["decision"]["text"], "Do you want to proceed?");
    assert_eq!(asked["activity_source"], "screen");
    stage.show("claude-code/idle-after-turn");
    stage.wait_for(&id, "idle");
    let head = stage.lab.env.head();
    assert!(stage.probe().ends_with("changes 0"));
    assert_eq!(stage.lab.env.head(), head, "an equal observation was written");
}

#[test]
fn what_only_the_screen_has_shown_is_unknown_when_it_is_gone() {
    let stage = Stage::new("2.1.332");
    stage.show("claude-code/trust-plain");
    let id = stage.spawn("claude-code");
    stage.wait_for(&id, "blocked trust");
    stage.print("a screen that no rule describes");
    stage.wait_for(&id, "unknown");
    assert!(stage.lab.get(&id)["decision"].is_null());
    stage.show("claude-code/idle-after-turn");
    stage.wait_for(&id, "idle");
    stage.print("esc to interrupt\nand then\nsomething else\n");
    stage.wait_for(&id, "unknown");
}

/// The machine may have been too busy.
#[test]
fn a_program_that_once_printed_no_version_is_asked_again_by_the_same_reaper() {
    let stage = Stage::new("2.1.332 (Claude Code)");
    let (program, asked) = (stage.bin.join("claude"), stage.lab.env.path("asked"));
    let once = format!("[ -e '{0}' ] || {{ touch '{0}'; exit 1; }}; echo", text(&asked));
    let script = fs::read_to_string(&program).unwrap().replacen("echo", &once, 1);
    fs::write(&program, script).unwrap();
    stage.show("claude-code/trust-plain");
    let id = stage.spawn("claude-code");
    let repo = stage.lab.env.path("demo");
    let _up = Live::start(&mut stage.command(&["up", text(&repo), "--no-observe"]));
    wait_until("the screen", || stage.activity(&id) == "blocked trust");
    assert!(asked.exists());
}

#[test]
fn the_screens_of_a_version_that_was_not_seen_are_not_used() {
    let stage = Stage::new("9.9.9 (Claude Code)");
    stage.show("claude-code/working");
    let id = stage.spawn("claude-code");
    assert_eq!(stage.probe(), "launches 1, unanswered 0, screens 0, changes 0");
    assert_eq!(stage.activity(&id), "starting");
    let listed = stage.ok(&["harness", "ls", "--versions", "--json"]);
    let listed: Value = serde_json::from_str(&listed).unwrap();
    let rows = listed["data"].as_array().unwrap();
    let claude = rows.iter().find(|row| row["name"] == "claude-code").unwrap();
    assert_eq!(claude["version"], "9.9.9");
    assert_eq!(claude["is_version_seen"], false);
    assert!(stage.ok(&["harness", "ls", "--versions"]).contains("9.9.9 (screens of 2.1.332 only)"));
}

#[test]
fn an_agent_that_dies_in_its_trust_dialog_has_ended() {
    let stage = Stage::new("2.1.332");
    stage.show("claude-code/trust-plain");
    let id = stage.spawn("claude-code");
    stage.wait_for(&id, "blocked trust");
    stage.print("end");
    stage.wait_for(&id, "exited");
    assert_eq!(stage.lab.get(&id)["launch"]["exit_status"], 1);
    assert_eq!(stage.probe(), "launches 0, unanswered 0, screens 0, changes 0");
}

#[test]
fn the_screen_of_a_pane_in_copy_mode_is_that_of_its_program() {
    let stage = Stage::with("pi", "0.73.1");
    stage.show("pi/working");
    let id = stage.spawn("pi");
    stage.wait_for(&id, "active");
    stage.tmux(&["copy-mode", "-t", &stage.lab.sql("SELECT runtime_pane FROM session")]);
    stage.show("pi/idle-after-turn");
    stage.wait_for(&id, "idle");
}

#[test]
fn an_agent_that_reports_nothing_is_unknown_after_a_minute() {
    let stage = Stage::new("2.1.332");
    stage.print("Loading");
    let id = stage.spawn("claude-code");
    stage.probe();
    assert_eq!(stage.activity(&id), "starting");
    stage.age(61);
    stage.wait_for(&id, "unknown");
    let attention = || stage.lab.env.json("attention.list", &["attention", "--session", &id]);
    assert_eq!(attention().as_array().unwrap().len(), 0);
    stage.age(600);
    stage.lab.sql("UPDATE launch SET created_at = 1");
    assert_eq!(attention()[0]["kind"], "session_unknown");
}

#[test]
fn a_launch_whose_processes_were_killed_ends() {
    let stage = Stage::new("2.1.332");
    let id = stage.spawn("claude-code");
    stage.kill();
    stage.age(10);
    assert_eq!(stage.probe(), "launches 1, unanswered 0, screens 0, changes 1");
    let session = stage.lab.get(&id);
    assert_eq!(
        (&session["launch"]["cause"], &session["activity"]),
        (&"killed".into(), &"unknown".into())
    );
    assert_eq!(stage.probe(), "launches 0, unanswered 0, screens 0, changes 0");
}

#[test]
fn a_launch_whose_server_was_killed_has_lost_its_runtime() {
    let stage = Stage::new("2.1.332");
    let id = stage.spawn("claude-code");
    let server = stage.tmux(&["display-message", "-p", "#{pid}"]);
    stage.kill();
    signal("-KILL", &server);
    wait_until("the end of the server", || !Path::new(&format!("/proc/{server}")).exists());
    stage.age(10);
    stage.probe();
    assert_eq!(stage.lab.get(&id)["launch"]["cause"], "runtime_lost");
}

/// A stopped process that goes on at the end, also of a test that fails.
struct Stopped(String);

impl Drop for Stopped {
    fn drop(&mut self) {
        signal("-CONT", &self.0);
    }
}

#[test]
fn a_server_that_does_not_answer_changes_nothing() {
    let stage = Stage::new("2.1.332");
    let id = stage.spawn("claude-code");
    let server = stage.tmux(&["display-message", "-p", "#{pid}"]);
    stage.kill();
    stage.age(10);
    signal("-STOP", &server);
    let stopped = Stopped(server);
    assert_eq!(stage.probe(), "launches 1, unanswered 1, screens 0, changes 0");
    assert!(stage.lab.get(&id)["launch"]["ended_at"].is_null());
    drop(stopped);
    assert_eq!(stage.probe(), "launches 1, unanswered 0, screens 0, changes 1");
    assert_eq!(stage.lab.get(&id)["launch"]["cause"], "killed");
}

#[test]
fn up_probes_without_a_word() {
    let stage = Stage::with("pi", "0.73.1");
    stage.show("pi/working");
    let id = stage.spawn("pi");
    let mut up = stage.command(&["up", text(&stage.lab.env.path("demo")), "--no-observe"]);
    let up = Live::start(&mut up);
    wait_until("active", || stage.activity(&id) == "active");
    stage.show("pi/idle-after-turn");
    wait_until("idle", || stage.activity(&id) == "idle");
    drop(up);
}

#[test]
fn a_harness_is_recorded_while_its_agents_are_used() {
    let stage = Stage::new("2.1.332");
    stage.show("claude-code/working");
    let id = stage.spawn("claude-code");
    let out = stage.lab.env.path("out");
    let args = ["harness", "probe", "claude-code", "--out", text(&out), "--json"];
    let payloads = stage.lab.env.path("data/run/probe/claude-code");
    // Of a probe that was killed.
    fs::create_dir_all(&payloads).unwrap();
    fs::write(payloads.join("Killed.1.json"), "{}").unwrap();
    let mut probing = stage.command(&args).spawn().unwrap();
    let written = |name: &str, what: &str| {
        let file = out.join("claude-code/2.1.332").join(name);
        fs::read_to_string(file).is_ok_and(|found| found.contains(what))
    };
    wait_until("a frame", || written("frame-001.220x50.txt", "esc to interrupt"));
    assert!(payloads.is_dir() && fs::read_dir(&payloads).unwrap().next().is_none());
    let launch = stage.lab.sql("SELECT launch_id FROM session");
    let tree = stage.lab.worktree(&id);
    for event in ["Stop", "../Stop", "Stop"] {
        let mut hook = stage.command(&["hook", "claude-code", event]);
        hook.env("AO_SESSION_ID", &id).env("AO_LAUNCH_ID", &launch).stdin(Stdio::piped());
        finish(&mut hook, format!("{{\"cwd\": \"{}\"}}", text(&tree)).as_bytes());
    }
    signal("-INT", &probing.id().to_string());
    wait_until("the end", || probing.try_wait().unwrap().is_some());
    let printed = std::io::read_to_string(probing.stdout.take().unwrap()).unwrap();
    let printed: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(printed["data"]["files"].as_array().unwrap().len(), 3, "{printed}");
    assert!(written("hooks/Stop.2.json", "\"cwd\": \"/repo/demo/wt\""));
    assert!(!stage.lab.env.path("data/run/probe").exists());
    stage.lab.refused(&["harness", "probe", "nobody", "--out", "x"], 2, "UNKNOWN_HARNESS");
}
