//! `migrate` dies or fails between any two of its steps, or a client is at work meanwhile: every branch
//! reads as before, nobody else writes what is between two versions, and the next run finishes it or
//! takes it back.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use chrono::Utc;
use fail::{FailGuard, FailScenario};
use lance::dataset::builder::DatasetBuilder;
use lance::dataset::refs::Ref;
use lancekeeper::{
    AssumedDead, Keeper, MigrateGoal, MigrateOptions, MigrateReport, OptimizeOptions,
    RecoverOptions,
};
use lancekeeper_manifest::{
    Graph, GraphCommit, Migration, MigrationOutcome, migrate_internal_schema,
};
use lancekeeper_model::{Branch, OperationId};
use lancekeeper_planner::migrate::Goal;
use lancekeeper_store::Tables;
use lancekeeper_store::failpoint;
use lancekeeper_store::root::recognise;
use lancekeeper_testkit::wreck::uncommit;
use lancekeeper_testkit::{FixturePath, GraphRows, graph_rows};

use crate::child::{Death, Verb, run_and_die, strictest};
use crate::pause::pause_at;

const V1: &str = "omnigraph-0.3.1-v1-branches";
const V3: &str = "omnigraph-0.7.0-branches";
const STEP: &str = failpoint::MIGRATE_BEFORE_STEP;
const STAMP: &str = "omnigraph:internal_schema_version";

/// The failpoints at which a migration dies in these tests.
pub(crate) const DIED_AT: &[&str] = &[failpoint::MIGRATE_BEFORE_STEP];
/// Those at which it fails.
pub(crate) const FAILED_AT: &[&str] = &[failpoint::MIGRATE_BEFORE_STEP];

pub(crate) fn to_v4() -> MigrateOptions {
    let goal = MigrateGoal::Newest { rebuild: false };
    MigrateOptions { goal, ..MigrateOptions::default() }
}

fn abort() -> MigrateOptions {
    MigrateOptions { goal: MigrateGoal::Abort, ..MigrateOptions::default() }
}

/// A graph at the path its fixture was written at, with what must not change.
struct Place {
    fixture: FixturePath,
    rows: GraphRows,
    commits: BTreeMap<String, Vec<GraphCommit>>,
    _failpoints: FailScenario<'static>,
}

impl Place {
    async fn of(name: &str) -> Self {
        let failpoints = FailScenario::setup();
        let fixture = FixturePath::unpack(name).unwrap();
        let rows = graph_rows(&fixture.uri()).await.unwrap();
        let commits = histories(&fixture.uri()).await;
        Self { fixture, rows, commits, _failpoints: failpoints }
    }

    fn uri(&self) -> String {
        self.fixture.uri()
    }

    async fn migrate(&self, options: &MigrateOptions) -> MigrateReport {
        Keeper::new().migrate([self.uri()], options).await
    }

    /// Migrates until before this step, from 0; `None` if there are fewer.
    async fn fail_before(&self, step: usize, options: &MigrateOptions) -> Option<MigrateReport> {
        let guard = FailGuard::new(STEP, &format!("{step}*off->1*return")).unwrap();
        let report = self.migrate(options).await;
        drop(guard);
        report.roots[0].error.is_some().then_some(report)
    }

    async fn reads_as_before(&self) {
        assert!(graph_rows(&self.uri()).await.unwrap() == self.rows, "rows changed");
    }

    /// Every branch has this stamp and the history it had, and all that it had can be written.
    async fn is_at(&self, stamp: &str) {
        for branch in ["main", "lazy", "work"] {
            assert_eq!(stamp_of(&self.uri(), branch).await.as_deref(), Some(stamp), "{branch}");
        }
        let now = histories(&self.uri()).await;
        assert!(now == self.commits, "a history changed");
        let note = std::path::Path::new(&self.uri()).join("__maintenance/migration.json");
        assert!(!note.exists(), "the note is left");
        let plan = Keeper::new().plan_optimize([self.uri()], &OptimizeOptions::default()).await;
        assert_eq!(plan.exit_code().number(), 0, "{plan:#?}");
    }

