//! The walk over the fragments: which are grouped, and how each group is rewritten.

use lancekeeper_model::{FragmentFacts, TableFacts};

use super::{Group, GroupReason, LayoutPolicy, RewriteMode};

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
/// follow in manifest order. Carried out in that order, every group is without gaps when
/// its turn comes.
#[must_use]
pub fn replan_groups(facts: &TableFacts, policy: &LayoutPolicy) -> Vec<Group> {
    let mut groups: Vec<Group> = facts
        .fragments
        .chunk_by(|a, b| is_dead(a) && is_dead(b) && a.coverage == b.coverage)
        .filter(|chunk| is_dead(&chunk[0]))
        .map(dead_group)
        .collect();

    let mut open = OpenGroup::default();
    // Dead fragments are no obstacle between two others: they are gone afterwards, and the
    // next plan would find the two adjacent.
    for fragment in facts.fragments.iter().filter(|fragment| !is_dead(fragment)) {
        let purge = policy.needs_purge(fragment);
        if is_contradictory(fragment) || (policy.is_full(fragment) && !purge) {
            groups.extend(open.close(facts));
            continue;
        }
        if !open.takes(fragment, policy) {
            groups.extend(open.close(facts));
        }
        open.push(fragment, purge);
    }
    groups.extend(open.close(facts));
    groups
}

/// Whether nobody can see a row of it.
fn is_dead(fragment: &FragmentFacts) -> bool {
    fragment.deleted_rows == fragment.physical_rows
}

/// Whether it claims to hide more rows than it has. `plan_table` reports it; grouping it
/// would drop the rows that it may have.
fn is_contradictory(fragment: &FragmentFacts) -> bool {
    fragment.deleted_rows > fragment.physical_rows
}

fn dead_group(fragments: &[FragmentFacts]) -> Group {
    Group {
        fragments: fragments.iter().map(|fragment| fragment.id).collect(),
        rows: 0,
        bytes: 0,
        mode: RewriteMode::Reencode,
        why: GroupReason::PurgeDeletions,
        batch_rows: BATCH_ROWS_MAX,
    }
}

/// A group that may still grow.
#[derive(Default)]
struct OpenGroup<'a> {
    fragments: Vec<&'a FragmentFacts>,
    live_rows: u64,
    live_bytes: u64,
    purge: bool,
}

impl<'a> OpenGroup<'a> {
    fn takes(&self, fragment: &FragmentFacts, policy: &LayoutPolicy) -> bool {
        let Some(last) = self.fragments.last() else {
            return true;
        };
        last.coverage == fragment.coverage
            && policy.fits(
                self.live_rows.saturating_add(fragment.live_rows()),
                self.live_bytes.saturating_add(fragment.live_bytes()),
            )
    }

    fn push(&mut self, fragment: &'a FragmentFacts, purge: bool) {
        self.fragments.push(fragment);
        self.live_rows = self.live_rows.saturating_add(fragment.live_rows());
        self.live_bytes = self.live_bytes.saturating_add(fragment.live_bytes());
        self.purge |= purge;
    }

    /// The finished group, if rewriting it is worth anything; and starts afresh.
    fn close(&mut self, facts: &TableFacts) -> Option<Group> {
        let done = std::mem::take(self);
        let why = match done.fragments.len() {
            0 => return None,
            1 if done.purge => GroupReason::PurgeDeletions,
            1 => return None,
            _ => GroupReason::Merge,
        };
        Some(Group {
            fragments: done.fragments.iter().map(|fragment| fragment.id).collect(),
            rows: done.live_rows,
            bytes: done.fragments.iter().fold(0, |sum, f| sum.saturating_add(f.bytes)),
            mode: mode(facts, &done.fragments),
            why,
            batch_rows: batch_rows(&done.fragments),
        })
    }
}

fn mode(facts: &TableFacts, fragments: &[&FragmentFacts]) -> RewriteMode {
    let columns = u64::from(facts.columns.max(1));
    let copies = facts.can_copy_pages
        && fragments.iter().all(|fragment| {
            fragment.deleted_rows == 0
                && fragment.files == 1
                && fragment.bytes / columns >= PAGE_BYTES_WORTH_KEEPING
        });
    if copies { RewriteMode::CopyPages } else { RewriteMode::Reencode }
}

/// By the fragment with the widest rows: the memory a batch takes has to be bounded in all
/// of them.
fn batch_rows(fragments: &[&FragmentFacts]) -> u32 {
    let width = fragments
        .iter()
        .map(|fragment| fragment.live_bytes().div_ceil(fragment.live_rows().max(1)))
        .max()
        .unwrap_or(0);
    let rows = BATCH_BYTES / width.max(1);
    u32::try_from(rows).unwrap_or(u32::MAX).clamp(1, BATCH_ROWS_MAX)
}
