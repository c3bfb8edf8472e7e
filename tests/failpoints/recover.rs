//! Recovery of what other writers left dies, fails, or meets somebody who is alive: the next one
//! brings it to the same end, and what somebody alive commits is never taken back.

use std::path::Path;

use chrono::Utc;
use fail::{FailGuard, FailScenario};
use lancekeeper::{AssumedDead, Keeper, RecoverAction, RecoverOptions, RecoverReport};
use lancekeeper_store::failpoint;
use lancekeeper_testkit::rows::count;
use lancekeeper_testkit::wreck::uncommit;
use lancekeeper_testkit::{FixturePath, GraphRows, Wreck, graph_rows};
use serde_json::json;

use crate::child::{Death, Verb, run_and_die};
use crate::pause::pause_at;

const ID: &str = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
/// A file that is no sidecar.
const GARBAGE: &str = "01ARZ3NDEKTSV4RRFFQ69G5FAW.json";
const LOCK: &str = "__schema_apply_lock__";

/// Whoever wrote it is dead; what cannot be understood goes aside.
pub(crate) fn options(root: &str) -> RecoverOptions {
    let mut options = RecoverOptions::default();
    options.assumed_dead = AssumedDead::All;
    let is_there = Path::new(root).join("__recovery").join(GARBAGE).exists();
    options.quarantine = is_there.then(|| GARBAGE.to_owned());
    options
}

async fn recover(root: &str) -> RecoverReport {
    Keeper::new().recover([root], &options(root)).await
}

/// What was left, and what becomes of it.
struct Scene {
    uri: String,
    /// Rows that main reads in the end.
    rows: usize,
    /// How its recovery is written down; not at all, for an empty text.
    kind: &'static str,
    wreck: Option<Wreck>,
    _path: Option<FixturePath>,
    _failpoints: FailScenario<'static>,
}

impl Scene {
    fn of(wreck: Wreck, more: usize, kind: &'static str) -> Self {
        let failpoints = FailScenario::setup();
        let uri = wreck.uri().to_owned();
        let (wreck, path) = (Some(wreck), None);
        Self { uri, rows: 6 + more, kind, wreck, _path: path, _failpoints: failpoints }
    }

    fn at_path(fixture: &str, rows: usize, kind: &'static str) -> Self {
        let failpoints = FailScenario::setup();
        let path = FixturePath::unpack(fixture).unwrap();
        let uri = path.uri();
        Self { uri, rows, kind, wreck: None, _path: Some(path), _failpoints: failpoints }
    }

    fn wreck(&self) -> &Wreck {
        self.wreck.as_ref().unwrap()
    }

    async fn read(&self) -> GraphRows {
        graph_rows(&self.uri).await.unwrap()
    }

    /// One more recovery ends it, and the one after that finds nothing.
    async fn converges(&self) {
        let report = recover(&self.uri).await;
        assert_eq!(report.exit_code().number(), 0, "{report:#?}");
        assert_eq!(count(&self.read().await, "main"), self.rows);
        let again = recover(&self.uri).await;
        assert!(again.roots[0].left.is_empty(), "{again:#?}");
        let status = Keeper::new().status([&self.uri]).await;
        assert_eq!(status.attention_code().number(), 0, "{status:#?}");
        assert!(status.roots[0].sidecars.is_empty());
        let kinds = recorded(&self.uri).await;
        assert_eq!(kinds.is_empty(), self.kind.is_empty(), "{kinds:?}");
        assert!(kinds.iter().all(|kind| kind == self.kind), "{kinds:?} for {}", self.kind);
    }
}

/// The kinds of recoveries that are written down.
async fn recorded(uri: &str) -> Vec<String> {
    use arrow_array::cast::AsArray;
    let uri = format!("{uri}/_graph_commit_recoveries.lance");
    let Ok(table) = lance::Dataset::open(&uri).await else { return Vec::new() };
    let mut scan = table.scan();
    let rows = scan.project(&["recovery_kind"]).unwrap().try_into_batch().await.unwrap();
    rows.column(0).as_string::<i32>().iter().flatten().map(ToOwned::to_owned).collect()
}

/// A load of two tables that died after the first.
async fn partial() -> Scene {
    let wreck = Wreck::new().await.unwrap();
    let began = Utc::now();
    let tables = vec![
        wreck.named("node:A", "main").await.unwrap(),
        wreck.named("node:B", "main").await.unwrap(),
    ];
    wreck.arm(ID, "Load", began, tables, &json!({})).unwrap();
    wreck.commit("node:A", "main", &["four"]).await.unwrap();
    Scene::of(wreck, 0, "RolledBack")
}

