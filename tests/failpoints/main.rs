//! Tests that stop a run at a failpoint. In a binary of their own: failpoints are global.
//!
//! `beside` lets other verbs work on a root while a run stages there. `crash` kills a run, `resume` lets the
//! next one take over what it finished, `fail_there` lets it fail, `sweep` kills its recovery, `foreign` lets
//! somebody else write meanwhile: mostly on graphs. `plain` does the same on databases, `layouts` on databases whose
//! rows get another order, `cleanup` and `branch` with those verbs. `content` lets a rewrite get a value wrong.
//! `migrate` stops migrations of graphs.
//! `jobs` kills a run that records its jobs. `names` checks that no failpoint is left out.

#![expect(clippy::unwrap_used, reason = "in a test the panic is the message")]

mod beside;
mod branch;
mod child;
mod cleanup;
mod client;
mod content;
mod crash;
mod fail_there;
mod foreign;
mod histories;
mod jobs;
mod layouts;
mod meanwhile;
mod migrate;
mod names;
mod pause;
mod plain;
mod resume;
mod sweep;
mod world;
