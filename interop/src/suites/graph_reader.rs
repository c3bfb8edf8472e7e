//! A reader that changes nothing: pylance, kept running because it takes a second to start.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, ensure};

use super::omnigraph::Lines;

const SCRIPT: &str = include_str!("graph_reader.py");

pub(super) struct GraphReader {
    child: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl GraphReader {
    pub(super) fn start(python: &Path, graph: &Path) -> Result<Self> {
        let mut command = Command::new(python);
        command.args(["-c", SCRIPT]).arg(graph).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().context("failed to start the reader")?;
        let questions = child.stdin.take().context("the reader has no stdin")?;
        let answers = BufReader::new(child.stdout.take().context("the reader has no stdout")?);
        Ok(Self { child, questions, answers })
    }

    /// The rows of main as they are now: `["TABLE", "ID"]`, and of edges `["TABLE", "ID", "FROM", "TO"]`.
    pub(super) fn read(&mut self) -> Result<Lines> {
        writeln!(self.questions).context("failed to ask the reader")?;
        let mut line = String::new();
        self.answers.read_line(&mut line).context("failed to hear the reader")?;
        // What it failed at is on our stderr.
        ensure!(!line.is_empty(), "the reader ended");
        serde_json::from_str(&line).with_context(|| format!("not a list of rows: {line}"))
    }
}

impl Drop for GraphReader {
    fn drop(&mut self) {
        // Of a child that has ended both do nothing.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
