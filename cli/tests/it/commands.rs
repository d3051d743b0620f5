//! Each command and flag: what it does and prints, what it refuses, and that a refused command changes
//! nothing.

mod project;
mod repository;
mod session;

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::{Output, TestEnv, finish, text};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn init_creates_a_private_store_once() {
    let env = TestEnv::empty();
    let first = env.json("store.init", &["init"]);
    assert_eq!(first["path"], text(&env.database()));
    assert_eq!(first["is_new"], true);
    assert_eq!(first["schema_version"], ao_store::SCHEMA_VERSION);
    assert_eq!(first["log_id"].as_str().unwrap().len(), 32);
    assert_eq!((mode(&env.path("data")), mode(&env.database())), (0o700, 0o600));
    let second = env.json("store.init", &["init"]);
    assert_eq!((&second["is_new"], &second["log_id"]), (&json!(false), &first["log_id"]));
    let output = env.run(&["init"]);
    assert_eq!((output.code, output.stdout.as_str()), (0, ""));
    assert!(output.stderr.contains("already exists"), "{}", output.stderr);
}

#[test]
fn the_files_beside_the_database_are_private_too() {
    let env = TestEnv::with_demo();
    let _tail = env.tail(&[]);
    env.ok(&["session", "new", "--project", "demo"]);
    for entry in fs::read_dir(env.path("data")).unwrap().map(Result::unwrap) {
        let mode = mode(&entry.path());
        assert_eq!(mode & 0o077, 0, "{:?} has mode {mode:o}", entry.file_name());
    }
}

#[test]
fn migrate_runs_once_and_check_changes_nothing() {
    let env = TestEnv::new();
    for args in [&["migrate"][..], &["migrate", "--check"]] {
        let data = env.json("store.migrate", args);
        assert_eq!(data["from"], data["to"]);
        assert_eq!(data["applied"], json!([]));
    }
    let empty = TestEnv::empty();
    for args in [&["migrate"][..], &["migrate", "--check"], &["status"], &["tail"]] {
        empty.refused(args, 3, "STORE_NOT_FOUND");
    }
    assert!(!empty.path("data").exists(), "only init and up create a store");
}

#[test]
fn an_emptied_store_is_never_filled_anew() {
    let env = TestEnv::with_demo();
    let backup = text(&env.path("backup.db")).to_owned();
    env.ok(&["backup", &backup]);
    fs::write(env.database(), "").unwrap();
    let repo = text(&env.path("demo")).to_owned();
    for args in [&["init"][..], &["up", &repo], &["migrate"], &["migrate", "--check"], &["status"]]
    {
        let stderr = env.refused(args, 6, "CORRUPT");
        assert!(stderr.contains("ao-store restore-db BACKUP"), "{args:?}: {stderr}");
        assert_eq!(fs::metadata(env.database()).unwrap().len(), 0, "{args:?}");
    }
    env.ok(&["restore-db", &backup, "--yes"]);
    assert!(env.ok(&["project", "ls"]).contains("demo"));
}

