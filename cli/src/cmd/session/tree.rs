//! Sessions as a tree: each below the session that spawned it.

use std::collections::HashMap;

use ao_store::SessionId;

use super::Row;

/// The depth from which on the indentation does not grow any more.
const DEEPEST: usize = 20;

/// A session that is to be placed.
struct Next {
    index: usize,
    depth: usize,
    /// What is in front of its id.
    indent: String,
    /// What is in front of the indentation of its children.
    below: String,
}

/// Puts each session after its parent, those of one parent in their order, and returns what is to be shown in
/// front of their ids. A session whose parent is not listed is at the top; so is one of several that are each
/// other's parents, which only another program can have written.
pub(super) fn order(rows: &mut Vec<Row>) -> HashMap<SessionId, String> {
    let index: HashMap<&str, usize> =
        rows.iter().enumerate().map(|(index, (session, _))| (session.id.as_str(), index)).collect();
    let parent = |at: usize| index.get(rows[at].0.parent.as_str()).copied();
    let mut children: Vec<Vec<usize>> = vec![Vec::new(); rows.len()];
    for at in 0..rows.len() {
        if let Some(parent) = parent(at) {
            children[parent].push(at);
        }
    }
    let mut places = vec![None; rows.len()];
    let mut indents = HashMap::new();
    let roots = (0..rows.len()).filter(|at| parent(*at).is_none());
    for root in roots.chain(0..rows.len()) {
        let top = Next { index: root, depth: 0, indent: String::new(), below: String::new() };
        let mut open = vec![top];
        while let Some(next) = open.pop() {
            if places[next.index].is_some() {
                continue;
            }
            places[next.index] = Some(indents.len());
            open.extend(below(&next, &children[next.index]));
            indents.insert(rows[next.index].0.id.clone(), next.indent);
        }
    }
    let mut placed: Vec<_> = places.into_iter().zip(rows.drain(..)).collect();
    placed.sort_by_key(|(place, _)| *place);
    rows.extend(placed.into_iter().map(|(_, row)| row));
    indents
}

/// The children of a session, the first one last.
fn below(parent: &Next, children: &[usize]) -> Vec<Next> {
    let (last, grows) = (children.len().saturating_sub(1), parent.depth < DEEPEST);
    let one = |(at, index): (usize, &usize)| {
        let (own, below) = if at == last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        let below = if grows { parent.below.clone() + below } else { parent.below.clone() };
        let indent = parent.below.clone() + own;
        Next { index: *index, depth: parent.depth + 1, indent, below }
    };
    children.iter().enumerate().rev().map(one).collect()
}
