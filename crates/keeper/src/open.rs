//! Opening roots: recognised, addressed by their own spelling, checked for everything that
//! forbids writing, locked, swept.
//!
//! # Protocol
//!
//! Everything that can refuse is looked at before anything is written, the lock included: a
//! refused root is left exactly as it was found. Then the lock is taken, sidecars and
//! journals of dead runs of ours are settled, and the root may be written.

use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use lancekeeper_manifest::{
    Catalog, FoundSidecar, Graph, GraphError, SchemaFilesError, SidecarError, Sidecars,
    check_schema_files,
};
use lancekeeper_model::{
    Branch, DeclaredIndex, ErrorKind, InternalSchema, OperationId, Progress, ProgressEvent,
    RecoveredSidecar, Recovery, RootKind, Snapshot, TableKey, TableRef,
};
use lancekeeper_planner::sweep::{SweepPlan, plan_sweep};
use lancekeeper_queue::{
    ExclusiveLock, LockError, LockHolder, QueueError, Queues, RootIdentity, RootQueue,
};
use lancekeeper_reconciler::SweepError;
use lancekeeper_reconciler::sweep;
use lancekeeper_rewrite::{Journal, JournalError};
use lancekeeper_store::failure::hint_of;
use lancekeeper_store::members::{Members, members};
use lancekeeper_store::root::{RootError, recognise};
use lancekeeper_store::spelling::{SpellingError, Spellings, note_branches};
use lancekeeper_store::{OpenError, Root, Tables};
use thiserror::Error;

/// A foreign sidecar older than this is presumed to belong to a dead writer. A live load of
/// a real client is done in seconds; the established tools wait for nothing at all.
pub(crate) const PRESUMED_DEAD_AFTER: chrono::TimeDelta = chrono::TimeDelta::minutes(15);

/// A client that opens resolves all sidecars at once, so one more look is enough; a second is
/// for a second client.
const SWEEPS_MAX: u32 = 3;

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
    /// A graph of an old version.
    #[error("{uri}: a graph at internal schema {found} can be read but not written")]
    OldSchema {
        /// The root.
        uri: String,
        /// Its version.
        found: InternalSchema,
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
    /// The sweep could not be finished.
    #[error("recovery failed: {0}")]
    Sweep(#[from] SweepError),
    /// The journal could not be settled.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The lock is held, or could not be taken.
    #[error(transparent)]
    Lock(#[from] LockError),
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
            Self::OldSchema { .. }
            | Self::Moved { .. }
            | Self::Spellings { .. }
            | Self::SchemaApply { .. } => ErrorKind::Refused,
            Self::Queue(error) => error.kind(),
            Self::SchemaFiles(error) => error.kind(),
            Self::Sidecar(error) => error.kind(),
            Self::RecoveryNeeded { .. } => ErrorKind::RecoveryNeeded,
            Self::Sweep(error) => error.kind(),
            Self::Journal(error) => error.kind(),
            Self::Lock(error) => error.kind(),
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
            Self::OldSchema { .. } => Some(
                "open it for writing once with omnigraph 0.7, which migrates it to v3 in place",
            ),
            Self::Moved { .. } => Some(
                "move it back to where it was made, or export and load it there with its client",
            ),
            Self::SchemaApply { .. } => Some(
                "wait for it; if its process died, the branch __schema_apply_lock__ of __manifest is left over",
            ),
            Self::SchemaFiles(error) => Some(error.hint()),
            Self::RecoveryNeeded { .. } => Some(
                "open the graph for writing with the client that wrote it (any load or mutate), which recovers it; or name unaffected tables with --table",
            ),
            // The file may be all that is known of an unfinished write.
            Self::Sweep(SweepError::Stopped { .. }) => Some(
                "open the graph with the client that wrote the file; keep a copy before anything is done to it",
            ),
            Self::Sweep(error) if error.kind() == ErrorKind::Corrupt => Some(
                "a sidecar names a table that cannot be read; if its client cannot read it either, restore the whole graph from one backup",
            ),
            Self::Lock(LockError::Held { .. }) => Some("wait for the other run to end"),
            _ => None,
        }
    }
}

