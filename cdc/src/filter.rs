//! Which changes a consumer wants. Values of one kind are alternatives; kinds must all hold.

use ao_store::row::change::{Change, ChangeRef};
use ao_store::{CHANGE_TYPES, ProjectId, SessionId};

use crate::error::{Error, Result};

/// A filter; an empty list lets everything through.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    types: Vec<String>,
    projects: Vec<ProjectId>,
    sessions: Vec<SessionId>,
}

impl Filter {
    /// A filter of change types, projects and sessions.
    ///
    /// # Errors
    /// [`Error::UnknownType`] when no change has one of the types.
    pub fn new(
        types: Vec<String>,
        projects: Vec<ProjectId>,
        sessions: Vec<SessionId>,
    ) -> Result<Filter> {
        if let Some(unknown) = types.iter().find(|kind| !CHANGE_TYPES.contains(&kind.as_str())) {
            return Err(Error::UnknownType(unknown.clone()));
        }
        Ok(Filter { types, projects, sessions })
    }

    /// Whether everything passes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.types.is_empty() && self.projects.is_empty() && self.sessions.is_empty()
    }

    /// Whether a change under the read cursor passes; its images are not fetched for that.
    ///
    /// # Errors
    /// When the row is damaged.
    pub fn matches_ref(&self, change: &ChangeRef<'_>) -> Result<bool, ao_store::Error> {
        if self.is_empty() {
            return Ok(true);
        }
        let kind = change.kind()?;
        Ok(self.matches_parts(&kind, change.project()?.as_deref(), change.session()?.as_deref()))
    }

    /// Whether a change passes.
    #[must_use]
    pub fn matches(&self, change: &Change) -> bool {
        self.matches_parts(&change.kind, change.project.as_deref(), change.session.as_deref())
    }

    fn matches_parts(&self, kind: &str, project: Option<&str>, session: Option<&str>) -> bool {
        (self.types.is_empty() || self.types.iter().any(|wanted| wanted == kind))
            && (self.projects.is_empty()
                || self.projects.iter().any(|wanted| Some(wanted.as_str()) == project))
            && (self.sessions.is_empty()
                || self.sessions.iter().any(|wanted| Some(wanted.as_str()) == session))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_alternatives_and_kinds_must_all_hold() {
        let filter = Filter::new(
            vec!["pr_created".to_owned(), "pr_updated".to_owned()],
            vec!["demo".parse().unwrap()],
            vec![],
        )
        .unwrap();
        assert!(filter.matches_parts("pr_created", Some("demo"), None));
        assert!(filter.matches_parts("pr_updated", Some("demo"), Some("demo-1")));
        assert!(!filter.matches_parts("pr_deleted", Some("demo"), None));
        assert!(!filter.matches_parts("pr_created", Some("other"), None));
        assert!(!filter.matches_parts("pr_created", None, None));
        assert!(Filter::default().matches_parts("anything", None, None));
    }

    #[test]
    fn an_unknown_type_is_refused() {
        let result = Filter::new(vec!["pr_create".to_owned()], vec![], vec![]);
        assert!(matches!(result, Err(Error::UnknownType(_))));
    }
}
