//! Error kinds. Every error type of every crate has one; it alone decides whether a retry
//! makes sense and which exit code the binary ends with.

use std::fmt;

/// What went wrong, as far as a caller can act on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// There is no root, table or file at that place.
    NotFound,
    /// Somebody else committed in between; nothing of ours was made visible.
    Conflict,
    /// Another keeper holds the lock.
    Busy,
    /// An unfinished operation must be recovered first.
    RecoveryNeeded,
    /// A safety rule refuses it.
    Refused,
    /// The request makes no sense: bad option, unknown table.
    Invalid,
    /// A value in the data does not allow what was asked, such as a division by zero.
    Value,
    /// What is on disk contradicts itself.
    Corrupt,
    /// The store failed: permissions, space, handles, network.
    Unavailable,
    /// The outcome of a commit could not be learned.
    Unknown,
    /// The operation was interrupted.
    Interrupted,
    /// Our own mistake.
    Internal,
}

impl ErrorKind {
    /// The exit code of the binary when a run ends with this error.
    #[must_use]
    pub fn exit_code(self) -> ExitCode {
        match self {
            Self::NotFound => ExitCode::NoSuchRoot,
            Self::Busy => ExitCode::Busy,
            Self::RecoveryNeeded => ExitCode::RecoveryNeeded,
            Self::Refused => ExitCode::Refused,
            Self::Invalid => ExitCode::Usage,
            Self::Interrupted => ExitCode::Interrupted,
            Self::Conflict
            | Self::Value
            | Self::Corrupt
            | Self::Unavailable
            | Self::Unknown
            | Self::Internal => ExitCode::Failed,
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotFound => "not found",
            Self::Conflict => "conflict",
            Self::Busy => "busy",
            Self::RecoveryNeeded => "recovery needed",
            Self::Refused => "refused",
            Self::Invalid => "invalid",
            Self::Value => "value",
            Self::Corrupt => "corrupt",
            Self::Unavailable => "unavailable",
            Self::Unknown => "outcome unknown",
            Self::Interrupted => "interrupted",
            Self::Internal => "internal",
        })
    }
}

/// The exit codes of the binary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ExitCode {
    /// Done, or nothing to do.
    Done,
    /// The run failed.
    Failed,
    /// The command line or an option makes no sense.
    Usage,
    /// Some tables failed, the rest is done.
    Partial,
    /// There is no root at that place.
    NoSuchRoot,
    /// The lock is held by another keeper.
    Busy,
    /// An unfinished operation blocks everything.
    RecoveryNeeded,
    /// A safety rule refused.
    Refused,
    /// Interrupted by a signal.
    Interrupted,
}

impl ExitCode {
    /// The number the process ends with.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Partial => 3,
            Self::NoSuchRoot => 10,
            Self::Busy => 11,
            Self::RecoveryNeeded => 12,
            Self::Refused => 13,
            Self::Interrupted => 130,
        }
    }
}
