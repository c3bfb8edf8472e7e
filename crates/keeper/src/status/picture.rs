//! The drawing of a table's fragments over the columns that they are measured by: which values stand at which
//! ranks, in words. How it is drawn is in `layout`.

use arrow_array::{Array, ArrayRef};
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use lancekeeper_layout::{
    Axis, Drawing, DrawnFragment, Extent, Sample, Space, SpaceError, Touched,
};

/// Characters that are kept of a value: it may be a whole document.
const VALUE_CHARS: usize = 60;

/// At which shares of an axis a value is said.
const MARKS: [f64; 5] = [0.0, 0.25, 0.5, 0.75, 1.0];

/// From which value to which the rows of a fragment reach in a column, each with its rank.
#[derive(Debug, Clone)]
pub(super) struct Reach {
    low: (u32, String),
    high: (u32, String),
}

impl Reach {
    /// Of some rows of a column; `None` without rows.
    fn around(ranks: &[u32], values: &ArrayRef) -> Option<Self> {
        let by_rank = || ranks.iter().copied().zip(0..);
        let (low, high) = (by_rank().min()?, by_rank().max()?);
        let end = |(rank, row)| (rank, said(values, row));
        Some(Self { low: end(low), high: end(high) })
    }

    fn widen(&mut self, other: Self) {
        if other.low.0 < self.low.0 {
            self.low = other.low;
        }
        if other.high.0 > self.high.0 {
            self.high = other.high;
        }
    }
}

/// The reaches of a fragment, column by column, widened by some more of its rows.
pub(super) fn widen(reaches: &mut Vec<Reach>, ranks: &[Vec<u32>], values: &[ArrayRef]) {
    let more = ranks.iter().zip(values).filter_map(|(ranks, values)| Reach::around(ranks, values));
    if reaches.is_empty() {
        reaches.extend(more);
    } else {
        reaches.iter_mut().zip(more).for_each(|(reach, more)| reach.widen(more));
    }
}

/// The axes: of each column the values of the sample that stand nearest to the quarters.
///
/// # Errors
///
/// If it is a sample of other columns than those of the space.
pub(super) fn axes(space: &Space, sample: &[Sample]) -> Result<Vec<Axis>, SpaceError> {
    let values: Vec<ArrayRef> =
        sample.iter().filter_map(|sample| sample.values.first().cloned()).collect();
    let ranks = space.ranks(&values)?;
    let columns = sample.iter().zip(&values).zip(ranks.columns());
    Ok(columns.map(|((sample, values), ranks)| axis(&sample.column, ranks, values)).collect())
}

fn axis(name: &str, ranks: &[u32], values: &ArrayRef) -> Axis {
    let mut marks: Vec<(u32, String)> = Vec::new();
    for share in MARKS {
        let wanted = (share * f64::from(u32::MAX)) as u32;
        let nearest = (0..ranks.len()).min_by_key(|row| ranks[*row].abs_diff(wanted));
        let Some(row) = nearest else { continue };
        if marks.iter().all(|(rank, _)| *rank != ranks[row]) {
            marks.push((ranks[row], said(values, row)));
        }
    }
    Axis { name: name.to_owned(), marks }
}

/// A value in words.
fn said(values: &ArrayRef, row: usize) -> String {
    if values.is_null(row) {
        return "null".to_owned();
    }
    let options = FormatOptions::default().with_null("null");
    let formatter = ArrayFormatter::try_new(values.as_ref(), &options);
    let said = formatter.and_then(|formatter| formatter.value(row).try_to_string());
    // A value that cannot be said is drawn all the same.
    let said = said.unwrap_or_else(|_| "?".to_owned());
    match said.char_indices().nth(VALUE_CHARS) {
        Some((end, _)) => format!("{}…", &said[..end]),
        None => said,
    }
}

/// A fragment as it is drawn.
pub(super) fn fragment(
    id: u64,
    extent: &Extent,
    columns: &[String],
    reaches: &[Reach],
) -> DrawnFragment {
    let mut title = format!("fragment {id}, {} rows", extent.rows);
    for (column, reach) in columns.iter().zip(reaches) {
        title.push_str(&format!("\n{column}: {} to {}", reach.low.1, reach.high.1));
    }
    DrawnFragment { ranks: extent.ranks.clone(), title }
}

/// The document.
pub(super) fn draw(
    title: String,
    axes: Vec<Axis>,
    fragments: Vec<DrawnFragment>,
    (depth, touched): (f64, &Touched),
) -> String {
    let share = |share: f64| format!("{:.1} %", share * 100.0);
    let mut caption = vec![format!("depth {depth:.1} of {} fragments", fragments.len())];
    let ranges = axes.iter().zip(&touched.ranges);
    let ranges: Vec<String> =
        ranges.map(|(axis, touched)| format!("{} of {}", share(*touched), axis.name)).collect();
    let mut touches = Vec::new();
    if !ranges.is_empty() {
        touches.push(format!("ranges of 1 % touch {}", ranges.join(", ")));
    }
    if let Some(boxes) = touched.boxes {
        touches.push(format!("boxes of 10 % x 10 % touch {}", share(boxes)));
    }
    caption.push(touches.join("; "));
    Drawing { title, caption, axes, fragments }.to_svg()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{Int64Array, StringArray};

    use super::*;

    #[test]
    fn marks_are_values_that_stand_near_the_quarters() {
        let values: ArrayRef =
            Arc::new(Int64Array::from_iter((0..1000).map(|n| (n > 9).then_some(n))));
        let sample = Sample { column: "id".to_owned(), values: vec![Arc::clone(&values)] };
        let space = Space::from_sample(std::slice::from_ref(&sample), 64).unwrap();
        let axes = axes(&space, &[sample]).unwrap();
        let labels: Vec<&str> = axes[0].marks.iter().map(|(_, label)| label.as_str()).collect();
        assert_eq!((labels.len(), labels[0], labels[4]), (5, "null", "999"));
        let middle: i64 = labels[2].parse().unwrap();
        assert!((450..550).contains(&middle), "{labels:?}");
    }

    #[test]
    fn a_reach_is_widened_by_what_lies_beyond_it_and_long_values_are_cut() {
        let long = "ü".repeat(500);
        let values: ArrayRef = Arc::new(StringArray::from(vec!["m", "c", long.as_str()]));
        let mut reaches = Vec::new();
        widen(&mut reaches, &[vec![5]], &[values.slice(0, 1)]);
        widen(&mut reaches, &[vec![2, 9]], &[values.slice(1, 2)]);
        widen(&mut reaches, &[vec![4]], &[values.slice(0, 1)]);
        assert_eq!(reaches[0].low, (2, "c".to_owned()));
        assert_eq!(reaches[0].high, (9, "ü".repeat(VALUE_CHARS) + "…"));
    }
}
