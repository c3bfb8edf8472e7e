//! After our optimize with fresh indexes the client goes back in time, keeps our indexes, updates, deletes
//! and changes the schema.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::graph::{Exports, FIXTURES, Graph, expect_same};
use super::omnigraph::{Lines, Omnigraph};
use super::report::{Report, Scenario};
use super::{Lab, answers, index_uuids};

/// Together they read every property that the fixtures' schema has, and every edge.
const QUERIES: [&str; 4] = [
    "match { $p: Person } return { $p.name, $p.age, $p.bio, $p.emb }",
    "match { $c: Company } return { $c.name, $c.city }",
    "match { $p: Person $p knows $f } return { $p.name, $f.name }",
    "match { $p: Person $p worksAt $c } return { $p.name, $c.name }",
];

/// The one branch of the fixtures whose schema may change: the client refuses where there are others.
const ALONE: &[(&str, usize)] = &[("main", 6010)];
const NEW_PROPERTY: &str = "nickname";

/// What the queries answer, by graph commit.
pub(super) type History = BTreeMap<String, Vec<Lines>>;

pub(super) fn run(report: &mut Report, lab: &Lab) -> Result<()> {
    for client in &lab.clients.omnigraph {
        for fixture in FIXTURES {
            let graph = Graph::unpacked(lab, client, fixture)?;
            let name = format!("changes {}", fixture.name(client));
            // What failed is in the report.
            let _: Option<()> = check(&graph, &mut report.scenario(&client.title(), &name));
        }
    }
    Ok(())
}

fn check(graph: &Graph<'_>, scenario: &mut Scenario<'_>) -> Option<()> {
    let (client, path) = (graph.client, graph.path());
    let (mut expected, names) = scenario.check("the client reads the fixture", || {
        let exports = graph.read_fixture()?;
        let names = chosen(&exports["main"])?;
        Ok((exports, names))
    })?;
    let past = scenario.check("the client reads at each commit", || history(graph))?;
    scenario.check("lancekeeper optimize", || {
        graph.unpack()?;
        graph.lab.keeper.optimize_all(&path)?.expect_packed("main")
    })?;
    scenario.check("the same rows at each earlier commit, at ours those of now", || {
        expect_past(&past, &history(graph)?)
    })?;
    scenario.check("the client's optimize keeps our indexes", || {
        let ours = index_uuids::of_main(graph)?;
        client.optimize(&path)?;
        index_uuids::expect_kept(&ours, &index_uuids::of_main(graph)?)
    })?;
    scenario.check("the indexes answer as a scan", || answers::expect(client, &path, &expected))?;

    scenario.check("the client updates", || {
        let query = "query q($n: String) { update Person set { age: 99 } where name = $n }";
        client.mutate(&path, query, &json!({ "n": names[0] }))?;
        change(&mut expected, |line| with_age(line, &names[0], 99))?;
        expect_exports(graph, &expected)
    })?;
    scenario.check("the client deletes", || {
        let query = "query q($n: String) { delete Person where name = $n }";
        client.mutate(&path, query, &json!({ "n": names[1] }))?;
        change(&mut expected, |line| without(line, &names[1]))?;
        expect_exports(graph, &expected)
    })?;
    scenario.check("the indexes answer as a scan after both", || {
        answers::expect(client, &path, &expected)
    })?;
    if graph.fixture.branches == ALONE {
        scenario.check("the client applies a schema with a new property", || {
            client.apply_schema(&path, &schema_with_property(&client.schema(&path)?)?)?;
            change(&mut expected, |line| Some(with_property(line)))?;
            expect_exports(graph, &expected)
        })?;
    }
    scenario.check("the client finds no drift", || graph.expect_no_drift())?;
    scenario.check("the same rows at each earlier commit after all that", || {
        let now = history(graph)?;
        past.iter().try_for_each(|(commit, rows)| expect_rows(commit, rows, now.get(commit)))
    })?;
    scenario.check("lancekeeper optimize again", || {
        graph.lab.keeper.optimize_all(&path)?.expect_packed("main")?;
        expect_exports(graph, &expected)?;
        graph.expect_no_drift()
    })
}

/// What the client reads at every commit of every branch.
pub(super) fn history(graph: &Graph<'_>) -> Result<History> {
    let mut history = History::new();
    for (branch, _) in graph.fixture.branches {
        for commit in graph.client.commits(&graph.path(), branch)? {
            if !history.contains_key(&commit) {
                let rows = rows_at(graph.client, graph, &commit);
                history.insert(commit.clone(), rows.with_context(|| format!("at {commit}"))?);
            }
        }
    }
    Ok(history)
}

pub(super) fn rows_at(client: &Omnigraph, graph: &Graph<'_>, commit: &str) -> Result<Vec<Lines>> {
    QUERIES.iter().map(|query| client.query_at(&graph.path(), commit, query)).collect()
}

