//! Everybody who works on a graph and a database at the same time.

use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, anyhow, bail, ensure};
use tempfile::TempDir;
use tokio::task::JoinSet;

use super::database::Database;
use super::dice::Dice;
use super::faults;
use super::graph::Graph;
use super::old::Old;
use super::scene::Scene;
use super::verbs;
use super::verdict;
use super::world::{LASTS, World};

/// Until then a verb must have ended, however many failpoints let it dawdle.
const HANGS: Duration = Duration::from_secs(90);

const VERB_RUNNERS: u64 = 3;
const GRAPH_WRITERS: u64 = 2;
const DATABASE_WRITERS: u64 = 2;

/// How a world ended in which nothing was wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    Judged,
    /// A client took so long that a cleanup may rightly have taken what it needed.
    TooSlow,
}

/// A graph and a database in a directory, and a graph of an old format.
pub(super) async fn prepare(directory: &TempDir) -> Result<Scene> {
    let place = |name: &str| -> String { text(&directory.path().join(name)) };
    let (graph, database) = (place("graph"), place("database"));
    Ok(Scene {
        world: Arc::new(World::new()),
        graph: Arc::new(Graph::new(&graph).await?),
        database: Arc::new(Database::new(&database).await?),
        old: Arc::new(Old::new().await?),
        roots: [graph, database],
    })
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// Lets everybody work, and judges what has become of it.
pub(super) async fn work(scene: &Scene, seed: u64) -> Result<Ending> {
    scene.graph.write_first_rows(&scene.world).await?;
    scene.database.write_first_rows(&scene.world).await?;
    let mut tasks = start(scene, seed);
    let mut first = Ok(());
    while let Some(ended) = tasks.join_next().await {
        let ended = ended.unwrap_or_else(|error| Err(anyhow!("somebody panicked: {error}")));
        // What others say after the first is only what came of it.
        if first.is_ok() {
            first = ended;
        }
    }
    faults::calm();
    if scene.world.was_too_slow() {
        return Ok(Ending::TooSlow);
    }
    first?;
    verdict::judge(scene, seed).await?;
    let panics = faults::other_panics();
    ensure!(panics.is_empty(), "panics that no failpoint made: {panics:#?}");
    Ok(Ending::Judged)
}

fn start(scene: &Scene, seed: u64) -> JoinSet<Result<()>> {
    let mut tasks = JoinSet::new();
    let mut spawn = |work| tasks.spawn(until_over(Arc::clone(&scene.world), work));
    let dice = |who| Dice::new(seed, who);
    let world = || Arc::clone(&scene.world);
    spawn(boxed(faults::storm(world(), dice(0))));
    for who in 1..=VERB_RUNNERS {
        spawn(boxed(verbs::run_some(scene.clone(), dice(who))));
    }
    for who in 1..=GRAPH_WRITERS {
        spawn(boxed(Arc::clone(&scene.graph).write_some(world(), who, dice(10 + who))));
    }
    for who in 1..=DATABASE_WRITERS {
        spawn(boxed(Arc::clone(&scene.database).write_some(world(), who, dice(20 + who))));
    }
    spawn(boxed(verdict::read_some(scene.clone(), dice(30))));
    tasks
}

type Work = std::pin::Pin<Box<dyn Future<Output = Result<()>> + Send>>;

fn boxed(work: impl Future<Output = Result<()>> + Send + 'static) -> Work {
    Box::pin(work)
}

/// Does something; whatever goes wrong ends the world.
async fn until_over(world: Arc<World>, work: Work) -> Result<()> {
    let Ok(result) = tokio::time::timeout(LASTS + HANGS, work).await else {
        world.ends();
        bail!("somebody has not ended {HANGS:?} after the end");
    };
    if let Err(error) = &result {
        world.log(&format!("WRONG: {error:#}"));
        world.ends();
    }
    result
}
