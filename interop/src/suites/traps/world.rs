//! A small graph of a client's own making, which can be put back to where it was.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;
use xtask::archive;

use super::super::cleanup::STRICTEST;
use super::super::graph::expect_same;
use super::super::keeper::Report as Optimized;
use super::super::omnigraph::{Lines, Omnigraph};
use super::super::race::reason;
use super::super::{Lab, output};

/// Reads every branch without a client.
const READER: &str = include_str!("../branch_reader.py");

pub(super) const SCHEMA: &str = "\
node Person {
    name: String @key
    age: I32?
}
node Company {
    name: String @key
}
edge Knows: Person -> Person {
    since: Date?
}
";

/// Where it is after what was tried, and as nothing of ours has touched it.
pub(super) const UNTOUCHED: &str = "untouched";
pub(super) const CLEANED: &str = "cleaned";

pub(super) struct World<'a> {
    pub(super) lab: &'a Lab,
    pub(super) client: &'a Omnigraph,
    temp: TempDir,
}

/// What the client exports from each branch, or why it cannot.
pub(super) type Answers = BTreeMap<String, Result<Lines, String>>;

/// What a client did, and what it reads afterwards.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Step {
    /// What it called the outcome, or how it refused.
    pub(super) outcome: Result<String, String>,
    pub(super) answers: Answers,
    /// Tables whose HEAD is not their pin, and what its `repair` calls that.
    drift: Vec<(String, String)>,
}

impl<'a> World<'a> {
    /// An empty graph.
    pub(super) fn new(lab: &'a Lab, client: &'a Omnigraph) -> Result<Self> {
        let world = Self { lab, client, temp: tempfile::tempdir()? };
        let schema = world.beside("schema.pg");
        std::fs::write(&schema, SCHEMA)?;
        client.init(&world.path(), &schema)?;
        Ok(world)
    }

    pub(super) fn path(&self) -> PathBuf {
        self.beside("graph")
    }

    /// A path next to the graph.
    pub(super) fn beside(&self, name: &str) -> PathBuf {
        Path::new(self.temp.path()).join(name)
    }

    pub(super) fn load(&self, branch: &str, names: &[&str]) -> Result<()> {
        self.client.load(&self.path(), branch, &persons(names, 30))
    }

    pub(super) fn branch(&self, name: &str, from: &str) -> Result<()> {
        self.client.create_branch(&self.path(), name, from)
    }

    pub(super) fn merge(&self, source: &str, target: &str) -> Result<String> {
        self.client.merge_branch(&self.path(), source, target)
    }

    pub(super) fn delete_branch(&self, name: &str) -> Result<()> {
        let mut command = self.client.command("branch");
        output(command.args(["delete", "--uri"]).arg(self.path()).arg(name)).map(drop)
    }

    /// Every branch is optimized, and cleaned up as strictly as can be.
    pub(super) fn optimize_and_clean(&self) -> Result<()> {
        self.optimize()?;
        self.clean()
    }

    pub(super) fn optimize(&self) -> Result<Optimized> {
        self.lab.keeper.optimize_all(&self.path())
    }

    pub(super) fn clean(&self) -> Result<()> {
        self.clean_at(&self.path(), &[]).map(drop)
    }

    /// Cleans up as strictly as can be, through a spelling of the path; says what it reported.
    pub(super) fn clean_at(&self, path: &Path, more: &[&str]) -> Result<serde_json::Value> {
        let mut command = Command::new(&self.lab.keeper.0);
        command.args(["cleanup", "--quiet", "--json", "--confirm"]).args(STRICTEST);
        command.args(more).arg(path);
        let text = output(&mut command)?;
        serde_json::from_str(&text).with_context(|| format!("not JSON: {text}"))
    }

    /// What the client reads.
    pub(super) fn answers(&self) -> Result<Answers> {
        let branches = self.client.branches(&self.path())?;
        let read = |branch: String| {
            let answer = self.client.export(&self.path(), &branch);
            (branch, answer.map_err(|error| reason(&format!("{error:#}"))))
        };
        Ok(branches.into_iter().map(read).collect())
    }

    /// What is there, read without the client: every branch must be readable.
    pub(super) fn rows(&self) -> Result<BTreeMap<String, Lines>> {
        rows_of(self.lab, &self.path())
    }

    pub(super) fn expect_no_drift(&self) -> Result<()> {
        self.client.expect_no_drift(&self.path())
    }

    /// Keeps a copy of the graph under a name.
    pub(super) fn save(&self, name: &str) -> Result<()> {
        copy(&self.path(), &self.beside(name))
    }

