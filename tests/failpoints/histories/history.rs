//! One history under way: the graph on the disk, and the model of it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use chrono::{DateTime, TimeDelta, Utc};
use lance::Dataset;
use lancekeeper_testkit::table_rows;
use lancekeeper_testkit::writer::{Commit, Entry, GraphWriter, MANIFEST};
use tempfile::TempDir;

use super::disk;
use super::model::{
    BranchModel, Chain, CommitModel, DatasetModel, Litter, MAIN, Model, Place, Rows, VersionModel,
};
use super::steps::{Roll, Step};

const TYPES: [&str; 3] = ["A", "B", "C"];
/// The clients' clock is behind, an hour a commit, so that ages of commits can be asked for.
const CLOCK_STARTS_HOURS_AGO: i64 = 80;

/// A graph with its model, and what was done to it so far.
pub(super) struct History {
    pub(super) writer: GraphWriter,
    pub(super) model: Model,
    pub(super) log: Vec<String>,
    pub(super) counts: BTreeMap<&'static str, u64>,
    clock: DateTime<Utc>,
    numbers: u64,
    place: TempDir,
}

impl History {
    /// A graph of empty tables.
    pub(super) async fn new() -> Result<Self> {
        let place = tempfile::tempdir()?;
        let uri = place.path().join("graph").to_string_lossy().into_owned();
        let clock = Utc::now() - TimeDelta::hours(CLOCK_STARTS_HOURS_AGO);
        let writer = GraphWriter::init(&uri, &TYPES, clock).await?;
        let view = writer.view(MAIN, None).await?;
        let mut model = Model::default();
        for (key, entry) in &view.entries {
            let dataset = DatasetModel { key: key.clone(), ..DatasetModel::default() };
            model.datasets.insert(entry.location.clone(), dataset);
        }
        let dataset = DatasetModel { key: MANIFEST.to_owned(), ..DatasetModel::default() };
        model.datasets.insert(MANIFEST.to_owned(), dataset);
        model.branches.insert(MAIN.to_owned(), BranchModel::default());
        let (log, counts) = (Vec::new(), BTreeMap::new());
        let mut history = Self { writer, model, log, counts, clock, numbers: 0, place };
        history.learn_versions().await?;
        history.learn_branch(MAIN).await?;
        Ok(history)
    }

    /// Does steps in order.
    pub(super) async fn run(&mut self, steps: &[Step]) -> Result<()> {
        for step in steps {
            self.log.push(format!("{step:?}"));
            Box::pin(self.step(step)).await?;
        }
        Ok(())
    }

    async fn step(&mut self, step: &Step) -> Result<()> {
        match step {
            Step::Optimize => self.optimize().await,
            Step::Cleanup { policy, how } => self.cleanup(policy, how).await,
            step => self.client_step(step).await,
        }
    }

    /// Notes what a step came to.
    pub(super) fn did(&mut self, kind: &'static str, what: &str) {
        *self.counts.entry(kind).or_default() += 1;
        self.log.push(format!("    {what}"));
    }

    pub(super) fn directory(&self) -> PathBuf {
        self.place.path().join("graph")
    }

    pub(super) fn directory_of(&self, location: &str) -> PathBuf {
        self.directory().join(location)
    }

    /// The next hour of the clients' clock.
    pub(super) fn tick(&mut self) -> DateTime<Utc> {
        self.clock += TimeDelta::hours(1);
        self.clock
    }

    /// A number nobody had before.
    pub(super) fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    /// Rows of an entry that must exist.
    pub(super) fn rows_of(&self, entry: &Entry) -> Result<Rows> {
        let rows = self.model.rows_at(entry);
        rows.cloned().with_context(|| format!("the model has no rows of {entry:?}"))
    }

    /// Writes down a version that a client made.
    pub(super) fn note_version(&mut self, location: &str, branch: &str, at: &Dataset, rows: Rows) {
        let version = at.version();
        let is_empty = at.manifest().fragments.is_empty();
        let facts = VersionModel { committed_at: version.timestamp, is_empty, rows };
        let chains = &mut self.model.dataset_mut(location).chains;
        let chain = chains.entry(branch.to_owned()).or_default();
        chain.versions.insert(version.version, facts);
    }

    /// Writes down a chain that a client cut.
    pub(super) fn note_cut(&mut self, location: &str, branch: &str, from: (String, u64)) {
        let chain = Chain { cut_from: Some(from), ..Chain::default() };
        self.model.dataset_mut(location).chains.insert(branch.to_owned(), chain);
    }

    /// Writes down a publish.
    pub(super) fn note_commit(&mut self, commit: Commit, at: &Dataset) {
        let name = commit.branch.clone();
        self.note_version(MANIFEST, &name, at, Rows::new());
        let branch = self.model.branches.get_mut(&name).expect("a live branch");
        branch.commits.insert(0, commit.id.clone());
        let pins = branch.pins.clone();
        self.model.commits.insert(commit.id.clone(), CommitModel { of: commit, pins });
    }