/// Nothing of the past has changed, and what is new repeats something that was there.
pub(super) fn expect_past(past: &History, now: &History) -> Result<()> {
    for (commit, rows) in past {
        expect_rows(commit, rows, now.get(commit))?;
    }
    let ours: Vec<_> = now.iter().filter(|(commit, _)| !past.contains_key(*commit)).collect();
    ensure!(!ours.is_empty(), "we made no commit");
    for (commit, rows) in ours {
        let known = past.values().any(|earlier| earlier == rows);
        ensure!(known, "at our commit {commit} the rows are those of no earlier one");
    }
    Ok(())
}

fn expect_rows(commit: &str, rows: &[Lines], found: Option<&Vec<Lines>>) -> Result<()> {
    let found = found.with_context(|| format!("the commit {commit} is gone"))?;
    for (rows, found) in rows.iter().zip(found) {
        expect_same(rows, found).with_context(|| format!("at the commit {commit}"))?;
    }
    Ok(())
}

/// A person to update and one to delete, both in main.
fn chosen(main: &Lines) -> Result<[String; 2]> {
    let mut names = BTreeSet::new();
    for line in main {
        let row: Value = serde_json::from_str(line)?;
        if let (true, Some(name)) = (row["type"] == "Person", row["data"]["name"].as_str()) {
            names.insert(name.to_owned());
        }
    }
    let first = names.pop_first().context("no person in the export")?;
    Ok([first, names.pop_last().context("only one person in the export")?])
}

/// Changes what is expected of main; the answer `None` takes a line away.
fn change(expected: &mut Exports, by: impl Fn(Value) -> Option<Value>) -> Result<()> {
    let main = expected.get_mut("main").context("main was never exported")?;
    let rows: Vec<Value> =
        main.iter().map(|line| serde_json::from_str(line)).collect::<Result<_, _>>()?;
    *main = rows.into_iter().filter_map(by).map(|row| row.to_string()).collect();
    Ok(())
}

fn with_age(mut row: Value, name: &str, age: u64) -> Option<Value> {
    if row["type"] == "Person" && row["data"]["name"] == name {
        row["data"]["age"] = age.into();
    }
    Some(row)
}

/// A deleted node takes its edges along.
fn without(row: Value, name: &str) -> Option<Value> {
    let is_person = row["type"] == "Person" && row["data"]["name"] == name;
    // The names of companies are of another form, so a company's edge cannot be meant.
    let is_edge = row["edge"].is_string() && (row["from"] == name || row["to"] == name);
    (!is_person && !is_edge).then_some(row)
}

fn with_property(mut row: Value) -> Value {
    if row["type"] == "Person" {
        row["data"][NEW_PROPERTY] = Value::Null;
    }
    row
}

fn schema_with_property(schema: &str) -> Result<String> {
    let person = "node Person {\n";
    ensure!(schema.contains(person), "the schema has no Person: {schema}");
    Ok(schema.replacen(person, &format!("{person}    {NEW_PROPERTY}: String?\n"), 1))
}

/// As [`Graph::expect_unchanged`], but lines that we changed need not be spelled as the client does.
fn expect_exports(graph: &Graph<'_>, expected: &Exports) -> Result<()> {
    for (branch, found) in graph.export(expected.keys().map(String::as_str))? {
        let (expected, found) = (respelled(&expected[&branch])?, respelled(&found)?);
        expect_same(&expected, &found).with_context(|| branch.clone())?;
    }
    Ok(())
}

fn respelled(lines: &Lines) -> Result<Lines> {
    let respell = |line: &String| Ok(serde_json::from_str::<Value>(line)?.to_string());
    lines.iter().map(respell).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deleted_person_takes_its_edges_along() {
        let row = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        let person = row(r#"{"type":"Person","data":{"name":"a","age":1}}"#);
        assert_eq!(without(person.clone(), "a"), None);
        assert_eq!(without(person.clone(), "b"), Some(person.clone()));
        assert_eq!(without(row(r#"{"edge":"Knows","from":"b","to":"a","data":{}}"#), "a"), None);
        assert_eq!(with_age(person, "a", 9).unwrap()["data"]["age"], 9);
    }

    #[test]
    fn a_past_that_changed_or_is_gone_is_found() {
        let history = |commits: &[(&str, &str)]| {
            let rows = |text: &str| vec![vec![text.to_owned()]];
            commits.iter().map(|(id, text)| ((*id).to_owned(), rows(text))).collect::<History>()
        };
        let past = history(&[("a", "1"), ("b", "2")]);
        assert!(expect_past(&past, &history(&[("a", "1"), ("b", "2"), ("c", "2")])).is_ok());
        assert!(expect_past(&past, &history(&[("a", "1"), ("b", "1"), ("c", "2")])).is_err());
        assert!(expect_past(&past, &history(&[("a", "1"), ("c", "2")])).is_err());
        assert!(expect_past(&past, &history(&[("a", "1"), ("b", "2"), ("c", "3")])).is_err());
        assert!(expect_past(&past, &past.clone()).is_err());
    }
}
