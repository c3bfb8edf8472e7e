//! Variables of the environment. A misspelt one is a warning and no error: variables are set for
//! whole machines, where older and newer keepers run beside each other, and a run that refuses to
//! start for a name that it does not know would stop the maintenance of all of them. A value that
//! makes no sense is an error: it was meant for us.

use std::fmt;

use crate::error::SettingError;
use crate::schema::{SETTINGS, Setting, VARIABLE_PREFIX};
use crate::settings::Given;
use crate::source::Source;
use lancekeeper_model::nearest;

/// What follows the prefix in variables that our own tests and tools set. They are no settings.
const NOT_SETTINGS: [&str; 6] =
    ["FAILPOINT", "TEST_", "QUEUE_TEST_", "RANDOM_", "HISTORY_", "INTEROP_"];

/// What the environment says.
#[derive(Debug, Default)]
pub struct Environment {
    /// The settings, those of lower precedence first.
    pub given: Vec<Given>,
    /// Variables that begin like ours and set nothing.
    pub unknown: Vec<UnknownVariable>,
}

/// A variable that begins like ours and sets nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownVariable {
    name: String,
}

impl fmt::Display for UnknownVariable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the variable {} sets nothing", self.name)?;
        let known: Vec<String> = SETTINGS.iter().map(Setting::variable).collect();
        // Compared without what all of them begin with, which would make any two alike.
        let own = self.name.get(VARIABLE_PREFIX.len()..).unwrap_or_default();
        let known = known.iter().filter_map(|known| known.strip_prefix(VARIABLE_PREFIX));
        match nearest(own, known) {
            Some(near) => write!(f, ": did you mean {VARIABLE_PREFIX}{near}?"),
            None => f.write_str(": lancekeeper config --json names all that do"),
        }
    }
}

/// Reads the variables of an environment. An empty one counts as not set: that is how scripts
/// take one back.
///
/// # Errors
///
/// Every variable of ours whose value makes no sense.
pub fn read_environment(
    variables: impl IntoIterator<Item = (String, String)>,
) -> Result<Environment, Vec<SettingError>> {
    let variables: Vec<(String, String)> =
        variables.into_iter().filter(|(_, text)| !text.trim().is_empty()).collect();
    let mut environment = Environment::default();
    let mut errors = Vec::new();
    environment.given.extend(old_variables(&variables));
    for (name, text) in &variables {
        let Some(own) = name.strip_prefix(VARIABLE_PREFIX) else { continue };
        let Some(setting) = SETTINGS.iter().find(|setting| setting.variable() == *name) else {
            if !NOT_SETTINGS.iter().any(|begin| own.starts_with(begin)) {
                environment.unknown.push(UnknownVariable { name: name.clone() });
            }
            continue;
        };
        let (key, source) = (setting.key, Source::Variable(name.clone()));
        match setting.kind.read(text) {
            Ok(value) => environment.given.push(Given { key, value, source }),
            Err(refused) => errors.push(SettingError::Value { place: source, key, refused }),
        }
    }
    if errors.is_empty() { Ok(environment) } else { Err(errors) }
}

/// What variables say that scripts set before there were settings. What is no value is ignored,
/// as it always was.
fn old_variables(variables: &[(String, String)]) -> impl Iterator<Item = Given> {
    SETTINGS.iter().filter_map(|setting| {
        let old = setting.old_variable?;
        let (name, text) = variables.iter().find(|(name, _)| name == old)?;
        let value = setting.kind.read(text).ok()?;
        Some(Given { key: setting.key, value, source: Source::Variable(name.clone()) })
    })
}
