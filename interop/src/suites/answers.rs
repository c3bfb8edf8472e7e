//! Queries that the client answers by an index, and what an export says the answers are.
//!
//! An export scans, so it would not notice an index that misses rows or finds deleted ones.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::graph::Exports;
use super::omnigraph::{Lines, Omnigraph};

/// An age that some persons of every fixture have.
const AGE: u64 = 30;

struct Question {
    query: String,
    /// The values of the only column.
    answer: BTreeSet<String>,
}

/// What the client finds by its indexes is what is there; `what` was just read by scans.
pub(super) fn expect(client: &Omnigraph, graph: &Path, what: &Exports) -> Result<()> {
    for (branch, lines) in what {
        for Question { query, answer } in questions(lines)? {
            let found = client.query(graph, branch, &query)?;
            let found: BTreeSet<_> = found.into_iter().collect();
            ensure!(found == answer, "{branch}: {query}: {found:?}, not {answer:?}");
        }
    }
    Ok(())
}

/// Each of these persons is found by its name, as a value and as a text, and nobody else with it.
pub(super) fn expect_found(
    client: &Omnigraph,
    graph: &Path,
    names: impl IntoIterator<Item = String>,
) -> Result<()> {
    let mut lost = Vec::new();
    let mut count = 0;
    for name in names {
        count += 1;
        for (index, matches) in [
            ("BTREE", format!("{{ name: {name:?} }}")),
            ("FTS", format!("search($p.name, {name:?})")),
        ] {
            let query = format!("match {{ $p: Person {matches} }} return {{ $p.name }}");
            let found = client.query(graph, "main", &query)?;
            if found != [name.as_str()] {
                lost.push(format!("{index} {name}: {found:?}"));
            }
        }
    }
    ensure!(lost.is_empty(), "{} wrong answers for {count} names: {}", lost.len(), lost.join(", "));
    Ok(())
}

/// The questions for a graph with the schema of the fixtures.
fn questions(export: &Lines) -> Result<Vec<Question>> {
    let lines: Vec<Value> =
        export.iter().map(|line| serde_json::from_str(line)).collect::<Result<_, _>>()?;
    let persons: Vec<&Value> =
        lines.iter().filter(|line| line["type"] == "Person").map(|line| &line["data"]).collect();
    let knows: Vec<&Value> = lines.iter().filter(|line| line["edge"] == "Knows").collect();
    let first = persons.first().context("no person in the export")?;
    let last = persons.last().context("no person in the export")?;
    ensure!(!knows.is_empty(), "no edge in the export");

    let mut questions = vec![Question {
        query: format!("match {{ $p: Person $p.age = {AGE} }} return {{ $p.name }}"),
        answer: texts(persons.iter().filter(|person| person["age"] == AGE), "name"),
    }];
    // The first rows were written before the indexes, the last ones after them.
    for name in [first, last].map(|person| &person["name"]) {
        let of_that_name = persons.iter().filter(|person| person["name"] == *name);
        questions.push(Question {
            query: format!("match {{ $p: Person {{ name: {name} }} }} return {{ $p.name }}"),
            answer: texts(of_that_name.clone(), "name"),
        });
        questions.push(Question {
            query: format!("match {{ $p: Person search($p.name, {name}) }} return {{ $p.name }}"),
            answer: texts(of_that_name, "name"),
        });
    }
    for edge in [knows[0], knows[knows.len() - 1]] {
        let from = &edge["from"];
        questions.push(Question {
            query: format!(
                "match {{ $p: Person {{ name: {from} }} $p knows $f }} return {{ $f.name }}"
            ),
            answer: texts(knows.iter().filter(|edge| edge["from"] == *from), "to"),
        });
    }
    Ok(questions)
}

fn texts<'a>(values: impl Iterator<Item = &'a &'a Value>, field: &str) -> BTreeSet<String> {
    values.filter_map(|value| value[field].as_str()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_export_answers_every_question() {
        let export = [
            r#"{"edge":"Knows","from":"a","to":"b","data":{}}"#,
            r#"{"edge":"Knows","from":"a","to":"c","data":{}}"#,
            r#"{"type":"Person","data":{"name":"a","age":30}}"#,
            r#"{"type":"Person","data":{"name":"b","age":31}}"#,
            r#"{"type":"Person","data":{"name":"c","age":30}}"#,
        ];
        let questions = questions(&export.map(str::to_owned).to_vec()).unwrap();
        let answers: Vec<String> =
            questions.iter().map(|question| question.answer.iter().cloned().collect()).collect();
        assert_eq!(answers, ["ac", "a", "a", "c", "c", "bc", "bc"]);
        assert!(questions[1].query.contains(r#"{ name: "a" }"#));
    }
}
