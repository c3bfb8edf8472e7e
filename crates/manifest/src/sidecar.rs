//! Sidecars: the durable intents under `__recovery/`, in the clients' own format.
//!
//! A sidecar is written before the first commit of the table it names and deleted after the
//! publish. Ours are `Optimize` sidecars of schema version 1, each naming exactly one table:
//! a client that meets a sidecar of several tables, one of them moved, rolls all back. Ours
//! carry a member `keeper`, which clients ignore, with the id of the operation whose commits
//! they cover; that those commits are really ours is proven by their transactions, never by
//! the sidecar.

use chrono::{DateTime, Utc};
use lancekeeper_model::{
    Branch, ErrorKind, OperationId, TableKey, TableRef, Version, file_name_of,
};
use lancekeeper_store::failpoint::{self, Injected};
use lancekeeper_store::{Files, FilesError};
use thiserror::Error;

mod content;

use content::Keeper;
pub use content::{Sidecar, SidecarRegistration, SidecarTable, SidecarTombstone};

/// Where sidecars lie, relative to the root.
pub const RECOVERY_DIR: &str = "__recovery";

/// Where sidecars are moved that cannot be understood, relative to the root.
pub const QUARANTINE_DIR: &str = "__maintenance/quarantine";
/// No client writes one of this size: hundreds of tables fit into a tenth of it.
pub const SIDECAR_BYTES_MAX: u64 = 1 << 20;

/// What we write: readable by every client that can read the graph.
const SCHEMA_VERSION: u32 = 1;
const WRITER_KIND: &str = "Optimize";

/// A file found under `__recovery/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundSidecar {
    /// The file's name; one that is no text as `Files::odd_names` writes it.
    pub file: String,
    /// Its content, or why it cannot be read.
    pub content: Result<Sidecar, String>,
}

impl FoundSidecar {
    /// The operation of ours that armed it; `None` for a foreign or unreadable one.
    #[must_use]
    pub fn our_operation(&self) -> Option<OperationId> {
        let keeper = self.content.as_ref().ok()?.keeper.as_ref()?;
        Some(OperationId::new(&keeper.operation))
    }

    /// The path relative to the root.
    #[must_use]
    pub fn path(&self) -> String {
        format!("{RECOVERY_DIR}/{}", self.file)
    }

    /// The tables it names, on the Lance branches it names.
    #[must_use]
    pub fn tables(&self) -> Vec<TableRef> {
        let Ok(sidecar) = &self.content else { return Vec::new() };
        let table = |t: &SidecarTable| TableRef {
            key: TableKey::new(&t.table_key),
            branch: Branch::from(t.table_branch.clone()),
        };
        sidecar.tables.iter().map(table).collect()
    }
}

/// What a sidecar is to say.
#[derive(Debug, Clone)]
pub struct Intent {
    /// The operation of ours.
    pub operation: OperationId,
    /// The table that will move.
    pub table: TableRef,
    /// Its full path in the root's own spelling.
    pub table_path: String,
    /// The version pinned now.
    pub expected: Version,
}

/// A sidecar could not be listed, read, written or deleted.
#[derive(Debug, Error)]
pub enum SidecarError {
    /// The store failed.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// A failpoint.
    #[error(transparent)]
    Injected(#[from] Injected),
    /// It could not be encoded.
    #[error("failed to encode a sidecar: {0}")]
    Encode(#[from] serde_json::Error),
}

impl SidecarError {
    /// What a caller can do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Files(error) => error.kind(),
            Self::Injected(_) | Self::Encode(_) => ErrorKind::Internal,
        }
    }
}

/// The sidecars of one graph.
#[derive(Debug, Clone)]
pub struct Sidecars {
    root: Files,
    files: Files,
}

impl Sidecars {
    /// The sidecars among the files of a root. Nothing is created.
    #[must_use]
    pub fn of(root: &Files) -> Self {
        Self { root: root.clone(), files: root.below(RECOVERY_DIR) }
    }

    /// Every sidecar, oldest first. One that its owner deletes meanwhile is left out; one
    /// that cannot be parsed is listed with the reason.
    ///
    /// # Errors
    ///
    /// When the directory or a file in it cannot be read.
    pub async fn list(&self) -> Result<Vec<FoundSidecar>, SidecarError> {
        failpoint::cross(failpoint::RECOVERY_SIDECAR_LIST)?;
        let mut found = Vec::new();
        for file in self.files.names(".json").await? {
            if let Some(content) = self.read(&file).await? {
                found.push(FoundSidecar { file, content });
            }
        }
        // No client can read it by that name, but it may be one whose name was damaged.
        found.extend(self.files.odd_names(".json").await?.into_iter().map(|file| {
            let why = "its name has bytes that no client writes, and is shown with those as \\x..";
            FoundSidecar { file, content: Err(why.to_owned()) }
        }));
        Ok(found)
    }

