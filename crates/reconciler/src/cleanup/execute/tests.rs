//! Deletions, over files in memory: what goes, in which order it stops, and what stays then.

use std::collections::{BTreeMap, BTreeSet};

use lance_table::format::pb;
use lancekeeper_model::{RootKind, TableKey, TableRef, Version};
use lancekeeper_planner::cleanup::{
    DatasetFacts, Deletion, DeletionReason, DeletionStep, FileClass, FileFacts, FileId,
    ForkDecision, Leftover, Role, UnitId,
};
use lancekeeper_queue::{HoldTimes, Queues, RootIdentity, RootQueue};
use lancekeeper_store::Files;
use prost::Message;

use super::*;
use crate::cleanup::flip::BranchFile;
use crate::cleanup::names::Names;
use crate::cleanup::stored::{self, Stored};

const TABLE: &str = "nodes/1";
const BRANCH_FILE: &str = "_refs/branches/a%2Fdev.json";
const OLD: &str = "_versions/3.manifest";
const OLDER: &str = "_versions/2.manifest";

/// What a cleanup of one table begins with: an orphaned fork and two versions are to go.
struct World {
    root: Files,
    dataset: DatasetInventory,
    plan: DatasetPlan,
    executor: Executor,
    queue: RootQueue,
    _stop: watch::Sender<bool>,
}

impl World {
    async fn new(stops: bool) -> Self {
        let all = [BRANCH_FILE, OLD, OLDER, "data/a.lance", "data/b.lance", "data/kept.lance"];
        Self::of(&all.map(str::to_owned), stops).await
    }

    /// What takes several turns: so many versions are to go, each with a file.
    async fn large(versions: usize) -> Self {
        let numbers = 1_000..1_000 + versions;
        let versions = numbers.clone().map(|number| format!("_versions/{number}.manifest"));
        let files = numbers.map(|number| format!("data/{number}.lance"));
        Self::of(&versions.chain(files).collect::<Vec<_>>(), false).await
    }

    async fn of(all: &[String], stops: bool) -> Self {
        let root = Files::in_memory();
        let files = root.below(TABLE);
        for path in all {
            files.put(path, "as listed").await.unwrap();
        }
        let facts = facts(&files).await;
        let plan = plan(&facts);
        let (stop, receiver) = watch::channel(stops);
        let queue = Queues::new().root(&RootIdentity::new("/nowhere"));
        let executor = Executor {
            root: Root {
                given: String::new(),
                kind: RootKind::Graph,
                directory: "/nowhere".into(),
                address: "/nowhere".to_owned(),
                has_namespaces: false,
            },
            graph: None,
            stop: receiver,
            cancel: watch::channel(false).1,
            lists: Lists::of(&root),
            operation: OperationId::new("OP"),
            at_once: 2,
            rate: None,
            observer: Observer::default(),
        };
        Self { root, dataset: inventory(files, facts), plan, executor, queue, _stop: stop }
    }

    async fn execute(&self) -> Done {
        self.execute_under(&mut Keys::by_turns(self.queue.try_acquire([key()]).unwrap())).await
    }

    async fn execute_under(&self, keys: &mut Keys) -> Done {
        self.executor.execute(&self.dataset, &self.plan, 0, keys, DateTime::default()).await
    }

    async fn left(&self) -> Vec<String> {
        let listed = self.dataset.files.list("").await.unwrap();
        listed.into_iter().map(|file| file.path).collect()
    }

    async fn pending(&self) -> usize {
        self.executor.lists.pending().await.unwrap().lists.len()
    }
}

/// The table, on main.
fn key() -> TableRef {
    TableRef::on_main(TableKey::new("node:P"))
}

