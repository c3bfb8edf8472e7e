//! Tables that are damaged: missing, behind their pin, with files that cannot be read. The
//! others are done all the same.

use std::fs;
use std::sync::Arc;

use lance::Dataset;
use lance::dataset::CommitBuilder;
use lance::dataset::transaction::{Operation, Transaction};
use lancekeeper_testkit::invariants::{check_files, names};
use lancekeeper_testkit::tables;

use super::{DAMAGES, MANIFEST_DAMAGES, PERSON, World, assert_clean, assert_says, optimize};

/// Commits that one row less is deleted of every fragment than really is. Whoever counts by what
/// the manifest says then expects a row that no scan gives.
async fn lie_about_deleted_rows(table: Dataset) -> Dataset {
    let mut updated_fragments = Vec::new();
    for mut fragment in table.fragments().iter().cloned() {
        if let Some(deleted) = fragment.deletion_file.as_mut() {
            deleted.num_deleted_rows = deleted.num_deleted_rows.map(|number| number - 1);
            updated_fragments.push(fragment);
        }
    }
    assert!(!updated_fragments.is_empty(), "nothing is deleted here");
    let (deleted_fragment_ids, predicate) = (Vec::new(), "a lie".to_owned());
    let operation = Operation::Delete { updated_fragments, deleted_fragment_ids, predicate };
    let transaction = Transaction::new(table.manifest().version, operation, None);
    CommitBuilder::new(Arc::new(table)).execute(transaction).await.unwrap()
}

#[tokio::test]
async fn a_table_whose_deleted_rows_are_miscounted_is_an_error_and_nothing_is_committed() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    for name in ["good.lance", "lying.lance"] {
        let uri = at(name).to_string_lossy().into_owned();
        tables::create(&uri, 3, 20, false).await.unwrap();
        let mut table = super::open(&at(name)).await;
        table.delete("id % 7 = 0").await.unwrap();
    }
    let head = lie_about_deleted_rows(super::open(&at("lying.lance")).await).await;
    let report = optimize(&dir.path().to_string_lossy()).await;
    assert_eq!(report.exit_code().number(), 3, "{report:#?}");
    let [good, lying] = &report.roots[0].tables[..] else { panic!("{report:#?}") };
    assert!(good.committed && good.error.is_none(), "{good:#?}");
    assert_says(lying.error.as_deref(), &["lying", "rows remaining"]);
    assert!(!lying.committed, "{lying:#?}");
    let now = super::open(&at("lying.lance")).await;
    assert_eq!(now.manifest().version, head.manifest().version);
    // What was rewritten all the same is gone.
    check_files(&now, &at("lying.lance")).await.unwrap();
    assert_clean(dir.path());
}

#[tokio::test]
async fn a_missing_table_is_its_own_rows_error() {
    let world = World::new().await;
    let directory = world.directory(PERSON).await;
    let aside = world.root().join("aside");
    fs::rename(&directory, &aside).unwrap();
    let report = optimize(&world.uri()).await;
    let place = directory.file_name().unwrap().to_string_lossy().into_owned();
    world.only_this_table_failed(&report, PERSON, &[&place, "not found"]).await;
    assert_eq!(report.roots[0].published, 1);
    assert!(!directory.exists(), "it was made anew");
    fs::rename(&aside, &directory).unwrap();
    world.nothing_is_lost().await;
}

#[tokio::test]
async fn a_table_behind_its_pin_is_an_error_that_names_both_versions() {
    let world = World::new().await;
    let directory = world.directory(PERSON).await;
    let pin = world.pin(PERSON).await.version;
    let newest = world.newest_manifest(&directory).await;
    let aside = world.root().join("aside");
    fs::rename(&newest, &aside).unwrap();
    let head = lancekeeper_model::Version(pin.0 - 1);
    let words = [format!("HEAD {head}"), format!("manifest version {pin}"), PERSON.to_owned()];
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    world.only_this_table_fails(PERSON, &words).await;
    fs::rename(&aside, &newest).unwrap();
    world.nothing_is_lost().await;
}

#[tokio::test]
async fn an_unreadable_table_manifest_is_its_own_rows_error() {
    let world = World::new().await;
    let newest = world.newest_manifest(&world.directory(PERSON).await).await;
    let good = fs::read(&newest).unwrap();
    let place = world.pin(PERSON).await.location;
    for damage in MANIFEST_DAMAGES {
        damage.inflict(&newest, &good);
        let report = optimize(&world.uri()).await;
        world.only_this_table_failed(&report, PERSON, &[&place]).await;
    }
    fs::write(&newest, good).unwrap();
    world.nothing_is_lost().await;
}

#[tokio::test]
async fn a_damaged_data_file_fails_its_table_and_is_named() {
    let world = World::new().await;
    let directory = world.directory(PERSON).await;
    let fragments = world.table(PERSON).await.fragments().clone();
    let file = fragments[6].files[0].path.clone();
    let path = directory.join("data").join(&file);
    for damage in DAMAGES {
        let good = fs::read(&path).unwrap();
        damage.inflict(&path, &good);
        world.only_this_table_fails(PERSON, &[PERSON, &file]).await;
        fs::write(&path, good).unwrap();
    }
    world.nothing_is_lost().await;
}

#[tokio::test]
async fn a_damaged_file_of_a_database_fails_its_table_and_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let uri = dir.path().to_string_lossy().into_owned();
    let at = |name: &str| dir.path().join(name).to_string_lossy().into_owned();
    let broken = tables::create(&at("b.lance"), 5, 1000, false).await.unwrap();
    let file = broken.fragments()[2].files[0].path.clone();
    let path = dir.path().join("b.lance/data").join(&file);
    let good = fs::read(&path).unwrap();
    let data = names(&dir.path().join("b.lance/data")).unwrap();
    for (number, damage) in DAMAGES.iter().enumerate() {
        for name in ["a", "c"] {
            tables::create(&at(&format!("{name}{number}.lance")), 5, 10, false).await.unwrap();
        }
        damage.inflict(&path, &good);
        let report = optimize(&uri).await;
        assert_eq!(report.exit_code().number(), 3, "{damage:?}: {report:#?}");
        for table in &report.roots[0].tables {
            if table.table_key.as_str() == "b" {
                assert_says(table.error.as_deref(), &["b", &file]);
                assert!(!table.committed);
            } else {
                assert_eq!((&table.error, table.fragments_after), (&None, 1));
            }
        }
        fs::write(&path, &good).unwrap();
        assert_eq!(names(&dir.path().join("b.lance/data")).unwrap(), data, "{damage:?}");
        assert_clean(dir.path());
    }
    let report = optimize(&uri).await;
    assert_eq!(report.exit_code().number(), 0, "{report:#?}");
    let done = report.roots[0].tables.iter().find(|table| table.table_key.as_str() == "b").unwrap();
    assert_eq!((done.rows_after, done.fragments_after), (5000, 1));
}
