//! Which verb crosses each failpoint, and what there must be for it to do so.
//!
//! Only names; what is made of them is in `needs`, `small`, `elsewhere`, `migrations` and `database`.

/// What there is for a run to do. It is made while no client is at work, and once the run stands at its failpoint
/// they work on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Needs {
    /// Rows that were loaded since the last run.
    Loads,
    /// A run of ours that died with its tables committed.
    DeadRun,
    /// The configuration by which old clients let old versions go.
    AutoCleanup,
    /// Files that no version refers to which anybody reads.
    Litter,
    /// A fork that no branch reads.
    Fork,
    /// That the branch is not there.
    NoBranch,
    /// A branch with a fork.
    Branch,
    /// A table that is ahead of its pin, for no reason.
    Drift,
    /// A load that was killed with one of its two tables committed.
    KilledLoad,
    /// A file among the sidecars that nobody understands.
    Garbage,
    /// A publish of v3 whose row is not in the history.
    MissingRow,
    /// A copy of the graph at another place.
    Copy,
    /// A graph of v3, which clients write to.
    V3,
    /// A small graph a type of which was dropped.
    DroppedType,
    /// A small graph whose schema apply was killed with everything staged.
    StagedSchema,
    /// The same, with half of it staged.
    HalfStagedSchema,
    /// The same, with nothing but its lock.
    SchemaLock,
    /// A table of a database whose manifests have names of the old kind.
    OldNames,
}

/// Failpoints that are crossed by one verb, given one thing to do.
pub(super) struct Group {
    pub(super) needs: Needs,
    pub(super) verb: &'static str,
    pub(super) options: &'static [&'static str],
    pub(super) failpoints: &'static [&'static str],
    /// Only graphs of v3 have what is crossed there.
    pub(super) only_v3: bool,
}

impl Group {
    const fn of(
        needs: Needs,
        verb: &'static str,
        options: &'static [&'static str],
        failpoints: &'static [&'static str],
    ) -> Self {
        Self { needs, verb, options, failpoints, only_v3: false }
    }

    const fn of_v3(self) -> Self {
        Self { only_v3: true, ..self }
    }
}

/// A branch that is made and deleted.
pub(super) const BRANCH: &str = "kills";
pub(super) const CREATE: &[&str] = &["create", BRANCH, "--uri"];
pub(super) const DELETE: &[&str] = &["delete", BRANCH, "--confirm", "--uri"];
/// A file that is no sidecar.
pub(super) const GARBAGE: &str = "01ARZ3NDEKTSV4RRFFQ69G5FAW.json";

const ALL: &[&str] = &["--all-branches"];
/// Nobody is at work when such a run begins.
pub(super) const STRICT: &[&str] = &[
    "--keep",
    "1",
    "--writer-window",
    "0s",
    "--min-fork-age",
    "0s",
    "--min-age",
    "0s",
    "--max-delete-percent",
    "100",
    "--confirm",
];
/// So slow that others are let in between deletions.
const SLOWLY: &[&str] = &[
    "--keep",
    "1",
    "--writer-window",
    "0s",
    "--min-fork-age",
    "0s",
    "--min-age",
    "0s",
    "--max-delete-percent",
    "100",
    "--delete-rate",
    "50",
    "--confirm",
];
const RECOVER: &[&str] = &["--assume-dead", "all", "--confirm"];
const TAKE_BACK: &[&str] = &["--confirm", "--restore-pin", "--assume-dead"];

