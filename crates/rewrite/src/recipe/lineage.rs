//! Row ids and versions of rows: what a table with stable row ids keeps per fragment, and what new
//! fragments therefore bring along. Lance's own rewrites do this by themselves; this is for
//! fragments that are written here.
//!
//! Not here: sequences that a table keeps in its data files instead of in its manifests. A group
//! with one is Lance's to rewrite.

use std::collections::HashMap;

use lance::Dataset;
use lance_table::format::{Fragment, RowIdMeta};
use lance_table::rowids::version::{
    RowDatasetVersionMeta, RowDatasetVersionSequence, rechunk_version_sequences,
};
use lance_table::rowids::{RowIdSequence, read_row_ids, rechunk_sequences, write_row_ids};

use crate::sources::ReadSource;

/// The setting of a table that moves long sequences into its data files.
const SPILLS: &str = "lance.row_lineage.spill";
/// The version that rows without one count as made in.
const FIRST_VERSION: u64 = 1;

/// What the rows of one fragment are known by.
struct Lineage {
    row_ids: RowIdSequence,
    created_at: RowDatasetVersionSequence,
    updated_at: RowDatasetVersionSequence,
}

/// What new fragments bring along, one after the other; nothing without stable row ids.
pub(super) struct Lineages(Vec<Lineage>);

/// Whether the lineage of a fragment is in the manifest, so that new fragments can be given theirs.
pub(crate) fn is_known(table: &Dataset, fragment: &Fragment) -> bool {
    if !table.manifest().uses_stable_row_ids() {
        return true;
    }
    let spills = table.config().get(SPILLS).is_some_and(|v| v.eq_ignore_ascii_case("true"));
    let is_elsewhere =
        |meta: &Option<RowDatasetVersionMeta>| matches!(meta, Some(RowDatasetVersionMeta::Column));
    !spills
        && matches!(fragment.row_id_meta, Some(RowIdMeta::Inline(_)))
        && !is_elsewhere(&fragment.created_at_version_meta)
        && !is_elsewhere(&fragment.last_updated_at_version_meta)
}

impl Lineages {
    /// Those of the live rows of these fragments, in this order and cut into new fragments of so
    /// many rows. `None` if they are not all in the manifest, or do not fit the fragments: Lance
    /// knows what to do then.
    ///
    /// # Errors
    ///
    /// When a sequence cannot be decoded.
    pub(super) fn of(
        table: &Dataset,
        source: &[Fragment],
        read: &[ReadSource],
        outputs: &[u64],
    ) -> lance::Result<Option<Self>> {
        if !table.manifest().uses_stable_row_ids() {
            return Ok(Some(Self(Vec::new())));
        }
        if spills(table) || read.len() != source.len() {
            return Ok(None);
        }
        let mut live = Vec::with_capacity(source.len());
        for (fragment, read) in source.iter().zip(read) {
            let Some(lineage) = live_lineage(fragment, read)? else { return Ok(None) };
            live.push(lineage);
        }
        cut(live, outputs).map(|lineages| Some(Self(lineages)))
    }

    /// Writes them into the new fragments.
    ///
    /// # Errors
    ///
    /// When a sequence cannot be encoded.
    pub(super) fn apply(&self, fragments: &mut [Fragment]) -> lance::Result<()> {
        for (fragment, lineage) in fragments.iter_mut().zip(&self.0) {
            let versions = RowDatasetVersionMeta::from_sequence;
            fragment.row_id_meta = Some(RowIdMeta::Inline(write_row_ids(&lineage.row_ids).into()));
            fragment.created_at_version_meta = Some(versions(&lineage.created_at)?);
            fragment.last_updated_at_version_meta = Some(versions(&lineage.updated_at)?);
        }
        Ok(())
    }
}

/// What the rows of fragments are known by, to be looked up row by row.
pub(super) struct SourceLineages(HashMap<u64, Rows>);

/// What the rows of a fragment are known by, deleted ones included.
struct Rows {
    row_ids: Vec<u64>,
    created_at: Versions,
    updated_at: Versions,
}

/// A version per row. Most fragments were written at once.
enum Versions {
    Uniform(u64),
    PerRow(Vec<u64>),
}

impl Versions {
    fn of(sequence: &RowDatasetVersionSequence) -> Self {
        let mut versions = sequence.versions();
        let first = versions.next().unwrap_or(FIRST_VERSION);
        if versions.all(|version| version == first) {
            return Self::Uniform(first);
        }
        Self::PerRow(sequence.versions().collect())
    }

    fn at(&self, row: usize) -> Option<u64> {
        match self {
            Self::Uniform(version) => Some(*version),
            Self::PerRow(versions) => versions.get(row).copied(),
        }
    }
}

