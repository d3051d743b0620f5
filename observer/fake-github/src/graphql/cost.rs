//! The published cost of a document, computed from its text and variables alone.
//!
//! Requests are the sum over all connections of the number of their parents, each `first` or
//! `last` taken as reached. Points are requests / 100, rounded, at least 1.

use graphql_parser::query::Selection;

use super::{Args, FieldNode, Operation, Parsed, Set, Variables, bind, is_skipped};

/// What a document costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    /// Requests that GitHub counts inside of it.
    pub requests: u64,
    /// Points of the primary limit.
    pub points: u64,
    /// Nodes, of which a document may have 500 000.
    pub nodes: u64,
}

/// The cost of the first operation of a document.
///
/// # Errors
///
/// When the document does not parse, has no query, or lacks a variable.
pub fn cost(document: &str, variables: &serde_json::Value) -> Result<Cost, String> {
    let parsed = Parsed::new(document)?;
    let operation = parsed.operation(None).ok_or("the document has no query")?;
    let variables = bind(&operation, variables)?;
    Ok(cost_of(&parsed, &operation, &variables))
}

pub(crate) fn cost_of(parsed: &Parsed, operation: &Operation<'_>, variables: &Variables) -> Cost {
    let mut sum = Sum { parsed, variables, requests: 0, nodes: 0, depth: 0 };
    sum.set(operation.set, 1);
    let points = (sum.requests.saturating_add(50) / 100).max(1);
    Cost { requests: sum.requests, points, nodes: sum.nodes }
}

struct Sum<'a> {
    parsed: &'a Parsed,
    variables: &'a Variables,
    requests: u64,
    nodes: u64,
    depth: usize,
}

impl Sum<'_> {
    fn set(&mut self, set: &Set, parents: u64) {
        if self.depth > 50 {
            return;
        }
        self.depth += 1;
        for selection in &set.items {
            match selection {
                Selection::Field(field) if !is_skipped(&field.directives, self.variables) => {
                    self.field(field, parents);
                }
                Selection::InlineFragment(fragment)
                    if !is_skipped(&fragment.directives, self.variables) =>
                {
                    self.set(&fragment.selection_set, parents);
                }
                Selection::FragmentSpread(spread)
                    if !is_skipped(&spread.directives, self.variables) =>
                {
                    if let Some(fragment) = self.parsed.fragment(&spread.fragment_name) {
                        self.set(&fragment.selection_set, parents);
                    }
                }
                _ => {}
            }
        }
        self.depth -= 1;
    }

    fn field(&mut self, field: &FieldNode, parents: u64) {
        let args = Args::new(field, self.variables);
        let bound = args.count("first").or_else(|| args.count("last"));
        let is_connection = bound.is_some() || selects_page(&field.selection_set);
        let ids = args.get("ids").and_then(|ids| ids.as_array().map(Vec::len));
        let factor = match (is_connection, ids) {
            (true, _) => {
                self.requests = self.requests.saturating_add(parents);
                u64::try_from(bound.unwrap_or(0)).unwrap_or(0)
            }
            (false, Some(ids)) => ids as u64,
            (false, None) => return self.set(&field.selection_set, parents),
        };
        let children = parents.saturating_mul(factor);
        self.nodes = self.nodes.saturating_add(children);
        self.set(&field.selection_set, children);
    }
}

fn selects_page(set: &Set) -> bool {
    let is_of_page = |name: &str| matches!(name, "totalCount" | "pageInfo" | "nodes" | "edges");
    set.items.iter().any(|item| matches!(item, Selection::Field(field) if is_of_page(&field.name)))
        && !set.items.iter().any(|item| {
            // The `nodes` of the root is not a page.
            matches!(item, Selection::Field(field) if field.name == "nodes"
                && field.arguments.iter().any(|(name, _)| name == "ids"))
        })
}
