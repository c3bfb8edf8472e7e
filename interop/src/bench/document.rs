//! The rows as people read them, and `docs/benchmarks.md`, which keeps each row as it was last measured.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use xtask::cargo::output;

use super::runner::{Run, Side, largest, median};

const MIB: f64 = 1_048_576.0;

/// What stands above the rows.
const HEAD: &str = include_str!("head.md");

/// A row of what is to be reached.
pub(super) struct Row {
    /// Its number, and a word where it has several parts.
    pub(super) id: String,
    /// What was done.
    pub(super) work: String,
    /// Ours first; none where not whole runs are compared.
    pub(super) lines: Vec<Line>,
    /// What is not a ratio to another side.
    pub(super) bars: Vec<Bar>,
    /// What a reader must know besides; the only content of a row that was not measured.
    pub(super) notes: Vec<String>,
}

/// One side of a row.
pub(super) struct Line {
    name: String,
    /// The most that ours may take of this side's time.
    bar: Option<f64>,
    /// Whether that is the time of the call alone.
    is_call: bool,
    pub(super) runs: Vec<Run>,
}

/// A figure and the most it may be.
pub(super) struct Bar {
    pub(super) what: String,
    pub(super) value: f64,
    pub(super) most: f64,
    pub(super) unit: &'static str,
}

impl Row {
    pub(super) fn new(id: &str, work: impl Into<String>) -> Self {
        let (lines, bars, notes) = (Vec::new(), Vec::new(), Vec::new());
        Self { id: id.to_owned(), work: work.into(), lines, bars, notes }
    }

    pub(super) fn not_measured(id: &str, work: &str, why: &str) -> Self {
        let mut row = Self::new(id, work);
        row.notes.push(format!("Not measured: {why}."));
        row
    }

    pub(super) fn bar(
        &mut self,
        what: impl Into<String>,
        value: f64,
        most: f64,
        unit: &'static str,
    ) {
        self.bars.push(Bar { what: what.into(), value, most, unit });
    }

    /// Our peak memory against a bar in MiB.
    pub(super) fn bar_of_memory(&mut self, most: f64) {
        let peak = largest(self.lines[0].runs.iter().map(|run| run.peak as f64 / MIB));
        self.bar("peak memory", peak, most, " MiB");
    }

    fn markdown(&self, conditions: &str) -> String {
        let mut text = format!("## {}: {}\n", self.id, self.work);
        // A row that was not measured has neither.
        if !self.lines.is_empty() || !self.bars.is_empty() {
            let _ = writeln!(text, "\n{conditions}");
        }
        if let Some(ours) = self.lines.first() {
            text.push_str("\n| side | median s | slowest s | call s | peak MiB | read MiB | written MiB | ours / process | ours / call | bar | |\n");
            text.push_str("|---|---|---|---|---|---|---|---|---|---|---|\n");
            for line in &self.lines {
                let _ = writeln!(text, "{}", line.markdown(ours));
            }
        }
        if !self.bars.is_empty() || !self.notes.is_empty() {
            text.push('\n');
        }
        for Bar { what, value, most, unit } in &self.bars {
            let (value_text, verdict) = (figure(*value), verdict(*value, *most));
            let _ = writeln!(text, "- {what}: {value_text}{unit}, at most {most}{unit}: {verdict}");
        }
        for note in &self.notes {
            let _ = writeln!(text, "- {note}");
        }
        text
    }
}

impl Line {
    pub(super) fn of(side: &Side<'_>) -> Self {
        let Side { name, bar, is_call, .. } = side;
        Self { name: name.clone(), bar: *bar, is_call: *is_call, runs: Vec::new() }
    }

    /// The median that is compared.
    pub(super) fn seconds(&self) -> f64 {
        let call = |run: &Run| run.call.filter(|_| self.is_call);
        median(self.runs.iter().map(|run| call(run).unwrap_or(run.wall)))
    }

    fn markdown(&self, ours: &Self) -> String {
        let walls = || self.runs.iter().map(|run| run.wall);
        let calls: Vec<f64> = self.runs.iter().filter_map(|run| run.call).collect();
        let mib = |of: fn(&Run) -> u64| self.runs.iter().map(move |run| of(run) as f64 / MIB);
        let peak = largest(mib(|run| run.peak));
        let mut cells = vec![figure(median(walls())), figure(largest(walls()))];
        let call = (!calls.is_empty()).then(|| median(calls));
        cells.push(call.map(figure).unwrap_or_default());
        cells.push(figure(peak));
        cells.extend([mib(|run| run.read), mib(|run| run.written)].map(|m| figure(median(m))));
        if std::ptr::eq(self, ours) {
            cells.extend([const { String::new() }; 4]);
        } else {
            let of = |ours: f64, theirs: f64| format!("{}×", figure(ours / theirs));
            let our_wall = median(ours.runs.iter().map(|run| run.wall));
            cells.push(of(our_wall, median(walls())));
            cells.push(call.map(|call| of(ours.seconds(), call)).unwrap_or_default());
            let of = if self.is_call { " of the call" } else { "" };
            cells.push(self.bar.map(|bar| format!("≤ {bar}×{of}")).unwrap_or_default());
            let verdict = self.bar.map(|bar| verdict(ours.seconds() / self.seconds(), bar));
            cells.push(verdict.unwrap_or_default().to_owned());
        }
        format!("| {} | {} |", self.name, cells.join(" | "))
    }
}

