//! `sql`: statements do what the verbs do, every system table can be asked, and what makes no sense is pointed at.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{ArrayRef, Int64Array, RecordBatch, RecordBatchIterator, StructArray};
use arrow_schema::{DataType, Field, Fields};
use futures::TryStreamExt;
use lance::Dataset;
use lancekeeper_testkit::{Fixture, graph_rows, tables};
use serde_json::Value;
use tempfile::TempDir;

use crate::binary::{Ran, lancekeeper, run};
use crate::fixtures::tree;

/// A database with tables of these names, each of eight fragments with ten rows, and its path.
async fn database(names: &[&str]) -> (TempDir, String) {
    let dir = TempDir::new().unwrap();
    let root = dir.path().to_string_lossy().into_owned();
    for name in names {
        tables::create(&table(&root, name), 8, 10, false).await.unwrap();
    }
    (dir, root)
}

fn table(root: &str, name: &str) -> String {
    format!("{root}/{name}.lance")
}

async fn fragments(root: &str, name: &str) -> usize {
    Dataset::open(&table(root, name)).await.unwrap().fragments().len()
}

fn sql(root: &str, statement: &str) -> Ran {
    run(lancekeeper(["sql", root, statement, "--json"]))
}

/// The answer of a statement that succeeds.
fn answer(root: &str, statement: &str) -> Value {
    let ran = sql(root, statement);
    assert_eq!(ran.code, Some(0), "{statement}: {ran:#?}");
    ran.document()["statements"][0].clone()
}

fn rows(root: &str, query: &str) -> String {
    answer(root, query)["rows"].to_string()
}

