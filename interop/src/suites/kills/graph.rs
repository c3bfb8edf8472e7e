//! Kills beside the real client: it loads on two branches in a loop, one command after the other, because two of its
//! processes do not know each other. At times it is killed, too.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use tempfile::TempDir;

use super::super::Lab;
use super::super::graph::{Graph, MAIN_ONLY, new_rows};
use super::super::omnigraph::{Lines, Omnigraph};
use super::super::process::Process;
use super::super::race::{Loads, MARK, expect_whole_loads};
use super::super::random::Random;
use super::super::report::{Report, Scenario};
use super::verbs::Killer;

const BRANCHES: [&str; 2] = ["main", "side"];
/// Of a hundred loads.
const LOADS_KILLED: usize = 15;
/// A debug build has mostly ended by then.
const SPAN: Duration = Duration::from_millis(2_500);
/// Kills between two looks at everything.
const A_LOOK_EVERY: usize = 25;

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
    let mut done = 0;
    while done < kills {
        let until = kills.min(done + A_LOOK_EVERY);
        let label = format!("kills {} to {until} beside loads", done + 1);
        scenario.check(&label, || siege.endure(&mut killer, done..until, random))?;
        scenario.check("every acknowledged row is there once", || siege.look(random))?;
        done = until;
    }
    for end in killer.ends().chain(siege.ends()) {
        scenario.note("ends", &end);
    }
    scenario.check("runs were killed and loads done", || siege.expect_work(killer.killed()))?;
    scenario.check("nothing is left over", || {
        killer.expect_rest(&siege.path())?;
        siege.look(random)
    })
}

/// The graph, and what was loaded.
struct Siege<'a> {
    client: &'a Omnigraph,
    temp: TempDir,
    /// What is on both branches before.
    base: Lines,
    loads: Mutex<BTreeMap<&'static str, Loads>>,
    killed: Mutex<usize>,
    over: AtomicBool,
    next: Mutex<usize>,
}

impl<'a> Siege<'a> {
    fn prepare(lab: &'a Lab, client: &'a Omnigraph) -> Result<Self> {
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
        let loads = BRANCHES.map(|branch| (branch, Loads::default()));
        Ok(Self {
            client,
            temp,
            base,
            loads: Mutex::new(loads.into()),
            killed: Mutex::default(),
            over: AtomicBool::new(false),
            next: Mutex::default(),
        })
    }

    fn path(&self) -> PathBuf {
        Path::new(self.temp.path()).join("graph")
    }

    /// Kills our runs while the client loads.
    fn endure(
        &self,
        killer: &mut Killer<'_>,
        numbers: std::ops::Range<usize>,
        random: &mut Random,
    ) -> Result<()> {
        self.over.store(false, Ordering::SeqCst);
        let mut loader_random = random.split();
        thread::scope(|scope| {
            let loader = scope.spawn(|| {
                while !self.over.load(Ordering::SeqCst) {
                    self.load(&mut loader_random)?;
                }
                Ok(())
            });
            let mut killed = Ok(());
            for number in numbers {
                if killed.is_ok() && !loader.is_finished() {
                    killed = killer.kill_one(number, &self.path(), random);
                }
            }
            self.over.store(true, Ordering::SeqCst);
            let loaded = loader.join().unwrap_or_else(|_| Err(anyhow!("the loader panicked")));
            killed.and(loaded)
        })
    }

    /// One load; at times it is killed on the way.
    fn load(&self, random: &mut Random) -> Result<()> {
        let number = {
            let mut next = self.next.lock().expect("no thread panicked");
            *next += 1;
            *next
        };
        let branch = BRANCHES[random.below(BRANCHES.len())];
        let (rows, _) = new_rows(&format!("{MARK}{number}x"));
        let file = tempfile::NamedTempFile::new()?;
        std::fs::write(file.path(), rows)?;
        let mut command = self.client.load_command(&self.path(), branch, file.path());
        let mut process = Process::start(&mut command)?;
        if random.below(100) < LOADS_KILLED {
            thread::sleep(random.duration_below(SPAN));
            process.kill()?;
        }
        let end = process.wait()?;
        let mut loads = self.loads.lock().expect("no thread panicked");
        let of_branch = loads.get_mut(branch).context("a branch that is loaded")?;
        match end.status.code() {
            Some(0) => of_branch.note(number, Ok(())),
            Some(_) => of_branch.note(number, Err(anyhow!(end.said))),
            None => {
                *self.killed.lock().expect("no thread panicked") += 1;
                Ok(())
            }
        }
    }

    /// The client opens for writing, and reads what was loaded. Nobody else is about.
    fn look(&self, random: &mut Random) -> Result<()> {
        // Whoever is refused for what a dead one left is told to try again.
        for _ in 0..3 {
            self.load(random)?;
        }
        let loads = self.loads.lock().expect("no thread panicked");
        for (branch, loads) in &*loads {
            let rows = self.client.export(&self.path(), branch)?;
            expect_whole_loads(&rows, &self.base, loads.done())
                .with_context(|| (*branch).to_owned())?;
        }
        self.client.expect_no_drift(&self.path())
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
        let loads = self.loads.lock().expect("no thread panicked");
        let done: BTreeSet<usize> = loads.values().flat_map(|loads| loads.done().clone()).collect();
        ensure!(killed > 2 && done.len() > 2, "{killed} killed, {} loads done", done.len());
        Ok(())
    }
}
