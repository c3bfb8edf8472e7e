//! Opening a graph to recover it: what stops every other verb is what this one is for.
//!
//! Only what nobody may write to is refused: graphs of old versions, those of which a branch is of a version that nobody
//! knows or that main's does not explain, and roots that were moved, whose tables would be looked for at another place.

use chrono::{DateTime, SecondsFormat, Utc};
use lancekeeper_manifest::{BranchRemains, GraphError, Look, MigrateError};
use lancekeeper_model::{Branch, Migrated, RecoveredSidecar, TableKey};
use lancekeeper_planner::migrate::{MigrationPlan, Refusal};
use lancekeeper_queue::{LockHolder, RootIdentity, RootQueue};

use super::error::OpenRootError;
use super::hold::Hold;
use super::locks::{self, Locks};
use super::migrating::{first_write, migrate};
use super::obstacles::check_history_of;
use super::open::{look, read_root};
use super::opened::{Opening, ReadGraph, ReadRoot};
use super::recover::sweep_all;
use crate::run::Context;

/// A root that is locked to be recovered.
#[derive(Debug)]
pub(crate) struct Recovering {
    pub(crate) read: ReadRoot,
    pub(crate) queue: RootQueue,
    /// What brings branches to main's internal schema that are behind, if there are any. Clients do that when they
    /// publish to one.
    pub(crate) migration: Option<MigrationPlan>,
    /// Held as long as it is recovered.
    _hold: Hold,
}

/// Refuses a graph that nobody may write to, however it is left; returns what brings its branches along that are
/// behind main.
pub(crate) async fn check_recoverable(
    read: &ReadRoot,
    now: DateTime<Utc>,
) -> Result<Option<MigrationPlan>, OpenRootError> {
    let uri = read.root.given.clone();
    let mut migration = None;
    if let Some(graph) = &read.graph {
        let found = graph.graph.stamp();
        // Before v3 the rules are not these.
        if found.known().is_some_and(|schema| !schema.is_writable()) {
            return Err(OpenRootError::NotRecovered { uri, found: found.clone() });
        }
        migration = match behind(graph, now).await {
            Ok(behind) => behind,
            Err(source) => return Err(OpenRootError::Migrate { uri, source }),
        };
    }
    match read.spellings.elsewhere.first().cloned() {
        Some(elsewhere) => Err(OpenRootError::Moved { uri, elsewhere }),
        None => Ok(migration),
    }
}

/// What the first write to a graph does, as for every verb: of a branch, the stamp is otherwise seen first when
/// something is published to it, and then its tables are restored already.
async fn behind(
    graph: &ReadGraph,
    now: DateTime<Utc>,
) -> Result<Option<MigrationPlan>, MigrateError> {
    let facts = graph.graph.migration_facts(Look::ToWrite).await?;
    match first_write(&facts, now) {
        // That is for who recovers to say, and to mend where it can be.
        Err(Refusal::NoCommits { .. }) => Ok(None),
        plan => Ok(plan?),
    }
}

/// What a crash left that keeps no verb from writing, and that `recover` mends all the same.
///
/// # Errors
///
/// When the graph cannot be looked at.
pub(crate) async fn beside(graph: &ReadGraph) -> Result<Vec<OpenRootError>, GraphError> {
    let mut found = Vec::new();
    if graph.graph.lacks_history().await {
        return Ok(found);
    }
    let main = Branch::main();
    for branch in std::iter::once(&main).chain(&graph.branches) {
        // That of main stands in everybody's way, and is told with what does.
        if !branch.is_main()
            && let Err(damage) = check_history_of(&graph.graph, branch).await
        {
            found.push(damage);
            continue;
        }
        let publishes = graph.graph.unnamed_publishes(branch).await?;
        if !publishes.is_empty() {
            let versions: Vec<String> =
                publishes.iter().map(|publish| publish.version.to_string()).collect();
            let (branch, versions) = (branch.clone(), versions.join(", "));
            found.push(OpenRootError::CommitRows { branch, versions });
        }
    }
    for BranchRemains { branch, location, .. } in graph.graph.branch_remains().await? {
        found.push(OpenRootError::BranchRemains { branch, place: location.to_owned() });
    }
    found.extend(unread_forks(graph, &graph.branches).await?);
    Ok(found)
}

/// Forks of these branches that no branch reads, where a sidecar was moved aside of which nobody knows what it was about.
/// Without one they are what a client leaves whose write failed, and nobody's concern but cleanup's.
///
/// # Errors
///
/// When the directory of what was moved aside cannot be listed.
pub(crate) async fn unread_forks(
    graph: &ReadGraph,
    branches: &[Branch],
) -> Result<Vec<OpenRootError>, GraphError> {
    let is_any = graph.graph.holds_quarantine().await?;
    let mut found = Vec::new();
    for branch in branches.iter().filter(|_| is_any) {
        // One that cannot be read is told by itself.
        let Ok(tables) = graph.graph.unowned_forks(branch).await else { continue };
        if !tables.is_empty() {
            let tables = tables.iter().map(TableKey::as_str).collect::<Vec<_>>().join(", ");
            found.push(OpenRootError::UnreadForks { branch: branch.clone(), tables });
        }
    }
    Ok(found)
}

/// Locks a root that was opened for reading, and reads it again if others worked on it meanwhile.
/// Runs that stage without the lock are not tolerated: their tables would be restored under them.
///
/// # Cancel safety
///
/// Nothing but the lock file is written.
pub(crate) async fn lock_to_recover(
    mut read: ReadRoot,
    context: &Context,
    opening: &Opening<'_>,
) -> Result<Recovering, OpenRootError> {
    let mut migration = check_recoverable(&read, opening.now).await?;
    let queue = context.queues.root(&RootIdentity::new(read.root.identity()));
    let started = opening.now.to_rfc3339_opts(SecondsFormat::Secs, true);
    let verb = opening.purpose.verb;
    let holder = LockHolder::this_process(opening.operation.clone(), verb, &started);
    let tolerates = opening.purpose.tolerates;
    let Locks { hold, waited, .. } =
        locks::take(context, &read.root, &queue, &holder, tolerates).await?;
    if waited {
        read = read_root(look(&read.root.given).await?, &context.tables).await?;
        migration = check_recoverable(&read, opening.now).await?;
    }
    Ok(Recovering { read, queue, migration, _hold: hold })
}

impl Recovering {
    /// Brings the branches along that are behind main. Nothing is done the second time.
    ///
    /// # Cancel safety
    ///
    /// Every branch is as it was or up to date; the next write goes on.
    pub(crate) async fn migrate(
        &mut self,
        context: &Context,
        opening: &Opening<'_>,
    ) -> Result<Option<Migrated>, OpenRootError> {
        let (Some(plan), Some(graph)) = (&self.migration, &mut self.read.graph) else {
            return Ok(None);
        };
        let migrated = migrate(graph, plan, &context.tables, &self.read.root, opening).await?;
        self.migration = None;
        Ok(Some(migrated))
    }

    /// Ends our own operations that died, and looks at what there is anew.
    ///
    /// # Cancel safety
    ///
    /// As the sweep's.
    pub(crate) async fn sweep(
        &mut self,
        context: &Context,
        opening: &Opening<'_>,
        swept: &mut Vec<RecoveredSidecar>,
    ) -> Result<(), OpenRootError> {
        let Some(graph) = &mut self.read.graph else { return Ok(()) };
        sweep_all(graph, &context.tables, opening, swept).await?;
        graph.snapshot = graph.graph.snapshot(&Branch::main()).await?;
        graph.branches = graph.graph.branches().await?;
        Ok(())
    }
}
