//! `branch delete`: what would be lost, whether anything forbids it, and the deletion.
//!
//! A deletion is a cleanup as if the branch were gone already, of nothing but what bears its
//! name. The first file that goes is the one that makes the branch exist; right after it the
//! branches are looked at again, and if somebody used this one in between it is put back.

mod execute;
mod report;

use chrono::{DateTime, TimeDelta, Utc};
use futures::FutureExt;
use futures::future::BoxFuture;
use lancekeeper_model::{Branch, BranchAction, OperationId, RootBranchReport};
use lancekeeper_planner::branch::only_it;

use super::{
    BranchRootError, check_no_sidecar_naming, cleaning, executor, find, graph_of, list,
    live_branches, look_at_graph, stats,
};
use crate::cleanup::gather;
use crate::root::{
    Opening, Purpose, ReadRoot, Tolerance, Way, check_writable, read_root, write_root,
};
use crate::run::ended::ended;
use crate::run::{Context, new_operation};
use execute::{Deleting, VERB};
use report::{check_free, concerns, say_loss};

/// An unfinished operation about the branch, or over a fork of it, refuses by itself.
const PURPOSE: Purpose<'_> = Purpose { verb: VERB, selected: &[], tolerates: Tolerance::BRANCHES };

/// Deletes a branch. Never fails: the report says what went wrong.
///
/// # Cancel safety
///
/// The branch is there as before, or gone. What is left of it then goes with the next cleanup.
pub(crate) fn delete_root<'a>(
    context: &'a Context,
    uri: &'a str,
    name: &'a str,
) -> BoxFuture<'a, RootBranchReport> {
    async move {
        let mut report = RootBranchReport::of(uri);
        report.action = BranchAction::Delete;
        let outcome = delete(context, uri, name, context.now(), &mut report).await;
        ended(report, outcome)
    }
    .boxed()
}

/// Says what deleting a branch would lose, without writing anything.
pub(crate) fn plan_delete_root<'a>(
    context: &'a Context,
    uri: &'a str,
    name: &'a str,
) -> BoxFuture<'a, RootBranchReport> {
    async move {
        let mut report = RootBranchReport::of(uri);
        report.action = BranchAction::Delete;
        let outcome = preview(context, uri, name, context.now(), &mut report).await;
        ended(report, outcome)
    }
    .boxed()
}

async fn preview(
    context: &Context,
    uri: &str,
    name: &str,
    now: DateTime<Utc>,
    report: &mut RootBranchReport,
) -> Result<(), BranchRootError> {
    let branch = deletable(name)?;
    let (read, way) = open(context, uri, &branch, now, report).await?;
    report.warnings.extend(way.notice());
    let lists = executor(context, &read, new_operation()).lists;
    let cleaning = cleaning(context, &read, only_it(TimeDelta::zero()), now);
    let gathered = gather(&cleaning, &lists).await?;
    let plan = gathered.plan_delete(&cleaning, &branch);
    check_free(&plan.dependants, &branch)?;
    say_loss(report, &gathered, &plan, &branch);
    for dataset in plan.datasets.iter().filter(|dataset| concerns(dataset, &branch)) {
        report.tables.push(stats(dataset, &branch));
    }
    Ok(())
}

/// A branch that is a user's to delete.
fn deletable(name: &str) -> Result<Branch, BranchRootError> {
    let branch = Branch::named(name);
    let why = if branch.is_main() {
        "is what the graph is: it cannot be deleted"
    } else if branch.is_internal() {
        "is a branch of an operation: whoever made it deletes it"
    } else {
        return Ok(branch);
    };
    Err(BranchRootError::Protected { branch, why })
}

/// Everything that can refuse before anything is written, and the row of the branch.
async fn open(
    context: &Context,
    uri: &str,
    branch: &Branch,
    now: DateTime<Utc>,
    report: &mut RootBranchReport,
) -> Result<(ReadRoot, Way), BranchRootError> {
    let root = look_at_graph(uri, report).await?;
    let read = read_root(root, &context.tables).await?;
    let graph = graph_of(&read)?;
    let live = live_branches(graph).await?;
    let found = find(&live, branch, uri)?;
    let way = check_writable(&read, PURPOSE, now).await?;
    check_no_sidecar_naming(&read.root, VERB, &graph.found, branch)?;
    let row = list::row(&graph.graph, found).await;
    if row.error.is_some() {
        report.warnings.push("it cannot be read: what its commits were is not known".into());
    }
    report.branches.push(row);
    Ok((read, way))
}

async fn delete(
    context: &Context,
    uri: &str,
    name: &str,
    now: DateTime<Utc>,
    report: &mut RootBranchReport,
) -> Result<(), BranchRootError> {
    let branch = deletable(name)?;
    let (read, _) = open(context, uri, &branch, now, report).await?;
    let operation: OperationId = new_operation();
    let observer = context.observer();
    let opening = Opening { purpose: PURPOSE, operation: &operation, now, observer };
    let write = write_root(read, context, &opening).await?;
    report.recovery.clone_from(&write.recovery);
    report.warnings.extend(write.warnings.iter().cloned());
    let executor = executor(context, &write.read, operation);
    let cleaning = cleaning(context, &write.read, only_it(TimeDelta::zero()), now);
    let gathered = gather(&cleaning, &executor.lists).await?;
    let graph = graph_of(&write.read)?;
    let deleting = Deleting { cleaning: &cleaning, write: &write, graph, executor, branch };
    deleting.run(gathered, report).await
}
