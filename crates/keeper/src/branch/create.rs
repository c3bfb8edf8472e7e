//! `branch create`: a name, a place to cut at, and nothing of an earlier branch of that name.

use chrono::{DateTime, TimeDelta, Utc};
use futures::FutureExt;
use futures::future::BoxFuture;
use lancekeeper_manifest::{BranchRemains, COMMITS, Cut, LiveBranch};
use lancekeeper_model::{Branch, BranchAction, OperationId, RootBranchReport, TableKey, TableRef};
use lancekeeper_planner::branch::{check_beside, check_name, only_it};
use lancekeeper_planner::cleanup::{DatasetPlan, FileClass, Role};
use lancekeeper_queue::RootQueue;
use lancekeeper_reconciler::cleanup::{
    CleanupError, DatasetInventory, Executor, Keys, Lists, Recheck, lost_branches, recheck,
};
use lancekeeper_store::root::MANIFEST_DIR;

use super::{
    BranchRootError, cleaning, executor, find, graph_of, list, live_branches, look_at_graph,
};
use crate::cleanup::{Gathered, gather};
use crate::root::{
    OpenRootError, Opening, PRESUMED_DEAD_AFTER, Purpose, ReadGraph, ReadRoot, Tolerance, Way,
    check_no_schema_apply, check_writable, read_root, write_root,
};
use crate::run::ended::ended;
use crate::run::{Context, new_operation};

const VERB: &str = "branch create";
const PURPOSE: Purpose<'_> = Purpose { verb: VERB, selected: &[], tolerates: Tolerance::BRANCHES };

/// Creates a branch. Never fails: the report says what went wrong.
///
/// # Cancel safety
///
/// The branch is there or not. What else may be left is no branch, and a cleanup takes it away.
pub(crate) fn create_root<'a>(
    context: &'a Context,
    uri: &'a str,
    name: &'a str,
    from: &'a str,
) -> BoxFuture<'a, RootBranchReport> {
    async move {
        let mut report = RootBranchReport::of(uri);
        report.action = BranchAction::Create;
        let outcome = create(context, uri, name, from, context.now(), &mut report).await;
        ended(report, outcome)
    }
    .boxed()
}

/// Says what creating a branch would do, without writing anything.
pub(crate) fn plan_create_root<'a>(
    context: &'a Context,
    uri: &'a str,
    name: &'a str,
    from: &'a str,
) -> BoxFuture<'a, RootBranchReport> {
    async move {
        let mut report = RootBranchReport::of(uri);
        report.action = BranchAction::Create;
        let outcome = preview(context, uri, name, from, context.now(), &mut report).await;
        ended(report, outcome)
    }
    .boxed()
}

async fn preview(
    context: &Context,
    uri: &str,
    name: &str,
    from: &str,
    now: DateTime<Utc>,
    report: &mut RootBranchReport,
) -> Result<(), BranchRootError> {
    let wish = Wish::of(name, from)?;
    let (read, way) = open(context, uri, now, report).await?;
    report.warnings.extend(way.notice());
    let graph = graph_of(&read)?;
    wish.check(&live_branches(graph).await?, uri)?;
    check_not_lost(&read, graph, &wish.branch).await?;
    if has_leftovers(&read, graph, &wish.branch).await? {
        report.warnings.push(
            "files of an earlier branch of that name are taken away first, unless they are young"
                .into(),
        );
    }
    let cut = graph.graph.newest_cut(&wish.from).await?;
    let live = LiveBranch {
        branch: wish.from.clone(),
        parent: Some(wish.from.clone()),
        parent_version: Some(cut.manifest),
    };
    let mut row = list::row(&graph.graph, &live).await;
    row.name = wish.branch;
    (row.tables_lazy, row.tables_owned) = (row.tables_lazy + row.tables_owned, 0);
    report.branches.push(row);
    Ok(())
}

/// Everything that can refuse before anything is written.
async fn open(
    context: &Context,
    uri: &str,
    now: DateTime<Utc>,
    report: &mut RootBranchReport,
) -> Result<(ReadRoot, Way), BranchRootError> {
    let root = look_at_graph(uri, report).await?;
    let read = read_root(root, &context.tables).await?;
    let way = check_writable(&read, PURPOSE, now).await?;
    Ok((read, way))
}