/// The same, after both.
async fn complete() -> Scene {
    let mut scene = partial().await;
    scene.wreck().commit("node:B", "main", &["four"]).await.unwrap();
    (scene.rows, scene.kind) = (8, "RolledForward");
    scene
}

/// A schema apply that died with everything written, before it published.
async fn applied() -> Scene {
    let scene = unapplied().await;
    let types: &[(&str, &[&str])] = &[("A", &["nick", "note"]), ("B", &["note"])];
    scene.wreck().write_schema(types, ".staging", "sct").unwrap();
    Scene { kind: "RolledForward", ..scene }
}

/// One that died while it wrote its schema.
async fn unapplied() -> Scene {
    let wreck = Wreck::new().await.unwrap();
    let began = Utc::now();
    let tables = vec![wreck.named("node:A", "main").await.unwrap()];
    wreck.arm(ID, "SchemaApply", began, tables, &json!({})).unwrap();
    wreck.add_property("node:A", "nick").await.unwrap();
    let types: &[(&str, &[&str])] = &[("A", &["nick", "note"]), ("B", &["note"])];
    wreck.write_schema(types, ".staging", "sc").unwrap();
    wreck.writer.create_branch(LOCK, "main").await.unwrap();
    Scene::of(wreck, 0, "RolledBack")
}

/// A file that nobody understands.
async fn garbage() -> Scene {
    let wreck = Wreck::new().await.unwrap();
    std::fs::create_dir_all(wreck.path("__recovery")).unwrap();
    std::fs::write(wreck.path("__recovery").join(GARBAGE), "{\"schema_version\":").unwrap();
    Scene::of(wreck, 0, "")
}

/// A v3 publish whose row was not written any more.
async fn unnamed() -> Scene {
    let scene = Scene::at_path("omnigraph-0.7.0-main-only", 6010, "");
    uncommit(&Path::new(&scene.uri).join("_graph_commits.lance")).unwrap();
    scene
}

/// A load that a real client of v3 was killed in.
async fn killed() -> Scene {
    Scene::at_path("omnigraph-0.7.0-killed-load-partial", 7193, "RolledBack")
}

macro_rules! deaths {
    ($($test:ident: $scene:ident $name:ident at $crossing:literal;)*) => {
        $(
            #[tokio::test]
            async fn $test() {
                let scene = $scene().await;
                let before = scene.read().await.keys().cloned().collect::<Vec<_>>();
                let death = Death { verb: Verb::Recover, ..Death::at(failpoint::$name, $crossing) };
                run_and_die(&scene.uri, death);
                assert_eq!(scene.read().await.into_keys().collect::<Vec<_>>(), before);
                scene.converges().await;
            }
        )*

        /// The failpoints at which a recovery of these tests dies.
        pub(crate) const DIED_AT: &[&str] = &[$(failpoint::$name),*];
    };
}

deaths! {
    a_recovery_that_dies_before_it_moves_a_file_aside_is_recovered:
        garbage RECOVER_PRE_QUARANTINE at 1;
    a_recovery_that_dies_before_it_takes_back_is_recovered:
        partial RECOVER_JUDGED_PRE_ACTION at 1;
    a_recovery_that_dies_before_a_restore_is_recovered:
        partial RECOVER_PRE_RESTORE at 1;
    a_recovery_that_dies_with_tables_restored_is_recovered:
        partial RECOVER_RESTORED_PRE_PUBLISH at 1;
    a_recovery_that_dies_with_restored_tables_published_is_recovered:
        partial RECOVER_PUBLISHED_PRE_SCHEMA at 1;
    a_recovery_that_dies_before_it_writes_down_what_went_back_is_recovered:
        partial RECOVERY_RECORD_AUDIT at 1;
    a_recovery_that_dies_with_what_went_back_written_down_is_recovered:
        partial RECOVER_RECORDED_PRE_DISARM at 1;
    a_recovery_that_dies_before_it_publishes_is_recovered:
        complete RECOVER_JUDGED_PRE_ACTION at 1;
    a_recovery_that_dies_with_everything_published_is_recovered:
        complete RECOVER_PUBLISHED_PRE_SCHEMA at 1;
    a_recovery_that_dies_before_it_writes_down_what_it_published_is_recovered:
        complete RECOVERY_RECORD_AUDIT at 1;
    a_recovery_that_dies_with_what_it_published_written_down_is_recovered:
        complete RECOVER_RECORDED_PRE_DISARM at 1;
    a_recovery_that_dies_before_the_staged_schema_counts_is_recovered:
        applied RECOVER_PUBLISHED_PRE_SCHEMA at 1;
    a_recovery_that_dies_with_the_first_schema_file_renamed_is_recovered:
        applied RECOVER_PROMOTING at 1;
    a_recovery_that_dies_with_the_second_schema_file_renamed_is_recovered:
        applied RECOVER_PROMOTING at 2;
    a_recovery_that_dies_with_every_schema_file_renamed_is_recovered:
        applied RECOVER_PROMOTING at 3;
    a_recovery_that_dies_while_it_unstages_a_schema_is_recovered:
        unapplied RECOVER_UNSTAGING at 2;
    a_recovery_that_dies_before_it_unlocks_is_recovered:
        unapplied RECOVER_PRE_UNLOCK at 1;
    a_recovery_that_dies_before_a_missing_row_is_recovered_at_fixture_path:
        unnamed RECOVER_PRE_COMMIT_ROW at 1;
    a_recovery_that_dies_before_its_own_row_of_a_v3_history_is_recovered_at_fixture_path:
        killed PUBLISH_BEFORE_COMMIT_ROW at 1;
}

