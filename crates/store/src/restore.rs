//! Bringing back an earlier version of a table, strictly: on top of the HEAD that the caller looked at, or not
//! at all. Lance's own restore silently discards whatever others commit meanwhile.
//!
//! Not here: who may do that, and what is published afterwards.

use lance::Dataset;
use lance::dataset::transaction::Operation;
use lancekeeper_model::Version;

use crate::strict::{CommitError, Signature, commit};

/// Commits the rows, schema, configuration and indexes of version `to` on top of `head`, a handle that stands at
/// the HEAD of its branch. Nothing is deleted: every version stays where it is.
///
/// # Errors
///
/// As [`commit`]; also when there is no version `to` on that branch.
///
/// # Cancel safety
///
/// Dropped, the commit has happened or not.
pub async fn restore_strictly(
    head: &Dataset,
    to: Version,
    signature: &Signature,
) -> Result<Dataset, CommitError> {
    commit(head, Operation::Restore { version: to.0 }, signature).await
}
