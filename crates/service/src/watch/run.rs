//! One run of a verb for one table, and what came of it.

use std::sync::Arc;

use lancekeeper::{Keeper, NoProgress};
use lancekeeper_model::{
    EffectivePolicy, ErrorKind, JobCause, JobTrigger, RootReport, TableKey, Version,
};
use lancekeeper_planner::schedule::{Job, Outcome, Work, cleanup_options, optimize_options};

/// What a run came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ran {
    pub(super) outcome: Outcome,
    /// In words.
    pub(super) text: String,
    /// The version that was planned on.
    pub(super) version: Version,
}

impl Ran {
    fn failed(text: impl Into<String>, version: Version) -> Self {
        Self { outcome: Outcome::Failed, text: text.into(), version }
    }

    /// A run that was dropped, or whose task panicked.
    pub(super) fn broken(why: &str, version: Version) -> Self {
        Self::failed(format!("the run ended without a word: {why}"), version)
    }
}

/// Does a job.
///
/// # Cancel safety
///
/// As [`Keeper::optimize`] and [`Keeper::cleanup`].
pub(super) async fn run(
    keeper: Keeper,
    root: String,
    job: Job,
    policy: EffectivePolicy,
    version: Version,
) -> Ran {
    let cause = JobCause {
        trigger: JobTrigger::Policy,
        reason: job.reason.clone(),
        priority: policy.priority,
        job: None,
    };
    let (keeper, table) = (keeper.caused_by(cause), job.place.table.clone());
    match job.work {
        Work::Cleanup => match cleanup_options(&policy, &table) {
            Some(options) => {
                let report = keeper.cleanup([&root], &options).await;
                of_root(report.roots.first(), version, |body| {
                    cleaned(body.tables.iter().find(|row| row.table_key == table), version)
                })
            }
            None => Ran::failed("the policy says no rule of retention", version),
        },
        Work::Compact | Work::Index => {
            let options = optimize_options(&policy, &table, job.work);
            let report = keeper.optimize([&root], &options, Arc::new(NoProgress)).await;
            of_root(report.roots.first(), version, |body| optimized(&body.tables, &table, version))
        }
    }
}

fn of_root<Body>(
    root: Option<&RootReport<Body>>,
    version: Version,
    then: impl FnOnce(&Body) -> Ran,
) -> Ran {
    let Some(root) = root else { return Ran::failed("nothing was reported", version) };
    let Some(error) = &root.error else { return then(&root.body) };
    let hint = root.hint.as_ref().map_or_else(String::new, |hint| format!(" ({hint})"));
    match root.error_kind {
        // Asked to stop, it did: the next run goes on.
        Some(ErrorKind::Interrupted) => {
            Ran { outcome: Outcome::NoOp, text: error.clone(), version }
        }
        Some(ErrorKind::Busy) => {
            Ran::failed(format!("another keeper is at work: {error}{hint}"), version)
        }
        _ => Ran::failed(format!("{error}{hint}"), version),
    }
}

fn optimized(
    rows: &[lancekeeper_model::TableOptimizeStats],
    table: &TableKey,
    version: Version,
) -> Ran {
    let Some(row) = rows.iter().find(|row| row.table_key == *table) else {
        return Ran::failed("the table is gone", version);
    };
    if let Some(error) = &row.error {
        return Ran::failed(error.clone(), version);
    }
    if !row.committed {
        return Ran { outcome: Outcome::NoOp, text: row.reason.clone(), version };
    }
    let text = format!(
        "{} fragments are {} now, {} ms; {}",
        row.fragments_before, row.fragments_after, row.duration_ms, row.reason
    );
    Ran { outcome: Outcome::Done, text, version }
}

fn cleaned(row: Option<&lancekeeper_model::TableCleanupStats>, version: Version) -> Ran {
    let Some(row) = row else { return Ran::failed("the table is gone", version) };
    if let Some(error) = &row.error {
        return Ran::failed(error.clone(), version);
    }
    if row.files_removed == 0 && row.old_versions_removed == 0 {
        let text = format!("{} versions stay", row.versions_kept);
        // A rest as after a cleanup: looking again makes no version older than the rules.
        return Ran { outcome: Outcome::Done, text, version };
    }
    let text = format!(
        "{} versions and {} files went, {} bytes; {} versions stay",
        row.old_versions_removed, row.files_removed, row.bytes_removed, row.versions_kept
    );
    Ran { outcome: Outcome::Done, text, version }
}
