//! What the value of a setting is, and how it is read from a line of a file or from text.

use std::fmt::Write;
use std::time::Duration;

use toml::de::{DeInteger, DeValue};

use crate::values;

/// A cache of more is a slip of the pen: 16 TiB.
const MEBIBYTES_MAX: u64 = 16 << 20;

/// No system knows a lower priority.
const NICENESS_MAX: u64 = 19;

/// What the value of a setting is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Yes or no.
    Switch,
    /// The size of a cache in MiB, as a plain number; the unit is in the name of the setting.
    Mebibytes,
    /// A number of things, at least 1.
    Count,
    /// A size with its unit.
    Size,
    /// A share of a whole.
    Share,
    /// A length of time.
    Time,
    /// How far a process steps back, as `nice` counts it: 0 is not at all, 19 as far as it goes.
    Niceness,
}

/// The value of a setting. Its kind says what a number counts: MiB, things, bytes or seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value {
    /// Yes or no.
    Switch(bool),
    /// A number.
    Number(u64),
    /// From 0 to 1.
    Share(f64),
}

/// A value that a setting cannot have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Why not, with what is expected.
    pub why: String,
    /// What to do instead, where that is not said by what is expected.
    pub hint: Option<&'static str>,
}

impl Refused {
    fn new(why: impl Into<String>) -> Self {
        Self { why: why.into(), hint: None }
    }
}

impl Kind {
    /// Reads what a person typed, or put into a variable.
    ///
    /// # Errors
    ///
    /// Why a setting of this kind cannot have that value.
    pub fn read(self, text: &str) -> Result<Value, Refused> {
        let text = text.trim();
        let value = match self {
            Self::Switch => match text {
                "true" => Ok(Value::Switch(true)),
                "false" => Ok(Value::Switch(false)),
                _ => Err(self.expected()),
            },
            Self::Mebibytes => match text.replace('_', "").parse() {
                Ok(mebibytes) => return cache_size(mebibytes),
                Err(_) => Err(self.expected()),
            },
            Self::Niceness => match text.parse() {
                Ok(steps) if steps <= NICENESS_MAX => return Ok(Value::Number(steps)),
                _ => Err(self.expected()),
            },
            Self::Count => values::rows(text).map(Value::Number),
            Self::Size => values::size(text).map(Value::Number),
            Self::Share => values::share(text).map(Value::Share),
            Self::Time => values::duration(text).map(|time| Value::Number(time.as_secs())),
        };
        value.map_err(|why| Refused::new(spelled(why, text)))
    }

    /// Reads a value of a file.
    pub(crate) fn read_toml(self, value: &DeValue<'_>) -> Result<Value, Refused> {
        match (self, value) {
            (Self::Switch, DeValue::Boolean(on)) => Ok(Value::Switch(*on)),
            (
                Self::Mebibytes
                | Self::Count
                | Self::Size
                | Self::Share
                | Self::Time
                | Self::Niceness,
                DeValue::Integer(number),
            ) => self.read(&decimal(number)),
            (Self::Share, DeValue::Float(number)) => self.read(number.as_str()),
            (Self::Size | Self::Share | Self::Time, DeValue::String(text)) => self.read(text),
            (_, other) => {
                let found = match other {
                    DeValue::String(text) => format!("the text \"{text}\""),
                    DeValue::Integer(number) => format!("the number {number}"),
                    DeValue::Float(number) => format!("the number {}", number.as_str()),
                    DeValue::Boolean(on) => format!("the word {on}"),
                    DeValue::Datetime(_) => "a date".to_owned(),
                    DeValue::Array(_) => "a list".to_owned(),
                    DeValue::Table(_) => "a table".to_owned(),
                };
                Err(Refused::new(format!("{}, found {found}", self.expected())))
            }
        }
    }

    /// What a value of this kind looks like.
    fn expected(self) -> String {
        let expected = match self {
            Self::Switch => "true or false",
            Self::Mebibytes => "a whole number of MiB, such as 256",
            Self::Count => "a whole number, at least 1",
            Self::Size => "a size like \"512MiB\", \"1GB\" or 1048576",
            Self::Share => "a share like 0.1 or \"10%\"",
            Self::Time => "a time like \"1h30m\" or 90 (seconds)",
            Self::Niceness => "a whole number from 0 to 19",
        };
        format!("expected {expected}")
    }

