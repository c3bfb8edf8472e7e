//! Later runs over a table that has a layout: they keep it up, cheaply, until something else is asked for.

use std::collections::BTreeSet;
use std::sync::Arc;

use lance::index::DatasetIndexExt;
use lance_index::IndexType;
use lance_index::scalar::ScalarIndexParams;
use lancekeeper::{IndexMode, Keeper, NoProgress, OptimizeOptions};

use super::table::{TARGET_ROWS, Table, batch};

async fn fragments(table: &Table) -> BTreeSet<u64> {
    table.open().await.fragments().iter().map(|fragment| fragment.id).collect()
}

#[tokio::test]
async fn a_few_new_rows_are_laid_out_by_themselves_and_all_together_when_everything_is_asked_for() {
    for stable in [false, true] {
        for layout in ["sort:a,id", "hilbert:a,b"] {
            let what = format!("{layout}, stable row ids: {stable}");
            let table = Table::new(stable).await;
            table.optimize(Some(layout), false).await;
            let old = fragments(&table).await;
            // In two fragments, and not in order.
            table.append(300..307).await;
            table.append(307..310).await;
            let rows = table.rows().await;
            let row = table.optimize(None, false).await;
            assert!(row.committed, "{what}: {row:#?}");
            assert_eq!((row.fragments_removed, row.fragments_added), (2, 1), "{what}: {row:#?}");
            assert!(old.is_subset(&fragments(&table).await), "{what}: old rows were written again");
            assert_eq!(table.rows().await, rows, "{what}");
            assert_eq!(table.lies_as(layout).await, 2, "{what}");
            table.is_idle(None, false).await;

            let row = table.optimize(None, true).await;
            assert!(row.committed && old.is_disjoint(&fragments(&table).await), "{what}: {row:#?}");
            assert_eq!(table.rows().await, rows, "{what}");
            assert_eq!(table.lies_as(layout).await, 1, "{what}");
            table.is_idle(None, true).await;
            table.is_idle(Some(layout), true).await;
        }
    }
}

#[tokio::test]
async fn as_many_new_rows_as_old_ones_are_laid_out_with_them() {
    let table = Table::new(false).await;
    table.optimize(Some("zorder:a,id"), false).await;
    let old = fragments(&table).await;
    table.append(300..600).await;
    let rows = table.rows().await;
    let row = table.optimize(None, false).await;
    assert!(old.is_disjoint(&fragments(&table).await), "{row:#?}");
    assert_eq!((table.rows().await, table.lies_as("zorder:a,id").await), (rows, 1));
    table.is_idle(None, false).await;
}

#[tokio::test]
async fn deleted_rows_are_purged_and_the_order_stays() {
    for stable in [false, true] {
        for layout in ["sort:a,id", "hilbert:a,b"] {
            let table = Table::new(stable).await;
            table.optimize(Some(layout), false).await;
            table.open().await.delete("id % 4 = 0").await.unwrap();
            let rows = table.rows().await;
            table.optimize(None, false).await;
            let head = table.open().await;
            assert!(head.fragments().iter().all(|f| f.deletion_file.is_none()), "{layout}");
            assert_eq!((table.rows().await, table.lies_as(layout).await), (rows, 1), "{layout}");
            table.is_idle(None, false).await;
            // Rows of one output go, and nothing is left of it.
            let id = head.fragments()[1].id;
            let gone = format!("_rowaddr >= {} AND _rowaddr < {}", id << 32, (id + 1) << 32);
            table.open().await.delete(&gone).await.unwrap();
            let rows = table.rows().await;
            table.optimize(None, false).await;
            assert_eq!((table.rows().await, table.lies_as(layout).await), (rows, 1), "{layout}");
            table.is_idle(None, false).await;
        }
    }
}

#[tokio::test]
async fn another_layout_takes_the_place_of_the_one_before() {
    let table = Table::new(true).await;
    let (rows, lineage) = (table.rows().await, table.lineage().await);
    for layout in ["sort:a", "sort:-a", "hilbert:a,b", "zorder:a,b", "hilbert:b,a", "sort:b,a"] {
        let row = table.optimize(Some(layout), false).await;
        assert!(row.committed, "{layout}: {row:#?}");
        assert_eq!(table.lies_as(layout).await, 1, "{layout}");
        assert_eq!(table.rows().await, rows, "{layout}");
        assert_eq!(table.lineage().await, lineage, "{layout}");
        table.is_idle(None, false).await;
    }
}

