//! The steps that we do, and what must be true after each.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use chrono::{TimeDelta, Utc};
use futures::{StreamExt, TryStreamExt};
use lancekeeper::{CleanupOptions, CleanupReport, Keeper, NoProgress, OptimizeOptions};
use lancekeeper_testkit::check_graph;

use super::disk;
use super::history::{History, exists, expect_done, pick};
use super::model::{MAIN, Rows};
use super::run::{Ran, crash, held_up, preview, whole};
use super::steps::{Age, How, Policy, Step};
use super::verdict::{Case, Verdict};

/// Versions read at the same time.
const READS_AT_ONCE: usize = 4;
/// A pause between versions that is long enough to be asked for: a run looks at its clock much
/// sooner.
const PAUSE: TimeDelta = TimeDelta::seconds(2);

impl History {
    pub(super) async fn optimize(&mut self) -> Result<()> {
        let (roots, options) = ([self.writer.uri().to_owned()], OptimizeOptions::default());
        let report = Keeper::new().optimize(&roots, &options, Arc::new(NoProgress)).await;
        expect_done(report.exit_code().number().into(), &report)?;
        let moved = report.roots[0].tables.iter().filter(|table| table.committed).count();
        self.did("optimized", &format!("{moved} tables moved"));
        self.learn_versions().await?;
        for branch in self.model.branches.keys().cloned().collect::<Vec<_>>() {
            self.learn_branch(&branch).await?;
        }
        self.check_pins()
    }

    pub(super) async fn cleanup(&mut self, policy: &Policy, how: &How) -> Result<()> {
        let options = policy.options(self.age(policy));
        self.log.push(format!("    {options:?}"));
        match how {
            How::Whole => self.cleanup_whole(&options).await,
            How::Crash { failpoint, crossing, end } => {
                let verdict = self.verdict(&options)?;
                let before = disk::files(&self.directory())?;
                let ran = crash(&self.directory(), &options, *failpoint, *crossing, *end)?;
                let code = ran.report.as_ref().map(|report| report.exit_code().number());
                self.did("crashed", &format!("cleanup at {}: exit code {code:?}", ran.at));
                self.check_deleted(&ran, &before, false)?;
                self.settle(&verdict).await?;
                self.cleanup_whole(&options).await
            }
            How::Meanwhile(step) => self.cleanup_meanwhile(&options, step).await,
        }
    }

    /// The age that a policy means now.
    fn age(&self, policy: &Policy) -> Option<TimeDelta> {
        Some(match policy.older_than? {
            Age::Zero => TimeDelta::zero(),
            Age::Large => TimeDelta::days(1),
            Age::Between(roll) => {
                let chains = self.model.datasets.values().flat_map(|d| d.chains.values());
                let versions = chains.flat_map(|chain| chain.versions.values());
                let now = Utc::now();
                let mut times: Vec<_> = versions.map(|version| version.committed_at).collect();
                times.push(now);
                times.sort();
                let pauses = times.windows(2).filter(|pair| pair[1] - pair[0] > PAUSE);
                let pauses: Vec<_> = pauses.map(|pair| pair[0]).collect();
                match pick(&pauses, roll) {
                    // What is older than the pause may go, as soon as it is asked for.
                    Some(older) => now - *older - TimeDelta::milliseconds(1),
                    None => TimeDelta::zero(),
                }
            }
        })
    }

    /// What must be true after a cleanup that begins now.
    fn verdict(&self, options: &CleanupOptions) -> Result<Verdict> {
        let explained = disk::listed(&self.directory())?;
        let mut listed = BTreeSet::new();
        for (location, dataset) in &self.model.datasets {
            let files = disk::files(&self.directory_of(location))?;
            for branch in dataset.chains.keys() {
                let is_listed = files
                    .keys()
                    .filter(|path| disk::split(path).0 == *branch)
                    .all(|path| explained.contains(&(location.clone(), path.clone())));
                if is_listed {
                    listed.insert((location.clone(), branch.clone()));
                }
            }
        }
        Ok(Case { model: &self.model, options, now: Utc::now(), listed }.verdict())
    }

