//! The deletion of a branch under the root's lock: the file that makes it exist first, then what
//! bears its name. Plans nothing by itself.

use std::collections::BTreeSet;

use lancekeeper_model::{Branch, RootBranchReport, TableRef};
use lancekeeper_planner::branch::{DeletePlan, dependants};
use lancekeeper_planner::cleanup::Role;
use lancekeeper_reconciler::cleanup::{
    BranchFile, CleanupError, Done, Executor, Keys, Recheck, read_authority, recheck, stamp,
    written_meanwhile,
};
use lancekeeper_store::failpoint;
use lancekeeper_store::failure::{full_text, text_with_hint};

use super::report::{check_free, concerns, note, note_failure, say_loss};
use crate::branch::{BranchRootError, check_no_sidecar_naming};
use crate::cleanup::{Cleaning, Gathered, LOOKS_MAX, branches_of};
use crate::root::{OpenRootError, ReadGraph, WriteRoot, check_no_schema_apply};
use crate::run::ended::EndsRoot;

pub(super) const VERB: &str = "branch delete";

/// A deletion under the root's lock.
pub(super) struct Deleting<'a> {
    pub(super) cleaning: &'a Cleaning<'a>,
    pub(super) write: &'a WriteRoot,
    pub(super) graph: &'a ReadGraph,
    pub(super) executor: Executor,
    pub(super) branch: Branch,
}

impl Deleting<'_> {
    /// # Cancel safety
    ///
    /// As the verb's.
    pub(super) async fn run(
        &self,
        mut gathered: Gathered,
        report: &mut RootBranchReport,
    ) -> Result<(), BranchRootError> {
        let manifest = self.flip(&mut gathered, report).await?;
        // What is cached of it would answer for the next branch of its name.
        self.cleaning.context.tables.forget();
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
        let mut keys = self.keys(gathered, at).await?;
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
            self.flip_as_planned(gathered, &plan, at, &mut keys, report).await?;
            return Ok(at);
        }
        Err(BranchRootError::Unsettled)
    }

    async fn flip_as_planned(
        &self,
        gathered: &Gathered,
        plan: &DeletePlan,
        at: usize,
        keys: &mut Keys,
        report: &mut RootBranchReport,
    ) -> Result<(), BranchRootError> {
        let (dataset, planned) = (&gathered.datasets[at], &plan.datasets[at]);
        let files = self.cleaning.read.root.files();
        let Some(file) = BranchFile::of(&files, planned).await.map_err(CleanupError::from)? else {
            // Somebody else deleted it since it was listed.
            return Err(BranchRootError::Unsettled);
        };
        let mut attempt = self.executor.begin(dataset, planned, 0, keys).await?;
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
        note(&self.branch, planned, &done, report);
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
            let read = read_authority(graph, &BTreeSet::new()).await?;
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
            note(&self.branch, &plan.datasets[at], &done, report);
            note_failure(&self.branch, &table, text_with_hint(&error), error.kind(), report);
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
        let mut keys = self.keys(gathered, at).await?;
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
            let now = self.cleaning.now;
            let done = self.executor.execute(dataset, planned, number, &mut keys, now).await;
            note(&self.branch, planned, &done, report);
            return Ok(());
        }
        Err(BranchRootError::Unsettled)
    }

    async fn keys(&self, gathered: &Gathered, at: usize) -> Result<Keys, BranchRootError> {
        let table = &gathered.datasets[at].facts.table;
        let keys = branches_of(&gathered.datasets[at])
            .into_iter()
            .map(|branch| TableRef { key: table.clone(), branch });
        let keys: Vec<TableRef> = keys.collect();
        let held = self.write.queue.acquire(keys).await.map_err(OpenRootError::from)?;
        Ok(Keys::by_turns(held))
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
}
