//! What a statement answers: rows of cells, and what to know besides.

use chrono::{DateTime, Utc};
use lancekeeper_model::ExitCode;

/// The answer to one statement.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The first words of the statement, in capitals.
    pub statement: &'static str,
    /// Whether it is a plan that was not carried out.
    pub dry_run: bool,
    /// The names of the columns.
    pub columns: Vec<String>,
    /// The rows, each with a cell for each column.
    pub rows: Vec<Vec<Cell>>,
    /// Things to know that are no errors.
    pub notes: Vec<String>,
    /// What the binary ends with if nothing else went wrong.
    pub exit_code: ExitCode,
}

impl Answer {
    /// Rows, and nothing besides.
    pub(super) fn of(statement: &'static str, columns: &[&str], rows: Vec<Vec<Cell>>) -> Self {
        let columns = columns.iter().map(|name| (*name).to_owned()).collect();
        Self {
            statement,
            dry_run: false,
            columns,
            rows,
            notes: Vec::new(),
            exit_code: ExitCode::Done,
        }
    }
}

/// One value.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// None.
    Null,
    /// Yes or no.
    Flag(bool),
    /// A whole number.
    Integer(i128),
    /// A number; never one that JSON does not have.
    Real(f64),
    /// Text, and every value that has no form of its own here.
    Text(String),
    /// A moment.
    Time(DateTime<Utc>),
}

impl Cell {
    /// Text.
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// A count.
    pub(super) fn count(count: impl TryInto<i128>) -> Self {
        count.try_into().map_or(Self::Null, Self::Integer)
    }

    /// Null for nothing.
    pub(super) fn maybe<T>(value: Option<T>, cell: impl FnOnce(T) -> Self) -> Self {
        value.map_or(Self::Null, cell)
    }
}
