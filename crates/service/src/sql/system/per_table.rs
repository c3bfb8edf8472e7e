//! Asking every table of a root the same. A table that cannot be asked has no rows and a note that says why.

use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use lance::Dataset;
use lancekeeper::{SeenRoot, SeenTable};
use lancekeeper_model::{BranchSelection, TABLES_AT_ONCE};
use lancekeeper_store::failure::text_with_hint;

use super::{Asked, Rows};
use crate::sql::SqlSession;
use crate::sql::answer::Cell;
use crate::sql::error::SqlRunError;

/// What a table answers.
pub(super) type Answers<'a> = BoxFuture<'a, lance::Result<Vec<Vec<Cell>>>>;

/// The root with its tables on every branch.
pub(super) async fn see_all(session: &SqlSession) -> Result<SeenRoot, SqlRunError> {
    Ok(session.keeper.see(&session.root, &BranchSelection::All).await?)
}

/// The rows of all tables that are asked about, on all branches, in the order of the tables.
pub(super) async fn each(
    session: &SqlSession,
    asked: &Asked,
    ask: for<'a> fn(&'a SeenTable, &'a Dataset) -> Answers<'a>,
) -> Result<Rows, SqlRunError> {
    let seen = see_all(session).await?;
    let tables = seen.tables().iter().filter(|table| asked.includes(table.key().as_str()));
    let answers = tables.map(|table| answer(&seen, table, ask).boxed());
    let answers: Vec<_> =
        futures::stream::iter(answers.collect::<Vec<_>>()).buffered(TABLES_AT_ONCE).collect().await;
    let mut all = Rows::default();
    for answer in answers {
        match answer {
            Ok(rows) => all.rows.extend(rows),
            Err(note) => all.notes.push(note),
        }
    }
    Ok(all)
}

async fn answer(
    seen: &SeenRoot,
    table: &SeenTable,
    ask: for<'a> fn(&'a SeenTable, &'a Dataset) -> Answers<'a>,
) -> Result<Vec<Vec<Cell>>, String> {
    let unread = |why: String| format!("{} cannot be read: {why}", table.table());
    let dataset = seen.open(table).await.map_err(|error| unread(text_with_hint(&error)))?;
    ask(table, &dataset).await.map_err(|error| unread(text_with_hint(&error)))
}

/// The first cells of nearly every table: which table, on which branch, at which version.
pub(super) fn place(table: &SeenTable, dataset: &Dataset) -> Vec<Cell> {
    vec![
        Cell::text(table.key().as_str()),
        Cell::text(table.branch.label()),
        Cell::count(dataset.manifest().version),
    ]
}
