//! Our own documents below `__maintenance/`: which version of each kind is known, and what becomes of one of
//! another version. The only place that decides it: a newer one is refused, an older one is brought along by
//! pure steps, and one that says no version is damaged.
//!
//! Not here: whether a kind that is refused ends a run or is left alone, which its reader decides, and how a
//! document lies on disk.
//!
//! To change a format: write the step that makes the new form of the one before, and put it at the end of the
//! kind's steps. Whoever writes the document next writes the new form; nothing is written for the sake of it.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use thiserror::Error;

/// What makes the next version of a document.
type Step = fn(Value) -> Value;

/// A kind of document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DocumentKind {
    /// The lock of a root, and the records of runs: lines of text that begin with their version.
    Lock,
    /// What a run has staged.
    Journal,
    /// That a migration of a graph is not finished.
    MigrationNote,
    /// What a cleanup is deleting, and the record of what it deleted.
    CleanupList,
    /// What was done, or is to be.
    Job,
    /// How often a watcher found nothing to do.
    Noops,
    /// How a table is laid out, and what belongs to that.
    Layout,
    /// Statistics of the values of a table.
    Statistics,
    /// What the policy of a table says.
    Policy,
}

/// Where a document says its version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Schema,
    Format,
    Version,
}

/// What becomes of a document of some version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It is read as it is.
    Current,
    /// It is read after all steps but so many.
    Older(usize),
    /// It is not read.
    Newer,
    /// There never was such a version.
    Unknown,
}

/// A document cannot be used.
#[derive(Debug, Error)]
pub enum DocumentError {
    /// A newer program wrote it.
    #[error(
        "it has {field} {found}; this version of lancekeeper knows {known}: upgrade lancekeeper first"
    )]
    Newer {
        /// What its version is called.
        field: &'static str,
        /// Its version.
        found: u64,
        /// The newest that is known.
        known: u32,
    },
    /// It cannot be understood.
    #[error(transparent)]
    Damaged(#[from] serde_json::Error),
}

impl Field {
    const fn name(self) -> &'static str {
        match self {
            Self::Schema => "schema",
            Self::Format => "format",
            Self::Version => "version",
        }
    }
}

impl DocumentKind {
    const fn field(self) -> Field {
        match self {
            Self::Lock
            | Self::Journal
            | Self::MigrationNote
            | Self::CleanupList
            | Self::Job
            | Self::Noops => Field::Schema,
            Self::Statistics | Self::Policy => Field::Format,
            Self::Layout => Field::Version,
        }
    }

    /// What takes the first version to the second, that to the third, and so on.
    const fn steps(self) -> &'static [Step] {
        match self {
            // People read what follows the first line of a lock, and nobody else.
            Self::Lock
            | Self::Journal
            | Self::MigrationNote
            | Self::CleanupList
            | Self::Job
            | Self::Noops
            | Self::Layout
            | Self::Statistics
            | Self::Policy => &[],
        }
    }

    /// The version that is written, and the newest that is read.
    #[must_use]
    pub const fn version(self) -> u32 {
        match self {
            Self::Lock => 2,
            _ => self.steps().len() as u32 + 1,
        }
    }

    /// Whether something of that version was written by a newer program.
    #[must_use]
    pub fn is_newer(self, found: u64) -> bool {
        fate(found, self.version()) == Fate::Newer
    }

    /// Reads a document of this kind.
    ///
    /// # Errors
    ///
    /// [`DocumentError::Newer`], whatever else is in it; [`DocumentError::Damaged`] if it says no version that
    /// ever was, or is none of these documents.
    pub fn read<T: DeserializeOwned>(self, content: &[u8]) -> Result<T, DocumentError> {
        read(content, self.field(), self.steps())
    }
}

/// What becomes of a document of version `found`, if `known` is the newest.
fn fate(found: u64, known: u32) -> Fate {
    let known = u64::from(known);
    match usize::try_from(found) {
        _ if found == known => Fate::Current,
        _ if found > known => Fate::Newer,
        Ok(found) if found > 0 => Fate::Older(found - 1),
        _ => Fate::Unknown,
    }
}

fn read<T: DeserializeOwned>(
    content: &[u8],
    field: Field,
    steps: &[Step],
) -> Result<T, DocumentError> {
    let known = steps.len() as u32 + 1;
    // The version alone: a newer document may have other fields.
    let found = version_of(content, field)?;
    match fate(found, known) {
        Fate::Current => Ok(serde_json::from_slice(content)?),
        Fate::Older(skipped) => {
            let old: Value = serde_json::from_slice(content)?;
            let new = steps[skipped..].iter().fold(old, |document, step| step(document));
            Ok(serde_json::from_value(new)?)
        }
        Fate::Newer => Err(DocumentError::Newer { field: field.name(), found, known }),
        Fate::Unknown => {
            let why = format!("{} {found} was never written", field.name());
            Err(DocumentError::Damaged(serde::de::Error::custom(why)))
        }
    }
}

fn version_of(content: &[u8], field: Field) -> Result<u64, serde_json::Error> {
    #[derive(Deserialize)]
    struct Schema {
        schema: u64,
    }
    #[derive(Deserialize)]
    struct Format {
        format: u64,
    }
    #[derive(Deserialize)]
    struct Version {
        version: u64,
    }
    match field {
        Field::Schema => serde_json::from_slice(content).map(|Schema { schema }| schema),
        Field::Format => serde_json::from_slice(content).map(|Format { format }| format),
        Field::Version => serde_json::from_slice(content).map(|Version { version }| version),
    }
}

#[cfg(test)]
mod tests;
