//! A type that was dropped or renamed comes back after a cleanup: no old rows appear, and the client says
//! what it says on a graph that was not cleaned up.

use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::super::Lab;
use super::super::cleanup::STRICTEST;
use super::super::graph::expect_same;
use super::super::keeper::{Action, Failpoint};
use super::super::omnigraph::Omnigraph;
use super::super::output;
use super::super::report::{Report, Scenario};
use super::world::{CLEANED, SCHEMA, UNTOUCHED, World, company, expect_same_rows};

/// Crossed between the commit without rows and the first deletion.
const EMPTIED: &str = "cleanup.emptied_pre_delete";
/// A row of the type that goes.
const OLD: &str = "Acme";

/// How a type goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Leave {
    /// Its rows stay until they are collected.
    Dropped,
    /// The client deletes its rows itself.
    DroppedWithItsRows,
    /// Its rows go on under another name.
    Renamed,
}

impl Leave {
    const ALL: [Self; 3] = [Self::Dropped, Self::DroppedWithItsRows, Self::Renamed];

    fn name(self) -> &'static str {
        match self {
            Self::Dropped => "dropped",
            Self::DroppedWithItsRows => "dropped with its rows",
            Self::Renamed => "renamed",
        }
    }

    fn schema(self) -> String {
        match self {
            Self::Dropped | Self::DroppedWithItsRows => {
                SCHEMA.replace("node Company {\n    name: String @key\n}\n", "")
            }
            Self::Renamed => SCHEMA.replace("Company", "Firm @rename_from(\"Company\")"),
        }
    }
}

pub(super) fn run(report: &mut Report, lab: &Lab, client: &Omnigraph) {
    for leave in Leave::ALL {
        let name = format!("traps type {}", leave.name());
        // What failed is in the report.
        let _: Option<()> = check(lab, client, leave, &mut report.scenario(&client.title(), &name));
    }
}

fn check(lab: &Lab, client: &Omnigraph, leave: Leave, scenario: &mut Scenario<'_>) -> Option<()> {
    let (world, data) = scenario.check("the client takes a type away", || {
        let world = World::new(lab, client)?;
        world.load("main", &["ann"])?;
        client.load(&world.path(), "main", &company(OLD))?;
        let tables = client.tables(&world.path(), "main")?;
        let table = tables.into_iter().find(|table| table.key == "node:Company");
        let data = world.path().join(table.context("no table of companies")?.path).join("data");
        ensure!(files_in(&data)? > 0, "companies have no file");
        apply(&world, &leave.schema(), leave == Leave::DroppedWithItsRows)?;
        let keys: Vec<_> = client.pins(&world.path(), "main")?.into_keys().collect();
        ensure!(!keys.contains(&"node:Company".to_owned()), "it is still there: {keys:?}");
        world.save(UNTOUCHED)?;
        Ok((world, data))
    })?;
    scenario.check("killed when the table is emptied, the client opens first", || {
        let failpoint = Failpoint { name: EMPTIED, action: Action::Abort, crossing: 1 };
        let mut rules = STRICTEST.to_vec();
        rules.push("--confirm");
        let keeper = &lab.keeper;
        let run = keeper.start_verb("cleanup", &world.path(), &rules, Some(&failpoint))?;
        let outcome = run.wait()?;
        ensure!(outcome.aborted(), "not killed: {}", outcome.describe());
        let mut expected = client.export(&world.path(), "main")?;
        world.load("main", &["between"])?;
        let found = client.export(&world.path(), "main")?;
        expected.extend(found.iter().filter(|line| line.contains("between")).cloned());
        expect_same(&expected, &found)?;
        let rows = world.rows()?;
        world.expect_no_drift()?;
        world.clean()?;
        expect_same_rows(&rows, &world.rows()?)?;
        ensure!(files_in(&data)? == 0, "files are left");
        world.load("main", &["after"])?;
        world.expect_no_drift()?;
        world.restore(UNTOUCHED)
    })?;
    scenario.check("optimize and two cleanups leave main its rows", || {
        let rows = world.rows()?;
        world.optimize_and_clean()?;
        world.clean()?;
        expect_same_rows(&rows, &world.rows()?)?;
        ensure!(files_in(&data)? == 0, "the rows of the type that went are still there");
        world.expect_no_drift()?;
        world.save(CLEANED)
    })?;
    let step = scenario.check("the type comes back, or not, as without us", || {
        let step = world.expect_as_untouched(|world| {
            // With the old name for something new, and without a word about the other one.
            apply(world, SCHEMA, false).map(|()| "applied")
        })?;
        if leave != Leave::Renamed {
            expect_no_old_rows(&world)?;
        }
        Ok(step)
    })?;
    if let Err(said) = &step.outcome {
        scenario.note("without us the client refuses, too", said);
    }
    scenario.check("what is then loaded into it is as without us", || {
        world.expect_as_untouched(|world| {
            let refused = apply(world, SCHEMA, false).is_err();
            client.load(&world.path(), "main", &company("New"))?;
            Ok(if refused { "loaded after a refusal" } else { "loaded" })
        })?;
        Ok(())
    })?;
    scenario.check("the graph can be read and written", || {
        world.load("main", &["late"])?;
        let main = client.export(&world.path(), "main")?;
        ensure!(main.iter().any(|line| line.contains("late")), "the load is not there: {main:?}");
        world.rows()?;
        world.expect_no_drift()
    })?;
    scenario.check("and optimized and cleaned up once more", || {
        let rows = world.rows()?;
        world.optimize_and_clean()?;
        expect_same_rows(&rows, &world.rows()?)?;
        world.load("main", &["later"])?;
        world.expect_no_drift()
    })
}

/// A directory that is not there has none.
fn files_in(directory: &Path) -> Result<usize> {
    match std::fs::read_dir(directory) {
        Ok(entries) => Ok(entries.count()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(error).with_context(|| directory.display().to_string()),
    }
}

fn apply(world: &World<'_>, schema: &str, loses_rows: bool) -> Result<()> {
    let file = world.beside("other.pg");
    std::fs::write(&file, schema)?;
    let mut command = world.client.apply_command(&world.path(), &file);
    if loses_rows {
        command.arg("--allow-data-loss");
    }
    output(&mut command).map(drop)
}

fn expect_no_old_rows(world: &World<'_>) -> Result<()> {
    for (branch, lines) in world.rows()? {
        let old = lines.iter().find(|line| line.contains(OLD));
        ensure!(old.is_none(), "{branch} has a row of before: {old:?}");
    }
    let main = world.client.export(&world.path(), "main").context("the client reads main")?;
    ensure!(!main.iter().any(|line| line.contains(OLD)), "the client reads a row of before");
    Ok(())
}
