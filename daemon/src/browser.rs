//! Logins of browsers: a link that is good for one login within a minute, and the session that it begins, which a
//! cookie names. All of it is in memory: with the daemon it ends.

use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::secret::{digest, random};

/// How long a link can be used.
pub(crate) const LINK_TIME: Duration = Duration::from_secs(60);
/// How long a session lasts.
pub(crate) const SESSION_TIME: Duration = Duration::from_secs(12 * 60 * 60);
/// How many links, and how many sessions there are at most: a further one ends the oldest.
const MOST: usize = 64;

/// The links and sessions of a daemon.
#[derive(Debug, Default)]
pub(crate) struct Browsers {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    links: Secrets,
    sessions: Secrets,
}

impl Browsers {
    /// The secret of a new link.
    pub(crate) fn link(&self, now: Instant) -> io::Result<String> {
        self.locked(|state| state.links.add(now, LINK_TIME))
    }

    /// Begins a session for the secret of a link, which is used up, and returns the secret of the session; `None`
    /// for a link that is unknown, used or too old.
    pub(crate) fn login(&self, link: &str, now: Instant) -> io::Result<Option<String>> {
        self.locked(|state| match state.links.take(link, now) {
            true => state.sessions.add(now, SESSION_TIME).map(Some),
            false => Ok(None),
        })
    }

    /// Whether a session of this secret lasts.
    pub(crate) fn is_session(&self, secret: &str, now: Instant) -> bool {
        self.locked(|state| state.sessions.contains(secret, now))
    }

    fn locked<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        // What a panic left is whole: each change is one push or one removal.
        work(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Secrets that end, oldest first. Only their digests are kept, so that the time of a comparison says nothing.
#[derive(Debug, Default)]
struct Secrets(Vec<([u8; 32], Instant)>);

impl Secrets {
    fn add(&mut self, now: Instant, time: Duration) -> io::Result<String> {
        let secret = random()?;
        self.0.retain(|(_, end)| now < *end);
        if self.0.len() >= MOST {
            self.0.remove(0);
        }
        self.0.push((digest(&secret), now + time));
        Ok(secret)
    }

    fn contains(&self, secret: &str, now: Instant) -> bool {
        let wanted = digest(secret);
        self.0.iter().any(|(known, end)| *known == wanted && now < *end)
    }

    fn take(&mut self, secret: &str, now: Instant) -> bool {
        let (wanted, was_good) = (digest(secret), self.contains(secret, now));
        self.0.retain(|(known, _)| *known != wanted);
        was_good
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_good_for_one_login_within_a_minute() {
        let (browsers, now) = (Browsers::default(), Instant::now());
        let link = browsers.link(now).unwrap();
        assert_eq!(browsers.login("", now).unwrap(), None);
        assert_eq!(browsers.login(&"0".repeat(64), now).unwrap(), None);
        let session = browsers.login(&link, now).unwrap().unwrap();
        assert_eq!(browsers.login(&link, now).unwrap(), None, "it is used");
        assert!(!browsers.is_session(&link, now) && browsers.is_session(&session, now));
        let late = browsers.link(now).unwrap();
        let just = LINK_TIME - Duration::from_millis(1);
        let other = browsers.link(now).unwrap();
        assert_eq!(browsers.login(&late, now + LINK_TIME).unwrap(), None);
        assert!(browsers.login(&other, now + just).unwrap().is_some());
    }

    #[test]
    fn a_session_ends_after_its_time_and_too_many_end_the_oldest() {
        let (browsers, now) = (Browsers::default(), Instant::now());
        let login = || browsers.login(&browsers.link(now).unwrap(), now).unwrap().unwrap();
        let first = login();
        assert!(browsers.is_session(&first, now + SESSION_TIME - Duration::from_secs(1)));
        assert!(!browsers.is_session(&first, now + SESSION_TIME));
        let others: Vec<_> = (0..MOST).map(|_| login()).collect();
        assert!(!browsers.is_session(&first, now));
        assert!(others.iter().all(|session| browsers.is_session(session, now)));
    }
}
