//! Sidecars that nobody can understand, or that cannot be of this graph: refused by name, nothing
//! written, and what the hint says gets the graph going.

use std::fs;

use chrono::{TimeDelta, Utc};
use lancekeeper::{
    CleanupOptions, CleanupPolicyOptions, CleanupReport, Keeper, NoProgress, OptimizeOptions,
    RecoverAction, RecoverOptions, RepairOptions,
};
use lancekeeper_testkit::invariants::names;
use lancekeeper_testkit::{Wreck, graph_rows};
use serde_json::json;

use super::{dead, is_at_rest, only, preview, recover};
use crate::fixtures::tree;

const ID: &str = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
const FILE: &str = "__recovery/01ARZ3NDEKTSV4RRFFQ69G5FAV.json";

fn aside(file: &str) -> RecoverOptions {
    let mut options = dead();
    options.quarantine = Some(file.to_owned());
    options
}

/// Every file but those of our own lock.
fn files(wreck: &Wreck) -> Vec<(String, u64)> {
    let ours = wreck.path("__maintenance").to_string_lossy().into_owned();
    let mut files = tree(wreck.uri());
    files.retain(|(path, bytes)| !path.starts_with(&ours) && (path != wreck.uri() || *bytes == 0));
    // Directories change their size with what is in them.
    files.retain(|(path, _)| fs::metadata(path).unwrap().is_file());
    files
}

/// Refused by recovery and by every other verb, until it is moved aside.
async fn is_refused_until_it_is_moved_aside(wreck: &Wreck, words: &[&str]) {
    let uri = wreck.uri();
    let rows = graph_rows(uri).await.unwrap();
    let before = files(wreck);
    for report in [preview(uri, &dead()).await, recover(uri, &dead()).await] {
        assert_eq!(report.exit_code().number(), 12, "{report:#?}");
        let row = only(&report);
        assert_eq!((row.action, row.done), (RecoverAction::Refuse, false), "{row:#?}");
        assert_eq!(row.name, FILE);
        assert!(words.iter().all(|word| row.why.contains(word)), "{words:?}: {row:#?}");
        let hint = row.hint.as_deref().unwrap();
        assert!(hint.contains(&format!("--quarantine {FILE} --confirm")), "{hint}");
    }
    assert_eq!(files(wreck), before, "something was written");
    let optimized = optimize(uri).await;
    assert_eq!(optimized, 12);
    assert_eq!(graph_rows(uri).await.unwrap(), rows, "it stays readable");

    let plan = preview(uri, &aside(FILE)).await;
    assert_eq!(only(&plan).action, RecoverAction::Quarantine, "{plan:#?}");
    assert_eq!(files(wreck), before, "a preview wrote something");
    let done = recover(uri, &aside(FILE)).await;
    assert_eq!(done.exit_code().number(), 0, "{done:#?}");
    assert!(only(&done).done && only(&done).action == RecoverAction::Quarantine, "{done:#?}");
    let kept = names(&wreck.path("__maintenance/quarantine")).unwrap();
    assert_eq!(kept.len(), 1, "it is kept");
    assert!(kept.iter().all(|name| name.ends_with(&format!("{ID}.json"))), "{kept:?}");
    is_at_rest(uri).await;
    assert_eq!(optimize(uri).await, 0);
    assert_eq!(graph_rows(uri).await.unwrap(), rows);
}

async fn optimize(uri: &str) -> u8 {
    let options = OptimizeOptions::default();
    let report = Keeper::new().optimize([uri], &options, std::sync::Arc::new(NoProgress)).await;
    report.exit_code().number()
}

#[tokio::test]
async fn what_cannot_be_understood_is_refused_by_name_and_can_be_moved_aside() {
    for (content, words) in [
        ("{\"schema_version\":1,", &["cannot be understood", "EOF"][..]),
        ("", &["cannot be understood"]),
        ("[]", &["cannot be understood"]),
    ] {
        let wreck = Wreck::new().await.unwrap();
        fs::create_dir_all(wreck.path("__recovery")).unwrap();
        fs::write(wreck.path(FILE), content).unwrap();
        is_refused_until_it_is_moved_aside(&wreck, words).await;
    }
}

