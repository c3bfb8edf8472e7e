//! Every kind of writer, on main and on branches, as it dies in the middle.

use chrono::Utc;
use lancekeeper::RecoverAction;
use lancekeeper_testkit::rows::count;
use lancekeeper_testkit::writer::node_location;
use lancekeeper_testkit::{Wreck, graph_rows};
use serde_json::{Value, json};

use super::{dead, is_at_rest, only, recorded, recover};

const ID: &str = "01ARZ3NDEKTSV4RRFFQ69G5FAV";

async fn named(wreck: &Wreck, branch: &str) -> Vec<Value> {
    vec![wreck.named("node:A", branch).await.unwrap(), wreck.named("node:B", branch).await.unwrap()]
}

/// Ends it, and returns what became of it.
async fn ends(wreck: &Wreck) -> RecoverAction {
    let report = recover(wreck.uri(), &dead()).await;
    assert_eq!(report.exit_code().number(), 0, "{report:#?}");
    let action = report.roots[0].left[0].action;
    is_at_rest(wreck.uri()).await;
    action
}

async fn rows(wreck: &Wreck, branch: &str) -> usize {
    count(&graph_rows(wreck.uri()).await.unwrap(), branch)
}

#[tokio::test]
async fn a_merge_goes_forward_only_as_far_as_it_was_confirmed_and_keeps_its_source() {
    for (confirmed, expected) in [
        (Some(1), RecoverAction::RollForward),
        (Some(0), RecoverAction::RollBack),
        (None, RecoverAction::RollBack),
    ] {
        let wreck = Wreck::new().await.unwrap();
        let source = wreck.writer.view("main", None).await.unwrap().commits[1].id.clone();
        let began = Utc::now();
        let mut tables = named(&wreck, "main").await;
        for key in ["node:A", "node:B"] {
            wreck.commit(key, "main", &["four"]).await.unwrap();
        }
        for table in &mut tables {
            let reached = confirmed.map(|by| table["expected_version"].as_u64().unwrap() + by);
            table["confirmed_version"] = json!(reached);
        }
        let more = json!({"merge_source_commit_id": source});
        wreck.arm(ID, "BranchMerge", began, tables, &more).unwrap();
        assert_eq!(ends(&wreck).await, expected, "{confirmed:?}");
        let goes_forward = expected == RecoverAction::RollForward;
        assert_eq!(rows(&wreck, "main").await, if goes_forward { 8 } else { 6 });
        let head = wreck.writer.view("main", None).await.unwrap().commits.remove(0);
        assert_eq!(head.parents.contains(&source), goes_forward, "{head:?}");
    }
}

#[tokio::test]
async fn a_merge_of_the_first_format_goes_forward_however_far_it_came() {
    let wreck = Wreck::new().await.unwrap();
    let (began, tables) = (Utc::now(), named(&wreck, "main").await);
    for key in ["node:A", "node:B", "node:A"] {
        wreck.commit(key, "main", &["four"]).await.unwrap();
    }
    wreck.arm(ID, "BranchMerge", began, tables, &json!({"schema_version": 1})).unwrap();
    assert_eq!(ends(&wreck).await, RecoverAction::RollForward);
    assert_eq!(rows(&wreck, "main").await, 9);
}

#[tokio::test]
async fn operations_on_a_branch_are_ended_on_that_branch() {
    for (keys, expected, more) in [
        (&["node:A", "node:B"][..], RecoverAction::RollForward, 2),
        (&["node:A"][..], RecoverAction::RollBack, 0),
    ] {
        let wreck = Wreck::new().await.unwrap();
        wreck.writer.create_branch("feat", "main").await.unwrap();
        let (began, tables) = (Utc::now(), named(&wreck, "feat").await);
        for key in keys {
            wreck.commit(key, "feat", &["four"]).await.unwrap();
        }
        wreck.arm(ID, "Load", began, tables, &json!({"branch": "feat"})).unwrap();
        assert_eq!(ends(&wreck).await, expected);
        assert_eq!(rows(&wreck, "feat").await, 6 + more);
        assert_eq!(rows(&wreck, "main").await, 6);
        let head = wreck.writer.view("feat", None).await.unwrap().commits.remove(0);
        assert_eq!(head.branch, "feat", "its commit is one of the branch");
    }
}

#[tokio::test]
async fn a_sidecar_of_a_branch_that_is_gone_is_discarded_and_wedges_nothing() {
    let wreck = Wreck::new().await.unwrap();
    wreck.writer.create_branch("feat", "main").await.unwrap();
    let (began, tables) = (Utc::now(), named(&wreck, "feat").await);
    wreck.commit("node:A", "feat", &["four"]).await.unwrap();
    wreck.arm(ID, "Load", began, tables, &json!({"branch": "feat"})).unwrap();
    wreck.writer.delete_branch("feat").await.unwrap();
    assert_eq!(ends(&wreck).await, RecoverAction::DiscardOrphan);
    assert_eq!(recorded(wreck.uri()).await, ["OrphanedBranchDiscarded Load []"]);
    assert_eq!(rows(&wreck, "main").await, 6);
}

