//! The facts of one table at one version, read from its Lance manifest. No data is read.

mod deferred;
mod indexes;

use std::collections::{BTreeMap, BTreeSet};

use lance::Dataset;
use lance_table::feature_flags::FLAG_MIXED_DATA_FILE_VERSIONS;
use lance_table::format::Fragment;
use lance_table::io::manifest::read_manifest_indexes;
use lancekeeper_model::{
    FragmentFacts, IndexFacts, SMALL_FRAGMENT_BYTES, SkipReason, TableBytes, TableFacts, TableRef,
};
use lancekeeper_planner::index::Upkeep;
use lancekeeper_store::LanceFailure;
use lancekeeper_store::sizes::table_sizes;
use lancekeeper_store::tables::version_of;

/// What the inventory knows of a table besides its fragments.
#[derive(Debug, Clone)]
pub(crate) struct TableView {
    /// Plain facts, for planning. On a fork, of the fragments that it owns: rewriting one it
    /// shares with the table it was cut from would undo the sharing.
    pub(crate) facts: TableFacts,
    /// Sums over all fragments, shared ones included.
    pub(crate) totals: Totals,
    /// Fragments below the size that counts as small.
    pub(crate) small_fragments: u64,
    /// Rows that at least one index of the table does not cover; `None` without indexes.
    pub(crate) unindexed_rows: Option<u64>,
    /// Fragments with deleted rows.
    pub(crate) with_deletions: BTreeSet<u64>,
    /// The indexes, by name.
    pub(crate) indexes: Vec<IndexFacts>,
    /// Why this build must not rewrite the table, if it must not.
    pub(crate) untouchable: Option<Untouchable>,
}

/// Why a table must not be rewritten.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Untouchable {
    /// The token for scripts.
    pub(crate) reason: SkipReason,
    /// The reason for people.
    pub(crate) why: String,
}

/// Sums over fragments, for reports.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) rows: u64,
    pub(crate) deleted: u64,
    pub(crate) fragments: u64,
    pub(crate) files: u64,
    pub(crate) sizes: TableBytes,
}

impl Totals {
    fn of(fragments: &[FragmentFacts], sizes: TableBytes) -> Self {
        let mut totals = Self { fragments: fragments.len() as u64, sizes, ..Self::default() };
        for fragment in fragments {
            totals.rows += fragment.live_rows();
            totals.deleted += fragment.deleted_rows;
            totals.files += fragment.files;
        }
        totals
    }
}

/// Reads the facts of a table at the version the handle stands at. Which fragments its indexes
/// tell apart is not among them: that depends on what is to be done with the indexes.
pub(crate) async fn view(
    table: &Dataset,
    table_ref: &TableRef,
    upkeep: Upkeep,
) -> Result<TableView, LanceFailure> {
    let failed =
        |source| LanceFailure::new(format!("failed to read the manifest of {table_ref}"), source);
    // All indexes, also those this build cannot read.
    let store = table.object_store(None).await.map_err(failed)?;
    let stored = read_manifest_indexes(&store, table.manifest_location(), table.manifest())
        .await
        .map_err(failed)?;
    let sizes = table_sizes(table, &stored).await.map_err(|source| {
        LanceFailure::new(format!("failed to measure the files of {table_ref}"), source)
    })?;
    let mut fragments = Vec::with_capacity(table.fragments().len());
    for (fragment, size) in table.get_fragments().into_iter().zip(&sizes.fragments) {
        let metadata = fragment.metadata();
        let rows = fragment.physical_rows().await.map_err(failed)?;
        let deleted = fragment.count_deletions().await.map_err(failed)?;
        fragments.push(FragmentFacts {
            id: metadata.id,
            physical_rows: rows as u64,
            deleted_rows: deleted as u64,
            bytes: size.to_read(),
            files: metadata.files.len() as u64,
            coverage: 0,
            held: false,
        });
    }
    let seen = indexes::look_at(table, stored, &fragments, upkeep).await.map_err(failed)?;
    let schema = table.schema();
    let totals = Totals::of(&fragments, sizes.total);
    let is_small = |fragment: &&FragmentFacts| fragment.bytes < SMALL_FRAGMENT_BYTES;
    let small_fragments = fragments.iter().filter(is_small).count() as u64;
    let with_deletions = fragments.iter().filter(|f| f.deleted_rows > 0).map(|f| f.id).collect();
    let shared: BTreeSet<u64> =
        table.fragments().iter().filter(|f| is_shared(table, f)).map(|f| f.id).collect();
    let unindexed_rows = unindexed_rows(&seen.indexes, &fragments);
    fragments.retain(|fragment| !shared.contains(&fragment.id));
    Ok(TableView {
        facts: TableFacts {
            table: table_ref.clone(),
            version: version_of(table),
            columns: u32::try_from(schema.fields.len()).unwrap_or(u32::MAX),
            can_copy_pages: !schema.fields_pre_order().any(lance::datatypes::Field::is_blob)
                && !is_mixed(table),
            fragments,
            shared_fragments: shared.len() as u64,
            unchosen: BTreeSet::new(),
            pages: BTreeMap::new(),
            of_other_versions: BTreeSet::new(),
        },
        totals,
        small_fragments,
        unindexed_rows,
        with_deletions,
        indexes: seen.indexes,
        untouchable: seen.untouchable,
    })
}

/// Whether it has, or had, data files of several versions. Of those pages are copied only where all are of one.
fn is_mixed(table: &Dataset) -> bool {
    table.manifest().reader_feature_flags & FLAG_MIXED_DATA_FILE_VERSIONS != 0
}

/// Whether a fragment's files are those of another table, or of the chain this one was cut from.
/// A table may also keep files of its own under bases that are no table. Where both kinds of base
/// are known, the chain it was cut from may have written there, too: nothing tells whose those
/// files are, so they count as shared.
fn is_shared(table: &Dataset, fragment: &Fragment) -> bool {
    let bases = &table.manifest().base_paths;
    let is_cut = bases.values().any(|base| base.is_dataset_root);
    fragment
        .files
        .iter()
        .any(|file| file.base_id.is_some_and(|base| is_cut || !bases.contains_key(&base)))
}

/// Live rows that at least one index does not cover; `None` without indexes.
fn unindexed_rows(indexes: &[IndexFacts], fragments: &[FragmentFacts]) -> Option<u64> {
    if indexes.is_empty() {
        return None;
    }
    let covering = |index: &IndexFacts| -> BTreeSet<u64> {
        index.segments.iter().flat_map(|segment| segment.fragments.iter().copied()).collect()
    };
    let covered: Vec<BTreeSet<u64>> = indexes.iter().map(covering).collect();
    let is_uncovered =
        |fragment: &&FragmentFacts| covered.iter().any(|ids| !ids.contains(&fragment.id));
    Some(fragments.iter().filter(is_uncovered).map(FragmentFacts::live_rows).sum())
}
