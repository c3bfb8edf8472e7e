//! P1, P2 and P10: tables are compacted, by ours, by pylance in both of its modes, by LanceDB, and `cp`.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use super::document::{Line, Row};
use super::lab::{Facts, Lab, warm};
use super::runner::{Run, Side, largest, one, take_turns};

/// A call in `scripts/peers.py`, how it reads, and the most of its time that ours may take.
struct Peer {
    call: &'static str,
    title: String,
    bar: f64,
}

impl Peer {
    fn reencode(lab: &Lab, bar: f64) -> Result<Self> {
        let title = format!("{} `compact_files()`", lab.package("pylance")?);
        Ok(Self { call: "reencode", title, bar })
    }

    fn copy_pages(lab: &Lab, bar: f64) -> Result<Self> {
        let pylance = lab.package("pylance")?;
        let title = format!("{pylance} `compact_files(compaction_mode=\"try_binary_copy\")`");
        Ok(Self { call: "copy_pages", title, bar })
    }

    fn reencode_wide(lab: &Lab, bar: f64) -> Result<Self> {
        let pylance = lab.package("pylance")?;
        let title = format!("{pylance} `compact_files(target_rows_per_fragment=2000)`");
        Ok(Self { call: "reencode_wide", title, bar })
    }

    fn lancedb(lab: &Lab, bar: f64) -> Result<Self> {
        let title = format!("{} `optimize()`", lab.package("lancedb")?);
        Ok(Self { call: "lancedb_optimize", title, bar })
    }
}

/// P1.
pub(super) fn large(lab: &Lab) -> Result<Vec<Row>> {
    let (fragments, rows) = (10, lab.scaled(170_000));
    let table = lab.tables("with_vectors", fragments, rows)?.join("table.lance");
    let peers = [Peer::reencode(lab, 0.28)?, Peer::copy_pages(lab, 0.5)?, Peer::lancedb(lab, 0.2)?];
    let mut sides = sides(lab, &table, 2, &[], &peers)?;
    sides.push(plain_copy(lab, &table));
    let mut runs = take_turns(lab, &sides)?;
    // A bar is about the slowest of 20; the others have run often enough.
    let mut ours = runs[0].clone();
    for _ in runs[0].len()..4 * lab.runs {
        ours.push(one(lab, &sides[0])?);
    }
    let slowest = largest(ours.iter().map(|run| run.wall));
    let count = ours.len();
    runs[0] = ours;

    let mut row = Row::new(
        "P1",
        format!("compact {fragments} fragments of {rows} rows (text, numbers, 128-d vectors)"),
    );
    let bars = peers.iter().map(|peer| peer.bar).chain([1.2]);
    row.lines = lines(&sides, runs, bars);
    row.bar_of_memory(250.0);
    row.bar(format!("slowest of {count} runs"), slowest, 5.0, "s");
    Ok(vec![row])
}

/// P2: the compaction, and a scan of what it made.
pub(super) fn many_small(lab: &Lab) -> Result<Vec<Row>> {
    let (fragments, rows) = (lab.scaled(2_000), 500);
    let made = lab.tables("small", fragments, rows)?;
    let table = made.join("table.lance");
    let peers = [Peer::reencode(lab, 0.7)?, Peer::copy_pages(lab, 0.7)?];
    let sides = sides(lab, &table, 1, &[], &peers)?;
    let runs = take_turns(lab, &sides)?;
    let mut row =
        Row::new("P2", format!("compact {fragments} fragments of {rows} rows (text, numbers)"));
    row.lines = lines(&sides, runs, peers.iter().map(|peer| peer.bar));

    // What the last run of ours left may be a peer's by now.
    one(lab, &sides[0])?;
    let compacted = lab.copy_of(&table)?;
    Ok(vec![row, scans(lab, &compacted, &made.join("fresh.lance"))?])
}

