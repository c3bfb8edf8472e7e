//! Lists and records, over files in memory.

use lancekeeper_model::{Branch, TableKey, Version};
use lancekeeper_planner::cleanup::{DeletionStep, FileId, Leftover};
use serde_json::Value;

use super::*;

fn plan() -> DatasetPlan {
    let deletion = |path: &str, step, reason| Deletion {
        file: FileId(0),
        path: path.to_owned(),
        bytes: 10,
        step,
        reason,
    };
    DatasetPlan {
        table: TableKey::new("node:P"),
        location: "nodes/1".to_owned(),
        refused: None,
        kept: Vec::new(),
        removed: vec![(Branch::main(), Version(3)), (Branch::main(), Version(4))],
        empties: None,
        forks: Vec::new(),
        deletions: vec![
            deletion("_versions/3.manifest", DeletionStep::Manifest, DeletionReason::Version),
            deletion("data/a.lance", DeletionStep::Rest, DeletionReason::OnlyRemovedVersions),
            deletion("data/b.lance", DeletionStep::Rest, DeletionReason::Unreferenced),
        ],
        unverified_left: Leftover::default(),
        warnings: Vec::new(),
    }
}

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000, 0).unwrap()
}

async fn written(lists: &Lists) -> PendingList {
    lists.write(&OperationId::new("OP"), 2, &plan()).await.unwrap()
}

async fn record_in(root: &Files, file: &str) -> Value {
    let content = root.read(&format!("{RECORD_DIR}/{file}")).await.unwrap().unwrap();
    serde_json::from_slice(&content).unwrap()
}

#[tokio::test]
async fn a_list_that_was_written_is_pending_until_it_ends() {
    let root = Files::in_memory();
    let lists = Lists::of(&root);
    assert_eq!(lists.pending().await.unwrap(), Pending::default());
    let list = written(&lists).await;
    assert_eq!(list.file, "OP-0002.json");
    let pending = lists.pending().await.unwrap();
    assert_eq!((pending.lists.len(), pending.torn.len()), (1, 0));
    assert_eq!(pending.lists[0].location, "nodes/1");
    let paths = plan().deletions.into_iter().map(|deletion| deletion.path).collect();
    assert_eq!(pending.lists[0].paths, paths);
    lists.end(&list).await.unwrap();
    lists.end(&list).await.unwrap();
    assert_eq!(lists.pending().await.unwrap(), Pending::default());
}

#[tokio::test]
async fn a_torn_list_counts_for_nothing_and_a_newer_one_stops_everything() {
    let root = Files::in_memory();
    let lists = Lists::of(&root);
    let list = written(&lists).await;
    root.put(&format!("{LIST_DIR}/torn.json"), "{\"schema\":1,\"oper").await.unwrap();
    let pending = lists.pending().await.unwrap();
    assert_eq!(pending.lists[0].file, list.file);
    assert_eq!((pending.torn.len(), pending.torn[0].0.as_str()), (1, "torn.json"));
    lists.end_torn("torn.json").await.unwrap();
    assert_eq!(lists.pending().await.unwrap().torn.len(), 0);
    // Whatever else it says.
    root.put(&format!("{LIST_DIR}/newer.json"), "{\"schema\":2}").await.unwrap();
    let error = lists.pending().await.unwrap_err();
    assert!(matches!(error, CleanupError::List { .. }), "{error}");
    assert!(error.to_string().contains("newer.json"), "{error}");
}

#[tokio::test]
async fn a_record_says_what_went_and_not_what_was_spared() {
    let root = Files::in_memory();
    let lists = Lists::of(&root);
    let list = written(&lists).await;
    lists.record(&list, &plan(), &BTreeSet::from(["data/a.lance"]), now()).await.unwrap();
    let record = record_in(&root, &list.file).await;
    assert_eq!((&record["files"], &record["bytes"]), (&2.into(), &20.into()));
    assert_eq!(record["interrupted"], false);
    assert_eq!(record["versions"]["main"], serde_json::json!([3, 4]));
    assert_eq!(record["reasons"], serde_json::json!({"old_version": 1, "unreferenced": 1}));
    assert_eq!(record["unreferenced"], serde_json::json!(["data/b.lance"]));
    assert_eq!(record["ended_at"], "2023-11-14T22:13:20Z");
}

#[tokio::test]
async fn what_a_run_that_died_had_deleted_is_recorded_once() {
    let root = Files::in_memory();
    let lists = Lists::of(&root);
    let list = written(&lists).await;
    let all: BTreeSet<&str> =
        BTreeSet::from(["_versions/3.manifest", "data/a.lance", "data/b.lance"]);
    lists.record_interrupted(&list, &all, now()).await.unwrap();
    assert_eq!(root.list(RECORD_DIR).await.unwrap(), [], "nothing was gone");
    let left = BTreeSet::from(["data/a.lance", "data/b.lance"]);
    lists.record_interrupted(&list, &left, now()).await.unwrap();
    let record = record_in(&root, &list.file).await;
    assert_eq!((&record["files"], &record["interrupted"]), (&1.into(), &true.into()));
    lists.record_interrupted(&list, &BTreeSet::new(), now()).await.unwrap();
    assert_eq!(record_in(&root, &list.file).await, record, "it was written down already");
}

#[tokio::test]
async fn the_newest_records_are_kept_and_no_more_than_that() {
    let root = Files::in_memory();
    let lists = Lists::of(&root);
    let mut list = written(&lists).await;
    for number in 0..RECORDS_MAX + 3 {
        list.file = format!("{number:06}.json");
        lists.record(&list, &plan(), &BTreeSet::new(), now()).await.unwrap();
    }
    let kept = root.below(RECORD_DIR).names(".json").await.unwrap();
    assert_eq!(kept.len(), RECORDS_MAX);
    assert_eq!(kept.first().unwrap(), "000003.json");
}