async fn create(
    context: &Context,
    uri: &str,
    name: &str,
    from: &str,
    now: DateTime<Utc>,
    report: &mut RootBranchReport,
) -> Result<(), BranchRootError> {
    let wish = Wish::of(name, from)?;
    let (read, _) = open(context, uri, now, report).await?;
    wish.check(&live_branches(graph_of(&read)?).await?, uri)?;
    let operation = new_operation();
    let observer = context.observer();
    let opening = Opening { purpose: PURPOSE, operation: &operation, now, observer };
    let write = write_root(read, context, &opening).await?;
    report.recovery.clone_from(&write.recovery);
    report.warnings.extend(write.warnings.iter().cloned());
    let graph = graph_of(&write.read)?;
    let guards = write.queue.acquire(wish.keys()).await.map_err(OpenRootError::from)?;
    check_no_schema_apply(&graph.graph, VERB).await?;
    wish.check(&live_branches(graph).await?, uri)?;
    check_not_lost(&write.read, graph, &wish.branch).await?;
    if has_leftovers(&write.read, graph, &wish.branch).await? {
        let executor = executor(context, &write.read, operation);
        // That nobody made the branch is known as long as the keys are held.
        let keys = Keys::throughout(&guards);
        let read = &write.read;
        take_leftovers_away(context, read, &executor, keys, &wish.branch, now).await?;
        report.warnings.push("files of an earlier branch of that name were taken away".into());
    }
    // Nothing of an earlier branch of that name may answer for this one.
    context.tables.forget();
    let cut: Cut = graph.graph.newest_cut(&wish.from).await?;
    graph.graph.create_branch(&wish.branch, &cut).await?;
    let live = live_branches(graph).await?;
    report.branches.push(list::row(&graph.graph, find(&live, &wish.branch, uri)?).await);
    Ok(())
}

/// What is asked for.
struct Wish {
    branch: Branch,
    from: Branch,
}

impl Wish {
    fn of(name: &str, from: &str) -> Result<Self, BranchRootError> {
        check_name(name)?;
        let from = Branch::named(from);
        if from.is_internal() {
            let why = "is a branch of an operation: nothing is cut from it";
            return Err(BranchRootError::Protected { branch: from, why });
        }
        Ok(Self { branch: Branch::named(name), from })
    }

    fn check(&self, live: &[LiveBranch], uri: &str) -> Result<(), BranchRootError> {
        find(live, &self.from, uri)?;
        if live.iter().any(|live| live.branch == self.branch) {
            return Err(BranchRootError::Exists { branch: self.branch.clone() });
        }
        check_beside(self.branch.label(), live.iter().map(|live| &live.branch))?;
        Ok(())
    }

    fn keys(&self) -> Vec<TableRef> {
        let tables = [MANIFEST_DIR, COMMITS].map(TableKey::new);
        let branches = [&self.branch, &self.from];
        let of = |key: &TableKey| {
            branches.map(|branch| TableRef { key: key.clone(), branch: branch.clone() })
        };
        tables.iter().flat_map(of).collect()
    }
}

/// Refuses a name under which a branch was published to that only lost its file: what is there is all of it.
async fn check_not_lost(
    read: &ReadRoot,
    graph: &ReadGraph,
    branch: &Branch,
) -> Result<(), BranchRootError> {
    let explained = Lists::of(&read.root.files()).pending().await?.explained(MANIFEST_DIR);
    let lost = lost_branches(&graph.graph, &explained).await.map_err(OpenRootError::from)?;
    match lost.into_iter().find(|lost| lost.branch == *branch) {
        None => Ok(()),
        Some(BranchRemains { branch, published, .. }) => {
            Err(BranchRootError::Lost { branch, published })
        }
    }
}

/// Whether anything of an earlier branch of that name is in the graph's own tables. What is
/// left of its forks harms nobody: the branch does not read them.
async fn has_leftovers(
    read: &ReadRoot,
    graph: &ReadGraph,
    branch: &Branch,
) -> Result<bool, BranchRootError> {
    let files = read.root.files();
    let tree = lancekeeper_planner::cleanup::chain_dir(branch);
    for location in [MANIFEST_DIR, COMMITS] {
        if files.has_directory(&format!("{location}/{tree}")).await {
            return Ok(true);
        }
    }
    Ok(graph.graph.has_commit_branch(branch).await.map_err(OpenRootError::from)?)
}

