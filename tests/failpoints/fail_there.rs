//! `optimize` fails, at every failpoint it crosses: it says so, nothing is lost, what it
//! staged and did not commit is gone at once, and the next run finishes the work.

use fail::FailGuard;
use lancekeeper::{Branch, BranchSelection, OptimizeOptions, SkipReason, TableOptimizeStats};
use lancekeeper_store::failpoint;

use crate::pause::count;
use crate::world::{MOVING, PERSON, World, moved, pinned, says_injected};

/// What a failed run may leave for the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leaves {
    /// No sidecar and no journal entry.
    Nothing,
    /// Sidecars of tables that are published.
    Sidecars,
    /// Sidecars and journal entries: recovery has to find out, or to finish.
    Open,
}

async fn fails_there(world: World, name: &'static str, action: &str, leaves: Leaves) {
    let pins = world.pins().await;
    let guard = FailGuard::new(name, action).unwrap();
    let report = world.optimize().await;
    drop(guard);

    assert!(says_injected(&report, name), "{report:#?}");
    assert_ne!(report.exit_code().number(), 0, "{report:#?}");
    world.reads_as_before().await;
    world.has_no_unexplained_file().await;
    let now = world.pins().await;
    for table in pinned(&report) {
        let key = table.table_key.as_str();
        assert_eq!(table.committed, now[key] != pins[key], "{table:#?}");
        // The tables that stayed stayed; the others are published or covered.
        let explained = world.client.head(key).await == now[key] || leaves == Leaves::Open;
        assert!(explained, "{table:#?}");
    }
    assert_eq!(world.sidecars().is_empty(), leaves == Leaves::Nothing);
    assert_eq!(world.journal().is_empty(), leaves != Leaves::Open);
    world.converges().await;
}

macro_rules! failures {
    ($($test:ident: $world:expr, $name:ident $action:literal, $leaves:expr;)*) => {
        $(
            #[tokio::test]
            async fn $test() {
                fails_there($world.await, failpoint::$name, $action, $leaves).await;
            }
        )*

        /// The failpoints at which a run of these tests fails.
        pub(crate) const FAILED_AT: &[&str] = &[$(failpoint::$name),*];
    };
}

failures! {
    a_listing_of_sidecars_that_fails_stops_the_open:
        World::v4(), RECOVERY_SIDECAR_LIST "return", Leaves::Nothing;
    a_listing_of_sidecars_that_fails_under_the_lock_stops_the_open:
        World::v4(), RECOVERY_SIDECAR_LIST "1*off->return", Leaves::Nothing;
    a_listing_of_sidecars_that_fails_in_the_recheck_undoes_the_staging:
        World::v4(), RECOVERY_SIDECAR_LIST "2*off->return", Leaves::Nothing;
    failing_after_every_staged_group_undoes_the_staging:
        World::v4(), OPTIMIZE_AFTER_STAGE_GROUP "return", Leaves::Nothing;
    failing_after_one_staged_group_spares_the_other_tables:
        World::v4(), OPTIMIZE_AFTER_STAGE_GROUP "1*return", Leaves::Nothing;
    failing_with_everything_staged_undoes_the_staging:
        World::v4(), OPTIMIZE_STAGED_PRE_ENTER "return", Leaves::Nothing;
    failing_with_the_keys_held_undoes_the_staging:
        World::v4(), OPTIMIZE_ENTERED_PRE_RECHECK "return", Leaves::Nothing;
    failing_after_the_recheck_undoes_the_staging:
        World::v4(), OPTIMIZE_RECHECKED_PRE_ARM "return", Leaves::Nothing;
    a_sidecar_that_cannot_be_written_moves_nothing:
        World::v4(), RECOVERY_SIDECAR_WRITE "return", Leaves::Nothing;
    failing_over_every_armed_table_disarms_it:
        World::v4(), OPTIMIZE_ARMED_PRE_COMMIT "return", Leaves::Nothing;
    failing_over_the_second_armed_table_spares_the_others:
        World::v4(), OPTIMIZE_ARMED_PRE_COMMIT "1*off->1*return", Leaves::Nothing;
    failing_with_auto_cleanup_removed_publishes_that:
        async { World::v4().await.with_auto_cleanup().await },
        OPTIMIZE_STRIPPED_PRE_RESERVE "return", Leaves::Nothing;
    failing_over_every_indexed_table_publishes_it:
        World::v4(), OPTIMIZE_INDEXED_PRE_RESERVE "return", Leaves::Nothing;
    failing_over_the_second_indexed_table_spares_the_others:
        World::v4(), OPTIMIZE_INDEXED_PRE_RESERVE "1*off->1*return", Leaves::Nothing;
    failing_over_every_reservation_publishes_it:
        World::v4(), OPTIMIZE_RESERVED_PRE_REWRITE "return", Leaves::Nothing;
    failing_over_the_second_reservation_spares_the_others:
        World::v4(), OPTIMIZE_RESERVED_PRE_REWRITE "1*off->1*return", Leaves::Nothing;
    failing_over_every_rewritten_table_publishes_it:
        World::v4(), OPTIMIZE_REWRITTEN_PRE_NEXT "return", Leaves::Nothing;
    failing_over_the_second_rewritten_table_publishes_it:
        World::v4(), OPTIMIZE_REWRITTEN_PRE_NEXT "1*off->1*return", Leaves::Nothing;
    failing_before_the_publish_leaves_it_to_recovery:
        World::v4(), OPTIMIZE_POST_PHASE_B "return", Leaves::Open;
    failing_before_the_commit_row_of_a_v3_graph_leaves_it_to_recovery_at_fixture_path:
        World::v3_at_path(), PUBLISH_BEFORE_COMMIT_ROW "return", Leaves::Open;
    failing_before_the_sidecars_are_deleted_leaves_them_to_recovery:
        World::v4(), OPTIMIZE_PUBLISHED_PRE_DISARM "return", Leaves::Sidecars;
    failing_with_everything_disarmed_forgets_the_journal_all_the_same:
        World::v4(), OPTIMIZE_DISARMED_PRE_JOURNAL "return", Leaves::Nothing;
}

