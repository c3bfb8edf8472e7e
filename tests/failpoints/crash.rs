//! `optimize` dies, at every failpoint it crosses: readers notice nothing, and the next run
//! finishes or discards what was open.

use lancekeeper_store::failpoint;

use crate::child::Death;
use crate::world::{MOVING, World};

/// Sidecars that are there after a death.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Armed {
    /// None yet, or none any more.
    None,
    /// At least that of the table the run died over.
    Some,
    /// One for every table that moves.
    All,
    /// All but so many that were deleted before.
    AllBut(usize),
}

async fn is_recovered(mut world: World, death: Death, armed: Armed) {
    let pins = world.pins().await;
    world.dies(death).await;

    let sidecars = world.sidecars().len();
    match armed {
        Armed::None => assert_eq!(sidecars, 0),
        Armed::Some => assert!(sidecars > 0),
        Armed::All => assert_eq!(sidecars, MOVING.len()),
        Armed::AllBut(gone) => assert_eq!(sidecars, MOVING.len() - gone),
    }
    for (key, pin) in &pins {
        // Drift that nothing explains would be there for ever.
        let explained = sidecars > 0 || world.client.pin(key).await == *pin;
        let at_rest = world.client.head(key).await == world.client.pin(key).await;
        assert!(explained || at_rest, "{key} has moved and no sidecar says so");
    }
    world.converges().await;
}

macro_rules! deaths {
    ($($test:ident: $world:expr, $name:ident at $crossing:literal $($how:ident)?, $armed:expr;)*) => {
        $(
            #[tokio::test]
            async fn $test() {
                let death = Death::at(failpoint::$name, $crossing)$(.$how())?;
                is_recovered($world.await, death, $armed).await;
            }
        )*

        /// The failpoints at which a run of these tests dies.
        pub(crate) const DIED_AT: &[&str] = &[$(failpoint::$name),*];
    };
}

