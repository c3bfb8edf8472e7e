//! Sets of roots: named by a file, found below a directory, named by an option.

use std::fs;
use std::path::Path;
use std::process::Command;

use lance::dataset::builder::DatasetBuilder;
use lancekeeper_testkit::{Fixture, check_graph, graph_rows, tables};
use serde_json::Value;
use tempfile::TempDir;

use crate::binary::{Ran, lancekeeper, path, run};

/// A directory with a graph, a database and a table, several levels down, and things that are
/// none of them.
struct Place {
    fixture: Fixture,
}

impl Place {
    async fn new() -> Self {
        let place = Self { fixture: Fixture::unpack("omnigraph-0.8.0-main-only").unwrap() };
        fs::create_dir_all(place.fixture.path("a/b/empty")).unwrap();
        fs::rename(place.fixture.path("graph"), place.fixture.path("a/graph")).unwrap();
        fs::write(place.fixture.path("a/notes.lance"), "not a table").unwrap();
        for table in ["a/b/db/x.lance", "a/b/db/y.lance", "t"] {
            tables::create(&place.at(table), 4, 10, false).await.unwrap();
        }
        place
    }

    fn at(&self, inside: &str) -> String {
        self.fixture.uri(inside)
    }

    /// The roots, in the order in which they are found.
    fn roots(&self) -> [String; 3] {
        ["a/b/db", "a/graph", "t"].map(|root| self.at(root))
    }

    fn file(&self, content: impl AsRef<[u8]>) -> String {
        fs::write(self.fixture.path("set"), content).unwrap();
        self.at("set")
    }

    async fn fragments(&self, table: &str) -> usize {
        DatasetBuilder::from_uri(self.at(table)).load().await.unwrap().fragments().len()
    }
}

fn uris(document: &Value) -> Vec<&str> {
    let roots = document["roots"].as_array().unwrap();
    roots.iter().map(|root| root["uri"].as_str().unwrap()).collect()
}

fn is_usage_error(ran: &Ran, words: &[&str]) {
    assert_eq!(ran.code, Some(2), "{ran:#?}");
    assert_eq!(ran.stdout, "", "{ran:#?}");
    for word in words {
        assert!(ran.stderr.contains(word), "no {word:?} in {ran:#?}");
    }
}

#[tokio::test]
async fn a_file_names_the_roots_of_status_and_optimize() {
    let place = Place::new().await;
    let rows = graph_rows(&place.at("a/graph")).await.unwrap();
    let [database, graph, table] = place.roots();
    // Twice in other spellings, which is once.
    let file = place.file(format!(
        "# the first\n{table}\n\n  {graph}/  \n{database}\n# again\nfile://{graph}\n{}\n",
        place.at("a/../t")
    ));
    let ran = run(lancekeeper(["status", "--json", "--roots", &file]));
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    assert_eq!(uris(&ran.document()), [&table, &format!("{graph}/"), &database]);
    // A root on the command line comes first, and is not worked on twice.
    let ran = run(lancekeeper(["optimize", "--json", "--roots", &file, &database]));
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    assert_eq!(uris(&ran.document()), [&database, &table, &format!("{graph}/")]);
    assert_eq!(ran.stderr.matches("lancekeeper optimize → ").count(), 3, "{ran:#?}");
    for table in ["a/b/db/x.lance", "a/b/db/y.lance", "t"] {
        assert_eq!(place.fragments(table).await, 1, "{table}");
    }
    assert!(graph_rows(&graph).await.unwrap() == rows);
    check_graph(&graph).await.unwrap();
}

#[cfg(unix)]
#[tokio::test]
async fn standard_input_names_roots_relative_to_where_one_stands() {
    let place = Place::new().await;
    place.file("t\na/b/db\n");
    let mut command = Command::new("sh");
    command.args(["-c", "exec \"$@\" <set", "sh"]).arg(path());
    command.args(["optimize", "--json", "--roots", "-"]).current_dir(place.fixture.path(""));
    let ran = run(command);
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    assert_eq!(uris(&ran.document()), ["t", "a/b/db"]);
    assert_eq!(place.fragments("t").await, 1);
    // Nothing on it names nothing.
    let ran = run(lancekeeper(["optimize", "--roots", "-"]));
    is_usage_error(&ran, &["standard input names no root"]);
}

