//! Forks that a dead client left, and a client that makes them anew while we collect them.
//!
//! A deletion of a branch that is killed when the branch itself is gone leaves the forks of its tables. A
//! client that then makes the branch again deletes them at its first write, and forks anew under the same
//! names; it knows nothing of our locks. Whatever it has published must still be there afterwards.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::super::Lab;
use super::super::cleanup::STRICTEST;
use super::super::graph::{BRANCHES, Exports, Graph, expect_same, new_rows};
use super::super::keeper::{Action, Failpoint, Outcome, Run};
use super::super::omnigraph::{Lines, Omnigraph};
use super::super::random::Random;
use super::super::report::Report;
use super::forks::{branch_file, kill_deletion};
use super::world::{World, expect_same_rows, rows_of};

/// The branch of the fixtures that has forks, and the one that has none.
const WORK: &str = "work";
const LAZY: &str = "lazy";
/// Forks of the fixtures are a day old or more, so that every age is left at its default.
const RULES: [&str; 3] = ["--keep", "1", "--confirm"];
const RECONCILE: &str = "cleanup.reconcile_fork";
/// Where we pause, and at which crossings: the first dataset is `__manifest`, the third one has an orphan,
/// and of the last failpoint there is a crossing for each orphan.
const PAUSES: [(&str, &[usize]); 3] = [
    ("cleanup.table_gc", &[1, 3]),
    ("cleanup.listed_pre_delete", &[1, 3]),
    (RECONCILE, &[1, 2, 3]),
];
/// At which crossings of the last one we die.
const DEATHS: [usize; 2] = [1, 3];
/// A copy of a graph before the deletion.
const ALL: &str = "all";
/// Tries to kill a deletion in the middle.
const MOST_KILLS: usize = 20;
/// Tables of the fixtures that have forks.
const FORKS: usize = 3;
/// Races at random offsets.
const RACES: usize = 4;
const MARK: &str = "firstwrite";

pub(super) fn run(
    report: &mut Report,
    lab: &Lab,
    client: &Omnigraph,
    random: &mut Random,
) -> Result<()> {
    let graph = Graph::unpacked(lab, client, BRANCHES)?;
    let mut before = graph.read_fixture()?;
    drop(graph);
    before.remove(WORK);
    let trap = Trap { lab, client, before };
    let mut scenario = report.scenario(&client.title(), "traps orphans");
    let _: Option<()> =
        scenario.check("a killed deletion's forks go, all others stay", || trap.collected());
    for crossing in DEATHS {
        let label = format!("our run dies at {RECONCILE}, crossing {crossing}");
        let _: Option<()> = scenario.check(&label, || trap.dies(crossing));
    }
    for (name, crossings) in PAUSES {
        for crossing in crossings {
            let failpoint = Failpoint { name, action: Action::Pause, crossing: *crossing };
            let label = format!("first write while we pause at {name}, crossing {crossing}");
            let _: Option<()> = scenario.check(&label, || trap.paused_at(&failpoint));
        }
    }
    let _: Option<()> =
        scenario.check("a fork made anew where the orphan was", || trap.same_paths());
    for number in 1..=RACES {
        let branch = if number % 2 == 0 { LAZY } else { WORK };
        let delay = random.duration_below(Duration::from_millis(1500));
        let label = format!("first write to {branch} {} ms into our run", delay.as_millis());
        let _: Option<()> = scenario.check(&label, || {
            let graph = trap.orphaned()?;
            trap.branch_again(&graph)?;
            let run = trap.start(&graph, None)?;
            std::thread::sleep(delay);
            trap.first_write(&graph, branch, run)
        });
    }
    Ok(())
}

struct Trap<'a> {
    lab: &'a Lab,
    client: &'a Omnigraph,
    /// What is on the branches that are not deleted.
    before: Exports,
}

