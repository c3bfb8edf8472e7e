//! Names of tables and columns as they were written, with their places.

use crate::error::SqlError;
use crate::span::Span;
use lancekeeper_model::nearest;

/// A name of something that is there, or not: whoever knows looks it up by [`Name::find`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// The name, without the quotes that it was written in.
    pub text: String,
    /// Whether it was written in quotes. Then upper and lower case matter.
    pub quoted: bool,
    /// Where it stands.
    pub span: Span,
}

impl Name {
    /// The known name that this one means.
    ///
    /// # Errors
    ///
    /// An error at this name if there is none, with the nearest one: `unknown WHAT NAME, did you mean OTHER?`. Also if
    /// it has no quotes and differs from several only in upper and lower case.
    pub fn find<'k>(&self, what: &str, known: &'k [String]) -> Result<&'k str, SqlError> {
        if let Some(same) = known.iter().find(|known| **known == self.text) {
            return Ok(same);
        }
        let lower = self.text.to_lowercase();
        let alike: Vec<&str> = known
            .iter()
            .map(String::as_str)
            .filter(|known| known.to_lowercase() == lower)
            .collect();
        match (self.quoted, alike.as_slice()) {
            (false, [one]) => Ok(one),
            (false, [_, _, ..]) => Err(SqlError::new(
                format!("{what} {} may be {}", self.text, alike.join(" or ")),
                self.span,
            )
            .with_hint("write the name as it is, in double quotes")),
            _ => Err(self.unknown(what, known)),
        }
    }

    /// The error that says that there is no such thing, with the nearest of those that there are.
    #[must_use]
    pub fn unknown(&self, what: &str, known: &[String]) -> SqlError {
        let near = nearest(&self.text, known.iter().map(String::as_str));
        SqlError::new(format!("unknown {what} {}", self.text), self.span).suggesting(near)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str, quoted: bool) -> Name {
        Name { text: text.into(), quoted, span: Span::at(1, 1) }
    }

    #[test]
    fn a_name_without_quotes_may_differ_in_case_if_that_leaves_no_doubt() {
        let known = ["Events", "users", "Users", "node:Person"].map(String::from);
        let find =
            |text, quoted| name(text, quoted).find("table", &known).map_err(|e| e.to_string());
        assert_eq!(find("EVENTS", false), Ok("Events"));
        assert_eq!(find("users", false), Ok("users"));
        assert_eq!(find("node:Person", true), Ok("node:Person"));
        insta::assert_snapshot!(find("EVENTS", true).unwrap_err(), @"line 1, column 1: unknown table EVENTS, did you mean Events?");
        insta::assert_snapshot!(find("USERS", false).unwrap_err(), @"line 1, column 1: table USERS may be users or Users");
        insta::assert_snapshot!(find("evnts", false).unwrap_err(), @"line 1, column 1: unknown table evnts, did you mean Events?");
        insta::assert_snapshot!(find("zzz", false).unwrap_err(), @"line 1, column 1: unknown table zzz");
    }
}