macro_rules! failures {
    ($($test:ident: $scene:ident $name:ident;)*) => {
        $(
            #[tokio::test]
            async fn $test() {
                let scene = $scene().await;
                let name = failpoint::$name;
                let guard = FailGuard::new(name, "return").unwrap();
                let report = recover(&scene.uri).await;
                drop(guard);
                let error = report.roots[0].error.clone().unwrap_or_default();
                let said = format!("injected failpoint triggered: {name}");
                assert!(error.contains(&said), "{report:#?}");
                scene.converges().await;
            }
        )*

        /// The failpoints at which a recovery of these tests fails.
        pub(crate) const FAILED_AT: &[&str] = &[$(failpoint::$name),*];
    };
}

failures! {
    a_file_that_cannot_be_moved_aside_stays: garbage RECOVER_PRE_QUARANTINE;
    a_recovery_that_fails_before_it_acts_says_so: partial RECOVER_JUDGED_PRE_ACTION;
    a_restore_that_fails_is_said: partial RECOVER_PRE_RESTORE;
    a_recovery_that_fails_before_its_publish_says_so: partial RECOVER_RESTORED_PRE_PUBLISH;
    a_recovery_that_fails_after_its_publish_says_so: complete RECOVER_PUBLISHED_PRE_SCHEMA;
    a_schema_that_cannot_be_taken_over_is_said: applied RECOVER_PROMOTING;
    a_schema_that_cannot_be_taken_back_is_said: unapplied RECOVER_UNSTAGING;
    what_cannot_be_written_down_is_said: complete RECOVERY_RECORD_AUDIT;
    a_sidecar_that_stays_is_said: complete RECOVER_RECORDED_PRE_DISARM;
    a_lock_that_stays_is_said: unapplied RECOVER_PRE_UNLOCK;
    a_row_that_cannot_be_added_is_said_at_fixture_path: unnamed RECOVER_PRE_COMMIT_ROW;
}

#[tokio::test]
async fn what_somebody_commits_after_the_look_is_never_restored_over() {
    for name in [failpoint::RECOVER_JUDGED_PRE_ACTION, failpoint::RECOVER_PRE_RESTORE] {
        let scene = partial().await;
        let writer = scene.wreck().writer.clone();
        let entry = scene.wreck().entry("node:A", "main").await.unwrap();
        let pause = pause_at(name, move || async move {
            let mut table = writer.open(&entry.location, "main", None).await.unwrap();
            let rows = [("alive".to_owned(), "note".to_owned())];
            lancekeeper_testkit::writer::append(&mut table, &rows).await.unwrap();
            let pinned = [("node:A", &table)];
            let publish = writer.begin_publish("main", &pinned, None, Utc::now()).await.unwrap();
            publish.commit().await.unwrap();
        });
        let report = recover(&scene.uri).await;
        assert_eq!(pause.crossings(), 1);
        drop(pause);
        assert_eq!(report.exit_code().number(), 12, "{name}: {report:#?}");
        let row = &report.roots[0].left[0];
        assert!(!row.done && row.action == RecoverAction::Wait, "{name}: {row:#?}");
        let error = row.error.as_deref().unwrap();
        assert!(error.contains("node:A meanwhile"), "{name}: {error}");
        let read = scene.read().await;
        let rows = &read[&("main".to_owned(), "node:A".to_owned())];
        assert!(rows.iter().any(|row| row.contains("alive")), "{name}: {rows:?}");
        assert_eq!(
            scene.wreck().head("node:A", "main").await.unwrap(),
            scene.wreck().pin("node:A", "main").await.unwrap(),
            "{name}: something was committed on top of it"
        );
        assert_eq!(recorded(&scene.uri).await, Vec::<String>::new(), "{name}");
        // Once more, after he published: what he made readers see stays.
        let again = recover(&scene.uri).await;
        assert_eq!(again.exit_code().number(), 0, "{name}: {again:#?}");
        assert_eq!(scene.read().await, read, "{name}");
    }
}

