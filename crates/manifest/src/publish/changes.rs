//! What a publish changes, and the rows that say so. Not here: how they are committed.

use lance::Dataset;
use lance_table::io::commit::ManifestNamingScheme;
use lancekeeper_model::{Branch, TableKey, Version};
use lancekeeper_store::LanceFailure;
use lancekeeper_store::tables::version_of;

use super::{PublishError, StalePin};
use crate::fold::Folded;
use crate::row::{
    Row, TABLE, TABLE_TOMBSTONE, TABLE_VERSION, VersionMetadata, tombstone_row_id, version_row_id,
};

/// One pin to move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PinMove {
    /// The table.
    pub key: TableKey,
    /// The version that must be pinned now.
    pub expected: Version,
    /// The version to pin: one of ours.
    pub to: Version,
    /// Live rows at that version.
    pub rows: u64,
    manifest_path: String,
    manifest_size: Option<u64>,
    naming_scheme: &'static str,
}

impl PinMove {
    /// Moves a table's pin to the version a handle stands at.
    ///
    /// # Errors
    ///
    /// When the rows cannot be counted.
    pub async fn to_version_of(
        key: TableKey,
        expected: Version,
        table: &Dataset,
    ) -> Result<Self, LanceFailure> {
        let rows = live_rows(&key, table).await?;
        let location = table.manifest_location();
        Ok(Self {
            key,
            expected,
            to: version_of(table),
            rows,
            manifest_path: location.path.to_string(),
            manifest_size: location.size,
            naming_scheme: scheme(location.naming_scheme),
        })
    }

    /// Moves a table's pin to the version that so many strict commits on top of a handle make, none of which
    /// changes what rows there are. How large its manifest will be is not told: clients ask the disk then.
    ///
    /// # Errors
    ///
    /// When the rows cannot be counted.
    pub async fn ahead_of(
        key: TableKey,
        expected: Version,
        table: &Dataset,
        commits: u64,
    ) -> Result<Self, LanceFailure> {
        let rows = live_rows(&key, table).await?;
        let to = Version(version_of(table).0 + commits);
        let scheme_of = table.manifest_location().naming_scheme;
        let base = table.branch_location().path;
        Ok(Self {
            key,
            expected,
            to,
            rows,
            manifest_path: scheme_of.manifest_path(&base, to.0).to_string(),
            manifest_size: None,
            naming_scheme: scheme(scheme_of),
        })
    }

    /// Whether a handle stands at the version that the pin is moved to.
    #[must_use]
    pub fn is_to(&self, table: &Dataset) -> bool {
        let path = &table.manifest_location().path;
        self.to == version_of(table) && self.manifest_path.as_str() == AsRef::<str>::as_ref(path)
    }
}

async fn live_rows(key: &TableKey, table: &Dataset) -> Result<u64, LanceFailure> {
    let rows = table
        .count_rows(None)
        .await
        .map_err(|source| LanceFailure::new(format!("failed to count rows of {key}"), source))?;
    Ok(rows as u64)
}

fn scheme(of: ManifestNamingScheme) -> &'static str {
    match of {
        ManifestNamingScheme::V1 => "V1",
        ManifestNamingScheme::V2 => "V2",
    }
}

/// A table that a publish makes known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTable {
    /// The table.
    pub key: TableKey,
    /// Where it lies, relative to the root.
    pub location: String,
}

/// A table that a publish takes off the branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tombstone {
    /// The table.
    pub key: TableKey,
    /// The version up to which it is none: the pinned one, plus one.
    pub version: Version,
}

/// Everything that one publish changes. Nothing is a commit all the same.
#[derive(Debug, Clone, Copy, Default)]
pub struct Changes<'a> {
    /// Pins to move. Of a table that is new, the expected version is 0.
    pub moves: &'a [PinMove],
    /// Tables to make known. One that is known at the same place is left as it is.
    pub registered: &'a [NewTable],
    /// Tables to take off the branch, at the pin before their tombstone.
    pub dropped: &'a [Tombstone],
    /// Of a merge: the commit that is merged.
    pub merged: Option<&'a str>,
}

