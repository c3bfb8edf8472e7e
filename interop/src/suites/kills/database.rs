//! Kills beside two processes of pylance that append to the tables of a database and delete their own rows.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tempfile::TempDir;

use super::super::random::Random;
use super::super::report::{Report, Scenario};
use super::super::{Lab, output};
use super::cases::{Case, Group, Needs, OF_DATABASES, cases};
use super::possible::Cases;
use super::tally::Tally;
use super::verbs::Killer;

const SCRIPT: &str = include_str!("writers.py");
const WRITERS: [&str; 2] = ["first", "second"];
/// A debug build has mostly ended by then.
const SPAN: Duration = Duration::from_millis(500);
/// With the pauses between them, longer than it takes until something may be collected.
const ATTEMPTS: usize = 14;
const PAUSE: Duration = Duration::from_secs(2);
/// A cleanup as strict as writers can stand that are never slower than the window, and so slow that others are let in.
static PATIENT: Group = Group {
    needs: Needs::Litter,
    verb: "cleanup",
    options: &[
        "--keep",
        "1",
        "--writer-window",
        "20s",
        "--min-fork-age",
        "20s",
        "--min-age",
        "20s",
        "--max-delete-percent",
        "100",
        "--delete-rate",
        "50",
        "--confirm",
    ],
    failpoints: &[],
    only_v3: false,
};
/// Of the table that nobody else writes to.
static NAMES: Group = Group {
    needs: Needs::OldNames,
    verb: "migrate",
    options: &["--manifest-paths", "v2", "--assume-alone", "--table", "old", "--confirm"],
    failpoints: &[],
    only_v3: false,
};

pub(super) fn run(report: &mut Report, lab: &Lab, kills: usize, random: &mut Random) {
    let mut scenario = report.scenario("pylance", "kills");
    // What failed is in the report.
    let _: Option<()> = check(lab, kills, random, &mut scenario);
}

fn check(lab: &Lab, kills: usize, random: &mut Random, scenario: &mut Scenario<'_>) -> Option<()> {
    let siege = scenario.check("a database", || Siege::prepare(lab))?;
    let mut killer = Killer::new(lab, false, SPAN);
    let mut tally = Tally::default();
    let is_asked_for = |case: &Case| lab.failpoints.iter().any(|name| name == case.failpoint);
    let of_databases = |case: &Case| OF_DATABASES.contains(&case.failpoint);
    let mut cases = Cases::of(cases().filter(is_asked_for).filter(of_databases).collect(), random);
    scenario.check(&format!("{kills} kills beside two writers"), || {
        let mut writers = siege.start_writers(random)?;
        let killed = (0..kills).try_for_each(|number| {
            for writer in &mut writers {
                writer.expect_alive()?;
            }
            if number.is_multiple_of(2) {
                return killer.kill_some(&siege.root(), random);
            }
            let Some(case) = cases.next() else { return Ok(()) };
            siege
                .kill_there(&mut killer, &mut tally, case, random)
                .with_context(|| format!("killed at {}", case.failpoint))
        });
        writers.into_iter().try_for_each(Writer::stop)?;
        killed
    })?;
    tally.expect(cases.all().map(|case| case.failpoint));
    tally.tell(scenario);
    for end in killer.ends() {
        scenario.note("ends", &end);
    }
    let done = scenario.check("every acknowledged row is there once", || siege.look())?;
    scenario.note("rows acknowledged", &done.to_string());
    scenario.check("runs were killed and rows written", || {
        ensure!(killer.killed() > 2 && done > 10, "{} killed, {done} rows", killer.killed());
        Ok(())
    })?;
    let reached = scenario
        .check("every run that was sent to a failpoint came there", || tally.expect_reached());
    scenario.check("nothing is left over", || {
        killer.expect_rest(&siege.root())?;
        siege.look().map(drop)
    })?;
    reached
}

struct Siege<'a> {
    lab: &'a Lab,
    temp: TempDir,
}

/// A process that writes, and says what it was told on a file.
struct Writer {
    child: Child,
    said: PathBuf,
}

impl Writer {
    fn expect_alive(&mut self) -> Result<()> {
        let ended = self.child.try_wait()?;
        ensure!(ended.is_none(), "a writer ended: {}", fs::read_to_string(&self.said)?);
        Ok(())
    }