#[tokio::test]
async fn a_newer_sidecar_is_refused_by_name_and_can_be_moved_aside() {
    let wreck = Wreck::new().await.unwrap();
    let newer = json!({"schema_version": 9, "protocol_v3": {"effect_phase": "Armed"}});
    wreck.arm(ID, "Load", Utc::now(), Vec::new(), &newer).unwrap();
    is_refused_until_it_is_moved_aside(&wreck, &["schema version 9", "newer than 2"]).await;
}

#[tokio::test]
async fn a_sidecar_of_a_hundred_megabytes_is_not_read_and_can_be_moved_aside() {
    let wreck = Wreck::new().await.unwrap();
    fs::create_dir_all(wreck.path("__recovery")).unwrap();
    fs::File::create(wreck.path(FILE)).unwrap().set_len(100 << 20).unwrap();
    is_refused_until_it_is_moved_aside(&wreck, &["104857600 bytes are more"]).await;
}

#[tokio::test]
async fn a_sidecar_whose_path_leads_out_of_the_graph_is_refused_and_its_table_is_untouched() {
    let elsewhere = Wreck::new().await.unwrap();
    for path in ["/etc/passwd", "/data/g/nodes/../../etc", &elsewhere_path(&elsewhere).await] {
        let wreck = Wreck::new().await.unwrap();
        let mut table = wreck.named("node:A", "main").await.unwrap();
        table["table_path"] = json!(path);
        wreck.arm(ID, "Load", Utc::now(), vec![table], &json!({})).unwrap();
        let uri = wreck.uri();
        let before = files(&wreck);
        let report = recover(uri, &dead()).await;
        assert_eq!(report.exit_code().number(), 12, "{report:#?}");
        assert_eq!(only(&report).action, RecoverAction::Refuse);
        assert!(only(&report).why.contains(path), "{path}: {report:#?}");
        assert_eq!(files(&wreck), before);
        let done = recover(uri, &aside(FILE)).await;
        assert_eq!(done.exit_code().number(), 0, "{done:#?}");
        is_at_rest(uri).await;
    }
}

/// The same table of another graph that is there.
async fn elsewhere_path(wreck: &Wreck) -> String {
    let entry = wreck.entry("node:A", "main").await.unwrap();
    format!("{}/{}", wreck.uri(), entry.location)
}

#[tokio::test]
async fn relative_paths_and_those_of_an_old_place_are_found_by_the_graph() {
    for prefix in ["graphs/people", "", "/no/longer/there"] {
        let wreck = Wreck::new().await.unwrap();
        let mut table = wreck.named("node:A", "main").await.unwrap();
        let entry = wreck.entry("node:A", "main").await.unwrap();
        let slash = if prefix.is_empty() { "" } else { "/" };
        table["table_path"] = json!(format!("{prefix}{slash}{}", entry.location));
        wreck.arm(ID, "Load", Utc::now(), vec![table], &json!({})).unwrap();
        wreck.commit("node:A", "main", &["four"]).await.unwrap();
        let report = recover(wreck.uri(), &dead()).await;
        assert_eq!(report.exit_code().number(), 0, "{prefix}: {report:#?}");
        assert_eq!(only(&report).action, RecoverAction::RollForward, "{prefix}");
        is_at_rest(wreck.uri()).await;
    }
}

#[tokio::test]
async fn a_sidecar_that_can_be_recovered_is_not_moved_aside() {
    let wreck = Wreck::new().await.unwrap();
    let table = wreck.named("node:A", "main").await.unwrap();
    wreck.arm(ID, "Load", Utc::now(), vec![table], &json!({})).unwrap();
    let before = files(&wreck);
    for report in [
        preview(wreck.uri(), &aside(FILE)).await,
        recover(wreck.uri(), &aside(&format!("{ID}.json"))).await,
    ] {
        assert_eq!(report.exit_code().number(), 13, "{report:#?}");
        let error = report.roots[0].error.as_deref().unwrap();
        assert!(error.contains(FILE) && error.contains("can be recovered"), "{error}");
    }
    let missing = recover(wreck.uri(), &aside("nobody.json")).await;
    assert_eq!(missing.exit_code().number(), 2, "{missing:#?}");
    assert_eq!(files(&wreck), before);
}

/// Makes every version of a dataset, or of a branch of one, unreadable.
fn spoil(dataset: &std::path::Path) {
    for name in names(&dataset.join("_versions")).unwrap() {
        fs::write(dataset.join("_versions").join(name), "garbage").unwrap();
    }
}

