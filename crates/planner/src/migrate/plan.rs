//! From facts to steps.

use chrono::{DateTime, TimeDelta, Utc};
use lancekeeper_model::{Branch, InternalSchema, Stamp};

use super::{
    BranchFacts, Facts, Goal, Key, MigrationPlan, NewestCommits, Phase, Refusal, RunBranch, Step,
};

/// Plans what takes a graph from what it is to what it should be. `dead_after` is how long a branch
/// of a run must be left alone before it counts as nobody's.
///
/// # Errors
///
/// What forbids it. Nothing may be written then.
pub fn plan_migration(
    facts: &Facts,
    goal: Goal,
    dead_after: TimeDelta,
    now: DateTime<Utc>,
) -> Result<MigrationPlan, Refusal> {
    let from = facts.main();
    if let Goal::Restamp(to) = goal {
        return Ok(MigrationPlan { from, to, steps: restamped(facts, to)? });
    }
    facts.check_known()?;
    let dead = Dead { after: dead_after, now };
    let steps = match goal {
        Goal::Abort => aborted(facts, &from)?,
        Goal::Newest { rebuild } => newest(facts, &from, rebuild, &dead)?,
        Goal::Write | Goal::Restamp(_) => writable(facts, &from, &dead)?,
    };
    let to = match goal {
        Goal::Newest { .. } => InternalSchema::V4,
        Goal::Write if from == Stamp::Known(InternalSchema::V4) => InternalSchema::V4,
        Goal::Write | Goal::Abort | Goal::Restamp(_) => InternalSchema::V3,
    };
    Ok(MigrationPlan { from, to, steps })
}

/// Refuses to delete the branch of a run that somebody used less than `dead_after` ago. It is asked when it is planned,
/// and once more before it is done.
///
/// # Errors
///
/// [`Refusal::RunInFlight`].
pub fn check_run(
    run: &RunBranch,
    dead_after: TimeDelta,
    now: DateTime<Utc>,
) -> Result<(), Refusal> {
    // A clock that is ahead is no work in flight for ever.
    let age = (now - run.last_used).max(TimeDelta::zero());
    if age < dead_after {
        let (branch, minutes) = (run.branch.clone(), age.num_minutes());
        return Err(Refusal::RunInFlight { branch, minutes });
    }
    Ok(())
}

/// Since when a run is nobody's any more.
struct Dead {
    after: TimeDelta,
    now: DateTime<Utc>,
}

impl Facts {
    /// Main's stamp. Main is always there.
    fn main(&self) -> Stamp {
        let main = self.branches.first().map(|main| main.stamp.clone());
        main.unwrap_or_else(|| Stamp::parse(None))
    }

    /// The branches, main last: its stamp speaks for all of them, so it must not be ahead.
    fn main_last(&self) -> impl Iterator<Item = &BranchFacts> {
        let (main, others) = self.branches.split_at(self.branches.len().min(1));
        others.iter().chain(main)
    }

    fn check_known(&self) -> Result<(), Refusal> {
        for BranchFacts { branch, stamp, .. } in &self.branches {
            let branch = branch.clone();
            match stamp {
                Stamp::Newer(found) => return Err(Refusal::Newer { branch, found: *found }),
                Stamp::Unreadable(text) => {
                    return Err(Refusal::Unreadable { branch, text: text.clone() });
                }
                Stamp::Known(_) | Stamp::Migrating => {}
            }
        }
        Ok(())
    }

    /// No branch has a stamp that main's does not explain.
    fn check_agree(&self, main: &Stamp, agrees: fn(InternalSchema) -> bool) -> Result<(), Refusal> {
        match self.branches.iter().find(|b| !b.stamp.known().is_some_and(agrees)) {
            None => Ok(()),
            Some(other) => Err(Refusal::Differs {
                branch: other.branch.clone(),
                found: other.stamp.clone(),
                main: main.clone(),
            }),
        }
    }

    fn check_all_read(&self) -> Result<(), Refusal> {
        match self.unread.first() {
            None => Ok(()),
            Some((branch, why)) => {
                Err(Refusal::Unread { branch: branch.clone(), why: why.clone() })
            }
        }
    }

