//! What a file may say, and how it is told what it may not.

use super::*;
use crate::kind::Value;
use crate::schema::Key;

/// Every error and hint of a file, a line for each.
fn said(text: &str) -> String {
    let errors = read_file("beside/lancekeeper.toml", text).unwrap_err();
    let lines = errors.iter().map(|error| {
        let hint = error.hint().map_or_else(String::new, |hint| format!("\n  hint: {hint}"));
        format!("{error}{hint}\n")
    });
    lines.collect()
}

#[test]
fn a_value_has_the_line_it_stands_in() {
    let text = "\u{feff}# sizes\n[database]\nindex_cache_mb = 1_024\nlog_cache_stats = true\n\n\
                [optimize]\ntarget_bytes = \"64MiB\"\ndeletion_threshold = 25\u{25}\n"
        .replace("25%", "\"25%\"");
    let given = read_file("x", &text).unwrap();
    let line = |line| Source::File { path: "x".to_owned(), line };
    assert_eq!(
        given,
        [
            Given { key: Key::DatabaseIndexCache, value: Value::Number(1024), source: line(3) },
            Given { key: Key::DatabaseLogCacheStats, value: Value::Switch(true), source: line(4) },
            Given {
                key: Key::OptimizeTargetBytes,
                value: Value::Number(64 << 20),
                source: line(7)
            },
            Given {
                key: Key::OptimizeDeletionThreshold,
                value: Value::Share(0.25),
                source: line(8)
            },
        ]
    );
    assert_eq!(read_file("x", "").unwrap(), []);
    let dotted = "bulk.memory_limit = 0x40000000\noptimize = { max_time = \"1h\" }";
    let given = read_file("x", dotted).unwrap();
    assert_eq!((given[0].value, given[1].value), (Value::Number(1 << 30), Value::Number(3600)));
}

#[test]
fn unknown_names_are_told_with_the_nearest_one() {
    let text = "index_cache_mb = 3\n[databse]\nindex_cache_mb = 5\n[database]\nindex_cach_mb = 5\n\
                target_rows = 5\ncolour = 5\n[bulk]\nmemory = 5\n[optimise]\n[secrets]\nx = 1\n";
    insta::assert_snapshot!(said(text), @"
    beside/lancekeeper.toml:1: unknown setting index_cache_mb
      hint: did you mean database.index_cache_mb?
    beside/lancekeeper.toml:3: unknown setting databse.index_cache_mb
      hint: did you mean database.index_cache_mb?
    beside/lancekeeper.toml:5: unknown setting database.index_cach_mb
      hint: did you mean database.index_cache_mb?
    beside/lancekeeper.toml:6: unknown setting database.target_rows
      hint: did you mean optimize.target_rows?
    beside/lancekeeper.toml:7: unknown setting database.colour
      hint: [database] has index_cache_mb, metadata_cache_mb, log_cache_stats
    beside/lancekeeper.toml:9: unknown setting bulk.memory
      hint: did you mean bulk.memory_limit?
    beside/lancekeeper.toml:10: unknown setting optimise
      hint: did you mean optimize?
    beside/lancekeeper.toml:12: unknown setting secrets.x
      hint: the sections are database, bulk, query and optimize; lancekeeper config shows every setting
    ");
}

#[test]
fn no_file_says_what_a_cleanup_deletes() {
    let text = "[cleanup]\nkeep = 1\nconfirm = true\nconcurrency = 9\n[optimize]\nwriter_window = \"0s\"\nmin-age = 0\n";
    insta::assert_snapshot!(said(text), @"
    beside/lancekeeper.toml:2: unknown setting cleanup.keep
      hint: cleanup has no settings: what it deletes is said on the command line alone
    beside/lancekeeper.toml:3: unknown setting cleanup.confirm
      hint: cleanup has no settings: what it deletes is said on the command line alone
    beside/lancekeeper.toml:4: unknown setting cleanup.concurrency
      hint: cleanup has no settings: what it deletes is said on the command line alone
    beside/lancekeeper.toml:6: unknown setting optimize.writer_window
      hint: cleanup has no settings: what it deletes is said on the command line alone
    beside/lancekeeper.toml:7: unknown setting optimize.min-age
      hint: cleanup has no settings: what it deletes is said on the command line alone
    ");
}

#[test]
fn wrong_values_are_told_with_what_is_expected() {
    let text = "bulk = 3\n[database]\nindex_cache_mb = 0\nmetadata_cache_mb = \"64\"\n\
                log_cache_stats = 1\n[optimize]\ntarget_rows = -1\ntarget_bytes = \"5q\"\n\
                deletion_threshold = 1.5\nmax_time = 1979-05-27\nmin_fragments = [1]\n\
                max_bytes = 99999999999999999999\n[query]\nindex_cache_mb = 1.5\n";
    insta::assert_snapshot!(said(text), @r#"
    beside/lancekeeper.toml:1: bulk is a section, not a setting
      hint: write a line [bulk] above its settings
    beside/lancekeeper.toml:3: database.index_cache_mb: 0 would switch the cache off, and every look at a table would read the same manifests and parts of indexes from the store again
      hint: set a small cache, such as 16, or leave the setting out to have its default
    beside/lancekeeper.toml:4: database.metadata_cache_mb: expected a whole number of MiB, such as 256, found the text "64"
    beside/lancekeeper.toml:5: database.log_cache_stats: expected true or false, found the number 1
    beside/lancekeeper.toml:7: optimize.target_rows: expected a whole number, at least 1, found "-1"
    beside/lancekeeper.toml:8: optimize.target_bytes: expected a size like 512MiB, 64M, 1GB or 1048576, found "5q"
    beside/lancekeeper.toml:9: optimize.deletion_threshold: must be from 0 to 1, or from 0% to 100%
    beside/lancekeeper.toml:10: optimize.max_time: expected a time like "1h30m" or 90 (seconds), found a date
    beside/lancekeeper.toml:11: optimize.min_fragments: expected a whole number, at least 1, found a list
    beside/lancekeeper.toml:12: optimize.max_bytes: too large
    beside/lancekeeper.toml:14: query.index_cache_mb: expected a whole number of MiB, such as 256, found the number 1.5
    "#);
}

#[test]
fn what_is_not_toml_is_told_with_its_line() {
    let text = "[database]\nindex_cache_mb 256\n[bulk]\n[query\n";
    let twice = "[bulk]\nindex_cache_mb = 1\nindex_cache_mb = 2\n";
    insta::assert_snapshot!(said(text) + &said(twice), @"
    beside/lancekeeper.toml:2: key with no value, expected `=`
      hint: see docs/settings.md for what a file looks like
    beside/lancekeeper.toml:4: unclosed table, expected `]`
      hint: see docs/settings.md for what a file looks like
    beside/lancekeeper.toml:3: duplicate key
      hint: see docs/settings.md for what a file looks like
    ");
}
