//! Every pair of branches merges after a cleanup as it would have without.

use anyhow::{Result, ensure};
use serde_json::json;

use super::super::Lab;
use super::super::omnigraph::Omnigraph;
use super::super::report::{Report, Scenario};
use super::world::{CLEANED, UNTOUCHED, World, company, expect_same_rows, persons};

const BRANCHES: [&str; 4] = ["main", "one", "three", "two"];

pub(super) fn run(report: &mut Report, lab: &Lab, client: &Omnigraph) {
    // What failed is in the report.
    let mut scenario = report.scenario(&client.title(), "traps merges");
    let _: Option<()> = check(lab, client, &mut scenario);
    let _: Option<()> = check_base_behind(lab, client, &mut scenario);
}

/// Main was merged into two branches, and all three went on. The client looks for the base of the two among
/// their own commits, where it finds the one that both were cut from and not main's newer one.
fn check_base_behind(lab: &Lab, client: &Omnigraph, scenario: &mut Scenario<'_>) -> Option<()> {
    let world =
        scenario.check("main merged into two branches, and all three written again", || {
            let world = World::new(lab, client)?;
            world.load("main", &["ann", "ben"])?;
            world.branch("one", "main")?;
            world.branch("two", "main")?;
            world.load("main", &["cem"])?;
            world.merge("main", "one")?;
            world.merge("main", "two")?;
            world.load("one", &["dan"])?;
            world.load("two", &["eve"])?;
            world.load("main", &["fay"])?;
            world.save(UNTOUCHED)?;
            Ok(world)
        })?;
    scenario.check("optimize and cleanup leave all of them their rows", || {
        let rows = world.rows()?;
        world.optimize_and_clean()?;
        expect_same_rows(&rows, &world.rows()?)?;
        world.save(CLEANED)
    })?;
    for (source, target) in [("one", "two"), ("two", "one"), ("one", "main"), ("main", "two")] {
        let label = format!("{source} merges into {target}, from a base behind a newer one");
        scenario.check(&label, || {
            let step = world.expect_as_untouched(|world| world.merge(source, target))?;
            ensure!(step.outcome.is_ok(), "{:?}", step.outcome);
            Ok(())
        })?;
    }
    Some(())
}

fn check(lab: &Lab, client: &Omnigraph, scenario: &mut Scenario<'_>) -> Option<()> {
    let world = scenario.check("three branches, one merged and written again", || {
        let world = prepare(lab, client)?;
        world.save(UNTOUCHED)?;
        Ok(world)
    })?;
    scenario.check("optimize and cleanup leave every branch its rows", || {
        let rows = world.rows()?;
        world.optimize_and_clean()?;
        expect_same_rows(&rows, &world.rows()?)?;
        world.save(CLEANED)
    })?;
    let (mut merged, mut refused) = (0, 0);
    for source in BRANCHES {
        for target in BRANCHES.into_iter().filter(|target| *target != source) {
            let label = format!("{source} merges into {target} as without us");
            let step = scenario
                .check(&label, || world.expect_as_untouched(|world| world.merge(source, target)));
            if let Some(step) = step {
                match step.outcome {
                    Ok(_) => merged += 1,
                    Err(said) => {
                        refused += 1;
                        scenario.note(&format!("{source} into {target}, without us too"), &said);
                    }
                }
            }
        }
    }
    // Both sides of the comparison must be there, else it proves little.
    scenario.check("most pairs merge, and one conflicts", || {
        ensure!(merged > refused && refused > 0, "{merged} merge, {refused} are refused");
        Ok(())
    })?;
    scenario.check("one after the other: all rows end up on main as without us", || {
        world.expect_as_untouched(|world| {
            Ok(format!("{}, {}", world.merge("one", "main")?, world.merge("three", "main")?))
        })?;
        let rows = world.rows()?;
        world.clean()?;
        expect_same_rows(&rows, &world.rows()?)
    })
}

/// `one` and main are merged once and then both written; `two` changes and `main` deletes what others
/// have; `three` is cut from `one`; `two` and `main` change one row differently.
fn prepare<'a>(lab: &'a Lab, client: &'a Omnigraph) -> Result<World<'a>> {
    let world = World::new(lab, client)?;
    let path = world.path();
    let load = |branch: &str, rows: &str| client.load(&path, branch, rows);
    load("main", &persons(&["ann", "ben", "cem", "dan"], 30))?;
    load("main", &company("Acme"))?;
    world.branch("one", "main")?;
    world.branch("two", "main")?;
    load("one", &persons(&["eve"], 31))?;
    load("two", &persons(&["ann"], 32))?;
    world.branch("three", "one")?;
    // What is merged now is the base of the next merge, and nothing else keeps it.
    load("one", &persons(&["ida"], 36))?;
    world.merge("one", "main")?;
    load("one", &persons(&["fay"], 33))?;
    load("one", &company("Bolt"))?;
    load("main", &persons(&["gil"], 34))?;
    load("three", &company("Cube"))?;
    load("two", &company("Dune"))?;
    load("main", &persons(&["ann"], 35))?;
    let delete = "query q($n: String) { delete Person where name = $n }";
    client.mutate(&path, delete, &json!({ "n": "ben" }))?;
    // 0.7.0 commits the deletion of no edge and does not publish that: drift, which cleanup refuses.
    client.repair(&path)?;
    Ok(world)
}
