//! An error as people see it: the line that it is about, and a caret under the place.
//!
//! Not here: colours, and the word before the message; those are the terminal's.

use unicode_width::UnicodeWidthChar;

use crate::error::SqlError;
use crate::span::Span;

/// Columns of a terminal that a tab is shown as. Terminals differ, so tabs are replaced before the caret is placed.
const TAB: usize = 4;

/// Columns of a terminal that are shown of a line: a statement of one long line would push its caret out of sight.
const SHOWN: usize = 100;

/// Columns that are shown before the place, where a line is cut.
const BEFORE: usize = 40;

impl SqlError {
    /// Several lines for people: the message, the line of `text` that it is about, a caret under the place, and the
    /// hint. `text` is what was parsed.
    #[must_use]
    pub fn render(&self, text: &str) -> String {
        render(self, text)
    }
}

fn render(error: &SqlError, text: &str) -> String {
    let span = error.span();
    let line = text.split('\n').nth(span.line - 1).unwrap_or_default();
    let (source, carets) = pointed(line.trim_end_matches('\r'), span);
    let number = span.line.to_string();
    let margin = " ".repeat(number.len());
    let mut out = format!("{}\n", error.sentence());
    out.push_str(&format!("{margin} |\n{number} | {source}\n{margin} | {carets}"));
    if let Some(hint) = error.hint() {
        out.push_str(&format!("\n{margin} = {hint}"));
    }
    out
}

/// The line as it is shown, and the line below it with the carets.
fn pointed(line: &str, span: Span) -> (String, String) {
    let end = if span.end_line > span.line { usize::MAX } else { span.end_column };
    let cells: Vec<(String, usize)> = line.chars().map(cell).collect();
    let first = cells_before(&cells, span.column - 1);
    let cut_at = if first > SHOWN { first - BEFORE } else { 0 };
    let (mut source, mut column, mut from, mut to) = (String::new(), 0, None, 0);
    if cut_at > 0 {
        source.push('…');
    }
    let shift = usize::from(cut_at > 0);
    for (index, (shown, width)) in cells.iter().enumerate() {
        let at = column;
        column += width;
        if at < cut_at {
            continue;
        }
        if at - cut_at + width > SHOWN {
            source.push('…');
            break;
        }
        if (span.column - 1..end - 1).contains(&index) {
            from.get_or_insert(at - cut_at + shift);
            to = at - cut_at + shift + width;
        }
        source.push_str(shown);
    }
    // What is missing at the end of a line has no letter of its own.
    let from = from.unwrap_or_else(|| column.saturating_sub(cut_at).min(SHOWN) + shift);
    let carets = "^".repeat(to.saturating_sub(from).max(1));
    (source, format!("{}{carets}", " ".repeat(from)))
}

fn cells_before(cells: &[(String, usize)], count: usize) -> usize {
    cells.iter().take(count).map(|(_, width)| width).sum()
}

/// How a letter is shown, and how many columns that takes. What would move the cursor is shown as a space.
fn cell(letter: char) -> (String, usize) {
    match letter {
        '\t' => (" ".repeat(TAB), TAB),
        letter if letter.is_control() => (" ".to_owned(), 1),
        letter => (letter.to_string(), letter.width().unwrap_or(1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, line: usize, column: usize, end_column: usize) -> String {
        SqlError::new("wrong", Span { line, column, end_line: line, end_column }).render(text)
    }

    #[test]
    fn the_caret_stands_under_the_place_whatever_stands_before_it() {
        insta::assert_snapshot!(shown("COMPAKT TABLE t", 1, 1, 8), @r"
        wrong
          |
        1 | COMPAKT TABLE t
          | ^^^^^^^
        ");
        insta::assert_snapshot!(shown("a\n\tb nope", 2, 4, 8), @r"
        wrong
          |
        2 |     b nope
          |       ^^^^
        ");
        insta::assert_snapshot!(shown("\"表格\" nope", 1, 6, 10), @r#"
        wrong
          |
        1 | "表格" nope
          |        ^^^^
        "#);
        insta::assert_snapshot!(shown("COMPACT TABLE", 1, 14, 15), @r"
        wrong
          |
        1 | COMPACT TABLE
          |              ^
        ");
    }

    #[test]
    fn a_long_line_is_cut_around_the_place() {
        let text = format!("SELECT {} nope FROM t", "a, ".repeat(80));
        let at = text.find("nope").unwrap_or_default() + 1;
        let shown = shown(&text, 1, at, at + 4);
        let lines: Vec<&str> = shown.lines().collect();
        let caret = lines[3].chars().position(|c| c == '^').unwrap_or_default();
        let under: String = lines[2].chars().skip(caret).take(4).collect();
        assert_eq!(under, "nope", "{shown}");
    }

    #[test]
    fn a_place_beyond_the_text_is_no_reason_to_fail() {
        assert!(shown("x", 7, 90, 91).contains('^'));
    }
}
