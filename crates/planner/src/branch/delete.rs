//! What deleting a branch needs, loses and takes away. Pure.

use std::collections::BTreeSet;
use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};
use lancekeeper_model::{Branch, ForkRefStatus, Version, shell_word};

use crate::cleanup::history::merged_elsewhere;
use crate::cleanup::{
    Authority, BranchFacts, CleanupInventory, DatasetFacts, DatasetPlan, Retention, Role,
    plan_cleanup,
};

/// What keeps a branch from being deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dependant {
    /// A branch that was cut from it.
    CutFrom(Branch),
    /// A branch that reads its fork of a table, which lies there.
    Reads {
        /// The branch.
        branch: Branch,
        /// Where the table lies.
        location: String,
    },
    /// A branch that cannot be read: it may read anything.
    Unreadable(Branch),
    /// A branch whose file is gone, while what was published to it is there. It can neither be deleted nor be merged.
    Lost {
        /// The branch.
        branch: Branch,
        /// Where the tables lie of which it reads forks; `None` if it cannot be read, and may read anything.
        reads: Option<Vec<String>>,
    },
    /// A tag on a version of it.
    Tag {
        /// The tag.
        tag: String,
        /// Where the table lies.
        location: String,
        /// The version.
        version: Version,
    },
    /// Something else that its part of a table must stay for.
    Needed {
        /// Where the table lies.
        location: String,
        /// Why.
        why: String,
    },
}

impl fmt::Display for Dependant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CutFrom(branch) => write!(f, "branch {branch} was cut from it"),
            Self::Reads { branch, location } => {
                write!(f, "branch {branch} reads its fork of {location}")
            }
            Self::Unreadable(branch) => {
                write!(f, "branch {branch} cannot be read, and may read what it has")
            }
            Self::Lost { branch, reads } => {
                let word = shell_word(branch.label());
                match reads {
                    Some(reads) => write!(
                        f,
                        "branch {branch}, whose file is gone, reads its fork of {}",
                        reads.join(" and of ")
                    )?,
                    None => write!(
                        f,
                        "branch {branch}, whose file is gone, cannot be read, and may read what it has"
                    )?,
                }
                write!(
                    f,
                    " (if it was being deleted, `lancekeeper recover ROOT --assume-dead {word} --confirm` takes it away)"
                )
            }
            Self::Tag { tag, location, version } => {
                write!(f, "tag {tag} is on its version {version} of {location}")
            }
            Self::Needed { location, why } => write!(f, "of {location}: {why}"),
        }
    }
}

/// What deleting a branch takes away.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeletePlan {
    /// What forbids it. Then nothing else here may be carried out.
    pub dependants: Vec<Dependant>,
    /// Its commits that no other branch has in its history, newest first.
    pub unmerged: Vec<String>,
    /// One per dataset, in the inventory's order, each cut down to what bears the branch's
    /// name.
    pub datasets: Vec<DatasetPlan>,
}

/// Plans the deletion of a branch that `inventory` still has, or what is left to do of it.
/// `policy` is [`only_it`].
#[must_use]
pub fn plan_delete(
    inventory: &CleanupInventory<'_>,
    branch: &Branch,
    policy: &Retention,
    now: DateTime<Utc>,
) -> DeletePlan {
    let mut plan = DeletePlan {
        dependants: dependants(inventory.authority, branch),
        unmerged: unmerged(inventory.authority, branch),
        datasets: Vec::new(),
    };
    for dataset in &inventory.datasets {
        plan.dependants.extend(tags(dataset, branch));
    }
    let without = retire(inventory.authority, branch);
    let (running, datasets) = (inventory.running, inventory.datasets.clone());
    let inventory = CleanupInventory { authority: &without, running, datasets };
    let whole = plan_cleanup(&inventory, &[], policy, now);
    for (dataset, planned) in inventory.datasets.iter().zip(whole.datasets) {
        // Whoever depends on it has been named, mostly.
        if dataset.role == Role::Manifest
            && plan.dependants.is_empty()
            && let Some(why) = stays(&planned, branch)
        {
            let location = dataset.location.clone();
            plan.dependants.push(Dependant::Needed { location, why });
        }
        plan.datasets.push(cut_down(dataset, planned, branch));
    }
    plan
}

