//! Staging the groups of one table, with the journal kept.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::{FutureExt, StreamExt};
use lance::Dataset;
use lancekeeper_model::{BudgetLimit, ErrorKind, ProgressEvent, RewriteCheck, WorkLeft};
use lancekeeper_planner::index::{IndexWish, IndexWork};
use lancekeeper_planner::optimize::Group;
use lancekeeper_queue::Stage;
use lancekeeper_rewrite::blobs;
use lancekeeper_rewrite::content::{self, Reading};
use lancekeeper_rewrite::index::{
    BTreeForm, IndexFailure, SegmentNames, makes_addresses, stage_indexes,
};
use lancekeeper_rewrite::journal::{ToNote, discard};
use lancekeeper_rewrite::stage::{RowOrder, Sorting, stage_group};
use lancekeeper_rewrite::{JournalError, StageError, StagedGroup, held_by_writer};
use lancekeeper_store::LanceFailure;
use lancekeeper_store::failpoint::{self, Injected};
use lancekeeper_store::tables::version_of;
use thiserror::Error;

use crate::optimize::Run;
use crate::optimize::arranged::Remember;
use crate::optimize::cut::left_of;
use crate::optimize::job::advance;
use crate::optimize::notes::{Journaled, JournaledIndexes, give_up, note, only_files};
use crate::optimize::table::TableRun;
use crate::optimize::work::{Planned, Work};
use crate::root::Target;
use crate::run::concurrency::in_order;
use crate::run::jobs::Job;

/// Groups of one table rewritten at the same time. Each rewrite is parallel in itself.
const GROUPS_AT_ONCE: usize = 2;

/// Everything staged for one table.
#[derive(Debug, Default)]
pub(crate) struct StagedTable {
    pub(crate) groups: Vec<Journaled>,
    pub(crate) indexes: Option<JournaledIndexes>,
    /// What was not begun because the time is over.
    pub(crate) left: WorkLeft,
    /// What is to follow once it is carried out.
    pub(crate) then: Option<IndexWish>,
    /// What the table has to remember of its layout from now on, if that changes.
    pub(crate) remember: Option<Remember>,
}

impl StagedTable {
    /// Whether there is nothing to commit.
    pub(crate) fn is_nothing(&self) -> bool {
        self.groups.is_empty() && self.indexes.is_none() && self.remember.is_none()
    }
}

