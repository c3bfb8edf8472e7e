//! The catalogue of failpoints: one name per arrow of every protocol, so that tests can stop
//! or kill a run exactly there.
//!
//! Without the feature `failpoints` every call here is an empty function. Names are used
//! only through these constants; `cargo xtask tidy` checks that each is crossed by code and
//! named by a test.

#[cfg(feature = "failpoints")]
mod environment;

use thiserror::Error;

/// After a group was rewritten into staged files, before the next one.
pub const OPTIMIZE_AFTER_STAGE_GROUP: &str = "optimize.after_stage_group";
/// Everything staged, no lock taken yet.
pub const OPTIMIZE_STAGED_PRE_ENTER: &str = "optimize.staged_pre_enter";
/// Queue keys held, before the re-check.
pub const OPTIMIZE_ENTERED_PRE_RECHECK: &str = "optimize.entered_pre_recheck";
/// Re-checked, before the first sidecar.
pub const OPTIMIZE_RECHECKED_PRE_ARM: &str = "optimize.rechecked_pre_arm";
/// A table's sidecar written, before its first commit.
pub const OPTIMIZE_ARMED_PRE_COMMIT: &str = "optimize.armed_pre_commit";
/// A table's auto-cleanup configuration removed, before the next commit.
pub const OPTIMIZE_STRIPPED_PRE_RESERVE: &str = "optimize.stripped_pre_reserve";
/// New index segments committed, before the reservation.
pub const OPTIMIZE_INDEXED_PRE_RESERVE: &str = "optimize.indexed_pre_reserve";
/// Fragment ids reserved, before the Rewrite.
pub const OPTIMIZE_RESERVED_PRE_REWRITE: &str = "optimize.reserved_pre_rewrite";
/// One table's Rewrite committed, before the next table.
pub const OPTIMIZE_REWRITTEN_PRE_NEXT: &str = "optimize.rewritten_pre_next";
/// All tables of the window committed, before the publish. The established name.
pub const OPTIMIZE_POST_PHASE_B: &str = "optimize.post_phase_b_pre_manifest_commit";
/// `__manifest` published, before the commit row of a v3 graph.
pub const PUBLISH_BEFORE_COMMIT_ROW: &str = "graph_publish.before_commit_append";
/// Published, before the sidecars are deleted.
pub const OPTIMIZE_PUBLISHED_PRE_DISARM: &str = "optimize.published_pre_disarm";
/// Disarmed, before the journal is removed.
pub const OPTIMIZE_DISARMED_PRE_JOURNAL: &str = "optimize.disarmed_pre_journal";
/// At the start of writing a sidecar. The established name.
pub const RECOVERY_SIDECAR_WRITE: &str = "recovery.sidecar_write";
/// At the start of deleting a sidecar. The established name.
pub const RECOVERY_SIDECAR_DELETE: &str = "recovery.sidecar_delete";
/// At the start of listing sidecars. The established name.
pub const RECOVERY_SIDECAR_LIST: &str = "recovery.sidecar_list";
/// In the sweep, before it publishes.
pub const SWEEP_PRE_PUBLISH: &str = "sweep.pre_publish";
/// In the sweep, after it published and before it deletes the sidecar.
pub const SWEEP_PUBLISHED_PRE_DISARM: &str = "sweep.published_pre_disarm";
/// In cleanup, before a branch of the graph is read. The established name.
pub const CLEANUP_RESOLVE_BRANCH: &str = "cleanup.resolve_branch_snapshot";
/// In cleanup, keys held and floors read again, before a table's list is written. The
/// established name.
pub const CLEANUP_TABLE_GC: &str = "cleanup.table_gc";
/// In cleanup, before an orphaned fork's branch file is deleted. The established name.
pub const CLEANUP_RECONCILE_FORK: &str = "cleanup.reconcile_fork";
/// In cleanup, a version without rows committed to a dropped table, before its list is written.
pub const CLEANUP_EMPTIED_PRE_DELETE: &str = "cleanup.emptied_pre_delete";
/// In cleanup, the list written, before its first deletion.
pub const CLEANUP_LISTED_PRE_DELETE: &str = "cleanup.listed_pre_delete";
/// In cleanup, others were let in between deletions and the keys are held again, before the next
/// look.
pub const CLEANUP_BETWEEN_TURNS: &str = "cleanup.between_turns";
/// In cleanup, manifests deleted, before what they referred to.
pub const CLEANUP_MANIFESTS_PRE_FILES: &str = "cleanup.manifests_deleted_pre_files";
/// In cleanup, everything on the list deleted, before the list.
pub const CLEANUP_DELETED_PRE_MARK: &str = "cleanup.deleted_pre_mark";
/// In the creation of a branch of a v3 graph, its branch of the commit history made, before
/// the branch itself.
pub const BRANCH_CREATE_AFTER_COMMIT_BRANCH: &str = "branch_create.after_commit_branch";
/// In the deletion of a branch, its branch file gone, before the branches are looked at again.
pub const BRANCH_DELETE_FLIPPED_PRE_LOOK: &str = "branch_delete.flipped_pre_look";
/// In the deletion of a branch, the branch gone, before what it had of the commit history. The
/// established name.
pub const BRANCH_DELETE_BEFORE_COMMITS: &str = "branch_delete.before_commit_graph_reclaim";
/// In the deletion of a branch, before the next of its forks. The established name.
pub const BRANCH_DELETE_BEFORE_TABLE: &str = "branch_delete.before_table_cleanup";
/// In repair, what is taken back has its tag, before the pinned version is committed on top of it.
pub const REPAIR_TAGGED_PRE_RESTORE: &str = "repair.tagged_pre_restore";
/// In repair, everything of a branch is where it is to be published, before the publish.
pub const REPAIR_SETTLED_PRE_PUBLISH: &str = "repair.settled_pre_publish";
/// In repair, a branch published, before it is looked at again.
pub const REPAIR_PUBLISHED_PRE_LOOK: &str = "repair.published_pre_look";
/// In a relocation, the original of a manifest lies aside, before the manifest is replaced.
pub const RELOCATE_KEPT_PRE_REPLACE: &str = "relocate.kept_pre_replace";
/// In a relocation, manifests changed, before the rows that name them.
pub const RELOCATE_CHANGED_PRE_ROWS: &str = "relocate.changed_pre_rows";

