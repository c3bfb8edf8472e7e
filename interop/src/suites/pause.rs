//! Our runs stop at every failpoint, a real client does all it can in the meantime, and they go on.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};

use super::Lab;
use super::aftermath::{BEFORE_PUBLISH, dead_run, expect_we_finish};
use super::graph::{BRANCHES, Exports, Fixture, Graph, MAIN_ONLY};
use super::keeper::{Action, Failpoint, Outcome, Run};
use super::omnigraph::Omnigraph;
use super::report::{Report, Scenario};

/// As in the crash suite.
const MOST_CROSSINGS: usize = 40;

/// Done; some tables failed; another keeper holds the lock; recovery needed; refused by a safety rule.
const HONEST_EXIT_CODES: [i32; 5] = [0, 3, 11, 12, 13];

/// The branches on which the client loads in the meantime, and whether it cleans up as well: its
/// `cleanup` collects versions that a lazy branch reads, on graphs that we never touched too.
const MEANTIMES: [(Fixture, &[&str], bool); 2] =
    [(MAIN_ONLY, &["main"], true), (BRANCHES, &["main", "work"], false)];

pub(super) fn run(report: &mut Report, lab: &Lab) -> Result<()> {
    for client in &lab.clients.omnigraph {
        for (fixture, loaded, cleanup) in MEANTIMES {
            let graph = Graph::unpacked(lab, client, fixture)?;
            lab.keeper.expect_failpoints(&graph.path())?;
            graph.unpack()?;
            let before = graph.read_fixture()?;
            drop(graph);
            let mut sweep =
                Sweep { lab, client, fixture, loaded, cleanup, before, ends: BTreeMap::new() };
            let mut scenario =
                report.scenario(&client.title(), &format!("pause {}", fixture.name(client)));
            for name in &lab.failpoints {
                sweep.pause_at(&mut scenario, name);
            }
            scenario.note("exit codes of the runs that went on", &format!("{:?}", sweep.ends));
        }
    }
    Ok(())
}

struct Sweep<'a> {
    lab: &'a Lab,
    client: &'a Omnigraph,
    fixture: Fixture,
    loaded: &'static [&'static str],
    cleanup: bool,
    before: Exports,
    /// How many runs ended with which exit code.
    ends: BTreeMap<i32, usize>,
}

impl Sweep<'_> {
    /// Pauses a run at each crossing of the failpoint: a run alone, and where that crosses nothing, one
    /// that finds what a dead one left.
    fn pause_at(&mut self, scenario: &mut Scenario<'_>, name: &str) {
        if self.pause_at_each_crossing(scenario, name, None) > 0 {
            return;
        }
        if self.pause_at_each_crossing(scenario, name, Some(BEFORE_PUBLISH)) == 0 {
            scenario.note(name, "never crossed");
        }
    }

    /// How many runs paused, or should have.
    fn pause_at_each_crossing(
        &mut self,
        scenario: &mut Scenario<'_>,
        name: &str,
        earlier: Option<&str>,
    ) -> usize {
        for crossing in 1..=MOST_CROSSINGS {
            let label = match earlier {
                None => format!("paused at {name}, crossing {crossing}"),
                Some(first) => format!("killed at {first}, paused at {name}, crossing {crossing}"),
            };
            if !scenario.check_if_any(&label, || self.attempt(name, crossing, earlier)) {
                return crossing - 1;
            }
        }
        scenario.note(name, &format!("paused at its first {MOST_CROSSINGS} crossings only"));
        MOST_CROSSINGS
    }

    /// `false` if the run ended well because it did not come to that crossing.
    fn attempt(&mut self, name: &str, crossing: usize, earlier: Option<&str>) -> Result<bool> {
        let graph = Graph::unpacked(self.lab, self.client, self.fixture)?;
        if let Some(first) = earlier {
            dead_run(&graph, first)?;
        }
        let failpoint = Failpoint { name, action: Action::Pause, crossing };
        let mut run = self.lab.keeper.start(&graph.path(), Some(&failpoint))?;
        if !run.pauses()? {
            run.wait()?.expect_success()?;
            return Ok(false);
        }
        let mut expected = self.before.clone();
        self.meantime(&graph, &mut expected)?;
        let outcome = go_on(run)?;
        let code = outcome.status.code().context("lancekeeper was killed")?;
        *self.ends.entry(code).or_default() += 1;
        ensure!(HONEST_EXIT_CODES.contains(&code), "{}", outcome.describe());
        // Before the client opens for writing, which would resolve them.
        let sidecars = graph.sidecars()?;
        ensure!(code != 0 || sidecars.is_empty(), "we left {sidecars:?}: {}", outcome.describe());
        graph.expect_unchanged(&expected).context("after our run went on")?;
        expect_no_unnamed_drift(&graph, &outcome)?;
        expect_we_finish(&graph, &expected)?;
        Ok(true)
    }

    /// All that a real client does, from its opening to its end.
    fn meantime(&self, graph: &Graph<'_>, expected: &mut Exports) -> Result<()> {
        for branch in self.loaded {
            let mark = format!("loadedmeanwhile{branch}");
            graph.load(branch, &mark, expected).with_context(|| format!("loading on {branch}"))?;
        }
        self.client.optimize(&graph.path()).context("the client optimizes")?;
        if self.cleanup {
            self.client.cleanup(&graph.path()).context("the client cleans up")?;
        }
        graph.expect_unchanged(expected).context("while our run was paused")
    }
}

fn go_on(run: Run) -> Result<Outcome> {
    run.resume()?;
    run.wait()
}

/// Every table's HEAD is its pin, or our report says of the table that something is wrong with it.
fn expect_no_unnamed_drift(graph: &Graph<'_>, outcome: &Outcome) -> Result<()> {
    let drifted = graph.client.drift(&graph.path())?;
    if drifted.is_empty() {
        return Ok(());
    }
    let report = outcome.report()?;
    for (table_key, class) in drifted {
        let named = report.names_trouble_with(&table_key)?;
        ensure!(named, "{table_key}: {class}, which is not in {}", outcome.describe());
    }
    Ok(())
}
