//! `optimize` on databases and single tables: no publish, so the Rewrite itself is the one
//! visible step. Ids are reserved and indexes carried over before the key is taken.

mod attempt;

use std::time::Instant;

use futures::{FutureExt, StreamExt};
use lancekeeper_model::{ProgressEvent, RootOptimizeReport, SkipReason, TableOptimizeStats};
use lancekeeper_planner::index::Upkeep;
use lancekeeper_store::tables::version_of;

use crate::optimize::cut::{cut, leave};
use crate::optimize::look::look_at;
use crate::optimize::report::{set_after, set_error};
use crate::optimize::stage::stage_table;
use crate::optimize::table::TableRun;
use crate::optimize::{ROUNDS_MAX, Run};
use crate::root::Target;
use crate::root::facts::view;
use crate::run::concurrency::in_order;
use crate::run::ended::Ended;
use crate::run::millis;
use crate::run::stop::Interrupted;
use attempt::{Attempt, Outcome};

/// How often a table is looked at in one run at most: for groups that writers invalidated, for
/// indexes that Lance turned out to leave behind, and for those that follow a Rewrite or had to
/// be made anew before one.
const PASSES_MAX: u32 = ROUNDS_MAX + 3;

/// Runs over the tables in turn.
pub(crate) async fn run(run: &Run<'_>, targets: Vec<Target>, report: &mut RootOptimizeReport) {
    let mut planned = planned_for_budget(run, &targets).await.into_iter();
    for target in targets {
        let started = Instant::now();
        let mut table = match planned.next() {
            Some(table) => table,
            None => look_at(&run.write.read, target, &run.wish, None).await,
        };
        let groups = table.plan.as_ref().map_or(&[][..], |plan| &plan.groups);
        run.progress.on_event(ProgressEvent::TablePlanned {
            table: table.target.table.clone(),
            groups: groups.len() as u64,
            bytes: groups.iter().map(|group| group.bytes).sum(),
        });
        passes(run, &mut table).await;
        table.excuse(&run.write.read).await;
        table.stats.duration_ms = millis(started);
        run.progress.on_event(ProgressEvent::TableFinished {
            table: table.target.table.clone(),
            failed: table.stats.error.is_some(),
        });
        report.tables.push(table.stats);
        if run.context.stop.is_requested() {
            report.fail(Ended::from(Interrupted).0);
            return;
        }
    }
}

/// All tables with what the run's bytes allow of each; none when bytes are not limited, and each
/// table is planned when its turn comes.
async fn planned_for_budget(run: &Run<'_>, targets: &[Target]) -> Vec<TableRun> {
    if !run.budget.limits_bytes() {
        return Vec::new();
    }
    let read = &run.write.read;
    let at_once = run.context.tables_at_once(run.options.concurrency, targets.len());
    let looks = targets.iter().map(|target| look_at(read, target.clone(), &run.wish, None).boxed());
    let mut tables: Vec<TableRun> = in_order(looks.collect(), at_once).collect().await;
    cut(run.budget, &mut tables);
    tables
}

/// What comes after a pass over a table.
enum Next {
    /// Nothing.
    Done,
    /// What was dropped is planned and staged again.
    Redo,
    /// What has to follow the plan that was carried out.
    GoOn,
}

/// Plans, stages and commits until nothing is left that this run can do.
async fn passes(run: &Run<'_>, table: &mut TableRun) {
    let mut redone = 0;
    for pass in 0..PASSES_MAX {
        match one_pass(run, table, pass).await {
            Next::Done => return,
            Next::Redo if redone + 1 == ROUNDS_MAX => break,
            Next::Redo => redone += 1,
            Next::GoOn => {}
        }
        let read = &run.write.read;
        let fresh = table.look_again(read, table.target.clone(), &run.wish, None).await;
        table.renew(fresh);
        if table.stats.error.is_some() {
            return;
        }
        cut(run.budget, std::slice::from_mut(table));
    }
    if table.plan.is_some() && !table.stats.committed {
        table.stats.skipped = Some(SkipReason::ChangedByWriters);
    }
}

async fn one_pass(run: &Run<'_>, table: &mut TableRun, pass: u32) -> Next {
    let (true, Some(handle)) = (table.plan.is_some(), table.handle.clone()) else {
        return Next::Done;
    };
    let staging = Box::pin(stage_table(run, table));
    let Some(staged) = run.context.stop.unless_requested(staging).await else {
        // The table is as it was; the verb's loop sees the request and ends the run.
        if let Err(error) =
            run.write.journal.settle_all(&run.context.tables, &run.write.read.root).await
        {
            tracing::warn!(target: "lancekeeper::optimize", %error, "staged files stay until the next run");
        }
        table.stats.skipped = Some(SkipReason::RunEnded);
        return Next::Done;
    };
    let staged = match staged {
        Ok(staged) => staged,
        Err(error) => {
            set_error(&mut table.stats, error.kind(), &error);
            return Next::Done;
        }
    };
    let is_nothing = staged.is_nothing();
    leave(&mut table.stats, staged.left.clone(), is_nothing);
    if is_nothing {
        return Next::Done;
    }
    let mut attempt = Attempt::new(run, &table.target, &handle, pass, staged);
    let outcome = Box::pin(attempt.commit()).await;
    let is_rewritten = attempt.is_rewritten && outcome.as_ref().is_ok_and(Option::is_some);
    attempt.clear_up(is_rewritten).await;
    let dropped = std::mem::take(&mut attempt.dropped);
    let lost = std::mem::take(&mut attempt.lost);
    table.stats.groups_dropped += dropped.len() as u64;
    if let Some(why) = dropped.first() {
        table.stats.reason = format!("{}; dropped: {why}", table.stats.reason);
    }
    let rows = attempt.rows.take();
    let is_learned = !lost.is_empty();
    table.learn_lost(lost);
    match outcome {
        Ok(Some(outcome)) => done(run, &mut table.stats, &table.target, outcome).await,
        Ok(None) => {}
        Err(error) => {
            set_error(&mut table.stats, error.kind(), &error);
            return Next::Done;
        }
    }
    if let Some(error) = rows {
        set_error(&mut table.stats, error.kind(), &error);
        return Next::Done;
    }
    table.is_carried_out = is_rewritten && dropped.is_empty();
    match (table.is_carried_out, &table.then) {
        _ if !dropped.is_empty() || is_learned => Next::Redo,
        (true, Some(_)) => Next::GoOn,
        _ => Next::Done,
    }
}

async fn done(
    run: &Run<'_>,
    stats: &mut TableOptimizeStats,
    target: &Target,
    (from, head, removed, added): Outcome,
) {
    stats.committed = true;
    stats.fragments_removed += removed;
    stats.fragments_added += added;
    if let Ok(seen) = view(&head, &target.table, Upkeep::Segments).await {
        set_after(stats, seen.totals);
    }
    run.progress.on_event(ProgressEvent::TablePublished {
        table: target.table.clone(),
        from,
        to: version_of(&head),
    });
}
