//! Stamps that no migration explains, and a history that is lost: refused by name with nothing
//! written, readable all the same, and mended by what the hint says.

use std::fs;
use std::path::Path;

use lancekeeper::{
    BranchSelection, CountOptions, Keeper, MigrateGoal, MigrateOptions, StatusOptions,
};
use lancekeeper_manifest::GraphCommit;
use lancekeeper_model::InternalSchema;
use lancekeeper_testkit::rows::count;
use lancekeeper_testkit::{FixturePath, GraphRows, Wreck, graph_rows};

use super::{STAMP, all_are_stamped, histories, manifest, migrate, optimize, to_v4};
use crate::binary::{lancekeeper, run};
use crate::fixtures::tree;
use crate::recover::{dead, preview, recover};

const V3: &str = "omnigraph-0.7.0-branches";
const V4: &str = "omnigraph-0.8.0-branches";
const RESTAMP: &str = "migrate ROOT --restamp N";

pub(super) async fn set_stamp(uri: &str, branch: &str, to: &str) {
    manifest(uri, branch).await.update_schema_metadata([(STAMP, to)]).await.unwrap();
}

/// Every verb that writes refuses, naming this; nothing is written, and everything can be read.
async fn is_refused_and_readable(
    uri: &str,
    code: i32,
    words: &[&str],
    hint: &str,
    rows: &GraphRows,
) {
    let before = tree(uri);
    // What recovers says itself what there is of a lost history.
    let recovers: &[_] = match hint {
        RESTAMP => &["recover", "recover --confirm", "repair", "repair --confirm"],
        _ => &[],
    };
    let lines = [
        "optimize",
        "optimize --dry-run",
        "cleanup --keep 1 --confirm",
        "branch create",
        "branch delete --confirm",
        "migrate --to 4 --confirm",
    ];
    for line in lines.iter().chain(recovers) {
        let branch = if line.contains("create") { "new" } else { "lazy" };
        let branch = line.starts_with("branch").then_some(branch);
        let ran = run(lancekeeper(line.split(' ').chain([uri]).chain(branch)));
        assert_eq!(ran.code, Some(code), "{line}: {ran:#?}");
        for word in words.iter().chain([&hint]) {
            assert!(ran.stderr.contains(word), "{line} says {word}: {ran:#?}");
        }
    }
    let keeper = Keeper::new();
    let status = keeper.status_of([uri], StatusOptions::default()).await;
    assert_eq!(status.exit_code().number(), 0, "{status:#?}");
    assert_eq!(i32::from(status.attention_code().number()), code, "{status:#?}");
    let options = CountOptions { branches: BranchSelection::All, ..CountOptions::default() };
    let counted = keeper.count_rows([uri], &options).await;
    assert_eq!(counted.exit_code().number(), 0, "{counted:#?}");
    let all = ["main", "lazy", "work"].map(|branch| count(rows, branch)).iter().sum::<usize>();
    assert_eq!(counted.totals.rows, all as u64);
    assert!(graph_rows(uri).await.unwrap() == *rows);
    assert_eq!(tree(uri), before, "something was written");
}

/// What the hint says gets it going, after a preview that writes nothing.
async fn restamp(uri: &str, to: InternalSchema) {
    let goal = MigrateGoal::Restamp(to);
    let options = MigrateOptions { goal, ..MigrateOptions::default() };
    let before = tree(uri);
    let plan = Keeper::new().plan_migrate([uri], &options).await;
    assert_eq!(plan.exit_code().number(), 0, "{plan:#?}");
    assert_eq!(tree(uri), before);
    let report = migrate(uri, &options).await;
    assert_eq!(report.exit_code().number(), 0, "{report:#?}");
    all_are_stamped(uri, &to.number().to_string()).await;
    let report = optimize(uri).await;
    assert_eq!(report.exit_code().number(), 0, "{report:#?}");
}

#[tokio::test]
async fn stamps_of_a_v4_graph_that_nobody_knows_are_refused_and_can_be_mended_at_fixture_path() {
    let fixture = FixturePath::unpack(V4).unwrap();
    let uri = fixture.uri();
    let rows = graph_rows(&uri).await.unwrap();
    for branch in ["main", "work"] {
        fixture.reset(V4).unwrap();
        set_stamp(&uri, branch, "9").await;
        let branch = format!("branch {branch}");
        let words = ["upgrade lancekeeper first", &branch, "v9", "v4"];
        is_refused_and_readable(&uri, 13, &words, RESTAMP, &rows).await;
        let status = Keeper::new().status([&uri]).await;
        assert_eq!(status.roots[0].stamps.len(), 3, "each is shown: {status:#?}");
    }
    restamp(&uri, InternalSchema::V4).await;
    assert!(graph_rows(&uri).await.unwrap() == rows);
}