impl Lineages {
    /// What the rows of these fragments are known by, so that it can follow them into any order; `None` without
    /// stable row ids.
    ///
    /// # Errors
    ///
    /// When it is not all in the manifest, or cannot be decoded.
    pub(super) fn sources(
        table: &Dataset,
        source: &[Fragment],
        read: &[ReadSource],
    ) -> lance::Result<Option<SourceLineages>> {
        if !table.manifest().uses_stable_row_ids() {
            return Ok(None);
        }
        let elsewhere = || {
            lance::Error::not_supported(
                "row ids that a table keeps in its data files cannot follow their rows into another order",
            )
        };
        if spills(table) || read.len() != source.len() {
            return Err(elsewhere());
        }
        let mut rows = HashMap::with_capacity(source.len());
        for (fragment, read) in source.iter().zip(read) {
            let lineage = whole_lineage(fragment, read)?.ok_or_else(elsewhere)?;
            rows.insert(
                fragment.id,
                Rows {
                    row_ids: lineage.row_ids.iter().collect(),
                    created_at: Versions::of(&lineage.created_at),
                    updated_at: Versions::of(&lineage.updated_at),
                },
            );
        }
        Ok(Some(SourceLineages(rows)))
    }
}

impl SourceLineages {
    /// Those of new fragments, given the address that each of their rows had.
    ///
    /// # Errors
    ///
    /// When an address is of none of the fragments, or a row stands twice.
    pub(super) fn permuted<'a>(
        &self,
        outputs: impl Iterator<Item = &'a [u64]>,
    ) -> lance::Result<Lineages> {
        outputs.map(|from| self.of_rows(from)).collect::<lance::Result<_>>().map(Lineages)
    }

    fn of_rows(&self, from: &[u64]) -> lance::Result<Lineage> {
        let unknown = || lance::Error::internal("a row has no row id");
        let mut row_ids = Vec::with_capacity(from.len());
        let mut created_at = Vec::with_capacity(from.len());
        let mut updated_at = Vec::with_capacity(from.len());
        for address in from {
            let rows = self.0.get(&(address >> 32)).ok_or_else(unknown)?;
            let row = (address & u64::from(u32::MAX)) as usize;
            row_ids.push(*rows.row_ids.get(row).ok_or_else(unknown)?);
            created_at.push(rows.created_at.at(row).ok_or_else(unknown)?);
            updated_at.push(rows.updated_at.at(row).ok_or_else(unknown)?);
        }
        Ok(Lineage {
            row_ids: RowIdSequence::try_from_iter(row_ids)?,
            created_at: RowDatasetVersionSequence::from_versions(&created_at),
            updated_at: RowDatasetVersionSequence::from_versions(&updated_at),
        })
    }
}

/// Whether a table moves long sequences into its data files.
fn spills(table: &Dataset) -> bool {
    table.config().get(SPILLS).is_some_and(|v| v.eq_ignore_ascii_case("true"))
}

/// The lineage of a fragment without its deleted rows.
fn live_lineage(fragment: &Fragment, read: &ReadSource) -> lance::Result<Option<Lineage>> {
    let Some(mut lineage) = whole_lineage(fragment, read)? else { return Ok(None) };
    let deleted = || read.rows.deleted.iter().copied();
    lineage.row_ids.mask(deleted())?;
    lineage.created_at.mask(deleted())?;
    lineage.updated_at.mask(deleted())?;
    Ok(Some(lineage))
}

/// The lineage of all rows of a fragment, with Lance's defaults for what it does not say: made in the first
/// version, and not changed since. `None` if it is not all in the manifest, or does not fit the fragment.
fn whole_lineage(fragment: &Fragment, read: &ReadSource) -> lance::Result<Option<Lineage>> {
    let Some(RowIdMeta::Inline(inline)) = &fragment.row_id_meta else { return Ok(None) };
    let row_ids = read_row_ids(inline.bytes())?;
    let rows = read.rows.rows;
    let (created_at, updated_at) =
        (&fragment.created_at_version_meta, &fragment.last_updated_at_version_meta);
    let is_elsewhere =
        |meta: &Option<RowDatasetVersionMeta>| matches!(meta, Some(RowDatasetVersionMeta::Column));
    if is_elsewhere(created_at) || is_elsewhere(updated_at) {
        return Ok(None);
    }
    let load = |meta: &Option<RowDatasetVersionMeta>| {
        meta.as_ref().map(RowDatasetVersionMeta::load_sequence).transpose()
    };
    let created_at = load(created_at)?
        .unwrap_or_else(|| RowDatasetVersionSequence::from_uniform_row_count(rows, FIRST_VERSION));
    let updated_at = load(updated_at)?.unwrap_or_else(|| created_at.clone());
    // Older writers left sequences behind that are longer or shorter than their fragment.
    if [row_ids.len(), created_at.len(), updated_at.len()] != [rows; 3] {
        return Ok(None);
    }
    Ok(Some(Lineage { row_ids, created_at, updated_at }))
}

