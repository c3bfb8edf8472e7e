//! `system.column_statistics`: the statistics that `OPTIMIZE … RECOMPUTE STATISTICS` keeps.

use futures::FutureExt;
use futures::future::BoxFuture;
use lancekeeper_model::{BoundValue, ColumnStatistics, TableStatistics};

use super::column::{count, flag, real, text, time};
use super::per_table::see_all;
use super::{Asked, Rows, SystemTable};
use crate::sql::SqlSession;
use crate::sql::answer::Cell;
use crate::sql::error::SqlRunError;

pub(super) const TABLE: SystemTable = SystemTable {
    name: "column_statistics",
    about: "What is known of the values of a column, or of a field within one, since statistics were last computed.",
    columns: &[
        text("table", "the table"),
        text("branch", "the branch"),
        count("version", "the version of the table that they are of"),
        time("computed_at", "when they were computed"),
        text(
            "column",
            "the path: `a` for a column, `a.b` for a field of a struct, `a.item` for the items of a list",
        ),
        text("data_type", "the Arrow type"),
        count("values", "values, nulls included: the rows of the table, or the items of all lists"),
        count("nulls", "values that are null; null if they were not looked at"),
        count("nans", "values that are no number; null but of floats"),
        text("min", "the smallest value, as text"),
        text("max", "the greatest value, as text"),
        flag("truncated", "whether only the beginning of `min` or `max` is kept"),
        count("distinct_values", "how many different values there are, by estimate"),
        real(
            "mean_width",
            "bytes of a value on average, where values differ in that; of lists, items",
        ),
        text("left_out", "why nothing is known of it, if so"),
    ],
    fill,
};

fn fill<'a>(session: &'a SqlSession, asked: &'a Asked) -> BoxFuture<'a, Result<Rows, SqlRunError>> {
    async move {
        let seen = see_all(session).await?;
        let mut all = Rows::default();
        for table in seen.tables().iter().filter(|table| asked.includes(table.key().as_str())) {
            match seen.statistics(table).await {
                Ok(Some(known)) => {
                    all.rows.extend(
                        known
                            .columns
                            .iter()
                            .map(|column| row(&known, table.branch.label(), column)),
                    );
                }
                Ok(None) => {}
                Err(failure) => all.notes.push(failure.message),
            }
        }
        Ok(all)
    }
    .boxed()
}

fn row(known: &TableStatistics, branch: &str, column: &ColumnStatistics) -> Vec<Cell> {
    let bound =
        |bound: &Option<BoundValue>| Cell::maybe(bound.as_ref(), |bound| Cell::text(&bound.value));
    let is_cut = [&column.min, &column.max].into_iter().flatten().any(|bound| bound.truncated);
    vec![
        Cell::text(&known.table),
        Cell::text(branch),
        Cell::count(known.version),
        Cell::Time(known.computed_at),
        Cell::text(&column.path),
        Cell::text(&column.data_type),
        Cell::count(column.values),
        Cell::maybe(column.nulls, Cell::count),
        Cell::maybe(column.nans, Cell::count),
        bound(&column.min),
        bound(&column.max),
        Cell::Flag(is_cut),
        Cell::maybe(column.distinct, Cell::count),
        Cell::maybe(column.mean_width, Cell::Real),
        Cell::maybe(column.left_out.as_ref(), Cell::text),
    ]
}
