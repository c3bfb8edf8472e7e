//! The commits that the readers of each branch of a v3 graph know, and those that it never wrote down.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use arrow_array::cast::AsArray;
use arrow_array::types::{TimestampMicrosecondType, UInt64Type};
use arrow_array::{Array, RecordBatch};
use chrono::Utc;
use lancekeeper_model::{Branch, ErrorKind, Version};
use lancekeeper_planner::migrate::Refusal;
use sha2::{Digest, Sha256};

use super::super::MigrateError;
use crate::graph::{Graph, RUN_PREFIX};
use crate::history::{LiveBranch, scan};
use crate::lineage::{ACTORS, COMMITS};
use crate::unnamed::UnnamedPublish;

/// A v3 publisher writes its commit row right after its publish. One that opened the graph before the
/// fence may be about to.
const ROW_WAIT: Duration = Duration::from_secs(2);

/// One commit, with everything v3 knows of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Commit {
    pub(super) id: String,
    /// The branch it was made on.
    pub(super) branch: Branch,
    /// Its version of that branch's `__manifest`.
    pub(super) version: u64,
    pub(super) parent: Option<String>,
    pub(super) merged_parent: Option<String>,
    pub(super) actor: Option<String>,
    /// Microseconds since 1970.
    pub(super) created_at: i64,
    /// Whether v3 never wrote it down.
    pub(super) is_rebuilt: bool,
}

impl Commit {
    /// The order in which the clients take the newest commit for the head.
    pub(super) fn rank(&self) -> (u64, i64, &str) {
        (self.version, self.created_at, &self.id)
    }
}

/// The commits of every public branch, oldest first.
#[derive(Debug, Default)]
pub(super) struct Histories {
    commits: BTreeMap<Branch, Vec<Commit>>,
    /// Whether the dataset is not there that says who made which commit. No commit says whether somebody is named
    /// there, so it may be lost, or never have been made.
    pub(super) lacks_actors: bool,
}

