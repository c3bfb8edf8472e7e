//! Optimize against writers that commit while it runs, and against other keepers: nothing is
//! lost, nothing comes back, and whoever has to yield is us.

use std::collections::BTreeSet;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use lance::Dataset;
use lance::dataset::UpdateBuilder;
use lance::dataset::builder::DatasetBuilder;
use lance::index::DatasetIndexExt;
use lance_index::IndexType;
use lance_index::scalar::ScalarIndexParams;
use lancekeeper::{
    CleanupOptions, CleanupPolicyOptions, Keeper, NoProgress, OptimizeOptions, OptimizeReport,
    Progress, ProgressEvent, Queues, RootIdentity, RootQueue, SkipReason, TableOptimizeStats,
};
use lancekeeper_model::{IndexMode, OperationId, TableKey, TableRef};
use lancekeeper_queue::{LockHolder, RootLock};
use lancekeeper_store::owner::{Owner, owners_between};
use lancekeeper_store::tables::version_of;
use lancekeeper_testkit::invariants::{check_files, names};
use lancekeeper_testkit::{Fixture, check_graph, graph_rows, table_rows, tables};
use tempfile::TempDir;
use tokio::sync::oneshot;

use crate::fixtures::tree;

mod graphs;

/// A database with one table `t` of many fragments.
struct Database {
    directory: TempDir,
    /// Ids that must be there.
    ids: BTreeSet<i64>,
}

/// Whether a BTREE on `id` covers the first half of the fragments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Index {
    None,
    HalfCovered,
}

const FRAGMENTS: usize = 40;
const ROWS: usize = 25;
/// The first ids of two writers.
const FIRST_OF: [i64; 2] = [1_000_000, 2_000_000];

impl Database {
    async fn new(stable_row_ids: bool, index: Index) -> Self {
        let world = Self { directory: tempfile::tempdir().unwrap(), ids: BTreeSet::new() };
        let mut table =
            tables::create(&world.table_uri(), FRAGMENTS / 2, ROWS, stable_row_ids).await.unwrap();
        if index == Index::HalfCovered {
            let params = ScalarIndexParams::default();
            table
                .create_index(&["id"], IndexType::BTree, Some("id_idx".into()), &params, false)
                .await
                .unwrap();
        }
        for n in FRAGMENTS / 2..FRAGMENTS {
            tables::append(&world.table_uri(), (n * ROWS) as i64, ROWS).await.unwrap();
        }
        Self { ids: (0..(FRAGMENTS * ROWS) as i64).collect(), ..world }
    }

    fn root(&self) -> PathBuf {
        self.directory.path().to_owned()
    }

    fn uri(&self) -> String {
        self.root().to_string_lossy().into_owned()
    }

    fn table_uri(&self) -> String {
        self.root().join("t.lance").to_string_lossy().into_owned()
    }

    fn queue(&self) -> RootQueue {
        queue_of(&self.root())
    }

    /// What must hold whatever happened: exactly the expected rows, indexes that answer like
    /// scans, and no file that nothing explains.
    async fn check(&self) {
        let table = open(&self.table_uri()).await;
        let row = |id: &i64| format!("id={id}|text=row {id}");
        let mut expected: Vec<String> = self.ids.iter().map(row).collect();
        expected.sort();
        assert_eq!(table_rows(&table).await.unwrap(), expected);

        let last = self.ids.last().unwrap();
        let points = self.ids.iter().step_by(331).chain([last]).map(|id| format!("id = {id}"));
        let ranges = ["id < 30", "id >= 490 AND id < 510"].map(ToOwned::to_owned);
        let gone = (0..(FRAGMENTS * ROWS) as i64).filter(|id| !self.ids.contains(id));
        for filter in points.chain(ranges).chain(gone.map(|id| format!("id = {id}"))) {
            let by_index = filtered(&table, &filter, true).await;
            assert_eq!(by_index, filtered(&table, &filter, false).await, "{filter}");
        }
        check_files(&table, Path::new(&self.table_uri())).await.unwrap();
        assert_eq!(names(&self.root().join("__maintenance/journal")).unwrap(), BTreeSet::new());
    }
}

