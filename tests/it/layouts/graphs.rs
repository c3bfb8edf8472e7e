//! Layouts of the tables of graphs: which of them take one, and that their clients find what they found before, in
//! tables that say nothing of it.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, RecordBatch, RecordBatchIterator, StringArray};
use chrono::Utc;
use lance::Dataset;
use lance::index::DatasetIndexExt;
use lancekeeper::{
    BranchSelection, ErrorKind, Keeper, NoProgress, OptimizeOptions, OptimizeReport, SkipReason,
    StatusOptions, TableOptimizeStats,
};
use lancekeeper_layout::LayoutState;
use lancekeeper_testkit::rows::batch_rows;
use lancekeeper_testkit::writer::GraphWriter;
use lancekeeper_testkit::{Fixture, FixturePath, GraphRows, check_graph, graph_rows};

use super::table::{TARGET_ROWS, is_in_order, layout};
use crate::binary::{lancekeeper, run as run_binary};
use crate::fixtures::tree;

const KNOWS: &str = "edge:Knows";
const WORKS_AT: &str = "edge:WorksAt";
const PERSON: &str = "node:Person";
const COMPANY: &str = "node:Company";

fn options(wanted: Option<&str>) -> OptimizeOptions {
    let layout = wanted.map(layout);
    OptimizeOptions { layout, target_rows: TARGET_ROWS, ..OptimizeOptions::default() }
}

/// A graph, and what every branch of it reads.
struct Graph {
    uri: String,
    rows: GraphRows,
}

impl Graph {
    async fn at(uri: String) -> Self {
        let rows = graph_rows(&uri).await.unwrap();
        Self { uri, rows }
    }

    async fn run(&self, options: &OptimizeOptions) -> OptimizeReport {
        Keeper::new().optimize(std::slice::from_ref(&self.uri), options, Arc::new(NoProgress)).await
    }

    /// A run that succeeds and after which every branch reads what it read: the rows of its report.
    async fn optimize(&self, options: &OptimizeOptions) -> BTreeMap<String, TableOptimizeStats> {
        let report = self.run(options).await;
        assert_eq!(report.exit_code().number(), 0, "{report:#?}");
        assert!(report.roots[0].published <= 1, "one publish for all: {report:#?}");
        self.reads_the_same(&format!("{options:?}")).await;
        let rows = report.roots[0].tables.iter();
        rows.map(|row| (row.table_key.to_string(), row.clone())).collect()
    }

    async fn reads_the_same(&self, what: &str) {
        // Not `assert_eq`: thousands of rows say less than the tables they are in.
        let now = graph_rows(&self.uri).await.unwrap();
        let others: Vec<_> =
            self.rows.keys().filter(|k| now.get(*k) != self.rows.get(*k)).collect();
        assert!(others.is_empty() && now.len() == self.rows.len(), "{what}: {others:?}");
        check_graph(&self.uri).await.unwrap();
    }

    async fn is_idle(&self, options: &OptimizeOptions) {
        let report = self.run(options).await;
        assert_eq!(report.exit_code().number(), 0, "{report:#?}");
        assert_eq!(report.totals.tables_committed, 0, "{report:#?}");
    }

    async fn open(&self, key: &str, branch: &str) -> Dataset {
        let writer = GraphWriter::at(&self.uri);
        let entry = writer.view(branch, None).await.unwrap().entries[key].clone();
        let table = writer.open(&entry.location, &entry.branch, Some(entry.version)).await.unwrap();
        assert_eq!(entry.branch, branch, "{key} is not the branch's own");
        table
    }

    /// The document of a table's layout.
    async fn document(&self, key: &str, branch: &str) -> PathBuf {
        let view = GraphWriter::at(&self.uri).view(branch, None).await.unwrap();
        let location = view.entries[key].location.replace('/', "%2F");
        PathBuf::from(&self.uri).join(format!("__maintenance/layouts/{location}@{branch}.json"))
    }