#[test]
fn status_shows_the_path_and_the_contents_of_the_store() {
    let env = TestEnv::with_demo();
    env.ok(&["session", "new", "--project", "demo"]);
    let data = env.json("store.status", &["status"]);
    assert_eq!(data["path"], text(&env.database()));
    assert_eq!((&data["head"], &data["floor"]), (&json!("1-2"), &json!("1-0")));
    assert_eq!((&data["epoch"], &data["changes"]), (&json!(1), &json!(2)));
    assert_eq!((&data["rows"]["project"], &data["rows"]["session"]), (&json!(1), &json!(1)));
    let shown = env.ok(&["status"]);
    for part in [text(&env.database()), "1-2", "project"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
}

#[test]
fn the_data_directory_is_the_flag_then_the_variable_then_the_default() {
    let env = TestEnv::empty();
    let path = |args: &[&str], vars: &[(&str, &str)]| {
        let mut command = env.command(&[&["init", "--json"], args].concat());
        command.env_remove("AO_DATA_DIR").envs(vars.iter().copied());
        let Output { code, stdout, stderr } = finish(&mut command, b"");
        assert_eq!(code, 0, "{stderr}");
        let document: Value = serde_json::from_str(&stdout).unwrap();
        let path = Path::new(document["data"]["path"].as_str().unwrap()).to_owned();
        assert!(path.is_file());
        path
    };
    let (a, b) = (env.path("a"), env.path("b"));
    let variable = ("AO_DATA_DIR", text(&b));
    assert_eq!(path(&["--data-dir", text(&a)], &[variable]), a.join("ao.db"));
    assert_eq!(path(&[], &[variable]), b.join("ao.db"));
    assert_eq!(path(&[], &[]), env.path("home/.local/share/ao-store/ao.db"));
    let xdg = env.path("xdg");
    assert_eq!(path(&[], &[("XDG_DATA_HOME", text(&xdg))]), xdg.join("ao-store/ao.db"));
    assert_eq!(
        path(&["--data-dir", "some/relative/dir"], &[]),
        env.path("some/relative/dir/ao.db")
    );
    env.refused(&["status", "--data-dir", ""], 2, "USAGE");
}

#[test]
fn the_next_command_carries_the_options_of_the_user() {
    let env = TestEnv::empty();
    let dir = env.path("my data");
    let dir = ["--data-dir", text(&dir)];
    let run = |args: &[&str]| env.run(&[args, &dir].concat()).stderr;
    let program = format!("`ao-store --data-dir '{}'", dir[1]);
    assert!(run(&["status"]).contains(&format!("hint: create it: {program} init`")));
    assert!(run(&["init"]).contains(&format!("next: {program} up`")));
    env.ok(&[&["consumer", "create", "idx"][..], &dir].concat());
    let refused = run(&["consumer", "rm", "idx", "--force"]);
    let command = format!("`ao-store consumer rm idx --force --data-dir '{}' --yes`", dir[1]);
    assert!(refused.contains(&format!("hint: confirm it: {command}")), "{refused}");
}

#[test]
fn a_directory_with_a_name_that_is_not_utf8_can_contain_a_store() {
    let env = TestEnv::empty();
    let dir = env.path("home").join(std::ffi::OsStr::from_bytes(b"st\xffore"));
    for args in [&["init", "--json"][..], &["status", "--json"], &["status"]] {
        let output = finish(env.command(args).env("AO_DATA_DIR", &dir), b"");
        assert_eq!(output.code, 0, "{args:?}: {}", output.stderr);
    }
    assert!(dir.join("ao.db").is_file());
}

#[test]
fn control_characters_of_a_directory_name_do_not_reach_the_terminal() {
    let env = TestEnv::empty();
    let dir = env.path("\u{1b}[2Jdata\u{7}");
    let dir = text(&dir);
    let repo = env.repo("\u{1b}[31mrepo\u{7}", "");
    let bound = ["--color", "always", "--data-dir", dir];
    for args in [
        &["init"][..],
        &["status"],
        &["project", "add", text(&repo)],
        &["project", "ls"],
        &["project", "get", "31mrepo"],
        &["project", "add", text(&repo)],
        &["project", "get", "\u{1b}[2J"],
        &["tail", "--no-follow", "--format", "pretty"],
    ] {
        let Output { stdout, stderr, .. } = env.run(&[args, &bound].concat());
        for sequence in ["\u{1b}[2J", "\u{1b}[31mrepo", "\u{7}"] {
            assert!(!stdout.contains(sequence), "{args:?}: {stdout:?}");
            assert!(!stderr.contains(sequence), "{args:?}: {stderr:?}");
        }
    }
    assert_eq!(env.run(&["project", "get", "31mrepo", "--data-dir", dir]).code, 0);
}

#[test]
fn every_command_explains_itself_with_examples() {
    let env = TestEnv::empty();
    let groups: &[(&str, &[&str])] = &[
        ("up", &[]),
        ("init", &[]),
        ("migrate", &[]),
        ("repair", &[]),
        ("status", &[]),
        ("tail", &[]),
        ("schema", &[]),
        ("completion", &[]),
        ("man", &[]),
        ("project", &["add", "ls", "get", "rm"]),
        ("session", &["new", "ls", "get", "rename", "rm"]),
        ("pr", &["ls", "get", "claim"]),
        ("observe", &["apply", "deliver"]),
    ];
    let mut commands = vec![vec![]];
    for (name, verbs) in groups {
        commands.push(vec![*name]);
        commands.extend(verbs.iter().map(|verb| vec![*name, verb]));
    }
    for command in commands {
        let help = env.ok(&[&command[..], &["--help"]].concat());
        let (examples, usage) = (help.find("Examples:"), help.find("Usage:"));
        assert!(examples.is_some() && examples < usage, "{command:?}: {help}");
        assert!(help.contains(&["ao-store", &command.join(" ")].join(" ")), "{command:?}: {help}");
        assert_eq!(env.ok(&[&["help"], &command[..]].concat()), help, "{command:?}");
    }
    assert_eq!(env.ok(&["--version"]), concat!("ao-store ", env!("CARGO_PKG_VERSION"), "\n"));
    assert!(!env.path("data").exists(), "nothing was created");
}

#[test]
fn man_writes_one_page_per_command() {
    let env = TestEnv::empty();
    assert_eq!(env.ok(&["man", "--out", "deep/man1"]), "");
    let pages = fs::read_dir(env.path("deep/man1")).unwrap();
    let mut names: Vec<_> =
        pages.map(|page| page.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert!(names.contains(&"ao-store.1".to_owned()), "{names:?}");
    assert!(names.contains(&"ao-store-session-new.1".to_owned()), "{names:?}");
    assert!(!names.iter().any(|name| name.contains("help")), "{names:?}");
    assert!(names.len() > 80, "{names:?}");
    for name in names {
        check_page(&env.path("deep/man1").join(name));
    }
    env.file("taken", "");
    env.refused(&["man", "--out", "taken"], 1, "IO_ERROR");
}

/// A page has every section, keeps the lines of its examples, and is rendered without a warning.
fn check_page(path: &Path) {
    let mut groff = std::process::Command::new("groff");
    let rendered = groff.args(["-man", "-Tascii", "-P-cbou", "-ww"]).arg(path).output();
    let Ok(rendered) = rendered else {
        println!("skipped: there is no groff to render {}", path.display());
        return;
    };
    assert_eq!(String::from_utf8_lossy(&rendered.stderr), "", "{}", path.display());
    let page = String::from_utf8(rendered.stdout).unwrap();
    for section in
        ["NAME", "SYNOPSIS", "EXAMPLES", "EXIT STATUS", "ENVIRONMENT", "FILES", "SEE ALSO"]
    {
        assert!(page.contains(&format!("\n{section}\n")), "{section}: {page}");
    }
    assert!(page.contains("ao-store(1)") || page.contains("ao-store-tail(1)"), "{page}");
    let (_, examples) = page.split_once("\nEXAMPLES\n").unwrap();
    let lines = examples.lines().take_while(|line| line.starts_with("  "));
    assert!(
        lines.map(str::trim).all(|line| line.contains("ao-store") || line.starts_with("--")),
        "{page}"
    );
}

#[test]
fn subcommands_repeat_the_global_options_in_the_long_help_only() {
    let env = TestEnv::empty();
    for command in [&["status"][..], &["session", "new"]] {
        let short = env.ok(&[command, &["-h"]].concat());
        assert!(!short.contains("--data-dir") && short.contains("see more with"), "{short}");
        let long = env.ok(&[command, &["--help"]].concat());
        assert!(long.contains("Global options:") && long.contains("--data-dir"), "{long}");
    }
}

#[test]
fn the_published_schema_is_the_one_that_is_printed() {
    let published = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/schema/observation.schema.json");
    let published: Value = serde_json::from_slice(&fs::read(published).unwrap()).unwrap();
    let printed: Value = serde_json::from_str(&TestEnv::empty().ok(&["schema"])).unwrap();
    assert_eq!(printed, published);
    let validator = jsonschema::validator_for(&printed).unwrap();
    assert!(validator.is_valid(&json!({"pr": "octo/hello#1", "facts": {"state": "open"}})));
    assert!(!validator.is_valid(&json!({"facts": {"state": "open"}})));
}

#[test]
fn output_that_cannot_be_written_is_an_error_and_a_closed_pipe_is_not() {
    let env = TestEnv::with_demo();
    let output = env.shell(r#""$0" project ls >/dev/full"#);
    assert_eq!(output.code, 1);
    assert!(
        output.stderr.contains("error[DISK_FULL]: cannot write to standard output"),
        "{}",
        output.stderr
    );
    let output = env.shell(r#"{ sleep 0.2; "$0" completion bash; echo "status $?" >&2; } | true"#);
    assert_eq!(output.stderr, "status 141\n");
}

#[test]
fn durations_beyond_the_range_of_the_clock_are_accepted() {
    let env = TestEnv::with_demo();
    for duration in ["0s", "1ns", "24days", "100years", "500000000000years"] {
        env.ok(&["status", "--busy-timeout", duration]);
        env.ok(&["session", "new", "--project", "demo", "--busy-timeout", duration]);
        env.ok(&["tail", "--from", "end", "--no-follow", "--timeout", duration]);
    }
    for duration in ["", "5", "-1s", "soon", "99999999999999999999s"] {
        env.refused(&["status", &format!("--busy-timeout={duration}")], 2, "USAGE");
        env.refused(&["tail", &format!("--timeout={duration}")], 2, "USAGE");
    }
}

#[test]
fn a_token_in_the_origin_is_neither_printed_nor_stored() {
    const CANARY: &str = "ghp_canary0123456789";
    let env = TestEnv::new();
    let mut seen = String::new();
    let mut run = |args: &[&str]| {
        let Output { stdout, stderr, .. } = env.run(args);
        seen += &(stdout + &stderr);
    };
    for (id, origin) in [
        ("a", format!("https://user:{CANARY}@github.com/octo/hello.git")),
        ("b", format!("HTTPS://{CANARY}@github.com/octo/hello")),
        ("c", format!("ssh://git:{CANARY}@github.com/octo/hello")),
        ("d", format!("git://{CANARY}@github.com/octo/hello")),
        ("e", format!("https://github.com/octo/hello?access_token={CANARY}")),
    ] {
        let repo = env.repo(id, &origin);
        run(&["project", "add", text(&repo), "-vv"]);
        run(&["project", "add", text(&repo), "--id", "again", "-vv"]);
        run(&["project", "get", id]);
        run(&["project", "get", id, "--json"]);
    }
    run(&["project", "ls", "--json"]);
    run(&["status", "-vv"]);
    run(&["tail", "--from", "beginning", "-vv", "--no-follow"]);
    assert!(seen.contains("https://github.com/octo/hello.git"), "the rest of the URL is kept");
    assert!(!seen.contains(CANARY), "{seen}");
    for entry in fs::read_dir(env.path("data")).unwrap().map(Result::unwrap) {
        let bytes = fs::read(entry.path()).unwrap_or_default();
        let found = bytes.windows(CANARY.len()).any(|window| window == CANARY.as_bytes());
        assert!(!found, "{:?}", entry.file_name());
    }
}
