//! One test per way in which cleaners of other systems have deleted live data, or have not
//! deleted what they said.

use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, SystemTime};

use lancekeeper_model::{ErrorKind, SkipReason};

use super::*;

const DAY: Duration = Duration::from_secs(86_400);

/// Makes a file look as if it had been written so long ago.
fn age(path: &Path, by: Duration) {
    let file = File::options().write(true).open(path).unwrap();
    file.set_modified(SystemTime::now() - by).unwrap();
}

fn put(path: &Path, old: Option<Duration>) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, b"content").unwrap();
    if let Some(old) = old {
        age(path, old);
    }
}

#[tokio::test]
async fn files_of_a_writer_that_has_not_committed_stay_for_seven_days() {
    let table = Table::new().await;
    let (young, old) = (table.path().join("data/young.lance"), table.path().join("data/old.lance"));
    put(&young, Some(6 * DAY));
    put(&old, Some(8 * DAY));
    let report = clean(&table.uri(), &keep(100)).await;
    assert!(young.exists() && !old.exists(), "{report:#?}");
    assert_eq!(row_of(&report, "events").unverified_left, 1);
}

#[tokio::test]
async fn a_root_reached_through_a_link_or_with_a_slash_loses_nothing() {
    let table = Table::new().await;
    let mut main = table.open().await;
    let mut side = main.create_branch("side", 3, None).await.unwrap();
    side.delete("id = 1").await.unwrap();
    let before = table.rows().await;
    let other = tempfile::tempdir().unwrap();
    let link = other.path().join("link.lance");
    std::os::unix::fs::symlink(table.path(), &link).unwrap();
    for uri in [format!("{}/", table.uri()), link.to_string_lossy().into_owned()] {
        clean(&uri, &keep(1)).await;
        for (version, rows) in table.rows().await {
            assert_eq!(rows, before[&version], "{version:?} after {uri}");
        }
    }
}

#[tokio::test]
async fn a_branch_made_through_another_spelling_keeps_what_it_reads() {
    let table = Table::new().await;
    let other = tempfile::tempdir().unwrap();
    let link = other.path().join("link.lance");
    std::os::unix::fs::symlink(table.path(), &link).unwrap();
    let mut through_link = DatasetBuilder::from_uri(link.to_string_lossy()).load().await.unwrap();
    let mut side = through_link.create_branch("side", 3, None).await.unwrap();
    side.delete("id = 1").await.unwrap();
    // Nothing but the branch's own base paths tells that it reads main's files: main has other
    // rows, and the version the branch was cut from was collected by somebody else.
    table.open().await.delete("id >= 0").await.unwrap();
    tables::append(&table.uri(), 5_000, 5).await.unwrap();
    let cut_from = format!("_versions/{:020}.manifest", u64::MAX - 3);
    fs::remove_file(table.path().join(cut_from)).unwrap();
    let before = table_rows(&side).await.unwrap();
    clean(&table.uri(), &keep(1)).await;
    let side =
        DatasetBuilder::from_uri(table.uri()).with_branch("side", None).load().await.unwrap();
    assert_eq!(table_rows(&side).await.unwrap(), before);

    // A second spelling beside it: which one Lance would go by is anybody's guess.
    let mut main = table.open().await;
    main.create_branch("direct", main.manifest().version, None).await.unwrap();
    let kept = files(&table.uri());
    let report = cleanup(&table.uri(), &keep(1)).await;
    assert_eq!(report.exit_code().number(), 13, "{report:#?}");
    assert!(report.roots[0].error.as_deref().unwrap().contains("several spellings"));
    assert_eq!(files(&table.uri()), kept);
}

#[tokio::test]
async fn sibling_and_nested_directories_are_not_this_tables() {
    let directory = tempfile::tempdir().unwrap();
    let uri = |name: &str| directory.path().join(name).to_string_lossy().into_owned();
    for name in ["a.lance", "ab.lance"] {
        tables::create(&uri(name), 6, 10, false).await.unwrap();
    }
    // Somebody keeps a whole table below another one, and notes beside the data.
    tables::create(&uri("a.lance/mine/inner.lance"), 3, 10, false).await.unwrap();
    for name in ["a.lance/data/README.md", "a.lance/notes.txt", "a.lance/_blobs/x.blob"] {
        put(&directory.path().join(name), Some(100 * DAY));
    }
    let before = files(&uri(""));
    let options = CleanupOptions { tables: vec!["a".to_owned()], ..keep(1) };
    let report = clean(&uri(""), &options).await;
    assert_eq!(report.totals.old_versions_removed, 5, "{report:#?}");
    let after = files(&uri(""));
    for (path, _) in before.iter().filter(|(path, _)| !after.contains_key(*path)) {
        let inside = path.strip_prefix(&format!("{}/", uri("a.lance"))).unwrap();
        let is_own =
            ["_versions/", "data/", "_transactions/"].iter().any(|d| inside.starts_with(d));
        assert!(is_own && !inside.ends_with(".md"), "{path} went");
    }
}

