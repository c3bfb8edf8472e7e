//! A real client loads in a loop, our optimize runs in a loop, and a reader looks on in a loop.
//!
//! Each load writes a node table and an edge table: whoever sees the rows of one and not of the other
//! has seen half a load.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use tempfile::TempDir;

use super::graph::{Exports, Graph, MAIN_ONLY, expect_same, new_rows};
use super::graph_reader::GraphReader;
use super::omnigraph::{Lines, Omnigraph};
use super::report::{Report, Scenario};
use super::{Args, Lab, answers};

/// Done, or some tables failed; another keeper holds the lock; a load has to finish first.
const EXIT_CODES: [i32; 4] = [0, 3, 11, 12];

/// What a client says when somebody else was faster and it may try again. To a command line, which opens
/// the graph each time, "reopen" means that as well.
const RETRYABLE: [&str; 3] = ["conflict", "refresh and retry", "reopen the graph read-write"];

/// Who is refused more often than that in a row cannot be told to try again.
const MOST_REFUSALS: usize = 20;

/// Begins the name of every row that is loaded during the race; its number and `x` follow.
pub(super) const MARK: &str = "race";

pub(super) fn run(report: &mut Report, lab: &Lab, args: &Args) -> Result<()> {
    for client in &lab.clients.omnigraph {
        let mut scenario = report.scenario(&client.title(), "race");
        let length = Duration::from_secs(60 * args.minutes);
        // What failed is in the report.
        let _: Option<()> = check(lab, client, length, &mut scenario);
    }
    Ok(())
}

fn check(
    lab: &Lab,
    client: &Omnigraph,
    length: Duration,
    scenario: &mut Scenario<'_>,
) -> Option<()> {
    let race = scenario.check("a graph like the fixture's", || Race::prepare(lab, client))?;
    let label = format!("loads, optimizes and reads for {} s", length.as_secs());
    let result = scenario.check(&label, || race.run(length));
    race.tell(scenario);
    result?;
    scenario.check("both sides did their work", || race.expect_work())?;
    scenario.check("nothing is lost, doubled or half there", || race.read())?;
    scenario.check("the client's indexes answer as its scan", || {
        let exports = Exports::from([("main".to_owned(), client.export(&race.path(), "main")?)]);
        answers::expect(client, &race.path(), &exports)
    })?;
    scenario.check("the client finds no drift", || client.expect_no_drift(&race.path()))?;
    scenario.check("lancekeeper optimize finishes", || {
        lab.keeper.optimize_all(&race.path())?.expect_packed("main")?;
        lab.keeper.optimize_all(&race.path())?.expect_idle()
    })?;
    scenario.check("whoever was refused was told that it may try again", || race.expect_retryable())
}

struct Race<'a> {
    lab: &'a Lab,
    client: &'a Omnigraph,
    temp: TempDir,
    /// What is in the graph before the race.
    base: Lines,
    reader: Mutex<GraphReader>,
    /// The time is up, or one of us has failed.
    over: AtomicBool,
    loads: Mutex<Loads>,
    reads: Mutex<usize>,
    /// How our runs ended, and how often.
    runs: Mutex<BTreeMap<String, usize>>,
}

#[derive(Default)]
pub(super) struct Loads {
    /// The numbers of those that the client called done.
    done: BTreeSet<usize>,
    /// What it said of the others, and how often.
    refusals: BTreeMap<String, usize>,
    in_a_row: usize,
}

impl Loads {
    /// The numbers of those that the client called done.
    pub(super) fn done(&self) -> &BTreeSet<usize> {
        &self.done
    }

    /// What it said of the others, and how often.
    pub(super) fn refusals(&self) -> impl Iterator<Item = (&String, &usize)> {
        self.refusals.iter()
    }

    /// Takes note of one; too many refusals in a row are an error.
    pub(super) fn note(&mut self, number: usize, result: Result<()>) -> Result<()> {
        match result {
            Ok(()) => {
                self.done.insert(number);
                self.in_a_row = 0;
            }
            Err(error) => {
                let said = reason(&format!("{error:#}"));
                self.in_a_row += 1;
                ensure!(self.in_a_row <= MOST_REFUSALS, "refused {} times: {said}", self.in_a_row);
                *self.refusals.entry(said).or_default() += 1;
            }
        }
        Ok(())
    }
}

