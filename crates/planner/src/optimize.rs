//! Bin-packing: which fragments of a table become one, and whether the table may be touched
//! at all.
//!
//! # Overview
//!
//! [`plan_table`] first asks where the table's authority says it is, then walks the
//! fragments of each index coverage in manifest order and closes a group whenever the next
//! one does not fit. Each group becomes exactly one fragment, or none when all its rows are
//! deleted.
//!
//! A new fragment does not stand where its sources stood: a manifest is sorted by fragment
//! id, and new ids are the highest. The walk therefore goes on over the list as it will be,
//! its own outputs at the end, until no two neighbours fit into one. Full fragments are no
//! obstacle between two others: Lance keeps no order of rows across fragments.
//!
//! # Invariants
//!
//! * No fragment is in two groups; a group has one index coverage, and its fragments are in
//!   manifest order.
//! * A group stays within both targets, unless it is a single fragment that is purged.
//! * A fragment that needs no purge is rewritten only to be merged, and a full one never.
//! * A plan that was carried out in its order leaves nothing to plan, if the new fragments
//!   are as large as their live rows were.
//!
//! Not here: sorting and curves, indexes, and anything that reads a table.

mod budget;
mod inventory;
mod pack;
mod plan;
mod policy;
mod settle;
mod windows;

#[cfg(test)]
mod budget_laws;
#[cfg(test)]
mod laws;
#[cfg(test)]
mod tests;

use lancekeeper_model::{SkipReason, TableFacts, Version};

pub use budget::{ByteBudget, Offer, Share};
pub use inventory::{Authority, SidecarClaim, TableInventory};
pub use pack::{
    BATCH_BYTES, BATCH_ROWS_MAX, BlobBatch, PAGE_BYTES_WORTH_KEEPING, blob_batch, replan_groups,
};
pub use plan::{Group, GroupReason, RewriteMode, RewritePlan, TablePlan};
pub use policy::{LayoutPolicy, PolicyError};
pub use windows::{WINDOW_TABLES_MAX, windows};

/// Decides what to do with one table.
///
/// Versions between pin and HEAD that are all ours do not stand in the way: the plan is made
/// at HEAD, and its reason says that they have to be published first.
#[must_use]
pub fn plan_table(inventory: &TableInventory, policy: &LayoutPolicy) -> TablePlan {
    let adopted = match standing(inventory) {
        Standing::Level => String::new(),
        Standing::Ours { pin, head } => {
            format!("{} first; ", publish_versions(pin.next(), head))
        }
        Standing::Refused(plan) => return plan,
    };
    let facts = &inventory.facts;
    if let Some(fragment) = facts.fragments.iter().find(|f| f.deleted_rows > f.physical_rows) {
        return TablePlan::Broken {
            why: format!(
                "fragment {} has {} rows and {} deleted ones",
                fragment.id, fragment.physical_rows, fragment.deleted_rows
            ),
        };
    }
    let fragments = facts.fragments.len() as u64;
    if fragments > 0 && fragments < policy.min_fragments {
        let (manifest_version, head) = versions(inventory);
        return TablePlan::Skip {
            reason: SkipReason::AlreadyCompact,
            manifest_version,
            head,
            why: adopted + &why_compact(fragments, policy.min_fragments),
        };
    }
    let groups = replan_groups(facts, policy);
    if groups.is_empty() {
        return TablePlan::Nothing { reason: adopted + &why_nothing(facts, policy) };
    }
    let reason = adopted + &why_rewrite(&groups);
    TablePlan::Rewrite(RewritePlan {
        table: facts.table.clone(),
        version: facts.version,
        groups,
        reason,
    })
}

/// The token for a table that has nothing of its own to merge and shares what could be: merging
/// that would write rows a second time that are stored once now.
#[must_use]
pub fn withheld(facts: &TableFacts) -> Option<SkipReason> {
    let is_withheld = facts.fragments.is_empty() && facts.shared_fragments > 1;
    is_withheld.then_some(SkipReason::FilesInBase)
}

/// Where HEAD is, seen from the pin.
enum Standing {
    /// At the pin; or the table has none.
    Level,
    /// Ahead of it by versions of ours only.
    Ours { pin: Version, head: Version },
    /// The table must not be touched.
    Refused(TablePlan),
}

