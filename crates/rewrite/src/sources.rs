//! What was read of the fragments of a group: which of their rows were deleted then, and so where
//! the others went. Not here: what became of them since (`carry`).

use lance::Dataset;
use lance::dataset::fragment::FileFragment;
use lance_table::format::{DeletionFile, Fragment};
use lancekeeper_planner::optimize::SourceRows;

/// A fragment of a group as it was when its rows were read.
#[derive(Debug, Clone)]
pub(crate) struct ReadSource {
    pub(crate) id: u64,
    pub(crate) deletion_file: Option<DeletionFile>,
    pub(crate) rows: SourceRows,
    /// Its deleted rows when it was last seen at HEAD.
    pub(crate) seen: Vec<u32>,
}

/// What was read of these fragments, in this order.
///
/// # Errors
///
/// When a deletion file cannot be read.
pub(crate) async fn read_sources(
    table: &Dataset,
    sources: &[Fragment],
) -> lance::Result<Vec<ReadSource>> {
    let mut read = Vec::with_capacity(sources.len());
    for source in sources {
        let rows = match (source.physical_rows, fragment_of(table, source.id)) {
            (Some(rows), _) => rows,
            (None, Some(fragment)) => fragment.physical_rows().await?,
            (None, None) => 0,
        };
        let deleted = deleted_rows(table, source).await?;
        read.push(ReadSource {
            id: source.id,
            deletion_file: source.deletion_file.clone(),
            seen: deleted.clone(),
            rows: SourceRows { rows: rows as u64, deleted },
        });
    }
    Ok(read)
}

fn fragment_of(table: &Dataset, id: u64) -> Option<FileFragment> {
    table.get_fragment(usize::try_from(id).ok()?)
}

/// The offsets of a fragment's deleted rows, ascending.
pub(crate) async fn deleted_rows(table: &Dataset, fragment: &Fragment) -> lance::Result<Vec<u32>> {
    if fragment.deletion_file.is_none() {
        return Ok(Vec::new());
    }
    let missing = || lance::Error::internal(format!("fragment {} is not there", fragment.id));
    let vector = fragment_of(table, fragment.id).ok_or_else(missing)?.get_deletion_vector().await?;
    Ok(vector.map(|vector| vector.to_sorted_iter().collect()).unwrap_or_default())
}
