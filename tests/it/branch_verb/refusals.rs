//! What `branch` refuses, with which exit code, and that nothing is written then.

use lance::dataset::UpdateBuilder;
use lancekeeper::ErrorKind;

use super::*;
use crate::binary::{lancekeeper, run};

/// Refused, by preview and deed alike, and nothing is written.
async fn is_not_deleted(uri: &str, name: &str, code: u8, words: &[&str]) {
    let before = files(uri);
    let keeper = Keeper::new();
    let preview = keeper.plan_delete_branch(uri, name).await;
    for report in [preview, keeper.delete_branch(uri, name).await] {
        is_refused(&report, code, words);
    }
    assert_eq!(files(uri), before);
}

async fn is_not_created(uri: &str, name: &str, from: &str, code: u8, words: &[&str]) {
    let before = files(uri);
    let keeper = Keeper::new();
    let preview = keeper.plan_create_branch(uri, name, from).await;
    for report in [preview, keeper.create_branch(uri, name, from).await] {
        is_refused(&report, code, words);
    }
    assert_eq!(files(uri), before);
}

fn is_refused(report: &BranchReport, code: u8, words: &[&str]) {
    assert_eq!(report.exit_code().number(), code, "{report:#?}");
    let error = report.roots[0].error.as_deref().unwrap();
    assert!(words.iter().all(|word| error.contains(word)), "{error}");
}

#[tokio::test]
async fn a_branch_that_another_was_cut_from_goes_after_it_at_fixture_path() {
    let fixture = FixturePath::unpack(BRANCHES[0]).unwrap();
    for name in BRANCHES {
        fixture.reset(name).unwrap();
        let uri = fixture.uri();
        create(&uri, "child", "work").await;
        write_on(&uri, "child", "child").await;
        let rows = graph_rows(&uri).await.unwrap();
        is_not_deleted(&uri, "work", 13, &["work cannot be deleted", "child was cut from it"])
            .await;
        assert_eq!(graph_rows(&uri).await.unwrap(), rows);
        delete(&uri, "child").await;
        delete(&uri, "work").await;
        assert_eq!(graph_rows(&uri).await.unwrap(), without(without(rows, "child"), "work"));
        cleans_nothing(&uri).await;
    }
}

#[tokio::test]
async fn a_branch_whose_fork_another_one_reads_stays() {
    let fixture = Fixture::unpack("omnigraph-0.8.0-main-only").unwrap();
    let uri = fixture.uri("graph");
    create(&uri, "a", "main").await;
    create(&uri, "b", "main").await;
    // As after a merge: the fork is `a`'s, and `b` reads it too.
    write_on(&uri, "a", "a").await;
    write_on(&uri, "b", "b").await;
    let b = DatasetBuilder::from_uri(format!("{uri}/__manifest")).with_branch("b", None);
    let b = std::sync::Arc::new(b.load().await.unwrap());
    let handed = UpdateBuilder::new(b)
        .update_where("table_branch = 'b' AND object_type = 'table_version'")
        .unwrap()
        .set("table_branch", "'a'")
        .unwrap();
    assert_eq!(handed.build().unwrap().execute().await.unwrap().rows_updated, 1);
    let rows = graph_rows(&uri).await.unwrap();
    is_not_deleted(&uri, "a", 13, &["branch b reads its fork of nodes/"]).await;
    assert_eq!(graph_rows(&uri).await.unwrap(), rows);
}

#[tokio::test]
async fn a_tagged_branch_stays() {
    let fixture = Fixture::unpack("omnigraph-0.8.0-main-only").unwrap();
    let uri = fixture.uri("graph");
    create(&uri, "a", "main").await;
    write_on(&uri, "a", "a").await;
    let version = snapshot(&uri, "a").await.manifest_version.0;
    let manifest = DatasetBuilder::from_uri(format!("{uri}/__manifest")).load().await.unwrap();
    manifest.tags().create("precious", ("a", version)).await.unwrap();
    is_not_deleted(&uri, "a", 13, &["tag precious"]).await;
    manifest.tags().delete("precious").await.unwrap();
    delete(&uri, "a").await;
}

