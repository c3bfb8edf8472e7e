//! `verify`: whether everything that a root still offers can be read, and is what it says it is. Writes
//! nothing, needs no lock.
//!
//! Every version that is still there, or that somebody names, is opened; fragments and indexes that
//! several versions share are looked at once. Damage in one place never stops the rest from being
//! looked at, and what could not be looked at is said.
//!
//! What cannot be seen: a value that was changed where no index tells it. Lance has no checksums.

mod fragments;
mod indexes;
mod inventory;
mod ledger;
mod listing;
mod report;
mod run;
mod table;

use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use lancekeeper_model::{RootVerification, VerifyOptions};

use crate::root::look;
use crate::run::Context;
use crate::run::concurrency::in_order;
use crate::run::ended::{Ended, ended};
use crate::run::stop::Interrupted;
use inventory::Inventory;
use run::Run;

/// Checks one root. Never fails: the report says what went wrong.
pub(crate) fn verify_root<'a>(
    context: &'a Context,
    uri: String,
    options: &'a VerifyOptions,
) -> BoxFuture<'a, RootVerification> {
    async move {
        let mut report = RootVerification::of(&uri);
        let outcome = verify(context, &uri, options, &mut report).await;
        ended(report, outcome)
    }
    .boxed()
}

async fn verify(
    context: &Context,
    uri: &str,
    options: &VerifyOptions,
    report: &mut RootVerification,
) -> Result<(), Ended> {
    let root = look(uri).await?;
    report.kind = Some(root.kind);
    let Inventory { root, tables, ledger } = inventory::inventory(context, root, options).await?;
    report::add(report, ledger);
    let at_once = context.tables_at_once(None, tables.len());
    let checks = tables
        .into_iter()
        .map(|to_check| table::check(Run { context, root: &root, options }, to_check).boxed());
    let mut checks = in_order(checks.collect(), at_once);
    while let Some((rows, ledger)) = checks.next().await {
        report.tables.extend(rows);
        report::add(report, ledger);
    }
    if context.stop.is_requested() {
        return Err(Interrupted.into());
    }
    Ok(())
}
