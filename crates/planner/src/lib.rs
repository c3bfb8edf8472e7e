//! The decisions of Lancekeeper, as pure functions from facts to plans.
//!
//! One module per job, each with the inventory it reads, the plan it makes and the rules in
//! between. Nothing here does I/O, waits, or looks at a clock: the same inventory always
//! gives the same plan, and a dry run is a plan that is printed. Gathering inventories and
//! carrying plans out is the business of the crates above.

pub mod branch;
pub mod cleanup;
pub mod index;
pub mod jobs;
pub mod migrate;
pub mod moment;
pub mod optimize;
pub mod recover;
pub mod relocate;
pub mod repair;
pub mod schedule;
pub mod sweep;
pub mod verify;
