//! What is wrong with a statement, and where.
//!
//! One type for the whole crate: whatever is wrong, a person has to change the text at one place. The executor makes
//! errors of the same type for names that it does not find, so that people see them alike.

use std::fmt;

use lancekeeper_model::ErrorKind;

use crate::span::Span;

/// What a field of a struct is not.
pub const ORDERED_BY: &str = "rows are put in order by columns of the table itself";

/// A statement that makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct SqlError {
    message: String,
    span: Span,
    suggestion: Option<String>,
    hint: Option<String>,
}

impl SqlError {
    /// An error at a place of the text. The message is a fragment without an end.
    #[must_use]
    pub fn new(message: impl Into<String>, span: Span) -> Self {
        Self { message: message.into(), span, suggestion: None, hint: None }
    }

    /// With what was probably meant.
    #[must_use]
    pub fn suggesting(mut self, suggestion: Option<impl Into<String>>) -> Self {
        self.suggestion = suggestion.map(Into::into);
        self
    }

    /// With a sentence about what is possible instead.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// What is wrong, without the place.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What was probably meant, in the form that is to be written.
    #[must_use]
    pub fn suggestion(&self) -> Option<&str> {
        self.suggestion.as_deref()
    }

    /// What is possible instead.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// Where it is wrong.
    #[must_use]
    pub fn span(&self) -> Span {
        self.span
    }

    /// The line, counted from 1.
    #[must_use]
    pub fn line(&self) -> usize {
        self.span.line
    }

    /// The column, counted from 1 in letters.
    #[must_use]
    pub fn column(&self) -> usize {
        self.span.column
    }

    /// What a caller can do about it: write another statement.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        ErrorKind::Invalid
    }

    /// The message with what was probably meant.
    pub(crate) fn sentence(&self) -> String {
        match &self.suggestion {
            Some(near) => format!("{}, did you mean {near}?", self.message),
            None => self.message.clone(),
        }
    }
}

impl fmt::Display for SqlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: {}", self.span.line, self.span.column, self.sentence())
    }
}
