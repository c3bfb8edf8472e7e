//! What somebody else does while a run waits at a failpoint, or is dead: his versions are
//! never published by us, his pins never moved back.

use std::sync::Arc;
use std::sync::Mutex;

use arrow_array::cast::AsArray;
use arrow_array::types::UInt64Type;
use lancekeeper::{OptimizeOptions, OptimizeReport, SkipReason, TableOptimizeStats, Version};
use lancekeeper_model::IndexMode;
use lancekeeper_store::failpoint;

use crate::child::Death;
use crate::client::{APPENDED, Client};
use crate::pause::pause_at;
use crate::world::{KNOWS, MOVING, PERSON, WORKS_AT, World, moved, says_injected};

fn row<'a>(report: &'a OptimizeReport, key: &str) -> &'a TableOptimizeStats {
    let tables = &report.roots[0].tables;
    tables.iter().find(|table| table.table_key.as_str() == key).unwrap()
}

/// A table that somebody committed to and did not publish.
async fn drifts(world: &World, report: &OptimizeReport, key: &str, pin: Version) {
    assert_eq!(world.client.pin(key).await, pin);
    assert_eq!(world.client.head(key).await, pin.next(), "his commit is the one after");
    let row = row(report, key);
    assert_eq!(row.skipped, Some(SkipReason::DriftNeedsRepair), "{row:#?}");
    assert_eq!((row.manifest_version, row.lance_head_version), (Some(pin), Some(pin.next())));
    assert!(row.error.is_none(), "{row:#?}");
    assert!(world.sidecars().is_empty(), "a client would roll his commit forward by it");
    assert!(world.journal().is_empty());
    world.reads_as_before().await;
    world.has_no_unexplained_file().await;
}

#[tokio::test]
async fn a_rewrite_refused_after_its_reservation_publishes_the_reservation_alone() {
    let world = World::v4().await;
    let client = world.client.clone();
    let reserved = Arc::new(Mutex::new(Version::default()));
    let seen = Arc::clone(&reserved);
    let pause = pause_at(failpoint::OPTIMIZE_RESERVED_PRE_REWRITE, move || async move {
        *seen.lock().unwrap() = client.head(PERSON).await;
        client.append(PERSON).await;
    });
    let before = world.client.pin(PERSON).await;
    let report = world.optimize_table(PERSON).await;
    assert_eq!(pause.crossings(), 1, "there is no second round over somebody's commit");
    drop(pause);

    assert_eq!(report.exit_code().number(), 0, "{report:#?}");
    let reserved = *reserved.lock().unwrap();
    assert!(reserved > before);
    drifts(&world, &report, PERSON, reserved).await;
    let row = row(&report, PERSON);
    assert!(row.committed && row.groups_dropped > 0 && row.fragments_removed == 0, "{row:#?}");

    // Once he publishes, nothing is in the way any more.
    client_publishes_head(&world.client, PERSON).await;
    let again = world.optimize().await;
    assert_eq!(again.exit_code().number(), 0, "{again:#?}");
    world.is_at_rest().await;
}

async fn client_publishes_head(client: &Client, key: &str) {
    let table = client.table(key).await;
    client.publish(key, &table).await;
}

#[tokio::test]
async fn a_commit_after_the_recheck_moves_nothing_of_ours() {
    let world = World::v4().await;
    let client = world.client.clone();
    let pause = pause_at(failpoint::OPTIMIZE_ARMED_PRE_COMMIT, move || async move {
        client.append(PERSON).await;
    });
    // Its sidecar does not wait for the other tables: it would explain his commit.
    let client = world.client.clone();
    let later = pause_at(failpoint::OPTIMIZE_POST_PHASE_B, move || async move {
        assert_eq!(client.sidecars().len(), 0, "the sidecar of an unmoved table is still armed");
    });
    let before = world.client.pin(PERSON).await;
    let report = world.optimize_table(PERSON).await;
    assert_eq!(later.crossings(), 1);
    drop((pause, later));
    assert_eq!(report.exit_code().number(), 0, "{report:#?}");
    drifts(&world, &report, PERSON, before).await;
    assert!(!row(&report, PERSON).committed);
    assert_eq!(report.roots[0].published, 0);
}

