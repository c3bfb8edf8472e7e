//! `verify`: what real clients wrote is well, and whatever is damaged is named, with its place, and
//! hides nothing else.

mod content;
mod graphs;
mod indexes;
mod world;

use std::fs;

use lance_index::optimize::OptimizeOptions as IndexOptions;
use lance_table::io::deletion::relative_deletion_file_path;
use lancekeeper::{BranchSelection, FindingKind, VerifyOptions};
use lancekeeper_model::Version;
use lancekeeper_testkit::Fixture;

use crate::binary::{lancekeeper, run};
use world::{Database, FRAGMENTS, ROWS, has, swap, verify};

#[tokio::test]
async fn databases_of_a_real_client_are_well() {
    let fixture = Fixture::unpack("lancedb-python-0.40").unwrap();
    for (name, tables) in [("lancedb", 4), ("lancedb-music", 2)] {
        let root = fixture.uri(name);
        let report = verify(&root, &VerifyOptions::default()).await;
        assert!(report.findings.is_empty() && report.unchecked.is_empty(), "{report:#?}");
        assert_eq!(report.tables.len(), tables);
        for table in &report.tables {
            assert!(table.versions > 0 && table.fragments > 0 && table.rows > 0, "{table:#?}");
        }
        let asked: u64 = report.tables.iter().map(|table| table.questions).sum();
        assert_eq!(asked > 0, name == "lancedb", "where there are indexes, they are asked");
        let ran = run(lancekeeper(["verify", &root]));
        assert_eq!(ran.code, Some(0), "{ran:#?}");
        assert!(ran.stdout.contains("nothing wrong"), "{ran:#?}");
    }
}

#[tokio::test]
async fn a_fragment_that_versions_share_is_read_once() {
    let database = Database::new(false).await;
    let report = database.verify().await;
    assert!(report.findings.is_empty(), "{report:#?}");
    let table = &report.tables[0];
    assert_eq!(table.versions, FRAGMENTS as u64 + 1);
    // Each as it was written, and each with its deleted rows.
    assert_eq!(table.fragments, 2 * FRAGMENTS as u64);
    let (all, live) = (ROWS * FRAGMENTS, ROWS * FRAGMENTS * 9 / 10);
    assert_eq!(table.rows, (all + live) as u64);
    // Data files once, whatever rows of them are deleted.
    assert_eq!(table.files, 2 * FRAGMENTS as u64);
}

#[tokio::test]
async fn a_data_file_that_is_missing_is_named_with_all_versions_that_have_it() {
    let database = Database::new(false).await;
    let file = database.data_file("a", 0).await;
    fs::remove_file(&file).unwrap();
    let kind = FindingKind::FileMissing;
    // With and without its deleted rows it is another fragment.
    let found = database.has(&[("a", kind), ("a", kind)]).await;
    let name = format!("data/{}", file.file_name().unwrap().to_string_lossy());
    assert_eq!(found[0].file.as_deref(), Some(name.as_str()));
    assert_eq!(
        (found[0].fragment, found[0].version, found[0].versions),
        (Some(0), Some(Version(4)), 1)
    );
    assert_eq!((found[1].version, found[1].versions), (Some(Version(3)), 3));
    assert!(found[0].hint.is_some() && found[0].index.is_none(), "{found:#?}");
    let report = database.verify().await;
    assert!(report.tables[0].rows > 0, "the other fragments of the table are read");
    assert_eq!(
        (report.tables[1].findings, report.tables[1].versions),
        (0, 4),
        "and the other table"
    );
}

