//! Optimize on databases that LanceDB wrote, on single tables, and with every option that
//! shapes the layout.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Int64Type};
use lance::Dataset;
use lance::dataset::builder::DatasetBuilder;
use lance::index::DatasetIndexExt;
use lance_index::IndexType;
use lance_index::scalar::{FullTextSearchQuery, ScalarIndexParams};
use lancekeeper::{
    Keeper, NoProgress, OptimizeOptions, OptimizeReport, TableOptimizeStats, Version,
};
use lancekeeper_model::{IndexMode, OperationId};
use lancekeeper_queue::{LockHolder, RootLock, SharedRootLock};
use lancekeeper_testkit::invariants::check_files;
use lancekeeper_testkit::{Fixture, table_rows, tables};
use tempfile::TempDir;

use crate::fixtures::tree;

/// The tables of the fixture's databases with their rows.
const LANCEDB: &[(&str, usize)] =
    &[("article_views", 9590), ("articles", 700), ("images", 30), ("taxonomies", 2)];
const MUSIC: &[(&str, usize)] = &[("music_plays", 500), ("songs", 750)];
/// Some of the ten words in `articles.body`; each is missing in some rows.
const WORDS: &[&str] = &["branch", "lance", "rust"];

async fn optimize(uris: &[String], options: &OptimizeOptions) -> OptimizeReport {
    Keeper::new().optimize(uris, options, Arc::new(NoProgress)).await
}

fn done(report: &OptimizeReport) {
    assert_eq!(report.exit_code().number(), 0, "{report:#?}");
}

fn keeping_indexes() -> OptimizeOptions {
    OptimizeOptions { index: IndexMode::Keep, ..OptimizeOptions::default() }
}

fn row_of<'a>(report: &'a OptimizeReport, table: &str) -> &'a TableOptimizeStats {
    let rows = report.roots.iter().flat_map(|root| &root.tables);
    rows.into_iter().find(|row| row.table_key.as_str() == table).unwrap()
}

async fn open(uri: &str) -> Dataset {
    DatasetBuilder::from_uri(uri).load().await.unwrap()
}

/// HEAD of every table of a database.
async fn heads(database: &str, known: &[(&str, usize)]) -> BTreeMap<String, Dataset> {
    let mut heads = BTreeMap::new();
    for (table, _) in known {
        heads.insert((*table).to_owned(), open(&format!("{database}/{table}.lance")).await);
    }
    heads
}

/// Every version that is looked at again later: all of a short history, some of a long one,
/// and always the newest.
async fn history(table: &Dataset) -> BTreeMap<u64, Vec<String>> {
    let refs = table.version_refs().await.unwrap();
    let step = refs.len().div_ceil(8);
    let mut history = BTreeMap::new();
    for version in refs.iter().rev().step_by(step).map(|version| version.version) {
        let at = table.checkout_version(version).await.unwrap();
        history.insert(version, table_rows(&at).await.unwrap());
    }
    history
}

async fn unindexed(uri: &str) -> BTreeMap<String, u64> {
    let status = Keeper::new().status(&[uri.to_owned()]).await;
    assert_eq!(status.exit_code().number(), 0, "{status:#?}");
    let rows = status.roots[0].tables.iter();
    rows.filter_map(|row| Some((row.table_key.to_string(), row.unindexed_rows?))).collect()
}

