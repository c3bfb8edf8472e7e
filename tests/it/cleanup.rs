//! Cleanup: what goes, what stays, and that every reader reads on.

mod blobs;
mod clones;
mod dropped;
mod graphs;
mod incidents;
mod manifests;
mod unknown;
mod writers;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use chrono::TimeDelta;
use lance::Dataset;
use lance::dataset::builder::DatasetBuilder;
use lance::dataset::cleanup::CleanupPolicyBuilder;
use lance::dataset::refs::Ref;
use lance::index::DatasetIndexExt;
use lance_index::IndexType;
use lance_index::scalar::ScalarIndexParams;
use lancekeeper::{CleanupOptions, CleanupPolicyOptions, CleanupReport, Keeper};
use lancekeeper_model::TableCleanupStats;
use lancekeeper_testkit::{table_rows, tables};
use tempfile::TempDir;

use crate::binary::{lancekeeper, run};
use crate::fixtures::tree;

/// Everything but the newest `n` versions of each chain may go, however young.
fn keep(n: u32) -> CleanupOptions {
    CleanupOptions {
        policy: CleanupPolicyOptions { keep_versions: Some(n), older_than: None },
        writer_window: TimeDelta::zero(),
        ..CleanupOptions::default()
    }
}

async fn preview(uri: &str, options: &CleanupOptions) -> CleanupReport {
    Keeper::new().plan_cleanup(&[uri.to_owned()], options).await
}

async fn cleanup(uri: &str, options: &CleanupOptions) -> CleanupReport {
    Keeper::new().cleanup(&[uri.to_owned()], options).await
}

/// Cleans up, and expects that nothing went wrong.
async fn clean(uri: &str, options: &CleanupOptions) -> CleanupReport {
    let report = cleanup(uri, options).await;
    assert_eq!(report.exit_code().number(), 0, "{report:#?}");
    report
}

fn row_of<'r>(report: &'r CleanupReport, table: &str) -> &'r TableCleanupStats {
    let tables = &report.roots[0].tables;
    tables.iter().find(|row| row.table_key.as_str() == table).unwrap()
}

/// Files and their sizes below a directory, without what we keep for ourselves.
fn files(root: &str) -> BTreeMap<String, u64> {
    let all = tree(root).into_iter();
    all.filter(|(path, _)| !path.contains("__maintenance") && std::path::Path::new(path).is_file())
        .collect()
}

/// One table, written by nobody but the test.
struct Table {
    directory: TempDir,
}

impl Table {
    /// Eight versions: five appends, a deletion, an index, and one more append.
    async fn new() -> Self {
        let table = Self { directory: tempfile::tempdir().unwrap() };
        tables::create(&table.uri(), 5, 20, true).await.unwrap();
        let mut handle = table.open().await;
        handle.delete("id % 7 = 0").await.unwrap();
        let params = ScalarIndexParams::default();
        handle.create_index(&["id"], IndexType::BTree, None, &params, true).await.unwrap();
        tables::append(&table.uri(), 1_000, 20).await.unwrap();
        assert_eq!(table.versions().await, (1..=8).collect::<Vec<_>>());
        table
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("events.lance")
    }

    fn uri(&self) -> String {
        self.path().to_string_lossy().into_owned()
    }

    async fn open(&self) -> Dataset {
        DatasetBuilder::from_uri(self.uri()).load().await.unwrap()
    }

    async fn versions(&self) -> Vec<u64> {
        versions(&self.open().await).await
    }

    /// The rows of every version, and of every branch's.
    async fn rows(&self) -> BTreeMap<(String, u64), Vec<String>> {
        let main = self.open().await;
        let mut rows = BTreeMap::new();
        let branches = main.list_branches().await.unwrap();
        for branch in branches.keys().map(String::as_str).chain(["main"]) {
            let builder = DatasetBuilder::from_uri(self.uri());
            let builder =
                if branch == "main" { builder } else { builder.with_branch(branch, None) };
            let head = builder.load().await.unwrap();
            for version in versions(&head).await {
                let at =
                    head.checkout_version((Some(branch).filter(|b| *b != "main"), Some(version)));
                let read = table_rows(&at.await.unwrap()).await.unwrap();
                rows.insert((branch.to_owned(), version), read);
            }
        }
        rows
    }
}