impl<'a> Trap<'a> {
    /// The fixture with forks that nobody reads any more, and without the branch they were of.
    fn orphaned(&self) -> Result<Graph<'a>> {
        let graph = Graph::unpacked(self.lab, self.client, BRANCHES)?;
        for _ in 0..MOST_KILLS {
            graph.unpack()?;
            if self.kill_deletion(&graph.path())? && forks(&graph)?.len() >= FORKS {
                return Ok(graph);
            }
        }
        bail!("{MOST_KILLS} deletions were killed too early or too late")
    }

    /// Of a branch whose directory is still there the client goes on reading the old rows.
    fn kill_deletion(&self, graph: &Path) -> Result<bool> {
        let manifest = graph.join("__manifest");
        let (file, tree) = (branch_file(&manifest, WORK), manifest.join("tree").join(WORK));
        kill_deletion(self.client, graph, WORK, || !file.exists() && !tree.exists())
    }

    /// The new fork is cut where the orphan was, so that its manifests have the paths of those that we are
    /// about to delete.
    fn same_paths(&self) -> Result<()> {
        let world = World::new(self.lab, self.client)?;
        world.load("main", &["a"])?;
        world.branch(WORK, "main")?;
        world.load(WORK, &["old"])?;
        world.save(ALL)?;
        let fork = world.branch_file("node:Person", WORK)?;
        let mut is_orphan = false;
        for _ in 0..MOST_KILLS {
            world.restore(ALL)?;
            is_orphan = self.kill_deletion(&world.path())? && fork.exists();
            if is_orphan {
                break;
            }
        }
        ensure!(is_orphan, "{MOST_KILLS} deletions were killed too early or too late");
        world.branch(WORK, "main")?;
        let failpoint = Failpoint { name: RECONCILE, action: Action::Pause, crossing: 1 };
        let mut rules = STRICTEST.to_vec();
        rules.push("--confirm");
        let keeper = &self.lab.keeper;
        let mut run = keeper.start_verb("cleanup", &world.path(), &rules, Some(&failpoint))?;
        ensure!(run.pauses()?, "our run found no orphan");
        world.load(WORK, &["new"])?;
        run.resume()?;
        expect_honest(&run.wait()?)?;
        let rows = world.rows()?;
        ensure!(rows[WORK].len() == 2 && fork.exists(), "{:?}; the fork: {}", rows, fork.exists());
        world.clean()?;
        expect_same_rows(&rows, &world.rows()?)?;
        world.load(WORK, &["newer"])?;
        world.expect_no_drift()
    }

    fn branch_again(&self, graph: &Graph<'_>) -> Result<()> {
        self.client.create_branch(&graph.path(), WORK, "main")
    }

    fn start(&self, graph: &Graph<'_>, failpoint: Option<&Failpoint<'_>>) -> Result<Run> {
        self.lab.keeper.start_verb("cleanup", &graph.path(), &RULES, failpoint)
    }

    fn clean(&self, graph: &Graph<'_>) -> Result<Value> {
        let outcome = self.start(graph, None)?.wait()?;
        ensure!(outcome.status.success(), "{}", outcome.describe());
        outcome.json()
    }

    fn collected(&self) -> Result<()> {
        let graph = self.orphaned()?;
        let orphans = forks(&graph)?;
        let rows = rows_of(self.lab, &graph.path())?;
        let report = self.clean(&graph)?;
        let reclaimed = &report["roots"][0]["reconciled"]["reclaimed"];
        let count = reclaimed.as_array().context("no list of forks")?.len();
        ensure!(count == orphans.len(), "{count} of {} forks went: {reclaimed}", orphans.len());
        ensure!(forks(&graph)?.is_empty(), "forks are still there");
        expect_same_rows(&rows, &rows_of(self.lab, &graph.path())?)?;
        self.expect_others(&graph)?;
        self.branch_again(&graph)?;
        let mut expected = self.before.clone();
        expected.insert(WORK.to_owned(), expected["main"].clone());
        graph.load(WORK, MARK, &mut expected)?;
        graph.expect_unchanged(&expected)
    }

    fn dies(&self, crossing: usize) -> Result<()> {
        let graph = self.orphaned()?;
        let failpoint = Failpoint { name: RECONCILE, action: Action::Abort, crossing };
        let outcome = self.start(&graph, Some(&failpoint))?.wait()?;
        ensure!(outcome.aborted(), "not killed: {}", outcome.describe());
        let mut expected = self.before.clone();
        graph.load("main", "loadedafterdeath", &mut expected).context("the client loads")?;
        graph.expect_unchanged(&expected).context("after the death")?;
        self.clean(&graph).context("our next cleanup")?;
        ensure!(forks(&graph)?.is_empty(), "forks are still there");
        graph.expect_unchanged(&expected).context("after our next cleanup")?;
        rows_of(self.lab, &graph.path())?;
        graph.expect_no_drift()
    }

    /// The client makes the forks anew while we wait.
    fn paused_at(&self, failpoint: &Failpoint<'_>) -> Result<()> {
        let graph = self.orphaned()?;
        self.branch_again(&graph)?;
        let mut run = self.start(&graph, Some(failpoint))?;
        ensure!(run.pauses()?, "our run did not come there");
        self.first_write(&graph, WORK, run)
    }

    /// The client writes to every table that has an orphan, beside a run of ours.
    fn first_write(&self, graph: &Graph<'_>, branch: &str, run: Run) -> Result<()> {
        let client = self.client;
        let mut expected = client.export(&graph.path(), branch)?;
        let (rows, count) = rows(&expected)?;
        client.load(&graph.path(), branch, &rows).context("the first write")?;
        run.resume()?;
        expect_honest(&run.wait()?)?;
        let found = client.export(&graph.path(), branch).context("after the first write")?;
        let new = found.iter().filter(|line| line.contains(MARK));
        ensure!(new.clone().count() == count, "{} of {count} rows", new.count());
        expected.extend(new.cloned());
        expect_same(&expected, &found)?;
        expect_branch_files(graph, branch)?;
        let others = |name: &String| name != branch;
        self.expect_unchanged(graph, others)?;

        let rows = rows_of(self.lab, &graph.path())?;
        self.clean(graph).context("our next cleanup")?;
        expect_same_rows(&rows, &rows_of(self.lab, &graph.path())?)?;
        expect_branch_files(graph, branch)?;
        let mut exports = Exports::from([(branch.to_owned(), found)]);
        graph.load(branch, "second", &mut exports).context("the second write")?;
        graph.expect_no_drift()
    }

    fn expect_others(&self, graph: &Graph<'_>) -> Result<()> {
        self.expect_unchanged(graph, |_| true)
    }

    fn expect_unchanged(&self, graph: &Graph<'_>, of: impl Fn(&String) -> bool) -> Result<()> {
        let mut expected = self.before.clone();
        expected.retain(|name, _| of(name));
        graph.expect_unchanged(&expected)
    }
}

