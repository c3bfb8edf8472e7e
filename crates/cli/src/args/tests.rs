//! What the command line accepts, what it refuses, and with which words.

use lancekeeper_model::{
    AssumedDead, CleanupOptions, CleanupPolicyOptions, CountOptions, IndexMode, InternalSchema,
    JobStatus, MigrateGoal, MigrateOptions, PageTarget, PruneOptions, RecoverOptions,
    RepairOptions, RewriteCheck, StorageVersion, TableStep, VerifyOptions,
};
use lancekeeper_settings::Said;

use super::*;
use crate::verbs::{VerbSpec, spec};

fn parse(line: &str) -> Result<Cli, clap::Error> {
    Cli::read(line.split_whitespace())
}

fn options(line: &str) -> OptimizeOptions {
    optimize(&format!("lancekeeper optimize root {line}")).1
}

/// The roots and the options of a whole line.
fn optimize(line: &str) -> (Vec<String>, OptimizeOptions) {
    match parse(line).unwrap().verb {
        Verb::Optimize(args) => {
            let said = args.given();
            let settings = Settings::resolve(Said { command_line: &said, ..Said::default() });
            (args.roots.roots.clone(), args.options(&settings))
        }
        _ => panic!("{line}"),
    }
}

/// The first line of a usage error.
fn refusal(line: &str) -> String {
    let error = parse(line).unwrap_err();
    assert_eq!(error.exit_code(), 2, "{line}");
    error.to_string().lines().next().unwrap().to_owned()
}

#[test]
fn the_grammar_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn defaults_are_those_of_the_library() {
    assert_eq!(options(""), OptimizeOptions::default());
}

#[test]
fn every_option_arrives() {
    let given = options(
        "--table node:Person --table edge:Knows --target-rows 1_000 --target-bytes 64M \
         --deletion-threshold 0.25 --concurrency 3 --index keep --branch main --branch work \
         --all --min-fragments 5 --max-bytes 2GiB --max-time 1h30m --verify content --where day<5 --recompute-statistics \
         --page-rows 500 --layout sort:day,-id --full",
    );
    let expected = OptimizeOptions {
        tables: vec!["node:Person".to_owned(), "edge:Knows".to_owned()],
        all_tables: true,
        min_fragments: Some(5),
        predicate: Some("day<5".to_owned()),
        statistics: true,
        pages: Some(PageTarget::Rows(500)),
        storage_version: None,
        target_rows: 1000,
        target_bytes: 64 << 20,
        deletion_threshold: 0.25,
        concurrency: Some(3),
        index: IndexMode::Keep,
        index_only: false,
        index_names: Vec::new(),
        branches: BranchSelection::Named(vec!["main".to_owned(), "work".to_owned()]),
        prune: None,
        max_bytes: Some(2 << 30),
        max_time: Some(Duration::from_secs(5400)),
        verify: RewriteCheck::Content,
        layout: Some("sort:day,-id".parse().unwrap()),
        full: true,
        workload: Vec::new(),
    };
    assert_eq!(given, expected);
}

#[test]
fn a_workload_is_a_file_of_predicates_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let said = |text: &str| {
        let path = dir.path().join("workload");
        std::fs::write(&path, text).unwrap();
        let line = format!("lancekeeper optimize root --layout auto --workload {}", path.display());
        let Verb::Optimize(args) = parse(&line).ok()?.verb else { panic!("another verb") };
        Some(args.options(&Settings::resolve(Said::default())).workload)
    };
    let read = said("a > 1\n\n# often\n  b = 'x' \n").unwrap();
    assert_eq!(read, ["a > 1", "b = 'x'"]);
    assert_eq!(said("# nothing\n"), None);
    for wrong in ["a > 1\na <> < 3\n", "a >\n", "SELECT 1\n", "a = 1; DROP TABLE t\n"] {
        assert_eq!(said(wrong), None, "{wrong}");
    }
    assert!(parse("lancekeeper optimize root --layout auto --workload /no/such/file").is_err());
    assert!(parse("lancekeeper optimize root --layout spiral:a").is_err());
}

