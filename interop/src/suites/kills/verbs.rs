//! What is killed: each verb with what it is given, and the failpoints that are its own.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::super::Lab;
use super::super::keeper::{Action, Failpoint};
use super::super::random::Random;

/// A branch that is made and deleted.
pub(super) const BRANCH: &str = "kills";
/// Longer than any load takes, and short enough that there is something to collect.
const WINDOW: &str = "20s";

/// A verb with its options. The root follows.
pub(super) struct Verb {
    name: &'static str,
    options: &'static [&'static str],
    /// What the names of its failpoints begin with.
    failpoints: &'static [&'static str],
    graphs_only: bool,
}

/// To add a verb: one more line.
const VERBS: &[Verb] = &[
    Verb::of(
        "optimize",
        &["--all-branches"],
        &["optimize.", "recovery.", "sweep.", "graph_publish."],
    ),
    Verb::of("cleanup", CLEANUP, &["cleanup."]),
    Verb::of_graphs("branch", &["create", BRANCH], &["branch_create."]),
    Verb::of_graphs("branch", &["delete", BRANCH, "--confirm"], &["branch_delete."]),
    Verb::of_graphs("recover", &["--dead-after", WINDOW, "--confirm"], &["recover."]),
    Verb::of_graphs("repair", &["--dead-after", WINDOW, "--confirm"], &["repair."]),
];

/// As strict as writers can stand that are never slower than the window.
const CLEANUP: &[&str] = &[
    "--keep",
    "1",
    "--writer-window",
    WINDOW,
    "--min-fork-age",
    WINDOW,
    "--min-age",
    WINDOW,
    "--max-delete-percent",
    "100",
    "--confirm",
];

impl Verb {
    const fn of(
        name: &'static str,
        options: &'static [&'static str],
        failpoints: &'static [&'static str],
    ) -> Self {
        Self { name, options, failpoints, graphs_only: false }
    }

    const fn of_graphs(
        name: &'static str,
        options: &'static [&'static str],
        failpoints: &'static [&'static str],
    ) -> Self {
        Self { graphs_only: true, ..Self::of(name, options, failpoints) }
    }
}

/// Kills runs, and counts how they ended.
pub(super) struct Killer<'a> {
    lab: &'a Lab,
    verbs: Vec<&'static Verb>,
    /// A moment before the end of a run, mostly.
    span: Duration,
    ends: BTreeMap<String, usize>,
    next_failpoint: usize,
}

impl<'a> Killer<'a> {
    pub(super) fn new(lab: &'a Lab, of_graphs: bool, span: Duration) -> Self {
        let verbs = VERBS.iter().filter(|verb| of_graphs || !verb.graphs_only).collect();
        Self { lab, verbs, span, ends: BTreeMap::new(), next_failpoint: 0 }
    }

    /// Starts a run and kills it: at a random moment, or at the next failpoint of the catalogue.
    pub(super) fn kill_one(
        &mut self,
        number: usize,
        root: &Path,
        random: &mut Random,
    ) -> Result<()> {
        if number.is_multiple_of(2) {
            let verb = self.verbs[random.below(self.verbs.len())];
            let run = self.lab.keeper.start_verb(verb.name, root, verb.options, None)?;
            self.kill_later(verb, run, random)
        } else {
            self.kill_at_failpoint(root, random)
        }
    }

    fn kill_later(
        &mut self,
        verb: &Verb,
        mut run: super::super::keeper::Run,
        random: &mut Random,
    ) -> Result<()> {
        std::thread::sleep(random.duration_below(self.span));
        run.kill()?;
        let outcome = run.wait()?;
        self.note(verb, &outcome, "killed")
    }

    fn kill_at_failpoint(&mut self, root: &Path, random: &mut Random) -> Result<()> {
        let names = &self.lab.failpoints;
        let name = names[self.next_failpoint % names.len()].clone();
        self.next_failpoint += 1;
        let own =
            self.verbs.iter().find(|verb| verb.failpoints.iter().any(|own| name.starts_with(own)));
        // Of a verb that has nothing to do here.
        let Some(verb) = own.copied() else { return Ok(()) };
        let failpoint =
            Failpoint { name: &name, action: Action::Abort, crossing: 1 + random.below(3) };
        let run = self.lab.keeper.start_verb(verb.name, root, verb.options, Some(&failpoint))?;
        let outcome = run.wait()?;
        self.note(verb, &outcome, &format!("killed at {name}"))
    }

    /// A run that nobody killed in time may be refused, and must not fail.
    fn note(
        &mut self,
        verb: &Verb,
        outcome: &super::super::keeper::Outcome,
        killed: &str,
    ) -> Result<()> {
        let end = match outcome.status.code() {
            None => killed.to_owned(),
            Some(1) => bail!("{} failed: {}", verb.name, outcome.describe()),
            Some(code) => format!("exit code {code}"),
        };
        *self.ends.entry(format!("{} {}: {end}", verb.name, verb.options[0])).or_default() += 1;
        Ok(())
    }

    /// How many runs were killed.
    pub(super) fn killed(&self) -> usize {
        let killed = self.ends.iter().filter(|(end, _)| end.contains("killed"));
        killed.map(|(_, count)| count).sum()
    }

    pub(super) fn ends(&self) -> impl Iterator<Item = String> {
        self.ends.iter().map(|(end, count)| format!("{count} × {end}"))
    }

    /// With nobody about: what dead runs left is finished, a second run is idle, what nobody needs goes, and then
    /// there is nothing more that could go.
    pub(super) fn expect_rest(&self, root: &Path) -> Result<()> {
        let keeper = &self.lab.keeper;
        keeper.optimize_all(root).context("the optimize at the end")?;
        keeper.optimize_all(root)?.expect_idle().context("the second optimize")?;
        let mut options: Vec<&str> = CLEANUP.to_vec();
        options.iter_mut().filter(|option| **option == WINDOW).for_each(|option| *option = "0s");
        let clean = || -> Result<serde_json::Value> {
            let outcome = keeper.start_verb("cleanup", root, &options, None)?.wait()?;
            outcome.expect_success().context("cleanup")?;
            outcome.json()
        };
        clean()?;
        let second = clean()?;
        if second["totals"]["files_removed"] != 0 {
            bail!("the second cleanup removed files: {second}");
        }
        let outcome = keeper.start_verb("verify", root, &[], None)?.wait()?;
        outcome.expect_success().context("verify")?;
        for room in
            ["__recovery", "__maintenance/journal", "__maintenance/runs", "__maintenance/cleanup"]
        {
            let left = super::super::graph::file_names(&root.join(room))?;
            if !left.is_empty() {
                bail!("{left:?} are left in {room}");
            }
        }
        Ok(())
    }
}
