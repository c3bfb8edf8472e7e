//! Habits of `optimize`: tables that are compact enough, deletions purged, and runs that stop
//! at a budget and go on in the next.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use lance::Dataset;
use lance::dataset::builder::DatasetBuilder;
use lance::index::DatasetIndexExt;
use lance_index::IndexType;
use lance_index::scalar::ScalarIndexParams;
use lancekeeper::{
    BudgetLimit, Keeper, OptimizeOptions, OptimizeReport, Progress, ProgressEvent, SkipReason,
    TableOptimizeStats,
};
use lancekeeper_testkit::invariants::{check_files, names};
use lancekeeper_testkit::{Fixture, check_graph, graph_rows, table_rows, tables};
use serde_json::Value;
use tempfile::TempDir;

use crate::binary::{lancekeeper, run};
use crate::fixtures::tree;

/// A run that does one unit after the other is done after so many: there are fewer units.
const RUNS_MAX: usize = 60;

async fn open(uri: &str) -> Dataset {
    DatasetBuilder::from_uri(uri).load().await.unwrap()
}

/// The bytes of the groups that were rewritten, each as it was told.
#[derive(Default)]
struct Staged(Mutex<Vec<u64>>);

impl Progress for Staged {
    fn on_event(&self, event: ProgressEvent) {
        if let ProgressEvent::GroupStaged { bytes, .. } = event {
            self.0.lock().unwrap().push(bytes);
        }
    }
}

async fn optimize(uris: &[String], options: &OptimizeOptions) -> (OptimizeReport, Vec<u64>) {
    let staged = Arc::new(Staged::default());
    let report = Keeper::new().optimize(uris, options, staged.clone()).await;
    assert_eq!(report.exit_code().number(), 0, "{report:#?}");
    let staged = staged.0.lock().unwrap().clone();
    (report, staged)
}

/// A database whose tables fall into several groups each, of different sizes.
struct Database {
    directory: TempDir,
}

/// Name, fragments and rows of each table.
const TABLES: [(&str, usize, usize); 3] = [("a", 6, 40), ("b", 12, 10), ("c", 9, 100)];

impl Database {
    async fn new() -> Self {
        let world = Self { directory: TempDir::new().unwrap() };
        for (name, fragments, rows) in TABLES {
            tables::create(&world.table(name), fragments, rows, false).await.unwrap();
        }
        world
    }

    fn uri(&self) -> String {
        self.directory.path().to_string_lossy().into_owned()
    }

    fn table(&self, name: &str) -> String {
        format!("{}/{name}.lance", self.uri())
    }

    async fn rows(&self) -> Vec<Vec<String>> {
        let mut rows = Vec::new();
        for (name, _, _) in TABLES {
            rows.push(table_rows(&open(&self.table(name)).await).await.unwrap());
        }
        rows
    }

    /// No trace of what was not done or given up.
    async fn is_clean(&self) {
        for (name, _, _) in TABLES {
            let table = open(&self.table(name)).await;
            check_files(&table, std::path::Path::new(&self.table(name))).await.unwrap();
        }
        let journal = self.directory.path().join("__maintenance/journal");
        assert!(names(&journal).unwrap().is_empty());
    }
}

/// Two or three fragments of `TABLES` become one.
fn in_groups() -> OptimizeOptions {
    OptimizeOptions { target_rows: 200, ..OptimizeOptions::default() }
}

fn row_of<'a>(report: &'a OptimizeReport, table: &str) -> &'a TableOptimizeStats {
    let rows = report.roots.iter().flat_map(|root| &root.tables);
    rows.into_iter().find(|row| row.table_key.as_str() == table).unwrap()
}

// Compact enough.