    /// As long as main is between two versions nobody writes, and whoever reads can.
    async fn is_fenced_if_main_is(&self) {
        if stamp_of(&self.uri(), "main").await.as_deref() != Some("5") {
            return;
        }
        let (keeper, uri) = (Keeper::new(), self.uri());
        let plan = keeper.plan_optimize([&uri], &OptimizeOptions::default()).await;
        assert_eq!(plan.exit_code().number(), 12, "{plan:#?}");
        let hint = plan.roots[0].hint.as_deref().unwrap();
        assert!(hint.contains("--abort"), "{hint}");
        let cleaned = keeper.cleanup([&uri], &strictest()).await;
        assert_eq!(cleaned.exit_code().number(), 12, "{cleaned:#?}");
        let created = keeper.create_branch(&uri, "new", "work").await;
        assert_eq!(created.exit_code().number(), 12, "{created:#?}");
        let status = keeper.status([&uri]).await;
        assert_eq!(status.exit_code().number(), 0, "{status:#?}");
    }
}

async fn stamp_of(uri: &str, branch: &str) -> Option<String> {
    let builder = DatasetBuilder::from_uri(format!("{uri}/__manifest"));
    let builder = if branch == "main" { builder } else { builder.with_branch(branch, None) };
    builder.load().await.unwrap().schema().metadata.get(STAMP).cloned()
}

async fn histories(uri: &str) -> BTreeMap<String, Vec<GraphCommit>> {
    let graph = Graph::open(&Tables::new(), &recognise(uri).unwrap()).await.unwrap();
    let mut histories = BTreeMap::new();
    for branch in [Branch::main(), Branch::named("lazy"), Branch::named("work")] {
        let mut commits = graph.history(&branch).await.unwrap().commits;
        commits.sort_by(|a, b| a.id.cmp(&b.id));
        histories.insert(branch.label().to_owned(), commits);
    }
    histories
}

#[tokio::test]
async fn a_migration_to_v4_that_fails_before_any_step_is_finished_by_the_next_at_fixture_path() {
    let place = Place::of(V3).await;
    let mut steps = 0;
    while let Some(report) = place.fail_before(steps, &to_v4()).await {
        let error = report.roots[0].error.as_deref().unwrap();
        assert!(error.contains("injected failpoint triggered"), "{error}");
        assert_eq!(report.roots[0].steps.len(), steps, "{report:#?}");
        place.reads_as_before().await;
        place.is_fenced_if_main_is().await;
        let again = place.migrate(&to_v4()).await;
        assert_eq!(again.exit_code().number(), 0, "before step {steps}: {again:#?}");
        place.is_at("4").await;
        place.fixture.reset(V3).unwrap();
        steps += 1;
    }
    assert_eq!(steps, 14, "a note, four steps for each of three branches, and the end of the note");
    place.is_at("4").await;
    place.reads_as_before().await;
}

#[tokio::test]
async fn a_migration_to_v4_is_taken_back_from_anywhere_and_begun_anew_at_fixture_path() {
    let place = Place::of(V3).await;
    // Main is given back in the last step but one.
    for step in [1, 2, 4, 5, 7, 11, 12] {
        place.fixture.reset(V3).unwrap();
        place.fail_before(step, &to_v4()).await.unwrap();
        // Taking it back fails, too, somewhere.
        let failed = place.fail_before(step % 3, &abort()).await;
        if failed.is_some() {
            place.is_fenced_if_main_is().await;
            let back = place.migrate(&abort()).await;
            assert_eq!(back.exit_code().number(), 0, "from step {step}: {back:#?}");
        }
        place.is_at("3").await;
        place.reads_as_before().await;
        let again = place.migrate(&to_v4()).await;
        assert_eq!(again.exit_code().number(), 0, "{again:#?}");
        place.is_at("4").await;
    }
    place.reads_as_before().await;
}

