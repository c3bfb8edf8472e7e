//! Strict commits: after anything that somebody else committed, ours is refused and leaves
//! nothing behind.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use lance::Dataset;
use lance::dataset::builder::DatasetBuilder;
use lance::dataset::transaction::{Operation, RewriteGroup, UpdateMap, UpdateMapEntry};
use lance::dataset::{
    CommitBuilder, DeleteBuilder, InsertBuilder, MergeInsertBuilder, WhenMatched, WhenNotMatched,
    WriteMode, WriteParams,
};
use lance::index::DatasetIndexExt;
use lance_index::IndexType;
use lance_index::scalar::ScalarIndexParams;
use lancekeeper_model::{ErrorKind, OperationId, TableKey, TableRef};
use lancekeeper_planner::optimize::{Group, GroupReason, Recipe};
use lancekeeper_rewrite::stage::{RowOrder, stage_group};
use lancekeeper_rewrite::table_commit::TableCommit;
use lancekeeper_store::owner::{Owner, owners_between};
use lancekeeper_store::strict::{Change, CommitError, STEP_PROPERTY, Signature, commit};
use lancekeeper_store::tables::version_of;
use lancekeeper_testkit::invariants::names;
use lancekeeper_testkit::{table_rows, tables};
use tempfile::TempDir;

mod publish;

/// Every kind of commit that a keeper makes or may have to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ours {
    Reserve,
    Rewrite,
    Config,
    Append,
    Merge,
    Index,
    Restore,
    Delete,
    Overwrite,
}

/// What somebody else commits in between. Lance on its own would rebase most of ours over
/// each of them.
#[derive(Debug, Clone, Copy)]
enum Foreign {
    Append,
    Delete,
    Config,
}

/// A table of three fragments with ten rows each.
struct World {
    directory: TempDir,
}

/// Everything a commit of ours could leave behind.
#[derive(Debug, PartialEq)]
struct Seen {
    /// The transactions of all versions, by uuid.
    uuids: BTreeMap<u64, Option<String>>,
    rows: Vec<String>,
    config: BTreeMap<String, String>,
    indexes: BTreeSet<String>,
    fragments: String,
    max_fragment_id: Option<u32>,
    manifests: BTreeSet<String>,
    transactions: BTreeSet<String>,
}

impl World {
    async fn new(stable_row_ids: bool) -> Self {
        let world = Self { directory: tempfile::tempdir().unwrap() };
        tables::create(&world.uri(), 3, 10, stable_row_ids).await.unwrap();
        world
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("t.lance")
    }

    fn uri(&self) -> String {
        self.path().to_string_lossy().into_owned()
    }

    async fn head(&self) -> Dataset {
        open(&self.uri()).await
    }

    async fn seen(&self) -> Seen {
        let head = self.head().await;
        let mut uuids = BTreeMap::new();
        for version in head.version_refs().await.unwrap() {
            let found = head.read_version_transaction(version.version).await.unwrap();
            uuids.insert(version.version, found.transaction.map(|t| t.uuid));
        }
        let indexes = head.load_indices().await.unwrap();
        Seen {
            uuids,
            rows: table_rows(&head).await.unwrap(),
            config: head.config().clone().into_iter().collect(),
            indexes: indexes.iter().map(|index| index.uuid.to_string()).collect(),
            fragments: format!("{:?}", head.fragments()),
            max_fragment_id: head.manifest().max_fragment_id,
            manifests: names(&self.path().join("_versions")).unwrap(),
            transactions: names(&self.path().join("_transactions")).unwrap(),
        }
    }

    /// What is to be committed, and the HEAD on top of which.
    async fn prepare(&self, ours: Ours) -> (Dataset, Change) {
        let head = self.head().await;
        let shared = Arc::new(head.clone());
        let operation = match ours {
            Ours::Reserve => Operation::ReserveFragments { num_fragments: 3 },
            Ours::Rewrite => return self.prepare_rewrite(head).await,
            Ours::Config => set_config("ours"),
            Ours::Append => uncommitted(shared, WriteMode::Append).await,
            Ours::Overwrite => uncommitted(shared, WriteMode::Overwrite).await,
            Ours::Merge => {
                let mut builder = MergeInsertBuilder::try_new(shared, vec!["id".into()]).unwrap();
                let job = builder
                    .when_matched(WhenMatched::UpdateAll)
                    .when_not_matched(WhenNotMatched::InsertAll)
                    .conflict_retries(0)
                    .try_build()
                    .unwrap();
                let rows = tables::batch(28, 4);
                let merged = job.execute_uncommitted_batches(vec![rows]).await.unwrap();
                let change = Change {
                    operation: merged.transaction.operation,
                    affected_rows: merged.affected_rows,
                };
                return (head, change);
            }
            Ours::Delete => {
                let deleted =
                    DeleteBuilder::new(shared, "id = 25").execute_uncommitted().await.unwrap();
                let change = Change {
                    operation: deleted.transaction.operation,
                    affected_rows: deleted.affected_rows,
                };
                return (head, change);
            }
            Ours::Index => {
                let mut table = head.clone();
                let params = ScalarIndexParams::default();
                let index = table
                    .create_index_builder(&["id"], IndexType::BTree, &params)
                    .execute_uncommitted()
                    .await
                    .unwrap();
                Operation::CreateIndex { new_indices: vec![index], removed_indices: Vec::new() }
            }
            Ours::Restore => Operation::Restore { version: 2 },
        };
        (head, operation.into())
    }

