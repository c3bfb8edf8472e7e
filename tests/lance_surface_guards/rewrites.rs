//! Rewrites: what staging does and does not do, what a Rewrite replaces, and what disturbs it.

use arrow_array::RecordBatchIterator;
use lance::dataset::optimize::{CompactionMode, CompactionOptions, compact_files};
use lance::dataset::transaction::Operation;
use lance::dataset::{InsertBuilder, WriteMode, WriteParams};
use lance::{Dataset, Error};
use lance_table::format::BasePath;
use lancekeeper_testkit::{table_rows, tables};
use std::fs;
use std::sync::Arc;

use crate::table::{
    Table, commit, commit_at, files_in, fragment_ids, ids, reserve, rewrite, row_ids, sorted_ids,
    stage, stage_in_mode,
};

#[tokio::test]
async fn staging_commits_nothing_and_names_what_it_wrote() {
    for mode in [CompactionMode::Reencode, CompactionMode::TryBinaryCopy] {
        let table = Table::of(3, true).await;
        let (head, before) = (table.head().await, table.files());
        let staged = stage_in_mode(&head, &[0, 1, 2], mode).await;
        assert_eq!(table.head().await.manifest().version, head.manifest().version);
        assert_eq!(staged.original_fragments, *head.fragments().as_ref());
        assert_eq!(staged.new_fragments.len(), 1, "one output for a target of all rows");
        let file = &staged.new_fragments[0].files[0];
        let added: Vec<String> = table.files().difference(&before).cloned().collect();
        assert_eq!(added, [format!("data/{}", file.path)]);
        let recorded = file.file_size_bytes.get().map(std::num::NonZero::get);
        match mode {
            CompactionMode::Reencode => {
                let size = fs::metadata(table.path().join(&added[0])).unwrap().len();
                assert_eq!(recorded, Some(size));
            }
            // Filled in by the commit.
            _ => assert_eq!(recorded, None, "a page copy records its size now"),
        }
        assert_eq!(staged.new_fragments[0].physical_rows, Some(30));
    }
}

#[tokio::test]
async fn staging_leaves_deleted_rows_out_and_counts_what_it_wrote() {
    for stable in [false, true] {
        let table = Table::of(2, stable).await;
        table.head().await.delete("id % 10 = 3").await.unwrap();
        let head = table.head().await;
        let mut staged = stage(&head, &[0, 1]).await;
        assert_eq!(staged.new_fragments[0].physical_rows, Some(18));
        assert_eq!(staged.new_fragments[0].deletion_file, None);
        let expected = table_rows(&head).await.unwrap();
        let reserved = reserve(&head, &mut staged).await;
        let rewritten = commit(&reserved, rewrite(&staged)).await.unwrap();
        assert_eq!(table_rows(&rewritten).await.unwrap(), expected);
        assert_eq!(rewritten.count_deleted_rows().await.unwrap(), 0);
    }
}

#[tokio::test]
async fn rows_keep_their_stable_ids_through_a_rewrite_and_their_order_within_it() {
    let table = Table::of(4, true).await;
    table.head().await.delete("id = 12 OR id = 25").await.unwrap();
    let head = table.head().await;
    let before = row_ids(&head).await;
    let mut staged = stage(&head, &[1, 2]).await;
    assert!(staged.new_fragments[0].row_id_meta.is_some());
    let reserved = reserve(&head, &mut staged).await;
    let rewritten = commit(&reserved, rewrite(&staged)).await.unwrap();
    assert_eq!(row_ids(&rewritten).await, before);
    let expected: Vec<i64> =
        (0..10).chain(30..40).chain((10..30).filter(|id| ![12, 25].contains(id))).collect();
    assert_eq!(ids(&rewritten).await, expected);
}

