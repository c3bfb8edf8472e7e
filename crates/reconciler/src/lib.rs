//! What puts a root back in order: the recovery sweep over sidecars and journals of runs that
//! died, the repair of drift and of roots that were moved, and the cleanup of forks, versions and files that
//! nothing needs.
//!
//! The decisions are in `planner`.

pub mod cleanup;
pub mod relocate;
pub mod repair;
pub mod sweep;

pub use sweep::SweepError;