async fn facts(files: &Files) -> DatasetFacts {
    let mut units = 0..;
    let mut class = |path: &str| match path {
        BRANCH_FILE => FileClass::BranchFile,
        path if path.starts_with("_versions/") => FileClass::Manifest,
        _ => FileClass::Part(UnitId(units.next().unwrap())),
    };
    let listed = files.list("").await.unwrap().into_iter().map(|file| FileFacts {
        class: class(&file.path),
        path: file.path,
        bytes: file.bytes,
        modified: file.modified,
        chain: None,
    });
    DatasetFacts {
        table: TableKey::new("node:P"),
        location: TABLE.to_owned(),
        role: Role::Table,
        files: listed.collect(),
        units: units.next().unwrap(),
        sets: BTreeMap::new(),
        chains: Vec::new(),
        held: Vec::new(),
        unsure: None,
        blobs_unread: None,
        warnings: Vec::new(),
        stuck: BTreeSet::new(),
        explained: Vec::new(),
    }
}

fn inventory(files: Files, facts: DatasetFacts) -> DatasetInventory {
    let mut names = Names::default();
    for file in &facts.files {
        if let FileClass::Part(unit) = file.class {
            names.unit(file.path.clone(), unit);
        }
    }
    DatasetInventory {
        facts,
        files,
        names,
        table: None,
        detached: Vec::new(),
        tables: std::sync::Arc::default(),
        beside: BTreeSet::new(),
        blobs_unread: None,
        reads_blobs_below: BTreeSet::new(),
    }
}

fn plan(facts: &DatasetFacts) -> DatasetPlan {
    let files = facts.files.iter().zip(0..).filter(|(file, _)| file.path != "data/kept.lance");
    let mut deletions: Vec<Deletion> = files
        .map(|(file, at)| {
            let (step, reason) = match file.class {
                FileClass::BranchFile => (DeletionStep::BranchFile, DeletionReason::Fork),
                FileClass::Manifest => (DeletionStep::Manifest, DeletionReason::Version),
                _ => (DeletionStep::Rest, DeletionReason::OnlyRemovedVersions),
            };
            let (path, bytes) = (file.path.clone(), file.bytes);
            Deletion { file: FileId(at), path, bytes, step, reason }
        })
        .collect();
    deletions.sort_by_key(|deletion| deletion.step);
    DatasetPlan {
        table: facts.table.clone(),
        location: facts.location.clone(),
        refused: None,
        kept: Vec::new(),
        removed: vec![(Branch::main(), Version(2)), (Branch::main(), Version(3))],
        empties: None,
        forks: vec![ForkDecision {
            branch: Branch::named("a/dev"),
            status: ForkRefStatus::Orphan,
            why: String::new(),
            is_said: false,
        }],
        deletions,
        unverified_left: Leftover::default(),
        warnings: Vec::new(),
    }
}

#[tokio::test]
async fn exactly_what_is_listed_goes_and_is_recorded() {
    let world = World::new(false).await;
    let done = world.execute().await;
    assert!(done.error.is_none() && done.fork_error.is_none(), "{done:?}");
    assert_eq!((done.files, done.bytes, done.versions), (5, 45, 2));
    assert_eq!(world.left().await, ["data/kept.lance"]);
    assert_eq!(world.pending().await, 0);
    let records = world.root.below("__maintenance/audit").names(".json").await.unwrap();
    assert_eq!(records, ["OP-0000.json"]);
}

#[tokio::test]
async fn a_fork_that_was_made_anew_stops_everything_before_it_began() {
    for content in [None, Some("made anew")] {
        let world = World::new(false).await;
        let files = &world.dataset.files;
        files.delete(BRANCH_FILE).await.unwrap();
        if let Some(content) = content {
            files.put(BRANCH_FILE, content).await.unwrap();
        }
        let before = world.left().await;
        let done = world.execute().await;
        let (forks, error) = done.fork_error.unwrap();
        assert_eq!(forks, [Branch::named("a/dev")]);
        assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
        assert_eq!((done.files, world.left().await), (0, before));
        assert_eq!(world.pending().await, 0, "the list was given up");
    }
}

