//! Index upkeep, staged: new segments written beside the table, committed by one strict
//! CreateIndex that replaces the old ones.
//!
//! # Protocol
//!
//! Segments are built at the version the groups are staged at, over all its fragments. The
//! CreateIndex comes before the Rewrite: the other orders conflict or leave the rewritten
//! fragments uncovered. On tables with stable row ids the segments then follow the Rewrite by
//! themselves; on others they are carried over like any index.
//!
//! A strict commit is not checked by Lance against what others committed since, so a segment
//! may only be committed while every fragment it covers is at HEAD as it was
//! ([`crate::check::HeadCheck::segments`]).

use std::collections::HashSet;
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, RecordBatchIterator};
use arrow_schema::{Field, Schema};
use futures::{FutureExt, TryStreamExt};
use lance::Dataset;
use lance::dataset::scanner::ColumnOrdering;
use lance::dataset::transaction::Operation;
use lance::index::DatasetIndexExt;
use lance::index::optimize::{IndexSegmentResult, plan_optimize_indices};
use lance::index::vector::VectorIndexParams;
use lance_index::IndexType;
use lance_index::optimize::OptimizeOptions;
use lance_index::pbold::InvertedIndexDetails;
use lance_index::scalar::inverted::builder::is_staged_path;
use lance_index::scalar::{BuiltinIndexType, InvertedIndexParams, ScalarIndexParams};
use lance_linalg::distance::MetricType;
use lance_table::format::IndexMetadata;
use lancekeeper_model::{IndexKind, TableRef, Version};
use lancekeeper_planner::index::{IndexAction, IndexWork};
use lancekeeper_store::LanceFailure;
use lancekeeper_store::failure::guarded;
use lancekeeper_store::tables::version_of;
use prost::Message;
use uuid::Uuid;

use crate::damage::blame;
use crate::journal::StagedFile;

/// The column names by which a B-tree is trained.
const VALUE: &str = "value";
const ROW_ADDRESS: &str = "_rowaddr";
/// Older clients know B-trees over row ids, version 0, and ignore newer ones.
const ROW_ID_BTREE_VERSION: i32 = 0;

/// How B-trees are built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BTreeForm {
    /// Over row ids: what every client of a graph reads. Needs stable row ids.
    RowIds,
    /// As this Lance builds them.
    Native,
}

/// Segments that were built and not committed.
#[derive(Debug, Clone, Default)]
pub struct StagedIndexes {
    /// The new segments.
    pub new: Vec<IndexMetadata>,
    /// The segments they replace.
    pub replaced: Vec<IndexMetadata>,
    /// What was written.
    pub files: Vec<StagedFile>,
    /// The version they were built at.
    pub version: Version,
}

impl StagedIndexes {
    /// The commit that makes them visible.
    #[must_use]
    pub fn operation(&self) -> Operation {
        Operation::CreateIndex {
            new_indices: self.new.clone(),
            removed_indices: self.replaced.clone(),
        }
    }
}

/// The names of the segments to be built, chosen before anything is written: a build that
/// fails or is dropped half way leaves what it has written.
#[derive(Debug, Clone)]
pub struct SegmentNames {
    /// One per index. `None`: Lance chooses, and tells when the segment is done.
    chosen: Vec<Option<Uuid>>,
}

impl SegmentNames {
    /// Chooses names for all the work for which Lance lets us.
    #[must_use]
    pub fn choose(work: &[IndexWork], form: BTreeForm) -> Self {
        let is_ours = |index: &IndexWork| {
            index.action == IndexAction::Create
                || is_retrained(index)
                || (index.kind == IndexKind::BTree && form == BTreeForm::RowIds)
        };
        Self { chosen: work.iter().map(|index| is_ours(index).then(Uuid::new_v4)).collect() }
    }

    /// Where what is written under these names will lie.
    #[must_use]
    pub fn files(&self) -> Vec<StagedFile> {
        self.chosen.iter().flatten().map(|uuid| directory_of(*uuid)).collect()
    }
}