#[tokio::test]
async fn a_table_with_fewer_fragments_than_asked_for_is_left_alone_with_its_indexes() {
    let dir = TempDir::new().unwrap();
    let at = |name: &str| dir.path().join(name).to_string_lossy().into_owned();
    let (small, large) = (at("small.lance"), at("large.lance"));
    let mut table = tables::create(&small, 1, 10, false).await.unwrap();
    let by_id = ScalarIndexParams::default();
    table.create_index(&["id"], IndexType::BTree, None, &by_id, false).await.unwrap();
    tables::append(&small, 10, 10).await.unwrap();
    let mut table = tables::append(&small, 20, 10).await.unwrap();
    table.delete("id < 9").await.unwrap();
    tables::create(&large, 4, 10, false).await.unwrap();
    let before = tree(&small);
    let root = at("");

    let line = ["optimize", "--json", "--min-fragments", "4", &root];
    for dry in [&["--dry-run"][..], &[]] {
        let ran = run(lancekeeper(line.iter().chain(dry)));
        assert_eq!(ran.code, Some(0), "{ran:#?}");
        let document = ran.document();
        let [large, small] = [0, 1].map(|at| &document["roots"][0]["tables"][at]);
        assert_eq!(small["skipped"], "already_compact");
        assert_eq!(small["reason"], "3 fragments, fewer than 4");
        assert_eq!((&small["committed"], &small["error"]), (&false.into(), &Value::Null));
        assert_eq!((&large["skipped"], &large["fragments_removed"]), (&Value::Null, &4.into()));
    }
    assert_eq!(tree(&small), before, "something was written");
    assert_eq!(open(&large).await.fragments().len(), 1);

    // At the limit it is worked on, and without one it always is.
    let ran = run(lancekeeper(["optimize", "--json", "--min-fragments", "3", &root]));
    let document = ran.document();
    let [large, small] = [0, 1].map(|at| &document["roots"][0]["tables"][at]);
    assert_eq!((&small["committed"], &small["fragments_after"]), (&true.into(), &1.into()));
    assert_eq!(large["skipped"], "already_compact", "a table that is done");
    let ran = run(lancekeeper(["optimize", "--json", &root]));
    assert_eq!(ran.document()["roots"][0]["tables"][0]["skipped"], Value::Null);
}

#[tokio::test]
async fn nothing_is_written_to_a_graph_that_is_compact_enough() {
    let fixture = Fixture::unpack("omnigraph-0.8.0-main-only").unwrap();
    let uri = fixture.uri("graph");
    let before = tree(&uri);
    let compact = OptimizeOptions { min_fragments: Some(100), ..OptimizeOptions::default() };
    let (report, _) = optimize(std::slice::from_ref(&uri), &compact).await;
    assert_eq!(report.roots[0].published, 0);
    assert_eq!(report.roots[0].tables.len(), 5, "the graph's own table has a row, too");
    for table in &report.roots[0].tables {
        assert_eq!(table.skipped, Some(SkipReason::AlreadyCompact), "{table:#?}");
        assert!(!table.committed && table.left.is_nothing());
    }
    let mut after = tree(&uri);
    after.retain(|(path, _)| !path.contains("__maintenance"));
    let sizes = |tree: &[(String, u64)]| {
        let files = tree.iter().filter(|(path, _)| !std::path::Path::new(path).is_dir());
        files.cloned().collect::<Vec<_>>()
    };
    assert_eq!(sizes(&after), sizes(&before), "something was written");

    // Between: tables of 10 fragments and more, and the 16 of `__manifest`.
    let some = OptimizeOptions { min_fragments: Some(13), ..OptimizeOptions::default() };
    let (report, _) = optimize(std::slice::from_ref(&uri), &some).await;
    assert!(row_of(&report, "node:Person").committed && row_of(&report, "__manifest").committed);
    assert_eq!(row_of(&report, "edge:Knows").skipped, Some(SkipReason::AlreadyCompact));
    check_graph(&uri).await.unwrap();
}

// Deletions.