#[tokio::test]
async fn what_somebody_commits_after_the_look_is_never_published_with_it() {
    let scene = complete().await;
    let writer = scene.wreck().writer.clone();
    let entry = scene.wreck().entry("node:A", "main").await.unwrap();
    let pause = pause_at(failpoint::RECOVER_JUDGED_PRE_ACTION, move || async move {
        let mut table = writer.open(&entry.location, "main", None).await.unwrap();
        let rows = [("alive".to_owned(), "note".to_owned())];
        lancekeeper_testkit::writer::append(&mut table, &rows).await.unwrap();
    });
    let before = scene.read().await;
    let head = scene.wreck().head("node:A", "main").await.unwrap();
    let report = recover(&scene.uri).await;
    drop(pause);
    assert_eq!(report.exit_code().number(), 12, "{report:#?}");
    assert_eq!(scene.read().await, before, "something was published");
    assert_eq!(scene.wreck().head("node:A", "main").await.unwrap(), head + 1, "he is still there");
}

#[tokio::test]
async fn a_client_that_recovers_at_the_same_time_is_not_fought() {
    let scene = complete().await;
    let writer = scene.wreck().writer.clone();
    let file = scene.wreck().path("__recovery").join(format!("{ID}.json"));
    let a = scene.wreck().entry("node:A", "main").await.unwrap();
    let b = scene.wreck().entry("node:B", "main").await.unwrap();
    let pause = pause_at(failpoint::RECOVER_JUDGED_PRE_ACTION, move || async move {
        let a = writer.open(&a.location, "main", None).await.unwrap();
        let b = writer.open(&b.location, "main", None).await.unwrap();
        let pinned = [("node:A", &a), ("node:B", &b)];
        let publish = writer.begin_publish("main", &pinned, None, Utc::now()).await.unwrap();
        publish.commit().await.unwrap();
        std::fs::remove_file(file).unwrap();
    });
    let report = recover(&scene.uri).await;
    drop(pause);
    assert_eq!(report.exit_code().number(), 0, "{report:#?}");
    assert!(report.roots[0].left[0].why.contains("another recovery"), "{report:#?}");
    assert_eq!(count(&scene.read().await, "main"), 8);
}

/// A recovery published what it had restored and died before it wrote that down; then somebody published again.
#[tokio::test]
async fn what_went_back_is_written_down_as_gone_back_though_others_published_since() {
    let mut scene = partial().await;
    let name = failpoint::RECOVERY_RECORD_AUDIT;
    run_and_die(&scene.uri, Death { verb: Verb::Recover, ..Death::at(name, 1) });
    let table = scene.wreck().commit("node:A", "main", &["five"]).await.unwrap();
    scene.wreck().publish("node:A", "main", &table).await.unwrap();
    scene.rows += 1;
    scene.converges().await;
}

#[tokio::test]
async fn the_lock_of_a_schema_apply_that_began_after_the_look_stays() {
    let scene = unapplied().await;
    let writer = scene.wreck().writer.clone();
    let pause = pause_at(failpoint::RECOVER_PRE_UNLOCK, move || async move {
        writer.delete_branch(LOCK).await.unwrap();
        writer.create_branch(LOCK, "main").await.unwrap();
    });
    let report = recover(&scene.uri).await;
    assert_eq!(pause.crossings(), 1);
    drop(pause);
    assert_eq!(report.exit_code().number(), 12, "{report:#?}");
    let row = report.roots[0].left.iter().find(|row| row.name == LOCK).unwrap();
    assert_eq!((row.action, row.done), (RecoverAction::Wait, false), "{row:#?}");
    let file = format!("__manifest/_refs/branches/{LOCK}.json");
    assert!(scene.wreck().path(&file).exists(), "it was taken away");
    scene.converges().await;
}
