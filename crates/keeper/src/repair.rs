//! `repair`: tables of a graph whose newest version is not the one that readers see, and nothing explains it.
//!
//! # Protocol
//!
//! Open (which sweeps). Then branch by branch, under the keys of the branch's own tables: look at what was committed
//! since each pin, decide, take back what is to be taken back, and publish everything of the branch at once. A
//! preview looks and decides the same way, and writes nothing.
//!
//! # Crash consistency
//!
//! See `reconciler::repair`: whatever dies, readers see what they saw, and the next repair goes on.
//!
//! Not here: unfinished operations that a sidecar explains. While there is one of another writer, repair is refused.

mod inventory;
mod relocate;
mod report;
mod run;

use chrono::{DateTime, Utc};
use futures::FutureExt;
use futures::future::BoxFuture;
use lancekeeper_manifest::{Graph, GraphError};
use lancekeeper_model::{Branch, ErrorKind, RepairOptions, RootKind, RootRepairReport, Snapshot};
use lancekeeper_planner::repair::Wish;
use lancekeeper_queue::QueueError;
use lancekeeper_reconciler::repair::RepairError;
use thiserror::Error;

use crate::root::{
    OpenRootError, Opening, Purpose, ReadGraph, ReadRoot, TargetError, Tolerance, check_writable,
    look, read_root, unread_forks, write_root,
};
use crate::run::ended::{EndsRoot, ended};
use crate::run::stop::Interrupted;
use crate::run::{Context, new_operation};

pub(crate) use relocate::relocate_root;

const VERB: &str = "repair";
/// Nothing is deleted, so spellings do not matter. What another writer has not finished explains what is ahead.
const PURPOSE: Purpose<'_> = Purpose {
    verb: VERB,
    selected: &[],
    tolerates: Tolerance {
        spellings: true,
        unfinished: false,
        runs: true,
        moved: false,
        migration: false,
    },
};

/// A root could not be repaired, or not all of it.
#[derive(Debug, Error)]
pub(crate) enum RepairRootError {
    /// The root could not be opened.
    #[error(transparent)]
    Open(#[from] OpenRootError),
    /// A branch or table was asked for that is not there.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// The branches could not be read.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// The keys of tables could not be had.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// The history of a branch could not be mended.
    #[error(transparent)]
    Repair(#[from] RepairError),
    /// Only graphs pin versions.
    #[error(
        "{uri} is a {kind}: its readers see the newest version of each table, so there is no drift"
    )]
    NotAGraph {
        /// The root.
        uri: String,
        /// What it is.
        kind: RootKind,
    },
    /// The run was asked to stop.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

impl EndsRoot for RepairRootError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Open(error) => error.kind(),
            Self::Target(error) => error.kind(),
            Self::Graph(error) => error.kind(),
            Self::Queue(error) => error.kind(),
            Self::Repair(error) => error.kind(),
            Self::NotAGraph { .. } => ErrorKind::Invalid,
            Self::Interrupted(error) => error.kind(),
        }
    }

    fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Open(error) => error.hint(),
            Self::NotAGraph { .. } => Some("`lancekeeper verify` checks what is there"),
            _ => None,
        }
    }
}

/// Repairs one root, or says what would be done. Never fails: the report says what went wrong.
///
/// # Cancel safety
///
/// As the verb's.
pub(crate) fn repair_root<'a>(
    context: &'a Context,
    uri: String,
    options: &'a RepairOptions,
) -> BoxFuture<'a, RootRepairReport> {
    async move {
        let mut report = RootRepairReport::of(&uri);
        let now = context.now();
        let outcome = match options.confirm {
            true => repair(context, &uri, options, now, &mut report).await,
            false => preview(context, &uri, options, now, &mut report).await,
        };
        ended(report, outcome)
    }
    .boxed()
}

fn wish(options: &RepairOptions) -> Wish {
    let RepairOptions { force, restore_pin, dead_after, assume_dead, .. } = *options;
    Wish { force, restore_pin, dead_after, assume_dead }
}

/// The graph of a root that was opened for reading.
fn graph_of(read: &ReadRoot) -> Result<&ReadGraph, RepairRootError> {
    let (uri, kind) = (read.root.given.clone(), read.root.kind);
    read.graph.as_ref().ok_or(RepairRootError::NotAGraph { uri, kind })
}

async fn open(
    context: &Context,
    uri: &str,
    options: &RepairOptions,
    report: &mut RootRepairReport,
) -> Result<ReadRoot, RepairRootError> {
    let root = look(uri).await?;
    report.kind = Some(root.kind);
    (report.confirm, report.force) = (options.confirm, options.force);
    report.restore_pin = options.restore_pin;
    if root.kind != RootKind::Graph {
        return Err(RepairRootError::NotAGraph { uri: uri.to_owned(), kind: root.kind });
    }
    let read = read_root(root, &context.tables).await?;
    report.manifest_version = Some(graph_of(&read)?.snapshot.manifest_version);
    inventory::check_names(graph_of(&read)?, options).await?;
    Ok(read)
}

async fn preview(
    context: &Context,
    uri: &str,
    options: &RepairOptions,
    now: DateTime<Utc>,
    report: &mut RootRepairReport,
) -> Result<(), RepairRootError> {
    let read = open(context, uri, options, report).await?;
    check_writable(&read, PURPOSE, now).await?;
    let graph = graph_of(&read)?;
    for branch in inventory::branches(graph, options)? {
        match seen(&graph.graph, &branch).await {
            Ok(snapshot) => {
                let pins = inventory::own_pins(&snapshot, options);
                for found in inventory::tables(context, &read, pins, options, now).await {
                    report.tables.push(report::row(&found, false));
                }
            }
            Err(error) => report.tables.push(report::unreadable(&branch, &error)),
        }
    }
    report.warnings.extend(set_aside(graph, options).await?);
    Ok(())
}

/// What a branch reads, if it can be read and a publish to it could be written down.
async fn seen(graph: &Graph, branch: &Branch) -> Result<Snapshot, GraphError> {
    match graph.unreadable_history(branch).await {
        None => graph.snapshot(branch).await,
        Some(error) => Err(error),
    }
}

/// What is no drift, because no branch reads it, and may be all that the writer of a sidecar in quarantine committed.
async fn set_aside(
    graph: &ReadGraph,
    options: &RepairOptions,
) -> Result<Vec<String>, RepairRootError> {
    let forks = unread_forks(graph, &inventory::branches(graph, options)?).await?;
    Ok(forks.iter().map(ToString::to_string).collect())
}

async fn repair(
    context: &Context,
    uri: &str,
    options: &RepairOptions,
    now: DateTime<Utc>,
    report: &mut RootRepairReport,
) -> Result<(), RepairRootError> {
    let read = open(context, uri, options, report).await?;
    let operation = new_operation();
    let observer = context.observer();
    let opening = Opening { purpose: PURPOSE, operation: &operation, now, observer };
    let write = write_root(read, context, &opening).await?;
    report.recovery.clone_from(&write.recovery);
    report.warnings.extend(write.warnings.iter().cloned());
    let graph = graph_of(&write.read)?;
    report.warnings.extend(set_aside(graph, options).await?);
    let run = run::Run { context, write: &write, graph, options, operation: &operation, now };
    let outcome = run.all(report).await;
    // Also when the run ended early: whatever it published moved it.
    if let Ok(head) = graph.graph.head(&Branch::main()).await {
        report.manifest_version = Some(head);
    }
    outcome
}
