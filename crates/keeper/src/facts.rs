//! The facts of one table at one version, read from its Lance manifest. No data is read.

use std::collections::{BTreeMap, BTreeSet};

use lance::Dataset;
use lance::index::DatasetIndexExt;
use lance_table::format::{Fragment, IndexMetadata};
use lance_table::io::manifest::read_manifest_indexes;
use lance_table::system_index::is_system_index;
use lancekeeper_model::{
    FragmentFacts, IndexFacts, IndexKind, IndexMode, SMALL_FRAGMENT_BYTES, SkipReason, TableBytes,
    TableFacts, TableRef,
};
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

/// Reads the facts of a table at the version the handle stands at.
///
/// Coverage is counted as it will be when the Rewrite is committed: an index that `mode` has
/// refreshed by then covers every fragment and tells none apart.
pub(crate) async fn view(
    table: &Dataset,
    table_ref: &TableRef,
    mode: IndexMode,
) -> Result<TableView, LanceFailure> {
    let failed =
        |source| LanceFailure::new(format!("failed to read the manifest of {table_ref}"), source);
    // All of them, also those this build cannot read: Lance checks every index's coverage
    // when it commits a Rewrite.
    let store = table.object_store(None).await.map_err(failed)?;
    let indexes = read_manifest_indexes(&store, table.manifest_location(), table.manifest())
        .await
        .map_err(failed)?;
    let readable: BTreeSet<String> = table
        .load_indices()
        .await
        .map_err(failed)?
        .iter()
        .map(|index| index.uuid.to_string())
        .collect();
    let is_readable = |index: &IndexMetadata| readable.contains(&index.uuid.to_string());
    let telling: Vec<IndexMetadata> = indexes
        .iter()
        .filter(|index| tells_apart(index, mode) || !is_readable(index))
        .cloned()
        .collect();
    let mut coverage = Coverage::default();
    let sizes = table_sizes(table, &indexes).await.map_err(|source| {
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
            coverage: coverage.number(covering(&telling, metadata.id)),
        });
    }
    let unindexed_rows = unindexed_rows(&indexes, &fragments);
    let untouchable = untouchable(table, &indexes, is_readable);
    let schema = table.schema();
    let index_facts = index_facts(table, &indexes, &fragments);
    let totals = Totals::of(&fragments, sizes.total);
    let is_small = |fragment: &&FragmentFacts| fragment.bytes < SMALL_FRAGMENT_BYTES;
    let small_fragments = fragments.iter().filter(is_small).count() as u64;
    let shared: BTreeSet<u64> =
        table.fragments().iter().filter(|f| is_shared(f)).map(|f| f.id).collect();
    fragments.retain(|fragment| !shared.contains(&fragment.id));
    Ok(TableView {
        facts: TableFacts {
            table: table_ref.clone(),
            version: version_of(table),
            columns: u32::try_from(schema.fields.len()).unwrap_or(u32::MAX),
            can_copy_pages: !schema.fields_pre_order().any(lance::datatypes::Field::is_blob),
            fragments,
        },
        totals,
        small_fragments,
        unindexed_rows,
        indexes: index_facts,
        untouchable,
    })
}

/// Whether a fragment's files lie in another table's directory.
fn is_shared(fragment: &Fragment) -> bool {
    fragment.files.iter().any(|file| file.base_id.is_some())
}

/// Whether an index still covers some fragments and not others when the Rewrite is committed.
fn tells_apart(index: &IndexMetadata, mode: IndexMode) -> bool {
    mode == IndexMode::Keep || kind_of_index(index) == IndexKind::Other
}

fn kind_of_index(index: &IndexMetadata) -> IndexKind {
    let details = index.index_details.as_ref().map_or("", |details| details.type_url.as_str());
    match details.rsplit('.').next() {
        Some("BTreeIndexDetails") => IndexKind::BTree,
        Some("InvertedIndexDetails") => IndexKind::FullText,
        Some("VectorIndexDetails") => IndexKind::Vector,
        _ => IndexKind::Other,
    }
}

