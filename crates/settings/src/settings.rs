//! Settings as they hold for a run: what decides among several places, and what a verb takes.

use lancekeeper_model::OptimizeOptions;

use std::time::Duration;

use crate::error::SettingError;
use crate::kind::Value;
use crate::schema::{Key, SETTINGS, Section, Unset, find};
use crate::source::Source;

/// One setting, said in one place.
#[derive(Debug, Clone, PartialEq)]
pub struct Given {
    /// Which.
    pub key: Key,
    /// What it is set to.
    pub value: Value,
    /// Where.
    pub source: Source,
}

/// What is said in each of the places where settings are said. Of two values of one setting in
/// the same place the last one counts.
#[derive(Debug, Clone, Copy, Default)]
pub struct Said<'a> {
    /// In a file, which everything else beats.
    pub file: &'a [Given],
    /// By variables of the environment.
    pub environment: &'a [Given],
    /// On the command line, which beats everything else.
    pub command_line: &'a [Given],
}

/// What holds of one setting.
#[derive(Debug, Clone, PartialEq)]
pub struct Resolved {
    /// `None` means no limit.
    pub value: Option<Value>,
    /// Who decided.
    pub source: Source,
}

/// All settings of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    resolved: Vec<Resolved>,
}

/// What a run does, which decides whose sizes hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// `optimize`, its previews included.
    Optimize,
    /// Other work that writes, its previews included.
    Bulk,
    /// Work that looks and counts.
    Query,
    /// No work: settings are only shown, and so may differ.
    Nothing,
}

/// What the process as a whole is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunSettings {
    /// Of indexes.
    pub index_cache_bytes: u64,
    /// Of manifests and footers.
    pub metadata_cache_bytes: u64,
    /// For all rewrites together.
    pub memory_bytes: u64,
    /// Tables at the same time.
    pub concurrency: u64,
    /// How far the process steps back for others, from 0 to 19; 0 for work that looks and counts.
    pub nice: u64,
    /// Whether what the caches did is logged.
    pub log_cache_stats: bool,
}

/// Reads `SECTION.NAME=VALUE`.
///
/// # Errors
///
/// [`SettingError`] when it has another form, names no setting, or the value makes no sense.
pub fn read_assignment(flag: &str, text: &str) -> Result<Given, SettingError> {
    let source = Source::Flag(flag.to_owned());
    let Some((name, value)) = text.split_once('=') else {
        return Err(SettingError::Assignment { place: source, text: text.to_owned() });
    };
    let name = name.trim();
    let key = name.split_once('.').and_then(|(section, name)| find(section, name));
    let Some(key) = key else {
        return Err(SettingError::Unknown { place: source, name: name.to_owned() });
    };
    match key.setting().kind.read(value) {
        Ok(value) => Ok(Given { key, value, source }),
        Err(refused) => Err(SettingError::Value { place: source, key, refused }),
    }
}

impl Default for Settings {
    /// What holds where nobody says anything.
    fn default() -> Self {
        Self::resolve(Said::default())
    }
}

impl Settings {
    /// What holds, if this was said.
    #[must_use]
    pub fn resolve(said: Said<'_>) -> Self {
        // From the place that everything beats to the one that beats everything.
        let rising = [said.file, said.environment, said.command_line].into_iter().flatten();
        let mut last: [Option<Resolved>; SETTINGS.len()] = [const { None }; SETTINGS.len()];
        for Given { key, value, source } in rising {
            last[*key as usize] = Some(Resolved { value: Some(*value), source: source.clone() });
        }
        let mut resolved: Vec<Resolved> = Vec::with_capacity(SETTINGS.len());
        for (setting, said) in SETTINGS.iter().zip(last) {
            resolved.push(said.unwrap_or_else(|| match setting.default {
                Unset::Value(value) => Resolved { value: Some(value), source: Source::Default },
                Unset::Without(_) => Resolved { value: None, source: Source::Default },
                // What a setting falls back to stands before it: a test of the table says so.
                Unset::As(key) => Resolved {
                    value: resolved.get(key as usize).and_then(|other| other.value),
                    source: Source::As(key),
                },
            }));
        }
        Self { resolved }
    }

    /// What holds of a setting.
    #[must_use]
    pub fn get(&self, key: Key) -> &Resolved {
        &self.resolved[key as usize]
    }

