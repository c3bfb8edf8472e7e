//! Who decides.

use super::*;
use crate::environment::read_environment;
use crate::file::read_file;

const FILE: &str = "[database]\nindex_cache_mb = 100\n[bulk]\nconcurrency = 3\n\
                    [optimize]\ntarget_rows = 1000\nmax_time = \"1h\"\n";

fn environment(variables: &[(&str, &str)]) -> Vec<Given> {
    let variables = variables.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
    read_environment(variables).unwrap().given
}

/// What a file, the environment and flags make, in the order of their precedence.
fn settled(file: &str, variables: &[(&str, &str)], flags: &[&str]) -> Settings {
    let file = read_file("f.toml", file).unwrap();
    let flags: Vec<Given> =
        flags.iter().map(|text| read_assignment("--set", text).unwrap()).collect();
    let environment = environment(variables);
    Settings::resolve(Said { file: &file, environment: &environment, command_line: &flags })
}

fn shown(settings: &Settings, key: Key) -> String {
    format!("{} from {}", settings.value_text(key), settings.get(key).source)
}

#[test]
fn flags_beat_the_environment_which_beats_the_file_which_beats_the_default() {
    let variable = [("LANCEKEEPER_OPTIMIZE_TARGET_ROWS", "2000")];
    let flag = ["optimize.target_rows=3000"];
    for (file, variables, flags, expected) in [
        ("", &[][..], &[][..], "1048576 from default"),
        (FILE, &[][..], &[][..], "1000 from f.toml:6"),
        (FILE, &variable[..], &[][..], "2000 from LANCEKEEPER_OPTIMIZE_TARGET_ROWS"),
        (FILE, &variable[..], &flag[..], "3000 from --set"),
        ("", &variable[..], &[][..], "2000 from LANCEKEEPER_OPTIMIZE_TARGET_ROWS"),
    ] {
        let settings = settled(file, variables, flags);
        assert_eq!(shown(&settings, Key::OptimizeTargetRows), expected);
    }
}

#[test]
fn a_kind_of_work_has_sizes_of_its_own_or_those_of_all() {
    let settings = settled(FILE, &[("LANCEKEEPER_QUERY_INDEX_CACHE_MB", "7")], &[]);
    assert_eq!(shown(&settings, Key::BulkIndexCache), "100 from as database.index_cache_mb");
    assert_eq!(settings.for_work(Work::Bulk).index_cache_bytes, 100 << 20);
    assert_eq!(settings.for_work(Work::Query).index_cache_bytes, 7 << 20);
    assert_eq!(settings.for_work(Work::Query).metadata_cache_bytes, 64 << 20);
    assert_eq!(
        (settings.for_work(Work::Optimize).concurrency, settings.for_work(Work::Query).concurrency),
        (3, 8)
    );
    // Who only looks is waited for by a person.
    assert_eq!(
        (settings.for_work(Work::Optimize).nice, settings.for_work(Work::Query).nice),
        (15, 0)
    );
    // The closer word counts, wherever the more general one is said.
    let settings = settled(
        "[bulk]\nindex_cache_mb = 5\n",
        &[("LANCEKEEPER_DATABASE_INDEX_CACHE_MB", "9")],
        &[],
    );
    assert_eq!(settings.for_work(Work::Bulk).index_cache_bytes, 5 << 20);
    assert_eq!(settings.for_work(Work::Query).index_cache_bytes, 9 << 20);
}

#[test]
fn without_a_word_everything_is_as_the_library_has_it() {
    let settings = Settings::default();
    assert_eq!(settings.optimize_options(), OptimizeOptions::default());
    let run = settings.for_work(Work::Optimize);
    assert_eq!((run.index_cache_bytes, run.metadata_cache_bytes), (256 << 20, 64 << 20));
    assert_eq!((run.memory_bytes, run.concurrency, run.log_cache_stats), (1 << 30, 8, false));
}

#[test]
fn options_of_optimize_come_from_every_place() {
    let variables = [("LANCEKEEPER_OPTIMIZE_DELETION_THRESHOLD", "25%")];
    let flags =
        ["optimize.max_bytes = 2GiB", "optimize.min_fragments=4", "optimize.target_bytes=1MB"];
    let options = settled(FILE, &variables, &flags).optimize_options();
    let expected = OptimizeOptions {
        target_rows: 1000,
        target_bytes: 1_000_000,
        deletion_threshold: 0.25,
        min_fragments: Some(4),
        max_bytes: Some(2 << 30),
        max_time: Some(Duration::from_secs(3600)),
        ..OptimizeOptions::default()
    };
    assert_eq!(options, expected);
}

