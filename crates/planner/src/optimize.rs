//! Which fragments of a table become one, and whether the table may be touched at all.
//!
//! # Overview
//!
//! [`plan_table`] first asks where the table's authority says it is, then settles the fragments of
//! each index coverage for themselves (`merges`). Which fragments may be taken at all is said
//! before, fragment by fragment ([`LayoutPolicy::eligibility`]). A group becomes one fragment, or
//! none when all its rows are deleted. It is rewritten for one of four reasons:
//!
//! * One of its fragments has too many deletions. Smaller fragments go along, as long as that no
//!   more than doubles what is written.
//! * The merge pays by size tiers ([`Tiers`]): each of its fragments moves into a higher tier. So a
//!   table that is optimized after each append is not written anew each time.
//! * The new fragment is so small that writing it is lost in the price of the commit.
//! * The pages of a fragment are far from the size that was asked for.
//!
//! A run may be asked for files of another version, and does nothing else then (`reformat`).
//!
//! A new fragment does not stand where its sources stood: a manifest is sorted by fragment
//! id, and new ids are the highest. A plan therefore goes on over the list as it will be, its own
//! outputs at the end, until nothing pays any more. What lies between two fragments is no obstacle
//! to merging them: Lance keeps no order of rows across fragments.
//!
//! # Invariants
//!
//! * No fragment is in two groups; a group has one index coverage, and its fragments are in
//!   manifest order.
//! * A group stays within both targets, unless it is a single fragment that is purged.
//! * A fragment that needs no purge, and whose pages are as asked for, is rewritten only to be merged, and a full one never.
//! * A plan that was carried out in its order leaves nothing to plan, if the new fragments
//!   are as large as their live rows were.
//! * Over the life of a table without deletions, what is written is at most tiers × what was
//!   appended, and the floor per run.
//!
//! A table with a layout is planned by [`plan_clustered`] instead: which of its fragments get a new order is
//! said from outside.
//!
//! Not here: sorting and curves, indexes, and anything that reads a table.

mod budget;
mod carry;
mod cluster;
mod eligible;
mod fitting;
mod inventory;
mod merges;
mod pack;
mod pages;
mod plan;
mod policy;
mod reformat;
mod tiers;
mod windows;
mod words;

#[cfg(test)]
mod budget_laws;
#[cfg(test)]
mod history_laws;
#[cfg(test)]
mod laws;
#[cfg(test)]
mod tests;

use lancekeeper_model::{FragmentFacts, SkipReason, TableFacts, Version};

pub use budget::{ByteBudget, Offer, Share};
pub use carry::{SourceRows, Uncarried, carry_deletions, find_deletions};
pub use cluster::Choice;
use cluster::cluster_groups;
pub use eligible::Ineligible;
pub use fitting::why_unfit;
pub use inventory::{Authority, SidecarClaim, TableInventory};
pub use pack::{
    BATCH_BYTES, BATCH_ROWS_MAX, BlobBatch, PAGE_BYTES_WORTH_KEEPING, blob_batch, replan_groups,
};
pub use pages::PAGES_OFF_MAX;
pub use plan::{Group, GroupReason, Recipe, RewritePlan, TablePlan};
pub use policy::{LayoutPolicy, PolicyError};
use reformat::reformat_groups;
pub use tiers::Tiers;
pub use windows::{WINDOW_TABLES_MAX, windows};
pub(crate) use words::size as size_in_words;
pub use words::why_compact;
use words::{why_first, why_nothing};

/// Decides what to do with one table.
///
/// Versions between pin and HEAD that are all ours do not stand in the way: the plan is made
/// at HEAD, and its reason says that they have to be published first.
#[must_use]
pub fn plan_table(inventory: &TableInventory, policy: &LayoutPolicy) -> TablePlan {
    plan_groups(inventory, policy, || {
        if let Some(version) = policy.storage {
            return reformat_groups(&inventory.facts, policy, version);
        }
        let groups = replan_groups(&inventory.facts, policy);
        if groups.is_empty() { Err(why_nothing(&inventory.facts, policy)) } else { Ok(groups) }
    })
}

/// As [`plan_table`], of a table with a layout. `choose` is shown the fragments that may be rewritten
/// together, and says which of them get a new order.
#[must_use]
pub fn plan_clustered(
    inventory: &TableInventory,
    policy: &LayoutPolicy,
    choose: impl Fn(&[&FragmentFacts]) -> Choice,
) -> TablePlan {
    plan_groups(inventory, policy, || match policy.storage {
        Some(version) => reformat_groups(&inventory.facts, policy, version),
        None => cluster_groups(&inventory.facts, policy, choose),
    })
}

/// What is to be done if these are the groups, or this is why there are none.
fn plan_groups(
    inventory: &TableInventory,
    policy: &LayoutPolicy,
    groups: impl FnOnce() -> Result<Vec<Group>, String>,
) -> TablePlan {
    let publish_first = match standing(inventory) {
        Standing::Level => None,
        Standing::Ours { pin, head } => Some((pin.next(), head)),
        Standing::Refused(plan) => return plan,
    };
    let adopted = publish_first.map(|(first, last)| why_first(first, last)).unwrap_or_default();
    let facts = &inventory.facts;
    let eligibility = policy.eligibility(facts);
    let is_contradictory = |at: &usize| eligibility[*at] == Some(Ineligible::Contradictory);
    if let Some(at) = (0..facts.fragments.len()).find(is_contradictory) {
        let fragment = &facts.fragments[at];
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
    match groups() {
        Err(reason) => TablePlan::Nothing { reason: adopted + &reason },
        Ok(groups) => TablePlan::Rewrite(RewritePlan {
            table: facts.table.clone(),
            version: facts.version,
            groups,
            publish_first,
        }),
    }
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
        why: format!(
            "its HEAD {head} is ahead of its pin {pin}, and nothing explains it; `lancekeeper repair` says what it is"
        ),
    })
}
