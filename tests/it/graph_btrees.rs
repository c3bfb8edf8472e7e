//! B-trees of graphs are merged with new rows: what they hold afterwards, what is read for it, and
//! that those which cannot be merged are trained anew.
//!
//! That something is merged is shown by taking away the data that its index covers: training
//! would need it.

mod histories;
mod table;

use std::fs;
use std::path::Path;

use arrow_array::{RecordBatch, UInt32Array};
use futures::future::BoxFuture;
use lance::Dataset;
use lance::index::DatasetIndexExt;
use lance_table::format::IndexMetadata;
use lancekeeper_planner::index::IndexAction;
use lancekeeper_testkit::Fixture;

use table::{
    COLUMNS, DEFAULT_PAGE, Hidden, PAGE, Table, append, as_a_client, check, commit, contents,
    found, segments_of, stage, work,
};

const REFRESH: IndexAction = IndexAction::Refresh { merge: 1 };

/// Another batch of the same rows, in this order; a row may be left out or come twice.
fn picked(rows: &RecordBatch, order: impl Iterator<Item = usize>) -> RecordBatch {
    let order: UInt32Array = order.map(|at| u32::try_from(at).unwrap()).collect();
    arrow_select::take::take_record_batch(rows, &order).unwrap()
}

#[tokio::test]
async fn new_rows_are_merged_and_the_column_is_not_read_again() {
    let table = Table::indexed(&Vec::from_iter(0..300)).await;
    table.append(&[300], 0).await;
    let head = table.head().await;
    let segments = head.load_indices().await.unwrap();
    let hidden = Hidden::of_segments(Path::new(&table.uri()), &head, &segments);
    assert_eq!(hidden.count(), 1);
    let merged = stage(&head, &work(&head, &COLUMNS, REFRESH).await).await;
    // That it counts: who reads the column fails.
    assert!(head.scan().try_into_batch().await.is_err());
    drop(hidden);
    commit(&head, merged.operation()).await;
    check(&table.head().await, &COLUMNS, PAGE).await;
    assert_eq!(found(&table.head().await, "id = 300", true).await, [300]);
}

/// How many entries the one segment of an index has.
async fn entries_of(table: &Table, column: &str) -> usize {
    let head = table.head().await;
    let segments = segments_of(&head, column).await;
    contents(&head, &segments[0]).await.entries.len()
}

#[tokio::test]
async fn an_updated_row_has_its_new_value_and_no_other() {
    let table = Table::indexed(&Vec::from_iter(0..50)).await;
    table.update("id = 7", "number", "12").await;
    table.update("id = 8", "number", "NULL").await;
    table.delete("id = 9").await;
    let before = entries_of(&table, "number").await;
    table.refresh().await;
    assert_eq!((before, entries_of(&table, "number").await), (50, 49));
}

/// A row that moved from one segment to another is alive under its id in both.
#[tokio::test]
async fn segments_are_merged_each_with_the_rows_that_it_covers_itself() {
    let table = Table::of(&Vec::from_iter(0..20)).await;
    let first = as_a_client(&table.head().await, "number", PAGE, |rows| rows).await;
    table.commit(vec![first], Vec::new()).await;
    table.update("id < 5", "number", "100 + id").await;
    let head = table.head().await;
    let moved: Vec<u32> = vec![1];
    let mut second = as_a_client(&head, "number", PAGE, |rows| {
        // What moved sorts last.
        picked(&rows, 15..20)
    })
    .await;
    second.fragment_bitmap = Some(moved.into_iter().collect());
    table.commit(vec![second], Vec::new()).await;
    table.append(&[20], 0).await;
    table.refresh().await;
    assert_eq!(found(&table.head().await, "number >= 100", true).await, [0, 1, 2, 3, 4]);
}

#[tokio::test]
async fn an_index_that_holds_nothing_takes_in_everything() {
    let table = Table::indexed(&[]).await;
    table.append(&Vec::from_iter(0..30), 0).await;
    table.refresh().await;
    assert_eq!(found(&table.head().await, "id = 29", true).await, [29]);
}

#[tokio::test]
async fn nothing_stays_of_an_index_whose_rows_are_all_gone() {
    let table = Table::indexed(&Vec::from_iter(0..30)).await;
    table.append(&Vec::from_iter(30..40), 0).await;
    table.delete("id < 30").await;
    table.refresh().await;
}

#[tokio::test]
async fn fragments_that_were_rewritten_since_are_covered_as_before() {
    let table = Table::indexed(&Vec::from_iter(0..30)).await;
    for first in [30, 40] {
        table.append(&Vec::from_iter(first..first + 10), 3).await;
    }
    table.refresh().await;
    table.delete("id % 4 = 1").await;
    table.update("id % 4 = 2", "word", "'moved'").await;
    table.compact().await;
    table.append(&Vec::from_iter(50..55), 1).await;
    table.refresh().await;
}

/// The index and the data that it covers lie in the table that the branch was cut from.
#[tokio::test]
async fn a_branch_merges_its_rows_into_the_index_of_the_table_it_was_cut_from() {
    let table = Table::indexed(&Vec::from_iter(0..30)).await;
    let mut main = table.head().await;
    let version = main.manifest().version;
    let mut branch = main.create_branch("feature", version, None).await.unwrap();
    append(&mut branch, &Vec::from_iter(30..40), 0).await;
    branch.delete("id = 3").await.unwrap();
    let before = segments_of(&branch, "id").await;
    assert!(before[0].base_id.is_some());
    let segments = branch.load_indices().await.unwrap();
    let hidden = Hidden::of_segments(Path::new(&table.uri()), &branch, &segments);
    assert_eq!(hidden.count(), 1);
    let staged = stage(&branch, &work(&branch, &COLUMNS, REFRESH).await).await;
    drop(hidden);
    let branch = commit(&branch, staged.operation()).await;
    assert!(segments_of(&branch, "id").await[0].base_id.is_none());
    check(&branch, &COLUMNS, PAGE).await;
    check(&table.head().await, &COLUMNS, PAGE).await;
}