/// Every failpoint of the catalogue, once.
pub(super) const GROUPS: &[Group] = &[
    Group::of(
        Needs::Loads,
        "optimize",
        ALL,
        &[
            "optimize.after_stage_group",
            "optimize.staged_pre_enter",
            "optimize.entered_pre_recheck",
            "optimize.rechecked_pre_arm",
            "optimize.armed_pre_commit",
            "optimize.indexed_pre_reserve",
            "optimize.reserved_pre_rewrite",
            "optimize.rewritten_pre_next",
            "optimize.post_phase_b_pre_manifest_commit",
            "optimize.published_pre_disarm",
            "optimize.disarmed_pre_journal",
            "recovery.sidecar_write",
            "recovery.sidecar_delete",
            "recovery.sidecar_list",
        ],
    ),
    Group::of(Needs::Loads, "optimize", ALL, &["graph_publish.before_commit_append"]).of_v3(),
    Group::of(Needs::AutoCleanup, "optimize", ALL, &["optimize.stripped_pre_reserve"]),
    Group::of(
        Needs::DeadRun,
        "optimize",
        ALL,
        &["sweep.pre_publish", "sweep.published_pre_disarm"],
    ),
    Group::of(
        Needs::Litter,
        "cleanup",
        STRICT,
        &[
            "cleanup.resolve_branch_snapshot",
            "cleanup.table_gc",
            "cleanup.listed_pre_delete",
            "cleanup.manifests_deleted_pre_files",
            "cleanup.deleted_pre_mark",
        ],
    ),
    Group::of(Needs::Litter, "cleanup", SLOWLY, &["cleanup.between_turns"]),
    Group::of(Needs::Fork, "cleanup", STRICT, &["cleanup.reconcile_fork"]),
    Group::of(Needs::DroppedType, "cleanup", STRICT, &["cleanup.emptied_pre_delete"]),
    Group::of(Needs::NoBranch, "branch", CREATE, &["branch_create.after_commit_branch"]).of_v3(),
    Group::of(
        Needs::Branch,
        "branch",
        DELETE,
        &["branch_delete.flipped_pre_look", "branch_delete.before_table_cleanup"],
    ),
    Group::of(Needs::Branch, "branch", DELETE, &["branch_delete.before_commit_graph_reclaim"])
        .of_v3(),
    Group::of(
        Needs::Drift,
        "repair",
        TAKE_BACK,
        &["repair.tagged_pre_restore", "repair.settled_pre_publish", "repair.published_pre_look"],
    ),
    Group::of(
        Needs::Copy,
        "repair",
        &["--relocate", "--confirm"],
        &["relocate.kept_pre_replace", "relocate.changed_pre_rows"],
    ),
    Group::of(
        Needs::Garbage,
        "recover",
        &["--assume-dead", "all", "--quarantine", GARBAGE, "--confirm"],
        &["recover.pre_quarantine"],
    ),
    Group::of(
        Needs::KilledLoad,
        "recover",
        RECOVER,
        &[
            "recover.judged_pre_action",
            "recover.pre_restore",
            "recover.restored_pre_publish",
            "recover.published_pre_schema",
            "recovery.record_audit",
            "recover.recorded_pre_disarm",
        ],
    ),
    Group::of(Needs::StagedSchema, "recover", RECOVER, &["recover.promoting"]),
    Group::of(Needs::HalfStagedSchema, "recover", RECOVER, &["recover.unstaging"]),
    Group::of(Needs::SchemaLock, "recover", RECOVER, &["recover.pre_unlock"]),
    Group::of(Needs::MissingRow, "recover", RECOVER, &["recover.pre_commit_row"]).of_v3(),
    Group::of(Needs::V3, "migrate", &["--to", "4", "--confirm"], &["migrate.before_step"]).of_v3(),
    Group::of(
        Needs::OldNames,
        "migrate",
        &["--manifest-paths", "v2", "--assume-alone", "--confirm"],
        &["migrate.between_names"],
    ),
];

/// Those that runs over a database cross.
pub(super) const OF_DATABASES: &[&str] = &[
    "optimize.after_stage_group",
    "optimize.staged_pre_enter",
    "optimize.entered_pre_recheck",
    "optimize.indexed_pre_reserve",
    "optimize.reserved_pre_rewrite",
    "cleanup.table_gc",
    "cleanup.listed_pre_delete",
    "cleanup.between_turns",
    "cleanup.manifests_deleted_pre_files",
    "cleanup.deleted_pre_mark",
    "migrate.between_names",
];

/// A failpoint, and what crosses it.
#[derive(Clone, Copy)]
pub(super) struct Case {
    pub(super) failpoint: &'static str,
    pub(super) group: &'static Group,
}

/// One for each failpoint.
pub(super) fn cases() -> impl Iterator<Item = Case> {
    let of = |group: &'static Group| {
        group.failpoints.iter().map(move |failpoint| Case { failpoint, group })
    };
    GROUPS.iter().flat_map(of)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn every_failpoint_of_the_catalogue_is_given_to_one_verb() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let mut catalogue = super::super::super::failpoints::names(root).unwrap();
        let mut given: Vec<_> = cases().map(|case| case.failpoint.to_owned()).collect();
        catalogue.sort();
        given.sort();
        assert_eq!(given, catalogue);
        assert!(OF_DATABASES.iter().all(|name| given.contains(&(*name).to_owned())));
    }
}
