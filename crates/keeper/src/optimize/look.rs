//! A look at one table: its facts at HEAD, what its indexes turn out to be when they are opened,
//! and the plan for both. Writes nothing.

use lance::Dataset;
use lancekeeper_model::{
    DeclaredIndex, ErrorKind, IndexKind, SkipReason, TableOptimizeStats, Version,
};
use lancekeeper_planner::index::{IndexInventory, Learned, Upkeep};
use lancekeeper_planner::optimize::{Authority, TableInventory};
use lancekeeper_planner::sweep::SweepPlan;
use lancekeeper_rewrite::check::{RowsError, same_rows};
use lancekeeper_store::LanceFailure;
use lancekeeper_store::owner::{Owner, owners_between};
use lancekeeper_store::tables::version_of;
use thiserror::Error;

use crate::optimize::arranged::{OrderError, order};
use crate::optimize::chosen;
use crate::optimize::formats;
use crate::optimize::inventory::{Wish, claim_of};
use crate::optimize::paging;
use crate::optimize::probe::probe;
use crate::optimize::report::{set_before, set_error};
use crate::optimize::table::{Facts, TableRun};
use crate::optimize::work::Work;
use crate::root::facts::view;
use crate::root::{ReadRoot, Target, is_dropped};

/// Looks at one table and plans it. A table that cannot be read gets a row with its error.
pub(crate) async fn look_at(
    read: &ReadRoot,
    target: Target,
    wish: &Wish,
    sweep: Option<&SweepPlan>,
) -> TableRun {
    look_with(read, target, wish, sweep, Learned::default()).await
}

/// As [`look_at`], with what the run has learned of the table's indexes.
async fn look_with(
    read: &ReadRoot,
    target: Target,
    wish: &Wish,
    sweep: Option<&SweepPlan>,
    learned: Learned,
) -> TableRun {
    let mut run = TableRun::of(target, wish);
    if let Some((skipped, why)) = run.target.left_alone {
        run.stats.skipped = Some(skipped);
        run.stats.reason = why.to_owned();
        return run;
    }
    let uri = read.root.address_of(&run.target.location);
    match read.tables.open(&uri, &run.target.table.branch).await {
        Ok(handle) => match plan_run(&mut run, handle, read, sweep, learned).await {
            Ok(()) => {}
            Err(LookError::Order(error)) if wish.order.is_none() && error.is_lasting() => {
                run.stats.skipped = Some(SkipReason::LayoutImpossible);
                run.stats.reason = error.to_string();
            }
            Err(error) => set_error(&mut run.stats, error.kind(), &error),
        },
        // The table is known to its authority, so a missing one is damage.
        Err(error) if error.kind() == ErrorKind::NotFound => {
            set_error(&mut run.stats, ErrorKind::Corrupt, &error);
        }
        Err(error) => set_error(&mut run.stats, error.kind(), &error),
    }
    run.excuse(read).await;
    run
}

impl TableRun {
    /// Of a table that somebody dropped meanwhile, no error is said: nothing is wrong with it.
    pub(crate) async fn excuse(&mut self, read: &ReadRoot) {
        if self.stats.error.is_some() && is_dropped(read, &self.target).await {
            self.stats = TableOptimizeStats::of(&self.target.table);
            self.stats.skipped = Some(SkipReason::NotATable);
            self.stats.reason = "dropped since the run began".to_owned();
            self.work = Work::Nothing;
        }
    }

    /// Looks at the table again, with what this run has learned of its indexes, for what is to
    /// follow the plan that was carried out; else for the same as before.
    pub(crate) async fn look_again(
        &self,
        read: &ReadRoot,
        target: Target,
        wish: &Wish,
        sweep: Option<&SweepPlan>,
    ) -> Self {
        let index = match &self.work {
            Work::Follow(then) => then.clone(),
            _ => self.wish.index.clone(),
        };
        let wish = Wish { index, ..wish.clone() };
        let learned = self.facts.as_ref().map(|facts| facts.indexes.learned.clone());
        look_with(read, target, &wish, sweep, learned.unwrap_or_default()).await
    }
}

/// A table cannot be planned.
#[derive(Debug, Error)]
enum LookError {
    #[error(transparent)]
    Lance(#[from] LanceFailure),
    #[error(transparent)]
    Order(#[from] OrderError),
}

impl LookError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Lance(error) => error.kind(),
            Self::Order(error) => error.kind(),
        }
    }
}

