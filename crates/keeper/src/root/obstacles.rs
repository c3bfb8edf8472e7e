//! What stands in the way of a verb that writes, looked at without writing.

use chrono::{DateTime, TimeDelta, Utc};
use lancekeeper_manifest::{FoundSidecar, Graph, Look, check_schema_files};
use lancekeeper_model::{Branch, BranchStamp, RootKind, TableRef};
use lancekeeper_planner::migrate::MigrationPlan;
use lancekeeper_planner::sweep::{SweepPlan, SweepStep, plan_sweep};
use lancekeeper_queue::{LiveRun, RootLock, live_runs};
use lancekeeper_reconciler::{SweepError, sweep};
use lancekeeper_store::{Root, Tables};

use super::error::OpenRootError;
use super::migrating;
use super::opened::{Purpose, ReadGraph, ReadRoot};
use super::outer::databases_around;

/// A foreign sidecar older than this is presumed to belong to a dead writer. A live load of
/// a real client is done in seconds; the established tools wait for nothing at all.
pub(crate) const PRESUMED_DEAD_AFTER: TimeDelta = lancekeeper_model::RecoverOptions::DEAD_AFTER;

/// What lies ahead of a verb that writes.
#[derive(Debug, Default)]
pub(crate) struct Way {
    /// What stands in its way, in the order in which a refusal names the first.
    pub(crate) obstacles: Vec<OpenRootError>,
    /// What a sweep would do now.
    pub(crate) sweep: SweepPlan,
    /// What a graph's format needs before anything else is written; `None` for nothing.
    pub(crate) migration: Option<MigrationPlan>,
    /// What the branches of a graph are stamped with, main first.
    pub(crate) stamps: Vec<BranchStamp>,
    /// Branches that cannot be read, and why. They stand in the way of nobody who works on others.
    pub(crate) unread: Vec<(Branch, String)>,
}

impl Way {
    /// What a preview has to say of what writing does besides.
    pub(crate) fn notice(&self) -> Option<String> {
        self.migration.as_ref().map(migrating::notice)
    }
}

/// Everything that forbids writing, looked at without writing.
pub(crate) async fn look_ahead(read: &ReadRoot, purpose: Purpose<'_>, now: DateTime<Utc>) -> Way {
    let Purpose { verb, selected, tolerates } = purpose;
    let uri = read.root.given.clone();
    let mut way = Way::default();
    if let Some(graph) = &read.graph {
        let facts = graph.graph.migration_facts(Look::ToWrite).await;
        if let Err(source) = facts.and_then(|facts| {
            way.stamps = migrating::stamps(&facts);
            way.unread.clone_from(&facts.unread);
            if !tolerates.migration {
                way.migration = migrating::first_write(&facts, now)?;
            }
            Ok(())
        }) {
            way.obstacles.push(OpenRootError::Migrate { uri: uri.clone(), source });
        }
    }
    if let Some(elsewhere) = read.spellings.elsewhere.first()
        && !tolerates.moved
    {
        let (uri, elsewhere) = (uri.clone(), elsewhere.clone());
        way.obstacles.push(OpenRootError::Moved { uri, elsewhere });
    }
    if !tolerates.spellings {
        way.obstacles.extend(check_one_spelling(read).err());
    }
    let Some(graph) = &read.graph else { return way };
    // A migration says itself what it needs the history for, and how to go on without.
    if !tolerates.migration {
        way.obstacles.extend(check_history(&uri, graph).await.err());
    }
    // Who makes a moved graph whole may go on beside whatever was left, and must: what recovers that refuses a graph at
    // another place. He does not even look at it: a branch whose run died may be read from a place that is gone.
    if tolerates.moved {
        return way;
    }
    // So may who migrates, who moves no pin: what recovers refuses a graph of another version.
    if tolerates.migration {
        match plan_of(graph, &read.tables).await {
            Ok(sweep) => way.sweep = sweep,
            Err(error) => way.obstacles.push(error),
        }
        return way;
    }
    way.obstacles.extend(settled(read, graph, verb).await);
    if way.migration.is_some() {
        way.obstacles.extend(check_quiet(read, graph, verb, PRESUMED_DEAD_AFTER, now).await.err());
    }
    let blocking = graph.found.iter().filter(|sidecar| match tolerates.unfinished {
        true => blocks(sidecar, selected, now),
        false => sidecar.our_operation().is_none(),
    });
    way.obstacles.extend(blocking.map(|sidecar| recovery_needed(&uri, verb, sidecar)));
    match plan_of(graph, &read.tables).await {
        Ok(sweep) => {
            way.obstacles.extend(refused(&uri, graph, &sweep, purpose));
            way.sweep = sweep;
        }
        Err(error) => way.obstacles.push(error),
    }
    way
}

