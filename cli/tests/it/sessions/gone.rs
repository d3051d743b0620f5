//! Sessions of which something is gone, of which nothing is known on this machine, or which are not ours.

use std::fs;
use std::process::Command;

use crate::sessions::Lab;
use crate::sessions::lab::wait_until;
use crate::support::{finish, text};

/// Kills a session, after which nothing of it runs.
fn kill(lab: &Lab, id: &str) {
    lab.ok(&["session", "kill", id]);
    assert_eq!(lab.get(id)["is_terminated"], true);
    let launch = lab.get(id)["launch_id"].as_str().unwrap().to_owned();
    assert!(!lab.panes().contains(&launch));
}

#[test]
fn what_is_gone_counts_as_stopped() {
    let lab = Lab::new();
    let ids: Vec<_> = (0..4).map(|_| lab.spawn(&["--prompt", "p"])).collect();
    let launch = lab.get(&ids[0])["launch_id"].as_str().unwrap().to_owned();
    for socket in lab.sockets() {
        let target = format!("={launch}");
        let gone = ["-S", text(&socket), "kill-session", "-t", &target];
        assert!(Command::new("tmux").args(gone).status().unwrap().success());
    }
    kill(&lab, &ids[0]);
    fs::remove_dir_all(lab.worktree(&ids[1])).unwrap();
    kill(&lab, &ids[1]);
    lab.kill_servers();
    kill(&lab, &ids[2]);
    for socket in lab.sockets() {
        fs::remove_file(socket).unwrap();
    }
    fs::rename(lab.env.path("demo"), lab.env.path("away")).unwrap();
    kill(&lab, &ids[3]);
    assert!(lab.processes().is_empty());
    fs::rename(lab.env.path("away"), lab.env.path("demo")).unwrap();
    lab.check_no_orphan();
}

/// There is nothing left that it could capture the work with, and nothing that would come back.
#[test]
fn a_cleanup_without_the_repository_says_what_it_keeps() {
    let lab = Lab::new();
    let ids: Vec<_> = (0..2).map(|_| lab.spawn(&["--prompt", "p"])).collect();
    let work = lab.worktree(&ids[0]).join("work");
    fs::write(&work, "x").unwrap();
    ids.iter().for_each(|id| kill(&lab, id));
    fs::remove_dir_all(lab.env.path("demo")).unwrap();
    for _ in 0..2 {
        let cleaned = lab.env.json("session.cleanup", &["session", "cleanup", "--yes"]);
        let text = cleaned["sessions"][0].to_string();
        assert!(text.contains("the repository of its project is gone"), "{cleaned}");
    }
    assert!(work.exists());
    let of = "SELECT worktree || ' ' || branch FROM session_cleanup ORDER BY session_id";
    assert_eq!(lab.sql(of), "kept deleted\nremoved deleted");
}

/// tmux was removed from the machine; its server may still run.
#[test]
fn without_the_program_tmux_a_session_is_terminated() {
    let lab = Lab::new();
    let id = lab.spawn(&["--prompt", "p"]);
    let dir = lab.env.path("path");
    fs::create_dir(&dir).unwrap();
    let git = Command::new("sh").args(["-c", "command -v git"]).output().unwrap();
    let git = String::from_utf8(git.stdout).unwrap();
    std::os::unix::fs::symlink(git.trim(), dir.join("git")).unwrap();
    let output = finish(lab.command(&["session", "kill", &id]).env("PATH", &dir), b"");
    assert_eq!(output.code, 0, "{}", output.stderr);
    assert_eq!(lab.get(&id)["is_terminated"], true);
    assert!(lab.processes().is_empty());
    assert_eq!(lab.panes().len(), 1, "what is left is a dead pane");
    let report = lab.ok(&["reconcile"]);
    assert!(report.contains(&format!("{id}: stopped")), "{report}");
    assert!(lab.panes().is_empty());
    assert_eq!(lab.ok(&["reconcile"]), "", "once is enough");
    lab.check_no_orphan();
}

