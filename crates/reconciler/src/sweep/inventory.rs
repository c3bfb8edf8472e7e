//! The facts of a sweep. Writes nothing.

use std::collections::BTreeMap;

use lancekeeper_manifest::{FoundSidecar, Graph, Sidecar};
use lancekeeper_model::{Branch, OperationId, Snapshot, TableKey, TableRef, Version};
use lancekeeper_planner::sweep::{SidecarFacts, SidecarTableFacts, SweepInventory};
use lancekeeper_store::Tables;
use lancekeeper_store::owner::{Owner, owners_between};
use lancekeeper_store::tables::version_of;

use crate::sweep::report::SweepError;

/// Looks at every sidecar. Tables of foreign ones are named but not opened.
///
/// # Errors
///
/// When a pin or a table that a sidecar of ours names cannot be read: then nothing may be
/// decided.
pub async fn inventory(
    graph: &Graph,
    tables: &Tables,
    found: &[FoundSidecar],
) -> Result<SweepInventory, SweepError> {
    let mut snapshots = Snapshots { graph, known: BTreeMap::new() };
    let mut sidecars = Vec::new();
    for file in found {
        sidecars.push(facts_of(file, tables, &mut snapshots).await?);
    }
    Ok(SweepInventory { sidecars })
}

/// Snapshots by branch, each read once.
struct Snapshots<'a> {
    graph: &'a Graph,
    /// `None`: there is no such branch.
    known: BTreeMap<Branch, Option<Snapshot>>,
}

impl Snapshots<'_> {
    async fn of(&mut self, branch: &Branch) -> Result<Option<&Snapshot>, SweepError> {
        if !self.known.contains_key(branch) {
            let exists = branch.is_main() || self.graph.branches().await?.contains(branch);
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
) -> Result<SidecarFacts, SweepError> {
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
    };
    let sidecar = match &file.content {
        Ok(sidecar) => sidecar,
        Err(why) => {
            facts.readable = Err(why.clone());
            return Ok(facts);
        }
    };
    facts.schema_version = Some(sidecar.schema_version);
    facts.writer_kind.clone_from(&sidecar.writer_kind);
    facts.branch = Branch::from(sidecar.branch.clone());
    facts.tables = match operation {
        Some(operation) => {
            our_tables(sidecar, &operation, &facts.branch, tables, snapshots).await?
        }
        None => named_tables(sidecar),
    };
    Ok(facts)
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
