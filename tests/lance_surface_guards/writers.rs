//! Writers beside us: what they conflict with and, more important, what they do not.

use std::fs;
use std::sync::Arc;

use lance::dataset::cleanup::CleanupPolicy;
use lance::dataset::transaction::{Operation, Transaction};
use lance::dataset::{
    CommitBuilder, DeleteBuilder, MergeInsertBuilder, UncommittedMergeInsert, WhenMatched,
    WhenNotMatched,
};
use lance::{Dataset, Error};
use lancekeeper_testkit::tables;

use crate::table::{Table, commit, ids, reserve, rewrite, sorted_ids, stage};

const HINT: &str = "_versions/latest_version_hint.json";

/// An upsert by id, written and not committed.
async fn upsert(head: &Dataset, first: i64, rows: usize) -> UncommittedMergeInsert {
    let mut builder =
        MergeInsertBuilder::try_new(Arc::new(head.clone()), vec!["id".to_owned()]).unwrap();
    let job = builder
        .when_matched(WhenMatched::UpdateAll)
        .when_not_matched(WhenNotMatched::InsertAll)
        .conflict_retries(0)
        .use_index(false)
        .try_build()
        .unwrap();
    job.execute_uncommitted_batches(vec![tables::batch(first, rows)]).await.unwrap()
}

async fn commit_upsert(head: &Dataset, upsert: UncommittedMergeInsert) -> lance::Result<Dataset> {
    let mut builder = CommitBuilder::new(Arc::new(head.clone()));
    if let Some(rows) = upsert.affected_rows {
        builder = builder.with_affected_rows(rows);
    }
    builder.execute(upsert.transaction).await
}

/// All fragments into one, as `__manifest` is compacted.
async fn rewrite_all(table: &Table) -> Dataset {
    let head = table.head().await;
    let all: Vec<u64> = head.fragments().iter().map(|fragment| fragment.id).collect();
    let mut staged = stage(&head, &all).await;
    let reserved = reserve(&head, &mut staged).await;
    commit(&reserved, rewrite(&staged)).await.unwrap()
}

/// Every version but the newest goes.
async fn collect_all(table: &Table) {
    let head = table.head().await;
    let version = head.manifest().version;
    let policy = CleanupPolicy { before_version: Some(version), ..CleanupPolicy::default() };
    head.cleanup_with_policy(policy).await.unwrap();
    assert_eq!(head.version_refs().await.unwrap().len(), 1);
}

fn is_retryable(error: &Error) -> bool {
    matches!(error.find_root(), Error::RetryableCommitConflict { .. })
}

/// Publishers of v4 update the branch's head row, which the newest fragment holds.
#[tokio::test]
async fn an_upsert_of_an_existing_row_conflicts_with_a_rewrite_of_its_fragment() {
    for stable in [false, true] {
        let table = Table::of(3, stable).await;
        let head = table.head().await;
        let staged = upsert(&head, 29, 2).await;
        rewrite_all(&table).await;
        let error = commit_upsert(&head, staged).await.unwrap_err();
        assert!(is_retryable(&error), "{error:?}");
    }
}

/// Upserts of new keys only touch no fragment, so nothing we rewrite makes them conflict.
#[tokio::test]
async fn an_upsert_of_new_rows_only_lands_on_top_of_a_rewrite_of_every_fragment() {
    for stable in [false, true] {
        let table = Table::of(3, stable).await;
        let head = table.head().await;
        let staged = upsert(&head, 30, 1).await;
        let rewritten = rewrite_all(&table).await;
        let landed = commit_upsert(&head, staged).await.unwrap();
        assert_eq!(landed.manifest().version, rewritten.manifest().version + 1);
        assert_eq!(sorted_ids(&landed).await, Vec::from_iter(0..31));
    }
}

/// The hazard behind the writer window. The same two writers without the collection are
/// refused.
#[tokio::test]
async fn a_delete_staged_before_versions_were_collected_commits_and_deletes_nothing() {
    for collected in [false, true] {
        let table = Table::of(2, true).await;
        let head = table.head().await;
        let staged = DeleteBuilder::new(Arc::new(head.clone()), "id = 5")
            .execute_uncommitted()
            .await
            .unwrap();
        rewrite_all(&table).await;
        tables::append(&table.uri(), 20, 10).await.unwrap();
        if collected {
            collect_all(&table).await;
        }
        let mut builder = CommitBuilder::new(Arc::new(head));
        if let Some(rows) = staged.affected_rows {
            builder = builder.with_affected_rows(rows);
        }
        let outcome = builder.execute(staged.transaction).await;
        if collected {
            let landed = outcome.unwrap();
            assert!(ids(&landed).await.contains(&5), "the delete is effective now");
        } else {
            assert!(is_retryable(&outcome.unwrap_err()));
        }
    }
}

