//! What is killed at random moments: each verb with what it is given; and how runs ended, wherever they were killed.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::super::Lab;
use super::super::keeper::{Action, Failpoint, Outcome};
use super::super::random::Random;
use super::cases::{CREATE, Case, DELETE, STRICT};

/// Longer than any load takes, and short enough that there is something to collect.
const WINDOW: &str = "20s";
/// A run that stands at its failpoint is killed within that time, while others work.
const STANDS: Duration = Duration::from_millis(400);

/// A verb with its options. The root follows.
pub(super) struct Verb {
    name: &'static str,
    options: &'static [&'static str],
    graphs_only: bool,
}

/// To add a verb: one more line.
const VERBS: &[Verb] = &[
    Verb::of("optimize", &["--all-branches"]),
    Verb::of("cleanup", CLEANUP),
    Verb::of_graphs("branch", CREATE),
    Verb::of_graphs("branch", DELETE),
    Verb::of_graphs("recover", &["--dead-after", WINDOW, "--confirm"]),
    Verb::of_graphs("repair", &["--dead-after", WINDOW, "--confirm"]),
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
    const fn of(name: &'static str, options: &'static [&'static str]) -> Self {
        Self { name, options, graphs_only: false }
    }

    const fn of_graphs(name: &'static str, options: &'static [&'static str]) -> Self {
        Self { graphs_only: true, ..Self::of(name, options) }
    }
}

/// Kills runs, and counts how they ended.
pub(super) struct Killer<'a> {
    pub(super) lab: &'a Lab,
    verbs: Vec<&'static Verb>,
    /// A moment before the end of a run, mostly.
    span: Duration,
    ends: BTreeMap<String, usize>,
}

impl<'a> Killer<'a> {
    pub(super) fn new(lab: &'a Lab, of_graphs: bool, span: Duration) -> Self {
        let verbs = VERBS.iter().filter(|verb| of_graphs || !verb.graphs_only).collect();
        Self { lab, verbs, span, ends: BTreeMap::new() }
    }

    /// Starts a run of any verb, and kills it at a random moment.
    pub(super) fn kill_some(&mut self, root: &Path, random: &mut Random) -> Result<()> {
        let verb = self.verbs[random.below(self.verbs.len())];
        self.kill_later(root, (verb.name, verb.options), random)
    }

    /// Starts a run, and kills it at a random moment.
    pub(super) fn kill_later(
        &mut self,
        root: &Path,
        (verb, options): (&str, &[&str]),
        random: &mut Random,
    ) -> Result<()> {
        let mut run = self.lab.keeper.start_verb(verb, root, options, None)?;
        std::thread::sleep(random.duration_below(self.span));
        run.kill()?;
        let outcome = run.wait()?;
        self.note((verb, options), &outcome, "killed")
    }

    /// Starts a run that stands still at its failpoint, lets others work there for a moment, and kills it. Returns
    /// whether it came there.
    pub(super) fn kill_at(
        &mut self,
        root: &Path,
        case: Case,
        crossing: usize,
        random: &mut Random,
        others_work: impl FnOnce() -> Result<()>,
    ) -> Result<bool> {
        let (verb, options) = (case.group.verb, case.group.options);
        let failpoint = Failpoint { name: case.failpoint, action: Action::Pause, crossing };
        let mut run = self.lab.keeper.start_verb(verb, root, options, Some(&failpoint))?;
        let stands = run.pauses()?;
        if stands {
            others_work()?;
            std::thread::sleep(random.duration_below(STANDS));
            run.kill()?;
        }
        let outcome = run.wait()?;
        self.note((verb, options), &outcome, &format!("killed at {}", case.failpoint))?;
        Ok(stands)
    }

    /// A run that nobody killed in time may be refused, and must not fail.
    pub(super) fn note(
        &mut self,
        (verb, options): (&str, &[&str]),
        outcome: &Outcome,
        killed: &str,
    ) -> Result<()> {
        let end = match outcome.status.code() {
            None => killed.to_owned(),
            Some(1) => bail!("{verb} failed: {}", outcome.describe()),
            // Of a name that is there already, or is not; anything else is a mistake of ours, and must be seen.
            Some(2) => format!("exit code 2: {}", why(outcome)),
            Some(code) => format!("exit code {code}"),
        };
        let what = options.first().copied().unwrap_or_default();
        *self.ends.entry(format!("{verb} {what}: {end}")).or_default() += 1;
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
        let clean = || -> Result<serde_json::Value> {
            let outcome = keeper.start_verb("cleanup", root, STRICT, None)?.wait()?;
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
        expect_no_leftovers(root)
    }
}

/// What a run said of its root.
fn why(outcome: &Outcome) -> String {
    let report = outcome.json().ok();
    let error = report.as_ref().and_then(|report| report["roots"][0]["error"].as_str());
    super::super::race::reason(error.unwrap_or("no report"))
}

/// None of our documents about work under way is left.
pub(super) fn expect_no_leftovers(root: &Path) -> Result<()> {
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
