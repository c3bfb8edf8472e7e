//! Drift: a table whose newest version is not the one that its graph publishes, and nothing
//! explains it. What the difference is, by the table's own history, and what becomes of it.
//!
//! # Protocol
//!
//! Each version between pin and HEAD has done one of four things to the rows that readers get: nothing,
//! something, it has brought an earlier version back, or it cannot be told. What that adds up to at HEAD is the
//! table's class. Maintenance is published at any time, because it makes no difference to anybody. Anything else
//! takes a decision of the caller's, publish it or take it back, and must be so old that nobody is about to publish
//! it himself.
//!
//! Not here: unfinished operations that a sidecar explains (`sweep`); while there is one of another writer, nothing
//! is repaired.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use lancekeeper_model::{Branch, DriftClass, TableRef, Version};

/// Versions of which the history is read, per table. Who is further ahead of its pin has not kept the graph
/// for a long time, and no maintenance makes so many versions.
pub const VERSIONS_MAX: u64 = 1_000;

/// How tags begin that keep what was taken back.
pub const TAG_PREFIX: &str = "lancekeeper-drift";

/// What a version did to the rows that readers get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Nothing: the same rows, stored or found otherwise.
    Maintenance,
    /// It brought back the rows of an earlier version.
    Restore(Version),
    /// Rows came, went or changed; or how the table behaves did.
    Change,
    /// Its transaction cannot be read.
    Unreadable,
}

/// One version after the pin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionFacts {
    /// The version.
    pub version: Version,
    /// Its operation as Lance calls it; of one that cannot be read, why.
    pub operation: String,
    /// What it did.
    pub effect: Effect,
}

/// One table on the branch whose chain it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DriftFacts {
    /// The table.
    pub table: TableRef,
    /// The version that readers see.
    pub pin: Version,
    /// Its rows; `None` when it cannot be opened.
    pub rows_pinned: Option<u64>,
    /// The newest version.
    pub head: Version,
    /// Its rows.
    pub rows_head: u64,
    /// When it was committed, by its writer's clock.
    pub newest_at: DateTime<Utc>,
    /// The versions after the pin, oldest first; no more than [`VERSIONS_MAX`].
    pub versions: Vec<VersionFacts>,
    /// The table's tags, with what they name.
    pub tags: BTreeMap<String, (Branch, Version)>,
}

/// What the caller wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wish {
    /// What is not proven is published, too.
    pub force: bool,
    /// It is taken back instead. Goes before `force`.
    pub restore_pin: bool,
    /// What is younger may be somebody's who is about to publish it.
    pub dead_after: TimeDelta,
    /// Nobody is.
    pub assume_dead: bool,
}

/// What becomes of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Nothing is to be done.
    Nothing,
    /// Publish HEAD: nobody sees a difference.
    Heal,
    /// Publish HEAD, because the caller says so.
    Force,
    /// Give HEAD a name that keeps it, and commit the rows of the pin on top of it.
    Restore {
        /// The name.
        tag: String,
        /// Whether HEAD has it already, from a run that died.
        is_there: bool,
    },
    /// Leave it as it is: the caller has to decide.
    Refuse,
    /// Leave it as it is: it is damaged.
    Broken,
}

/// The plan for one table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepairPlan {
    /// What lies between pin and HEAD; `None` for a table that is damaged.
    pub class: Option<DriftClass>,
    /// What becomes of it.
    pub decision: Decision,
    /// Why, in words.
    pub why: String,
    /// The tag that keeps what was taken back, or will.
    pub kept_as: Option<String>,
}

/// Decides about one table.
#[must_use]
pub fn plan_repair(facts: &DriftFacts, wish: Wish, now: DateTime<Utc>) -> RepairPlan {
    let (pin, head) = (facts.pin, facts.head);
    if head < pin {
        let why = format!("its HEAD {head} is behind manifest version {pin}");
        return RepairPlan { class: None, decision: Decision::Broken, why, kept_as: None };
    }
    let (class, why) = classify(facts);
    let (decision, why) = match class {
        DriftClass::NoDrift => (Decision::Nothing, why),
        DriftClass::VerifiedMaintenance => (Decision::Heal, why),
        _ => decide_unproven(facts, wish, now, why),
    };
    let kept_as = match &decision {
        Decision::Restore { tag, .. } => Some(tag.clone()),
        _ => facts.tags_after_pin().next().map(ToOwned::to_owned),
    };
    RepairPlan { class: Some(class), decision, why, kept_as }
}