/// A recovery publishes to a branch only after it restored its tables.
#[tokio::test]
async fn nothing_is_recovered_on_a_branch_whose_stamp_nobody_knows() {
    for (stamp, word) in [("9", "upgrade lancekeeper first"), ("banana", "not a number")] {
        let wreck = Wreck::new().await.unwrap();
        let uri = wreck.uri();
        wreck.writer.create_branch("work", "main").await.unwrap();
        let a = wreck.named("node:A", "work").await.unwrap();
        let b = wreck.named("node:B", "work").await.unwrap();
        let of_branch = serde_json::json!({"branch": "work"});
        wreck.arm("01A", "Load", chrono::Utc::now(), vec![a, b], &of_branch).unwrap();
        wreck.commit("node:A", "work", &["four"]).await.unwrap();
        set_stamp(uri, "work", stamp).await;
        let before = tree(uri);
        for report in [preview(uri, &dead()).await, recover(uri, &dead()).await] {
            let error = report.roots[0].error.as_deref().unwrap();
            assert!(error.contains("branch work") && error.contains(word), "{report:#?}");
        }
        assert_eq!(tree(uri), before, "something was written");
    }
}

#[tokio::test]
async fn stamps_of_a_v3_graph_that_nothing_explains_are_refused_and_can_be_mended_at_fixture_path()
{
    let fixture = FixturePath::unpack(V3).unwrap();
    let uri = fixture.uri();
    let rows = graph_rows(&uri).await.unwrap();
    for (branch, stamp, code, words) in [
        ("main", "banana", 1, ["branch main", "\"banana\"", "not a number"]),
        ("work", "banana", 1, ["branch work", "\"banana\"", "not a number"]),
        ("work", "4", 13, ["branch work", "v4", "main at v3"]),
        ("main", "5", 13, ["branch main", "stamped 5", "no keeper's note"]),
    ] {
        fixture.reset(V3).unwrap();
        set_stamp(&uri, branch, stamp).await;
        is_refused_and_readable(&uri, code, &words, RESTAMP, &rows).await;
    }
    // What it is not, it does not become.
    let goal = MigrateGoal::Restamp(InternalSchema::V4);
    let wrong = migrate(&uri, &MigrateOptions { goal, ..MigrateOptions::default() }).await;
    assert_eq!(wrong.exit_code().number(), 13, "{wrong:#?}");
    restamp(&uri, InternalSchema::V3).await;
    assert!(graph_rows(&uri).await.unwrap() == rows);
    // Half-way, and the note by which it would go on is garbage.
    set_stamp(&uri, "main", "5").await;
    let note = Path::new(&uri).join("__maintenance/migration.json");
    fs::write(&note, "{\"schema\": garbage").unwrap();
    let words = ["__maintenance/migration.json", "cannot be read"];
    is_refused_and_readable(&uri, 1, &words, "--restamp 3", &rows).await;
    restamp(&uri, InternalSchema::V3).await;
    assert!(!note.exists() && graph_rows(&uri).await.unwrap() == rows);
    assert_eq!(migrate(&uri, &to_v4()).await.exit_code().number(), 0);
    let to = |goal| MigrateOptions { goal, ..MigrateOptions::default() };
    let back = migrate(&uri, &to(MigrateGoal::V3)).await;
    assert_eq!(back.exit_code().number(), 2, "{back:#?}");
    assert!(back.roots[0].hint.as_deref().unwrap().contains("--abort"), "{back:#?}");
    let again = migrate(&uri, &to(MigrateGoal::Writable)).await;
    assert_eq!((again.exit_code().number(), again.roots[0].warnings.len()), (0, 1), "{again:#?}");
}

#[tokio::test]
async fn a_lost_history_is_refused_by_name_and_can_be_made_anew_at_fixture_path() {
    let fixture = FixturePath::unpack(V3).unwrap();
    let uri = fixture.uri();
    let rows = graph_rows(&uri).await.unwrap();
    let commits = histories(&uri).await;
    fs::remove_dir_all(Path::new(&uri).join("_graph_commits.lance")).unwrap();
    let words = ["_graph_commits.lance", "missing", "v3"];
    is_refused_and_readable(&uri, 1, &words, "--rebuild-history", &rows).await;

    let goal = MigrateGoal::Newest { rebuild: true };
    let report = migrate(&uri, &MigrateOptions { goal, ..to_v4() }).await;
    assert_eq!(report.exit_code().number(), 0, "{report:#?}");
    all_are_stamped(&uri, "4").await;
    assert!(graph_rows(&uri).await.unwrap() == rows);
    let rebuilt = histories(&uri).await;
    for (branch, commits) in commits {
        let versions = |commits: &[GraphCommit]| {
            let of = commits.iter().map(|of| (of.branch.clone(), of.manifest_version));
            let mut versions: Vec<_> = of.collect();
            versions.sort();
            versions
        };
        // The first commit of v3 names the version at which it was stamped, not the one that made it.
        let (was, now) = (versions(&commits), versions(&rebuilt[branch]));
        assert_eq!(was[1..], now[1..], "{branch}");
        assert_eq!(was.len(), now.len(), "{branch}");
    }
    let report = optimize(&uri).await;
    assert_eq!(report.exit_code().number(), 0, "{report:#?}");
}
