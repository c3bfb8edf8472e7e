//! Quiet times: parts of the week in which nothing is begun, as people write them. Always in UTC, because a watcher
//! and the people who write its policies need not live in one place.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Datelike, TimeDelta, Timelike, Utc};
use serde::{Deserialize, Serialize};

const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
const DAY_MINUTES: u16 = 24 * 60;
const WEEK_MINUTES: usize = 7 * DAY_MINUTES as usize;
/// More windows than this are a slip of the pen: seven days with some for each are far below.
const WINDOWS_MAX: usize = 64;

/// One window that comes back on some days of the week. It belongs to the day on which it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuietWindow {
    /// On which days it begins, from Monday.
    pub days: [bool; 7],
    /// The minute of the day at which it begins.
    pub from: u16,
    /// The minute of the day at which it ends; one that is not later than `from` is of the next day. 1440 is midnight.
    pub to: u16,
}

/// Parts of the week, in UTC. Written as `08:00-18:00`, `Mon-Fri 08:00-18:00`, `Sat,Sun 22:00-06:00`; several are kept
/// apart by semicolons. In documents it is that text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct QuietTimes(Vec<QuietWindow>);

/// Why a text names no quiet times.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum QuietError {
    /// Not of that form.
    #[error(
        "expected times like \"Mon-Fri 08:00-18:00\" or \"22:00-06:00; Sat 10:00-12:00\", found \"{0}\""
    )]
    Form(String),
    /// Not a day.
    #[error("\"{0}\" is no day of the week: Mon, Tue, Wed, Thu, Fri, Sat and Sun are")]
    Day(String),
    /// Not a time.
    #[error("\"{0}\" is no time of the day: 00:00 to 24:00 are")]
    Time(String),
    /// Nothing would ever be begun.
    #[error("these times leave no minute of the week in which anything could begin")]
    Everything,
    /// Too many.
    #[error("{0} windows are too many, {WINDOWS_MAX} at most")]
    TooMany(usize),
}

impl QuietTimes {
    /// The windows, as they were written.
    #[must_use]
    pub fn windows(&self) -> &[QuietWindow] {
        &self.0
    }

    /// When the quiet time ends that `now` lies in; `None` outside of quiet times. Windows that follow on each other
    /// are one.
    #[must_use]
    pub fn until(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let week = self.week();
        let today = now.weekday().num_days_from_monday() as usize;
        let minute = today * usize::from(DAY_MINUTES) + (now.hour() * 60 + now.minute()) as usize;
        if !week[minute] {
            return None;
        }
        let quiet = (1..=WEEK_MINUTES).find(|ahead| !week[(minute + ahead) % WEEK_MINUTES])?;
        let begun = now
            - TimeDelta::seconds(i64::from(now.second()))
            - TimeDelta::nanoseconds(i64::from(now.nanosecond()));
        begun.checked_add_signed(TimeDelta::minutes(i64::try_from(quiet).ok()?))
    }

    /// Minute by minute from Monday, whether it is quiet.
    fn week(&self) -> Vec<bool> {
        let mut week = vec![false; WEEK_MINUTES];
        for window in &self.0 {
            let (from, to) = (usize::from(window.from), usize::from(window.to));
            let length = if to > from { to - from } else { to + usize::from(DAY_MINUTES) - from };
            for day in (0..DAYS.len()).filter(|day| window.days[*day]) {
                let begin = day * usize::from(DAY_MINUTES) + from;
                (begin..begin + length).for_each(|minute| week[minute % WEEK_MINUTES] = true);
            }
        }
        week
    }
}

impl FromStr for QuietTimes {
    type Err = QuietError;

    fn from_str(text: &str) -> Result<Self, QuietError> {
        let parts: Vec<&str> =
            text.split(';').map(str::trim).filter(|part| !part.is_empty()).collect();
        if parts.is_empty() {
            return Err(QuietError::Form(text.to_owned()));
        }
        if parts.len() > WINDOWS_MAX {
            return Err(QuietError::TooMany(parts.len()));
        }
        let windows = parts.into_iter().map(window).collect::<Result<_, _>>()?;
        let times = Self(windows);
        if times.week().iter().all(|quiet| *quiet) {
            Err(QuietError::Everything)
        } else {
            Ok(times)
        }
    }
}

fn window(text: &str) -> Result<QuietWindow, QuietError> {
    let (days, hours) = match text.rsplit_once(char::is_whitespace) {
        Some((days, hours)) => (days_of(days.trim())?, hours),
        None => ([true; 7], text),
    };
    let (from, to) = hours.split_once('-').ok_or_else(|| QuietError::Form(text.to_owned()))?;
    let (from, to) = (minute_of(from)?, minute_of(to)?);
    if from == DAY_MINUTES {
        return Err(QuietError::Time(hours.to_owned()));
    }
    Ok(QuietWindow { days, from, to })
}

fn days_of(text: &str) -> Result<[bool; 7], QuietError> {
    let mut days = [false; 7];
    for part in text.split(',').map(str::trim) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (day(first)?, day(last)?);
        let count = (last + DAYS.len() - first) % DAYS.len();
        (0..=count).for_each(|step| days[(first + step) % DAYS.len()] = true);
    }
    Ok(days)
}

fn day(text: &str) -> Result<usize, QuietError> {
    let text = text.trim();
    let found = DAYS.iter().position(|day| day.eq_ignore_ascii_case(text));
    found.ok_or_else(|| QuietError::Day(text.to_owned()))
}

fn minute_of(text: &str) -> Result<u16, QuietError> {
    let wrong = || QuietError::Time(text.to_owned());
    let (hour, minute) = text.split_once(':').ok_or_else(wrong)?;
    let digits = |part: &str| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(hour) || !digits(minute) {
        return Err(wrong());
    }
    let (hour, minute): (u16, u16) =
        (hour.parse().map_err(|_| wrong())?, minute.parse().map_err(|_| wrong())?);
    let total = hour * 60 + minute;
    if minute < 60 && total <= DAY_MINUTES { Ok(total) } else { Err(wrong()) }
}

impl fmt::Display for QuietTimes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, window) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str("; ")?;
            }
            window.fmt(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for QuietWindow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.days != [true; 7] {
            let names = DAYS.iter().zip(self.days).filter(|(_, on)| *on).map(|(name, _)| *name);
            write!(f, "{} ", names.collect::<Vec<_>>().join(","))?;
        }
        let time = |minute: u16| format!("{:02}:{:02}", minute / 60, minute % 60);
        write!(f, "{}-{}", time(self.from), time(self.to))
    }
}

impl TryFrom<String> for QuietTimes {
    type Error = QuietError;

    fn try_from(text: String) -> Result<Self, QuietError> {
        text.parse()
    }
}

impl From<QuietTimes> for String {
    fn from(times: QuietTimes) -> Self {
        times.to_string()
    }
}
