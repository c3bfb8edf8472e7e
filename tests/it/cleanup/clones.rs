//! Clones inside a database, and tables with two names: whoever cannot be asked what it reads keeps it.

use std::fs;

use lancekeeper_model::SkipReason;
use tempfile::TempDir;

use super::*;

/// Tables `a` and `other`, and clone `b` of version 5 of `a`, which has other rows by now.
struct Database {
    directory: TempDir,
    /// What the clone reads.
    rows: Vec<String>,
}

impl Database {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut database = Self { directory, rows: Vec::new() };
        let mut origin = tables::create(&database.uri("a.lance"), 5, 10, false).await.unwrap();
        tables::create(&database.uri("other.lance"), 5, 10, false).await.unwrap();
        origin.shallow_clone(&database.uri("b.lance"), 5, None).await.unwrap();
        tables::append(&database.uri("b.lance"), 900, 5).await.unwrap();
        origin.delete("id >= 0").await.unwrap();
        tables::append(&database.uri("a.lance"), 500, 3).await.unwrap();
        database.rows = table_rows(&database.open("b.lance").await).await.unwrap();
        database
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn uri(&self, name: &str) -> String {
        self.path(name).to_string_lossy().into_owned()
    }

    async fn open(&self, name: &str) -> Dataset {
        DatasetBuilder::from_uri(self.uri(name)).load().await.unwrap()
    }

    /// Manifests of the clone.
    fn manifests(&self) -> Vec<PathBuf> {
        let found = fs::read_dir(self.path("b.lance/_versions")).unwrap();
        let paths = found.map(|entry| entry.unwrap().path());
        paths.filter(|path| path.extension().is_some_and(|e| e == "manifest")).collect()
    }
}

/// Damages files; returns what they were.
fn damage(files: &[PathBuf]) -> Vec<(PathBuf, Vec<u8>)> {
    let before: Vec<_> = files.iter().map(|file| (file.clone(), fs::read(file).unwrap())).collect();
    for file in files {
        fs::write(file, b"damaged").unwrap();
    }
    before
}

#[tokio::test]
async fn a_clone_that_cannot_be_read_keeps_what_it_may_read() {
    let database = Database::new().await;
    let all = database.manifests();
    // With one of them left what it reads is known; with none it may be anything.
    for (damaged, spares_others) in [(&all[..1], false), (&all[..], true)] {
        let before = files(&database.uri("a.lance"));
        let contents = damage(damaged);
        let report = cleanup(&database.uri(""), &keep(1)).await;
        for (file, content) in contents {
            fs::write(file, content).unwrap();
        }
        let all_fail = if spares_others { 1 } else { 3 };
        assert_eq!(report.exit_code().number(), all_fail, "{report:#?}");
        let row = row_of(&report, "a");
        assert!(row.error.as_deref().unwrap().contains("may be a clone"), "{row:#?}");
        assert_eq!(row.bytes_removed, 0, "{row:#?}");
        assert_eq!(files(&database.uri("a.lance")), before);
        assert_eq!(table_rows(&database.open("b.lance").await).await.unwrap(), database.rows);
        // Tables that it does not read lose nothing by it, unless nobody can know.
        let went = row_of(&report, "other").old_versions_removed;
        assert_eq!(went > 0, !spares_others, "{report:#?}");
        tables::append(&database.uri("other.lance"), 700, 5).await.unwrap();
    }
    let report = clean(&database.uri(""), &keep(1)).await;
    assert!(row_of(&report, "a").old_versions_removed > 0, "{report:#?}");
    assert_eq!(table_rows(&database.open("b.lance").await).await.unwrap(), database.rows);
}

#[tokio::test]
async fn a_clone_of_a_table_behind_a_link_keeps_what_it_reads() {
    let database = Database::new().await;
    // The tables move, and their place becomes a link: the clone's base is what the link leads to.
    fs::create_dir(database.path("store")).unwrap();
    fs::rename(database.path("a.lance"), database.path("store/a")).unwrap();
    std::os::unix::fs::symlink(database.path("store/a"), database.path("a.lance")).unwrap();
    assert_eq!(table_rows(&database.open("b.lance").await).await.unwrap(), database.rows);
    let report = clean(&database.uri(""), &keep(1)).await;
    assert!(row_of(&report, "a").old_versions_removed > 0, "{report:#?}");
    assert_eq!(table_rows(&database.open("b.lance").await).await.unwrap(), database.rows);
}

#[tokio::test]
async fn a_table_with_two_names_is_cleaned_up_once() {
    let database = Database::new().await;
    std::os::unix::fs::symlink(database.path("a.lance"), database.path("z.lance")).unwrap();
    let previewed = preview(&database.uri(""), &keep(1)).await;
    let report = cleanup(&database.uri(""), &keep(1)).await;
    assert_eq!(report.exit_code().number(), 0, "{report:#?}");
    assert_eq!(row_of(&report, "z").skipped, Some(SkipReason::AnotherName), "{report:#?}");
    assert_eq!(previewed.totals.bytes_removed, report.totals.bytes_removed);
    assert!(row_of(&report, "a").old_versions_removed > 0, "{report:#?}");
    assert_eq!(table_rows(&database.open("b.lance").await).await.unwrap(), database.rows);
}

#[tokio::test]
async fn a_base_of_which_nobody_can_tell_where_it_leads_may_be_here() {
    let database = Database::new().await;
    // The clone's base becomes a link that leads to itself; the name is as long as that of `a.lance`.
    let (base, circle) = (database.uri("a.lance"), database.uri("circles"));
    std::os::unix::fs::symlink(&circle, &circle).unwrap();
    for manifest in database.manifests() {
        let mut content = fs::read(&manifest).unwrap();
        let at = content.windows(base.len()).position(|window| window == base.as_bytes()).unwrap();
        content[at..at + base.len()].copy_from_slice(circle.as_bytes());
        fs::write(&manifest, content).unwrap();
    }
    let report = cleanup(&database.uri(""), &keep(1)).await;
    assert_eq!(report.exit_code().number(), 1, "{report:#?}");
    for name in ["a", "other"] {
        let row = row_of(&report, name);
        assert!(row.error.as_deref().unwrap().contains("may be a clone"), "{row:#?}");
        assert_eq!(row.bytes_removed, 0);
    }
}