/// A table could not be staged.
#[derive(Debug, Error)]
pub(crate) enum StageTableError {
    #[error(transparent)]
    Stage(#[from] StageError),
    #[error(transparent)]
    Lance(#[from] LanceFailure),
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Injected(#[from] Injected),
}

impl StageTableError {
    pub(crate) fn kind(&self) -> ErrorKind {
        match self {
            Self::Stage(error) => error.kind(),
            Self::Lance(error) => error.kind(),
            Self::Journal(error) => error.kind(),
            Self::Injected(_) => ErrorKind::Internal,
        }
    }
}

/// What these tables are staged at, for whoever works on the root meanwhile.
pub(super) fn stages_of(tables: &[TableRun]) -> Vec<Stage> {
    let of_table = |table: &TableRun| {
        let (target, version) = (&table.target, version_of(table.handle.as_ref()?));
        let (location, branch) = (target.location.clone(), target.table.branch.clone());
        Some(Stage { location, branch, version })
    };
    tables.iter().filter(|table| table.is_ready()).filter_map(of_table).collect()
}

/// Stages the index segments of a plan, then its groups, each unless the time is over, and takes
/// the plan from the table. Groups are planned around indexes that cannot be built. On an error
/// the table's staged files are deleted again.
///
/// # Cancel safety
///
/// Nothing is visible; the journal names what was finished.
pub(crate) async fn stage_table(
    run: &Run<'_>,
    table: &mut TableRun,
) -> Result<StagedTable, StageTableError> {
    let (Work::Planned(planned), Some(handle)) =
        (std::mem::replace(&mut table.work, Work::Nothing), table.handle.clone())
    else {
        return Ok(StagedTable::default());
    };
    let Planned { rewrite, indexes: work, mut then, remember, .. } = planned;
    let job = table.job.clone();
    // Groups were planned as if the indexes covered them: without those none is begun, and the
    // first goes with them.
    let is_begun = work.is_empty() || goes_on(job.as_deref()).await && run.budget.may_begin();
    if !is_begun {
        let limit = limit_of(job.as_deref());
        let mut left = left_of(limit, &rewrite.groups);
        left.left_by = Some(limit);
        left.indexes_left = work.len() as u64;
        return Ok(StagedTable { left, ..StagedTable::default() });
    }
    let mut groups = rewrite.groups;
    let mut indexes = None;
    if !work.is_empty() {
        let (staged, failures) = stage_index_work(run, &table.target, &handle, &work).await?;
        indexes = staged;
        if !failures.is_empty() {
            (groups, then) = table.replan_without(failures, &groups);
        }
    }
    let order = order_of(&table.target, &handle, &work);
    let sorting = sorting_of(run, table);
    let (sorting, is_first_begun) = (sorting.as_ref(), !work.is_empty());
    let how = How { order, sorting, is_first_begun, job: job.as_deref() };
    match stage_groups(run, &table.target, &handle, &groups, how).await {
        Ok((groups, left)) => Ok(StagedTable { groups, indexes, left, then, remember }),
        Err(error) => {
            if let Some(staged) = indexes {
                give_up(run, &handle, &staged.indexes.files, Some(&staged.entry)).await;
            }
            Err(error)
        }
    }
}

/// How the groups of a table are staged.
#[derive(Clone, Copy)]
struct How<'a> {
    order: RowOrder,
    /// For those that get another order of rows.
    sorting: Option<&'a Sorting>,
    /// Whether the first group is begun whatever time it is.
    is_first_begun: bool,
    /// The table's job, if somebody writes jobs down.
    job: Option<&'a Job>,
}

/// Whether more of a table's job may be begun.
async fn goes_on(job: Option<&Job>) -> bool {
    match job {
        Some(job) => job.may_go_on().await,
        None => true,
    }
}

/// What left the groups that were not begun.
fn limit_of(job: Option<&Job>) -> BudgetLimit {
    match job.is_some_and(Job::is_cancelled) {
        true => BudgetLimit::Cancelled,
        false => BudgetLimit::MaxTime,
    }
}

/// How rows are sorted that are to lie in the order of the table's layout.
fn sorting_of(run: &Run<'_>, table: &TableRun) -> Option<Sorting> {
    let arranged = table.facts.as_ref()?.order.arranged.as_ref()?;
    let admission = &run.context.admission;
    let (sort_bytes, address_bytes) = (admission.sort_bytes(), admission.address_bytes());
    let arrangement = Arc::clone(&arranged.arrangement);
    Some(Sorting { arrangement, sort_bytes, address_bytes })
}

/// How B-trees are built. The clients of a graph read those over row ids; elsewhere they are
/// Lance's own.
fn form_of(target: &Target, handle: &Dataset) -> BTreeForm {
    let is_graph = target.pin.is_some() && handle.manifest().uses_stable_row_ids();
    if is_graph { BTreeForm::RowIds } else { BTreeForm::Native }
}

fn order_of(target: &Target, handle: &Dataset, work: &[IndexWork]) -> RowOrder {
    match form_of(target, handle) {
        BTreeForm::RowIds => RowOrder::RowIds,
        BTreeForm::Native => {
            RowOrder::AsListed { capture_addresses: makes_addresses(work, BTreeForm::Native) }
        }
    }
}

/// Builds index segments and notes them. Those that could not be built come back with the reason.
async fn stage_index_work(
    run: &Run<'_>,
    target: &Target,
    handle: &Dataset,
    work: &[IndexWork],
) -> Result<(Option<JournaledIndexes>, Vec<IndexFailure>), StageTableError> {
    let names = SegmentNames::choose(work);
    // Noted before anything is written: an index build leaves its files when it fails, and
    // when the run is interrupted or killed.
    let named = note(run, target, handle, only_files(names.files())).await?;
    let mut built = Vec::new();
    let mut failures = Vec::new();
    let outcome = async {
        let form = form_of(target, handle);
        let _admitted = run.context.admission.admit_index_work().await;
        let building =
            stage_indexes(handle, &target.table, work, form, &names, &mut built, &mut failures);
        let indexes = building.await?;
        if !failures.is_empty() {
            // What a failed build left under its name.
            let left = names.files().into_iter().filter(|file| !indexes.files.contains(file));
            discard(handle, &left.collect::<Vec<_>>()).await?;
        }
        if indexes.new.is_empty() {
            run.write.journal.forget(std::slice::from_ref(&named)).await?;
            return Ok(None);
        }
        if indexes.files.iter().all(|file| names.files().contains(file)) {
            return Ok(Some(JournaledIndexes { indexes, entry: named.clone() }));
        }
        // Some names were chosen by Lance: one entry for all.
        let entry = note(run, target, handle, only_files(indexes.files.clone())).await?;
        run.write.journal.forget(std::slice::from_ref(&named)).await?;
        Ok::<_, StageTableError>(Some(JournaledIndexes { indexes, entry }))
    };
    let outcome = outcome.await;
    if outcome.is_err() {
        built.extend(names.files());
        give_up(run, handle, &built, Some(&named)).await;
    }
    outcome.map(|indexes| (indexes, failures))
}

async fn stage_groups(
    run: &Run<'_>,
    target: &Target,
    handle: &Dataset,
    groups: &[Group],
    how: How<'_>,
) -> Result<(Vec<Journaled>, WorkLeft), StageTableError> {
    let stopped = AtomicBool::new(false);
    let rewrites = groups.iter().enumerate().map(|(at, group)| {
        let is_begun = how.is_first_begun && at == 0;
        let stopped = &stopped;
        let rewrite = async move {
            if stopped.load(Ordering::Relaxed) || !goes_on(how.job).await {
                return Ok(None);
            }
            // What is to be compared value by value is written by this very run.
            if !compares_content(run)
                && let Some(resumed) =
                    run.resumable.take(run, target, handle, group, how.order).await
            {
                announce(run, target, group);
                let resumed = finished(run, handle, resumed, async { Ok(()) }).await?;
                advance(how.job, group, &resumed.group);
                return Ok(Some(resumed));
            }
            if !(is_begun || run.budget.may_begin()) {
                return Ok(None);
            }
            let staged = stage_one(run, target, handle, group, how).await?;
            advance(how.job, group, &staged.group);
            Ok(Some(staged))
        };
        rewrite.boxed()
    });
    let stream = in_order(rewrites.collect(), GROUPS_AT_ONCE);
    let mut stream = stream.zip(futures::stream::iter(groups));
    let mut done = Vec::new();
    let mut left = Vec::new();
    let mut failed: Option<StageTableError> = None;
    // After a failure no rewrite is started, but every started one is waited for: its files
    // must be known to be deleted.
    while let Some((outcome, group)) = stream.next().await {
        match outcome {
            Ok(None) => left.push(group),
            Ok(Some(staged)) => done.push(staged),
            Err(error) => {
                failed.get_or_insert(error);
            }
        }
        stopped.store(failed.is_some(), Ordering::Relaxed);
    }
    match failed {
        None => Ok((done, left_of(limit_of(how.job), left))),
        Some(error) => {
            for staged in &done {
                give_up(run, handle, &staged.group.files, Some(&staged.entry)).await;
            }
            Err(error)
        }
    }
}

/// Rewrites one group, notes its files, and compares its rows if that was asked for. On an error its
/// files are deleted again.
async fn stage_one(
    run: &Run<'_>,
    target: &Target,
    handle: &Dataset,
    group: &Group,
    how: How<'_>,
) -> Result<Journaled, StageTableError> {
    let blobs = blobs::batches(handle, &target.table, group).await?;
    let recipe = blobs.map_or(group.recipe, |batch| group.recipe.in_batches(batch.rows));
    let group = &Group { recipe, ..group.clone() };
    let largest = blobs.map_or(0, |batch| batch.bytes);
    let by_writer = held_by_writer(handle, group);
    let admitted = run.context.admission.admit(group, largest, by_writer).await;
    let staged = match stage_group(handle, &target.table, group, how.order, how.sorting).await {
        Ok(staged) => staged,
        Err(error) => {
            if let StageError::Rows { files, .. } = &error {
                give_up(run, handle, files, None).await;
            }
            return Err(error.into());
        }
    };
    // The check is admitted by itself: whoever waits for more must not hold what others wait for.
    drop(admitted);
    let compares = compares_content(run);
    // A run that dies before its check must not leave a group that the next one would commit as it
    // is: what is noted then are files only.
    let to_resume = staged.to_note(group, how.order).filter(|_| !compares);
    let noted = ToNote { files: staged.files.clone(), group: to_resume };
    let entry = match note(run, target, handle, noted).await {
        Ok(entry) => entry,
        Err(error) => {
            give_up(run, handle, &staged.files, None).await;
            return Err(error.into());
        }
    };
    let compared = async {
        if compares { compare_content(run, target, handle, group, &staged).await } else { Ok(()) }
    };
    let journaled = Journaled { group: staged.clone(), entry };
    let journaled = finished(run, handle, journaled, compared).await?;
    announce(run, target, group);
    Ok(journaled)
}

/// A group that is written and noted, if nothing is wrong with it; else its files are deleted.
async fn finished(
    run: &Run<'_>,
    handle: &Dataset,
    staged: Journaled,
    compared: impl Future<Output = Result<(), StageError>>,
) -> Result<Journaled, StageTableError> {
    let judged = async {
        failpoint::cross_async(failpoint::OPTIMIZE_AFTER_STAGE_GROUP).await?;
        Ok::<_, StageTableError>(compared.await?)
    };
    match judged.await {
        Ok(()) => Ok(staged),
        Err(error) => {
            give_up(run, handle, &staged.group.files, Some(&staged.entry)).await;
            Err(error)
        }
    }
}

fn compares_content(run: &Run<'_>) -> bool {
    run.options.verify == RewriteCheck::Content
}

/// Reads what was rewritten and what came of it once more, and compares the rows.
async fn compare_content(
    run: &Run<'_>,
    target: &Target,
    handle: &Dataset,
    group: &Group,
    staged: &StagedGroup,
) -> Result<(), StageError> {
    let reading = Reading::of(handle, &target.table, group).await?;
    let _admitted = run.context.admission.admit(&reading.group, reading.largest_batch, 0).await;
    content::check(handle, &target.table, &reading, staged).await
}

fn announce(run: &Run<'_>, target: &Target, group: &Group) {
    let event = ProgressEvent::GroupStaged { table: target.table.clone(), bytes: group.bytes };
    run.progress.on_event(event);
}
