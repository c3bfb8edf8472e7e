//! What a watcher did in a root, in one small document: runs that found nothing to do are no jobs, and leave nothing else.

use chrono::{DateTime, Utc};
use lancekeeper_store::Files;
use serde::{Deserialize, Serialize};

/// Where it stands, relative to the root.
const PLACE: &str = "__maintenance";
/// Its name.
const FILE: &str = "watch.json";
/// The version of its format.
const FORMAT: u32 = 1;

/// The numbers of one root.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Counts {
    /// The version of the format.
    format: u32,
    /// When the watcher began that counts here.
    since: Option<DateTime<Utc>>,
    /// When it was written.
    written_at: Option<DateTime<Utc>>,
    /// Looks at the root.
    pub(super) looks: u64,
    /// Runs that did something.
    pub(super) runs: u64,
    /// Runs that found nothing to do.
    pub(super) no_ops: u64,
    /// Runs that failed.
    pub(super) failures: u64,
    /// The last run that found nothing to do, with the reason.
    pub(super) last_no_op: Option<String>,
}

impl Counts {
    pub(super) fn since(now: DateTime<Utc>) -> Self {
        Self { format: FORMAT, since: Some(now), ..Self::default() }
    }
}

/// Writes the numbers of a root in the place of those that were there. A failure is logged: nothing depends on them.
///
/// # Cancel safety
///
/// The document is the new one as a whole, or what it was.
pub(super) async fn write(files: Files, counts: Counts, now: DateTime<Utc>) {
    let counts = Counts { written_at: Some(now), ..counts };
    let written = match serde_json::to_vec_pretty(&counts) {
        Ok(content) => {
            files.below(PLACE).put(FILE, content).await.map_err(|error| error.to_string())
        }
        Err(error) => Err(error.to_string()),
    };
    if let Err(error) = written {
        let root = files.place_of("");
        tracing::warn!(target: "lancekeeper::watch", root, error, "the numbers of the watcher were not written");
    }
}
