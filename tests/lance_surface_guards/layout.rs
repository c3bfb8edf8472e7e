//! Where the files of a table lie and how they are named: everything that tells which file
//! belongs to which version.

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;

use arrow_array::RecordBatchIterator;
use lance::Dataset;
use lance::dataset::builder::DatasetBuilder;
use lance::dataset::transaction::{Operation, Transaction};
use lance::dataset::{CommitBuilder, WriteParams};
use lance::index::DatasetIndexExt;
use lance_index::IndexType;
use lance_index::scalar::ScalarIndexParams;
use lance_table::format::DeletionFileType;
use lance_table::io::commit::ManifestNamingScheme;
use lancekeeper_testkit::tables;

use crate::table::{Table, commit, commit_at, reserve, rewrite, stage};

const HINT: &str = "_versions/latest_version_hint.json";

async fn versions(head: &Dataset) -> Vec<u64> {
    let mut versions: Vec<u64> =
        head.version_refs().await.unwrap().iter().map(|found| found.version).collect();
    versions.sort_unstable();
    versions
}

/// Appends, a delete, an index and a Rewrite, so that every kind of file is there.
async fn with_a_history() -> Table {
    let table = Table::of(3, true).await;
    table.head().await.delete("id = 3 OR id = 15").await.unwrap();
    let mut head = table.head().await;
    let params = ScalarIndexParams::default();
    head.create_index(&["id"], IndexType::BTree, Some("id_idx".into()), &params, false)
        .await
        .unwrap();
    let mut staged = stage(&head, &[0, 1, 2]).await;
    let reserved = reserve(&head, &mut staged).await;
    let operation = Operation::CreateIndex {
        new_indices: Vec::new(),
        removed_indices: head.load_indices().await.unwrap().as_ref().clone(),
    };
    let dropped = commit(&reserved, operation).await.unwrap();
    commit(&dropped, rewrite(&staged)).await.unwrap();
    tables::append(&table.uri(), 30, 10).await.unwrap();
    table
}

#[tokio::test]
async fn a_manifest_is_named_by_its_version_counted_down_in_20_digits() {
    let table = with_a_history().await;
    let head = table.head().await;
    assert_eq!(head.manifest_location().naming_scheme, ManifestNamingScheme::V2);
    let count = head.manifest().version;
    assert_eq!(versions(&head).await, Vec::from_iter(1..=count));
    let mut expected: BTreeSet<String> = (1..=count).map(Table::manifest).collect();
    expected.insert(HINT.to_owned());
    assert_eq!(table.files_under("_versions/"), expected);
    assert_eq!(Table::manifest(1), "_versions/18446744073709551614.manifest");
}

#[tokio::test]
async fn a_table_made_with_the_old_naming_keeps_it() {
    let table = Table::empty();
    let params = WriteParams { enable_v2_manifest_paths: false, ..WriteParams::default() };
    let batch = tables::batch(0, 10);
    let schema = batch.schema();
    Dataset::write(RecordBatchIterator::new([Ok(batch)], schema), &table.uri(), Some(params))
        .await
        .unwrap();
    for first in 1..12 {
        tables::append(&table.uri(), first * 10, 10).await.unwrap();
    }
    let head = table.head().await;
    assert_eq!(head.manifest_location().naming_scheme, ManifestNamingScheme::V1);
    assert_eq!(head.manifest().version, 12, "by number, not by name");
    assert_eq!(versions(&head).await, Vec::from_iter(1..=12));
    let mut expected: BTreeSet<String> =
        (1..=12).map(|version| format!("_versions/{version}.manifest")).collect();
    expected.insert(HINT.to_owned());
    assert_eq!(table.files_under("_versions/"), expected);
}

/// A table that began with the old names, at version 3.
async fn with_old_names() -> Table {
    let table = Table::empty();
    let params = WriteParams { enable_v2_manifest_paths: false, ..WriteParams::default() };
    let batch = tables::batch(0, 10);
    let schema = batch.schema();
    let reader = RecordBatchIterator::new([Ok(batch)], schema);
    Dataset::write(reader, &table.uri(), Some(params)).await.unwrap();
    tables::append(&table.uri(), 10, 10).await.unwrap();
    tables::append(&table.uri(), 20, 10).await.unwrap();
    table
}

