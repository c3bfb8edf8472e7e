//! Admission by bytes: a rewrite starts only when its estimated memory fits under the ceiling
//! together with those already running.
//!
//! The estimate of a group is what its recipe holds: batches between reader and writer, and what the
//! writer collects of each column before it writes a page. Index work is admitted like a rewrite.

use std::sync::Arc;

use lancekeeper_model::MEMORY_BYTES;
use lancekeeper_planner::optimize::{Group, Recipe};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::recipe::permuted::ADDRESS_BYTES;

/// The unit permits are counted in, because they are counted in 32 bits.
const UNIT: u64 = 1 << 20;
/// What a re-encoding rewrite takes besides its batches and what its writer collects: decoders, and
/// what is read ahead.
const REENCODE_BYTES: u64 = 128 << 20;
/// What a page copy takes: its read buffer, several times.
const COPY_BYTES: u64 = 64 << 20;
/// The least that a sort gets: with less it could not merge what it has spilled.
const SORT_BYTES_MIN: u64 = 64 << 20;
/// What building or merging an index takes: a sort, beyond which it spills, and what is read ahead.
const INDEX_BYTES: u64 = 192 << 20;
/// What each row of a sorted group takes in the map by which indexes find it: an entry of a hash table, which
/// stands half empty after it has grown.
const MAP_BYTES_PER_ROW: u64 = 48;
/// Batches in flight between reader and writer.
const BATCHES_IN_FLIGHT: u64 = 4;

/// Hands out memory.
#[derive(Debug, Clone)]
pub struct Admission {
    units: Arc<Semaphore>,
    ceiling: u64,
}

/// Memory that was handed out; given back when dropped.
#[derive(Debug)]
pub struct Admitted {
    _permit: Option<OwnedSemaphorePermit>,
}

impl Default for Admission {
    fn default() -> Self {
        Self::with_ceiling(MEMORY_BYTES)
    }
}

impl Admission {
    /// With another ceiling than the default of 1 GiB, in bytes.
    #[must_use]
    pub fn with_ceiling(bytes: u64) -> Self {
        let ceiling = bytes.max(UNIT);
        Self { units: Arc::new(Semaphore::new(to_units(ceiling) as usize)), ceiling }
    }

    /// What a sort may hold before it spills: beside it, its rows are read and written.
    #[must_use]
    pub fn sort_bytes(&self) -> u64 {
        (self.ceiling / 2).max(SORT_BYTES_MIN)
    }

    /// What the old addresses of a sorted group may take where nothing but a writer beside the run may need them.
    #[must_use]
    pub fn address_bytes(&self) -> u64 {
        self.ceiling / 4
    }

    /// Waits until a group's rewrite fits, whose largest batch is known to hold at least this
    /// much, and whose writer collects at most this much ([`crate::held_by_writer`]). A group that
    /// alone exceeds the ceiling runs alone.
    ///
    /// # Cancel safety
    ///
    /// Nothing is taken when dropped.
    pub async fn admit(&self, group: &Group, largest_batch: u64, by_writer: u64) -> Admitted {
        let estimate =
            estimate(group, largest_batch, by_writer).saturating_add(match group.recipe {
                Recipe::Permute { .. } => self.sort_bytes().saturating_add(addresses(group)),
                _ => 0,
            });
        self.hand_out(estimate).await
    }

    /// Waits until the building or merging of a table's indexes fits, which is done one after the other.
    ///
    /// # Cancel safety
    ///
    /// Nothing is taken when dropped.
    pub async fn admit_index_work(&self) -> Admitted {
        self.hand_out(INDEX_BYTES).await
    }

    /// Waits until it fits that indexes over addresses are carried over to new fragments, with so many rows whose
    /// order has changed.
    ///
    /// # Cancel safety
    ///
    /// Nothing is taken when dropped.
    pub async fn admit_remap(&self, sorted_rows: u64) -> Admitted {
        let map = sorted_rows.saturating_mul(MAP_BYTES_PER_ROW);
        self.hand_out(INDEX_BYTES.saturating_add(map)).await
    }

    /// What needs more than everything runs alone.
    async fn hand_out(&self, bytes: u64) -> Admitted {
        let units = to_units(bytes.min(self.ceiling));
        // The semaphore is never closed, so this only fails if that changes.
        let permit = Arc::clone(&self.units).acquire_many_owned(units).await.ok();
        Admitted { _permit: permit }
    }
}

