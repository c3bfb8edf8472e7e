//! Rows of `__manifest` as a client writes and reads them. Said once more here, so that a mistake
//! in our own codec cannot hide itself.

use std::sync::Arc;

use anyhow::{Context, Result};
use arrow_array::cast::AsArray;
use arrow_array::types::UInt64Type;
use arrow_array::{Array, ArrayRef, RecordBatch, StringArray, UInt64Array, new_null_array};
use arrow_schema::{DataType, Field, Schema};
use lance::Dataset;

/// One row; what is not named is null.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ManifestRow {
    /// The key.
    pub object_id: String,
    /// `table`, `table_version`, `table_tombstone`, `graph_commit`, `graph_head`.
    pub object_type: String,
    /// Where a table lies.
    pub location: Option<String>,
    /// JSON.
    pub metadata: Option<String>,
    /// The table; empty for lineage.
    pub table_key: String,
    /// A version of the table, or of `__manifest`.
    pub table_version: Option<u64>,
    /// The Lance branch; null for main.
    pub table_branch: Option<String>,
    /// Rows of a version.
    pub row_count: Option<u64>,
}

/// The schema that clients create `__manifest` with.
#[must_use]
pub fn schema() -> Schema {
    let text = |name: &str, nullable| Field::new(name, DataType::Utf8, nullable);
    let number = |name: &str| Field::new(name, DataType::UInt64, true);
    let key = [("lance-schema:unenforced-primary-key".to_owned(), "true".to_owned())];
    let item = Arc::new(Field::new("item", DataType::Utf8, true));
    Schema::new(vec![
        text("object_id", false).with_metadata(key.into()),
        text("object_type", false),
        text("location", true),
        text("metadata", true),
        Field::new("base_objects", DataType::List(item), true),
        text("table_key", false),
        number("table_version"),
        text("table_branch", true),
        number("row_count"),
    ])
}

/// The row that publishes the version a handle stands at. `branch` is the Lance branch it is on.
///
/// # Errors
///
/// When its rows cannot be counted.
pub async fn version_row(key: &str, table: &Dataset, branch: Option<&str>) -> Result<ManifestRow> {
    let at = table.manifest_location();
    let metadata = format!(
        r#"{{"manifest_path":"{}","manifest_size":{},"e_tag":null,"naming_scheme":"V2"}}"#,
        at.path,
        at.size.map_or_else(|| "null".to_owned(), |size| size.to_string()),
    );
    let version = table.manifest().version;
    Ok(ManifestRow {
        object_id: format!("{key}${version:020}"),
        object_type: "table_version".to_owned(),
        metadata: Some(metadata),
        table_key: key.to_owned(),
        table_version: Some(version),
        table_branch: branch.map(ToOwned::to_owned),
        row_count: Some(table.count_rows(None).await? as u64),
        ..ManifestRow::default()
    })
}

/// The row that registers a table.
#[must_use]
pub fn table_row(key: &str, location: &str) -> ManifestRow {
    ManifestRow {
        object_id: key.to_owned(),
        object_type: "table".to_owned(),
        location: Some(location.to_owned()),
        table_key: key.to_owned(),
        ..ManifestRow::default()
    }
}

/// The row that drops a table whose pinned version is below `version`.
#[must_use]
pub fn tombstone_row(key: &str, version: u64) -> ManifestRow {
    ManifestRow {
        object_id: format!("{key}$tombstone${version:020}"),
        object_type: "table_tombstone".to_owned(),
        table_key: key.to_owned(),
        table_version: Some(version),
        ..ManifestRow::default()
    }
}

/// Rows as a batch of the dataset's own schema.
///
/// # Errors
///
/// When they do not fit it.
pub fn encode(rows: &[ManifestRow], schema: &Arc<Schema>) -> Result<RecordBatch> {
    let text = |value: fn(&ManifestRow) -> Option<&str>| -> ArrayRef {
        Arc::new(rows.iter().map(value).collect::<StringArray>())
    };
    let number = |value: fn(&ManifestRow) -> Option<u64>| -> ArrayRef {
        Arc::new(rows.iter().map(value).collect::<UInt64Array>())
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
    Ok(RecordBatch::try_new(Arc::clone(schema), columns)?)
}

/// All rows that a version of `__manifest` has.
///
/// # Errors
///
/// When it cannot be scanned.
pub async fn read(manifest: &Dataset) -> Result<Vec<ManifestRow>> {
    let batch = manifest.scan().try_into_batch().await?;
    let column = |name: &str| batch.column_by_name(name).with_context(|| name.to_owned());
    let text = |name: &str| Ok::<_, anyhow::Error>(column(name)?.as_string::<i32>().clone());
    let number =
        |name: &str| Ok::<_, anyhow::Error>(column(name)?.as_primitive::<UInt64Type>().clone());
    let (ids, types, keys) = (text("object_id")?, text("object_type")?, text("table_key")?);
    let (locations, metadata) = (text("location")?, text("metadata")?);
    let (versions, branches) = (number("table_version")?, text("table_branch")?);
    let counts = number("row_count")?;
    let some = |from: &StringArray, at| (!from.is_null(at)).then(|| from.value(at).to_owned());
    let count = |from: &UInt64Array, at| (!from.is_null(at)).then(|| from.value(at));
    let row = |at| ManifestRow {
        object_id: ids.value(at).to_owned(),
        object_type: types.value(at).to_owned(),
        location: some(&locations, at),
        metadata: some(&metadata, at),
        table_key: keys.value(at).to_owned(),
        table_version: count(&versions, at),
        table_branch: some(&branches, at),
        row_count: count(&counts, at),
    };
    Ok((0..batch.num_rows()).map(row).collect())
}