    /// The rows of each run of fragments lie in the order of the layout, every row is of a run, and neither the table nor its
    /// indexes say anything of it. Returns how many runs there are.
    async fn lies_as(&self, key: &str, branch: &str, wanted: &str) -> usize {
        let text = fs::read_to_string(self.document(key, branch).await).unwrap();
        let state = LayoutState::from_json(&text).unwrap();
        assert_eq!(state.layout, layout(wanted), "{key}");
        let table = self.open(key, branch).await;
        let (mut runs, mut laid_out) = (0, 0);
        for run in 0..state.runs.len() {
            let fragments = table.fragments().iter().filter(|f| state.runs.of(f.id) == Some(run));
            let fragments: Vec<_> = fragments.cloned().collect();
            if fragments.is_empty() {
                continue;
            }
            let mut scan = table.scan();
            scan.with_fragments(fragments);
            let rows = scan.try_into_batch().await.unwrap();
            is_in_order(&rows, &state);
            (runs, laid_out) = (runs + 1, laid_out + rows.num_rows());
        }
        let own = table.fragments().iter().filter(|f| f.files.iter().all(|f| f.base_id.is_none()));
        let own: usize = own.map(|fragment| fragment.num_rows().unwrap()).sum();
        assert_eq!(laid_out, own, "{key}");
        assert!(table.fragments().len() > 2, "{key}: several outputs");
        assert!(table.config().keys().all(|name| !name.contains("lancekeeper")), "{key}");
        for index in table.load_indices().await.unwrap().iter() {
            let details = index.index_details.as_ref().map(|details| details.type_url.clone());
            assert!(details.unwrap_or_default().ends_with("BTreeIndexDetails"), "{key}: {index:?}");
        }
        runs
    }

    /// Adds edges between nodes that have edges already, as a client does: appended, then published.
    async fn add_edges(&mut self, key: &str, branch: &str, name: &str, count: usize) {
        let writer = GraphWriter::at(&self.uri);
        let entry = writer.view(branch, None).await.unwrap().entries[key].clone();
        let mut table = writer.open_to_write(&entry, branch).await.unwrap();
        let mut scan = table.scan();
        scan.limit(Some(count as i64), None).unwrap();
        let edges = scan.try_into_batch().await.unwrap();
        let ids = (0..count).map(|n| format!("{name}-{n}"));
        let ids: ArrayRef = Arc::new(StringArray::from_iter_values(ids));
        let at = edges.schema().index_of("id").unwrap();
        let mut columns = edges.columns().to_vec();
        columns[at] = ids;
        // The other way round.
        let (src, dst) = (edges.schema().index_of("src"), edges.schema().index_of("dst"));
        if key == KNOWS {
            columns.swap(src.unwrap(), dst.unwrap());
        }
        let edges = RecordBatch::try_new(edges.schema(), columns).unwrap();
        let reader = RecordBatchIterator::new([Ok(edges.clone())], edges.schema());
        table.append(reader, None).await.unwrap();
        let publish = writer.begin_publish(branch, &[(key, &table)], None, Utc::now()).await;
        publish.unwrap().commit().await.unwrap();
        let rows = self.rows.get_mut(&(branch.to_owned(), key.to_owned())).unwrap();
        rows.extend(batch_rows(&edges).unwrap());
        rows.sort();
    }

    /// The edges that a filter finds by its index, and that it finds without.
    async fn answers_as_a_scan(&self, key: &str, branch: &str) {
        let table = self.open(key, branch).await;
        let mut scan = table.scan();
        scan.limit(Some(40), None).unwrap();
        let some = scan.try_into_batch().await.unwrap();
        for column in ["src", "dst", "id"] {
            let values = some.column_by_name(column).unwrap().as_string::<i32>().clone();
            for value in [values.value(0), values.value(39)] {
                let mut found = Vec::new();
                for by_index in [true, false] {
                    let mut scan = table.scan();
                    scan.filter(&format!("{column} = '{value}'")).unwrap();
                    scan.use_scalar_index(by_index);
                    let mut rows = batch_rows(&scan.try_into_batch().await.unwrap()).unwrap();
                    rows.sort();
                    found.push(rows);
                }
                assert!(!found[0].is_empty() && found[0] == found[1], "{key}: {column} {value}");
            }
        }
    }
}

