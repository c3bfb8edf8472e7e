//! `optimize --recompute-statistics`: once all other work on a root is done, the values of each table are read at
//! the version that readers see, and what is known of them is written beside the root. The root's lock is given
//! back while a table is read. A dry run writes nothing and says where.

use std::time::Instant;

use lancekeeper_model::{
    ErrorKind, JobKind, JobRecord, RootOptimizeReport, StatisticsNote, TableOptimizeStats,
};
use lancekeeper_planner::jobs::Ended as JobEnd;
use lancekeeper_queue::Stage;
use lancekeeper_store::tables::version_of;
use lancekeeper_store::{LanceFailure, OpenError};
use thiserror::Error;

use crate::optimize::Run;
use crate::optimize::job::{after, ended};
use crate::optimize::report::set_error;
use crate::optimize::table::TableRun;
use crate::root::{OpenRootError, ReadGraph, Target, TargetError, branch_views, targets};
use crate::run::ended::Ended;
use crate::run::millis;
use crate::run::stop::Interrupted;
use crate::statistics::{StatisticsError, compute, file_of, write};

/// Why there are no new statistics of a table.
#[derive(Debug, Error)]
enum Failure {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Lance(#[from] LanceFailure),
    #[error(transparent)]
    Document(#[from] StatisticsError),
}

impl Failure {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Open(error) => error.kind(),
            Self::Lance(error) => error.kind(),
            Self::Document(error) => error.kind(),
        }
    }
}

/// Computes and writes the statistics of all tables of the run, if that was asked for. What goes wrong with one is
/// an error of that table.
///
/// # Errors
///
/// When the run is asked to stop, when the tables cannot be found out, or when the root's lock cannot be had again.
///
/// # Cancel safety
///
/// Each document is the new one, or what it was.
pub(super) async fn recompute(run: &Run<'_>, report: &mut RootOptimizeReport) -> Result<(), Ended> {
    if !run.options.statistics || report.error.is_some() {
        return Ok(());
    }
    for target in seen(run).await? {
        let started = Instant::now();
        let is_of = |row: &&mut TableOptimizeStats| {
            row.table_key == target.table.key && row.branch == target.table.branch
        };
        // What could not be read once is not read again.
        let row = report.tables.iter_mut().find(is_of);
        let Some(row) = row.filter(|row| row.error.is_none()) else { continue };
        let job = run.begin(&target.table, begun(row)).await;
        let outcome = one(run, &target).await;
        let failure = outcome.as_ref().err().map(|Ended(failure)| failure.clone());
        if let Ok(Err(error)) = &outcome {
            set_error(row, error.kind(), error);
        }
        if let Some(job) = &job {
            let committed = matches!(outcome, Ok(Ok(_)));
            let of_row = ended(row, job, failure.as_ref());
            job.end(run.context, &JobEnd { committed, ..of_row }).await;
        }
        row.statistics = outcome?.ok();
        row.duration_ms += millis(started);
    }
    Ok(())
}

/// What is known of the job before it begins.
fn begun(row: &TableOptimizeStats) -> JobRecord {
    JobRecord {
        kind: JobKind::Statistics,
        plan: "compute the statistics of every column".to_owned(),
        rows_read: row.rows_after,
        bytes_read: row.sizes_after.data_bytes,
        before: Some(after(row)),
        ..JobRecord::default()
    }
}

/// The tables as readers see them now: what the run has published is in it.
async fn seen(run: &Run<'_>) -> Result<Vec<Target>, TargetError> {
    let read = &run.write.read;
    let mut seen = Vec::new();
    match &read.graph {
        None => seen.extend(targets(read, None, run.options).await?),
        Some(graph) => {
            let branches = graph.graph.branches().await?;
            for view in branch_views(graph, &run.options.branches).await? {
                if !view.is_among(&branches) {
                    continue;
                }
                let snapshot = graph.graph.snapshot(&view.snapshot.branch).await?;
                let view = ReadGraph { snapshot, ..view };
                let own = targets(read, Some(&view), run.options).await?.into_iter();
                seen.extend(own.filter(|target| target.table.branch == view.snapshot.branch));
            }
        }
    }
    seen.retain(|target| target.left_alone.is_none());
    Ok(seen)
}

async fn one(run: &Run<'_>, target: &Target) -> Result<Result<StatisticsNote, Failure>, Ended> {
    let read = &run.write.read;
    let table = match target.visible(read).await {
        Ok(table) => table,
        Err(error) => return Ok(Err(error.into())),
    };
    let version = version_of(&table);
    let (location, branch) = (target.location.clone(), target.table.branch.clone());
    let stage = Stage { location, branch, version };
    run.write.hold.give_back(&[stage]).map_err(OpenRootError::from)?;
    let work = Box::pin(compute(&table, &target.table, run.context.now()));
    let stop = &run.context.stop;
    let computed = stop.unless_requested(work).await.ok_or(Interrupted)?;
    run.write.hold.retake(stop).await?;
    let statistics = match computed {
        Ok(statistics) => statistics,
        Err(error) => return Ok(Err(error.into())),
    };
    if let Err(error) = write(&read.root.files(), &target.table, &statistics).await {
        return Ok(Err(error.into()));
    }
    Ok(Ok(StatisticsNote { file: file_of(&target.table), version, written: true }))
}

/// Says in the row of a dry run where statistics would be written.
pub(super) fn announce(table: &mut TableRun) {
    let Some(handle) = table.handle.as_ref().filter(|_| table.stats.error.is_none()) else {
        return;
    };
    let version = table.target.pin.unwrap_or_else(|| version_of(handle));
    let file = file_of(&table.target.table);
    table.stats.statistics = Some(StatisticsNote { file, version, written: false });
}
