//! Branches and tags: where they lie, what a branch's manifest says about the table it was cut
//! from, and in which order a branch comes and goes.

use std::collections::BTreeSet;
use std::fs;

use lance::dataset::builder::DatasetBuilder;
use lance::index::DatasetIndexExt;
use lance::{Dataset, Error};
use lance_index::IndexType;
use lance_index::scalar::ScalarIndexParams;
use lancekeeper_testkit::table_rows;
use serde_json::Value;

use crate::table::{Table, commit, files_in, fragment_ids, reserve, rewrite, sorted_ids, stage};

/// Three fragments, one with a deletion file, an index; HEAD is version 5.
async fn with_everything() -> Table {
    let table = Table::of(3, true).await;
    table.head().await.delete("id = 3").await.unwrap();
    let params = ScalarIndexParams::default();
    table
        .head()
        .await
        .create_index(&["id"], IndexType::BTree, Some("id_idx".into()), &params, false)
        .await
        .unwrap();
    table
}

async fn on(table: &Table, branch: &str) -> Dataset {
    DatasetBuilder::from_uri(table.uri()).with_branch(branch, None).load().await.unwrap()
}

fn json(table: &Table, file: &str) -> Value {
    serde_json::from_slice(&fs::read(table.path().join(file)).unwrap()).unwrap()
}

#[tokio::test]
async fn a_branch_lies_under_tree_and_is_known_by_a_ref_file_that_says_where_it_was_cut() {
    let table = with_everything().await;
    let before = table.files();
    table.head().await.create_branch("b/c", 4, None).await.unwrap();
    let added: BTreeSet<String> = table.files().difference(&before).cloned().collect();
    let (refs, tree): (BTreeSet<String>, BTreeSet<String>) =
        added.into_iter().partition(|file| file.starts_with("_refs/"));
    assert_eq!(refs, BTreeSet::from(["_refs/branches/b%2Fc.json".to_owned()]));
    assert!(tree.iter().all(|file| file.starts_with("tree/b/c/")), "{tree:?}");
    assert!(tree.contains(&format!("tree/b/c/{}", Table::manifest(4))), "{tree:?}");

    let contents = json(&table, "_refs/branches/b%2Fc.json");
    assert_eq!(contents["parentBranch"], Value::Null);
    assert_eq!(contents["parentVersion"], 4);
    let cut = contents["identifier"]["version_mapping"].as_array().unwrap();
    assert_eq!(cut.len(), 1);
    assert_eq!(cut[0][0], 4);
    let created = contents["createAt"].as_u64().unwrap();
    assert!(created.abs_diff(chrono::Utc::now().timestamp().unsigned_abs()) < 600);
}

/// The lineage of a branch of a branch leads through its parent.
#[tokio::test]
async fn a_branch_of_a_branch_names_its_parent_and_both_places_it_reads() {
    let table = with_everything().await;
    let mut parent = table.head().await.create_branch("b", 5, None).await.unwrap();
    parent.delete("id = 12").await.unwrap();
    let version = parent.manifest().version;
    let child = parent.create_branch("c", version, None).await.unwrap();
    let contents = json(&table, "_refs/branches/c.json");
    assert_eq!(contents["parentBranch"], "b");
    assert_eq!(contents["parentVersion"], version);
    let cuts = contents["identifier"]["version_mapping"].as_array().unwrap();
    assert_eq!([&cuts[0][0], &cuts[1][0]], [5, version]);
    let bases: BTreeSet<String> =
        child.manifest().base_paths.values().map(|base| base.path.clone()).collect();
    assert_eq!(bases, BTreeSet::from([table.uri(), format!("{}/tree/b", table.uri())]));
    assert!(!sorted_ids(&on(&table, "c").await).await.contains(&12));
}

#[tokio::test]
async fn a_branch_reads_by_absolute_strings_and_writes_into_its_own_directory() {
    let table = with_everything().await;
    table.head().await.create_branch("b", 5, None).await.unwrap();
    let mut branch = on(&table, "b").await;
    assert_eq!(branch.manifest().version, 5, "it goes on counting where it was cut");
    let listed = branch.version_refs().await.unwrap();
    assert_eq!(listed.iter().map(|found| found.version).collect::<Vec<_>>(), [5]);
    let bases: Vec<_> = branch.manifest().base_paths.values().collect();
    assert_eq!(bases.len(), 1);
    assert_eq!((bases[0].path.as_str(), bases[0].is_dataset_root), (table.uri().as_str(), true));
    let base = Some(bases[0].id);
    for fragment in branch.fragments().iter() {
        assert!(fragment.files.iter().all(|file| file.base_id == base));
    }
    assert_eq!(branch.fragments()[0].deletion_file.as_ref().unwrap().base_id, base);
    assert_eq!(branch.load_indices().await.unwrap()[0].base_id, base);

    let main = table.files_under("data/");
    branch.delete("id = 12 OR id = 5").await.unwrap();
    let deletions = |at: usize| branch.fragments()[at].deletion_file.as_ref().unwrap().base_id;
    assert_eq!((deletions(0), deletions(1)), (None, None));
    assert_eq!(table.files_under("tree/b/_deletions/").len(), 2);
    // A Rewrite on the branch takes the rows over and leaves the table alone.
    let mut staged = stage(&branch, &[0, 1, 2]).await;
    let reserved = reserve(&branch, &mut staged).await;
    let rewritten = commit(&reserved, rewrite(&staged)).await.unwrap();
    let file = &rewritten.fragments()[0].files[0];
    assert_eq!(file.base_id, None);
    assert!(table.files().contains(&format!("tree/b/data/{}", file.path)));
    assert_eq!(table.files_under("data/"), main);
    assert_eq!(sorted_ids(&on(&table, "b").await).await.len(), 27);
}