    /// What is in a file, or why that cannot be read; `None` when its owner deleted it
    /// meanwhile. What is too large is not looked into.
    async fn read(&self, file: &str) -> Result<Option<Result<Sidecar, String>>, SidecarError> {
        let Some(bytes) = self.files.size(file).await? else { return Ok(None) };
        if bytes > SIDECAR_BYTES_MAX {
            let why = format!("{bytes} bytes are more than a sidecar has ({SIDECAR_BYTES_MAX})");
            return Ok(Some(Err(why)));
        }
        let Some(bytes) = self.files.read(file).await? else { return Ok(None) };
        Ok(Some(serde_json::from_slice(&bytes).map_err(|error| error.to_string())))
    }

    /// Moves a file out of the way of every reader of sidecars, and returns where it is then,
    /// relative to the root. What is in it is not looked at.
    ///
    /// # Errors
    ///
    /// When it is not there, or cannot be moved.
    ///
    /// # Cancel safety
    ///
    /// It is here or there.
    pub async fn quarantine(&self, file: &str, now: DateTime<Utc>) -> Result<String, SidecarError> {
        failpoint::cross(failpoint::RECOVER_PRE_QUARANTINE)?;
        // A second one of that name does not replace the first.
        let time = now.format("%Y%m%dT%H%M%S%6f");
        let of_odd = format!("{QUARANTINE_DIR}/{time}-{}", file_name_of(file));
        if self.root.rename_odd(RECOVERY_DIR, file, &of_odd).await? {
            return Ok(of_odd);
        }
        let to = format!("{QUARANTINE_DIR}/{time}-{file}");
        self.root.rename(&format!("{RECOVERY_DIR}/{file}"), &to).await?;
        Ok(to)
    }

    /// Arms a sidecar and returns its file name.
    ///
    /// # Errors
    ///
    /// When it is not durably there; then nothing may be committed.
    ///
    /// # Cancel safety
    ///
    /// The sidecar is there or not. One over an unmoved table is discarded by the next sweep.
    pub async fn arm(&self, intent: &Intent, now: DateTime<Utc>) -> Result<String, SidecarError> {
        failpoint::cross(failpoint::RECOVERY_SIDECAR_WRITE)?;
        let id = ulid::Ulid::generate().to_string();
        let sidecar = Sidecar {
            schema_version: SCHEMA_VERSION,
            operation_id: id.clone(),
            started_at: now.timestamp_micros().to_string(),
            branch: intent.table.branch.name().map(ToOwned::to_owned),
            actor_id: None,
            writer_kind: WRITER_KIND.to_owned(),
            tables: vec![SidecarTable {
                table_key: intent.table.key.as_str().to_owned(),
                table_path: intent.table_path.clone(),
                expected_version: intent.expected.0,
                // Clients judge Optimize sidecars loosely: any HEAD above the pin rolls
                // forward. One commit is the least we make.
                post_commit_pin: intent.expected.next().0,
                table_branch: intent.table.branch.name().map(ToOwned::to_owned),
                confirmed_version: None,
            }],
            merge_source_commit_id: None,
            additional_registrations: Vec::new(),
            tombstones: Vec::new(),
            keeper: Some(Keeper { schema: 1, operation: intent.operation.to_string() }),
        };
        let file = format!("{id}.json");
        self.files.put(&file, serde_json::to_vec_pretty(&sidecar)?).await?;
        Ok(file)
    }

    /// Whether a sidecar is still there: a client that opens may have resolved it.
    ///
    /// # Errors
    ///
    /// When the store cannot tell.
    pub async fn is_armed(&self, file: &str) -> Result<bool, SidecarError> {
        Ok(self.files.size(file).await?.is_some())
    }

