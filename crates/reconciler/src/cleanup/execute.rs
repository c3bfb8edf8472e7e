//! The deletions, exactly as listed. No choices are made here.

mod attempt;
mod turns;

use chrono::{DateTime, Utc};
use lancekeeper_manifest::Graph;
use lancekeeper_model::{Branch, ErrorKind, ForkRefStatus, Observer, OperationId};
use lancekeeper_planner::cleanup::DatasetPlan;
use lancekeeper_store::{Root, failpoint};
use tokio::sync::watch;

pub use attempt::Attempt;
use attempt::Looks;
pub use turns::Keys;
use turns::Turns;

use crate::cleanup::dataset::DatasetInventory;
use crate::cleanup::doomed::listed_names;
use crate::cleanup::lists::Lists;
use crate::cleanup::report::CleanupError;

/// Carries plans out.
#[derive(Debug)]
pub struct Executor {
    /// The root.
    pub root: Root,
    /// The graph it is, if it is one.
    pub graph: Option<Graph>,
    /// Whether the run was asked to stop.
    pub stop: watch::Receiver<bool>,
    /// Whether somebody asked for the end of the job that this is; the run goes on with its next table.
    pub cancel: watch::Receiver<bool>,
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
    /// holds the root's lock, `keys` are those of all chains of the dataset, and it has just
    /// looked again under them. They are held again afterwards; in between others had their turns.
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
        keys: &mut Keys,
        now: DateTime<Utc>,
    ) -> Done {
        let mut done = Done::default();
        if let Some(why) = &plan.refused {
            done.error = Some(CleanupError::Refused { why: why.clone() });
        } else if !plan.deletions.is_empty() {
            done.error =
                self.delete_listed(dataset, plan, number, keys, now, &mut done).await.err();
        }
        done
    }

    async fn delete_listed(
        &self,
        dataset: &DatasetInventory,
        plan: &DatasetPlan,
        number: usize,
        keys: &mut Keys,
        now: DateTime<Utc>,
        done: &mut Done,
    ) -> Result<(), CleanupError> {
        let mut attempt = self.begin(dataset, plan, number, keys).await?;
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
        keys: &'a mut Keys,
    ) -> Result<Attempt<'a>, CleanupError> {
        let list = self.lists.write(&self.operation, number, plan).await?;
        failpoint::cross_async(failpoint::CLEANUP_LISTED_PRE_DELETE).await?;
        let (listed, turns) = (listed_names(dataset), Turns::new(keys, self.rate));
        Ok(Attempt { executor: self, dataset, plan, list, listed, turns, looks: Looks::new() })
    }

    fn check_not_stopped(&self) -> Result<(), CleanupError> {
        match () {
            () if *self.stop.borrow() => Err(CleanupError::Interrupted),
            () if *self.cancel.borrow() => Err(CleanupError::Cancelled),
            () => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
