//! A root written down in a few lines, and what the plan makes of it.

mod commits;
mod drift;
mod dropped;
mod files;
mod floors;
mod forks;
mod lost;
mod retired;
mod rules;
mod running;
mod unreadable;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use lancekeeper_model::{Branch, ForkRefStatus, TableKey, Version};

use super::*;

/// Older than every limit.
pub(super) const OLD: i64 = 100_000;
const MANIFEST: &str = "__manifest";

pub(super) fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).expect("a date")
}

/// So many minutes ago.
pub(super) fn ago(minutes: i64) -> DateTime<Utc> {
    now() - TimeDelta::minutes(minutes)
}

/// Keeps one version, with the command line's limits of age; no breaker.
pub(super) fn keep_one() -> Retention {
    Retention {
        keep_versions: Some(1),
        older_than: None,
        keep_last: None,
        keep_within: None,
        writer_window: TimeDelta::minutes(10),
        min_age: TimeDelta::days(7),
        min_fork_age: TimeDelta::hours(1),
        max_delete_percent: 100,
    }
}

/// Only commits have a say.
fn keep_last(commits: u64) -> Retention {
    Retention { keep_versions: None, keep_last: Some(commits), ..keep_one() }
}

/// A dataset while it is written down. Ages are in minutes.
#[derive(Debug, Clone)]
pub(super) struct Table(pub(super) DatasetFacts);

impl Table {
    pub(super) fn new(name: &str, role: Role) -> Self {
        let main = ChainFacts {
            branch: Branch::main(),
            fork: None,
            is_zombie: false,
            versions: Vec::new(),
        };
        Self(DatasetFacts {
            table: TableKey::new(name),
            location: name.to_owned(),
            role,
            files: Vec::new(),
            units: 0,
            sets: BTreeMap::new(),
            chains: vec![main],
            held: Vec::new(),
            unsure: None,
            blobs_unread: None,
            warnings: Vec::new(),
            stuck: BTreeSet::new(),
            explained: Vec::new(),
        })
    }

    fn of_graph(name: &str) -> Self {
        Self::new(name, Role::Table)
    }

    fn plain(name: &str) -> Self {
        Self::new(name, Role::Plain)
    }

    /// Old versions of main, each with a data file of its own: version 3 has `data/3.lance`.
    fn with(mut self, versions: impl IntoIterator<Item = u64>) -> Self {
        for version in versions {
            self = self.version("main", version, OLD);
        }
        self
    }

    /// A version with a data file of its own, below its branch.
    fn version(self, branch: &str, version: u64, age: i64) -> Self {
        let file = format!("{}data/{version}.lance", dir(branch));
        self.version_of(branch, version, age, &[&file])
    }

    /// A version that refers to these data files, which come into being with it.
    pub(super) fn version_of(
        mut self,
        branch: &str,
        version: u64,
        age: i64,
        parts: &[&str],
    ) -> Self {
        let refs = parts.iter().map(|part| self.part(part, age)).collect();
        let path = format!("{}_versions/{version}.manifest", dir(branch));
        let manifest = self.file(&path, age, FileClass::Manifest);
        let chain = self.chain(branch).expect("a branch that was made before");
        self.0.chains[chain as usize].versions.push(VersionFacts {
            version: Version(version),
            committed_at: ago(age),
            manifest,
            fragments: 1,
            refs,
            missing: None,
            tags: Vec::new(),
        });
        self
    }

    /// A Lance branch without versions yet.
    pub(super) fn branch(mut self, name: &str, parent: &str, at: u64, age: i64) -> Self {
        self = self.zombie(name);
        let path = format!("_refs/branches/{}.json", name.replace('/', "%2F"));
        let file = self.file(&path, age, FileClass::BranchFile);
        self.0.files[file.0 as usize].chain = self.chain(name);
        let chain = self.0.chains.last_mut().expect("just made");
        chain.is_zombie = false;
        let parent = Branch::named(parent);
        chain.fork = Some(ForkFacts { parent, parent_version: Version(at), file });
        self
    }

    /// An old fork with one old version, one above the one it was cut from.
    fn fork(self, name: &str, parent: &str, at: u64) -> Self {
        self.branch(name, parent, at, OLD).version(name, at + 1, OLD)
    }

    /// A directory without a branch file.
    pub(super) fn zombie(mut self, name: &str) -> Self {
        self.0.chains.push(ChainFacts {
            branch: Branch::named(name),
            fork: None,
            is_zombie: true,
            versions: Vec::new(),
        });
        self
    }

    fn tag(mut self, branch: &str, version: u64, tag: &str) -> Self {
        self.found(branch, version).tags.push(tag.to_owned());
        self
    }

    /// A version that also refers to files that are there already.
    fn shares(mut self, branch: &str, version: u64, parts: &[&str]) -> Self {
        let units: Vec<UnitId> = parts.iter().map(|part| self.unit(part)).collect();
        self.found(branch, version).refs.extend(units);
        self
    }

