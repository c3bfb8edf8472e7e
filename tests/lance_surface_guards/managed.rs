//! Managed blobs: files that descriptors name, whichever data file they were written with.

use std::collections::BTreeSet;

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::UInt8Type;
use lance::Dataset;
use lance_table::feature_flags::FLAG_MANAGED_BLOBS;

use crate::blobs::{self, Encoding};
use crate::cleanup::{before, explained};
use crate::table::{Table, commit, reserve, rewrite, stage};

const OPT_IN: &str = "lance.blob.managed";

/// Two fragments with blobs beside their data files, then one of a table that opted in.
async fn three_fragments() -> Table {
    let table = Table::empty();
    blobs::append(&table, Encoding::V2, 0).await;
    blobs::append(&table, Encoding::V2, 10).await;
    table.head().await.update_schema_metadata([(OPT_IN, "true")]).await.unwrap();
    blobs::append(&table, Encoding::V2, 20).await;
    table
}

/// All fragments of HEAD rewritten into one.
async fn merge(table: &Table) -> Dataset {
    let head = table.head().await;
    let ids: Vec<u64> = head.fragments().iter().map(|fragment| fragment.id).collect();
    let mut staged = stage(&head, &ids).await;
    let reserved = reserve(&head, &mut staged).await;
    commit(&reserved, rewrite(&staged)).await.unwrap()
}

/// The files that descriptors of a version name, below the table.
async fn named(handle: &Dataset) -> BTreeSet<String> {
    let batch = handle.scan().project(&["blob"]).unwrap().try_into_batch().await.unwrap();
    let descriptors = batch["blob"].as_struct();
    let kinds = descriptors.column_by_name("kind").unwrap().as_primitive::<UInt8Type>();
    let uris = descriptors.column_by_name("blob_uri").unwrap().as_string::<i32>();
    let managed =
        (0..batch.num_rows()).filter(|row| kinds.is_valid(*row) && kinds.value(*row) == 4);
    managed.map(|row| uris.value(row).to_owned()).collect()
}

fn blob_files(table: &Table) -> BTreeSet<String> {
    table.files().into_iter().filter(|file| file.ends_with(".blob")).collect()
}

#[tokio::test]
async fn managed_blobs_are_announced_by_a_feature_bit_and_named_by_descriptors_alone() {
    let table = three_fragments().await;
    let flags = |handle: &Dataset| {
        let manifest = handle.manifest();
        [manifest.reader_feature_flags, manifest.writer_feature_flags]
            .map(|flags| flags & FLAG_MANAGED_BLOBS != 0)
    };
    assert_eq!(flags(&table.at(2).await), [false; 2]);
    assert!(named(&table.at(2).await).await.is_empty());
    let head = table.head().await;
    assert_eq!(flags(&head), [true; 2]);
    let before = blob_files(&table);
    let by_themselves = |file: &String| file.starts_with("_blobs/");
    assert_eq!(before.iter().filter(|file| by_themselves(file)).count(), 2);
    assert_eq!(named(&head).await, before.iter().filter(|f| by_themselves(f)).cloned().collect());

    // A rewrite adopts all of them, and writes none.
    let merged = merge(&table).await;
    assert_eq!(blob_files(&table), before);
    assert_eq!(named(&merged).await, before);
    blobs::are_as_written(&merged, Encoding::V2).await;

    // For ever: opting out, and going back to before.
    table.head().await.update_schema_metadata([(OPT_IN, "false")]).await.unwrap();
    assert_eq!(flags(&table.head().await), [true; 2]);
    table.at(2).await.restore().await.unwrap();
    assert_eq!(flags(&table.head().await), [true; 2]);
}

#[tokio::test]
async fn lance_spares_blobs_that_descriptors_name_and_frees_those_that_only_older_versions_name() {
    let table = three_fragments().await;
    merge(&table).await;
    table.head().await.delete("id >= 20").await.unwrap();
    let head = merge(&table).await;
    let (all, needed) = (blob_files(&table), named(&head).await);
    assert_eq!((all.len(), needed.len()), (6, 4));
    let policy = before(head.manifest().version);
    let candidates = explained(&head, &table, policy.clone()).await;
    let freed: BTreeSet<String> = all.difference(&needed).cloned().collect();
    assert_eq!(
        candidates.into_iter().filter(|file| file.ends_with(".blob")).collect::<BTreeSet<_>>(),
        freed
    );
    head.cleanup(policy).execute().await.unwrap();
    assert_eq!(blob_files(&table), needed);
    blobs::are_as_written(&table.head().await, Encoding::V2).await;
}
