//! Tables for people. On a terminal a table is never wider than the terminal: texts are cut first, then
//! states, and columns of little weight are left out before an id is cut. A pipe gets everything.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::fmt::Write;
use std::iter::repeat_n;

use anstyle::Style;
use ao_store::Timestamp;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::output::{is_plain, printable};
use crate::{state_color, view};

/// The space between two columns.
const GAP: usize = 2;
/// The least width to which a column is cut before another one is left out.
const TEXT_MIN: usize = 16;
const STATE_MIN: usize = 8;
/// The least width of a column that the user chose.
const LEAST: usize = 3;

/// A value in a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cell {
    text: String,
    /// How many columns of a terminal the text takes.
    width: usize,
    style: Style,
    /// Where a sorted list has it; equal ones are in the order of their texts.
    order: i64,
    is_right: bool,
}

impl Cell {
    /// A text; an empty one is shown as `-` and is last in a sorted list.
    pub(crate) fn text(text: impl Into<String>) -> Cell {
        let text = text.into();
        if text.is_empty() {
            return Cell::absent();
        }
        Cell::shown(if is_plain(&text) { text } else { printable(&text) })
    }

    /// A text that is printed as it is.
    fn shown(text: String) -> Cell {
        let width = width_of(&text);
        Cell { text, width, style: Style::new(), order: 0, is_right: false }
    }

    /// A state in its colour.
    pub(crate) fn state(state: &str) -> Cell {
        let order = state_color::weight(state) as i64;
        Cell { style: state_color::style(state), order, ..Cell::text(state) }
    }

    /// A number, or a size or an age that is shown in words.
    pub(crate) fn number(number: u64, shown: String) -> Cell {
        let order = i64::try_from(number).unwrap_or(i64::MAX - 1);
        Cell { order, is_right: true, ..Cell::shown(shown) }
    }

    /// How long ago a time was; a sorted list is in the order of the times.
    pub(crate) fn age(at: Timestamp) -> Cell {
        let ms = u64::try_from(Timestamp::now().0.saturating_sub(at.0)).unwrap_or(0);
        Cell { order: at.0.min(i64::MAX - 1), ..Cell::number(ms, view::age(ms)) }
    }

    /// The same for a time whose age means a state, such as `stale 3h`.
    pub(crate) fn age_as(state: &str, at: Timestamp) -> Cell {
        let age = Cell::age(at);
        let text = format!("{state} {}", age.text);
        Cell { style: state_color::style(state), order: age.order, ..Cell::shown(text) }
    }

    /// No value.
    pub(crate) fn absent() -> Cell {
        Cell { style: Style::new().dimmed(), order: i64::MAX, ..Cell::shown("-".to_owned()) }
    }

    /// The key by which rows are sorted: `x-2` goes before `x-10`.
    pub(crate) fn sort_key(&self) -> (i64, String) {
        let mut key = String::new();
        let mut digits = String::new();
        for c in self.text.chars().chain(['\0']) {
            if c.is_ascii_digit() {
                digits.push(c);
                continue;
            }
            if !digits.is_empty() {
                let _ = write!(key, "{digits:0>20}");
                digits.clear();
            }
            key.extend(c.to_lowercase());
        }
        (self.order, key)
    }

    pub(crate) fn is_absent(&self) -> bool {
        self.order == i64::MAX
    }
}

/// The columns of a terminal that a printable text takes.
fn width_of(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.width() }
}

/// A column: its name, how it may shrink, and the value of an item.
pub(crate) struct Column<'a, T> {
    pub(crate) name: &'static str,
    pub(crate) is_default: bool,
    /// On a narrow terminal the columns of the highest rank are left out first; those of rank 0 never.
    rank: u8,
    min: usize,
    is_count: bool,
    cell: Box<dyn Fn(&T) -> Cell + 'a>,
}

