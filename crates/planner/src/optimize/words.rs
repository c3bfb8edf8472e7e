//! How plans read: why something is done to a table, and why nothing is. Decides nothing.

use std::fmt;

use lancekeeper_model::{FragmentFacts, TableFacts, Version};

use super::merges::merges;
use super::plan::{Group, GroupReason, Recipe, RewritePlan, TablePlan};
use super::policy::{LayoutPolicy, Size};

impl RewritePlan {
    /// What is done, in a sentence; empty without groups and versions to publish.
    #[must_use]
    pub fn reason(&self) -> String {
        let first = self.publish_first.map(|(first, last)| why_first(first, last));
        first.unwrap_or_default() + &why_rewrite(&self.groups)
    }
}

impl fmt::Display for TablePlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rewrite(plan) => plan.fmt(f),
            Self::Nothing { reason } => write!(f, "nothing: {reason}"),
            Self::Skip { reason, why, .. } => write!(f, "skip ({}): {why}", reason.as_str()),
            Self::Broken { why } => write!(f, "broken: {why}"),
        }
    }
}

impl fmt::Display for RewritePlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rewrite at version {}: {}", self.version, self.reason())?;
        for group in &self.groups {
            write!(f, "\n  {group}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.why, spans(&self.fragments))?;
        if self.outputs.is_empty() {
            return f.write_str(": nothing remains");
        }
        write!(f, ": {} rows", self.rows())?;
        if self.outputs.len() > 1 {
            write!(f, " in {} fragments", self.outputs.len())?;
        }
        write!(f, ", {} to read, ", size(self.bytes))?;
        match self.recipe {
            Recipe::CopyPages => f.write_str("copying pages"),
            Recipe::Reencode { batch_rows } => {
                write!(f, "re-encoding {batch_rows} rows at a time")
            }
            Recipe::Permute { batch_rows, .. } => {
                write!(f, "sorting {batch_rows} rows at a time")
            }
            Recipe::Repage { page_rows } => write!(f, "re-encoding in pages of {page_rows} rows"),
            Recipe::Reformat { batch_rows, version } => {
                write!(f, "re-encoding as {version}, {batch_rows} rows at a time")
            }
        }
    }
}

impl fmt::Display for GroupReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Merge => "merge",
            Self::PurgeDeletions => "purge",
            Self::Cluster => "lay out",
            Self::Repage => "repage",
            Self::Reformat => "reformat",
        })
    }
}

/// What comes before a rewrite at HEAD.
pub(super) fn why_first(first: Version, last: Version) -> String {
    if first == last {
        format!("publish our version {first} first; ")
    } else {
        format!("publish our versions {first} to {last} first; ")
    }
}

/// Why a table is left alone that has fewer fragments than a caller cares for; for tables that
/// are not planned here as well.
#[must_use]
pub fn why_compact(fragments: u64, min_fragments: u64) -> String {
    let noun = if fragments == 1 { "fragment" } else { "fragments" };
    format!("{fragments} {noun}, fewer than {min_fragments}")
}

/// Why nothing is done to a table.
pub(super) fn why_nothing(facts: &TableFacts, policy: &LayoutPolicy) -> String {
    if facts.fragments.is_empty() {
        return match facts.shared_fragments {
            0 => "the table is empty".to_owned(),
            1 => "its one fragment is shared with the table it comes from".to_owned(),
            n => format!("all {n} fragments are shared with the table it comes from"),
        };
    }
    let count = facts.fragments.len();
    let mut why = if count == 1 { "one fragment".to_owned() } else { format!("{count} fragments") };
    let is_chosen = |fragment: &&FragmentFacts| !facts.unchosen.contains(&fragment.id);
    let chosen: Vec<&FragmentFacts> = facts.fragments.iter().filter(is_chosen).collect();
    if chosen.len() < count {
        why.push_str(&format!(", {} of them not chosen by the predicate", count - chosen.len()));
    }
    let full = chosen.iter().filter(|f| policy.fills(Size::of(f))).count();
    if full > 0 {
        why.push_str(&format!(", {full} of them full"));
    }
    let held = chosen.iter().filter(|fragment| fragment.held).count();
    if held > 0 {
        why.push_str(&format!(", {held} of them held by an index that a rewrite would end"));
    } else if kept_apart_by_coverage(&chosen, policy) {
        why.push_str(", neighbours covered by different indexes");
    } else if chosen.len() > 1 && full < chosen.len() {
        why.push_str(&why_apart(&chosen, policy));
    }
    if chosen.iter().any(|fragment| fragment.deleted_rows > 0) {
        let percent = policy.deletion_threshold * 100.0;
        why.push_str(&format!(", at most {percent:.0} % of a fragment deleted"));
    }
    if facts.shared_fragments > 0 {
        let shared = facts.shared_fragments;
        why.push_str(&format!(", {shared} more are shared with the table it comes from"));
    }
    why
}

