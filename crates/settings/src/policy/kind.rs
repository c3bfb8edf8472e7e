//! What the value of an option of a policy may be, and how it is read from a literal.

use lancekeeper_model::{PolicyValue, QuietTimes};

use crate::kind::Refused;
use crate::values;

/// A value as somebody wrote it, in SQL or in a file, before its meaning is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Literal<'a> {
    /// `true` or `false`.
    Switch(bool),
    /// A number, in decimal digits as it was written.
    Number(&'a str),
    /// Text in quotation marks, without them.
    Text(&'a str),
    /// Something else: what to call it, such as "a list".
    Other(&'a str),
}

/// What the value of an option is, with its range.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum PolicyKind {
    /// Yes or no.
    Switch,
    /// A number without a unit of its own: the unit is in the name.
    Count {
        /// The least.
        least: u64,
        /// The most.
        most: u64,
    },
    /// More than 0, at most 1.
    Share,
    /// More than 1: a number of fragments on average.
    Depth,
    /// A size with its unit, or bytes.
    Bytes {
        /// The least.
        least: u64,
    },
    /// A time with its unit, or seconds.
    Seconds {
        /// The most.
        most: u64,
    },
    /// From -10 to 10.
    Priority,
    /// Times of the week.
    Times,
}

/// The highest priority, and the opposite of the lowest.
const PRIORITY_MOST: i64 = 10;
/// A depth of more is one that no table has: its manifest would not fit into memory.
const DEPTH_MOST: f64 = 1e6;

impl PolicyKind {
    /// Reads a value.
    ///
    /// # Errors
    ///
    /// Why an option of this kind cannot have it.
    pub fn read(self, literal: Literal<'_>) -> Result<PolicyValue, Refused> {
        match (self, literal) {
            (Self::Switch, Literal::Switch(on)) => Ok(PolicyValue::Switch(on)),
            (Self::Count { least, most }, Literal::Number(text)) => {
                self.count(text, least, most).map(PolicyValue::Count)
            }
            (Self::Share, Literal::Number(text)) => self.share(text),
            (Self::Share, Literal::Text(text)) if text.trim().ends_with('%') => self.share(text),
            (Self::Depth, Literal::Number(text)) => self.depth(text),
            (Self::Bytes { least }, Literal::Number(text) | Literal::Text(text)) => {
                self.bytes(text, least)
            }
            (Self::Seconds { most }, Literal::Number(text) | Literal::Text(text)) => {
                self.seconds(text, most)
            }
            (Self::Priority, Literal::Number(text)) => self.priority(text),
            (Self::Times, Literal::Text(text)) => match text.parse::<QuietTimes>() {
                Ok(times) => Ok(PolicyValue::Times(times)),
                Err(error) => Err(refused(error.to_string())),
            },
            (_, other) => Err(self.unexpected(other)),
        }
    }

    fn count(self, text: &str, least: u64, most: u64) -> Result<u64, Refused> {
        let text = text.replace('_', "");
        let Ok(number) = text.parse::<u64>() else {
            return Err(match text.parse::<f64>() {
                Ok(number) if number < 0.0 => {
                    refused(format!("must be at least {least}, not {text}"))
                }
                Ok(number) if number > most as f64 => refused(format!("must be at most {most}")),
                _ => self.unexpected(Literal::Number(&text)),
            });
        };
        if number < least {
            Err(refused(format!("must be at least {least}, not {number}")))
        } else if number > most {
            Err(refused(format!("must be at most {most}")))
        } else {
            Ok(number)
        }
    }

    fn share(self, text: &str) -> Result<PolicyValue, Refused> {
        match values::share(text) {
            Ok(share) if share > 0.0 => Ok(PolicyValue::Real(share)),
            Ok(_) => Err(refused(
                "must be more than 0: at 0 every deleted row would be a reason for a rewrite",
            )),
            Err(why) if why.starts_with("expected") => Err(self.unexpected(Literal::Number(text))),
            Err(why) => Err(refused(why)),
        }
    }

    fn depth(self, text: &str) -> Result<PolicyValue, Refused> {
        match text.parse::<f64>() {
            Ok(depth) if depth > 1.0 && depth <= DEPTH_MOST => Ok(PolicyValue::Real(depth)),
            Ok(depth) if depth <= 1.0 => Err(refused(
                "must be more than 1: 1 is perfect order, so rows would be laid out for ever",
            )),
            Ok(_) => Err(refused(format!("must be at most {DEPTH_MOST}"))),
            Err(_) => Err(self.unexpected(Literal::Number(text))),
        }
    }

    fn bytes(self, text: &str, least: u64) -> Result<PolicyValue, Refused> {
        match values::size(text) {
            Ok(bytes) if bytes >= least => Ok(PolicyValue::Count(bytes)),
            Ok(_) => Err(refused(format!(
                "must be at least {}",
                crate::kind::Kind::Size.show(crate::Value::Number(least))
            ))),
            Err(why) if why.starts_with("expected") => Err(self.unexpected(Literal::Text(text))),
            Err(why) => Err(refused(why)),
        }
    }

    fn seconds(self, text: &str, most: u64) -> Result<PolicyValue, Refused> {
        match values::duration(text) {
            Ok(time) if time.as_secs() <= most => Ok(PolicyValue::Count(time.as_secs())),
            Ok(_) => Err(refused(format!("must be at most {most} seconds"))),
            Err(why) if why.starts_with("expected") => Err(self.unexpected(Literal::Text(text))),
            Err(why) => Err(refused(why)),
        }
    }

    fn priority(self, text: &str) -> Result<PolicyValue, Refused> {
        match text.parse::<i64>() {
            Ok(rank) if rank.abs() <= PRIORITY_MOST => Ok(PolicyValue::Rank(rank)),
            _ => Err(self.unexpected(Literal::Number(text))),
        }
    }

    /// What a value of this kind looks like.
    #[must_use]
    pub fn expected(self) -> String {
        match self {
            Self::Switch => "true or false".to_owned(),
            Self::Count { least, most } => format!("a whole number from {least} to {most}"),
            Self::Share => "a share above 0 and up to 1, like 0.1 or '10%'".to_owned(),
            Self::Depth => "a number above 1, like 4".to_owned(),
            Self::Bytes { .. } => "a size like '512MiB', '1GB' or 1048576".to_owned(),
            Self::Seconds { .. } => "a time like '1h30m' or 90 (seconds)".to_owned(),
            Self::Priority => format!("a whole number from -{PRIORITY_MOST} to {PRIORITY_MOST}"),
            Self::Times => "times like 'Mon-Fri 08:00-18:00'".to_owned(),
        }
    }

    /// What its values are and their range, as the table of options has it.
    #[must_use]
    pub fn range(self) -> String {
        match self {
            Self::Switch => "true, false".to_owned(),
            Self::Count { least, most } => format!("{least} to {most}"),
            Self::Share => "above 0, up to 1 (or percent)".to_owned(),
            Self::Depth => "above 1".to_owned(),
            Self::Bytes { least } => {
                format!(
                    "a size of at least {}",
                    crate::kind::Kind::Size.show(crate::Value::Number(least))
                )
            }
            Self::Seconds { most } => format!("a time, or 1 to {most} seconds"),
            Self::Priority => format!("-{PRIORITY_MOST} to {PRIORITY_MOST}"),
            Self::Times => "times of the week, in UTC".to_owned(),
        }
    }

    fn unexpected(self, found: Literal<'_>) -> Refused {
        let found = match found {
            Literal::Switch(on) => format!("the word {on}"),
            Literal::Number(text) => format!("the number {text}"),
            Literal::Text(text) => format!("the text \"{text}\""),
            Literal::Other(what) => what.to_owned(),
        };
        refused(format!("expected {}, found {found}", self.expected()))
    }
}

fn refused(why: impl Into<String>) -> Refused {
    Refused { why: why.into(), hint: None }
}
