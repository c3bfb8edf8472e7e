//! Files, values and the page about them.

use lancekeeper_model::{PolicyOption, PolicyValue};

use super::*;
use crate::policy::{POLICY_OPTIONS, notices, option_info};

const FILE: &str = "[defaults]\nauto_compact = true\nmax_bytes_per_run = \"2GiB\"\npriority = -1\n\n\
                    [table.\"node:Person\"]\npriority = 5\nquiet_times = \"Mon-Fri 08:00-18:00\"\n";

#[test]
fn a_table_has_its_own_word_then_its_section_then_the_defaults() {
    let file = read_policy_file("p.toml", FILE).unwrap();
    let own = Policy { retain_days: Some(7), ..Policy::default() };
    let person = file.of_table("node:Person", Some(&own));
    let shown: Vec<String> = person
        .policy()
        .set_options()
        .map(|(option, value)| format!("{option} = {value} from {}", person.source(option)))
        .collect();
    insta::assert_snapshot!(shown.join("\n"), @"
    auto_compact = true from p.toml:2
    retain_days = 7 from ALTER TABLE
    quiet_times = Mon,Tue,Wed,Thu,Fri 08:00-18:00 from p.toml:8
    max_bytes_per_run = 2147483648 from p.toml:3
    priority = 5 from p.toml:7
    ");
    assert_eq!(file.of_table("other", None).policy().priority, Some(-1));
}

fn said(text: &str) -> String {
    let errors = read_policy_file("p.toml", text).unwrap_err();
    let hint =
        |hint: Option<String>| hint.map_or_else(String::new, |hint| format!("  hint: {hint}\n"));
    errors.iter().map(|error| format!("{error}\n{}", hint(error.hint()))).collect()
}

#[test]
fn everything_that_is_wrong_is_told_with_its_line() {
    let text = "auto_compact = true\n[default]\n[tables.x]\n[defaults]\nauto_compact = 7\ncompact_threshold_mb = 0\n\
                min_file_size_mb = -4\ncompact_threshold_files = 1\ndeletion_share = 0\nclustering_depth = 1\n\
                retain_days = 100000\npriority = 11\nquiet_times = \"Mo 1-2\"\nmax_bytes_per_run = \"12q\"\n\
                max_seconds_per_run = \"9w\"\nmax_concurrent_job = 2\nkeep_versions = [1]\n\
                [table.a]\ncolour = 1\nversion_count = 1.5\n[table.b]\nmin_file_size_mb = 700\n";
    insta::assert_snapshot!(said(text), @r#"
    p.toml:1: auto_compact is no section
      hint: write a line [defaults] or [table."NAME"] above the options
    p.toml:2: unknown section [default]
      hint: did you mean [defaults]?
    p.toml:3: unknown section [tables]
      hint: write [table."NAME"], with the name of the table
    p.toml:5: auto_compact: expected true or false, found the number 7
    p.toml:6: compact_threshold_mb: must be at least 1, not 0
      hint: compact_threshold_mb takes a whole number from 1 to 16777216
    p.toml:7: min_file_size_mb: must be at least 1, not -4
      hint: min_file_size_mb takes a whole number from 1 to 1048576
    p.toml:8: compact_threshold_files: must be at least 2, not 1
      hint: compact_threshold_files takes a whole number from 2 to 1000000
    p.toml:9: deletion_share: must be more than 0: at 0 every deleted row would be a reason for a rewrite
      hint: deletion_share takes a share above 0 and up to 1, like 0.1 or '10%'
    p.toml:10: clustering_depth: must be more than 1: 1 is perfect order, so rows would be laid out for ever
      hint: clustering_depth takes a number above 1, like 4
    p.toml:11: retain_days: must be at most 36500
      hint: retain_days takes a whole number from 1 to 36500
    p.toml:12: priority: expected a whole number from -10 to 10, found the number 11
    p.toml:13: quiet_times: "Mo" is no day of the week: Mon, Tue, Wed, Thu, Fri, Sat and Sun are
      hint: quiet_times takes times like 'Mon-Fri 08:00-18:00'
    p.toml:14: max_bytes_per_run: expected a size like '512MiB', '1GB' or 1048576, found the text "12q"
    p.toml:15: max_seconds_per_run: must be at most 604800 seconds
      hint: max_seconds_per_run takes a time like '1h30m' or 90 (seconds)
    p.toml:16: unknown option max_concurrent_job
      hint: did you mean max_concurrent_jobs?
    p.toml:17: keep_versions: expected a whole number from 1 to 1000000, found a list
    p.toml:19: unknown option colour
      hint: the options are auto_compact, compact_threshold_mb, compact_target_file_size_mb, min_file_size_mb, compact_threshold_files, max_concurrent_jobs, deletion_share, unindexed_rows, version_count, clustering_depth, retain_days, keep_versions, quiet_times, max_bytes_per_run, max_seconds_per_run, max_deletions_per_second, priority
    p.toml:20: version_count: expected a whole number from 2 to 1000000, found the number 1.5
    p.toml:22: min_file_size_mb: must be below compact_target_file_size_mb, which is 512: every new fragment would count as small, and 700 is not
      hint: set compact_target_file_size_mb to at least twice min_file_size_mb
    "#);
}

#[test]
fn sizes_that_contradict_each_other_are_told_wherever_they_stand() {
    let text = "[defaults]\ncompact_target_file_size_mb = 32\n[table.b]\nmin_file_size_mb = 48\n[table]\nx = 1\n";
    insta::assert_snapshot!(said(text), @r#"
    p.toml:4: min_file_size_mb: must be below compact_target_file_size_mb, which is 32: every new fragment would count as small, and 48 is not
      hint: set compact_target_file_size_mb to at least twice min_file_size_mb
    p.toml:6: x is no section
      hint: the sections are [defaults] and [table."NAME"], with options below them
    "#);
}

#[test]
fn what_is_no_toml_is_told_with_its_line() {
    assert!(said("[defaults]\nauto_compact true\n").starts_with("p.toml:2: "));
    assert_eq!(read_policy_file("p.toml", "\u{feff}"), Ok(PolicyFile::default()));
}

#[test]
fn statements_write_the_same_values_as_files() {
    let read = |name: &str, literal| read_option(name, literal);
    assert_eq!(
        read("AUTO_COMPACT", Literal::Switch(true)),
        Ok((PolicyOption::AutoCompact, PolicyValue::Switch(true)))
    );
    assert_eq!(
        read("max_seconds_per_run", Literal::Text("1h")),
        Ok((PolicyOption::MaxSecondsPerRun, PolicyValue::Count(3600)))
    );
    assert_eq!(
        read("deletion_share", Literal::Text("25%")),
        Ok((PolicyOption::DeletionShare, PolicyValue::Real(0.25)))
    );
    let error = read("auto_compact", Literal::Number("7")).unwrap_err();
    assert_eq!(error.to_string(), "auto_compact: expected true or false, found the number 7");
    let error = read("auto_compct", Literal::Switch(true)).unwrap_err();
    assert_eq!(error.hint().unwrap(), "did you mean auto_compact?");
    let error = read("compact_threshold_files", Literal::Number("1e30")).unwrap_err();
    assert_eq!(error.to_string(), "compact_threshold_files: must be at most 1000000");
}

#[test]
fn the_table_has_every_option_once_and_its_defaults_are_those_that_hold() {
    let mut defaults = Vec::new();
    for (at, option) in PolicyOption::ALL.into_iter().enumerate() {
        let info = option_info(option);
        assert_eq!((info.option, option as usize), (option, at));
        assert!(info.doc.ends_with('.'), "{option}");
        defaults.push(info.default);
    }
    let holds = lancekeeper_model::EffectivePolicy::default();
    let mib = |bytes: u64| (bytes >> 20).to_string();
    let expected = [
        holds.auto_compact.to_string(),
        "none".to_owned(),
        mib(holds.target_bytes),
        mib(holds.small_bytes),
        format!("{}, adaptive", holds.threshold_files),
        holds.max_concurrent_jobs.to_string(),
        holds.deletion_share.to_string(),
        holds.unindexed_rows.to_string(),
        holds.version_count.to_string(),
    ];
    assert_eq!(defaults[..expected.len()], expected);
    assert!(holds.is_adaptive && holds.retention.is_none() && holds.priority == 0);
}

#[test]
fn what_has_no_effect_is_told() {
    let told = |text: &str| {
        let file = read_policy_file("p.toml", text).unwrap();
        notices(file.defaults.policy()).join("; ")
    };
    assert!(told("[defaults]\nretain_days = 7\n").contains("keep_versions as well"));
    assert!(told("[defaults]\nkeep_versions = 7\n").contains("retain_days as well"));
    assert!(
        told("[defaults]\nversion_count = 7\n").contains("needs retain_days and keep_versions")
    );
    assert!(told("[defaults]\nunindexed_rows = 7\n").contains("auto_compact"));
    assert_eq!(told("[defaults]\nauto_compact = true\nkeep_versions = 1\nretain_days = 1\n"), "");
}

#[test]
fn the_page_about_policies_has_every_row_of_this_table_and_no_other() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/policies.md");
    let page = std::fs::read_to_string(page).unwrap();
    let mut expected = "\n| option | values | default | what |\n|---|---|---|---|\n".to_owned();
    expected.extend(POLICY_OPTIONS.iter().map(|row| {
        format!("| `{}` | {} | {} | {} |\n", row.option, row.kind.range(), row.default, row.doc)
    }));
    let (begin, end) = ("<!-- options -->\n", "\n<!-- end of options -->");
    let table = page.split_once(begin).and_then(|(_, rest)| rest.split_once(end));
    let found = table.map_or("", |(table, _)| table);
    assert!(found == expected, "between its marks docs/policies.md should have:\n{expected}");
}