    fn journal(&self) -> Result<Phase, Refusal> {
        let branch = Branch::main();
        self.journal.ok_or(Refusal::NoJournal { branch })
    }
}

fn is_v4(schema: InternalSchema) -> bool {
    schema == InternalSchema::V4
}

fn is_older(schema: InternalSchema) -> bool {
    schema < InternalSchema::V4
}

/// What a first write does.
fn writable(facts: &Facts, main: &Stamp, dead: &Dead) -> Result<Vec<Step>, Refusal> {
    match main.known() {
        None => Err(Refusal::UnderWay { phase: facts.journal()? }),
        Some(InternalSchema::V4) => facts.check_agree(main, is_v4).map(|()| Vec::new()),
        Some(_) => {
            facts.check_agree(main, is_older)?;
            if !facts.has_commits {
                return Err(Refusal::NoCommits { found: main.clone() });
            }
            to_v3(facts, main, dead)
        }
    }
}

/// v1 and v2 to v3, on every branch that is behind.
fn to_v3(facts: &Facts, main: &Stamp, dead: &Dead) -> Result<Vec<Step>, Refusal> {
    let behind = |schema| {
        facts.main_last().filter(move |branch| branch.stamp.known().is_some_and(|s| s <= schema))
    };
    let mut steps = Vec::new();
    for BranchFacts { branch, key, .. } in behind(InternalSchema::V1) {
        if let Key::Other(column) = key {
            return Err(Refusal::Key { branch: branch.clone(), column: column.clone() });
        }
        steps.push(Step::Annotate(branch.clone()));
    }
    // Once main is at v3 no client that makes such branches can write, and what bears their names
    // then is somebody else's.
    if main.known().is_some_and(|schema| schema < InternalSchema::V3) {
        for run in &facts.runs {
            check_run(run, dead.after, dead.now)?;
            steps.push(Step::DeleteRun(run.branch.clone()));
        }
    }
    steps.extend(behind(InternalSchema::V2).map(|branch| Step::Sweep(branch.branch.clone())));
    Ok(steps)
}

/// Everything up to v4, from wherever it is.
fn newest(facts: &Facts, main: &Stamp, rebuild: bool, dead: &Dead) -> Result<Vec<Step>, Refusal> {
    facts.check_all_read()?;
    let mut steps = Vec::new();
    match main.known() {
        Some(InternalSchema::V4) if facts.check_agree(main, is_v4).is_ok() => {
            steps.extend(facts.journal.map(|_| Step::End));
            return Ok(steps);
        }
        // A client that had the graph open since before made a branch: that one is brought along.
        Some(InternalSchema::V4) => {
            let fenced = facts.branches.iter().find(|b| b.stamp == Stamp::Migrating);
            if let (Some(fenced), None) = (fenced, facts.journal) {
                return Err(Refusal::NoJournal { branch: fenced.branch.clone() });
            }
            check_of_v3(facts)?;
            steps.extend(to_v3(facts, main, dead)?);
            if facts.journal != Some(Phase::Forward) {
                steps.push(Step::Begin);
            }
        }
        Some(_) => {
            facts.check_agree(main, is_older)?;
            if facts.journal == Some(Phase::Abort) {
                // Everything is back; only the note is left of it.
                steps.push(Step::End);
            }
            steps.extend(to_v3(facts, main, dead)?);
            if facts.journal != Some(Phase::Forward) {
                steps.push(Step::Begin);
            }
        }
        None => {
            if facts.journal()? == Phase::Abort {
                return Err(Refusal::UnderWay { phase: Phase::Abort });
            }
            steps.extend(to_v3(facts, main, dead)?);
        }
    }
    if !facts.has_commits && !rebuild {
        return Err(Refusal::NoCommits { found: main.clone() });
    }
    let is_released = |b: &&BranchFacts| b.stamp.known().is_some_and(is_v4);
    let is_fenced = |b: &&BranchFacts| is_released(b) || b.stamp == Stamp::Migrating;
    // Main first: clients look there when they open.
    let fences = facts.branches.iter().filter(|b| !is_fenced(b));
    steps.extend(fences.map(|b| Step::Fence(b.branch.clone())));
    let left = || facts.main_last().filter(|b| !is_released(b)).map(|b| b.branch.clone());
    steps.extend(left().map(Step::Copy));
    steps.extend(left().map(Step::Check));
    steps.extend(left().map(Step::Release));
    steps.push(Step::End);
    Ok(steps)
}

