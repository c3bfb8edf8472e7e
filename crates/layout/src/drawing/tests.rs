//! What drawings look like.

use super::*;

const QUARTER: u32 = 1 << 30;

fn fragment(id: u64, sides: &[(u32, u32)]) -> DrawnFragment {
    let title = format!("fragment {id}, 10 rows\nname: \"a&b\" to <z>");
    DrawnFragment { ranks: RankBox::new(sides.to_vec()), title }
}

fn axis(name: &str) -> Axis {
    let marks = [(0, "-3.5"), (QUARTER * 2, "<none> & more than fits here"), (u32::MAX, "9")];
    let marks = marks.map(|(rank, label)| (rank, label.to_owned())).to_vec();
    Axis { name: name.to_owned(), marks }
}

fn drawing(axes: &[&str], fragments: Vec<DrawnFragment>) -> Drawing {
    Drawing {
        title: "node:<Person>".to_owned(),
        caption: vec!["depth 1.5 of 3 fragments".to_owned(), "ranges & boxes".to_owned()],
        axes: axes.iter().map(|name| axis(name)).collect(),
        fragments,
    }
}

#[test]
fn two_columns_are_rectangles() {
    let fragments = vec![
        fragment(0, &[(0, QUARTER), (0, u32::MAX)]),
        fragment(7, &[(QUARTER, QUARTER), (QUARTER * 3, QUARTER * 3 + QUARTER / 2)]),
        fragment(8, &[(u32::MAX, u32::MAX), (0, 0)]),
    ];
    insta::assert_snapshot!(drawing(&["lat\"", "lon"], fragments).to_svg(), @r#"
        <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 990 960" width="990" height="960" font-family="sans-serif" font-size="12">
        <style>.title{font-size:18px;font-weight:bold}.frame{fill:none;stroke:#888}.tick{stroke:#ccc}.fragments{fill:#1f77b4;fill-opacity:.25;stroke:#1f77b4;stroke-opacity:.6;stroke-width:.5}.fragments rect:hover{fill:#d62728;fill-opacity:.6}.name{font-weight:bold}</style>
        <rect width="100%" height="100%" fill="white"/>
        <text x="150.0" y="30.0" text-anchor="start" class="title">node:&lt;Person&gt;</text>
        <text x="150.0" y="52.0" text-anchor="start" class="caption">depth 1.5 of 3 fragments</text>
        <text x="150.0" y="68.0" text-anchor="start" class="caption">ranges &amp; boxes</text>
        <rect class="frame" x="150" y="90" width="800" height="800"/>
        <line class="tick" x1="150.0" y1="90" x2="150.0" y2="890"/>
        <text x="150.0" y="908.0" text-anchor="middle" class="mark">-3.5</text>
        <line class="tick" x1="550.0" y1="90" x2="550.0" y2="890"/>
        <text x="550.0" y="908.0" text-anchor="middle" class="mark">&lt;none&gt; &amp; more t…</text>
        <line class="tick" x1="950.0" y1="90" x2="950.0" y2="890"/>
        <text x="950.0" y="908.0" text-anchor="middle" class="mark">9</text>
        <text x="550.0" y="932.0" text-anchor="middle" class="name">lat&quot;</text>
        <line class="tick" x1="150" y1="890.0" x2="950" y2="890.0"/>
        <text x="142.0" y="894.0" text-anchor="end" class="mark">-3.5</text>
        <line class="tick" x1="150" y1="490.0" x2="950" y2="490.0"/>
        <text x="142.0" y="494.0" text-anchor="end" class="mark">&lt;none&gt; &amp; more t…</text>
        <line class="tick" x1="150" y1="90.0" x2="950" y2="90.0"/>
        <text x="142.0" y="94.0" text-anchor="end" class="mark">9</text>
        <text x="20.0" y="490.0" text-anchor="middle" class="name" transform="rotate(-90 20.0 490.0)">lon</text>
        <g class="fragments">
        <rect x="150.00" y="90.00" width="200.00" height="800.00"><title>fragment 0, 10 rows
        name: &quot;a&amp;b&quot; to &lt;z&gt;</title></rect>
        <rect x="349.50" y="190.00" width="1.00" height="100.00"><title>fragment 7, 10 rows
        name: &quot;a&amp;b&quot; to &lt;z&gt;</title></rect>
        <rect x="949.00" y="889.00" width="1.00" height="1.00"><title>fragment 8, 10 rows
        name: &quot;a&amp;b&quot; to &lt;z&gt;</title></rect>
        </g>
        </svg>
    "#);
}

#[test]
fn one_column_is_bars_on_lines() {
    let fragments = vec![
        fragment(0, &[(0, QUARTER)]),
        fragment(1, &[(QUARTER / 2, QUARTER * 2)]),
        fragment(2, &[(QUARTER + 1, QUARTER * 2)]),
    ];
    insta::assert_snapshot!(drawing(&["id"], fragments).to_svg(), @r#"
        <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 990 960" width="990" height="960" font-family="sans-serif" font-size="12">
        <style>.title{font-size:18px;font-weight:bold}.frame{fill:none;stroke:#888}.tick{stroke:#ccc}.fragments{fill:#1f77b4;fill-opacity:.25;stroke:#1f77b4;stroke-opacity:.6;stroke-width:.5}.fragments rect:hover{fill:#d62728;fill-opacity:.6}.name{font-weight:bold}</style>
        <rect width="100%" height="100%" fill="white"/>
        <text x="150.0" y="30.0" text-anchor="start" class="title">node:&lt;Person&gt;</text>
        <text x="150.0" y="52.0" text-anchor="start" class="caption">depth 1.5 of 3 fragments</text>
        <text x="150.0" y="68.0" text-anchor="start" class="caption">ranges &amp; boxes</text>
        <rect class="frame" x="150" y="90" width="800" height="800"/>
        <line class="tick" x1="150.0" y1="90" x2="150.0" y2="890"/>
        <text x="150.0" y="908.0" text-anchor="middle" class="mark">-3.5</text>
        <line class="tick" x1="550.0" y1="90" x2="550.0" y2="890"/>
        <text x="550.0" y="908.0" text-anchor="middle" class="mark">&lt;none&gt; &amp; more t…</text>
        <line class="tick" x1="950.0" y1="90" x2="950.0" y2="890"/>
        <text x="950.0" y="908.0" text-anchor="middle" class="mark">9</text>
        <text x="550.0" y="932.0" text-anchor="middle" class="name">id</text>
        <g class="fragments">
        <rect x="150.00" y="866.00" width="200.00" height="21.60"><title>fragment 0, 10 rows
        name: &quot;a&amp;b&quot; to &lt;z&gt;</title></rect>
        <rect x="250.00" y="842.00" width="300.00" height="21.60"><title>fragment 1, 10 rows
        name: &quot;a&amp;b&quot; to &lt;z&gt;</title></rect>
        <rect x="350.00" y="866.00" width="200.00" height="21.60"><title>fragment 2, 10 rows
        name: &quot;a&amp;b&quot; to &lt;z&gt;</title></rect>
        </g>
        </svg>
    "#);
}

#[test]
fn bars_take_no_more_lines_than_lie_over_one_place() {
    let sides = [(0, 9), (5, 20), (10, 12), (12, 13), (21, 30)];
    assert_eq!(lines(sides.into_iter()), [0, 1, 0, 2, 0]);
}

#[test]
fn every_fragment_is_seen_and_none_lies_outside() {
    for side in [(0, 0), (u32::MAX, u32::MAX), (QUARTER, QUARTER + 1), (0, u32::MAX)] {
        let (from, to) = span(side);
        assert!(from >= 0.0 && to <= SIDE && to - from >= THINNEST - 1e-9, "{side:?}: {from} {to}");
    }
}

#[test]
fn of_very_many_fragments_every_nth_is_drawn_and_the_caption_says_so() {
    let many = (0..DRAWN_MAX as u64 + 1).map(|id| fragment(id, &[(0, 9), (0, 9)])).collect();
    let svg = drawing(&["a", "b"], many).to_svg();
    assert_eq!(svg.matches("<title>").count(), DRAWN_MAX.div_ceil(2) + 1);
    assert!(svg.contains("drawn is one of every 2 fragments"), "{}", &svg[..2000]);
}
