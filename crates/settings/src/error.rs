//! What can be wrong with settings, each with its place and with what to do.

use lancekeeper_model::ErrorKind;
use thiserror::Error;

use crate::kind::Refused;
use crate::schema::{Key, SETTINGS, Section};
use crate::source::Source;
use lancekeeper_model::nearest;

/// What decides over deletions, and so is no setting. Named to whoever tries.
const DELETION_OPTIONS: [&str; 11] = [
    "keep",
    "keep_versions",
    "older_than",
    "keep_last",
    "keep_within",
    "confirm",
    "yes",
    "writer_window",
    "min_age",
    "min_fork_age",
    "max_delete_percent",
];

/// Something is wrong with a setting, or with the file it should be in.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SettingError {
    /// A file is not TOML.
    #[error("{place}: {why}")]
    Syntax {
        /// Where.
        place: Source,
        /// What the parser says.
        why: String,
    },
    /// There is no setting or section of that name.
    #[error("{place}: unknown setting {name}")]
    Unknown {
        /// Where.
        place: Source,
        /// As it was written, with its section.
        name: String,
    },
    /// A section has a value.
    #[error("{place}: {section} is a section, not a setting")]
    NotASection {
        /// Where.
        place: Source,
        /// Its name.
        section: &'static str,
    },
    /// A setting cannot have that value.
    #[error("{place}: {key}: {}", refused.why)]
    Value {
        /// Where.
        place: Source,
        /// Which.
        key: Key,
        /// Why not.
        refused: Refused,
    },
    /// Something on the command line sets nothing.
    #[error("{place}: expected SECTION.NAME=VALUE, found \"{text}\"")]
    Assignment {
        /// Where.
        place: Source,
        /// As it was typed.
        text: String,
    },
    /// The roots of one run want different values of a setting that the run can have once.
    #[error("{key} is {} for {} and {} for {}: one run has one value", first.0, first.1, second.0, second.1)]
    Disagree {
        /// Which.
        key: Key,
        /// A value with where it comes from, and the root that has it.
        first: (String, String),
        /// Another one.
        second: (String, String),
    },
}

impl SettingError {
    /// What a caller can do about it: a person has to change something.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        ErrorKind::Invalid
    }

    /// What a person can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Syntax { .. } => {
                Some("see docs/settings.md for what a file looks like".to_owned())
            }
            Self::Unknown { name, .. } => Some(hint_for_unknown(name)),
            Self::NotASection { section, .. } => {
                Some(format!("write a line [{section}] above its settings"))
            }
            Self::Value { refused, .. } => refused.hint.map(str::to_owned),
            Self::Assignment { .. } => {
                Some("an example: --set database.index_cache_mb=512".to_owned())
            }
            Self::Disagree { key, .. } => Some(format!(
                "work on these roots one after the other, or say it once for all: --set {key}=VALUE, or --config FILE"
            )),
        }
    }
}

/// The nearest name, or what there is instead.
fn hint_for_unknown(name: &str) -> String {
    let (section, own) = name.split_once('.').unwrap_or(("", name));
    if section == "cleanup" || DELETION_OPTIONS.contains(&own.replace('-', "_").as_str()) {
        return "cleanup has no settings: what it deletes is said on the command line alone"
            .to_owned();
    }
    let known = Section::ALL.iter().find(|known| known.name() == section);
    let of_section = SETTINGS.iter().filter(|setting| Some(&setting.section) == known);
    let of_section: Vec<&str> = of_section.map(|setting| setting.name).collect();
    if let Some(near) = nearest(own, of_section.iter().copied()) {
        return format!("did you mean {section}.{near}?");
    }
    // The right name in the wrong section, or in none.
    if let Some(setting) = SETTINGS.iter().find(|setting| setting.name == own) {
        return format!("did you mean {}?", setting.key);
    }
    let all: Vec<String> = SETTINGS.iter().map(|setting| setting.key.to_string()).collect();
    let sections = Section::ALL.iter().map(|known| known.name());
    let near = nearest(name, all.iter().map(String::as_str).chain(sections));
    match (near, of_section.as_slice()) {
        (Some(near), _) => format!("did you mean {near}?"),
        (None, []) => "the sections are database, bulk, query and optimize; lancekeeper config shows every setting".to_owned(),
        (None, of_section) => format!("[{section}] has {}", of_section.join(", ")),
    }
}
