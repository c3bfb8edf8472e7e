//! Tables of the kinds that maintenance tools have failed at, made by pylance and LanceDB and read by
//! them after each of our verbs: the same rows, indexes that answer as scans do and cover every row, a
//! second run without work, and nothing refused.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tempfile::TempDir;

use super::databases::read_checks;
use super::keeper::Keeper;
use super::output;
use super::report::{Report, Scenario};

const CLIENT: &str = "pylance 14.0.2";
const TABLES: &str = include_str!("fault_tables.py");
const CHECK: &str = include_str!("fault_check.py");

/// Every rule but the newest version given up, as far as the caller's word goes.
const STRICTEST: [&str; 6] = [
    "--keep=1",
    "--writer-window=0s",
    "--min-age=0s",
    "--min-fork-age=0s",
    "--max-delete-percent=100",
    "--confirm",
];
/// What a run is named, and how it is asked for.
const VERBS: [(&str, &str, &[&str]); 4] = [
    ("cleanup", "cleanup", &STRICTEST),
    ("optimize --index rebuild", "optimize", &["--index", "rebuild"]),
    ("optimize --prune-now", "optimize", &["--prune-now", "--no-other-writers"]),
    ("optimize --prune-now again", "optimize", &["--prune-now", "--no-other-writers"]),
];

pub(super) fn run(report: &mut Report, python: &Path, keeper: &Keeper, seed: u64) -> Result<()> {
    println!("tables of --seed {seed}");
    let list = output(Command::new(python).args(["-c", TABLES, "list", &seed.to_string()]))?;
    for name in list.lines() {
        let mut scenario = report.scenario(CLIENT, name);
        let made = scenario.check("pylance makes it", || Fault::make(python, name, seed));
        if let Some(fault) = made {
            // What failed is in the report.
            let _: Option<()> = fault.run(&mut scenario, keeper);
        }
    }
    Ok(())
}

struct Fault<'a> {
    /// Everything below lies in it.
    temp: TempDir,
    python: &'a Path,
    root: PathBuf,
}

impl<'a> Fault<'a> {
    fn make(python: &'a Path, name: &str, seed: u64) -> Result<Self> {
        let temp = tempfile::tempdir()?;
        let root = temp.path().join("root");
        std::fs::create_dir(&root)?;
        let mut command = Command::new(python);
        command.args(["-c", TABLES, "make", name]).arg(&root).arg(seed.to_string());
        output(&mut command)?;
        let fault = Self { temp, python, root };
        fault.check("record", "before.json")?;
        Ok(fault)
    }

    fn run(&self, scenario: &mut Scenario<'_>, keeper: &Keeper) -> Option<()> {
        let done = scenario.check("optimize", || self.verb(keeper, "optimize", &[]))?;
        scenario.check("it reads the same", || self.check("compare", "before.json"))?;
        scenario.check("every index covers every row", || {
            std::fs::write(self.temp.path().join("pending.json"), pending(&done).to_string())?;
            self.check("covered", "pending.json")
        });
        scenario.check("a second optimize writes nothing", || {
            let before = lengths(&self.root)?;
            self.verb(keeper, "optimize", &[])?;
            let new = lengths(&self.root)?;
            let new: Vec<_> = new.difference(&before).map(|(path, _)| path).collect();
            ensure!(new.is_empty(), "it wrote {new:?}");
            Ok(())
        });
        for (what, verb, options) in VERBS {
            scenario.check(what, || self.verb(keeper, verb, options))?;
            let check = format!("it reads the same after {what}");
            scenario.check(&check, || self.check("compare", "before.json"))?;
        }
        Some(())
    }

    /// Runs a verb in which nothing may fail or be refused, and returns its report.
    fn verb(&self, keeper: &Keeper, verb: &str, options: &[&str]) -> Result<Value> {
        let ran = keeper.start_verb(verb, &self.root, options, None)?.wait()?;
        let report = ran.json()?;
        ensure!(ran.status.success(), "{}", ran.describe());
        for root in report["roots"].as_array().context("no roots")? {
            for table in root["tables"].as_array().context("no tables")? {
                let refused = &table["skipped"];
                ensure!(
                    refused.is_null(),
                    "{}: {refused}, {}",
                    table["table_key"],
                    table["reason"]
                );
            }
        }
        Ok(report)
    }

    fn check(&self, verb: &str, file: &str) -> Result<()> {
        let mut command = Command::new(self.python);
        command.args(["-c", CHECK, verb]).arg(&self.root).arg(self.temp.path().join(file));
        let said = output(&mut command)?;
        if verb == "record" {
            return Ok(());
        }
        for (name, failure) in read_checks(&said)? {
            ensure!(failure.is_none(), "{name}: {}", failure.unwrap_or_default());
        }
        Ok(())
    }
}

/// Every file below a directory with its length.
fn lengths(directory: &Path) -> Result<BTreeSet<(PathBuf, u64)>> {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            found.extend(lengths(&entry.path())?);
        } else {
            found.insert((entry.path(), entry.metadata()?.len()));
        }
    }
    Ok(found)
}

/// Names and columns of the indexes that a report says cannot be covered.
fn pending(report: &Value) -> Value {
    let roots = report["roots"].as_array().into_iter().flatten();
    let tables = roots.flat_map(|root| root["tables"].as_array().into_iter().flatten());
    let indexes =
        tables.flat_map(|table| table["pending_indexes"].as_array().into_iter().flatten());
    let words = indexes.flat_map(|index| index.as_object().into_iter().flat_map(|it| it.values()));
    words.cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indexes_that_a_report_calls_pending_need_not_cover_anything() {
        let index = serde_json::json!({ "column": "value", "reason": "too few" });
        let report = serde_json::json!({ "roots": [{ "tables": [
            { "pending_indexes": [index] }, { "pending_indexes": [] },
        ] }] });
        assert_eq!(pending(&report), serde_json::json!(["value", "too few"]));
    }
}
