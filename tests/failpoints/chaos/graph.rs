//! The branches of the graph, each with a queue for those who write to it, as in a process of clients. Verbs and
//! readers do not queue.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use chrono::Utc;
use lancekeeper_testkit::writer::{GraphWriter, MANIFEST};

use super::client::{Change, Client, Death, MAIN, TYPES, Write, choose};
use super::dice::Dice;
use super::ledger::{Ledger, Reading};
use super::world::{WINDOW, World};

const FIRST_ROWS: usize = 6;

/// The graph.
#[derive(Debug)]
pub(super) struct Graph {
    pub(super) client: Client,
    /// By live branch: who writes there.
    branches: Mutex<BTreeMap<String, Arc<Queue>>>,
    /// Held by whoever makes a branch: which were begun, and when, without coming into being so far.
    making: tokio::sync::Mutex<BTreeMap<String, u64>>,
}

type Queue = tokio::sync::Mutex<IsLive>;

/// Whether the branch is still there for whoever waited for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum IsLive {
    Yes,
    No,
}

impl Graph {
    pub(super) async fn new(uri: &str) -> Result<Self> {
        let client = Client { writer: GraphWriter::init(uri, &TYPES, Utc::now()).await? };
        let main = Arc::new(Queue::new(IsLive::Yes));
        let branches = Mutex::new(BTreeMap::from([(MAIN.to_owned(), main)]));
        Ok(Self { client, branches, making: tokio::sync::Mutex::default() })
    }

    /// The live branches.
    pub(super) fn live(&self) -> Vec<String> {
        self.branches.lock().unwrap().keys().cloned().collect()
    }

    fn queue(&self, branch: &str) -> Option<Arc<Queue>> {
        self.branches.lock().unwrap().get(branch).cloned()
    }

    pub(super) async fn write_first_rows(&self, world: &World) -> Result<()> {
        let mut dice = Dice::new(0, 0);
        for number in 0..FIRST_ROWS {
            let changes = TYPES.map(|name| {
                let row = (format!("first{number}"), "first".to_owned());
                (format!("node:{name}"), Change::Append(vec![row]))
            });
            let write = Write { changes: changes.into(), source: None };
            let written = self.client.write(world, MAIN, write, None, &mut dice).await?;
            ensure!(written == "written", "the first rows were {written}");
        }
        Ok(())
    }

    /// Writes until the world is over.
    pub(super) async fn write_some(
        self: Arc<Self>,
        world: Arc<World>,
        who: u64,
        mut dice: Dice,
    ) -> Result<()> {
        for number in 0.. {
            if world.is_over() {
                break;
            }
            let live = self.live();
            let branch = dice.pick(&live).context("main is live")?.clone();
            let Some(queue) = self.queue(&branch) else { continue };
            let is_live = queue.lock().await;
            if *is_live == IsLive::Yes {
                let name = format!("g{who}x{number}");
                let write = choose(&world, (&branch, &live), &name, &mut dice);
                let death = dice.chance(20).then(|| dice.pick(&Death::ALL).copied()).flatten();
                let what = format!("{name} on {branch}: {write:?}, {death:?}");
                let kind = if write.source.is_some() { "merge" } else { "write" };
                let write = self.client.write(&world, &branch, write, death, &mut dice);
                let written = Box::pin(write).await.with_context(|| what.clone())?;
                world.did(&format!("graph {kind} {written}"), &what);
            }
            drop(is_live);
            tokio::time::sleep(dice.millis(20, 400)).await;
        }
        Ok(())
    }

    /// What dead clients left on live branches is recovered.
    pub(super) async fn recover(&self, world: &World) -> Result<()> {
        for branch in self.live() {
            self.client.recover(world, &branch).await?;
        }
        Ok(())
    }

