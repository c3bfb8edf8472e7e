//! The deletions, exactly as listed. No choices are made here.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use futures::future::join_all;
use lancekeeper_model::{
    Branch, ErrorKind, ForkRefStatus, Observer, OperationId, ProgressEvent, TableRef,
};
use lancekeeper_planner::cleanup::{DatasetPlan, Deletion, DeletionStep, FileClass, Role, UnitId};
use lancekeeper_store::Root;
use lancekeeper_store::failpoint;
use lancekeeper_store::files::Doomed;
use tokio::sync::watch;

use crate::cleanup::beside::has_new_clone;
use crate::cleanup::dataset::DatasetInventory;
use crate::cleanup::doomed::{doomed, listed_names};
use crate::cleanup::hints::hint_at_heads;
use crate::cleanup::lists::{Lists, PendingList};
use crate::cleanup::recheck::{has_new_refs, referred_to_since};
use crate::cleanup::report::CleanupError;

/// How long deletions go on, where their rate is limited, before what they stand on is looked at again.
const SECONDS_BETWEEN_LOOKS: u64 = 5;
/// Deletions between two looks where no rate is given: a second's worth, or a few.
const DELETIONS_BETWEEN_LOOKS: usize = 20_000;
/// Files of one batch: small enough that a limit on the rate is kept evenly.
const BATCH: usize = 64;

/// Carries plans out.
#[derive(Debug)]
pub struct Executor {
    /// The root.
    pub root: Root,
    /// Whether the run was asked to stop.
    pub stop: watch::Receiver<bool>,
    /// Where lists and records lie.
    pub lists: Lists,
    /// The running operation.
    pub operation: OperationId,
    /// Deletions at the same time.
    pub at_once: usize,
    /// Deletions per second at most.
    pub rate: Option<u64>,
    /// Who hears of deletions.
    pub observer: Observer,
}

/// What was done to one dataset.
#[derive(Debug, Default)]
pub struct Done {
    /// Files that this run deleted; what somebody else deleted first does not count.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Versions whose manifests are among them.
    pub versions: u64,
    /// Whether a version without rows took the place of the newest.
    pub emptied: bool,
    /// What went wrong on the way.
    pub error: Option<CleanupError>,
    /// Forks that were to go first, of which one could not be deleted, and why: then nothing else
    /// was begun.
    pub fork_error: Option<(Vec<Branch>, CleanupError)>,
}

impl Done {
    /// Counts what an earlier attempt did, too.
    pub fn add(&mut self, earlier: &Self) {
        self.files += earlier.files;
        self.bytes += earlier.bytes;
        self.versions += earlier.versions;
        self.emptied |= earlier.emptied;
    }
}

impl Executor {
    /// Deletes what a plan lists. `number` tells the operation's datasets apart. The caller
    /// holds the root's lock and the keys of all chains of the dataset, and has just looked
    /// again.
    ///
    /// # Cancel safety
    ///
    /// Some files are gone, in the order of the list; the list is there, and the next cleanup
    /// goes on.
    pub async fn execute(
        &self,
        dataset: &DatasetInventory,
        plan: &DatasetPlan,
        number: usize,
        now: DateTime<Utc>,
    ) -> Done {
        let mut done = Done::default();
        if let Some(why) = &plan.refused {
            done.error = Some(CleanupError::Refused { why: why.clone() });
        } else if !plan.deletions.is_empty() {
            done.error = self.delete_listed(dataset, plan, number, now, &mut done).await.err();
        }
        done
    }

    async fn delete_listed(
        &self,
        dataset: &DatasetInventory,
        plan: &DatasetPlan,
        number: usize,
        now: DateTime<Utc>,
        done: &mut Done,
    ) -> Result<(), CleanupError> {
        let attempt = self.begin(dataset, plan, number).await?;
        match attempt.delete_branch_files(done).await {
            Ok(()) => attempt.delete_rest(now, done).await,
            Err(error) => {
                let orphans = plan.forks.iter().filter(|f| f.status == ForkRefStatus::Orphan);
                let forks: Vec<Branch> = orphans.map(|fork| fork.branch.clone()).collect();
                if forks.is_empty() || error.kind() == ErrorKind::Interrupted {
                    return Err(error);
                }
                if done.files == 0 {
                    attempt.give_up().await?;
                }
                done.fork_error = Some((forks, error));
                Ok(())
            }
        }
    }

