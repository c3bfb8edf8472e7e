//! What puts a root back in order: the recovery sweep over sidecars and journals of runs that
//! died, and the cleanup of forks, versions and files that nothing needs.
//!
//! The repair of drift belongs here and is not written yet. The decisions are in `planner`.

pub mod cleanup;
pub mod sweep;

pub use sweep::SweepError;