/// A root opened for reading.
#[derive(Debug)]
pub(crate) struct ReadRoot {
    pub(crate) root: Root,
    pub(crate) tables: Tables,
    /// Graphs only.
    pub(crate) graph: Option<ReadGraph>,
    /// Where its branches point, as far as asked.
    pub(crate) spellings: Spellings,
    /// The tables of a database, or the one table; none of a graph.
    pub(crate) members: Members,
}

/// The graph part of a root opened for reading, as one of its branches sees it.
#[derive(Debug, Clone)]
pub(crate) struct ReadGraph {
    pub(crate) graph: Graph,
    pub(crate) sidecars: Sidecars,
    pub(crate) found: Vec<FoundSidecar>,
    pub(crate) snapshot: Snapshot,
    pub(crate) branches: Vec<Branch>,
    pub(crate) catalog: Catalog,
}

impl ReadRoot {
    /// The indexes a table declares; none outside graphs.
    pub(crate) fn declared(&self, table: &TableKey) -> &[DeclaredIndex] {
        self.graph.as_ref().map_or(&[], |graph| graph.catalog.declared(table))
    }
}

/// A root that may be written: locked, swept.
#[derive(Debug)]
pub(crate) struct WriteRoot {
    pub(crate) read: ReadRoot,
    pub(crate) queue: RootQueue,
    pub(crate) journal: Journal,
    pub(crate) sweep: SweepPlan,
    /// What opening recovered of runs that died.
    pub(crate) recovery: Recovery,
    /// What opening found and left alone.
    pub(crate) warnings: Vec<String>,
    /// Held as long as the root is worked on.
    pub(crate) lock: ExclusiveLock,
}

/// Recognises a root without blocking the runtime.
pub(crate) async fn look(uri: &str) -> Result<Root, OpenRootError> {
    let uri = uri.to_owned();
    Ok(tokio::task::spawn_blocking(move || recognise(&uri)).await??)
}

/// Opens a root for reading. Writes nothing.
pub(crate) async fn read_root(root: Root, tables: &Tables) -> Result<ReadRoot, OpenRootError> {
    let mut spellings = Spellings::default();
    if root.kind != RootKind::Graph {
        let members = members(&root).await?;
        for (_, location) in members.tables() {
            // A table that cannot be opened is reported as its own row later.
            if let Ok(table) = tables.open(&root.address_of(location), &Branch::main()).await {
                note_branches(tables, &root, location, &table, &mut spellings).await?;
            }
        }
        let root = spellings.address(root);
        return Ok(ReadRoot { root, tables: tables.clone(), graph: None, spellings, members });
    }
    let graph = Graph::open(tables, &root).await?;
    let snapshot = graph.snapshot(&Branch::main()).await?;
    let spellings = graph.spellings(&snapshot).await?;
    let addressed = spellings.address(root.clone());
    let graph = if addressed == root { graph } else { Graph::open(tables, &addressed).await? };
    let sidecars = Sidecars::of(&addressed).await?;
    let found = sidecars.list().await?;
    let branches = graph.branches().await?;
    let directory = addressed.directory.clone();
    // A schema that cannot be read declares nothing here; whoever writes checks it and says so.
    let catalog =
        tokio::task::spawn_blocking(move || Catalog::read(&directory)).await?.unwrap_or_default();
    Ok(ReadRoot {
        root: addressed,
        tables: tables.clone(),
        graph: Some(ReadGraph { graph, sidecars, found, snapshot, branches, catalog }),
        spellings,
        members: Members::default(),
    })
}

