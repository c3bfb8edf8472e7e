//! A database with clones, tags, nested tables, a writer that has not committed and a hint that lags, made by
//! pylance: cleaned up through every spelling, read and written by pylance and LanceDB.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::super::cleanup::{STRICTEST, bytes_below};
use super::super::omnigraph::Lines;
use super::super::report::{Report, Scenario};
use super::super::{Lab, output};
use super::world::expect_same_rows;

const SCRIPT: &str = include_str!("../late_lance.py");
const CLIENT: &str = "pylance 14.0.2";

pub(super) fn run(report: &mut Report, lab: &Lab) {
    // What failed is in the report.
    let _: Option<()> = check(lab, &mut report.scenario(CLIENT, "traps database"));
}

fn check(lab: &Lab, scenario: &mut Scenario<'_>) -> Option<()> {
    let temp = scenario.check("pylance makes a database with all of it", || {
        let temp = tempfile::tempdir()?;
        script(lab, "make", temp.path())?;
        Ok(temp)
    })?;
    let root = temp.path();
    let before = scenario.check("pylance and LanceDB read it", || read(lab, root))?;
    let (db, link) = (root.join("db"), root.join("link"));
    let with_slash = format!("{}/", db.display());
    let spellings = [link.as_path(), Path::new(&with_slash), db.as_path()];
    scenario.check("cleanup frees what it says, through a link", || {
        let size = bytes_below(&db)?;
        let report = clean(lab, spellings[0])?;
        let totals = &report["totals"];
        ensure!(totals["old_versions_removed"].as_u64() > Some(5), "{totals}");
        let said = totals["bytes_removed"].as_u64().context("no bytes")?;
        let freed = size - bytes_below(&db)?;
        // What we note about it takes some space itself, and the hint is set right.
        ensure!(freed > 0 && freed <= said, "freed {freed}, said {said}");
        Ok(())
    })?;
    scenario.check("every table, clone, branch and tag reads the same", || {
        expect_same_rows(&before, &read(lab, root)?)
    })?;
    scenario.check("with a slash and by its path nothing is left to remove", || {
        for spelling in &spellings[1..] {
            let report = clean(lab, spelling)?;
            ensure!(report["totals"]["old_versions_removed"] == 0, "{report}");
        }
        expect_same_rows(&before, &read(lab, root)?)
    })?;
    scenario.check("the writer commits what it had staged, and LanceDB writes on", || {
        script(lab, "commit", root).map(drop)
    })?;
    scenario.check("every clone reads the same after another cleanup", || {
        let before = read(lab, root)?;
        clean(lab, &db)?;
        expect_same_rows(&before, &read(lab, root)?)
    })
}

fn clean(lab: &Lab, path: &Path) -> Result<Value> {
    let mut command = Command::new(&lab.keeper.0);
    command.args(["cleanup", "--quiet", "--json", "--confirm"]).args(STRICTEST).arg(path);
    let text = output(&mut command)?;
    serde_json::from_str(&text).with_context(|| format!("not JSON: {text}"))
}

fn read(lab: &Lab, root: &Path) -> Result<BTreeMap<String, Lines>> {
    let text = script(lab, "read", root)?;
    let read: BTreeMap<String, Lines> =
        serde_json::from_str(&text).with_context(|| format!("not JSON: {text}"))?;
    ensure!(read.len() > 10 && read.values().all(|lines| !lines.is_empty()), "{read:?}");
    Ok(read)
}

fn script(lab: &Lab, verb: &str, root: &Path) -> Result<String> {
    output(Command::new(&lab.clients.python).args(["-c", SCRIPT, verb]).arg(root))
}
