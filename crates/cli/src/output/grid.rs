//! An aligned table without borders that fits the screen: remarks are shortened first, then
//! unimportant columns go, then names are cut in the middle. No cell ever wraps.

use comfy_table::{
    Attribute, Cell as TableCell, CellAlignment, Color, ColumnConstraint, ContentArrangement, Row,
    Table, Width, presets,
};

use super::style::{Tone, visible};
use super::terminal::Screen;

const GAP: usize = 2;
const INDENT: &str = "  ";
/// Columns go before names are cut to less than this,
const NAME_USUAL: usize = 20;
/// and nothing is gained by cutting names to less than this.
const NAME_MIN: usize = 10;
/// A remark longer than this is read better below the table, whatever the width.
const REMARK_MAX: usize = 60;

/// How much a column matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    /// Always shown.
    Always,
    /// Shown wherever it fits.
    Usual,
    /// Shown on wide screens.
    Wide,
}

/// A column of cells; the first one added has the names.
pub(super) struct Column {
    title: &'static str,
    rank: Rank,
    alignment: CellAlignment,
    cells: Vec<(String, Tone)>,
}

impl Column {
    /// A column of text.
    pub(super) fn text(
        title: &'static str,
        rank: Rank,
        cells: impl IntoIterator<Item = String>,
    ) -> Self {
        let cells = cells.into_iter().map(|text| (visible(&text).replace('\n', " "), Tone::Plain));
        let cells = cells.collect();
        Self { title, rank, alignment: CellAlignment::Left, cells }
    }

    /// A column of numbers.
    pub(super) fn numbers(
        title: &'static str,
        rank: Rank,
        cells: impl IntoIterator<Item = String>,
    ) -> Self {
        Self { alignment: CellAlignment::Right, ..Self::text(title, rank, cells) }
    }

    /// A column of `before → after`, arrows below each other; no arrow where nothing changed.
    pub(super) fn changes(
        title: &'static str,
        rank: Rank,
        cells: impl IntoIterator<Item = (String, String)>,
    ) -> Self {
        let cells: Vec<_> = cells.into_iter().collect();
        let before_width = cells.iter().map(|(before, _)| before.chars().count()).max();
        let before_width = before_width.unwrap_or(0);
        let changed = cells.iter().filter(|(before, after)| before != after);
        let after_width = changed.map(|(_, after)| after.chars().count()).max().unwrap_or(0);
        let rest = if after_width == 0 { 0 } else { " → ".chars().count() + after_width };
        let texts = cells.iter().map(|(before, after)| {
            if before == after {
                format!("{before:>before_width$}{:rest$}", "")
            } else {
                format!("{before:>before_width$} → {after:>after_width$}")
            }
        });
        Self::numbers(title, rank, texts)
    }

    /// The same column with tones.
    pub(super) fn toned(mut self, tone: impl Fn(usize) -> Tone) -> Self {
        for (at, cell) in self.cells.iter_mut().enumerate() {
            cell.1 = tone(at);
        }
        self
    }

    fn width(&self) -> usize {
        let cells = self.cells.iter().map(|(text, _)| shown_width(text));
        cells.chain([self.title.len()]).max().unwrap_or(0)
    }
}

/// The last cell of a row: in full where there is room, else in short.
pub(super) struct Remark {
    /// One word or two.
    pub(super) short: String,
    /// What follows it.
    pub(super) detail: Option<String>,
    /// Its tone.
    pub(super) tone: Tone,
}

impl Remark {
    /// `short: detail`, or either if that is all there is.
    pub(super) fn full(&self) -> String {
        match &self.detail {
            // It may say so itself: "failed to read …".
            Some(detail) if detail.starts_with(&self.short) => detail.clone(),
            Some(detail) => format!("{}: {detail}", self.short),
            None => self.short.clone(),
        }
    }
}

/// A rendered table.
pub(super) struct Rendered {
    /// Its lines.
    pub(super) text: String,
    /// The rows whose remark was shown in short.
    pub(super) shortened: Vec<usize>,
}

