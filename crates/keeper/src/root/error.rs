//! Why a root cannot be opened, or not for writing, and what a person can do about it.

use lancekeeper_manifest::{
    ACTORS, GraphError, MigrateError, QUARANTINE_DIR, SchemaFilesError, SidecarError,
};
use lancekeeper_model::{Branch, ErrorKind, Stamp};
use lancekeeper_queue::{LockError, QueueError};
use lancekeeper_reconciler::SweepError;
use lancekeeper_rewrite::JournalError;
use lancekeeper_store::OpenError;
use lancekeeper_store::failure::hint_of;
use lancekeeper_store::root::RootError;
use lancekeeper_store::spelling::SpellingError;
use thiserror::Error;

use crate::run::ended::EndsRoot;

/// A root could not be opened, or not for writing.
#[derive(Debug, Error)]
pub enum OpenRootError {
    /// It is no root.
    #[error(transparent)]
    Root(#[from] RootError),
    /// Its table of pins cannot be read.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// A table cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Branches cannot be listed.
    #[error(transparent)]
    Spelling(#[from] SpellingError),
    /// A graph that is not of a version that is written, and cannot be made one.
    #[error("{uri}: {source}")]
    Migrate {
        /// The root.
        uri: String,
        /// Why not.
        #[source]
        source: MigrateError,
    },
    /// A graph of a version before those in which something is recovered.
    #[error("{uri}: nothing is recovered in a graph of internal schema {found}")]
    NotRecovered {
        /// The root.
        uri: String,
        /// Its stamp.
        found: Stamp,
    },
    /// The root was moved or copied: its branches read from the old place.
    #[error("{uri} was moved or copied: it still refers to {elsewhere}")]
    Moved {
        /// The root.
        uri: String,
        /// Where its branches, or its pins, point.
        elsewhere: String,
    },
    /// Its branches spell its place in several ways: Lance would take them for strangers.
    #[error("{uri}: its branches refer to it in several spellings: {spellings}")]
    Spellings {
        /// The root.
        uri: String,
        /// The spellings.
        spellings: String,
    },
    /// A key of the queue could not be had.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// A schema apply is running, or died.
    #[error("{verb} is unavailable while schema apply is in progress")]
    SchemaApply {
        /// The verb.
        verb: &'static str,
    },
    /// The schema files are not in order.
    #[error(transparent)]
    SchemaFiles(#[from] SchemaFilesError),
    /// Sidecars cannot be read.
    #[error(transparent)]
    Sidecar(#[from] SidecarError),
    /// An unfinished operation of another writer, presumed dead, blocks the root.
    #[error(
        "{verb} requires a clean recovery state: in {uri}, {file} is an unfinished {writer_kind} of another writer over {tables}"
    )]
    RecoveryNeeded {
        /// The verb.
        verb: &'static str,
        /// The root.
        uri: String,
        /// The file.
        file: String,
        /// The kind of its writer.
        writer_kind: String,
        /// The tables it names.
        tables: String,
    },
    /// A run of ours died, and nothing can be decided about what it left.
    #[error(
        "{verb} requires a clean recovery state: in {uri}, {file} is of a run of lancekeeper that died, and cannot be recovered: {why}"
    )]
    SidecarRefused {
        /// The verb.
        verb: &'static str,
        /// The root.
        uri: String,
        /// The file.
        file: String,
        /// What is wrong.
        why: String,
    },
    /// What a v3 publish writes its commit down in cannot be read: it would move pins first and then fail.
    #[error("{uri}: the commit history of branch {branch} cannot be read: {source}")]
    HistoryUnreadable {
        /// The root.
        uri: String,
        /// The branch.
        branch: Branch,
        /// Why not.
        #[source]
        source: GraphError,
    },
    /// A branch cannot be read. Others can be worked on.
    #[error("branch {branch} cannot be read: {why}")]
    BranchUnreadable {
        /// The branch.
        branch: Branch,
        /// Why not.
        why: String,
    },
    /// Somebody may be writing to a graph whose format is about to change under him.
    #[error(
        "{verb}: in {uri}, {file} is an unfinished {writer_kind} whose writer may be alive; he could not write this graph any more once it is at internal schema v3"
    )]
    Living {
        /// The verb.
        verb: &'static str,
        /// The root.
        uri: String,
        /// The file.
        file: String,
        /// The kind of its writer.
        writer_kind: String,
    },
    /// The making of a graph was interrupted.
    #[error("{uri} is no graph yet, or none any more: there are {there}, but not {missing}")]
    HalfMade {
        /// The root.
        uri: String,
        /// What is there.
        there: String,
        /// What is not.
        missing: String,
        /// Whether tables have rows.
        has_rows: bool,
    },
    /// A v3 graph has no commit history at all.
    #[error(
        "{uri}: _graph_commits.lance is missing, or without a first commit; its clients cannot open it"
    )]
    NoHistory {
        /// The root.
        uri: String,
    },
    /// A v3 graph's history lacks the rows of publishes: readers see them, but cannot travel there.
    #[error("the commit history of {branch} has no row of version {versions} of __manifest")]
    CommitRows {
        /// The branch.
        branch: Branch,
        /// The versions.
        versions: String,
    },
    /// Something of a branch is there that is none: clients cannot make one of that name.
    #[error("there is no branch {branch}, but something of it is in {place}")]
    BranchRemains {
        /// The branch.
        branch: Branch,
        /// Where.
        place: String,
    },
    /// What a writer whose sidecar was moved aside may have made, and what no branch reads.
    #[error(
        "{tables}: there is a fork {branch} that branch {branch} does not read, and a sidecar was moved to {QUARANTINE_DIR}: it may be all that its writer committed"
    )]
    UnreadForks {
        /// The branch.
        branch: Branch,
        /// The tables.
        tables: String,
    },
    /// The sweep could not be finished.
    #[error("recovery failed: {0}")]
    Sweep(#[from] SweepError),
    /// The journal could not be settled.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The lock is held, or could not be taken.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The run was asked to stop while it waited for the lock.
    #[error("interrupted: the root is as it was")]
    Interrupted,
    /// The file system could not be asked.
    #[error("a background task failed: {0}")]
    Task(#[from] tokio::task::JoinError),
}

impl OpenRootError {
    /// What a caller can do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Root(error) => error.kind(),
            Self::Graph(error) => error.kind(),
            Self::Open(error) => error.kind(),
            Self::Spelling(error) => error.kind(),
            Self::Migrate { source, .. } => source.kind(),
            Self::NotRecovered { .. }
            | Self::UnreadForks { .. }
            | Self::Moved { .. }
            | Self::Spellings { .. }
            | Self::SchemaApply { .. } => ErrorKind::Refused,
            Self::Queue(error) => error.kind(),
            Self::SchemaFiles(error) => error.kind(),
            Self::Sidecar(error) => error.kind(),
            Self::HistoryUnreadable { source, .. } => source.kind(),
            Self::BranchUnreadable { .. } => ErrorKind::Corrupt,
            Self::RecoveryNeeded { .. }
            | Self::SidecarRefused { .. }
            | Self::Living { .. }
            | Self::CommitRows { .. }
            | Self::BranchRemains { .. }
            | Self::NoHistory { .. } => ErrorKind::RecoveryNeeded,
            // As where there is nothing of a graph.
            Self::HalfMade { .. } => ErrorKind::NotFound,
            Self::Sweep(error) => error.kind(),
            Self::Journal(error) => error.kind(),
            Self::Lock(error) => error.kind(),
            Self::Interrupted => ErrorKind::Interrupted,
            Self::Task(_) => ErrorKind::Internal,
        }
    }

    /// What a person can do about it, where there is something.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Root(error) => Some(error.hint()),
            Self::Graph(GraphError::Newer { .. }) => {
                Some("use a version of lancekeeper that knows this format")
            }
            // Unless the machine is to blame, what cannot be read is damaged. Never `__manifest`
            // alone: an older one over newer tables hides rows, and clients then write over what
            // it hides.
            Self::Graph(error) if hint_of(error).is_none() => Some(
                "nothing was changed; if its client cannot open it either, restore the whole graph from one backup",
            ),
            Self::Migrate { source, .. } => source.hint(),
            Self::NotRecovered { .. } => {
                Some("`lancekeeper migrate ROOT` shows what makes it one that is")
            }
            Self::Moved { .. } => Some(
                "`lancekeeper repair --relocate` shows what would make a graph whole here; or move it back to where it was made",
            ),
            Self::SchemaApply { .. } => Some(
                "wait for it; if its process died, the branch __schema_apply_lock__ of __manifest is left over: `lancekeeper recover ROOT` shows that, and --confirm ends it",
            ),
            Self::SchemaFiles(error) => Some(error.hint()),
            Self::RecoveryNeeded { verb: "optimize", .. } => Some(
                "`lancekeeper recover ROOT` shows what would become of it, and --confirm ends it once its writer is presumed dead; or name unaffected tables with --table",
            ),
            Self::RecoveryNeeded { .. } => Some(
                "`lancekeeper recover ROOT` shows what would become of it, and --confirm ends it once its writer is presumed dead",
            ),
            Self::SidecarRefused { verb: "optimize", .. } => Some(
                "`lancekeeper recover ROOT` says what can be done about it; or name unaffected tables with --table",
            ),
            Self::SidecarRefused { .. } => {
                Some("`lancekeeper recover ROOT` says what can be done about it")
            }
            Self::Living { .. } => Some(
                "wait for it; if its writer is known to be dead: `lancekeeper migrate ROOT --dead-after 0s --confirm`, then `lancekeeper recover ROOT --assume-dead all --confirm`",
            ),
            Self::HalfMade { has_rows: true, .. } => Some(
                "its __manifest was lost: restore the whole graph from one backup; nothing here may be deleted",
            ),
            Self::HalfMade { .. } => Some(
                "its making was interrupted and no row was ever in it: empty the directory and make the graph again with its client",
            ),
            Self::CommitRows { .. } => Some("`lancekeeper recover ROOT --confirm` mends it"),
            Self::BranchRemains { .. } => {
                Some("`lancekeeper recover ROOT` shows what it is and what would become of it")
            }
            Self::UnreadForks { .. } => Some(
                "Lance reads it as a branch of the table; once the fork is known to be of no use, take the sidecar out of quarantine, and `lancekeeper cleanup ROOT --confirm` removes the fork",
            ),
            Self::NoHistory { .. } => Some(
                "`lancekeeper recover ROOT` says whether it can be made; if not, and there is no backup of it, `lancekeeper migrate ROOT --to 4 --rebuild-history` makes one of the versions of __manifest",
            ),
            Self::HistoryUnreadable { branch, source: GraphError::Open(error), .. }
                if !branch.is_main() && error.kind() == ErrorKind::NotFound =>
            {
                Some(
                    "nothing was changed; restore that branch of _graph_commits.lance from a backup; if there is none, `lancekeeper migrate ROOT --to 4 --rebuild-history` makes its history of the versions of __manifest",
                )
            }
            Self::HistoryUnreadable { source: GraphError::Open(error), .. }
                if error.uri.ends_with(ACTORS) =>
            {
                Some(
                    "nothing was changed; restore _graph_commit_actors.lance from a backup; if there is none, move it out of the root: who made which commit is lost with it, and nothing else",
                )
            }
            Self::HistoryUnreadable { .. } => Some(
                "nothing was changed; restore _graph_commits.lance from a backup; if there is none, move it out of the root, and `lancekeeper migrate ROOT --to 4 --rebuild-history` makes a history of the versions of __manifest",
            ),
            Self::BranchUnreadable { .. } => Some(
                "restore the whole graph from one backup, or delete the branch: `lancekeeper branch delete ROOT NAME` shows what is lost with it",
            ),
            // The file may be all that is known of an unfinished write.
            Self::Sweep(SweepError::Stopped { .. }) => Some(
                "open the graph with the client that wrote the file; if that cannot read it either, `lancekeeper recover ROOT --quarantine FILE --confirm` moves it aside",
            ),
            Self::Sweep(error) if error.kind() == ErrorKind::Corrupt => Some(
                "a sidecar names a table that cannot be read; if its client cannot read it either, restore the whole graph from one backup",
            ),
            Self::Lock(LockError::Held { .. }) => {
                Some("wait for the other run to end, or let this one wait for it: --wait 10m")
            }
            _ => None,
        }
    }
}

impl EndsRoot for OpenRootError {
    fn kind(&self) -> ErrorKind {
        Self::kind(self)
    }

    fn hint(&self) -> Option<&'static str> {
        Self::hint(self)
    }
}
