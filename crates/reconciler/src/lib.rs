//! What puts a root back in order: the recovery sweep over sidecars and journals of runs that
//! died, the recovery of what other writers left unfinished, the repair of drift and of roots that were moved, and
//! the cleanup of forks, versions and files that nothing needs.
//!
//! The decisions are in `planner`.

pub mod cleanup;
pub mod recover;
pub mod relocate;
pub mod repair;
pub mod sweep;

pub use recover::RecoverError;
pub use sweep::{RECOVERY_ACTOR, SweepError};
