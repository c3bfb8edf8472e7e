//! How we reach Lance: roots recognised and addressed, datasets opened through one bounded
//! session, the strict commit that every change goes through, and one door to every file that is
//! not read through Lance.
//!
//! # Invariants
//!
//! * Every Lance commit of Lancekeeper is made by [`strict::commit`]: our uuid and operation
//!   id in the transaction, no auto-cleanup, one attempt, at HEAD+1 as observed or not at
//!   all. But for one that only Lance can make ([`row_ids`]), which has none of our ids.
//! * [`Files`] is the only way to a file that Lance does not read, once a root is known.
//! * A table is always opened by the root's address plus its relative location, because
//!   Lance compares base paths as strings.
//!
//! What is not here: what the rows of `__manifest` mean (`manifest`), and which fragments to
//! rewrite (`planner`, `rewrite`).

pub mod failpoint;
pub mod failure;
pub mod files;
pub mod members;
pub mod owner;
pub mod presence;
pub mod restore;
pub mod root;
pub mod row_ids;
pub mod sizes;
pub mod spelling;
pub mod strict;
pub mod tables;

pub use failure::{LanceFailure, kind_of};
pub use files::{Files, FilesError};
pub use root::{Root, RootError};
pub use tables::{OpenError, Tables};
