//! Vector indexes: asked for what is near to sampled vectors. They must answer, and the rows that they
//! name must exist. Whether those are the nearest is not theirs to promise.

use arrow_array::cast::AsArray;
use arrow_array::types::{Float16Type, Float32Type, Float64Type};
use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;
use lance_table::format::Fragment;
use roaring::RoaringBitmap;

use super::sample::sample;
use super::{Asked, Verdict, ids, verdict};

/// How many neighbours are asked for.
const NEIGHBOURS: usize = 10;

/// Asks a vector index.
pub(super) async fn ask(asked: &Asked<'_>) -> lance::Result<Verdict> {
    if !asked.is_whole() {
        return Ok(Verdict::NotAsked("some rows of its table cannot be read".to_owned()));
    }
    let covered = covered(asked);
    if covered.is_empty() {
        return Ok(Verdict::NotAsked("it covers no rows that can be read".to_owned()));
    }
    let sampled = sample(&Asked { healthy: &covered, ..*asked }).await?;
    let vectors: Vec<ArrayRef> = sampled.iter().flat_map(vectors).collect();
    if vectors.is_empty() {
        return Ok(Verdict::NotAsked("no sampled row has a vector to ask for".to_owned()));
    }
    let column = asked.table.schema().field_path_minimal(asked.field)?;
    let projection = asked.table.schema().project(&[asked.column()?])?;
    for vector in &vectors {
        // Of the whole table: a search in some of its fragments takes another way.
        let mut scan = asked.table.scan();
        scan.empty_project()?.with_row_id().disable_scoring_autoprojection();
        scan.nearest(&column, vector, NEIGHBOURS)?.fast_search();
        let found: Vec<u64> = ids(&scan).await?.into_iter().collect();
        if found.is_empty() {
            let why = "asked for the neighbours of a vector that it covers, it names none";
            return Ok(verdict(vectors.len(), Some(why.to_owned())));
        }
        let rows = asked.table.take_rows(&found, projection.clone()).await?.num_rows();
        if rows != found.len() {
            let why = format!("of {} rows that it names only {rows} exist", found.len());
            return Ok(verdict(vectors.len(), Some(why)));
        }
    }
    Ok(verdict(vectors.len(), None))
}

/// The fragments that it covers, and that can be read.
fn covered(asked: &Asked<'_>) -> Vec<Fragment> {
    let bitmaps = asked.segments.iter().filter_map(|segment| segment.fragment_bitmap.as_ref());
    let all = bitmaps.fold(RoaringBitmap::new(), |all, bitmap| all | bitmap);
    let is_covered =
        |fragment: &&Fragment| u32::try_from(fragment.id).is_ok_and(|id| all.contains(id));
    asked.healthy.iter().filter(is_covered).cloned().collect()
}

/// Vectors that have a direction and a length.
fn vectors(values: &ArrayRef) -> Vec<ArrayRef> {
    let DataType::FixedSizeList(..) = values.data_type() else { return Vec::new() };
    let list = values.as_fixed_size_list();
    let valid = (0..list.len()).filter(|row| list.is_valid(*row));
    valid.map(|row| list.value(row)).filter(is_plain).collect()
}

/// Whether distances to a vector are numbers, whatever they are measured by.
fn is_plain(vector: &ArrayRef) -> bool {
    let numbers: Vec<f64> = match vector.data_type() {
        DataType::Float16 => {
            vector.as_primitive::<Float16Type>().values().iter().map(|n| n.to_f64()).collect()
        }
        DataType::Float32 => {
            vector.as_primitive::<Float32Type>().values().iter().map(|n| f64::from(*n)).collect()
        }
        DataType::Float64 => vector.as_primitive::<Float64Type>().values().to_vec(),
        // Bits: every one of them is far from some other.
        DataType::UInt8 => return true,
        _ => return false,
    };
    numbers.iter().all(|number| number.is_finite()) && numbers.iter().any(|number| *number != 0.0)
}
