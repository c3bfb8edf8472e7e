//! `branch delete`: what would be lost, whether anything forbids it, and the deletion.
//!
//! A deletion is a cleanup as if the branch were gone already, of nothing but what bears its
//! name. The first file that goes is the one that makes the branch exist; right after it the
//! branches are looked at again, and if somebody used this one in between it is put back.

use chrono::{DateTime, TimeDelta, Utc};
use lancekeeper_model::{Branch, BranchLoss, ErrorKind, OperationId, RootBranchReport, TableRef};
use lancekeeper_planner::branch::{DeletePlan, Dependant, dependants, only_it};
use lancekeeper_planner::cleanup::Role;
use lancekeeper_reconciler::cleanup::{
    BranchFile, CleanupError, Done, Executor, Recheck, read_authority, recheck, stamp,
    written_meanwhile,
};
use lancekeeper_store::failpoint;
use lancekeeper_store::failure::{full_text, text_with_hint};

use super::{
    BranchRootError, check_no_sidecar_naming, cleaning, ended, executor, find, graph_of, list,
    live_branches, look_at_graph, stats,
};
use crate::cleanup::{Cleaning, Gathered, LOOKS_MAX, branches_of, gather};
use crate::keeper::{Keeper, new_operation};
use crate::open::{
    OpenRootError, Opening, ReadGraph, ReadRoot, WriteRoot, check_no_schema_apply,
    check_one_spelling, check_writable, read_root, write_root,
};

const VERB: &str = "branch delete";

/// Deletes a branch. Never fails: the report says what went wrong.
///
/// # Cancel safety
///
/// The branch is there as before, or gone. What is left of it then goes with the next cleanup.
pub(crate) async fn delete_root(
    keeper: &Keeper,
    uri: &str,
    name: &str,
    now: DateTime<Utc>,
) -> RootBranchReport {
    let mut report = RootBranchReport::of(uri);
    let outcome = Box::pin(delete(keeper, uri, name, now, &mut report)).await;
    ended(report, outcome)
}

/// Says what deleting a branch would lose, without writing anything.
pub(crate) async fn plan_delete_root(
    keeper: &Keeper,
    uri: &str,
    name: &str,
    now: DateTime<Utc>,
) -> RootBranchReport {
    let mut report = RootBranchReport::of(uri);
    let outcome = Box::pin(preview(keeper, uri, name, now, &mut report)).await;
    ended(report, outcome)
}

async fn preview(
    keeper: &Keeper,
    uri: &str,
    name: &str,
    now: DateTime<Utc>,
    report: &mut RootBranchReport,
) -> Result<(), BranchRootError> {
    let branch = deletable(name)?;
    let read = open(keeper, uri, &branch, now, report).await?;
    let lists = executor(keeper, &read, new_operation()).await?.lists;
    let cleaning = cleaning(keeper, &read, only_it(TimeDelta::zero()), now);
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
    keeper: &Keeper,
    uri: &str,
    branch: &Branch,
    now: DateTime<Utc>,
    report: &mut RootBranchReport,
) -> Result<ReadRoot, BranchRootError> {
    let root = look_at_graph(uri, report).await?;
    let read = read_root(root, &keeper.tables).await?;
    let graph = graph_of(&read)?;
    let live = live_branches(graph).await?;
    let found = find(&live, branch, uri)?;
    check_one_spelling(&read)?;
    check_writable(&read, VERB, &[], now).await?;
    check_no_sidecar_naming(&read.root, VERB, &graph.found, branch)?;
    let row = list::row(&graph.graph, found).await;
    if row.error.is_some() {
        report.warnings.push("it cannot be read: what its commits were is not known".into());
    }
    report.branches.push(row);
    Ok(read)
}

fn check_free(dependants: &[Dependant], branch: &Branch) -> Result<(), BranchRootError> {
    if dependants.is_empty() {
        return Ok(());
    }
    let each: Vec<String> = dependants.iter().map(ToString::to_string).collect();
    Err(BranchRootError::Depends { branch: branch.clone(), dependants: each.join("; ") })
}

fn concerns(plan: &lancekeeper_planner::cleanup::DatasetPlan, branch: &Branch) -> bool {
    !plan.deletions.is_empty() || plan.forks.iter().any(|fork| fork.branch == *branch)
}

