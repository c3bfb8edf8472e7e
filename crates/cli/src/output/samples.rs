//! Reports that tests render: each kind of root and each outcome once.

use lancekeeper_model::{
    Branch, BranchReconcileStats, BudgetLimit, CleanupReport, CountReport, ErrorKind,
    InternalStatus, KeptVersionReport, LostCommitReport, MovedPin, Obstacle, OptimizeReport,
    PendingIndex, PendingSidecar, Reclaimable, RecoveredSidecar, Recovery, RootCleanupReport,
    RootCounts, RootKind, RootOptimizeReport, RootStatus, SkipReason, StatusReport, TableBytes,
    TableCleanupStats, TableCount, TableKey, TableOptimizeStats, TableStatus, Version, WorkLeft,
};

const MIB: u64 = 1 << 20;

fn table(name: &str, before: (u64, u64, u64), after: (u64, u64, u64)) -> TableOptimizeStats {
    let moved = before != after;
    TableOptimizeStats {
        table_key: TableKey::new(name),
        branch: Branch::main(),
        fragments_removed: if moved { before.0 } else { 0 },
        fragments_added: if moved { after.0 } else { 0 },
        committed: moved,
        would_commit: false,
        skipped: None,
        manifest_version: None,
        lance_head_version: None,
        pending_indexes: Vec::new(),
        rows_before: 1_234_567,
        rows_after: 1_234_567,
        fragments_before: before.0,
        fragments_after: after.0,
        files_before: before.1,
        files_after: after.1,
        bytes_before: before.2,
        bytes_after: after.2,
        sizes_before: TableBytes { data_bytes: before.2, ..TableBytes::default() },
        sizes_after: TableBytes { data_bytes: after.2, ..TableBytes::default() },
        duration_ms: 1234,
        error: None,
        groups_dropped: 0,
        groups_redone: 0,
        left: WorkLeft::default(),
        reason: "12 fragments below 64 MiB".to_owned(),
        pruned: None,
        error_kind: None,
    }
}

fn root(kind: RootKind, tables: Vec<TableOptimizeStats>) -> RootOptimizeReport {
    RootOptimizeReport {
        uri: "/data/people".to_owned(),
        kind: Some(kind),
        error: None,
        hint: None,
        published: 0,
        recovery: Recovery::default(),
        warnings: Vec::new(),
        tables,
        error_kind: None,
    }
}

/// A graph with every outcome.
pub(crate) fn optimized() -> OptimizeReport {
    let mut person = table("node:Person", (120, 240, 321 * MIB), (2, 2, 300 * MIB));
    person.groups_redone = 1;
    let same = (1, 1, 80 << 10);
    let company = TableOptimizeStats {
        rows_before: 42,
        rows_after: 42,
        duration_ms: 3,
        reason: "one fragment".to_owned(),
        pending_indexes: vec![PendingIndex {
            column: "embedding".to_owned(),
            reason: "every value is null".to_owned(),
        }],
        ..table("node:Company", same, same)
    };
    let drifted = TableOptimizeStats {
        skipped: Some(SkipReason::DriftNeedsRepair),
        manifest_version: Some(Version(5)),
        lance_head_version: Some(Version(7)),
        reason: "HEAD is ahead of its pin and nothing explains it".to_owned(),
        ..table("edge:Knows", (12, 12, 12 * MIB), (12, 12, 12 * MIB))
    };
    let failed = TableOptimizeStats {
        error: Some(
            "failed to read data file /data/people/edges/1a2b3c4d.lance/data/0f1e2d3c-4b5a.lance: \
             No such file or directory (os error 2)"
                .to_owned(),
        ),
        error_kind: Some(ErrorKind::Corrupt),
        ..table("edge:WorksAt", (31, 62, 31 * MIB), (31, 62, 31 * MIB))
    };
    let recovered = RecoveredSidecar {
        file: "__recovery/01JABCDEFGHJKMNPQRSTVWXYZ0.json".to_owned(),
        branch: Branch::main(),
        decision: "publish node:Person from 5 to 8".to_owned(),
        why: "our versions 6 to 8 are committed and not published".to_owned(),
        moved: Some(MovedPin {
            table_key: TableKey::new("node:Person"),
            table_branch: Branch::main(),
            from: Version(5),
            to: Version(8),
        }),
    };
    let root = RootOptimizeReport {
        recovery: Recovery { sidecars: vec![recovered], staged_files_deleted: 2 },
        published: 1,
        warnings: vec!["the sidecar of operation 01JABC could not be deleted".to_owned()],
        ..root(RootKind::Graph, vec![person, company, drifted, failed])
    };
    OptimizeReport::new(false, vec![root], 4_321)
}

