//! Merging an index with the rows that it does not cover. Reads the index's pages and the new
//! rows, and nothing else of the column. Not here: what is done where that cannot be.
//!
//! # What goes
//!
//! An entry stays if its row is alive in a fragment that its own segment covers. The entries of
//! deleted rows go by that, and of updated ones: such a row keeps its id, is deleted in the
//! fragment where it was and lives in another, from which its new value comes. Judged by the ids
//! of the whole table instead, the old value would stay.
//!
//! # What is believed
//!
//! Nothing of what the old index says: the pages written must be in order and name every live row
//! once ([`PageStore`]). Clients have left behind indexes with the old value of updated rows, and
//! without rows that are there; merged, that would never heal.

use std::sync::Arc;

use lance::Dataset;
use lance::dataset::index::LanceIndexStoreExt;
use lance::index::DatasetIndexExt;
use lance_core::cache::LanceCache;
use lance_index::scalar::btree::{BTreeIndex, BTreeIndexPlugin};
use lance_index::scalar::lance_format::LanceIndexStore;
use lance_index::scalar::registry::ScalarIndexPlugin;
use lance_index::scalar::{CreatedIndex, OldIndexDataFilter, ScalarIndex};
use lance_table::format::{Fragment, IndexMetadata};
use lancekeeper_model::IndexKind;
use lancekeeper_planner::index::IndexWork;
use uuid::Uuid;

use super::pages::PageStore;
use super::{VERSION, rows};
use crate::index::kind::kind_of_index;

/// The files of an index over all rows, of which there are so many, merged from its segments and
/// the rows that none of them covers.
pub(super) async fn merged(
    table: &Dataset,
    index: &IndexWork,
    uuid: Uuid,
    row_count: u64,
) -> lance::Result<CreatedIndex> {
    let segments = table.load_indices_by_name(&index.name).await?;
    if let Some(obstacle) = obstacle(&segments) {
        return Err(lance::Error::index(obstacle));
    }
    let shares = Shares::of(table, &segments)?;
    let mut old = Vec::with_capacity(segments.len());
    let mut filters = Vec::with_capacity(segments.len());
    for (segment, fragments) in segments.iter().zip(&shares.covered) {
        old.push(open(table, segment).await?);
        let live = rows::live_ids(table, fragments).await?;
        filters.push(Some(OldIndexDataFilter::RowIds(live)));
    }
    let value_type = old.first().and_then(|index| index.training_data_type());
    let new = match value_type {
        Some(value_type) if shares.uncovered.is_empty() => rows::none(value_type),
        _ => rows::sorted(table, &index.column, Some(shares.uncovered)).await?,
    };
    let store = LanceIndexStore::from_dataset_for_new(table, &uuid)?;
    let store = PageStore::over(Arc::new(store));
    let created = BTreeIndex::merge_segments(&old, new, &store, &filters).await?;
    store.check_rows(row_count)?;
    Ok(created)
}

/// Why segments cannot be merged, as far as their entries tell.
fn obstacle(segments: &[IndexMetadata]) -> Option<String> {
    if segments.is_empty() {
        return Some("it is not there any more".to_owned());
    }
    segments.iter().find_map(|segment| {
        let is_plain = segment.fields.len() == 1 && segment.covering_fields.is_empty();
        if kind_of_index(segment) != IndexKind::BTree || !is_plain {
            return Some("it is no plain B-tree".to_owned());
        }
        if segment.index_version != VERSION {
            return Some(format!("it is of version {}", segment.index_version));
        }
        segment.fragment_bitmap.is_none().then(|| "it does not say what it covers".to_owned())
    })
}

/// Which fragments of the table are whose.
struct Shares {
    /// By segment.
    covered: Vec<Vec<Fragment>>,
    uncovered: Vec<Fragment>,
}

impl Shares {
    fn of(table: &Dataset, segments: &[IndexMetadata]) -> lance::Result<Self> {
        let mut shares = Self { covered: vec![Vec::new(); segments.len()], uncovered: Vec::new() };
        for fragment in table.fragments().iter() {
            let covers = |segment: &IndexMetadata| {
                let bitmap = segment.fragment_bitmap.as_ref();
                u32::try_from(fragment.id).is_ok_and(|id| bitmap.is_some_and(|b| b.contains(id)))
            };
            let holders = shares.covered.iter_mut().zip(segments);
            let mut holders = holders.filter(|(_, segment)| covers(segment)).map(|(held, _)| held);
            match (holders.next(), holders.next()) {
                (Some(held), None) => held.push(fragment.clone()),
                (Some(_), Some(_)) => {
                    let why = format!("two of its segments cover fragment {}", fragment.id);
                    return Err(lance::Error::index(why));
                }
                (None, _) => shares.uncovered.push(fragment.clone()),
            }
        }
        Ok(shares)
    }
}

/// Opens a segment to be read once, from one end to the other. Past the cache, which would keep
/// a handle that reads ahead by more than [`PageStore`] allows.
async fn open(table: &Dataset, segment: &IndexMetadata) -> lance::Result<Arc<BTreeIndex>> {
    let missing = || lance::Error::index("it does not say of which kind it is");
    let details = segment.index_details.as_ref().ok_or_else(missing)?;
    let store = LanceIndexStore::from_dataset_for_existing(table, segment).await?;
    let store = Arc::new(PageStore::over(Arc::new(store)));
    let version = segment.index_version.unsigned_abs();
    let cache = LanceCache::no_cache();
    let opened = BTreeIndexPlugin.load_index(store, details, version, None, &cache).await?;
    let opened = opened.as_any().downcast_ref::<BTreeIndex>().cloned();
    opened.map(Arc::new).ok_or_else(|| lance::Error::index("it does not open as a B-tree"))
}