    /// SIGKILL: what it was told is on the file, and what it is in the middle of is in doubt.
    fn stop(mut self) -> Result<()> {
        self.expect_alive()?;
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl<'a> Siege<'a> {
    fn prepare(lab: &'a Lab) -> Result<Self> {
        let siege = Self { lab, temp: tempfile::tempdir()? };
        output(siege.python().arg("prepare").arg(siege.root()))?;
        Ok(siege)
    }

    fn root(&self) -> PathBuf {
        Path::new(self.temp.path()).join("database")
    }

    /// Kills a run at a failpoint, as soon as there is something for it to do, and lets another one finish.
    fn kill_there(
        &self,
        killer: &mut Killer<'_>,
        tally: &mut Tally,
        case: Case,
        random: &mut Random,
    ) -> Result<()> {
        let mut was_killed = false;
        for _ in 0..ATTEMPTS {
            was_killed = match case.group.needs {
                Needs::OldNames => self.kill_between_names(killer, case, random)?,
                _ => killer.kill_at(&self.root(), beside_writers(case), 1, random, || Ok(()))?,
            };
            if was_killed {
                break;
            }
            // The writers go on, and what they left grows old.
            std::thread::sleep(PAUSE);
        }
        tally.note(case.failpoint, was_killed);
        Ok(())
    }

    /// A table that nobody else has open gets new names, while the others are written to.
    fn kill_between_names(
        &self,
        killer: &mut Killer<'_>,
        case: Case,
        random: &mut Random,
    ) -> Result<bool> {
        output(self.python().arg("old").arg(self.root()))?;
        let crossing = 1 + random.below(3);
        let was_killed = killer.kill_at(
            &self.root(),
            Case { group: &NAMES, ..case },
            crossing,
            random,
            || Ok(()),
        )?;
        let options = NAMES.options;
        let next = self.lab.keeper.start_verb(NAMES.verb, &self.root(), options, None)?.wait()?;
        ensure!(next.status.success(), "the next migration: {}", next.describe());
        output(self.python().arg("renamed").arg(self.root()))?;
        Ok(was_killed)
    }

    fn python(&self) -> Command {
        let mut command = Command::new(&self.lab.clients.python);
        command.args(["-c", SCRIPT]);
        command
    }

    fn said(&self, writer: &str) -> PathBuf {
        self.temp.path().join(writer)
    }

    fn start_writers(&self, random: &mut Random) -> Result<Vec<Writer>> {
        let start = |writer: &str| {
            let said = self.said(writer);
            let mut command = self.python();
            command.arg("write").arg(self.root()).arg(writer);
            command.arg(random.below(1 << 30).to_string());
            let file = File::create(&said)?;
            command.stdin(Stdio::null()).stderr(file.try_clone()?).stdout(file);
            Ok(Writer { child: command.spawn().context("failed to start a writer")?, said })
        };
        WRITERS.into_iter().map(start).collect()
    }

    /// Compares what writers were told with what there is. Returns how many rows they were told of.
    fn look(&self) -> Result<usize> {
        let text = output(self.python().arg("read").arg(self.root()))?;
        let found: Vec<String> = serde_json::from_str(&text).with_context(|| text.clone())?;
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for id in &found {
            *counts.entry(id).or_default() += 1;
        }
        let (mut told, mut doubtful) = (0, 0);
        for writer in WRITERS {
            for (id, state) in states(&fs::read_to_string(self.said(writer))?)? {
                let count = counts.remove(id.as_str()).unwrap_or_default();
                let is_right = match state {
                    State::There => count == 1,
                    State::Gone => count == 0,
                    State::InDoubt => count <= 1,
                };
                ensure!(is_right, "{id} is there {count} times, and should be {state:?}");
                match state {
                    State::InDoubt => doubtful += 1,
                    State::There | State::Gone => told += 1,
                }
            }
        }
        ensure!(counts.is_empty(), "nobody wrote {counts:?}");
        ensure!(doubtful < told || told == 0, "{doubtful} rows in doubt, {told} acknowledged");
        Ok(told)
    }
}

/// The same with rules that writers can stand.
fn beside_writers(case: Case) -> Case {
    match case.group.verb {
        "cleanup" => Case { group: &PATIENT, ..case },
        _ => case,
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    There,
    Gone,
    InDoubt,
}

/// What a writer was told of each of its rows, from the lines it said: `["begin", OPERATION, IDS]`, then
/// `["done"]`, or `["refused", WHY]` when somebody else was faster.
fn states(said: &str) -> Result<BTreeMap<String, State>> {
    let mut states = BTreeMap::new();
    let mut begun: Option<(State, Vec<String>)> = None;
    for line in said.lines() {
        // The last one may be cut off.
        let Ok(line) = serde_json::from_str::<Value>(line) else { continue };
        match line[0].as_str() {
            Some("begin") => {
                let ids: Vec<String> = serde_json::from_value(line[2].clone())?;
                states.extend(ids.iter().map(|id| (id.clone(), State::InDoubt)));
                let then = if line[1] == "append" { State::There } else { State::Gone };
                begun = Some((then, ids));
            }
            Some("done") => {
                let (then, ids) = begun.take().context("done without a beginning")?;
                states.extend(ids.into_iter().map(|id| (id, then)));
            }
            // Whether it happened all the same is in doubt.
            _ => begun = None,
        }
    }
    Ok(states)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_begun_and_not_acknowledged_is_in_doubt() {
        let said = "[\"begin\",\"append\",[\"1\",\"2\"]]\n[\"done\"]\n[\"begin\",\"delete\",[\"1\"]]\n\
                    [\"done\"]\n[\"begin\",\"delete\",[\"2\"]]\n[\"refused\",\"x\"]\n\
                    [\"begin\",\"append\",[\"3\"]]\n[\"do";
        let states: Vec<(String, State)> = states(said).unwrap().into_iter().collect();
        let expected = [("1", State::Gone), ("2", State::InDoubt), ("3", State::InDoubt)];
        assert_eq!(states, expected.map(|(id, state)| (id.to_owned(), state)));
    }
}