impl Histories {
    pub(super) fn of(&self, branch: &Branch) -> &[Commit] {
        self.commits.get(branch).map_or(&[], Vec::as_slice)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = (&Branch, &[Commit])> {
        self.commits.iter().map(|(branch, commits)| (branch, commits.as_slice()))
    }

    /// Reads them. `rebuild` goes on without the dataset that has them, or without a branch of it: those commits are
    /// made of versions then.
    pub(super) async fn read(graph: &Graph, rebuild: bool) -> Result<Self, MigrateError> {
        let live = graph.live_branches().await?;
        let mut read = Self::default();
        let mut left: Vec<LiveBranch> = live;
        left.retain(|live| !live.branch.label().starts_with(RUN_PREFIX));
        // A branch comes after the one it was cut from; main was cut from none.
        while !left.is_empty() {
            let is_next = |live: &LiveBranch| {
                live.parent.as_ref().is_none_or(|parent| read.commits.contains_key(parent))
            };
            let at = left.iter().position(is_next).unwrap_or(0);
            let live = left.remove(at);
            let commits = read.commits_of(graph, &live, rebuild).await?;
            read.commits.insert(live.branch, commits);
        }
        read.commits.retain(|branch, _| !branch.is_internal());
        let actors = format!("{ACTORS}/_versions");
        read.lacks_actors = !graph.root.files().has_directory(&actors).await;
        Ok(read)
    }

    async fn commits_of(
        &self,
        graph: &Graph,
        live: &LiveBranch,
        rebuild: bool,
    ) -> Result<Vec<Commit>, MigrateError> {
        let inherited = live.parent.as_ref().map(|parent| self.of(parent));
        let cut = live.parent_version.unwrap_or(Version(0));
        let mut waited = false;
        loop {
            let written = written_down(graph, &live.branch, rebuild).await?;
            if written.is_none() && !rebuild && !graph.is_untouched(&live.branch).await? {
                let branch = live.branch.clone();
                return Err(Refusal::NoBranchHistory { branch }.into());
            }
            let mut own = written.unwrap_or_default();
            // After the commits: a publisher writes the actor's row last.
            let actors = actors(graph).await?;
            for commit in &mut own {
                commit.actor = actors.get(&commit.id).cloned();
            }
            let mut commits = known(&live.branch, cut, inherited.unwrap_or_default(), own);
            let named: BTreeSet<Version> = commits
                .iter()
                .filter(|commit| commit.branch == live.branch)
                .map(|commit| Version(commit.version))
                .collect();
            // The first commit is the one that the graph began with: it names a later version than the
            // one that pinned the tables.
            let first = if live.parent.is_none() { named.first().copied() } else { None };
            let after = first.unwrap_or(cut);
            let unnamed = graph.publishes_but(&live.branch, after, &named).await?;
            let is_fresh = |publish: &UnnamedPublish| {
                (Utc::now() - publish.written_at).to_std().unwrap_or_default() < ROW_WAIT
            };
            if !waited && unnamed.iter().any(is_fresh) {
                waited = true;
                tokio::time::sleep(ROW_WAIT).await;
                continue;
            }
            rebuilt(&live.branch, &unnamed, &mut commits);
            return Ok(commits);
        }
    }
}

/// What the readers of a branch know: what was inherited up to the version it was cut at, and its own.
///
/// v3 cuts `__manifest` and the history one after the other, so either may be a commit ahead. A commit
/// of what the branch was cut from, after that version, is in none of its tables.
fn known(branch: &Branch, cut: Version, inherited: &[Commit], own: Vec<Commit>) -> Vec<Commit> {
    let of_parents: BTreeSet<&Branch> = inherited.iter().map(|commit| &commit.branch).collect();
    let is_known = |commit: &Commit| {
        commit.branch == *branch || commit.version <= cut.0 || !of_parents.contains(&commit.branch)
    };
    let mut commits: BTreeMap<String, Commit> = BTreeMap::new();
    let all = inherited.iter().cloned().chain(own);
    commits.extend(all.filter(is_known).map(|commit| (commit.id.clone(), commit)));
    let mut commits: Vec<Commit> = commits.into_values().collect();
    commits.sort_by(|a, b| a.rank().cmp(&b.rank()));
    commits
}

/// Adds a commit for each publish that none names. Whoever does it again adds the same ones.
fn rebuilt(branch: &Branch, unnamed: &[UnnamedPublish], commits: &mut Vec<Commit>) {
    for publish in unnamed {
        let version = publish.version.0;
        let parent = commits.iter().rfind(|commit| commit.version < version);
        let commit = Commit {
            id: rebuilt_id(branch, version, publish.written_at.timestamp_micros()),
            branch: branch.clone(),
            version,
            parent: parent.map(|parent| parent.id.clone()),
            merged_parent: None,
            actor: None,
            created_at: publish.written_at.timestamp_micros(),
            is_rebuilt: true,
        };
        let at = commits.partition_point(|other| other.rank() < commit.rank());
        commits.insert(at, commit);
    }
}

/// A ULID of the time at which the version was written, in microseconds since 1970, with what is random else made of
/// its place.
pub(super) fn rebuilt_id(branch: &Branch, version: u64, written_at: i64) -> String {
    let place = format!("lancekeeper/commit/{branch}/{version}/{written_at}");
    let digest = Sha256::digest(place.as_bytes());
    let random = digest.iter().take(10).fold(0, |sum: u128, byte| sum << 8 | u128::from(*byte));
    let millis = u64::try_from(written_at.div_euclid(1_000)).unwrap_or_default();
    ulid::Ulid::from_parts(millis, random).to_string()
}

/// The commits in the history that v3 keeps apart, on one branch of it; `None` if there is no such branch.
async fn written_down(
    graph: &Graph,
    branch: &Branch,
    rebuild: bool,
) -> Result<Option<Vec<Commit>>, MigrateError> {
    let commits = match graph.tables.open(&graph.root.address_of(COMMITS), branch).await {
        Ok(commits) => commits,
        // A branch that died in the making has none, and inherits what it was cut from; and all of it
        // may be lost, if that was said.
        Err(error) if error.kind() == ErrorKind::NotFound && (rebuild || !branch.is_main()) => {
            return Ok(None);
        }
        Err(error) => return Err(error.into()),
    };
    let columns = [
        "graph_commit_id",
        "manifest_branch",
        "manifest_version",
        "parent_commit_id",
        "merged_parent_commit_id",
        "created_at",
    ];
    let batches = scan(&commits, &columns).await?;
    Ok(Some(batches.iter().flat_map(decoded).collect()))
}

fn decoded(batch: &RecordBatch) -> Vec<Commit> {
    let some = |column: usize, at: usize| {
        let column = batch.column(column).as_string::<i32>();
        (!column.is_null(at)).then(|| column.value(at).to_owned())
    };
    let versions = batch.column(2).as_primitive::<UInt64Type>();
    let times = batch.column(5).as_primitive::<TimestampMicrosecondType>();
    (0..batch.num_rows())
        .map(|at| Commit {
            id: some(0, at).unwrap_or_default(),
            branch: Branch::from(some(1, at)),
            version: versions.value(at),
            parent: some(3, at),
            merged_parent: some(4, at),
            actor: None,
            created_at: times.value(at),
            is_rebuilt: false,
        })
        .collect()
}

/// Who made which commit, as far as it was said. The dataset of it has no branches; graphs from before
/// there were actors have none.
async fn actors(graph: &Graph) -> Result<HashMap<String, String>, MigrateError> {
    let actors = match graph.tables.open(&graph.root.address_of(ACTORS), &Branch::main()).await {
        Ok(actors) => actors,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(HashMap::new()),
        Err(error) => return Err(error.into()),
    };
    let batches = scan(&actors, &["graph_commit_id", "actor_id"]).await?;
    let mut by_commit = HashMap::new();
    for batch in &batches {
        let (ids, names) = (batch.column(0).as_string::<i32>(), batch.column(1).as_string::<i32>());
        let of = |at: usize| (ids.value(at).to_owned(), names.value(at).to_owned());
        by_commit.extend((0..batch.num_rows()).map(of));
    }
    Ok(by_commit)
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    fn commit(id: &str, branch: &Branch, version: u64) -> Commit {
        Commit {
            id: id.to_owned(),
            branch: branch.clone(),
            version,
            parent: None,
            merged_parent: None,
            actor: None,
            created_at: 0,
            is_rebuilt: false,
        }
    }

    fn ids(commits: &[Commit]) -> Vec<&str> {
        commits.iter().map(|commit| commit.id.as_str()).collect()
    }

    fn publish(version: u64) -> UnnamedPublish {
        UnnamedPublish {
            branch: Branch::main(),
            version: Version(version),
            written_at: DateTime::from_timestamp(1_700_000_000, 0).unwrap(),
        }
    }

    #[test]
    fn a_branch_knows_what_it_inherited_up_to_its_cut_and_its_own() {
        let (main, work) = (Branch::main(), Branch::named("work"));
        let inherited = [commit("A", &main, 3), commit("B", &main, 4), commit("C", &main, 5)];
        // Its history was cut before that of `__manifest`, or after: B is missing, or C is too much.
        let own = vec![commit("A", &main, 3), commit("C", &main, 5), commit("W", &work, 5)];
        let commits = known(&work, Version(4), &inherited, own);
        assert_eq!(ids(&commits), ["A", "B", "W"]);
        assert_eq!(ids(&known(&main, Version(0), &[], inherited.to_vec())), ["A", "B", "C"]);
    }

    #[test]
    fn a_publish_that_no_commit_names_gets_one_the_same_each_time() {
        let main = Branch::main();
        let before = vec![commit("A", &main, 3), commit("B", &main, 6)];
        let mut once = before.clone();
        rebuilt(&main, &[publish(5), publish(7)], &mut once);
        assert_eq!(once.iter().map(|commit| commit.version).collect::<Vec<_>>(), [3, 5, 6, 7]);
        assert_eq!(once[1].parent.as_deref(), Some("A"));
        assert_eq!(once[3].parent.as_deref(), Some("B"));
        assert_eq!(once[2].parent, None, "what was written down stays as it is");
        let mut twice = before;
        rebuilt(&main, &[publish(5), publish(7)], &mut twice);
        assert_eq!(once, twice);
        assert_ne!(once[1].id, once[3].id);
        assert_eq!(once[1].id.len(), 26);
    }
}