#[test]
fn options_that_are_settings_beat_every_other_place_and_help_has_their_defaults() {
    use lancekeeper_settings::{Key, SETTINGS, Unset, Work};

    let Verb::Optimize(args) =
        parse("lancekeeper optimize root --memory-limit 2GiB --purge-deletes").unwrap().verb
    else {
        panic!("another verb")
    };
    let elsewhere = |key, value| Given { key, value, source: Source::Default };
    let file = [
        elsewhere(Key::BulkMemoryLimit, Value::Number(5)),
        elsewhere(Key::OptimizeDeletionThreshold, Value::Share(0.5)),
        elsewhere(Key::OptimizeTargetRows, Value::Number(7)),
    ];
    let said = args.given();
    let settings = Settings::resolve(Said { file: &file, command_line: &said, ..Said::default() });
    assert_eq!(settings.for_work(Work::Optimize).memory_bytes, 2 << 30);
    let options = args.options(&settings);
    assert_eq!((options.deletion_threshold, options.target_rows), (0.0, 7));
    assert_eq!(settings.get(Key::BulkMemoryLimit).source.to_string(), "--memory-limit");

    let mut command = Cli::command();
    let optimize = command.find_subcommand_mut("optimize").unwrap();
    for setting in SETTINGS.iter().filter(|setting| matches!(setting.default, Unset::Value(_))) {
        let Some(flag) = setting.flag else { continue };
        let mut arguments = optimize.get_arguments();
        let argument = arguments.find(|argument| argument.get_long() == Some(&flag[2..])).unwrap();
        let help = argument.get_help().unwrap().to_string().replace('\n', " ");
        let default = format!("{}]", setting.default_text());
        assert!(help.contains("[default: ") && help.contains(&default), "{flag}: {help}");
    }
}

#[test]
fn settings_are_shown_of_any_number_of_roots_and_said_on_either_side() {
    let cli = parse("lancekeeper --set a=1 config r --config f").unwrap();
    assert_eq!(cli.settings.assignments, ["a=1"]);
    assert_eq!(cli.settings.config_file.as_deref(), Some(std::path::Path::new("f")));
    for (line, roots) in [
        ("lancekeeper config", &[][..]),
        ("lancekeeper config r s", &["r", "s"][..]),
        ("lancekeeper --db-path r config", &["r"][..]),
    ] {
        let cli = parse(line).unwrap();
        assert_eq!(spec(&cli.verb).roots().roots, roots, "{line}");
        assert!(!spec(&cli.verb).writes());
    }
    refusal("lancekeeper --db-path r config s");
}

#[test]
fn a_run_may_be_limited_to_indexes_and_to_some_of_them() {
    let given = options("--index-only --index-name by_id --index rebuild --index-name text");
    let expected = OptimizeOptions {
        index: IndexMode::Rebuild,
        index_only: true,
        index_names: vec!["by_id".to_owned(), "text".to_owned()],
        ..OptimizeOptions::default()
    };
    assert_eq!(given, expected);
    let limited = options("--index-name text");
    assert_eq!((limited.index, limited.index_only), (IndexMode::Refresh, false));
}

#[test]
fn several_roots_and_global_options_on_either_side() {
    let cli = parse("lancekeeper --json status a b -vv --progress json").unwrap();
    assert_eq!(spec(&cli.verb).roots().roots, ["a", "b"]);
    assert!(cli.speech.json);
    assert_eq!(cli.speech.verbose, 2);
    assert_eq!(cli.speech.progress, ProgressMode::Json);
}