/// The planner packs neighbours in manifest order and looks fragments up by binary search.
#[tokio::test]
async fn fragments_lie_in_order_of_their_ids_so_outputs_of_a_rewrite_come_last() {
    for stable in [false, true] {
        let table = Table::of(4, stable).await;
        let mut staged = stage(&table.head().await, &[0, 1]).await;
        let reserved = reserve(&table.head().await, &mut staged).await;
        tables::append(&table.uri(), 40, 10).await.unwrap();
        let rewritten = commit(&reserved, rewrite(&staged)).await.unwrap();
        assert_eq!(fragment_ids(&rewritten), [2, 3, 4, 5]);
        assert_eq!(staged.new_fragments[0].id, 4);
        let expected: Vec<i64> = (20..40).chain(0..20).chain(40..50).collect();
        assert_eq!(ids(&rewritten).await, expected);
    }
}

#[tokio::test]
async fn an_append_after_the_read_version_disturbs_no_rewrite() {
    for stable in [false, true] {
        let table = Table::of(2, stable).await;
        let mut staged = stage(&table.head().await, &[0, 1]).await;
        let reserved = reserve(&table.head().await, &mut staged).await;
        tables::append(&table.uri(), 20, 10).await.unwrap();
        let rewritten = commit(&reserved, rewrite(&staged)).await.unwrap();
        assert_eq!(rewritten.manifest().version, reserved.manifest().version + 2);
        assert_eq!(sorted_ids(&rewritten).await, Vec::from_iter(0..30));
        assert_eq!(rewritten.fragments().len(), 2);
    }
}

#[tokio::test]
async fn a_delete_in_a_source_after_the_read_version_is_a_conflict() {
    for stable in [false, true] {
        let table = Table::of(3, stable).await;
        let mut staged = stage(&table.head().await, &[0, 1]).await;
        let reserved = reserve(&table.head().await, &mut staged).await;
        // In a fragment that is no source it is none.
        table.head().await.delete("id = 25").await.unwrap();
        table.head().await.delete("id = 5").await.unwrap();
        let error = commit(&reserved, rewrite(&staged)).await.unwrap_err();
        let is_conflict = matches!(error.find_root(), Error::RetryableCommitConflict { .. });
        assert!(is_conflict, "{error:?}");
        assert_eq!(table.head().await.count_rows(None).await.unwrap(), 28);
    }
}

#[tokio::test]
async fn a_delete_in_another_fragment_after_the_read_version_is_kept() {
    let table = Table::of(3, true).await;
    let mut staged = stage(&table.head().await, &[0, 1]).await;
    let reserved = reserve(&table.head().await, &mut staged).await;
    table.head().await.delete("id = 25").await.unwrap();
    let rewritten = commit(&reserved, rewrite(&staged)).await.unwrap();
    let expected: Vec<i64> = (0..30).filter(|id| *id != 25).collect();
    assert_eq!(sorted_ids(&rewritten).await, expected);
}

/// Why sources are compared by value before every Rewrite of ours: with HEAD as its read
/// version Lance compares nothing.
#[tokio::test]
async fn a_rewrite_that_reads_head_brings_back_rows_deleted_since_it_was_staged() {
    for stable in [false, true] {
        let table = Table::of(2, stable).await;
        let mut staged = stage(&table.head().await, &[0, 1]).await;
        table.head().await.delete("id = 5").await.unwrap();
        let reserved = reserve(&table.head().await, &mut staged).await;
        let named = &staged.original_fragments[0];
        assert_ne!(named, &reserved.fragments()[0], "the difference can be seen by value");
        let rewritten = commit(&reserved, rewrite(&staged)).await.unwrap();
        assert!(sorted_ids(&rewritten).await.contains(&5), "Lance compares values now");
    }
}

#[tokio::test]
async fn a_delete_that_was_staged_before_a_rewrite_of_its_fragment_is_a_conflict() {
    let table = Table::of(2, true).await;
    let head = table.head().await;
    let deleted = lance::dataset::DeleteBuilder::new(Arc::new(head.clone()), "id = 5")
        .execute_uncommitted()
        .await
        .unwrap();
    let mut staged = stage(&head, &[0, 1]).await;
    let reserved = reserve(&head, &mut staged).await;
    commit(&reserved, rewrite(&staged)).await.unwrap();
    let error = commit(&head, deleted.transaction.operation).await.unwrap_err();
    let is_conflict = matches!(error.find_root(), Error::RetryableCommitConflict { .. });
    assert!(is_conflict, "{error:?}");
}

