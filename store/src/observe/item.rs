//! The four kinds of item: their facet, their key, and how stored facts complete the item of a webhook
//! delivery, which lacks some of them.

use std::borrow::Cow;
use std::collections::HashSet;
use std::hash::Hash;

use crate::db::text::text;
use crate::db::tx::{Snapshot, Tx};
use crate::error::Result;
use crate::model::check_set;
use crate::model::id::PrId;
use crate::model::observation::{
    Check, CheckKind, CheckStatus, Comment, Review, ReviewState, Thread,
};
use crate::model::time::Timestamp;
use crate::row::facet;
use crate::row::observed::FacetName;
use crate::row::set::{self, Delta, SetRow};

/// An element of one of the four sets.
pub(super) trait Item: SetRow + Clone + Hash {
    /// The facet.
    const NAME: FacetName;

    /// Identifies the item in its facet.
    fn key(&self) -> Cow<'_, str>;

    /// How far the item is in its life. Times of the provider are whole seconds: between facts of equal
    /// times the later stage is the newer one.
    fn stage(&self) -> u8;

    /// The stored set.
    fn stored(snapshot: &Snapshot<'_>, pr: &PrId) -> Result<Vec<Self>>;

    /// The item, with its missing facts taken from the stored one.
    fn complete(&self, _tx: &Tx<'_>, _pr: &PrId) -> Result<Self> {
        Ok(self.clone())
    }

    /// What is stored of the items of a complete set.
    fn settle(items: &[Self]) -> Cow<'_, [Self]> {
        Cow::Borrowed(items)
    }

    /// Stores the items, deletes those with the ids `gone`, and keeps the others.
    fn merge(tx: &Tx<'_>, pr: &PrId, items: &[Self], gone: &[String]) -> Result<Delta> {
        let gone: Vec<_> = gone.iter().map(|id| vec![id.as_str()]).collect();
        set::merge(tx, pr, items, &gone)
    }

    /// Stores the uncaptured parts of the items.
    fn keep_extras(_tx: &Tx<'_>, _pr: &PrId, _items: &[Self]) -> Result<()> {
        Ok(())
    }
}

/// The key of the row of a check, after the pull request.
pub(super) fn row_key(check: &Check) -> [&str; 8] {
    let Check { head_sha, kind, app, workflow, event, name, suite, external_id, .. } = check;
    [head_sha, kind.as_str(), app, workflow, event, name, suite, external_id]
}

impl Item for Check {
    const NAME: FacetName = FacetName::Checks;

    fn key(&self) -> Cow<'_, str> {
        Cow::Owned(check_set::identity(self))
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

    /// A webhook delivery contains neither workflow nor event, nor whether the check is required. What has
    /// no id either is the only check of its name.
    fn complete(&self, tx: &Tx<'_>, pr: &PrId) -> Result<Check> {
        let mut check = self.clone();
        if !(check.workflow.is_empty() && check.event.is_empty()) {
            return Ok(check);
        }
        let namesakes = facet::namesakes(tx, pr, self)?;
        let has_id = !self.external_id.is_empty();
        let is_only = namesakes.len() == 1 && self.kind != CheckKind::Status;
        let is_only = is_only && !has_id && self.suite.is_empty();
        for known in namesakes {
            if is_only || (has_id && known.external_id == self.external_id) {
                (check.app, check.workflow, check.event) = (known.app, known.workflow, known.event);
                check.external_id = known.external_id;
                if check.suite.is_empty() {
                    check.suite = known.suite;
                }
            }
            check.is_required = check.is_required.or(known.is_required);
        }
        Ok(check)
    }

    fn settle(items: &[Check]) -> Cow<'_, [Check]> {
        Cow::Owned(check_set::settle(items))
    }

    /// A check has no id by which it could be removed. One that is stored goes when it was run again, or
    /// when more of its identity is known.
    fn merge(tx: &Tx<'_>, pr: &PrId, checks: &[Check], _gone: &[String]) -> Result<Delta> {
        let stored = facet::checks(tx, pr)?;
        let merged: HashSet<_> = checks.iter().map(Item::key).collect();
        let others = stored.iter().filter(|it| !merged.contains(&it.key()));
        let all: Vec<_> = others.chain(checks).cloned().collect();
        let settled = check_set::settle(&all);
        let remaining: HashSet<_> = settled.iter().map(row_key).collect();
        let is_gone = |check: &&Check| !remaining.contains(&row_key(check));
        let gone: Vec<_> =
            stored.iter().filter(is_gone).map(|check| row_key(check).to_vec()).collect();
        let known: HashSet<_> = stored.iter().collect();
        let changed: Vec<_> =
            settled.iter().filter(|check| !known.contains(check)).cloned().collect();
        set::merge(tx, pr, &changed, &gone)
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

    fn key(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.id)
    }

    /// A thread has no time of its own: resolving and reopening it move none. It begins unresolved, so
    /// where it was resolved and is unresolved at one time, the latter is the later.
    fn stage(&self) -> u8 {
        u8::from(!self.is_resolved)
    }

    fn stored(snapshot: &Snapshot<'_>, pr: &PrId) -> Result<Vec<Thread>> {
        facet::threads(snapshot, pr)
    }
}

impl Item for Review {
    const NAME: FacetName = FacetName::Reviews;

    fn key(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.id)
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

    fn key(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.id)
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
            let is_minimized: bool = row.get(3)?;
            Ok((text(row, 0)?, text(row, 1)?, text(row, 2)?, is_minimized, edited_at))
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