/// Between the two a branch is there for nobody who lists branches.
#[tokio::test]
async fn creating_a_branch_commits_the_clone_first_and_writes_the_ref_file_last() {
    let table = with_everything().await;
    // A ref file of that name makes the second step fail.
    table.head().await.create_branch("other", 4, None).await.unwrap();
    let refs = table.path().join("_refs/branches");
    fs::copy(refs.join("other.json"), refs.join("b.json")).unwrap();
    let error = table.head().await.create_branch("b", 5, None).await.unwrap_err();
    assert!(matches!(error.find_root(), Error::RefConflict { .. }), "{error:?}");
    assert!(table.files().contains(&format!("tree/b/{}", Table::manifest(5))));

    fs::remove_file(refs.join("b.json")).unwrap();
    let listed = table.head().await.list_branches().await.unwrap();
    assert_eq!(listed.into_keys().collect::<Vec<_>>(), ["other"]);
    // And the name is taken until the remains are removed by force.
    assert!(table.head().await.create_branch("b", 5, None).await.is_err());
    let mut head = table.head().await;
    assert!(head.delete_branch("b").await.is_err());
    head.force_delete_branch("b").await.unwrap();
    assert_eq!(table.files_under("tree/b/"), BTreeSet::new());
}

/// A fork's floor are the files it reads, not the manifest it was cut from.
#[tokio::test]
async fn a_branch_reads_on_when_the_manifest_it_was_cut_from_is_gone() {
    let table = with_everything().await;
    table.head().await.create_branch("b", 4, None).await.unwrap();
    let rows = table_rows(&on(&table, "b").await).await.unwrap();
    for version in 1..=4 {
        table.remove(&Table::manifest(version));
    }
    assert_eq!(table_rows(&on(&table, "b").await).await.unwrap(), rows);
    on(&table, "b").await.delete("id = 20").await.unwrap();
    assert_eq!(table_rows(&on(&table, "b").await).await.unwrap().len(), rows.len() - 1);
}

#[tokio::test]
async fn a_branch_cannot_be_cut_from_a_version_that_is_gone_and_leaves_nothing() {
    let table = with_everything().await;
    table.remove(&Table::manifest(2));
    let before = table.files();
    assert!(table.head().await.create_branch("b", 2, None).await.is_err());
    assert_eq!(table.files(), before);
}

#[tokio::test]
async fn deleting_a_branch_removes_its_ref_file_and_its_directory_and_nothing_else() {
    let table = with_everything().await;
    table.head().await.create_branch("x/y", 5, None).await.unwrap();
    let before = table.files();
    table.head().await.create_branch("b", 4, None).await.unwrap();
    on(&table, "b").await.delete("id = 20").await.unwrap();
    table.head().await.delete_branch("b").await.unwrap();
    assert_eq!(table.files(), before);
    assert!(!table.path().join("tree/b").exists());
}

#[tokio::test]
async fn a_branch_that_another_was_cut_from_is_not_deleted() {
    let table = with_everything().await;
    let mut parent = table.head().await.create_branch("b", 5, None).await.unwrap();
    parent.create_branch("c", 5, None).await.unwrap();
    let before = table.files();
    let error = table.head().await.delete_branch("b").await.unwrap_err();
    assert!(matches!(error.find_root(), Error::RefConflict { .. }), "{error:?}");
    assert_eq!(table.files(), before);
}

#[tokio::test]
async fn a_tag_is_a_file_that_names_branch_and_version() {
    let table = with_everything().await;
    let head = table.head().await;
    head.tags().create("old", 2).await.unwrap();
    let mut branch = table.head().await.create_branch("b", 5, None).await.unwrap();
    branch.delete("id = 20").await.unwrap();
    head.tags().create("on-b", ("b", 6)).await.unwrap();
    let tags = files_in(&table.path().join("_refs/tags"));
    assert_eq!(tags, BTreeSet::from(["old.json".to_owned(), "on-b.json".to_owned()]));
    let old = json(&table, "_refs/tags/old.json");
    assert_eq!((&old["branch"], &old["version"]), (&Value::Null, &Value::from(2)));
    let on_b = json(&table, "_refs/tags/on-b.json");
    assert_eq!((&on_b["branch"], &on_b["version"]), (&Value::from("b"), &Value::from(6)));
    assert_eq!(fragment_ids(&head.checkout_version("old").await.unwrap()), [0, 1]);
}

