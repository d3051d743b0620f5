//! Requests to poll something now, until a poll has answered them.

use std::collections::BTreeMap;

use ao_store::Timestamp;
use ao_store::row::scm::RefreshRequest;

/// The stored refresh requests by repository and number, each with the time at which it was noticed
/// by the clock of this observer's requests: the clock of the requester may differ, and ours may be
/// set back.
#[derive(Debug, Default)]
pub(crate) struct RefreshRequests(BTreeMap<(String, i64), (RefreshRequest, Timestamp)>);

impl RefreshRequests {
    /// Takes over the stored requests; returns those that are new.
    pub(crate) fn update(
        &mut self,
        stored: Vec<RefreshRequest>,
        now: Timestamp,
    ) -> Vec<RefreshRequest> {
        let mut known = std::mem::take(&mut self.0);
        let mut new = Vec::new();
        for request in stored {
            let key = (request.repo.to_ascii_lowercase(), request.number);
            let noticed_at = match known.remove(&key) {
                Some((old, noticed_at)) if old.at >= request.at => noticed_at,
                _ => {
                    new.push(request.clone());
                    now
                }
            };
            self.0.insert(key, (request, noticed_at));
        }
        new
    }

    /// Removes and returns the requests that were answered since they were noticed.
    pub(crate) fn take_answered(
        &mut self,
        is_answered: impl Fn(&RefreshRequest, Timestamp) -> bool,
    ) -> Vec<RefreshRequest> {
        let answered = self.0.extract_if(.., |_, (request, at)| is_answered(request, *at));
        answered.map(|(_, (request, _))| request).collect()
    }
}
