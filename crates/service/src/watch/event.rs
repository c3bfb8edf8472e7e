//! What a watcher tells.

use std::fmt;

use chrono::{DateTime, SecondsFormat, Utc};
use lancekeeper_model::TableKey;

/// What kind of thing happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WatchEventKind {
    /// A root is watched from now on.
    Watches,
    /// Another watcher has the root; this one waits for its end.
    StandsBy,
    /// A root cannot be watched for now.
    Lost,
    /// A job begins.
    Began,
    /// A job did something.
    Done,
    /// A job found nothing to do.
    NoOp,
    /// A job failed.
    Failed,
    /// Something is due and has to wait.
    Waits,
    /// Policies are others now.
    Policies,
    /// Something to know that is no error.
    Warning,
    /// The watcher ends.
    Stops,
}

impl WatchEventKind {
    /// Its name in logs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Watches => "watches",
            Self::StandsBy => "stands by",
            Self::Lost => "lost",
            Self::Began => "begins",
            Self::Done => "done",
            Self::NoOp => "nothing to do",
            Self::Failed => "failed",
            Self::Waits => "waits",
            Self::Policies => "policies",
            Self::Warning => "warning",
            Self::Stops => "stops",
        }
    }
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchEvent {
    /// When.
    pub at: DateTime<Utc>,
    /// What kind of thing.
    pub kind: WatchEventKind,
    /// In which root, as it was named; empty if in none.
    pub root: String,
    /// To which table.
    pub table: Option<TableKey>,
    /// What was seen, why something is done, or what came of it.
    pub text: String,
}

/// A line of a log: `TIME ROOT TABLE KIND: TEXT`.
impl fmt::Display for WatchEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.at.to_rfc3339_opts(SecondsFormat::Millis, true))?;
        if !self.root.is_empty() {
            write!(f, " {}", self.root)?;
        }
        if let Some(table) = &self.table {
            write!(f, " {table}")?;
        }
        write!(f, " {}: {}", self.kind.name(), self.text)
    }
}
