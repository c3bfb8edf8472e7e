//! Our runs die, at every failpoint and at random moments, and a real client opens the graph first.

use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};

use super::aftermath::{
    BEFORE_PUBLISH, dead_run, expect_client_recovers, expect_we_finish, run_to_death,
};
use super::graph::{Exports, FIXTURES, Fixture, Graph};
use super::omnigraph::Omnigraph;
use super::random::Random;
use super::report::{Report, Scenario};
use super::{Args, Lab};

/// More than any failpoint is crossed in one run on a fixture; a run that never ends its crossings
/// would keep us here for ever.
const MOST_CROSSINGS: usize = 40;

pub(super) fn run(report: &mut Report, lab: &Lab, args: &Args) -> Result<()> {
    let mut random = Random::new(args.fixed_seed());
    for client in &lab.clients.omnigraph {
        for fixture in FIXTURES {
            let sweep = Sweep::start(lab, client, fixture)?;
            let mut scenario =
                report.scenario(&client.title(), &format!("crash {}", fixture.name(client)));
            for name in &lab.failpoints {
                sweep.kill_at(&mut scenario, name);
            }
            sweep.kill_at_random(&mut scenario, args.kills, &mut random)?;
        }
    }
    Ok(())
}

/// One client and fixture. Every attempt takes the place of the fixtures anew, so that nobody who waits
/// for it waits for the whole sweep.
struct Sweep<'a> {
    lab: &'a Lab,
    client: &'a Omnigraph,
    fixture: Fixture,
    before: Exports,
}

impl<'a> Sweep<'a> {
    fn start(lab: &'a Lab, client: &'a Omnigraph, fixture: Fixture) -> Result<Self> {
        let graph = Graph::unpacked(lab, client, fixture)?;
        lab.keeper.expect_failpoints(&graph.path())?;
        graph.unpack()?;
        Ok(Self { lab, client, fixture, before: graph.read_fixture()? })
    }

    /// Kills a run at each crossing of the failpoint: a run alone, and where that crosses nothing, one
    /// that finds what a dead one left.
    fn kill_at(&self, scenario: &mut Scenario<'_>, name: &str) {
        let died = self.kill_at_each_crossing(scenario, name, None);
        if died > 0 {
            return;
        }
        if self.kill_at_each_crossing(scenario, name, Some(BEFORE_PUBLISH)) == 0 {
            scenario.note(name, "never crossed");
        }
    }

    /// How many runs died, or should have.
    fn kill_at_each_crossing(
        &self,
        scenario: &mut Scenario<'_>,
        name: &str,
        earlier: Option<&str>,
    ) -> usize {
        for crossing in 1..=MOST_CROSSINGS {
            let label = match earlier {
                None => format!("killed at {name}, crossing {crossing}"),
                Some(first) => format!("killed at {first}, then at {name}, crossing {crossing}"),
            };
            if !scenario.check_if_any(&label, || self.attempt(name, crossing, earlier)) {
                return crossing - 1;
            }
        }
        scenario.note(name, &format!("killed at its first {MOST_CROSSINGS} crossings only"));
        MOST_CROSSINGS
    }

    /// `false` if the run ended well because it did not come to that crossing.
    fn attempt(&self, name: &str, crossing: usize, earlier: Option<&str>) -> Result<bool> {
        let graph = Graph::unpacked(self.lab, self.client, self.fixture)?;
        if let Some(first) = earlier {
            dead_run(&graph, first)?;
        }
        let outcome = run_to_death(&graph, name, crossing)?;
        if outcome.status.success() {
            return Ok(false);
        }
        ensure!(outcome.aborted(), "not killed: {}", outcome.describe());
        self.expect_whole(&graph)?;
        Ok(true)
    }

    fn kill_at_random(
        &self,
        scenario: &mut Scenario<'_>,
        kills: usize,
        random: &mut Random,
    ) -> Result<()> {
        let span = self.time_of_a_run()?;
        let mut finished = 0;
        for number in 1..=kills {
            let delay = random.duration_below(span);
            let label = format!("kill {number} of {kills}, after {} ms", delay.as_millis());
            let _: Option<()> = scenario.check(&label, || {
                let graph = Graph::unpacked(self.lab, self.client, self.fixture)?;
                let mut run = self.lab.keeper.start(&graph.path(), None)?;
                std::thread::sleep(delay);
                run.kill()?;
                let outcome = run.wait()?;
                if outcome.status.success() {
                    finished += 1;
                } else if outcome.status.code().is_some() {
                    bail!("not killed: {}", outcome.describe());
                }
                self.expect_whole(&graph)
            });
        }
        scenario.note(
            "runs that ended before their kill",
            &format!("{finished} of {kills}; a run took {} ms", span.as_millis()),
        );
        Ok(())
    }

    fn time_of_a_run(&self) -> Result<Duration> {
        let graph = Graph::unpacked(self.lab, self.client, self.fixture)?;
        let started = Instant::now();
        self.lab.keeper.optimize_all(&graph.path())?;
        Ok(started.elapsed())
    }

    fn expect_whole(&self, graph: &Graph<'_>) -> Result<()> {
        let mut expected = self.before.clone();
        expect_client_recovers(graph, "loadedafterdeath", &mut expected)?;
        expect_we_finish(graph, &expected)
    }
}
