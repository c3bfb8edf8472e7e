//! The recovery sweep: what unfinished operations of ours came to, and the end of each.
//!
//! # Protocol
//!
//! [`inventory`] reads the sidecars, the pins and who committed what lies ahead of them;
//! `planner::sweep` decides; [`execute`] publishes and disarms, in the order of the plan.
//! Foreign sidecars are read and left alone.
//!
//! # Crash consistency
//!
//! A publish comes before the deletion of its sidecar, so a crash inside the sweep leaves a
//! sidecar over a table that is already published, which the next sweep discards. Sweeping
//! twice changes nothing the second time.

mod execute;
mod inventory;
mod report;

pub use execute::{RECOVERY_ACTOR, execute};
pub use inventory::inventory;
pub use report::SweepError;
