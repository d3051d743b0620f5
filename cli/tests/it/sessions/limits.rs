//! Accounts that have reached a limit: seen on screens and in hooks, and nothing new is given to their agents.

use std::fs;
use std::process::Stdio;

use serde_json::Value;

use crate::sessions::screens::Stage;
use crate::support::finish;

/// A harness whose screens were seen.
const ROW: &str = r#"
[mine]
label = "Mine"
programs = ["mine"]
start = []
prompt = "typed"

[mine.screen]
versions = ["1.0", "1.0"]
rules = [
  { shows = "limited", lines = 4, has = ["usage limit reached"], until = "try again in {in}" },
  { shows = "active", lines = 2, has = ["working"] },
  { shows = "idle", lines = 2, has = ["=ready>"] },
]
"#;

/// A stage with a session of that harness.
fn stage() -> (Stage, String) {
    let stage = Stage::with("mine", "mine 1.0");
    let config = stage.lab.env.path("home/.config/ao-store");
    fs::create_dir_all(&config).unwrap();
    fs::write(config.join("harnesses.toml"), ROW).unwrap();
    stage.print("working");
    let id = stage.spawn("mine");
    stage.wait_for(&id, "active");
    (stage, id)
}

const SPAWN: [&str; 5] = ["spawn", "--project", "demo", "--harness", "mine"];

/// Spawning is refused; the message.
fn refused(stage: &Stage, args: &[&str]) -> String {
    let output = stage.run(args);
    assert_eq!(output.code, 9, "{}{}", output.stdout, output.stderr);
    assert!(output.stderr.contains("error[ACCOUNT_LIMITED]"), "{}", output.stderr);
    output.stderr
}

fn kinds(stage: &Stage) -> Vec<Value> {
    let items = stage.lab.env.json("attention.list", &["attention"]);
    items.as_array().unwrap().iter().map(|item| item["kind"].clone()).collect()
}

#[test]
fn a_limit_on_a_screen_stops_new_sessions_of_its_account_until_it_ends() {
    let (stage, id) = stage();
    stage.print("usage limit reached, try again in 2h 5m\nready>");
    stage.wait_for(&id, "limited");
    assert!(!stage.lab.get(&id)["limit_ends_at"].is_null());
    assert!(stage.probe().ends_with("changes 0"), "the end of the limit was read again");
    let limits = stage.lab.env.json("limit.list", &["harness", "limits"]);
    assert_eq!(
        (&limits[0]["account"], &limits[0]["session_id"]),
        (&"mine".into(), &id.as_str().into())
    );
    let mut found = kinds(&stage);
    found.sort_by_key(ToString::to_string);
    assert_eq!(found, ["account_limited", "session_limited"]);

    let message = refused(&stage, &SPAWN);
    assert!(
        message.contains("the account mine has reached a limit, which ends at 20"),
        "{message}"
    );
    let orchestrator = ["orchestrator", "ensure", "--project", "demo", "--harness", "mine"];
    refused(&stage, &orchestrator);
    let forced = stage.ok(&[&SPAWN[..], &["--force"]].concat());
    stage.ok(&["session", "kill", forced.trim()]);
    stage.lab.spawn(&[]);

    // The old message is still there when the limit is over.
    stage.lab.sql("UPDATE account_limit SET ends_at = 1");
    stage.lab.sql("UPDATE session SET limit_ends_at = 1 WHERE activity = 'limited'");
    stage.wait_for(&id, "idle");
    assert!(stage.probe().ends_with("changes 0"), "the old limit was seen again");
    stage.ok(&SPAWN);

    // The next one has the same message.
    stage.print("working");
    stage.wait_for(&id, "active");
    stage.print("usage limit reached, try again in 2h 5m\nready>");
    stage.wait_for(&id, "limited");
    refused(&stage, &SPAWN);
}

#[test]
fn a_limit_without_an_end_holds_until_it_is_cleared() {
    let (stage, id) = stage();
    stage.print("usage limit reached\nready>");
    stage.wait_for(&id, "limited");
    let message = refused(&stage, &SPAWN);
    assert!(message.contains("and its end is not known"), "{message}");
    stage.ok(&["harness", "limits", "--clear", "other"]);
    refused(&stage, &SPAWN);
    stage.ok(&["harness", "limits", "--clear", "mine"]);
    stage.ok(&SPAWN);
}

#[test]
fn a_turn_of_the_account_that_ends_well_ends_its_limit() {
    let stage = Stage::new("2.1.332");
    let hook = |event: &str, payload: &str| {
        let newest = |column: &str| {
            stage.lab.sql(&format!("SELECT {column} FROM session ORDER BY num DESC LIMIT 1"))
        };
        let mut command = stage.command(&["hook", "claude-code", event]);
        command.env("AO_SESSION_ID", newest("id")).env("AO_LAUNCH_ID", newest("launch_id"));
        command.stdin(Stdio::piped());
        assert_eq!(finish(&mut command, payload.as_bytes()).code, 0);
    };
    let spawn = ["spawn", "--project", "demo", "--harness", "claude-code"];
    let id = stage.spawn("claude-code");
    hook("UserPromptSubmit", r#"{"prompt": "p"}"#);
    hook("StopFailure", r#"{"error": "rate_limit", "last_assistant_message": "limit reached"}"#);
    assert_eq!(stage.activity(&id), "limited");
    refused(&stage, &spawn);
    stage.ok(&[&spawn[..], &["--force"]].concat());
    hook("UserPromptSubmit", r#"{"prompt": "p"}"#);
    refused(&stage, &spawn);
    hook("Stop", "{}");
    stage.ok(&spawn);
}
