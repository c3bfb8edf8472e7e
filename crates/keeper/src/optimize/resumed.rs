//! What earlier runs finished and did not live to commit: taken over by the groups of this run that are the
//! same, and deleted once it is clear that none is.

use std::sync::{Mutex, PoisonError};

use lance::Dataset;
use lancekeeper_planner::optimize::Group;
use lancekeeper_rewrite::Finished;
use lancekeeper_rewrite::resume::resume;
use lancekeeper_rewrite::stage::RowOrder;

use crate::optimize::Run;
use crate::optimize::notes::Journaled;
use crate::optimize::table::TableRun;
use crate::root::{Target, WriteRoot};

/// The finished groups that nobody has taken over yet.
pub(crate) struct Resumable {
    groups: Mutex<Vec<Finished>>,
}

impl Resumable {
    pub(super) fn of(write: &WriteRoot) -> Self {
        Self { groups: Mutex::new(write.finished.clone()) }
    }

    /// The finished rewrite of a group, if there is one and it is still valid. One that is not is deleted.
    ///
    /// # Cancel safety
    ///
    /// The journal still names it.
    pub(super) async fn take(
        &self,
        run: &Run<'_>,
        target: &Target,
        handle: &Dataset,
        group: &Group,
        order: RowOrder,
    ) -> Option<Journaled> {
        let is_same = |found: &Finished| is_of(found, target) && found.replaces(group, order);
        let finished = self.remove(is_same).pop()?;
        let (operation_id, table) = (&run.operation, &target.table);
        match resume(handle, table, group, &finished).await {
            Ok(Ok(group)) => {
                tracing::info!(target: "lancekeeper::optimize", %operation_id, %table, fragments = ?group.source.len(),
                    "a group that an earlier run finished is committed");
                return Some(Journaled { group, entry: finished.entry });
            }
            Ok(Err(why)) => {
                tracing::info!(target: "lancekeeper::optimize", %operation_id, %table, why,
                    "a group that an earlier run finished is rewritten again");
            }
            // It is rewritten like any other; whoever opens the root next deletes what is left.
            Err(error) => {
                tracing::warn!(target: "lancekeeper::optimize", %operation_id, %table, %error,
                    "a group that an earlier run finished cannot be looked at");
                return None;
            }
        }
        delete(run, &finished).await;
        None
    }

    /// Deletes what was finished of a table and what nothing that was planned could use. Not if the run leaves
    /// work of the table to a later one.
    ///
    /// # Cancel safety
    ///
    /// What is not deleted stays named in the journal.
    pub(super) async fn settle(&self, run: &Run<'_>, table: &TableRun) {
        let stats = &table.stats;
        if stats.error.is_some() || stats.skipped.is_some() || !stats.left.is_nothing() {
            return;
        }
        for finished in self.remove(|found| is_of(found, &table.target)) {
            delete(run, &finished).await;
        }
    }

    /// Whether something was finished of a table.
    pub(super) fn has(&self, target: &Target) -> bool {
        let groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        groups.iter().any(|found| is_of(found, target))
    }

    fn remove(&self, is_wanted: impl Fn(&Finished) -> bool) -> Vec<Finished> {
        let mut groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        groups.extract_if(.., |found| is_wanted(found)).collect()
    }
}

fn is_of(finished: &Finished, target: &Target) -> bool {
    finished.location == target.location && finished.branch == target.table.branch
}

async fn delete(run: &Run<'_>, finished: &Finished) {
    let (tables, root) = (&run.context.tables, &run.write.read.root);
    if let Err(error) = run.write.journal.settle(tables, root, &finished.entry).await {
        tracing::warn!(target: "lancekeeper::optimize", operation_id = %run.operation, %error,
            "staged files stay until the next run");
    }
}
