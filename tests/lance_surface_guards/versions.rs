//! Versions: what still works when manifests of older versions, and files that only they
//! named, are deleted one by one from outside.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use lance::dataset::builder::DatasetBuilder;
use lance::index::DatasetIndexExt;
use lance::{Dataset, Error};
use lance_index::IndexType;
use lance_index::scalar::ScalarIndexParams;
use lancekeeper_testkit::{table_rows, tables};

use crate::table::{Table, commit, found, reserve, rewrite, sorted_ids, stage};

/// Eight or more versions that share files in every way.
async fn with_a_history(stable: bool) -> Table {
    let table = Table::of(3, stable).await;
    table.head().await.delete("id = 3 OR id = 15").await.unwrap();
    let mut head = table.head().await;
    let params = ScalarIndexParams::default();
    head.create_index(&["id"], IndexType::BTree, Some("id_idx".into()), &params, false)
        .await
        .unwrap();
    let mut staged = stage(&head, &[0, 1]).await;
    let reserved = reserve(&head, &mut staged).await;
    commit(&reserved, rewrite(&staged)).await.unwrap();
    tables::append(&table.uri(), 30, 10).await.unwrap();
    table.head().await.delete("id = 31").await.unwrap();
    table
}

/// What every version reads.
async fn rows_by_version(table: &Table) -> BTreeMap<u64, Vec<String>> {
    let mut rows = BTreeMap::new();
    for version in listed(&table.head().await).await {
        rows.insert(version, table_rows(&table.at(version).await).await.unwrap());
    }
    rows
}

async fn listed(head: &Dataset) -> BTreeSet<u64> {
    let refs = head.version_refs().await.unwrap();
    let listed: BTreeSet<u64> = refs.iter().map(|found| found.version).collect();
    let full = head.versions().await.unwrap();
    assert_eq!(full.iter().map(|v| v.version).collect::<BTreeSet<_>>(), listed);
    listed
}

/// Every file that a version needs, its manifest included; index segments by their files.
async fn needed(table: &Table, version: u64) -> BTreeSet<String> {
    let at = table.at(version).await;
    let manifest = at.manifest();
    let mut files = BTreeSet::from([Table::manifest(version)]);
    files.extend(manifest.transaction_file.iter().map(|name| format!("_transactions/{name}")));
    for fragment in at.fragments().iter() {
        files.extend(fragment.files.iter().map(|file| format!("data/{}", file.path)));
        if let Some(d) = &fragment.deletion_file {
            let suffix = d.file_type.suffix();
            files
                .insert(format!("_deletions/{}-{}-{}.{suffix}", fragment.id, d.read_version, d.id));
        }
    }
    for index in at.load_indices().await.unwrap().iter() {
        files.extend(table.files_under(&format!("_indices/{}/", index.uuid)));
    }
    files
}

fn is_gone(error: &Error) -> bool {
    use lancekeeper_model::ErrorKind;
    lancekeeper_store::kind_of(error) == ErrorKind::NotFound
}

#[tokio::test]
async fn manifests_of_older_versions_may_go_in_any_order_and_all_others_stay_readable() {
    for stable in [false, true] {
        let table = with_a_history(stable).await;
        let mut rows = rows_by_version(&table).await;
        let head = *rows.last_key_value().unwrap().0;
        assert!(head >= 8);
        for version in [4, 1, 6, 2] {
            table.remove(&Table::manifest(version));
            rows.remove(&version);
            assert_eq!(table.head().await.manifest().version, head);
            assert_eq!(rows_by_version(&table).await, rows);
            let error = table.try_at(version).await.unwrap_err();
            assert!(is_gone(&error), "{error:?}");
        }
        // And the next commit is the next version.
        let appended = tables::append(&table.uri(), 50, 10).await.unwrap();
        assert_eq!(appended.manifest().version, head + 1);
        rows.insert(head + 1, table_rows(&appended).await.unwrap());
        assert_eq!(rows_by_version(&table).await, rows);
    }
}

#[tokio::test]
async fn files_that_no_version_left_names_may_go_after_the_manifests_that_named_them() {
    for stable in [false, true] {
        let table = with_a_history(stable).await;
        let mut rows = rows_by_version(&table).await;
        for version in [2, 5, 1, 4, 3, 6] {
            let mut doomed = needed(&table, version).await;
            let manifest = Table::manifest(version);
            table.remove(&manifest);
            doomed.remove(&manifest);
            rows.remove(&version);
            for left in rows.keys() {
                let needed = needed(&table, *left).await;
                doomed.retain(|file| !needed.contains(file));
            }
            for file in &doomed {
                table.remove(file);
            }
            assert_eq!(rows_by_version(&table).await, rows, "without {version}");
            let head = table.head().await;
            for id in [2, 3, 12, 31, 35] {
                let filter = format!("id = {id}");
                let by_scan = found(&head, &filter, false).await;
                assert_eq!(found(&head, &filter, true).await, by_scan);
            }
        }
        assert_eq!(rows.len(), 3);
    }
}

/// The other order is the dangerous one: a version that is still listed and cannot be read.
#[tokio::test]
async fn a_version_without_its_data_is_still_listed_and_fails_only_when_it_is_read() {
    let table = with_a_history(true).await;
    let old = table.at(1).await;
    table.remove(&format!("data/{}", old.fragments()[0].files[0].path));
    assert!(listed(&table.head().await).await.contains(&1));
    let opened = table.at(1).await;
    assert!(table_rows(&opened).await.is_err());
}

