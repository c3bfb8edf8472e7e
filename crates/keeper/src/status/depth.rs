//! How well a table's fragments are told apart by some of its columns: measured on the rows
//! themselves, so it holds for any table and any columns, whoever wrote them. Reads those columns as
//! a whole; the measures themselves are in `layout`.

use std::collections::BTreeMap;

use lance::Dataset;
use lancekeeper_layout::{Axis, BOUNDARIES, Extent, Space, touched};
use lancekeeper_model::{Clustering, TableRef};
use lancekeeper_store::LanceFailure;
use lancekeeper_store::failure::text_with_hint;
use lancekeeper_store::tables::version_of;

use crate::layouts::{ColumnError, extents, measured, sample};
use crate::status::picture::{self, Reach};

/// What was seen of a table.
#[derive(Default)]
struct Look {
    fragments: BTreeMap<u64, Extent>,
    /// Which values each fragment reaches from and to, if that is to be drawn.
    reaches: BTreeMap<u64, Vec<Reach>>,
    /// The axes of a drawing, if there is to be one.
    axes: Vec<Axis>,
}

/// Measures a table over these columns, and draws it if that is wanted. What cannot be measured says why.
pub(super) async fn clustering(
    table: &Dataset,
    name: &TableRef,
    columns: &[String],
    draws: bool,
) -> Clustering {
    match look(table, columns, draws).await {
        Ok(look) => {
            let extents: Vec<Extent> = look.fragments.values().cloned().collect();
            let mut measured = measured(columns, &extents);
            if draws {
                let title =
                    format!("{name} by {}, version {}", columns.join(", "), version_of(table));
                let drawn = look.fragments.iter().map(|(id, extent)| {
                    let reaches = look.reaches.get(id).map_or(&[][..], Vec::as_slice);
                    picture::fragment(*id, extent, columns, reaches)
                });
                let measures = (measured.depth, &touched(&extents));
                let drawing = picture::draw(title, look.axes, drawn.collect(), measures);
                measured.drawing = Some(drawing);
            }
            measured
        }
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
async fn look(table: &Dataset, columns: &[String], draws: bool) -> Result<Look, ColumnError> {
    let failed = |source| LanceFailure::new("failed to count the rows", source);
    let rows = table.count_rows(None).await.map_err(failed)?;
    let sample = sample(table, columns, rows as u64).await?;
    if rows == 0 {
        return Ok(Look::default());
    }
    let space = Space::from_sample(&sample, BOUNDARIES)?;
    let axes = if draws { picture::axes(&space, &sample)? } else { Vec::new() };
    let mut reaches = BTreeMap::<u64, Vec<Reach>>::new();
    let fragments = extents(table, &space, None, |fragment, values| {
        if draws {
            let ranks = space.ranks(values)?;
            picture::widen(reaches.entry(fragment).or_default(), ranks.columns(), values);
        }
        Ok(())
    });
    let fragments = fragments.await?;
    Ok(Look { fragments, reaches, axes })
}