impl<'a> Race<'a> {
    /// Rows and schema of the fixture in a graph of its own: nobody need wait for its place.
    fn prepare(lab: &'a Lab, client: &'a Omnigraph) -> Result<Self> {
        let temp = tempfile::tempdir()?;
        let (rows, schema) = {
            let graph = Graph::unpacked(lab, client, MAIN_ONLY)?;
            (client.export(&graph.path(), "main")?, client.schema(&graph.path())?)
        };
        let schema_file = temp.path().join("schema.pg");
        std::fs::write(&schema_file, schema)?;
        let path = temp.path().join("graph");
        client.init(&path, &schema_file)?;
        client.load(&path, "main", &rows.join("\n"))?;
        let mut reader = GraphReader::start(&lab.clients.python, &path)?;
        let base = reader.read()?;
        ensure!(base.len() == rows.len(), "{} rows became {}", rows.len(), base.len());
        let over = AtomicBool::new(false);
        let (loads, reads, runs) = (Mutex::default(), Mutex::default(), Mutex::default());
        let reader = Mutex::new(reader);
        Ok(Self { lab, client, temp, base, reader, over, loads, reads, runs })
    }

    fn path(&self) -> PathBuf {
        Path::new(self.temp.path()).join("graph")
    }

    fn run(&self, length: Duration) -> Result<()> {
        let end = Instant::now() + length;
        thread::scope(|scope| {
            let load = scope.spawn(|| self.repeat(end, |number| self.load(number)));
            let optimize = scope.spawn(|| self.repeat(end, |_| self.optimize()));
            let read = scope.spawn(|| self.repeat(end, |_| self.read()));
            [load, optimize, read].map(|thread| match thread.join() {
                Ok(result) => result,
                Err(_) => Err(anyhow!("a thread panicked")),
            })
        })
        .into_iter()
        .collect()
    }

    /// Until the end, or until one of the others fails.
    fn repeat(&self, end: Instant, mut step: impl FnMut(usize) -> Result<()>) -> Result<()> {
        for number in 0.. {
            if Instant::now() >= end || self.over.load(Ordering::SeqCst) {
                break;
            }
            let result = step(number);
            if result.is_err() {
                self.over.store(true, Ordering::SeqCst);
                return result;
            }
        }
        Ok(())
    }

    fn load(&self, number: usize) -> Result<()> {
        let (rows, _) = new_rows(&format!("{MARK}{number}x"));
        let result = self.client.load(&self.path(), "main", &rows);
        self.loads.lock().expect("no thread panicked").note(number, result)
    }

    fn optimize(&self) -> Result<()> {
        let outcome = self.lab.keeper.start(&self.path(), None)?.wait()?;
        let code = outcome.status.code().context("lancekeeper was killed")?;
        if !EXIT_CODES.contains(&code) {
            bail!("lancekeeper optimize: {}", outcome.describe());
        }
        let mut runs = self.runs.lock().expect("no thread panicked");
        for end in outcome.report()?.ends()? {
            *runs.entry(format!("exit code {code}, {end}")).or_default() += 1;
        }
        Ok(())
    }

    fn read(&self) -> Result<()> {
        // What was done before we look must be there; what is done while we look may be.
        let done = self.loads.lock().expect("no thread panicked").done.clone();
        let rows = self.reader.lock().expect("no thread panicked").read()?;
        *self.reads.lock().expect("no thread panicked") += 1;
        expect_whole_loads(&rows, &self.base, &done).context("the reader saw")
    }

    fn tell(&self, scenario: &mut Scenario<'_>) {
        let loads = self.loads.lock().expect("no thread panicked");
        scenario.note("loads done", &loads.done.len().to_string());
        for (said, count) in &loads.refusals {
            scenario.note("loads refused", &format!("{count} × {said}"));
        }
        for (end, count) in &*self.runs.lock().expect("no thread panicked") {
            scenario.note("optimize", &format!("{count} × {end}"));
        }
        let reads = *self.reads.lock().expect("no thread panicked");
        scenario.note("reads", &reads.to_string());
    }

    fn expect_retryable(&self) -> Result<()> {
        for said in self.loads.lock().expect("no thread panicked").refusals.keys() {
            let retryable = RETRYABLE.iter().any(|words| said.contains(words));
            ensure!(retryable, "refused for good: {said}");
        }
        Ok(())
    }

