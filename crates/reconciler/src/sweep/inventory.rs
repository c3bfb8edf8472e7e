//! The facts of a sweep. Writes nothing.

use std::collections::BTreeMap;

use lancekeeper_manifest::{FoundSidecar, Graph, Sidecar};
use lancekeeper_model::{Branch, OperationId, Snapshot, TableKey, TableRef, Version};
use lancekeeper_planner::recover::Unread;
use lancekeeper_planner::sweep::{SidecarFacts, SidecarTableFacts, SweepInventory};
use lancekeeper_store::Tables;
use lancekeeper_store::failure::{hint_of, text_with_hint};
use lancekeeper_store::owner::{Owner, owners_between};
use lancekeeper_store::tables::version_of;

use crate::sweep::report::SweepError;

/// Looks at every sidecar. Tables of foreign ones are named but not opened.
///
/// A pin or a table that cannot be read is no error: it is said in the facts of the sidecars of ours that name it, about
/// which nothing may be decided then.
///
/// # Errors
///
/// When branches cannot be listed.
pub async fn inventory(
    graph: &Graph,
    tables: &Tables,
    found: &[FoundSidecar],
) -> Result<SweepInventory, SweepError> {
    let is_any_ours = found.iter().any(|file| file.our_operation().is_some());
    let branches = if is_any_ours { graph.branches().await? } else { Vec::new() };
    let mut snapshots = Snapshots { graph, branches, known: BTreeMap::new() };
    let mut sidecars = Vec::new();
    for file in found {
        sidecars.push(facts_of(file, tables, &mut snapshots).await);
    }
    Ok(SweepInventory { sidecars })
}

/// Snapshots by branch, each read once.
struct Snapshots<'a> {
    graph: &'a Graph,
    branches: Vec<Branch>,
    /// `None`: there is no such branch.
    known: BTreeMap<Branch, Option<Snapshot>>,
}

impl Snapshots<'_> {
    async fn of(&mut self, branch: &Branch) -> Result<Option<&Snapshot>, SweepError> {
        if !self.known.contains_key(branch) {
            let exists = branch.is_main() || self.branches.contains(branch);
            let snapshot = if exists { Some(self.graph.snapshot(branch).await?) } else { None };
            self.known.insert(branch.clone(), snapshot);
        }
        Ok(self.known.get(branch).and_then(Option::as_ref))
    }
}

async fn facts_of(
    file: &FoundSidecar,
    tables: &Tables,
    snapshots: &mut Snapshots<'_>,
) -> SidecarFacts {
    let operation = file.our_operation();
    let mut facts = SidecarFacts {
        file: file.path(),
        operation: operation.clone(),
        schema_version: None,
        writer_kind: String::new(),
        ours: operation.is_some(),
        readable: Ok(()),
        branch: Branch::main(),
        tables: Vec::new(),
        unread: None,
    };
    let sidecar = match &file.content {
        Ok(sidecar) => sidecar,
        Err(why) => {
            facts.readable = Err(why.clone());
            return facts;
        }
    };
    facts.schema_version = Some(sidecar.schema_version);
    facts.writer_kind.clone_from(&sidecar.writer_kind);
    facts.branch = Branch::from(sidecar.branch.clone());
    facts.tables = named_tables(sidecar);
    let Some(operation) = operation else { return facts };
    match our_tables(sidecar, &operation, &facts.branch, tables, snapshots).await {
        Ok(looked_at) => facts.tables = looked_at,
        Err(error) => facts.unread = Some(unread(&error)),
    }
    facts
}

/// Why nothing may be decided. Unless the machine is to blame, what cannot be read is damaged.
fn unread(error: &SweepError) -> Unread {
    let why = format!("what it points to cannot be read: {}", text_with_hint(error));
    Unread { why, may_pass: hint_of(error).is_some() }
}

fn named_tables(sidecar: &Sidecar) -> Vec<SidecarTableFacts> {
    sidecar
        .tables
        .iter()
        .map(|table| SidecarTableFacts {
            table: TableRef {
                key: TableKey::new(&table.table_key),
                branch: Branch::from(table.table_branch.clone()),
            },
            expected: Version(table.expected_version),
            pin: None,
            head: Version(table.expected_version),
            ahead: Vec::new(),
        })
        .collect()
}

async fn our_tables(
    sidecar: &Sidecar,
    operation: &OperationId,
    branch: &Branch,
    tables: &Tables,
    snapshots: &mut Snapshots<'_>,
) -> Result<Vec<SidecarTableFacts>, SweepError> {
    let mut facts = named_tables(sidecar);
    let root = snapshots.graph.root().clone();
    let snapshot = snapshots.of(branch).await?;
    for table in &mut facts {
        let Some(pin) = snapshot.and_then(|snapshot| snapshot.pin(&table.table.key)) else {
            continue;
        };
        let dataset = tables.open(&root.address_of(&pin.location), &table.table.branch).await?;
        table.pin = Some(pin.version);
        table.head = version_of(&dataset);
        table.ahead = owners_between(&dataset, pin.version, table.head)
            .await
            .iter()
            .map(|owner| *owner == Owner::Ours(operation.clone()))
            .collect();
        // The list is cut for chains nobody of ours could have made: what is cut is foreign.
        let distance = table.head.0.saturating_sub(pin.version.0);
        table.ahead.resize(usize::try_from(distance).unwrap_or(usize::MAX), false);
    }
    Ok(facts)
}
