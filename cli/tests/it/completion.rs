//! Completion: the candidates for a word, and the scripts in the shells that source them.

use std::fs;
use std::process::{Command, Stdio};

use crate::support::{Live, TestEnv, text};

/// A store with one value of each kind.
fn prepared() -> TestEnv {
    let env = TestEnv::with_demo();
    env.ok(&["session", "new", "--project", "demo", "--branch", "fix-1"]);
    let pr = r#"{"pr": "octo/hello#7", "session": "demo-1", "facts": {"title": "Fix: it"}}"#;
    env.ok(&["observe", "apply", &env.file("pr.json", pr)]);
    env.ok(&["consumer", "create", "indexer"]);
    env.ok(&["turn", "send", "hello", "--no-wait"]);
    env
}

/// The last word of each line is completed to these values; where a flag is begun, among others.
const LINES: &[(&[&str], &[&str])] = &[
    (&["sess"], &["session"]),
    (&["session", "ren"], &["rename"]),
    (&["session", "get", ""], &["demo-1"]),
    (&["session", "rename", "dem"], &["demo-1"]),
    (&["session", "new", "--project", ""], &["demo"]),
    (&["project", "rm", "d"], &["demo"]),
    (&["pr", "get", "oct"], &["octo/hello#7"]),
    (&["pr", "claim", "demo-1", ""], &["octo/hello#7"]),
    (&["consumer", "ack", ""], &["indexer"]),
    (&["agent", "get", ""], &["default"]),
    (&["turn", "send", "--agent", "d"], &["default"]),
    (&["turn", "ls", "--org", ""], &["local"]),
    (&["org", "token", "ls", ""], &["local"]),
    (&["tail", "--consumer", "i"], &["indexer"]),
    (&["tail", "--type", "pr_c"], &["pr_check_recorded", "pr_comment_added", "pr_created"]),
    (&["tail", "--entity", "proj"], &["project"]),
    (&["tail", "--changed", "ci=fa"], &["failing"]),
    (&["tail", "--session=d"], &["demo-1"]),
    (&["tail", "--from", "b"], &["beginning"]),
    (&["history", "pr", ""], &["octo/hello#7"]),
    (&["history", "session", ""], &["demo-1"]),
    (&["observe", "--repo", ""], &["octo/hello"]),
    (&["tail", "--format", ""], &["pretty", "ndjson", "cloudevents"]),
    (&["tail", "--time"], &["--timeout"]),
    (&["completion", ""], &["bash", "zsh", "fish"]),
];

fn candidates(env: &TestEnv, words: &[&str]) -> Vec<String> {
    let output = env.run(&[&["complete", "--", "ao-store"], words].concat());
    assert_eq!((output.code, output.stderr.as_str()), (0, ""), "{words:?}");
    output.stdout.lines().map(str::to_owned).collect()
}

fn value(line: &str) -> &str {
    line.split('\t').next().unwrap()
}

/// Whether these are the values that a line of [`LINES`] expects.
fn check(shell: &str, words: &[&str], found: &[&str], expected: &[&str]) {
    // A shell completes the whole word `--session=demo-1`, or only what follows the sign.
    let found: Vec<_> = found.iter().map(|it| it.rsplit('=').next().unwrap()).collect();
    let has_all = expected.iter().all(|it| found.contains(it));
    let is_open = expected[0].starts_with("pr_c");
    assert!(has_all && (is_open || found.len() == expected.len()), "{shell} {words:?}: {found:?}");
}

#[test]
fn every_kind_of_value_is_completed() {
    let env = prepared();
    for (words, expected) in LINES {
        let lines = candidates(&env, words);
        check("complete", words, &lines.iter().map(|it| value(it)).collect::<Vec<_>>(), expected);
    }
    assert_eq!(candidates(&env, &["session", "get", ""]), ["demo-1\tfix-1"]);
    assert_eq!(candidates(&env, &["backup", "x"]), ["\tfiles"]);
    assert_eq!(candidates(&env, &["--data-dir", ""]), ["\tdirectories"]);
    // The store is the one of the line that is typed.
    let elsewhere = text(&env.path("elsewhere")).to_owned();
    env.ok(&["--data-dir", &elsewhere, "init"]);
    env.ok(&["--data-dir", &elsewhere, "consumer", "create", "other"]);
    let line = ["--data-dir", &elsewhere, "consumer", "get", ""];
    assert_eq!(candidates(&env, &line), ["other\t"]);
}

