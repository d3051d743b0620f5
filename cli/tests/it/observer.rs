//! What an observer keeps is shown: of each host in `status`, `metrics` and `doctor`, of a pull request
//! in `pr get`.

use ao_store::row::scm::{self, Access, Credential, HostState, PrPoll, Problem, RepoState};
use ao_store::{Cause, Options, PrId, Store, Timestamp, Tx};
use serde_json::{Value, json};

use crate::observe::ready;
use crate::support::TestEnv;

const MINUTE: i64 = 60_000;

fn write(env: &TestEnv, work: impl FnOnce(&Tx<'_>) -> ao_store::Result<bool> + Send + 'static) {
    let store = Store::open(&env.database(), Options::default()).unwrap();
    store.write(Cause::new("observer", Timestamp(0)), work).unwrap();
}

/// A host of which everything is known, blocked for ten minutes.
fn blocked(now: Timestamp) -> HostState {
    HostState {
        credential: Credential::Ok,
        source: "GH_TOKEN".to_owned(),
        login: "octo".to_owned(),
        since: Some(Timestamp(0)),
        quota: Some(5000),
        remaining: Some(7),
        reset_at: Some(Timestamp(now.0 + 20 * MINUTE)),
        blocked_until: Some(Timestamp(now.0 + 10 * MINUTE)),
        reason: "secondary rate limit".to_owned(),
        fresh_at: Some(Timestamp(now.0 - 5 * MINUTE)),
        ..HostState::new("github.com")
    }
}

/// With a pull request that cannot be read.
fn with_problem() -> TestEnv {
    let env = ready();
    let document = r#"{"pr": "octo/hello#7", "session": "demo-1"}"#;
    env.ok(&["observe", "apply", &env.file("document.json", document)]);
    write(&env, |tx| {
        let pr: PrId = "github.com/octo/hello#7".parse()?;
        let poll = PrPoll {
            problem: Problem::Unreachable,
            problem_since: Some(Timestamp(0)),
            ..PrPoll::default()
        };
        scm::set_poll(tx, &pr, &poll)
    });
    env
}

fn finding(env: &TestEnv) -> Value {
    let doctor = env.json("doctor", &["doctor"]);
    assert_eq!(doctor["is_healthy"], true, "it is no failure of the store");
    let findings = doctor["findings"].as_array().unwrap();
    findings.iter().find(|it| it["id"] == "observer.credentials").unwrap().clone()
}

#[test]
fn an_observer_that_never_ran_is_shown_and_is_not_a_problem() {
    let env = TestEnv::new();
    assert!(
        env.ok(&["status"]).contains("observer  not running; no project has an origin on GitHub\n")
    );
    assert_eq!(env.json("store.status", &["status"])["hosts"], json!([]));
    let found = finding(&env);
    assert_eq!((&found["level"], &found["fix"]), (&json!("ok"), &json!("")));
    assert!(!env.ok(&["metrics"]).contains("ao_store_observer_problems{"));
}

#[test]
fn the_state_of_a_host_is_shown() {
    let env = with_problem();
    let now = Timestamp::now();
    write(&env, move |tx| scm::set_host(tx, &blocked(now)));
    let shown = env.ok(&["status"]);
    let start = "observer  not running: `ao-store observe`\n\
        host      github.com: credential ok, of octo from GH_TOKEN since 1970-01-01T00:00:00.000Z\n\
        \x20         last full poll 5m ";
    for part in [
        start,
        "\n          backoff until 2",
        ": secondary rate limit\n",
        "\n          7 of 5000 points left until 2",
        "\n          1 pull request(s) cannot be read\n",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let host = env.json("store.status", &["status"])["hosts"][0].take();
    for (name, value) in [
        ("host", json!("github.com")),
        ("credential", json!("ok")),
        ("source", json!("GH_TOKEN")),
        ("login", json!("octo")),
        ("since", json!("1970-01-01T00:00:00.000Z")),
        ("quota", json!(5000)),
        ("remaining", json!(7)),
        ("reason", json!("secondary rate limit")),
        ("problems", json!(1)),
    ] {
        assert_eq!(host[name], value, "{name}");
    }
    let metrics = env.ok(&["metrics"]);
    for line in [
        "ao_store_observer_credential{host=\"github.com\",state=\"ok\"} 1\n".to_owned(),
        "ao_store_observer_budget{host=\"github.com\"} 5000\n".to_owned(),
        "ao_store_observer_budget_remaining{host=\"github.com\"} 7\n".to_owned(),
        "ao_store_observer_problems{host=\"github.com\"} 1\n".to_owned(),
        format!(
            "ao_store_observer_blocked_until_timestamp_seconds{{host=\"github.com\"}} {}\n",
            (now.0 + 10 * MINUTE) / 1000
        ),
    ] {
        assert!(metrics.contains(&line), "{line}: {metrics}");
    }
    let found = finding(&env);
    assert_eq!(found["level"], "warn");
    assert_eq!(found["message"], "requests to github.com are paused: secondary rate limit");
}

#[test]
fn a_host_that_was_never_asked_is_shown() {
    let env = TestEnv::new();
    write(&env, |tx| scm::set_host(tx, &HostState::new("ghe.example.com")));
    let expected =
        "host      ghe.example.com: credential not used yet\n          no full poll yet\n";
    let shown = env.ok(&["status"]);
    assert!(shown.contains(expected), "{shown}");
    let metrics = env.ok(&["metrics"]);
    assert!(metrics.contains("ao_store_observer_problems{host=\"ghe.example.com\"} 0\n"));
    assert!(!metrics.contains("ao_store_observer_budget{"), "{metrics}");
    let missing =
        HostState { credential: Credential::Missing, ..HostState::new("ghe.example.com") };
    write(&env, move |tx| scm::set_host(tx, &missing));
    let found = finding(&env);
    assert_eq!(found["level"], "warn");
    assert_eq!(
        found["fix"],
        "`gh auth login --hostname ghe.example.com`, or set GH_ENTERPRISE_TOKEN"
    );
}

/// A repository that is refused, and one that is no origin of a project.
#[test]
fn what_cannot_be_read_is_listed_with_its_reason_and_the_fix() {
    let env = with_problem();
    write(&env, |tx| {
        for (repo, access) in [("octo/hello", Access::Forbidden), ("octo/other", Access::Missing)] {
            let state = RepoState {
                access,
                access_since: Some(Timestamp(0)),
                ..RepoState::new("github.com", repo)
            };
            scm::set_repo(tx, &state)?;
        }
        Ok(true)
    });
    let since = "1970-01-01T00:00:00.000Z";
    let status = env.json("store.status", &["status"]);
    let expected = json!([
        {"host": "github.com", "repo": "octo/hello", "number": null, "reason": "forbidden", "since": since},
        {"host": "github.com", "repo": "octo/hello", "number": 7, "reason": "unreachable", "since": since},
    ]);
    assert_eq!(status["unread"], expected);
    let shown = env.ok(&["status"]);
    let lines: Vec<_> = shown.lines().filter(|line| line.starts_with("unread ")).collect();
    let grant = "grant the token read access to octo/hello, and authorise it for the single sign-on \
        of the organisation: `gh auth refresh --hostname github.com`";
    assert_eq!(
        lines[0],
        format!("unread    github.com/octo/hello is forbidden since {since}: {grant}")
    );
    assert!(lines[1].starts_with("unread    github.com/octo/hello#7 is unreachable since "));
    assert_eq!(lines.len(), 2);
    let doctor = env.json("doctor", &["doctor"]);
    let findings = doctor["findings"].as_array().unwrap();
    let found = findings.iter().find(|it| it["id"] == "observer.unread").unwrap();
    assert_eq!(found["level"], "warn");
    assert_eq!(found["fix"], grant);
    let message = found["message"].as_str().unwrap();
    assert!(message.contains("github.com/octo/hello is forbidden since "), "{message}");
    assert!(message.contains("; github.com/octo/hello#7 is unreachable since "), "{message}");
    write(&env, |tx| scm::set_repo(tx, &RepoState::new("github.com", "octo/hello")));
    write(&env, |tx| scm::set_poll(tx, &"github.com/octo/hello#7".parse()?, &PrPoll::default()));
    let doctor = env.json("doctor", &["doctor"]);
    let findings = doctor["findings"].as_array().unwrap();
    let found = findings.iter().find(|it| it["id"] == "observer.unread").unwrap();
    assert_eq!(found["level"], "ok", "octo/other is not the origin of a project");
}

#[test]
fn a_pull_request_shows_its_attribution_and_its_problem() {
    let env = with_problem();
    let pr = env.json("pr.get", &["pr", "get", "octo/hello#7"]);
    assert_eq!(pr["attribution"], "the observation names the session");
    assert_eq!(pr["problem"], "unreachable");
    assert_eq!(pr["problem_since"], "1970-01-01T00:00:00.000Z");
    let shown = env.ok(&["pr", "get", "octo/hello#7", "-v"]);
    for (name, value) in [
        ("attribution", "the observation names the session"),
        ("problem", "unreachable"),
        ("problem_since", "1970-01-01T00:00:00.000Z"),
    ] {
        assert!(shown.contains(&format!("{name:<20}{value}\n")), "{shown}");
    }
    let document = r#"{"pr": "octo/hello#8", "session": "demo-1"}"#;
    env.ok(&["observe", "apply", &env.file("document.json", document)]);
    let other = env.json("pr.get", &["pr", "get", "octo/hello#8"]);
    assert_eq!((&other["problem"], &other["problem_since"]), (&json!(""), &Value::Null));
}
