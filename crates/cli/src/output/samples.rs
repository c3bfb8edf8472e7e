//! Reports that tests render: each kind of root and each outcome once.

use lancekeeper_model::{
    Branch, BranchReconcileStats, BudgetLimit, CleanupReport, Clustering, CountReport, DriftClass,
    ErrorKind, Finding, FindingKind, InternalSchema, InternalStatus, KeptVersionReport,
    LayoutStats, LeftBehind, LostCommitReport, ManifestPaths, MigrateReport, Migrated,
    MigratedBranch, MigratedTable, MovedPin, Obstacle, OptimizeReport, PendingIndex,
    PendingSidecar, Reclaimable, RecoverAction, RecoverReport, RecoverRow, RecoverTable,
    RecoveredSidecar, Recovery, RepairAction, RepairReport, RootCleanupReport, RootCounts,
    RootFailure, RootKind, RootMigrateReport, RootOptimizeReport, RootRecoverReport,
    RootRepairReport, RootReport, RootStatus, RootVerification, RowChanges, SkipReason, Stamp,
    StatusReport, TableBytes, TableCleanupStats, TableCount, TableKey, TableOptimizeStats,
    TableRef, TableRepairStats, TableStatus, TableVerification, Unchecked, VerifyReport, Version,
    WorkLeft,
};

const MIB: u64 = 1 << 20;

fn table(name: &str, before: (u64, u64, u64), after: (u64, u64, u64)) -> TableOptimizeStats {
    let mut row = TableOptimizeStats::of(&on_main(name));
    row.committed = before != after;
    if row.committed {
        (row.fragments_removed, row.fragments_added) = (before.0, after.0);
    }
    (row.rows_before, row.rows_after) = (1_234_567, 1_234_567);
    (row.fragments_before, row.files_before, row.bytes_before) = before;
    (row.fragments_after, row.files_after, row.bytes_after) = after;
    row.sizes_before = TableBytes { data_bytes: before.2, ..TableBytes::default() };
    row.sizes_after = TableBytes { data_bytes: after.2, ..TableBytes::default() };
    row.duration_ms = 1234;
    row.reason = "12 fragments below 64 MiB".to_owned();
    row
}

fn on_main(name: &str) -> TableRef {
    TableRef::on_main(TableKey::new(name))
}

fn root(kind: RootKind, tables: Vec<TableOptimizeStats>) -> RootOptimizeReport {
    let mut root = RootOptimizeReport::of("/data/people").of_kind(kind);
    root.tables = tables;
    root
}

/// A root that does not exist.
fn nothing<Body: Default>() -> RootReport<Body> {
    RootReport::<Body>::of("/nowhere").failed(RootFailure {
        message: "no root at /nowhere".to_owned(),
        hint: Some("a root has __manifest/, NAME.lance/ or _versions/ directly below".to_owned()),
        kind: ErrorKind::NotFound,
        cause: None,
    })
}

