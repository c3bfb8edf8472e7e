//! Appending to the tables beside `__manifest` that only grow, and making those that are not there yet. Not here: what
//! their rows say (`lineage`, `recoveries`, `half_made`).

use std::sync::Arc;

use arrow_array::{RecordBatch, RecordBatchIterator};
use lance::Dataset;
use lance::dataset::{InsertBuilder, WriteMode, WriteParams};
use lancekeeper_model::{Branch, ErrorKind, OperationId, TableKey, TableRef};
use lancekeeper_store::LanceFailure;
use lancekeeper_store::strict::{CommitError, Signature, commit};

use super::LineageError;
use crate::graph::Graph;

/// Other writers append rows too; each of them is one conflict, and giving up leaves the history short of a row.
pub(super) const APPEND_ATTEMPTS: u32 = 20;

impl Graph {
    /// Appends a row to one of the tables beside `__manifest` that only grow, on main. The
    /// table is made if it is not there, as its first row is what makes it.
    ///
    /// # Cancel safety
    ///
    /// The row is there or not; an empty table may be left.
    pub(crate) async fn append_record(
        &self,
        location: &str,
        row: &RecordBatch,
        operation: &OperationId,
        step: &str,
    ) -> Result<(), LineageError> {
        let mut attempt = 0;
        loop {
            let table = self.open_record(location, row).await?;
            let signature = Signature {
                operation: operation.clone(),
                table: TableRef::on_main(TableKey::new(location)),
                step: format!("{step}-{attempt}"),
            };
            match append_strictly(&table, row.clone(), &signature).await {
                Err(LineageError::Commit(CommitError::Conflict { .. }))
                    if attempt + 1 < APPEND_ATTEMPTS =>
                {
                    attempt += 1;
                }
                other => return other,
            }
        }
    }

    pub(crate) async fn open_record(
        &self,
        location: &str,
        row: &RecordBatch,
    ) -> Result<Dataset, LineageError> {
        let (uri, main) = (self.root.address_of(location), Branch::main());
        match self.tables.open(&uri, &main).await {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            opened => return Ok(opened?),
        }
        let manifest = self.open_manifest(&main).await.map_err(Box::new)?;
        let format = manifest.manifest().data_storage_format.lance_file_format().to_selector();
        let params = WriteParams {
            mode: WriteMode::Create,
            enable_stable_row_ids: true,
            data_storage_version: Some(format),
            auto_cleanup: None,
            skip_auto_cleanup: true,
            ..WriteParams::default()
        };
        let empty = RecordBatchIterator::new([], row.schema());
        // Boxed: Lance's futures are large.
        match Box::pin(Dataset::write(empty, uri.as_str(), Some(params))).await {
            Ok(_) | Err(lance::Error::DatasetAlreadyExists { .. }) => {}
            Err(source) => {
                return Err(LanceFailure::new(format!("failed to make {uri}"), source).into());
            }
        }
        Ok(self.tables.open(&uri, &main).await?)
    }
}

/// Appends rows on top of exactly the version that a handle stands at.
pub(super) async fn append_strictly(
    commits: &Dataset,
    batch: RecordBatch,
    signature: &Signature,
) -> Result<(), LineageError> {
    let params = WriteParams { mode: WriteMode::Append, ..WriteParams::default() };
    let transaction = InsertBuilder::new(Arc::new(commits.clone()))
        .with_params(&params)
        .execute_uncommitted(vec![batch])
        .await
        .map_err(|source| LanceFailure::new("failed to write the commit row", source))?;
    commit(commits, transaction.operation, signature).await?;
    Ok(())
}