    /// Staged at HEAD, then reserved: the Rewrite's HEAD is our own reservation.
    async fn prepare_rewrite(&self, head: Dataset) -> (Dataset, Change) {
        let group = Group {
            fragments: vec![0, 1, 2],
            outputs: vec![30],
            bytes: 0,
            recipe: Recipe::Reencode { batch_rows: 8192 },
            why: GroupReason::Merge,
        };
        let signature = signature("rewrite");
        let order = RowOrder::AsListed { capture_addresses: false };
        let staged = stage_group(&head, &signature.table, &group, order, None);
        let mut groups = [staged.await.unwrap()];
        let steps = TableCommit {
            operation: &signature.operation,
            table: &signature.table,
            round: 0,
            watch: None,
        };
        let reserved = steps.reserve(&head, &mut groups).await.unwrap();
        let groups = groups.map(|group| RewriteGroup {
            old_fragments: group.source,
            new_fragments: group.new_fragments,
        });
        let operation = Operation::Rewrite {
            groups: groups.into(),
            rewritten_indices: Vec::new(),
            frag_reuse_index: None,
        };
        (reserved, operation.into())
    }
}

impl Foreign {
    async fn commit(self, world: &World) {
        match self {
            Self::Append => {
                tables::append(&world.uri(), 100, 5).await.unwrap();
            }
            Self::Delete => {
                world.head().await.delete("id = 3").await.unwrap();
            }
            Self::Config => {
                world.head().await.update_config([("foreign", "yes")]).await.unwrap();
            }
        }
    }
}

async fn open(uri: &str) -> Dataset {
    DatasetBuilder::from_uri(uri).load().await.unwrap()
}

fn set_config(key: &str) -> Operation {
    let entry = UpdateMapEntry { key: key.to_owned(), value: Some("yes".to_owned()) };
    Operation::UpdateConfig {
        config_updates: Some(UpdateMap { update_entries: vec![entry], replace: false }),
        table_metadata_updates: None,
        schema_metadata_updates: None,
        field_metadata_updates: std::collections::HashMap::default(),
    }
}

async fn uncommitted(table: Arc<Dataset>, mode: WriteMode) -> Operation {
    let params = WriteParams { mode, ..WriteParams::default() };
    let rows = vec![tables::batch(500, 7)];
    let written =
        InsertBuilder::new(table).with_params(&params).execute_uncommitted(rows).await.unwrap();
    written.operation
}

fn signature(step: &str) -> Signature {
    Signature {
        operation: OperationId::new("01STRICT"),
        table: TableRef::on_main(TableKey::new("t")),
        step: step.to_owned(),
    }
}

/// Refused after each foreign commit, on tables of both kinds, without a trace.
async fn yields(ours: Ours) {
    for foreign in [Foreign::Append, Foreign::Delete, Foreign::Config] {
        for stable_row_ids in [false, true] {
            let case = format!("{ours:?} after {foreign:?}, stable row ids: {stable_row_ids}");
            let world = World::new(stable_row_ids).await;
            let (head, change) = world.prepare(ours).await;
            foreign.commit(&world).await;
            let before = world.seen().await;
            assert_eq!(before.uuids.last_key_value().unwrap().0, &(version_of(&head).0 + 1));

            let error = commit(&head, change, &signature("step")).await.expect_err(&case);
            let expected_here = version_of(&head).next();
            let is_conflict = matches!(
                &error, CommitError::Conflict { expected, .. } if *expected == expected_here);
            assert!(is_conflict, "{case}: {error:?}");
            assert_eq!(error.kind(), ErrorKind::Conflict);
            assert_eq!(world.seen().await, before, "{case}");
        }
    }
}

