//! Which runs are merged with what is rewritten anyway: those that are not larger than everything
//! that is rewritten besides. Why that bounds what a table costs is in `plan`.
//!
//! Merging runs of twice that size too would be another choice. Of 200 appends of 1 % each byte is then written 7.8 times
//! instead of 5.7, and boxes of 10 % × 10 % touch at most 9.5 % of the fragments instead of 12.1 %.

use super::{Size, Targets};

/// A table of at most so many rows that fits into one fragment becomes one, whatever is merged for it: people expect
/// that, and it takes less time than the commit. The same floor as `planner::optimize` has for merges without a layout.
const FLOOR_ROWS: u64 = 64 << 10;

/// And of at most so many bytes.
const FLOOR_BYTES: u64 = 1 << 20;

/// Merging runs alone, without anything new, takes this much more in percent: so a rewrite whose output turns out
/// a little larger or smaller than its sources does not set off another.
const SLACK_PERCENT: u128 = 25;

/// The runs that join what is rewritten anyway, as long as all together has at most so many bytes.
///
/// Without anything new, runs are merged only if there is no limit: a limit that left them unmerged beside something new
/// would merge them in the next run.
pub(super) fn joining(
    loose: &Size,
    runs: &[(usize, Size)],
    targets: Targets,
    max_bytes: u64,
) -> Vec<usize> {
    let alone = *loose == Size::default();
    if alone && max_bytes < u64::MAX {
        return Vec::new();
    }
    let mut ascending = runs.to_vec();
    ascending.sort_by_key(|(run, size)| (fill(*size, targets), *run));
    let whole = runs.iter().fold(*loose, |sum, (_, size)| sum.plus(*size));
    let mut sum = *loose;
    let mut joined = 0;
    for (place, (_, size)) in ascending.iter().enumerate() {
        if sum.bytes + size.bytes > max_bytes {
            break;
        }
        if pays(sum, *size, whole, alone, targets) {
            joined = place + 1;
        }
        sum = sum.plus(*size);
    }
    ascending.truncate(joined);
    ascending.into_iter().map(|(run, _)| run).collect()
}

/// Whether a run is worth rewriting with all that is smaller.
fn pays(smaller: Size, run: Size, whole: Size, alone: bool, targets: Targets) -> bool {
    if smaller == Size::default() {
        return false;
    }
    let both = smaller.plus(run);
    let is_small = both.rows <= FLOOR_ROWS && both.bytes <= FLOOR_BYTES;
    if both == whole && is_small && both.rows <= targets.rows && both.bytes <= targets.bytes {
        return true;
    }
    let needed = fill(run, targets) * if alone { 100 + SLACK_PERCENT } else { 100 };
    fill(smaller, targets) * 100 >= needed
}

/// How full a fragment of this size would be, by rows or by bytes, whichever is more. A measure without
/// fractions, so that plans do not depend on rounding.
fn fill(size: Size, targets: Targets) -> u128 {
    let by_rows = u128::from(size.rows) * u128::from(targets.bytes);
    let by_bytes = u128::from(size.bytes) * u128::from(targets.rows);
    by_rows.max(by_bytes)
}
