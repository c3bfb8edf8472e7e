//! What was decided for one table, how it reads, and what must hold of every plan.

use std::collections::{HashMap, HashSet};
use std::fmt;

use lancekeeper_model::{FragmentFacts, SkipReason, TableFacts, TableRef, Version};

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
    /// after all others, numbered in this order.
    pub groups: Vec<Group>,
    /// What is done, in a sentence.
    pub reason: String,
}

/// Fragments that become one fragment, or none if they have no live rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Ids of the fragments, in manifest order.
    pub fragments: Vec<u64>,
    /// Live rows in all of them: the rows of the output. 0 means that there is none.
    pub rows: u64,
    /// Bytes to read: the size of all their data files, or 0 if `rows` is 0.
    pub bytes: u64,
    /// How to rewrite them.
    pub mode: RewriteMode,
    /// What for.
    pub why: GroupReason,
    /// Rows to read per batch when re-encoding, 1 to 8192.
    pub batch_rows: u32,
}

/// How a group is rewritten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RewriteMode {
    /// Copy encoded pages as they are.
    CopyPages,
    /// Decode and encode: needed with deletions, better with tiny pages.
    Reencode,
}

/// What a group is rewritten for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupReason {
    /// Several fragments are to become one.
    Merge,
    /// Deleted rows are to go; nothing is merged.
    PurgeDeletions,
}

impl RewritePlan {
    /// The plan with only these of its groups, by number and in order. What comes before the
    /// rewrite (versions to publish first) stays in the reason.
    #[must_use]
    pub fn only(&self, numbers: &[usize]) -> Self {
        let groups: Vec<Group> = numbers.iter().map(|at| self.groups[*at].clone()).collect();
        let before = self.reason.split_once("; ").map_or("", |(before, _)| before);
        let join = if before.is_empty() { "" } else { "; " };
        let reason = format!("{before}{join}{}", super::why_rewrite(&groups));
        Self { table: self.table.clone(), version: self.version, groups, reason }
    }

    /// What is wrong with this plan for these facts, one sentence per finding. A plan made
    /// by this crate has no findings: tests ask of every one they make, and an executor may
    /// before it starts.
    #[must_use]
    pub fn lint(&self, facts: &TableFacts) -> Vec<String> {
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
                    lint_group(group, &known)
                        .into_iter()
                        .map(|finding| format!("group {number}: {finding}")),
                ),
            }
        }
        findings
    }
}

/// `known` are the group's fragments, each with its place in the manifest.
fn lint_group(group: &Group, known: &[(usize, &FragmentFacts)]) -> Vec<String> {
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
    let rows: u64 = known.iter().map(|fragment| fragment.live_rows()).sum();
    if rows != group.rows {
        findings.push(format!("it says {} rows, its fragments have {rows}", group.rows));
    }
    let deletions = known.iter().any(|fragment| fragment.deleted_rows > 0);
    if group.mode == RewriteMode::CopyPages && deletions {
        findings.push("it copies pages that hold deleted rows".to_owned());
    }
    if group.batch_rows == 0 {
        findings.push("its batches are empty".to_owned());
    }
    findings
}

impl fmt::Display for TablePlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rewrite(plan) => plan.fmt(f),
            Self::Nothing { reason } => write!(f, "nothing: {reason}"),
            Self::Skip { reason, why, .. } => write!(f, "skip ({reason}): {why}"),
            Self::Broken { why } => write!(f, "broken: {why}"),
        }
    }
}

impl fmt::Display for RewritePlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rewrite at version {}: {}", self.version, self.reason)?;
        for group in &self.groups {
            write!(f, "\n  {group}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.why, spans(&self.fragments))?;
        if self.rows == 0 {
            return f.write_str(": nothing remains");
        }
        write!(f, ": {} rows, {} to read, ", self.rows, size(self.bytes))?;
        match self.mode {
            RewriteMode::CopyPages => f.write_str("copying pages"),
            RewriteMode::Reencode => write!(f, "re-encoding {} rows at a time", self.batch_rows),
        }
    }
}

impl fmt::Display for GroupReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Merge => "merge",
            Self::PurgeDeletions => "purge",
        })
    }
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
pub(super) fn size(bytes: u64) -> String {
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
        let group = |fragments: &[u64], rows| Group {
            fragments: fragments.to_vec(),
            rows,
            bytes: 0,
            mode: RewriteMode::CopyPages,
            why: GroupReason::Merge,
            batch_rows: 0,
        };
        let plan = RewritePlan {
            table: facts.table.clone(),
            version: Version(2),
            groups: vec![group(&[2, 0], 20), group(&[2, 3], 20), group(&[], 0), group(&[9], 0)],
            reason: String::new(),
        };
        insta::assert_snapshot!(plan.lint(&facts).join("\n"), @r"
            the plan is for docs at 2, the facts for docs at 1
            group 0: its fragments are not in manifest order
            group 0: its batches are empty
            group 1: fragment 2 was there before
            group 1: its fragments differ in index coverage
            group 1: it says 20 rows, its fragments have 15
            group 1: it copies pages that hold deleted rows
            group 1: its batches are empty
            group 2: it is empty
            group 3: not all fragments exist
        ");
        let none = RewritePlan { version: Version(1), groups: Vec::new(), ..plan };
        insta::assert_snapshot!(none.lint(&facts).join("\n"), @"there is no group");
    }
}
