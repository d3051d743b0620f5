//! What an observer without a terminal reports: a log of what changed or failed, and with `--json` every
//! cycle.

use ao_fake_github::{Fault, Kind, NewPr};
use rustix::process::Signal;
use serde_json::Value;

use super::{Scene, TOKEN};
use crate::support::Live;

/// The rest of a line after its time, which must be there.
fn after_time(line: &str) -> &str {
    let (at, text) = line.split_once(' ').unwrap();
    assert!(at.ends_with('Z') && at.parse::<jiff::Timestamp>().is_ok(), "{line}");
    text
}

#[test]
fn the_log_has_a_line_for_what_changed_or_failed_and_none_for_an_idle_cycle() {
    let scene = Scene::new();
    scene.world().open_pr(&NewPr::new("octo/hello", "ao/demo-1"));
    let live = Live::start(&mut scene.command(&["observe", "--interval", "5s"]));
    let line = live.until_printed("observing");
    let expected = "github.com: observing as octo-dev, with the token from GH_TOKEN";
    assert_eq!(after_time(&line), expected);
    let line = live.until_printed("changed");
    let expected = "github.com: 1 pull request changed (1 new): octo/hello#1; ";
    assert!(after_time(&line).starts_with(expected), "{line}");
    // An idle cycle, and then one that fails.
    let idle = scene.requests();
    scene.until("it polls again", |scene| scene.requests() > idle);
    scene.world().faults.push(Fault::always(Kind::gateway(502)));
    let begun = live.until_printed("");
    assert!(after_time(&begun).starts_with("github.com: backoff until 2"), "{begun}");
    assert!(begun.contains(": outage: HTTP 502"), "{begun}");
    let failed = live.until_printed("");
    let expected = "github.com: 1 request failed: http://127.0.0.1:";
    assert!(after_time(&failed).starts_with(expected), "{failed}");
    assert!(failed.contains("HTTP 502"), "{failed}");
    scene.world().faults.clear();
    let ended = live.until_printed("backoff ended");
    assert_eq!(after_time(&ended), "github.com: backoff ended: outage");
    live.signal(Signal::INT);
    let output = live.end();
    assert_eq!(output.code, 130, "{}", output.stderr);
    assert!(!output.stderr.contains(TOKEN));
    assert!(output.stdout.starts_with("github.com: "), "the sums are the data: {}", output.stdout);
}

#[test]
fn json_has_a_line_for_every_cycle_and_change() {
    let scene = Scene::new();
    scene.world().open_pr(&NewPr::new("octo/hello", "ao/demo-1"));
    let live = Live::start(&mut scene.command(&["observe", "--json", "--interval", "5s"]));
    let next = || -> Value {
        let line: Value = serde_json::from_str(&live.line()).unwrap();
        crate::documented::check(line["kind"].as_str().unwrap(), &line["data"]);
        line
    };
    let change = next();
    assert_eq!(change["kind"], "observe.change");
    assert_eq!(change["data"]["login"], "octo-dev");
    let found = std::iter::repeat_with(next).find(|it| it["data"]["found"] == 1).unwrap();
    assert_eq!(found["kind"], "observe.cycle");
    assert_eq!(found["data"]["changed"][0], "github.com/octo/hello#1");
    let idle = std::iter::repeat_with(next).find(|it| it["data"]["rows_changed"] == 0).unwrap();
    assert_eq!(idle["data"]["fresh"], 1);
    assert!(idle["data"]["next_poll_at"].is_string(), "{idle}");
    live.signal(Signal::TERM);
    let output = live.end();
    assert_eq!((output.code, output.stderr.as_str()), (143, ""));
    let last: Value = serde_json::from_str(output.stdout.lines().last().unwrap()).unwrap();
    assert_eq!(last["kind"], "observe.run");
    crate::documented::check("observe.run", &last["data"]);
}

/// The reader of the lines has gone.
#[test]
fn json_ends_quietly_when_nobody_reads_it() {
    let scene = Scene::new();
    let mut command = scene.env.clean("sh");
    command.args(["-c", "$0 observe --json | head -1", env!("CARGO_BIN_EXE_ao-store")]);
    command.env("AO_DATA_DIR", scene.env.path("data")).env("GH_TOKEN", TOKEN);
    command.env("AO_GITHUB_API_URL", &scene.server.url);
    scene.world().open_pr(&NewPr::new("octo/hello", "ao/demo-1"));
    let output = crate::support::finish(&mut command, b"");
    assert_eq!((output.code, output.stderr.as_str()), (0, ""));
    assert_eq!(output.stdout.lines().count(), 1, "{}", output.stdout);
}
