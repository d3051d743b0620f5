//! The user's file of harnesses.

use std::fs;

use ao_session::harness::{self, Given, Harnesses};

use super::environment;

const MINE: &str = "label = 'Mine'\nprograms = ['sh']\nprompt = 'typed'\n";

fn load(text: &[u8]) -> ao_session::Result<Harnesses> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("harnesses.toml");
    fs::write(&file, text).unwrap();
    Harnesses::load(Some(&file))
}

#[test]
fn a_file_adds_rows_and_overrides_whole_rows() {
    let all = load(format!("[mine]\n{MINE}start = ['-x']\n[codex]\n{MINE}start = []").as_bytes());
    let all = all.unwrap();
    assert_eq!(all.get("codex").unwrap().label(), "Mine");
    assert!(!all.get("codex").unwrap().can_resume(), "nothing of the built-in row is left");
    assert_eq!(all.get("claude-code").unwrap().label(), "Claude Code");
    let mine = all.get("mine").unwrap();
    let found = harness::find(mine, &[], &environment(&[("PATH", "/bin".as_ref())])).unwrap();
    let given = Given { prompt: "a".to_owned(), ..Given::default() };
    let built = harness::start(mine, &found, &given).unwrap();
    assert_eq!((built.argv[1..].to_vec(), built.typed), (vec!["-x".to_owned()], Some("a".into())));
}

#[test]
fn an_error_names_the_file_and_the_line() {
    let row = |more: &str| format!("\n[a]\n{MINE}{more}\n");
    let given = "native_id = { source = 'given', args = ['--id', '{native_id}'] }";
    for (text, reasons) in [
        (row("start = []\nnope = 1"), ["line 7", "nope"]),
        (row("start = 1"), ["line 6", "sequence"]),
        (row(""), ["line 2", "start"]),
        ("[a".to_owned(), ["line 1", ""]),
        ("a = 1".to_owned(), ["line 1", ""]),
        (row("start = []").replace("'sh'", ""), ["line 2", "programs"]),
        (row("start = []").replace("'sh'", "'/bin/sh'"), ["line 2", "places"]),
        (row("start = []\nplaces = ['x']"), ["line 2", "places"]),
        (row("start = []").replace("'typed'", "'flag'"), ["line 2", "prompt_flag"]),
        (row("start = []").replace("'typed'", "'guess'"), ["line 5", "guess"]),
        (row("start = []\nresume = ['-c']"), ["line 2", "resume"]),
        (row("start = []\nmodel = ['-m', '{model}']"), ["line 2", "model"]),
        (row("start = ['{model}']"), ["line 2", "model"]),
        (row(&format!("start = []\n{given}")), ["line 2", "native_id"]),
        (
            row("start = []\nconversation = { default = '~/x', pattern = 'y' }"),
            ["line 2", "pattern"],
        ),
        (row("start = []\nnative_id = { source = 'hook', x = 1 }"), ["line 7", ""]),
    ] {
        let error = load(text.as_bytes()).unwrap_err();
        assert_eq!(error.code().name(), "INVALID_HARNESS", "{text}");
        let message = error.to_string();
        assert!(message.contains("harnesses.toml: "), "{message}");
        for reason in reasons {
            assert!(message.contains(reason), "{message} has no {reason:?}:\n{text}");
        }
    }
    let error = load(b"[a]\n\xff").unwrap_err().to_string();
    assert!(error.contains("line 2: it is not UTF-8"), "{error}");
}

#[test]
fn what_is_no_file_or_too_large_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let error = Harnesses::load(Some(dir.path())).unwrap_err();
    assert!(error.to_string().contains("cannot read"), "{error}");
    assert!(Harnesses::load(Some(&dir.path().join("missing"))).is_err());
    let error = load(&[b'#'; (1 << 20) + 1]).unwrap_err();
    assert!(error.to_string().contains("1 MiB"), "{error}");
}
