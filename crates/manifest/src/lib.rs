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
mod history;
mod lineage;
mod migrate;
mod old_snapshots;
mod publish;
mod row;
mod schema_files;
mod schema_source;
mod sidecar;

pub use branch::{BranchError, Cut};
pub use catalog::Catalog;
pub use compact::{Begins, CompactError, Compacted, InternalSize};
pub use graph::{Graph, GraphError};
pub use history::{BranchHistory, GraphCommit, LiveBranch, UnnamedPublish};
pub use lineage::{COMMITS, LineageError};
pub use migrate::{
    CopiedHistory, Look, MIGRATION_NOTE, MigrateError, Migration, MigrationOutcome,
    copied_branches, histories, migrate_internal_schema,
};
pub use old_snapshots::OldSnapshots;
pub use publish::{PinMove, PublishError, Published, StalePin};
pub use schema_files::{SchemaFilesError, check_schema_files};
pub use sidecar::{
    FoundSidecar, Intent, RECOVERY_DIR, Sidecar, SidecarError, SidecarTable, Sidecars,
};
