//! Recovery itself dies, or fails: the next one goes on where it stopped, and once it is
//! through it has nothing left to change.

use std::sync::{Arc, Mutex};

use fail::FailGuard;
use lancekeeper::{Keeper, NoProgress, OptimizeOptions, Progress, ProgressEvent};
use lancekeeper_model::Version;
use lancekeeper_store::failpoint;

use crate::child::{Death, strictest};
use crate::pause::pause_at;
use crate::world::{COMPANY, MOVING, World, says_injected};

/// A graph all of whose moving tables are committed, armed and not published.
async fn interrupted(world: World) -> World {
    let mut world = world;
    world.dies(Death::at(failpoint::OPTIMIZE_POST_PHASE_B, 1)).await;
    assert_eq!(world.sidecars().len(), MOVING.len());
    world
}

/// Opens the graph for writing, which sweeps, and asks only for a table without work.
async fn sweep(world: &World) -> Version {
    let report = world.optimize_table(COMPANY).await;
    assert_eq!(report.exit_code().number(), 0, "{report:#?}");
    assert_eq!(report.roots[0].published, 0, "{report:#?}");
    world.client.snapshot().await.manifest_version
}

async fn goes_on_after(world: World, death: Death, resolved: usize, published: u64) {
    let mut world = interrupted(world).await;
    let before = world.client.snapshot().await.manifest_version;
    world.dies(death).await;
    assert_eq!(world.sidecars().len(), MOVING.len() - resolved);
    let after = world.client.snapshot().await.manifest_version;
    assert_eq!(after, Version(before.0 + published));

    let swept = sweep(&world).await;
    assert_eq!(swept, Version(before.0 + MOVING.len() as u64), "each table is published once");
    world.reads_as_before().await;
    world.is_at_rest().await;
    assert_eq!(sweep(&world).await, swept, "the second sweep changed something");
    let report = world.converges().await;
    assert_eq!(report.roots[0].published, 0, "the interrupted run had done all the work");
}

macro_rules! deaths {
    ($($test:ident: $world:expr, $name:ident at $crossing:literal,
        $resolved:literal resolved, $published:literal published;)*) => {
        $(
            #[tokio::test]
            async fn $test() {
                let death = Death::at(failpoint::$name, $crossing);
                goes_on_after($world.await, death, $resolved, $published).await;
            }
        )*

        /// The failpoints at which a sweep of these tests dies.
        pub(crate) const DIED_AT: &[&str] = &[$(failpoint::$name),*];
    };
}

deaths! {
    a_sweep_that_dies_before_its_first_publish_is_swept:
        World::v4(), SWEEP_PRE_PUBLISH at 1, 0 resolved, 0 published;
    a_sweep_that_dies_before_its_second_publish_is_swept:
        World::v4(), SWEEP_PRE_PUBLISH at 2, 1 resolved, 1 published;
    a_sweep_that_dies_over_its_first_published_table_is_swept:
        World::v4(), SWEEP_PUBLISHED_PRE_DISARM at 1, 0 resolved, 1 published;
    a_sweep_that_dies_over_its_last_published_table_is_swept:
        World::v4(), SWEEP_PUBLISHED_PRE_DISARM at 3, 2 resolved, 3 published;
    a_sweep_that_dies_before_it_deletes_a_sidecar_is_swept:
        World::v4(), RECOVERY_SIDECAR_DELETE at 1, 0 resolved, 1 published;
    a_sweep_that_dies_before_a_commit_row_is_mended_at_fixture_path:
        World::v3_at_path(), PUBLISH_BEFORE_COMMIT_ROW at 1, 0 resolved, 1 published;
    a_sweep_that_dies_before_its_last_commit_row_is_mended_at_fixture_path:
        World::v3_at_path(), PUBLISH_BEFORE_COMMIT_ROW at 3, 2 resolved, 3 published;
}

async fn goes_on_after_failing(world: World, name: &'static str) {
    let world = interrupted(world).await;
    let guard = FailGuard::new(name, "return").unwrap();
    let report = world.optimize().await;
    drop(guard);
    assert!(says_injected(&report, name), "{report:#?}");
    assert!(report.roots[0].error.is_some(), "a sweep that fails is loud: {report:#?}");
    assert!(report.roots[0].tables.is_empty(), "nothing is optimized over open sidecars");
    assert_eq!(world.sidecars().len(), MOVING.len());
    world.reads_as_before().await;
    world.converges().await;
}