#[tokio::test]
async fn a_file_that_names_no_set_is_a_usage_error_that_says_where() {
    let place = Place::new().await;
    let table = place.at("t");
    let file = place.at("set");
    for verb in ["status", "optimize"] {
        let with = |content: &[u8]| {
            place.file(content);
            run(lancekeeper([verb, "--roots", &file, &table]))
        };
        is_usage_error(&with(b"/ok\n/bad\xff\n"), &[&file, "line 2", "not UTF-8"]);
        is_usage_error(&with(b"\n\n\0\n"), &[&file, "line 3", "NUL"]);
        is_usage_error(&with(b"# nothing\n"), &[&file, "names no root"]);
        let ran = run(lancekeeper([verb, "--roots", &place.at("absent"), &table]));
        is_usage_error(&ran, &[&place.at("absent"), "No such file"]);
        let ran = run(lancekeeper([verb, "--roots", &place.at("a"), &table]));
        is_usage_error(&ran, &[&place.at("a"), "directory"]);
    }
    assert_eq!(place.fragments("t").await, 4, "something was done all the same");
}

#[tokio::test]
async fn a_line_that_names_no_root_fails_alone_and_is_named() {
    let place = Place::new().await;
    let file = place.file(format!("{}\n{}\n", place.at("nowhere"), place.at("t")));
    let ran = run(lancekeeper(["optimize", "--json", "--roots", &file]));
    assert_eq!(ran.code, Some(3), "{ran:#?}");
    let document = ran.document();
    assert_eq!(uris(&document), [place.at("nowhere"), place.at("t")]);
    let hint = document["roots"][0]["hint"].as_str().unwrap();
    assert_eq!(hint, format!("check the path; it is named at {file}, line 1"));
    assert_eq!(document["roots"][1]["hint"], Value::Null);
    assert_eq!(place.fragments("t").await, 1);
}

#[tokio::test]
async fn every_root_below_a_directory_is_found() {
    let place = Place::new().await;
    let rows = graph_rows(&place.at("a/graph")).await.unwrap();
    let all = place.at("");
    let all = all.trim_end_matches('/');
    let ran = run(lancekeeper(["status", "--json", "--recursive", all]));
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    assert_eq!(uris(&ran.document()), place.roots());
    let ran = run(lancekeeper(["optimize", "--json", "--recursive", all]));
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    let document = ran.document();
    assert_eq!(uris(&document), place.roots());
    // Two of the database, four of the graph and its own, one alone.
    assert_eq!(document["roots"].as_array().unwrap().iter().map(tables_of).sum::<usize>(), 8);
    assert!(graph_rows(&place.at("a/graph")).await.unwrap() == rows);
    check_graph(&place.at("a/graph")).await.unwrap();
    // A root itself, and the directories of a file.
    let file = place.file(format!("{}\n{}\n", place.at("t"), place.at("a/b")));
    let ran = run(lancekeeper(["status", "--json", "--recursive", "--roots", &file]));
    assert_eq!(uris(&ran.document()), [place.at("t"), place.at("a/b/db")]);
}

fn tables_of(root: &Value) -> usize {
    root["tables"].as_array().unwrap().len()
}

