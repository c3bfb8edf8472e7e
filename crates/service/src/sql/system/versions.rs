//! `system.versions`: the versions of each table that still exist.

use futures::FutureExt;
use futures::future::BoxFuture;
use lance::Dataset;
use lancekeeper::SeenTable;

use super::column::{count, flag, text, time};
use super::per_table::{Answers, each, place};
use super::{Asked, Rows, SystemTable};
use crate::sql::SqlSession;
use crate::sql::answer::Cell;
use crate::sql::error::SqlRunError;

pub(super) const TABLE: SystemTable = SystemTable {
    name: "versions",
    about: "A version of a table that exists. Of a graph, those of the branch that readers read the table from.",
    columns: &[
        text("table", "the table"),
        text("branch", "the branch"),
        count("version", "the version"),
        time("committed_at", "when it was committed"),
        flag("visible", "whether it is the one that readers see"),
        text("tags", "the tags on it, with a comma between two; null without one"),
    ],
    fill,
};

fn fill<'a>(session: &'a SqlSession, asked: &'a Asked) -> BoxFuture<'a, Result<Rows, SqlRunError>> {
    each(session, asked, ask).boxed()
}

fn ask<'a>(table: &'a SeenTable, dataset: &'a Dataset) -> Answers<'a> {
    async move {
        let tags = dataset.tags().list().await?;
        let own = table.table().branch.name();
        let mut rows = Vec::new();
        for version in dataset.versions().await? {
            let on_it = tags
                .iter()
                .filter(|(_, tag)| tag.branch.as_deref() == own && tag.version == version.version);
            let mut names: Vec<&str> = on_it.map(|(name, _)| name.as_str()).collect();
            names.sort_unstable();
            let mut row = place(table, dataset);
            row.truncate(2);
            row.extend([
                Cell::count(version.version),
                Cell::Time(version.timestamp),
                Cell::Flag(version.version == dataset.manifest().version),
                Cell::maybe((!names.is_empty()).then(|| names.join(", ")), Cell::text),
            ]);
            rows.push(row);
        }
        Ok(rows)
    }
    .boxed()
}
