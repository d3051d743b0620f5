//! The configuration file: precedence, origins, and mistakes in it.

use std::fs;

use serde_json::{Value, json};

use crate::support::{Output, TestEnv, finish, text};

fn configured(content: impl AsRef<[u8]>) -> TestEnv {
    let env = TestEnv::empty();
    fs::create_dir_all(env.path("home/.config/ao-store")).unwrap();
    fs::write(env.path("home/.config/ao-store/config.toml"), content).unwrap();
    env
}

/// Runs the binary without the variable for the data directory.
fn run(env: &TestEnv, args: &[&str]) -> Output {
    finish(env.command(args).env_remove("AO_DATA_DIR"), b"")
}

fn settings(env: &TestEnv, args: &[&str]) -> Vec<Value> {
    let output = run(env, &[args, &["config", "show", "--json"]].concat());
    assert_eq!((output.code, output.stderr.as_str()), (0, ""));
    let mut document: Value = serde_json::from_str(&output.stdout).unwrap();
    crate::documented::check("config.show", &document["data"]);
    serde_json::from_value(document["data"]["settings"].take()).unwrap()
}

fn refused(content: &str) -> String {
    let env = configured(content);
    let output = run(&env, &["status"]);
    assert_eq!(output.code, 2, "{content}: {}", output.stderr);
    assert!(output.stderr.contains("error[INVALID_CONFIG]: "), "{content}: {}", output.stderr);
    assert!(output.stderr.contains("config.toml, line "), "{content}: {}", output.stderr);
    assert!(output.stderr.contains("hint: "), "{content}: {}", output.stderr);
    output.stderr
}

#[test]
fn a_flag_precedes_the_variable_the_file_and_the_default() {
    let env = configured("# mine\ndata_dir = \"~/store\"\n\nbusy_timeout = \"9s\"\n");
    let file = env.path("home/.config/ao-store/config.toml");
    let line = |line: u32| format!("{}:{line}", text(&file));
    let item = |key: &str, value: &str, origin: &str, source: Value| json!({"key": key, "value": value, "origin": origin, "source": source});
    let dir = env.path("home/store");
    let expected = [
        item("data_dir", text(&dir), "file", line(2).into()),
        item("durability", "full", "default", Value::Null),
        item("busy_timeout", "9s", "file", line(4).into()),
        item("hook_answers", "0s", "default", Value::Null),
        item("port", "0", "default", Value::Null),
        item("color", "auto", "default", Value::Null),
    ];
    assert_eq!(settings(&env, &[]), expected);
    let flags = ["--data-dir", "/x", "--busy-timeout", "1s", "--color", "never"];
    let flags = [&flags[..], &["--durability", "relaxed"]].concat();
    let expected = [
        item("data_dir", "/x", "flag", "--data-dir".into()),
        item("durability", "relaxed", "flag", "--durability".into()),
        item("busy_timeout", "1s", "flag", "--busy-timeout".into()),
        item("hook_answers", "0s", "default", Value::Null),
        item("port", "0", "default", Value::Null),
        item("color", "never", "flag", "--color".into()),
    ];
    assert_eq!(settings(&env, &flags), expected);
    let shown = env.json("config.show", &["config", "show"]);
    let data = env.path("data");
    let expected = item("data_dir", text(&data), "environment", "AO_DATA_DIR".into());
    assert_eq!(shown["settings"][0], expected);
    assert_eq!(run(&env, &["init"]).code, 0);
    assert!(env.path("home/store/ao.db").exists());
}

#[test]
fn the_port_is_that_of_the_variable_or_of_the_file() {
    let env = configured("port = \"4100\"\n");
    let shown = |value: &str| {
        let mut command = env.command(&["config", "show", "--json"]);
        let output = finish(command.env("AO_PORT", value), b"");
        let document: Value = serde_json::from_str(&output.stdout).unwrap();
        let port = &document["data"]["settings"][4];
        assert_eq!(port["key"], "port");
        (port["value"].clone(), port["origin"].clone())
    };
    assert_eq!(shown("4200"), ("4200".into(), "environment".into()));
    assert_eq!(shown(""), ("4100".into(), "file".into()));
    let refused = finish(env.command(&["status"]).env("AO_PORT", "http"), b"");
    assert_eq!(refused.code, 2, "{}", refused.stderr);
    assert!(refused.stderr.contains("AO_PORT=http cannot be used"), "{}", refused.stderr);
}

