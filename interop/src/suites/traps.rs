//! What lost data elsewhere, tried with the real clients: forks that others read, merges after a
//! collection, types that come back, several spellings, nested names, writers that commit late.
//!
//! What a client cannot do on a graph that we never touched is not asked of it: wherever it refuses, it is
//! compared with itself on a copy that was not cleaned up.

mod clones;
mod forks;
mod late;
mod links;
mod merges;
mod orphans;
mod types;
mod world;

use anyhow::Result;

use super::random::Random;
use super::report::Report;
use super::{Args, Lab};

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Trap {
    /// A branch cut from a branch, and names that lie in each other
    Forks,
    /// Every pair of branches merges after a cleanup
    Merges,
    /// A type goes and comes back
    Types,
    /// One graph by its path and by a link
    Links,
    /// Forks that a dead client left, made anew while we collect them
    Orphans,
    /// A client's commands stopped at random moments while we run
    Late,
    /// A database of pylance's with clones, tags, nested tables and a writer that is not done
    Clones,
}

pub(super) fn run(report: &mut Report, lab: &Lab, args: &Args) -> Result<()> {
    let wanted = |trap| args.trap.is_empty() || args.trap.contains(&trap);
    for client in &lab.clients.omnigraph {
        // Of its own for each, so that one alone does what it does in company.
        let random = || Random::new(args.fixed_seed());
        if wanted(Trap::Forks) {
            forks::run(report, lab, client);
        }
        if wanted(Trap::Merges) {
            merges::run(report, lab, client);
        }
        if wanted(Trap::Types) {
            types::run(report, lab, client);
        }
        if wanted(Trap::Links) {
            links::run(report, lab, client);
        }
        if wanted(Trap::Orphans) {
            orphans::run(report, lab, client, &mut random())?;
        }
        if wanted(Trap::Late) {
            late::run(report, lab, client, &mut random())?;
        }
    }
    if wanted(Trap::Clones) {
        clones::run(report, lab);
    }
    Ok(())
}
