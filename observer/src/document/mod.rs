//! The observation document: the published JSON contract of `ao-store observe apply`.
//!
//! It is separate from the store's types, so that either can change without the other. Every field
//! is optional unless it identifies something; `null` counts as absent, unknown fields are ignored,
//! and an enum value of the provider that this program does not know becomes `unknown`.

mod facet;
mod item;
mod read;
mod text_enum;

use ao_store::observation::{Ci, Mergeable, Observation, PrFacts, PrState, ReviewDecision};
use ao_store::{PrName, PrRef, Timestamp};
use schemars::JsonSchema;
use serde::Deserialize;

pub use facet::{Facet, Listing, Mode};
pub use item::{Check, Comment, Review, Thread};
pub use read::{DOCUMENT_MAX, Numbered, UnknownFields, documents, documents_with};
pub use text_enum::{Text, TextEnum};

use crate::error::{Error, Result};
use crate::json;
use crate::time::Time;

/// The facts about one pull request from one observation. An absent field was not observed and
/// leaves the stored fact alone.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[schemars(title = "Observation document of ao-store")]
pub struct Document {
    /// Where the pull request is: `https://HOST/OWNER/REPO/pull/N`, `HOST/OWNER/REPO#N`, or
    /// `OWNER/REPO#N` on github.com. Without a node id also the id of a tracked one.
    pub pr: String,
    /// The provider's node id; it finds the pull request after a rename or transfer.
    pub node_id: Option<String>,
    /// The session that owns it; without one the store attributes the pull request.
    pub session: Option<String>,
    /// When the provider was asked (default: now). A fact older than the stored one is ignored.
    pub as_of: Option<Time>,
    /// The provider's own time of the metadata.
    pub provider_updated_at: Option<Time>,
    /// The mode of each facet that has none (default: `replace`).
    pub mode: Option<Mode>,
    /// The metadata.
    #[serde(default, deserialize_with = "json::object")]
    pub facts: Option<Facts>,
    /// The checks, of any commit.
    pub checks: Option<Facet<Check>>,
    /// The review threads.
    pub threads: Option<Facet<Thread>>,
    /// The reviews.
    pub reviews: Option<Facet<Review>>,
    /// The comments, both those on lines and those of the conversation.
    pub comments: Option<Facet<Comment>>,
}

impl Document {
    /// Replaces the id of a tracked pull request by its current location, which `find` knows. A node id
    /// identifies it better: then the document states the location.
    ///
    /// # Errors
    /// `INVALID_PR_REF`, and those of `find`.
    pub fn locate(&mut self, find: impl FnOnce(&PrName) -> ao_store::Result<PrRef>) -> Result<()> {
        let name: PrName = self.pr.parse()?;
        let has_node_id = self.node_id.as_ref().is_some_and(|id| !id.is_empty());
        if !has_node_id || name.location.is_none() {
            self.pr = find(&name)?.url();
        }
        Ok(())
    }

    /// The observation that the document describes; `now` is its time if the document has none.
    ///
    /// # Errors
    /// `INVALID_PR_REF`; `INVALID_ID` for the session; `INVALID_OBSERVATION` when a facet that is
    /// not complete or has no items is to replace the stored set, or when items are named as removed
    /// where that has no meaning.
    pub fn into_observation(self, now: Timestamp) -> Result<Observation> {
        let as_of = self.as_of.map_or(now, Timestamp::from);
        let checks = self.checks.unwrap_or_default();
        if checks.names_removed() {
            // The store knows a check by its commit and names, not by an id.
            let reason = "checks have no id to remove them by; replace them".to_owned();
            return Err(Error::InvalidObservation(reason));
        }
        Ok(Observation {
            node_id: self.node_id.unwrap_or_default(),
            session: self.session.as_deref().map(str::parse).transpose()?,
            provider_at: self.provider_updated_at.map(Timestamp::from),
            facts: self.facts.map(PrFacts::from).unwrap_or_default(),
            checks: checks.resolve("checks", self.mode)?,
            threads: self.threads.unwrap_or_default().resolve("threads", self.mode)?,
            reviews: self.reviews.unwrap_or_default().resolve("reviews", self.mode)?,
            comments: self.comments.unwrap_or_default().resolve("comments", self.mode)?,
            ..Observation::new(self.pr.parse()?, as_of)
        })
    }
}

/// The metadata of a pull request.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
pub struct Facts {
    /// The address of its page.
    pub url: Option<String>,
    /// Its title.
    pub title: Option<String>,
    /// Login of the author.
    pub author: Option<String>,
    /// Whether the author is a bot.
    pub is_author_bot: Option<bool>,
    /// Its state, with the precedence merged, closed, draft, open.
    pub state: Option<Text<PrState>>,
    /// The branch to be merged.
    pub head_ref: Option<String>,
    /// The repository of that branch, as `owner/name`.
    pub head_repo: Option<String>,
    /// The newest commit of that branch.
    pub head_sha: Option<String>,
    /// The branch that it is merged into.
    pub base_ref: Option<String>,
    /// The commit of that branch.
    pub base_sha: Option<String>,
    /// Whether it comes from a fork.
    pub is_cross_repo: Option<bool>,
    /// Lines added.
    pub additions: Option<i64>,
    /// Lines deleted.
    pub deletions: Option<i64>,
    /// Files changed.
    pub changed_files: Option<i64>,
    /// The roll-up of the checks; without it the store computes that of the head commit.
    pub ci: Option<Text<Ci>>,
    /// The provider's verdict on the reviews.
    pub review_decision: Option<Text<ReviewDecision>>,
    /// Whether the branches can be merged without conflict.
    pub mergeable: Option<Text<Mergeable>>,
    /// The provider's merge state in lower case, such as `clean`.
    pub merge_state: Option<String>,
    /// Whether it waits in a merge queue.
    pub is_in_merge_queue: Option<bool>,
    /// Whether the provider merges it as soon as it can.
    pub is_auto_merge: Option<bool>,
    /// The commit that merged it.
    pub merge_commit_sha: Option<String>,
    /// When it was opened.
    pub created_at: Option<Time>,
    /// When it was merged.
    pub merged_at: Option<Time>,
    /// When it was closed.
    pub closed_at: Option<Time>,
}

impl From<Facts> for PrFacts {
    fn from(facts: Facts) -> PrFacts {
        PrFacts {
            url: facts.url,
            title: facts.title,
            author: facts.author,
            is_author_bot: facts.is_author_bot,
            state: facts.state.map(|Text(state)| state),
            head_ref: facts.head_ref,
            head_repo: facts.head_repo,
            head_sha: facts.head_sha,
            base_ref: facts.base_ref,
            base_sha: facts.base_sha,
            is_cross_repo: facts.is_cross_repo,
            additions: facts.additions,
            deletions: facts.deletions,
            changed_files: facts.changed_files,
            ci: facts.ci.map(|Text(ci)| ci),
            review_decision: facts.review_decision.map(|Text(decision)| decision),
            mergeable: facts.mergeable.map(|Text(mergeable)| mergeable),
            merge_state: facts.merge_state,
            is_in_merge_queue: facts.is_in_merge_queue,
            is_auto_merge: facts.is_auto_merge,
            merge_commit_sha: facts.merge_commit_sha,
            created_at: facts.created_at.map(Timestamp::from),
            merged_at: facts.merged_at.map(Timestamp::from),
            closed_at: facts.closed_at.map(Timestamp::from),
        }
    }
}

/// The JSON Schema of a [`Document`].
#[must_use]
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(Document).to_value()
}