/// Renders columns and remarks. Every column has as many cells as there are remarks.
pub(super) fn render(
    mut columns: Vec<Column>,
    title: &'static str,
    remarks: &[Remark],
    screen: Screen,
) -> Rendered {
    let width = screen.width.unwrap_or(usize::MAX).saturating_sub(INDENT.len());
    let short = remarks.iter().map(|remark| remark.short.chars().count()).max().unwrap_or(0);
    let short = if short == 0 { 0 } else { short.max(title.len()) };
    if screen.is_narrow() {
        columns.retain(|column| column.rank < Rank::Wide);
    }
    while least_width(&columns) + short > width {
        // The rightmost of the least important.
        let least = columns.iter().enumerate().max_by_key(|(at, column)| (column.rank, *at));
        match least {
            Some((at, column)) if column.rank > Rank::Always => _ = columns.remove(at),
            _ => break,
        }
    }
    let used: usize = columns.iter().map(|column| column.width() + GAP).sum();
    let room = width.saturating_sub(used).clamp(short, REMARK_MAX.max(short));
    let (last, shortened) = remark_column(title, remarks, room);
    let last_width = last.as_ref().map_or(0, Column::width);
    let name_width = columns.first().map_or(0, Column::width);
    let name_room = width.saturating_sub(used - name_width + last_width).max(NAME_MIN);
    if let Some(names) = columns.first_mut() {
        for (name, _) in &mut names.cells {
            *name = cut(name, name_room);
        }
    }
    columns.extend(last);
    Rendered { text: draw(&columns, remarks.len(), screen), shortened }
}

/// The column of remarks, unless it is empty, and the rows shown in short.
fn remark_column(
    title: &'static str,
    remarks: &[Remark],
    room: usize,
) -> (Option<Column>, Vec<usize>) {
    let mut shortened = Vec::new();
    let mut texts = Vec::new();
    for (at, remark) in remarks.iter().enumerate() {
        let full = remark.full();
        if full.chars().count() <= room.max(title.len()) && !full.contains('\n') {
            texts.push(full);
        } else {
            shortened.push(at);
            texts.push(remark.short.clone());
        }
    }
    if texts.iter().all(String::is_empty) {
        return (None, shortened);
    }
    let column = Column::text(title, Rank::Always, texts).toned(|at| remarks[at].tone);
    (Some(column), shortened)
}

/// The width of these columns with names cut as far as they may be.
fn least_width(columns: &[Column]) -> usize {
    let widths = columns.iter().enumerate().map(|(at, column)| match at {
        0 => column.width().min(NAME_USUAL) + GAP,
        _ => column.width() + GAP,
    });
    widths.sum()
}

/// A name that fits, without its middle: kinds are told by their start, branches and
/// numbered names by their end.
fn cut(name: &str, room: usize) -> String {
    if shown_width(name) <= room {
        return name.to_owned();
    }
    let tail = room / 3;
    let head = room.saturating_sub(tail + 1);
    let skip = name.chars().count().saturating_sub(tail);
    name.chars().take(head).chain(['…']).chain(name.chars().skip(skip)).collect()
}

/// Columns a text takes on a screen.
pub(super) fn shown_width(text: &str) -> usize {
    if text.is_ascii() {
        return text.len();
    }
    let mut measure = Table::new();
    measure.add_row([text]);
    measure.column_max_content_widths().first().copied().map_or(0, usize::from)
}