#[tokio::test]
async fn a_data_file_that_was_cut_or_has_no_end_is_named() {
    let database = Database::new(false).await;
    let (cut, garbage) = (database.data_file("a", 1).await, database.data_file("b", 2).await);
    let content = fs::read(&cut).unwrap();
    fs::write(&cut, &content[..content.len() - 100]).unwrap();
    let length = fs::metadata(&garbage).unwrap().len();
    fs::write(&garbage, vec![7; length as usize]).unwrap();
    let (size, end) = (FindingKind::FileSize, FindingKind::FileDamaged);
    let found = database.has(&[("a", size), ("a", size), ("b", end), ("b", end)]).await;
    let expected = format!("has {} bytes instead of {}", content.len() - 100, content.len());
    assert!(found[0].message.contains(&expected), "{found:#?}");
    let quick = VerifyOptions { quick: true, ..VerifyOptions::default() };
    // For that no row has to be read.
    let expected = [("a", size), ("a", size), ("b", end), ("b", end)];
    has(&database.root(), &quick, &expected).await;
}

#[tokio::test]
async fn a_data_file_of_the_same_size_that_holds_something_else_is_named() {
    let database = Database::new(false).await;
    let file = database.data_file("a", 0).await;
    let mut content = fs::read(&file).unwrap();
    let end = content.len() - 4;
    content[..end].fill(7);
    fs::write(&file, &content).unwrap();
    let report = database.verify().await;
    assert!(!report.findings.is_empty(), "{report:#?}");
    for finding in &report.findings {
        assert_eq!((finding.table_key.as_str(), finding.fragment), ("a", Some(0)), "{finding:#?}");
        let is_read = [FindingKind::FileDamaged, FindingKind::DataUnreadable];
        assert!(is_read.contains(&finding.what), "{finding:#?}");
    }
    let quick = VerifyOptions { quick: true, ..VerifyOptions::default() };
    assert!(verify(&database.root(), &quick).await.findings.is_empty(), "that takes a look inside");
    let ran = run(lancekeeper(["verify", &database.root()]));
    assert_eq!(ran.code, Some(1), "{ran:#?}");
}

#[tokio::test]
async fn data_files_that_changed_places_are_found_by_an_index() {
    let database = Database::new(false).await;
    database.index("a", "id", "btree").await;
    let (one, other) = (database.data_file("a", 0).await, database.data_file("a", 1).await);
    assert_eq!(fs::metadata(&one).unwrap().len(), fs::metadata(&other).unwrap().len());
    swap(&one, &other);
    let found = database.has(&[("a", FindingKind::IndexWrong)]).await;
    assert_eq!(found[0].index.as_deref(), Some("id_btree"), "{found:#?}");
}

#[tokio::test]
async fn a_deletion_file_that_is_missing_or_another_ones_is_named() {
    let database = Database::new(false).await;
    let files = database.deletion_files("a");
    fs::remove_file(&files[0]).unwrap();
    let found = database.has(&[("a", FindingKind::FileMissing)]).await;
    assert!(
        found[0].file.as_ref().is_some_and(|file| file.starts_with("_deletions/")),
        "{found:#?}"
    );
    // That of one fragment has another number of rows than the manifest says of the other.
    database.open("b").await.delete("id IN (41, 42)").await.unwrap();
    let head = database.open("b").await;
    let place = |fragment: usize| {
        let fragment = &head.fragments()[fragment];
        let file = fragment.deletion_file.as_ref().unwrap();
        database.path("b").join(relative_deletion_file_path(fragment.id, file))
    };
    fs::copy(place(1), place(0)).unwrap();
    let found =
        database.has(&[("a", FindingKind::FileMissing), ("b", FindingKind::FileDamaged)]).await;
    assert!(found[1].message.contains("deletion"), "{found:#?}");
}

#[tokio::test]
async fn a_version_that_cannot_be_opened_is_named_and_the_others_are_read() {
    let database = Database::new(false).await;
    let manifests = world::files_in(&database.path("a").join("_versions"));
    // They count down: the last one in order is the oldest.
    let oldest =
        manifests.iter().rfind(|path| path.extension().is_some_and(|end| end == "manifest"));
    let mut content = fs::read(oldest.unwrap()).unwrap();
    let end = content.len() - 20;
    content.truncate(end);
    fs::write(oldest.unwrap(), content).unwrap();
    let found = database.has(&[("a", FindingKind::VersionUnreadable)]).await;
    assert_eq!(found[0].version, Some(Version(1)));
    let report = database.verify().await;
    assert_eq!(report.tables[0].versions, 3);
}

