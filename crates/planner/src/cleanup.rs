//! What cleanup keeps, what goes, and why each.
//!
//! # Protocol
//!
//! An inventory lists every file below every dataset once, with what each existing version
//! refers to, and says what the authorities (branches, commits, tags) need. [`plan_cleanup`]
//! turns it into sets of versions kept, each with its reasons, and into one list of paths to
//! delete. Nothing outside that list is ever deleted.
//!
//! # Invariants
//!
//! * A file that any kept version refers to is never on the list, whichever chain or dataset
//!   refers to it.
//! * A file on the list is explained: it is the manifest of a version that goes, only
//!   versions that go refer to it, or nothing refers to it and it is old and of a kind that
//!   is known to be litter.
//! * Whatever cannot be classified stays.
//! * What a run that is under way reads, or may have staged, stays.
//!
//! Not here: looking at stores, and the order in time of deletions (`reconciler::cleanup`).

mod authority;
mod chain;
mod features;
mod floors;
pub(crate) mod history;
mod inventory;
#[cfg(test)]
mod laws;
mod path;
mod plan;
mod policy;
mod reason;
mod running;
#[cfg(test)]
mod tests;

pub use authority::{Authority, BranchFacts, CommitFacts, PinnedVersion};
pub use chain::ChainKey;
pub use features::{KNOWN_FEATURES, KNOWN_INDEXES, unknown_features, unknown_index};
pub use inventory::{
    ChainFacts, CleanupInventory, DatasetFacts, FileClass, FileFacts, FileId, ForkFacts, Role,
    UnitId, VersionFacts,
};
pub use path::{Place, chain_dir, classify, is_root_litter, split_chain};
pub use plan::{
    CleanupPlan, DatasetPlan, Deletion, DeletionReason, DeletionStep, ForkDecision, KeptVersion,
    Leftover, LostCommit, lost_commits, plan_cleanup,
};
pub use policy::Retention;
pub use reason::KeepReason;
pub use running::Running;
