//! A real client loads a graph in a loop, and now and then a branch that it merges, alone and beside the watcher: it
//! hears of no error there that it does not hear alone.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use super::graph::{Exports, Graph, MAIN_ONLY, new_rows};
use super::graph_reader::GraphReader;
use super::omnigraph::{Lines, Omnigraph};
use super::race::{MARK, expect_whole_loads, reason};
use super::report::{Report, Scenario};
use super::{Args, Lab, answers};

/// Every so many loads go to a branch of their own, which is merged and deleted.
const BRANCH_EVERY: usize = 5;
/// Every table is merged as soon as there are four fragments that a plan would merge.
const POLICY: &str = "[defaults]\nauto_compact = true\ncompact_threshold_files = 4\n";

pub(super) fn run(report: &mut Report, lab: &Lab, args: &Args) -> Result<()> {
    for client in &lab.clients.omnigraph {
        let mut scenario = report.scenario(&client.title(), "watch");
        let length = Duration::from_secs(60 * args.minutes) / 2;
        // What failed is in the report.
        let _: Option<()> = check(lab, client, length, &mut scenario);
    }
    Ok(())
}

fn check(
    lab: &Lab,
    client: &Omnigraph,
    length: Duration,
    scenario: &mut Scenario<'_>,
) -> Option<()> {
    let mut world = scenario.check("a graph like the fixture's", || World::prepare(lab, client))?;
    let alone =
        scenario.check(&format!("loads for {} s", length.as_secs()), || world.load(length))?;
    alone.tell("alone", scenario);
    let mut watcher = scenario.check("lancekeeper watch", || Watcher::start(lab, &world.path()))?;
    let label = format!("loads for {} s beside the watcher", length.as_secs());
    let beside = scenario.check(&label, || world.load(length))?;
    beside.tell("beside the watcher", scenario);
    let runs = scenario.check("the watcher did its work and ends with 0", || watcher.end())?;
    scenario.note("runs of the watcher", &runs.to_string());
    // Whatever it heard, what is there is looked at.
    let is_silent = scenario
        .check("no error that the client does not hear alone", || beside.expect_none_but(&alone));
    scenario.check("nothing is lost, doubled or half there", || {
        world.expect_whole(&[&alone, &beside])
    })?;
    scenario.check("the client's indexes answer as its scan", || {
        let exports = Exports::from([("main".to_owned(), client.export(&world.path(), "main")?)]);
        answers::expect(client, &world.path(), &exports)
    })?;
    scenario.check("the client finds no drift", || client.expect_no_drift(&world.path()))?;
    scenario.check("the client optimizes", || client.optimize(&world.path()))?;
    is_silent
}

struct World<'a> {
    lab: &'a Lab,
    client: &'a Omnigraph,
    temp: TempDir,
    /// What is in the graph before anything is loaded.
    base: Lines,
    /// The number of the next load.
    next: usize,
}

/// What became of some loads.
#[derive(Default)]
struct Loads {
    done: BTreeSet<usize>,
    /// How many of all loads were made by a branch.
    branches: usize,
    seconds: f64,
    /// What the client said when it refused something, and how often.
    refusals: BTreeMap<String, usize>,
}

impl<'a> World<'a> {
    /// Rows and schema of the fixture in a graph of its own: nobody need wait for its place.
    fn prepare(lab: &'a Lab, client: &'a Omnigraph) -> Result<Self> {
        let temp = tempfile::tempdir()?;
        let (rows, schema) = {
            let graph = Graph::unpacked(lab, client, MAIN_ONLY)?;
            (client.export(&graph.path(), "main")?, client.schema(&graph.path())?)
        };
        let schema_file = temp.path().join("schema.pg");
        fs::write(&schema_file, schema)?;
        let mut world = Self { lab, client, temp, base: Lines::new(), next: 0 };
        client.init(&world.path(), &schema_file)?;
        client.load(&world.path(), "main", &rows.join("\n"))?;
        world.base = world.read()?;
        Ok(world)
    }

    fn path(&self) -> PathBuf {
        self.temp.path().join("graph")
    }

    fn read(&self) -> Result<Lines> {
        GraphReader::start(&self.lab.clients.python, &self.path())?.read()
    }

