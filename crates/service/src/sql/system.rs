//! The tables of the schema `system`: what each is called, its columns, and who fills it. A table is filled when a query
//! names it: as a whole, or for the tables that its `WHERE` names.
//!
//! Not here: where the facts come from, which is in a module for each.

mod branches;
mod column;
mod files;
mod fragments;
mod indices;
mod jobs;
mod per_table;
mod policies;
mod statistics;
mod tables;
mod versions;

use std::collections::BTreeSet;

use arrow_array::RecordBatch;
use datafusion::error::DataFusionError;
use futures::future::BoxFuture;

pub use column::SystemColumn;

use super::SqlSession;
use super::answer::Cell;
use super::error::SqlRunError;

/// A table of the schema `system`.
#[derive(Debug)]
pub struct SystemTable {
    /// Its name in that schema.
    pub name: &'static str,
    /// What a row of it is.
    pub about: &'static str,
    /// Its columns, in their order. Names and meanings are stable; new columns come last.
    pub columns: &'static [SystemColumn],
    fill: for<'a> fn(&'a SqlSession, &'a Asked) -> BoxFuture<'a, Result<Rows, SqlRunError>>,
}

/// Which tables a system table is asked about.
#[derive(Debug, Clone, Default)]
pub(super) struct Asked(Option<BTreeSet<String>>);

impl Asked {
    /// These; `None` is all of them.
    pub(super) fn of(tables: Option<Vec<String>>) -> Self {
        Self(tables.map(|tables| tables.into_iter().collect()))
    }

    /// Whether anybody wants to know of this table. To be asked before the table is opened.
    fn includes(&self, table: &str) -> bool {
        self.0.as_ref().is_none_or(|tables| tables.contains(table))
    }

    /// Those of these tables that somebody wants to know of; `None` if that is all.
    fn among(&self, known: &[String]) -> Option<Vec<String>> {
        let tables = self.0.as_ref()?;
        Some(known.iter().filter(|table| tables.contains(*table)).cloned().collect())
    }
}

/// All of them.
pub(super) const TABLES: &[SystemTable] = &[
    tables::TABLE,
    fragments::TABLE,
    versions::TABLE,
    branches::TABLE,
    indices::TABLE,
    statistics::TABLE,
    files::TABLE,
    policies::TABLE,
    jobs::TABLE,
];

/// Rows of a system table, and what could not be learned.
#[derive(Debug, Default)]
struct Rows {
    rows: Vec<Vec<Cell>>,
    notes: Vec<String>,
}

/// A system table as it is now.
pub(super) struct Filled {
    pub(super) batch: RecordBatch,
    pub(super) notes: Vec<String>,
}

/// Fills a table with the rows of the tables that it is asked about, and maybe of others.
pub(super) async fn fill(
    session: &SqlSession,
    table: &'static SystemTable,
    asked: &Asked,
) -> Result<Filled, SqlRunError> {
    let Rows { rows, notes } = (table.fill)(session, asked).await?;
    let batch = column::batch(table.columns, &rows);
    let failed = |error| SqlRunError::Query { source: DataFusionError::from(error) };
    Ok(Filled { batch: batch.map_err(failed)?, notes })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_and_column_is_documented_as_it_is() {
        let document = include_str!("../../../../docs/sql.md");
        let mut wanted = Vec::new();
        for SystemTable { name, about, columns, .. } in TABLES {
            let head = format!(
                "### `system.{name}`\n\n{about}\n\n| column | type | what |\n|---|---|---|\n"
            );
            let rows = columns
                .iter()
                .map(|c| format!("| `{}` | {} | {} |\n", c.name, c.kind.sql_name(), c.about));
            let section: String = std::iter::once(head).chain(rows).collect();
            if !document.contains(&section) {
                wanted.push(section);
            }
        }
        assert!(wanted.is_empty(), "docs/sql.md should have:\n{}", wanted.join("\n"));
    }
}
