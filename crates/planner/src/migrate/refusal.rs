//! Why a graph is not migrated, or not written as it is, and what a person can do about it.

use lancekeeper_model::{Branch, ErrorKind, InternalSchema, Stamp};
use thiserror::Error;

use super::Phase;

/// Why not.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Refusal {
    /// A branch is of a version that a newer keeper wrote, or a newer client.
    #[error(
        "upgrade lancekeeper first: branch {branch} is at internal schema v{found}, newer than v{}, the newest that this version of lancekeeper knows",
        InternalSchema::NEWEST.number()
    )]
    Newer {
        /// The branch.
        branch: Branch,
        /// Its version.
        found: u32,
    },
    /// A stamp is no version.
    #[error(
        "the internal schema stamp of branch {branch} is {text:?}, which is not a number of a version"
    )]
    Unreadable {
        /// The branch.
        branch: Branch,
        /// What it says.
        text: String,
    },
    /// A branch is stamped with another version than main, and no migration explains it.
    #[error(
        "branch {branch} is at internal schema {found}, but main at {main}: they must be of one version"
    )]
    Differs {
        /// The branch.
        branch: Branch,
        /// Its stamp.
        found: Stamp,
        /// Main's.
        main: Stamp,
    },
    /// A branch of v4 is stamped with an older version.
    #[error(
        "branch {branch} is stamped {found}, but its rows have commits that _graph_commits.lance lacks: it is of internal schema v4"
    )]
    Stamp {
        /// The branch.
        branch: Branch,
        /// Its stamp.
        found: Stamp,
    },
    /// The stamp of a migration, without the note that every keeper writes before it.
    #[error(
        "branch {branch} is stamped {}, as in a migration to v4, but no keeper's note of one is there",
        Stamp::MIGRATING
    )]
    NoJournal {
        /// The branch.
        branch: Branch,
    },
    /// A migration to v4 is not finished.
    #[error("a migration of this graph to internal schema v4 was begun and is not finished")]
    UnderWay {
        /// Which way it was going.
        phase: Phase,
    },
    /// Another column is annotated as the key.
    #[error("branch {branch}: the key of __manifest is {column}, not object_id")]
    Key {
        /// The branch.
        branch: Branch,
        /// The column.
        column: String,
    },
    /// A branch of a run is young: somebody's work in flight.
    #[error(
        "{branch} was written {minutes} minutes ago: a run of an old client may still be at work on it, and this migration deletes such branches"
    )]
    RunInFlight {
        /// The branch.
        branch: Branch,
        /// How long ago.
        minutes: i64,
    },
    /// The history that v3 keeps apart is lost.
    #[error(
        "_graph_commits.lance is missing: this graph at internal schema {found} keeps its commit history there"
    )]
    NoCommits {
        /// Main's version.
        found: Stamp,
    },
    /// The history of a branch is lost that v3 keeps apart.
    #[error(
        "the commit history of branch {branch} is lost: commits were published to it, and _graph_commits.lance has no branch of that name"
    )]
    NoBranchHistory {
        /// The branch.
        branch: Branch,
    },
    /// The rows of a branch have a commit that is not in the history that v3 keeps apart.
    #[error(
        "branch {branch} has commit {commit} among its rows, which is not in _graph_commits.lance: it is of internal schema v4, or its history is another one's"
    )]
    Stray {
        /// The branch.
        branch: Branch,
        /// The commit.
        commit: String,
    },
    /// A branch cannot be read.
    #[error("branch {branch} cannot be read, and is not left behind: {why}")]
    Unread {
        /// The branch.
        branch: Branch,
        /// Why.
        why: String,
    },
    /// There is nothing to abort.
    #[error("no migration to v4 is under way, so there is nothing to abort")]
    NothingToAbort,
    /// Main is at v4 already.
    #[error(
        "the migration to v4 is finished: clients may have written the graph since, so there is no way back"
    )]
    Finished,
    /// The graph is in order.
    #[error("the stamps of this graph agree, so none of them is written anew")]
    Consistent,
    /// What a branch holds is not of the version that it is to be stamped with.
    #[error("branch {branch} is not of internal schema {to}: {why}")]
    Content {
        /// The branch.
        branch: Branch,
        /// The version asked for.
        to: InternalSchema,
        /// What speaks against it.
        why: &'static str,
    },
}

impl Refusal {
    /// What a caller can do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::UnderWay { .. } | Self::RunInFlight { .. } => ErrorKind::RecoveryNeeded,
            Self::Unreadable { .. }
            | Self::Key { .. }
            | Self::NoCommits { .. }
            | Self::NoBranchHistory { .. }
            | Self::Stray { .. }
            | Self::Unread { .. } => ErrorKind::Corrupt,
            Self::Newer { .. }
            | Self::Differs { .. }
            | Self::Stamp { .. }
            | Self::NoJournal { .. }
            | Self::NothingToAbort
            | Self::Finished
            | Self::Consistent
            | Self::Content { .. } => ErrorKind::Refused,
        }
    }

    /// What a person can do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Newer { .. } => {
                "use a version of lancekeeper that knows this format; if only the stamp is wrong, `lancekeeper migrate ROOT --restamp N` looks whether the graph is of version N and stamps it so"
            }
            Self::Differs {
                main: Stamp::Known(InternalSchema::V4),
                found: Stamp::Known(_) | Stamp::Migrating,
                ..
            } => {
                "a client may have made the branch that had the graph open since before its migration: `lancekeeper migrate ROOT --to 4 --confirm` brings it along, unless only its stamp is wrong, which it then says"
            }
            Self::Stamp { .. } => {
                "`lancekeeper migrate ROOT --restamp 4` looks whether every branch is of v4 and, with --confirm, stamps it so; nothing was changed"
            }
            Self::Unreadable { .. } | Self::Differs { .. } | Self::NoJournal { .. } => {
                "`lancekeeper migrate ROOT --restamp N` looks whether every branch is of version N and, with --confirm, stamps it so; nothing was changed"
            }
            Self::UnderWay { phase: Phase::Forward } => {
                "`lancekeeper migrate ROOT --to 4 --confirm` finishes it, `lancekeeper migrate ROOT --abort --confirm` takes it back to v3; reading works meanwhile"
            }
            Self::UnderWay { phase: Phase::Abort } => {
                "it was being taken back: `lancekeeper migrate ROOT --abort --confirm` finishes that"
            }
            Self::Key { .. } => {
                "nothing was changed; no client ever wrote that: restore the whole graph from one backup"
            }
            Self::RunInFlight { .. } => {
                "wait for it; if its client is dead, `lancekeeper migrate ROOT --to 3 --dead-after 0s --confirm` deletes the branch"
            }
            Self::Stray { .. } => {
                "nothing was changed; restore the whole graph from one backup, in which rows and history belong together"
            }
            Self::NoCommits { .. } | Self::NoBranchHistory { .. } => {
                "restore that from a backup; if there is none, `lancekeeper migrate ROOT --to 4 --rebuild-history` makes a history of the versions of __manifest that are there"
            }
            Self::Unread { .. } => "restore what is missing, or delete the branch, then try again",
            Self::NothingToAbort | Self::Consistent => "nothing was changed",
            Self::Finished => {
                "export it and load it with the older client, if it must be read there"
            }
            Self::Content { .. } => "nothing was changed; name the version that the graph is of",
        }
    }
}