/// The sidecars of runs of ours that died and about which nothing can be decided, as far as they stand in the way. As with
/// those of others whose writers are dead, only tables that they do not name may be worked on beside them, by who asks
/// for those.
pub(super) fn refused(
    uri: &str,
    graph: &ReadGraph,
    plan: &SweepPlan,
    purpose: Purpose<'_>,
) -> Vec<OpenRootError> {
    let Purpose { verb, selected, tolerates } = purpose;
    let is_selected =
        |table: &TableRef| selected.iter().any(|selected| selected == table.key.as_str());
    let names_one = |step: &SweepStep| {
        let file = graph.found.iter().find(|found| found.path() == step.file);
        file.is_some_and(|found| found.tables().iter().any(is_selected))
    };
    let refused = plan
        .refused()
        .filter(|step| !tolerates.unfinished || selected.is_empty() || names_one(step));
    refused
        .map(|step| OpenRootError::SidecarRefused {
            verb,
            uri: uri.to_owned(),
            file: step.file.clone(),
            why: step.why.clone(),
        })
        .collect()
}

/// Refuses a v3 graph without the history that a publish adds to, or with one of main that cannot be opened. That of
/// another branch stands in the way of nobody but who publishes to it ([`check_history_of`]).
async fn check_history(uri: &str, graph: &ReadGraph) -> Result<(), OpenRootError> {
    if graph.graph.lacks_history().await {
        return Err(OpenRootError::NoHistory { uri: uri.to_owned() });
    }
    check_history_of(&graph.graph, &Branch::main()).await
}

/// Refuses a branch whose commit history a publish could not be written down in: its pins would move first.
pub(crate) async fn check_history_of(graph: &Graph, branch: &Branch) -> Result<(), OpenRootError> {
    match graph.unreadable_history(branch).await {
        None => Ok(()),
        Some(source) => {
            let (uri, branch) = (graph.root().given.clone(), branch.clone());
            Err(OpenRootError::HistoryUnreadable { uri, branch, source })
        }
    }
}

/// The same for every branch that is to be published to. Main has been looked at.
pub(crate) async fn check_histories(views: &[ReadGraph]) -> Result<(), OpenRootError> {
    for view in views.iter().filter(|view| !view.snapshot.branch.is_main()) {
        check_history_of(&view.graph, &view.snapshot.branch).await?;
    }
    Ok(())
}

/// What stands in the way of a schema apply that runs or died.
async fn settled(read: &ReadRoot, graph: &ReadGraph, verb: &'static str) -> Vec<OpenRootError> {
    let mut obstacles = Vec::new();
    obstacles.extend(check_no_schema_apply(&graph.graph, verb).await.err());
    obstacles.extend(check_schema(read, graph).await.err());
    obstacles
}

/// Refuses while anything is unfinished that others began.
pub(crate) async fn check_settled(
    read: &ReadRoot,
    graph: &ReadGraph,
    verb: &'static str,
) -> Result<(), OpenRootError> {
    if let Some(obstacle) = settled(read, graph, verb).await.into_iter().next() {
        return Err(obstacle);
    }
    let found = graph.sidecars.list().await?;
    check_no_foreign_sidecar(&read.root, verb, &found)
}

/// Refuses while somebody may be writing to a graph before v3, or applying a schema: his publish would fail at v3, he
/// would write again, and a recovery would then publish what he wrote first as well.
pub(crate) async fn check_quiet(
    read: &ReadRoot,
    graph: &ReadGraph,
    verb: &'static str,
    dead_after: TimeDelta,
    now: DateTime<Utc>,
) -> Result<(), OpenRootError> {
    let is_young = |at: DateTime<Utc>| now.signed_duration_since(at) < dead_after;
    if graph.graph.schema_apply_lock().await?.is_some_and(|lock| is_young(lock.created_at)) {
        return Err(OpenRootError::SchemaApply { verb });
    }
    let found = graph.sidecars.list().await?;
    let living = found.iter().filter(|found| found.our_operation().is_none()).find_map(|found| {
        let content = found.content.as_ref().ok()?;
        let started = content.started_at.parse().ok().and_then(DateTime::from_timestamp_micros);
        started.is_none_or(is_young).then(|| (found.path(), content.writer_kind.clone()))
    });
    match living {
        None => Ok(()),
        Some((file, writer_kind)) => {
            let uri = read.root.given.clone();
            Err(OpenRootError::Living { verb, uri, file, writer_kind })
        }
    }
}