/// How an index came to be one that cannot be merged, from the one that is there.
type Spoiling = fn(Dataset, IndexMetadata) -> BoxFuture<'static, Vec<IndexMetadata>>;

/// In place of the rows of the index, others.
async fn retrained(head: &Dataset, spoil: fn(RecordBatch) -> RecordBatch) -> Vec<IndexMetadata> {
    vec![as_a_client(head, "number", PAGE, spoil).await]
}

fn file_of(head: &Dataset, segment: &IndexMetadata, name: &str) -> std::path::PathBuf {
    Path::new(head.uri()).join("_indices").join(segment.uuid.to_string()).join(name)
}

#[tokio::test]
async fn an_index_that_cannot_be_merged_is_trained_anew() {
    let spoilings: [(&str, Spoiling); 9] = [
        ("values out of order", |head, _| {
            Box::pin(async move { retrained(&head, |rows| picked(&rows, (0..40).rev())).await })
        }),
        ("whole pages out of order", |head, _| {
            Box::pin(async move {
                retrained(&head, |rows| picked(&rows, (24..32).chain(0..24).chain(32..40))).await
            })
        }),
        ("two values out of order within a page", |head, _| {
            let swapped = |at| match at {
                18 => 22,
                22 => 18,
                _ => at,
            };
            Box::pin(async move {
                let segment =
                    as_a_client(&head, "number", PAGE, |rows| picked(&rows, (0..40).map(swapped)));
                vec![segment.await]
            })
        }),
        ("a row twice, as after an update", |head, _| {
            Box::pin(
                async move { retrained(&head, |rows| picked(&rows, (0..40).chain([39]))).await },
            )
        }),
        ("a row that is missing", |head, _| {
            Box::pin(async move { retrained(&head, |rows| picked(&rows, 0..39)).await })
        }),
        ("another version", |_, segment| {
            Box::pin(async move { vec![IndexMetadata { index_version: 1, ..segment }] })
        }),
        ("two segments over the same rows", |head, segment| {
            Box::pin(async move {
                let [other] = retrained(&head, |rows| rows).await.try_into().unwrap();
                vec![segment, other]
            })
        }),
        ("pages that are gone", |head, segment| {
            Box::pin(async move {
                fs::remove_file(file_of(&head, &segment, "page_data.lance")).unwrap();
                vec![segment]
            })
        }),
        ("pages that are cut off", |head, segment| {
            Box::pin(async move {
                let file = file_of(&head, &segment, "page_data.lance");
                let bytes = fs::read(&file).unwrap();
                fs::write(&file, &bytes[bytes.len() / 2..]).unwrap();
                vec![segment]
            })
        }),
    ];
    for (what, spoil) in spoilings {
        let table = Table::of(&Vec::from_iter(0..40)).await;
        let head = table.head().await;
        let whole = as_a_client(&head, "number", PAGE, |rows| rows).await;
        let spoiled = spoil(head, whole).await;
        table.commit(spoiled, Vec::new()).await;
        // One of the largest values: no page begins elsewhere than before.
        table.append(&[41], 11).await;
        let head = table.head().await;
        println!("{what}");
        let staged = stage(&head, &work(&head, &["number"], REFRESH).await).await;
        commit(&head, staged.operation()).await;
        check(&table.head().await, &["number"], DEFAULT_PAGE).await;
    }
}

/// B-trees that real clients trained, with an older Lance.
#[tokio::test]
async fn b_trees_of_real_clients_are_merged() {
    for name in ["omnigraph-0.7.0-main-only", "omnigraph-0.8.0-main-only"] {
        let fixture = Fixture::unpack(name).unwrap();
        let person = crate::indexes::table(&fixture.uri("graph"), "node:Person").await;
        let rows = person.count_rows(None).await.unwrap();
        for column in ["id", "age"] {
            let [old] = segments_of(&person, column).await.try_into().unwrap();
            let covered = old.fragment_bitmap.as_ref().unwrap().len() as usize;
            assert!(covered < person.fragments().len(), "{name}: {column} covers everything");
            let hidden = Hidden::of_segments(Path::new(person.uri()), &person, &[old]);
            assert_eq!(hidden.count(), covered);
            let staged = stage(&person, &work(&person, &[column], REFRESH).await).await;
            drop(hidden);
            let merged = contents(&person, &staged.new[0]).await;
            let trained = as_a_client(&person, column, DEFAULT_PAGE, |rows| rows).await;
            assert_eq!(merged, contents(&person, &trained).await, "{name}: {column}");
            assert_eq!(merged.entries.len(), rows, "{name}: {column}");
        }
    }
}

/// A B-tree that is trained holds what a client would have put in, whatever the size of its pages.
#[tokio::test]
async fn an_index_that_is_trained_holds_what_clients_put_in() {
    let table = Table::indexed(&Vec::from_iter(0..100)).await;
    table.delete("id % 7 = 3").await;
    for action in [IndexAction::Rebuild, IndexAction::Create] {
        let head = table.head().await;
        let staged = stage(&head, &work(&head, &COLUMNS, action).await).await;
        commit(&head, staged.operation()).await;
        check(&table.head().await, &COLUMNS, DEFAULT_PAGE).await;
    }
}