/// The plan for a graph.
pub(crate) fn planned() -> OptimizeReport {
    let mut person = table("node:Person", (120, 240, 321 * MIB), (2, 2, 300 * MIB));
    person.committed = false;
    person.duration_ms = 12;
    let same = (1, 1, 80 << 10);
    let mut company = table("node:Company", same, same);
    company.reason = "nothing to do: one fragment".to_owned();
    OptimizeReport::new(true, vec![root(RootKind::Graph, vec![person, company])], 25)
}

/// A database, optimized.
pub(crate) fn database() -> OptimizeReport {
    let events = table("events", (1_000, 1_000, 64 * MIB), (1, 1, 60 * MIB));
    let users = TableOptimizeStats {
        groups_dropped: 2,
        ..table("users", (14, 14, 5 * MIB), (8, 8, 5 * MIB - 1000))
    };
    OptimizeReport::new(false, vec![root(RootKind::Database, vec![events, users])], 59_960)
}

/// A database of which a budget left something: a part of one table, all of another; and a
/// table that is compact enough.
pub(crate) fn budgeted() -> OptimizeReport {
    let left = |limit, groups_left, indexes_left| WorkLeft {
        left_by: Some(limit),
        groups_left,
        fragments_left: groups_left * 6,
        bytes_left: (groups_left + indexes_left) * 15 * MIB,
        indexes_left,
    };
    let events = TableOptimizeStats {
        left: left(BudgetLimit::MaxBytes, 2, 0),
        ..table("events", (1_000, 1_000, 64 * MIB), (13, 13, 60 * MIB))
    };
    let same = (14, 14, 5 * MIB);
    let users = TableOptimizeStats {
        left: left(BudgetLimit::MaxTime, 1, 2),
        skipped: Some(SkipReason::BudgetSpent),
        reason: "merge 6 fragments into 1, refresh 2 indexes".to_owned(),
        ..table("users", same, same)
    };
    let compact = TableOptimizeStats {
        skipped: Some(SkipReason::AlreadyCompact),
        reason: "3 fragments, fewer than 10".to_owned(),
        ..table("visits", (3, 3, MIB), (3, 3, MIB))
    };
    let root = root(RootKind::Database, vec![events, users, compact]);
    OptimizeReport::new(false, vec![root], 59_960)
}

/// A graph whose publish was refused.
pub(crate) fn unpublished() -> OptimizeReport {
    let mut person = table("node:Person", (12, 24, 321 * MIB), (12, 24, 321 * MIB));
    person.skipped = Some(SkipReason::RunEnded);
    let root = RootOptimizeReport {
        error: Some("another writer published in between".to_owned()),
        error_kind: Some(ErrorKind::Conflict),
        ..root(RootKind::Graph, vec![person])
    };
    OptimizeReport::new(false, vec![root], 4_321)
}

/// A root that does not exist.
pub(crate) fn missing() -> OptimizeReport {
    let root = RootOptimizeReport {
        uri: "/nowhere".to_owned(),
        kind: None,
        error: Some("no root at /nowhere".to_owned()),
        hint: Some("a root has __manifest/, NAME.lance/ or _versions/ directly below".to_owned()),
        error_kind: Some(ErrorKind::NotFound),
        ..root(RootKind::Table, Vec::new())
    };
    OptimizeReport::new(false, vec![root], 1)
}

