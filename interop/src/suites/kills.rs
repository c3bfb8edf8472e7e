//! Our binary is killed again and again, at random moments and at every failpoint, while others write: afterwards
//! every row that a writer was told is there is there once, and nothing is left over.
//!
//! `graph` does it beside the real client, which is killed at times too, `database` beside two processes of
//! pylance. `cases` says which verb crosses which failpoint and what it needs for that, `needs`, `small`, `elsewhere` and
//! `migrations` make that, `tally` counts where runs were really killed, and tells where not, and why.
//! `crash` and `cleanup` kill one run on a fixture that nobody else touches, and look much closer.

mod cases;
mod database;
mod elsewhere;
mod graph;
mod migrations;
mod needs;
mod possible;
mod small;
mod tally;
mod verbs;

use anyhow::Result;

use super::random::Random;
use super::report::Report;
use super::{Args, Lab};

pub(super) fn run(report: &mut Report, lab: &Lab, args: &Args) -> Result<()> {
    let mut random = Random::new(args.fixed_seed());
    database::run(report, lab, args.kills, &mut random);
    for client in &lab.clients.omnigraph {
        graph::run(report, lab, client, args.kills, &mut random);
    }
    Ok(())
}
