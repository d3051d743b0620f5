//! GraphQL over the world: documents are parsed once, checked against the types that the fake
//! knows, charged by the published formula, and resolved field by field.

mod check;
mod cost;
mod exec;
mod page;
mod resolve;
mod resolve_ci;
mod schema;
mod types;
mod validate;

use graphql_parser::query::{
    Definition, Directive, Document, Field, FragmentDefinition, OperationDefinition, SelectionSet,
    Value as Literal, VariableDefinition,
};
use serde_json::{Map, Value};

pub(crate) use check::check;
pub(crate) use cost::cost_of;
pub use cost::{Cost, cost};
pub(crate) use exec::{Asked, Rate, execute};
pub(crate) use page::START_CURSOR;
pub use schema::Schema;
pub use validate::validate;

type Set = SelectionSet<'static, String>;
type FieldNode = Field<'static, String>;
pub(crate) type Variables = Map<String, Value>;

/// A document that was parsed.
#[derive(Debug)]
pub(crate) struct Parsed(Document<'static, String>);

/// The requested operation of a document.
pub(crate) struct Operation<'a> {
    pub(crate) name: &'a str,
    pub(crate) set: &'a Set,
    pub(crate) definitions: &'a [VariableDefinition<'static, String>],
}

impl Parsed {
    pub(crate) fn new(text: &str) -> Result<Self, String> {
        match graphql_parser::parse_query::<String>(text) {
            Ok(document) => Ok(Self(document.into_static())),
            Err(error) => Err(error.to_string()),
        }
    }

    /// The first operation, or the one of a name.
    pub(crate) fn operation(&self, name: Option<&str>) -> Option<Operation<'_>> {
        let operations = self.0.definitions.iter().filter_map(|definition| match definition {
            Definition::Operation(OperationDefinition::Query(query)) => Some(Operation {
                name: query.name.as_deref().unwrap_or(""),
                set: &query.selection_set,
                definitions: &query.variable_definitions,
            }),
            Definition::Operation(OperationDefinition::SelectionSet(set)) => {
                Some(Operation { name: "", set, definitions: &[] })
            }
            _ => None,
        });
        operations.into_iter().find(|found| name.is_none_or(|name| found.name == name))
    }

    pub(crate) fn fragment(&self, name: &str) -> Option<&FragmentDefinition<'static, String>> {
        self.0.definitions.iter().find_map(|definition| match definition {
            Definition::Fragment(fragment) if fragment.name == name => Some(fragment),
            _ => None,
        })
    }
}

/// The variables of the operation: given values, otherwise defaults; a missing one is an error.
pub(crate) fn bind(operation: &Operation<'_>, given: &Value) -> Result<Variables, String> {
    use graphql_parser::query::Type;
    let mut bound = Variables::new();
    for definition in operation.definitions {
        let default = || definition.default_value.as_ref().map(|value| constant(value, &bound));
        let value = given.get(&definition.name).cloned().or_else(default).unwrap_or_default();
        if value.is_null() && matches!(definition.var_type, Type::NonNullType(_)) {
            let (kind, name) = (&definition.var_type, &definition.name);
            return Err(format!("Variable ${name} of type {kind} was provided invalid value"));
        }
        bound.insert(definition.name.clone(), value);
    }
    Ok(bound)
}

/// A literal as JSON, variables replaced.
pub(crate) fn constant(literal: &Literal<'static, String>, variables: &Variables) -> Value {
    match literal {
        Literal::Variable(name) => variables.get(name).cloned().unwrap_or_default(),
        Literal::Int(number) => number.as_i64().into(),
        Literal::Float(number) => (*number).into(),
        Literal::String(text) | Literal::Enum(text) => text.as_str().into(),
        Literal::Boolean(value) => (*value).into(),
        Literal::Null => Value::Null,
        Literal::List(items) => items.iter().map(|item| constant(item, variables)).collect(),
        Literal::Object(fields) => Value::Object(
            fields.iter().map(|(name, item)| (name.clone(), constant(item, variables))).collect(),
        ),
    }
}

/// Arguments of one field.
#[derive(Clone, Copy)]
pub(crate) struct Args<'a> {
    field: &'a FieldNode,
    variables: &'a Variables,
}

impl<'a> Args<'a> {
    pub(crate) const fn new(field: &'a FieldNode, variables: &'a Variables) -> Self {
        Self { field, variables }
    }

    /// An argument; null counts as absent.
    pub(crate) fn get(&self, name: &str) -> Option<Value> {
        let (_, literal) = self.field.arguments.iter().find(|(other, _)| other == name)?;
        Some(constant(literal, self.variables)).filter(|value| !value.is_null())
    }

    pub(crate) fn text(&self, name: &str) -> Option<String> {
        self.get(name)?.as_str().map(str::to_owned)
    }

    pub(crate) fn count(&self, name: &str) -> Option<i64> {
        self.get(name)?.as_i64()
    }
}

/// Whether `@skip` or `@include` leaves a selection out.
pub(crate) fn is_skipped(directives: &[Directive<'static, String>], variables: &Variables) -> bool {
    directives.iter().any(|directive| {
        let condition = directive.arguments.iter().find(|(name, _)| name == "if");
        let holds = condition
            .is_some_and(|(_, value)| constant(value, variables).as_bool().unwrap_or(false));
        match directive.name.as_str() {
            "skip" => holds,
            "include" => !holds,
            _ => false,
        }
    })
}