#[tokio::test]
async fn the_newest_version_is_found_by_listing_never_by_a_hint() {
    let table = Table::new().await;
    let rows = table_rows(&table.open().await).await.unwrap();
    let hint = table.path().join("_versions/latest_version_hint.json");
    assert!(hint.exists(), "Lance keeps a hint here");
    fs::write(&hint, br#"{"version":2}"#).unwrap();
    clean(&table.uri(), &keep(1)).await;
    // From a hint below a gap Lance would take an old version for the newest.
    assert_eq!(fs::read_to_string(&hint).unwrap(), r#"{"version":8}"#);
    fs::remove_file(&hint).unwrap();
    assert_eq!(table.versions().await, [8]);
    assert_eq!(table_rows(&table.open().await).await.unwrap(), rows);
}

#[tokio::test]
async fn a_kind_of_file_nobody_thought_of_is_never_deleted() {
    let table = Table::new().await;
    let strange = [
        "data/x.overlay",
        "_fri/map/0",
        "_blobs/y.blob",
        "_indices/not-an-id/z.idx",
        "_versions/8.manifest.bak",
        "_cache/q",
    ];
    for name in strange {
        put(&table.path().join(name), Some(400 * DAY));
    }
    clean(&table.uri(), &keep(1)).await;
    for name in strange {
        assert!(table.path().join(name).exists(), "{name}");
    }
}

#[tokio::test]
async fn litter_that_killed_writers_leave_goes_when_it_is_old() {
    let table = Table::new().await;
    let id = "0a1b2c3d-0000-4000-8000-0123456789ab";
    let litter = [
        "data/.tmpAbC123".to_owned(),
        "data/x.lance#1".to_owned(),
        format!("_versions/x.tmp.{id}"),
        format!("_versions/18446744073709551607.manifest-{id}"),
        format!("_indices/{id}/page_data.lance"),
        "_deletions/9-9-9.arrow".to_owned(),
        format!("_transactions/7-{id}.txn"),
        "tree/dead/data/x.lance".to_owned(),
    ];
    for name in &litter {
        put(&table.path().join(name), Some(8 * DAY));
    }
    let report = clean(&table.uri(), &keep(100)).await;
    for name in &litter {
        assert!(!table.path().join(name).exists(), "{name}: {report:#?}");
    }
    assert!(!table.path().join("tree/dead").exists(), "emptied directories go too");
    assert!(!table.path().join(format!("_indices/{id}")).exists());
    assert_eq!(report.totals.files_removed, litter.len() as u64);
}

#[tokio::test]
async fn head_and_a_version_to_fall_back_to_can_be_opened_after_the_strictest_cleanup() {
    let table = Table::new().await;
    for keeps in [2, 1] {
        clean(&table.uri(), &keep(keeps)).await;
        let versions = table.versions().await;
        assert_eq!(versions.len(), keeps as usize);
        assert_eq!(table.rows().await.len(), keeps as usize);
        table.open().await.validate().await.unwrap();
    }
}

#[tokio::test]
async fn what_is_said_to_be_reclaimed_is_gone_from_the_disk() {
    let table = Table::new().await;
    let size = |files: BTreeMap<String, u64>| files.values().sum::<u64>();
    let before = size(files(&table.uri()));
    let report = clean(&table.uri(), &keep(1)).await;
    assert_eq!(before - size(files(&table.uri())), report.totals.bytes_removed);
}

#[tokio::test]
async fn clones_inside_a_database_keep_what_they_read() {
    let directory = tempfile::tempdir().unwrap();
    let uri = |name: &str| directory.path().join(name).to_string_lossy().into_owned();
    let mut origin = tables::create(&uri("a.lance"), 5, 10, false).await.unwrap();
    let clone = origin.shallow_clone(&uri("b.lance"), 5, None).await.unwrap();
    let before = table_rows(&clone).await.unwrap();
    origin.delete("id >= 0").await.unwrap();
    tables::append(&uri("a.lance"), 500, 3).await.unwrap();
    let report = clean(&uri(""), &keep(1)).await;
    assert!(report.totals.old_versions_removed > 0, "{report:#?}");
    let clone = DatasetBuilder::from_uri(uri("b.lance")).load().await.unwrap();
    assert_eq!(table_rows(&clone).await.unwrap(), before);
}

#[tokio::test]
async fn a_clone_elsewhere_is_protected_by_a_tag() {
    let (here, there) = (Table::new().await, tempfile::tempdir().unwrap());
    let mut origin = here.open().await;
    let target = there.path().join("copy.lance").to_string_lossy().into_owned();
    origin.tags().create("copied", 8).await.unwrap();
    let clone = origin.shallow_clone(&target, 8, None).await.unwrap();
    let before = table_rows(&clone).await.unwrap();
    origin.delete("id >= 0").await.unwrap();
    clean(&here.uri(), &keep(1)).await;
    let clone = DatasetBuilder::from_uri(&target).load().await.unwrap();
    assert_eq!(table_rows(&clone).await.unwrap(), before);
}

#[tokio::test]
async fn a_table_that_lies_outside_of_the_root_is_left_alone_with_a_token() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().to_string_lossy().into_owned();
    let outside = Table::new().await;
    tables::create(&format!("{root}/a.lance"), 4, 10, false).await.unwrap();
    std::os::unix::fs::symlink(outside.path(), directory.path().join("linked.lance")).unwrap();
    let before = files(&outside.uri());
    let report = cleanup(&root, &keep(1)).await;
    assert_eq!(report.exit_code().number(), 0, "{report:#?}");
    assert_eq!(row_of(&report, "linked").skipped, Some(SkipReason::OutsideOfRoot), "{report:#?}");
    assert_eq!(row_of(&report, "a").old_versions_removed, 3);
    assert_eq!(files(&outside.uri()), before);
}

#[tokio::test]
async fn a_manifest_that_cannot_be_read_stops_its_table_and_no_other() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().to_string_lossy().into_owned();
    for name in ["a", "b"] {
        tables::create(&format!("{root}/{name}.lance"), 5, 10, false).await.unwrap();
    }
    let manifest = directory.path().join("a.lance/_versions/18446744073709551613.manifest");
    fs::write(&manifest, b"damaged").unwrap();
    let before = files(&format!("{root}/a.lance"));
    let report = cleanup(&root, &keep(1)).await;
    assert_eq!(report.exit_code().number(), 3, "{report:#?}");
    assert!(row_of(&report, "a").error.as_deref().unwrap().contains("18446744073709551613"));
    assert_eq!(files(&format!("{root}/a.lance")), before);
    assert_eq!(row_of(&report, "b").old_versions_removed, 4);
}

