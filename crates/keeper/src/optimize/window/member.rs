//! A window and the tables in it: what was staged for each, how far it came, and what is left to
//! clear up and to report. The steps themselves are in `window`.

use lance::Dataset;
use lancekeeper_manifest::SidecarError;
use lancekeeper_model::{ErrorKind, SkipReason, TableRef, Version};
use lancekeeper_planner::index::IndexWish;
use lancekeeper_rewrite::CommitFailure;
use lancekeeper_rewrite::check::RowsError;
use lancekeeper_store::failpoint::Injected;
use lancekeeper_store::{FilesError, LanceFailure, OpenError};
use thiserror::Error;

use crate::layouts::KeptLayout;
use crate::optimize::Run;
use crate::optimize::arranged::{Arranged, Remember};
use crate::optimize::notes::{Journaled, JournaledIndexes, give_up};
use crate::optimize::report::set_error;
use crate::optimize::stage::StagedTable;
use crate::optimize::table::TableRun;
use crate::optimize::work::{Carried, Committed};
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
    Layout(#[from] FilesError),
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
            Self::Layout(error) => error.kind(),
            Self::Injected(_) => ErrorKind::Internal,
            Self::Behind { .. } => ErrorKind::Corrupt,
            Self::LostToRecovery { .. } => ErrorKind::Conflict,
        }
    }
}

/// One table in a window.
pub(crate) struct Member<'t> {
    pub(super) table: &'t mut TableRun,
    /// The handle its groups were staged with.
    pub(super) staged_at: Dataset,
    pub(super) groups: Vec<Journaled>,
    pub(super) indexes: Option<JournaledIndexes>,
    /// What is to follow once all of it is carried out.
    then: Option<IndexWish>,
    /// The order of the table's rows, if one is kept up.
    pub(super) arranged: Option<Arranged>,
    /// What is to be remembered of it from now on, if that changes.
    remember: Option<Remember>,
    /// Versions of ours lie between pin and HEAD and are to be published as they are.
    pub(super) adopt: bool,
    /// Set by the re-check: HEAD, standing at the pin.
    pub(super) head: Option<Dataset>,
    pub(super) expected: Version,
    pub(super) sidecar: Option<String>,
    /// The version of ours to publish.
    pub(super) moved: Option<Dataset>,
    /// Whether `moved` holds all the work, not only what led up to it.
    pub(super) rewritten: bool,
    /// Groups given up because writers changed what they replace.
    pub(super) dropped: Vec<Journaled>,
    pub(super) dropped_indexes: Option<JournaledIndexes>,
    pub(super) dropped_why: Vec<String>,
    pub(super) published: bool,
    /// Whether recovery, not this run, has to find out what became of the table.
    pub(super) left_open: bool,
    pub(super) skipped: Option<(SkipReason, Version, Version)>,
    pub(super) error: Option<MemberError>,
}

impl<'t> Member<'t> {
    /// A table whose plan is staged, or of which versions of ours are to be published (`adopt`).
    pub(crate) fn new(
        table: &'t mut TableRun,
        staged_at: Dataset,
        staged: StagedTable,
        adopt: bool,
    ) -> Self {
        let arranged = table.facts.as_ref().and_then(|facts| facts.order.arranged.clone());
        Self {
            expected: table.target.pin.unwrap_or_default(),
            table,
            staged_at,
            groups: staged.groups,
            indexes: staged.indexes,
            then: staged.then,
            arranged,
            remember: staged.remember,
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

    /// The table and where it lies.
    pub(super) fn target(&self) -> &Target {
        &self.table.target
    }

    /// Gives up everything that was staged.
    pub(super) fn drop_all(&mut self, why: &str) {
        self.dropped.append(&mut self.groups);
        self.dropped_indexes = self.indexes.take().or_else(|| self.dropped_indexes.take());
        self.dropped_why.push(why.to_owned());
    }

    /// Has the root remember the table's layout from now on, or none. No version of the table says so.
    ///
    /// # Errors
    ///
    /// When it cannot be written down; then nothing has been committed.
    ///
    /// # Cancel safety
    ///
    /// It is remembered or not.
    pub(super) async fn remember(&mut self, run: &Run<'_>) -> Result<(), FilesError> {
        let Some(remember) = self.remember.take() else { return Ok(()) };
        let kept = KeptLayout::of(&run.write.read.root.files(), self.target());
        match (&remember, &self.arranged) {
            (Remember::Nothing, _) => kept.forget().await,
            (Remember::Layout(_), Some(arranged)) => kept.write(&arranged.state).await,
            (Remember::Layout(_), None) => Ok(()),
        }
    }

    /// Clears up after the window and decides what is next for the table.
    ///
    /// # Cancel safety
    ///
    /// What is not deleted stays named in the journal; the next run deletes it.
    pub(crate) async fn finish(mut self, run: &Run<'_>) {
        if !self.left_open {
            self.clear_up(run).await;
        }
        let stats = &mut self.table.stats;
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
        let groups = if self.rewritten { &self.groups[..] } else { &[] };
        let (mut fragments_removed, mut fragments_added) = (0, 0);
        for Journaled { group, .. } in groups {
            fragments_removed += group.source.len() as u64;
            fragments_added += group.new_fragments.len() as u64;
        }
        let head = self.moved.filter(|_| self.published);
        let from = self.expected;
        let carried = Carried {
            arranged: self.arranged,
            committed: head.map(|head| Committed {
                from,
                head,
                fragments_removed,
                fragments_added,
            }),
            is_whole: self.rewritten || self.adopt,
            dropped: self.dropped_why,
            // Graphs keep what Lance would leave behind out of their plans.
            lost: Vec::new(),
            then: self.then,
            is_left_open: self.left_open,
        };
        self.table.conclude(carried).await;
    }

    /// Deletes what was staged in vain and forgets what was committed.
    async fn clear_up(&mut self, run: &Run<'_>) {
        // Rewritten but not published (lost to recovery), HEAD refers to the files all the same:
        // they are no longer ours to delete.
        if self.rewritten {
            let mut entries: Vec<String> = self.groups.iter().map(|g| g.entry.clone()).collect();
            entries.extend(self.indexes.iter().map(|indexes| indexes.entry.clone()));
            if let Err(error) = run.write.journal.forget(&entries).await {
                tracing::warn!(target: "lancekeeper::optimize", %error, "journal entries stay until the next run");
            }
        } else {
            self.dropped.append(&mut self.groups);
            self.dropped_indexes = self.dropped_indexes.take().or(self.indexes.take());
        }
        if let Some(indexes) = &self.dropped_indexes {
            // The CreateIndex may have been committed and only the Rewrite refused: what a
            // version refers to stays.
            let (tables, root) = (&run.context.tables, &run.write.read.root);
            if let Err(error) = run.write.journal.settle(tables, root, &indexes.entry).await {
                tracing::warn!(target: "lancekeeper::optimize", %error, "staged index files stay until the next run");
            }
        }
        for journaled in &self.dropped {
            give_up(run, &self.staged_at, &journaled.group.files, Some(&journaled.entry)).await;
        }
    }
}
