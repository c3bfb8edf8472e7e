//! `--prune-now`: after a database's or a table's own work, the deletion of every version
//! older than the writer window. The decisions and deletions are those of `cleanup`.
//!
//! Writers that are light are no reason to refuse: what they may have staged work against is
//! in the window, and files that nothing refers to yet stay for days.

use chrono::{DateTime, TimeDelta, Utc};
use futures::{FutureExt, StreamExt};
use lancekeeper_model::{
    CleanupOptions, ErrorKind, OptimizeOptions, PruneOptions, PrunedStats, RootCleanupReport,
    RootKind, RootOptimizeReport, Version,
};
use lancekeeper_planner::cleanup::{ChainKey, PinnedVersion, Retention};
use lancekeeper_store::failure::full_text;
use lancekeeper_store::owner::{Owner, owners_between};
use lancekeeper_store::tables::version_of;
use thiserror::Error;

use crate::cleanup::{self, Cleaning, CleanupRootError};
use crate::concurrency::in_order;
use crate::keeper::Keeper;
use crate::open::{ReadRoot, check_one_spelling};
use crate::optimize::Run;

/// Commits that one run makes to one table, with room.
const OWN_COMMITS_MAX: u64 = 32;
const LOOKS_AT_ONCE: usize = 8;

/// Pruning was asked for where it cannot be done.
#[derive(Debug, Error)]
pub(crate) enum PruneError {
    /// A graph's versions are pinned by branches and commits.
    #[error("--prune-now is not for graphs: their branches and commits read old versions")]
    Graph,
    /// A window that lies in the future.
    #[error("writer_window must not be {0} seconds")]
    Window(i64),
}

impl PruneError {
    pub(crate) fn kind(&self) -> ErrorKind {
        match self {
            Self::Graph => ErrorKind::Refused,
            Self::Window(_) => ErrorKind::Invalid,
        }
    }

    pub(crate) fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Graph => Some("`lancekeeper cleanup --keep N` knows what they read"),
            Self::Window(_) => None,
        }
    }
}

/// Whether pruning, if asked for, can be done here.
pub(crate) fn check(kind: RootKind, options: &OptimizeOptions) -> Result<(), PruneError> {
    match options.prune {
        Some(_) if kind == RootKind::Graph => Err(PruneError::Graph),
        Some(prune) if prune.writer_window < TimeDelta::zero() => {
            Err(PruneError::Window(prune.writer_window.num_seconds()))
        }
        _ => Ok(()),
    }
}

/// Prunes the tables of a run, if asked for.
///
/// # Cancel safety
///
/// As `cleanup`.
pub(crate) async fn run(run: &Run<'_>, now: DateTime<Utc>, report: &mut RootOptimizeReport) {
    let Some(prune) = run.options.prune else { return };
    if run.keeper.stop.is_requested() {
        return;
    }
    let own = own_versions(run, report).await;
    let read = &run.write.read;
    // Versions of this run are younger than `now`, which was taken when it began.
    let now = now.max(Utc::now());
    let cleaning = Cleaning {
        keeper: run.keeper,
        read,
        policy: retention(prune),
        own,
        now,
        concurrency: run.options.concurrency,
    };
    let options = options_of(run.options);
    let mut cleaned = cleanup::root_report(&report.uri, read.root.kind, &options);
    let outcome = match check_one_spelling(read) {
        Ok(()) => {
            let operation = run.operation.clone();
            cleanup::run(&cleaning, run.write, operation, &options, &mut cleaned).await
        }
        Err(error) => Err(error.into()),
    };
    merge(report, cleaned, outcome);
}

