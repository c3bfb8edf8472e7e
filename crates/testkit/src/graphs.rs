//! Graphs made larger than the fixtures: tables registered and published as a client does it,
//! by rows of `__manifest`. Their types are not in the graph's schema, so they declare no index.

use std::sync::Arc;

use anyhow::{Result, ensure};
use arrow_array::{
    ArrayRef, RecordBatch, RecordBatchIterator, StringArray, UInt64Array, new_null_array,
};
use arrow_schema::Schema;
use lance::Dataset;
use lance::dataset::builder::DatasetBuilder;
use lance::dataset::{WriteMode, WriteParams};

use crate::tables;

/// One row of `__manifest`; what is not named is null.
#[derive(Default)]
struct Row {
    object_id: String,
    object_type: &'static str,
    location: Option<String>,
    metadata: Option<String>,
    table_key: String,
    version: Option<u64>,
    rows: Option<u64>,
}

/// Adds node tables `node:Extra00`, `node:Extra01`, … to a v4 graph, each of `fragments`
/// fragments with `rows` rows. Returns their keys.
///
/// # Errors
///
/// When Lance fails.
pub async fn add_tables(
    graph: &str,
    count: usize,
    fragments: usize,
    rows: usize,
) -> Result<Vec<String>> {
    let mut keys = Vec::new();
    let mut added = Vec::new();
    for number in 0..count {
        let key = format!("node:Extra{number:02}");
        let location = format!("nodes/{number:016x}");
        let uri = format!("{graph}/{location}");
        let table = tables::create(&uri, fragments, rows, true).await?;
        let at = table.manifest_location();
        let metadata = format!(
            r#"{{"manifest_path":"{}","manifest_size":{},"e_tag":null,"naming_scheme":"V2"}}"#,
            at.path,
            at.size.map_or_else(|| "null".to_owned(), |size| size.to_string()),
        );
        let version = table.manifest().version;
        added.push(Row {
            object_id: key.clone(),
            object_type: "table",
            location: Some(location),
            table_key: key.clone(),
            ..Row::default()
        });
        added.push(Row {
            object_id: format!("{key}${version:020}"),
            object_type: "table_version",
            metadata: Some(metadata),
            table_key: key.clone(),
            version: Some(version),
            rows: Some((fragments * rows) as u64),
            ..Row::default()
        });
        keys.push(key);
    }
    publish(graph, &added).await?;
    Ok(keys)
}

/// Takes a table off main of a graph, by a tombstone.
///
/// # Errors
///
/// When Lance fails.
pub async fn drop_table(graph: &str, key: &str, version: u64) -> Result<()> {
    let tombstone = Row {
        object_id: format!("{key}$tombstone${:020}", version + 1),
        object_type: "table_tombstone",
        table_key: key.to_owned(),
        version: Some(version + 1),
        ..Row::default()
    };
    publish(graph, &[tombstone]).await
}

/// Appends rows to main's `__manifest`.
async fn publish(graph: &str, added: &[Row]) -> Result<()> {
    let manifest = DatasetBuilder::from_uri(format!("{graph}/__manifest")).load().await?;
    let schema: Arc<Schema> = Arc::new(manifest.schema().into());
    let batch = batch(added, &schema)?;
    let before = manifest.count_rows(None).await?;
    let params = WriteParams { mode: WriteMode::Append, ..WriteParams::default() };
    let batches = RecordBatchIterator::new([Ok(batch)], schema);
    let manifest = Dataset::write(batches, Arc::new(manifest), Some(params)).await?;
    ensure!(manifest.count_rows(None).await? == before + added.len(), "the rows are not there");
    Ok(())
}

fn batch(rows: &[Row], schema: &Arc<Schema>) -> Result<RecordBatch> {
    let text = |value: &dyn Fn(&Row) -> Option<String>| -> ArrayRef {
        Arc::new(rows.iter().map(value).collect::<StringArray>())
    };
    let number = |value: &dyn Fn(&Row) -> Option<u64>| -> ArrayRef {
        Arc::new(rows.iter().map(value).collect::<UInt64Array>())
    };
    let columns = schema
        .fields()
        .iter()
        .map(|field| match field.name().as_str() {
            "object_id" => text(&|row| Some(row.object_id.clone())),
            "object_type" => text(&|row| Some(row.object_type.to_owned())),
            "location" => text(&|row| row.location.clone()),
            "metadata" => text(&|row| row.metadata.clone()),
            "table_key" => text(&|row| Some(row.table_key.clone())),
            "table_version" => number(&|row| row.version),
            "row_count" => number(&|row| row.rows),
            _ => new_null_array(field.data_type(), rows.len()),
        })
        .collect();
    Ok(RecordBatch::try_new(Arc::clone(schema), columns)?)
}