/// The version readers see, and HEAD.
fn versions(inventory: &TableInventory) -> (Version, Version) {
    match inventory.authority {
        Authority::Pinned { pin, head } => (pin, head),
        Authority::Head { head } => (head, head),
    }
}

/// Why a table is left alone that has fewer fragments than a caller cares for; for tables that
/// are not planned here as well.
#[must_use]
pub fn why_compact(fragments: u64, min_fragments: u64) -> String {
    let noun = if fragments == 1 { "fragment" } else { "fragments" };
    format!("{fragments} {noun}, fewer than {min_fragments}")
}

fn standing(inventory: &TableInventory) -> Standing {
    let (pin, head) = versions(inventory);
    // Before drift is judged: an unfinished operation explains any distance.
    if let Some(claim) = &inventory.sidecar {
        return Standing::Refused(TablePlan::Skip {
            reason: SkipReason::RecoveryPending,
            manifest_version: pin,
            head,
            why: format!("an unfinished {} names it: {}", claim.writer_kind, claim.file),
        });
    }
    if head < pin {
        return Standing::Refused(TablePlan::Broken {
            why: format!("its HEAD {head} is behind manifest version {pin}"),
        });
    }
    if head == pin {
        return Standing::Level;
    }
    if inventory.ahead_is_ours {
        return Standing::Ours { pin, head };
    }
    Standing::Refused(TablePlan::Skip {
        reason: SkipReason::DriftNeedsRepair,
        manifest_version: pin,
        head,
        why: format!("its HEAD {head} is ahead of its pin {pin}, and nothing explains it"),
    })
}

fn publish_versions(first: Version, last: Version) -> String {
    if first == last {
        format!("publish our version {first}")
    } else {
        format!("publish our versions {first} to {last}")
    }
}

fn why_nothing(facts: &TableFacts, policy: &LayoutPolicy) -> String {
    if facts.fragments.is_empty() {
        return match facts.shared_fragments {
            0 => "the table is empty".to_owned(),
            1 => "its one fragment is shared with the table it comes from".to_owned(),
            n => format!("all {n} fragments are shared with the table it comes from"),
        };
    }
    let count = facts.fragments.len();
    let mut why = if count == 1 { "one fragment".to_owned() } else { format!("{count} fragments") };
    let full = facts.fragments.iter().filter(|f| policy.is_full(f)).count();
    if full > 0 {
        why.push_str(&format!(", {full} of them full"));
    }
    let held = facts.fragments.iter().filter(|fragment| fragment.held).count();
    if held > 0 {
        why.push_str(&format!(", {held} of them held by an index that a rewrite would end"));
    } else if kept_apart_by_coverage(facts, policy) {
        why.push_str(", neighbours covered by different indexes");
    } else if count > 1 && full < count {
        why.push_str(", no two neighbours fit into one");
    }
    if facts.fragments.iter().any(|fragment| fragment.deleted_rows > 0) {
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
/// all of it. Neighbours are those of the walk: full fragments do not count.
fn kept_apart_by_coverage(facts: &TableFacts, policy: &LayoutPolicy) -> bool {
    let small = || facts.fragments.iter().filter(|fragment| !policy.is_full(fragment));
    small().zip(small().skip(1)).any(|(a, b)| {
        let rows = a.live_rows().saturating_add(b.live_rows());
        policy.fits(rows, a.live_bytes().saturating_add(b.live_bytes()))
    })
}

fn why_rewrite(groups: &[Group]) -> String {
    let merges = groups.iter().filter(|group| group.why == GroupReason::Merge);
    let into = merges.clone().count();
    let merged: usize = merges.map(|group| group.fragments.len()).sum();
    let purged = groups.iter().filter(|group| group.why == GroupReason::PurgeDeletions);
    let alone = purged.clone().filter(|group| group.rows > 0).count();
    let dropped: usize = purged.filter(|group| group.rows == 0).map(|g| g.fragments.len()).sum();

    let mut parts = Vec::new();
    if into > 0 {
        parts.push(format!("merge {merged} fragments into {into}"));
    }
    if alone > 0 {
        parts.push(format!("purge deleted rows of {alone} {}", noun(alone)));
    }
    if dropped > 0 {
        parts.push(format!("drop {dropped} {} without live rows", noun(dropped)));
    }
    parts.join(", ")
}

fn noun(count: usize) -> &'static str {
    if count == 1 { "fragment" } else { "fragments" }
}
