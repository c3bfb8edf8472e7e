//! Indexes of every kind: asked, and caught when they answer wrongly.

use std::collections::BTreeMap;
use std::fs;

use lancekeeper::{FindingKind, VerifyOptions};

use super::world::{Database, files_in, swap_indexes, verify};

/// Kinds, each on two columns that hold the same values in reverse.
const KINDS: [(&str, &str, &str); 8] = [
    ("btree", "id", "di"),
    ("bitmap", "id", "di"),
    ("zonemap", "id", "di"),
    ("bloomfilter", "id", "di"),
    ("ngram", "text", "txet"),
    ("fm", "text", "txet"),
    ("inverted", "text", "txet"),
    ("labellist", "tags", "gats"),
];

#[tokio::test]
async fn every_kind_of_index_is_asked_and_answers_as_a_scan_does() {
    let all = KINDS.into_iter().chain([("vector", "vector", "vector")]);
    for (at, (kind, column, _)) in all.enumerate() {
        let stable = at % 2 == 1;
        let database = Database::new(stable).await;
        database.index("a", column, kind).await;
        database.open("a").await.delete("id IN (1, 50)").await.unwrap();
        let report = database.verify().await;
        let what = format!("{kind}, stable row ids: {stable}");
        assert!(report.findings.is_empty(), "{what}: {report:#?}");
        assert!(report.unchecked.is_empty(), "{what}: {:#?}", report.unchecked);
        assert!(report.tables[0].questions > 5, "{what}: {report:#?}");
    }
}

#[tokio::test]
async fn an_index_with_the_files_of_another_one_is_caught_by_its_answers() {
    let mut same_size = BTreeMap::new();
    for (kind, one, other) in KINDS {
        let database = Database::new(false).await;
        let first = database.index("a", one, kind).await;
        let second = database.index("a", other, kind).await;
        let is_same = swap_indexes(&first, &second);
        same_size.insert(kind, is_same);
        let report = database.verify().await;
        let mut named: Vec<&str> =
            report.findings.iter().filter_map(|found| found.index.as_deref()).collect();
        named.dedup();
        assert!(!named.is_empty(), "{kind}: {report:#?}");
        if !is_same {
            continue;
        }
        for finding in &report.findings {
            assert_eq!(finding.what, FindingKind::IndexWrong, "{kind}: {finding:#?}");
            assert!(finding.hint.as_ref().is_some_and(|hint| hint.contains("rebuild")));
        }
    }
    for kind in ["btree", "bitmap"] {
        assert!(
            same_size[kind],
            "{kind}: the sizes give it away, and nothing is asked: {same_size:?}"
        );
    }
}

#[tokio::test]
async fn an_index_with_the_files_of_another_table_is_caught_by_its_answers() {
    let database = Database::new(false).await;
    database.open("b").await.update_reversed().await;
    let first = database.index("a", "id", "btree").await;
    let second = database.index("b", "id", "btree").await;
    assert!(swap_indexes(&first, &second), "the sizes give it away, and nothing is asked");
    let wrong = FindingKind::IndexWrong;
    database.has(&[("a", wrong), ("b", wrong)]).await;
}

trait UpdateReversed {
    async fn update_reversed(self);
}

impl UpdateReversed for lance::Dataset {
    /// Gives each row the id that another one had.
    async fn update_reversed(self) {
        let update = lance::dataset::UpdateBuilder::new(std::sync::Arc::new(self));
        let update = update.set("id", "di").unwrap().build().unwrap();
        update.execute().await.unwrap();
    }
}

#[tokio::test]
async fn an_index_file_that_is_missing_or_cut_is_named_and_the_other_indexes_are_asked() {
    for (kind, column, _) in KINDS.into_iter().chain([("vector", "vector", "vector")]) {
        let database = Database::new(false).await;
        let (broken, cut) =
            (database.index("a", column, kind).await, database.index("b", column, kind).await);
        if column != "di" {
            database.index("a", "di", "btree").await;
        }
        let missing = files_in(&broken).remove(0);
        fs::remove_file(&missing).unwrap();
        let short = files_in(&cut).remove(0);
        let content = fs::read(&short).unwrap();
        fs::write(&short, &content[..content.len() / 2]).unwrap();
        let expected = [("a", FindingKind::FileMissing), ("b", FindingKind::FileSize)];
        let found = database.has(&expected).await;
        for (finding, file) in found.iter().zip([&missing, &short]) {
            let name = file.file_name().unwrap().to_string_lossy().into_owned();
            assert!(
                finding.file.as_ref().is_some_and(|file| file.ends_with(&name)),
                "{finding:#?}"
            );
            assert_eq!(finding.index, Some(format!("{column}_{kind}")));
        }
        let report = database.verify().await;
        assert!(report.tables[0].questions > 5, "{kind}: the other one is asked: {report:#?}");
    }
}

#[tokio::test]
async fn what_cannot_be_asked_is_said() {
    let database = Database::new(false).await;
    database.index("a", "text", "minhashlsh").await;
    let report = database.verify().await;
    assert!(report.findings.is_empty(), "{report:#?}");
    let said: Vec<_> =
        report.unchecked.iter().map(|one| (&one.what[..], &one.reason[..])).collect();
    let expected =
        [("the answers of index text_minhashlsh", "indexes of the kind minhashlsh are not asked")];
    assert_eq!(said, expected);
    assert_eq!(report.tables[0].unchecked, 1);
    let quick = VerifyOptions { quick: true, ..VerifyOptions::default() };
    assert!(verify(&database.root(), &quick).await.unchecked.is_empty(), "nothing is asked then");
}

#[tokio::test]
async fn rows_that_cannot_be_read_are_no_mistake_of_an_index() {
    let database = Database::new(false).await;
    database.index("a", "id", "btree").await;
    database.index("a", "text", "inverted").await;
    fs::remove_file(database.data_file("a", 0).await).unwrap();
    let report = database.verify().await;
    assert!(
        report.findings.iter().all(|found| found.what == FindingKind::FileMissing),
        "{report:#?}"
    );
    assert!(report.tables[0].questions > 5, "asked about the rest: {report:#?}");
}
