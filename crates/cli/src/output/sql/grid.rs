//! An answer for people. It fits the screen: aligned columns, of which those of text are cut where that is enough; else each
//! row by itself, a line for each column and nothing cut. A file or a pipe has room for all of it.

use lancekeeper_service::sql::{Answer, Cell};
use unicode_width::UnicodeWidthChar;

use super::plain;
use crate::output::grid::shown_width;
use crate::output::style::{Tone, paint, visible};
use crate::output::terminal::Screen;

/// A column of text is not cut to less than this.
const TEXT_LEAST: usize = 16;
/// What is between two columns.
const GAP: &str = "  ";

/// A column of an answer, as it is shown.
struct Column {
    title: String,
    cells: Vec<String>,
    is_number: bool,
    width: usize,
}

/// An answer as lines.
pub(super) fn lines(answer: &Answer, screen: Screen) -> String {
    let mut columns: Vec<Column> =
        (0..answer.columns.len()).map(|at| Column::of(answer, at)).collect();
    let fits = screen.width.is_none_or(|width| fit(&mut columns, width));
    let mut text = match fits || answer.rows.is_empty() {
        true => aligned(&columns, answer.rows.len(), screen),
        false => one_by_one(&columns, answer.rows.len(), screen),
    };
    if answer.rows.is_empty() {
        text.push_str("(no rows)\n");
    }
    text
}

impl Column {
    fn of(answer: &Answer, at: usize) -> Self {
        let cells: Vec<&Cell> = answer.rows.iter().filter_map(|row| row.get(at)).collect();
        let mut known = cells.iter().filter(|cell| ***cell != Cell::Null).peekable();
        let is_number = known.peek().is_some()
            && known.all(|cell| matches!(cell, Cell::Integer(_) | Cell::Real(_)));
        let title = answer.columns[at].clone();
        let cells: Vec<String> =
            cells.into_iter().map(|cell| visible(&plain(cell)).replace('\n', " ")).collect();
        let width = cells.iter().map(|cell| shown_width(cell)).max().unwrap_or(0);
        let width = width.max(shown_width(&title));
        Self { title, cells, is_number, width }
    }

    /// To how much it may be cut. A number without its end is another number.
    fn least(&self) -> usize {
        if self.is_number {
            self.width
        } else {
            TEXT_LEAST.max(shown_width(&self.title)).min(self.width)
        }
    }
}

/// Cuts the widest columns until all of them fit, and tells whether they do.
fn fit(columns: &mut [Column], width: usize) -> bool {
    let gaps = GAP.len() * columns.len().saturating_sub(1);
    let least: usize = columns.iter().map(Column::least).sum();
    if least + gaps > width {
        return false;
    }
    loop {
        let used: usize = columns.iter().map(|column| column.width).sum();
        let Some(excess) = (used + gaps).checked_sub(width).filter(|excess| *excess > 0) else {
            return true;
        };
        let cut = columns.iter_mut().filter(|column| column.width > column.least());
        let Some(widest) = cut.max_by_key(|column| column.width) else { return false };
        // A few letters at a time, so that columns of about the same width are cut alike.
        let step = excess.min(widest.width - widest.least()).min(4);
        widest.width -= step;
    }
}

fn aligned(columns: &[Column], rows: usize, screen: Screen) -> String {
    let titles: Vec<&str> = columns.iter().map(|column| column.title.as_str()).collect();
    let mut text = paint(&line(columns, &titles), Tone::Dim, screen.colour) + "\n";
    for row in 0..rows {
        let cells: Vec<&str> = columns.iter().map(|column| column.cells[row].as_str()).collect();
        text.push_str(&line(columns, &cells));
        text.push('\n');
    }
    text
}

fn line(columns: &[Column], cells: &[&str]) -> String {
    let padded = columns.iter().zip(cells).map(|(column, cell)| {
        let cell = cut(cell, column.width);
        let space = " ".repeat(column.width.saturating_sub(shown_width(&cell)));
        if column.is_number { format!("{space}{cell}") } else { format!("{cell}{space}") }
    });
    padded.collect::<Vec<_>>().join(GAP).trim_end().to_owned()
}

/// The beginning of a text that fits.
fn cut(text: &str, width: usize) -> String {
    if shown_width(text) <= width {
        return text.to_owned();
    }
    let mut room = width.saturating_sub(1);
    let fits = |letter: &char| match room.checked_sub(letter.width().unwrap_or(0)) {
        Some(left) => {
            room = left;
            true
        }
        None => false,
    };
    text.chars().take_while(fits).chain(['…']).collect()
}

fn one_by_one(columns: &[Column], rows: usize, screen: Screen) -> String {
    let names = columns.iter().map(|column| shown_width(&column.title)).max().unwrap_or(0);
    let mut text = String::new();
    for row in 0..rows {
        text.push_str(&paint(&format!("row {}", row + 1), Tone::Dim, screen.colour));
        text.push('\n');
        for column in columns {
            let space = " ".repeat(names.saturating_sub(shown_width(&column.title)));
            let line = format!("{GAP}{}{space}{GAP}{}", column.title, column.cells[row]);
            text.push_str(line.trim_end());
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use lancekeeper_model::ExitCode;

    use super::*;

    fn answer() -> Answer {
        let text = |text: &str| Cell::Text(text.to_owned());
        Answer {
            statement: "SELECT",
            dry_run: false,
            columns: ["table", "rows", "reason", "outcome"].map(str::to_owned).to_vec(),
            rows: vec![
                vec![
                    text("表格"),
                    Cell::Integer(123_456_789),
                    text("COMPACT TABLE logs WHERE partition_date < '2024-01-01' AND id > 7"),
                    text("it was cancelled, and its process died before it ended"),
                ],
                vec![text("b"), Cell::Integer(7), Cell::Null, text("done")],
            ],
            notes: Vec::new(),
            exit_code: ExitCode::Done,
        }
    }

    fn shown(width: usize) -> String {
        lines(&answer(), Screen::plain(Some(width)))
    }

    #[test]
    fn text_is_cut_where_the_screen_is_narrow_and_numbers_never_are() {
        for width in [300, 160, 100, 80, 60, 55] {
            for line in shown(width).lines() {
                assert!(shown_width(line) <= width, "{width}: {line}");
                assert!(!line.contains("表") || line.contains("123456789"), "{width}: {line}");
            }
        }
        assert!(!shown(300).contains('…'));
        insta::assert_snapshot!(shown(80), @"
        table       rows  reason                          outcome
        表格   123456789  COMPACT TABLE logs WHERE part…  it was cancelled, and its pro…
        b              7                                  done
        ");
    }

    #[test]
    fn where_even_that_is_too_wide_rows_are_shown_one_by_one() {
        insta::assert_snapshot!(shown(40), @"
        row 1
          table    表格
          rows     123456789
          reason   COMPACT TABLE logs WHERE partition_date < '2024-01-01' AND id > 7
          outcome  it was cancelled, and its process died before it ended
        row 2
          table    b
          rows     7
          reason
          outcome  done
        ");
        let none = Answer { rows: Vec::new(), ..answer() };
        assert_eq!(
            lines(&none, Screen::plain(Some(10))),
            "table  rows  reason  outcome\n(no rows)\n"
        );
    }
}
