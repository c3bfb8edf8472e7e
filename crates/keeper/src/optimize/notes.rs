//! The journal as a run keeps it: what was staged is noted, and what will not be committed is deleted and
//! forgotten. Not here: what an entry looks like (`rewrite::journal`), and what is staged when (`stage`).

use std::sync::atomic::Ordering;

use lance::Dataset;
use lancekeeper_rewrite::index::StagedIndexes;
use lancekeeper_rewrite::journal::{StagedFile, ToNote, discard};
use lancekeeper_rewrite::{JournalError, StagedGroup};
use lancekeeper_store::tables::version_of;

use crate::optimize::Run;
use crate::root::Target;

/// A staged group and the journal entry that names its files.
#[derive(Debug)]
pub(crate) struct Journaled {
    pub(crate) group: StagedGroup,
    pub(crate) entry: String,
}

/// Index segments of a table and the journal entry that names their files.
#[derive(Debug)]
pub(crate) struct JournaledIndexes {
    pub(crate) indexes: StagedIndexes,
    pub(crate) entry: String,
}

/// Files that are noted without a group.
pub(crate) fn only_files(files: Vec<StagedFile>) -> ToNote {
    ToNote { files, group: None }
}

/// Notes in the journal what was staged.
pub(crate) async fn note(
    run: &Run<'_>,
    target: &Target,
    handle: &Dataset,
    noted: ToNote,
) -> Result<String, JournalError> {
    let number = run.entries.fetch_add(1, Ordering::Relaxed);
    let staged_at = version_of(handle);
    run.write
        .journal
        .note(&run.operation, &target.table, &target.location, staged_at, number, noted)
        .await
}

/// Deletes staged files that will not be committed, and their journal entry. What cannot be
/// deleted stays named in the journal, and the next run tries again. Returns whether all is
/// deleted.
pub(crate) async fn give_up(
    run: &Run<'_>,
    handle: &Dataset,
    files: &[StagedFile],
    entry: Option<&String>,
) -> bool {
    let outcome = async {
        discard(handle, files).await?;
        if let Some(entry) = entry {
            run.write.journal.forget(std::slice::from_ref(entry)).await?;
        }
        Ok::<_, JournalError>(())
    };
    let outcome = outcome.await;
    if let Err(error) = &outcome {
        tracing::warn!(target: "lancekeeper::optimize", operation_id = %run.operation, %error,
            "staged files stay until the next run");
    }
    outcome.is_ok()
}