#[tokio::test]
async fn edges_are_laid_out_along_their_curve_and_kept_so_and_all_other_tables_are_left() {
    let fixture = Fixture::unpack("omnigraph-0.8.0-main-only").unwrap();
    let mut graph = Graph::at(fixture.uri("graph")).await;
    let dry = run_binary(lancekeeper(["optimize", &graph.uri, "--layout", "graph", "--dry-run"]));
    assert_eq!(dry.code, Some(0), "{dry:#?}");
    assert!(dry.stdout.contains("it is no edge table"), "{dry:#?}");

    let rows = graph.optimize(&options(Some("graph"))).await;
    for key in [PERSON, COMPANY] {
        let row = &rows[key];
        assert!(!row.committed && row.skipped == Some(SkipReason::LayoutUnfit), "{row:#?}");
        assert!(row.reason.contains("no edge table"), "{row:#?}");
    }
    for key in [KNOWS, WORKS_AT] {
        let row = &rows[key];
        assert!(row.committed, "{row:#?}");
        let stats = row.layout.as_ref().unwrap();
        // As they came, loads are told apart by their sources.
        assert!(stats.before.is_some() && stats.layout == "graph", "{stats:#?}");
        assert!(stats.after.as_ref().unwrap().depth < 3.0, "{stats:#?}");
        let found = stats.expansions.unwrap();
        assert!(found.nodes > 10, "{found:?}");
        for (before, after) in [
            (found.before.one_hop_out, found.after.one_hop_out),
            (found.before.one_hop_in, found.after.one_hop_in),
            (found.before.two_hops_out, found.after.two_hops_out),
            (found.before.two_hops_in, found.after.two_hops_in),
        ] {
            assert!(before.fragments > 0.0 && before.bytes > 0, "{found:#?}");
            assert!(after.fragments > 0.0 && after.bytes > 0, "{found:#?}");
        }
        assert_eq!(graph.lies_as(key, "main", "graph").await, 1);
        graph.answers_as_a_scan(key, "main").await;
    }
    let found = rows[WORKS_AT].layout.as_ref().unwrap().expansions.unwrap();
    let [before, after] = [found.before, found.after].map(|of| of.one_hop_in.fragments);
    assert!(after < 0.9 * before, "{found:#?}");
    let json = serde_json::to_value(&rows[KNOWS]).unwrap();
    assert!(json["layout"]["expansions"]["after"]["two_hops_in"]["fragments"].as_f64().is_some());
    assert_eq!(serde_json::to_value(&rows[PERSON]).unwrap()["skipped"], "layout_unfit");

    graph.is_idle(&options(Some("graph"))).await;
    // A plain run does the rest, and leaves the edges as they are.
    let rows = graph.optimize(&options(None)).await;
    assert!(rows[PERSON].committed && !rows[KNOWS].committed, "{rows:#?}");

    // It is kept up, and shown.
    graph.add_edges(KNOWS, "main", "more", 40).await;
    let rows = graph.optimize(&options(None)).await;
    assert!(rows[KNOWS].committed && !rows[WORKS_AT].committed, "{rows:#?}");
    assert!(graph.lies_as(KNOWS, "main", "graph").await <= 2);
    graph.answers_as_a_scan(KNOWS, "main").await;
    graph.is_idle(&options(None)).await;
    let status = Keeper::new().status_of([&graph.uri], StatusOptions::default()).await;
    let row = status.roots[0].tables.iter().find(|row| row.table_key.as_str() == KNOWS).unwrap();
    assert_eq!(row.layout.as_deref(), Some("graph"), "{row:#?}");
    assert!(row.clustering.as_ref().is_some_and(|depth| depth.depth >= 1.0), "{row:#?}");

    // Another one takes its place, everything at once; none ends it without a commit.
    let rows = graph.optimize(&options(Some("hilbert:dst,src"))).await;
    assert!(rows[KNOWS].committed && rows[KNOWS].layout.as_ref().unwrap().expansions.is_none());
    assert_eq!(graph.lies_as(KNOWS, "main", "hilbert:dst,src").await, 1);
    let full = OptimizeOptions { full: true, ..options(None) };
    graph.is_idle(&full).await;
    let named = OptimizeOptions { tables: vec![KNOWS.to_owned()], ..options(Some("none")) };
    let index_only = OptimizeOptions { index_only: true, ..named };
    let row = &graph.optimize(&index_only).await[KNOWS];
    assert!(!row.committed && row.reason.contains("no layout any more"), "{row:#?}");
    assert!(!graph.document(KNOWS, "main").await.exists());
    assert!(graph.document(WORKS_AT, "main").await.exists());
    graph.is_idle(&OptimizeOptions { index_only: true, ..options(None) }).await;
}

