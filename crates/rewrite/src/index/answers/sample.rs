//! Values of a column from all over a table, at equal distances: the same table is always asked the
//! same.

use std::collections::BTreeMap;

use arrow_array::ArrayRef;
use arrow_array::cast::AsArray;
use lance_table::format::Fragment;

use super::Asked;

/// Values of the column in about so many live rows of the fragments that can be read, a batch for each
/// fragment that has some of them.
pub(super) async fn sample(asked: &Asked<'_>) -> lance::Result<Vec<ArrayRef>> {
    let projection = asked.table.schema().project(&[asked.column()?])?;
    let mut values = Vec::new();
    for (id, places) in places(asked.healthy, asked.samples) {
        let Some(fragment) = usize::try_from(id).ok().and_then(|id| asked.table.get_fragment(id))
        else {
            continue;
        };
        let batch = fragment.take(&places, &projection).await?;
        values.push(innermost(batch.column(0)));
    }
    Ok(values)
}

/// The column itself: taken from inside of a struct, it comes with all that is around it.
pub(super) fn innermost(column: &ArrayRef) -> ArrayRef {
    let mut column = ArrayRef::clone(column);
    // Bounded by the depth of the schema.
    while let Some(outer) = column.as_struct_opt()
        && outer.num_columns() == 1
    {
        column = ArrayRef::clone(outer.column(0));
    }
    column
}

/// Offsets of live rows in each fragment.
fn places(fragments: &[Fragment], samples: usize) -> BTreeMap<u64, Vec<u32>> {
    let live: Vec<(u64, u64)> = fragments.iter().map(|of| (of.id, live_rows(of))).collect();
    let all: u64 = live.iter().map(|(_, rows)| rows).sum();
    let step = all.div_ceil(samples.max(1) as u64).max(1);
    let mut places: BTreeMap<u64, Vec<u32>> = BTreeMap::new();
    let mut next = 0;
    let mut before = 0;
    for (id, rows) in live {
        while next < before + rows {
            if let Ok(place) = u32::try_from(next - before) {
                places.entry(id).or_default().push(place);
            }
            next += step;
        }
        before += rows;
    }
    places
}

/// Live rows, as far as the manifest tells; of a fragment that it does not tell of none are sampled.
fn live_rows(fragment: &Fragment) -> u64 {
    fragment.num_rows().unwrap_or_default() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_come_from_all_over_a_table() {
        let fragment = |(rows, id)| Fragment::new(id).with_physical_rows(rows);
        let fragments: Vec<Fragment> = [10, 0, 5, 85].into_iter().zip(0..).map(fragment).collect();
        let places = places(&fragments, 10);
        assert_eq!(places[&0], [0]);
        assert_eq!(places[&2], [0]);
        assert_eq!(places[&3], [5, 15, 25, 35, 45, 55, 65, 75]);
        assert_eq!(super::places(&fragments[..1], 100)[&0].len(), 10);
        assert!(super::places(&[], 3).is_empty());
    }
}
