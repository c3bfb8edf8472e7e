//! Which tables of which branches are looked at, and what is found of each. Writes nothing.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use futures::{FutureExt, StreamExt};
use lancekeeper_model::{Branch, BranchSelection, Pin, RepairOptions, Snapshot};
use lancekeeper_planner::repair::{RepairPlan, plan_repair};
use lancekeeper_reconciler::repair::{Drifted, RepairError, look};

use super::{RepairRootError, wish};
use crate::root::{ReadGraph, ReadRoot, TargetError};
use crate::run::Context;
use crate::run::concurrency::in_order;

/// A table with what was found of it.
pub(super) struct Found {
    pub(super) pin: Pin,
    pub(super) seen: Result<(Drifted, RepairPlan), RepairError>,
}

/// The branches that were asked for.
///
/// # Errors
///
/// When one of them is not there.
pub(super) fn branches(
    graph: &ReadGraph,
    options: &RepairOptions,
) -> Result<Vec<Branch>, RepairRootError> {
    let all = || std::iter::once(Branch::main()).chain(graph.branches.iter().cloned());
    let wanted: Vec<Branch> = match &options.branches {
        BranchSelection::All => all().collect(),
        BranchSelection::Main => vec![Branch::main()],
        BranchSelection::Named(names) => names.iter().map(Branch::named).collect(),
    };
    match wanted.iter().find(|wanted| !all().any(|known| known == **wanted)) {
        None => Ok(wanted),
        Some(branch) => {
            let known: Vec<&str> = graph.branches.iter().map(Branch::label).collect();
            let (name, known) = (branch.label().to_owned(), known.join(", "));
            Err(TargetError::NoBranch { name, known }.into())
        }
    }
}

/// Refuses the name of a table that no branch has which was asked for. A branch that cannot be read is told in
/// its own row.
pub(super) async fn check_names(
    graph: &ReadGraph,
    options: &RepairOptions,
) -> Result<(), RepairRootError> {
    let branches = branches(graph, options)?;
    if options.tables.is_empty() {
        return Ok(());
    }
    let mut known = BTreeSet::new();
    for branch in branches {
        if let Ok(snapshot) = graph.graph.snapshot(&branch).await {
            known.extend(snapshot.pins.into_iter().map(|pin| pin.key.to_string()));
        }
    }
    match options.tables.iter().find(|name| !known.contains(*name)) {
        None => Ok(()),
        Some(name) => {
            let known = known.into_iter().collect::<Vec<_>>().join(", ");
            Err(TargetError::Unknown { name: name.clone(), known }.into())
        }
    }
}

/// The tables that were asked for of which a branch has versions of its own. What it reads from where it was cut
/// stands still, whatever is committed there.
pub(super) fn own_pins(snapshot: &Snapshot, options: &RepairOptions) -> Vec<Pin> {
    let is_wanted = |pin: &&Pin| {
        let names = &options.tables;
        let is_named = names.is_empty() || names.iter().any(|name| name == pin.key.as_str());
        is_named && pin.table_branch == snapshot.branch
    };
    snapshot.pins.iter().filter(is_wanted).cloned().collect()
}

/// Looks at tables, and decides about each.
pub(super) async fn tables(
    context: &Context,
    read: &ReadRoot,
    pins: Vec<Pin>,
    options: &RepairOptions,
    now: DateTime<Utc>,
) -> Vec<Found> {
    let at_once = context.tables_at_once(options.concurrency, pins.len());
    let looks = pins.into_iter().map(|pin| {
        let found = async move {
            let seen = look(&read.root, &read.tables, &pin).await.map(|drifted| {
                let plan = plan_repair(&drifted.facts, wish(options), now);
                (drifted, plan)
            });
            Found { pin, seen }
        };
        found.boxed()
    });
    in_order(looks.collect(), at_once).collect().await
}
