//! Kills beside the real client: it loads on two branches in a loop, one command after the other, because two of its
//! processes do not know each other. At times it is killed, too.
//!
//! Half of our runs are killed at random moments. The others get something to do (`needs`), are let to a failpoint of
//! `cases`, and are killed there while the client is at work.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use tempfile::TempDir;

use super::super::Lab;
use super::super::graph::{Graph, MAIN_ONLY, new_rows};
use super::super::graph_reader::GraphReader;
use super::super::omnigraph::{Lines, Omnigraph};
use super::super::process::Process;
use super::super::race::{Loads, MARK, expect_whole_loads};
use super::super::random::Random;
use super::super::report::{Report, Scenario};
use super::cases::{Case, Needs};
use super::possible::{Cases, all_impossible, possible};
use super::tally::Tally;
use super::verbs::Killer;
use super::{elsewhere, migrations, small};

pub(super) const BRANCHES: [&str; 2] = ["main", "side"];
/// Of a hundred loads.
const LOADS_KILLED: usize = 15;
/// A debug build has mostly ended by then.
pub(super) const SPAN: Duration = Duration::from_millis(2_500);
/// Kills between two looks at everything.
const A_LOOK_EVERY: usize = 25;
/// A run may find less to do than it was given: somebody else was faster.
const ATTEMPTS: usize = 4;
/// Loads of the same rows until one of them is done.
const LOAD_ATTEMPTS: usize = 8;

pub(super) fn run(
    report: &mut Report,
    lab: &Lab,
    client: &Omnigraph,
    kills: usize,
    random: &mut Random,
) {
    let mut scenario = report.scenario(&client.title(), "kills");
    // What failed is in the report.
    let _: Option<()> = check(lab, client, kills, random, &mut scenario);
}

fn check(
    lab: &Lab,
    client: &Omnigraph,
    kills: usize,
    random: &mut Random,
    scenario: &mut Scenario<'_>,
) -> Option<()> {
    let siege = scenario.check("a graph like the fixture's", || Siege::prepare(lab, client))?;
    let mut killer = Killer::new(lab, true, SPAN);
    let (mut tally, mut cases) = (Tally::default(), possible(lab, client, random));
    for case in all_impossible(lab, client) {
        tally.leave_out(case.0.failpoint, case.1);
    }
    let mut done = 0;
    while done < kills {
        let until = kills.min(done + A_LOOK_EVERY);
        let label = format!("kills {} to {until} beside loads", done + 1);
        let endured = scenario.check(&label, || {
            siege.endure(&mut killer, &mut tally, &mut cases, done..until, random)
        });
        if endured.is_none() {
            // What was reached until then was reached.
            tally.tell(scenario);
        }
        endured?;
        scenario.check("every acknowledged row is there once, no drift", || siege.look(random))?;
        done = until;
    }
    tally.expect(cases.all().map(|case| case.failpoint));
    tally.tell(scenario);
    for end in killer.ends().chain(siege.ends()) {
        scenario.note("ends", &end);
    }
    scenario.check("runs were killed and loads done", || siege.expect_work(killer.killed()))?;
    // Whoever was not reached, what was is looked at to its end.
    let reached = scenario
        .check("every run that was sent to a failpoint came there", || tally.expect_reached());
    scenario.check("nothing is left over", || {
        killer.expect_rest(&siege.path())?;
        siege.look(random)
    })?;
    reached
}

/// The graph, and what was loaded.
pub(super) struct Siege<'a> {
    pub(super) lab: &'a Lab,
    pub(super) client: &'a Omnigraph,
    temp: TempDir,
    schema: PathBuf,
    /// What is on both branches before.
    pub(super) base: Lines,
    /// What the reader sees of that.
    base_read: Lines,
    reader: Mutex<GraphReader>,
    loads: Mutex<BTreeMap<&'static str, Loads>>,
    killed: Mutex<usize>,
    over: AtomicBool,
    next: Mutex<usize>,
    /// Held by whoever lets a client command run.
    turn: Mutex<()>,
    /// Whether somebody waits for the turn, to whom the loader leaves it.
    is_awaited: AtomicBool,
}

