//! Rows of `__manifest` as Arrow: decoding what clients wrote, encoding what we publish. What
//! the rows mean is decided in `fold`.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::UInt64Type;
use arrow_array::{Array, ArrayRef, RecordBatch, StringArray, UInt64Array, new_null_array};
use arrow_schema::{ArrowError, SchemaRef};
use lancekeeper_model::Version;
use serde::{Deserialize, Serialize};

/// One row. Columns that do not apply to its type are `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) object_id: String,
    pub(crate) object_type: String,
    pub(crate) location: Option<String>,
    pub(crate) metadata: Option<String>,
    pub(crate) table_key: String,
    pub(crate) table_version: Option<u64>,
    pub(crate) table_branch: Option<String>,
    pub(crate) row_count: Option<u64>,
}

/// The columns the fold reads.
pub(crate) const COLUMNS: &[&str] = &[
    "object_id",
    "object_type",
    "location",
    "metadata",
    "table_key",
    "table_version",
    "table_branch",
    "row_count",
];

pub(crate) const TABLE: &str = "table";
pub(crate) const TABLE_VERSION: &str = "table_version";
pub(crate) const TABLE_TOMBSTONE: &str = "table_tombstone";
pub(crate) const GRAPH_COMMIT: &str = "graph_commit";
pub(crate) const GRAPH_HEAD: &str = "graph_head";

/// The `metadata` of a `table_version` row.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct VersionMetadata {
    /// The object-store key of the version's Lance manifest.
    pub(crate) manifest_path: String,
    pub(crate) manifest_size: Option<u64>,
    /// Left null: it changes when a root is restored from a backup, and nobody needs it.
    pub(crate) e_tag: Option<String>,
    pub(crate) naming_scheme: Option<String>,
}

/// The `metadata` of a `graph_commit` row. Field order as clients write it.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CommitMetadata {
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) parent_commit_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) merged_parent_commit_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) actor_id: Option<String>,
    /// Microseconds since 1970.
    pub(crate) created_at: i64,
}

/// The `metadata` of a `graph_head` row.
#[derive(Debug, Serialize)]
pub(crate) struct HeadMetadata {
    pub(crate) head_commit_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) parent_commit_id: Option<String>,
}

/// The id of the row that publishes a version.
pub(crate) fn version_row_id(table_key: &str, version: Version) -> String {
    format!("{table_key}${:020}", version.0)
}

/// The id of the row that takes a table off its branch.
pub(crate) fn tombstone_row_id(table_key: &str, version: Version) -> String {
    format!("{table_key}$tombstone${:020}", version.0)
}

/// Reads rows out of a batch.
pub(crate) fn decode(batch: &RecordBatch) -> Result<Vec<Row>, ArrowError> {
    let text = |name: &str| column(batch, name).map(|c| c.as_string_opt::<i32>().cloned());
    let number =
        |name: &str| column(batch, name).map(|c| c.as_primitive_opt::<UInt64Type>().cloned());
    let want = |name: &str| ArrowError::SchemaError(format!("column {name} has another type"));
    let (ids, types) = (text("object_id")?, text("object_type")?);
    let (ids, types) =
        (ids.ok_or_else(|| want("object_id"))?, types.ok_or_else(|| want("object_type"))?);
    let locations = text("location")?.ok_or_else(|| want("location"))?;
    let metadata = text("metadata")?.ok_or_else(|| want("metadata"))?;
    let keys = text("table_key")?.ok_or_else(|| want("table_key"))?;
    let branches = text("table_branch")?.ok_or_else(|| want("table_branch"))?;
    let versions = number("table_version")?.ok_or_else(|| want("table_version"))?;
    let counts = number("row_count")?.ok_or_else(|| want("row_count"))?;
    let some_text =
        |array: &StringArray, at: usize| (!array.is_null(at)).then(|| array.value(at).to_owned());
    let some_number =
        |array: &UInt64Array, at: usize| (!array.is_null(at)).then(|| array.value(at));
    Ok((0..batch.num_rows())
        .map(|at| Row {
            object_id: ids.value(at).to_owned(),
            object_type: types.value(at).to_owned(),
            location: some_text(&locations, at),
            metadata: some_text(&metadata, at),
            table_key: keys.value(at).to_owned(),
            table_version: some_number(&versions, at),
            table_branch: some_text(&branches, at),
            row_count: some_number(&counts, at),
        })
        .collect())
}

fn column<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a ArrayRef, ArrowError> {
    batch
        .column_by_name(name)
        .ok_or_else(|| ArrowError::SchemaError(format!("column {name} is missing")))
}

/// Writes rows as a batch of the table's own schema; columns we do not know are null.
pub(crate) fn encode(rows: &[Row], schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let text = |get: fn(&Row) -> Option<&str>| -> ArrayRef {
        Arc::new(rows.iter().map(get).collect::<StringArray>())
    };
    let number = |get: fn(&Row) -> Option<u64>| -> ArrayRef {
        Arc::new(rows.iter().map(get).collect::<UInt64Array>())
    };
    let columns = schema
        .fields()
        .iter()
        .map(|field| match field.name().as_str() {
            "object_id" => text(|row| Some(&row.object_id)),
            "object_type" => text(|row| Some(&row.object_type)),
            "location" => text(|row| row.location.as_deref()),
            "metadata" => text(|row| row.metadata.as_deref()),
            "table_key" => text(|row| Some(&row.table_key)),
            "table_branch" => text(|row| row.table_branch.as_deref()),
            "table_version" => number(|row| row.table_version),
            "row_count" => number(|row| row.row_count),
            _ => new_null_array(field.data_type(), rows.len()),
        })
        .collect();
    RecordBatch::try_new(Arc::clone(schema), columns)
}
