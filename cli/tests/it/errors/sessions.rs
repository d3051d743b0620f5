//! Provoking what the commands that run sessions refuse.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

use ao_store::Code;
use ao_store::lease::Owner;
use ao_store::row::lifecycle::instance;

use super::{Provoked, World};
use crate::support::TestEnv;

/// A command for the agent, which never gets to run.
const COMMAND: [&str; 4] = ["--harness", "custom", "--", "/bin/true"];

fn spawn(args: &[&str]) -> Provoked {
    Provoked::by(&[&["spawn", "--project", "demo"], args, &COMMAND].concat())
}

/// An account that has reached a limit.
const LIMIT: &str =
    "INSERT OR IGNORE INTO account_limit VALUES ('custom', 'demo-1', '', 1, 99999999999999);";

/// Interrupts the command, which is its parent.
const INTERRUPT: &str = "UPDATE project SET setup_command = 'kill -INT $PPID; sleep 100';";

/// What is asked for is not possible.
pub(super) fn spawning(
    code: Code,
    world: &World,
    env: &TestEnv,
) -> Option<Result<Provoked, String>> {
    let after = |sql: &str, provoked: Provoked| match env.sqlite(sql) {
        Some(_) => Ok(provoked),
        None => Err("no sqlite3".to_owned()),
    };
    Some(Ok(match code {
        Code::InvalidBranch => spawn(&["--branch", "-x"]),
        Code::InvalidPrompt => spawn(&["--prompt-file", &env.file("prompt", "a\0b")]),
        Code::InvalidHarness => {
            let file = env.path("home/.config/ao-store/harnesses.toml");
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, "[x]\nnope = 1\n").unwrap();
            Provoked::by(&["harness", "ls"])
        }
        Code::ProjectRequired => Provoked::by(&["spawn", "--harness", "codex"]),
        Code::AgentRequired => Provoked::by(&["spawn", "--project", "demo"]),
        Code::UnknownHarness => Provoked::by(&["spawn", "--project", "demo", "--harness", "nope"]),
        Code::AgentNotFound => {
            let args = ["spawn", "--project", "demo", "--harness", "custom", "--", "/nonexistent"];
            Provoked::by(&args)
        }
        Code::RuntimeMissing => Provoked { path: Some(path_with(env, None)), ..spawn(&[]) },
        Code::RuntimeFailed => {
            let tmux = "#!/bin/sh\ncase \"$*\" in *-V*) echo tmux 3.3; exit ;; \
                *kill-session*) echo no server running on x >&2 ;; *) echo broken >&2 ;; \
                esac\nexit 1\n";
            Provoked { path: Some(path_with(env, Some(tmux))), ..spawn(&[]) }
        }
        Code::AgentFailed => {
            let program = env.file("agent", "#!/nonexistent/interpreter\n");
            fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
            let args = ["spawn", "--project", "demo", "--harness", "custom", "--", &program];
            Provoked::by(&args)
        }
        Code::AdmissionLimit => return Some(after("UPDATE project SET max_live = 1;", spawn(&[]))),
        Code::AccountLimited => return Some(after(LIMIT, spawn(&[]))),
        Code::Interrupted => return Some(after(INTERRUPT, spawn(&[]))),
        Code::SetupFailed => {
            return Some(after("UPDATE project SET setup_command = 'exit 3';", spawn(&[])));
        }
        Code::ProjectNotResolvable => {
            return Some(after("UPDATE project SET path = '/nonexistent';", spawn(&[])));
        }
        Code::BranchElsewhere => spawn(&["--branch", "main"]),
        Code::BranchNotFetched => spawn(&["--branch", "nowhere"]),
        Code::BranchExists => {
            env.git(&["-C", &world.demo, "branch", "--force", "side"]);
            spawn(&["--branch", "side", "--create-branch"])
        }
        Code::WorktreeExists => {
            // A number is never used again, and the command is run several times.
            for num in 5..15 {
                fs::create_dir_all(env.path(&format!("data/worktrees/demo/demo-{num}/x"))).unwrap();
            }
            spawn(&[])
        }
        _ => return None,
    }))
}

/// A `PATH` with git, and with this script as tmux.
fn path_with(env: &TestEnv, tmux: Option<&str>) -> PathBuf {
    let dir = env.path("programs");
    fs::create_dir_all(&dir).unwrap();
    let git = std::env::split_paths(&std::env::var_os("PATH").unwrap())
        .map(|dir| dir.join("git"))
        .find(|path| path.exists());
    symlink(git.unwrap(), dir.join("git")).unwrap();
    if let Some(script) = tmux {
        fs::write(dir.join("tmux"), script).unwrap();
        fs::set_permissions(dir.join("tmux"), fs::Permissions::from_mode(0o755)).unwrap();
    }
    dir
}

