//! Writers that staged before our deletions and commit after them: what they must conflict
//! with is still there. And versions that appear between our look and our deletions.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use arrow_array::RecordBatch;
use lance::dataset::transaction::Transaction;
use lance::dataset::{
    CommitBuilder, DeleteBuilder, MergeInsertBuilder, WhenMatched, WhenNotMatched,
};
use lance_select::RowAddrTreeMap;
use lancekeeper::{IndexMode, NoProgress, OptimizeOptions, Progress, ProgressEvent};
use lancekeeper_model::{PruneOptions, TableKey, Version};
use lancekeeper_planner::cleanup::{
    Authority, CleanupInventory, DatasetPlan, Retention, Role, Running, plan_cleanup,
};
use lancekeeper_reconciler::cleanup::{
    DatasetInventory, DatasetPlace, Recheck, list_dataset, recheck,
};
use lancekeeper_store::Tables;
use lancekeeper_store::root::recognise;
use lancekeeper_store::tables::version_of;
use lancekeeper_testkit::Fixture;
use lancekeeper_testkit::invariants::check_files;

use super::*;

/// Something another writer staged and has not committed.
struct Staged {
    on: Arc<Dataset>,
    transaction: Transaction,
    affected_rows: Option<RowAddrTreeMap>,
}

impl Staged {
    async fn delete(on: Dataset, predicate: &str) -> Self {
        let on = Arc::new(on);
        let staged = DeleteBuilder::new(Arc::clone(&on), predicate).execute_uncommitted();
        let staged = staged.await.unwrap();
        Self { on, transaction: staged.transaction, affected_rows: staged.affected_rows }
    }

    async fn upsert(on: Dataset, first: i64, rows: usize) -> Self {
        Self::merge(Arc::new(on), "id", tables::batch(first, rows)).await
    }

    async fn merge(on: Arc<Dataset>, key: &str, batch: RecordBatch) -> Self {
        let mut builder =
            MergeInsertBuilder::try_new(Arc::clone(&on), vec![key.to_owned()]).unwrap();
        let job = builder
            .when_matched(WhenMatched::UpdateAll)
            .when_not_matched(WhenNotMatched::InsertAll)
            .try_build()
            .unwrap();
        let staged = job.execute_uncommitted_batches(vec![batch]).await.unwrap();
        Self { on, transaction: staged.transaction, affected_rows: staged.affected_rows }
    }

    async fn commit(self) -> lance::Result<Dataset> {
        let mut builder = CommitBuilder::new(self.on).with_max_retries(1);
        if let Some(rows) = self.affected_rows {
            builder = builder.with_affected_rows(rows);
        }
        builder.execute(self.transaction).await
    }
}

async fn optimize_and_prune(uri: &str, prune: PruneOptions) -> lancekeeper::OptimizeReport {
    let options = OptimizeOptions { prune: Some(prune), ..OptimizeOptions::default() };
    let report = Keeper::new().optimize(&[uri.to_owned()], &options, Arc::new(NoProgress)).await;
    assert_eq!(report.exit_code().number(), 0, "{report:#?}");
    report
}

/// Both kinds of writer, staged against an old version, commit after our deletions.
async fn late_writers_conflict(prune: PruneOptions) {
    let table = Table::new().await;
    // What is committed from here on is younger than the window, what was before is not.
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let delete = Staged::delete(table.open().await, "id = 5").await;
    let upsert = Staged::upsert(table.open().await, 8, 2).await;
    let report = optimize_and_prune(&table.uri(), prune).await;
    let pruned = report.roots[0].tables[0].pruned.unwrap();
    assert!(pruned.old_versions_removed > 0, "{report:#?}");
    assert!(report.roots[0].tables[0].committed, "{report:#?}");
    let head = table.open().await;
    assert_eq!(table.versions().await, [version_of(&head).0], "only the run's last version stays");
    // With other writers about, what they have staged is too young to go.
    if prune.no_other_writers {
        check_files(&head, &table.path()).await.unwrap();
    }
    let rows = table_rows(&table.open().await).await.unwrap();
    for staged in [delete, upsert] {
        let error = staged.commit().await.unwrap_err();
        assert!(error.to_string().contains("onflict"), "{error}");
    }
    assert_eq!(table_rows(&table.open().await).await.unwrap(), rows);
}

#[tokio::test]
async fn pruning_waits_out_the_window_frees_what_the_run_replaced_and_late_writers_conflict() {
    let writer_window = TimeDelta::seconds(1);
    let started = Instant::now();
    late_writers_conflict(PruneOptions { writer_window, ..PruneOptions::default() }).await;
    assert!(started.elapsed() > Duration::from_millis(2_100), "it did not wait");
}