/// Rows sorted the other way, written as new fragments.
async fn reversed(table: &Table) -> Vec<lance_table::format::Fragment> {
    let head = Arc::new(table.head().await);
    let mut scan = head.scan();
    let order = lance::dataset::scanner::ColumnOrdering::desc_nulls_last("id".to_owned());
    scan.order_by(Some(vec![order])).unwrap();
    let batch = scan.try_into_batch().await.unwrap();
    let params = WriteParams { mode: WriteMode::Append, ..WriteParams::default() };
    let mut insert = InsertBuilder::new(head);
    insert = insert.with_params(&params);
    let written = insert.execute_uncommitted(vec![batch]).await.unwrap();
    let Operation::Append { fragments } = written.operation else { panic!("an append") };
    fragments
}

#[tokio::test]
async fn rows_in_another_order_are_accepted_without_stable_row_ids_and_refused_with_them() {
    for stable in [false, true] {
        let table = Table::of(2, stable).await;
        let head = table.head().await;
        let mut staged = stage(&head, &[0, 1]).await;
        staged.new_fragments = reversed(&table).await;
        let reserved = reserve(&head, &mut staged).await;
        let outcome = commit(&reserved, rewrite(&staged)).await;
        if stable {
            let error = outcome.unwrap_err().to_string();
            assert!(error.contains("must have row ids"), "{error}");
            assert_eq!(ids(&table.head().await).await, Vec::from_iter(0..20));
        } else {
            assert_eq!(ids(&outcome.unwrap()).await, Vec::from_iter((0..20).rev()));
        }
    }
}

/// `__manifest` is compacted without a reservation: it has no index that could be misled.
#[tokio::test]
async fn without_indexes_the_ids_of_outputs_may_be_left_to_the_commit() {
    for stable in [false, true] {
        let table = Table::of(3, stable).await;
        let head = table.head().await;
        let staged = stage(&head, &[0, 1, 2]).await;
        assert!(staged.new_fragments.iter().all(|fragment| fragment.id == 0));
        let rewritten = commit(&head, rewrite(&staged)).await.unwrap();
        assert_eq!(fragment_ids(&rewritten), [3]);
        assert_eq!(ids(&rewritten).await, Vec::from_iter(0..30));
    }
}

/// A group is not compared with what is at the read version: a Rewrite that leaves rows out
/// is taken at its word.
#[tokio::test]
async fn lance_does_not_count_the_rows_of_a_rewrite() {
    let table = Table::of(3, false).await;
    let head = table.head().await;
    let mut staged = stage(&head, &[0, 1]).await;
    staged.original_fragments = head.fragments().as_ref().clone();
    let version = head.manifest().version;
    let rewritten = commit_at(&head, version, rewrite(&staged)).await.unwrap();
    assert_eq!(ids(&rewritten).await, Vec::from_iter(0..20));
}

/// Why staged files are looked at before every Rewrite of ours. Of a file whose size is not
/// recorded the commit asks for the size, and so sees that it is gone.
#[tokio::test]
async fn lance_commits_a_rewrite_whose_file_was_cut_off_or_is_gone() {
    for (mode, is_gone) in [
        (CompactionMode::Reencode, true),
        (CompactionMode::Reencode, false),
        (CompactionMode::TryBinaryCopy, false),
    ] {
        let table = Table::of(2, false).await;
        let head = table.head().await;
        let staged = stage_in_mode(&head, &[0, 1], mode).await;
        let file = table.path().join("data").join(&staged.new_fragments[0].files[0].path);
        match is_gone {
            true => fs::remove_file(file).unwrap(),
            false => fs::write(file, "cut off").unwrap(),
        }
        let committed = commit(&head, rewrite(&staged)).await.unwrap();
        assert_eq!(committed.manifest().version, 3);
        assert!(table_rows(&table.head().await).await.is_err(), "{mode:?}, gone: {is_gone}");
    }
}

