//! A window and the tables in it: what was staged for each, how far it came, and what is left to
//! clear up and to report. The steps themselves are in `window`.

use lance::Dataset;
use lancekeeper_manifest::SidecarError;
use lancekeeper_model::{ErrorKind, SkipReason, TableRef, Version};
use lancekeeper_planner::index::Upkeep;
use lancekeeper_rewrite::CommitFailure;
use lancekeeper_rewrite::check::RowsError;
use lancekeeper_store::failpoint::Injected;
use lancekeeper_store::{LanceFailure, OpenError};
use thiserror::Error;

use crate::optimize::Run;
use crate::optimize::report::{set_after, set_error};
use crate::optimize::stage::{Journaled, JournaledIndexes, StagedTable, give_up};
use crate::optimize::table::TableRun;
use crate::root::facts::view;
use crate::root::{ReadGraph, Target};

/// Where a window stands in its run.
pub(crate) struct Window<'a> {
    pub(crate) run: &'a Run<'a>,
    pub(crate) graph: &'a ReadGraph,
    pub(crate) round: u32,
    pub(crate) number: usize,
}

/// Why one table failed in a window.
#[derive(Debug, Error)]
pub(crate) enum MemberError {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Lance(#[from] LanceFailure),
    #[error(transparent)]
    Sidecar(#[from] SidecarError),
    #[error(transparent)]
    Commit(#[from] Box<CommitFailure>),
    #[error("{0}; it is not published")]
    Rows(#[from] RowsError),
    #[error(transparent)]
    Injected(#[from] Injected),
    #[error("{table}: HEAD {head} is behind manifest version {pin}")]
    Behind { table: TableRef, head: Version, pin: Version },
    #[error(
        "{table}: lost_to_recovery: version {current} was published meanwhile, ours was {ours}"
    )]
    LostToRecovery { table: TableRef, current: String, ours: Version },
}

impl MemberError {
    pub(crate) fn kind(&self) -> ErrorKind {
        match self {
            Self::Open(error) => error.kind(),
            Self::Lance(error) => error.kind(),
            Self::Sidecar(error) => error.kind(),
            Self::Commit(error) => error.source.kind(),
            Self::Rows(error) => error.kind(),
            Self::Injected(_) => ErrorKind::Internal,
            Self::Behind { .. } => ErrorKind::Corrupt,
            Self::LostToRecovery { .. } => ErrorKind::Conflict,
        }
    }
}

/// One table in a window.
pub(crate) struct Member {
    pub(crate) target: Target,
    /// The handle its groups were staged with.
    pub(super) staged_at: Dataset,
    pub(super) groups: Vec<Journaled>,
    pub(super) indexes: Option<JournaledIndexes>,
    /// Versions of ours lie between pin and HEAD and are to be published as they are.
    pub(super) adopt: bool,
    /// Set by the re-check: HEAD, standing at the pin.
    pub(super) head: Option<Dataset>,
    pub(crate) expected: Version,
    pub(super) sidecar: Option<String>,
    /// The version of ours to publish.
    pub(crate) moved: Option<Dataset>,
    /// Whether `moved` holds all the work, not only what led up to it.
    pub(super) rewritten: bool,
    /// Groups given up because writers changed what they replace.
    pub(super) dropped: Vec<Journaled>,
    pub(super) dropped_indexes: Option<JournaledIndexes>,
    pub(super) dropped_why: Vec<String>,
    pub(crate) published: bool,
    /// Whether recovery, not this run, has to find out what became of the table.
    pub(super) left_open: bool,
    pub(super) skipped: Option<(SkipReason, Version, Version)>,
    pub(crate) error: Option<MemberError>,
}

impl Member {
    pub(crate) fn new(target: Target, staged_at: Dataset, work: StagedTable, adopt: bool) -> Self {
        Self {
            expected: target.pin.unwrap_or_default(),
            target,
            staged_at,
            groups: work.groups,
            indexes: work.indexes,
            dropped_indexes: None,
            adopt,
            head: None,
            sidecar: None,
            moved: None,
            rewritten: false,
            dropped: Vec::new(),
            dropped_why: Vec::new(),
            published: false,
            left_open: false,
            skipped: None,
            error: None,
        }
    }

    /// Gives up everything that was staged.
    pub(super) fn drop_all(&mut self, why: &str) {
        self.dropped.append(&mut self.groups);
        self.dropped_indexes = self.indexes.take().or_else(|| self.dropped_indexes.take());
        self.dropped_why.push(why.to_owned());
    }

    /// Clears up after the window and writes the table's row.
    pub(crate) async fn finish(mut self, run: &Run<'_>, tables: &mut [TableRun]) {
        let Some(table) = tables.iter_mut().find(|t| t.target.table == self.target.table) else {
            return;
        };
        if !self.left_open {
            // Rewritten but not published (lost to recovery), HEAD refers to the files all the
            // same: they are no longer ours to delete.
            if self.rewritten {
                let mut entries: Vec<String> =
                    self.groups.iter().map(|g| g.entry.clone()).collect();
                entries.extend(self.indexes.iter().map(|indexes| indexes.entry.clone()));
                if let Err(error) = run.write.journal.forget(&entries).await {
                    tracing::warn!(target: "lancekeeper::optimize", %error, "journal entries stay until the next run");
                }
            } else {
                self.dropped.append(&mut self.groups);
                self.dropped_indexes = self.dropped_indexes.or(self.indexes.take());
            }
            if let Some(indexes) = &self.dropped_indexes {
                // The CreateIndex may have been committed and only the Rewrite refused: what
                // a version refers to stays.
                let (tables, root) = (&run.context.tables, &run.write.read.root);
                if let Err(error) = run.write.journal.settle(tables, root, &indexes.entry).await {
                    tracing::warn!(target: "lancekeeper::optimize", %error, "staged index files stay until the next run");
                }
            }
            for journaled in &self.dropped {
                give_up(run, &self.staged_at, &journaled.group.files, Some(&journaled.entry)).await;
            }
        }
        let stats = &mut table.stats;
        stats.groups_dropped += self.dropped_why.len() as u64;
        if let Some(why) = self.dropped_why.first() {
            stats.reason = format!("{}; dropped: {why}", stats.reason);
        }
        if let Some((reason, pin, head)) = self.skipped {
            stats.skipped = Some(reason);
            if reason == SkipReason::DriftNeedsRepair {
                stats.manifest_version = Some(pin);
                stats.lance_head_version = Some(head);
            }
        }
        if let Some(error) = &self.error {
            set_error(stats, error.kind(), error);
        }
        if self.published {
            stats.committed = true;
            // Versions of ours were published of a table that is not worked on otherwise.
            stats.skipped = stats.skipped.filter(|reason| !reason.is_by_choice());
            if self.rewritten {
                let groups = self.groups.iter().map(|g| &g.group);
                for group in groups {
                    stats.fragments_removed += group.source.len() as u64;
                    stats.fragments_added += group.new_fragments.len() as u64;
                }
            }
            if let Some(head) = &self.moved
                && let Ok(seen) = view(head, &self.target.table, Upkeep::default()).await
            {
                set_after(stats, seen.totals);
            }
        }
        // Only what writers spoiled is worth another round.
        let redo = !self.dropped_why.is_empty() && self.error.is_none() && !self.left_open;
        // What has to follow this Rewrite is planned on what it made.
        let goes_on = self.published && self.rewritten && !redo && table.then.is_some();
        table.is_carried_out = goes_on;
        if !redo && !goes_on {
            table.plan = None;
        }
        table.adopt = false;
    }
}

impl Member {
    /// Whether recovery, not this run, has to find out what became of the table.
    pub(crate) fn is_left_open(&self) -> bool {
        self.left_open
    }

    /// Leaves sidecar and journal for recovery.
    pub(crate) fn leave_open(&mut self) {
        self.left_open = true;
    }
}
