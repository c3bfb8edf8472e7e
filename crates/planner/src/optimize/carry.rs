//! Deletions carried over: where, in the outputs of a group that is rewritten already, the rows
//! stand that writers have deleted since its sources were read. Not here: how deletions are read
//! or written, and whether anything but deletions was done to a source.

use std::collections::HashSet;

/// One source of a group as it was read, in the order in which its rows were written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceRows {
    /// Its rows, deleted ones included.
    pub rows: u64,
    /// The offsets of the rows that were deleted when it was read, ascending.
    pub deleted: Vec<u32>,
}

impl SourceRows {
    /// The rows that were written of it.
    fn live(&self) -> u64 {
        self.rows.saturating_sub(self.deleted.len() as u64)
    }
}

/// Why the deletions of a group cannot be carried over. Sources and outputs are told by their
/// places.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Uncarried {
    /// The outputs do not have a row that was deleted when its source was read and is visible
    /// again, as after a restore.
    #[error("a writer brought deleted rows back")]
    Revived(usize),
    /// A deletion of this source names a row that the source never had.
    #[error("a deletion names a row that its fragment never had")]
    Beyond(usize),
    /// The outputs have other numbers of rows than the sources had when they were read.
    #[error("the new fragments have other numbers of rows than what was read")]
    Miscounted,
    /// The rows have another order now, and where each of them went is not known any more.
    #[error("a writer deleted rows whose new places are not known")]
    Unplaced,
    /// All rows of this output were deleted. A fragment without live rows is not to be made.
    #[error("writers deleted all rows of a new fragment")]
    Emptied(usize),
}

/// The offsets, per output and ascending, of the rows deleted since the sources were read.
///
/// `sources` are those of the group, each with the offsets of the rows that are deleted in it today,
/// ascending. `outputs` are the rows of each output.
///
/// # Errors
///
/// [`Uncarried`]: the group has to be rewritten again.
pub fn carry_deletions(
    sources: &[(&SourceRows, &[u32])],
    outputs: &[u64],
) -> Result<Vec<Vec<u32>>, Uncarried> {
    let live: u64 = sources.iter().map(|(source, _)| source.live()).sum();
    if live != outputs.iter().sum::<u64>() {
        return Err(Uncarried::Miscounted);
    }
    let mut places =
        Places { outputs, carried: vec![Vec::new(); outputs.len()], output: 0, first: 0 };
    let mut written = 0;
    for (at, (source, now)) in sources.iter().enumerate() {
        for (offset, before) in added(at, source, now)? {
            places.mark(written + u64::from(offset) - before);
        }
        written += source.live();
    }
    let is_emptied = |(rows, gone): (&u64, &Vec<u32>)| *rows > 0 && gone.len() as u64 == *rows;
    match outputs.iter().zip(&places.carried).position(is_emptied) {
        Some(output) => Err(Uncarried::Emptied(output)),
        None => Ok(places.carried),
    }
}

/// The same of rows that have another order now. `ids` are those of the sources; `from` are, per output, the addresses
/// that its rows had: the id of the source in the upper half, the offset in the lower.
///
/// # Errors
///
/// As [`carry_deletions`]; also when rows were deleted and `from` is not known.
pub fn find_deletions(
    ids: &[u64],
    sources: &[(&SourceRows, &[u32])],
    from: Option<&[Vec<u64>]>,
) -> Result<Vec<Vec<u32>>, Uncarried> {
    let mut deleted = HashSet::new();
    for (at, (id, (source, now))) in ids.iter().zip(sources).enumerate() {
        let added = added(at, source, now)?;
        deleted.extend(added.into_iter().map(|(offset, _)| (id << 32) | u64::from(offset)));
    }
    if deleted.is_empty() {
        return Ok(vec![Vec::new(); from.map_or(0, <[_]>::len)]);
    }
    let from = from.ok_or(Uncarried::Unplaced)?;
    let live: u64 = sources.iter().map(|(source, _)| source.live()).sum();
    if live != from.iter().map(|rows| rows.len() as u64).sum::<u64>() {
        return Err(Uncarried::Miscounted);
    }
    let is_deleted = |address: &u64| deleted.contains(address);
    let of_output = |rows: &Vec<u64>| -> Vec<u32> {
        let numbered = (0..).zip(rows);
        numbered.filter(|(_, address)| is_deleted(address)).map(|(row, _)| row).collect()
    };
    let carried: Vec<Vec<u32>> = from.iter().map(of_output).collect();
    if carried.iter().map(Vec::len).sum::<usize>() != deleted.len() {
        return Err(Uncarried::Miscounted);
    }
    match from.iter().zip(&carried).position(|(rows, gone)| rows.len() == gone.len()) {
        Some(output) => Err(Uncarried::Emptied(output)),
        None => Ok(carried),
    }
}