#[tokio::test]
async fn what_a_tag_names_must_be_there_and_branches_are_read_even_if_main_cannot_be() {
    let database = Database::new(false).await;
    let mut table = database.open("a").await;
    table.tags().create("kept", 2).await.unwrap();
    let fork = table.create_branch("work", 3, None).await.unwrap();
    drop(fork);
    assert!(database.has(&[]).await.is_empty());
    let versions = database.path("a").join("_versions");
    let of = |version: u64| versions.join(format!("{:020}.manifest", u64::MAX - version));
    fs::remove_file(of(2)).unwrap();
    let found = database.has(&[("a", FindingKind::VersionUnreadable)]).await;
    assert!(found[0].message.contains("tag kept"), "{found:#?}");
    // The newest version of main is gone bad: what else there is can still be read.
    fs::write(of(4), b"garbage").unwrap();
    let report = database.verify().await;
    let work = report.tables.iter().find(|table| table.branch.label() == "work").unwrap();
    assert_eq!((work.versions, work.findings), (1, 0), "{report:#?}");
    let what: Vec<_> = report.findings.iter().map(|found| (found.what, found.version)).collect();
    assert!(what.contains(&(FindingKind::VersionUnreadable, Some(Version(4)))), "{report:#?}");
    assert!(report.unchecked.iter().any(|unchecked| unchecked.what == "its tags"), "{report:#?}");
}

#[tokio::test]
async fn tables_and_branches_that_are_named_are_checked_alone_and_must_exist() {
    let database = Database::new(false).await;
    database.open("a").await.create_branch("work", 2, None).await.unwrap();
    let only = |tables: &[&str], branches: &[&str]| VerifyOptions {
        tables: tables.iter().map(|&name| name.to_owned()).collect(),
        branches: match branches {
            [] => BranchSelection::All,
            named => BranchSelection::Named(named.iter().map(|&name| name.to_owned()).collect()),
        },
        ..VerifyOptions::default()
    };
    for (tables, branches, expected) in [
        (&[][..], &[][..], &["a", "a@work", "b"][..]),
        (&["b"], &[], &["b"]),
        (&[], &["work"], &["a@work"]),
        (&["a"], &["main"], &["a"]),
    ] {
        let report = verify(&database.root(), &only(tables, branches)).await;
        let rows = report.tables.iter().map(|row| match row.branch.is_main() {
            true => row.table_key.to_string(),
            false => format!("{}@{}", row.table_key, row.branch),
        });
        assert_eq!(rows.collect::<Vec<_>>(), expected);
    }
    for options in [only(&["zebra"], &[]), only(&[], &["zebra"])] {
        let report = verify(&database.root(), &options).await;
        assert!(report.error.is_some_and(|error| error.contains("zebra")));
    }
    let single = verify(&database.uri("a"), &VerifyOptions::default()).await;
    assert_eq!((single.tables.len(), single.findings.len()), (2, 0), "{single:#?}");
}

#[tokio::test]
async fn an_index_that_grew_is_asked_in_each_of_its_shapes() {
    use lance::index::DatasetIndexExt;

    let database = Database::new(true).await;
    database.index("a", "id", "btree").await;
    database.open("a").await.append_more().await;
    database.open("a").await.optimize_indices(&IndexOptions::append()).await.unwrap();
    let report = database.verify().await;
    assert!(report.findings.is_empty(), "{report:#?}");
    assert_eq!(report.tables[0].indexes, 2, "{report:#?}");
}

trait AppendMore {
    async fn append_more(self);
}

impl AppendMore for lance::Dataset {
    /// The rows that the table has already, once more.
    async fn append_more(mut self) {
        let batch = self.scan().try_into_batch().await.unwrap();
        let schema = batch.schema();
        let reader = arrow_array::RecordBatchIterator::new([Ok(batch)], schema);
        self.append(reader, None).await.unwrap();
    }
}