/// What is expected of a database in every mode; the report of the run that compacted it.
async fn compacts_without_a_trace(
    fixture: &Fixture,
    inside: &[(&str, &[(&str, usize)])],
    options: &OptimizeOptions,
) -> OptimizeReport {
    let uris: Vec<String> = inside.iter().map(|(database, _)| fixture.uri(database)).collect();
    let mut before = Vec::new();
    for (uri, (_, known)) in uris.iter().zip(inside) {
        let heads = heads(uri, known).await;
        for (table, rows) in *known {
            let head = &heads[*table];
            let history = history(head).await;
            assert_eq!(history.last_key_value().unwrap().1.len(), *rows, "{table}");
            before.push((head.uri().to_owned(), history));
        }
    }
    let mut coverage = Vec::new();
    for uri in &uris {
        coverage.push(unindexed(uri).await);
    }

    let report = optimize(&uris, options).await;
    done(&report);
    assert_eq!(report.roots.len(), uris.len());
    for (root, uri) in report.roots.iter().zip(&uris) {
        assert_eq!((root.uri.as_str(), root.published), (uri.as_str(), 0));
    }
    for row in report.roots.iter().flat_map(|root| &root.tables) {
        assert_eq!(row.rows_before, row.rows_after, "{row:#?}");
        assert!(row.fragments_after <= 2, "{row:#?}");
        assert_eq!(row.committed, row.fragments_removed > 0, "{row:#?}");
        assert!(row.skipped.is_none() && row.groups_dropped == 0, "{row:#?}");
    }

    for (uri, history) in &before {
        let head = open(uri).await;
        let newest = history.last_key_value().unwrap();
        assert_eq!(table_rows(&head).await.unwrap(), *newest.1, "{uri}");
        for (version, rows) in history {
            let at = head.checkout_version(*version).await.unwrap();
            assert_eq!(table_rows(&at).await.unwrap(), *rows, "{uri} at version {version}");
        }
        check_files(&head, std::path::Path::new(uri)).await.unwrap();
    }
    for (uri, before) in uris.iter().zip(coverage) {
        let now = unindexed(uri).await;
        assert_eq!(Vec::from_iter(now.keys()), Vec::from_iter(before.keys()), "indexed tables");
        for (table, rows) in now {
            assert!(rows <= before[&table], "{table}: {rows} rows without index");
        }
    }

    let trees: Vec<_> = uris.iter().map(|uri| tree(uri)).collect();
    let second = optimize(&uris, options).await;
    done(&second);
    for row in second.roots.iter().flat_map(|root| &root.tables) {
        assert!(!row.committed && row.fragments_removed == 0, "{row:#?}");
    }
    for (uri, before) in uris.iter().zip(trees) {
        assert_eq!(tree(uri), before, "the second run wrote something");
    }
    report
}

/// Both databases of the fixture in one call.
async fn both(options: &OptimizeOptions) -> OptimizeReport {
    let fixture = Fixture::unpack("lancedb-python-0.40").unwrap();
    let inside = [("lancedb", LANCEDB), ("lancedb-music", MUSIC)];
    compacts_without_a_trace(&fixture, &inside, options).await
}

#[tokio::test]
async fn two_databases_are_compacted_in_one_call() {
    let report = both(&OptimizeOptions::default()).await;
    let committed = report.roots.iter().flat_map(|root| &root.tables).filter(|row| row.committed);
    // All but `taxonomies`, which is one fragment without deletions.
    assert_eq!(committed.count(), 5);
    assert_eq!(row_of(&report, "article_views").fragments_before, 60);
}

#[tokio::test]
async fn two_databases_are_compacted_in_one_call_with_their_indexes_kept() {
    let report = both(&keeping_indexes()).await;
    // What an index covers is not merged with what it does not.
    assert_eq!(row_of(&report, "article_views").fragments_after, 2);
    assert_eq!(row_of(&report, "articles").fragments_after, 2);
    assert_eq!(row_of(&report, "images").fragments_after, 1);
}

#[tokio::test]
async fn a_single_table_of_a_database_is_a_root_too() {
    let fixture = Fixture::unpack("lancedb-python-0.40").unwrap();
    // Of the database itself only its lock is touched.
    let others = || {
        let all = tree(&fixture.uri("lancedb")).into_iter();
        let is_other = |(path, _): &(String, u64)| {
            !path.contains("article_views") && !path.contains("lancedb/__maintenance")
        };
        all.filter(is_other).collect::<Vec<_>>()
    };
    let before = others();
    let uri = fixture.uri("lancedb/article_views.lance");
    let rows = table_rows(&open(&uri).await).await.unwrap();
    let report = optimize(std::slice::from_ref(&uri), &OptimizeOptions::default()).await;
    done(&report);
    let [row] = report.roots[0].tables.as_slice() else { panic!("{report:#?}") };
    assert!(row.table_key.as_str() == "article_views" && row.committed, "{row:#?}");
    assert_eq!(table_rows(&open(&uri).await).await.unwrap(), rows);
    assert_eq!(others(), before, "a neighbour was touched");
    let second = optimize(&[uri], &OptimizeOptions::default()).await;
    assert!(!row_of(&second, "article_views").committed);
}

// Answers.

