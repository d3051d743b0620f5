//! Provoking what the commands about turns refuse, and how a turn ends without an answer.

use ao_store::turn::agent::{self, Agent};
use ao_store::turn::finish::Outcome;
use ao_store::turn::org;
use ao_store::turn::{Reason, sweep};
use ao_store::{Cause, Code, Tx};

use super::{Provoked, World};
use crate::support::TestEnv;
use crate::turns::{Worker, stored};

pub(super) fn turns(code: Code, _: &World, env: &TestEnv) -> Option<Result<Provoked, String>> {
    let send = ["turn", "send", "x", "--key", "k"];
    let accept = |more: &[&str]| env.ok(&[&send[..], &["--no-wait"], more].concat());
    Some(Ok(match code {
        Code::OrgNotFound => Provoked::by(&["agent", "ls", "--org", "nope"]),
        Code::AgentIsSession => {
            let session = "demo-1".parse().unwrap();
            let add = move |tx: &Tx<'_>| {
                org::ensure(tx, &org::local())?;
                let new = Agent::new(org::local(), "writer".parse()?, tx.now());
                agent::add(tx, &Agent { session: Some(session), ..new })
            };
            stored(env).write(Cause::now("test"), add).unwrap();
            Provoked::by(&["worker", "run", "--agent", "writer", "--", "true"])
        }
        Code::AgentUnknown => Provoked::by(&["agent", "get", "nope"]),
        Code::ConversationNotFound => Provoked::by(&["conversation", "get", "c0"]),
        Code::TurnNotFound => Provoked::by(&["turn", "get", "t0"]),
        Code::TurnKeyUsed => {
            accept(&[]);
            Provoked::by(&["turn", "send", "y", "--key", "k"])
        }
        Code::ConversationBusy => {
            accept(&[]);
            let id = env.ok(&["conversation", "ls", "-o", "name"]);
            Provoked::by(&["conversation", "reset", id.trim()])
        }
        Code::TurnFailed => {
            accept(&[]);
            let (reason, text) = (Reason::AgentError, "no disk".to_owned());
            let failure = Outcome::Failure { reason, text, limit_ends_at: None };
            Worker::of(env).claim().finish(failure);
            Provoked::by(&send)
        }
        Code::TurnCancelled => {
            let id = accept(&[]);
            env.ok(&["turn", "cancel", id.trim()]);
            Provoked::by(&send)
        }
        Code::TurnExpired => {
            accept(&["--expires", "1ms"]);
            let swept = || sweep::sweep(&stored(env), &Cause::now("test"), |_| {}).unwrap();
            while swept().ended.is_empty() {}
            Provoked::by(&send)
        }
        _ => return None,
    }))
}
