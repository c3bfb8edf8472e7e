//! Indexes a client may make, and questions that each of them answers: by the index, and by a scan
//! that uses none.

use anyhow::Result;
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Float32Array, RecordBatch};
use lance::Dataset;
use lance::index::DatasetIndexExt;
use lance::index::vector::VectorIndexParams;
use lance_index::IndexType;
use lance_index::scalar::{
    BuiltinIndexType, FullTextSearchQuery, InvertedIndexParams, ScalarIndexParams,
};
use lance_linalg::distance::MetricType;

/// Every kind of index on a column that suits it.
pub(crate) const KINDS: [(&str, IndexType); 18] = [
    ("id", IndexType::BTree),
    ("id", IndexType::ZoneMap),
    ("count", IndexType::BTree),
    ("count", IndexType::ZoneMap),
    ("count", IndexType::BloomFilter),
    ("count", IndexType::Bitmap),
    ("label", IndexType::Bitmap),
    ("label", IndexType::BTree),
    ("words", IndexType::Inverted),
    ("words", IndexType::NGram),
    ("words", IndexType::Fm),
    ("tags", IndexType::LabelList),
    ("vector", IndexType::IvfFlat),
    ("vector", IndexType::IvfPq),
    ("point", IndexType::RTree),
    ("deep.x", IndexType::BTree),
    ("deep.inner.x", IndexType::Bitmap),
    ("deep.inner.note", IndexType::Inverted),
];

/// Makes an index of one kind; `false` if Lance cannot on this table.
pub(crate) async fn create(
    table: &mut Dataset,
    name: &str,
    (column, kind): (&str, IndexType),
) -> bool {
    let scalar = |kind| ScalarIndexParams::for_builtin(kind);
    let name = Some(name.to_owned());
    let columns = &[column][..];
    let made = match kind {
        IndexType::IvfFlat | IndexType::IvfPq => {
            let params = if kind == IndexType::IvfFlat {
                VectorIndexParams::ivf_flat(1, MetricType::L2)
            } else {
                VectorIndexParams::ivf_pq(1, 8, 2, MetricType::L2, 10)
            };
            table.create_index(columns, IndexType::Vector, name, &params, true).await
        }
        IndexType::Inverted => {
            let params = InvertedIndexParams::default().stem(false).remove_stop_words(false);
            table.create_index(columns, kind, name, &params, true).await
        }
        other => {
            let builtin = match other {
                IndexType::BTree => BuiltinIndexType::BTree,
                IndexType::Bitmap => BuiltinIndexType::Bitmap,
                IndexType::LabelList => BuiltinIndexType::LabelList,
                IndexType::NGram => BuiltinIndexType::NGram,
                IndexType::ZoneMap => BuiltinIndexType::ZoneMap,
                IndexType::BloomFilter => BuiltinIndexType::BloomFilter,
                IndexType::RTree => BuiltinIndexType::RTree,
                _ => BuiltinIndexType::Fm,
            };
            table.create_index(columns, other, name, &scalar(builtin), true).await
        }
    };
    made.is_ok()
}

/// Something to ask a table.
#[derive(Debug, Clone)]
pub(crate) enum Question {
    /// Which rows match.
    Filter(String),
    /// Which rows of a column have the word.
    Word(String, &'static str),
    /// Which rows are nearest to a point, every partition looked at and every distance exact.
    Nearest([f32; 8]),
}

/// What an index of that kind on that column is for.
pub(crate) fn questions(column: &str, kind: IndexType) -> Vec<Question> {
    let filters = |texts: &[&str]| {
        texts.iter().map(|text| Question::Filter(text.replace('@', column))).collect()
    };
    match (column, kind) {
        (_, IndexType::Inverted) => {
            let word = if column == "words" { ["alpha2", "beta5"] } else { ["note1", "note3"] };
            word.map(|word| Question::Word(column.to_owned(), word)).to_vec()
        }
        (_, IndexType::NGram | IndexType::Fm) => {
            filters(&["contains(@, 'pha2')", "contains(@, 'gamma1')", "contains(@, 'absent')"])
        }
        (_, IndexType::LabelList) => filters(&[
            "array_has(@, 't1')",
            "array_has_any(@, ['t2', 't5'])",
            "array_has_all(@, ['t2', 't3'])",
        ]),
        (_, IndexType::RTree) => filters(&[
            "st_intersects(@, st_geomfromtext('POINT(3 3)'))",
            "st_intersects(@, st_geomfromtext('POLYGON((-1 -1, 4 -1, 4 9, -1 9, -1 -1))'))",
        ]),
        (_, IndexType::IvfFlat | IndexType::IvfPq) => {
            vec![Question::Nearest([0.1; 8]), Question::Nearest([-0.4; 8])]
        }
        ("label", _) => {
            filters(&["@ = 'l3'", "@ IN ('l1', 'l6')", "@ >= 'l4'", "@ IS NULL", "NOT (@ = 'l3')"])
        }
        _ => filters(&[
            "@ = 7",
            "@ = -7",
            "@ < 12",
            "@ IN (1, 8, 15)",
            "@ IS NULL",
            "NOT (@ = 7)",
            "@ >= 12 AND @ < 30",
        ]),
    }
}

const NEIGHBOURS: usize = 5;

/// The ids of the rows that answer, sorted.
pub(crate) async fn ask(table: &Dataset, question: &Question, by_index: bool) -> Result<Vec<i64>> {
    let mut scan = table.scan();
    match question {
        Question::Filter(filter) => {
            scan.project(&["id"])?.filter(filter)?.use_scalar_index(by_index);
        }
        Question::Word(column, word) if by_index => {
            let query = FullTextSearchQuery::new((*word).to_owned()).with_column(column.clone())?;
            scan.project(&["id"])?.full_text_search(query)?;
        }
        // A word is between spaces in every text there is here.
        Question::Word(column, word) => {
            scan.project(&["id"])?.use_scalar_index(false);
            scan.filter(&format!("contains(concat(' ', {column}, ' '), ' {word} ')"))?;
        }
        Question::Nearest(point) => {
            let point = Float32Array::from(point.to_vec());
            scan.project(&["id"])?.nearest("vector", &point, NEIGHBOURS)?.use_index(by_index);
            scan.nprobes(100).refine(1_000);
        }
    }
    Ok(ids(&scan.try_into_batch().await?))
}

fn ids(batch: &RecordBatch) -> Vec<i64> {
    let ids = batch.column_by_name("id").map(|ids| ids.as_primitive::<Int64Type>().values());
    let mut ids = ids.map(|ids| ids.to_vec()).unwrap_or_default();
    ids.sort_unstable();
    ids
}