async fn versions(table: &Dataset) -> Vec<u64> {
    let mut found: Vec<u64> =
        table.version_refs().await.unwrap().iter().map(|version| version.version).collect();
    found.sort_unstable();
    found
}

#[tokio::test]
async fn the_age_of_versions_is_told_by_the_keepers_clock() {
    let table = Table::new().await;
    let options = CleanupOptions { writer_window: TimeDelta::minutes(10), ..keep(1) };
    let removed = async |keeper: Keeper| {
        let report = keeper.plan_cleanup([table.uri()], &options).await;
        row_of(&report, "events").old_versions_removed
    };
    assert_eq!(removed(Keeper::new()).await, 0, "they were all made just now");
    let later = || chrono::Utc::now() + TimeDelta::hours(1);
    assert_eq!(removed(Keeper::builder().clock(later).build()).await, 7);
}

#[tokio::test]
async fn exactly_the_newest_n_versions_stay_and_each_can_be_read() {
    let table = Table::new().await;
    let before = table.rows().await;
    let report = clean(&table.uri(), &keep(3)).await;
    assert_eq!(row_of(&report, "events").old_versions_removed, 5, "{report:#?}");
    let after = table.rows().await;
    let kept: Vec<u64> = after.keys().map(|(_, version)| *version).collect();
    assert_eq!(kept, [6, 7, 8]);
    for (version, rows) in after {
        assert_eq!(rows, before[&version], "{version:?}");
    }
    let answer = table.open().await.count_rows(Some("id = 1001".to_owned())).await.unwrap();
    assert_eq!(answer, 1, "the index still answers");
}

#[tokio::test]
async fn more_versions_kept_than_there_are_removes_nothing() {
    let table = Table::new().await;
    let before = files(&table.uri());
    for keeps in [8, 9, 100] {
        let report = clean(&table.uri(), &keep(keeps)).await;
        assert_eq!(report.totals.files_removed, 0, "{report:#?}");
        assert_eq!(files(&table.uri()), before);
    }
}

#[tokio::test]
async fn a_preview_writes_nothing_and_says_exactly_what_then_goes() {
    let table = Table::new().await;
    let before = tree(&table.uri());
    let previewed = preview(&table.uri(), &keep(1)).await;
    assert_eq!(previewed.exit_code().number(), 0, "{previewed:#?}");
    assert_eq!(tree(&table.uri()), before);
    let sizes = files(&table.uri());
    let report = clean(&table.uri(), &keep(1)).await;
    let left = files(&table.uri());
    let gone: Vec<u64> =
        sizes.iter().filter(|(path, _)| !left.contains_key(*path)).map(|(_, size)| *size).collect();
    assert_eq!(report.totals.files_removed, gone.len() as u64);
    assert_eq!(report.totals.bytes_removed, gone.iter().sum::<u64>());
    assert!(report.totals.bytes_removed > 0);
    let without_time = |report: &CleanupReport| {
        let totals = report.totals.clone();
        (totals.bytes_removed, totals.old_versions_removed, totals.files_removed)
    };
    assert_eq!(without_time(&report), without_time(&previewed));

    let again = clean(&table.uri(), &keep(1)).await;
    assert_eq!(again.totals.files_removed, 0, "{again:#?}");
}