#[test]
fn the_old_variable_counts_above_the_file_and_below_ours_and_garbage_in_it_is_nothing() {
    const OLD: &str = "OMNIGRAPH_MAINTENANCE_CONCURRENCY";
    let ours = ("LANCEKEEPER_BULK_CONCURRENCY", "6");
    let bulk =
        |variables: &[(&str, &str)]| shown(&settled(FILE, variables, &[]), Key::BulkConcurrency);
    assert_eq!(bulk(&[(OLD, "5")]), format!("5 from {OLD}"));
    assert_eq!(bulk(&[ours, (OLD, "5")]), "6 from LANCEKEEPER_BULK_CONCURRENCY");
    for garbage in ["", "0", "-1", "many"] {
        assert_eq!(bulk(&[(OLD, garbage)]), "3 from f.toml:4", "{garbage}");
    }
}

#[test]
fn misspelt_variables_are_told_and_senseless_values_refused() {
    let variables = |pairs: &[(&str, &str)]| {
        read_environment(pairs.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())))
    };
    let environment = variables(&[
        ("LANCEKEEPER_DATABASE_INDEX_CACH_MB", "5"),
        ("LANCEKEEPER_CONFIG", "x"),
        ("LANCEKEEPER_FAILPOINT_DIR", "x"),
        ("LANCEKEEPER_QUERY_CONCURRENCY", " "),
        ("PATH", "x"),
    ])
    .unwrap();
    assert_eq!(environment.given, []);
    let unknown: Vec<String> = environment.unknown.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(unknown.join("\n"), @"
    the variable LANCEKEEPER_DATABASE_INDEX_CACH_MB sets nothing: did you mean LANCEKEEPER_DATABASE_INDEX_CACHE_MB?
    the variable LANCEKEEPER_CONFIG sets nothing: lancekeeper config --json names all that do
    ");
    let errors = variables(&[
        ("LANCEKEEPER_DATABASE_INDEX_CACHE_MB", "0"),
        ("LANCEKEEPER_DATABASE_LOG_CACHE_STATS", "yes"),
    ])
    .unwrap_err();
    let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(errors.join("\n"), @r#"
    LANCEKEEPER_DATABASE_INDEX_CACHE_MB: database.index_cache_mb: 0 would switch the cache off, and every look at a table would read the same manifests and parts of indexes from the store again
    LANCEKEEPER_DATABASE_LOG_CACHE_STATS: database.log_cache_stats: expected true or false, found "yes"
    "#);
}

#[test]
fn assignments_that_set_nothing_are_refused() {
    let refused = |text: &str| {
        let error = read_assignment("--set", text).unwrap_err();
        format!("{error}\n  hint: {}", error.hint().unwrap_or_default())
    };
    let texts = [
        "database",
        "index_cache_mb=5",
        "bulk.memory_limt=5",
        "cleanup.keep=1",
        "bulk.memory_limit=0",
    ];
    insta::assert_snapshot!(texts.map(refused).join("\n"), @r#"
    --set: expected SECTION.NAME=VALUE, found "database"
      hint: an example: --set database.index_cache_mb=512
    --set: unknown setting index_cache_mb
      hint: did you mean database.index_cache_mb?
    --set: unknown setting bulk.memory_limt
      hint: did you mean bulk.memory_limit?
    --set: unknown setting cleanup.keep
      hint: cleanup has no settings: what it deletes is said on the command line alone
    --set: bulk.memory_limit: must be at least 1 byte
      hint:
    "#);
}

#[test]
fn roots_of_one_run_agree_about_what_the_run_takes() {
    let named = |name: &str, file: &str| (name.to_owned(), settled(file, &[], &[]));
    let common =
        |work, roots: &[(String, Settings)]| Settings::common(work, roots, Settings::default());
    let roots = [named("a", FILE), named("b", "[database]\nindex_cache_mb = 5\n")];
    let error = common(Work::Query, &roots).unwrap_err();
    insta::assert_snapshot!(error, @"
    query.index_cache_mb is 100 (f.toml:2) for a and 5 (f.toml:2) for b: one run has one value
    ");
    assert!(error.hint().unwrap().contains("--config FILE"));
    // What a run does not take may differ, and so may the place.
    let roots = [named("a", FILE), named("b", "[query]\nindex_cache_mb = 100\n")];
    assert_eq!(common(Work::Query, &roots).unwrap(), roots[0].1);
    assert!(common(Work::Bulk, &roots).is_err());
    let roots = [named("a", "[optimize]\ntarget_rows = 5\n"), named("b", "")];
    assert!(common(Work::Bulk, &roots).is_ok() && common(Work::Optimize, &roots).is_err());
    assert_eq!(common(Work::Bulk, &[]).unwrap(), Settings::default());
}
