//! A database whose columns come in pairs that hold the same values in reverse: the files of an index
//! over one are those of the other but for what they say.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::builder::{FixedSizeListBuilder, Float32Builder, ListBuilder, StringBuilder};
use arrow_array::{ArrayRef, Int64Array, RecordBatch, RecordBatchIterator, StringArray};
use arrow_schema::{DataType, Field, Schema};
use lance::Dataset;
use lance::dataset::{WriteMode, WriteParams};
use lance::index::DatasetIndexExt;
use lance::index::vector::VectorIndexParams;
use lance_index::IndexType;
use lance_index::scalar::{InvertedIndexParams, ScalarIndexParams};
use lance_linalg::distance::MetricType;
use lancekeeper::{Finding, FindingKind, Keeper, RootVerification, VerifyOptions};
use tempfile::TempDir;

use crate::binary::{lancekeeper, run};

/// Rows of a fragment.
pub(super) const ROWS: i64 = 40;
/// Fragments of a table.
pub(super) const FRAGMENTS: i64 = 3;
const DIMENSIONS: usize = 8;

/// Tables `a` and `b` of the same rows, with deleted ones in each fragment.
pub(super) struct Database {
    directory: TempDir,
}

impl Database {
    pub(super) async fn new(stable: bool) -> Self {
        let database = Self { directory: tempfile::tempdir().unwrap() };
        for name in ["a", "b"] {
            for fragment in 0..FRAGMENTS {
                let params = WriteParams {
                    mode: if fragment == 0 { WriteMode::Create } else { WriteMode::Append },
                    enable_stable_row_ids: stable,
                    ..WriteParams::default()
                };
                let batch = batch(fragment * ROWS);
                let reader = RecordBatchIterator::new([Ok(batch.clone())], batch.schema());
                Dataset::write(reader, &database.uri(name), Some(params)).await.unwrap();
            }
            database.open(name).await.delete("id % 10 = 3").await.unwrap();
        }
        database
    }

    pub(super) fn root(&self) -> String {
        self.directory.path().to_string_lossy().into_owned()
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(format!("{name}.lance"))
    }

    pub(super) fn uri(&self, name: &str) -> String {
        self.path(name).to_string_lossy().into_owned()
    }

    pub(super) async fn open(&self, name: &str) -> Dataset {
        Dataset::open(&self.uri(name)).await.unwrap()
    }

    /// Makes an index of a kind, called like its column; the directory it lies in.
    pub(super) async fn index(&self, table: &str, column: &str, kind: &str) -> PathBuf {
        let mut dataset = self.open(table).await;
        let (name, columns) = (Some(format!("{column}_{kind}")), &[column][..]);
        match kind {
            "vector" => {
                let params = VectorIndexParams::ivf_flat(1, MetricType::L2);
                dataset
                    .create_index(columns, IndexType::Vector, name, &params, true)
                    .await
                    .unwrap();
            }
            "inverted" => {
                let params = InvertedIndexParams::default().stem(false).remove_stop_words(false);
                dataset
                    .create_index(columns, IndexType::Inverted, name, &params, true)
                    .await
                    .unwrap();
            }
            kind => {
                let params = ScalarIndexParams::new(kind.to_owned());
                dataset
                    .create_index(columns, IndexType::Scalar, name, &params, true)
                    .await
                    .unwrap();
            }
        }
        let indexes = dataset.load_indices_by_name(&format!("{column}_{kind}")).await.unwrap();
        self.path(table).join("_indices").join(indexes[0].uuid.to_string())
    }

    /// The data file of a fragment at HEAD.
    pub(super) async fn data_file(&self, table: &str, fragment: usize) -> PathBuf {
        let dataset = self.open(table).await;
        self.path(table).join("data").join(&dataset.fragments()[fragment].files[0].path)
    }

    /// The deletion files, sorted.
    pub(super) fn deletion_files(&self, table: &str) -> Vec<PathBuf> {
        files_in(&self.path(table).join("_deletions"))
    }

    pub(super) async fn verify(&self) -> RootVerification {
        verify(&self.root(), &VerifyOptions::default()).await
    }

    /// Sees that there is exactly this to be found, by the library and by the binary.
    pub(super) async fn has(&self, expected: &[(&str, FindingKind)]) -> Vec<Finding> {
        has(&self.root(), &VerifyOptions::default(), expected).await
    }
}