#[tokio::test]
async fn a_sidecar_over_what_cannot_be_read_is_refused_alone_and_can_be_moved_aside() {
    for (kind, branch) in [("Load", "main"), ("SchemaApply", "main"), ("Load", "feat")] {
        let wreck = Wreck::new().await.unwrap();
        wreck.writer.create_branch("feat", "main").await.unwrap();
        let table = wreck.named("node:A", branch).await.unwrap();
        let of_branch = json!({"branch": (branch != "main").then_some(branch)});
        // A schema apply needs all tables of main, whichever it names.
        let named = if kind == "Load" { vec![table] } else { Vec::new() };
        wreck.arm(ID, kind, Utc::now(), named, &of_branch).unwrap();
        let other = wreck.named("node:B", "main").await.unwrap();
        wreck.arm("01B", "Load", Utc::now(), vec![other], &json!({})).unwrap();
        wreck.commit("node:B", "main", &["four"]).await.unwrap();
        let place = match branch {
            "main" => wreck.entry("node:A", "main").await.unwrap().location,
            _ => "__manifest/tree/feat".to_owned(),
        };
        spoil(&wreck.path(&place));

        let uri = wreck.uri();
        let said = |report: &lancekeeper::RecoverReport| -> Vec<_> {
            report.roots[0].left.iter().map(|row| (row.name.clone(), row.action)).collect()
        };
        let plan = preview(uri, &dead()).await;
        let report = recover(uri, &dead()).await;
        let expected = [
            (FILE.to_owned(), RecoverAction::Refuse),
            ("__recovery/01B.json".to_owned(), RecoverAction::RollForward),
        ];
        assert_eq!((said(&plan), said(&report)), (expected.to_vec(), expected.to_vec()));
        assert_eq!(report.exit_code().number(), 12, "{report:#?}");
        let (row, other) = (&report.roots[0].left[0], &report.roots[0].left[1]);
        let word = if branch == "main" { place.as_str() } else { branch };
        assert!(row.why.contains(word), "its cause is kept: {row:#?}");
        assert!(row.hint.as_deref().unwrap().contains(&format!("--quarantine {FILE}")), "{row:#?}");
        assert!(other.done, "{report:#?}");
        let (pin, head) =
            (wreck.pin("node:B", "main").await.unwrap(), wreck.head("node:B", "main").await);
        assert_eq!(pin, head.unwrap());
        let done = recover(uri, &aside(FILE)).await;
        assert_eq!(done.exit_code().number(), 0, "{done:#?}");
        assert_eq!(names(&wreck.path("__maintenance/quarantine")).unwrap().len(), 1);
    }
}

#[tokio::test]
async fn what_a_quarantined_writer_committed_to_a_new_fork_is_named_by_status() {
    let wreck = Wreck::new().await.unwrap();
    wreck.writer.create_branch("feat", "main").await.unwrap();
    wreck.commit("node:A", "feat", &["four"]).await.unwrap();
    fs::create_dir_all(wreck.path("__recovery")).unwrap();
    fs::write(wreck.path(FILE), "garbage").unwrap();
    let done = recover(wreck.uri(), &aside(FILE)).await;
    assert_eq!(done.exit_code().number(), 0, "{done:#?}");
    let status = Keeper::new().status([wreck.uri()]).await;
    let named = status.roots[0].obstacles.iter().find(|of| of.message.contains("node:A"));
    let named = named.unwrap_or_else(|| panic!("{status:#?}"));
    assert!(named.message.contains("fork feat"), "{named:#?}");
    assert_eq!(status.attention_code().number(), 13, "{status:#?}");
    assert_eq!(optimize(wreck.uri()).await, 0, "it stands in nobody's way");
}

/// The newest manifest of a dataset: names count backwards.
fn newest_manifest(dataset: &std::path::Path) -> std::path::PathBuf {
    let versions = dataset.join("_versions");
    let found = names(&versions).unwrap();
    let newest = found.iter().filter(|name| name.ends_with(".manifest")).min().unwrap();
    versions.join(newest)
}

