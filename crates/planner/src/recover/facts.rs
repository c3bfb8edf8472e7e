//! What is known of the sidecars that other writers left, before anything is decided.

use chrono::{DateTime, Utc};
use lancekeeper_model::{Branch, TableKey, TableRef, Version};

use super::kind::WriterKind;

/// One foreign sidecar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignFacts {
    /// The file, relative to the root.
    pub file: String,
    /// Its operation: the name of the file without `.json`.
    pub operation: String,
    /// What it says, with what was found where it points; or why it cannot be understood.
    pub content: Result<ForeignContent, String>,
}

/// What a foreign sidecar says, and what was found where it points.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignContent {
    /// The version of its format.
    pub schema_version: u32,
    /// The kind of its writer; `None` when that is not known.
    pub kind: Option<WriterKind>,
    /// The same as it stands there.
    pub kind_text: String,
    /// When it began; `None` when that cannot be read.
    pub started_at: Option<DateTime<Utc>>,
    /// The graph branch it is about.
    pub branch: Branch,
    /// Whether that is a branch still.
    pub branch_exists: bool,
    /// Whether it is none because its file is gone, while what was published to it is there.
    pub branch_is_lost: bool,
    /// Tables that were to move.
    pub tables: Vec<ForeignTable>,
    /// Tables that were to appear.
    pub added: Vec<AddedTable>,
    /// Tables that were to go.
    pub dropped: Vec<DroppedTable>,
    /// Of a schema apply: the schema files. Of no meaning otherwise.
    pub schema: SchemaFacts,
    /// What of all this could not be read, if something could not: then nothing is decided about it. The rest is here.
    pub unread: Option<Unread>,
}

/// Something that a sidecar points to and that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unread {
    /// Why not, with its causes.
    pub why: String,
    /// Whether it may be readable another time: the machine is to blame, and nothing says that it is damaged.
    pub may_pass: bool,
}

/// A table that was to move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignTable {
    /// The table.
    pub table: TableRef,
    /// Why what the sidecar says of its place cannot be, if so.
    pub misplaced: Option<String>,
    /// The pin when the sidecar was written.
    pub expected: Version,
    /// The version the writer meant to reach.
    pub post_commit_pin: Version,
    /// The version the writer had reached, where it said so.
    pub confirmed: Option<Version>,
    /// The pin now; `None` when the branch has no such table any more.
    pub pin: Option<Version>,
    /// Whether a recovery took back what was committed from the expected pin on, by a restore that is published since.
    /// Others may have published on top of that.
    pub was_taken_back: bool,
    /// The newest version on the branch of the table; `None` when there is none.
    pub head: Option<Version>,
    /// Whether the newest version is past the pin, and the version of the pin is not there any more or cannot be read.
    pub lacks_pin: bool,
    /// Every version after the pin, up to HEAD, in order.
    pub ahead: Vec<AheadVersion>,
}

/// A version that no pin of its branch names yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AheadVersion {
    /// The version.
    pub version: Version,
    /// When it was committed; `None` when it cannot be read.
    pub committed_at: Option<DateTime<Utc>>,
    /// What was committed, as Lance calls it; `None` when it cannot be read.
    pub operation: Option<String>,
    /// The version it restores, if it does.
    pub restores: Option<Version>,
    /// Whether a run of this program committed it.
    pub is_ours: bool,
}

/// A table that was to appear.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddedTable {
    /// The table.
    pub key: TableKey,
    /// Where it lies, relative to the root.
    pub location: String,
    /// Why that cannot be, if so.
    pub misplaced: Option<String>,
    /// Whether the branch has it already.
    pub is_registered: bool,
    /// Its newest version; `None` when there is no such dataset.
    pub head: Option<Version>,
}

/// A table that was to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DroppedTable {
    /// The table.
    pub key: TableKey,
    /// The version of the tombstone: the pin it was dropped at, plus one.
    pub tombstone: Version,
    /// The pin now; `None` when the branch has no such table any more.
    pub pin: Option<Version>,
}

/// The schema files of a graph, beside its tables.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SchemaFacts {
    /// What there is of the staging files.
    pub staging: Staging,
    /// Whether the schema that counts is that of the tables.
    pub live: Fit,
    /// Whether the staged one is.
    pub staged: Fit,
}

impl SchemaFacts {
    /// Whether there are staged files that can be taken over.
    #[must_use]
    pub fn is_staged(&self) -> bool {
        matches!(self.staging, Staging::Whole | Staging::Rest)
    }
}

/// What there is of the three staging files of a schema apply. They are written in the order
/// source, compiled form, state, and renamed in that order once the tables are published.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Staging {
    /// Nothing.
    #[default]
    None,
    /// All three, of one schema.
    Whole,
    /// The source was renamed already; with it, what is left is of one schema.
    Rest,
    /// What a crash while they were written leaves: not all of them, the source among them.
    Torn,
    /// The source is that of the staged schema or of the one before: both have the same types and properties.
    Either,
    /// None of these, and why.
    Odd(String),
}

impl Staging {
    /// Why nothing can be decided by it alone, if so.
    #[must_use]
    pub fn refusal(&self) -> Option<&str> {
        match self {
            Self::Odd(why) => Some(why),
            Self::Either => Some(
                "the source of the schema may be of the staged one or of the one before: both have the same types and properties",
            ),
            Self::None | Self::Whole | Self::Rest | Self::Torn => None,
        }
    }
}

/// Whether a schema is that of the tables: it has the same tables, with the same columns that hold the same.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Fit {
    /// As readers see them now.
    pub now: bool,
    /// As readers would see them once the sidecar was rolled forward.
    pub then: bool,
}
