//! Opening roots: recognised, addressed by their own spelling, checked for everything that
//! forbids writing, locked, swept.
//!
//! # Protocol
//!
//! Everything that can refuse is looked at before anything is written, the lock included: a
//! refused root is left exactly as it was found. Then the lock is taken, sidecars and
//! journals of dead runs of ours are settled, and the root may be written. Who is dead is told by locks:
//! a sidecar of ours is armed only while its run has the root's lock, and a run that staged without it
//! has a record that is locked. What a live run has staged is left alone.

use std::path::Path;

use chrono::SecondsFormat;
use lancekeeper_manifest::{Catalog, Graph, Sidecars};
use lancekeeper_model::{Branch, OperationId, Recovery, RootKind};
use lancekeeper_planner::sweep::SweepPlan;
use lancekeeper_queue::{HoldTimes, LockHolder, RootIdentity, clear_dead_runs};
use lancekeeper_rewrite::Journal;
use lancekeeper_store::members::{Members, members};
use lancekeeper_store::root::{RootError, recognise};
use lancekeeper_store::spelling::{Spellings, note_branches};
use lancekeeper_store::{Root, Tables};

use super::error::OpenRootError;
use super::half_made::{HalfMade, half_made};
use super::locks::{self, Locks};
use super::migrating::migrate;
use super::obstacles::{check_no_schema_apply, check_writable, refused};
use super::opened::{Opening, ReadGraph, ReadRoot, WriteRoot};
use super::recover::sweep_all;
use crate::run::Context;

/// Recognises a root without blocking the runtime.
pub(crate) async fn look(uri: &str) -> Result<Root, OpenRootError> {
    let uri = uri.to_owned();
    tokio::task::spawn_blocking(move || match recognise(&uri) {
        Err(RootError::Unrecognised { uri }) => {
            let path = uri.strip_prefix("file://").unwrap_or(&uri);
            match half_made(Path::new(path)) {
                Some(HalfMade { there, missing, has_rows }) => {
                    Err(OpenRootError::HalfMade { uri, there, missing, has_rows })
                }
                None => Err(RootError::Unrecognised { uri }.into()),
            }
        }
        recognised => Ok(recognised?),
    })
    .await?
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
    let files = addressed.files();
    let sidecars = Sidecars::of(&files);
    let found = sidecars.list().await?;
    let branches = graph.branches().await?;
    // A schema that cannot be read declares nothing here; whoever writes checks it and says so.
    let catalog = Catalog::read(&files).await.unwrap_or_default();
    Ok(ReadRoot {
        root: addressed,
        tables: tables.clone(),
        graph: Some(ReadGraph { graph, sidecars, found, snapshot, branches, catalog }),
        spellings,
        members: Members::default(),
    })
}

/// Makes a root that was opened for reading ready for writing: checks, locks, sweeps, and looks
/// again at what others may have changed before it was locked.
///
/// # Cancel safety
///
/// Before the lock nothing is written. A sweep that was cut off is continued by the next.
pub(crate) async fn write_root(
    mut read: ReadRoot,
    context: &Context,
    opening: &Opening<'_>,
) -> Result<WriteRoot, OpenRootError> {
    let tables = &context.tables;
    let &Opening { purpose, operation, now, .. } = opening;
    let verb = purpose.verb;
    let mut way = check_writable(&read, purpose, now).await?;
    let mut recovery = Recovery::default();
    let hold_times = HoldTimes::default();
    let queue = context.queues.root(&RootIdentity::new(read.root.identity()));
    let queue = queue.timed(hold_times.clone());
    let started = now.to_rfc3339_opts(SecondsFormat::Secs, true);
    let holder = LockHolder::this_process(operation.clone(), verb, &started);
    let tolerates = purpose.tolerates;
    let Locks { hold, live, waited } =
        locks::take(context, &read.root, &queue, &holder, tolerates).await?;
    if waited {
        // Another keeper worked on it since it was read and looked at.
        read = read_root(look(&read.root.given).await?, tables).await?;
        way = check_writable(&read, purpose, now).await?;
    }
    let sweep = match &mut read.graph {
        None => {
            read.members = members(&read.root).await?;
            SweepPlan::default()
        }
        Some(graph) => {
            if !(tolerates.moved || tolerates.migration) {
                check_no_schema_apply(&graph.graph, verb).await?;
            }
            // What runs of ours left in a graph that was moved is swept by whoever opens it next: only then its
            // branches are read from here.
            let plan = match tolerates.moved {
                true => SweepPlan::default(),
                false => sweep_all(graph, tables, opening, &mut recovery.sidecars).await?,
            };
            // Only under the lock is it known that it is a dead one's.
            if !(tolerates.moved || tolerates.migration)
                && let Some(obstacle) =
                    refused(&read.root.given, graph, &plan, purpose).into_iter().next()
            {
                return Err(obstacle);
            }
            if let Some(migration) = &way.migration {
                let migrated = migrate(graph, migration, tables, &read.root, opening).await?;
                recovery.migrated = Some(migrated);
            }
            graph.snapshot = graph.graph.snapshot(&Branch::main()).await?;
            graph.branches = graph.graph.branches().await?;
            plan
        }
    };
    let journal = Journal::of(&read.root.files());
    let live: Vec<OperationId> = live.into_iter().map(|run| run.operation).collect();
    // Whoever rewrites takes over what was finished; nobody else knows what to do with it.
    let resumes = !tolerates.runs;
    let settled = journal.settle_dead(tables, &read.root, &live, resumes).await?;
    let directory = read.root.directory.clone();
    tokio::task::spawn_blocking(move || clear_dead_runs(&directory)).await??;
    recovery.staged_files_deleted = settled.deleted as u64;
    if settled.deleted > 0 {
        tracing::info!(target: "lancekeeper::recovery", count = settled.deleted, "deleted the staged files of dead runs");
    }
    let (warnings, finished) = (settled.kept, settled.finished);
    Ok(WriteRoot {
        read,
        queue,
        hold_times,
        journal,
        sweep,
        finished,
        live,
        recovery,
        warnings,
        hold,
    })
}
