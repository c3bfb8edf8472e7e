//! The facts of `optimize`: which tables, where they stand, and the plan for each.

use std::collections::BTreeSet;

use lance::Dataset;
use lancekeeper_manifest::GraphError;
use lancekeeper_model::{
    Branch, BranchSelection, DeclaredIndex, ErrorKind, FragmentFacts, IndexKind, IndexMode,
    OptimizeOptions, SkipReason, TableOptimizeStats, TableRef, Version,
};
use lancekeeper_planner::index::{IndexInventory, IndexWork, plan_indexes};
use lancekeeper_planner::optimize::{
    Authority, LayoutPolicy, PolicyError, RewritePlan, SidecarClaim, TableInventory, TablePlan,
    plan_table,
};
use lancekeeper_planner::sweep::SweepPlan;
use lancekeeper_rewrite::check::{RowsError, same_rows};
use lancekeeper_store::LanceFailure;
use lancekeeper_store::owner::{Owner, owners_between};
use lancekeeper_store::root::RootError;
use lancekeeper_store::tables::version_of;
use thiserror::Error;

use crate::facts::view;
use crate::open::{ReadGraph, ReadRoot};
use crate::optimize::report::{empty_stats, set_before, set_error};

/// What the caller wants of every table.
#[derive(Debug, Clone)]
pub(crate) struct Wish {
    pub(crate) layout: LayoutPolicy,
    pub(crate) index: IndexMode,
}

impl Wish {
    pub(crate) fn from_options(options: &OptimizeOptions) -> Result<Self, PolicyError> {
        Ok(Self { layout: LayoutPolicy::from_options(options)?, index: options.index })
    }
}

/// A table to look at.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) table: TableRef,
    /// Relative to the root.
    pub(crate) location: String,
    /// In a graph: the pinned version.
    pub(crate) pin: Option<Version>,
}

/// One table in one run.
#[derive(Debug)]
pub(crate) struct TableRun {
    pub(crate) target: Target,
    pub(crate) stats: TableOptimizeStats,
    /// The table at the version that was looked at.
    pub(crate) handle: Option<Dataset>,
    /// What to rewrite; `None` when there is nothing to do or the table must be left alone.
    /// Without groups when only indexes are worked on.
    pub(crate) plan: Option<RewritePlan>,
    /// What to do with the indexes.
    pub(crate) index_work: Vec<IndexWork>,
    /// Bytes to read for that, by estimate.
    pub(crate) index_bytes: u64,
    /// The same in words.
    pub(crate) index_reason: String,
    /// HEAD, when versions of ours lie between pin and HEAD and only need publishing.
    pub(crate) adopt: bool,
    /// What was planned on; empty when no fragment is to be rewritten.
    pub(crate) fragments: Vec<FragmentFacts>,
}

impl TableRun {
    /// A plan whose reason tells of the indexes as well.
    pub(crate) fn with_index_reason(&self, mut plan: RewritePlan) -> RewritePlan {
        if !self.index_reason.is_empty() {
            let join = if plan.reason.is_empty() { "" } else { ", " };
            plan.reason = format!("{}{join}{}", plan.reason, self.index_reason);
        }
        plan
    }
}

