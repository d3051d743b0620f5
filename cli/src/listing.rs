//! Lists: one mechanism for the columns, the order, the length and the format of every `ls`.

use serde_json::Value;

use crate::args::{ListArgs, ListFormat};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::nearest::nearest;
use crate::output;
use crate::table::{self, Column, Look};

/// What a list consists of.
pub(crate) struct Listing<'a, T> {
    /// The kind of its JSON document.
    pub(crate) kind: &'static str,
    pub(crate) columns: Vec<Column<'a, T>>,
    /// The id of an item, which every command accepts.
    pub(crate) id: &'a dyn Fn(&T) -> String,
    /// An item as in docs/json.md.
    pub(crate) document: &'a dyn Fn(&T) -> Value,
    /// The message about an empty list.
    pub(crate) empty: &'a str,
}

impl<T> Listing<'_, T> {
    /// Prints the items as the user asked.
    pub(crate) fn print(&self, context: &Context, args: &ListArgs, items: Vec<T>) -> Result<()> {
        let chosen = args.columns.iter().map(|name| self.column(name));
        let chosen = chosen.collect::<Result<Vec<_>>>()?;
        let mut items = items;
        if let Some(sort) = &args.sort {
            let (column, is_descending) = self.order(sort)?;
            table::sort(&mut items, column, is_descending);
        }
        let total = items.len();
        items.truncate(args.limit.map_or(total, |limit| usize::try_from(limit).unwrap_or(total)));
        match args.output.unwrap_or(ListFormat::Table) {
            ListFormat::Ndjson => return self.lines(&items),
            ListFormat::Json => {}
            ListFormat::Name => {
                let ids = items.iter().map(|item| (self.id)(item) + "\n");
                return output::text(&ids.collect::<String>());
            }
            ListFormat::Table if context.is_json => {}
            ListFormat::Table => return self.table(context, &chosen, &items, total),
        }
        output::list(self.kind, || items.iter().map(self.document))
    }

    fn lines(&self, items: &[T]) -> Result<()> {
        let lines = items.iter().map(|item| (self.document)(item).to_string() + "\n");
        output::json_lines(lines.collect::<String>().as_bytes())
    }

    fn table(
        &self,
        context: &Context,
        chosen: &[&Column<'_, T>],
        items: &[T],
        total: usize,
    ) -> Result<()> {
        if items.is_empty() {
            context.say(self.empty);
            return Ok(());
        }
        let defaults: Vec<_> = self.columns.iter().filter(|column| column.is_default).collect();
        let is_fixed = !chosen.is_empty();
        let columns = if is_fixed { chosen } else { &defaults };
        let look = Look { width: output::width(), is_fixed, has_color: output::has_color() };
        let rendered = table::render(columns, items, look);
        match look.has_color {
            true => output::styled(rendered.text.as_bytes())?,
            false => output::raw_bytes(rendered.text.as_bytes())?,
        }
        if items.len() < total {
            context.say(&format!("the first {} of {total}; for more: --limit", items.len()));
        }
        if !rendered.hidden.is_empty() {
            let hidden = rendered.hidden.join(", ");
            let rows = match rendered.hidden_rows {
                0 => String::new(),
                1 => ", and 1 row that has only these".to_owned(),
                rows => format!(", and {rows} rows that have only these"),
            };
            context.say(&format!("not shown: {hidden}{rows} (see --columns)"));
        }
        Ok(())
    }

    /// `COLUMN`, `COLUMN:asc`, `COLUMN:desc` or `-COLUMN`.
    fn order(&self, text: &str) -> Result<(&Column<'_, T>, bool)> {
        if let Some(name) = text.strip_prefix('-') {
            return Ok((self.column(name)?, true));
        }
        let (name, direction) = text.split_once(':').unwrap_or((text, "asc"));
        match direction {
            "asc" | "desc" => Ok((self.column(name)?, direction == "desc")),
            _ => Err(Error::Usage(format!(
                "{direction:?} is no direction: write --sort {name}:asc or --sort {name}:desc"
            ))),
        }
    }

    fn column(&self, name: &str) -> Result<&Column<'_, T>> {
        let found = self.columns.iter().find(|column| column.name.eq_ignore_ascii_case(name));
        found.ok_or_else(|| {
            let names: Vec<_> = self.columns.iter().map(|column| column.name).collect();
            let near = nearest(name, &names).map(|near| format!("did you mean {near}? "));
            let (near, names) = (near.unwrap_or_default(), names.join(", "));
            Error::Usage(format!("there is no column {name:?}; {near}the columns are: {names}"))
        })
    }
}
