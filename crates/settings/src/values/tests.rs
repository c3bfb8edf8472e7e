//! Values as people write them.

use super::*;

#[test]
fn sizes_follow_coreutils() {
    for (text, bytes) in [
        ("512MiB", 512 << 20),
        ("64M", 64 << 20),
        ("1GB", 1_000_000_000),
        ("1gib", 1 << 30),
        ("1.5 GiB", 3 << 29),
        ("0.5k", 512),
        (".5k", 512),
        ("1048576", 1 << 20),
        ("7B", 7),
        ("2t", 2 << 40),
        ("18446744073709551615", u64::MAX),
    ] {
        assert_eq!(size(text), Ok(bytes), "{text}");
    }
    for text in ["", ".", "M", "1.2.3M", "12 apples", "-1", "1e9"] {
        assert!(size(text).unwrap_err().starts_with("expected a size"), "{text}");
    }
    for text in ["18446744073709551616", "99999999TiB"] {
        assert_eq!(size(text).unwrap_err(), "too large", "{text}");
    }
}

#[test]
fn shares_are_fractions_or_percent() {
    for (text, expected) in [("0", 0.0), ("0.1", 0.1), ("10%", 0.1), ("100 %", 1.0), ("1", 1.0)] {
        assert_eq!(share(text), Ok(expected), "{text}");
    }
    for text in ["1.01", "101%", "-0.1", "NaN", "inf", "%", "ten"] {
        assert!(share(text).is_err(), "{text}");
    }
}

#[test]
fn durations_are_integers_with_units_or_seconds() {
    let seconds = |text: &str| duration(text).map(|duration| duration.as_secs());
    for (text, expected) in [
        ("90", 90),
        ("45s", 45),
        ("30m", 1800),
        ("1h30m", 5400),
        ("1h 30m", 5400),
        ("2d", 172_800),
        ("1w", 604_800),
        ("1w2d3h4m5s", 788_645),
        ("0h1s", 1),
    ] {
        assert_eq!(seconds(text), Ok(expected), "{text}");
    }
    for text in ["", "h", "1.5h", "-1s", "1h30", "30 m s", "1y", "1 2", "１h", "1hé", "+5"] {
        let error = seconds(text).unwrap_err();
        assert!(error.starts_with("expected a duration"), "{text}: {error}");
    }
    for text in ["0", "0s", "0h0m"] {
        assert_eq!(seconds(text).unwrap_err(), "must be at least 1 second", "{text}");
    }
    for text in ["18446744073709551616", "18446744073709551615w", "18446744073709551615s1s"] {
        assert_eq!(seconds(text).unwrap_err(), "too long", "{text}");
    }
}
