//! What becomes of a table over its life: many appends, and data that drifts away from its space.

use super::*;

#[test]
fn a_table_stays_clustered_over_two_hundred_appends() {
    println!("| after | fragments | runs | written so far | depth | 1 % ranges | boxes | afresh |");
    println!("|---|---|---|---|---|---|---|---|");
    let mut numbers = Numbers::new(1);
    let mut rows = Rows::points(60_000, &mut numbers);
    let mut table = Table::new(Curve::Hilbert, &rows, 1_000);
    table.append(rows.clone());
    table.optimize(Scope::Changed);
    let (mut written, mut appended, mut worst) = (0, 0, 0.0_f64);
    for append in 1..=200 {
        let new = Rows::points(600, &mut numbers);
        rows.0.iter_mut().zip(&new.0).for_each(|(all, new)| all.extend(new));
        appended += new.len() as u64 * ROW_BYTES;
        table.append(new);
        written += table.optimize(Scope::Changed);
        if ![1, 3, 10, 31, 63, 99, 100, 163, 200].contains(&append) {
            continue;
        }
        let (ranges, boxes) = table.asked(&rows);
        let mut afresh = Table::new(Curve::Hilbert, &rows, 1_000);
        afresh.append(rows.clone());
        afresh.optimize(Scope::Changed);
        let fresh = afresh.asked(&rows).1;
        println!(
            "| {append} | {} | {} | {:.1} times | {:.1} | {:.1} / {:.1} % | {:.1} % | {:.1} % |",
            table.pieces.len(),
            table.runs.len(),
            1.0 + written as f64 / appended as f64,
            depth(&table.extents()),
            ranges[0] * 100.0,
            ranges[1] * 100.0,
            boxes * 100.0,
            fresh * 100.0
        );
        worst = worst.max(boxes);
    }
    assert!(worst <= 0.13, "{worst}");
    let times = 1.0 + written as f64 / appended as f64;
    assert!(times <= 7.0, "{times}");
}

/// Rows of which b has moved up by so many of its standard deviations.
fn moved(by: f64) -> Rows {
    let mut rows = Rows::points(60_000, &mut Numbers::new(9));
    rows.0[1].iter_mut().for_each(|b| *b *= (2.0 * by).exp());
    rows
}

#[test]
fn drift_costs_little_up_to_the_threshold() {
    println!("| drift | boxes in the old space | in the new one |");
    println!("|---|---|---|");
    let old = space_of(&Rows::points(60_000, &mut Numbers::new(1)), BOUNDARIES);
    for by in [0.0, 0.1, 0.25, 0.37, 0.5, 1.0, 2.0, 4.0] {
        let rows = moved(by);
        let drift = old.drift(&old.ranks(&rows.arrays()).unwrap());
        let boxes = |space: Option<&Space>| {
            let mut table = Table::new(Curve::Hilbert, &rows, 1_000);
            table.space = space.cloned().unwrap_or(table.space);
            table.append(rows.clone());
            table.optimize(Scope::Changed);
            table.asked(&rows).1
        };
        let (in_old, in_new) = (boxes(Some(&old)), boxes(None));
        println!("| {:.2} | {:.1} % | {:.1} % |", drift.worst(), in_old * 100.0, in_new * 100.0);
        if !drift.calls_for_renewal() {
            assert!(in_old <= 1.2 * in_new, "{in_old} {in_new}");
        } else if by >= 2.0 {
            assert!(in_old >= 1.5 * in_new, "then a renewal is worth it: {in_old} {in_new}");
        }
    }
}

#[test]
fn boundaries_and_the_sample_are_many_enough() {
    let rows = Rows::points(60_000, &mut Numbers::new(3));
    let boxes = |boundaries| {
        let mut table = Table::new(Curve::Hilbert, &rows, 1_000);
        table.space = space_of(&rows, boundaries);
        table.append(rows.clone());
        table.optimize(Scope::Changed);
        let (ranges, boxes) = table.asked(&rows);
        println!("{boundaries} boundaries: {ranges:.3?}, {boxes:.3}");
        [ranges[0], ranges[1], boxes]
    };
    let (usual, more) = (boxes(BOUNDARIES), boxes(BOUNDARIES_MAX));
    boxes(16);
    assert!(usual.iter().zip(more).all(|(usual, more)| (usual - more).abs() < 0.01));
}