#[tokio::test]
async fn a_listing_that_misses_what_head_reads_is_trusted_about_nothing() {
    let table = Table::new().await;
    let head = table.open().await;
    let file = table.path().join("data").join(&head.fragments()[0].files[0].path);
    let aside = table.directory.path().join("aside");
    fs::rename(&file, &aside).unwrap();
    std::os::unix::fs::symlink(&aside, &file).unwrap();
    let before = files(&table.uri());
    let report = cleanup(&table.uri(), &keep(1)).await;
    assert_eq!(report.exit_code().number(), 1, "{report:#?}");
    let row = row_of(&report, "events");
    assert_eq!(row.error_kind, Some(ErrorKind::Refused), "{row:#?}");
    assert_eq!(files(&table.uri()), before);
}

#[tokio::test]
async fn more_litter_than_is_plausible_stays_until_it_is_allowed() {
    let table = Table::new().await;
    for n in 0..200 {
        put(&table.path().join(format!("data/litter{n}.lance")), Some(30 * DAY));
    }
    let report = clean(&table.uri(), &keep(1)).await;
    let row = row_of(&report, "events");
    assert_eq!(row.unverified_left, 200, "{row:#?}");
    assert_eq!(row.old_versions_removed, 7, "old versions are explained, and go");
    assert!(row.warnings.iter().any(|w| w.contains("--max-delete-percent")), "{row:#?}");
    let options = CleanupOptions { max_delete_percent: 100, ..keep(1) };
    let report = clean(&table.uri(), &options).await;
    assert_eq!(report.totals.files_removed, 200);
}