#[test]
fn without_a_store_there_are_candidates_and_no_store_is_created() {
    let env = TestEnv::empty();
    assert_eq!(candidates(&env, &["tail", "--format", "p"]), ["pretty\t"]);
    assert_eq!(env.run(&["complete", "--"]).stdout, "");
    let is_flag = |line: &String| line.starts_with('-');
    assert!(candidates(&env, &["session", "get", ""]).iter().all(is_flag));
    assert!(!env.path("data").exists());
    fs::create_dir(env.path("data")).unwrap();
    fs::write(env.database(), "dear diary").unwrap();
    assert!(candidates(&env, &["session", "get", ""]).iter().all(is_flag));
    assert_eq!(fs::read(env.database()).unwrap(), b"dear diary");
}

fn is_installed(shell: &str) -> bool {
    let is_there = Command::new(shell).arg("--version").output().is_ok();
    if !is_there {
        println!("skipped: {shell} is not installed");
    }
    is_there
}

/// Sources the script and completes the words, printing one candidate per line.
fn program(shell: &str, words: &[&str]) -> String {
    let quoted = words.iter().map(|word| format!("'{word}' ")).collect::<String>();
    let line = words.join(" ");
    match shell {
        // Bash itself splits words at the sign.
        "bash" => format!(
            r#"bash --norc -c '. <(ao-store completion bash); COMP_WORDS=("$@")
                COMP_CWORD=$(($# - 1)); _ao_store; printf "%s\n" "${{COMPREPLY[@]}}"' - ao-store {}"#,
            quoted.replace('=', "' '=' '")
        ),
        "zsh" => format!(
            r#"zsh -f -c 'compdef() {{ :; }}; _describe() {{ print -rl -- "${{(@P)argv[-1]}}" }}
                . =(ao-store completion zsh); words=("$@"); CURRENT=$#
                _ao-store' - ao-store {quoted} | sed 's/\([^\\]\):.*/\1/'"#
        ),
        _ => format!(
            r#"fish --no-config -c 'ao-store completion fish | source
                complete -C "ao-store {line}"'"#
        ),
    }
}

#[test]
fn the_scripts_complete_in_their_shells() {
    let env = prepared();
    for shell in ["bash", "zsh", "fish"].into_iter().filter(|shell| is_installed(shell)) {
        for (words, expected) in LINES {
            let script = program(shell, words);
            let output = env.shell(&format!("PATH=$(dirname \"$0\"):$PATH\n{script}"));
            assert_eq!(output.stderr, "", "{shell} {words:?}");
            let found: Vec<_> = output.stdout.lines().map(value).collect();
            check(shell, words, &found, expected);
        }
    }
    env.refused(&["completion", "cmd"], 2, "USAGE");
}

/// A person types the beginning of an id and presses tab and enter.
#[test]
fn a_tab_inserts_the_id_of_a_session() {
    if !is_installed("script") {
        return;
    }
    let env = prepared();
    for (shell, start) in [
        ("bash", "bash --norc --noprofile -i"),
        ("zsh", "zsh -f -i"),
        ("fish", "fish --no-config -i"),
    ] {
        if !is_installed(shell) {
            continue;
        }
        let binary = std::path::Path::new(env!("CARGO_BIN_EXE_ao-store"));
        let path = format!("{}:{}", text(binary.parent().unwrap()), std::env::var("PATH").unwrap());
        let mut command = Command::new("script");
        command.args(["-qec", start, "/dev/null"]).env("PATH", path).env("TERM", "dumb");
        command.env("HOME", env.path("home")).env("AO_DATA_DIR", env.path("data"));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut live = Live::start(&mut command);
        live.say(match shell {
            "bash" => "source <(ao-store completion bash); echo rea''dy\n",
            "zsh" => "autoload -U compinit; compinit -D; source =(ao-store completion zsh); echo rea''dy\n",
            _ => "ao-store completion fish | source; echo rea''dy\n",
        });
        until(&live, "ready");
        live.say("ao-store session get de\t --json\n");
        until(&live, r#""id":"demo-1""#);
        live.say("exit\n");
    }
}

/// Waits for a line that contains this.
fn until(live: &Live, what: &str) {
    while !live.line().contains(what) {}
}
