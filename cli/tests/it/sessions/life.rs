//! The life of a session: spawned, seen, killed, restored, relaunched, reconciled.

use std::fs;
use std::path::Path;

use crate::sessions::Lab;
use crate::sessions::lab::{set_executable, wait_until};
use crate::sessions::signals::Verb;
use crate::support::text;

#[test]
fn a_session_is_spawned_in_a_worktree_and_a_pane_of_its_own() {
    let lab = Lab::new();
    let id = lab.spawn(&["--prompt", "do it", "--issue", "12", "--name", "First"]);
    assert_eq!(id, "demo-1");
    let session = lab.get(&id);
    assert_eq!(session["branch"], "ao/demo-1/root");
    assert_eq!(session["base_ref"], "origin/main");
    assert_eq!(session["base_commit"], lab.git(&["rev-parse", "main"]).as_str());
    assert_eq!(session["runtime_kind"], "tmux");
    assert_eq!(session["prompt_bytes"], 5);
    assert!(session["spawned_at"].is_string());
    assert!(lab.worktree(&id).join(".git").exists());
    wait_until("the agent", || lab.starts() == ["do it"]);
    assert_eq!(lab.panes().len(), 1);
    lab.check_no_orphan();
}

#[test]
fn a_killed_session_comes_back_under_its_id() {
    let lab = Lab::new();
    let id = lab.spawn(&["--prompt", "p"]);
    let path = lab.worktree(&id);
    fs::write(path.join("committed"), "x").unwrap();
    let at = ["-C", text(&path)];
    let who = ["-c", "user.name=t", "-c", "user.email=t@example.com"];
    lab.env.git(&[&at[..], &["add", "."]].concat());
    lab.env.git(&[&at[..], &who, &["commit", "-q", "-m", "work"]].concat());
    lab.ok(&["session", "kill", &id]);
    assert!(!path.exists() && lab.panes().is_empty() && lab.processes().is_empty());
    assert_eq!(lab.get(&id)["is_terminated"], true);
    assert!(lab.git(&["branch", "--list", "ao/demo-1/root"]).contains("ao/demo-1/root"));
    lab.ok(&["session", "kill", &id, "--yes"]);
    lab.ok(&["session", "restore", &id]);
    let session = lab.get(&id);
    assert_eq!(
        (&session["is_terminated"], session["worktree_path"].as_str()),
        (&false.into(), Some(text(&path)))
    );
    assert!(path.join("committed").exists());
    lab.refused(&["session", "restore", &id], 5, "SESSION_NOT_RESTORABLE");
    lab.refused(&["session", "relaunch", &id], 5, "AGENT_NOT_EXITED");
    lab.check_no_orphan();
}

#[test]
fn uncommitted_work_survives_a_kill_and_a_cleanup() {
    let lab = Lab::new();
    let id = lab.spawn(&[]);
    let path = lab.worktree(&id);
    fs::write(path.join("precious"), "x").unwrap();
    let killed = lab.run(&["session", "kill", &id]);
    assert!(killed.stderr.contains("worktree kept"), "{}", killed.stderr);
    assert!(path.join("precious").exists());
    let cleaned = lab.ok(&["session", "cleanup", "--yes"]);
    let preserved = lab.sql("SELECT preserved_ref FROM session_cleanup");
    assert!(cleaned.contains(&format!("removed: its work is in {preserved}")), "{cleaned}");
    assert_eq!(lab.git(&["show", &format!("{preserved}:precious")]), "x");
    assert!(!path.exists());
    assert_eq!(lab.git(&["branch", "--list", "ao/*"]), "", "its commits are in origin/main");
}

#[test]
fn an_agent_that_ends_by_itself_stays_exited() {
    let lab = Lab::new();
    let args = ["spawn", "--project", "demo", "--harness", "custom", "--prompt", "p", "--"];
    let id = lab.ok(&[&args[..], &["sh", "-c", "echo bye; exit 3"]].concat()).trim().to_owned();
    wait_until("the end", || lab.get(&id)["activity"] == "exited");
    assert_eq!(lab.sql("SELECT cause || exit_status FROM launch"), "exited3");
    assert!(lab.sql("SELECT tail FROM launch_output").contains("bye"));
    lab.ok(&["reconcile"]);
    assert_eq!(lab.sql("SELECT count(*) FROM launch"), "1", "it is not started again");
    lab.ok(&["session", "relaunch", &id]);
    wait_until("the second end", || {
        lab.sql("SELECT count(*) FROM launch WHERE cause = 'exited'") == "2"
    });
}