/// Builds the segments of a plan at the version the handle stands at, under names chosen for
/// this very work.
///
/// # Errors
///
/// When an index cannot be built. Segments that Lance named and built before are noted in
/// `built`, so that the caller can delete them beside those of `names`.
///
/// # Cancel safety
///
/// Nothing becomes visible. What is written under `names` is the caller's to delete; what
/// Lance names stays until collected.
pub async fn stage_indexes(
    table: &Dataset,
    table_ref: &TableRef,
    work: &[IndexWork],
    form: BTreeForm,
    names: &SegmentNames,
    built: &mut Vec<StagedFile>,
) -> Result<StagedIndexes, LanceFailure> {
    let mut staged = StagedIndexes { version: version_of(table), ..StagedIndexes::default() };
    let mut replaced = HashSet::new();
    for (index, name) in work.iter().zip(&names.chosen) {
        let results = match guarded(table.uri(), build(table, index, form, *name).boxed()).await {
            Ok(results) => results,
            Err(error) => {
                let what = format!("failed to build index {} of {table_ref}", index.name);
                return Err(LanceFailure::new(what, blame(table, table.fragments(), error).await));
            }
        };
        for (mut segment, replaces) in results {
            if let Some(files) = segment.files.as_mut() {
                // What a build leaves in its staging directory is no part of the index.
                files.retain(|file| !is_staged_path(&file.path));
            }
            built.push(directory_of(segment.uuid));
            replaced.extend(replaces);
            staged.new.push(segment);
        }
    }
    let existing = table
        .load_indices()
        .await
        .map_err(|source| LanceFailure::new("failed to read the indexes", source))?;
    staged.replaced = existing
        .iter()
        .filter(|index| replaced.contains(&index.uuid.to_string()))
        .cloned()
        .collect();
    staged.files.clone_from(built);
    Ok(staged)
}

/// The new segments of one index, each with the segments it replaces.
async fn build(
    table: &Dataset,
    index: &IndexWork,
    form: BTreeForm,
    name: Option<Uuid>,
) -> lance::Result<Vec<(IndexMetadata, Vec<String>)>> {
    match (name, index.kind, form) {
        (None, _, _) => optimized(table, index).await,
        (Some(uuid), IndexKind::BTree, BTreeForm::RowIds) => {
            Ok(vec![(row_id_btree(table, index, uuid).await?, index.replaces.clone())])
        }
        (Some(uuid), _, _) => Ok(vec![(create(table, index, uuid).await?, index.replaces.clone())]),
    }
}

fn directory_of(segment: Uuid) -> StagedFile {
    StagedFile { path: format!("_indices/{segment}"), bytes: None }
}

/// A B-tree over (value, row id) of every row.
async fn row_id_btree(
    table: &Dataset,
    index: &IndexWork,
    uuid: Uuid,
) -> lance::Result<IndexMetadata> {
    let mut scan = table.scan();
    scan.project(&[index.column.as_str()])?;
    scan.with_row_id();
    scan.order_by(Some(vec![ColumnOrdering::asc_nulls_first(index.column.clone())]))?;
    let batches: Vec<RecordBatch> = Box::pin(scan.try_into_stream()).await?.try_collect().await?;
    let shape = |batch: &RecordBatch| -> lance::Result<RecordBatch> {
        let value: ArrayRef = Arc::clone(batch.column(0));
        let row_id: ArrayRef = Arc::clone(batch.column(1));
        let schema = Schema::new(vec![
            Field::new(VALUE, value.data_type().clone(), true),
            Field::new(ROW_ADDRESS, row_id.data_type().clone(), false),
        ]);
        Ok(RecordBatch::try_new(Arc::new(schema), vec![value, row_id])?)
    };
    let batches = batches.iter().map(shape).collect::<lance::Result<Vec<_>>>()?;
    let Some(schema) = batches.first().map(RecordBatch::schema) else {
        return Err(lance::Error::invalid_input("the column has no rows to train on"));
    };
    let reader = RecordBatchIterator::new(batches.into_iter().map(Ok), schema);
    let params = ScalarIndexParams::for_builtin(BuiltinIndexType::BTree);
    let mut handle = table.clone();
    let mut segment = handle
        .create_index_builder(&[index.column.as_str()], IndexType::BTree, &params)
        .name(index.name.clone())
        .index_uuid(uuid)
        .replace(true)
        .preprocessed_data(Box::new(reader))
        .execute_uncommitted()
        .await?;
    segment.index_version = ROW_ID_BTREE_VERSION;
    Ok(segment)
}

