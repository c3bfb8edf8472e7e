//! Graphs: whatever any version of `__manifest` pins is read, on every branch, and must be what it
//! says.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use lance::Dataset;
use lance::dataset::UpdateBuilder;
use lancekeeper::{FindingKind, VerifyOptions};
use lancekeeper_testkit::{Fixture, FixturePath};

use super::world::{files_in, verify};
use crate::binary::{lancekeeper, run};

#[tokio::test]
async fn graphs_of_real_clients_are_well_on_all_their_branches_at_fixture_path() {
    for name in ["omnigraph-0.3.1-v1-branches", "omnigraph-0.8.0-branches"] {
        let fixture = FixturePath::unpack(name).unwrap();
        let report = verify(&fixture.uri(), &VerifyOptions::default()).await;
        assert_eq!(report.error, None, "{name}");
        assert!(report.findings.is_empty(), "{name}: {:#?}", report.findings);
        assert!(report.unchecked.is_empty(), "{name}: {:#?}", report.unchecked);
        let branches: BTreeSet<&str> =
            report.tables.iter().map(|table| table.branch.label()).collect();
        assert!(branches.contains("work"), "{name}: {branches:?}");
        let asked: u64 = report.tables.iter().map(|table| table.questions).sum();
        assert!(asked > 0, "{name}");
    }
}

/// The newest data file of a table of a graph.
fn newest(directory: &Path) -> std::path::PathBuf {
    let changed = |file: &std::path::PathBuf| fs::metadata(file).unwrap().modified().unwrap();
    files_in(&directory.join("data")).into_iter().max_by_key(changed).unwrap()
}

/// Where the tables of a graph lie.
fn tables(root: &Path) -> Vec<std::path::PathBuf> {
    let mut all = Vec::new();
    for kind in ["nodes", "edges"] {
        all.extend(fs::read_dir(root.join(kind)).unwrap().map(|entry| entry.unwrap().path()));
    }
    all.sort();
    all
}

#[tokio::test]
async fn a_version_that_only_an_old_commit_pins_is_read_too() {
    let fixture = Fixture::unpack("omnigraph-0.8.0-main-only").unwrap();
    let root = fixture.path("graph");
    let quick = VerifyOptions { quick: true, ..VerifyOptions::default() };
    let report = verify(&fixture.uri("graph"), &quick).await;
    assert!(report.findings.is_empty() && report.unchecked.is_empty(), "{report:#?}");
    let before: u64 = report.tables.iter().map(|table| table.versions).sum();
    // The first version of some table that is pinned more than once.
    let table =
        tables(&root).into_iter().max_by_key(|path| files_in(&path.join("_versions")).len());
    let manifests = files_in(&table.unwrap().join("_versions"));
    let mut manifests: Vec<_> =
        manifests.iter().filter(|path| path.extension().is_some_and(|e| e == "manifest")).collect();
    manifests.sort();
    for old in &manifests[manifests.len() / 2..] {
        fs::remove_file(old).unwrap();
    }
    let report = verify(&fixture.uri("graph"), &quick).await;
    assert!(!report.findings.is_empty(), "{report:#?}");
    for finding in &report.findings {
        assert_eq!(finding.what, FindingKind::VersionUnreadable, "{finding:#?}");
        assert!(finding.message.contains("of __manifest on main"), "{finding:#?}");
    }
    let after: u64 = report.tables.iter().map(|table| table.versions).sum();
    assert_eq!(after + report.findings.len() as u64, before);
}

#[tokio::test]
async fn rows_that_a_pin_declares_and_its_table_does_not_have_are_named() {
    let fixture = Fixture::unpack("omnigraph-0.8.0-main-only").unwrap();
    let manifest = Dataset::open(&fixture.uri("graph/__manifest")).await.unwrap();
    let update = UpdateBuilder::new(Arc::new(manifest))
        .update_where("object_type = 'table_version' AND table_key = 'node:Company'")
        .unwrap()
        .set("row_count", "21")
        .unwrap();
    update.build().unwrap().execute().await.unwrap();
    let kind = FindingKind::DeclaredRows;
    let root = fixture.uri("graph");
    // Manifests are enough for that.
    let quick = VerifyOptions { quick: true, ..VerifyOptions::default() };
    let report = verify(&root, &quick).await;
    let said: Vec<_> =
        report.findings.iter().map(|one| (one.table_key.as_str(), one.what)).collect();
    assert!(!said.is_empty() && said.iter().all(|one| *one == ("node:Company", kind)), "{said:#?}");
    let finding = &report.findings[0];
    assert!(
        finding.message.contains("20 rows") && finding.message.contains("says 21"),
        "{finding:#?}"
    );
}

#[tokio::test]
async fn damage_to_one_table_of_a_graph_hides_none_of_the_others() {
    let fixture = Fixture::unpack("omnigraph-0.8.0-main-only").unwrap();
    let root = fixture.path("graph");
    let all = tables(&root);
    assert_eq!(all.len(), 4);
    for table in &all {
        fs::remove_file(newest(table)).unwrap();
    }
    let report = verify(&fixture.uri("graph"), &VerifyOptions::default()).await;
    let damaged: BTreeSet<&str> =
        report.findings.iter().map(|finding| finding.table_key.as_str()).collect();
    assert_eq!(damaged.len(), 4, "{damaged:?}");
    assert!(report.findings.iter().all(|finding| finding.what == FindingKind::FileMissing));
}

#[tokio::test]
async fn a_graph_whose_newest_pins_cannot_be_read_is_checked_as_far_as_older_ones_go() {
    let fixture = Fixture::unpack("omnigraph-0.8.0-main-only").unwrap();
    fs::remove_file(newest(&fixture.path("graph/__manifest"))).unwrap();
    let report = verify(&fixture.uri("graph"), &VerifyOptions::default()).await;
    assert_eq!(report.error, None);
    let manifest = report.findings.iter().filter(|one| one.table_key.as_str() == "__manifest");
    assert!(manifest.count() >= 2, "the file, and the versions: {report:#?}");
    assert!(
        report.tables.iter().any(|row| row.table_key.as_str() == "node:Person" && row.rows > 0)
    );
    let ran = run(lancekeeper(["verify", &fixture.uri("graph")]));
    assert_eq!(ran.code, Some(1), "{ran:#?}");
}
