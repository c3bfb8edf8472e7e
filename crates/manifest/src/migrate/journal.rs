//! The note that a migration to v4 is under way: `__maintenance/migration.json`. It is durable
//! before the first stamp that no client opens, and goes when the last one is gone.

use chrono::{DateTime, SecondsFormat, Utc};
use lancekeeper_model::{DocumentError, DocumentKind, OperationId};
use lancekeeper_planner::migrate::Phase;
use lancekeeper_store::{Files, FilesError};
use serde::{Deserialize, Serialize};

use super::{MIGRATION_NOTE, MigrateError};

/// The directory it lies in.
const DIRECTORY: &str = "__maintenance";

/// The note.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Note {
    schema: u32,
    /// The run that wrote it.
    operation: String,
    /// Which way it goes.
    phase: NotedPhase,
    /// When that began.
    began_at: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum NotedPhase {
    Forward,
    Abort,
}

impl Note {
    pub(super) fn new(operation: &OperationId, phase: Phase, now: DateTime<Utc>) -> Self {
        Self {
            schema: DocumentKind::MigrationNote.version(),
            operation: operation.to_string(),
            phase: match phase {
                Phase::Forward => NotedPhase::Forward,
                Phase::Abort => NotedPhase::Abort,
            },
            began_at: now.to_rfc3339_opts(SecondsFormat::Secs, true),
        }
    }

    /// Which way the migration goes.
    pub(super) fn phase(&self) -> Phase {
        match self.phase {
            NotedPhase::Forward => Phase::Forward,
            NotedPhase::Abort => Phase::Abort,
        }
    }

    /// Reads the note of a root, if there is one.
    ///
    /// # Errors
    ///
    /// When it is there and cannot be understood.
    pub(super) async fn read(root: &Files) -> Result<Option<Self>, MigrateError> {
        let Some(bytes) = root.read(MIGRATION_NOTE).await? else { return Ok(None) };
        DocumentKind::MigrationNote.read(&bytes).map(Some).map_err(|error| match error {
            DocumentError::Newer { found, known, .. } => MigrateError::NewerNote { found, known },
            DocumentError::Damaged(error) => MigrateError::Note { why: error.to_string() },
        })
    }

    /// Writes it, and makes it durable: a stamp that no client opens must never outlive it.
    ///
    /// # Cancel safety
    ///
    /// The note is as it was, or this one.
    pub(super) async fn write(&self, root: &Files) -> Result<(), MigrateError> {
        root.put(MIGRATION_NOTE, serde_json::to_vec_pretty(self)?).await?;
        root.make_durable(MIGRATION_NOTE).await?;
        root.make_durable(DIRECTORY).await?;
        Ok(())
    }

    /// Removes it, if it is there.
    ///
    /// # Cancel safety
    ///
    /// It is there or not.
    pub(super) async fn remove(root: &Files) -> Result<(), FilesError> {
        root.delete(MIGRATION_NOTE).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_note_is_read_as_it_was_written_and_a_newer_one_is_refused_by_name() {
        let root = Files::in_memory();
        assert_eq!(Note::read(&root).await.unwrap(), None);
        let operation = OperationId::new("01JZZZZZZZZZZZZZZZZZZZZZZZ");
        let note = Note::new(&operation, Phase::Abort, DateTime::UNIX_EPOCH);
        note.write(&root).await.unwrap();
        assert_eq!(Note::read(&root).await.unwrap(), Some(note.clone()));
        assert_eq!(note.phase(), Phase::Abort);

        root.put(MIGRATION_NOTE, "{\"schema\":2,\"else\":[]}".as_bytes().to_vec()).await.unwrap();
        let refused = Note::read(&root).await.unwrap_err();
        assert!(refused.to_string().contains("upgrade lancekeeper first"), "{refused}");
        assert!(refused.to_string().contains(MIGRATION_NOTE), "{refused}");
        root.put(MIGRATION_NOTE, "banana".as_bytes().to_vec()).await.unwrap();
        assert!(matches!(Note::read(&root).await, Err(MigrateError::Note { .. })));

        Note::remove(&root).await.unwrap();
        Note::remove(&root).await.unwrap();
        assert_eq!(Note::read(&root).await.unwrap(), None);
    }
}
