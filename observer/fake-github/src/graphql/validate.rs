//! Validates a document against a published schema: its fields, arguments, fragments, selections
//! and variables.

use std::collections::{BTreeSet, HashSet};

use graphql_parser::query::{Selection, TypeCondition, Value as Literal};

use super::schema::{FieldDef, Schema};
use super::{FieldNode, Operation, Parsed, Set};

/// Checks every operation of a document against a schema.
///
/// # Errors
///
/// Every violation, as text.
pub fn validate(schema: &Schema, document: &str) -> Result<(), Vec<String>> {
    let parsed = Parsed::new(document).map_err(|error| vec![error])?;
    let Some(operation) = parsed.operation(None) else {
        return Err(vec!["the document has no query".to_owned()]);
    };
    let mut walk = Walk { schema, parsed: &parsed, used: BTreeSet::new(), errors: Vec::new() };
    walk.set("Query", operation.set, 0);
    walk.variables(&operation);
    if walk.errors.is_empty() { Ok(()) } else { Err(walk.errors) }
}

struct Walk<'a> {
    schema: &'a Schema,
    parsed: &'a Parsed,
    used: BTreeSet<String>,
    errors: Vec<String>,
}

impl Walk<'_> {
    fn variables(&mut self, operation: &Operation<'_>) {
        let declared: HashSet<&str> =
            operation.definitions.iter().map(|it| it.name.as_str()).collect();
        let undeclared = self.used.iter().filter(|name| !declared.contains(name.as_str()));
        let undeclared: Vec<_> =
            undeclared.map(|name| format!("${name} is not declared")).collect();
        let unused = declared.iter().filter(|name| !self.used.contains(**name));
        let unused: Vec<_> = unused.map(|name| format!("${name} is not used")).collect();
        self.errors.extend(undeclared.into_iter().chain(unused));
    }

    fn set(&mut self, of: &str, set: &Set, depth: usize) {
        if depth > 50 {
            return self.errors.push("the document is nested too deeply".to_owned());
        }
        for selection in &set.items {
            match selection {
                Selection::Field(field) => self.field(of, field, depth),
                Selection::InlineFragment(inline) => {
                    let condition = inline.type_condition.as_ref();
                    self.fragment(of, condition, &inline.selection_set, depth);
                }
                Selection::FragmentSpread(spread) => {
                    match self.parsed.fragment(&spread.fragment_name) {
                        Some(fragment) => {
                            let condition = Some(&fragment.type_condition);
                            self.fragment(of, condition, &fragment.selection_set, depth);
                        }
                        None => {
                            let name = &spread.fragment_name;
                            self.errors.push(format!("there is no fragment {name}"));
                        }
                    }
                }
            }
        }
    }

    fn fragment(
        &mut self,
        of: &str,
        condition: Option<&TypeCondition<'static, String>>,
        set: &Set,
        depth: usize,
    ) {
        let Some(TypeCondition::On(name)) = condition else { return self.set(of, set, depth + 1) };
        if !self.schema.composites.contains_key(name) {
            return self.errors.push(format!("there is no type {name}"));
        }
        if !self.overlap(of, name) {
            self.errors.push(format!("a {of} is never a {name}"));
        }
        self.set(name, set, depth + 1);
    }

    /// Whether an object can have both types.
    fn overlap(&self, one: &str, other: &str) -> bool {
        let objects = |name: &str| match self.schema.members.get(name) {
            Some(members) => members.iter().cloned().collect::<HashSet<_>>(),
            None => HashSet::from([name.to_owned()]),
        };
        one == other || !objects(one).is_disjoint(&objects(other))
    }

    fn field(&mut self, of: &str, field: &FieldNode, depth: usize) {
        if field.name == "__typename" {
            return;
        }
        let schema = self.schema;
        let fields = schema.composites.get(of);
        let Some(def) = fields.and_then(|fields| fields.get(&field.name)) else {
            return self.errors.push(format!("{of} has no field {}", field.name));
        };
        self.arguments(of, field, def);
        let is_composite = schema.composites.contains_key(&def.of);
        let has_set = !field.selection_set.items.is_empty();
        match (is_composite, has_set) {
            (true, true) => self.set(&def.of, &field.selection_set, depth + 1),
            (false, false) => {}
            (true, false) => self.errors.push(format!("{of}.{} needs a selection", field.name)),
            (false, true) => self.errors.push(format!("{of}.{} is a leaf", field.name)),
        }
    }

    fn arguments(&mut self, of: &str, field: &FieldNode, def: &FieldDef) {
        for (name, value) in &field.arguments {
            self.uses(value);
            if !def.args.contains_key(name) {
                self.errors.push(format!("{of}.{} has no argument {name}", field.name));
            }
        }
        for directive in &field.directives {
            directive.arguments.iter().for_each(|(_, value)| self.uses(value));
        }
        let is_given = |name: &String| field.arguments.iter().any(|(given, _)| given == name);
        for (name, _) in def.args.iter().filter(|(name, required)| **required && !is_given(name)) {
            self.errors.push(format!("{of}.{} lacks the argument {name}", field.name));
        }
    }

    fn uses(&mut self, value: &Literal<'static, String>) {
        match value {
            Literal::Variable(name) => drop(self.used.insert(name.clone())),
            Literal::List(items) => items.iter().for_each(|item| self.uses(item)),
            Literal::Object(fields) => fields.values().for_each(|item| self.uses(item)),
            _ => {}
        }
    }
}