/// A figure with as many digits as mean something.
fn figure(value: f64) -> String {
    let decimals = match value.abs() {
        whole if whole.fract() == 0.0 => 0,
        large if large >= 100.0 => 0,
        middle if middle >= 10.0 => 1,
        small if small >= 1.0 => 2,
        _ => 3,
    };
    format!("{value:.decimals$}")
}

fn verdict(value: f64, most: f64) -> &'static str {
    if value <= most { "met" } else { "**missed**" }
}

/// The rows, under what they were measured on.
pub(super) fn sections(rows: &[Row], conditions: &str) -> Vec<String> {
    rows.iter().map(|row| row.markdown(conditions)).collect()
}

/// When and where, in a line.
pub(super) fn conditions(root: &Path, runs: usize, remark: Option<&str>) -> Result<String> {
    let text = |program: &str, args: &[&str]| -> Result<String> {
        Ok(output(Command::new(program).args(args).current_dir(root))?.trim().to_owned())
    };
    let memory = std::fs::read_to_string("/proc/meminfo")?;
    let total = memory.split_whitespace().nth(1).context("no MemTotal")?.parse::<f64>()?;
    let cores = std::thread::available_parallelism()?;
    Ok(format!(
        "{}, commit {}, {cores} cores, {:.0} GiB, Linux {}; {runs} runs of each side{}.",
        text("date", &["-u", "+%F"])?,
        text("git", &["describe", "--always", "--dirty"])?,
        total / MIB,
        text("uname", &["-r"])?,
        remark.map(|remark| format!("; {remark}")).unwrap_or_default(),
    ))
}

/// The document with these sections in the place of those of the same heading, in the order of the rows.
pub(super) fn updated(document: &str, sections: &[String]) -> String {
    let old = document.split("\n## ").skip(1).map(|section| format!("## {}\n", section.trim_end()));
    let is_new = |old: &String| sections.iter().any(|new| key(new) == key(old));
    let mut all: Vec<String> = old.filter(|old| !is_new(old)).collect();
    all.extend(sections.iter().cloned());
    all.sort_by_key(|section| {
        let id = key(section).to_owned();
        let digits: String = id.chars().filter(char::is_ascii_digit).collect();
        (digits.parse::<u32>().unwrap_or(u32::MAX), id)
    });
    format!("{HEAD}\n{}", all.join("\n"))
}

/// What a section is about: its heading up to the colon.
fn key(section: &str) -> &str {
    section.lines().next().unwrap_or_default().split(':').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(name: &str, walls: &[f64], bar: Option<f64>) -> Line {
        let call = Some(1.0).filter(|_| bar.is_some());
        let run = |wall: &f64| Run { wall: *wall, call, peak: 3 << 20, ..Run::default() };
        let runs = walls.iter().map(run).collect();
        Line { name: name.to_owned(), bar, is_call: name == "call", runs }
    }

    #[test]
    fn a_row_says_what_was_met_and_what_was_missed() {
        let mut row = Row::new("P0", "work");
        row.lines = vec![
            line("ours", &[2.0, 9.0, 1.0], None),
            line("theirs", &[4.0], Some(0.5)),
            line("call", &[4.0], Some(0.5)),
            line("other", &[0.5], None),
        ];
        row.bar_of_memory(2.0);
        row.bar("refused", 0.0, 0.0, " appends");
        row.notes.push("Known.".to_owned());
        let text = row.markdown("Here.");
        assert!(text.starts_with("## P0: work\n\nHere.\n\n| side |"), "{text}");
        let lines: Vec<&str> = text.lines().skip(6).collect();
        assert_eq!(
            lines,
            [
                "| ours | 2 | 9 |  | 3 | 0 | 0 |  |  |  |  |",
                "| theirs | 4 | 4 | 1 | 3 | 0 | 0 | 0.500× | 2× | ≤ 0.5× | met |",
                "| call | 4 | 4 | 1 | 3 | 0 | 0 | 0.500× | 2× | ≤ 0.5× of the call | **missed** |",
                "| other | 0.500 | 0.500 |  | 3 | 0 | 0 | 4× |  |  |  |",
                "",
                "- peak memory: 3 MiB, at most 2 MiB: **missed**",
                "- refused: 0 appends, at most 0 appends: met",
                "- Known.",
            ]
        );
    }

    #[test]
    fn a_section_takes_the_place_of_the_one_it_renews() {
        let first = updated("", &["## P10: b\n\nold\n".to_owned(), "## P2: a\n\nx\n".to_owned()]);
        let second = updated(&first, &["## P10: c\n\nnew\n".to_owned()]);
        assert!(
            second.starts_with(HEAD) && second.ends_with("## P2: a\n\nx\n\n## P10: c\n\nnew\n")
        );
        assert_eq!(updated(&second, &[]), second);
    }
}
