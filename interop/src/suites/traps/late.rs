//! A client's command is stopped at random moments, we optimize and clean up to the end, and it goes on.
//!
//! It has opened the graph, staged, or committed half of what it does, and we collect what is older than the
//! writer window. Whatever it then does must be done as a whole or not at all; rows that another client has
//! deleted meanwhile do not come back, and no key is there twice.

mod command;
mod lines;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::super::graph::{BRANCHES, Exports, Graph, MAIN_ONLY, expect_same, new_rows};
use super::super::omnigraph::{Lines, Omnigraph};
use super::super::process::Process;
use super::super::race::reason;
use super::super::random::Random;
use super::super::report::{Report, Scenario};
use super::super::{Lab, output};
use command::{DELETE, FEATURE, Late, MARK, Persons};
use lines::{is_about, judge, known, names};

/// Random moments at which each command is stopped.
const STOPS: usize = 2;

/// Versions of the fixtures are a day old: the default window lets them go, and so does one that is just
/// longer than a stop.
const RULES: [&[&str]; 2] = [
    &["--keep", "1", "--confirm"],
    &[
        "--keep",
        "1",
        "--confirm",
        "--writer-window",
        "1m",
        "--min-fork-age",
        "1m",
        "--min-age",
        "1m",
    ],
];

/// Done; some tables failed; a writer's sidecar is in the way; refused by a safety rule.
const HONEST_EXIT_CODES: [i32; 4] = [0, 3, 12, 13];

pub(super) fn run(
    report: &mut Report,
    lab: &Lab,
    client: &Omnigraph,
    random: &mut Random,
) -> Result<()> {
    let mut before = BTreeMap::new();
    for fixture in [BRANCHES, MAIN_ONLY] {
        let graph = Graph::unpacked(lab, client, fixture)?;
        before.insert(fixture.name(client), graph.read_fixture()?);
    }
    let mut scenario = report.scenario(&client.title(), "traps late");
    for late in Late::ALL {
        let before = before[&late.fixture().name(client)].clone();
        let mut trap = Trap { lab, client, late, before, whole: None, ends: BTreeMap::new() };
        let Some(span) = trap.learn(&mut scenario) else { continue };
        for number in 0..STOPS {
            let after = span.mul_f64(random.duration_below(Duration::from_secs(1)).as_secs_f64());
            let label = format!("{}, stopped after {} ms", late.name(), after.as_millis());
            // A merge reads so much that another writer beside it is a trap of the client's own.
            let beside = number % 2 == 1 && !matches!(late, Late::Schema | Late::Merge);
            let stop = Stop { after: Some(after), rules: RULES[number % 2], beside };
            let _: Option<()> = scenario.check(&label, || trap.stopped(&stop));
        }
        if late.arms() {
            let label = format!("{}, stopped when it is armed", late.name());
            let stop = Stop { after: None, rules: RULES[0], beside: false };
            let _: Option<()> = scenario.check(&label, || trap.stopped(&stop));
        }
        for (end, count) in &trap.ends {
            scenario.note(&late.name(), &format!("{count} × {end}"));
        }
    }
    Ok(())
}

struct Stop {
    /// When its sidecar is there, if not after a time.
    after: Option<Duration>,
    rules: &'static [&'static str],
    /// Another client deletes a person meanwhile.
    beside: bool,
}

struct Trap<'a> {
    lab: &'a Lab,
    client: &'a Omnigraph,
    late: Late,
    before: Exports,
    /// The branch it writes to when the command was done as a whole, nobody else there. Ids that the
    /// client draws are not in it.
    whole: Option<Lines>,
    /// How the commands ended, and how often.
    ends: BTreeMap<String, usize>,
}

impl<'a> Trap<'a> {
    /// What the command does when nobody else is there, and how long it takes.
    fn learn(&mut self, scenario: &mut Scenario<'_>) -> Option<Duration> {
        let (span, whole) = scenario.check(&format!("{}, alone", self.late.name()), || {
            let graph = self.graph()?;
            let file = tempfile::NamedTempFile::new()?;
            let mut command = self.late.command(&graph, &self.persons()?, file.path())?;
            let started = Instant::now();
            output(&mut command)?;
            let span = started.elapsed();
            Ok((span, known(&self.client.export(&graph.path(), self.late.branch())?)?))
        })?;
        self.whole = Some(whole);
        Some(span)
    }

