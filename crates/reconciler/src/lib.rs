//! What puts a root back in order: the recovery sweep over sidecars and journals of runs that
//! died.
//!
//! Orphaned forks, orphan files, version collection and the repair of drift belong here and
//! are not written yet. The decisions are in `planner`.

pub mod sweep;

pub use sweep::{SweepError, SweepReport};