/// Ids, each with the bits of its distance.
type Neighbours = BTreeSet<(String, u32)>;

fn neighbours(batch: &RecordBatch) -> Neighbours {
    let ids = batch.column_by_name("id").unwrap().as_string::<i32>();
    let numbers = batch.column_by_name("_distance").unwrap().as_primitive::<Float32Type>();
    let pairs = ids.iter().zip(numbers.iter());
    pairs.map(|(id, number)| (id.unwrap().to_owned(), number.unwrap().to_bits())).collect()
}

fn ids_of(batch: &RecordBatch) -> Vec<String> {
    let ids = batch.column_by_name("id").unwrap().as_string::<i32>();
    let mut ids: Vec<String> = ids.iter().flatten().map(ToOwned::to_owned).collect();
    ids.sort();
    ids
}

async fn search(table: &Dataset, word: &str) -> Vec<String> {
    let mut scan = table.scan();
    let query = FullTextSearchQuery::new(word.to_owned()).with_column("body".to_owned()).unwrap();
    scan.full_text_search(query).unwrap();
    ids_of(&scan.try_into_batch().await.unwrap())
}

async fn matching(table: &Dataset, filter: &str, use_index: bool) -> Vec<String> {
    let mut scan = table.scan();
    scan.filter(filter).unwrap().use_scalar_index(use_index);
    ids_of(&scan.try_into_batch().await.unwrap())
}

/// How the nearest neighbours of a row are looked for.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Nearest {
    /// By the index as it answers by itself.
    Index,
    /// By the index, with the exact distances of many candidates.
    Refined,
    /// By a scan.
    Scan,
}

async fn nearest(table: &Dataset, id: &str, how: Nearest) -> Neighbours {
    let mut one = table.scan();
    one.filter(&format!("id = '{id}'")).unwrap();
    let row = one.try_into_batch().await.unwrap();
    let vector = row.column_by_name("emb").unwrap().as_fixed_size_list().value(0);
    let mut scan = table.scan();
    scan.nearest("emb", &vector, 10).unwrap().use_index(how != Nearest::Scan);
    if how == Nearest::Refined {
        scan.refine(50);
    }
    neighbours(&scan.try_into_batch().await.unwrap())
}

#[derive(Debug, PartialEq)]
struct Answers {
    /// Without their scores: those depend on how many documents the index holds, deleted ones
    /// included, and those are gone after a rewrite.
    words: Vec<Vec<String>>,
    neighbours: Vec<Neighbours>,
}

/// Rows covered by the indexes, and rows that are not.
const NEIGHBOURS_OF: &[&str] = &["a001", "a499", "a650"];

async fn answers(articles: &Dataset) -> Answers {
    let mut answers = Answers { words: Vec::new(), neighbours: Vec::new() };
    for word in WORDS {
        answers.words.push(search(articles, word).await);
    }
    for id in NEIGHBOURS_OF {
        answers.neighbours.push(nearest(articles, id, Nearest::Index).await);
    }
    answers
}

/// Every index of the fixture answers as a scan does.
async fn answer_as_scans(database: &str) {
    let articles = open(&format!("{database}/articles.lance")).await;
    for word in WORDS {
        let found = search(&articles, word).await;
        assert_eq!(found, matching(&articles, &format!("body LIKE '%{word}%'"), false).await);
    }
    for id in NEIGHBOURS_OF {
        let refined = nearest(&articles, id, Nearest::Refined).await;
        assert_eq!(refined, nearest(&articles, id, Nearest::Scan).await, "{id}");
    }
    let views = open(&format!("{database}/article_views.lance")).await;
    for article in (0..60).step_by(17) {
        for filter in [
            format!("article = 'a{article:03}'"),
            format!("article >= 'a{article:03}' AND article < 'a{:03}'", article + 3),
            format!("article = 'a{article:03}' AND country = 'fr'"),
        ] {
            let by_index = matching(&views, &filter, true).await;
            assert_eq!(by_index, matching(&views, &filter, false).await, "{filter}");
        }
    }
}