    /// What is below a dataset's directory and was not before is litter.
    pub(super) fn note_litter(
        &mut self,
        location: &str,
        before: &BTreeMap<String, u64>,
    ) -> Result<()> {
        let now = disk::files(&self.directory_of(location))?;
        for path in now.into_keys().filter(|path| !before.contains_key(path)) {
            let litter = Litter { branch: disk::split(&path).0, is_old: false };
            self.model.dataset_mut(location).litter.insert(path, litter);
        }
        Ok(())
    }

    /// Learns of versions that somebody made who changes no rows: each must read what the newest
    /// one before it read, and none may be gone.
    pub(super) async fn learn_versions(&mut self) -> Result<()> {
        for location in self.model.datasets.keys().cloned().collect::<Vec<_>>() {
            let found = disk::chains(&disk::files(&self.directory_of(&location))?);
            for (branch, chain) in found.into_iter().filter(|(_, chain)| !chain.is_zombie) {
                let known = self.model.dataset(&location).chains.get(&branch);
                let known: BTreeSet<u64> =
                    known.map(|chain| chain.versions.keys().copied().collect()).unwrap_or_default();
                let gone: Vec<u64> = known.difference(&chain.versions).copied().collect();
                ensure!(gone.is_empty(), "{location} on {branch}: versions {gone:?} are gone");
                for version in chain.versions.difference(&known) {
                    let before = self.model.dataset(&location).chains.get(&branch);
                    let before = before.and_then(|chain| {
                        chain.versions.range(..version).next_back().map(|(_, facts)| &facts.rows)
                    });
                    let rows = before.cloned().unwrap_or_default();
                    let at = self.writer.open(&location, &branch, Some(*version)).await?;
                    self.note_version(&location, &branch, &at, rows);
                    self.check_rows(&(location.clone(), branch.clone(), *version)).await?;
                }
            }
        }
        Ok(())
    }

    /// Learns what somebody published on a branch who changes no rows.
    pub(super) async fn learn_branch(&mut self, name: &str) -> Result<()> {
        let view = self.writer.view(name, None).await?;
        let branch = self.model.branches.get_mut(name).context("a live branch")?;
        let before = std::mem::replace(&mut branch.pins, view.entries.clone());
        let known: BTreeSet<String> = branch.commits.iter().cloned().collect();
        branch.commits = view.commits.iter().map(|commit| commit.id.clone()).collect();
        ensure!(known.iter().all(|id| branch.commits.contains(id)), "commits of {name} are gone");
        for (key, entry) in &before {
            let now =
                view.entries.get(key).with_context(|| format!("{key} is gone from {name}"))?;
            let is_same =
                (&now.branch, self.rows_of(now)?) == (&entry.branch, self.rows_of(entry)?);
            ensure!(is_same, "{key} on {name} went from {entry:?} to {now:?}");
        }
        for commit in view.commits.into_iter().filter(|commit| !known.contains(&commit.id)) {
            let at = self.writer.view(name, Some(commit.manifest_version)).await?;
            let pins = at.entries;
            self.model.commits.insert(commit.id.clone(), CommitModel { of: commit, pins });
        }
        Ok(())
    }

    /// A version can be scanned, and reads what the model has for it.
    pub(super) async fn check_rows(&self, place: &Place) -> Result<()> {
        let (location, branch, version) = place;
        let table = self.writer.open(location, branch, Some(*version)).await?;
        let read = table_rows(&table).await.with_context(|| format!("{place:?}"))?;
        if location == MANIFEST {
            return Ok(());
        }
        let entry = Entry { location: location.clone(), branch: branch.clone(), version: *version };
        let rows = self.rows_of(&entry)?;
        let mut expected: Vec<String> =
            rows.iter().map(|(id, note)| format!("id={id}|note={note}")).collect();
        expected.sort();
        ensure!(read == expected, "{place:?} reads {read:?}, not {expected:?}");
        Ok(())
    }
}

/// Picks from a list, counted round.
pub(super) fn pick<T>(list: &[T], roll: Roll) -> Option<&T> {
    list.get(usize::from(roll).checked_rem(list.len())?)
}

/// A run of ours must say that nothing went wrong.
pub(super) fn expect_done(code: i32, report: &dyn std::fmt::Debug) -> Result<()> {
    if code != 0 {
        bail!("exit code {code}: {report:#?}");
    }
    Ok(())
}

/// Whether a path exists, relative to a directory.
pub(super) fn exists(directory: &Path, path: &str) -> bool {
    directory.join(path).exists()
}
