//! What a run tells while it goes on. Events are facts in the past tense; drawing them is
//! the business of `cli`.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use crate::{RootKind, Stamp, TableRef, Version};

/// Something that happened during a run.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProgressEvent {
    /// A root was recognised and opened.
    RootOpened {
        /// The root as the caller spelled it.
        uri: String,
        /// What it is.
        kind: RootKind,
    },
    /// A graph was taken to a newer internal schema version. Whoever keeps it open opens it anew.
    GraphMigrated {
        /// The root as the caller spelled it.
        uri: String,
        /// What main was stamped with before.
        from_schema: Stamp,
        /// The version it has now.
        to_schema: u32,
    },
    /// A table was planned.
    TablePlanned {
        /// The table.
        table: TableRef,
        /// Groups of fragments to rewrite; 0 when there is nothing to do.
        groups: u64,
        /// Bytes to rewrite.
        bytes: u64,
    },
    /// A group was rewritten into staged files.
    GroupStaged {
        /// The table.
        table: TableRef,
        /// Bytes that were rewritten.
        bytes: u64,
    },
    /// A table's new version was committed and published.
    TablePublished {
        /// The table.
        table: TableRef,
        /// The version readers saw before.
        from: Version,
        /// The version readers see now.
        to: Version,
    },
    /// A table is finished, with whatever outcome.
    TableFinished {
        /// The table.
        table: TableRef,
        /// Whether it failed.
        failed: bool,
    },
    /// What cleanup is to delete of a table was planned. It may change when its turn comes.
    DeletionsPlanned {
        /// The table.
        table: TableRef,
        /// How many files are to go.
        files: u64,
        /// Their bytes.
        bytes: u64,
    },
    /// Files of a table were deleted.
    FilesDeleted {
        /// The table.
        table: TableRef,
        /// How many.
        files: u64,
        /// Their bytes.
        bytes: u64,
    },
    /// Pruning of a root was put off until the writer window has passed. Nothing is locked
    /// meanwhile. Told about once a second.
    PruneDelayed {
        /// The root as the caller spelled it.
        uri: String,
        /// Seconds left to wait.
        seconds_left: u64,
    },
}

impl ProgressEvent {
    /// The JSON line of `--progress json`.
    #[must_use]
    pub fn to_line(&self) -> ProgressLine {
        let mut line = ProgressLine::default();
        match self {
            Self::RootOpened { uri, kind } => {
                line.event = "root_opened";
                line.uri = Some(uri.clone());
                line.kind = Some(*kind);
            }
            Self::GraphMigrated { uri, from_schema, to_schema } => {
                line.event = "graph_migrated";
                line.uri = Some(uri.clone());
                line.from_schema = Some(from_schema.clone());
                line.to_schema = Some(*to_schema);
            }
            Self::TablePlanned { table, groups, bytes } => {
                line.event = "table_planned";
                line.table = Some(table.to_string());
                line.groups = Some(*groups);
                line.bytes = Some(*bytes);
            }
            Self::GroupStaged { table, bytes } => {
                line.event = "group_staged";
                line.table = Some(table.to_string());
                line.bytes = Some(*bytes);
            }
            Self::TablePublished { table, from, to } => {
                line.event = "table_published";
                line.table = Some(table.to_string());
                line.from = Some(*from);
                line.to = Some(*to);
            }
            Self::TableFinished { table, failed } => {
                line.event = "table_finished";
                line.table = Some(table.to_string());
                line.failed = Some(*failed);
            }
            Self::DeletionsPlanned { table, files, bytes } => {
                line.event = "deletions_planned";
                line.table = Some(table.to_string());
                line.files = Some(*files);
                line.bytes = Some(*bytes);
            }
            Self::FilesDeleted { table, files, bytes } => {
                line.event = "files_deleted";
                line.table = Some(table.to_string());
                line.files = Some(*files);
                line.bytes = Some(*bytes);
            }
            Self::PruneDelayed { uri, seconds_left } => {
                line.event = "prune_delayed";
                line.uri = Some(uri.clone());
                line.seconds_left = Some(*seconds_left);
            }
        }
        line
    }
}

/// One line of `--progress json`: the event's name and the fields it has.
#[derive(Debug, Clone, Default, Serialize)]
#[expect(missing_docs, reason = "the fields are those of `ProgressEvent`")]
pub struct ProgressLine {
    pub event: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uri: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<RootKind>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub table: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub groups: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<Version>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<Version>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from_schema: Option<Stamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to_schema: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds_left: Option<u64>,
}

/// Receives events. Called from several tasks at once; must not block.
pub trait Progress: Send + Sync {
    /// Something happened.
    fn on_event(&self, event: ProgressEvent);
}

/// Somebody who receives events, to be handed on.
#[derive(Clone)]
pub struct Observer(pub Arc<dyn Progress>);

impl Default for Observer {
    fn default() -> Self {
        Self(Arc::new(NoProgress))
    }
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Observer")
    }
}

/// Receives events and forgets them.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoProgress;

impl Progress for NoProgress {
    fn on_event(&self, _event: ProgressEvent) {}
}
