//! What was decided for one table, and what must hold of every plan. Not here: how it reads
//! (`words`).

#[cfg(test)]
use std::collections::{HashMap, HashSet};

#[cfg(test)]
use lancekeeper_model::{FragmentFacts, TableFacts};
use lancekeeper_model::{SkipReason, StorageVersion, TableRef, Version};

/// What to do with one table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TablePlan {
    /// Rewrite some of its fragments.
    Rewrite(RewritePlan),
    /// It is in good order.
    Nothing {
        /// In what way.
        reason: String,
    },
    /// It is left alone, and somebody else has to act first.
    Skip {
        /// The token for scripts.
        reason: SkipReason,
        /// The pinned version; in a database HEAD.
        manifest_version: Version,
        /// The newest version.
        head: Version,
        /// The reason for people.
        why: String,
    },
    /// What is on disk contradicts itself: an error of this table.
    Broken {
        /// How.
        why: String,
    },
}

/// The groups of one table that are to be rewritten.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RewritePlan {
    /// The table.
    pub table: TableRef,
    /// The version the plan was made at and the fragments are to be read at.
    pub version: Version,
    /// The groups, in the order in which their commit has to list them: new fragments go
    /// after all others, numbered in this order. None when only indexes are worked on.
    pub groups: Vec<Group>,
    /// Versions of ours that have to be published before, the first and the last.
    pub publish_first: Option<(Version, Version)>,
}

/// Fragments that are rewritten together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Ids of the fragments, in manifest order.
    pub fragments: Vec<u64>,
    /// The rows of each new fragment, in the order in which they are numbered: together the
    /// live rows of the old ones. Empty if there are none.
    pub outputs: Vec<u64>,
    /// Bytes to read: the size of all their data files, or 0 without outputs.
    pub bytes: u64,
    /// How to rewrite them.
    pub recipe: Recipe,
    /// What for.
    pub why: GroupReason,
}

/// How a group is rewritten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recipe {
    /// Copy encoded pages as they are.
    CopyPages,
    /// Decode and encode: needed with deletions, better with tiny pages.
    Reencode {
        /// Rows to read per batch, 1 to 8192.
        batch_rows: u32,
    },
    /// Decode, sort by the layout of the table, and encode. Outputs may end before they are full, so the
    /// group's outputs are an estimate.
    Permute {
        /// Rows to read per batch.
        batch_rows: u32,
        /// The most rows of an output.
        full_rows: u64,
    },
    /// Decode and encode in pages of so many rows.
    Repage {
        /// Rows of a page in every column, at least 1.
        page_rows: u32,
    },
    /// Decode, and encode in a file of another version.
    Reformat {
        /// Rows to read per batch.
        batch_rows: u32,
        /// The version.
        version: StorageVersion,
    },
}

impl Recipe {
    /// Rows to read per batch; `None` if it does not read in batches of rows.
    #[must_use]
    pub fn batch_rows(self) -> Option<u32> {
        match self {
            Self::CopyPages => None,
            Self::Reencode { batch_rows }
            | Self::Permute { batch_rows, .. }
            | Self::Reformat { batch_rows, .. } => Some(batch_rows),
            // As many rows as a page has, and no blobs by which they could be fewer.
            Self::Repage { page_rows } => Some(page_rows),
        }
    }

    /// The same recipe with other batches, where it reads in batches.
    #[must_use]
    pub fn in_batches(self, batch_rows: u32) -> Self {
        match self {
            Self::CopyPages | Self::Repage { .. } => self,
            Self::Reencode { .. } => Self::Reencode { batch_rows },
            Self::Permute { full_rows, .. } => Self::Permute { batch_rows, full_rows },
            Self::Reformat { version, .. } => Self::Reformat { batch_rows, version },
        }
    }
}

impl Group {
    /// Live rows in all its fragments.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.outputs.iter().sum()
    }
}

/// What a group is rewritten for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupReason {
    /// Several fragments are to become one.
    Merge,
    /// Deleted rows are to go; nothing is merged.
    PurgeDeletions,
    /// Rows are to lie in the order of the table's layout.
    Cluster,
    /// Its pages are far from the size that was asked for; nothing is merged.
    Repage,
    /// Its data files are of another version than was asked for; nothing is merged.
    Reformat,
}

impl RewritePlan {
    /// The plan with only these of its groups, by number and in order.
    #[must_use]
    pub fn only(&self, numbers: &[usize]) -> Self {
        let groups = numbers.iter().map(|at| self.groups[*at].clone()).collect();
        Self { groups, table: self.table.clone(), ..*self }
    }