// At the failpoints after the staging of groups the other tables of the window may be in the
// middle of their own commits; before and after the window's commits nothing else is under
// way, so that the number of sidecars is known.
deaths! {
    dying_before_the_graph_was_opened_loses_nothing:
        World::v4(), RECOVERY_SIDECAR_LIST at 1, Armed::None;
    dying_under_the_lock_before_the_sweep_loses_nothing:
        World::v4(), RECOVERY_SIDECAR_LIST at 2, Armed::None;
    dying_after_the_first_staged_group_loses_nothing:
        World::v4(), OPTIMIZE_AFTER_STAGE_GROUP at 1 one_by_one, Armed::None;
    dying_after_the_second_staged_group_loses_nothing:
        World::v4(), OPTIMIZE_AFTER_STAGE_GROUP at 2 one_by_one, Armed::None;
    dying_with_everything_staged_loses_nothing:
        World::v4(), OPTIMIZE_STAGED_PRE_ENTER at 1, Armed::None;
    dying_with_the_keys_held_loses_nothing:
        World::v4(), OPTIMIZE_ENTERED_PRE_RECHECK at 1, Armed::None;
    dying_in_the_recheck_loses_nothing:
        World::v4(), RECOVERY_SIDECAR_LIST at 3, Armed::None;
    dying_after_the_recheck_loses_nothing:
        World::v4(), OPTIMIZE_RECHECKED_PRE_ARM at 1, Armed::None;
    dying_before_the_first_sidecar_loses_nothing:
        World::v4(), RECOVERY_SIDECAR_WRITE at 1, Armed::None;
    dying_over_the_first_armed_table_is_recovered:
        World::v4(), OPTIMIZE_ARMED_PRE_COMMIT at 1, Armed::Some;
    dying_over_the_second_armed_table_is_recovered:
        World::v4(), OPTIMIZE_ARMED_PRE_COMMIT at 2, Armed::Some;
    dying_with_auto_cleanup_removed_is_recovered:
        async { World::v4().await.with_auto_cleanup().await },
        OPTIMIZE_STRIPPED_PRE_RESERVE at 1, Armed::Some;
    dying_over_the_first_indexed_table_is_recovered:
        World::v4(), OPTIMIZE_INDEXED_PRE_RESERVE at 1, Armed::Some;
    dying_over_the_second_indexed_table_is_recovered:
        World::v4(), OPTIMIZE_INDEXED_PRE_RESERVE at 2, Armed::Some;
    dying_over_the_first_reservation_is_recovered:
        World::v4(), OPTIMIZE_RESERVED_PRE_REWRITE at 1, Armed::Some;
    dying_over_the_second_reservation_is_recovered:
        World::v4(), OPTIMIZE_RESERVED_PRE_REWRITE at 2, Armed::Some;
    dying_over_the_first_rewritten_table_is_recovered:
        World::v4(), OPTIMIZE_REWRITTEN_PRE_NEXT at 1, Armed::Some;
    dying_over_the_second_rewritten_table_is_recovered:
        World::v4(), OPTIMIZE_REWRITTEN_PRE_NEXT at 2, Armed::Some;
    dying_with_all_tables_committed_is_recovered:
        World::v4(), OPTIMIZE_POST_PHASE_B at 1, Armed::All;
    dying_with_everything_published_is_recovered:
        World::v4(), OPTIMIZE_PUBLISHED_PRE_DISARM at 1, Armed::All;
    dying_before_the_first_sidecar_is_deleted_is_recovered:
        World::v4(), RECOVERY_SIDECAR_DELETE at 1, Armed::All;
    dying_before_the_second_sidecar_is_deleted_is_recovered:
        World::v4(), RECOVERY_SIDECAR_DELETE at 2, Armed::AllBut(1);
    dying_with_everything_disarmed_leaves_a_journal_that_is_forgotten:
        World::v4(), OPTIMIZE_DISARMED_PRE_JOURNAL at 1, Armed::None;

    dying_before_the_publish_of_a_v3_graph_is_recovered_at_fixture_path:
        World::v3_at_path(), OPTIMIZE_POST_PHASE_B at 1, Armed::All;
    dying_before_the_commit_row_of_a_v3_graph_is_mended_at_fixture_path:
        World::v3_at_path(), PUBLISH_BEFORE_COMMIT_ROW at 1, Armed::All;
    dying_after_the_commit_row_of_a_v3_graph_adds_no_second_one_at_fixture_path:
        World::v3_at_path(), OPTIMIZE_PUBLISHED_PRE_DISARM at 1, Armed::All;

    dying_before_the_publish_spoils_no_branch_at_fixture_path:
        World::at_path("omnigraph-0.8.0-branches"), OPTIMIZE_POST_PHASE_B at 1, Armed::All;
    dying_with_everything_published_spoils_no_branch_at_fixture_path:
        World::at_path("omnigraph-0.8.0-branches"), OPTIMIZE_PUBLISHED_PRE_DISARM at 1, Armed::All;
}

#[tokio::test]
async fn only_rewrites_that_were_under_way_leave_files_without_a_name() {
    // All tables are staged at once here, and a rewrite is noted when it returns: the files
    // of those that had not are nobody's until they are old enough. Everything noted goes.
    let mut world = World::v4().await;
    world.dies(Death::at(failpoint::OPTIMIZE_AFTER_STAGE_GROUP, 1)).await;
    assert!(!world.journal().is_empty());
    world.expects_unnamed_files().await;
    world.converges().await;
}

#[tokio::test]
async fn dying_again_and_again_at_the_same_place_is_recovered_in_the_end() {
    let mut world = World::v4().await;
    let mut entries = None;
    for _ in 0..3 {
        world.dies(Death::at(failpoint::OPTIMIZE_STAGED_PRE_ENTER, 1)).await;
        let left = world.journal().len();
        assert_eq!(left, *entries.get_or_insert(left), "the last run's files were not settled");
    }
    world.converges().await;
}