/// Whether a table with nothing to do would have something to do if the same indexes covered
/// all of it.
fn kept_apart_by_coverage(chosen: &[&FragmentFacts], policy: &LayoutPolicy) -> bool {
    let differs = chosen.windows(2).any(|pair| pair[0].coverage != pair[1].coverage);
    // Of one coverage they were planned like this already.
    differs && !merges(chosen, policy).is_empty()
}

/// Why fragments that are not full, and that nothing holds, stay apart.
fn why_apart(chosen: &[&FragmentFacts], policy: &LayoutPolicy) -> String {
    let open = chosen.iter().map(|fragment| (fragment.coverage, Size::of(fragment)));
    let mut open: Vec<(u32, Size)> = open.filter(|(_, size)| !policy.fills(*size)).collect();
    // By size: merges by tiers ask for no neighbours, and the smallest fit best.
    open.sort_by_cached_key(|(coverage, size)| (*coverage, policy.fill(*size)));
    let fit = |pair: &[(u32, Size)]| policy.fits(pair[0].1.plus(pair[1].1));
    let classes = open.chunk_by(|a, b| a.0 == b.0);
    let mut fitting = classes.filter(|class| class.windows(2).any(fit)).flatten().peekable();
    if fitting.peek().is_none() {
        return ", no two neighbours fit into one".to_owned();
    }
    match fitting.filter(|(_, size)| policy.is_small(*size)).count() {
        0 => ", none of them small enough to be merged".to_owned(),
        1 => ", 1 small one waits until a merge pays".to_owned(),
        n => format!(", {n} small ones wait until a merge pays"),
    }
}

/// What is done to the groups of a table.
fn why_rewrite(groups: &[Group]) -> String {
    let merges = groups.iter().filter(|group| group.why == GroupReason::Merge);
    let into: usize = merges.clone().map(|group| group.outputs.len()).sum();
    let merged: usize = merges.map(|group| group.fragments.len()).sum();
    let purged = groups.iter().filter(|group| group.why == GroupReason::PurgeDeletions);
    let alone = purged.clone().filter(|group| !group.outputs.is_empty()).count();
    let dropped = purged.filter(|group| group.outputs.is_empty());
    let dropped: usize = dropped.map(|group| group.fragments.len()).sum();

    let repaged = groups.iter().filter(|group| group.why == GroupReason::Repage).count();
    let reformatted = groups.iter().filter(|group| group.why == GroupReason::Reformat).count();

    let mut parts = Vec::new();
    for group in groups.iter().filter(|group| group.why == GroupReason::Cluster) {
        let (from, to) = (group.fragments.len(), group.outputs.len());
        parts.push(format!("lay out {from} {} in {to}", noun(from)));
    }
    if into > 0 {
        parts.push(format!("merge {merged} fragments into {into}"));
    }
    if alone > 0 {
        parts.push(format!("purge deleted rows of {alone} {}", noun(alone)));
    }
    if repaged > 0 {
        parts.push(format!("make the pages of {repaged} {} anew", noun(repaged)));
    }
    if reformatted > 0 {
        let noun = noun(reformatted);
        parts.push(format!("write {reformatted} {noun} anew in another version of data files"));
    }
    if dropped > 0 {
        parts.push(format!("drop {dropped} {} without live rows", noun(dropped)));
    }
    parts.join(", ")
}

fn noun(count: usize) -> &'static str {
    if count == 1 { "fragment" } else { "fragments" }
}

/// Ids as people write them: `0-4, 7`.
fn spans(ids: &[u64]) -> String {
    ids.chunk_by(|a, b| a.checked_add(1) == Some(*b))
        .map(|run| match run {
            [first, .., last] => format!("{first}-{last}"),
            _ => run[0].to_string(),
        })
        .collect::<Vec<_>>()
        .join(", ")
}

/// A number of bytes as people read it.
pub(crate) fn size(bytes: u64) -> String {
    if bytes < 1 << 10 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1024.0;
    for unit in ["KiB", "MiB", "GiB"] {
        if value < 1024.0 {
            return format!("{value:.1} {unit}");
        }
        value /= 1024.0;
    }
    format!("{value:.1} TiB")
}