/// So whoever changes names has to be alone, and has to finish.
#[tokio::test]
async fn a_table_with_both_names_is_opened_by_nobody_and_an_old_handle_goes_on_under_the_old_ones()
{
    let table = with_old_names().await;
    let mut old = table.head().await;
    let versions = table.path().join("_versions");
    let new_name = |version: u64| versions.join(format!("{:020}.manifest", u64::MAX - version));
    fs::rename(versions.join("3.manifest"), new_name(3)).unwrap();
    let said = DatasetBuilder::from_uri(table.uri()).load().await.unwrap_err().to_string();
    assert!(said.contains("multiple manifest naming schemes"), "{said}");
    for version in 1..=3 {
        assert_eq!(table.at(version).await.manifest().version, version);
    }
    for version in 1..=2 {
        fs::rename(versions.join(format!("{version}.manifest")), new_name(version)).unwrap();
    }
    assert_eq!(table.head().await.manifest().version, 3);

    let batch = tables::batch(30, 10);
    let schema = batch.schema();
    old.append(RecordBatchIterator::new([Ok(batch)], schema), None).await.unwrap();
    assert!(versions.join("4.manifest").exists(), "hazard: nobody opens the table any more");
    assert!(DatasetBuilder::from_uri(table.uri()).load().await.is_err());
}

#[tokio::test]
async fn the_version_hint_names_the_newest_version() {
    let table = with_a_history().await;
    let hint: serde_json::Value =
        serde_json::from_slice(&fs::read(table.path().join(HINT)).unwrap()).unwrap();
    let version = table.head().await.manifest().version;
    assert_eq!(hint, serde_json::json!({ "version": version }));
}

/// Nothing lies in a table but what is named by a version, and everything named lies there.
#[tokio::test]
async fn every_file_of_a_table_is_named_by_the_manifest_of_a_version() {
    let table = with_a_history().await;
    let head = table.head().await;
    let (mut named, mut index_directories) = (BTreeSet::from([HINT.to_owned()]), BTreeSet::new());
    for version in versions(&head).await {
        let at = table.at(version).await;
        named.insert(Table::manifest(version));
        named.insert(format!("_transactions/{}", at.manifest().transaction_file.as_ref().unwrap()));
        for fragment in at.fragments().iter() {
            named.extend(fragment.files.iter().map(|file| format!("data/{}", file.path)));
            assert!(fragment.files.iter().all(|file| file.base_id.is_none()));
            if let Some(deletions) = &fragment.deletion_file {
                let (id, read) = (deletions.id, deletions.read_version);
                named.insert(format!("_deletions/{}-{read}-{id}.arrow", fragment.id));
            }
        }
        for index in at.load_indices().await.unwrap().iter() {
            assert_eq!(index.base_id, None);
            index_directories.insert(format!("_indices/{}", index.uuid));
        }
    }
    let (inside, others): (BTreeSet<String>, BTreeSet<String>) =
        table.files().into_iter().partition(|file| file.starts_with("_indices/"));
    assert_eq!(others, named);
    let directories: BTreeSet<String> =
        inside.iter().map(|file| file.rsplit_once('/').unwrap().0.to_owned()).collect();
    assert_eq!(directories, index_directories);
    assert_eq!(index_directories.len(), 1);
    assert_eq!(table.files_under("_deletions/").len(), 2);
}

/// What a damaged file is recognised by, beside its size.
#[tokio::test]
async fn every_data_file_ends_with_the_magic_bytes() {
    let table = with_a_history().await;
    let files = table.files_under("data/");
    assert!(files.len() > 4);
    for file in files {
        let bytes = fs::read(table.path().join(&file)).unwrap();
        assert!(bytes.ends_with(b"LANC"), "{file}");
    }
}

