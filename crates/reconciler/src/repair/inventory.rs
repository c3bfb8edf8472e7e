//! The facts of one table that may have drifted. Writes nothing.

use std::collections::BTreeMap;

use lance::Dataset;
use lancekeeper_model::{Branch, DriftClass, ErrorKind, Pin, RowChanges, TableRef, Version};
use lancekeeper_planner::repair::{DriftFacts, classify};
use lancekeeper_store::tables::version_of;
use lancekeeper_store::{LanceFailure, OpenError, Root, Tables};

use super::RepairError;
use super::history::versions_after;
use super::rows::changes;

/// A table that was looked at.
#[derive(Debug, Clone)]
pub struct Drifted {
    /// What is known of it.
    pub facts: DriftFacts,
    /// What publishing HEAD changes for readers; `None` for maintenance, and where it cannot be told.
    pub changes: Option<RowChanges>,
    /// The table at the HEAD that was looked at.
    pub head: Dataset,
}

/// Looks at a table that a branch owns.
///
/// # Errors
///
/// When its HEAD cannot be read.
pub async fn look(root: &Root, tables: &Tables, pin: &Pin) -> Result<Drifted, RepairError> {
    let table = TableRef { key: pin.key.clone(), branch: pin.table_branch.clone() };
    let uri = root.address_of(&pin.location);
    let failed = |what: &str| {
        let what = format!("failed to read {what} of {table}");
        move |source| LanceFailure::new(what, source)
    };
    let head = tables.open(&uri, &table.branch).await?;
    let newest = version_of(&head);
    let mut facts = DriftFacts {
        table: table.clone(),
        pin: pin.version,
        rows_pinned: None,
        head: newest,
        rows_head: count(&head).await.map_err(failed("the rows"))?,
        newest_at: head.version().timestamp,
        versions: Vec::new(),
        tags: BTreeMap::new(),
    };
    if newest <= pin.version {
        facts.rows_pinned = (newest == pin.version).then_some(facts.rows_head);
        return Ok(Drifted { facts, changes: None, head });
    }
    let pinned = pinned(tables, &uri, &table, pin.version).await?;
    if let Some(pinned) = &pinned {
        facts.rows_pinned = Some(count(pinned).await.map_err(failed("the pinned rows"))?);
    }
    facts.versions = versions_after(&head, pin.version, newest).await;
    let tags = head.tags().list().await.map_err(failed("the tags"))?;
    facts.tags = tags
        .into_iter()
        .map(|(name, tag)| (name, (Branch::from(tag.branch), Version(tag.version))))
        .collect();
    let is_proven = classify(&facts).0 == DriftClass::VerifiedMaintenance;
    let changes = match pinned {
        // What cannot be compared is said as unknown: the decision does not stand on it.
        Some(pinned) if !is_proven => changes(&pinned, &head).await.unwrap_or_else(|error| {
            tracing::warn!(target: "lancekeeper::repair", %table, %error, "rows could not be compared");
            None
        }),
        _ => None,
    };
    Ok(Drifted { facts, changes, head })
}

/// The version that readers are sent to; `None` when it is gone or damaged.
async fn pinned(
    tables: &Tables,
    uri: &str,
    table: &TableRef,
    pin: Version,
) -> Result<Option<Dataset>, OpenError> {
    match tables.open_at(uri, &table.branch, pin).await {
        Ok(pinned) => Ok(Some(pinned)),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Corrupt) => Ok(None),
        Err(error) => Err(error),
    }
}

async fn count(version: &Dataset) -> lance::Result<u64> {
    Ok(version.count_rows(None).await? as u64)
}