#[tokio::test]
async fn a_dead_run_of_ours_over_a_table_that_cannot_be_read_is_refused_alone_and_moved_aside() {
    let wreck = Wreck::new().await.unwrap();
    let ours = json!({"keeper": {"schema": 1, "operation": ID}});
    let table = wreck.named("node:A", "main").await.unwrap();
    wreck.arm(ID, "Optimize", Utc::now(), vec![table], &ours).unwrap();
    let other = wreck.named("node:B", "main").await.unwrap();
    wreck.arm("01B", "Load", Utc::now(), vec![other], &json!({})).unwrap();
    wreck.commit("node:B", "main", &["four"]).await.unwrap();
    let place = wreck.entry("node:A", "main").await.unwrap().location;
    let manifest = newest_manifest(&wreck.path(&place));
    let whole = fs::read(&manifest).unwrap();
    fs::write(&manifest, "garbage").unwrap();

    let uri = wreck.uri();
    assert_eq!(cleanup(uri).await.exit_code().number(), 12);
    let expected = [
        (FILE.to_owned(), RecoverAction::Refuse, false),
        ("__recovery/01B.json".to_owned(), RecoverAction::RollForward, true),
    ];
    for (confirms, report) in
        [(false, preview(uri, &dead()).await), (true, recover(uri, &dead()).await)]
    {
        let rows = report.roots[0].left.iter();
        let said: Vec<_> = rows.map(|row| (row.name.clone(), row.action, row.done)).collect();
        let expected =
            expected.clone().map(|(name, action, done)| (name, action, done && confirms));
        assert_eq!((said, report.exit_code().number()), (expected.to_vec(), 12), "{report:#?}");
        let row = &report.roots[0].left[0];
        assert!(row.why.contains(&place), "{row:#?}");
        assert!(row.hint.as_deref().unwrap().contains(&format!("--quarantine {FILE}")), "{row:#?}");
    }
    // Who asks for other tables need not wait for it.
    let only = |key: &str| OptimizeOptions { tables: vec![key.to_owned()], ..Default::default() };
    for (key, expected) in [("node:A", 12), ("node:B", 0)] {
        let options = only(key);
        let report = Keeper::new().optimize([uri], &options, std::sync::Arc::new(NoProgress)).await;
        assert_eq!(report.exit_code().number(), expected, "{report:#?}");
    }
    assert_eq!(cleanup(uri).await.exit_code().number(), 12, "who deletes waits for all of them");
    let done = recover(uri, &aside(FILE)).await;
    assert_eq!(done.exit_code().number(), 0, "{done:#?}");
    assert_eq!(names(&wreck.path("__maintenance/quarantine")).unwrap().len(), 1);
    fs::write(&manifest, whole).unwrap();
    assert_eq!(optimize(uri).await, 0);
    is_at_rest(uri).await;
}

#[tokio::test]
async fn what_has_nothing_to_go_back_to_is_refused_alone_and_can_be_moved_aside() {
    let wreck = Wreck::new().await.unwrap();
    let table = wreck.named("node:A", "main").await.unwrap();
    wreck.arm(ID, "Load", Utc::now(), vec![table], &json!({})).unwrap();
    let entry = wreck.entry("node:A", "main").await.unwrap();
    let pinned = newest_manifest(&wreck.path(&entry.location));
    for id in ["four", "five"] {
        wreck.commit("node:A", "main", &[id]).await.unwrap();
    }
    let other = wreck.named("node:B", "main").await.unwrap();
    wreck.arm("01B", "Load", Utc::now(), vec![other], &json!({})).unwrap();
    wreck.commit("node:B", "main", &["four"]).await.unwrap();
    // Somebody's cleanup knew nothing of the graph.
    fs::remove_file(pinned).unwrap();

    let uri = wreck.uri();
    let expected = [
        (FILE.to_owned(), RecoverAction::Refuse),
        ("__recovery/01B.json".to_owned(), RecoverAction::RollForward),
    ];
    let (plan, run) = (preview(uri, &dead()).await, recover(uri, &dead()).await);
    for report in [&plan, &run] {
        let rows = report.roots[0].left.iter();
        let said: Vec<_> = rows.map(|row| (row.name.clone(), row.action)).collect();
        assert_eq!((said, report.exit_code().number()), (expected.to_vec(), 12), "{report:#?}");
        let why = &report.roots[0].left[0].why;
        assert!(why.contains(&format!("version {} of node:A", entry.version)), "{why}");
    }
    assert!(run.roots[0].left[1].done, "{run:#?}");
    let done = recover(uri, &aside(FILE)).await;
    assert_eq!(done.exit_code().number(), 0, "{done:#?}");
}

