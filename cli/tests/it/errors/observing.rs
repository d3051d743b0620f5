//! Provoking what can go wrong between the observer and its host.

use std::fs;
use std::sync::{Arc, Mutex};

use ao_fake_github::{Clock, Fault, Kind, Server, World as GitHub};
use ao_store::Code;

use super::{Provoked, World};
use crate::support::TestEnv;

/// The host that is to be observed, or who else observes.
pub(super) fn observing(code: Code, _: &World, env: &TestEnv) -> Option<Result<Provoked, String>> {
    let facing = |fault: Option<Kind>| {
        let mut host = GitHub::new(1);
        host.set_clock(Clock::Real);
        host.faults.extend(fault.map(Fault::always));
        let host = Some(Server::start(Arc::new(Mutex::new(host))).unwrap());
        Provoked { host, ..Provoked::by(&["observe", "--once"]) }
    };
    Some(Ok(match code {
        Code::CredentialsMissing => Provoked::by(&["observe", "--once"]),
        Code::CredentialsInvalid => facing(Some(Kind::unauthorized())),
        Code::ScmThrottled => facing(Some(Kind::primary_limit())),
        Code::ScmUnavailable => facing(Some(Kind::internal())),
        Code::ObserverRunning => {
            let lock = fs::File::create(env.path("data/observer.lock")).unwrap();
            lock.try_lock().unwrap();
            Provoked { _hold: Some(Box::new(lock)), ..Provoked::by(&["observe"]) }
        }
        _ => return None,
    }))
}
