//! The one door to `__manifest`: fold its rows to snapshots, publish by compare-and-swap,
//! branches, lineage; and the sidecars that lie beside it.
//!
//! # Overview
//!
//! A graph's readers see the table versions that `__manifest` pins, per branch. [`Graph`]
//! reads those pins and is the only thing in Lancekeeper that moves them. [`Sidecars`] reads
//! and writes the intents under `__recovery/` that make a crash between a table's commit and
//! its publish recoverable.
//!
//! # Invariants
//!
//! * A publish is one strict merge-insert that lands exactly on the version it was computed
//!   from plus one, so that a v4 commit row names the version it is in.
//! * Rows of `__manifest` are added or, for `graph_head`, updated; none is ever removed.
//! * A pin only ever moves to a version that the caller names; never to "HEAD".
//! * A stamp only ever changes by a step of `migrate`, and nothing is published under one that is not
//!   main's.
//!
//! What is not here: which versions to publish (`keeper`, `reconciler`), and the decision
//! what a sidecar found after a crash means (`planner::sweep`).

mod branch;
mod catalog;
mod compact;
mod fold;
mod graph;
mod half_made;
mod history;
mod lineage;
mod migrate;
mod moved;
mod old_snapshots;
mod publish;
mod recoveries;
mod remains;
mod row;
mod schema_apply;
mod schema_files;
mod schema_source;
mod sidecar;
mod unnamed;

pub use branch::{BranchError, Cut};
pub use catalog::{Catalog, SchemaTables};
pub use compact::{Begins, CompactError, Compacted, InternalSize};
pub use graph::{Graph, GraphError};
pub use history::{BranchHistory, GraphCommit, LiveBranch};
pub use lineage::{ACTORS, COMMITS, LineageError};
pub use migrate::{
    CopiedHistory, FoundHistories, Look, MIGRATION_NOTE, MigrateError, Migration, MigrationOutcome,
    copied_branches, histories, migrate_internal_schema,
};
pub use old_snapshots::OldSnapshots;
pub use publish::{
    Changes, NewTable, PinMove, PreparedPublish, PublishError, Published, StalePin, Tombstone,
};
pub use recoveries::{RecoveryKind, RecoveryOutcome, RecoveryRecord};
pub use remains::BranchRemains;
pub use schema_apply::{
    SchemaApplyLock, StagedSchema, promote_schema, read_schemas, unstage_schema,
};
pub use schema_files::{SchemaFilesError, check_schema_files};
pub use sidecar::{
    FoundSidecar, Intent, QUARANTINE_DIR, RECOVERY_DIR, SIDECAR_BYTES_MAX, Sidecar, SidecarError,
    SidecarRegistration, SidecarTable, SidecarTombstone, Sidecars,
};
pub use unnamed::UnnamedPublish;
