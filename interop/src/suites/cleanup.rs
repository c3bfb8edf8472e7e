//! Our strictest cleanup: clients read, write, branch and merge afterwards as if it had not been; and
//! also when it died, at every failpoint and at random moments, and a client opens first.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::changes::rows_at;
use super::graph::{Exports, FIXTURES, Fixture, Graph};
use super::keeper::{Action, Failpoint};
use super::omnigraph::Omnigraph;
use super::random::Random;
use super::report::{Report, Scenario};
use super::{Args, Lab, graphs, output};

/// Whatever is not needed goes, however young.
pub(super) const STRICTEST: [&str; 8] =
    ["--keep", "1", "--writer-window", "0s", "--min-fork-age", "0s", "--max-delete-percent", "100"];
/// Commits of each branch that are to stay readable.
const RETAINED: usize = 3;
/// What every name of a failpoint of cleanup begins with.
const PREFIX: &str = "cleanup.";
/// Tables of a fixture, with room: each crosses a failpoint once at most.
const MOST_CROSSINGS: usize = 12;

pub(super) fn run(report: &mut Report, lab: &Lab, args: &Args) -> Result<()> {
    let mut random = Random::new(args.fixed_seed());
    for client in &lab.clients.omnigraph {
        for fixture in FIXTURES {
            let name = fixture.name(client);
            let graph = Graph::unpacked(lab, client, fixture)?;
            let mut scenario = report.scenario(&client.title(), &format!("cleanup {name}"));
            let _: Option<()> = graphs::check(&graph, &mut scenario, |scenario, expected| {
                clean_and_compare(&graph, scenario, expected)
            });
            let mut scenario = report.scenario(&client.title(), &format!("cleanup past {name}"));
            let _: Option<()> = goes_back_in_time(&graph, &mut scenario);
            graph.unpack()?;
            let before = graph.read_fixture()?;
            drop(graph);
            let mut scenario = report.scenario(&client.title(), &format!("cleanup dies {name}"));
            let deaths = Deaths { lab, client, fixture, before };
            for name in lab.failpoints.iter().filter(|name| name.starts_with(PREFIX)) {
                deaths.at(&mut scenario, name);
            }
            deaths.at_random(&mut scenario, args.kills, &mut random);
        }
    }
    Ok(())
}

/// Cleans up twice: much goes, nothing that is read, and then nothing more.
fn clean_and_compare(
    graph: &Graph<'_>,
    scenario: &mut Scenario<'_>,
    expected: &Exports,
) -> Option<()> {
    let previewed = scenario.check("the preview writes nothing", || {
        let before = bytes_below(&graph.path())?;
        let previewed = clean(graph, &[])?;
        ensure!(bytes_below(&graph.path())? == before, "the size has changed");
        Ok(previewed)
    })?;
    scenario.check("cleanup frees what the preview said", || {
        let before = bytes_below(&graph.path())?;
        let report = clean(graph, &["--confirm"])?;
        let freed = before - bytes_below(&graph.path())?;
        let said = |report: &Value| report["totals"]["bytes_removed"].as_u64().context("no bytes");
        ensure!(said(&report)? == said(&previewed)?, "{report}, previewed {previewed}");
        // What we note about it takes some space itself.
        ensure!(freed > 0 && freed <= said(&report)?, "freed {freed}: {report}");
        Ok(())
    })?;
    scenario.check("every branch reads the same rows", || graph.expect_unchanged(expected))?;
    scenario.check("no drift after cleanup", || graph.expect_no_drift())?;
    scenario.check("a second cleanup removes nothing", || {
        // What the client's own opening wrote is not ours to judge: compare before it looks again.
        let report = clean(graph, &["--confirm"])?;
        let removed = &report["totals"]["old_versions_removed"];
        ensure!(removed == 0, "{report}");
        Ok(())
    })
}

