//! What a watcher does next: facts of tables, policies and the time to jobs in order, each with its reason.
//!
//! # Overview
//!
//! [`schedule`] asks of each table what is due by its policy (`due`). What is due may have to wait: for the end of a
//! quiet time, for a pause after the run before, for the end of a back-off, for a job of the same table, or for a
//! free place among the jobs. The rest is put in order by [`Job::rank`] and begun as far as there are places.
//!
//! # No starvation
//!
//! A rank is ten points for each step of priority, below ten points for benefit per cost, and one point for each
//! [`SECONDS_A_POINT`] that the table has waited. The first two are bounded and the last is not: after
//! [`OVERTAKEN_MOST`] no table that becomes due goes before one that waits.
//!
//! # Time
//!
//! Intervals are told by a clock that only runs forward ([`Now::at`]), so a wall clock that jumps moves no back-off
//! and no pause. The wall clock decides about quiet times alone.
//!
//! # Invariants
//!
//! * A root has one job at a time. The verbs of one root wait for each other, so a second one would only keep its place from other
//!   roots, and from what is more urgent when the first one ends.
//! * No table has a job while its policy does not say `auto_compact`; a cleanup is due only where both rules of retention are
//!   said.
//! * Nothing begins in a quiet time, before its back-off has ended, or beyond `max_concurrent_jobs`.
//! * Where no threshold is said, a run takes [`APPENDS_LEAST`] fragments or more: below the floor of the size tiers a
//!   run writes at most the floor, and above it each byte is written at most once a tier.
//!
//! Not here: looking at tables, waiting, and doing any of it (`service::watch`).

mod adaptive;
mod due;
mod facts;
mod memory;
mod options;
mod rank;
mod simulate;
mod work;

#[cfg(test)]
mod laws;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::time::Duration;

pub use adaptive::{APPEND_PERIOD, APPENDS_LEAST, APPENDS_MOST, SETTLED_MOST};
pub use due::Due;
pub use facts::{Now, Place, Planned, Shape, TableState};
pub use memory::{BACKOFF_FIRST, BACKOFF_MOST, CLEANUP_PAUSE, Memory, Outcome, RUN_PAUSE};
pub use options::{cleanup_options, optimize_options};
pub use rank::{OVERTAKEN_MOST, SECONDS_A_POINT};
pub use simulate::{Arrival, Simulated, simulate, simulation_table};
pub use work::Work;

/// Something to be done now.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    /// To which table.
    pub place: Place,
    /// What.
    pub work: Work,
    /// Fragments that readers no longer open, or what is worth as much.
    pub benefit: f64,
    /// Bytes that are read for it.
    pub cost: u64,
    /// By which jobs are put in order; the highest goes first.
    pub rank: f64,
    /// Why, in words.
    pub reason: String,
}

/// Something that is due and not begun.
#[derive(Debug, Clone, PartialEq)]
pub struct Wait {
    /// Of which table.
    pub place: Place,
    /// What.
    pub work: Work,
    /// When that is worth another look, by the clock of [`Now::at`]; `None` if it waits for something that is seen.
    pub until: Option<Duration>,
    /// Why it is due, and why it waits.
    pub reason: String,
    /// Why it waits, alone: the same for as long as it waits for the same thing.
    pub why: String,
}

/// What is to be done.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Schedule {
    /// To be begun now, the first one first.
    pub jobs: Vec<Job>,
    /// What is due and has to wait.
    pub waits: Vec<Wait>,
    /// When to ask again, if nothing is seen before: the end of the first wait, or the moment from which a table
    /// counts as left alone by its writers.
    pub ask_again: Option<Duration>,
}

impl Schedule {
    /// What is due of a table, begun or waiting.
    pub fn due_of<'a>(&'a self, place: &'a Place) -> impl Iterator<Item = Work> + 'a {
        let jobs = self.jobs.iter().map(|job| (&job.place, job.work));
        let waits = self.waits.iter().map(|wait| (&wait.place, wait.work));
        jobs.chain(waits).filter(move |(of, _)| *of == place).map(|(_, work)| work)
    }
}

/// Why a job waits whose root has one.
pub const TURN_OF_ROOT: &str = "waits for the job of the root that runs";

/// Decides what is begun now. `running` is how many jobs run, those of other tables and roots among them.
#[must_use]
pub fn schedule(tables: &[TableState<'_>], running: usize, now: Now) -> Schedule {
    let mut schedule = Schedule::default();
    let mut ready: Vec<(Job, u64)> = Vec::new();
    for table in tables {
        let (due, settles) = due::due(table, now.at);
        schedule.ask_again = earlier(schedule.ask_again, settles);
        let mut has_job = false;
        for due in due {
            match hindrance(table, &due, has_job, now) {
                Some((until, why)) => schedule.waits.push(wait(table, &due, until, &why)),
                None => {
                    has_job = true;
                    let limit = table.policy.max_concurrent_jobs;
                    ready.push((rank::job(table, due, now.at), limit));
                }
            }
        }
    }
    ready.sort_by(|(a, _), (b, _)| b.rank.total_cmp(&a.rank).then_with(|| a.place.cmp(&b.place)));
    let mut begun = running as u64;
    let mut busy: BTreeSet<String> = busy_roots(tables);
    for (job, limit) in ready {
        let why = match () {
            () if busy.contains(&job.place.root) => TURN_OF_ROOT.to_owned(),
            () if begun >= limit => format!("waits until fewer than {limit} jobs run"),
            () => {
                begun += 1;
                busy.insert(job.place.root.clone());
                schedule.jobs.push(job);
                continue;
            }
        };
        let reason = format!("{}; {why}", job.reason);
        let (place, work) = (job.place, job.work);
        schedule.waits.push(Wait { place, work, until: None, reason, why });
    }
    let ends = schedule.waits.iter().filter_map(|wait| wait.until).min();
    schedule.ask_again = earlier(schedule.ask_again, ends);
    schedule
}

/// The roots in which a job runs.
fn busy_roots(tables: &[TableState<'_>]) -> BTreeSet<String> {
    let busy = tables.iter().filter(|table| table.memory.running().is_some());
    busy.map(|table| table.place.root.clone()).collect()
}

fn earlier(a: Option<Duration>, b: Option<Duration>) -> Option<Duration> {
    a.into_iter().chain(b).min()
}

fn wait(table: &TableState<'_>, due: &Due, until: Option<Duration>, why: &str) -> Wait {
    let reason = format!("{}; {why}", due.reason);
    let (place, why) = (table.place.clone(), why.to_owned());
    Wait { place, work: due.work, until, reason, why }
}

/// Why something that is due cannot begin, and until when.
fn hindrance(
    table: &TableState<'_>,
    due: &Due,
    has_job: bool,
    now: Now,
) -> Option<(Option<Duration>, String)> {
    if let Some(running) = table.memory.running() {
        return Some((None, format!("waits for the job of the table that runs ({running})")));
    }
    if has_job {
        return Some((None, "waits for the other work of the table".to_owned()));
    }
    let quiet = table.policy.quiet_times.as_ref().and_then(|times| times.until(now.wall));
    if let Some(end) = quiet {
        let ahead = (end - now.wall).to_std().unwrap_or_default();
        let until = now.at.saturating_add(ahead);
        return Some((
            Some(until),
            format!("waits for the end of the quiet time at {}", end.format("%F %H:%M UTC")),
        ));
    }
    let (until, why) = table.memory.pause(due.work, now.at)?;
    Some((Some(until), why))
}