#[tokio::test]
async fn while_another_branch_cannot_be_read_none_but_that_one_goes() {
    let fixture = Fixture::unpack("omnigraph-0.8.0-main-only").unwrap();
    let uri = fixture.uri("graph");
    create(&uri, "a", "main").await;
    create(&uri, "b", "main").await;
    let versions = Path::new(&uri).join("__manifest/tree/b/_versions");
    for entry in fs::read_dir(versions).unwrap() {
        fs::write(entry.unwrap().path(), "no manifest").unwrap();
    }
    let listed = list(&uri).await;
    assert_eq!(listed.exit_code().number(), 3, "{listed:#?}");
    assert!(row(&listed, "b").error.is_some() && row(&listed, "a").error.is_none());
    let report = Keeper::new().delete_branch(&uri, "a").await;
    assert_ne!(report.exit_code().number(), 0, "{report:#?}");
    assert_eq!(names(&list(&uri).await), BTreeSet::from(["a", "b", "main"]));
}

#[tokio::test]
async fn names_that_make_no_sense_are_usage_errors() {
    let fixture = Fixture::unpack("omnigraph-0.8.0-main-only").unwrap();
    let uri = fixture.uri("graph");
    create(&uri, "feat", "main").await;
    for name in
        ["", "..", "a/..", "x y", "main", "__x", "__schema_apply_lock__", "a/data", "x.lock"]
    {
        is_not_created(&uri, name, "main", 2, &[]).await;
    }
    is_not_created(&uri, "feat", "main", 13, &["feat exists"]).await;
    is_not_created(&uri, "x", "absent", 2, &["no branch absent", "main, feat"]).await;
    is_not_created(&uri, "x", "__x", 13, &["__x"]).await;
    for name in ["absent", "..", "", "x y"] {
        is_not_deleted(&uri, name, 2, &["there is no branch"]).await;
    }
    for name in ["main", "__x", "__schema_apply_lock__"] {
        is_not_deleted(&uri, name, 13, &[name]).await;
    }
}

#[tokio::test]
async fn a_branch_whose_directory_another_ones_data_lies_in_is_not_made() {
    let fixture = Fixture::unpack("omnigraph-0.8.0-main-only").unwrap();
    let uri = fixture.uri("graph");
    // As a client may.
    let mut manifest = DatasetBuilder::from_uri(format!("{uri}/__manifest")).load().await.unwrap();
    manifest.create_branch("a/data", manifest.manifest().version, None).await.unwrap();
    is_not_created(&uri, "a", "main", 2, &["branch a/data"]).await;
    delete(&uri, "a/data").await;
    create(&uri, "a", "main").await;
}

#[tokio::test]
async fn only_graphs_have_branches_of_all_tables() {
    let fixture = Fixture::unpack("lancedb-python-0.40").unwrap();
    let uri = fixture.uri("lancedb");
    is_not_created(&uri, "x", "main", 2, &["only graphs"]).await;
    is_not_deleted(&uri, "x", 2, &["only graphs"]).await;
    is_refused(&list(&uri).await, 2, &["only graphs"]);
    let nowhere = fixture.uri("nowhere");
    let keeper = Keeper::new();
    for report in [keeper.create_branch(&nowhere, "x", "main").await, list(&nowhere).await] {
        assert_eq!(report.roots[0].error_kind, Some(ErrorKind::NotFound), "{report:#?}");
        assert_eq!(report.exit_code().number(), 10);
    }
}

#[tokio::test]
async fn a_graph_that_was_copied_keeps_its_branches() {
    let fixture = Fixture::unpack(BRANCHES[1]).unwrap();
    let uri = fixture.uri("graph");
    is_not_created(&uri, "x", "main", 13, &["moved or copied"]).await;
    is_not_deleted(&uri, "lazy", 13, &["moved or copied"]).await;
    let listed = list(&uri).await;
    assert!(listed.roots[0].warnings[0].contains("moved or copied"), "{listed:#?}");
}

