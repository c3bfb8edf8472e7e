//! Roots made up at random: rolls in lists, so that what does not matter shrinks away.

use lancekeeper_model::{Branch, Version};
use proptest::collection::vec;
use proptest::prelude::*;

use super::super::tests::{OLD, Table, World, ago, pin};
use super::super::*;

/// The datasets of every root; 5 is one that could not be looked at.
const TABLES: [(&str, Role); 6] = [
    ("T", Role::Table),
    ("D", Role::Dropped),
    ("__manifest", Role::Manifest),
    ("P", Role::Plain),
    ("C", Role::Commits),
    ("unseen", Role::Table),
];
const LISTED: usize = 5;
const BRANCHES: [&str; 5] = ["main", "a", "b", "c", "__run__1"];
/// The version that every chain has at its end.
const HEAD: u64 = 9;

/// Numbers of a table, a branch, and a version.
type At = (usize, usize, u64);
/// What a fork was cut from, at which version, minutes ago.
type Origin = (usize, u64, i64);
/// Branch, version of `__manifest`, parents among those before, minutes ago, pins.
type Commit = (usize, u64, Vec<usize>, i64, Vec<At>);

/// The rolls.
#[derive(Debug, Clone)]
pub(super) struct Rolls {
    /// Table, branch, and origin; none for a directory without a branch file.
    forks: Vec<(usize, usize, Option<Origin>)>,
    /// With the minutes since it was committed and since it was written.
    versions: Vec<(At, i64, i64)>,
    /// Data files: table, branch, age, and that of another file of the unit.
    parts: Vec<(usize, usize, i64, Option<i64>)>,
    /// Which version refers to which data file of its table.
    refs: Vec<(At, usize)>,
    tags: Vec<At>,
    /// Versions whose files are missing.
    broken: Vec<At>,
    /// Data files that others refer to, and that an earlier cleanup had listed.
    held: Vec<(usize, usize)>,
    explained: Vec<(usize, usize)>,
    /// Other files: table, branch, which kind, age.
    others: Vec<(usize, usize, usize, i64)>,
    /// Live branches besides main: number, parent, whether it can be read.
    live: Vec<(usize, usize, bool)>,
    /// What a branch reads; the last says whether its own chains may have drifted.
    pins: Vec<(usize, At, bool)>,
    commits: Vec<Commit>,
    /// Which commit is a branch's newest.
    heads: Vec<(usize, usize)>,
    own: Vec<At>,
    /// Whether the dropped table was emptied before.
    is_emptied: bool,
}

fn age() -> impl Strategy<Value = i64> {
    let limits = vec![-5, 0, 9, 10, 30, 59, 60, 10_079, 10_080];
    prop_oneof![3 => Just(OLD), 2 => proptest::sample::select(limits)]
}

fn at() -> impl Strategy<Value = At> {
    // Tables of the graph and its main branch matter most.
    let table = prop_oneof![3 => Just(0_usize), 3 => 0..TABLES.len()];
    let branch = prop_oneof![2 => Just(0_usize), 3 => 0..BRANCHES.len()];
    (table, branch, 1..=HEAD)
}

pub(super) fn rolls() -> impl Strategy<Value = Rolls> {
    let place = || (0..LISTED, 0..BRANCHES.len());
    let origin = (0..BRANCHES.len(), 1..=HEAD, age());
    let fork = (0..LISTED, 1..BRANCHES.len(), proptest::option::weighted(0.8, origin));
    let part = (place(), age(), proptest::option::weighted(0.3, age()))
        .prop_map(|((table, branch), age, other)| (table, branch, age, other));
    let other = (place(), 0..4_usize, age())
        .prop_map(|((table, branch), kind, age)| (table, branch, kind, age));
    let commit = (0..BRANCHES.len(), 1..=HEAD, vec(0..8_usize, 0..3), age(), vec(at(), 0..4));
    let files = (
        vec(fork, 0..8),
        vec((at(), age(), age()), 0..20),
        vec(part, 0..12),
        vec((at(), 0..4_usize), 0..24),
        vec(other, 0..6),
    );
    let marks = (
        vec(at(), 0..3),
        vec(at(), 0..2),
        vec((0..LISTED, 0..4_usize), 0..2),
        vec((0..LISTED, 0..4_usize), 0..3),
        vec(at(), 0..2),
    );
    let live = vec((1..BRANCHES.len(), 0..BRANCHES.len(), prop::bool::weighted(0.85)), 0..4);
    let authority = (
        live,
        vec((0..BRANCHES.len(), at(), prop::bool::weighted(0.3)), 0..8),
        vec(commit, 0..10),
        vec((0..BRANCHES.len(), 0..10_usize), 0..6),
        prop::bool::weighted(0.3),
    );
    (files, marks, authority).prop_map(
        |(
            (forks, versions, parts, refs, others),
            (tags, broken, held, explained, own),
            (live, pins, commits, heads, is_emptied),
        )| Rolls {
            forks,
            versions,
            parts,
            refs,
            tags,
            broken,
            held,
            explained,
            others,
            live,
            pins,
            commits,
            heads,
            own,
            is_emptied,
        },
    )
}