#[tokio::test]
async fn a_handle_that_stands_at_a_deleted_version_reads_on_while_its_files_are_there() {
    let table = with_a_history(true).await;
    let handle = table.at(3).await;
    table.remove(&Table::manifest(3));
    assert_eq!(sorted_ids(&handle).await, Vec::from_iter(0..30));
}

#[tokio::test]
async fn a_version_that_is_gone_cannot_be_restored_and_nothing_is_committed() {
    let table = with_a_history(true).await;
    let head = table.head().await.manifest().version;
    let mut old = table.at(2).await;
    table.remove(&Table::manifest(2));
    let error = old.restore().await.unwrap_err();
    assert!(is_gone(&error), "{error:?}");
    assert_eq!(table.head().await.manifest().version, head);
}

#[tokio::test]
async fn a_tag_does_not_keep_its_version_and_outlives_it() {
    let table = with_a_history(true).await;
    let head = table.head().await;
    head.tags().create("kept", 3).await.unwrap();
    table.remove(&Table::manifest(3));
    assert_eq!(table.head().await.tags().get("kept").await.unwrap().version, 3);
    assert!(table.head().await.checkout_version("kept").await.is_err());
}

/// A transaction is asked for by version: of a version that is gone nothing can be proven.
#[tokio::test]
async fn the_transaction_of_a_version_that_is_gone_is_an_error_and_not_an_empty_answer() {
    let table = with_a_history(true).await;
    table.remove(&Table::manifest(3));
    let error = table.head().await.read_version_transaction(3).await.unwrap_err();
    assert!(is_gone(&error), "{error:?}");
}

/// Sessions are shared and long-lived: what they cached must not stand in for a version.
#[tokio::test]
async fn a_session_that_has_read_a_version_does_not_answer_for_it_when_it_is_gone() {
    let table = with_a_history(true).await;
    let head = table.head().await;
    table_rows(&head.checkout_version(3).await.unwrap()).await.unwrap();
    head.read_version_transaction(3).await.unwrap().transaction.unwrap();
    table.remove(&Table::manifest(3));
    assert!(is_gone(&head.checkout_version(3).await.unwrap_err()));
    assert!(is_gone(&head.read_version_transaction(3).await.unwrap_err()));
    assert!(!listed(&head).await.contains(&3));
}

/// A run of the watcher keeps everybody from the file of the newest version while it commits, itself too.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_session_that_has_opened_a_version_does_not_open_its_file_again() {
    use lancekeeper_model::Branch;
    use lancekeeper_store::files::Opens;
    use lancekeeper_store::{Files, Tables};

    let table = with_a_history(true).await;
    let (tables, files) = (Tables::new(), Files::local(table.path()));
    let mut opens = Opens::of(&files, &["_versions"]).await.unwrap();
    let open = async || tables.open(&table.uri(), &Branch::main()).await.unwrap();
    let newest = Table::manifest(open().await.manifest().version);
    assert!(opens.heard().files.contains(&newest));
    let head = open().await;
    head.list_branches().await.unwrap();
    table_rows(&head).await.unwrap();
    let mut staged = stage(&head, &[2]).await;
    reserve(&head, &mut staged).await;
    let heard = opens.heard().files;
    assert!(!heard.contains(&newest), "{heard:?}");
    // Another session has not read it.
    table.head().await.checkout_version(head.manifest().version).await.unwrap();
    assert!(opens.heard().files.contains(&newest));
}

/// Opening only: a commit from below asks the hint (see `writers`).
#[tokio::test]
async fn on_local_paths_head_is_found_by_listing_whatever_the_version_hint_says() {
    let table = with_a_history(true).await;
    let head = table.head().await.manifest().version;
    fs::write(table.path().join("_versions/latest_version_hint.json"), r#"{"version":3}"#).unwrap();
    table.remove(&Table::manifest(4));
    assert_eq!(table.head().await.manifest().version, head);
}

/// On stores whose listing is not sorted HEAD is found from the hint upwards until a version is
/// missing, and the hint is written after the commit, best-effort: a hole above a stale hint
/// hides everything above the hole.
#[tokio::test]
async fn on_stores_with_a_version_hint_a_hole_above_a_stale_hint_hides_head() {
    let table = with_a_history(true).await;
    let head = table.head().await.manifest().version;
    let uri = format!("file-object-store://{}", table.uri());
    let open = async || DatasetBuilder::from_uri(&uri).load().await.unwrap().manifest().version;
    assert_eq!(open().await, head);
    fs::write(table.path().join("_versions/latest_version_hint.json"), r#"{"version":3}"#).unwrap();
    assert_eq!(open().await, head, "without a hole a stale hint is harmless");
    table.remove(&Table::manifest(5));
    assert_eq!(open().await, 4, "holes are harmless now");
    // A hint that leads nowhere is harmless again.
    table.remove(&Table::manifest(3));
    assert_eq!(open().await, head);
}

/// Both ages that retention goes by: what the manifest says, and what the file system says.
#[tokio::test]
async fn a_version_carries_the_time_of_its_commit() {
    let before = chrono::Utc::now();
    let table = Table::of(2, true).await;
    let after = chrono::Utc::now();
    for version in table.head().await.versions().await.unwrap() {
        assert!(before <= version.timestamp && version.timestamp <= after, "{version:?}");
        assert_eq!(table.at(version.version).await.manifest().timestamp(), version.timestamp);
    }
}
