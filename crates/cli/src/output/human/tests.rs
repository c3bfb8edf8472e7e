//! What people see, at 80 and at 200 columns.

use lancekeeper_model::{CleanupReport, OptimizeReport, StatusReport};

use super::*;
use crate::output::{Format, Screen, Terminal, samples, show};

/// stdout, then stderr if anything was said there.
fn seen(width: Option<usize>, show: impl FnOnce(&mut Terminal) -> std::io::Result<()>) -> String {
    let (mut terminal, said) = Terminal::captured(Screen::plain(width));
    show(&mut terminal).unwrap();
    let (out, err) = (said.out(), said.err());
    for line in out.lines() {
        let length = line.chars().count();
        assert!(width.is_none_or(|width| length <= width) || !line.contains("  "), "{line}");
        assert_eq!(line, line.trim_end());
    }
    if err.is_empty() { out } else { format!("{out}--- stderr\n{err}") }
}

fn optimize(report: &OptimizeReport, width: usize) -> String {
    seen(Some(width), |terminal| show("optimize", report, Format::Human, terminal))
}

fn status(report: &StatusReport, width: usize) -> String {
    seen(Some(width), |terminal| show("", report, Format::Human, terminal))
}

fn cleanup(report: &CleanupReport, width: usize) -> String {
    seen(Some(width), |terminal| show("", report, Format::Human, terminal))
}

#[test]
fn optimized_graph_at_80() {
    insta::assert_snapshot!(optimize(&samples::optimized(), 80), @"
    graph /data/people · published 1
      recovered a run that died: published node:Person from 5 to 8, our versions 6
        to 8 are committed and not published
      recovered a run that died: 2 staged files deleted
      table         fragments                size   time  outcome
      node:Person     120 → 2   321 MiB → 300 MiB  1.2 s  done
      node:Company          1            80.0 KiB   3 ms  nothing to do
      edge:Knows           12            12.0 MiB  1.2 s  skipped
      edge:WorksAt         31            31.0 MiB  1.2 s  failed
      node:Person: 1 group rewritten again: a writer had changed the fragments
      node:Company: nothing to do: one fragment
      node:Company: index on embedding is pending: every value is null
      edge:Knows: skipped: HEAD is not the published version (pin 5, HEAD 7)
      edge:Knows: HEAD is ahead of its pin and nothing explains it
      edge:WorksAt: failed to read data file
        /data/people/edges/1a2b3c4d.lance/data/0f1e2d3c-4b5a.lance: No such file or
        directory (os error 2)
    total 4 tables · 3,703,743 rows · fragments 164 → 46 · files 315 → 77
      size 364 MiB → 343 MiB · 4.3 s · 1 failed
    --- stderr
    warning: the sidecar of operation 01JABC could not be deleted
    ");
}

#[test]
fn rows_that_were_counted() {
    let show = |terminal: &mut Terminal| show("", &samples::counts(), Format::Human, terminal);
    insta::assert_snapshot!(seen(Some(80), show), @"
    graph /data/people
      table               version       rows
      node:Person              17  1,234,567
      node:Person@review       17         12
      node:Place               17          -  error
      node:Place: error: failed to count node:Place: a file is gone
    total 3 tables · 1,234,579 rows · 1 failed
    ");
}

/// What is said of a table: what follows its name at the beginning of a line.
fn said_of<'t>(text: &'t str, name: &str) -> Vec<&'t str> {
    let of_table = text.lines().filter_map(|line| line.trim_start().strip_prefix(name));
    of_table.map(str::trim).collect()
}