#[tokio::test]
async fn what_a_manifest_that_was_written_anew_refers_to_stays() {
    let world = World::new(false).await;
    world.dataset.files.put(OLD, "another version").await.unwrap();
    let done = world.execute().await;
    let error = done.error.unwrap();
    assert!(matches!(error, CleanupError::Left { count: 1, of: 2, .. }), "{error}");
    assert_eq!(world.left().await, [OLD, "data/a.lance", "data/b.lance", "data/kept.lance"]);
    assert_eq!((done.versions, world.pending().await), (1, 1));
}

/// The manifest of a version of one data file.
fn version_reading(file: &str, version: u64) -> prost::bytes::Bytes {
    let file = pb::DataFile {
        path: file.to_owned(),
        fields: vec![0],
        column_indices: vec![0],
        file_major_version: 2,
        ..pb::DataFile::default()
    };
    let fragment = pb::DataFragment { files: vec![file], ..pb::DataFragment::default() };
    let mut stored = Stored::default();
    (stored.fragments, stored.version) = (vec![fragment.encode_to_vec().into()], version);
    stored::tests::file(&stored.encode_to_vec())
}

#[tokio::test]
async fn what_a_version_that_appeared_refers_to_is_spared() {
    let world = World::new(false).await;
    world.dataset.files.put("_versions/9.manifest", version_reading("a.lance", 9)).await.unwrap();
    let done = world.execute().await;
    assert!(done.error.is_none(), "{done:?}");
    assert_eq!(world.left().await, ["_versions/9.manifest", "data/a.lance", "data/kept.lance"]);
}

#[tokio::test]
async fn a_run_that_is_asked_to_stop_leaves_what_no_manifest_names_any_more_and_its_list() {
    let world = World::new(true).await;
    let done = world.execute().await;
    assert!(matches!(done.error, Some(CleanupError::Interrupted)), "{done:?}");
    assert_eq!(world.left().await, ["data/a.lance", "data/b.lance", "data/kept.lance"]);
    assert_eq!(world.pending().await, 1);
}

#[tokio::test]
async fn a_job_that_is_cancelled_stops_as_a_run_does() {
    let mut world = World::new(false).await;
    world.executor.cancel = watch::channel(true).1;
    let done = world.execute().await;
    assert!(matches!(done.error, Some(CleanupError::Cancelled)), "{done:?}");
    assert_eq!(world.left().await, ["data/a.lance", "data/b.lance", "data/kept.lance"]);
}

#[tokio::test]
async fn a_branch_file_is_put_back_unless_there_is_one_again() {
    let world = World::new(false).await;
    let files = &world.dataset.files;
    let file = BranchFile::of(&world.root, &world.plan).await.unwrap().unwrap();
    assert_eq!(file.text(), "as listed");
    files.delete(BRANCH_FILE).await.unwrap();
    file.put_back().await.unwrap();
    assert_eq!(files.read(BRANCH_FILE).await.unwrap().unwrap(), "as listed");
    files.put(BRANCH_FILE, "theirs").await.unwrap();
    file.put_back().await.unwrap();
    assert_eq!(files.read(BRANCH_FILE).await.unwrap().unwrap(), "theirs");
    files.delete(BRANCH_FILE).await.unwrap();
    assert!(BranchFile::of(&world.root, &world.plan).await.unwrap().is_none());
}

/// Runs a cleanup while a writer waits for the table. Returns what was done, and how many files
/// were left when the writer had its turn, in which it did as told.
async fn with_writer<F: Future<Output = ()>>(
    world: &World,
    writes: impl FnOnce(Files) -> F,
) -> (Done, usize) {
    let held = world.queue.try_acquire([key()]).unwrap();
    let writer = async {
        let _held = world.queue.acquire([key()]).await.unwrap();
        let left = world.left().await.len();
        writes(world.dataset.files.clone()).await;
        left
    };
    let mut keys = Keys::by_turns(held);
    // The writer is asked first, so that it waits before anything goes.
    let both = async { tokio::join!(writer, world.execute_under(&mut keys)) };
    let both = tokio::time::timeout(std::time::Duration::from_secs(60), both).await;
    let (left, done) = both.expect("the writer never had its turn");
    (done, left)
}