async fn filtered(table: &Dataset, filter: &str, use_index: bool) -> Vec<i64> {
    let mut scan = table.scan();
    scan.filter(filter).unwrap().use_scalar_index(use_index);
    let found = scan.try_into_batch().await.unwrap();
    let mut ids = found.column_by_name("id").unwrap().as_primitive::<Int64Type>().values().to_vec();
    ids.sort_unstable();
    ids
}

fn own_rows(who: usize) -> String {
    format!("id >= {} AND id < {}", FIRST_OF[who], FIRST_OF[who] + 1_000_000)
}

async fn open(uri: &str) -> Dataset {
    DatasetBuilder::from_uri(uri).load().await.unwrap()
}

fn queue_of(root: &Path) -> RootQueue {
    let resolved = root.canonicalize().unwrap();
    Queues::process().root(&RootIdentity::new(resolved.to_string_lossy()))
}

fn in_database() -> TableRef {
    TableRef::on_main(TableKey::new("t"))
}

async fn optimize(uri: &str, options: &OptimizeOptions) -> OptimizeReport {
    Keeper::new().optimize(&[uri.to_owned()], options, Arc::new(NoProgress)).await
}

fn done(report: &OptimizeReport) {
    assert_eq!(report.exit_code().number(), 0, "{report:#?}");
}

fn only(report: &OptimizeReport) -> &TableOptimizeStats {
    let [root] = report.roots.as_slice() else { panic!("{report:#?}") };
    let [table] = root.tables.as_slice() else { panic!("{report:#?}") };
    table
}

/// Groups of ten fragments.
fn in_groups() -> OptimizeOptions {
    OptimizeOptions { target_rows: 10 * ROWS as u64, ..OptimizeOptions::default() }
}

/// The same without work on indexes, which looks at every fragment before any group does.
fn groups_alone() -> OptimizeOptions {
    OptimizeOptions { index: IndexMode::Keep, ..in_groups() }
}

/// Does something each time a group was staged, and only then lets the run go on: after the
/// rewrite has read its fragments and before anything is re-checked.
struct OnStaged<F> {
    action: F,
    calls: AtomicUsize,
}

impl<F: Fn(usize, &TableRef) + Send + Sync + 'static> OnStaged<F> {
    fn new(action: F) -> Arc<Self> {
        Arc::new(Self { action, calls: AtomicUsize::new(0) })
    }
}

