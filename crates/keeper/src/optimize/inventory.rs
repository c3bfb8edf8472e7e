//! The facts of `optimize`: which tables, where they stand, and the plan for each.

use std::collections::BTreeSet;

use lance::Dataset;
use lancekeeper_model::{Branch, ErrorKind, SkipReason, TableOptimizeStats, TableRef, Version};
use lancekeeper_planner::optimize::{
    Authority, LayoutPolicy, RewritePlan, SidecarClaim, TableInventory, TablePlan, plan_table,
};
use lancekeeper_planner::sweep::SweepPlan;
use lancekeeper_store::LanceFailure;
use lancekeeper_store::owner::{Owner, owners_between};
use lancekeeper_store::root::RootError;
use lancekeeper_store::tables::version_of;
use thiserror::Error;

use crate::facts::{Totals, view};
use crate::open::ReadRoot;
use crate::optimize::report::{empty_stats, set_before, set_error};

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
    pub(crate) plan: Option<RewritePlan>,
    /// HEAD, when versions of ours lie between pin and HEAD and only need publishing.
    pub(crate) adopt: bool,
    /// Data files of the fragments to be replaced.
    pub(crate) files_to_remove: u64,
    /// Bytes of deleted rows that a rewrite would drop, by estimate.
    pub(crate) bytes_to_purge: u64,
}

/// The tables asked for could not be found out.
#[derive(Debug, Error)]
pub(crate) enum TargetError {
    /// The root cannot be listed.
    #[error(transparent)]
    Root(#[from] RootError),
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
            Self::Unknown { .. } => ErrorKind::Invalid,
        }
    }
}

/// The tables of a root, or those of them that were asked for by name.
pub(crate) fn targets(read: &ReadRoot, names: &[String]) -> Result<Vec<Target>, TargetError> {
    let all: Vec<Target> = match &read.graph {
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
    if let Some(name) = names.iter().find(|name| !known.contains(name.as_str())) {
        let known = known.into_iter().collect::<Vec<_>>().join(", ");
        return Err(TargetError::Unknown { name: name.clone(), known });
    }
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
    policy: &LayoutPolicy,
    sweep: Option<&SweepPlan>,
) -> TableRun {
    let mut run = TableRun {
        stats: empty_stats(&target.table),
        target,
        handle: None,
        plan: None,
        adopt: false,
        files_to_remove: 0,
        bytes_to_purge: 0,
    };
    let uri = read.root.address_of(&run.target.location);
    match read.tables.open(&uri, &run.target.table.branch).await {
        Ok(handle) => {
            if let Err(error) = plan_run(&mut run, handle, policy, sweep).await {
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
    policy: &LayoutPolicy,
    sweep: Option<&SweepPlan>,
) -> Result<(), LanceFailure> {
    let table = run.target.table.clone();
    let seen = view(&handle, &table).await?;
    set_before(&mut run.stats, Totals::of(&seen.facts.fragments));
    let head = version_of(&handle);
    let (authority, ahead_is_ours) = match run.target.pin {
        None => (Authority::Head { head }, false),
        Some(pin) => (Authority::Pinned { pin, head }, ours_between(&handle, pin, head).await),
    };
    run.handle = Some(handle);
    if let Some(why) = seen.untouchable {
        run.stats.reason = format!("left alone: {why}");
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
    match plan_table(&inventory, policy) {
        TablePlan::Rewrite(plan) => {
            run.stats.reason.clone_from(&plan.reason);
            let replaced = |id: u64| plan.groups.iter().any(|group| group.fragments.contains(&id));
            for fragment in inventory.facts.fragments.iter().filter(|f| replaced(f.id)) {
                run.files_to_remove += fragment.files;
                run.bytes_to_purge += fragment.bytes.saturating_sub(fragment.live_bytes());
            }
            run.plan = Some(plan);
        }
        TablePlan::Nothing { reason } => run.stats.reason = reason,
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

/// Whether every version between pin and HEAD was committed by a keeper.
async fn ours_between(handle: &Dataset, pin: Version, head: Version) -> bool {
    let owners = owners_between(handle, pin, head).await;
    !owners.is_empty() && owners.iter().all(|owner| matches!(owner, Owner::Ours(_)))
}

/// The tables of a graph that main owns: an entry of another branch is never drift of ours.
pub(crate) fn owned_by_main(target: &Target) -> bool {
    target.table.branch == Branch::main()
}