#[tokio::test]
async fn what_was_appended_while_we_staged_comes_last_when_it_is_merged() {
    let mut world = World::v4().await;
    for _ in 0..2 {
        let client = world.client.clone();
        // What is appended while our files are staged stays before our output, which Lance puts
        // at the end: the next run meets higher row ids first.
        let pause = pause_at(failpoint::OPTIMIZE_STAGED_PRE_ENTER, move || async move {
            let table = client.append(PERSON).await;
            client.publish(PERSON, &table).await;
        });
        let report = world.optimize_table(PERSON).await;
        drop(pause);
        assert_eq!(report.exit_code().number(), 0, "{report:#?}");
        assert!(row(&report, PERSON).committed, "{report:#?}");
    }
    let report = world.optimize_table(PERSON).await;
    assert!(row(&report, PERSON).committed, "{report:#?}");
    let table = world.client.table(PERSON).await;
    let scanned = table.scan().with_row_id().try_into_batch().await.unwrap();
    let ids = scanned.column_by_name("_rowid").unwrap();
    let ids = ids.as_primitive::<UInt64Type>().values();
    assert_eq!(table.fragments().len(), 1);
    // An update keeps its row's id, so not all of them ascend; appended ones are the highest.
    let (before, appended) = ids.split_at(ids.len() - 2 * APPENDED);
    assert!(appended.is_sorted(), "row ids run backwards: the clients' text search loses rows");
    assert!(before.iter().max() < appended.first(), "{appended:?} were appended last");
    world.accepts_new_rows().await;
    world.converges().await;
}

#[tokio::test]
async fn a_sidecar_that_a_client_discarded_before_our_first_commit_is_armed_again() {
    let world = World::v4().await;
    let client = world.client.clone();
    // As a client does that opens and finds nothing moved.
    let discard = pause_at(failpoint::OPTIMIZE_ARMED_PRE_COMMIT, move || async move {
        client.discard_sidecars();
        assert!(client.sidecars().is_empty());
    });
    let client = world.client.clone();
    let covered = pause_at(failpoint::OPTIMIZE_POST_PHASE_B, move || async move {
        assert_ne!(client.head(PERSON).await, client.pin(PERSON).await);
        assert_eq!(client.sidecars().len(), 1, "our commits look like drift");
    });
    let report = world.optimize_table(PERSON).await;
    assert_eq!((discard.crossings(), covered.crossings()), (1, 1));
    drop((discard, covered));
    assert_eq!(report.exit_code().number(), 0, "{report:#?}");
    assert!(row(&report, PERSON).committed);
    world.converges().await;
}

/// Somebody deletes every file that no version refers to, ours among them.
async fn loses_staged_files_at(name: &'static str) {
    let world = World::v4().await;
    let client = world.client.clone();
    let pause = pause_at(name, move || async move {
        let deleted = client.delete_unverified(PERSON).await;
        assert!(deleted > 0, "nothing was staged yet");
    });
    let report = world.optimize_table(PERSON).await;
    drop(pause);
    let person = row(&report, PERSON);
    // Made again in a later round, given up, or an error: but never committed without its files.
    let said = person.groups_dropped > 0 || person.error.is_some() || person.skipped.is_some();
    assert!(said, "{person:#?}");
    world.reads_as_before().await;
    world.client.table(PERSON).await.validate().await.unwrap();
    world.converges().await;
}

#[tokio::test]
async fn staged_files_that_a_foreign_cleanup_took_before_enter_are_not_committed() {
    loses_staged_files_at(failpoint::OPTIMIZE_STAGED_PRE_ENTER).await;
}

