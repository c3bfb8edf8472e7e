//! Deferred remaps: what an earlier compaction left for later in the system index
//! `__lance_frag_reuse`, and which indexes are still behind because of it.
//!
//! Lance sends every address that such an index answers with through the moves noted there. A
//! rewrite on top would write the old addresses anew without them, and rows would vanish from
//! answers: an index that is behind is made anew first.

use lance::Dataset;
use lance_table::format::IndexMetadata;
use lance_table::system_index::frag_reuse::FragDigest;
use lancekeeper_model::SkipReason;
use roaring::RoaringBitmap;

use super::Untouchable;

/// The moves that were deferred.
#[derive(Debug, Default)]
pub(super) struct Deferred {
    /// Per deferred compaction: the version it was made on, and the fragments it took.
    moves: Vec<(u64, RoaringBitmap)>,
    /// All fragments that any of them took or made.
    touched: RoaringBitmap,
}

impl Deferred {
    /// Reads what was deferred on a table, or why nothing of it may be rewritten.
    pub(super) async fn of(
        table: &Dataset,
        system: &[IndexMetadata],
    ) -> lance::Result<Result<Self, Untouchable>> {
        let Some(first) = system.first() else { return Ok(Ok(Self::default())) };
        let Some(reuse) = table.frag_reuse_index().await? else {
            let why = "only the writer that keeps it can carry it over a rewrite";
            return Ok(Err(kept_by_writer(first, why)));
        };
        if system.len() > 1 || table.manifest().uses_stable_row_ids() {
            let why = "Lance commits nothing to a table with stable row ids and deferred remaps";
            return Ok(Err(kept_by_writer(first, why)));
        }
        let mut deferred = Self::default();
        for version in &reuse.details.versions {
            let mut taken = RoaringBitmap::new();
            for group in &version.groups {
                let ids = |fragment: &FragDigest| u32::try_from(fragment.id).ok();
                taken.extend(group.old_frags.iter().filter_map(ids));
                deferred.touched.extend(group.new_frags.iter().filter_map(ids));
            }
            deferred.touched |= &taken;
            deferred.moves.push((version.dataset_version, taken));
        }
        Ok(Ok(deferred))
    }

    /// Whether a segment, as it is stored, still needs the moves to be read.
    pub(super) fn holds(&self, segment: &IndexMetadata) -> bool {
        let Some(covered) = &segment.fragment_bitmap else { return !self.moves.is_empty() };
        if covered.is_disjoint(&self.touched) {
            return false;
        }
        self.moves.iter().any(|(made_on, taken)| {
            segment.dataset_version <= *made_on || !covered.is_disjoint(taken)
        })
    }
}

/// The token for a table whose system index forbids rewriting.
fn kept_by_writer(index: &IndexMetadata, why: &str) -> Untouchable {
    Untouchable {
        reason: SkipReason::SystemIndexPresent,
        why: format!("it keeps the system index {}: {why}", index.name),
    }
}
