//! A table whose rows are to get another order, and what its readers see.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int32Type, Int64Type};
use arrow_array::{
    Array, ArrayRef, Float64Array, Int64Array, RecordBatch, RecordBatchIterator, StringArray,
};
use arrow_schema::{DataType, Field, Schema};
use lance::Dataset;
use lance::dataset::builder::DatasetBuilder;
use lance::dataset::{WriteMode, WriteParams};
use lancekeeper::{
    Keeper, Layout, NoProgress, OptimizeOptions, OptimizeReport, TableOptimizeStats,
};
use lancekeeper_layout::{Curve, CurveKeys, LayoutState, curve_keys};
use lancekeeper_model::{Direction, NullPlacement, SortColumn};
use lancekeeper_testkit::table_rows;
use tempfile::TempDir;

use crate::fixtures::tree;

pub(super) const FRAGMENTS: i64 = 6;
pub(super) const FRAGMENT_ROWS: i64 = 50;
/// Of an output. The table fills several.
pub(super) const TARGET_ROWS: u64 = 64;
/// The setting that names the layout.
pub(super) const KEY: &str = "lancekeeper.layout";

/// Rows of whatever order: `a` with nulls and doubles, `b` texts with nulls, `c` all that a float may be.
pub(super) fn batch(ids: Range<i64>) -> RecordBatch {
    let mixed = |id: i64| (id * 7_919 + 13) % 1_000;
    let a = ids.clone().map(|id| (id % 9 != 4).then(|| mixed(id) / 10 - 50));
    let b = ids.clone().map(|id| (id % 8 != 3).then(|| format!("pre/{:03}", mixed(id * 3) / 5)));
    let c = ids.clone().map(|id| match id % 13 {
        0 => Some(f64::NAN),
        1 => Some(-0.0),
        2 => Some(0.0),
        3 => Some(f64::INFINITY),
        4 => Some(f64::NEG_INFINITY),
        5 => Some(-f64::NAN),
        6 => None,
        _ => Some(mixed(id * 11) as f64 / 7.0 - 60.0),
    });
    let (b, c) = (StringArray::from_iter(b), Float64Array::from_iter(c));
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("id", Arc::new(Int64Array::from_iter_values(ids.clone()))),
        ("a", Arc::new(Int64Array::from_iter(a))),
        ("b", Arc::new(b)),
        ("c", Arc::new(c)),
    ];
    batch_of(columns)
}

/// A batch of these columns, any of which may have nulls.
pub(super) fn batch_of(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    let field =
        |(name, values): &(&str, ArrayRef)| Field::new(*name, values.data_type().clone(), true);
    let schema = Schema::new(columns.iter().map(field).collect::<Vec<_>>());
    let columns = columns.into_iter().map(|(_, values)| values).collect();
    RecordBatch::try_new(Arc::new(schema), columns).unwrap()
}

pub(super) async fn write(uri: &str, batch: RecordBatch, is_new: bool, stable: bool) -> Dataset {
    let mode = if is_new { WriteMode::Create } else { WriteMode::Append };
    let params = WriteParams { mode, enable_stable_row_ids: stable, ..WriteParams::default() };
    let schema = batch.schema();
    Dataset::write(RecordBatchIterator::new([Ok(batch)], schema), uri, Some(params)).await.unwrap()
}

pub(super) fn layout(text: &str) -> Layout {
    text.parse().unwrap()
}

/// A table in a directory of its own.
pub(super) struct Table {
    pub(super) _directory: TempDir,
    pub(super) uri: String,
}

impl Table {
    /// Fragments of mixed rows, some of them deleted in two steps, some updated.
    pub(super) async fn new(stable: bool) -> Self {
        let table = Self::of(batch(0..FRAGMENT_ROWS), stable).await;
        for n in 1..FRAGMENTS {
            table.append(n * FRAGMENT_ROWS..(n + 1) * FRAGMENT_ROWS).await;
        }
        let mut head = table.open().await;
        head.delete("id % 7 = 2").await.unwrap();
        head.delete("id % 50 = 1").await.unwrap();
        table.update("id % 10 = 0", "a", "a + 1").await;
        table
    }

