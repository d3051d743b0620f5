//! What is read of the subjects: all of them, or those that changes touched.

use std::collections::{BTreeSet, HashMap};

use ao_store::row::scm::{self, PrPoll, SubjectPr, SubjectProject};
use ao_store::{PrId, Result, Snapshot, Timestamp};

use crate::poll::touched::Touched;

/// What was read of the subjects of one host.
#[derive(Debug)]
pub(crate) struct SubjectsRead {
    /// The pull requests that were searched; those that were not found are no longer tracked. `None`
    /// when all were.
    pub(crate) only: Option<BTreeSet<PrId>>,
    pub(crate) prs: Vec<(SubjectPr, PrPoll)>,
    /// `None` when no project and no session was touched.
    pub(crate) scans: Option<Vec<SubjectProject>>,
}

impl SubjectsRead {
    /// Reads what was touched.
    pub(crate) fn of(
        snapshot: &Snapshot<'_>,
        touched: Touched,
        host: &str,
        ended_before: Timestamp,
    ) -> Result<SubjectsRead> {
        let Touched::Some { prs: only, sessions } = touched else {
            let subjects = scm::subjects(snapshot, host, ended_before)?;
            let mut polls: HashMap<_, _> = scm::polls(snapshot, host)?.into_iter().collect();
            let with_poll = |subject: SubjectPr| {
                let poll = polls.remove(&subject.pr.id).unwrap_or_default();
                (subject, poll)
            };
            let prs = subjects.prs.into_iter().map(with_poll).collect();
            return Ok(SubjectsRead { only: None, prs, scans: Some(subjects.scans) });
        };
        let found = scm::subject_prs(snapshot, host, &only, &sessions, ended_before)?;
        let with_poll = |subject: SubjectPr| {
            let poll = scm::poll(snapshot, &subject.pr.id)?.unwrap_or_default();
            Ok((subject, poll))
        };
        let prs = found.into_iter().map(with_poll).collect::<Result<_>>()?;
        let is_scanned = !sessions.is_empty();
        let scans = is_scanned.then(|| scm::scans(snapshot, host, ended_before)).transpose()?;
        Ok(SubjectsRead { only: Some(only), prs, scans })
    }
}