/// A branch of v4 whose stamp alone is wrong must not get the history that v3 kept, which ends where v4 began: its
/// commits would be written down anew under other ids, and without what they merged.
fn check_of_v3(facts: &Facts) -> Result<(), Refusal> {
    let has_v4_commits = |of: &&BranchFacts| {
        let NewestCommits { rows, apart } = of.newest.unwrap_or_default();
        of.stamp.known().is_some_and(is_older) && rows > apart
    };
    match facts.branches.iter().find(has_v4_commits) {
        None => Ok(()),
        Some(of) => Err(Refusal::Stamp { branch: of.branch.clone(), found: of.stamp.clone() }),
    }
}

/// Back to v3, as long as no client can have written v4.
fn aborted(facts: &Facts, main: &Stamp) -> Result<Vec<Step>, Refusal> {
    match main.known() {
        Some(InternalSchema::V4) if facts.journal.is_some() => return Err(Refusal::Finished),
        Some(_) if facts.journal.is_none() => return Err(Refusal::NothingToAbort),
        Some(_) => {}
        None => {
            facts.journal()?;
        }
    }
    facts.check_all_read()?;
    let mut steps = Vec::new();
    if main.known().is_none() && facts.journal == Some(Phase::Forward) {
        steps.push(Step::BeginAbort);
    }
    let ahead = facts.main_last().filter(|b| !b.stamp.known().is_some_and(is_older));
    steps.extend(ahead.map(|b| Step::Return(b.branch.clone())));
    steps.push(Step::End);
    Ok(steps)
}

/// Stamps that say the truth.
fn restamped(facts: &Facts, to: InternalSchema) -> Result<Vec<Step>, Refusal> {
    let is_known = |b: &BranchFacts| b.stamp.known().is_some() || b.stamp == Stamp::Migrating;
    match facts.journal {
        // It can be finished or taken back, which a stamp that nobody can read forbids.
        Some(phase) if facts.main() == Stamp::Migrating && facts.branches.iter().all(is_known) => {
            return Err(Refusal::UnderWay { phase });
        }
        _ => {}
    }
    facts.check_all_read()?;
    let mut stamps = facts.branches.iter().map(|b| b.stamp.known());
    // A branch that is behind main is brought along by the next write.
    let is_consistent = match facts.main().known() {
        None => false,
        Some(InternalSchema::V4) => stamps.all(|stamp| stamp == Some(InternalSchema::V4)),
        Some(_) => stamps.all(|stamp| stamp.is_some_and(is_older)),
    };
    if is_consistent {
        return Err(Refusal::Consistent);
    }
    for facts_of in &facts.branches {
        if let Some(why) = speaks_against(facts, facts_of, to) {
            return Err(Refusal::Content { branch: facts_of.branch.clone(), to, why });
        }
    }
    let is_wrong = |b: &&BranchFacts| b.stamp != Stamp::Known(to);
    let wrong = facts.main_last().filter(is_wrong);
    let mut steps: Vec<Step> = wrong.map(|b| Step::Restamp(b.branch.clone(), to)).collect();
    // Of a migration that these stamps end, or that ended before its note went.
    steps.extend(facts.journal.map(|_| Step::End));
    Ok(steps)
}

fn speaks_against(facts: &Facts, of: &BranchFacts, to: InternalSchema) -> Option<&'static str> {
    if to > InternalSchema::V1 && of.key != Key::ObjectId {
        return Some("its key is not annotated, as from v2 on");
    }
    let NewestCommits { rows, apart } = of.newest.unwrap_or_default();
    if to == InternalSchema::V4 {
        // By its rows alone the commits would be hidden that are only in the other place.
        return match rows {
            None => Some("no commits are among its rows"),
            Some(rows) if apart.is_some_and(|apart| apart > rows) => {
                Some("_graph_commits.lance has later commits than its rows")
            }
            Some(_) => None,
        };
    }
    if !facts.has_commits {
        return Some("_graph_commits.lance is missing, which has the commits up to v3");
    }
    (rows > apart).then_some("its rows have later commits than _graph_commits.lance")
}