impl<'a> Siege<'a> {
    pub(super) fn prepare(lab: &'a Lab, client: &'a Omnigraph) -> Result<Self> {
        let temp = tempfile::tempdir()?;
        let (rows, schema) = {
            let graph = Graph::unpacked(lab, client, MAIN_ONLY)?;
            lab.keeper.expect_failpoints(&graph.path())?;
            (client.export(&graph.path(), "main")?, client.schema(&graph.path())?)
        };
        let schema_file = temp.path().join("schema.pg");
        std::fs::write(&schema_file, schema)?;
        let path = temp.path().join("graph");
        client.init(&path, &schema_file)?;
        client.load(&path, "main", &rows.join("\n"))?;
        client.create_branch(&path, "side", "main")?;
        let base = client.export(&path, "main")?;
        let mut reader = GraphReader::start(&lab.clients.python, &path)?;
        let base_read = reader.read()?;
        ensure!(base_read.len() == base.len(), "{} rows, not {}", base_read.len(), base.len());
        let loads = BRANCHES.map(|branch| (branch, Loads::default()));
        let siege = Self {
            lab,
            client,
            temp,
            schema: schema_file,
            base,
            base_read,
            reader: Mutex::new(reader),
            loads: Mutex::new(loads.into()),
            killed: Mutex::default(),
            over: AtomicBool::new(false),
            next: Mutex::default(),
            turn: Mutex::default(),
            is_awaited: AtomicBool::new(false),
        };
        // Forks of the branch are there before a cleanup takes young ones.
        siege.load_on("side")?;
        Ok(siege)
    }

    pub(super) fn path(&self) -> PathBuf {
        self.beside("graph")
    }

    /// A path next to the graph.
    pub(super) fn beside(&self, name: &str) -> PathBuf {
        Path::new(self.temp.path()).join(name)
    }

    pub(super) fn schema(&self) -> &Path {
        &self.schema
    }

    /// Kills our runs while the client loads.
    fn endure(
        &self,
        killer: &mut Killer<'_>,
        tally: &mut Tally,
        cases: &mut Cases,
        numbers: std::ops::Range<usize>,
        random: &mut Random,
    ) -> Result<()> {
        self.beside_loads(random, |random, is_over| {
            for number in numbers {
                if is_over() {
                    break;
                }
                if number.is_multiple_of(2) {
                    killer.kill_some(&self.path(), random)?;
                } else if let Some(case) = cases.next() {
                    self.kill_there(killer, tally, case, random)
                        .with_context(|| format!("killed at {}", case.failpoint))?;
                }
                self.read()?;
            }
            Ok(())
        })
    }

    /// Does something while the client loads. The work is told when the loader has failed.
    pub(super) fn beside_loads(
        &self,
        random: &mut Random,
        work: impl FnOnce(&mut Random, &dyn Fn() -> bool) -> Result<()>,
    ) -> Result<()> {
        self.over.store(false, Ordering::SeqCst);
        let mut loader_random = random.split();
        thread::scope(|scope| {
            let loader = scope.spawn(|| {
                while !self.over.load(Ordering::SeqCst) {
                    let _turn = self.next_turn();
                    self.load(&mut loader_random)?;
                }
                Ok(())
            });
            let done = work(random, &|| loader.is_finished());
            self.over.store(true, Ordering::SeqCst);
            let loaded = loader.join().unwrap_or_else(|_| Err(anyhow!("the loader panicked")));
            done.and(loaded)
        })
    }

