//! What `config` shows, for people. Names, values and places can be copied: nothing is cut.

use lancekeeper_model::RootReport;

use super::root_label;
use crate::output::style::{Tone, paint, visible};
use crate::output::terminal::Screen;
use crate::output::view::View;
use crate::settings::{ConfigBody, SettingRow};

impl View for ConfigBody {
    fn is_shown(root: &RootReport<Self>) -> bool {
        !root.settings.is_empty()
    }

    fn root_text(root: &RootReport<Self>, _dry_run: bool, screen: Screen) -> String {
        let of = match root.uri.as_str() {
            "" => "settings without a root".to_owned(),
            uri => format!("settings of {}", root_label(None, uri)),
        };
        let file =
            root.file.as_ref().map_or_else(|| "no file".to_owned(), |file| format!("file {file}"));
        let heading = visible(&format!("{of} · {file}"));
        let mut text = format!("{}\n", paint(&heading, Tone::Strong, screen.colour));
        let width = |of: fn(&SettingRow) -> &str| {
            root.settings.iter().map(|row| of(row).chars().count()).max().unwrap_or(0)
        };
        let (names, values) = (width(|row| &row.name), width(|row| &row.text));
        for row in &root.settings {
            let tone = if row.source == "default" { Tone::Dim } else { Tone::Plain };
            let relation = if row.source == "setting" { "as " } else { "" };
            let from = format!("{relation}{}", visible(&row.from));
            let from = paint(&from, tone, screen.colour);
            text += &format!("  {:<names$}  {:<values$}  {from}\n", row.name, row.text);
        }
        text
    }
}