/// In recovery, before a file that is no sidecar is moved aside.
pub const RECOVER_PRE_QUARANTINE: &str = "recover.pre_quarantine";
/// In recovery of another writer's operation, its sidecar looked at and judged, before anything is
/// done about it.
pub const RECOVER_JUDGED_PRE_ACTION: &str = "recover.judged_pre_action";
/// In recovery, before the next table is restored.
pub const RECOVER_PRE_RESTORE: &str = "recover.pre_restore";
/// In recovery, every table restored, before they are published.
pub const RECOVER_RESTORED_PRE_PUBLISH: &str = "recover.restored_pre_publish";
/// In recovery, published, before staged schema files are taken over or deleted.
pub const RECOVER_PUBLISHED_PRE_SCHEMA: &str = "recover.published_pre_schema";
/// In recovery, after a staged schema file was renamed.
pub const RECOVER_PROMOTING: &str = "recover.promoting";
/// In recovery, after a staged schema file was deleted.
pub const RECOVER_UNSTAGING: &str = "recover.unstaging";
/// In recovery, before what it did is written down. The established name.
pub const RECOVERY_RECORD_AUDIT: &str = "recovery.record_audit";
/// In recovery, written down, before the sidecar is deleted.
pub const RECOVER_RECORDED_PRE_DISARM: &str = "recover.recorded_pre_disarm";
/// In recovery, before the branch is taken away that a schema apply left.
pub const RECOVER_PRE_UNLOCK: &str = "recover.pre_unlock";
/// In recovery of a v3 graph, before the next missing row of its commit history.
pub const RECOVER_PRE_COMMIT_ROW: &str = "recover.pre_commit_row";
/// In a migration of a graph, before the next step of its plan: between every two commits of it.
pub const MIGRATE_BEFORE_STEP: &str = "migrate.before_step";
/// In a migration of tables, one manifest has its new name, before the next one gets it.
pub const MIGRATE_BETWEEN_NAMES: &str = "migrate.between_names";

