//! P14: the pure planner decides about a table of a million fragments.

use anyhow::Result;
use xtask::cargo;

use super::document::{Line, Row};
use super::lab::Lab;
use super::runner::{Side, median, take_turns};

/// A program of this package that has nothing but the planner in it.
const EXAMPLE: &str = "plan_fragments";

pub(super) fn measure(lab: &Lab) -> Result<Vec<Row>> {
    let fragments = lab.scaled(1_000_000);
    let mut build = cargo::cargo(&lab.root)?;
    build.args(["build", "--quiet", "--release", "--package", "lancekeeper-interop"]);
    cargo::run(build.args(["--example", EXAMPLE]))?;
    let program = cargo::target_directory(&lab.root)?.join("release/examples").join(EXAMPLE);
    let side = Side {
        name: "`planner::optimize::plan_table`".to_owned(),
        prepare: Box::new(|| Ok(())),
        command: Box::new(move || {
            let mut command = std::process::Command::new(&program);
            command.arg(fragments.to_string());
            command
        }),
        check: Box::new(|_| Ok(())),
    };
    let runs = take_turns(lab, std::slice::from_ref(&side))?;
    let mut row = Row::new("P14", format!("plan a table of {fragments} fragments"));
    row.lines = runs.into_iter().map(|runs| Line::new(&side.name, runs)).collect();
    let call = median(row.lines[0].runs.iter().filter_map(|run| run.call));
    row.bar("median time of the plan alone", call, 1.0, "s");
    Ok(vec![row])
}