    /// A file that nothing refers to.
    fn stray(mut self, part: &str, age: i64) -> Self {
        self.part(part, age);
        self
    }

    fn other(mut self, path: &str, age: i64, class: FileClass) -> Self {
        self.file(path, age, class);
        self
    }

    /// A file of blobs, maybe in the directory of a data file.
    fn blob(mut self, path: &str, beside: Option<&str>, age: i64) -> Self {
        let beside = beside.map(|data| self.unit(data));
        let own = self.new_unit();
        self.file(path, age, FileClass::Blob { own, beside });
        self
    }

    /// A version whose descriptors name files of blobs.
    fn names(mut self, branch: &str, version: u64, blobs: &[&str]) -> Self {
        let members = blobs.iter().map(|blob| self.unit(blob)).collect();
        let set = self.new_unit();
        self.0.sets.insert(set, members);
        self.found(branch, version).refs.push(set);
        self
    }

    pub(super) fn new_unit(&mut self) -> UnitId {
        self.0.units += 1;
        UnitId(self.0.units - 1)
    }

    /// One more file of a unit.
    fn beside(mut self, part: &str, path: &str, age: i64) -> Self {
        let unit = self.unit(part);
        self.file(path, age, FileClass::Part(unit));
        self
    }

    pub(super) fn found(&mut self, branch: &str, version: u64) -> &mut VersionFacts {
        let branch = Branch::named(branch);
        let chain = self.0.chains.iter_mut().find(|chain| chain.branch == branch);
        let versions = &mut chain.expect("a known branch").versions;
        versions.iter_mut().find(|facts| facts.version.0 == version).expect("a known version")
    }

    fn id(&self, path: &str) -> FileId {
        let at = self.0.files.iter().position(|file| file.path == path);
        FileId(u32::try_from(at.expect("a known file")).expect("few files"))
    }

    /// The unit of a data file, which is made where there is none.
    fn part(&mut self, path: &str, age: i64) -> UnitId {
        if !self.0.files.iter().any(|file| file.path == path) {
            let unit = UnitId(self.0.units);
            self.0.units += 1;
            self.file(path, age, FileClass::Part(unit));
        }
        self.unit(path)
    }

    pub(super) fn unit(&self, path: &str) -> UnitId {
        match self.0.files[self.id(path).0 as usize].class {
            FileClass::Part(unit) | FileClass::Blob { own: unit, .. } => unit,
            class => panic!("{path} is {class:?}"),
        }
    }

    pub(super) fn file(&mut self, path: &str, age: i64, class: FileClass) -> FileId {
        let below = path.strip_prefix("tree/");
        let chain = below.map_or("main", |below| {
            let names = self.0.chains.iter().map(|chain| chain.branch.label());
            let owners = names
                .filter(|name| below.strip_prefix(name).is_some_and(|rest| rest.starts_with('/')));
            owners.max_by_key(|name| name.len()).expect("the branch of a file")
        });
        let chain = self.chain(chain);
        let (path, modified) = (path.to_owned(), ago(age));
        self.0.files.push(FileFacts { path, bytes: 10, modified, class, chain });
        FileId(u32::try_from(self.0.files.len() - 1).expect("few files"))
    }

    fn chain(&self, branch: &str) -> Option<u32> {
        let branch = Branch::named(branch);
        let at = self.0.chains.iter().position(|chain| chain.branch == branch)?;
        u32::try_from(at).ok()
    }
}

fn dir(branch: &str) -> String {
    if branch == "main" { String::new() } else { format!("tree/{branch}/") }
}

/// A table's version on a branch: table, Lance branch, version.
pub(super) type Pin<'a> = (&'a str, &'a str, u64);

pub(super) fn pin((table, branch, version): &Pin<'_>) -> PinnedVersion {
    let chain = ChainKey { location: (*table).to_owned(), branch: Branch::named(*branch) };
    PinnedVersion { chain, version: Version(*version) }
}

/// A root while it is written down.
#[derive(Debug, Clone, Default)]
pub(super) struct World {
    pub(super) authority: Authority,
    pub(super) tables: Vec<Table>,
    pub(super) own: Vec<PinnedVersion>,
    pub(super) running: Running,
}

impl World {
    /// Without authorities: a database.
    fn database(tables: impl IntoIterator<Item = Table>) -> Self {
        Self { tables: tables.into_iter().collect(), ..Self::default() }
    }

    /// A graph. Its `__manifest` has versions 1 to 9 on main.
    fn graph(tables: impl IntoIterator<Item = Table>) -> Self {
        let mut world = Self::database(tables);
        world.authority.manifest = MANIFEST.to_owned();
        world.tables.push(Table::new(MANIFEST, Role::Manifest).with(1..=9));
        world
    }

