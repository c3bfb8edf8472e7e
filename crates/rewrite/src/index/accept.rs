//! Whether what was built for an index is worth committing. Lance answers some requests that
//! it cannot fulfil with silence: no segment, or one that covers nothing. Committed, that
//! would be an empty version at every run; believed, it would be an index that is lost.

use lance::Dataset;
use lance_table::format::IndexMetadata;
use lancekeeper_model::IndexKind;
use lancekeeper_planner::index::{IndexAction, IndexWork};
use roaring::RoaringBitmap;

use super::build::Built;
use super::probe::cannot_be_opened;

/// Why new segments are not committed; `None` when they are worth it.
pub(super) async fn rejection(
    table: &Dataset,
    index: &IndexWork,
    existing: &[IndexMetadata],
    built: &[Built],
) -> Option<String> {
    let coverage = Coverage::of(table, index, existing, built);
    if coverage.is_gain(index.action) {
        return None;
    }
    let segments: Vec<&IndexMetadata> =
        existing.iter().filter(|segment| segment.name == index.name).collect();
    if let Some(reason) = cannot_be_opened(table, &index.column, &segments).await {
        return Some(reason);
    }
    Some(match index.kind {
        IndexKind::Vector => "the column holds too few vectors to train it on".to_owned(),
        _ if built.is_empty() => "Lance built nothing for it".to_owned(),
        _ => "what Lance built for it covers no more than before".to_owned(),
    })
}

/// What an index covers of the live fragments, before and after.
struct Coverage {
    before: RoaringBitmap,
    after: RoaringBitmap,
    segments_before: usize,
    segments_after: usize,
}

impl Coverage {
    fn of(table: &Dataset, index: &IndexWork, existing: &[IndexMetadata], built: &[Built]) -> Self {
        let live: RoaringBitmap =
            table.fragments().iter().filter_map(|f| u32::try_from(f.id).ok()).collect();
        let replaced = |segment: &IndexMetadata| {
            let id = segment.uuid.to_string();
            built.iter().any(|(_, replaces)| replaces.contains(&id))
        };
        let old = || existing.iter().filter(|segment| segment.name == index.name);
        let kept = || old().filter(|segment| !replaced(segment));
        Self {
            before: union(old(), &live),
            after: union(kept().chain(built.iter().map(|(segment, _)| segment)), &live),
            segments_before: old().count(),
            segments_after: kept().count() + built.len(),
        }
    }

    fn is_gain(&self, action: IndexAction) -> bool {
        if !self.before.is_subset(&self.after) || self.after.is_empty() {
            return false;
        }
        match action {
            IndexAction::Create | IndexAction::Rebuild => true,
            IndexAction::Refresh { .. } => {
                self.after.len() > self.before.len() || self.segments_after < self.segments_before
            }
        }
    }
}

fn union<'s>(
    segments: impl Iterator<Item = &'s IndexMetadata>,
    live: &RoaringBitmap,
) -> RoaringBitmap {
    let mut all = RoaringBitmap::new();
    for segment in segments {
        // A merge may name fragments that are gone.
        all |= segment.fragment_bitmap.as_ref().map(|bitmap| bitmap & live).unwrap_or_default();
    }
    all
}