#[tokio::test]
async fn statements_do_what_the_verbs_do() {
    let (_dir, root) =
        database(&["events", "Users", "logs", "orders", "products", "analytics"]).await;
    let explained = answer(&root, "EXPLAIN COMPACT TABLE events");
    assert_eq!(
        (&explained["dry_run"], &explained["rows"][0][2]),
        (&Value::Bool(true), &Value::from("planned"))
    );
    assert_eq!(fragments(&root, "events").await, 8);
    assert_eq!(answer(&root, "COMPACT TABLE events;")["rows"][0][2], "done");
    assert_eq!(fragments(&root, "events").await, 1);
    assert_eq!(answer(&root, "compact table EVENTS")["rows"][0][2], "no-op");

    answer(&root, "COMPACT TABLE users ORDER BY (ID DESC, text);");
    let users = Dataset::open(&table(&root, "Users")).await.unwrap();
    let batches: Vec<_> =
        users.scan().try_into_stream().await.unwrap().try_collect().await.unwrap();
    let ids: Vec<i64> = batches.iter().flat_map(|batch| column(batch).values().to_vec()).collect();
    assert!(ids.len() == 80 && ids.is_sorted_by(|a, b| a > b), "{ids:?}");

    answer(&root, "COMPACT TABLE logs WHERE id < 45;");
    assert_eq!(fragments(&root, "logs").await, 5);

    let mut products = Dataset::open(&table(&root, "products")).await.unwrap();
    products.delete("id % 10 = 3").await.unwrap();
    answer(&root, "VACUUM TABLE products;");
    let products = Dataset::open(&table(&root, "products")).await.unwrap();
    assert!(products.fragments().iter().all(|fragment| fragment.deletion_file.is_none()));
    assert_eq!(products.count_rows(None).await.unwrap(), 72);

    answer(&root, "OPTIMIZE TABLE analytics RECOMPUTE STATISTICS;");
    let known = rows(&root, "SELECT min, max FROM system.column_statistics WHERE column = 'id'");
    assert_eq!(known, r#"[["0","79"]]"#);

    let set = answer(
        &root,
        "ALTER TABLE orders SET (\n  auto_compact = true,\n  compact_threshold_mb = 100\n);",
    );
    assert_eq!(
        set["rows"].to_string(),
        r#"[["orders","auto_compact","true"],["orders","compact_threshold_mb","100"]]"#
    );
    answer(&root, "ALTER TABLE orders RESET (compact_threshold_mb)");
    let policy =
        "SELECT option, value FROM system.policies WHERE table = 'orders' AND source <> 'default'";
    assert_eq!(rows(&root, policy), r#"[["auto_compact","true"]]"#);

    let qualified =
        "SELECT USERS.id, u.ID FROM users, Users u WHERE users.id = u.id AND users.Id > 78";
    assert_eq!(rows(&root, qualified), "[[79,79]]");

    let jobs =
        rows(&root, "SELECT compaction_status FROM system.compaction_jobs WHERE table = 'events';");
    assert_eq!(jobs, r#"[["done"]]"#, "the run that did nothing is no job");
    let reason =
        rows(&root, "SELECT trigger, reason FROM system.compaction_jobs WHERE table = 'logs'");
    assert_eq!(reason, r#"[["sql","COMPACT TABLE logs WHERE id < 45"]]"#);
    assert!(answer(&root, "SHOW JOBS")["rows"].as_array().unwrap().len() >= 5);
}

fn column(batch: &RecordBatch) -> &Int64Array {
    batch["id"].as_primitive::<Int64Type>()
}

#[tokio::test]
async fn a_name_in_double_quotes_is_a_column_also_where_lance_takes_it_for_a_text() {
    let (_dir, root) = database(&["logs"]).await;
    // As a text, `text` is equal to itself in every row, and all fragments would be chosen.
    let none = answer(&root, "COMPACT TABLE logs WHERE \"text\" = 'text'");
    assert_eq!(none["rows"][0][2], "no-op", "{none}");
    answer(&root, "COMPACT TABLE logs WHERE \"id\" < 45");
    assert_eq!(fragments(&root, "logs").await, 5);
}

#[tokio::test]
async fn the_longest_chains_that_are_taken_fit_a_stack_and_longer_ones_are_pointed_at() {
    let (_dir, root) = database(&["logs"]).await;
    for (join, one) in [(" OR ", "id = 1"), (" AND ", "id + 1 = 2"), (" OR ", "text LIKE 'x%'")] {
        let chain = |count: usize| vec![one; count].join(join);
        answer(&root, &format!("SELECT count(*) FROM logs WHERE {}", chain(110)));
        answer(&root, &format!("EXPLAIN COMPACT TABLE logs WHERE {}", chain(110)));
        assert_eq!(sql(&root, &format!("SELECT 1 FROM logs WHERE {}", chain(4_000))).code, Some(2));
    }
    answer(&root, &format!("SELECT {}", ["1"; 110].join(" + ")));
    answer(&root, &["SELECT 1"; 110].join(" UNION ALL "));
}

#[tokio::test]
async fn the_policy_of_a_table_that_is_gone_is_shown_and_can_be_taken_back() {
    let (_dir, root) = database(&["logs", "other"]).await;
    answer(&root, "ALTER TABLE logs SET (auto_compact = true)");
    fs::remove_dir_all(table(&root, "logs")).unwrap();
    let policies =
        "SELECT option, value FROM system.policies WHERE table = 'logs' AND source <> 'default'";
    let shown = answer(&root, policies);
    assert_eq!(shown["rows"].to_string(), r#"[["auto_compact","true"]]"#);
    assert!(shown["notes"].to_string().contains("there is no table logs"), "{shown}");
    answer(&root, "ALTER TABLE logs RESET (auto_compact)");
    assert_eq!(rows(&root, policies), "[]");
    assert_eq!(sql(&root, "ALTER TABLE logs RESET (auto_compact)").code, Some(2));
}

#[tokio::test]
async fn versions_go_only_once_that_is_confirmed() {
    let (_dir, root) = database(&["events"]).await;
    let before = tree(&root);
    let preview = answer(&root, "VACUUM TABLE events RETAIN 0 SECONDS");
    let kept = preview["rows"][0].as_array().unwrap().last().unwrap().as_str().unwrap();
    assert!(kept.contains("1–7: ") && kept.contains("8: "), "which floor kept what: {kept}");
    assert_eq!(preview["dry_run"], true);
    assert!(preview["notes"].to_string().contains("--confirm"), "{preview}");
    assert_eq!(tree(&root), before);
    // What was committed just now stays for writers' sake: that is cleanup's rule, and so this one's.
    let ran = run(lancekeeper([
        "sql",
        &root,
        "VACUUM TABLE events RETAIN 0 SECONDS",
        "--confirm",
        "--json",
    ]));
    assert_eq!(
        (ran.code, &ran.document()["statements"][0]["dry_run"]),
        (Some(0), &Value::Bool(false)),
        "{ran:#?}"
    );
    assert_eq!(
        Dataset::open(&table(&root, "events")).await.unwrap().versions().await.unwrap().len(),
        8
    );
}

/// Every table of the schema, with what its first columns say of one table.
const SYSTEM: &str = "\
SELECT count(*), sum(rows) FROM events;
SELECT table, branch, version, rows, fragments, small_fragments, versions FROM system.tables;
SELECT table, fragment, rows, deleted_rows, files, bytes > 0 FROM system.fragments WHERE fragment < 2;
SELECT version, visible, tags, committed_at > timestamp '2020-01-01' FROM system.versions WHERE version > 7;
SELECT * FROM system.branches;
SELECT name, columns, kind, segments, fragments_covered, rows_uncovered FROM system.indices;
SELECT * FROM system.column_statistics;
SELECT kind, fragment, bytes > 0, path LIKE 'data/%.lance' FROM system.files WHERE fragment = 0;
SELECT option, value, source FROM system.policies WHERE option IN ('auto_compact', 'min_file_size_mb') ORDER BY table, option;
SELECT table, compaction_status FROM system.compaction_jobs;
SELECT t.table, count(*) AS n FROM system.tables t JOIN system.fragments f ON t.table = f.table GROUP BY t.table;
WITH big AS (SELECT * FROM events WHERE ID > 75) SELECT Text FROM big ORDER BY Id";

#[tokio::test]
async fn every_system_table_can_be_asked_from_a_file() {
    let (dir, root) = database(&["events"]).await;
    let file = dir.path().join("ask.sql");
    fs::write(&file, SYSTEM.replace("sum(rows)", "sum(id)")).unwrap();
    let ran = run(lancekeeper(["sql", &root, "-f", &file.to_string_lossy(), "--csv", "-q"]));
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    let expected = "\
count(*),sum(events.id)
80,3160

table,branch,version,rows,fragments,small_fragments,versions
events,main,8,80,8,8,8

table,fragment,rows,deleted_rows,files,system.fragments.bytes > Int64(0)
events,0,10,0,1,true
events,1,10,0,1,true
";
    assert!(ran.stdout.starts_with(expected), "{}", ran.stdout);
    let sections: Vec<&str> = ran.stdout.split("\n\n").collect();
    assert_eq!(sections.len(), 12, "{}", ran.stdout);
    assert!(sections[3].ends_with("\n8,true,,true"), "{}", sections[3]);
    assert!(sections[4].ends_with("\nevents,main,,,,,false"), "{}", sections[4]);
    assert!(sections[7].ends_with("\ndata,0,true,true"), "{}", sections[7]);
    assert!(
        sections[8].ends_with("\nauto_compact,false,default\nmin_file_size_mb,64,default"),
        "{}",
        sections[8]
    );
    assert!(sections[10].ends_with("\nevents,8"), "{}", sections[10]);
    assert_eq!(sections[11], "text\nrow 76\nrow 77\nrow 78\nrow 79\n");
    assert!(!Path::new(&root).join("__maintenance").exists(), "questions leave nothing behind");
}

/// Statements that make no sense over the database, each with what is said and the column of the caret.
const BAD: &[(&str, &str, u64)] = &[
    ("COMPACT TABLE evnts", "unknown table evnts", 15),
    ("COMPACT TABLE events ORDER BY (idd)", "unknown column idd", 32),
    ("COMPACT TABLE nested ORDER BY (id, s.a)", "s.a is a field", 36),
    ("COMPACT TABLE nested ORDER BY (\"s.a\")", "s.a is a field", 32),
    ("COMPACT TABLE events WHERE nope < 3", "unknown column nope", 28),
    ("COMPACT TABLE events WHERE text < id + 'x' || true", "the predicate", 28),
    ("VACUUM TABLE nope RETAIN 7 DAYS", "unknown table nope", 14),
    ("OPTIMIZE TABLE nope", "unknown table nope", 16),
    ("EXPLAIN COMPACT TABLE nope", "unknown table nope", 23),
    ("ALTER TABLE nope SET (auto_compact = true)", "unknown table nope", 13),
    ("ALTER TABLE events SET (auto_compakt = true)", "unknown option auto_compakt", 25),
    ("ALTER TABLE events SET (auto_compact = 7)", "auto_compact", 40),
    ("CANCEL JOB 01", "unknown job 01", 12),
    ("SELECT nope FROM events", "unknown column nope", 8),
    ("SELECT nope FROM system.tables", "unknown column nope", 8),
    ("SELECT id FROM nope", "unknown table nope", 16),
    ("SELECT id FROM tables", "unknown table tables", 16),
    ("SELECT id FROM system.table_s", "unknown table table_s", 23),
    ("SELECT id FROM sistem.tables", "unknown schema sistem", 16),
    ("SELECT summ(id) FROM events", "unknown function summ", 8),
    ("SELECT id FROM events WHERE id", "", 1),
    ("COMPAKT TABLE events;", "no statement begins with COMPAKT", 1),
];

/// A table with a field in a column.
async fn nested(uri: &str) {
    let fields: Fields = vec![Field::new("a", DataType::Int64, false)].into();
    let s =
        StructArray::new(fields, vec![Arc::new(Int64Array::from(vec![1, 2])) as ArrayRef], None);
    let id = Arc::new(Int64Array::from(vec![1, 2])) as ArrayRef;
    let batch = RecordBatch::try_from_iter([("id", id), ("s", Arc::new(s) as ArrayRef)]).unwrap();
    let schema = batch.schema();
    Dataset::write(RecordBatchIterator::new([Ok(batch)], schema), uri, None).await.unwrap();
}

#[tokio::test]
async fn values_that_do_not_allow_what_is_asked_are_a_failure_and_no_mistake_in_the_statement() {
    let (_dir, root) = database(&["events"]).await;
    for statement in [
        "SELECT 1/0",
        "SELECT id / (id - id) FROM events",
        "SELECT CAST(text AS BIGINT) FROM events",
    ] {
        let ran = sql(&root, statement);
        assert_eq!(ran.code, Some(1), "{statement}: {ran:#?}");
        let error = &ran.document()["error"];
        assert_eq!((&error["kind"], &error["line"]), (&"value".into(), &Value::Null), "{error}");
        assert!(ran.stderr.contains("the query failed"), "{ran:#?}");
    }
}

#[tokio::test]
async fn a_system_table_opens_only_the_tables_that_it_is_asked_about() {
    let (_dir, root) = database(&["events", "orders"]).await;
    fs::remove_dir_all(Path::new(&table(&root, "orders")).join("_versions")).unwrap();
    fs::create_dir(Path::new(&table(&root, "orders")).join("_versions")).unwrap();
    fs::write(Path::new(&table(&root, "orders")).join("_versions/1.manifest"), "garbage").unwrap();
    for name in ["tables", "fragments", "versions", "branches", "indices", "files"] {
        let whole = answer(&root, &format!("SELECT * FROM system.{name}"));
        assert!(whole["notes"].to_string().contains("orders") || name == "tables", "{whole}");
        let query = format!("SELECT * FROM system.{name} s WHERE s.table = 'events' AND 1 = 1");
        let asked = answer(&root, &query);
        assert!(asked["notes"].as_array().unwrap().is_empty(), "{asked}");
        let of_events = whole["rows"].as_array().unwrap().iter().filter(|row| row[0] == "events");
        assert!(of_events.eq(asked["rows"].as_array().unwrap()), "{asked} {whole}");
        assert_eq!(
            rows(&root, &format!("SELECT * FROM system.{name} WHERE table = 'zebra'")),
            "[]"
        );
    }
}

#[tokio::test]
async fn what_makes_no_sense_is_pointed_at_and_changes_nothing() {
    let (dir, root) = database(&["events"]).await;
    nested(&table(&root, "nested")).await;
    let before = tree(&root);
    for (statement, said, column) in BAD {
        let ran = sql(&root, statement);
        assert_eq!(ran.code, Some(2), "{statement}: {ran:#?}");
        let error = &ran.document()["error"];
        assert!(error["message"].as_str().unwrap().contains(said), "{statement}: {error}");
        assert_eq!(error["column"], *column, "{statement}: {error}");
        assert!(ran.stderr.contains('^'), "{statement}: {ran:#?}");
    }
    assert_eq!(tree(&root), before);
    let ran = sql(&root, "COMPACT TABLE evnts");
    assert!(
        ran.stderr.contains(
            "did you mean events?\n  |\n1 | COMPACT TABLE evnts\n  |               ^^^^^"
        ),
        "{ran:#?}"
    );

    // What was done before the one that fails stands.
    let file = dir.path().join("two.sql");
    fs::write(&file, "COMPACT TABLE events;\n\nCOMPACT TABLE evnts;").unwrap();
    let ran = run(lancekeeper(["sql", &root, "-f", &file.to_string_lossy(), "--json"]));
    let document = ran.document();
    assert_eq!((ran.code, &document["error"]["line"]), (Some(2), &Value::from(3)), "{ran:#?}");
    assert_eq!(
        (document["statements"].as_array().unwrap().len(), fragments(&root, "events").await),
        (1, 1)
    );
}

#[tokio::test]
async fn tables_of_a_graph_are_read_as_they_are_pinned() {
    let fixture = Fixture::unpack("omnigraph-0.8.0-main-only").unwrap();
    let uri = fixture.uri("graph");
    let before = graph_rows(&uri).await.unwrap();
    let counted = rows(&uri, "SELECT count(*) FROM \"node:Person\"");
    let known = rows(&uri, "SELECT rows FROM system.tables WHERE table = 'node:Person'");
    assert_eq!(counted, known);
    let branches = rows(&uri, "SELECT table, branch FROM system.branches WHERE NOT internal");
    assert_eq!(branches, r#"[[null,"main"]]"#);
    assert_eq!(answer(&uri, "COMPACT TABLE \"node:Person\"")["rows"][0][2], "done");
    assert_eq!(rows(&uri, "SELECT count(*) FROM \"node:Person\""), counted);
    assert!(graph_rows(&uri).await.unwrap() == before);
    let ran = sql(&uri, "COMPACT TABLE node:Person");
    assert_eq!(ran.document()["error"]["suggestion"], "\"node:Person\"", "{ran:#?}");
}