#[test]
fn values_without_sense_are_usage_errors_with_a_reason() {
    let lines = [
        "lancekeeper optimize root --target-rows 0",
        "lancekeeper optimize root --target-rows many",
        "lancekeeper optimize root --target-bytes 0MiB",
        "lancekeeper optimize root --target-bytes 5q",
        "lancekeeper optimize root --deletion-threshold 11",
        "lancekeeper optimize root --concurrency 0",
        "lancekeeper optimize root --index often",
        "lancekeeper optimize",
        "lancekeeper optimise root",
        "lancekeeper status root --dry-run",
        "lancekeeper status root -q -v",
        "lancekeeper optimize root --min-fragments 0",
        "lancekeeper optimize root --min-fragments=-3",
        "lancekeeper optimize root --min-fragments few",
        "lancekeeper optimize root --max-bytes 0",
        "lancekeeper optimize root --max-bytes=-1",
        "lancekeeper optimize root --max-bytes lots",
        "lancekeeper optimize root --max-time 0",
        "lancekeeper optimize root --max-time=-5m",
        "lancekeeper optimize root --max-time soon",
        "lancekeeper optimize root --purge-deletes --deletion-threshold 0.5",
        "lancekeeper optimize root --roots",
        "lancekeeper status --recursive",
        "lancekeeper optimize root --index-only --index keep",
        "lancekeeper optimize root --index-name text --index keep",
        "lancekeeper optimize root --index-only --purge-deletes",
        "lancekeeper optimize root --index-only --target-rows 5",
        "lancekeeper optimize root --index-name=",
    ];
    insta::assert_snapshot!(lines.map(refusal).join("\n"), @"
    error: invalid value '0' for '--target-rows <N>': must be at least 1
    error: invalid value 'many' for '--target-rows <N>': expected a whole number, at least 1
    error: invalid value '0MiB' for '--target-bytes <SIZE>': must be at least 1 byte
    error: invalid value '5q' for '--target-bytes <SIZE>': expected a size like 512MiB, 64M, 1GB or 1048576
    error: invalid value '11' for '--deletion-threshold <F>': must be from 0 to 1, or from 0% to 100%
    error: invalid value '0' for '--concurrency <N>': must be at least 1
    error: invalid value 'often' for '--index <HOW>'
    error: no root was given: name a ROOT, or --roots FILE, or --uri URI
    error: unrecognized subcommand 'optimise'
    error: unexpected argument '--dry-run' found
    error: the argument '--quiet' cannot be used with '--verbose...'
    error: invalid value '0' for '--min-fragments <N>': must be at least 1
    error: invalid value '-3' for '--min-fragments <N>': expected a whole number, at least 1
    error: invalid value 'few' for '--min-fragments <N>': expected a whole number, at least 1
    error: invalid value '0' for '--max-bytes <SIZE>': must be at least 1 byte
    error: invalid value '-1' for '--max-bytes <SIZE>': expected a size like 512MiB, 64M, 1GB or 1048576
    error: invalid value 'lots' for '--max-bytes <SIZE>': expected a size like 512MiB, 64M, 1GB or 1048576
    error: invalid value '0' for '--max-time <DURATION>': must be at least 1 second
    error: invalid value '-5m' for '--max-time <DURATION>': expected a duration like 90, 45s, 30m, 1h30m, 2d or 1w
    error: invalid value 'soon' for '--max-time <DURATION>': expected a duration like 90, 45s, 30m, 1h30m, 2d or 1w
    error: the argument '--purge-deletes' cannot be used with '--deletion-threshold <F>'
    error: a value is required for '--roots <FILE>' but none was supplied
    error: no root was given: name a ROOT, or --roots FILE, or --uri URI
    error: --index keep leaves every index alone: --index-only and --index-name need refresh or rebuild
    error: --index keep leaves every index alone: --index-only and --index-name need refresh or rebuild
    error: the argument '--index-only' cannot be used with '--purge-deletes'
    error: the argument '--index-only' cannot be used with '--target-rows <N>'
    error: a value is required for '--index-name <NAME>' but none was supplied
    ");
}

#[test]
fn purging_deletes_is_a_threshold_of_none() {
    let expected = OptimizeOptions { deletion_threshold: 0.0, ..OptimizeOptions::default() };
    assert_eq!(options("--purge-deletes"), expected);
    assert_eq!(options("--deletion-threshold 0"), expected);
}

#[test]
fn a_root_named_by_an_option_makes_the_other_names_tables_on_either_side_of_the_verb() {
    for line in [
        "lancekeeper --db-path db optimize events",
        "lancekeeper optimize --db-path db events",
        "lancekeeper optimize events --db-path=db",
        "lancekeeper --uri db optimize events",
        "lancekeeper optimize events --uri db",
        "lancekeeper --uri db optimize --table events",
    ] {
        let (roots, options) = optimize(line);
        assert_eq!(
            (roots, options.selected()),
            (vec!["db".to_owned()], &["events".to_owned()][..])
        );
    }
    let (roots, options) = optimize("lancekeeper --db-path db optimize");
    assert_eq!((roots, options), (vec!["db".to_owned()], OptimizeOptions::default()));
    let cli = parse("lancekeeper status --db-path db").unwrap();
    assert_eq!(spec(&cli.verb).roots().roots, ["db"]);
}

#[test]
fn a_leading_db_says_nothing_and_a_table_of_that_name_is_a_table() {
    let (roots, options) = optimize("lancekeeper db --db-path d optimize events --all --prune-now");
    assert_eq!((roots, options.tables), (vec!["d".to_owned()], vec!["events".to_owned()]));
    assert!(options.all_tables && options.prune.is_some_and(|prune| prune.wait));
    let (roots, options) = optimize("lancekeeper --db-path d optimize db");
    assert_eq!((roots, options.tables), (vec!["d".to_owned()], vec!["db".to_owned()]));
    assert_eq!(parse("lancekeeper db").unwrap_err().exit_code(), 2);
}

/// The roots and the options of a line that counts.
fn counting(line: &str) -> (Vec<String>, CountOptions) {
    match parse(line).unwrap().verb {
        Verb::CountRows(args) => (args.roots.roots.clone(), args.options()),
        _ => panic!("{line}"),
    }
}

#[test]
fn rows_are_counted_of_named_tables_of_one_root_or_of_all_tables_of_several() {
    for line in ["db --db-path d count-rows a b", "count-rows d --table a --table b"] {
        let (roots, options) = counting(&format!("lancekeeper {line}"));
        assert_eq!(roots, ["d"], "{line}");
        assert_eq!(options.tables, ["a", "b"], "{line}");
        assert_eq!(options.branches, BranchSelection::Main, "{line}");
    }
    let (roots, options) = counting("lancekeeper count-rows g h --branch work --branch main");
    assert_eq!(roots, ["g", "h"]);
    let named = BranchSelection::Named(vec!["work".to_owned(), "main".to_owned()]);
    assert_eq!(options, CountOptions { tables: Vec::new(), branches: named });
    let cli = parse("lancekeeper count-rows g --all-branches").unwrap();
    assert!(!spec(&cli.verb).writes() && !spec(&cli.verb).is_dry_run());
    refusal("lancekeeper count-rows");
    refusal("lancekeeper count-rows g --all-branches --branch main");
}

#[test]
fn all_beats_names_which_are_kept_to_be_checked() {
    let (roots, options) = optimize("lancekeeper --db-path db optimize events --all");
    assert_eq!(roots, ["db"]);
    assert_eq!(options.tables, ["events"]);
    assert!(options.selected().is_empty());
    let (_, options) = optimize("lancekeeper optimize db --all");
    assert!(options.all_tables && options.tables.is_empty());
}

#[test]
fn a_set_of_roots_is_named_by_a_file_or_searched_for() {
    let cli = parse("lancekeeper status --roots set a --recursive").unwrap();
    let roots = spec(&cli.verb).roots();
    assert_eq!(roots.file.as_deref(), Some(std::path::Path::new("set")));
    assert!(roots.recursive);
    assert_eq!(roots.roots, ["a"]);
    let cli = parse("lancekeeper optimize --roots -").unwrap();
    assert_eq!(spec(&cli.verb).roots().file.as_deref(), Some(std::path::Path::new("-")));
}

#[test]
fn one_root_is_not_named_twice_in_different_ways() {
    let lines = [
        "lancekeeper --uri a optimize --db-path b",
        "lancekeeper --uri a --db-path b status",
        "lancekeeper --uri a optimize --roots set",
        "lancekeeper --db-path a status table",
    ];
    insta::assert_snapshot!(lines.map(refusal).join("\n"), @"
    error: --uri and --db-path both name the root: give one of them
    error: --uri and --db-path both name the root: give one of them
    error: --roots names a set of roots, --uri and --db-path the only one
    error: status shows every table of the root that --uri or --db-path names
    ");
}

#[test]
fn help_shows_examples_and_exit_codes() {
    let help = Cli::command().render_help().to_string();
    assert!(help.contains("Examples:") && help.contains("Exit codes:"), "{help}");
}

#[test]
fn pruning_is_asked_for_by_name_and_its_options_mean_nothing_without() {
    let minutes = |n| chrono::TimeDelta::minutes(n);
    let prune = |line: &str| options(line).prune;
    assert_eq!(prune("--prune-now"), Some(PruneOptions::default()));
    assert_eq!(PruneOptions::default().window(), minutes(2));
    let window = PruneOptions { writer_window: minutes(90), ..PruneOptions::default() };
    assert_eq!(prune("--prune-now --writer-window 1h30m"), Some(window));
    assert!(prune("--prune-now --no-other-writers").unwrap().no_other_writers);
    assert_eq!(prune("--prune-now --no-other-writers").unwrap().window(), minutes(0));
    assert!(!prune("--prune-now --no-wait").unwrap().wait);
    for line in ["--writer-window 1h", "--no-other-writers", "--no-wait"] {
        let error = parse(&format!("lancekeeper optimize root {line}")).unwrap_err().to_string();
        assert!(error.contains("--prune-now"), "{error}");
    }
    refusal("lancekeeper optimize root --prune-now --no-other-writers --writer-window 1h");
}

fn recover(line: &str) -> RecoverArgs {
    match parse(&format!("lancekeeper recover root {line}")).unwrap().verb {
        Verb::Recover(args) => args,
        _ => unreachable!(),
    }
}

#[test]
fn recover_is_a_preview_until_it_is_confirmed() {
    for (line, preview) in [("", true), ("--dry-run", true), ("--confirm", false)] {
        assert_eq!(VerbSpec::is_dry_run(&recover(line)), preview, "{line}");
        assert_eq!(VerbSpec::writes(&recover(line)), !preview, "{line}");
    }
    refusal("lancekeeper recover root --confirm --dry-run");
    refusal("lancekeeper --uri root recover more");
    refusal("lancekeeper recover root --assume-dead");
}

#[test]
fn every_option_of_recover_arrives() {
    assert_eq!(recover("").options(), RecoverOptions::default());
    let options = recover("--dead-after 1h30m --quarantine x.json").options();
    assert_eq!(options.dead_after, chrono::TimeDelta::minutes(90));
    assert_eq!(options.quarantine.as_deref(), Some("x.json"));
    let assumed = |line| recover(line).options().assumed_dead;
    let these = AssumedDead::These(vec!["01A".to_owned(), "01B".to_owned()]);
    assert_eq!(assumed("--assume-dead 01A --assume-dead 01B.json"), these);
    assert_eq!(assumed("--assume-dead 01A --assume-dead all"), AssumedDead::All);
}

fn cleanup(line: &str) -> CleanupArgs {
    match parse(&format!("lancekeeper cleanup root {line}")).unwrap().verb {
        Verb::Cleanup(args) => args,
        _ => unreachable!(),
    }
}

#[test]
fn cleanup_is_a_preview_until_it_is_confirmed() {
    for (line, preview) in [("", true), ("--dry-run", true), ("--confirm", false)] {
        assert_eq!(VerbSpec::is_dry_run(&cleanup(line)), preview, "{line}");
    }
    refusal("lancekeeper cleanup root --confirm --dry-run");
    refusal("lancekeeper cleanup root --yes");
}

#[test]
fn cleanup_without_a_rule_keeps_ten_and_says_so() {
    let args = cleanup("--confirm");
    assert_eq!(args.options().policy.keep_versions, Some(10));
    assert_eq!(args.notices(), ["no rule given: using --keep 10"]);
    for rule in ["--older-than 30d", "--keep-last 3", "--keep-within 1w", "--keep 4"] {
        let args = cleanup(rule);
        assert_eq!(args.options().policy.keep_versions.is_some(), rule == "--keep 4", "{rule}");
        assert!(args.notices().is_empty(), "{rule}");
    }
}

#[test]
fn every_option_of_cleanup_arrives() {
    let options = cleanup(
        "--keep 3 --older-than 1d12h --keep-last 4 --keep-within 2w --writer-window 0 \
         --min-age 3d --min-fork-age 90 --max-delete-percent 80 --table node:Person \
         --concurrency 2 --delete-rate 100 --old-history",
    )
    .options();
    let expected = CleanupOptions {
        policy: CleanupPolicyOptions {
            keep_versions: Some(3),
            older_than: Some(Duration::from_secs(36 * 3600)),
        },
        keep_last: Some(4),
        keep_within: Some(chrono::TimeDelta::weeks(2)),
        writer_window: chrono::TimeDelta::zero(),
        min_age: chrono::TimeDelta::days(3),
        min_fork_age: chrono::TimeDelta::seconds(90),
        max_delete_percent: 80,
        tables: vec!["node:Person".to_owned()],
        concurrency: Some(2),
        delete_rate: Some(100),
        old_history: true,
    };
    assert_eq!(options, expected);
}

#[test]
fn migrate_previews_unless_confirmed_and_says_where_to() {
    let migrate = |line: &str| match parse(&format!("lancekeeper migrate r {line}")).unwrap().verb {
        Verb::Migrate(args) => (args.options(), spec(&Verb::Migrate(args)).writes()),
        _ => panic!("{line}"),
    };
    assert_eq!(migrate(""), (MigrateOptions::default(), false));
    let goals = [
        ("--to 3", MigrateGoal::V3),
        ("--to 4", MigrateGoal::Newest { rebuild: false }),
        ("--to 4 --rebuild-history", MigrateGoal::Newest { rebuild: true }),
        ("--abort", MigrateGoal::Abort),
        ("--restamp 3", MigrateGoal::Restamp(InternalSchema::V3)),
        (
            "--storage-version 2.1",
            MigrateGoal::Tables(TableStep::StorageVersion(StorageVersion::V2_1)),
        ),
        (
            "--manifest-paths v2",
            MigrateGoal::Tables(TableStep::ManifestPaths { assume_alone: false }),
        ),
        (
            "--manifest-paths v2 --assume-alone",
            MigrateGoal::Tables(TableStep::ManifestPaths { assume_alone: true }),
        ),
        ("--stable-row-ids", MigrateGoal::Tables(TableStep::StableRowIds)),
    ];
    for (line, goal) in goals {
        let options = MigrateOptions { goal, ..MigrateOptions::default() };
        for (flag, writes) in
            [("", false), ("--plan", false), ("--dry-run", false), ("--confirm", true)]
        {
            assert_eq!(
                migrate(&format!("{line} {flag}")),
                (options.clone(), writes),
                "{line} {flag}"
            );
        }
    }
    let (options, _) = migrate("--dead-after 90");
    assert_eq!(options.dead_after, chrono::TimeDelta::seconds(90));
    for line in [
        "--to 2",
        "--to 5",
        "--restamp 5",
        "--to 4 --abort",
        "--to 4 --restamp 4",
        "--rebuild-history",
        "--plan --confirm",
        "--manifest-paths v1",
        "--assume-alone",
        "--stable-row-ids --manifest-paths v2",
        "--storage-version 2.1 --to 4",
    ] {
        refusal(&format!("lancekeeper migrate r {line}"));
    }
    let named = refusal("lancekeeper --db-path r migrate table");
    assert!(named.contains("as a whole"), "{named}");
    let legacy = refusal("lancekeeper migrate r --storage-version 0.1");
    assert!(legacy.contains("first format"), "{legacy}");
    let unstable = refusal("lancekeeper migrate r --storage-version next");
    assert!(unstable.contains("not stable yet"), "{unstable}");
    for line in ["migrate r --table a --stable-row-ids", "--db-path r migrate a --stable-row-ids"] {
        let Verb::Migrate(args) = parse(&format!("lancekeeper {line}")).unwrap().verb else {
            panic!("{line}")
        };
        assert_eq!(args.options().tables, ["a"], "{line}");
    }
}

#[test]
fn every_verb_that_writes_can_wait_for_the_lock() {
    for line in [
        "optimize r",
        "cleanup r",
        "branch create r b",
        "branch delete r b",
        "migrate r",
        "jobs resume r 01A",
    ] {
        let wait = |line: &str| spec(&parse(line).unwrap().verb).lock_wait();
        assert_eq!(wait(&format!("lancekeeper {line}")), Duration::ZERO, "{line}");
        let waits = format!("lancekeeper {line} --wait 1m30s");
        assert_eq!(wait(&waits), Duration::from_secs(90), "{line}");
    }
    refusal("lancekeeper status r --wait 1m");
    refusal("lancekeeper branch list r --wait 1m");
}

#[test]
fn ages_that_make_no_sense_are_refused_with_an_example() {
    for age in ["-1", "1.5h", "h", "1y", "10m5", "''", "1h-3m"] {
        let line = format!("lancekeeper cleanup root --older-than={age}");
        assert!(refusal(&line).contains("30m"), "{age}");
    }
    assert!(refusal("lancekeeper cleanup root --older-than 99999w").contains("too long"));
    refusal("lancekeeper cleanup root --keep 0");
    refusal("lancekeeper cleanup root --max-delete-percent 101");
}

/// Root, name of the branch and the rest of a line about one.
fn branch(line: &str) -> (Vec<String>, String, BranchVerb) {
    let verb = parse(&format!("lancekeeper branch {line}")).unwrap().verb;
    let roots = spec(&verb).roots().roots.clone();
    match verb {
        Verb::Branch(args) => {
            let name = match &args.what {
                BranchVerb::Create(args) => args.target.name().to_owned(),
                BranchVerb::Delete(args) => args.target.name().to_owned(),
                BranchVerb::List(_) => String::new(),
            };
            (roots, name, args.what)
        }
        _ => panic!("{line}"),
    }
}

#[test]
fn a_branch_is_named_after_its_root_or_beside_the_option_that_names_it() {
    for line in
        ["create g feat", "create --uri g feat", "create feat --uri g", "create feat --db-path g"]
    {
        let (roots, name, what) = branch(line);
        assert_eq!((roots, name.as_str()), (vec!["g".to_owned()], "feat"), "{line}");
        assert!(matches!(what, BranchVerb::Create(args) if args.from == "main"), "{line}");
    }
    let (_, _, what) = branch("create --uri g --from work feat");
    assert!(matches!(what, BranchVerb::Create(args) if args.from == "work"));
    for line in ["create", "create feat", "create g a b", "create --uri g", "create --uri g a b"] {
        refusal(&format!("lancekeeper branch {line}"));
    }
    refusal("lancekeeper branch list --uri g feat");
    assert_eq!(branch("list a b").0, ["a", "b"]);
}

#[test]
fn deleting_a_branch_is_a_preview_until_it_is_confirmed() {
    for (line, preview) in [("", true), ("--dry-run", true), ("--confirm", false)] {
        let cli = parse(&format!("lancekeeper branch delete g feat {line}")).unwrap();
        let verb = spec(&cli.verb);
        assert_eq!((verb.is_dry_run(), verb.writes()), (preview, !preview), "{line}");
    }
    refusal("lancekeeper branch delete g feat --confirm --dry-run");
    let cli = parse("lancekeeper branch list g").unwrap();
    let verb = spec(&cli.verb);
    assert!(!verb.writes() && !verb.is_dry_run());
}

#[test]
fn a_job_is_named_after_its_root_or_beside_the_option_that_names_it() {
    let jobs = |line: &str| match parse(line).unwrap().verb {
        Verb::Jobs(args) => args.what,
        other => panic!("{other:?}"),
    };
    for line in ["lancekeeper jobs show g 01abc", "lancekeeper jobs show 01ABC --uri g"] {
        let JobsVerb::Show(args) = jobs(line) else { panic!("{line}") };
        assert_eq!(
            (args.target.id(), args.target.roots.roots),
            ("01ABC".to_owned(), vec!["g".to_owned()])
        );
    }
    refusal("lancekeeper jobs cancel 01ABC");
    refusal("lancekeeper jobs resume --uri g h 01ABC");
    refusal("lancekeeper jobs list");
    refusal("lancekeeper jobs list g --status dreamt");
    // As with every other number of things: none is no number of them.
    let none = refusal("lancekeeper jobs list g --limit 0");
    assert!(none.contains("at least 1") && none.contains("all"), "{none}");
    let line = "lancekeeper jobs list a b --table t --status failed --status running --limit all";
    let JobsVerb::List(args) = jobs(line) else { panic!("{line}") };
    let options = args.options();
    assert_eq!((args.roots.roots.len(), options.tables.len(), options.limit), (2, 1, None));
    assert_eq!(options.statuses, [JobStatus::Failed, JobStatus::Running]);
    let JobsVerb::List(args) = jobs("lancekeeper --db-path d jobs list t") else { panic!("t") };
    assert_eq!((args.options().tables, args.options().limit), (vec!["t".to_owned()], Some(50)));
}

#[test]
fn what_is_verified_is_everything_unless_told() {
    use lancekeeper_settings::Work;

    let verify = |line: &str| match parse(line).unwrap().verb {
        Verb::Verify(args) => args,
        _ => panic!("another verb"),
    };
    assert_eq!(verify("lancekeeper verify r").options(), VerifyOptions::default());
    let args = verify(
        "lancekeeper verify r --table a --table b --branch main --branch work --samples 3 \
         --memory-limit 2GiB --concurrency 2",
    );
    let expected = VerifyOptions {
        tables: vec!["a".to_owned(), "b".to_owned()],
        branches: BranchSelection::Named(vec!["main".to_owned(), "work".to_owned()]),
        quick: false,
        samples: 3,
    };
    assert_eq!(args.options(), expected);
    let said = args.given();
    let settings = Settings::resolve(Said { command_line: &said, ..Said::default() });
    let run = settings.for_work(Work::Bulk);
    assert_eq!((run.memory_bytes, run.concurrency), (2 << 30, 2));
    assert!(verify("lancekeeper verify r --quick").options().quick);
    assert_eq!(verify("lancekeeper --db-path r verify a").options().tables, ["a"]);
    refusal("lancekeeper verify");
    refusal("lancekeeper verify r --quick --samples 3");
    refusal("lancekeeper verify r --samples 0");
}

#[test]
fn sql_takes_a_root_and_one_statement_from_one_place() {
    let read =
        |line: &[&str]| Cli::read(["lancekeeper", "sql"].iter().chain(line)).map(|cli| cli.verb);
    let Ok(Verb::Sql(args)) = read(&["root", "VACUUM TABLE t RETAIN 7 DAYS", "--confirm"]) else {
        panic!("a statement")
    };
    assert_eq!(
        (args.roots.roots.as_slice(), args.may_write(), args.may_delete()),
        (&["root".to_owned()][..], true, true)
    );
    let Ok(Verb::Sql(args)) = read(&["SHOW JOBS", "--uri", "root"]) else { panic!("a statement") };
    assert_eq!(
        (args.roots.roots.as_slice(), args.may_write(), args.may_delete()),
        (&["root".to_owned()][..], false, false)
    );
    for (line, said) in [
        (&["root", "SHOW JOBS", "-f", "x"][..], "give one of them"),
        (&["root", "SHOW JOBS", "--json", "--csv"], "cannot be used with"),
        (&["root", "SHOW JOBS", "--yes"], "--confirm"),
        (&["root", "SHOW JOBS", "--uri", "other"], "one statement"),
        (&[], "no root was given"),
    ] {
        let error = read(line).map(|_| ()).unwrap_err();
        assert!(error.to_string().contains(said), "{line:?}: {error}");
    }
}

#[test]
fn a_repair_previews_unless_confirmed_whatever_is_asked_for() {
    let options = |line: &str| match parse(&format!("lancekeeper repair {line}")).unwrap().verb {
        Verb::Repair(args) => (args.roots.roots.clone(), args.options()),
        _ => panic!("{line}"),
    };
    assert_eq!(options("g"), (vec!["g".to_owned()], RepairOptions::default()));
    let said = "g --confirm --force --table node:Person --branch work --branch main \
                --dead-after 1h --assume-dead --concurrency 3";
    let expected = RepairOptions {
        tables: vec!["node:Person".to_owned()],
        branches: BranchSelection::Named(vec!["work".to_owned(), "main".to_owned()]),
        confirm: true,
        force: true,
        dead_after: chrono::TimeDelta::hours(1),
        assume_dead: true,
        concurrency: Some(3),
        ..RepairOptions::default()
    };
    assert_eq!(options(said).1, expected);
    assert!(options("g --restore-pin").1.restore_pin, "its preview says what would be taken back");
    let forced = options("g --force").1;
    assert!(forced.force && !forced.confirm, "its preview says what would be published");
    assert_eq!(options("--uri g node:Person").1.tables, ["node:Person"]);
    for line in [
        "g --confirm --force --restore-pin",
        "g --force --restore-pin",
        "g --confirm --dry-run",
        "g --relocate --restore-pin",
        "g --relocate --confirm --force",
        "g --relocate --table node:Person",
    ] {
        refusal(&format!("lancekeeper repair {line}"));
    }
}