/// Refuses if anything forbids writing; returns what lies ahead.
pub(crate) async fn check_writable(
    read: &ReadRoot,
    purpose: Purpose<'_>,
    now: DateTime<Utc>,
) -> Result<Way, OpenRootError> {
    let mut way = look_ahead(read, purpose, now).await;
    match way.obstacles.is_empty() {
        true => Ok(way),
        false => Err(way.obstacles.swap_remove(0)),
    }
}

/// The obstacle that another keeper is at work on a root, or on a database it lies in, or has a run under
/// way there that gave the lock back while it stages. It refuses
/// nothing by itself: the other keeper may be gone when the lock is tried. A lock file that may not
/// be read is no obstacle, because whoever only looks needs no lock.
pub(crate) async fn at_work(root: &Root) -> Option<OpenRootError> {
    let root = root.clone();
    let holder = move || {
        let outer =
            if root.kind == RootKind::Table { databases_around(&root.directory) } else { vec![] };
        let mut places = std::iter::once(root.directory).chain(outer);
        places.find_map(|place| {
            let holder = RootLock::holder(&place).ok().flatten();
            let live = || live_runs(&place).ok()?.first().map(LiveRun::refusal);
            holder.or_else(live)
        })
    };
    tokio::task::spawn_blocking(holder).await.ok().flatten().map(OpenRootError::from)
}

async fn check_schema(read: &ReadRoot, graph: &ReadGraph) -> Result<(), OpenRootError> {
    Ok(check_schema_files(&read.root.files(), !graph.branches.is_empty()).await?)
}

/// Refuses while a schema apply runs.
pub(crate) async fn check_no_schema_apply(
    graph: &Graph,
    verb: &'static str,
) -> Result<(), OpenRootError> {
    if graph.schema_apply_in_progress().await? {
        return Err(OpenRootError::SchemaApply { verb });
    }
    Ok(())
}

/// Refuses a root whose branches spell it in several ways.
fn check_one_spelling(read: &ReadRoot) -> Result<(), OpenRootError> {
    if read.spellings.here.len() < 2 {
        return Ok(());
    }
    let spellings: Vec<&str> = read.spellings.here.iter().map(String::as_str).collect();
    Err(OpenRootError::Spellings { uri: read.root.given.clone(), spellings: spellings.join(", ") })
}

/// Refuses while any other writer's operation is unfinished: what it needs is not known.
pub(crate) fn check_no_foreign_sidecar(
    root: &Root,
    verb: &'static str,
    found: &[FoundSidecar],
) -> Result<(), OpenRootError> {
    match found.iter().find(|sidecar| sidecar.our_operation().is_none()) {
        Some(sidecar) => Err(recovery_needed(&root.given, verb, sidecar)),
        None => Ok(()),
    }
}

/// Whether a sidecar blocks a run: a foreign one whose writer is presumed dead does, unless
/// only tables it does not name are asked for. A live writer's blocks only its own tables.
fn blocks(sidecar: &FoundSidecar, selected: &[String], now: DateTime<Utc>) -> bool {
    if sidecar.our_operation().is_some() {
        return false;
    }
    let Ok(content) = &sidecar.content else {
        // The sweep says what is wrong with it, and stops.
        return false;
    };
    let started = content.started_at.parse().ok().and_then(DateTime::from_timestamp_micros);
    let is_dead = started.is_none_or(|started| now - started > PRESUMED_DEAD_AFTER);
    let named = |table: &String| content.tables.iter().any(|t| t.table_key == *table);
    is_dead && (selected.is_empty() || selected.iter().any(named))
}

pub(crate) fn recovery_needed(
    uri: &str,
    verb: &'static str,
    sidecar: &FoundSidecar,
) -> OpenRootError {
    let tables: Vec<String> = sidecar.tables().iter().map(ToString::to_string).collect();
    OpenRootError::RecoveryNeeded {
        verb,
        uri: uri.to_owned(),
        file: sidecar.path(),
        writer_kind: sidecar
            .content
            .as_ref()
            .map_or_else(|_| "operation".to_owned(), |content| content.writer_kind.clone()),
        tables: tables.join(", "),
    }
}

/// Decides about sidecars that are not ours to sweep, without writing: an unreadable one
/// stops the run before the lock.
pub(super) async fn plan_of(
    graph: &ReadGraph,
    tables: &Tables,
) -> Result<SweepPlan, OpenRootError> {
    let inventory = sweep::inventory(&graph.graph, tables, &graph.found).await?;
    let plan = plan_sweep(&inventory);
    if let Some(stop) = plan.stops().next() {
        return Err(SweepError::Stopped { file: stop.file.clone(), why: stop.why.clone() }.into());
    }
    Ok(plan)
}
