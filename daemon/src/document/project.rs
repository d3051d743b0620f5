//! Projects, each with the reason why it can never be observed, if there is one.

use ao_observer::run::unobservable;
use ao_program::Environment;
use ao_store::row::project::Project;
use serde_json::Value;

use super::row;

/// A project.
#[must_use]
pub fn document(project: &Project) -> Value {
    let mut data = row::project(project);
    data["unobservable_reason"] = unobservable(project, &Environment::of_process()).into();
    data
}
