//! Graphs made larger than the fixtures: tables registered and published as a client does it,
//! by rows of `__manifest`. Their types are not in the graph's schema, so they declare no index.

use std::sync::Arc;

use anyhow::{Result, ensure};
use arrow_array::RecordBatchIterator;
use arrow_schema::Schema;
use lance::Dataset;
use lance::dataset::builder::DatasetBuilder;
use lance::dataset::{WriteMode, WriteParams};

use crate::manifest_rows::{ManifestRow, encode, table_row, tombstone_row, version_row};
use crate::tables;

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
        added.push(table_row(&key, &location));
        added.push(version_row(&key, &table, None).await?);
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
    publish(graph, &[tombstone_row(key, version + 1)]).await
}

/// Appends rows to main's `__manifest`.
async fn publish(graph: &str, added: &[ManifestRow]) -> Result<()> {
    let manifest = DatasetBuilder::from_uri(format!("{graph}/__manifest")).load().await?;
    let schema: Arc<Schema> = Arc::new(manifest.schema().into());
    let batch = encode(added, &schema)?;
    let before = manifest.count_rows(None).await?;
    let params = WriteParams { mode: WriteMode::Append, ..WriteParams::default() };
    let batches = RecordBatchIterator::new([Ok(batch)], schema);
    let manifest = Dataset::write(batches, Arc::new(manifest), Some(params)).await?;
    ensure!(manifest.count_rows(None).await? == before + added.len(), "the rows are not there");
    Ok(())
}