#[tokio::test]
async fn purging_deletes_leaves_no_deleted_row_and_every_other() {
    let dir = TempDir::new().unwrap();
    let uri = dir.path().join("t.lance").to_string_lossy().into_owned();
    let mut table = tables::create(&uri, 3, 100, false).await.unwrap();
    table.delete("id = 5 OR id = 250").await.unwrap();
    let rows = table_rows(&open(&uri).await).await.unwrap();
    // Fragments are full, so that only deletions are a reason.
    let line = ["optimize", "--json", "--target-rows", "99", &uri];
    let ran = run(lancekeeper(line));
    assert_eq!(ran.document()["totals"]["tables_committed"], 0, "two in a hundred are few");
    let ran = run(lancekeeper(line.iter().chain(&["--purge-deletes"])));
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    let document = ran.document();
    assert_eq!(document["roots"][0]["tables"][0]["fragments_removed"], 2);
    let table = open(&uri).await;
    assert_eq!(table.count_deleted_rows().await.unwrap(), 0);
    assert!(table_rows(&table).await.unwrap() == rows);
    let ran = run(lancekeeper(line.iter().chain(&["--purge-deletes"])));
    assert_eq!(ran.document()["totals"]["tables_committed"], 0);
}

// Budgets.

/// Runs with the same options until nothing is left. Returns how many runs it took, and the
/// bytes that each staged, group by group.
async fn until_done(uri: &str, options: &OptimizeOptions) -> Vec<Vec<u64>> {
    let mut runs = Vec::new();
    for _ in 0..RUNS_MAX {
        let (report, staged) = optimize(&[uri.to_owned()], options).await;
        let is_done = report.totals.left.is_nothing();
        assert_eq!(is_done, report.totals.tables_left == 0);
        for table in report.roots.iter().flat_map(|root| &root.tables) {
            assert_eq!(table.rows_before, table.rows_after);
            let is_spent = table.skipped == Some(SkipReason::BudgetSpent);
            assert_eq!(is_spent, !table.left.is_nothing() && !table.committed, "{table:#?}");
        }
        let is_idle = report.totals.tables_committed == 0;
        assert!(is_done || !is_idle, "nothing was done, and something is left: {report:#?}");
        runs.push(staged);
        if is_done {
            return runs;
        }
    }
    panic!("not done after {RUNS_MAX} runs: {runs:?}");
}

#[tokio::test]
async fn runs_with_a_budget_of_bytes_keep_it_and_get_done() {
    let world = Database::new().await;
    let rows = world.rows().await;
    let uris = [world.uri()];
    let plan = Keeper::new().plan_optimize(&uris, &in_groups()).await;
    assert!(plan.totals.left.is_nothing());
    // Small enough to take several runs, large enough for several groups in one.
    let max = plan.totals.bytes_before * 9 / 20;
    let options = OptimizeOptions { max_bytes: Some(max), ..in_groups() };

    let plan = Keeper::new().plan_optimize(&uris, &options).await;
    let before = tree(&world.uri());
    let again = Keeper::new().plan_optimize(&uris, &options).await;
    assert_eq!(plan.totals.left, again.totals.left, "the same state gives the same cut");
    assert_eq!(tree(&world.uri()), before);
    let (first, staged) = optimize(&uris, &options).await;
    assert_eq!(first.totals.left, plan.totals.left, "a dry run shows what is cut");
    assert_eq!(first.totals.left.left_by, Some(BudgetLimit::MaxBytes));
    assert!(first.totals.left.groups_left > 0 && first.totals.left.bytes_left > 0);
    for (ran, planned) in first.roots[0].tables.iter().zip(&plan.roots[0].tables) {
        assert_eq!(ran.left, planned.left, "{ran:#?}");
        assert_eq!(ran.fragments_after, planned.fragments_after, "{ran:#?}");
        assert_eq!(ran.skipped, planned.skipped, "{ran:#?}");
    }
    assert!(staged.len() > 1, "the budget is large enough for several groups");

    let mut runs = until_done(&world.uri(), &options).await;
    runs.insert(0, staged);
    assert!(runs.len() > 2, "{runs:?}");
    for groups in &runs {
        assert!(groups.iter().sum::<u64>() <= max, "{groups:?} of {max}");
    }
    assert!(world.rows().await == rows, "rows were lost");
    world.is_clean().await;
    let done = tree(&world.uri());
    let (last, _) = optimize(&uris, &in_groups()).await;
    assert_eq!(last.totals.tables_committed, 0, "what the runs left: {last:#?}");
    assert_eq!(tree(&world.uri()), done);
}

