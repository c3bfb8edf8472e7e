//! The repair of drift: a table's newest version is not the one its graph publishes, and no sidecar says why.
//!
//! # Protocol
//!
//! [`look`] reads what was committed since the pin; `planner::repair` decides. [`Executor::settle`] makes the
//! version that is to be published: HEAD as it was looked at, or the pinned version committed on top of it, which
//! gets a tag first. [`Executor::publish`] moves all pins of a branch in one publish.
//!
//! # Crash consistency
//!
//! Nothing that was committed is ever out of reach: the tag is there before the restore. A restore that was not
//! published is drift whose history ends with the pinned rows, so the next repair publishes it as maintenance. No sidecar is
//! armed: to a client, one over drift means "roll forward to HEAD", and would publish what is being taken back. On v3
//! the commit row of a publish may be missing after a crash; the next repair adds it.

mod execute;
mod history;
mod inventory;
mod report;
mod rows;

pub use execute::{Executor, Settled};
pub use inventory::{Drifted, look};
pub use report::RepairError;