/// Every failpoint there is.
pub const ALL: &[&str] = &[
    OPTIMIZE_AFTER_STAGE_GROUP,
    OPTIMIZE_STAGED_PRE_ENTER,
    OPTIMIZE_ENTERED_PRE_RECHECK,
    OPTIMIZE_RECHECKED_PRE_ARM,
    OPTIMIZE_ARMED_PRE_COMMIT,
    OPTIMIZE_STRIPPED_PRE_RESERVE,
    OPTIMIZE_INDEXED_PRE_RESERVE,
    OPTIMIZE_RESERVED_PRE_REWRITE,
    OPTIMIZE_REWRITTEN_PRE_NEXT,
    OPTIMIZE_POST_PHASE_B,
    PUBLISH_BEFORE_COMMIT_ROW,
    OPTIMIZE_PUBLISHED_PRE_DISARM,
    OPTIMIZE_DISARMED_PRE_JOURNAL,
    RECOVERY_SIDECAR_WRITE,
    RECOVERY_SIDECAR_DELETE,
    RECOVERY_SIDECAR_LIST,
    SWEEP_PRE_PUBLISH,
    SWEEP_PUBLISHED_PRE_DISARM,
    CLEANUP_RESOLVE_BRANCH,
    CLEANUP_TABLE_GC,
    CLEANUP_RECONCILE_FORK,
    CLEANUP_EMPTIED_PRE_DELETE,
    CLEANUP_LISTED_PRE_DELETE,
    CLEANUP_BETWEEN_TURNS,
    CLEANUP_MANIFESTS_PRE_FILES,
    CLEANUP_DELETED_PRE_MARK,
    BRANCH_CREATE_AFTER_COMMIT_BRANCH,
    BRANCH_DELETE_FLIPPED_PRE_LOOK,
    BRANCH_DELETE_BEFORE_COMMITS,
    BRANCH_DELETE_BEFORE_TABLE,
    REPAIR_TAGGED_PRE_RESTORE,
    REPAIR_SETTLED_PRE_PUBLISH,
    REPAIR_PUBLISHED_PRE_LOOK,
    RELOCATE_KEPT_PRE_REPLACE,
    RELOCATE_CHANGED_PRE_ROWS,
    RECOVER_PRE_QUARANTINE,
    RECOVER_JUDGED_PRE_ACTION,
    RECOVER_PRE_RESTORE,
    RECOVER_RESTORED_PRE_PUBLISH,
    RECOVER_PUBLISHED_PRE_SCHEMA,
    RECOVER_PROMOTING,
    RECOVER_UNSTAGING,
    RECOVERY_RECORD_AUDIT,
    RECOVER_RECORDED_PRE_DISARM,
    RECOVER_PRE_UNLOCK,
    RECOVER_PRE_COMMIT_ROW,
    MIGRATE_BEFORE_STEP,
    MIGRATE_BETWEEN_NAMES,
];

/// A failpoint was told to fail. The text is the established one.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
#[error("injected failpoint triggered: {0}")]
pub struct Injected(pub &'static str);

/// Crosses a failpoint.
///
/// # Errors
///
/// [`Injected`] when a test set the failpoint to `return`.
pub fn cross(name: &'static str) -> Result<(), Injected> {
    // Without the feature the macro is empty and does not look at the name.
    let _ = name;
    #[cfg(feature = "failpoints")]
    environment::obey(name);
    fail::fail_point!(name, |_| Err(Injected(name)));
    Ok(())
}

/// Crosses a failpoint at which a test wants to pause the task without blocking its thread.
///
/// # Errors
///
/// As [`cross`].
pub async fn cross_async(name: &'static str) -> Result<(), Injected> {
    if cfg!(feature = "failpoints") {
        // `fail` sleeps and pauses by blocking: on a runtime of few threads that would stop
        // the very writers whose race with us the test wants to see.
        return tokio::task::spawn_blocking(move || cross(name))
            .await
            .unwrap_or(Err(Injected(name)));
    }
    cross(name)
}
