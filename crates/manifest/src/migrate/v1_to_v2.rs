//! v1 to v2: `object_id` is annotated as the key of `__manifest`, by which Lance notices that two
//! publishes insert the same row.

use std::collections::HashMap;

use lance::Dataset;
use lance::dataset::transaction::UpdateMap;
use lancekeeper_model::{Branch, InternalSchema, Stamp};
use lancekeeper_planner::migrate::Refusal;

use super::stamping::entry;
use super::{MigrateError, Migration};

/// What is annotated, in the form that clients write: once set, Lance never lets it be changed.
const KEY: (&str, &str) = ("lance-schema:unenforced-primary-key", "true");
const KEY_COLUMN: &str = "object_id";

impl Migration<'_> {
    /// Annotates the key of a branch, unless it is, and stamps the branch 2. One commit does both.
    ///
    /// # Errors
    ///
    /// When another column is the key.
    ///
    /// # Cancel safety
    ///
    /// The branch is at v1 or at v2.
    pub(super) async fn annotate(&self, branch: &Branch) -> Result<(), MigrateError> {
        let is_v1 = |stamp: &Stamp| *stamp == Stamp::Known(InternalSchema::V1);
        self.stamp_with(branch, 2, is_v1, |manifest| annotation(branch, manifest)).await
    }
}

fn annotation(
    branch: &Branch,
    manifest: &Dataset,
) -> Result<HashMap<i32, UpdateMap>, MigrateError> {
    let schema = manifest.schema();
    let other = |column: String| Refusal::Key { branch: branch.clone(), column };
    match schema.unenforced_primary_key().first() {
        Some(key) if key.name == KEY_COLUMN => return Ok(HashMap::new()),
        Some(key) => return Err(other(key.name.clone()).into()),
        None => {}
    }
    let Some(column) = schema.field(KEY_COLUMN) else {
        return Err(other("missing".to_owned()).into());
    };
    Ok(HashMap::from([(column.id, entry(KEY.0, KEY.1))]))
}
