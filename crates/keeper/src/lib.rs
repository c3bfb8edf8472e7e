//! Lancekeeper: keeps sets of Lance tables in good order.
//!
//! This is the public library. [`Keeper`] opens roots and runs the verbs; every verb takes
//! several roots, never fails as a whole, and returns a report whose fields are those of the
//! binary's `--json`.
//!
//! ```no_run
//! # async fn example() {
//! use std::sync::Arc;
//! let keeper = lancekeeper::Keeper::new();
//! let options = lancekeeper::OptimizeOptions::default();
//! let progress = Arc::new(lancekeeper::NoProgress);
//! let report = keeper.optimize(["/data/graph"], &options, progress).await;
//! assert_eq!(report.exit_code().number(), 0);
//! # }
//! ```
//!
//! # Rooms
//!
//! `api` composes; the verbs are `optimize`, `cleanup`, `repair`, `branch`, `recover`, `migrate`, `status`, `count` and
//! `verify`, each from `inventory` to `report`. All of them stand on `root` (opening, and what stands in the way), and
//! all of these on `run` (what a run is given). A verb does not use another, with three exceptions:
//! `branch` deletes by `cleanup`, `recover` takes what is left of branches away as `branch` does, and `status`
//! shows what `optimize` and `cleanup` would do, by their own plans. `seen` is for callers that read: which tables
//! readers see, and opening them.
//!
//! What is not here: decisions (`planner`), the format of `__manifest` (`manifest`), the
//! rewriting of data (`rewrite`).

mod api;
mod branch;
mod cleanup;
mod count;
mod layouts;
mod migrate;
mod optimize;
mod recover;
mod repair;
mod root;
mod run;
mod seen;
mod statistics;
mod status;
mod verify;

pub use api::{
    CleanupError, FoundRoots, INTERNAL_MANIFEST_SCHEMA_VERSION, Keeper, KeeperBuilder,
    OptimizeError, SearchTrouble, cleanup_all_tables, find_roots, optimize_all_tables,
    reconcile_orphaned_branches, root_identity, under_way,
};
pub use lancekeeper_manifest::migrate_internal_schema;
pub use lancekeeper_model::{
    AssumedDead, BoundValue, Branch, BranchAction, BranchBody, BranchLoss, BranchReconcileStats,
    BranchReport, BranchRow, BranchSelection, BranchStamp, BranchTableStats, BranchTotals,
    BudgetLimit, CacheStats, CacheUse, ChosenFragments, CleanupBody, CleanupOptions,
    CleanupPolicyOptions, CleanupReport, CleanupTotals, Clustering, ColumnStatistics, CountBody,
    CountOptions, CountReport, CountTotals, Direction, DriftClass, ErrorKind, ExitCode, Finding,
    FindingKind, ForkRefStatus, IndexMode, InternalSchema, InternalStatus, JobCause, JobKind,
    JobRecord, JobStatus, JobTrigger, KeptVersionReport, Layout, LayoutError, LayoutKind,
    LayoutStats, LeftBehind, LostCommitReport, ManifestPaths, MigrateBody, MigrateGoal,
    MigrateOptions, MigrateReport, MigrateTotals, Migrated, MigratedBranch, MigratedTable,
    MovedPin, NoProgress, NullPlacement, Observer, Obstacle, OperationId, OptimizeBody,
    OptimizeOptions, OptimizeReport, OptimizeTotals, PageTarget, PendingIndex, PendingSidecar,
    Progress, ProgressEvent, ProgressLine, PruneOptions, PrunedStats, QueueHolds, Reclaimable,
    RecoverAction, RecoverBody, RecoverOptions, RecoverReport, RecoverRow, RecoverTable,
    RecoverTotals, RecoveredSidecar, Recovery, RelocateBody, RelocateReport, RelocateTotals,
    RelocatedBranch, RepairAction, RepairBody, RepairOptions, RepairReport, RepairTotals, Report,
    RewriteCheck, RootBranchReport, RootCleanupReport, RootCounts, RootFailure, RootKind,
    RootMigrateReport, RootOptimizeReport, RootOutcome, RootRecoverReport, RootRelocateReport,
    RootRepairReport, RootReport, RootStatus, RootVerification, RowChanges, STATISTICS_FORMAT,
    SkipReason, SortColumn, Stamp, StatisticsNote, StatusBody, StatusOptions, StatusReport,
    StatusTotals, StorageVersion, StoreRequests, TableBytes, TableCleanupStats, TableCount,
    TableKey, TableOptimizeStats, TableRef, TableRepairStats, TableStatistics, TableStatus,
    TableStep, TableVerification, Unchecked, VerbBody, VerifyBody, VerifyOptions, VerifyReport,
    VerifyTotals, Version, WorkLeft,
};
pub use lancekeeper_queue::{ExclusiveLock, Queues, RootIdentity, RootQueue, TableGuards};
pub use root::OpenRootError;
pub use run::jobs::{JobLog, UnderWay};
pub use seen::{SeenRoot, SeenTable};
