//! Values, paths and files that would run something if anything interpreted them: nothing does.

use std::fmt::Debug;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::pty;
use crate::sessions::Lab;
use crate::sessions::lab::{set_executable, wait_until};
use crate::support::{finish, has_controls, text};

/// The file that appears where one of these is interpreted.
const MARKER: &str = "pwn-marker";

/// What some program would take for a flag, a command, a format, a path or a control.
const VALUES: [&str; 13] = [
    "-x",
    "--help",
    ";",
    "foo;",
    "; touch pwn-marker",
    "#(touch pwn-marker)",
    "$(touch pwn-marker)",
    "`touch pwn-marker`",
    "#{E:pane_title}",
    "a\ntouch pwn-marker\n",
    "\u{1b}]0;x\u{7}",
    "..",
    "../../pwn-marker",
];

/// Fails if there is a marker in the directory of the test, or in the one that the test runs in.
fn check_markers(lab: &Lab, after: &dyn Debug) {
    let mut found = Vec::new();
    let mut left = vec![lab.env.path("")];
    while let Some(dir) = left.pop() {
        for entry in fs::read_dir(&dir).into_iter().flatten().filter_map(Result::ok) {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => left.push(entry.path()),
                _ if entry.file_name() == MARKER => found.push(entry.path()),
                _ => {}
            }
        }
    }
    found.extend(Some(PathBuf::from(MARKER)).filter(|path| path.exists()));
    assert!(found.is_empty(), "{after:?}: {found:?}");
}

/// Runs the binary, which must do it or refuse it in words; the exit status.
fn run(lab: &Lab, args: &[&str]) -> i32 {
    let output = lab.run(args);
    let is_refused = output.stderr.contains("error[") && [2, 3, 4, 5].contains(&output.code);
    assert!(output.code == 0 || is_refused, "{args:?}: {} {}", output.code, output.stderr);
    assert!(!output.stderr.contains("INTERNAL"), "{args:?}: {}", output.stderr);
    assert!(!has_controls(&output.stderr), "{args:?}: {:?}", output.stderr);
    check_markers(lab, &args);
    output.code
}

#[test]
fn a_hostile_name_is_refused() {
    let lab = Lab::new();
    let id = lab.spawn(&["--prompt", "p"]);
    for value in VALUES {
        for field in ["--project", "--harness", "--branch", "--base", "--parent", "--claim-pr"] {
            let given = format!("{field}={value}");
            let args = ["spawn", "--project", "demo", "--harness", "custom", &given];
            let args = match field {
                "--project" => [&args[..1], &args[3..], &["--", &lab.agent]].concat(),
                "--harness" => [&args[..3], &args[5..], &["--", &lab.agent]].concat(),
                _ => [&args[..], &["--", &lab.agent]].concat(),
            };
            assert_ne!(run(&lab, &args), 0, "{args:?}");
        }
        for verb in ["kill", "restore", "relaunch", "get", "rm"] {
            assert_ne!(run(&lab, &["session", verb, "--", value]), 0, "{verb} {value:?}");
        }
        run(&lab, &["session", "rename", "--", &id, value]);
    }
    assert_eq!(lab.sql("SELECT count(*) FROM session"), "1");
    lab.ok(&["session", "ls"]);
    lab.check_no_orphan();
}

/// Texts are stored, and given to the agent, as they are.
#[test]
fn a_hostile_text_arrives_unchanged() {
    let lab = Lab::new();
    let agent = lab.env.file(
        "noting.sh",
        "#!/bin/sh\nprintf %s \"$1\" > \"$AO_DATA_DIR/argument.part\"\n\
        printf %s \"$AO_PROMPT\" > \"$AO_DATA_DIR/prompt\"\n\
        mv \"$AO_DATA_DIR/argument.part\" \"$AO_DATA_DIR/argument\"\nexec sleep 100000\n",
    );
    set_executable(Path::new(&agent));
    let argument = lab.env.path("data/argument");
    for value in VALUES {
        let prompt = format!("--prompt={value}");
        let model = format!("--model={value}");
        let args = ["spawn", "-p", "demo", "--harness", "custom", "--no-fetch", &prompt, &model];
        let code = run(&lab, &[&args[..], &["--", &agent, value]].concat());
        if code != 0 {
            // A model with a control character, say; without it, the rest must arrive.
            lab.ok(&[&args[..7], &["--", &agent, value]].concat());
        }
        wait_until("the agent", || argument.exists());
        assert_eq!(fs::read_to_string(&argument).unwrap(), value);
        assert_eq!(fs::read_to_string(lab.env.path("data/prompt")).unwrap(), value);
        fs::remove_file(&argument).unwrap();
        let id = lab.sql("SELECT id FROM session ORDER BY num DESC LIMIT 1");
        assert_eq!(run(&lab, &["session", "kill", &id]), 0);
    }
    lab.check_no_orphan();
}

