//! Lance's own cleanup and inventories: the reference for ours, and where they are no model.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::symlink;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int8Type, Int64Type};
use arrow_array::{Array, RecordBatch};
use futures::TryStreamExt;
use lance::Dataset;
use lance::dataset::builder::DatasetBuilder;
use lance::dataset::cleanup::{CleanupFileKind, CleanupPolicy};
use lance::index::DatasetIndexExt;
use lance_index::IndexType;
use lance_index::scalar::ScalarIndexParams;
use lancekeeper_testkit::{table_rows, tables};

use crate::blobs::{self, Encoding};
use crate::table::{Table, commit, files_in, reserve, rewrite, stage};

/// A table with every kind of file: data, blobs beside it, deletions, an index, transactions.
/// The newest version shares its first fragment with older ones and nothing else.
async fn with_every_kind_of_file() -> Table {
    let table = Table::empty();
    for first in [0, 10, 20] {
        blobs::append(&table, Encoding::V2, first).await;
    }
    table.head().await.delete("id = 11 OR id = 20").await.unwrap();
    let mut head = table.head().await;
    let params = ScalarIndexParams::default();
    head.create_index(&["id"], IndexType::BTree, Some("id_idx".into()), &params, false)
        .await
        .unwrap();
    let mut staged = stage(&head, &[1, 2]).await;
    let reserved = reserve(&head, &mut staged).await;
    let rewritten = commit(&reserved, rewrite(&staged)).await.unwrap();
    let mut head = rewritten;
    head.drop_index("id_idx").await.unwrap();
    table
}

pub(crate) fn before(version: u64) -> CleanupPolicy {
    CleanupPolicy { before_version: Some(version), ..CleanupPolicy::default() }
}

/// The files of a table that a version needs, by what we know of their names.
async fn needed(table: &Table, at: &Dataset) -> BTreeSet<String> {
    let version = at.manifest().version;
    let mut files = BTreeSet::from([Table::manifest(version)]);
    files.extend(at.manifest().transaction_file.iter().map(|n| format!("_transactions/{n}")));
    for fragment in at.fragments().iter() {
        for file in &fragment.files {
            files.insert(format!("data/{}", file.path));
            let beside = file.path.strip_suffix(".lance").unwrap();
            files.extend(table.files_under(&format!("data/{beside}/")));
        }
        if let Some(d) = &fragment.deletion_file {
            let name =
                format!("{}-{}-{}.{}", fragment.id, d.read_version, d.id, d.file_type.suffix());
            files.insert(format!("_deletions/{name}"));
        }
    }
    for index in at.load_indices().await.unwrap().iter() {
        files.extend(table.files_under(&format!("_indices/{}/", index.uuid)));
    }
    files
}

/// What only versions before one need.
async fn needed_only_before(table: &Table, version: u64) -> BTreeSet<String> {
    let (mut old, mut kept) = (BTreeSet::new(), BTreeSet::new());
    for found in table.head().await.version_refs().await.unwrap() {
        let files = needed(table, &table.at(found.version).await).await;
        if found.version < version { old.extend(files) } else { kept.extend(files) }
    }
    old.difference(&kept).cloned().collect()
}

/// Candidate files relative to the table; the paths given are absolute without the first `/`.
pub(crate) async fn explained(
    head: &Dataset,
    table: &Table,
    policy: CleanupPolicy,
) -> BTreeSet<String> {
    let explanation = head.cleanup(policy).explain().await.unwrap();
    assert!(!explanation.candidate_files_truncated);
    let prefix = format!("{}/", table.uri().trim_start_matches('/'));
    let relative = |path: &str| path.strip_prefix(&prefix).unwrap().to_owned();
    explanation.candidate_files.iter().map(|file| relative(&file.path)).collect()
}

#[tokio::test]
async fn explain_names_exactly_what_only_older_versions_need_and_deletes_nothing() {
    let table = with_every_kind_of_file().await;
    let (head, files) = (table.head().await, table.files());
    let newest = head.manifest().version;
    for version in [2, 4, newest - 1, newest] {
        let expected = needed_only_before(&table, version).await;
        assert_eq!(explained(&head, &table, before(version)).await, expected, "{version}");
        assert_eq!(table.files(), files);
    }
    // What the last of them was about: every kind is among them.
    let explanation = head.cleanup(before(newest)).explain().await.unwrap();
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    for file in &explanation.candidate_files {
        let kind = match file.kind {
            CleanupFileKind::Manifest => "manifest",
            CleanupFileKind::Data if file.path.ends_with(".blob") => "blob",
            CleanupFileKind::Data => "data",
            CleanupFileKind::Transaction => "transaction",
            CleanupFileKind::Index => "index",
            CleanupFileKind::Deletion => "deletion",
            CleanupFileKind::TemporaryManifest => "temporary",
        };
        *kinds.entry(kind).or_default() += 1;
        assert!(!file.unverified, "{file:?}");
    }
    let found: Vec<&str> = kinds.into_keys().collect();
    assert_eq!(found, ["blob", "data", "deletion", "index", "manifest", "transaction"]);
    assert_eq!(explanation.stats.old_versions, newest - 1);
}

