//! Deletions, over files in memory: what goes, in which order it stops, and what stays then.

use std::collections::BTreeMap;

use lance_table::format::pb;
use lancekeeper_model::{RootKind, TableKey, Version};
use lancekeeper_planner::cleanup::{
    DatasetFacts, DeletionReason, FileFacts, FileId, ForkDecision, Leftover,
};
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
    _stop: watch::Sender<bool>,
}

impl World {
    async fn new(stops: bool) -> Self {
        let root = Files::in_memory();
        let files = root.below(TABLE);
        let all = [BRANCH_FILE, OLD, OLDER, "data/a.lance", "data/b.lance", "data/kept.lance"];
        for path in all {
            files.put(path, "as listed").await.unwrap();
        }
        let facts = facts(&files).await;
        let plan = plan(&facts);
        let (stop, receiver) = watch::channel(stops);
        let executor = Executor {
            root: Root {
                given: String::new(),
                kind: RootKind::Graph,
                directory: "/nowhere".into(),
                address: "/nowhere".to_owned(),
                has_namespaces: false,
            },
            stop: receiver,
            lists: Lists::of(&root),
            operation: OperationId::new("OP"),
            at_once: 2,
            rate: None,
            observer: Observer::default(),
        };
        Self { root, dataset: inventory(files, facts), plan, executor, _stop: stop }
    }

    async fn execute(&self) -> Done {
        self.executor.execute(&self.dataset, &self.plan, 0, DateTime::default()).await
    }

    async fn left(&self) -> Vec<String> {
        let listed = self.dataset.files.list("").await.unwrap();
        listed.into_iter().map(|file| file.path).collect()
    }

    async fn pending(&self) -> usize {
        self.executor.lists.pending().await.unwrap().lists.len()
    }
}

async fn facts(files: &Files) -> DatasetFacts {
    let mut units = 0..;
    let mut class = |path: &str| match path {
        BRANCH_FILE => FileClass::BranchFile,
        OLD | OLDER => FileClass::Manifest,
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

#[tokio::test]
async fn what_a_version_that_appeared_refers_to_is_spared() {
    let world = World::new(false).await;
    let file = pb::DataFile {
        path: "a.lance".to_owned(),
        fields: vec![0],
        column_indices: vec![0],
        file_major_version: 2,
        ..pb::DataFile::default()
    };
    let fragment = pb::DataFragment { files: vec![file], ..pb::DataFragment::default() };
    let fragments = vec![fragment.encode_to_vec().into()];
    let mut restored = Stored::default();
    (restored.fragments, restored.version) = (fragments, 9);
    let restored = stored::tests::file(&restored.encode_to_vec());
    world.dataset.files.put("_versions/9.manifest", restored).await.unwrap();
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