#[tokio::test]
async fn kept_indexes_give_the_same_answers_bit_by_bit() {
    let fixture = Fixture::unpack("lancedb-python-0.40").unwrap();
    let uri = fixture.uri("lancedb");
    let articles = fixture.uri("lancedb/articles.lance");
    let before = answers(&open(&articles).await).await;
    assert!(before.words.iter().all(|ids| (500..700).contains(&ids.len())));
    assert!(before.neighbours.iter().all(|found| found.len() == 10));
    answer_as_scans(&uri).await;
    let report = optimize(std::slice::from_ref(&uri), &keeping_indexes()).await;
    done(&report);
    assert!(row_of(&report, "articles").committed);
    assert_eq!(answers(&open(&articles).await).await, before);
    answer_as_scans(&uri).await;
}

#[tokio::test]
async fn refreshed_and_rebuilt_indexes_cover_every_row_and_answer_as_scans() {
    let fixture = Fixture::unpack("lancedb-python-0.40").unwrap();
    let uri = fixture.uri("lancedb");
    for index in [IndexMode::Refresh, IndexMode::Rebuild] {
        let options = OptimizeOptions { index, ..OptimizeOptions::default() };
        done(&optimize(std::slice::from_ref(&uri), &options).await);
        assert!(unindexed(&uri).await.values().all(|rows| *rows == 0), "{index:?}");
        answer_as_scans(&uri).await;
    }
}

// Layouts, on tables built here.

/// A database with tables of `id` and `text`.
struct Built {
    directory: TempDir,
}

impl Built {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    fn uri(&self) -> String {
        self.directory.path().to_string_lossy().into_owned()
    }

    fn table(&self, name: &str) -> String {
        format!("{}/{name}.lance", self.uri())
    }

    async fn create(&self, name: &str, fragments: usize, rows: usize, stable: bool) -> Dataset {
        tables::create(&self.table(name), fragments, rows, stable).await.unwrap()
    }

    async fn open(&self, name: &str) -> Dataset {
        open(&self.table(name)).await
    }

    async fn optimize(&self, options: &OptimizeOptions) -> OptimizeReport {
        let report = optimize(&[self.uri()], options).await;
        done(&report);
        report
    }
}

#[tokio::test]
async fn indexes_on_row_ids_and_on_row_addresses_follow_their_rows() {
    for index in [IndexMode::Keep, IndexMode::Refresh] {
        let built = Built::new();
        for (name, stable) in [("addresses", false), ("ids", true)] {
            let mut table = built.create(name, 6, 50, stable).await;
            let params = ScalarIndexParams::default();
            table
                .create_index(&["id"], IndexType::BTree, Some("id_idx".into()), &params, false)
                .await
                .unwrap();
            tables::append(&built.table(name), 300, 50).await.unwrap();
            tables::append(&built.table(name), 350, 50).await.unwrap();
            built.open(name).await.delete("id % 7 = 3").await.unwrap();
        }
        let options = OptimizeOptions { index, ..OptimizeOptions::default() };
        let before = unindexed(&built.uri()).await;
        built.optimize(&options).await;
        // A rewrite that leaves an index behind is answered by scans, and nobody notices.
        let after = unindexed(&built.uri()).await;
        assert!(before.iter().all(|(table, rows)| after[table] <= *rows), "{before:?}, {after:?}");
        for name in ["addresses", "ids"] {
            let table = built.open(name).await;
            assert_eq!(table.count_deleted_rows().await.unwrap(), 0);
            for id in (0..400).step_by(11).chain([3, 10, 399]) {
                let mut scan = table.scan();
                scan.filter(&format!("id = {id}")).unwrap().use_scalar_index(true);
                let found = scan.try_into_batch().await.unwrap();
                let found = found.column(0).as_primitive::<Int64Type>().values().to_vec();
                let expected = if id % 7 == 3 { Vec::new() } else { vec![id] };
                assert_eq!(found, expected, "{name}, {index:?}: id {id}");
            }
        }
    }
}

/// Two full fragments: one with a twentieth of its rows deleted, one with a fifth.
async fn with_deletions(stable: bool) -> Built {
    let built = Built::new();
    let mut table = built.create("t", 2, 100, stable).await;
    table.delete("id < 5 OR id >= 180").await.unwrap();
    built
}

