//! What following the edges of a table touches, in two versions of it. Reads the columns that say where edges go,
//! and nothing else. How it is counted is in `layout`.

use std::collections::BTreeMap;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::UInt64Type;
use arrow_schema::DataType;
use futures::{FutureExt, TryStreamExt};
use lance::Dataset;
use lance_core::ROW_ADDR;
use lancekeeper_layout::{Starts, Steps, Walk};
use lancekeeper_model::{EDGE_COLUMNS, Expansion, Expansions};
use lancekeeper_store::failure::guarded;
use xxhash_rust::xxh3::xxh3_64;

use super::columns::{BATCH_BYTES, ColumnError, column, failed};

/// Edges of one fragment: their sources and their destinations, as hashes.
struct Edges {
    fragment: u64,
    /// As [`EDGE_COLUMNS`].
    ends: [Vec<u64>; 2],
}

/// What following edges touches before and after; `None` of tables whose edges go from and to something else than
/// names. The nodes are those of before.
///
/// # Errors
///
/// When the columns are not there, or cannot be read.
///
/// # Cancel safety
///
/// Nothing is written.
pub(crate) async fn expansions(
    before: &Dataset,
    after: &Dataset,
) -> Result<Option<Expansions>, ColumnError> {
    let is_named = |name: &&str| {
        let field = before.schema().fields.iter().find(|field| field.name == **name);
        field.is_some_and(|field| field.data_type() == DataType::Utf8)
    };
    if !EDGE_COLUMNS.iter().all(is_named) {
        return Ok(None);
    }
    let mut starts = [Starts::default(), Starts::default()];
    each(before, |edges| {
        starts.iter_mut().zip(&edges.ends).for_each(|(starts, nodes)| starts.see(nodes));
    })
    .await?;
    let [out, back] = starts;
    let mut walks = [out.into_walk(), back.into_walk()];
    each(before, |edges| {
        let [sources, destinations] = &edges.ends;
        walks[0].learn(sources, destinations);
        walks[1].learn(destinations, sources);
    })
    .await?;
    Ok(Some(Expansions {
        nodes: walks.iter().map(Walk::len).max().unwrap_or_default() as u64,
        before: touched(before, &walks).await?,
        after: touched(after, &walks).await?,
    }))
}

async fn touched(table: &Dataset, walks: &[Walk; 2]) -> Result<Expansion, ColumnError> {
    let mut steps = walks.each_ref().map(Walk::steps);
    each(table, |edges| {
        let see = |(steps, nodes): (&mut Steps, &Vec<u64>)| steps.see(edges.fragment, nodes);
        steps.iter_mut().zip(&edges.ends).for_each(see);
    })
    .await?;
    let size = |file: &lance_table::format::DataFile| {
        file.file_size_bytes.get().map_or(0, std::num::NonZero::get)
    };
    let bytes: BTreeMap<u64, u64> =
        table.fragments().iter().map(|f| (f.id, f.files.iter().map(size).sum())).collect();
    let of = |steps: &Steps| steps.touched(|id| bytes.get(&id).copied().unwrap_or_default());
    let [[one_hop_out, two_hops_out], [one_hop_in, two_hops_in]] = [of(&steps[0]), of(&steps[1])];
    Ok(Expansion { one_hop_out, one_hop_in, two_hops_out, two_hops_in })
}

/// Shows all live edges, some of one fragment at a time.
async fn each(table: &Dataset, mut see: impl FnMut(Edges)) -> Result<(), ColumnError> {
    let mut scan = table.scan();
    scan.project(&EDGE_COLUMNS).map_err(failed)?.with_row_address().batch_size_bytes(BATCH_BYTES);
    let stream = guarded(table.uri(), scan.try_into_stream().boxed()).await.map_err(failed)?;
    let mut stream = stream.map_err(|error| ColumnError::from(failed(error)));
    while let Some(batch) = stream.try_next().await? {
        let addresses = column(&batch, ROW_ADDR)?;
        let addresses = addresses.as_primitive::<UInt64Type>().values();
        let [source, destination] = EDGE_COLUMNS;
        let (sources, destinations) = (hashed(&batch, source)?, hashed(&batch, destination)?);
        let mut start = 0;
        for stretch in addresses.chunk_by(|one, other| one >> 32 == other >> 32) {
            let rows = start..start + stretch.len();
            start = rows.end;
            let ends = [&sources, &destinations].map(|nodes| nodes[rows.clone()].to_vec());
            see(Edges { fragment: stretch[0] >> 32, ends });
        }
    }
    Ok(())
}

fn hashed(batch: &RecordBatch, name: &str) -> Result<Vec<u64>, ColumnError> {
    let nodes = column(batch, name)?;
    let nodes = nodes.as_string::<i32>().iter();
    Ok(nodes.map(|node| xxh3_64(node.unwrap_or_default().as_bytes())).collect())
}