#[tokio::test]
async fn staged_files_that_a_foreign_cleanup_took_after_the_recheck_are_not_committed() {
    loses_staged_files_at(failpoint::OPTIMIZE_ARMED_PRE_COMMIT).await;
}

#[tokio::test]
async fn staged_files_that_a_foreign_cleanup_took_after_the_reservation_are_not_committed() {
    loses_staged_files_at(failpoint::OPTIMIZE_RESERVED_PRE_REWRITE).await;
}

#[tokio::test]
async fn a_commit_on_top_of_a_dead_runs_is_not_published_with_them() {
    let mut world = World::v4().await;
    world.dies(Death::at(failpoint::OPTIMIZE_POST_PHASE_B, 1)).await;
    let ours = world.client.head(KNOWS).await;
    world.client.append(KNOWS).await;

    let report = world.optimize().await;
    assert_eq!(report.exit_code().number(), 0, "{report:#?}");
    drifts(&world, &report, KNOWS, ours).await;
    for key in [PERSON, WORKS_AT] {
        assert_eq!(world.client.pin(key).await, world.client.head(key).await);
    }
    let settled = world.client.snapshot().await.manifest_version;
    let second = world.optimize().await;
    drifts(&world, &second, KNOWS, ours).await;
    assert_eq!(world.client.snapshot().await.manifest_version, settled);
}

#[tokio::test]
async fn a_commit_after_the_rewrite_is_not_published_with_it() {
    let world = World::v4().await;
    let client = world.client.clone();
    let rewritten = Arc::new(Mutex::new(Version::default()));
    let seen = Arc::clone(&rewritten);
    let pause = pause_at(failpoint::OPTIMIZE_POST_PHASE_B, move || async move {
        *seen.lock().unwrap() = client.head(KNOWS).await;
        client.append(KNOWS).await;
    });
    let report = world.optimize().await;
    drop(pause);
    assert_eq!(report.exit_code().number(), 0, "{report:#?}");
    let ours = *rewritten.lock().unwrap();
    assert!(row(&report, KNOWS).committed);
    assert_eq!(world.client.pin(KNOWS).await, ours);
    assert_eq!(world.client.head(KNOWS).await, ours.next());
    assert!(world.sidecars().is_empty());
    world.reads_as_before().await;
    let second = world.optimize().await;
    drifts(&world, &second, KNOWS, ours).await;
}

#[tokio::test]
async fn tables_that_a_client_recovered_meanwhile_count_as_done() {
    let world = World::v4().await;
    let client = world.client.clone();
    let pause = pause_at(failpoint::OPTIMIZE_POST_PHASE_B, move || async move {
        client_publishes_head(&client, KNOWS).await;
    });
    let report = world.optimize().await;
    drop(pause);
    assert_eq!(report.exit_code().number(), 0, "{report:#?}");
    assert_eq!(moved(&report), MOVING.len());
    assert_eq!(report.roots[0].published, 1);
    world.reads_as_before().await;
    world.is_at_rest().await;
    world.converges().await;
}

#[tokio::test]
async fn a_table_whose_reservation_a_client_published_is_published_from_there() {
    let world = World::v4().await;
    let client = world.client.clone();
    let pause = pause_at(failpoint::OPTIMIZE_RESERVED_PRE_REWRITE, move || async move {
        client_publishes_head(&client, PERSON).await;
    });
    let report = world.optimize_table(PERSON).await;
    drop(pause);
    assert_eq!(report.exit_code().number(), 0, "{report:#?}");
    assert!(row(&report, PERSON).committed);
    assert_eq!(report.roots[0].published, 1);
    world.reads_as_before().await;
    world.is_at_rest().await;
    world.converges().await;
}