/// Takes away what an earlier branch of that name left in the graph's own tables, or refuses. The
/// caller holds the root's lock.
///
/// # Cancel safety
///
/// As the executor's: the next cleanup goes on.
pub(crate) async fn take_remains_away(
    context: &Context,
    read: &ReadRoot,
    queue: &RootQueue,
    operation: &OperationId,
    branch: &Branch,
    now: DateTime<Utc>,
) -> Result<(), BranchRootError> {
    let wish = Wish { branch: branch.clone(), from: Branch::main() };
    let guards = queue.acquire(wish.keys()).await.map_err(OpenRootError::from)?;
    let executor = executor(context, read, operation.clone());
    let keys = Keys::throughout(&guards);
    take_leftovers_away(context, read, &executor, keys, branch, now).await
}

/// Takes away what an earlier branch of that name left in the graph's own tables, or refuses.
///
/// # Cancel safety
///
/// As the executor's: the next cleanup goes on.
async fn take_leftovers_away(
    context: &Context,
    read: &ReadRoot,
    executor: &Executor,
    mut keys: Keys,
    branch: &Branch,
    now: DateTime<Utc>,
) -> Result<(), BranchRootError> {
    // Clients make the branch of `__manifest` first. So files of other tables are never of
    // somebody who is just creating the branch; those in `__manifest` may be.
    let of_role = |role| match role {
        Role::Manifest => PRESUMED_DEAD_AFTER,
        _ => TimeDelta::zero(),
    };
    let gathered =
        gather(&cleaning(context, read, only_it(TimeDelta::zero()), now), &executor.lists).await?;
    if gathered.read.stamp.has(branch) {
        // Somebody made it since it was asked for.
        return Err(BranchRootError::Exists { branch: branch.clone() });
    }
    let own = gathered
        .datasets
        .iter()
        .enumerate()
        .filter(|(_, dataset)| matches!(dataset.facts.role, Role::Manifest | Role::Commits));
    for ((at, dataset), number) in own.zip(0..) {
        let cleaning = cleaning(context, read, only_it(of_role(dataset.facts.role)), now);
        let mut plan = plan_of(&gathered, &cleaning, branch, at)?;
        check_goes(dataset, &plan, branch)?;
        if recheck(&read.root, dataset, &mut plan).await? == Recheck::Changed {
            return Err(BranchRootError::Unsettled);
        }
        if let Some(error) = executor.execute(dataset, &plan, number, &mut keys, now).await.error {
            return Err(error.into());
        }
    }
    Ok(())
}

fn plan_of(
    gathered: &Gathered,
    cleaning: &crate::cleanup::Cleaning<'_>,
    branch: &Branch,
    at: usize,
) -> Result<DatasetPlan, BranchRootError> {
    let mut plan = gathered.plan_delete(cleaning, branch);
    Ok(plan.datasets.swap_remove(at))
}

/// All versions of the branch in a dataset go, or the branch cannot be created.
fn check_goes(
    dataset: &DatasetInventory,
    plan: &DatasetPlan,
    branch: &Branch,
) -> Result<(), BranchRootError> {
    if let Some(why) = &plan.refused {
        return Err(CleanupError::Refused { why: why.clone() }.into());
    }
    let facts = &dataset.facts;
    let mut left = facts.files.iter().filter(|file| {
        let its = file.chain.is_some_and(|at| facts.chains[at as usize].branch == *branch);
        its && matches!(file.class, FileClass::Manifest | FileClass::BranchFile)
            && !plan.deletions.iter().any(|deletion| deletion.path == file.path)
    });
    match left.next() {
        None => Ok(()),
        Some(file) => {
            let fork = plan.forks.iter().find(|fork| fork.branch == *branch);
            let why = fork.map_or("they are young, or something reads them", |fork| &fork.why);
            let why = format!("{why} ({}/{})", facts.location, file.path);
            Err(BranchRootError::Leftover { branch: branch.clone(), why })
        }
    }
}
