//! Optimize on branches: forks rewrite what they own and share the rest.

use std::sync::Arc;

use lancekeeper::{
    BranchSelection, Keeper, NoProgress, OptimizeOptions, OptimizeReport, SkipReason,
};
use lancekeeper_manifest::Graph;
use lancekeeper_model::Branch;
use lancekeeper_store::Tables;
use lancekeeper_store::root::recognise;
use lancekeeper_testkit::{FixturePath, check_graph, graph_rows};

async fn optimize(uri: &str, branches: BranchSelection) -> OptimizeReport {
    let options = OptimizeOptions { branches, ..OptimizeOptions::default() };
    Keeper::new().optimize(&[uri.to_owned()], &options, Arc::new(NoProgress)).await
}

/// Fragments of a fork that lie in its own directory, and those it shares.
async fn owned_and_shared(uri: &str, branch: &Branch) -> Vec<(String, usize, usize)> {
    let tables = Tables::new();
    let root = recognise(uri).unwrap();
    let graph = Graph::open(&tables, &root).await.unwrap();
    let snapshot = graph.snapshot(branch).await.unwrap();
    let mut counts = Vec::new();
    for pin in snapshot.pins.iter().filter(|pin| pin.table_branch == *branch) {
        let fork = tables.open(&root.address_of(&pin.location), branch).await.unwrap();
        assert_eq!(fork.manifest().version, pin.version.0, "{}: HEAD is the pin", pin.key);
        let shared =
            |f: &&lance::table::format::Fragment| f.files.iter().any(|file| file.base_id.is_some());
        let shared = fork.fragments().iter().filter(shared).count();
        counts.push((pin.key.to_string(), fork.fragments().len() - shared, shared));
    }
    counts
}

#[tokio::test]
async fn forks_rewrite_only_what_they_own_at_fixture_path() {
    let fixture = FixturePath::unpack("omnigraph-0.7.0-branches").unwrap();
    for name in ["omnigraph-0.7.0-branches", "omnigraph-0.8.0-branches"] {
        fixture.reset(name).unwrap();
        let uri = fixture.uri();
        let rows = graph_rows(&uri).await.unwrap();
        let work = Branch::named("work");
        let before = owned_and_shared(&uri, &work).await;
        assert!(before.iter().all(|(_, owned, shared)| *owned > 1 && *shared > 1), "{before:?}");

        let report = optimize(&uri, BranchSelection::All).await;
        assert_eq!(report.exit_code().number(), 0, "{report:#?}");
        assert_eq!(report.roots[0].published, 2, "one publish for main, one for work");
        let on = |label: &str| {
            let of_branch = move |t: &&lancekeeper::TableOptimizeStats| t.branch.label() == label;
            report.roots[0].tables.iter().filter(of_branch).collect::<Vec<_>>()
        };
        assert!(on("lazy").iter().all(|t| t.skipped == Some(SkipReason::Inherited)));
        assert_eq!(on("work").iter().filter(|t| t.committed).count(), before.len());
        let after = owned_and_shared(&uri, &work).await;
        for ((key, _, shared), (_, owned_after, shared_after)) in before.iter().zip(&after) {
            assert_eq!((*owned_after, shared_after), (1, shared), "{name}: {key}");
        }
        assert_eq!(graph_rows(&uri).await.unwrap(), rows, "{name}");
        check_graph(&uri).await.unwrap();

        let second = optimize(&uri, BranchSelection::All).await;
        assert_eq!(second.roots[0].published, 0);
        assert!(second.roots[0].tables.iter().all(|t| !t.committed));
    }
}

#[tokio::test]
async fn one_branch_can_be_named_and_main_is_then_left_alone_at_fixture_path() {
    let fixture = FixturePath::unpack("omnigraph-0.8.0-branches").unwrap();
    let named = BranchSelection::Named(vec!["work".to_owned()]);
    let report = optimize(&fixture.uri(), named).await;
    assert_eq!(report.roots[0].published, 1);
    let tables = &report.roots[0].tables;
    assert!(
        tables
            .iter()
            .filter(|t| t.committed)
            .all(|t| { t.branch.label() == "work" || t.table_key.as_str().starts_with('_') })
    );
    let unknown = BranchSelection::Named(vec!["absent".to_owned()]);
    let report = optimize(&fixture.uri(), unknown).await;
    assert_eq!(report.exit_code().number(), 2);
    let error = report.roots[0].error.as_deref().unwrap();
    assert!(error.contains("absent") && error.contains("work"), "{error}");
    for internal in ["__schema_apply_lock__", "__run__1"] {
        let named = BranchSelection::Named(vec![internal.to_owned()]);
        assert_eq!(optimize(&fixture.uri(), named).await.exit_code().number(), 2, "{internal}");
    }
}