/// Rows of every table that has forks in the fixture, and how many they are.
fn rows(export: &Lines) -> Result<(String, usize)> {
    let mut companies = export.iter().filter(|line| line.contains(r#""type":"Company""#));
    let company: Value = serde_json::from_str(companies.next_back().context("no company")?)?;
    let (mut rows, count) = new_rows(MARK);
    let to = &company["data"]["name"];
    rows.push_str(&format!(
        "{{\"edge\":\"WorksAt\",\"from\":\"{MARK}0\",\"to\":{to},\"data\":{{}}}}\n"
    ));
    Ok((rows, count + 1))
}

/// Done; or a table has the error that somebody wrote meanwhile; or a load was just under way.
fn expect_honest(outcome: &Outcome) -> Result<()> {
    match outcome.status.code() {
        Some(0) => Ok(()),
        Some(3) => {
            let said = outcome.json()?.to_string();
            ensure!(said.contains("somebody wrote meanwhile"), "{said}");
            Ok(())
        }
        Some(12) => {
            let said = outcome.json()?.to_string();
            ensure!(said.contains("is an unfinished Load of another writer"), "{said}");
            Ok(())
        }
        _ => bail!("{}", outcome.describe()),
    }
}

/// Tables below a graph that have a fork of that name.
fn forks(graph: &Graph<'_>) -> Result<Vec<PathBuf>> {
    let mut forks = Vec::new();
    let mut look = |table: PathBuf| {
        if branch_file(&table, WORK).exists() {
            forks.push(table);
        }
    };
    for kind in ["nodes", "edges"] {
        for table in std::fs::read_dir(graph.path().join(kind))? {
            look(table?.path());
        }
    }
    // Only clients of v3 have it.
    look(graph.path().join("_graph_commits.lance"));
    Ok(forks)
}

/// A fork that a branch reads has its branch file: without it Lance would protect nothing it reads.
fn expect_branch_files(graph: &Graph<'_>, branch: &str) -> Result<()> {
    let mut count = 0;
    for table in graph.client.tables(&graph.path(), branch)? {
        if table.branch == branch {
            let file = branch_file(Path::new(&graph.path().join(&table.path)), branch);
            ensure!(file.exists(), "{}: {} is gone", table.key, file.display());
            count += 1;
        }
    }
    ensure!(count == FORKS, "{count} forks of {branch}");
    Ok(())
}