#[tokio::test]
async fn execute_deletes_what_explain_named_and_every_version_left_reads_as_before() {
    let table = with_every_kind_of_file().await;
    let (head, files) = (table.head().await, table.files());
    let newest = head.manifest().version;
    let rows = table_rows(&head).await.unwrap();
    let doomed = explained(&head, &table, before(newest)).await;
    head.cleanup(before(newest)).execute().await.unwrap();
    let left: BTreeSet<String> = files.difference(&doomed).cloned().collect();
    assert_eq!(table.files(), left);
    assert_eq!(table_rows(&table.head().await).await.unwrap(), rows);
    blobs::are_as_written(&table.head().await, Encoding::V2).await;
}

/// Set by set instead of by age: holes are allowed.
#[tokio::test]
async fn explain_takes_a_set_of_versions_and_leaves_head_alone_whatever_it_says() {
    let table = Table::of(5, true).await;
    let head = table.head().await;
    let versions = Some([2, 4, 5].into());
    let policy = CleanupPolicy { versions, ..CleanupPolicy::default() };
    let named = explained(&head, &table, policy).await;
    let manifests: BTreeSet<String> =
        named.into_iter().filter(|file| file.ends_with(".manifest")).collect();
    assert_eq!(manifests, BTreeSet::from([2, 4].map(Table::manifest)));
    // Without any condition: everything but HEAD.
    let all = explained(&head, &table, CleanupPolicy::default()).await;
    let manifests = all.iter().filter(|file| file.ends_with(".manifest")).count();
    assert_eq!(manifests, 4);
}

/// Staged work of a run that is under way, ours or somebody else's.
#[tokio::test]
async fn files_no_version_names_are_candidates_only_when_unverified_ones_are_asked_for() {
    let table = Table::of(2, true).await;
    let staged = stage(&table.head().await, &[0, 1]).await;
    let file = format!("data/{}", staged.new_fragments[0].files[0].path);
    assert!(table.files().contains(&file));
    let head = table.head().await;
    assert!(!explained(&head, &table, CleanupPolicy::default()).await.contains(&file));
    let unverified = CleanupPolicy { delete_unverified: true, ..CleanupPolicy::default() };
    assert!(explained(&head, &table, unverified).await.contains(&file));
}

#[tokio::test]
async fn tagged_versions_stop_a_cleanup_or_are_kept_with_what_they_need() {
    let table = Table::of(4, true).await;
    let head = table.head().await;
    head.tags().create("kept", 2).await.unwrap();
    assert!(CleanupPolicy::default().error_if_tagged_old_versions);
    assert!(head.cleanup(CleanupPolicy::default()).explain().await.is_err());
    let around = CleanupPolicy { error_if_tagged_old_versions: false, ..CleanupPolicy::default() };
    let named = explained(&head, &table, around).await;
    assert!(!named.contains(&Table::manifest(2)));
    assert!(named.contains(&Table::manifest(1)) && named.contains(&Table::manifest(3)));
}

/// Why a root is addressed as its branches spell it, and refused when they use several
/// spellings.
#[tokio::test]
async fn a_branch_is_protected_from_cleanup_only_through_the_spelling_it_was_made_with() {
    for through_link in [false, true] {
        let table = Table::of(3, true).await;
        let branch = table.head().await.create_branch("b", 3, None).await.unwrap();
        let rows = table_rows(&branch).await.unwrap();
        // On main nothing of it is left.
        let mut head = table.head().await;
        head.delete("true").await.unwrap();
        tables::append(&table.uri(), 100, 10).await.unwrap();
        let link = table.path().with_file_name("link.lance");
        symlink(table.path(), &link).unwrap();
        let uri = if through_link { link } else { table.path() };
        let head = Dataset::open(&uri.to_string_lossy()).await.unwrap();
        head.cleanup(CleanupPolicy::default()).execute().await.unwrap();

        let data = files_in(&table.path().join("data"));
        assert_eq!(data.len(), if through_link { 1 } else { 4 });
        let builder = DatasetBuilder::from_uri(table.uri()).with_branch("b", None);
        let read = table_rows(&builder.load().await.unwrap()).await;
        if through_link {
            assert!(read.is_err(), "spellings do not matter any more");
        } else {
            assert_eq!(read.unwrap(), rows);
        }
    }
}

