//! `optimize`: compact the tables of a root, then publish them together.
//!
//! # Protocol
//!
//! Inventory and plan, stage without any lock, then per window of tables: enter (queue keys),
//! re-check, arm one sidecar per table, commit, publish once, disarm. `docs/architecture.md`
//! tells why in this order.
//!
//! # Crash consistency
//!
//! Up to the first commit of a table nothing is visible. From then until its publish an armed
//! sidecar covers it, and the next open for writing rolls it forward: a rewrite does not
//! change content. Databases and tables have no publish; their one visible step is the
//! Rewrite itself.

mod graph;
mod inventory;
mod plain;
mod publish;
mod report;
mod stage;
mod window;

use std::sync::atomic::AtomicU64;
use std::time::Instant;

use chrono::{DateTime, Utc};
use lancekeeper_model::{
    OperationId, OptimizeOptions, Progress, ProgressEvent, RootKind, RootOptimizeReport,
};
use lancekeeper_planner::optimize::LayoutPolicy;

use crate::keeper::{Keeper, millis};
use crate::open::{OpenRootError, WriteRoot, check_writable, look, read_root, write_root};
use crate::optimize::report::{root_failure, root_report};

pub(crate) use inventory::{TableRun, Target, TargetError, look_at, targets};

/// How often groups that a writer invalidated are planned and staged again in one run.
/// Maintenance yields to writers: what they keep changing waits for the next run.
const ROUNDS_MAX: u32 = 3;

/// One run over one root.
pub(crate) struct Run<'a> {
    pub(crate) keeper: &'a Keeper,
    pub(crate) write: &'a WriteRoot,
    pub(crate) operation: OperationId,
    pub(crate) policy: LayoutPolicy,
    pub(crate) options: &'a OptimizeOptions,
    pub(crate) progress: &'a dyn Progress,
    /// Numbers journal entries.
    pub(crate) entries: AtomicU64,
}

/// Optimizes one root. Never fails: the report says what went wrong.
///
/// # Cancel safety
///
/// As the verb's.
pub(crate) async fn optimize_root(
    keeper: &Keeper,
    uri: &str,
    options: &OptimizeOptions,
    progress: &dyn Progress,
) -> RootOptimizeReport {
    let now = Utc::now();
    let policy = match LayoutPolicy::from_options(options) {
        Ok(policy) => policy,
        Err(error) => return root_failure(uri, None, error.kind(), &error, None),
    };
    let root = match look(uri).await {
        Ok(root) => root,
        Err(error) => return open_failure(uri, None, &error),
    };
    let kind = root.kind;
    progress.on_event(ProgressEvent::RootOpened { uri: uri.to_owned(), kind });
    let operation = OperationId::new(ulid::Ulid::generate().to_string());
    let write = match write_root(root, &keeper.tables, "optimize", &options.tables, &operation, now)
        .await
    {
        Ok(write) => write,
        Err(error) => return open_failure(uri, Some(kind), &error),
    };
    let run = Run {
        keeper,
        write: &write,
        operation,
        policy,
        options,
        progress,
        entries: AtomicU64::new(0),
    };
    let targets = match targets(&write.read, &options.tables) {
        Ok(targets) => targets,
        Err(error) => return root_failure(uri, Some(kind), error.kind(), &error, None),
    };
    let mut report = root_report(uri, kind);
    match &write.read.graph {
        Some(graph) => graph::run(&run, graph, targets, &mut report).await,
        None => plain::run(&run, targets, &mut report).await,
    }
    report
}

/// Plans one root without writing anything.
pub(crate) async fn plan_root(
    keeper: &Keeper,
    uri: &str,
    options: &OptimizeOptions,
    now: DateTime<Utc>,
) -> RootOptimizeReport {
    let policy = match LayoutPolicy::from_options(options) {
        Ok(policy) => policy,
        Err(error) => return root_failure(uri, None, error.kind(), &error, None),
    };
    let root = match look(uri).await {
        Ok(root) => root,
        Err(error) => return open_failure(uri, None, &error),
    };
    let kind = root.kind;
    let checked = async {
        let read = read_root(root, &keeper.tables).await?;
        check_writable(&read, "optimize", &options.tables, now).await?;
        Ok::<_, OpenRootError>(read)
    };
    let read = match checked.await {
        Ok(read) => read,
        Err(error) => return open_failure(uri, Some(kind), &error),
    };
    let targets = match targets(&read, &options.tables) {
        Ok(targets) => targets,
        Err(error) => return root_failure(uri, Some(kind), error.kind(), &error, None),
    };
    let mut report = root_report(uri, kind);
    for target in targets {
        let started = Instant::now();
        let mut table = look_at(&read, target, &policy, None).await;
        report::preview(&mut table);
        table.stats.duration_ms = millis(started);
        report.tables.push(table.stats);
    }
    report
}

fn open_failure(uri: &str, kind: Option<RootKind>, error: &OpenRootError) -> RootOptimizeReport {
    root_failure(uri, kind, error.kind(), error, error.hint())
}
