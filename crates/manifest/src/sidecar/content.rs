//! What a sidecar says, in the form of the clients. Not here: where sidecars lie, and what becomes of them.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// A sidecar's content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sidecar {
    /// Version of the format.
    pub schema_version: u32,
    /// The ULID that is also the file's stem.
    pub operation_id: String,
    /// Microseconds since 1970, as text.
    pub started_at: String,
    /// The graph branch; null on main.
    pub branch: Option<String>,
    /// Who asked for the operation.
    pub actor_id: Option<String>,
    /// `Mutation`, `Load`, `SchemaApply`, `BranchMerge`, `EnsureIndices`, `Optimize`.
    pub writer_kind: String,
    /// The tables it is about.
    pub tables: Vec<SidecarTable>,
    /// Of a merge: the commit that is merged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merge_source_commit_id: Option<String>,
    /// Of a schema apply: tables that it adds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub additional_registrations: Vec<SidecarRegistration>,
    /// Of a schema apply: tables that it drops.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tombstones: Vec<SidecarTombstone>,
    /// Ours: which operation armed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keeper: Option<Keeper>,
}

impl Sidecar {
    /// When its operation began, by its writer's clock; `None` when that cannot be read.
    #[must_use]
    pub fn began(&self) -> Option<DateTime<Utc>> {
        self.started_at.parse().ok().and_then(DateTime::<Utc>::from_timestamp_micros)
    }
}

/// A table in a sidecar.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SidecarTable {
    /// The table.
    pub table_key: String,
    /// Its full path in the root's own spelling.
    pub table_path: String,
    /// The version pinned before.
    pub expected_version: u64,
    /// The version the writer meant to reach.
    pub post_commit_pin: u64,
    /// The Lance branch; absent on main.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table_branch: Option<String>,
    /// Of a merge, since schema version 2: the version that was reached, once all were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirmed_version: Option<u64>,
}

/// A table that a schema apply adds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SidecarRegistration {
    /// The table.
    pub table_key: String,
    /// Where it lies, relative to the root.
    pub table_path: String,
    /// The Lance branch; absent on main.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table_branch: Option<String>,
}

/// A table that a schema apply drops.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SidecarTombstone {
    /// The table.
    pub table_key: String,
    /// The version of the tombstone.
    pub tombstone_version: u64,
}

/// Our own member of a sidecar.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keeper {
    /// Version of this member.
    pub schema: u32,
    /// The operation whose commits this sidecar covers.
    pub operation: String,
}
