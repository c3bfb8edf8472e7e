//! One table: its keys, the second look, the deletions.

use std::collections::BTreeSet;

use lancekeeper_model::TableRef;
use lancekeeper_planner::cleanup::{CleanupPlan, Role};
use lancekeeper_reconciler::cleanup::{
    CleanupError, Done, Executor, Keys, PendingList, Recheck, empty, recheck, stamp,
};
use lancekeeper_store::failpoint;

use crate::cleanup::gather::{Gathered, branches_of};
use crate::cleanup::job;
use crate::cleanup::{Carrying, Cleaning, CleanupRootError, LOOKS_MAX, VERB};
use crate::root::{OpenRootError, check_no_foreign_sidecar, check_no_schema_apply};
use crate::run::jobs::Job;

/// More tables than a root has: what tells the lists of several attempts at one table apart.
const ATTEMPT: usize = 1_000_000;

/// The turn of one dataset.
pub(super) struct Turn {
    /// Its place in what was gathered.
    pub(super) at: usize,
    /// Tells the lists of an operation apart.
    pub(super) number: usize,
    /// Its job, once something is to be deleted and if somebody writes jobs down.
    pub(super) job: Option<Job>,
}

/// Cleans up the dataset whose turn it is. Plans anew what changed since the plan was made.
///
/// # Cancel safety
///
/// As the executor's: the next cleanup goes on.
pub(super) async fn clean(
    carrying: Carrying<'_>,
    gathered: &mut Gathered,
    plan: &mut CleanupPlan,
    turn: &mut Turn,
) -> Result<Done, CleanupRootError> {
    let Carrying { cleaning, write, executor, cancel } = carrying;
    let (at, number) = (turn.at, turn.number);
    let table = gathered.datasets[at].facts.table.clone();
    let keys: Vec<TableRef> = branches_of(&gathered.datasets[at])
        .into_iter()
        .map(|branch| TableRef { key: table.clone(), branch })
        .collect();
    let mut keys = Keys::by_turns(write.queue.acquire(keys).await.map_err(OpenRootError::from)?);
    let (mut so_far, mut fork_error) = (Done::default(), None);
    for attempt in 0..LOOKS_MAX {
        if !look(cleaning, gathered, plan, at).await? {
            continue;
        }
        // A list of its own for each attempt: that of one which a fork cut short stays, and says
        // what it had explained.
        let list = number + attempt * ATTEMPT;
        if turn.job.is_none() {
            let (operation, planned) = (&executor.operation, &plan.datasets[at]);
            turn.job = job::begin(cleaning, &write.live, operation, planned).await;
        }
        let deleting = delete(cleaning, executor, gathered, plan, at, list, &mut keys);
        let mut done = job::listening(turn.job.as_ref(), cancel, deleting).await?;
        done.add(&so_far);
        if let Some((forks, error)) = done.fork_error.take() {
            // Versions are collected all the same, as far as these forks do not need them.
            gathered.leave_forks(cleaning, at, &forks).await?;
            *plan = gathered.plan(cleaning);
            fork_error.get_or_insert((forks, error));
            so_far = done;
            continue;
        }
        done.fork_error = fork_error.take();
        if done.error.is_none() {
            // Whatever they listed is gone now, or is referred to again.
            let facts = &gathered.datasets[at].facts;
            let present = facts.files.iter().map(|file| file.path.as_str()).collect();
            for list in gathered.pending.remove(&facts.location).unwrap_or_default() {
                let ended = end(executor, &list, &present, cleaning).await;
                done.error = done.error.or(ended.err());
            }
        }
        return Ok(done);
    }
    Err(CleanupError::Unsettled.into())
}

/// Looks again, under the keys, at everything that the plan stands on. Returns whether the plan
/// may be carried out; else it was made anew and has to be looked at again.
async fn look(
    cleaning: &Cleaning<'_>,
    gathered: &mut Gathered,
    plan: &mut CleanupPlan,
    at: usize,
) -> Result<bool, CleanupRootError> {
    if let Some(graph) = &cleaning.read.graph {
        check_no_schema_apply(&graph.graph, VERB).await?;
        let found = graph.sidecars.list().await.map_err(OpenRootError::from)?;
        check_no_foreign_sidecar(&cleaning.read.root, VERB, &found)?;
        // Floors are never trusted twice: what the branches need may have changed.
        if stamp(&graph.graph).await.map_err(CleanupError::from)? != gathered.read.stamp {
            gathered.read_branches_again(cleaning, &graph.graph).await?;
            *plan = gathered.plan(cleaning);
        }
        // Whichever table was under way when they changed.
        if gathered.is_stale(at) {
            gathered.list_again(cleaning, at).await?;
            *plan = gathered.plan(cleaning);
        }
    }
    if gathered.look_for_new_tables(cleaning).await? {
        *plan = gathered.plan(cleaning);
    }
    let dataset = &gathered.datasets[at];
    let is_root = dataset.facts.role == Role::Root;
    let root = &cleaning.read.root;
    let stands =
        !is_root && recheck(root, dataset, &mut plan.datasets[at]).await? == Recheck::Stands;
    if !stands {
        gathered.list_again(cleaning, at).await?;
        *plan = gathered.plan(cleaning);
    }
    if !stands && !is_root {
        return Ok(false);
    }
    Ok(plan.datasets[at].refused.is_none() || !is_under_way(cleaning, gathered).await?)
}

/// Carries the plan for a table out: empties it if it was dropped, and deletes what is listed.
async fn delete(
    cleaning: &Cleaning<'_>,
    executor: &Executor,
    gathered: &Gathered,
    plan: &CleanupPlan,
    at: usize,
    list: usize,
    keys: &mut Keys,
) -> Result<Done, CleanupRootError> {
    let (dataset, planned) = (&gathered.datasets[at], &plan.datasets[at]);
    failpoint::cross_async(failpoint::CLEANUP_TABLE_GC).await.map_err(CleanupError::from)?;
    let empties = planned.empties.filter(|_| planned.refused.is_none());
    if let Some(newest) = empties {
        let (tables, root) = (&cleaning.context.tables, &cleaning.read.root);
        empty(tables, root, dataset, newest, &executor.operation).await?;
        failpoint::cross_async(failpoint::CLEANUP_EMPTIED_PRE_DELETE)
            .await
            .map_err(CleanupError::from)?;
    }
    let mut done = executor.execute(dataset, planned, list, keys, cleaning.now).await;
    done.emptied = empties.is_some();
    Ok(done)
}

/// Writes down what a run that died had deleted of a list, and takes the list away.
async fn end(
    executor: &Executor,
    list: &PendingList,
    present: &BTreeSet<&str>,
    cleaning: &Cleaning<'_>,
) -> Result<(), CleanupError> {
    executor.lists.record_interrupted(list, present, cleaning.now).await?;
    executor.lists.end(list).await
}

/// Whether a branch moved since the branches were read. A writer arms before it commits and
/// disarms after it has published: only what is asked after a table was listed tells whether a
/// version above the published one is somebody's who is at work, or drift.
async fn is_under_way(
    cleaning: &Cleaning<'_>,
    gathered: &Gathered,
) -> Result<bool, CleanupRootError> {
    let Some(graph) = &cleaning.read.graph else { return Ok(false) };
    let found = graph.sidecars.list().await.map_err(OpenRootError::from)?;
    check_no_foreign_sidecar(&cleaning.read.root, VERB, &found)?;
    Ok(stamp(&graph.graph).await.map_err(CleanupError::from)? != gathered.read.stamp)
}