#[tokio::test]
async fn a_table_dropped_meanwhile_is_lost_to_recovery_and_no_other_is() {
    let world = World::v4().await;
    let client = world.client.clone();
    let pause = pause_at(failpoint::OPTIMIZE_POST_PHASE_B, move || async move {
        client.drop_table(KNOWS).await;
    });
    // Afterwards its place can no longer be asked for.
    let pinned = world.client.snapshot().await;
    let report = world.optimize().await;
    drop(pause);

    assert_eq!(report.exit_code().number(), 3, "{report:#?}");
    assert_eq!(report.roots[0].published, 1);
    for key in MOVING {
        let row = row(&report, key);
        let is_lost = row.error.as_ref().is_some_and(|error| error.contains("lost_to_recovery"));
        assert_eq!((is_lost, row.committed), (key == KNOWS, key != KNOWS), "{row:#?}");
    }
    assert!(world.client.snapshot().await.pins.iter().all(|pin| pin.key.as_str() != KNOWS));
    world.is_at_rest().await;
    // What is committed stays whole, though nobody published it.
    let pin = pinned.pins.iter().find(|pin| pin.key.as_str() == KNOWS).unwrap();
    let uri = format!("{}/{}", world.uri(), pin.location);
    let table = lance::Dataset::open(&uri).await.unwrap();
    assert!(table.manifest().version > pin.version.0);
    let rows = lancekeeper_testkit::table_rows(&table).await.unwrap();
    assert_eq!(rows.len() as u64, pin.rows);
}

async fn keeps_a_row_deleted_before_the_recheck(index: IndexMode) {
    let world = World::v4().await;
    let client = world.client.clone();
    let pause = pause_at(failpoint::OPTIMIZE_ENTERED_PRE_RECHECK, move || async move {
        let table = client.delete_newest(PERSON).await;
        client.publish(PERSON, &table).await;
    });
    let rows = world.rows_of(PERSON).await;
    let options = OptimizeOptions { index, ..OptimizeOptions::default() };
    let report = world.optimize_with(&options).await;
    let crossings = pause.crossings();
    drop(pause);
    assert_eq!(report.exit_code().number(), 0, "{report:#?}");
    assert_eq!(world.rows_of(PERSON).await, rows - 1, "the deletion was undone");
    assert!(crossings > 1, "the spoiled group was not done again: {report:#?}");
    let person = row(&report, PERSON);
    assert!(person.groups_dropped > 0 && person.groups_redone > 0, "{person:#?}");
    assert!(person.committed);
    world.is_at_rest().await;
}

#[tokio::test]
async fn a_row_deleted_before_the_recheck_stays_deleted() {
    keeps_a_row_deleted_before_the_recheck(IndexMode::Keep).await;
}

#[tokio::test]
async fn a_row_deleted_before_the_recheck_of_new_index_segments_stays_deleted() {
    keeps_a_row_deleted_before_the_recheck(IndexMode::Refresh).await;
}

#[tokio::test]
async fn rows_appended_while_groups_are_staged_disturb_nothing() {
    let world = World::v4().await;
    let client = world.client.clone();
    let pause = pause_at(failpoint::OPTIMIZE_STAGED_PRE_ENTER, move || async move {
        let table = client.append(PERSON).await;
        client.publish(PERSON, &table).await;
    });
    let rows = world.rows_of(PERSON).await;
    let report = world.optimize().await;
    drop(pause);
    assert_eq!(report.exit_code().number(), 0, "{report:#?}");
    let person = row(&report, PERSON);
    assert!(person.committed && person.fragments_removed > 1, "{person:#?}");
    assert_eq!(person.groups_dropped, 0, "{person:#?}");
    assert_eq!(world.rows_of(PERSON).await, rows + APPENDED as u64);
    world.is_at_rest().await;
}

#[tokio::test]
async fn a_commit_before_the_recheck_that_is_not_published_is_left_alone() {
    let world = World::v4().await;
    let client = world.client.clone();
    let pause = pause_at(failpoint::OPTIMIZE_STAGED_PRE_ENTER, move || async move {
        client.append(PERSON).await;
    });
    let before = world.client.pin(PERSON).await;
    let report = world.optimize().await;
    drop(pause);
    assert_eq!(report.exit_code().number(), 0, "{report:#?}");
    drifts(&world, &report, PERSON, before).await;
    for key in [KNOWS, WORKS_AT] {
        assert!(row(&report, key).committed);
    }
}