fn say_loss(
    report: &mut RootBranchReport,
    gathered: &Gathered,
    plan: &DeletePlan,
    branch: &Branch,
) {
    let of_tables = gathered.datasets.iter().zip(&plan.datasets).filter(|(dataset, planned)| {
        matches!(dataset.facts.role, Role::Table | Role::Dropped)
            && planned.forks.iter().any(|fork| fork.branch == *branch)
    });
    report.lost = Some(BranchLoss {
        unmerged_commits: plan.unmerged.clone(),
        forks: of_tables.count() as u64,
        files: plan.datasets.iter().map(|dataset| dataset.deletions.len() as u64).sum(),
        bytes: plan.datasets.iter().map(|dataset| dataset.bytes()).sum(),
    });
    for (place, error) in &gathered.failed {
        let why = full_text(error);
        report
            .warnings
            .push(format!("{} cannot be looked at, and is left alone: {why}", place.table));
    }
}

async fn delete(
    keeper: &Keeper,
    uri: &str,
    name: &str,
    now: DateTime<Utc>,
    report: &mut RootBranchReport,
) -> Result<(), BranchRootError> {
    let branch = deletable(name)?;
    let read = open(keeper, uri, &branch, now, report).await?;
    let operation: OperationId = new_operation();
    let root = read.root.clone();
    let observer = keeper.observer();
    let opening = Opening { verb: VERB, selected: &[], operation: &operation, now, observer };
    let write = write_root(root, &keeper.tables, &opening).await?;
    report.recovery.clone_from(&write.recovery);
    report.warnings.extend(write.warnings.iter().cloned());
    let executor = executor(keeper, &write.read, operation).await?;
    let cleaning = cleaning(keeper, &write.read, only_it(TimeDelta::zero()), now);
    let gathered = gather(&cleaning, &executor.lists).await?;
    let graph = graph_of(&write.read)?;
    let deleting = Deleting { cleaning: &cleaning, write: &write, graph, executor, branch };
    deleting.run(gathered, report).await
}

/// A deletion under the root's lock.
struct Deleting<'a> {
    cleaning: &'a Cleaning<'a>,
    write: &'a WriteRoot,
    graph: &'a ReadGraph,
    executor: Executor,
    branch: Branch,
}