/// Labels are shown to people.
#[test]
fn a_hostile_label_is_refused_or_shown_harmlessly() {
    let lab = Lab::new();
    let mut stored = 0;
    for value in VALUES {
        let (name, issue) = (format!("--name={value}"), format!("--issue={value}"));
        for label in [&name, &issue] {
            let args = ["session", "new", "-p", "demo", label];
            stored += u8::from(run(&lab, &args) == 0);
        }
        let args =
            ["spawn", "-p", "demo", "--harness", "custom", &name, &issue, "--", "/nonexistent"];
        assert_ne!(run(&lab, &args), 0);
    }
    assert!(stored > 0);
    for args in [&["session", "ls"][..], &["session", "get", "demo-1"], &["status"]] {
        assert!(!has_controls(&lab.ok(args)), "{args:?}");
    }
}

#[test]
fn a_prompt_with_nul_is_refused() {
    let lab = Lab::new();
    let file = lab.env.file("prompt", b"a\0b");
    let args = ["spawn", "-p", "demo", "--harness", "custom", "--prompt-file", &file];
    lab.refused(&[&args[..], &["--", &lab.agent]].concat(), 2, "INVALID_PROMPT");
    assert_eq!(lab.sql("SELECT count(*) FROM session"), "0");
}

/// The directory of the worktrees is given to tmux, which expands formats in it.
#[test]
fn hostile_paths_of_project_and_data_directory() {
    let lab = Lab::new();
    let name = "x #(touch pwn-marker); $(touch pwn-marker) `touch pwn-marker` ' \" #{pane_id}";
    let (repo, data) = (lab.env.repo(name, ""), lab.env.path(&format!("data {name}")));
    let here = |args: &[&str]| {
        let mut command = lab.command(args);
        let output = finish(command.env("AO_DATA_DIR", &data), b"");
        assert_eq!(output.code, 0, "{args:?}: {}", output.stderr);
        check_markers(&lab, &args);
        output.stdout
    };
    here(&["init"]);
    here(&["project", "add", "--id", "odd", text(&repo)]);
    let args = ["spawn", "-p", "odd", "--harness", "custom", "--prompt", "p", "--"];
    here(&[&args[..], &["sh", "-c", "pwd > \"$AO_DATA_DIR/pwd\"; exec sleep 100000"]].concat());
    wait_until("the agent", || data.join("pwd").exists());
    let worktree = data.join("worktrees/odd/odd-1");
    wait_until("the directory", || {
        fs::read_to_string(data.join("pwd")).unwrap().trim_end() == text(&worktree)
    });
    here(&["session", "kill", "odd-1"]);
    here(&["session", "restore", "odd-1"]);
    assert!(here(&["reconcile"]).contains("odd-1: adopted"));
    here(&["session", "kill", "odd-1"]);
    here(&["session", "cleanup", "--yes"]);
    assert!(!worktree.exists() && lab.panes().is_empty());
}

