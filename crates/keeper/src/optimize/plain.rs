//! `optimize` on databases and single tables: no publish, so the Rewrite itself is the one
//! visible step. Ids are reserved and indexes carried over before the key is taken. The root's lock is given
//! back while a table is staged.

mod attempt;

use std::time::Instant;

use lancekeeper_model::{ProgressEvent, RootOptimizeReport, SkipReason};
use lancekeeper_queue::Stage;
use lancekeeper_store::failpoint::{self, Injected};
use lancekeeper_store::tables::version_of;

use crate::optimize::cut::leave;
use crate::optimize::report::set_error;
use crate::optimize::stage::{StagedTable, stage_table, stages_of};
use crate::optimize::table::TableRun;
use crate::optimize::work::Work;
use crate::optimize::{ROUNDS_MAX, Run};
use crate::root::{OpenRootError, Target};
use crate::run::ended::Ended;
use crate::run::millis;
use crate::run::stop::Interrupted;
use attempt::Attempt;

/// How often a table is looked at in one run at most: for groups that writers invalidated, for
/// indexes that Lance turned out to leave behind, and for those that follow a Rewrite or had to
/// be made anew before one.
const PASSES_MAX: u32 = ROUNDS_MAX + 3;

/// Runs over the tables in turn. Each is planned when its turn comes, unless bytes are limited:
/// then all are planned before anything is begun, so that the best of it is done.
pub(crate) async fn run(run: &Run<'_>, targets: Vec<Target>, report: &mut RootOptimizeReport) {
    let together = if run.budget.limits_bytes() { targets.len().max(1) } else { 1 };
    for targets in targets.chunks(together) {
        let tables = run.planning().plan(None, targets.to_vec()).await.tables;
        // Those that wait for their turn were looked at, too.
        let stages = stages_of(&tables);
        for mut table in tables {
            let started = Instant::now();
            run.announce(&table);
            if let Err(error) = passes(run, &mut table, &stages).await {
                // Without the lock nothing more may be done.
                report.fail(Ended::from(error).0);
            }
            table.end(report.error.is_some());
            if report.error.is_none() && !run.context.stop.is_requested() {
                run.resumable.settle(run, &table).await;
            }
            table.excuse(&run.write.read).await;
            let stopped = run.context.stop.is_requested().then(|| Ended::from(Interrupted).0);
            run.end_job(&table, report.failure().or(stopped).as_ref()).await;
            table.stats.duration_ms += millis(started);
            run.finished(&table.stats);
            report.tables.push(table.stats);
            if report.error.is_some() {
                return;
            }
            if run.context.stop.is_requested() {
                return report.fail(Ended::from(Interrupted).0);
            }
        }
    }
}

/// Stages and commits until nothing is left that this run can do.
///
/// # Errors
///
/// When the root's lock could not be given back, or not be had again.
async fn passes(
    run: &Run<'_>,
    table: &mut TableRun,
    stages: &[Stage],
) -> Result<(), OpenRootError> {
    let mut redone = 0;
    for pass in 0..PASSES_MAX {
        one_pass(run, table, pass, stages).await?;
        match &table.work {
            Work::Redo if redone + 1 == ROUNDS_MAX => break,
            Work::Redo => redone += 1,
            Work::Follow(_) => {}
            Work::Nothing | Work::Publish(_) | Work::Planned(_) => break,
        }
        run.planning().plan_again(None, std::slice::from_mut(table)).await?;
    }
    Ok(())
}

async fn one_pass(
    run: &Run<'_>,
    table: &mut TableRun,
    pass: u32,
    stages: &[Stage],
) -> Result<(), OpenRootError> {
    let (Work::Planned(_), Some(handle)) = (&table.work, table.handle.clone()) else {
        return Ok(());
    };
    run.begin_jobs(&mut [&mut *table]).await;
    let Some((staged, crossed)) = stage(run, table, stages).await? else {
        table.stats.skipped = Some(SkipReason::RunEnded);
        return Ok(());
    };
    let is_nothing = staged.is_nothing();
    leave(&mut table.stats, staged.left.clone(), is_nothing);
    if is_nothing {
        return Ok(());
    }
    let arranged = table.facts.as_ref().and_then(|facts| facts.order.arranged.clone());
    let mut attempt = Attempt::new(run, &table.target, &handle, pass, staged, arranged);
    let outcome = match crossed {
        Ok(()) => Box::pin(attempt.commit()).await,
        Err(injected) => Err(injected.into()),
    };
    let rows = attempt.rows.take();
    let (committed, error) = outcome.map_or_else(|error| (None, Some(error)), |done| (done, None));
    if let Some(committed) = &committed {
        run.progress.on_event(ProgressEvent::TablePublished {
            table: table.target.table.clone(),
            from: committed.from,
            to: version_of(&committed.head),
        });
    }
    let carried = attempt.end(committed).await;
    if let Some(error) = error {
        set_error(&mut table.stats, error.kind(), &error);
    }
    if let Some(error) = rows {
        set_error(&mut table.stats, error.kind(), &error);
    }
    table.conclude(carried).await;
    Ok(())
}

/// Stages a table with the root's lock given back, and takes it again. `None` when the run is asked to stop:
/// then the table is as it was, and the verb's loop ends the run. Beside it, whether a test lets it go on.
async fn stage(
    run: &Run<'_>,
    table: &mut TableRun,
    stages: &[Stage],
) -> Result<Option<(StagedTable, Result<(), Injected>)>, OpenRootError> {
    let stages = [stages, &stages_of(std::slice::from_ref(table))].concat();
    run.write.hold.give_back(&stages)?;
    let staging = Box::pin(stage_table(run, table));
    let staged = run.context.stop.unless_requested(staging).await;
    let staged = match staged {
        Some(Ok(staged)) => Some(staged),
        Some(Err(error)) => {
            set_error(&mut table.stats, error.kind(), &error);
            Some(StagedTable::default())
        }
        None => None,
    };
    let mut crossed = Ok(());
    if staged.as_ref().is_some_and(|staged| !staged.is_nothing()) {
        crossed = failpoint::cross_async(failpoint::OPTIMIZE_STAGED_PRE_ENTER).await;
    }
    let retaken = match staged.is_some() {
        true => run.write.hold.retake(&run.context.stop).await,
        false => Err(OpenRootError::Interrupted),
    };
    match retaken {
        Ok(()) => Ok(staged.map(|staged| (staged, crossed))),
        Err(OpenRootError::Interrupted) => {
            let (tables, root) = (&run.context.tables, &run.write.read.root);
            let settled = run.write.journal.settle_run(tables, root, &run.operation).await;
            if let Err(error) = settled {
                tracing::warn!(target: "lancekeeper::optimize", %error, "staged files stay until the next run");
            }
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
