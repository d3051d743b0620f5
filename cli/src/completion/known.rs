//! The values that a store, or this program, knows for an argument.

use ao_store::log::as_of::ENTITIES;
use ao_store::log::consumer;
use ao_store::log::field::{FieldKind, fields};
use ao_store::row::{delivery, pr, project, session};
use ao_store::turn::conversation::{self, Caller};
use ao_store::turn::{self, agent, org};
use ao_store::{CHANGE_TYPES, Result, Snapshot};
use clap::Arg;
use clap_complete::engine::CompletionCandidate;

use crate::context::Context;

/// The most turns and conversations that are offered.
const TURNS: usize = 200;

/// A kind of value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    Project,
    Session,
    Pr,
    Consumer,
    Delivery,
    Org,
    Agent,
    Turn,
    Conversation,
    Repo,
    Type,
    Entity,
    Changed,
    Start,
}

impl Known {
    /// The kind that an argument takes. `noun` is the first word of its command line.
    pub(super) fn of(noun: &str, arg: &Arg) -> Option<Known> {
        Some(match (noun, arg.get_id().as_str(), arg.is_positional()) {
            (_, "project" | "projects", _) | ("project", "id", true) => Known::Project,
            (_, "session" | "sessions", _) | ("session", "id", true) => Known::Session,
            (_, "pr", _) => Known::Pr,
            (_, "consumer", _) | ("consumer", "name", true) => Known::Consumer,
            ("delivery", "id", true) => Known::Delivery,
            (_, "org", _) => Known::Org,
            (_, "agent", _) | ("agent", "name", true) => Known::Agent,
            ("turn", "id", true) => Known::Turn,
            (_, "conversation", _) | ("conversation", "id", true) => Known::Conversation,
            (_, "repo", _) => Known::Repo,
            (_, "types", _) => Known::Type,
            (_, "entities", _) => Known::Entity,
            (_, "changed", _) => Known::Changed,
            ("tail" | "consumer", "from" | "to", _) => Known::Start,
            _ => return None,
        })
    }

    /// The values, each with a description. Without a store there are only those of the program.
    pub(super) fn values(self, context: Option<&Context>) -> Vec<CompletionCandidate> {
        let plain = |values: &[&str]| values.iter().map(|it| candidate(it, "")).collect();
        match self {
            Known::Type => plain(CHANGE_TYPES),
            Known::Entity => plain(ENTITIES),
            Known::Changed => plain(&transitions().iter().map(String::as_str).collect::<Vec<_>>()),
            Known::Start => plain(&["beginning", "end"]),
            _ => context
                .and_then(|context| context.open().ok())
                .and_then(|store| store.read(|snapshot| self.stored(snapshot)).ok())
                .unwrap_or_default(),
        }
    }

    fn stored(self, snapshot: &Snapshot<'_>) -> Result<Vec<CompletionCandidate>> {
        Ok(match self {
            Known::Project => {
                let projects = project::list(snapshot, true)?;
                projects.iter().map(|it| candidate(it.id.as_str(), &it.path)).collect()
            }
            Known::Session => {
                let all = session::Filter { project: None, terminated: true };
                let sessions = session::list(snapshot, &all)?;
                let shown = |it: &session::Session| candidate(it.id.as_str(), &it.branch);
                sessions.iter().map(shown).collect()
            }
            Known::Pr => {
                let prs = pr::list(snapshot, &pr::Filter::default())?;
                prs.iter().map(|it| candidate(&it.place(), &it.title)).collect()
            }
            Known::Consumer => {
                let consumers = consumer::list(snapshot)?;
                consumers.iter().map(|it| candidate(it.name.as_str(), "")).collect()
            }
            Known::Delivery => {
                let deliveries = delivery::all(snapshot)?;
                let shown = |it: &delivery::Delivery| candidate(&it.id, it.stage.as_str());
                deliveries.iter().map(shown).collect()
            }
            Known::Org => {
                org::list(snapshot)?.iter().map(|it| candidate(it.id.as_str(), "")).collect()
            }
            Known::Agent => {
                let agents = agent::list(snapshot, None)?;
                agents.iter().map(|it| candidate(it.id.as_str(), it.org.as_str())).collect()
            }
            Known::Turn => {
                let turns = turn::list(snapshot, None, TURNS, |_| true)?;
                turns.iter().map(|it| candidate(&it.id, it.state.as_str())).collect()
            }
            Known::Conversation => {
                let found = conversation::page(snapshot, &Caller::Operator, ("", TURNS), |_| true)?;
                found.iter().map(|it| candidate(&it.id, it.agent.as_str())).collect()
            }
            Known::Repo => {
                let projects = project::list(snapshot, false)?;
                let mut repos: Vec<_> = projects.into_iter().map(|it| it.repo).collect();
                repos.retain(|repo| !repo.is_empty());
                repos.dedup();
                repos.iter().map(|it| candidate(it, "")).collect()
            }
            Known::Type | Known::Entity | Known::Changed | Known::Start => Vec::new(),
        })
    }
}

/// Every field, and each value that a field of few values can get.
fn transitions() -> Vec<String> {
    let mut found: Vec<_> = ENTITIES
        .iter()
        .flat_map(|entity| fields(entity))
        .flat_map(|field| {
            let values: &[&str] = match field.kind {
                FieldKind::OneOf(values) => values,
                FieldKind::Boolean => &["true", "false"],
                FieldKind::Text | FieldKind::Integer | FieldKind::Time => &[],
            };
            let name = field.name;
            let values = values.iter().filter(|value| !value.is_empty());
            [name.to_owned()].into_iter().chain(values.map(move |value| format!("{name}={value}")))
        })
        .collect();
    // What every write sets is no transition.
    found.retain(|it| it != "updated_at");
    found.sort_unstable();
    found.dedup();
    found
}

fn candidate(value: &str, help: &str) -> CompletionCandidate {
    CompletionCandidate::new(value).help((!help.is_empty()).then(|| help.to_owned().into()))
}
