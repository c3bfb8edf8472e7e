//! Groups that a run had finished when it died: taken over in place of rewriting the same fragments again.
//!
//! What is planned is decided by the table as it is now. A finished group only spares the rewrite of a group of
//! the very same fragments, so nothing is committed that would not be done anyway. Whether it still replaces what
//! is at HEAD is asked as of any staged group (`check`), and once more under the key.
//!
//! Not here: which groups are finished and in no version yet (`journal`), and what becomes of those that nobody takes over.

use lance::Dataset;
use lancekeeper_model::TableRef;
use lancekeeper_planner::optimize::{Group, Recipe};
use lancekeeper_store::LanceFailure;
use thiserror::Error;

use crate::check::{HeadCheck, index_ids};
use crate::journal::Finished;
use crate::recipe::RowOrder;
use crate::sources::read_sources;
use crate::stage::{StageError, StagedGroup, in_order_of_row_ids, sources};

/// A finished group could not be compared with the table.
#[derive(Debug, Error)]
pub enum ResumeError {
    /// Deletions or indexes could not be read.
    #[error(transparent)]
    Lance(#[from] LanceFailure),
    /// Its fragments are not in the version it was staged at.
    #[error(transparent)]
    Stage(#[from] StageError),
}

impl Finished {
    /// Whether it is what rewriting this group would give.
    #[must_use]
    pub fn replaces(&self, group: &Group, order: RowOrder) -> bool {
        // The journal says neither by which layout rows were sorted nor how large pages were made, nor what was asked
        // of files.
        let is_plain = matches!(group.recipe, Recipe::CopyPages | Recipe::Reencode { .. });
        is_plain && self.group.fragments == group.fragments && self.group.order == order
    }
}

/// A finished group as if it had just been staged, or why it is no longer valid. `head` is the table that the
/// group was planned on.
///
/// # Errors
///
/// When that cannot be found out.
///
/// # Cancel safety
///
/// Writes nothing.
pub async fn resume(
    head: &Dataset,
    table: &TableRef,
    group: &Group,
    finished: &Finished,
) -> Result<Result<StagedGroup, String>, ResumeError> {
    let failed = |source| LanceFailure::new(format!("failed to read versions of {table}"), source);
    let then = head.checkout_version(finished.staged_at.0).await.map_err(failed)?;
    let mut source = sources(&then, table, group)?;
    if finished.group.order == RowOrder::RowIds {
        in_order_of_row_ids(&mut source);
    }
    let read = read_sources(&then, &source).await.map_err(failed)?;
    let mut staged = StagedGroup {
        source,
        read,
        deleted_since: Vec::new(),
        new_fragments: finished.group.new_fragments.clone(),
        kept_addrs: finished.group.kept_addrs.clone(),
        permuted: None,
        version: finished.staged_at,
        files: finished.files.clone(),
    };
    let check = HeadCheck::new(head, &index_ids(&then).await?).await?;
    Ok(match check.group(&mut staged).await? {
        None => Ok(staged),
        Some(why) => Err(why.to_string()),
    })
}

#[cfg(test)]
mod tests {
    use lancekeeper_model::{Branch, Version};
    use lancekeeper_planner::optimize::GroupReason;

    use super::*;
    use crate::journal::GroupNote;

    #[test]
    fn a_finished_group_takes_the_place_of_the_same_rewrite_and_of_no_other() {
        let order = RowOrder::AsListed { capture_addresses: false };
        let note =
            GroupNote { fragments: vec![3, 4], order, new_fragments: Vec::new(), kept_addrs: None };
        let finished = Finished {
            entry: String::new(),
            location: String::new(),
            branch: Branch::main(),
            staged_at: Version(1),
            files: Vec::new(),
            group: note,
        };
        let group = |fragments: &[u64], recipe| Group {
            fragments: fragments.to_vec(),
            outputs: vec![5],
            bytes: 0,
            recipe,
            why: GroupReason::Merge,
        };
        let reencode = Recipe::Reencode { batch_rows: 1 };
        assert!(finished.replaces(&group(&[3, 4], reencode), order));
        assert!(!finished.replaces(&group(&[3, 5], reencode), order));
        assert!(!finished.replaces(&group(&[3, 4], reencode), RowOrder::RowIds));
        for other in
            [Recipe::Permute { batch_rows: 1, full_rows: 5 }, Recipe::Repage { page_rows: 1 }]
        {
            assert!(!finished.replaces(&group(&[3, 4], other), order), "{other:?}");
        }
    }
}