macro_rules! failures {
    ($($test:ident: $name:ident;)*) => {
        $(
            #[tokio::test]
            async fn $test() {
                goes_on_after_failing(World::v4().await, failpoint::$name).await;
            }
        )*

        /// The failpoints at which a sweep of these tests fails.
        pub(crate) const FAILED_AT: &[&str] = &[$(failpoint::$name),*];
    };
}

failures! {
    a_sweep_that_fails_before_a_publish_stops_the_run: SWEEP_PRE_PUBLISH;
    a_sweep_that_fails_after_a_publish_stops_the_run: SWEEP_PUBLISHED_PRE_DISARM;
    a_sweep_that_cannot_delete_a_sidecar_stops_the_run: RECOVERY_SIDECAR_DELETE;
}

/// Who caches what pins read.
#[derive(Default)]
struct Watcher(Mutex<Vec<(String, Version, Version)>>);

impl Progress for Watcher {
    fn on_event(&self, event: ProgressEvent) {
        if let ProgressEvent::TablePublished { table, from, to } = event {
            self.0.lock().unwrap().push((table.to_string(), from, to));
        }
    }
}

#[tokio::test]
async fn whoever_watches_hears_of_every_pin_that_recovery_moves_and_the_report_names_them() {
    let world = interrupted(World::v4().await).await;
    let mut moves = Vec::new();
    for key in MOVING {
        moves.push((key.to_owned(), world.client.pin(key).await, world.client.head(key).await));
    }
    let options = OptimizeOptions { tables: vec![COMPANY.to_owned()], ..Default::default() };
    let roots = [world.uri().to_owned()];

    // The sweep fails once a pin has moved: the run fails, and is told of all the same.
    let guard = FailGuard::new(failpoint::SWEEP_PUBLISHED_PRE_DISARM, "return").unwrap();
    let watcher = Arc::new(Watcher::default());
    let report = Keeper::new().optimize(&roots, &options, watcher.clone()).await;
    drop(guard);
    assert!(report.roots[0].error.is_some(), "{report:#?}");
    let first = watcher.0.lock().unwrap().clone();
    assert_eq!(first.len(), 1, "{first:?}");

    // The rest is recovered by whatever verb opens it next.
    let watcher = Arc::new(Watcher::default());
    let keeper = Keeper::new().observed_by(watcher.clone());
    let report = keeper.cleanup(&roots, &strictest()).await;
    assert_eq!(report.exit_code().number(), 0, "{report:#?}");
    let rest = watcher.0.lock().unwrap().clone();
    let mut heard: Vec<_> = first.into_iter().chain(rest.clone()).collect();
    heard.sort();
    moves.sort();
    assert_eq!(heard, moves, "every pin once");
    let sidecars = &report.roots[0].recovery.sidecars;
    assert_eq!(sidecars.len(), MOVING.len(), "{sidecars:#?}");
    let told: Vec<_> = sidecars
        .iter()
        .filter_map(|sidecar| sidecar.moved.as_ref())
        .map(|moved| (moved.table_key.to_string(), moved.from, moved.to))
        .collect();
    assert_eq!(told, rest);
    world.reads_as_before().await;
    let again = Keeper::new().optimize(&roots, &options, Arc::new(NoProgress)).await;
    assert!(again.roots[0].recovery.is_nothing(), "{again:#?}");
}

#[tokio::test]
async fn a_client_that_recovers_while_we_sweep_is_not_fought() {
    for name in [failpoint::SWEEP_PRE_PUBLISH, failpoint::SWEEP_PUBLISHED_PRE_DISARM] {
        let world = interrupted(World::v4().await).await;
        let client = world.client.clone();
        // It rolls every table forward by its own rule, and deletes what it resolved.
        let pause = pause_at(name, move || async move {
            for key in MOVING {
                let table = client.table(key).await;
                if client.pin(key).await != client.head(key).await {
                    client.publish(key, &table).await;
                }
            }
            client.discard_sidecars();
        });
        let report = world.optimize().await;
        assert!(pause.crossings() > 0);
        drop(pause);
        assert_eq!(report.exit_code().number(), 0, "{name}: {report:#?}");
        world.reads_as_before().await;
        world.converges().await;
    }
}