#[tokio::test]
async fn a_group_that_is_larger_than_the_budget_is_done_alone() {
    let world = Database::new().await;
    let rows = world.rows().await;
    let options = OptimizeOptions { max_bytes: Some(1), ..in_groups() };
    let runs = until_done(&world.uri(), &options).await;
    let (last, others) = runs.split_last().unwrap();
    assert!(others.iter().all(|groups| groups.len() == 1) && last.len() <= 1, "{runs:?}");
    // Every group of the plan, one after the other: 1 of a, 1 of b, 4 of c.
    assert_eq!(runs.concat().len(), 6, "{runs:?}");
    assert!(world.rows().await == rows, "rows were lost");
    world.is_clean().await;
}

#[tokio::test]
async fn several_roots_spend_one_budget_in_the_order_in_which_they_are_named() {
    let (first, second) = (Database::new().await, Database::new().await);
    let options = OptimizeOptions { max_bytes: Some(1), ..in_groups() };
    let (report, staged) = optimize(&[second.uri(), first.uri()], &options).await;
    assert_eq!(staged.len(), 1, "one unit of one root");
    let committed = |at: usize| {
        let tables: &Vec<TableOptimizeStats> = &report.roots[at].tables;
        tables.iter().filter(|table| table.committed).count()
    };
    assert_eq!((committed(0), committed(1)), (1, 0));
    assert_eq!(report.roots[1].tables.iter().filter(|t| !t.left.is_nothing()).count(), 3);
}

#[tokio::test]
async fn a_graph_gets_done_in_runs_with_a_budget_of_bytes() {
    let fixture = Fixture::unpack("omnigraph-0.8.0-main-only").unwrap();
    let uri = fixture.uri("graph");
    let rows = graph_rows(&uri).await.unwrap();
    // Enough for one of the three tables that have work, and its indexes.
    let options = OptimizeOptions { max_bytes: Some(250 << 10), ..OptimizeOptions::default() };
    let mut runs = 0;
    loop {
        let (report, staged) = optimize(std::slice::from_ref(&uri), &options).await;
        runs += 1;
        assert!(staged.iter().sum::<u64>() <= 250 << 10, "{staged:?}");
        assert!(report.roots[0].published <= 1);
        assert!(graph_rows(&uri).await.unwrap() == rows, "rows were lost");
        check_graph(&uri).await.unwrap();
        if report.totals.left.is_nothing() {
            break;
        }
        assert!(report.totals.left.indexes_left > 0, "indexes wait with their table");
        assert!(runs < 5, "it does not get on");
    }
    assert!(runs > 1, "the budget left nothing");
    let (last, _) = optimize(&[uri], &OptimizeOptions::default()).await;
    assert_eq!(last.roots[0].published, 0, "{last:#?}");
}

/// With a time that is over at once a run does one unit: everything else is left.
#[tokio::test]
async fn runs_whose_time_is_over_do_one_unit_each_and_get_done() {
    let over = OptimizeOptions { max_time: Some(Duration::from_nanos(1)), ..in_groups() };
    let world = Database::new().await;
    let rows = world.rows().await;
    let runs = until_done(&world.uri(), &over).await;
    let (last, others) = runs.split_last().unwrap();
    assert!(others.iter().all(|groups| groups.len() == 1) && last.len() <= 1, "{runs:?}");
    assert_eq!(runs.concat().len(), 6, "{runs:?}");
    assert!(world.rows().await == rows, "rows were lost");
    world.is_clean().await;
    let (last, _) = optimize(&[world.uri()], &in_groups()).await;
    assert_eq!(last.totals.tables_committed, 0, "what the runs left: {last:#?}");
}