/// The tables asked for could not be found out.
#[derive(Debug, Error)]
pub(crate) enum TargetError {
    /// The root cannot be listed.
    #[error(transparent)]
    Root(#[from] RootError),
    /// A branch cannot be read.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// A branch was asked for that is not there.
    #[error("there is no branch {name:?}; there are main, {known}")]
    NoBranch {
        /// What was asked for.
        name: String,
        /// What there is besides main.
        known: String,
    },
    /// A table was asked for that is not there.
    #[error("there is no table {name:?}; there are {known}")]
    Unknown {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
}

impl TargetError {
    pub(crate) fn kind(&self) -> ErrorKind {
        match self {
            Self::Root(error) => error.kind(),
            Self::Graph(error) => error.kind(),
            Self::Unknown { .. } | Self::NoBranch { .. } => ErrorKind::Invalid,
        }
    }
}

/// The graph as each branch that was asked for sees it. Internal and run branches are no
/// branches here.
///
/// # Errors
///
/// When a branch was asked for that is not there, or cannot be read.
pub(crate) async fn branch_views(
    graph: &ReadGraph,
    selection: &BranchSelection,
) -> Result<Vec<ReadGraph>, TargetError> {
    let wanted: Vec<Branch> = match selection {
        BranchSelection::Main => vec![Branch::main()],
        BranchSelection::Named(names) => names.iter().map(Branch::named).collect(),
        BranchSelection::All => {
            std::iter::once(Branch::main()).chain(graph.branches.iter().cloned()).collect()
        }
    };
    let mut views = Vec::new();
    for branch in wanted {
        if branch.is_main() {
            views.push(graph.clone());
        } else if graph.branches.contains(&branch) {
            let snapshot = graph.graph.snapshot(&branch).await?;
            views.push(ReadGraph { snapshot, ..graph.clone() });
        } else {
            let known: Vec<&str> = graph.branches.iter().map(Branch::label).collect();
            let name = branch.label().to_owned();
            return Err(TargetError::NoBranch { name, known: known.join(", ") });
        }
    }
    Ok(views)
}

/// The tables of a root, or those of them that were asked for by name; of a graph, as a
/// branch sees them. A name must be that of a table even if all are asked for besides.
pub(crate) fn targets(
    read: &ReadRoot,
    graph: Option<&ReadGraph>,
    options: &OptimizeOptions,
) -> Result<Vec<Target>, TargetError> {
    let all: Vec<Target> = match graph {
        Some(graph) => graph
            .snapshot
            .pins
            .iter()
            .map(|pin| Target {
                table: TableRef { key: pin.key.clone(), branch: pin.table_branch.clone() },
                location: pin.location.clone(),
                pin: Some(pin.version),
            })
            .collect(),
        None => read
            .root
            .plain_tables()?
            .into_iter()
            .map(|(key, location)| Target { table: TableRef::on_main(key), location, pin: None })
            .collect(),
    };
    let known: BTreeSet<&str> = all.iter().map(|target| target.table.key.as_str()).collect();
    if let Some(name) = options.tables.iter().find(|name| !known.contains(name.as_str())) {
        let known = known.into_iter().collect::<Vec<_>>().join(", ");
        return Err(TargetError::Unknown { name: name.clone(), known });
    }
    let names = options.selected();
    let wanted = |target: &Target| {
        names.is_empty() || names.iter().any(|name| name == target.table.key.as_str())
    };
    Ok(all.into_iter().filter(wanted).collect())
}

/// The foreign sidecar that claims a table, if one does.
pub(crate) fn claim_of(sweep: Option<&SweepPlan>, table: &TableRef) -> Option<SidecarClaim> {
    let (_, claim) = sweep?.blocked.iter().find(|(blocked, _)| blocked == table)?;
    Some(claim.clone())
}

/// Looks at one table and plans it. A table that cannot be read gets a row with its error.
pub(crate) async fn look_at(
    read: &ReadRoot,
    target: Target,
    wish: &Wish,
    sweep: Option<&SweepPlan>,
) -> TableRun {
    let mut run = TableRun {
        stats: empty_stats(&target.table),
        target,
        handle: None,
        plan: None,
        index_work: Vec::new(),
        index_bytes: 0,
        index_reason: String::new(),
        adopt: false,
        fragments: Vec::new(),
    };
    let uri = read.root.address_of(&run.target.location);
    match read.tables.open(&uri, &run.target.table.branch).await {
        Ok(handle) => {
            if let Err(error) = plan_run(&mut run, handle, read, wish, sweep).await {
                set_error(&mut run.stats, error.kind(), &error);
            }
        }
        // The table is known to its authority, so a missing one is damage.
        Err(error) if error.kind() == ErrorKind::NotFound => {
            set_error(&mut run.stats, ErrorKind::Corrupt, &error);
        }
        Err(error) => set_error(&mut run.stats, error.kind(), &error),
    }
    run
}

/// Why a table's plan says that it is broken.
#[derive(Debug, Error)]
#[error("{0}")]
struct Broken(String);

async fn plan_run(
    run: &mut TableRun,
    handle: Dataset,
    read: &ReadRoot,
    wish: &Wish,
    sweep: Option<&SweepPlan>,
) -> Result<(), LanceFailure> {
    let table = run.target.table.clone();
    let seen = view(&handle, &table, wish.index).await?;
    set_before(&mut run.stats, seen.totals);
    let head = version_of(&handle);
    let (authority, ahead_is_ours) = match run.target.pin {
        None => (Authority::Head { head }, false),
        Some(pin) => (Authority::Pinned { pin, head }, ours_between(&handle, pin, head).await),
    };
    let indexes = IndexInventory {
        rows: run.stats.rows_before,
        existing: seen.indexes,
        declared: read.declared(&table.key).to_vec(),
        without_vectors: without_vectors(&handle, read.declared(&table.key)).await?,
    };
    let index_plan = plan_indexes(&indexes, wish.index);
    run.stats.pending_indexes.clone_from(&index_plan.pending);
    // No index is on a blob: what lies beside the data files is not read for one.
    run.index_bytes = index_plan.bytes_to_read(run.stats.rows_before, seen.totals.sizes.data_bytes);
    run.index_reason = index_plan.reason();
    run.handle = Some(handle);
    if let Some(untouchable) = seen.untouchable {
        run.stats.skipped = Some(untouchable.reason);
        run.stats.reason = untouchable.why;
        return Ok(());
    }
    let inventory = TableInventory {
        facts: seen.facts,
        authority,
        sidecar: claim_of(sweep, &table),
        ahead_is_ours,
    };
    run.adopt = inventory.sidecar.is_none()
        && ahead_is_ours
        && run.target.pin.is_some_and(|pin| head > pin);
    if run.adopt
        && let Some(error) = rows_differ(read, run).await?
    {
        run.adopt = false;
        set_error(&mut run.stats, error.kind(), &error);
        return Ok(());
    }
    match plan_table(&inventory, &wish.layout) {
        TablePlan::Rewrite(plan) => {
            let plan = run.with_index_reason(plan);
            run.stats.reason.clone_from(&plan.reason);
            run.index_work = index_plan.work;
            run.fragments = inventory.facts.fragments;
            run.plan = Some(plan);
        }
        TablePlan::Nothing { reason } if index_plan.work.is_empty() => run.stats.reason = reason,
        TablePlan::Nothing { .. } => {
            let reason = run.index_reason.clone();
            run.stats.reason.clone_from(&reason);
            run.index_work = index_plan.work;
            let version = inventory.facts.version;
            run.plan = Some(RewritePlan { table, version, groups: Vec::new(), reason });
        }
        TablePlan::Skip { reason, manifest_version, head, why } => {
            run.stats.reason = why;
            if reason == SkipReason::DriftNeedsRepair {
                run.stats.manifest_version = Some(manifest_version);
                run.stats.lance_head_version = Some(head);
            }
            run.stats.skipped = Some(reason);
        }
        TablePlan::Broken { why } => {
            set_error(&mut run.stats, ErrorKind::Corrupt, &Broken(format!("{table}: {why}")));
        }
    }
    Ok(())
}

/// The columns of declared vector indexes that hold no vector yet.
async fn without_vectors(
    handle: &Dataset,
    declared: &[DeclaredIndex],
) -> Result<Vec<String>, LanceFailure> {
    let mut empty = Vec::new();
    for index in declared.iter().filter(|index| index.kind == IndexKind::Vector) {
        let failed = |source| {
            LanceFailure::new(format!("failed to look for vectors in {}", index.column), source)
        };
        let mut scan = handle.scan();
        scan.project::<&str>(&[]).map_err(failed)?.with_row_id();
        scan.filter(&format!("`{}` IS NOT NULL", index.column)).map_err(failed)?;
        scan.limit(Some(1), None).map_err(failed)?;
        let found = Box::pin(scan.try_into_batch()).await.map_err(failed)?;
        if found.num_rows() == 0 {
            empty.push(index.column.clone());
        }
    }
    Ok(empty)
}

/// What is wrong with versions of ours that are about to be published: maintenance keeps every
/// row, so HEAD has as many as the pin.
async fn rows_differ(read: &ReadRoot, run: &TableRun) -> Result<Option<RowsError>, LanceFailure> {
    let (Some(head), Some(pin)) = (&run.handle, run.target.pin) else { return Ok(None) };
    let table = &run.target.table;
    let uri = read.root.address_of(&run.target.location);
    let pinned = read.tables.open_at(&uri, &table.branch, pin).await.map_err(|error| {
        LanceFailure::new(format!("failed to open {table} at its pin {pin}"), error.source)
    })?;
    Ok(same_rows(table, &pinned, head).await.err())
}

/// Whether every version between pin and HEAD was committed by a keeper.
async fn ours_between(handle: &Dataset, pin: Version, head: Version) -> bool {
    let owners = owners_between(handle, pin, head).await;
    !owners.is_empty() && owners.iter().all(|owner| matches!(owner, Owner::Ours(_)))
}

/// The row of a table that a branch reads from where it was cut. It is no drift of the
/// branch, and rewriting it here would undo the sharing.
pub(crate) fn inherited(target: &Target, branch: &Branch) -> TableOptimizeStats {
    let mut stats = empty_stats(&TableRef { branch: branch.clone(), ..target.table.clone() });
    stats.skipped = Some(SkipReason::Inherited);
    stats.reason = format!("the branch reads it from {}", target.table.branch);
    stats
}