fn to_units(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX)
}

/// The old addresses of all rows of a group, whether they are kept or not: where nobody needs them, a group for which they
/// would take much is large enough to run alone.
fn addresses(group: &Group) -> u64 {
    group.rows().saturating_mul(ADDRESS_BYTES)
}

/// The bytes a group's rewrite is expected to hold at once.
fn estimate(group: &Group, largest_batch: u64, by_writer: u64) -> u64 {
    match group.recipe {
        Recipe::CopyPages => COPY_BYTES,
        Recipe::Reencode { batch_rows }
        | Recipe::Permute { batch_rows, .. }
        | Recipe::Reformat { batch_rows, .. }
        | Recipe::Repage { page_rows: batch_rows } => {
            let row = group.bytes.checked_div(group.rows()).unwrap_or(group.bytes).max(1);
            let batch = row.saturating_mul(u64::from(batch_rows)).max(largest_batch);
            REENCODE_BYTES
                .saturating_add(by_writer)
                .saturating_add(BATCHES_IN_FLIGHT.saturating_mul(batch))
        }
    }
}

#[cfg(test)]
mod tests {
    use lancekeeper_planner::optimize::GroupReason;

    use super::*;

    fn group(rows: u64, bytes: u64, batch_rows: u32) -> Group {
        Group {
            fragments: vec![0, 1],
            outputs: vec![rows],
            bytes,
            recipe: Recipe::Reencode { batch_rows },
            why: GroupReason::Merge,
        }
    }

    #[tokio::test]
    async fn rewrites_wait_when_the_ceiling_is_reached() {
        let admission = Admission::default();
        let wide = group(10, 2 << 30, 8);
        let all = admission.admit(&wide, 0, 0).await;
        let second = admission.admit(&wide, 0, 0);
        tokio::pin!(second);
        assert!(futures::poll!(&mut second).is_pending(), "two must not run together");
        drop(all);
        second.await;
    }

    #[tokio::test]
    async fn index_work_waits_for_memory_as_rewrites_do() {
        let admission = Admission::with_ceiling(512 << 20);
        let building = admission.admit_index_work().await;
        let large = admission.admit_remap(8_000_000);
        tokio::pin!(large);
        assert!(futures::poll!(&mut large).is_pending(), "the map of many rows takes memory, too");
        drop(building);
        let alone = large.await;
        let second = admission.admit_index_work();
        tokio::pin!(second);
        assert!(futures::poll!(&mut second).is_pending());
        drop(alone);
        second.await;
    }

    #[tokio::test]
    async fn the_old_addresses_of_sorted_rows_take_memory_too() {
        let sorted = |rows| Group {
            recipe: Recipe::Permute { batch_rows: 1, full_rows: rows },
            ..group(rows, rows, 1)
        };
        // A sort takes half of it in any case, and reading and writing some.
        let admission = Admission::with_ceiling(2 << 30);
        for (rows, fits) in [(1 << 20, true), (128 << 20, false)] {
            let one = admission.admit(&sorted(rows), 0, 0).await;
            let beside = group(10, 200 << 20, 1);
            let other = admission.admit(&beside, 100 << 20, 0);
            tokio::pin!(other);
            assert_eq!(futures::poll!(&mut other).is_ready(), fits, "{rows} rows");
            drop(one);
        }
    }

    #[test]
    fn narrow_rows_cost_the_fixed_part() {
        assert!(estimate(&group(1_000_000, 8_000_000, 8192), 0, 0) < REENCODE_BYTES + (1 << 20));
    }

    #[test]
    fn a_batch_that_is_known_to_be_larger_than_the_mean_counts() {
        let by_mean = estimate(&group(1_000, 1_000, 100), 0, 0);
        let known = estimate(&group(1_000, 1_000, 100), 50 << 20, 0);
        let with_writer = estimate(&group(1_000, 1_000, 100), 50 << 20, 7 << 20);
        assert_eq!(with_writer, known + (7 << 20));
        assert!(known >= by_mean + BATCHES_IN_FLIGHT * (49 << 20), "{known}");
        assert_eq!(estimate(&group(1, u64::MAX, 8192), u64::MAX, u64::MAX), u64::MAX);
    }
}
