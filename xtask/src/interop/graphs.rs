//! Graphs: what omnigraph exports before and after us, and that it goes on working afterwards.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::fixture_path::FixturePath;
use super::omnigraph::{Lines, Omnigraph};
use super::report::{Report, Scenario};
use super::{Keeper, answers};

/// Rows that the client exports from each branch of a fixture: an export that finds another number did
/// not read the fixture its writer left.
type Branches = &'static [(&'static str, usize)];

const FIXTURES: [(&str, Branches); 2] = [
    ("main-only", &[("main", 6010)]),
    ("branches", &[("lazy", 3619), ("main", 7193), ("work", 6619)]),
];

/// A branch that the client makes, writes and merges after our run.
const NEW_BRANCH: &str = "interop";

/// A branch of the fixtures that nobody has written: its tables are pinned to old versions of main's.
const LAZY_BRANCH: &str = "lazy";

type Exports = BTreeMap<String, Lines>;

pub(super) fn run(
    report: &mut Report,
    clients: &[Omnigraph],
    keeper: &Keeper,
    fixtures: &Path,
) -> Result<()> {
    for client in clients {
        for (suffix, branches) in FIXTURES {
            let fixture = format!("omnigraph-{}-{suffix}", client.version);
            let place = FixturePath::take()?;
            let mut scenario = report.scenario(&format!("omnigraph {}", client.version), &fixture);
            let graph = Graph { client, keeper, fixtures, fixture: &fixture, place, branches };
            // What failed is in the report.
            let _: Option<()> = graph.run(&mut scenario);
        }
    }
    Ok(())
}

struct Graph<'a> {
    client: &'a Omnigraph,
    keeper: &'a Keeper,
    fixtures: &'a Path,
    fixture: &'a str,
    place: FixturePath,
    branches: Branches,
}

impl Graph<'_> {
    fn run(&self, scenario: &mut Scenario<'_>) -> Option<()> {
        let before = scenario.check("the client reads the fixture", || {
            self.unpack()?;
            self.read_fixture()
        })?;
        self.check_answers(scenario, "its indexes answer as a scan", &before)?;
        scenario.check("lancekeeper optimize moves pins", || {
            let pins = self.client.pins(&self.path(), "main")?;
            // Afresh, so that nothing the client wrote while it looked can help or harm us.
            self.unpack()?;
            self.keeper.optimize(&self.path())?;
            let moved = self.client.pins(&self.path(), "main")? != pins;
            ensure!(moved, "every table of main is still pinned where it was");
            Ok(())
        })?;
        self.check_unchanged(scenario, "the client reads the same rows", &before)?;
        self.check_answers(scenario, "the indexes answer as a scan", &before)?;

        let mut expected = before;
        for (branch, _) in self.branches {
            scenario.check(&format!("the client loads on {branch}"), || {
                self.load(branch, &mark(branch), &mut expected)
            })?;
        }
        scenario.check("the client branches, loads and merges", || {
            self.client.create_branch(&self.path(), NEW_BRANCH, "main")?;
            expected.insert(NEW_BRANCH.to_owned(), expected["main"].clone());
            self.load(NEW_BRANCH, &mark(NEW_BRANCH), &mut expected)?;
            let outcome = self.client.merge_branch(&self.path(), NEW_BRANCH, "main")?;
            ensure!(outcome == "fast_forward" || outcome == "merged", "the outcome is {outcome}");
            expected.insert("main".to_owned(), expected[NEW_BRANCH].clone());
            Ok(())
        })?;
        if expected.contains_key(LAZY_BRANCH) {
            scenario.check("the client merges main into the lazy branch", || {
                let outcome = self.client.merge_branch(&self.path(), "main", LAZY_BRANCH)?;
                ensure!(outcome == "merged", "the outcome is {outcome}");
                // What lazy had of its own is what was just loaded there.
                let own =
                    expected[LAZY_BRANCH].iter().filter(|line| line.contains(&mark(LAZY_BRANCH)));
                let mut merged: Lines = own.chain(&expected["main"]).cloned().collect();
                merged.sort();
                expected.insert(LAZY_BRANCH.to_owned(), merged);
                Ok(())
            })?;
        }
        self.check_unchanged(scenario, "every row is on its branch", &expected)?;
        // Not again after the client's optimize: that leaves BTREEs which the client itself cannot read
        // ("from_sorted_iter called with non-sorted input"), on graphs that we never touched too.
        self.check_answers(scenario, "the indexes find the new rows", &expected)?;
        self.check_no_drift(scenario, "the client finds no drift")?;

        scenario.check("the client optimizes", || self.client.optimize(&self.path()))?;
        self.check_no_drift(scenario, "no drift after the client's optimize")?;
        self.check_unchanged(scenario, "the same rows after it", &expected)?;

        scenario.check("lancekeeper optimize again", || self.keeper.optimize(&self.path()))?;
        self.check_unchanged(scenario, "the same rows after ours", &expected)?;
        self.check_no_drift(scenario, "no drift after ours")
    }

    fn path(&self) -> std::path::PathBuf {
        self.place.graph()
    }

    fn unpack(&self) -> Result<()> {
        self.place.unpack(self.fixtures, self.fixture)
    }

    fn read_fixture(&self) -> Result<Exports> {
        let names: Vec<_> = self.branches.iter().map(|(name, _)| *name).collect();
        let found = self.client.branches(&self.path())?;
        ensure!(found == names, "the branches are {found:?}, not {names:?}");
        let exports = self.export(names)?;
        for (branch, count) in self.branches {
            let found = exports[*branch].len();
            ensure!(found == *count, "{branch} has {found} rows, not {count}");
        }
        Ok(exports)
    }

    fn export<'b>(&self, branches: impl IntoIterator<Item = &'b str>) -> Result<Exports> {
        branches
            .into_iter()
            .map(|branch| Ok((branch.to_owned(), self.client.export(&self.path(), branch)?)))
            .collect()
    }

    fn check_unchanged(
        &self,
        scenario: &mut Scenario<'_>,
        check: &str,
        expected: &Exports,
    ) -> Option<()> {
        scenario.check(check, || {
            for (branch, found) in self.export(expected.keys().map(String::as_str))? {
                let (lost, gained) = difference(&expected[&branch], &found);
                ensure!(
                    lost.is_empty() && gained.is_empty(),
                    "{branch}: {} rows lost, as {:?}; {} gained, as {:?}",
                    lost.len(),
                    lost.first(),
                    gained.len(),
                    gained.first(),
                );
            }
            Ok(())
        })
    }

    /// What the client finds by its indexes is what is there; `what` was just read by scans.
    fn check_answers(
        &self,
        scenario: &mut Scenario<'_>,
        check: &str,
        what: &Exports,
    ) -> Option<()> {
        scenario.check(check, || {
            for (branch, lines) in what {
                for question in answers::questions(lines)? {
                    let found = self.client.query(&self.path(), branch, &question.query)?;
                    let (query, expected) = (question.query, question.answer);
                    let found: BTreeSet<_> = found.into_iter().collect();
                    ensure!(found == expected, "{branch}: {query}: {found:?}, not {expected:?}");
                }
            }
            Ok(())
        })
    }

    fn check_no_drift(&self, scenario: &mut Scenario<'_>, check: &str) -> Option<()> {
        scenario.check(check, || self.client.expect_no_drift(&self.path()))
    }

    /// Loads a few rows and expects exactly them to be gained.
    fn load(&self, branch: &str, mark: &str, expected: &mut Exports) -> Result<()> {
        let (rows, count) = new_rows(mark);
        self.client.load(&self.path(), branch, &rows)?;
        let found = self.client.export(&self.path(), branch)?;
        let before = expected.get(branch).context("the branch was never exported")?;
        let (lost, gained) = difference(before, &found);
        ensure!(lost.is_empty(), "{} rows lost, as {:?}", lost.len(), lost.first());
        let ours = gained.iter().filter(|line| line.contains(mark)).count();
        ensure!(ours == count && gained.len() == count, "gained {gained:?} by loading {rows}");
        expected.insert(branch.to_owned(), found);
        Ok(())
    }
}