/// A client draws a status line, in which tmux expands formats, also of the title that the agent set.
#[test]
fn a_client_that_is_attached_runs_nothing() {
    let lab = Lab::new();
    let name = "x #(touch pwn-marker) #{E:pane_title}";
    let (repo, data) = (lab.env.repo(name, ""), lab.env.path(&format!("data {name}")));
    let here = |args: &[&str]| {
        let mut command = lab.command(args);
        let output = finish(command.env("AO_DATA_DIR", &data), b"");
        assert_eq!(output.code, 0, "{args:?}: {}", output.stderr);
        output.stdout
    };
    here(&["init"]);
    here(&["project", "add", "--id", "odd", text(&repo)]);
    let title = "#(touch pwn-marker)#{E:pane_title}$(touch pwn-marker)";
    let script = format!(
        "printf '\\033]2;%s\\007\\033k%s\\033\\\\' '{title}' '{title}'; echo is drawn; exec sleep 100000"
    );
    let label = format!("--name={name}");
    let args = ["spawn", "-p", "odd", "--harness", "custom", &label, "--prompt", title, "--"];
    here(&[&args[..], &["sh", "-c", &script]].concat());
    let data_of = |id: &str| -> Value {
        serde_json::from_str(&here(&["session", "get", id, "--json"])).unwrap()
    };
    let session = &data_of("odd-1")["data"];
    let of = |field: &str| session[field].as_str().unwrap().to_owned();
    let tmux = |args: &[&str]| {
        let mut command = lab.env.clean("tmux");
        command.args(["-S", &of("runtime_socket")]).args(args);
        command
    };
    let target = format!("={}:", of("launch_id"));
    wait_until("the title", || {
        let args = ["display-message", "-p", "-t", &target, "#{pane_title}"];
        finish(&mut tmux(&args), b"").stdout.trim() == title
    });
    for _ in 0..2 {
        let client = tmux(&["attach-session", "-t", &target]);
        let shown = pty::run_attached(client, 100, "is drawn");
        assert!(shown.contains("is drawn"), "{shown}");
        check_markers(&lab, &"an attached client");
    }
    here(&["session", "kill", "odd-1"]);
    check_markers(&lab, &"the kill");
    assert!(lab.panes().is_empty());
}

/// Files that a user, or what the user cloned, may have.
#[test]
fn nothing_of_a_hostile_configuration_is_run() {
    let lab = Lab::new();
    let touch = format!("touch {}", text(&lab.env.path(MARKER)));
    fs::create_dir_all(lab.env.path("home/.config/tmux")).unwrap();
    for file in ["home/.tmux.conf", "home/.config/tmux/tmux.conf"] {
        lab.env.file(file, format!("run-shell \"{touch}\"\nset -g default-command \"{touch}\"\n"));
    }
    let repo = lab.env.path("demo");
    lab.env.file("demo/.gitattributes", "* filter=evil diff=evil merge=evil\n");
    lab.env.file("demo/file", "content");
    lab.git(&["add", "."]);
    let who = ["-c", "user.name=t", "-c", "user.email=t@example.com"];
    lab.git(&[&who[..], &["commit", "-q", "-m", "attributes"]].concat());
    lab.git(&["push", "-q", "origin", "main"]);
    for hook in ["post-checkout", "reference-transaction", "post-index-change", "pre-auto-gc"] {
        let path = repo.join(".git/hooks").join(hook);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, format!("#!/bin/sh\n{touch}\n")).unwrap();
        set_executable(&path);
    }
    for key in [
        "core.fsmonitor",
        "core.sshCommand",
        "core.askPass",
        "core.pager",
        "core.editor",
        "core.gitProxy",
        "core.alternateRefsCommand",
        "filter.evil.smudge",
        "filter.evil.clean",
        "filter.evil.process",
        "diff.evil.textconv",
        "diff.external",
        "merge.evil.driver",
        "credential.helper",
        "gpg.program",
        "remote.origin.uploadpack",
        "remote.origin.receivepack",
        "alias.worktree",
        "alias.status",
        "post-checkout.command",
        "submodule.evil.update",
    ] {
        lab.git(&["config", key, &format!("!{touch} #")]);
        lab.git(&["config", key, &format!("{touch} #")]);
    }
    lab.git(&["config", "core.hooksPath", text(&repo.join(".git/hooks"))]);
    let _ = fs::remove_file(lab.env.path(MARKER));
    // A fetch may be refused, since it cannot run what it is told to.
    let id = lab.spawn(&["--prompt", "p"]);
    check_markers(&lab, &"spawn");
    let path = lab.worktree(&id);
    for args in [
        &["session", "kill", &id][..],
        &["session", "restore", &id],
        &["reconcile"],
        &["session", "kill", &id],
        &["session", "cleanup", "--yes"],
    ] {
        lab.ok(args);
        check_markers(&lab, &args);
    }
    assert!(!path.exists());
    let mut status = lab.env.clean("git");
    finish(status.args(["-C", text(&repo), "status"]), b"");
    assert!(lab.env.path(MARKER).exists(), "the traps work");
}
