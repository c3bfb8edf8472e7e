//! Migrations of graphs that real clients wrote: to v3 by the first write, to v4 when asked, on main
//! and on every branch; and stamps that forbid both.

mod bad_stamps;
mod beside_remains;
mod lance_steps;

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{TimeDelta, Utc};
use lance::Dataset;
use lance::dataset::builder::DatasetBuilder;
use lancekeeper::{
    BranchSelection, CleanupOptions, CleanupPolicyOptions, Keeper, MigrateGoal, MigrateOptions,
    MigrateReport, NoProgress, OptimizeOptions, OptimizeReport, StatusOptions,
};
use lancekeeper_manifest::{Graph, GraphCommit};
use lancekeeper_model::{Branch, InternalSchema};
use lancekeeper_store::Tables;
use lancekeeper_store::root::recognise;
use lancekeeper_testkit::invariants::names;
use lancekeeper_testkit::rows::count;
use lancekeeper_testkit::{FixturePath, GraphRows, check_graph, graph_rows};

use crate::fixtures::tree;

const STAMP: &str = "omnigraph:internal_schema_version";
const KEY: &str = "lance-schema:unenforced-primary-key";
const V1: &str = "omnigraph-0.3.1-v1-branches";
const BRANCHES: [&str; 3] = ["main", "lazy", "work"];

pub(super) fn to_v4() -> MigrateOptions {
    let goal = MigrateGoal::Newest { rebuild: false };
    MigrateOptions { goal, ..MigrateOptions::default() }
}

pub(super) async fn migrate(uri: &str, options: &MigrateOptions) -> MigrateReport {
    Keeper::new().migrate([uri], options).await
}

pub(super) async fn optimize(uri: &str) -> OptimizeReport {
    let branches = BranchSelection::All;
    let options = OptimizeOptions { branches, ..OptimizeOptions::default() };
    Keeper::new().optimize([uri], &options, Arc::new(NoProgress)).await
}

pub(super) async fn graph(uri: &str) -> Graph {
    Graph::open(&Tables::new(), &recognise(uri).unwrap()).await.unwrap()
}

pub(super) fn branch(name: &str) -> Branch {
    if name == "main" { Branch::main() } else { Branch::named(name) }
}

pub(super) async fn manifest(uri: &str, branch: &str) -> Dataset {
    let builder = DatasetBuilder::from_uri(format!("{uri}/__manifest"));
    let builder = if branch == "main" { builder } else { builder.with_branch(branch, None) };
    builder.load().await.unwrap()
}

/// The stamp and the annotation of the key, of a branch.
async fn stamp(uri: &str, branch: &str) -> (Option<String>, Option<String>) {
    let manifest = manifest(uri, branch).await;
    let schema = manifest.schema();
    let key = schema.field("object_id").unwrap().metadata.get(KEY).cloned();
    (schema.metadata.get(STAMP).cloned(), key)
}

async fn all_are_stamped(uri: &str, number: &str) {
    for branch in BRANCHES {
        let found = stamp(uri, branch).await;
        assert_eq!(found, (Some(number.to_owned()), Some("true".to_owned())), "{branch}");
    }
}

fn counts(rows: &GraphRows) -> [usize; 3] {
    BRANCHES.map(|branch| count(rows, branch))
}

/// The commits that readers of each branch know, by id.
async fn histories(uri: &str) -> BTreeMap<&'static str, Vec<GraphCommit>> {
    let graph = graph(uri).await;
    let mut histories = BTreeMap::new();
    for name in BRANCHES {
        let mut commits = graph.history(&branch(name)).await.unwrap().commits;
        commits.sort_by(|a, b| a.id.cmp(&b.id));
        histories.insert(name, commits);
    }
    histories
}

/// The strictest cleanup there is.
fn strictest() -> CleanupOptions {
    CleanupOptions {
        policy: CleanupPolicyOptions { keep_versions: Some(1), older_than: None },
        writer_window: TimeDelta::zero(),
        min_age: TimeDelta::zero(),
        min_fork_age: TimeDelta::zero(),
        ..CleanupOptions::default()
    }
}

/// Every table that a branch owns stands where its pin says.
async fn heads_are_pinned(uri: &str) {
    let graph = graph(uri).await;
    for name in BRANCHES {
        let snapshot = graph.snapshot(&branch(name)).await.unwrap();
        for pin in snapshot.pins.iter().filter(|pin| pin.table_branch == snapshot.branch) {
            let uri = graph.root().address_of(&pin.location);
            let table = Tables::new().open(&uri, &pin.table_branch).await.unwrap();
            assert_eq!(table.manifest().version, pin.version.0, "{} on {name}", pin.key);
        }
    }
}