#[test]
fn what_a_lost_runtime_ended_is_started_again_under_the_same_id() {
    let lab = Lab::new();
    let ids = [lab.spawn(&["--prompt", "one"]), lab.spawn(&["--prompt", "two"])];
    for round in 1..=3 {
        lab.kill_servers();
        lab.kill_all();
        lab.sql("UPDATE launch SET boot_id = 'another boot' WHERE ended_at IS NULL");
        let report = lab.ok(&["reconcile"]);
        for id in &ids {
            assert!(report.contains(&format!("{id}: relaunched")), "{round}: {report}");
            assert_eq!(lab.get(id)["is_terminated"], false);
        }
        assert_eq!(lab.panes().len(), 2, "{round}");
        let again = lab.ok(&["reconcile"]);
        assert!(again.contains("demo-1: adopted") && again.contains("demo-2: adopted"), "{again}");
        lab.check_no_orphan();
    }
    assert_eq!(lab.sql("SELECT count(*) FROM session"), "2");
}

#[test]
fn any_number_of_callers_get_one_orchestrator() {
    let lab = Lab::new();
    let args =
        ["orchestrator", "ensure", "--project", "demo", "--harness", "custom", "--", &lab.agent];
    let running: Vec<_> = (0..8).map(|_| lab.command(&args).spawn().unwrap()).collect();
    for child in running {
        let output = child.wait_with_output().unwrap();
        let printed = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let id =
            lab.sql("SELECT id FROM session WHERE kind = 'orchestrator' AND is_terminated = 0");
        assert_eq!(printed.trim(), id);
    }
    let old = lab.sql("SELECT id FROM session");
    let replace = [&args[..6], &["--replace"], &args[6..]].concat();
    let new = lab.ok(&replace).trim().to_owned();
    assert_ne!(old, new);
    assert_eq!(lab.sql("SELECT id FROM session WHERE is_terminated = 0"), new);
    assert_eq!(lab.panes().len(), 1);
    lab.check_no_orphan();
}

#[test]
fn a_failed_spawn_leaves_nothing() {
    let lab = Lab::new();
    lab.sql("UPDATE project SET setup_command = 'echo broken; exit 3'");
    let args = lab.spawning(&["--prompt", "p"]);
    let args: Vec<_> = args.iter().map(String::as_str).collect();
    let error = lab.refused(&args, 1, "SETUP_FAILED");
    assert!(error.contains("exit status 3"), "{error}");
    assert_eq!(lab.sql("SELECT count(*) FROM session"), "0");
    assert_eq!(lab.git(&["branch", "--list", "ao/*"]), "");
    lab.check_no_orphan();
    lab.sql("UPDATE project SET setup_command = 'touch made', copy_globs = '[\".env\"]'");
    fs::write(lab.env.path("demo/.env"), "SECRET=1").unwrap();
    let id = lab.spawn(&[]);
    assert_eq!(id, "demo-2", "a number is never used again");
    let path = lab.worktree(&id);
    assert!(path.join("made").exists() && path.join(".env").exists());
}

#[test]
fn a_session_without_a_terminal_runs_and_ends_like_one_with_it() {
    let lab = Lab::new();
    let id = lab.spawn(&["--runtime", "process", "--prompt", "quietly"]);
    wait_until("the agent", || lab.starts() == ["quietly"]);
    assert_eq!(lab.get(&id)["runtime_kind"], "process");
    assert!(lab.panes().is_empty() && !lab.processes().is_empty());
    lab.kill_all();
    wait_until("the end", || lab.processes().is_empty());
    let report = lab.ok(&["reconcile"]);
    assert!(report.contains("demo-1: relaunched"), "{report}");
    wait_until("the agent again", || lab.starts().len() == 2);
    lab.ok(&["session", "kill", &id]);
    assert!(lab.processes().is_empty());
    lab.ok(&["session", "restore", &id]);
    assert_eq!(lab.get(&id)["runtime_kind"], "process");
    lab.check_no_orphan();
}

#[test]
fn the_settings_of_a_project_make_its_sessions() {
    let lab = Lab::new();
    fs::write(lab.env.path("demo/.env"), "SECRET=1").unwrap();
    let set =
        ["project", "set", "demo", "--copy", ".env", "--setup", "cp .env seen", "--max-live", "1"];
    lab.ok(&set);
    let id = lab.spawn(&[]);
    let path = lab.worktree(&id);
    assert_eq!(fs::read_to_string(path.join("seen")).unwrap(), "SECRET=1");
    let args = lab.spawning(&[]);
    let args: Vec<_> = args.iter().map(String::as_str).collect();
    lab.refused(&args, 9, "ADMISSION_LIMIT");
    lab.ok(&["project", "set", "demo", "--copy", "", "--setup", "", "--max-live", "none"]);
    let second = lab.worktree(&lab.spawn(&[]));
    assert!(!second.join(".env").exists());
    for glob in ["/etc/passwd", "../x", "a/../../b", "[", "a\nb"] {
        lab.refused(&["project", "set", "demo", "--copy", glob], 2, "INVALID_ID");
    }
    lab.check_no_orphan();
}