    /// Puts the graph back to the copy of that name, at the path it was written at.
    pub(super) fn restore(&self, name: &str) -> Result<()> {
        copy(&self.beside(name), &self.path())
    }

    /// A step on the copy that was cleaned up is what it is on the one that was not: the same outcome,
    /// the same rows on every branch and the same drift. Leaves the graph as the step on the cleaned one left it.
    pub(super) fn expect_as_untouched<T: ToString>(
        &self,
        step: impl Fn(&Self) -> Result<T>,
    ) -> Result<Step> {
        let on = |copy: &str| {
            self.restore(copy)?;
            let outcome = step(self).map(|it| it.to_string());
            let outcome = outcome.map_err(|error| reason(&format!("{error:#}")));
            let (answers, drift) = (self.answers()?, self.client.drift(&self.path())?);
            Ok::<_, anyhow::Error>(Step { outcome, answers, drift })
        };
        let alone = on(UNTOUCHED)?;
        let ours = on(CLEANED)?;
        ensure!(
            ours.outcome == alone.outcome,
            "after our cleanup {:?}, without it {:?}",
            ours.outcome,
            alone.outcome
        );
        ensure!(ours.drift == alone.drift, "drift: {:?}, not {:?}", ours.drift, alone.drift);
        expect_same_answers(&alone.answers, &ours.answers)?;
        Ok(ours)
    }
}

/// Reads every branch of a graph without a client.
pub(super) fn rows_of(lab: &Lab, graph: &Path) -> Result<BTreeMap<String, Lines>> {
    let mut command = Command::new(&lab.clients.python);
    let text = output(command.args(["-c", READER]).arg(graph))?;
    serde_json::from_str(&text).with_context(|| format!("not JSON: {text}"))
}

/// The same rows on the same branches.
pub(super) fn expect_same_rows(
    expected: &BTreeMap<String, Lines>,
    found: &BTreeMap<String, Lines>,
) -> Result<()> {
    ensure!(expected.keys().eq(found.keys()), "{:?}, not {:?}", found.keys(), expected.keys());
    for (branch, lines) in expected {
        expect_same(lines, &found[branch]).with_context(|| branch.clone())?;
    }
    Ok(())
}

/// The same branches, each with the same rows or the same refusal.
pub(super) fn expect_same_answers(expected: &Answers, found: &Answers) -> Result<()> {
    ensure!(expected.keys().eq(found.keys()), "{:?}, not {:?}", found.keys(), expected.keys());
    for (branch, answer) in expected {
        match (answer, &found[branch]) {
            (Ok(expected), Ok(found)) => {
                expect_same(expected, found).with_context(|| branch.clone())?;
            }
            (expected, found) => ensure!(
                expected == found,
                "{branch}: {}, not {}",
                in_short(found),
                in_short(expected)
            ),
        }
    }
    Ok(())
}

fn in_short(answer: &Result<Lines, String>) -> String {
    match answer {
        Ok(lines) => format!("{} rows", lines.len()),
        Err(said) => format!("refused: {said}"),
    }
}

/// Persons as a client loads them.
pub(super) fn persons(names: &[&str], age: u32) -> String {
    let mut rows = String::new();
    for name in names {
        let data = format!(r#"{{"name":"{name}","age":{age}}}"#);
        writeln!(rows, r#"{{"type":"Person","data":{data}}}"#).expect("a String takes everything");
    }
    rows
}

/// A company as a client loads it.
pub(super) fn company(name: &str) -> String {
    format!("{{\"type\":\"Company\",\"data\":{{\"name\":\"{name}\"}}}}\n")
}

/// With the times of all files: what is old stays old.
fn copy(from: &Path, to: &Path) -> Result<()> {
    archive::remove(to)?;
    output(Command::new("cp").arg("-a").arg(from).arg(to)).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_refusals_and_branches_that_differ_are_found() {
        let answers = |work: Result<&str, &str>| {
            let work = work.map(|row| vec![row.to_owned()]).map_err(str::to_owned);
            Answers::from([("main".to_owned(), Ok(vec![])), ("work".to_owned(), work)])
        };
        assert!(expect_same_answers(&answers(Ok("a")), &answers(Ok("a"))).is_ok());
        assert!(expect_same_answers(&answers(Err("no")), &answers(Err("no"))).is_ok());
        assert!(expect_same_answers(&answers(Ok("a")), &answers(Ok("b"))).is_err());
        assert!(expect_same_answers(&answers(Ok("a")), &answers(Err("no"))).is_err());
        assert!(expect_same_answers(&answers(Err("so")), &answers(Err("no"))).is_err());
        assert!(expect_same_answers(&answers(Ok("a")), &Answers::new()).is_err());
    }
}
