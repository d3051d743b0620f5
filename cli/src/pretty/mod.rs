//! The stream for people: one line per transaction and thing that changed, with the local time, short
//! ids, and the fields in the order of their weight. A line is never wider than the terminal.

mod decision;
mod delivery;
mod fields;
mod full;
mod items;
mod launch;
mod piece;
mod turn;

use std::borrow::Cow;
use std::io::Write;

use anstyle::Style;
use ao_store::log::as_of::RowAt;
use ao_store::log::change::ChangeRef;
use ao_store::{Epoch, Error, Seq, Timestamp};
use jiff::civil::Date;
use unicode_width::UnicodeWidthStr;

use self::fields::Image;
use self::items::Items;
use self::piece::{Piece, dim, of_op, plain};
use crate::output::{self, printable};
use crate::{table, time};

/// Renders changes. It keeps those of the newest transaction until the next one begins or
/// [`Pretty::finish`] is called.
#[derive(Debug)]
pub(crate) struct Pretty {
    epoch: Epoch,
    /// Every change with all of its fields.
    is_full: bool,
    transaction: Option<Seq>,
    things: Vec<Thing>,
    lines: Vec<Line>,
    /// The day of the last line.
    day: Date,
    /// The widths of the first columns, so far.
    widths: [usize; 2],
}

/// What a transaction changed of one project, session, launch, delivery, decision, conversation, turn or pull
/// request.
#[derive(Debug)]
struct Thing {
    at: Timestamp,
    owner: String,
    id: String,
    entity: &'static str,
    /// Where the pull request is, if its row changed.
    place: Option<String>,
    own: Option<Own>,
    items: Items,
}

/// The change of the row itself: from the first image before to the last one after.
#[derive(Debug)]
struct Own {
    verb: String,
    op: &'static str,
    before: Image,
    after: Image,
}

#[derive(Debug)]
struct Line {
    at: Timestamp,
    owner: String,
    subject: Piece,
    pieces: Vec<Piece>,
}

impl Pretty {
    /// A renderer for a log in an epoch.
    pub(crate) fn new(epoch: Epoch, is_full: bool) -> Pretty {
        let day = time::local(Timestamp::now()).date();
        Pretty {
            epoch,
            is_full,
            transaction: None,
            things: Vec::new(),
            lines: Vec::new(),
            day,
            widths: [0; 2],
        }
    }

    /// Takes a change; its line follows when its transaction is complete.
    pub(crate) fn change(
        &mut self,
        change: &ChangeRef<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        if self.is_full {
            return full::write(change, self.epoch, out);
        }
        let transaction = change.tx()?;
        // Of a foreign writer it is not known where its transactions begin.
        if transaction.is_none() || transaction != self.transaction {
            self.end_transaction();
        }
        self.transaction = transaction;
        let key: Vec<String> = serde_json::from_str(&change.key()?).unwrap_or_default();
        let (id, entity) = (key.into_iter().next().unwrap_or_default(), root(&change.entity()?));
        let found = self.things.iter().position(|thing| thing.id == id && thing.entity == entity);
        let at = match found {
            Some(at) => at,
            None => {
                self.things.push(Thing::new(change, id, entity)?);
                self.things.len() - 1
            }
        };
        self.things[at].add(change)
    }

    /// Appends every complete line. The transaction that was read last is complete if `is_at_end`.
    pub(crate) fn finish(&mut self, is_at_end: bool, out: &mut Vec<u8>) {
        if is_at_end {
            self.end_transaction();
        }
        let width = output::width();
        let lines = std::mem::take(&mut self.lines);
        for line in &lines {
            let subject: usize = line.subject.iter().map(|(_, text)| text.width()).sum();
            self.widths[0] = self.widths[0].max(line.owner.width());
            self.widths[1] = self.widths[1].max(subject);
        }
        if let Some(width) = width {
            self.widths = [self.widths[0].min(width / 5), self.widths[1].min(width / 4)];
        }
        for line in lines {
            let when = time::local(line.at);
            if when.date() != self.day {
                self.day = when.date();
                let bold = Style::new().bold();
                // Writing to a Vec cannot fail.
                let _ = writeln!(out, "{bold}{}{bold:#}", when.strftime("%A, %Y-%m-%d"));
            }
            write_line(&line, &when.strftime("%H:%M:%S").to_string(), self.widths, width, out);
        }
    }

    fn end_transaction(&mut self) {
        self.lines.extend(self.things.drain(..).map(Thing::into_line));
    }
}

impl Thing {
    fn new(change: &ChangeRef<'_>, id: String, entity: &'static str) -> Result<Thing, Error> {
        let owner = change.session()?.or(change.project()?).unwrap_or_default();
        let (at, owner) = (change.at()?, printable(&owner));
        Ok(Thing { at, owner, id, entity, place: None, own: None, items: Items::default() })
    }