#[tokio::test]
async fn files_under_a_base_that_is_no_dataset_are_rewritten_into_the_tables_own_directory() {
    let table = Table::empty();
    let other = tempfile::tempdir().unwrap();
    let base = other.path().to_string_lossy().into_owned();
    for n in 0..2 {
        let batch = tables::batch(n * 10, 10);
        let reader = RecordBatchIterator::new([Ok(batch.clone())], batch.schema());
        let named = BasePath::new(1, base.clone(), Some("one".to_owned()), false);
        let params = WriteParams {
            mode: if n == 0 { WriteMode::Create } else { WriteMode::Append },
            initial_bases: (n == 0).then(|| vec![named]),
            target_bases: Some(vec![1]),
            ..WriteParams::default()
        };
        Dataset::write(reader, &table.uri(), Some(params)).await.unwrap();
    }
    let head = table.head().await;
    let of = |head: &Dataset| -> Vec<Option<u32>> {
        head.fragments().iter().flat_map(|f| &f.files).map(|file| file.base_id).collect()
    };
    assert_eq!(of(&head), [Some(1), Some(1)]);
    let before = files_in(other.path());
    for mode in [CompactionMode::Reencode, CompactionMode::TryBinaryCopy] {
        let mut staged = stage_in_mode(&head, &[0, 1], mode).await;
        assert_eq!(staged.new_fragments[0].files[0].base_id, None);
        let name = format!("data/{}", staged.new_fragments[0].files[0].path);
        assert!(table.files().contains(&name), "{name}");
        let reserved = reserve(&head, &mut staged).await;
        assert_eq!(ids(&reserved).await, (0..20).collect::<Vec<_>>());
    }
    assert_eq!(files_in(other.path()), before);
}

/// Only an Overwrite changes the version of a table. A rewrite may write files of another one, which then stand beside
/// those of the table's own under a feature bit that never goes, and which Lance before 12 does not know.
#[tokio::test]
async fn a_rewrite_into_another_version_of_files_sets_a_bit_for_good_and_leaves_the_tables_own() {
    let table = Table::empty();
    let write = |version: &str| WriteParams {
        data_storage_version: Some(version.parse().unwrap()),
        ..WriteParams::default()
    };
    let rows = || {
        let batch = tables::batch(0, 10);
        let schema = batch.schema();
        RecordBatchIterator::new([Ok(batch)], schema)
    };
    let mut head = Dataset::write(rows(), &table.uri(), Some(write("2.0"))).await.unwrap();
    let options = |version: &str| CompactionOptions {
        data_storage_version: Some(version.parse().unwrap()),
        ..CompactionOptions::default()
    };
    head.delete("id < 3").await.unwrap();
    compact_files(&mut head, options("2.1"), None).await.unwrap();
    let own =
        |table: &Dataset| table.manifest().data_storage_format.lance_file_format().to_string();
    let files = |table: &Dataset| -> Vec<String> {
        let files = table.fragments().iter().flat_map(|fragment| fragment.files.iter());
        files.map(|file| file.file_version().unwrap().to_string()).collect()
    };
    let is_mixed = |table: &Dataset| table.manifest().reader_feature_flags & 1 << 8 != 0;
    assert_eq!(
        (own(&head).as_str(), files(&head), is_mixed(&head)),
        ("2.0", vec!["2.1".to_owned()], true)
    );
    let head = tables::append(&table.uri(), 10, 10).await.unwrap();
    assert_eq!(
        (own(&head).as_str(), files(&head)),
        ("2.0", vec!["2.1".to_owned(), "2.0".to_owned()])
    );

    // And none crosses the line between the first format and the second.
    let old = Table::empty();
    let mut head = Dataset::write(rows(), &old.uri(), Some(write("0.1"))).await.unwrap();
    head.delete("id < 3").await.unwrap();
    let said = compact_files(&mut head, options("2.1"), None).await.unwrap_err().to_string();
    assert!(said.contains("cannot be mixed"), "{said}");
}
