//! One list that is being carried out, step by step and turn by turn.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use futures::future::join_all;
use lancekeeper_model::{ProgressEvent, TableRef};
use lancekeeper_planner::cleanup::{DatasetPlan, Deletion, DeletionStep, FileClass, Role, UnitId};
use lancekeeper_store::files::{Deleted, Doomed};
use lancekeeper_store::{FilesError, failpoint};

use super::turns::Turns;
use super::{Done, Executor};
use crate::cleanup::authority::{Stamp, reads_what_goes};
use crate::cleanup::beside::has_new_clone;
use crate::cleanup::dataset::DatasetInventory;
use crate::cleanup::doomed::doomed;
use crate::cleanup::hints::hint_at_heads;
use crate::cleanup::lists::PendingList;
use crate::cleanup::recheck::{has_new_refs, referred_to_since};
use crate::cleanup::report::CleanupError;

/// Files of one task: enough that the change of threads costs nothing beside them.
const BATCH: usize = 64;
/// How long deletions go on before it is looked again at what those do who take no key: clients
/// in other processes. Long beside what such a look costs in a table of many versions.
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);
/// How many, where they are fast: a second's worth, or less.
const DELETIONS_BETWEEN_LOOKS: usize = 20_000;

/// A list that is being carried out.
#[derive(Debug)]
pub struct Attempt<'a> {
    pub(super) executor: &'a Executor,
    pub(super) dataset: &'a DatasetInventory,
    pub(super) plan: &'a DatasetPlan,
    pub(super) list: PendingList,
    pub(super) listed: BTreeMap<&'a str, DateTime<Utc>>,
    pub(super) turns: Turns<'a>,
    pub(super) looks: Looks,
}

/// What was looked at since the plan was made.
#[derive(Debug)]
pub(super) struct Looks {
    last: Instant,
    /// Deletions since.
    deletions: usize,
    /// The branches of the graph, when somebody else had last had the dataset.
    branches: Stamp,
    /// What is on the list and stays, because a version that appeared meanwhile refers to it.
    spared: BTreeSet<UnitId>,
}

impl Looks {
    /// Of a plan that was looked at just now.
    pub(super) fn new() -> Self {
        let (branches, spared) = (Stamp::default(), BTreeSet::new());
        Self { last: Instant::now(), deletions: 0, branches, spared }
    }

    fn is_due(&self) -> bool {
        self.deletions >= DELETIONS_BETWEEN_LOOKS || self.last.elapsed() >= BETWEEN_LOOKS
    }

    /// After the look: one that takes long must not be the next one's reason.
    fn done(&mut self) {
        (self.last, self.deletions) = (Instant::now(), 0);
    }
}