impl Deleting<'_> {
    /// # Cancel safety
    ///
    /// As the verb's.
    async fn run(
        &self,
        mut gathered: Gathered,
        report: &mut RootBranchReport,
    ) -> Result<(), BranchRootError> {
        let manifest = self.flip(&mut gathered, report).await?;
        // What is cached of it would answer for the next branch of its name.
        self.cleaning.keeper.tables.forget();
        let of_role = |wanted: fn(Role) -> bool| {
            let datasets = gathered.datasets.iter().enumerate();
            datasets
                .filter(|(_, dataset)| wanted(dataset.facts.role))
                .map(|(at, _)| at)
                .collect::<Vec<_>>()
        };
        let commits = of_role(|role| role == Role::Commits);
        let tables = of_role(|role| matches!(role, Role::Table | Role::Dropped));
        let places = commits
            .into_iter()
            .map(|at| (at, failpoint::BRANCH_DELETE_BEFORE_COMMITS))
            .chain(tables.into_iter().map(|at| (at, failpoint::BRANCH_DELETE_BEFORE_TABLE)));
        for ((at, failpoint), number) in places.filter(|(at, _)| *at != manifest).zip(1..) {
            self.reclaim(&mut gathered, at, failpoint, number, report).await;
        }
        Ok(())
    }

    /// Takes the branch itself away, then its versions of `__manifest`. Returns which dataset
    /// that is.
    ///
    /// # Cancel safety
    ///
    /// The branch is there as before, or gone.
    async fn flip(
        &self,
        gathered: &mut Gathered,
        report: &mut RootBranchReport,
    ) -> Result<usize, BranchRootError> {
        let at = gathered.datasets.iter().position(|dataset| dataset.facts.role == Role::Manifest);
        let at = at.ok_or(BranchRootError::Unsettled)?;
        let _guards = self.keys(gathered, at).await?;
        for _ in 0..LOOKS_MAX {
            self.look(gathered, at).await?;
            let mut plan = gathered.plan_delete(self.cleaning, &self.branch);
            check_free(&plan.dependants, &self.branch)?;
            if let Some(why) = &plan.datasets[at].refused {
                return Err(CleanupError::Refused { why: why.clone() }.into());
            }
            let dataset = &gathered.datasets[at];
            let root = &self.cleaning.read.root;
            if recheck(root, dataset, &mut plan.datasets[at]).await? == Recheck::Changed {
                gathered.list_again(self.cleaning, at).await?;
                continue;
            }
            say_loss(report, gathered, &plan, &self.branch);
            self.flip_as_planned(gathered, &plan, at, report).await?;
            return Ok(at);
        }
        Err(BranchRootError::Unsettled)
    }

    async fn flip_as_planned(
        &self,
        gathered: &Gathered,
        plan: &DeletePlan,
        at: usize,
        report: &mut RootBranchReport,
    ) -> Result<(), BranchRootError> {
        let (dataset, planned) = (&gathered.datasets[at], &plan.datasets[at]);
        let root = &self.cleaning.read.root;
        let Some(file) = BranchFile::of(root, planned).await.map_err(CleanupError::from)? else {
            // Somebody else deleted it since it was listed.
            return Err(BranchRootError::Unsettled);
        };
        let attempt = self.executor.begin(dataset, planned, 0).await?;
        let mut done = Done::default();
        let flipped = attempt.delete_branch_files(&mut done).await;
        let looked = match flipped {
            Ok(()) => self.look_after_flip(gathered, plan, at).await,
            Err(error) => Err(error.into()),
        };
        // An error too: without that look nobody knows whether the branch is in use again.
        let against = match looked {
            Ok(None) => None,
            Ok(Some(why)) => {
                let branch = self.branch.clone();
                Some((why.clone(), BranchRootError::Meanwhile { branch, why }))
            }
            Err(error) => Some((full_text(&error), error)),
        };
        if let Some((why, error)) = against {
            file.put_back().await.map_err(|source| BranchRootError::NotPutBack {
                branch: self.branch.clone(),
                why,
                text: file.text(),
                source,
            })?;
            attempt.give_up().await?;
            return Err(error);
        }
        let outcome = attempt.delete_rest(self.cleaning.now, &mut done).await;
        done.error = outcome.err();
        self.note(planned, &done, report);
        Ok(())
    }

    /// What happened between the last look and the flip that stands against it.
    async fn look_after_flip(
        &self,
        gathered: &Gathered,
        plan: &DeletePlan,
        at: usize,
    ) -> Result<Option<String>, BranchRootError> {
        failpoint::cross_async(failpoint::BRANCH_DELETE_FLIPPED_PRE_LOOK)
            .await
            .map_err(CleanupError::from)?;
        let graph = &self.graph.graph;
        let now = stamp(graph).await.map_err(CleanupError::from)?;
        if now.has(&self.branch) {
            return Ok(Some("somebody made it again meanwhile".to_owned()));
        }
        if now != gathered.read.stamp.clone().without(&self.branch) {
            let read = read_authority(graph).await?;
            let found = dependants(&read.authority, &self.branch);
            if let Some(dependant) = found.first() {
                return Ok(Some(dependant.to_string()));
            }
        }
        let (dataset, planned) = (&gathered.datasets[at], &plan.datasets[at]);
        let root = &self.cleaning.read.root;
        Ok(written_meanwhile(root, dataset, planned, &self.branch).await?)
    }

    /// Takes away what the branch had of one dataset. What cannot be done is noted, and left
    /// to the next cleanup.
    async fn reclaim(
        &self,
        gathered: &mut Gathered,
        at: usize,
        failpoint: &'static str,
        number: usize,
        report: &mut RootBranchReport,
    ) {
        let outcome = Box::pin(self.reclaim_one(gathered, at, failpoint, number, report)).await;
        if let Err(error) = outcome {
            let table = gathered.datasets[at].facts.table.clone();
            let done = Done::default();
            let plan = gathered.plan_delete(self.cleaning, &self.branch);
            self.note(&plan.datasets[at], &done, report);
            self.note_failure(table, text_with_hint(&error), error.kind(), report);
        }
    }

    async fn reclaim_one(
        &self,
        gathered: &mut Gathered,
        at: usize,
        failpoint: &'static str,
        number: usize,
        report: &mut RootBranchReport,
    ) -> Result<(), BranchRootError> {
        let plan = gathered.plan_delete(self.cleaning, &self.branch);
        if !concerns(&plan.datasets[at], &self.branch) {
            return Ok(());
        }
        failpoint::cross_async(failpoint).await.map_err(CleanupError::from)?;
        let _guards = self.keys(gathered, at).await?;
        for _ in 0..LOOKS_MAX {
            self.look(gathered, at).await?;
            if gathered.read.stamp.has(&self.branch) {
                let (branch, why) = (self.branch.clone(), "somebody made it again".to_owned());
                return Err(BranchRootError::Meanwhile { branch, why });
            }
            let mut plan = gathered.plan_delete(self.cleaning, &self.branch);
            let dataset = &gathered.datasets[at];
            let root = &self.cleaning.read.root;
            if recheck(root, dataset, &mut plan.datasets[at]).await? == Recheck::Changed {
                gathered.list_again(self.cleaning, at).await?;
                continue;
            }
            let planned = &plan.datasets[at];
            let done = self.executor.execute(dataset, planned, number, self.cleaning.now).await;
            self.note(planned, &done, report);
            return Ok(());
        }
        Err(BranchRootError::Unsettled)
    }

    async fn keys(
        &self,
        gathered: &Gathered,
        at: usize,
    ) -> Result<lancekeeper_queue::TableGuards, BranchRootError> {
        let table = &gathered.datasets[at].facts.table;
        let keys = branches_of(&gathered.datasets[at])
            .into_iter()
            .map(|branch| TableRef { key: table.clone(), branch });
        let keys: Vec<TableRef> = keys.collect();
        Ok(self.write.queue.acquire(keys).await.map_err(OpenRootError::from)?)
    }

    /// Looks again at what may have changed since the facts were gathered.
    async fn look(&self, gathered: &mut Gathered, at: usize) -> Result<(), BranchRootError> {
        let graph = &self.graph.graph;
        check_no_schema_apply(graph, VERB).await?;
        let found = self.graph.sidecars.list().await.map_err(OpenRootError::from)?;
        check_no_sidecar_naming(&self.cleaning.read.root, VERB, &found, &self.branch)?;
        if stamp(graph).await.map_err(CleanupError::from)? != gathered.read.stamp {
            gathered.read_branches_again(self.cleaning, graph).await?;
        }
        // Whichever dataset was under way when they changed.
        if gathered.is_stale(at) {
            gathered.list_again(self.cleaning, at).await?;
        }
        Ok(())
    }

    /// The row of a dataset that was worked on.
    fn note(
        &self,
        plan: &lancekeeper_planner::cleanup::DatasetPlan,
        done: &Done,
        report: &mut RootBranchReport,
    ) {
        let mut row = stats(plan, &self.branch);
        (row.files_removed, row.bytes_removed) = (done.files, done.bytes);
        if let Some(why) = &row.kept {
            let why = format!("{}: what it had there stays: {why}", row.table_key);
            report.warnings.push(why);
        }
        if done.error.is_some() || plan.refused.is_some() || done.files == 0 {
            row.versions_removed = 0;
        }
        let table = row.table_key.clone();
        report.tables.push(row);
        if let Some(error) = done.error.as_ref().filter(|_| plan.refused.is_none()) {
            self.note_failure(table, text_with_hint(error), error.kind(), report);
        }
    }

    /// Says, in the row of a dataset and as a warning, what is left to the next cleanup.
    fn note_failure(
        &self,
        table: lancekeeper_model::TableKey,
        why: String,
        kind: ErrorKind,
        report: &mut RootBranchReport,
    ) {
        tracing::warn!(target: "lancekeeper::branch", branch = %self.branch, %table, error = %why, "not all of a deleted branch could be taken away");
        report.warnings.push(format!("{table}: {why}; the next cleanup takes away what is left"));
        if let Some(row) = report.tables.iter_mut().rfind(|row| row.table_key == table) {
            row.error = Some(why);
            row.error_kind = Some(kind);
        }
    }
}