/// A graph with every outcome.
pub(crate) fn optimized() -> OptimizeReport {
    let mut person = table("node:Person", (120, 240, 321 * MIB), (2, 2, 300 * MIB));
    person.groups_redone = 1;
    let same = (1, 1, 80 << 10);
    let mut company = table("node:Company", same, same);
    (company.rows_before, company.rows_after, company.duration_ms) = (42, 42, 3);
    company.reason = "one fragment".to_owned();
    company.pending_indexes = vec![PendingIndex {
        column: "embedding".to_owned(),
        reason: "every value is null".to_owned(),
    }];
    let mut drifted = table("edge:Knows", (12, 12, 12 * MIB), (12, 12, 12 * MIB));
    drifted.skipped = Some(SkipReason::DriftNeedsRepair);
    drifted.manifest_version = Some(Version(5));
    drifted.lance_head_version = Some(Version(7));
    drifted.reason = "HEAD is ahead of its pin and nothing explains it".to_owned();
    let mut failed = table("edge:WorksAt", (31, 62, 31 * MIB), (31, 62, 31 * MIB));
    let why = "failed to read data file /data/people/edges/1a2b3c4d.lance/data/0f1e2d3c-4b5a.lance: \
               No such file or directory (os error 2)";
    failed.error = Some(why.to_owned());
    failed.error_kind = Some(ErrorKind::Corrupt);
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
    let mut root = root(RootKind::Graph, vec![person, company, drifted, failed]);
    root.recovery = Recovery { sidecars: vec![recovered], staged_files_deleted: 2, migrated: None };
    root.published = 1;
    root.warnings = vec!["the sidecar of operation 01JABC could not be deleted".to_owned()];
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

fn clustered(depth: f64, touched: f64) -> Clustering {
    let mut clustering = Clustering::of(&["lat".to_owned(), "lon".to_owned()]);
    (clustering.fragments, clustering.depth) = (8, depth);
    clustering.ranges = vec![touched, touched / 2.0];
    clustering
}

/// A database, optimized.
pub(crate) fn database() -> OptimizeReport {
    let events = table("events", (1_000, 1_000, 64 * MIB), (1, 1, 60 * MIB));
    let mut users = table("users", (14, 14, 5 * MIB), (8, 8, 5 * MIB - 1000));
    users.groups_dropped = 2;
    users.layout = Some(LayoutStats {
        layout: "hilbert:lat,lon".to_owned(),
        before: Some(clustered(8.0, 0.9)),
        after: Some(clustered(1.25, 0.125)),
        depth_at_most: None,
        expansions: None,
    });
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
    let mut events = table("events", (1_000, 1_000, 64 * MIB), (13, 13, 60 * MIB));
    events.left = left(BudgetLimit::MaxBytes, 2, 0);
    let same = (14, 14, 5 * MIB);
    let mut users = table("users", same, same);
    users.left = left(BudgetLimit::MaxTime, 1, 2);
    users.skipped = Some(SkipReason::BudgetSpent);
    users.reason = "merge 6 fragments into 1, refresh 2 indexes".to_owned();
    let mut compact = table("visits", (3, 3, MIB), (3, 3, MIB));
    compact.skipped = Some(SkipReason::AlreadyCompact);
    compact.reason = "3 fragments, fewer than 10".to_owned();
    let root = root(RootKind::Database, vec![events, users, compact]);
    OptimizeReport::new(false, vec![root], 59_960)
}

/// A graph whose publish was refused.
pub(crate) fn unpublished() -> OptimizeReport {
    let mut person = table("node:Person", (12, 24, 321 * MIB), (12, 24, 321 * MIB));
    person.skipped = Some(SkipReason::RunEnded);
    let root = root(RootKind::Graph, vec![person]).failed(RootFailure {
        message: "another writer published in between".to_owned(),
        hint: None,
        kind: ErrorKind::Conflict,
        cause: None,
    });
    OptimizeReport::new(false, vec![root], 4_321)
}

/// A root that does not exist.
pub(crate) fn missing() -> OptimizeReport {
    OptimizeReport::new(false, vec![nothing()], 1)
}

fn state(name: &str, fragments: u64, would: &str) -> TableStatus {
    let mut row = TableStatus::of(&on_main(name));
    (row.version, row.versions, row.rows) = (Version(17), 17, 1_234_567);
    (row.fragments, row.files, row.small_fragments) = (fragments, 2 * fragments, fragments - 1);
    row.bytes = 321 * MIB;
    row.sizes = TableBytes { data_bytes: 321 * MIB, ..TableBytes::default() };
    row.deleted_share = 0.125;
    row.unindexed_rows = Some(1_200);
    row.would = would.to_owned();
    row
}

fn root_state(kind: RootKind, tables: Vec<TableStatus>) -> RootStatus {
    let mut root = RootStatus::of("/data/people").of_kind(kind);
    root.tables = tables;
    root
}

/// A graph with sidecars, drift, branches, and a place it was moved from.
pub(crate) fn graph_status() -> StatusReport {
    let rewrite = "rewrite 120 fragments into 2: 119 are below 64 MiB";
    let mut knows = state("edge:Knows", 12, "skip: drift_needs_repair");
    (knows.drift_head, knows.unindexed_rows) = (Some(Version(19)), None);
    let mut review = state("node:Person", 1, "nothing: one fragment");
    (review.branches, review.branch) = (vec!["review".to_owned()], Branch::named("review"));
    review.deleted_share = 0.0;
    let mut broken = state("edge:WorksAt", 1, "");
    broken.error = Some("failed to open the table: its manifest is truncated".to_owned());
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
    let tables = vec![state("node:Person", 120, rewrite), review, knows, broken];
    let mut root = root_state(RootKind::Graph, tables);
    root.internal_schema = Some(4);
    root.manifest_version = Some(Version(23));
    root.branches = vec!["review".to_owned(), "experiment".to_owned()];
    root.sidecars = vec![sidecar, unreadable];
    root.moved_from = Some("/old/people".to_owned());
    root.obstacles = vec![Obstacle {
        message: "/data/people was moved or copied: it still refers to /old/people".to_owned(),
        hint: Some("move it back to where it was made".to_owned()),
        kind: ErrorKind::Refused,
    }];
    root.internal = vec![InternalStatus {
        table_key: TableKey::new("__manifest"),
        version: Version(23),
        versions: 23,
        rows: 65,
        fragments: 16,
        bytes: 55 << 10,
    }];
    root.reclaimable = Some(Reclaimable {
        keep_versions: 10,
        versions: 12,
        files: 140,
        bytes: 33 * MIB,
        orphaned_forks: vec!["edge:Knows@old".to_owned()],
        unverified_left: 3,
        unverified_left_bytes: 2_000,
        unknown: vec!["edge:WorksAt: its manifest is truncated".to_owned()],
    });
    root.warnings = vec!["commit history has a gap at version 12".to_owned()];
    StatusReport::new(false, vec![root], 0)
}

/// A database.
pub(crate) fn database_status() -> StatusReport {
    let sizes =
        TableBytes { blob_bytes: 200 * MIB, index_bytes: 21 * MIB, ..TableBytes::default() };
    let mut events = state("events", 1_000, "rewrite 1,000 fragments into 1: all are below 64 MiB");
    events.sizes = sizes;
    let tables = vec![events, state("users", 1, "nothing: one fragment")];
    let mut root = root_state(RootKind::Database, tables);
    root.reclaimable_error = Some("failed to list /data/people: permission denied".to_owned());
    StatusReport::new(false, vec![root], 0)
}

/// A root that does not exist.
pub(crate) fn missing_status() -> StatusReport {
    StatusReport::new(false, vec![nothing()], 0)
}

/// What crashes left of a graph: an unfinished load, one that may go on, a file that nobody
/// understands, and a lock.
pub(crate) fn left_behind(done: bool) -> RecoverReport {
    let mut load = RecoverRow::of(LeftBehind::Sidecar, "__recovery/01JA.json");
    load.writer_kind = Some("Load".to_owned());
    load.actor = Some("ann".to_owned());
    let table = |key: &str, pin, head, class| {
        let mut table = RecoverTable::of(TableKey::new(key), Branch::main(), class);
        (table.pin, table.head) = (Some(Version(pin)), Some(Version(head)));
        table
    };
    load.tables = vec![
        table("node:Person", 24, 25, "RolledPastExpected"),
        table("edge:Knows", 19, 19, "NoMovement"),
    ];
    load.action = RecoverAction::RollBack;
    load.why = "edge:Knows was not committed to: pin 19, HEAD 19, expected 19 to 20".to_owned();
    load.done = done;
    if done {
        load.moved = vec![MovedPin {
            table_key: TableKey::new("node:Person"),
            table_branch: Branch::main(),
            from: Version(24),
            to: Version(26),
        }];
    }
    let mut young = RecoverRow::of(LeftBehind::Sidecar, "__recovery/01JB.json");
    young.writer_kind = Some("Mutation".to_owned());
    young.branch = Branch::named("review");
    young.why = "its writer may be alive: it began at 2027-01-15T08:00:00Z; it is presumed dead at 2027-01-15T08:15:00Z".to_owned();
    young.hint = Some("if its writer is known to be dead: --assume-dead 01JB".to_owned());
    let mut lock = RecoverRow::of(LeftBehind::SchemaApplyLock, "__schema_apply_lock__");
    lock.action = RecoverAction::Remove;
    lock.why = "no schema apply needs it".to_owned();
    lock.done = done;
    let mut root = RootRecoverReport::of("/data/people").of_kind(RootKind::Graph);
    root.left = vec![load, young, lock];
    RecoverReport::new(!done, vec![root], 41)
}

/// The rows of a graph's tables, one of which cannot be read.
pub(crate) fn counts() -> CountReport {
    let table = |name: &str, rows: Option<u64>| {
        let mut row = TableCount::of(&on_main(name));
        (row.version, row.rows) = (Some(Version(17)), rows);
        let why = || "failed to count node:Place: a file is gone".to_owned();
        row.error = rows.is_none().then(why);
        row
    };
    let mut review = table("node:Person", Some(12));
    review.branch = Branch::named("review");
    let mut root = RootCounts::of("/data/people").of_kind(RootKind::Graph);
    root.tables = vec![table("node:Person", Some(1_234_567)), review, table("node:Place", None)];
    CountReport::new(false, vec![root], 41)
}

fn cleaned_table(name: &str, removed: u64, files: u64, bytes: u64) -> TableCleanupStats {
    let kept = |version, because: &str| KeptVersionReport {
        branch: Branch::main(),
        version: Version(version),
        because: vec![because.to_owned()],
    };
    let mut row = TableCleanupStats::of(&TableKey::new(name));
    (row.old_versions_removed, row.files_removed, row.bytes_removed) = (removed, files, bytes);
    row.versions_kept = 3;
    row.kept = vec![
        kept(4, "branch lazy reads it"),
        kept(11, "among the newest 2"),
        kept(12, "among the newest 2"),
    ];
    row.duration_ms = 41;
    row
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
    let mut root = RootCleanupReport::of("/data/people").of_kind(RootKind::Graph);
    root.keep_versions = Some(2);
    root.reconciled = BranchReconcileStats {
        reclaimed: vec![(TableKey::new("node:Person"), "feature".to_owned())],
        failures: vec![(TableKey::new("__manifest"), "branch lazy: not readable".to_owned())],
    };
    root.lost_commits = vec![commit("01JA"), commit("01JB")];
    root.tables = vec![person, company, knows, manifest];
    CleanupReport::new(dry_run, vec![root], 1_234)
}

/// A graph that would be migrated, or was, from v2 to v4.
pub(crate) fn migrated(dry_run: bool) -> MigrateReport {
    let branch = |name: &str, from, rebuilt| MigratedBranch {
        name: if name == "main" { Branch::main() } else { Branch::named(name) },
        from: Stamp::Known(from),
        to: Some(4),
        commits: 21,
        rebuilt,
    };
    let mut root = RootMigrateReport::of("/data/people").of_kind(RootKind::Graph);
    root.from = Some(Stamp::Known(InternalSchema::V2));
    root.to = Some(4);
    root.branches =
        vec![branch("main", InternalSchema::V2, 1), branch("review", InternalSchema::V3, 0)];
    root.run_branches = vec![Branch::named("__run__01M7WA021VD71JWWPJJVJ0XTEC")];
    root.locked_out =
        [InternalSchema::V2, InternalSchema::V3].map(|schema| schema.clients().to_owned()).to_vec();
    root.steps = vec!["main: stamp 3".to_owned(), "main: copy the history".to_owned()];
    root.recovery.migrated = Some(Migrated {
        from: Stamp::Known(InternalSchema::V1),
        to: 3,
        branches: vec![Branch::main()],
        run_branches_deleted: vec![Branch::named("__run__01A")],
        locked_out: vec![InternalSchema::V1.clients().to_owned()],
    });
    MigrateReport::new(dry_run, vec![root], 1_234)
}

/// A database of which a table would be migrated, or was, and another was refused.
pub(crate) fn migrated_tables(dry_run: bool) -> MigrateReport {
    let table = |name: &str, changed| {
        let mut row = MigratedTable::of(&on_main(name));
        row.storage_version = Some("2.0".to_owned());
        row.file_versions = vec!["2.0".to_owned(), "2.1".to_owned()];
        (row.manifest_paths, row.stable_row_ids) = (Some(ManifestPaths::V1), Some(false));
        (row.versions, row.changed) = (12, changed);
        row
    };
    let mut events = table("events", true);
    "write 3 data files anew as 2.1".clone_into(&mut events.reason);
    events.bytes = 5 * MIB;
    let mut images = table("images", false);
    images.error = Some("images: it has columns of blobs".to_owned());
    let mut root = RootMigrateReport::of("/data/db").of_kind(RootKind::Database);
    root.tables = vec![events, images];
    MigrateReport::new(dry_run, vec![root], 1_234)
}

/// A graph of which some is wrong and some could not be checked.
pub(crate) fn verified() -> VerifyReport {
    let table = |name: &str, versions, rows, findings| {
        let mut row = TableVerification::of(&on_main(name));
        (row.versions, row.rows, row.findings) = (versions, rows, findings);
        (row.fragments, row.files, row.indexes, row.questions) = (12, 31, 3, 48);
        row.duration_ms = 1_234;
        row
    };
    let person = on_main("node:Person");
    let file = "data/0f1e2d3c-4b5a-6978-8a9b-acbdcedfe0f1.lance";
    let message = format!("fragment 3: {file} is missing");
    let mut missing = Finding::new(&person, FindingKind::FileMissing, message);
    (missing.version, missing.versions, missing.fragment) = (Some(Version(17)), 5, Some(3));
    missing.file = Some(file.to_owned());
    missing.hint = Some("restore the file from a backup".to_owned());
    let message =
        "index name_idx: asked for the value Ada: it misses 1 of 2 rows, such as row id 7";
    let mut wrong = Finding::new(&person, FindingKind::IndexWrong, message);
    (wrong.version, wrong.versions) = (Some(Version(17)), 1);
    wrong.index = Some("name_idx".to_owned());
    let mut knows = table("edge:Knows", 15, 1_992, 0);
    knows.unchecked = 1;
    let mut root = RootVerification::of("/data/people").of_kind(RootKind::Graph);
    root.tables = vec![knows, table("node:Company", 4, 20, 0), table("node:Person", 18, 1_999, 2)];
    root.findings = vec![missing, wrong];
    let (what, why) = ("the answers of index about", "indexes of the kind rtree are not asked");
    root.unchecked = vec![Unchecked::new(&on_main("edge:Knows"), Some(Version(15)), what, why)];
    VerifyReport::new(false, vec![root], 4_321)
}

/// A graph with every kind of drift: before anything is done, or after a repair that was told nothing of the rest.
pub(crate) fn repaired(dry_run: bool) -> RepairReport {
    let table = |name: &str, head: u64, class, operations: &[&str]| {
        let mut row = TableRepairStats::of(&on_main(name), Version(5));
        (row.lance_head_version, row.classification) = (Some(Version(head)), Some(class));
        (row.rows_pinned, row.rows_head) = (Some(1_999), Some(1_999));
        row.operations = operations.iter().map(|name| (*name).to_owned()).collect();
        row
    };
    let level = table("node:Company", 5, DriftClass::NoDrift, &[]);
    let class = DriftClass::VerifiedMaintenance;
    let mut healed = table("node:Person", 7, class, &["ReserveFragments", "Rewrite"]);
    healed.reason = "only maintenance: the same rows".to_owned();
    healed.would = RepairAction::Healed;
    let mut refused = table("edge:Knows", 6, DriftClass::Suspicious, &["Append"]);
    refused.reason = "version 6 may have changed rows (Append)".to_owned();
    (refused.rows_head, refused.would) = (Some(2_002), RepairAction::Refused);
    refused.rows = Some(RowChanges { appear: 3, disappear: 0, change: 0 });
    let mut back = table("edge:Knows", 9, DriftClass::Suspicious, &["Delete"]);
    back.branch = Branch::named("work");
    back.reason = "version 9 may have changed rows (Delete)".to_owned();
    (back.would, back.kept_as) =
        (RepairAction::Restored, Some("lancekeeper-drift-work-9".to_owned()));
    let mut behind = table("edge:WorksAt", 4, DriftClass::NoDrift, &[]);
    behind.classification = None;
    behind.fail("its HEAD 4 is behind manifest version 5", ErrorKind::Corrupt);
    for row in [&mut healed, &mut refused, &mut back] {
        row.action = if dry_run { RepairAction::Preview } else { row.would };
    }
    if !dry_run {
        healed.published_version = Some(Version(7));
    }
    let mut root = RootRepairReport::of("/data/people").of_kind(RootKind::Graph);
    (root.confirm, root.published) = (!dry_run, u64::from(!dry_run));
    root.manifest_version = Some(Version(17));
    root.tables = vec![refused, behind, level, healed, back];
    RepairReport::new(dry_run, vec![root], 321)
}