    /// Loads one after the other for so long. Each writes a node table and an edge table.
    fn load(&mut self, length: Duration) -> Result<Loads> {
        let (began, mut loads) = (Instant::now(), Loads::default());
        while began.elapsed() < length {
            let number = self.next;
            self.next += 1;
            let (rows, _) = new_rows(&format!("{MARK}{number}x"));
            let is_done = if number.is_multiple_of(BRANCH_EVERY) {
                loads.branches += 1;
                self.load_by_branch(&format!("b{number}"), &rows, &mut loads)
            } else {
                loads.note("load", self.client.load(&self.path(), "main", &rows))
            };
            if is_done {
                loads.done.insert(number);
            }
        }
        loads.seconds = began.elapsed().as_secs_f64();
        Ok(loads)
    }

    /// Whether the rows came to main by a branch. What was refused on the way is noted.
    fn load_by_branch(&self, branch: &str, rows: &str, loads: &mut Loads) -> bool {
        let (client, path) = (self.client, self.path());
        if !loads.note("branch create", client.create_branch(&path, branch, "main")) {
            return false;
        }
        let is_loaded = loads.note("load of a branch", client.load(&path, branch, rows));
        let merged = is_loaded && {
            let merged = client.merge_branch(&path, branch, "main").map(drop);
            loads.note("branch merge", merged)
        };
        loads.note("branch delete", client.delete_branch(&path, branch));
        merged
    }

    fn expect_whole(&self, all: &[&Loads]) -> Result<()> {
        let done: BTreeSet<usize> =
            all.iter().flat_map(|loads| loads.done.iter().copied()).collect();
        expect_whole_loads(&self.read()?, &self.base, &done)
    }
}

impl Loads {
    /// Takes note of what was refused, and returns whether it was done.
    fn note(&mut self, what: &str, result: Result<()>) -> bool {
        let said = result.err().map(|error| reason(&format!("{error:#}")));
        let is_done = said.is_none();
        if let Some(said) = said {
            *self.refusals.entry(format!("{what}: {said}")).or_default() += 1;
        }
        is_done
    }

    fn tell(&self, when: &str, scenario: &mut Scenario<'_>) {
        let loads = self.done.len();
        let each = self.seconds / (loads.max(1)) as f64;
        let done = format!("{loads}, of which {} by a branch, {each:.2} s each", self.branches);
        scenario.note(&format!("loads done {when}"), &done);
        for (said, count) in &self.refusals {
            scenario.note(&format!("refused {when}"), &format!("{count} × {said}"));
        }
    }

    fn expect_none_but(&self, alone: &Self) -> Result<()> {
        for (said, count) in &self.refusals {
            ensure!(alone.refusals.contains_key(said), "{count} × {said}");
        }
        Ok(())
    }
}

/// The watcher, and where it says what it does.
struct Watcher {
    child: Child,
    log: PathBuf,
    _files: TempDir,
}

impl Watcher {
    fn start(lab: &Lab, graph: &Path) -> Result<Self> {
        let files = tempfile::tempdir()?;
        let (policy, log) = (files.path().join("policies.toml"), files.path().join("log"));
        fs::write(&policy, POLICY)?;
        let mut command = Command::new(&lab.keeper.0);
        command.arg("watch").arg("--policy").arg(&policy).arg(graph);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(&log)?);
        let child = command.spawn().context("failed to start lancekeeper")?;
        Ok(Self { child, log, _files: files })
    }

    /// Ends it, and returns how often it did something.
    fn end(&mut self) -> Result<usize> {
        let pid = self.child.id().to_string();
        ensure!(Command::new("kill").args(["-TERM", &pid]).status()?.success(), "no signal");
        let status = self.child.wait()?;
        let said = fs::read_to_string(&self.log)?;
        ensure!(status.success(), "it ended with {status}: {said}");
        let failed: Vec<&str> = said.lines().filter(|line| line.contains(" failed: ")).collect();
        ensure!(failed.is_empty(), "{} runs failed, as {}", failed.len(), failed[0]);
        let done = said.lines().filter(|line| line.contains(" done: ")).count();
        ensure!(done > 1, "it did nothing much: {said}");
        Ok(done)
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        // Of a child that has ended both do nothing.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
