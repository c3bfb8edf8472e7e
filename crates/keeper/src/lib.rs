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
//! let roots = ["/data/graph".to_owned()];
//! let options = lancekeeper::OptimizeOptions::default();
//! let report = keeper.optimize(&roots, &options, Arc::new(lancekeeper::NoProgress)).await;
//! assert_eq!(report.exit_code().number(), 0);
//! # }
//! ```
//!
//! What is not here: decisions (`planner`), the format of `__manifest` (`manifest`), the
//! rewriting of data (`rewrite`).

mod branch;
mod budget;
mod cleanup;
mod concurrency;
mod count;
mod established;
mod facts;
mod keeper;
mod open;
mod optimize;
mod search;
mod status;
mod stop;

pub use established::{
    CleanupError, INTERNAL_MANIFEST_SCHEMA_VERSION, OptimizeError, cleanup_all_tables,
    optimize_all_tables, reconcile_orphaned_branches,
};
pub use keeper::Keeper;
pub use lancekeeper_model::{
    Branch, BranchReconcileStats, BranchReport, BranchRow, BranchSelection, BudgetLimit,
    CleanupOptions, CleanupPolicyOptions, CleanupReport, CountOptions, CountReport, ErrorKind,
    ExitCode, ForkRefStatus, IndexMode, NoProgress, OptimizeOptions, OptimizeReport, PendingIndex,
    Progress, ProgressEvent, PruneOptions, RootBranchReport, RootOptimizeReport, RootStatus,
    SkipReason, StatusReport, TableCleanupStats, TableKey, TableOptimizeStats, TableRef,
    TableStatus, Version, WorkLeft,
};
pub use lancekeeper_queue::{ExclusiveLock, Queues, RootIdentity, RootQueue, TableGuards};
pub use open::OpenRootError;
pub use search::{FoundRoots, SearchTrouble, find_roots, root_identity};
