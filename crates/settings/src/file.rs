//! A file of settings: its text to values, each with its line. Everything that is wrong with it
//! is told at once.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::error::SettingError;
use crate::schema::{Section, find};
use crate::settings::Given;
use crate::source::Source;

/// The name of the file that is looked for beside a root.
pub const FILE_NAME: &str = "lancekeeper.toml";

/// Reads the text of a file that is called so in messages.
///
/// # Errors
///
/// Everything that is wrong with it, in the order of its lines.
pub fn read_file(path: &str, text: &str) -> Result<Vec<Given>, Vec<SettingError>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let place = |at: usize| Source::File { path: path.to_owned(), line: line_of(text, at) };
    let (document, troubles) = DeTable::parse_recoverable(text);
    if !troubles.is_empty() {
        let syntax = troubles.iter().map(|trouble| SettingError::Syntax {
            place: place(trouble.span().map_or(0, |span| span.start)),
            why: trouble.message().replace('\n', ", "),
        });
        return Err(syntax.collect());
    }
    let mut given: Vec<(usize, Result<Given, SettingError>)> = Vec::new();
    for (section, entries) in document.get_ref() {
        read_section(section, entries, &place, &mut given);
    }
    // The parser sorts by name.
    given.sort_by_key(|(at, _)| *at);
    let (values, errors): (Vec<_>, Vec<_>) =
        given.into_iter().map(|(_, result)| result).partition(Result::is_ok);
    let errors: Vec<SettingError> = errors.into_iter().filter_map(Result::err).collect();
    if errors.is_empty() {
        Ok(values.into_iter().filter_map(Result::ok).collect())
    } else {
        Err(errors)
    }
}

type Named<'i> = Spanned<std::borrow::Cow<'i, str>>;

fn read_section(
    section: &Named<'_>,
    entries: &Spanned<DeValue<'_>>,
    place: &impl Fn(usize) -> Source,
    given: &mut Vec<(usize, Result<Given, SettingError>)>,
) {
    let at = section.span().start;
    let known = Section::ALL.iter().find(|known| known.name() == section.get_ref());
    let DeValue::Table(entries) = entries.get_ref() else {
        let error = match known {
            Some(known) => SettingError::NotASection { place: place(at), section: known.name() },
            None => SettingError::Unknown { place: place(at), name: section.get_ref().to_string() },
        };
        return given.push((at, Err(error)));
    };
    if known.is_none() && entries.is_empty() {
        let name = section.get_ref().to_string();
        return given.push((at, Err(SettingError::Unknown { place: place(at), name })));
    }
    for (name, value) in entries {
        let at = name.span().start;
        let place = place(at);
        let result = match find(section.get_ref(), name.get_ref()) {
            None => {
                let name = format!("{}.{}", section.get_ref(), name.get_ref());
                Err(SettingError::Unknown { place, name })
            }
            Some(key) => match key.setting().kind.read_toml(value.get_ref()) {
                Ok(value) => Ok(Given { key, value, source: place }),
                Err(refused) => Err(SettingError::Value { place, key, refused }),
            },
        };
        given.push((at, result));
    }
}

/// The line of a byte of a text, from 1.
pub(crate) fn line_of(text: &str, at: usize) -> usize {
    let before = &text.as_bytes()[..at.min(text.len())];
    1 + before.iter().filter(|byte| **byte == b'\n').count()
}

#[cfg(test)]
mod tests;
