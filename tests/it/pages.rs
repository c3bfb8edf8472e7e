//! `optimize --page-rows` and `--page-bytes`: pages of the size that was asked for, made once.

use std::sync::Arc;

use lance::Dataset;
use lance::dataset::builder::DatasetBuilder;
use lance::index::DatasetIndexExt;
use lance_index::IndexType;
use lance_index::scalar::ScalarIndexParams;
use lancekeeper::{Keeper, NoProgress, OptimizeOptions, PageTarget, TableOptimizeStats};
use lancekeeper_model::PageFacts;
use lancekeeper_testkit::{Fixture, check_graph, graph_rows, table_rows, tables};
use tempfile::TempDir;

use crate::binary::{lancekeeper, run};

async fn open(uri: &str) -> Dataset {
    DatasetBuilder::from_uri(uri).load().await.unwrap()
}

fn paging(target: PageTarget) -> OptimizeOptions {
    OptimizeOptions { pages: Some(target), ..OptimizeOptions::default() }
}

async fn optimize(uri: &str, target: PageTarget) -> TableOptimizeStats {
    let report = Keeper::new().optimize([uri], &paging(target), Arc::new(NoProgress)).await;
    assert_eq!(report.exit_code().number(), 0, "{report:#?}");
    report.roots[0].tables[0].clone()
}

/// The pages of the only fragment.
async fn pages(uri: &str) -> PageFacts {
    let table = open(uri).await;
    let ids: Vec<u64> = table.fragments().iter().map(|fragment| fragment.id).collect();
    assert_eq!(ids.len(), 1);
    lancekeeper_rewrite::pages(&table, &ids).await.unwrap()[&ids[0]]
}

#[tokio::test]
async fn a_fragment_alone_gets_pages_of_the_rows_asked_for_and_a_second_run_is_idle() {
    for stable in [false, true] {
        let dir = TempDir::new().unwrap();
        let uri = dir.path().join("t.lance").to_string_lossy().into_owned();
        let mut table = tables::create(&uri, 1, 30_010, stable).await.unwrap();
        let params = ScalarIndexParams::default();
        table.create_index(&["id"], IndexType::BTree, None, &params, true).await.unwrap();
        let rows = table_rows(&open(&uri).await).await.unwrap();
        assert_eq!(pages(&uri).await.pages, 1);
        let first = optimize(&uri, PageTarget::Rows(500)).await;
        assert!(first.committed && first.reason.contains("make the pages of 1 fragment anew"));
        // The last one has ten rows.
        assert_eq!(pages(&uri).await.pages, 61);
        let second = optimize(&uri, PageTarget::Rows(500)).await;
        assert!(!second.committed, "{second:#?}");
        // What is near enough stays, too; what is not is made anew, larger this time.
        assert!(!optimize(&uri, PageTarget::Rows(1500)).await.committed);
        assert!(optimize(&uri, PageTarget::Rows(15_005)).await.committed);
        assert_eq!(pages(&uri).await.pages, 2);
        assert!(!optimize(&uri, PageTarget::Rows(15_005)).await.committed);
        let table = open(&uri).await;
        assert_eq!(table_rows(&table).await.unwrap(), rows);
        let found = table.count_rows(Some("id = 29999".to_owned())).await.unwrap();
        assert_eq!(found, 1);
    }
}

#[tokio::test]
async fn pages_of_so_many_bytes_are_made_once_whatever_compression_makes_of_them() {
    let dir = TempDir::new().unwrap();
    let uri = dir.path().join("t.lance").to_string_lossy().into_owned();
    // Three fragments: they are merged in the same run, into pages of the size asked for.
    tables::create(&uri, 3, 20_000, false).await.unwrap();
    assert!(optimize(&uri, PageTarget::Bytes(16 << 10)).await.committed);
    let PageFacts { pages, bytes } = pages(&uri).await;
    let mean = bytes / pages;
    assert!((4 << 10..64 << 10).contains(&mean), "{pages} pages of {mean} bytes");
    let again = optimize(&uri, PageTarget::Bytes(16 << 10)).await;
    assert!(!again.committed, "{again:#?}");
    let ran = run(lancekeeper(["optimize", &uri, "--page-bytes", "16KiB", "--dry-run", "--json"]));
    let row = &ran.document()["roots"][0]["tables"][0];
    assert_eq!(row["would_commit"], false, "{ran:#?}");
    let ran = run(lancekeeper(["optimize", &uri, "--page-rows", "100", "--dry-run", "--json"]));
    let row = &ran.document()["roots"][0]["tables"][0];
    assert_eq!(row["would_commit"], true, "{ran:#?}");
}

#[tokio::test]
async fn graphs_keep_their_rows_and_are_idle_the_second_time() {
    let fixture = Fixture::unpack("omnigraph-0.8.0-main-only").unwrap();
    let uri = fixture.uri("graph");
    let rows = graph_rows(&uri).await.unwrap();
    for is_first in [true, false] {
        let options = paging(PageTarget::Rows(64));
        let report = Keeper::new().optimize([&uri], &options, Arc::new(NoProgress)).await;
        assert_eq!(report.exit_code().number(), 0, "{report:#?}");
        let committed = report.roots[0].tables.iter().any(|table| table.committed);
        assert_eq!(committed, is_first, "{report:#?}");
        assert!(graph_rows(&uri).await.unwrap() == rows, "rows were lost");
        check_graph(&uri).await.unwrap();
    }
}