/// What the rows that we load on a branch can be told by. A text index takes it for one word, with the
/// number that follows it.
fn mark(branch: &str) -> String {
    format!("loaded{branch}")
}

/// Rows of a node table and of an edge table, all of which carry the mark, and how many they are.
fn new_rows(mark: &str) -> (String, usize) {
    let mut rows = String::new();
    for (number, age) in [(0, 20), (1, 30), (2, 40)] {
        let node = format!(r#"{{"name":"{mark}{number}","age":{age},"bio":"{mark}"}}"#);
        writeln!(rows, r#"{{"type":"Person","data":{node}}}"#).expect("a String takes everything");
    }
    let (from, to) = (format!("{mark}0"), format!("{mark}1"));
    let edge = format!(r#"{{"edge":"Knows","from":"{from}","to":"{to}","data":{{}}}}"#);
    writeln!(rows, "{edge}").expect("a String takes everything");
    (rows, 4)
}

/// What only `before` has, and what only `after` has; a line counts as often as it occurs.
fn difference<'a>(before: &'a [String], after: &'a [String]) -> (Vec<&'a str>, Vec<&'a str>) {
    let mut counts: BTreeMap<&str, isize> = BTreeMap::new();
    for line in before {
        *counts.entry(line).or_default() -= 1;
    }
    for line in after {
        *counts.entry(line).or_default() += 1;
    }
    let only = |sign: isize| {
        let lines = counts.iter().filter(move |(_, count)| **count * sign > 0);
        lines.flat_map(|(line, count)| vec![*line; count.unsigned_abs()]).collect()
    };
    (only(-1), only(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_are_lost_gained_or_doubled_are_a_difference() {
        let lines = |text: &str| text.split(' ').map(str::to_owned).collect::<Lines>();
        assert_eq!(difference(&lines("a b"), &lines("b a")), (vec![], vec![]));
        assert_eq!(difference(&lines("a b"), &lines("b b c")), (vec!["a"], vec!["b", "c"]));
    }

    #[test]
    fn every_new_row_is_json_and_carries_the_mark() {
        let (rows, count) = new_rows("mark");
        assert_eq!(rows.lines().count(), count);
        for row in rows.lines() {
            assert!(row.contains("mark"));
            serde_json::from_str::<serde_json::Value>(row).unwrap();
        }
    }
}