#[tokio::test]
async fn the_listing_fails_before_anything_is_written() {
    let world = World::v4().await;
    let before = world.data_files().await;
    let guard = FailGuard::new(failpoint::RECOVERY_SIDECAR_LIST, "return").unwrap();
    let report = world.optimize().await;
    drop(guard);
    assert!(report.roots[0].error.is_some(), "{report:#?}");
    assert!(report.roots[0].tables.is_empty());
    assert_eq!(world.data_files().await, before);
    assert!(!std::path::Path::new(world.uri()).join("__maintenance").exists());
}

#[tokio::test]
async fn a_sidecar_that_cannot_be_written_fails_its_table_and_no_other() {
    let world = World::v4().await;
    let pins = world.pins().await;
    let guard = FailGuard::new(failpoint::RECOVERY_SIDECAR_WRITE, "1*return").unwrap();
    let report = world.optimize().await;
    drop(guard);
    assert_eq!(report.exit_code().number(), 3, "{report:#?}");
    assert_eq!(report.roots[0].published, 1);
    let failed: Vec<_> = pinned(&report).filter(|table| table.error.is_some()).collect();
    assert_eq!(failed.len(), 1, "{report:#?}");
    let key = failed[0].table_key.as_str();
    assert!(!failed[0].committed);
    assert_eq!(world.client.head(key).await, pins[key], "it was committed to without a sidecar");
    assert_eq!(moved(&report), MOVING.len() - 1);
    assert!(world.sidecars().is_empty());
    world.has_no_unexplained_file().await;
    world.converges().await;
}

async fn keeps_its_sidecars(world: World) {
    let guard = FailGuard::new(failpoint::RECOVERY_SIDECAR_DELETE, "return").unwrap();
    let report = world.optimize().await;
    drop(guard);
    assert_eq!(report.exit_code().number(), 0, "{report:#?}");
    assert_eq!(moved(&report), MOVING.len());
    let sidecars = world.sidecars();
    assert_eq!(sidecars.len(), MOVING.len());
    let warnings = &report.roots[0].warnings;
    assert_eq!(warnings.len(), sidecars.len(), "{warnings:?}");
    for file in sidecars {
        let path = std::path::Path::new(world.uri()).join("__recovery").join(&file);
        let content: serde_json::Value =
            serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let operation = content["keeper"]["operation"].as_str().unwrap();
        let says = |warning: &&String| warning.contains(operation) && warning.contains(&file);
        assert_eq!(warnings.iter().filter(says).count(), 1, "{file}: {warnings:?}");
    }
    let settled = world.client.snapshot().await.manifest_version;
    world.converges().await;
    assert_eq!(world.client.snapshot().await.manifest_version, settled, "nothing was left to do");
}

#[tokio::test]
async fn sidecars_that_cannot_be_deleted_are_a_warning_and_the_next_open_resolves_them() {
    keeps_its_sidecars(World::v4().await).await;
}