/// One lineage after the other, cut into pieces of so many rows.
fn cut(lineages: Vec<Lineage>, outputs: &[u64]) -> lance::Result<Vec<Lineage>> {
    let rows = || outputs.iter().copied();
    let (mut row_ids, mut created_at, mut updated_at) = (Vec::new(), Vec::new(), Vec::new());
    for lineage in lineages {
        row_ids.push(lineage.row_ids);
        created_at.push(lineage.created_at);
        updated_at.push(lineage.updated_at);
    }
    let row_ids = rechunk_sequences(row_ids, rows(), false)?;
    let created_at = rechunk_version_sequences(created_at, rows(), false)?;
    let updated_at = rechunk_version_sequences(updated_at, rows(), false)?;
    let pieces = row_ids.into_iter().zip(created_at).zip(updated_at);
    Ok(pieces
        .map(|((row_ids, created_at), updated_at)| Lineage { row_ids, created_at, updated_at })
        .collect())
}

#[cfg(test)]
mod tests {
    use lancekeeper_planner::optimize::SourceRows;

    use super::*;

    fn source(ids: std::ops::Range<u64>, versions: Option<&[u64]>) -> Fragment {
        let mut fragment = Fragment::new(0).with_physical_rows((ids.end - ids.start) as usize);
        let sequence = RowIdSequence::try_from_iter(ids).unwrap();
        fragment.row_id_meta = Some(RowIdMeta::Inline(write_row_ids(&sequence).into()));
        fragment.created_at_version_meta = versions.map(|versions| {
            let sequence = RowDatasetVersionSequence::from_versions(versions);
            RowDatasetVersionMeta::from_sequence(&sequence).unwrap()
        });
        fragment
    }

    fn read(rows: u64, deleted: &[u32]) -> ReadSource {
        let rows = SourceRows { rows, deleted: deleted.to_vec() };
        ReadSource { id: 0, deletion_file: None, seen: Vec::new(), rows }
    }

    #[test]
    fn live_rows_keep_their_ids_and_versions_across_the_cuts() {
        let first = live_lineage(&source(10..14, Some(&[3, 3, 4, 5])), &read(4, &[1])).unwrap();
        let second = live_lineage(&source(40..43, None), &read(3, &[])).unwrap();
        let pieces = cut(vec![first.unwrap(), second.unwrap()], &[2, 4]).unwrap();
        let mut fragments = vec![Fragment::new(0), Fragment::new(0)];
        Lineages(pieces).apply(&mut fragments).unwrap();
        let seen: Vec<(Vec<u64>, Vec<u64>, Vec<u64>)> = fragments
            .iter()
            .map(|fragment| {
                let Some(RowIdMeta::Inline(ids)) = &fragment.row_id_meta else { panic!() };
                let versions = |meta: &Option<RowDatasetVersionMeta>| {
                    meta.as_ref().unwrap().load_sequence().unwrap().versions().collect()
                };
                (
                    read_row_ids(ids.bytes()).unwrap().iter().collect(),
                    versions(&fragment.created_at_version_meta),
                    versions(&fragment.last_updated_at_version_meta),
                )
            })
            .collect();
        assert_eq!(seen[0], (vec![10, 12], vec![3, 4], vec![3, 4]));
        assert_eq!(seen[1], (vec![13, 40, 41, 42], vec![5, 1, 1, 1], vec![5, 1, 1, 1]));
    }

    #[test]
    fn what_is_not_in_the_manifest_or_does_not_fit_is_left_to_lance() {
        let mut elsewhere = source(0..3, None);
        elsewhere.row_id_meta = Some(RowIdMeta::Column);
        assert!(live_lineage(&elsewhere, &read(3, &[])).unwrap().is_none());
        let mut elsewhere = source(0..3, None);
        elsewhere.last_updated_at_version_meta = Some(RowDatasetVersionMeta::Column);
        assert!(live_lineage(&elsewhere, &read(3, &[])).unwrap().is_none());
        assert!(live_lineage(&source(0..3, None), &read(4, &[])).unwrap().is_none());
        assert!(live_lineage(&source(0..3, Some(&[1, 1])), &read(3, &[])).unwrap().is_none());
        assert!(live_lineage(&Fragment::new(0), &read(0, &[])).unwrap().is_none());
    }
}