/// The files that Lance's own cleanup would delete for these versions, below the table.
async fn explained(table: &Table, versions: Vec<u64>) -> BTreeSet<String> {
    let policy = CleanupPolicyBuilder::default().versions(versions).unwrap();
    let head = table.open().await;
    let cleanup = head.cleanup(policy.error_if_tagged_old_versions(false).build());
    let explained = cleanup.with_max_candidate_files(10_000).explain().await.unwrap();
    let root = table.path().canonicalize().unwrap();
    let files = explained.candidate_files.iter().map(|file| {
        let path = PathBuf::from(format!("/{}", file.path.trim_start_matches('/')));
        path.strip_prefix(&root).unwrap().to_string_lossy().into_owned()
    });
    files.collect()
}

/// The files that our cleanup deletes, below the table.
async fn deleted(table: &Table, keeps: u32) -> BTreeSet<String> {
    let before = files(&table.uri());
    clean(&table.uri(), &keep(keeps)).await;
    let after = files(&table.uri());
    let prefix = format!("{}/", table.uri());
    let gone = before.keys().filter(|path| !after.contains_key(*path));
    gone.map(|path| path.strip_prefix(&prefix).unwrap().to_owned()).collect()
}

#[tokio::test]
async fn lance_would_remove_the_same_files_for_the_same_versions() {
    let table = Table::new().await;
    let theirs = explained(&table, (1..=5).collect()).await;
    let ours = deleted(&table, 3).await;
    assert!(!ours.is_empty());
    assert_eq!(ours, theirs);
}

#[tokio::test]
async fn lance_would_spare_the_same_files_for_a_tag_and_a_branch() {
    let table = Table::new().await;
    let mut main = table.open().await;
    main.tags().create("v2", 2).await.unwrap();
    main.create_branch("side", 4, None).await.unwrap();
    // Other rows, so that only the tag and the branch read the first files.
    main.delete("id >= 0").await.unwrap();
    tables::append(&table.uri(), 5_000, 5).await.unwrap();
    let theirs = explained(&table, vec![1, 3, 5, 6, 7, 8]).await;
    let ours = deleted(&table, 2).await;
    assert!(!ours.is_empty());
    assert_eq!(ours, theirs);
    assert_eq!(table.versions().await, [2, 4, 9, 10]);
}

#[tokio::test]
async fn tags_and_branches_keep_what_they_read_nested_names_too() {
    let table = Table::new().await;
    let mut main = table.open().await;
    main.tags().create("v2", 2).await.unwrap();
    // A branch below another one's directory, and one that was cut from a branch.
    for (name, parent) in [
        ("a", Ref::Version(None, Some(3))),
        ("a/b", Ref::Version(None, Some(4))),
        ("c", Ref::Version(Some("a".to_owned()), None)),
    ] {
        let mut branch = main.create_branch(name, parent, None).await.unwrap();
        branch.delete("id = 1").await.unwrap();
        branch.delete("id = 2").await.unwrap();
    }
    let before = table.rows().await;
    let report = clean(&table.uri(), &keep(1)).await;
    let after = table.rows().await;
    let kept: BTreeSet<(&str, u64)> =
        after.keys().map(|(branch, version)| (branch.as_str(), *version)).collect();
    let newest = |branch: &str| {
        before.keys().filter(|(b, _)| b == branch).map(|(_, version)| *version).max().unwrap()
    };
    assert!(kept.is_superset(&BTreeSet::from([
        ("main", 2),
        ("main", 3),
        ("main", 4),
        ("main", 8)
    ])));
    for branch in ["a", "a/b", "c"] {
        assert!(kept.contains(&(branch, newest(branch))), "{branch}: {report:#?}");
    }
    for (version, rows) in &after {
        assert_eq!(*rows, before[version], "{version:?}");
    }
    assert!(after.len() < before.len(), "forks are collected too");
    let again = clean(&table.uri(), &keep(1)).await;
    assert_eq!(again.totals.files_removed, 0, "{again:#?}");
}