#[tokio::test]
async fn a_v1_graph_whose_migration_fails_before_any_step_is_finished_by_any_write_at_fixture_path()
{
    let place = Place::of(V1).await;
    let mut steps = 0;
    while place.fail_before(steps, &MigrateOptions::default()).await.is_some() {
        place.reads_as_before().await;
        let created = Keeper::new().create_branch(&place.uri(), "new", "main").await;
        assert_eq!(created.exit_code().number(), 0, "before step {steps}: {created:#?}");
        place.is_at("3").await;
        place.fixture.reset(V1).unwrap();
        steps += 1;
    }
    assert_eq!(steps, 6);
    place.is_at("3").await;
}

#[tokio::test]
async fn a_migration_that_is_killed_is_finished_by_the_next_at_fixture_path() {
    let place = Place::of(V3).await;
    for crossing in [3, 6, 13] {
        place.fixture.reset(V3).unwrap();
        let verb = Verb::Migrate;
        run_and_die(&place.uri(), Death { verb, ..Death::at(STEP, crossing) });
        place.is_fenced_if_main_is().await;
        let again = place.migrate(&to_v4()).await;
        assert_eq!(again.exit_code().number(), 0, "{again:#?}");
        place.is_at("4").await;
    }
    place.reads_as_before().await;
}

/// A client that had the graph open makes a branch while it is being taken out of its hands.
#[tokio::test]
async fn a_branch_made_meanwhile_is_not_left_behind_at_fixture_path() {
    let place = Place::of(V3).await;
    let uri = place.uri();
    for crossing in [1, 3, 13] {
        place.fixture.reset(V3).unwrap();
        let crossings = AtomicUsize::new(0);
        let made_in = uri.clone();
        let guard = FailGuard::with_callback(STEP, move || {
            if crossings.fetch_add(1, Ordering::SeqCst) + 1 == crossing {
                let uri = made_in.clone();
                std::thread::spawn(move || {
                    let mut runtime = tokio::runtime::Builder::new_current_thread();
                    runtime.enable_all().build().unwrap().block_on(make_branch(&uri));
                })
                .join()
                .unwrap();
            }
        })
        .unwrap();
        let report = place.migrate(&to_v4()).await;
        drop(guard);
        assert_eq!(report.exit_code().number(), 0, "{crossing}: {report:#?}");
        assert_eq!(stamp_of(&uri, "meanwhile").await.as_deref(), Some("4"), "{crossing}");
        let status = Keeper::new().status([&uri]).await;
        assert_eq!(status.attention_code().number(), 0, "{status:#?}");
        let graph = Graph::open(&Tables::new(), &recognise(&uri).unwrap()).await.unwrap();
        let made = graph.history(&Branch::named("meanwhile")).await.unwrap();
        let lazy = graph.history(&Branch::named("lazy")).await.unwrap();
        assert_eq!(made.commits, lazy.commits, "{crossing}");
        assert_eq!(made.snapshot.pins, lazy.snapshot.pins, "{crossing}");
    }
}

/// As clients of v3 do: a branch of `__manifest`, then one of the history.
async fn make_branch(uri: &str) {
    for dataset in ["__manifest", "_graph_commits.lance"] {
        let builder = DatasetBuilder::from_uri(format!("{uri}/{dataset}"));
        let mut lazy = builder.with_branch("lazy", None).load().await.unwrap();
        let version = lazy.manifest().version;
        let from = Ref::Version(Some("lazy".to_owned()), Some(version));
        lazy.create_branch("meanwhile", from, None).await.unwrap();
    }
}

/// Another one begins, and ends, between two steps: on another machine there is no lock to wait for.
#[tokio::test]
async fn two_migrations_at_once_are_as_good_as_one_at_fixture_path() {
    let place = Place::of(V3).await;
    let uri = place.uri();
    let pause = pause_at(STEP, move || async move {
        let graph = Graph::open(&Tables::new(), &recognise(&uri).unwrap()).await.unwrap();
        let migration = Migration {
            graph: &graph,
            goal: Goal::Newest { rebuild: false },
            operation: &OperationId::new("01JZZZZZZZZZZZZZZZZZZZZZZZ"),
            dead_after: MigrateOptions::DEAD_AFTER,
            now: Utc::now(),
        };
        let mut outcome = MigrationOutcome::default();
        migrate_internal_schema(&migration, &mut outcome).await.unwrap();
    });
    let report = place.migrate(&to_v4()).await;
    drop(pause);
    assert_eq!(report.exit_code().number(), 0, "{report:#?}");
    place.is_at("4").await;
    place.reads_as_before().await;
}

