//! A world to test in: real fixtures unpacked, small tables built, what readers see written
//! down, and the invariants every run must keep.
//!
//! Only tests depend on this crate. It uses Lance directly, as a client would, so that a
//! mistake of ours cannot hide itself.

pub mod fixture;
pub mod graphs;
pub mod invariants;
pub mod manifest_rows;
pub mod rows;
pub mod tables;
pub mod wreck;
pub mod writer;

pub use fixture::{Fixture, FixturePath};
pub use invariants::check_graph;
pub use rows::{GraphRows, graph_rows, table_rows};
pub use wreck::Wreck;
