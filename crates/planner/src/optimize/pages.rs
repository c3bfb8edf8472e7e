//! Which fragments have pages that are far from the size that was asked for, and how many rows a page gets. Not
//! here: how pages are written, and what their sizes are today.

use lancekeeper_model::{FragmentFacts, PageTarget, TableFacts};

use super::LayoutPolicy;

/// How many times too many pages a fragment has, or too few, before it is rewritten for that alone. What is written
/// differs from what was planned by what compression makes of it, so a second run must find less than this; and a
/// rewrite for a factor of two would save nobody anything.
pub const PAGES_OFF_MAX: u64 = 4;

/// Bytes of a page in all columns together, at most: a page is in memory as a whole before it is written.
/// 64 MiB.
const PAGE_MEMORY_MAX: u64 = 64 << 20;

impl LayoutPolicy {
    /// How many rows a page of these fragments gets; `None` if that is left to Lance, or if the pages of one of
    /// them are not known.
    pub(super) fn page_rows(&self, facts: &TableFacts, sources: &[&FragmentFacts]) -> Option<u32> {
        let target = self.pages?;
        let (mut rows, mut widest, mut width) = (0_u64, 0_u64, 1_u64);
        for fragment in sources {
            widest = widest.saturating_add(facts.pages.get(&fragment.id)?.bytes);
            rows = rows.saturating_add(fragment.physical_rows);
            width = width.max(fragment.live_bytes() / fragment.live_rows().max(1));
        }
        let wanted = match target {
            PageTarget::Rows(rows) => rows,
            PageTarget::Bytes(bytes) => {
                let wanted = u128::from(bytes) * u128::from(rows) / u128::from(widest.max(1));
                u64::try_from(wanted).unwrap_or(u64::MAX)
            }
        };
        let most = (PAGE_MEMORY_MAX / width).max(1);
        Some(u32::try_from(wanted.clamp(1, most)).unwrap_or(u32::MAX))
    }

    /// Whether a fragment has so many pages, or so few, that it is rewritten for that alone.
    pub(super) fn has_odd_pages(&self, facts: &TableFacts, fragment: &FragmentFacts) -> bool {
        let Some(rows) = self.page_rows(facts, &[fragment]) else { return false };
        let Some(known) = facts.pages.get(&fragment.id) else { return false };
        let wanted = fragment.physical_rows.div_ceil(u64::from(rows));
        let is_off = |many: u64, few: u64| many > few.max(1).saturating_mul(PAGES_OFF_MAX);
        is_off(known.pages, wanted) || is_off(wanted, known.pages)
    }
}
