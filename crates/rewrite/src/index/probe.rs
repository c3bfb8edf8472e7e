//! Whether an index can be opened. Lance answers for one that cannot with silence: it skips the
//! merge, and a rewrite then ends what the index covers.

use futures::FutureExt;
use lance::Dataset;
use lance::index::DatasetIndexInternalExt;
use lance::index::vector::has_vectors_to_train;
use lance_index::metrics::NoOpMetricsCollector;
use lance_index::pb::VectorIndexDetails;
use lance_index::pb::vector_index_details::Compression;
use lance_table::format::IndexMetadata;
use lancekeeper_store::failure::{full_text, guarded};
use prost::Message;
use roaring::RoaringBitmap;

/// Why one of an index's segments cannot be opened; `None` when all can. `column` is the path
/// of its field. Reads the segments' metadata; writes nothing.
pub async fn cannot_be_opened(
    table: &Dataset,
    column: &str,
    segments: &[&IndexMetadata],
) -> Option<String> {
    for segment in segments.iter().filter(|segment| !is_definition(segment)) {
        let opening = async {
            let metrics = NoOpMetricsCollector;
            table
                .open_generic_index_for_maintenance(column, &segment.uuid, &metrics)
                .await
                .map(|_| ())
        };
        if let Err(error) = guarded(table.uri(), opening.boxed()).await {
            return Some(format!("it cannot be opened: {}", full_text(&error)));
        }
    }
    None
}

/// Why a vector index has to wait: its column holds fewer vectors than it takes to train its
/// quantizer. Such a table is searched by scanning, as fast and without error. `None` when it
/// need not wait, or when that cannot be told: then the attempt will tell.
pub async fn too_few_vectors(
    table: &Dataset,
    column: &str,
    segments: &[&IndexMetadata],
) -> Option<String> {
    let details = segments.last()?.index_details.as_ref()?;
    if !details.type_url.ends_with("VectorIndexDetails") {
        return None;
    }
    let details = VectorIndexDetails::decode(details.value.as_slice()).ok()?;
    let Some(Compression::Pq(quantizer)) = details.compression else { return None };
    let minimum = 1_usize.checked_shl(quantizer.num_bits)?;
    let is_enough = has_vectors_to_train(table, column, minimum).await.ok()?;
    (!is_enough).then(|| format!("the column holds fewer than the {minimum} vectors it takes"))
}

/// Whether a segment is only what an index is to be, not yet trained: it has no file.
#[must_use]
pub fn is_definition(segment: &IndexMetadata) -> bool {
    segment.files.as_ref().is_none_or(Vec::is_empty)
        && segment.fragment_bitmap.as_ref().is_some_and(RoaringBitmap::is_empty)
}
