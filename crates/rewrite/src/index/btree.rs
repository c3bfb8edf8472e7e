//! B-trees over row ids, version 0: the form that all clients of a graph read. One that is there
//! is merged with the rows that it does not cover; what cannot be merged, and what is to be made
//! anew, is trained on all rows. Not here: B-trees in Lance's own form (`build`), and which index
//! is worked on (`planner`).
//!
//! # Memory
//!
//! No column is in memory as a whole, nor an index: new rows are sorted with files to spill to
//! ([`rows`]), and pages of the old index are read in order while those of the new one are
//! written. What grows with the table are sets of row ids, a bit or two bytes each.
//! The least that is held are some pages of 4,096 rows, whatever their width: that is Lance's form.

mod merge;
mod pages;
mod rows;

use std::sync::Arc;

use arrow_schema::Field;
use chrono::Utc;
use futures::FutureExt;
use lance::Dataset;
use lance::dataset::index::LanceIndexStoreExt;
use lance_core::datatypes::Field as LanceField;
use lance_index::progress::noop_progress;
use lance_index::scalar::btree::{BTREE_ROW_ID_DOMAIN_VERSION, BTreeIndexPlugin};
use lance_index::scalar::lance_format::LanceIndexStore;
use lance_index::scalar::registry::BasicTrainer;
use lance_index::scalar::{CreatedIndex, index_files_to_table};
use lance_table::format::IndexMetadata;
use lancekeeper_planner::index::{IndexAction, IndexWork};
use lancekeeper_store::failure::{full_text, guarded};
use uuid::Uuid;

/// Older clients know B-trees over row ids, and ignore newer versions.
const VERSION: i32 = BTREE_ROW_ID_DOMAIN_VERSION as i32;
/// As Lance trains a B-tree of which nothing else is said.
const DEFAULT_PARAMETERS: &str = "{}";

/// A B-tree over (value, row id) of every row.
pub(super) async fn row_id_btree(
    table: &Dataset,
    index: &IndexWork,
    uuid: Uuid,
) -> lance::Result<IndexMetadata> {
    let field = field_of(table, &index.column)?;
    let rows = table.count_rows(None).await? as u64;
    if rows == 0 {
        return Err(lance::Error::invalid_input("the column has no rows to train on"));
    }
    if let IndexAction::Refresh { .. } = index.action {
        // What an old index holds is not ours: whatever is wrong with it, the rows are there.
        match guarded(table.uri(), merge::merged(table, index, uuid, rows).boxed()).await {
            Ok(created) => return Ok(segment(table, index, uuid, field, created)),
            Err(error) => tracing::warn!(target: "lancekeeper::optimize", index = %index.name,
                table = table.uri(), reason = %full_text(&error),
                "new rows cannot be merged into an index, which is trained on all rows"),
        }
    }
    let created = trained(table, index, field, uuid).await?;
    Ok(segment(table, index, uuid, field, created))
}

/// The field that a path leads to.
fn field_of<'t>(table: &'t Dataset, column: &str) -> lance::Result<&'t LanceField> {
    let path = table.schema().resolve_case_insensitive(column);
    path.and_then(|fields| fields.last().copied())
        .ok_or_else(|| lance::Error::invalid_input(format!("there is no column {column}")))
}

/// The files of an index that is made from nothing but the table's rows.
async fn trained(
    table: &Dataset,
    index: &IndexWork,
    field: &LanceField,
    uuid: Uuid,
) -> lance::Result<CreatedIndex> {
    let all = rows::sorted(table, &index.column, None).await?;
    let request = BTreeIndexPlugin.new_training_request(DEFAULT_PARAMETERS, &Field::from(field))?;
    let store = LanceIndexStore::from_dataset_for_new(table, &uuid)?;
    BTreeIndexPlugin.train_index(all, &store, request, None, noop_progress()).await
}

/// The entry of an index over every fragment, whatever version Lance would give it.
fn segment(
    table: &Dataset,
    index: &IndexWork,
    uuid: Uuid,
    field: &LanceField,
    created: CreatedIndex,
) -> IndexMetadata {
    let fragments = table.fragments().iter().filter_map(|f| u32::try_from(f.id).ok());
    IndexMetadata {
        uuid,
        name: index.name.clone(),
        fields: vec![field.id],
        covering_fields: Vec::new(),
        dataset_version: table.manifest().version,
        fragment_bitmap: Some(fragments.collect()),
        index_details: Some(Arc::new(created.index_details)),
        index_version: VERSION,
        created_at: Some(Utc::now()),
        base_id: None,
        files: Some(index_files_to_table(created.files)),
    }
}
