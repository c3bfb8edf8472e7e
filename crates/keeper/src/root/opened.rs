//! A root that was opened: for reading, and for writing. Opens nothing itself.

use chrono::{DateTime, Utc};
use lancekeeper_manifest::{Catalog, FoundSidecar, Graph, Sidecars};
use lancekeeper_model::{
    Branch, DeclaredIndex, OperationId, Progress, QueueHolds, Recovery, Snapshot, TableKey,
};
use lancekeeper_planner::sweep::SweepPlan;
use lancekeeper_queue::{HoldTimes, RootQueue};
use lancekeeper_rewrite::{Finished, Journal};
use lancekeeper_store::members::Members;
use lancekeeper_store::spelling::Spellings;
use lancekeeper_store::{Root, Tables};

use super::hold::Hold;

/// A root opened for reading.
#[derive(Debug)]
pub(crate) struct ReadRoot {
    pub(crate) root: Root,
    pub(crate) tables: Tables,
    /// Graphs only.
    pub(crate) graph: Option<ReadGraph>,
    /// Where its branches point, as far as asked.
    pub(crate) spellings: Spellings,
    /// The tables of a database, or the one table; none of a graph.
    pub(crate) members: Members,
}

/// The graph part of a root opened for reading, as one of its branches sees it.
#[derive(Debug, Clone)]
pub(crate) struct ReadGraph {
    pub(crate) graph: Graph,
    pub(crate) sidecars: Sidecars,
    pub(crate) found: Vec<FoundSidecar>,
    pub(crate) snapshot: Snapshot,
    pub(crate) branches: Vec<Branch>,
    pub(crate) catalog: Catalog,
}

impl ReadGraph {
    /// Whether the branch that it is seen from is one of these public branches besides main.
    pub(crate) fn is_among(&self, branches: &[Branch]) -> bool {
        self.snapshot.branch.is_main() || branches.contains(&self.snapshot.branch)
    }
}

impl ReadRoot {
    /// The indexes a table declares; none outside graphs.
    pub(crate) fn declared(&self, table: &TableKey) -> &[DeclaredIndex] {
        self.graph.as_ref().map_or(&[], |graph| graph.catalog.declared(table))
    }
}

/// A root that may be written: locked, swept.
#[derive(Debug)]
pub(crate) struct WriteRoot {
    pub(crate) read: ReadRoot,
    pub(crate) queue: RootQueue,
    /// How long keys taken by `queue` were held.
    pub(crate) hold_times: HoldTimes,
    pub(crate) journal: Journal,
    pub(crate) sweep: SweepPlan,
    /// Groups that runs finished and did not live to commit, for a verb that rewrites.
    pub(crate) finished: Vec<Finished>,
    /// Runs of others that are under way over it.
    pub(crate) live: Vec<OperationId>,
    /// What opening recovered of runs that died.
    pub(crate) recovery: Recovery,
    /// What opening found and left alone.
    pub(crate) warnings: Vec<String>,
    /// Its locks. The root's own is held as long as the root is worked on, but while a run stages.
    pub(crate) hold: Hold,
}

impl WriteRoot {
    /// The same, with what keys are held for counted there from now on.
    pub(crate) fn timed(mut self, times: HoldTimes) -> Self {
        self.queue = self.queue.timed(times.clone());
        self.hold_times = times;
        self
    }

    /// How long keys were held so far; also for whoever reads logs.
    pub(crate) fn queue_holds(&self, operation: &OperationId) -> QueueHolds {
        let holds = self.hold_times.holds();
        let QueueHolds { count, p50_ms, p99_ms, p999_ms, max_ms } = holds;
        tracing::info!(target: "lancekeeper::queue", operation_id = %operation, count, p50_ms, p99_ms, p999_ms, max_ms, "held the keys of tables");
        holds
    }
}

/// What a root is to be written for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Purpose<'a> {
    pub(crate) verb: &'static str,
    /// The tables asked for by name; empty for all.
    pub(crate) selected: &'a [String],
    pub(crate) tolerates: Tolerance,
}

/// What a verb that writes puts up with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tolerance {
    /// Branches that spell the place of the root in several ways. Lance would take them for
    /// strangers, and what they read for nobody's.
    pub(crate) spellings: bool,
    /// Unfinished operations of others over tables that are not touched, or that may still go on.
    /// What those need is not known.
    pub(crate) unfinished: bool,
    /// Runs of other keepers that are under way and have given the lock back while they stage. Who
    /// tolerates them leaves alone what they need ([`super::running`]).
    pub(crate) runs: bool,
    /// That it was moved, and its branches read from the old place. Only who mends that may write there.
    pub(crate) moved: bool,
    /// A graph of any internal schema version, and a migration of it that is not finished.
    pub(crate) migration: bool,
}

impl Tolerance {
    /// Verbs that write new files beside the old ones tolerate both. They are what is under way: two at
    /// once would do the same work twice.
    pub(crate) const REWRITES: Self =
        Self { spellings: true, unfinished: true, runs: false, moved: false, migration: false };
    /// Verbs that create or delete a branch look for unfinished operations about it themselves.
    pub(crate) const BRANCHES: Self =
        Self { spellings: false, unfinished: true, runs: true, moved: false, migration: false };
    /// Verbs that delete what cannot be made again tolerate nothing of which it is not known what it needs.
    pub(crate) const DELETES: Self =
        Self { spellings: false, unfinished: false, runs: true, moved: false, migration: false };
    /// The verb that migrates takes a graph as it is, and looks itself at what others left: some of it is recovered
    /// before, by the rules of the old version, some only afterwards. It deletes nothing that has a spelling.
    pub(crate) const MIGRATES: Self =
        Self { spellings: true, unfinished: false, runs: false, moved: false, migration: true };
}

/// Who opens a root for writing, and what for.
pub(crate) struct Opening<'a> {
    pub(crate) purpose: Purpose<'a>,
    pub(crate) operation: &'a OperationId,
    pub(crate) now: DateTime<Utc>,
    /// Hears of every pin that recovery moves, also when opening fails after that.
    pub(crate) observer: &'a dyn Progress,
}