impl Changes<'_> {
    /// Whether every table is where the caller expects it.
    ///
    /// # Errors
    ///
    /// [`PublishError::Stale`] with every one that is not, and [`PublishError::Duplicate`].
    pub(super) fn check(&self, folded: &Folded) -> Result<(), PublishError> {
        let mut stale = Vec::new();
        let moved = self.moves.iter().map(|pin_move| (&pin_move.key, pin_move.expected));
        let before = |tombstone: &Tombstone| Version(tombstone.version.0.saturating_sub(1));
        let dropped = self.dropped.iter().map(|tombstone| (&tombstone.key, before(tombstone)));
        for (key, expected) in moved.chain(dropped) {
            let current = folded.pins.iter().find(|pin| pin.key == *key).map(|pin| pin.version);
            if current.unwrap_or_default() != expected {
                stale.push(StalePin { key: key.clone(), expected, current });
            }
        }
        if !stale.is_empty() {
            return Err(PublishError::Stale { pins: stale });
        }
        for pin_move in self.moves {
            if folded.object_ids.contains(&version_row_id(pin_move.key.as_str(), pin_move.to)) {
                let (key, version) = (pin_move.key.clone(), pin_move.to);
                return Err(PublishError::Duplicate { key, version });
            }
        }
        Ok(())
    }

    /// The rows of a publish on a branch, but for those of the commit.
    ///
    /// # Errors
    ///
    /// [`PublishError::Elsewhere`], and what cannot be encoded.
    pub(super) fn rows(&self, branch: &Branch, folded: &Folded) -> Result<Vec<Row>, PublishError> {
        let mut rows = registrations(self.registered, folded)?;
        for pin_move in self.moves {
            rows.push(version_row(pin_move, branch)?);
        }
        rows.extend(self.dropped.iter().map(tombstone_row));
        Ok(rows)
    }
}

/// The rows of tables that are not known yet.
fn registrations(tables: &[NewTable], folded: &Folded) -> Result<Vec<Row>, PublishError> {
    let mut rows = Vec::new();
    for NewTable { key, location } in tables {
        match folded.locations.get(key) {
            Some(known) if known == location => continue,
            Some(known) => {
                let (key, known, location) = (key.clone(), known.clone(), location.clone());
                return Err(PublishError::Elsewhere { key, known, location });
            }
            None => rows.push(Row {
                object_id: key.as_str().to_owned(),
                object_type: TABLE.to_owned(),
                location: Some(location.clone()),
                table_key: key.as_str().to_owned(),
                ..Row::default()
            }),
        }
    }
    Ok(rows)
}

fn tombstone_row(tombstone: &Tombstone) -> Row {
    let key = tombstone.key.as_str();
    Row {
        object_id: tombstone_row_id(key, tombstone.version),
        object_type: TABLE_TOMBSTONE.to_owned(),
        table_key: key.to_owned(),
        table_version: Some(tombstone.version.0),
        ..Row::default()
    }
}

fn version_row(pin_move: &PinMove, branch: &Branch) -> Result<Row, serde_json::Error> {
    let metadata = VersionMetadata {
        manifest_path: pin_move.manifest_path.clone(),
        manifest_size: pin_move.manifest_size,
        e_tag: None,
        naming_scheme: Some(pin_move.naming_scheme.to_owned()),
    };
    Ok(Row {
        object_id: version_row_id(pin_move.key.as_str(), pin_move.to),
        object_type: TABLE_VERSION.to_owned(),
        location: None,
        metadata: Some(serde_json::to_string(&metadata)?),
        table_key: pin_move.key.as_str().to_owned(),
        table_version: Some(pin_move.to.0),
        table_branch: branch.name().map(ToOwned::to_owned),
        row_count: Some(pin_move.rows),
    })
}
