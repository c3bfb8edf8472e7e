//! Tests over all crates together, on real fixtures and on tables built here.

#![expect(clippy::unwrap_used, reason = "in a test the panic is the message")]

mod bad_input;
mod binary;
mod branch_verb;
mod branches;
mod cleanup;
mod databases;
mod depth;
mod fixtures;
mod graph_btrees;
mod habits;
mod identity;
mod index_kinds;
mod indexes;
mod jobs;
mod layouts;
mod many;
mod migrate;
mod observer;
mod page_copies;
mod pages;
mod predicates;
mod races;
mod random_tables;
mod recover;
mod repair;
mod requests;
mod root_sets;
mod settings;
mod spellings;
mod sql;
mod statistics;
mod strict;
mod verify;
mod watch;
mod wide_tables;