/// The authorities as they are without a branch.
#[must_use]
pub fn retire(authority: &Authority, branch: &Branch) -> Authority {
    let mut without = authority.clone();
    without.branches.retain(|live| live.branch != *branch);
    let known: BTreeSet<&String> = without.branches.iter().flat_map(|live| &live.commits).collect();
    without.commits.retain(|commit| known.contains(&commit.id));
    without.retired = Some(branch.clone());
    without
}

/// What of the branches alone forbids a deletion.
#[must_use]
pub fn dependants(authority: &Authority, branch: &Branch) -> Vec<Dependant> {
    let mut found = Vec::new();
    for other in authority.branches.iter().filter(|other| other.branch != *branch) {
        if other.parent.as_ref() == Some(branch) {
            found.push(Dependant::CutFrom(other.branch.clone()));
            continue;
        }
        if other.is_lost {
            found.extend(lost(other, branch));
            continue;
        }
        match &other.pins {
            Ok(pins) => {
                let read = pins.iter().filter(|pin| pin.chain.branch == *branch);
                found.extend(read.map(|pin| Dependant::Reads {
                    branch: other.branch.clone(),
                    location: pin.chain.location.clone(),
                }));
            }
            Err(_) => found.push(Dependant::Unreadable(other.branch.clone())),
        }
    }
    found
}

/// What a branch whose file is gone needs of another one.
fn lost(other: &BranchFacts, branch: &Branch) -> Option<Dependant> {
    let reads = match &other.pins {
        Err(_) => None,
        Ok(pins) => {
            let read = pins.iter().filter(|pin| pin.chain.branch == *branch);
            let read: Vec<String> = read.map(|pin| pin.chain.location.clone()).collect();
            (!read.is_empty()).then_some(Some(read))?
        }
    };
    Some(Dependant::Lost { branch: other.branch.clone(), reads })
}

fn unmerged(authority: &Authority, branch: &Branch) -> Vec<String> {
    let Some(facts) = authority.branches.iter().find(|live| live.branch == *branch) else {
        return Vec::new();
    };
    let merged = merged_elsewhere(authority, branch);
    facts.commits.iter().filter(|id| !merged.contains(id.as_str())).cloned().collect()
}

fn tags(dataset: &DatasetFacts, branch: &Branch) -> Vec<Dependant> {
    let chain = dataset.chains.iter().filter(|chain| chain.branch == *branch);
    let versions = chain.flat_map(|chain| &chain.versions);
    versions
        .flat_map(|version| {
            version.tags.iter().map(|tag| Dependant::Tag {
                tag: tag.clone(),
                location: dataset.location.clone(),
                version: version.version,
            })
        })
        .collect()
}

/// Why the branch's chain stays, if it does.
fn stays(plan: &DatasetPlan, branch: &Branch) -> Option<String> {
    let fork = plan.forks.iter().find(|fork| fork.branch == *branch)?;
    (fork.status != ForkRefStatus::Orphan).then(|| fork.why.clone())
}

/// The rules of a deletion: nothing goes but what is left under the branch's name, and of that
/// nothing that was written less than `age` ago.
#[must_use]
pub fn only_it(age: TimeDelta) -> Retention {
    Retention {
        keep_versions: Some(u64::MAX),
        older_than: None,
        keep_last: None,
        keep_within: None,
        writer_window: TimeDelta::zero(),
        // Longer than anything has been lying there.
        min_age: TimeDelta::days(100 * 366),
        min_fork_age: age,
        max_delete_percent: 100,
    }
}

/// A plan without anything that does not bear the branch's name.
fn cut_down(dataset: &DatasetFacts, mut plan: DatasetPlan, branch: &Branch) -> DatasetPlan {
    let is_its =
        |chain: Option<u32>| chain.is_some_and(|at| dataset.chains[at as usize].branch == *branch);
    plan.deletions.retain(|deletion| is_its(dataset.files[deletion.file.0 as usize].chain));
    plan.removed.retain(|(of, _)| of == branch);
    plan.forks.retain(|fork| fork.branch == *branch);
    plan.warnings.clear();
    // Emptying a dropped table is a cleanup's, whichever branch goes.
    plan.empties = None;
    plan
}
