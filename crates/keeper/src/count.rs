//! `count-rows`: how many rows readers see. Writes nothing, needs no lock, and asks Lance,
//! not our own sums.

mod inventory;
mod report;

use lancekeeper_model::{CountOptions, RootCounts};

use crate::root::{look, read_root};
use crate::run::Context;

/// Counts the rows of one root. Never fails: the report says what went wrong.
pub(crate) async fn count_root(context: &Context, uri: &str, options: &CountOptions) -> RootCounts {
    let root = match look(uri).await {
        Ok(root) => root,
        Err(error) => return report::failure(uri, None, error.kind(), &error, error.hint()),
    };
    let kind = root.kind;
    let read = match read_root(root, &context.tables).await {
        Ok(read) => read,
        Err(error) => return report::failure(uri, Some(kind), error.kind(), &error, error.hint()),
    };
    match inventory::tables(&read, options).await {
        Ok(tables) => report::root(uri, kind, tables),
        Err(error) => report::failure(uri, Some(kind), error.kind(), &error, None),
    }
}
