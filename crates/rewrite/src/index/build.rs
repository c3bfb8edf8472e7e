//! How the segments of one index are built. Not here: B-trees over row ids (`btree`), and whether
//! the result is worth anything (`accept`).

use lance::Dataset;
use lance::index::optimize::{IndexSegmentResult, plan_optimize_indices};
use lance::index::scalar::load_segment_params;
use lance::index::vector::VectorIndexParams;
use lance::index::{DatasetIndexExt, DatasetIndexInternalExt};
use lance_core::datatypes::parse_field_path;
use lance_index::metrics::NoOpMetricsCollector;
use lance_index::optimize::OptimizeOptions;
use lance_index::scalar::{BuiltinIndexType, InvertedIndexParams, ScalarIndexParams};
use lance_index::{IndexParams, IndexType};
use lance_linalg::distance::MetricType;
use lance_table::format::IndexMetadata;
use lancekeeper_model::IndexKind;
use lancekeeper_planner::index::{IndexAction, IndexWork};
use uuid::Uuid;

use super::BTreeForm;
use super::btree::row_id_btree;

/// A new segment, and the ids of those it replaces.
pub(super) type Built = (IndexMetadata, Vec<String>);

/// The new segments of one index. `name` is for one that is made anew.
pub(super) async fn build(
    table: &Dataset,
    index: &IndexWork,
    form: BTreeForm,
    name: Option<Uuid>,
) -> lance::Result<Vec<Built>> {
    let Some(uuid) = name else { return optimized(table, index).await };
    let all = |segment| vec![(segment, index.segments.clone())];
    if index.kind == IndexKind::BTree && form == BTreeForm::RowIds {
        return Ok(all(row_id_btree(table, index, uuid).await?));
    }
    if is_made_anew(index) {
        return Ok(all(create(table, index, uuid).await?));
    }
    match optimized(table, index).await {
        // Of some kinds Lance can make a segment and not add to one.
        Err(error) => match create(table, index, uuid).await {
            Ok(segment) => Ok(all(segment)),
            Err(_) => Err(error),
        },
        built => built,
    }
}

/// Whether an index is made from nothing but the table's rows.
///
/// Lance's own retraining leaves scalar and full-text indexes that cover everything as they
/// are. And of an index on a nested field it trains by the name of the leaf, which may be that
/// of another column.
pub(super) fn is_made_anew(index: &IndexWork) -> bool {
    match (index.action, index.kind) {
        (IndexAction::Create, _) => true,
        (_, IndexKind::Vector) => false,
        (IndexAction::Rebuild, _) => true,
        (IndexAction::Refresh { .. }, IndexKind::FullText) => false,
        (IndexAction::Refresh { .. }, _) => is_a_path(index),
    }
}

/// Whether the path of an index's field is more than the name of a column.
fn is_a_path(index: &IndexWork) -> bool {
    match parse_field_path(&index.column).as_deref() {
        Ok([name]) => *name != index.column,
        _ => true,
    }
}

/// How a full-text index tokenizes: as the one it replaces, else by default. Read from the
/// index's own files: what the manifest says of it leaves out stop words of the owner's.
async fn text_params(table: &Dataset, index: &IndexWork) -> lance::Result<InvertedIndexParams> {
    match table.load_indices_by_name(&index.name).await?.last() {
        Some(segment) => load_segment_params(table, segment).await,
        None => Ok(InvertedIndexParams::default()),
    }
}

/// The parameters of a scalar index that exists, read from the newest of its segments.
async fn scalar_params(table: &Dataset, index: &IndexWork) -> lance::Result<ScalarIndexParams> {
    let segments = table.load_indices_by_name(&index.name).await?;
    let newest = segments.last().ok_or_else(|| {
        lance::Error::index(format!("index {} is not there any more", index.name))
    })?;
    let opened =
        table.open_scalar_index_for_maintenance(&index.column, &newest.uuid, &NoOpMetricsCollector);
    opened.await?.derive_index_params()
}

/// An index made from nothing but the table's rows, with the parameters that it had.
async fn create(table: &Dataset, index: &IndexWork, uuid: Uuid) -> lance::Result<IndexMetadata> {
    let is_new = index.action == IndexAction::Create;
    let (kind, params): (IndexType, Box<dyn IndexParams>) = match index.kind {
        IndexKind::FullText => (IndexType::Inverted, Box::new(text_params(table, index).await?)),
        // One partition: exact, and what the graph's clients build.
        IndexKind::Vector => {
            (IndexType::Vector, Box::new(VectorIndexParams::ivf_flat(1, MetricType::L2)))
        }
        IndexKind::BTree if is_new => {
            let params = ScalarIndexParams::for_builtin(BuiltinIndexType::BTree);
            (IndexType::BTree, Box::new(params))
        }
        IndexKind::ZoneMap if is_new => {
            let params = ScalarIndexParams::for_builtin(BuiltinIndexType::ZoneMap);
            (IndexType::ZoneMap, Box::new(params))
        }
        // Schemas declare none: what it would be built as, nobody has said.
        IndexKind::Other if is_new => {
            return Err(lance::Error::index("an index of an unknown kind cannot be made"));
        }
        IndexKind::BTree | IndexKind::ZoneMap | IndexKind::Other => {
            (IndexType::Scalar, Box::new(scalar_params(table, index).await?))
        }
    };
    let mut handle = table.clone();
    handle
        .create_index_builder(&[index.column.as_str()], kind, params.as_ref())
        .name(index.name.clone())
        .index_uuid(uuid)
        .replace(true)
        .execute_uncommitted()
        .await
}

/// An index refreshed or rebuilt by Lance's own means.
async fn optimized(table: &Dataset, index: &IndexWork) -> lance::Result<Vec<Built>> {
    let options = match index.action {
        IndexAction::Refresh { merge } => OptimizeOptions::merge(merge),
        IndexAction::Create | IndexAction::Rebuild => OptimizeOptions::retrain(),
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
