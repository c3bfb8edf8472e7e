//! Every kind of index on a table that gets another order: it answers as a scan, and covers every row.

use std::collections::{BTreeMap, BTreeSet};

use arrow_array::RecordBatchIterator;
use lance::Dataset;
use lance::dataset::WriteParams;
use lance::index::DatasetIndexExt;
use lance_index::IndexType;
use lancekeeper_testkit::table_rows;

use super::table::{Table, batch};
use crate::random_tables::columns::{self, OPTIONAL};
use crate::random_tables::questions::{KINDS, Question, ask, create, questions};
use crate::random_tables::steps::Rows;

/// A table with every column and every index there is a kind of.
async fn indexed(stable: bool) -> Table {
    let directory = tempfile::tempdir().unwrap();
    let uri = directory.path().join("t.lance").to_string_lossy().into_owned();
    let table = Table { _directory: directory, uri };
    append(&table, 0..300, stable).await;
    let mut head = table.open().await;
    for (column, kind) in KINDS {
        assert!(
            create(&mut head, &format!("{column} {kind}"), (column, kind)).await,
            "{column} {kind}"
        );
    }
    table.open().await.delete("id % 13 = 5").await.unwrap();
    append(&table, 300..330, stable).await;
    append(&table, 340..350, stable).await;
    table
}

async fn append(table: &Table, ids: std::ops::Range<i64>, stable: bool) {
    let is_new = ids.start == 0;
    let rows = Rows { count: 0, is_blank: false, salt: 3 };
    let batch = columns::batch(&columns::schema(&OPTIONAL), &Vec::from_iter(ids), rows);
    let params = WriteParams {
        mode: if is_new {
            lance::dataset::WriteMode::Create
        } else {
            lance::dataset::WriteMode::Append
        },
        enable_stable_row_ids: stable,
        ..WriteParams::default()
    };
    let schema = batch.schema();
    let reader = RecordBatchIterator::new([Ok(batch)], schema);
    Dataset::write(reader, &table.uri, Some(params)).await.unwrap();
}

type Answers = BTreeMap<String, Vec<i64>>;

/// What each index answers, which is what a scan answers.
async fn answers(table: &Table, what: &str) -> Answers {
    let head = table.open().await;
    let mut answers = Answers::new();
    for (column, kind) in KINDS {
        for question in questions(column, kind) {
            let by_index = ask(&head, &question, true).await.unwrap();
            let by_scan = ask(&head, &question, false).await.unwrap();
            assert_eq!(by_index, by_scan, "{what}, {column} {kind}: {question:?}");
            answers.insert(format!("{column} {kind} {question:?}"), by_index);
        }
    }
    assert!(answers.values().filter(|ids| !ids.is_empty()).count() > 20);
    answers
}

/// The fragments that each index leaves out.
async fn uncovered(table: &Table) -> BTreeMap<String, BTreeSet<u64>> {
    let head = table.open().await;
    let live: BTreeSet<u64> = head.fragments().iter().map(|fragment| fragment.id).collect();
    let mut left = BTreeMap::new();
    for index in head.load_indices().await.unwrap().iter() {
        let covered = index.fragment_bitmap.iter().flatten().map(u64::from);
        let left = left.entry(index.name.clone()).or_insert_with(|| live.clone());
        for id in covered {
            left.remove(&id);
        }
    }
    left.retain(|name, left| !left.is_empty() && !name.starts_with("__"));
    left
}

#[tokio::test]
async fn every_kind_answers_as_a_scan_and_covers_everything_under_every_layout() {
    for (stable, layout) in [(false, "hilbert:count,id,label"), (true, "sort:-count,label")] {
        let table = indexed(stable).await;
        let what = format!("{layout}, stable row ids: {stable}");
        let (rows, before) = (table.rows().await, table.in_order().await);
        let expected = answers(&table, "before").await;
        let row = table.optimize(Some(layout), false).await;
        assert!(row.pending_indexes.is_empty() && row.groups_dropped == 0, "{what}: {row:#?}");
        assert!(table.in_order().await != before, "{what}: the order is another one");
        assert_eq!(table.rows().await, rows, "{what}");
        assert_eq!(table.lies_as(layout).await, 1, "{what}");
        assert_eq!(answers(&table, &what).await, expected, "{what}");
        assert!(uncovered(&table).await.is_empty(), "{what}: {:?}", uncovered(&table).await);
        table.is_idle(None, false).await;
        let indexes = table.open().await.load_indices().await.unwrap();
        let names: BTreeSet<_> = indexes.iter().map(|index| index.name.clone()).collect();
        for (column, kind) in KINDS {
            assert!(names.contains(&format!("{column} {kind}")), "{column} {kind} is gone");
        }
        let own = names.iter().filter(|name| !name.starts_with("__"));
        assert_eq!(own.count(), KINDS.len(), "{names:?}");
    }
}

/// The kind of each index, by its column.
async fn kinds(table: &Table) -> Vec<(String, String)> {
    let head = table.open().await;
    let mut kinds: Vec<_> = Vec::new();
    for index in head.load_indices().await.unwrap().iter() {
        let details = index.index_details.as_ref().map(|details| details.type_url.clone());
        let kind = details.unwrap_or_default().rsplit('.').next().unwrap_or_default().to_owned();
        let column = head.schema().field_path(index.fields[0]).unwrap();
        kinds.push((column, kind));
    }
    kinds.sort();
    kinds.dedup();
    kinds
}

fn zone_maps(columns: &[&str]) -> Vec<(String, String)> {
    columns.iter().map(|c| ((*c).to_owned(), "ZoneMapIndexDetails".to_owned())).collect()
}

#[tokio::test]
async fn zone_maps_are_made_on_the_columns_of_a_layout_and_cover_what_is_appended() {
    for stable in [false, true] {
        let table = Table::new(stable).await;
        let row = table.optimize(Some("hilbert:a,b,c"), false).await;
        assert_eq!(kinds(&table).await, zone_maps(&["a", "b", "c"]), "{row:#?}");
        assert!(uncovered(&table).await.is_empty(), "{row:#?}");
        table.append(300..330).await;
        let rows = table.rows().await;
        table.optimize(None, false).await;
        assert!(uncovered(&table).await.is_empty(), "after an append");
        assert_eq!(table.rows().await, rows);
        let head = table.open().await;
        for filter in [
            "a = 3",
            "a < -30",
            "a IS NULL",
            "b = 'pre/100'",
            "b >= 'pre/150'",
            "c > 10",
            "c IS NULL",
        ] {
            let by = async |by_index| {
                ask(&head, &Question::Filter(filter.to_owned()), by_index).await.unwrap()
            };
            assert_eq!(by(true).await, by(false).await, "{filter}");
        }
        table.is_idle(None, false).await;
    }
}

#[tokio::test]
async fn no_zone_map_is_made_where_a_scalar_index_is_there() {
    let table = Table::of(batch(0..200), false).await;
    let mut head = table.open().await;
    assert!(create(&mut head, "mine", ("a", IndexType::BTree)).await);
    let row = table.optimize(Some("sort:a,b"), false).await;
    let expected = [("a".to_owned(), "BTreeIndexDetails".to_owned())];
    assert_eq!(kinds(&table).await, [&expected[..], &zone_maps(&["b"])].concat(), "{row:#?}");
    assert!(uncovered(&table).await.is_empty());
    assert_eq!(table_rows(&table.open().await).await.unwrap().len(), 200);
}
