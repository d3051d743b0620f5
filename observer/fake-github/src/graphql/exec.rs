//! Execution: walks the selections over the world and builds the answer. Fields of one response
//! key are merged, as the specification of GraphQL demands.

use std::collections::HashMap;
use std::rc::Rc;

use graphql_parser::query::{Selection, TypeCondition};
use serde_json::{Map, Value, json};

use crate::budget::Bucket;
use crate::entity::{Obj, State};
use crate::enums::Access;

use super::page::{self, Page};
use super::{Args, Cost, FieldNode, Operation, Parsed, Set, Variables, is_skipped, types};

/// The values of `rateLimit`; no bucket where limits are off.
#[derive(Clone, Copy)]
pub(crate) struct Rate {
    pub(crate) cost: Cost,
    pub(crate) bucket: Option<Bucket>,
}

/// The request: viewer, time and document.
pub(crate) struct Asked<'a> {
    pub(crate) state: &'a State,
    pub(crate) parsed: &'a Parsed,
    pub(crate) variables: &'a Variables,
    pub(crate) now: i64,
    pub(crate) viewer: usize,
    pub(crate) rate: Rate,
}

/// An answer and its side effects.
pub(crate) struct Executed {
    pub(crate) answer: Value,
    /// Pull requests whose mergeability was read.
    pub(crate) mergeable_read: Vec<usize>,
    pub(crate) nodes: u64,
}

/// What a field resolves to.
pub(super) enum Out {
    Leaf(Value),
    One(Option<Obj>),
    Many(Vec<Result<Obj, Access>>),
    Connection(&'static str, Vec<Obj>),
    Refused(Access, String),
}

/// One step from the root of the answer, for the paths of errors.
#[derive(Clone, Copy)]
enum Step<'a> {
    Key(&'a str),
    Index(usize),
}

pub(super) type Sets<'a> = Rc<[&'a Set]>;

struct Collected<'a> {
    key: &'a str,
    field: &'a FieldNode,
    sets: Sets<'a>,
}

pub(super) struct Exec<'a> {
    pub(super) asked: &'a Asked<'a>,
    pub(super) state: &'a State,
    pub(super) now: i64,
    pub(super) mergeable_read: Vec<usize>,
    errors: Vec<Value>,
    path: Vec<Step<'a>>,
    memo: HashMap<(usize, &'static str), Rc<[Collected<'a>]>>,
    nodes: u64,
}

pub(crate) fn execute(asked: &Asked<'_>, operation: &Operation<'_>) -> Executed {
    let mut exec = Exec {
        asked,
        state: asked.state,
        now: asked.now,
        mergeable_read: Vec::new(),
        errors: Vec::new(),
        path: Vec::new(),
        memo: HashMap::new(),
        nodes: 0,
    };
    let data = exec.object(Obj::Query, &Rc::from([operation.set]));
    let mut answer = json!({"data": data});
    if !exec.errors.is_empty() {
        answer["errors"] = Value::Array(exec.errors);
    }
    Executed { answer, mergeable_read: exec.mergeable_read, nodes: exec.nodes }
}

impl<'a> Exec<'a> {
    fn object(&mut self, obj: Obj, sets: &Sets<'a>) -> Value {
        self.nodes += 1;
        let type_name = self.type_of(obj);
        let fields = self.collect(type_name, sets);
        let obj = match obj {
            // As on GitHub, the state of a rollup depends on the other selected fields.
            Obj::Rollup { commit, .. } => {
                let with_contexts = fields.iter().any(|it| it.field.name == "contexts");
                Obj::Rollup { commit, with_contexts }
            }
            other => other,
        };
        let mut object = Map::with_capacity(fields.len());
        for collected in fields.iter() {
            let value = if collected.field.name == "__typename" {
                type_name.into()
            } else {
                self.field(obj, collected)
            };
            object.insert(collected.key.to_owned(), value);
        }
        Value::Object(object)
    }

    fn field(&mut self, obj: Obj, collected: &Collected<'a>) -> Value {
        let args = Args::new(collected.field, self.asked.variables);
        let out = self.resolve(obj, &collected.field.name, args);
        if let Out::Leaf(value) = out {
            return value;
        }
        self.path.push(Step::Key(collected.key));
        let value = match out {
            Out::Leaf(value) => value,
            Out::One(None) => Value::Null,
            Out::One(Some(obj)) => self.object(obj, &collected.sets),
            Out::Many(items) => self.many(items, &collected.sets),
            Out::Connection(of, items) => self.connection(of, &items, args, &collected.sets),
            Out::Refused(access, message) => self.refuse(access, message),
        };
        self.path.pop();
        value
    }

    fn many(&mut self, items: Vec<Result<Obj, Access>>, sets: &Sets<'a>) -> Value {
        let mut values = Vec::with_capacity(items.len());
        for (index, item) in items.into_iter().enumerate() {
            self.path.push(Step::Index(index));
            values.push(match item {
                Ok(obj) => self.object(obj, sets),
                Err(access) => {
                    let message = "Could not resolve to a node with the global id".to_owned();
                    self.refuse(access, message)
                }
            });
            self.path.pop();
        }
        Value::Array(values)
    }