#[tokio::test]
async fn several_sidecars_are_each_looked_at_after_those_before_are_ended() {
    let wreck = Wreck::new().await.unwrap();
    let began = Utc::now();
    // The second was written on top of what the first had not published yet.
    let first = wreck.named("node:A", "main").await.unwrap();
    let mut second = first.clone();
    for version in ["expected_version", "post_commit_pin"] {
        second[version] = json!(first[version].as_u64().unwrap() + 1);
    }
    wreck.commit("node:A", "main", &["four"]).await.unwrap();
    wreck.arm("01A", "Load", began, vec![first], &json!({})).unwrap();
    wreck.arm("01B", "Load", began, vec![second], &json!({})).unwrap();
    let report = recover(wreck.uri(), &dead()).await;
    assert_eq!(report.exit_code().number(), 0, "{report:#?}");
    let actions: Vec<_> = report.roots[0].left.iter().map(|row| row.action).collect();
    assert_eq!(actions, [RecoverAction::RollForward, RecoverAction::RollBack]);
    assert_eq!(rows(&wreck, "main").await, 7);
    is_at_rest(wreck.uri()).await;
}

#[tokio::test]
async fn a_sidecar_of_what_was_published_is_closed_and_written_down_with_its_actor() {
    let wreck = Wreck::new().await.unwrap();
    let (began, tables) = (Utc::now(), named(&wreck, "main").await);
    let a = wreck.commit("node:A", "main", &["four"]).await.unwrap();
    wreck.publish("node:A", "main", &a).await.unwrap();
    wreck.arm(ID, "Load", began, tables, &json!({"actor_id": null})).unwrap();
    let report = recover(wreck.uri(), &dead()).await;
    assert_eq!(only(&report).action, RecoverAction::Record, "{report:#?}");
    assert_eq!(recorded(wreck.uri()).await.len(), 1);
    let view = wreck.writer.view("main", None).await.unwrap();
    assert_eq!(view.commits.len(), 5, "a commit of the recovery on top");
    is_at_rest(wreck.uri()).await;
}

const NEW_TYPES: &[(&str, &[&str])] = &[("A", &["note"]), ("New", &["note"])];

/// A schema apply that adds a type and drops another.
async fn adds_and_drops(wreck: &Wreck, staged: &str) {
    let began = Utc::now();
    let pin = wreck.pin("node:B", "main").await.unwrap();
    let more = json!({
        "additional_registrations":
            [{"table_key": "node:New", "table_path": node_location("New")}],
        "tombstones": [{"table_key": "node:B", "tombstone_version": pin + 1}],
    });
    wreck.arm(ID, "SchemaApply", began, Vec::new(), &more).unwrap();
    wreck.make_type("New").await.unwrap();
    wreck.write_schema(NEW_TYPES, ".staging", staged).unwrap();
    wreck.writer.create_branch("__schema_apply_lock__", "main").await.unwrap();
}

#[tokio::test]
async fn a_schema_apply_that_adds_and_drops_types_is_ended_with_its_schema_and_its_lock() {
    for (staged, expected, keys) in [
        ("sct", RecoverAction::RollForward, ["node:A", "node:New"]),
        ("sc", RecoverAction::RollBack, ["node:A", "node:B"]),
        ("", RecoverAction::RollBack, ["node:A", "node:B"]),
    ] {
        let wreck = Wreck::new().await.unwrap();
        adds_and_drops(&wreck, staged).await;
        let report = recover(wreck.uri(), &dead()).await;
        assert_eq!(report.exit_code().number(), 0, "{staged}: {report:#?}");
        let actions: Vec<_> = report.roots[0].left.iter().map(|row| row.action).collect();
        assert_eq!(actions, [expected, RecoverAction::Remove], "{staged}: {report:#?}");
        is_at_rest(wreck.uri()).await;
        let view = wreck.writer.view("main", None).await.unwrap();
        let found: Vec<&str> = view.entries.keys().map(String::as_str).collect();
        assert_eq!(found, keys, "{staged}");
        let source = std::fs::read_to_string(wreck.path("_schema.pg")).unwrap();
        assert_eq!(source.contains("node New"), staged == "sct");
    }
}

#[tokio::test]
async fn a_schema_apply_that_rewrote_a_table_is_ended_with_its_schema() {
    let types: &[(&str, &[&str])] = &[("A", &["nick", "note"]), ("B", &["note"])];
    // Before it published; after that, before its files counted; and while a recovery that had
    // taken its schema over was about to publish.
    for (staged, live, publishes, expected) in [
        ("sct", "", false, RecoverAction::RollForward),
        ("sct", "", true, RecoverAction::Record),
        ("ct", "s", true, RecoverAction::Record),
        ("", "sct", false, RecoverAction::RollForward),
        ("", "", false, RecoverAction::RollBack),
    ] {
        let wreck = Wreck::new().await.unwrap();
        let began = Utc::now();
        let table = wreck.named("node:A", "main").await.unwrap();
        wreck.arm(ID, "SchemaApply", began, vec![table], &json!({})).unwrap();
        wreck.add_property("node:A", "nick").await.unwrap();
        if publishes {
            let entry = wreck.entry("node:A", "main").await.unwrap();
            let table = wreck.writer.open(&entry.location, "main", None).await.unwrap();
            wreck.publish("node:A", "main", &table).await.unwrap();
        }
        wreck.write_schema(types, ".staging", staged).unwrap();
        wreck.write_schema(types, "", live).unwrap();
        assert_eq!(ends(&wreck).await, expected, "{staged:?} {live:?} {publishes}");
        let read = graph_rows(wreck.uri()).await.unwrap();
        let a = &read[&("main".to_owned(), "node:A".to_owned())];
        let has_nick = expected != RecoverAction::RollBack;
        assert_eq!(a.iter().all(|row| row.contains("nick=")), has_nick, "{a:?}");
        let source = std::fs::read_to_string(wreck.path("_schema.pg")).unwrap();
        assert_eq!(source.contains("nick"), has_nick);
    }
}
