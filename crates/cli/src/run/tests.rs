//! Exit codes, and what happens when nobody reads the result.

use std::io::{self, Write};

use super::*;
use crate::output::{Screen, samples};

/// What a report is delivered as the answer to.
fn line(line: &str) -> Cli {
    Cli::read(format!("lancekeeper {line} root").split(' ')).unwrap()
}

fn code(report: &dyn Answer) -> u8 {
    let terminal = &mut Terminal::captured(Screen::plain(Some(80))).0;
    deliver(report, spec(&line("status").verb), Format::Human, terminal)
}

#[test]
fn exit_codes_follow_the_report() {
    assert_eq!(code(&samples::database()), 0);
    assert_eq!(code(&samples::planned()), 0);
    assert_eq!(code(&samples::budgeted()), 0);
    assert_eq!(code(&samples::optimized()), 3);
    assert_eq!(code(&samples::missing()), 10);
    assert_eq!(code(&samples::unpublished()), 1);
    assert_eq!(code(&samples::graph_status()), 3);
    assert_eq!(code(&samples::database_status()), 0);
    assert_eq!(code(&samples::missing_status()), 10);
    let (mut terminal, _) = Terminal::captured(Screen::plain(Some(80)));
    let mut healthy = samples::database_status();
    let (plain, checking) = (line("status"), line("status --check"));
    let (plain, checking) = (spec(&plain.verb), spec(&checking.verb));
    assert_eq!(deliver(&healthy, checking, Format::Human, &mut terminal), 0);
    healthy.roots[0].obstacles = samples::graph_status().roots.remove(0).body.obstacles;
    assert_eq!(deliver(&healthy, checking, Format::Human, &mut terminal), 13);
    assert_eq!(deliver(&healthy, plain, Format::Human, &mut terminal), 0);
}

struct Refusing(io::ErrorKind);

impl Write for Refusing {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(self.0.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Err(self.0.into())
    }
}

#[test]
fn a_reader_that_went_away_is_no_error() {
    let (mut terminal, said) = Terminal::captured(Screen::plain(None));
    let cli = line("optimize");
    terminal.replace_stdout(Box::new(Refusing(io::ErrorKind::BrokenPipe)));
    assert_eq!(deliver(&samples::database(), spec(&cli.verb), Format::Json, &mut terminal), 0);
    assert_eq!(said.err(), "");
}

#[test]
fn a_full_disk_is_an_error() {
    let (mut terminal, said) = Terminal::captured(Screen::plain(None));
    let cli = line("optimize");
    terminal.replace_stdout(Box::new(Refusing(io::ErrorKind::StorageFull)));
    assert_eq!(deliver(&samples::database(), spec(&cli.verb), Format::Json, &mut terminal), 1);
    assert!(said.err().starts_with("error: cannot write the result: "), "{}", said.err());
}

#[test]
fn the_target_line_names_the_verb_and_hides_secrets() {
    let line = ["lancekeeper", "optimize", "--dry-run", "s3://key:secret@bucket/graph"];
    let cli = Cli::read(line).unwrap();
    let shown = target_line(spec(&cli.verb), &spec(&cli.verb).roots().roots[0]);
    assert_eq!(shown, "lancekeeper optimize → s3://***@bucket/graph (dry run)");
}

#[test]
fn deleting_on_other_machines_takes_a_second_word() {
    let unconfirmed_in = |line: &str| {
        let cli = Cli::read(line.split(' ')).unwrap();
        unconfirmed(spec(&cli.verb), &spec(&cli.verb).roots().roots).cloned()
    };
    let remote = Some("s3://bucket/graph".to_owned());
    for (line, refused) in [
        ("lancekeeper cleanup /here s3://bucket/graph --confirm", &remote),
        ("lancekeeper cleanup /here s3://bucket/graph --confirm --yes", &None),
        ("lancekeeper cleanup s3://bucket/graph", &None),
        ("lancekeeper cleanup /here file:///here FILE:///here --confirm", &None),
        ("lancekeeper branch delete s3://bucket/graph b --confirm", &remote),
        ("lancekeeper branch delete s3://bucket/graph b --confirm --yes", &None),
        ("lancekeeper branch delete s3://bucket/graph b", &None),
        ("lancekeeper optimize s3://bucket/graph", &None),
    ] {
        assert_eq!(unconfirmed_in(line), *refused, "{line}");
    }
}
