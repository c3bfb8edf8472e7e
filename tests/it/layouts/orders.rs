//! Every kind of layout on tables with and without stable row ids, with deletions, updates and several fragments.

use std::sync::Arc;

use arrow_array::Int64Array;
use lancekeeper::{Keeper, NoProgress, OptimizeOptions};
use lancekeeper_layout::{Curve, CurveKeys, curve_keys};

use super::table::{FRAGMENTS, TARGET_ROWS, Table, batch_of, layout};

/// One of each kind, and each in several columns: nulls in both places, floats of all sorts, keys of words and of bytes.
const LAYOUTS: [&str; 9] = [
    "sort:a,-id",
    "sort:-b,id",
    "sort:c,id",
    "sort:-c:nullsfirst,a:nullslast",
    "zorder:a,b",
    "zorder:c",
    "hilbert:a,c",
    "hilbert:a,b,c",
    "hilbert:id,a,b,c",
];

#[tokio::test]
async fn rows_lie_as_asked_and_are_what_they_were() {
    for stable in [false, true] {
        let original = Table::new(stable).await;
        let rows = original.rows().await;
        for layout in LAYOUTS {
            let table = original.copy();
            let what = format!("{layout}, stable row ids: {stable}");
            let row = table.optimize(Some(layout), false).await;
            assert!(row.committed && row.pending_indexes.is_empty(), "{what}: {row:#?}");
            assert_eq!(row.rows_after, rows.len() as u64, "{what}");
            assert_eq!(table.rows().await, rows, "{what}");
            let head = table.open().await;
            head.validate().await.unwrap();
            let sizes: Vec<_> = head.fragments().iter().map(|f| f.num_rows().unwrap()).collect();
            let fits = |rows: &usize| (1..=TARGET_ROWS as usize).contains(rows);
            assert!(sizes.iter().all(fits) && sizes.len() > 3, "{what}: {sizes:?}");
            assert!(head.fragments().iter().all(|f| f.deletion_file.is_none()), "{what}");
            assert_eq!(table.lies_as(layout).await, 1, "{what}");
            assert_eq!(
                table.setting().await.unwrap(),
                format!(r#"{{"version":1,"layout":"{layout}"}}"#)
            );
            let measured = row.layout.unwrap();
            assert_eq!(measured.layout, layout);
            let (before, after) = (measured.before.unwrap(), measured.after.unwrap());
            assert!(after.depth < before.depth, "{what}: {before:?} {after:?}");
            table.is_idle(Some(layout), false).await;
            table.is_idle(None, false).await;
            table.is_idle(None, true).await;
        }
    }
}

#[tokio::test]
async fn row_ids_and_versions_of_rows_are_kept_where_they_are_stable() {
    let original = Table::new(true).await;
    let lineage = original.lineage().await;
    let versions: std::collections::BTreeSet<_> = lineage.values().map(|row| row[2]).collect();
    assert!(
        versions.len() > FRAGMENTS as usize,
        "the rows are of different versions: {versions:?}"
    );
    for layout in ["sort:-a", "hilbert:a,b,c"] {
        let table = original.copy();
        table.optimize(Some(layout), false).await;
        assert_eq!(table.lineage().await, lineage, "{layout}");
        // By row id, as an index finds them.
        let head = table.open().await;
        for id in [0, 5, 77, 150, 299] {
            let projection = head.schema().project(&["id"]).unwrap();
            let found = head.take_rows(&[lineage[&id][0]], projection).await.unwrap();
            let rows = lancekeeper_testkit::rows::batch_rows(&found).unwrap();
            assert_eq!(rows, [format!("id={id}")], "{layout}");
        }
        // What an update writes anew keeps its row id.
        table.update("id = 77", "a", "12345").await;
        table.append(300..340).await;
        table.optimize(None, true).await;
        let now = table.lineage().await;
        assert_eq!(now[&77][..2], lineage[&77][..2], "{layout}");
        assert!(now[&77][2] > lineage[&77][2], "{layout}");
        assert!(lineage.iter().all(|(id, row)| *id == 77 || now[id] == *row), "{layout}");
    }
}

#[tokio::test]
async fn the_same_input_is_laid_out_the_same_to_the_last_byte() {
    // All keys are equal, or almost, so that what comes first is for the sort to say.
    for layout in ["sort:b", "zorder:a,b", "hilbert:c", "sort:a:nullslast"] {
        let original = Table::new(false).await;
        original.update("id >= 0", "b", "'same'").await;
        original.append(300..420).await;
        let first = original.copy();
        first.optimize(Some(layout), false).await;
        let expected = first.in_order().await;
        for _ in 0..3 {
            let again = original.copy();
            again.optimize(Some(layout), false).await;
            assert!(again.in_order().await == expected, "{layout}");
            let sizes = async |table: &Table| -> Vec<_> {
                let head = table.open().await;
                head.fragments().iter().map(|f| f.physical_rows).collect()
            };
            assert_eq!(sizes(&again).await, sizes(&first).await, "{layout}");
        }
    }
}

#[tokio::test]
async fn an_output_may_end_where_it_may_end_first() {
    // More rows than are sorted in one batch, so that most of an output is written before it is known where it ends.
    const ROWS: i64 = 31_500;
    let numbers = Int64Array::from_iter_values((0..ROWS).map(|n| (n * 7_919) % ROWS));
    let original = Table::of(batch_of(vec![("a", Arc::new(numbers))]), false).await;
    let laid_out = async |target_rows: u64| {
        let table = original.copy();
        let options = OptimizeOptions {
            layout: Some(layout("zorder:a")),
            target_rows,
            ..OptimizeOptions::default()
        };
        let (keeper, roots) = (Keeper::new(), [table.uri.clone()]);
        let report = keeper.optimize(&roots, &options, Arc::new(NoProgress)).await;
        assert_eq!(report.exit_code().number(), 0, "{target_rows}: {report:#?}");
        assert_eq!(table.lies_as("zorder:a").await, 1, "{target_rows}");
        table
    };
    // The first row of the second quarter: nowhere near it is a better end.
    let whole = laid_out(1_000_000).await;
    let rows = whole.in_order().await;
    let ranks = whole.state().space.ranks(rows.columns()).unwrap();
    let CurveKeys::Words(keys) = curve_keys(Curve::ZOrder, &ranks).unwrap() else { panic!() };
    let quarter = keys.values().partition_point(|key| key >> 30 == 0) as u64;
    let target = (quarter..).find(|rows| rows - rows / 8 == quarter).unwrap();
    let table = laid_out(target).await;
    assert_eq!(table.open().await.fragments()[0].physical_rows, Some(quarter as usize));
}
