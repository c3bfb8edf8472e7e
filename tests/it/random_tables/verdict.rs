//! What must hold after each verb. What was wrong before a run (Lance has faults of its own) is not
//! the run's.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use chrono::TimeDelta;
use lance::index::DatasetIndexExt;
use lance_table::format::Fragment;
use lancekeeper::{
    CleanupOptions, CleanupPolicyOptions, IndexMode, Keeper, Layout, NoProgress, OptimizeOptions,
    OptimizeReport, TableOptimizeStats,
};
use lancekeeper_model::{PruneOptions, SkipReason};
use lancekeeper_testkit::table_rows;

use super::questions::{KINDS, ask, questions};
use super::steps::Order;
use super::world::{Chain, World};
use crate::fixtures::tree;

/// Old versions that are read again after a run, besides the newest, per chain.
const READ_AGAIN: usize = 6;

/// What the newest versions answer wrongly: the question, in words.
type Wrong = BTreeSet<String>;

/// Every index of every newest version against a scan.
async fn wrong_answers(world: &mut World) -> Result<Wrong> {
    let mut wrong = Wrong::new();
    let mut asked = 0;
    for chain in world.chains.clone() {
        let head = world.open(&chain).await?;
        let names: BTreeSet<String> =
            head.load_indices().await?.iter().map(|index| index.name.clone()).collect();
        for (column, kind) in KINDS {
            let name = format!("{column} {kind}");
            if !names.contains(&name) {
                continue;
            }
            for question in questions(column, kind) {
                let what = format!("{chain:?}, {name}: {question:?}");
                asked += 1;
                match (ask(&head, &question, true).await, ask(&head, &question, false).await) {
                    (Ok(by_index), Ok(by_scan)) if by_index == by_scan => {}
                    (Ok(_), Err(error)) => {
                        world.log.push(format!("  a scan cannot answer {what}: {error:#}"));
                    }
                    _ => drop(wrong.insert(what)),
                }
            }
        }
    }
    world.count("questions", asked);
    Ok(wrong)
}

/// What every chain's newest version and every tag reads.
async fn check_readers(world: &World) -> Result<()> {
    for (chain, branch_rows) in newest(world) {
        let head = world.open(chain).await?;
        let rows = table_rows(&head).await.with_context(|| format!("{chain:?} cannot be read"))?;
        ensure!(
            rows == *branch_rows,
            "{chain:?} reads {} rows, not {}",
            rows.len(),
            branch_rows.len()
        );
        head.validate().await.with_context(|| format!("{chain:?}"))?;
    }
    for ((table, tag), at) in &world.tags {
        let table = world.open(&(table.clone(), None)).await?;
        let tagged = table.checkout_version(tag.as_str()).await;
        let rows = table_rows(&tagged.with_context(|| format!("tag {tag}"))?).await;
        ensure!(
            rows.with_context(|| format!("tag {tag}"))? == world.written[at],
            "tag {tag} reads other rows"
        );
    }
    for file in world.unknown() {
        ensure!(file.exists(), "{} is gone, which nobody knows", file.display());
    }
    Ok(())
}

/// The rows of each chain's newest version that was written down.
fn newest(world: &World) -> BTreeMap<&Chain, &Vec<String>> {
    // In order of versions, so the last one wins.
    world.written.iter().map(|((chain, _), rows)| (chain, rows)).collect()
}

/// Old versions that exist read what they read; those that do not may all go by `may_go`.
async fn check_versions(world: &World, may_go: impl Fn(&Chain, u64) -> bool) -> Result<u64> {
    let mut gone = 0;
    for chain in &world.chains {
        let exist: BTreeSet<u64> = world.versions(chain).await?.into_iter().collect();
        let written = world.written.iter().filter(|((of, _), _)| of == chain);
        let (there, missing): (Vec<_>, Vec<_>) = written.partition(|((_, v), _)| exist.contains(v));
        for ((_, version), _) in missing {
            ensure!(may_go(chain, *version), "version {version} of {chain:?} is gone");
            gone += 1;
        }
        let step = there.len().div_ceil(READ_AGAIN).max(1);
        let head = world.open(chain).await?;
        for ((_, version), rows) in there.iter().rev().step_by(step) {
            let at = head.checkout_version((chain.1.as_deref(), Some(*version))).await;
            let read = table_rows(&at?).await;
            let read = read.with_context(|| format!("version {version} of {chain:?}"))?;
            ensure!(read == **rows, "version {version} of {chain:?} reads other rows");
        }
    }
    Ok(gone)
}