    fn add(&mut self, change: &ChangeRef<'_>) -> Result<(), Error> {
        let entity = change.entity()?;
        if entity != self.entity {
            return self.items.add(change);
        }
        let parse = |image: Option<Cow<'_, str>>| -> Image {
            image.and_then(|image| serde_json::from_str(&image).ok()).unwrap_or_default()
        };
        let (before, after) = (parse(change.before()?), parse(change.after()?));
        let image = if after.is_empty() { &before } else { &after };
        if entity == "pr" {
            self.place = Some(place(image));
        }
        // The owner may be another one after it.
        self.owner = printable(&change.session()?.or(change.project()?).unwrap_or_default());
        let kind = change.kind()?;
        let verb = kind.strip_prefix(self.entity).unwrap_or_default().trim_start_matches('_');
        match &mut self.own {
            Some(own) => {
                if verb != "updated" && own.op != "insert" {
                    verb.clone_into(&mut own.verb);
                }
                own.after = after;
            }
            None => {
                let op = match &*change.op()? {
                    "insert" => "insert",
                    "delete" => "delete",
                    _ => "update",
                };
                self.own = Some(Own { verb: verb.to_owned(), op, before, after });
            }
        }
        Ok(())
    }

    fn into_line(self) -> Line {
        let mut pieces = Vec::new();
        let items = self.items.pieces();
        if let Some(Own { verb, op, before, after }) = self.own {
            // The words of these say what was done to them.
            let has_words = matches!(self.entity, "launch" | "delivery" | "decision" | "turn");
            let is_said = has_words && (op == "update" || verb == "accepted");
            if verb != "updated" && verb != "session_changed" && !is_said {
                pieces.push(of_op(op, verb.replace('_', " ")));
            }
            pieces.extend(match (op, self.entity) {
                ("insert", entity) => identifying(entity, &after),
                ("delete", entity) => identifying(entity, &before),
                (_, "launch") => launch::changed(&before, &after),
                (_, "delivery") => delivery::changed(&before, &after),
                (_, "decision") => decision::changed(&before, &after),
                (_, "turn") => turn::changed(&before, &after),
                _ => fields::changed(&before, &after, &verb),
            });
            if pieces.is_empty() && items.is_empty() {
                pieces.push(fields::names(&before, &after));
            }
        }
        pieces.extend(items);
        let subject = match self.entity {
            "pr" => plain(printable(&self.place.unwrap_or_else(|| short_id(&self.id)))),
            entity => dim(entity),
        };
        Line { at: self.at, owner: self.owner, subject, pieces }
    }
}

/// What identifies a row of an entity, and its states.
fn identifying(entity: &str, image: &Image) -> Vec<Piece> {
    match entity {
        "launch" => launch::identifying(image),
        "delivery" => delivery::identifying(image),
        "decision" => decision::identifying(image),
        "turn" | "conversation" => turn::identifying(image),
        _ => fields::identifying(image),
    }
}

/// The entity that a changed row belongs to.
fn root(entity: &str) -> &'static str {
    match entity {
        "project" => "project",
        "session" => "session",
        "launch" => "launch",
        "delivery" => "delivery",
        "decision" => "decision",
        "turn" => "turn",
        "conversation" => "conversation",
        _ => "pr",
    }
}

/// The location of a pull request, without the host github.com.
fn place(image: &Image) -> String {
    let number = image.get("number").map(ToString::to_string).unwrap_or_default();
    let location =
        format!("{}/{}#{number}", fields::text(image, "host"), fields::text(image, "repo"));
    short_id(&location)
}

fn short_id(id: &str) -> String {
    id.strip_prefix("github.com/").unwrap_or(id).to_owned()
}

/// Appends a line, cut to the width of the terminal.
fn write_line(
    line: &Line,
    when: &str,
    widths: [usize; 2],
    width: Option<usize>,
    out: &mut Vec<u8>,
) {
    let mut parts = dim(when);
    let column = |parts: &mut Piece, piece: &Piece, least: usize| {
        let used: usize = piece.iter().map(|(_, text)| text.width()).sum();
        let cut =
            |text: &str| if width.is_some() { table::cut(text, least) } else { text.to_owned() };
        parts.push((Style::new(), "  ".to_owned()));
        parts.extend(piece.iter().map(|(style, text)| (*style, cut(text))));
        parts.push((Style::new(), " ".repeat(least.saturating_sub(used))));
    };
    column(&mut parts, &plain(line.owner.as_str()), widths[0]);
    column(&mut parts, &line.subject, widths[1]);
    for piece in &line.pieces {
        parts.push((Style::new(), "  ".to_owned()));
        parts.extend(piece.iter().cloned());
    }
    write_parts(&parts, width, out);
}

fn write_parts(parts: &Piece, width: Option<usize>, out: &mut Vec<u8>) {
    let mut room = width.unwrap_or(usize::MAX);
    let total: usize = parts.iter().map(|(_, text)| text.width()).sum();
    let is_cut = total > room;
    for (style, text) in parts {
        // The last column is for the mark of what is cut.
        let fits = text.width() < room || (!is_cut && text.width() <= room);
        let shown = if fits { text.clone() } else { table::cut(&format!("{text}……"), room) };
        // Writing to a Vec cannot fail.
        let _ = write!(out, "{style}{shown}{style:#}");
        if !fits {
            break;
        }
        room -= text.width();
    }
    out.push(b'\n');
}

/// Appends a row of a snapshot as one line.
pub(crate) fn write_row(entity: &str, row: &RowAt, out: &mut Vec<u8>) {
    let image: Image = serde_json::from_str(&row.image).unwrap_or_default();
    let key: Vec<String> = serde_json::from_str(&row.key).unwrap_or_default();
    let key: Vec<_> = key.iter().map(|part| piece::short(&part.as_str().into())).collect();
    let owner = row.session.as_ref().or(row.project.as_ref()).map_or("", String::as_str);
    let mut parts =
        plain(format!("{entity:<18}{:<16}{}", printable(owner) + "  ", short_id(&key.join(" "))));
    for piece in identifying(entity, &image) {
        parts.push((Style::new(), "  ".to_owned()));
        parts.extend(piece);
    }
    write_parts(&parts, output::width(), out);
}
