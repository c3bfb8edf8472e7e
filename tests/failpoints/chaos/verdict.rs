//! What is looked at meanwhile, and what must hold when all is calm.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use chrono::TimeDelta;
use lance::Dataset;
use lance::dataset::builder::DatasetBuilder;
use lancekeeper::{
    AssumedDead, BranchSelection, CleanupOptions, CleanupReport, Keeper, NoProgress,
    OptimizeOptions, OptimizeReport, RecoverOptions, SkipReason, VerifyOptions,
};
use lancekeeper_testkit::check_graph;
use lancekeeper_testkit::invariants::names;
use lancekeeper_testkit::writer::MANIFEST;

use super::client::MAIN;
use super::database::TABLES;
use super::dice::Dice;
use super::graph::Graph;
use super::scene::Scene;
use crate::child::strictest;
use crate::histories::disk;

/// What a panic or a dropped run left to the runtime has ended by then.
pub(super) const ECHO: Duration = Duration::from_millis(500);

/// Reads until the world is over.
pub(super) async fn read_some(scene: Scene, mut dice: Dice) -> Result<()> {
    let Scene { world, graph, database, .. } = scene;
    while !world.is_over() {
        if dice.chance(70) {
            let live = graph.live();
            let branch = dice.pick(&live).context("main is live")?;
            graph.look(&world, branch).await.context("somebody read")?;
        } else {
            let table = dice.pick(&TABLES).context("there are some")?;
            database.look(&world, table).await.context("somebody read")?;
        }
        tokio::time::sleep(dice.millis(10, 100)).await;
    }
    Ok(())
}

/// What dead clients left comes to the same end whoever recovers it: the client, or we, by turns.
async fn end_leftovers(scene: &Scene, seed: u64) -> Result<()> {
    let Scene { world, graph, roots, .. } = scene;
    if seed.is_multiple_of(2) {
        return graph.recover(world).await.context("recovery by the client at the end");
    }
    let mut options = RecoverOptions::default();
    options.assumed_dead = AssumedDead::All;
    let recovered = Keeper::new().recover([&roots[0]], &options).await;
    expect_done(recovered.exit_code().number(), "our recovery at the end", &recovered)?;
    for row in &recovered.roots[0].left {
        world.did(&format!("recovered {:?}", row.action), &format!("{row:?}"));
    }
    let left = names(&Path::new(&roots[0]).join("__recovery"))?;
    let left: Vec<_> = left.iter().filter(|name| name.ends_with(".json")).collect();
    ensure!(left.is_empty(), "{left:?} are left");
    Ok(())
}

/// Everything that must hold once nobody works any more.
pub(super) async fn judge(scene: &Scene, seed: u64) -> Result<()> {
    tokio::time::sleep(ECHO).await;
    let Scene { world, graph, old, roots, .. } = scene;
    old.judge().await.context("the graph of an old format")?;
    graph.check_listed(world).await?;
    look_at_all(scene).await.context("with all that dead runs left")?;
    end_leftovers(scene, seed).await?;
    look_at_all(scene).await.context("after the recovery at the end")?;

    let first = optimize(roots).await;
    expect_done(first.exit_code().number(), "the optimize at the end", &first)?;
    for table in first.roots.iter().flat_map(|root| &root.tables) {
        // What is another branch's is worked on there.
        let is_right =
            matches!(table.skipped, None | Some(SkipReason::FilesInBase | SkipReason::Inherited));
        ensure!(is_right, "skipped at the end: {table:#?}");
    }
    let second = optimize(roots).await;
    let published: u64 = second.roots.iter().map(|root| root.published).sum();
    let idle = (second.exit_code().number(), published, second.totals.tables_committed);
    ensure!(idle == (0, 0, 0), "the second run found work: {second:#?}");
    look_at_all(scene).await.context("after the optimize at the end")?;

    let cleaned = cleanup(roots).await;
    expect_done(cleaned.exit_code().number(), "the cleanup at the end", &cleaned)?;
    let again = cleanup(roots).await;
    expect_done(again.exit_code().number(), "the second cleanup", &again)?;
    ensure!(again.totals.files_removed == 0, "the second cleanup found something: {again:#?}");
    look_at_all(scene).await.context("after the cleanup at the end")?;

    let checked = Keeper::new().verify(roots, &VerifyOptions::default()).await;
    let wrong = checked.totals.findings + checked.totals.unchecked;
    ensure!(wrong == 0, "verify: {checked:#?}");
    check_graph(&roots[0]).await?;
    check_pins(graph).await?;
    check_files(scene).await
}