/// A commit that the history did not name is made up, the migration is taken back, and then the history names it.
#[tokio::test]
async fn a_commit_that_an_attempt_made_up_goes_when_the_history_names_it_at_fixture_path() {
    let mut place = Place::of(V3).await;
    let uri = place.uri();
    let history = std::path::Path::new(&uri).join("_graph_commits.lance");
    uncommit(&history).unwrap();
    // A note, three fences and three copies.
    let failed = place.fail_before(7, &to_v4()).await.unwrap();
    assert!(failed.roots[0].branches.iter().any(|branch| branch.rebuilt == 1), "{failed:#?}");
    let back = place.migrate(&abort()).await;
    assert_eq!(back.exit_code().number(), 0, "{back:#?}");
    // What the attempt wrote is no publish, though what it could be compared with is collected.
    let main = DatasetBuilder::from_uri(format!("{uri}/__manifest")).load().await.unwrap();
    let copied = main.manifest().version - 1;
    let before = std::path::Path::new(&uri).join("__manifest/_versions");
    let before = before.join(format!("{:020}.manifest", u64::MAX - (copied - 1)));
    let aside = before.with_extension("aside");
    std::fs::rename(&before, &aside).unwrap();
    let mut options = RecoverOptions::default();
    options.assumed_dead = AssumedDead::All;
    let named = Keeper::new().recover([&uri], &options).await;
    assert_eq!(named.exit_code().number(), 0, "{named:#?}");
    assert_eq!(named.roots[0].left.len(), 1, "{named:#?}");
    let commits = histories(&uri).await;
    assert_eq!(commits["main"].len(), place.commits["main"].len(), "{named:#?}");
    std::fs::rename(&aside, &before).unwrap();

    place.commits = commits;
    let again = place.migrate(&to_v4()).await;
    assert_eq!(again.exit_code().number(), 0, "{again:#?}");
    place.is_at("4").await;
    place.reads_as_before().await;
}

/// The client of a run that seemed to be dead goes on while its branch is about to be deleted.
#[tokio::test]
async fn a_run_that_goes_on_meanwhile_keeps_its_branch_at_fixture_path() {
    const RUN: &str = "__run__01M7WA021VD71JWWPJJVJ0XTEC";
    let place = Place::of(V1).await;
    let uri = place.uri();
    let mut main = DatasetBuilder::from_uri(format!("{uri}/__manifest")).load().await.unwrap();
    main.create_branch(RUN, 5, None).await.unwrap();
    let graph = Graph::open(&Tables::new(), &recognise(&uri).unwrap()).await.unwrap();
    let pin = graph.snapshot(&Branch::main()).await.unwrap().pins.remove(0);
    let table = format!("{uri}/{}", pin.location);
    tokio::time::sleep(std::time::Duration::from_millis(2_100)).await;
    let pause = pause_at(STEP, move || async move {
        let mut table = DatasetBuilder::from_uri(table).load().await.unwrap();
        table.create_branch(RUN, pin.version.0, None).await.unwrap();
    });
    let dead_after = chrono::TimeDelta::seconds(2);
    let report = place.migrate(&MigrateOptions { dead_after, ..MigrateOptions::default() }).await;
    drop(pause);
    assert_eq!(report.exit_code().number(), 12, "{report:#?}");
    assert!(report.roots[0].error.as_deref().unwrap().contains(RUN), "{report:#?}");
    assert!(main.list_branches().await.unwrap().contains_key(RUN), "it was deleted");
    assert_eq!(stamp_of(&uri, "main").await.as_deref(), Some("2"));
    place.reads_as_before().await;
}
