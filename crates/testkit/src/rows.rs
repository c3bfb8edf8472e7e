//! What readers see, written down: every row of every table as text, sorted.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use arrow_array::RecordBatch;
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use futures::TryStreamExt;
use lance::Dataset;
use lance::dataset::builder::DatasetBuilder;
use lancekeeper_manifest::Graph;
use lancekeeper_model::{Branch, Version};
use lancekeeper_store::Tables;
use lancekeeper_store::root::recognise;

/// Rows by (branch, table): what every branch of a graph reads.
pub type GraphRows = BTreeMap<(String, String), Vec<String>>;

/// Every row of a table at the version a handle stands at, sorted: a multiset.
///
/// # Errors
///
/// When the table cannot be scanned.
pub async fn table_rows(table: &Dataset) -> Result<Vec<String>> {
    let batches: Vec<RecordBatch> = table.scan().try_into_stream().await?.try_collect().await?;
    let mut rows = Vec::new();
    for batch in &batches {
        rows.extend(batch_rows(batch)?);
    }
    rows.sort();
    Ok(rows)
}

/// The rows of a batch as text, columns in order of name.
///
/// # Errors
///
/// When a column cannot be formatted.
pub fn batch_rows(batch: &RecordBatch) -> Result<Vec<String>> {
    let options = FormatOptions::default().with_null("∅");
    let mut columns = Vec::new();
    for (field, column) in batch.schema_ref().fields().iter().zip(batch.columns()) {
        columns.push((field.name().clone(), ArrayFormatter::try_new(column, &options)?));
    }
    columns.sort_by(|a, b| a.0.cmp(&b.0));
    let row = |at: usize| {
        columns
            .iter()
            .map(|(name, values)| format!("{name}={}", values.value(at)))
            .collect::<Vec<_>>()
    };
    Ok((0..batch.num_rows()).map(|at| row(at).join("|")).collect())
}

/// What every branch of a graph reads now.
///
/// # Errors
///
/// When a branch or a pinned version cannot be read.
pub async fn graph_rows(uri: &str) -> Result<GraphRows> {
    let root = recognise(uri)?;
    // A session of its own: nothing the code under test cached can answer here.
    let graph = Graph::open(&Tables::new(), &root).await?;
    let mut branches = graph.branches().await?;
    branches.push(Branch::main());
    let mut rows = GraphRows::new();
    for branch in branches {
        rows.extend(branch_rows(&graph, &branch, None).await?);
    }
    Ok(rows)
}

/// What a branch read at a version of `__manifest`; now, for `None`.
///
/// # Errors
///
/// When that version or a version it pins cannot be read.
pub async fn branch_rows(
    graph: &Graph,
    branch: &Branch,
    version: Option<Version>,
) -> Result<GraphRows> {
    let snapshot = match version {
        Some(version) => graph.snapshot_at(branch, version).await?,
        None => graph.snapshot(branch).await?,
    };
    let mut rows = GraphRows::new();
    for pin in &snapshot.pins {
        let uri = graph.root().address_of(&pin.location);
        let builder = DatasetBuilder::from_uri(&uri);
        let builder = match pin.table_branch.name() {
            Some(name) => builder.with_branch(name, Some(pin.version.0)),
            None => builder.with_version(pin.version.0),
        };
        let table = builder.load().await.with_context(|| format!("{} on {branch}", pin.key))?;
        let read = table_rows(&table).await?;
        anyhow::ensure!(
            read.len() as u64 == pin.rows,
            "{}: {} rows, pinned {}",
            pin.key,
            read.len(),
            pin.rows
        );
        rows.insert((branch.label().to_owned(), pin.key.to_string()), read);
    }
    Ok(rows)
}

/// Rows in total.
#[must_use]
pub fn count(rows: &GraphRows, branch: &str) -> usize {
    rows.iter().filter(|((b, _), _)| b == branch).map(|(_, rows)| rows.len()).sum()
}
