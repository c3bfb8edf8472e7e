//! What recoveries did, in the table where the clients keep that: `_graph_commit_recoveries.lance`,
//! made with its first row.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow_schema::{DataType, Field, Schema, TimeUnit};
use chrono::{DateTime, Utc};
use futures::TryStreamExt;
use lancekeeper_model::{Branch, ErrorKind, OperationId, TableKey, Version};
use lancekeeper_store::LanceFailure;
use serde::Serialize;

use crate::graph::Graph;
use crate::lineage::LineageError;

/// Where they lie, relative to the root.
const RECOVERIES: &str = "_graph_commit_recoveries.lance";

/// How an unfinished operation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecoveryKind {
    /// What it had committed was published.
    RolledForward,
    /// What it had committed was taken back.
    RolledBack,
    /// Its branch was gone.
    OrphanedBranchDiscarded,
}

impl RecoveryKind {
    fn name(self) -> &'static str {
        match self {
            Self::RolledForward => "RolledForward",
            Self::RolledBack => "RolledBack",
            Self::OrphanedBranchDiscarded => "OrphanedBranchDiscarded",
        }
    }
}

/// What a recovery did to one table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RecoveryOutcome {
    /// The table.
    pub table_key: TableKey,
    /// Rolled forward: the version that was pinned. Rolled back: the version that was HEAD.
    pub from_version: Version,
    /// The version whose content readers see now.
    pub to_version: Version,
}

/// What a recovery did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecoveryRecord<'a> {
    /// The graph commit it made.
    pub commit_id: &'a str,
    /// How the operation ended.
    pub kind: RecoveryKind,
    /// Who had asked for the operation.
    pub for_actor: Option<&'a str>,
    /// The operation: that of the sidecar.
    pub operation_id: &'a str,
    /// The kind of its writer.
    pub writer_kind: &'a str,
    /// What it did, by table.
    pub outcomes: &'a [RecoveryOutcome],
}

impl Graph {
    /// Writes down what a recovery did.
    ///
    /// # Errors
    ///
    /// When the row could not be appended.
    ///
    /// # Cancel safety
    ///
    /// The row is there or not.
    pub async fn record_recovery(
        &self,
        record: &RecoveryRecord<'_>,
        operation: &OperationId,
        now: DateTime<Utc>,
    ) -> Result<(), LineageError> {
        let row = row_of(record, now)?;
        let step = format!("recovery-of-{}", record.operation_id);
        self.append_record(RECOVERIES, &row, operation, &step).await
    }

    /// Whether a recovery of an operation was written down already.
    ///
    /// # Errors
    ///
    /// When the table is there and cannot be read.
    pub async fn is_recovery_recorded(&self, operation_id: &str) -> Result<bool, LineageError> {
        let uri = self.root.address_of(RECOVERIES);
        let table = match self.tables.open(&uri, &Branch::main()).await {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            opened => opened?,
        };
        let failed = |source| LanceFailure::new(format!("failed to read {uri}"), source);
        let mut scan = table.scan();
        scan.project(&["operation_id"]).map_err(failed)?;
        let stream = Box::pin(scan.try_into_stream()).await.map_err(failed)?;
        let batches: Vec<RecordBatch> = stream.try_collect().await.map_err(failed)?;
        let mut ids = batches.iter().flat_map(|batch| batch.column(0).as_string::<i32>().iter());
        Ok(ids.any(|id| id == Some(operation_id)))
    }
}

fn row_of(record: &RecoveryRecord<'_>, now: DateTime<Utc>) -> Result<RecordBatch, LanceFailure> {
    let failed = |error: Box<dyn std::error::Error + Send + Sync>| {
        LanceFailure::new("failed to build the row of a recovery", lance::Error::wrapped(error))
    };
    let outcomes = serde_json::to_string(record.outcomes).map_err(|error| failed(error.into()))?;
    let at = DataType::Timestamp(TimeUnit::Microsecond, None);
    let text = |name: &str| Field::new(name, DataType::Utf8, false);
    let schema = Arc::new(Schema::new(vec![
        text("graph_commit_id"),
        text("recovery_kind"),
        Field::new("recovery_for_actor", DataType::Utf8, true),
        text("operation_id"),
        text("sidecar_writer_kind"),
        text("per_table_outcomes_json"),
        Field::new("created_at", at, false),
    ]));
    let text = |value: Option<&str>| -> ArrayRef { Arc::new(StringArray::from(vec![value])) };
    let columns = vec![
        text(Some(record.commit_id)),
        text(Some(record.kind.name())),
        text(record.for_actor),
        text(Some(record.operation_id)),
        text(Some(record.writer_kind)),
        text(Some(&outcomes)),
        Arc::new(TimestampMicrosecondArray::from(vec![now.timestamp_micros()])),
    ];
    RecordBatch::try_new(schema, columns).map_err(|error| failed(error.into()))
}