/// Exactly HEAD+1 and provably ours when nobody else commits, on tables of both kinds.
async fn lands(ours: Ours) {
    for stable_row_ids in [false, true] {
        let world = World::new(stable_row_ids).await;
        let (head, change) = world.prepare(ours).await;
        let before = world.seen().await;
        let signature = signature("step");
        let committed = commit(&head, change, &signature).await.unwrap();

        assert_eq!(version_of(&committed), version_of(&head).next());
        let now = world.head().await;
        assert_eq!(version_of(&now), version_of(&committed));
        let transaction = now.read_transaction().await.unwrap().unwrap();
        assert_eq!(transaction.uuid, signature.uuid().to_string());
        assert_eq!(transaction.read_version, version_of(&head).0);
        let properties = transaction.transaction_properties.unwrap();
        assert_eq!(properties[STEP_PROPERTY], "step");
        let owners = owners_between(&now, version_of(&head), version_of(&now)).await;
        assert_eq!(owners, [Owner::Ours(signature.operation.clone())]);
        let after = world.seen().await;
        assert_eq!(after.manifests.len(), before.manifests.len() + 1);
        took_effect(ours, &before, &after);
    }
}

fn took_effect(ours: Ours, before: &Seen, after: &Seen) {
    let row = |id: i64| format!("id={id}|text=row {id}");
    match ours {
        Ours::Reserve => assert_eq!(after.max_fragment_id, before.max_fragment_id.map(|n| n + 3)),
        Ours::Rewrite => assert_ne!(after.fragments, before.fragments),
        Ours::Config => assert_eq!(after.config["ours"], "yes"),
        Ours::Append => assert_eq!(after.rows.len(), 37),
        Ours::Merge => assert_eq!(after.rows.len(), 32),
        Ours::Index => assert_eq!(after.indexes.len(), 1),
        Ours::Restore => assert_eq!(after.rows.len(), 20),
        Ours::Delete => assert!(after.rows.len() == 29 && !after.rows.contains(&row(25))),
        Ours::Overwrite => assert_eq!(after.rows.len(), 7),
    }
    if matches!(ours, Ours::Reserve | Ours::Rewrite | Ours::Config | Ours::Index) {
        assert_eq!(after.rows, before.rows);
    }
}

#[tokio::test]
async fn a_reservation_is_strict() {
    yields(Ours::Reserve).await;
    lands(Ours::Reserve).await;
}

#[tokio::test]
async fn a_rewrite_is_strict() {
    yields(Ours::Rewrite).await;
    lands(Ours::Rewrite).await;
}

#[tokio::test]
async fn a_configuration_change_is_strict() {
    yields(Ours::Config).await;
    lands(Ours::Config).await;
}

#[tokio::test]
async fn an_append_is_strict() {
    yields(Ours::Append).await;
    lands(Ours::Append).await;
}

#[tokio::test]
async fn a_merge_insert_is_strict() {
    yields(Ours::Merge).await;
    lands(Ours::Merge).await;
}

#[tokio::test]
async fn an_index_is_strict() {
    yields(Ours::Index).await;
    lands(Ours::Index).await;
}

#[tokio::test]
async fn a_restore_is_strict() {
    yields(Ours::Restore).await;
    lands(Ours::Restore).await;
}

#[tokio::test]
async fn a_delete_is_strict() {
    yields(Ours::Delete).await;
    lands(Ours::Delete).await;
}

#[tokio::test]
async fn an_overwrite_is_strict() {
    yields(Ours::Overwrite).await;
    lands(Ours::Overwrite).await;
}