/// Takes whatever nothing needs, however young.
async fn cleanup(uri: &str) -> CleanupReport {
    let options = CleanupOptions {
        policy: CleanupPolicyOptions { keep_versions: Some(1), older_than: None },
        writer_window: TimeDelta::zero(),
        min_fork_age: TimeDelta::zero(),
        ..CleanupOptions::default()
    };
    Keeper::new().cleanup(&[uri.to_owned()], &options).await
}

#[tokio::test]
async fn what_a_quarantined_writer_committed_to_a_new_fork_stays_as_long_as_the_file_is_kept() {
    let wreck = Wreck::new().await.unwrap();
    wreck.writer.create_branch("feat", "main").await.unwrap();
    wreck.commit("node:A", "feat", &["four"]).await.unwrap();
    let mut table = wreck.named("node:A", "feat").await.unwrap();
    table["table_path"] = json!("/data/g/nodes/../../etc");
    wreck.arm(ID, "Load", Utc::now(), vec![table], &json!({"branch": "feat"})).unwrap();
    let fork = "a fork that no branch reads";
    for report in
        [preview(wreck.uri(), &aside(FILE)).await, recover(wreck.uri(), &aside(FILE)).await]
    {
        let hint = only(&report).hint.as_deref().unwrap();
        assert!(hint.contains(fork) && !hint.contains("drift, for"), "{hint}");
    }
    let keeper = Keeper::new();
    for confirm in [false, true] {
        let options = RepairOptions { confirm, ..RepairOptions::default() };
        let repaired = keeper.repair([wreck.uri()], &options).await;
        assert_eq!(repaired.exit_code().number(), 0, "{repaired:#?}");
        let named = |warning: &String| warning.contains("node:A: there is a fork feat");
        assert!(repaired.roots[0].warnings.iter().any(named), "{repaired:#?}");
    }
    let head = || wreck.head("node:A", "feat");
    let committed = head().await.unwrap();
    let left = cleanup(wreck.uri()).await;
    assert_eq!(head().await.unwrap(), committed, "{left:#?}");
    let why = "fork feat is left alone: a sidecar in quarantine may be about it";
    let rows = &left.roots[0].tables;
    assert!(rows.iter().any(|row| row.warnings.iter().any(|of| of == why)), "{left:#?}");
    // Once somebody has looked at it, and taken it away, it is nobody's.
    fs::remove_dir_all(wreck.path("__maintenance/quarantine")).unwrap();
    let cleaned = cleanup(wreck.uri()).await;
    assert_eq!(cleaned.exit_code().number(), 0, "{cleaned:#?}");
    assert!(head().await.is_err(), "{cleaned:#?}");
}

#[tokio::test]
async fn beside_a_file_that_nobody_understands_a_preview_promises_no_more_than_a_run_does() {
    let wreck = Wreck::new().await.unwrap();
    let table = wreck.named("node:A", "main").await.unwrap();
    wreck.arm(ID, "Load", Utc::now(), vec![table], &json!({})).unwrap();
    wreck.commit("node:A", "main", &["four"]).await.unwrap();
    fs::write(wreck.path("__recovery/01ZZZ3NDEKTSV4RRFFQ69G5FAV.json"), "garbage").unwrap();
    let before = files(&wreck);
    let said = |report: &lancekeeper::RecoverReport| -> Vec<_> {
        let left = report.roots[0].left.iter();
        left.map(|row| (row.name.clone(), row.action, row.why.clone(), row.done)).collect()
    };
    let (plan, run) = (preview(wreck.uri(), &dead()).await, recover(wreck.uri(), &dead()).await);
    assert_eq!(said(&plan), said(&run));
    assert_eq!((plan.exit_code().number(), run.exit_code().number()), (12, 12));
    assert!(said(&plan)[0].2.contains("01ZZZ3NDEKTSV4RRFFQ69G5FAV.json"), "{plan:#?}");
    assert_eq!(files(&wreck), before, "something was written");
}

