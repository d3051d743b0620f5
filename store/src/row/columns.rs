//! One list of columns per row type, from which reading, inserting and updating follow.
//!
//! A list has two parts, separated by `;`: the columns that an update leaves alone, beginning with
//! the key, and the values. `field = column` names a column that is not called like its field.
//! Every statement is one constant text, so that it stays prepared.

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Params, Row, params_from_iter};

use crate::db::text;
use crate::db::tx::Tx;
use crate::error::Result;
use crate::model::id::{AgentId, OrgId, PrId, ProjectId, SessionId};
use crate::model::observation::{
    CheckKind, CheckStatus, Ci, CommentKind, Completeness, Mergeability, Mergeable, PrState,
    ReviewDecision, ReviewState,
};
use crate::model::time::Timestamp;

/// A value of one column.
pub(crate) trait Column: Sized {
    fn read(row: &Row<'_>, index: usize) -> rusqlite::Result<Self>;

    fn value(&self) -> ValueRef<'_>;
}

/// A row type with its list of columns.
pub(crate) trait Columns: Sized {
    /// The names of the columns.
    const NAMES: &'static [&'static str];
    /// How many of them an update leaves alone.
    const FIXED: usize;
    /// An array of values.
    type Values<'a>: AsRef<[ValueRef<'a>]>
    where
        Self: 'a;
    /// An array of the values of the fixed columns.
    type Fixed<'a>: AsRef<[ValueRef<'a>]>
    where
        Self: 'a;

    /// Reads a row of a query that selects exactly these columns first.
    fn read(row: &Row<'_>) -> rusqlite::Result<Self>;

    /// The values of all columns.
    fn values(&self) -> Self::Values<'_>;

    /// The values of the fixed columns.
    fn fixed(&self) -> Self::Fixed<'_>;
}

/// A row type that has a table of exactly its columns.
pub(crate) trait Table: Columns {
    /// The statements that write a row.
    fn sql() -> &'static Sql;
}

/// The statements that write a row of one table.
pub(crate) struct Sql {
    insert: String,
    update: String,
    upsert: String,
}

impl Sql {
    pub(crate) fn new<R: Columns>(table: &str) -> Sql {
        let parameters = |count: usize| vec!["?"; count].join(", ");
        let (key, values) = (R::NAMES[0], &R::NAMES[R::FIXED..]);
        let excluded = format!("excluded.{}", values.join(", excluded."));
        let (count, values) = (values.len(), values.join(", "));
        let (names, all) = (R::NAMES.join(", "), parameters(R::NAMES.len()));
        let insert = format!("INSERT INTO {table} ({names}) VALUES ({all})");
        Sql {
            update: format!(
                "UPDATE {table} SET ({values}) = ({}) WHERE {key} = ?",
                parameters(count)
            ),
            upsert: format!(
                "{insert} ON CONFLICT DO UPDATE SET ({values}) = ({excluded})
                 WHERE ({values}) IS NOT ({excluded})"
            ),
            insert,
        }
    }
}

/// Inserts a row into a captured table.
pub(crate) fn insert<R: Table>(tx: &Tx<'_>, step: &'static str, row: &R) -> Result<()> {
    tx.execute_captured(step, &R::sql().insert, params(row.values().as_ref())).map(|_| ())
}

/// Updates the values of the stored row of a captured table that has the same key.
pub(crate) fn update<R: Table>(tx: &Tx<'_>, step: &'static str, row: &R) -> Result<()> {
    let values = row.values();
    let values = values.as_ref();
    let (key, values) = (&values[..1], &values[R::FIXED..]);
    tx.execute_captured(step, &R::sql().update, params(values.iter().chain(key))).map(|_| ())
}

/// Stores a row of an uncaptured table; returns whether a value differed and was written.
pub(crate) fn upsert<R: Table>(tx: &Tx<'_>, step: &'static str, row: &R) -> Result<bool> {
    Ok(tx.execute_uncaptured(step, &R::sql().upsert, params(row.values().as_ref()))? > 0)
}

/// Borrowed values as the parameters of a statement.
pub(crate) fn params<'a>(values: impl IntoIterator<Item = &'a ValueRef<'a>>) -> impl Params {
    params_from_iter(values.into_iter().map(|value| ToSqlOutput::Borrowed(*value)))
}

macro_rules! column {
    ($type:ty, |$row:ident, $index:ident| $read:expr, |$value:ident| $bind:expr) => {
        impl $crate::row::columns::Column for $type {
            fn read($row: &rusqlite::Row<'_>, $index: usize) -> rusqlite::Result<Self> {
                $read
            }

            fn value(&self) -> rusqlite::types::ValueRef<'_> {
                let $value = self;
                $bind
            }
        }
    };
}
pub(crate) use column;

