//! What we run, each as often as its share says, on the graph or on the database.

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use chrono::TimeDelta;
use futures::FutureExt;
use futures::future::BoxFuture;
use lancekeeper::{
    BranchSelection, CleanupOptions, CleanupPolicyOptions, ErrorKind, Keeper, MigrateGoal,
    MigrateOptions, NoProgress, OptimizeOptions, RecoverOptions, RepairOptions, Report, VerbBody,
    VerifyOptions,
};

use super::dice::Dice;
use super::scene::Scene;
use super::world::WINDOW;
use crate::child::strictest;

/// None where there was nothing to do it to.
type Run = fn(Call) -> BoxFuture<'static, Result<Option<Told>>>;

/// A verb, and how often it is run beside the others.
struct Verb {
    name: &'static str,
    share: u64,
    run: Run,
}

/// To add a verb: one more line.
const VERBS: &[Verb] = &[
    Verb { name: "optimize", share: 10, run: |call| optimize(call).boxed() },
    Verb { name: "cleanup", share: 6, run: |call| cleanup(call).boxed() },
    Verb { name: "branch create", share: 4, run: |call| create_branch(call).boxed() },
    Verb { name: "branch delete", share: 3, run: |call| delete_branch(call).boxed() },
    Verb { name: "recover", share: 3, run: |call| recover(call).boxed() },
    Verb { name: "repair", share: 3, run: |call| repair(call).boxed() },
    Verb { name: "migrate", share: 1, run: |call| migrate(call).boxed() },
    Verb { name: "relocate the old graph", share: 3, run: |call| relocate_old(call).boxed() },
    Verb { name: "migrate the old graph", share: 4, run: |call| migrate_old(call).boxed() },
    Verb { name: "work on the old graph", share: 3, run: |call| work_on_old(call).boxed() },
    Verb { name: "move the old graph", share: 1, run: |call| move_old(call).boxed() },
    Verb { name: "status", share: 1, run: |call| status(call).boxed() },
    Verb { name: "verify", share: 1, run: |call| verify(call).boxed() },
];

/// The branches there may be besides main.
pub(super) const BRANCHES: [&str; 3] = ["b", "c", "d/x"];

/// One run.
struct Call {
    scene: Scene,
    keeper: Keeper,
    dice: Dice,
}

/// How a run ended.
struct Told {
    code: u8,
    error: Option<String>,
    kind: Option<ErrorKind>,
}

/// Runs verbs until the world is over. What failpoints make of them is no failure; what they say of the
/// graph may be.
pub(super) async fn run_some(scene: Scene, mut dice: Dice) -> Result<()> {
    let world = Arc::clone(&scene.world);
    // Of those who run verbs some keep their caches, whatever happens to their runs.
    let kept = Keeper::new();
    let keeps = dice.chance(50);
    let shares: u64 = VERBS.iter().map(|verb| verb.share).sum();
    while !world.is_over() {
        let mut roll = dice.roll(shares);
        let verb = VERBS.iter().find(|verb| match roll.checked_sub(verb.share) {
            Some(rest) => {
                roll = rest;
                false
            }
            None => true,
        });
        let verb = verb.context("the shares are those of the verbs")?;
        let keeper = if keeps { kept.clone() } else { Keeper::new() };
        let call = Call { scene: scene.clone(), keeper, dice: dice.split() };
        // A task of its own, so that a panic ends this run only.
        match tokio::spawn((verb.run)(call)).await {
            Ok(told) => {
                let Some(Told { code, error, kind }) = told.context(verb.name)? else { continue };
                world.did(&format!("{} {code}", verb.name), error.as_deref().unwrap_or("done"));
                let is_injected = error.as_ref().is_some_and(|error| error.contains("injected"));
                let is_wrong = matches!(kind, Some(ErrorKind::Corrupt | ErrorKind::Internal));
                if is_wrong && !is_injected {
                    bail!("{}: {}", verb.name, error.unwrap_or_default());
                }
            }
            Err(error) if error.is_panic() => world.did(&format!("{} panicked", verb.name), ""),
            Err(error) => bail!("{}: {error}", verb.name),
        }
        tokio::time::sleep(dice.millis(1, 100)).await;
    }
    Ok(())
}

impl Call {
    fn graph(&self) -> String {
        self.scene.roots[0].clone()
    }

    /// The graph, the database, or both.
    fn roots(&mut self) -> Vec<String> {
        match self.dice.roll(5) {
            0..3 => vec![self.graph()],
            3 => vec![self.scene.roots[1].clone()],
            _ => self.scene.roots.to_vec(),
        }
    }
}

fn told<Body: VerbBody>(report: &Report<Body>) -> Option<Told> {
    let failed = report.roots.iter().find(|root| root.error.is_some());
    Some(Told {
        code: report.exit_code().number(),
        error: failed.and_then(|root| root.error.clone()),
        kind: failed.and_then(|root| root.error_kind),
    })
}

