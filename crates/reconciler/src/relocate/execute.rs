//! The effects of a relocation on manifest files. No choices are made here.

use lancekeeper_model::OperationId;
use lancekeeper_planner::relocate::Repoint;
use lancekeeper_store::{Files, failpoint};

use prost::bytes::Bytes;

use super::RelocateError;
use super::bytes::repointed;
use crate::cleanup::stored::manifest_range;

/// Where originals lie, relative to the root.
const ORIGINALS: &str = "__maintenance/relocated";

/// Where the originals of a run lie, relative to the root.
#[must_use]
pub fn originals_of(operation: &OperationId) -> String {
    format!("{ORIGINALS}/{operation}")
}

/// What the manifest of a step would say, as a message without its file around it. Writes nothing.
///
/// # Errors
///
/// When it is gone, or cannot be changed.
pub async fn message_after(files: &Files, step: &Repoint) -> Result<Bytes, RelocateError> {
    let file = &step.file;
    let before = files.read(file).await?;
    let before = before.ok_or_else(|| RelocateError::Changed { file: file.clone() })?;
    let message = repointed(&before, &step.bases)
        .and_then(|after| Ok(after.slice(manifest_range(&after)?)))
        .map_err(|source| RelocateError::Manifest { file: file.clone(), source })?;
    Ok(message)
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