/// Everything that forbids writing, looked at without writing, and what a sweep would do now.
/// `selected` are the tables asked for by name, empty for all.
pub(crate) async fn check_writable(
    read: &ReadRoot,
    verb: &'static str,
    selected: &[String],
    now: DateTime<Utc>,
) -> Result<SweepPlan, OpenRootError> {
    let uri = read.root.given.clone();
    if let Some(graph) = &read.graph
        && !graph.graph.schema().is_writable()
    {
        return Err(OpenRootError::OldSchema { uri, found: graph.graph.schema() });
    }
    if let Some(elsewhere) = read.spellings.elsewhere.first() {
        return Err(OpenRootError::Moved { uri, elsewhere: elsewhere.clone() });
    }
    let Some(graph) = &read.graph else { return Ok(SweepPlan::default()) };
    check_no_schema_apply(&graph.graph, verb).await?;
    let (directory, has_branches) = (read.root.directory.clone(), !graph.branches.is_empty());
    tokio::task::spawn_blocking(move || check_schema_files(&directory, has_branches)).await??;
    for sidecar in &graph.found {
        if blocks(sidecar, selected, now) {
            return Err(recovery_needed(&uri, verb, sidecar));
        }
    }
    plan_of(graph, &read.tables).await
}

/// Refuses while a schema apply runs.
pub(crate) async fn check_no_schema_apply(
    graph: &Graph,
    verb: &'static str,
) -> Result<(), OpenRootError> {
    if graph.schema_apply_in_progress().await? {
        return Err(OpenRootError::SchemaApply { verb });
    }
    Ok(())
}

/// Refuses a root whose branches spell it in several ways, for everything that deletes.
pub(crate) fn check_one_spelling(read: &ReadRoot) -> Result<(), OpenRootError> {
    if read.spellings.here.len() < 2 {
        return Ok(());
    }
    let spellings: Vec<&str> = read.spellings.here.iter().map(String::as_str).collect();
    Err(OpenRootError::Spellings { uri: read.root.given.clone(), spellings: spellings.join(", ") })
}

/// Refuses while any other writer's operation is unfinished: what it needs is not known.
pub(crate) fn check_no_foreign_sidecar(
    root: &Root,
    verb: &'static str,
    found: &[FoundSidecar],
) -> Result<(), OpenRootError> {
    match found.iter().find(|sidecar| sidecar.our_operation().is_none()) {
        Some(sidecar) => Err(recovery_needed(&root.given, verb, sidecar)),
        None => Ok(()),
    }
}

/// Whether a sidecar blocks a run: a foreign one whose writer is presumed dead does, unless
/// only tables it does not name are asked for. A live writer's blocks only its own tables.
fn blocks(sidecar: &FoundSidecar, selected: &[String], now: DateTime<Utc>) -> bool {
    if sidecar.our_operation().is_some() {
        return false;
    }
    let Ok(content) = &sidecar.content else {
        // The sweep says what is wrong with it, and stops.
        return false;
    };
    let started = content.started_at.parse().ok().and_then(DateTime::from_timestamp_micros);
    let is_dead = started.is_none_or(|started| now - started > PRESUMED_DEAD_AFTER);
    let named = |table: &String| content.tables.iter().any(|t| t.table_key == *table);
    is_dead && (selected.is_empty() || selected.iter().any(named))
}

pub(crate) fn recovery_needed(
    uri: &str,
    verb: &'static str,
    sidecar: &FoundSidecar,
) -> OpenRootError {
    let tables: Vec<String> = sidecar.tables().iter().map(ToString::to_string).collect();
    OpenRootError::RecoveryNeeded {
        verb,
        uri: uri.to_owned(),
        file: sidecar.path(),
        writer_kind: sidecar
            .content
            .as_ref()
            .map_or_else(|_| "operation".to_owned(), |content| content.writer_kind.clone()),
        tables: tables.join(", "),
    }
}

/// Decides about sidecars that are not ours to sweep, without writing: an unreadable one
/// stops the run before the lock.
async fn plan_of(graph: &ReadGraph, tables: &Tables) -> Result<SweepPlan, OpenRootError> {
    let inventory = sweep::inventory(&graph.graph, tables, &graph.found).await?;
    let plan = plan_sweep(&inventory);
    if let Some(stop) = plan.stops().next() {
        return Err(SweepError::Stopped { file: stop.file.clone(), why: stop.why.clone() }.into());
    }
    Ok(plan)
}