#[tokio::test]
#[cfg(unix)]
async fn a_file_whose_name_is_no_text_is_seen_named_and_moved_aside_by_what_the_hint_says() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    let wreck = Wreck::new().await.unwrap();
    let rows = graph_rows(wreck.uri()).await.unwrap();
    fs::create_dir_all(wreck.path("__recovery")).unwrap();
    let odd = wreck.path("__recovery").join(OsStr::from_bytes(b"it's \xff.json"));
    fs::write(&odd, "kept").unwrap();
    assert_eq!(optimize(wreck.uri()).await, 12);
    let plan = preview(wreck.uri(), &dead()).await;
    assert_eq!((plan.exit_code().number(), only(&plan).action), (12, RecoverAction::Refuse));
    assert_eq!(only(&plan).name, r"__recovery/it\'s \xff.json");
    // The line of the hint, as a shell reads it.
    let hint = only(&plan).hint.clone().unwrap();
    let line = hint.split('`').find(|part| part.starts_with("lancekeeper recover")).unwrap();
    let script = format!("lancekeeper() {{ \"$0\" \"$@\"; }}; {line}");
    let mut pasted = std::process::Command::new("sh");
    pasted.arg("-c").arg(&script).arg(crate::binary::path());
    let ran = crate::binary::run(pasted);
    assert_eq!(ran.code, Some(0), "{script}: {ran:#?}");
    assert!(!odd.exists());
    let kept = names(&wreck.path("__maintenance/quarantine")).unwrap();
    let kept = wreck.path("__maintenance/quarantine").join(kept.iter().next().unwrap());
    assert_eq!(fs::read_to_string(kept).unwrap(), "kept");
    assert_eq!(optimize(wreck.uri()).await, 0);
    assert_eq!(graph_rows(wreck.uri()).await.unwrap(), rows);
}

#[tokio::test]
async fn a_young_writer_is_waited_for_and_the_report_says_until_when() {
    let wreck = Wreck::new().await.unwrap();
    let table = wreck.named("node:A", "main").await.unwrap();
    wreck.arm(ID, "Load", Utc::now(), vec![table], &json!({})).unwrap();
    wreck.commit("node:A", "main", &["four"]).await.unwrap();
    let before = files(&wreck);
    let report = recover(wreck.uri(), &RecoverOptions::default()).await;
    assert_eq!(report.exit_code().number(), 12, "{report:#?}");
    let row = only(&report);
    assert_eq!((row.action, row.done), (RecoverAction::Wait, false));
    assert!(row.waits_until.unwrap() > Utc::now() + TimeDelta::minutes(14), "{row:#?}");
    assert!(row.hint.as_deref().unwrap().contains(&format!("--assume-dead {ID}")), "{row:#?}");
    assert_eq!(files(&wreck), before);
    let mut sooner = RecoverOptions::default();
    sooner.dead_after = TimeDelta::zero();
    let report = recover(wreck.uri(), &sooner).await;
    assert_eq!(report.exit_code().number(), 0, "{report:#?}");
    is_at_rest(wreck.uri()).await;
}

#[tokio::test]
async fn what_its_writer_cannot_have_committed_is_refused_even_if_he_is_said_to_be_dead() {
    let wreck = Wreck::new().await.unwrap();
    let table = wreck.named("node:A", "main").await.unwrap();
    // Somebody had committed a minute before it began.
    wreck.commit("node:A", "main", &["four"]).await.unwrap();
    let began = Utc::now() + TimeDelta::minutes(1);
    wreck.arm(ID, "Load", began, vec![table.clone()], &json!({})).unwrap();
    let keeper = Keeper::builder().clock(move || began + TimeDelta::minutes(1)).build();
    let report = keeper.recover([wreck.uri()], &dead()).await;
    assert_eq!(report.exit_code().number(), 12, "{report:#?}");
    assert!(only(&report).why.contains("before the operation began"), "{report:#?}");
    // And an optimize appends no rows.
    wreck.arm(ID, "Optimize", Utc::now(), vec![table], &json!({})).unwrap();
    let report = recover(wreck.uri(), &dead()).await;
    assert_eq!(report.exit_code().number(), 12, "{report:#?}");
    assert!(only(&report).why.contains("which a Optimize does not commit"), "{report:#?}");
    assert_eq!(
        wreck.head("node:A", "main").await.unwrap(),
        wreck.pin("node:A", "main").await.unwrap() + 1
    );
}
