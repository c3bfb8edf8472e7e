//! What the established rules call a table of a sidecar, by its versions alone.

use lancekeeper_model::Version;

use super::facts::ForeignTable;

/// From this version of the format on, a merge says which versions it had reached.
const CONFIRMS_SINCE: u32 = 2;

/// Who armed a sidecar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WriterKind {
    /// Inserts, updates and deletes by a query.
    Mutation,
    /// Rows from a file.
    Load,
    /// A change of the schema.
    SchemaApply,
    /// A merge of one branch into another.
    BranchMerge,
    /// Indexes that are declared and were missing.
    EnsureIndices,
    /// A compaction.
    Optimize,
}

/// How a table's versions are judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// Exactly one commit, to the version that was announced.
    Strict,
    /// Any number of commits.
    Loose,
    /// The version that the writer confirmed.
    Confirmed,
}

impl WriterKind {
    /// The kind of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "Mutation" => Self::Mutation,
            "Load" => Self::Load,
            "SchemaApply" => Self::SchemaApply,
            "BranchMerge" => Self::BranchMerge,
            "EnsureIndices" => Self::EnsureIndices,
            "Optimize" => Self::Optimize,
            _ => return None,
        })
    }

    fn rule(self, schema_version: u32) -> Rule {
        match self {
            Self::Mutation | Self::Load => Rule::Strict,
            Self::BranchMerge if schema_version >= CONFIRMS_SINCE => Rule::Confirmed,
            Self::SchemaApply | Self::BranchMerge | Self::EnsureIndices | Self::Optimize => {
                Rule::Loose
            }
        }
    }

    /// Whether such a writer can have committed an operation of Lance by this name. Restores
    /// are left out: those are of a recovery that died.
    pub(super) fn commits(self, operation: &str) -> bool {
        // The configuration for automatic cleanups is taken off tables by whoever finds it.
        let of_all = operation == "UpdateConfig";
        let own: &[&str] = match self {
            // An update may build an index that it finds missing.
            Self::Mutation | Self::Load | Self::BranchMerge => {
                &["Append", "Update", "Delete", "Overwrite", "CreateIndex"]
            }
            Self::SchemaApply => {
                &["Overwrite", "Append", "Merge", "Project", "Update", "CreateIndex"]
            }
            Self::EnsureIndices => &["CreateIndex"],
            Self::Optimize => &["Rewrite", "ReserveFragments", "CreateIndex"],
        };
        of_all || own.contains(&operation)
    }
}

/// What the established rules call a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Nothing was committed, or everything is published.
    NoMovement,
    /// It is as its writer meant it to be.
    RolledPastExpected,
    /// One version ahead, but not as it was meant.
    UnexpectedAtP1,
    /// Further ahead, and not as it was meant.
    UnexpectedMultistep,
    /// Its writer had not come to the end with it.
    IncompletePhaseB,
    /// Behind what readers see, which cannot be.
    InvariantViolation,
    /// Its branch has no such table any more: there is nothing to be moved. Ours; the
    /// established rules take its pin for 0 and then cannot restore that.
    Gone,
}

impl Class {
    /// The established name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::NoMovement => "NoMovement",
            Self::RolledPastExpected => "RolledPastExpected",
            Self::UnexpectedAtP1 => "UnexpectedAtP1",
            Self::UnexpectedMultistep => "UnexpectedMultistep",
            Self::IncompletePhaseB => "IncompletePhaseB",
            Self::InvariantViolation => "InvariantViolation",
            Self::Gone => "Gone",
        }
    }
}

/// Classifies a table.
pub(super) fn classify(table: &ForeignTable, kind: WriterKind, schema_version: u32) -> Class {
    let Some(pin) = table.pin else { return Class::Gone };
    // Without a fork of that name nothing was committed to one.
    let head = table.head.unwrap_or(pin);
    if head < pin {
        return Class::InvariantViolation;
    }
    if head == pin {
        return Class::NoMovement;
    }
    let is_expected = table.expected == pin;
    let unexpected =
        if head == pin.next() { Class::UnexpectedAtP1 } else { Class::UnexpectedMultistep };
    match kind.rule(schema_version) {
        Rule::Strict if is_one_step(pin, head) && is_expected && table.post_commit_pin == head => {
            Class::RolledPastExpected
        }
        Rule::Loose if is_expected => Class::RolledPastExpected,
        Rule::Strict | Rule::Loose => unexpected,
        Rule::Confirmed => match table.confirmed {
            Some(confirmed) if confirmed == head && is_expected => Class::RolledPastExpected,
            Some(_) => Class::UnexpectedMultistep,
            None => Class::IncompletePhaseB,
        },
    }
}

fn is_one_step(pin: Version, head: Version) -> bool {
    head == pin.next()
}