#[test]
fn the_settings_are_shown_as_a_file_that_can_be_used() {
    let env = configured("durability = 'relaxed'");
    let shown = run(&env, &["config", "show"]).stdout;
    let dir = env.path("home/.local/share/ao-store");
    let expected = format!(
        "data_dir = \"{}\"\ndurability = \"relaxed\"\nbusy_timeout = \"5s\"\n\
         hook_answers = \"0s\"\nport = \"0\"\ncolor = \"auto\"\n",
        text(&dir)
    );
    assert_eq!(shown, expected);
    let origin = run(&env, &["config", "show", "--origin"]).stdout;
    assert!(origin.contains("# file "), "{origin}");
    assert!(origin.contains("/config.toml:1\n"), "{origin}");
    assert!(origin.contains("color = \"auto\"       "), "{origin}");
    assert!(origin.ends_with(" # default\n"), "{origin}");
    for content in [shown, origin] {
        fs::write(env.path("home/.config/ao-store/config.toml"), content).unwrap();
        assert_eq!(settings(&env, &[])[1]["value"], "relaxed");
    }
}

#[test]
fn a_mistake_is_an_error_with_its_line() {
    for (content, expected) in [
        ("\nbusy_timout = \"5s\"", "line 2: unknown field `busy_timout`, expected one of"),
        ("hook_answers = \"25h\"", "line 1: \"25h\" cannot be used: it is longer than a day"),
        ("port = \"65536\"", "line 1: \"65536\" cannot be used: write a port, 0 to 65535"),
        ("busy_timeout = 5", "line 1: invalid type: integer `5`, expected a string"),
        ("busy_timeout = \"soon\"", "line 1: \"soon\" cannot be used: write a duration"),
        (
            "color = \"auto\"\ndurability = \"fulll\"",
            "line 2: \"fulll\" cannot be used: write full, relaxed",
        ),
        ("color = ", "line 1: "),
        ("data_dir = \"store\"", "line 1: \"store\" cannot be used: it is neither an absolute"),
        ("[observe]\ninterval = \"5s\"", "line 1: unknown field `observe`"),
        ("color = \"auto\"\ncolor = \"auto\"", "line 2: duplicate key"),
    ] {
        let stderr = refused(content);
        assert!(stderr.contains(expected), "{content}: {stderr}");
    }
    let env = configured(b"color = \"auto\"\n\xff");
    let output = run(&env, &["--json", "status"]);
    let error: Value = serde_json::from_str(&output.stderr).unwrap();
    assert_eq!(
        (&error["error"]["code"], &error["error"]["details"]["line"]),
        (&"INVALID_CONFIG".into(), &2.into())
    );
    assert_eq!(run(&configured(b"\xff\xfec\x00"), &["status"]).code, 2);
    assert_eq!(run(&configured("#".repeat(2 << 20)), &["status"]).code, 2);
}

#[test]
fn the_path_is_printed_also_for_a_file_that_cannot_be_used() {
    let env = configured("nonsense");
    let file = env.path("home/.config/ao-store/config.toml");
    let output = run(&env, &["config", "path"]);
    assert_eq!((output.code, output.stdout), (0, format!("{}\n", text(&file))));
    fs::remove_file(&file).unwrap();
    assert_eq!(env.json("config.path", &["config", "path"])["exists"], false);
    assert_eq!(run(&env, &["init"]).code, 0, "no file is needed");
    let doctor = run(&env, &["doctor"]).stdout;
    assert!(doctor.contains("config.file"), "{doctor}");
    assert!(doctor.contains("config.toml does not exist"), "{doctor}");
}

#[test]
fn a_file_that_cannot_be_read_is_an_error() {
    let env = configured("");
    let file = env.path("home/.config/ao-store/config.toml");
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    let output = run(&env, &["status"]);
    assert_eq!(output.code, 1, "{}", output.stderr);
    assert!(output.stderr.contains("cannot read the configuration file "), "{}", output.stderr);
    assert!(
        output.stderr.contains("hint: check its owner and mode: `ls -la "),
        "{}",
        output.stderr
    );
}

#[test]
fn the_directory_of_the_configuration_is_that_of_the_specification() {
    let env = TestEnv::empty();
    fs::create_dir_all(env.path("xdg/ao-store")).unwrap();
    fs::write(env.path("xdg/ao-store/config.toml"), "color = \"never\"").unwrap();
    let mut command = env.command(&["config", "show"]);
    let output = finish(command.env("XDG_CONFIG_HOME", env.path("xdg")), b"");
    assert!(output.stdout.contains("color = \"never\""), "{}", output.stdout);
}

#[test]
fn a_named_pipe_is_refused_and_not_waited_for() {
    let env = configured("");
    let file = env.path("home/.config/ao-store/config.toml");
    fs::remove_file(&file).unwrap();
    let made = std::process::Command::new("mkfifo").arg(&file).status().unwrap();
    assert!(made.success());
    let output = run(&env, &["status"]);
    assert_ne!(output.code, 0);
    assert!(output.stderr.contains("it is a named pipe"), "{}", output.stderr);
}
