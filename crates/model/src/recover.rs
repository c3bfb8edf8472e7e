//! `recover`: what may be asked for, and what it reports. The report's fields are those of
//! `--json`.

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use crate::report::{Report, RootOutcome, RootReport, VerbBody};
use crate::{Branch, ErrorKind, MovedPin, Recovery, TableKey, Version};

/// Whose unfinished operations are taken for those of dead writers, however young they are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum AssumedDead {
    /// Nobody's: age alone decides.
    #[default]
    Nobody,
    /// Those of these operations, by the names of their sidecars without `.json`.
    These(Vec<String>),
    /// Everybody's.
    All,
}

impl AssumedDead {
    /// Whether somebody named this operation: then it was there before the run, whatever its clock says.
    #[must_use]
    pub fn names(&self, operation: &str) -> bool {
        matches!(self, Self::These(_)) && self.includes(operation)
    }

    /// Whether an operation is among them.
    #[must_use]
    pub fn includes(&self, operation: &str) -> bool {
        match self {
            Self::Nobody => false,
            Self::These(ids) => ids.iter().any(|id| id == operation),
            Self::All => true,
        }
    }
}

/// What `recover` may do.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecoverOptions {
    /// The writer of an unfinished operation is presumed dead when it did nothing for so long.
    pub dead_after: TimeDelta,
    /// Whose writers are dead whatever their age.
    pub assumed_dead: AssumedDead,
    /// A sidecar that cannot be understood, to be moved aside: its file name.
    pub quarantine: Option<String>,
}

impl RecoverOptions {
    /// When a writer is presumed dead where nothing else is asked for. A load of a real client
    /// is done in seconds.
    pub const DEAD_AFTER: TimeDelta = TimeDelta::minutes(15);
}

impl Default for RecoverOptions {
    fn default() -> Self {
        Self {
            dead_after: Self::DEAD_AFTER,
            assumed_dead: AssumedDead::default(),
            quarantine: None,
        }
    }
}

/// What a crash left behind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum LeftBehind {
    /// An unfinished operation, by its sidecar.
    #[default]
    Sidecar,
    /// The staging files of a schema apply.
    SchemaStaging,
    /// The branch that keeps everybody out while a schema apply runs.
    SchemaApplyLock,
    /// A v3 graph's publishes without a row in its commit history.
    CommitRows,
    /// What a branch left in the graph's own tables that is none any more.
    BranchRemains,
    /// A graph whose making was interrupted.
    HalfMade,
}

/// What becomes of what was left behind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RecoverAction {
    /// Nothing yet: its writer may be alive.
    #[default]
    Wait,
    /// Nothing: a person has to look at it.
    Refuse,
    /// What was committed is published.
    RollForward,
    /// Tables are restored to what readers see, and that is published.
    RollBack,
    /// It had come to its end: that is written down, and the sidecar deleted.
    Record,
    /// Its branch is gone: that is written down, and the sidecar deleted.
    DiscardOrphan,
    /// It is moved aside.
    Quarantine,
    /// It is taken away.
    Remove,
    /// What is missing is added.
    Add,
    /// What was staged becomes what counts.
    Promote,
}

/// A table of an unfinished operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RecoverTable {
    /// The table.
    pub table_key: TableKey,
    /// Its Lance branch.
    pub table_branch: Branch,
    /// The version readers see; null when its branch has no such table.
    pub pin: Option<Version>,
    /// The newest version; null when there is none.
    pub head: Option<Version>,
    /// What the established rules call that.
    pub class: &'static str,
}

impl RecoverTable {
    /// A table of which only these are known.
    #[must_use]
    pub fn of(table_key: TableKey, table_branch: Branch, class: &'static str) -> Self {
        Self { table_key, table_branch, pin: None, head: None, class }
    }
}