    /// A value as it can be typed.
    #[must_use]
    pub fn show(self, value: Value) -> String {
        match (self, value) {
            (_, Value::Switch(on)) => on.to_string(),
            (_, Value::Share(share)) => share.to_string(),
            (Self::Size, Value::Number(bytes)) => size(bytes),
            (Self::Time, Value::Number(seconds)) => time(Duration::from_secs(seconds)),
            (_, Value::Number(number)) => number.to_string(),
        }
    }
}

fn cache_size(mebibytes: u64) -> Result<Value, Refused> {
    match mebibytes {
        0 => Err(Refused {
            why: "0 would switch the cache off, and every look at a table would read the same \
                  manifests and parts of indexes from the store again"
                .to_owned(),
            hint: Some(
                "set a small cache, such as 16, or leave the setting out to have its default",
            ),
        }),
        1..=MEBIBYTES_MAX => Ok(Value::Number(mebibytes)),
        _ => Err(Refused::new(format!("too large, {MEBIBYTES_MAX} at most"))),
    }
}

/// A reason with what was found, where it says what is expected.
fn spelled(why: String, text: &str) -> String {
    if why.starts_with("expected") { format!("{why}, found \"{text}\"") } else { why }
}

/// A whole number in decimal digits, however it was written. One that no number holds stays as
/// it is, and is then refused as such.
pub(crate) fn decimal(number: &DeInteger<'_>) -> String {
    i128::from_str_radix(number.as_str(), number.radix())
        .map_or_else(|_| number.to_string(), |number| number.to_string())
}

/// Bytes in the largest unit that has no remainder.
fn size(bytes: u64) -> String {
    const UNITS: [(&str, u32); 4] = [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)];
    let whole = UNITS.iter().find(|(_, shift)| bytes > 0 && bytes.trailing_zeros() >= *shift);
    whole.map_or_else(|| bytes.to_string(), |(unit, shift)| format!("{}{unit}", bytes >> shift))
}

fn time(time: Duration) -> String {
    let mut seconds = time.as_secs();
    let mut text = String::new();
    for (unit, length) in [("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)] {
        if seconds >= length {
            // Writing to a string cannot fail.
            let _ = write!(text, "{}{unit}", seconds / length);
            seconds %= length;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_can_be_typed() {
        for (kind, shown) in [
            (Kind::Switch, "true"),
            (Kind::Mebibytes, "256"),
            (Kind::Count, "1048576"),
            (Kind::Size, "512MiB"),
            (Kind::Size, "3GiB"),
            (Kind::Size, "1000001"),
            (Kind::Share, "0.1"),
            (Kind::Time, "1h30m"),
            (Kind::Time, "2d5s"),
            (Kind::Niceness, "0"),
            (Kind::Niceness, "19"),
        ] {
            assert_eq!(kind.show(kind.read(shown).unwrap()), shown);
        }
    }

    #[test]
    fn a_priority_that_no_system_knows_is_refused() {
        for text in ["20", "-1", "low", ""] {
            let why = Kind::Niceness.read(text).unwrap_err().why;
            assert!(why.starts_with("expected a whole number from 0 to 19"), "{why}");
        }
    }

    #[test]
    fn no_cache_is_refused_with_the_reason_and_what_to_set() {
        let refused = Kind::Mebibytes.read("0").unwrap_err();
        assert!(refused.why.contains("every look at a table"), "{refused:?}");
        assert!(refused.hint.unwrap().contains("such as 16"), "{refused:?}");
        assert_eq!(
            Kind::Mebibytes.read("99999999").unwrap_err().why,
            "too large, 16777216 at most"
        );
        for kind in [Kind::Count, Kind::Size, Kind::Time] {
            assert!(kind.read("0").unwrap_err().why.starts_with("must be at least 1"), "{kind:?}");
        }
    }
}
