//! Graphs made by commits, branches and merges in turn, as real ones are: every commit writes the one
//! table, and pins the version that it wrote.

use lancekeeper_model::{Branch, Version};
use proptest::collection::vec;
use proptest::prelude::*;

use super::super::tests::{OLD, Table, World, ago, pin};
use super::super::*;

const TABLE: &str = "T";
const MANIFEST: &str = "__manifest";
const NAMES: [&str; 4] = ["main", "a", "b", "c"];

/// What happens next. Branches by number, modulo those there are.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    Commit(usize),
    Cut(usize),
    Merge(usize, usize),
}

pub(super) fn steps() -> impl Strategy<Value = Vec<Step>> {
    let branch = || 0..NAMES.len();
    let step = prop_oneof![
        4 => branch().prop_map(Step::Commit),
        2 => branch().prop_map(Step::Cut),
        3 => (branch(), branch()).prop_map(|(from, to)| Step::Merge(from, to)),
    ];
    vec(step, 1..24)
}

/// The graph after these steps, one every few minutes, the last of them now.
pub(super) fn world(steps: &[Step], minutes: i64) -> World {
    // Commits on a branch, newest first, by number.
    let mut branches: Vec<Vec<usize>> = vec![Vec::new()];
    // Parents of each commit, and which step made it.
    let mut commits: Vec<(Vec<usize>, usize)> = Vec::new();
    let mut write =
        |on: usize, merged: Option<usize>, at: usize, branches: &mut Vec<Vec<usize>>| {
            let parents = branches[on].first().copied().into_iter().chain(merged).collect();
            branches[on].insert(0, commits.len());
            commits.push((parents, at));
        };
    write(0, None, 0, &mut branches);
    for (at, step) in steps.iter().enumerate() {
        let count = branches.len();
        match *step {
            Step::Commit(on) => write(on % count, None, at, &mut branches),
            Step::Cut(from) if count < NAMES.len() => branches.push(branches[from % count].clone()),
            Step::Merge(from, to) if from % count != to % count => {
                let merged = branches[from % count].first().copied();
                write(to % count, merged, at, &mut branches);
            }
            Step::Cut(_) | Step::Merge(..) => {}
        }
    }
    let version = |commit: usize| u64::try_from(commit).map_or(OLD.unsigned_abs(), |n| n + 1);
    let age = |at: usize| (i64::try_from(steps.len() - 1 - at).unwrap_or(OLD)) * minutes;
    let (mut table, mut manifest) =
        (Table::new(TABLE, Role::Table), Table::new(MANIFEST, Role::Manifest));
    let mut world = World::default();
    world.authority.manifest = MANIFEST.to_owned();
    for (number, (parents, at)) in commits.iter().enumerate() {
        // All on main, so that it is commits that keep versions, and not forks.
        table = table.version_of("main", version(number), age(*at), &[&format!("data/{number}")]);
        manifest = manifest.version_of("main", version(number), age(*at), &[]);
        world.authority.commits.push(CommitFacts {
            id: format!("c{number}"),
            branch: Branch::main(),
            manifest_version: Version(version(number)),
            parents: parents.iter().map(|parent| format!("c{parent}")).collect(),
            created_at: ago(age(*at)),
            pins: Some(vec![pin(&(TABLE, "main", version(number)))]),
        });
    }
    world.tables = vec![table, manifest];
    for (number, own) in branches.iter().enumerate() {
        let head = own.first().copied().unwrap_or_default();
        world.authority.branches.push(BranchFacts {
            branch: Branch::named(NAMES[number]),
            is_lost: false,
            parent: (number > 0).then(Branch::main),
            pins: Ok(vec![pin(&(TABLE, "main", version(head)))]),
            head_commit: Some(format!("c{head}")),
            commits: own.iter().map(|commit| format!("c{commit}")).collect(),
        });
    }
    world
}
