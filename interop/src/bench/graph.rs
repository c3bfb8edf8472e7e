//! P13 and P15: a graph of 20 tables is optimized and cleaned up, by ours and by the client that wrote it.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use xtask::archive;
use xtask::cargo::output;

use super::document::{Line, Row};
use super::lab::{Lab, files};
use super::runner::{Side, largest, take_turns};
use crate::suites::Omnigraph;

const TABLES: usize = 20;
/// Loads, each of which adds a fragment to every table.
const LOADS: usize = 200;
/// Rows of each table in a load.
const ROWS: usize = 5;
const NO_CLIENT: &str = "omnigraph is not installed (`cargo xtask interop` installs it)";

/// P13: the time of both verbs, and what the cleanup leaves.
pub(super) fn maintain(lab: &Lab) -> Result<Vec<Row>> {
    let work = format!("optimize a graph of {TABLES} tables of {} fragments", lab.scaled(LOADS));
    let Some(client) = &lab.omnigraph else {
        return Ok(vec![Row::not_measured("P13", &work, NO_CLIENT)]);
    };
    let graph = made(lab, client)?;
    let mut optimized = Row::new("P13", work);
    optimized.lines = against_client(lab, client, &graph, Verb::Optimize, 0.2)?;
    let reports = optimized.lines[0].runs.iter();
    let published = reports.filter_map(|run| run.said["roots"][0]["published"].as_f64());
    let published = largest(published);
    optimized.notes.push(format!("Ours publishes {published} times, the client once per table."));
    Ok(vec![optimized, cleaned_up(lab, client, &graph)?])
}

/// Both sides clean up the same graph, as the client's own optimize leaves it.
fn cleaned_up(lab: &Lab, client: &Omnigraph, graph: &Path) -> Result<Row> {
    let name = format!("{}-optimized", name(lab));
    let left = lab.once(&name, |place| {
        let copied = lab.fresh(graph)?;
        client.optimize(&copied)?;
        fs::rename(&copied, place.join("graph")).context("failed to keep the optimized graph")
    })?;
    let left = left.join("graph");
    let mut cleaned =
        Row::new("P13 cleanup", "clean it up to its newest version, after omnigraph's optimize");
    cleaned.lines = against_client(lab, client, &left, Verb::Cleanup, 0.8)?;
    let place = lab.fresh(&left)?;
    output(Verb::Cleanup.ours(lab).arg(&place))?;
    let ours = files(&place)?;
    let place = lab.fresh(&left)?;
    output(Verb::Cleanup.theirs(client).arg(&place))?;
    let theirs = files(&place)?;
    let bytes = |files: &[(PathBuf, u64)]| files.iter().map(|(_, size)| *size as f64).sum::<f64>();
    cleaned.bar(
        "bytes left, of those that the client leaves",
        bytes(&ours) / bytes(&theirs),
        1.0,
        "×",
    );
    cleaned.notes.push(format!(
        "Files left: {} by ours, {} by the client's.",
        ours.len(),
        theirs.len()
    ));
    Ok(cleaned)
}