/// Sweeps. A client that opens meanwhile resolves the same sidecars by its own rules: what it
/// published is looked at again, not fought over.
async fn sweep_all(
    graph: &mut ReadGraph,
    tables: &Tables,
    opening: &Opening<'_>,
    recovered: &mut Vec<RecoveredSidecar>,
) -> Result<SweepPlan, OpenRootError> {
    let mut attempt = 1;
    loop {
        // Only now, under the lock, is every sidecar of ours a dead one's.
        graph.found = graph.sidecars.list().await?;
        let plan = plan_of(graph, tables).await?;
        let mut done = Vec::new();
        let (found, now) = (&graph.found, opening.now);
        let swept =
            sweep::execute(&graph.graph, tables, &graph.sidecars, found, &plan, now, &mut done)
                .await;
        announce(&done, opening.observer);
        recovered.append(&mut done);
        match swept {
            Ok(()) => return Ok(plan),
            Err(error) if error.kind() == ErrorKind::Conflict && attempt < SWEEPS_MAX => {
                tracing::info!(target: "lancekeeper::recovery", %error, "somebody else recovered meanwhile: looking again");
                attempt += 1;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Tells of the pins that recovery moved: whoever caches what they read drops it.
fn announce(recovered: &[RecoveredSidecar], observer: &dyn Progress) {
    for moved in recovered.iter().filter_map(|sidecar| sidecar.moved.as_ref()) {
        let (key, branch) = (moved.table_key.clone(), moved.table_branch.clone());
        observer.on_event(ProgressEvent::TablePublished {
            table: TableRef { key, branch },
            from: moved.from,
            to: moved.to,
        });
    }
}

/// Who opens a root for writing, and what for.
pub(crate) struct Opening<'a> {
    pub(crate) verb: &'static str,
    /// The tables asked for by name; empty for all.
    pub(crate) selected: &'a [String],
    pub(crate) operation: &'a OperationId,
    pub(crate) now: DateTime<Utc>,
    /// Hears of every pin that recovery moves, also when opening fails after that.
    pub(crate) observer: &'a dyn Progress,
}

/// Opens a root for writing: checks, locks, sweeps.
///
/// # Cancel safety
///
/// Before the lock nothing is written. A sweep that was cut off is continued by the next.
pub(crate) async fn write_root(
    root: Root,
    tables: &Tables,
    opening: &Opening<'_>,
) -> Result<WriteRoot, OpenRootError> {
    let &Opening { verb, selected, operation, now, .. } = opening;
    let mut read = read_root(root, tables).await?;
    check_writable(&read, verb, selected, now).await?;
    let mut recovery = Recovery::default();
    let queue = Queues::process().root(&RootIdentity::new(read.root.identity()));
    let started = now.to_rfc3339_opts(SecondsFormat::Secs, true);
    let holder = LockHolder::this_process(operation.clone(), verb, &started);
    let lock = queue.exclusive_lock(&read.root.directory, &holder, Duration::ZERO).await?;
    let sweep = match &mut read.graph {
        None => SweepPlan::default(),
        Some(graph) => {
            check_no_schema_apply(&graph.graph, verb).await?;
            let plan = sweep_all(graph, tables, opening, &mut recovery.sidecars).await?;
            graph.snapshot = graph.graph.snapshot(&Branch::main()).await?;
            plan
        }
    };
    let journal = Journal::of(&read.root).await?;
    let settled = journal.settle_all(tables, &read.root).await?;
    recovery.staged_files_deleted = settled.deleted as u64;
    if settled.deleted > 0 {
        tracing::info!(target: "lancekeeper::recovery", count = settled.deleted, "deleted the staged files of dead runs");
    }
    Ok(WriteRoot { read, queue, journal, sweep, recovery, warnings: settled.kept, lock })
}