#[tokio::test]
async fn a_ref_file_is_named_by_its_branch_percent_encoded_and_the_directory_is_not() {
    let table = with_everything().await;
    for name in ["über/ß", "-x", ".hid", "a.b_c", "data"] {
        lancekeeper_planner::branch::check_name(name).unwrap();
        table.head().await.create_branch(name, 5, None).await.unwrap();
        assert!(table.path().join("tree").join(name).is_dir(), "{name}");
    }
    let refs = files_in(&table.path().join("_refs/branches"));
    assert!(refs.contains("%C3%BCber%2F%C3%9F.json"), "{refs:?}");
    for name in ["x y", "a..b", "/a", "a/", "a//b", "a%2Fb", "a\\b", "x:y", "x.lock", "main", ""] {
        assert!(table.head().await.create_branch(name, 5, None).await.is_err(), "{name:?}");
    }
}

/// Whoever takes a branch away finds what was being cut from it by its first version.
#[tokio::test]
async fn a_branch_is_cut_only_while_its_parent_is_there_but_its_first_version_comes_before() {
    let table = with_everything().await;
    let mut parent = table.head().await.create_branch("b", 5, None).await.unwrap();
    table.remove("_refs/branches/b.json");
    let error = parent.create_branch("c", 5, None).await.unwrap_err();
    assert!(matches!(error.find_root(), Error::RefNotFound { .. }), "{error:?}");
    assert!(table.files().contains(&format!("tree/c/{}", Table::manifest(5))));
}

#[tokio::test]
async fn a_directory_with_any_version_refuses_a_branch_and_one_with_other_files_does_not() {
    let table = with_everything().await;
    let mut old = table.head().await.create_branch("b", 4, None).await.unwrap();
    old.delete("id = 12").await.unwrap();
    table.remove("_refs/branches/b.json");
    table.remove(&format!("tree/b/{}", Table::manifest(4)));
    // The version it would be cut at is not there, but a newer one is.
    assert!(table.head().await.create_branch("b", 4, None).await.is_err());
    assert!(!table.files().contains(&format!("tree/b/{}", Table::manifest(4))));
    table.remove(&format!("tree/b/{}", Table::manifest(5)));
    let rows = sorted_ids(&table.head().await.checkout_version(4).await.unwrap()).await;
    let new = table.head().await.create_branch("b", 4, None).await.unwrap();
    assert_eq!(sorted_ids(&new).await, rows);
}

#[tokio::test]
async fn deleting_a_branch_below_the_data_of_another_takes_that_data_away() {
    let table = with_everything().await;
    table.head().await.create_branch("a", 5, None).await.unwrap();
    let mut branch = on(&table, "a").await;
    let batch = lancekeeper_testkit::tables::batch(1_000, 5);
    let schema = batch.schema();
    let batches = arrow_array::RecordBatchIterator::new([Ok(batch)], schema);
    branch.append(batches, None).await.unwrap();
    let data = table.files_under("tree/a/data/");
    assert_eq!(data.len(), 1);
    table.head().await.create_branch("a/data", 5, None).await.unwrap();
    table.head().await.delete_branch("a/data").await.unwrap();
    assert_eq!(table.files_under("tree/a/data/"), BTreeSet::new());
    assert!(table_rows(&on(&table, "a").await).await.is_err());
}

#[tokio::test]
async fn a_branch_adds_the_base_of_its_table_to_those_it_takes_over_under_their_numbers() {
    let table = Table::of(3, true).await;
    let directory = tempfile::tempdir().unwrap();
    let clone = directory.path().join("c.lance").to_string_lossy().into_owned();
    table.head().await.shallow_clone(&clone, 3, None).await.unwrap();
    let open = |branch: Option<&str>| {
        let builder = DatasetBuilder::from_uri(&clone);
        let builder = match branch {
            Some(branch) => builder.with_branch(branch, None),
            None => builder,
        };
        async move { builder.load().await.unwrap() }
    };
    let bases = |of: &Dataset| {
        let bases = of.manifest().base_paths.values();
        let mut bases: Vec<_> =
            bases.map(|base| (base.id, base.path.clone(), base.is_dataset_root)).collect();
        bases.sort();
        bases
    };
    let origin = (0, table.uri(), true);
    open(None).await.create_branch("a", 3, None).await.unwrap();
    open(Some("a")).await.create_branch("b", ("a", Some(3)), None).await.unwrap();
    assert_eq!(bases(&open(None).await), std::slice::from_ref(&origin));
    let own = (1, clone.clone(), true);
    assert_eq!(bases(&open(Some("a")).await), [origin.clone(), own.clone()]);
    let parent = (2, format!("{clone}/tree/a"), true);
    assert_eq!(bases(&open(Some("b")).await), [origin, own, parent]);
}