impl Attempt<'_> {
    /// Deletes the branch files on the list, those of children before their parents', and
    /// makes that durable. All in one turn: whether a fork that goes is in use again can be told
    /// while its branch file is there.
    ///
    /// # Errors
    ///
    /// When one is still there.
    ///
    /// # Cancel safety
    ///
    /// Some are gone, in the order of the list.
    pub async fn delete_branch_files(&mut self, done: &mut Done) -> Result<(), CleanupError> {
        let deletions = self.of(DeletionStep::BranchFile);
        if !deletions.is_empty() {
            failpoint::cross_async(failpoint::CLEANUP_RECONCILE_FORK).await?;
        }
        hint_at_heads(self.dataset, self.plan).await?;
        for deletion in &deletions {
            let one = std::slice::from_ref(deletion);
            let failed = self.delete(one, done).await?;
            check_all_went(failed, 1)?;
        }
        self.sync(&deletions).await
    }

    /// Deletes the manifests on the list, then everything else on it; writes the record, and
    /// takes the list away.
    ///
    /// # Errors
    ///
    /// When a file is still there, or the record could not be written.
    ///
    /// # Cancel safety
    ///
    /// Some files are gone, in the order of the list; the next cleanup goes on.
    pub async fn delete_rest(
        mut self,
        now: DateTime<Utc>,
        done: &mut Done,
    ) -> Result<(), CleanupError> {
        self.delete_manifests(done).await?;
        failpoint::cross_async(failpoint::CLEANUP_MANIFESTS_PRE_FILES).await?;
        self.delete_files(done).await?;
        let all = parents(self.plan.deletions.iter().map(|deletion| &deletion.path));
        let is_dataset = self.dataset.facts.role != Role::Root;
        for place in all.into_iter().filter(|path| is_dataset && is_own(path)) {
            self.dataset.files.delete_empty(&place).await?;
        }
        failpoint::cross_async(failpoint::CLEANUP_DELETED_PRE_MARK).await?;
        let lists = &self.executor.lists;
        let files = self.dataset.facts.files.iter();
        let spared: BTreeSet<&str> = files
            .filter(|file| self.is_spared(file.class))
            .map(|file| file.path.as_str())
            .collect();
        lists.record(&self.list, self.plan, &spared, now).await?;
        lists.end(&self.list).await
    }

    /// Gives the list up: nothing on it is gone, or what was is there again.
    ///
    /// # Errors
    ///
    /// When the list is still there.
    ///
    /// # Cancel safety
    ///
    /// The list is there or not; found again, it deletes nothing that anything refers to.
    pub async fn give_up(self) -> Result<(), CleanupError> {
        self.executor.lists.end(&self.list).await
    }

    /// Deletes the manifests on the list, and makes that durable. A branch or a tag that somebody
    /// makes meanwhile may be about any of them.
    async fn delete_manifests(&mut self, done: &mut Done) -> Result<(), CleanupError> {
        let manifests = self.of(DeletionStep::Manifest);
        let outcome = self.delete_listed_manifests(&manifests, done).await;
        self.sync(&manifests).await?;
        outcome
    }

    async fn delete_listed_manifests(
        &mut self,
        manifests: &[Doomed],
        done: &mut Done,
    ) -> Result<(), CleanupError> {
        let mut left = manifests;
        let mut failed = Vec::new();
        while !left.is_empty() {
            if self.turns.is_over() {
                // What comes later in the order must wait for what is still there.
                check_all_went(failed, manifests.len())?;
                failed = Vec::new();
                self.executor.check_not_stopped()?;
                let had_others = self.next_turn().await?;
                self.look_before_manifests(had_others).await?;
            }
            let (wave, rest) = left.split_at(self.wave().min(left.len()));
            let before = done.files;
            let outcome = self.delete(wave, done).await;
            done.versions += done.files - before;
            failed.extend(outcome?);
            left = rest;
        }
        check_all_went(failed, manifests.len())
    }

    /// Deletes the rest of the list, but for what a version refers to that appeared since: a version
    /// may have been restored while it was being deleted.
    async fn delete_files(&mut self, done: &mut Done) -> Result<(), CleanupError> {
        let plan = self.plan;
        let rest: Vec<&Deletion> =
            plan.deletions.iter().filter(|d| d.step == DeletionStep::Rest).collect();
        let mut left = rest.as_slice();
        let mut failed = Vec::new();
        // The first of them before anything goes.
        let mut is_first = true;
        while !left.is_empty() {
            let is_over = self.turns.is_over();
            if is_over {
                check_all_went(std::mem::take(&mut failed), rest.len())?;
            }
            if is_over || is_first {
                self.executor.check_not_stopped()?;
                let had_others = if is_over { self.next_turn().await? } else { false };
                self.look_before_files(had_others || is_first).await?;
                is_first = false;
            }
            let (wave, after) = left.split_at(self.wave().min(left.len()));
            let files = &self.dataset.facts.files;
            let goes = wave
                .iter()
                .filter(|deletion| !self.is_spared(files[deletion.file.0 as usize].class));
            let goes: Vec<Doomed> = goes.map(|d| doomed(d, &self.listed)).collect();
            failed.extend(self.delete(&goes, done).await?);
            left = after;
        }
        check_all_went(failed, rest.len())
    }

    /// Lets others in. Returns whether anybody had the dataset.
    async fn next_turn(&mut self) -> Result<bool, CleanupError> {
        let had_others = self.turns.next().await;
        self.executor.check_not_stopped()?;
        failpoint::cross_async(failpoint::CLEANUP_BETWEEN_TURNS).await?;
        Ok(had_others)
    }

    /// Looks again, under the keys, at what may need a manifest that is still to go. Whoever had
    /// the dataset may have done anything to it; who takes no key is looked for now and then, and
    /// for tags and branches, of which there are few, each time.
    async fn look_before_manifests(&mut self, had_others: bool) -> Result<(), CleanupError> {
        let (executor, dataset, plan) = (self.executor, self.dataset, self.plan);
        if has_new_refs(dataset, plan).await? {
            return Err(CleanupError::Unsettled);
        }
        if had_others
            && let Some(graph) = &executor.graph
            && reads_what_goes(graph, plan, &mut self.looks.branches).await?
        {
            return Err(CleanupError::Unsettled);
        }
        if had_others || self.looks.is_due() {
            if has_new_clone(&executor.root, dataset).await? {
                return Err(CleanupError::Unsettled);
            }
            self.looks.done();
        }
        Ok(())
    }

    /// Looks again, under the keys, at what may need a file of a version whose manifest is gone.
    async fn look_before_files(&mut self, must_look: bool) -> Result<(), CleanupError> {
        let (root, dataset) = (&self.executor.root, self.dataset);
        if dataset.facts.role == Role::Root || !(must_look || self.looks.is_due()) {
            return Ok(());
        }
        self.looks.spared.extend(referred_to_since(root, dataset).await?);
        if has_new_clone(root, dataset).await? {
            return Err(CleanupError::Unsettled);
        }
        self.looks.done();
        Ok(())
    }

    /// How many files are deleted before the next look at the clock.
    fn wave(&self) -> usize {
        self.turns.at_once().min(BATCH * self.executor.at_once.max(1))
    }

    /// Deletes a wave, and tells of it. Returns why files did not go.
    async fn delete(
        &mut self,
        wave: &[Doomed],
        done: &mut Done,
    ) -> Result<Vec<FilesError>, CleanupError> {
        if wave.is_empty() {
            return Ok(Vec::new());
        }
        let batches = wave.chunks(BATCH);
        let batches = batches.map(|batch| self.dataset.files.delete_batch(batch.to_vec()));
        let mut all = Deleted::default();
        for batch in join_all(batches).await {
            let batch = batch?;
            done.files += batch.files;
            done.bytes += batch.bytes;
            all.files += batch.files;
            all.bytes += batch.bytes;
            all.failed.extend(batch.failed);
        }
        self.turns.count(wave.len());
        self.looks.deletions += wave.len();
        self.executor.observer.0.on_event(ProgressEvent::FilesDeleted {
            table: TableRef::on_main(self.dataset.facts.table.clone()),
            files: all.files,
            bytes: all.bytes,
        });
        Ok(all.failed)
    }

    fn is_spared(&self, class: FileClass) -> bool {
        class.units().any(|unit| self.looks.spared.contains(&unit))
    }

    fn of(&self, step: DeletionStep) -> Vec<Doomed> {
        let deletions = self.plan.deletions.iter().filter(|deletion| deletion.step == step);
        deletions.map(|deletion| doomed(deletion, &self.listed)).collect()
    }

    /// Unlinking is durable in no order unless told: a manifest that came back after a power
    /// cut would name files that did not.
    async fn sync(&self, deletions: &[Doomed]) -> Result<(), CleanupError> {
        for directory in parents(deletions.iter().map(|doomed| &doomed.file.path)) {
            self.dataset.files.make_durable(&directory).await?;
        }
        Ok(())
    }
}

fn check_all_went(failed: Vec<FilesError>, of: usize) -> Result<(), CleanupError> {
    let count = failed.len();
    match failed.into_iter().next() {
        Some(first) => Err(CleanupError::Left { count, of, first }),
        None => Ok(()),
    }
}

fn parents<'a>(paths: impl Iterator<Item = &'a String>) -> BTreeSet<String> {
    paths.filter_map(|path| Some(path.rsplit_once('/')?.0.to_owned())).collect()
}

/// Directories that belong to one index segment, one data file's blobs or one fork; those of
/// a whole table stay.
fn is_own(path: &str) -> bool {
    path.contains('/')
}
