//! A file of policies: `[defaults]`, and `[table."NAME"]` for single tables. Everything that is wrong with it is told
//! at once, in the order of its lines.

use std::borrow::Cow;
use std::collections::BTreeMap;

use lancekeeper_model::{Policy, PolicySource, SourcedPolicy};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::{OptionError, PolicyFileError};
use super::kind::Literal;
use super::options::{check_together, read_option};
use crate::file::line_of;
use crate::kind::decimal;
use crate::source::Source;

/// What a file says.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PolicyFile {
    /// What holds of every table.
    pub defaults: SourcedPolicy,
    /// What holds of single ones, by name.
    pub tables: BTreeMap<String, SourcedPolicy>,
}

impl PolicyFile {
    /// What holds of a table: what its own document says, else its section, else the defaults of the file.
    #[must_use]
    pub fn of_table(&self, name: &str, own: Option<&Policy>) -> SourcedPolicy {
        let own = own.map(|own| SourcedPolicy::of(own.clone(), &PolicySource::Table));
        let nothing = SourcedPolicy::default();
        let section = self.tables.get(name).unwrap_or(&nothing);
        own.unwrap_or_default().over(section).over(&self.defaults)
    }
}

type Named<'i> = Spanned<Cow<'i, str>>;

/// Reads the text of a file that is called so in messages.
///
/// # Errors
///
/// Everything that is wrong with it, in the order of its lines.
pub fn read_policy_file(path: &str, text: &str) -> Result<PolicyFile, Vec<PolicyFileError>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let (document, troubles) = DeTable::parse_recoverable(text);
    let mut reader = Reader { path, text, errors: Vec::new() };
    if !troubles.is_empty() {
        let syntax = troubles.iter().map(|trouble| PolicyFileError::Syntax {
            place: reader.place(trouble.span().map_or(0, |span| span.start)),
            why: trouble.message().replace('\n', ", "),
        });
        return Err(syntax.collect());
    }
    let mut file = PolicyFile::default();
    for (section, entries) in document.get_ref() {
        match section.get_ref().as_ref() {
            "defaults" => file.defaults = reader.policy(section, entries),
            "table" => file.tables = reader.tables(section, entries),
            _ => reader.unknown(section, entries),
        }
    }
    reader.check_merged(&file);
    let mut errors = reader.errors;
    if errors.is_empty() {
        return Ok(file);
    }
    // The parser sorts by name.
    errors.sort_by_key(|(at, _)| *at);
    Err(errors.into_iter().map(|(_, error)| error).collect())
}

struct Reader<'a> {
    path: &'a str,
    text: &'a str,
    /// Each with its place in the text.
    errors: Vec<(usize, PolicyFileError)>,
}

impl Reader<'_> {
    fn place(&self, at: usize) -> Source {
        Source::File { path: self.path.to_owned(), line: line_of(self.text, at) }
    }

    fn tables(
        &mut self,
        section: &Named<'_>,
        entries: &Spanned<DeValue<'_>>,
    ) -> BTreeMap<String, SourcedPolicy> {
        let DeValue::Table(tables) = entries.get_ref() else {
            self.not_a_section(section);
            return BTreeMap::new();
        };
        let policies = tables
            .iter()
            .map(|(name, entries)| (name.get_ref().to_string(), self.policy(name, entries)));
        policies.collect()
    }

    fn policy(&mut self, section: &Named<'_>, entries: &Spanned<DeValue<'_>>) -> SourcedPolicy {
        let mut policy = SourcedPolicy::default();
        let DeValue::Table(options) = entries.get_ref() else {
            self.not_a_section(section);
            return policy;
        };
        for (name, value) in options {
            let at = name.span().start;
            match read_toml(name.get_ref(), value.get_ref()) {
                Ok((option, value)) => {
                    let source = PolicySource::File {
                        path: self.path.to_owned(),
                        line: line_of(self.text, at),
                    };
                    // Of the option's kind, because it was read as that.
                    let _ = policy.set(option, value, source);
                }
                Err(error) => self.option(at, error),
            }
        }
        policy
    }

    fn option(&mut self, at: usize, error: OptionError) {
        self.errors.push((at, PolicyFileError::Option { place: self.place(at), error }));
    }

    fn not_a_section(&mut self, section: &Named<'_>) {
        let (at, name) = (section.span().start, section.get_ref().to_string());
        self.errors.push((at, PolicyFileError::NotASection { place: self.place(at), name }));
    }

    fn unknown(&mut self, section: &Named<'_>, entries: &Spanned<DeValue<'_>>) {
        if !matches!(entries.get_ref(), DeValue::Table(_)) {
            return self.not_a_section(section);
        }
        let (at, name) = (section.span().start, section.get_ref().to_string());
        self.errors.push((at, PolicyFileError::Section { place: self.place(at), name }));
    }

    /// What makes no sense in the end is said at the line of the option, wherever its other stands.
    fn check_merged(&mut self, file: &PolicyFile) {
        let mut all: Vec<SourcedPolicy> = vec![file.defaults.clone()];
        all.extend(file.tables.values().map(|table| table.clone().over(&file.defaults)));
        for merged in all {
            let Err(error) = check_together(merged.policy()) else { continue };
            let OptionError::Value { option, .. } = &error else { continue };
            let PolicySource::File { path, line } = merged.source(*option).clone() else {
                continue;
            };
            let place = Source::File { path, line };
            let at = self.text.split_inclusive('\n').take(line - 1).map(str::len).sum();
            let error = PolicyFileError::Option { place, error };
            if !self.errors.iter().any(|(_, known)| *known == error) {
                self.errors.push((at, error));
            }
        }
    }
}

fn read_toml(
    name: &str,
    value: &DeValue<'_>,
) -> Result<(lancekeeper_model::PolicyOption, lancekeeper_model::PolicyValue), OptionError> {
    match value {
        DeValue::Boolean(on) => read_option(name, Literal::Switch(*on)),
        DeValue::Integer(number) => read_option(name, Literal::Number(&decimal(number))),
        DeValue::Float(number) => read_option(name, Literal::Number(number.as_str())),
        DeValue::String(text) => read_option(name, Literal::Text(text)),
        DeValue::Datetime(_) => read_option(name, Literal::Other("a date")),
        DeValue::Array(_) => read_option(name, Literal::Other("a list")),
        DeValue::Table(_) => read_option(name, Literal::Other("a table")),
    }
}

#[cfg(test)]
mod tests;
