//! What a watcher looked at and found nothing to do with: counted in one document, because a record for each would be
//! all that anybody sees.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use lancekeeper_model::{DocumentError, DocumentKind};
use serde::{Deserialize, Serialize};

use super::{Jobs, JobsError};

/// Where they are counted, in the directory of jobs.
pub(super) const NOOPS: &str = "noops";
const FILE: &str = "watch.json";
/// Tables that are counted: more than a root has. What comes after them is not.
const TABLES_MAX: usize = 10_000;

/// No-ops of one table, or of a root as a whole for the empty name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoopCount {
    /// How many there were.
    pub count: u64,
    /// When the first was.
    pub first_at: DateTime<Utc>,
    /// When the last was.
    pub last_at: DateTime<Utc>,
    /// Why there was nothing to do then, in words.
    pub reason: String,
}

/// No-ops by table.
pub type Noops = BTreeMap<String, NoopCount>;

#[derive(Serialize, Deserialize)]
struct Document {
    schema: u32,
    tables: Noops,
}

impl Jobs {
    /// The no-ops that were counted. A document that cannot be understood counts as none.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    pub async fn noops(&self) -> Result<Noops, JobsError> {
        let Some(content) = self.noops.read(FILE).await? else { return Ok(Noops::new()) };
        match DocumentKind::Noops.read::<Document>(&content) {
            Ok(document) => Ok(document.tables),
            Err(DocumentError::Newer { found, .. }) => {
                tracing::warn!(target: "lancekeeper::jobs", schema = found, "no-ops were counted by a newer lancekeeper");
                Ok(Noops::new())
            }
            Err(DocumentError::Damaged(error)) => {
                tracing::warn!(target: "lancekeeper::jobs", %error, "the count of no-ops is damaged and begins anew");
                Ok(Noops::new())
            }
        }
    }

    /// Adds no-ops: of each table how many, and why the last one was. The caller is the only one who counts in this root.
    ///
    /// # Errors
    ///
    /// When they cannot be read or written.
    ///
    /// # Cancel safety
    ///
    /// All are counted or none.
    pub async fn add_noops(
        &self,
        noops: &[(String, u64, String)],
        now: DateTime<Utc>,
    ) -> Result<(), JobsError> {
        let mut tables = self.noops().await?;
        for (table, count, reason) in noops {
            if tables.len() >= TABLES_MAX && !tables.contains_key(table) {
                continue;
            }
            let fresh = NoopCount { count: 0, first_at: now, last_at: now, reason: String::new() };
            let known = tables.entry(table.clone()).or_insert(fresh);
            known.count = known.count.saturating_add(*count);
            (known.last_at, known.reason) = (now, reason.clone());
        }
        let schema = DocumentKind::Noops.version();
        let document = serde_json::to_vec_pretty(&Document { schema, tables });
        let document = document.map_err(|error| JobsError::Document {
            place: self.noops.place_of(FILE),
            source: lancekeeper_model::JobDocumentError::Encode(error),
        })?;
        Ok(self.noops.put(FILE, document).await?)
    }
}
