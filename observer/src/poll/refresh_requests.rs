//! What somebody asked to look at, until there was a look.

use std::collections::BTreeMap;

use ao_store::Timestamp;
use ao_store::row::scm::RefreshRequest;

/// The pokes that are stored, each by repository and number, and when it was heard of, by the clock
/// of the requests: that of who poked may be another, and ours may be set back.
#[derive(Debug, Default)]
pub(crate) struct RefreshRequests(BTreeMap<(String, i64), (RefreshRequest, Timestamp)>);

impl RefreshRequests {
    /// Takes over what is stored now; returns what is news.
    pub(crate) fn hear(
        &mut self,
        stored: Vec<RefreshRequest>,
        now: Timestamp,
    ) -> Vec<RefreshRequest> {
        let mut known = std::mem::take(&mut self.0);
        let mut news = Vec::new();
        for poke in stored {
            let key = (poke.repo.to_ascii_lowercase(), poke.number);
            let heard = match known.remove(&key) {
                Some((old, heard)) if old.at >= poke.at => heard,
                _ => {
                    news.push(poke.clone());
                    now
                }
            };
            self.0.insert(key, (poke, heard));
        }
        news
    }

    /// Takes out those that were answered since they were heard of.
    pub(crate) fn answered(
        &mut self,
        is_open: impl Fn(&RefreshRequest, Timestamp) -> bool,
    ) -> Vec<RefreshRequest> {
        let all = std::mem::take(&mut self.0).into_iter();
        let (open, done) = all.partition(|(_, (poke, heard))| is_open(poke, *heard));
        self.0 = open;
        let done: BTreeMap<_, _> = done;
        done.into_values().map(|(poke, _)| poke).collect()
    }
}
