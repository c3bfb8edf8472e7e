//! Opening a graph to recover it: what stops every other verb is what this one is for.
//!
//! Only what nobody may write to is refused: graphs of old versions, and roots that were moved, whose
//! tables would be looked for at another place.

use chrono::SecondsFormat;
use lancekeeper_manifest::{BranchRemains, GraphError, QUARANTINE_DIR};
use lancekeeper_model::{Branch, InternalSchema, RecoveredSidecar, TableKey};
use lancekeeper_queue::{LockHolder, RootIdentity, RootQueue};

use super::error::OpenRootError;
use super::hold::Hold;
use super::locks::{self, Locks};
use super::open::{look, read_root};
use super::opened::{Opening, ReadGraph, ReadRoot};
use super::recover::sweep_all;
use crate::run::Context;

/// A root that is locked to be recovered.
#[derive(Debug)]
pub(crate) struct Recovering {
    pub(crate) read: ReadRoot,
    pub(crate) queue: RootQueue,
    /// Held as long as it is recovered.
    _hold: Hold,
}

/// Refuses a graph that nobody may write to, however it is left.
pub(crate) fn check_recoverable(read: &ReadRoot) -> Result<(), OpenRootError> {
    let uri = read.root.given.clone();
    if let Some(graph) = &read.graph {
        let found = graph.graph.stamp();
        // Of others the rules are not these, or not the clients' either.
        if !found.known().is_some_and(InternalSchema::is_writable) {
            return Err(OpenRootError::NotRecovered { uri, found: found.clone() });
        }
    }
    match read.spellings.elsewhere.first().cloned() {
        Some(elsewhere) => Err(OpenRootError::Moved { uri, elsewhere }),
        None => Ok(()),
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
    found.extend(unread_forks(graph).await?);
    Ok(found)
}

/// Forks that no branch reads, where a sidecar was moved aside of which nobody knows what it was about. Without one they are
/// what a client leaves whose write failed, and nobody's concern but cleanup's.
async fn unread_forks(graph: &ReadGraph) -> Result<Vec<OpenRootError>, GraphError> {
    let aside = graph.graph.root().files().below(QUARANTINE_DIR).names(".json").await?;
    let mut found = Vec::new();
    for branch in graph.branches.iter().filter(|_| !aside.is_empty()) {
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
    check_recoverable(&read)?;
    let queue = context.queues.root(&RootIdentity::new(read.root.identity()));
    let started = opening.now.to_rfc3339_opts(SecondsFormat::Secs, true);
    let verb = opening.purpose.verb;
    let holder = LockHolder::this_process(opening.operation.clone(), verb, &started);
    let tolerates = opening.purpose.tolerates;
    let Locks { hold, waited, .. } =
        locks::take(context, &read.root, &queue, &holder, tolerates).await?;
    if waited {
        read = read_root(look(&read.root.given).await?, &context.tables).await?;
        check_recoverable(&read)?;
    }
    Ok(Recovering { read, queue, _hold: hold })
}

impl Recovering {
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
