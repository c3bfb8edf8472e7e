//! `optimize` on databases and single tables: no publish, so the Rewrite itself is the one
//! visible step. Ids are reserved and indexes carried over before the key is taken.

mod attempt;

use std::time::Instant;

use lancekeeper_model::{ProgressEvent, RootOptimizeReport, SkipReason};
use lancekeeper_reconciler::SweepError;
use lancekeeper_store::tables::version_of;

use crate::optimize::cut::leave;
use crate::optimize::report::set_error;
use crate::optimize::stage::stage_table;
use crate::optimize::table::TableRun;
use crate::optimize::work::Work;
use crate::optimize::{ROUNDS_MAX, Run};
use crate::root::Target;
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
        for mut table in run.planning().plan(None, targets.to_vec()).await.tables {
            let started = Instant::now();
            run.announce(&table);
            if let Err(error) = passes(run, &mut table).await {
                set_error(&mut table.stats, error.kind(), &error);
            }
            table.end(false);
            table.excuse(&run.write.read).await;
            table.stats.duration_ms += millis(started);
            run.finished(&table.stats);
            report.tables.push(table.stats);
            if run.context.stop.is_requested() {
                return report.fail(Ended::from(Interrupted).0);
            }
        }
    }
}

/// Stages and commits until nothing is left that this run can do.
async fn passes(run: &Run<'_>, table: &mut TableRun) -> Result<(), SweepError> {
    let mut redone = 0;
    for pass in 0..PASSES_MAX {
        one_pass(run, table, pass).await;
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

async fn one_pass(run: &Run<'_>, table: &mut TableRun, pass: u32) {
    let (Work::Planned(_), Some(handle)) = (&table.work, table.handle.clone()) else { return };
    let staging = Box::pin(stage_table(run, table));
    let Some(staged) = run.context.stop.unless_requested(staging).await else {
        // The table is as it was; the verb's loop sees the request and ends the run.
        if let Err(error) =
            run.write.journal.settle_all(&run.context.tables, &run.write.read.root).await
        {
            tracing::warn!(target: "lancekeeper::optimize", %error, "staged files stay until the next run");
        }
        table.stats.skipped = Some(SkipReason::RunEnded);
        return;
    };
    let staged = match staged {
        Ok(staged) => staged,
        Err(error) => return set_error(&mut table.stats, error.kind(), &error),
    };
    let is_nothing = staged.is_nothing();
    leave(&mut table.stats, staged.left.clone(), is_nothing);
    if is_nothing {
        return;
    }
    let mut attempt = Attempt::new(run, &table.target, &handle, pass, staged);
    let outcome = Box::pin(attempt.commit()).await;
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
}