    /// Writes the list of a plan that is not refused, so that its deletions may begin.
    /// `number` tells the operation's datasets apart. Under what the caller holds, see
    /// [`Executor::execute`].
    ///
    /// # Errors
    ///
    /// When the list could not be written: then nothing may be deleted.
    ///
    /// # Cancel safety
    ///
    /// The list is there or not; nothing is deleted yet.
    pub async fn begin<'a>(
        &'a self,
        dataset: &'a DatasetInventory,
        plan: &'a DatasetPlan,
        number: usize,
    ) -> Result<Attempt<'a>, CleanupError> {
        let list = self.lists.write(&self.operation, number, plan).await?;
        failpoint::cross_async(failpoint::CLEANUP_LISTED_PRE_DELETE).await?;
        let listed = listed_names(dataset);
        Ok(Attempt { executor: self, dataset, plan, list, listed, spared: BTreeSet::new() })
    }

    /// How many files are deleted between two looks.
    fn portion(&self) -> usize {
        let of_rate = |rate: u64| usize::try_from(rate.saturating_mul(SECONDS_BETWEEN_LOOKS));
        let portion = self.rate.and_then(|rate| of_rate(rate).ok());
        portion.unwrap_or(DELETIONS_BETWEEN_LOOKS).clamp(1, DELETIONS_BETWEEN_LOOKS)
    }

    fn check_not_stopped(&self) -> Result<(), CleanupError> {
        if *self.stop.borrow() { Err(CleanupError::Interrupted) } else { Ok(()) }
    }

    async fn delete(
        &self,
        dataset: &DatasetInventory,
        deletions: &[Doomed],
        done: &mut Done,
    ) -> Result<(), CleanupError> {
        let batch =
            self.rate.map_or(BATCH, |rate| usize::try_from(rate).unwrap_or(BATCH).clamp(1, BATCH));
        let started = Instant::now();
        let mut begun: u64 = 0;
        let mut left = Vec::new();
        for wave in deletions.chunks(batch * self.at_once.max(1)) {
            let batches = wave.chunks(batch);
            let batches = batches.map(|batch| dataset.files.delete_batch(batch.to_vec()));
            let before = (done.files, done.bytes);
            for batch in join_all(batches).await {
                let batch = batch?;
                done.files += batch.files;
                done.bytes += batch.bytes;
                left.extend(batch.failed);
            }
            self.observer.0.on_event(ProgressEvent::FilesDeleted {
                table: TableRef::on_main(dataset.facts.table.clone()),
                files: done.files - before.0,
                bytes: done.bytes - before.1,
            });
            begun += wave.len() as u64;
            if let Some(rate) = self.rate {
                let due = Duration::from_secs_f64(begun as f64 / rate.max(1) as f64);
                tokio::time::sleep(due.saturating_sub(started.elapsed())).await;
            }
        }
        let count = left.len();
        match left.into_iter().next() {
            // What comes later in the order must wait for what is still there.
            Some(first) => Err(CleanupError::Left { count, of: deletions.len(), first }),
            None => Ok(()),
        }
    }
}

/// A list that is being carried out.
#[derive(Debug)]
pub struct Attempt<'a> {
    executor: &'a Executor,
    dataset: &'a DatasetInventory,
    plan: &'a DatasetPlan,
    list: PendingList,
    listed: BTreeMap<&'a str, DateTime<Utc>>,
    /// What is on the list and stays, because a version that appeared meanwhile refers to it.
    spared: BTreeSet<UnitId>,
}

impl Attempt<'_> {
    /// Deletes the branch files on the list, those of children before their parents', and
    /// makes that durable.
    ///
    /// # Errors
    ///
    /// When one is still there.
    ///
    /// # Cancel safety
    ///
    /// Some are gone, in the order of the list.
    pub async fn delete_branch_files(&self, done: &mut Done) -> Result<(), CleanupError> {
        let deletions = self.of(DeletionStep::BranchFile);
        if !deletions.is_empty() {
            failpoint::cross_async(failpoint::CLEANUP_RECONCILE_FORK).await?;
        }
        hint_at_heads(self.dataset, self.plan).await?;
        for deletion in &deletions {
            let one = std::slice::from_ref(deletion);
            self.executor.delete(self.dataset, one, done).await?;
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

    /// Deletes the manifests on the list, and makes that durable. A branch or a tag that somebody makes
    /// meanwhile may be about any of them.
    async fn delete_manifests(&self, done: &mut Done) -> Result<(), CleanupError> {
        let manifests = self.of(DeletionStep::Manifest);
        let mut outcome = Ok(());
        for (portion, number) in manifests.chunks(self.executor.portion()).zip(0..) {
            outcome = self.delete_manifest_portion(portion, number, done).await;
            if outcome.is_err() {
                break;
            }
        }
        self.sync(&manifests).await?;
        outcome
    }

    async fn delete_manifest_portion(
        &self,
        portion: &[Doomed],
        number: usize,
        done: &mut Done,
    ) -> Result<(), CleanupError> {
        if number > 0 {
            self.executor.check_not_stopped()?;
            if has_new_refs(self.dataset, self.plan).await?
                || has_new_clone(&self.executor.root, self.dataset).await?
            {
                return Err(CleanupError::Unsettled);
            }
        }
        let before = done.files;
        let outcome = self.executor.delete(self.dataset, portion, done).await;
        done.versions += done.files - before;
        outcome
    }

    /// Deletes the rest of the list, but for what a version refers to that appeared since: a version may have
    /// been restored while it was being deleted.
    async fn delete_files(&mut self, done: &mut Done) -> Result<(), CleanupError> {
        let rest: Vec<&Deletion> =
            self.plan.deletions.iter().filter(|d| d.step == DeletionStep::Rest).collect();
        for portion in rest.chunks(self.executor.portion()) {
            self.executor.check_not_stopped()?;
            if self.dataset.facts.role != Role::Root {
                let root = &self.executor.root;
                self.spared.extend(referred_to_since(root, self.dataset).await?);
                if has_new_clone(&self.executor.root, self.dataset).await? {
                    return Err(CleanupError::Unsettled);
                }
            }
            let files = &self.dataset.facts.files;
            let goes = portion
                .iter()
                .filter(|deletion| !self.is_spared(files[deletion.file.0 as usize].class));
            let goes: Vec<Doomed> = goes.map(|d| doomed(d, &self.listed)).collect();
            self.executor.delete(self.dataset, &goes, done).await?;
        }
        Ok(())
    }

    fn is_spared(&self, class: FileClass) -> bool {
        class.units().any(|unit| self.spared.contains(&unit))
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

fn parents<'a>(paths: impl Iterator<Item = &'a String>) -> BTreeSet<String> {
    paths.filter_map(|path| Some(path.rsplit_once('/')?.0.to_owned())).collect()
}

/// Directories that belong to one index segment, one data file's blobs or one fork; those of
/// a whole table stay.
fn is_own(path: &str) -> bool {
    path.contains('/')
}

#[cfg(test)]
mod tests;