#[tokio::test]
async fn versions_of_ours_without_a_sidecar_are_adopted() {
    let mut world = World::v4().await;
    world.dies(Death::at(failpoint::OPTIMIZE_POST_PHASE_B, 1)).await;
    world.remove_sidecars();
    let report = world.converges().await;
    assert_eq!(report.roots[0].published, 1, "all in one publish");
    assert_eq!(moved(&report), MOVING.len(), "{report:#?}");
}

#[tokio::test]
async fn adopted_versions_that_a_client_published_in_part_are_published_from_there() {
    let mut world = World::v4().await;
    world.dies(Death::at(failpoint::OPTIMIZE_POST_PHASE_B, 1)).await;
    world.remove_sidecars();
    let client = world.client.clone();
    let pause = pause_at(failpoint::OPTIMIZE_POST_PHASE_B, move || async move {
        let head = client.table(KNOWS).await;
        let reservation = client.pin(KNOWS).await.next();
        assert!(reservation < client.head(KNOWS).await);
        let reservation = head.checkout_version(reservation.0).await.unwrap();
        client.publish(KNOWS, &reservation).await;
    });
    let report = world.optimize().await;
    drop(pause);
    assert_eq!(report.exit_code().number(), 0, "{report:#?}");
    world.converges().await;
}

#[tokio::test]
async fn adopting_on_a_v3_graph_leaves_no_gap_in_its_history_at_fixture_path() {
    let mut world = World::v3_at_path().await;
    world.dies(Death::at(failpoint::OPTIMIZE_POST_PHASE_B, 1)).await;
    world.remove_sidecars();
    world.dies(Death::at(failpoint::PUBLISH_BEFORE_COMMIT_ROW, 1)).await;
    world.converges().await;
}

#[tokio::test]
async fn a_table_published_beyond_ours_meanwhile_counts_as_done() {
    let world = World::v4().await;
    let client = world.client.clone();
    let pause = pause_at(failpoint::OPTIMIZE_POST_PHASE_B, move || async move {
        client_publishes_head(&client, KNOWS).await;
        client.append(KNOWS).await;
        client_publishes_head(&client, KNOWS).await;
    });
    let rows = world.rows_of(KNOWS).await;
    let report = world.optimize().await;
    drop(pause);
    assert_eq!(report.exit_code().number(), 0, "{report:#?}");
    assert_eq!(moved(&report), MOVING.len());
    assert_eq!(world.rows_of(KNOWS).await, rows + APPENDED as u64);
    world.is_at_rest().await;
}

#[tokio::test]
async fn a_second_round_that_cannot_look_keeps_what_the_first_one_published() {
    let world = World::v4().await;
    let client = world.client.clone();
    let pause = pause_at(failpoint::OPTIMIZE_ENTERED_PRE_RECHECK, move || async move {
        let table = client.delete_newest(PERSON).await;
        client.publish(PERSON, &table).await;
    });
    // Listed by the open, under the lock, by the recheck, and then by the second round.
    let name = failpoint::RECOVERY_SIDECAR_LIST;
    let guard = fail::FailGuard::new(name, "3*off->return").unwrap();
    let rows = world.rows_of(PERSON).await;
    let report = world.optimize().await;
    drop((pause, guard));
    assert!(says_injected(&report, name), "{report:#?}");
    assert_eq!((report.exit_code().number(), report.roots[0].published), (1, 1), "{report:#?}");
    for key in [KNOWS, WORKS_AT] {
        assert!(row(&report, key).committed);
    }
    assert!(!row(&report, PERSON).committed);
    world.is_at_rest().await;
    let again = world.optimize().await;
    assert_eq!(again.exit_code().number(), 0, "{again:#?}");
    assert!(row(&again, PERSON).committed);
    assert_eq!(world.rows_of(PERSON).await, rows - 1);
}
