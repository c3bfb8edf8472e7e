//! The verb `repair`: what is committed to tables past their graph is told for what it is, published only if that
//! makes no difference or somebody says so, and never lost.

mod refusals;
mod relocate;
mod world;

use std::sync::Arc;

use chrono::TimeDelta;
use lancekeeper::{
    BranchSelection, CleanupOptions, CleanupPolicyOptions, DriftClass, Keeper, NoProgress,
    OptimizeOptions, RepairAction, RepairOptions, SkipReason, StatusOptions,
};
use lancekeeper_testkit::graph_rows;

use crate::fixtures::tree;
use world::{World, confirmed, forced, of, rows_of};

const PROVEN: DriftClass = DriftClass::VerifiedMaintenance;
const SUSPICIOUS: DriftClass = DriftClass::Suspicious;

/// What each table of [`World::with_every_drift`] is.
const EVERY: [(&str, DriftClass); 10] = [
    ("node:Level", DriftClass::NoDrift),
    ("node:Compacted", PROVEN),
    ("node:Indexed", PROVEN),
    ("node:Unset", PROVEN),
    ("node:Configured", SUSPICIOUS),
    ("node:Appended", SUSPICIOUS),
    ("node:Deleted", SUSPICIOUS),
    ("node:Updated", SUSPICIOUS),
    ("node:Mixed", SUSPICIOUS),
    ("node:Back", PROVEN),
];

#[tokio::test]
async fn only_maintenance_is_published_unasked_and_a_preview_writes_nothing() {
    let world = World::with_every_drift().await;
    let seen = graph_rows(world.uri()).await.unwrap();
    let files = tree(world.uri());
    let report = world.repair(&RepairOptions::default()).await;
    assert_eq!(report.exit_code().number(), 0, "{report:#?}");
    assert_eq!(tree(world.uri()), files, "a preview writes nothing");
    assert_eq!(report.roots[0].tables.len(), EVERY.len());
    for (key, class) in EVERY {
        let row = of(&report, key);
        assert_eq!(row.classification, Some(class), "{row:#?}");
        let (action, would) = match class {
            DriftClass::NoDrift => (RepairAction::NoOp, RepairAction::NoOp),
            PROVEN => (RepairAction::Preview, RepairAction::Healed),
            _ => (RepairAction::Preview, RepairAction::Refused),
        };
        assert_eq!((row.action, row.would), (action, would), "{row:#?}");
    }
    let changes = |key: &str| {
        let rows = of(&report, key).rows.unwrap();
        (rows.appear, rows.disappear, rows.change)
    };
    assert_eq!(changes("node:Appended"), (2, 0, 0));
    assert_eq!(changes("node:Deleted"), (0, 1, 0));
    assert_eq!(changes("node:Updated"), (0, 0, 1));
    assert_eq!(changes("node:Configured"), (0, 0, 0));
    assert_eq!(of(&report, "node:Mixed").operations, ["ReserveFragments", "Rewrite", "Append"]);

    let before = world.manifest_version("main").await;
    let report = world.repair(&confirmed()).await;
    assert_eq!(report.exit_code().number(), 13, "some take a decision: {report:#?}");
    assert_eq!(report.roots[0].published, 1);
    assert_eq!(world.manifest_version("main").await, before + 1, "one publish for all of them");
    assert_eq!(world.newest_actor("main").await.as_deref(), Some("omnigraph:repair"));
    for (key, class) in EVERY {
        let row = of(&report, key);
        let (pin, head) = world.pin_and_head(key, "main").await;
        let expected = match class {
            DriftClass::NoDrift => RepairAction::NoOp,
            PROVEN => RepairAction::Healed,
            _ => RepairAction::Refused,
        };
        assert_eq!(row.action, expected, "{row:#?}");
        assert_eq!(pin == head, class != SUSPICIOUS, "{key}: {pin} and {head}");
    }
    assert!(graph_rows(world.uri()).await.unwrap() == seen, "readers see what they saw");
    let report = world.repair(&confirmed()).await;
    assert_eq!(report.roots[0].published, 0, "nothing is left that is proven");
    assert_eq!(world.manifest_version("main").await, before + 1);
}

#[tokio::test]
async fn what_the_caller_forces_is_what_readers_see_and_then_there_is_no_drift() {
    let world = World::with_every_drift().await;
    let before = world.manifest_version("main").await;
    let report = world.repair(&forced()).await;
    assert_eq!(report.exit_code().number(), 0, "{report:#?}");
    assert_eq!(of(&report, "node:Appended").action, RepairAction::Forced);
    assert_eq!(of(&report, "node:Compacted").action, RepairAction::Healed);
    assert_eq!(world.manifest_version("main").await, before + 1);
    assert_eq!(world.newest_actor("main").await.as_deref(), Some("omnigraph:repair:force"));
    for (key, rows) in [("node:Appended", 8), ("node:Deleted", 5), ("node:Mixed", 8)] {
        assert_eq!(rows_of(world.uri(), "main", key).await, rows, "{key}");
    }
    world.is_level().await;
    let report = world.repair(&forced()).await;
    assert_eq!(report.exit_code().number(), 0);
    assert!(report.roots[0].tables.iter().all(|row| row.action == RepairAction::NoOp));
    assert_eq!(world.manifest_version("main").await, before + 1, "twice changes nothing");
}

/// The strictest cleanup there is, of everything however young.
fn strictest() -> CleanupOptions {
    CleanupOptions {
        policy: CleanupPolicyOptions { keep_versions: Some(1), older_than: None },
        writer_window: TimeDelta::zero(),
        min_age: TimeDelta::zero(),
        min_fork_age: TimeDelta::zero(),
        max_delete_percent: 100,
        ..CleanupOptions::default()
    }
}

