//! The groups of a table, and how each of them is rewritten. Not here: which fragments end
//! up together.

use std::collections::{HashMap, HashSet};

use lancekeeper_model::{FragmentFacts, TableFacts};

use super::merges::merges;
use super::{Group, GroupReason, LayoutPolicy, Recipe};

/// Pages are copied only if a column of the group's smallest fragment takes at least this
/// many bytes on average. 256 KiB.
///
/// Copying concatenates pages and keeps their size for good, so the smallest fragment
/// decides. Measured: 2,000 fragments of 500 rows took 1.6 s to copy and 1.0 s to
/// re-encode, and a scan afterwards 0.39 s against 0.25 s; 10 fragments of 100 MB took 1.05
/// to 1.7 s against 2.3 to 5.7 s. So a fragment costs 0.3 ms more to copy and 0.07 ms more
/// in every later scan, while a megabyte costs 1.2 to 4 ms more to re-encode: with ten
/// scans to come, copying pays from 0.25 to 0.8 MB per fragment on. Over four columns 256
/// KiB are above that, and 100 MB fragments are far above it.
pub const PAGE_BYTES_WORTH_KEEPING: u64 = 256 << 10;

/// Aim for the size of one batch that a re-encoding rewrite reads, in bytes. Some batches
/// are in flight at once, and rows can be a megabyte wide. 8 MiB.
pub const BATCH_BYTES: u64 = 8 << 20;

/// Rows of one batch at most: Lance's own batch size, beyond which nothing is gained.
pub const BATCH_ROWS_MAX: u32 = 8192;

/// The groups a table falls into, whatever its authority says: for planning again when a
/// writer changed some of the fragments in between.
///
/// Fragments without live rows come first, in groups that become nothing; the other groups
/// follow in the order in which their outputs have to be numbered. With another order the
/// next plan could find two outputs side by side that fit into one.
#[must_use]
pub fn replan_groups(facts: &TableFacts, policy: &LayoutPolicy) -> Vec<Group> {
    let eligible: Vec<(&FragmentFacts, bool)> = facts
        .fragments
        .iter()
        .zip(policy.eligibility(facts))
        .map(|(fragment, why_not)| (fragment, why_not.is_none()))
        .collect();
    // Any commit of Lance removes these by itself; as groups of their own they are a reason
    // to commit, and are counted.
    let may_go =
        |(fragment, is_eligible): &(&FragmentFacts, bool)| *is_eligible && is_dead(fragment);
    let dead = eligible
        .chunk_by(|a, b| may_go(a) && may_go(b) && a.0.coverage == b.0.coverage)
        .filter(|chunk| may_go(&chunk[0]))
        .map(|chunk| dead_group(chunk.iter().map(|(fragment, _)| fragment.id)));
    let alive = eligible.iter().filter(|(f, is_eligible)| *is_eligible && !is_dead(f));
    let live = classes(alive.map(|(fragment, _)| *fragment))
        .into_iter()
        .flat_map(|class| {
            let merged = merges(&class, policy);
            let taken: HashSet<u64> = merged.iter().flatten().map(|fragment| fragment.id).collect();
            let odd = class.into_iter().filter(move |fragment| {
                !taken.contains(&fragment.id) && policy.has_odd_pages(facts, fragment)
            });
            merged.into_iter().chain(odd.map(|fragment| vec![fragment]))
        })
        .map(|sources| live_group(facts, &sources, policy));
    dead.chain(live).collect()
}

/// Fragments by index coverage. Lance refuses to merge across coverages, so each class is
/// settled as if the others were not there.
pub(super) fn classes<'a>(
    fragments: impl Iterator<Item = &'a FragmentFacts>,
) -> Vec<Vec<&'a FragmentFacts>> {
    let mut classes: Vec<Vec<&FragmentFacts>> = Vec::new();
    let mut places = HashMap::new();
    for fragment in fragments {
        // By first appearance: the numbers of coverages mean nothing.
        let place = *places.entry(fragment.coverage).or_insert_with(|| {
            classes.push(Vec::new());
            classes.len() - 1
        });
        classes[place].push(fragment);
    }
    classes
}

/// Whether nobody can see a row of it.
pub(super) fn is_dead(fragment: &FragmentFacts) -> bool {
    fragment.deleted_rows == fragment.physical_rows
}

pub(super) fn dead_group(fragments: impl Iterator<Item = u64>) -> Group {
    Group {
        fragments: fragments.collect(),
        outputs: Vec::new(),
        bytes: 0,
        recipe: Recipe::Reencode { batch_rows: BATCH_ROWS_MAX },
        why: GroupReason::PurgeDeletions,
    }
}

