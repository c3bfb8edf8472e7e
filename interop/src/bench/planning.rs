//! P14: the pure planner decides about a table of a million fragments.

use std::process::Command;

use anyhow::Result;
use xtask::cargo;

use super::document::Row;
use super::lab::Lab;
use super::runner::{Side, take_turns};

/// A program of this package that has nothing but the planner in it.
const EXAMPLE: &str = "plan_fragments";

pub(super) fn measure(lab: &Lab) -> Result<Vec<Row>> {
    let fragments = lab.scaled(1_000_000);
    let mut build = cargo::cargo(&lab.root)?;
    build.args(["build", "--quiet", "--release", "--package", "lancekeeper-interop"]);
    cargo::run(build.args(["--example", EXAMPLE]))?;
    let program = cargo::target_directory(&lab.root)?.join("release/examples").join(EXAMPLE);
    let side = Side::new("`planner::optimize::plan_table`", || {
        let mut command = Command::new(&program);
        command.arg(fragments.to_string());
        command
    });
    let mut row = Row::new("P14", format!("plan a table of {fragments} fragments"));
    row.lines = take_turns(lab, &[side.counted_by_call()])?;
    let call = row.lines[0].seconds();
    row.bar("median time of the plan alone", call, 1.0, " s");
    Ok(vec![row])
}