async fn look_at_all(scene: &Scene) -> Result<()> {
    for branch in scene.graph.live() {
        scene.graph.look(&scene.world, &branch).await.with_context(|| branch.clone())?;
    }
    for table in TABLES {
        scene.database.look(&scene.world, table).await?;
    }
    Ok(())
}

async fn optimize(roots: &[String]) -> OptimizeReport {
    let options = OptimizeOptions { branches: BranchSelection::All, ..OptimizeOptions::default() };
    Keeper::new().optimize(roots, &options, Arc::new(NoProgress)).await
}

/// Everything that nobody needs goes, however young.
async fn cleanup(roots: &[String]) -> CleanupReport {
    let options = CleanupOptions {
        min_age: TimeDelta::zero(),
        max_delete_percent: 100,
        delete_rate: None,
        ..strictest()
    };
    Keeper::new().cleanup(roots, &options).await
}

fn expect_done(code: u8, what: &str, report: &dyn std::fmt::Debug) -> Result<()> {
    ensure!(code == 0, "{what}: exit code {code}: {report:#?}");
    Ok(())
}

/// HEAD is what is published, on every branch.
async fn check_pins(graph: &Graph) -> Result<()> {
    let writer = &graph.client.writer;
    for branch in graph.live() {
        for (key, entry) in writer.view(&branch, None).await?.entries {
            let head = writer.open(&entry.location, &entry.branch, None).await?;
            let drifts = entry.branch == branch && head.manifest().version != entry.version;
            ensure!(!drifts, "{key} on {branch} drifts: {entry:?}, {}", head.manifest().version);
        }
    }
    Ok(())
}

/// Every file belongs to a version that can be opened.
async fn check_files(scene: &Scene) -> Result<()> {
    let main = scene.graph.client.writer.view(MAIN, None).await?;
    let [graph, database] = scene.roots.each_ref().map(Path::new);
    let mut datasets: Vec<_> =
        main.entries.values().map(|entry| graph.join(&entry.location)).collect();
    datasets.push(graph.join(MANIFEST));
    datasets.extend(TABLES.map(|table| database.join(format!("{table}.lance"))));
    for directory in datasets {
        check_dataset(&directory).await?;
    }
    for root in [graph, database] {
        for room in ["journal", "runs", "cleanup"] {
            let left = names(&root.join("__maintenance").join(room))?;
            ensure!(left.is_empty(), "{left:?} are left in {room}");
        }
    }
    Ok(())
}

async fn check_dataset(directory: &Path) -> Result<()> {
    let files = disk::files(directory)?;
    let mut explained = BTreeSet::new();
    for (branch, chain) in disk::chains(&files) {
        ensure!(!chain.is_zombie, "{} has half of {branch}", directory.display());
        for version in chain.versions {
            let at = open(directory, &branch, version).await?;
            explained.extend(disk::referred_to(&at, directory, &branch).await?);
        }
    }
    for file in &explained {
        ensure!(directory.join(file).exists(), "{}/{file} is gone", directory.display());
    }
    let is_known = |path: &String| {
        let rest = disk::split(path).1;
        let index = path.rsplit_once('/').map(|(directory, _)| directory);
        explained.contains(path)
            || index.is_some_and(|index| explained.contains(index))
            || rest.starts_with("_refs/")
            || rest == "_versions/latest_version_hint.json"
    };
    let unknown: Vec<_> = files.keys().filter(|path| !is_known(path)).collect();
    ensure!(unknown.is_empty(), "{} keeps {unknown:?} for nobody", directory.display());
    Ok(())
}

async fn open(directory: &Path, branch: &str, version: u64) -> Result<Dataset> {
    let builder = DatasetBuilder::from_uri(directory.to_string_lossy());
    let builder = match branch {
        MAIN => builder.with_version(version),
        branch => builder.with_branch(branch, Some(version)),
    };
    Ok(builder.load().await?)
}
