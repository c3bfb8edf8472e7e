//! Places in the text of statements.
//!
//! Not here: how a place is shown to people (`render`).

use sqlparser::tokenizer::{Location, Span as TokenSpan};

/// A piece of the text, by lines and columns that are counted from 1; columns are letters, not bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Span {
    /// The line of the first letter.
    pub line: usize,
    /// The column of the first letter.
    pub column: usize,
    /// The line of the last letter.
    pub end_line: usize,
    /// The column right behind the last letter.
    pub end_column: usize,
}

impl Span {
    /// One letter.
    #[must_use]
    pub fn at(line: usize, column: usize) -> Self {
        Self { line, column, end_line: line, end_column: column + 1 }
    }

    /// From the first letter of this to the last one of `end`.
    #[must_use]
    pub fn to(self, end: Self) -> Self {
        Self { end_line: end.end_line, end_column: end.end_column, ..self }
    }

    /// From the first letter of this to right before `next`.
    pub(crate) fn until(self, next: Self) -> Self {
        Self { end_line: next.line, end_column: next.column, ..self }
    }

    /// The letter right behind this.
    pub(crate) fn behind(self) -> Self {
        Self::at(self.end_line, self.end_column)
    }

    /// The place of a token; `None` for tokens that were not read from a text.
    #[must_use]
    pub fn of(span: TokenSpan) -> Option<Self> {
        let TokenSpan { start, end } = span;
        let count = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        (start.line > 0).then(|| Self {
            line: count(start.line),
            column: count(start.column),
            end_line: count(end.line),
            end_column: count(end.column),
        })
    }

    /// The letters of this place.
    pub(crate) fn slice<'t>(&self, text: &'t str) -> &'t str {
        let start = offset(text, self.line, self.column);
        let end = offset(text, self.end_line, self.end_column).max(start);
        &text[start..end]
    }

    /// Whether a token begins here.
    pub(crate) fn starts_at(&self, location: Location) -> bool {
        (self.line as u64, self.column as u64) == (location.line, location.column)
    }
}

/// The byte at which a column of a line begins; the end of the text if there is none.
fn offset(text: &str, line: usize, column: usize) -> usize {
    let mut at = (1, 1);
    for (byte, letter) in text.char_indices() {
        if at >= (line, column) {
            return byte;
        }
        at = if letter == '\n' { (at.0 + 1, 1) } else { (at.0, at.1 + 1) };
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_found_in_letters_not_bytes() {
        let text = "größe\n  x = 'ü'";
        assert_eq!(Span { line: 1, column: 3, end_line: 1, end_column: 5 }.slice(text), "öß");
        assert_eq!(Span { line: 2, column: 7, end_line: 2, end_column: 10 }.slice(text), "'ü'");
        assert_eq!(Span::at(9, 1).slice(text), "");
    }
}