async fn optimize(mut call: Call) -> Result<Option<Told>> {
    let dice = &mut call.dice;
    let options = OptimizeOptions {
        branches: if dice.chance(70) { BranchSelection::All } else { BranchSelection::Main },
        concurrency: dice.chance(30).then_some(1),
        deletion_threshold: if dice.chance(50) { 0.0 } else { 0.1 },
        ..OptimizeOptions::default()
    };
    let roots = call.roots();
    Ok(told(&call.keeper.optimize(&roots, &options, Arc::new(NoProgress)).await))
}

/// As strict as clients can stand that are never slower than the window.
async fn cleanup(mut call: Call) -> Result<Option<Told>> {
    let window = TimeDelta::from_std(WINDOW)?;
    let options = CleanupOptions {
        policy: CleanupPolicyOptions {
            keep_versions: Some(if call.dice.chance(70) { 1 } else { 3 }),
            older_than: None,
        },
        writer_window: window,
        min_age: window,
        min_fork_age: window,
        max_delete_percent: 100,
        delete_rate: call.dice.chance(30).then_some(50),
        ..CleanupOptions::default()
    };
    let roots = call.roots();
    Ok(told(&call.keeper.cleanup(&roots, &options).await))
}

async fn create_branch(mut call: Call) -> Result<Option<Told>> {
    let name = *call.dice.pick(&BRANCHES).context("there are some")?;
    let live = call.scene.graph.live();
    let from = call.dice.pick(&live).context("main is live")?.clone();
    let (uri, keeper, source) = (call.graph(), call.keeper, from.clone());
    let Scene { world, graph, .. } = call.scene;
    let run = async move { told(&keeper.create_branch(&uri, name, &source).await) };
    Ok(graph.creates(&world, name, &from, run).await?.flatten())
}

async fn delete_branch(mut call: Call) -> Result<Option<Told>> {
    let name = *call.dice.pick(&BRANCHES).context("there are some")?;
    let (uri, keeper) = (call.graph(), call.keeper);
    let Scene { world, graph, .. } = call.scene;
    let run = async move { told(&keeper.delete_branch(&uri, name).await) };
    Ok(graph.deletes(&world, name, run).await?.flatten())
}

/// No client is slower than the window, so whoever did nothing for so long is dead.
async fn recover(call: Call) -> Result<Option<Told>> {
    let mut options = RecoverOptions::default();
    options.dead_after = TimeDelta::from_std(WINDOW)?;
    Ok(told(&call.keeper.recover([call.graph()], &options).await))
}

async fn repair(mut call: Call) -> Result<Option<Told>> {
    let way = call.dice.roll(4);
    let options = RepairOptions {
        confirm: true,
        force: way == 0,
        restore_pin: way == 1,
        dead_after: TimeDelta::from_std(WINDOW)?,
        ..RepairOptions::default()
    };
    Ok(told(&call.keeper.repair([call.graph()], &options).await))
}

/// The graph has the newest version already, and must stay as it is.
async fn migrate(mut call: Call) -> Result<Option<Told>> {
    let mut options = MigrateOptions::default();
    if call.dice.chance(50) {
        options.goal = MigrateGoal::Newest { rebuild: false };
    }
    Ok(told(&call.keeper.migrate([call.graph()], &options).await))
}

/// It lies elsewhere than it was made, until this has come to its end.
async fn relocate_old(call: Call) -> Result<Option<Told>> {
    let old = call.scene.old.stays().await;
    Ok(told(&call.keeper.relocate([old.uri()], true).await))
}

/// From v3 to v4, or back from half-way.
async fn migrate_old(mut call: Call) -> Result<Option<Told>> {
    let old = call.scene.old.stays().await;
    let goal = match call.dice.chance(20) {
        true => MigrateGoal::Abort,
        false => MigrateGoal::Newest { rebuild: false },
    };
    let options = MigrateOptions { goal, ..MigrateOptions::default() };
    Ok(told(&call.keeper.migrate([old.uri()], &options).await))
}

/// As long as it is not whole, or between two formats, nobody may write to it.
async fn work_on_old(mut call: Call) -> Result<Option<Told>> {
    let old = call.scene.old.stays().await;
    let (keeper, uri) = (&call.keeper, old.uri());
    let name = *call.dice.pick(&BRANCHES).context("there are some")?;
    Ok(match call.dice.roll(5) {
        0 => {
            let options =
                OptimizeOptions { branches: BranchSelection::All, ..OptimizeOptions::default() };
            told(&keeper.optimize([uri], &options, Arc::new(NoProgress)).await)
        }
        1 => told(&keeper.cleanup([uri], &strictest()).await),
        2 => told(&keeper.create_branch(&uri, name, "main").await),
        3 => told(&keeper.delete_branch(&uri, name).await),
        _ => told(&keeper.status([uri]).await),
    })
}

async fn move_old(mut call: Call) -> Result<Option<Told>> {
    call.scene.old.moves(&call.scene.world, &mut call.dice).await?;
    Ok(None)
}

async fn status(mut call: Call) -> Result<Option<Told>> {
    let roots = call.roots();
    Ok(told(&call.keeper.status(&roots).await))
}

async fn verify(mut call: Call) -> Result<Option<Told>> {
    let roots = call.roots();
    let options = VerifyOptions { quick: call.dice.chance(50), ..VerifyOptions::default() };
    Ok(told(&call.keeper.verify(&roots, &options).await))
}
