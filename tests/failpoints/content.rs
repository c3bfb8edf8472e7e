//! A rewrite that gets a value wrong, played by somebody who exchanges what it has written: counting rows
//! lets it through, comparing content does not.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, RecordBatchIterator, StringArray};
use fail::{FailGuard, FailScenario};
use lance::Dataset;
use lance::dataset::WriteParams;
use lancekeeper::{Keeper, NoProgress, OptimizeOptions, OptimizeReport, RewriteCheck};
use lancekeeper_store::failpoint;
use lancekeeper_testkit::invariants::{check_files, names};
use lancekeeper_testkit::{table_rows, tables};

const FRAGMENTS: usize = 4;
const ROWS: usize = 10;

async fn optimize(uri: &str, verify: RewriteCheck, order: Option<&str>) -> OptimizeReport {
    let layout = order.map(|order| order.parse().unwrap());
    let options = OptimizeOptions { verify, layout, ..OptimizeOptions::default() };
    Keeper::new().optimize([uri], &options, Arc::new(NoProgress)).await
}

/// A data file with the rows of the table, but for one that has the text of another.
async fn wrong_file(uri: &str) -> PathBuf {
    let batch = tables::batch(0, FRAGMENTS * ROWS);
    let texts = (0..FRAGMENTS * ROWS).map(|n| format!("row {}", if n == 17 { 18 } else { n }));
    let columns: Vec<ArrayRef> =
        vec![Arc::clone(batch.column(0)), Arc::new(StringArray::from_iter_values(texts))];
    let batch = RecordBatch::try_new(batch.schema(), columns).unwrap();
    let reader = RecordBatchIterator::new([Ok(batch.clone())], batch.schema());
    Dataset::write(reader, uri, Some(WriteParams::default())).await.unwrap();
    newest(Path::new(uri))
}

fn newest(table: &Path) -> PathBuf {
    let changed = |file: &PathBuf| fs::metadata(file).unwrap().modified().unwrap();
    let files = fs::read_dir(table.join("data")).unwrap().map(|entry| entry.unwrap().path());
    files.max_by_key(changed).unwrap()
}

#[tokio::test]
async fn a_value_that_a_rewrite_gets_wrong_is_caught_by_comparing_content_alone() {
    let _failpoints = FailScenario::setup();
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name).to_string_lossy().into_owned();
    let wrong = wrong_file(&at("wrong.lance")).await;
    let content = RewriteCheck::Content;
    let runs = [(content, None), (RewriteCheck::Rows, None), (content, Some("sort:id"))];
    for (verify, order) in runs {
        let is_caught = verify == content;
        let path = directory.path().join(format!("{verify:?}-{}.lance", order.is_some()));
        let uri = path.to_string_lossy().into_owned();
        let before = tables::create(&uri, FRAGMENTS, ROWS, false).await.unwrap();
        let rows = table_rows(&before).await.unwrap();
        let (doctored, table) = (wrong.clone(), path.clone());
        let guard = FailGuard::with_callback(failpoint::OPTIMIZE_AFTER_STAGE_GROUP, move || {
            let staged = newest(&table);
            let length = |file: &Path| fs::metadata(file).unwrap().len();
            assert_eq!(length(&staged), length(&doctored), "the size would give it away");
            fs::copy(&doctored, staged).unwrap();
        });
        let report = optimize(&uri, verify, order).await;
        drop(guard);
        let row = &report.roots[0].tables[0];
        let after = Dataset::open(&uri).await.unwrap();
        assert_eq!(row.committed, !is_caught, "{report:#?}");
        assert_eq!(table_rows(&after).await.unwrap() == rows, is_caught, "{report:#?}");
        if !is_caught {
            continue;
        }
        assert_eq!(report.exit_code().number(), 1, "{report:#?}");
        let error = row.error.as_ref().unwrap();
        let expected = "rewriting fragments [0, 1, 2, 3] did not keep their rows: \
                        of 40 rows not all have the values that they had";
        assert!(error.contains("Content") && error.contains(expected), "{error}");
        assert_eq!(after.manifest().version, before.manifest().version, "{report:#?}");
        check_files(&after, &path).await.unwrap();
        let journal = path.parent().unwrap().join("__maintenance/journal");
        assert!(names(&journal).unwrap().is_empty());
        // Nobody does it wrong now.
        let report = optimize(&uri, verify, order).await;
        assert_eq!(report.exit_code().number(), 0, "{report:#?}");
        assert!(report.roots[0].tables[0].committed, "{report:#?}");
        let after = Dataset::open(&uri).await.unwrap();
        assert!(table_rows(&after).await.unwrap() == rows);
        check_files(&after, &path).await.unwrap();
    }
}
