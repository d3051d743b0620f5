//! A page in a real browser logs in and follows the changes by EventSource, through a daemon that is killed and
//! started again: nothing is lost, nothing comes twice.

use std::fs;
use std::path::Path;

use rustix::process::Signal;
use serde_json::Value;

use crate::examples::has;
use crate::examples_http::fetched;
use crate::support::{Live, TestEnv, text};

const TYPES: [&str; 3] = ["project_created", "session_created", "session_updated"];

fn daemon(env: &TestEnv, port: &str) -> Live {
    let daemon = Live::start(&mut env.command(&["daemon", "--no-observe", "--port", port]));
    daemon.until_printed("the daemon is ready");
    daemon
}

/// The page of the daemon; `None`, with the reason printed, where there is no browser.
fn page(env: &TestEnv, url: &str) -> Option<Live> {
    let fetch = ["install", "--silent", "playwright-core@1.65.1", "--prefix"];
    let packages = fetched("browser-packages", "node_modules/playwright-core", "npm", &fetch)?;
    if !has(&["chromium"]) {
        return None;
    }
    // A module finds its packages by the folder that it is in.
    let script = packages.join(format!("browser-{}.mjs", std::process::id()));
    fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/browser.mjs"), &script).unwrap();
    let token = fs::read_to_string(env.path("data/tokens/operator.token")).unwrap();
    let mut command = env.clean("node");
    command.args([text(&script), url, token.trim()]).args(TYPES);
    Some(Live::start(&mut command))
}

#[test]
fn an_event_source_follows_through_kills_of_the_daemon() {
    let env = TestEnv::with_demo();
    env.ok(&["session", "new", "--project", "demo"]);
    let mut served = daemon(&env, "0");
    let run_file = fs::read_to_string(env.path("data/running.json")).unwrap();
    let run_file: Value = serde_json::from_str(&run_file).unwrap();
    let url = run_file["url"].as_str().unwrap();
    let port = url.rsplit(':').next().unwrap();
    let Some(page) = page(&env, url) else { return };
    assert_eq!(page.line(), "login 204");
    let mut ids = Vec::new();
    for round in 0..3 {
        env.ok(&["session", "rename", "demo-1", &format!("a {round}")]);
        ids.push(page.line());
        served.signal(Signal::KILL);
        drop(served);
        env.ok(&["session", "rename", "demo-1", &format!("b {round}")]);
        served = daemon(&env, port);
        env.ok(&["session", "new", "--project", "demo"]);
    }
    let made: Vec<_> =
        env.changes().iter().map(|it| it["cursor"].as_str().unwrap().to_owned()).collect();
    while ids.len() < made.len() {
        ids.push(page.line());
    }
    assert_eq!(ids, made);
    assert!(page.is_quiet());
}
