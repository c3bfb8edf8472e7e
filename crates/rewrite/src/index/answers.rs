//! Whether an index answers as a scan does: it is asked for values that sampled rows have, and what
//! it names is compared with the rows that a scan finds.
//!
//! Vector indexes answer by nearness, and not exactly: of those it is only asked that they answer, and
//! that the rows they name exist.
//!
//! Not here: whether the files of an index are there, and whether it can be opened (`probe`).

mod question;
mod sample;
mod scalar;
mod text;
mod vector;

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::UInt64Type;
use futures::{FutureExt, TryStreamExt};
use lance::Dataset;
use lance::dataset::scanner::Scanner;
use lance_core::ROW_ID;
use lance_table::format::{Fragment, IndexMetadata};
use lancekeeper_store::failure::guarded;
use roaring::RoaringTreemap;

use super::name_of_details;
use lancekeeper_planner::optimize::BATCH_BYTES;

/// Rows whose values are looked at in one batch at most. They are of one column.
const BATCH_ROWS: usize = 8192;
/// Bytes a scan may read ahead. Lance's default is sized for query servers.
const IO_BUFFER_BYTES: u64 = 32 << 20;

/// An index that is to be asked.
#[derive(Debug)]
pub struct Asked<'a> {
    /// The table, at the version that is meant.
    pub table: &'a Dataset,
    /// The name of the index.
    pub name: &'a str,
    /// The id of its field.
    pub field: i32,
    /// All of its segments, as that version has them.
    pub segments: &'a [&'a IndexMetadata],
    /// About how many values it is asked at most.
    pub samples: usize,
    /// The fragments whose rows can be read. If it is all of them, the index is asked about all
    /// of the table, as most queries do.
    pub healthy: &'a [Fragment],
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It answers as a scan does.
    Agrees {
        /// How often it was asked; not at all if it covers no row that is still there.
        questions: u64,
    },
    /// It does not.
    Differs {
        /// How often it was asked.
        questions: u64,
        /// In words, the first question that it answers otherwise.
        why: String,
    },
    /// It was not asked, or by nothing that could have shown a mistake.
    NotAsked(String),
}

/// Asks an index.
///
/// # Errors
///
/// When the index, or a row, cannot be read.
///
/// # Cancel safety
///
/// Reads only.
pub async fn ask(asked: &Asked<'_>) -> lance::Result<Verdict> {
    if asked.healthy.is_empty() || asked.samples == 0 {
        return Ok(Verdict::NotAsked("there are no rows to ask about".to_owned()));
    }
    let Some(first) = asked.segments.first() else {
        return Ok(Verdict::NotAsked("it has no segments".to_owned()));
    };
    if asked.covers_nothing() {
        return Ok(Verdict::Agrees { questions: 0 });
    }
    let kind = name_of_details(first);
    let asking = async {
        match kind.as_str() {
            "inverted" => text::ask(asked).await,
            "vector" => vector::ask(asked).await,
            kind => scalar::ask(asked, kind).await,
        }
    };
    guarded(asked.table.uri(), asking.boxed()).await
}

impl Asked<'_> {
    /// Whether every fragment that it covers is gone. No search asks it then.
    fn covers_nothing(&self) -> bool {
        let live: BTreeSet<u64> = self.table.fragments().iter().map(|of| of.id).collect();
        self.segments.iter().all(|segment| {
            let bitmap = segment.fragment_bitmap.as_ref();
            bitmap.is_some_and(|covered| covered.iter().all(|id| !live.contains(&u64::from(id))))
        })
    }

    fn is_whole(&self) -> bool {
        self.healthy.len() == self.table.fragments().len()
    }

    /// The path of the column, quoted where that is needed.
    fn column(&self) -> lance::Result<String> {
        self.table.schema().field_path(self.field)
    }

    /// A scan of the rows that can be read.
    fn scan(&self) -> Scanner {
        let mut scan = Arc::new(self.table.clone()).scan();
        scan.batch_size(BATCH_ROWS).batch_size_bytes(BATCH_BYTES).io_buffer_size(IO_BUFFER_BYTES);
        if !self.is_whole() {
            scan.with_fragments(self.healthy.to_vec());
        }
        scan
    }
}

/// The ids of the rows that a scan yields.
async fn ids(scan: &Scanner) -> lance::Result<RoaringTreemap> {
    let mut batches = scan.try_into_stream().await?;
    let mut ids = RoaringTreemap::new();
    while let Some(batch) = batches.try_next().await? {
        ids.extend(ids_of(&batch)?);
    }
    Ok(ids)
}

fn ids_of(batch: &RecordBatch) -> lance::Result<impl Iterator<Item = u64> + use<'_>> {
    let missing = || lance::Error::internal(format!("column {ROW_ID} was not read"));
    let column = batch.column_by_name(ROW_ID).ok_or_else(missing)?;
    Ok(column.as_primitive_opt::<UInt64Type>().ok_or_else(missing)?.values().iter().copied())
}

/// In which way an answer is not what it should be; `None` if it is.
fn difference(question: &str, found: &RoaringTreemap, expected: &RoaringTreemap) -> Option<String> {
    let (missing, extra) = (expected - found, found - expected);
    let some =
        |rows: &RoaringTreemap| rows.iter().next().map(|row| format!(", such as row id {row}"));
    let mut parts = Vec::new();
    if let Some(row) = some(&missing) {
        parts.push(format!("it misses {} of {} rows{row}", missing.len(), expected.len()));
    }
    if let Some(row) = some(&extra) {
        parts.push(format!("it names {} rows that do not match{row}", extra.len()));
    }
    (!parts.is_empty()).then(|| format!("asked for {question}: {}", parts.join("; ")))
}

/// The verdict on a number of questions, by what the first wrong answer was.
fn verdict(questions: usize, wrong: Option<String>) -> Verdict {
    let questions = questions as u64;
    match wrong {
        None => Verdict::Agrees { questions },
        Some(why) => Verdict::Differs { questions, why },
    }
}