/// What lies between pin and HEAD, and why.
#[must_use]
pub fn classify(facts: &DriftFacts) -> (DriftClass, String) {
    let ahead = facts.head.0.saturating_sub(facts.pin.0);
    if ahead == 0 {
        return (DriftClass::NoDrift, "readers see the newest version".to_owned());
    }
    if facts.versions.len() as u64 != ahead {
        let why = format!("it is {ahead} versions ahead, of which {VERSIONS_MAX} are looked at");
        return (DriftClass::Unverifiable, why);
    }
    let (class, why) = by_history(facts);
    match facts.rows_pinned {
        // What a history says of itself is not taken on trust.
        Some(pinned) if class == DriftClass::VerifiedMaintenance && pinned != facts.rows_head => {
            let why = format!(
                "its history has only maintenance, but version {} has {} rows and readers see {pinned}",
                facts.head, facts.rows_head
            );
            (DriftClass::Suspicious, why)
        }
        _ => (class, why),
    }
}

/// The rows of a version, compared with those of the pin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rows {
    /// The same.
    Same,
    /// Other ones, since this place in the history.
    Other(usize),
    /// Not known, since this place.
    Unknown(usize),
}

fn by_history(facts: &DriftFacts) -> (DriftClass, String) {
    let mut after: Vec<Rows> = Vec::new();
    for (at, version) in facts.versions.iter().enumerate() {
        let before = after.last().copied().unwrap_or(Rows::Same);
        after.push(match version.effect {
            Effect::Maintenance => before,
            Effect::Change => Rows::Other(at),
            Effect::Unreadable if matches!(before, Rows::Other(_)) => before,
            Effect::Unreadable => Rows::Unknown(at),
            Effect::Restore(to) if to == facts.pin => Rows::Same,
            Effect::Restore(to) => {
                let known = facts.versions.iter().position(|known| known.version == to);
                // Below the pin are rows that readers do not see any more.
                known.filter(|known| *known < at).map_or(Rows::Other(at), |known| after[known])
            }
        });
    }
    let version = |at: usize| &facts.versions[at];
    let restored = || facts.versions.iter().any(|v| matches!(v.effect, Effect::Restore(_)));
    match after.last().copied().unwrap_or(Rows::Same) {
        Rows::Same => {
            let why = match restored() {
                true => "what was committed was taken back: the same rows",
                false => "only maintenance: the same rows",
            };
            (DriftClass::VerifiedMaintenance, why.to_owned())
        }
        Rows::Other(at) => {
            let VersionFacts { version, operation, .. } = version(at);
            let why = format!("version {version} may have changed rows ({operation})");
            (DriftClass::Suspicious, why)
        }
        Rows::Unknown(at) => {
            let VersionFacts { version, operation, .. } = version(at);
            let why = format!("what version {version} did cannot be read ({operation})");
            (DriftClass::Unverifiable, why)
        }
    }
}

/// What becomes of versions that are not maintenance.
fn decide_unproven(
    facts: &DriftFacts,
    wish: Wish,
    now: DateTime<Utc>,
    why: String,
) -> (Decision, String) {
    if !wish.force && !wish.restore_pin {
        return (Decision::Refuse, why);
    }
    if wish.restore_pin && facts.rows_pinned.is_none() {
        let why = format!(
            "{why}; the version {} that readers are sent to cannot be opened: there is nothing to go back to",
            facts.pin
        );
        return (Decision::Refuse, why);
    }
    let age = now - facts.newest_at;
    if age < wish.dead_after && !wish.assume_dead {
        let why = format!(
            "{why}; that was committed {} seconds ago, and its writer may be about to publish it",
            age.num_seconds().max(0)
        );
        return (Decision::Refuse, why);
    }
    if wish.restore_pin {
        let (tag, is_there) = facts.tag_for_head();
        return (Decision::Restore { tag, is_there }, why);
    }
    (Decision::Force, why)
}

impl DriftFacts {
    /// The name that keeps HEAD: one that it has, else the first that is free.
    fn tag_for_head(&self) -> (String, bool) {
        let head = (self.table.branch.clone(), self.head);
        if let Some((name, _)) = self.our_tags().find(|(_, named)| **named == head) {
            return (name.clone(), true);
        }
        let name = tag_name(&self.table.branch, self.head);
        let numbered = (2u32..).map(|number| format!("{name}-{number}"));
        let mut names = std::iter::once(name.clone()).chain(numbered);
        (names.find(|name| !self.tags.contains_key(name)).unwrap_or(name), false)
    }

    /// Tags of ours on versions that readers do not see.
    fn tags_after_pin(&self) -> impl Iterator<Item = &str> {
        let is_after = |(_, (branch, version)): &(&String, &(Branch, Version))| {
            *branch == self.table.branch && *version > self.pin
        };
        self.our_tags().filter(is_after).map(|(name, _)| name.as_str())
    }

    fn our_tags(&self) -> impl Iterator<Item = (&String, &(Branch, Version))> {
        self.tags.iter().filter(|(name, _)| name.starts_with(TAG_PREFIX))
    }
}

/// How a version is called that was taken back. Lance allows no `/` in tags.
fn tag_name(branch: &Branch, version: Version) -> String {
    match branch.name() {
        None => format!("{TAG_PREFIX}-{version}"),
        Some(name) => format!("{TAG_PREFIX}-{}-{version}", name.replace('/', "_")),
    }
}
