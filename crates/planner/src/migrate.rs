//! Which steps take a graph to another internal schema version, on main and on every branch, and
//! what forbids it. What is done with tables of databases is in [`tables`].
//!
//! One step is one commit, one file written or one branch deleted, and each can be done twice. A
//! plan is made of what is there, so a migration that died anywhere is planned again and goes on
//! where it was. Not here: learning the facts, and carrying steps out (`manifest::migrate`).
//!
//! # The way to v4
//!
//! Clients of v3 look at main's stamp when they open and at a branch's when they publish to it, those
//! of v4 at main's when they open. So main is taken out of their hands first and given back last: it
//! is stamped [`Stamp::MIGRATING`], which all of them refuse, then every branch; then the history is
//! copied and looked at; then the branches are stamped v4, and main at the end.

mod plan;
mod refusal;
pub mod tables;
#[cfg(test)]
mod tests;

use chrono::{DateTime, Utc};
use lancekeeper_model::{Branch, InternalSchema, Stamp, Version};

pub use plan::{check_run, plan_migration};
pub use refusal::Refusal;

/// What is known of a graph before it is migrated.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// Main and the public branches, main first.
    pub branches: Vec<BranchFacts>,
    /// Branches that cannot be read, and why.
    pub unread: Vec<(Branch, String)>,
    /// Branches of runs of clients before v3.
    pub runs: Vec<RunBranch>,
    /// What a keeper noted of a migration to v4 that is not finished.
    pub journal: Option<Phase>,
    /// Why that note cannot be understood, if there is one that cannot.
    pub damaged_note: Option<String>,
    /// Whether the commit history that v3 keeps apart is there.
    pub has_commits: bool,
}

/// One branch of `__manifest`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BranchFacts {
    /// The branch.
    pub branch: Branch,
    /// Its stamp.
    pub stamp: Stamp,
    /// Its key.
    pub key: Key,
    /// The newest commits that it has; `None` if nobody looked.
    pub newest: Option<NewestCommits>,
}

/// The version of the newest commit of a branch, in both places where commits are kept: a graph that was migrated
/// has them in both, and which of them is behind says of which version it is not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NewestCommits {
    /// Among its rows, as v4 has them.
    pub rows: Option<Version>,
    /// In the history that v3 keeps apart.
    pub apart: Option<Version>,
}

/// Which column of `__manifest` is annotated as its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Key {
    /// None: v1.
    Absent,
    /// `object_id`, as it must be.
    ObjectId,
    /// Others.
    Other(String),
}

/// A branch that a run of a client before v3 works on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunBranch {
    /// The branch.
    pub branch: Branch,
    /// When it was made or last written, the forks of tables included that it works on.
    pub last_used: DateTime<Utc>,
}

/// Which way a migration to v4 was going when it was noted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// To v4.
    Forward,
    /// Back to v3.
    Abort,
}

/// What is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    /// A graph that may be written: at least v3, on every branch. What every first write does.
    Write,
    /// v3, and nothing else.
    V3,
    /// v4, on every branch.
    Newest {
        /// Make the history of the versions that are there if the one kept apart is lost.
        rebuild: bool,
    },
    /// Back to v3, from a migration to v4 that is not finished.
    Abort,
    /// Stamps that say the truth, where they are damaged or contradict each other.
    Restamp(InternalSchema),
}

/// What is to be done, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MigrationPlan {
    /// What main is stamped with now.
    pub from: Stamp,
    /// What every branch will be stamped with.
    pub to: InternalSchema,
    /// The steps; none if nothing is to be done.
    pub steps: Vec<Step>,
}

impl MigrationPlan {
    /// The branches that are stamped anew.
    #[must_use]
    pub fn stamped(&self) -> Vec<&Branch> {
        let mut branches: Vec<&Branch> = Vec::new();
        for branch in self.steps.iter().filter_map(Step::stamps) {
            if !branches.contains(&branch) {
                branches.push(branch);
            }
        }
        branches.sort();
        branches
    }

    /// The versions whose clients cannot write the graph any more.
    #[must_use]
    pub fn locked_out(&self) -> Vec<InternalSchema> {
        use InternalSchema::{V1, V2, V3};
        let does = |step: fn(&Step) -> bool| self.steps.iter().any(step);
        let mut out = Vec::new();
        out.extend(does(|step| matches!(step, Step::Annotate(_))).then_some(V1));
        out.extend(does(|step| matches!(step, Step::Sweep(_))).then_some(V2));
        out.extend(does(|step| matches!(step, Step::Release(_))).then_some(V3));
        out
    }
}

/// One step. Each is done or not, and doing it again changes nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// v1 to v2: annotates the key of a branch and stamps it 2, in one commit.
    Annotate(Branch),
    /// v2 to v3: deletes the branch of a run.
    DeleteRun(Branch),
    /// v2 to v3: stamps a branch 3.
    Sweep(Branch),
    /// v3 to v4: notes that it began.
    Begin,
    /// v3 to v4: takes a branch out of the hands of all clients.
    Fence(Branch),
    /// v3 to v4: copies the history of a branch.
    Copy(Branch),
    /// v3 to v4: reads a branch again and compares it with what was to be copied.
    Check(Branch),
    /// v3 to v4: stamps a branch 4.
    Release(Branch),
    /// Back to v3: notes that it began.
    BeginAbort,
    /// Back to v3: stamps a branch 3.
    Return(Branch),
    /// The note goes: nothing is left to be done.
    End,
    /// Writes a stamp that says the truth.
    Restamp(Branch, InternalSchema),
}

impl Step {
    /// The branch that it stamps, if it does.
    #[must_use]
    pub fn stamps(&self) -> Option<&Branch> {
        match self {
            Self::Annotate(branch)
            | Self::Sweep(branch)
            | Self::Fence(branch)
            | Self::Release(branch)
            | Self::Return(branch)
            | Self::Restamp(branch, _) => Some(branch),
            Self::DeleteRun(_)
            | Self::Begin
            | Self::Copy(_)
            | Self::Check(_)
            | Self::BeginAbort
            | Self::End => None,
        }
    }
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Annotate(branch) => write!(f, "{branch}: annotate the key, stamp 2"),
            Self::DeleteRun(branch) => write!(f, "delete {branch}"),
            Self::Sweep(branch) | Self::Return(branch) => write!(f, "{branch}: stamp 3"),
            Self::Begin => f.write_str("note that a migration to v4 began"),
            Self::Fence(branch) => {
                write!(f, "{branch}: stamp {}, which no client writes", Stamp::MIGRATING)
            }
            Self::Copy(branch) => write!(f, "{branch}: copy the history"),
            Self::Check(branch) => write!(f, "{branch}: check it"),
            Self::Release(branch) => write!(f, "{branch}: stamp 4"),
            Self::BeginAbort => f.write_str("note that it is taken back"),
            Self::End => f.write_str("remove the note"),
            Self::Restamp(branch, to) => write!(f, "{branch}: stamp {}", to.number()),
        }
    }
}
