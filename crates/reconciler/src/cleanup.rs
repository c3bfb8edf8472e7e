//! Cleanup of datasets: what is there, what needs it, and the deletion of exactly what the
//! plan lists.
//!
//! # Protocol
//!
//! [`list_dataset`] lists a dataset once and reads every manifest in it; [`read_authority`]
//! reads what a graph's branches and commits need; `planner::cleanup` decides; under the
//! table's queue keys [`recheck`] makes sure that nothing the decision stood on has changed;
//! [`Executor::execute`] writes the exact list of paths and deletes those.
//!
//! # Crash consistency
//!
//! The list is written before the first deletion. Versions lose their manifest before
//! anything they referred to, so whatever still has a manifest can be read. After a crash the
//! next cleanup plans anew from what is there then; the old list only tells it that the files
//! on it were explained, so that they need not wait for the age at which unexplained ones go.

mod authority;
mod beside;
mod blobs;
mod dataset;
mod descriptors;
mod doomed;
mod empty;
mod execute;
mod flip;
mod hints;
mod inventory;
mod lists;
mod names;
mod recheck;
pub(crate) mod references;
mod report;
mod resolver;
mod since;
pub(crate) mod stored;
mod top;
mod unknown;

pub use authority::{AuthorityRead, Stamp, lost_branches, read_authority, stamp};
pub use beside::{ReadsBeside, reads_beside};
pub use dataset::{DatasetInventory, DatasetPlace, hold_across};
pub use empty::empty;
pub use execute::{Attempt, Done, Executor, Keys};
pub use flip::{BranchFile, written_meanwhile};
pub use inventory::list_dataset;
pub use lists::{Lists, Pending, PendingList};
pub use recheck::{Recheck, recheck};
pub use report::CleanupError;
pub use stored::StoredError;