    /// A live branch. Its own chain of `__manifest`, if it has one, must be made by hand.
    fn live(mut self, name: &str, parent: &str, pins: &[Pin<'_>], commits: &[&str]) -> Self {
        self.authority.branches.push(BranchFacts {
            branch: Branch::named(name),
            is_lost: false,
            parent: (name != "main").then(|| Branch::named(parent)),
            pins: Ok(pins.iter().map(pin).collect()),
            head_commit: commits.first().map(|id| (*id).to_owned()),
            commits: commits.iter().map(|id| (*id).to_owned()).collect(),
        });
        self
    }

    /// What is left of a branch whose file is gone.
    fn lost(mut self, name: &str, pins: &[Pin<'_>], commits: &[&str]) -> Self {
        self = self.live(name, "", pins, commits);
        let facts = self.authority.branches.last_mut().expect("just made");
        (facts.is_lost, facts.parent) = (true, None);
        self
    }

    fn unreadable(mut self, name: &str, parent: &str) -> Self {
        self = self.live(name, parent, &[], &[]);
        self.authority.branches.last_mut().expect("just made").pins = Err("damaged".into());
        self
    }

    /// An old commit on main.
    fn commit(self, id: &str, version: u64, parents: &[&str], pins: &[Pin<'_>]) -> Self {
        self.commit_on("main", id, version, parents, pins)
    }

    fn commit_on(
        mut self,
        branch: &str,
        id: &str,
        version: u64,
        parents: &[&str],
        pins: &[Pin<'_>],
    ) -> Self {
        self.authority.commits.push(CommitFacts {
            id: id.to_owned(),
            branch: Branch::named(branch),
            manifest_version: Version(version),
            parents: parents.iter().map(|id| (*id).to_owned()).collect(),
            created_at: ago(OLD),
            pins: Some(pins.iter().map(pin).collect()),
        });
        self
    }

    /// Changes `__manifest`.
    fn manifest(mut self, change: impl FnOnce(Table) -> Table) -> Self {
        let at = self.tables.iter().position(|table| table.0.role == Role::Manifest);
        let at = at.expect("a graph");
        self.tables[at] = change(self.tables[at].clone());
        self
    }

    pub(super) fn plan(&self, policy: &Retention) -> Outcome {
        let inventory = CleanupInventory {
            authority: &self.authority,
            running: &self.running,
            datasets: self.tables.iter().map(|table| &table.0).collect(),
        };
        let plan = plan_cleanup(&inventory, &self.own, policy, now());
        let lost = lost_commits(&self.authority, &plan.datasets);
        Outcome(plan, lost.into_iter().map(|commit| commit.id).collect())
    }
}

/// A plan and the ids of the commits that it ends, to be asked in few words.
#[derive(Debug)]
pub(super) struct Outcome(pub(super) CleanupPlan, Vec<String>);

impl Outcome {
    fn of(&self, table: &str) -> &DatasetPlan {
        let found = self.0.datasets.iter().find(|dataset| dataset.location == table);
        found.expect("a dataset that was planned")
    }

    fn kept(&self, table: &str, branch: &str) -> Vec<u64> {
        let branch = Branch::named(branch);
        let kept = self.of(table).kept.iter().filter(|kept| kept.branch == branch);
        kept.map(|kept| kept.version.0).collect()
    }

    /// Why a version stays; empty if it goes.
    fn why(&self, table: &str, branch: &str, version: u64) -> String {
        let branch = Branch::named(branch);
        let mut kept = self.of(table).kept.iter();
        let found = kept.find(|kept| kept.branch == branch && kept.version.0 == version);
        let reasons = found.map(|kept| kept.reasons.iter().map(ToString::to_string).collect());
        reasons.map_or_else(String::new, |reasons: Vec<String>| reasons.join(", "))
    }

    fn deleted(&self, table: &str) -> Vec<&str> {
        self.of(table).deletions.iter().map(|deletion| deletion.path.as_str()).collect()
    }

    fn deletes(&self, table: &str, path: &str) -> bool {
        self.deleted(table).contains(&path)
    }

    /// What becomes of a fork, and why.
    fn fork(&self, table: &str, branch: &str) -> String {
        let branch = Branch::named(branch);
        let decision = self.of(table).forks.iter().find(|fork| fork.branch == branch);
        let decision = decision.expect("a fork");
        let status = match decision.status {
            ForkRefStatus::Orphan => "orphan",
            ForkRefStatus::Legitimate => "legitimate",
            ForkRefStatus::Indeterminate => "indeterminate",
        };
        format!("{status}: {}", decision.why)
    }

    /// Without the one that every strict policy draws.
    fn warnings(&self, table: &str) -> Vec<&str> {
        let all = self.of(table).warnings.iter().map(String::as_str);
        all.filter(|warning| !warning.starts_with("fewer than")).collect()
    }

    fn lost(&self) -> Vec<&str> {
        self.1.iter().map(String::as_str).collect()
    }
}
