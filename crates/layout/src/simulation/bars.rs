//! The bars that a table of 600,000 rows has to reach, before and after an append; and what cutting at turns is good
//! for.

use super::*;

#[test]
fn a_curve_reaches_the_bars_and_keeps_them_after_an_append() {
    for (curve, range_bar, box_bar) in [(Curve::Hilbert, 0.20, 0.08), (Curve::ZOrder, 0.30, 0.10)] {
        for seed in 1..=2 {
            let mut numbers = Numbers::new(seed);
            let rows = Rows::points(600_000, &mut numbers);
            let mut table = Table::new(curve, &rows, 10_000);
            for file in 0..10 {
                let tenth = rows.len() / 10;
                table.append(rows.picked(file * tenth..(file + 1) * tenth));
            }
            let before = depth(&table.extents());
            table.optimize(Scope::Changed);
            let pieces = table.pieces.len();
            assert!((60..=65).contains(&pieces), "{pieces}");
            let (ranges, boxes) = table.asked(&rows);
            let whole = table.rows() * ROW_BYTES;
            let after = depth(&table.extents());
            table.append(Rows::points(6_000, &mut numbers));
            let written = table.optimize(Scope::Changed) as f64 / whole as f64;
            let (_, boxes_later) = table.asked(&rows);
            println!(
                "{curve:?}, seed {seed}: {pieces} fragments, depth {before:.1} -> {after:.2}; 1 % ranges touch {:.1} % / {:.1} %, boxes \
                 {:.1} %; after a 1 % append {:.1} % written, depth {:.2}, boxes {:.1} %",
                ranges[0] * 100.0,
                ranges[1] * 100.0,
                boxes * 100.0,
                written * 100.0,
                depth(&table.extents()),
                boxes_later * 100.0,
            );
            assert!(ranges[0] <= range_bar && ranges[1] <= range_bar, "{ranges:?}");
            assert!(boxes <= box_bar, "{boxes}");
            assert!(written <= 0.05, "{written}");
            assert!(boxes_later <= box_bar * 1.25, "{boxes_later}");
            assert!(
                depth(&table.extents()) <= after + 1.01,
                "one fragment over all others, no more"
            );
            let Touched { ranges: by_rank, boxes: boxes_by_rank } = touched(&table.extents());
            assert!((boxes_by_rank.unwrap() - boxes_later).abs() < 0.01, "{boxes_by_rank:?}");
            assert!((by_rank[0] - ranges[0]).abs() < 0.03, "{by_rank:?}");
        }
    }
}

/// 60,000 points in fragments of so many rows: the shares of ranges and of boxes.
fn shares(curve: Curve, cuts: Cuts, full_rows: u64) -> (usize, [f64; 2], f64) {
    let rows = Rows::points(60_000, &mut Numbers::new(1));
    let mut table = Table::new(curve, &rows, full_rows);
    table.cuts = cuts;
    table.append(rows.clone());
    table.optimize(Scope::Changed);
    let (ranges, boxes) = table.asked(&rows);
    (table.pieces.len(), ranges, boxes)
}

#[test]
fn cutting_at_turns_is_better_than_cutting_when_full_at_any_size() {
    println!("| curve | equal | ranges | boxes | at turns | ranges | boxes |");
    println!("|---|---|---|---|---|---|---|");
    for curve in [Curve::Hilbert, Curve::ZOrder] {
        let (mut equal_sum, mut turns_sum) = (0.0, 0.0);
        for full_rows in [500, 800, 1_000, 1_300, 2_200, 3_000] {
            let (n, r, b) = shares(curve, Cuts::Equal, full_rows);
            let (m, s, c) = shares(curve, Cuts::Turns, full_rows);
            let percent = |[a, b]: [f64; 2]| format!("{:.1} / {:.1} %", a * 100.0, b * 100.0);
            println!(
                "| {curve:?} | {n} | {} | {:.1} % | {m} | {} | {:.1} % |",
                percent(r),
                b * 100.0,
                percent(s),
                c * 100.0
            );
            assert!(m <= n * 8 / 7 + 1, "{m} instead of {n} fragments");
            // Fragments, not shares: what a query opens.
            equal_sum += b * n as f64;
            turns_sum += c * m as f64;
        }
        assert!(turns_sum < equal_sum * 0.97, "{turns_sum} {equal_sum}");
    }
}