impl<'a, T> Column<'a, T> {
    /// A value that is not cut, such as an id.
    pub(crate) fn new(name: &'static str, cell: impl Fn(&T) -> Cell + 'a) -> Column<'a, T> {
        let cell = Box::new(cell);
        Column { name, is_default: true, rank: 0, min: usize::MAX, is_count: false, cell }
    }

    /// A number of things. A row without any number in the columns that are shown is left out.
    pub(crate) fn count(name: &'static str, cell: impl Fn(&T) -> Cell + 'a) -> Column<'a, T> {
        Column { is_count: true, ..Column::new(name, cell) }
    }

    /// A text, which is cut where it does not fit.
    pub(crate) fn text(name: &'static str, text: impl Fn(&T) -> String + 'a) -> Column<'a, T> {
        let column = Column::new(name, move |item| Cell::text(text(item)));
        Column { min: TEXT_MIN, ..column }
    }

    /// A state in its colour.
    pub(crate) fn state(name: &'static str, state: impl Fn(&T) -> String + 'a) -> Column<'a, T> {
        let column = Column::new(name, move |item| Cell::state(&state(item)));
        Column { min: STATE_MIN, ..column }
    }

    /// The column is only shown where the user asks for it.
    pub(crate) fn on_request(self) -> Column<'a, T> {
        Column { is_default: false, ..self }
    }

    /// The column is left out on a narrow terminal, before those of a lower rank.
    pub(crate) fn rank(self, rank: u8) -> Column<'a, T> {
        Column { rank, ..self }
    }

    pub(crate) fn cell(&self, item: &T) -> Cell {
        (self.cell)(item)
    }
}

/// A rendered table.
#[derive(Debug)]
pub(crate) struct Rendered {
    /// Its lines, with escape sequences for colours where they are wanted.
    pub(crate) text: String,
    /// The names of the columns that were left out because the terminal is too narrow.
    pub(crate) hidden: Vec<&'static str>,
    /// How many rows were left out because their numbers are in these columns.
    pub(crate) hidden_rows: usize,
}

/// How a table is shown.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Look {
    /// The columns of the terminal, if it is shown on one.
    pub(crate) width: Option<usize>,
    /// Whether no column may be left out.
    pub(crate) is_fixed: bool,
    /// Whether it has colours.
    pub(crate) has_color: bool,
}