/// Checks a root in a session of its own.
pub(super) async fn verify(root: &str, options: &VerifyOptions) -> RootVerification {
    let mut report = Keeper::new().verify([root], options).await;
    report.roots.remove(0)
}

/// Sees that a check of a root finds exactly this, each with the table it is in, and that the binary
/// ends with 1 and names the same.
pub(super) async fn has(
    root: &str,
    options: &VerifyOptions,
    expected: &[(&str, FindingKind)],
) -> Vec<Finding> {
    let report = verify(root, options).await;
    assert_eq!(report.error, None);
    let mut found: Vec<(&str, FindingKind)> =
        report.findings.iter().map(|found| (found.table_key.as_str(), found.what)).collect();
    found.sort_by_key(|(table, what)| (table.to_owned(), what.as_str()));
    assert_eq!(found, expected, "{:#?}", report.findings);
    let quick = if options.quick { &["--quick"][..] } else { &[] };
    let ran = run(lancekeeper(["verify", "--json", root].iter().chain(quick)));
    assert_eq!(ran.code, Some(if expected.is_empty() { 0 } else { 1 }), "{ran:#?}");
    let document = ran.document();
    let said: Vec<&str> = document["roots"][0]["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|finding| finding["message"].as_str().unwrap())
        .collect();
    let known: Vec<&str> = report.findings.iter().map(|finding| finding.message.as_str()).collect();
    assert_eq!(said, known);
    report.body.findings
}

fn batch(first: i64) -> RecordBatch {
    let last = ROWS * FRAGMENTS - 1;
    let rows = first..first + ROWS;
    let word = |n: i64| format!("word{n:03} and some more");
    let mut tags = ListBuilder::new(StringBuilder::new());
    let mut gats = ListBuilder::new(StringBuilder::new());
    let mut vectors = FixedSizeListBuilder::new(Float32Builder::new(), DIMENSIONS as i32);
    for n in rows.clone() {
        tags.append_value([Some(format!("t{:03}", n)), Some("all".to_owned())]);
        gats.append_value([Some(format!("t{:03}", last - n)), Some("all".to_owned())]);
        for at in 0..DIMENSIONS {
            vectors.values().append_value(n as f32 + at as f32 / 7.0 + 1.0);
        }
        vectors.append(true);
    }
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("id", Arc::new(Int64Array::from_iter_values(rows.clone()))),
        ("di", Arc::new(Int64Array::from_iter_values(rows.clone().map(|n| last - n)))),
        ("text", Arc::new(StringArray::from_iter_values(rows.clone().map(word)))),
        ("txet", Arc::new(StringArray::from_iter_values(rows.map(|n| word(last - n))))),
        ("tags", Arc::new(tags.finish())),
        ("gats", Arc::new(gats.finish())),
        ("vector", Arc::new(vectors.finish())),
    ];
    let field = |(name, column): &(&str, ArrayRef)| {
        Field::new(*name, DataType::clone(column.data_type()), true)
    };
    let schema = Schema::new(columns.iter().map(field).collect::<Vec<_>>());
    let columns = columns.into_iter().map(|(_, column)| column).collect();
    RecordBatch::try_new(Arc::new(schema), columns).unwrap()
}

/// The files directly in a directory, sorted by name.
pub(super) fn files_in(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = entries.filter(|path| path.is_file()).collect();
    files.sort();
    files
}

/// Exchanges what two files hold.
pub(super) fn swap(one: &Path, other: &Path) {
    let (first, second) = (fs::read(one).unwrap(), fs::read(other).unwrap());
    fs::write(one, second).unwrap();
    fs::write(other, first).unwrap();
}

/// Exchanges the files of two indexes; whether each has the size that the other one had.
pub(super) fn swap_indexes(one: &Path, other: &Path) -> bool {
    let (first, second) = (files_in(one), files_in(other));
    let names = |files: &[PathBuf]| -> Vec<_> {
        files.iter().map(|file| file.file_name().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&first), names(&second));
    let mut is_same = true;
    for (one, other) in first.iter().zip(&second) {
        is_same &= fs::metadata(one).unwrap().len() == fs::metadata(other).unwrap().len();
        swap(one, other);
    }
    is_same
}