/// Runs an optimize, and judges it.
pub(super) async fn optimize(
    world: &mut World,
    index: IndexMode,
    prunes: bool,
    order: Order,
) -> Result<()> {
    let wrong_before = wrong_answers(world).await?;
    let no_window = PruneOptions { no_other_writers: true, ..PruneOptions::default() };
    let options = OptimizeOptions {
        index,
        prune: prunes.then_some(no_window),
        layout: layout(world, order).await?,
        full: order.full,
        target_rows: if order.is_small { 16 } else { OptimizeOptions::TARGET_ROWS },
        ..OptimizeOptions::default()
    };
    world.count("layouts", u64::from(options.layout.is_some()));
    let report = run(world, &options).await?;
    world.count("optimize", 1);
    let held = held_versions(world, 1).await?;
    check_readers(world).await.context("after optimize")?;
    let may_go = |chain: &Chain, version| prunes && !held.contains(&(chain.clone(), version));
    let gone = check_versions(world, may_go).await.context("after optimize")?;
    world.count("versions removed", gone);
    forget_missing(world).await?;
    let wrong: Vec<_> = wrong_answers(world).await?.difference(&wrong_before).cloned().collect();
    ensure!(wrong.is_empty(), "after optimize an index differs from a scan: {wrong:#?}");
    if index != IndexMode::Keep {
        check_covered(world, &report).await?;
    }
    if !order.is_small {
        check_merged(world, &report, index).await?;
    }
    // A second prune may take what the first one left to readers of the moment, so it is left out.
    check_idle(world, &OptimizeOptions { index: calm(index), prune: None, ..options }).await?;
    for chain in world.chains.clone() {
        world.write_down(&chain).await?;
    }
    Ok(())
}

/// The layout that is asked for, if every table has its columns.
async fn layout(world: &World, order: Order) -> Result<Option<Layout>> {
    let Some(layout) = order.layout.map(str::parse::<Layout>).transpose()? else { return Ok(None) };
    for chain in world.chains.iter().filter(|(_, branch)| branch.is_none()) {
        let head = world.open(chain).await?;
        if layout.columns().iter().any(|column| head.schema().field(column).is_none()) {
            return Ok(None);
        }
    }
    Ok(Some(layout))
}

/// Training anew has always something to do; folding in afterwards has nothing.
fn calm(index: IndexMode) -> IndexMode {
    if index == IndexMode::Rebuild { IndexMode::Refresh } else { index }
}

/// A run in which nothing failed and nothing was refused.
async fn run(world: &World, options: &OptimizeOptions) -> Result<OptimizeReport> {
    let report = Keeper::new().optimize(&[world.uri("")], options, Arc::new(NoProgress)).await;
    for root in &report.roots {
        ensure!(root.error.is_none(), "optimize fails: {:?}", root.error);
        for table in &root.tables {
            let key = &table.table_key;
            ensure!(table.error.is_none(), "{key} fails: {:?}", table.error);
            // A clone whose fragments all lie in the table it was made of has none to rewrite.
            ensure!(
                table.skipped.is_none_or(|token| token == SkipReason::FilesInBase)
                    || is_left_for_its_layout(table),
                "{key} is left: {:?}, {}",
                table.skipped,
                table.reason
            );
            ensure!(table.rows_before == table.rows_after, "{key} has other rows: {table:#?}");
        }
    }
    ensure!(report.exit_code().number() == 0, "{report:#?}");
    Ok(report)
}

/// Whether a table is left because a column of its layout was dropped.
fn is_left_for_its_layout(row: &TableOptimizeStats) -> bool {
    row.skipped == Some(SkipReason::LayoutImpossible) && row.reason.contains("there is no column")
}

fn row_of<'r>(report: &'r OptimizeReport, chain: &Chain) -> Option<&'r TableOptimizeStats> {
    let tables = &report.roots[0].tables;
    tables.iter().find(|row| format!("{}.lance", row.table_key) == chain.0)
}

/// Every index of main covers every row, or the report says why it does not.
async fn check_covered(world: &World, report: &OptimizeReport) -> Result<()> {
    for chain in world.chains.iter().filter(|(_, branch)| branch.is_none()) {
        let row = row_of(report, chain).with_context(|| format!("no row of {chain:?}"))?;
        if is_left_for_its_layout(row) {
            continue;
        }
        let pending = serde_json::to_string(&row.pending_indexes)?;
        let head = world.open(chain).await?;
        let mut covered: BTreeMap<String, BTreeSet<u64>> = BTreeMap::new();
        for index in head.load_indices().await?.iter() {
            let fragments = index.fragment_bitmap.iter().flatten().map(u64::from);
            covered.entry(index.name.clone()).or_default().extend(fragments);
        }
        for (name, covered) in covered.iter().filter(|(name, _)| !name.starts_with("__")) {
            let column = name.split(' ').next().unwrap_or_default();
            let is_said = pending.contains(&format!("\"{name}\""))
                || pending.contains(&format!("\"{column}\""));
            let bare: Vec<_> = head
                .fragments()
                .iter()
                .filter(|f| !covered.contains(&f.id))
                .map(|f| f.id)
                .collect();
            ensure!(
                bare.is_empty() || is_said,
                "{chain:?}: {name} does not cover fragments {bare:?}, and nobody says so: {pending}"
            );
        }
    }
    Ok(())
}

