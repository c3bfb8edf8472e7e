//! One test for every fact about Lance that we rely on, so that an upgrade that changes one
//! fails here, loudly, instead of in somebody's table. `docs/lance.md` lists the facts.
//!
//! These tests drive Lance as any program would. What our own code makes of a fact is tested
//! where that code is.

#![expect(clippy::unwrap_used, reason = "in a test the panic is the message")]

#[path = "lance_surface_guards/blobs.rs"]
mod blobs;
#[path = "lance_surface_guards/branches.rs"]
mod branches;
#[path = "lance_surface_guards/btrees.rs"]
mod btrees;
#[path = "lance_surface_guards/cleanup.rs"]
mod cleanup;
#[path = "lance_surface_guards/commits.rs"]
mod commits;
#[path = "lance_surface_guards/features.rs"]
mod features;
#[path = "lance_surface_guards/indexes.rs"]
mod indexes;
#[path = "lance_surface_guards/kinds.rs"]
mod kinds;
#[path = "lance_surface_guards/layout.rs"]
mod layout;
#[path = "lance_surface_guards/listed.rs"]
mod listed;
#[path = "lance_surface_guards/managed.rs"]
mod managed;
#[path = "lance_surface_guards/rewrites.rs"]
mod rewrites;
#[path = "lance_surface_guards/sizes.rs"]
mod sizes;
#[path = "lance_surface_guards/table.rs"]
mod table;
#[path = "lance_surface_guards/versions.rs"]
mod versions;
#[path = "lance_surface_guards/writers.rs"]
mod writers;