/// The text with its lines joined.
fn unwrapped(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn drift_that_was_found() {
    let report = samples::repaired(true);
    let text = seen(Some(80), |terminal| show("", &report, Format::Human, terminal));
    assert!(text.starts_with("preview (nothing was written; --confirm repairs)"), "{text}");
    for (name, end) in [
        ("node:Person ", "would be healed"),
        ("edge:Knows ", "would be refused"),
        ("edge:Knows@work ", "would be taken back"),
        ("edge:WorksAt ", "failed"),
        ("node:Company ", "no drift"),
    ] {
        let said = said_of(&text, name);
        assert!(said.first().is_some_and(|line| line.ends_with(end)), "{name}{said:?}\n{text}");
    }
    for part in [
        "edge:WorksAt: failed: its HEAD 4 is behind",
        "3 rows would appear",
        "--restore-pin",
        "lancekeeper-drift-work-9",
    ] {
        assert!(unwrapped(&text).contains(part), "{part}\n{text}");
    }
}

#[test]
fn what_force_would_publish_is_said_before_it_is() {
    let mut report = samples::repaired(true);
    report.roots[0].force = true;
    report.roots[0].tables[0].would = lancekeeper_model::RepairAction::Forced;
    let text = seen(Some(80), |terminal| show("", &report, Format::Human, terminal));
    assert!(
        text.starts_with("preview (nothing was written; --force --confirm publishes)"),
        "{text}"
    );
    let said = said_of(&text, "edge:Knows ");
    assert!(said.first().is_some_and(|line| line.ends_with("would be published")), "{text}");
    for part in ["from version 5 to 6", "past the graph", "3 rows would appear", "Append"] {
        assert!(unwrapped(&text).contains(part), "{part}\n{text}");
    }
}

#[test]
fn drift_that_was_repaired() {
    let report = samples::repaired(false);
    let text = seen(Some(80), |terminal| show("", &report, Format::Human, terminal));
    assert!(text.starts_with("graph /data/people · published 1"), "{text}");
    for (name, end) in
        [("node:Person ", "healed"), ("edge:Knows ", "refused"), ("edge:Knows@work ", "taken back")]
    {
        let said = said_of(&text, name);
        assert!(said.first().is_some_and(|line| line.ends_with(end)), "{name}{said:?}\n{text}");
    }
    for part in ["3 drifted", "1 healed", "1 taken back", "1 refused", "1 failed"] {
        assert!(unwrapped(&text).contains(part), "{part}\n{text}");
    }
}

#[test]
fn a_migration_before_and_after() {
    let show = |dry_run| {
        let report = samples::migrated(dry_run);
        seen(Some(80), |terminal| show("", &report, Format::Human, terminal))
    };
    insta::assert_snapshot!(show(true), @"
    preview (nothing was written; --confirm migrates)
    graph /data/people
      migrated from internal schema v1 to v3: main; deleted __run__01A, left by runs
        of old clients; locked out from now on: omnigraph up to 0.3.1
      branch  stamp  then  commits  rebuilt
      main    v2     v4         21        1  would be migrated
      review  v3     v4         21        0  would be migrated
      1. main: stamp 3
      2. main: copy the history
      __run__01M7WA021VD71JWWPJJVJ0XTEC, left by a run of an old client, would be
        deleted
      locked out from then on: omnigraph 0.4.1 to 0.6.1, omnigraph 0.6.2 to 0.7.2
    ");
    assert!(show(false).contains("migrated"));
}

#[test]
fn tables_that_are_migrated_and_why_others_are_not() {
    let show = |dry_run| {
        let report = samples::migrated_tables(dry_run);
        seen(Some(100), |terminal| show("", &report, Format::Human, terminal))
    };
    let preview = show(true);
    let lines: Vec<&str> = preview.lines().map(str::trim).collect();
    assert!(lines.contains(&"database /data/db"), "{preview}");
    assert!(
        lines.contains(&"table   storage  files     manifests  row ids  versions"),
        "{preview}"
    );
    let events = "events  2.0      2.0, 2.1  V1         move           12  would be migrated";
    assert!(lines.contains(&events), "{preview}");
    assert!(lines.contains(&"events: write 3 data files anew as 2.1 (5.00 MiB)"), "{preview}");
    assert!(lines.contains(&"images: it has columns of blobs"), "{preview}");
    assert!(show(false).contains("12  migrated"), "{}", show(false));
}

#[test]
fn what_was_verified() {
    let show = |terminal: &mut Terminal| show("", &samples::verified(), Format::Human, terminal);
    insta::assert_snapshot!(seen(Some(80), show), @"
    graph /data/people
      table         versions  fragments   rows
      edge:Knows          15         12  1,992  well, 1 not checked
      node:Company         4         12     20  well
      node:Person         18         12  1,999  2 wrong
      node:Person version 17 and 4 older: file_missing: fragment 3:
        data/0f1e2d3c-4b5a-6978-8a9b-acbdcedfe0f1.lance is missing
      hint: restore the file from a backup
      node:Person version 17: index_wrong: index name_idx: asked for the value Ada:
        it misses 1 of 2 rows, such as row id 7
      edge:Knows: not checked: the answers of index about: indexes of the kind rtree
        are not asked
    total 3 tables · 37 versions · 36 fragments · 93 files · 4,011 rows read
      144 questions to indexes · 2 things wrong · 1 not checked · 4.3 s
    ");
    insta::assert_snapshot!(seen(Some(200), show), @"
    graph /data/people
      table         versions  fragments  files   rows  indexes  asked   time
      edge:Knows          15         12     31  1,992        3     48  1.2 s  well, 1 not checked
      node:Company         4         12     31     20        3     48  1.2 s  well
      node:Person         18         12     31  1,999        3     48  1.2 s  2 wrong
      node:Person version 17 and 4 older: file_missing: fragment 3: data/0f1e2d3c-4b5a-6978-8a9b-acbdcedfe0f1.lance is missing
      hint: restore the file from a backup
      node:Person version 17: index_wrong: index name_idx: asked for the value Ada: it misses 1 of 2 rows, such as row id 7
      edge:Knows: not checked: the answers of index about: indexes of the kind rtree are not asked
    total 3 tables · 37 versions · 36 fragments · 93 files · 4,011 rows read · 144 questions to indexes · 2 things wrong · 1 not checked · 4.3 s
    ");
}

#[test]
fn optimized_graph_at_200() {
    insta::assert_snapshot!(optimize(&samples::optimized(), 200), @"
    graph /data/people · published 1
      recovered a run that died: published node:Person from 5 to 8, our versions 6 to 8 are committed and not published
      recovered a run that died: 2 staged files deleted
      table         fragments    files       rows                size   time  outcome
      node:Person     120 → 2  240 → 2  1,234,567   321 MiB → 300 MiB  1.2 s  done
      node:Company          1        1         42            80.0 KiB   3 ms  nothing to do: one fragment
      edge:Knows           12       12  1,234,567            12.0 MiB  1.2 s  skipped: HEAD is not the published version (pin 5, HEAD 7)
      edge:WorksAt         31       62  1,234,567            31.0 MiB  1.2 s  failed
      node:Person: 1 group rewritten again: a writer had changed the fragments
      node:Company: index on embedding is pending: every value is null
      edge:Knows: HEAD is ahead of its pin and nothing explains it
      edge:WorksAt: failed to read data file /data/people/edges/1a2b3c4d.lance/data/0f1e2d3c-4b5a.lance: No such file or directory (os error 2)
    total 4 tables · 3,703,743 rows · fragments 164 → 46 · files 315 → 77 · size 364 MiB → 343 MiB · 4.3 s · 1 failed
    --- stderr
    warning: the sidecar of operation 01JABC could not be deleted
    ");
}

#[test]
fn plan_at_80() {
    insta::assert_snapshot!(optimize(&samples::planned(), 80), @"
    plan (nothing was written)
    graph /data/people
      table         fragments                size   time  outcome
      node:Person     120 → 2   321 MiB → 300 MiB  12 ms  would rewrite
      node:Company          1            80.0 KiB  1.2 s  nothing to do
      node:Person: would rewrite: 12 fragments below 64 MiB
      node:Company: nothing to do: one fragment
    total 2 tables · 2,469,134 rows · fragments 121 → 3 · files 241 → 3
      size 321 MiB → 300 MiB · 25 ms
    ");
}

#[test]
fn plan_at_200() {
    insta::assert_snapshot!(optimize(&samples::planned(), 200), @"
    plan (nothing was written)
    graph /data/people
      table         fragments    files       rows                size   time  outcome
      node:Person     120 → 2  240 → 2  1,234,567   321 MiB → 300 MiB  12 ms  would rewrite: 12 fragments below 64 MiB
      node:Company          1        1  1,234,567            80.0 KiB  1.2 s  nothing to do: one fragment
    total 2 tables · 2,469,134 rows · fragments 121 → 3 · files 241 → 3 · size 321 MiB → 300 MiB · 25 ms
    ");
}

#[test]
fn optimized_database_at_80() {
    insta::assert_snapshot!(optimize(&samples::database(), 80), @"
    database /data/people
      table   fragments                 size   time  outcome
      events  1,000 → 1  64.0 MiB → 60.0 MiB  1.2 s  done
      users      14 → 8             5.00 MiB  1.2 s  done
      users: kept in layout hilbert:lat,lon: depth 8.0 → 1.2, a range of 1 % of a
        column touches 90.0 % → 12.5 % of the fragments
      users: 2 groups given up: a writer had changed the fragments
    total 2 tables · 2,469,134 rows · fragments 1,014 → 9 · files 1,014 → 9
      size 69.0 MiB → 65.0 MiB · 1 min 0 s
    ");
}

#[test]
fn optimized_database_at_200() {
    insta::assert_snapshot!(optimize(&samples::database(), 200), @"
    database /data/people
      table   fragments      files       rows                 size   time  outcome
      events  1,000 → 1  1,000 → 1  1,234,567  64.0 MiB → 60.0 MiB  1.2 s  done
      users      14 → 8     14 → 8  1,234,567             5.00 MiB  1.2 s  done
      users: kept in layout hilbert:lat,lon: depth 8.0 → 1.2, a range of 1 % of a column touches 90.0 % → 12.5 % of the fragments
      users: 2 groups given up: a writer had changed the fragments
    total 2 tables · 2,469,134 rows · fragments 1,014 → 9 · files 1,014 → 9 · size 69.0 MiB → 65.0 MiB · 1 min 0 s
    ");
}

#[test]
fn budgeted_database_at_80() {
    insta::assert_snapshot!(optimize(&samples::budgeted(), 80), @"
    database /data/people
      table    fragments                 size   time  outcome
      events  1,000 → 13  64.0 MiB → 60.0 MiB  1.2 s  done
      users           14             5.00 MiB  1.2 s  skipped: budget spent
      visits           3             1.00 MiB  1.2 s  skipped: compact enough
      events: left for the next run: 2 groups of 12 fragments, 30.0 MiB to read
      users: merge 6 fragments into 1, refresh 2 indexes
      users: left for the next run: 1 group of 6 fragments, 2 indexes, 45.0 MiB to
        read
      visits: 3 fragments, fewer than 10
    total 3 tables · 3,703,701 rows · fragments 1,017 → 30 · files 1,017 → 30
      size 70.0 MiB → 66.0 MiB · 1 min 0 s
    stopped at --max-bytes and --max-time
      left in 2 tables: 3 groups of 18 fragments, 2 indexes, 75.0 MiB to read
      run again to go on
    ");
}

#[test]
fn budgeted_database_at_200() {
    insta::assert_snapshot!(optimize(&samples::budgeted(), 200), @"
    database /data/people
      table    fragments       files       rows                 size   time  outcome
      events  1,000 → 13  1,000 → 13  1,234,567  64.0 MiB → 60.0 MiB  1.2 s  done
      users           14          14  1,234,567             5.00 MiB  1.2 s  skipped: budget spent
      visits           3           3  1,234,567             1.00 MiB  1.2 s  skipped: compact enough
      events: left for the next run: 2 groups of 12 fragments, 30.0 MiB to read
      users: merge 6 fragments into 1, refresh 2 indexes
      users: left for the next run: 1 group of 6 fragments, 2 indexes, 45.0 MiB to read
      visits: 3 fragments, fewer than 10
    total 3 tables · 3,703,701 rows · fragments 1,017 → 30 · files 1,017 → 30 · size 70.0 MiB → 66.0 MiB · 1 min 0 s
    stopped at --max-bytes and --max-time · left in 2 tables: 3 groups of 18 fragments, 2 indexes, 75.0 MiB to read · run again to go on
    ");
}

#[test]
fn refused_publish() {
    insta::assert_snapshot!(optimize(&samples::unpublished(), 80), @"
    graph /data/people · published 0
      table        fragments     size   time  outcome
      node:Person         12  321 MiB  1.2 s  not done
      node:Person: 12 fragments below 64 MiB
    total 1 table · 1,234,567 rows · fragments 12 · files 24 · size 321 MiB · 4.3 s
    --- stderr
    error: another writer published in between
    ");
}

#[test]
fn missing_root() {
    insta::assert_snapshot!(optimize(&samples::missing(), 80), @"
    --- stderr
    error: no root at /nowhere
    hint: a root has __manifest/, NAME.lance/ or _versions/ directly below
    ");
    assert_eq!(optimize(&samples::missing(), 80), status(&samples::missing_status(), 200));
}

#[test]
fn several_roots_are_told_apart() {
    let mut report = samples::planned();
    report.roots.extend(samples::missing().roots);
    let report = OptimizeReport::new(true, report.roots, 7);
    insta::assert_snapshot!(optimize(&report, 80), @"
    plan (nothing was written)
    graph /data/people
      table         fragments                size   time  outcome
      node:Person     120 → 2   321 MiB → 300 MiB  12 ms  would rewrite
      node:Company          1            80.0 KiB  1.2 s  nothing to do
      node:Person: would rewrite: 12 fragments below 64 MiB
      node:Company: nothing to do: one fragment
    total 2 tables · 2,469,134 rows · fragments 121 → 3 · files 241 → 3
      size 321 MiB → 300 MiB · 7 ms
    --- stderr
    error: /nowhere: no root at /nowhere
    hint: a root has __manifest/, NAME.lance/ or _versions/ directly below
    ");
}

#[test]
fn graph_status_at_80() {
    insta::assert_snapshot!(status(&samples::graph_status(), 80), @"
    graph /data/people · internal schema v4 · manifest version 23
      branches: review, experiment
      moved from /old/people: its branches still read from there
      unfinished: __recovery/01JABCDEFGHJKMNPQRSTVWXYZ0.json · Load · node:Person,
        edge:Knows · branch review · not ours
      unfinished: __recovery/x.json · unreadable: schema_version 9 is newer than 1 ·
        not ours
      __manifest: 23 versions, 16 fragments, 55.0 KiB
      forks: node:Person@review
      cleanup --keep 10 would free 33.0 MiB: 12 versions, 140 files
      forks that nothing reads: edge:Knows@old
      3 files that nothing refers to and that cleanup leaves for now: 1.95 KiB
      cleanup would leave edge:WorksAt: its manifest is truncated
      table                    rows  fragments  small     size    drift  would
      node:Person         1,234,567        120    119  321 MiB
      node:Person@review  1,234,567          1      0  321 MiB
      edge:Knows          1,234,567         12     11  321 MiB  HEAD 19
      edge:WorksAt                -          -      -        -        -  error
      node:Person: rewrite 120 fragments into 2: 119 are below 64 MiB
      node:Person@review: nothing: one fragment
      edge:Knows: skip: drift_needs_repair
      edge:WorksAt: error: failed to open the table: its manifest is truncated
    --- stderr
    warning: commit history has a gap at version 12
    warning: needs attention: /data/people was moved or copied: it still refers to /old/people
    hint: move it back to where it was made
    ");
}

#[test]
fn graph_status_at_200() {
    insta::assert_snapshot!(status(&samples::graph_status(), 200), @"
    graph /data/people · internal schema v4 · manifest version 23
      branches: review, experiment
      moved from /old/people: its branches still read from there
      unfinished: __recovery/01JABCDEFGHJKMNPQRSTVWXYZ0.json · Load · node:Person, edge:Knows · branch review · not ours
      unfinished: __recovery/x.json · unreadable: schema_version 9 is newer than 1 · not ours
      __manifest: 23 versions, 16 fragments, 55.0 KiB
      forks: node:Person@review
      cleanup --keep 10 would free 33.0 MiB: 12 versions, 140 files
      forks that nothing reads: edge:Knows@old
      3 files that nothing refers to and that cleanup leaves for now: 1.95 KiB
      cleanup would leave edge:WorksAt: its manifest is truncated
      table               version       rows  fragments  files  small     size  deleted  versions  unindexed    drift  would
      node:Person              17  1,234,567        120    240    119  321 MiB    12.5%        17      1,200           rewrite 120 fragments into 2: 119 are below 64 MiB
      node:Person@review       17  1,234,567          1      2      0  321 MiB       0%        17      1,200           nothing: one fragment
      edge:Knows               17  1,234,567         12     24     11  321 MiB    12.5%        17          -  HEAD 19  skip: drift_needs_repair
      edge:WorksAt              -          -          -      -      -        -        -         -          -        -  error: failed to open the table: its manifest is truncated
    --- stderr
    warning: commit history has a gap at version 12
    warning: needs attention: /data/people was moved or copied: it still refers to /old/people
    hint: move it back to where it was made
    ");
}

#[test]
fn database_status_at_80() {
    insta::assert_snapshot!(status(&samples::database_status(), 80), @"
    database /data/people
      what cleanup would free is not known: failed to list /data/people: permission
        denied
      table        rows  fragments  small     size  deleted  would
      events  1,234,567      1,000    999  321 MiB    12.5%
      users   1,234,567          1      0  321 MiB    12.5%  nothing: one fragment
      events: rewrite 1,000 fragments into 1: all are below 64 MiB
    ");
}

#[test]
fn database_status_at_200() {
    insta::assert_snapshot!(status(&samples::database_status(), 200), @"
    database /data/people
      what cleanup would free is not known: failed to list /data/people: permission denied
      table   version       rows  fragments  files  small     size  deleted  versions  unindexed    blobs   indexes  would
      events       17  1,234,567      1,000  2,000    999  321 MiB    12.5%        17      1,200  200 MiB  21.0 MiB  rewrite 1,000 fragments into 1: all are below 64 MiB
      users        17  1,234,567          1      2      0  321 MiB    12.5%        17      1,200      0 B       0 B  nothing: one fragment
    ");
}

#[test]
fn a_pipe_gets_the_wide_table() {
    let piped = seen(None, |terminal| show("", &samples::optimized(), Format::Human, terminal));
    assert!(piped.contains("files") && piped.contains("rows"), "{piped}");
    assert!(!piped.contains('\x1b'));
}

#[test]
fn equal_remarks_are_told_once() {
    let mut notes = Notes::default();
    for table in ["a", "b", "c", "d"] {
        notes.add(table, "the same");
    }
    notes.add("e", "another");
    notes.add("f", "another");
    notes.add("g", "");
    assert_eq!(notes.render(None), "  4 tables: the same\n  e, f: another\n");
}

#[test]
fn cleaned_graph_at_80() {
    insta::assert_snapshot!(cleanup(&samples::cleaned(false), 80), @"
    graph /data/people
      table         kept  removed  files     freed  outcome
      node:Person      3        9     27   321 MiB  done
      node:Company     0       12     14  80.0 KiB  done
      edge:Knows       3        0      0       0 B  failed
      __manifest       3        0      0       0 B  nothing to do
      node:Person: fewer than 3 versions of main stay: the one that a later crash
        recovery would roll back to may be gone
      node:Company: no branch has it any more: emptied
      edge:Knows: failed: fork work: somebody wrote meanwhile; run again
      fork feature of node:Person: orphaned, gone
      __manifest: branch lazy: not readable
      2 commits cannot be read any more: 01JA, 01JB
    freed 321 MiB · 21 versions · 41 files · 1 fork · 2 files left unverified
      1 table failed · 1.2 s
    ");
}

#[test]
fn preview_of_a_cleanup_at_200() {
    insta::assert_snapshot!(cleanup(&samples::cleaned(true), 200), @"
    preview (nothing was deleted; --confirm deletes)
    graph /data/people
      table         kept  removed  files     freed  left   time  outcome
      node:Person      3        9     27   321 MiB     0  41 ms  would delete
      node:Company     0       12     14  80.0 KiB     0  41 ms  would delete
      edge:Knows       3        0      0       0 B     0  41 ms  failed: fork work: somebody wrote meanwhile; run again
      __manifest       3        0      0       0 B     2  41 ms  nothing to do
      node:Person: fewer than 3 versions of main stay: the one that a later crash recovery would roll back to may be gone
      node:Person, edge:Knows, __manifest: kept 11–12 because: among the newest 2
      node:Person, edge:Knows, __manifest: kept 4 because: branch lazy reads it
      node:Company: no branch has it any more: would be emptied
      fork feature of node:Person: orphaned, would go
      __manifest: branch lazy: not readable
      2 commits would stop being readable: 01JA, 01JB
    would free 321 MiB · 21 versions · 41 files · 1 fork · 2 files left unverified · 1 table failed · 1.2 s
    ");
}

fn recover(done: bool) -> String {
    let report = samples::left_behind(done);
    seen(Some(80), |terminal| show("recover", &report, Format::Human, terminal))
}

#[test]
fn what_crashes_left_is_explained_before_anything_is_done() {
    insta::assert_snapshot!(recover(false), @"
    preview (nothing was written; --confirm carries it out)
    graph /data/people
      __recovery/01JA.json (Load by ann): would be taken back
        edge:Knows was not committed to: pin 19, HEAD 19, expected 19 to 20
        node:Person: pin 24, HEAD 25, RolledPastExpected
        edge:Knows: pin 19, HEAD 19, NoMovement
      __recovery/01JB.json (Mutation on review): left to its writer
        its writer may be alive: it began at 2027-01-15T08:00:00Z; it is presumed
          dead at 2027-01-15T08:15:00Z
        hint: if its writer is known to be dead: --assume-dead 01JB
      branch __schema_apply_lock__: would be removed
        no schema apply needs it
    3 things left behind
    ");
}

#[test]
fn what_was_recovered_is_told_with_what_remains() {
    insta::assert_snapshot!(recover(true), @"
    graph /data/people
      __recovery/01JA.json (Load by ann): taken back
        edge:Knows was not committed to: pin 19, HEAD 19, expected 19 to 20
        node:Person: pin 24, HEAD 25, RolledPastExpected
        edge:Knows: pin 19, HEAD 19, NoMovement
        published node:Person from 24 to 26
      __recovery/01JB.json (Mutation on review): left to its writer
        its writer may be alive: it began at 2027-01-15T08:00:00Z; it is presumed
          dead at 2027-01-15T08:15:00Z
        hint: if its writer is known to be dead: --assume-dead 01JB
      branch __schema_apply_lock__: removed
        no schema apply needs it
    2 things dealt with, 1 remain
    ");
}
