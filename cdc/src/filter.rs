//! Which changes pass. Values of one kind are alternatives; every kind must match. The transitions are one
//! kind, so several of them mean any of them: a script waits for failed checks or for a review.

use ao_store::log::as_of::{ENTITIES, RowAt};
use ao_store::log::change::{Change, ChangeRef};
use ao_store::row::{project, session};
use ao_store::{CHANGE_TYPES, ProjectId, SessionId, Snapshot};
use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::transition::{self, Transition};

/// A filter; an empty list passes everything. The lists are sorted, so equal filters are equal values
/// and equal texts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    types: Vec<String>,
    entities: Vec<String>,
    projects: Vec<ProjectId>,
    sessions: Vec<SessionId>,
    transitions: Vec<Transition>,
}

/// A project or session that a filter names and that the store does not have, or not yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unknown {
    /// A project.
    Project(ProjectId),
    /// A session.
    Session(SessionId),
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
            transitions: Vec::new(),
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

    /// The same filter for these transitions only: `FIELD` selects the updates that changed it, and
    /// `FIELD=VALUE` the inserts and updates after which it has this value and before which it had not.
    /// Rows of a snapshot have no transition: those of the entities that can have it pass.
    ///
    /// # Errors
    /// [`Error::UnknownField`] when the selected entities have no such field; [`Error::InvalidValue`] when
    /// it never has this value; [`Error::NoTransition`] when no change of the selected types is such a
    /// transition.
    pub fn of_changed(self, transitions: &[String]) -> Result<Filter> {
        let entities = self.entities();
        let parse = |text: &String| Transition::parse(text, &entities);
        let transitions: Vec<_> = sorted(transitions.iter().map(parse).collect::<Result<_>>()?);
        let is_possible = |kind: &String| transitions.iter().any(|it| it.is_of_type(kind));
        if !transitions.is_empty() && !self.types.is_empty() && !self.types.iter().any(is_possible)
        {
            return Err(Error::NoTransition);
        }
        Ok(Filter { transitions, ..self })
    }

    /// The projects and sessions of this filter that the store does not have. Nothing of them passes until
    /// they are created. A session that was deleted is among them; an archived project is not.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn unknown(&self, snapshot: &Snapshot<'_>) -> ao_store::Result<Vec<Unknown>> {
        let mut unknown = Vec::new();
        for id in &self.projects {
            if project::get(snapshot, id)?.is_none() {
                unknown.push(Unknown::Project(id.clone()));
            }
        }
        for id in &self.sessions {
            if session::get(snapshot, id)?.is_none() {
                unknown.push(Unknown::Session(id.clone()));
            }
        }
        Ok(unknown)
    }

    /// Whether everything passes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Filter::default()
    }

    /// Whether a borrowed change passes. Reads its images only if the filter has transitions.
    ///
    /// # Errors
    /// When the row is damaged.
    pub fn matches_ref(&self, change: &ChangeRef<'_>) -> Result<bool, ao_store::Error> {
        if self.is_empty() {
            return Ok(true);
        }
        let (kind, entity) = (change.kind()?, change.entity()?);
        let (project, session) = (change.project()?, change.session()?);
        if !self.matches_parts(Some(&kind), &entity, project.as_deref(), session.as_deref()) {
            return Ok(false);
        }
        if self.transitions.is_empty() {
            return Ok(true);
        }
        let (before, after) = (change.before()?, change.after()?);
        Ok(transition::is_any(&self.transitions, before.as_deref(), after.as_deref()))
    }

    /// Whether a change passes.
    #[must_use]
    pub fn matches(&self, change: &Change) -> bool {
        let (kind, entity) = (Some(change.kind()), change.entity());
        self.matches_parts(kind, entity, change.project(), change.session())
            && (self.transitions.is_empty()
                || transition::is_any(&self.transitions, change.before(), change.after()))
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
                && self.has_entity(entity)
        };
        ENTITIES.iter().filter(is_wanted).copied().collect()
    }

    /// Whether a row of the entity can have one of the transitions.
    fn has_entity(&self, entity: &str) -> bool {
        self.transitions.is_empty() || self.transitions.iter().any(|it| it.is_of(entity))
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
            && self.has_entity(entity)
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
            "changed": self.transitions.iter().map(ToString::to_string).collect::<Vec<_>>(),
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
        Filter::new(list("types"), projects, sessions)?
            .of_entities(list("entities"))?
            .of_changed(&list("changed"))
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
