//! `repair` dies, fails or is overtaken where it matters: readers notice nothing, what somebody committed is never
//! out of reach, and the next repair goes on.

use fail::FailGuard;
use lance::Dataset;
use lancekeeper::{DriftClass, Keeper, RepairAction, RepairOptions, RepairReport, Version};
use lancekeeper_store::failpoint;

use crate::child::{Death, Verb, taking_back};
use crate::client::APPENDED;
use crate::pause::pause_at;
use crate::world::{KNOWS, PERSON, World};

async fn repair(world: &World, options: &RepairOptions) -> RepairReport {
    Keeper::new().repair([world.uri()], options).await
}

/// A repair that publishes only what makes no difference.
fn plain() -> RepairOptions {
    RepairOptions { confirm: true, ..RepairOptions::default() }
}

/// Somebody commits past the graph: rows to one table, maintenance to another.
async fn drifted(world: World) -> (World, Version) {
    let committed = world.client.append(PERSON).await;
    let mut knows = world.client.table(KNOWS).await;
    let options = lance::dataset::optimize::CompactionOptions::default();
    lance::dataset::optimize::compact_files(&mut knows, options, None).await.unwrap();
    let version = Version(committed.manifest().version);
    (world, version)
}

/// What was committed past the graph still reads under a tag.
async fn is_kept(world: &World, version: Version, rows_before: u64) {
    let table = world.client.table(PERSON).await;
    let tags = table.tags().list().await.unwrap();
    let mut named = tags.iter().filter(|(_, tag)| tag.version == version.0 && tag.branch.is_none());
    let (name, _) =
        named.next().unwrap_or_else(|| panic!("version {version} has no tag: {tags:?}"));
    assert!(named.next().is_none(), "one is enough: {tags:?}");
    let kept: Dataset = table.checkout_version(name.as_str()).await.unwrap();
    let rows = kept.scan().try_into_batch().await.unwrap().num_rows() as u64;
    assert_eq!(rows, rows_before + APPENDED as u64);
}

/// The next repair finishes what is open, and the one after it has nothing to do.
async fn converges(world: &World, committed: Version, rows: u64) {
    world.reads_as_before().await;
    let report = repair(world, &taking_back()).await;
    assert_eq!(report.exit_code().number(), 0, "{report:#?}");
    world.reads_as_before().await;
    is_kept(world, committed, rows).await;
    let settled = world.client.snapshot().await.manifest_version;
    let report = repair(world, &taking_back()).await;
    assert_eq!(report.exit_code().number(), 0, "{report:#?}");
    let rows = &report.roots[0].tables;
    assert!(rows.iter().all(|row| row.classification == Some(DriftClass::NoDrift)), "{rows:#?}");
    assert_eq!(world.client.snapshot().await.manifest_version, settled, "twice changes nothing");
    world.is_at_rest().await;
}

macro_rules! deaths {
    ($($test:ident: $world:expr, $name:ident at $crossing:literal;)*) => {
        $(
            #[tokio::test]
            async fn $test() {
                let (mut world, committed) = drifted($world.await).await;
                let rows = world.rows_of(PERSON).await;
                let verb = Verb::Repair;
                world.dies(Death { verb, ..Death::at(failpoint::$name, $crossing) }).await;
                converges(&world, committed, rows).await;
            }
        )*

        /// The failpoints at which one of these tests dies.
        pub(crate) const DIED_AT: &[&str] = &[$(failpoint::$name),*];
    };
}

deaths! {
    a_repair_that_dies_with_the_tag_made_is_finished:
        World::v4(), REPAIR_TAGGED_PRE_RESTORE at 1;
    a_repair_that_dies_between_restore_and_publish_is_finished:
        World::v4(), REPAIR_SETTLED_PRE_PUBLISH at 1;
    a_repair_that_dies_after_its_publish_has_done_it:
        World::v4(), REPAIR_PUBLISHED_PRE_LOOK at 1;
    a_repair_of_a_v3_graph_that_dies_between_restore_and_publish_is_finished_at_fixture_path:
        World::v3_at_path(), REPAIR_SETTLED_PRE_PUBLISH at 1;
    a_repair_of_a_v3_graph_that_dies_before_its_commit_row_gets_it_at_fixture_path:
        World::v3_at_path(), PUBLISH_BEFORE_COMMIT_ROW at 1;
}