/// Everything we do works on it, and no branch reads anything else for it.
async fn is_fully_usable(uri: &str, rows: &GraphRows) {
    let report = optimize(uri).await;
    assert_eq!(report.exit_code().number(), 0, "{report:#?}");
    assert!(report.roots[0].published > 0, "{report:#?}");
    assert!(report.roots[0].tables.iter().all(|table| {
        table.skipped.is_none_or(|skip| skip != lancekeeper::SkipReason::DriftNeedsRepair)
    }));
    assert!(graph_rows(uri).await.unwrap() == *rows, "optimize changed what a branch reads");
    heads_are_pinned(uri).await;
    let keeper = Keeper::new();
    let created = keeper.create_branch(uri, "new", "work").await;
    assert_eq!(created.exit_code().number(), 0, "{created:#?}");
    let cleaned = keeper.cleanup([uri], &strictest()).await;
    assert_eq!(cleaned.exit_code().number(), 0, "{cleaned:#?}");
    assert!(cleaned.totals.files_removed > 0, "{cleaned:#?}");
    let deleted = keeper.delete_branch(uri, "new").await;
    assert_eq!(deleted.exit_code().number(), 0, "{deleted:#?}");
    assert!(graph_rows(uri).await.unwrap() == *rows, "cleanup took a row");
    heads_are_pinned(uri).await;
    check_graph(uri).await.unwrap();
    let second = optimize(uri).await;
    assert_eq!(second.roots[0].published, 0, "{second:#?}");
}

#[tokio::test]
async fn a_v1_graph_is_brought_to_v3_by_the_first_write_at_fixture_path() {
    let fixture = FixturePath::unpack(V1).unwrap();
    let uri = fixture.uri();
    let rows = graph_rows(&uri).await.unwrap();
    assert_eq!(counts(&rows), [4819, 3019, 4219], "what the client exports");
    let before = tree(&uri);
    let commits = histories(&uri).await;

    // Who looks writes nothing, and hears what the first write does.
    let keeper = Keeper::new();
    let status = keeper.status_of([&uri], StatusOptions::default()).await;
    assert_eq!(status.attention_code().number(), 0, "{status:#?}");
    assert_eq!(status.roots[0].internal_schema, Some(1));
    let says = |warnings: &[String]| {
        let said = warnings.iter().find(|warning| warning.contains("first write"));
        let said = said.unwrap_or_else(|| panic!("{warnings:?}"));
        for word in ["v1", "v3", "main, lazy, work", "omnigraph up to 0.3.1", "0.4.1 to 0.6.1"] {
            assert!(said.contains(word), "{word}: {said}");
        }
    };
    says(&status.roots[0].warnings);
    let plan = keeper.plan_optimize([&uri], &OptimizeOptions::default()).await;
    says(&plan.roots[0].warnings);
    let plan = keeper.plan_cleanup([&uri], &strictest()).await;
    says(&plan.roots[0].warnings);
    says(&keeper.plan_create_branch(&uri, "new", "main").await.roots[0].warnings);
    says(&keeper.plan_delete_branch(&uri, "lazy").await.roots[0].warnings);
    let plan = keeper.plan_migrate([&uri], &MigrateOptions::default()).await;
    assert_eq!(plan.roots[0].steps.len(), 6, "{plan:#?}");
    assert_eq!(tree(&uri), before, "somebody who looks wrote");

    let report = optimize(&uri).await;
    assert_eq!(report.exit_code().number(), 0, "{report:#?}");
    let migrated = report.roots[0].recovery.migrated.as_ref().unwrap();
    assert_eq!((migrated.from.number(), migrated.to), (Some(1), 3));
    assert_eq!(migrated.branches, BRANCHES.map(branch));
    assert_eq!(migrated.locked_out.len(), 2);
    all_are_stamped(&uri, "3").await;
    assert!(graph_rows(&uri).await.unwrap() == rows);
    let now = histories(&uri).await;
    for (name, commits) in commits {
        let kept = now[name].iter().filter(|commit| commits.contains(commit)).count();
        assert_eq!(kept, commits.len(), "a commit of {name} is gone");
        // One publish on main and one on work; none for the migration.
        assert_eq!(now[name].len(), commits.len() + usize::from(name != "lazy"), "{name}");
    }
    let again = optimize(&uri).await;
    assert!(again.roots[0].recovery.migrated.is_none());
    assert_eq!(again.roots[0].published, 0, "{again:#?}");

    for verb in ["create", "cleanup"] {
        fixture.reset(V1).unwrap();
        let recovery = match verb {
            "create" => {
                keeper.create_branch(&uri, "new", "main").await.roots.remove(0).body.recovery
            }
            _ => keeper.cleanup([&uri], &strictest()).await.roots.remove(0).body.recovery,
        };
        assert_eq!(recovery.migrated.map(|migrated| migrated.to), Some(3), "{verb}");
        all_are_stamped(&uri, "3").await;
        let now = graph_rows(&uri).await.unwrap();
        assert!(rows.iter().all(|(place, rows)| now[place] == *rows), "{verb}");
    }
    fixture.reset(V1).unwrap();
    is_fully_usable(&uri, &rows).await;
}

