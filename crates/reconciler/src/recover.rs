//! Recovery of what other writers left unfinished: the facts of their sidecars, and the end of each.
//!
//! # Protocol
//!
//! [`inventory`] reads the sidecars, the pins and what was committed past them;
//! `planner::recover` decides; [`execute`] carries out the decision about one sidecar: restore or
//! publish exactly what was looked at, take the schema over or back, write down what was done, delete the
//! sidecar, in this order. Tables are found by the graph, never by the paths in a sidecar.
//!
//! # Crash consistency
//!
//! Until its last step the sidecar is there, and every step before leaves a state about which the
//! next recovery (ours, or that of a client) decides the same, or finds it done. A commit that
//! somebody makes after a table was looked at is never restored over: the restore is strict, so
//! it fails, and the sidecar is left to its writer.

mod execute;
mod inventory;
mod place;
mod report;
mod schema;

pub use execute::{Case, execute};
pub use inventory::inventory;
pub use report::RecoverError;
pub use schema::schema_facts;