/// Renders these columns of the items.
pub(crate) fn render<T>(columns: &[&Column<'_, T>], items: &[T], look: Look) -> Rendered {
    let Look { width, is_fixed, has_color } = look;
    let mut shown: Vec<Shown> = columns.iter().map(|column| Shown::of(column, items)).collect();
    let mut hidden = Vec::new();
    if let Some(width) = width {
        while !is_fixed && least(&shown) > width {
            let ranks = shown.iter().enumerate().map(|(at, column)| (column.rank, at));
            match ranks.max() {
                Some((rank, at)) if rank > 0 => hidden.push(shown.remove(at).name),
                _ => break,
            }
        }
        fit(&mut shown, width);
    }
    let mut text = String::new();
    let rows: Vec<_> =
        (0..=items.len()).filter(|row| is_fixed || has_number(&shown, *row)).collect();
    for row in &rows {
        push_line(&mut text, &shown, *row, has_color);
    }
    Rendered { text, hidden, hidden_rows: items.len() + 1 - rows.len() }
}

/// A column of a table with its cells, the header first, and the width that it gets.
struct Shown {
    name: &'static str,
    rank: u8,
    /// Whether the end of its values tells them apart.
    is_id: bool,
    min: usize,
    is_count: bool,
    width: usize,
    cells: Vec<Cell>,
}

impl Shown {
    fn of<T>(column: &Column<'_, T>, items: &[T]) -> Shown {
        let values: Vec<_> = items.iter().map(|item| column.cell(item)).collect();
        let is_right = values.iter().any(|cell| cell.is_right);
        let header = Cell {
            style: Style::new().bold(),
            is_right,
            ..Cell::text(column.name.to_uppercase().replace('_', " "))
        };
        let cells: Vec<_> = [header].into_iter().chain(values).collect();
        let width = cells.iter().map(|cell| cell.width).max().unwrap_or(0);
        // A header that is cut names nothing.
        let min = column.min.max(cells[0].width).min(width);
        let is_id = column.min == usize::MAX;
        let Column { name, rank, is_count, .. } = *column;
        Shown { name, rank, is_id, min, is_count, width, cells }
    }
}

/// Whether a row has a number, if any column has numbers.
fn has_number(columns: &[Shown], row: usize) -> bool {
    let mut counts = columns.iter().filter(|column| column.is_count).peekable();
    counts.peek().is_none() || counts.any(|column| !column.cells[row].is_absent())
}

fn gaps(columns: &[Shown]) -> usize {
    GAP * columns.len().saturating_sub(1)
}

/// The least width of a table in which no id is cut.
fn least(columns: &[Shown]) -> usize {
    columns.iter().map(|column| column.min).sum::<usize>() + gaps(columns)
}

/// Takes the excess width from the widest columns, first down to their minimum.
fn fit(columns: &mut [Shown], width: usize) {
    let total = columns.iter().map(|column| column.width).sum::<usize>() + gaps(columns);
    let mut excess = total.saturating_sub(width);
    for is_last_resort in [false, true] {
        while excess > 0 {
            let least = |column: &Shown| if is_last_resort { LEAST } else { column.min };
            let open = columns.iter_mut().filter(|column| column.width > least(column));
            let Some(widest) = open.max_by_key(|column| column.width) else { break };
            widest.width -= 1;
            excess -= 1;
        }
    }
}

fn push_line(text: &mut String, columns: &[Shown], row: usize, has_color: bool) {
    for (at, column) in columns.iter().enumerate() {
        let cell = &column.cells[row];
        let shown = match cell.width <= column.width {
            true => Cow::Borrowed(&cell.text),
            false if column.is_id && row > 0 => Cow::Owned(cut_start(&cell.text, column.width)),
            false => Cow::Owned(cut(&cell.text, column.width)),
        };
        let used = if cell.width <= column.width { cell.width } else { width_of(&shown) };
        let padding = column.width.saturating_sub(used);
        let is_last = at + 1 == columns.len();
        // What is absent is under the numbers of its column.
        let is_right = cell.is_right || cell.is_absent() && column.cells[0].is_right;
        if is_right {
            pad(text, padding);
        }
        if has_color {
            let style = cell.style;
            let _ = write!(text, "{style}{shown}{style:#}");
        } else {
            *text += &shown;
        }
        if !is_last {
            pad(text, if is_right { GAP } else { padding + GAP });
        }
    }
    text.push('\n');
}

fn pad(text: &mut String, count: usize) {
    text.extend(repeat_n(' ', count));
}

/// The text in at most this many columns of a terminal; what is cut is shown as `…`.
pub(crate) fn cut(text: &str, width: usize) -> String {
    if width_of(text) <= width {
        return text.to_owned();
    }
    let mut kept: String = fitting(text.chars(), width).collect();
    kept.truncate(kept.trim_end().len());
    kept.push('…');
    kept
}

/// The same with the end of the text, which tells ids apart: `…hello#7`.
fn cut_start(text: &str, width: usize) -> String {
    if width_of(text) <= width {
        return text.to_owned();
    }
    let kept: Vec<_> = fitting(text.chars().rev(), width).collect();
    ['…'].into_iter().chain(kept.into_iter().rev()).collect()
}

/// The first characters that leave room for `…` in this many columns.
fn fitting(chars: impl Iterator<Item = char>, width: usize) -> impl Iterator<Item = char> {
    let mut used = 0;
    chars.take_while(move |c| {
        used += c.width().unwrap_or(0);
        used < width
    })
}

/// Sorts items by a column; an absent value is last in both directions.
pub(crate) fn sort<T>(items: &mut [T], column: &Column<'_, T>, is_descending: bool) {
    let key = |item: &T| {
        let cell = column.cell(item);
        (cell.is_absent(), cell.sort_key())
    };
    match is_descending {
        false => items.sort_by_cached_key(key),
        true => items.sort_by_cached_key(|item| {
            let (is_absent, key) = key(item);
            (is_absent, Reverse(key))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_text_has_at_most_its_width() {
        for text in
            ["漢字かな交じり文", "😀😀😀😀", "e\u{301}e\u{301}e\u{301}e\u{301}", "plain text"]
        {
            for width in 1..20 {
                let shown = cut(text, width);
                assert!(shown.width() <= width, "{shown:?} is wider than {width}");
                assert_eq!(shown.ends_with('…'), text.width() > width, "{shown:?} at {width}");
            }
        }
        assert_eq!(cut("漢字かな", 6), "漢字…");
        assert_eq!(cut("two words", 5), "two…");
        assert_eq!(cut_start("octo/hello#17", 7), "…llo#17");
        assert_eq!(cut_start("漢字#17", 5), "…#17");
    }

    #[test]
    fn numbers_in_texts_are_sorted_as_numbers() {
        let mut ids = ["x-10", "x-2", "", "X-1", "w-3"];
        let column = Column::new("id", |id: &&str| Cell::text(*id));
        sort(&mut ids, &column, false);
        assert_eq!(ids, ["w-3", "X-1", "x-2", "x-10", ""]);
        sort(&mut ids, &column, true);
        assert_eq!(ids, ["x-10", "x-2", "X-1", "w-3", ""]);
    }

    #[test]
    fn at_every_width_a_table_fits_and_columns_of_little_weight_go_first() {
        let items = [("demo-1", "changes_requested", "漢字 and a long title of a pull request")];
        let columns = [
            Column::new("id", |item: &(&str, &str, &str)| Cell::text(item.0)),
            Column::state("review", |item: &(&str, &str, &str)| item.1.to_owned()).rank(1),
            Column::text("title", |item: &(&str, &str, &str)| item.2.to_owned()),
        ];
        let columns: Vec<_> = columns.iter().collect();
        for width in 24..100 {
            let look = Look { width: Some(width), has_color: true, ..Look::default() };
            let table = render(&columns, &items, look);
            let plain = anstream::adapter::strip_str(&table.text).to_string();
            assert!(plain.lines().all(|line| line.width() <= width), "{width}: {plain}");
            assert!(plain.contains("demo-1 "), "{plain}");
            assert_eq!(table.hidden.is_empty(), width >= 34, "{width}: {plain}");
            let without = render(&columns, &items, Look { has_color: false, ..look });
            assert_eq!(without.text, plain, "the colours are the only difference");
        }
        let piped = render(&columns, &items, Look::default());
        assert!(piped.text.contains("of a pull request") && piped.hidden.is_empty());
    }

    #[test]
    fn a_row_whose_numbers_are_in_hidden_columns_is_left_out() {
        let number = |number: u64| match number {
            0 => Cell::absent(),
            number => Cell::number(number, number.to_string()),
        };
        let columns = [
            Column::new("id", |item: &(&str, u64, u64)| Cell::text(item.0)),
            Column::count("failed", |item: &(&str, u64, u64)| number(item.1)).rank(1),
            Column::count("started", |item: &(&str, u64, u64)| number(item.2)).rank(2),
        ];
        let (columns, items) = (columns.each_ref(), [("demo-1", 1, 0), ("demo-2", 0, 1)]);
        for (width, is_fixed, expected) in
            [(None, false, 0), (Some(40), false, 0), (Some(16), false, 1), (Some(16), true, 0)]
        {
            let table = render(&columns, &items, Look { width, is_fixed, has_color: true });
            assert_eq!(table.hidden_rows, expected, "{width:?}");
            assert_eq!(table.text.lines().count(), 3 - expected, "{}", table.text);
        }
    }
}