fn state(name: &str, fragments: u64, would: &str) -> TableStatus {
    TableStatus {
        table_key: TableKey::new(name),
        branch: Branch::main(),
        version: Version(17),
        rows: 1_234_567,
        fragments,
        files: 2 * fragments,
        small_fragments: fragments - 1,
        bytes: 321 * MIB,
        sizes: TableBytes { data_bytes: 321 * MIB, ..TableBytes::default() },
        deleted_share: 0.125,
        versions: 17,
        unindexed_rows: Some(1_200),
        drift_head: None,
        branches: Vec::new(),
        would: would.to_owned(),
        error: None,
    }
}

fn root_state(kind: RootKind, tables: Vec<TableStatus>) -> RootStatus {
    RootStatus {
        uri: "/data/people".to_owned(),
        kind: Some(kind),
        error: None,
        hint: None,
        internal_schema: None,
        manifest_version: None,
        branches: Vec::new(),
        sidecars: Vec::new(),
        moved_from: None,
        obstacles: Vec::new(),
        internal: Vec::new(),
        reclaimable: None,
        reclaimable_error: None,
        warnings: Vec::new(),
        tables,
        error_kind: None,
    }
}

/// A graph with sidecars, drift, branches, and a place it was moved from.
pub(crate) fn graph_status() -> StatusReport {
    let rewrite = "rewrite 120 fragments into 2: 119 are below 64 MiB";
    let knows = TableStatus {
        drift_head: Some(Version(19)),
        unindexed_rows: None,
        ..state("edge:Knows", 12, "skip: drift_needs_repair")
    };
    let review = TableStatus {
        branches: vec!["review".to_owned()],
        branch: Branch::named("review"),
        deleted_share: 0.0,
        ..state("node:Person", 1, "nothing: one fragment")
    };
    let broken = TableStatus {
        error: Some("failed to open the table: its manifest is truncated".to_owned()),
        ..state("edge:WorksAt", 1, "")
    };
    let sidecar = PendingSidecar {
        file: "__recovery/01JABCDEFGHJKMNPQRSTVWXYZ0.json".to_owned(),
        writer_kind: Some("Load".to_owned()),
        tables: vec![TableKey::new("node:Person"), TableKey::new("edge:Knows")],
        branch: Branch::named("review"),
        ours: false,
        error: None,
    };
    let unreadable = PendingSidecar {
        file: "__recovery/x.json".to_owned(),
        writer_kind: None,
        tables: Vec::new(),
        branch: Branch::main(),
        ours: false,
        error: Some("schema_version 9 is newer than 1".to_owned()),
    };
    let root = RootStatus {
        internal_schema: Some(4),
        manifest_version: Some(Version(23)),
        branches: vec!["review".to_owned(), "experiment".to_owned()],
        sidecars: vec![sidecar, unreadable],
        moved_from: Some("/old/people".to_owned()),
        obstacles: vec![Obstacle {
            message: "/data/people was moved or copied: it still refers to /old/people".to_owned(),
            hint: Some("move it back to where it was made".to_owned()),
            kind: ErrorKind::Refused,
        }],
        internal: vec![InternalStatus {
            table_key: TableKey::new("__manifest"),
            version: Version(23),
            versions: 23,
            rows: 65,
            fragments: 16,
            bytes: 55 << 10,
        }],
        reclaimable: Some(Reclaimable {
            keep_versions: 10,
            versions: 12,
            files: 140,
            bytes: 33 * MIB,
            orphaned_forks: vec!["edge:Knows@old".to_owned()],
            unverified_left: 3,
            unverified_left_bytes: 2_000,
            unknown: vec!["edge:WorksAt: its manifest is truncated".to_owned()],
        }),
        warnings: vec!["commit history has a gap at version 12".to_owned()],
        ..root_state(
            RootKind::Graph,
            vec![state("node:Person", 120, rewrite), review, knows, broken],
        )
    };
    StatusReport { roots: vec![root] }
}

/// A database.
pub(crate) fn database_status() -> StatusReport {
    let sizes =
        TableBytes { blob_bytes: 200 * MIB, index_bytes: 21 * MIB, ..TableBytes::default() };
    let events = state("events", 1_000, "rewrite 1,000 fragments into 1: all are below 64 MiB");
    let tables = vec![TableStatus { sizes, ..events }, state("users", 1, "nothing: one fragment")];
    let error = Some("failed to list /data/people: permission denied".to_owned());
    let root = RootStatus { reclaimable_error: error, ..root_state(RootKind::Database, tables) };
    StatusReport { roots: vec![root] }
}