#[tokio::test]
async fn a_policy_without_a_rule_and_values_that_make_no_sense_are_refused() {
    let table = Table::new().await;
    let before = tree(&table.uri());
    let none = CleanupOptions::default();
    let negative = TimeDelta::seconds(-1);
    let cases = [
        (none.clone(), "no rule"),
        // Rules about commits, where there are none.
        (CleanupOptions { keep_last: Some(3), ..none.clone() }, "no rule"),
        (CleanupOptions { keep_within: Some(TimeDelta::days(1)), ..none.clone() }, "no rule"),
        (keep(0), "keep_versions"),
        (CleanupOptions { writer_window: negative, ..keep(1) }, "writer_window"),
        (CleanupOptions { min_age: negative, ..keep(1) }, "min_age"),
        (CleanupOptions { keep_within: Some(negative), ..keep(1) }, "keep_within"),
        (CleanupOptions { max_delete_percent: 101, ..keep(1) }, "max_delete_percent"),
        (CleanupOptions { tables: vec!["nobody".to_owned()], ..keep(1) }, "nobody"),
    ];
    for (options, word) in cases {
        for report in [preview(&table.uri(), &options).await, cleanup(&table.uri(), &options).await]
        {
            assert_eq!(report.exit_code().number(), 2, "{report:#?}");
            let error = report.roots[0].error.as_deref().unwrap();
            assert!(error.contains(word), "{error}");
        }
    }
    let after: Vec<_> = tree(&table.uri())
        .into_iter()
        .filter(|(path, _)| !path.contains("__maintenance"))
        .collect();
    assert_eq!(after, before);
}

#[tokio::test]
async fn the_binary_previews_until_it_is_told_to_delete() {
    let table = Table::new().await;
    let uri = table.uri();
    let before = files(&uri);
    let strict = ["--keep", "2", "--writer-window", "0s", uri.as_str()];
    let said = run(lancekeeper(["cleanup"].into_iter().chain(strict)));
    assert_eq!(said.code, Some(0), "{said:#?}");
    assert!(said.stdout.contains("nothing was deleted"), "{said:#?}");
    assert!(said.stdout.contains("kept 7 because: among the newest 2"), "{said:#?}");
    assert!(said.stdout.contains("fewer than 3 versions of main stay"), "{said:#?}");
    assert_eq!(files(&uri), before);

    let said = run(lancekeeper(["cleanup", "--confirm", "--json"].into_iter().chain(strict)));
    assert_eq!(said.code, Some(0), "{said:#?}");
    let document = said.document();
    assert_eq!((&document["command"], &document["dry_run"]), (&"cleanup".into(), &false.into()));
    let root = &document["roots"][0];
    assert_eq!(root["keep_versions"], 2);
    assert_eq!(root["reconciled"], serde_json::json!({"reclaimed": [], "failures": []}));
    let row = &root["tables"][0];
    assert_eq!((&row["table_key"], &row["old_versions_removed"]), (&"events".into(), &6.into()));
    assert!(row["bytes_removed"].as_u64().unwrap() > 0 && row["error"].is_null(), "{row}");
    assert_eq!(table.versions().await, [7, 8]);

    // Without a rule: ten, said first.
    let said = run(lancekeeper(["cleanup", uri.as_str()]));
    assert!(said.stderr.contains("no rule given: using --keep 10"), "{said:#?}");
}

#[tokio::test]
async fn the_runbooks_command_line_works_pasted() {
    let table = Table::new().await;
    let database = table.directory.path().to_string_lossy().into_owned();
    // It would wait for two minutes; that it waits, and what for, is tested elsewhere.
    let line = ["db", "--db-path", &database, "optimize", "events", "--all", "--prune-now"];
    let said = run(lancekeeper(line.into_iter().chain(["--no-wait", "--json"])));
    assert_eq!(said.code, Some(0), "{said:#?}");
    let row = &said.document()["roots"][0]["tables"][0];
    assert_eq!(row["committed"], true, "{row}");
    // All versions are younger than the writer window.
    assert_eq!(row["pruned"]["old_versions_removed"], 0, "{row}");
    assert!(row["pruned"]["versions_kept"].as_u64().unwrap() > 8, "{row}");
}
