//! Staging the groups of one table, with the journal kept.

use std::sync::atomic::Ordering;

use futures::StreamExt;
use lance::Dataset;
use lancekeeper_model::{ErrorKind, ProgressEvent};
use lancekeeper_planner::optimize::RewritePlan;
use lancekeeper_rewrite::journal::{StagedFile, discard};
use lancekeeper_rewrite::stage::stage_group;
use lancekeeper_rewrite::{JournalError, StageError, StagedGroup};
use lancekeeper_store::failpoint::{self, Injected};
use thiserror::Error;

use crate::optimize::Run;
use crate::optimize::inventory::Target;

/// Groups of one table rewritten at the same time. Each rewrite is parallel in itself.
const GROUPS_AT_ONCE: usize = 2;

/// A staged group and the journal entry that names its files.
#[derive(Debug)]
pub(crate) struct Journaled {
    pub(crate) group: StagedGroup,
    pub(crate) entry: String,
}

/// A table could not be staged.
#[derive(Debug, Error)]
pub(crate) enum StageTableError {
    #[error(transparent)]
    Stage(#[from] StageError),
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Injected(#[from] Injected),
}

impl StageTableError {
    pub(crate) fn kind(&self) -> ErrorKind {
        match self {
            Self::Stage(error) => error.kind(),
            Self::Journal(error) => error.kind(),
            Self::Injected(_) => ErrorKind::Internal,
        }
    }
}

/// Stages every group of a plan. On an error the table's staged files are deleted again.
///
/// # Cancel safety
///
/// Nothing is visible; the journal names what was finished.
pub(crate) async fn stage_table(
    run: &Run<'_>,
    target: &Target,
    handle: &Dataset,
    plan: &RewritePlan,
) -> Result<Vec<Journaled>, StageTableError> {
    let mut stream = futures::stream::iter(&plan.groups)
        .map(|group| async move {
            let _admitted = run.keeper.admission.admit(group).await;
            let staged = stage_group(handle, &target.table, group).await?;
            let entry = note(run, target, handle, staged.files.clone()).await;
            let event =
                ProgressEvent::GroupStaged { table: target.table.clone(), bytes: group.bytes };
            run.progress.on_event(event);
            Ok::<_, StageTableError>((staged, entry))
        })
        .buffered(GROUPS_AT_ONCE);
    let mut done = Vec::new();
    let mut failed: Option<StageTableError> = None;
    // Every started rewrite is waited for even after a failure: its files must be known to
    // be deleted.
    while let Some(outcome) = stream.next().await {
        match outcome {
            Ok((group, Ok(entry))) => done.push(Journaled { group, entry }),
            Ok((group, Err(error))) => {
                give_up(run, handle, &group.files, None).await;
                failed.get_or_insert(error.into());
            }
            Err(error) => {
                if let StageTableError::Stage(StageError::Rows { files, .. }) = &error {
                    give_up(run, handle, files, None).await;
                }
                failed.get_or_insert(error);
            }
        }
        if failed.is_none()
            && let Err(error) = failpoint::cross_async(failpoint::OPTIMIZE_AFTER_STAGE_GROUP).await
        {
            failed = Some(error.into());
        }
        if failed.is_some() {
            break;
        }
    }
    // Rewrites still running are dropped here: what they wrote has no name yet.
    drop(stream);
    match failed {
        None => Ok(done),
        Some(error) => {
            for staged in &done {
                give_up(run, handle, &staged.group.files, Some(&staged.entry)).await;
            }
            Err(error)
        }
    }
}

/// Notes files in the journal.
pub(crate) async fn note(
    run: &Run<'_>,
    target: &Target,
    handle: &Dataset,
    files: Vec<StagedFile>,
) -> Result<String, JournalError> {
    let number = run.entries.fetch_add(1, Ordering::Relaxed);
    let staged_at = lancekeeper_store::tables::version_of(handle);
    run.write
        .journal
        .note(&run.operation, &target.table, &target.location, staged_at, number, files)
        .await
}

/// Deletes staged files that will not be committed, and their journal entry. What cannot be
/// deleted stays named in the journal, and the next run tries again.
pub(crate) async fn give_up(
    run: &Run<'_>,
    handle: &Dataset,
    files: &[StagedFile],
    entry: Option<&String>,
) {
    let outcome = async {
        discard(handle, files).await?;
        if let Some(entry) = entry {
            run.write.journal.forget(std::slice::from_ref(entry)).await?;
        }
        Ok::<_, JournalError>(())
    };
    if let Err(error) = outcome.await {
        tracing::warn!(target: "lancekeeper::optimize", operation_id = %run.operation, %error,
            "staged files stay until the next run");
    }
}
