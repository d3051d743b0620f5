//! An older copy of the database is put back with `cp`, beside running processes and while there are none:
//! no cursor of the time before is resumed among other changes.

use std::fs;
use std::process::Stdio;

use crate::support::{Live, TestEnv, text};

/// A store with changes, a copy of its file from before them (`old.db`), and its head.
fn copied() -> (TestEnv, String) {
    let env = TestEnv::with_demo();
    env.ok(&["session", "new", "--project", "demo"]);
    env.cp("data/ao.db", "old.db");
    for _ in 0..3 {
        env.ok(&["session", "new", "--project", "demo"]);
    }
    let head = env.head();
    assert_eq!(head, "1-5");
    (env, head)
}

impl TestEnv {
    /// Copies a file over another one, which stays the same file.
    fn cp(&self, from: &str, to: &str) {
        let output =
            self.shell(&format!("cp '{}' '{}'", text(&self.path(from)), text(&self.path(to))));
        assert_eq!((output.code, output.stderr.as_str()), (0, ""));
    }
}

fn resume(env: &TestEnv, cursor: &str) {
    let args = ["tail", "--from", cursor, "--no-follow"];
    env.refused(&args, 7, "CURSOR_EPOCH_MISMATCH");
}

#[test]
fn an_older_copy_put_back_refuses_the_cursors_from_before() {
    let (env, old) = copied();
    env.cp("old.db", "data/ao.db");
    resume(&env, &old);
    for _ in 0..5 {
        env.ok(&["session", "new", "--project", "demo"]);
    }
    assert_eq!(env.head(), "2-7");
    resume(&env, &old);
    env.ok(&["verify"]);
}

#[test]
fn a_waiting_tail_ends_when_a_copy_is_put_back_and_written() {
    let (env, old) = copied();
    let tail = env.tail(&["--from", "end"]);
    env.cp("old.db", "data/ao.db");
    for _ in 0..4 {
        env.ok(&["session", "new", "--project", "demo"]);
    }
    let output = tail.end();
    assert_eq!(output.code, 7, "{}", output.stderr);
    assert!(output.stderr.contains("error[CURSOR_EPOCH_MISMATCH]"), "{}", output.stderr);
    assert_eq!(output.stdout, "", "no change of the other history");
    resume(&env, &old);
    env.ok(&["verify"]);
}

#[test]
fn a_running_writer_and_a_tail_refuse_another_file_under_the_name() {
    let (env, old) = copied();
    let tail = env.tail(&["--from", "end"]);
    let mut command = env.command(&["observe", "apply", "-"]);
    let mut writer = Live::start(command.stdin(Stdio::piped()));
    let document = |number| {
        format!("{{\"pr\": \"octo/hello#{number}\", \"session\": \"demo-1\", \"facts\": {{}}}}\n")
    };
    writer.say(&document(1));
    writer.until_printed("octo/hello#1");
    env.cp("old.db", "new.db");
    fs::rename(env.path("new.db"), env.database()).unwrap();
    writer.say(&document(2));
    for live in [writer, tail] {
        let output = live.end();
        assert!(output.stderr.contains("error[STORE_REPLACED]"), "{}", output.stderr);
    }
    // They leave the write-ahead log of their file, which would be applied to the copy.
    fs::remove_file(env.path("data/ao.db-wal")).unwrap();
    resume(&env, &old);
    env.ok(&["session", "new", "--project", "demo"]);
    assert_eq!(env.head(), "2-3");
    env.ok(&["verify"]);
}
