//! What was: how fast a table is appended to, how its last runs ended, and since when it waits. A value that a watcher
//! keeps for each table and tells what happened; it looks at no clock.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use lancekeeper_model::Version;

use super::work::Work;

/// How long a table rests after its first failure; twice as long after each further one.
pub const BACKOFF_FIRST: Duration = Duration::from_secs(5);
/// The longest rest: a cause that a person has to remove is then tried six times an hour.
pub const BACKOFF_MOST: Duration = Duration::from_secs(600);
/// The shortest rest after a run, whatever is due: a table is worked on for at most half of the time, because it also
/// rests for as long as the run took.
pub const RUN_PAUSE: Duration = Duration::from_secs(1);
/// The rest after a cleanup. Versions younger than the rules are not deleted by looking again.
pub const CLEANUP_PAUSE: Duration = Duration::from_secs(3600);

/// How much of an interval the last one is. A half forgets a burst after a few appends.
const NEWEST_SHARE: f64 = 0.5;

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Something was done.
    Done,
    /// There was nothing to do, or something stood in the way that is no failure.
    NoOp,
    /// It failed.
    Failed,
}

/// How fast a table is appended to.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Pace {
    last: Option<Duration>,
    /// Seconds between two appends on average, the newer ones more.
    interval: Option<f64>,
}

impl Pace {
    fn saw(&mut self, at: Duration, appends: u64) {
        if appends == 0 {
            return;
        }
        if let Some(last) = self.last {
            let each = at.saturating_sub(last).as_secs_f64() / appends as f64;
            self.interval = Some(match self.interval {
                Some(before) => before * (1.0 - NEWEST_SHARE) + each * NEWEST_SHARE,
                None => each,
            });
        }
        self.last = Some(self.last.map_or(at, |last| last.max(at)));
    }

    /// When the last append was seen.
    pub(super) fn last(&self) -> Option<Duration> {
        self.last
    }

    /// The usual time between two appends, if two were seen.
    pub(super) fn interval(&self) -> Option<Duration> {
        Duration::try_from_secs_f64(self.interval?).ok()
    }

    /// Appends per second.
    pub(super) fn rate(&self) -> Option<f64> {
        // Two in the same instant: as fast as anything is told apart here.
        Some(1.0 / self.interval?.max(1e-3))
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Past {
    ended: Duration,
    took: Duration,
    outcome: Outcome,
    /// How many in a row ended like this.
    streak: u32,
    /// The version of the table that it left.
    version: Version,
}

/// What is remembered of a table.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Memory {
    pace: Pace,
    past: BTreeMap<Work, Past>,
    waiting: BTreeMap<Work, Duration>,
    running: Option<(Work, Duration)>,
    /// What is not begun again.
    closed: BTreeSet<Work>,
}

impl Memory {
    /// Somebody else appended so many small fragments since the look before.
    pub fn saw_appends(&mut self, at: Duration, appends: u64) {
        self.pace.saw(at, appends);
    }

    /// What is due of the table at a decision: what was due before keeps the time since which it waits.
    pub fn saw_due(&mut self, at: Duration, due: impl IntoIterator<Item = Work>) {
        let before = std::mem::take(&mut self.waiting);
        let since = |work| (work, before.get(&work).copied().unwrap_or(at));
        self.waiting = due.into_iter().map(since).collect();
    }

    /// A job of the table begins.
    pub fn began(&mut self, work: Work, at: Duration) {
        self.running = Some((work, at));
    }

    /// The job of the table ended, and the table is at that version now.
    pub fn ended(&mut self, at: Duration, outcome: Outcome, version: Version) {
        let Some((work, began)) = self.running.take() else { return };
        let before = self.past.get(&work).filter(|past| past.outcome == outcome);
        let streak = before.map_or(1, |past| past.streak.saturating_add(1));
        let took = at.saturating_sub(began);
        self.past.insert(work, Past { ended: at, took, outcome, streak, version });
        self.waiting.remove(&work);
    }

    /// A kind of work is not begun again, whatever is due.
    pub fn closes(&mut self, work: Work) {
        self.closed.insert(work);
    }

    /// Other rules hold from now on: what was idle by the rules before may be due by them.
    pub fn rules_changed(&mut self) {
        self.past.retain(|_, past| past.outcome != Outcome::NoOp);
    }

    /// The job of the table that runs.
    #[must_use]
    pub fn running(&self) -> Option<Work> {
        self.running.map(|(work, _)| work)
    }

    /// How fast the table is appended to, per second, if that is known.
    #[must_use]
    pub fn appends_per_second(&self) -> Option<f64> {
        self.pace.rate()
    }

    pub(super) fn pace(&self) -> &Pace {
        &self.pace
    }

    /// For how long something has been due.
    pub(super) fn waited(&self, work: Work, at: Duration) -> Duration {
        self.waiting.get(&work).map_or(Duration::ZERO, |since| at.saturating_sub(*since))
    }

    /// Whether the last run of a kind found nothing to do in this very version, or there is to be no other one.
    pub(super) fn is_idle(&self, work: Work, version: Version) -> bool {
        let past = self.past.get(&work);
        let found_nothing =
            past.is_some_and(|past| past.outcome == Outcome::NoOp && past.version == version);
        found_nothing || self.closed.contains(&work)
    }

    /// Until when a kind of work rests, and why.
    pub(super) fn pause(&self, work: Work, at: Duration) -> Option<(Duration, String)> {
        let past = self.past.get(&work)?;
        let (rest, why) = match past.outcome {
            Outcome::Failed => {
                let times = if past.streak == 1 {
                    "once".to_owned()
                } else {
                    format!("{} times in a row", past.streak)
                };
                (backoff(past.streak), format!("waits because it failed {times}"))
            }
            Outcome::NoOp => (
                backoff(past.streak),
                "waits because the run before found nothing to do".to_owned(),
            ),
            Outcome::Done if work == Work::Cleanup => {
                (CLEANUP_PAUSE, "waits because versions were cleaned up within the hour".to_owned())
            }
            Outcome::Done => {
                (past.took.max(RUN_PAUSE), "waits for as long as the run before took".to_owned())
            }
        };
        let until = past.ended.saturating_add(rest);
        (until > at).then_some((until, why))
    }
}

/// The rest after so many failures in a row.
fn backoff(streak: u32) -> Duration {
    let times = 2_u32.saturating_pow(streak.saturating_sub(1));
    BACKOFF_FIRST.saturating_mul(times).min(BACKOFF_MOST)
}