    /// A race of one proves nothing.
    fn expect_work(&self) -> Result<()> {
        let loads = self.loads.lock().expect("no thread panicked").done.len();
        let reads = *self.reads.lock().expect("no thread panicked");
        let runs = self.runs.lock().expect("no thread panicked");
        let published = runs.iter().filter(|(end, _)| end.ends_with("published"));
        let published: usize = published.map(|(_, count)| count).sum();
        ensure!(
            loads > 5 && published > 1 && reads > 5,
            "{loads} loads, {published} published runs, {reads} reads"
        );
        Ok(())
    }
}

/// The rows are those of before the race, all of each load in `done`, and all or none of any other.
pub(super) fn expect_whole_loads(rows: &Lines, base: &Lines, done: &BTreeSet<usize>) -> Result<()> {
    let (_, whole) = new_rows(MARK);
    let mut counts: BTreeMap<usize, usize> = BTreeMap::new();
    let mut others = Lines::new();
    for row in rows {
        match number_of_load(row) {
            Some(number) => *counts.entry(number).or_default() += 1,
            None => others.push(row.clone()),
        }
    }
    expect_same(base, &others).context("of the rows of before")?;
    for (number, count) in &counts {
        ensure!(*count == whole, "load {number} has {count} rows, not {whole}");
    }
    let lost: Vec<_> = done.iter().filter(|number| !counts.contains_key(number)).collect();
    ensure!(lost.is_empty(), "{} loads are gone, as {:?}", lost.len(), lost.first());
    Ok(())
}

fn number_of_load(row: &str) -> Option<usize> {
    let (_, rest) = row.split_once(&format!("\"{MARK}"))?;
    rest.split_once('x')?.0.parse().ok()
}

/// Why a client failed, without the command line, colours and backtrace around it, and without what
/// differs from one such error to the next.
pub(super) fn reason(said: &str) -> String {
    let mut plain = String::new();
    for (number, piece) in said.split('\u{1b}').enumerate() {
        // Every piece but the first begins with the rest of an escape, which ends with an `m`.
        let text = if number == 0 { piece } else { piece.split_once('m').map_or("", |it| it.1) };
        plain.push_str(text);
    }
    let from_error = plain.split_once("Error:").map_or(plain.as_str(), |(_, rest)| rest);
    let core = from_error.split("Location:").next().unwrap_or(from_error);
    let words = core.split_whitespace().map(|word| {
        let differs = word.contains(|letter: char| letter.is_ascii_digit());
        if differs { "…" } else { word }
    });
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(numbers: &[usize]) -> Lines {
        let of = |number: &usize| new_rows(&format!("{MARK}{number}x")).0;
        let loaded = numbers.iter().map(of).collect::<String>();
        std::iter::once("before").chain(loaded.lines()).map(str::to_owned).collect()
    }

    #[test]
    fn half_a_load_a_doubled_one_and_a_lost_one_are_found() {
        let base = rows(&[]);
        let done = BTreeSet::from([1, 11]);
        assert!(expect_whole_loads(&rows(&[1, 11]), &base, &done).is_ok());
        assert!(expect_whole_loads(&rows(&[1, 11, 2]), &base, &done).is_ok());
        assert!(expect_whole_loads(&rows(&[1]), &base, &done).is_err());
        assert!(expect_whole_loads(&rows(&[1, 11, 11]), &base, &done).is_err());
        assert!(expect_whole_loads(&rows(&[1, 11, 2])[..12].to_vec(), &base, &done).is_err());
        assert!(expect_whole_loads(&rows(&[1, 11])[1..].to_vec(), &base, &done).is_err());
    }

    #[test]
    fn errors_that_differ_in_numbers_only_count_as_one() {
        let said = "load /a/b: exit status: 1: Error: \n 0: \u{1b}[91mtable at 12, not 13\u{1b}[0m\n \
                    Location: x.rs:4";
        assert_eq!(reason(said), "… table at … not …");
        assert_eq!(reason("killed"), "killed");
    }

    #[test]
    fn refusals_are_counted_and_too_many_in_a_row_are_an_error() {
        let refuse = || Err(anyhow!("conflict"));
        let mut loads = Loads::default();
        for number in 0..MOST_REFUSALS {
            assert!(loads.note(number, refuse()).is_ok());
        }
        assert!(loads.note(90, refuse()).is_err());
        assert!(loads.note(91, Ok(())).is_ok() && loads.note(92, refuse()).is_ok());
        assert_eq!(loads.refusals["conflict"], MOST_REFUSALS + 1);
    }
}