async fn plan_run(
    run: &mut TableRun,
    handle: Dataset,
    read: &ReadRoot,
    sweep: Option<&SweepPlan>,
    learned: Learned,
) -> Result<(), LookError> {
    let table = run.target.table.clone();
    let upkeep = if run.target.pin.is_some() { Upkeep::OneSegment } else { Upkeep::Segments };
    let seen = view(&handle, &table, upkeep).await?;
    set_before(&mut run.stats, seen.totals);
    let head = version_of(&handle);
    let (authority, ahead_is_ours) = match run.target.pin {
        None => (Authority::Head { head }, false),
        Some(pin) => (Authority::Pinned { pin, head }, ours_between(&handle, pin, head).await),
    };
    let mut indexes = IndexInventory {
        rows: run.stats.rows_before,
        existing: seen.indexes,
        declared: read.declared(&table.key).to_vec(),
        without_vectors: without_vectors(&handle, read.declared(&table.key)).await?,
        upkeep,
        with_deletions: seen.with_deletions,
        learned,
    };
    if let Some(untouchable) = seen.untouchable {
        run.stats.skipped = Some(untouchable.reason);
        run.stats.reason = untouchable.why;
        run.handle = Some(handle);
        return Ok(());
    }
    let mut seen_facts = seen.facts;
    if !chosen::narrow(run, &handle, &mut seen_facts).await? {
        run.handle = Some(handle);
        return Ok(());
    }
    paging::measure(&handle, &run.wish, &mut seen_facts).await?;
    formats::compare(&handle, &run.wish, &mut seen_facts)?;
    let inventory = TableInventory {
        facts: seen_facts,
        authority,
        sidecar: claim_of(sweep, &table),
        ahead_is_ours,
    };
    let ahead = inventory.sidecar.is_none()
        && ahead_is_ours
        && run.target.pin.is_some_and(|pin| head > pin);
    if ahead && let Some(error) = rows_differ(read, run, &handle).await? {
        set_error(&mut run.stats, error.kind(), &error);
        run.handle = Some(handle);
        return Ok(());
    }
    let data_bytes = seen.totals.sizes.data_bytes;
    let known = (seen.totals.rows, indexes.existing.as_slice());
    let order = order(read, &run.target, &handle, known, &run.wish).await?;
    let zone_maps = order.arranged.iter().flat_map(|arranged| arranged.zone_maps(&handle));
    let zone_maps: Vec<DeclaredIndex> = zone_maps.filter(|map| !is_served(map, &indexes)).collect();
    indexes.declared.extend(zone_maps);
    let fragments = &inventory.facts.fragments;
    run.stats.layout = order.arranged.as_ref().map(|arranged| arranged.stats(fragments));
    let mut facts = Facts { table: inventory, indexes, data_bytes, order };
    let mut decision = facts.decide(&run.wish);
    if !decision.is_nothing()
        && probe(&handle, &mut facts.indexes.existing, &decision.indexes).await
    {
        // A later look at other indexes has to go on saying it.
        let IndexInventory { existing, learned, .. } = &mut facts.indexes;
        let found = existing.iter().filter_map(|i| Some((i.name.clone(), i.unusable.clone()?)));
        learned.failed.extend(found);
        decision = facts.decide(&run.wish);
    }
    run.handle = Some(handle);
    run.take(facts, decision, ahead);
    Ok(())
}

/// Whether filters on a column have an index already, of which they make more than of a zone map.
fn is_served(map: &DeclaredIndex, indexes: &IndexInventory) -> bool {
    indexes.existing.iter().any(|index| {
        let is_scalar = matches!(index.kind, IndexKind::BTree | IndexKind::Other);
        index.column == map.column && is_scalar
    })
}

/// The columns of declared vector indexes that hold no vector yet.
async fn without_vectors(
    handle: &Dataset,
    declared: &[DeclaredIndex],
) -> Result<Vec<String>, LanceFailure> {
    let mut empty = Vec::new();
    for index in declared.iter().filter(|index| index.kind == IndexKind::Vector) {
        let failed = |source| {
            LanceFailure::new(format!("failed to look for vectors in {}", index.column), source)
        };
        let mut scan = handle.scan();
        scan.project::<&str>(&[]).map_err(failed)?.with_row_id();
        scan.filter(&format!("`{}` IS NOT NULL", index.column)).map_err(failed)?;
        scan.limit(Some(1), None).map_err(failed)?;
        let found = Box::pin(scan.try_into_batch()).await.map_err(failed)?;
        if found.num_rows() == 0 {
            empty.push(index.column.clone());
        }
    }
    Ok(empty)
}

/// Whether every version between pin and HEAD was committed by a keeper.
async fn ours_between(handle: &Dataset, pin: Version, head: Version) -> bool {
    let owners = owners_between(handle, pin, head).await;
    !owners.is_empty() && owners.iter().all(|owner| matches!(owner, Owner::Ours(_)))
}

/// What is wrong with versions of ours that are about to be published: maintenance keeps every
/// row, so HEAD has as many as the pin.
async fn rows_differ(
    read: &ReadRoot,
    run: &TableRun,
    head: &Dataset,
) -> Result<Option<RowsError>, LanceFailure> {
    let Some(pin) = run.target.pin else { return Ok(None) };
    let table = &run.target.table;
    let uri = read.root.address_of(&run.target.location);
    let pinned = read.tables.open_at(&uri, &table.branch, pin).await.map_err(|error| {
        LanceFailure::new(format!("failed to open {table} at its pin {pin}"), error.source)
    })?;
    Ok(same_rows(table, &pinned, head).await.err())
}
