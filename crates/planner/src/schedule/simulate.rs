//! What policies would have done to a table that was appended to in a given pattern: the same decisions and the same
//! plans as a watcher's, over fragments that are numbers.
//!
//! A run takes no time here, and a rewrite leaves files as large as their live rows were. Cleanups are left out: what
//! they free is what `replaced_bytes` says, once the versions are old enough.

use std::time::Duration;

use chrono::{DateTime, Utc};
use lancekeeper_model::{EffectivePolicy, FragmentFacts, TableFacts, TableKey, TableRef, Version};

use super::facts::{Now, Place, Planned, Shape, TableState};
use super::memory::{Memory, Outcome};
use super::options::optimize_options;
use super::schedule;
use super::work::Work;
use crate::optimize::{Group, LayoutPolicy, replan_groups, size_in_words as size};

/// After the last arrival a table is watched for this long: whatever waits for writers to settle has begun by then.
const WATCHED_AFTER: Duration = Duration::from_secs(600);
/// More decisions than this without an arrival in between are a mistake of ours; the simulation then goes on with the next arrival.
const DECISIONS_MOST: usize = 1_000;

/// A commit of a writer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Arrival {
    /// When, from the beginning.
    pub at: Duration,
    /// Bytes of the fragment that it appends.
    pub bytes: u64,
    /// Rows of that; without rows nothing is appended.
    pub rows: u64,
    /// Rows that it deletes, the oldest first.
    pub deleted_rows: u64,
}

/// What a policy would have done.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Simulated {
    /// How the policy is called.
    pub policy: String,
    /// Runs that rewrote something.
    pub runs: u64,
    /// Bytes that writers appended.
    pub appended_bytes: u64,
    /// Bytes that runs wrote.
    pub rewritten_bytes: u64,
    /// Bytes of the files that runs replaced: a cleanup frees them once no version needs them.
    pub replaced_bytes: u64,
    /// Deleted rows whose room became free.
    pub purged_rows: u64,
    /// Fragments, at most and at the end.
    pub fragments_most: u64,
    /// Fragments at the end.
    pub fragments_end: u64,
}

impl Simulated {
    /// Bytes written for each byte that was appended, the append included.
    #[must_use]
    pub fn amplification(&self) -> f64 {
        if self.appended_bytes == 0 {
            return 1.0;
        }
        (self.appended_bytes + self.rewritten_bytes) as f64 / self.appended_bytes as f64
    }
}

/// Replays arrivals, which are in order of time, against each of the policies. `start` is the time of the day at
/// their beginning, for quiet times.
#[must_use]
pub fn simulate(
    arrivals: &[Arrival],
    policies: &[(String, EffectivePolicy)],
    start: DateTime<Utc>,
) -> Vec<Simulated> {
    policies.iter().map(|(name, policy)| Life::new(name, policy, start).live(arrivals)).collect()
}

struct Life<'a> {
    policy: &'a EffectivePolicy,
    layout: Option<LayoutPolicy>,
    start: DateTime<Utc>,
    place: Place,
    facts: TableFacts,
    memory: Memory,
    result: Simulated,
    /// When a decision is due though nothing arrives.
    next: Option<Duration>,
}

impl<'a> Life<'a> {
    fn new(name: &str, policy: &'a EffectivePolicy, start: DateTime<Utc>) -> Self {
        let key = TableKey::new("simulated");
        let options = optimize_options(policy, &key, Work::Compact);
        let facts = TableFacts {
            table: TableRef { key: key.clone(), branch: lancekeeper_model::Branch::main() },
            version: Version(1),
            columns: 1,
            can_copy_pages: true,
            fragments: Vec::new(),
            shared_fragments: 0,
            unchosen: std::collections::BTreeSet::new(),
            pages: std::collections::BTreeMap::new(),
            of_other_versions: std::collections::BTreeSet::new(),
        };
        Self {
            policy,
            // Effective policies are within the bounds of options.
            layout: LayoutPolicy::from_options(&options, start).ok(),
            start,
            place: Place { root: String::new(), table: key },
            facts,
            memory: Memory::default(),
            result: Simulated { policy: name.to_owned(), ..Simulated::default() },
            next: None,
        }
    }

    fn live(mut self, arrivals: &[Arrival]) -> Simulated {
        for arrival in arrivals {
            self.watch_until(arrival.at);
            self.arrive(arrival);
            self.decide(arrival.at);
        }
        let end = arrivals.last().map_or(Duration::ZERO, |last| last.at);
        self.watch_until(end.saturating_add(WATCHED_AFTER));
        self.result.fragments_end = self.facts.fragments.len() as u64;
        self.result
    }

    /// Makes the decisions that are due before the next arrival.
    fn watch_until(&mut self, end: Duration) {
        for _ in 0..DECISIONS_MOST {
            let Some(at) = self.next.take().filter(|at| *at < end) else { return };
            self.decide(at);
        }
    }

    fn arrive(&mut self, arrival: &Arrival) {
        self.facts.version = self.facts.version.next();
        let mut left = arrival.deleted_rows;
        for fragment in &mut self.facts.fragments {
            let deleted = left.min(fragment.live_rows());
            fragment.deleted_rows += deleted;
            left -= deleted;
        }
        if arrival.rows == 0 {
            return;
        }
        let id = self.next_id();
        self.facts.fragments.push(fragment(id, arrival.rows, arrival.bytes));
        self.memory.saw_appends(arrival.at, 1);
        self.result.appended_bytes += arrival.bytes;
        let count = self.facts.fragments.len() as u64;
        self.result.fragments_most = self.result.fragments_most.max(count);
    }

