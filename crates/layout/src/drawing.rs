//! A picture of a table's fragments in rank space, as an SVG document: text in, text out.
//!
//! Of two columns each fragment is a translucent rectangle, so that places where many lie on each other
//! are dark. Of one column each is a bar, and bars that overlap lie on lines of their own. Of more columns the
//! first two are drawn. Axes are ranks: equal lengths are equal numbers of rows, and the marks on
//! them say which values stand there.
//!
//! Not here: what is drawn (`boxes`), and where the document is written to.

mod text;

use std::collections::BTreeSet;
use std::fmt::Write;

use crate::boxes::RankBox;
use text::{escaped, shortened};

/// Fragments that are drawn of one table. Of more every n-th is: a browser shows no more than that smoothly, and
/// nobody can tell so many rectangles apart.
pub const DRAWN_MAX: usize = 20_000;

/// The side of the square that rank space is drawn in.
const SIDE: f64 = 800.0;
/// Room to the left of it, for the marks and the name of an axis.
const LEFT: f64 = 150.0;
/// Room above it, for the title and the caption.
const ABOVE: f64 = 90.0;
/// Room to the right of it and below.
const RIGHT: f64 = 40.0;
const BELOW: f64 = 70.0;
/// No rectangle is narrower: a fragment of one value would not be seen.
const THINNEST: f64 = 1.0;
/// A bar of a table with one column is no higher.
const BAR_MAX: f64 = 24.0;
/// Characters of a mark, of a name and of a line of the caption.
const MARK_CHARS: usize = 16;
const NAME_CHARS: usize = 60;
const CAPTION_CHARS: usize = 130;

/// A column as an axis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Axis {
    /// The column.
    pub name: String,
    /// Some of its values, each with its rank.
    pub marks: Vec<(u32, String)>,
}

/// A fragment as it is drawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DrawnFragment {
    /// Where its rows lie.
    pub ranks: RankBox,
    /// What is said of it where somebody points at it.
    pub title: String,
}

/// A table as it is drawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drawing {
    /// What it is called.
    pub title: String,
    /// What is said of it, one line each.
    pub caption: Vec<String>,
    /// The columns, as many as the boxes have sides.
    pub axes: Vec<Axis>,
    /// The fragments, the first at the bottom.
    pub fragments: Vec<DrawnFragment>,
}

impl Drawing {
    /// The document. The same drawing gives the same text.
    #[must_use]
    pub fn to_svg(&self) -> String {
        let nth = self.fragments.len().div_ceil(DRAWN_MAX).max(1);
        let drawn: Vec<&DrawnFragment> = self.fragments.iter().step_by(nth).collect();
        let mut svg = Svg::begin();
        svg.text(LEFT, 30.0, "start", "title", &shortened(&self.title, CAPTION_CHARS));
        let more = (nth > 1).then(|| format!("drawn is one of every {nth} fragments"));
        for (line, at) in self.caption.iter().chain(&more).zip(0_u8..) {
            let y = 52.0 + 16.0 * f64::from(at);
            svg.text(LEFT, y, "start", "caption", &shortened(line, CAPTION_CHARS));
        }
        match self.axes.len() {
            0 => {}
            1 => self.bars(&mut svg, &drawn),
            _ => self.rectangles(&mut svg, &drawn),
        }
        svg.end()
    }

    /// Two columns: the first to the right, the second upwards.
    fn rectangles(&self, svg: &mut Svg, drawn: &[&DrawnFragment]) {
        self.frame(svg);
        svg.upward(&self.axes[1]);
        svg.open("fragments");
        for fragment in drawn {
            let [across, up, ..] = fragment.ranks.sides() else { continue };
            let ((left, right), (low, high)) = (span(*across), span(*up));
            let (x, width) = (LEFT + left, right - left);
            let (y, height) = (ABOVE + SIDE - high, high - low);
            svg.rectangle((x, y), (width, height), &fragment.title);
        }
        svg.close();
    }

    /// One column: bars, each on a line that is free where it begins.
    fn bars(&self, svg: &mut Svg, drawn: &[&DrawnFragment]) {
        self.frame(svg);
        svg.open("fragments");
        let mut order: Vec<(&DrawnFragment, (u32, u32))> = drawn
            .iter()
            .filter_map(|fragment| Some((*fragment, *fragment.ranks.sides().first()?)))
            .collect();
        order.sort_by_key(|(_, side)| *side);
        let lines = lines(order.iter().map(|(_, side)| *side));
        let count = lines.iter().max().map_or(1, |most| most + 1);
        let height = (SIDE / count as f64).min(BAR_MAX);
        for ((fragment, side), line) in order.iter().zip(lines) {
            let (left, right) = span(*side);
            let y = ABOVE + SIDE - (line + 1) as f64 * height;
            svg.rectangle((LEFT + left, y), (right - left, height * 0.9), &fragment.title);
        }
        svg.close();
    }