#[tokio::test]
async fn a_layout_that_is_taken_back_is_forgotten_and_fragments_are_packed_again() {
    for back in ["none", "binpack"] {
        let table = Table::new(false).await;
        table.optimize(Some("sort:a,id"), false).await;
        table.append(300..305).await;
        table.append(305..310).await;
        let (rows, before) = (table.rows().await, fragments(&table).await.len());
        let row = table.optimize(Some(back), false).await;
        assert!(row.committed && row.layout.is_none(), "{back}: {row:#?}");
        assert_eq!(table.rows().await, rows, "{back}");
        let said = table.setting().await;
        assert!(said.as_deref().is_none_or(|said| !said.contains("sort")), "{back}: {said:?}");
        assert!(fragments(&table).await.len() < before, "{back}: {row:#?}");
        table.is_idle(Some(back), false).await;
        table.is_idle(None, false).await;
        table.append(310..315).await;
        table.append(315..320).await;
        let rows = table.rows().await;
        assert!(table.optimize(None, false).await.committed, "{back}");
        assert_eq!(table.rows().await, rows, "{back}");
        let packed = table.open().await;
        let small = packed.fragments().iter().filter(|f| f.physical_rows < Some(20)).count();
        assert!(small <= 1, "{back}: {:?}", packed.fragments());
        // And the layout may come back: what still lies as it did then is left.
        table.optimize(Some("sort:a,id"), false).await;
        assert!(table.lies_as("sort:a,id").await >= 1, "{back}");
        assert_eq!(table.rows().await, rows, "{back}");
    }
}

#[tokio::test]
async fn a_table_that_grows_is_kept_in_order_and_most_of_it_is_left_alone() {
    let table = Table::of(batch(0..200), false).await;
    table.optimize(Some("hilbert:a,b"), false).await;
    let mut written = 0;
    for step in 0..30 {
        table.append(200 + step * 20..220 + step * 20).await;
        let row = table.optimize(None, false).await;
        assert!(row.committed, "{step}: {row:#?}");
        written += row.fragments_added;
        assert!(table.lies_as("hilbert:a,b").await <= 5, "{step}");
    }
    let whole = 800 / TARGET_ROWS;
    assert!(written < 30 * whole / 2, "{written} fragments of {whole} were written");
    let ids: BTreeSet<_> = table.rows().await.into_iter().collect();
    assert_eq!(ids.len(), 800);
}

#[tokio::test]
async fn a_table_whose_old_rows_go_as_new_ones_come_gets_a_space_for_those_that_it_has() {
    let table = Table::new(false).await;
    table.optimize(Some("hilbert:id,a"), false).await;
    assert_eq!(table.state().space.generation(), 0);
    // It never grows, and after six rounds no row is left of those that its space was made for.
    for round in 1..=6_i64 {
        table.append(250 + round * 50..300 + round * 50).await;
        table.open().await.delete(&format!("id < {}", round * 50)).await.unwrap();
        let rows = table.rows().await;
        table.optimize(None, false).await;
        // Earlier runs lie in the order of the space they were written in.
        assert_eq!(table.rows().await, rows);
    }
    assert!(table.state().space.generation() > 0, "all rows lie beyond the last boundary");
    table.is_idle(None, false).await;
}

#[tokio::test]
async fn fragments_that_no_index_covers_are_laid_out_where_indexes_are_not_kept_up() {
    let table = Table::new(true).await;
    let btree = ScalarIndexParams::default();
    let mut head = table.open().await;
    head.create_index(&["b"], IndexType::BTree, None, &btree, true).await.unwrap();
    let keep = |layout: Option<&str>| OptimizeOptions {
        layout: layout.map(|layout| layout.parse().unwrap()),
        index: IndexMode::Keep,
        target_rows: TARGET_ROWS,
        ..OptimizeOptions::default()
    };
    let run = async |options: OptimizeOptions| {
        let report = Keeper::new().optimize([&table.uri], &options, Arc::new(NoProgress)).await;
        assert_eq!(report.exit_code().number(), 0, "{report:#?}");
    };
    run(keep(Some("sort:a,id"))).await;
    for day in 0..6_i64 {
        table.append(1_000 + day * 10..1_010 + day * 10).await;
        run(keep(None)).await;
    }
    let count = fragments(&table).await.len();
    assert!(count <= 9, "{count} fragments: what was appended stays as it came");
}
