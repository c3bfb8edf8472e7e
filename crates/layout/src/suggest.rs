//! The layout that queries suggest: by the columns that they ask about, each as often as it is asked about.
//!
//! Not here: how queries are read, and which columns have an order.

use lancekeeper_model::{Direction, Layout, SortColumn};

/// A curve takes no more: with each further column ranges of the others touch more fragments.
const COLUMNS_MAX: usize = 4;

/// A column that is asked about less often than one in so many of the most frequent is left out.
const RARE: u64 = 10;

/// The layout for columns that are asked about, each with how often; `None` if there are none. One column sorts;
/// more are laid along a Hilbert curve, because a query on any of them is to skip fragments.
#[must_use]
pub fn suggest(asked: &[(String, u64)]) -> Option<Layout> {
    let most = asked.iter().map(|(_, times)| *times).max().filter(|times| *times > 0)?;
    let is_frequent = |(_, times): &&(String, u64)| times.saturating_mul(RARE) >= most;
    let mut columns: Vec<_> = asked.iter().filter(is_frequent).collect();
    columns.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    let names: Vec<String> =
        columns.into_iter().take(COLUMNS_MAX).map(|(name, _)| name.clone()).collect();
    Some(match names.as_slice() {
        [name] => Layout::Sort(vec![SortColumn::new(name, Direction::Ascending)]),
        _ => Layout::Hilbert(names),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn suggested(asked: &[(&str, u64)]) -> Option<String> {
        let asked: Vec<_> =
            asked.iter().map(|(name, times)| ((*name).to_owned(), *times)).collect();
        suggest(&asked).map(|layout| layout.to_string())
    }

    #[test]
    fn frequent_columns_come_first_and_rare_ones_not_at_all() {
        assert_eq!(suggested(&[]), None);
        assert_eq!(suggested(&[("a", 0)]), None);
        assert_eq!(suggested(&[("ts", 3)]).as_deref(), Some("sort:ts"));
        assert_eq!(suggested(&[("ts", 100), ("id", 9)]).as_deref(), Some("sort:ts"));
        assert_eq!(suggested(&[("ts", 100), ("id", 10)]).as_deref(), Some("hilbert:ts,id"));
        let many = [("e", 5), ("d", 5), ("c", 5), ("b", 5), ("a", 5), ("z", 6)];
        assert_eq!(suggested(&many).as_deref(), Some("hilbert:z,a,b,c"));
    }
}
