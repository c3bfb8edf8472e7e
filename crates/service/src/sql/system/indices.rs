//! `system.indices`: the indexes of each table at the version that readers see.

use std::collections::{BTreeMap, HashSet};

use futures::FutureExt;
use futures::future::BoxFuture;
use lance::Dataset;
use lance::index::DatasetIndexExt;
use lance_table::format::IndexMetadata;
use lancekeeper::SeenTable;

use super::column::{count, text, time};
use super::per_table::{Answers, each, place};
use super::{Asked, Rows, SystemTable};
use crate::sql::SqlSession;
use crate::sql::answer::Cell;
use crate::sql::error::SqlRunError;

pub(super) const TABLE: SystemTable = SystemTable {
    name: "indices",
    about: "An index of a table, all its segments together, at the version that readers see.",
    columns: &[
        text("table", "the table"),
        text("branch", "the branch"),
        count("version", "the version that readers see"),
        text("name", "the name of the index"),
        text("columns", "the columns it is over, with a comma between two"),
        text("kind", "what it is, such as `BTree`; null where the table does not say"),
        count("segments", "segments"),
        count(
            "fragments_covered",
            "fragments whose rows it finds; null where it does not say which",
        ),
        count(
            "rows_uncovered",
            "live rows that it does not find; null where it does not say which",
        ),
        count("bytes", "bytes of its files; null where it does not say"),
        count("oldest_version", "the version of the table that its oldest segment was made at"),
        time("created_at", "when its newest segment was made; null where it does not say"),
    ],
    fill,
};

fn fill<'a>(session: &'a SqlSession, asked: &'a Asked) -> BoxFuture<'a, Result<Rows, SqlRunError>> {
    each(session, asked, ask).boxed()
}

fn ask<'a>(table: &'a SeenTable, dataset: &'a Dataset) -> Answers<'a> {
    async move {
        let stored = dataset.load_indices().await?;
        let mut by_name: BTreeMap<&str, Vec<&IndexMetadata>> = BTreeMap::new();
        for segment in stored.iter() {
            by_name.entry(&segment.name).or_default().push(segment);
        }
        let mut rows = Vec::new();
        for (name, segments) in by_name {
            let mut row = place(table, dataset);
            row.push(Cell::text(name));
            row.extend(described(dataset, &segments).await?);
            rows.push(row);
        }
        Ok(rows)
    }
    .boxed()
}

/// The cells behind the name of an index.
async fn described(dataset: &Dataset, segments: &[&IndexMetadata]) -> lance::Result<Vec<Cell>> {
    let fields = segments.first().map_or(&[][..], |segment| segment.fields.as_slice());
    let columns: Vec<String> = fields
        .iter()
        .filter_map(|id| dataset.schema().field_by_id(*id))
        .map(|field| field.name.clone())
        .collect();
    let covered: Option<Vec<_>> =
        segments.iter().map(|segment| segment.fragment_bitmap.as_ref()).collect();
    let covered: Option<HashSet<u64>> =
        covered.map(|maps| maps.into_iter().flat_map(|map| map.iter()).map(u64::from).collect());
    let (mut fragments, mut uncovered) = (0, 0);
    for fragment in dataset.get_fragments() {
        let is_covered =
            covered.as_ref().is_some_and(|known| known.contains(&(fragment.id() as u64)));
        match is_covered {
            true => fragments += 1,
            false => uncovered += fragment.count_rows(None).await?,
        }
    }
    let sizes: Option<Vec<u64>> = segments.iter().map(|segment| bytes(segment)).collect();
    Ok(vec![
        Cell::text(columns.join(", ")),
        Cell::maybe(segments.iter().find_map(|segment| kind(segment)), Cell::text),
        Cell::Integer(segments.len() as i128),
        Cell::maybe(covered.as_ref(), |_| Cell::Integer(fragments)),
        Cell::maybe(covered.as_ref(), |_| Cell::Integer(uncovered as i128)),
        Cell::maybe(sizes, |sizes| Cell::count(sizes.iter().sum::<u64>())),
        Cell::maybe(segments.iter().map(|segment| segment.dataset_version).min(), Cell::count),
        Cell::maybe(segments.iter().filter_map(|segment| segment.created_at).max(), Cell::Time),
    ])
}

/// What a segment is: the name of its details, `BTree` of `…BTreeIndexDetails`.
fn kind(segment: &IndexMetadata) -> Option<String> {
    let details = segment.index_details.as_ref()?;
    let name = details.type_url.rsplit(['.', '/']).next()?;
    Some(name.trim_end_matches("IndexDetails").to_owned())
}

fn bytes(segment: &IndexMetadata) -> Option<u64> {
    segment.files.as_ref().map(|files| files.iter().map(|file| file.size_bytes).sum())
}