/// P10.
pub(super) fn wide(lab: &Lab) -> Result<Vec<Row>> {
    const LIMIT: f64 = 512.0;
    let (fragments, rows) = (40, lab.scaled(100));
    let table = lab.tables("wide", fragments, rows)?.join("table.lance");
    let mut options = vec!["--target-rows", "2000", "--target-bytes", "4GiB"];
    let has_limit = lab.has_option("optimize", "--memory-limit")?;
    if has_limit {
        options.extend(["--memory-limit", "512MiB"]);
    }
    let peers = [Peer::reencode_wide(lab, 0.8)?];
    let sides = sides(lab, &table, 2, &options, &peers)?;
    let runs = take_turns(lab, &sides)?;
    let mut row = Row::new(
        "P10",
        format!("compact {fragments} fragments of {rows} rows of 1 MB under a limit of 512 MiB"),
    );
    row.lines = lines(&sides, runs, [peers[0].bar]);
    row.bar_of_memory(LIMIT * 1.1);
    if !has_limit {
        row.notes.push("`optimize` has no `--memory-limit` yet: run without it.".to_owned());
    }
    Ok(vec![row])
}

/// Ours and the others, each on a fresh copy.
fn sides<'a>(
    lab: &'a Lab,
    table: &'a Path,
    most_fragments: u64,
    options: &[&'a str],
    peers: &[Peer],
) -> Result<Vec<Side<'a>>> {
    let before: Facts = lab.facts(table)?;
    let place = lab.copy_of(table)?;
    let prepare = || Box::new(|| lab.fresh(table).map(drop));
    let (ours, checked, options) = (place.clone(), place.clone(), options.to_vec());
    let words = [&["`lancekeeper optimize"], options.as_slice()].concat().join(" ");
    let mut sides = vec![Side {
        name: format!("{words}`"),
        prepare: prepare(),
        command: Box::new(move || {
            let mut command = lab.ours("optimize");
            command.arg(&ours).args(&options);
            command
        }),
        check: Box::new(move |_: &Run| lab.expect_compact(&checked, before, most_fragments)),
    }];
    for Peer { call, title, .. } in peers {
        let place = place.clone();
        let call = *call;
        sides.push(Side {
            name: title.clone(),
            prepare: prepare(),
            command: Box::new(move || lab.peer(call, &place)),
            check: Box::new(|_| Ok(())),
        });
    }
    Ok(sides)
}

/// Copies the bytes and makes them durable: what no compaction that reads all of them can be much below.
fn plain_copy<'a>(lab: &'a Lab, table: &'a Path) -> Side<'a> {
    let target = lab.work().join("plain-copy");
    let stale = target.clone();
    Side {
        name: "`cp -r` and `sync`".to_owned(),
        prepare: Box::new(move || {
            xtask::archive::remove(&stale)?;
            warm(table)
        }),
        command: Box::new(move || {
            let mut command = Command::new("sh");
            command.args(["-c", "cp -r \"$1\" \"$2\" && sync", "sh"]);
            command.arg(table.join("data")).arg(&target);
            command
        }),
        check: Box::new(|_| Ok(())),
    }
}

/// A scan of the compacted table against one of the same rows written at once.
fn scans(lab: &Lab, compacted: &Path, written: &Path) -> Result<Row> {
    let side = |name: &str, table: &Path| {
        let (warmed, table) = (table.to_owned(), table.to_owned());
        Side {
            name: name.to_owned(),
            prepare: Box::new(move || warm(&warmed)),
            command: Box::new(move || lab.peer("scan", &table)),
            check: Box::new(|_| Ok(())),
        }
    };
    let sides = [side("scan of what ours left", compacted), side("scan of a fresh table", written)];
    let runs = take_turns(lab, &sides)?;
    let mut row = Row::new("P2 scan", "pylance scans all columns after the compaction");
    let lines = lines(&sides, runs, [1.1]).into_iter();
    row.lines = lines.map(Line::counted_by_call).collect();
    Ok(row)
}

/// The lines of a row; the bars are those of the sides after ours.
fn lines(
    sides: &[Side<'_>],
    runs: Vec<Vec<Run>>,
    bars: impl IntoIterator<Item = f64>,
) -> Vec<Line> {
    let mut lines: Vec<Line> =
        sides.iter().zip(runs).map(|(side, runs)| Line::new(&side.name, runs)).collect();
    for (line, bar) in lines.iter_mut().skip(1).zip(bars) {
        line.bar = Some(bar);
    }
    lines
}