/// The client reads at every commit that was to stay readable, and only at those.
fn goes_back_in_time(graph: &Graph<'_>, scenario: &mut Scenario<'_>) -> Option<()> {
    let (client, path) = (graph.client, graph.path());
    let (retained, before) = scenario.check("the client reads at its newest commits", || {
        graph.unpack()?;
        graph.lab.keeper.optimize_all(&path)?;
        let mut retained = BTreeMap::new();
        for (branch, _) in graph.fixture.branches {
            for commit in client.commits(&path, branch)?.into_iter().rev().take(RETAINED) {
                retained.insert(commit.clone(), rows_at(client, graph, &commit)?);
            }
        }
        Ok((retained, bytes_below(&path)?))
    })?;
    let lost = scenario.check("cleanup keeps these and says which others it lets go", || {
        let mut command = Command::new(&graph.lab.keeper.0);
        command.args(["cleanup", "--quiet", "--json", "--writer-window", "0s", "--confirm"]);
        command.args(["--keep-last", &RETAINED.to_string()]).arg(&path);
        let report: Value = serde_json::from_str(&output(&mut command)?)?;
        let lost = report["roots"][0]["lost_commits"].as_array().context("no lost commits")?;
        let id = |commit: &Value| commit["graph_commit_id"].as_str().map(str::to_owned);
        let lost: Option<Vec<String>> = lost.iter().map(id).collect();
        ensure!(bytes_below(&path)? < before, "nothing went: {report}");
        let lost = lost.context("a lost commit without an id")?;
        ensure!(!lost.is_empty() && lost.iter().all(|id| !retained.contains_key(id)), "{lost:?}");
        Ok(lost)
    })?;
    scenario.check("the client reads at each of them as before", || {
        for (commit, rows) in &retained {
            let now = rows_at(client, graph, commit).with_context(|| format!("at {commit}"))?;
            ensure!(now == *rows, "other rows at {commit}");
        }
        Ok(())
    })?;
    scenario.check("and not at one that is lost", || {
        ensure!(rows_at(client, graph, &lost[0]).is_err(), "{} can be read", lost[0]);
        Ok(())
    })
}

fn clean(graph: &Graph<'_>, more: &[&str]) -> Result<Value> {
    let mut command = Command::new(&graph.lab.keeper.0);
    command.args(["cleanup", "--quiet", "--json"]).args(STRICTEST).args(more).arg(graph.path());
    let text = output(&mut command)?;
    serde_json::from_str(&text).with_context(|| format!("not JSON: {text}"))
}

pub(super) fn bytes_below(directory: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        bytes += if kind.is_dir() { bytes_below(&entry.path())? } else { entry.metadata()?.len() };
    }
    Ok(bytes)
}

/// One client and fixture.
struct Deaths<'a> {
    lab: &'a Lab,
    client: &'a Omnigraph,
    fixture: Fixture,
    before: Exports,
}

impl Deaths<'_> {
    fn at(&self, scenario: &mut Scenario<'_>, name: &str) {
        for crossing in 1..=MOST_CROSSINGS {
            let label = format!("killed at {name}, crossing {crossing}");
            let died = scenario.check_if_any(&label, || {
                let graph = self.optimized()?;
                let failpoint = Failpoint { name, action: Action::Abort, crossing };
                let outcome = self.start(&graph, Some(&failpoint))?.wait()?;
                if outcome.status.success() {
                    return Ok(false);
                }
                ensure!(outcome.aborted(), "not killed: {}", outcome.describe());
                self.expect_whole(&graph)?;
                Ok(true)
            });
            if !died {
                if crossing == 1 {
                    scenario.note(name, "never crossed");
                }
                return;
            }
        }
    }

    fn at_random(&self, scenario: &mut Scenario<'_>, kills: usize, random: &mut Random) {
        // A debug build cleans a fixture up within a second or two.
        let span = std::time::Duration::from_secs(2);
        for number in 1..=kills {
            let delay = random.duration_below(span);
            let label = format!("kill {number} of {kills}, after {} ms", delay.as_millis());
            let _: Option<()> = scenario.check(&label, || {
                let graph = self.optimized()?;
                let mut run = self.start(&graph, None)?;
                std::thread::sleep(delay);
                run.kill()?;
                run.wait()?;
                self.expect_whole(&graph)
            });
        }
    }

    /// The fixture after an optimize, so that there is much to collect.
    fn optimized(&self) -> Result<Graph<'_>> {
        let graph = Graph::unpacked(self.lab, self.client, self.fixture)?;
        self.lab.keeper.optimize_all(&graph.path())?;
        Ok(graph)
    }

    fn start(
        &self,
        graph: &Graph<'_>,
        failpoint: Option<&Failpoint<'_>>,
    ) -> Result<super::keeper::Run> {
        let mut what: Vec<&str> = STRICTEST.to_vec();
        what.push("--confirm");
        self.lab.keeper.start_verb("cleanup", &graph.path(), &what, failpoint)
    }

    /// The client opens first, and for writing; then our next cleanup finishes.
    fn expect_whole(&self, graph: &Graph<'_>) -> Result<()> {
        let mut expected = self.before.clone();
        graph.load("main", "loadedafterdeath", &mut expected).context("the client loads")?;
        graph.expect_unchanged(&expected).context("after the death")?;
        graph.expect_no_drift().context("after the death")?;
        clean(graph, &["--confirm"]).context("our next cleanup")?;
        graph.expect_unchanged(&expected).context("after our next cleanup")?;
        graph.expect_no_drift().context("after our next cleanup")
    }
}