/// One thing that a crash left, and what becomes of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RecoverRow {
    /// What it is.
    pub what: LeftBehind,
    /// Its file or branch, relative to the root.
    pub name: String,
    /// Of a sidecar: the kind of its writer, `Load`, `Optimize`, …
    pub writer_kind: Option<String>,
    /// Of a sidecar: who asked for the operation.
    pub actor: Option<String>,
    /// When it began.
    pub started_at: Option<DateTime<Utc>>,
    /// The graph branch it is about.
    pub branch: Branch,
    /// Of a sidecar: its tables.
    pub tables: Vec<RecoverTable>,
    /// What becomes of it.
    pub action: RecoverAction,
    /// Why, in a sentence.
    pub why: String,
    /// The pins that moved.
    pub moved: Vec<MovedPin>,
    /// Until when its writer is waited for.
    pub waits_until: Option<DateTime<Utc>>,
    /// Whether it is done.
    pub done: bool,
    /// What a person can do about it.
    pub hint: Option<String>,
    /// Why it could not be done, if so.
    pub error: Option<String>,
}

impl RecoverRow {
    /// A thing about which nothing else is known yet.
    #[must_use]
    pub fn of(what: LeftBehind, name: impl Into<String>) -> Self {
        Self { what, name: name.into(), ..Self::default() }
    }
}

/// What `recover` did about one root.
pub type RootRecoverReport = RootReport<RecoverBody>;

/// The part of a root's report that only `recover` has.
#[derive(Debug, Clone, Default, Serialize)]
#[non_exhaustive]
pub struct RecoverBody {
    /// What was left behind, in the order in which it is dealt with.
    pub left: Vec<RecoverRow>,
    /// What opening it recovered of runs of this program that died.
    pub recovery: Recovery,
    /// Things to know that are no errors.
    pub warnings: Vec<String>,
}

/// Sums over all roots.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RecoverTotals {
    /// Things that were left behind.
    pub left: u64,
    /// Those that are done.
    pub done: u64,
    /// Wall time of the run, in milliseconds.
    pub duration_ms: u64,
}

/// What `recover` did, over all roots.
pub type RecoverReport = Report<RecoverBody>;

impl VerbBody for RecoverBody {
    type Totals = RecoverTotals;

    fn add(root: &RootRecoverReport, totals: &mut RecoverTotals) {
        totals.left += root.left.len() as u64;
        totals.done += root.left.iter().filter(|row| row.done).count() as u64;
    }

    fn set_duration(totals: &mut RecoverTotals, duration_ms: u64) {
        totals.duration_ms = duration_ms;
    }

    /// As long as something remains, recovery is needed.
    fn outcome(root: &RootRecoverReport) -> RootOutcome {
        let remains = root.left.iter().any(|row| !row.done);
        let error = root.error_kind.or(remains.then_some(ErrorKind::RecoveryNeeded));
        RootOutcome { error, ..root.outcome(0, root.left.len()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recovery_is_needed_until_nothing_remains() {
        let mut root = RootRecoverReport::of("/g");
        let code = |root: &RootRecoverReport| {
            RecoverReport::new(true, vec![root.clone()], 0).exit_code().number()
        };
        assert_eq!(code(&root), 0);
        root.left.push(RecoverRow::of(LeftBehind::Sidecar, "__recovery/A.json"));
        assert_eq!(code(&root), 12);
        root.left[0].done = true;
        assert_eq!(code(&root), 0);
        let report = RecoverReport::new(false, vec![root.clone(), root], 7);
        let totals = RecoverTotals { left: 2, done: 2, duration_ms: 7 };
        assert_eq!(report.totals, totals);
    }

    #[test]
    fn the_dead_are_named_one_by_one_or_all_at_once() {
        assert!(!AssumedDead::Nobody.includes("A"));
        assert!(AssumedDead::All.includes("A"));
        let these = AssumedDead::These(vec!["A".to_owned()]);
        assert!(these.includes("A") && !these.includes("B"));
    }
}