fn index_facts(
    table: &Dataset,
    indexes: &[IndexMetadata],
    fragments: &[FragmentFacts],
) -> Vec<IndexFacts> {
    let mut by_name: BTreeMap<&str, Vec<&IndexMetadata>> = BTreeMap::new();
    for index in indexes.iter().filter(|index| !is_system_index(index)) {
        by_name.entry(&index.name).or_default().push(index);
    }
    let facts = |(name, segments): (&str, Vec<&IndexMetadata>)| {
        let first = segments.first()?;
        let field = table.schema().field_by_id(*first.fields.first()?)?;
        let uncovered = |f: &&FragmentFacts| !segments.iter().any(|index| covers(index, f.id));
        Some(IndexFacts {
            name: name.to_owned(),
            column: field.name.clone(),
            kind: kind_of_index(first),
            segments: segments.iter().map(|index| index.uuid.to_string()).collect(),
            uncovered_rows: fragments.iter().filter(uncovered).map(FragmentFacts::live_rows).sum(),
        })
    };
    by_name.into_iter().filter_map(facts).collect()
}

/// The segments that cover a fragment. Segments count, not names: a fragment in another
/// segment of the same index is covered differently.
fn covering(indexes: &[IndexMetadata], fragment: u64) -> BTreeSet<String> {
    indexes
        .iter()
        .filter(|index| !is_system_index(index) && covers(index, fragment))
        .map(|index| index.uuid.to_string())
        .collect()
}

fn covers(index: &IndexMetadata, fragment: u64) -> bool {
    match (&index.fragment_bitmap, u32::try_from(fragment)) {
        (Some(bitmap), Ok(id)) => bitmap.contains(id),
        _ => false,
    }
}

/// Numbers sets of segments in order of appearance.
#[derive(Default)]
struct Coverage {
    known: BTreeMap<BTreeSet<String>, u32>,
}

impl Coverage {
    fn number(&mut self, segments: BTreeSet<String>) -> u32 {
        let next = u32::try_from(self.known.len()).unwrap_or(u32::MAX);
        *self.known.entry(segments).or_insert(next)
    }
}

fn unindexed_rows(indexes: &[IndexMetadata], fragments: &[FragmentFacts]) -> Option<u64> {
    let names: BTreeSet<&str> = indexes
        .iter()
        .filter(|index| !is_system_index(index))
        .map(|index| index.name.as_str())
        .collect();
    if names.is_empty() {
        return None;
    }
    let uncovered = |fragment: &&FragmentFacts| {
        names.iter().any(|name| {
            !indexes.iter().any(|index| index.name == *name && covers(index, fragment.id))
        })
    };
    Some(fragments.iter().filter(uncovered).map(FragmentFacts::live_rows).sum())
}

/// Tables that a plain rewrite would damage.
fn untouchable(
    table: &Dataset,
    indexes: &[IndexMetadata],
    is_readable: impl Fn(&IndexMetadata) -> bool,
) -> Option<Untouchable> {
    if let Some(system) = indexes.iter().find(|index| is_system_index(index)) {
        // Deferred remaps and write-ahead state refer to fragments by id and address; only
        // the writer that keeps them knows how to carry them over.
        return Some(Untouchable {
            reason: SkipReason::SystemIndexPresent,
            why: format!("it keeps the system index {}", system.name),
        });
    }
    let is_carried_over = !table.manifest().uses_stable_row_ids();
    if let Some(index) = indexes.iter().find(|index| is_carried_over && index.base_id.is_some()) {
        // A carried-over segment is written here, but its base would still be looked under.
        return Some(Untouchable {
            reason: SkipReason::IndexInBase,
            why: format!("its index {} lies in the table it was cloned from", index.name),
        });
    }
    let hidden = indexes.iter().find(|index| is_carried_over && !is_readable(index))?;
    Some(Untouchable {
        reason: SkipReason::IndexUnreadable,
        why: format!("its index {} is of a kind this version cannot carry over", hidden.name),
    })
}