pub(super) fn live_group(
    facts: &TableFacts,
    sources: &[&FragmentFacts],
    policy: &LayoutPolicy,
) -> Group {
    let sum = |value: fn(&FragmentFacts) -> u64| {
        sources.iter().fold(0u64, |sum, fragment| sum.saturating_add(value(fragment)))
    };
    Group {
        fragments: sources.iter().map(|fragment| fragment.id).collect(),
        outputs: vec![sum(FragmentFacts::live_rows)],
        bytes: sum(|fragment| fragment.bytes),
        recipe: match policy.page_rows(facts, sources) {
            Some(page_rows) => Recipe::Repage { page_rows },
            None => recipe(facts, sources),
        },
        why: match sources {
            [alone] if policy.needs_purge(alone) => GroupReason::PurgeDeletions,
            [_] => GroupReason::Repage,
            _ => GroupReason::Merge,
        },
    }
}

fn recipe(facts: &TableFacts, fragments: &[&FragmentFacts]) -> Recipe {
    let columns = u64::from(facts.columns.max(1));
    let copies = facts.can_copy_pages
        && fragments.iter().all(|fragment| {
            fragment.deleted_rows == 0
                && fragment.files == 1
                && fragment.bytes / columns >= PAGE_BYTES_WORTH_KEEPING
        });
    if copies {
        Recipe::CopyPages
    } else {
        Recipe::Reencode { batch_rows: batch_rows(fragments, BATCH_ROWS_MAX) }
    }
}

/// By the fragment with the widest rows: the memory a batch takes has to be bounded in all
/// of them.
pub(super) fn batch_rows(fragments: &[&FragmentFacts], rows_max: u32) -> u32 {
    let width = fragments
        .iter()
        .map(|fragment| fragment.live_bytes().div_ceil(fragment.live_rows().max(1)))
        .max()
        .unwrap_or(0);
    let rows = BATCH_BYTES / width.max(1);
    u32::try_from(rows).unwrap_or(u32::MAX).clamp(1, rows_max)
}

/// Batches of rows whose blobs have known sizes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlobBatch {
    /// Rows of one batch.
    pub rows: u32,
    /// Bytes of the blobs in the largest batch.
    pub bytes: u64,
}

/// The most that the blobs of one batch may take, where rows are so uneven that the mean says
/// nothing. Every batch of the group is that short, so it is more than [`BATCH_BYTES`]: 16,000
/// rows of which 200 had 4 MB took 67 s at 8 MiB, two rows at a time. 32 MiB.
const BLOB_BATCH_BYTES: u64 = 4 * BATCH_BYTES;

/// The batches in which these rows can be read, none of more than `rows_max` rows. A batch may
/// always hold twice the widest row: with fewer rows a single wide one among many narrow ones
/// would make all of them crawl, and save no more than half.
#[must_use]
pub fn blob_batch(sizes: &[u64], rows_max: u32) -> BlobBatch {
    let widest = sizes.iter().copied().max().unwrap_or(0);
    let limit = BLOB_BATCH_BYTES.max(widest.saturating_mul(2));
    let mut rows = rows_max.max(1);
    loop {
        let bytes = largest_window(sizes, rows as usize);
        if bytes <= limit || rows == 1 {
            return BlobBatch { rows, bytes };
        }
        rows /= 2;
    }
}

/// The most that so many rows in a row add up to.
fn largest_window(sizes: &[u64], rows: usize) -> u64 {
    let mut window = 0u128;
    let mut largest = 0;
    for (at, size) in sizes.iter().enumerate() {
        window += u128::from(*size);
        if let Some(gone) = at.checked_sub(rows) {
            window -= u128::from(sizes[gone]);
        }
        largest = window.max(largest);
    }
    u64::try_from(largest).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn batches_are_as_long_as_the_place_with_the_largest_blobs_allows() {
        assert_eq!(blob_batch(&[], 100), BlobBatch { rows: 100, bytes: 0 });
        assert_eq!(blob_batch(&[10; 50], 100), BlobBatch { rows: 100, bytes: 500 });
        // By the mean 8192 rows would fit; the large ones stand together.
        let mut sizes = vec![0; 100_000];
        sizes[50_000..50_100].fill(MIB);
        assert_eq!(blob_batch(&sizes, 8192), BlobBatch { rows: 32, bytes: 32 * MIB });
    }

    #[test]
    fn one_wide_row_does_not_make_all_others_crawl() {
        let mut sizes = vec![100; 10_000];
        sizes[77] = 300 * MIB;
        let batch = blob_batch(&sizes, 8192);
        assert_eq!(batch.rows, 8192);
        assert!(batch.bytes < 301 * MIB);
        sizes[78..81].fill(300 * MIB);
        assert_eq!(blob_batch(&sizes, 8192).rows, 2);
    }

    #[test]
    fn sizes_beyond_all_counting_are_no_panic() {
        let batch = blob_batch(&[u64::MAX; 3], 8192);
        assert_eq!(batch, BlobBatch { rows: 8192, bytes: u64::MAX });
    }
}