/// The rows deleted since the source was read, each with how many rows before it were deleted
/// when it was read.
fn added(at: usize, source: &SourceRows, now: &[u32]) -> Result<Vec<(u32, u64)>, Uncarried> {
    let mut then = source.deleted.iter().copied().peekable();
    let mut before = 0;
    let mut added = Vec::new();
    for offset in now.iter().copied() {
        if u64::from(offset) >= source.rows {
            return Err(Uncarried::Beyond(at));
        }
        match then.peek() {
            Some(next) if *next < offset => return Err(Uncarried::Revived(at)),
            Some(next) if *next == offset => {
                then.next();
                before += 1;
            }
            _ => added.push((offset, before)),
        }
    }
    match then.next() {
        Some(_) => Err(Uncarried::Revived(at)),
        None => Ok(added),
    }
}

/// Walks over the outputs while rows are marked in the order in which they were written.
struct Places<'a> {
    outputs: &'a [u64],
    carried: Vec<Vec<u32>>,
    /// The output the last row stood in, and the number of its first row.
    output: usize,
    first: u64,
}

impl Places<'_> {
    fn mark(&mut self, row: u64) {
        while row - self.first >= self.outputs[self.output] {
            self.first += self.outputs[self.output];
            self.output += 1;
        }
        // A fragment of Lance has fewer than 2^32 rows.
        let offset = u32::try_from(row - self.first).unwrap_or(u32::MAX);
        self.carried[self.output].push(offset);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn source(rows: u64, deleted: &[u32]) -> SourceRows {
        SourceRows { rows, deleted: deleted.to_vec() }
    }

    fn carry(
        sources: &[SourceRows],
        outputs: &[u64],
        now: &[Vec<u32>],
    ) -> Result<Vec<Vec<u32>>, Uncarried> {
        let sources: Vec<_> = sources.iter().zip(now.iter().map(Vec::as_slice)).collect();
        carry_deletions(&sources, outputs)
    }

    #[test]
    fn rows_deleted_since_are_found_where_they_went() {
        let sources = [source(4, &[1]), source(3, &[])];
        // Written: 0.0 0.2 0.3 | 1.0 1.1 1.2
        let carried = carry(&sources, &[3, 3], &[vec![1, 3], vec![0]]);
        assert_eq!(carried, Ok(vec![vec![2], vec![0]]));
        let carried = carry(&sources, &[6], &[vec![1], vec![2]]);
        assert_eq!(carried, Ok(vec![vec![5]]));
        assert_eq!(carry(&sources, &[6], &[vec![1], vec![]]), Ok(vec![vec![]]));
        assert_eq!(carry(&[source(1, &[0])], &[], &[vec![0]]), Ok(vec![]));
    }

    #[test]
    fn what_only_a_new_rewrite_can_follow_is_refused() {
        let sources = [source(4, &[1]), source(3, &[])];
        let carry = |outputs: &[u64], now: &[Vec<u32>]| carry(&sources, outputs, now);
        assert_eq!(carry(&[6], &[vec![0], vec![]]), Err(Uncarried::Revived(0)));
        assert_eq!(carry(&[6], &[vec![], vec![]]), Err(Uncarried::Revived(0)));
        assert_eq!(carry(&[6], &[vec![1, 2, 4], vec![]]), Err(Uncarried::Beyond(0)));
        assert_eq!(carry(&[7], &[vec![1], vec![]]), Err(Uncarried::Miscounted));
        assert_eq!(carry(&[3, 3], &[vec![1], vec![0, 1, 2]]), Err(Uncarried::Emptied(1)));
    }

    /// The same law for rows in another order, which stand in these outputs.
    fn check_sorted(
        sources: &[SourceRows],
        now: &[Vec<u32>],
        chunks: &[&[(usize, u32)]],
        visible: &[(usize, u32)],
    ) -> Result<(), TestCaseError> {
        let ids: Vec<u64> = (0..sources.len() as u64).map(|at| at * 3 + 1).collect();
        let address = |(at, offset): &(usize, u32)| (ids[*at] << 32) | u64::from(*offset);
        let from: Vec<Vec<u64>> =
            chunks.iter().map(|chunk| chunk.iter().map(address).collect()).collect();
        let sources: Vec<_> = sources.iter().zip(now.iter().map(Vec::as_slice)).collect();
        let is_visible = |row: &&(usize, u32)| visible.contains(row);
        let emptied = chunks.iter().position(|chunk| chunk.iter().filter(is_visible).count() == 0);
        let is_unchanged = sources.iter().all(|(source, now)| source.deleted == *now);
        let blind = find_deletions(&ids, &sources, None);
        prop_assert_eq!(blind, if is_unchanged { Ok(vec![]) } else { Err(Uncarried::Unplaced) });
        match find_deletions(&ids, &sources, Some(&from)) {
            Err(Uncarried::Emptied(output)) => prop_assert_eq!(Some(output), emptied),
            Err(error) => prop_assert!(false, "{:?}", error),
            Ok(carried) => {
                prop_assert_eq!(emptied, None);
                prop_assert_eq!(carried.len(), chunks.len());
                for (chunk, gone) in chunks.iter().zip(carried) {
                    prop_assert!(gone.is_sorted());
                    for (row, name) in (0_u32..).zip(chunk.iter()) {
                        prop_assert_eq!(gone.contains(&row), !visible.contains(name));
                    }
                }
            }
        }
        Ok(())
    }

    proptest! {
        /// Against a model that gives every row a name: the rows that are visible in the outputs
        /// with the carried deletions are exactly those visible in the sources today, in order.
        #[test]
        fn exactly_the_difference_is_carried(
            fragments in prop::collection::vec(
                prop::collection::vec((any::<bool>(), any::<bool>()), 1..40), 1..6),
            size in 1_usize..60,
        ) {
            let mut sources = Vec::new();
            let mut now = Vec::new();
            let (mut written, mut visible) = (Vec::new(), Vec::new());
            for (at, fragment) in fragments.iter().enumerate() {
                let (mut then, mut today) = (Vec::new(), Vec::new());
                for (offset, (was_deleted, is_deleted)) in (0_u32..).zip(fragment) {
                    if *was_deleted { then.push(offset) } else { written.push((at, offset)) }
                    if *was_deleted || *is_deleted {
                        today.push(offset);
                    } else {
                        visible.push((at, offset));
                    }
                }
                sources.push(source(fragment.len() as u64, &then));
                now.push(today);
            }
            let mut sorted = written.clone();
            sorted.sort_by_key(|(at, offset)| (offset.wrapping_mul(2_654_435_761), *at));
            check_sorted(&sources, &now, &sorted.chunks(size).collect::<Vec<_>>(), &visible)?;
            let chunks: Vec<_> = written.chunks(size).collect();
            let outputs: Vec<u64> = chunks.iter().map(|chunk| chunk.len() as u64).collect();
            let is_visible = |row: &&(usize, u32)| visible.contains(row);
            let emptied = chunks.iter().position(|chunk| chunk.iter().filter(is_visible).count() == 0);
            match carry(&sources, &outputs, &now) {
                Err(Uncarried::Emptied(output)) => prop_assert_eq!(Some(output), emptied),
                Err(error) => prop_assert!(false, "{:?}", error),
                Ok(carried) => {
                    prop_assert_eq!(emptied, None);
                    let mut left = Vec::new();
                    for (chunk, gone) in chunks.iter().zip(carried) {
                        prop_assert!(gone.is_sorted());
                        let rows = (0_u32..).zip(chunk.iter());
                        left.extend(rows.filter(|(at, _)| !gone.contains(at)).map(|(_, row)| *row));
                    }
                    prop_assert_eq!(left, visible);
                }
            }
        }
    }
}