#[tokio::test]
async fn branches_of_runs_go_unless_they_are_young_at_fixture_path() {
    let fixture = FixturePath::unpack(V1).unwrap();
    let uri = fixture.uri();
    let rows = graph_rows(&uri).await.unwrap();
    let mut main = manifest(&uri, "main").await;
    main.create_branch("__run__01M7WA021VD71JWWPJJVJ0XTEC", 5, None).await.unwrap();
    let before = tree(&uri);
    let report = optimize(&uri).await;
    assert_eq!(report.exit_code().number(), 12, "{report:#?}");
    let (error, hint) = (report.roots[0].error.as_ref().unwrap(), report.roots[0].hint.as_ref());
    assert!(error.contains("__run__01M7WA021VD71JWWPJJVJ0XTEC"), "{error}");
    assert!(hint.unwrap().contains("--dead-after"), "{hint:?}");
    let status = Keeper::new().status([&uri]).await;
    assert_eq!(status.attention_code().number(), 12, "{status:#?}");
    assert_eq!(tree(&uri), before, "something was written");

    // A load commits to forks of tables long before it does to its branch.
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    let pin = graph(&uri).await.snapshot(&Branch::main()).await.unwrap().pins.remove(0);
    let mut table = Dataset::open(&format!("{uri}/{}", pin.location)).await.unwrap();
    let run = "__run__01M7WA021VD71JWWPJJVJ0XTEC";
    let mut fork = table.create_branch(run, pin.version.0, None).await.unwrap();
    fork.delete("false").await.unwrap();
    let written = fork.version().timestamp;
    let options = MigrateOptions { dead_after: TimeDelta::seconds(2), ..MigrateOptions::default() };
    let keeper = Keeper::builder().clock(move || written + TimeDelta::seconds(1)).build();
    let plan = keeper.plan_migrate([&uri], &options).await;
    assert_eq!(plan.exit_code().number(), 12, "{plan:#?}");
    let keeper = Keeper::builder().clock(move || written + TimeDelta::seconds(2)).build();
    let plan = keeper.plan_migrate([&uri], &options).await;
    assert_eq!(plan.exit_code().number(), 0, "{plan:#?}");

    // Twenty minutes later it is nobody's.
    let later = || Utc::now() + TimeDelta::minutes(20);
    let keeper = Keeper::builder().clock(later).build();
    let plan = keeper.plan_migrate([&uri], &MigrateOptions::default()).await;
    assert_eq!(plan.roots[0].run_branches.len(), 1, "{plan:#?}");
    let report = keeper.optimize([&uri], &OptimizeOptions::default(), Arc::new(NoProgress)).await;
    let migrated = report.roots[0].recovery.migrated.as_ref().unwrap();
    assert_eq!(migrated.run_branches_deleted.len(), 1, "{report:#?}");
    assert!(
        !manifest(&uri, "main")
            .await
            .list_branches()
            .await
            .unwrap()
            .keys()
            .any(|name| { name.starts_with("__run__") })
    );
    assert!(graph_rows(&uri).await.unwrap() == rows);

    // Or at once, if somebody knows that it is.
    fixture.reset(V1).unwrap();
    let mut main = manifest(&uri, "main").await;
    main.create_branch("__run__01M7WA021VD71JWWPJJVJ0XTEC", 5, None).await.unwrap();
    let options = MigrateOptions { dead_after: TimeDelta::zero(), ..MigrateOptions::default() };
    let report = migrate(&uri, &options).await;
    assert_eq!(report.exit_code().number(), 0, "{report:#?}");
    assert_eq!(report.roots[0].run_branches.len(), 1);
    all_are_stamped(&uri, "3").await;
}

