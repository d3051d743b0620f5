//! Provoking what can go wrong between the observer and its host.

use std::fs;
use std::sync::{Arc, Mutex};

use ao_fake_github::{Clock, Fault, Kind, NewPr, Server, World as GitHub};
use ao_store::Code;

use super::{Provoked, World};
use crate::support::TestEnv;

/// The host that is to be observed, or who else observes.
pub(super) fn observing(code: Code, _: &World, env: &TestEnv) -> Option<Result<Provoked, String>> {
    let facing = |fault: Option<Kind>| {
        let mut host = GitHub::new(1);
        host.set_clock(Clock::Real);
        host.add_repo("octo/hello");
        host.open_pr(&NewPr::new("octo/hello", "b1"));
        host.faults.extend(fault.map(Fault::always));
        let host = Some(Server::start(Arc::new(Mutex::new(host))).unwrap());
        Provoked { host, ..Provoked::by(&["observe", "--once"]) }
    };
    Some(Ok(match code {
        Code::CredentialsMissing => Provoked::by(&["observe", "--once"]),
        Code::CredentialsInvalid => facing(Some(Kind::unauthorized())),
        // The pull request that is stored without a node id is asked for by its number.
        Code::ScmIncomplete => facing(Some(Kind::AliasNull(
            "p0/pullRequest".to_owned(),
            Some("SOMETHING_NEW".to_owned()),
        ))),
        Code::ScmThrottled => facing(Some(Kind::primary_limit())),
        Code::ScmUnavailable => facing(Some(Kind::internal())),
        Code::DaemonRunning | Code::DaemonUnanswered => {
            let lock = fs::File::create(env.path("data/daemon.lock")).unwrap();
            lock.try_lock().unwrap();
            let start = ["start", "--timeout", "100ms"];
            let args = if code == Code::DaemonRunning { &["daemon"][..] } else { &start };
            Provoked { _hold: Some(Box::new(lock)), ..Provoked::by(args) }
        }
        Code::DaemonFailed => {
            // Where its tokens should be is a file.
            fs::write(env.path("data/tokens"), "").unwrap();
            Provoked::by(&["start"])
        }
        Code::TokenNotFound => Provoked::by(&["token", "revoke", "nobody"]),
        Code::TokenExists => {
            env.ok(&["token", "create", "--read", "dashboard"]);
            Provoked::by(&["token", "create", "--read", "dashboard"])
        }
        Code::ObserverRunning => {
            let lock = fs::File::create(env.path("data/observer.lock")).unwrap();
            lock.try_lock().unwrap();
            Provoked { _hold: Some(Box::new(lock)), ..Provoked::by(&["observe"]) }
        }
        _ => return None,
    }))
}