fn draw(columns: &[Column], rows: usize, screen: Screen) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_content_arrangement(ContentArrangement::Disabled).set_truncation_indicator("…");
    if screen.colour {
        table.enforce_styling();
    } else {
        table.force_no_tty();
    }
    table.set_header(columns.iter().map(|column| cell(column.title, Tone::Dim, column)));
    for at in 0..rows {
        let cells = columns.iter().map(|column| {
            let (text, tone) = &column.cells[at];
            cell(text, *tone, column)
        });
        let mut row = Row::from(cells.collect::<Vec<_>>());
        row.max_height(1);
        table.add_row(row);
    }
    for (at, column) in table.column_iter_mut().enumerate() {
        // Padding counts as width.
        let gap = if at + 1 < columns.len() { GAP } else { 0 };
        column.set_padding((0, u16::try_from(gap).unwrap_or(0)));
        let width = u16::try_from(columns[at].width() + gap).unwrap_or(u16::MAX);
        column.set_constraint(ColumnConstraint::Absolute(Width::Fixed(width)));
    }
    let mut text = String::new();
    for line in table.lines() {
        text.push_str(INDENT);
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn cell(text: &str, tone: Tone, column: &Column) -> TableCell {
    let cell = TableCell::new(text).set_alignment(column.alignment);
    match tone {
        Tone::Plain => cell,
        Tone::Strong => cell.add_attribute(Attribute::Bold),
        Tone::Dim => cell.add_attribute(Attribute::Dim),
        Tone::Good => cell.fg(Color::DarkGreen),
        Tone::Warn => cell.fg(Color::DarkYellow),
        Tone::Bad => cell.fg(Color::DarkRed).add_attribute(Attribute::Bold),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> (Vec<Column>, Vec<Remark>) {
        let names = ["node:Person", "node:\x1bAVeryLongNameForATable@review", "edge:Knows"];
        let columns = vec![
            Column::text("table", Rank::Always, names.map(str::to_owned)),
            Column::changes(
                "fragments",
                Rank::Always,
                [("120", "1"), ("7", "7"), ("8", "12")]
                    .map(|(before, after)| (before.to_owned(), after.to_owned())),
            ),
            Column::numbers("rows", Rank::Usual, ["1", "22", "333"].map(str::to_owned)),
            Column::numbers("files", Rank::Wide, ["1", "22", "333"].map(str::to_owned)),
        ];
        let remark = |short: &str, detail: Option<&str>| Remark {
            short: short.to_owned(),
            detail: detail.map(str::to_owned),
            tone: Tone::Plain,
        };
        let remarks = vec![
            remark("done", None),
            remark("nothing to do", Some("every fragment is full")),
            remark("failed", Some("first line\nsecond line")),
        ];
        (columns, remarks)
    }

    fn at(width: Option<usize>) -> Rendered {
        let (columns, remarks) = sample();
        render(columns, "outcome", &remarks, Screen::plain(width))
    }

    #[test]
    fn a_wide_screen_has_it_all() {
        let rendered = at(None);
        insta::assert_snapshot!(rendered.text, @r"
        table                                     fragments  rows  files  outcome
        node:Person                                120 →  1     1      1  done
        node:\u{1b}AVeryLongNameForATable@review          7    22     22  nothing to do: every fragment is full
        edge:Knows                                   8 → 12   333    333  failed
        ");
        assert_eq!(rendered.shortened, [2]);
    }

    #[test]
    fn narrower_screens_lose_remarks_then_columns_then_middles_of_names() {
        for width in [90, 60, 50, 44, 40] {
            let rendered = at(Some(width));
            for line in rendered.text.lines() {
                assert!(line.chars().count() <= width, "{width}: {line}");
            }
        }
        insta::assert_snapshot!(at(Some(90)).text, @r"
        table                                     fragments  rows  outcome
        node:Person                                120 →  1     1  done
        node:\u{1b}AVeryLongNameForATable@review          7    22  nothing to do
        edge:Knows                                   8 → 12   333  failed
        ");
        insta::assert_snapshot!(at(Some(60)).text, @r"
        table                       fragments  rows  outcome
        node:Person                  120 →  1     1  done
        node:\u{1b}AVeryL…e@review          7    22  nothing to do
        edge:Knows                     8 → 12   333  failed
        ");
        insta::assert_snapshot!(at(Some(44)).text, @r"
        table             fragments  outcome
        node:Person        120 →  1  done
        node:\u{1b…eview          7  nothing to do
        edge:Knows           8 → 12  failed
        ");
        assert_eq!(at(Some(44)).shortened, [1, 2]);
    }

    #[test]
    fn wide_letters_count_twice() {
        assert_eq!(shown_width("表"), 2);
        let columns =
            vec![Column::text("table", Rank::Always, ["表表表表", "b"].map(str::to_owned))];
        let remark = || Remark { short: "done".into(), detail: None, tone: Tone::Plain };
        let rendered = render(columns, "outcome", &[remark(), remark()], Screen::plain(None));
        assert_eq!(rendered.text, "  table     outcome\n  表表表表  done\n  b         done\n");
    }

    #[test]
    fn colours_only_when_asked_for() {
        let (columns, remarks) = sample();
        let screen = Screen { width: Some(80), colour: true };
        assert!(render(columns, "outcome", &remarks, screen).text.contains("\x1b[2m"));
        assert!(!at(Some(80)).text.contains('\x1b'));
    }
}
