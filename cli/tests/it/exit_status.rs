//! One command for each exit status that the help documents.

use std::process::Stdio;

use rustix::process::Signal;

use crate::support::{Live, TestEnv, has_sqlite};

#[test]
fn every_documented_exit_status_is_that_of_a_command() {
    let env = TestEnv::with_demo();
    env.ok(&["consumer", "create", "indexer"]);
    env.file("taken", "");
    for (args, status) in [
        (&["status"][..], 0),
        (&["man", "--out", "taken"], 1),
        (&["bogus"], 2),
        (&["project", "get", "nobody"], 3),
        (&["observe", "--once"], 4),
        (&["consumer", "create", "indexer"], 5),
        (&["tail", "--from", "7-1"], 7),
        (&["tail", "-c", "1", "--from", "end", "--timeout", "100ms"], 8),
    ] {
        let output = env.run(args);
        assert_eq!(output.code, status, "{args:?}: {}", output.stderr);
    }
    for (signal, status) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let tail = env.tail(&[]);
        tail.signal(signal);
        assert_eq!(tail.end().code, status);
    }
    let closed = r#"{ sleep 0.2; "$0" tail --from beginning; echo "status $?" >&2; } | true"#;
    assert!(env.shell(closed).stderr.ends_with("status 141\n"));

    if has_sqlite() {
        let mut shell = Live::start(env.sqlite_shell().stdin(Stdio::piped()));
        shell.say("BEGIN IMMEDIATE;\n.print locked\n");
        assert_eq!(shell.line(), "locked");
        let args = ["session", "new", "--project", "demo", "--busy-timeout", "100ms"];
        assert_eq!(env.run(&args).code, 9);
        shell.say("ROLLBACK;\n.print free\n");
        assert_eq!(shell.line(), "free");
        env.sqlite("DROP TRIGGER capture_pr_update;");
        assert_eq!(env.run(&["verify"]).code, 6);
    }

    let help = env.ok(&["--help"]).replace('\n', " ");
    for documented in [
        "0 ok, 1 other",
        "2 usage",
        "3 not found",
        "4 credentials",
        "5 conflict",
        "6 findings",
        "7 cursor",
        "8 timed out",
        "9 busy",
        "129/130/141/143 signals",
    ] {
        assert!(help.contains(documented), "{documented}: {help}");
    }
}
