//! `system.fragments`: the fragments of each table at the version that readers see.

use futures::FutureExt;
use futures::future::BoxFuture;
use lance::Dataset;
use lancekeeper::SeenTable;
use lancekeeper_store::sizes::table_sizes;

use super::column::{count, text};
use super::per_table::{Answers, each, place};
use super::{Asked, Rows, SystemTable};
use crate::sql::SqlSession;
use crate::sql::answer::Cell;
use crate::sql::error::SqlRunError;

pub(super) const TABLE: SystemTable = SystemTable {
    name: "fragments",
    about: "A fragment of a table, at the version that readers see.",
    columns: &[
        text("table", "the table"),
        text("branch", "the branch"),
        count("version", "the version that readers see"),
        count("fragment", "its id, unique in the table"),
        count("rows", "live rows"),
        count("deleted_rows", "rows that are deleted and still stored"),
        count("files", "data files"),
        count("bytes", "bytes of its data files and of the blobs beside them"),
    ],
    fill,
};

fn fill<'a>(session: &'a SqlSession, asked: &'a Asked) -> BoxFuture<'a, Result<Rows, SqlRunError>> {
    each(session, asked, ask).boxed()
}

fn ask<'a>(table: &'a SeenTable, dataset: &'a Dataset) -> Answers<'a> {
    async move {
        let sizes = table_sizes(dataset, &[]).await?;
        let mut rows = Vec::new();
        for (fragment, size) in dataset.get_fragments().into_iter().zip(sizes.fragments) {
            let physical = fragment.physical_rows().await?;
            let deleted = fragment.count_deletions().await?;
            let metadata = fragment.metadata();
            let mut row = place(table, dataset);
            row.extend([
                Cell::count(metadata.id),
                Cell::Integer(physical.saturating_sub(deleted) as i128),
                Cell::Integer(deleted as i128),
                Cell::Integer(metadata.files.len() as i128),
                Cell::count(size.to_read()),
            ]);
            rows.push(row);
        }
        Ok(rows)
    }
    .boxed()
}
