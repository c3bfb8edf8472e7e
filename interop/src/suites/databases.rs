//! Databases: what LanceDB for Python reads before and after us, and that it goes on working afterwards.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::Value;
use tempfile::TempDir;
use xtask::archive;

use super::keeper::Keeper;
use super::report::{Report, Scenario};
use super::{Lab, output};

const CLIENT: &str = "lancedb 0.40.0";
const FIXTURE: &str = "lancedb-python-0.40";
const DATABASES: [&str; 2] = ["lancedb", "lancedb-music"];
const SCRIPT: &str = include_str!("lancedb_check.py");

/// Makes a database whose indexes leave out the fragment with the id 0.
const MAKE_FIRST_FRAGMENT: &str = include_str!("first_fragment.py");

pub(super) fn run(report: &mut Report, lab: &Lab) -> Result<()> {
    let python = &lab.clients.python;
    for name in DATABASES {
        let mut scenario = report.scenario(CLIENT, &format!("{FIXTURE}/{name}"));
        let database = Database::beside_its_script(python, |parent| {
            archive::unpack(&lab.fixtures, FIXTURE, parent)?;
            Ok(parent.join(name))
        })?;
        // What failed is in the report.
        let _: Option<()> = database.run(&mut scenario, &lab.keeper);
    }
    let mut scenario = report.scenario(CLIENT, "fragment 0 without an index");
    let made = scenario.check("pylance makes the database", || {
        Database::beside_its_script(python, |parent| {
            std::fs::create_dir(parent)?;
            let mut command = Command::new(python);
            output(command.args(["-c", MAKE_FIRST_FRAGMENT]).arg(parent))?;
            Ok(parent.to_owned())
        })
    });
    if let Some(database) = made {
        let _: Option<()> = database.run(&mut scenario, &lab.keeper);
    }
    Ok(())
}

struct Database<'a> {
    /// Everything below lies in it.
    _temp: TempDir,
    python: &'a Path,
    script: PathBuf,
    /// Where the script writes down what it read.
    facts: PathBuf,
    root: PathBuf,
}

impl<'a> Database<'a> {
    /// `make` puts the databases into a directory that is not there yet, and names the one it means.
    fn beside_its_script(
        python: &'a Path,
        make: impl FnOnce(&Path) -> Result<PathBuf>,
    ) -> Result<Self> {
        let temp = tempfile::tempdir()?;
        let root = make(&temp.path().join("databases"))?;
        let script = temp.path().join("lancedb_check.py");
        std::fs::write(&script, SCRIPT)?;
        let facts = temp.path().join("facts.json");
        Ok(Self { _temp: temp, python, script, facts, root })
    }

    fn run(&self, scenario: &mut Scenario<'_>, keeper: &Keeper) -> Option<()> {
        scenario.check("LanceDB reads the fixture", || self.script("record").map(drop))?;
        scenario.check("lancekeeper optimize", || keeper.optimize(&self.root))?;
        self.checks(scenario, "compare", "")?;
        self.checks(scenario, "write", "")?;
        scenario.check("LanceDB reads what it wrote", || self.script("record").map(drop))?;
        scenario.check("lancekeeper optimize again", || keeper.optimize(&self.root))?;
        self.checks(scenario, "compare", "again, ")
    }

    /// Takes over the checks that the script made.
    fn checks(&self, scenario: &mut Scenario<'_>, verb: &str, prefix: &str) -> Option<()> {
        let checks = self.script(verb).and_then(|text| read_checks(&text));
        let checks = match checks {
            Ok(checks) => checks,
            Err(error) => return scenario.check(verb, || Err(error)),
        };
        let results = checks.into_iter().map(|(name, failure)| {
            let result = failure.map_or(Ok(()), |why| Err(anyhow!(why)));
            scenario.check(&format!("{prefix}{name}"), || result)
        });
        // All of them, not up to the first failure: they do not depend on each other.
        results.collect::<Vec<_>>().into_iter().collect()
    }

    fn script(&self, verb: &str) -> Result<String> {
        let mut command = Command::new(self.python);
        output(command.arg(&self.script).arg(verb).arg(&self.root).arg(&self.facts))
    }
}

/// Pairs of the check's name and why it failed.
pub(super) fn read_checks(text: &str) -> Result<Vec<(String, Option<String>)>> {
    let checks = text.lines().map(|line| {
        let check: Value =
            serde_json::from_str(line).with_context(|| format!("not JSON: {line}"))?;
        let name = check["check"].as_str().with_context(|| format!("no name in {line}"))?;
        Ok((name.to_owned(), check["failure"].as_str().map(str::to_owned)))
    });
    let checks = checks.collect::<Result<Vec<_>>>()?;
    ensure!(!checks.is_empty(), "the script checked nothing");
    Ok(checks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_of_the_script_become_checks() {
        let text =
            "{\"check\": \"a\", \"failure\": null}\n{\"check\": \"b\", \"failure\": \"why\"}\n";
        let checks = read_checks(text).unwrap();
        assert_eq!(checks, [("a".to_owned(), None), ("b".to_owned(), Some("why".to_owned()))]);
        assert!(read_checks("").is_err());
        assert!(read_checks("Traceback").is_err());
    }
}