/// It is checked before anything is launched, and again when the row changes.
#[test]
fn a_restore_respects_the_limit_of_live_sessions() {
    let lab = Lab::new();
    let id = lab.spawn(&["--prompt", "one"]);
    lab.ok(&["session", "kill", &id]);
    lab.ok(&["project", "set", "demo", "--max-live", "1"]);
    let restore = ["session", "restore", &id].map(str::to_owned);
    let restore = Verb::start(&lab, &restore, &[("restore.launched", "stop")]);
    restore.wait_for_stop("restore.launched");
    let other = lab.spawn(&["--prompt", "two"]);
    restore.resume();
    let (code, printed) = restore.end();
    assert!(code == 9 && printed.contains("error[ADMISSION_LIMIT]"), "{code}: {printed}");
    assert_eq!((lab.get(&id)["is_terminated"].clone(), lab.panes().len()), (true.into(), 1));
    let launches = lab.sql("SELECT count(*) FROM launch");
    lab.refused(&["session", "restore", &id], 9, "ADMISSION_LIMIT");
    assert_eq!(lab.sql("SELECT count(*) FROM launch"), launches, "nothing was launched");
    lab.ok(&["session", "kill", &other]);
    lab.ok(&["session", "restore", &id]);
    lab.check_no_orphan();
}

#[test]
fn a_model_that_nothing_would_be_told_about_is_refused() {
    let lab = Lab::new();
    let args = lab.spawning(&["--model", "opus"]);
    let args: Vec<_> = args.iter().map(String::as_str).collect();
    let error = lab.refused(&args, 2, "USAGE");
    assert!(error.contains("--model"), "{error}");
    assert_eq!(lab.sql("SELECT count(*) FROM session"), "0");
}

/// A path is made of it.
#[test]
fn the_supervisor_takes_only_the_id_of_a_launch() {
    let lab = Lab::new();
    let outside = lab.env.file("data/x.json", "{}");
    for id in ["../x", "", "/etc/x", "a/b", "a.b", &"a".repeat(65), &"a".repeat(5000)] {
        lab.refused(&["supervise", id], 2, "INVALID_ID");
    }
    assert!(fs::exists(outside).unwrap());
}

/// Several programs start in a mode that asks nothing.
#[test]
fn the_permission_mode_is_named_at_every_start() {
    let lab = Lab::new();
    let note = "#!/bin/sh\necho \"$*\" >> \"$AO_DATA_DIR/args\"\nexec sleep 100000\n";
    let program = lab.env.file("mine", note);
    set_executable(Path::new(&program));
    let folder = lab.env.path("home/.config/ao-store");
    fs::create_dir_all(&folder).unwrap();
    let row = "label = 'Mine'\nprograms = ['mine']\nstart = ['--quiet']\nprompt = 'argument'\n";
    let row = format!("{row}places = ['{}']\n", text(&lab.env.path("")).trim_end_matches('/'));
    let modes = "permission = { ask = ['--ask'], all = ['--do', 'all'] }\n";
    fs::write(folder.join("harnesses.toml"), format!("[mine]\n{row}{modes}[bare]\n{row}")).unwrap();
    let spawn = |harness: &str, more: &[&str]| {
        let first = ["spawn", "--project", "demo", "--harness", harness, "--prompt", "p"];
        lab.ok(&[&first[..], more].concat()).trim().to_owned()
    };
    let args = |count: usize| -> Vec<String> {
        let read = || fs::read_to_string(lab.env.path("data/args")).unwrap_or_default();
        wait_until("the agent", || read().lines().count() == count);
        read().lines().map(str::to_owned).collect()
    };
    assert_eq!(lab.get(&spawn("mine", &[]))["permission"], "ask");
    assert_eq!(args(1), ["--quiet --ask -- p"]);
    let id = spawn("mine", &["--permission", "all"]);
    assert_eq!(
        (&lab.get(&id)["permission"], args(2)[1].as_str()),
        (&"all".into(), "--quiet --do all -- p")
    );
    lab.ok(&["session", "kill", &id]);
    lab.ok(&["session", "restore", &id]);
    assert_eq!(args(3)[2], "--quiet --do all -- p", "also when it is started again");
    assert_eq!(lab.get(&spawn("bare", &[]))["permission"], "");
    assert_eq!(args(4)[3], "--quiet -- p");
    for (harness, more, reason) in [
        ("mine", &["--permission", "edit"][..], "has no mode \"edit\"; it has all, ask"),
        ("mine", &["--permission", ""], ""),
        ("bare", &["--permission", "ask"], "has no modes"),
        ("mine", &["--permission", "ask", "--", "true"], "is run as it is"),
    ] {
        let first = ["spawn", "--project", "demo", "--harness", harness];
        let output = lab.run(&[&first[..], more].concat());
        assert!(output.code == 2 && output.stderr.contains(reason), "{}", output.stderr);
    }
    assert_eq!(lab.sql("SELECT count(*) FROM session"), "3", "nothing was created");
}