impl<F: Fn(usize, &TableRef) + Send + Sync> Progress for OnStaged<F> {
    fn on_event(&self, event: ProgressEvent) {
        if let ProgressEvent::GroupStaged { table, .. } = event {
            let call = self.calls.fetch_add(1, Ordering::SeqCst);
            // On a thread of its own: this one belongs to the runtime of the run.
            std::thread::scope(|scope| scope.spawn(|| (self.action)(call, &table)).join().unwrap());
        }
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// Two writers append all through several runs: one past every queue, as a foreign process
/// does, and one that takes its turn.
async fn appends_all_through_some_runs(stable_row_ids: bool, index: Index) {
    let mut world = Database::new(stable_row_ids, index).await;
    let finished = Arc::new(AtomicBool::new(false));
    let appends = Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
    let mut started = Vec::new();
    let mut writers = Vec::new();
    for (who, queue) in [None, Some(world.queue())].into_iter().enumerate() {
        let uri = world.table_uri();
        let (finished, appends) = (Arc::clone(&finished), Arc::clone(&appends));
        let (first_write, wrote) = oneshot::channel();
        started.push(wrote);
        writers.push(tokio::spawn(async move {
            let mut ids = Vec::new();
            let mut first_write = Some(first_write);
            while !finished.load(Ordering::SeqCst) {
                let next = FIRST_OF[who] + ids.len() as i64;
                let keys = match &queue {
                    Some(queue) => Some(queue.acquire_one(in_database()).await.unwrap()),
                    None => None,
                };
                tables::append(&uri, next, 3).await.unwrap();
                drop(keys);
                ids.extend(next..next + 3);
                appends[who].fetch_add(1, Ordering::SeqCst);
                if let Some(first_write) = first_write.take() {
                    first_write.send(()).unwrap();
                }
                // Reads its own writes, which also keeps the two writers from starving each
                // other: Lance has no queue.
                let mine = filtered(&open(&uri).await, &own_rows(who), true).await;
                assert_eq!(mine, ids);
            }
            ids
        }));
    }
    for first_write in started {
        // An error is a writer that died: joining it says why.
        let _ = first_write.await;
    }
    let mut runs = Vec::new();
    while runs.len() < 30 && appends.iter().any(|appends| appends.load(Ordering::SeqCst) < 15) {
        runs.push(optimize(&world.uri(), &in_groups()).await);
    }
    finished.store(true, Ordering::SeqCst);
    for writer in writers {
        world.ids.extend(writer.await.unwrap());
    }
    for run in &runs {
        done(run);
        assert_eq!(only(run).skipped, None, "appends never disturb a rewrite: {run:#?}");
    }
    let first = only(&runs[0]);
    assert!(first.committed && first.fragments_removed >= FRAGMENTS as u64, "{first:#?}");
    assert!(runs.iter().filter(|run| only(run).committed).count() > 1, "hardly a race");
    world.check().await;

    let calm = optimize(&world.uri(), &OptimizeOptions::default()).await;
    done(&calm);
    assert!(only(&calm).fragments_after <= 3, "{calm:#?}");
    world.check().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn appends_all_through_some_runs_are_kept() {
    appends_all_through_some_runs(false, Index::None).await;
    appends_all_through_some_runs(true, Index::None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn appends_all_through_some_runs_over_an_index_on_addresses_are_kept() {
    appends_all_through_some_runs(false, Index::HalfCovered).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn appends_all_through_some_runs_over_an_index_on_stable_ids_are_kept() {
    appends_all_through_some_runs(true, Index::HalfCovered).await;
}

async fn delete(uri: &str, id: i64) {
    open(uri).await.delete(&format!("id = {id}")).await.unwrap();
}

/// The ids in a fragment, before anything is rewritten.
fn ids_of(fragment: usize) -> std::ops::Range<i64> {
    (fragment * ROWS) as i64..((fragment + 1) * ROWS) as i64
}

/// Deletes a whole fragment, which leaves the table with that.
async fn delete_fragment(uri: &str, fragment: usize) {
    let ids = ids_of(fragment);
    let filter = format!("id >= {} AND id < {}", ids.start, ids.end);
    open(uri).await.delete(&filter).await.unwrap();
}

/// An update of some rows and a delete of others right after a group was rewritten: the rewrite
/// has read rows that are gone.
async fn writes_between_stage_and_enter(
    stable_row_ids: bool,
    index: Index,
    options: OptimizeOptions,
) {
    let mut world = Database::new(stable_row_ids, index).await;
    // Deletions that the rewrite leaves out come first: with them, places are not offsets.
    open(&world.table_uri()).await.delete("id IN (3, 26, 990)").await.unwrap();
    let uri = world.table_uri();
    let writes = OnStaged::new(move |call, _| {
        if call == 0 {
            block_on(async {
                // The ends of the first output and of the second, and of fragments within.
                open(&uri).await.delete("id IN (0, 7, 27, 249, 250, 475)").await.unwrap();
                let update = UpdateBuilder::new(Arc::new(open(&uri).await))
                    .update_where("id IN (1, 24, 251)")
                    .unwrap()
                    .set("text", "concat(text, '')")
                    .unwrap();
                update.build().unwrap().execute().await.unwrap();
            });
        }
    });
    let report = Keeper::new().optimize(&[world.uri()], &options, writes).await;
    for gone in [3, 26, 990, 0, 7, 27, 249, 250, 475] {
        world.ids.remove(&gone);
    }
    world.check().await;
    done(&report);
    let table = only(&report);
    assert!(table.committed && table.skipped.is_none(), "{table:#?}");
    assert_eq!((table.groups_dropped, table.groups_redone), (0, 0), "{table:#?}");
    // What the update wrote is a fragment more, which this run did not know.
    assert_eq!(table.fragments_after, (FRAGMENTS / 10) as u64 + 1, "{table:#?}");
    let head = open(&world.table_uri()).await;
    let deleted = head.fragments().iter().filter_map(|f| f.deletion_file.as_ref());
    let deleted: usize = deleted.map(|file| file.num_deleted_rows.unwrap()).sum();
    assert_eq!(deleted, 9, "carried over, not rewritten again");
    // The next run purges nothing it need not, and changes no row.
    done(&optimize(&world.uri(), &options).await);
    world.check().await;
}

#[tokio::test]
async fn writes_between_stage_and_enter_are_carried_over() {
    writes_between_stage_and_enter(false, Index::None, in_groups()).await;
    writes_between_stage_and_enter(true, Index::None, in_groups()).await;
}

#[tokio::test]
async fn writes_between_stage_and_enter_are_carried_over_on_indexed_tables() {
    writes_between_stage_and_enter(false, Index::HalfCovered, groups_alone()).await;
    writes_between_stage_and_enter(true, Index::HalfCovered, groups_alone()).await;
}

#[tokio::test]
async fn writes_between_stage_and_enter_are_carried_over_where_indexes_are_refreshed() {
    writes_between_stage_and_enter(false, Index::HalfCovered, in_groups()).await;
    writes_between_stage_and_enter(true, Index::HalfCovered, in_groups()).await;
}

/// A fragment that leaves the table after it was rewritten: its rows may live on elsewhere, so
/// nothing is carried over.
async fn a_fragment_that_goes_between_stage_and_enter(stable_row_ids: bool) {
    let mut world = Database::new(stable_row_ids, Index::HalfCovered).await;
    let uri = world.table_uri();
    let deletes = OnStaged::new(move |call, _| {
        if call == 0 {
            block_on(delete_fragment(&uri, 0));
        }
    });
    let report = Keeper::new().optimize(&[world.uri()], &groups_alone(), deletes).await;
    world.ids.retain(|id| !ids_of(0).contains(id));
    world.check().await;
    done(&report);
    let table = only(&report);
    assert!(table.committed, "the other groups and the redo: {table:#?}");
    assert!(table.groups_dropped >= 1 && table.groups_redone >= 1, "{table:#?}");
    assert!(table.reason.contains("a writer changed fragment 0"), "{}", table.reason);
    assert_eq!(table.skipped, None);
    assert_eq!(table.fragments_after, (FRAGMENTS / 10) as u64, "{table:#?}");
}

#[tokio::test]
async fn a_group_whose_fragment_goes_between_stage_and_enter_is_redone() {
    a_fragment_that_goes_between_stage_and_enter(false).await;
    a_fragment_that_goes_between_stage_and_enter(true).await;
}

/// A restore after a group was rewritten brings rows back that the rewrite left out, and that an
/// index built meanwhile does not have.
async fn a_restore_between_stage_and_enter(stable_row_ids: bool, options: OptimizeOptions) {
    let world = Database::new(stable_row_ids, Index::HalfCovered).await;
    let whole = version_of(&open(&world.table_uri()).await);
    // The last is in fragments that no index covers yet, and `check` searches for it.
    open(&world.table_uri()).await.delete("id IN (3, 26, 662)").await.unwrap();
    let uri = world.table_uri();
    let restores = OnStaged::new(move |call, _| {
        if call == 0 {
            block_on(async {
                let mut old = open(&uri).await.checkout_version(whole.0).await.unwrap();
                old.restore().await.unwrap();
            });
        }
    });
    let report = Keeper::new().optimize(&[world.uri()], &options, restores).await;
    done(&report);
    world.check().await;
    assert!(only(&report).groups_dropped >= 1, "{report:#?}");
}

#[tokio::test]
async fn rows_that_a_restore_brings_back_between_stage_and_enter_stay() {
    for stable_row_ids in [false, true] {
        a_restore_between_stage_and_enter(stable_row_ids, groups_alone()).await;
        a_restore_between_stage_and_enter(stable_row_ids, in_groups()).await;
    }
}

#[tokio::test]
async fn a_table_whose_writers_delete_in_every_round_is_left_to_them() {
    let mut world = Database::new(true, Index::None).await;
    let uri = world.table_uri();
    let deletes = OnStaged::new(move |call, _| block_on(delete_fragment(&uri, call)));
    // One group: each delete takes a fragment from it.
    let keeper = Keeper::new();
    let options = OptimizeOptions::default();
    let report = keeper.optimize(&[world.uri()], &options, deletes.clone()).await;
    let calls = deletes.calls.load(Ordering::SeqCst) as i64;
    world.ids.retain(|id| *id >= calls * ROWS as i64);
    world.check().await;
    done(&report);
    let table = only(&report);
    assert_eq!(table.skipped, Some(SkipReason::ChangedByWriters), "{table:#?}");
    assert!(!table.committed && table.fragments_removed == 0);
    assert_eq!((table.groups_dropped, table.groups_redone), (3, 2), "rounds are bounded");
    assert_eq!(calls, 3);

    let calm = optimize(&world.uri(), &options).await;
    assert_eq!(only(&calm).fragments_after, 1);
    world.check().await;
}

/// A delete between the reservation and the Rewrite, while optimize waits for the key. On row
/// addresses the indexes have been carried over by then, for rows of which one is gone.
async fn a_delete_while_optimize_waits_for_the_key(stable_row_ids: bool) {
    let mut world = Database::new(stable_row_ids, Index::HalfCovered).await;
    let keys = world.queue().acquire_one(in_database()).await.unwrap();
    let before = version_of(&open(&world.table_uri()).await);
    let (uri, options) = (world.uri(), groups_alone());
    let run = tokio::spawn(async move { optimize(&uri, &options).await });
    // Ids reserved, everything noted in the journal: what is left needs the key.
    let journal = world.root().join("__maintenance/journal");
    let groups = FRAGMENTS / 10;
    let asked = Instant::now();
    loop {
        let head = open(&world.table_uri()).await;
        let owners = owners_between(&head, before, version_of(&head)).await;
        let is_reserved = owners.iter().any(|owner| matches!(owner, Owner::Ours(_)));
        let noted = groups + usize::from(!stable_row_ids);
        if is_reserved && names(&journal).unwrap().len() >= noted {
            break;
        }
        assert!(!run.is_finished(), "optimize did not wait for the key");
        assert!(asked.elapsed().as_secs() < 60, "optimize never got as far as the key");
        tokio::task::yield_now().await;
    }
    delete(&world.table_uri(), 33).await;
    drop(keys);
    let report = run.await.unwrap();
    world.ids.remove(&33);
    world.check().await;
    done(&report);
    let table = only(&report);
    assert!(table.committed && table.groups_dropped == 0 && table.groups_redone == 0, "{table:#?}");
    assert_eq!(table.fragments_after, groups as u64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delete_between_reservation_and_rewrite_is_carried_over() {
    a_delete_while_optimize_waits_for_the_key(false).await;
    a_delete_while_optimize_waits_for_the_key(true).await;
}

/// The data files that the journal of a run names: staged ones, while it is held up.
fn staged_files(root: &Path) -> Vec<PathBuf> {
    let journal = root.join("__maintenance/journal");
    let mut files = Vec::new();
    // Another group's entry may just be written beside it.
    for name in names(&journal).unwrap().into_iter().filter(|name| name.ends_with(".json")) {
        let entry = std::fs::read_to_string(journal.join(name)).unwrap();
        let entry: serde_json::Value = serde_json::from_str(&entry).unwrap();
        let paths = entry["files"].as_array().unwrap().iter();
        let paths = paths.map(|file| file["path"].as_str().unwrap());
        files.extend(paths.filter(|path| path.starts_with("data/")).map(ToOwned::to_owned));
    }
    files.iter().map(|path| root.join("t.lance").join(path)).collect()
}

/// Something happens to the first staged file before Enter.
async fn a_staged_file_that_changes(change: fn(&Path)) {
    let world = Database::new(false, Index::HalfCovered).await;
    let root = world.root();
    let spoil = OnStaged::new(move |call, _| {
        if call == 0 {
            change(&staged_files(&root)[0]);
        }
    });
    let report = Keeper::new().optimize(&[world.uri()], &groups_alone(), spoil).await;
    world.check().await;
    done(&report);
    let table = only(&report);
    assert!(table.committed && table.groups_dropped >= 1 && table.groups_redone >= 1, "{table:#?}");
    assert!(table.reason.contains("is gone or has another size"), "{}", table.reason);
    assert_eq!(table.fragments_after, (FRAGMENTS / 10) as u64, "the redo: {table:#?}");
}

#[tokio::test]
async fn a_staged_file_that_vanishes_drops_its_group() {
    a_staged_file_that_changes(|file| std::fs::remove_file(file).unwrap()).await;
}

#[tokio::test]
async fn a_staged_file_that_was_cut_off_drops_its_group() {
    a_staged_file_that_changes(|file| {
        let staged = std::fs::OpenOptions::new().write(true).open(file).unwrap();
        staged.set_len(staged.metadata().unwrap().len() - 1).unwrap();
    })
    .await;
}

/// Keepers that work on one root at the same time; one of them does it all.
async fn take_turns(uri: String) {
    let runs = (0..3).map(|_| {
        let uri = uri.clone();
        tokio::spawn(async move { optimize(&uri, &OptimizeOptions::default()).await })
    });
    let runs: Vec<_> = runs.collect();
    // Looking needs no turn.
    let uris = [uri.clone()];
    let looking = tokio::spawn(async move {
        let plan = Keeper::new().plan_optimize(&uris, &OptimizeOptions::default()).await;
        (Keeper::new().status(&uris).await.exit_code(), plan.exit_code())
    });
    let mut committed = 0;
    for run in runs {
        let report = run.await.unwrap();
        done(&report);
        for table in &report.roots[0].tables {
            assert_eq!(table.rows_before, table.rows_after);
            assert!(table.skipped.is_none() && table.groups_dropped == 0, "{table:#?}");
        }
        committed += usize::from(report.totals.tables_committed > 0);
    }
    assert_eq!(committed, 1, "the others find nothing to do");
    let (status, plan) = looking.await.unwrap();
    assert_eq!((status.number(), plan.number()), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn keepers_of_one_process_take_turns() {
    let world = Database::new(true, Index::HalfCovered).await;
    take_turns(world.uri()).await;
    world.check().await;

    let fixture = Fixture::unpack("omnigraph-0.8.0-main-only").unwrap();
    let before = graph_rows(&fixture.uri("graph")).await.unwrap();
    take_turns(fixture.uri("graph")).await;
    assert_eq!(graph_rows(&fixture.uri("graph")).await.unwrap(), before);
    check_graph(&fixture.uri("graph")).await.unwrap();
}

#[tokio::test]
async fn a_root_locked_by_another_keeper_is_left_alone_and_its_holder_named() {
    let world = Database::new(false, Index::None).await;
    let fixture = Fixture::unpack("omnigraph-0.8.0-main-only").unwrap();
    for root in [world.root(), fixture.path("graph")] {
        let holder = LockHolder::this_process(
            OperationId::new("01ANOTHER"),
            "cleanup",
            "2026-01-02T03:04:05Z",
        );
        let lock = RootLock::try_acquire(&root, &holder).unwrap();
        let uri = root.to_string_lossy().into_owned();
        let before = tree(&uri);
        let report = optimize(&uri, &OptimizeOptions::default()).await;
        assert_eq!(report.exit_code().number(), 11, "{report:#?}");
        let error = report.roots[0].error.as_deref().unwrap();
        for word in
            ["01ANOTHER", "cleanup", "2026-01-02T03:04:05Z", &std::process::id().to_string()]
        {
            assert!(error.contains(word), "{word} is not in: {error}");
        }
        assert!(report.roots[0].tables.is_empty());
        assert_eq!(tree(&uri), before, "something was written");
        // Looking needs no lock.
        assert_eq!(Keeper::new().status(std::slice::from_ref(&uri)).await.exit_code().number(), 0);
        drop(lock);
        done(&optimize(&uri, &OptimizeOptions::default()).await);
    }
}

#[tokio::test]
async fn who_waits_for_a_locked_root_has_it_when_it_is_free_and_sees_what_was_done_meanwhile() {
    let world = Database::new(false, Index::None).await;
    let holder = LockHolder::this_process(OperationId::new("01ANOTHER"), "cleanup", "now");
    let lock = RootLock::try_acquire(&world.root(), &holder).unwrap();
    let uri = world.root().to_string_lossy().into_owned();
    let keeper = Keeper::builder().lock_wait(Duration::from_secs(60)).build();
    let other = async {
        // It waits: nothing else would let this go on.
        tokio::time::timeout(Duration::from_millis(300), std::future::pending::<()>())
            .await
            .unwrap_err();
        tables::create(&format!("{uri}/late.lance"), 3, 4, false).await.unwrap();
        drop(lock);
    };
    let progress = Arc::new(NoProgress);
    let options = OptimizeOptions::default();
    let (report, ()) =
        tokio::join!(keeper.optimize(std::slice::from_ref(&uri), &options, progress), other);
    done(&report);
    let tables = &report.roots[0].tables;
    assert!(tables.iter().any(|row| row.table_key.as_str() == "late"), "{report:#?}");
}

#[tokio::test]
async fn a_wait_for_a_locked_root_ends_with_the_time_or_a_request_to_stop() {
    let world = Database::new(false, Index::None).await;
    let holder = LockHolder::this_process(OperationId::new("01ANOTHER"), "cleanup", "now");
    let _lock = RootLock::try_acquire(&world.root(), &holder).unwrap();
    let uri = world.root().to_string_lossy().into_owned();
    let policy = CleanupPolicyOptions { keep_versions: Some(1), older_than: None };
    let options = CleanupOptions { policy, ..CleanupOptions::default() };
    let keeper = Keeper::builder().lock_wait(Duration::from_millis(200)).build();
    let began = Instant::now();
    let report = keeper.cleanup([&uri], &options).await;
    assert!(began.elapsed() >= Duration::from_millis(200), "{:?}", began.elapsed());
    assert_eq!(report.exit_code().number(), 11, "{report:#?}");
    assert!(report.roots[0].error.as_deref().unwrap().contains("01ANOTHER"), "{report:#?}");
    let keeper = Keeper::builder().lock_wait(Duration::from_secs(600)).build();
    let stopper = keeper.clone();
    let stop = async {
        tokio::time::timeout(Duration::from_millis(100), std::future::pending::<()>())
            .await
            .unwrap_err();
        stopper.stop();
    };
    let (report, ()) = tokio::join!(keeper.cleanup([&uri], &options), stop);
    assert_eq!(report.exit_code().number(), 130, "{report:#?}");
}