#[tokio::test]
async fn an_upsert_staged_before_versions_were_collected_commits_and_doubles_its_row() {
    for collected in [false, true] {
        let table = Table::of(2, true).await;
        let head = table.head().await;
        let staged = upsert(&head, 5, 1).await;
        rewrite_all(&table).await;
        tables::append(&table.uri(), 20, 10).await.unwrap();
        if collected {
            collect_all(&table).await;
        }
        let outcome = commit_upsert(&head, staged).await;
        if collected {
            let found = ids(&outcome.unwrap()).await.into_iter().filter(|id| *id == 5).count();
            assert_eq!(found, 2, "an upsert is one row now");
        } else {
            assert!(is_retryable(&outcome.unwrap_err()));
        }
    }
}

/// It is the versions in between that matter: with them there, the writer's own read version
/// may be gone.
#[tokio::test]
async fn a_writer_whose_read_version_alone_is_gone_still_conflicts() {
    let table = Table::of(2, true).await;
    let head = table.head().await;
    let staged = upsert(&head, 5, 1).await;
    rewrite_all(&table).await;
    table.remove(&Table::manifest(head.manifest().version));
    let error = commit_upsert(&head, staged).await.unwrap_err();
    assert!(is_retryable(&error), "{error:?}");
}

/// One version missing in between is enough.
#[tokio::test]
async fn a_writer_conflicts_with_no_version_that_is_gone_even_if_all_others_are_there() {
    let table = Table::of(2, true).await;
    let head = table.head().await;
    let staged = upsert(&head, 5, 1).await;
    let rewritten = rewrite_all(&table).await;
    tables::append(&table.uri(), 20, 10).await.unwrap();
    table.remove(&Table::manifest(rewritten.manifest().version));
    let landed = commit_upsert(&head, staged).await.unwrap();
    assert_eq!(ids(&landed).await.into_iter().filter(|id| *id == 5).count(), 2);
}

/// The hint is written after the commit, best-effort, and older writers write none: it may lag.
/// A writer whose handle stands below a hole then finds no newer version and commits into the
/// hole. HEAD stays where it is, and what was written is lost.
#[tokio::test]
async fn below_a_hole_a_writer_commits_into_the_hole_if_the_version_hint_is_stale() {
    for stale in [false, true] {
        let table = Table::of(6, true).await;
        let handle = table.at(3).await;
        table.remove(&Table::manifest(4));
        if stale {
            fs::write(table.path().join(HINT), r#"{"version":2}"#).unwrap();
        }
        let landed = commit(&handle, reservation()).await.unwrap();
        let head = table.head().await.manifest().version;
        if stale {
            assert_eq!(landed.manifest().version, 4, "the hint is not trusted any more");
            assert_eq!(head, 6);
        } else {
            assert_eq!((landed.manifest().version, head), (7, 7));
        }
    }
}

/// The same below every version that is left: a handle older than all of them.
#[tokio::test]
async fn below_the_oldest_version_left_a_writer_commits_there_if_the_version_hint_is_stale() {
    for stale in [false, true] {
        let table = Table::of(6, true).await;
        let handle = table.at(2).await;
        for version in 1..=4 {
            table.remove(&Table::manifest(version));
        }
        if stale {
            fs::write(table.path().join(HINT), r#"{"version":2}"#).unwrap();
        }
        let landed = commit(&handle, reservation()).await.unwrap();
        assert_eq!(landed.manifest().version, if stale { 3 } else { 7 });
    }
}

fn reservation() -> Operation {
    Operation::ReserveFragments { num_fragments: 1 }
}

/// A late Restore asks nobody, which is why ours are strict.
#[tokio::test]
async fn a_restore_of_lance_discards_what_was_committed_since_without_a_conflict() {
    let table = Table::of(2, true).await;
    let head = table.head().await;
    tables::append(&table.uri(), 20, 10).await.unwrap();
    let restore = Operation::Restore { version: 1 };
    let transaction = Transaction::new(head.manifest().version, restore, None);
    let landed = CommitBuilder::new(Arc::new(head)).execute(transaction).await.unwrap();
    assert_eq!(sorted_ids(&landed).await, Vec::from_iter(0..10));
}
