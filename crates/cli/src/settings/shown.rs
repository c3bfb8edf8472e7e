//! Settings as `config` reports them. How that reads is in `output`.

use lancekeeper_model::{RootOutcome, RootReport, VerbBody};
use lancekeeper_settings::{Key, SETTINGS, Settings, Source, Value};
use serde::Serialize;

use super::RootSettings;

/// The settings of a root.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct ConfigBody {
    /// The file that was read for it.
    pub(crate) file: Option<String>,
    /// One row per setting.
    pub(crate) settings: Vec<SettingRow>,
}

/// A setting. The fields are those of `--json`.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct SettingRow {
    /// With its section.
    pub(crate) name: String,
    /// Numbers are MiB where the name says so, bytes, seconds, or things; null is no limit.
    pub(crate) value: serde_json::Value,
    /// The same as people read and type it.
    pub(crate) text: String,
    /// `default`, `setting` (another one), `file`, `variable` or `flag`.
    pub(crate) source: &'static str,
    /// The setting, `FILE:LINE`, variable or option that decided.
    pub(crate) from: String,
    /// The variable that would set it.
    pub(crate) variable: String,
    /// The option that would set it, besides `--set`.
    pub(crate) flag: Option<&'static str>,
}

/// How much was shown.
#[derive(Debug, Default, Serialize)]
pub(crate) struct ConfigTotals {
    roots: usize,
}

impl ConfigBody {
    /// All settings of a root.
    pub(crate) fn of(root: &RootSettings) -> Self {
        let rows = SETTINGS.iter().map(|setting| row(setting.key, &root.settings));
        Self { file: root.file.clone(), settings: rows.collect() }
    }
}

impl VerbBody for ConfigBody {
    type Totals = ConfigTotals;

    fn add(root: &RootReport<Self>, totals: &mut ConfigTotals) {
        totals.roots += usize::from(!root.uri.is_empty());
    }

    fn outcome(root: &RootReport<Self>) -> RootOutcome {
        RootOutcome { error: root.error_kind, failed: 0, blocked: 0, tables: 0 }
    }
}

fn row(key: Key, settings: &Settings) -> SettingRow {
    let resolved = settings.get(key);
    let source = match &resolved.source {
        Source::Default => "default",
        Source::As(_) => "setting",
        Source::File { .. } => "file",
        Source::Variable(_) => "variable",
        Source::Flag(_) => "flag",
    };
    SettingRow {
        name: key.to_string(),
        value: match resolved.value {
            None => serde_json::Value::Null,
            Some(Value::Switch(on)) => on.into(),
            Some(Value::Number(number)) => number.into(),
            Some(Value::Share(share)) => share.into(),
        },
        text: settings.value_text(key),
        source,
        from: match &resolved.source {
            Source::As(other) => other.to_string(),
            source => source.to_string(),
        },
        variable: key.setting().variable(),
        flag: key.setting().flag,
    }
}
