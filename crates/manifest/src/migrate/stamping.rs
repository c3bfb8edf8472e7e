//! The stamp: the one commit by which a branch goes from one version to another.

use std::collections::HashMap;

use lance::Dataset;
use lance::dataset::transaction::{Operation, UpdateMap, UpdateMapEntry};
use lancekeeper_model::{Branch, Stamp};
use lancekeeper_store::strict::{CommitError, Signature, commit};
use lancekeeper_store::tables::version_of;

use super::{MigrateError, Migration};
use crate::graph::{Graph, STAMP, stamp_of};

/// Attempts at one stamp. Each lost one is a publish of somebody who opened the graph before.
const STAMP_ATTEMPTS: u32 = 20;

impl Migration<'_> {
    /// Stamps a branch, if its stamp is one that `is` takes. Nothing is done where it has that stamp.
    ///
    /// # Errors
    ///
    /// [`MigrateError::Changed`] when it is stamped with something else.
    ///
    /// # Cancel safety
    ///
    /// The stamp is the one before or the new one.
    pub(super) async fn stamp(
        &self,
        branch: &Branch,
        to: u32,
        is: impl Fn(&Stamp) -> bool,
    ) -> Result<(), MigrateError> {
        self.stamp_with(branch, to, is, |_| Ok(HashMap::new())).await
    }

    /// The same, with changes of the metadata of columns in the same commit.
    pub(super) async fn stamp_with(
        &self,
        branch: &Branch,
        to: u32,
        is: impl Fn(&Stamp) -> bool,
        fields: impl Fn(&Dataset) -> Result<HashMap<i32, UpdateMap>, MigrateError>,
    ) -> Result<(), MigrateError> {
        let mut attempt = 1;
        loop {
            let manifest = self.graph.open_manifest(branch).await?;
            let found = stamp_of(&manifest);
            if found.number() == Some(to) {
                return Ok(());
            }
            if !is(&found) {
                return Err(MigrateError::Changed { branch: branch.clone(), found });
            }
            let operation = Operation::UpdateConfig {
                config_updates: None,
                table_metadata_updates: None,
                schema_metadata_updates: Some(entry(STAMP, &to.to_string())),
                field_metadata_updates: fields(&manifest)?,
            };
            let signature = Signature {
                operation: self.operation.clone(),
                table: Graph::manifest_ref(branch),
                step: format!("stamp-{to}-on-{}", version_of(&manifest)),
            };
            match commit(&manifest, operation, &signature).await {
                Ok(_) => return Ok(()),
                Err(CommitError::Conflict { .. }) if attempt < STAMP_ATTEMPTS => attempt += 1,
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// One value of a map of metadata.
pub(super) fn entry(key: &str, value: &str) -> UpdateMap {
    let entry = UpdateMapEntry { key: key.to_owned(), value: Some(value.to_owned()) };
    UpdateMap { update_entries: vec![entry], replace: false }
}