/// A root that does not exist.
pub(crate) fn missing_status() -> StatusReport {
    let root = RootStatus {
        uri: "/nowhere".to_owned(),
        kind: None,
        error: Some("no root at /nowhere".to_owned()),
        hint: Some("a root has __manifest/, NAME.lance/ or _versions/ directly below".to_owned()),
        error_kind: Some(ErrorKind::NotFound),
        ..root_state(RootKind::Table, Vec::new())
    };
    StatusReport { roots: vec![root] }
}

/// The rows of a graph's tables, one of which cannot be read.
pub(crate) fn counts() -> CountReport {
    let table = |name: &str, rows: Option<u64>| TableCount {
        table_key: TableKey::new(name),
        branch: Branch::main(),
        version: Some(Version(17)),
        rows,
        error: rows.is_none().then(|| "failed to count node:Place: a file is gone".to_owned()),
    };
    let review = Branch::named("review");
    let tables = vec![
        table("node:Person", Some(1_234_567)),
        TableCount { branch: review, ..table("node:Person", Some(12)) },
        table("node:Place", None),
    ];
    let root = RootCounts {
        uri: "/data/people".to_owned(),
        kind: Some(RootKind::Graph),
        error: None,
        hint: None,
        tables,
        error_kind: None,
    };
    CountReport::new(vec![root], 41)
}

fn cleaned_table(name: &str, removed: u64, files: u64, bytes: u64) -> TableCleanupStats {
    let kept = |version, because: &str| KeptVersionReport {
        branch: Branch::main(),
        version: Version(version),
        because: vec![because.to_owned()],
    };
    TableCleanupStats {
        table_key: TableKey::new(name),
        bytes_removed: bytes,
        old_versions_removed: removed,
        error: None,
        skipped: None,
        files_removed: files,
        versions_kept: 3,
        kept: vec![
            kept(4, "branch lazy reads it"),
            kept(11, "among the newest 2"),
            kept(12, "among the newest 2"),
        ],
        emptied: false,
        unverified_left: 0,
        unverified_left_bytes: 0,
        warnings: Vec::new(),
        duration_ms: 41,
        error_kind: None,
    }
}

/// What a cleanup of a graph did, or would do, with everything that can be said of one.
pub(crate) fn cleaned(dry_run: bool) -> CleanupReport {
    let mut person = cleaned_table("node:Person", 9, 27, 321 * MIB);
    let few = "fewer than 3 versions of main stay: the one that a later crash recovery would roll back to may be gone";
    person.warnings.push(few.to_owned());
    let mut company = cleaned_table("node:Company", 12, 14, 80 << 10);
    (company.emptied, company.versions_kept, company.kept) = (true, 0, Vec::new());
    let mut knows = cleaned_table("edge:Knows", 0, 0, 0);
    knows.error = Some("fork work: somebody wrote meanwhile; run again".to_owned());
    let mut manifest = cleaned_table("__manifest", 0, 0, 0);
    manifest.unverified_left = 2;
    let commit = |id: &str| LostCommitReport {
        graph_commit_id: id.to_owned(),
        branch: Branch::main(),
        manifest_version: Version(4),
    };
    let root = RootCleanupReport {
        uri: "/data/people".to_owned(),
        kind: Some(RootKind::Graph),
        error: None,
        hint: None,
        keep_versions: Some(2),
        older_than_secs: None,
        recovery: Recovery::default(),
        reconciled: BranchReconcileStats {
            reclaimed: vec![(TableKey::new("node:Person"), "feature".to_owned())],
            failures: vec![(TableKey::new("__manifest"), "branch lazy: not readable".to_owned())],
        },
        undecided_forks: 0,
        lost_commits: vec![commit("01JA"), commit("01JB")],
        warnings: Vec::new(),
        tables: vec![person, company, knows, manifest],
        error_kind: None,
    };
    CleanupReport::new(dry_run, vec![root], 1_234)
}
