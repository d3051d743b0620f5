//! Which changes pass. Values of one kind are alternatives; every kind must match.

use ao_store::log::as_of::{ENTITIES, RowAt};
use ao_store::log::change::{Change, ChangeRef};
use ao_store::{CHANGE_TYPES, ProjectId, SessionId};
use serde_json::{Value, json};

use crate::error::{Error, Result};

/// A filter; an empty list passes everything. The lists are sorted, so equal filters are equal values
/// and equal texts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    types: Vec<String>,
    entities: Vec<String>,
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
        Ok(Filter {
            types: sorted(types),
            entities: Vec::new(),
            projects: sorted(projects),
            sessions: sorted(sessions),
        })
    }

    /// The same filter for these entities only, such as `pr_comment`.
    ///
    /// # Errors
    /// [`Error::UnknownEntity`] when one of them has no changes; [`Error::NothingMatches`] when none of
    /// them has one of the types.
    pub fn of_entities(self, entities: Vec<String>) -> Result<Filter> {
        if let Some(unknown) = entities.iter().find(|name| !ENTITIES.contains(&name.as_str())) {
            return Err(Error::UnknownEntity(unknown.clone()));
        }
        let filter = Filter { entities: sorted(entities), ..self };
        // An error now is better than a stream that never sends anything.
        if filter.entities().is_empty() { Err(Error::NothingMatches) } else { Ok(filter) }
    }

    /// Whether everything passes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Filter::default()
    }

    /// Whether a borrowed change passes. Does not read its images.
    ///
    /// # Errors
    /// When the row is damaged.
    pub fn matches_ref(&self, change: &ChangeRef<'_>) -> Result<bool, ao_store::Error> {
        if self.is_empty() {
            return Ok(true);
        }
        let (kind, entity) = (change.kind()?, change.entity()?);
        let (project, session) = (change.project()?, change.session()?);
        Ok(self.matches_parts(Some(&kind), &entity, project.as_deref(), session.as_deref()))
    }

    /// Whether a change passes.
    #[must_use]
    pub fn matches(&self, change: &Change) -> bool {
        let (project, session) = (change.project.as_deref(), change.session.as_deref());
        self.matches_parts(Some(&change.kind), &change.entity, project, session)
    }

    /// Whether a row of an entity belongs to a snapshot with this filter.
    #[must_use]
    pub fn matches_row(&self, entity: &str, row: &RowAt) -> bool {
        self.matches_parts(None, entity, row.project.as_deref(), row.session.as_deref())
    }

    /// The entities that can pass, owners before what they own. A type selects its entity.
    pub(crate) fn entities(&self) -> Vec<&'static str> {
        let is_wanted = |entity: &&&'static str| {
            (self.entities.is_empty() || self.entities.iter().any(|wanted| wanted == **entity))
                && (self.types.is_empty()
                    || self.types.iter().any(|kind| entity_of(kind) == Some(**entity)))
        };
        ENTITIES.iter().filter(is_wanted).copied().collect()
    }

    fn matches_parts(
        &self,
        kind: Option<&str>,
        entity: &str,
        project: Option<&str>,
        session: Option<&str>,
    ) -> bool {
        let has = |wanted: &[String], given: &str| {
            wanted.is_empty() || wanted.iter().any(|wanted| wanted == given)
        };
        kind.is_none_or(|kind| has(&self.types, kind))
            && has(&self.entities, entity)
            && (self.projects.is_empty()
                || self.projects.iter().any(|wanted| Some(wanted.as_str()) == project))
            && (self.sessions.is_empty()
                || self.sessions.iter().any(|wanted| Some(wanted.as_str()) == session))
    }

    /// The filter as JSON, the same text for the same filter.
    #[must_use]
    pub fn to_json(&self) -> String {
        let texts = |ids: &mut dyn Iterator<Item = &str>| ids.map(Value::from).collect::<Vec<_>>();
        json!({
            "types": self.types,
            "entities": self.entities,
            "projects": texts(&mut self.projects.iter().map(ProjectId::as_str)),
            "sessions": texts(&mut self.sessions.iter().map(SessionId::as_str)),
        })
        .to_string()
    }

    /// Reads what [`Filter::to_json`] wrote.
    ///
    /// # Errors
    /// When it contains a type, entity or id that this program does not know.
    pub fn from_json(text: &str) -> Result<Filter> {
        let read: Value = serde_json::from_str(text).unwrap_or_default();
        let list = |name: &str| -> Vec<String> {
            let items = read[name].as_array().into_iter().flatten();
            items.filter_map(Value::as_str).map(str::to_owned).collect()
        };
        let projects = list("projects").iter().map(|id| id.parse()).collect::<Result<_, _>>()?;
        let sessions = list("sessions").iter().map(|id| id.parse()).collect::<Result<_, _>>()?;
        Filter::new(list("types"), projects, sessions)?.of_entities(list("entities"))
    }
}