#[cfg(unix)]
#[tokio::test]
async fn a_search_does_not_leave_its_directory_through_symlinks() {
    let place = Place::new().await;
    let outside = TempDir::new().unwrap();
    let victim = outside.path().join("db/z.lance");
    tables::create(&victim.to_string_lossy(), 4, 10, false).await.unwrap();
    let link = |to: &Path, name: &str| {
        std::os::unix::fs::symlink(to, place.fixture.path(name)).unwrap();
    };
    link(outside.path(), "a/out");
    link(&place.fixture.path(""), "a/b/around");
    link(&place.fixture.path("t"), "a/b/same");
    let ran = run(lancekeeper(["optimize", "--json", "--recursive", &place.at("a")]));
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    assert_eq!(uris(&ran.document()), [place.at("a/b/db"), place.at("a/graph")]);
    let victim = DatasetBuilder::from_uri(victim.to_string_lossy()).load().await.unwrap();
    assert_eq!(victim.fragments().len(), 4, "a table outside was touched");
    assert_eq!(place.fragments("t").await, 4, "a table beside was touched");
}

#[tokio::test]
async fn a_search_that_finds_nothing_ends_with_10_and_says_so() {
    let place = Place::new().await;
    let empty = place.at("a/b/empty");
    for verb in ["status", "optimize"] {
        let ran = run(lancekeeper([verb, "--recursive", &empty]));
        assert_eq!(ran.code, Some(10), "{ran:#?}");
        let words = format!("error: there is no graph, database or table below {empty}");
        assert!(ran.stderr.contains(&words), "{ran:#?}");
        assert!(ran.stderr.contains("hint: "), "{ran:#?}");
        let ran = run(lancekeeper([verb, "--json", "--recursive", &place.at("nowhere")]));
        assert_eq!(ran.code, Some(10), "{ran:#?}");
        let document = ran.document();
        let error = document["roots"][0]["error"].as_str().unwrap();
        assert!(error.contains(&place.at("nowhere")), "{error}");
    }
    // Beside one that finds something it does not hide.
    let ran = run(lancekeeper(["status", "--json", "--recursive", &empty, &place.at("t")]));
    assert_eq!(ran.code, Some(3), "{ran:#?}");
    assert_eq!(uris(&ran.document()), [place.at("t"), empty]);
}

#[tokio::test]
async fn command_lines_for_databases_work_as_they_are_pasted() {
    let place = Place::new().await;
    let database = place.at("a/b/db");
    let ran = run(lancekeeper(["--db-path", &database, "optimize", "x", "--json"]));
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    assert_eq!(tables_of(&ran.document()["roots"][0]), 1);
    assert_eq!(
        (place.fragments("a/b/db/x.lance").await, place.fragments("a/b/db/y.lance").await),
        (1, 4)
    );

    // A name that is none is one with --all as well.
    for extra in [&["x", "zebra"][..], &["zebra", "--all"]] {
        let mut line = vec!["--db-path", &database, "optimize"];
        line.extend(extra);
        let ran = run(lancekeeper(line));
        assert_eq!(ran.code, Some(2), "{ran:#?}");
        assert!(ran.stderr.contains("zebra") && ran.stderr.contains("x, y"), "{ran:#?}");
    }
    assert_eq!(place.fragments("a/b/db/y.lance").await, 4);

    let ran = run(lancekeeper(["--db-path", &database, "optimize", "x", "--all", "--json"]));
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    assert_eq!(tables_of(&ran.document()["roots"][0]), 2);
    assert_eq!(place.fragments("a/b/db/y.lance").await, 1);

    let graph = place.at("a/graph");
    let ran = run(lancekeeper(["optimize", "node:Person", "--json", "--uri", &graph]));
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    let document = ran.document();
    assert_eq!(uris(&document), [&graph]);
    assert_eq!(tables_of(&document["roots"][0]), 1);
    assert_eq!(document["roots"][0]["published"], 1);
    // With --all the graph's own tables belong to it.
    let ran = run(lancekeeper(["optimize", "node:Person", "--all", "--json", "--uri", &graph]));
    assert_eq!(tables_of(&ran.document()["roots"][0]), 5, "{ran:#?}");
    check_graph(&graph).await.unwrap();
    let ran = run(lancekeeper(["status", "--json", "--db-path", &database]));
    assert_eq!(uris(&ran.document()), [&database]);
}