#[tokio::test]
async fn a_table_with_a_full_text_index_keeps_its_order_and_stands_in_nobodys_way() {
    let fixture = Fixture::unpack("omnigraph-0.8.0-main-only").unwrap();
    let graph = Graph::at(fixture.uri("graph")).await;
    let before = tree(&format!("{}/nodes", graph.uri));
    // By name it is an error, of that table alone.
    let tables = vec![PERSON.to_owned(), KNOWS.to_owned()];
    let named = OptimizeOptions { tables: tables.clone(), ..options(Some("sort:id")) };
    let report = graph.run(&named).await;
    assert_eq!(report.exit_code().number(), 3, "{report:#?}");
    let is_asked_for = |row: &&TableOptimizeStats| tables.contains(&row.table_key.to_string());
    for row in report.roots[0].tables.iter().filter(is_asked_for) {
        if row.table_key.as_str() == PERSON {
            let error = row.error.as_deref().unwrap_or_default();
            assert!(error.contains("full-text index") && error.contains("name"), "{row:#?}");
            assert_eq!((row.error_kind, row.committed), (Some(ErrorKind::Refused), false));
        } else {
            assert!(row.committed && row.error.is_none(), "{row:#?}");
        }
    }
    assert_eq!(graph.lies_as(KNOWS, "main", "sort:id").await, 1);
    // Among all tables it is skipped: these have full-text indexes on their keys.
    let rows = graph.optimize(&options(Some("hilbert:id"))).await;
    for key in [PERSON, COMPANY] {
        assert_eq!(rows[key].skipped, Some(SkipReason::LayoutUnfit), "{:#?}", rows[key]);
        assert!(rows[key].reason.contains("full-text index"), "{:#?}", rows[key]);
    }
    assert_eq!(tree(&format!("{}/nodes", graph.uri)), before);

    // What no table can have is an error of the run, and nothing is written.
    let before = tree(&format!("{}/edges", graph.uri));
    for (wanted, why) in [
        ("sort:nothing", "no table of those that were asked for"),
        ("auto", "no layout is chosen by itself"),
    ] {
        let report = graph.run(&options(Some(wanted))).await;
        assert_eq!(report.roots[0].error_kind, Some(ErrorKind::Refused), "{report:#?}");
        assert!(report.roots[0].error.as_ref().unwrap().contains(why), "{report:#?}");
    }
    assert_eq!(tree(&format!("{}/edges", graph.uri)), before);

    // One that gets such an index later is left alone from then on, until its layout is taken away.
    let mut knows = graph.open(KNOWS, "main").await;
    let params = lance_index::scalar::InvertedIndexParams::default();
    let kind = lance_index::IndexType::Inverted;
    knows.create_index(&["src"], kind, Some("text".to_owned()), &params, true).await.unwrap();
    let writer = GraphWriter::at(&graph.uri);
    let publish = writer.begin_publish("main", &[(KNOWS, &knows)], None, Utc::now()).await;
    publish.unwrap().commit().await.unwrap();
    let rows = graph.optimize(&options(None)).await;
    assert_eq!(rows[KNOWS].skipped, Some(SkipReason::LayoutImpossible), "{:#?}", rows[KNOWS]);
    assert!(rows[KNOWS].reason.contains("full-text index text"), "{:#?}", rows[KNOWS]);

    let directory = tempfile::tempdir().unwrap();
    let table = directory.path().join("t.lance").to_string_lossy().into_owned();
    lancekeeper_testkit::tables::create(&table, 2, 10, true).await.unwrap();
    let ran = run_binary(lancekeeper(["optimize", &table, "--layout", "graph"]));
    assert_eq!(ran.code, Some(13), "{ran:#?}");
    assert!(ran.stderr.contains("for the edge tables of a graph"), "{ran:#?}");
}

#[tokio::test]
async fn a_branch_lays_out_what_it_owns_and_main_does_so_for_itself_at_fixture_path() {
    let fixture = FixturePath::unpack("omnigraph-0.8.0-branches").unwrap();
    let mut graph = Graph::at(fixture.uri()).await;
    graph.add_edges(KNOWS, "work", "work", 150).await;
    graph.add_edges(KNOWS, "work", "more", 150).await;
    let main = graph.open(KNOWS, "main").await.manifest().version;
    let of_work = OptimizeOptions {
        branches: BranchSelection::Named(vec!["work".to_owned()]),
        tables: vec![KNOWS.to_owned()],
        ..options(Some("graph"))
    };
    let rows = graph.optimize(&of_work).await;
    assert!(rows[KNOWS].committed, "{rows:#?}");
    assert_eq!(graph.lies_as(KNOWS, "work", "graph").await, 1);
    assert_eq!(graph.open(KNOWS, "main").await.manifest().version, main);
    assert!(!graph.document(KNOWS, "main").await.exists());
    graph.answers_as_a_scan(KNOWS, "work").await;
    graph.is_idle(&OptimizeOptions { layout: None, ..of_work.clone() }).await;

    let named = OptimizeOptions { tables: vec![KNOWS.to_owned()], ..options(Some("sort:dst")) };
    let rows = graph.optimize(&named).await;
    assert!(rows[KNOWS].committed, "{rows:#?}");
    assert_eq!(graph.lies_as(KNOWS, "main", "sort:dst").await, 1);
    // Each is kept as it is.
    let all = OptimizeOptions { branches: BranchSelection::All, ..options(None) };
    let report = graph.run(&all).await;
    assert_eq!(report.exit_code().number(), 0, "{report:#?}");
    graph.reads_the_same("all branches").await;
    assert_eq!(graph.lies_as(KNOWS, "main", "sort:dst").await, 1);
    assert_eq!(graph.lies_as(KNOWS, "work", "graph").await, 1);
    graph.is_idle(&all).await;
}