    /// Lets a branch be created, and learns what it reads.
    pub(super) async fn creates<T: Send + 'static>(
        &self,
        world: &World,
        name: &str,
        from: &str,
        run: impl Future<Output = T> + Send + 'static,
    ) -> Result<Option<T>> {
        let Ok(mut making) = self.making.try_lock() else { return Ok(None) };
        let Some(source) = self.queue(from) else { return Ok(None) };
        if self.queue(name).is_some() {
            return Ok(None);
        }
        // One that panicked may still come into being.
        let begun = *making.entry(name.to_owned()).or_insert_with(|| world.ledger(Ledger::tick));
        let ran = tokio::spawn(run).await;
        if self.is_listed(name).await? {
            let mut reading = self.client.read(world, name).await.context("a new branch")?;
            (reading.begun, reading.ended) = (begun, world.ledger(Ledger::tick));
            self.knows(world, (name, from), &source, reading).await?;
        }
        if ran.is_ok() {
            making.remove(name);
        }
        finish(ran)
    }

    /// The branches that are listed are those that are live, and what came into being late.
    pub(super) async fn check_listed(&self, world: &World) -> Result<()> {
        let (live, listed) = (self.live(), self.listed().await?);
        ensure!(live.iter().all(|name| listed.contains(name)), "only {listed:?} of {live:?}");
        for name in listed.iter().filter(|name| !live.contains(name)) {
            let is_late = self.making.lock().await.contains_key(name);
            ensure!(is_late, "{name} is listed, and nobody made it");
            let reading = self.client.read(world, name).await.context("a late branch")?;
            self.takes(world, name, &reading);
        }
        Ok(())
    }

    /// Takes a new branch for what it reads, if that is what its source read when it was made.
    async fn knows(
        &self,
        world: &World,
        (name, from): (&str, &str),
        source: &Queue,
        mut reading: Reading,
    ) -> Result<()> {
        let own = std::mem::take(&mut reading.rows);
        let renamed = |branch: &str| {
            let renamed =
                own.iter().map(|((_, key), rows)| ((branch.to_owned(), key.clone()), rows.clone()));
            renamed.collect()
        };
        let is_live = source.lock().await;
        if *is_live == IsLive::Yes {
            reading.rows = renamed(from);
            let legal = world.ledger(|ledger| ledger.check(&reading));
            legal.with_context(|| format!("{name}, made from {from}"))?;
        }
        reading.rows = renamed(name);
        self.takes(world, name, &reading);
        world.did("branch made", &format!("{name} from {from}"));
        Ok(())
    }

    fn takes(&self, world: &World, name: &str, reading: &Reading) {
        world.ledger(|ledger| ledger.adopt(reading));
        let queue = Arc::new(Queue::new(IsLive::Yes));
        self.branches.lock().unwrap().insert(name.to_owned(), queue);
    }

    /// Lets a branch be deleted while nobody writes to it, and learns whether it is gone.
    pub(super) async fn deletes<T: Send + 'static>(
        &self,
        world: &World,
        name: &str,
        run: impl Future<Output = T> + Send + 'static,
    ) -> Result<Option<T>> {
        let Some(queue) = self.queue(name) else { return Ok(None) };
        let mut is_live = queue.lock().await;
        if *is_live == IsLive::No {
            return Ok(None);
        }
        self.client.recover(world, name).await?;
        let ran = tokio::spawn(run).await;
        if !self.is_listed(name).await? {
            *is_live = IsLive::No;
            world.ledger(|ledger| ledger.forget(name));
            self.branches.lock().unwrap().remove(name);
            world.did("branch gone", name);
        }
        finish(ran)
    }

    /// The graph's branches, as `__manifest` lists them.
    async fn listed(&self) -> Result<Vec<String>> {
        let manifest = self.client.writer.open(MANIFEST, MAIN, None).await?;
        let mut names: Vec<String> = manifest.list_branches().await?.into_keys().collect();
        names.push(MAIN.to_owned());
        names.sort();
        Ok(names)
    }

    async fn is_listed(&self, name: &str) -> Result<bool> {
        Ok(self.listed().await?.iter().any(|listed| listed == name))
    }

    /// Reads a live branch, and checks what was read.
    pub(super) async fn look(&self, world: &World, branch: &str) -> Result<()> {
        let (Some(queue), began) = (self.queue(branch), Instant::now()) else { return Ok(()) };
        let read = self.client.read(world, branch).await;
        let is_late = began.elapsed() > WINDOW;
        // Whoever deletes the branch comes before us or after.
        let is_live = queue.lock().await;
        if *is_live == IsLive::No || is_late {
            return Ok(());
        }
        let reading = match read {
            Ok(reading) => reading,
            // It may have been half gone.
            Err(error) => {
                world.did("read again", &format!("{branch}: {error:#}"));
                self.client.read(world, branch).await?
            }
        };
        world.ledger(|ledger| ledger.check(&reading))
    }
}

/// What a task came to; its panic is ours.
fn finish<T>(ran: Result<T, tokio::task::JoinError>) -> Result<Option<T>> {
    match ran {
        Ok(told) => Ok(Some(told)),
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(error) => Err(error.into()),
        },
    }
}