    /// What the process as a whole is given for some kind of work.
    #[must_use]
    pub fn for_work(&self, work: Work) -> RunSettings {
        let (index, metadata, concurrency) = match work {
            Work::Optimize | Work::Bulk => {
                (Key::BulkIndexCache, Key::BulkMetadataCache, Key::BulkConcurrency)
            }
            Work::Query | Work::Nothing => {
                (Key::QueryIndexCache, Key::QueryMetadataCache, Key::QueryConcurrency)
            }
        };
        RunSettings {
            index_cache_bytes: self.number(index) << 20,
            metadata_cache_bytes: self.number(metadata) << 20,
            memory_bytes: self.number(Key::BulkMemoryLimit),
            concurrency: self.number(concurrency),
            nice: match work {
                Work::Optimize | Work::Bulk => self.number(Key::BulkNice),
                Work::Query | Work::Nothing => 0,
            },
            log_cache_stats: self.get(Key::DatabaseLogCacheStats).value
                == Some(Value::Switch(true)),
        }
    }

    /// Options of `optimize` as these settings have them; what is no setting has its default.
    #[must_use]
    pub fn optimize_options(&self) -> OptimizeOptions {
        let limit = |key| match self.get(key).value {
            Some(Value::Number(number)) => Some(number),
            _ => None,
        };
        let mut options = OptimizeOptions {
            target_rows: self.number(Key::OptimizeTargetRows),
            target_bytes: self.number(Key::OptimizeTargetBytes),
            min_fragments: limit(Key::OptimizeMinFragments),
            max_bytes: limit(Key::OptimizeMaxBytes),
            max_time: limit(Key::OptimizeMaxTime).map(Duration::from_secs),
            ..OptimizeOptions::default()
        };
        if let Some(Value::Share(share)) = self.get(Key::OptimizeDeletionThreshold).value {
            options.deletion_threshold = share;
        }
        options
    }

    /// The number that a setting of numbers has.
    fn number(&self, key: Key) -> u64 {
        match (self.get(key).value, key.setting().default) {
            (Some(Value::Number(number)), _) | (_, Unset::Value(Value::Number(number))) => number,
            _ => unreachable!("{key} is no number, or has no default"),
        }
    }

    /// The settings of a run over several roots: those that each root's own places make, which
    /// must be the same as far as the run takes them. Where there is no root, `otherwise`.
    ///
    /// # Errors
    ///
    /// [`SettingError::Disagree`] names the first setting about which two roots differ.
    pub fn common(
        work: Work,
        roots: &[(String, Self)],
        otherwise: Self,
    ) -> Result<Self, SettingError> {
        let Some(((first_root, first), rest)) = roots.split_first() else { return Ok(otherwise) };
        for setting in SETTINGS.iter().filter(|setting| work.takes(setting.key)) {
            let key = setting.key;
            for (root, settings) in rest {
                if settings.get(key).value != first.get(key).value {
                    return Err(SettingError::Disagree {
                        key,
                        first: (first.said(key), first_root.clone()),
                        second: (settings.said(key), root.clone()),
                    });
                }
            }
        }
        Ok(first.clone())
    }

    /// A value with where it comes from.
    fn said(&self, key: Key) -> String {
        format!("{} ({})", self.value_text(key), self.origin(key))
    }

    /// Who decided, where one setting stands in for another the other one's place.
    fn origin(&self, key: Key) -> &Source {
        match &self.get(key).source {
            Source::As(other) => self.origin(*other),
            source => source,
        }
    }

    /// The value of a setting as people read and type it.
    #[must_use]
    pub fn value_text(&self, key: Key) -> String {
        let setting = key.setting();
        match (self.get(key).value, setting.default) {
            (Some(value), _) => setting.kind.show(value),
            (None, Unset::Without(words)) => words.to_owned(),
            (None, _) => String::new(),
        }
    }
}

impl Work {
    /// Whether a run of this kind goes by a setting. The sizes in `[database]` are gone by
    /// through those of the kind of work.
    fn takes(self, key: Key) -> bool {
        match key.setting().section {
            _ if self == Self::Nothing => false,
            Section::Database => key == Key::DatabaseLogCacheStats,
            Section::Bulk => matches!(self, Self::Optimize | Self::Bulk),
            Section::Query => self == Self::Query,
            Section::Optimize => self == Self::Optimize,
        }
    }
}

#[cfg(test)]
mod tests;