    fn next_id(&self) -> u64 {
        self.facts.fragments.last().map_or(0, |last| last.id + 1)
    }

    fn decide(&mut self, at: Duration) {
        let offset = chrono::TimeDelta::from_std(at).unwrap_or_default();
        let now = Now { at, wall: self.start.checked_add_signed(offset).unwrap_or(self.start) };
        // A plan looks at every fragment, and nothing merges them without a policy that says so.
        if !self.policy.auto_compact {
            return;
        }
        let mut shape = self.shape();
        let groups =
            self.layout.map(|layout| replan_groups(&self.facts, &layout)).unwrap_or_default();
        shape.planned = Some(planned(&groups));
        let schedule = self.ask(&shape, now);
        self.memory.saw_due(at, schedule.due_of(&self.place).collect::<Vec<_>>());
        self.next = schedule.ask_again.filter(|next| *next > at);
        if !schedule.jobs.iter().any(|job| job.work == Work::Compact) {
            return;
        }
        self.memory.began(Work::Compact, at);
        self.apply(&groups);
        self.memory.ended(at, Outcome::Done, self.facts.version);
        self.result.runs += 1;
    }

    fn ask(&self, shape: &Shape, now: Now) -> super::Schedule {
        let state =
            TableState { place: &self.place, shape, policy: self.policy, memory: &self.memory };
        schedule(&[state], 0, now)
    }

    fn shape(&self) -> Shape {
        let fragments = &self.facts.fragments;
        let small = || fragments.iter().filter(|each| each.bytes < self.policy.small_bytes);
        let rows: u64 = fragments.iter().map(|each| each.physical_rows).sum();
        let deleted: u64 = fragments.iter().map(|each| each.deleted_rows).sum();
        Shape {
            version: self.facts.version,
            rows: rows - deleted,
            bytes: fragments.iter().map(|each| each.bytes).sum(),
            fragments: fragments.len() as u64,
            small: small().count() as u64,
            small_bytes: small().map(|each| each.bytes).sum(),
            deleted_share: if rows == 0 { 0.0 } else { deleted as f64 / rows as f64 },
            ..Shape::default()
        }
    }

    fn apply(&mut self, groups: &[Group]) {
        self.facts.version = self.facts.version.next();
        for group in groups {
            let (gone, stay): (Vec<_>, Vec<_>) = std::mem::take(&mut self.facts.fragments)
                .into_iter()
                .partition(|each| group.fragments.contains(&each.id));
            // Before the sources are gone: new ids are higher than all there ever were.
            let first = gone.iter().chain(&stay).map(|each| each.id + 1).max().unwrap_or(0);
            self.facts.fragments = stay;
            let live: u64 = gone.iter().map(FragmentFacts::live_rows).sum();
            let bytes: u64 = gone.iter().map(FragmentFacts::live_bytes).sum();
            self.result.replaced_bytes += gone.iter().map(|each| each.bytes).sum::<u64>();
            self.result.purged_rows += gone.iter().map(|each| each.deleted_rows).sum::<u64>();
            self.result.rewritten_bytes += bytes;
            for (id, rows) in (first..).zip(&group.outputs) {
                let share = u128::from(bytes) * u128::from(*rows) / u128::from(live.max(1));
                self.facts.fragments.push(fragment(
                    id,
                    *rows,
                    u64::try_from(share).unwrap_or(bytes),
                ));
            }
        }
    }
}

fn fragment(id: u64, physical_rows: u64, bytes: u64) -> FragmentFacts {
    FragmentFacts { id, physical_rows, deleted_rows: 0, bytes, files: 1, coverage: 0, held: false }
}

fn planned(groups: &[Group]) -> Planned {
    Planned {
        fragments: groups.iter().map(|group| group.fragments.len() as u64).sum(),
        leaves: groups.iter().map(|group| group.outputs.len() as u64).sum(),
        bytes: groups.iter().map(|group| group.bytes).sum(),
    }
}

/// The results as a table of text, a line a policy.
#[must_use]
pub fn simulation_table(rows: &[Simulated]) -> String {
    let head = [
        "policy",
        "runs",
        "appended",
        "rewritten",
        "written per byte",
        "replaced",
        "rows purged",
        "fragments at most",
        "at the end",
    ];
    let mut lines: Vec<Vec<String>> = vec![head.map(str::to_owned).to_vec()];
    lines.extend(rows.iter().map(|row| {
        vec![
            row.policy.clone(),
            row.runs.to_string(),
            size(row.appended_bytes),
            size(row.rewritten_bytes),
            format!("{:.1}", row.amplification()),
            size(row.replaced_bytes),
            row.purged_rows.to_string(),
            row.fragments_most.to_string(),
            row.fragments_end.to_string(),
        ]
    }));
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max();
    let widths: Vec<usize> = (0..head.len()).map(|column| width(column).unwrap_or(0)).collect();
    let mut text = String::new();
    for line in &lines {
        let cells = line.iter().zip(&widths).enumerate().map(|(at, (cell, width))| match at {
            0 => format!("{cell:<width$}"),
            _ => format!("{cell:>width$}"),
        });
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}
