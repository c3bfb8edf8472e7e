//! Why a version stays: what a preview shows behind "kept because".

use std::fmt;

use chrono::TimeDelta;
use lancekeeper_model::Branch;

/// Why a version stays. Sorted by how much it says.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeepReason {
    /// A live branch of the graph reads it.
    PinnedBy(Branch),
    /// The newest of its chain.
    Head,
    /// Two live branches could not be merged without it.
    MergeBase(Branch, Branch),
    /// The running operation made it.
    ThisRun,
    /// A run that is under way stages at it, or at one before it.
    Staging,
    /// A tag names it.
    Tag(String),
    /// A fork was cut from it, and Lance reads on there.
    ForkPoint(Branch),
    /// A commit that stays readable needs it.
    Commit(String),
    /// A live branch cannot be read: it may pin anything it could reach.
    Unreadable(Branch),
    /// Its fork is left alone: it is not known whether somebody needs it.
    UndecidedFork,
    /// Committed within the writer window.
    WriterWindow(TimeDelta),
    /// The newest when the writer window began: whoever opened it then may still be reading.
    Replaced(TimeDelta),
    /// A commit that somebody may have opened within the writer window needs it.
    OpenedCommit(String),
    /// Dated later than now: clocks disagree, so nothing is known about its age.
    FutureDated,
    /// Among the newest of its chain.
    Newest(u64),
    /// Younger than the age asked for.
    YoungerThan(TimeDelta),
}

impl fmt::Display for KeepReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Head => f.write_str("the newest"),
            Self::PinnedBy(branch) => write!(f, "branch {branch} reads it"),
            Self::MergeBase(one, other) => write!(f, "merge base of {one} and {other}"),
            Self::ThisRun => f.write_str("made by this run"),
            Self::Staging => f.write_str("an optimize that is under way needs it"),
            Self::Tag(name) => write!(f, "tag {name}"),
            Self::ForkPoint(branch) => write!(f, "branch {branch} was cut from it"),
            Self::Commit(id) => write!(f, "commit {id} stays readable"),
            Self::Unreadable(branch) => {
                write!(f, "branch {branch} cannot be read and may need it")
            }
            Self::UndecidedFork => f.write_str("its branch may be needed"),
            Self::WriterWindow(window) => {
                write!(f, "committed within the writer window of {}", duration(*window))
            }
            Self::Replaced(window) => {
                write!(f, "the newest until within the writer window of {}", duration(*window))
            }
            Self::OpenedCommit(id) => {
                write!(f, "commit {id}, which a writer may have opened, needs it")
            }
            Self::FutureDated => f.write_str("dated in the future"),
            Self::Newest(1) => f.write_str("the newest one"),
            Self::Newest(n) => write!(f, "among the newest {n}"),
            Self::YoungerThan(age) => write!(f, "younger than {}", duration(*age)),
        }
    }
}

/// A duration as one would type it: `10m`, `7d`, `1h30m`.
pub(super) fn duration(delta: TimeDelta) -> String {
    let mut rest = delta.num_seconds().max(0);
    let mut text = String::new();
    for (unit, seconds) in [("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)] {
        if rest >= seconds {
            text += &format!("{}{unit}", rest / seconds);
            rest %= seconds;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}