#[tokio::test]
async fn deletions_over_the_threshold_are_purged_and_others_are_not() {
    for stable in [false, true] {
        let built = with_deletions(stable).await;
        let full = OptimizeOptions { target_rows: 100, ..OptimizeOptions::default() };
        let rows = table_rows(&built.open("t").await).await.unwrap();
        let report = built.optimize(&full).await;
        assert_eq!((row_of(&report, "t").fragments_removed, rows.len()), (1, 175));
        let table = built.open("t").await;
        assert_eq!(table.count_deleted_rows().await.unwrap(), 5, "a twentieth stays");
        assert_eq!(table_rows(&table).await.unwrap(), rows);

        // 0 purges what is left.
        let all = OptimizeOptions { deletion_threshold: 0.0, ..full };
        let report = built.optimize(&all).await;
        assert_eq!(row_of(&report, "t").fragments_removed, 1);
        let table = built.open("t").await;
        assert_eq!(table.count_deleted_rows().await.unwrap(), 0);
        assert_eq!(table_rows(&table).await.unwrap(), rows);
        assert!(!row_of(&built.optimize(&all).await, "t").committed);
    }
}

#[tokio::test]
async fn a_table_without_live_rows_keeps_none_of_its_fragments() {
    let built = Built::new();
    let mut table = built.create("t", 3, 20, true).await;
    // Row by row: Lance drops a fragment when it sees that nothing of it is left.
    for id in 20..40 {
        table.delete(&format!("id = {id}")).await.unwrap();
    }
    built.optimize(&OptimizeOptions::default()).await;
    assert_eq!(built.open("t").await.fragments().len(), 1);
    let mut table = built.open("t").await;
    table.delete("true").await.unwrap();
    let report = built.optimize(&OptimizeOptions::default()).await;
    assert_eq!(row_of(&report, "t").rows_after, 0);
    assert_eq!(built.open("t").await.count_rows(None).await.unwrap(), 0);
}

#[tokio::test]
async fn outputs_stay_within_the_target_rows() {
    let built = Built::new();
    built.create("t", 23, 10, false).await;
    let options = OptimizeOptions { target_rows: 50, ..OptimizeOptions::default() };
    let row = row_of(&built.optimize(&options).await, "t").clone();
    assert_eq!((row.fragments_before, row.fragments_after), (23, 5));
    let table = built.open("t").await;
    let rows: Vec<_> = table.fragments().iter().map(|f| f.physical_rows.unwrap()).collect();
    assert_eq!(rows, [50, 50, 50, 50, 30]);
    // In the order they were in.
    let batch = table.scan().try_into_batch().await.unwrap();
    assert!(batch.column(0).as_primitive::<Int64Type>().values().iter().copied().eq(0..230));
}

#[tokio::test]
async fn outputs_stay_within_the_target_bytes() {
    let built = Built::new();
    let table = built.create("t", 12, 200, false).await;
    let bytes = |fragment: &lance::table::format::Fragment| {
        fragment.files[0].file_size_bytes.get().unwrap().get()
    };
    let one = table.fragments().iter().map(bytes).max().unwrap();
    let options = OptimizeOptions { target_bytes: 3 * one, ..OptimizeOptions::default() };
    let row = row_of(&built.optimize(&options).await, "t").clone();
    assert_eq!((row.fragments_before, row.fragments_after), (12, 4));
    let table = built.open("t").await;
    assert!(table.fragments().iter().all(|fragment| bytes(fragment) <= 3 * one));
}

#[tokio::test]
async fn only_the_tables_asked_for_are_touched() {
    let built = Built::new();
    for name in ["a", "b", "c"] {
        built.create(name, 3, 10, false).await;
    }
    let tables = vec!["a".to_owned(), "c".to_owned()];
    let options = OptimizeOptions { tables, ..OptimizeOptions::default() };
    let before = tree(&built.table("b"));
    let report = built.optimize(&options).await;
    let names: Vec<&str> =
        report.roots[0].tables.iter().map(|row| row.table_key.as_str()).collect();
    assert_eq!(names, ["a", "c"]);
    assert!(report.roots[0].tables.iter().all(|row| row.committed));
    assert_eq!(tree(&built.table("b")), before);
}