    fn frame(&self, svg: &mut Svg) {
        svg.line(format!(
            "<rect class=\"frame\" x=\"{LEFT}\" y=\"{ABOVE}\" width=\"{SIDE}\" height=\"{SIDE}\"/>"
        ));
        if let Some(axis) = self.axes.first() {
            svg.rightward(axis);
        }
    }
}

/// For bars in the order in which they begin: a line on which nothing lies any more. No more lines are
/// taken than bars lie over one place.
fn lines(sides: impl Iterator<Item = (u32, u32)>) -> Vec<usize> {
    // Where the last bar of each line ends, by its end: the line that is free the longest goes first.
    let mut ends = BTreeSet::new();
    let mut lines = Vec::new();
    for (low, high) in sides {
        let free = ends.first().copied().filter(|(end, _): &(u32, usize)| *end < low);
        let line = match free {
            Some(taken) => {
                ends.remove(&taken);
                taken.1
            }
            None => ends.len(),
        };
        ends.insert((high, line));
        lines.push(line);
    }
    lines
}

/// From where to where on an axis a side reaches.
fn span((low, high): (u32, u32)) -> (f64, f64) {
    let (low, high) = (place(low), place(high));
    if high - low >= THINNEST {
        return (low, high);
    }
    let middle = f64::midpoint(low, high).clamp(THINNEST / 2.0, SIDE - THINNEST / 2.0);
    (middle - THINNEST / 2.0, middle + THINNEST / 2.0)
}

/// Where on an axis a rank stands.
fn place(rank: u32) -> f64 {
    f64::from(rank) / f64::from(u32::MAX) * SIDE
}

/// A document that is being written.
struct Svg(String);

impl Svg {
    fn begin() -> Self {
        let (width, height) = (LEFT + SIDE + RIGHT, ABOVE + SIDE + BELOW);
        let mut svg = Self(String::new());
        svg.line(format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
             width=\"{width}\" height=\"{height}\" font-family=\"sans-serif\" font-size=\"12\">"
        ));
        svg.line(
            "<style>.title{font-size:18px;font-weight:bold}.frame{fill:none;stroke:#888}\
             .tick{stroke:#ccc}.fragments{fill:#1f77b4;fill-opacity:.25;stroke:#1f77b4;\
             stroke-opacity:.6;stroke-width:.5}.fragments rect:hover{fill:#d62728;fill-opacity:.6}\
             .name{font-weight:bold}</style>"
                .to_owned(),
        );
        svg.line("<rect width=\"100%\" height=\"100%\" fill=\"white\"/>".to_owned());
        svg
    }

    fn end(mut self) -> String {
        self.line("</svg>".to_owned());
        self.0
    }

    fn line(&mut self, line: String) {
        self.0.push_str(&line);
        self.0.push('\n');
    }

    fn open(&mut self, class: &str) {
        self.line(format!("<g class=\"{class}\">"));
    }

    fn close(&mut self) {
        self.line("</g>".to_owned());
    }

    fn text(&mut self, x: f64, y: f64, anchor: &str, class: &str, text: &str) {
        let text = escaped(text);
        self.line(format!(
            "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" class=\"{class}\">{text}</text>"
        ));
    }

    fn rectangle(&mut self, at: (f64, f64), size: (f64, f64), title: &str) {
        let title = escaped(title);
        // Into a `String` nothing fails.
        let _ = writeln!(
            self.0,
            "<rect x=\"{:.2}\" y=\"{:.2}\" width=\"{:.2}\" height=\"{:.2}\"><title>{title}</title></rect>",
            at.0, at.1, size.0, size.1
        );
    }

    /// The axis below the square.
    fn rightward(&mut self, axis: &Axis) {
        let bottom = ABOVE + SIDE;
        for (rank, mark) in &axis.marks {
            let x = LEFT + place(*rank);
            self.line(format!(
                "<line class=\"tick\" x1=\"{x:.1}\" y1=\"{ABOVE}\" x2=\"{x:.1}\" y2=\"{bottom}\"/>"
            ));
            self.text(x, bottom + 18.0, "middle", "mark", &shortened(mark, MARK_CHARS));
        }
        let name = shortened(&axis.name, NAME_CHARS);
        self.text(LEFT + SIDE / 2.0, bottom + 42.0, "middle", "name", &name);
    }

    /// The axis to the left of it.
    fn upward(&mut self, axis: &Axis) {
        let right = LEFT + SIDE;
        for (rank, mark) in &axis.marks {
            let y = ABOVE + SIDE - place(*rank);
            self.line(format!(
                "<line class=\"tick\" x1=\"{LEFT}\" y1=\"{y:.1}\" x2=\"{right}\" y2=\"{y:.1}\"/>"
            ));
            self.text(LEFT - 8.0, y + 4.0, "end", "mark", &shortened(mark, MARK_CHARS));
        }
        let (x, y) = (20.0, ABOVE + SIDE / 2.0);
        let name = escaped(&shortened(&axis.name, NAME_CHARS));
        self.line(format!(
            "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"middle\" class=\"name\" \
             transform=\"rotate(-90 {x:.1} {y:.1})\">{name}</text>"
        ));
    }
}

#[cfg(test)]
mod tests;