column!(i64, |row, index| row.get(index), |value| ValueRef::Integer(*value));
column!(bool, |row, index| row.get(index), |value| ValueRef::Integer(i64::from(*value)));
column!(String, |row, index| text::text(row, index), |value| text(value));
column!(Vec<u8>, |row, index| row.get(index), |value| ValueRef::Blob(value));
column!(Timestamp, |row, index| row.get(index).map(Timestamp), |value| ValueRef::Integer(value.0));
column!(PrId, |row, index| text::text(row, index).map(PrId::stored), |value| text(value.as_str()));
column!(OrgId, |row, index| text::text(row, index).map(OrgId::stored), |id| text(id.as_str()));
column!(AgentId, |row, index| text::text(row, index).map(AgentId::stored), |id| text(id.as_str()));
column!(ProjectId, |row, index| text::text(row, index).map(ProjectId::stored), |id| text(
    id.as_str()
));
column!(SessionId, |row, index| text::text(row, index).map(SessionId::stored), |id| text(
    id.as_str()
));

/// Implements [`Column`] for text enums.
macro_rules! enum_columns {
    ($($name:ident),+ $(,)?) => {
        $($crate::row::columns::column!(
            $name,
            |row, index| $crate::db::text::with(row, index, $name::parse),
            |value| $crate::row::columns::text(value.as_str())
        );)+
    };
}
pub(crate) use enum_columns;

enum_columns!(
    CheckKind,
    CheckStatus,
    Ci,
    CommentKind,
    Completeness,
    Mergeability,
    Mergeable,
    PrState,
    ReviewDecision,
    ReviewState,
);

impl<T: Column> Column for Option<T> {
    fn read(row: &Row<'_>, index: usize) -> rusqlite::Result<Self> {
        match row.get_ref(index)? {
            ValueRef::Null => Ok(None),
            _ => T::read(row, index).map(Some),
        }
    }

    fn value(&self) -> ValueRef<'_> {
        self.as_ref().map_or(ValueRef::Null, T::value)
    }
}

/// A text as a value.
pub(crate) fn text(value: &str) -> ValueRef<'_> {
    ValueRef::Text(value.as_bytes())
}

/// The name of the column of a field, as a literal.
macro_rules! name {
    ($field:ident) => {
        stringify!($field)
    };
    ($field:ident = $column:ident) => {
        stringify!($column)
    };
}
pub(crate) use name;

/// Implements [`Columns`]. Fields that are no columns are taken from the expression after `..`.
macro_rules! columns {
    ($row:ident {
        $($fixed:ident $(= $fixed_name:ident)?),+ ;
        $($value:ident $(= $value_name:ident)?),+ $(,)?
    } $(.. $rest:expr)?) => {
        impl $crate::row::columns::Columns for $row {
            const NAMES: &'static [&'static str] = &[
                $($crate::row::columns::name!($fixed $(= $fixed_name)?),)+
                $($crate::row::columns::name!($value $(= $value_name)?),)+
            ];
            const FIXED: usize = [$(stringify!($fixed)),+].len();
            type Values<'a> = [rusqlite::types::ValueRef<'a>;
                [$(stringify!($fixed),)+ $(stringify!($value)),+].len()];
            type Fixed<'a> = [rusqlite::types::ValueRef<'a>; [$(stringify!($fixed)),+].len()];

            fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Self> {
                use $crate::row::columns::Column;
                let mut index = 0..;
                let mut next = || index.next().unwrap_or_default();
                Ok($row {
                    $($fixed: Column::read(row, next())?,)+
                    $($value: Column::read(row, next())?,)+
                    $(..$rest)?
                })
            }

            fn values(&self) -> Self::Values<'_> {
                use $crate::row::columns::Column;
                [$(self.$fixed.value(),)+ $(self.$value.value()),+]
            }

            fn fixed(&self) -> Self::Fixed<'_> {
                use $crate::row::columns::Column;
                [$(self.$fixed.value()),+]
            }
        }
    };
}
pub(crate) use columns;

/// Implements [`Columns`] and [`Table`], and defines `names!`, the list of columns as a literal.
macro_rules! table {
    ($row:ident in $table:literal {
        $key:ident $(, $fixed:ident $(= $fixed_name:ident)?)* ;
        $($value:ident $(= $value_name:ident)?),+ $(,)?
    }) => {
        $crate::row::columns::columns! {
            $row {
                $key $(, $fixed $(= $fixed_name)?)* ;
                $($value $(= $value_name)?),+
            }
        }

        macro_rules! names {
            () => {
                concat!(
                    stringify!($key),
                    $(", ", $crate::row::columns::name!($fixed $(= $fixed_name)?),)*
                    $(", ", $crate::row::columns::name!($value $(= $value_name)?),)+
                )
            };
        }

        impl $crate::row::columns::Table for $row {
            fn sql() -> &'static $crate::row::columns::Sql {
                static SQL: std::sync::LazyLock<$crate::row::columns::Sql> =
                    std::sync::LazyLock::new(|| $crate::row::columns::Sql::new::<$row>($table));
                &SQL
            }
        }
    };
}
pub(crate) use table;
