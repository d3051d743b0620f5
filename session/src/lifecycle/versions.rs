//! The versions of the programs whose screens are read. A program that did not print its version, perhaps because
//! the machine was busy, is asked again, later and later.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use ao_program::Environment;

use crate::harness;

/// How long after the first failure a program is asked again. Each time it is twice as long.
const FIRST: Duration = Duration::from_secs(5);
const MOST: Duration = Duration::from_secs(15 * 60);

/// What was found out about a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Asked {
    /// Its version.
    Version(String),
    /// Nothing; it is asked again at this time.
    Again(Instant),
}

/// The versions by path and time of change.
#[derive(Debug, Default)]
pub(super) struct Versions(HashMap<(PathBuf, SystemTime), (Asked, Duration)>);

impl Versions {
    /// The version of a program; `None` for one that does not exist.
    pub(super) fn of(&mut self, path: &Path, environment: &Environment) -> Option<Asked> {
        let changed = fs::metadata(path).and_then(|found| found.modified()).ok()?;
        let key = (path.to_owned(), changed);
        Some(self.known(key, Instant::now(), || harness::version(path, environment)))
    }

    fn known(
        &mut self,
        key: (PathBuf, SystemTime),
        now: Instant,
        ask: impl FnOnce() -> Option<String>,
    ) -> Asked {
        let (asked, pause) = self.0.entry(key).or_insert((Asked::Again(now), FIRST));
        if matches!(asked, Asked::Again(at) if *at <= now) {
            *asked = ask().map_or(Asked::Again(now + *pause), Asked::Version);
            *pause = (*pause * 2).min(MOST);
        }
        asked.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_printed_no_version_is_asked_again_later_and_later() {
        let (mut versions, begun) = (Versions::default(), Instant::now());
        let at = |second: u64| begun + Duration::from_secs(second);
        let mut asked = 0;
        let mut known = |second: u64, answer: Option<&str>| {
            let key = (PathBuf::from("/bin/x"), SystemTime::UNIX_EPOCH);
            let answer = answer.map(str::to_owned);
            versions.known(key, at(second), || {
                asked += 1;
                answer
            })
        };
        assert_eq!(known(0, None), Asked::Again(at(5)));
        assert_eq!(known(4, Some("1.0")), Asked::Again(at(5)));
        assert_eq!(known(5, None), Asked::Again(at(15)));
        assert_eq!(known(14, Some("1.0")), Asked::Again(at(15)));
        let version = Asked::Version("1.0".to_owned());
        assert_eq!([known(15, Some("1.0")), known(9_999, None)], [version.clone(), version]);
        assert_eq!(asked, 3);
    }
}