    async fn cleanup_whole(&mut self, options: &CleanupOptions) -> Result<()> {
        let verdict = self.verdict(options)?;
        let graph = self.directory();
        let (before, records) = (disk::files(&graph)?, disk::records(&graph)?);
        let previewed = preview(&graph, options).await;
        check_refused(&previewed, &self.keys(&verdict.refused))?;
        ensure!(disk::files(&graph)? == before, "a preview changed something");
        let ran = whole(&graph, options)?;
        let report = ran.report.as_ref().context("it ran to its end")?;
        check_refused(report, &self.keys(&verdict.refused))?;
        self.did("cleaned", &format!("{} versions went", report.totals.old_versions_removed));
        *self.counts.entry("versions removed").or_default() += verdict.removed.len() as u64;
        *self.counts.entry("versions kept").or_default() += verdict.kept.len() as u64;
        *self.counts.entry("forks removed").or_default() += verdict.gone.len() as u64;
        *self.counts.entry("tables refused").or_default() += verdict.refused.len() as u64;
        *self.counts.entry("commits lost").or_default() += verdict.lost.len() as u64;

        check_report(report, &previewed, &verdict)?;
        self.check_deleted(&ran, &before, true)?;
        check_records(&graph, &records, report, &verdict.refused)?;
        self.settle(&verdict).await?;
        let (existing, expected) = (self.model.existing(), verdict.existing());
        let others: Vec<_> = existing.symmetric_difference(&expected).collect();
        ensure!(others.is_empty(), "stayed without a reason, or is missing: {others:?}");
        self.check_files(&verdict, options).await?;
        let again = preview(&graph, options).await;
        let would_go = (again.totals.files_removed, again.totals.old_versions_removed);
        ensure!(would_go == (0, 0), "a second cleanup would remove more: {again:#?}");
        self.check_at_rest().await
    }

    /// A cleanup during which somebody does something: what either the state before or the state
    /// after keeps for good is there, and nothing went that both keep.
    async fn cleanup_meanwhile(&mut self, options: &CleanupOptions, step: &Step) -> Result<()> {
        let before = self.verdict(options)?;
        let waiting = held_up(&self.directory(), options)?;
        self.did("held up", "a cleanup waits, everything looked at");
        let done = Box::pin(self.client_step(step)).await;
        // Only now: a client deletes a fork that is in its way.
        let files = disk::files(&self.directory())?;
        let ran = waiting.go_on()?;
        done?;
        let report = ran.report.as_ref().context("it ran to its end")?;
        let after = self.verdict(options)?;
        // A table that drifts by the step is refused or not, depending on when it was looked at.
        let refused = self.keys(&(&before.refused | &after.refused));
        let failed = failed(report)?;
        ensure!(failed.is_subset(&refused), "{failed:?} failed, not {refused:?}");
        self.check_deleted(&ran, &files, true)?;
        // Nothing of one that is refused goes; but if it was looked at before, its old versions may.
        let by_step = &after.refused - &before.refused;
        let mut floors = after.floors;
        floors.retain(|(location, ..)| !by_step.contains(location));
        let kept = &(&before.kept & &after.kept) | &floors;
        let removed = &(&before.removed | &after.removed) - &kept;
        let emptied = before.emptied.into_iter().chain(after.emptied).collect();
        self.settle(&Verdict { kept, removed, emptied, ..Verdict::default() }).await?;
        self.cleanup_whole(options).await
    }

    /// Looks at what is there after a run: nothing is missing that had to stay, and what is there
    /// can be read. From here on what went is gone from the model too.
    async fn settle(&mut self, verdict: &Verdict) -> Result<()> {
        let (graph, kept, removed) = (self.directory(), &verdict.kept, &verdict.removed);
        self.learn_emptied(&verdict.emptied).await?;
        for (location, dataset) in &mut self.model.datasets {
            let directory = graph.join(location);
            let found = disk::chains(&disk::files(&directory)?);
            for (branch, chain) in &mut dataset.chains {
                let on_disk = found.get(branch);
                let is_there =
                    |version: &u64| on_disk.is_some_and(|found| found.versions.contains(version));
                for version in chain.versions.keys().filter(|version| !is_there(version)) {
                    let place = (location.clone(), branch.clone(), *version);
                    let may_go = !kept.contains(&place) && removed.contains(&place);
                    ensure!(may_go || chain.is_zombie, "{place:?} went and had to stay");
                }
                chain.versions.retain(|version, _| is_there(version));
                if on_disk.is_some_and(|found| found.is_zombie) && !chain.is_zombie {
                    let has_kept = kept.iter().any(|(l, b, _)| l == location && b == branch);
                    ensure!(!has_kept, "the branch file of {branch} of {location} is gone");
                    (chain.is_zombie, chain.cut_from) = (true, None);
                }
                if let Some(found) = on_disk.filter(|_| !chain.is_zombie) {
                    let known = chain.versions.keys().copied().collect::<BTreeSet<_>>();
                    ensure!(found.versions == known, "{location} {branch}: {found:?}, {known:?}");
                }
            }
            dataset.chains.retain(|branch, _| found.contains_key(branch));
            let unknown: Vec<_> =
                found.keys().filter(|branch| !dataset.chains.contains_key(*branch)).collect();
            ensure!(unknown.is_empty(), "{location} has branches {unknown:?}");
            dataset.litter.retain(|path, _| exists(&directory, path));
        }
        self.check_readers().await
    }

