//! The data plane: groups of fragments rewritten into staged files, the staged files kept
//! account of, and the few commits that make them visible.
//!
//! # Protocol
//!
//! [`stage::stage_group`] writes new files at a version V without any lock and changes
//! nothing that a reader can see. [`journal`] notes the files, so that a run that fails
//! deletes its own and nobody else's; what a run finished and did not live to commit is taken over from
//! there ([`resume`]). [`check`] decides, under the queue key, whether a
//! staged group still replaces what is at HEAD; rows that writers deleted in the meantime are
//! deleted in the new fragments, too. [`content`] compares every value of old and new fragments, for
//! whoever asks for that. [`table_commit`] makes it visible.
//!
//! What is not here: which fragments to group (`planner`), the queue, the sidecars and the
//! publish (`keeper`).

pub mod admission;
mod arrangement;
pub mod blobs;
mod carry;
pub mod check;
pub mod content;
mod damage;
pub mod index;
pub mod journal;
mod pages;
mod recipe;
pub mod remap;
pub mod resume;
mod sources;
pub mod stage;
pub mod stale;
pub mod table_commit;

pub use admission::Admission;
pub use arrangement::Arrangement;
pub use journal::{Finished, Journal, JournalEntry, JournalError, Settled};
pub use pages::pages;
pub use recipe::bounded::held_by_writer;
pub use stage::{StageError, StagedGroup};
pub use table_commit::{CommitFailure, Committed};
