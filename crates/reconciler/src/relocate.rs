//! A root that was moved, copied or restored is made whole at its new place.
//!
//! # Protocol
//!
//! [`inventory`] lists the root once and reads every manifest in it; `planner::relocate` decides; [`repoint`] changes the
//! paths of bases in manifest files, one file at a time, the newest of each branch last. This is the one place that changes a file
//! that Lance has written: Lance can add a base to a branch, but not say that what its fragments refer to lies elsewhere,
//! and no commit changes the versions before it, which commits and merges read.
//!
//! # Crash consistency
//!
//! Each file is replaced as a whole; before that, the original lies under `__maintenance/relocated/`. A root that is half
//! done reads in part from here and in part from the old place, is still known as moved, and is refused by every
//! verb that writes; doing it again changes the rest.

mod bytes;
mod execute;
mod inventory;
mod old_place;
mod report;

pub use execute::{message_after, originals_of, repoint};
pub use inventory::inventory;
pub use report::RelocateError;
