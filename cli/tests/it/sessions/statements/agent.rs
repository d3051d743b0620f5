//! 3.6: the program of the agent is there before anything exists, and its end is seen.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::{path_of, refused_untouched, traces};
use crate::sessions::Lab;
use crate::sessions::lab::{set_executable, wait_until};
use crate::support::finish;

/// The arguments that spawn a session that runs this command.
fn running<'a>(argv: &[&'a str]) -> Vec<&'a str> {
    let first = ["spawn", "--project", "demo", "--harness", "custom", "--prompt", "p", "--"];
    [&first[..], argv].concat()
}

#[test]
fn s3_6_1_the_program_of_a_harness_is_missing() {
    let lab = Lab::new();
    let (before, head) = (traces(&lab), lab.env.head());
    let path = path_of(&lab, &["git", "tmux", "sh"]);
    for harness in ["claude-code", "codex", "opencode"] {
        let args = ["spawn", "--project", "demo", "--harness", harness, "--prompt", "p"];
        let mut command = lab.command(&args);
        let output = finish(command.env("PATH", &path), b"");
        assert_eq!(output.code, 5, "{harness}: {}", output.stderr);
        let code = "error[AGENT_BINARY_NOT_FOUND]";
        assert!(output.stderr.contains(code), "{harness}: {}", output.stderr);
    }
    assert_eq!((traces(&lab), lab.env.head()), (before, head));
}

#[test]
fn s3_6_2_the_first_word_is_no_program() {
    let lab = Lab::new();
    let text = lab.env.file("not-executable", "#!/bin/sh\n");
    for program in ["no-such-program", "/nonexistent", "./nonexistent", &text] {
        refused_untouched(&lab, &running(&[program, "-x"]), 5, "AGENT_BINARY_NOT_FOUND");
    }
}

#[test]
fn s3_6_3_the_program_after_env_is_the_one_that_counts() {
    let lab = Lab::new();
    let args = running(&["env", "KEY=value", "no-such-program", "-x"]);
    let error = refused_untouched(&lab, &args, 5, "AGENT_BINARY_NOT_FOUND");
    assert!(error.contains("no-such-program"), "{error}");
    refused_untouched(&lab, &running(&["env", "KEY=value"]), 5, "AGENT_BINARY_NOT_FOUND");
    lab.ok(&running(&["env", "KEY=value", &lab.agent]));
    wait_until("the agent", || lab.starts() == ["p"]);
}

#[test]
fn s3_6_5_the_same_at_restore_and_relaunch() {
    let lab = Lab::new();
    let (killed, ended) = (lab.spawn(&["--prompt", "p"]), lab.env.path("once.sh"));
    fs::write(&ended, "#!/bin/sh\nexit 3\n").unwrap();
    set_executable(&ended);
    lab.ok(&running(&[ended.to_str().unwrap()]));
    wait_until("the end", || lab.get("demo-2")["activity"] == "exited");
    lab.ok(&["session", "kill", &killed]);
    fs::remove_file(Path::new(&lab.agent)).unwrap();
    fs::remove_file(&ended).unwrap();
    let before = traces(&lab);
    lab.refused(&["session", "restore", &killed], 5, "AGENT_BINARY_NOT_FOUND");
    lab.refused(&["session", "relaunch", "demo-2"], 5, "AGENT_BINARY_NOT_FOUND");
    assert_eq!(traces(&lab), before);
    lab.check_no_orphan();
}

#[test]
fn s3_6_6_the_end_of_the_program_is_seen() {
    let lab = Lab::new();
    lab.ok(&running(&["sh", "-c", "echo 'no such flag' >&2; exit 127"]));
    wait_until("the end", || lab.get("demo-1")["activity"] == "exited");
    assert_eq!(lab.sql("SELECT exit_status FROM launch"), "127");
    assert!(lab.sql("SELECT tail FROM launch_output").contains("no such flag"));
    assert_eq!(lab.get("demo-1")["is_terminated"], false, "only a kill terminates");
}

/// The files of a session are there when its program is again.
#[test]
fn s3_6_4_a_missing_program_keeps_the_files() {
    let lab = Lab::new();
    let id = lab.spawn(&["--prompt", "p"]);
    let precious = lab.worktree(&id).join("precious");
    fs::write(&precious, "x").unwrap();
    lab.run(&["session", "kill", &id]);
    let away = lab.env.path("away.sh");
    fs::rename(&lab.agent, &away).unwrap();
    for _ in 0..2 {
        refused_untouched(&lab, &["session", "restore", &id], 5, "AGENT_BINARY_NOT_FOUND");
        assert_eq!(fs::read_to_string(&precious).unwrap(), "x");
    }
    fs::rename(&away, &lab.agent).unwrap();
    lab.ok(&["session", "restore", &id]);
    assert_eq!(fs::read_to_string(&precious).unwrap(), "x");
}

/// What a user put first in PATH counts, then where programs are installed, then what a version manager has.
#[test]
fn s3_6_7_path_then_known_places_then_version_managers() {
    let lab = Lab::new();
    let config = lab.env.path("home/.config/ao-store");
    fs::create_dir_all(&config).unwrap();
    let row = "[odd]\nlabel = \"Odd\"\nprograms = [\"odd-agent\"]\nplaces = [\"~/.odd/bin\"]\nstart = []\nprompt = \"argument\"\n";
    fs::write(config.join("harnesses.toml"), row).unwrap();
    let dirs = ["first", "home/.odd/bin", "home/.local/bin", "home/.local/share/mise/shims"];
    for dir in dirs {
        fs::create_dir_all(lab.env.path(dir)).unwrap();
        let program = lab.env.path(dir).join("odd-agent");
        fs::write(&program, "#!/bin/sh\n").unwrap();
        set_executable(&program);
    }
    let found = || {
        let mut command = lab.command(&["harness", "ls", "--json"]);
        let path = std::env::var("PATH").unwrap();
        command.env("PATH", format!("{}:{path}", lab.env.path("first").display()));
        let output = finish(&mut command, b"");
        assert_eq!(output.code, 0, "{}", output.stderr);
        let list: Value = serde_json::from_str(&output.stdout).unwrap();
        let rows = list["data"].as_array().unwrap().clone();
        rows.into_iter().find(|row| row["name"] == "odd").unwrap()["path"].clone()
    };
    for dir in dirs {
        let program = lab.env.path(dir).join("odd-agent");
        assert_eq!(found(), program.to_str().unwrap());
        fs::remove_file(&program).unwrap();
    }
    assert!(found().is_null());
}