#[tokio::test]
async fn sidecars_over_a_compacted_v3_manifest_add_nothing_to_its_history_at_fixture_path() {
    // The graph's own tables are compacted last: `__manifest` then ends in a version that is
    // no publish.
    keeps_its_sidecars(World::v3_at_path().await).await;
}

#[tokio::test]
async fn a_sidecar_that_cannot_be_deleted_in_the_sweep_stops_the_open_and_the_next_goes_on() {
    let world = World::v4().await;
    let guard = FailGuard::new(failpoint::OPTIMIZE_POST_PHASE_B, "return").unwrap();
    world.optimize().await;
    drop(guard);
    let guard = FailGuard::new(failpoint::RECOVERY_SIDECAR_DELETE, "return").unwrap();
    let report = world.optimize().await;
    drop(guard);
    assert!(says_injected(&report, failpoint::RECOVERY_SIDECAR_DELETE), "{report:#?}");
    assert!(report.roots[0].error.is_some());
    assert_eq!(world.sidecars().len(), MOVING.len());
    world.converges().await;
}

#[tokio::test]
async fn a_failure_over_one_of_several_groups_leaves_none_of_their_files() {
    // Two groups of a table are rewritten at once: when the first one's outcome is looked at
    // the second is written or being written.
    let world = World::v4().await;
    let options = OptimizeOptions {
        tables: vec![PERSON.to_owned()],
        target_rows: 700,
        ..OptimizeOptions::default()
    };
    let staged = count(failpoint::OPTIMIZE_AFTER_STAGE_GROUP);
    let plan = lancekeeper::Keeper::new().plan_optimize(&[world.uri().to_owned()], &options).await;
    assert_eq!(staged.crossings(), 0);
    drop(staged);
    let planned = &plan.roots[0].tables[0];
    assert!(planned.fragments_after >= 2, "several groups: {planned:#?}");

    for nth in 0..2 {
        let action = if nth == 0 { "1*return" } else { "1*off->1*return" };
        let guard = FailGuard::new(failpoint::OPTIMIZE_AFTER_STAGE_GROUP, action).unwrap();
        let report = world.optimize_with(&options).await;
        drop(guard);
        assert!(says_injected(&report, failpoint::OPTIMIZE_AFTER_STAGE_GROUP), "{report:#?}");
        world.has_no_unexplained_file().await;
        assert!(world.journal().is_empty());
    }
    world.converges().await;
}

#[tokio::test]
async fn sidecars_of_unmoved_tables_that_cannot_be_deleted_are_resolved_by_the_next_open() {
    let world = World::v4().await;
    let guards = (
        FailGuard::new(failpoint::OPTIMIZE_ARMED_PRE_COMMIT, "return").unwrap(),
        FailGuard::new(failpoint::RECOVERY_SIDECAR_DELETE, "return").unwrap(),
    );
    let report = world.optimize().await;
    drop(guards);
    assert!(says_injected(&report, failpoint::OPTIMIZE_ARMED_PRE_COMMIT), "{report:#?}");
    assert_eq!(world.sidecars().len(), MOVING.len());
    world.has_no_unexplained_file().await;
    assert!(world.journal().is_empty());
    world.converges().await;
}

/// Somebody commits to a fork and does not publish, so the run looks at the branch again; by then
/// main is done.
#[tokio::test]
async fn what_was_done_on_main_is_reported_when_a_later_branch_cannot_be_looked_at_at_fixture_path()
{
    let world = World::at_path("omnigraph-0.8.0-branches").await;
    let work = Branch::named("work");
    world.client.commit_to_fork(&work).await;
    let guard = FailGuard::new(failpoint::RECOVERY_SIDECAR_LIST, "3*off->return").unwrap();
    let options = OptimizeOptions { branches: BranchSelection::All, ..OptimizeOptions::default() };
    let report = world.optimize_with(&options).await;
    drop(guard);
    let root = &report.roots[0];
    assert!(root.error.as_ref().is_some_and(|e| e.contains("recovery.sidecar_list")), "{root:#?}");
    assert_eq!(root.published, 1, "main's publish");
    let on_main = root.tables.iter().filter(|table| table.branch.is_main() && table.committed);
    assert_eq!(on_main.count(), MOVING.len(), "{root:#?}");
    let drifting = |table: &&TableOptimizeStats| {
        table.branch == work && table.skipped == Some(SkipReason::DriftNeedsRepair)
    };
    assert_eq!(root.tables.iter().filter(drifting).count(), 1, "{root:#?}");
    assert_ne!(report.exit_code().number(), 0);
    world.has_no_unexplained_file().await;
}
