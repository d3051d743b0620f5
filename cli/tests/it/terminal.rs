//! On a terminal no value that another program chose controls it, reorders the text, or is invisible,
//! whichever command prints it.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;

use crate::pty;
use crate::support::{TestEnv, text};

/// Controls of C0 and C1, DEL, a direction, separators, what is shown as nothing, and a tag.
const HOSTILE: &str = "a\u{1b}[31m\r\u{7f}\u{9b}31m\u{202e}b\u{2028}\u{200b}\u{3164}\u{e0041}";

/// What the program writes to a terminal without colours.
fn on_terminal(env: &TestEnv, args: &[&str], variables: &[(&str, &str)]) -> String {
    pty::run(env, args, &[variables, &[("NO_COLOR", "1")]].concat(), 0)
}

/// Answers every request with a refusal that has this message; returns its URL.
fn refuse_all(message: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let body = serde_json::json!({"message": message}).to_string();
    let answer = format!(
        "HTTP/1.1 401 x\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = connection.unwrap();
            let _ = connection.read(&mut [0; 1 << 16]);
            let _ = connection.write_all(answer.as_bytes());
        }
    });
    url
}

fn hostile_in(shown: &str) -> Vec<char> {
    let is_hostile = |c: &char| !c.is_ascii_graphic() && HOSTILE.contains(*c);
    shown.chars().filter(is_hostile).collect()
}

#[test]
fn no_value_of_another_program_controls_a_terminal() {
    let env = TestEnv::with_demo();
    env.ok(&["session", "new", "--project", "demo", "--branch", "fix-1"]);
    let document = serde_json::json!({
        "pr": "octo/hello#1", "session": "demo-1", "facts": {"title": HOSTILE, "state": "open"},
    });
    env.ok(&["observe", "apply", &env.file("document.json", document.to_string())]);
    let folder = env.path(&format!("x{HOSTILE}"));
    std::fs::create_dir(&folder).unwrap();
    let (folder, url) = (text(&folder), refuse_all(HOSTILE));
    let api = [("AO_GITHUB_API_URL", url.as_str()), ("GH_TOKEN", "t")];
    // The progress line is erased by a sequence of its own.
    let shown = on_terminal(&env, &["observe", "--once"], &api).replace("\r\u{1b}[2K", "");
    assert!(shown.contains("HTTP 401"), "{shown}");
    assert_eq!(hostile_in(&shown), [], "observe --once: {shown:?}");
    for args in [
        &["metrics"][..],
        &["status"],
        &["doctor"],
        &["pr", "ls"],
        &["tail", "--from", "beginning", "--no-follow", "--format", "pretty"],
        &["-vv", "project", "add", folder],
        &["verify", folder],
        &["backup", folder],
    ] {
        let shown = on_terminal(&env, args, &[]);
        assert_eq!(hostile_in(&shown), [], "{args:?}: {shown:?}");
        assert!(shown.contains("a\u{fffd}"), "{args:?}: {shown:?}");
    }
    for args in [&["export", "-"][..], &["pr", "ls", "--json"]] {
        let shown = on_terminal(&env, args, &[]);
        assert!(shown.contains("\\u009b"), "{args:?}: {shown}");
        assert!(!shown.contains(['\u{7f}', '\u{9b}', '\u{1b}']), "{args:?}: {shown:?}");
    }
    // To a program an export goes as it is: its last line has the digest of the others.
    let exported = env.ok(&["export", "-"]);
    assert!(exported.contains('\u{9b}'));
    let copy = ["--data-dir", "copy", "import", "-"];
    assert_eq!(env.feed(&copy, exported).code, 0);
}

#[test]
fn help_that_cannot_be_printed_fails() {
    let env = TestEnv::empty();
    for option in ["--help", "--version"] {
        let output = env.shell(&format!("\"$0\" {option} > /dev/full"));
        assert_eq!(output.code, 1, "{}", output.stderr);
        assert!(output.stderr.contains("error[DISK_FULL]"), "{}", output.stderr);
    }
}
