//! Which fragments a caller's predicate chooses: those of which every live row matches. Whether a predicate
//! can be asked of a table at all is found out before anything is written; how many rows match is counted at
//! each look, fragment by fragment, in the columns that it names.
//!
//! Not here: what a fragment that is not chosen means for the plan (`planner::optimize`).

use futures::{FutureExt, StreamExt};
use lance::Dataset;
use lance::dataset::scanner::Scanner;
use lancekeeper_model::{
    ChosenFragments, ErrorKind, OptimizeOptions, SkipReason, TableFacts, TableRef,
};
use lancekeeper_store::LanceFailure;
use lancekeeper_store::failure::{full_text, guarded, kind_of};
use thiserror::Error;

use crate::optimize::table::TableRun;
use crate::root::{ReadRoot, Target, branch_views, targets};
use crate::run::concurrency::in_order;
use crate::run::ended::{Ended, EndsRoot};

/// Fragments of a table that are counted at the same time.
const COUNTS_AT_ONCE: usize = 2;

/// Bytes of one batch that is counted, and of what is read ahead: rows may be a megabyte wide.
const BATCH_BYTES: u64 = 8 << 20;
const READ_AHEAD_BYTES: u64 = 32 << 20;

/// A predicate cannot be asked of a table that was named, or of any table of the root.
#[derive(Debug, Error)]
#[error("the predicate {predicate:?} cannot be asked of table {table}")]
pub(crate) struct PredicateError {
    predicate: String,
    table: TableRef,
    #[source]
    why: lance::Error,
}

impl EndsRoot for PredicateError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Invalid
    }
}

/// Checks the predicate against the tables that a run over this root would be about.
///
/// # Errors
///
/// As [`check`], and when the tables cannot be found out.
pub(super) async fn check_root(read: &ReadRoot, options: &OptimizeOptions) -> Result<(), Ended> {
    if options.predicate.is_none() {
        return Ok(());
    }
    let mut asked = Vec::new();
    match &read.graph {
        None => asked.extend(targets(read, None, options).await?),
        Some(graph) => {
            for view in branch_views(graph, &options.branches).await? {
                asked.extend(targets(read, Some(&view), options).await?);
            }
        }
    }
    Ok(check(read, &asked, options).await?)
}

/// Checks the predicate against these tables.
///
/// # Errors
///
/// When it cannot be asked of one of them and tables were named, or when it can be asked of none. Else those
/// of which it cannot be asked are skipped, each with the reason.
async fn check(
    read: &ReadRoot,
    targets: &[Target],
    options: &OptimizeOptions,
) -> Result<(), PredicateError> {
    let Some(predicate) = &options.predicate else { return Ok(()) };
    let are_named = !options.selected().is_empty();
    let (mut fits_one, mut refusal) = (false, None);
    for target in targets.iter().filter(|target| target.left_alone.is_none()) {
        let uri = read.root.address_of(&target.location);
        // What cannot be opened gets a row that says why.
        let Ok(table) = read.tables.open(&uri, &target.table.branch).await else { continue };
        match fits(&table, predicate).await {
            Ok(()) => fits_one = true,
            Err(why) => {
                let (predicate, table) = (predicate.clone(), target.table.clone());
                let error = PredicateError { predicate, table, why };
                if are_named {
                    return Err(error);
                }
                refusal.get_or_insert(error);
            }
        }
    }
    match refusal {
        Some(refusal) if !fits_one => Err(refusal),
        _ => Ok(()),
    }
}

/// Whether a predicate can be asked of a table. Nothing of its data is read.
async fn fits(table: &Dataset, predicate: &str) -> lance::Result<()> {
    let scan = scan(table, predicate)?;
    // Names and types are looked up here.
    scan.get_expr_filter()?;
    match guarded(table.uri(), scan.create_plan().boxed()).await {
        Err(error) if kind_of(&error) == ErrorKind::Invalid => Err(error),
        // Whatever else is wrong with the table is said where it is looked at.
        _ => Ok(()),
    }
}

/// Takes note of which fragments the run's predicate chooses. Returns whether the table is worked on at all: one
/// of which it cannot be asked is skipped.
///
/// # Errors
///
/// When the columns cannot be read.
pub(super) async fn narrow(
    run: &mut TableRun,
    table: &Dataset,
    facts: &mut TableFacts,
) -> Result<bool, LanceFailure> {
    let Some(predicate) = run.wish.predicate.clone() else { return Ok(true) };
    if let Err(why) = fits(table, &predicate).await {
        run.stats.skipped = Some(SkipReason::PredicateUnfit);
        run.stats.reason = full_text(&why);
        return Ok(false);
    }
    let predicate = &predicate;
    let counts = facts.fragments.iter().map(|fragment| {
        let (id, live) = (fragment.id, fragment.live_rows());
        async move { if live == 0 { Ok(0) } else { matching(table, id, predicate).await } }.boxed()
    });
    let mut counts = in_order(counts.collect(), COUNTS_AT_ONCE);
    let mut chosen = ChosenFragments::default();
    for fragment in &facts.fragments {
        let Some(count) = counts.next().await else { break };
        let count = count.map_err(|source| {
            let what = format!("failed to ask the predicate of fragment {}", fragment.id);
            LanceFailure::new(format!("{what} of {}", facts.table), source)
        })?;
        // One without live rows is whole: nobody sees a row of it that does not match.
        if count == fragment.live_rows() {
            chosen.whole += 1;
            continue;
        }
        facts.unchosen.insert(fragment.id);
        if count == 0 {
            chosen.none += 1;
        } else {
            chosen.partial.push(fragment.id);
        }
    }
    run.stats.chosen = Some(chosen);
    Ok(true)
}

/// Live rows of a fragment that match; what is null does not.
async fn matching(table: &Dataset, fragment: u64, predicate: &str) -> lance::Result<u64> {
    let mut scan = scan(table, predicate)?;
    let found = table.fragments().iter().find(|found| found.id == fragment).cloned();
    let found = found.ok_or_else(|| {
        lance::Error::invalid_input(format!("there is no fragment {fragment} any more"))
    })?;
    scan.with_fragments(vec![found]);
    guarded(table.uri(), scan.count_rows()).await
}

/// A scan for the rows that match. Without indexes: one may lag behind what it covers.
fn scan(table: &Dataset, predicate: &str) -> lance::Result<Scanner> {
    let mut scan = table.scan();
    scan.filter(predicate)?.project::<&str>(&[])?.with_row_id();
    scan.use_scalar_index(false).batch_size_bytes(BATCH_BYTES).io_buffer_size(READ_AHEAD_BYTES);
    Ok(scan)
}
