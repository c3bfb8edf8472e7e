//! `system.tables`: what `status` says of each table.

use futures::FutureExt;
use futures::future::BoxFuture;
use lancekeeper_model::{BranchSelection, StatusOptions, TableStatus};

use super::column::{count, real, text};
use super::per_table::see_all;
use super::{Asked, Rows, SystemTable};
use crate::sql::SqlSession;
use crate::sql::answer::Cell;
use crate::sql::error::SqlRunError;
use crate::sql::names::table_names;

pub(super) const TABLE: SystemTable = SystemTable {
    name: "tables",
    about: "A table on a branch, as readers of that branch see it.",
    columns: &[
        text("table", "its name"),
        text("branch", "the branch; `main` for the main branch"),
        count("version", "the version that readers see"),
        count("rows", "live rows"),
        count("fragments", "fragments"),
        count("small_fragments", "fragments below 64 MiB"),
        count("files", "data files"),
        count("bytes", "bytes of all its files"),
        count("data_bytes", "bytes of data files"),
        count("blob_bytes", "bytes of blobs beside them"),
        count("index_bytes", "bytes of indexes"),
        count("deletion_bytes", "bytes of deletion files"),
        real("deleted_share", "share of rows that are deleted and still stored, 0 to 1"),
        count("versions", "versions that exist"),
        count("unindexed_rows", "rows that some index does not cover; null without indexes"),
        count("drift_head", "the newest version, if it is not the one that the graph pins"),
        text("layout", "the order that its rows are kept in, if any"),
        text("would", "what an optimize would do, and why"),
        text("error", "why it could not be read, if it could not"),
    ],
    fill,
};

fn fill<'a>(session: &'a SqlSession, asked: &'a Asked) -> BoxFuture<'a, Result<Rows, SqlRunError>> {
    async move {
        let tables = asked.among(&table_names(&see_all(session).await?));
        if tables.as_ref().is_some_and(Vec::is_empty) {
            return Ok(Rows::default());
        }
        let options = StatusOptions {
            tables: tables.unwrap_or_default(),
            branches: BranchSelection::All,
            quick: true,
            optimize: session.options.optimize.clone(),
            ..StatusOptions::default()
        };
        let report = session.keeper.status_of([&session.root], options).await;
        let mut all = Rows::default();
        for root in report.roots {
            if let Some(error) = root.error {
                let kind = root.error_kind.unwrap_or(lancekeeper_model::ErrorKind::Internal);
                return Err(SqlRunError::Root { message: error, hint: root.hint, kind });
            }
            all.rows.extend(root.body.tables.iter().map(row));
            all.notes.extend(root.body.warnings);
        }
        Ok(all)
    }
    .boxed()
}

fn row(table: &TableStatus) -> Vec<Cell> {
    vec![
        Cell::text(table.table_key.as_str()),
        Cell::text(table.branch.label()),
        Cell::count(table.version.0),
        Cell::count(table.rows),
        Cell::count(table.fragments),
        Cell::count(table.small_fragments),
        Cell::count(table.files),
        Cell::count(table.bytes),
        Cell::count(table.sizes.data_bytes),
        Cell::count(table.sizes.blob_bytes),
        Cell::count(table.sizes.index_bytes),
        Cell::count(table.sizes.deletion_bytes),
        Cell::Real(table.deleted_share),
        Cell::count(table.versions),
        Cell::maybe(table.unindexed_rows, Cell::count),
        Cell::maybe(table.drift_head, |head| Cell::count(head.0)),
        Cell::maybe(table.layout.as_ref(), Cell::text),
        Cell::text(&table.would),
        Cell::maybe(table.error.as_ref(), Cell::text),
    ]
}
