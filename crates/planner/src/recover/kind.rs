//! Who arms sidecars, and what each kind of writer commits.

/// From this version of the format on, a merge says which versions it had reached.
pub(super) const CONFIRMS_SINCE: u32 = 2;

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
pub(super) enum Rule {
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

    /// How such a writer's tables are judged, by the version of its format.
    pub(super) fn rule(self, schema_version: u32) -> Rule {
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