    /// Deletes a sidecar; one that is gone already is no error.
    ///
    /// # Errors
    ///
    /// When it is still there: the next sweep resolves it.
    ///
    /// # Cancel safety
    ///
    /// The sidecar is there or not.
    pub async fn disarm(&self, file: &str) -> Result<(), SidecarError> {
        failpoint::cross(failpoint::RECOVERY_SIDECAR_DELETE)?;
        Ok(self.files.delete(file).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clients_sidecar_is_foreign_and_ours_carries_the_operation() {
        let theirs = r#"{"schema_version":2,"operation_id":"A","started_at":"1","branch":"b",
            "actor_id":null,"writer_kind":"Load","merge_source_commit_id":null,
            "tables":[{"table_key":"node:P","table_path":"/g/nodes/1","expected_version":4,
            "post_commit_pin":5,"table_branch":"b"}]}"#;
        let found = FoundSidecar {
            file: "A.json".to_owned(),
            content: serde_json::from_str(theirs).map_err(|e| e.to_string()),
        };
        assert_eq!(found.our_operation(), None);
        assert_eq!(found.tables()[0].to_string(), "node:P@b");
        let mut ours = found.clone();
        ours.content.as_mut().unwrap().keeper =
            Some(Keeper { schema: 1, operation: "OP".to_owned() });
        assert_eq!(ours.our_operation(), Some(OperationId::new("OP")));
        let text = serde_json::to_string(&theirs_without_keeper(&found)).unwrap();
        assert!(!text.contains("keeper"), "{text}");
    }

    fn theirs_without_keeper(found: &FoundSidecar) -> Sidecar {
        found.content.clone().unwrap()
    }

    fn intent(table: &str) -> Intent {
        Intent {
            operation: OperationId::new("OP"),
            table: TableRef { key: TableKey::new(table), branch: Branch::named("dev") },
            table_path: "/g/nodes/1".to_owned(),
            expected: Version(4),
        }
    }

    #[tokio::test]
    async fn a_sidecar_names_one_table_and_is_there_until_it_is_disarmed() {
        let root = Files::in_memory();
        let sidecars = Sidecars::of(&root);
        assert_eq!(sidecars.list().await.unwrap(), []);
        let now = DateTime::from_timestamp_micros(1_700_000_000_000_001).unwrap();
        let file = sidecars.arm(&intent("node:P"), now).await.unwrap();
        let other = sidecars.arm(&intent("node:Q"), now).await.unwrap();
        assert!(sidecars.is_armed(&file).await.unwrap());
        let found = sidecars.list().await.unwrap();
        assert_eq!(found.len(), 2);
        let ours = found.iter().find(|found| found.file == file).unwrap();
        assert!(root.read(&ours.path()).await.unwrap().is_some());
        assert_eq!(ours.our_operation(), Some(OperationId::new("OP")));
        assert_eq!(ours.tables().len(), 1);
        assert_eq!(ours.tables()[0].to_string(), "node:P@dev");
        let content = ours.content.clone().unwrap();
        assert_eq!(format!("{}.json", content.operation_id), file);
        assert_eq!(content.started_at, "1700000000000001");
        let table = &content.tables[0];
        assert_eq!((table.expected_version, table.post_commit_pin), (4, 5));
        sidecars.disarm(&file).await.unwrap();
        sidecars.disarm(&file).await.unwrap();
        assert!(!sidecars.is_armed(&file).await.unwrap());
        let left: Vec<_> = sidecars.list().await.unwrap();
        assert_eq!(left.iter().map(|found| &found.file).collect::<Vec<_>>(), [&other]);
    }

    #[tokio::test]
    async fn a_sidecar_of_a_size_no_client_writes_is_not_read() {
        let root = Files::in_memory();
        let large = vec![b' '; usize::try_from(SIDECAR_BYTES_MAX).unwrap() + 1];
        root.put("__recovery/A.json", large).await.unwrap();
        let found = Sidecars::of(&root).list().await.unwrap();
        let why = found[0].content.as_ref().unwrap_err();
        assert!(why.starts_with("1048577 bytes are more"), "{why}");
    }

    #[tokio::test]
    async fn what_is_quarantined_is_no_sidecar_any_more_and_replaces_nothing() {
        let root = Files::in_memory();
        let sidecars = Sidecars::of(&root);
        let at = |micros| DateTime::from_timestamp_micros(micros).unwrap();
        for micros in [1_700_000_000_000_001, 1_700_000_000_000_002] {
            root.put("__recovery/A.json", "no JSON").await.unwrap();
            let place = sidecars.quarantine("A.json", at(micros)).await.unwrap();
            assert_eq!(&root.read(&place).await.unwrap().unwrap()[..], b"no JSON");
            assert_eq!(sidecars.list().await.unwrap(), []);
        }
        assert_eq!(root.list(QUARANTINE_DIR).await.unwrap().len(), 2);
        assert!(sidecars.quarantine("A.json", at(3)).await.is_err());
    }

    #[tokio::test]
    async fn a_torn_sidecar_is_listed_with_its_reason_and_is_nobodys_of_ours() {
        let root = Files::in_memory();
        root.put("__recovery/B.json", "{\"schema_version\":1,").await.unwrap();
        root.put("__recovery/A.json", "{}").await.unwrap();
        root.put("__recovery/notes.txt", "x").await.unwrap();
        root.put("__recovery/deeper/C.json", "{}").await.unwrap();
        let found = Sidecars::of(&root).list().await.unwrap();
        let files: Vec<_> = found.iter().map(|found| found.file.as_str()).collect();
        assert_eq!(files, ["A.json", "B.json"]);
        for found in &found {
            let why = found.content.as_ref().unwrap_err();
            assert!(why.contains("column"), "{why}");
            assert_eq!((found.our_operation(), found.tables()), (None, Vec::new()));
        }
    }
}