    /// Of these rows alone.
    pub(super) async fn of(rows: RecordBatch, stable: bool) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let uri = directory.path().join("t.lance").to_string_lossy().into_owned();
        write(&uri, rows, true, stable).await;
        Self { _directory: directory, uri }
    }

    /// A copy of all its files.
    pub(super) fn copy(&self) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let uri = directory.path().join("t.lance").to_string_lossy().into_owned();
        for (path, _) in tree(&self.uri) {
            let to = Path::new(&uri).join(Path::new(&path).strip_prefix(&self.uri).unwrap());
            if Path::new(&path).is_file() {
                fs::create_dir_all(to.parent().unwrap()).unwrap();
                fs::copy(&path, to).unwrap();
            }
        }
        Self { _directory: directory, uri }
    }

    /// In a session that has seen nothing.
    pub(super) async fn open(&self) -> Dataset {
        DatasetBuilder::from_uri(&self.uri).load().await.unwrap()
    }

    pub(super) async fn append(&self, ids: Range<i64>) {
        write(&self.uri, batch(ids), false, false).await;
    }

    pub(super) async fn update(&self, filter: &str, column: &str, value: &str) {
        let update = lance::dataset::UpdateBuilder::new(Arc::new(self.open().await));
        let update = update.update_where(filter).unwrap().set(column, value).unwrap();
        update.build().unwrap().execute().await.unwrap();
    }

    /// A run with small outputs, whatever comes of it.
    pub(super) async fn run(&self, wanted: Option<&str>, full: bool) -> OptimizeReport {
        let options = OptimizeOptions {
            layout: wanted.map(layout),
            full,
            target_rows: TARGET_ROWS,
            ..OptimizeOptions::default()
        };
        Keeper::new()
            .optimize(std::slice::from_ref(&self.uri), &options, Arc::new(NoProgress))
            .await
    }

    /// A run that succeeds.
    pub(super) async fn optimize(&self, wanted: Option<&str>, full: bool) -> TableOptimizeStats {
        let report = self.run(wanted, full).await;
        assert_eq!(report.exit_code().number(), 0, "{wanted:?}: {report:#?}");
        report.roots[0].tables[0].clone()
    }

    /// A run that finds nothing to do, and writes nothing.
    pub(super) async fn is_idle(&self, wanted: Option<&str>, full: bool) {
        let before = tree(&self.uri);
        let row = self.optimize(wanted, full).await;
        assert!(!row.committed, "{wanted:?}, full: {full}: {row:#?}");
        assert_eq!(tree(&self.uri), before, "{wanted:?}, full: {full}: {row:#?}");
    }

    /// The rows as a multiset.
    pub(super) async fn rows(&self) -> Vec<String> {
        table_rows(&self.open().await).await.unwrap()
    }

    /// The rows in the order in which a scan finds them.
    pub(super) async fn in_order(&self) -> RecordBatch {
        self.open().await.scan().try_into_batch().await.unwrap()
    }

    /// The row ids and versions of rows, by `id`.
    pub(super) async fn lineage(&self) -> BTreeMap<i64, Vec<u64>> {
        let columns = ["id", "_rowid", "_row_created_at_version", "_row_last_updated_at_version"];
        let table = self.open().await;
        let found = table.scan().project(&columns).unwrap().try_into_batch().await.unwrap();
        let number = |name: &str, row| {
            let column = found.column_by_name(name).unwrap();
            column.as_primitive::<arrow_array::types::UInt64Type>().value(row)
        };
        let ids = found.column_by_name("id").unwrap().as_primitive::<Int64Type>();
        let of = |row| columns[1..].iter().map(|name| number(name, row)).collect();
        (0..found.num_rows()).map(|row| (ids.value(row), of(row))).collect()
    }

    /// Where the document of its layout lies, as the only one there is.
    pub(super) fn document(&self) -> PathBuf {
        let directory = Path::new(&self.uri).join("__maintenance/layouts");
        let found: Vec<_> = fs::read_dir(directory).unwrap().map(|e| e.unwrap().path()).collect();
        let [only] = found.as_slice() else { panic!("{found:?}") };
        only.clone()
    }

    pub(super) fn state(&self) -> LayoutState {
        LayoutState::from_json(&fs::read_to_string(self.document()).unwrap()).unwrap()
    }

    /// What the table says its layout is.
    pub(super) async fn setting(&self) -> Option<String> {
        self.open().await.config().get(KEY).cloned()
    }

    /// The rows of each run, in their order.
    pub(super) async fn runs(&self) -> Vec<RecordBatch> {
        let state = self.state();
        let table = self.open().await;
        let mut runs = Vec::new();
        for run in 0..state.runs.len() {
            let is_of_run = |f: &&lance_table::format::Fragment| state.runs.of(f.id) == Some(run);
            let fragments: Vec<_> = table.fragments().iter().filter(is_of_run).cloned().collect();
            if !fragments.is_empty() {
                let mut scan = table.scan();
                scan.with_fragments(fragments);
                runs.push(scan.try_into_batch().await.unwrap());
            }
        }
        runs
    }

    /// The rows of every run lie as they should, and every row is of a run. Returns how many runs there are.
    pub(super) async fn lies_as(&self, wanted: &str) -> usize {
        let runs = self.runs().await;
        let state = self.state();
        assert_eq!(state.layout, layout(wanted));
        for run in &runs {
            is_in_order(run, &state);
        }
        let laid_out: usize = runs.iter().map(RecordBatch::num_rows).sum();
        assert_eq!(laid_out, self.open().await.count_rows(None).await.unwrap(), "{wanted}");
        runs.len()
    }
}

