//! The four kinds of item: their facet, their key, and how stored facts complete the item of a webhook
//! delivery, which lacks some of them.

use std::hash::Hash;

use crate::db::tx::{Snapshot, Tx};
use crate::error::Result;
use crate::model::id::PrId;
use crate::model::observation::{Check, CheckStatus, Comment, Review, ReviewState, Thread};
use crate::model::time::Timestamp;
use crate::row::facet;
use crate::row::observed::FacetName;
use crate::row::set::SetRow;

/// An element of one of the four sets.
pub(super) trait Item: SetRow + Clone + Hash {
    /// The facet.
    const NAME: FacetName;

    /// Identifies the item in its facet.
    fn key(&self) -> String;

    /// How far the item is in its life. Times of the provider are whole seconds: between facts of equal
    /// times the later stage is the newer one.
    fn stage(&self) -> u8;

    /// The stored set.
    fn stored(snapshot: &Snapshot<'_>, pr: &PrId) -> Result<Vec<Self>>;

    /// The item, with its missing facts taken from the stored one.
    fn complete(&self, _tx: &Tx<'_>, _pr: &PrId) -> Result<Self> {
        Ok(self.clone())
    }

    /// Stores the uncaptured parts of the items.
    fn keep_extras(_tx: &Tx<'_>, _pr: &PrId, _items: &[Self]) -> Result<()> {
        Ok(())
    }
}

/// The stored check of a webhook delivery: the one with the same id, else, as after a second run, the
/// only one with the same name.
const SELECT_CHECK: &str = "SELECT app, workflow, event, name, is_required FROM pr_check
    WHERE pr_id = ?1 AND head_sha = ?2 AND kind = ?3
      AND ((external_id = ?4 AND external_id <> '') OR (app = ?5 AND name = ?6
        AND 1 = (SELECT count(*) FROM pr_check
          WHERE pr_id = ?1 AND head_sha = ?2 AND kind = ?3 AND app = ?5 AND name = ?6)))
    ORDER BY external_id <> ?4 LIMIT 1";

impl Item for Check {
    const NAME: FacetName = FacetName::Checks;

    fn key(&self) -> String {
        let Check { head_sha, app, workflow, event, name, .. } = self;
        // Debug quotes each part, so keys are unique.
        format!("{:?}", (head_sha, self.kind.as_str(), app, workflow, event, name))
    }

    /// A short check is queued, started and completed within one second.
    fn stage(&self) -> u8 {
        match self.status {
            CheckStatus::Queued => 0,
            CheckStatus::InProgress => 1,
            _ => 2,
        }
    }

    fn stored(snapshot: &Snapshot<'_>, pr: &PrId) -> Result<Vec<Check>> {
        facet::checks(snapshot, pr)
    }

    /// A webhook delivery contains neither workflow nor event, nor whether the check is required.
    fn complete(&self, tx: &Tx<'_>, pr: &PrId) -> Result<Check> {
        let mut check = self.clone();
        if !(check.workflow.is_empty() && check.event.is_empty()) {
            return Ok(check);
        }
        let Check { head_sha, external_id, app, name, .. } = self;
        let params = (pr.as_str(), head_sha, self.kind.as_str(), external_id, app, name);
        let known = tx.one("find a check", SELECT_CHECK, params, |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
        })?;
        if let Some((app, workflow, event, name, is_required)) = known {
            (check.app, check.workflow, check.event, check.name) = (app, workflow, event, name);
            check.is_required = check.is_required.or(is_required);
        }
        Ok(check)
    }

    /// The last lines of the log of each stored check, bounded.
    fn keep_extras(tx: &Tx<'_>, pr: &PrId, checks: &[Check]) -> Result<()> {
        for check in checks.iter().filter(|check| !check.external_id.is_empty()) {
            if let Some(tail) = &check.log_tail {
                facet::set_log_tail(tx, pr, &check.external_id, tail)?;
            }
        }
        Ok(())
    }
}

impl Item for Thread {
    const NAME: FacetName = FacetName::Threads;

    fn key(&self) -> String {
        self.id.clone()
    }

    /// A thread has no time of its own: resolving and reopening it move none, so of equal times the
    /// last delivery decides.
    fn stage(&self) -> u8 {
        0
    }

    fn stored(snapshot: &Snapshot<'_>, pr: &PrId) -> Result<Vec<Thread>> {
        facet::threads(snapshot, pr)
    }
}

impl Item for Review {
    const NAME: FacetName = FacetName::Reviews;

    fn key(&self) -> String {
        self.id.clone()
    }

    fn stage(&self) -> u8 {
        match self.state {
            ReviewState::Pending | ReviewState::Unknown => 0,
            ReviewState::Approved | ReviewState::ChangesRequested | ReviewState::Commented => 1,
            ReviewState::Dismissed => 2,
        }
    }

    fn stored(snapshot: &Snapshot<'_>, pr: &PrId) -> Result<Vec<Review>> {
        facet::reviews(snapshot, pr)
    }
}

/// The stored comment first, then the comment that it answers.
const SELECT_COMMENT: &str = "SELECT id, thread_id, reply_to, is_minimized, edited_at
    FROM pr_comment WHERE pr_id = ?1 AND id IN (?2, ?3) ORDER BY id <> ?2";

impl Item for Comment {
    const NAME: FacetName = FacetName::Comments;

    fn key(&self) -> String {
        self.id.clone()
    }

    fn stage(&self) -> u8 {
        u8::from(self.edited_at.is_some())
    }

    fn stored(snapshot: &Snapshot<'_>, pr: &PrId) -> Result<Vec<Comment>> {
        facet::comments(snapshot, pr)
    }

    /// A webhook delivery of a comment contains neither its thread nor the comment that it answers, nor
    /// whether it is hidden.
    fn complete(&self, tx: &Tx<'_>, pr: &PrId) -> Result<Comment> {
        let mut comment = self.clone();
        let params = (pr.as_str(), &self.id, &self.reply_to);
        let known = tx.list("find a comment", SELECT_COMMENT, params, |row| {
            let edited_at: Option<i64> = row.get(4)?;
            Ok((
                row.get::<_, String>(0)?,
                row.get(1)?,
                row.get(2)?,
                row.get::<_, bool>(3)?,
                edited_at,
            ))
        })?;
        for (id, thread_id, reply_to, is_minimized, edited_at) in known {
            if comment.thread_id.is_empty() {
                comment.thread_id = thread_id;
            }
            if id == self.id {
                if comment.reply_to.is_empty() {
                    comment.reply_to = reply_to;
                }
                comment.is_minimized |= is_minimized;
                comment.edited_at = comment.edited_at.or(edited_at.map(Timestamp));
            }
        }
        Ok(comment)
    }
}