/// The bytes that `IndexMetadata::files` gives are those in the directory.
#[tokio::test]
async fn an_index_segment_names_its_files_and_their_sizes() {
    let table = with_a_history().await;
    let indexed = table.at(5).await;
    let index = indexed.load_indices().await.unwrap()[0].clone();
    let directory = table.path().join(format!("_indices/{}", index.uuid));
    let mut files: Vec<(String, u64)> =
        index.files.unwrap().iter().map(|file| (file.path.clone(), file.size_bytes)).collect();
    files.sort();
    let mut there: Vec<(String, u64)> = crate::table::files_in(&directory)
        .into_iter()
        .map(|name| (name.clone(), fs::metadata(directory.join(&name)).unwrap().len()))
        .collect();
    there.sort();
    assert_eq!(files, there);
    assert!(!there.is_empty());
}

#[tokio::test]
async fn a_deletion_file_is_named_by_fragment_read_version_and_number_and_is_never_changed() {
    let table = Table::empty();
    tables::create(&table.uri(), 2, 12_000, false).await.unwrap();
    table.head().await.delete("id < 100").await.unwrap();
    let first = table.files_under("_deletions/");
    let deletions = table.head().await.fragments()[0].deletion_file.clone().unwrap();
    assert_eq!(deletions.file_type, DeletionFileType::Array);
    assert_eq!(deletions.num_deleted_rows, Some(100));
    assert_eq!(first, BTreeSet::from([format!("_deletions/0-2-{}.arrow", deletions.id)]));

    // Many deleted rows of a fragment are a bitmap.
    table.head().await.delete("id < 9000 OR id = 12001").await.unwrap();
    let head = table.head().await;
    let expected: BTreeSet<String> = head
        .fragments()
        .iter()
        .zip(["bin", "arrow"])
        .map(|(fragment, suffix)| {
            let id = fragment.deletion_file.as_ref().unwrap().id;
            format!("_deletions/{}-3-{id}.{suffix}", fragment.id)
        })
        .collect();
    let second = table.files_under("_deletions/");
    assert_eq!(second.difference(&first).cloned().collect::<BTreeSet<_>>(), expected);
    assert!(second.is_superset(&first), "older versions go on reading the older file");
    assert_eq!(table.at(3).await.count_rows(None).await.unwrap(), 23_900);
}

#[tokio::test]
async fn a_transaction_lies_in_the_manifest_and_in_a_file_named_by_read_version_and_uuid() {
    let table = Table::of(2, true).await;
    let head = table.head().await;
    let transaction = head.read_transaction().await.unwrap().unwrap();
    let name = format!("{}-{}.txn", transaction.read_version, transaction.uuid);
    assert_eq!(head.manifest().transaction_file.as_deref(), Some(name.as_str()));
    assert!(head.manifest().transaction_section.is_some());
    // The copy in the manifest suffices: ownership can be proven without the file.
    table.remove(&format!("_transactions/{name}"));
    let read = table.head().await.read_version_transaction(2).await.unwrap().transaction;
    assert_eq!(read.unwrap().uuid, transaction.uuid);
}

/// Whoever collects by reachability must know them: no listing of versions shows them.
#[tokio::test]
async fn a_detached_version_is_a_manifest_that_no_listing_of_versions_shows() {
    let table = Table::of(2, true).await;
    let head = table.head().await;
    let operation = Operation::ReserveFragments { num_fragments: 1 };
    let detached = CommitBuilder::new(Arc::new(head.clone()))
        .with_detached(true)
        .execute(Transaction::new(2, operation, None))
        .await
        .unwrap();
    let version = detached.manifest().version;
    assert!(version > 1 << 63);
    assert!(table.files().contains(&format!("_versions/d{version}.manifest")));
    assert_eq!(versions(&table.head().await).await, [1, 2]);
    assert_eq!(table.head().await.manifest().version, 2);
    let listed = head.list_detached_manifests().await.unwrap();
    assert_eq!(listed.len(), 1);
}

/// A commit that is refused leaves nothing that would have to be collected.
#[tokio::test]
async fn a_commit_that_conflicts_leaves_no_transaction_file() {
    let table = Table::of(2, true).await;
    let head = table.head().await;
    let mut staged = stage(&head, &[0, 1]).await;
    reserve(&head, &mut staged).await;
    table.head().await.delete("id = 3").await.unwrap();
    let before = table.files();
    commit_at(&head, 2, rewrite(&staged)).await.unwrap_err();
    assert_eq!(table.files(), before);
}
