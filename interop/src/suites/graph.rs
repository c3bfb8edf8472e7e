//! A fixture's graph at its place, and what every scenario does with it.
//!
//! What a scenario proves is in its own module.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::Lab;
use super::fixture_path::FixturePath;
use super::omnigraph::{Lines, Omnigraph};

/// Rows that the client exports from each branch of a fixture: an export that finds another number did
/// not read the fixture its writer left.
type Branches = &'static [(&'static str, usize)];

#[derive(Clone, Copy)]
pub(super) struct Fixture {
    archive: Archive,
    pub(super) branches: Branches,
}

#[derive(Clone, Copy)]
enum Archive {
    /// What its name ends with, after the client's version.
    OfClient(&'static str),
    /// Its name, whichever client looks at it.
    Named(&'static str),
}

pub(super) const MAIN_ONLY: Fixture = Fixture::of_client("main-only", &[("main", 6010)]);
pub(super) const BRANCHES: Fixture =
    Fixture::of_client("branches", &[("lazy", 3619), ("main", 7193), ("work", 6619)]);
pub(super) const FIXTURES: [Fixture; 2] = [MAIN_ONLY, BRANCHES];

/// What the client exports from each branch.
pub(super) type Exports = BTreeMap<String, Lines>;

/// Clients leave `N.json#1` temporaries of their object store behind and ignore them; so do we.
const SIDECAR: &str = "json";

impl Fixture {
    /// One that there is of several clients.
    pub(super) const fn of_client(suffix: &'static str, branches: Branches) -> Self {
        Self { archive: Archive::OfClient(suffix), branches }
    }

    /// One that another client wrote.
    pub(super) const fn written(name: &'static str, branches: Branches) -> Self {
        Self { archive: Archive::Named(name), branches }
    }

    pub(super) fn name(&self, client: &Omnigraph) -> String {
        match self.archive {
            Archive::OfClient(suffix) => format!("omnigraph-{}-{suffix}", client.version),
            Archive::Named(name) => name.to_owned(),
        }
    }
}

pub(super) struct Graph<'a> {
    pub(super) lab: &'a Lab,
    pub(super) client: &'a Omnigraph,
    pub(super) fixture: Fixture,
    place: FixturePath,
}

impl<'a> Graph<'a> {
    /// Waits until nobody else uses the place of the fixtures, and unpacks the graph as its writer left it.
    pub(super) fn unpacked(lab: &'a Lab, client: &'a Omnigraph, fixture: Fixture) -> Result<Self> {
        let graph = Self { lab, client, fixture, place: FixturePath::take()? };
        graph.unpack()?;
        Ok(graph)
    }

    pub(super) fn unpack(&self) -> Result<()> {
        self.place.unpack(&self.lab.fixtures, &self.fixture.name(self.client))
    }

    pub(super) fn path(&self) -> PathBuf {
        self.place.graph()
    }

    pub(super) fn read_fixture(&self) -> Result<Exports> {
        let names: Vec<_> = self.fixture.branches.iter().map(|(name, _)| *name).collect();
        let found = self.client.branches(&self.path())?;
        ensure!(found == names, "the branches are {found:?}, not {names:?}");
        let exports = self.export(names)?;
        for (branch, count) in self.fixture.branches {
            let found = exports[*branch].len();
            ensure!(found == *count, "{branch} has {found} rows, not {count}");
        }
        Ok(exports)
    }

    pub(super) fn export<'b>(
        &self,
        branches: impl IntoIterator<Item = &'b str>,
    ) -> Result<Exports> {
        export(self.client, &self.path(), branches)
    }

    /// Exactly these rows are on these branches.
    pub(super) fn expect_unchanged(&self, expected: &Exports) -> Result<()> {
        expect_unchanged(self.client, &self.path(), expected)
    }

    pub(super) fn expect_no_drift(&self) -> Result<()> {
        self.client.expect_no_drift(&self.path())
    }

    /// Loads a few rows and expects exactly them to be gained.
    pub(super) fn load(&self, branch: &str, mark: &str, expected: &mut Exports) -> Result<()> {
        load(self.client, &self.path(), branch, mark, expected)
    }