/// Why there is a guard at all: without it each of these lands on a version nobody looked at.
#[tokio::test]
async fn lance_alone_would_rebase_over_foreign_commits() {
    for (ours, foreign) in [
        (Ours::Reserve, Foreign::Append),
        (Ours::Rewrite, Foreign::Append),
        (Ours::Index, Foreign::Append),
        (Ours::Append, Foreign::Delete),
        (Ours::Merge, Foreign::Delete),
        (Ours::Restore, Foreign::Append),
        (Ours::Overwrite, Foreign::Append),
        (Ours::Config, Foreign::Append),
    ] {
        let world = World::new(true).await;
        let (head, change) = world.prepare(ours).await;
        foreign.commit(&world).await;
        let transaction = lance::dataset::transaction::TransactionBuilder::new(
            version_of(&head).0,
            change.operation,
        )
        .build();
        let mut builder = CommitBuilder::new(Arc::new(head.clone()));
        if let Some(rows) = change.affected_rows {
            builder = builder.with_affected_rows(rows);
        }
        let landed = builder.execute(transaction).await.unwrap();
        assert_eq!(version_of(&landed).0, version_of(&head).0 + 2, "{ours:?} after {foreign:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_commits_on_one_head_exactly_one_wins_each_round() {
    let world = World::new(true).await;
    let mut reserved = 0;
    for round in 0..6 {
        let head = world.head().await;
        let tasks = (0..8).map(|n| {
            let head = head.clone();
            let signature = signature(&format!("race-{round}-{n}"));
            tokio::spawn(async move {
                let operation: Operation = match n % 2 {
                    0 => Operation::ReserveFragments { num_fragments: 1 },
                    _ => set_config(&format!("key-{round}-{n}")),
                };
                let outcome = commit(&head, operation, &signature).await;
                (n, signature.uuid().to_string(), outcome)
            })
        });
        let mut winners = Vec::new();
        for task in futures::future::join_all(tasks).await {
            match task.unwrap() {
                (n, uuid, Ok(_)) => winners.push((n, uuid)),
                (_, _, Err(error)) => assert_eq!(error.kind(), ErrorKind::Conflict, "{error:?}"),
            }
        }
        let [(winner, uuid)] = winners.as_slice() else {
            panic!("round {round}: {winners:?} won");
        };
        let now = world.head().await;
        assert_eq!(version_of(&now), version_of(&head).next());
        assert_eq!(now.read_transaction().await.unwrap().unwrap().uuid, *uuid);
        reserved += u32::from(winner % 2 == 0);
    }
    let seen = world.seen().await;
    assert_eq!(seen.config.len() as u32 + reserved, 6, "losers changed something");
    assert_eq!(seen.rows.len(), 30);
    assert_eq!(seen.transactions.len(), seen.uuids.len(), "losers left transaction files");
}

#[tokio::test]
async fn a_commit_on_a_branch_is_strict_on_that_branch_alone() {
    let world = World::new(true).await;
    let mut main = world.head().await;
    let fork = main.create_branch("work", version_of(&main).0, None).await.unwrap();
    // Others go on with main: that is no concern of the branch.
    Foreign::Append.commit(&world).await;
    let ours = commit(&fork, set_config("ours"), &signature("branch")).await.unwrap();
    assert_eq!(version_of(&ours), version_of(&fork).next());

    let now = world.head().await.checkout_branch("work").await.unwrap();
    assert_eq!(version_of(&now), version_of(&ours));
    assert_eq!(now.config()["ours"], "yes");
    assert!(!world.head().await.config().contains_key("ours"));

    let again = commit(&fork, set_config("again"), &signature("branch-again")).await;
    assert_eq!(again.unwrap_err().kind(), ErrorKind::Conflict);
}

#[tokio::test]
async fn a_strict_commit_deletes_no_version_whatever_auto_cleanup_says() {
    let world = World::new(false).await;
    let config = [("lance.auto_cleanup.interval", "1"), ("lance.auto_cleanup.older_than", "0s")];
    let entries = config
        .map(|(key, value)| UpdateMapEntry { key: key.to_owned(), value: Some(value.to_owned()) });
    let operation = Operation::UpdateConfig {
        config_updates: Some(UpdateMap { update_entries: entries.into(), replace: false }),
        table_metadata_updates: None,
        schema_metadata_updates: None,
        field_metadata_updates: std::collections::HashMap::default(),
    };
    let mut head = commit(&world.head().await, operation, &signature("config")).await.unwrap();
    for n in 0..3 {
        let reserve = Operation::ReserveFragments { num_fragments: 1 };
        head = commit(&head, reserve, &signature(&format!("reserve-{n}"))).await.unwrap();
    }
    assert_eq!(world.seen().await.uuids.len(), 7, "every version is still there");
    // The configuration is a live one: any other commit deletes.
    Foreign::Append.commit(&world).await;
    assert!(world.seen().await.uuids.len() < 7);
}

#[tokio::test]
async fn the_returned_handle_commits_like_any_other() {
    let world = World::new(true).await;
    let (head, change) = world.prepare(Ours::Reserve).await;
    let mut ours = commit(&head, change, &signature("step")).await.unwrap();
    // A handle that kept the guard would refuse whatever is not the version it was made for.
    Foreign::Append.commit(&world).await;
    ours.update_config([("later", "yes")]).await.unwrap();
    assert_eq!(version_of(&ours).0, version_of(&head).0 + 3);
    ours.delete("id = 7").await.unwrap();
    assert_eq!(world.seen().await.rows.len(), 34);
}
