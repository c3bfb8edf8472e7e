//! Runs that found nothing to do: no jobs, but counted, table by table, in one document of the root.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use lancekeeper_model::TableKey;
use lancekeeper_store::Files;

use crate::jobs::Jobs;

/// How often the document of a root is written at most. What a watcher that dies has not written is not counted.
pub(super) const WRITE_EVERY: Duration = Duration::from_secs(60);

/// What is to be added: how many, and why the last one.
pub(super) type Noops = BTreeMap<TableKey, (u64, String)>;

/// Adds to the document of a root. A failure is logged: nothing depends on the numbers.
///
/// # Cancel safety
///
/// The document is the new one as a whole, or what it was.
pub(super) async fn write(files: Files, noops: Noops, now: DateTime<Utc>) {
    if noops.is_empty() {
        return;
    }
    let noops: Vec<(String, u64, String)> = noops
        .into_iter()
        .map(|(table, (count, reason))| (table.as_str().to_owned(), count, reason))
        .collect();
    if let Err(error) = Jobs::of(&files).add_noops(&noops, now).await {
        let root = files.place_of("");
        tracing::warn!(target: "lancekeeper::watch", root, %error, "runs without work were not counted");
    }
}