pub(super) fn policy() -> impl Strategy<Value = Retention> {
    let minutes =
        |minutes: Vec<i64>| proptest::sample::select(minutes).prop_map(chrono::TimeDelta::minutes);
    let some = |minutes| proptest::option::weighted(0.3, minutes);
    (
        proptest::option::weighted(0.7, 1..4_u64),
        some(minutes(vec![60, 10_080])),
        proptest::option::weighted(0.3, 0..3_u64),
        some(minutes(vec![60, 10_080])),
        minutes(vec![10, 0, 60]),
        minutes(vec![10_080, 0, 60]),
        minutes(vec![60, 0]),
        proptest::sample::select(vec![100_u8, 15, 0]),
    )
        .prop_map(
            |(
                keep_versions,
                older_than,
                keep_last,
                keep_within,
                writer_window,
                min_age,
                min_fork_age,
                max_delete_percent,
            )| Retention {
                keep_versions,
                older_than,
                keep_last,
                keep_within,
                writer_window,
                min_age,
                min_fork_age,
                max_delete_percent,
            },
        )
}

impl Rolls {
    /// The root they mean. Rolls about what does not exist mean nothing.
    pub(super) fn world(&self) -> World {
        let tables = (0..LISTED).map(|number| self.table(number)).collect();
        let mut world = World { tables, ..World::default() };
        world.authority.manifest = TABLES[2].0.to_owned();
        self.add_commits(&mut world);
        self.add_branches(&mut world);
        world.own = self.own.iter().map(|at| pinned(*at)).collect();
        world
    }

    fn table(&self, number: usize) -> Table {
        let (name, role) = TABLES[number];
        let mut table = Table::new(name, role).version_of("main", HEAD, OLD, &["data/head.lance"]);
        for (of, branch, origin) in &self.forks {
            let name = BRANCHES[*branch];
            if *of != number || has(&table, name) {
                continue;
            }
            table = match origin {
                // Branches are cut from those before them in the list: no circles.
                Some((parent, at, age)) => table
                    .branch(name, BRANCHES[*parent % *branch], *at, *age)
                    .version_of(name, HEAD, *age, &[]),
                None => table.zombie(name),
            };
        }
        for ((of, branch, version), committed, written) in &self.versions {
            let branch = BRANCHES[*branch];
            if *of == number && has(&table, branch) && !has_version(&table, branch, *version) {
                table = table.version_of(branch, *version, *committed, &[]);
                let manifest = table.found(branch, *version).manifest;
                table.0.files[manifest.0 as usize].modified = ago(*written);
            }
        }
        if role == Role::Dropped && self.is_emptied {
            table.found("main", HEAD).fragments = 0;
        }
        for chain in &mut table.0.chains {
            chain.versions.sort_by_key(|version| version.version);
        }
        self.add_files(number, &mut table);
        table
    }