#[tokio::test]
async fn even_without_a_window_this_runs_last_version_stays_for_late_writers() {
    late_writers_conflict(PruneOptions { no_other_writers: true, ..PruneOptions::default() }).await;
}

#[tokio::test]
async fn without_waiting_what_the_run_replaced_stays() {
    let table = Table::new().await;
    let head = version_of(&table.open().await);
    let rows = table.rows().await;
    let prune = PruneOptions { wait: false, ..PruneOptions::default() };
    let report = optimize_and_prune(&table.uri(), prune).await;
    assert!(report.roots[0].tables[0].committed, "{report:#?}");
    let now = table.rows().await;
    let replaced = ("main".to_owned(), head.0);
    assert_eq!(now.get(&replaced), rows.get(&replaced), "{report:#?}");
}

/// Somebody who appends to a table as soon as its pruning waits.
struct AppendsMeanwhile {
    uri: String,
    begun: AtomicBool,
    done: Mutex<Option<tokio::task::JoinHandle<u64>>>,
}

impl Progress for AppendsMeanwhile {
    fn on_event(&self, event: ProgressEvent) {
        let is_waiting = matches!(event, ProgressEvent::PruneDelayed { .. });
        if is_waiting && !self.begun.swap(true, Ordering::SeqCst) {
            let uri = self.uri.clone();
            let append = async move {
                // The root is not locked either: another keeper may do its work.
                let other = Keeper::new()
                    .optimize(
                        std::slice::from_ref(&uri),
                        &OptimizeOptions::default(),
                        Arc::new(NoProgress),
                    )
                    .await;
                assert_eq!(other.exit_code().number(), 0, "{other:#?}");
                tables::append(&uri, 9_000, 7).await.unwrap().manifest().version
            };
            *self.done.lock().unwrap() = Some(tokio::spawn(append));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_commit_while_pruning_waits_stays_with_what_it_stands_on() {
    let table = Table::new().await;
    let before = table.open().await.count_rows(None).await.unwrap();
    let meanwhile = Arc::new(AppendsMeanwhile {
        uri: table.uri(),
        begun: AtomicBool::new(false),
        done: Mutex::new(None),
    });
    let writer_window = TimeDelta::seconds(2);
    let prune = Some(PruneOptions { writer_window, ..PruneOptions::default() });
    let options = OptimizeOptions { prune, ..OptimizeOptions::default() };
    let report = Keeper::new().optimize(&[table.uri()], &options, meanwhile.clone()).await;
    assert_eq!(report.exit_code().number(), 0, "{report:#?}");
    let append = meanwhile.done.lock().unwrap().take().unwrap();
    let appended = append.await.unwrap();
    assert!(report.roots[0].tables[0].pruned.unwrap().old_versions_removed > 0, "{report:#?}");
    assert_eq!(table.versions().await, [appended - 1, appended]);
    assert_eq!(table.open().await.count_rows(None).await.unwrap(), before + 7);
}

#[tokio::test]
async fn pruning_does_not_wait_where_waiting_frees_nothing() {
    let table = Table { directory: tempfile::tempdir().unwrap() };
    let params = ScalarIndexParams::default();
    let mut handle = tables::create(&table.uri(), 1, 20, false).await.unwrap();
    handle.create_index(&["id"], IndexType::BTree, None, &params, true).await.unwrap();
    let alone = PruneOptions { no_other_writers: true, ..PruneOptions::default() };
    optimize_and_prune(&table.uri(), alone).await;
    let head = version_of(&table.open().await).0;
    table.open().await.tags().create("now", head).await.unwrap();
    // Of two commits to wait for, one replaces a tagged version, the other nothing at all.
    for index in [IndexMode::Rebuild, IndexMode::Refresh] {
        let prune = PruneOptions { writer_window: TimeDelta::hours(1), ..PruneOptions::default() };
        let options = OptimizeOptions { index, prune: Some(prune), ..OptimizeOptions::default() };
        let (keeper, roots) = (Keeper::new(), [table.uri()]);
        let run = keeper.optimize(&roots, &options, Arc::new(NoProgress));
        let report = tokio::time::timeout(Duration::from_secs(60), run).await.unwrap();
        assert_eq!(report.exit_code().number(), 0, "{report:#?}");
        let committed = report.roots[0].tables[0].committed;
        assert_eq!(committed, index == IndexMode::Rebuild, "{report:#?}");
    }
}

#[tokio::test]
async fn writers_that_staged_before_a_cleanup_are_refused_not_committed_over() {
    let table = Table::new().await;
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let delete = Staged::delete(table.open().await, "id = 5").await;
    let upsert = Staged::upsert(table.open().await, 8, 2).await;
    // Somebody else has both rows before them.
    let mut other = table.open().await;
    other.delete("id = 5 OR id = 8").await.unwrap();
    let rows = table_rows(&other).await.unwrap();
    let options = CleanupOptions { writer_window: TimeDelta::seconds(1), ..keep(1) };
    let report = clean(&table.uri(), &options).await;
    assert!(row_of(&report, "events").old_versions_removed > 0, "{report:#?}");
    for staged in [delete, upsert] {
        let error = staged.commit().await.unwrap_err();
        assert!(error.to_string().contains("onflict"), "{error}");
    }
    assert_eq!(table_rows(&table.open().await).await.unwrap(), rows);
}

#[tokio::test]
async fn a_publish_that_was_staged_before_a_cleanup_of_manifest_is_refused() {
    let fixture = Fixture::unpack("omnigraph-0.8.0-main-only").unwrap();
    let uri = fixture.uri("graph");
    let open =
        || async { DatasetBuilder::from_uri(format!("{uri}/__manifest")).load().await.unwrap() };
    let staged_on = Arc::new(open().await);
    let mut scan = staged_on.scan();
    scan.filter("object_id = 'graph_head:main'").unwrap();
    let head_row = scan.try_into_batch().await.unwrap();
    assert_eq!(head_row.num_rows(), 1);
    let publish = Staged::merge(staged_on, "object_id", head_row).await;
    // Others publish, and the old versions go: all of them but what the window holds.
    let options = OptimizeOptions::default();
    let roots = std::slice::from_ref(&uri);
    let report = Keeper::new().optimize(roots, &options, Arc::new(NoProgress)).await;
    assert_eq!(report.exit_code().number(), 0, "{report:#?}");
    let window = CleanupOptions { writer_window: TimeDelta::minutes(10), ..keep(1) };
    let report = clean(&uri, &window).await;
    assert!(row_of(&report, "__manifest").old_versions_removed > 5, "{report:#?}");
    let before = open().await.manifest().version;
    let error = publish.commit().await.unwrap_err();
    assert!(error.to_string().contains("onflict"), "{error}");
    assert_eq!(open().await.manifest().version, before);
}

#[tokio::test]
async fn versions_within_the_writer_window_stay_whatever_the_rule() {
    let table = Table::new().await;
    let before = files(&table.uri());
    let options = CleanupOptions { writer_window: TimeDelta::minutes(10), ..keep(1) };
    let report = clean(&table.uri(), &options).await;
    assert_eq!(report.totals.files_removed, 0, "{report:#?}");
    assert_eq!(files(&table.uri()), before);
    let because: Vec<&String> =
        row_of(&report, "events").kept.iter().flat_map(|kept| &kept.because).collect();
    assert!(because.iter().any(|because| because.contains("writer window of 10m")), "{because:?}");
}

#[tokio::test]
async fn pruning_counts_young_files_that_nothing_refers_to_and_deletes_them_only_on_ones_word() {
    let table = Table::new().await;
    let staged = table.path().join("data/00000000-staged-by-somebody.lance");
    std::fs::write(&staged, b"not committed yet").unwrap();
    let window = PruneOptions { writer_window: TimeDelta::zero(), ..PruneOptions::default() };
    let report = optimize_and_prune(&table.uri(), window).await;
    let pruned = report.roots[0].tables[0].pruned.unwrap();
    assert_eq!(pruned.unverified_left, 1, "{report:#?}");
    assert!(staged.exists());
    let alone = PruneOptions { no_other_writers: true, ..window };
    let report = optimize_and_prune(&table.uri(), alone).await;
    assert_eq!(report.roots[0].tables[0].pruned.unwrap().unverified_left, 0, "{report:#?}");
    assert!(!staged.exists());
}

#[tokio::test]
async fn pruning_keeps_tags_and_fork_points_and_a_dry_run_only_says_so() {
    let table = Table::new().await;
    let mut main = table.open().await;
    main.tags().create("v2", 2).await.unwrap();
    main.create_branch("side", 3, None).await.unwrap();
    let before = tree(&table.uri());
    let prune = PruneOptions { no_other_writers: true, ..PruneOptions::default() };
    let options = OptimizeOptions { prune: Some(prune), ..OptimizeOptions::default() };
    let planned = Keeper::new().plan_optimize(&[table.uri()], &options).await;
    assert_eq!(planned.roots[0].tables[0].pruned.unwrap().old_versions_removed, 5, "{planned:#?}");
    assert_eq!(tree(&table.uri()), before);
    optimize_and_prune(&table.uri(), prune).await;
    let kept = table.versions().await;
    assert!(kept.contains(&2) && kept.contains(&3) && !kept.contains(&4), "{kept:?}");
    table.rows().await;
}

/// A look at a table, and a plan that keeps one version.
async fn looked_at(table: &Table, role: Role) -> (DatasetInventory, DatasetPlan) {
    let root = recognise(&table.uri()).unwrap();
    let place = DatasetPlace { table: TableKey::new("events"), location: String::new(), role };
    let dataset = list_dataset(&Tables::new(), &root, &place, &BTreeSet::new()).await.unwrap();
    let inventory = CleanupInventory {
        authority: &Authority::default(),
        running: &Running::default(),
        datasets: vec![&dataset.facts],
    };
    let policy = Retention {
        keep_versions: Some(1),
        older_than: None,
        keep_last: None,
        keep_within: None,
        writer_window: TimeDelta::zero(),
        min_age: TimeDelta::days(7),
        min_fork_age: TimeDelta::zero(),
        max_delete_percent: 50,
    };
    let plan = plan_cleanup(&inventory, &[], &policy, chrono::Utc::now()).datasets.remove(0);
    (dataset, plan)
}

fn listed(plan: &DatasetPlan) -> BTreeSet<String> {
    plan.deletions.iter().map(|deletion| deletion.path.clone()).collect()
}

#[tokio::test]
async fn a_version_restored_between_the_look_and_the_deletions_keeps_its_files() {
    let table = Table::new().await;
    // From here on nothing of the old rows is read any more.
    table.open().await.delete("id >= 0").await.unwrap();
    tables::append(&table.uri(), 5_000, 5).await.unwrap();
    let (dataset, mut plan) = looked_at(&table, Role::Plain).await;
    let root = recognise(&table.uri()).unwrap();
    let before = listed(&plan);
    let mut old = table.open().await.checkout_version(4).await.unwrap();
    old.restore().await.unwrap();
    assert_eq!(recheck(&root, &dataset, &mut plan).await.unwrap(), Recheck::Stands);
    let after = listed(&plan);
    assert!(after.is_subset(&before));
    let restored = table.open().await;
    for file in restored.fragments().iter().flat_map(|fragment| &fragment.files) {
        let path = format!("data/{}", file.path);
        assert!(before.contains(&path), "{path} was to go");
        assert!(!after.contains(&path), "{path} is needed");
    }

    // A tag is an authority: with it the plan does not stand.
    restored.tags().create("wait", 2).await.unwrap();
    assert_eq!(recheck(&root, &dataset, &mut plan).await.unwrap(), Recheck::Changed);
}

#[tokio::test]
async fn a_fork_that_is_written_between_the_look_and_the_deletions_is_looked_at_again() {
    let table = Table::new().await;
    let mut side = table.open().await.create_branch("side", 3, None).await.unwrap();
    // As a graph's table, whose branches no branch of the graph reads.
    let (dataset, mut plan) = looked_at(&table, Role::Table).await;
    assert!(listed(&plan).contains("_refs/branches/side.json"), "{plan:#?}");
    let root = recognise(&table.uri()).unwrap();
    assert_eq!(recheck(&root, &dataset, &mut plan).await.unwrap(), Recheck::Stands);
    side.delete("id = 1").await.unwrap();
    assert_eq!(recheck(&root, &dataset, &mut plan).await.unwrap(), Recheck::Changed);
}

#[tokio::test]
async fn a_dropped_table_that_is_written_between_the_look_and_the_deletions_is_looked_at_again() {
    let table = Table::new().await;
    // Something of main stays, so that it is not the chain as a whole that goes.
    table.open().await.tags().create("v2", 2).await.unwrap();
    let (dataset, mut plan) = looked_at(&table, Role::Dropped).await;
    assert_eq!(plan.empties, Some(Version(8)), "{plan:#?}");
    let root = recognise(&table.uri()).unwrap();
    assert_eq!(recheck(&root, &dataset, &mut plan).await.unwrap(), Recheck::Stands);
    tables::append(&table.uri(), 5_000, 5).await.unwrap();
    assert_eq!(recheck(&root, &dataset, &mut plan).await.unwrap(), Recheck::Changed);
}
