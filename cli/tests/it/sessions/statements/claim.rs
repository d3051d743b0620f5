//! 3.4: a session that is spawned together with a claim exists with its pull request, or not at all.

use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard};

use ao_fake_github::{Clock, NewPr, Server, World};

use super::{refused_untouched, shell, spawning, traces};
use crate::sessions::Lab;
use crate::sessions::failpoints::{FAILURES, SPAWN, succeeds};
use crate::support::{Output, TestEnv, finish, text};

const TOKEN: &str = "ghp_0123456789abcdefghijABCDEFGHIJ";
const PR: &str = "octo/hello#1";

/// A lab whose project is at a GitHub that has the pull request [`PR`].
struct Host {
    lab: Lab,
    world: Arc<Mutex<World>>,
    server: Server,
    /// The id of the pull request at the host.
    pr: String,
}

impl Host {
    fn new() -> Host {
        let mut world = World::new(1);
        world.set_clock(Clock::Real);
        world.remove_token("token");
        world.add_token(TOKEN, "octo-dev");
        world.add_repo("octo/hello");
        let pr = world.open_pr(&NewPr::new("octo/hello", "elsewhere"));
        let world = Arc::new(Mutex::new(world));
        let server = Server::start(Arc::clone(&world)).unwrap();
        Host { lab: Lab::of(TestEnv::with_demo()), world, server, pr }
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    /// Spawns a session that claims.
    fn spawn(&self, pr: &str, more: &[&str]) -> Output {
        let first = ["spawn", "--project", "demo", "--harness", "custom", "--no-fetch"];
        self.run(&[&first[..], &["--claim-pr", pr], more, &["--", &self.lab.agent]].concat())
    }

    fn run(&self, args: &[&str]) -> Output {
        finish(&mut self.command(args), b"")
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.lab.command(args);
        command.env("AO_GITHUB_API_URL", &self.server.url).env("GH_TOKEN", TOKEN);
        command
    }

    /// Spawns, which must be refused before anything exists.
    fn refused(&self, pr: &str, more: &[&str], exit: i32, code: &str) -> String {
        let (before, head) = (traces(&self.lab), self.lab.env.head());
        let output = self.spawn(pr, more);
        assert_eq!(output.code, exit, "{pr} {more:?}: {}{}", output.stdout, output.stderr);
        assert!(output.stderr.contains(&format!("error[{code}]")), "{}", output.stderr);
        assert_eq!((traces(&self.lab), self.lab.env.head()), (before, head), "{pr} {more:?}");
        self.lab.check_no_orphan();
        output.stderr
    }

    fn spawned(&self, pr: &str, more: &[&str]) -> String {
        let output = self.spawn(pr, more);
        assert_eq!(output.code, 0, "{}", output.stderr);
        output.stdout.trim().to_owned()
    }

    fn owner(&self) -> String {
        self.lab.sql("SELECT session_id FROM pr")
    }
}

/// There is no session yet whose id the error could name.
#[test]
fn an_orchestrator_that_would_claim_is_refused_without_an_invented_id() {
    let host = Host::new();
    let error = host.refused(PR, &["--kind", "orchestrator"], 5, "SESSION_NOT_CLAIMABLE");
    assert!(error.contains("an orchestrator cannot own a pull request"), "{error}");
    assert!(!error.contains("demo-"), "{error}");
}

#[test]
fn s3_4_9_takeover_needs_a_claim() {
    let lab = Lab::new();
    let args = ["spawn", "--project", "demo", "--harness", "custom", "--takeover"];
    refused_untouched(&lab, &args, 2, "USAGE");
}

#[test]
fn s3_4_10_the_project_is_checked_before_the_host_is_asked() {
    let host = Host::new();
    let args = ["spawn", "--project", "ghost", "--harness", "custom", "--claim-pr", PR];
    let output = host.run(&[&args[..], &["--", &host.lab.agent]].concat());
    assert!(output.stderr.contains("error[PROJECT_NOT_FOUND]"), "{}", output.stderr);
    assert_eq!((output.code, host.world().counters.total()), (3, 0));
}

#[test]
fn s3_4_11_the_pull_request_is_owned_from_the_start() {
    let host = Host::new();
    let id = host.spawned(PR, &["--prompt", "p"]);
    assert_eq!(host.owner(), id);
    let types = host.lab.env.types();
    assert_eq!(types.iter().filter(|it| *it == "pr_created").count(), 1, "{types:?}");
    host.lab.check_no_orphan();
}

#[test]
fn s3_4_11_a_draft_can_be_claimed() {
    let host = Host::new();
    let draft = NewPr { draft: true, ..NewPr::new("octo/hello", "draft") };
    host.world().open_pr(&draft);
    let id = host.spawned("octo/hello#2", &[]);
    assert_eq!(host.owner(), id);
}

#[test]
fn s3_4_11_what_cannot_be_claimed_spawns_nothing() {
    let host = Host::new();
    host.world().add_repo("octo/other");
    host.world().open_pr(&NewPr::new("octo/other", "elsewhere"));
    host.refused("octo/hello#9", &[], 3, "PR_NOT_FOUND");
    host.refused("octo/other#1", &[], 5, "PR_PROJECT_MISMATCH");
    host.refused("nonsense", &[], 2, "INVALID_PR_REF");
    host.refused(PR, &["--kind", "orchestrator"], 5, "SESSION_NOT_CLAIMABLE");
    let closed = host.world().open_pr(&NewPr::new("octo/hello", "closed"));
    host.world().close(&closed);
    host.refused("octo/hello#2", &[], 5, "PR_NOT_OPEN");
    let pr = host.pr.clone();
    host.world().merge(&pr);
    host.refused(PR, &[], 5, "PR_NOT_OPEN");
}

#[test]
fn s3_4_11_an_active_owner_keeps_it_unless_taken_over() {
    let host = Host::new();
    let first = host.spawned(PR, &[]);
    let error = host.refused(PR, &[], 5, "PR_CLAIMED_BY_ACTIVE_SESSION");
    assert!(error.contains(&first), "{error}");
    let second = host.spawned(PR, &["--takeover"]);
    assert_eq!(host.owner(), second);
    assert_eq!(host.lab.get(&first)["is_terminated"], false, "it only lost the pull request");
    host.lab.ok(&["session", "kill", &second]);
    let third = host.spawned(PR, &[]);
    assert_eq!(host.owner(), third, "a terminated owner is none");
}

#[test]
fn s3_4_11_without_credentials_or_host_nothing_is_spawned() {
    let host = Host::new();
    let (before, head) = (traces(&host.lab), host.lab.env.head());
    let args =
        ["spawn", "--project", "demo", "--harness", "custom", "--no-fetch", "--claim-pr", PR];
    let args = [&args[..], &["--", &host.lab.agent]].concat();
    let refused = |api: &str, token: Option<&str>, exit: i32, code: &str| {
        let mut command = host.lab.command(&args);
        command.env("AO_GITHUB_API_URL", api);
        if let Some(token) = token {
            command.env("GH_TOKEN", token);
        }
        let output = finish(&mut command, b"");
        assert_eq!(output.code, exit, "{}", output.stderr);
        assert!(output.stderr.contains(&format!("error[{code}]")), "{}", output.stderr);
        assert_eq!((traces(&host.lab), host.lab.env.head()), (before.clone(), head.clone()));
    };
    refused(&host.server.url, None, 4, "CREDENTIALS_MISSING");
    refused(&host.server.url, Some("ghp_wrong"), 4, "CREDENTIALS_INVALID");
    refused("http://127.0.0.1:9", Some(TOKEN), 1, "SCM_UNAVAILABLE");
}

/// The claim alone: who owns it before and after, and the changes that say so.
#[test]
fn s3_4_12_a_claim_moves_a_pull_request_once() {
    let lab = Lab::of(TestEnv::with_demo());
    let ids = [1, 2, 3].map(|_| lab.ok(&["session", "new", "--project", "demo"]).trim().to_owned());
    let claim = |id: &str| lab.run(&["pr", "claim", id, PR, "--no-verify"]);
    let types = |wanted: &str| lab.env.types().iter().filter(|it| *it == wanted).count();
    assert_eq!(claim(&ids[0]).code, 0);
    assert_eq!((types("pr_created"), types("pr_session_changed")), (1, 0));
    let head = lab.env.head();
    assert_eq!(claim(&ids[0]).code, 0, "the owner again");
    let refused = claim(&ids[1]);
    assert!(refused.stderr.contains("error[PR_CLAIMED_BY_ACTIVE_SESSION]"), "{}", refused.stderr);
    assert_eq!((refused.code, lab.env.head()), (5, head));
    lab.ok(&["session", "kill", &ids[0]]);
    assert_eq!(claim(&ids[1]).code, 0, "a terminated owner is none");
    let change = lab.env.changes().pop().unwrap();
    assert_eq!(change["type"], "pr_session_changed");
    assert_eq!(change["before"]["session_id"], ids[0].as_str());
    assert_eq!(change["after"]["session_id"], ids[1].as_str());
    lab.ok(&["pr", "claim", &ids[2], PR, "--no-verify", "--takeover"]);
    assert_eq!(types("pr_session_changed"), 2);
    assert_eq!(lab.sql("SELECT session_id FROM pr"), ids[2]);
}

/// Another session becomes the owner after the checks, when the agent runs already.
#[test]
fn s3_4_13_a_claim_that_fails_late_leaves_nothing() {
    let host = Host::new();
    let lab = &host.lab;
    lab.env.ok(&["session", "new", "--project", "demo", "--branch", "elsewhere"]);
    let binary = env!("CARGO_BIN_EXE_ao-store");
    let data = lab.env.path("data");
    let setup = format!("{binary} --data-dir {} pr claim demo-1 {PR} --no-verify", text(&data));
    lab.sql(&format!("UPDATE project SET setup_command = '{setup}'"));
    let output = host.spawn(PR, &["--prompt", "p"]);
    assert_eq!(output.code, 5, "{}", output.stderr);
    assert!(output.stderr.contains("error[PR_CLAIMED_BY_ACTIVE_SESSION]"), "{}", output.stderr);
    assert_eq!(host.owner(), "demo-1");
    assert_eq!(lab.sql("SELECT group_concat(id) FROM session"), "demo-1");
    assert_eq!(lab.git(&["branch", "--list", "ao/*"]), "");
    assert_eq!(lab.git(&["worktree", "list", "--porcelain"]).matches("worktree ").count(), 1);
    assert!(lab.panes().is_empty() && lab.processes().is_empty());
}

/// The same when something else fails after the checks: nobody owns the pull request.
#[test]
fn s3_4_13_a_spawn_that_fails_late_leaves_no_owner() {
    let host = Host::new();
    host.lab.sql("UPDATE project SET setup_command = 'exit 3'");
    let output = host.spawn(PR, &[]);
    assert!(output.stderr.contains("error[SETUP_FAILED]"), "{}", output.stderr);
    assert_eq!(host.lab.sql("SELECT count(*) FROM pr"), "0");
    assert_eq!(host.lab.sql("SELECT count(*) FROM session"), "0");
    host.lab.check_no_orphan();
}

/// The same after an error, a panic and `kill -9` between every two steps.
#[test]
fn s3_4_13_a_spawn_that_fails_anywhere_leaves_the_earlier_owner() {
    let host = Host::new();
    let first = host.spawned(PR, &["--prompt", "p"]);
    let args = ["spawn", "--project", "demo", "--harness", "custom", "--no-fetch"];
    let claim = ["--claim-pr", PR, "--takeover", "--", &host.lab.agent];
    let args = [&args[..], &claim].concat();
    let sessions = || host.lab.sql("SELECT group_concat(id) FROM session");
    for step in SPAWN {
        for failure in FAILURES {
            let context = format!("{step}={failure}");
            let is_done = succeeds(&mut host.command(&args), &context);
            assert!(!is_done, "{context} was not reached");
            let report = host.lab.ok(&["reconcile"]);
            let owner = (host.owner(), sessions());
            assert_eq!(owner, (first.clone(), first.clone()), "{context}: {report}");
            host.lab.check_no_orphan();
        }
    }
    let second = host.spawned(PR, &["--takeover"]);
    assert_eq!(host.owner(), second);
}

/// An agent may claim before its session is complete. What then fails is terminated, not deleted.
#[test]
fn s3_4_13_a_spawn_that_fails_after_its_own_claim_is_settled_once() {
    let host = Host::new();
    let lab = &host.lab;
    let binary = env!("CARGO_BIN_EXE_ao-store");
    let data = lab.env.path("data");
    let claim = format!("{binary} --data-dir {} pr claim demo-1 {PR} --no-verify", text(&data));
    lab.sql(&format!("UPDATE project SET setup_command = '{claim}; exit 3'"));
    let args = spawning(lab, &["--no-fetch"]);
    let output = host.run(&args);
    assert!(output.stderr.contains("error[SETUP_FAILED]"), "{}", output.stderr);
    assert_eq!(lab.sql("SELECT count(*) FROM session_operation"), "0");
    assert_eq!(lab.get("demo-1")["is_terminated"], true);
    let head = lab.env.head();
    assert_eq!(lab.ok(&["reconcile"]), "", "there is nothing to do");
    assert_eq!(lab.env.head(), head);
}

#[test]
fn issue152_b4_exit_of_a_claim() {
    let host = Host::new();
    host.spawned(PR, &[]);
    let (before, head) = (traces(&host.lab), host.lab.env.head());
    let spawn = "spawn -p demo --harness custom --no-fetch --claim-pr";
    for (pr, exit, code) in [
        (PR, 5, "PR_CLAIMED_BY_ACTIVE_SESSION"),
        ("octo/hello#99", 3, "PR_NOT_FOUND"),
        ("https://example.com/", 2, "INVALID_PR_REF"),
    ] {
        let api = format!("AO_GITHUB_API_URL='{}' GH_TOKEN={TOKEN}", host.server.url);
        let script = format!("{api} \"$0\" {spawn} '{pr}' -- true; echo \"exit $?\"");
        let output = shell(&host.lab, &script);
        assert_eq!(output.stdout, format!("exit {exit}\n"), "{pr}: {}", output.stderr);
        assert!(output.stderr.contains(&format!("error[{code}]")), "{pr}: {}", output.stderr);
        assert_eq!((traces(&host.lab), host.lab.env.head()), (before.clone(), head.clone()));
    }
    host.lab.check_no_orphan();
}