/// Says what pruning would delete now, before anything was rewritten.
pub(crate) async fn preview(
    keeper: &Keeper,
    read: &ReadRoot,
    options: &OptimizeOptions,
    now: DateTime<Utc>,
    report: &mut RootOptimizeReport,
) {
    let Some(prune) = options.prune else { return };
    let cleaning = Cleaning {
        keeper,
        read,
        policy: retention(prune),
        own: Vec::new(),
        now,
        concurrency: options.concurrency,
    };
    let options = options_of(options);
    let mut cleaned = cleanup::root_report(&report.uri, read.root.kind, &options);
    let outcome = match check_one_spelling(read) {
        Ok(()) => cleanup::preview_opened(&cleaning, &options, &mut cleaned).await,
        Err(error) => Err(error.into()),
    };
    merge(report, cleaned, outcome);
}

fn retention(prune: PruneOptions) -> Retention {
    let defaults = CleanupOptions::default();
    let unless_alone = |age| if prune.no_other_writers { TimeDelta::zero() } else { age };
    Retention {
        // No rule: whatever no floor needs goes.
        keep_versions: None,
        older_than: None,
        keep_last: None,
        keep_within: None,
        writer_window: unless_alone(prune.writer_window),
        min_age: unless_alone(defaults.min_age),
        min_fork_age: defaults.min_fork_age,
        max_delete_percent: defaults.max_delete_percent,
    }
}

fn options_of(options: &OptimizeOptions) -> CleanupOptions {
    CleanupOptions {
        tables: options.selected().to_vec(),
        concurrency: options.concurrency,
        ..CleanupOptions::default()
    }
}

/// The versions this run made, on whatever branch: they stay, whatever the window.
async fn own_versions(run: &Run<'_>, report: &RootOptimizeReport) -> Vec<PinnedVersion> {
    let members = &run.write.read.members;
    let mut chains = Vec::new();
    for (key, location) in members.tables() {
        let branches = report.tables.iter().filter(|row| row.table_key == *key && row.committed);
        let chain = |branch| ChainKey { location: location.to_owned(), branch };
        chains.extend(branches.map(|row| chain(row.branch.clone())));
    }
    let looks = chains.into_iter().map(|chain| own_of(run, chain).boxed()).collect();
    let own: Vec<Vec<PinnedVersion>> = in_order(looks, LOOKS_AT_ONCE).collect().await;
    own.into_iter().flatten().collect()
}

async fn own_of(run: &Run<'_>, chain: ChainKey) -> Vec<PinnedVersion> {
    let read = &run.write.read;
    let uri = read.root.address_of(&chain.location);
    let Ok(table) = read.tables.open(&uri, &chain.branch).await else { return Vec::new() };
    let head = version_of(&table);
    let from = Version(head.0.saturating_sub(OWN_COMMITS_MAX));
    let owners = owners_between(&table, from, head).await;
    owners
        .into_iter()
        .zip(from.0 + 1..)
        .filter(|(owner, _)| *owner == Owner::Ours(run.operation.clone()))
        .map(|(_, version)| PinnedVersion { chain: chain.clone(), version: Version(version) })
        .collect()
}

/// Puts what was deleted into the rows of the tables.
fn merge(
    report: &mut RootOptimizeReport,
    cleaned: RootCleanupReport,
    outcome: Result<(), CleanupRootError>,
) {
    report.warnings.extend(cleaned.warnings);
    for table in cleaned.tables {
        report
            .warnings
            .extend(table.warnings.iter().map(|warning| format!("{}: {warning}", table.table_key)));
        let Some(row) = report.tables.iter_mut().find(|row| row.table_key == table.table_key)
        else {
            continue;
        };
        row.pruned = Some(PrunedStats {
            old_versions_removed: table.old_versions_removed,
            bytes_removed: table.bytes_removed,
            files_removed: table.files_removed,
            versions_kept: table.versions_kept,
            unverified_left: table.unverified_left,
        });
        if let (Some(error), None) = (table.error, &row.error) {
            row.error = Some(format!("pruning failed: {error}"));
            row.error_kind = table.error_kind;
        }
    }
    if let Err(error) = outcome
        && report.error.is_none()
    {
        report.error = Some(format!("pruning failed: {}", full_text(&error)));
        report.error_kind = Some(error.kind());
    }
}