/// Whether a rebuild makes the index anew. Lance's own retraining leaves scalar and full-text
/// indexes that cover everything as they are.
fn is_retrained(index: &IndexWork) -> bool {
    index.action == IndexAction::Rebuild
        && matches!(index.kind, IndexKind::BTree | IndexKind::FullText)
}

/// How a full-text index tokenizes: as the one it replaces, else by default.
async fn text_params(table: &Dataset, index: &IndexWork) -> lance::Result<InvertedIndexParams> {
    let existing = table.load_indices_by_name(&index.name).await?;
    match existing.iter().find_map(|segment| segment.index_details.as_ref()) {
        Some(details) => {
            let details = InvertedIndexDetails::decode(details.value.as_slice())
                .map_err(|error| lance::Error::index(error.to_string()))?;
            InvertedIndexParams::try_from(&details)
        }
        None => Ok(InvertedIndexParams::default()),
    }
}

/// An index made from nothing but the table's rows.
async fn create(table: &Dataset, index: &IndexWork, uuid: Uuid) -> lance::Result<IndexMetadata> {
    let mut handle = table.clone();
    let columns = [index.column.as_str()];
    match index.kind {
        IndexKind::FullText => {
            let params = text_params(table, index).await?;
            handle
                .create_index_builder(&columns, IndexType::Inverted, &params)
                .name(index.name.clone())
                .index_uuid(uuid)
                .replace(true)
                .execute_uncommitted()
                .await
        }
        IndexKind::Vector => {
            // One partition: exact, and what the graph's clients build.
            let params = VectorIndexParams::ivf_flat(1, MetricType::L2);
            handle
                .create_index_builder(&columns, IndexType::Vector, &params)
                .name(index.name.clone())
                .index_uuid(uuid)
                .execute_uncommitted()
                .await
        }
        IndexKind::BTree | IndexKind::Other => {
            let params = ScalarIndexParams::for_builtin(BuiltinIndexType::BTree);
            handle
                .create_index_builder(&columns, IndexType::BTree, &params)
                .name(index.name.clone())
                .index_uuid(uuid)
                .replace(true)
                .execute_uncommitted()
                .await
        }
    }
}

/// An index refreshed or rebuilt by Lance's own means, all its segments into one.
async fn optimized(
    table: &Dataset,
    index: &IndexWork,
) -> lance::Result<Vec<(IndexMetadata, Vec<String>)>> {
    let options = match index.action {
        IndexAction::Rebuild => OptimizeOptions::retrain(),
        _ => OptimizeOptions::merge(index.replaces.len().max(1)),
    };
    let options = options.index_names(vec![index.name.clone()]);
    let plan = plan_optimize_indices(table, &options).await?;
    let mut built = Vec::new();
    for task in &plan.tasks {
        built.extend(Box::pin(task.execute(table)).await?);
    }
    let mut merged: Vec<IndexSegmentResult> = Vec::new();
    for merge in &plan.merges {
        merged.extend(Box::pin(merge.execute(table, &built)).await?);
    }
    Ok(merged
        .into_iter()
        .map(|result| {
            let replaces = result.replaces.iter().map(ToString::to_string).collect();
            (result.segment, replaces)
        })
        .collect())
}