/// The tables are small: main is one fragment afterwards, where indexes do not keep it apart. What a
/// clone reads of the table it was made of stays there and does not count.
async fn check_merged(world: &World, report: &OptimizeReport, index: IndexMode) -> Result<()> {
    for chain in world.chains.iter().filter(|(_, branch)| branch.is_none()) {
        if row_of(report, chain).is_some_and(is_left_for_its_layout) {
            continue;
        }
        let head = world.open(chain).await?;
        let is_own = |f: &&Fragment| f.files.iter().all(|file| file.base_id.is_none());
        let fragments = head.fragments().iter().filter(is_own).count();
        let is_apart = index == IndexMode::Keep && !head.load_indices().await?.is_empty();
        let said = row_of(report, chain).map(|row| (&row.reason, &row.pending_indexes));
        ensure!(
            fragments <= 1 || is_apart,
            "{chain:?} has {fragments} fragments of its own: {said:?}"
        );
    }
    Ok(())
}

/// A second run writes nothing.
async fn check_idle(world: &mut World, options: &OptimizeOptions) -> Result<()> {
    let before = tree(&world.uri(""));
    let report = run(world, options).await.context("the second run")?;
    let after: BTreeSet<_> = tree(&world.uri("")).into_iter().collect();
    let new: Vec<_> = after.difference(&before.into_iter().collect()).cloned().collect();
    let said: Vec<_> = report.roots[0].tables.iter().map(|row| &row.reason).collect();
    ensure!(new.is_empty(), "the second run is not idle: {new:?}, {said:?}");
    Ok(())
}

/// Versions that a cleanup which keeps so many must leave.
async fn held_versions(world: &World, keep: usize) -> Result<BTreeSet<(Chain, u64)>> {
    let mut held = world.held.clone();
    for chain in &world.chains {
        let versions = world.versions(chain).await?;
        held.extend(versions.iter().rev().take(keep).map(|version| (chain.clone(), *version)));
    }
    Ok(held)
}

/// What does not exist any more is not asked for again.
async fn forget_missing(world: &mut World) -> Result<()> {
    for chain in world.chains.clone() {
        let exist = world.versions(&chain).await?;
        world.written.retain(|(of, version), _| *of != chain || exist.contains(version));
        if let Some(newest) = exist.last()
            && !world.written.contains_key(&(chain.clone(), *newest))
        {
            world.write_down(&chain).await?;
        }
    }
    Ok(())
}

/// Runs a cleanup, and judges it.
pub(super) async fn cleanup(world: &mut World, keep: u8, is_strict: bool) -> Result<()> {
    let wrong_before = wrong_answers(world).await?;
    let held = held_versions(world, usize::from(keep)).await?;
    let mut options = CleanupOptions {
        policy: CleanupPolicyOptions { keep_versions: Some(keep.into()), older_than: None },
        writer_window: TimeDelta::zero(),
        ..CleanupOptions::default()
    };
    if is_strict {
        options.min_age = TimeDelta::zero();
        options.min_fork_age = TimeDelta::zero();
        options.max_delete_percent = 100;
    }
    // What only versions of a clone read that go in the same run is held until the next one.
    let tables: BTreeSet<&String> = world.chains.iter().map(|(table, _)| table).collect();
    for _ in 0..tables.len() {
        let report = Keeper::new().cleanup(&[world.uri("")], &options).await;
        ensure!(report.exit_code().number() == 0, "cleanup fails: {report:#?}");
        let failures = &report.roots[0].reconciled.failures;
        ensure!(failures.is_empty(), "cleanup fails: {failures:?}");
    }
    world.count("cleanup", 1);
    check_readers(world).await.context("after cleanup")?;
    let may_go = |chain: &Chain, version| !held.contains(&(chain.clone(), version));
    let gone = check_versions(world, may_go).await.context("after cleanup")?;
    world.count("versions removed", gone);
    forget_missing(world).await?;
    let wrong: Vec<_> = wrong_answers(world).await?.difference(&wrong_before).cloned().collect();
    ensure!(wrong.is_empty(), "after cleanup an index differs from a scan: {wrong:#?}");
    for file in std::mem::take(&mut world.litter) {
        ensure!(
            file.exists() != is_strict,
            "{} is {}",
            file.display(),
            if is_strict { "left" } else { "gone" }
        );
        world.litter.extend((!is_strict).then_some(file));
    }
    if is_strict {
        check_nothing_is_left(world).await?;
    }
    let again = Keeper::new().cleanup(&[world.uri("")], &options).await;
    ensure!(again.totals.files_removed == 0, "a second cleanup finds more: {again:#?}");
    Ok(())
}

/// After the strictest cleanup every data file and index segment is some version's.
async fn check_nothing_is_left(world: &World) -> Result<()> {
    let mut explained = BTreeSet::from(["kept.md".to_owned()]);
    for chain in &world.chains {
        let head = world.open(chain).await?;
        for version in world.versions(chain).await? {
            let at = head.checkout_version((chain.1.as_deref(), Some(version))).await?;
            let files = at.fragments().iter().flat_map(|fragment| &fragment.files);
            explained.extend(files.map(|file| file.path.clone()));
            explained.extend(at.load_indices().await?.iter().map(|index| index.uuid.to_string()));
        }
    }
    let left: Vec<_> = world.stored()?.difference(&explained).cloned().collect();
    ensure!(left.is_empty(), "nothing refers to {left:?}");
    Ok(())
}