    /// The files of `__recovery` that a client would act on.
    pub(super) fn sidecars(&self) -> Result<Vec<String>> {
        let mut names = file_names(&self.path().join("__recovery"))?;
        names.retain(|name| name.ends_with(&format!(".{SIDECAR}")));
        Ok(names)
    }

    /// The files that our runs still hold to be staged.
    pub(super) fn journal(&self) -> Result<Vec<String>> {
        file_names(&self.path().join("__maintenance").join("journal"))
    }
}

/// What a client exports from each of these branches, wherever the graph lies.
pub(super) fn export<'b>(
    client: &Omnigraph,
    path: &Path,
    branches: impl IntoIterator<Item = &'b str>,
) -> Result<Exports> {
    branches
        .into_iter()
        .map(|branch| Ok((branch.to_owned(), client.export(path, branch)?)))
        .collect()
}

/// A client exports exactly these rows from these branches.
pub(super) fn expect_unchanged(client: &Omnigraph, path: &Path, expected: &Exports) -> Result<()> {
    for (branch, found) in export(client, path, expected.keys().map(String::as_str))? {
        expect_same(&expected[&branch], &found).with_context(|| branch.clone())?;
    }
    Ok(())
}

/// A client loads a few rows, and exactly they are gained.
pub(super) fn load(
    client: &Omnigraph,
    path: &Path,
    branch: &str,
    mark: &str,
    expected: &mut Exports,
) -> Result<()> {
    let (rows, count) = new_rows(mark);
    client.load(path, branch, &rows)?;
    let found = client.export(path, branch)?;
    let before = expected.get(branch).context("the branch was never exported")?;
    let (lost, gained) = difference(before, &found);
    ensure!(lost.is_empty(), "{} rows lost, as {:?}", lost.len(), lost.first());
    let ours = gained.iter().filter(|line| line.contains(mark)).count();
    ensure!(ours == count && gained.len() == count, "gained {gained:?} by loading {rows}");
    expected.insert(branch.to_owned(), found);
    Ok(())
}

pub(super) fn file_names(dir: &Path) -> Result<Vec<String>> {
    let entries = match std::fs::read_dir(dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.with_context(|| format!("failed to list {}", dir.display()))?,
    };
    let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    names
        .collect::<std::io::Result<_>>()
        .with_context(|| format!("failed to list {}", dir.display()))
}

pub(super) fn expect_same(expected: &[String], found: &[String]) -> Result<()> {
    let (lost, gained) = difference(expected, found);
    ensure!(
        lost.is_empty() && gained.is_empty(),
        "{} rows lost, as {:?}; {} gained, as {:?}",
        lost.len(),
        lost.first(),
        gained.len(),
        gained.first(),
    );
    Ok(())
}

/// What the rows that we load on a branch can be told by. A text index takes it for one word, with the
/// number that follows it.
pub(super) fn mark(branch: &str) -> String {
    format!("loaded{branch}")
}

/// The name, which is the key, of one of the nodes of a load.
pub(super) fn node_name(mark: &str, number: usize) -> String {
    format!("{mark}{number}")
}

const AGES: [u64; 3] = [20, 30, 40];
pub(super) const NODES_OF_A_LOAD: usize = AGES.len();

/// Rows of a node table and of an edge table, all of which carry the mark, and how many they are.
pub(super) fn new_rows(mark: &str) -> (String, usize) {
    let mut rows = String::new();
    for (number, age) in AGES.into_iter().enumerate() {
        let name = node_name(mark, number);
        let node = format!(r#"{{"name":"{name}","age":{age},"bio":"{mark}"}}"#);
        writeln!(rows, r#"{{"type":"Person","data":{node}}}"#).expect("a String takes everything");
    }
    let (from, to) = (node_name(mark, 0), node_name(mark, 1));
    let edge = format!(r#"{{"edge":"Knows","from":"{from}","to":"{to}","data":{{}}}}"#);
    writeln!(rows, "{edge}").expect("a String takes everything");
    (rows, NODES_OF_A_LOAD + 1)
}

/// What only `before` has, and what only `after` has; a line counts as often as it occurs.
pub(super) fn difference<'a>(
    before: &'a [String],
    after: &'a [String],
) -> (Vec<&'a str>, Vec<&'a str>) {
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
