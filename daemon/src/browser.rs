//! Logins of browsers: a link that is good for one login within a minute, and the session that it begins, which a
//! cookie names. A session names its own end, under a code that only the token of the operator can make: it outlives
//! the daemon, whose page can go on after a restart, and ends at once when that token is another one.

use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use ao_store::Timestamp;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::secret::{digest, random};

/// How long a link can be used.
pub(crate) const LINK_TIME: Duration = Duration::from_secs(60);
/// How long a session lasts.
pub(crate) const SESSION_TIME: Duration = Duration::from_secs(12 * 60 * 60);
/// How many links there are at most: a further one ends the oldest.
const MOST: usize = 64;

/// The links of a daemon, and what its sessions are made with.
#[derive(Debug)]
pub(crate) struct Browsers {
    links: Mutex<Links>,
    sessions: Hmac<Sha256>,
}

impl Browsers {
    /// Of the digest of the token of the operator.
    pub(crate) fn new(operator: &[u8; 32]) -> Browsers {
        let mut key = [0; 64];
        key[..operator.len()].copy_from_slice(operator);
        let mut sessions = Hmac::<Sha256>::new(&key.into());
        sessions.update(b"session of a browser until ");
        Browsers { links: Mutex::default(), sessions }
    }

    /// The secret of a new link.
    pub(crate) fn link(&self, now: Instant) -> io::Result<String> {
        self.locked(|links| links.add(now))
    }

    /// Begins a session at this time for the secret of a link, which is used up, and returns the secret of the
    /// session; `None` for a link that is unknown, used or too old.
    pub(crate) fn login(&self, link: &str, now: Instant, at: Timestamp) -> Option<String> {
        let end = at.after(SESSION_TIME).0.to_string();
        let code = hex::encode(self.code(&end).finalize().into_bytes());
        self.locked(|links| links.take(link, now)).then(|| format!("{end}.{code}"))
    }

    /// Whether a session of this secret lasts.
    pub(crate) fn is_session(&self, secret: &str, now: Timestamp) -> bool {
        let Some((end, code)) = secret.split_once('.') else { return false };
        let lasts = end.parse().is_ok_and(|end| now < Timestamp(end));
        lasts && hex::decode(code).is_ok_and(|code| self.code(end).verify_slice(&code).is_ok())
    }

    /// The code of a session that ends at this time.
    fn code(&self, end: &str) -> Hmac<Sha256> {
        self.sessions.clone().chain_update(end)
    }

    fn locked<T>(&self, work: impl FnOnce(&mut Links) -> T) -> T {
        // What a panic left is whole: each change is one push or one removal.
        work(&mut self.links.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Links that end, oldest first. Only the digests of their secrets are kept, so that the time of a comparison says
/// nothing.
#[derive(Debug, Default)]
struct Links(Vec<([u8; 32], Instant)>);

impl Links {
    fn add(&mut self, now: Instant) -> io::Result<String> {
        let secret = random()?;
        self.0.retain(|(_, end)| now < *end);
        if self.0.len() >= MOST {
            self.0.remove(0);
        }
        self.0.push((digest(&secret), now + LINK_TIME));
        Ok(secret)
    }

    fn take(&mut self, secret: &str, now: Instant) -> bool {
        let wanted = digest(secret);
        let is_good = self.0.iter().any(|(known, end)| *known == wanted && now < *end);
        self.0.retain(|(known, _)| *known != wanted);
        is_good
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Timestamp = Timestamp(1_800_000_000_000);

    #[test]
    fn a_link_is_good_for_one_login_within_a_minute() {
        let (browsers, now) = (Browsers::new(&[1; 32]), Instant::now());
        let link = browsers.link(now).unwrap();
        assert_eq!(browsers.login("", now, AT), None);
        assert_eq!(browsers.login(&"0".repeat(64), now, AT), None);
        let session = browsers.login(&link, now, AT).unwrap();
        assert_eq!(browsers.login(&link, now, AT), None, "it is used");
        assert!(!browsers.is_session(&link, AT) && browsers.is_session(&session, AT));
        let late = browsers.link(now).unwrap();
        let just = LINK_TIME - Duration::from_millis(1);
        let other = browsers.link(now).unwrap();
        assert_eq!(browsers.login(&late, now + LINK_TIME, AT), None);
        assert!(browsers.login(&other, now + just, AT).is_some());
        let first = browsers.link(now).unwrap();
        let others: Vec<_> = (0..MOST).map(|_| browsers.link(now).unwrap()).collect();
        assert_eq!(browsers.login(&first, now, AT), None, "too many end the oldest");
        assert!(others.iter().all(|link| browsers.login(link, now, AT).is_some()));
    }

    #[test]
    fn a_session_lasts_until_its_end_for_the_same_token_only() {
        let (browsers, now) = (Browsers::new(&[1; 32]), Instant::now());
        let session = browsers.login(&browsers.link(now).unwrap(), now, AT).unwrap();
        let end = AT.after(SESSION_TIME);
        let again = Browsers::new(&[1; 32]);
        assert!(again.is_session(&session, Timestamp(end.0 - 1)));
        assert!(!again.is_session(&session, end));
        assert!(!Browsers::new(&[2; 32]).is_session(&session, AT));
        let (_, code) = session.split_once('.').unwrap();
        let longer = format!("{}.{code}", end.0 + 1);
        for wrong in [longer.as_str(), "", ".", code, &format!("{}.", end.0), &session[..40]] {
            assert!(!again.is_session(wrong, AT), "{wrong}");
        }
    }
}
