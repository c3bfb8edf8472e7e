//! What a cleanup would free, for `status`: the figures of its own preview, so that both say
//! the same. Writes nothing and takes no lock.

use std::time::Duration;

use chrono::{DateTime, Utc};
use lancekeeper_model::{
    CleanupOptions, CleanupPolicyOptions, KEEP_UNLESS_TOLD, Reclaimable, RootCleanupReport,
};
use lancekeeper_store::failure::text_with_hint;

use crate::cleanup::{self, CleanupRootError};
use crate::root::ReadRoot;
use crate::run::Context;

/// `status` is looked at by people who wait for it: what takes longer to list than this is
/// what `cleanup` itself is there for.
const LISTING_MAX: Duration = Duration::from_secs(60);

/// What a cleanup of an opened root by the default rules would free.
///
/// # Errors
///
/// Why that could not be learned, in a sentence.
pub(crate) async fn reclaimable(
    context: &Context,
    read: &ReadRoot,
    now: DateTime<Utc>,
) -> Result<Reclaimable, String> {
    let options = CleanupOptions {
        policy: CleanupPolicyOptions { keep_versions: Some(KEEP_UNLESS_TOLD), older_than: None },
        ..CleanupOptions::default()
    };
    let mut report = RootCleanupReport::of(&read.root.given).of_kind(read.root.kind);
    let preview = Box::pin(cleanup::preview_read(context, read, &options, now, &mut report));
    match tokio::time::timeout(LISTING_MAX, preview).await {
        Ok(Ok(())) => Ok(sums(&report)),
        Ok(Err(error)) => Err(why(&error)),
        Err(_) => {
            Err(format!("listing took more than {} seconds: ask cleanup", LISTING_MAX.as_secs()))
        }
    }
}

fn why(error: &CleanupRootError) -> String {
    text_with_hint(error)
}

fn sums(report: &RootCleanupReport) -> Reclaimable {
    let mut room = Reclaimable { keep_versions: KEEP_UNLESS_TOLD, ..Reclaimable::default() };
    for table in &report.tables {
        if let Some(error) = &table.error {
            room.unknown.push(format!("{}: {error}", table.table_key));
            continue;
        }
        room.versions += table.old_versions_removed;
        room.files += table.files_removed;
        room.bytes += table.bytes_removed;
        room.unverified_left += table.unverified_left;
        room.unverified_left_bytes += table.unverified_left_bytes;
    }
    let reconciled = &report.reconciled;
    let orphans = reconciled.reclaimed.iter().map(|(table, branch)| format!("{table}@{branch}"));
    room.orphaned_forks = orphans.collect();
    let failures = reconciled.failures.iter().map(|(table, why)| format!("{table}: {why}"));
    room.unknown.extend(failures);
    room
}