#[tokio::test]
async fn a_schema_apply_or_an_unfinished_operation_of_others_refuses_both() {
    let fixture = Fixture::unpack("omnigraph-0.8.0-main-only").unwrap();
    let uri = fixture.uri("graph");
    create(&uri, "a", "main").await;
    let recovery = fixture.path("graph/__recovery");
    fs::create_dir_all(&recovery).unwrap();
    let file = recovery.join("01ARZ3NDEKTSV4RRFFQ69G5FAV.json");
    let sidecar = |branch: &str, at: chrono::DateTime<Utc>| {
        let sidecar = serde_json::json!({
            "schema_version": 2, "operation_id": "01ARZ3NDEKTSV4RRFFQ69G5FAV",
            "started_at": at.timestamp_micros().to_string(), "branch": branch,
            "actor_id": null, "writer_kind": "Load", "tables": [],
        });
        fs::write(&file, sidecar.to_string()).unwrap();
    };
    // One that may be alive is about its own branch only.
    sidecar("a", Utc::now());
    is_not_deleted(&uri, "a", 12, &["unfinished Load"]).await;
    create(&uri, "b", "main").await;
    delete(&uri, "b").await;
    sidecar("other", Utc::now() - TimeDelta::days(1));
    is_not_deleted(&uri, "a", 12, &["unfinished Load"]).await;
    is_not_created(&uri, "b", "main", 12, &["unfinished Load"]).await;
    fs::remove_file(&file).unwrap();

    let mut manifest = DatasetBuilder::from_uri(format!("{uri}/__manifest")).load().await.unwrap();
    let version = manifest.manifest().version;
    manifest.create_branch("__schema_apply_lock__", version, None).await.unwrap();
    is_not_deleted(&uri, "a", 13, &["branch delete is unavailable while schema apply"]).await;
    is_not_created(&uri, "b", "main", 13, &["branch create is unavailable while schema"]).await;
    assert_eq!(names(&list(&uri).await), BTreeSet::from(["a", "main"]));
    let all = Keeper::new().list_branches(&[uri], true).await;
    assert!(row(&all, "__schema_apply_lock__").internal, "{all:#?}");
}

#[test]
fn the_lines_of_the_graphs_own_client_work_pasted() {
    let fixture = Fixture::unpack("omnigraph-0.8.0-main-only").unwrap();
    let uri = fixture.uri("graph");
    let ran = run(lancekeeper(["branch", "create", "--uri", &uri, "--from", "main", "feat"]));
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    assert!(ran.stdout.contains("feat") && ran.stdout.contains("created"), "{ran:#?}");
    let ran = run(lancekeeper(["branch", "list", "--uri", &uri, "--json"]));
    let document = ran.document();
    assert_eq!((&document["command"], &document["schema"]), (&"branch list".into(), &1.into()));
    let root = &document["roots"][0];
    let branches = root["branches"].as_array().unwrap();
    assert_eq!(branches.len(), 2, "{document}");
    for field in [
        "name",
        "parent",
        "parent_version",
        "manifest_version",
        "head_commit_id",
        "head_commit_at",
        "tables_owned",
        "tables_lazy",
        "internal",
        "error",
    ] {
        assert!(branches.iter().all(|branch| branch.get(field).is_some()), "{field}");
    }
    for field in ["uri", "kind", "error", "hint", "lost", "warnings", "tables"] {
        assert!(root.get(field).is_some(), "{field}");
    }
    let ran = run(lancekeeper(["branch", "delete", "--uri", &uri, "feat", "--json"]));
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    assert_eq!(ran.document()["dry_run"], true, "it previews until it is confirmed");
    let ran = run(lancekeeper(["branch", "delete", &uri, "feat", "--confirm"]));
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    let ran = run(lancekeeper(["branch", "delete", &uri, "feat", "--confirm"]));
    assert_eq!(ran.code, Some(2), "{ran:#?}");
    assert!(ran.stderr.contains("there is no branch feat"), "{ran:#?}");
    let ran = run(lancekeeper(["branch", "delete", "feat"]));
    assert_eq!(ran.code, Some(2), "{ran:#?}");
}