#[tokio::test]
async fn a_writer_that_waits_has_its_turn_after_a_thousand_deletions() {
    let world = World::large(1_500).await;
    let (done, left) = with_writer(&world, |_| async {}).await;
    assert!(done.error.is_none(), "{done:?}");
    assert_eq!((done.files, done.versions), (3_000, 1_500));
    assert_eq!(world.left().await, [""; 0]);
    // Fewer than a thousand, where they take long.
    assert!((2_000..3_000).contains(&left), "{left} of 3000 were left");
}

#[tokio::test]
async fn a_tag_that_a_writer_sets_in_its_turn_keeps_its_version() {
    let world = World::large(1_500).await;
    let tag = r#"{"branch":null,"version":2499,"manifestSize":1}"#;
    let (done, _) = with_writer(&world, |files| async move {
        files.put("_refs/tags/late.json", tag).await.unwrap();
    })
    .await;
    assert!(matches!(done.error, Some(CleanupError::Unsettled)), "{done:?}");
    let left = world.left().await;
    for stays in ["_versions/2499.manifest", "data/2499.lance"] {
        assert!(left.iter().any(|path| path == stays), "{stays} is gone");
    }
    assert!(done.files < 1_500 && done.versions == done.files, "{done:?}");
}

#[tokio::test]
async fn what_a_writer_restores_in_its_turn_keeps_its_files() {
    for versions in [1_500, 700] {
        let world = World::large(versions).await;
        let last = 1_000 + versions - 1;
        let restored = version_reading(&format!("{last}.lance"), 9_000);
        let (done, _) = with_writer(&world, |files| async move {
            files.put("_versions/9000.manifest", restored).await.unwrap();
        })
        .await;
        assert!(done.error.is_none(), "{done:?}");
        let expected = ["_versions/9000.manifest".to_owned(), format!("data/{last}.lance")];
        assert_eq!(world.left().await, expected);
    }
}

#[tokio::test]
async fn a_manifest_that_a_writer_makes_anew_under_its_name_keeps_its_files() {
    let world = World::large(700).await;
    let anew = version_reading("1699.lance", 1_000);
    let (done, _) = with_writer(&world, |files| async move {
        files.put("_versions/1000.manifest", anew).await.unwrap();
    })
    .await;
    assert!(done.error.is_none(), "{done:?}");
    assert_eq!(world.left().await, ["_versions/1000.manifest", "data/1699.lance"]);
}

#[tokio::test]
async fn no_pause_for_the_sake_of_a_rate_is_made_under_the_keys() {
    let mut world = World::new(false).await;
    world.executor.rate = Some(10);
    let times = HoldTimes::default();
    world.queue = world.queue.timed(times.clone());
    let began = std::time::Instant::now();
    let (done, left) = with_writer(&world, |_| async {}).await;
    assert_eq!((done.files, world.left().await.len()), (5, 1), "{done:?}");
    // The first deletion is a branch file: the writer comes right after it.
    assert_eq!(left, 5);
    assert!(began.elapsed().as_millis() >= 400, "{:?}", began.elapsed());
    let holds = times.holds();
    assert!(holds.count > 4 && holds.p50_ms < 50.0, "{holds:?}");
}

#[tokio::test]
async fn a_caller_that_keeps_its_keys_lets_nobody_in() {
    let world = World::large(1_500).await;
    let held = world.queue.try_acquire([key()]).unwrap();
    let mut waiting = Box::pin(world.queue.acquire([key()]));
    let cleanup = async {
        let done = world.execute_under(&mut Keys::throughout(&held)).await;
        (done, held)
    };
    let (done, held) = tokio::select! {
        biased;
        _ = &mut waiting => panic!("somebody was let in"),
        done = cleanup => done,
    };
    assert_eq!((done.files, done.error.is_none()), (3_000, true), "{done:?}");
    drop(held);
    assert!(waiting.await.is_ok());
}