#[tokio::test]
async fn an_unknown_table_is_refused_and_the_known_ones_are_named() {
    let built = Built::new();
    for name in ["first", "second"] {
        built.create(name, 3, 10, false).await;
    }
    let before = tree(&built.uri());
    let tables = vec!["first".to_owned(), "third".to_owned()];
    let options = OptimizeOptions { tables, ..OptimizeOptions::default() };
    let keeper = Keeper::new();
    for report in [
        keeper.plan_optimize(&[built.uri()], &options).await,
        optimize(&[built.uri()], &options).await,
    ] {
        assert_eq!(report.exit_code().number(), 2, "{report:#?}");
        let error = report.roots[0].error.as_deref().unwrap();
        assert!(error.contains("third") && error.contains("first, second"), "{error}");
    }
    let tables = |root: &str| {
        let inside = tree(root);
        inside.into_iter().filter(|(path, _)| path.contains(".lance")).collect::<Vec<_>>()
    };
    assert_eq!(tables(&built.uri()), before);
}

#[tokio::test]
async fn a_dry_run_writes_nothing_and_foretells_what_a_run_does() {
    let built = Built::new();
    built.create("small", 9, 30, true).await;
    let mut deleted = built.create("deleted", 4, 100, false).await;
    deleted.delete("id % 3 = 0").await.unwrap();
    let mut table = built.create("indexed", 4, 50, false).await;
    let params = ScalarIndexParams::default();
    table
        .create_index(&["id"], IndexType::BTree, Some("id_idx".into()), &params, false)
        .await
        .unwrap();
    for n in 4..8 {
        tables::append(&built.table("indexed"), n * 50, 50).await.unwrap();
    }
    built.create("fine", 1, 50, false).await;
    let fixture = Fixture::unpack("lancedb-python-0.40").unwrap();
    let uris = [built.uri(), fixture.uri("lancedb"), fixture.uri("lancedb-music")];

    let some = OptimizeOptions { target_rows: 100, ..keeping_indexes() };
    for options in [some, keeping_indexes(), OptimizeOptions::default()] {
        let before: Vec<_> = uris.iter().map(|uri| tree(uri)).collect();
        let plan = Keeper::new().plan_optimize(&uris, &options).await;
        done(&plan);
        assert!(plan.dry_run);
        assert_eq!(uris.iter().map(|uri| tree(uri)).collect::<Vec<_>>(), before);

        let report = optimize(&uris, &options).await;
        done(&report);
        for (planned, real) in plan.roots.iter().zip(&report.roots) {
            assert_eq!(planned.tables.len(), real.tables.len());
            for (planned, real) in planned.tables.iter().zip(&real.tables) {
                let counts = |row: &TableOptimizeStats| {
                    let fragments = (row.fragments_removed, row.fragments_added);
                    (row.table_key.clone(), fragments, row.fragments_before, row.fragments_after)
                };
                assert_eq!(counts(planned), counts(real), "{options:?}");
                assert_eq!(planned.rows_after, real.rows_after);
                assert!(!planned.committed);
            }
        }
    }
    let version = Version(built.open("fine").await.manifest().version);
    assert_eq!(version, Version(1), "a table in good order is never committed to");
}

/// A run over a database works on each of its tables, so it and a run over one of them keep each
/// other out: a cleanup of the one would take the other's staged files for litter.
#[tokio::test]
async fn a_run_over_a_table_and_one_over_its_database_keep_each_other_out() {
    let built = Built::new();
    built.create("a", 3, 4, false).await;
    built.create("b", 3, 4, false).await;
    let holder =
        |verb| LockHolder::this_process(OperationId::new("01ABC"), verb, "2026-01-02T03:04:05Z");
    let database = PathBuf::from(built.uri());
    let held = RootLock::try_acquire(&database, &holder("cleanup")).unwrap();
    let report = optimize(&[built.table("a")], &OptimizeOptions::default()).await;
    assert_eq!(report.exit_code().number(), 11, "{report:#?}");
    let error = report.roots[0].error.as_deref().unwrap();
    assert!(error.contains("cleanup") && error.contains("01ABC"), "{error}");
    drop(held);
    // Runs over two tables do not keep each other out, but the run over all.
    let share = SharedRootLock::try_acquire(&database, &holder("optimize")).unwrap();
    done(&optimize(&[built.table("a")], &OptimizeOptions::default()).await);
    let report = optimize(&[built.uri()], &OptimizeOptions::default()).await;
    assert_eq!(report.exit_code().number(), 11, "{report:#?}");
    drop(share);
    done(&optimize(&[built.uri()], &OptimizeOptions::default()).await);
    assert_eq!(built.open("b").await.fragments().len(), 1);
}
