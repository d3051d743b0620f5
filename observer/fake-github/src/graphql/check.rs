//! What GitHub refuses before it executes: unknown fields and types, selections that do not fit,
//! unused or undeclared variables, and connections without bounds.

use graphql_parser::query::{Selection, TypeCondition};
use serde_json::{Value, json};

use super::types::{self, Leads};
use super::{Args, FieldNode, Operation, Parsed, Set, Variables};

/// A place in the document: a type, or the connection to one.
#[derive(Clone, Copy)]
enum Place {
    Type(&'static str),
    Connection(&'static str),
}

struct Check<'a> {
    parsed: &'a Parsed,
    variables: &'a Variables,
    no_pr_rollup: bool,
    errors: Vec<Value>,
    depth: usize,
}

/// All reasons to refuse a document; none for a valid one.
pub(crate) fn check(
    parsed: &Parsed,
    operation: &Operation<'_>,
    variables: &Variables,
    no_pr_rollup: bool,
) -> Vec<Value> {
    let mut check = Check { parsed, variables, no_pr_rollup, errors: Vec::new(), depth: 0 };
    check.set(Place::Type("Query"), operation.set);
    check.errors
}

impl Check<'_> {
    fn refuse(&mut self, code: &str, message: String) {
        self.errors.push(json!({"extensions": {"code": code}, "message": message}));
    }

    fn set(&mut self, place: Place, set: &Set) {
        if self.depth > 50 {
            return self.refuse("tooDeep", "The query is nested too deeply".to_owned());
        }
        self.depth += 1;
        for selection in &set.items {
            match selection {
                Selection::Field(field) => self.field(place, field),
                Selection::InlineFragment(fragment) => {
                    self.condition(
                        place,
                        fragment.type_condition.as_ref(),
                        &fragment.selection_set,
                    );
                }
                Selection::FragmentSpread(spread) => {
                    match self.parsed.fragment(&spread.fragment_name) {
                        Some(fragment) => {
                            let condition = Some(&fragment.type_condition);
                            self.condition(place, condition, &fragment.selection_set);
                        }
                        None => self.refuse(
                            "useAndDefineFragment",
                            format!("Fragment {} was used, but not defined", spread.fragment_name),
                        ),
                    }
                }
            }
        }
        self.depth -= 1;
    }

    fn condition(
        &mut self,
        place: Place,
        condition: Option<&TypeCondition<'static, String>>,
        set: &Set,
    ) {
        let Some(TypeCondition::On(name)) = condition else { return self.set(place, set) };
        match types::name_of(name) {
            Some(name) => self.set(Place::Type(name), set),
            None => self.refuse(
                "undefinedType",
                format!("No such type {name}, so it can't be a fragment condition"),
            ),
        }
    }

    fn field(&mut self, place: Place, field: &FieldNode) {
        let (name, on) = (field.name.as_str(), type_text(place));
        let leads = match place {
            Place::Type(of) => types::leads(of, name),
            Place::Connection(of) => types::connection_leads(of, name),
        };
        let is_hidden = self.no_pr_rollup && on == "PullRequest" && name == "statusCheckRollup";
        let Some(leads) = leads.filter(|_| !is_hidden) else {
            let message = format!("Field '{name}' doesn't exist on type '{on}'");
            return self.refuse("undefinedField", message);
        };
        let has_set = !field.selection_set.items.is_empty();
        let next = match leads {
            Leads::Leaf if has_set => {
                let message = format!("Selections can't be made on scalars (field '{name}')");
                return self.refuse("selectionMismatch", message);
            }
            Leads::Leaf => return,
            Leads::To(of) | Leads::Many(of) => Place::Type(of),
            Leads::Connection(of) => Place::Connection(of),
        };
        if !has_set {
            let message = format!("Field must have selections (field '{name}')");
            return self.refuse("selectionMismatch", message);
        }
        if matches!(next, Place::Connection(_)) {
            self.bounds(field);
        }
        self.set(next, &field.selection_set);
    }

    fn bounds(&mut self, field: &FieldNode) {
        let args = Args::new(field, self.variables);
        let name = &field.name;
        let has_nodes = field.selection_set.items.iter().any(|selection| {
            matches!(selection, Selection::Field(inner) if inner.name == "nodes")
                || !matches!(selection, Selection::Field(_))
        });
        match args.count("first").or_else(|| args.count("last")) {
            None if has_nodes => self.errors.push(json!({
                "type": "MISSING_PAGINATION_BOUNDARIES",
                "message": format!("You must provide a `first` or `last` value to properly \
                    paginate the `{name}` connection."),
            })),
            Some(count) if !(1..=100).contains(&count) => self.errors.push(json!({
                "type": "EXCESSIVE_PAGINATION",
                "message": format!("Requesting {count} records on the `{name}` connection exceeds \
                    the `first` limit of 100 records."),
            })),
            _ => {}
        }
    }
}

fn type_text(place: Place) -> String {
    match place {
        Place::Type(of) => of.to_owned(),
        Place::Connection(of) => format!("{of}Connection"),
    }
}