    /// Learns of versions without rows on top of dropped tables.
    async fn learn_emptied(&mut self, emptied: &BTreeMap<String, u64>) -> Result<()> {
        for (location, version) in emptied {
            let found = disk::chains(&disk::files(&self.directory_of(location))?);
            if found.get(MAIN).is_some_and(|chain| chain.versions.contains(version)) {
                let at = self.writer.open(location, MAIN, Some(*version)).await?;
                ensure!(at.manifest().fragments.is_empty(), "{location} is not empty");
                self.note_version(location, MAIN, &at, Rows::new());
                self.did("emptied", &format!("{location}, at {version}"));
            }
        }
        Ok(())
    }

    /// The keys of tables.
    fn keys(&self, locations: &BTreeSet<String>) -> BTreeSet<String> {
        locations.iter().map(|location| self.model.dataset(location).key.clone()).collect()
    }

    /// Every version that can be found reads its rows; every branch and every readable commit
    /// reads what it did.
    async fn check_readers(&self) -> Result<()> {
        let existing = self.model.existing();
        let reads: Vec<_> = existing.iter().map(|place| Box::pin(self.check_rows(place))).collect();
        futures::stream::iter(reads)
            .buffer_unordered(READS_AT_ONCE)
            .try_collect::<Vec<()>>()
            .await?;
        for (name, branch) in &self.model.branches {
            let view = self.writer.view(name, None).await?;
            ensure!(view.entries == branch.pins, "{name} reads {view:?}");
            for pin in branch.pins.values() {
                self.rows_of(pin)?;
            }
        }
        let visible = self.model.visible();
        let commits = self.model.commits.values();
        for commit in commits.filter(|commit| {
            visible.contains(commit.of.id.as_str()) && self.model.is_readable(commit)
        }) {
            let version = Some(commit.of.manifest_version);
            let view = self.writer.view(&commit.of.branch, version).await?;
            ensure!(view.entries == commit.pins, "{commit:?} reads {view:?}");
            ensure!(view.commits[0].id == commit.of.id, "{commit:?} is not at its version");
        }
        self.check_pins()
    }

    /// HEAD is what is published, but for what writers left unpublished.
    fn check_pins(&self) -> Result<()> {
        for (name, branch) in &self.model.branches {
            for (key, pin) in branch.pins.iter().filter(|(_, pin)| pin.branch == *name) {
                let left = self.model.stalled.iter().any(|stalled| {
                    stalled.key == *key
                        && stalled.branch == *name
                        && Some(stalled.version) == self.model.head(&pin.location, name)
                });
                ensure!(left || !self.model.drifts(name, pin), "{key} on {name} drifts");
            }
        }
        Ok(())
    }

    /// What a run deleted is what it had written down before.
    fn check_deleted(
        &self,
        ran: &Ran,
        before: &BTreeMap<String, u64>,
        is_whole: bool,
    ) -> Result<()> {
        let now = disk::files(&self.directory())?;
        let listed: BTreeSet<String> =
            ran.listed.iter().map(|(location, path)| format!("{location}/{path}")).collect();
        for path in before.keys().filter(|path| !now.contains_key(*path)) {
            ensure!(listed.contains(path), "{path} went and is on no list");
        }
        let left: Vec<&String> = listed.iter().filter(|path| now.contains_key(*path)).collect();
        ensure!(!is_whole || left.is_empty(), "{left:?} were listed and are there");
        Ok(())
    }

    /// Every file of every dataset belongs to a version that stays, or is litter that may stay:
    /// no more, no less.
    async fn check_files(&self, verdict: &Verdict, options: &CleanupOptions) -> Result<()> {
        for (location, dataset) in &self.model.datasets {
            let directory = self.directory_of(location);
            let mut explained = BTreeSet::new();
            for (_, branch, version) in verdict.existing().iter().filter(|(l, ..)| l == location) {
                let at = self.writer.open(location, branch, Some(*version)).await?;
                explained.extend(disk::referred_to(&at, &directory, branch).await?);
            }
            for (path, litter) in &dataset.litter {
                let stays = verdict.keeps_litter(location, litter, options);
                ensure!(
                    exists(&directory, path) == stays,
                    "{location}/{path} should {}",
                    if stays { "stay" } else { "go" }
                );
            }
            let files = disk::files(&directory)?;
            // A directory that may yet become a branch keeps what its versions read of others. They cannot be
            // opened as long as it has no branch file, so of such a dataset only that is asked.
            let has_zombie = dataset.chains.values().any(|chain| chain.is_zombie);
            for name in &explained {
                ensure!(exists(&directory, name), "{location}/{name} is needed and gone");
            }
            let known = |path: &str| {
                let (branch, rest) = disk::split(path);
                let index = path.rsplit_once('/').map(|(directory, _)| directory);
                let chain = dataset.chains.get(&branch);
                explained.contains(path)
                    || index.is_some_and(|directory| explained.contains(directory))
                    || dataset.litter.contains_key(path)
                    || rest.starts_with("_refs/")
                    || rest == "_versions/latest_version_hint.json"
                    || chain.is_some_and(|chain| chain.is_zombie)
            };
            let mut unknown: Vec<&String> = files.keys().filter(|path| !known(path)).collect();
            unknown.retain(|path| !has_zombie || !disk::split(path).1.starts_with("data/"));
            ensure!(unknown.is_empty(), "{location} keeps {unknown:?} for nobody");
        }
        Ok(())
    }

