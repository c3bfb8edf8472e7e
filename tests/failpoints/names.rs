//! No failpoint of the catalogue is left out.

use std::collections::BTreeSet;

use fail::FailGuard;
use lancekeeper::Keeper;
use lancekeeper_store::failpoint;

use crate::child::taking_back;
use crate::pause::count;
use crate::relocate::{self, Moved};
use crate::world::{KNOWS, PERSON, World};
use crate::{branch, cleanup, crash, fail_there, manifest_names, migrate, recover, repair, sweep};

fn set<const N: usize>(lists: [&[&'static str]; N]) -> BTreeSet<&'static str> {
    lists.into_iter().flatten().copied().collect()
}

#[test]
fn there_is_a_death_and_a_failure_at_every_failpoint() {
    let all: BTreeSet<_> = failpoint::ALL.iter().copied().collect();
    let died = [
        crash::DIED_AT,
        sweep::DIED_AT,
        cleanup::DIED_AT,
        branch::DIED_AT,
        repair::DIED_AT,
        relocate::DIED_AT,
        recover::DIED_AT,
        migrate::DIED_AT,
        manifest_names::DIED_AT,
    ];
    assert_eq!(set(died), all);
    let failed = [
        fail_there::FAILED_AT,
        sweep::FAILED_AT,
        cleanup::FAILED_AT,
        branch::FAILED_AT,
        repair::FAILED_AT,
        relocate::FAILED_AT,
        recover::FAILED_AT,
        migrate::FAILED_AT,
        manifest_names::FAILED_AT,
    ];
    let mut failed = set(failed);
    failed.extend(cleanup::SPARED_AT);
    assert_eq!(failed, all);
}

#[tokio::test]
async fn two_runs_a_cleanup_a_branch_and_a_repair_of_a_v3_graph_cross_every_failpoint_at_fixture_path()
 {
    let world = World::v3_at_path().await.with_auto_cleanup().await;
    // The first run is stopped, so that the second has something to sweep.
    let guard = FailGuard::new(failpoint::OPTIMIZE_POST_PHASE_B, "return").unwrap();
    let stopped = world.optimize_table(KNOWS).await;
    assert_eq!(stopped.exit_code().number(), 1, "{stopped:#?}");
    drop(guard);

    // What recovery of others' operations crosses, its own tests do: they die there. So do those of steps with
    // tables of databases.
    let is_of_others = |name: &&&str| {
        name.starts_with("recover.")
            || **name == failpoint::RECOVERY_RECORD_AUDIT
            || manifest_names::DIED_AT.contains(*name)
    };
    let counters: Vec<_> = failpoint::ALL
        .iter()
        .filter(|name| !is_of_others(name))
        .map(|name| (name, count(name)))
        .collect();
    let report = world.optimize().await;
    assert_eq!(report.exit_code().number(), 0, "{report:#?}");
    assert_eq!(world.client.pin(PERSON).await, world.client.head(PERSON).await);
    // Before the cleanup: it takes versions that the history is checked by.
    world.converges().await;
    cleanup::orphan(&world).await;
    let cleaned = world.cleanup().await;
    assert_eq!(cleaned.exit_code().number(), 0, "{cleaned:#?}");
    let (keeper, uri) = (Keeper::new(), world.uri());
    let created = keeper.create_branch(uri, branch::NEW, "main").await;
    assert_eq!(created.exit_code().number(), 0, "{created:#?}");
    world.client.fork(PERSON, branch::NEW).await;
    let deleted = keeper.delete_branch(uri, branch::NEW).await;
    assert_eq!(deleted.exit_code().number(), 0, "{deleted:#?}");
    world.client.append(PERSON).await;
    let repaired = keeper.repair([uri], &taking_back()).await;
    assert_eq!(repaired.exit_code().number(), 0, "{repaired:#?}");
    let migrated = keeper.migrate([uri], &migrate::to_v4()).await;
    assert_eq!(migrated.exit_code().number(), 0, "{migrated:#?}");
    for (name, counter) in counters.iter().filter(|(name, _)| !relocate::DIED_AT.contains(name)) {
        assert!(counter.crossings() > 0, "{name} was not crossed");
    }
    world.reads_as_before().await;
}

#[tokio::test]
async fn a_relocation_crosses_its_failpoints() {
    let moved = Moved::new().await;
    let names: BTreeSet<_> = relocate::DIED_AT.iter().collect();
    let counters: Vec<_> = names.into_iter().map(|name| (name, count(name))).collect();
    let report = moved.relocate().await;
    assert_eq!(report.exit_code().number(), 0, "{report:#?}");
    for (name, counter) in counters {
        assert!(counter.crossings() > 0, "{name} was not crossed");
    }
}
