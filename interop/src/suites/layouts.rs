//! Graphs whose edges lie in another order: the client finds what it found before, on every branch and at every
//! commit, follows edges in both directions, and goes on loading, merging, deleting and optimizing.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::graph::{Exports, FIXTURES, Graph};
use super::omnigraph::Lines;
use super::report::{Report, Scenario};
use super::{Lab, changes, graphs};

/// The orders that are tried, each from the start.
const LAYOUTS: [&str; 2] = ["graph", "sort:dst,-src"];
const EDGES: [&str; 2] = ["edge:Knows", "edge:WorksAt"];
/// Rows of a fragment: several of them, in tables of some thousand edges.
const TARGET_ROWS: &str = "150";

/// All pairs, along the edges and against them: the client expands from the first that it matches.
const PAIRS: [&str; 2] = [
    "match { $p: Person $p knows $f } return { $p.name, $f.name }",
    "match { $f: Person $p knows $f } return { $p.name, $f.name }",
];

const COLUMNS: [&str; 2] = ["p.name", "f.name"];

pub(super) fn run(report: &mut Report, lab: &Lab) -> Result<()> {
    for client in &lab.clients.omnigraph {
        for fixture in FIXTURES {
            for layout in LAYOUTS {
                let graph = Graph::unpacked(lab, client, fixture)?;
                let name = format!("{layout} {}", fixture.name(client));
                // What failed is in the report.
                let _: Option<()> =
                    check(&graph, &mut report.scenario(&client.title(), &name), layout);
            }
        }
    }
    Ok(())
}

fn check(graph: &Graph<'_>, scenario: &mut Scenario<'_>, layout: &str) -> Option<()> {
    graphs::check(graph, scenario, |scenario, before| {
        let past = scenario.check("the client reads at each commit", || changes::history(graph))?;
        scenario.check("lancekeeper lays the edges out", || lay_out(graph, layout))?;
        scenario
            .check("edges are followed in both directions", || expect_followed(graph, before))?;
        scenario.check("the same rows at each earlier commit", || {
            changes::expect_past(&past, &changes::history(graph)?)
        })
    })?;
    let (client, path) = (graph.client, graph.path());
    let main = scenario.check("the client deletes a node with its edges", || {
        let before = client.export(&path, "main")?;
        let name = a_source(&before)?;
        let query = "query q($n: String) { delete Person where name = $n }";
        client.mutate(&path, query, &json!({ "n": name }))?;
        let after = client.export(&path, "main")?;
        let quoted = format!("{name:?}");
        let expected: Lines = before.into_iter().filter(|line| !line.contains(&quoted)).collect();
        ensure!(after == expected, "{} rows, not {}", after.len(), expected.len());
        Ok(after)
    })?;
    let expected = Exports::from([("main".to_owned(), main)]);
    scenario.check("lancekeeper keeps the order up", || {
        expect_kept(graph, layout)?;
        graph.expect_unchanged(&expected)?;
        expect_followed(graph, &expected)?;
        graph.expect_no_drift()
    })?;
    scenario.check("the client optimizes what lies in another order", || {
        client.optimize(&path)?;
        graph.expect_unchanged(&expected)?;
        graph.expect_no_drift()
    })?;
    scenario.check("and lancekeeper once more", || {
        expect_kept(graph, layout)?;
        graph.expect_unchanged(&expected)?;
        graph.expect_no_drift()
    })
}

/// A run over every branch that gives all edges of main another order.
fn lay_out(graph: &Graph<'_>, layout: &str) -> Result<()> {
    let what = ["--all-branches", "--layout", layout, "--target-rows", TARGET_ROWS];
    let run = graph.lab.keeper.start_on(&graph.path(), &what, None)?.wait()?;
    run.expect_success()?;
    let report = run.json()?;
    for key in EDGES {
        let row = row(&report, key)?;
        let fragments = row["fragments_after"].as_u64().unwrap_or_default();
        ensure!(row["committed"] == true && fragments > 2, "not laid out: {row}");
        ensure!(row["layout"]["layout"] == layout, "another layout: {row}");
        ensure!(row["layout"]["expansions"].is_object() == (layout == "graph"), "{row}");
    }
    Ok(())
}

/// A plain run over main, after which the edges have the layout that they had.
fn expect_kept(graph: &Graph<'_>, layout: &str) -> Result<()> {
    let what = ["--target-rows", TARGET_ROWS];
    let run = graph.lab.keeper.start_on(&graph.path(), &what, None)?.wait()?;
    run.expect_success()?;
    let report = run.json()?;
    for key in EDGES {
        let row = row(&report, key)?;
        ensure!(row["layout"]["layout"] == layout, "it is not kept up: {row}");
    }
    Ok(())
}

fn row<'a>(report: &'a Value, key: &str) -> Result<&'a Value> {
    let rows = report["roots"][0]["tables"].as_array().context("a report without tables")?;
    let row = rows.iter().find(|row| row["table_key"] == key && row["branch"] == "main");
    row.with_context(|| format!("no {key} in {report}"))
}

/// The client follows every edge of every branch, whichever end it begins at.
fn expect_followed(graph: &Graph<'_>, exports: &Exports) -> Result<()> {
    for (branch, lines) in exports {
        let edges = edges(lines)?;
        for query in PAIRS {
            let found: BTreeSet<String> =
                graph.client.pairs(&graph.path(), branch, query, COLUMNS)?.into_iter().collect();
            let lost = edges.difference(&found).count();
            let gained = found.difference(&edges).count();
            ensure!(lost + gained == 0, "{branch}: {query}: {lost} lost, {gained} gained");
        }
    }
    Ok(())
}

/// Who knows whom, by an export.
fn edges(lines: &Lines) -> Result<BTreeSet<String>> {
    edges_of(lines, "Knows")
}

/// The edges of a type, each as the names of its two nodes.
fn edges_of(lines: &Lines, name: &str) -> Result<BTreeSet<String>> {
    let mut edges = BTreeSet::new();
    for line in lines {
        let row: Value = serde_json::from_str(line)?;
        if let (true, Some(from), Some(to)) =
            (row["edge"] == name, row["from"].as_str(), row["to"].as_str())
        {
            edges.insert(format!("{from} {to}"));
        }
    }
    ensure!(!edges.is_empty(), "no edge in the export");
    Ok(edges)
}

/// A person from whom an edge of either type goes out: 0.7.0 leaves drift in a table where a deletion finds none.
fn a_source(lines: &Lines) -> Result<String> {
    let source = |edge: &String| edge.split(' ').next().unwrap_or_default().to_owned();
    let knows: BTreeSet<String> = edges(lines)?.iter().map(source).collect();
    let works: BTreeSet<String> = edges_of(lines, "WorksAt")?.iter().map(source).collect();
    let both = knows.intersection(&works).next();
    both.cloned().context("nobody knows somebody and works somewhere")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_knows_whom_is_taken_from_an_export() {
        let lines = [
            r#"{"edge":"Knows","from":"b","to":"a","data":{}}"#,
            r#"{"edge":"Knows","from":"d","to":"a","data":{}}"#,
            r#"{"edge":"WorksAt","from":"d","to":"c","data":{}}"#,
            r#"{"type":"Person","data":{"name":"a"}}"#,
        ];
        let lines = lines.map(str::to_owned).to_vec();
        assert_eq!(Vec::from_iter(edges(&lines).unwrap()), ["b a", "d a"]);
        assert_eq!(a_source(&lines).unwrap(), "d");
        assert!(edges(&lines[2..].to_vec()).is_err());
    }
}
