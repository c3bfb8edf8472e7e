//! `recover` on what real clients left, and on what nobody can understand.

mod bad;
mod kinds;
mod lost;
mod unstick;

use std::path::Path;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use lance::dataset::builder::DatasetBuilder;
use lancekeeper::{
    AssumedDead, Keeper, NoProgress, OptimizeOptions, RecoverAction, RecoverOptions, RecoverReport,
    RecoverRow,
};
use lancekeeper_manifest::Graph;
use lancekeeper_model::Branch;
use lancekeeper_store::Tables;
use lancekeeper_store::root::recognise;
use lancekeeper_testkit::invariants::names;
use lancekeeper_testkit::rows::count;
use lancekeeper_testkit::{FixturePath, graph_rows};

use crate::fixtures::tree;

/// Whoever wrote it is dead.
pub(crate) fn dead() -> RecoverOptions {
    let mut options = RecoverOptions::default();
    options.assumed_dead = AssumedDead::All;
    options
}

pub(crate) async fn preview(uri: &str, options: &RecoverOptions) -> RecoverReport {
    Keeper::new().plan_recover([uri], options).await
}

pub(crate) async fn recover(uri: &str, options: &RecoverOptions) -> RecoverReport {
    Keeper::new().recover([uri], options).await
}

pub(crate) fn actions(report: &RecoverReport) -> Vec<RecoverAction> {
    report.roots[0].left.iter().map(|row| row.action).collect()
}

pub(crate) fn only(report: &RecoverReport) -> &RecoverRow {
    let rows = &report.roots[0].left;
    assert_eq!(rows.len(), 1, "{report:#?}");
    &rows[0]
}

/// Every table of every branch is where its branch says, and nothing is unfinished.
pub(crate) async fn is_at_rest(uri: &str) {
    let root = recognise(uri).unwrap();
    let graph = Graph::open(&Tables::new(), &root).await.unwrap();
    let branches = graph.branches().await.unwrap();
    for branch in branches.iter().chain([&Branch::main()]) {
        let snapshot = graph.snapshot(branch).await.unwrap();
        for pin in snapshot.pins.iter().filter(|pin| pin.table_branch == *branch) {
            let table = Tables::new().open(&root.address_of(&pin.location), branch).await.unwrap();
            assert_eq!(table.manifest().version, pin.version.0, "{}@{branch} drifts", pin.key);
            table.validate().await.unwrap();
        }
    }
    let left = names(&Path::new(uri).join("__recovery")).unwrap();
    assert!(!left.iter().any(|name| name.ends_with(".json")), "{left:?}");
    let status = Keeper::new().status([uri]).await;
    assert_eq!(status.attention_code().number(), 0, "{status:#?}");
    let nothing = recover(uri, &RecoverOptions::default()).await;
    assert_eq!(nothing.exit_code().number(), 0, "{nothing:#?}");
    assert!(nothing.roots[0].left.is_empty(), "{nothing:#?}");
}

/// What recoveries are written down: kind, kind of writer, outcomes.
pub(crate) async fn recorded(uri: &str) -> Vec<String> {
    let uri = format!("{uri}/_graph_commit_recoveries.lance");
    let Ok(table) = DatasetBuilder::from_uri(uri).load().await else { return Vec::new() };
    let columns = ["recovery_kind", "sidecar_writer_kind", "per_table_outcomes_json"];
    let mut scan = table.scan();
    let rows = scan.project(&columns).unwrap().try_into_batch().await.unwrap();
    (0..rows.num_rows())
        .map(|at| {
            let cell = |column: usize| rows.column(column).as_string::<i32>().value(at).to_owned();
            format!("{} {} {}", cell(0), cell(1), cell(2))
        })
        .collect()
}

#[tokio::test]
async fn what_killed_clients_left_is_ended_as_they_would_end_it_at_fixture_path() {
    use RecoverAction::{RollBack, RollForward};
    // Archive, what becomes of each sidecar, rows of main, outcomes.
    let cases: [(&str, &[RecoverAction], usize, &[&str]); 5] = [
        (
            "omnigraph-0.7.0-killed-load-complete",
            &[RollForward],
            7793,
            &[
                r#"RolledForward Load [{"table_key":"edge:WorksAt","from_version":19,"to_version":20},{"table_key":"node:Person","from_version":24,"to_version":25}]"#,
            ],
        ),
        (
            "omnigraph-0.7.0-killed-load-partial",
            &[RollBack],
            7193,
            &[r#"RolledBack Load [{"table_key":"node:Person","from_version":25,"to_version":24}]"#],
        ),
        (
            "omnigraph-0.8.0-killed-load-partial",
            &[RollBack],
            7193,
            &[
                r#"RolledBack Load [{"table_key":"edge:WorksAt","from_version":20,"to_version":19}]"#,
            ],
        ),
        (
            "omnigraph-0.8.0-killed-mutation",
            &[RollForward],
            7193,
            &[
                r#"RolledForward Mutation [{"table_key":"node:Person","from_version":24,"to_version":25}]"#,
            ],
        ),
        ("omnigraph-0.8.0-killed-optimize", &[RollBack, RollBack], 7193, &[]),
    ];
    let fixture = FixturePath::unpack(cases[0].0).unwrap();
    for (name, expected, rows, outcomes) in cases {
        fixture.reset(name).unwrap();
        let uri = fixture.uri();
        let before = tree(&uri);
        let plan = preview(&uri, &dead()).await;
        assert_eq!(plan.exit_code().number(), 12, "{name}: {plan:#?}");
        assert_eq!(tree(&uri), before, "{name}: a preview wrote something");
        let done = recover(&uri, &dead()).await;
        assert_eq!(done.exit_code().number(), 0, "{name}: {done:#?}");
        assert_eq!(
            (actions(&plan), actions(&done)),
            (expected.to_vec(), expected.to_vec()),
            "{name}: {done:#?}"
        );
        let read = graph_rows(&uri).await.unwrap();
        let found = ["main", "lazy", "work"].map(|branch| count(&read, branch));
        assert_eq!(found, [rows, 3619, 6619], "{name}");
        is_at_rest(&uri).await;
        let recorded = recorded(&uri).await;
        assert_eq!(recorded.len(), expected.len(), "{name}: {recorded:?}");
        assert!(
            outcomes.iter().all(|outcome| recorded.iter().any(|row| row == outcome)),
            "{name}: {recorded:#?}"
        );
        // And everything goes on as if nothing had been.
        let report =
            Keeper::new().optimize([&uri], &OptimizeOptions::default(), Arc::new(NoProgress)).await;
        assert_eq!(report.exit_code().number(), 0, "{name}: {report:#?}");
        let after = graph_rows(&uri).await.unwrap();
        assert!(after == read, "{name}: optimize changed rows");
    }
}
