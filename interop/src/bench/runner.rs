//! One run of one program, what it took, and the order in which the sides of a row run.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;
use xtask::cargo::output;

use super::document::Line;
use super::lab::Lab;

/// What one process took from its start to its end.
#[derive(Debug, Clone, Default)]
pub(super) struct Run {
    /// Wall time in seconds.
    pub(super) wall: f64,
    /// The call alone in seconds: without the start of the interpreter and its imports.
    pub(super) call: Option<f64>,
    /// The most memory that was resident, in bytes.
    pub(super) peak: u64,
    /// Bytes that its system calls read, from the page cache too.
    pub(super) read: u64,
    /// Bytes that its system calls wrote.
    pub(super) written: u64,
    /// What it printed, null unless that is JSON.
    pub(super) said: Value,
}

/// One of those that do the same work.
pub(super) struct Side<'a> {
    /// As in the table: who, and by which call.
    pub(super) name: String,
    /// The most of its time that ours may take.
    pub(super) bar: Option<f64>,
    /// Whether its time is that of the call alone, so that nobody pays for an interpreter.
    pub(super) is_call: bool,
    /// What is measured.
    command: Box<dyn Fn() -> Command + 'a>,
    /// Not measured: everything the run finds when it starts.
    prepare: Box<dyn Fn() -> Result<()> + 'a>,
    /// Not measured: whether the run did what was asked.
    check: Box<Check<'a>>,
}

type Check<'a> = dyn Fn(&Run) -> Result<()> + 'a;

impl<'a> Side<'a> {
    pub(super) fn new(name: impl Into<String>, command: impl Fn() -> Command + 'a) -> Self {
        Self {
            name: name.into(),
            bar: None,
            is_call: false,
            command: Box::new(command),
            prepare: Box::new(|| Ok(())),
            check: Box::new(|_| Ok(())),
        }
    }

    pub(super) fn prepared_by(mut self, prepare: impl Fn() -> Result<()> + 'a) -> Self {
        self.prepare = Box::new(prepare);
        self
    }

    pub(super) fn checked_by(mut self, check: impl Fn(&Run) -> Result<()> + 'a) -> Self {
        self.check = Box::new(check);
        self
    }

    pub(super) fn at_most(self, bar: f64) -> Self {
        Self { bar: Some(bar), ..self }
    }

    pub(super) fn counted_by_call(self) -> Self {
        Self { is_call: true, ..self }
    }
}

/// A line for every side with its runs, without the first of each, which is for warming up.
pub(super) fn take_turns(lab: &Lab, sides: &[Side<'_>]) -> Result<Vec<Line>> {
    let mut lines: Vec<Line> = sides.iter().map(Line::of).collect();
    for round in 0..=lab.runs {
        for at in order(round, sides.len()) {
            eprintln!("  round {round} of {}: {}", lab.runs, sides[at].name);
            let run = one(lab, &sides[at])?;
            if round > 0 {
                lines[at].runs.push(run);
            }
        }
    }
    Ok(lines)
}

/// One measured run of a side.
pub(super) fn one(lab: &Lab, side: &Side<'_>) -> Result<Run> {
    let what = || format!("{} failed", side.name);
    (side.prepare)().with_context(what)?;
    // Whoever makes something durable first would pay for our copying.
    output(&mut Command::new("sync"))?;
    let run = measure(lab, &(side.command)()).with_context(what)?;
    (side.check)(&run).with_context(what)?;
    Ok(run)
}

/// Forwards and backwards in turn, so that no side always finds what the same other one left.
fn order(round: usize, sides: usize) -> Vec<usize> {
    let forwards = 0..sides;
    if round.is_multiple_of(2) { forwards.collect() } else { forwards.rev().collect() }
}

/// Runs a program as a child of a small one, in a process of its own.
fn measure(lab: &Lab, command: &Command) -> Result<Run> {
    let file = lab.work().join("measured.json");
    let mut measured = Command::new(&lab.python);
    // Without the site's packages the interpreter stays small.
    measured.arg("-S").arg(lab.script("measure")).arg(&file);
    measured.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => measured.env(name, value),
            None => measured.env_remove(name),
        };
    }
    let said = serde_json::from_str(&output(&mut measured)?).unwrap_or(Value::Null);
    let took = read_json(&file)?;
    let count = |name: &str| took[name].as_u64().with_context(|| format!("no {name} in {took}"));
    Ok(Run {
        wall: took["wall"].as_f64().context("no wall time")?,
        call: said["call"].as_f64(),
        peak: count("peak")?,
        read: count("read")?,
        written: count("written")?,
        said,
    })
}

fn read_json(file: &Path) -> Result<Value> {
    let text = std::fs::read_to_string(file)?;
    serde_json::from_str(&text).with_context(|| format!("not JSON: {text}"))
}

/// The middle one; of an even number the upper of the two, which flatters nobody.
pub(super) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = values.into_iter().collect();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The largest.
pub(super) fn largest(values: impl IntoIterator<Item = f64>) -> f64 {
    values.into_iter().fold(f64::NAN, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle_whatever_the_order() {
        assert_eq!(median([3.0, 100.0, 1.0]), 3.0);
        assert_eq!(median([4.0, 1.0, 3.0, 2.0]), 3.0);
        assert!(median([]).is_nan());
        assert_eq!(largest([1.0, 3.0, 2.0]), 3.0);
    }

    #[test]
    fn the_sides_take_turns_in_going_first() {
        assert_eq!(order(0, 3), [0, 1, 2]);
        assert_eq!(order(1, 3), [2, 1, 0]);
        assert_eq!(order(2, 3), [0, 1, 2]);
    }
}