#[tokio::test]
async fn a_graph_whose_time_is_over_publishes_what_it_began() {
    let fixture = Fixture::unpack("omnigraph-0.8.0-main-only").unwrap();
    let uri = fixture.uri("graph");
    let rows = graph_rows(&uri).await.unwrap();
    let over =
        OptimizeOptions { max_time: Some(Duration::from_nanos(1)), ..OptimizeOptions::default() };
    let (report, staged) = optimize(std::slice::from_ref(&uri), &over).await;
    assert_eq!((report.roots[0].published, staged.len()), (1, 1), "{report:#?}");
    let left: Vec<_> = report.roots[0].tables.iter().filter(|t| !t.left.is_nothing()).collect();
    // Two tables, and the graph's own.
    assert_eq!(left.len(), 3, "{left:#?}");
    for table in left {
        assert_eq!(table.left.left_by, Some(BudgetLimit::MaxTime));
        assert_eq!(table.skipped, Some(SkipReason::BudgetSpent));
        assert!(table.left.fragments_left > 1 && table.left.bytes_left > 0, "{table:#?}");
        assert_eq!(table.fragments_before, table.fragments_after);
    }
    check_graph(&uri).await.unwrap();
    let runs = until_done(&uri, &over).await;
    assert_eq!(runs.len(), 3, "one table each, then the graph's own");
    assert!(graph_rows(&uri).await.unwrap() == rows, "rows were lost");
    check_graph(&uri).await.unwrap();
}

/// The budgets as a person and a script see them.
#[tokio::test]
async fn what_is_left_is_said_to_people_and_to_scripts() {
    let world = Database::new().await;
    let line = ["optimize", "--target-rows", "200", "--max-bytes", "1", "--max-time", "1h"];
    let uri = world.uri();
    let ran = run(lancekeeper(line.iter().chain(&["--dry-run", uri.as_str()])));
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    assert!(ran.stdout.contains("would stop at --max-bytes · left in 2 tables: "), "{ran:#?}");
    let ran = run(lancekeeper(line.iter().chain(&["--json", uri.as_str()])));
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    let document = ran.document();
    let totals = &document["totals"];
    assert_eq!((&totals["left_by"], &totals["tables_committed"]), (&"max_bytes".into(), &1.into()));
    let tables = document["roots"][0]["tables"].as_array().unwrap();
    for field in ["groups_left", "fragments_left", "bytes_left", "indexes_left"] {
        let sum: u64 = tables.iter().map(|table| table[field].as_u64().unwrap()).sum();
        assert_eq!(totals[field], sum, "{field}");
        assert_eq!(sum > 0, field != "indexes_left", "{field}");
    }
    let ran = run(lancekeeper(line.iter().chain(&[uri.as_str()])));
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    assert!(ran.stdout.contains("stopped at --max-bytes · left in "), "{ran:#?}");
    assert!(ran.stdout.contains(" · run again to go on"), "{ran:#?}");
    assert!(ran.stdout.contains("left for the next run: "), "{ran:#?}");

    // Budgets that suffice leave nothing and say nothing.
    let ran = run(lancekeeper(["optimize", "--max-bytes", "1GiB", "--max-time", "1h", &uri]));
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    assert!(!ran.stdout.contains("stopped") && !ran.stdout.contains("left"), "{ran:#?}");
    for (name, _, _) in TABLES {
        assert_eq!(open(&world.table(name)).await.fragments().len(), 1, "{name}");
    }
}

#[tokio::test]
async fn limits_that_make_no_sense_are_usage_errors_and_nothing_is_done() {
    let world = Database::new().await;
    let before = tree(&world.uri());
    for option in ["--min-fragments", "--max-bytes", "--max-time"] {
        for value in ["0", "-1", "some", "", "99999999999999999999999"] {
            let option_with_value = format!("{option}={value}");
            let ran = run(lancekeeper(["optimize", &option_with_value, &world.uri()]));
            assert_eq!(ran.code, Some(2), "{ran:#?}");
            assert!(ran.stderr.contains(option) && ran.stdout.is_empty(), "{ran:#?}");
        }
    }
    let contradiction = ["optimize", "--purge-deletes", "--deletion-threshold=0.5"];
    let ran = run(lancekeeper(contradiction.iter().chain(&[world.uri().as_str()])));
    assert_eq!(ran.code, Some(2), "{ran:#?}");
    assert_eq!(tree(&world.uri()), before);
}