    /// What holds of any graph at rest, as far as nobody died over it.
    async fn check_at_rest(&self) -> Result<()> {
        let main = &self.model.branches[MAIN];
        let is_clean = main.pins.values().all(|pin| {
            !self.model.drifts(MAIN, pin) && self.model.dataset(&pin.location).litter.is_empty()
        });
        if is_clean {
            check_graph(self.writer.uri()).await?;
        }
        Ok(())
    }
}

/// The tables that failed, where nothing else may.
fn failed(report: &CleanupReport) -> Result<BTreeSet<String>> {
    let root = &report.roots[0];
    let failed = root.reconciled.failures.len() - root.undecided_forks;
    ensure!(root.error.is_none() && failed == 0, "{report:#?}");
    let failed = root.tables.iter().filter(|table| table.error.is_some());
    Ok(failed.map(|table| table.table_key.to_string()).collect())
}

/// Exactly these tables are refused.
fn check_refused(report: &CleanupReport, refused: &BTreeSet<String>) -> Result<()> {
    let failed = failed(report)?;
    ensure!(failed == *refused, "{failed:?} failed, not {refused:?}: {report:#?}");
    let code = report.exit_code().number();
    ensure!(code == if refused.is_empty() { 0 } else { 3 }, "exit code {code}: {report:#?}");
    Ok(())
}

/// A preview says what is then done, and both what was to be.
fn check_report(
    report: &CleanupReport,
    previewed: &CleanupReport,
    verdict: &Verdict,
) -> Result<()> {
    let sums = |report: &CleanupReport| {
        let totals = &report.totals;
        let files = (totals.files_removed, totals.bytes_removed, totals.unverified_left);
        (files, totals.old_versions_removed, totals.forks_reclaimed)
    };
    ensure!(sums(report) == sums(previewed), "previewed {previewed:#?}, done {report:#?}");
    let versions = report.totals.old_versions_removed;
    ensure!(versions == verdict.removed.len() as u64, "{versions} went, not {:?}", verdict.removed);
    for root in [&report.roots[0], &previewed.roots[0]] {
        let lost: BTreeSet<&str> =
            root.lost_commits.iter().map(|commit| commit.graph_commit_id.as_str()).collect();
        let expected: BTreeSet<&str> = verdict.lost.iter().map(String::as_str).collect();
        ensure!(lost == expected, "commits lost: {lost:?}, not {expected:?}");
        for kept in root.tables.iter().flat_map(|table| &table.kept) {
            ensure!(!kept.because.is_empty(), "{kept:?} stays without a reason");
        }
    }
    Ok(())
}

/// A record was written for every table of which something went, and says how much.
fn check_records(
    graph: &std::path::Path,
    before: &BTreeMap<String, serde_json::Value>,
    report: &CleanupReport,
    refused: &BTreeSet<String>,
) -> Result<()> {
    let records = disk::records(graph)?;
    let new = records.iter().filter(|(file, _)| !before.contains_key(*file));
    let (mut files, mut bytes, mut tables) = (0, 0, BTreeSet::new());
    for (file, record) in new {
        if record["interrupted"] == true {
            // Of an earlier run: said once, and not by this one.
            ensure!(record["versions"] == serde_json::json!({}), "{file}: {record}");
            continue;
        }
        let number = |name: &str| record[name].as_u64().with_context(|| format!("{file}: {name}"));
        files += number("files")?;
        bytes += number("bytes")?;
        let location = record["location"].as_str().context("a record is of a dataset")?;
        ensure!(tables.insert(location.to_owned()), "{location} has two records");
    }
    let said = (report.totals.files_removed, report.totals.bytes_removed);
    ensure!((files, bytes) == said, "recorded {files} files, {bytes} bytes; said {said:?}");
    // What an earlier list explained of a refused table waits with it.
    let mut left = disk::listed(graph)?;
    left.retain(|(location, _)| !refused.contains(location));
    ensure!(left.is_empty(), "{left:?} are still listed");
    Ok(())
}
