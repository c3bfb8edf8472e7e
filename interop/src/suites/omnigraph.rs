//! The omnigraph client of one version, as a command line.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::output;

pub(crate) struct Omnigraph {
    pub(super) version: &'static str,
    binary: PathBuf,
}

/// A table as a branch pins it.
pub(super) struct Table {
    pub(super) key: String,
    /// Below the graph's root.
    pub(super) path: String,
    pub(super) version: u64,
    /// The Lance branch of the table that it is read from.
    pub(super) branch: String,
}

/// The lines of an export, sorted: the client promises no order.
pub(crate) type Lines = Vec<String>;

impl Omnigraph {
    pub(super) fn new(version: &'static str, binary: PathBuf) -> Self {
        Self { version, binary }
    }

    /// As in the table of what was checked.
    pub(crate) fn title(&self) -> String {
        format!("omnigraph {}", self.version)
    }

    pub(crate) fn export(&self, graph: &Path, branch: &str) -> Result<Lines> {
        let text = output(self.command("export").arg(graph).args(["--branch", branch]))?;
        let mut lines: Lines = text.lines().map(str::to_owned).collect();
        lines.sort();
        Ok(lines)
    }

    pub(super) fn branches(&self, graph: &Path) -> Result<Vec<String>> {
        let listing = self.json(self.command("branch").arg("list").arg("--uri").arg(graph))?;
        let mut names: Vec<String> = serde_json::from_value(listing["branches"].clone())
            .context("the list of branches is not a list of names")?;
        names.sort();
        Ok(names)
    }

    /// The pinned version of every table.
    pub(super) fn pins(&self, graph: &Path, branch: &str) -> Result<BTreeMap<String, u64>> {
        let tables = self.tables(graph, branch)?;
        Ok(tables.into_iter().map(|table| (table.key, table.version)).collect())
    }

    /// Every table, as the branch pins it.
    pub(super) fn tables(&self, graph: &Path, branch: &str) -> Result<Vec<Table>> {
        let snapshot = self.json(self.command("snapshot").arg(graph).args(["--branch", branch]))?;
        let table = |table: &Value| {
            let version = table["table_version"].as_u64().context("a table without a version")?;
            // Null and the word both mean main.
            let branch = table["table_branch"].as_str().unwrap_or("main").to_owned();
            let (key, path) = (text(table, "table_key")?, text(table, "table_path")?);
            Ok(Table { key, path, version, branch })
        };
        tables(&snapshot)?.iter().map(table).collect()
    }

    /// The ids of the commits that a branch can be read at, oldest first.
    pub(super) fn commits(&self, graph: &Path, branch: &str) -> Result<Vec<String>> {
        let commits = self.commit_rows(graph, branch)?;
        commits.iter().map(|commit| text(commit, "graph_commit_id")).collect()
    }

    /// The commits that a branch can be read at, oldest first, each with all that is listed of it.
    pub(super) fn commit_rows(&self, graph: &Path, branch: &str) -> Result<Vec<Value>> {
        let mut command = self.command("commit");
        command.args(["list", "--branch", branch]).arg(graph);
        let listing = self.json(&mut command)?;
        let commits =
            listing["commits"].as_array().with_context(|| format!("no commits in {listing}"))?;
        ensure!(!commits.is_empty(), "{branch} has no commit");
        Ok(commits.clone())
    }

    /// The values in the only column of the answer; `query` is the body of a query.
    pub(super) fn query(&self, graph: &Path, branch: &str, query: &str) -> Result<Vec<String>> {
        let rows = self.rows(graph, ["--branch", branch], query)?;
        let values = rows.iter().filter_map(|row| row.as_object()?.values().next()?.as_str());
        Ok(values.map(str::to_owned).collect())
    }

    /// The values of two columns of the answer, one blank between those of a row; `query` is the body of a query.
    pub(super) fn pairs(
        &self,
        graph: &Path,
        branch: &str,
        query: &str,
        columns: [&str; 2],
    ) -> Result<Vec<String>> {
        let rows = self.rows(graph, ["--branch", branch], query)?;
        let pair = |row: &Value| {
            let [one, other] = columns.map(|column| row[column].as_str());
            Some(format!("{} {}", one?, other?))
        };
        rows.iter().map(|row| pair(row).with_context(|| format!("no pair: {row}"))).collect()
    }

    /// The rows of the answer at an earlier commit, each as JSON.
    pub(super) fn query_at(&self, graph: &Path, commit: &str, query: &str) -> Result<Lines> {
        let rows = self.rows(graph, ["--snapshot", commit], query)?;
        let mut lines: Lines = rows.iter().map(Value::to_string).collect();
        lines.sort();
        Ok(lines)
    }

    fn rows(&self, graph: &Path, at: [&str; 2], query: &str) -> Result<Vec<Value>> {
        let text = output(&mut self.query_command(graph, at, query))?;
        let answer: Value =
            serde_json::from_str(&text).with_context(|| format!("not JSON: {text}"))?;
        let rows = answer["rows"].as_array().with_context(|| format!("no rows in {answer}"))?;
        Ok(rows.clone())
    }

    /// A query, not started yet, that answers as JSON; `query` is the body of a query.
    pub(crate) fn query_command(&self, graph: &Path, at: [&str; 2], query: &str) -> Command {
        let mut command = self.command("query");
        command.arg("--store").arg(graph).args(at);
        command.args(["-e", &format!("query q() {{ {query} }}"), "--json"]);
        command
    }

    pub(crate) fn init(&self, graph: &Path, schema: &Path) -> Result<()> {
        output(self.command("init").arg("--schema").arg(schema).arg(graph)).map(drop)
    }

