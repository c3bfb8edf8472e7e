//! Merging, and times of the week.

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;

use super::*;

fn at(text: &str) -> DateTime<Utc> {
    text.parse().expect("a time")
}

#[test]
fn every_option_is_set_got_and_taken_back_by_its_name() {
    let times: QuietTimes = "Mon 08:00-09:00".parse().unwrap();
    let values = [
        PolicyValue::Switch(true),
        PolicyValue::Count(7),
        PolicyValue::Real(0.5),
        PolicyValue::Rank(-3),
        PolicyValue::Times(times),
    ];
    let mut all = Policy::default();
    for option in PolicyOption::ALL {
        let mut policy = Policy::default();
        let taken: Vec<_> =
            values.iter().filter(|value| policy.set(option, (*value).clone())).collect();
        assert_eq!(taken.len(), 1, "{option} has one kind of value");
        assert_eq!(policy.get(option).as_ref(), Some(taken[0]));
        assert!(all.set(option, taken[0].clone()));
        policy.reset(option);
        assert!(policy.is_empty(), "{option}");
    }
    assert_eq!(all.set_options().count(), PolicyOption::ALL.len());
}

#[test]
fn the_upper_policy_counts_option_by_option_and_each_value_knows_its_source() {
    let own = Policy { priority: Some(3), ..Policy::default() };
    let file = Policy { priority: Some(-1), auto_compact: Some(true), ..Policy::default() };
    let line = PolicySource::File { path: "p.toml".to_owned(), line: 4 };
    let merged = SourcedPolicy::of(own, &PolicySource::Table).over(&SourcedPolicy::of(file, &line));
    assert_eq!((merged.policy().priority, merged.policy().auto_compact), (Some(3), Some(true)));
    let said = |option| merged.source(option).to_string();
    assert_eq!(said(PolicyOption::Priority), "ALTER TABLE");
    assert_eq!(said(PolicyOption::AutoCompact), "p.toml:4");
    assert_eq!(said(PolicyOption::RetainDays), "default");
}

#[test]
fn cleanup_is_off_until_both_rules_are_said() {
    let retention = |retain_days, keep_versions| {
        EffectivePolicy::of(&Policy { retain_days, keep_versions, ..Policy::default() }).retention
    };
    assert_eq!(retention(None, None), None);
    assert_eq!(retention(Some(7), None), None);
    assert_eq!(retention(None, Some(7)), None);
    assert_eq!(retention(Some(0), Some(0)), Some((1, 1)));
    assert_eq!(retention(Some(7), Some(3)), Some((7, 3)));
}

#[test]
fn the_trigger_is_adaptive_only_where_no_threshold_is_said() {
    let of = |mb, files| {
        EffectivePolicy::of(&Policy {
            compact_threshold_mb: mb,
            compact_threshold_files: files,
            ..Policy::default()
        })
    };
    assert!(of(None, None).is_adaptive && of(None, None).threshold_files == 10);
    assert!(!of(Some(100), None).is_adaptive && of(Some(100), None).threshold_files == 10);
    assert!(!of(None, Some(1)).is_adaptive && of(None, Some(1)).threshold_files == 2);
}

#[test]
fn quiet_times_are_read_and_end_when_they_say() {
    let until = |times: &str, now: &str| {
        let times: QuietTimes = times.parse().unwrap();
        times.until(at(now)).map(|end| end.format("%a %H:%M:%S").to_string())
    };
    // 2024-01-01 was a Monday.
    assert_eq!(until("08:00-18:00", "2024-01-01T07:59:59Z"), None);
    assert_eq!(until("08:00-18:00", "2024-01-01T08:00:00Z").unwrap(), "Mon 18:00:00");
    assert_eq!(until("22:00-06:00", "2024-01-01T23:30:10Z").unwrap(), "Tue 06:00:00");
    assert_eq!(until("Sun 22:00-06:00", "2024-01-01T05:00:00Z").unwrap(), "Mon 06:00:00");
    assert_eq!(until("Mon 22:00-06:00", "2024-01-01T05:00:00Z"), None);
    assert_eq!(until("Fri-Sun 00:00-24:00", "2024-01-06T05:00:00Z").unwrap(), "Mon 00:00:00");
    assert_eq!(
        until("Mon 01:00-02:00;Mon 02:00-03:00", "2024-01-01T01:00:00Z").unwrap(),
        "Mon 03:00:00"
    );
}

#[test]
fn what_names_no_times_is_refused_with_the_part_that_is_wrong() {
    let refused = |text: &str| text.parse::<QuietTimes>().unwrap_err().to_string();
    assert!(refused("").starts_with("expected times like"));
    assert!(refused("Mon").contains("found \"Mon\""));
    assert!(refused("Mo 08:00-09:00").contains("\"Mo\" is no day"));
    assert!(refused("8:00-09:00").contains("\"8:00\" is no time"));
    assert!(refused("08:00-24:01").contains("\"24:01\" is no time"));
    assert!(refused("08:60-09:00").contains("\"08:60\""));
    assert!(refused("00:00-24:00").contains("no minute"));
    assert!(refused("08:00-08:00").contains("no minute"));
    assert!(refused(&"Mon 01:00-02:00;".repeat(65)).contains("65 windows"));
}

#[test]
fn a_document_has_the_names_of_the_options() {
    let policy = Policy {
        auto_compact: Some(true),
        quiet_times: Some("Sat,Sun 22:00-06:00".parse().unwrap()),
        ..Policy::default()
    };
    // The names are the format of the document: read here by hand, because the crate has no JSON.
    let names: Vec<&str> = policy.set_options().map(|(option, _)| option.name()).collect();
    assert_eq!(names, ["auto_compact", "quiet_times"]);
}

proptest! {
    #[test]
    fn what_is_shown_of_quiet_times_reads_as_the_same(
        windows in prop::collection::vec((1_u8..128, 0_u16..1440, 0_u16..=1440), 1..5)
    ) {
        let windows: Vec<QuietWindow> = windows
            .into_iter()
            .map(|(days, from, to)| QuietWindow {
                days: std::array::from_fn(|day| days & (1 << day) != 0),
                from,
                to,
            })
            .collect();
        let text = windows.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        match text.parse::<QuietTimes>() {
            Ok(times) => {
                prop_assert_eq!(times.windows(), &windows[..]);
                prop_assert_eq!(times.to_string(), text);
            }
            Err(error) => prop_assert_eq!(error, QuietError::Everything),
        }
    }

    #[test]
    fn the_end_of_a_quiet_time_lies_ahead_and_is_not_quiet(
        minutes in 0_i64..20_000, seconds in 0_i64..60,
        from in 0_u16..1440, length in 1_u16..1439, days in 1_u8..128,
    ) {
        let window = QuietWindow {
            days: std::array::from_fn(|day| days & (1 << day) != 0),
            from,
            to: (from + length) % 1440,
        };
        let Ok(times) = window.to_string().parse::<QuietTimes>() else { return Ok(()) };
        let now = at("2024-01-01T00:00:00Z") + TimeDelta::minutes(minutes) + TimeDelta::seconds(seconds);
        if let Some(end) = times.until(now) {
            prop_assert!(end > now && end - now <= TimeDelta::days(7));
            prop_assert!(times.until(end).is_none());
            prop_assert!(times.until(end - TimeDelta::seconds(1)).is_some());
        }
    }
}