    fn add_files(&self, number: usize, table: &mut Table) {
        let mut parts = vec![table.unit("data/head.lance")];
        for (of, branch, age, other) in &self.parts {
            if *of != number || !has(table, BRANCHES[*branch]) {
                continue;
            }
            let path = format!("{}data/p{}", dir(*branch), parts.len());
            let unit = UnitId(table.0.units);
            table.0.units += 1;
            table.file(&format!("{path}.lance"), *age, FileClass::Part(unit));
            parts.push(unit);
            let Some(age) = other else { continue };
            let blobs = [
                (format!("{path}/1.blob"), Some(unit)),
                (format!("{}_blobs/b{}.blob", dir(*branch), parts.len()), None),
            ];
            for (path, beside) in blobs {
                let own = table.new_unit();
                table.file(&path, *age, FileClass::Blob { own, beside });
                parts.push(own);
            }
        }
        let known =
            |table: &Table, at: &At| at.0 == number && has_version(table, BRANCHES[at.1], at.2);
        for (at, part) in &self.refs {
            if known(table, at) {
                let unit = parts[part % parts.len()];
                table.found(BRANCHES[at.1], at.2).refs.push(unit);
            }
        }
        for at in self.tags.iter().filter(|at| known(table, at)).collect::<Vec<_>>() {
            table.found(BRANCHES[at.1], at.2).tags.push("v".into());
        }
        for at in self.broken.iter().filter(|at| known(table, at)).collect::<Vec<_>>() {
            table.found(BRANCHES[at.1], at.2).missing = Some(("data/gone.lance".into(), 1));
        }
        for (_, part) in self.held.iter().filter(|(of, _)| *of == number) {
            table.0.held.push(parts[part % parts.len()]);
        }
        for (_, file) in self.explained.iter().filter(|(of, _)| *of == number) {
            let files = table.0.files.len();
            table.0.explained.push(FileId(u32::try_from(file % files).expect("few files")));
        }
        let others = self.others.iter().filter(|(of, ..)| *of == number);
        for (count, (_, branch, kind, age)) in others.enumerate() {
            if has(table, BRANCHES[*branch]) {
                let (name, class) = [
                    ("data/.tmp", FileClass::Litter),
                    ("_versions/hint", FileClass::Hint),
                    ("_versions/d", FileClass::Untouchable),
                    ("_versions/unread", FileClass::Manifest),
                ][*kind];
                table.file(&format!("{}{name}{count}", dir(*branch)), *age, class);
            }
        }
    }

    /// Commits can be read if their version of `__manifest` exists.
    fn add_commits(&self, world: &mut World) {
        for (number, (branch, version, parents, age, pins)) in self.commits.iter().enumerate() {
            let branch = BRANCHES[*branch];
            let parents = parents.iter().filter(|_| number > 0);
            let parents = parents.map(|parent| format!("c{}", parent % number)).collect();
            let exists = has_version(&world.tables[2], branch, *version);
            world.authority.commits.push(CommitFacts {
                id: format!("c{number}"),
                branch: Branch::named(branch),
                manifest_version: Version(*version),
                parents,
                created_at: ago(*age),
                pins: exists.then(|| pins.iter().map(|at| pinned(*at)).collect()),
            });
        }
    }

    fn add_branches(&self, world: &mut World) {
        let main = [(0, 0, true)];
        for (number, parent, readable) in main.iter().chain(&self.live) {
            let branch = Branch::named(BRANCHES[*number]);
            if world.authority.branches.iter().any(|live| live.branch == branch) {
                continue;
            }
            let head = self.heads.iter().find(|(of, _)| of == number);
            let commits = &world.authority.commits;
            let head = head.and_then(|(_, at)| commits.get(*at)).filter(|_| *readable);
            let pins = self.pins.iter().filter(|(of, ..)| of == number);
            let pins = pins.map(|(_, (table, of, version), drifts)| {
                let is_in_order = of == number && !drifts;
                pinned((*table, *of, if is_in_order { HEAD } else { *version }))
            });
            let pins = pins.collect();
            let facts = BranchFacts {
                is_lost: false,
                parent: (*number > 0).then(|| Branch::named(BRANCHES[*parent % *number])),
                branch,
                pins: if *readable { Ok(pins) } else { Err("damaged".into()) },
                head_commit: head.map(|commit| commit.id.clone()),
                commits: head.map_or_else(Vec::new, |head| history(commits, &head.id)),
            };
            world.authority.branches.push(facts);
        }
    }
}

/// What a branch has in its history, newest first: first parents. Of a branch that was merged into it there
/// is only the commit that was merged, as a parent.
fn history(commits: &[CommitFacts], head: &str) -> Vec<String> {
    let mut found = vec![head.to_owned()];
    while let Some(commit) = commits.iter().find(|commit| Some(&commit.id) == found.last()) {
        let Some(parent) = commit.parents.first() else { break };
        found.push(parent.clone());
    }
    found
}

fn pinned((table, branch, version): At) -> PinnedVersion {
    pin(&(TABLES[table].0, BRANCHES[branch], version))
}

fn dir(branch: usize) -> String {
    if branch == 0 { String::new() } else { format!("tree/{}/", BRANCHES[branch]) }
}

fn has(table: &Table, branch: &str) -> bool {
    table.0.chains.iter().any(|chain| chain.branch == Branch::named(branch))
}

fn has_version(table: &Table, branch: &str, version: u64) -> bool {
    let mut chains = table.0.chains.iter().filter(|c| c.branch == Branch::named(branch));
    chains.any(|chain| chain.versions.iter().any(|facts| facts.version.0 == version))
}
