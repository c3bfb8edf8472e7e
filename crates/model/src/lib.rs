//! The nouns of Lancekeeper as plain values: ids, versions, snapshots, facts, options, reports and error kinds. Nothing here
//! does I/O and nothing decides (`planner` does); Lance is not named, so that what is built on it compiles in seconds.

mod branch;
mod caches;
mod cleanup;
mod count;
mod document;
mod facts;
mod ids;
mod job;
mod jobs_report;
mod kind;
mod layout;
mod left;
mod migrate;
mod names;
mod optimize;
mod options;
mod policy;
mod policy_report;
mod progress;
mod queue_holds;
mod recover;
mod recovery;
mod relocate;
mod repair;
mod report;
mod room;
mod root;
mod sizes;
mod skip;
mod snapshot;
mod statistics;
mod status;
mod verify;
mod watch;

pub use branch::{
    BranchAction, BranchBody, BranchLoss, BranchReport, BranchRow, BranchTableStats, BranchTotals,
    RootBranchReport,
};
pub use caches::{CacheStats, CacheUse, StoreRequests};
pub use cleanup::{
    BranchReconcileStats, CleanupBody, CleanupOptions, CleanupPolicyOptions, CleanupReport,
    CleanupTotals, ForkRefStatus, KEEP_UNLESS_TOLD, KeptVersionReport, LostCommitReport,
    RootCleanupReport, TableCleanupStats,
};
pub use count::{CountBody, CountOptions, CountReport, CountTotals, RootCounts, TableCount};
pub use document::{DocumentError, DocumentKind};
pub use facts::{
    CarryOver, DeclaredIndex, FragmentFacts, IndexFacts, IndexKind, PageFacts, SegmentFacts,
    TableFacts,
};
pub use ids::{Branch, OperationId, TableKey, TableRef, Version};
pub use job::{
    JOB_SCHEMA, JobCaches, JobCause, JobDocumentError, JobError, JobKind, JobProgress, JobRecord,
    JobStatus, JobTable, JobTrigger,
};
pub use jobs_report::{JobsBody, JobsOptions, JobsReport, JobsTotals, RootJobs};
pub use kind::{ErrorKind, ExitCode};
pub use layout::{
    CURVE_COLUMNS_MAX, Direction, EDGE_COLUMNS, Layout, LayoutError, LayoutKind, NullPlacement,
    SortColumn,
};
pub use left::{BudgetLimit, WorkLeft};
pub use migrate::{
    ManifestPaths, MigrateBody, MigrateGoal, MigrateOptions, MigrateReport, MigrateTotals,
    MigratedBranch, MigratedTable, RootMigrateReport, StorageVersion, StorageVersionError,
    TableStep,
};
pub use names::{file_name_of, nearest, shell_word, without_secrets};
pub use optimize::{
    ChosenFragments, Expansion, Expansions, LayoutStats, OptimizeBody, OptimizeReport,
    OptimizeTotals, PrunedStats, RootOptimizeReport, TableOptimizeStats, Touch,
};
pub use options::{
    BranchSelection, INDEX_CACHE_BYTES, IndexMode, MEMORY_BYTES, METADATA_CACHE_BYTES,
    OptimizeOptions, PRUNE_WINDOW, PageTarget, PruneOptions, RewriteCheck, SMALL_FRAGMENT_BYTES,
    TABLES_AT_ONCE, WRITER_WINDOW,
};
pub use policy::{
    EffectivePolicy, POLICY_FORMAT, Policy, PolicyOption, PolicySource, PolicyValue, QuietError,
    QuietTimes, QuietWindow, SourcedPolicy,
};
pub use policy_report::{
    PolicyBody, PolicyProblem, PolicyReport, PolicyRow, PolicyTotals, RootPolicies, SimulatedRow,
};
pub use progress::{NoProgress, Observer, Progress, ProgressEvent, ProgressLine};
pub use queue_holds::QueueHolds;
pub use recover::{
    AssumedDead, LeftBehind, RecoverAction, RecoverBody, RecoverOptions, RecoverReport, RecoverRow,
    RecoverTable, RecoverTotals, RootRecoverReport,
};
pub use recovery::{Migrated, MovedPin, RecoveredSidecar, Recovery};
pub use relocate::{
    RelocateBody, RelocateReport, RelocateTotals, RelocatedBranch, RootRelocateReport,
};
pub use repair::{
    DriftClass, RepairAction, RepairBody, RepairOptions, RepairReport, RepairTotals,
    RootRepairReport, RowChanges, TableRepairStats,
};
pub use report::{Report, RootFailure, RootOutcome, RootReport, VerbBody};
pub use room::{InternalStatus, Reclaimable, StatusOptions};
pub use root::{InternalSchema, RootKind, Stamp};
pub use sizes::TableBytes;
pub use skip::{PendingIndex, SkipReason};
pub use snapshot::{Pin, Snapshot};
pub use statistics::{
    BoundValue, ColumnStatistics, STATISTICS_FORMAT, StatisticsNote, TableStatistics,
};
pub use status::{
    BranchStamp, Clustering, Obstacle, PendingSidecar, PlannedRewrite, RootStatus, StatusBody,
    StatusReport, StatusTotals, TableStatus,
};
pub use verify::{
    Finding, FindingKind, RootVerification, TableVerification, Unchecked, VerifyBody,
    VerifyOptions, VerifyReport, VerifyTotals,
};
pub use watch::{RootWatch, WatchBody, WatchReport, WatchTotals};