    fn path_value(&self) -> Value {
        let step = |step: &Step<'_>| match *step {
            Step::Key(key) => Value::from(key),
            Step::Index(index) => index.into(),
        };
        self.path.iter().map(step).collect()
    }

    fn refuse(&mut self, access: Access, message: String) -> Value {
        let path = self.path_value();
        self.errors.push(if access == Access::Forbidden {
            json!({"type": "FORBIDDEN", "path": path, "extensions": {"saml_failure": true},
                "message": "Resource protected by organization SAML enforcement. You must grant \
                    your Personal Access token access to this organization."})
        } else {
            json!({"type": "NOT_FOUND", "path": path, "message": message})
        });
        Value::Null
    }

    fn connection(
        &mut self,
        of: &'static str,
        items: &[Obj],
        args: Args<'_>,
        sets: &Sets<'a>,
    ) -> Value {
        let page = match page::cut(self.state, items, args) {
            Ok(page) => page,
            Err(message) => {
                let path = self.path_value();
                let kind = "INVALID_CURSOR_ARGUMENTS";
                self.errors.push(json!({"type": kind, "path": path, "message": message}));
                return Value::Null;
            }
        };
        let mut object = Map::new();
        for collected in self.collect("", sets).iter() {
            let value = match collected.field.name.as_str() {
                "__typename" => format!("{of}Connection").into(),
                "totalCount" => items.len().into(),
                "pageInfo" => self.page_info(&page, &collected.sets),
                "nodes" => {
                    self.path.push(Step::Key(collected.key));
                    let nodes = page.items.iter().map(|item| Ok(*item)).collect();
                    let nodes = self.many(nodes, &collected.sets);
                    self.path.pop();
                    nodes
                }
                other => self.counts(other, items, &collected.sets),
            };
            object.insert(collected.key.to_owned(), value);
        }
        Value::Object(object)
    }

    fn page_info(&mut self, page: &Page, sets: &Sets<'a>) -> Value {
        let mut object = Map::new();
        for collected in self.collect("PageInfo", sets).iter() {
            let value = match collected.field.name.as_str() {
                "hasNextPage" => page.has_next.into(),
                "hasPreviousPage" => page.has_previous.into(),
                "endCursor" => page.end.clone().into(),
                "startCursor" => page.start.clone().into(),
                _ => "PageInfo".into(),
            };
            object.insert(collected.key.to_owned(), value);
        }
        Value::Object(object)
    }

    /// The counting fields of `contexts`.
    fn counts(&mut self, field: &str, items: &[Obj], sets: &Sets<'a>) -> Value {
        let of_runs = field.starts_with("checkRun");
        let states = items.iter().filter_map(|item| match *item {
            Obj::Run(at) if of_runs => {
                let run = &self.state.runs[at];
                Some(run.conclusion.map_or(run.status.as_str(), crate::Conclusion::as_str))
            }
            Obj::Status(at) if !of_runs => Some(self.state.statuses[at].state.as_str()),
            _ => None,
        });
        let mut counts: Vec<(&'static str, usize)> = Vec::new();
        for state in states {
            match counts.iter_mut().find(|(other, _)| *other == state) {
                Some((_, count)) => *count += 1,
                None => counts.push((state, 1)),
            }
        }
        if !field.ends_with("ByState") {
            return counts.iter().map(|(_, count)| count).sum::<usize>().into();
        }
        let rows = counts.into_iter().map(|(state, count)| Ok(Obj::Count(state, count)));
        self.many(rows.collect(), sets)
    }

    /// The fields that apply to a type, in order, merged by response key. The sets live as long
    /// as the memo, so that their address identifies them.
    fn collect(&mut self, type_name: &'static str, sets: &Sets<'a>) -> Rc<[Collected<'a>]> {
        let key = (Rc::as_ptr(sets).cast::<()>() as usize, type_name);
        if let Some(found) = self.memo.get(&key) {
            return Rc::clone(found);
        }
        let mut fields: Vec<(&'a str, &'a FieldNode, Vec<&'a Set>)> = Vec::new();
        for set in sets.iter() {
            self.gather(type_name, set, &mut fields);
        }
        let collected = fields.into_iter().map(|(key, field, sets)| Collected {
            key,
            field,
            sets: Rc::from(sets),
        });
        let collected: Rc<[_]> = collected.collect();
        self.memo.insert(key, Rc::clone(&collected));
        collected
    }

    fn gather(
        &self,
        type_name: &'static str,
        set: &'a Set,
        fields: &mut Vec<(&'a str, &'a FieldNode, Vec<&'a Set>)>,
    ) {
        let holds = |condition: &Option<TypeCondition<'static, String>>| match condition {
            Some(TypeCondition::On(name)) => {
                type_name.is_empty() || types::matches(type_name, name)
            }
            None => true,
        };
        let variables = self.asked.variables;
        for selection in &set.items {
            match selection {
                Selection::Field(field) if !is_skipped(&field.directives, variables) => {
                    let key = field.alias.as_deref().unwrap_or(&field.name);
                    match fields.iter_mut().find(|(other, ..)| *other == key) {
                        Some((.., sets)) => sets.push(&field.selection_set),
                        None => fields.push((key, field, vec![&field.selection_set])),
                    }
                }
                Selection::InlineFragment(inline)
                    if holds(&inline.type_condition)
                        && !is_skipped(&inline.directives, variables) =>
                {
                    self.gather(type_name, &inline.selection_set, fields);
                }
                Selection::FragmentSpread(spread) if !is_skipped(&spread.directives, variables) => {
                    if let Some(fragment) = self.asked.parsed.fragment(&spread.fragment_name)
                        && holds(&Some(fragment.type_condition.clone()))
                    {
                        self.gather(type_name, &fragment.selection_set, fields);
                    }
                }
                _ => {}
            }
        }
    }
}