#[tokio::test]
async fn v4_has_the_whole_history_of_every_branch_at_fixture_path() {
    let fixture = FixturePath::unpack(V1).unwrap();
    let uri = fixture.uri();
    for (name, has_branches) in
        [(V1, true), ("omnigraph-0.7.0-branches", true), ("omnigraph-0.7.0-main-only", false)]
    {
        fixture.reset(name).unwrap();
        let rows = graph_rows(&uri).await.unwrap();
        if !has_branches {
            main_only(&uri, &rows).await;
            continue;
        }
        let commits = histories(&uri).await;
        let before = tree(&uri);
        let plan = Keeper::new().plan_migrate([&uri], &to_v4()).await;
        assert_eq!(plan.exit_code().number(), 0, "{plan:#?}");
        let planned = plan.roots[0].branches.clone();
        assert_eq!(tree(&uri), before, "a preview wrote");

        let report = migrate(&uri, &to_v4()).await;
        assert_eq!(report.exit_code().number(), 0, "{name}: {report:#?}");
        assert_eq!(report.roots[0].branches, planned, "done as planned");
        assert_eq!(report.roots[0].steps, plan.roots[0].steps);
        for branch in &planned {
            assert_eq!(branch.commits, commits[branch.name.label()].len() as u64, "{branch:?}");
            assert_eq!((branch.to, branch.rebuilt), (Some(4), 0), "{branch:?}");
        }
        all_are_stamped(&uri, "4").await;
        assert_eq!(histories(&uri).await, commits, "{name}: ids, parents, versions and times");
        assert!(graph_rows(&uri).await.unwrap() == rows, "{name}");
        heads_are_pinned(&uri).await;
        assert!(std::path::Path::new(&uri).join("_graph_commits.lance").exists());
        assert!(!std::path::Path::new(&uri).join("__maintenance/migration.json").exists());

        let after = tree(&uri);
        let again = migrate(&uri, &to_v4()).await;
        assert_eq!(again.exit_code().number(), 0, "{again:#?}");
        assert!(again.roots[0].steps.is_empty(), "{again:#?}");
        let grown = tree(&uri).len() - after.len();
        assert_eq!(grown, 0, "a second migration wrote");
        is_fully_usable(&uri, &rows).await;
        the_old_history_goes_only_when_told_to(&uri).await;
        let now = histories(&uri).await;
        for (branch, commits) in &commits {
            assert!(commits.iter().all(|commit| now[branch].contains(commit)), "{branch}");
        }
    }
}

/// Nobody reads it any more; a cleanup leaves it alone all the same until it is told to take it.
async fn the_old_history_goes_only_when_told_to(uri: &str) {
    let data = std::path::Path::new(uri).join("_graph_commits.lance/data");
    assert!(!names(&data).unwrap().is_empty(), "cleanup took it without a word");
    let options = CleanupOptions { old_history: true, ..strictest() };
    // The first run commits a version without rows, which makes the others old.
    for _ in 0..2 {
        let cleaned = Keeper::new().cleanup([uri], &options).await;
        assert_eq!(cleaned.exit_code().number(), 0, "{cleaned:#?}");
    }
    assert!(names(&data).unwrap().is_empty(), "the old history is still there");
}

/// The same for a graph without branches, whose commits were made by somebody; and one commit that a
/// client died before it wrote down.
async fn main_only(uri: &str, rows: &GraphRows) {
    let graph_before = graph(uri).await;
    let mut commits = graph_before.history(&Branch::main()).await.unwrap().commits;
    let lost = commits.remove(0);
    let mut table = Dataset::open(&format!("{uri}/_graph_commits.lance")).await.unwrap();
    table.delete(&format!("graph_commit_id = '{}'", lost.id)).await.unwrap();

    let report = migrate(uri, &to_v4()).await;
    assert_eq!(report.exit_code().number(), 0, "{report:#?}");
    assert_eq!(report.roots[0].branches[0].rebuilt, 1, "{report:#?}");
    let mut now = graph(uri).await.history(&Branch::main()).await.unwrap().commits;
    let rebuilt = now.remove(0);
    assert_eq!(now, commits);
    assert_eq!(rebuilt.manifest_version, lost.manifest_version);
    assert_eq!(rebuilt.parents, lost.parents);
    assert!((rebuilt.created_at - lost.created_at).abs() < TimeDelta::seconds(5));
    assert!(graph_rows(uri).await.unwrap() == *rows);
    check_graph(uri).await.unwrap();
}

#[tokio::test]
async fn there_is_no_way_back_from_v4_and_nothing_to_take_back_before_at_fixture_path() {
    let fixture = FixturePath::unpack("omnigraph-0.7.0-branches").unwrap();
    let uri = fixture.uri();
    let abort = MigrateOptions { goal: MigrateGoal::Abort, ..MigrateOptions::default() };
    let before = tree(&uri);
    let report = migrate(&uri, &abort).await;
    assert_eq!(report.exit_code().number(), 13, "{report:#?}");
    assert_eq!(tree(&uri), before);
    // At v3 there is nothing to do for a first write.
    let report = migrate(&uri, &MigrateOptions::default()).await;
    assert_eq!(report.exit_code().number(), 0, "{report:#?}");
    assert!(report.roots[0].steps.is_empty());
    migrate(&uri, &to_v4()).await;
    let report = migrate(&uri, &abort).await;
    assert_eq!(report.exit_code().number(), 13, "{report:#?}");
    all_are_stamped(&uri, "4").await;
    assert_eq!(graph(&uri).await.schema(), InternalSchema::V4);
}