#[tokio::test]
async fn what_is_taken_back_is_not_seen_any_more_and_no_cleanup_loses_it() {
    let world = World::with_every_drift().await;
    world.drift_on_a_branch("team/work", "node:Level").await;
    let seen = graph_rows(world.uri()).await.unwrap();
    let preview =
        RepairOptions { restore_pin: true, assume_dead: true, ..RepairOptions::default() };
    let report = world.repair(&preview).await;
    let row = of(&report, "node:Appended");
    assert_eq!((row.action, row.would), (RepairAction::Preview, RepairAction::Restored));
    let forced = RepairOptions { force: true, restore_pin: false, ..preview.clone() };
    let report = world.repair(&forced).await;
    let row = of(&report, "node:Appended");
    assert_eq!((row.action, row.would), (RepairAction::Preview, RepairAction::Forced));
    assert!((report.roots[0].force, report.roots[0].confirm) == (true, false), "{report:#?}");

    let report = world.repair(&RepairOptions { confirm: true, ..preview }).await;
    assert_eq!(report.exit_code().number(), 0, "{report:#?}");
    assert_eq!(report.roots[0].published, 2, "one publish for main, one for the branch");
    assert!(graph_rows(world.uri()).await.unwrap() == seen, "readers see what they saw");
    assert_eq!(of(&report, "node:Compacted").action, RepairAction::Healed);
    world.is_level().await;
    assert_eq!(world.newest_actor("team/work").await.as_deref(), Some("omnigraph:repair"));

    let restored = report.roots[0].tables.iter().filter(|r| r.action == RepairAction::Restored);
    let restored: Vec<_> = restored.cloned().collect();
    assert_eq!(restored.len(), 6, "five on main, one on the branch: {report:#?}");
    let cleaned = Keeper::new().cleanup([world.uri()], &strictest()).await;
    assert_eq!(cleaned.exit_code().number(), 0, "{cleaned:#?}");
    assert!(graph_rows(world.uri()).await.unwrap() == seen);
    for row in restored {
        let tag = row.kept_as.as_deref().unwrap();
        let kept = world.tagged(row.table_key.as_str(), tag).await;
        assert_eq!(kept.manifest().version, row.lance_head_version.unwrap().0, "{tag}");
        assert_eq!(kept.manifest().branch.as_deref().unwrap_or("main"), row.branch.label());
        let rows = kept.scan().try_into_batch().await.unwrap().num_rows() as u64;
        assert_eq!(Some(rows), row.rows_head, "{tag} reads what was taken back");
    }
    // And the tables are like any other again.
    let options = OptimizeOptions { branches: BranchSelection::All, ..OptimizeOptions::default() };
    let report = Keeper::new().optimize([world.uri()], &options, Arc::new(NoProgress)).await;
    assert_eq!(report.exit_code().number(), 0, "{report:#?}");
    let drifts = |row: &&lancekeeper::TableOptimizeStats| {
        row.skipped == Some(SkipReason::DriftNeedsRepair) || row.error.is_some()
    };
    assert_eq!(report.roots[0].tables.iter().filter(drifts).count(), 0, "{report:#?}");
    world.is_level().await;
}

#[tokio::test]
async fn each_branch_is_repaired_by_itself_and_what_it_only_reads_is_left_alone() {
    let world = World::with_every_drift().await;
    world.drift_on_a_branch("work", "node:Level").await;
    let branches = BranchSelection::Named(vec!["work".to_owned()]);
    let report = world.repair(&RepairOptions { branches, ..forced() }).await;
    assert_eq!(report.exit_code().number(), 0, "{report:#?}");
    let rows = &report.roots[0].tables;
    assert_eq!(rows.len(), 1, "it reads all others from main: {rows:#?}");
    assert_eq!((rows[0].action, rows[0].branch.label()), (RepairAction::Forced, "work"));
    assert_eq!(rows_of(world.uri(), "work", "node:Level").await, 8);
    assert_eq!(rows_of(world.uri(), "main", "node:Level").await, 6);
    let (pin, head) = world.pin_and_head("node:Level", "work").await;
    assert_eq!(pin, head);
    let (pin, head) = world.pin_and_head("node:Appended", "main").await;
    assert_ne!(pin, head, "main was not asked for");

    let tables = vec!["node:Appended".to_owned()];
    let report = world.repair(&RepairOptions { tables, ..forced() }).await;
    assert_eq!(report.roots[0].tables.len(), 1, "{report:#?}");
    let (pin, head) = world.pin_and_head("node:Appended", "main").await;
    assert_eq!(pin, head);
    let (pin, head) = world.pin_and_head("node:Deleted", "main").await;
    assert_ne!(pin, head, "nor was this table");
}

#[tokio::test]
async fn other_verbs_send_to_repair() {
    let world = World::with_every_drift().await;
    let status = Keeper::new().status_of([world.uri()], StatusOptions::default()).await;
    let tables = &status.roots[0].tables;
    let row = tables.iter().find(|row| row.table_key.as_str() == "node:Appended").unwrap();
    assert!(row.drift_head.is_some() && row.would.contains("lancekeeper repair"), "{row:#?}");
    let options = OptimizeOptions::default();
    let report = Keeper::new().optimize([world.uri()], &options, Arc::new(NoProgress)).await;
    let tables = &report.roots[0].tables;
    let row = tables.iter().find(|row| row.table_key.as_str() == "node:Appended").unwrap();
    assert_eq!(row.skipped, Some(SkipReason::DriftNeedsRepair));
    assert!(row.reason.contains("lancekeeper repair"), "{row:#?}");
}