    pub(super) fn schema(&self, graph: &Path) -> Result<String> {
        output(self.command("schema").arg("show").arg(graph))
    }

    pub(super) fn apply_schema(&self, graph: &Path, schema: &str) -> Result<()> {
        let file = tempfile::NamedTempFile::new()?;
        fs::write(file.path(), schema)?;
        output(&mut self.apply_command(graph, file.path())).map(drop)
    }

    /// The application of a schema from a file, not started yet.
    pub(super) fn apply_command(&self, graph: &Path, schema: &Path) -> Command {
        let mut command = self.command("schema");
        command.args(["apply", "--schema"]).arg(schema).arg(graph);
        command
    }

    /// Runs a query that changes main; one that changes nothing is an error.
    pub(super) fn mutate(&self, graph: &Path, query: &str, parameters: &Value) -> Result<()> {
        let mut command = self.command("mutate");
        command.arg("--store").arg(graph).args(["-e", query, "--params"]);
        let answer = self.json(command.arg(parameters.to_string()))?;
        ensure!(answer["affected_nodes"].as_u64() > Some(0), "it changed nothing: {answer}");
        Ok(())
    }

    pub(crate) fn load(&self, graph: &Path, branch: &str, rows: &str) -> Result<()> {
        let file = tempfile::NamedTempFile::new()?;
        fs::write(file.path(), rows)?;
        output(&mut self.load_command(graph, branch, file.path())).map(drop)
    }

    /// A load of a file, not started yet.
    pub(super) fn load_command(&self, graph: &Path, branch: &str, data: &Path) -> Command {
        let mut command = self.command("load");
        command.args(["--mode", "merge", "--branch", branch, "--data"]).arg(data).arg(graph);
        command
    }

    pub(super) fn create_branch(&self, graph: &Path, name: &str, from: &str) -> Result<()> {
        let mut command = self.command("branch");
        output(command.args(["create", "--from", from, "--uri"]).arg(graph).arg(name)).map(drop)
    }

    pub(super) fn delete_branch(&self, graph: &Path, name: &str) -> Result<()> {
        let mut command = self.command("branch");
        output(command.args(["delete", "--uri"]).arg(graph).arg(name)).map(drop)
    }

    /// Merges, and returns what the client calls the outcome.
    pub(super) fn merge_branch(&self, graph: &Path, source: &str, target: &str) -> Result<String> {
        let mut command = self.command("branch");
        let merge = command.args(["merge", "--into", target, "--uri"]).arg(graph).arg(source);
        text(&self.json(merge)?, "outcome")
    }

    /// Optimizes; a table that was skipped is an error.
    pub(crate) fn optimize(&self, graph: &Path) -> Result<()> {
        let report = self.json(self.command("optimize").arg(graph))?;
        for table in tables(&report)? {
            let (key, skipped) = (&table["table_key"], &table["skipped"]);
            ensure!(skipped.is_null(), "{key} was skipped: {skipped}");
        }
        Ok(())
    }

    /// Collects all but a few versions of each table; a table that could not be cleaned is an error.
    pub(super) fn cleanup(&self, graph: &Path) -> Result<()> {
        let mut command = self.command("cleanup");
        let report = self.json(command.arg(graph).args(["--keep", "2", "--confirm"]))?;
        for table in tables(&report)? {
            ensure!(table["error"].is_null(), "{table}");
        }
        Ok(())
    }

    /// Asks `repair` for drift; any is an error.
    pub(super) fn expect_no_drift(&self, graph: &Path) -> Result<()> {
        let drifted = self.drift(graph)?;
        ensure!(drifted.is_empty(), "drift: {drifted:?}");
        Ok(())
    }

    /// Publishes whatever drift there is.
    pub(super) fn repair(&self, graph: &Path) -> Result<()> {
        let mut command = self.command("repair");
        output(command.args(["--force", "--confirm"]).arg(graph)).map(drop)
    }

    /// The tables whose HEAD is not their pin, and what `repair` calls that.
    pub(super) fn drift(&self, graph: &Path) -> Result<Vec<(String, String)>> {
        let report = self.json(self.command("repair").arg(graph))?;
        let mut drifted = Vec::new();
        for table in tables(&report)? {
            let class = text(table, "classification")?;
            if class != "no_drift" {
                drifted.push((text(table, "table_key")?, class));
            }
        }
        Ok(drifted)
    }

    fn json(&self, command: &mut Command) -> Result<Value> {
        let text = output(command.arg("--json"))?;
        serde_json::from_str(&text).with_context(|| format!("not JSON: {text}"))
    }

    /// Any command, not started yet, and without its arguments.
    pub(crate) fn command(&self, verb: &str) -> Command {
        let mut command = Command::new(&self.binary);
        // Nothing of the user's own configuration: neither a profile nor a default graph.
        let nowhere = std::env::temp_dir().join("lancekeeper-interop-without-a-home");
        command.env("OMNIGRAPH_HOME", nowhere).env_remove("OMNIGRAPH_PROFILE");
        // A backtrace would bury the error.
        command.env("RUST_BACKTRACE", "0").env("NO_COLOR", "1").arg(verb);
        command
    }
}

fn tables(report: &Value) -> Result<&Vec<Value>> {
    let tables = report["tables"].as_array().with_context(|| format!("no tables in {report}"))?;
    ensure!(!tables.is_empty(), "the list of tables is empty");
    Ok(tables)
}

fn text(value: &Value, field: &str) -> Result<String> {
    let text = value[field].as_str().with_context(|| format!("no {field} in {value}"))?;
    Ok(text.to_owned())
}