/// Whether rows lie in the order of a layout.
pub(super) fn is_in_order(rows: &RecordBatch, state: &LayoutState) {
    let curve = match &state.layout {
        Layout::Sort(columns) => return is_sorted(rows, columns),
        Layout::ZOrder(_) => Curve::ZOrder,
        _ => Curve::Hilbert,
    };
    let column = |name: &&str| rows.column_by_name(name).unwrap().clone();
    let columns: Vec<_> = state.layout.columns().iter().map(column).collect();
    let ranks = state.space.ranks(&columns).unwrap();
    let keys: Vec<Vec<u8>> = match curve_keys(curve, &ranks).unwrap() {
        CurveKeys::Words(words) => {
            words.values().iter().map(|w| w.to_be_bytes().to_vec()).collect()
        }
        CurveKeys::Bytes(bytes) => (0..bytes.len()).map(|row| bytes.value(row).to_vec()).collect(),
    };
    assert!(keys.is_sorted(), "{}", state.layout);
    assert!(keys.len() < 100 || keys.first() < keys.last(), "{}: all keys are equal", state.layout);
}

/// By columns themselves, compared here without any of what is tested.
fn is_sorted(rows: &RecordBatch, columns: &[SortColumn]) {
    for row in 1..rows.num_rows() {
        let mut order = Ordering::Equal;
        for column in columns {
            let values = rows.column_by_name(&column.name).unwrap();
            order = order.then_with(|| compared(values, row - 1, row, column));
        }
        assert_ne!(order, Ordering::Greater, "rows {} and {row} by {columns:?}", row - 1);
    }
}

fn compared(values: &ArrayRef, one: usize, other: usize, column: &SortColumn) -> Ordering {
    let nulls = match column.nulls {
        NullPlacement::First => values.is_null(other).cmp(&values.is_null(one)),
        NullPlacement::Last => values.is_null(one).cmp(&values.is_null(other)),
    };
    if nulls != Ordering::Equal || values.is_null(one) {
        return nulls;
    }
    let order = match values.data_type() {
        DataType::Int64 => {
            let values = values.as_primitive::<Int64Type>();
            values.value(one).cmp(&values.value(other))
        }
        DataType::Int32 => {
            let values = values.as_primitive::<Int32Type>();
            values.value(one).cmp(&values.value(other))
        }
        DataType::Float64 => {
            let values = values.as_primitive::<Float64Type>();
            values.value(one).total_cmp(&values.value(other))
        }
        DataType::Utf8 => {
            let values = values.as_string::<i32>();
            values.value(one).cmp(values.value(other))
        }
        other => panic!("no order of {other} is known here"),
    };
    if column.direction == Direction::Descending { order.reverse() } else { order }
}
