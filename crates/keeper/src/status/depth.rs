//! How well a table's fragments are told apart by some of its columns: measured on the rows
//! themselves, so it holds for any table and any columns, whoever wrote them. Reads those columns as
//! a whole; the measures themselves are in `layout`.

use lance::Dataset;
use lancekeeper_layout::{BOUNDARIES, Extent, Space};
use lancekeeper_model::Clustering;
use lancekeeper_store::LanceFailure;
use lancekeeper_store::failure::text_with_hint;

use crate::layouts::{ColumnError, extents, measured, sample};

/// Measures a table over these columns. What cannot be measured says why.
pub(super) async fn clustering(table: &Dataset, columns: &[String]) -> Clustering {
    match all_extents(table, columns).await {
        Ok(extents) => measured(columns, &extents),
        Err(error) => {
            let mut unknown = Clustering::of(columns);
            unknown.error = Some(match &error {
                ColumnError::Lance(_) => text_with_hint(&error),
                ColumnError::NoColumn(_) | ColumnError::Space(_) => error.to_string(),
            });
            unknown
        }
    }
}

/// Where the live rows of each fragment lie in the space of the table's own values. Fragments
/// without any are left out.
async fn all_extents(table: &Dataset, columns: &[String]) -> Result<Vec<Extent>, ColumnError> {
    let failed = |source| LanceFailure::new("failed to count the rows", source);
    let rows = table.count_rows(None).await.map_err(failed)?;
    let sample = sample(table, columns, rows as u64).await?;
    if rows == 0 {
        return Ok(Vec::new());
    }
    let space = Space::from_sample(&sample, BOUNDARIES)?;
    Ok(extents(table, &space, None).await?.into_values().collect())
}
