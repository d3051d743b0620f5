//! What a session has changed, as its patch and as its files; and what cannot be compared.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::Lab;
use super::interrupted::wrap;
use super::lab::wait_until;
use super::routes::Served;
use super::statements::path_of;
use crate::support::text;

#[test]
fn the_patch_and_the_files_of_a_session_are_printed() {
    let lab = Lab::new();
    let id = lab.spawn(&[]);
    let tree = PathBuf::from(lab.get(&id)["worktree_path"].as_str().unwrap());
    assert_eq!(lab.ok(&["session", "diff", &id]), "");
    fs::write(tree.join("a\u{1b}[2J\n.txt"), "\tone\n").unwrap();
    lab.env.git(&["-C", text(&tree), "add", "."]);
    let author = ["-c", "user.name=a", "-c", "user.email=a@example.com"];
    let commit = ["-C", text(&tree), "commit", "-q", "-m", "work"];
    lab.env.git(&[&author[..], &commit].concat());
    fs::write(tree.join("new"), "").unwrap();
    let printed = lab.run(&["session", "diff", &id]);
    assert!(printed.stdout.contains("\n+\tone\n"), "{}", printed.stdout);
    assert!(
        printed.stderr.contains("untracked files, which --stat lists: 1"),
        "{}",
        printed.stderr
    );
    // The patch can be applied to what the session began from.
    let patch = lab.env.file("patch", &printed.stdout);
    let demo = lab.env.path("demo");
    lab.env.git(&["-C", text(&demo), "apply", &patch]);
    assert_eq!(fs::read_to_string(demo.join("a\u{1b}[2J\n.txt")).unwrap(), "\tone\n");
    let stat = lab.ok(&["session", "diff", &id, "--stat"]);
    let expected = "added                 +1 -0  a\u{fffd}[2J\u{fffd}.txt
untracked                    new
files: 2, +1 -0
";
    assert_eq!(stat, expected);
    let diff = lab.env.json("session.diff", &["session", "diff", &id]);
    assert_eq!(
        (&diff["patch"], &diff["base"]),
        (&json!(printed.stdout), &lab.get(&id)["base_commit"])
    );
    assert_eq!((&diff["file_count"], &diff["is_truncated"]), (&json!(2), &json!(false)));
}

#[test]
fn what_cannot_be_compared_is_refused_with_what_it_lacks() {
    let lab = Lab::new();
    let seed = lab.ok(&["session", "new", "--project", "demo"]).trim().to_owned();
    let id = lab.spawn(&[]);
    let lacks = |id: &str, what: &str| {
        let refused = lab.run(&["session", "diff", id, "--json"]);
        let error: serde_json::Value = serde_json::from_str(&refused.stderr).unwrap();
        crate::documented::check_error(&error);
        let error = &error["error"];
        assert_eq!((refused.code, &error["code"]), (5, &json!("SESSION_INCOMPLETE_HANDLE")));
        assert_eq!(error["details"], json!({"session_id": id, "lacks": what}));
    };
    lacks(&seed, "worktree path");
    let tree = PathBuf::from(lab.get(&id)["worktree_path"].as_str().unwrap());
    let away = lab.env.path("away");
    fs::rename(&tree, &away).unwrap();
    lacks(&id, "worktree");
    fs::rename(&away, &tree).unwrap();
    let base = "UPDATE session SET base_commit =";
    lab.sql(&format!("{base} '0123456789012345678901234567890123456789' WHERE id = '{id}'"));
    lab.refused(&["session", "diff", &id], 5, "BRANCH_NOT_FETCHED");
    lab.sql(&format!("{base} '' WHERE id = '{id}'"));
    lacks(&id, "base commit");
}

/// The daemon answers everything else meanwhile, and one more diff with a refusal.
#[test]
fn diffs_whose_git_hangs_take_no_more_than_their_places() {
    let lab = Lab::new();
    let id = lab.spawn(&[]);
    let (begun, go) = (lab.env.path("begun"), lab.env.path("go"));
    fs::create_dir(&begun).unwrap();
    let path = path_of(&lab, &["git", "tmux", "sh", "sleep"]);
    wrap(&path, "git", |_| {
        let (begun, go) = (text(&begun), text(&go));
        format!(
            "case \"$*\" in *--numstat*) : > '{begun}'/$$\n\
             while [ ! -e '{go}' ]; do sleep 0.05; done;;\nesac\n"
        )
    });
    let served = Served::with_path(lab, &path);
    let path = format!("/api/v1/sessions/{id}/diff");
    let pids = || fs::read_dir(&begun).unwrap().map(|it| it.unwrap().file_name());
    let running = || pids().filter(|pid| Path::new("/proc").join(pid).exists()).count();
    let refused = || {
        let reply = served.ask("GET", &path, None);
        reply.status == 503 && String::from_utf8_lossy(&reply.body).contains("\"OVERLOADED\"")
    };
    // git is ended after a time, which a slow machine may need for all of this: then it begins again.
    let is_held = (0..5).any(|_| {
        let before = pids().count();
        let hanging: Vec<_> = (0..8).map(|_| served.send("GET", &path, None)).collect();
        wait_until("all of them", || pids().count() >= before + 8);
        let is_refused = refused();
        assert_eq!(served.ask("GET", "/api/v1/status", None).status, 200);
        // A client that goes away leaves its git behind.
        drop(hanging);
        let is_refused = is_refused && refused();
        if running() == 8 {
            assert!(is_refused);
            return true;
        }
        wait_until("their end", || running() == 0);
        false
    });
    assert!(is_held, "eight at a time");
    fs::write(&go, "").unwrap();
    wait_until("free places", || served.ask("GET", &path, None).status == 200);
}
