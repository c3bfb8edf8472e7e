//! Rows that are much wider than what a sort may hold at once.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hasher};
use std::path::Path;
#[cfg(unix)]
use std::process::Command;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{ArrayRef, Int64Array, LargeBinaryArray};
use lancekeeper::{Keeper, NoProgress, OptimizeOptions};
use lancekeeper_testkit::invariants::check_files;

use super::table::{Table, batch_of, layout, write};
#[cfg(unix)]
use crate::bad_input::machine::unshare;
use crate::binary::{path, run};
use crate::fixtures::tree;

/// The least that a keeper can be given; a sort gets 64 MiB in any case.
const MEMORY_BYTES: u64 = 64 << 20;

/// Wide rows among narrow ones, if `narrow` says how many of those stand before each.
async fn table(rows: i64, narrow: i64, width: usize) -> Table {
    let batch = |from: i64, to: i64| {
        let is_wide = |id: i64| id % (narrow + 1) == narrow;
        let value =
            |id: i64| vec![(id % 251) as u8; if is_wide(id) { width + id as usize } else { 10 }];
        let sizes = (from..to).map(|id| if is_wide(id) { 1_000_000 - id } else { id });
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("id", Arc::new(Int64Array::from_iter_values(from..to))),
            ("a", Arc::new(Int64Array::from_iter_values(sizes))),
            ("big", Arc::new(LargeBinaryArray::from_iter_values((from..to).map(value)))),
        ];
        batch_of(columns)
    };
    let part = rows / 4;
    let table = Table::of(batch(0, part), true).await;
    for n in 1..4 {
        write(&table.uri, batch(n * part, (n + 1) * part), false, true).await;
    }
    table
}

/// What stands in the wide column of each row.
async fn values(table: &Table) -> BTreeMap<i64, u64> {
    let rows = table.in_order().await;
    let ids = rows.column_by_name("id").unwrap().as_primitive::<Int64Type>().values();
    let values = rows.column_by_name("big").unwrap().as_binary::<i64>();
    let digest = |row: usize| {
        let mut hasher = DefaultHasher::new();
        hasher.write(values.value(row));
        hasher.finish()
    };
    ids.iter().enumerate().map(|(row, id)| (*id, digest(row))).collect()
}

/// Every row has its own value, and its row id.
async fn is_sorted_within_the_bound(table: &Table) {
    let (rows, lineage) = (values(table).await, table.lineage().await);
    let options = OptimizeOptions { layout: Some(layout("sort:-a")), ..OptimizeOptions::default() };
    let keeper = Keeper::builder().memory_bytes(MEMORY_BYTES).build();
    let report =
        keeper.optimize(std::slice::from_ref(&table.uri), &options, Arc::new(NoProgress)).await;
    assert_eq!(report.exit_code().number(), 0, "{report:#?}");
    assert_eq!(values(table).await, rows);
    assert_eq!(table.lineage().await, lineage);
    assert_eq!(table.lies_as("sort:-a").await, 1);
    check_files(&table.open().await, Path::new(&table.uri)).await.unwrap();
}

#[tokio::test]
async fn wide_rows_are_sorted_in_batches_that_fit() {
    is_sorted_within_the_bound(&table(160, 0, 600_000).await).await;
}

#[tokio::test]
async fn wide_rows_that_come_together_are_sorted_in_smaller_batches() {
    // By the mean many rows fit into a batch; sorted, the wide ones are all in one.
    is_sorted_within_the_bound(&table(8_000, 99, 900_000).await).await;
}

/// The sort holds 64 MiB and has a megabyte to spill to: the table is as it was, and nothing that was staged remains.
#[cfg(unix)]
#[tokio::test]
async fn without_room_to_spill_the_table_stays_as_it_is_and_the_error_names_the_directory() {
    let Some(unshare) = unshare() else {
        eprintln!("SKIPPED: nothing can be mounted here, so no disk was filled up");
        return;
    };
    let table = table(160, 0, 1_000_000).await;
    let (rows, before) = (values(&table).await, tree(&table.uri));
    let spills = tempfile::tempdir().unwrap();
    let mut command = Command::new(&unshare[0]);
    let script = r#"mount -t tmpfs -o size=1m tmpfs "$1" && TMPDIR="$1" exec "$2" optimize --json --layout sort:-a --memory-limit 64MiB "$3""#;
    command.args(&unshare[1..]).args(["sh", "-c", script, "sh"]);
    command.arg(spills.path()).arg(path()).arg(&table.uri);
    let ran = run(command);
    assert_eq!(ran.code, Some(1), "{ran:#?}");
    let row = &ran.document()["roots"][0]["tables"][0];
    let error = row["error"].as_str().unwrap_or_default();
    assert!(error.contains("room") && error.contains("TMPDIR"), "{row:#}");
    assert_eq!(values(&table).await, rows);
    let data = |mut files: Vec<(String, u64)>| {
        files.retain(|(path, _)| !path.contains("__maintenance"));
        files
    };
    assert_eq!(data(tree(&table.uri)), data(before), "staged files remain");
}
