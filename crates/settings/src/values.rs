//! Values of settings and options as people write them: sizes, shares, counts, durations. Each
//! error says what would do.

use std::time::Duration;

use chrono::TimeDelta;

/// A number of rows, at least 1.
///
/// # Errors
///
/// What is wrong, or what is expected.
pub fn rows(text: &str) -> Result<u64, String> {
    at_least_one(text)
}

/// A number of versions, at least 1.
///
/// # Errors
///
/// What is wrong, or what is expected.
pub fn versions(text: &str) -> Result<u32, String> {
    u32::try_from(at_least_one(text)?).map_err(|_| "too large".to_owned())
}

/// A number of fragments, at least 1.
///
/// # Errors
///
/// What is wrong, or what is expected.
pub fn fragments(text: &str) -> Result<u64, String> {
    at_least_one(text)
}

/// How many at the same time, at least 1.
///
/// # Errors
///
/// What is wrong, or what is expected.
pub fn concurrency(text: &str) -> Result<usize, String> {
    usize::try_from(at_least_one(text)?).map_err(|_| "too large".to_owned())
}

/// A size in bytes, at least 1. As in coreutils, `K` and `KiB` are 1024, `KB` is 1000.
///
/// # Errors
///
/// What is wrong, or what is expected.
pub fn size(text: &str) -> Result<u64, String> {
    const EXPECTED: &str = "expected a size like 512MiB, 64M, 1GB or 1048576";
    let text = text.trim();
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let unit = unit.trim_start().to_ascii_lowercase();
    let scale: u64 = match unit.as_str() {
        "" | "b" => 1,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        "t" | "tib" => 1 << 40,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        _ => return Err(EXPECTED.to_owned()),
    };
    match scaled(number, scale) {
        Some(0) => Err("must be at least 1 byte".to_owned()),
        Some(bytes) => Ok(bytes),
        None if number.chars().any(|c| c.is_ascii_digit()) && number.matches('.').count() <= 1 => {
            Err("too large".to_owned())
        }
        None => Err(EXPECTED.to_owned()),
    }
}

/// A share from 0 to 1, also written in percent.
///
/// # Errors
///
/// What is wrong, or what is expected.
pub fn share(text: &str) -> Result<f64, String> {
    let text = text.trim();
    let (number, scale) = match text.strip_suffix('%') {
        Some(percent) => (percent.trim_end(), 100.0),
        None => (text, 1.0),
    };
    let value: f64 = number.parse().map_err(|_| "expected a share like 0.1 or 10%".to_owned())?;
    let share = value / scale;
    // Not a number is outside as well.
    if (0.0..=1.0).contains(&share) {
        Ok(share)
    } else {
        Err("must be from 0 to 1, or from 0% to 100%".to_owned())
    }
}

/// A time of at least a second: integers with `s`, `m`, `h`, `d` or `w`, one after the other;
/// a bare number is seconds.
///
/// # Errors
///
/// What is wrong, or what is expected.
pub fn duration(text: &str) -> Result<Duration, String> {
    match whole_seconds(text)? {
        0 => Err("must be at least 1 second".to_owned()),
        seconds => Ok(Duration::from_secs(seconds)),
    }
}

/// An age, written like a duration; 0 is one.
///
/// # Errors
///
/// What is wrong, or what is expected.
pub fn age(text: &str) -> Result<TimeDelta, String> {
    // A century: far enough, and safe to subtract from any date.
    const LONGEST: i64 = 100 * 366 * 86_400;
    let seconds = i64::try_from(whole_seconds(text)?).unwrap_or(i64::MAX);
    if seconds > LONGEST { Err("too long".to_owned()) } else { Ok(TimeDelta::seconds(seconds)) }
}

/// An age, as the established rule about versions has it.
///
/// # Errors
///
/// What is wrong, or what is expected.
pub fn unsigned_age(text: &str) -> Result<Duration, String> {
    age(text)?.to_std().map_err(|_| "too long".to_owned())
}

fn whole_seconds(text: &str) -> Result<u64, String> {
    const EXPECTED: &str = "expected a duration like 90, 45s, 30m, 1h30m, 2d or 1w";
    const TOO_LONG: &str = "too long";
    let text = text.trim();
    if !text.is_ascii() {
        return Err(EXPECTED.to_owned());
    }
    let seconds = |number: &str, scale: u64| -> Result<u64, String> {
        if number.is_empty() {
            return Err(EXPECTED.to_owned());
        }
        // All digits: only its size can be wrong.
        let number: u64 = number.parse().map_err(|_| TOO_LONG.to_owned())?;
        number.checked_mul(scale).ok_or_else(|| TOO_LONG.to_owned())
    };
    let mut total: u64 = 0;
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| !c.is_ascii_digit()) {
        let scale = match &rest[at..=at] {
            "s" => 1,
            "m" => 60,
            "h" => 3_600,
            "d" => 86_400,
            "w" => 604_800,
            _ => return Err(EXPECTED.to_owned()),
        };
        let part = seconds(&rest[..at], scale)?;
        total = total.checked_add(part).ok_or_else(|| TOO_LONG.to_owned())?;
        rest = rest[at + 1..].trim_start();
    }
    if rest.len() == text.len() {
        total = seconds(rest, 1)?;
    } else if !rest.is_empty() {
        // 1h30: of what?
        return Err(EXPECTED.to_owned());
    }
    Ok(total)
}

fn at_least_one(text: &str) -> Result<u64, String> {
    match text.replace('_', "").parse() {
        Ok(0) => Err("must be at least 1".to_owned()),
        Ok(number) => Ok(number),
        Err(_) => Err("expected a whole number, at least 1".to_owned()),
    }
}

/// `number × scale`, exact to the byte; a fraction of a byte is dropped.
fn scaled(number: &str, scale: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let scale = u128::from(scale);
    let mut bytes = match whole {
        "" if fraction.is_empty() => return None,
        "" => 0,
        digits => digits.parse::<u128>().ok()?.checked_mul(scale)?,
    };
    if !fraction.is_empty() {
        // More digits than this are below a byte for every unit, and 10^18 fits.
        let digits = &fraction[..fraction.len().min(18)];
        let tenths = 10_u128.pow(u32::try_from(digits.len()).ok()?);
        bytes = bytes.checked_add(digits.parse::<u128>().ok()? * scale / tenths)?;
    }
    u64::try_from(bytes).ok()
}

#[cfg(test)]
mod tests;
