//! `count-rows`: how many rows readers see. Writes nothing, needs no lock, and asks Lance,
//! not our own sums.

mod inventory;
mod report;

use futures::FutureExt;
use futures::future::BoxFuture;
use lancekeeper_model::{CountOptions, RootCounts};

use crate::root::{look, read_root};
use crate::run::Context;
use crate::run::ended::{Ended, ended};

/// Counts the rows of one root. Never fails: the report says what went wrong.
pub(crate) fn count_root<'a>(
    context: &'a Context,
    uri: String,
    options: &'a CountOptions,
) -> BoxFuture<'a, RootCounts> {
    async move {
        let mut report = RootCounts::of(&uri);
        let outcome = count(context, &uri, options, &mut report).await;
        ended(report, outcome)
    }
    .boxed()
}

async fn count(
    context: &Context,
    uri: &str,
    options: &CountOptions,
    report: &mut RootCounts,
) -> Result<(), Ended> {
    let root = look(uri).await?;
    report.kind = Some(root.kind);
    let read = read_root(root, &context.tables).await?;
    report.tables = inventory::tables(context, &read, options).await?;
    Ok(())
}