/// The state of the session forbids it. The sessions are made by SQL.
pub(super) fn existing(code: Code, _: &World, env: &TestEnv) -> Option<Result<Provoked, String>> {
    let (owner, boot) = (Owner::this_process().to_string(), instance::boot_id());
    let ours = "spawner = 'i1', harness = 'custom', worktree_path = '/w'";
    let (sql, args) = match code {
        Code::SessionBusy => (
            format!(
                "INSERT INTO instance VALUES ('i1', '{owner}', '{boot}', 'test', 1);
                 INSERT INTO session_operation (session_id, verb, instance, started_at)
                 VALUES ('demo-1', 'kill', 'i1', 1);"
            ),
            ["kill", "demo-1"],
        ),
        Code::SessionExternal => (
            "UPDATE session SET worktree_path = '/w' WHERE id = 'demo-4';".to_owned(),
            ["restore", "demo-4"],
        ),
        Code::SessionNotRunning => {
            (format!("UPDATE session SET {ours} WHERE id = 'demo-1';"), ["attach", "demo-1"])
        }
        Code::NoTerminal => (
            format!(
                "UPDATE session SET {ours}, runtime_kind = 'process', launch_id = 'l1' WHERE id = 'demo-1';
                 INSERT INTO launch (id, session_id, project_id, num, kind, instance, boot_id, created_at)
                 VALUES ('l1', 'demo-1', 'demo', 1, 'fresh', 'i1', '{boot}', 1);"
            ),
            ["attach", "demo-1"],
        ),
        Code::SessionNotRestorable => (String::new(), ["restore", "demo-1"]),
        Code::SessionIncomplete => (String::new(), ["restore", "demo-4"]),
        Code::SessionNotResumable => (
            format!(
                "UPDATE session SET {ours} WHERE id = 'demo-4';
                 INSERT INTO session_start VALUES ('demo-4', '', '[\"/bin/true\"]', 1);"
            ),
            ["restore", "demo-4"],
        ),
        Code::AgentNotExited => (
            format!(
                "UPDATE session SET {ours}, spawned_at = 1, launch_id = 'l1' WHERE id = 'demo-1';
                 INSERT INTO launch (id, session_id, project_id, num, kind, instance, boot_id,
                 supervisor, created_at, started_at) VALUES ('l1', 'demo-1', 'demo', 1, 'fresh', 'i1',
                 '{boot}', '{owner}', 1, 1);"
            ),
            ["relaunch", "demo-1"],
        ),
        _ => return None,
    };
    let provoked = Provoked::by(&[&["session"], &args[..]].concat());
    Some(match sql.is_empty() || env.sqlite(&sql).is_some() {
        true => Ok(provoked),
        false => Err("no sqlite3".to_owned()),
    })
}

/// What an agent does or asks forbids it.
pub(super) fn agents(code: Code, _: &World, env: &TestEnv) -> Option<Result<Provoked, String>> {
    let answer = Provoked::by(&["session", "answer", "demo-1", "--allow"]);
    let harness = match code {
        Code::ConditionLost => {
            return Some(Ok(Provoked::by(&["session", "wait", "demo-4", "--for", "idle"])));
        }
        Code::DecisionNotOpen => return Some(Ok(answer)),
        Code::AnswerNotPossible => "custom",
        Code::AnswerNotTaken => "claude-code",
        _ => return None,
    };
    let sql = format!(
        "UPDATE session SET spawner = 'i1', harness = '{harness}', runtime_kind = 'tmux', launch_id = 'l1'
         WHERE id = 'demo-1';
         INSERT INTO launch (id, session_id, project_id, num, kind, instance, boot_id, created_at)
         VALUES ('l1', 'demo-1', 'demo', 1, 'fresh', 'i1', 'b', 1);
         INSERT INTO decision (id, session_id, project_id, launch_id, kind, tool, call, text, options,
         source, requested_at)
         VALUES ('l1.1', 'demo-1', 'demo', 'l1', 'permission', '', '', '', '[]', 'hook', 1);"
    );
    // It shows the same dialog whatever is typed.
    let tmux = "#!/bin/sh\ncase \"$*\" in *capture-pane*) printf 'Do you want to go on?\\n ❯ 1. Yes\\n \
        Esc to cancel · Tab to amend\\n' ;; *display-message*) echo 0 ;; esac\n";
    let path = Some(path_with(env, Some(tmux)));
    Some(match env.sqlite(&sql) {
        Some(_) => Ok(Provoked { path, ..answer }),
        None => Err("no sqlite3".to_owned()),
    })
}