    /// The turn, unless somebody else waits for it.
    fn next_turn(&self) -> MutexGuard<'_, ()> {
        while self.is_awaited.load(Ordering::SeqCst) {
            thread::sleep(Duration::from_millis(1));
        }
        self.turn.lock().expect("no thread panicked")
    }

    /// The turn, as soon as the command that runs has ended. No client is at work until it is given back.
    pub(super) fn take_turn(&self) -> MutexGuard<'_, ()> {
        self.is_awaited.store(true, Ordering::SeqCst);
        let turn = self.turn.lock().expect("no thread panicked");
        self.is_awaited.store(false, Ordering::SeqCst);
        turn
    }

    /// Kills a run at a failpoint, and lets another one finish.
    fn kill_there(
        &self,
        killer: &mut Killer<'_>,
        tally: &mut Tally,
        case: Case,
        random: &mut Random,
    ) -> Result<()> {
        let mut was_killed = false;
        for attempt in 0..ATTEMPTS {
            let crossing = if attempt == 0 { 1 + random.below(2) } else { 1 };
            was_killed = match case.group.needs {
                Needs::Copy => elsewhere::kill_at(self, killer, case, crossing, random)?,
                Needs::V3 => migrations::kill_at(self.lab, self.client, killer, case, random)?,
                Needs::DroppedType
                | Needs::StagedSchema
                | Needs::HalfStagedSchema
                | Needs::SchemaLock => small::kill_at(self, killer, case, random)?,
                _ => self.kill_in_place(killer, case, crossing, random)?,
            };
            if was_killed {
                break;
            }
        }
        tally.note(case.failpoint, was_killed);
        Ok(())
    }

    fn kill_in_place(
        &self,
        killer: &mut Killer<'_>,
        case: Case,
        crossing: usize,
        random: &mut Random,
    ) -> Result<bool> {
        let turn = self.take_turn();
        self.make(case.group.needs)?;
        let was_killed = killer.kill_at(&self.path(), case, crossing, random, || {
            drop(turn);
            Ok(())
        })?;
        let _turn = self.take_turn();
        self.finish(killer, case)?;
        Ok(was_killed)
    }

    /// One load; at times it is killed on the way.
    fn load(&self, random: &mut Random) -> Result<()> {
        let branch = BRANCHES[random.below(BRANCHES.len())];
        let dies_after = (random.below(100) < LOADS_KILLED).then(|| random.duration_below(SPAN));
        self.load_and_note(branch, dies_after).map(drop)
    }

    /// Whether it was done.
    fn load_and_note(&self, branch: &'static str, dies_after: Option<Duration>) -> Result<bool> {
        let (number, rows) = self.new_load();
        let file = tempfile::NamedTempFile::new()?;
        std::fs::write(file.path(), rows)?;
        let mut command = self.client.load_command(&self.path(), branch, file.path());
        let mut process = Process::start(&mut command)?;
        if let Some(dies_after) = dies_after {
            thread::sleep(dies_after);
            process.kill()?;
        }
        let end = process.wait()?;
        let mut loads = self.loads.lock().expect("no thread panicked");
        let of_branch = loads.get_mut(branch).context("a branch that is loaded")?;
        match end.status.code() {
            Some(0) => of_branch.note(number, Ok(())).map(|()| true),
            Some(_) => of_branch.note(number, Err(anyhow!(end.said))).map(|()| false),
            None => {
                *self.killed.lock().expect("no thread panicked") += 1;
                Ok(false)
            }
        }
    }

    /// A number, and rows that are told by it.
    pub(super) fn new_load(&self) -> (usize, String) {
        let mut next = self.next.lock().expect("no thread panicked");
        *next += 1;
        (*next, new_rows(&format!("{MARK}{next}x")).0)
    }

    /// Loads until it is done: then nothing that a dead client left is there any more. By whoever has the turn.
    pub(super) fn load_on(&self, branch: &'static str) -> Result<()> {
        for _ in 0..LOAD_ATTEMPTS {
            if self.load_and_note(branch, None)? {
                return Ok(());
            }
        }
        let refusals: Vec<_> = self.loads.lock().expect("no thread panicked")[branch]
            .refusals()
            .map(|(said, count)| format!("{count} × {said}"))
            .collect();
        Err(anyhow!("no load on {branch} is done in {LOAD_ATTEMPTS} attempts: {refusals:?}"))
    }

    /// What was acknowledged so far, by branch.
    pub(super) fn acknowledged(&self) -> BTreeMap<&'static str, BTreeSet<usize>> {
        let loads = self.loads.lock().expect("no thread panicked");
        loads.iter().map(|(branch, loads)| (*branch, loads.done().clone())).collect()
    }

    /// A reader that changes nothing looks at main: what was acknowledged before it looks is there once.
    fn read(&self) -> Result<()> {
        let done = self.acknowledged();
        let rows = self.reader.lock().expect("no thread panicked").read()?;
        expect_whole_loads(&rows, &self.base_read, &done["main"]).context("the reader saw")
    }

    /// The client opens for writing, and reads what was loaded. Nobody else is about.
    fn look(&self, random: &mut Random) -> Result<()> {
        // Whoever is refused for what a dead one left is told to try again.
        for _ in 0..3 {
            self.load(random)?;
        }
        BRANCHES.into_iter().try_for_each(|branch| self.load_on(branch))?;
        for (branch, done) in &self.acknowledged() {
            let rows = self.client.export(&self.path(), branch)?;
            expect_whole_loads(&rows, &self.base, done).with_context(|| (*branch).to_owned())?;
        }
        self.client.expect_no_drift(&self.path())?;
        let sidecars = super::super::graph::file_names(&self.path().join("__recovery"))?;
        let ours: Vec<_> = sidecars.iter().filter(|name| name.ends_with(".json")).collect();
        ensure!(ours.is_empty(), "{ours:?} are left");
        Ok(())
    }

    fn ends(&self) -> impl Iterator<Item = String> {
        let killed = *self.killed.lock().expect("no thread panicked");
        let loads = self.loads.lock().expect("no thread panicked");
        let mut ends = vec![format!("{killed} × load: killed")];
        for (branch, loads) in &*loads {
            ends.push(format!("{} × load on {branch}: done", loads.done().len()));
            ends.extend(
                loads.refusals().map(|(said, count)| format!("{count} × load on {branch}: {said}")),
            );
        }
        ends.into_iter()
    }

    /// A siege in which nobody dies proves nothing.
    fn expect_work(&self, killed: usize) -> Result<()> {
        let done: usize = self.acknowledged().values().map(BTreeSet::len).sum();
        ensure!(killed > 2 && done > 2, "{killed} killed, {done} loads done");
        Ok(())
    }
}
