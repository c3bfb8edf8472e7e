//! Numbers as people read them: counts in groups, sizes and times with a unit and three
//! digits. Machines get plain numbers from `json`.

/// `1,234,567`.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 table`, `2 tables`.
pub(super) fn counted(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", count(number))
}

/// `1.21 MiB`.
pub(super) fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    // Three digits hold no more, so that 1000 KiB are 0.98 MiB.
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{} {}", three_digits(value), UNITS[unit])
}

/// `850 ms`, `1.2 s`, `2 min 5 s`, `1 h 3 min`.
pub(super) fn duration(ms: u64) -> String {
    // Rounded to the tenth that is shown, so that 59,960 ms are not "60.0 s".
    let tenths = (ms + 50) / 100;
    let seconds = (ms + 500) / 1000;
    match ms {
        0..1_000 => format!("{ms} ms"),
        _ if tenths < 600 => format!("{}.{} s", tenths / 10, tenths % 10),
        _ if seconds < 3_600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
    }
}

/// `12.5%` from a share of 0 to 1.
pub(super) fn percent(share: f64) -> String {
    // A table that still has a row is not shown as all deleted.
    let percent = if share >= 1.0 { 100.0 } else { (share * 100.0).min(99.9) };
    match percent {
        p if p <= 0.0 || share.is_nan() => "0%".to_owned(),
        p if p < 0.1 => "<0.1%".to_owned(),
        p if p < 100.0 => format!("{p:.1}%"),
        _ => "100%".to_owned(),
    }
}

fn three_digits(value: f64) -> String {
    match value {
        v if v < 9.995 => format!("{v:.2}"),
        v if v < 99.95 => format!("{v:.1}"),
        v => format!("{v:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_grouped() {
        let numbers = [0, 999, 1_000, 1_234_567];
        assert_eq!(numbers.map(count), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(counted(1, "row"), "1 row");
        assert_eq!(counted(1_000, "row"), "1,000 rows");
    }

    #[test]
    fn sizes_have_three_digits() {
        let sizes = [0, 999, 1000, 1024, 943_718, 1023 << 10, 10 << 20, 999 << 20, u64::MAX];
        assert_eq!(
            sizes.map(size),
            [
                "0 B",
                "999 B",
                "0.98 KiB",
                "1.00 KiB",
                "922 KiB",
                "1.00 MiB",
                "10.0 MiB",
                "999 MiB",
                "16384 PiB",
            ]
        );
    }

    #[test]
    fn durations_change_units_without_a_seam() {
        let times = [0, 999, 1_000, 1_249, 59_949, 59_951, 125_000, 3_599_400, 3_599_500];
        assert_eq!(
            times.map(duration),
            [
                "0 ms",
                "999 ms",
                "1.0 s",
                "1.2 s",
                "59.9 s",
                "1 min 0 s",
                "2 min 5 s",
                "59 min 59 s",
                "1 h 0 min",
            ]
        );
    }

    #[test]
    fn percentages_are_short() {
        let shares = [0.0, 0.0001, 0.004, 0.125, 0.9999, 1.0, f64::NAN];
        assert_eq!(shares.map(percent), ["0%", "<0.1%", "0.4%", "12.5%", "99.9%", "100%", "0%"]);
    }
}
