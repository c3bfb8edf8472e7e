//! Tests that stop a run at a failpoint. In a binary of their own: failpoints are global.
//!
//! `beside` lets other verbs work on a root while a run stages there. `crash` kills a run, `resume` lets the
//! next one take over what it finished, `fail_there` lets it fail, `sweep` kills its recovery, `foreign` lets
//! somebody else write meanwhile: mostly on graphs. `plain` does the same on databases, `layouts` on databases whose
//! rows get another order, `cleanup`, `branch`, `repair` and `relocate` with those verbs. `content` lets a rewrite get a
//! value wrong. `recover` stops the recovery of what others left, `migrate` migrations. `jobs` kills a run that records its
//! jobs. `chaos` lets all of them work at once, with failpoints at random. `names` checks that no failpoint is left out.

#![expect(clippy::unwrap_used, reason = "in a test the panic is the message")]

mod beside;
mod branch;
mod chaos;
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
mod manifest_names;
mod meanwhile;
mod migrate;
mod names;
mod pause;
mod plain;
mod recover;
mod relocate;
mod repair;
mod resume;
mod sweep;
mod world;
