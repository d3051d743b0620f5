//! The checks, threads, reviews and comments of one pull request that changed in one transaction:
//! one of them in words, several as counts.

use ao_store::Error;
use ao_store::log::change::ChangeRef;
use serde_json::Value;

use super::fields::{Image, text};
use super::piece::{Piece, of_op, plain, short, state};

/// The entities of items with their names for people, in the order of their weight.
const ITEMS: [(&str, &str); 4] = [
    ("pr_check", "check"),
    ("pr_review", "review"),
    ("pr_review_thread", "thread"),
    ("pr_comment", "comment"),
];

/// The changes of items, counted.
#[derive(Debug, Default)]
pub(super) struct Items {
    counts: [Count; 4],
    /// The only change so far.
    single: Option<Vec<Piece>>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Count {
    inserted: u64,
    updated: u64,
    deleted: u64,
    failed: u64,
}

impl Items {
    /// Counts a change of an item.
    pub(super) fn add(&mut self, change: &ChangeRef<'_>) -> Result<(), Error> {
        let (entity, op) = (change.entity()?, change.op()?);
        let Some(at) = ITEMS.iter().position(|(name, _)| *name == entity) else { return Ok(()) };
        let is_first = self.counts.iter().all(|count| count.total() == 0);
        let image = change.after()?.or(change.before()?).unwrap_or_default();
        let image: Image = serde_json::from_str(&image).unwrap_or_default();
        let count = &mut self.counts[at];
        *match &*op {
            "insert" => &mut count.inserted,
            "delete" => &mut count.deleted,
            _ => &mut count.updated,
        } += 1;
        count.failed += u64::from(op != "delete" && text(&image, "status") == "failed");
        self.single = is_first
            .then(|| in_words(ITEMS[at].1, &image, &op, &change.kind().unwrap_or_default()));
        Ok(())
    }

    /// What changed, in words.
    pub(super) fn pieces(self) -> Vec<Piece> {
        if let Some(single) = self.single {
            return single;
        }
        let mut pieces = Vec::new();
        for ((_, name), count) in ITEMS.iter().zip(self.counts) {
            let Count { inserted, updated, deleted, failed } = count;
            let numbers =
                [("insert", '+', inserted), ("update", '~', updated), ("delete", '-', deleted)];
            for (op, sign, number) in numbers.into_iter().filter(|(_, _, number)| *number > 0) {
                let plural = if number == 1 { "" } else { "s" };
                pieces.push(of_op(op, format!("{sign}{number} {name}{plural}")));
            }
            if failed > 0 {
                let (style, _) = state("failed");
                pieces.push(vec![(style, format!("{failed} failed"))]);
            }
        }
        pieces
    }
}

impl Count {
    fn total(&self) -> u64 {
        self.inserted + self.updated + self.deleted
    }
}

/// One change of an item.
fn in_words(name: &str, image: &Image, op: &str, kind: &str) -> Vec<Piece> {
    let verb = kind.rsplit('_').next().unwrap_or_default();
    let done = of_op(op, short(&Value::from(verb)));
    let value = |name: &str| short(image.get(name).unwrap_or(&Value::Null));
    let by = format!("{name} by {}", value("author"));
    match name {
        "check" => {
            let workflow = Some(text(image, "workflow")).filter(|name| !name.is_empty());
            let workflow = workflow.map_or(String::new(), |_| value("workflow") + " / ");
            let mut piece = plain(format!("check {workflow}{} ", value("name")));
            piece.push(state(text(image, "status")));
            if op == "delete" { vec![piece, done] } else { vec![piece] }
        }
        "thread" => {
            let line = image.get("line").and_then(Value::as_i64);
            let line = line.map_or(String::new(), |line| format!(":{line}"));
            vec![plain(format!("thread {}{line}", value("path"))), done]
        }
        "review" => {
            let mut piece = plain(format!("{by} "));
            piece.push(state(text(image, "state")));
            if op == "insert" { vec![piece] } else { vec![piece, done] }
        }
        _ if op == "insert" => vec![plain(format!("{by}: {}", value("body")))],
        _ => vec![plain(by), done],
    }
}