    /// What is wrong with this plan for these facts, one sentence per finding. Tests ask it of
    /// every plan that they make: there must be none.
    #[cfg(test)]
    pub(super) fn lint(&self, facts: &TableFacts) -> Vec<String> {
        let mut findings = Vec::new();
        if self.table != facts.table || self.version != facts.version {
            findings.push(format!(
                "the plan is for {} at {}, the facts for {} at {}",
                self.table, self.version, facts.table, facts.version
            ));
        }
        if self.groups.is_empty() {
            findings.push("there is no group".to_owned());
        }
        let fragments: HashMap<u64, (usize, &FragmentFacts)> =
            facts.fragments.iter().enumerate().map(|(at, f)| (f.id, (at, f))).collect();
        let mut seen = HashSet::new();
        for (number, group) in self.groups.iter().enumerate() {
            for id in &group.fragments {
                if !seen.insert(*id) {
                    findings.push(format!("group {number}: fragment {id} was there before"));
                }
            }
            let known: Option<Vec<(usize, &FragmentFacts)>> =
                group.fragments.iter().map(|id| fragments.get(id).copied()).collect();
            match known {
                None => findings.push(format!("group {number}: not all fragments exist")),
                Some(known) => findings.extend(
                    lint_group(group, &known, facts)
                        .into_iter()
                        .map(|finding| format!("group {number}: {finding}")),
                ),
            }
        }
        findings
    }
}

/// `known` are the group's fragments, each with its place in the manifest.
#[cfg(test)]
fn lint_group(group: &Group, known: &[(usize, &FragmentFacts)], facts: &TableFacts) -> Vec<String> {
    let mut findings = Vec::new();
    if known.is_empty() {
        return vec!["it is empty".to_owned()];
    }
    if !known.is_sorted_by_key(|(at, _)| at) {
        findings.push("its fragments are not in manifest order".to_owned());
    }
    let known: Vec<&FragmentFacts> = known.iter().map(|(_, fragment)| *fragment).collect();
    if known.iter().any(|fragment| fragment.coverage != known[0].coverage) {
        findings.push("its fragments differ in index coverage".to_owned());
    }
    if known.iter().any(|fragment| fragment.held) {
        findings.push("an index that a rewrite would end covers one of its fragments".to_owned());
    }
    if known.iter().any(|fragment| facts.unchosen.contains(&fragment.id)) {
        findings.push("the predicate does not choose one of its fragments".to_owned());
    }
    let rows: u64 = known.iter().map(|fragment| fragment.live_rows()).sum();
    if rows != group.rows() {
        findings.push(format!("it says {} rows, its fragments have {rows}", group.rows()));
    }
    if group.outputs.contains(&0) {
        findings.push("one of its outputs is empty".to_owned());
    }
    let deletions = known.iter().any(|fragment| fragment.deleted_rows > 0);
    if group.recipe == Recipe::CopyPages && deletions {
        findings.push("it copies pages that hold deleted rows".to_owned());
    }
    if group.recipe.batch_rows() == Some(0) {
        findings.push("its batches are empty".to_owned());
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::tests::{inventory, parse_fragments};
    use super::*;

    #[test]
    fn a_plan_with_faults_has_findings() {
        let table = inventory(Vec::new());
        let mut facts = table.facts;
        parse_fragments(&["3", "x", "10", "rows", "1MB"], &mut facts.fragments);
        parse_fragments(&["10-5", "rows", "1MB", "cov", "1"], &mut facts.fragments);
        facts.unchosen.insert(3);
        let group = |fragments: &[u64], outputs: &[u64], recipe| Group {
            fragments: fragments.to_vec(),
            outputs: outputs.to_vec(),
            bytes: 0,
            recipe,
            why: GroupReason::Merge,
        };
        let endless = Recipe::Reencode { batch_rows: 0 };
        let plan = RewritePlan {
            table: facts.table.clone(),
            version: Version(2),
            groups: vec![
                group(&[2, 0], &[20], endless),
                group(&[2, 3], &[20, 0], Recipe::CopyPages),
                group(&[], &[], Recipe::CopyPages),
                group(&[9], &[], Recipe::CopyPages),
            ],
            publish_first: None,
        };
        insta::assert_snapshot!(plan.lint(&facts).join("\n"), @r"
            the plan is for docs at 2, the facts for docs at 1
            group 0: its fragments are not in manifest order
            group 0: its batches are empty
            group 1: fragment 2 was there before
            group 1: its fragments differ in index coverage
            group 1: the predicate does not choose one of its fragments
            group 1: it says 20 rows, its fragments have 15
            group 1: one of its outputs is empty
            group 1: it copies pages that hold deleted rows
            group 2: it is empty
            group 3: not all fragments exist
        ");
        let none = RewritePlan { version: Version(1), groups: Vec::new(), ..plan };
        insta::assert_snapshot!(none.lint(&facts).join("\n"), @"there is no group");
    }
}
