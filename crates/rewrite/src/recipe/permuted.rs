//! Rows in the order of a layout: read, sorted with files to spill to, and written into new fragments.
//!
//! # Memory
//!
//! The sort holds what it is given and spills the rest to the directory for temporary files. Between
//! it and the writers stand the rows of the window in which an output along a curve may end, which is said by the rows
//! after it ([`lancekeeper_layout::Cutter`]): an eighth of an output, of the last two a quarter. Two writers are open at
//! once. Old addresses of rows, 8 bytes for each, are kept where indexes or the history of rows need them, and otherwise
//! of every group for which they take no more than [`Sorting::address_bytes`].
//!
//! Not here: which rows go together (`planner`), and what becomes of deletions and indexes (`carry`, `remap`).

mod outputs;
mod rows;

use std::collections::BTreeMap;
use std::sync::Arc;

use lance::Dataset;
use lance_file::version::ConcreteFileVersion;
use lance_table::format::Fragment;
use lancekeeper_layout::RankBox;
use lancekeeper_planner::optimize::Group;
use lancekeeper_store::failure::{full_text, is_disk_full};

use super::Rewritten;
use super::lineage::Lineages;
use crate::arrangement::Arrangement;
use crate::sources::ReadSource;
use outputs::{Sorted, write};
use rows::{Pace, sorted};

/// Bytes of the old address of a row.
pub(crate) const ADDRESS_BYTES: u64 = 8;

/// How a group is sorted.
#[derive(Debug, Clone)]
pub struct Sorting {
    /// The order of its rows.
    pub arrangement: Arc<Arrangement>,
    /// Bytes that the sort may hold before it spills.
    pub sort_bytes: u64,
    /// Bytes that the old addresses of a group may take, for which nothing else asks than that rows which are deleted
    /// meanwhile are found in the new fragments. Without them such a group has to be sorted again.
    pub address_bytes: u64,
}

/// Whether the old address of each row is kept until the group is committed: it is if something needs them anyhow, and
/// else as long as they take little.
fn keeps_addresses(rows: u64, is_needed: bool, sorting: &Sorting) -> bool {
    is_needed || rows.saturating_mul(ADDRESS_BYTES) <= sorting.address_bytes
}

/// What became of the rows of a group whose order has changed.
#[derive(Debug, Clone, Default)]
pub struct Permuted {
    /// Per new fragment, in its order, the address that each row had; `None` if that is not known any more.
    pub(crate) from: Option<Vec<Vec<u64>>>,
    /// Where the rows of each new fragment lie in the space of the layout.
    pub boxes: Vec<RankBox>,
    /// The same of the old fragments, by id. One without live rows has none.
    pub source_boxes: BTreeMap<u64, RankBox>,
}

/// Why the rows of a table cannot be given another order; `None` if they can.
#[must_use]
pub fn why_not_permuted(table: &Dataset) -> Option<&'static str> {
    if table.manifest().data_storage_format.lance_file_format() == ConcreteFileVersion::V1 {
        return Some("its files are of Lance's first format, of which only pages are copied");
    }
    let has_blobs = table.schema().fields_pre_order().any(lance::datatypes::Field::is_blob);
    has_blobs.then_some("it has blob columns, whose rows keep their order")
}

/// The live rows of a group in the order of a layout.
///
/// # Errors
///
/// When a source cannot be read, there is no room to spill, or a file cannot be written.
///
/// What was written stands in `done`, also if it came to nothing and the rows were then written once more.
///
/// # Cancel safety
///
/// Nothing becomes visible. Files written so far stay.
pub(super) async fn permuted(
    table: &Dataset,
    source: &[Fragment],
    read: &[ReadSource],
    (group, batch_rows, full_rows): (&Group, u32, u64),
    sorting: &Sorting,
    is_needed: bool,
    done: &mut Vec<Fragment>,
) -> lance::Result<Rewritten> {
    let mut pace = Pace::new(batch_rows, sorting.sort_bytes);
    loop {
        let how = (group, pace, full_rows);
        let outcome = sorted_at(table, source, read, how, sorting, is_needed, done).await;
        match (&outcome, pace.slower()) {
            (Err(error), Some(slower)) if is_out_of_memory(error) => {
                tracing::info!(target: "lancekeeper::optimize", table = table.uri(), ?slower,
                    "rows are wider than they seemed: they are sorted in smaller batches");
                pace = slower;
            }
            (Err(error), _) if is_disk_full(error) => return outcome.map_err(NoRoom::wrapped),
            _ => return outcome,
        }
    }
}

/// A disk filled up while rows were sorted, which may be another one than that of the table.
#[derive(Debug, thiserror::Error)]
#[error(
    "there was no room for the rows while they were sorted: what a sort cannot hold is written to {directory}, and TMPDIR \
     names another directory"
)]
struct NoRoom {
    directory: String,
    source: lance::Error,
}

impl NoRoom {
    fn wrapped(source: lance::Error) -> lance::Error {
        let directory = std::env::temp_dir().display().to_string();
        lance::Error::wrapped(Box::new(Self { directory, source }))
    }
}

/// Whether a sort may not hold what it has to.
fn is_out_of_memory(error: &lance::Error) -> bool {
    full_text(error).contains("Resources exhausted")
}

/// The rows, sorted at this pace.
async fn sorted_at(
    table: &Dataset,
    source: &[Fragment],
    read: &[ReadSource],
    (group, pace, full_rows): (&Group, Pace, u64),
    sorting: &Sorting,
    is_needed: bool,
    done: &mut Vec<Fragment>,
) -> lance::Result<Rewritten> {
    // The row ids and versions of a sorted fragment are looked up by its old addresses.
    let has_row_ids = table.manifest().uses_stable_row_ids();
    let keeps = keeps_addresses(group.rows(), is_needed || has_row_ids, sorting);
    let lineages = Lineages::sources(table, source, read)?;
    let (stream, boxes) = sorted(table, source, sorting, pace).await?;
    let to_write = Sorted {
        stream,
        arrangement: Arc::clone(&sorting.arrangement),
        outputs: group.outputs.clone(),
        full_rows,
        keeps_addresses: keeps,
    };
    let written = write(table, to_write, done).await?;
    let mut fragments: Vec<Fragment> = written.iter().map(|w| w.fragment.clone()).collect();
    if let Some(lineages) = lineages {
        let addresses = written.iter().map(|written| written.from.as_slice());
        lineages.permuted(addresses)?.apply(&mut fragments)?;
    }
    let permuted = Permuted {
        boxes: written.iter().map(|written| written.ranks.clone()).collect(),
        source_boxes: boxes.into_boxes(),
        from: keeps.then(|| written.into_iter().map(|written| written.from).collect()),
    };
    Ok(Rewritten { fragments, kept_addrs: None, permuted: Some(permuted) })
}

#[cfg(test)]
mod tests {
    use lancekeeper_layout::{BOUNDARIES, Space};

    use super::*;

    #[test]
    fn old_addresses_are_kept_while_they_take_little_and_wherever_they_are_needed_anyhow() {
        let space = Space::from_sample(&[], BOUNDARIES).unwrap();
        let arrangement = Arrangement::new(&"sort:a".parse().unwrap(), space).unwrap();
        let sorting =
            Sorting { arrangement: Arc::new(arrangement), sort_bytes: 0, address_bytes: 80 };
        assert!(keeps_addresses(10, false, &sorting));
        assert!(!keeps_addresses(11, false, &sorting));
        assert!(keeps_addresses(11, true, &sorting));
        assert!(!keeps_addresses(u64::MAX, false, &sorting));
    }
}
