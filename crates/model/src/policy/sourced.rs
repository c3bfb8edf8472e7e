//! A policy of which each value says where it comes from, and how several become one.

use std::collections::BTreeMap;
use std::fmt;

use super::{Policy, PolicyOption};

/// Who says what the value of an option is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PolicySource {
    /// Nobody: the built-in value holds.
    Default,
    /// A line of a file.
    File {
        /// As it was named.
        path: String,
        /// From 1.
        line: usize,
    },
    /// The table's own document, which `ALTER TABLE … SET` writes.
    Table,
}

impl fmt::Display for PolicySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{path}:{line}"),
            Self::Table => f.write_str("ALTER TABLE"),
        }
    }
}

/// A policy with the source of each value that it sets.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SourcedPolicy {
    policy: Policy,
    sources: BTreeMap<PolicyOption, PolicySource>,
}

impl SourcedPolicy {
    /// All of a policy from one source.
    #[must_use]
    pub fn of(policy: Policy, source: &PolicySource) -> Self {
        let sources = policy.set_options().map(|(option, _)| (option, source.clone())).collect();
        Self { policy, sources }
    }

    /// The values.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Who says the value of an option.
    #[must_use]
    pub fn source(&self, option: PolicyOption) -> &PolicySource {
        self.sources.get(&option).unwrap_or(&PolicySource::Default)
    }

    /// Sets an option that `source` says. Returns whether the value is of the option's kind; if not, nothing is
    /// changed.
    #[must_use]
    pub fn set(
        &mut self,
        option: PolicyOption,
        value: super::PolicyValue,
        source: PolicySource,
    ) -> bool {
        let is_set = self.policy.set(option, value);
        if is_set {
            self.sources.insert(option, source);
        }
        is_set
    }

    /// What holds where this one and, for what it does not say, another one are asked, option by option.
    #[must_use]
    pub fn over(mut self, below: &Self) -> Self {
        for (option, value) in below.policy.set_options() {
            if self.policy.get(option).is_none() {
                // Of its own kind: it was read from the same option.
                let _ = self.set(option, value, below.source(option).clone());
            }
        }
        self
    }
}