/// P15: what the client's queries and the listing of the graph gain from either side's maintenance.
pub(super) fn query(lab: &Lab) -> Result<Vec<Row>> {
    let work = "the client queries the graph of P13 after optimize and `cleanup --keep 1`";
    let Some(client) = &lab.omnigraph else {
        return Ok(vec![Row::not_measured("P15", work, NO_CLIENT)]);
    };
    let graph = made(lab, client)?;
    let maintained = |name: &str, is_ours: bool| -> Result<PathBuf> {
        let place = lab.work().join(name);
        archive::remove(&place)?;
        fs::rename(lab.fresh(&graph)?, &place)?;
        for verb in [Verb::Optimize, Verb::Cleanup] {
            let mut command = if is_ours { verb.ours(lab) } else { verb.theirs(client) };
            output(command.arg(&place))?;
        }
        Ok(place)
    };
    let (ours, theirs) = (maintained("after-ours", true)?, maintained("after-theirs", false)?);
    ensure!(client.export(&ours, "main")? == client.export(&theirs, "main")?, "other rows");

    let text = format!("match {{ $p: T00 {{ name: \"{}\" }} }} return {{ $p.name }}", key(0, 0));
    let side = |name: &str, place: &Path| {
        let (text, place) = (text.clone(), place.to_owned());
        Side::new(name, move || client.query_command(&place, ["--branch", "main"], &text))
            .checked_by(|run| {
                ensure!(run.said["rows"].as_array().is_some_and(|rows| rows.len() == 1), "no row");
                Ok(())
            })
    };
    let after_theirs = side("query after the client's own", &theirs).at_most(1.0);
    let mut row = Row::new("P15", work);
    row.lines = take_turns(lab, &[side("query after ours", &ours), after_theirs])?;
    row.bar("objects left", files(&ours)?.len() as f64, 400.0, " files");
    let (before, after) = (files(&graph)?.len(), files(&theirs)?.len());
    row.notes.push(format!("Objects before: {before}; after the client's own tools: {after}."));
    Ok(vec![row])
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Verb {
    Optimize,
    Cleanup,
}

impl Verb {
    fn words(self) -> &'static [&'static str] {
        match self {
            Self::Optimize => &["optimize"],
            Self::Cleanup => &["cleanup", "--keep", "1", "--writer-window", "0s", "--confirm"],
        }
    }

    fn their_words(self) -> &'static [&'static str] {
        match self {
            Self::Optimize => &["optimize", "--json"],
            Self::Cleanup => &["cleanup", "--keep", "1", "--confirm", "--json"],
        }
    }

    fn ours(self, lab: &Lab) -> Command {
        let mut command = lab.ours(self.words()[0]);
        command.args(&self.words()[1..]);
        command
    }

    fn theirs(self, client: &Omnigraph) -> Command {
        let mut command = client.command(self.their_words()[0]);
        command.args(&self.their_words()[1..]);
        command
    }
}

/// Both sides at a verb, each on a fresh copy whose rows must still be there after ours.
fn against_client(
    lab: &Lab,
    client: &Omnigraph,
    graph: &Path,
    verb: Verb,
    bar: f64,
) -> Result<Vec<Line>> {
    let place = lab.fresh(graph)?;
    let before = client.export(&place, "main")?;
    let ours = lab.our_side(graph, verb.words()).checked_by(|_| {
        ensure!(client.export(&place, "main")? == before, "other rows than before");
        Ok(())
    });
    let name = format!("{} (-O1) `{}`", client.title(), verb.their_words().join(" "));
    let theirs = Side::new(name, || {
        let mut command = verb.theirs(client);
        command.arg(&place);
        command
    });
    let theirs = theirs.prepared_by(|| lab.fresh(graph).map(drop)).at_most(bar);
    take_turns(lab, &[ours, theirs])
}

fn name(lab: &Lab) -> String {
    format!("graph-{TABLES}x{}x{ROWS}", lab.scaled(LOADS))
}

/// The graph as the client wrote it.
fn made(lab: &Lab, client: &Omnigraph) -> Result<PathBuf> {
    let place = lab.once(&name(lab), |place| {
        let (schema, graph) = (place.join("schema.pg"), place.join("graph"));
        let types = (0..TABLES).map(|table| {
            format!("node T{table:02} {{\n    name: String @key\n    age: I32? @index\n}}\n")
        });
        fs::write(&schema, types.collect::<String>())?;
        client.init(&graph, &schema)?;
        for load in 0..lab.scaled(LOADS) {
            client.load(&graph, "main", &rows(load)?)?;
        }
        Ok(())
    })?;
    Ok(place.join("graph"))
}

fn rows(load: usize) -> Result<String> {
    let mut lines = String::new();
    for table in 0..TABLES {
        for row in 0..ROWS {
            let (name, age) = (key(load, row), (load + row) % 90);
            writeln!(lines, r#"{{"type":"T{table:02}","data":{{"name":"{name}","age":{age}}}}}"#)?;
        }
    }
    Ok(lines)
}

fn key(load: usize, row: usize) -> String {
    format!("n{:06}", load * ROWS + row)
}
