//! What readers would see change, counted by the ids of rows. No value is read.

use arrow_array::cast::AsArray;
use arrow_array::types::UInt64Type;
use futures::{FutureExt, TryStreamExt};
use lance::Dataset;
use lance_core::{ROW_ID, ROW_LAST_UPDATED_AT_VERSION};
use lancekeeper_model::{RowChanges, Version};
use lancekeeper_store::tables::version_of;
use roaring::RoaringTreemap;

/// What becomes of rows from one version of a table to a later one; `None` where rows have no ids that stay.
pub(super) async fn changes(pinned: &Dataset, head: &Dataset) -> lance::Result<Option<RowChanges>> {
    let keep_ids = |table: &Dataset| table.manifest().uses_stable_row_ids();
    if !keep_ids(pinned) || !keep_ids(head) {
        return Ok(None);
    }
    let pin = version_of(pinned);
    let before = rows(pinned, pin).boxed().await?;
    let after = rows(head, pin).boxed().await?;
    Ok(Some(RowChanges {
        appear: (&after.all - &before.all).len(),
        disappear: (&before.all - &after.all).len(),
        change: (&after.updated & &before.all).len(),
    }))
}

/// The live rows of a version.
#[derive(Debug, Default)]
struct Rows {
    all: RoaringTreemap,
    /// Those that were last written after a version.
    updated: RoaringTreemap,
}

async fn rows(table: &Dataset, since: Version) -> lance::Result<Rows> {
    let mut scan = table.scan();
    scan.project(&[ROW_LAST_UPDATED_AT_VERSION])?.with_row_id();
    let mut batches = Box::pin(scan.try_into_stream().await?);
    let mut rows = Rows::default();
    while let Some(batch) = batches.try_next().await? {
        let column = |name: &str| {
            batch.column_by_name(name).and_then(|c| c.as_primitive_opt::<UInt64Type>())
        };
        let Some(ids) = column(ROW_ID) else {
            return Err(lance::Error::internal("a scan for row ids has none"));
        };
        let updated = column(ROW_LAST_UPDATED_AT_VERSION);
        for (at, id) in ids.values().iter().enumerate() {
            rows.all.insert(*id);
            if updated.is_some_and(|updated| updated.value(at) > since.0) {
                rows.updated.insert(*id);
            }
        }
    }
    Ok(rows)
}