/// The repository was deleted while the spawn was half-done.
#[test]
fn without_its_repository_an_interrupted_spawn_is_undone() {
    for (step, is_made) in [("spawn.launched", true), ("spawn.seeded", false)] {
        let lab = Lab::new();
        let args = lab.spawning(&["--prompt", "p"]);
        let args: Vec<_> = args.iter().map(String::as_str).collect();
        let mut command = lab.command(&args);
        let failpoint = format!("{step}=return(kill)");
        assert!(!command.env("FAILPOINTS", failpoint).status().unwrap().success());
        let path = lab.env.path("data/worktrees/demo/demo-1");
        assert_eq!(path.exists(), is_made, "{step}");
        let away = lab.env.path("away");
        fs::rename(lab.env.path("demo/.git"), &away).unwrap();
        assert!(lab.ok(&["reconcile"]).contains("demo-1: undone"), "{step}");
        assert!(!path.exists() && lab.processes().is_empty(), "{step}");
        assert_eq!(lab.sql("SELECT count(*) FROM session"), "0", "{step}");
    }
}

/// A repository that cannot be read now is not one that is gone.
#[test]
fn an_undo_waits_for_a_repository_that_cannot_be_read() {
    let lab = Lab::new();
    let args = lab.spawning(&["--prompt", "p"]);
    let args: Vec<_> = args.iter().map(String::as_str).collect();
    let mut command = lab.command(&args);
    assert!(!command.env("FAILPOINTS", "spawn.launched=return(kill)").status().unwrap().success());
    let (head, away) = (lab.env.path("demo/.git/HEAD"), lab.env.path("HEAD"));
    fs::rename(&head, &away).unwrap();
    lab.refused(&["reconcile"], 5, "PROJECT_NOT_RESOLVABLE");
    assert_eq!(lab.sql("SELECT count(*) FROM session"), "1");
    fs::rename(&away, &head).unwrap();
    assert!(lab.ok(&["reconcile"]).contains("demo-1: undone"));
    lab.check_no_orphan();
}

/// A store that was restored may be one of another machine, or of another time.
#[test]
fn after_a_restore_nothing_is_changed_until_it_is_confirmed() {
    let lab = Lab::new();
    let id = lab.spawn(&["--prompt", "p"]);
    wait_until("the agent", || lab.starts() == ["p"]);
    let backup = lab.env.path("backup.db");
    lab.ok(&["backup", text(&backup)]);
    lab.kill_servers();
    lab.kill_all();
    wait_until("the end", || lab.processes().is_empty());
    lab.ok(&["restore-db", text(&backup), "--yes"]);
    let head = lab.env.head();
    for args in [&["reconcile"][..], &["reconcile", "--dry-run"]] {
        let output = lab.run(args);
        assert_eq!(output.code, 0, "{args:?}: {}", output.stderr);
        assert!(output.stderr.contains("reconcile --yes"), "{args:?}: {}", output.stderr);
        assert_eq!(lab.env.head(), head, "{args:?}");
        assert!(lab.panes().is_empty() && lab.processes().is_empty(), "{args:?}");
    }
    assert!(lab.ok(&["reconcile", "--yes"]).contains(&format!("{id}: relaunched")));
    wait_until("the second start", || lab.starts() == ["p", "p"]);
    assert!(lab.ok(&["reconcile"]).contains(&format!("{id}: adopted")), "it stays confirmed");
}

/// Another program runs the session: the row is all that is ours.
#[test]
fn an_external_session_is_neither_started_nor_stopped() {
    let lab = Lab::new();
    let id = lab.ok(&["session", "new", "--project", "demo", "--branch", "theirs"]);
    let id = id.trim();
    let path = lab.env.path("theirs");
    lab.git(&["worktree", "add", "-q", "-b", "theirs", text(&path)]);
    lab.sql(&format!("UPDATE session SET worktree_path = '{}'", text(&path)));
    let mut sleeping = Command::new("sleep");
    sleeping.arg("1000").env("AO_SESSION_ID", id).env("AO_DATA_DIR", lab.env.path("data"));
    let mut agent = sleeping.current_dir(&path).spawn().unwrap();
    assert!(!lab.ok(&["reconcile"]).contains(id));
    lab.refused(&["session", "relaunch", id], 5, "SESSION_EXTERNAL");
    lab.ok(&["session", "kill", id]);
    assert_eq!(lab.get(id)["is_terminated"], true);
    let is_running = agent.try_wait().unwrap().is_none();
    agent.kill().unwrap();
    agent.wait().unwrap();
    assert!(is_running);
    lab.refused(&["session", "restore", id], 5, "SESSION_EXTERNAL");
    lab.ok(&["session", "cleanup", "--yes"]);
    lab.ok(&["reconcile"]);
    assert!(path.join(".git").exists());
    assert!(lab.git(&["branch", "--list", "theirs"]).contains("theirs"));
    assert_eq!(lab.sql("SELECT count(*) FROM launch"), "0");
}