/// Main has nothing left of what the branch reads. Of the version it was cut from the manifest
/// stays, and the file of its transaction goes.
#[tokio::test]
async fn explain_spares_what_a_branch_reads_and_the_manifest_it_was_cut_from() {
    let table = Table::of(3, true).await;
    table.head().await.create_branch("b", 2, None).await.unwrap();
    table.head().await.delete("true").await.unwrap();
    tables::append(&table.uri(), 100, 10).await.unwrap();
    let head = table.head().await;
    let mut expected = BTreeSet::new();
    for version in [1, 3, 4] {
        expected.extend(needed(&table, &table.at(version).await).await);
    }
    let cut = table.at(2).await;
    let spared = needed(&table, &cut).await;
    expected.retain(|file| !spared.contains(file));
    let transaction = cut.manifest().transaction_file.as_ref().unwrap();
    expected.insert(format!("_transactions/{transaction}"));
    assert_eq!(explained(&head, &table, CleanupPolicy::default()).await, expected);

    // The branch is named, and what is too much to name is said to be.
    let operation = head.cleanup(CleanupPolicy::default()).with_max_candidate_files(1);
    let explanation = operation.explain().await.unwrap();
    let branches = explanation.referenced_branches;
    let branches: Vec<(&str, u64)> =
        branches.iter().map(|branch| (branch.name.as_str(), branch.referenced_version)).collect();
    assert_eq!(branches, [("b", 2)]);
    assert!(explanation.candidate_files_truncated && explanation.candidate_files.len() == 1);
}

fn column(batches: &[RecordBatch], name: &str) -> Vec<String> {
    batches
        .iter()
        .flat_map(|batch| {
            let strings = batch[name].as_string::<i32>();
            (0..strings.len()).map(|at| strings.value(at).to_owned()).collect::<Vec<_>>()
        })
        .collect()
}

/// One row per version and file. What lies beside a data file is not among them: whoever
/// subtracts these from all files would take blobs for litter.
#[tokio::test]
async fn tracked_files_are_those_of_every_version_but_not_what_lies_beside_a_data_file() {
    let table = with_every_kind_of_file().await;
    let head = table.head().await;
    let tracked: Vec<RecordBatch> = head.tracked_files().await.try_collect().await.unwrap();
    let mut found: BTreeMap<i64, BTreeSet<String>> = BTreeMap::new();
    for batch in &tracked {
        let versions = batch["version"].as_primitive::<Int64Type>();
        let paths = batch["path"].as_string::<i32>();
        for at in 0..batch.num_rows() {
            let files = found.entry(versions.value(at)).or_default();
            files.insert(paths.value(at).to_owned());
        }
        let kinds = batch["type"].as_dictionary::<Int8Type>().values().as_string::<i32>();
        assert!(kinds.iter().flatten().all(|kind| kind.ends_with("file") || kind == "manifest"));
    }
    let mut expected: BTreeMap<i64, BTreeSet<String>> = BTreeMap::new();
    for found in head.version_refs().await.unwrap() {
        let mut files = needed(&table, &table.at(found.version).await).await;
        files.retain(|file| !file.ends_with(".blob"));
        expected.insert(i64::try_from(found.version).unwrap(), files);
    }
    assert_eq!(found, expected);
}

#[tokio::test]
async fn all_files_are_all_there_are_whoever_wrote_them_and_branches_too() {
    let table = with_every_kind_of_file().await;
    table.head().await.create_branch("b", 2, None).await.unwrap();
    std::fs::write(table.path().join("data/stranger.txt"), "x").unwrap();
    let listed: Vec<RecordBatch> =
        table.head().await.all_files().await.try_collect().await.unwrap();
    let listed: BTreeSet<String> = column(&listed, "path").into_iter().collect();
    assert_eq!(listed, table.files());
    assert!(listed.iter().any(|file| file.ends_with(".blob")));
    assert!(listed.iter().any(|file| file.starts_with("tree/b/")));
}
