//! The version without rows that takes the place of a dropped table's newest.

use lance::dataset::transaction::Operation;
use lancekeeper_model::{Branch, OperationId, TableRef, Version};
use lancekeeper_store::strict::{Signature, commit};
use lancekeeper_store::{Root, Tables};

use crate::cleanup::dataset::DatasetInventory;
use crate::cleanup::report::CleanupError;

const STEP: &str = "empty-0";

/// Commits a version without fragments and indexes on top of `newest`, the version that a plan
/// says goes although it is the newest. Schema, row ids and everything a writer asks a table
/// for stay as they are. The caller holds the root's lock and the table's keys, and has just
/// looked again.
///
/// # Errors
///
/// When somebody committed after `newest`: then the table is not what was planned.
///
/// # Cancel safety
///
/// The version is there or not. Nothing pins the table, so nobody reads either; the next
/// cleanup finds what it has to do.
pub async fn empty(
    tables: &Tables,
    root: &Root,
    dataset: &DatasetInventory,
    newest: Version,
    operation: &OperationId,
) -> Result<(), CleanupError> {
    let uri = root.address_of(&dataset.facts.location);
    let head = tables.open_at(&uri, &Branch::main(), newest).await?;
    let nothing = Operation::Overwrite {
        fragments: Vec::new(),
        schema: head.schema().clone(),
        config_upsert_values: None,
        initial_bases: None,
    };
    let table = TableRef { key: dataset.facts.table.clone(), branch: Branch::main() };
    let signature = Signature { operation: operation.clone(), table, step: STEP.to_owned() };
    commit(&head, nothing, &signature).await?;
    Ok(())
}
