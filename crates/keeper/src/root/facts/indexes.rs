//! The facts of a table's indexes: what they cover, and what a rewrite does to them. Opens no
//! index.

use std::collections::{BTreeMap, HashMap};

use lance::Dataset;
use lance::index::DatasetIndexExt;
use lance_table::format::IndexMetadata;
use lance_table::system_index::is_system_index;
use lancekeeper_model::{CarryOver, FragmentFacts, IndexFacts, IndexKind, SegmentFacts};
use lancekeeper_planner::index::Upkeep;
use lancekeeper_rewrite::index::{
    can_append, carry_over, is_btree_over_addresses, kind_of_index, known_obstacle, name_of_details,
};

use super::Untouchable;
use super::deferred::Deferred;

/// What was seen of a table's indexes.
pub(super) struct Seen {
    /// Those on columns, by name.
    pub(super) indexes: Vec<IndexFacts>,
    /// Why the table must not be rewritten because of the others.
    pub(super) untouchable: Option<Untouchable>,
}

/// Reads the indexes of a table at the version the handle stands at. `stored` are all that its
/// manifest has: Lance checks every index's coverage when it commits a Rewrite.
pub(super) async fn look_at(
    table: &Dataset,
    stored: Vec<IndexMetadata>,
    fragments: &[FragmentFacts],
    upkeep: Upkeep,
) -> lance::Result<Seen> {
    let (system, all): (Vec<_>, Vec<_>) = stored.into_iter().partition(is_system_index);
    let deferred = match Deferred::of(table, &system).await? {
        Ok(deferred) => deferred,
        Err(untouchable) => {
            return Ok(Seen { indexes: Vec::new(), untouchable: Some(untouchable) });
        }
    };
    // As Lance shows them: a deferred remap is applied to what they cover.
    let readable: HashMap<_, _> =
        table.load_indices().await?.iter().map(|index| (index.uuid, index.clone())).collect();
    let mut by_name: BTreeMap<String, Vec<Entry>> = BTreeMap::new();
    for stored in all {
        let entry = Entry { shown: readable.get(&stored.uuid).cloned(), stored };
        by_name.entry(entry.stored.name.clone()).or_default().push(entry);
    }
    let rows: BTreeMap<u64, u64> = fragments.iter().map(|f| (f.id, f.live_rows())).collect();
    let looking = Looking { table, rows: &rows, deferred: &deferred, upkeep };
    let indexes = by_name.into_iter().filter_map(|(name, entries)| looking.facts(name, &entries));
    Ok(Seen { indexes: indexes.collect(), untouchable: None })
}

/// A segment as it is stored, and as Lance shows it to readers if this build can read it.
struct Entry {
    stored: IndexMetadata,
    shown: Option<IndexMetadata>,
}

struct Looking<'a> {
    table: &'a Dataset,
    /// Live rows by fragment.
    rows: &'a BTreeMap<u64, u64>,
    deferred: &'a Deferred,
    upkeep: Upkeep,
}

impl Looking<'_> {
    fn facts(&self, name: String, entries: &[Entry]) -> Option<IndexFacts> {
        let first = &entries.first()?.stored;
        // A field that is not there any more: Lance drops such an index with the next commit.
        let column = self.table.schema().field_path(*first.fields.first()?).ok()?;
        let segments: Vec<SegmentFacts> = entries.iter().map(|entry| self.segment(entry)).collect();
        let covered: u64 = segments.iter().map(|segment| segment.rows).sum();
        let is_stable = self.table.manifest().uses_stable_row_ids();
        let is_known = entries.iter().all(|entry| entry.shown.is_some());
        let is_behind = entries.iter().any(|entry| self.deferred.holds(&entry.stored));
        let is_over_addresses =
            is_stable && entries.iter().any(|entry| is_btree_over_addresses(&entry.stored));
        let worst = |entry: &Entry| carry_over(&entry.stored, is_stable);
        let carry_over = entries.iter().map(worst).max().unwrap_or(CarryOver::Not);
        Some(IndexFacts {
            name,
            column,
            kind: if is_known { kind_of_index(first) } else { IndexKind::Other },
            segments,
            uncovered_rows: self.rows.values().sum::<u64>().saturating_sub(covered),
            carry_over: if is_known && !is_behind { carry_over } else { CarryOver::Not },
            can_append: entries.iter().all(|entry| can_append(&entry.stored)),
            must_be_rebuilt: is_behind || (is_over_addresses && self.upkeep == Upkeep::OneSegment),
            unusable: unusable(entries),
        })
    }

    fn segment(&self, entry: &Entry) -> SegmentFacts {
        let bitmap = entry.shown.as_ref().unwrap_or(&entry.stored).fragment_bitmap.as_ref();
        let named = bitmap.into_iter().flatten().map(u64::from);
        let fragments: Vec<u64> = named.filter(|id| self.rows.contains_key(id)).collect();
        let rows = fragments.iter().filter_map(|id| self.rows.get(id)).sum();
        SegmentFacts { id: entry.stored.uuid.to_string(), fragments, rows }
    }
}

/// Why an index can be neither refreshed nor made anew, as far as the manifest tells.
fn unusable(entries: &[Entry]) -> Option<String> {
    let hidden = entries.iter().find(|entry| entry.shown.is_none());
    if let Some(hidden) = hidden {
        let kind = match name_of_details(&hidden.stored) {
            kind if kind.is_empty() => "unknown".to_owned(),
            kind => kind,
        };
        let version = hidden.stored.index_version;
        return Some(format!("this version cannot read it (kind {kind}, format {version})"));
    }
    entries.iter().find_map(|entry| known_obstacle(&entry.stored)).map(ToOwned::to_owned)
}
