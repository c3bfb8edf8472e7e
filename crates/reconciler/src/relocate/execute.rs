//! The effects of a relocation on manifest files. No choices are made here.

use lancekeeper_model::OperationId;
use lancekeeper_planner::relocate::Repoint;
use lancekeeper_store::{Files, failpoint};

use super::RelocateError;
use super::bytes::repointed;

/// Where originals lie, relative to the root.
const ORIGINALS: &str = "__maintenance/relocated";

/// Where the originals of a run lie, relative to the root.
#[must_use]
pub fn originals_of(operation: &OperationId) -> String {
    format!("{ORIGINALS}/{operation}")
}

/// Changes one manifest. The caller holds the root's lock.
///
/// # Errors
///
/// When it is not what was looked at, or cannot be replaced; then it is as it was.
///
/// # Cancel safety
///
/// The file is the old one or the new one as a whole; the original may lie aside already.
pub async fn repoint(
    files: &Files,
    operation: &OperationId,
    step: &Repoint,
) -> Result<(), RelocateError> {
    let file = &step.file;
    let changed = || RelocateError::Changed { file: file.clone() };
    let before = files.read(file).await?.ok_or_else(changed)?;
    let after = repointed(&before, &step.bases)
        .map_err(|source| RelocateError::Manifest { file: file.clone(), source })?;
    // Named by the run: what an earlier one put there is an original, too.
    files.put(&format!("{}/{file}", originals_of(operation)), before.clone()).await?;
    failpoint::cross_async(failpoint::RELOCATE_KEPT_PRE_REPLACE).await?;
    if !files.put_if_unchanged(file, &before, after).await? {
        return Err(changed());
    }
    Ok(())
}
