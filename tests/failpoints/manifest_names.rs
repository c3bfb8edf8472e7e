//! Manifests get new names and it fails or dies between any two of them: nobody opens the table until the next
//! run, which finishes it, and every version reads as before.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::RecordBatchIterator;
use fail::{FailGuard, FailScenario};
use lance::Dataset;
use lance::dataset::WriteParams;
use lance::dataset::builder::DatasetBuilder;
use lancekeeper::{
    Keeper, MigrateGoal, MigrateOptions, MigrateReport, NoProgress, OptimizeOptions, TableStep,
};
use lancekeeper_store::failpoint;
use lancekeeper_testkit::{table_rows, tables};
use tempfile::TempDir;

use crate::child::{Death, Verb, run_and_die};

const BETWEEN: &str = failpoint::MIGRATE_BETWEEN_NAMES;
/// Versions of main of the table, and of its branch.
const VERSIONS: (usize, usize) = (11, 2);

/// The failpoints at which a renaming dies in these tests.
pub(crate) const DIED_AT: &[&str] = &[failpoint::MIGRATE_BETWEEN_NAMES];
/// Those at which it fails.
pub(crate) const FAILED_AT: &[&str] = &[failpoint::MIGRATE_BETWEEN_NAMES];

pub(crate) fn to_new_names() -> MigrateOptions {
    let goal = MigrateGoal::Tables(TableStep::ManifestPaths { assume_alone: true });
    MigrateOptions { goal, ..MigrateOptions::default() }
}

/// A table that an old client made, with a tag and a branch.
struct Old {
    directory: TempDir,
    rows: BTreeMap<String, Vec<String>>,
    _failpoints: FailScenario<'static>,
}

impl Old {
    async fn new() -> Self {
        let failpoints = FailScenario::setup();
        let directory = tempfile::tempdir().unwrap();
        let mut old = Self { directory, rows: BTreeMap::new(), _failpoints: failpoints };
        let params = WriteParams { enable_v2_manifest_paths: false, ..WriteParams::default() };
        let batch = tables::batch(0, 10);
        let schema = batch.schema();
        let reader = RecordBatchIterator::new([Ok(batch)], schema);
        Dataset::write(reader, &old.table(), Some(params)).await.unwrap();
        for n in 1..VERSIONS.0 {
            tables::append(&old.table(), n as i64 * 10, 10).await.unwrap();
        }
        let mut head = old.at(None).await.unwrap();
        head.tags().create("first", 1).await.unwrap();
        let mut side = head.create_branch("side", 4, None).await.unwrap();
        side.delete("id < 5").await.unwrap();
        old.rows = old.read().await;
        old
    }

    fn table(&self) -> String {
        self.directory.path().join("t.lance").to_str().unwrap().to_owned()
    }

    async fn at(&self, version: Option<u64>) -> lance::Result<Dataset> {
        let builder = DatasetBuilder::from_uri(self.table());
        match version {
            Some(version) => builder.with_version(version).load().await,
            None => builder.load().await,
        }
    }

    async fn read(&self) -> BTreeMap<String, Vec<String>> {
        let mut rows = BTreeMap::new();
        for version in 1..=VERSIONS.0 as u64 {
            let at = self.at(Some(version)).await.unwrap();
            rows.insert(version.to_string(), table_rows(&at).await.unwrap());
        }
        let tag = DatasetBuilder::from_uri(self.table()).with_tag("first").load().await.unwrap();
        rows.insert("tag".to_owned(), table_rows(&tag).await.unwrap());
        let side = DatasetBuilder::from_uri(self.table()).with_branch("side", None);
        rows.insert("side".to_owned(), table_rows(&side.load().await.unwrap()).await.unwrap());
        rows
    }

    async fn migrate(&self) -> MigrateReport {
        Keeper::new().migrate([self.table()], &to_new_names()).await
    }

    /// No keeper and no client opens what has both names, nor writes to it; one version by its number can be read.
    async fn is_between(&self) {
        let said = self.at(None).await.unwrap_err().to_string();
        assert!(said.contains("multiple manifest naming schemes"), "{said}");
        assert!(tables::append(&self.table(), 500, 1).await.is_err());
        let options = OptimizeOptions::default();
        let run = Keeper::new().optimize(&[self.table()], &options, Arc::new(NoProgress)).await;
        assert_ne!(run.exit_code().number(), 0, "{run:#?}");
        let third = self.at(Some(3)).await.unwrap();
        assert_eq!(table_rows(&third).await.unwrap(), self.rows["3"]);
    }

    async fn is_finished(&self) {
        let report = self.migrate().await;
        assert_eq!(report.exit_code().number(), 0, "{report:#?}");
        assert!(self.read().await == self.rows, "rows changed");
        let again = self.migrate().await;
        assert!(again.roots[0].tables.iter().all(|table| !table.changed), "{again:#?}");
    }
}

#[tokio::test]
async fn a_renaming_that_fails_between_any_two_names_is_finished_by_the_next() {
    let mut crossings = 0;
    loop {
        let old = Old::new().await;
        let guard = FailGuard::new(BETWEEN, &format!("{crossings}*off->1*return")).unwrap();
        let report = old.migrate().await;
        drop(guard);
        if report.exit_code().number() == 0 {
            assert!(old.read().await == old.rows, "rows changed");
            break;
        }
        let failed = report.roots[0].tables.iter().find_map(|table| table.error.as_deref());
        assert!(failed.unwrap().contains("injected failpoint"), "{report:#?}");
        if crossings % 4 == 1 {
            // Of the branch, or of main: not after the last name of either.
            if old.at(None).await.is_err() {
                old.is_between().await;
            }
        }
        old.is_finished().await;
        crossings += 1;
    }
    assert!(crossings >= VERSIONS.0, "{crossings} names were given");
}

#[tokio::test]
async fn a_renaming_that_is_killed_is_finished_by_the_next() {
    for crossing in [4, 9] {
        let old = Old::new().await;
        run_and_die(
            &old.table(),
            Death { verb: Verb::NameManifests, ..Death::at(BETWEEN, crossing) },
        );
        old.is_between().await;
        old.is_finished().await;
    }
}
