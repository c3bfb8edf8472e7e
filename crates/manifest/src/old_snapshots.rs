//! What readers saw at many old versions of `__manifest`, each fragment of it read once.
//!
//! Every publish adds a fragment and leaves the others as they are, or deletes a row of one. Read
//! one by one, a hundred versions are five thousand fragments; here they are a few hundred.
//!
//! Not here: which versions are asked for.

use std::collections::HashMap;
use std::sync::Arc;

use futures::{FutureExt, StreamExt, TryStreamExt};
use lance::Dataset;
use lance::dataset::fragment::FileFragment;
use lance_table::format::Fragment;
use lancekeeper_model::{Branch, Snapshot, Version};
use lancekeeper_store::LanceFailure;

use crate::graph::{Graph, GraphError};
use crate::row::{COLUMNS, Row, decode};

/// Fragments read at the same time: enough to keep a disk busy, few enough for `ulimit -n`.
const FRAGMENTS_AT_ONCE: usize = 8;

/// Reads old versions of the branches of a graph. Quick if neighbours are asked for one after the
/// other: what the last one had is remembered, and nothing else.
#[derive(Debug)]
pub struct OldSnapshots<'g> {
    graph: &'g Graph,
    last: Option<Last>,
}

/// The version that was read last.
#[derive(Debug)]
struct Last {
    branch: Branch,
    /// What its rows are decoded by.
    schema: lance::datatypes::Schema,
    fragments: HashMap<u64, (Fragment, Arc<Vec<Row>>)>,
}

impl<'g> OldSnapshots<'g> {
    /// Of a graph.
    #[must_use]
    pub fn of(graph: &'g Graph) -> Self {
        Self { graph, last: None }
    }

    /// What readers of a branch saw at a version of `__manifest`, as [`Graph::snapshot_at`].
    ///
    /// # Errors
    ///
    /// When that version does not exist or cannot be read.
    pub async fn at(&mut self, branch: &Branch, version: Version) -> Result<Snapshot, GraphError> {
        let manifest = self.graph.open_manifest_at(branch, version).await?;
        let fragments = manifest.get_fragments();
        let reads: Vec<_> = fragments
            .iter()
            .map(|fragment| self.rows_of(branch, &manifest, fragment).boxed())
            .collect();
        let rows: Vec<Arc<Vec<Row>>> =
            futures::stream::iter(reads).buffered(FRAGMENTS_AT_ONCE).try_collect().await?;
        let snapshot =
            self.graph.snapshot_by(rows.iter().flat_map(|rows| rows.iter()), &manifest, branch);
        let known = fragments.iter().map(FileFragment::metadata).zip(rows);
        self.last = Some(Last {
            branch: branch.clone(),
            schema: manifest.schema().clone(),
            fragments: known.map(|(of, rows)| (of.id, (of.clone(), rows))).collect(),
        });
        snapshot
    }

    /// The rows of a fragment that are not deleted: as they were read, if the last version had it
    /// with the same files, the one of its deleted rows included. Files are never written twice.
    async fn rows_of(
        &self,
        branch: &Branch,
        manifest: &Dataset,
        fragment: &FileFragment,
    ) -> Result<Arc<Vec<Row>>, GraphError> {
        let last = self.last.as_ref();
        let last = last.filter(|last| last.branch == *branch && last.schema == *manifest.schema());
        let known = last.and_then(|last| last.fragments.get(&fragment.metadata().id));
        if let Some((_, rows)) = known.filter(|(known, _)| known == fragment.metadata()) {
            return Ok(Arc::clone(rows));
        }
        let failed =
            |source| LanceFailure::new(format!("failed to read {}", manifest.uri()), source);
        let mut scan = fragment.scan();
        scan.project(COLUMNS).map_err(failed)?;
        let mut batches = Box::pin(scan.try_into_stream()).await.map_err(failed)?;
        let mut rows = Vec::new();
        while let Some(batch) = batches.try_next().await.map_err(failed)? {
            rows.extend(decode(&batch).map_err(|error| failed(error.into()))?);
        }
        Ok(Arc::new(rows))
    }
}