/// A restore that was not published is maintenance: its rows are those that readers see.
#[tokio::test]
async fn what_was_taken_back_by_a_repair_that_died_is_published_without_a_word_of_the_callers() {
    let (mut world, committed) = drifted(World::v4().await).await;
    let rows = world.rows_of(PERSON).await;
    let verb = Verb::Repair;
    world.dies(Death { verb, ..Death::at(failpoint::REPAIR_SETTLED_PRE_PUBLISH, 1) }).await;
    let report = repair(&world, &plain()).await;
    assert_eq!(report.exit_code().number(), 0, "{report:#?}");
    let person =
        report.roots[0].tables.iter().find(|row| row.table_key.as_str() == PERSON).unwrap();
    assert_eq!(
        (person.classification, person.action),
        (Some(DriftClass::VerifiedMaintenance), RepairAction::Healed)
    );
    assert!(person.kept_as.is_some(), "it still says where the rest is: {person:#?}");
    converges(&world, committed, rows).await;
}

fn says_injected(report: &RepairReport, name: &str) -> bool {
    let text = format!("injected failpoint triggered: {name}");
    let root = &report.roots[0];
    let errors = root.tables.iter().filter_map(|row| row.error.as_ref());
    errors.chain(&root.error).chain(&root.warnings).any(|said| said.contains(&text))
}

macro_rules! failures {
    ($($test:ident: $name:ident is $code:literal;)*) => {
        $(
            #[tokio::test]
            async fn $test() {
                let (world, committed) = drifted(World::v4().await).await;
                let rows = world.rows_of(PERSON).await;
                let guard = FailGuard::new(failpoint::$name, "return").unwrap();
                let report = repair(&world, &taking_back()).await;
                drop(guard);
                assert_eq!(report.exit_code().number(), $code, "{report:#?}");
                assert!(says_injected(&report, failpoint::$name), "{report:#?}");
                converges(&world, committed, rows).await;
            }
        )*

        /// The failpoints at which one of these tests fails.
        pub(crate) const FAILED_AT: &[&str] = &[$(failpoint::$name),*];
    };
}

failures! {
    a_repair_that_fails_with_the_tag_made_does_the_other_tables: REPAIR_TAGGED_PRE_RESTORE is 3;
    a_repair_that_fails_before_its_publish_has_published_nothing: REPAIR_SETTLED_PRE_PUBLISH is 3;
    a_repair_that_cannot_look_again_has_published_and_says_so: REPAIR_PUBLISHED_PRE_LOOK is 0;
}

/// A restore of Lance's own would discard what was committed in that moment.
#[tokio::test]
async fn what_is_committed_while_a_table_is_taken_back_is_not_lost() {
    let (world, _) = drifted(World::v4().await).await;
    let client = world.client.clone();
    let pause = pause_at(failpoint::REPAIR_TAGGED_PRE_RESTORE, move || async move {
        client.append(PERSON).await;
    });
    let report = repair(&world, &taking_back()).await;
    assert!(pause.crossings() > 0);
    drop(pause);
    assert_eq!(report.exit_code().number(), 3, "{report:#?}");
    let person =
        report.roots[0].tables.iter().find(|row| row.table_key.as_str() == PERSON).unwrap();
    assert!(
        person.error.as_ref().unwrap().contains("somebody else committed first"),
        "{person:#?}"
    );
    world.reads_as_before().await;
    let (rows, head) = (world.rows_of(PERSON).await, world.client.table(PERSON).await);
    assert_eq!(head.count_rows(None).await.unwrap() as u64, rows + 2 * APPENDED as u64);
    converges_with_more(&world, Version(head.manifest().version), rows).await;
}

async fn converges_with_more(world: &World, committed: Version, rows: u64) {
    let report = repair(world, &taking_back()).await;
    assert_eq!(report.exit_code().number(), 0, "{report:#?}");
    world.reads_as_before().await;
    is_kept(world, committed, rows + APPENDED as u64).await;
    world.is_at_rest().await;
}

#[tokio::test]
async fn what_is_published_while_a_table_is_taken_back_is_not_buried() {
    let (mut world, _) = drifted(World::v4().await).await;
    let client = world.client.clone();
    let pause = pause_at(failpoint::REPAIR_SETTLED_PRE_PUBLISH, move || async move {
        let table = client.append(PERSON).await;
        client.publish(PERSON, &table).await;
    });
    let report = repair(&world, &taking_back()).await;
    assert!(pause.crossings() > 0);
    drop(pause);
    assert_eq!(report.exit_code().number(), 3, "{report:#?}");
    let person =
        report.roots[0].tables.iter().find(|row| row.table_key.as_str() == PERSON).unwrap();
    assert!(person.error.as_ref().unwrap().contains("stale view"), "{person:#?}");
    // The client appended to what was taken back: readers see its rows, and no others.
    world.accepts_new_rows().await;
    let report = repair(&world, &plain()).await;
    assert_eq!(report.exit_code().number(), 0, "{report:#?}");
    world.reads_as_before().await;
    world.is_at_rest().await;
}