    fn graph(&self) -> Result<Graph<'a>> {
        let graph = Graph::unpacked(self.lab, self.client, self.late.fixture())?;
        self.late.prepare(&graph)?;
        Ok(graph)
    }

    fn persons(&self) -> Result<Persons> {
        let names = names(&self.before["main"])?;
        let mut others = names.into_iter().filter(|name| !name.starts_with(MARK));
        let mut next = || others.next().context("too few persons");
        Ok(Persons { updated: next()?, deleted: next()?, deleted_meanwhile: next()? })
    }

    fn stopped(&mut self, stop: &Stop) -> Result<()> {
        let graph = self.graph()?;
        let persons = self.persons()?;
        let file = tempfile::NamedTempFile::new()?;
        let mut process = Process::start(&mut self.late.command(&graph, &persons, file.path())?)?;
        match stop.after {
            Some(after) => std::thread::sleep(after),
            None => {
                let armed = process.wait_until(|| Ok(!graph.sidecars()?.is_empty()))?;
                ensure!(armed, "it armed nothing");
            }
        }
        // One that has ended cannot be stopped, but what it did must stand our runs.
        let is_over = process.ended()?;
        if is_over {
            self.count("over before its stop");
        } else {
            process.stop()?;
        }
        let has_sidecar = !graph.sidecars()?.is_empty();
        // A client that opens takes a sidecar for a dead one's, and rolls it back.
        let deleted = stop.beside && !has_sidecar && self.late != Late::Schema && {
            let parameters = json!({ "n": persons.deleted_meanwhile });
            self.client.mutate(&graph.path(), DELETE, &parameters).is_ok()
        };
        self.keep(&graph, stop.rules)?;
        if !is_over {
            process.go_on()?;
        }
        let end = process.wait()?;
        let state = if has_sidecar { "armed" } else { "not armed" };
        let done = end.status.success();
        let word = if done { "done".to_owned() } else { reason(&end.said) };
        let beside = if deleted { ", another deletes" } else { "" };
        self.count(&format!("stopped {state}{beside}: {word}"));
        self.expect_whole_or_nothing(&graph, done, deleted, &persons).context(word)?;
        self.expect_usable(&graph)
    }

    /// Optimizes the branch and cleans up, as far as we are let.
    fn keep(&mut self, graph: &Graph<'_>, rules: &[&str]) -> Result<()> {
        let on = if self.late == Late::Branch { "main" } else { self.late.branch() };
        self.ours(graph, "optimize", &["--branch", on])?;
        self.ours(graph, "cleanup", rules)
    }

    fn ours(&mut self, graph: &Graph<'_>, verb: &str, what: &[&str]) -> Result<()> {
        let outcome = self.lab.keeper.start_verb(verb, &graph.path(), what, None)?.wait()?;
        let code = outcome.status.code().context("killed")?;
        ensure!(HONEST_EXIT_CODES.contains(&code), "{verb}: {}", outcome.describe());
        self.count(&format!("our {verb}: {code}"));
        Ok(())
    }

    fn count(&mut self, end: &str) {
        *self.ends.entry(end.to_owned()).or_default() += 1;
    }

    fn expect_whole_or_nothing(
        &self,
        graph: &Graph<'_>,
        done: bool,
        deleted: bool,
        persons: &Persons,
    ) -> Result<()> {
        let whole = self.whole.as_ref().context("what it does alone is not known")?;
        let branch = self.late.branch();
        let branches = self.client.branches(&graph.path())?;
        // The client opens for writing first, and mends what it finds.
        for name in branches.iter().filter(|name| *name != branch && *name != FEATURE) {
            let mut expected = known(&self.before[name])?;
            let found = known(&self.client.export(&graph.path(), name)?)?;
            if deleted && name == "main" {
                expected.retain(|line| !is_about(line, &persons.deleted_meanwhile));
            }
            expect_same(&expected, &found).with_context(|| name.clone())?;
        }
        if !branches.iter().any(|name| name == branch) {
            ensure!(self.late == Late::Branch && !done, "{branch} is not there");
            return Ok(());
        }
        let mut found = known(&self.client.export(&graph.path(), branch)?)?;
        let from = if self.late == Late::Branch { "main" } else { branch };
        let mut nothing = known(&self.before[from])?;
        let mut whole = whole.clone();
        if deleted {
            let about = |line: &String| is_about(line, &persons.deleted_meanwhile);
            // A branch may have been cut before the deletion.
            let may_stay = self.late == Late::Branch || branch != "main";
            if !may_stay {
                ensure!(!found.iter().any(about), "a deleted person has come back");
            }
            for lines in [&mut nothing, &mut whole, &mut found] {
                lines.retain(|line| !about(line));
            }
        }
        judge(&nothing, &whole, &found, done)
    }

    /// The client writes on, mends whatever drift is left, and we finish.
    fn expect_usable(&mut self, graph: &Graph<'_>) -> Result<()> {
        let path = graph.path();
        let drift = self.client.drift(&path)?;
        if !drift.is_empty() {
            for (_, class) in &drift {
                self.count(&format!("drift left: {class}"));
            }
            self.client.repair(&path).context("repair")?;
            graph.expect_no_drift()?;
        }
        let mut expected = Exports::new();
        for branch in self.client.branches(&path)? {
            expected.insert(branch.clone(), self.client.export(&path, &branch)?);
        }
        if self.late == Late::Schema {
            // Its rows have a property more than those of a load, or have not.
            self.client.load(&path, "main", &new_rows("afterwards").0)?;
        } else {
            graph.load("main", "afterwards", &mut expected)?;
        }
        expected.insert("main".to_owned(), self.client.export(&path, "main")?);
        self.ours(graph, "cleanup", RULES[0])?;
        graph.expect_unchanged(&expected)?;
        graph.expect_no_drift()
    }
}