fn sorted<T: Ord>(mut values: Vec<T>) -> Vec<T> {
    values.sort();
    values.dedup();
    values
}

/// The entity whose changes have a type: the type begins with its name.
fn entity_of(kind: &str) -> Option<&'static str> {
    let begins = |entity: &&&str| kind.strip_prefix(**entity).is_some_and(|s| s.starts_with('_'));
    ENTITIES.iter().filter(begins).max_by_key(|entity| entity.len()).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_alternatives_and_every_kind_must_match() {
        let filter = Filter::new(
            vec!["pr_created".to_owned(), "pr_updated".to_owned()],
            vec!["demo".parse().unwrap()],
            vec![],
        )
        .unwrap();
        assert!(filter.matches_parts(Some("pr_created"), "pr", Some("demo"), None));
        assert!(filter.matches_parts(Some("pr_updated"), "pr", Some("demo"), Some("demo-1")));
        assert!(!filter.matches_parts(Some("pr_deleted"), "pr", Some("demo"), None));
        assert!(!filter.matches_parts(Some("pr_created"), "pr", Some("other"), None));
        assert!(!filter.matches_parts(Some("pr_created"), "pr", None, None));
        assert!(Filter::default().matches_parts(Some("anything"), "pr", None, None));
    }

    #[test]
    fn an_unknown_type_or_entity_is_refused() {
        let result = Filter::new(vec!["pr_create".to_owned()], vec![], vec![]);
        assert!(matches!(result, Err(Error::UnknownType(_))));
        let result = Filter::default().of_entities(vec!["comment".to_owned()]);
        assert!(matches!(result, Err(Error::UnknownEntity(_))));
        let created = Filter::new(vec!["pr_created".to_owned()], vec![], vec![]).unwrap();
        assert!(matches!(
            created.clone().of_entities(vec!["session".to_owned()]),
            Err(Error::NothingMatches)
        ));
        assert!(created.of_entities(vec!["pr".to_owned()]).is_ok());
    }

    #[test]
    fn every_type_has_an_entity() {
        for kind in CHANGE_TYPES {
            let entity = entity_of(kind).unwrap();
            assert!(kind.starts_with(entity), "{kind}: {entity}");
        }
        assert_eq!(entity_of("pr_review_thread_added"), Some("pr_review_thread"));
        assert_eq!(entity_of("pr_session_changed"), Some("pr"));
    }

    #[test]
    fn equal_filters_are_equal_texts() {
        let types = |types: &[&str]| types.iter().map(|kind| (*kind).to_owned()).collect();
        let a = Filter::new(types(&["pr_updated", "pr_created"]), vec![], vec![]).unwrap();
        let b = Filter::new(types(&["pr_created", "pr_updated", "pr_created"]), vec![], vec![]);
        assert_eq!(a.to_json(), b.unwrap().to_json());
        assert_eq!(Filter::from_json(&a.to_json()).unwrap(), a);
        assert_eq!(Filter::from_json(&Filter::default().to_json()).unwrap(), Filter::default());
    }
}
